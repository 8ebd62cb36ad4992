"""Concentration limits: what each schedule governs at each place, what its groups hold, and the caps they keep.

A place is an agreement or a facility that takes something. The limits of a reserve bind what is counted, which is
no movement: see ``reserves``; here only its rows of the limits table are told apart.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from collateral_opt.result.checker.figures import (
    CENT,
    NOTHING,
    agrees,
    exact,
    grouped,
    near,
    number,
    positions,
    texts,
    total,
)
from collateral_opt.result.checker.movements import Movement, Position, measured
from eligibility_rules import CapMatch, LimitMatch, Match

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts
    from collateral_opt.result.checker.terms import Terms


@dataclass(frozen=True)
class Basket:
    """All collateral at one place, and one schedule in force there, whose limits bind all of it together."""

    kind: str
    """``agreement`` or ``facility``."""
    identifier: str
    schedule: str
    currency: str
    """The currency the schedule is read in."""
    own: bool
    governs: bool
    """Whether anything may come in this run: a call, or an input."""
    movements: tuple[Movement, ...]
    posted: tuple[Position, ...]
    requirement: Fraction

    def total(self, measure: str) -> Fraction:
        """All collateral there after this run, in ``measure``."""
        items: Sequence[Movement | Position] = (*self.movements, *self.posted)
        return total(measured(item, measure) for item in items)


@dataclass(frozen=True)
class GroupUse:
    """What one group of one limit holds, and the caps it must stay under (units or base currency)."""

    basket: Basket
    limit: str
    group: str
    posted: Fraction
    delivered: Fraction
    caps: tuple[Fraction, ...]

    @property
    def name(self) -> str:
        return f"{self.basket.kind} {self.basket.identifier}, limit {self.limit!r}, group {self.group!r}"

    @property
    def used(self) -> Fraction:
        return self.posted + self.delivered

    @property
    def tightest(self) -> list[Fraction]:
        """The caps with the least room (all that are within a cent of it)."""
        return [cap for cap in self.caps if cap - min(self.caps) <= CENT]


# --- what is where ---------------------------------------------------------------------


def gather_baskets(facts: Facts) -> Iterator[Basket]:
    """Every schedule in force at every agreement and facility, with what it governs."""
    yield from agreement_baskets(facts)
    terms = facts.terms
    for facility, takes in enumerate(terms.takes):
        if takes is not None:
            inputs = facts.inputs_of_facility.get(facility, ())
            yield Basket(
                kind="facility",
                identifier=str(terms.cell("facilities", "facility_id", facility)),
                schedule=takes,
                currency=terms.currency(terms.gives[facility]),
                own=True,
                governs=bool(inputs),
                movements=inputs,
                posted=(),
                requirement=terms.capacity(facility),
            )


def agreement_baskets(facts: Facts) -> Iterator[Basket]:
    book, terms = facts.book, facts.terms
    calls_at = grouped(range(len(book.calls)), lambda call: terms.agreement_of_call[call])
    rows_at = grouped(
        enumerate(positions(book.agreements["agreement_id"], book.posted["agreement_id"])),
        lambda pair: pair[1],
    )
    posted_assets = positions(book.assets["asset_id"], book.posted["asset_id"])
    for agreement in sorted(calls_at.keys() | rows_at.keys()):
        own = str(terms.cell("agreements", "schedule", agreement))
        currency = terms.base_currency(agreement)
        calls = calls_at.get(agreement, ())
        kinds = {terms.margin_types[call] for call in calls}
        found = facts.matches.of(own, currency, next(iter(kinds)) if len(kinds) == 1 else None)
        posted = tuple(
            position
            for row, _ in rows_at.get(agreement, ())
            for position in counted_position(facts, row, posted_assets[row], found, agreement, own)
        )
        required = total(facts.required[call] for call in calls)
        for schedule in sorted({terms.schedule_in_force[call] for call in calls} or {own}):
            yield Basket(
                kind="agreement",
                identifier=str(terms.cell("agreements", "agreement_id", agreement)),
                schedule=schedule,
                currency=currency,
                own=schedule == own,
                governs=bool(calls),
                movements=tuple(line for call in calls for line in facts.lines_of_call.get(call, ())),
                posted=posted,
                requirement=required + total(position.collateral_value for position in posted),
            )


def counted_position(
    facts: Facts, row: int, asset: int, found: Match, agreement: int, schedule: str
) -> Iterator[Position]:
    """A posted row as it counts: nothing when its schedule refuses it or it is wrong-way."""
    at, terms = facts.asset_at[asset], facts.terms
    if not bool(found.eligible[at]) or terms.wrong_way(asset, terms.agreement_family(agreement), schedule):
        return
    quantity = exact(terms.cell("posted", "quantity", row))
    market_value = quantity * terms.unit_value(asset)
    yield Position(asset, quantity, market_value, market_value * found.factors[int(found.factor_code[at])])


def measure_groups(facts: Facts, basket: Basket) -> Iterator[GroupUse]:
    """Usage and caps of every group of every limit that the basket uses."""
    for limit in facts.matches.limits(basket.schedule, basket.currency):
        delivered: dict[int, Fraction] = defaultdict(Fraction)
        posted: dict[int, Fraction] = defaultdict(Fraction)
        member: dict[int, int] = {}
        items: Sequence[Movement | Position] = (*basket.movements, *basket.posted)
        for item in items:
            at = facts.asset_at[item.asset]
            if not bool(limit.counts[at]):
                continue
            group = int(limit.group[at])
            member[group] = item.asset
            uses = delivered if isinstance(item, Movement) else posted
            uses[group] += measured(item, limit.measure)
        for group, asset in sorted(member.items()):
            yield GroupUse(
                basket=basket,
                limit=limit_name(basket, limit),
                group=limit.groups[group],
                posted=posted[group],
                delivered=delivered[group],
                caps=tuple(cap_of(facts, basket, limit, cap, asset) for cap in limit.caps),
            )


def limit_name(basket: Basket, limit: LimitMatch) -> str:
    """The limit's label; with its schedule in front where a call's own schedule replaced the agreement's."""
    return limit.label if basket.own else f"{basket.schedule}: {limit.label}"


