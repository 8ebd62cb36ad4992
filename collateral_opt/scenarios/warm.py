"""A program that stays loaded: its numbers change, and each time it is solved from the optimum of the book.

Only the columns that an optimum is likely to use are with the solver, and the rows that these could fill. The rest is
looked at after each solve: columns that would save something and rows that are broken join until there are none, so
the answer is one of the whole program, and the duals prove it. Whatever joined leaves again, and every solve begins
from one and the same basis: an answer depends on the numbers alone, not on what was solved before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
from highspy import HighsModelStatus, HighsStatus

from collateral_opt.errors import SolverError
from collateral_opt.model.program import Floats, Ints, scale
from collateral_opt.network.network import Bools
from collateral_opt.network.runs import ranges
from collateral_opt.scenarios.figures import Figures, Model, Numbers
from collateral_opt.solve.passes import COVERED, PENALTY
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Status

TOLERANCE = 1e-9
PROVEN = 1e-9
"""An answer is taken whose cost is within this share of what the duals prove."""
SETTLED = 1e-12
"""No column joins for less than this share of the cost."""
DEAR = 10.0
"""What an uncovered unit of a call costs in the first pass, where the dearest covered one costs 1."""
ROUNDS = 60
"""After so many, the program is none for this road."""
LIKELY = 32
"""Changes of calls, and as many of prices, whose optima say what is likely to be used; of large books fewer."""
NEARLY = 0.9
"""A row that is filled to this share in one of these is with the solver."""
_OPTIONS: dict[str, bool | int | float | str] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "presolve": "off",  # every solve begins from a basis
    "solver": "simplex",
    "simplex_scale_strategy": 0,  # the figures are near one already
    "simplex_dual_edge_weight_strategy": 1,  # exact weights take longer to find than the few steps that need them
    "primal_feasibility_tolerance": TOLERANCE,
    "dual_feasibility_tolerance": TOLERANCE,
    "small_matrix_value": 1e-12,
}


@dataclass(frozen=True)
class Optimum:
    """An optimum in base currency and yearly basis points: ``short`` [uses that ask], ``dual`` [rows]."""

    cost: float
    bound: float
    short: Floats
    dual: Floats


@dataclass(frozen=True)
class _Aim:
    """What is minimised: ``cost`` [columns], in figures that the solver divides by ``size``."""

    cost: Floats
    size: float


@dataclass(frozen=True)
class _Found:
    """The answer of the part, its duals in the rows of the model, and what they prove of the whole."""

    x: Floats
    dual: Floats
    cost: float
    bound: float


def loaded(figures: Figures) -> Warm | None:
    """The program of a book, loaded with what it and likely changes to it need; None where it has no optimum."""
    if figures.base is None:
        return None
    scaled, scaling = scale(figures.program)
    cost = scaled.cost.copy()
    cost[figures.model.shorts] = PENALTY
    start = solver_named("highs").load(replace(scaled, cost=cost)).solve()
    if start.status is not Status.OPTIMAL:
        return None
    return Warm(
        figures.model,
        figures.base,
        figures.likely(LIKELY // (1 + figures.model.edges // 100_000)),
        start.x * scaling.column,
    )


class Warm:
    """A model with a part of it in the solver.

    The part is what ``base`` and each of the numbers that are ``likely`` use at their optima, found from flows
    ``start`` [columns] on.
    """

    def __init__(self, model: Model, base: Numbers, likely: Sequence[Numbers], start: Floats) -> None:
        self._model = model
        self._matrix = _Matrix(model)
        used = start > 0
        used[model.shorts] = True
        rows = np.zeros(len(model.rows), dtype=bool)
        rows[self._matrix.always] = True
        self._part = _Part(model, self._matrix, np.flatnonzero(used), self._matrix.always, base)
        for numbers in (base, *likely):
            found = self._find(numbers, self._penalised(numbers))
            if found is not None:
                used |= found.x > 0
                rows |= self._matrix.activity(np.arange(len(used)), found.x) > NEARLY * numbers.upper
        columns, grown = np.flatnonzero(used), True
        # From fewer columns another optimum may be found, which needs others, or breaks a row that was not there.
        while grown:
            self._part = part = _Part(model, self._matrix, columns, np.flatnonzero(rows), base)
            self._find(base, self._penalised(base))
            columns, rows, grown = np.sort(part.columns), part.has_row, part.has_grown
        self._part.remember()
        self._part = self._part.rested(base)

    def solve(self, numbers: Numbers) -> Optimum | None:
        """The least shortfalls by priority and then the least cost; None where that cannot be proven here."""
        try:
            found = self._find(numbers, self._penalised(numbers))
            model = self._model
            if found is not None and np.any(found.x[model.shorts] > COVERED * numbers.upper[: model.asking]):
                found = self._by_priority(numbers)
            if found is None:
                return None
        finally:
            self._part = self._part.rested(numbers)
        carried = found.x[: model.edges]
        cost, size = float(np.sum(numbers.cost * carried)), float(np.sum(np.abs(numbers.cost) * carried))
        if abs(cost - found.bound) > PROVEN * size + SETTLED * model.scaling.objective:
            return None
        is_short = found.x[model.shorts] > COVERED * numbers.upper[: model.asking]
        return Optimum(
            cost=cost,
            bound=min(found.bound, cost),
            short=np.where(is_short, found.x[model.shorts], 0.0),
            dual=found.dual,
        )

    def _penalised(self, numbers: Numbers) -> _Aim:
        """Cost, with a price on what is left uncovered."""
        model = self._model
        factor = np.where(model.factor[: model.edges] > 0, model.factor[: model.edges], 1.0)
        dearest = float(np.max(np.abs(numbers.cost / factor), initial=0.0)) or 1.0
        return _Aim(np.append(numbers.cost, np.full(model.asking, DEAR * dearest)), model.scaling.objective)

    def _by_priority(self, numbers: Numbers) -> _Found | None:
        """Least shortfall of each rank in turn, each within what was reached before it; then least cost."""
        model, promised = self._model, self._model.promises
        cost = np.append(numbers.cost, np.zeros(model.asking))
        for rank in range(promised.stop - promised.start):
            aim = np.zeros(len(cost))
            aim[model.shorts] = model.rank == rank
            found = self._find(numbers, _Aim(aim, float(np.max(aim * model.scaling.column, initial=0.0)) or 1.0))
            row = promised.start + rank
            room = COVERED * model.scaling.row[row]
            if found is None or abs(found.cost - found.bound) > room + PROVEN * found.cost:
                return None
            upper = numbers.upper.copy()
            upper[row] = max(found.cost, 0.0) + room
            numbers = replace(numbers, upper=upper)
        return self._find(numbers, _Aim(cost, model.scaling.objective))

    def _find(self, numbers: Numbers, aim: _Aim) -> _Found | None:
        """The optimum of the whole for an aim; what joins stays until the part rests."""
        part, matrix, model = self._part, self._matrix, self._model
        part.give(numbers, aim)
        for _ in range(ROUNDS):
            answer = part.run()
            if answer is None:
                return None
            x, dual = answer
            priced = matrix.priced(aim.cost, dual)
            least, here = matrix.least(np.minimum(priced, 0.0)), part.least(priced)
            saving = (here - least) * numbers.available
            size = float(np.sum(np.abs(aim.cost[part.columns]) * x)) + aim.size
            joining = np.flatnonzero(saving > 0 if saving.sum() > SETTLED * size else saving < 0)
            columns = matrix.best(priced, least, joining)
            rows = matrix.broken(part.columns, x, numbers, part.has_row)
            if not len(columns) and not len(rows):
                whole = np.zeros(len(model.group))
                whole[part.columns] = x
                bound = matrix.proven(dual, numbers) + float(np.sum(least * numbers.available))
                return _Found(whole, dual, float(np.sum(aim.cost * whole)), bound)
            part.join(columns, rows, numbers, aim)
        return None


class _Matrix:
    """The model's columns priced by duals, and its rows weighed by flows."""

    def __init__(self, model: Model) -> None:
        rows = model.rows
        self._model = model
        self._coefficient = np.asarray(rows.coefficient, dtype=np.float64)
        self.always: Ints = np.arange(model.promises.stop)
        others = np.flatnonzero(rows.row >= model.asking)
        by_row = others[np.argsort(rows.row[others], kind="stable")]
        self._of_row = _Runs.of(rows.row[by_row], len(rows)), rows.column[by_row], self._coefficient[by_row]
        by_column = np.argsort(rows.column, kind="stable")
        columns = len(model.group)
        self._of_column = (
            _Runs.of(rows.column[by_column], columns),
            rows.row[by_column],
            self._coefficient[by_column],
        )
        self._by_group = np.argsort(model.group, kind="stable")
        self._with_columns, self._first = np.unique(model.group[self._by_group], return_index=True)

    def priced(self, cost: Floats, dual: Floats) -> Floats:
        """``cost - A^T dual`` [columns], supplies apart; ``cost`` may be of the edges alone."""
        model = self._model
        priced = -model.factor * dual[: model.asking][model.use]
        priced[: len(cost)] += cost
        runs, column, coefficient = self._of_row
        row = np.flatnonzero(dual[model.asking :]) + model.asking
        if len(row):
            at, length = runs.joined(row)
            paid = np.repeat(dual[row], length) * coefficient[at]
            priced -= np.bincount(column[at], paid, minlength=len(priced))
        return np.asarray(priced)

    def least(self, priced: Floats) -> Floats:
        """The least of each group, 0 for those without columns."""
        least = np.zeros(self._model.groups)
        least[self._with_columns] = np.minimum.reduceat(priced[self._by_group], self._first)
        return np.minimum(least, 0.0)

    def best(self, priced: Floats, least: Floats, groups: Ints) -> Ints:
        """One column of each of ``groups`` that comes to its least."""
        if not len(groups):
            return groups
        group = self._model.group
        column = np.flatnonzero((priced <= least[group]) & np.isin(group, groups))
        return np.sort(column[np.unique(group[column], return_index=True)[1]])

    def entries(self, columns: Ints) -> tuple[Ints, Ints, Floats]:
        """Row, position in ``columns`` and coefficient of all entries of some columns, column by column."""
        runs, row, coefficient = self._of_column
        at, length = runs.joined(columns)
        return row[at], np.repeat(np.arange(len(columns)), length), coefficient[at]

    def broken(self, columns: Ints, x: Floats, numbers: Numbers, known: Bools) -> Ints:
        """Rows, but ``known`` ones, that flows ``x`` on ``columns`` break."""
        over = self.activity(columns, x) - numbers.upper > TOLERANCE * self._model.scaling.row
        return np.flatnonzero(over & ~known)

    def activity(self, columns: Ints, x: Floats) -> Floats:
        """What flows ``x`` on ``columns`` come to in each row."""
        carries = np.flatnonzero(x > 0)
        row, at, coefficient = self.entries(columns[carries])
        come_to = np.bincount(row, coefficient * x[carries][at], minlength=len(self._model.rows))
        return come_to.astype(np.float64)

    def proven(self, dual: Floats, numbers: Numbers) -> float:
        """What the rows are worth at these duals."""
        row = np.flatnonzero(dual)
        return float(np.sum(dual[row] * numbers.upper[row]))


