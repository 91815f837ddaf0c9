"""What an indicator is: `Indicator`, the decorator that registers one, and the catalog.

What belongs here: the declaration (inputs, parameters with search ranges, outputs with units, warm-up,
source) and its checks. What does not: formulas (`definitions/`), loops (`kernels/`), evaluation (`bank`).

Registering one's own takes five lines::

    @indicator("body_ratio", family="candles", inputs=("open", "high", "low", "close"), params=(length(10),),
               outputs=(Output("value", "ratio", -1, 1),), warmup=lambda p: p["length"], source="in-house, 2025")
    def body_ratio(open, high, low, close, *, length):
        body = (close - open) / (high - low)
        return np.convolve(body, np.ones(length) / length)[: len(body)]

The function receives one C-contiguous float64 array per input (n,) with every value finite, and its parameters
as keywords (whole ones as int); it returns one array (n,), or a tuple of them in the order of `outputs`. Values
before the declared `lookback` are blanked to NaN, so it need not do that itself.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from strategy_pipeline.errors import PipelineError, UnknownIndicatorError

if TYPE_CHECKING:
    import pandas as pd

# What an output is measured in. A search compares only what is alike: prices with prices, oscillators with levels.
UNITS = {
    "price": "the quote currency, on the scale of the close",
    "difference": "a price minus a price, or a distance in price",
    "return": "a fraction per stated span",
    "percent": "100 times a fraction",
    "ratio": "dimensionless, around its stated neutral point",
    "oscillator": "dimensionless, within its bounds",
    "volatility": "annualised standard deviation as a fraction",
    "probability": "within [0, 1]",
    "boolean": "0 or 1",
    "pattern": "-100, 0 or 100 (a few reach 200 when confirmed; engulfing and harami are 80 where the bodies share an end)",
    "count": "a number of bars",
    "angle": "degrees",
    "volume": "base units traded, or volume times price",
    "statistic": "dimensionless and unbounded, such as a z-score",
}

FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
OPTIONAL_FIELDS = ("quote_volume", "trades", "taker_buy_volume")
# Inputs of a function that are no price field: value expressions (`series`, `other`), the bar's open in seconds, and
# named series of the bank, which have a dot (`macro.vix`, `book.bid`).
EXPRESSION_INPUTS = ("series", "other")
TIME_INPUT = "time"


class IndicatorParameterError(PipelineError):
    """A parameter of an indicator has a value that it cannot take."""


@dataclass(frozen=True, slots=True)
class Param:
    """A tunable parameter.

    default
        Used when none is given.
    low, high
        The range a search draws from (inclusive).
    scale
        "int" (whole numbers), "log_int" (whole, drawn evenly in the logarithm), "linear" or "log".
    step
        Smallest sensible change; None leaves it to the search.
    minimum, maximum
        Hard limits of validity; beyond them a value is refused.
    """

    name: str
    default: float
    low: float
    high: float
    scale: Literal["int", "log_int", "linear", "log"] = "linear"
    step: float | None = None
    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are accepted."""
        return self.scale in ("int", "log_int")

    def accept(self, indicator_name: str, value: float) -> float | int:
        """`value` as int or float; IndicatorParameterError when it is not a number, not whole, or out of limits."""
        where = f"parameter {self.name!r} of {indicator_name!r}"
        if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
            raise IndicatorParameterError(f"Expected {where} to be a number, was {value!r}; nothing was computed; pass a number.")
        number = float(value)
        if not math.isfinite(number) or not self.minimum <= number <= self.maximum:
            raise IndicatorParameterError(
                f"Expected {where} within [{self.minimum:g}, {self.maximum:g}], was {number:g}; nothing was computed; "
                f"the default is {self.default:g}."
            )
        if self.whole:
            if number != round(number):
                raise IndicatorParameterError(f"Expected {where} to be a whole number, was {number:g}; round it.")
            return int(number)
        return number


def length(default: int, low: int = 3, high: int = 200, *, name: str = "length", minimum: int = 2) -> Param:
    """A window in bars: whole, searched evenly in the logarithm."""
    return Param(name, default, low, high, "log_int", 1, minimum, 100_000)


def number(name: str, default: float, low: float, high: float, *, minimum: float = 0.0, maximum: float = math.inf) -> Param:
    """A real-valued parameter, such as a band's multiple."""
    return Param(name, default, low, high, "linear", None, minimum, maximum)


