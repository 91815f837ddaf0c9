"""The strategy leaderboard: every strategy of a day with the evidence for it, or the absence of evidence."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError

LEADERBOARD_COLUMNS = (
    "day", "rank", "strategy_id", "family", "text", "state", "sharpe_train", "sharpe_validation", "sharpe_low", "sharpe_high",
    "t_stat", "dsr", "pbo", "gross_p", "stepm_p", "verdict", "trades", "reasons",
)  # fmt: skip
VERDICTS = ("promoted", "watchlist", "rejected", "not_looked_at")
# Column of the leaderboard -> the names under which metrics and evidence may hold it.
_SOURCES = {
    "sharpe_train": ("sharpe_train", "train_sharpe"),
    "sharpe_validation": ("sharpe_validation", "sharpe"),
    "sharpe_low": ("sharpe_low",),
    "sharpe_high": ("sharpe_high",),
    "t_stat": ("t_stat", "t_statistic"),
    "dsr": ("dsr",),
    "pbo": ("pbo",),
    "gross_p": ("gross_p", "gross_p_value"),
    "stepm_p": ("stepm_p", "stepm_p_value"),
}


def strategy_ranking(metrics: pd.DataFrame, evidence: pd.DataFrame, *, day: dt.date, states: dict[str, str] | None = None) -> pd.DataFrame:
    """Rank strategies by verdict, then by out-of-sample Sharpe ratio, then by that of training.

    Parameters
    ----------
    metrics : one row per strategy: ``strategy_id`` (column or index), ``family``, ``text``, and where known
        ``trades`` and ``sharpe_train`` (annual)
    evidence : one row per strategy that was looked at, as `selection.Evidence.as_row` gives; may be empty
    day : the day ranked
    states : strategy id -> state in the book; others are ``candidate``

    Returns
    -------
    DataFrame of `LEADERBOARD_COLUMNS`, best first; ``day`` datetime64[ns, UTC], ``rank`` and ``trades`` int64
    (0 trades where unknown), ratios float64, NaN where nothing was measured. ``verdict`` is one of `VERDICTS`:
    a strategy outside `evidence` was never looked at on validation and has no out-of-sample number. A
    strategy in evidence but not in `metrics` is an error (MissingColumnError names the id).
    """
    table = metrics.reset_index() if "strategy_id" in metrics.index.names else metrics.reset_index(drop=True)
    _require(table, ("strategy_id", "family", "text"), "metrics")
    table = table.set_index("strategy_id")
    looked = evidence.set_index("strategy_id") if len(evidence) else pd.DataFrame(columns=["verdict", "reasons"])
    unknown = [str(key) for key in looked.index if key not in table.index]
    if unknown:
        raise MissingColumnError(f"Expected metrics of every strategy with evidence, was without {unknown[0]}; rank them from the same day")
    frame = pd.DataFrame(index=table.index)
    for name, sources in _SOURCES.items():
        # The evidence's own figure first; only the training Sharpe ratio exists for all.
        found = pd.Series(np.nan, index=frame.index)
        for source in (looked, *([table] if name == "sharpe_train" else [])):
            column = next((column for column in sources if column in source.columns), None)
            if column is not None:
                found = found.fillna(source[column].reindex(frame.index).astype(float))
        frame[name] = found
    frame["verdict"] = looked["verdict"].reindex(frame.index).fillna("not_looked_at") if len(looked) else "not_looked_at"
    frame["reasons"] = looked["reasons"].reindex(frame.index).fillna("") if "reasons" in looked.columns and len(looked) else ""
    frame["family"], frame["text"] = table["family"], table["text"]
    frame["trades"] = pd.to_numeric(table["trades"]).fillna(0).astype(np.int64) if "trades" in table.columns else np.int64(0)
    frame["state"] = [(states or {}).get(str(key), "candidate") for key in frame.index]
    frame = frame.reset_index()
    keys = (
        frame["strategy_id"].to_numpy(dtype=str),
        -_low(frame["sharpe_train"]),
        -_low(frame["sharpe_validation"]),
        frame["verdict"].map({name: position for position, name in enumerate(VERDICTS)}).to_numpy(),
    )
    frame = frame.iloc[np.lexsort(keys)].reset_index(drop=True)
    frame["rank"] = np.arange(1, len(frame) + 1, dtype=np.int64)
    frame["day"] = pd.Series(pd.Timestamp(day, tz="UTC"), index=frame.index, dtype="datetime64[ns, UTC]")
    text = ["strategy_id", "family", "text", "state", "verdict", "reasons"]
    return frame.astype(dict.fromkeys(text, "str"))[list(LEADERBOARD_COLUMNS)]


def _low(values: pd.Series) -> np.ndarray:
    """NaN ranks below every number; rounded so that noise in the last digit orders nothing."""
    return np.nan_to_num(values.round(12).to_numpy(dtype=float), nan=-1e300)


def _require(frame: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise MissingColumnError(f"Expected {what} with {', '.join(columns)}, was without {', '.join(missing)}; add them")
