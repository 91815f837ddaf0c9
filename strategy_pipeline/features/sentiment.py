"""Sentiment of texts, and what a stream of scored texts says at a moment.

What belongs here: scoring a text in [-1, 1], decay-weighted means and buzz as of each close. What does not: where
texts come from (`market/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numba import njit

Array = np.ndarray
DAY = np.timedelta64(86_400 * 10**9, "ns")


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def score_text(texts: Sequence[str]) -> Array:
    """VADER's compound score (C. Hutto and E. Gilbert, 2014) of each text, float64 in [-1, 1]; NaN for an empty one."""
    analyzer = _analyzer()
    known: dict[str, float] = {}
    scores = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        text = text.strip()
        if text:
            if text not in known:
                known[text] = analyzer.polarity_scores(text)["compound"]
            scores[i] = known[text]
    return scores


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts as (available_at datetime64[ns], asset, score), in order of `available_at`; a score of their own is kept.

    `frame` is a news or social table. Rows without a score get VADER's on title and text.
    """
    moments = frame["available_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    score = frame["score"].to_numpy(dtype=np.float64, copy=True)
    missing = np.flatnonzero(~np.isfinite(score))
    if len(missing):
        rows = frame.iloc[missing]
        title = rows["title"].fillna("").astype(str) if "title" in rows else pd.Series("", index=rows.index)
        text = rows["text"].fillna("").astype(str)
        score[missing] = score_text((title + ". " + text).str.strip(". ").tolist())
    table = pd.DataFrame(
        {"available_at": moments, "asset": frame["asset"].fillna("").astype(str).to_numpy(), "score": np.clip(score, -1, 1)}
    )
    return table.sort_values("available_at", kind="stable", ignore_index=True)


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

    moments: sorted datetime64[ns] (n,) at which each text could be known. closes: sorted datetime64[ns] (n_bars,). A text
    counts from the first close not before its moment. NaN where nothing recent (about ten half-lives) was written.
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
