"""Column generation: a large linear program solved by way of a small part of its columns, to the same proven optimum.

The part is solved, all columns are priced by its duals (reduced cost ``c - A^T pi``, one vectorised pass), those that
would save something join, and so on until none would: the answer is then optimal for the whole program, and its duals
prove it. Three things keep the part easy, all of them exact:

* A row that no choice of columns can bring to its bound is left out; its dual is 0.
* A column of a *supply row* (``sum a_k x_k <= A`` over columns of one source) is bounded by ``A / a_k``. A source that
  serves one use then stands at that bound, with the row slack, and what its column saves there is the price of the
  row: ``pi_i = min(0, min_k (c_k - sum of other rows' prices) / a_k)``, duals that are equally optimal.
* The first part is chosen by the duals of a *sample*: every tenth source, with a tenth of what all are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collateral_opt.model.program import Floats, Ints, Labels, Program, Rows
from collateral_opt.network.runs import place_in_run
from collateral_opt.solve.entries import GOLDEN, Entries, Supply, before_in_run, cannot_bind
from collateral_opt.solve.highs import figures_of, finite
from collateral_opt.solve.seam import Columns, GrowingSession, GrowingSolver, Limits, Session, Solution, Solver, Status

Bools = NDArray[np.bool_]

WHOLE = 4_000
"""So many columns that can move, or fewer, are given to the solver all at once."""
TOLERANCE = 1e-9
"""A column joins if its reduced cost is below the negative of this."""
SAMPLE = 10
"""Every so-manieth source is in the sample that gives the first duals."""
FEWEST = 40
"""A sample of fewer sources says little, and is not taken."""
MARGIN = 1e-2
"""The first part has the columns within this of the best of their source, by the sample's duals, ..."""
NEAREST = 3
"""... so many of them at most, ..."""
AMPLE = 4
"""... and of each row that asks for something, the nearest columns that could give it so many times over."""
PER_SOURCE = 2
"""Columns of one source that join in a round, or as many as could take all there is of it."""
AFRESH = 0.5
"""Where more than this share of the part's columns join, it is loaded anew, and not continued from its basis."""
SHRUNK = 0.5
"""Where less than this share of the columns can still move, they are solved apart, or join the part where that can
grow and they are few."""
AT_BOUND = 1e-9
"""A column this near to its bound is there."""
BROKEN = 1e-7
"""Rows that are proven to be broken by this much together have no answer; below it, the solver decides."""


@dataclass(frozen=True)
class Round:
    """A round: columns in the part, its objective, the best bound proven so far, columns that join after it."""

    number: int
    columns: int
    objective: float
    bound: float
    added: int
    seconds: float


OnRound = Callable[[Round], None]


class ColumnGeneration:
    """A solver that solves large linear programs part by part with another, ``inner``.

    Integer programs, those without rows or whose columns name no source, and those of at most ``whole`` columns go to
    ``inner`` as they are. ``on_round`` is told of every round of the others.
    """

    def __init__(self, inner: Solver, on_round: OnRound | None = None, whole: int = WHOLE) -> None:
        self.name = inner.name
        self._inner = inner
        self._on_round = on_round
        self._whole = whole

    def load(self, program: Program) -> Session:
        is_mip = program.integer is not None and bool(program.integer.any())
        if is_mip or program.n_columns <= self._whole or not (program.n_rows and len(program.source)):
            return self._inner.load(program)
        return SiftingSession(program, self._inner, self._on_round, self._whole)


@dataclass
class _Part:
    """What is loaded into the inner solver: the columns in their order there, and the rows that are not left out."""

    session: Session
    growing: GrowingSession | None
    column: Ints
    row: Ints
    is_current: bool = True


