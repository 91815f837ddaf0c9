"""The gate promotes nothing where there is nothing, finds what is there, and says why in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from strategy_pipeline.selection import Gate, InvalidReturnsError, select, sharpe_interval, sharpe_ratio, shortlist, split_days

DAYS = 1095
CUT = split_days(DAYS)[0].stop


def market(seed: int, n: int = 300, planted: float = 0.0) -> np.ndarray:
    """Heavy-tailed daily returns with a common factor and a small cost; column 0 holds an annual Sharpe ratio `planted`."""
    rng = np.random.default_rng(seed)
    loading = rng.uniform(-1, 1, n)
    returns = rng.standard_t(4, (DAYS, n)) + 1.5 * loading * rng.standard_t(4, (DAYS, 1))
    returns /= returns.std(axis=0)
    returns = 0.01 * (returns - 0.3 / np.sqrt(365))
    if planted:
        own = rng.standard_t(5, DAYS)
        returns[:, 0] = 0.01 * (own / own.std() + planted / np.sqrt(365))
    return returns


def through_the_gate(returns: np.ndarray, **options):
    ids = [f"s{k:04d}" for k in range(returns.shape[1])]
    options.setdefault("n_trials", returns.shape[1])
    options.setdefault("draws", ids)
    return select(returns[:CUT], returns[CUT + 5 :], ids=ids, n_blocks=6, **options)


def test_hardly_anything_is_promoted_on_twenty_null_markets():
    """At 2 % more than one of twenty would be a rare accident (6 %), more than two an error (0.7 %)."""
    promoted = [through_the_gate(market(seed), gate=Gate(resamples=300), seed=seed).promoted for seed in range(20)]
    assert sum(map(bool, promoted)) <= 1


def test_a_planted_sharpe_of_four_is_found_in_most():
    found = [through_the_gate(market(seed, planted=4.0), gate=Gate(resamples=300), seed=seed).promoted for seed in range(100, 120)]
    assert sum("s0000" in promoted for promoted in found) >= 15
    # Without returns before costs the level is that of both tests, beside a true edge too.
    beside = sum(len(promoted) > ("s0000" in promoted) for promoted in found)
    assert binomtest(beside, 20, Gate().level, alternative="greater").pvalue > 0.01


def test_the_reasons_name_value_and_threshold():
    selection = through_the_gate(market(1))
    first = selection.evidence[0]
    assert first.verdict in ("watchlist", "rejected")
    assert first.why == f"validation StepM p after costs = {first.stepm_p_value:.3g} > 0.02"
    assert "nothing promoted" in selection.summary


def test_a_t_threshold_can_be_asked_for_on_top():
    evidence = through_the_gate(market(101, planted=5.0), gate=Gate(t_threshold=20.0)).of("s0000")
    assert evidence is not None and evidence.reasons == (f"t over the full period = {evidence.t_statistic:.3g} < 20",)


def test_a_promotion_says_what_it_passed():
    evidence = through_the_gate(market(101, planted=5.0)).of("s0000")
    assert evidence is not None and evidence.verdict == "promoted"
    assert evidence.why.startswith("validation StepM p after costs = ") and evidence.why.endswith("<= 0.02")
    assert evidence.dsr > 0.9 and evidence.sharpe_low < evidence.sharpe < evidence.sharpe_high
    assert evidence.dsr_all_trials <= evidence.dsr


def test_what_costs_hide_is_proved_before_them():
    """An edge of 2.5 a year before costs and 1 after: its p-value is smaller before them, whatever was looked at first."""
    for seed in range(103, 108):
        net = market(seed, n=60, planted=1.0)
        before = net + 0.01 * 1.5 / np.sqrt(365)
        blind, seeing = (through_the_gate(net, gross=given).evidence[0] for given in (None, before[CUT + 5 :]))
        assert np.isnan(blind.gross_p_value) and seeing.stepm_p_value == blind.stepm_p_value
        assert seeing.gross_p_value < seeing.stepm_p_value
    same = through_the_gate(net, gross=net[CUT + 5 :]).evidence[0]
    assert same.gross_p_value == same.stepm_p_value


def test_where_returns_before_costs_are_not_given_those_after_must_reach_the_level_alone():
    returns = market(101, planted=5.0)
    both, one = through_the_gate(returns, gross=returns[CUT + 5 :]).of("s0000"), through_the_gate(returns).of("s0000")
    assert both is not None and [reason.split(" = ")[0] for reason in both.reasons] == [
        "validation StepM p before costs", "validation StepM p after costs"
    ]  # fmt: skip
    assert both.reasons[0].endswith("<= 0.02") and both.reasons[1].endswith("<= 0.07")
    assert one is not None and one.reasons == (f"validation StepM p after costs = {one.stepm_p_value:.3g} <= 0.02",)


def test_between_the_levels_after_costs_only_proof_before_them_passes():
    returns = market(101, planted=5.0)
    out = returns[CUT + 5 :]
    for _ in range(200):  # a little worse after costs, until they leave it doubtful
        item = through_the_gate(returns).of("s0000")
        if item is None or item.stepm_p_value > Gate().level:
            break
        out[:, 0] -= 1e-5
    assert item is not None and Gate().level < item.stepm_p_value < Gate().net_level
    assert item.verdict == "watchlist" and item.why.endswith("> 0.02")
    proved, doubtful = (through_the_gate(returns, gross=given).of("s0000") for given in (out + 0.01, out))
    assert proved is not None and proved.verdict == "promoted"
    assert doubtful is not None and doubtful.verdict == "watchlist" and doubtful.why.startswith("validation StepM p before costs")


def test_neither_proof_makes_up_for_the_other():
    returns = market(101, planted=5.0)
    out = returns[CUT + 5 :]
    nothing = out - out.mean(axis=0)
    for options, failed in (({"gross": nothing}, "before"), ({"gross": out + 0.01}, None)):
        item = through_the_gate(returns, **options).of("s0000")
        assert item is not None and (item.verdict == "promoted") == (failed is None)
        assert failed is None or item.why.startswith(f"validation StepM p {failed} costs")
    eaten = returns.copy()
    eaten[CUT + 5 :] = nothing
    item = through_the_gate(eaten, gross=out + 0.01).of("s0000")
    assert item is not None and item.why.startswith("validation StepM p after costs = ") and item.why.endswith("> 0.07")


def test_returns_before_costs_are_read_of_what_gets_a_look_alone():
    net = market(103, n=60, planted=4.0)
    looked = {item.strategy_id for item in through_the_gate(net).evidence}
    seen = np.array([f"s{k:04d}" in looked for k in range(60)])
    some, other = (through_the_gate(net, gross=np.where(seen, net[CUT + 5 :], rest)).to_frame() for rest in (np.nan, 1.0))
    assert looked and some["gross_p_value"].notna().all()
    pd.testing.assert_frame_equal(some, other)


def test_however_much_was_tried_and_bred_from_luck_the_level_holds():
    """Half a year and a year without costs: 150 independent strategies, and 30 bred from the luckiest of training."""
    for days in (183, 365):
        train, held_out = split_days(days)
        hits, n = 0, 100
        for seed in range(n):
            rng = np.random.default_rng(seed)
            drawn = rng.standard_t(4, (days, 150)) * (rng.random((days, 150)) < 0.7)
            best = int(np.nanargmax(sharpe_ratio(drawn[train])))
            given = np.concatenate([drawn, drawn[:, [best]] + 0.3 * rng.standard_t(4, (days, 30))], axis=1)
            ids = [f"s{k:03d}" for k in range(180)]
            found = select(
                given[train], given[held_out], ids=ids, n_trials=180, draws=ids[:150], gross=given[held_out], gate=Gate(resamples=200),
                n_blocks=0, seed=seed,
            )  # fmt: skip
            hits += bool(found.promoted)
        assert binomtest(hits, n, Gate().level, alternative="greater").pvalue > 0.01


def test_an_edge_that_costs_eat_passes_as_seldom_as_its_level_says():
    """Everything foretells something and nothing earns it: the proof before costs is strong, and the test after them must stop it."""
    passed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        net = 0.01 * (rng.standard_t(4, (DAYS, 40)) + rng.uniform(-0.5, 0.5, 40) * rng.standard_t(4, (DAYS, 1)))
        found = through_the_gate(net, gross=net[CUT + 5 :] + 0.01 * 4.0 / np.sqrt(365), gate=Gate(resamples=200), seed=seed)
        assert min(item.gross_p_value for item in found.evidence) < 0.02
        passed += bool(found.promoted)
    assert binomtest(passed, 100, Gate().net_level, alternative="greater").pvalue > 0.01


def test_the_shortlist_is_what_gets_a_look_and_validation_of_the_rest_is_not_needed():
    returns = market(102, planted=4.0)
    ids = [f"s{k:04d}" for k in range(returns.shape[1])]
    looked = shortlist(returns[:CUT], ids=ids, draws=ids)
    whole = through_the_gate(returns)
    assert looked == [item.strategy_id for item in whole.evidence]
    rest = [k for k, sid in enumerate(ids) if sid not in looked]
    hidden = returns.copy()
    hidden[CUT + 5 :, rest] = np.nan
    pd.testing.assert_frame_equal(through_the_gate(hidden).to_frame(), whole.to_frame())


def test_robustness_can_stop_a_promotion():
    returns = market(101, planted=5.0)
    weak = through_the_gate(returns, robustness={"s0000": 0.2}, stressed_sharpe={"s0000": -0.4}).of("s0000")
    assert weak is not None and weak.verdict == "watchlist"
    assert weak.reasons == ("Monte Carlo robustness = 0.2 < 0.5", "Sharpe under stressed costs = -0.4 <= 0")
    strong = through_the_gate(returns, robustness={"s0000": 0.9}, stressed_sharpe={"s0000": 2.0}).of("s0000")
    unknown = through_the_gate(returns, robustness={"s0000": float("nan")}).of("s0000")
    assert unknown is not None and unknown.reasons == ("Monte Carlo robustness is undefined (too few trades or no variance)",)
    assert strong is not None and strong.verdict == "promoted" and strong.robustness == 0.9


def test_a_near_copy_of_a_better_one_gets_no_look():
    returns = market(3, planted=5.0)
    returns[:, 1] = returns[:, 0] + 1e-4 * np.random.default_rng(0).standard_normal(DAYS)
    returns[:, 1] -= 1e-4
    row = through_the_gate(returns).screening.set_index("strategy_id").loc["s0001"]
    assert not row.looked_at and row.reason == "correlation 1.00 > 0.9 with s0000"


def test_validation_of_the_others_is_never_read():
    returns = market(4)
    before = through_the_gate(returns)
    looked = {item.strategy_id for item in before.evidence}
    others = [k for k in range(returns.shape[1]) if f"s{k:04d}" not in looked]
    changed = returns.copy()
    changed[CUT + 5 :, others] = np.random.default_rng(1).standard_normal((DAYS - CUT - 5, len(others)))
    after = through_the_gate(changed)
    pd.testing.assert_frame_equal(after.to_frame(), before.to_frame())
    pd.testing.assert_frame_equal(after.screening, before.screening)


def test_what_cannot_be_judged_says_why():
    returns = market(5, n=8)
    returns[:, 0] = 0.0
    returns[:, 1] = np.nan
    returns[: CUT - 20, 2] = np.nan
    returns[:, 3] = np.abs(returns[:, 3])
    returns[CUT:, 3] = np.nan
    returns[:, 4] = -np.abs(returns[:, 4])
    returns[np.arange(DAYS) % 60 != 0, 5] = 0.0
    reasons = through_the_gate(returns).screening.set_index("strategy_id").reason
    assert reasons["s0000"] == "no variance in training (it never traded)"
    assert reasons["s0001"] == "no return in training"
    assert reasons["s0002"] == "20 days in training < 60"
    assert reasons["s0003"] == "0 days in validation < 30"
    assert reasons["s0004"].startswith("training Sharpe -")
    assert reasons["s0005"] == "in the market on 8 training days < 20"


def test_a_strategy_that_never_trades_in_validation_is_rejected_with_the_reason():
    returns = market(6, n=3)
    returns[:CUT, 0] += 0.01
    returns[CUT:, 0] = 0.0
    evidence = through_the_gate(returns).of("s0000")
    assert evidence is not None and evidence.verdict == "rejected" and np.isnan(evidence.stepm_p_value)
    assert "validation StepM p after costs is undefined" in evidence.why


def test_an_empty_population_is_a_valid_outcome():
    selection = select(np.empty((100, 0)), np.empty((60, 0)), ids=[], n_trials=0)
    assert selection.evidence == () and selection.promoted == () and np.isnan(selection.pbo)
    assert list(selection.to_frame().columns)[:2] == ["strategy_id", "trials"] and "nothing promoted" in selection.summary


def test_the_same_input_gives_the_same_evidence():
    returns = market(7)
    pd.testing.assert_frame_equal(through_the_gate(returns, seed=3).to_frame(), through_the_gate(returns, seed=3).to_frame())


def test_the_order_of_the_population_does_not_matter():
    returns = market(8, n=40)
    order = np.random.default_rng(0).permutation(40)
    ids = np.array([f"s{k:04d}" for k in range(40)])
    one = select(returns[:CUT], returns[CUT:], ids=list(ids), n_trials=40, n_blocks=6)
    other = select(returns[:CUT, order], returns[CUT:, order], ids=list(ids[order]), n_trials=40, n_blocks=6)
    for left, right in zip(one.evidence, other.evidence, strict=True):
        assert left.strategy_id == right.strategy_id and left.verdict == right.verdict
        assert left.stepm_p_value == right.stepm_p_value
        assert left.t_statistic == pytest.approx(right.t_statistic, rel=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    returns = market(9, n=4)
    with pytest.raises(InvalidReturnsError, match="transpose daily_returns"):
        select(returns[:CUT].T, returns[CUT:].T, ids=list("abcd"), n_trials=4)
    with pytest.raises(InvalidReturnsError, match="a more than once"):
        select(returns[:CUT], returns[CUT:], ids=list("abca"), n_trials=4)
    with pytest.raises(InvalidReturnsError, match="gross returns of the shape of validation"):
        through_the_gate(returns, gross=returns)
    for levels in ({"level": 0.0}, {"net_level": 1.0}, {"level": float("nan")}):
        with pytest.raises(InvalidReturnsError, match="levels between 0 and 1"):
            through_the_gate(returns, gate=Gate(**levels))
    with pytest.raises(InvalidReturnsError, match="n_trials of at least the 4"):
        select(returns[:CUT], returns[CUT:], ids=list("abcd"), n_trials=3)


def test_the_interval_covers_about_as_often_as_it_says():
    """Known truth by construction: autocorrelated normal returns of a known ratio."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        returns = rng.standard_normal(400) + 2.0 / np.sqrt(365)
        interval = sharpe_interval(returns, n_resamples=200, seed=seed)
        covered += interval.low <= 2.0 <= interval.high
    assert 0.82 <= covered / 200 <= 0.96


def test_an_interval_of_nothing_is_nan():
    for returns in (np.zeros(50), np.full(50, np.nan), np.empty(0)):
        assert np.isnan(sharpe_interval(returns).low)
