"""What a schedule's limits count, in which groups, and what caps each group; sums are left to the caller."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from eligibility_rules.criteria import FALSE, Bools, Context, Evaluation
from eligibility_rules.facts import Facts, TextColumn
from eligibility_rules.matching import Ints, check_columns, listed_rows
from eligibility_rules.vocabulary import Cap, Limit, Schedule

Measure = Literal["market_value", "value_after_haircut", "quantity"]
UNKNOWN_GROUP = "(unknown)"
Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True, eq=False)
class CapMatch:
    """One cap on every group of a limit.

    `requirement`, `posted`: `share` of it. `money`: `amount` of `currency`, or `per_asset` of it (a list's
    max_value). `units`, `asset_money` (units of the asset, money in its currency): `share` times `per_asset`,
    float64[n], NaN where unknown.
    """

    of: Literal["requirement", "posted", "money", "units", "asset_money"]
    share: float | None = None
    amount: float | None = None
    currency: str | None = None
    per_asset: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class LimitMatch:
    """A limit over n assets.

    `counts` bool[n]: selected, or not known not to be; `group` int32[n]: position in `groups`, -1 where not
    counted; `groups`: sorted labels, "" for the one group of `group_by: none`, "(unknown)" for all assets
    whose group is unknown. All of `caps` bind.
    """

    label: str
    measure: Measure
    counts: Bools
    group: Ints
    groups: tuple[str, ...]
    caps: tuple[CapMatch, ...]


def match_limits(schedule: Schedule, assets: pd.DataFrame | Facts, context: Context) -> tuple[LimitMatch, ...]:
    """A schedule's limits over an asset table, in the order they are written; raises as `match` does.

    A list schedule's `max_quantity` and `max_value` become one limit each, by asset; an asset whose cell is
    empty is not capped and does not count.
    """
    facts = Facts.of(assets).assuming(schedule.assume)
    check_columns(schedule, facts)
    if schedule.listing:
        return _listed_limits(schedule, facts, context)
    evaluation = Evaluation(facts, context)
    labels = _told_apart([limit.label for limit in schedule.limits])
    return tuple(_limit(limit, label, evaluation) for limit, label in zip(schedule.limits, labels, strict=True))


def _told_apart(labels: list[str]) -> list[str]:
    """Labels, with a number behind each that stood before, so that every limit has a row of its own in a table."""
    seen: dict[str, int] = {}
    told: list[str] = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        told.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return told


def _limit(limit: Limit, label: str, evaluation: Evaluation) -> LimitMatch:
    facts = evaluation.facts
    counts: Bools = evaluation.truth(limit.select) != FALSE
    column = limit.group_column
    cells = TextColumn(np.zeros(facts.n, dtype=np.int64), ("",)) if column is None else facts.text(column)
    group, groups = _groups(cells, counts)
    caps = tuple(_cap(cap, facts) for cap in limit.caps)
    return LimitMatch(label, limit.measure, _fixed(counts), _fixed(group), groups or _no_group(column), caps)


def _no_group(column: str | None) -> tuple[str, ...]:
    return ("",) if column is None else ()


def _groups(cells: TextColumn, counts: Bools) -> tuple[Ints, tuple[str, ...]]:
    """Each counted asset's position among the sorted labels of the groups that occur."""
    occurs = np.zeros(len(cells.values) + 1, dtype=np.bool_)
    occurs[cells.codes[counts]] = True  # code -1 is the last: unknown
    found = cells.in_order[occurs[cells.in_order]]
    labels = [cells.values[code] for code in found.tolist()]
    position = np.full(len(occurs), -1, dtype=np.int32)
    position[found] = np.arange(len(found))
    if occurs[-1]:
        place = bisect_left(labels, UNKNOWN_GROUP)
        if labels[place : place + 1] != [UNKNOWN_GROUP]:
            labels.insert(place, UNKNOWN_GROUP)
            position[position >= place] += 1
        position[-1] = place
    return np.where(counts, position[cells.codes], -1).astype(np.int32), tuple(labels)


def _cap(cap: Cap, facts: Facts) -> CapMatch:
    share = None if cap.share is None else float(cap.share)
    match cap.of:
        case "requirement" | "posted":
            return CapMatch(cap.of, share=share)
        case "money":
            amount = None if cap.amount is None else float(cap.amount)
            return CapMatch("money", amount=amount, currency=cap.currency)
        case "market_cap":
            return CapMatch("asset_money", share=share, per_asset=facts.number(cap.of))
        case "outstanding" | "adv":
            return CapMatch("units", share=share, per_asset=facts.number(cap.of))


def _listed_limits(schedule: Schedule, facts: Facts, context: Context) -> tuple[LimitMatch, ...]:
    row = listed_rows(schedule, facts)
    limits = []
    columns: tuple[tuple[Literal["max_quantity", "max_value"], Measure], ...] = (
        ("max_quantity", "quantity"),
        ("max_value", "market_value"),
    )
    for column, measure in columns:
        most: list[Fraction | None] = [getattr(line, column) for line in schedule.listing]
        if all(value is None for value in most):
            continue
        per_line = np.array([np.nan if value is None else float(value) for value in most])
        per_asset = np.where(row >= 0, per_line[row], np.nan)
        counts = ~np.isnan(per_asset)
        group, groups = _groups(facts.ids, counts)
        if measure == "quantity":
            cap = CapMatch("units", share=1.0, per_asset=per_asset)
        else:
            cap = CapMatch("money", currency=context.base_currency, per_asset=per_asset)
        limits.append(LimitMatch(column, measure, _fixed(counts), _fixed(group), groups, (cap,)))
    return tuple(limits)


def _fixed(array: Array) -> Array:
    array.setflags(write=False)
    return array
