"""The aims in their order: shortfall by priority, then cost, then the order of identifiers.

One warm session serves all passes. The first tries to cover every call, with a penalty on each call's *share* left
uncovered, so that a call of one cent weighs as much as one of a billion. Where that leaves no shortfall, nothing
better can exist and the passes by priority are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import count

import numpy as np

from collateral_opt.errors import InfeasibleError, SolverError, StoppedError
from collateral_opt.model.formulation import formulate, shortfall_aim, tie_aim
from collateral_opt.model.program import Floats, Ints, Label, Program, dual_bound, scale
from collateral_opt.network.network import Network, View
from collateral_opt.solve.seam import GuidedSession, Limits, Session, Solution, Solver, Status
from collateral_opt.solve.wide import Missing, Wide, prices_of

COVERED = 1e-9
"""A call is covered by the linear program when less than this share of it is missing."""
ROOM = 1e-6
"""The same for an integer program, whose solver tells less apart."""
PENALTY = 1e4
"""What an uncovered call costs in the first pass, where the dearest edge used in full costs 100."""
MILD = 1.5
"""What it costs where only rough prices are wanted, in parts of the dearest pair's cost of cover."""
NOISE = 1e-6
"""Basis points a year below which a negative price of a call is the solver's noise."""
TIES = 10_000
"""A program of more columns keeps the answer that the solver came to first: merging has settled most ties in it."""
FACE = 1e-7
"""Reduced costs and duals smaller than this, in scaled figures, count as zero when ties are broken."""


@dataclass(frozen=True)
class Flows:
    """The linear program's answer, in base currency and yearly basis points.

    ``x`` [edges], ``short`` [calls, then reserves]; ``cost`` and ``bound`` of the cost pass (``bound`` is proven by the
    duals alone); ``duals``: the price of each row, by its label; ``reduced_cost`` [edges].
    """

    x: Floats
    short: Floats
    cost: float
    bound: float
    duals: Mapping[Label, float]
    reduced_cost: Floats


