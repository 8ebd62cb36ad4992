"""Times the curve of saving against moves on a desk whose collateral was posted at other costs.

    python -m tests.benchmarks.frontier [HOLDINGS CALLS]

A generated book (500 by 50 unless told) is allocated, what it delivers is posted, the cost of each holding is drawn
anew between half and one and a half of what it was, and three in ten calls ask for a fifth of their amount again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from collateral_opt import optimise, read_book
from collateral_opt.book import Book
from collateral_opt.frontier import frontier
from collateral_opt.generate import write_book


def posted_at_other_costs(holdings: int, calls: int) -> Book:
    """The book of a later day."""
    with tempfile.TemporaryDirectory() as folder:
        write_book(Path(folder) / "book", holdings=holdings, calls=calls, agreements=15, seed=3, force=False)
        book = read_book(Path(folder) / "book")
    first = optimise(book)
    lines = first.allocation.groupby(["agreement_id", "asset_id", "holding_id"], as_index=False)["quantity"].sum()
    left = dict(zip(first.inventory["holding_id"], first.inventory["left"], strict=True))
    draw = np.random.default_rng(1)
    costs = np.round(book.holdings["cost_bps"] * draw.uniform(0.5, 1.5, len(book.holdings)), 1)
    again = book.calls.sample(frac=0.3, random_state=1)
    return book.replace(
        holdings=book.holdings.assign(quantity=book.holdings["holding_id"].map(left), cost_bps=costs),
        posted=lines,
        calls=again.assign(amount=np.round(again["amount"] * 0.2, 2)),
        settings={"scope": "reoptimise"},
    )


def main(holdings: int = 500, calls: int = 50) -> None:
    book = posted_at_other_costs(holdings, calls)
    start = time.perf_counter()
    answer = optimise(book)
    once = time.perf_counter() - start
    start = time.perf_counter()
    curve = frontier(book)
    print(curve.to_string(index=False))
    print(f"{len(book.posted)} posted lines, {len(book.calls)} calls, gap {answer.summary['gap']:.2e}")
    print(f"one answer {once:.1f} s, {len(curve)} points {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
