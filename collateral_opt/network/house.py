"""The firm's own limits, across all agreements and facilities together, as blocks like those of schedules."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from collateral_opt.book.house import HOUSE
from collateral_opt.book.house_groups import HouseGroups, house_groups
from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Bools, Edges, GivenCap, Ints, Kind, LimitBlock
from collateral_opt.network.rows import positions


def house_blocks(facts: Facts, edges: Edges) -> Iterator[LimitBlock]:
    """One block per cap, over the groups that an edge or something posted touches."""
    if not facts.book.house_limits:
        return
    uses = facts.uses
    given = np.flatnonzero((uses.kind[edges.use] != Kind.RESERVE) & (uses.kind[edges.use] != Kind.HOME))
    recalled = np.flatnonzero(facts.sources.counts_at[edges.source] >= 0)
    for limit in house_groups(facts.book, facts.asset_frame):
        arrives, leaves = _arriving(facts, edges, given, limit), _leaving(facts, edges, recalled, limit)
        edge = np.concatenate([given[arrives >= 0], recalled[leaves >= 0]])
        group = np.concatenate([arrives[arrives >= 0], leaves[leaves >= 0]])
        yield from _blocks(facts, limit, edge, group, np.arange(len(edge)) >= np.count_nonzero(arrives >= 0))


def _arriving(facts: Facts, edges: Edges, given: Ints, limit: HouseGroups) -> Ints:
    """The group that each edge adds to, -1 for none."""
    sources, uses = facts.sources, facts.uses
    source, use = edges.source[given], edges.use[given]
    holding_rows = positions(facts.book.holdings["holding_id"].tolist(), sources.ids[: _holdings(facts)])
    holding = np.where(sources.holding[source] >= 0, holding_rows[np.maximum(sources.holding[source], 0)], -1)
    agreement = np.where(uses.agreement[use] >= 0, facts.agreements.row[np.maximum(uses.agreement[use], 0)], -1)
    at = {name: i for i, name in enumerate(facts.book.facilities["facility_id"])}
    facility_rows = np.array([at[uses.ids[k]] if k in uses.facilities else -1 for k in range(len(uses))])
    return np.asarray(limit.group_of(sources.asset[source], holding, agreement, facility_rows[use]))


def _leaving(facts: Facts, edges: Edges, recalled: Ints, limit: HouseGroups) -> Ints:
    """The group that each recall takes away from, -1 for none."""
    sources = facts.sources
    source = edges.source[recalled]
    nowhere = np.full(len(source), -1, dtype=np.int64)
    agreement = facts.agreements.row[sources.lies_at[source]]
    return np.asarray(limit.group_of(sources.asset[source], nowhere, agreement, nowhere))


def _holdings(facts: Facts) -> int:
    return int(np.count_nonzero(facts.sources.is_holding))


def _blocks(facts: Facts, limit: HouseGroups, edge: Ints, group: Ints, recalled: Bools) -> Iterator[LimitBlock]:
    lying = _lying(facts, limit)
    touched = np.unique(np.concatenate([group, np.array(sorted(lying), dtype=np.int64)])).astype(np.int64)
    if not len(touched):
        return
    posted = [lying.get(g, Fraction(0)) for g in touched.tolist()]
    for number, cap in enumerate(limit.caps, start=1):
        most = [cap.most[g] for g in touched.tolist()]
        yield LimitBlock(
            place=HOUSE,
            governed=np.arange(len(facts.uses)),
            label=limit.label,
            basis=f"{cap.of} {number}",
            measure=limit.measure,
            groups=[limit.groups[g] for g in touched.tolist()],
            edge=edge,
            group=np.searchsorted(touched, group),
            scope=np.zeros(0, dtype=np.int64),
            posted=posted,
            posted_total=sum(posted, Fraction(0)),
            cap=GivenCap(most, cap.of),
            shut=np.array([value > 0 and value > m for value, m in zip(posted, most, strict=True)], dtype=bool),
            recalled=recalled,
        )


def _lying(facts: Facts, limit: HouseGroups) -> dict[int, Fraction]:
    """What is posted and still counts, by group, in the limit's measure."""
    found: dict[int, Fraction] = {}
    lines = [line for line in facts.posted if line.factor is not None]
    nowhere = np.full(len(lines), -1, dtype=np.int64)
    asset = np.array([line.asset for line in lines], dtype=np.int64)
    agreement = facts.agreements.row[np.array([line.agreement for line in lines], dtype=np.int64)]
    groups = limit.group_of(asset, nowhere, agreement, nowhere)
    for line, group in zip(lines, np.asarray(groups).tolist(), strict=True):
        if group >= 0:
            found[group] = found.get(group, Fraction(0)) + line.measured(limit.measure)
    return found
