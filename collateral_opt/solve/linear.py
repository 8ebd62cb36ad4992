"""The linear optimum of a book: found on the reduced problem, told in terms of the whole one.

What is reduced is solved over all pairs. The whole problem is then given as a network of few pairs: those that carry
anything, and those nearest to it for each use, which is all that whole lots are looked for in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from collateral_opt.errors import InfeasibleError
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Label
from collateral_opt.network.build import Problem
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Bools, Ints, Kind, Network, View
from collateral_opt.network.reduction import Reduction, reduce
from collateral_opt.solve.passes import Flows, Passes, cost_bound, solve_flows
from collateral_opt.solve.seam import Limits, Solver

SMALL = 2_000
"""Pairs up to which a problem is small enough to be solved, and made executable, as it is."""
NEAR = 25
"""Pairs of least reduced cost that each use of a larger one keeps beside those it uses; of sources with some left, as
many again."""


@dataclass(frozen=True)
class Linear:
    """The linear optimum on one road.

    ``network`` is of the whole problem, ``flows`` over its edges; where ``reduction`` is given it has not all pairs,
    but those of the uses in ``wide``. ``reduced`` are the passes that found ``found`` on the problem standing for it.
    """

    network: Network
    flows: Flows
    reduced: Passes
    found: Flows
    solver: Solver
    limits: Limits
    reduction: Reduction | None = None
    wide: frozenset[int] = frozenset()

    @classmethod
    def of(cls, network: Network, solver: Solver, limits: Limits) -> Linear:
        """The linear optimum of a network that has all its pairs.

        Raises:
            InfeasibleError: there is none.
            SolverError: the solver gave up.
        """
        passes, flows = solve_flows(network, solver, limits)
        return cls(network, flows, passes, flows, solver, limits)

    @cached_property
    def passes(self) -> Passes:
        """Passes over the edges of ``network``."""
        if self.reduction is None:
            return self.reduced
        view = View(self.network, np.arange(len(self.network.edges)), FLOAT)
        return Passes(self.network, formulate(self.network), view, self.solver, self.limits)

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
        """The same optimum on a network that has every pair of ``uses``; this one where it has them already."""
        wide = self.wide | set(uses.tolist())
        if self.reduction is None or wide == self.wide:
            return self
        return _in_whole(self.reduction, self.reduced, self.found, self.solver, self.limits, wide)


def linear_optima(
    problem: Problem, solver: Solver, limits: Limits, *, merge: bool = True, small: int = SMALL
) -> Iterator[Linear]:
    """The linear optimum on each road of ``problem`` that has one; more than ``small`` pairs are merged first.

    Raises:
        InfeasibleError: there is none on any road.
        SolverError: the solver gave up.
    """
    reduction = reduce(problem) if merge and problem.pairs > small else None
    network = (problem if reduction is None else reduction.reduced).network()
    nothing, found = InfeasibleError("there is no road"), 0
    for road in network.roads():
        try:
            optimum = Linear.of(road, solver, limits)
        except InfeasibleError as error:
            nothing = error
            continue
        found += 1
        if reduction is None or reduction.is_nothing:
            yield optimum
        else:
            yield _in_whole(reduction, optimum.reduced, optimum.flows, solver, limits, frozenset())
    if not found:
        raise nothing


def _in_whole(
    reduction: Reduction, passes: Passes, found: Flows, solver: Solver, limits: Limits, wide: frozenset[int]
) -> Linear:
    """``found`` in terms of the whole problem, with every pair of the uses in ``wide``."""
    reduced, whole = passes.network, reduction.whole
    source, use, amount = reduction.split(reduced, found.x)
    nearest = _nearest(reduced, found)
    used_by = np.searchsorted(use, np.arange(len(whole.facts.uses) + 1)).tolist()
    pinned = whole.pins.pairs

    def worth_having(j: int, open_to: Ints) -> Ints:
        if j in wide or whole.facts.uses.kind[j] == Kind.RESERVE:
            return open_to
        near = nearest[reduction.use_at[j]][reduction.source_at]
        near[source[used_by[j] : used_by[j + 1]]] = True
        near[[i for k, i in pinned if k == j]] = True
        kept: Ints = open_to[near[open_to]]
        return kept

    edges = whole.edges(worth_having)
    network = _on_the_road(whole.network(edges), reduced)
    sources = len(whole.facts.sources)
    x = np.zeros(len(edges))
    x[np.searchsorted(edges.use * sources + edges.source, use * sources + source)] = amount
    flows = Flows(
        x=x,
        short=_short(network, x, reduction, found),
        cost=found.cost,
        bound=found.bound,
        duals=_prices(reduction, reduced, found.duals),
        reduced_cost=_at_reduced(reduction, reduced, network, found.reduced_cost),
    )
    return Linear(network, flows, passes, found, solver, limits, reduction, wide)


def _on_the_road(network: Network, road: Network) -> Network:
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


def _nearest(network: Network, flows: Flows) -> list[Bools]:
    """By use of the reduced ``network`` and source: it is among those nearest to being used there."""
    edges, sources = network.edges, network.sources
    drawn = np.bincount(edges.source, weights=np.where(network.into_reserve, 0.0, flows.x), minlength=len(sources))
    spare = ((network.held - drawn)[edges.source] >= network.lot_value) & network.in_lots
    per_cover = flows.reduced_cost / edges.factor
    found = [np.zeros(len(sources), dtype=bool) for _ in network.uses.ids]
    for among in (np.flatnonzero(network.in_lots), np.flatnonzero(spare)):
        order = among[np.lexsort((among, per_cover[among], edges.use[among]))]
        use, first, count = np.unique(edges.use[order], return_index=True, return_counts=True)
        for j, start, end in zip(use.tolist(), first.tolist(), (first + np.minimum(count, NEAR)).tolist(), strict=True):
            found[j][edges.source[order[start:end]]] = True
    return found


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
    return figures[np.searchsorted(there, reduction.use_at[edges.use] * sources + reduction.source_at[edges.source])]
