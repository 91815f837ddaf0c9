"""The strategy book: what state each strategy is in, since when, and why.

``candidate -> validated -> incubating -> active -> probation -> retired``, and beside them ``watchlist``.
What belongs here: the lifecycle, the sequential tests on forward returns, demotion and replacement, and
the history of transitions. What does not: the evidence of a search (`selection/`), how returns come
about (`backtest/`), and how much capital a strategy gets (`risk/`).
"""

from strategy_pipeline.book.book import Book
from strategy_pipeline.book.entry import STATES, BookError, BookRules, BookVersionError, Entry, State
from strategy_pipeline.book.frames import TRANSITION_COLUMNS, lifecycles
from strategy_pipeline.book.sequential import CostWatch, Track, error_share

__all__ = [
    "STATES",
    "TRANSITION_COLUMNS",
    "Book",
    "BookError",
    "BookRules",
    "BookVersionError",
    "CostWatch",
    "Entry",
    "State",
    "Track",
    "error_share",
    "lifecycles",
]
