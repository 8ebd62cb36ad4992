"""Compares ours with its peers on generated books, and the whole command with reading and writing alone.

    python -m tests.benchmarks.peers [--quick] [--patience SECONDS] [--out DIR]

Needs ``pip install -e '.[dev,bench]'``. Every run has a process and one thread of its own. The clock starts when the
eligible pairs are in memory, for peers with all the rest of the program; ours is timed from the book too. Who takes
longer than the patience is stopped, and the table says "more than". ``DIR`` gets ``peers.csv``, ``peers.md`` and
``growth.svg``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.books import SIZES, Size
from tests.benchmarks.fresh import GIGABYTE
from tests.benchmarks.peers import PEERS
from tests.benchmarks.peers.session import Session

T = TypeVar("T")

QUICK = SIZES[:2]
AGREED = 1e-6
"""Optima that differ by no more than this, relative to ours, are the same."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a peer's optimum is another than ours."""
    asked = _options().parse_args(words)
    needed = {"matplotlib", *(package for name in asked.peers for package in PEERS[name].packages)}
    missing = sorted(package for package in needed if find_spec(package) is None)
    if missing:
        print(f"{', '.join(missing)} cannot be imported. Install the peers: pip install -e '.[dev,bench]'")
        return 2
    # Whoever ends this ends what it has started, and leaves no folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as scratch:
        session = Session(
            books=(asked.books or Path(scratch) / "books").resolve(),
            scratch=Path(scratch),
            patience=asked.patience or (60.0 if asked.quick else 900.0),
            memory_gb=asked.memory,
            repeats=asked.repeats or (1 if asked.quick else 3),
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
        for size in sorted(asked.sizes or (QUICK if asked.quick else SIZES)):
            session.optima(size, asked.peers)
            session.whole(size)
    # What draws is large, and what is run would inherit its size.
    from tests.benchmarks.peers.report import differing, write

    print(write(session, asked.out, AGREED))
    return 1 if differing(session, AGREED) else 0


def _options() -> argparse.ArgumentParser:
    memory = round(0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE, 1)
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__.split("\n")[0])
    options.add_argument("--out", type=Path, default=Path("out/peers"), help="folder for table and plot (%(default)s)")
    options.add_argument("--books", type=Path, help="folder that generated books are kept in (none: made anew)")
    options.add_argument("--sizes", type=_listed(Size.parse), help=f"such as {','.join(s.name for s in QUICK)}")
    options.add_argument("--peers", type=_listed(_peer), default=list(PEERS), help=f"of {','.join(PEERS)}")
    patience = "processor seconds after which a run is stopped (900; quick: 60)"
    options.add_argument("--patience", type=_seconds, metavar="SECONDS", help=patience)
    options.add_argument("--memory", type=float, metavar="GB", default=memory, help="for each run (%(default)s)")
    options.add_argument("--repeats", type=int, help="runs of each, of which the median counts (3; quick: 1)")
    options.add_argument("--quick", action="store_true", help="two sizes, one run each")
    return options


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < inf:
        raise ValueError(text)
    return seconds


def _peer(name: str) -> str:
    if name not in PEERS:
        raise ValueError(name)
    return name


def _listed(parse: Callable[[str], T]) -> Callable[[str], list[T]]:
    def parsed(text: str) -> list[T]:
        return [parse(part) for part in text.split(",") if part]

    parsed.__name__ = "list"
    return parsed


if __name__ == "__main__":
    sys.exit(main())
