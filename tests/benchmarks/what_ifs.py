"""How long one what-if takes: the book changed, solved, in whole lots, and checked.

    python -m tests.benchmarks.what_ifs [HOLDINGS CALLS]

A generated book (500 by 50 unless told), and ``COUNT`` changes of each kind, one after another in this process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from collateral_opt import optimise, read_book, read_words
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
    }


def main(holdings: int = 500, calls: int = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = read_book(generated(Size(holdings, calls), Path(folder)))
    optimise(book)
    print(f"| {holdings:,} x {calls:,}, ms | median | 95 % below |")
    print("| --- | ---: | ---: |")
    for kind, word in words(book).items():
        seconds = []
        for k in range(COUNT):
            change, began = read_words([word(k)]), time.perf_counter()
            optimise(change(book))
            seconds.append(time.perf_counter() - began)
        middle, most = np.percentile(seconds, [50, 95]) * 1000
        print(f"| {kind} | {middle:,.0f} | {most:,.0f} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
