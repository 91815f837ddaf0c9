"""The network of the market transformer, and its loss.

What belongs here: torch modules. What does not: which rows train it, and what its outputs are called. Imported only when
a transformer is trained or asked. Shapes: B sequences, L rows of time, F features, H heads, D model width, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional


@contextmanager
def quiet_torch(seed: int | None = None) -> Iterator[None]:
    """One thread and, with a seed, a torch generator of our own; both are as they were afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if seed is None:
            yield
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                yield
    finally:
        torch.set_num_threads(threads)


class LocalAttention(nn.Module):
    """Self-attention over the last `window` rows, with a linear penalty on distance (ALiBi, Press et al. 2022)."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def bias(self, blocks: int) -> torch.Tensor:
        """(H, blocks, W, 2W): minus the distance times each head's slope; minus infinity for what a row may not see.

        Rows are cut into blocks of W; each sees its own block and the one before, of which only its last W rows count.
        """
        w = self.window
        distance = torch.arange(w, 2 * w)[:, None] - torch.arange(2 * w)[None, :]
        slopes = torch.tensor([2.0 ** (-2.0 - 4.0 * h / self.heads) for h in range(self.heads)])
        bias = (-slopes[:, None, None] * distance).masked_fill((distance < 0) | (distance >= w), float("-inf"))
        bias = bias[:, None].repeat(1, blocks, 1, 1)
        bias[:, 0, :, :w] = float("-inf")  # nothing comes before the first block
        return bias

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        b, length, d = x.shape
        w = self.window
        # B L 3D -> 3 x (B H N W D/H), N blocks of W rows
        q, k, v = self.project(x).view(b, length // w, w, 3, self.heads, d // self.heads).permute(3, 0, 4, 1, 2, 5)
        scores = q @ _with_previous(k).transpose(-1, -2) / math.sqrt(d // self.heads) + bias
        mixed = torch.softmax(scores, dim=-1) @ _with_previous(v)
        return self.out(mixed.permute(0, 2, 3, 1, 4).reshape(b, length, d))


def _with_previous(blocks: torch.Tensor) -> torch.Tensor:
    """B H N W E -> B H N 2W E: each block after the one before it, zeros before the first."""
    before = functional.pad(blocks[:, :, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([before, blocks], dim=3)


class Block(nn.Module):
    """Pre-norm attention and a feed-forward layer, each added to its input."""

    def __init__(self, width: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = LocalAttention(width, heads, window)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_layers = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.norm_attention(x), bias))
        return x + self.dropout(self.forward_layers(self.norm_forward(x)))


class Network(nn.Module):
    """B L F -> quantiles B L Q (never crossing) and logits B L 3 (down, flat, up), each row from its own past only."""

    def __init__(self, inputs: int, quantiles: int, width: int, heads: int, layers: int, window: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Block(width, heads, window, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.quantiles = nn.Linear(width, quantiles)
        self.classes = nn.Linear(width, 3)

    def start_from(self, quantiles: torch.Tensor, shares: torch.Tensor) -> None:
        """Begin at the unconditional quantiles and class shares, so that training only adds what features say."""
        with torch.no_grad():
            gaps = torch.diff(quantiles).clamp_min(1e-3)
            self.quantiles.weight.mul_(0.1)
            self.classes.weight.mul_(0.1)
            self.quantiles.bias.copy_(torch.cat([quantiles[:1], gaps + torch.log(-torch.expm1(-gaps))]))
            self.classes.bias.copy_(torch.log(shares.clamp_min(1e-3)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        length = x.shape[1]
        spare = -length % self.window  # rows after the last, which no earlier row sees
        x = functional.pad(self.embed(x), (0, 0, 0, spare))
        bias = self.blocks[0].attention.bias(x.shape[1] // self.window)  # type: ignore[union-attr,operator]
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x[:, :length])
        raw = self.quantiles(x)
        steps = torch.cat([raw[..., :1], functional.softplus(raw[..., 1:])], dim=-1)
        return torch.cumsum(steps, dim=-1), self.classes(x)


def loss_of(quantiles: torch.Tensor, logits: torch.Tensor, levels: torch.Tensor, z: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
    """Mean pinball loss plus a fifth of the cross-entropy, over rows that have a label.

    quantiles: (n, Q), logits: (n, 3), z: (n,) return over volatility, kind: (n,) int64 class.
    """
    error = z[:, None] - quantiles
    pinball = torch.maximum(levels * error, (levels - 1.0) * error).mean()
    return pinball + 0.2 * functional.cross_entropy(logits, kind)
