"""From target weights, strategies' positions, forecasts and agents to signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from strategy_pipeline.errors import UnknownSymbolError
from strategy_pipeline.signals.signal import Side, Signal, SignalError

# Weights closer to zero than this are no position.
_FLAT = 1e-6
CONFIDENCE_SERIES = "forecast.confidence_24h"
UP_SERIES = "forecast.up_24h"


def make_signals(
    weights: pd.DataFrame,
    *,
    prices: pd.Series,
    as_of: pd.Timestamp,
    valid_for: pd.Timedelta,
    levels: pd.DataFrame | None = None,
    positions: pd.DataFrame | None = None,
    votes: Mapping[str, Mapping[str, float]] | None = None,
    predictions: Mapping[str, Mapping[str, float]] | None = None,
    max_weight: float = 0.25,
    reason: str = "",
) -> list[Signal]:
    """One signal per row of `weights`, in its order.

    weights
        Columns symbol, weight and, where given, reasons (`risk.Portfolio.weights`).
    prices
        Last closes, indexed by symbol.
    as_of, valid_for
        Close of the last bar used (UTC) and how long the signals live.
    levels
        Columns stop, take_profit, indexed by symbol (`risk.protective_levels`).
    positions
        Current positions of the active strategies (index ids, columns symbols): they vote as they are positioned.
    votes, predictions
        By symbol, then by agent or by model output. They are shown with every signal and decide no weight here.
    reason
        What holds for all of them, such as that nothing is active (`risk.Portfolio.reason`).
    """
    as_of = _utc(as_of)
    missing = [column for column in ("symbol", "weight") if column not in weights]
    if missing:
        raise SignalError(f"Expected the columns symbol and weight, was without {', '.join(missing)}; pass Portfolio.weights")
    if weights["weight"].isna().any():
        symbol = weights.loc[weights["weight"].isna(), "symbol"].iloc[0]
        raise SignalError(f"Expected a target weight for every symbol, was NaN for {symbol}; flat is 0")
    found = []
    for row in weights.to_dict("records"):
        symbol, weight = str(row["symbol"]), float(row["weight"])
        side: Side = "flat" if abs(weight) < _FLAT else "long" if weight > 0 else "short"
        cast = _strategy_votes(positions, symbol)
        strategies = len(cast)
        cast |= dict((votes or {}).get(symbol, {}))
        seen = dict((predictions or {}).get(symbol, {}))
        stop, take_profit = _levels(levels, symbol) if side != "flat" else (np.nan, np.nan)
        parts = [reason, str(row.get("reasons", ""))]
        if side == "flat" and strategies == 0:
            parts.append("votes and predictions are shown, not acted on")
        found.append(
            Signal(
                symbol=symbol,
                side=side,
                strength=0.0 if side == "flat" else float(np.clip(weight / max_weight, -1.0, 1.0)),
                confidence=confidence(side, cast, seen),
                target_weight=0.0 if side == "flat" else weight,
                price=float(prices.get(symbol, np.nan)),
                stop=stop,
                take_profit=take_profit,
                as_of=as_of,
                valid_until=as_of + pd.Timedelta(valid_for),
                votes=cast,
                predictions=seen,
                reason="; ".join(dict.fromkeys(part for part in parts if part)),
            )
        )
    return found


def confidence(side: Side, votes: Mapping[str, float], predictions: Mapping[str, float]) -> float:
    """How far what is known agrees with a side, in [0, 1]; 0 when flat.

    The mean of what is there: the share of the votes' size on that side (strategies and agents, each at most 1),
    and the model's probability of that direction weighted by its own confidence,
    ``1/2 + confidence * (P(direction) - 1/2)`` (without a stated confidence, 1). With neither, 1/2: nothing is known
    either way.
    """
    if side == "flat":
        return 0.0
    sign = 1.0 if side == "long" else -1.0
    parts = []
    cast = np.array([value for value in votes.values() if np.isfinite(value)], dtype=np.float64)
    size = np.abs(np.clip(cast, -1, 1)).sum()
    if size > 0:
        parts.append(float(np.clip(sign * cast, 0, 1).sum() / size))
    up = predictions.get(UP_SERIES, float("nan"))
    if np.isfinite(up):
        trust = predictions.get(CONFIDENCE_SERIES, 1.0)
        parts.append(0.5 + float(np.clip(trust if np.isfinite(trust) else 0.0, 0, 1)) * sign * (float(np.clip(up, 0, 1)) - 0.5))
    return float(np.clip(np.mean(parts), 0.0, 1.0)) if parts else 0.5


def for_symbols(signals: Sequence[Signal], asked: Sequence[str] | None) -> list[Signal]:
    """The signals of the symbols asked for, in that order; None asks for all.

    A symbol whose quote is not held (``BTC/USDC`` where ``BTC/USDT`` is) is answered by its base: the same signal
    under the asked symbol, with `priced_on` and a warning that its prices are of the other. `UnknownSymbolError`
    names a symbol whose base is not held either.
    """
    if asked is None:
        return list(signals)
    own = {signal.symbol: signal for signal in signals}
    by_base: dict[str, Signal] = {}
    for signal in signals:
        by_base.setdefault(signal.symbol.split("/")[0], signal)
    found = []
    for symbol in dict.fromkeys(asked):
        if symbol in own:
            found.append(own[symbol])
            continue
        base, slash, quote = symbol.partition("/")
        if base not in by_base or not slash or not quote:
            raise UnknownSymbolError(
                f"Expected one of {', '.join(own) or 'no symbols'} (or the same base in another quote), was {symbol!r}; "
                "it is not in the universe; add it to the setting `symbols`"
            )
        other = by_base[base]
        warning = (
            f"{symbol} is not in the universe; answered by {other.symbol}: weights and votes carry over, "
            f"price, stop and take-profit are in {other.symbol.split('/')[1]}"
        )
        found.append(replace(other, symbol=symbol, priced_on=other.symbol, warning="; ".join(filter(None, [other.warning, warning]))))
    return found


def _levels(levels: pd.DataFrame | None, symbol: str) -> tuple[float, float]:
    if levels is None or symbol not in levels.index:
        return float("nan"), float("nan")
    own = levels.loc[symbol].to_dict()
    return float(own["stop"]), float(own["take_profit"])


def _strategy_votes(positions: pd.DataFrame | None, symbol: str) -> dict[str, float]:
    """What active strategies say: their current position; those that do not trade the symbol (NaN) say nothing."""
    if positions is None or symbol not in positions:
        return {}
    column = positions[symbol].astype(np.float64).dropna()
    return {str(sid): float(np.clip(value, -1.0, 1.0)) for sid, value in column.items()}


def _utc(moment: pd.Timestamp) -> pd.Timestamp:
    stamp = pd.Timestamp(moment)
    return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
