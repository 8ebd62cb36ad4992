"""A linear program of all pairs of which the solver holds a part: the others are priced, and join where they save.

Unlike the column generation that finds an optimum, this one is asked many small things about one program, so whatever
has joined stays, and every solve begins from the basis of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from collateral_opt.errors import InfeasibleError, SolverError
from collateral_opt.model.program import Floats, Ints, Labels, Program
from collateral_opt.solve.entries import Entries
from collateral_opt.solve.highs import HighsSession, HighsSolver
from collateral_opt.solve.seam import Columns, Solution, Status

TOLERANCE = 1e-9
"""A column joins if its reduced cost, in scaled figures, is below the negative of this."""
MOST = 2_000
"""Columns that join in a round."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of all columns and rows of a program."""

    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats

    @classmethod
    def of(cls, program: Program) -> Bounds:
        """Those that ``program`` has; copies."""
        row_lower, row_upper = (np.array(side, dtype=np.float64) for side in (program.rows.lower, program.rows.upper))
        return cls(program.lower.copy(), program.upper.copy(), row_lower, row_upper)


class Generated:
    """``program`` (scaled) with the columns in ``part``, and those that ever joined, inside the solver.

    Columns outside the part stand at their lower bound, which must be 0 in whatever is asked.
    """

    def __init__(self, program: Program, part: Ints) -> None:
        self.program = program
        self.entries = Entries.of(program)
        self._column = np.unique(part)
        self._inside = np.zeros(program.n_columns, dtype=bool)
        self._inside[self._column] = True
        self._session: HighsSession = HighsSolver().load_growing(restricted(program, self.entries, self._column))

    def solve(self, cost: Floats, bounds: Bounds, aim: str) -> Solution:
        """The optimum over all columns, ``x`` and ``reduced_cost`` [columns] of the whole program.

        Raises:
            InfeasibleError: there is none.
            SolverError: the solver gave up; ``aim`` says at what.
        """
        self._tell(cost, bounds)
        can_move = bounds.upper > bounds.lower
        while True:
            found = self._session.solve()
            if found.status is Status.INFEASIBLE and self._join(np.flatnonzero(can_move), cost, bounds):
                continue
            if found.status is not Status.OPTIMAL:
                found = self._afresh(cost, bounds)
            if found.status is Status.INFEASIBLE:
                raise InfeasibleError(f"{aim}: {found.message}")
            if found.status is not Status.OPTIMAL:
                raise SolverError(f"{aim}: {found.message}")
            reduced = cost - self.entries.priced(found.row_dual)
            saving = np.flatnonzero((reduced < -TOLERANCE) & ~self._inside & can_move)
            best = saving[np.argsort(reduced[saving], kind="stable")[:MOST]]
            if self._join(np.sort(best), cost, bounds):
                continue
            x = bounds.lower.copy()
            x[self._column] = found.x
            return replace(found, x=x, reduced_cost=reduced)

    def _afresh(self, cost: Floats, bounds: Bounds) -> Solution:
        """The part solved on its own, with presolve: a basis that was good for another question may lead nowhere."""
        rows = replace(self.program.rows, lower=bounds.row_lower, upper=bounds.row_upper)
        asked = replace(self.program, lower=bounds.lower, upper=bounds.upper, cost=cost, rows=rows)
        return HighsSolver().load(restricted(asked, self.entries, self._column)).solve()

    def hold(self, columns: Iterable[int]) -> None:
        """Let ``columns`` into the part, whatever they cost."""
        nowhere = np.zeros(self.program.n_columns)
        self._join(
            np.array(sorted(columns), dtype=np.int64), self.program.cost, Bounds(nowhere, nowhere, nowhere, nowhere)
        )

    def _tell(self, cost: Floats, bounds: Bounds) -> None:
        self._session.change_costs(cost[self._column])
        self._session.change_column_bounds(bounds.lower[self._column], bounds.upper[self._column])
        self._session.change_row_bounds(bounds.row_lower, bounds.row_upper)

    def _join(self, columns: Ints, cost: Floats, bounds: Bounds) -> bool:
        """Let columns join that have not yet; whether there were any."""
        joining = columns[~self._inside[columns]]
        if not len(joining):
            return False
        row, column, coefficient = self.entries.among(joining, np.arange(self.program.n_rows))
        lower, upper = bounds.lower[joining], bounds.upper[joining]
        self._session.add_columns(Columns(lower, upper, cost[joining], row, column, coefficient))
        self._column = np.concatenate([self._column, joining])
        self._inside[joining] = True
        return True


def restricted(program: Program, entries: Entries, column: Ints) -> Program:
    """``program`` with some of its columns and all its rows; ``entries`` are its own."""
    row, at, coefficient = entries.among(column, np.arange(program.n_rows))
    labels: Callable[[], list[tuple[str, ...]]] = lambda: [program.column_labels[k] for k in column.tolist()]  # noqa: E731
    return Program(
        column_labels=Labels(len(column), labels),
        lower=program.lower[column],
        upper=program.upper[column],
        cost=program.cost[column],
        rows=replace(program.rows, row=row, column=at, coefficient=coefficient),
        unit=program.unit[column],
        source=program.source[column],
        use=program.use[column],
    )
