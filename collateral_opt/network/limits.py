"""The limits of the schedules in force at each agreement, as blocks of edges, groups and caps.

A limit binds all lines delivered under calls that its schedule governs; what is posted already counts under the
agreement's own schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.eligibility import Eligibility
from collateral_opt.network.exact import EXACT, exact
from collateral_opt.network.network import Assets, Bools, Cap, Edges, Ints, LimitBlock, Sources, Uses
from eligibility_rules import CapMatch, LimitMatch


@dataclass(frozen=True)
class Posted:
    """What lies at an agreement and still counts: asset positions, exact quantities, values and factors."""

    asset: list[int]
    quantity: list[Fraction]
    market_value: list[Fraction]
    value_after_haircut: list[Fraction]

    def measured(self, measure: str) -> list[Fraction]:
        if measure == "quantity":
            return self.quantity
        return self.market_value if measure == "market_value" else self.value_after_haircut


NOTHING = Posted([], [], [], [])


def limit_blocks(
    book: Book,
    asset_frame: pd.DataFrame,
    assets: Assets,
    agreements: pd.DataFrame,
    uses: Uses,
    sources: Sources,
    edges: Edges,
    eligibility: Eligibility,
) -> tuple[LimitBlock, ...]:
    """Every cap of every limit, agreement by agreement, schedule by schedule."""
    schedules_of_uses = np.array(uses.schedule, dtype=object)
    first_edge = np.searchsorted(edges.use, np.arange(len(uses) + 1))
    posted_rows = {key: group for key, group in book.posted.groupby("agreement_id", sort=False)}
    blocks: list[LimitBlock] = []
    for position, agreement in enumerate(agreements.itertuples(index=False)):
        mine = np.flatnonzero(uses.agreement == position)
        rows = posted_rows.get(agreement.agreement_id)
        in_force = {agreement.schedule, *schedules_of_uses[mine]}
        for schedule in sorted(in_force):
            governed = mine[schedules_of_uses[mine] == schedule]
            is_own = schedule == agreement.schedule
            posted = NOTHING
            if is_own and rows is not None:
                posted = _posted(book, asset_frame, assets, agreement, rows, eligibility)
            if not len(governed) and not posted.asset:
                continue
            scope = np.concatenate([np.arange(first_edge[j], first_edge[j + 1]) for j in governed] or [np.zeros(0)])
            requirement = sum((uses.required[j] for j in governed), sum(posted.value_after_haircut, Fraction(0)))
            prefix = "" if is_own else f"{schedule}: "
            for limit in eligibility.limits(schedule, agreement.base_currency):
                label = prefix + limit.label
                blocks.extend(
                    _blocks_of(
                        limit, label, position, schedule, scope.astype(np.int64), requirement, posted, book, assets,
                        sources, edges,
                    )
                )  # fmt: skip
    return tuple(blocks)


def _posted(
    book: Book,
    asset_frame: pd.DataFrame,
    assets: Assets,
    agreement: object,
    rows: pd.DataFrame,
    eligibility: Eligibility,
) -> Posted:
    """What is posted and still eligible there; what no longer is counts nothing."""
    schedule, identifier = agreement.schedule, agreement.agreement_id  # type: ignore[attr-defined]
    margin_type = eligibility.posted_margin_types.get(identifier)
    matched = eligibility.match(schedule, agreement.base_currency, margin_type)  # type: ignore[attr-defined]
    family = {agreement.counterparty, agreement.counterparty_parent} - {None}  # type: ignore[attr-defined]
    position = {a: i for i, a in enumerate(assets.ids)}
    allow = book.schedules[schedule].wrong_way == "allow"
    found = Posted([], [], [], [])
    for asset_id, quantity in zip(rows["asset_id"], rows["quantity"], strict=True):
        i = position[asset_id]
        issued_by = {asset_frame["issuer"].iat[i], asset_frame["issuer_parent"].iat[i]}
        if not matched.eligible[i] or (family & issued_by and not allow):
            continue
        units = exact(quantity)
        value = units * assets.exact_unit_value(i)
        found.asset.append(i)
        found.quantity.append(units)
        found.market_value.append(value)
        found.value_after_haircut.append(value * matched.factors[matched.factor_code[i]])
    return found


def _blocks_of(
    limit: LimitMatch,
    label: str,
    agreement: int,
    schedule: str,
    scope: Ints,
    requirement: Fraction,
    posted: Posted,
    book: Book,
    assets: Assets,
    sources: Sources,
    edges: Edges,
) -> Iterator[LimitBlock]:
    """One block per cap, over the groups that an edge or a posted asset touches."""
    asset_of_edge = sources.asset[edges.source[scope]]
    counted = limit.counts[asset_of_edge]
    group_of_edge = limit.group[asset_of_edge[counted]].astype(np.int64)
    posted_groups = [int(limit.group[a]) if limit.counts[a] else -1 for a in posted.asset]
    touched = np.unique(np.concatenate([group_of_edge, np.array([g for g in posted_groups if g >= 0], dtype=np.int64)]))
    if not len(touched):
        return
    measured = posted.measured(limit.measure)
    lying = [Fraction(0)] * len(touched)
    for group, value in zip(posted_groups, measured, strict=True):
        if group >= 0:
            lying[int(np.searchsorted(touched, group))] += value
    for cap in limit.caps:
        rule = _cap(cap, limit, touched, requirement, book)
        yield LimitBlock(
            agreement=agreement,
            schedule=schedule,
            label=label,
            measure=limit.measure,
            groups=[limit.groups[g] for g in touched.tolist()],
            edge=scope[counted],
            group=np.searchsorted(touched, group_of_edge),
            scope=scope,
            posted=lying,
            posted_total=sum(measured, Fraction(0)),
            cap=rule,
            shut=_shut(rule, limit.measure, lying, sum(measured, Fraction(0)), assets),
        )


def _cap(cap: CapMatch, limit: LimitMatch, groups: Ints, requirement: Fraction, book: Book) -> Cap:
    """The cap per group; a figure that is unknown counts as zero, for nobody may rely on it."""
    asset = np.full(len(groups), -1, dtype=np.int64)
    members = np.flatnonzero(limit.counts)
    where = np.searchsorted(groups, limit.group[members])
    where[where == len(groups)] = 0
    known = groups[where] == limit.group[members]
    asset[where[known]] = members[known]
    if cap.per_asset is not None:
        figure = np.nan_to_num(np.asarray(cap.per_asset, dtype=np.float64)[asset], nan=0.0)
    else:
        figure = np.full(len(groups), cap.amount if cap.amount is not None else 0.0)
    return Cap(
        of=cap.of,
        share=1.0 if cap.share is None else cap.share,
        rate=1.0 if cap.currency is None else book.rates[cap.currency],
        requirement=requirement,
        figure=figure,
        asset=asset,
    )


def _shut(cap: Cap, measure: str, lying: list[Fraction], total: Fraction, assets: Assets) -> Bools:
    """Groups that what is posted already puts over their cap."""
    shut = np.zeros(len(lying), dtype=bool)
    for group, value in enumerate(lying):
        if value > 0:
            if cap.of == "posted":
                shut[group] = value > exact(cap.share) * total
            else:
                shut[group] = value > cap.values(measure, np.array([group]), assets, EXACT)[0]
    return shut


