"""Templates that read named series: sentiment, macro, forecasts, agents; and ensembles that let several vote."""

from __future__ import annotations

from strategy_pipeline.generation.template import Template, choices, lengths, levels
from strategy_pipeline.generation.templates.price import RATIO, slow

SENTIMENT = (
    Template(
        "clear_news", "sentiment",
        "<score> > {clear}", "<score> < -{clear}", "not <score> > {clear}", "not <score> < -{clear}",
        (levels("clear", 0.05, 0.6, 0.025),), needs=("sentiment score",),
    ),
    Template(
        "news_until_reversed", "sentiment",
        "<score> > {clear}", "<score> < -{clear}", "<score> < -{back}", "<score> > {back}",
        (levels("clear", 0.05, 0.6, 0.05), choices("back", 0, 0.1, 0.2)), needs=("sentiment score",),
    ),
    Template(
        "averaged_news", "sentiment",
        "ema(<score>, {length}) > {clear}", "ema(<score>, {length}) < -{clear}", "ema(<score>, {length}) < 0", "ema(<score>, {length}) > 0",
        (lengths("length", 3, 72, 12), levels("clear", 0.05, 0.4, 0.05)), needs=("sentiment score",),
    ),
    Template(
        "news_with_price", "sentiment",
        "<score> > {clear} and close > ema(close, {length})", "<score> < -{clear} and close < ema(close, {length})",
        "<score> < 0", "<score> > 0",
        (levels("clear", 0.05, 0.5, 0.05), lengths("length", 6, 96, 12)), needs=("sentiment score",), filtered=False,
    ),
    Template(
        "news_against_price", "sentiment",
        "<score> > {clear} and zscore(close, {length}) < -{width}", "<score> < -{clear} and zscore(close, {length}) > {width}",
        "zscore(close, {length}) > 0", "zscore(close, {length}) < 0",
        (levels("clear", 0.05, 0.4, 0.05), lengths("length", 12, 96, 12), levels("width", 0.5, 2, 0.5)), needs=("sentiment score",),
        filtered=False,
    ),
    Template(
        "unusual_attention", "sentiment",
        "zscore(<attention>, {length}) > {width} and close > open", "zscore(<attention>, {length}) > {width} and close < open",
        slots=(lengths("length", 24, 200, 12), levels("width", 1, 4, 0.5)), needs=("sentiment measure",), filtered=False,
    ),
)  # fmt: skip

MACRO = (
    Template(
        "with_the_series", "macro",
        "zscore(<macro>, {length}) > {width}", "zscore(<macro>, {length}) < -{width}", "zscore(<macro>, {length}) < 0",
        "zscore(<macro>, {length}) > 0",
        (lengths("length", 48, 500, 12), levels("width", 0.25, 2, 0.25)), needs=("macro.",),
    ),
    Template(
        "against_the_series", "macro",
        "zscore(<macro>, {length}) < -{width}", "zscore(<macro>, {length}) > {width}", "zscore(<macro>, {length}) > 0",
        "zscore(<macro>, {length}) < 0",
        (lengths("length", 48, 500, 12), levels("width", 0.25, 2, 0.25)), needs=("macro.",),
    ),
    Template(
        "momentum_when_high", "macro",
        "<macro> > sma(<macro>, {window}) and ema(close, {fast}) > ema(close, {slow})",
        "<macro> > sma(<macro>, {window}) and ema(close, {fast}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (choices("window", 72, 168, 336, 500), lengths("fast", 6, 48, 10), RATIO), {"slow": slow}, needs=("macro.",), filtered=False,
    ),
    Template(
        "momentum_when_low", "macro",
        "<macro> < sma(<macro>, {window}) and ema(close, {fast}) > ema(close, {slow})",
        "<macro> < sma(<macro>, {window}) and ema(close, {fast}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (choices("window", 72, 168, 336, 500), lengths("fast", 6, 48, 10), RATIO), {"slow": slow}, needs=("macro.",), filtered=False,
    ),
)  # fmt: skip

