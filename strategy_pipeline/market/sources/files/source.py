"""`FilesSource`: a market read from a folder of files, and `read_bars`, the reader behind `Bars.read`."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, SettingsError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import FIELDS, Bars
from strategy_pipeline.market.observations import as_table
from strategy_pipeline.market.sources.files import bar_layouts
from strategy_pipeline.market.sources.files.choice import Choice, choice_notes, choose
from strategy_pipeline.market.sources.files.inventory import BarHolding, Inventory, take_inventory

_LOG = logging.getLogger(__name__)
_UTC_NS = pa.timestamp("ns", "UTC")
# A symbol whose bars end this long before its venue's newest bar is taken to be delisted.
_DELISTED_AFTER = pd.Timedelta(days=7)


class FilesSource:
    """Bars and observations from the files below ``settings.data`` (see `inventory` for the layouts).

    The folder is looked through once, when first needed; rows are read on request, only the columns and row
    groups needed.
    """

    name = "files"
    simulated = False

    def __init__(self, settings: Settings) -> None:
        if settings.data is None:
            raise SettingsError("Expected data=DIR with source=files, was none; pass --data DIR")
        self._pattern: str | Path = settings.data
        # Prices of a spot venue are no perpetual's: who wants them nevertheless names the venue.
        self._venue = settings.venue or ("perp" if settings.market == "perpetual" else None)
        self._timeframe = settings.timeframe
        self._inventory: Inventory | None = None
        self._listings: pd.DataFrame | None = None
        self._notes: dict[str, None] = {}

    @classmethod
    def at(cls, pattern: str | Path, venue: str | None = None, timeframe: str = "1h") -> FilesSource:
        """The source for a path, folder or glob, without settings."""
        source = cls.__new__(cls)
        source._pattern, source._venue, source._timeframe = pattern, venue, timeframe
        source._inventory, source._listings, source._notes = None, None, {}
        return source

    @property
    def inventory(self) -> Inventory:
        if self._inventory is None:
            self._inventory = take_inventory(self._pattern)
            if self._inventory.skipped:
                names = self._inventory.skipped
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                self._note(f"no known layout, left alone: {', '.join(names[:5])}{more}")
        return self._inventory

    def symbols(self) -> tuple[str, ...]:
        """Symbols whose bars are held at the settings' timeframe, or can be made for it, by the venue asked for."""
        return tuple(choice.symbol for choice in choose(self.inventory.bars, self._timeframe, None, self._venue, str(self._pattern)))

    def stored_symbols(self, timeframe: str) -> tuple[str, ...]:
        """Symbols whose bars are stored at `timeframe` itself, by the very venue that serves the settings' timeframe.

        For comparing what was made from finer bars with what the venue says.
        """
        bars, where = self.inventory.bars, str(self._pattern)
        venue_of = {choice.symbol: choice.venue for choice in choose(bars, self._timeframe, None, self._venue, where)}
        stored = choose(bars, timeframe, None, self._venue, where)
        return tuple(choice.symbol for choice in stored if choice.stored == timeframe and venue_of.get(choice.symbol) == choice.venue)

    def listings(self) -> pd.DataFrame:
        """First bar's open, and last bar's close where the venue's other symbols go on for more than a week.

        Columns ``symbol, listed, delisted``. Taken from the chosen venue's bars at the settings' timeframe, once.
        """
        if self._listings is None:
            self._listings = self._dated()
        return self._listings.copy()

    def _dated(self) -> pd.DataFrame:
        choices = choose(self.inventory.bars, self._timeframe, None, self._venue, str(self._pattern))
        spans = _spans(choices)
        newest: dict[tuple[str, str], pd.Timestamp] = {}
        for choice in choices:
            key = (choice.venue, choice.stored)
            newest[key] = max(newest.get(key, spans[choice.symbol][1]), spans[choice.symbol][1])
        listed: list[Any] = []
        delisted: list[Any] = []
        for choice in choices:
            first, last = spans[choice.symbol]
            listed.append(first)
            delisted.append(last if newest[choice.venue, choice.stored] - last > _DELISTED_AFTER else pd.NaT)
        frame = pd.DataFrame({"symbol": pd.array([choice.symbol for choice in choices], dtype="str")})
        frame["listed"] = pd.DatetimeIndex(listed).as_unit("ns")
        frame["delisted"] = pd.DatetimeIndex(pd.to_datetime(pd.Series(delisted, dtype=object), utc=True)).as_unit("ns")
        return frame

    def bars(self, timeframe: str, symbols: Sequence[str] | None = None, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Raw long rows in file order by symbol; see `MarketSource.bars`.

        A timeframe that is not stored is resampled exactly from the coarsest finer one that fills it; rows of that
        one which break an error rule of `quality` are left out first (their windows become gaps), and counted in
        the notes.
        """
        tf.duration(timeframe)
        first, stop = (None if bound is None else tf.to_time(bound) for bound in (start, end))
        choices = choose(self.inventory.bars, timeframe, symbols, self._venue, str(self._pattern))
        for note in choice_notes(choices, timeframe):
            self._note(note)
        groups: dict[str, list[Choice]] = defaultdict(list)
        for choice in choices:
            groups[choice.stored].append(choice)
        frames = []
        for stored, members in sorted(groups.items()):
            if stored == timeframe:
                frames.append(_read(members, first, stop))
            else:
                frames.append(self._made(members, stored, timeframe, first, stop))
        frames = [frame for frame in frames if len(frame)]
        if not frames:
            raise self._nothing(choices, timeframe, start, end)
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        if absent := sorted({choice.symbol for choice in choices} - set(frame["symbol"].unique())):
            self._note(f"no {timeframe} bars from {start or 'the start'} to {end or 'the end'} for {', '.join(absent)}")
        if len(groups) > 1:
            order = {choice.symbol: position for position, choice in enumerate(choices)}
            frame = frame.sort_values("symbol", key=lambda column: column.map(order), kind="stable", ignore_index=True)
        return frame

    def observations(self, table: str, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Rows of `table` from every file that holds some, half-open in ``ts``; empty when none does."""
        from strategy_pipeline.market.sources.files.observation_layouts import read_table

        first, stop = (None if bound is None else tf.to_time(bound) for bound in (start, end))
        frame, notes = read_table(table, self.inventory.tables, self._venue, first, stop)
        for note in notes:
            self._note(note)
        return as_table(table, frame)

    def notes(self) -> list[str]:
        return list(self._notes)

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _made(self, choices: list[Choice], stored: str, timeframe: str, start: Any, end: Any) -> pd.DataFrame:
        from strategy_pipeline.market.quality import check_bars

        # Every window that opens before `end` is wanted whole, so finer rows are read up to its close.
        stop = None
        if end is not None:
            opens = tf.open_grid(tf.floor(end, timeframe)[()], end, timeframe)
            stop = tf.close_times(opens[-1], timeframe)[()] if len(opens) else end
        finer = _read(choices, start, stop)
        if finer.empty:
            return finer
        report = check_bars(finer, stored)
        if len(report.quarantine):
            self._note(f"{len(report.quarantine)} {stored} rows broke a quality rule and were left out when {timeframe} bars were made")
        if report.clean.empty:
            return report.clean
        frame = Bars.from_frame(report.clean, stored).resample(timeframe).to_frame()
        if start is not None:
            frame = frame[frame["ts"] >= pd.Timestamp(start, tz="UTC")]
        frame["venue"] = frame["symbol"].map({choice.symbol: choice.venue for choice in choices}).astype("str")
        return frame.reset_index(drop=True)

    def _nothing(self, choices: list[Choice], timeframe: str, start: Any, end: Any) -> NoDataError:
        spans = list(_spans(choices).values())
        known = f"{min(span[0] for span in spans):%Y-%m-%d %H:%M} to {max(span[1] for span in spans):%Y-%m-%d %H:%M} UTC"
        return NoDataError(
            f"Expected {timeframe} bars from {start or 'the start'} to {end or 'the end'} in {self._pattern}, was none; "
            f"there is {known}; choose dates within"
        )


def read_bars(
    pattern: str | Path, timeframe: str, symbols: Sequence[str] | None = None, start: Any = None, end: Any = None, venue: str | None = None
) -> Bars:
    """The reader behind `Bars.read`: rows of the files as they are, exact repeats once.

    There is no run to print the source's notes, so they are logged; a venue chosen among several as a warning.
    """
    source = FilesSource.at(pattern, venue, timeframe)
    frame = source.bars(timeframe, symbols, start, end)
    for note in source.notes():
        _LOG.log(logging.WARNING if note.startswith("venue ") else logging.INFO, note)
    keys = frame.duplicated(["symbol", "ts"], keep=False)
    if keys.any():
        values = [name for name in FIELDS if name in frame.columns]
        frame = frame[~frame.duplicated(["symbol", "ts", *values])]
    return Bars.from_frame(frame, timeframe, symbols=symbols, require_all=False)


def _read(choices: list[Choice], start: Any, end: Any) -> pd.DataFrame:
    """Rows of all chosen files, file by file, so that a file of many symbols is opened once."""
    wanted: dict[tuple[Path, str], list[BarHolding]] = defaultdict(list)
    for choice in choices:
        for holding in choice.holdings:
            wanted[holding.path, holding.layout].append(holding)
    frames = []
    for (path, layout), holdings in sorted(wanted.items(), key=lambda item: str(item[0][0])):
        frame = _own_rows(path, holdings, start, end) if layout == "own" else _other_rows(path, holdings, start, end)
        if len(frame):
            frames.append(frame)
    if not frames:
        return pd.DataFrame()
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0].reset_index(drop=True)


