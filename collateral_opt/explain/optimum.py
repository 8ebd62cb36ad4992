"""The linear optimum of a book, and what small changes to its right sides do to it.

Let ``v(b)`` be the least cost with right sides (and bounds) ``b``, ``x`` an optimum. For small ``t > 0`` the point
``x + t d`` is feasible for ``b + t s`` exactly if ``d`` moves every row and column that stands at a side of its own by
``s`` there or inwards: no other can be reached by a small step. So

    v'(b; s) = min { c d : A d = s on equalities, A d <= s on full rows, d >= s where x stands at its lower bound, ... }

and ``v(b + t s) = v(b) + t v'(b; s)`` up to some ``t``, for ``v`` is piecewise linear. That program is the loaded one
with other bounds and the same costs: its basis stays dual feasible, and a few steps of the dual simplex answer. Its
duals are optimal for ``v`` too, and among those the ones that value ``s`` most: so a price to the right is no
approximation, and the one to the left is that of ``-s`` with its sign turned.

How far a price holds is a program as well: the largest ``t`` for which some ``x`` is feasible for ``b + t s`` and
complementary to these duals. They prove the cost there, and nothing else proves it beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

import numpy as np

from collateral_opt.errors import InfeasibleError
from collateral_opt.explain.generated import Bounds, Generated, restricted
from collateral_opt.model.formulation import formulate, shortfall_aim
from collateral_opt.model.program import Floats, Ints, Label, Labels, Program, scale
from collateral_opt.network.build import Problem
from collateral_opt.network.network import Bools, Edges, Kind, Network, View
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import MANY, Linear, better, linear_optima, on_the_road
from collateral_opt.solve.passes import COVERED, with_lines
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits, Status

ACTIVE = 1e-7
"""A row or column this near to its side, in scaled figures, stands there."""
ROOM = 1e-8
"""Shares of calls that a solver may not tell from none: so much may be left uncovered of what need not be."""
FACE = 1e-7
"""Reduced costs and duals smaller than this, in scaled figures, count as zero."""


@dataclass(frozen=True)
class Slope:
    """What a step of one unit costs at first, in basis points a year, and the duals [rows] that prove it.

    ``shift`` (by row) is the step, ``forced`` (by column) what is forced onto pairs. ``bps`` is infinite, and there are
    no duals, where no step is possible.
    """

    bps: float
    duals: Floats | None
    shift: Mapping[Label, float] = field(default_factory=dict)
    forced: Mapping[int, float] = field(default_factory=dict)


class Optimum:
    """The optimum of ``problem``: ``x`` [edges of ``network``], ``duals`` [rows] in basis points a year.

    ``is_whole``: ``network`` has all pairs; those of a book with more than :data:`~collateral_opt.solve.linear.MANY`
    are the ones near the optimum. ``short`` [uses that ask] is what the linear program leaves uncovered.
    """

    def __init__(self, problem: Problem, network: Network, program: Program, linear: Linear, part: Ints) -> None:
        self.problem = problem
        self.network = network
        self.program = program
        self.is_whole = len(network.edges) == problem.pairs
        self.scaled, self.scaling = scale(program)
        self.bounds = Bounds.of(self.scaled)
        self.may_carry: Bools = program.upper[: len(network.edges)] > 0
        """Pairs that may carry something, those included that are no line of the answer."""
        self._linear = linear
        self._generated = Generated(self.scaled, part)
        self._begin()

    @classmethod
    def of(cls, problem: Problem) -> Optimum:
        """The optimum of the linear program, on the better of its roads.

        Raises:
            InfeasibleError: there is none.
            SolverError: the solver gave up.
        """
        linear = reduce(better, linear_optima(problem, solver_named("highs"), Limits()))
        is_whole = problem.pairs <= MANY
        edges = problem.edges() if is_whole else linear.network.edges
        network = on_the_road(problem.network(edges, all_groups=is_whole), linear.network)
        # How far a price holds depends on limits that nothing could fill today.
        network = replace(network, limits=[replace(block, loose=None) for block in network.limits])
        program = _kept(formulate(network), network, linear)
        return cls(problem, network, program, linear, _part(program, linear))

    def with_lines(self, lines: Lines) -> Optimum:
        """The optimum where just ``lines`` are there; this one where no linear program has such an answer."""
        x = lines.on(self.network)
        program = with_lines(self.program, View.of(self.network), x, lines.short)
        part = np.union1d(_part(program, self._linear), np.flatnonzero(x > 0))
        try:
            found = Optimum(self.problem, self.network, program, self._linear, part)
        except InfeasibleError:
            return self
        found.may_carry = self.may_carry
        return found

    def _begin(self) -> None:
        solution = self._generated.solve(self.scaled.cost, self.bounds, "the optimum")
        self._x, self._dual = solution.x, solution.row_dual
        self.x: Floats = (np.maximum(solution.x, 0.0) * self.scaling.column)[: len(self.network.edges)]
        self.duals: Floats = self._natural(solution.row_dual)
        self.cost = float(np.sum(self.program.cost * solution.x * self.scaling.column))

    def _natural(self, row_dual: Floats) -> Floats:
        return np.asarray(row_dual * self.scaling.objective / self.scaling.row)

    @cached_property
    def row_at(self) -> Mapping[Label, int]:
        """Where each row stands."""
        return {label: row for row, label in enumerate(self.program.rows.labels)}

    @cached_property
    def short(self) -> Floats:
        """What each use that asks is left short of by the linear program."""
        first = len(self.network.edges)
        shorts = slice(first, first + self.network.uses.asking)
        return np.asarray(self._x[shorts] * self.scaling.column[shorts])

    def prices(self, duals: Floats) -> Mapping[Label, float]:
        """Duals [rows] by label."""
        return dict(zip(self.program.rows.labels, duals.tolist(), strict=True))

    # Steps.

    def slope(self, shift: Mapping[Label, float], forced: Mapping[int, float] | None = None) -> Slope:
        """What a unit of ``shift`` in right sides, with ``forced`` (in base currency) on columns, costs at first.

        Rows that are not there hold nothing back and are passed over.
        """
        step = {self.row_at[label]: amount for label, amount in shift.items() if label in self.row_at and amount}
        forced = forced or {}
        size = self._size(step, forced)
        if not step and not forced:
            return Slope(0.0, self.duals, shift, forced)
        bounds = self._cone(step, forced, size)
        self._generated.hold(forced)
        try:
            found = self._generated.solve(self.scaled.cost, bounds, "a price")
        except InfeasibleError:
            return Slope(float("inf"), None, shift, forced)
        return Slope(
            bps=float(found.objective) * self.scaling.objective / size + 0.0,
            duals=self._natural(found.row_dual),
            shift=shift,
            forced=forced,
        )

    def _size(self, step: Mapping[int, float], forced: Mapping[int, float]) -> float:
        """Units of a step that are near one in scaled figures."""
        rows = [self.scaling.row[row] / abs(amount) for row, amount in step.items()]
        columns = [self.scaling.column[column] / abs(amount) for column, amount in forced.items()]
        return float(max([*rows, *columns], default=1.0))

    def _cone(self, step: Mapping[int, float], forced: Mapping[int, float], size: float) -> Bounds:
        """Where a direction may go: at a side inwards or with the step, elsewhere anywhere."""
        at, x = self.bounds, self._x
        activity = self._activity
        cone = Bounds(
            lower=np.where(x <= at.lower + ACTIVE, 0.0, -np.inf),
            upper=np.where(x >= at.upper - ACTIVE, 0.0, np.inf),
            row_lower=np.where(activity <= at.row_lower + ACTIVE, 0.0, -np.inf),
            row_upper=np.where(activity >= at.row_upper - ACTIVE, 0.0, np.inf),
        )
        for row, amount in step.items():
            below, above = self._sides_that_move(row, amount)
            moved = amount * size / self.scaling.row[row]
            cone.row_lower[row] += moved if below else 0.0
            cone.row_upper[row] += moved if above else 0.0
        for column, amount in forced.items():
            cone.lower[column] = amount * size / self.scaling.column[column]
            # A line that the answer does not have is shut there: to force something onto it is to open it.
            cone.upper[column] = np.inf if self.may_carry[column] else cone.upper[column]
        return cone

    def _sides_that_move(self, row: int, amount: float) -> tuple[bool, bool]:
        """Whether a row's lower and upper side move with its right side."""
        lower, upper = self.bounds.row_lower[row], self.bounds.row_upper[row]
        if lower != upper or not np.isfinite(lower):
            # What may be exceeded, by a pin or because it lies there already, may still be.
            return bool(np.isfinite(lower)), not np.isfinite(lower)
        asks_for_nothing = lower == 0 and amount < 0 and self.program.rows.labels[row][0] == "cover"
        return True, not asks_for_nothing

    @cached_property
    def _activity(self) -> Floats:
        rows = self.scaled.rows
        weights = np.asarray(rows.coefficient, dtype=np.float64) * self._x[rows.column]
        return np.bincount(rows.row, weights=weights, minlength=len(rows)).astype(np.float64)

    @property
    def is_full(self) -> Bools:
        """Rows [rows] that stand at their upper side."""
        return np.asarray(self._activity >= self.bounds.row_upper - ACTIVE)

    def reach(self, slope: Slope) -> float:
        """How many units of its step (in base currency) a slope holds for; infinite without end, 0 where not known."""
        if slope.duals is None:
            return 0.0
        step = {self.row_at[label]: a for label, a in slope.shift.items() if label in self.row_at and a}
        if not step and not slope.forced:
            return float("inf")
        size = self._size(step, slope.forced)
        at, entries = self.bounds, self._generated.entries
        dual = slope.duals * self.scaling.row / self.scaling.objective
        reduced = self.scaled.cost - entries.priced(dual)
        x = np.where(reduced > FACE, at.lower, np.where(reduced < -FACE, at.upper, 0.0))
        x[list(slope.forced)] = self._x[list(slope.forced)]
        free = np.abs(reduced) <= FACE
        free[list(slope.forced)] = False
        rows = self.scaled.rows
        coefficient = np.asarray(rows.coefficient, dtype=np.float64)
        fixed = np.bincount(rows.row, weights=coefficient * x[rows.column], minlength=len(rows))
        # Each row twice: its side that moves, and its side that stays; what has a price is met with equality.
        below, above = np.zeros((2, len(rows)), dtype=bool)
        moved = np.zeros(len(rows))
        for row, amount in step.items():
            below[row], above[row] = self._sides_that_move(row, amount)
            moved[row] = -amount * size / self.scaling.row[row]
        for column, amount in slope.forced.items():
            mine, _, weights = entries.among(np.array([column]), np.arange(len(rows)))
            moved[mine] += weights * amount * size / self.scaling.column[column]
            below[mine] = above[mine] = True
        low = np.where(dual < -FACE, at.row_upper, at.row_lower) - fixed
        high = np.where(dual > FACE, at.row_lower, at.row_upper) - fixed
        moves_down, moves_up = np.where(dual < -FACE, above, below), np.where(dual > FACE, below, above)
        sides = np.where(moves_down, low, -np.inf), np.where(moves_up, high, np.inf)
        staying = np.where(moves_down, -np.inf, low), np.where(moves_up, np.inf, high)
        return self._longest(np.flatnonzero(free), sides, staying, moved) * size

    def _longest(
        self, column: Ints, moving: tuple[Floats, Floats], staying: tuple[Floats, Floats], moved: Floats
    ) -> float:
        """The most units of a step with entries ``moved`` [rows] beside ``column``, within both kinds of sides."""
        part = restricted(self.scaled, self._generated.entries, column)
        at, further, count = np.flatnonzero(moved), len(column), len(moved)
        again = np.flatnonzero(moved[part.rows.row])
        program = Program(
            column_labels=Labels(further + 1, lambda: [*part.column_labels, ("step",)]),
            lower=np.append(part.lower, 0.0),
            upper=np.append(part.upper, np.inf),
            cost=np.append(np.zeros(further), -1.0),
            rows=replace(
                part.rows,
                labels=Labels(
                    count + len(at), lambda: [*part.rows.labels, *(part.rows.labels[r] for r in at.tolist())]
                ),
                row=np.concatenate([part.rows.row, at, count + np.searchsorted(at, part.rows.row[again])]),
                column=np.concatenate([part.rows.column, np.full(len(at), further), part.rows.column[again]]),
                coefficient=np.concatenate(
                    [
                        *(np.asarray(side, dtype=np.float64) for side in (part.rows.coefficient, moved[at])),
                        np.asarray(part.rows.coefficient, dtype=np.float64)[again],
                    ]
                ),
                lower=np.append(np.where(moved != 0, moving[0], staying[0]), staying[0][at]),
                upper=np.append(np.where(moved != 0, moving[1], staying[1]), staying[1][at]),
            ),
            unit=np.ones(further + 1),
        )
        found = HighsSolver().load(program).solve()
        if found.status is Status.UNBOUNDED:
            return float("inf")
        return max(0.0, -found.objective) if found.status is Status.OPTIMAL else 0.0

    # Terms let go.

    def without(
        self,
        *,
        above: Iterable[int] = (),
        below: Iterable[int] = (),
        most: Mapping[int, float] | None = None,
        columns: Iterable[int] = (),
    ) -> tuple[float, Floats]:
        """Least cost (base currency times yearly basis points) and shortfalls [uses that ask] where some rows have no
        side ``above`` or ``below``, or another upper side (``most``, in base currency), and ``columns`` are bound by
        nothing but 0; all aims in their order.
        """
        at = self.bounds
        bounds = Bounds(at.lower.copy(), at.upper.copy(), at.row_lower.copy(), at.row_upper.copy())
        bounds.row_upper[list(above)], bounds.row_lower[list(below)] = np.inf, -np.inf
        for row, side in (most or {}).items():
            bounds.row_upper[row] = side / self.scaling.row[row]
        bounds.lower[list(columns)], bounds.upper[list(columns)] = 0.0, np.inf
        try:
            return self._in_order(bounds, ROOM)
        except InfeasibleError:
            # What the solver's tolerance let pass as reached may not be, exactly.
            return self._in_order(bounds, 100 * ROOM)

    def _in_order(self, bounds: Bounds, room: float) -> tuple[float, Floats]:
        """Cost and shortfalls within ``bounds``: least shortfalls by priority, kept to ``room``, then least cost."""
        uses, first = self.network.uses, len(self.network.edges)
        shorts = slice(first, first + uses.asking)
        if bool((self.short > 2 * ROOM * uses.size[: uses.asking]).any()):
            bounds.upper[shorts] = uses.lacking[: uses.asking] / self.scaling.column[shorts]
            promised = [self.row_at["promised", str(rank)] for rank in range(uses.ranks)]
            bounds.row_upper[promised] = np.inf
            for rank, row in enumerate(promised):
                aim = np.zeros(self.scaled.n_columns)
                aim[: shorts.stop] = shortfall_aim(View.of(self.network), rank) * self.scaling.column[: shorts.stop]
                largest = float(np.max(aim, initial=0.0)) or 1.0
                found = self._generated.solve(aim / largest, bounds, "shortfalls")
                reached = float(np.sum(aim * np.maximum(found.x, 0.0)))
                bounds.row_upper[row] = reached / self.scaling.row[row] + room
        found = self._generated.solve(self.scaled.cost, bounds, "cost")
        x = np.maximum(found.x, 0.0) * self.scaling.column
        return float(np.sum(self.program.cost * x)), x[shorts]

    # What a pair is made of.

    def paid(self, columns: Ints, duals: Floats) -> Mapping[str, Floats]:
        """By constraint (first word of its rows' labels) what columns pay for its rows: ``A^T pi`` [columns]."""
        row, at, coefficient = self._natural_entries(columns)
        weights = duals[row] * coefficient
        found: dict[str, Floats] = {}
        for kind in np.unique(self._kind[row[weights != 0]]).tolist():
            here = self._kind[row] == kind
            paid = np.bincount(at[here], weights=weights[here], minlength=len(columns))
            found[self._kinds[kind]] = paid.astype(np.float64)
        return found

    def _natural_entries(self, columns: Ints) -> tuple[Ints, Ints, Floats]:
        """Row, position in ``columns`` and coefficient of their entries, in natural figures."""
        row, at, coefficient = self._generated.entries.among(columns, np.arange(self.program.n_rows))
        return row, at, coefficient * self.scaling.row[row] / self.scaling.column[columns[at]]

    @cached_property
    def reduced_cost(self) -> Floats:
        """Per edge what a unit of it costs more than it is worth at today's duals, in basis points a year."""
        reduced = self.scaled.cost - self._generated.entries.priced(self._dual)
        return np.asarray(reduced * self.scaling.objective / self.scaling.column)[: len(self.network.edges)]

    @cached_property
    def _kinds(self) -> Sequence[str]:
        return sorted({label[0] for label in self.program.rows.labels})

    @cached_property
    def _kind(self) -> Ints:
        at = {kind: k for k, kind in enumerate(self._kinds)}
        return np.array([at[label[0]] for label in self.program.rows.labels], dtype=np.int64)

    def rows_of(self, column: int) -> Mapping[int, float]:
        """The rows that a column is in, and its coefficient there, in natural figures."""
        row, _, coefficient = self._natural_entries(np.array([column]))
        return dict(zip(row.tolist(), coefficient.tolist(), strict=True))

    def edge(self, use: int, source: int) -> int:
        """The edge between the two, -1 where there is none."""
        edges = self.network.edges
        first, last = np.searchsorted(edges.use, [use, use + 1]).tolist()
        at = first + int(np.searchsorted(edges.source[first:last], source))
        return at if at < last and edges.source[at] == source else -1

    def edges_into(self, use: int) -> Ints:
        """The edges into ``use``."""
        return np.arange(*np.searchsorted(self.network.edges.use, [use, use + 1]))


