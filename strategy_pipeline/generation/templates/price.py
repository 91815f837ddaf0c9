"""Templates that read prices: momentum, mean reversion, breakout, trend."""

from __future__ import annotations

from collections.abc import Mapping

from strategy_pipeline.generation.template import Template, choices, lengths, levels

RATIO = choices("ratio", 2, 3, 4, 5, 8)


_MACD = "macd(close, {fast}, {slow}, {signal})"


def slow(values: Mapping[str, float]) -> float:
    """The slow length: the fast one times its ratio."""
    return round(values["fast"] * values["ratio"])


MOMENTUM = (
    Template(
        "average_state", "momentum",
        "<average>(close, {fast}) > <average>(close, {slow})", "<average>(close, {fast}) < <average>(close, {slow})",
        "<average>(close, {fast}) < <average>(close, {slow})", "<average>(close, {fast}) > <average>(close, {slow})",
        (lengths("fast", 6, 60), RATIO), {"slow": slow}, {"average": ("ema", "sma")},
    ),
    Template(
        "rate_of_change", "momentum",
        "roc(close, {length}) > {threshold}", "roc(close, {length}) < -{threshold}",
        "roc(close, {length}) < 0", "roc(close, {length}) > 0",
        (lengths("length", 12, 240), choices("threshold", 0.5, 1, 2, 3, 5, 8)),
    ),
    Template(
        "two_horizons", "momentum",
        "simple_return(close, {fast}) > 0 and simple_return(close, {slow}) > 0",
        "simple_return(close, {fast}) < 0 and simple_return(close, {slow}) < 0",
        "simple_return(close, {slow}) < 0", "simple_return(close, {slow}) > 0",
        (lengths("fast", 6, 72), RATIO), {"slow": slow},
    ),
    Template(
        "rsi_strength", "momentum",
        "crosses_above(rsi(close, {length}), {strong})", "crosses_below(rsi(close, {length}), {weak})",
        "rsi(close, {length}) < 50", "rsi(close, {length}) > 50",
        (lengths("length", 10, 60), levels("strong", 52, 70, 2)), {"weak": lambda v: 100 - v["strong"]},
    ),
    Template(
        "macd_cross", "momentum",
        f"{_MACD}.macd > {_MACD}.signal and {_MACD}.macd > 0", f"{_MACD}.macd < {_MACD}.signal and {_MACD}.macd < 0",
        f"{_MACD}.macd < 0", f"{_MACD}.macd > 0",
        (lengths("fast", 8, 48, 12), choices("ratio", 2, 3, 4), choices("signal", 5, 9, 14, 20)), {"slow": slow},
    ),
    Template(
        "percentage_oscillator", "momentum",
        "ppo(close, {fast}, {slow}) > {threshold}", "ppo(close, {fast}, {slow}) < -{threshold}",
        "ppo(close, {fast}, {slow}) < 0", "ppo(close, {fast}, {slow}) > 0",
        (lengths("fast", 6, 48, 12), RATIO, choices("threshold", 0.2, 0.4, 0.8, 1.2, 2)), {"slow": slow},
    ),
    Template(
        "higher_confirmation", "momentum",
        "ema(close, {fast}) > ema(close, {slow}) and rsi(close, {length})@<higher> > {strong}",
        "ema(close, {fast}) < ema(close, {slow}) and rsi(close, {length})@<higher> < {weak}",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (lengths("fast", 6, 48, 12), RATIO, choices("length", 7, 14, 21), levels("strong", 50, 60, 2)),
        {"slow": slow, "weak": lambda v: 100 - v["strong"]},
    ),
    Template(
        "true_strength", "momentum",
        "tsi(close, {slow}, {fast}) > {threshold}", "tsi(close, {slow}, {fast}) < -{threshold}",
        "tsi(close, {slow}, {fast}) < 0", "tsi(close, {slow}, {fast}) > 0",
        (lengths("fast", 7, 30, 10), choices("ratio", 2, 3, 4), levels("threshold", 0, 25, 5)), {"slow": slow},
    ),
)  # fmt: skip

