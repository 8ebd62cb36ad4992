"""The seam between the mathematics and the solvers: load a program, change its numbers, solve, read a solution.

Every adapter keeps one convention: minimisation, and a row's dual is the change of the optimum for one more
unit of its right side. One conformance suite holds all of them to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, runtime_checkable

from collateral_opt.model.program import Floats, Ints, Program


class Status(Enum):
    """What may be read from a solution."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # stopped at a limit with an answer in hand
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    STOPPED = "stopped"  # a limit struck before there was an answer
    FAILED = "failed"


@dataclass(frozen=True)
class Solution:
    """What a solver said. Arrays are read only where ``status`` allows: OPTIMAL, or FEASIBLE.

    ``x`` [columns], ``row_dual`` [rows], ``reduced_cost`` [columns]; an integer program has no duals (NaN). ``bound``
    is a proven lower bound: of a linear program solved to the end it equals ``objective``; of one that was stopped
    (column generation only), ``row_dual`` and ``reduced_cost`` are those that prove it, and do not belong to ``x``.
    ``message`` is the solver's own words.
    """

    status: Status
    message: str
    objective: float
    bound: float
    x: Floats
    row_dual: Floats
    reduced_cost: Floats


@dataclass(frozen=True)
class Limits:
    """When to stop: seconds of wall clock (None: never), relative gap and nodes of an integer program.

    ``stop``, once set (by another thread, or by a handler of Ctrl-C), ends a solve at the solver's next look.
    ``until`` (:func:`time.monotonic`) is the end of several solves together; :meth:`now` is asked before each.
    """

    seconds: float | None = None
    mip_gap: float = 0.0
    mip_nodes: int | None = None
    stop: threading.Event | None = None
    until: float | None = None

    @classmethod
    def for_a_run(cls, seconds: float | None, stop: threading.Event | None = None) -> Limits:
        """Limits of a run that begins now."""
        return cls(until=None if seconds is None else time.monotonic() + seconds, stop=stop)

    def now(self) -> Limits:
        """These limits for a solve that begins now."""
        return self if self.until is None else replace(self, seconds=max(self.until - time.monotonic(), 0.0))

    @property
    def are_over(self) -> bool:
        """Whether no further solve should begin."""
        return self.stopped or (self.until is not None and time.monotonic() >= self.until)

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked for an end."""
        return self.stop is not None and self.stop.is_set()


class Session(Protocol):
    """A loaded program whose numbers may change between solves; a solver that can, stays warm."""

    def change_costs(self, cost: Floats) -> None: ...

    def change_column_bounds(self, lower: Floats, upper: Floats) -> None: ...

    def change_row_bounds(self, lower: Floats, upper: Floats) -> None: ...

    def start_from(self, x: Floats) -> None:
        """An answer to begin an integer program from; a solver that cannot, ignores it."""
        ...

    def solve(self, limits: Limits = Limits()) -> Solution: ...


@runtime_checkable
class GuidedSession(Session, Protocol):
    """A session that can begin near where the optimum is thought to be."""

    def begin_near(self, x: Floats, row_dual: Floats) -> None:
        """An answer [columns] to start with and prices [rows] to choose by, before anything is solved."""
        ...


@dataclass(frozen=True)
class Basis:
    """Where the columns and rows of a program stand at an optimum, in a solver's own words."""

    column: Sequence[object]
    row: Sequence[object]


@runtime_checkable
class ResumableSession(Session, Protocol):
    """A session that can go on from where another one, of the same program or one like it, ended."""

    @property
    def basis(self) -> Basis: ...

    def resume(self, basis: Basis) -> None: ...


class Solver(Protocol):
    """Something that can load programs; ``name`` is how the command line asks for it."""

    name: str

    def load(self, program: Program) -> Session: ...


@dataclass(frozen=True)
class Columns:
    """Columns that join a loaded program, entries as triplets in the order of columns; ``column`` counts from 0."""

    lower: Floats
    upper: Floats
    cost: Floats
    row: Ints
    column: Ints
    coefficient: Floats

    def __len__(self) -> int:
        return len(self.lower)


class GrowingSession(Session, Protocol):
    """A session that takes further columns and stays warm."""

    def add_columns(self, columns: Columns) -> None: ...


@runtime_checkable
class GrowingSolver(Protocol):
    """A solver whose linear programs may grow."""

    def load_growing(self, program: Program) -> GrowingSession: ...
