"""One indicator on some bars, in one call.

What belongs here: `compute`. What does not: evaluating many at once (`bank`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from strategy_pipeline.errors import UnknownIndicatorError
from strategy_pipeline.indicators.bank import Bank
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.indicators.registry import FIELDS, spec

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars

Array = np.ndarray


def compute(name: str, bars: Bars, **params: Any) -> Array | dict[str, Array]:
    """One indicator of the catalog on `bars`.

    Parameters
    ----------
    name : str
        A catalog name.
    bars : Bars
    **params
        Parameters by name (others take their defaults); `series` / `other`: a field's name, a value expression or an
        array (n_symbols, n_bars); `output` to get one of several; `timeframe` to compute on a higher one; `named`: the
        named series that the entry reads (`spec(name).named_inputs`), as `Bank` takes them.

    Returns
    -------
    float64 ndarray of shape (n_symbols, n_bars), or a dict of them by output name where there are several.

    Raises
    ------
    UnknownIndicatorError (near matches named), IndicatorParameterError, MissingColumnError (names the absent field).
    """
    entry = spec(name)
    output = params.pop("output", None)
    timeframe = params.pop("timeframe", None)
    named: dict[str, Array] = dict(params.pop("named", None) or {})
    inputs: list[Value] = []
    bank = Bank(bars, workers=1)
    for role, default in zip(entry.expression_inputs, bank._default_inputs(entry), strict=True):
        given = params.pop(role, None)
        if given is None:
            inputs.append(default)
        elif isinstance(given, (Number, Series, Arithmetic)):
            inputs.append(given)
        elif isinstance(given, str):
            if given not in FIELDS:
                raise UnknownIndicatorError(
                    f"Expected {role} to be a price field ({', '.join(FIELDS)}), an expression or an array, was {given!r}."
                )
            inputs.append(Series(given))
        else:
            named[f"given.{role}"] = given
            inputs.append(Series(f"given.{role}"))
    values = {parameter.name: parameter.default for parameter in entry.params}
    for key, value in params.items():
        values[entry.parameter(key).name] = value
    for parameter in entry.params:
        parameter.accept(name, values[parameter.name])
    bank = Bank(bars, series=named, workers=1) if named else bank
    node = Series(name, tuple(inputs), tuple(float(value) for value in values.values()), None, timeframe)
    if output is not None or len(entry.outputs) == 1:
        return bank.evaluate(replace(node, output=output))
    arrays = bank.evaluate_many([replace(node, output=each) for each in entry.output_names])
    return dict(zip(entry.output_names, arrays, strict=True))
