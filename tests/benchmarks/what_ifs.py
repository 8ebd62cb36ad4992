"""How long one what-if takes: the book changed, solved from the book's own answer, in whole lots, and checked.

    python -m tests.benchmarks.what_ifs [HOLDINGS CALLS]

A generated book (500 by 50 unless told), and ``COUNT`` changes of each kind, one after another in this process. Last
comes one change again and again: what differs there, the machine adds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collateral_opt import Result, optimise, read_book, read_words, solved
from collateral_opt.book import Book
from tests.benchmarks.books import Size, generated

COUNT = 25


def words(book: Book) -> dict[str, Callable[[int], str]]:
    """The change of that number, by kind."""
    calls, holdings = book.calls["call_id"].tolist(), book.holdings["holding_id"].tolist()
    assets = book.assets.loc[book.assets["asset_type"] != "cash", "asset_id"].tolist()
    classes = ("sovereign", "corporate", "equity")
    return {
        "amount of a call": lambda k: f"call:{calls[k % len(calls)]}.amount={'+-'[k % 2]}{5 + k}%",
        "cost of a holding": lambda k: f"holding:{holdings[7 * k % len(holdings)]}.cost_bps=+{1 + k}",
        "price of an asset": lambda k: f"asset:{assets[11 * k % len(assets)]}.price={'+-'[k % 2]}{1 + k}%",
        "haircut of a class": lambda k: f"haircut:{classes[k % 3]}=+{0.005 * (1 + k % 5):g}",
        "one and the same": lambda k: f"call:{calls[0]}.amount=+5%",
    }


def moved(before: Result, after: Result) -> int:
    """How many lines are other ones, or of another quantity."""
    names = ["call_id", "holding_id", "facility_id", "quantity"]
    lines = [set(map(tuple, r.allocation[names].astype(str).to_numpy().tolist())) for r in (before, after)]
    return len(lines[1] - lines[0])


def main(holdings: int = 500, calls: int = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = read_book(generated(Size(holdings, calls), Path(folder)))
    base = solved(book)
    print(f"{holdings:,} x {calls:,}, {len(base.result.allocation):,} lines\n")
    print("| ms | median | 95 % below | from the start | lines that move | from the start |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, word in words(book).items():
        near, afresh, moves, moves_afresh = [], [], [], []
        for k in range(COUNT):
            change, began = read_words([word(k)]), time.perf_counter()
            found = solved(change(book), near=base).result
            near.append(time.perf_counter() - began)
            moves.append(moved(base.result, found))
            began = time.perf_counter()
            found = optimise(change(book))
            afresh.append(time.perf_counter() - began)
            moves_afresh.append(moved(base.result, found))
        middle, most = np.percentile(near, [50, 95]) * 1000
        others = np.median(afresh) * 1000, np.median(moves), np.median(moves_afresh)
        print(f"| {kind} | {middle:,.0f} | {most:,.0f} | " + " | ".join(f"{v:,.0f}" for v in others) + " |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
