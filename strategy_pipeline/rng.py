"""Random generators derived from what is being computed, never from a clock or a global state.

Every draw in the library comes from `generator(seed, *keys)`: the settings' seed, the asset's key and
the partition's key, e.g. ``generator(settings.seed, "strategy_population", "2025-06-29")``. The same
keys give the same stream in every process and on every platform; different keys give independent ones.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *keys: object) -> int:
    """A 63-bit seed for libraries that want an integer (torch, Optuna, scikit-learn: take it modulo
    2**32 where they demand it). SHA-256 over the textual keys, so it does not depend on PYTHONHASHSEED."""
    text = "\x1f".join([str(int(seed)), *map(str, keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *keys: object) -> np.random.Generator:
    """An independent PCG64 generator for (seed, keys)."""
    return np.random.default_rng(derive_seed(seed, *keys))
