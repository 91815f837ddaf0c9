"""Every candle pattern on bars drawn from its description (S. Nison, 1991; G. Morris, 1995): some that show it, some that just miss.

Patterns are judged against the ordinary bars before them: bodies of 2, ranges of 4, around 100. A body above 2
is thus long and below 2 short, one up to 0.4 a doji; a shadow under 0.4 is very short; 0.8 is near and 0.2 equal.
"""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.indicators import compute, names
from strategy_pipeline.market import Bars

Bar = tuple[float, float, float, float]
FLAT: list[Bar] = [(99, 102, 98, 101), (101, 102, 98, 99)] * 10


def w(bottom: float, top: float, above: float = 0.1, below: float = 0.1) -> Bar:
    """A white candle: body from `bottom` up to `top`, with shadows of those lengths."""
    return bottom, top + above, bottom - below, top


def b(bottom: float, top: float, above: float = 0.1, below: float = 0.1) -> Bar:
    """A black candle: it opens at `top` and closes at `bottom`."""
    return top, top + above, bottom - below, bottom


def d(at: float, above: float = 0.8, below: float = 0.8) -> Bar:
    """A doji."""
    return at, at + above, at - below, at


# pattern -> (value at the last bar, bars that show it, bars that differ in one respect and do not)
PATTERNS: dict[str, tuple[int, list[Bar], list[Bar]]] = {
    "2crows": (-100, [w(100, 106), b(107, 108.5), b(104, 108)], [w(100, 106), b(107, 108.5), b(99, 108)]),
    "3blackcrows": (
        -100,
        [w(100, 102), b(98, 101.5), b(95, 100), b(92, 97)],
        [w(100, 102), b(98, 101.5), b(95, 100, 0.1, 2), b(92, 97)],
    ),
    "3inside": (100, [b(100, 106), w(102, 103), w(103, 107)], [b(100, 106), w(102, 103), w(103, 105)]),
    "3linestrike": (
        100,
        [w(100, 102), w(101, 104), w(103, 106), b(99, 107)],
        [w(100, 102), w(101, 104), w(103, 106), b(100.5, 107)],
    ),
    "3outside": (100, [b(101, 102), w(100, 103), w(103, 104)], [b(101, 102), w(100, 103), w(101, 102.5)]),
    "3starsinsouth": (
        100,
        [b(100, 104, 0.1, 5), b(99, 101.5, 0.1, 2), b(98.5, 99.3, 0, 0)],
        [b(100, 104, 0.1, 5), b(99, 101.5, 0.1, 2), b(96.5, 97.5, 0, 0)],
    ),
    "3whitesoldiers": (100, [w(100, 103), w(101.5, 105), w(104, 107.5)], [w(100, 103), w(101.5, 105), w(104, 107.5, 2)]),
    "abandonedbaby": (100, [b(100, 106), d(98, 0.5, 0.5), w(99, 104)], [b(100, 106), d(98, 3, 0.5), w(99, 104)]),
    "advanceblock": (-100, [w(100, 104), w(103, 106, 1.5), w(105.5, 107, 2)], [w(100, 104), w(103, 107), w(106, 110)]),
    "belthold": (100, [w(100, 104, 0.5, 0)], [w(100, 104, 0.5, 1)]),
    "breakaway": (
        100,
        [b(100, 106), b(97, 99), w(96, 97.5), b(94, 96), w(94.5, 99.5)],
        [b(100, 106), b(97, 99), w(96, 97.5), b(94, 96), w(94.5, 98.5)],
    ),
    "closingmarubozu": (100, [w(100, 104, 0, 1)], [w(100, 104, 1, 1)]),
    "concealbabyswall": (
        100,
        [b(104, 107, 0, 0), b(101, 103.5, 0, 0), b(98, 99, 3), b(97, 103)],
        [b(104, 107, 0, 0), b(101, 103.5, 0, 0), b(98, 99, 3), b(97, 101)],
    ),
    "counterattack": (100, [b(100, 106), w(95, 100.05)], [b(100, 106), w(95, 102)]),
    "darkcloudcover": (-100, [w(100, 106), b(102, 107)], [w(100, 106), b(104, 107)]),
    "doji": (100, [(100, 102, 98, 100.3)], [(100, 102, 98, 101)]),
    "dojistar": (100, [b(100, 104), d(98)], [b(100, 104), d(101)]),
    "dragonflydoji": (100, [d(100, 0.1, 3)], [d(100, 1, 3)]),
    "engulfing": (100, [b(100, 102), w(99, 103)], [b(100, 102), w(100.5, 103)]),
    "eveningdojistar": (-100, [w(100, 106), d(107.5), b(102, 107)], [w(100, 106), d(107.5), b(105, 107)]),
    "eveningstar": (-100, [w(100, 106), w(106.5, 107.5), b(102, 106)], [w(100, 106), w(106.5, 107.5), b(105, 106)]),
    "gapsidesidewhite": (100, [w(100, 102), w(104, 106), w(104.1, 106.1)], [w(100, 102), w(104, 106), w(101.5, 103.5)]),
    "gravestonedoji": (100, [d(100, 3, 0.1)], [d(100, 3, 1)]),
    "hammer": (100, [w(97, 98, 0.1, 3)], [w(97, 98, 1.5, 3)]),
    "hangingman": (-100, [w(101.5, 102.3, 0.1, 3)], [w(97, 98, 0.1, 3)]),
    "harami": (100, [b(100, 106), w(102, 103)], [b(100, 106), w(99, 100.5)]),
    "haramicross": (100, [b(100, 106), d(103)], [b(100, 106), d(99)]),
    "highwave": (100, [w(100, 100.8, 3, 3)], [w(100, 100.8, 3, 0.5)]),
    "hikkake": (
        100,
        [(100, 104, 96, 101), (100, 102, 98, 101), (99, 101, 97, 98)],
        [(100, 104, 96, 101), (100, 102, 98, 101), (99, 101, 98.5, 99)],
    ),
    "hikkakemod": (
        100,
        [(100, 106, 94, 101), (101, 104, 96, 96.5), (98, 102, 97.5, 99), (98, 101, 96.8, 98)],
        [(100, 106, 94, 101), (101, 104, 96, 103.5), (98, 102, 97.5, 99), (98, 101, 96.8, 98)],
    ),
    "homingpigeon": (100, [b(100, 106), b(102, 103.5)], [b(100, 106), b(99, 100.5)]),
    "identical3crows": (-100, [b(103, 106), b(100, 103), b(97, 100)], [b(103, 106), b(101, 104), b(98, 102)]),
    "inneck": (-100, [b(100, 106, 0.1, 0.2), w(97, 100.1)], [b(100, 106, 0.1, 0.2), w(97, 102)]),
    "invertedhammer": (100, [w(97.5, 98.5, 3)], [w(100, 101, 3)]),
    "kicking": (100, [b(100, 104, 0, 0), w(105, 109, 0, 0)], [b(100, 104, 0, 0), w(103, 109, 0, 0)]),
    "kickingbylength": (-100, [b(100, 108, 0, 0), w(109, 112.5, 0, 0)], [b(100, 108, 0, 0), w(107, 112.5, 0, 0)]),
    "ladderbottom": (
        100,
        [b(104, 107), b(102, 105), b(100, 103), b(98.5, 100.5, 1), w(101, 104)],
        [b(104, 107), b(102, 105), b(100, 103), b(98.5, 100.5, 1), w(101, 101.4)],
    ),
    "longleggeddoji": (100, [d(100, 3, 3)], [w(99, 101, 3, 3)]),
    "longline": (100, [w(100, 105, 0.3, 0.3)], [w(100, 105, 2, 0.3)]),
    "marubozu": (100, [w(100, 105, 0, 0)], [w(100, 105, 1, 0)]),
    "matchinglow": (100, [b(100, 104), b(100.05, 102)], [b(100, 104), b(101, 103)]),
    "mathold": (
        100,
        [w(100, 106), b(106.5, 107.3), b(105.6, 106.4), b(105, 106), w(105.5, 109)],
        [w(100, 106), b(106.5, 107.3), b(105.6, 106.4), b(105, 106), w(105.5, 106.5)],
    ),
    "morningdojistar": (100, [b(100, 106), d(98.5), w(99, 104)], [b(100, 106), d(98.5), w(99, 101)]),
    "morningstar": (100, [b(100, 106), b(98, 99), w(99.5, 104)], [b(100, 106), b(98, 99), w(99.5, 101)]),
    "onneck": (-100, [b(100, 106, 0.1, 1), w(97, 99)], [b(100, 106, 0.1, 1), w(97, 101)]),
    "piercing": (100, [b(100, 106, 0.1, 0.2), w(98, 104)], [b(100, 106, 0.1, 0.2), w(98, 102)]),
    "rickshawman": (100, [d(100, 3, 3)], [d(102.5, 0.5, 5.5)]),
    "risefall3methods": (
        100,
        [w(100, 106), b(104, 105), b(103, 104), b(102, 103), w(103, 108)],
        [w(100, 106), b(104, 105), b(103, 104), b(102, 103), w(103, 105.5)],
    ),
    "separatinglines": (100, [b(97, 100), w(100, 104, 0.1, 0)], [b(97, 100), w(98, 104, 0.1, 0)]),
    "shootingstar": (-100, [w(101.8, 102.6, 3)], [w(100, 100.8, 3)]),
    "shortline": (100, [w(100, 100.8, 0.3, 0.3)], [w(100, 100.8, 2, 0.3)]),
    "spinningtop": (100, [w(100, 101, 1.5, 1.5)], [w(100, 101, 1.5, 0.5)]),
    "stalledpattern": (-100, [w(100, 104), w(103, 107), w(106.6, 107.5)], [w(100, 104), w(103, 107), w(106.6, 111)]),
    "sticksandwich": (100, [b(100, 103), w(101, 104), b(100.05, 104.5)], [b(100, 103), w(101, 104), b(101, 104.5)]),
    "takuri": (100, [d(100, 0.1, 4)], [d(100, 1, 4)]),
    "tasukigap": (100, [w(100, 102), w(103.5, 105.5), b(102.8, 105)], [w(100, 102), w(103.5, 105.5), b(101.8, 104.4)]),
    "thrusting": (-100, [b(100, 106, 0.1, 0.2), w(97, 102)], [b(100, 106, 0.1, 0.2), w(97, 104)]),
    "tristar": (100, [d(100), d(98), d(99)], [d(100), d(100), d(100)]),
    "unique3river": (
        100,
        [b(100, 106, 0.1, 0.2), b(101, 104, 0.1, 4), w(98.5, 99.5)],
        [b(100, 106, 0.1, 0.2), b(101, 104, 0.1, 0.5), w(98.5, 99.5)],
    ),
    "upsidegap2crows": (-100, [w(100, 106), b(107, 108), b(106.5, 109)], [w(100, 106), b(107, 108), b(105, 109)]),
    "xsidegap3methods": (100, [w(100, 102), w(103.5, 105.5), b(101, 104.5)], [w(100, 102), w(103.5, 105.5), b(102.5, 104.5)]),
}
# Upside down, these show the opposite.
SYMMETRIC = [
    "3inside", "3linestrike", "3outside", "abandonedbaby", "belthold", "breakaway", "closingmarubozu", "counterattack",
    "dojistar", "engulfing", "harami", "haramicross", "highwave", "hikkake", "hikkakemod", "kicking", "kickingbylength",
    "longline", "marubozu", "risefall3methods", "separatinglines", "shortline", "spinningtop", "tasukigap", "tristar",
    "xsidegap3methods",
]  # fmt: skip
# The first upside down is the second, with this sign.
PAIRS = [
    ("morningstar", "eveningstar", -1), ("morningdojistar", "eveningdojistar", -1), ("dragonflydoji", "gravestonedoji", 1),
    ("doji", "doji", 1), ("longleggeddoji", "longleggeddoji", 1), ("rickshawman", "rickshawman", 1),
]  # fmt: skip