MEAN_REVERSION = (
    Template(
        "zscore", "mean_reversion",
        "zscore(close, {length}) < -{width}", "zscore(close, {length}) > {width}",
        "zscore(close, {length}) > -{back}", "zscore(close, {length}) < {back}",
        (lengths("length", 12, 200), levels("width", 1.2, 3.2, 0.2), choices("back", 0, 0.5)),
    ),
    Template(
        "rsi_extreme", "mean_reversion",
        "rsi(close, {length}) < {low}", "rsi(close, {length}) > {high}",
        "rsi(close, {length}) > {back}", "rsi(close, {length}) < {front}",
        (lengths("length", 5, 40, 12), levels("low", 14, 38, 2), choices("back", 45, 50, 55)),
        {"high": lambda v: 100 - v["low"], "front": lambda v: 100 - v["back"]},
    ),
    Template(
        "bands", "mean_reversion",
        "close < bbands(close, {length}, {width}).lower", "close > bbands(close, {length}, {width}).upper",
        "close > bbands(close, {length}, {width}).middle", "close < bbands(close, {length}, {width}).middle",
        (lengths("length", 12, 160), levels("width", 1.4, 3.2, 0.2)),
    ),
    Template(
        "bands_reentered", "mean_reversion",
        "crosses_above(close, bbands(close, {length}, {width}).lower)", "crosses_below(close, bbands(close, {length}, {width}).upper)",
        "close > bbands(close, {length}, {width}).middle", "close < bbands(close, {length}, {width}).middle",
        (lengths("length", 12, 160), levels("width", 1.4, 3.2, 0.2)),
    ),
    Template(
        "atr_distance", "mean_reversion",
        "close < ema(close, {length}) - {width} * atr({atr})", "close > ema(close, {length}) + {width} * atr({atr})",
        "close > ema(close, {length})", "close < ema(close, {length})",
        (lengths("length", 12, 160), levels("width", 1.5, 5, 0.5), choices("atr", 14, 24, 48)),
    ),
    Template(
        "vwap_distance", "mean_reversion",
        "vwap_bands({length}).zscore < -{width}", "vwap_bands({length}).zscore > {width}",
        "vwap_bands({length}).zscore > 0", "vwap_bands({length}).zscore < 0",
        (lengths("length", 12, 200), levels("width", 1.2, 3.2, 0.2)),
    ),
    Template(
        "stochastic", "mean_reversion",
        "stoch({length}, {smooth}, 3).k < {low}", "stoch({length}, {smooth}, 3).k > {high}",
        "stoch({length}, {smooth}, 3).k > 50", "stoch({length}, {smooth}, 3).k < 50",
        (lengths("length", 8, 60, 12), choices("smooth", 3, 5, 8), levels("low", 5, 25, 5)), {"high": lambda v: 100 - v["low"]},
    ),
    Template(
        "dip_in_trend", "mean_reversion",
        "zscore(close, {length}) < -{width} and close > ema(close, {slow})",
        "zscore(close, {length}) > {width} and close < ema(close, {slow})",
        "zscore(close, {length}) > 0", "zscore(close, {length}) < 0",
        (lengths("length", 6, 60, 12), levels("width", 1, 2.5, 0.25), choices("slow", 100, 150, 200)),
    ),
    Template(
        "commodity_channel", "mean_reversion",
        "cci({length}) < -{width}", "cci({length}) > {width}", "cci({length}) > 0", "cci({length}) < 0",
        (lengths("length", 12, 100), levels("width", 80, 240, 20)),
    ),
)  # fmt: skip

BREAKOUT = (
    Template(
        "range", "breakout",
        "close > lag(highest(high, {length}), 1)", "close < lag(lowest(low, {length}), 1)",
        slots=(lengths("length", 12, 240, 24),),
    ),
    Template(
        "donchian", "breakout",
        "close > lag(donchian({length}).upper, 1)", "close < lag(donchian({length}).lower, 1)",
        "close < lag(donchian({leave}).lower, 1)", "close > lag(donchian({leave}).upper, 1)",
        (lengths("length", 16, 240), choices("part", 0.25, 0.5, 1)), {"leave": lambda v: max(4, round(v["length"] * v["part"]))},
    ),
    Template(
        "bands_left", "breakout",
        "close > bbands(close, {length}, {width}).upper", "close < bbands(close, {length}, {width}).lower",
        "close < bbands(close, {length}, {width}).middle", "close > bbands(close, {length}, {width}).middle",
        (lengths("length", 20, 200), levels("width", 1, 3, 0.25)),
    ),
    Template(
        "keltner", "breakout",
        "close > keltner({length}, 14, {width}).upper", "close < keltner({length}, 14, {width}).lower",
        "close < keltner({length}, 14, {width}).middle", "close > keltner({length}, 14, {width}).middle",
        (lengths("length", 20, 160), levels("width", 1, 4, 0.5)),
    ),
    Template(
        "squeeze", "breakout",
        "lag(volatility_ratio(close, {fast}, {slow}), 1) < {quiet} and close > lag(highest(high, {length}), 1)",
        "lag(volatility_ratio(close, {fast}, {slow}), 1) < {quiet} and close < lag(lowest(low, {length}), 1)",
        "close < ema(close, {length})", "close > ema(close, {length})",
        (lengths("length", 12, 120, 12), choices("fast", 12, 24, 36), choices("slow", 96, 168, 240), levels("quiet", 0.5, 1, 0.1)),
    ),
    Template(
        "confirmed_by_volume", "breakout",
        "close > lag(highest(high, {length}), 1) and volume_ratio({window}) > {surge}",
        "close < lag(lowest(low, {length}), 1) and volume_ratio({window}) > {surge}",
        "close < ema(close, {length})", "close > ema(close, {length})",
        (lengths("length", 12, 160), choices("window", 24, 48, 96), choices("surge", 1, 1.5, 2, 3)), filtered=False,
    ),
    Template(
        "thrust", "breakout",
        "change(close, {bars}) > {width} * lag(atr({atr}), {bars})", "change(close, {bars}) < -{width} * lag(atr({atr}), {bars})",
        slots=(choices("bars", 1, 2, 3, 6, 12), levels("width", 1, 5, 0.5), choices("atr", 14, 24, 48)),
    ),
)  # fmt: skip

