"""Interchangeable calls stand as one, and interchangeable holdings: exact, and much smaller.

Calls of one agreement are interchangeable where the same sources reach them under the same schedule and priority:
every limit binds them together anyway. Holdings are where nothing that takes one could tell them apart: the same
factors, barriers, cost, and limits (those that could ever bind). What one of them may do, they may do together, and any
flow of the whole can be cut into flows of its parts, so both programs have the same optimum, and the same prices.

Nothing is merged that a person or a table speaks of by name (pins, costs of pairs), nor anything at all where single
lines cost or count, or where what is posted may move.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.network.build import Problem
from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Bools, Floats, Ints, Kind, Network, Uses

NOISE = 1e-6
"""Pieces smaller than this share of both that they are cut from, and within rounding of their ends, are none."""


@dataclass(frozen=True)
class Reduction:
    """A problem, the smaller one that stands for it, and where each source and use went."""

    whole: Problem
    reduced: Problem
    source_at: Ints
    use_at: Ints

    @property
    def is_nothing(self) -> bool:
        """Whether nothing could be merged."""
        return self.reduced is self.whole

    def split(self, network: Network, x: Floats) -> tuple[Ints, Ints, Floats]:
        """Flows ``x`` [edges of ``network``, which is of the reduced problem] cut into those of the whole: source, use,
        market value, in the order of uses, then sources.

        Few pieces: parts are laid end to end in the order of identifiers, and cut only where one side or the other
        ends. What a call is short of is so left to the last of those that it stands for.
        """
        edges, whole = network.edges, self.whole.facts
        edge, member, amount = self._drawn(network, np.flatnonzero((x > 0) & ~network.into_reserve), x)
        for reserve in range(network.uses.demands, network.uses.asking):
            # Laid from the far end of each source, what a reserve counts stays clear of what leaves.
            counted = np.flatnonzero((x > 0) & (edges.use == reserve))
            more = self._drawn(network, counted, x, from_the_end=True)
            edge, member, amount = (np.append(one, two) for one, two in zip((edge, member, amount), more, strict=True))
        order = np.lexsort((member, edges.use[edge]))
        edge, member, amount = edge[order], member[order], amount[order]
        called = edges.use[edge] < network.uses.calls
        factor = edges.factor[edge]
        calls = np.argsort(self.use_at[: whole.uses.calls], kind="stable")
        asked = whole.uses.size[calls]
        piece, call, value = overlay(edges.use[edge[called]], (amount * factor)[called], self.use_at[calls], asked)
        _, first_use = np.unique(self.use_at, return_index=True)
        source = np.append(member[called][piece], member[~called])
        use = np.append(calls[call], first_use[edges.use[edge[~called]]])
        amount = np.append(value / factor[called][piece], amount[~called])
        order = np.lexsort((source, use))
        return source[order], use[order], amount[order]

    def _drawn(
        self, network: Network, edge: Ints, x: Floats, *, from_the_end: bool = False
    ) -> tuple[Ints, Ints, Floats]:
        """The pieces into which the sources that each flow on ``edge`` draws on cut it: edges, sources, amounts."""
        sources, assets = self.whole.facts.sources, self.whole.facts.assets
        held = sources.quantity * assets.unit_value[sources.asset]
        direction = -1 if from_the_end else 1
        members = np.argsort(self.source_at, kind="stable")[::direction]
        edge = edge[np.lexsort((network.edges.use[edge], network.edges.source[edge]))][::direction]
        piece, part, amount = overlay(
            direction * network.edges.source[edge], x[edge], direction * self.source_at[members], held[members]
        )
        return edge[piece], members[part], amount


def overlay(group: Ints, length: Floats, other_group: Ints, other_length: Floats) -> tuple[Ints, Ints, Floats]:
    """Lay two rows of pieces side by side within each group: which piece lies beside which, and for how long.

    Both rows stand in the order of their groups. What sticks out beyond the other row of its group is dropped.
    """
    groups = np.union1d(group, other_group)
    at, other_at = np.searchsorted(groups, group), np.searchsorted(groups, other_group)
    end, other_end = _ends(at, length, len(groups)), _ends(other_at, other_length, len(groups))
    # All boundaries of a group in one order; a piece of either row ends at each.
    place = np.concatenate([at, other_at])
    ends = np.concatenate([end, other_end])
    order = np.lexsort((ends, place))
    place, ends = place[order], ends[order]
    before = np.where(np.append(-1, place[:-1]) == place, np.append(0.0, ends[:-1]), 0.0)
    middle = (before + ends) / 2
    one, two = _within(at, end, place, middle), _within(other_at, other_end, place, middle)
    total = np.bincount(at, weights=length, minlength=len(groups))[place]
    along = ends - before
    kept = (one >= 0) & (two >= 0) & (along > 0)
    one, two, along, total = one[kept], two[kept], along[kept], total[kept]
    whole = np.minimum(length[one], other_length[two])
    sliver = (along < 1e-13 * total) & (along < NOISE * whole)
    along = np.minimum(along, whole)
    return one[~sliver], two[~sliver], along[~sliver]


def _ends(group: Ints, length: Floats, groups: int) -> Floats:
    """Where each piece ends, counted from the beginning of its group."""
    total = np.cumsum(length)
    first = np.searchsorted(group, np.arange(groups))
    start = np.append(0.0, total)[first]
    return np.asarray(total - start[group])


def _within(group: Ints, end: Floats, place: Ints, point: Floats) -> Ints:
    """The piece that each point of a group lies in, -1 beyond the last."""
    order = np.lexsort((np.append(end, point), np.append(group, place)))
    is_point = order >= len(end)
    following = np.cumsum(~is_point)[is_point]
    found = np.full(len(point), -1, dtype=np.int64)
    inside = following < len(end)
    at = order[is_point] - len(end)
    found[at[inside]] = following[inside]
    ok = found >= 0
    found[ok] = np.where(group[found[ok]] == place[ok], found[ok], -1)
    return found


def reduce(problem: Problem) -> Reduction:
    """The smallest problem of the same optimum that merging gives; ``problem`` itself where nothing may merge."""
    facts = problem.facts
    nothing = Reduction(problem, problem, np.arange(len(facts.sources)), np.arange(len(facts.uses)))
    if facts.reoptimises or problem.counts_lines:
        return nothing
    use_at = like_uses(problem)
    fewer = with_uses(facts, use_at)
    called = Problem(fewer, problem, near=problem)
    source_at = _like_sources(called)
    if len(fewer.uses) == len(facts.uses) and source_at.max(initial=-1) + 1 == len(facts.sources):
        return nothing
    return Reduction(problem, Problem(_with_sources(fewer, source_at), problem), source_at, use_at)


def _numbered(keys: Sequence[Hashable]) -> Ints:
    """The number of each key, in the order in which they first come."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)


