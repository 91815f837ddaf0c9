"""False-discovery-rate control: of what is called a discovery, the expected share that is luck stays below a level.

Where the family-wise tests (`stepwise`) ask that hardly ever anything be luck, these ask that most of it be real: the
right question for which families of rules deserve a closer look, not for what gets capital. They take p-values, one a
strategy, such as `one_sided_p_values` gives.

References: Benjamini and Hochberg (1995), "Controlling the false discovery rate"; Benjamini and Yekutieli (2001), "The
control of the false discovery rate in multiple testing under dependency"; Simes (1986), "An improved Bonferroni
procedure"; Benjamini and Bogomolov (2014), "Selective inference on multiple families of hypotheses".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import moments, t_statistic

Method = Literal["bh", "by"]


def one_sided_p_values(returns: ArrayLike) -> NDArray[np.float64]:
    """p-value of each column's mean not being above zero, from Student's t: (n_strategies,), NaN where there is no t statistic.

    It leaves serial correlation out, as `t_statistic` does.
    """
    from scipy.stats import t

    count, *_ = moments(returns)
    return np.asarray(t.sf(t_statistic(returns), np.maximum(count - 1, 1)), dtype=np.float64)


def adjusted_p_values(p_values: ArrayLike, method: Method = "by") -> NDArray[np.float64]:
    """p-values adjusted so that calling those at most q discoveries keeps the false-discovery rate at q.

    p_values
        (n,), each in [0, 1]; a NaN is not tested, not counted, and stays NaN.
    method
        ``bh`` (Benjamini and Hochberg 1995): independent or positively dependent tests. ``by`` (Benjamini and Yekutieli
        2001): any dependence, by the factor ``1 + 1/2 + ... + 1/n``; longs and shorts of one market need it.
    """
    if method not in ("bh", "by"):
        raise InvalidReturnsError(f"Expected a method of bh or by, was {method!r}; by holds under any dependence")
    given = np.asarray(p_values, dtype=np.float64)
    if given.ndim != 1 or np.any((given < 0) | (given > 1)):
        raise InvalidReturnsError(f"Expected p-values of shape (n,) in [0, 1], was shape {given.shape}; one p-value a strategy")
    adjusted = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    n = len(tested)
    if not n:
        return adjusted
    factor = float((1.0 / np.arange(1, n + 1)).sum()) if method == "by" else 1.0
    order = tested[np.argsort(given[tested], kind="stable")]
    raised = given[order] * n * factor / np.arange(1, n + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return adjusted


@dataclass(frozen=True)
class FamilyDiscoveries:
    """What false-discovery-rate control across families says.

    families
        One row a family: family, strategies (tested), p_value (Simes: that nothing in the family works), adjusted (over
        families), selected.
    discoveries
        bool (n,): strategies of selected families that pass within their own.
    level
        As asked: the expected share of false ones, averaged over the selected families, is at most this.
    """

    families: pd.DataFrame
    discoveries: NDArray[np.bool_]
    level: float


def family_discoveries(
    p_values: ArrayLike, families: Sequence[str], *, level: float = 0.10, across: Method = "by", within: Method = "by"
) -> FamilyDiscoveries:
    """Which families hold anything, and which of their strategies (Benjamini and Bogomolov 2014).

    Families are tested by their Simes p-values at `level`; in the R selected of m, strategies are tested at
    ``level * R / m``, which pays for having chosen the families by the same data. NaN p-values are not tested.
    """
    given = np.asarray(p_values, dtype=np.float64)
    names = np.asarray([str(family) for family in families], dtype=object)
    if given.shape != names.shape:
        raise InvalidReturnsError(f"Expected one family per p-value, was {len(names)} for {given.size}; pass them in the same order")
    if not 0 < level < 1:
        raise InvalidReturnsError(f"Expected a level between 0 and 1, was {level}; 0.10 is customary")
    inside = {name: adjusted_p_values(given[names == name], within) for name in sorted(set(names))}
    own = {name: given[names == name] for name in inside}
    # Simes' p-value is the smallest Benjamini-Hochberg adjusted one of the family.
    simes = [_smallest(adjusted_p_values(own[name], "bh")) for name in inside]
    adjusted = adjusted_p_values(np.array(simes), across)
    selected = adjusted <= level
    tested = int(np.isfinite(adjusted).sum())
    bound = level * selected.sum() / max(tested, 1)
    found = np.zeros(len(given), dtype=bool)
    for name, chosen in zip(inside, selected, strict=True):
        if chosen:
            found[names == name] = inside[name] <= bound
    frame = pd.DataFrame(
        {"family": pd.Series(list(inside), dtype="str"), "strategies": [int(np.isfinite(own[name]).sum()) for name in inside],
         "p_value": simes, "adjusted": adjusted, "selected": selected}
    )  # fmt: skip
    return FamilyDiscoveries(frame, found, level)


def _smallest(values: NDArray[np.float64]) -> float:
    return float(np.nanmin(values)) if np.isfinite(values).any() else float("nan")