def bars_of(drawn: list[Bar]) -> Bars:
    """One symbol's hourly bars of those prices."""
    o, h, low, c = np.array(drawn, dtype=float).T[:, None, :]
    times = (np.datetime64("2024-01-01") + np.arange(len(drawn)) * np.timedelta64(1, "h")).astype("datetime64[ns]")
    return Bars(symbols=("BTC/USDT",), timeframe="1h", times=times, open=o, high=h, low=low, close=c, volume=np.ones(o.shape))


def upside_down(bars: Bars) -> Bars:
    return bars.with_fields(open=200 - bars.open, high=200 - bars.low, low=200 - bars.high, close=200 - bars.close)


def shown(pattern: str, drawn: list[Bar]) -> float:
    return float(compute(f"cdl{pattern}", bars_of(FLAT + drawn))[0, -1])


def test_every_pattern_is_drawn():
    assert {f"cdl{name}" for name in PATTERNS} == {name for name in names() if name.startswith("cdl")}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_fires_on_its_drawing_and_not_on_one_that_just_misses(pattern):
    value, drawn, missed = PATTERNS[pattern]
    assert shown(pattern, drawn) == value
    assert shown(pattern, missed) == 0
    assert len(drawn) == len(missed)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ordinary_bars_and_the_bar_before_completion_show_nothing(pattern):
    _, drawn, _ = PATTERNS[pattern]
    assert shown(pattern, []) == 0
    if len(drawn) > 1:
        assert shown(pattern, drawn[:-1]) == 0


