"""What stands under concentration limits: all collateral at one place, and what each group of a limit holds of it.

A place is an agreement or a facility that takes something. The limits of a reserve bind what is counted, which is
no movement: see ``reserves``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from collateral_opt.result.checker.accounts import requirement_of
from collateral_opt.result.checker.figures import CENT, NOTHING, ONE, agrees, exact, product, total
from collateral_opt.result.checker.movements import MEASURES, Movement, Position
from eligibility_rules import CapMatch, LimitMatch

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
    """Whether anything may come or go in this run."""
    movements: tuple[Movement, ...]
    posted: tuple[Position, ...]
    """What was there and stays."""
    before: tuple[Position, ...]
    """What was there."""
    requirement: Fraction

    @cached_property
    def items(self) -> Sequence[Movement | Position]:
        """All collateral there after this run."""
        return (*self.movements, *self.posted)

    def total(self, measure: str) -> Fraction:
        """All of it in ``measure``."""
        if measure not in self._totals:
            self._totals[measure] = total(map(MEASURES[measure], self.items))
        return self._totals[measure]

    @cached_property
    def _totals(self) -> dict[str, Fraction]:
        return {}


class Caps(NamedTuple):
    """The caps that a group must stay under (units or base currency)."""

    figures: Sequence[Fraction]
    least: Fraction
    tightest: Sequence[Fraction]
    """Those with the least room (all that are within a cent of it)."""


class GroupUse(NamedTuple):
    """What one group of one limit holds, and the caps it must stay under (units or base currency)."""

    basket: Basket
    limit: str
    group: str
    posted: Fraction
    delivered: Fraction
    used: Fraction
    """All of it."""
    caps: Caps
    before: Fraction
    """What of it was posted before the run."""
    was_over: bool
    """Whether that stood over a cap already."""

    @property
    def name(self) -> str:
        return f"{self.basket.kind} {self.basket.identifier}, limit {self.limit!r}, group {self.group!r}"

    def is_stated_as(self, used: float, cap: float) -> bool:
        """Whether this is what a row of limits says."""
        return agrees(used, self.used) and any([agrees(cap, least) for least in self.caps.tightest])


@dataclass(frozen=True)
class SharedLimit:
    """A limit in force at an agreement with caps that are shares of what is posted there, in its measure."""

    limit: LimitMatch
    shares: tuple[Fraction, ...]
    total: Fraction
    """All that is there after the run."""
    used: Mapping[int, Fraction]
    """What of it counts in each group."""


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
                before=(),
                requirement=terms.capacity(facility),
            )


def agreement_baskets(facts: Facts) -> Iterator[Basket]:
    """An agreement under each schedule its calls are read in; under its own too where no call asks for all it needs."""
    terms = facts.terms
    for agreement in sorted(terms.calls_of_agreement.keys() | facts.postings_at.keys() | facts.accounts.keys()):
        own = str(terms.cell("agreements", "schedule", agreement))
        calls = terms.calls_of_agreement.get(agreement, ())
        account = facts.accounts.get(agreement)
        postings = [posting for posting in facts.postings_at.get(agreement, ()) if posting.counts]
        before = tuple(posting.position(posting.quantity) for posting in postings)
        in_force = {terms.schedule_in_force[call] for call in calls}
        for schedule in sorted(in_force | ({own} if account is not None or not calls else set())):
            yield Basket(
                kind="agreement",
                identifier=str(terms.cell("agreements", "agreement_id", agreement)),
                schedule=schedule,
                currency=terms.base_currency(agreement),
                own=schedule == own,
                governs=bool(calls) or account is not None,
                movements=facts.delivered_to.get(agreement, ()),
                posted=tuple(posting.position(posting.kept) for posting in postings if posting.kept > 0),
                before=before,
                requirement=requirement_of(facts, agreement),
            )


def shared_limits(facts: Facts) -> Mapping[str, Sequence[SharedLimit]]:
    """By agreement."""
    found: dict[str, list[SharedLimit]] = defaultdict(list)
    for basket in facts.baskets:
        if basket.kind != "agreement":
            continue
        for limit in facts.matches.limits(basket.schedule, basket.currency):
            shares = tuple(exact(cap.share or 0) for cap in limit.caps if cap.of == "posted")
            if shares:
                used = use_by_group(facts, limit, basket.items)
                found[basket.identifier].append(SharedLimit(limit, shares, basket.total(limit.measure), used))
    return found


def measure_groups(facts: Facts, basket: Basket) -> Iterator[GroupUse]:
    """Usage and caps of every group of every limit that the basket uses."""
    at_first = replace(basket, movements=(), posted=basket.before)
    for limit in facts.matches.limits(basket.schedule, basket.currency):
        name = limit_name(basket, limit)
        delivered = use_by_group(facts, limit, basket.movements)
        posted = use_by_group(facts, limit, basket.posted)
        before = use_by_group(facts, limit, basket.before)
        member = dict(zip(groups_of(facts, limit, basket.items), basket.items, strict=True))
        same = caps_of(facts, basket, limit, -1) if has_the_same_caps(limit) else None
        for group in sorted(delivered.keys() | posted.keys()):
            kept, more = posted.get(group, NOTHING), delivered.get(group, NOTHING)
            asset = member[group].asset
            yield GroupUse(
                basket=basket,
                limit=name,
                group=limit.groups[group],
                posted=kept,
                delivered=more,
                used=kept + more if kept else more,
                caps=caps_of(facts, basket, limit, asset) if same is None else same,
                before=before.get(group, NOTHING),
                was_over=group in before and before[group] > caps_of(facts, at_first, limit, asset).least,
            )


def use_by_group(facts: Facts, limit: LimitMatch, items: Sequence[Movement | Position]) -> Mapping[int, Fraction]:
    """What counts in each group, in the measure of the limit."""
    found: dict[int, list[Fraction]] = defaultdict(list)
    for amount, group in zip(map(MEASURES[limit.measure], items), groups_of(facts, limit, items), strict=True):
        if group >= 0:
            found[group].append(amount)
    return {group: total(amounts) for group, amounts in found.items()}


def groups_of(facts: Facts, limit: LimitMatch, items: Sequence[Movement | Position]) -> list[int]:
    """The group in which each item counts, -1 for none."""
    groups: list[int] = limit.group[[facts.asset_at[item.asset] for item in items]].tolist() if items else []
    return groups


def limit_name(basket: Basket, limit: LimitMatch) -> str:
    """The limit's label; with its schedule in front where a call's own schedule replaced the agreement's."""
    return limit.label if basket.own else f"{basket.schedule}: {limit.label}"


