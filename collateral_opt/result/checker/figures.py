"""Exact figures: decimals as rationals, and how near a stated figure must come to the truth.

A number stands for the decimal its shortest ``repr`` shows, so all comparisons are between exact rationals; only
figures stated "to the cent" get half a cent.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

CENT = Fraction(1, 100)
RELATIVE = Fraction(1, 10**9)
"""Agreement asked of figures that are not stated to the cent (caps, bounds, sums of many lines)."""
HALF_A_CENT = CENT / 2 + CENT * RELATIVE
"""How far a figure may be from the truth that is stated to the cent."""
HAIRCUT_TOLERANCE = Fraction(1, 10**12)
"""How far a stated haircut may be from the true one: what floats make of it."""
NOTHING, ONE = Fraction(0), Fraction(1)


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
    ratios = [term.as_integer_ratio() for term in terms]
    common = math.lcm(*{denominator for _, denominator in ratios})
    return Fraction(sum([numerator * (common // denominator) for numerator, denominator in ratios]), common)


def product(*figures: Fraction) -> Fraction:
    """The product, reduced once."""
    numerator = denominator = 1
    for figure in figures:
        over, under = figure.as_integer_ratio()
        numerator *= over
        denominator *= under
    return Fraction(numerator, denominator)


@lru_cache(maxsize=2**15)
def exact_product(*numbers: float) -> Fraction:
    """The product of the decimals that these floats show; remembered like them."""
    return product(*map(exact, numbers))


def grouped(items: Iterable[T], key: Callable[[T], int]) -> Mapping[int, tuple[T, ...]]:
    found: dict[int, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return {k: tuple(members) for k, members in found.items()}


def is_number(value: Any) -> bool:
    return (type(value) is float or isinstance(value, int | float | np.integer | np.floating)) and math.isfinite(value)


def near(stated: Any, true: Fraction, tolerance: Fraction) -> bool:
    """Whether a figure is a number within ``tolerance`` of the truth, or as close as a float can come."""
    return _surely_near(stated, true, _room(tolerance)) or (
        is_number(stated) and abs(exact(stated) - true) <= tolerance + abs(true) / 10**15
    )


def strays(stated: Iterable[Any], true: Iterable[Fraction], tolerance: Fraction) -> set[int]:
    """Where the figures of a column are not :func:`near` the true ones; most are told at a glance."""
    room = _room(tolerance)
    return {
        at
        for at, (figure, truth) in enumerate(zip(stated, true, strict=True))
        if not _surely_near(figure, truth, room) and not near(figure, truth, tolerance)
    }


def _surely_near(stated: Any, true: Fraction, room: float) -> bool:
    """Whether floats alone can tell that a figure is :func:`near` the truth; what they cannot is told exactly.

    Rounded to floats, the truth and the difference are off by some parts in 10^16 of themselves: of the truth, that
    is less than the part in 10^15 that ``near`` allows it; of the difference, than :func:`_room` takes off.
    """
    # Divided as integers, which is how a fraction becomes a float, and this is where most of a check's time goes.
    return type(stated) is float and abs(stated - true.numerator / true.denominator) <= room


def _room(tolerance: Fraction) -> float:
    """A tolerance as a float, less a part in 10^12 for what rounding makes of it and of what is held against it."""
    return tolerance.numerator / tolerance.denominator * (1 - 1e-12)


def agrees(stated: Any, true: Fraction) -> bool:
    """Within a cent, or one part in 10^9."""
    return near(stated, true, CENT) or near(stated, true, RELATIVE * abs(true))


def to_the_cent(name: str, figure: str, stated: Any, true: Fraction) -> Iterator[str]:
    """A figure stated to the cent is within half a cent of the truth."""
    if not near(stated, true, HALF_A_CENT):
        yield f"{name}: {figure} is stated as {stated!r}, it is {number(true)}."


def one_row_each(table: str, column: str, wanted: Sequence[Any], stated: Sequence[Any]) -> Iterator[str]:
    """Each identifier of the book exactly once in a table of the result, and no others."""
    counts = Counter(stated)
    known = set(wanted)
    for name in wanted:
        if counts[name] != 1:
            yield f"{table}: {column} {name} has {counts[name]} rows, it must have one."
    for name in counts:
        if name not in known:
            yield f"{table}: {column} {name} is not in the book."


def number(value: Fraction) -> str:
    """A figure for a sentence, with digits enough to show what is wrong."""
    return f"{float(value):,.12g}"
