"""The recursions of the sample market, compiled: the common factor, and one symbol's hours.

Every conditional mean is zero unless an edge is planted: shocks are symmetric simple returns (so a price is a
martingale in money, not in logarithms), and the drift of bull and bear regimes is paid back in full by jumps
against it. What is predictable everywhere is how much prices move, never where to.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

KINDS = ("null", "momentum", "mean_reversion", "breakout", "news")
EPOCH_WEEKDAY = 0  # 2018-01-01 was a Monday
# Volatility: GARCH(1,1) with leverage (Glosten, Jagannathan, Runkle 1993) around 1, times a two-state regime.
OMEGA, ALPHA, GAMMA, BETA = 0.0145, 0.05, 0.02, 0.92
CALM, TURBULENT = 0.72, 1.50
DAYS, WEEKS = 0.28, 0.25  # deviation of log volatility due to waves that last days, and weeks
SHARED = 0.6  # exponent with which the factor's calm and storm reach each symbol's own part
SHARED_SCALE = 1.03  # keeps the own part's mean square where the table of symbols has it
JUMP = 5.0  # size of a regime's jump, in that hour's volatilities
JUMP_PROBABILITY = 1.0 / 250.0
LARGEST_MOVE = 0.30  # of an hour: keeps prices positive and the symmetric shocks symmetric
EXTREMES_SHARE = 0.15  # of the extremes in an hour's mean price; the minutes inside can always be weighted to meet it
MONEY_STEP = 1e-6  # of quote volumes
ATTENTION_LEAD = 3  # hours by which public attention leads volatility


@njit(cache=True, nogil=True)
def factor_path(shock, tides, switch, jump, season, scale, out_return, out_volatility, out_turbulent, out_bull):
    """The common factor's hourly simple returns.

    shock : symmetric draws of unit variance; tides : normals (2, n_hours) of the slow waves; switch, jump : uniforms;
    season : volatility multipliers; scale : hourly volatility. float64 (n_hours,) but for the tides. Fills the four
    outputs.
    """
    variance, turbulent, bull, days, weeks = 1.0, 0, 1, 0.0, 0.0
    for t in range(shock.shape[0]):
        u = switch[t]
        if turbulent == 0:
            if u < 1.0 / (24 * 28):
                turbulent = 1
        elif u < 1.0 / (24 * 9):
            turbulent = 0
        if u > 1.0 - 1.0 / (24 * 40):
            bull = 1 - bull
        side = 1.0 if bull else -1.0
        days = 0.97 * days + 0.2431 * tides[0, t]
        weeks = 0.997 * weeks + 0.0774 * tides[1, t]
        slow = math.exp(DAYS * days + WEEKS * weeks - DAYS * DAYS - WEEKS * WEEKS)
        volatility = scale * season[t] * slow * (TURBULENT if turbulent else CALM) * math.sqrt(variance)
        z = shock[t] + side * JUMP * JUMP_PROBABILITY
        if jump[t] < JUMP_PROBABILITY:
            z -= side * JUMP
        out_return[t] = volatility * z
        out_volatility[t] = volatility
        out_turbulent[t] = turbulent
        out_bull[t] = bull
        squared = min(z * z, 30.0)
        variance = OMEGA + BETA * variance + ALPHA * squared + (GAMMA * squared if z < 0.0 else 0.0)


@njit(cache=True, nogil=True)
def tick(price):
    """Price step that leaves six significant digits."""
    return 10.0 ** (math.floor(math.log10(price)) - 5.0)


@njit(cache=True, nogil=True)
def to_tick(price, step):
    """The nearest multiple of `step`, written as the decimal a venue would print."""
    if step < 1.0:
        per = round(1.0 / step)
        return round(price * per) / per
    return round(price / step) * step


@njit(cache=True, nogil=True)
def mean_of(opened, high, low, close):
    """Volume-weighted mean price of an hour: near the middle of its ends, drawn a little to its extremes."""
    return 0.5 * (EXTREMES_SHARE * (high + low) + (1.0 - EXTREMES_SHARE) * (opened + close))


@njit(cache=True, nogil=True)
def symbol_path(
    kind, strength, windows, news, start_price, beta, factor_scale, own_scale, turnover, lot,
    factor, factor_volatility, season, busy, level, shock, normals, uniforms, out, out_volatility, out_attention, out_state,
):  # fmt: skip
    """One symbol's hours from the epoch on.

    kind : index into `KINDS`; strength : planted drift in units of the hour's volatility; windows : int64 (2,) lengths
    the edge reads; news : int8 (n,) direction that public news gives for each hour; beta : loading on the factor;
    factor_scale, own_scale : usual hourly volatility of the factor and of the symbol's own part; turnover : mean quote
    volume an hour; lot : smallest quantity; factor, factor_volatility, season, busy, level : (n,) factor path,
    volatility season, volume season, slow growth of volume; shock : (n,) symmetric, unit variance; normals : (7, n) for
    gap, range, volume twice, taker, trades, attention; uniforms : (3, n) in (0, 1] for high, low, own regime and jump.
    Fills out float64 (8, n): open, high, low, close, volume, quote_volume, trades, taker_buy_volume; the hour's
    volatility, the attention, and the planted state (-1, 0, 1) that held during the hour.
    """
    n = shock.shape[0]
    variance, turbulent, own_volume, attention = 1.0, 0, 0.0, 0.0
    close = to_tick(start_price, tick(start_price))
    fast = slow = close
    usual = math.sqrt(beta * beta * factor_scale * factor_scale + own_scale * own_scale)
    state, left = 0, 0
    for t in range(n):
        u = uniforms[2, t]
        if turbulent == 0:
            if u < 1.0 / (24 * 30):
                turbulent = 1
        elif u < 1.0 / (24 * 7):
            turbulent = 0
        jump = 0.0
        if u > 1.0 - 1.0 / 600.0:
            jump = 6.0 if u > 1.0 - 0.5 / 600.0 else -6.0
        attention = 0.97 * attention + 0.2431 * normals[6, t]
        out_attention[t] = attention
        lead = out_attention[t - ATTENTION_LEAD] if t >= ATTENTION_LEAD else 0.0
        z = shock[t] + jump
        climate = factor_volatility[t] / (factor_scale * season[t])
        storm = climate**SHARED * (1.5 if turbulent else 0.85) * math.exp(0.22 * lead - 0.0484)
        own = own_scale * SHARED_SCALE * season[t] * storm * math.sqrt(variance)
        squared = min(z * z, 30.0)
        variance = 0.021 + 0.915 * variance + 0.06 * squared
        volatility = math.sqrt(beta * beta * factor_volatility[t] * factor_volatility[t] + own * own)

        if kind == 1:
            state = 1 if fast > slow else (-1 if fast < slow else 0)
        elif kind == 4:
            state = news[t]
        move = beta * factor[t] + own * z + strength * state * volatility
        move = min(max(move, -LARGEST_MOVE), LARGEST_MOVE)
        out_state[t] = state

        opened = close * (1.0 + 0.015 * volatility * normals[0, t])
        step = tick(opened)
        opened = to_tick(opened, step)
        close = to_tick(opened * (1.0 + move), step)
        r = math.log(close / opened)
        spread = volatility * math.exp(0.12 * normals[1, t])
        # Extremes of a Brownian bridge from 0 to r (its maximum has a Rayleigh law beyond the ends).
        up = 0.5 * (r + math.sqrt(r * r - 2.0 * spread * spread * math.log(uniforms[0, t])))
        down = 0.5 * (r - math.sqrt(r * r - 2.0 * spread * spread * math.log(uniforms[1, t])))
        high = max(to_tick(opened * math.exp(up), step), opened, close)
        low = min(to_tick(opened * math.exp(down), step), opened, close)
        low = max(low, step)

        own_volume = 0.9 * own_volume + 0.12 * normals[2, t]
        active = 0.7 * math.log(volatility / (usual * season[t])) + 0.55 * math.log(0.3 + abs(move) / volatility)
        money = turnover * busy[t] * level[t] * math.exp(active + own_volume + 0.25 * normals[3, t] + 0.1 * lead)
        mean_price = mean_of(opened, high, low, close)
        volume = max(to_tick(money / mean_price, lot), lot)
        share = 0.5 + 0.042 * math.tanh(move / volatility) + 0.055 * normals[4, t]
        trades = max(1.0, round(volume * mean_price / 900.0 * math.exp(0.15 * normals[5, t])))
        out[0, t] = opened
        out[1, t] = high
        out[2, t] = low
        out[3, t] = close
        out[4, t] = volume
        out[5, t] = to_tick(volume * mean_price, MONEY_STEP)
        out[6, t] = trades
        out[7, t] = min(to_tick(volume * min(max(share, 0.05), 0.95), lot), volume)
        out_volatility[t] = volatility

        if kind == 1:
            fast += (close - fast) * 2.0 / (windows[0] + 1.0)
            slow += (close - slow) * 2.0 / (windows[1] + 1.0)
        elif kind == 2 and t + 1 >= windows[0]:
            mean = 0.0
            for k in range(t + 1 - windows[0], t + 1):
                mean += out[3, k]
            mean /= windows[0]
            squares = 0.0
            for k in range(t + 1 - windows[0], t + 1):
                squares += (out[3, k] - mean) ** 2
            width = 2.0 * math.sqrt(squares / (windows[0] - 1))
            state, left = _reversion_state(state, left, close - mean, width, windows[1])
        elif kind == 3 and t >= windows[0]:
            highest, lowest = out[1, t - 1], out[2, t - 1]
            for k in range(t - windows[0], t - 1):
                highest = max(highest, out[1, k])
                lowest = min(lowest, out[2, k])
            state, left = _breakout_state(state, left, close - highest, lowest - close, windows[1])


@njit(cache=True, nogil=True)
def _reversion_state(state, left, distance, width, hours):
    """Direction of the next bar: against a close `width` away from its mean, until the mean or `hours` are reached."""
    if state != 0:
        left -= 1
        if left <= 0 or state * distance > 0.0:
            return 0, 0
        return state, left
    if distance < -width:
        return 1, hours
    if distance > width:
        return -1, hours
    return 0, 0


@njit(cache=True, nogil=True)
def _breakout_state(state, left, above, below, hours):
    """Direction of the next bar: with a close beyond the channel, for `hours` bars."""
    if state != 0:
        left -= 1
        if left > 0:
            return state, left
        return 0, 0
    if above > 0.0:
        return 1, hours
    if below > 0.0:
        return -1, hours
    return 0, 0


def seasons(hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers of volatility and of volume for hours from the epoch (int64): float64 of the same shape.

    Busiest at 14-16 UTC with a second, smaller peak at 0-1 UTC; weekends are quiet. The mean square of the
    volatility multiplier and the mean of the volume multiplier are 1 over a week.
    """
    week = np.arange(168)
    hour, day = week % 24, (week // 24 + EPOCH_WEEKDAY) % 7
    bump = np.exp(-0.5 * ((hour - 14.5) / 3.0) ** 2) + 0.45 * np.exp(-0.5 * (np.minimum(hour, 24 - hour) / 1.2) ** 2)
    weekend = day >= 5
    volatility = (0.78 + 0.50 * bump) * np.where(weekend, 0.80, 1.0)
    volume = (0.62 + 1.05 * bump) * np.where(weekend, 0.68, 1.0)
    volatility /= np.sqrt(np.mean(volatility**2))
    volume /= volume.mean()
    index = hours % 168
    return volatility[index], volume[index]


@njit(cache=True, nogil=True)
def autoregression(noise, scale, memory):
    """x_t = memory x_t-1 + scale noise_t, started at 0; each product and sum rounded by itself."""
    out = np.empty(len(noise))
    state = 0.0
    for t in range(len(noise)):
        state = scale * noise[t] + memory * state
        out[t] = state
    return out