def cap_of(facts: Facts, basket: Basket, limit: LimitMatch, cap: CapMatch, asset: int) -> Fraction:
    """A cap in the measure of its limit (units or base currency); an unknown figure caps at nothing."""
    if cap.of == "posted":
        return exact(cap.share or 0) * basket.total(limit.measure)
    at = facts.asset_at[asset] if asset >= 0 else -1
    return fixed_cap(facts.terms, limit, cap, basket.requirement, basket.currency, asset, at)


def caps_of(facts: Facts, basket: Basket, limit: LimitMatch, asset: int) -> Caps:
    """All caps on the group of ``asset``."""
    figures = [cap_of(facts, basket, limit, cap, asset) for cap in limit.caps]
    if len(figures) == 1:
        return Caps(figures, figures[0], figures)
    least = min(figures)
    return Caps(figures, least, [figure for figure in figures if figure - least <= CENT])


def has_the_same_caps(limit: LimitMatch) -> bool:
    """Whether the caps are the same for every group."""
    return all(
        cap.of in ("requirement", "posted")
        or (cap.of == "money" and cap.per_asset is None and limit.measure != "quantity")
        for cap in limit.caps
    )


def fixed_cap(
    terms: Terms, limit: LimitMatch, cap: CapMatch, requirement: Fraction, currency: str, asset: int, at: int
) -> Fraction:
    """A cap that does not depend on what is there, for the group of ``asset``, which stands ``at`` in the match."""
    share = ONE if cap.share is None else exact(cap.share)
    if cap.of == "requirement":
        return share * requirement
    figure = stated_figure(cap, at)
    if figure is None:
        return NOTHING
    in_units = limit.measure == "quantity"
    if cap.of == "units":
        return product(share, figure) if in_units else product(share, figure, terms.unit_value(asset))
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
    place = str(facts.terms.cell("agreements", "agreement_id", line.agreement))
    for shared in facts.shared_at.get(place, ()):
        limit = shared.limit
        at = facts.asset_at[line.asset]
        mine = int(limit.group[at]) if bool(limit.counts[at]) else -1
        less = MEASURES[limit.measure](line) * quantity / line.quantity
        for share in shared.shares:
            least, most = share * (shared.total - less), share * shared.total
            if any(least < value <= most for group, value in shared.used.items() if group != mine):
                return True
    return False
