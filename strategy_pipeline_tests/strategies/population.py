"""Random strategies of the whole language for property tests, and a bank of random arrays with gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators import names, spec
from strategy_pipeline.indicators.expressions import ARITHMETIC, Arithmetic, Number, Series, Value
from strategy_pipeline.strategies import COMPARISONS, FAMILIES, And, Compare, Level, Not, Or, Size, Strategy
from strategy_pipeline.strategies.canonical import canonical_condition
from strategy_pipeline.strategies.naming import PRICE_FIELDS
from strategy_pipeline.strategies.vocabulary import call

NAMED = ("forecast.return_24h", "forecast.volatility_24h", "forecast.up_24h", "regime.calm", "agent.ppo", "sentiment.mean", "macro.vix")
INDICATORS = tuple(name for name in names() if spec(name).scope == "symbol" and not name.startswith("cdl"))[::3] + (
    "macd",
    "rsi",
    "atr",
    "ema",
)

numbers = st.one_of(
    st.integers(-300, 300).map(float),
    st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 0.07, 1e-9, 1e21, 0.1, 2.5]),
).map(Number)
symbols = st.sampled_from([None, None, None, "BTC/USDT", "1000SHIB/USDT", "ETH/BTC"])
timeframes = st.sampled_from([None, None, None, "4h", "1d", "1M"])


@st.composite
def indicator_series(draw: st.DrawFn, inputs: st.SearchStrategy[Value]) -> Series:
    entry = spec(draw(st.sampled_from(INDICATORS)))
    params = []
    for parameter in entry.params:
        low, high = max(parameter.low, parameter.minimum), min(parameter.high, parameter.maximum)
        params.append(float(draw(st.integers(int(low), int(high)))) if parameter.whole else draw(st.floats(low, high)))
    given_inputs = [draw(inputs.filter(lambda value: not isinstance(value, Number))) for _ in entry.expression_inputs]
    output = draw(st.sampled_from(entry.output_names))
    return call(entry.name, given_inputs, params, None, output, draw(timeframes), draw(symbols))


def _arithmetic(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    def build(op: str) -> st.SearchStrategy[Value]:
        if op in ("lag", "change"):
            return st.builds(lambda x, n: Arithmetic(op, (x, Number(float(n)))), values, st.integers(0, 50))
        return st.tuples(*[values] * ARITHMETIC[op]).map(lambda operands: Arithmetic(op, operands))

    return st.sampled_from(sorted(ARITHMETIC)).flatmap(build)


plain = st.one_of(
    st.builds(Series, st.sampled_from(PRICE_FIELDS), timeframe=timeframes, symbol=symbols),
    st.builds(Series, st.sampled_from(NAMED), symbol=symbols),
)
values: st.SearchStrategy[Value] = st.recursive(
    st.one_of(plain, plain, numbers), lambda inner: st.one_of(indicator_series(inner), _arithmetic(inner)), max_leaves=4
)


def conditions_on(terms: st.SearchStrategy[Value], max_leaves: int = 5):
    compare = st.builds(Compare, st.sampled_from(COMPARISONS), terms, terms)
    return st.recursive(
        compare,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts))),
        ),
        max_leaves=max_leaves,
    )


levels = st.one_of(
    st.floats(1e-6, 0.99).map(lambda value: Level("percent", value)),
    st.builds(lambda value, length: Level("atr", value, length), st.floats(1e-3, 99.0), st.integers(1, 200)),
)
sizes = st.one_of(
    st.just(Size("all_in")),
    st.builds(Size, st.sampled_from(["fraction", "kelly", "volatility_target"]), st.floats(1e-4, 1.0)),
    st.builds(Size, st.just("volatility_target"), st.floats(1e-4, 1.0), plain),
)


def has_a_value(condition) -> bool:
    """False for conditions on 1 / 0 and the like, which canonical form refuses."""
    try:
        canonical_condition(condition)
    except StrategyError:
        return False
    return True


@st.composite
def strategies(draw: st.DrawFn) -> Strategy:
    conditions = conditions_on(values).filter(has_a_value)
    some = st.one_of(st.none(), conditions)
    pair = draw(st.integers(0, 5)) == 0
    distances = st.one_of(st.none(), levels.filter(lambda level: not pair or level.kind == "percent"))
    stop, take, trail, even = (draw(distances) for _ in range(4))
    if take is not None and even is not None and even.kind == take.kind and even.value >= take.value:
        even = None
    return Strategy(
        "cross_asset" if pair else draw(st.sampled_from(FAMILIES)),
        draw(st.sampled_from([("*",), ("BTC/USDT",), ("ETH/USDT", "BTC/USDT"), ("1000SHIB/USDT",)])),
        draw(st.sampled_from(["1h", "1d", "5m"])),
        draw(conditions),
        *[draw(some) for _ in range(3)],
        stop,
        take,
        trail,
        draw(st.one_of(st.none(), st.integers(1, 1000))),
        draw(sizes),
        even,
        draw(st.one_of(st.none(), st.integers(1, 1000))),
        "SOL/USDT" if pair else None,
    )


class ArrayBank:
    """Evaluates arithmetic over given arrays by the rules of the bank, in numpy one-liners; other series are unknown."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.shape = next(iter(arrays.values())).shape

    def evaluate(self, value: Value) -> np.ndarray:
        if isinstance(value, Number):
            return np.full(self.shape, value.value)
        if isinstance(value, Series):
            return self.arrays[value.name]
        with np.errstate(all="ignore"):
            result = self._arithmetic(value)
        return np.where(np.isfinite(result), result, np.nan)

    def _arithmetic(self, value: Arithmetic) -> np.ndarray:
        x = self.evaluate(value.operands[0])
        y = self.evaluate(value.operands[-1])
        if value.op in ("lag", "change"):
            n = int(value.operands[1].value)  # type: ignore[union-attr]
            before = np.full(self.shape, np.nan)
            before[..., n:] = x[..., : self.shape[-1] - n] if n < self.shape[-1] else before[..., n:]
            return before if value.op == "lag" else x - before
        return {
            "+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: np.where(y == 0, np.nan, x / y), "neg": lambda: -x,
            "abs": lambda: np.abs(x), "log": lambda: np.where(x > 0, np.log(x), np.nan),
            "sqrt": lambda: np.sqrt(x), "sign": lambda: np.sign(x),
            "min": lambda: np.where(np.isnan(x) | np.isnan(y), np.nan, np.minimum(x, y)),
            "max": lambda: np.where(np.isnan(x) | np.isnan(y), np.nan, np.maximum(x, y)),
        }[value.op]()  # fmt: skip


def random_bank(seed: int, n_symbols: int = 2, n_bars: int = 60) -> ArrayBank:
    """Small integers (so that ties are common) with a fifth of the bars missing."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name in (*PRICE_FIELDS, *NAMED):
        array = rng.integers(-3, 4, (n_symbols, n_bars)).astype(float)
        array[rng.random((n_symbols, n_bars)) < 0.2] = np.nan
        arrays[name] = array
    return ArrayBank(arrays)