TREND = (
    Template(
        "crossover", "trend",
        "crosses_above(<average>(close, {fast}), <average>(close, {slow}))",
        "crosses_below(<average>(close, {fast}), <average>(close, {slow}))",
        "crosses_below(<average>(close, {fast}), <average>(close, {slow}))",
        "crosses_above(<average>(close, {fast}), <average>(close, {slow}))",
        (lengths("fast", 5, 60), RATIO), {"slow": slow}, {"average": ("ema", "sma", "wma", "hma")},
    ),
    Template(
        "directional", "trend",
        "plus_di({length}) > minus_di({length}) and adx({length}) > {strength}",
        "plus_di({length}) < minus_di({length}) and adx({length}) > {strength}",
        "plus_di({length}) < minus_di({length})", "plus_di({length}) > minus_di({length})",
        (lengths("length", 10, 60), levels("strength", 14, 34, 2)), filtered=False,
    ),
    Template(
        "supertrend", "trend",
        "supertrend({length}, {width}).direction > 0", "supertrend({length}, {width}).direction < 0",
        "supertrend({length}, {width}).direction < 0", "supertrend({length}, {width}).direction > 0",
        (lengths("length", 8, 60, 12), levels("width", 1.5, 6, 0.5)),
    ),
    Template(
        "three_averages", "trend",
        "ema(close, {fast}) > ema(close, {middle}) and ema(close, {middle}) > ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {middle}) and ema(close, {middle}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {middle})", "ema(close, {fast}) > ema(close, {middle})",
        (lengths("fast", 6, 40), choices("ratio", 2, 2.5, 3)),
        {"middle": lambda v: round(v["fast"] * v["ratio"]), "slow": lambda v: round(v["middle"] * v["ratio"])},
    ),
    Template(
        "regression", "trend",
        "linearreg_slope(close, {length}) > 0 and r_squared(close, {length}) > {fit}",
        "linearreg_slope(close, {length}) < 0 and r_squared(close, {length}) > {fit}",
        "linearreg_slope(close, {length}) < 0", "linearreg_slope(close, {length}) > 0",
        (lengths("length", 16, 200), levels("fit", 0.1, 0.8, 0.1)), filtered=False,
    ),
    Template(
        "above_average", "trend",
        "close > <average>(close, {length}) + {width} * atr({atr})", "close < <average>(close, {length}) - {width} * atr({atr})",
        "close < <average>(close, {length})", "close > <average>(close, {length})",
        (lengths("length", 24, 240), choices("width", 0.25, 0.5, 1, 2), choices("atr", 14, 24)), words={"average": ("ema", "kama")},
    ),
    Template(
        "vortex", "trend",
        "vortex({length}).plus > vortex({length}).minus", "vortex({length}).plus < vortex({length}).minus",
        "vortex({length}).plus < vortex({length}).minus", "vortex({length}).plus > vortex({length}).minus",
        (lengths("length", 14, 120, 20),),
    ),
    Template(
        "higher_trend", "trend",
        "close > ema(close, {length})@<higher> and ema(close, {fast}) > ema(close, {slow})",
        "close < ema(close, {length})@<higher> and ema(close, {fast}) < ema(close, {slow})",
        "close < ema(close, {length})@<higher>", "close > ema(close, {length})@<higher>",
        (choices("length", 10, 20, 30, 50), lengths("fast", 5, 40, 12), RATIO), {"slow": slow},
    ),
    Template(
        "aroon", "trend",
        "aroonosc({length}) > {threshold}", "aroonosc({length}) < -{threshold}", "aroonosc({length}) < 0", "aroonosc({length}) > 0",
        (lengths("length", 14, 100), levels("threshold", 20, 90, 10)),
    ),
)  # fmt: skip

TEMPLATES = (*MOMENTUM, *MEAN_REVERSION, *BREAKOUT, *TREND)
