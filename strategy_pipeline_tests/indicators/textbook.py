"""Recursions of the literature written as plain loops, bar by bar, for entries that no table of windows describes.

What belongs here: definitions, slow and plain, that share no code with the library or TA-Lib. What does not: tests.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def kama(x: Array, n: int) -> Array:
    """Kaufman, 1995: the efficiency ratio moves the weight between those of 2 and 30 bars; starts on the bar before the first."""
    out = np.full(len(x), np.nan)
    value = x[n - 1]
    for i in range(n, len(x)):
        path = sum(abs(x[k] - x[k - 1]) for k in range(i - n + 1, i + 1))
        ratio = abs(x[i] - x[i - n]) / path if path else 1.0
        value += (ratio * (2 / 3 - 2 / 31) + 2 / 31) ** 2 * (x[i] - value)
        out[i] = value
    return out


def parabolic(high: Array, low: Array, step: float, most: float) -> Array:
    """Wilder, 1978: stop and reverse; a stop never lies within the last two bars' range."""
    out = np.full(len(high), np.nan)
    rising, stop, extreme, speed = True, low[0], high[1], step
    for i in range(1, len(high)):
        if rising and low[i] <= stop:
            rising, stop, extreme, speed = False, max(extreme, high[i - 1], high[i]), low[i], step
            out[i] = stop
        elif not rising and high[i] >= stop:
            rising, stop, extreme, speed = True, min(extreme, low[i - 1], low[i]), high[i], step
            out[i] = stop
        else:
            out[i] = stop
            beyond = high[i] if rising else low[i]
            if (rising and beyond > extreme) or (not rising and beyond < extreme):
                extreme, speed = beyond, min(most, speed + step)
        stop += speed * (extreme - stop)
        stop = min(stop, low[i - 1], low[i]) if rising else max(stop, high[i - 1], high[i])
    return out


def supertrend(high: Array, low: Array, close: Array, atr: Array, multiple: float) -> tuple[Array, Array]:
    """Seban, 2008: bands that only tighten until the close crosses them; the line and its direction."""
    line, way = np.full((2, len(close)), np.nan)
    upper = lower = math.nan
    direction = 1.0
    for i in range(1, len(close)):
        if math.isnan(atr[i]):
            continue
        middle = (high[i] + low[i]) / 2
        top, bottom = middle + multiple * atr[i], middle - multiple * atr[i]
        upper = top if not upper <= top or close[i - 1] > upper else upper
        lower = bottom if not lower >= bottom or close[i - 1] < lower else lower
        if direction < 0 and close[i] > upper:
            direction = 1.0
        elif direction > 0 and close[i] < lower:
            direction = -1.0
        line[i], way[i] = (lower if direction > 0 else upper), direction
    return line, way


def heikin_ashi(o: Array, h: Array, low: Array, c: Array) -> dict[str, Array]:
    """Valcu, 2004: each candle opens in the middle of the last one's body."""
    found = {name: np.full(len(o), np.nan) for name in ("open", "high", "low", "close")}
    begin, end = (o[0] + c[0]) / 2, (o[0] + h[0] + low[0] + c[0]) / 4
    for i in range(len(o)):
        if i:
            begin, end = (begin + end) / 2, (o[i] + h[i] + low[i] + c[i]) / 4
        for name, value in zip(found, (begin, max(h[i], begin, end), min(low[i], begin, end), end), strict=True):
            found[name][i] = value
    return found