class Passes:
    """A formulated network loaded into a solver, and what has been promised so far."""

    def __init__(
        self,
        network: Network,
        program: Program,
        view: View,
        solver: Solver,
        limits: Limits,
        wide: Wide | None = None,
    ) -> None:
        self.limits = limits
        self._solver = solver
        self._wide = wide
        self._capped: Floats | None = None
        self._exceeds = False
        self.reached = np.zeros(network.uses.ranks)
        self._promised = np.full(network.uses.ranks, np.inf)
        self._load(network, program, view)

    @classmethod
    def over(cls, network: Network, solver: Solver, limits: Limits, wide: Wide | None = None) -> Passes:
        """Passes over all edges of ``network``."""
        return cls(network, formulate(network), View.of(network), solver, limits, wide)

    def _load(self, network: Network, program: Program, view: View) -> None:
        self.network = network
        self.program = program
        self.view = view
        self.scaled, self.scaling = scale(program)
        self.session: Session = self._solver.load(self.scaled)
        self._lower, self._upper = self.scaled.lower.copy(), self.scaled.upper.copy()
        self._row_lower = np.asarray(self.scaled.rows.lower, dtype=np.float64).copy()
        self._row_upper = np.asarray(self.scaled.rows.upper, dtype=np.float64).copy()
        self._cost = self.scaled.cost
        self._proof, self._gain = np.zeros(program.n_rows), 0.0
        self._edges = len(view.edge)
        self._shorts = slice(self._edges, self._edges + network.uses.asking)

    def _grow(self, missing: Missing) -> None:
        """Go on with a program that has what this one lacks, and all that has been promised so far."""
        assert self._wide is not None
        network = self._wide.joined(self.network, missing)
        self._load(network, formulate(network), View.of(network))
        self._promise()
        if self._capped is not None:
            self.cap_shortfalls(self._capped)
        if self._exceeds:
            self.allow_excess()

    def _minimise(self, aim: str, cost: Callable[[], Floats], unit: Callable[[], float], *, costs: bool) -> Solution:
        """Minimise ``cost`` [columns, scaled], whose figures are those of the program over ``unit``.

        Where there are more pairs than the program has, those that it lacks join until it lacks none; ``costs`` says
        whether pairs cost anything in this aim.
        """
        self.session.change_costs(cost())
        solution = self._run(aim)
        self._remember(solution, 0.0, costs)
        if self._wide is None or self.program.integer is not None:
            return solution
        for rounds in count():
            duals = solution.row_dual * unit() / self.scaling.row
            prices = prices_of(self.network, self.program, duals)
            missing = self._wide.missing(self.network, prices, costs=costs, rounds=rounds)
            self._remember(solution, missing.gain, costs)
            if not len(missing.use) or self.limits.are_over:
                break
            before = self.__dict__.copy()
            try:
                self._grow(missing)
                self.session.change_costs(cost())
                if isinstance(self.session, GuidedSession):
                    guess = prices.duals_of(self.network, self.program) * self.scaling.row / unit()
                    self.session.begin_near(_carried(before["network"], solution.x, self.network), guess)
                solution = self._run(aim)
            except StoppedError:
                self.__dict__.update(before)
                break
        return solution

    def _aim(self, natural: Floats) -> Floats:
        """An aim over edges and shortfalls in the scaled program's figures; other columns do not matter to it."""
        return np.pad(natural, (0, self.program.n_columns - len(natural))) * self.scaling.column

    def _run(self, aim: str) -> Solution:
        solution = self.session.solve(self.limits.now())
        if solution.status is Status.INFEASIBLE:
            raise InfeasibleError(f"the pass for {aim} has no answer: {solution.message}")
        if solution.status is Status.STOPPED:
            raise StoppedError(f"the pass for {aim} was stopped before it had an answer")
        if solution.status not in (Status.OPTIMAL, Status.FEASIBLE):
            raise SolverError(f"the pass for {aim} ended {solution.status.value}: {solution.message}")
        return solution

    def start_from(self, x: Floats, short: Floats) -> None:
        """An answer in hand, in base currency: flows [edges] and shortfalls [calls, then reserves].

        For an integer program, in which lines have switches.
        """
        self.session.start_from(self._columns_for(x, short))

    def _columns_for(self, x: Floats, short: Floats) -> Floats:
        """An answer [edges; calls, then reserves] as columns of the scaled program."""
        switches = self.network.switches
        column, at = self.view.columns_of(switches.edge)
        on = np.bincount(switches.switch[at], weights=x[column] > 0, minlength=len(switches)) > 0
        column, switch = self.program.opens
        opened = np.bincount(switch, weights=x[column] > 0) > 0
        return np.asarray(np.concatenate([x, short, on, opened]) / self.scaling.column)

    def _remember(self, solution: Solution, gain: float, costs: bool) -> None:
        """Keep what proves a bound of costs: duals, and how much less pairs that are not there could make it."""
        if costs:
            self._proof, self._gain = solution.row_dual, gain

    def cover_everything(self) -> Solution:
        """Cost with a penalty on each call's share left uncovered."""

        def penalised() -> Floats:
            cost = self._cost.copy()
            cost[self._shorts] = PENALTY
            return cost

        return self._minimise("cover", penalised, lambda: self.scaling.objective, costs=True)

    def rough(self) -> Solution:
        """Cost where what is uncovered costs little more than the dearest pair.

        A first guess at prices: an answer that leaves something uncovered does not spoil it.
        """
        return self._minimise("first prices", self._mild, lambda: self.scaling.objective, costs=True)

    def _mild(self) -> Floats:
        edges = self.network.edges
        dearest = float(np.max(np.abs(edges.cost_bps[self.view.edge] / edges.factor[self.view.edge]), initial=0.0))
        cost = self.program.cost.copy()
        cost[self._shorts] = MILD * dearest
        return np.asarray(cost * self.scaling.column / self.scaling.objective)

    def least_shortfalls(self) -> Solution:
        """Minimise the shortfall of each priority in turn, and promise what was reached to the passes after it.

        Returns the last one's answer.
        """
        solution = None
        for rank in range(self.network.uses.ranks):
            size = float(np.max(self._short_of(rank), initial=0.0)) or 1.0
            name = f"shortfall of priority rank {rank + 1}"
            try:
                aim = partial(self._short_of, rank, size)
                solution = self._minimise(name, aim, lambda size=size: size, costs=False)  # type: ignore[misc]
            except StoppedError:
                if solution is None:
                    raise
                return solution
            self.reached[rank] = float(np.sum(self._short_of(rank) * np.maximum(solution.x, 0.0)))
            room = COVERED if self.program.integer is None else ROOM
            self._promised[rank] = self.reached[rank] + room * self.scaling.row[self.network.uses.asking + rank]
            self._promise()
            if self.program.integer is not None:
                self.session.start_from(solution.x)
        assert solution is not None
        return solution

    def _short_of(self, rank: int, size: float = 1.0) -> Floats:
        """The aim for one priority, in parts of ``size``."""
        return self._aim(shortfall_aim(self.view, rank)) / size

    def _promise(self) -> None:
        first, ranks = self.network.uses.asking, self.network.uses.ranks
        self._row_upper[first : first + ranks] = self._promised / self.scaling.row[first : first + ranks]
        self.session.change_row_bounds(self._row_lower, self._row_upper)

    def cap_shortfalls(self, short: Floats) -> None:
        """Let no call or reserve be shorter than ``short`` [calls, then reserves; base currency]."""
        self._capped = short
        self._upper[self._shorts] = short / self.scaling.column[self._shorts]
        self.session.change_column_bounds(self._lower, self._upper)

    def change_bounds(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Other bounds, in the scaled program's figures, for some columns from now on."""
        self._lower[columns], self._upper[columns] = lower, upper
        self.session.change_column_bounds(self._lower, self._upper)

    def release_promises(self) -> None:
        """Forget what the shortfall passes reached: caps on single calls take their place."""
        self._promised[:] = np.inf
        self._promise()

    def least_cost(self) -> Solution:
        """The cost pass, within what has been promised."""
        return self._minimise("cost", lambda: self._cost, lambda: self.scaling.objective, costs=True)

    def allow(self, budget: str, most: float) -> None:
        """Let at most so many lines of a budget be there, in the passes after this."""
        row = self.program.rows.labels.index(("budget", budget))
        self._row_upper[row] = most / self.scaling.row[row]
        self.session.change_row_bounds(self._row_lower, self._row_upper)

    def forget_worth(self) -> None:
        """Aim at the cost alone, without what every move must save."""
        worths = np.array([float(w) for w in self.network.switches.worth], dtype=np.float64)
        worth = self.program.presence.cost(worths, self.program.n_columns)
        self._cost = (self.program.cost - worth) * self.scaling.column / self.scaling.objective

    def allow_excess(self) -> None:
        """Let each call and requirement be exceeded by as much as its largest smallest line."""
        demands, self._exceeds = slice(0, self.network.uses.demands), True
        overshoot = self.network.overshoot if self._wide is None else self._wide.overshoot
        self._row_upper[demands] += overshoot[demands] / self.scaling.row[demands]
        self.session.change_row_bounds(self._row_lower, self._row_upper)

    def bound_with(self, budget: str, most: int) -> float:
        """What is proven of any answer with at most so many lines of a budget; nothing else is changed by asking."""
        kept = self._row_upper.copy()
        self.allow(budget, most)
        try:
            bound, duals = self.priced()
            if np.any(duals[: self.network.uses.demands] < -NOISE):
                self.allow_excess()
                bound, _ = self.priced()
            return bound
        except InfeasibleError:
            return float("inf")
        finally:
            self._row_upper = kept
            self.session.change_row_bounds(self._row_lower, self._row_upper)

    def priced(self) -> tuple[float, Floats]:
        """Bound and row duals of a cost pass as things stand.

        Where there is no time for one, or it would need pairs that are not there, what the last one's duals prove.
        """
        try:
            self.least_cost()
        except StoppedError:
            pass
        except InfeasibleError:
            if self._wide is None:
                raise
        return self.proven, self._proof

    @property
    def proven(self) -> float:
        """What the duals of the last cost pass prove as things stand."""
        return self.bound(self._proof)

    def _covering(self) -> Solution:
        """The first pass, or what there is by then."""
        if self._wide is None:
            return self.cover_everything()
        # The pairs that matter are found sooner where what is uncovered does not outweigh every cost.
        rough = self.rough()
        try:
            return self.cover_everything()
        except StoppedError:
            return rough

    def in_order(self, covering: Solution | None = None) -> Solution:
        """All aims but the last, the first of them unless its answer is given: the solution of the cost pass."""
        answer = self._covering() if covering is None else covering
        is_mip = self.program.integer is not None
        try:
            if np.any(answer.x[self._shorts] > COVERED):
                answer = self.least_shortfalls()
            elif is_mip:
                return answer
            else:
                # What the solver's tolerance let pass as covered may not be within reach exactly: so much room is left.
                found = np.maximum(answer.x[self._shorts], 0.0)
                self.cap_shortfalls(found * self.scaling.column[self._shorts])
                if np.all(answer.reduced_cost[self._shorts] > FACE):
                    # Covering each costs less than leaving it: the penalty on that is in no price.
                    return answer
                try:
                    return self.least_cost()
                except InfeasibleError:
                    self.cap_shortfalls(self.network.uses.lacking[: self.network.uses.asking])
                    answer = self.least_shortfalls()
            return self.least_cost()
        except StoppedError:
            return answer
        except SolverError:
            if not is_mip:
                raise
            return answer

    def tilted(self, slope: Floats) -> Floats:
        """Flows [edges] of least cost where every edge costs ``slope`` more, and no line for being there."""
        cost = cost_of_flows(self.program, self.network)
        cost[: self._edges] += slope
        aim = cost * self.scaling.column
        self.session.change_costs(aim * (100.0 / (float(np.max(np.abs(aim), initial=0.0)) or 1.0)))
        solution = self._run("few lines")
        return np.asarray(np.clip(solution.x[: self._edges], 0.0, None) * self.scaling.column[: self._edges])

    @property
    def least_shortfall(self) -> float:
        """What all calls and agreements together are left short of by the linear program."""
        ranks = self.network.uses.priority[: self.network.uses.demands].max(initial=-1) + 1
        return float(self.reached[:ranks].sum())

    def prices_with(self, x: Floats, short: Floats, near: Mapping[Label, float]) -> Mapping[Label, float] | None:
        """The price of each row where just the lines of ``x`` [edges] are there, and nobody is shorter than ``short``;
        they are looked for from prices ``near`` them.

        What a line costs for being there is paid whatever its size, and a line that is as small as it may be can only
        grow. None where no linear program has that answer. In basis points a year.
        """
        alone, column = with_lines(self.program, self.view, x, short), self.scaling.column
        row_upper = np.where(np.asarray(alone.rows.upper, dtype=np.float64) == np.inf, np.inf, self._row_upper)
        self.session.change_column_bounds(alone.lower / column, alone.upper / column)
        self.session.change_row_bounds(self._row_lower, row_upper)
        self.session.change_costs(alone.cost * column / self.scaling.objective)
        if isinstance(self.session, GuidedSession):
            prices = np.array([near.get(label, 0.0) for label in self.program.rows.labels])
            guess = prices * self.scaling.row / self.scaling.objective
            self.session.begin_near(self._columns_for(x, short), guess)
        solution = self.session.solve(self.limits.now())
        self.session.change_column_bounds(self._lower, self._upper)
        self.session.change_row_bounds(self._row_lower, self._row_upper)
        if solution.status is not Status.OPTIMAL:
            return None
        duals = self.natural(solution.row_dual)
        return dict(zip(self.program.rows.labels, duals.tolist(), strict=True))

    def natural(self, row_dual: Floats) -> Floats:
        """Duals of a cost pass [rows] in basis points a year."""
        duals: Floats = row_dual * self.scaling.objective / self.scaling.row
        return duals

    def bound(self, row_dual: Floats) -> float:
        """What ``row_dual`` [rows, scaled] proves of any cost pass, in base currency times yearly basis points."""
        rows = replace(self.scaled.rows, lower=self._row_lower, upper=self._row_upper)
        promised = replace(self.scaled, lower=self._lower, upper=self._upper, cost=self._cost, rows=rows)
        proven = dual_bound(promised, row_dual) * self.scaling.objective
        return proven + self._gain + float(self.network.standing_cost)

    def break_ties(self, solution: Solution) -> Solution:
        """Among all answers of this cost, the one that comes first by identifiers."""
        if solution.status is not Status.OPTIMAL or self.program.n_columns > TIES or self.limits.are_over:
            return solution
        at_lower, at_upper = solution.reduced_cost > FACE, solution.reduced_cost < -FACE
        upper = np.where(at_lower, self._lower, self._upper)
        lower = np.where(at_upper, self._upper, self._lower)
        binding_above, binding_below = solution.row_dual < -FACE, solution.row_dual > FACE
        row_lower = np.where(binding_above & np.isfinite(self._row_upper), self._row_upper, self._row_lower)
        row_upper = np.where(binding_below & np.isfinite(self._row_lower), self._row_lower, self._row_upper)
        aim = self._aim(tie_aim(self.view))
        self.session.change_column_bounds(lower, upper)
        self.session.change_row_bounds(row_lower, row_upper)
        self.session.change_costs(aim / (float(np.max(aim, initial=0.0)) or 1.0))
        tied = self.session.solve(self.limits.now())
        self.session.change_column_bounds(self._lower, self._upper)
        self.session.change_row_bounds(self._row_lower, self._row_upper)
        # The face is cut with a tolerance; an answer that falls outside it is no answer, and the first one stands.
        return tied if tied.status is Status.OPTIMAL else solution

    def flows(self, solution: Solution, priced: Solution) -> Flows:
        """``solution`` in base currency, with the duals of ``priced``."""
        x = np.clip(solution.x, 0.0, None) * self.scaling.column
        duals = self.natural(priced.row_dual)
        return Flows(
            x=x[: self._edges],
            short=x[self._shorts],
            # Not as a product of vectors: its last digits would depend on how many cores share in it.
            cost=float(np.sum(self.program.cost * x)) + float(self.network.standing_cost),
            bound=self.bound(priced.row_dual),
            duals=dict(zip(self.program.rows.labels, duals.tolist(), strict=True)),
            reduced_cost=(priced.reduced_cost * self.scaling.objective / self.scaling.column)[: self._edges],
        )


def cost_of_flows(program: Program, network: Network) -> Floats:
    """What ``program``'s columns cost without what lines of ``network`` cost for being there."""
    return np.asarray(program.cost - program.presence.cost(network.switches.charges, program.n_columns))


def with_lines(program: Program, view: View, x: Floats, short: Floats) -> Program:
    """``program``, which is of ``view``, where just the lines of ``x`` [edges] are there and nobody is shorter than
    ``short`` [calls, then reserves; base currency].
    """
    network, switches, edges = view.network, view.network.switches, len(view.edge)
    shorts = slice(edges, edges + len(short))
    has_least = network.has_least[view.edge]
    column, at = view.columns_of(switches.edge)
    switch = switches.switch[at]
    on = np.bincount(switch, weights=x[column], minlength=len(switches)) > 0
    shut = has_least & (x <= 0)
    shut[column[~on[switch]]] = True
    lower, upper, cost = program.lower.copy(), program.upper.copy(), cost_of_flows(program, network)
    lower[:edges] = np.where(has_least & ~shut, np.minimum(network.least_value[view.edge], x), lower[:edges])
    upper[:edges][shut] = 0.0
    upper[shorts] = short + 1e-6 * network.uses.size[: len(short)]
    row_upper = np.array(program.rows.upper, dtype=np.float64)
    free = [r for r, label in enumerate(program.rows.labels) if label[0] in ("promised", "budget")]
    row_upper[free] = np.inf
    return replace(program, lower=lower, upper=upper, cost=cost, rows=replace(program.rows, upper=row_upper))


def _carried(network: Network, x: Floats, wider: Network) -> Floats:
    """``x`` [columns of the program of ``network``] as columns of that of ``wider``, which has all its edges."""
    sources, edges = len(network.sources), len(network.edges)
    there = wider.edges.use * sources + wider.edges.source
    carried = np.zeros(len(there))
    carried[np.searchsorted(there, network.edges.use * sources + network.edges.source)] = x[:edges]
    return np.concatenate([carried, x[edges:]])


def solve_flows(
    network: Network, solver: Solver, limits: Limits = Limits(), wide: Wide | None = None
) -> tuple[Passes, Flows]:
    """The least-shortfall, least-cost flows of ``network`` and the session that found them; with ``wide``, whose pairs
    ``network`` has some of, those of all pairs, on a network that has what it takes.

    Raises:
        SolverError: a pass ended without an answer.
    """
    passes = Passes.over(network, solver, limits, wide)
    priced = passes.in_order()
    return passes, passes.flows(passes.break_ties(priced), priced)


def cost_bound(passes: Passes, flows: Flows, shortfalls: Sequence[Fraction]) -> float:
    """The least cost of any answer, in lots or not, whose shortfalls are no larger than ``shortfalls``.

    In base currency times yearly basis points. Lines may exceed a call by less than the smallest line there may be;
    where one more unit of a call would *save* money, the bound allows for that.
    """
    demands = passes.network.uses.label[: passes.network.uses.demands]
    bound, duals = flows.bound, np.array([flows.duals["cover", *label] for label in demands])
    if any(passes.network.switches.worth):
        passes.forget_worth()
        bound, duals = passes.priced()
    if any(shortfalls):
        passes.release_promises()
        required = passes.network.uses.size[: len(shortfalls)]
        # What is short by less than a solver can tell is reported as covered: so much room is left to each.
        passes.cap_shortfalls(np.array([float(s) for s in shortfalls]) + 10 * COVERED * required)
        try:
            bound, duals = passes.priced()
        except InfeasibleError:
            # Less short than the linear program, whose calls are met exactly: an excess made room under some share.
            passes.allow_excess()
            return passes.priced()[0]
    if np.any(duals[: passes.network.uses.demands] < -NOISE):
        passes.allow_excess()
        bound, _ = passes.priced()
    return bound
