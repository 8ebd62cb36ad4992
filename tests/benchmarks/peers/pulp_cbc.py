"""PuLP with CBC, which it comes with."""

from __future__ import annotations

import pulp

from tests.benchmarks.peers.program import Allocation
from tests.benchmarks.peers.pulp_model import model, optimum


def solve(program: Allocation) -> float:
    """The optimum in millions times yearly basis points."""
    return optimum(model(program, program.cost_bps), pulp.PULP_CBC_CMD(msg=False, threads=1))
