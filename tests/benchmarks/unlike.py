"""Books in which nothing stands for anything else: every call an agreement of its own, every holding a cost of its own.

    python -m tests.benchmarks.unlike [HOLDINGS CALLS [SECONDS]]

Seconds from the book in memory to the optimum of its linear program, or to the best that there is after ``SECONDS``,
and the gap that is proven then. 20,000 by 500 without a limit unless told.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from collateral_opt import read_book
from collateral_opt.book import Book
from collateral_opt.generate import write_book
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import gather
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits

SEED = 7


def unlike(holdings: int, calls: int) -> Book:
    """A generated book with as many agreements as calls, in which no two holdings cost the same."""
    with tempfile.TemporaryDirectory() as folder:
        write_book(Path(folder) / "book", holdings=holdings, calls=calls, agreements=calls, seed=SEED)
        book = read_book(Path(folder) / "book")
    own = np.random.default_rng(SEED).uniform(-0.5, 0.5, len(book.holdings))
    return book.replace(holdings=book.holdings.assign(cost_bps=(book.holdings["cost_bps"] + own).round(6)))


def main(holdings: int = 20_000, calls: int = 500, seconds: int | None = None) -> None:
    book = unlike(holdings, calls)
    wall, cpu = time.perf_counter(), time.process_time()
    problem = Problem(gather(book.in_full))
    (found,) = linear_optima(problem, solver_named("highs"), Limits.for_a_run(seconds))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    flows = found.found
    gap = (flows.cost - flows.bound) / max(abs(flows.cost), abs(flows.bound))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    print("| Holdings x calls | eligible pairs | processor s | s | proven gap | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {holdings:,} x {calls:,} | {problem.pairs:,} | {cpu:,.1f} | {wall:,.1f} | {max(gap, 0):.1e} "
        f"| {memory:.1f} GB |"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
