"""How venues write a pair, and how we do."""

from __future__ import annotations

import pytest

from strategy_pipeline.market.symbols import near_matches, to_symbol


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("BTCUSDT", "BTC/USDT"), ("btc_usdt", "BTC/USDT"), ("BTC-USD", "BTC/USD"), ("BTC/USDT:USDT", "BTC/USDT"),
        ("BTC_USDT_USDT", "BTC/USDT"), ("BTC-PERP", "BTC/USD"), ("XRPETH", "XRP/ETH"), ("BTCFDUSD", "BTC/FDUSD"), ("BTCTUSD", "BTC/TUSD"),
        ("BNBUSD", "BNB/USD"), ("DOTUSD", "DOT/USD"), ("1000SATSUSDT", "1000SATS/USDT"), ("SP500", "SP500/USD"), ("USDCUSDT", "USDC/USDT"),
    ],
)  # fmt: skip
def test_every_way_to_write_a_pair_is_read_as_base_and_quote(written, symbol):
    assert to_symbol(written) == symbol
    assert to_symbol(symbol) == symbol


def test_near_matches_prefer_the_same_base():
    assert near_matches("ETH/USD", ("BTC/USD", "ETH/USDT", "ETC/USD"))[0] == "ETH/USDT"
    assert near_matches("QQQQ/ZZZ", ("BTC/USD",)) == []
