"""A second opinion on a book: the same program to a file any solver reads, or solved by another solver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.network import Problem, build_network
from collateral_opt.network.facts import gather
from collateral_opt.network.reduction import reduce
from collateral_opt.solve.passes import COVERED, solve_flows
from collateral_opt.solve.pulp_adapter import write_lp, write_mps
from collateral_opt.solve.registry import solver_named

AGREEMENT = 1e-6
"""Two optima closer than this, relative to the larger, agree."""


def write_program(book: Book, path: Path) -> None:
    """Write the linear program of ``book`` with readable names, as ``.lp`` or ``.mps`` by the file's suffix.

    Flows are market values in base currency, costs yearly basis points: the optimum over 10,000, times the horizon
    over the day count, is the cost of the run. Shortfalls may not be larger than the least there can be, so that any
    solver finds the same optimum.

    Raises:
        UsageError: the suffix is neither.
        SolverError: the least shortfalls could not be found.
    """
    writers = {".lp": write_lp, ".mps": write_mps}
    if path.suffix.lower() not in writers:
        raise UsageError(f"{path.name} is neither .lp nor .mps. Give the file one of these suffixes.")
    passes, flows = solve_flows(build_network(book.in_full), solver_named("highs"))
    upper = passes.program.upper.copy()
    upper[len(flows.x) :] = np.where(flows.short > 0, flows.short * (1 + COVERED), 0.0)
    writers[path.suffix.lower()](replace(passes.program, upper=upper), path)


@dataclass(frozen=True)
class CrossCheck:
    """The linear optimum of a book by two solvers, in base currency over the horizon, and their shortfalls."""

    solver: str
    ours: float
    theirs: float
    our_shortfall: float
    their_shortfall: float

    @property
    def relative_difference(self) -> float:
        """Of the costs or of the shortfalls, whichever is larger."""
        return max(
            _apart(self.ours, self.theirs),
            _apart(self.our_shortfall, self.their_shortfall),
        )

    @property
    def agrees(self) -> bool:
        """Whether the two optima are the same to :data:`AGREEMENT`."""
        return self.relative_difference <= AGREEMENT


def cross_check(book: Book, solver: str) -> CrossCheck:
    """Compare the linear optimum of ``book`` as a run finds it with that of ``solver`` on the whole program."""
    problem = Problem(gather(book.in_full))
    network = problem.network()
    horizon = float(network.horizon_years) / 10_000
    _, ours = solve_flows(reduce(problem).reduced.network(), solver_named("highs"))
    _, theirs = solve_flows(network, solver_named(solver, full=True))
    return CrossCheck(
        solver=solver,
        ours=ours.cost * horizon,
        theirs=theirs.cost * horizon,
        our_shortfall=float(ours.short.sum()),
        their_shortfall=float(theirs.short.sum()),
    )


def _apart(one: float, two: float) -> float:
    # Amounts below a thousandth of a cent are noise of the solvers' tolerances, not a difference.
    return abs(one - two) / max(abs(one), abs(two), 1e-5)