def cap_of(facts: Facts, basket: Basket, limit: LimitMatch, cap: CapMatch, asset: int) -> Fraction:
    """A cap in the measure of its limit (units or base currency); an unknown figure caps at nothing."""
    if cap.of == "posted":
        return exact(cap.share or 0) * basket.total(limit.measure)
    at = facts.asset_at[asset] if asset >= 0 else -1
    return fixed_cap(facts.terms, limit, cap, basket.requirement, basket.currency, asset, at)


def fixed_cap(
    terms: Terms, limit: LimitMatch, cap: CapMatch, requirement: Fraction, currency: str, asset: int, at: int
) -> Fraction:
    """A cap that does not depend on what is there, for the group of ``asset``, which stands ``at`` in the match."""
    share = Fraction(1) if cap.share is None else exact(cap.share)
    if cap.of == "requirement":
        return share * requirement
    figure = stated_figure(cap, at)
    if figure is None:
        return NOTHING
    in_units = limit.measure == "quantity"
    if cap.of == "units":
        return share * figure * (1 if in_units else terms.unit_value(asset))
    if cap.of == "asset_money":
        return share * (figure / terms.local_price(asset) if in_units else figure * terms.rate(terms.currency(asset)))
    amount = share * figure * terms.rate(cap.currency or currency)
    return amount / terms.unit_value(asset) if in_units else amount


def stated_figure(cap: CapMatch, at: int) -> Fraction | None:
    """The number a cap starts from: the asset's own where it has one each, else the schedule's amount."""
    if cap.per_asset is not None:
        figure = float(cap.per_asset[at])
        return None if math.isnan(figure) else exact(figure)
    return None if cap.amount is None else exact(cap.amount)


def holds_others_in(facts: Facts, line: Movement, quantity: Fraction) -> bool:
    """Whether a share of what is posted, met now, would break if ``quantity`` of ``line`` were not there."""
    place = facts.terms.cell("agreements", "agreement_id", facts.terms.agreement_of_call[line.call])
    for basket in facts.baskets:
        if basket.kind != "agreement" or basket.identifier != place:
            continue
        for limit in facts.matches.limits(basket.schedule, basket.currency):
            shares = [exact(cap.share or 0) for cap in limit.caps if cap.of == "posted"]
            less = measured(line, limit.measure) * quantity / line.quantity
            now = basket.total(limit.measure)
            at = facts.asset_at[line.asset]
            mine = int(limit.group[at]) if bool(limit.counts[at]) else -1
            used: dict[int, Fraction] = defaultdict(Fraction)
            items: Sequence[Movement | Position] = (*basket.movements, *basket.posted)
            for item in items:
                where = facts.asset_at[item.asset]
                if bool(limit.counts[where]):
                    used[int(limit.group[where])] += measured(item, limit.measure)
            others = [value for group, value in used.items() if group != mine]
            if any(share * (now - less) < value <= share * now for value in others for share in shares):
                return True
    return False