def like_uses(problem: Problem) -> Ints:
    """Per use of ``problem`` the number of its kind, in their order; only calls have others of their kind."""
    facts, reach = problem.facts, problem.reach
    keys: list[Hashable] = []
    for j, kind in enumerate(facts.uses.kind.tolist()):
        if kind != Kind.CALL or problem.pins.name(j) or facts.uses.size[j] <= 0:
            keys.append(j)
        else:
            keys.append((*reach.read_as(j), reach.arrival(j), int(facts.uses.priority[j])))
    return _numbered(keys)


def with_uses(facts: Facts, use_at: Ints) -> Facts:
    """``facts`` in which the uses of each number stand as one, under the name of the first."""
    _, first = np.unique(use_at, return_index=True)
    uses, terms, kept = facts.uses, facts.terms, first.tolist()
    required, extent = (
        _summed(uses.required, use_at, len(kept)),
        _summed(uses.extent or uses.required, use_at, len(kept)),
    )
    dated = [j for j in kept if j < len(terms.due)]
    sources = facts.sources
    if (sources.funded_by >= 0).any():
        sources = replace(sources, funded_by=np.where(sources.funded_by >= 0, use_at[sources.funded_by], -1))
    return replace(
        facts,
        sources=sources,
        uses=Uses(
            ids=[uses.ids[j] for j in kept],
            kind=uses.kind[kept],
            agreement=uses.agreement[kept],
            schedule=[uses.schedule[j] for j in kept],
            required=required,
            priority=uses.priority[np.array([j for j in kept if j < uses.asking], dtype=np.int64)],
            min_line=[uses.min_line[j] for j in kept],
            extent=extent,
            members=np.bincount(use_at),
        ),
        terms=replace(
            terms,
            currency=[terms.currency[j] for j in dated],
            margin_type=[terms.margin_type[j] for j in dated],
            family=[terms.family[j] for j in dated],
            open_ended=terms.open_ended[dated],
            due=terms.due[dated],
            last_day=terms.last_day[dated],
        ),
    )


