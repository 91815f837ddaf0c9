"""Scoring a text as market news: VADER with the words, phrases and directions of `lexicon`.

What belongs here: turning phrases and directions into words that carry their valence, and scoring. What does not: the
valences themselves (`lexicon`), trained classifiers (`classifier`).

Three things are done before VADER (C. Hutto and E. Gilbert, 2014) reads the words, with its negations and boosters:

1. A phrase of the lexicon becomes one word of the phrase's valence.
2. A word of direction takes the sign of the nearest subject of its clause: losses that narrowed are good, costs that rose
   are bad, sales that fell are bad. Without a subject it counts half.
3. An amount compared with an earlier one ("EUR 5 mn, compared to EUR 7 mn") counts as a direction of its subject when the
   sentence has no word of direction: the figures say what the verb does not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from strategy_pipeline.features import lexicon

_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_CLAUSE = re.compile(r"[;:!?]|\.\s|\s(?:while|whereas|although|though|but)\s", re.IGNORECASE)
_AMOUNT = r"(?:[A-Z]{2,3}|[$€£])?\s?(\d[\d,]*(?:\s?\.\s?\d+)?)\s?(million|mn|m|billion|bn|thousand|k|%|percent|pct|eur|euros?|cents?)?"
_COMPARED = re.compile(
    _AMOUNT
    + r"[^\d;]{0,60}?(?:compared (?:to|with)|(?:,| )(?:down |up )?from|against|versus|vs\.?|as compared (?:to|with)) [^\d;]{0,70}?"
    + _AMOUNT,
    re.IGNORECASE,
)
_YEAR = re.compile(r"^(?:19|20)\d\d$")
_REACH = 9  # how many words a direction's subject may be away


@lru_cache(maxsize=1)
def _phrases() -> tuple[re.Pattern[str], tuple[str, ...], dict[str, float]]:
    """One expression over all phrases (longer ones first), the word each group becomes, and those words' valences."""
    ordered = sorted(lexicon.PHRASES.items(), key=lambda item: (-len(item[0]), item[0]))
    words = tuple(f"phrase_{number}" for number in range(len(ordered)))
    # One look for a word's start before all of them: most places in a text are ruled out by it.
    pattern = re.compile(r"\b(?:" + "|".join(f"({text})" for text, _ in ordered) + r")(?!\w)", re.IGNORECASE)
    return pattern, words, {word: valence for word, (_, valence) in zip(words, ordered, strict=True)}


def _direction_word(valence: float) -> str:
    return f"direction_{round(valence * 100):+d}".replace("+", "p").replace("-", "n")


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    """VADER with our lexicon on top of its own."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    analyzer.lexicon.update(lexicon.word_valences())
    # Directions are weighed with their subject, so that the words themselves must not count twice.
    for word in (*lexicon.UP, *lexicon.DOWN):
        analyzer.lexicon.pop(word, None)
    # VADER takes a neutral word for one it knows, and stops looking for negations before it: only words with valence stay.
    analyzer.lexicon = {word: valence for word, valence in analyzer.lexicon.items() if valence}
    analyzer.lexicon.update(_phrases()[2])
    analyzer.lexicon.update({_direction_word(v / 100): v / 100 for v in range(-400, 401) if v})
    analyzer.emojis.update(lexicon.EMOJI)
    return analyzer


def finance_score(text: str) -> float:
    """Compound score in [-1, 1]; 0 says nothing either way, NaN is an empty text."""
    text = text.strip()
    return float(_analyzer().polarity_scores(rewritten(text))["compound"]) if text else float("nan")


def rewritten(text: str) -> str:
    """The text with phrases and directions as single words that the lexicon knows."""
    pattern, words, _ = _phrases()

    def one(match: re.Match[str]) -> str:
        return f" {words[(match.lastindex or 1) - 1]} "

    parts: list[str] = []
    end = 0
    marked = pattern.sub(one, text)
    for stop in _CLAUSE.finditer(marked):
        parts.append(_directed(marked[end : stop.start()]) + stop.group())
        end = stop.end()
    parts.append(_directed(marked[end:]))
    return "".join(parts)


def _directed(clause: str) -> str:
    """The clause with its directions weighed by their subjects."""
    found = list(_WORD.finditer(clause))
    tokens = [match.group().lower() for match in found]
    becomes: dict[int, str] = {}
    for i, (match, token) in enumerate(zip(found, tokens, strict=True)):
        valence = lexicon.UP.get(token) or lexicon.DOWN.get(token)
        if valence is None or (token in ("up", "down") and not _is_direction(clause, match)):
            continue
        sign, subject = _subject(tokens, i)
        becomes[i] = _direction_word(valence * sign)
        if subject is not None and valence * sign > 0 > sign:
            becomes[subject] = "relieved_subject"  # a loss that narrowed is no bad news beside the good
    if not becomes:
        return _compared(clause, tokens)
    out, end = [], 0
    for i in sorted(becomes):
        out += [clause[end : found[i].start()], becomes[i]]
        end = found[i].end()
    return "".join([*out, clause[end:]])


def _is_direction(clause: str, match: re.Match[str]) -> bool:
    """Whether "up" or "down" is one: beside a figure, "from", "by" or the end, not part of "set up"."""
    after = clause[match.end() : match.end() + 12].lstrip()
    return (
        not after
        or after[0] in "0123456789,.-+$€£"
        or after.lower().startswith(("from", "by", "eur", "usd", "on ", "in ", "slightly", "about", "nearly"))
    )


def _subject(tokens: list[str], at: int) -> tuple[float, int | None]:
    """What moves, and its sign: +1 where more is good, -1 where more is bad, 0.5 where nothing near is said to move.

    What stands before the direction counts first.
    """
    for i in (*range(at - 1, max(at - 1 - _REACH, -1), -1), *range(at + 1, min(at + 4, len(tokens)))):
        if tokens[i] in lexicon.BAD_WHEN_HIGHER:
            return -1.0, i
        if tokens[i] in lexicon.GOOD_WHEN_HIGHER:
            return 1.0, i
    return 0.5, None


def _compared(clause: str, tokens: list[str]) -> str:
    """The clause with a direction appended where its figures are compared with earlier ones."""
    match = _COMPARED.search(clause)
    if match is None or _YEAR.match(match[1]) or _YEAR.match(match[3]):
        return clause
    if (match[2] or "").lower() != (match[4] or "").lower():
        return clause
    now, then = (float(re.sub(r"[,\s]", "", match[group]) or "nan") for group in (1, 3))
    if now == then:
        return clause
    bad = any(token in lexicon.BAD_WHEN_HIGHER for token in tokens)
    if not bad and not any(token in lexicon.GOOD_WHEN_HIGHER for token in tokens):
        return clause
    return f"{clause} {_direction_word(1.6 if (now > then) != bad else -1.6)} "