@dataclass(frozen=True)
class _Runs:
    """Where the entries of each row (or column) begin, and where the last ends."""

    start: Ints

    @classmethod
    def of(cls, owner: Ints, count: int) -> _Runs:
        """Of entries in the order of their owners."""
        return cls(np.searchsorted(owner, np.arange(count + 1)))

    def joined(self, owners: Ints) -> tuple[Ints, Ints]:
        """The positions of the entries of ``owners``, one after the other, and how many each has."""
        first, last = self.start[owners], self.start[owners + 1]
        return ranges(first, last), last - first


class _Part:
    """Some columns and rows inside the solver; a group with more than one column here has a row of its own.

    A column in the solver counts units of ``scaling.column``. ``columns`` are in the order in which they joined.
    """

    def __init__(self, model: Model, matrix: _Matrix, columns: Ints, rows: Ints, numbers: Numbers) -> None:
        self._model = model
        self._matrix = matrix
        self._highs = highspy._core._Highs()
        for name, value in _OPTIONS.items():
            self._check(name, self._highs.setOptionValue(name, value))
        self.columns = np.zeros(0, dtype=np.int64)
        self.has_row = np.zeros(len(model.rows), dtype=bool)
        self._row_at = np.full(len(model.rows) + model.groups, -1)  # a row of the model or a group -> a row here
        self._rows = np.zeros(0, dtype=np.int64)  # and back
        self._scale = np.zeros(0)
        self._basis: highspy.HighsBasis | None = None
        self._size = 1.0
        self._known = [np.zeros(0)] * 3
        self.join(columns, rows, numbers, None)
        self._rested = len(self.columns), len(self._rows)

    @property
    def has_grown(self) -> bool:
        """Whether anything joined since the beginning."""
        return (len(self.columns), len(self._rows)) != self._rested

    @property
    def rows(self) -> Ints:
        """The rows of the model that are here."""
        return self._rows[self._rows < len(self.has_row)]

    def give(self, numbers: Numbers, aim: _Aim) -> None:
        """New numbers for all that is here."""
        highs, known = self._highs, self._known
        figures = [self._costs(self.columns, aim), self._most(self.columns, numbers)]
        figures.append(self._sides(self._rows, self._scale, numbers))
        self._size = aim.size
        # Telling the solver what it knows takes longer than looking.
        cost, most, side = (np.flatnonzero(new != old) for new, old in zip(figures, known, strict=True))
        self._known = figures
        if len(cost):
            status = highs.changeColsCost(len(cost), cost.astype(np.int32), figures[0][cost])
            self._check("changeColsCost", status)
        if len(most):
            status = highs.changeColsBounds(len(most), most.astype(np.int32), np.zeros(len(most)), figures[1][most])
            self._check("changeColsBounds", status)
        if len(side):
            change = highs.changeRowsBounds  # type: ignore[attr-defined]  # missing in the stubs of 1.15.1
            lower, upper = self._both(self._rows[side], figures[2][side])
            self._check("changeRowsBounds", change(len(side), side.astype(np.int32), lower, upper))

    def run(self) -> tuple[Floats, Floats] | None:
        """Flows [columns here] and duals [rows of the model] of the optimum; None where the solver has none."""
        highs, model = self._highs, self._model
        if highs.run() == HighsStatus.kError or highs.getModelStatus() != HighsModelStatus.kOptimal:
            return None
        solution = highs.getSolution()
        x = np.clip(solution.col_value, 0.0, None) * model.scaling.column[self.columns]
        inside = np.flatnonzero(self._rows < len(self.has_row))
        dual = np.zeros(len(self.has_row))
        dual[self._rows[inside]] = np.array(solution.row_dual)[inside] * self._size / self._scale[inside]
        others = dual[model.asking :]
        np.minimum(others, 0.0, out=others)
        return x, dual

    def least(self, priced: Floats) -> Floats:
        """The least of each group among the columns here, or 0."""
        least = np.zeros(self._model.groups)
        np.minimum.at(least, self._model.group[self.columns], priced[self.columns])
        return least

    def remember(self) -> None:
        """Begin every solve from the basis of the last one."""
        self._basis = self._highs.getBasis()

    def rested(self, numbers: Numbers) -> _Part:
        """A part without what was added, that begins where every solve does."""
        (n, m), basis = self._rested, self._basis
        assert basis is not None, "remember() comes first"
        part = self
        if self.has_grown:
            rows = self._rows[:m]
            part = _Part(self._model, self._matrix, self.columns[:n], rows[rows < len(self.has_row)], numbers)
            part._basis = basis
        # Without this, what the solver remembers of earlier solves shows in the last digits.
        part._check("clearSolver", part._highs.clearSolver())
        part._check("setBasis", part._highs.setBasis(basis))
        return part

    def join(self, columns: Ints, rows: Ints, numbers: Numbers, aim: _Aim | None) -> None:
        """Let further columns and rows take part: the rows first, so that each column finds all of its own."""
        model, highs = self._model, self._highs
        here = np.concatenate([self.columns, columns])
        shared = np.flatnonzero(np.bincount(model.group[here], minlength=model.groups) > 1) + len(self.has_row)
        new = np.concatenate([rows, shared[self._row_at[shared] < 0]])
        first = len(self._rows)
        self._row_at[new] = first + np.arange(len(new))
        self._rows = np.concatenate([self._rows, new])
        self._scale = np.concatenate([self._scale, self._scales(new, here)])
        self.has_row[rows] = True
        row, at, coefficient = self._entries(self.columns)
        mine = np.flatnonzero(row >= first)
        mine = mine[np.argsort(row[mine], kind="stable")]
        start = np.searchsorted(row[mine], first + np.arange(len(new))).astype(np.int32)
        side = self._sides(new, self._scale[first:], numbers)
        lower, upper = self._both(new, side)
        status = highs.addRows(len(new), lower, upper, len(mine), start, at[mine].astype(np.int32), coefficient[mine])
        self._check("addRows", status)
        row, at, coefficient = self._entries(columns)
        start = np.searchsorted(at, np.arange(len(columns))).astype(np.int32)
        cost = np.zeros(len(columns)) if aim is None else self._costs(columns, aim)
        most = self._most(columns, numbers)
        status = highs.addCols(
            len(columns), cost, np.zeros(len(columns)), most, len(row), start, row.astype(np.int32), coefficient
        )
        self._check("addCols", status)
        self.columns = here
        self._known = [np.append(old, new) for old, new in zip(self._known, (cost, most, side), strict=True)]

    def _entries(self, columns: Ints) -> tuple[Ints, Ints, Floats]:
        """Row here, position in ``columns`` and scaled coefficient, column by column, of the rows that are here."""
        model = self._model
        row, at, coefficient = self._matrix.entries(columns)
        row = np.concatenate([row, len(self.has_row) + model.group[columns]])
        at = np.concatenate([at, np.arange(len(columns))])
        coefficient = np.concatenate([coefficient, np.ones(len(columns))])
        there = self._row_at[row]
        kept = np.flatnonzero(there >= 0)
        kept = kept[np.argsort(at[kept], kind="stable")]
        scaled = coefficient[kept] * model.scaling.column[columns][at[kept]] / self._scale[there[kept]]
        return there[kept], at[kept], scaled

    def _scales(self, rows: Ints, columns: Ints) -> Floats:
        """What rows of the model are divided by, and groups: the largest unit of their columns here."""
        model = self._model
        largest = np.zeros(model.groups)
        np.maximum.at(largest, model.group[columns], model.scaling.column[columns])
        return np.concatenate([model.scaling.row, largest])[rows]

    def _sides(self, rows: Ints, scale: Floats, numbers: Numbers) -> Floats:
        return np.concatenate([numbers.upper, numbers.available])[rows] / scale

    def _both(self, rows: Ints, upper: Floats) -> tuple[Floats, Floats]:
        """Lower and upper sides: cover rows are met exactly."""
        return np.where(rows < self._model.asking, upper, -np.inf), upper

    def _most(self, columns: Ints, numbers: Numbers) -> Floats:
        return numbers.available[self._model.group[columns]] / self._model.scaling.column[columns]

    def _costs(self, columns: Ints, aim: _Aim) -> Floats:
        return aim.cost[columns] * self._model.scaling.column[columns] / aim.size

    def _check(self, call: str, status: HighsStatus) -> None:
        if status == HighsStatus.kError:
            raise SolverError(f"HiGHS refused {call} for a scenario.")
