"""A program that stays loaded: its numbers change, and each time it is solved from the optimum of the book.

Only the columns that an optimum is likely to use are with the solver, and the rows that these could fill. A column
that carries all of its group in every likely optimum is taken to do so, and weighs on the right sides alone. The rest
is looked at after each solve: columns that would save something and rows that are broken join until there are none, so
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
LOOSE = 10 * TOLERANCE
"""What rows of an answer may be off, in their scaled figures."""
PROVEN = 1e-9
"""An answer is taken whose cost is within this share of what the duals prove."""
SETTLED = 1e-12
"""No column joins for less than this share of the cost."""
DEAR = 10.0
"""What an uncovered unit of a call costs in the first pass, where the dearest covered one costs 1."""
USED = 1e-9
MANY = 64
ROUNDS = 60
"""After so many, the program is none for this road."""
JOINING = 64
"""Groups whose columns join in the first round, those that save the most, and twice as many in each further one: most
of those that a wrong dual makes look cheap are not needed once a few have put it right."""
LIKELY = 32
"""Changes of calls, and as many of prices, whose optima say what is likely to be used; of large books fewer."""
PASSES = 3
"""The first learns what there is to choose from; then ties fall one way, and far fewer columns are used."""
NEARLY = 0.6
"""A row that is filled to this share in one of these is with the solver."""
USED = 1e-9
"""A flow below this share of what its group has is none, and one that leaves no more carries all of it."""
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
    """An optimum in base currency, yearly basis points: ``short`` [uses that ask], ``dual`` [rows], ``x`` [edges]."""

    cost: float
    bound: float
    short: Floats
    dual: Floats
    x: Floats


@dataclass(frozen=True)
class _Aim:
    """What is minimised: ``cost`` [columns], in figures that the solver divides by ``size``."""

    cost: Floats
    size: float


@dataclass(frozen=True)
class _Aims:
    """Cost with a price on what is left uncovered, and cost alone, for the costs of edges ``of``."""

    of: Floats
    penalised: _Aim
    plain: _Aim


@dataclass(frozen=True)
class _Found:
    """An optimum: ``x`` on ``columns`` and nowhere else, its duals in the rows of the model, and what they prove."""

    columns: Ints
    x: Floats
    short: Floats
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
        by_group = np.argsort(model.group, kind="stable")  # shortfalls stay the last
        self._model = model = _reordered(model, by_group)
        self._order = by_group[: model.edges]
        self._matrix = _Matrix(model)
        self._aims: _Aims | None = None
        used = start[by_group] > 0
        used[model.shorts] = True
        self._part = _Part(model, self._matrix, np.flatnonzero(used), self._matrix.none, self._matrix.always)
        for _ in range(PASSES):
            self._part = self._narrowed(base, likely)

    def _narrowed(self, base: Numbers, likely: Sequence[Numbers]) -> _Part:
        """What is used at the optima that the present part leads to, ready for ``base``."""
        model, columns, rows = self._model, len(self._model.group), len(self._model.rows)
        used, full = np.zeros(columns, dtype=bool), np.ones(columns, dtype=bool)
        has_row = np.arange(rows) < len(self._matrix.always)
        for numbers in (base, *likely):
            found = self._find(numbers, self._aims_at(numbers.cost).penalised)
            if found is not None:
                most, x = numbers.available[model.group], np.zeros(columns)
                x[found.columns] = found.x
                used |= x > USED * most
                full &= x >= (1 - USED) * most
                has_row |= self._matrix.entries(found.columns).activity(found.x) > NEARLY * numbers.upper
            self._part = self._part.rested()
        used[model.shorts], full[model.shorts] = True, False
        full &= used
        used &= ~full
        # From fewer columns another optimum may be found, which needs others, or breaks a row that was not there.
        while True:
            self._part = part = _Part(
                model, self._matrix, np.flatnonzero(used), np.flatnonzero(full), np.flatnonzero(has_row)
            )
            self._find(base, self._aims_at(base.cost).penalised)
            if not part.has_grown:
                part.remember()
                return part.rested()
            used[part.columns], full[part.columns], has_row = True, False, part.has_row

    def solve(self, numbers: Numbers) -> Optimum | None:
        """The least shortfalls by priority and then the least cost; None where that cannot be proven here."""
        aims = self._aims_at(numbers.cost)
        try:
            found = self._find(numbers, aims.penalised)
            model = self._model
            if found is not None and np.any(found.short > COVERED * numbers.upper[: model.asking]):
                found = self._by_priority(numbers, aims.plain)
            if found is None:
                return None
        finally:
            self._part = self._part.rested()
        paid = aims.plain.cost[found.columns] * found.x
        cost, size = float(np.sum(paid)), float(np.sum(np.abs(paid)))
        is_proven = abs(cost - found.bound) <= PROVEN * size + SETTLED * model.scaling.objective
        if not is_proven or not self._holds(found, numbers):
            return None
        is_short = found.short > COVERED * numbers.upper[: model.asking]
        flows = np.zeros(model.edges)
        on_edges = found.columns < model.edges
        flows[self._order[found.columns[on_edges]]] = found.x[on_edges]
        return Optimum(
            cost=cost,
            bound=min(found.bound, cost),
            short=np.where(is_short, found.short, 0.0),
            dual=found.dual,
            x=flows,
        )

    def _holds(self, found: _Found, numbers: Numbers) -> bool:
        """Whether the flows keep every row and every group, and cover what is asked: a bound proves nothing of that."""
        model, asking = self._model, self._model.asking
        activity = self._matrix.entries(found.columns).activity(found.x)
        room = LOOSE * model.scaling.row
        drawn = np.bincount(model.group[found.columns], found.x, minlength=model.groups)
        return not (
            (activity - numbers.upper > room).any()
            or (numbers.upper - activity > room)[:asking].any()
            or (drawn > numbers.available * (1 + LOOSE) + LOOSE).any()
        )

    def _aims_at(self, cost: Floats) -> _Aims:
        """What is minimised where edges have these costs: mostly those of the scenario before, the very same array."""
        if self._aims is not None and self._aims.of is cost:
            return self._aims
        model, ordered = self._model, cost[self._order]
        factor = np.where(model.factor[: model.edges] > 0, model.factor[: model.edges], 1.0)
        dearest = float(np.max(np.abs(ordered / factor), initial=0.0)) or 1.0
        penalised, plain = (
            _Aim(np.append(ordered, np.full(model.asking, price)), model.scaling.objective)
            for price in (DEAR * dearest, 0.0)
        )
        self._aims = _Aims(cost, penalised, plain)
        return self._aims

    def _by_priority(self, numbers: Numbers, cost: _Aim) -> _Found | None:
        """Least shortfall of each rank in turn, each within what was reached before it; then least cost."""
        model, promised = self._model, self._model.promises
        for rank in range(promised.stop - promised.start):
            aim = np.zeros(len(model.group))
            aim[model.shorts] = model.rank == rank
            found = self._find(numbers, _Aim(aim, float(np.max(aim * model.scaling.column, initial=0.0)) or 1.0))
            row = promised.start + rank
            room = COVERED * model.scaling.row[row]
            if found is None or abs(found.cost - found.bound) > room + PROVEN * found.cost:
                return None
            upper = numbers.upper.copy()
            upper[row] = max(found.cost, 0.0) + room
            numbers = replace(numbers, upper=upper)
        return self._find(numbers, cost)

    def _find(self, numbers: Numbers, aim: _Aim) -> _Found | None:
        """The optimum of the whole for an aim; what joins stays until the part rests."""
        matrix, model, part = self._matrix, self._model, self._part
        for number in range(ROUNDS):
            part.give(numbers, aim)
            answer = part.run()
            if answer is None:
                # Full columns may be too much for the rows they are in; without any, there is no answer.
                if not len(part.full):
                    return None
                part.join(part.crowding(numbers), matrix.none)
                continue
            x, dual = answer
            priced = matrix.priced(aim.cost, dual)
            least = matrix.least(priced)
            saving = (part.least(priced) - least) * numbers.available
            columns, flows = np.concatenate([part.columns, part.full]), np.concatenate([x, part.carried])
            paid = aim.cost[columns] * flows
            joining = matrix.none
            if saving.sum() > SETTLED * (float(np.sum(np.abs(paid))) + aim.size):
                joining = self._joining(priced, least, saving, JOINING << number)
            rows = part.broken(x, numbers)
            if not len(joining) and not len(rows):
                bound = matrix.proven(dual, numbers) + float(np.sum(least * numbers.available))
                short = np.zeros(len(model.group))
                short[part.columns] = x
                return _Found(columns, flows, short[model.shorts], dual, float(np.sum(paid)), bound)
            part.join(joining, rows)
        return None

    def _joining(self, priced: Floats, least: Floats, saving: Floats, most: int) -> Ints:
        """The best columns of the groups, ``most`` of them or few more, that save, and what fills these groups now."""
        group, full = self._model.group, self._part.full
        saves = saving > 0
        if np.count_nonzero(saves) > most:
            saves &= saving >= np.partition(saving, -most)[-most]
        return np.union1d(self._matrix.best(priced, least, saves), full[saves[group[full]]])


def _reordered(model: Model, order: Ints) -> Model:
    """The same model with its columns in another order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(
        model,
        group=model.group[order],
        use=model.use[order],
        factor=model.factor[order],
        rows=replace(model.rows, column=place[model.rows.column]),
        scaling=replace(model.scaling, column=model.scaling.column[order]),
    )


