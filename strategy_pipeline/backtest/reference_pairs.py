"""Pairs in the reference engine: two legs as one position, bar by bar, in plain Python.

A long pair is long the first leg and short the second, of equal notional before fees: half of what the size says each, so
that gross exposure is equity times size. What `reference` says of one symbol holds of both legs together, and beside it:

- A bar of the pair is present, and fills, where the bars of both legs do. Rules are those of the first leg.
- No joint extreme within a bar is known, so stops, targets and trails watch the pair's own value at closes,
  ``1 + side * (first / its entry - second / its entry) / 2`` of prices before slippage. The trail and the break-even follow
  its highest value at the closes before. What they decide fills as a signal does, with slippage, before a signal of the
  same close.
- A cap leaves the legs balanced: both get the share that the tighter one allows.
- Delisting of either leg closes both at their last closes; a leg without a bar there pays no impact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategy_pipeline.backtest.reference import Charges, Market, Rules, Trade, stake


@dataclass(slots=True)
class PairTrade(Trade):
    """One position of two legs. What `Trade` says is of the first; `other_` of the second, on the other side."""

    other_entry_price: float = math.nan
    other_exit_price: float = math.nan
    other_size: float = 0.0
    other_left: float = 0.0
    other_sold: float = 0.0

    @property
    def net_return(self) -> float:
        return self.pnl / (self.size * self.entry_price + self.other_size * self.other_entry_price)


def watch(rules: Rules, value: float, peak: float) -> str:
    """Why a pair of that value at a close leaves, if it does; `peak` is its highest value before."""
    level, name = -math.inf, ""
    if rules.stop is not None:
        level, name = 1 - rules.stop.value, "stop"
    if rules.breakeven is not None and peak >= 1 + rules.breakeven.value and level < 1:
        level, name = 1.0, "stop"
    if rules.trail is not None and peak * (1 - rules.trail.value) > level:
        level, name = peak * (1 - rules.trail.value), "trail"
    if name and value <= level:
        return name
    return "take" if rules.take is not None and value >= 1 + rules.take.value else ""


def simulate_pair(
    markets: tuple[Market, Market], rules: Rules, charges: tuple[Charges, Charges], fill: str, first: int, stop: int, delay: int = 0
) -> tuple[list[Trade], list[float]]:
    """Trades of one strategy on one pair, and its equity at every close of bars [first, stop), from 1 unit."""
    one, two = markets
    ours, theirs = charges
    fills = [a and b for a, b in zip(one.filling(stop), two.filling(stop), strict=True)]
    delisting = min((last for market in markets if (last := market.delisting) is not None), default=None)
    at_close = fill == "close"
    wait = delay if at_close else delay + 1

    trades: list[PairTrade] = []
    equity: list[float] = []
    money = 1.0
    held: PairTrade | None = None
    pending, due = "", -1
    order: tuple[int, int] | None = None
    base, other_base, peak, mark, known, other_known = 0.0, 0.0, 1.0, 0.0, 0.0, 0.0
    resting = first

    def enter(side: int, decision: int, bar: int, price: float, other: float) -> PairTrade | None:
        nonlocal base, other_base, peak
        weight = stake(rules, trades, decision)
        if money <= 0 or not weight > 0:
            return None
        notional = min(weight * money / 2, ours.room(bar), theirs.room(bar))
        slip, other_slip = ours.slip(bar, notional), theirs.slip(bar, notional)
        paid, other_paid = price * (1 + side * slip), other * (1 - side * other_slip)
        size = ours.whole(notional / (1 + ours.fee) / paid)
        other_size = theirs.whole(notional / (1 + ours.fee) / other_paid)
        smaller = min(size * paid, other_size * other_paid)
        if not smaller > 0 or smaller * ours.capital < ours.min_notional:
            return None
        cash = money - size * paid * (side + ours.fee) + other_size * other_paid * (side - ours.fee)
        base, other_base, peak = price, other, 1.0
        trade = PairTrade(
            side, decision, bar, paid, size, money, cash, left=size,
            fills=[(ours.traded_value[bar], size * paid), (theirs.traded_value[bar], other_size * other_paid)],
            other_entry_price=other_paid, other_size=other_size, other_left=other_size,
        )  # fmt: skip
        trades.append(trade)
        return trade

    def leave(trade: PairTrade, bar: int, price: float, other: float, reason: str, capped: bool = True) -> None:
        nonlocal money, held, pending, due, resting
        share = 1.0
        for units, at, leg in ((trade.left, price, ours), (trade.other_left, other, theirs)):
            if capped and units * at > leg.room(bar):
                share = min(share, leg.room(bar) / (units * at))
        part, other_part = trade.left, trade.other_left
        if share < 1:
            part, other_part = ours.whole(part * share), theirs.whole(other_part * share)
        if part > 0:
            got = price * (1 - trade.side * _slip(ours, bar, part * price))
            trade.cash += part * got * (trade.side - ours.fee)
            trade.fills.append((ours.traded_value[bar], part * got))
            trade.exit_price = got if trade.sold == 0 else (trade.sold + part * got) / trade.size
            trade.sold += part * got
        if other_part > 0:
            got = other * (1 + trade.side * _slip(theirs, bar, other_part * other))
            trade.cash -= other_part * got * (trade.side + ours.fee)
            trade.fills.append((theirs.traded_value[bar], other_part * got))
            trade.other_exit_price = got if trade.other_sold == 0 else (trade.other_sold + other_part * got) / trade.other_size
            trade.other_sold += other_part * got
        if part < trade.left or other_part < trade.other_left:
            trade.left -= part
            trade.other_left -= other_part
            trade.leaving, pending, due = True, reason, bar + 1
            return
        money = trade.cash
        trade.ruined = money <= 0
        money = max(money, 0.0)
        trade.exit_bar, trade.equity_after, trade.reason = bar, money, reason
        held, pending = None, ""
        if rules.cooldown is not None and money < trade.equity_before:
            resting = bar + rules.cooldown

    for t in range(first, stop):
        filled_exit = False
        # 0. What is held into the bar pays for it.
        if held is not None:
            paid = held.left * ours.carry(t, held.side, known) + held.other_left * theirs.carry(t, -held.side, other_known)
            held.cash -= paid
            held.carry += paid
        # 1. The open: exits decided before, time stops, then an entry decided before.
        if fills[t] and held is not None:
            signalled = pending and t >= due and not at_close
            timed = rules.hold is not None and t >= held.entry_bar + rules.hold and not held.leaving
            if signalled or timed:
                leave(held, t, one.open[t], two.open[t], pending if signalled else "time")
                filled_exit = held is None
        if order is not None and not at_close and t == order[1] + wait:
            held = enter(*order, t, one.open[t], two.open[t]) if fills[t] else None
            order = None
        # 2. The close: decide; at close fill, fill.
        known = one.close[t] if one.present(t) else known
        other_known = two.close[t] if two.present(t) else other_known
        if one.present(t) and two.present(t):
            if held is not None:
                value = 1 + held.side * (known / base - other_known / other_base) / 2
                signal = "signal" if (rules.exit_long if held.side > 0 else rules.exit_short)[t] else ""
                why = watch(rules, value, peak) or signal
                if why and not pending:
                    pending, due = why, t + wait
                peak = max(peak, value)
            elif order is None and t >= resting and not (at_close and filled_exit):
                long = rules.enter_long[t] and not rules.exit_long[t]
                short = rules.enter_short[t] and not rules.exit_short[t]
                if long != short:
                    order = (1 if long else -1, t)
        if at_close and held is not None and pending and t >= due and fills[t]:
            leave(held, t, known, other_known, pending)
        if at_close and order is not None and t == order[1] + wait:
            held = enter(*order, t, known, other_known) if fills[t] else None
            order = None
        # 3. Delisting, and the mark of what is held.
        if held is not None and t == delisting:
            leave(held, t, known, other_known, "delisted", capped=False)
        if held is not None:
            mark = held.cash + held.side * (held.left * known - held.other_left * other_known)
            if mark <= 0:
                held.fills += [(ours.traded_value[t], held.left * known), (theirs.traded_value[t], held.other_left * other_known)]
                held.exit_price = known if held.sold == 0 else (held.sold + held.left * known) / held.size
                shares = held.other_left * other_known
                held.other_exit_price = other_known if held.other_sold == 0 else (held.other_sold + shares) / held.other_size
                money, held.exit_bar, held.equity_after = 0.0, t, 0.0
                held.reason, held.ruined, held, pending = "ruined", True, None, ""
        equity.append(money if held is None else mark)
    if held is not None:
        held.equity_after = mark
        held.exit_price = held.other_exit_price = math.nan
    return list[Trade](trades), equity


def _slip(charges: Charges, bar: int, notional: float) -> float:
    return charges.slips[bar] if math.isnan(charges.traded_value[bar]) else charges.slip(bar, notional)
