"""The same generated books through ours and through what else there is: ``python -m tests.benchmarks.peers``.

Each peer is a module with a function ``solve(program) -> float`` for the arrays of :mod:`program`. They get the program
as one writes it: rows, and no pair below zero. Upper bounds that follow from the rows help some solvers, so where that
matters most a peer stands in the table once more, with these bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Another way to the optimum: its name in the table, its module, and the packages it needs.

    ``bounded``: it is given bounds that follow from the rows.
    """

    title: str
    module: str
    packages: tuple[str, ...]
    bounded: bool = False


OURS, FROM_BOOK = "ours", "ours-from-book"
"""Ours from where its peers start, matched pairs in memory, and from the book."""

PEERS: Mapping[str, Peer] = {
    "highs": Peer("highspy, the full program as arrays", "highs", ("highspy",)),
    "highs-bounded": Peer("highspy, bounds from the rows", "highs", ("highspy",), bounded=True),
    "linopy-highs": Peer("linopy + HiGHS", "linopy_highs", ("linopy", "highspy")),
    "glop": Peer("OR-Tools GLOP", "glop", ("ortools",)),
    "pulp-highs": Peer("PuLP + HiGHS", "pulp_highs", ("pulp", "highspy")),
    "pulp-highs-bounded": Peer("PuLP + HiGHS, bounds from the rows", "pulp_highs", ("pulp", "highspy"), bounded=True),
    "pulp-cbc": Peer("PuLP + CBC", "pulp_cbc", ("pulp",)),
    "pulp-naive": Peer("PuLP + CBC, costs as fractions", "pulp_naive", ("pulp",)),
}
"""By the name that the command line gives them."""
