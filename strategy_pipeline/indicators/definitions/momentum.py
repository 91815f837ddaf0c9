"""Momentum: how far and how fast price has moved, mostly as oscillators."""

from __future__ import annotations

from strategy_pipeline.indicators.definitions.wrap import chain, ema_bars, oscillator, talib_entry, wilder_bars
from strategy_pipeline.indicators.kernels import still
from strategy_pipeline.indicators.registry import Output, length

HLC = ("high", "low", "close")
SERIES = ("series",)
FAST_SLOW = (length(12, 4, 60, name="fast"), length(26, 10, 200, name="slow"))
DIFFERENCE = (Output("value", "difference"),)
PERCENT = (Output("value", "percent"),)
HUNDRED = (oscillator("value", 0, 100),)
BOTH = (oscillator("value", -100, 100),)


talib_entry(
    "rsi",
    "RSI",
    "momentum",
    SERIES,
    HUNDRED,
    (length(14, 3, 60),),
    source="J. W. Wilder, 1978",
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
    still=lambda x, p: (still.never_moved(x[0]), 1, (1,)),
)
talib_entry(
    "macd",
    "MACD",
    "momentum",
    SERIES,
    (Output("macd", "difference"), Output("signal", "difference"), Output("histogram", "difference")),
    (*FAST_SLOW, length(9, 3, 30, name="signal", minimum=1)),
    source="G. Appel, 1979",
    warmup=lambda p: int(p["slow"] + p["fast"] + p["signal"]) + ema_bars(max(p["fast"], p["slow"])) + ema_bars(p["signal"]),
)
talib_entry(
    "apo",
    "APO",
    "momentum",
    SERIES,
    DIFFERENCE,
    FAST_SLOW,
    source="G. Appel, 1979",
    fixed={"matype": 1},
    warmup=lambda p: int(p["slow"] + p["fast"]) + ema_bars(max(p["fast"], p["slow"])),
)
talib_entry(
    "ppo",
    "PPO",
    "momentum",
    SERIES,
    PERCENT,
    FAST_SLOW,
    source="G. Appel, 1979",
    fixed={"matype": 1},
    warmup=lambda p: int(p["slow"] + p["fast"]) + ema_bars(max(p["fast"], p["slow"])),
)
talib_entry("mom", "MOM", "momentum", SERIES, DIFFERENCE, (length(10, minimum=1),), source="difference over n bars")
talib_entry("roc", "ROC", "momentum", SERIES, PERCENT, (length(10, minimum=1),), source="100 (x / x[n bars ago] - 1)")
talib_entry(
    "cmo",
    "CMO",
    "momentum",
    SERIES,
    BOTH,
    (length(14, 3, 60),),
    source="T. Chande, 1994 (Wilder's average)",
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry("cmo_sum", "CMOU", "momentum", SERIES, BOTH, (length(14, 3, 60),), source="T. Chande, 1994 (plain sums, as published)")
talib_entry(
    "stoch",
    "STOCH",
    "momentum",
    HLC,
    (oscillator("k", 0, 100), oscillator("d", 0, 100)),
    (length(14, 3, 60), length(3, 1, 20, name="smooth", minimum=1), length(3, 1, 20, name="signal", minimum=1)),
    source="G. Lane, 1950s",
    rename={"length": "fastk_period", "smooth": "slowk_period", "signal": "slowd_period"},
    fixed={"slowk_matype": 0, "slowd_matype": 0},
    description="Slow stochastic: %K smoothed, and its average %D; NaN where a window has no range.",
    still=lambda x, p: (still.without_range(x[0], x[1]), p["length"] - 1, (p["smooth"], p["smooth"] + p["signal"] - 1)),
)
talib_entry(
    "stochf",
    "STOCHF",
    "momentum",
    HLC,
    (oscillator("k", 0, 100), oscillator("d", 0, 100)),
    (length(14, 3, 60), length(3, 1, 20, name="signal", minimum=1)),
    source="G. Lane, 1950s",
    rename={"length": "fastk_period", "signal": "fastd_period"},
    fixed={"fastd_matype": 0},
    description="Fast stochastic: raw %K, and its average %D; NaN where a window has no range.",
    still=lambda x, p: (still.without_range(x[0], x[1]), p["length"] - 1, (1, p["signal"])),
)
talib_entry(
    "stochrsi",
    "STOCHRSI",
    "momentum",
    SERIES,
    (oscillator("k", 0, 100), oscillator("d", 0, 100)),
    (length(14, 3, 60), length(14, 3, 60, name="window", minimum=1), length(3, 1, 20, name="signal", minimum=1)),
    source="T. Chande and S. Kroll, 1994",
    rename={"window": "fastk_period", "signal": "fastd_period"},
    fixed={"fastd_matype": 0},
    warmup=lambda p: int(p["length"] + p["window"] + p["signal"]) + 2 * wilder_bars(p["length"]),
    still=lambda x, p: (still.unchanged(x[0]), max(p["window"] - 1, 1), (1, p["signal"])),
    description="Stochastic of RSI: its place in its own range, and the average; NaN where nothing moved, which leaves RSI where it is.",
)
talib_entry(
    "kdj",
    "KDJ",
    "momentum",
    HLC,
    (oscillator("k", 0, 100), oscillator("d", 0, 100), Output("j", "statistic")),
    (length(9, 3, 60), length(3, 2, 20, name="smooth", minimum=1), length(3, 2, 20, name="signal", minimum=1)),
    source="G. Lane; Asian variant with Wilder's averages",
    rename={"length": "fastk_period", "smooth": "slowk_period", "signal": "slowd_period"},
    fixed={"slowk_matype": 13, "slowd_matype": 13},
    still=lambda x, p: (still.without_range(x[0], x[1]), p["length"] - 1, (1, 1, 1)),
    warmup=lambda p: int(p["length"]) + 2 * wilder_bars(p["smooth"]) + 2 * wilder_bars(p["signal"]) + 20,
)
talib_entry(
    "smi",
    "SMI",
    "momentum",
    HLC,
    (oscillator("smi", -100, 100), oscillator("signal", -100, 100)),
    (length(13, 3, 60), length(2, 2, 10, name="fast"), length(25, 5, 60, name="slow"), length(9, 3, 30, name="signal")),
    source="W. Blau, 1993",
    warmup=lambda p: int(p["length"]) + 2 * ema_bars(p["fast"]) + 2 * ema_bars(p["slow"]) + 2 * ema_bars(p["signal"]),
)
talib_entry(
    "willr",
    "WILLR",
    "momentum",
    HLC,
    (oscillator("value", -100, 0),),
    (length(14, 3, 100),),
    source="L. Williams, 1973",
    still=lambda x, p: (still.without_range(x[0], x[1]), p["length"] - 1, (1,)),
    description="Williams' %R: the close's place in the window's range, less 100; NaN where there is no range.",
)
talib_entry("cci", "CCI", "momentum", HLC, (Output("value", "statistic"),), (length(14, 5, 100),), source="D. Lambert, 1980")
talib_entry(
    "ultosc",
    "ULTOSC",
    "momentum",
    HLC,
    HUNDRED,
    (length(7, 3, 20, name="short", minimum=1), length(14, 7, 40, name="medium", minimum=1), length(28, 14, 100, name="long", minimum=1)),
    source="L. Williams, 1985",
    rename={"short": "timeperiod1", "medium": "timeperiod2", "long": "timeperiod3"},
    still=lambda x, p: (still.without_true_range(*x), min(p["short"], p["medium"], p["long"]), (1,)),
    description="Ultimate oscillator: buying pressure over true range, of three windows; NaN where one has no range.",
)
talib_entry("bop", "BOP", "momentum", ("open", "high", "low", "close"), (oscillator("value", -1, 1),), source="I. Livshin, 2001")
talib_entry(
    "trix",
    "TRIX",
    "momentum",
    SERIES,
    PERCENT,
    (length(15, 3, 100, minimum=1),),
    source="J. Hutson, 1983",
    warmup=lambda p: 4 * int(p["length"]) + chain(ema_bars(p["length"]), 3),
)
talib_entry(
    "tsi",
    "TSI",
    "momentum",
    SERIES,
    BOTH,
    (length(25, 5, 100, name="slow", minimum=2), length(13, 3, 60, name="fast", minimum=2)),
    source="W. Blau, 1991",
    rename={"slow": "firstperiod", "fast": "secondperiod"},
    warmup=lambda p: 2 * ema_bars(p["slow"]) + 2 * ema_bars(p["fast"]),
)
talib_entry(
    "ao",
    "AO",
    "momentum",
    ("high", "low"),
    DIFFERENCE,
    (length(5, 3, 20, name="fast"), length(34, 10, 100, name="slow")),
    source="B. Williams, 1998",
    description="Awesome oscillator: fast minus slow mean of the median price.",
)
talib_entry(
    "ac",
    "AC",
    "momentum",
    ("high", "low"),
    DIFFERENCE,
    (length(5, 3, 20, name="fast"), length(34, 10, 100, name="slow"), length(5, 3, 20, name="signal")),
    source="B. Williams, 1998",
    description="Accelerator oscillator: the awesome oscillator minus its mean.",
)
talib_entry(
    "coppock",
    "COPPOCK",
    "momentum",
    SERIES,
    PERCENT,
    (length(10, 5, 30), length(11, 5, 50, name="fast"), length(14, 5, 60, name="slow")),
    source="E. Coppock, 1962",
    rename={"length": "wmaperiod", "fast": "roc1period", "slow": "roc2period"},
)
talib_entry(
    "dpo",
    "DPO",
    "momentum",
    SERIES,
    DIFFERENCE,
    (length(20, 5, 100),),
    source="detrended price oscillator, 1980s (J. Murphy, 1999)",
    description="Detrended price oscillator: the value n / 2 + 1 bars ago (rounded down) minus the mean of the last n bars.",
)
talib_entry(
    "elder_ray",
    "ERI",
    "momentum",
    HLC,
    (Output("bull", "difference"), Output("bear", "difference")),
    (length(13, 5, 60),),
    source="A. Elder, 1989",
    warmup=lambda p: int(p["length"]) + ema_bars(p["length"]),
)
talib_entry("fosc", "FOSC", "momentum", SERIES, PERCENT, (length(5, 3, 60),), source="T. Chande, 1992")
talib_entry("imi", "IMI", "momentum", ("open", "close"), HUNDRED, (length(14, 3, 60),), source="T. Chande, 1994")
talib_entry("qstick", "QSTICK", "momentum", ("open", "close"), DIFFERENCE, (length(10, 3, 60),), source="T. Chande, 1994")
