"""Templates that read volatility, volume and other symbols."""

from __future__ import annotations

from strategy_pipeline.generation.template import Template, choices, lengths, levels
from strategy_pipeline.generation.templates.price import RATIO, slow

WINDOWS = choices("slow", 96, 168, 240)

VOLATILITY = (
    Template(
        "expansion", "volatility",
        "volatility_ratio(close, {fast}, {slow}) > {lively} and roc(close, {fast}) > 0",
        "volatility_ratio(close, {fast}, {slow}) > {lively} and roc(close, {fast}) < 0",
        "volatility_ratio(close, {fast}, {slow}) < 1", "volatility_ratio(close, {fast}, {slow}) < 1",
        (lengths("fast", 6, 48, 12), WINDOWS, levels("lively", 1.1, 2, 0.1)), filtered=False,
    ),
    Template(
        "calm_trend", "volatility",
        "volatility_ratio(close, {fast}, {slow}) < {quiet} and ema(close, {fast}) > ema(close, {slow})",
        "volatility_ratio(close, {fast}, {slow}) < {quiet} and ema(close, {fast}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (lengths("fast", 8, 48, 12), WINDOWS, levels("quiet", 0.6, 1.1, 0.1)), filtered=False,
    ),
    Template(
        "falling_volatility", "volatility",
        "realized_volatility(close, {length}) < ema(realized_volatility(close, {length}), {slow}) and roc(close, {length}) > 0",
        "realized_volatility(close, {length}) < ema(realized_volatility(close, {length}), {slow}) and roc(close, {length}) < 0",
        "roc(close, {length}) < 0", "roc(close, {length}) > 0",
        (lengths("length", 12, 120), WINDOWS), filtered=False,
    ),
    Template(
        "shock_reversal", "volatility",
        "change(close, {bars}) < -{width} * lag(atr({atr}), {bars})", "change(close, {bars}) > {width} * lag(atr({atr}), {bars})",
        slots=(choices("bars", 1, 2, 3, 6, 12), levels("width", 1.5, 6, 0.5), choices("atr", 14, 24, 48)),
    ),
    Template(
        "channel", "volatility",
        "close > ema(close, {length}) + {width} * atr({atr})", "close < ema(close, {length}) - {width} * atr({atr})",
        "close < ema(close, {length})", "close > ema(close, {length})",
        (lengths("length", 16, 120, 12), levels("width", 1, 4, 0.5), choices("atr", 14, 24, 48)),
    ),
    Template(
        "downside", "volatility",
        "semivariance(close, {length}).down < {share} * semivariance(close, {length}).up",
        "semivariance(close, {length}).up < {share} * semivariance(close, {length}).down",
        "semivariance(close, {length}).down > semivariance(close, {length}).up",
        "semivariance(close, {length}).up > semivariance(close, {length}).down",
        (lengths("length", 24, 240), levels("share", 0.5, 0.9, 0.1)),
    ),
    Template(
        "choppy_reversal", "volatility",
        "choppiness({window}) > {choppy} and zscore(close, {length}) < -{width}",
        "choppiness({window}) > {choppy} and zscore(close, {length}) > {width}",
        "zscore(close, {length}) > 0", "zscore(close, {length}) < 0",
        (choices("window", 14, 24, 48), levels("choppy", 44, 60, 4), lengths("length", 12, 96, 12), levels("width", 1, 2.5, 0.25)),
        filtered=False,
    ),
)  # fmt: skip

VOLUME = (
    Template(
        "surge_followed", "volume",
        "volume_ratio({window}) > {surge} and close > open", "volume_ratio({window}) > {surge} and close < open",
        slots=(lengths("window", 12, 168, 12), choices("surge", 1.5, 2, 2.5, 3, 4, 6)), filtered=False,
    ),
    Template(
        "surge_faded", "volume",
        "volume_ratio({window}) > {surge} and close < open", "volume_ratio({window}) > {surge} and close > open",
        slots=(lengths("window", 12, 168, 12), choices("surge", 1.5, 2, 2.5, 3, 4, 6)), filtered=False,
    ),
    Template(
        "money_flow_extreme", "volume",
        "mfi({length}) < {low}", "mfi({length}) > {high}", "mfi({length}) > 50", "mfi({length}) < 50",
        (lengths("length", 8, 60, 12), levels("low", 10, 34, 2)), {"high": lambda v: 100 - v["low"]},
    ),
    Template(
        "money_flow_trend", "volume",
        "cmf({length}) > {threshold}", "cmf({length}) < -{threshold}", "cmf({length}) < 0", "cmf({length}) > 0",
        (lengths("length", 12, 100), levels("threshold", 0, 0.2, 0.025)),
    ),
    Template(
        "balance_volume", "volume",
        "obv > ema(obv, {length}) and close > ema(close, {length})", "obv < ema(obv, {length}) and close < ema(close, {length})",
        "obv < ema(obv, {length})", "obv > ema(obv, {length})",
        (lengths("length", 16, 200, 24),),
    ),
    Template(
        "vwap_trend", "volume",
        "vwap({fast}) > vwap({slow})", "vwap({fast}) < vwap({slow})", "vwap({fast}) < vwap({slow})", "vwap({fast}) > vwap({slow})",
        (lengths("fast", 6, 60), RATIO), {"slow": slow},
    ),
    Template(
        "quiet_pullback", "volume",
        "ema(close, {fast}) > ema(close, {slow}) and close < ema(close, {fast}) and volume_ratio({fast}) < {quiet}",
        "ema(close, {fast}) < ema(close, {slow}) and close > ema(close, {fast}) and volume_ratio({fast}) < {quiet}",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (lengths("fast", 8, 60, 12), RATIO, levels("quiet", 0.5, 1, 0.1)), {"slow": slow}, filtered=False,
    ),
    Template(
        "taker_flow", "volume",
        "sma(taker_buy_volume, {length}) / sma(volume, {length}) > {bought}",
        "sma(taker_buy_volume, {length}) / sma(volume, {length}) < {sold}",
        "sma(taker_buy_volume, {length}) / sma(volume, {length}) < 0.5", "sma(taker_buy_volume, {length}) / sma(volume, {length}) > 0.5",
        (lengths("length", 3, 96), levels("bought", 0.505, 0.55, 0.005)), {"sold": lambda v: round(1 - v["bought"], 10)},
        needs=("taker_buy_volume",),
    ),
)  # fmt: skip