class Hilbert:
    """Ehlers, "Rocket Science for Traders", 2001, chapters 7 to 12: EasyLanguage code line by line."""

    def __init__(self, price: Array) -> None:
        n = len(price)
        self.price = price
        self.smooth, detrender, i1, q1, self.period, self.smooth_period = np.zeros((6, n))
        i2, q2, re, im = np.zeros((4, n))

        def transform(x: Array, i: int) -> float:
            return (0.0962 * x[i] + 0.5769 * x[i - 2] - 0.5769 * x[i - 4] - 0.0962 * x[i - 6]) * (0.075 * self.period[i - 1] + 0.54)

        for i in range(40, n):
            self.smooth[i] = (4 * price[i] + 3 * price[i - 1] + 2 * price[i - 2] + price[i - 3]) / 10
            detrender[i] = transform(self.smooth, i)
            q1[i], i1[i] = transform(detrender, i), detrender[i - 3]
            i2[i] = 0.2 * (i1[i] - transform(q1, i)) + 0.8 * i2[i - 1]
            q2[i] = 0.2 * (q1[i] + transform(i1, i)) + 0.8 * q2[i - 1]
            re[i] = 0.2 * (i2[i] * i2[i - 1] + q2[i] * q2[i - 1]) + 0.8 * re[i - 1]
            im[i] = 0.2 * (i2[i] * q2[i - 1] - q2[i] * i2[i - 1]) + 0.8 * im[i - 1]
            last = self.period[i - 1]
            now = 2 * math.pi / math.atan(im[i] / re[i]) if im[i] and re[i] else last
            now = min(max(min(max(now, 0.67 * last), 1.5 * last), 6), 50)
            self.period[i] = 0.2 * now + 0.8 * last
            self.smooth_period[i] = 0.33 * self.period[i] + 0.67 * self.smooth_period[i - 1]
        self.inphase, self.quadrature = i1, q1

    def mama(self, fast: float, slow: float) -> tuple[Array, Array]:
        """The MESA adaptive average and the one that follows it."""
        n = len(self.price)
        mama, fama, phase = np.zeros((3, n))
        for i in range(41, n):
            phase[i] = math.degrees(math.atan(self.quadrature[i] / self.inphase[i])) if self.inphase[i] else 0.0
            alpha = max(fast / max(phase[i - 1] - phase[i], 1.0), slow)
            mama[i] = alpha * self.price[i] + (1 - alpha) * mama[i - 1]
            fama[i] = alpha / 2 * mama[i] + (1 - alpha / 2) * fama[i - 1]
        return mama, fama

    def phase(self) -> Array:
        """Degrees of the dominant cycle, from the sums of one cycle's smoothed prices."""
        out = np.full(len(self.price), np.nan)
        for i in range(100, len(out)):
            bars = int(self.smooth_period[i] + 0.5)
            turn = [2 * math.pi * k / bars for k in range(bars)]
            real = sum(math.sin(angle) * self.smooth[i - k] for k, angle in enumerate(turn))
            imaginary = sum(math.cos(angle) * self.smooth[i - k] for k, angle in enumerate(turn))
            angle = math.degrees(math.atan(real / imaginary)) + 90 + 360 / self.smooth_period[i]
            angle += 180 if imaginary < 0 else 0
            out[i] = angle - 360 if angle > 315 else angle
        return out

    def trendline(self) -> Array:
        """Mean of one dominant cycle of prices, smoothed by four weights."""
        flat = np.zeros(len(self.price))
        for i in range(60, len(flat)):
            bars = int(self.smooth_period[i] + 0.5)
            flat[i] = sum(self.price[i - k] for k in range(bars)) / bars
        out = np.full(len(flat), np.nan)
        for i in range(63, len(flat)):
            out[i] = (4 * flat[i] + 3 * flat[i - 1] + 2 * flat[i - 2] + flat[i - 3]) / 10
        return out

    def trendmode(self) -> Array:
        """1 in a trend: no recent crossing of sine and lead sine, no steady turn of the phase, or price away from the trendline."""
        phase, line = self.phase(), self.trendline()
        sine, lead = np.sin(np.radians(phase)), np.sin(np.radians(phase + 45))
        out, since = np.full(len(phase), np.nan), 0
        for i in range(102, len(out)):
            trend, steady = 1.0, 360 / self.smooth_period[i]
            if (sine[i] > lead[i]) != (sine[i - 1] > lead[i - 1]):
                since, trend = 0, 0.0
            since += 1
            if since < 0.5 * self.smooth_period[i] or 0.67 * steady < phase[i] - phase[i - 1] < 1.5 * steady:
                trend = 0.0
            if abs((self.smooth[i] - line[i]) / line[i]) >= 0.015:
                trend = 1.0
            out[i] = trend
        return out


