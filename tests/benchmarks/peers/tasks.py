"""What is run in a process of its own: each function prepares one task, and the task is what is timed.

Imports stand inside: ortools and highspy do not go into one process, and a process that starts others stays small.
"""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from tests.benchmarks.books import Size, generated
from tests.benchmarks.fresh import Task


def book_made(size: Size, books: Path) -> Task:
    """Generate a book; its folder."""
    return lambda: generated(size, books)


def pairs_counted(folder: Path) -> Task:
    """How many pairs of a holding and a call are eligible."""
    from collateral_opt import read_book
    from collateral_opt.network.build import Problem
    from collateral_opt.network.facts import gather

    return lambda: Problem(gather(read_book(folder).in_full)).call_pairs


def program_made(folder: Path, file: Path) -> Task:
    """Save the program of a book as arrays."""
    from collateral_opt import read_book
    from tests.benchmarks.peers.program import allocation

    return lambda: allocation(read_book(folder)).save(file)


def peer_optimum(module: str, file: Path, tiny: Path) -> Task:
    """From arrays in memory to the optimum, as a peer finds it: base currency over the horizon."""
    from tests.benchmarks.peers.program import Allocation

    solve = import_module(f"tests.benchmarks.peers.{module}").solve
    solve(Allocation.load(tiny))
    program = Allocation.load(file)
    return lambda: program.cost(solve(program))


def our_optimum(folder: Path, tiny: Path) -> Task:
    """From a book in memory to the proven optimum: base currency over the horizon."""
    from collateral_opt import read_book
    from tests.benchmarks.ours import linear_optimum

    linear_optimum(read_book(tiny))
    book = read_book(folder)
    return lambda: linear_optimum(book)


def command(folder: Path, out: Path) -> Task:
    """``collateral-opt allocate``, files to files, in a process of its own."""
    words = [sys.executable, "-m", "collateral_opt", "allocate", str(folder), "--out", str(out), "--quiet"]
    return lambda: subprocess.run(words, check=True).returncode


def road(folder: Path, out: Path) -> Task:
    """The same road, called as a library; the seconds of each stage by its name, reading and writing with them."""
    from collateral_opt import optimise, read_book
    from collateral_opt.io.write import write_result

    def go() -> dict[str, float]:
        start = time.perf_counter()
        book = read_book(folder)
        read = time.perf_counter()
        result = optimise(book)
        solved = time.perf_counter()
        write_result(result, out)
        written = time.perf_counter()
        return {"reading": read - start, **result.summary["seconds"], "writing": written - solved}

    return go
