"""The road of a run, on one screen: book -> network -> flows -> whole lots -> tables -> checked result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite

from collateral_opt.book import Book
from collateral_opt.collisions import require_possible_pins
from collateral_opt.errors import InfeasibleError
from collateral_opt.network import Network, build_network
from collateral_opt.result import Result
from collateral_opt.result.answer import Answer
from collateral_opt.result.assemble import assemble
from collateral_opt.result.checker import require_valid
from collateral_opt.result.summary import summarise
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.passes import solve_flows
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.reserves import count_reserves
from collateral_opt.solve.seam import Limits, Solver

Progress = Callable[[str], None]


def optimise(book: Book, *, solver: str = "highs", progress: Progress | None = None) -> Result:
    """Cover every call of ``book`` at the least cost, in whole lots, and check the answer independently.

    Args:
        book: what the firm holds and who asks for what; see :class:`~collateral_opt.book.Book`.
        solver: ``highs`` (in process) or ``pulp:NAME``, any solver that PuLP knows.
        progress: called with the name of each stage as it begins.

    Raises:
        BookError: something is pinned that cannot be.
        SolverError: the solver gave up.
        CheckFailed: the checker refused the answer: a defect of this program, and nothing is returned.
    """
    clock = Clock(progress)
    chosen, limits = solver_named(solver), Limits(seconds=book.settings.time_limit_s)
    with clock("matching"):
        network = build_network(book.in_full)
        require_possible_pins(book, network)
    answers = _answers(network, chosen, book.settings.mip_gap, limits, clock)
    with clock("pricing"):
        answer = min(answers, key=Answer.standing)
        bound = min(other.bound_for(answer.shortfalls) for other in answers)
        bound = bound if isfinite(bound) else min(other.flows.bound for other in answers)
        shortest = min(other.passes.least_shortfall for other in answers)
        result = assemble(book, answer, summarise(book, answer, bound, shortest, solver))
    with clock("checking"):
        require_valid(book, result)
    return replace(result, summary={**result.summary, "seconds": clock.rounded()})


def _answers(network: Network, solver: Solver, mip_gap: float, limits: Limits, clock: Clock) -> list[Answer]:
    """The answer on each road of ``network`` that has one; one has, unless pins stand in the way of all."""
    found: list[Answer] = []
    nothing = InfeasibleError("there is no road")
    for road in network.roads():
        try:
            with clock("solving"):
                passes, flows = solve_flows(road, solver, limits)
            with clock("making whole lots"):
                lots = make_executable(passes, flows, solver, mip_gap, limits)
            with clock("pricing"):
                short_reserves, counted = count_reserves(road, lots, solver, limits)
                found.append(Answer(road, passes, flows, lots, short_reserves, counted))
        except InfeasibleError as error:
            nothing = error
    if not found:
        raise nothing
    return found


@dataclass
class Clock:
    """Times the stages of a run and tells ``progress`` of each."""

    progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(stage)
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def rounded(self) -> dict[str, float]:
        """Seconds by stage."""
        return {stage: round(seconds, 4) for stage, seconds in self.seconds.items()}