ML = (
    Template(
        "expected_return", "ml",
        "<return> > {threshold}", "<return> < -{threshold}", "<return> < 0", "<return> > 0",
        (choices("threshold", 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03),), needs=("forecast.return_",),
    ),
    Template(
        "unusual_forecast", "ml",
        "zscore(<return>, {length}) > {width}", "zscore(<return>, {length}) < -{width}", "zscore(<return>, {length}) < 0",
        "zscore(<return>, {length}) > 0",
        (lengths("length", 48, 336, 10), levels("width", 0.5, 2.5, 0.25)), needs=("forecast.return_",),
    ),
    Template(
        "smoothed_forecast", "ml",
        "ema(<return>, {length}) > {threshold}", "ema(<return>, {length}) < -{threshold}", "ema(<return>, {length}) < 0",
        "ema(<return>, {length}) > 0",
        (lengths("length", 3, 48, 10), choices("threshold", 0, 0.001, 0.002, 0.004, 0.008)), needs=("forecast.return_",),
    ),
    Template(
        "return_per_risk", "ml",
        "<return> > {share} * <volatility>", "<return> < -{share} * <volatility>", "<return> < 0", "<return> > 0",
        (choices("share", 0.002, 0.005, 0.01, 0.015, 0.02, 0.03),), needs=("forecast.return_", "forecast.volatility_"),
    ),
    Template(
        "likely_up", "ml",
        "<up> > {likely}", "<up> < {unlikely}", "<up> < 0.5", "<up> > 0.5",
        (levels("likely", 0.51, 0.7, 0.01),), {"unlikely": lambda v: round(1 - v["likely"], 10)}, needs=("forecast.up_",),
    ),
    Template(
        "forecast_with_trend", "ml",
        "<return> > {threshold} and ema(close, {fast}) > ema(close, {slow})",
        "<return> < -{threshold} and ema(close, {fast}) < ema(close, {slow})",
        "<return> < 0", "<return> > 0",
        (choices("threshold", 0, 0.001, 0.002, 0.004, 0.008), lengths("fast", 6, 48, 10), RATIO), {"slow": slow},
        needs=("forecast.return_",), filtered=False,
    ),
    Template(
        "rising_risk_avoided", "ml",
        "<volatility> < sma(<volatility>, {length}) and ema(close, {fast}) > ema(close, {slow})",
        "<volatility> < sma(<volatility>, {length}) and ema(close, {fast}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (choices("length", 48, 96, 168, 336), lengths("fast", 6, 48, 10), RATIO), {"slow": slow}, needs=("forecast.volatility_",),
        filtered=False,
    ),
    Template(
        "trend_in_calm", "ml",
        "<calm> > {sure} and ema(close, {fast}) > ema(close, {slow})", "<calm> > {sure} and ema(close, {fast}) < ema(close, {slow})",
        "ema(close, {fast}) < ema(close, {slow})", "ema(close, {fast}) > ema(close, {slow})",
        (levels("sure", 0.5, 0.9, 0.1), lengths("fast", 6, 48, 10), RATIO), {"slow": slow}, needs=("regime.calm",), filtered=False,
    ),
    Template(
        "reversal_in_turbulence", "ml",
        "<turbulent> > {sure} and zscore(close, {length}) < -{width}", "<turbulent> > {sure} and zscore(close, {length}) > {width}",
        "zscore(close, {length}) > 0", "zscore(close, {length}) < 0",
        (levels("sure", 0.5, 0.9, 0.1), lengths("length", 12, 120, 10), levels("width", 1, 2.5, 0.25)), needs=("regime.turbulent",),
        filtered=False,
    ),
)  # fmt: skip