@dataclass(frozen=True)
class Lines:
    """What an answer delivers: market value (base currency) by use and source; ``short`` [uses that ask]."""

    use: Ints
    source: Ints
    value: Floats
    short: Floats

    def on(self, network: Network) -> Floats:
        """The same by edge of ``network``; lines that are fed by recalls stand on the edge of their holding."""
        flow, edges, sources = np.zeros(len(network.edges)), network.edges, len(network.sources)
        key = edges.use * sources + edges.source
        wanted = self.use * sources + self.source
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        there = key[at] == wanted if len(key) else np.zeros(len(wanted), dtype=bool)
        np.add.at(flow, at[there], self.value[there])
        return flow


def _kept(program: Program, network: Network, linear: Linear) -> Program:
    """``program`` in which nobody is shorter than in ``linear``: by priority, and at all where nobody need be.

    What a call or a facility takes is bounded by its cover alone, or its capacity, so that it may grow.
    """
    uses, edges, first = network.uses, network.edges, len(network.edges)
    upper = program.upper.copy()
    grows = uses.kind[edges.use] == Kind.CALL
    # A facility may be given more than it needs, but not without end of what earns.
    grows |= (uses.kind[edges.use] == Kind.FACILITY) & (edges.cost_bps >= 0)
    exactly = [edge for edge, (_, most) in network.pinned.items() if most is not None]
    grows[exactly] = False
    upper[:first][grows] = np.inf
    row_upper = np.array(program.rows.upper, dtype=np.float64)
    sizes = uses.lacking[: uses.asking]
    for rank, reached in enumerate(linear.reduced.reached.tolist()):
        members = np.flatnonzero(uses.priority == rank)
        largest = float(np.max(sizes[members], initial=0.0))
        if reached > COVERED * largest:
            row_upper[uses.asking + rank] = reached + ROOM * largest
        else:
            upper[first + members] = ROOM * sizes[members]
    return replace(program, upper=upper, rows=replace(program.rows, upper=row_upper))


def _part(program: Program, linear: Linear) -> Ints:
    """The columns to begin with: pairs near the optimum, and whatever is no pair or has to be."""
    is_pair = program.source >= 0
    sources = int(program.source.max(initial=-1)) + 1
    near = linear.network.edges.use * sources + linear.network.edges.source
    inside = ~is_pair | (program.lower != 0) | np.isin(program.use * sources + program.source, near)
    return np.flatnonzero(inside)


def pairs_added(edges: Edges, more: Edges) -> Edges:
    """Edges of both, by use, then source; no pair may be in both."""
    factors = tuple(dict.fromkeys([*edges.factors, *more.factors]))
    code = {factor: k for k, factor in enumerate(factors)}
    codes = [np.array([code[f] for f in e.factors] or [0], dtype=np.int64)[e.factor_code] for e in (edges, more)]
    use, source = np.append(edges.use, more.use), np.append(edges.source, more.source)
    order = np.lexsort((source, use))
    return Edges(
        source=source[order],
        use=use[order],
        factor_code=np.concatenate(codes)[order],
        factors=factors,
        cost_bps=np.append(edges.cost_bps, more.cost_bps)[order],
    )