def _summed(amounts: Sequence[Fraction], at: Ints, count: int) -> list[Fraction]:
    total = [Fraction(0)] * count
    for number, amount in zip(at.tolist(), amounts, strict=True):
        total[number] += amount
    return total


def _like_sources(problem: Problem) -> Ints:
    """Per source the number of its kind, in their order; only holdings have others of their kind."""
    facts, sources, book = problem.facts, problem.facts.sources, problem.facts.book
    own = ~sources.is_holding | (sources.quantity <= 0)
    own |= _among(sources.ids, book.costs["holding_id"], book.pins["holding_id"])
    own |= _among(facts.assets.ids, book.costs["asset_id"])[sources.asset]
    own |= bool(book.house_limits)
    # Of what earns, a facility may be given more than it needs, each source up to a bound of its own.
    own |= bool(facts.uses.facilities) & (sources.cost_bps < 0)
    features = [
        _asset_classes(problem)[sources.asset],
        np.unique(sources.cost_bps, return_inverse=True)[1],
        problem.reach.timing,
        np.where(own, np.arange(len(sources)), -1),
    ]
    return _numbered_rows(np.stack(features, axis=1))


def _among(ids: Sequence[str], *columns: pd.Series[str]) -> Bools:
    """Which of ``ids`` any of the ``columns`` names."""
    named = {name for column in columns for name in column.tolist()}
    return np.array([name in named for name in ids], dtype=bool)


def _asset_classes(problem: Problem) -> Ints:
    """Per asset the number of its kind: alike to every schedule, family, date and limit that could bind."""
    facts, reach = problem.facts, problem.reach
    features: dict[Hashable, NDArray[Any]] = {
        "cash": np.where(facts.assets.is_cash, _numbered(facts.asset_frame["currency"].tolist()), -1),
        "maturity": reach.maturing,
    }
    for j, schedule in enumerate(facts.uses.schedule[: len(facts.terms.due)]):
        matched = reach.match(j)
        if matched not in features:
            features[matched] = matched.factor_code
        issued = facts.terms.family[j], schedule
        if issued not in features:
            features[issued] = facts.wrong_way(j)
    for kinds, full in problem.could_be_full.items():
        stands = np.append(full, False)[kinds.group]
        features["limit", kinds.name] = np.where(stands, kinds.group, -1)
        if kinds.measure == "quantity" and stands.any():
            unit = np.unique(facts.assets.unit_value, return_inverse=True)[1]
            features["unit", kinds.name] = np.where(stands, unit, -1)
    telling = [feature for feature in features.values() if (feature != feature[:1]).any()]
    return _numbered_rows(np.stack(telling or [np.zeros(len(facts.assets.ids), dtype=bool)], axis=1, dtype=np.int32))


def _numbered_rows(features: Ints) -> Ints:
    """The number of each row of codes, in the order in which they first come."""
    packed = np.ascontiguousarray(features, dtype=np.int32)
    rows = packed.view(np.dtype((np.void, packed.dtype.itemsize * packed.shape[1]))).ravel()
    _, first, number = np.unique(rows, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number]


def _with_sources(facts: Facts, source_at: Ints) -> Facts:
    """``facts`` in which the sources of each number stand as one, under the name of the first."""
    _, first = np.unique(source_at, return_index=True)
    sources, assets = facts.sources, facts.assets
    held = np.bincount(source_at, weights=sources.quantity * assets.unit_value[sources.asset])
    coarsest = np.zeros(len(first))
    lot_value = np.maximum(assets.lot, assets.min_quantity) + assets.lot
    np.maximum.at(coarsest, source_at, (lot_value * assets.unit_value)[sources.asset])
    alone = np.bincount(source_at) == 1
    quantity = np.where(alone, sources.quantity[first], held / assets.unit_value[sources.asset[first]])
    return replace(
        facts,
        sources=replace(
            sources,
            ids=[sources.ids[i] for i in first.tolist()],
            asset=sources.asset[first],
            quantity=quantity,
            capacity=[sources.capacity[i] for i in first.tolist()],
            deliverable_at=sources.deliverable_at[first],
            cost_bps=sources.cost_bps[first],
            funded_by=sources.funded_by[first],
            coarsest=coarsest,
        ),
    )
