"""Generated books of the benchmarks, by size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Size:
    """So many holdings by so many calls."""

    holdings: int
    calls: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """``2000x100``.

        :raises ValueError: it is not of that form.
        """
        holdings, calls = text.split("x")
        return cls(int(holdings), int(calls))

    @property
    def pairs(self) -> int:
        """Eligible or not."""
        return self.holdings * self.calls

    @property
    def name(self) -> str:
        return f"{self.holdings}x{self.calls}"

    def __str__(self) -> str:
        return f"{self.holdings:,} x {self.calls:,}"


SIZES = (Size(500, 50), Size(2_000, 100), Size(5_000, 200), Size(20_000, 500), Size(100_000, 2_000))
TINY = Size(60, 6)
"""What every peer solves first, so that imports and first calls are not counted."""


def generated(size: Size, books: Path) -> Path:
    """The folder of the book of that size, made unless it is there."""
    folder = books / size.name
    if not folder.is_dir():
        # A process that starts others stays small without pandas: what it holds would count as their memory.
        from collateral_opt.generate import write_book

        write_book(folder, holdings=size.holdings, calls=size.calls, agreements=12, seed=7)
    return folder
