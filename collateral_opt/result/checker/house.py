"""House limits: what their groups hold over all agreements and facilities together, and the caps they keep.

What a limit counts and in which group is the book's own description (``house_groups``); what that comes to, and what
each cap comes to, is worked out here from the book's cells.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from collateral_opt.book.house import HOUSE
from collateral_opt.book.house_groups import GroupCap, HouseGroups, house_groups
from collateral_opt.result.checker.figures import CENT, NOTHING, agrees, exact, near, number
from collateral_opt.result.checker.movements import MEASURES, Movement, Position

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts

Place = tuple[Movement | Position, int, int, int, int]
"""What moves or lies somewhere: its asset, its holding, and the agreement or the facility it is at; -1 for none."""


@dataclass(frozen=True)
class HouseUse:
    """What each group of one house limit holds, by the group's number (units or base currency)."""

    limit: HouseGroups
    before: Mapping[int, Fraction]
    """What was posted before the run."""
    posted: Mapping[int, Fraction]
    """What of it stays."""
    delivered: Mapping[int, Fraction]
    held: Mapping[int, Fraction]
    """What the holdings hold before the run; empty where no cap is a share of it or says what must stay."""
    asset_of: Mapping[int, int]
    """The one asset of each group, where groups are assets or holdings."""

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """The number of each group by its name."""
        return {name: number for number, name in enumerate(self.limit.groups)}

    def used(self, group: int) -> Fraction:
        return self.posted.get(group, NOTHING) + self.delivered.get(group, NOTHING)

    def caps(self, facts: Facts, group: int) -> list[Fraction]:
        return [self._cap(facts, cap, group) for cap in self.limit.caps]

    def _cap(self, facts: Facts, cap: GroupCap, group: int) -> Fraction:
        """A cap in the measure of the limit; an unknown figure caps at nothing."""
        terms, share = facts.terms, cap.share or NOTHING
        if cap.of == "held":
            return share * self.held.get(group, NOTHING)
        amount = NOTHING if cap.amount is None else cap.amount * terms.rate(cap.currency or "")
        if cap.of == "min_left":
            return max(NOTHING, self.held.get(group, NOTHING) - amount)
        in_units = self.limit.measure == "quantity"
        if cap.of == "money" and not in_units:
            return amount
        asset = self.asset_of[group]
        if math.isnan(terms.cell("assets", "price", asset)):
            return NOTHING
        if cap.of == "money":
            return amount / terms.unit_value(asset)
        figure = float(terms.cell("assets", cap.of, asset))
        units = NOTHING if math.isnan(figure) else share * exact(figure)
        if cap.of == "market_cap":
            units /= terms.local_price(asset)
        return units if in_units else units * terms.unit_value(asset)


def asset_of_groups(facts: Facts, limit: HouseGroups) -> Mapping[int, int]:
    """By group of a limit by asset or by holding: its one asset."""
    if limit.by == "asset":
        return dict(zip(limit.of_asset.tolist(), range(len(limit.of_asset)), strict=True))
    return dict(zip(limit.of_holding.tolist(), facts.terms.asset_of_holding, strict=True))


# --- what is where ---------------------------------------------------------------------


def house_uses(facts: Facts) -> Iterator[HouseUse]:
    """Every house limit, in the order they are written, with what it counts after the run."""
    limits = house_groups(facts.book)
    if not limits:
        return
    moved: list[Place] = [(m, m.asset, m.holding, m.agreement, m.facility) for m in facts.movements]
    before, after = (list(posted_places(facts, stays)) for stays in (False, True))
    assets = facts.terms.asset_of_holding
    for limit in limits:
        held: dict[int, Fraction] = defaultdict(Fraction)
        if any(cap.of in ("held", "min_left") for cap in limit.caps):
            nowhere = np.full(len(assets), -1)
            groups = limit.group_of(np.array(assets, dtype=np.int64), np.arange(len(assets)), nowhere, nowhere)
            for holding, group in enumerate(groups.tolist()):
                worth = 1 if limit.measure == "quantity" else facts.terms.unit_value(assets[holding])
                held[group] += facts.terms.held(holding) * worth
        asset_of = asset_of_groups(facts, limit)
        yield HouseUse(limit, summed(limit, before), summed(limit, after), summed(limit, moved), held, asset_of)


