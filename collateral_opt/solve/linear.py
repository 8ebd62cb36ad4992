"""The linear optimum of a book: found on the reduced problem, told in terms of the whole one.

What is reduced is solved over all pairs. The whole problem is then given as a network of few pairs: those that carry
anything, and those nearest to it for each use, which is all that whole lots are looked for in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np

from collateral_opt.errors import InfeasibleError
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Label, Program, scale
from collateral_opt.network.build import Problem
from collateral_opt.network.network import Bools, Ints, Kind, Network
from collateral_opt.network.reduction import Reduction, reduce
from collateral_opt.network.runs import place_in_run, ranges
from collateral_opt.solve.passes import COVERED, PENALTY, Flows, Passes, cost_bound, solve_flows
from collateral_opt.solve.seam import Basis, Limits, ResumableSession, Session, Solver, Status
from collateral_opt.solve.start import first_network
from collateral_opt.solve.wide import Wide

SMALL = 2_000
"""Pairs up to which a problem is small enough to be solved, and made executable, as it is."""
MANY = 1_500_000
"""Pairs up to which the program of a reduced problem is written down whole."""
NEAR = 25
"""Pairs of least reduced cost that each use of a larger one keeps beside those it uses; of sources with some left, as
many again."""
APART = 5
"""How many pairs further the next of several uses that stand as one begins to keep some: else all look to the same."""
WIDER = 16
"""How many times more are kept for a use that is found short; if it is again, all."""
MOST = 300_000
"""But no more than so many pairs for all uses that are."""


@dataclass(frozen=True)
class Standing:
    """A basis of a program with these columns and rows; ``column`` and ``row`` tell it by their labels."""

    columns: Sequence[Label]
    rows: Sequence[Label]
    basis: Basis

    @classmethod
    def of(cls, program: Program, session: Session) -> Standing | None:
        """Where those of ``program`` stood at the end of the last solve; None from a solver that does not say."""
        if not isinstance(session, ResumableSession):
            return None
        return cls(program.column_labels, program.rows.labels, session.basis)

    @cached_property
    def column(self) -> Mapping[Label, object]:
        """Where each column stands."""
        return dict(zip(self.columns, self.basis.column, strict=True))

    @cached_property
    def row(self) -> Mapping[Label, object]:
        """Where each row stands."""
        return dict(zip(self.rows, self.basis.row, strict=True))


@dataclass(frozen=True)
class Linear:
    """The linear optimum on one road.

    ``network`` is of the whole problem, ``flows`` over its edges; where ``reduction`` is given it has not all pairs,
    but more of the uses in ``further``. ``reduced`` are the passes that found ``found`` on the problem standing for it.
    """

    network: Network
    flows: Flows
    reduced: Passes
    found: Flows
    solver: Solver
    limits: Limits
    reduction: Reduction | None = None
    further: Mapping[int, int] = field(default_factory=dict)
    """By use how often more pairs of it were wanted."""
    stands: Standing | None = None
    """Where columns and rows stand that make up ``flows``, if the solver says so."""

    @classmethod
    def of(cls, network: Network, solver: Solver, limits: Limits, wide: Wide | None = None) -> Linear:
        """The linear optimum of a network that has all its pairs, or some of those of ``wide``.

        Raises:
            InfeasibleError: there is none.
            SolverError: the solver gave up.
        """
        passes, flows = solve_flows(network, solver, limits, wide)
        return cls(passes.network, flows, passes, flows, solver, limits)

    @cached_property
    def passes(self) -> Passes:
        """Passes over the edges of ``network``."""
        if self.reduction is None:
            return self.reduced
        return Passes.over(self.network, self.solver, self.limits)

    @property
    def least_shortfall(self) -> float:
        """What all calls and agreements together are left short of by the linear program."""
        return self.reduced.least_shortfall

    def bound_for(self, shortfalls: Sequence[Fraction]) -> float:
        """The least cost on this road of any answer no shorter than ``shortfalls`` [calls, agreements, reserves];
        infinite where there is none. In base currency times yearly basis points.
        """
        if self.reduction is not None:
            together = [Fraction(0)] * self.reduced.network.uses.asking
            for at, short in zip(self.reduction.use_at.tolist(), shortfalls, strict=False):
                together[at] += short
            shortfalls = together
        try:
            return cost_bound(self.reduced, self.found, shortfalls)
        except InfeasibleError:
            return float("inf")

    def widened(self, uses: Ints) -> Linear:
        """The same optimum on a network that has more pairs of ``uses``; this one where it has them all."""
        more = [j for j in uses.tolist() if self.further.get(j, 0) < 2]
        if self.reduction is None or not more:
            return self
        further = {**self.further, **{j: self.further.get(j, 0) + 1 for j in more}}
        if sum(len(self.reduction.whole.open_to(j)) for j, often in further.items() if often > 1) > MOST:
            return self
        return _in_whole(self.reduction, self.reduced, self.found, self.solver, self.limits, further)


def linear_optima(
    problem: Problem,
    solver: Solver,
    limits: Limits,
    *,
    merge: bool = True,
    small: int = SMALL,
    many: int = MANY,
) -> Iterator[Linear]:
    """The linear optimum on each road of ``problem`` that has one.

    Where there are more than ``small`` pairs, like ones are merged; of more than ``many`` that are left, only those
    that matter are built.

    Raises:
        InfeasibleError: there is none on any road.
        SolverError: the solver gave up.
    """
    reduction = reduce(problem) if merge and problem.pairs > small else None
    standing = problem if reduction is None else reduction.reduced
    wide = Wide(standing) if merge and standing.pairs > many and Wide.can_price(standing) else None
    nothing, found = InfeasibleError("there is no road"), 0
    for road in standing.network().roads() if wide is None else (first_network(wide, solver, limits),):
        try:
            optimum = Linear.of(road, solver, limits, wide)
        except InfeasibleError as error:
            nothing = error
            continue
        found += 1
        if reduction is None or reduction.is_nothing:
            yield optimum
        else:
            yield _in_whole(reduction, optimum.reduced, optimum.flows, solver, limits, {})
    if not found:
        raise nothing


def better(one: Linear, other: Linear) -> Linear:
    """The one that is less short, first rank first; then the cheaper."""
    room = 10 * COVERED * float(np.sum(one.network.uses.lacking))
    for reached, there in zip(one.reduced.reached, other.reduced.reached, strict=True):
        if abs(reached - there) > room:
            return one if reached < there else other
    return one if one.flows.cost <= other.flows.cost else other


def _in_whole(
    reduction: Reduction, passes: Passes, found: Flows, solver: Solver, limits: Limits, further: Mapping[int, int]
) -> Linear:
    """``found`` in terms of the whole problem, with more pairs of the uses in ``further``."""
    reduced, whole = passes.network, reduction.whole
    source, use, amount = reduction.split(reduced, found.x)
    leaves = whole.facts.uses.kind[use] != Kind.RESERVE
    drawn: Floats = np.bincount(source[leaves], amount[leaves], len(whole.facts.sources)).astype(np.float64)
    nearest = _nearest(reduction, reduced, found, drawn)
    used_by = np.searchsorted(use, np.arange(len(whole.facts.uses) + 1)).tolist()
    turn = _turns(reduction.use_at).tolist()
    pinned = whole.pins.pairs

    def worth_having(j: int) -> Ints:
        often = further.get(j, 0)
        if often > 1 or whole.facts.uses.kind[j] == Kind.RESERVE:
            return whole.open_to(j)
        width = NEAR * WIDER**often
        begin = 0 if often else APART * turn[j]
        near = [order[max(0, min(begin, len(order) - width)) :][:width] for order in nearest[reduction.use_at[j]]]
        wanted = [source[used_by[j] : used_by[j + 1]], *near, [i for k, i in pinned if k == j]]
        return np.concatenate(wanted).astype(np.int64)

    edges = whole.edges(worth_having)
    network = on_the_road(whole.network(edges, all_groups=whole.pairs <= MANY), reduced)
    sources = len(whole.facts.sources)
    x = np.zeros(len(edges))
    x[np.searchsorted(edges.use * sources + edges.source, use * sources + source)] = amount
    short = _short(network, x, reduction, found)
    x, stands = (x, None) if short.any() else corner(network, x, solver, limits)
    flows = Flows(
        x=x,
        short=short,
        cost=found.cost,
        bound=found.bound,
        duals=_prices(reduction, reduced, found.duals),
        reduced_cost=_at_reduced(reduction, reduced, network, found.reduced_cost),
    )
    return Linear(network, flows, passes, found, solver, limits, reduction, further, stands)


def corner(network: Network, x: Floats, solver: Solver, limits: Limits) -> tuple[Floats, Standing | None]:
    """Flows [edges] at a corner of those that cost no more than ``x`` and use no other edges, so few of them; and where
    columns and rows stand there, if the solver says so. ``x`` leaves nothing short, and so does its corner.
    """
    edge = np.flatnonzero(x > 0)
    program = formulate(network, edge)
    scaled, scaling = scale(program)
    cost = scaled.cost.copy()
    cost[len(edge) :] = PENALTY
    session = solver.load(replace(scaled, cost=cost))
    found = session.solve(limits.now())
    if found.status is not Status.OPTIMAL or np.any(found.x[len(edge) :] > COVERED):
        return x, None
    flows = np.zeros(len(x))
    flows[edge] = np.clip(found.x[: len(edge)], 0.0, None) * scaling.column[: len(edge)]
    return flows, Standing.of(program, session)


def on_the_road(network: Network, road: Network) -> Network:
    """``network`` with just those groups shut that are shut on ``road``."""
    shut = {
        (block.key, group): bool(is_shut)
        for block in road.limits
        if block.posted_total
        for group, is_shut in zip(block.groups, block.shut, strict=True)
    }

    def as_there(key: tuple[str, str, str], groups: Sequence[str], own: Bools) -> Bools:
        return np.array([shut.get((key, g), bool(s)) for g, s in zip(groups, own, strict=True)], dtype=bool)

    blocks = [replace(b, shut=as_there(b.key, b.groups, b.shut)) if b.posted_total else b for b in network.limits]
    return replace(network, limits=blocks)


def _turns(use_at: Ints) -> Ints:
    """Per use: how many before it are merged with it."""
    order = np.argsort(use_at, kind="stable")
    turn = np.empty(len(use_at), dtype=np.int64)
    turn[order] = place_in_run(use_at[order])
    return turn


def _nearest(reduction: Reduction, reduced: Network, flows: Flows, drawn: Floats) -> list[tuple[Ints, Ints]]:
    """By use of ``reduced`` the sources of the whole problem nearest to being used there, and of those with some left
    whose limits there have room. ``drawn`` [sources] is what flows out of each. No more than are ever asked for.
    """
    edges, sources, assets = reduced.edges, reduction.whole.facts.sources, reduction.whole.facts.assets
    held, lot_value = (
        sources.quantity * assets.unit_value[sources.asset],
        (assets.lot * assets.unit_value)[sources.asset],
    )
    has_some_left = held - drawn >= lot_value
    members = np.argsort(reduction.source_at, kind="stable")
    first = np.searchsorted(reduction.source_at[members], np.arange(len(reduced.sources) + 1))
    per_cover, is_free = flows.reduced_cost / edges.factor, ~_in_full_groups(reduced, flows.duals)
    most = WIDER * NEAR + APART * int(np.bincount(reduction.use_at).max(initial=0))
    found = []
    for begin, end in pairwise(np.searchsorted(edges.use, np.arange(len(reduced.uses) + 1)).tolist()):
        order = begin + np.argsort(per_cover[begin:end], kind="stable")
        near, free = (
            members[ranges(first[at], first[at + 1])]
            for at in (edges.source[order[:most]], edges.source[order[is_free[order]]])
        )
        found.append((near[:most], free[has_some_left[free]][:most]))
    return found


def _in_full_groups(network: Network, duals: Mapping[Label, float]) -> Bools:
    """Edges in some group of some limit that would have to give for more to flow there."""
    full = np.zeros(len(network.edges), dtype=bool)
    for block in network.limits:
        prices = [duals.get(block.row(group), 0.0) for group in block.groups]
        full[block.edge[np.array(prices)[block.group] < 0]] = True
    return full


def _short(network: Network, x: Floats, reduction: Reduction, found: Flows) -> Floats:
    """What each call and reserve lacks: nothing where what stands for it lacks nothing that counts."""
    uses = network.uses
    into = network.edges.use < uses.asking
    covered = np.bincount(network.edges.use[into], weights=(x * network.edges.factor)[into], minlength=uses.asking)
    is_short = (found.short > 0)[reduction.use_at[: uses.asking]]
    return np.where(is_short, np.maximum(uses.size[: uses.asking] - covered, 0.0), 0.0)


def _prices(reduction: Reduction, reduced: Network, duals: Mapping[Label, float]) -> Mapping[Label, float]:
    """The price of each row of the whole problem: that of the row which stands for it."""
    whole = reduction.whole.facts
    found = {label: dual for label, dual in duals.items() if label[0] not in ("cover", "supply", "home")}
    for use, at in zip(whole.uses.label[: whole.uses.asking], reduction.use_at.tolist(), strict=False):
        found["cover", *use] = duals["cover", *reduced.uses.label[at]]
    members: dict[str, list[str]] = {}
    for name, at in zip(whole.sources.ids, reduction.source_at.tolist(), strict=True):
        members.setdefault(reduced.sources.ids[at], []).append(name)
    for label, dual in duals.items():
        if (label[0] == "supply" and len(label) == 2) or label[0] == "home":
            for name in members[label[1]]:
                found[(label[0], name, *label[2:])] = dual
        elif label[0] == "supply":
            found[label] = dual
    return found


def _at_reduced(reduction: Reduction, reduced: Network, network: Network, figures: Floats) -> Floats:
    """Per edge of ``network`` the figure of the edge of ``reduced`` that stands for it."""
    sources = len(reduced.sources)
    there = reduced.edges.use * sources + reduced.edges.source
    edges = network.edges
    wanted = reduction.use_at[edges.use] * sources + reduction.source_at[edges.source]
    at = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    # A pair that was never built is no nearer than its cost says.
    return np.where(there[at] == wanted, figures[at], np.maximum(edges.cost_bps, 0.0))