def frama(high: Array, low: Array, close: Array, n: int) -> Array:
    """Ehlers, 2005: the weight is exp(-4.6 (D - 1)), D from the ranges of two halves and the whole."""
    out, half = np.full(len(close), np.nan), n // 2
    value = close[n - 1]
    out[n - 1] = value
    for i in range(n, len(close)):
        new = (high[i - half + 1 : i + 1].max() - low[i - half + 1 : i + 1].min()) / half
        old = (high[i - n + 1 : i - half + 1].max() - low[i - n + 1 : i - half + 1].min()) / half
        both = (high[i - n + 1 : i + 1].max() - low[i - n + 1 : i + 1].min()) / n
        dimension = min(2.0, max(1.0, (math.log(new + old) - math.log(both)) / math.log(2)))
        value += min(1.0, max(0.01, math.exp(-4.6 * (dimension - 1)))) * (close[i] - value)
        out[i] = value
    return out


def high_pass(x: Array, period: int) -> Array:
    """Ehlers, 2013, listing 2-2: the two-pole high-pass filter with that cut-off."""
    angle = math.sqrt(0.5) * 2 * math.pi / period
    alpha = (math.cos(angle) + math.sin(angle) - 1) / math.cos(angle)
    out = np.zeros(len(x))
    for i in range(2, len(x)):
        out[i] = (1 - alpha / 2) ** 2 * (x[i] - 2 * x[i - 1] + x[i - 2]) + 2 * (1 - alpha) * out[i - 1] - (1 - alpha) ** 2 * out[i - 2]
    return out


def super_smoother(x: Array, period: int) -> Array:
    """Ehlers, 2013, listing 3-3: the two-pole Butterworth low-pass of two bars' mean."""
    root = math.exp(-math.sqrt(2) * math.pi / period)
    turn = 2 * root * math.cos(math.sqrt(2) * math.pi / period)
    out = np.array(x)
    for i in range(2, len(x)):
        out[i] = (1 - turn + root**2) * (x[i] + x[i - 1]) / 2 + turn * out[i - 1] - root**2 * out[i - 2]
    return out


def volume_index(close: Array, volume: Array, rising: bool) -> Array:
    """Dysart, 1936: compounds the returns of bars whose volume fell (or rose); starts at 1000."""
    out = np.full(len(close), 1000.0)
    for i in range(1, len(close)):
        counts = volume[i] > volume[i - 1] if rising else volume[i] < volume[i - 1]
        out[i] = out[i - 1] * (close[i] / close[i - 1] if counts else 1.0)
    return out


def swings(x: Array, left: int, right: int) -> tuple[Array, Array]:
    """The newest low that the `left` bars before stayed above and the `right` bars after did not go under, and its age."""
    level, age = np.full((2, len(x)), np.nan)
    for i in range(left + right, len(x)):
        for pivot in range(i - right, left - 1, -1):
            if x[pivot] < x[pivot - left : pivot].min() and x[pivot] <= x[pivot + 1 : pivot + right + 1].min():
                level[i], age[i] = x[pivot], i - pivot
                break
    return level, age


def zigzag(high: Array, low: Array, reversal: float) -> dict[str, Array]:
    """Merrill, 1977: legs between turning points, each known from the bar that came back far enough from it."""
    n = len(high)
    found = {name: np.full(n, np.nan) for name in ("direction", "pivot", "extreme")}
    way, pivot, start = 0, math.nan, 0  # `start`: the bar of the last turn's extreme, from where the running leg is measured
    for i in range(n):
        top, bottom = high[start : i + 1].max(), low[start : i + 1].min()
        fresh_top, fresh_bottom = high[i] == top, low[i] == bottom
        if way >= 0 and low[i] <= top * (1 - reversal) and not (way > 0 and fresh_top):
            way, pivot, start = -1, top, i
        elif way <= 0 and high[i] >= bottom * (1 + reversal) and not (way < 0 and fresh_bottom):
            way, pivot, start = 1, bottom, i
        if way:
            found["direction"][i], found["pivot"][i] = way, pivot
            found["extreme"][i] = high[start : i + 1].max() if way > 0 else low[start : i + 1].min()
    return found


def profile(high: Array, low: Array, volume: Array, bins: int) -> tuple[Array, Array]:
    """Edges of equal bins over the window's range and the volume in each, every bar's spread evenly over its range."""
    edges = np.linspace(low.min(), high.max(), bins + 1)
    held = np.zeros(bins)
    for top, bottom, traded in zip(high, low, volume, strict=True):
        inside = np.clip(np.minimum(top, edges[1:]) - np.maximum(bottom, edges[:-1]), 0, None)
        held += traded * inside / (top - bottom)
    return edges, held