def _own_rows(path: Path, holdings: list[BarHolding], start: Any, end: Any, fields: Sequence[str] = FIELDS) -> pd.DataFrame:
    schema = pq.read_schema(path)
    names = {holding.raw: holding.symbol for holding in holdings}
    condition = pc.field("symbol").isin(list(names))
    for column in ("timeframe", "venue"):
        if column in schema.names:
            condition &= pc.field(column).isin(sorted({getattr(holding, column) for holding in holdings}))
    # Literals take the column's own type, so that row groups are pruned by their statistics.
    kind = schema.field("ts").type
    if start is not None:
        condition &= pc.field("ts") >= _literal(start, kind)
    if end is not None:
        condition &= pc.field("ts") < _literal(end, kind)
    columns = [name for name in ("ts", "symbol", *fields) if name in schema.names]
    try:
        table = pq.read_table(path, columns=columns, filters=condition, read_dictionary=["symbol"])
    except (pa.ArrowInvalid, OSError) as error:
        raise bar_layouts.corrupt(path, "Parquet", error) from error
    if table.num_rows == 0:
        return pd.DataFrame()
    codes = table.unify_dictionaries()["symbol"].combine_chunks()
    dictionary = codes.dictionary.to_pylist() if isinstance(codes, pa.DictionaryArray) else None
    if dictionary is not None:
        symbol = pd.Categorical.from_codes(codes.indices.to_numpy(), dictionary).map(names)
    else:
        symbol = pd.Categorical(codes.to_pandas()).map(names)
    times = table["ts"] if pa.types.is_timestamp(kind) and kind.tz else table["ts"].cast(pa.timestamp(kind.unit, "UTC"))
    data: dict[str, Any] = {"ts": times.cast(_UTC_NS).to_pandas(), "symbol": pd.Series(symbol).astype("str")}
    data["timeframe"] = pd.array([holdings[0].timeframe], dtype="str").repeat(table.num_rows)
    venue = {holding.symbol: holding.venue for holding in holdings}
    if len(set(venue.values())) == 1:
        data["venue"] = pd.array([holdings[0].venue], dtype="str").repeat(table.num_rows)
    else:
        data["venue"] = data["symbol"].map(venue).astype("str")
    for name in columns[2:]:
        data[name] = table[name].to_numpy().astype("float64", copy=False)
    return pd.DataFrame(data)