CROSS_ASSET = (
    Template(
        "relative_strength", "cross_asset",
        "simple_return(close, {length}) - simple_return(close@<reference>, {length}) > {threshold}",
        "simple_return(close, {length}) - simple_return(close@<reference>, {length}) < -{threshold}",
        "simple_return(close, {length}) - simple_return(close@<reference>, {length}) < 0",
        "simple_return(close, {length}) - simple_return(close@<reference>, {length}) > 0",
        (lengths("length", 24, 240), choices("threshold", 0.005, 0.01, 0.02, 0.03, 0.05)), needs=("symbols",),
    ),
    Template(
        "spread_reversion", "cross_asset",
        "zscore(log(close / close@<reference>), {length}) < -{width}", "zscore(log(close / close@<reference>), {length}) > {width}",
        "zscore(log(close / close@<reference>), {length}) > 0", "zscore(log(close / close@<reference>), {length}) < 0",
        (lengths("length", 24, 240), levels("width", 1.2, 3.2, 0.2)), needs=("symbols",),
    ),
    Template(
        "reference_leads", "cross_asset",
        "roc(close@<reference>, {length}) > {threshold} and roc(close, {length}) < roc(close@<reference>, {length})",
        "roc(close@<reference>, {length}) < -{threshold} and roc(close, {length}) > roc(close@<reference>, {length})",
        slots=(choices("length", 1, 2, 3, 4, 6, 8, 12, 24), choices("threshold", 0.3, 0.5, 1, 1.5, 2, 3)), needs=("symbols",),
    ),
    Template(
        "reference_trend", "cross_asset",
        "ema(close@<reference>, {fast}) > ema(close@<reference>, {slow}) and close > ema(close, {slow})",
        "ema(close@<reference>, {fast}) < ema(close@<reference>, {slow}) and close < ema(close, {slow})",
        "ema(close@<reference>, {fast}) < ema(close@<reference>, {slow})",
        "ema(close@<reference>, {fast}) > ema(close@<reference>, {slow})",
        (lengths("fast", 6, 60), RATIO), {"slow": slow}, needs=("symbols",),
    ),
    Template(
        "ratio_trend", "cross_asset",
        "ema(close / close@<reference>, {fast}) > ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) < ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) < ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) > ema(close / close@<reference>, {slow})",
        (lengths("fast", 6, 60), RATIO), {"slow": slow}, needs=("symbols",),
    ),
    Template(
        "decoupled", "cross_asset",
        "correlation(close, close@<reference>, {length}) < {loose} and roc(close, {length}) > 0",
        "correlation(close, close@<reference>, {length}) < {loose} and roc(close, {length}) < 0",
        "roc(close, {length}) < 0", "roc(close, {length}) > 0",
        (lengths("length", 24, 200), levels("loose", 0.2, 0.7, 0.1)), needs=("symbols",), filtered=False,
    ),
    Template(
        "pair_reversion", "cross_asset",
        "zscore(log(close / close@<reference>), {length}) < -{width}", "zscore(log(close / close@<reference>), {length}) > {width}",
        "zscore(log(close / close@<reference>), {length}) > 0", "zscore(log(close / close@<reference>), {length}) < 0",
        (lengths("length", 24, 240), levels("width", 1.2, 3.2, 0.2)), needs=("symbols",), filtered=False, pair=True,
    ),
    Template(
        "pair_trend", "cross_asset",
        "ema(close / close@<reference>, {fast}) > ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) < ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) < ema(close / close@<reference>, {slow})",
        "ema(close / close@<reference>, {fast}) > ema(close / close@<reference>, {slow})",
        (lengths("fast", 6, 60), RATIO), {"slow": slow}, needs=("symbols",), filtered=False, pair=True,
    ),
)  # fmt: skip

TEMPLATES = (*VOLATILITY, *VOLUME, *CROSS_ASSET)