# --- the rules -------------------------------------------------------------------------


def limits_hold(facts: Facts) -> Iterator[str]:
    """usage <= every cap, exactly; a group that what is posted puts over its cap takes nothing more."""
    for use in facts.groups:
        for cap in use.caps:
            if use.used > cap and use.posted > cap and use.delivered > 0:
                yield (
                    f"{use.name}: what was posted ({number(use.posted)}) stands over the cap already,"
                    f" {number(use.delivered)} more is delivered."
                )
            elif use.used > cap and use.delivered > 0:
                over = number(use.used - cap)
                yield f"{use.name}: {number(use.used)} is used, the cap is {number(cap)} ({over} over)."


def limits_table_agrees(facts: Facts) -> Iterator[str]:
    """Every used group has a row with usage and the cap of least room; an unused group shows no usage."""
    expected: dict[tuple[str, str, str], list[GroupUse]] = defaultdict(list)
    for use in facts.groups:
        expected[use.basket.identifier, use.limit, use.group].append(use)
    unused_caps = caps_of_unused_groups(facts)
    reserved = {(s.identifier, limit.label): s for s in facts.standings for limit in s.limits}
    table = facts.result.limits
    places, labels, groups = (texts(table[name]) for name in ("agreement_id", "limit", "group"))
    seen: Counter[tuple[str, str, str]] = Counter()
    for place, label, group, used, cap in zip(
        places, labels, groups, table["used"].tolist(), table["cap"].tolist(), strict=True
    ):
        key = (str(place), str(label), group or "")
        seen[key] += 1
        name = f"limits: {key[0]}, limit {key[1]!r}, group {key[2]!r}"
        standing = reserved.get(key[:2])
        faults = [] if standing is None else list(standing.row_faults(facts.terms, key[1], key[2], used, cap))
        if standing is not None and (not faults or key not in expected):
            yield from (f"{name}: {fault}" for fault in faults)
        elif key in expected:
            if not any(agrees(used, use.used) and any(agrees(cap, c) for c in use.tightest) for use in expected[key]):
                use = expected[key][0]
                caps = " or ".join(number(c) for c in use.tightest)
                yield f"{name}: stated {used!r} of {cap!r}, it is {number(use.used)} of {caps or 'no cap'}."
        elif key[:2] not in unused_caps:
            yield f"{name}: the schedules in force have no such limit."
        elif not near(used, NOTHING, CENT):
            yield f"{name}: {used!r} is stated as used, nothing there counts in this group."
        elif unused_caps[key[:2]] and not any(agrees(cap, c) for c in unused_caps[key[:2]]):
            least = min(unused_caps[key[:2]])
            yield f"{name}: the cap is stated as {cap!r}, it is {number(least)}."
    for key, uses in expected.items():
        wanted = [use for use in uses if use.used > 0 and use.basket.governs]
        if len(wanted) > seen[key]:
            yield f"{wanted[0].name}: {number(wanted[0].used)} is used, and limits has no row for it."
    for key, count in seen.items():
        if count > max(1, len(expected.get(key, ())) + (key[:2] in reserved)):
            yield f"limits: {key[0]}, limit {key[1]!r}, group {key[2]!r}: {count} rows in limits."


def caps_of_unused_groups(facts: Facts) -> Mapping[tuple[str, str], list[Fraction]]:
    """By place and limit: the least cap of an unused group; empty where each asset has its own."""
    found: dict[tuple[str, str], list[Fraction]] = defaultdict(list)
    for basket in facts.baskets:
        for limit in facts.matches.limits(basket.schedule, basket.currency):
            caps = found[basket.identifier, limit_name(basket, limit)]
            if all(same_for_every_asset(limit, cap) for cap in limit.caps):
                caps.append(min(cap_of(facts, basket, limit, cap, -1) for cap in limit.caps))
    return found


def same_for_every_asset(limit: LimitMatch, cap: CapMatch) -> bool:
    if cap.of in ("requirement", "posted"):
        return True
    return cap.of == "money" and cap.per_asset is None and limit.measure != "quantity"
