"""Errors, named by cause.

What belongs here: the exception types that more than one room raises and that the command line turns
into one line and exit code 2. A message states what was expected, what was found, the consequence, and
the remedy. What does not belong: errors private to one room (they subclass these, in that room).
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of every error a user can cause and mend. `str(error)` is one line that says how."""

    # Whether the same call may succeed later without anything being mended (a busy server).
    transient = False


class SettingsError(PipelineError):
    """A setting is unknown, malformed, or contradicts another."""


class UnknownSymbolError(PipelineError):
    """A symbol was asked for that the source does not hold."""


class NoDataError(PipelineError):
    """The source holds nothing in the range asked for."""


class CorruptFileError(PipelineError):
    """A file exists but cannot be read as what its name says."""


class MissingColumnError(PipelineError):
    """A table lacks a column that its layout requires."""


class InvalidBarsError(PipelineError):
    """Bars break their contract: unsorted or duplicate times, wrong shapes, off-grid stamps."""


class FutureDateError(PipelineError):
    """A date was asked for that is not over yet, so nothing about it can be known."""


class UnwritableHomeError(PipelineError):
    """The state folder cannot be created or written."""


class StateVersionError(PipelineError):
    """The state folder was written by another version and cannot be upgraded in place."""


class HomeLockedError(PipelineError):
    """Another process works on the same state folder."""


class MissingInputError(PipelineError):
    """A stage's input is absent: an earlier stage or day has not been run."""


class MissingExtraError(PipelineError):
    """An optional dependency is not installed."""


class UnknownIndicatorError(PipelineError):
    """An indicator, or one of its parameters or outputs, is not in the catalog."""


class StrategyError(PipelineError):
    """A strategy cannot be read or run: its text, JSON, terminals or stops are wrong."""


class SourceError(PipelineError):
    """A remote source refused, kept failing after retries, or answered nonsense."""

    transient = True


class ConflictError(PipelineError):
    """A document changed between read and write (stale etag), or already exists."""


class DocumentTooLargeError(PipelineError):
    """A document exceeds the size that every backend accepts (2 MB)."""
