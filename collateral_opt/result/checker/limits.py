"""Rules about concentration limits: they hold after the run, and the table says what is used of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from collateral_opt.book.house import HOUSE
from collateral_opt.result.checker.baskets import GroupUse, caps_of, has_the_same_caps, limit_name
from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import CENT, NOTHING, agrees, near, number


def limits_hold(facts: Facts) -> Iterator[str]:
    """usage <= every cap, exactly; a group that what is posted puts over its cap takes nothing more."""
    for use in facts.groups:
        if use.used <= use.caps.least:
            continue
        for cap in use.caps.figures:
            if use.used > cap and use.was_over and use.delivered > 0:
                yield (
                    f"{use.name}: what was posted ({number(use.before)}) stands over the cap already,"
                    f" {number(use.delivered)} more is delivered."
                )
            elif use.used > cap and not use.was_over:
                over = number(use.used - cap)
                yield f"{use.name}: {number(use.used)} is used, the cap is {number(cap)} ({over} over)."


def limits_table_agrees(facts: Facts) -> Iterator[str]:
    """Every used group has a row with usage and the cap of least room; an unused group shows no usage."""
    expected: dict[tuple[str, str, str], list[GroupUse]] = defaultdict(list)
    for use in facts.groups:
        expected[use.basket.identifier, use.limit, use.group].append(use)
    reserved = {(s.identifier, limit.label): s for s in facts.standings for limit in s.limits}
    rows = stated_rows(facts)
    seen = Counter([key for key, _, _ in rows])
    unused_caps = caps_of_unused_groups(facts) if seen.keys() - expected.keys() else {}
    for key, used, cap in rows:
        uses, standing = expected.get(key, []), reserved.get(key[:2])
        faults = [] if standing is None else list(standing.row_faults(facts.terms, key[1], key[2], used, cap))
        if standing is None or (uses and faults):
            faults = use_faults(uses, used, cap) if uses else unused_faults(unused_caps.get(key[:2]), used, cap)
        for fault in faults:
            yield f"limits: {key[0]}, limit {key[1]!r}, group {key[2]!r}: {fault}"
    for key, uses in expected.items():
        if len(uses) <= seen[key]:
            continue
        wanted = [use for use in uses if use.used > 0 and use.basket.governs]
        if len(wanted) > seen[key]:
            yield f"{wanted[0].name}: {number(wanted[0].used)} is used, and limits has no row for it."
    for key, count in seen.items():
        if count > 1 and count > len(expected.get(key, ())) + (key[:2] in reserved):
            yield f"limits: {key[0]}, limit {key[1]!r}, group {key[2]!r}: {count} rows in limits."


def use_faults(uses: Sequence[GroupUse], used: float, cap: float) -> list[str]:
    """What cannot be true of a row about a group that is used: by one of ``uses``."""
    if any([use.is_stated_as(used, cap) for use in uses]):
        return []
    caps = " or ".join(number(figure) for figure in uses[0].caps.tightest)
    return [f"stated {used!r} of {cap!r}, it is {number(uses[0].used)} of {caps or 'no cap'}."]


def unused_faults(caps: Sequence[Fraction] | None, used: float, cap: float) -> list[str]:
    """What cannot be true of a row about a group that nothing counts in; ``caps`` of such, None: there is no limit."""
    if caps is None:
        return ["the schedules in force have no such limit."]
    if used != 0 and not near(used, NOTHING, CENT):
        return [f"{used!r} is stated as used, nothing there counts in this group."]
    if caps and not any([agrees(cap, least) for least in caps]):
        return [f"the cap is stated as {cap!r}, it is {number(min(caps))}."]
    return []


def stated_rows(facts: Facts) -> list[tuple[tuple[str, str, str], Any, Any]]:
    """What limits states as used and as cap, by place, limit and group; rows of the house have their own rules."""
    table = facts.stated["limits"]
    names = map(table.texts, ("agreement_id", "limit", "group"))
    return [
        ((str(place), str(label), group or ""), used, cap)
        for place, label, group, used, cap in zip(*names, table["used"], table["cap"], strict=True)
        if not (place == HOUSE and facts.book.house_limits)
    ]


def caps_of_unused_groups(facts: Facts) -> Mapping[tuple[str, str], list[Fraction]]:
    """By place and limit: the least cap of an unused group; empty where each asset has its own."""
    found: dict[tuple[str, str], list[Fraction]] = defaultdict(list)
    for basket in facts.baskets:
        for limit in facts.matches.limits(basket.schedule, basket.currency):
            caps = found[basket.identifier, limit_name(basket, limit)]
            if has_the_same_caps(limit):
                caps.append(caps_of(facts, basket, limit, -1).least)
    return found
