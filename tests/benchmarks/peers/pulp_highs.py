"""PuLP with HiGHS in process."""

from __future__ import annotations

import pulp

from tests.benchmarks.peers.program import Allocation
from tests.benchmarks.peers.pulp_model import model, optimum


def solve(program: Allocation) -> float:
    """The optimum in millions times yearly basis points."""
    return optimum(model(program, program.cost_bps), pulp.HiGHS(msg=False, threads=1))
