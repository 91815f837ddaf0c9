"""Text classifiers of the FinBERT kind (D. Araci, 2019), loaded through `transformers` from a folder or by hub name.

What belongs here: loading, batching, and reading labels as sentiment. What does not: training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strategy_pipeline.errors import CorruptFileError, MissingExtraError

Array = np.ndarray
_GOOD = ("positive", "pos", "bullish", "bull", "good", "buy", "up")
_BAD = ("negative", "neg", "bearish", "bear", "bad", "sell", "down")
_NEITHER = ("neutral", "neu", "none", "mixed", "hold", "flat")


class TransformerScorer:
    """P(positive) - P(negative) of a sequence classifier.

    Parameters
    ----------
    model : folder that `save_pretrained` wrote (model and tokenizer), or a name on the Hugging Face hub, which is
        downloaded by transformers into its own cache on first use. A path that exists is read without the network.
    batch : texts at a time; longest : tokens read of each text

    Texts are scored in order of length, so that a batch holds little padding; the result does not depend on the batch
    beyond float32 rounding. Labels are read from the model's ``id2label``.

    Raises
    ------
    MissingExtraError, CorruptFileError
    """

    def __init__(self, model: str | Path, *, batch: int = 32, longest: int = 256) -> None:
        try:
            import transformers
        except ImportError as error:
            raise MissingExtraError(
                f"Expected the package transformers for sentiment_model={str(model)!r}, was not installed; "
                "install it with `pip install strategy-pipeline[sentiment]`, or unset sentiment_model"
            ) from error
        self.name = f"transformers:{Path(model).name}"
        self._batch = batch
        local = Path(model).is_dir()
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=local)
            self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(model), local_files_only=local)
        except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise CorruptFileError(
                f"Expected a text classifier (model and tokenizer) at {str(model)!r}, was unreadable ({reason}); "
                "texts cannot be scored; give a folder written by save_pretrained, or a hub name"
            ) from error
        self._model.eval()
        positions = int(getattr(self._model.config, "max_position_embeddings", longest) or longest)
        self._longest = max(8, min(longest, positions - 2))
        self._sign = label_signs(self._model.config.id2label, str(model))

    def __call__(self, texts: Sequence[str]) -> Array:
        """Scores, float64 (n,); NaN for an empty text."""
        import torch

        scores = np.full(len(texts), np.nan)
        wanted = sorted((i for i, text in enumerate(texts) if text.strip()), key=lambda i: (len(texts[i]), i))
        for low in range(0, len(wanted), self._batch):
            rows = wanted[low : low + self._batch]
            tokens = self._tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
            with torch.inference_mode():
                probability = torch.softmax(self._model(**tokens).logits.double(), dim=-1).numpy()
            scores[rows] = probability @ self._sign
        return scores


def label_signs(labels: Mapping[int, str], model: str) -> Array:
    """+1, -1 or 0 per class, from its label; stars ("1 star" to "5 stars") run from -1 to 1.

    CorruptFileError where a label is none of these, or no class is good or none is bad.
    """
    names = [str(labels[k]).strip().lower() for k in sorted(labels, key=int)]
    if all(name.split()[-1] in ("star", "stars") and name.split()[0].isdigit() for name in names if name) and len(names) > 1:
        return np.linspace(-1.0, 1.0, len(names))[np.argsort(np.argsort([int(name.split()[0]) for name in names]))]
    signs = [1.0 if name in _GOOD else -1.0 if name in _BAD else 0.0 if name in _NEITHER else np.nan for name in names]
    if np.isnan(signs).any() or 1.0 not in signs or -1.0 not in signs:
        raise CorruptFileError(
            f"Expected the labels of {model!r} to name good and bad (positive, negative, neutral), was {', '.join(names)}; "
            "scores would have no sign; set id2label in its config.json"
        )
    return np.array(signs)
