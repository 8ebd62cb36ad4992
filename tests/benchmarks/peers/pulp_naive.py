"""PuLP with CBC where costs are fractions, as one writes them at first: near the solver's tolerances."""

from __future__ import annotations

import pulp

from tests.benchmarks.peers.program import BASIS_POINTS, Allocation
from tests.benchmarks.peers.pulp_model import model, optimum


def solve(program: Allocation) -> float:
    """What CBC takes for the optimum, in millions times yearly basis points."""
    fractions = program.cost_bps / BASIS_POINTS
    return optimum(model(program, fractions), pulp.PULP_CBC_CMD(msg=False, threads=1)) * BASIS_POINTS
