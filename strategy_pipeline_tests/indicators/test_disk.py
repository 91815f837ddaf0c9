"""Series on disk: read back to the byte, keyed by everything they depend on, never wrong."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strategy_pipeline.indicators import Bank, Output, Series, SeriesCache, disk, indicator, term
from strategy_pipeline.indicators.registry import length, unregister
from strategy_pipeline_tests.indicators.conftest import blanked, world

REPOSITORY = Path(__file__).parents[2]
VALUES = [
    term("rank"), term("hurst"), term("skew", length=30), term("volume_profile"), term("anchored_vwap_bands"), term("ht_sine"),
    term("rank", timeframe="4h"), term("rank", symbol="ETH/USDT"), term("percentile", term("entropy", length=20), length=5),
]  # fmt: skip
HITS = len(VALUES) + 1  # the inner entropy as well


def files(folder):
    return sorted(folder.glob(f"??/*{disk.SUFFIX}"))


def test_what_is_read_is_what_was_computed(gappy, tmp_path):
    without = Bank(gappy, workers=1).evaluate_many(VALUES)
    first = Bank(gappy, workers=2, cache=tmp_path)
    written = first.evaluate_many(VALUES)
    assert first.computed == HITS and len(files(tmp_path)) == HITS
    cache = SeriesCache(tmp_path)
    again = Bank(gappy, workers=1, cache=cache)
    read = again.evaluate_many(VALUES)
    assert again.computed == 0 and cache.misses == 0
    for one, two, three in zip(without, written, read, strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()
        assert not three.flags.writeable and three.flags.c_contiguous


def test_nothing_is_written_without_a_folder(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Bank(whole, workers=1).evaluate(term("rank"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["a price", "a gap", "a parameter", "a timeframe", "a named series", "an input", "a symbol"])
def test_what_a_series_depends_on_changes_its_key(change, whole, tmp_path):
    macro = world(whole)
    value = term("rank", Series("macro.sp500"), length=20) if change == "a named series" else term("rank", length=20)
    Bank(whole, series=macro, workers=1, cache=tmp_path).evaluate(value)
    bars, asked = whole, value
    if change == "a price":
        close = whole.close.copy()
        close[1, 400] = np.nextafter(close[1, 400], np.inf)
        bars = whole.with_fields(close=close)
    elif change == "a gap":
        bars = blanked(whole, 0, slice(10, 11))
    elif change == "a parameter":
        asked = term("rank", length=21)
    elif change == "a timeframe":
        asked = term("rank", length=20, timeframe="4h")
    elif change == "an input":
        asked = term("rank", Series("high"), length=20)
    elif change == "a symbol":
        bars = whole.select(whole.symbols[:2])
    else:
        macro = {name: np.array(values) for name, values in macro.items()}
        for values in macro.values():
            values[..., 300] *= 1.01
    cache = SeriesCache(tmp_path)
    got = Bank(bars, series=macro if bars is whole else None, workers=1, cache=cache).evaluate(asked)
    assert (cache.hits, cache.misses) == (0, 1)
    assert got.tobytes() == Bank(bars, series=macro if bars is whole else None, workers=1).evaluate(asked).tobytes()


def test_fields_that_an_entry_does_not_read_leave_its_key(whole, tmp_path):
    Bank(whole, workers=1, cache=tmp_path).evaluate(term("rank"))
    cache = SeriesCache(tmp_path)
    Bank(whole.with_fields(volume=whole.volume * 2.0), workers=1, cache=cache).evaluate(term("rank"))
    assert (cache.hits, cache.misses) == (1, 0)


def test_other_code_is_another_key(whole, tmp_path, monkeypatch):
    Bank(whole, workers=1, cache=tmp_path).evaluate(term("rank"))
    monkeypatch.setattr(disk, "code_digest", lambda: "of another version")
    cache = SeriesCache(tmp_path)
    Bank(whole, workers=1, cache=cache).evaluate(term("rank"))
    assert (cache.hits, cache.misses) == (0, 1)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "longer", "empty", "another file's header", "another series"])
def test_a_damaged_file_is_noted_and_computed_again(damage, whole, tmp_path, caplog):
    expected = Bank(whole, workers=1, cache=tmp_path).evaluate(term("rank")).tobytes()
    (path,) = files(tmp_path)
    good = path.read_bytes()
    if damage == "a flipped bit":
        path.write_bytes(good[:5_000] + bytes([good[5_000] ^ 1]) + good[5_001:])
    elif damage == "cut short":
        path.write_bytes(good[:-8])
    elif damage == "longer":
        path.write_bytes(good + b"x")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "another file's header":
        path.write_bytes(b"PAR1" + good[4:])
    else:
        Bank(whole, workers=1, cache=tmp_path).evaluate(term("rank", length=15))
        (other,) = [each for each in files(tmp_path) if each != path]
        path.write_bytes(other.read_bytes())
    cache = SeriesCache(tmp_path)
    with caplog.at_level(logging.WARNING):
        got = Bank(whole, workers=1, cache=cache).evaluate(term("rank"))
    assert got.tobytes() == expected and cache.damaged == 1
    assert path.name in caplog.text
    assert path.read_bytes() == good  # and is whole again


def test_a_folder_that_cannot_be_written_changes_nothing(whole, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        got = Bank(whole, workers=1, cache=blocked).evaluate(term("rank"))
    assert got.tobytes() == Bank(whole, workers=1).evaluate(term("rank")).tobytes()
    assert "not kept" in caplog.text


def test_the_folder_keeps_its_limit_and_what_was_used_last(whole, tmp_path):
    one = 3 * 600 * 8 + 64
    cache = SeriesCache(tmp_path, max_bytes=10 * one)
    kept = term("rank", length=2)
    for step, n in enumerate(range(2, 40)):
        Bank(whole, workers=1, cache=cache).evaluate(term("rank", length=n))
        for path in files(tmp_path):  # as if a second had passed
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))
        Bank(whole, workers=1, cache=cache).evaluate(kept)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 10 * one
        assert step < 10 or len(files(tmp_path)) >= 8
    before = cache.hits
    Bank(whole, workers=1, cache=cache).evaluate(kept)
    assert cache.hits == before + 1
    tiny = SeriesCache(tmp_path / "tiny", max_bytes=100)
    Bank(whole, workers=1, cache=tiny).evaluate(kept)
    assert files(tmp_path / "tiny") == []


def test_quick_entries_and_those_of_ones_own_are_not_kept(whole, tmp_path):
    @indicator(
        "of_mine",
        family="trend",
        inputs=("series",),
        params=(length(5),),
        outputs=(Output("value", "price"),),
        warmup=5,
        source="a test",
        cost="window",
    )
    def of_mine(series, *, length):
        return series * length

    try:
        bank = Bank(whole, workers=1, cache=tmp_path)
        bank.evaluate_many([term("of_mine"), term("sma", length=9), term("highest", length=9)])
    finally:
        unregister("of_mine")
    assert files(tmp_path) == [] and bank.computed == 3


SCRIPT = """
import sys
from strategy_pipeline.indicators import Bank, SeriesCache, term
from strategy_pipeline_tests.indicators.conftest import random_walk
bars = random_walk(3, 600, seed=5)
cache = SeriesCache(sys.argv[1], max_bytes=400_000)
for turn in range(3):
    for n in range(2, 40):
        Bank(bars, workers=1, cache=cache).evaluate(term("rank", length=n))
print(cache.damaged)
"""


def test_processes_share_a_folder(whole, tmp_path):
    """Two at once, over a limit that makes each remove what the other may be reading."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for run in runs:
        out, problem = run.communicate(timeout=120)
        assert run.returncode == 0 and out.strip() == "0" and not problem, problem
    assert not list(tmp_path.rglob("*.tmp"))
    for n in range(2, 40):
        cached = Bank(whole, workers=1, cache=tmp_path).evaluate(term("rank", length=n))
        assert cached.tobytes() == Bank(whole, workers=1).evaluate(term("rank", length=n)).tobytes()