def _literal(time: Any, kind: pa.DataType) -> pa.Scalar:
    scalar = pa.scalar(pd.Timestamp(time).to_datetime64(), pa.timestamp("ns"))
    unit = pa.timestamp(kind.unit)
    # Rounded up to the column's unit, so that "at or after" keeps its meaning.
    rounded = pc.ceil_temporal(scalar, unit={"s": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond"}[kind.unit])
    scalar = rounded.cast(unit)
    return pa.scalar(scalar.value, kind)


def _other_rows(path: Path, holdings: list[BarHolding], start: Any, end: Any) -> pd.DataFrame:
    frame = bar_layouts.read_bar_file(path)
    # Rows without a time stay, so that quality can set them apart rather than lose them here.
    keep = frame["symbol"].isin([holding.symbol for holding in holdings])
    if start is not None:
        keep &= ~(frame["ts"] < pd.Timestamp(start, tz="UTC"))
    if end is not None:
        keep &= ~(frame["ts"] >= pd.Timestamp(end, tz="UTC"))
    return frame[keep]


def _spans(choices: Sequence[Choice]) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """First open and last close of each choice's bars, as UTC times; each file is read once."""
    stored = {choice.symbol: choice.stored for choice in choices}
    wanted: dict[tuple[Path, str], list[BarHolding]] = defaultdict(list)
    for choice in choices:
        for holding in choice.holdings:
            wanted[holding.path, holding.layout].append(holding)
    spans: dict[str, tuple[pd.Timestamp, pd.Timestamp]] = {}
    for (path, layout), holdings in wanted.items():
        rows = _own_rows(path, holdings, None, None, fields=()) if layout == "own" else _other_rows(path, holdings, None, None)
        for symbol, first, last in rows.groupby("symbol")["ts"].agg(["min", "max"]).itertuples():
            known = spans.get(symbol, (first, last))
            spans[symbol] = (min(first, known[0]), max(last, known[1]))
    return {symbol: (first, _close(last, stored[symbol])) for symbol, (first, last) in spans.items()}


def _close(opened: pd.Timestamp, timeframe: str) -> pd.Timestamp:
    return pd.DatetimeIndex(tf.close_times([tf.to_time(opened)], timeframe)).tz_localize("UTC")[0]
