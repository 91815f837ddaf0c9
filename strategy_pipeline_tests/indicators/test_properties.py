"""What must hold of every entry: units, symmetry, constants, time, and histories made to break it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from strategy_pipeline.indicators import compute, names, spec
from strategy_pipeline.market import Bars
from strategy_pipeline.market.timeframes import TIMEFRAMES, divides
from strategy_pipeline_tests.indicators.conftest import random_walk, world
from strategy_pipeline_tests.indicators.traits import TRAITS

N = 1000
PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "quote_volume", "taker_buy_volume")
TOP, SQUARE = 1000.0, 10_000.0
# Shorter than their defaults, so that a thousand bars hold them.
SHORT = {f"correlation_{market}": {"length": 240} for market in ("sp500", "nasdaq", "dxy", "vix")} | {
    "week_hour_return": {"length": 3}, "hour_return": {"length": 20}, "motif_distance": {"length": 120}, "anchored_vwap": {"length": 48},
    "anchored_vwap_bands": {"length": 48},
}  # fmt: skip
CANDLE = "0 0 - - -"
Series = dict[str, np.ndarray]


def trait(name: str, column: int) -> dict[str, str]:
    """Output -> its word of that column."""
    words = TRAITS.get(name, CANDLE if name.startswith("cdl") else "").split()[column].split("/")
    outputs = [output.name for output in spec(name).outputs]
    return dict(zip(outputs, words * len(outputs) if len(words) == 1 else words, strict=True))


def values_of(name: str, bars: Bars, series: Series) -> Series:
    """Every output; running totals as their changes."""
    entry = spec(name)
    named = {each: series[each] for each in entry.named_inputs} or None
    result = compute(name, bars, named=named, **SHORT.get(name, {}))
    found = result if isinstance(result, dict) else {"value": result}
    if entry.cumulative and not entry.compounding:
        return {key: np.diff(values, axis=1) for key, values in found.items()}
    return found


@lru_cache(maxsize=4)
def market(seed: int) -> tuple[Bars, Series]:
    bars = random_walk(2, N, seed)
    return bars, world(bars)


@lru_cache(maxsize=1024)
def before(name: str, seed: int) -> Series:
    return values_of(name, *market(seed))


def agree(got: np.ndarray, wanted: np.ndarray, name: str, tolerance: float = 1e-6) -> None:
    """Equal in the second half, where starts are forgotten, to a millionth of the value or of the output's deviation."""
    got, wanted = got[:, N // 2 :], wanted[:, N // 2 :]
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(wanted), err_msg=name)
    known = np.isfinite(wanted)
    scale = np.maximum(np.abs(wanted), np.nanstd(wanted[known]) if known.any() else 0.0)
    assert (np.abs(got - wanted)[known] <= tolerance * scale[known] + 1e-12).all(), name


def lawful(law: str, values: Series, name: str, output: str, seed: int, price) -> np.ndarray:
    """What a law makes of the values before."""
    kind, _, entry = law.partition("@")
    kind, _, other = kind.partition(":")
    was = (before(entry, seed) if entry else values)[other or output]
    declared = spec(name).output(output)
    rules = {
        "even": lambda: was, "odd": lambda: -was, "price": lambda: price(was), "rest": lambda: declared.low + declared.high - was,
        "hundred": lambda: 100.0 - was, "reciprocal": lambda: 1.0 / was,
    }  # fmt: skip
    return rules[kind]()


def turned(bars: Bars, series: Series, price) -> tuple[Bars, Series]:
    """The market upside down: each price put through a falling function, buyers and sellers changed."""
    fields = {"open": price(bars.open), "high": price(bars.low), "low": price(bars.high), "close": price(bars.close)}
    made = dict(series)
    for side, other in (("bid", "ask"), ("ask", "bid")):
        made[f"book.{side}"] = price(series[f"book.{other}"])
        for size in ("qty", "depth"):
            made[f"book.{side}_{size}"] = series[f"book.{other}_{size}"]
    return bars.with_fields(**fields, taker_buy_volume=bars.volume - bars.taker_buy_volume), made


def test_every_entry_says_what_must_hold():
    assert set(TRAITS) == {name for name in names() if not name.startswith("cdl")}
    for name in names():
        assert len(TRAITS.get(name, CANDLE).split()) == 5, name
        for column in range(5):
            trait(name, column)


