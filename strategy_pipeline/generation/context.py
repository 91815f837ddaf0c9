"""What a market offers to templates: words that are filled in from it, and what it lacks.

What does not belong here: the templates themselves, and how their numbers are explored.
"""

from __future__ import annotations

from functools import cached_property

from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.template import Template
from strategy_pipeline.strategies.kinds import series_kind

# Words filled in from the market: a prefix of named series each, except `higher` and `reference`.
SERIES_WORDS = {
    "return": "forecast.return_", "volatility": "forecast.volatility_", "up": "forecast.up_", "calm": "regime.calm",
    "turbulent": "regime.turbulent", "agent": "agent.", "macro": "macro.",
}  # fmt: skip
WORDS = (*SERIES_WORDS, "score", "attention", "higher", "reference")
# How much coarser a confirming timeframe is, least and most.
_COARSER = (3.5, 25.0)


class Market:
    """A request's market as templates see it."""

    def __init__(self, request: Request) -> None:
        self.symbols = tuple(request.bars.symbols)
        self.timeframe = request.bars.timeframe
        self.series = tuple(sorted(request.series))
        self._bars = request.bars

    @cached_property
    def reference(self) -> str:
        """The symbol others are held against: BTC where there is one, else the first."""
        return next((symbol for symbol in self.symbols if symbol.startswith("BTC/")), self.symbols[0])

    @cached_property
    def higher(self) -> tuple[str, ...]:
        """Coarser timeframes that these bars divide exactly, 4 to 24 times as long."""
        from strategy_pipeline.market.timeframes import TIMEFRAMES, divides, duration

        own = duration(self.timeframe)
        return tuple(name for name in TIMEFRAMES if divides(self.timeframe, name) and _COARSER[0] <= duration(name) / own <= _COARSER[1])

    def word(self, name: str) -> tuple[str, ...]:
        """The choices for a word of `WORDS`, possibly none."""
        if name == "higher":
            return self.higher
        if name == "reference":
            return (self.reference,) if len(self.symbols) > 1 else ()
        if name in ("score", "attention"):
            sentiment = [series for series in self.series if series.startswith("sentiment.")]
            return tuple(series for series in sentiment if (series_kind(series).unit == "score") == (name == "score"))
        return tuple(series for series in self.series if series.startswith(SERIES_WORDS[name]))

    def lacks(self, template: Template) -> str | None:
        """What this market lacks for a template, in words; None when it has everything."""
        for need in template.needs:
            if need == "symbols":
                if len(self.symbols) < 2:
                    return "at least two symbols"
            elif need == "taker_buy_volume":
                if getattr(self._bars, need, None) is None:
                    return "bars with taker_buy_volume"
            elif need == "sentiment score":
                if not self.word("score"):
                    return "a sentiment score (sentiment.mean or sentiment.score*)"
            elif need == "sentiment measure":
                if not self.word("attention"):
                    return "a sentiment measure (sentiment.*)"
            elif not any(series.startswith(need) for series in self.series):
                return f"a named series {need}*"
        if "higher" in template.word_names and not self.higher:
            return f"a coarser timeframe that {self.timeframe} bars divide"
        return None
