"""What a bank remembers, within a limit of bytes.

What belongs here: results by key, which are forgotten first, and where their memory comes from. What does not: what is
computed (`bank`) and what is kept on disk (`disk`).

Why blocks. A fresh array of a few hundred kilobytes costs more in page faults than in arithmetic; arrays cut from one
block of megabytes, which the system backs with large pages, cost a tenth of that. A block is freed when all of its
results are forgotten, and counts in full until then.

Why a pool. Results of a megabyte and more stand alone, and their memory is handed out again when the last array that
reads it is gone: the system would clear fresh memory page by page, which costs as much as computing a mean does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import numpy as np

Array = np.ndarray
Key = TypeVar("Key")
BLOCK_BYTES = 16 << 20
LARGE_BYTES = 1 << 20


class Memo(Generic[Key]):
    """Results by key, least recently used forgotten beyond `limit` bytes; the newest is always kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.computed = 0
        self.lock = threading.RLock()
        self.pool = Pool(limit // 2)
        self._entries: OrderedDict[Key, tuple[tuple[Array, ...], Array | None]] = OrderedDict()
        self._members: dict[int, int] = {}  # results per living block

    def get(self, key: Key) -> tuple[Array, ...] | None:
        """The arrays under `key`, now the most recently used, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: Key, arrays: tuple[Array, ...], block: Array | None = None) -> tuple[Array, ...]:
        """Keep `arrays`, read-only from now on; `block` is the memory that they were cut from, if they were."""
        for array in arrays:
            array.flags.writeable = False
        if key in self._entries:
            self._forget(key)
        self._entries[key] = (arrays, block)
        if block is None:
            self.size += sum(array.nbytes for array in arrays)
        else:
            if id(block) not in self._members:
                self.size += block.nbytes
            self._members[id(block)] = self._members.get(id(block), 0) + 1
        while self.size > self.limit and len(self._entries) > 1:
            self._forget(next(iter(self._entries)))
        return arrays

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget these, where known; with the last, spare memory is given back to the system."""
        for key in keys:
            if key in self._entries:
                self._forget(key)
        if not self._entries:
            self.pool.clear()

    def _forget(self, key: Key) -> None:
        arrays, block = self._entries.pop(key)
        if block is None:
            self.size -= sum(array.nbytes for array in arrays)
            return
        self._members[id(block)] -= 1
        if self._members[id(block)] == 0:
            del self._members[id(block)]
            self.size -= block.nbytes


class Pool:
    """Large float64 arrays from memory that is used again.

    `limit` : bytes kept for arrays of one size while nobody uses them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spare: dict[int, deque[Array]] = {}  # by bytes; appending to a deque and taking from it are atomic

    def empty(self, shape: tuple[int, ...]) -> Array:
        """An array (C-contiguous, contents undefined) whose memory comes back when it and all its views are gone."""
        count = 1
        for length in shape:
            count *= length
        if 8 * count < LARGE_BYTES:
            return np.empty(shape)
        try:
            memory = self._spare[8 * count].pop()
        except (KeyError, IndexError):
            memory = np.empty(count)
        return np.asarray(_Lease(memory, self)).reshape(shape)

    def clear(self) -> None:
        """Give what is spare back to the system."""
        self._spare.clear()

    def _back(self, memory: Array) -> None:
        spare = self._spare.get(memory.nbytes)
        if spare is None:
            spare = self._spare.setdefault(memory.nbytes, deque(maxlen=max(1, self._limit // memory.nbytes)))
        spare.append(memory)


class _Lease:
    """Memory of the pool in use: the base of the arrays that read it, and gone with the last of them."""

    __slots__ = ("_home", "_memory")

    def __init__(self, memory: Array, home: Pool) -> None:
        self._memory, self._home = memory, home

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._memory.__array_interface__

    def __del__(self) -> None:
        self._home._back(self._memory)


class Blocks:
    """Cuts results of one shape from blocks that several of them share; large ones stand alone.

    Parameters
    ----------
    shape : tuple of int
        Of every result.
    total : int
        Results that will be asked for.
    limit : int
        Bytes of the memo they go to: a block stays a small part of that.
    pool : Pool
        Where large results come from.
    """

    def __init__(self, shape: tuple[int, int], total: int, limit: int, pool: Pool) -> None:
        self._shape = shape
        self._left = total
        self._pool = pool
        each = max(1, 8 * shape[0] * shape[1])
        self._large = each >= LARGE_BYTES
        self._per_block = max(1, min(BLOCK_BYTES, limit // 16) // each)
        self._block = np.empty((0, *shape))
        self._used = 0

    def take(self, count: int) -> tuple[tuple[Array, ...], Array | None]:
        """`count` arrays of the shape, contents undefined, and the block they are of, if they are of one."""
        if self._large:
            return tuple(self._pool.empty(self._shape) for _ in range(count)), None
        if len(self._block) - self._used < count:
            self._block = np.empty((max(count, min(self._per_block, self._left)), *self._shape))
            self._used = 0
        first, self._used = self._used, self._used + count
        self._left -= count
        return tuple(self._block[first + k] for k in range(count)), self._block
