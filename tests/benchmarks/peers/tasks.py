"""What is run in a process of its own: each function prepares one task, and the task is what is timed.

Imports stand inside: ortools and highspy do not go into one process, and a process that starts others stays small.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.books import Size, generated
from tests.benchmarks.fresh import Task
from tests.benchmarks.peers import PEERS


def within(patience: float, prepare: Callable[..., Task], *arguments: Any) -> Task:
    """What ``prepare`` prepares, ended by ``SIGXCPU`` when it or a solver that it started has taken so many seconds.

    Processor seconds: on a machine that others use too, the wall clock would say little.
    """
    task = prepare(*arguments)

    def go() -> Any:
        most = math.ceil(time.process_time() + patience)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        try:
            return task()
        except Exception:
            # A solver in a process of its own has the same limit, and its end is told as some error.
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            if children.ru_utime + children.ru_stime >= patience:
                os.kill(os.getpid(), signal.SIGXCPU)
            raise

    return go


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


def peer_optimum(name: str, file: Path, tiny: Path) -> Task:
    """From arrays in memory to the optimum, as a peer finds it: base currency over the horizon."""
    from tests.benchmarks.peers.program import Allocation

    peer = PEERS[name]
    solve = import_module(f"tests.benchmarks.peers.{peer.module}").solve
    first, program = (Allocation.load(f) for f in (tiny, file))
    if peer.bounded:
        first, program = first.bounded(), program.bounded()
    solve(first)
    return lambda: program.cost(solve(program))


def our_optimum(folder: Path, tiny: Path) -> Task:
    """From matched pairs in memory to the proven optimum: base currency over the horizon."""
    from collateral_opt import read_book
    from tests.benchmarks.ours import matched, optimum

    optimum(matched(read_book(tiny)))
    problem = matched(read_book(folder))
    return lambda: optimum(problem)


def our_optimum_from_book(folder: Path, tiny: Path) -> Task:
    """The same from a book in memory, whose pairs are matched first."""
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