@pytest.mark.parametrize("pattern", SYMMETRIC)
def test_a_symmetric_pattern_upside_down_is_its_opposite(pattern):
    value, drawn, _ = PATTERNS[pattern]
    flipped = compute(f"cdl{pattern}", upside_down(bars_of(FLAT + drawn)))[0, -1]
    assert flipped == -value


def gapping(n: int) -> Bars:
    """Bars with gaps, small and large bodies and missing shadows, no two prices quite equal."""
    draw = np.random.default_rng(13)
    o = 100.0 + np.cumsum(draw.integers(-3, 4, n)) * 0.5 + draw.random(n) * 0.05
    c = o + draw.choice([-4, -2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2, 4], n) * (1 + 0.1 * draw.random(n))
    h = np.maximum(o, c) + draw.choice([0, 0, 0.5, 1, 4], n) * draw.random(n)
    low = np.minimum(o, c) - draw.choice([0, 0, 0.5, 1, 4], n) * draw.random(n)
    return bars_of(list(zip(o, h, low, c, strict=True)))


@pytest.mark.parametrize(("one", "other", "sign"), [*PAIRS, *((name, name, -1) for name in SYMMETRIC)])
def test_a_market_upside_down_shows_the_mirrored_pattern(one, other, sign):
    bars = gapping(20_000)
    up = compute(f"cdl{one}", bars)[0]
    down = compute(f"cdl{other}", upside_down(bars))[0]
    np.testing.assert_array_equal(up, sign * down)


def test_a_hikkake_is_confirmed_by_a_close_beyond_its_inside_bar():
    _, drawn, _ = PATTERNS["hikkake"]
    assert shown("hikkake", [*drawn, (98, 104, 97.5, 103)]) == 200
    assert shown("hikkake", [*drawn, (98, 101.5, 97.5, 101)]) == 0
    _, drawn, _ = PATTERNS["hikkakemod"]
    assert shown("hikkakemod", [*drawn, (98, 104, 97.5, 103)]) == 200


def test_bodies_that_share_an_end_count_for_less():
    assert shown("engulfing", [b(100, 102), w(100, 103)]) == 80
    assert shown("harami", [b(100, 106), w(100, 101)]) == 80


def test_a_deeper_penetration_asks_for_more():
    bars = bars_of(FLAT + [b(100, 106), b(98, 99), w(99.5, 104)])
    assert compute("cdlmorningstar", bars, penetration=0.6)[0, -1] == 100
    assert compute("cdlmorningstar", bars, penetration=0.7)[0, -1] == 0
