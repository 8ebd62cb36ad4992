"""Exact figures: decimals as rationals, and how near a stated figure must come to the truth.

A number stands for the decimal its shortest ``repr`` shows, so all comparisons are between exact rationals; only
figures stated "to the cent" get half a cent.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd

T = TypeVar("T")

CENT = Fraction(1, 100)
RELATIVE = Fraction(1, 10**9)
"""Agreement asked of figures that are not stated to the cent (caps, bounds, sums of many lines)."""
HALF_A_CENT = CENT / 2 + CENT * RELATIVE
"""How far a figure may be from the truth that is stated to the cent."""
NOTHING = Fraction(0)


@lru_cache(maxsize=2**15)
def exact(number: float) -> Fraction:
    """The decimal that the shortest ``repr`` of ``number`` shows; remembered, as a book's figures come again."""
    value = float(number)
    if value.is_integer() and abs(value) < 2**53:  # beyond, the decimal may be another whole number
        return Fraction(int(value))
    return Fraction(Decimal(repr(value)))


def total(figures: Iterable[Fraction]) -> Fraction:
    """The sum, over one common denominator: a sum of fractions would be reduced at every step."""
    terms = tuple(figures)
    if len(terms) < 2:
        return terms[0] if terms else NOTHING
    common = math.lcm(*{term.denominator for term in terms})
    return Fraction(sum([term.numerator * (common // term.denominator) for term in terms]), common)


def product(*figures: Fraction) -> Fraction:
    """The product, reduced once."""
    return Fraction(math.prod([f.numerator for f in figures]), math.prod([f.denominator for f in figures]))


@lru_cache(maxsize=2**15)
def exact_product(*numbers: float) -> Fraction:
    """The product of the decimals that these floats show; remembered like them."""
    return product(*map(exact, numbers))


def texts(column: pd.Series) -> list[str | None]:
    """A text column with every way of being empty made None."""
    return [
        value or None if type(value) is str else None if value is None or value != value else str(value) or None
        for value in column.tolist()
    ]


def positions(keys: Iterable[Any], wanted: Iterable[Any]) -> list[int]:
    """Where each of ``wanted`` stands in ``keys``; -1 where it does not."""
    # Going through a series one by one takes many times longer than through its list.
    named, asked = (one.tolist() if isinstance(one, pd.Series) else one for one in (keys, wanted))
    where: dict[Any, int] = {key: position for position, key in enumerate(named)}
    return [where.get(key, -1) for key in asked]


def grouped(items: Iterable[T], key: Callable[[T], int]) -> Mapping[int, tuple[T, ...]]:
    found: dict[int, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return {k: tuple(members) for k, members in found.items()}


def is_number(value: Any) -> bool:
    return (type(value) is float or isinstance(value, int | float | np.integer | np.floating)) and math.isfinite(value)


def near(stated: Any, true: Fraction, tolerance: Fraction) -> bool:
    """Whether a figure is a number within ``tolerance`` of the truth, or as close as a float can come."""
    if not is_number(stated):
        return False
    # Divided as integers, which is how a fraction becomes a float, and this is where most of a check's time goes.
    nearly, room = true.numerator / true.denominator, tolerance.numerator / tolerance.denominator
    # Rounded to floats the three figures are off by some parts in 10^16 of themselves: less than the last term below
    # allows for the truth, and than is taken off the tolerance. What floats cannot tell is told exactly.
    if abs(stated - nearly) <= room * (1 - 1e-12):
        return True
    return abs(exact(stated) - true) <= tolerance + abs(true) / 10**15


def agrees(stated: Any, true: Fraction) -> bool:
    """Within a cent, or one part in 10^9."""
    return near(stated, true, CENT) or near(stated, true, RELATIVE * abs(true))


def to_the_cent(name: str, figure: str, stated: Any, true: Fraction) -> Iterator[str]:
    """A figure stated to the cent is within half a cent of the truth."""
    if not near(stated, true, HALF_A_CENT):
        yield f"{name}: {figure} is stated as {stated!r}, it is {number(true)}."


def one_row_each(table: str, column: str, wanted: pd.Series, stated: pd.Series) -> Iterator[str]:
    """Each identifier of the book exactly once in a table of the result, and no others."""
    counts = Counter(stated.tolist())
    known = set(wanted.tolist())
    for name in wanted.tolist():
        if counts[name] != 1:
            yield f"{table}: {column} {name} has {counts[name]} rows, it must have one."
    for name in counts:
        if name not in known:
            yield f"{table}: {column} {name} is not in the book."


def number(value: Fraction) -> str:
    """A figure for a sentence, with digits enough to show what is wrong."""
    return f"{float(value):,.12g}"
