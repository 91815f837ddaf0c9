"""How a TA-Lib function becomes an entry, and how fast recursions forget.

What belongs here: helpers shared by the definition modules. What does not: any entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import talib
from talib import abstract

from strategy_pipeline.indicators.kernels.still import blank_runs
from strategy_pipeline.indicators.registry import Indicator, Output, Param, register

Params = Mapping[str, Any]
# Which bars did not move, how many of them in a row leave nothing to divide by, and for how many bars each output holds that.
Still = tuple[np.ndarray, int, tuple[int, ...]]

# exp(-FORGET) = 1e-9: a margin of a thousand under the 1e-6 that the catalog promises, for entries that take differences.
FORGET = math.log(1e9)

NAMES = {"length": "timeperiod", "fast": "fastperiod", "slow": "slowperiod", "signal": "signalperiod"}


def ema_bars(length: float) -> int:
    """Bars after which an exponential average of span `length` (weight 2 / (n + 1)) has forgotten to 1e-9."""
    return math.ceil(FORGET / -math.log1p(-2.0 / (length + 1.0))) if length > 1 else 1


def wilder_bars(length: float) -> int:
    """Bars after which Wilder's average (weight 1 / n) has forgotten to 1e-9."""
    return math.ceil(FORGET / -math.log1p(-1.0 / length)) if length > 1 else 1


def chain(bars: int, stages: int) -> int:
    """Bars after which `stages` averages of one speed in a row have forgotten, when one takes `bars`.

    What is left after k time constants is e^-k k^(m-1) / (m-1)!: below 1e-9 at 1.25, 1.45, 1.85 times one stage's k.
    """
    return math.ceil(bars * {1: 1.0, 2: 1.25, 3: 1.45, 6: 1.85}[stages])


def window(name: str = "length", extra: int = 0) -> Callable[[Params], int]:
    """Warm-up of a plain window: `params[name] + extra` bars."""
    return lambda p: int(p[name]) + extra


def price(name: str = "value") -> Output:
    """An output on the scale of its input: a price when that is the close."""
    return Output(name, "price", follows=True)


def oscillator(name: str, low: float, high: float) -> Output:
    """A bounded, dimensionless output."""
    return Output(name, "oscillator", low, high)


def _handle(function: str) -> Any:
    """TA-Lib's own description of a function: its name, and its lookback for given parameters."""
    return abstract.Function(function)  # type: ignore[attr-defined]


def talib_entry(
    name: str,
    function: str,
    family: str,
    inputs: Sequence[str],
    outputs: Sequence[Output],
    params: Sequence[Param] = (),
    *,
    source: str,
    warmup: Callable[[Params], int] | None = None,
    rename: Mapping[str, str] | None = None,
    fixed: Mapping[str, float] | None = None,
    order: Sequence[int] | None = None,
    cumulative: bool = False,
    compounding: bool = False,
    cost: Literal["linear", "window"] = "linear",
    description: str = "",
    still: Callable[[Sequence[np.ndarray], Params], Still] | None = None,
) -> None:
    """Register TA-Lib's `function` under `name`.

    `rename` maps our parameter names to TA-Lib's (a value of "a,b" sets both) where they differ from `NAMES`;
    `fixed` sets the rest; `order` picks and orders TA-Lib's outputs. The lookback is TA-Lib's own; the warm-up,
    where none is given, is the lookback plus one. `still` tells, for inputs and parameters, which bars did not move,
    how many of them in a row leave the first output undefined (NaN), and how many bars remember that, by output.
    """
    names: dict[str, list[str]] = {p.name: (rename or {}).get(p.name, NAMES.get(p.name, p.name)).split(",") for p in params}
    constants = dict(fixed or {})
    compiled = getattr(talib, function)

    def translate(p: Mapping[str, float]) -> dict[str, float]:
        return {**constants, **{theirs: value for ours, value in p.items() for theirs in names[ours]}}

    @lru_cache(1 << 12)  # TA-Lib's description of a function costs as much as the function itself
    def lookback_of(values: tuple[tuple[str, float], ...]) -> int:
        handle = _handle(function)
        if names or constants:
            handle.set_parameters(translate(dict(values)))
        return int(handle.lookback)

    def lookback(p: Params) -> int:
        return lookback_of(tuple((key, p[key]) for key in names))

    def call(*arrays: np.ndarray, **p: float) -> Any:
        result = compiled(*arrays, **translate(p))
        found = tuple(result[i] for i in (order or range(len(result)))) if isinstance(result, tuple) else (result,)
        if still is not None:
            bars, run, memories = still(arrays, p)
            if bars.any():
                for output, memory in zip(found, memories, strict=True):
                    blank_runs(bars, run, memory, output)
        return found if isinstance(result, tuple) else result

    needed = warmup or (lambda p: lookback(p) + 1)
    text = description or f"{_handle(function).info['display_name']}."
    register(
        Indicator(
            name,
            family,
            tuple(inputs),
            tuple(params),
            tuple(outputs),
            lookback,
            needed,
            source,
            call,
            text,
            cumulative,
            cost,
            compounding=compounding,
        )
    )