@pytest.mark.parametrize("name", names())
@settings(max_examples=3)
@given(seed=some.integers(0, 3), power=some.sampled_from([-20, -3, 5, 20]))
def test_prices_in_another_currency_scale_as_declared(name, seed, power):
    """A power of two changes no digits."""
    bars, series = market(seed)
    factor = 2.0**power
    scaled = bars.with_fields(**{field: getattr(bars, field) * factor for field in PRICES}, quote_volume=bars.quote_volume * factor)
    made = {key: values * factor if key in ("book.bid", "book.ask") else values for key, values in series.items()}
    for key, values in values_of(name, scaled, made).items():
        if (word := trait(name, 0)[key]) != "-":
            exponent = float(word)
            agree(values / factor**exponent, before(name, seed)[key], f"{name}.{key}")


@pytest.mark.parametrize("name", names())
@settings(max_examples=3)
@given(seed=some.integers(0, 3), power=some.sampled_from([-20, -3, 5, 20]))
def test_volumes_in_another_unit_scale_as_declared(name, seed, power):
    bars, series = market(seed)
    factor = 2.0**power
    scaled = bars.with_fields(**{field: getattr(bars, field) * factor for field in VOLUMES})
    made = {key: values * factor if key.endswith(("qty", "depth")) else values for key, values in series.items()}
    for key, values in values_of(name, scaled, made).items():
        if (word := trait(name, 1)[key]) != "-":
            agree(values / factor ** float(word), before(name, seed)[key], f"{name}.{key}")


@pytest.mark.parametrize("name", [name for name in TRAITS if set(trait(name, 2).values()) != {"-"}])
@settings(max_examples=2)
@given(seed=some.integers(0, 3))
def test_a_market_mirrored_about_a_level_turns_as_declared(name, seed):
    bars, series = market(seed)

    def price(p: np.ndarray) -> np.ndarray:
        return TOP - p

    now = values_of(name, *turned(bars, series, price))
    for key, law in trait(name, 2).items():
        if law == "turn":
            agree((now[key] - before(name, seed)[key]) % 360, np.where(np.isfinite(now[key]), 180.0, np.nan), name)
        elif law != "-":
            agree(now[key], lawful(law, before(name, seed), name, key, seed, price), f"{name}.{key}")


@pytest.mark.parametrize("name", [name for name in TRAITS if set(trait(name, 3).values()) != {"-"}])
@settings(max_examples=2)
@given(seed=some.integers(0, 3))
def test_a_market_of_reversed_returns_turns_as_declared(name, seed):
    bars, series = market(seed)

    def price(p: np.ndarray) -> np.ndarray:
        return SQUARE / p

    upside_down, made = turned(bars, series, price)
    made |= {key: 1.0 / values for key, values in series.items() if key.startswith("macro.")}
    now = values_of(name, upside_down, made)
    for key, law in trait(name, 3).items():
        if law != "-":
            agree(now[key], lawful(law, before(name, seed), name, key, seed, price), f"{name}.{key}")


@pytest.mark.parametrize("level", [0.1 * 3, 7.3, 61234.57])
def test_a_market_that_does_not_move_is_as_declared(level):
    bars, series = market(0)
    flat = np.full(bars.close.shape, level)
    still = bars.with_fields(**dict.fromkeys(PRICES, flat))
    quoted = {**series, "book.bid": flat * (1 - 1e-4), "book.ask": flat * (1 + 1e-4)}
    for name in names():
        for key, values in values_of(name, still, quoted).items():
            word = trait(name, 4)[key]
            late = values[:, 800:]
            if word == "nan":
                assert np.isnan(late).all(), (name, key)
            elif word != "-":
                wanted = level if word == "P" else float(word)
                np.testing.assert_allclose(late, wanted, rtol=1e-6 if word not in ("P", "0") else 1e-11, atol=1e-8, err_msg=f"{name}.{key}")


@pytest.mark.parametrize("name", names())
def test_a_history_whole_weeks_later_has_the_same_values(name):
    """Only the hour of the week may matter, and levels of the world as they were."""
    bars, series = market(1)
    moved = Bars(**{field: getattr(bars, field) for field in ("symbols", "timeframe", *PRICES, *VOLUMES, "trades")},
                 times=bars.times + np.timedelta64(7 * 52, "D"))  # fmt: skip
    for key, values in values_of(name, moved, series).items():
        np.testing.assert_array_equal(values, before(name, 1)[key], err_msg=key)


