"""Signals say what to do, until when and why, and stay honest when there is nothing to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import UnknownSymbolError
from strategy_pipeline.signals import Signal, SignalError, confidence, expire, for_symbols, from_frame, make_signals, to_frame

AS_OF = pd.Timestamp("2025-06-30", tz="UTC")
DAY = pd.Timedelta("1D")
PRICES = pd.Series({"BTC/USDT": 107_000.0, "ETH/USDT": 2_400.0, "SOL/USDT": 150.0})


def weights(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"symbol": list(PRICES.index), "weight": values, "reasons": "held by 1 strategies"})


def some_signals() -> list[Signal]:
    return make_signals(
        weights(0.2, -0.1, 0.0),
        prices=PRICES,
        as_of=AS_OF,
        valid_for=DAY,
        levels=pd.DataFrame({"stop": [100_000.0, 2_500.0, np.nan], "take_profit": [120_000.0, 2_200.0, np.nan]}, index=PRICES.index),
        positions=pd.DataFrame({"BTC/USDT": [1.0, np.nan], "ETH/USDT": [-1.0, -0.5]}, index=["s0", "s1"]),
        votes={"BTC/USDT": {"agent.ppo": 0.5, "agent.dqn": -1.0}, "SOL/USDT": {"agent.ppo": 0.25}},
        predictions={"BTC/USDT": {"forecast.up_24h": 0.6, "forecast.confidence_24h": 0.5, "forecast.return_24h": 0.01}},
    )


def test_sides_strengths_and_levels_follow_the_weights():
    long, short, flat = some_signals()
    assert (long.side, short.side, flat.side) == ("long", "short", "flat")
    assert (long.strength, short.strength, flat.strength) == pytest.approx((0.8, -0.4, 0.0))
    assert long.stop < long.price < long.take_profit and short.take_profit < short.price < short.stop
    assert np.isnan(flat.stop) and flat.confidence == 0 and flat.target_weight == 0
    assert long.valid_until == AS_OF + DAY


def test_strategies_vote_as_they_are_positioned_and_agents_beside_them():
    long, short, flat = some_signals()
    assert long.votes == {"agent.dqn": -1.0, "agent.ppo": 0.5, "s0": 1.0}
    assert short.votes == {"s0": -1.0, "s1": -0.5} and flat.votes == {"agent.ppo": 0.25}


def test_confidence_is_the_agreement_with_the_side():
    # Votes 1.5 of 2.5 for it; the model gives 0.6, half trusted: 0.55.
    assert some_signals()[0].confidence == pytest.approx((0.6 + 0.55) / 2)
    assert some_signals()[1].confidence == 1.0
    assert confidence("long", {}, {}) == 0.5 and confidence("flat", {"a": 1.0}, {}) == 0.0
    assert confidence("long", {"a": float("nan")}, {"forecast.up_24h": float("nan")}) == 0.5


@given(st.sampled_from(["long", "short"]), st.lists(st.floats(-1, 1), max_size=5), st.floats(0, 1), st.floats(0, 1))
def test_confidence_of_one_side_mirrors_the_other(side, cast, up, trust):
    votes = {f"v{k}": value for k, value in enumerate(cast)}
    mirrored = {key: -value for key, value in votes.items()}
    other = "short" if side == "long" else "long"
    first = confidence(side, votes, {"forecast.up_24h": up, "forecast.confidence_24h": trust})
    second = confidence(other, mirrored, {"forecast.up_24h": 1 - up, "forecast.confidence_24h": trust})
    assert first == pytest.approx(second, abs=1e-12) and 0 <= first <= 1


def test_with_nothing_active_the_signal_is_flat_and_votes_are_still_shown():
    nothing = weights(0.0, 0.0, 0.0).assign(reasons="nothing active: cash")
    signals = make_signals(
        nothing, prices=PRICES, as_of=AS_OF, valid_for=DAY, reason="nothing is active: all in cash",
        votes={"BTC/USDT": {"agent.sac": 0.9}}, predictions={"BTC/USDT": {"forecast.return_24h": 0.02}},
    )  # fmt: skip
    first = signals[0]
    assert first.side == "flat" and first.votes == {"agent.sac": 0.9} and first.predictions == {"forecast.return_24h": 0.02}
    assert first.reason == "nothing is active: all in cash; nothing active: cash; votes and predictions are shown, not acted on"


def test_signals_expire():
    signals = some_signals()
    assert expire(signals, now=AS_OF) == signals
    assert expire(signals, now=AS_OF + DAY) == [] and expire(signals, now=AS_OF - pd.Timedelta("1s")) == []
    assert len(expire(signals, now=pd.Timestamp("2025-06-30 23:59"))) == 3


def test_another_quote_is_answered_by_the_base_with_a_warning():
    answer, own = for_symbols(some_signals(), ["BTC/USDC", "ETH/USDT"])
    assert answer.symbol == "BTC/USDC" and answer.priced_on == "BTC/USDT" and answer.strength == pytest.approx(0.8)
    assert "BTC/USDC is not in the universe; answered by BTC/USDT" in answer.warning and "in USDT" in answer.warning
    assert own.priced_on == "ETH/USDT" and own.warning == ""
    assert len(for_symbols(some_signals(), None)) == 3


@pytest.mark.parametrize("symbol", ["DOGE/USDT", "BTC", "BTC/", "/USDT", ""])
def test_an_unknown_symbol_is_named(symbol):
    with pytest.raises(UnknownSymbolError, match="Expected one of BTC/USDT"):
        for_symbols(some_signals(), [symbol])


def test_signals_survive_their_frame_and_parquet(tmp_path):
    signals = some_signals()
    signals += for_symbols(signals, ["BTC/USDC"])
    to_frame(signals).to_parquet(tmp_path / "signals.parquet")
    again = from_frame(pd.read_parquet(tmp_path / "signals.parquet"))
    pd.testing.assert_frame_equal(to_frame(again), to_frame(signals))
    assert again[0] == signals[0]
    assert from_frame(to_frame([])) == []


def test_a_vote_without_a_view_survives_as_nan():
    signal = make_signals(weights(0, 0, 0), prices=PRICES, as_of=AS_OF, valid_for=DAY, votes={"BTC/USDT": {"agent.ppo": np.nan}})[0]
    assert np.isnan(from_frame(to_frame([signal]))[0].votes["agent.ppo"])


def test_what_cannot_be_a_signal_is_refused():
    with pytest.raises(SignalError, match="NaN for ETH/USDT"):
        make_signals(weights(0.1, np.nan, 0), prices=PRICES, as_of=AS_OF, valid_for=DAY)
    with pytest.raises(SignalError, match="valid_until after"):
        make_signals(weights(0.1, 0, 0), prices=PRICES, as_of=AS_OF, valid_for=pd.Timedelta(0))
    with pytest.raises(SignalError, match="without weight"):
        make_signals(weights(0, 0, 0).drop(columns="weight"), prices=PRICES, as_of=AS_OF, valid_for=DAY)
    with pytest.raises(SignalError, match="without side"):
        from_frame(to_frame(some_signals()).drop(columns="side"))
