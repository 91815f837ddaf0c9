"""Accuracy of the embedded sentiment score on sentences labelled by people, against plain VADER.

    python benchmarks/sentiment.py DATA                  DATA holds sentiment_phrasebank.parquet
    python benchmarks/sentiment.py DATA --model FOLDER   also a classifier loaded through transformers

The sentences (P. Malo et al., 2014, Financial PhraseBank) are about companies, not crypto; a quarter of them, those whose
SHA-256 begins with a byte under 64, was read while the rules were written (development), and the other three quarters
were not: what is claimed is the accuracy on those. Words and valences come from general knowledge, none was fitted to
labels. Both scores are cut at plus and minus 0.05, VADER's own convention; "best cut" is the cut in [0.05, 0.5] that was best
on the development quarter, chosen for each alike, so that the difference is not one of cuts.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

import numpy as np
import pandas as pd

from strategy_pipeline.features.sentiment import score_text, text_scorer, vader_score

CUTS = np.arange(0.05, 0.51, 0.05)


def classes(scores: np.ndarray, cut: float) -> np.ndarray:
    """-1, 0 or 1 by the cut."""
    return np.where(scores >= cut, 1, np.where(scores <= -cut, -1, 0))


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the three classes of the harmonic mean of precision and recall."""
    found = []
    for label in (-1, 0, 1):
        hit = np.sum((truth == label) & (predicted == label))
        found.append(2 * hit / max(np.sum(truth == label) + np.sum(predicted == label), 1))
    return float(np.mean(found))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--model", default=None)
    given = options.parse_args()
    bank = pd.read_parquet(given.data / "sentiment_phrasebank.parquet")
    truth = bank["label"].map({"negative": -1, "neutral": 0, "positive": 1}).to_numpy()
    read = np.array([hashlib.sha256(text.encode()).digest()[0] < 64 for text in bank["text"]])
    scorers = {"VADER": vader_score, "lexicon": score_text}
    if given.model:
        scorers[Path(given.model).name] = text_scorer(given.model)
    rows = []
    for name, scorer in scorers.items():
        started = time.perf_counter()
        scores = scorer(bank["text"].tolist())
        each = (time.perf_counter() - started) / len(bank)
        best = max(CUTS, key=lambda cut: np.mean(classes(scores, cut)[read] == truth[read]))
        for part, rows_of in (
            ("development", read),
            ("held out", ~read),
            ("held out, all agree", ~read & (bank["agree"] == 100).to_numpy()),
        ):
            said = classes(scores, 0.05)[rows_of]
            rows.append(
                {
                    "scorer": name, "sentences": part, "n": int(rows_of.sum()), "accuracy": np.mean(said == truth[rows_of]),
                    "macro F1": macro_f1(truth[rows_of], said),
                    "accuracy, best cut": np.mean(classes(scores, best)[rows_of] == truth[rows_of]),
                    "best cut": best, "ms a text": 1e3 * each,
                }
            )  # fmt: skip
    majority = max(np.mean(truth[~read] == label) for label in (-1, 0, 1))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(f"always the commonest class, held out: {majority:.3f}")


if __name__ == "__main__":
    main()
