"""What a stream of scored texts says at a moment: decayed score, mean, buzz, dispersion, surprise.

What belongs here: functions of moments, scores and closes. What does not: scoring a text (`sentiment`), whose it is
(`entities`).

Everywhere: `moments` are the sorted datetime64[ns] (n,) at which each text could be known, `scores` float64 (n,),
`closes` sorted datetime64[ns] (n_bars,). A text counts from the first close not before its moment.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray
DAY = np.timedelta64(86_400 * 10**9, "ns")


@njit(cache=True, nogil=True)
def _decayed(weight: Array, total: Array, keep: Array) -> Array:
    """Weighted mean carried bar to bar; NaN while what is left of the weight is under a thousandth of one text."""
    out = np.full(len(weight), np.nan)
    held = 0.0
    sum_ = 0.0
    for i in range(len(weight)):
        held = held * keep[i] + weight[i]
        sum_ = sum_ * keep[i] + total[i]
        if held > 1e-3:
            out[i] = sum_ / held
    return out


def decayed_score(moments: Array, scores: Array, closes: Array, half_life: np.timedelta64) -> Array:
    """Mean score as of each close, a text's weight halving every `half_life`.

    NaN where nothing recent (about ten half-lives) was written; texts without a score do not count.
    """
    usable = np.isfinite(scores)
    moments, scores = moments[usable], scores[usable]
    bar = np.searchsorted(closes, moments)
    inside = bar < len(closes)
    moments, scores, bar = moments[inside], scores[inside], bar[inside]
    weights = 0.5 ** ((closes[bar] - moments) / half_life)
    weight = np.bincount(bar, weights=weights, minlength=len(closes)).astype(np.float64)
    total = np.bincount(bar, weights=weights * scores, minlength=len(closes)).astype(np.float64)
    keep = np.ones(len(closes))
    keep[1:] = 0.5 ** ((closes[1:] - closes[:-1]) / half_life)
    return _decayed(weight, total, keep)


def buzz(moments: Array, closes: Array, span: np.timedelta64 = DAY, past: int = 30) -> Array:
    """ln((1 + texts in the last `span`) / (1 + their mean over the `past` spans before)); NaN until there is a past.

    Counts texts known by each close, whatever their score.
    """
    known = np.searchsorted(moments, closes, side="right")
    before = np.searchsorted(moments, closes - span, side="right")
    long_before = np.searchsorted(moments, closes - span * (past + 1), side="right")
    ratio = np.log1p(known - before) - np.log1p((before - long_before) / past)
    has_past = (closes - span * (past + 1) >= moments[0]) if len(moments) else np.zeros(len(closes), dtype=bool)
    return np.where(has_past, ratio, np.nan)


def windowed_mean(when: Array, scores: Array, closes: Array, window: np.timedelta64) -> Array:
    """Mean score of the texts that became available in (close - window, close], float64 (n_bars,); 0 where there is none.

    `when` (datetime64[ns], ascending) and `scores` belong together.
    """
    total = np.concatenate([[0.0], np.cumsum(scores)])
    last = np.searchsorted(when, closes, side="right")
    first = np.searchsorted(when, closes - window, side="right")
    return np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), 0.0)


def window_moments(
    moments: Array, scores: Array, closes: Array, window: np.timedelta64, ends: np.timedelta64 | None = None
) -> tuple[Array, Array, Array]:
    """Count, mean and sample deviation of the scores that became known in (close - window, close - ends].

    Each (n_bars,) float64; the mean of none and the deviation of fewer than two are NaN. Texts without a score do not count.
    """
    usable = np.isfinite(scores)
    moments, scores = moments[usable], scores[usable]
    # Sums of squares of values within [-1, 1] lose nothing that matters to a deviation of the same size.
    total = np.concatenate([[0.0], np.cumsum(scores)])
    squares = np.concatenate([[0.0], np.cumsum(scores * scores)])
    last = np.searchsorted(moments, closes if ends is None else closes - ends, side="right")
    first = np.minimum(np.searchsorted(moments, closes - window, side="right"), last)
    count = (last - first).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(count > 0, (total[last] - total[first]) / count, np.nan)
        variance = np.where(count > 1, (squares[last] - squares[first] - count * mean**2) / (count - 1), np.nan)
    return count, mean, np.sqrt(np.maximum(variance, 0.0))


def dispersion(moments: Array, scores: Array, closes: Array, window: np.timedelta64 = DAY) -> Array:
    """Sample deviation of the scores of the last `window`: how much writers disagree. NaN with fewer than two texts."""
    return window_moments(moments, scores, closes, window)[2]


def surprise(moments: Array, scores: Array, closes: Array, window: np.timedelta64 = DAY, past: int = 30, least: int = 5) -> Array:
    """(mean score of the last `window` - mean of the `past` windows before) over its standard error under that past.

    A z-score, clipped at plus and minus 10: the news against what news of this asset has been like, given how many texts
    there are. NaN without news in the window, or with fewer than `least` texts in the past.
    """
    count, mean, _ = window_moments(moments, scores, closes, window)
    earlier, usual, deviation = window_moments(moments, scores, closes, window * (past + 1), window)
    known = (count > 0) & (earlier >= least) & (deviation > 1e-9)
    error = np.where(known, deviation, 1.0) * np.sqrt(1.0 / np.where(known, count, 1.0) + 1.0 / np.where(known, earlier, 1.0))
    return np.where(known, np.clip((mean - usual) / error, -10.0, 10.0), np.nan)
