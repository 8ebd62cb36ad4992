"""How many scenarios of a stress are answered in a second, beside answering them one by one from the book on.

    python -m tests.benchmarks.sweeps [HOLDINGS CALLS]

A generated book (500 by 50 unless told) with a margined position, whose value and whose collateral move with a factor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from collateral_opt import Book, optimise, read_book
from collateral_opt.generate import write_book
from collateral_opt.liquidity.moved import Moved, moved
from collateral_opt.liquidity.stress import StressFile
from collateral_opt.liquidity.sweep import change_of, sweep
from collateral_opt.session import cores, solve_afresh

COUNT = 1_000
ALONE = 10


def plan(book: Book) -> Moved:
    """``book`` with a position of 50 million at its last agreement that is always called, and its calls kept."""
    position = {
        "position_id": "FUT",
        "agreement_id": book.agreements["agreement_id"].iloc[-1],
        "instrument": "Future",
        "market_value": 50e6,
        "initial_margin": 0.0,
    }
    file = StressFile.from_mapping(
        {
            "stresses": {"fall": {"shocks": [{"of": {"position_id": "FUT"}, "value": "-40%"}]}},
            "generator": {"seed": "7", "factors": {"prices": {"volatility": "0.01"}}},
            "links": [{"of": "all", "factor": "prices"}],
        }
    )
    return moved(book.replace(positions=pd.DataFrame([position])), file.stress(), file)


def main(holdings: int = 500, calls: int = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_book(Path(folder) / "desk", holdings=holdings, calls=calls, agreements=max(4, calls // 4), seed=5)
        here = plan(read_book(Path(folder) / "desk"))
        for executor in (None, f"processes:{cores()}"):
            found = sweep(here, Path(folder) / "out", COUNT, executor=executor, force=True)
            rate, warm = found.solved / found.seconds, found.summary["warm"]
            print(f"{executor or 'this process':<14} {rate:10,.1f} a second, {warm:,} of {COUNT:,} warm")
        for name, answer in (("afresh, linear", solve_afresh), ("whole lots", lambda b, c: optimise(c.applied_to(b)))):
            began = time.perf_counter()
            for number in range(ALONE):
                answer(here.book, change_of(here, number))
            print(f"{name:<14} {ALONE / (time.perf_counter() - began):10,.1f} a second")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
