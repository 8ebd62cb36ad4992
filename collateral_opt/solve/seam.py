"""The seam between the mathematics and the solvers: load a program, change its numbers, solve, read a solution.

Every adapter keeps one convention: minimisation, and a row's dual is the change of the optimum for one more
unit of its right side. One conformance suite holds all of them to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from collateral_opt.model.program import Floats, Program


class Status(Enum):
    """What may be read from a solution."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # stopped at a limit with an answer in hand (integer programs only)
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    STOPPED = "stopped"  # a limit struck before there was an answer
    FAILED = "failed"


@dataclass(frozen=True)
class Solution:
    """What a solver said. Arrays are read only where ``status`` allows: OPTIMAL, or FEASIBLE without duals.

    ``x`` [columns], ``row_dual`` [rows], ``reduced_cost`` [columns], ``bound``: proven lower bound of an integer
    program (equal to ``objective`` for a linear one). ``message`` is the solver's own words.
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
    """When to stop: seconds of wall clock (None: never), relative gap and nodes of an integer program."""

    seconds: float | None = None
    mip_gap: float = 0.0
    mip_nodes: int | None = None


class Session(Protocol):
    """A loaded program whose numbers may change between solves; a solver that can, stays warm."""

    def change_costs(self, cost: Floats) -> None: ...

    def change_column_bounds(self, lower: Floats, upper: Floats) -> None: ...

    def change_row_bounds(self, lower: Floats, upper: Floats) -> None: ...

    def start_from(self, x: Floats) -> None:
        """An answer to begin an integer program from; a solver that cannot, ignores it."""
        ...

    def solve(self, limits: Limits = Limits()) -> Solution: ...


class Solver(Protocol):
    """Something that can load programs; ``name`` is how the command line asks for it."""

    name: str

    def load(self, program: Program) -> Session: ...
