"""`Workspace`: everything the stages of one universe read and write.

A *universe* is one market as the settings see it (source, symbols, timeframe, history, profile, seed). Each
has its own folder under the home, so that a sample run and a run on real bars never mix, and one shared
Dagster instance beside them shows both.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import records
from strategy_pipeline.errors import FutureDateError, MissingInputError, NoDataError, SettingsError, UnknownSymbolError
from strategy_pipeline.market import Bars, MarketSource, open_source, timeframes
from strategy_pipeline.store import DocumentStore, Lake, State, open_documents

if TYPE_CHECKING:
    from strategy_pipeline.backtest import Costs
    from strategy_pipeline.forecasting import Registry

DAY = dt.timedelta(days=1)
# What tells one market from another. Limits, costs, population and the like may change without losing the book.
_IDENTITY = (
    "source", "data", "venue", "exchange", "symbols", "timeframe", "history_from", "profile", "feature_set", "seed", "live",
    "sentiment_model",
)  # fmt: skip

_BEGINNING = "beginning.json"

Observer = Callable[[str, str, Any], None]


class Workspace:
    """Opens what the settings name, each on first use; nothing is written before a stage runs.

    Raises UnwritableHomeError, StateVersionError, SettingsError where the home or the settings forbid work.
    """

    def __init__(self, settings: Settings) -> None:
        if timeframes.is_finer("1d", settings.timeframe):
            raise SettingsError(
                f"Expected a timeframe of at most 1d for the daily cycle, was {settings.timeframe}: its bars close after the day they "
                f"open on; pass --timeframe 1d (rules and features may still read coarser ones)"
            )
        self.settings = settings
        # Called as observer(stage, "start" | "done" | "failed", None | StageReport | error): a progress display.
        self.observer: Observer = lambda stage, event, what: None
        self._memory: dict[tuple[Any, ...], Any] = {}

    # ---- where things are ------------------------------------------------------------------------------------

    @cached_property
    def universe(self) -> str:
        """Folder name of this market: readable, and distinct for distinct markets."""
        values = self.settings.model_dump(mode="json", include=set(_IDENTITY))
        if self.settings.market != "spot":
            values["market"] = self.settings.market
        if self.settings.data is not None:
            values["data"] = str(self.settings.data.resolve())
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.settings.source}-{self.settings.profile}-{self.settings.timeframe}-{digest}"

    @cached_property
    def state(self) -> State:
        return State(self.settings.home)

    @cached_property
    def folder(self) -> Path:
        _ = self.state  # checks the home's version and that it can be written
        return self.settings.home / "universes" / self.universe

    @cached_property
    def lake(self) -> Lake:
        base = self.settings.lake_url
        return Lake(f"{base.rstrip('/')}/{self.universe}" if base else str(self.folder.resolve() / "lake"))

    @cached_property
    def documents(self) -> DocumentStore:
        self.folder.mkdir(parents=True, exist_ok=True)
        database = f"{self.settings.cosmos_database}-{self.universe}"
        return open_documents(self.settings.model_copy(update={"home": self.folder, "cosmos_database": database}))

    @cached_property
    def source(self) -> MarketSource:
        return open_source(self.settings)

    @cached_property
    def registry(self) -> Registry:
        """The MLflow mirror of the trained models."""
        from strategy_pipeline.forecasting import Registry

        uri = self.settings.mlflow_tracking_uri or f"sqlite:///{(self.settings.home / 'mlflow.sqlite').resolve()}"
        artifacts = None if self.settings.mlflow_tracking_uri else self.settings.home / "mlartifacts"
        return Registry(uri, artifacts)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the home's lock; HomeLockedError when another process works on it. Threads of one process take
        turns, and a thread that holds it may take it again."""
        mutex = _mutex_of(self.settings.home.resolve())
        with mutex.threads:
            if mutex.depth == 0:
                mutex.process = self.state.lock(self.universe)
                mutex.process.__enter__()
            mutex.depth += 1
            try:
                yield
            finally:
                mutex.depth -= 1
                if mutex.depth == 0:
                    mutex.process.__exit__(None, None, None)

    # ---- which market ----------------------------------------------------------------------------------------

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The settings' symbols, or the source's own (the sample market: as many as the profile says)."""
        if self.settings.symbols:
            return self.settings.symbols
        held = self.source.symbols()
        return held[: self.settings.sizes.symbols] if self.source.simulated else held

    @property
    def timeframe(self) -> str:
        return self.settings.timeframe

    def start(self, day: dt.date) -> pd.Timestamp:
        """First moment of history for a run of `day`: the settings', else where this universe's first run began.

        A start that moved with the day would train every model anew each month and change what past days said.
        """
        # Asking creates nothing: a mistake found before the first stage leaves no folder behind.
        made = self.settings.lake_url is not None or (self.settings.home / "universes" / self.universe).exists()
        if self.settings.history_from is None and made and self.lake.exists(_BEGINNING):
            return pd.Timestamp(json.loads(self.lake.read_bytes(_BEGINNING))["history_from"], tz="UTC")
        return pd.Timestamp(self.settings.start_of_history(day), tz="UTC")

    def fix_start(self, day: dt.date) -> None:
        """Keeps the start of history that the universe's first run uses, for all later ones."""
        if not self.lake.exists(_BEGINNING):
            self.lake.write_bytes(_BEGINNING, json.dumps({"history_from": str(self.start(day).date())}).encode())

    def close(self, day: dt.date) -> pd.Timestamp:
        """The moment a day ends: midnight UTC of the next."""
        return pd.Timestamp(day + DAY, tz="UTC")

    def known_until(self, day: dt.date) -> pd.Timestamp:
        """End of the half-open range of ``ts`` that a day may know: a row stamped with the close itself is known at the close."""
        return self.close(day) + pd.Timedelta(1, "ns")

    def check_day(self, day: dt.date, *, now: pd.Timestamp) -> None:
        """FutureDateError for a day that is not over, NoDataError for one before history; before anything is written."""
        if self.close(day) > now:
            last = (now.normalize() - pd.Timedelta(days=1)).date()
            raise FutureDateError(
                f"Expected a day that is over (UTC), was {day}; nothing about it can be known yet: pass --date {last} or earlier"
            )
        if self.start(day).date() >= day:
            raise NoDataError(f"Expected history before {day}, was a start at {self.start(day).date()}; pass an earlier --history-from")

    def last_day(self, *, now: pd.Timestamp) -> dt.date:
        """The newest day that is over and that the source has complete bars of.

        Simulated and live sources have every day up to `now`; files end where their bars end.
        """
        yesterday = (now.normalize() - pd.Timedelta(days=1)).date()
        if self.source.name in ("sample", "ccxt"):
            return yesterday
        frame = self.source.bars(self.timeframe, self.symbols, None, None)
        opens = np.array([frame["ts"].max().tz_convert(None)], dtype="datetime64[ns]")
        last_close = pd.Timestamp(timeframes.close_times(opens, self.timeframe)[0])
        return min(yesterday, (last_close.normalize() - pd.Timedelta(days=1)).date())

    def source_daily(self, day: dt.date) -> pd.DataFrame | None:
        """The source's own daily bars of a day, None where it makes them from finer ones or has none."""
        stored = getattr(self.source, "stored_symbols", None)
        held = set(stored("1d")) if stored is not None else set()
        symbols = [symbol for symbol in self.symbols if symbol in held]
        if not symbols:
            return None
        try:
            return self.source.bars("1d", symbols, pd.Timestamp(day, tz="UTC"), self.close(day))
        except NoDataError:
            return None

    def check_symbols(self) -> None:
        """UnknownSymbolError for a symbol the source does not hold, with near matches; nothing is read or written."""
        held = self.source.symbols()
        for symbol in self.symbols:
            if symbol not in held:
                near = difflib.get_close_matches(symbol, held, n=3, cutoff=0.5) or list(held[:5])
                raise UnknownSymbolError(
                    f"Expected symbols of source {self.source.name}, was {symbol}; did you mean {', '.join(near)}? "
                    f"It holds {len(held)}: pass --symbols with some of them"
                )

    def check_source(self, day: dt.date) -> None:
        """NoDataError when the source has nothing of the day, CorruptFileError when it cannot be read.

        A day on which the market was closed is judged by the week that ends with it.
        """
        from strategy_pipeline.cycle import market

        days = 7 if market.closed(self.source, day) else 1
        self.source.bars(self.timeframe, self.symbols, self.close(day) - days * DAY, self.close(day))

    # ---- what the lake holds ---------------------------------------------------------------------------------

    @property
    def bars_table(self) -> str:
        return f"bars/{self.timeframe}"

    def bars(self, day: dt.date) -> Bars:
        """Clean bars from the start of history through the close of `day`. MissingInputError when the lake has none."""
        return self.remember(("bars", day), lambda: self._read_bars(day))

    def _read_bars(self, day: dt.date) -> Bars:
        start, end = self.start(day), self.close(day)
        frame = self.lake.scan(self.bars_table, start, end)
        if frame.empty:
            raise MissingInputError(
                f"Expected bars through {day} in the lake, was none; run the stage bars, or `strategy-pipeline run --date {day}`"
            )
        return Bars.from_frame(frame, self.timeframe, symbols=self.symbols, start=start, end=end, require_all=False)

    def observations(self, table: str, day: dt.date) -> pd.DataFrame:
        """Rows of an observation table from the start of history that could be known at the close of `day`."""
        frame = self.lake.scan(f"observations/{table}", None, self.known_until(day))
        return frame[frame["available_at"] <= self.close(day)].reset_index(drop=True) if len(frame) else frame

    def has_history_before(self, day: dt.date) -> bool:
        """Whether the lake already covers every day from the start of history to the day before `day`."""
        from strategy_pipeline.cycle import market

        return not market.missing_history(self, day)

    def models_due(self, day: dt.date) -> bool:
        """Whether models must be trained before `day` can be predicted."""
        from strategy_pipeline.cycle import fits

        return fits.due(self, day)

    def observed_digest(self, table: str, day: dt.date) -> str:
        """A digest of the rows of an observation table that could be known at the close of `day`, whatever their order."""
        return self._observed_digests(table, [day])[0]

    def _observed_digests(self, table: str, days: list[dt.date]) -> list[str]:
        frame = self.lake.scan(f"observations/{table}", None, self.known_until(days[-1]))
        if frame.empty:
            return ["0-0"] * len(days)
        content = pd.util.hash_pandas_object(frame, index=False).to_numpy(dtype=np.uint64)
        found = []
        for day in days:
            known = ((frame["ts"] < self.known_until(day)) & (frame["available_at"] <= self.close(day))).to_numpy()
            found.append(f"{int(known.sum())}-{int(content[known].sum(dtype=np.uint64)):016x}")
        return found

    def stale_after(self, day: dt.date) -> list[dt.date]:
        """Later days that were built on what `day` was before it was run again, oldest first.

        Each later day's record says what it read: the book of the day before, the bars through its own day, and the news,
        macro values and other observations known by its close. The first one that read something else than what is there now
        is stale, and all after it.
        """
        later = [d for d in records.days_of(self.lake, "strategy_book") if d > day]
        if not later:
            return []
        following = self.record("strategy_book", later[0])
        own = self.record("strategy_book", day)
        same_book = later[0] != day + DAY or (own and following and following.inputs.get("strategy_book@yesterday") == own.digest)
        backtests = self.record("backtests", later[0])
        same_bars = bool(backtests and backtests.inputs.get("bars_history") == self.bars(later[0]).fingerprint)
        if not (same_book and same_bars):
            return later
        changed = self._first_changed_observation(later)
        return [] if changed is None else later[changed:]

    def _first_changed_observation(self, days: list[dt.date]) -> int | None:
        """Position of the first of some days whose features read other observations than are there now; None where none did."""
        from strategy_pipeline.cycle.features import OBSERVED_BY_FEATURES, history_key

        kept = [self.record("features", day) for day in days]
        first: int | None = None
        for table in OBSERVED_BY_FEATURES:
            now = self._observed_digests(table, days)
            for position, record in enumerate(kept[:first]):
                then = record.inputs.get(history_key(table)) if record is not None else None
                if then is not None and then != now[position]:
                    first = position
                    break
        return first

    def newest_day(self, stage: str) -> dt.date | None:
        """The newest day a stage has run for, None when it never has."""
        days = records.days_of(self.lake, stage)
        return days[-1] if days else None

    def record(self, stage: str, day: dt.date) -> records.Record | None:
        return records.read(self.lake, stage, day)

    def require(self, stage: str, day: dt.date) -> records.Record:
        """The record of a stage that must have run. MissingInputError names it and how to make it."""
        record = self.record(stage, day)
        if record is None:
            raise MissingInputError(f"Expected {stage} of {day}, was not made yet; run it first: `strategy-pipeline run --date {day}`")
        if record.facts.get("passed") is False:
            raise MissingInputError(
                f"Expected {stage} of {day} to pass its quality check, was: {record.summary}; mend the data and run {day} again"
            )
        return record

    # ---- what a process remembers ----------------------------------------------------------------------------

    def remember(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The value of `make()`, kept while the process works on the same day; only few days are kept."""
        if key not in self._memory:
            if len(self._memory) > 64:
                self._memory.clear()
            self._memory[key] = make()
        return self._memory[key]

    def forget(self) -> None:
        """Drops what was remembered: a stage has rewritten something that others read."""
        self._memory.clear()


@dataclass
class _Mutex:
    """The lock of one home as this process holds it: between threads, and once for the process."""

    threads: threading.RLock = field(default_factory=threading.RLock)
    depth: int = 0
    process: Any = None


_MUTEXES: dict[Path, _Mutex] = {}


def _mutex_of(home: Path) -> _Mutex:
    return _MUTEXES.setdefault(home, _Mutex())


def costs_of(workspace: Workspace) -> Costs:
    """What the settings say a trade costs."""
    from strategy_pipeline.backtest import Costs

    return Costs(fee_bps=workspace.settings.fee_bps, slippage_bps=workspace.settings.slippage_bps)
