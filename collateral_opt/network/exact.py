"""The two arithmetics of the product: floats for the solver, exact fractions for what is delivered.

A float stands for the decimal that its shortest text shows (0.02 is two hundredths), so both begin at the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def exact(value: float) -> Fraction:
    """The decimal that ``repr(value)`` shows, as a fraction."""
    return _read(float(value))


@lru_cache(maxsize=2**17)
def _read(value: float) -> Fraction:
    # A large book has few different prices, lots and costs, and asks for each many times.
    return Fraction(repr(value))


def in_floats(numbers: Sequence[Fraction]) -> NDArray[np.float64]:
    """``numbers`` in floats."""
    # Most are nothing, which is quicker seen than divided.
    return np.array([float(number) if number else 0.0 for number in numbers], dtype=np.float64)


Ratio = tuple[int, int]
"""A numerator and a denominator, exact but not in lowest terms: sums and figures need no more."""


def plus(one: Ratio, other: Ratio) -> Ratio:
    """The sum of two."""
    (a, of_a), (b, of_b) = one, other
    return (a + b, of_a) if of_a == of_b else (a * of_b + b * of_a, of_a * of_b)


@dataclass(frozen=True)
class Arithmetic:
    """Turns stored floats, and sums kept as fractions, into numbers of one kind."""

    is_exact: bool

    def array(self, values: NDArray[np.float64]) -> Array:
        """``values`` as they are, or as an object array of fractions. They must be finite."""
        if not self.is_exact:
            return np.asarray(values, dtype=np.float64)
        result = np.empty(len(values), dtype=object)
        result[:] = [exact(value) for value in values.tolist()]
        return result

    def fractions(self, numbers: Sequence[Fraction]) -> Array:
        """``numbers`` as an array of this kind."""
        if not self.is_exact:
            return in_floats(numbers)
        result = np.empty(len(numbers), dtype=object)
        result[:] = numbers
        return result

    def number(self, value: Fraction | float) -> Any:
        """One number of this kind."""
        if not self.is_exact:
            return float(value)
        return value if isinstance(value, Fraction) else exact(value)

    def zeros(self, size: int) -> Array:
        """``size`` zeros of this kind."""
        return np.full(size, Fraction(0), dtype=object) if self.is_exact else np.zeros(size)

    def ones(self, size: int) -> Array:
        """``size`` ones of this kind."""
        return np.full(size, Fraction(1), dtype=object) if self.is_exact else np.ones(size)


FLOAT = Arithmetic(is_exact=False)
EXACT = Arithmetic(is_exact=True)
