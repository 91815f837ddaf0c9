"""The templates: sound sentences, and the edges people look for are among them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import TEMPLATES, Request, Template, generate
from strategy_pipeline.generation.context import Market
from strategy_pipeline.generation.template import Sentence, Slot, choices, lengths, levels
from strategy_pipeline.indicators import Bank
from strategy_pipeline.strategies import FAMILIES, Strategy, condition_text, parse, problems, truth
from strategy_pipeline_tests.generation.markets import SERIES, market, named_series, positions

BARS = market()
MARKET = Market(Request(BARS, FAMILIES, frozenset(SERIES)))


def test_every_family_has_several_templates_with_names_of_their_own() -> None:
    assert set(Counter(template.family for template in TEMPLATES)) == set(FAMILIES)
    assert min(Counter(template.family for template in TEMPLATES).values()) >= 3
    assert len({template.name for template in TEMPLATES}) == len(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_template_means_something_at_the_ends_and_the_middle_of_its_ranges(template: Template) -> None:
    if "taker_buy_volume" in template.needs:
        assert MARKET.lacks(template) == "bars with taker_buy_volume"
    else:
        assert MARKET.lacks(template) is None
    words = {word: (template.words[word] if word in template.words else MARKET.word(word))[0] for word in template.word_names}
    sentence = Sentence(template, words)
    for part in (0.0, 0.5, 1.0):
        numbers = template.numbers({slot.name: slot.values[round(part * (len(slot.values) - 1))] for slot in template.slots})
        rules = {name: sentence.rule(name, numbers) for name in ("enter_long", "enter_short", "exit_long", "exit_short")}
        assert problems(Strategy(template.family, ("*",), "1h", **rules), SERIES) == []
        # the filled tree is the tree of the written sentence
        text = template.enter_long
        for word, chosen in words.items():
            text = text.replace(f"<{word}>", chosen)
        written = parse(f"trend on * 1h\nenter long when {text.format(**{name: repr(value) for name, value in numbers.items()})}")
        assert condition_text(rules["enter_long"]) == condition_text(written.enter_long)


def test_templates_trade_on_a_market_that_has_what_they_need() -> None:
    bars = market(1500, seed=3)
    bank = Bank(bars, series=named_series(bars), workers=1)
    silent = set()
    for template in TEMPLATES:
        if MARKET.lacks(template) is None:
            words = {word: (template.words[word] if word in template.words else MARKET.word(word))[0] for word in template.word_names}
            middle = template.numbers({slot.name: slot.values[len(slot.values) // 3] for slot in template.slots})
            sentence = Sentence(template, words)
            fired = [(truth(sentence.rule(side, middle), bank) == 1).any() for side in ("enter_long", "enter_short")]
            if not all(fired):
                silent.add(template.name)
    assert silent <= {"unusual_attention"}, silent


PLANTED = {
    "momentum": "enter long when ema(close, 24) > ema(close, 96)\nenter short when ema(close, 24) < ema(close, 96)\n"
    "exit long when ema(close, 24) < ema(close, 96)\nexit short when ema(close, 24) > ema(close, 96)",
    "breakout": "enter long when close > lag(highest(high, 72), 1)\nenter short when close < lag(lowest(low, 72), 1)\nhold at most 24 bars",
    "mean_reversion": "enter long when zscore(close, 48) < -2\nenter short when zscore(close, 48) > 2\n"
    "exit long when zscore(close, 48) > 0\nexit short when zscore(close, 48) < 0\nhold at most 24 bars",
    "sentiment": "enter long when sentiment.mean > 0.25\nenter short when sentiment.mean < -0.25\n"
    "exit long when not sentiment.mean > 0.25\nexit short when not sentiment.mean < -0.25",
}


@pytest.mark.parametrize("family", PLANTED)
def test_the_edges_people_look_for_have_near_equivalents(family: str) -> None:
    bars = market(1200, ("BTC/USDT",), seed=5)
    bank = Bank(bars, series=named_series(bars), workers=1)
    planted = positions(parse(f"{family} on * 1h\n{PLANTED[family]}"), bank)
    best = max(
        np.corrcoef(held, planted)[0, 1]
        for strategy in generate(240, bars, [family], series=SERIES)
        if (held := positions(strategy, bank)).std() > 0
    )
    assert best > 0.7


def test_on_a_market_with_planted_momentum_the_best_of_the_templates_are_that_momentum() -> None:
    bars = market(4000, ("BTC/USDT",), seed=11, momentum=0.12)
    bank = Bank(bars, workers=1)
    planted = positions(parse(f"momentum on * 1h\n{PLANTED['momentum']}"), bank)
    returns = np.diff(bars.close[0]) / bars.close[0, :-1]
    scores = []
    for strategy in generate(160, bars, ["momentum", "mean_reversion", "breakout", "trend"]):
        held = positions(strategy, bank)
        profit = held[:-1] * returns - 0.0015 * np.abs(np.diff(held))
        if profit.std() > 0:
            scores.append((profit.mean() / profit.std(), np.corrcoef(held, planted)[0, 1], strategy.family))
    top = sorted(scores, reverse=True)[:10]
    assert np.mean([correlation > 0.5 for _, correlation, _ in top]) >= 0.8
    assert all(family != "mean_reversion" for _, _, family in top)
    assert top[0][0] * np.sqrt(8760) > 2.0


def test_slots_are_spaced_as_they_say() -> None:
    assert lengths("n", 5, 40, 4) == Slot("n", (5.0, 10.0, 20.0, 40.0))
    assert levels("k", 0.5, 0.7, 0.1) == Slot("k", (0.5, 0.6, 0.7))
    assert choices("k", 1, 2.5) == Slot("k", (1.0, 2.5))


def test_a_template_with_an_unused_slot_is_refused() -> None:
    with pytest.raises(StrategyError, match="without k"):
        Sentence(
            Template("bad", "trend", "close > ema(close, {n})", "close < ema(close, {n})", slots=(choices("n", 5), choices("k", 1))), {}
        )


def test_negative_and_derived_numbers_are_filled_in() -> None:
    template = Template(
        "t",
        "trend",
        "zscore(close, {n}) < -{k}",
        "zscore(close, {n}) > {k}",
        slots=(choices("n", 5), choices("k", 1.5)),
        derived={"m": lambda v: 2 * v["n"]},
    )
    sentence = Sentence(template, {})
    numbers = template.numbers({"n": 5.0, "k": 1.5})
    assert numbers == {"n": 5.0, "k": 1.5, "m": 10.0}
    assert condition_text(sentence.rule("enter_long", numbers)) == "zscore(close, 5) < -1.5"
    assert sentence.rule("exit_long", numbers) is None
