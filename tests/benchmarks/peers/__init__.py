"""The same generated books through ours and through what else there is: ``python -m tests.benchmarks.peers``.

Each peer is a module with a function ``solve(program) -> float`` for the arrays of :mod:`program`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Another way to the optimum: its name in the table, its module, and the packages it needs."""

    title: str
    module: str
    packages: tuple[str, ...]


OURS = "ours"

PEERS: Mapping[str, Peer] = {
    "highs": Peer("HiGHS, the full program as arrays", "highs", ("highspy",)),
    "linopy-highs": Peer("linopy + HiGHS", "linopy_highs", ("linopy", "highspy")),
    "glop": Peer("OR-Tools GLOP", "glop", ("ortools",)),
    "pulp-highs": Peer("PuLP + HiGHS", "pulp_highs", ("pulp", "highspy")),
    "pulp-cbc": Peer("PuLP + CBC", "pulp_cbc", ("pulp",)),
    "pulp-naive": Peer("PuLP + CBC, costs as fractions", "pulp_naive", ("pulp",)),
}
"""By the name that the command line gives them."""
