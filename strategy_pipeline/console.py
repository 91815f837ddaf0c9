"""What a person sees in a terminal: progress by stage with its time, tables, one-line errors.

What belongs here: rendering. What does not: decisions, files, Dagster. On a terminal the running stage has
a spinner and the seconds it has taken; elsewhere each stage is one plain line.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from typing import IO, Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

# Piped output has no width of its own: wide enough for every table.
_PIPED_WIDTH = 160


def _console(file: IO[str] | None = None, *, stderr: bool = False) -> Console:
    stream = file or (sys.stderr if stderr else sys.stdout)
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(file=file, stderr=stderr, soft_wrap=True, highlight=False, width=width)


out = _console()
err = _console(stderr=True)


class Progress:
    """A `Workspace.observer` that shows each stage and what it took.

    Use as a context manager; `timings` holds (stage, seconds) in the order of finishing. A long stage may say how far it is by the
    event `progress` with a text.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # While a step runs, Dagster points the process's standard output at the step's log. What a person should
        # see goes to a copy of where it pointed before.
        self._console = _console(_own_stdout())
        self._quiet = quiet
        self._status: Status | None = None
        self._started: dict[str, float] = {}
        self.timings: list[tuple[str, float]] = []
        self._begin = time.perf_counter()

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._begin

    def __call__(self, stage: str, event: str, what: Any) -> None:
        if event == "start":
            self._started[stage] = time.perf_counter()
            if self._status is not None:
                self._status.update(f"[bold]{stage}[/]")
            return
        if event == "progress":
            if self._status is not None:
                self._status.update(f"[bold]{stage}[/]  {escape(str(what))}")
            return
        seconds = time.perf_counter() - self._started.get(stage, time.perf_counter())
        self.timings.append((stage, seconds))
        if self._quiet:
            return
        mark = "[green]✓[/]" if event == "done" else "[red]✗[/]"
        text = what.summary if event == "done" else str(what)
        self._console.print(f" {mark} {stage:<22}[dim]{seconds:6.1f} s[/]  {escape(text)}")


def _own_stdout() -> IO[str] | None:
    try:
        return os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    except (OSError, ValueError):  # captured, as by a test: there is no descriptor to copy
        return None


def table(frame: pd.DataFrame, title: str, *, most: int = 20, console: Console = out) -> None:
    """The first `most` rows of a frame; numbers right-aligned, four significant digits, NaN as a dash."""
    view = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        view.add_column(str(name), justify="right" if numeric else "left", overflow="ellipsis", no_wrap=True)
    for row in frame.head(most).itertuples(index=False):
        view.add_row(*(escape(cell(value)) for value in row))
    console.print(view)
    if len(frame) > most:
        console.print(f"[dim]… {len(frame) - most} more[/]")


def cell(value: Any) -> str:
    """One value as a person reads it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def lines(texts: Iterable[str], *, console: Console = out) -> None:
    for text in texts:
        console.print(escape(text))


def fail(error: Exception) -> None:
    """The error as one line on stderr."""
    err.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
