"""Compiled loops behind the catalog: arrays in, arrays out, one symbol, no gaps.

What belongs here: numba functions on float64 arrays (n,), NaN only in front. What does not: names, parameters,
units (`definitions/`), gaps and symbols (`rows`). A value at i reads indices up to i and nothing that depends on
the array's end, so truncation cannot change it.
"""
