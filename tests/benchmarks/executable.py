"""What whole lots cost on top of the linear program: the gap to its bound, and the seconds.

    python -m tests.benchmarks.executable [HOLDINGS CALLS]

A generated book (2,000 by 100 unless told) with plain lots, then with a least line of a quarter of a million at every
agreement, then with at most so many lines a call as well. A run ends after ``SECONDS``, with the best that it has then.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from collateral_opt import optimise, read_book
from collateral_opt.book import Book
from tests.benchmarks.books import Size, generated

LEAST_LINE = 250_000.0
MOST_LINES = (10, 15, 20)
SECONDS = 120.0


def variants(book: Book) -> dict[str, Book]:
    """The same book under stricter terms, by what they ask for."""
    book = book.replace(settings={"time_limit_s": SECONDS})
    plain = book.agreements.assign(min_line_value=0.0)
    least = plain.assign(min_line_value=LEAST_LINE)
    return {
        "lots": book.replace(agreements=plain),
        f"lots, lines of {LEAST_LINE:,.0f}": book.replace(agreements=least),
        **{
            f"the same, {most} lines a call": book.replace(agreements=least.assign(max_lines=most))
            for most in MOST_LINES
        },
    }


def main(holdings: int = 2_000, calls: int = 100) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = read_book(generated(Size(holdings, calls), Path(folder)))
    print(f"| {holdings:,} x {calls:,} | gap to the linear program | solving | making whole lots | lines |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for title, stricter in variants(book).items():
        summary = optimise(stricter).summary
        seconds, lines = summary["seconds"], summary["counts"]["lines"]
        short = f", short of {summary['total_shortfall']:,.2f}" if summary["total_shortfall"] else ""
        stopped = ", stopped" if summary["stopped"] else ""
        print(
            f"| {title} | {summary['gap']:.4%}{short}{stopped} | {seconds['solving']:.2f} s "
            f"| {seconds['making whole lots']:.2f} s | {lines:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
