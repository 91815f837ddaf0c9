"""The bank: every distinct series of a population, computed once.

What belongs here: evaluating value expressions over all symbols of a `Bars`, memoising, spreading work over
threads. What does not: formulas (`definitions/`), how one row meets gaps (`rows`), arithmetic between series
(`operations`), comparisons (`strategies/`).

Times. A value at bar t is known at the close of t. ``rsi(close, 14)@4h`` is computed on the resampled bars and enters
a lower bar only when the 4h bar has closed no later than it; it is NaN where the symbol has no bar of its own.
`lag` and `change` count bars of the grid, so a lag that reaches into a gap is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

import numpy as np

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError, PipelineError, UnknownIndicatorError, UnknownSymbolError
from strategy_pipeline.indicators import families, operations, rows
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.indicators.memo import Blocks, Memo
from strategy_pipeline.indicators.registry import EXPRESSION_INPUTS, FIELDS, TIME_INPUT, Indicator, spec

if TYPE_CHECKING:
    from pathlib import Path

    from strategy_pipeline.indicators.disk import SeriesCache
    from strategy_pipeline.market import Bars

Array = np.ndarray
Node = tuple[int, Value]  # a bank, by identity, and an expression computed there


class UnknownSeriesError(PipelineError):
    """A named series (with a dot) was asked for that the bank does not hold."""


class Bank:
    """Evaluates value expressions on `bars`.

    Parameters
    ----------
    bars : Bars
    series : mapping of str to ndarray of shape (n_symbols, n_bars) or (n_bars,), optional
        Named series (their names have a dot, as ``forecast.return_24h``), as causal as their maker.
    workers : int
        Threads; 0 is one per core. Results never depend on it.
    max_bytes : int
        Memory for memoised results. Beyond it the least recently used are dropped, and computed again if asked for, so a
        population of any size is read in bounded memory: a caller that asks for parts of it holds one part and the memo.
        What is returned is the caller's, and no longer counted once the bank has dropped it.
    cache : str, Path or SeriesCache, optional
        A folder that keeps the catalog's series on disk, by content (`disk`): the same values read from the same bars by
        another bank or process are read, not computed. Kept are the entries of the catalog that take longer to compute than
        to read (`SeriesCache.worth`), never entries of one's own.

    Results are float64 of shape (n_symbols, n_bars), C-contiguous and read-only; NaN where undefined.
    """

    def __init__(
        self, bars: Bars, *, series: Mapping[str, Array] | None = None, workers: int = 0, max_bytes: int = 4 << 30,
        cache: str | Path | SeriesCache | None = None,
    ) -> None:  # fmt: skip
        self.bars = bars
        self.workers = workers
        self._shape = (len(bars.symbols), len(bars.times))
        self._named = {name: self._checked(name, values) for name, values in (series or {}).items()}
        self._store: Memo[Node] = Memo(max_bytes)
        self._disk = _opened(cache)
        self._seen: dict[str, Array] = {}  # by timeframe: the bar there that each of ours knows
        self._digests: dict[str, str] = {}  # of fields and named series, for the disk's keys
        # Weak, so that a bank and what it remembers go with the last who holds it, without waiting for the garbage collector,
        # which counts objects and not their gigabytes.
        self._above: ref[Bank] | None = None
        self._timeframes: dict[str, Bank] = {}
        self._symbols: dict[str, Bank] = {}
        self._present = np.isfinite(bars.close)
        self._seconds = np.asarray(bars.times).astype("datetime64[s]").astype(np.int64).astype(np.float64)

    @property
    def _parent(self) -> Bank | None:
        """Of a bank of one symbol, which is only used through it: the bank of all symbols on the same bars."""
        return None if self._above is None else self._above()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the series it was given, sorted."""
        return tuple(sorted(self._named))

    def holds(self, series: Mapping[str, Array] | None) -> bool:
        """Whether it was given `series`: the same names, and the same values as they are now."""
        given = series or {}
        return given.keys() == self._named.keys() and all(
            np.array_equal(self._named[name].view(np.int64), self._checked(name, values).view(np.int64)) for name, values in given.items()
        )

    @property
    def max_bytes(self) -> int:
        """Memory for memoised results."""
        return self._store.limit

    @property
    def computed(self) -> int:
        """How many distinct expressions have been computed so far (an indicator with several outputs counts once)."""
        return self._store.computed

    def evaluate(self, value: Value) -> Array:
        """The series of `value`, float64 (n_symbols, n_bars), read-only. Errors name what is unknown and what is near."""
        return self.evaluate_many([value])[0]

    def evaluate_many(self, values: Iterable[Value]) -> list[Array]:
        """The series of each value, in order; distinct indicators run in parallel over (expression, symbol)."""
        with self._store.lock:
            wanted = list(values)
            levels: dict[int, dict[Node, Bank]] = {}
            for value in wanted:
                self._plan(value, levels)
            for level in sorted(levels):
                nodes = [(bank, node) for (_, node), bank in levels[level].items()]
                # What is being computed at once stays well below what may be kept.
                tile = max(1, self._store.limit // (8 * max(1, 8 * self._shape[0] * self._shape[1])))
                for first in range(0, len(nodes), tile):
                    self._run(nodes[first : first + tile])
            return [self._resolve(value) for value in wanted]

    def graph(self, value: Value, into: dict[Node, tuple[tuple[Node, ...], int]]) -> Node | None:
        """The node under which `value` is remembered, None for numbers, prices and named series, which are not.

        It and all that it is computed from enter `into`: the nodes that each is computed from directly, and its bytes.
        """
        if isinstance(value, Number):
            return None
        key: Node = (id(self), value)
        outputs = 1
        parts: list[Node | None]
        if isinstance(value, Arithmetic):
            if key in into:
                return key
            parts = [self.graph(operand, into) for operand in value.operands]
        else:
            bank, node = self._step(value)
            if bank is not self:
                if key in into:
                    return key
                parts = [bank.graph(node, into)]
            elif node is not value:
                return self.graph(node, into)
            elif node.name in FIELDS or "." in node.name:
                return None
            else:
                canonical = self._canonical(node)
                key, outputs = (id(self), canonical), len(spec(node.name).outputs)
                if key in into:
                    return key
                parts = [self.graph(operand, into) for operand in canonical.inputs]
        into[key] = tuple(part for part in dict.fromkeys(parts) if part is not None), 8 * outputs * self._shape[0] * self._shape[1]
        return key

    def release(self, nodes: Iterable[Node]) -> None:
        """Forget results that nobody will ask for again; asked for all the same, they are computed again."""
        with self._store.lock:
            self._store.drop(nodes)

    # -- what an expression needs

    def _plan(self, value: Value, levels: dict[int, dict[Node, Bank]]) -> int:
        """Record what is to be computed for `value` by depth, so that each level only needs earlier ones; returns its depth."""
        if isinstance(value, Number):
            return 0
        key: Node = (id(self), value)
        if isinstance(value, Arithmetic):
            operations.check(value)
            if self._store.get(key) is not None:
                return 0
            depth = 1 + max(self._plan(operand, levels) for operand in value.operands)
        else:
            bank, node = self._step(value)
            if bank is not self:
                if self._store.get(key) is not None:
                    return 0
                depth = 1 + bank._plan(node, levels)
            elif node is not value:
                return self._plan(node, levels)
            elif node.name in FIELDS or "." in node.name:
                return 0
            else:
                key = (id(self), self._canonical(node))
                if self._store.get(key) is not None:
                    return 0
                depth = 1 + max((self._plan(operand, levels) for operand in key[1].inputs), default=0)
        levels.setdefault(depth, {})[key] = self
        return depth

    def _step(self, value: Series) -> tuple[Bank, Series]:
        """The bank one step nearer to where `value` is computed (its symbol, its timeframe, its universe), and what is left."""
        if value.symbol is not None:
            return self._of(value.symbol), replace(value, symbol=None)
        if value.timeframe is not None:
            return self._at(value.timeframe), replace(value, timeframe=None)
        if self._parent is not None and value.name not in FIELDS and "." not in value.name and spec(value.name).scope == "universe":
            return self._parent, value
        return self, value

    def _route(self, value: Series) -> tuple[Bank, Series]:
        """The bank that computes `value`, and what is left to compute there."""
        bank, node = self._step(value)
        return (bank, node) if bank is self and node is value else bank._route(node)

    def _canonical(self, node: Series) -> Series:
        """Defaults filled in, output set aside: what one computation serves."""
        entry = spec(node.name)
        values = entry.values(node.params)
        entry.output(node.output)
        wanted = entry.expression_inputs
        given = node.inputs or self._default_inputs(entry)
        if len(given) < len(wanted):
            given = (*given, *self._default_inputs(entry)[len(given) :])
        if len(given) != len(wanted):
            raise UnknownIndicatorError(
                f"Expected {len(wanted)} inputs for {node.name!r} ({', '.join(wanted) or 'it reads whole bars'}), "
                f"was {len(given)}; correct them."
            )
        return Series(node.name, given, tuple(float(value) for value in values.values()))

    def _default_inputs(self, entry: Indicator) -> tuple[Value, ...]:
        """`series` is the close; `other` the close of the first symbol, the market's reference."""
        top = self._parent or self
        defaults: dict[str, Value] = {"series": Series("close"), "other": Series("close", symbol=top.bars.symbols[0])}
        return tuple(defaults[name] for name in entry.expression_inputs)

    # -- sub-banks

    def _at(self, timeframe: str) -> Bank:
        if timeframe == self.bars.timeframe:
            return self
        if self._parent is not None:
            return self._parent._at(timeframe)._of(self.bars.symbols[0])
        if timeframe not in self._timeframes:
            from strategy_pipeline.market.timeframes import TIMEFRAMES, is_finer

            if timeframe not in TIMEFRAMES:
                raise UnknownIndicatorError(f"Expected a timeframe among {', '.join(TIMEFRAMES)}, was {timeframe!r}; correct it.")
            if not is_finer(self.bars.timeframe, timeframe):
                raise InvalidBarsError(
                    f"Expected a timeframe coarser than the bars' {self.bars.timeframe}, was {timeframe}; finer values cannot be made "
                    f"from coarser bars; read the bars at {timeframe}."
                )
            bank = Bank(self.bars.resample(timeframe), workers=self.workers)
            bank._store, bank._disk = self._store, self._disk
            at = operations.known_at(np.asarray(self.bars.available_at), np.asarray(bank.bars.available_at))
            bank._named = {name: operations.gather(values, at) for name, values in self._named.items()}
            self._timeframes[timeframe] = bank
        return self._timeframes[timeframe]

    def _of(self, symbol: str) -> Bank:
        if self._parent is not None:
            return self._parent._of(symbol)
        if symbol not in self._symbols:
            if symbol not in self.bars.symbols:
                raise UnknownSymbolError(
                    f"Expected a symbol among {', '.join(self.bars.symbols)}, was {symbol!r}; it cannot be read; add it to the bars."
                )
            row = self.bars.symbols.index(symbol)
            bank = Bank(self.bars.select((symbol,)), workers=self.workers)
            bank._store, bank._disk, bank._above = self._store, self._disk, ref(self)
            bank._named = {name: np.ascontiguousarray(values[row : row + 1]) for name, values in self._named.items()}
            self._symbols[symbol] = bank
        return self._symbols[symbol]

    def _fit(self, array: Array, source: Bank, out: Array) -> Callable[[], None]:
        """Work that puts `array` of `source` (a higher timeframe, one symbol, or the universe) on this bank's rows and bars in `out`."""
        from strategy_pipeline.indicators.kernels import placing

        if source.bars.timeframe != self.bars.timeframe:  # each of our bars sees the newest bar closed by its own close
            seen = self._seen.get(source.bars.timeframe)
            if seen is None:
                at = operations.known_at(np.asarray(source.bars.available_at), np.asarray(self.bars.available_at))
                seen = self._seen[source.bars.timeframe] = at.astype(np.int32)
            return lambda: placing.spread(array, seen, self._present, out)
        rows = array[source.bars.symbols.index(self.bars.symbols[0])][None, :] if source is self._parent else array

        def copy() -> None:
            out[...] = rows

        return copy

    # -- evaluation

    def _resolve(self, value: Value) -> Array:
        key: Node = (id(self), value)
        found = self._store.get(key)
        if found is not None:
            return found[0]
        if isinstance(value, Number):
            return self._store.put(key, (np.full(self._shape, value.value),))[0]
        if isinstance(value, Series):
            bank, node = self._step(value)
            if bank is self and node is not value:
                return self._resolve(node)
            if bank is self and node.name in FIELDS:
                return self._field(node)
            if bank is self and "." in node.name:
                return self._series(node.name)
            if bank is self:
                key = (id(self), self._canonical(node))
        arrays = self._store.get(key)
        if arrays is None:
            self._run([(self, key[1])])
            arrays = cast(tuple[Array, ...], self._store.get(key))
        if isinstance(value, Arithmetic) or key[1] is value:
            return arrays[0]
        entry = spec(value.name)
        return arrays[entry.output_names.index(entry.output(value.output).name)]

    def _field(self, node: Series) -> Array:
        if node.inputs or node.params or node.output:
            raise UnknownIndicatorError(
                f"Expected the price field {node.name!r} alone, was with inputs, parameters or an output; drop them."
            )
        array = getattr(self.bars, node.name)
        if array is None:
            raise MissingColumnError(
                f"Expected bars with {node.name!r}, was without; what needs it cannot be computed; read bars from a source that carries it."
            )
        return array

    def _series(self, name: str) -> Array:
        if name not in self._named:
            near = get_close_matches(name, self._named, n=3, cutoff=0.5)
            raise UnknownSeriesError(
                f"Expected a named series among {', '.join(self.names) or '(none given)'}, was {name!r}"
                f"{' (near: ' + ', '.join(near) + ')' if near else ''}; give it to the bank as series={{{name!r}: array}}."
            )
        return self._named[name]

    def _checked(self, name: str, values: Array) -> Array:
        array = _numbers(name, values)
        if array.shape not in (self._shape, self._shape[1:]):
            raise InvalidBarsError(
                f"Expected the named series {name!r} of shape {self._shape} or {self._shape[1:]}, was {array.shape}; "
                "it cannot be aligned with the bars; build it on the same grid."
            )
        array = np.array(np.broadcast_to(array, self._shape))
        array[~np.isfinite(array)] = np.nan
        array.flags.writeable = False
        return array

    def _work(self, value: Value, out: Array) -> list[Callable[[], None]]:
        """Pieces of work that write arithmetic, or a series of another bank on this one's bars, into `out`."""
        if isinstance(value, Series):
            bank, node = self._step(value)
            return [self._fit(bank._resolve(node), bank, out)]
        arithmetic = cast(Arithmetic, value)
        # Constants stay scalars: as arrays they would cost memory and no exactness.
        operands = [operand.value if isinstance(operand, Number) else self._resolve(operand) for operand in arithmetic.operands]
        if arithmetic.op not in ("lag", "change"):
            return operations.apply(arithmetic.op, operands, out)
        array, steps = cast(Array, operands[0]), int(cast(float, operands[1]))

        def look_back() -> None:
            operations.lag(array, steps, out)
            if arithmetic.op == "change":
                np.subtract(array, out, out=out)

        return [look_back]

    def _run(self, nodes: Sequence[tuple[Bank, Value]]) -> None:
        """Compute nodes whose inputs need nothing further; over (node, symbol), on threads."""
        shards: list[Callable[[], None]] = []
        cache: rows.Cache = {}
        results: list[tuple[Node, tuple[Array, ...], Array | None]] = []
        fresh: list[tuple[str, tuple[Array, ...]]] = []  # for the disk
        alike: dict[tuple[int, str, tuple[Value, ...]], list[tuple[int, Array]]] = {}
        inputs_of: dict[tuple[int, str, tuple[Value, ...]], list[Array]] = {}  # holds what `cache` knows by identity
        indicators: list[tuple[Bank, Series]] = []
        counted = 0
        for bank, node in nodes:
            if isinstance(node, Series) and bank._step(node)[0] is bank:
                indicators.append((bank, node))
                continue
            out = self._store.pool.empty(bank._shape)
            shards.extend(bank._work(node, out))
            results.append(((id(bank), node), (out,), None))
            counted += isinstance(node, Arithmetic)
        blocks = self._blocks(indicators)
        for bank, node in indicators:
            entry = spec(node.name)
            group = (id(bank), node.name, node.inputs)
            if group not in inputs_of:
                operands = iter(node.inputs)
                inputs_of[group] = [bank._input(name, operands) for name in entry.inputs]
            inputs = inputs_of[group]
            parameters: dict[str, Any] = dict(entry.values(node.params))
            if entry.annualised:
                from strategy_pipeline.market.timeframes import bars_per_year

                parameters["bars_per_year"] = float(bars_per_year(bank.bars.timeframe))
            outputs, block = blocks[id(bank)].take(len(entry.outputs))
            results.append(((id(bank), node), outputs, block))
            familial = parameters.keys() == {"length"} and parameters["length"] >= 2 and node.name in families.NAMES
            counted += 1
            if self._disk is not None and self._disk.worth(entry):
                key = bank._disk_key(entry, node, inputs)
                if self._disk.read(key, outputs):
                    counted -= 1
                    continue
                fresh.append((key, outputs))
            if entry.scope == "universe":
                shards.append(rows.universe_shard(entry, inputs, parameters, outputs))
            elif familial:
                alike.setdefault(group, []).append((parameters["length"], outputs[0]))
            else:
                lookback = entry.lookback(entry.values(node.params))
                shards.extend(rows.symbol_shards(entry, inputs, parameters, lookback, outputs, cache))
        for group, members in alike.items():
            shards.extend(_family_shards(spec(group[1]), inputs_of[group], members, cache))
        _each(shards, self.workers)
        for key, outputs in fresh:
            cast("SeriesCache", self._disk).write(key, outputs)
        self._store.computed += counted
        for memo_key, outputs, block in results:
            self._store.put(memo_key, outputs, block)

    def _blocks(self, nodes: list[tuple[Bank, Series]]) -> dict[int, Blocks]:
        """Memory for the outputs of `nodes`, by bank, since each has its own shape."""
        wanted: dict[int, int] = {}
        for bank, node in nodes:
            wanted[id(bank)] = wanted.get(id(bank), 0) + len(spec(node.name).outputs)
        shapes = {id(bank): bank._shape for bank, _ in nodes}
        return {each: Blocks(shapes[each], total, self._store.limit, self._store.pool) for each, total in wanted.items()}

    def _disk_key(self, entry: Indicator, node: Series, inputs: list[Array]) -> str:
        from strategy_pipeline.indicators import disk

        digests = []
        for name, array in zip(entry.inputs, inputs, strict=True):
            if name in EXPRESSION_INPUTS:
                operand = node.inputs[entry.expression_inputs.index(name)]
                name = operand.name if isinstance(operand, Series) and operand == Series(operand.name) and operand.name in FIELDS else ""
            if name not in self._digests:
                digest = disk.digest_of(self._seconds if name == TIME_INPUT else array)
                if not name:
                    digests.append(digest)
                    continue
                self._digests[name] = digest
            digests.append(self._digests[name])
        return disk.key_of(node.name, node.params, self.bars.timeframe, digests, self._shape)

    def _input(self, name: str, operands: Any) -> Array:
        if name in EXPRESSION_INPUTS:
            return self._resolve(next(operands))
        if name == TIME_INPUT:
            return np.broadcast_to(self._seconds, self._shape)
        if "." in name:
            return self._series(name)
        return self._field(Series(name))


def _family_shards(
    entry: Indicator, inputs: list[Array], members: list[tuple[int, Array]], cache: rows.Cache
) -> list[Callable[[], None]]:  # fmt: skip
    """Closures that compute the members (length, output) of one indicator: together when there are enough, else one by one."""
    members = sorted(members, key=lambda member: member[0])
    if len(members) < families.SMALLEST or not families.has_family(entry.name):
        return [
            shard
            for length, output in members
            for shard in rows.symbol_shards(entry, inputs, {"length": length}, entry.lookback({"length": length}), (output,), cache)
        ]

    def shard(row: int, part: list[tuple[int, Array]]) -> Callable[[], None]:
        lengths = [length for length, _ in part]
        return lambda: families.fill_rows(entry.name, rows.shared(inputs, row, cache), lengths, [output[row] for _, output in part])

    parts = [members[first : first + families.PARALLEL] for first in range(0, len(members), families.PARALLEL)]
    return [shard(row, part) for part in parts for row in range(members[0][1].shape[0])]


def _opened(cache: str | Path | SeriesCache | None) -> SeriesCache | None:
    if cache is None:
        return None
    from strategy_pipeline.indicators.disk import SeriesCache

    return cache if isinstance(cache, SeriesCache) else SeriesCache(cache)


def _each(shards: list[Callable[[], None]], workers: int) -> None:
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            shard()
        return
    from strategy_pipeline.compute import map_shards

    map_shards(_call, shards, workers=workers)


def _call(shard: Callable[[], None]) -> None:
    shard()


def _numbers(name: str, values: object) -> Array:
    """A named series as float64; InvalidBarsError that names it where it holds text, times, or rows of unequal length."""
    try:
        given = np.asarray(values)
        if given.dtype.kind in "biufO":
            return given.astype(np.float64)
        said = f"holds {given.dtype}"
    except (TypeError, ValueError) as error:
        said = f"cannot be read as numbers ({error})"
    raise InvalidBarsError(
        f"Expected numbers in the named series {name!r}, was one that {said}; nothing is computed from it: pass float64, NaN where unknown."
    )