def posted_places(facts: Facts, stays: bool) -> Iterator[Place]:
    """What is posted and counts at its agreement: all of it, or what ``stays``."""
    for posting in facts.postings:
        if posting.counts:
            position = posting.position(posting.kept if stays else posting.quantity)
            yield position, posting.asset, -1, posting.agreement, -1


def summed(limit: HouseGroups, places: Sequence[Place]) -> Mapping[int, Fraction]:
    """By group: what counts of these, in the limit's measure."""
    found: dict[int, Fraction] = defaultdict(Fraction)
    measure = MEASURES[limit.measure]
    if places:
        columns = (np.array(column, dtype=np.int64) for column in list(zip(*places, strict=True))[1:])
        for (item, *_), group in zip(places, limit.group_of(*columns).tolist(), strict=True):
            if group >= 0:
                found[group] += measure(item)
    return found


# --- the rule --------------------------------------------------------------------------


def house_limits_hold(facts: Facts) -> Iterator[str]:
    """usage <= every cap, exactly, unless nothing is added; and the rows of `house` in limits say so."""
    uses = list(house_uses(facts))
    for use in uses:
        for group in sorted(use.delivered):
            yield from breaches(facts, use, group)
    yield from house_rows_agree(facts, uses)


def breaches(facts: Facts, use: HouseUse, group: int) -> Iterator[str]:
    used, before, delivered = use.used(group), use.before.get(group, NOTHING), use.delivered[group]
    for cap in use.caps(facts, group):
        if used > cap and before > cap and delivered > 0:
            yield (
                f"{name_of(use, group)}: what was posted ({number(before)}) stands over the cap already,"
                f" {number(delivered)} more is delivered."
            )
        elif used > cap and delivered > 0:
            yield (
                f"{name_of(use, group)}: {number(used)} is used, the cap is {number(cap)} ({number(used - cap)} over)."
            )


def house_rows_agree(facts: Facts, uses: Iterable[HouseUse]) -> Iterator[str]:
    """Every used group has one row of place `house`, with usage and the cap of least room."""
    wanted = {use.limit.label: use for use in uses}
    if not wanted:
        return
    table = facts.stated["limits"]
    names = map(table.texts, ("agreement_id", "limit", "group"))
    rows = zip(*names, table["used"], table["cap"], strict=True)
    seen: Counter[tuple[str, str]] = Counter()
    for place, label, name, used, cap in rows:
        if place != HOUSE:
            continue
        use, group = wanted.get(str(label)), name or ""
        seen[str(label), group] += 1
        if use is None or group not in use.number_of:
            yield f"limits: {HOUSE}, limit {label!r}, group {group!r}: the house has no such limit or group."
        else:
            yield from row_faults(facts, use, use.number_of[group], used, cap)
    for (label, group), count in seen.items():
        if count > 1:
            yield f"limits: {HOUSE}, limit {label!r}, group {group!r}: {count} rows in limits."
    for label, use in wanted.items():
        for at in sorted({*use.posted, *use.delivered}):
            if use.used(at) > 0 and not seen[label, use.limit.groups[at]]:
                yield f"{name_of(use, at)}: {number(use.used(at))} is used, and limits has no row for it."


def row_faults(facts: Facts, use: HouseUse, group: int, used: float, cap: float) -> Iterator[str]:
    caps = use.caps(facts, group)
    true = use.used(group)
    tightest = [c for c in caps if c - min(caps) <= CENT]
    stated = near(used, NOTHING, CENT) if not true else agrees(used, true)
    if not stated or not any(agrees(cap, c) for c in tightest):
        yield (
            f"limits: {name_of(use, group)}: stated {used!r} of {cap!r}, it is {number(true)}"
            f" of {' or '.join(number(c) for c in tightest)}."
        )


def name_of(use: HouseUse, group: int) -> str:
    return f"{HOUSE}, limit {use.limit.label!r}, group {use.limit.groups[group]!r}"
