"""The limits of the schedules in force at each agreement, as blocks of edges, groups and caps.

A limit of any schedule in force at an agreement binds all that is delivered there, over all its calls together, with
what is posted already and stays. What is posted is valued under the agreement's own schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from collateral_opt.network.exact import EXACT, FLOAT, exact, in_floats
from collateral_opt.network.facts import Facts
from collateral_opt.network.house import house_blocks
from collateral_opt.network.network import Bools, Cap, Edges, Floats, Ints, LimitBlock, LimitKinds
from collateral_opt.network.posted import PostedLine, by_agreement
from collateral_opt.network.runs import ranges
from eligibility_rules import CapMatch, LimitMatch

CLOSE = 2e-9
"""A group that comes this close to its cap could be full."""


@dataclass(frozen=True)
class Place:
    """One schedule in force at one agreement, facility or reserve.

    ``governed`` are all uses there, ``scope`` the edges into them and those that recall something from there,
    ``posted`` what lies there, ``requirement`` what its limits call so: an agreement's own, or the calls and the value
    of what lies there; a facility's capacity, a reserve's amount.
    """

    name: str
    schedule: str
    currency: str
    prefix: str
    governed: Ints
    scope: Ints
    posted: Sequence[PostedLine]
    requirement: Fraction
    follows_calls: bool
    agreement: int = -1


def limit_blocks(
    facts: Facts,
    edges: Edges,
    there_is: Callable[[LimitKinds], Floats],
    assets_met: Callable[[Ints], Bools] | None = None,
) -> tuple[LimitBlock, ...]:
    """Every cap of every limit, place by place, and then those of the house.

    Groups are those that ``edges`` touch and, with ``assets_met``, which says of each asset whether anything of it may
    be given to one of some uses, those that further pairs would. ``there_is`` says what all sources together count
    for, by group.
    """
    blocks = [b for place in places(facts, edges) for b in _blocks(facts, edges, place, there_is, assets_met)]
    return (*blocks, *house_blocks(facts, edges))


def places(facts: Facts, edges: Edges) -> Iterator[Place]:
    """Every place that has limits: agreements, reserves, facilities."""
    yield from _agreements(facts, edges)
    yield from _others(facts, edges)


def could_be_full(facts: Facts, edges: Edges, there_is: Callable[[LimitKinds], Floats]) -> dict[LimitKinds, Bools]:
    """Of every limit of schedules that some place has, which of its groups could be full at one of them.

    ``there_is`` says what all sources together count for, by group. What lies anywhere counts as if it could.
    """
    found: dict[LimitKinds, Bools] = {}
    known: dict[CapMatch, Floats] = {}
    for place in places(facts, edges):
        for number, limit in enumerate(facts.eligibility.limits(place.schedule, place.currency)):
            kinds = facts.eligibility.kinds(place.schedule, place.currency, number)
            full = found.setdefault(kinds, np.zeros(kinds.groups, dtype=bool))
            full[[group for line in place.posted if (group := kinds.group[line.asset]) >= 0]] = True
            for cap in limit.caps:
                if cap.of == "posted":
                    full[:] = True
                    continue
                if cap.of == "requirement" and cap.share is not None:
                    full |= there_is(kinds) > cap.share * float(place.requirement) * (1 - CLOSE)
                    continue
                if cap not in known:
                    groups = np.flatnonzero(kinds.member >= 0)
                    most = np.full(kinds.groups, np.inf)
                    rule = _cap(facts, cap, kinds, groups, place.requirement)
                    most[groups] = rule.values(limit.measure, np.arange(len(groups)), facts.assets, FLOAT)
                    known[cap] = most
                full |= there_is(kinds) > known[cap] * (1 - CLOSE)
    return found


def _scope(edges: Edges, uses: Ints) -> Ints:
    """The edges into ``uses``; edges stand use by use."""
    first, last = np.searchsorted(edges.use, uses), np.searchsorted(edges.use, uses, side="right")
    return ranges(first, last)


def _agreements(facts: Facts, edges: Edges) -> Iterator[Place]:
    """Each schedule in force at each agreement, over all its calls together: its own, and those that calls name."""
    agreements, uses = facts.agreements, facts.uses
    schedules = np.array(uses.schedule, dtype=object)
    lying = by_agreement(facts.posted)
    leaving = facts.sources.counts_at[edges.source] if len(facts.sources.recallable) else None
    for agreement, (identifier, own) in enumerate(zip(agreements.ids, agreements.schedule, strict=True)):
        mine = np.flatnonzero(uses.agreement == agreement)
        posted = [line for line in lying.get(agreement, ()) if line.factor is not None]
        scope = _scope(edges, mine)
        if leaving is not None:
            scope = np.union1d(scope, np.flatnonzero(leaving == agreement))
        requirement = _requirement(facts, agreement, mine, posted)
        for schedule in sorted(set(schedules[mine]) or {own}):
            yield Place(
                name=identifier,
                schedule=schedule,
                currency=agreements.currency[agreement],
                prefix="" if schedule == own else f"{schedule}: ",
                governed=mine,
                scope=scope,
                posted=posted,
                requirement=requirement,
                follows_calls=not (facts.reoptimises and facts.agreements.required[agreement] is not None),
                agreement=agreement,
            )


def _requirement(facts: Facts, agreement: int, mine: Ints, posted: Sequence[PostedLine]) -> Fraction:
    """What an agreement requires: its own figure where what is posted may move, else its calls and what lies there."""
    own = facts.agreements.required[agreement]
    if facts.reoptimises and own is not None:
        return own
    called = [facts.uses.required[j] for j in mine.tolist() if j < facts.uses.calls]
    return sum(called, sum((line.value_after_haircut for line in posted), Fraction(0)))


def _others(facts: Facts, edges: Edges) -> Iterator[Place]:
    """Reserves and facilities: one schedule each, and nothing lies there yet."""
    uses = facts.uses
    for use in (*range(uses.demands, uses.asking), *uses.facilities):
        governed = np.array([use], dtype=np.int64)
        yield Place(
            name=uses.ids[use],
            schedule=uses.schedule[use],
            currency=facts.terms.currency[use],
            prefix="",
            governed=governed,
            scope=_scope(edges, governed),
            posted=(),
            requirement=uses.required[use],
            follows_calls=True,
        )


def _blocks(
    facts: Facts,
    edges: Edges,
    place: Place,
    there_is: Callable[[LimitKinds], Floats],
    assets_met: Callable[[Ints], Bools] | None,
) -> Iterator[LimitBlock]:
    """The blocks of every limit at one place."""
    limits = facts.eligibility.limits(place.schedule, place.currency)
    if not limits:
        return
    source = edges.source[place.scope]
    asset, recalled = facts.sources.asset[source], np.zeros(len(source), dtype=bool)
    if place.agreement >= 0 and len(facts.sources.recallable):
        recalled = facts.sources.counts_at[source] == place.agreement
    met = None if assets_met is None else assets_met(place.governed)
    for number, limit in enumerate(limits):
        kinds = facts.eligibility.kinds(place.schedule, place.currency, number)
        yield from _of_limit(facts, place, limit, kinds, asset, recalled, there_is(kinds), met)


def _of_limit(
    facts: Facts,
    place: Place,
    limit: LimitMatch,
    kinds: LimitKinds,
    asset: Ints,
    recalled: Bools,
    there_is: Floats,
    met: Bools | None,
) -> Iterator[LimitBlock]:
    """One block per cap of a limit, over the groups that a posted asset or one that may be given there touches.

    ``asset`` and ``recalled`` [scope of the place] are of its edges, ``met`` are the assets that may be given there.
    """
    group_of_edge = kinds.group[asset]
    counted = group_of_edge >= 0
    group_of_edge = group_of_edge[counted]
    lying_in = [int(kinds.group[line.asset]) for line in place.posted]
    # The last stands for all that are not counted (-1).
    is_touched = np.zeros(kinds.groups + 1, dtype=bool)
    is_touched[group_of_edge] = True
    is_touched[lying_in] = True
    if met is not None:
        is_touched[kinds.group[met]] = True
    touched = np.flatnonzero(is_touched[:-1])
    if not len(touched):
        return
    at = np.cumsum(is_touched) - 1
    measured = [line.measured(limit.measure) for line in place.posted]
    total = sum(measured, Fraction(0))
    lying = [Fraction(0)] * len(touched)
    for group, value in zip(lying_in, measured, strict=True):
        if group >= 0:
            lying[at[group]] += value
    lies = in_floats(lying)
    for which, cap in enumerate(limit.caps):
        alike = sum(1 for other in limit.caps[:which] if other.of == cap.of)
        rule = _cap(facts, cap, kinds, touched, place.requirement)
        shut = _shut(facts, rule, limit.measure, lying, total)
        yield LimitBlock(
            place=place.name,
            governed=place.governed,
            label=place.prefix + limit.label,
            basis=f"{cap.of} {alike + 1}" if alike else cap.of,
            measure=limit.measure,
            groups=[limit.groups[g] for g in touched.tolist()],
            edge=place.scope[counted],
            group=at[group_of_edge],
            scope=place.scope,
            posted=lying,
            posted_total=total,
            cap=rule,
            shut=shut,
            recalled=recalled[counted],
            follows_calls=place.follows_calls,
            agreement=place.agreement,
            kinds=kinds,
            codes=touched,
            loose=_loose(facts, rule, limit.measure, lies, shut, there_is[touched]),
        )


def _cap(facts: Facts, cap: CapMatch, kinds: LimitKinds, groups: Ints, requirement: Fraction) -> Cap:
    """The cap per group; a figure that is unknown counts as zero, for nobody may rely on it."""
    asset = kinds.member[groups]
    if cap.per_asset is not None:
        figure = np.nan_to_num(np.asarray(cap.per_asset, dtype=np.float64)[asset], nan=0.0)
    else:
        figure = np.full(len(groups), cap.amount if cap.amount is not None else 0.0)
    return Cap(
        of=cap.of,
        share=1.0 if cap.share is None else cap.share,
        rate=1.0 if cap.currency is None else facts.book.rates[cap.currency],
        requirement=requirement,
        figure=figure,
        asset=asset,
    )


def _shut(facts: Facts, cap: Cap, measure: str, lying: list[Fraction], total: Fraction) -> Bools:
    """Groups that what is posted already puts over their cap."""
    shut = np.zeros(len(lying), dtype=bool)
    if not total:
        return shut
    for group, value in enumerate(lying):
        if value:
            most = (
                exact(cap.share) * total
                if cap.of == "posted"
                else cap.values(measure, np.array([group]), facts.assets, EXACT)[0]
            )
            shut[group] = value > most
    return shut


def _loose(facts: Facts, cap: Cap, measure: str, lies: Floats, shut: Bools, there_is: Floats) -> Bools | None:
    """Groups whose cap is no less than all that ``there_is`` to count against it, beside what ``lies`` there."""
    if cap.of == "posted":
        return None
    room = cap.values(measure, np.arange(len(lies)), facts.assets, FLOAT) - lies
    return np.asarray(~shut & (there_is <= room * (1 - 1e-9)))