@pytest.mark.parametrize("name", names())
def test_the_order_of_the_symbols_does_not_matter(name):
    """Against the same other series; the ones of the universe see the same symbols."""
    bars, series = market(2)
    entry = spec(name)
    flipped = Bars(symbols=bars.symbols[::-1], timeframe="1h", times=bars.times,
                   **{field: getattr(bars, field)[::-1].copy() for field in (*PRICES, *VOLUMES, "trades")})  # fmt: skip
    other = {"other": bars.close[:1].repeat(2, axis=0)} if "other" in entry.inputs else {}
    named = {each: series[each] for each in entry.named_inputs}
    one = compute(name, bars, named=named or None, **other)
    two = compute(name, flipped, named={key: values[::-1].copy() for key, values in named.items()} or None, **other)
    for key in one if isinstance(one, dict) else [None]:
        first, second = (one, two) if key is None else (one[key], two[key])
        np.testing.assert_allclose(second[::-1], first, rtol=1e-9, atol=1e-12, err_msg=str(key))


@some.composite
def wild(draw: some.DrawFn) -> Bars:
    """Two symbols of stretches that break things: no movement, no volume, gaps, jumps, tiny and huge prices."""
    seed, scale = draw(some.integers(0, 10**6)), draw(some.sampled_from([1e-8, 1.0, 1e7]))
    bars = random_walk(2, draw(some.sampled_from([1, 2, 30, 260])), seed)
    fields = {field: np.array(getattr(bars, field)) for field in (*PRICES, *VOLUMES, "trades")}
    for _ in range(draw(some.integers(0, 5))):
        row, first, size = draw(some.integers(0, 1)), draw(some.integers(0, bars.n_bars - 1)), draw(some.sampled_from([1, 7, 60, 300]))
        part = (row, slice(first, first + size))
        match draw(some.sampled_from(["still", "silent", "gone", "jump", "crash"])):
            case "still":
                for field in PRICES:
                    fields[field][part] = fields["close"][row, first]
            case "silent":
                for field in (*VOLUMES, "trades"):
                    fields[field][part] = 0.0
            case "gone":
                for values in fields.values():
                    values[part] = np.nan
            case "jump":
                for field in PRICES:
                    fields[field][part] *= 1000.0
            case _:
                for field in PRICES:
                    fields[field][part] *= 1e-3
    for field in (*PRICES, "quote_volume"):
        fields[field] *= scale
    return bars.with_fields(**fields)


def every_output(bars: Bars) -> Iterator[tuple[str, str, np.ndarray]]:
    series = world(bars)
    for name in names():
        entry = spec(name)
        result = compute(name, bars, named={each: series[each] for each in entry.named_inputs} or None)
        for key, values in (result if isinstance(result, dict) else {"value": result}).items():
            yield name, key, values


@settings(max_examples=25)
@given(bars=wild())
def test_whatever_the_history_values_are_finite_within_bounds_or_nan(bars):
    for name, key, values in every_output(bars):
        entry = spec(name)
        output = entry.output(key)
        assert values.shape == bars.close.shape and values.dtype == np.float64, (name, key)
        assert not np.isinf(values).any(), (name, key)
        known = values[np.isfinite(values)]
        slack = 1e-9 * max(
            1.0, abs(output.low) if math.isfinite(output.low) else 1.0, abs(output.high) if math.isfinite(output.high) else 1.0
        )
        assert (known >= output.low - slack).all() and (known <= output.high + slack).all(), (name, key, known.min(), known.max())
        if "time" not in entry.inputs or len(entry.inputs) > 1:
            assert np.isnan(values[np.isnan(bars.close)]).all(), (name, key)
        first = entry.lookback(entry.values(()))
        for row in range(bars.n_symbols):
            there = np.flatnonzero(np.isfinite(bars.close[row]))
            if entry.scope == "symbol" and entry.inputs != ("time",):
                assert np.isnan(values[row, there[:first]]).all(), (name, key)


@pytest.mark.parametrize("name", names())
def test_the_same_input_gives_the_same_bytes_and_stays_as_it_was(name):
    bars, series = market(3)
    copies = {field: getattr(bars, field).copy() for field in (*PRICES, *VOLUMES)}
    one, two = values_of(name, bars, series), values_of(name, bars, series)
    assert all(one[key].tobytes() == two[key].tobytes() for key in one)
    for field, copy in copies.items():
        np.testing.assert_array_equal(getattr(bars, field), copy)


@pytest.mark.parametrize("timeframe", [each for each in TIMEFRAMES if each != "1h" and divides("1h", each)])
def test_any_coarser_timeframe_is_that_of_its_own_bars(timeframe):
    """From hourly bars: at the last hour of each coarser bar, the value computed on those bars."""
    bars = random_walk(2, 900, seed=7)
    coarse = bars.resample(timeframe)
    got, wanted = compute("roc", bars, length=2, timeframe=timeframe), compute("roc", coarse, length=2)
    at = np.searchsorted(bars.available_at, coarse.available_at)
    inside = at < bars.n_bars
    np.testing.assert_array_equal(got[:, at[inside]], wanted[:, inside])
