"""Sentiment of texts in [-1, 1], and tables of texts made ready to read: scored, and matched to assets.

What belongs here: which scorer is used, and `scored`. What does not: where texts come from (`market/`), the words
(`lexicon`, `finance`), trained classifiers (`classifier`), what a stream of scores says (`streams`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd

from strategy_pipeline.features.entities import EntityMatcher
from strategy_pipeline.features.finance import finance_score

Array = np.ndarray


class TextScorer(Protocol):
    """Scores texts: float64 in [-1, 1], negative is bad; NaN for an empty text. `name` goes where results are recorded."""

    @property
    def name(self) -> str: ...

    def __call__(self, texts: Sequence[str]) -> Array: ...


class LexiconScorer:
    """The embedded default: VADER with words, phrases and directions of finance and crypto."""

    name = "lexicon"

    def __call__(self, texts: Sequence[str]) -> Array:
        return score_text(texts)


def text_scorer(model: str | None = None) -> TextScorer:
    """The scorer that a setting names: None is the lexicon, else the folder or hub name of a text classifier.

    Raises
    ------
    MissingExtraError
        A model is named and transformers is not installed.
    CorruptFileError
        The folder holds no classifier, or one whose labels cannot be read as sentiment.
    """
    if model is None:
        return LexiconScorer()
    from strategy_pipeline.features.classifier import TransformerScorer

    return TransformerScorer(model)


# Headlines repeat from day to day as the matrix is built anew.
_remembered = lru_cache(maxsize=200_000)(finance_score)


@lru_cache(maxsize=1)
def _plain() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def score_text(texts: Sequence[str]) -> Array:
    """The embedded score of each text (`finance.finance_score`), float64 in [-1, 1]; NaN for an empty one."""
    return np.array([_remembered(text.strip()) for text in texts], dtype=np.float64)


def vader_score(texts: Sequence[str]) -> Array:
    """Plain VADER's compound score (C. Hutto and E. Gilbert, 2014), to compare with; NaN for an empty text."""
    return np.array([_plain().polarity_scores(text)["compound"] if text.strip() else np.nan for text in texts], dtype=np.float64)


def scored(frame: pd.DataFrame, *, matcher: EntityMatcher | None = None, scorer: TextScorer | None = None) -> pd.DataFrame:
    """Texts as (available_at datetime64[ns], asset, assets, score), in order of `available_at`.

    Parameters
    ----------
    frame : a news or social table
    matcher : finds the assets of texts that the source gave none ("" is the whole market); None finds none
    scorer : scores the texts without a score of their own (which is kept); None is the lexicon

    ``assets`` is the tuple of base currencies that a text counts for: the source's own, or those it mentions.
    """
    moments = frame["available_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    score = frame["score"].to_numpy(dtype=np.float64, copy=True)
    asset = frame["asset"].fillna("").astype("str").str.upper().to_numpy()
    texts = _texts(frame)
    missing = np.flatnonzero(~np.isfinite(score))
    if len(missing):
        score[missing] = (scorer or LexiconScorer())([texts[i] for i in missing])
    assets: list[tuple[str, ...]] = [(name,) if name else () for name in asset]
    unnamed = np.flatnonzero(asset == "")
    if matcher is not None and len(unnamed):
        for i, found in zip(unnamed, matcher.match_all(texts[i] for i in unnamed), strict=True):
            assets[i] = found
    table = pd.DataFrame({"available_at": moments, "asset": asset, "score": np.clip(score, -1, 1)})
    table["assets"] = pd.Series(assets, index=table.index, dtype=object)
    return table.sort_values("available_at", kind="stable", ignore_index=True)


def _texts(frame: pd.DataFrame) -> list[str]:
    """Title and text of each row as one text."""
    text = frame["text"].fillna("").astype("str")
    if "title" in frame:
        text = frame["title"].fillna("").astype("str") + ". " + text
    return text.str.strip(". ").tolist()
