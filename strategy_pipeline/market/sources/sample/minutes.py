"""The sixty minutes inside an hour: a bridge that ends where the hour ends and touches its high and low.

Each hour's minutes depend on (seed, symbol, hour) and on the hour's own bar alone, through a counter-based generator
(SplitMix64: Steele, Lea and Flood 2014), so any hour can be had without those before it. Aggregating the minutes
gives the hour back: prices and trade counts exactly, volumes up to the rounding of a floating-point sum.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, uint64

from strategy_pipeline import rng
from strategy_pipeline.market.sources.sample.hours import Hours
from strategy_pipeline.market.sources.sample.kernels import MONEY_STEP, mean_of, tick, to_tick

# An excursion beyond the ends is stretched at most this much towards the hour's extreme; a wick covers the rest.
STRETCH = 1.5
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _mix(x):
    x = uint64(x)
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit(cache=True, nogil=True)
def _draw(key, hour, normals, uniforms):
    """Fill normals (even length) and uniforms in (0, 1) from the stream of one hour."""
    state = _mix(uint64(key) + uint64(hour) * uint64(0xD1342543DE82EF95))
    scale = 1.0 / 9007199254740992.0
    for k in range(0, normals.shape[0], 2):
        state += _GOLDEN
        first = (float(_mix(state) >> uint64(11)) + 0.5) * scale
        state += _GOLDEN
        second = (float(_mix(state) >> uint64(11)) + 0.5) * scale
        radius = math.sqrt(-2.0 * math.log(first))
        normals[k] = radius * math.cos(2.0 * math.pi * second)
        normals[k + 1] = radius * math.sin(2.0 * math.pi * second)
    for k in range(uniforms.shape[0]):
        state += _GOLDEN
        uniforms[k] = (float(_mix(state) >> uint64(11)) + 0.5) * scale


@njit(cache=True, nogil=True)
def _prices(opened, high, low, close, volatility, normals, uniforms, out):
    """Fill open, high, low, close (rows 0-3 of out, 60 columns) of one hour."""
    step = tick(opened)
    r, ceiling, floor = math.log(close / opened), math.log(high / opened), math.log(low / opened)
    path = np.zeros(61)
    for k in range(60):
        path[k + 1] = path[k] + normals[k] * volatility / math.sqrt(60.0)
    drift = (r - path[60]) / 60.0
    for k in range(61):
        path[k] += drift * k
    path[60] = r
    top, bottom = max(0.0, r), min(0.0, r)
    k_high, k_low = np.argmax(path), np.argmin(path)
    largest, smallest = path[k_high], path[k_low]
    up = min((ceiling - top) / (largest - top), STRETCH) if largest > top else 1.0
    down = min((floor - bottom) / (smallest - bottom), STRETCH) if smallest < bottom else 1.0
    for k in range(1, 60):
        if path[k] > top:
            path[k] = top + (path[k] - top) * up
        elif path[k] < bottom:
            path[k] = bottom + (path[k] - bottom) * down
    last = opened
    for k in range(60):
        if k > 0:
            jitter = step if uniforms[k] < 0.2 else (-step if uniforms[k] > 0.8 else 0.0)
            first = min(max(to_tick(last + jitter, step), low), high)
        else:
            first = opened
        last = close if k == 59 else min(max(to_tick(opened * math.exp(path[k + 1]), step), low), high)
        reach = 0.35 * volatility / math.sqrt(60.0)
        above, below = reach * abs(normals[60 + k]), reach * abs(normals[120 + k])
        out[0, k] = first
        out[1, k] = max(first, last, min(to_tick(max(first, last) * (1.0 + above), step), high))
        out[2, k] = min(first, last, max(to_tick(min(first, last) * (1.0 - below), step), low))
        out[3, k] = last
    # The minute that closes at the path's extreme (the first, where the extreme is the open itself) touches the hour's.
    out[1, max(k_high - 1, 0)] = high
    out[2, max(k_low - 1, 0)] = low


@njit(cache=True, nogil=True)
def _weights(means, target, spread, normals, weights):
    """Shares of the hour's volume, tilted exponentially until their mean price is the hour's."""
    raw = np.empty(60)
    for k in range(60):
        raw[k] = math.exp(0.5 * normals[k])
    centre = target
    tilt = 0.0
    for _ in range(40):
        total, first, second = 0.0, 0.0, 0.0
        for k in range(60):
            x = (means[k] - centre) / spread
            w = raw[k] * math.exp(tilt * x)
            weights[k] = w
            total += w
            first += w * x
            second += w * x * x
        first /= total
        variance = second / total - first * first
        if abs(first) < 1e-12:
            break
        # Newton, with steps short enough not to overshoot where the weights crowd into one minute.
        tilt = min(max(tilt - min(max(first / max(variance, 1e-9), -4.0), 4.0), -40.0), 40.0)
    total = weights.sum()
    for k in range(60):
        weights[k] /= total


@njit(cache=True, nogil=True)
def minute_path(key, first_hour, values, volatility, lot, out):
    """Fill out float64 (8, 60 * n_hours) in the order of `hours.FIELDS`.

    values : float64 (8, n_hours) of consecutive hours, the first `first_hour` from the epoch; volatility : (n_hours,);
    lot : smallest quantity; key : uint64 of the symbol's stream.
    """
    normals, uniforms, weights = np.empty(240), np.empty(60), np.empty(60)
    per = round(1.0 / lot)
    for h in range(values.shape[1]):
        _draw(key, first_hour + h, normals, uniforms)
        block = out[:, 60 * h : 60 * (h + 1)]
        opened, high, low, close = values[0, h], values[1, h], values[2, h], values[3, h]
        _prices(opened, high, low, close, volatility[h], normals, uniforms, block)
        means = (block[0] + block[1] + block[2] + block[3]) / 4.0
        spread = max(high - low, 1e-12 * close)
        _weights(means, mean_of(opened, high, low, close), spread, normals[180:], weights)
        lots = round(values[4, h] / lot)
        trades = round(values[6, h])
        taker = round(values[7, h] / lot)
        lots_left, taker_left = lots, taker
        done, lots_before, trades_before, money = 0.0, 0, 0, 0.0
        for k in range(60):
            done += weights[k]
            lots_now = lots if k == 59 else min(math.floor(lots * done), lots)
            trades_now = trades if k == 59 else min(math.floor(trades * done), trades)
            mine = lots_now - lots_before
            # Buyers take more in minutes that rise; what is left must still fit into the minutes to come.
            lean = 1.0 + 0.2 * math.tanh((block[3, k] - block[0, k]) * 8.0 / spread)
            wanted = math.floor(taker_left * (mine / lots_left) * lean + 0.5) if lots_left > 0 else 0
            wanted = min(max(wanted, taker_left - (lots_left - mine), 0), mine, taker_left)
            lots_left -= mine
            taker_left -= wanted
            block[4, k] = mine / per if lot < 1.0 else mine * lot
            block[6, k] = trades_now - trades_before
            block[7, k] = wanted / per if lot < 1.0 else wanted * lot
            block[5, k] = block[4, k] * means[k]
            money += block[5, k]
            lots_before, trades_before = lots_now, trades_now
        # Rounding to lots left the money a hair off the hour's: spread it over the minutes that have a range.
        room = 0.0
        for k in range(60):
            room += block[4, k] * (block[1, k] - block[2, k])
        spent, paid = 0.0, 0.0
        for k in range(60):
            if room > 0.0:
                block[5, k] += (values[5, h] - money) * block[4, k] * (block[1, k] - block[2, k]) / room
            spent += block[5, k]
            now = values[5, h] if k == 59 else to_tick(spent, MONEY_STEP)
            block[5, k] = to_tick(now - paid, MONEY_STEP)
            paid = now


def minutes(seed: int, symbol: str, path: Hours, lot: float, first: int, last: int) -> np.ndarray:
    """Minutes of the hours first to last (half-open, from the epoch): float64 (8, 60 * (last - first))."""
    out = np.empty((path.values.shape[0], 60 * (last - first)))
    key = np.uint64(rng.derive_seed(seed, "sample", "minutes", symbol))
    minute_path(key, first, np.ascontiguousarray(path.values[:, first:last]), path.volatility[first:last], lot, out)
    return out