RL = (
    Template(
        "follow", "rl",
        "<agent> > {sure}", "<agent> < -{sure}", "<agent> < {back}", "<agent> > -{back}",
        (levels("sure", 0.05, 0.8, 0.05), choices("back", -0.2, 0, 0.02)), needs=("agent.",),
    ),
    Template(
        "follow_smoothed", "rl",
        "ema(<agent>, {length}) > {sure}", "ema(<agent>, {length}) < -{sure}", "ema(<agent>, {length}) < 0", "ema(<agent>, {length}) > 0",
        (lengths("length", 3, 48, 12), levels("sure", 0.05, 0.6, 0.05)), needs=("agent.",),
    ),
    Template(
        "agent_with_trend", "rl",
        "<agent> > {sure} and ema(close, {fast}) > ema(close, {slow})", "<agent> < -{sure} and ema(close, {fast}) < ema(close, {slow})",
        "<agent> < 0", "<agent> > 0",
        (levels("sure", 0, 0.5, 0.1), lengths("fast", 6, 48, 10), RATIO), {"slow": slow}, needs=("agent.",), filtered=False,
    ),
)  # fmt: skip

_VOTES = "sign(ema(close, {fast}) - ema(close, {slow})) + sign(roc(close, {length})) + sign(rsi(close, {rsi}) - 50)"
ENSEMBLE = (
    Template(
        "price_vote", "ensemble",
        f"{_VOTES} > {{quorum}}", f"{_VOTES} < -{{quorum}}", f"{_VOTES} < 0", f"{_VOTES} > 0",
        (lengths("fast", 6, 48, 10), RATIO, lengths("length", 12, 200, 10), choices("rsi", 14, 24, 48), choices("quorum", 0.5, 2.5)),
        {"slow": slow},
    ),
    Template(
        "trend_or_reversal", "ensemble",
        "efficiency_ratio(close, {window}) > {straight} and ema(close, {fast}) > ema(close, {slow}) "
        "or efficiency_ratio(close, {window}) < {crooked} and zscore(close, {fast}) < -{width}",
        "efficiency_ratio(close, {window}) > {straight} and ema(close, {fast}) < ema(close, {slow}) "
        "or efficiency_ratio(close, {window}) < {crooked} and zscore(close, {fast}) > {width}",
        slots=(choices("window", 24, 48, 96), levels("straight", 0.2, 0.5, 0.1), levels("crooked", 0.05, 0.15, 0.05),
               lengths("fast", 8, 48, 10), RATIO, levels("width", 1.5, 2.5, 0.5)), derived={"slow": slow}, filtered=False,
    ),
    Template(
        "model_and_agent", "ensemble",
        "<return> > {threshold} and <agent> > {sure}", "<return> < -{threshold} and <agent> < -{sure}",
        "<return> < 0 or <agent> < 0", "<return> > 0 or <agent> > 0",
        (choices("threshold", 0, 0.001, 0.002, 0.004, 0.008), levels("sure", 0, 0.5, 0.1)), needs=("forecast.return_", "agent."),
    ),
    Template(
        "model_agent_price_vote", "ensemble",
        "sign(<return>) + sign(<agent>) + sign(ema(close, {fast}) - ema(close, {slow})) > {quorum}",
        "sign(<return>) + sign(<agent>) + sign(ema(close, {fast}) - ema(close, {slow})) < -{quorum}",
        "sign(<return>) + sign(<agent>) + sign(ema(close, {fast}) - ema(close, {slow})) < 0",
        "sign(<return>) + sign(<agent>) + sign(ema(close, {fast}) - ema(close, {slow})) > 0",
        (lengths("fast", 6, 48, 10), RATIO, choices("quorum", 0.5, 2.5)), {"slow": slow}, needs=("forecast.return_", "agent."),
    ),
    Template(
        "switched_by_regime", "ensemble",
        "<calm> > {sure} and ema(close, {fast}) > ema(close, {slow}) or <turbulent> > {sure} and zscore(close, {fast}) < -{width}",
        "<calm> > {sure} and ema(close, {fast}) < ema(close, {slow}) or <turbulent> > {sure} and zscore(close, {fast}) > {width}",
        slots=(levels("sure", 0.5, 0.9, 0.1), lengths("fast", 8, 48, 10), RATIO, levels("width", 1, 2.5, 0.5)), derived={"slow": slow},
        needs=("regime.calm", "regime.turbulent"), filtered=False,
    ),
)  # fmt: skip

TEMPLATES = (*SENTIMENT, *MACRO, *ML, *RL, *ENSEMBLE)
