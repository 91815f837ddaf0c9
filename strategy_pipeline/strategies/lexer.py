"""Text into tokens, and errors that point at a place in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from strategy_pipeline.config import TIMEFRAMES
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies.naming import SYMBOL_PATTERN

_TIMEFRAME = "|".join(sorted(TIMEFRAMES, key=len, reverse=True))
_TOKENS = re.compile(
    rf"""(?P<space>[ \t\r\f]+|\#[^\n]*)|(?P<newline>\n)
    |(?P<suffix>@\s*(?:(?:{_TIMEFRAME})(?!\w)|{SYMBOL_PATTERN}))
    |(?P<timeframe>(?:{_TIMEFRAME})(?!\w))
    |(?P<symbol>{SYMBOL_PATTERN})
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_]))
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>>=|<=|==|!=|[-+*/<>(),;%=.@])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: `kind` is suffix, timeframe, symbol, number, name, mark or end."""

    kind: str
    text: str
    at: int  # offset of its first character
    adjoins: bool  # no space before it


class StrategySyntaxError(StrategyError):
    """A text is not a sentence of the language.

    Attributes
    ----------
    line, column : int
        Where, from 1.
    pointed : str
        The line of the text with a caret under the place, two lines.
    """

    def __init__(self, text: str, at: int, message: str) -> None:
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        shown = text[start : end if end >= 0 else len(text)]
        self.line = text.count("\n", 0, at) + 1
        self.column = at - start + 1
        self.pointed = f"{shown.rstrip()}\n{' ' * (at - start)}^"
        self.reason = message
        super().__init__(f"line {self.line}, column {self.column}: {message}")


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, an end token last; StrategySyntaxError at a character the language does not use."""
    found: list[Token] = []
    at, adjoins = 0, False
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            if (stray := re.compile(r"\d[\w.]*").match(text, at)) is not None:
                raise StrategySyntaxError(text, at, f"Expected a number or a timeframe ({', '.join(TIMEFRAMES)}), was {stray.group()!r}.")
            hint = "; write names, numbers, + - * / < > <= >= ( ) , and @ only"
            raise StrategySyntaxError(text, at, f"Expected a word of the language, was {text[at]!r}{hint}.")
        kind = match.lastgroup or ""
        if kind in ("space", "newline"):
            adjoins = False
        else:
            found.append(Token(kind, match.group(), at, adjoins))
            adjoins = True
        at = match.end()
    found.append(Token("end", "", len(text.rstrip()), False))
    return found


def decimal_value(text: str, percent: bool) -> float:
    """The float of a literal; a percent literal has its decimal point moved before rounding, so 7% is 0.07."""
    number = Decimal(text)
    return float(number.scaleb(-2) if percent else number)
