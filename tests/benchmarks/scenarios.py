"""Times scenarios, warm and afresh, and PuLP with CBC where it is rebuilt for each.

    python -m tests.benchmarks.scenarios [SIZE ...] [--books FOLDER] [--count N]

Sizes are such as 500x50. A scenario moves one call, all calls, one price or all prices; the same ones at each size for
everybody. Figures are scenarios a second of processor time in one process, the best of three passes. Then many at
once, a quarter of each kind, by the clock: in this process, and in one process for each core, whose start counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from collateral_opt import Book, Change, Session, read_book
from collateral_opt.session import cores, solve_afresh
from tests.benchmarks.books import SIZES, Size, generated

PASSES = 3
AT_ONCE = 1_000
FEW = 3
"""Scenarios that are enough to time a slow road."""


def moves(book: Book, count: int) -> dict[str, list[Change]]:
    """So many changes of each kind."""
    draw = np.random.default_rng(11)
    calls = dict(zip(book.calls["call_id"], book.calls["amount"].tolist(), strict=True))
    security = (book.assets["asset_type"] != "cash").to_numpy()
    names, figures = book.assets["asset_id"][security], book.assets["price"][security].tolist()
    prices = dict(zip(names, figures, strict=True))

    def one(figures: dict[str, float]) -> dict[str, float]:
        name = list(figures)[int(draw.integers(len(figures)))]
        return {name: figures[name] * draw.uniform(0.7, 1.3)}

    def every(figures: dict[str, float], most: float) -> dict[str, float]:
        moved = draw.uniform(1 - most, 1 + most, len(figures))
        return {name: value * by for (name, value), by in zip(figures.items(), moved.tolist(), strict=True)}

    return {
        "one call, by up to 30 %": [Change(calls=one(calls)) for _ in range(count)],
        "all calls, by up to 10 %": [Change(calls=every(calls, 0.1)) for _ in range(count)],
        "one price, by up to 30 %": [Change(prices=one(prices)) for _ in range(count)],
        "all prices, by up to 2 %": [Change(prices=every(prices, 0.02)) for _ in range(count)],
    }


def at_once(book: Book, session: Session, count: int) -> dict[int, float]:
    """Scenarios a second of clock time by the number of processes, ``count`` of them, a quarter of each kind."""
    asked = [change for kind in moves(book, -(-count // 4)).values() for change in kind][:count]
    start = time.perf_counter()
    here = [session.solve(change) for change in asked]
    found = {1: count / (time.perf_counter() - start)}
    if cores() > 1:
        start = time.perf_counter()
        with ProcessPoolExecutor(cores()) as pool:
            there = session.solve_many(asked, executor=pool)
        found[cores()] = count / (time.perf_counter() - start)
        assert there == here, "it does not matter where a scenario is solved"
    return found


def a_second(answer: Callable[[Change], Any], asked: Sequence[Change], passes: int = 1) -> float:
    """How many of ``asked`` are answered in a second of processor time."""
    best = float("inf")
    for _ in range(passes):
        start = time.process_time()
        for change in asked:
            answer(change)
        best = min(best, time.process_time() - start)
    return len(asked) / best


def measure(size: Size, books: Path, count: int) -> None:
    """Print a line for each kind of change, and what the others need for the first kind."""
    book = read_book(generated(size, books))
    start = time.process_time()
    session = Session(book)
    print(f"{size}: a session is ready after {time.process_time() - start:.2f} s")
    kinds = moves(book, count)
    for kind, asked in kinds.items():
        warm = sum(session.solve(change).warm for change in asked)
        print(f"  {kind:26} {a_second(session.solve, asked, PASSES):9,.1f} a second ({warm} of {len(asked)} warm)")
    if size in SIZES[:2]:
        for processes, rate in at_once(book, session, AT_ONCE).items():
            print(f"  {f'{AT_ONCE:,} at once, {processes} process(es)':26} {rate:9,.1f} a second by the clock")
    some = next(iter(kinds.values()))[:FEW]
    print(f"  {'afresh':26} {a_second(lambda change: solve_afresh(book, change), some):9,.1f} a second")
    if size == min(SIZES):
        print(f"  {'PuLP with CBC, rebuilt':26} {_peer(book, some, session):9,.1f} a second")


def _peer(book: Book, asked: Sequence[Change], session: Session) -> float:
    """The solver runs as a process of its own, so this is wall clock."""
    from tests.benchmarks.peers.program import allocation
    from tests.benchmarks.peers.pulp_cbc import solve

    programs = [allocation(change.applied_to(book)) for change in asked]
    start = time.perf_counter()
    costs = [program.cost(solve(program)) for program in programs]
    seconds = time.perf_counter() - start
    for cost, change in zip(costs, asked, strict=True):
        assert abs(cost - session.solve(change).cost) <= 1e-6 * abs(cost), "both have the same optimum"
    return len(asked) / seconds


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=Size.parse, default=list(SIZES[:3]))
    parser.add_argument("--books", type=Path, help="where generated books are kept")
    parser.add_argument("--count", type=int, default=100)
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        for size in chosen.sizes:
            measure(size, chosen.books or Path(scratch), chosen.count)


if __name__ == "__main__":
    main()
