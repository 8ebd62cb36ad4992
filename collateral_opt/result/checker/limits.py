"""Rules about concentration limits: they hold after the run, and the table says what is used of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction

from collateral_opt.book.house import HOUSE
from collateral_opt.result.checker.baskets import GroupUse, cap_of, limit_name, same_for_every_asset
from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import CENT, NOTHING, agrees, near, number, texts


def limits_hold(facts: Facts) -> Iterator[str]:
    """usage <= every cap, exactly; a group that what is posted puts over its cap takes nothing more."""
    for use in facts.groups:
        for cap in use.caps:
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
    unused_caps = caps_of_unused_groups(facts)
    reserved = {(s.identifier, limit.label): s for s in facts.standings for limit in s.limits}
    table = facts.result.limits
    places, labels, groups = (texts(table[name]) for name in ("agreement_id", "limit", "group"))
    seen: Counter[tuple[str, str, str]] = Counter()
    for place, label, group, used, cap in zip(
        places, labels, groups, table["used"].tolist(), table["cap"].tolist(), strict=True
    ):
        key = (str(place), str(label), group or "")
        if place == HOUSE and facts.book.house_limits:
            continue  # these rows have rules of their own: see house
        seen[key] += 1
        stated = key in expected and any(use.is_stated_as(used, cap) for use in expected[key])
        standing = reserved.get(key[:2])
        if stated and standing is None:
            continue
        name = f"limits: {key[0]}, limit {key[1]!r}, group {key[2]!r}"
        faults = [] if standing is None else list(standing.row_faults(facts.terms, key[1], key[2], used, cap))
        if standing is not None and (not faults or key not in expected):
            yield from (f"{name}: {fault}" for fault in faults)
        elif key in expected:
            if not stated:
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