@dataclass(frozen=True, slots=True)
class Output:
    """One output.

    unit
        A key of `UNITS`, as it is when computed on the default inputs (the close).
    low, high
        Bounds that no value leaves, or infinite.
    follows
        True when the unit and bounds are those of the first value expression instead (an average of an
        oscillator is an oscillator).
    """

    name: str
    unit: str
    low: float = -math.inf
    high: float = math.inf
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Indicator:
    """An entry of the catalog.

    inputs
        In the order the function takes them: price fields, ``series`` / ``other`` (any value expression), ``time``
        (bar open, seconds since 1970), named series of the bank (``macro.vix``). In the language only the value
        expressions are written.
    lookback
        params -> index of the first bar with a value, counting from 0.
    warmup
        params -> bars of history that determine the value at a bar: with that many before it, earlier ones change
        it by less than 1e-6 of its scale. Recursive entries need more of them than their lookback.
    cumulative
        True when the level depends on where history starts (OBV): use its differences in rules and features.
    compounding
        True when that level multiplies instead of adds (NVI): use its relative changes.
    cost
        "linear" in bars, or "window" (grows with the window as well).
    scope
        "symbol": a function of one symbol's arrays (n,). "universe": of all symbols' arrays (n_symbols, n_bars),
        NaN where a symbol has no bar.
    """

    name: str
    family: str
    inputs: tuple[str, ...]
    params: tuple[Param, ...]
    outputs: tuple[Output, ...]
    lookback: Callable[[Mapping[str, Any]], int]
    warmup: Callable[[Mapping[str, Any]], int]
    source: str
    function: Callable[..., Any] = field(repr=False)
    description: str = ""
    cumulative: bool = False
    cost: Literal["linear", "window"] = "linear"
    scope: Literal["symbol", "universe"] = "symbol"
    annualised: bool = False  # the function also takes bars_per_year
    compounding: bool = False
    borrows: bool = False  # the function never writes to its inputs, so it may be handed the bank's own arrays: all of the catalog's

    @property
    def requires(self) -> tuple[str, ...]:
        """Optional bar fields it cannot do without."""
        return tuple(name for name in self.inputs if name in OPTIONAL_FIELDS)

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """Named series (with a dot) that the bank must hold."""
        return tuple(name for name in self.inputs if "." in name)

    @property
    def expression_inputs(self) -> tuple[str, ...]:
        """Those inputs that are value expressions, in order: what `Series.inputs` holds."""
        return tuple(name for name in self.inputs if name in EXPRESSION_INPUTS)

    @property
    def defaults(self) -> tuple[float, ...]:
        """Parameter values in catalog order, as `Series.params` holds them."""
        return tuple(float(parameter.default) for parameter in self.params)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, the first being what `output=None` means."""
        return tuple(output.name for output in self.outputs)

    def values(self, given: Sequence[float]) -> dict[str, float | int]:
        """Checked parameters by name from values in catalog order; missing ones at the end take defaults."""
        if len(given) > len(self.params):
            raise IndicatorParameterError(
                f"Expected at most {len(self.params)} parameters for {self.name!r}, was {len(given)}; "
                f"it takes {', '.join(parameter.name for parameter in self.params) or 'none'}."
            )
        filled = [*given, *self.defaults[len(given) :]]
        return {parameter.name: parameter.accept(self.name, value) for parameter, value in zip(self.params, filled, strict=True)}

    def output(self, name: str | None = None) -> Output:
        """An output by name (None: the first); UnknownIndicatorError names near matches."""
        if name is None:
            return self.outputs[0]
        for output in self.outputs:
            if output.name == name:
                return output
        raise UnknownIndicatorError(
            f"Expected an output of {self.name!r}, was {name!r}{_near(name, self.output_names)}; it has {', '.join(self.output_names)}."
        )

    def parameter(self, name: str) -> Param:
        """A parameter by name; UnknownIndicatorError names near matches."""
        for parameter in self.params:
            if parameter.name == name:
                return parameter
        known = tuple(parameter.name for parameter in self.params)
        raise UnknownIndicatorError(
            f"Expected a parameter of {self.name!r}, was {name!r}{_near(name, known)}; it takes {', '.join(known) or 'none'}."
        )


_REGISTRY: dict[str, Indicator] = {}
_loaded = False


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f" (near: {', '.join(close)})" if close else ""


def _load() -> None:
    global _loaded
    if not _loaded:
        from strategy_pipeline.indicators.definitions import load_all

        load_all()
        package = load_all.__module__
        for name, entry in _REGISTRY.items():
            if entry.function.__module__.startswith(package):  # a test holds every one of them to it
                _REGISTRY[name] = replace(entry, borrows=True)
        _loaded = True


def register(entry: Indicator) -> Indicator:
    """Put an entry into the catalog; a name that is taken, or a malformed declaration, is an error."""
    if entry.name in _REGISTRY:
        raise IndicatorParameterError(f"Expected a new indicator name, was {entry.name!r}, which the catalog has; choose another name.")
    if not entry.name.isidentifier() or entry.name != entry.name.lower() or entry.name in FIELDS:
        raise IndicatorParameterError(f"Expected a lower-case identifier that is no price field, was {entry.name!r}; rename it.")
    known = (*FIELDS, *EXPRESSION_INPUTS, TIME_INPUT)
    for name in entry.inputs:
        if name not in known and "." not in name:
            raise IndicatorParameterError(f"Expected inputs of {entry.name!r} among {', '.join(known)}, was {name!r}; correct it.")
    for output in entry.outputs:
        if output.unit not in UNITS:
            raise IndicatorParameterError(f"Expected a unit among {', '.join(UNITS)}, was {output.unit!r} in {entry.name!r}; correct it.")
    if not entry.outputs or not entry.inputs:
        raise IndicatorParameterError(f"Expected {entry.name!r} to have inputs and outputs, was without; declare them.")
    if not entry.source.strip():
        raise IndicatorParameterError(f"Expected {entry.name!r} to name its source, was without; give an author and year, or a reference.")
    _REGISTRY[entry.name] = entry
    return entry


def indicator(
    name: str,
    *,
    family: str,
    inputs: Sequence[str],
    params: Sequence[Param] = (),
    outputs: Sequence[Output],
    lookback: Callable[[Mapping[str, Any]], int] | int | None = None,
    warmup: Callable[[Mapping[str, Any]], int] | int,
    source: str,
    cumulative: bool = False,
    cost: Literal["linear", "window"] = "linear",
    scope: Literal["symbol", "universe"] = "symbol",
    annualised: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as an indicator; see the module's docstring for its signature.

    `lookback` defaults to `warmup` minus one (a window of n bars has its first value at index n - 1).
    """

    def constant(value: Callable[[Mapping[str, Any]], int] | int) -> Callable[[Mapping[str, Any]], int]:
        return value if callable(value) else lambda _: value

    needed = constant(warmup)
    first = constant(lookback) if lookback is not None else lambda p: max(needed(p) - 1, 0)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        defaults = {p.name: p.accept(name, p.default) for p in params}
        try:
            needed(defaults), first(defaults)
        except KeyError as missing:
            raise IndicatorParameterError(
                f"Expected the warm-up and lookback of {name!r} to read its parameters ({', '.join(defaults) or 'none'}), was {missing}; "
                "nothing was registered; correct the name."
            ) from None
        text = (function.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        register(
            Indicator(
                name, family, tuple(inputs), tuple(params), tuple(outputs), first, needed, source, function,
                " ".join(text.split()), cumulative, cost, scope, annualised,
            )
        )  # fmt: skip
        return function

    return decorate


def unregister(name: str) -> None:
    """Take an entry of one's own out again; unknown names are an error."""
    spec(name)
    del _REGISTRY[name]


def names() -> tuple[str, ...]:
    """Every catalog name, sorted."""
    _load()
    return tuple(sorted(_REGISTRY))


def spec(name: str) -> Indicator:
    """The entry of that name; UnknownIndicatorError names near matches."""
    _load()
    try:
        return _REGISTRY[name]
    except KeyError:
        raise UnknownIndicatorError(
            f"Expected an indicator of the catalog, was {name!r}{_near(str(name), tuple(_REGISTRY))}; catalog() lists all {len(_REGISTRY)}."
        ) from None


def catalog() -> pd.DataFrame:
    """Every entry, one row each, sorted by family and name.

    Columns: ``name, family, inputs`` (tuple), ``params`` (dict: name -> default, low, high, scale), ``outputs``
    (dict: name -> unit, low, high), ``lookback`` and ``warmup`` (bars, with default parameters), ``requires`` (tuple of
    optional fields), ``series`` (tuple of named series it reads), ``source, cumulative, cost, scope, description``.
    """
    import pandas as pd

    rows = []
    for entry in sorted((_REGISTRY[name] for name in names()), key=lambda item: (item.family, item.name)):
        defaults = entry.values(())
        rows.append(
            {
                "name": entry.name,
                "family": entry.family,
                "inputs": entry.inputs,
                "params": {p.name: {"default": p.default, "low": p.low, "high": p.high, "scale": p.scale} for p in entry.params},
                "outputs": {o.name: {"unit": o.unit, "low": o.low, "high": o.high} for o in entry.outputs},
                "lookback": entry.lookback(defaults),
                "warmup": entry.warmup(defaults),
                "requires": entry.requires,
                "series": entry.named_inputs,
                "source": entry.source,
                "cumulative": entry.cumulative,
                "cost": entry.cost,
                "scope": entry.scope,
                "description": entry.description,
            }
        )
    return pd.DataFrame(rows)
