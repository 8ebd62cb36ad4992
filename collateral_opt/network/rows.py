"""Rows of the book's tables as plain values: a frame gives out single cells slowly, and its columns at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def rows(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The cells of these ``columns``, row by row."""
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def in_order(frame: pd.DataFrame, by: str) -> tuple[pd.DataFrame, Ints]:
    """``frame`` in the order of the identifiers in column ``by``, and which of its rows comes where."""
    names = frame[by].tolist()
    order = sorted(range(len(names)), key=names.__getitem__)
    ordered = frame if order == list(range(len(names))) else frame.take(order).reset_index(drop=True)
    return ordered, np.array(order, dtype=np.int64)


def positions(ids: Sequence[str] | Mapping[str, int], wanted: Iterable[str]) -> Ints:
    """Where each of ``wanted`` stands in ``ids``, or at what these say."""
    at = ids if isinstance(ids, Mapping) else {name: i for i, name in enumerate(ids)}
    # Going through a series one by one takes many times longer than through its list.
    named = wanted.tolist() if isinstance(wanted, pd.Series) else wanted
    return np.array([at[name] for name in named], dtype=np.int64)
