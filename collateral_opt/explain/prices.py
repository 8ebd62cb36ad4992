"""What one more unit, or one less, of anything is worth, how far that holds, and what letting go of a term saves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from collateral_opt.explain.answered import Answered
from collateral_opt.explain.optimum import ROOM, Optimum, Slope
from collateral_opt.explain.records import BASIS_POINTS, FullLimit, Price, Relaxation
from collateral_opt.model.program import Floats, Label
from collateral_opt.model.right_sides import more_of_source, more_of_use
from collateral_opt.network.network import Kind

NOTHING = 1e-9
"""Duals and savings smaller than this, in basis points or base currency a day, are the solver's noise."""


def price_of_use(answered: Answered, use: int, *, ranges: bool = True) -> Price:
    """What one more unit of a call, an agreement or a reserve costs, and one less saves; nothing where it is short."""
    kind = Kind(int(answered.uses.kind[use])).name.lower()
    if answered.short[use] > 0:
        return Price.model_validate({"kind": kind, "name": answered.uses.ids[use], "more_bps": None, "less_bps": None})
    more = more_of_use(answered.network, use)
    return _price(answered.optimum, kind, answered.uses.ids[use], more, asked=True, ranges=ranges)


def price_of_source(answered: Answered, source: int, *, ranges: bool = True) -> Price:
    """What one more unit of a holding or of a facility's capacity saves, and one less costs."""
    kind = "facility" if answered.sources.is_facility[source] else "holding"
    more = more_of_source(answered.network, source)
    return _price(answered.optimum, kind, answered.sources.ids[source], more, asked=False, ranges=ranges)


def price_of_limit(answered: Answered, label: Label, *, ranges: bool = True) -> Price:
    """What one more unit of a cap saves, and one less costs; ``label`` is that of its row."""
    _, place, limit, basis, group = label
    block = next(b for b in answered.network.limits if b.key == (place, limit, basis))
    unit = "unit of the asset" if block.measure == "quantity" else "base currency"
    name = " ".join(part for part in (place, limit, group) if part)
    return _price(answered.optimum, "limit", name, {label: 1.0}, asked=False, ranges=ranges, unit=unit)


def _price(
    optimum: Optimum,
    kind: str,
    name: str,
    more: Mapping[Label, float],
    *,
    asked: bool,
    ranges: bool,
    unit: str = "base currency",
) -> Price:
    up, down = optimum.slope(more), optimum.slope({label: -amount for label, amount in more.items()})
    sign = 1.0 if asked else -1.0
    return Price.model_validate(
        {
            "kind": kind,
            "name": name,
            "more_bps": None if up.duals is None else sign * up.bps + 0.0,
            "less_bps": None if down.duals is None else -sign * down.bps + 0.0,
            "holds_up": _finite(optimum, up) if ranges else None,
            "holds_down": _finite(optimum, down) if ranges else None,
            "unit": unit,
        }
    )


def _finite(optimum: Optimum, slope: Slope) -> float | None:
    reach = optimum.reach(slope)
    return reach if np.isfinite(reach) else None


def full_limits(answered: Answered, place: str | None = None) -> list[FullLimit]:
    """Every limit that binds, at one place or anywhere, in the order of the table: full, or with a price."""
    priced = defaultdict(list)
    for label, dual in answered.optimum.prices(answered.optimum.duals).items():
        if label[0] == "limit":
            priced[label[1], label[2], label[4]].append((dual, label))
    found = []
    for row in answered.result.limits.to_dict("records"):
        key = (row["agreement_id"], row["limit"], row["group"] if isinstance(row["group"], str) else "")
        labels = priced.get(key, [])
        is_full = row["used"] > 0 and row["used"] >= row["cap"] - 0.005
        if not labels or (place is not None and key[0] != place):
            continue
        dual, label = min(labels)
        if is_full or dual < -NOTHING:
            price = price_of_limit(answered, label, ranges=False)
            found.append(
                FullLimit(
                    agreement_id=key[0], limit=key[1], group=key[2], used=row["used"], cap=row["cap"], price=price
                )
            )
    return found


def relaxations(answered: Answered, place: str | None = None) -> list[Relaxation]:
    """What letting go of each term saves, the most valuable first: what covers most, then what saves most.

    Terms are limits (all groups of one), capacities of facilities, pins and reserves. One without a price at some
    optimal duals saves nothing, for those duals prove the cost without it, too: only the others are solved without.
    """
    optimum, settings = answered.relaxed, answered.problem.facts.book.settings
    # So much may be left uncovered here and not there, and say nothing.
    noise = 3 * ROOM * float(np.sum(answered.uses.lacking))
    found = []
    for (kind, at, name), let_go, waived in _terms(answered):
        if place is not None and at != place:
            continue
        cost, short = optimum.without(**let_go)
        covers = _missing(optimum, waived) - _missing(optimum, waived, short)
        covers = covers if covers > noise else 0.0
        saves = (optimum.cost - cost) / BASIS_POINTS / settings.day_count
        if saves > NOTHING or covers > 0:
            found.append(
                Relaxation.model_validate(
                    {"kind": kind, "place": at, "name": name, "saves_per_day": saves, "covers": max(covers, 0.0)}
                )
            )
    return sorted(found, key=lambda r: (-round(r.covers, 2), -r.saves_per_day, r.kind, r.place, r.name))


def _terms(answered: Answered) -> Iterator[tuple[tuple[str, str, str], dict[str, Any], int]]:
    """Terms that may matter: kind, place and name, what letting go of them frees, the reserve waived (or -1)."""
    optimum, network, uses = answered.relaxed, answered.relaxed.network, answered.uses
    # Where something is short, costs do not show what stands in its way; what is full may.
    matters = optimum.is_full if _missing(optimum) else np.abs(optimum.duals) > NOTHING
    limits: dict[tuple[str, str], list[int]] = defaultdict(list)
    mattering: set[tuple[str, str]] = set()
    for row, label in enumerate(optimum.program.rows.labels):
        if label[0] == "limit":
            limits[label[1], label[2]].append(row)
            mattering |= {(label[1], label[2])} if matters[row] else set()
        elif label[:2] == ("supply", "proceeds") and matters[row]:
            yield ("capacity", label[2], label[2]), {"above": [row]}, -1
        elif label[:2] == ("cover", "reserve") and matters[row]:
            yield ("reserve", label[2], label[2]), {"below": [row]}, uses.label.index(("reserve", label[2]))
    for (at, name), rows in limits.items():
        if (at, name) in mattering:
            yield ("limit", at, name), {"above": rows}, -1
    for edge in sorted(network.pinned):
        use, source = int(network.edges.use[edge]), int(network.edges.source[edge])
        others = replace(network, pinned={e: lots for e, lots in network.pinned.items() if e != edge})
        most = float(max(uses.required[use], others.pinned_cover.get(use, uses.required[use])))
        row = optimum.row_at["cover", *uses.label[use]]
        holding, facility = answered.holding_and_facility(source)
        yield ("pin", uses.ids[use], holding or facility or ""), {"columns": [edge], "most": {row: most}}, -1


def _missing(optimum: Optimum, waived: int = -1, short: Floats | None = None) -> float:
    """What all uses but ``waived`` are short of together; less than a solver can tell is nothing."""
    uses, short = optimum.network.uses, optimum.short if short is None else short
    counts = (short > 2 * ROOM * uses.size[: uses.asking]) & (np.arange(uses.asking) != waived)
    return float(np.sum(short[counts]))
