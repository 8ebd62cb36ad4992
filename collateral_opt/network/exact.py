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


class Sum:
    """A sum of fractions, reduced once and not at every step."""

    def __init__(self) -> None:
        self._numerators: dict[int, int] = {}

    def add(self, amount: Fraction) -> None:
        """Add ``amount``; few denominators occur, so its numerator joins those over the same one."""
        of = amount.denominator
        self._numerators[of] = self._numerators.get(of, 0) + amount.numerator

    @property
    def value(self) -> Fraction:
        """The sum so far."""
        parts = [Fraction(numerator, of) for of, numerator in self._numerators.items()]
        return sum(parts[1:], parts[0]) if parts else Fraction(0)


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