class SiftingSession:
    """A linear program of which the inner solver sees a part; the part stays from one solve to the next."""

    def __init__(
        self,
        program: Program,
        inner: Solver,
        on_round: OnRound | None,
        whole: int,
        carried: Bools | None = None,
    ) -> None:
        n, m = program.n_columns, program.n_rows
        self._program = program
        self._inner = inner
        self._on_round = on_round
        self._whole = whole
        # Copies: whoever hands figures over may go on writing into them.
        self._cost = finite(program.cost, n, "costs").copy()
        self._lower = figures_of(program.lower, n, "lower bounds of columns").copy()
        self._upper = figures_of(program.upper, n, "upper bounds of columns").copy()
        self._row_lower = figures_of(program.rows.lower, m, "lower bounds of rows").copy()
        self._row_upper = figures_of(program.rows.upper, m, "upper bounds of rows").copy()
        self._entries = Entries.of(program)
        self._supply = Supply.of(program, self._entries)
        self._moving = np.count_nonzero(self._lower < self._upper)
        # What was in the last answer, or in one known to be feasible: it is always in the part.
        self._carried = np.zeros(n, dtype=np.bool_) if carried is None else carried
        self._chosen = self._carried.copy()
        self._is_begun = False
        self._guess = np.zeros(m)
        self._part: _Part | None = None
        self._tighten()
        self._leave_out_rows()

    def change_costs(self, cost: Floats) -> None:
        self._cost = finite(cost, len(self._cost), "costs").copy()
        self._outdate()

    def change_column_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, len(self._lower), "lower bounds of columns").copy()
        high = figures_of(upper, len(self._upper), "upper bounds of columns").copy()
        self._lower, self._upper = low, high
        self._tighten()
        self._outdate()

    def change_row_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, len(self._row_lower), "lower bounds of rows").copy()
        high = figures_of(upper, len(self._row_upper), "upper bounds of rows").copy()
        self._row_lower, self._row_upper = low, high
        self._tighten()
        self._outdate()

    def start_from(self, x: Floats) -> None:
        """A linear program has its part and its basis, and ignores this."""

    def begin_near(self, x: Floats, row_dual: Floats) -> None:
        """Begin with what this answer [columns] uses and these duals [rows] like, and not with what a sample says."""
        self._carried = finite(x, len(self._cost), "answer to begin near") != 0
        self._chosen |= self._carried
        self._guess = np.where(self._supply.is_row, 0.0, finite(row_dual, len(self._guess), "duals to begin near"))
        self._choose(self._guess)
        self._is_begun = True

    def solve(self, limits: Limits = Limits()) -> Solution:
        """Solve what is loaded now; ``limits.seconds`` is for all rounds together.

        Where a limit strikes after the first round, the answer is FEASIBLE: ``x`` of the last round that ended, and
        the best bound proven so far, with the duals that prove it.
        """
        clock = _Clock(limits)
        if (self._lower > self._upper).any() or (self._row_lower > self._row_upper).any():
            return self._nothing(Status.INFEASIBLE, "a lower bound is above its upper bound")
        moves = self._lower < self._upper
        moving = int(np.count_nonzero(moves))
        if moving < max(SHRUNK * self._moving, self._whole + 1):
            if moving > self._whole or self._part is None or self._part.growing is None:
                return self._solve_apart(moves | (self._lower != 0), moving <= self._whole, clock)
            # They join what is loaded, whose basis is near.
            self._chosen |= moves
        solution = self._in_rounds(clock)
        if solution.status is Status.INFEASIBLE:
            solution = self._widened(clock)
        if solution.status is Status.FAILED:
            return self._solve_apart(np.ones(len(self._cost), dtype=np.bool_), True, clock)
        return solution

    # What the rows imply.

    def _tighten(self) -> None:
        """The upper bounds that supply rows imply, and which columns they bind before their own bounds do.

        What a column can have is what its row leaves when all the others have their least.
        """
        supply = self._supply
        row, share, floor = supply.row[supply.column], supply.share[supply.column], self._floor()
        endless = np.isneginf(floor)  # a column that can fall without end leaves the others as much as they like
        left = np.where(endless, np.inf, self._row_upper - np.where(endless, 0.0, floor))[row] / share
        implied = np.full(len(self._cost), np.inf)
        implied[supply.column] = left + np.where(endless[row], 0.0, self._lower[supply.column])
        self._is_shared: Bools = np.isfinite(implied) & (implied <= self._upper)
        self._tight = np.maximum(np.minimum(self._upper, implied), self._lower)

    def _floor(self) -> Floats:
        """The least that the columns of each supply row can come to [rows]."""
        supply = self._supply
        least = (self._lower * supply.share)[supply.column]
        return np.bincount(supply.row[supply.column], weights=least, minlength=len(self._row_upper)).astype(np.float64)

    def _leave_out_rows(self) -> None:
        """Leave out the rows that cannot bind, and remember what that rests on."""
        self._left_out = cannot_bind(
            self._entries,
            self._supply,
            self._program.source >= 0,
            self._lower,
            self._tight,
            self._row_lower,
            self._row_upper,
        )
        self._rests_on = self._tight, self._row_upper

    def _rows_are_enough(self) -> bool:
        """Whether the rows left out still cannot bind: no column and no row may have got more room, or less."""
        tight, row_upper = self._rests_on
        sourced, out = self._program.source >= 0, self._left_out
        return not (
            (self._tight > tight)[sourced].any()
            or (self._lower < 0)[sourced].any()
            or (self._row_upper > row_upper)[self._supply.is_row].any()
            or (self._row_upper < row_upper)[out].any()
            or np.isfinite(self._row_lower[out]).any()
        )

    # The part.

    def _outdate(self) -> None:
        if self._part is not None:
            self._part.is_current = False

    def _ready_part(self, clock: _Clock) -> _Part:
        """The part as it is to be solved next: all that was chosen is in it, with today's figures."""
        if not self._rows_are_enough():
            self._leave_out_rows()
            self._part = None
        if not self._is_begun:
            self._guess = self._sampled_duals(clock)
            self._choose(self._guess)
            self._is_begun = True
        self._chosen |= (self._lower != 0) | (self._program.source < 0)
        part = self._part
        if part is None:
            return self._load_part()
        missing = self._chosen.copy()
        missing[part.column] = False
        joining = np.flatnonzero(missing)
        if len(joining) and (part.growing is None or len(joining) > AFRESH * len(part.column)):
            return self._load_part()
        if not part.is_current:
            self._shift_costs()
            part.session.change_costs(self._shifted[part.column])
            part.session.change_column_bounds(self._lower[part.column], self._tight[part.column])
            part.session.change_row_bounds(self._row_lower[part.row], self._row_upper[part.row])
            part.is_current = True
        if len(joining) and part.growing is not None:
            row, column, coefficient = self._entries.among(joining, part.row)
            part.growing.add_columns(
                Columns(self._lower[joining], self._tight[joining], self._shifted[joining], row, column, coefficient)
            )
            part.column = np.concatenate([part.column, joining])
        return part

    def _shift_costs(self) -> None:
        """Costs less what the guess pays for the rows that are met exactly: the same program but for a constant.

        A column that is worth its cost by the guess then has a cost below zero, and dual simplex begins with it at its
        upper bound: less than half the time on large programs.
        """
        self._shift = np.where(self._row_lower == self._row_upper, self._guess, 0.0)
        self._shifted = self._cost - self._entries.priced(self._shift)

    def _load_part(self) -> _Part:
        column, row = np.flatnonzero(self._chosen), np.flatnonzero(~self._left_out)
        self._shift_costs()
        program = self._restricted(column, row, self._tight, self._row_lower, self._row_upper)
        program = replace(program, cost=self._shifted[column])
        growing = self._inner.load_growing(program) if isinstance(self._inner, GrowingSolver) else None
        self._part = _Part(growing or self._inner.load(program), growing, column, row)
        return self._part

    def _restricted(self, column: Ints, row: Ints, upper: Floats, row_lower: Floats, row_upper: Floats) -> Program:
        """The program of some columns and some rows."""
        whole, (at_row, at_column, coefficient) = self._program, self._entries.among(column, row)
        return Program(
            column_labels=Labels(len(column), lambda: [whole.column_labels[k] for k in column.tolist()]),
            lower=self._lower[column],
            upper=upper[column],
            cost=self._cost[column],
            rows=Rows(
                labels=Labels(len(row), lambda: [whole.rows.labels[i] for i in row.tolist()]),
                row=at_row,
                column=at_column,
                coefficient=coefficient,
                lower=row_lower[row],
                upper=row_upper[row],
            ),
            unit=whole.unit[column],
            source=whole.source[column],
            use=whole.use[column],
        )

    def _sampled_duals(self, clock: _Clock) -> Floats:
        """Row duals of a sample of the sources, without those of supply rows; zeros where there is none to be had."""
        supply, dual = self._supply, np.zeros(len(self._row_lower))
        sampled = self._supply.sample(self._cost, self._program.use, SAMPLE)
        if len(sampled) < FEWEST:
            return dual
        entries = self._entries
        in_sample = (supply.row < 0) | np.isin(supply.row, sampled)
        column, row = np.flatnonzero(in_sample), np.flatnonzero(~self._left_out)
        room = np.where((supply.row >= 0) & np.isfinite(self._tight), self._tight, 0.0)[entries.column]
        weight = np.abs(entries.coefficient) * room
        total = np.bincount(entries.row, weights=weight, minlength=len(dual))
        part = np.bincount(entries.row, weights=weight * in_sample[entries.column], minlength=len(dual))
        share = np.where((total > 0) & ~supply.is_row, part / np.where(total > 0, total, 1.0), 1.0)
        sides = [
            np.where(np.isfinite(side), np.nan_to_num(side) * share, side)
            for side in (self._row_lower, self._row_upper)
        ]
        program = self._restricted(column, row, self._tight, *sides)
        session = (
            self._inner.load_growing(program) if isinstance(self._inner, GrowingSolver) else self._inner.load(program)
        )
        solution = session.solve(clock.left())
        if solution.status is Status.OPTIMAL and not np.isnan(solution.row_dual).any():
            dual[row] = solution.row_dual
        dual[supply.is_row] = 0.0
        return dual

    def _choose(self, dual: Floats) -> None:
        """The columns nearest to being used, by ``dual`` (supply rows 0): of each source, and of each row that asks."""
        supply, entries = self._supply, self._entries
        regret = (self._cost - entries.priced(dual)) / supply.share
        regret -= np.where(supply.row >= 0, supply.least(np.minimum(regret, 0.0))[supply.row], 0.0)
        usable = self._tight > 0
        near = np.flatnonzero(usable & (regret <= MARGIN))
        # Equally near columns of different sources are not to be of the same uses.
        scatter = np.modf(near * GOLDEN)[0]
        near = near[np.lexsort((scatter, np.round(regret[near], 6), self._program.source[near]))]
        self._chosen[near[place_in_run(self._program.source[near]) < NEAREST]] = True
        asking = (self._row_lower > 0) & ~self._left_out
        at = np.flatnonzero(asking[entries.row] & (entries.coefficient > 0) & usable[entries.column])
        at = at[np.lexsort((regret[entries.column[at]], entries.row[at]))]
        row, column = entries.row[at], entries.column[at]
        ample = AMPLE * self._row_lower[row]
        could_give = before_in_run(row, np.minimum(entries.coefficient[at] * self._tight[column], ample))
        self._chosen[column[could_give < ample]] = True

    # The rounds.

    def _in_rounds(self, clock: _Clock) -> Solution:
        """Solve, price, let columns join, until none would; FAILED where the inner solver gives no duals."""
        best: Solution | None = None
        number = 0
        while True:
            began, number = time.perf_counter(), number + 1
            part = self._ready_part(clock)
            found = part.session.solve(clock.left())
            if found.status is Status.STOPPED and best is not None:
                return best
            if found.status is not Status.OPTIMAL:
                return self._nothing(found.status, found.message)
            if np.isnan(found.row_dual).any():
                return self._nothing(Status.FAILED, "no duals")
            x = np.zeros(len(self._cost))
            x[part.column] = found.x
            self._carried = x != 0
            dual = self._usable(part, found.row_dual)
            reduced = self._cost - self._entries.priced(dual)
            at_bound = np.zeros(len(x), dtype=np.bool_)
            at_bound[part.column] = found.x >= self._tight[part.column] - AT_BOUND
            dual, reduced = self._shared(dual, reduced, at_bound | (self._tight <= 0))
            joining = self._joining(reduced)
            objective = float(np.sum(self._cost * x))
            if len(joining):
                proof = self._shared(dual, reduced, self._tight >= 0)
                bound = self._bound(*proof)
                if best is None or bound > best.bound:
                    best = Solution(Status.FEASIBLE, "stopped", objective, bound, x, *proof)
                best = replace(best, objective=objective, x=x)
            if self._on_round is not None:
                known = best.bound if best is not None and len(joining) else objective
                seconds = time.perf_counter() - began
                self._on_round(Round(number, len(part.column), objective, known, len(joining), seconds))
            if not len(joining):
                return Solution(Status.OPTIMAL, found.message, objective, objective, x, dual, reduced)
            self._chosen[joining] = True
            if best is not None and clock.has_struck:
                return best

    def _usable(self, part: _Part, row_dual: Floats) -> Floats:
        """Duals of all rows; what has the wrong sign for its row is the solver's noise."""
        dual = self._shift.copy()
        dual[part.row] += row_dual
        usable = np.where(dual > 0, np.isfinite(self._row_lower), np.isfinite(self._row_upper))
        return np.where(usable, dual, 0.0)

    def _shared(self, dual: Floats, reduced: Floats, counts: Bools) -> tuple[Floats, Floats]:
        """The same prices where each supply row pays what the best of its columns that count would save."""
        supply = self._supply
        saving = self._supply.least(np.where(counts & self._is_shared, np.minimum(reduced / supply.share, 0.0), 0.0))
        paid = np.where(supply.row >= 0, saving[supply.row], 0.0) * supply.share
        return dual + saving, reduced - paid

    def _joining(self, reduced: Floats) -> Ints:
        """Of the columns that would save something, the best of each source."""
        saving = np.flatnonzero((reduced < -TOLERANCE) & ~self._chosen & (self._tight > 0))
        source = self._program.source[saving]
        order = np.lexsort((saving, (reduced / self._supply.share)[saving], source))
        best, source = saving[order], source[order]
        supply = self._supply.row[best]
        there_is = np.where(supply >= 0, self._row_upper[supply] / self._supply.share[best], 0.0)
        there_is[np.isinf(there_is)] = 0.0
        before = before_in_run(source, np.minimum(self._tight[best], there_is))
        wanted = (place_in_run(source) < PER_SOURCE) | (before < there_is)
        return np.sort(best[wanted])

    def _bound(self, dual: Floats, reduced: Floats) -> float:
        """What the duals prove: :func:`~collateral_opt.model.program.dual_bound` with the reduced costs in hand."""
        side = np.where(dual > 0, self._row_lower, np.where(dual < 0, self._row_upper, 0.0))
        worst = np.where(reduced > 0, self._lower, np.where(reduced < 0, self._upper, 0.0))
        return float(np.sum(dual * side) + np.sum(reduced * worst))

    # Where the part has no answer.

    def _widened(self, clock: _Clock) -> Solution:
        """Let the columns join that make the part feasible; INFEASIBLE only where it is proven that none can."""
        elastic = self._elastic()
        if elastic is None:
            return self._nothing(Status.INFEASIBLE, "a supply is less than what must be taken from it")
        more = elastic.n_columns - len(self._cost)
        session = SiftingSession(
            elastic, self._inner, None, self._whole, np.pad(self._chosen, (0, more), constant_values=True)
        )
        session._is_begun = True
        least = session.solve(clock.left())
        if least.status in (Status.STOPPED, Status.FEASIBLE):
            return self._nothing(Status.STOPPED, "stopped in search of a feasible answer")
        if least.status is Status.OPTIMAL and least.objective > BROKEN:
            return self._nothing(Status.INFEASIBLE, f"the rows are broken by {least.objective:g} at least")
        self._chosen |= session._chosen[: len(self._cost)]
        solution = self._in_rounds(clock)
        if solution.status is Status.INFEASIBLE:
            return self._nothing(Status.FAILED, solution.message)
        return solution

    def _elastic(self) -> Program | None:
        """The least by which rows must be broken, as a program; None where a supply row cannot hold at all."""
        supply, program = self._supply, self._program
        if (self._floor() > self._row_upper + BROKEN)[supply.is_row].any():
            return None
        source_of = np.full(len(self._row_lower), -1)
        source_of[supply.row[supply.column]] = program.source[supply.column]
        below = np.flatnonzero(np.isfinite(self._row_lower))
        above = np.flatnonzero(np.isfinite(self._row_upper) & ~supply.is_row & ~self._left_out)
        n, more = len(self._cost), len(below) + len(above)
        return Program(
            column_labels=Labels(
                n + more, lambda: [*program.column_labels, *(("broken", str(k)) for k in range(more))]
            ),
            lower=np.pad(self._lower, (0, more)),
            upper=np.pad(self._upper, (0, more), constant_values=np.inf),
            cost=np.repeat([0.0, 1.0], [n, more]),
            rows=replace(
                program.rows,
                row=np.concatenate([program.rows.row, below, above]),
                column=np.concatenate([program.rows.column, np.arange(n, n + more)]),
                coefficient=np.concatenate(
                    [np.asarray(program.rows.coefficient, dtype=np.float64), np.ones(len(below)), -np.ones(len(above))]
                ),
                lower=self._row_lower,
                upper=self._row_upper,
            ),
            unit=np.pad(program.unit, (0, more), constant_values=1.0),
            # So a supply row stays one.
            source=np.concatenate([program.source, source_of[below], np.full(len(above), -1)]),
            use=np.pad(program.use, (0, more), constant_values=-1),
        )

    def _solve_apart(self, columns: Bools, at_once: bool, clock: _Clock) -> Solution:
        """Solve with just these columns and every row, at once or in rounds, apart from what is loaded."""
        column = np.flatnonzero(columns)
        everywhere = np.arange(len(self._row_lower))
        program = self._restricted(column, everywhere, self._upper, self._row_lower, self._row_upper)
        if at_once:
            session: Session = self._inner.load(program)
        else:
            session = SiftingSession(program, self._inner, self._on_round, self._whole, self._carried[column])
        found = session.solve(clock.left())
        if found.status not in (Status.OPTIMAL, Status.FEASIBLE):
            return self._nothing(found.status, found.message)
        x = np.zeros(len(self._cost))
        x[column] = found.x
        reduced = self._cost - self._entries.priced(found.row_dual)
        return replace(found, x=x, reduced_cost=reduced)

    def _nothing(self, status: Status, message: str) -> Solution:
        nothing = np.full(len(self._cost), np.nan)
        return Solution(status, message, np.nan, np.nan, nothing, np.full(len(self._row_lower), np.nan), nothing)


class _Clock:
    """What is left of the limits of one solve."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = time.monotonic()

    def left(self) -> Limits:
        if self._limits.seconds is None:
            return self._limits
        return replace(self._limits, seconds=max(self._limits.seconds - (time.monotonic() - self._began), 0.0))

    @property
    def has_struck(self) -> bool:
        return self._limits.stopped or self.left().seconds == 0
