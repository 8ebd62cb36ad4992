"""The road of a run, on one screen: book -> problem -> flows -> whole lots -> tables -> checked result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite

from collateral_opt.book import Book
from collateral_opt.collisions import require_possible_pins
from collateral_opt.network import Problem
from collateral_opt.network.facts import gather
from collateral_opt.result import Result
from collateral_opt.result.answer import Answer
from collateral_opt.result.assemble import assemble
from collateral_opt.result.checker import require_valid
from collateral_opt.result.summary import summarise
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits

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
        problem = Problem(gather(book.in_full))
        require_possible_pins(book, problem)
    with clock("solving"):
        linear = list(linear_optima(problem, chosen, limits))
    with clock("making whole lots"):
        answers = [Answer.of(*make_executable(optimum, book.settings.mip_gap)) for optimum in linear]
    with clock("pricing"):
        answer = min(answers, key=Answer.standing)
        bound = min(optimum.bound_for(answer.shortfalls) for optimum in linear)
        bound = bound if isfinite(bound) else min(optimum.flows.bound for optimum in linear)
        shortest = min(optimum.least_shortfall for optimum in linear)
        result = assemble(book, answer, summarise(book, answer, bound, shortest, solver))
    with clock("checking"):
        require_valid(book, result)
    return replace(result, summary={**result.summary, "seconds": clock.rounded()})


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
