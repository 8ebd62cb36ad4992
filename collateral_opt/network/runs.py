"""Pieces of arrays that stand side by side: stretches of positions, and runs of equal values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def ranges(first: Ints, last: Ints) -> Ints:
    """``first[0]..last[0]-1, first[1]..last[1]-1, ...`` as one array."""
    length = last - first
    start = np.repeat(first - np.cumsum(length) + length, length)
    return np.asarray(start + np.arange(len(start)), dtype=np.int64)


def distinct(values: Ints, count: int) -> tuple[Ints, Ints]:
    """The numbers below ``count`` that are among ``values``, and where each value stands among these."""
    occurs = np.zeros(count, dtype=np.bool_)
    occurs[values] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[values]


def place_in_run(values: Ints) -> Ints:
    """Of each value its place (0, 1, ...) in the run of equal values that it is in."""
    place = np.arange(len(values))
    starts = np.concatenate([np.ones(min(1, len(values)), dtype=np.bool_), values[1:] != values[:-1]])
    return np.asarray(place - np.maximum.accumulate(np.where(starts, place, 0)), dtype=np.int64)
