"""The road of a run, on one screen: book -> problem -> flows -> whole lots -> tables -> checked result."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite

from collateral_opt.book import Book
from collateral_opt.collection import put_off
from collateral_opt.collisions import require_possible_pins
from collateral_opt.network import Problem
from collateral_opt.network.facts import gather
from collateral_opt.result import Result
from collateral_opt.result.answer import Answer
from collateral_opt.result.assemble import assemble
from collateral_opt.result.checker import require_valid
from collateral_opt.result.summary import relative_gap, summarise
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.near import Known
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.sifting import Round

Progress = Callable[[str], None]
CLOSED = 1e-9
"""A linear program with a gap below this was not stopped, whatever the time."""
log = logging.getLogger("collateral_opt")


@dataclass(frozen=True)
class Solved:
    """The result of a book, and where books near it can begin."""

    result: Result
    problem: Problem
    answer: Answer

    @cached_property
    def known(self) -> Known | None:
        """None where nothing can begin here."""
        return Known.of(self.problem, self.answer.linear, self.answer.ledger)


def optimise(
    book: Book,
    *,
    solver: str = "highs",
    full: bool = False,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Result:
    """Cover every call of ``book`` at the least cost, in whole lots, and check the answer independently.

    Once the setting ``time_limit_s`` is up, or ``stop`` is set (by another thread), the best answer so far is made
    executable and checked; its gap says how far it may be from the optimum.

    Args:
        book: what the firm holds and who asks for what; see :class:`~collateral_opt.book.Book`.
        solver: ``highs`` (in process) or ``pulp:NAME``, any solver that PuLP knows.
        full: give the solver the program of all pairs at once, neither merged nor column by column.
        stop: asks the run to come to an end.
        progress: called with the name of each stage as it begins, and of each round of column generation.

    Raises:
        BookError: something is pinned that cannot be.
        StoppedError: the run was to end before there was an answer.
        SolverError: the solver gave up.
        CheckFailed: the checker refused the answer: a defect of this program, and nothing is returned.
    """
    return solved(book, solver=solver, full=full, stop=stop, progress=progress).result


@put_off()
def solved(
    book: Book,
    *,
    near: Solved | None = None,
    solver: str = "highs",
    full: bool = False,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Solved:
    """As :func:`optimise`; beginning, where that is possible, at the answer of a book ``near`` to this one.

    Then the optimum is the same and proven like any other, and lines stay where it does not move; of several answers
    within ``mip_gap`` another may be found than from the start.
    """
    clock = Clock(progress)
    chosen = solver_named(solver, full=full, on_round=clock.on_round)
    limits = Limits.for_a_run(book.settings.time_limit_s, stop)
    with clock("matching"):
        facts = gather(book.in_full, None if near is None else near.problem.facts)
        problem = Problem(facts, near=None if near is None else near.problem)
        require_possible_pins(book, problem)
    with clock("solving"):
        known = near.known if near is not None and solver == "highs" and not full else None
        close = None if known is None else known.linear(problem, limits)
    with clock("making whole lots"):
        ledger = None if known is None or close is None else known.whole_lots(close, book.settings.mip_gap)
    if close is not None and ledger is not None:
        linear, answers = [close], [Answer.of(close, ledger)]
    else:
        with clock("solving"):
            linear = list(linear_optima(problem, chosen, limits, merge=not full))
        with clock("making whole lots"):
            answers = [Answer.of(*make_executable(optimum, book.settings.mip_gap)) for optimum in linear]
    with clock("pricing"):
        answer = min(answers, key=Answer.standing) if len(answers) > 1 else answers[0]
        bound = min(optimum.bound_for(answer.shortfalls) for optimum in linear)
        bound = bound if isfinite(bound) else min(optimum.reduced.proven for optimum in linear)
        shortest = min(optimum.least_shortfall for optimum in linear)
        summary = summarise(book, answer, bound, shortest, solver)
        stopped = limits.are_over and summary["lp_gap"] > CLOSED
        result = assemble(book, answer, {**summary, "stopped": stopped})
    with clock("checking"):
        require_valid(book, result)
    timed = replace(result, summary={**result.summary, "seconds": clock.rounded()})
    return Solved(timed, problem, answer)


@dataclass
class Clock:
    """Times the stages of a run and tells ``progress`` of each."""

    progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def on_round(self, done: Round) -> None:
        """Tell of a round of column generation, and log it."""
        gap = relative_gap(done.objective, done.bound)
        said = f"round {done.number}: {done.columns:,} columns, {done.added:,} more wanted, gap {gap:.2e}"
        log.info("%s, %.2f s", said, done.seconds)
        if self.progress is not None:
            self.progress(f"solving, {said}")

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
