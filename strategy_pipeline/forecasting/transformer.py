"""A small transformer over the recent rows of features: quantiles of the next return and P(down / flat / up).

What belongs here: training under a budget of steps, early stopping, causal inference. What does not: the layers (network).

Every row attends to a window of its own past, so one pass over a stretch of history trains or predicts all its rows at
once. Returns are in units of predicted volatility (the log-HAR it carries). Training spans: the first 70 % teach, the
next 10 % stop, the last 20 % judge, each apart by the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from strategy_pipeline.forecasting.model import Forecaster, nest, too_short, unnest
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.scaling import (
    check_features,
    drift,
    fit_scale,
    fit_scaler,
    scaled,
    slope,
    squared_skill,
    summary,
    training_rows,
    unit,
    usable,
)
from strategy_pipeline.forecasting.scores import pinball, rank_ic
from strategy_pipeline.forecasting.volatility import strided
from strategy_pipeline.rng import derive_seed, generator

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
FLAT = 0.3  # a move under this many standard deviations counts as flat
CHUNK = 384  # rows predicted in one pass; a fixed length at fixed places, so equal rows get equal bits
SEQUENCE = 128  # rows with a loss in one training sequence


@dataclass(frozen=True)
class MarketTransformer(Forecaster):
    """`return`, `up`, `z` (as `BoostedReturns`) and the quantiles `q05 .. q95` of the return.

    `steps` optimiser steps of `batch` sequences. Accepted when its pinball loss on the judged tail is below that of the
    training's own quantiles, and its centre has skill over no forecast and over shrunk drift.
    """

    steps: int = 150
    batch: int = 16
    width: int = 32
    heads: int = 2
    layers: int = 2
    window: int = 32
    dropout: float = 0.1
    rate: float = 2e-3
    name: ClassVar[str] = "market_transformer"
    outputs: ClassVar[tuple[str, ...]] = ("return", "up", "z", "q05", "q25", "q50", "q75", "q95")

    @property
    def reach(self) -> int:
        """Rows of past that a row's prediction depends on, through all layers."""
        return self.layers * (self.window - 1)

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        h, n = panel.horizon, panel.n_bars
        stop, judge = int(n * 0.7), int(n * 0.8)
        if stop - h.bars <= self.reach + h.bars:
            raise too_short("the transformer", n, 2 * (self.reach + 2 * h.bars))
        arrays = fit_scale(panel, stop - h.bars)
        realised = panel.forward_return()
        sd = unit(panel, arrays)
        z = realised / sd
        taught = np.isfinite(z) & usable(panel)
        symbol, at = training_rows(taught, strided(n, h, stop - h.bars), "the transformer")
        scaler = fit_scaler(panel.feature_values, at[:: max(1, len(at) // 2000)])
        inputs = self._inputs(panel, scaler)
        known = z[symbol, at]
        base = np.quantile(known, LEVELS)
        kinds = np.where(z > FLAT, 2, np.where(z < -FLAT, 0, 1))
        shares = np.bincount(kinds[symbol, at], minlength=3) / len(known)
        stopping = strided(n, h, max(judge - h.bars, stop + 1), stop)
        weights, used = self._optimise(inputs, z, kinds, taught, stop - h.bars, stopping, base, shares, seed)
        arrays |= nest("net", weights) | nest("scaler", scaler)

        judged = strided(n, h, n - h.bars, judge)
        quantiles, _ = self._run(inputs, weights, stop)
        centre = _centre(quantiles)
        b = slope(centre[:, stopping], np.tanh(z[:, stopping]))
        outcome, forecast = z[:, judged], b * centre[:, judged]
        bounded, base_z = np.tanh(outcome), drift(panel)[:, judged]
        skill = min(squared_skill(forecast, bounded), squared_skill(forecast, bounded, np.tanh(base_z)))
        metrics = {
            "pinball": pinball(quantiles[:, judged], LEVELS, outcome),
            "pinball_baseline": pinball(np.broadcast_to(base, (*outcome.shape, len(base))), LEVELS, outcome),
            "rank_ic": rank_ic(forecast, realised[:, judged]),
            "skill": skill,
            "slope": b,
            "steps": float(used),
        }
        arrays["slope"] = np.array([slope(centre[:, stop:], np.tanh(z[:, stop:]))])
        arrays["strength"] = summary(arrays["slope"][0] * centre[:, judged])
        accepted = skill > 0 and metrics["pinball"] < metrics["pinball_baseline"]
        return arrays, {"features": list(panel.feature_names)}, metrics, accepted

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        check_features(panel, config["features"])
        sd = unit(panel, arrays)
        first = max(0, start - self.reach - CHUNK)
        inputs = self._inputs(panel.rows(first, panel.n_bars), unnest("scaler", arrays))
        quantiles = np.full((*sd.shape, len(LEVELS)), np.nan)
        probabilities = np.full((*sd.shape, 3), np.nan)
        if panel.n_bars > first:
            # Counted in rows from the panel's first: `steps` jumps over bars that were left out.
            phase = int((panel.steps[0] + first) % CHUNK)
            q, p = self._run(inputs, unnest("net", arrays), max(start - first, self.reach), phase)
            quantiles[:, first:], probabilities[:, first:] = q, p
        # Without its whole reach of past a row would depend on where the array begins.
        bad = ~usable(panel)
        bad[:, : self.reach] = True
        quantiles[bad], probabilities[bad] = np.nan, np.nan
        z = float(arrays["slope"][0]) * _centre(quantiles)
        up = probabilities[..., 2] + 0.5 * probabilities[..., 1]
        out = {"return": z * sd, "up": up, "z": z}
        return out | {f"q{round(100 * level):02d}": quantiles[..., i] * sd for i, level in enumerate(LEVELS)}

    def _inputs(self, panel: Panel, scaler: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scaled features and whether the row is there, float32 (n_symbols, n_bars, n_features + 1)."""
        there = usable(panel)[..., None]
        values = np.where(there, scaled(panel.feature_values, scaler), np.float32(0.0))
        return np.concatenate([values, there.astype(np.float32)], axis=-1)

    def _network(self, inputs: int) -> Any:
        from strategy_pipeline.forecasting.network import Network

        return Network(inputs, len(LEVELS), self.width, self.heads, self.layers, self.window, self.dropout)

    def _optimise(
        self,
        inputs: np.ndarray,
        z: np.ndarray,
        kinds: np.ndarray,
        taught: np.ndarray,
        end: int,
        stopping: np.ndarray,
        base: np.ndarray,
        shares: np.ndarray,
        seed: int,
    ) -> tuple[dict[str, np.ndarray], int]:
        """Weights of the step with the least loss on the stopping rows, and that step. Rows from `end` on teach nothing."""
        import torch

        from strategy_pipeline.forecasting.network import loss_of, quiet_torch

        draws = generator(seed, self.name, "sequences")
        length = min(self.reach + SEQUENCE, end)
        # Rows at or after `end` are masked below; sequences start anywhere that leaves them full.
        latest = end - length
        labelled = taught & (np.arange(taught.shape[1]) < end)
        listed = np.flatnonzero(labelled.any(1))
        x, targets = torch.from_numpy(inputs), torch.from_numpy(np.clip(np.nan_to_num(z), -6, 6).astype(np.float32))
        classes, mask = torch.from_numpy(kinds.astype(np.int64)), torch.from_numpy(labelled)
        levels = torch.tensor(LEVELS, dtype=torch.float32)
        every = max(self.steps // 8, 1)
        with quiet_torch(derive_seed(seed, self.name) % 2**63):
            net = self._network(inputs.shape[-1])
            net.start_from(torch.tensor(base, dtype=torch.float32), torch.tensor(shares, dtype=torch.float32))
            optimiser = torch.optim.AdamW(net.parameters(), lr=self.rate, weight_decay=0.05)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=self.rate, total_steps=max(self.steps, 2), pct_start=0.2)
            best, best_loss, best_step, waited = _weights(net), self._loss(inputs, _weights(net), z, kinds, taught, stopping), 0, 0
            for step in range(1, self.steps + 1):
                rows = draws.choice(listed, self.batch)
                starts = draws.integers(0, latest + 1, self.batch)
                where = [slice(int(s), int(s) + length) for s in starts]
                net.train()
                quantiles, logits = net(torch.stack([x[r, w] for r, w in zip(rows, where)]))
                keep = torch.stack([mask[r, w] for r, w in zip(rows, where)])
                keep[:, : min(self.reach, length // 2)] = False
                if not bool(keep.any()):
                    continue
                z_rows = torch.stack([targets[r, w] for r, w in zip(rows, where)])[keep]
                kind_rows = torch.stack([classes[r, w] for r, w in zip(rows, where)])[keep]
                loss = loss_of(quantiles[keep], logits[keep], levels, z_rows, kind_rows)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                if step % every == 0 or step == self.steps:
                    found = self._loss(inputs, _weights(net), z, kinds, taught, stopping)
                    waited += 1
                    if found < best_loss:
                        best, best_loss, best_step, waited = _weights(net), found, step, 0
                    if waited >= 4:
                        break
        return best, best_step

    def _loss(
        self, inputs: np.ndarray, weights: Mapping[str, np.ndarray], z: np.ndarray, kinds: np.ndarray, taught: np.ndarray, rows: np.ndarray
    ) -> float:
        """The training loss on given rows, without dropout."""
        import torch

        from strategy_pipeline.forecasting.network import loss_of

        first = max(int(rows[0]) - self.reach, 0)
        quantiles, probabilities = self._run(inputs[:, first : int(rows[-1]) + 1], weights, int(rows[0]) - first)
        ok = taught[:, rows]
        if not ok.any():
            return float("inf")
        q = torch.from_numpy(quantiles[:, rows - first][ok])
        logits = torch.log(torch.from_numpy(probabilities[:, rows - first][ok]).clamp_min(1e-9))
        target, kind = torch.from_numpy(np.clip(z[:, rows][ok], -6, 6)), torch.from_numpy(kinds[:, rows][ok].astype(np.int64))
        return float(loss_of(q, logits, torch.from_numpy(LEVELS), target, kind))

    def _run(self, inputs: np.ndarray, weights: Mapping[str, np.ndarray], start: int, phase: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles (n_symbols, n, Q) and probabilities (n_symbols, n, 3), float64, of rows from `start`; NaN before.

        Works in chunks of a fixed length at fixed places of the time axis, one symbol at a time, so the bits of a row depend
        neither on what follows it nor on where the array begins. `phase` is the place of row 0 within its chunk.
        """
        import torch

        from strategy_pipeline.forecasting.network import quiet_torch

        n_symbols, n, k = inputs.shape
        out = np.full((n_symbols, n, len(LEVELS) + 3), np.nan)
        with quiet_torch(), torch.random.fork_rng(devices=[]), torch.inference_mode():
            net = self._network(k)
            net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
            net.eval()
            for symbol in range(n_symbols):
                for left in range(-phase, n, CHUNK):
                    right = min(left + CHUNK, n)
                    if right <= start:
                        continue
                    window = np.zeros((1, self.reach + CHUNK, k), dtype=np.float32)
                    source = max(left - self.reach, 0)
                    offset = source - (left - self.reach)
                    window[0, offset : offset + right - source] = inputs[symbol, source:right]
                    quantiles, logits = net(torch.from_numpy(window))
                    both = torch.cat([quantiles, torch.softmax(logits, -1)], -1)[0, self.reach :].double().numpy()
                    rows = np.arange(max(left, start), right)
                    out[symbol, rows] = both[rows - left]
        return out[..., : len(LEVELS)], out[..., len(LEVELS) :]


def _centre(quantiles: np.ndarray) -> np.ndarray:
    """A robust mean from the three inner quantiles, weighted .3, .4, .3 (Tukey's trimean, nearly)."""
    return 0.3 * quantiles[..., 1] + 0.4 * quantiles[..., 2] + 0.3 * quantiles[..., 3]


def _weights(net: Any) -> dict[str, np.ndarray]:
    """A copy of the network's weights, float32 arrays by name."""
    return {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}