@dataclass(frozen=True)
class _Entries:
    """The entries of some columns, column by column: row, position among the columns, coefficient."""

    row: Ints
    at: Ints
    coefficient: Floats
    rows: int

    def activity(self, x: Floats) -> Floats:
        """What flows ``x`` on these columns come to in each of the ``rows``."""
        return np.bincount(self.row, self.coefficient * x[self.at], minlength=self.rows).astype(np.float64, copy=False)


class _Matrix:
    """The columns of a model, group by group, priced by duals, and its rows weighed by flows."""

    def __init__(self, model: Model) -> None:
        rows = model.rows
        self._model = model
        coefficient = np.asarray(rows.coefficient, dtype=np.float64)
        self.always: Ints = np.arange(model.promises.stop)
        self.none: Ints = self.always[:0]
        others = np.flatnonzero(rows.row >= model.asking)
        by_row = others[np.argsort(rows.row[others], kind="stable")]
        self._of_row = _Runs.of(rows.row[by_row], len(rows)), rows.column[by_row], coefficient[by_row]
        by_column = np.argsort(rows.column, kind="stable")
        runs = _Runs.of(rows.column[by_column], len(model.group))
        self._of_column = runs, rows.row[by_column], coefficient[by_column]
        self._with_columns, self._first = np.unique(model.group, return_index=True)

    def priced(self, cost: Floats, dual: Floats) -> Floats:
        """``cost - A^T dual`` [columns], supplies apart."""
        model = self._model
        priced = cost - model.factor * dual[: model.asking].take(model.use)
        runs, column, coefficient = self._of_row
        row = np.flatnonzero(dual[model.asking :]) + model.asking
        if len(row):
            at, length = runs.joined(row)
            paid = np.repeat(dual[row], length) * coefficient[at]
            priced -= np.bincount(column[at], paid, minlength=len(priced))
        return priced

    def least(self, priced: Floats) -> Floats:
        """The least of each group, or 0."""
        least = np.zeros(self._model.groups)
        least[self._with_columns] = np.minimum.reduceat(priced, self._first)
        return np.minimum(least, 0.0)

    def best(self, priced: Floats, least: Floats, groups: Bools) -> Ints:
        """One column of each of ``groups`` that comes to its least, where that is below 0."""
        group = self._model.group
        column = np.flatnonzero((priced <= least[group]) & (groups & (least < 0))[group])
        return column[np.unique(group[column], return_index=True)[1]]

    def entries(self, columns: Ints) -> _Entries:
        """The entries of some columns."""
        runs, row, coefficient = self._of_column
        at, length = runs.joined(columns)
        return _Entries(row[at], np.repeat(np.arange(len(columns)), length), coefficient[at], len(self._model.rows))

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
    ``full`` columns, each the only one here of its group, are not in the solver: they are ``carried`` as far as their
    groups go, which leaves less of the right sides.
    """

    def __init__(self, model: Model, matrix: _Matrix, columns: Ints, full: Ints, rows: Ints) -> None:
        self._model = model
        self._matrix = matrix
        self._highs = highspy._core._Highs()
        for name, value in _OPTIONS.items():
            self._check(name, self._highs.setOptionValue(name, value))
        self.full = full
        self.carried = np.zeros(0)
        self.columns = matrix.none
        self.has_row = np.zeros(len(model.rows), dtype=bool)
        self._filled = np.zeros(len(model.rows))
        self._row_at = np.full(len(model.rows) + model.groups, -1)  # a row of the model or a group -> a row here
        self._rows = np.zeros(0, dtype=np.int64)  # and back
        self._scale = np.zeros(0)
        self._basis: highspy.HighsBasis | None = None
        self._size = 1.0
        self._known = [np.zeros(0)] * 3  # costs, upper bounds and right sides as the solver has them
        self.join(columns, rows)
        self._rested = len(self.columns), len(self._rows), full

    @property
    def has_grown(self) -> bool:
        """Whether anything joined since the beginning."""
        return (len(self.columns), len(self._rows)) != self._rested[:2]

    def give(self, numbers: Numbers, aim: _Aim) -> None:
        """New numbers for all that is here."""
        highs, known = self._highs, self._known
        carried = numbers.available[self._model.group[self.full]]
        if not np.array_equal(carried, self.carried):
            self.carried, self._filled = carried, self._of_full.activity(carried)
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
        """What each group saves here: the least of its columns or 0; where one is full, what that comes to."""
        group = self._model.group
        least = np.zeros(self._model.groups)
        np.minimum.at(least, group[self.columns], priced[self.columns])
        least[group[self.full]] = priced[self.full]
        return least

    def broken(self, x: Floats, numbers: Numbers) -> Ints:
        """Rows that are not here and that flows ``x`` on the columns break, with all that is full."""
        over = self._filled + self._of_columns.activity(x) - numbers.upper > TOLERANCE * self._model.scaling.row
        return np.flatnonzero(over & ~self.has_row)

    def crowding(self, numbers: Numbers) -> Ints:
        """Full columns in rows that these alone fill beyond the right side; without such rows, all that are full."""
        entries = self._of_full
        crowded = np.unique(entries.at[(self._filled > numbers.upper)[entries.row]])
        return self.full[crowded] if len(crowded) else self.full

    def remember(self) -> None:
        """Begin every solve from the basis of the last one."""
        self._basis = self._highs.getBasis()

    def rested(self) -> _Part:
        """A part without what was added, that begins where every solve does; this one before ``remember``."""
        (n, m, full), basis = self._rested, self._basis
        if basis is None:
            return self
        part = self
        if self.has_grown:
            rows = self._rows[:m]
            part = _Part(self._model, self._matrix, self.columns[:n], full, rows[rows < len(self.has_row)])
            part._basis = basis
        # Without this, what the solver remembers of earlier solves shows in the last digits.
        part._check("clearSolver", part._highs.clearSolver())
        part._check("setBasis", part._highs.setBasis(basis))
        return part

    def join(self, columns: Ints, rows: Ints) -> None:
        """Let further columns and rows take part, without numbers yet; columns may be among those that are full.

        The rows come first, so that each column finds all of its own.
        """
        model, highs = self._model, self._highs
        here = np.concatenate([self.columns, columns])
        self.full = np.setdiff1d(self.full, columns, assume_unique=True)
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
        nil = np.zeros(len(new))
        lower, upper = self._both(new, nil)
        status = highs.addRows(len(new), lower, upper, len(mine), start, at[mine].astype(np.int32), coefficient[mine])
        self._check("addRows", status)
        row, at, coefficient = self._entries(columns)
        start = np.searchsorted(at, np.arange(len(columns))).astype(np.int32)
        zero = np.zeros(len(columns))
        status = highs.addCols(len(columns), zero, zero, zero, len(row), start, row.astype(np.int32), coefficient)
        self._check("addCols", status)
        self.columns = here
        self._of_columns, self._of_full = self._matrix.entries(here), self._matrix.entries(self.full)
        self.carried, self._filled = np.zeros(len(self.full)), np.zeros(len(self.has_row))
        self._known = [np.append(old, new) for old, new in zip(self._known, (zero, zero, nil), strict=True)]

    def _entries(self, columns: Ints) -> tuple[Ints, Ints, Floats]:
        """Row here, position in ``columns`` and scaled coefficient, column by column, of the rows that are here."""
        model = self._model
        entries = self._matrix.entries(columns)
        row = np.concatenate([entries.row, len(self.has_row) + model.group[columns]])
        at = np.concatenate([entries.at, np.arange(len(columns))])
        coefficient = np.concatenate([entries.coefficient, np.ones(len(columns))])
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
        return np.concatenate([numbers.upper - self._filled, numbers.available])[rows] / scale

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
