"""Rules about what a run left and comes to: the inventory and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import (
    CENT,
    NOTHING,
    RELATIVE,
    exact,
    is_number,
    near,
    number,
    one_row_each,
    positions,
    total,
)
from collateral_opt.result.checker.reserves import short_reserves


def inventory_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a holding: its asset, quantity, what is used and what is left, all exact."""
    table, holdings = facts.result.inventory, facts.book.holdings
    yield from one_row_each("inventory", "holding_id", holdings["holding_id"], table["holding_id"])
    where = np.array(positions(holdings["holding_id"], table["holding_id"]), dtype=np.int64)
    rows = np.flatnonzero(where >= 0)
    at = where[rows]
    used, left = table["used"].to_numpy(float)[rows], table["left"].to_numpy(float)[rows]
    quantity, held = table["quantity"].to_numpy(float)[rows], holdings["quantity"].to_numpy(float)[at]
    expected_used, expected_left = np.zeros(len(at)), held.copy()
    for i in np.flatnonzero(np.isin(at, list(facts.used_of_holding))):
        amount = facts.used_of_holding[int(at[i])]
        expected_used[i], expected_left[i] = float(amount), float(exact(held[i]) - amount)
    assets, own_assets = table["asset_id"].to_numpy(object)[rows], holdings["asset_id"].to_numpy(object)[at]
    checks = (
        ("asset_id", assets, own_assets),
        ("quantity", quantity, held),
        ("used", used, expected_used),
        ("left", left, expected_left),
    )
    for name, stated, expected in checks:
        for i in np.flatnonzero(stated != expected):
            holding = holdings["holding_id"].iloc[at[i]]
            yield f"holding {holding}: inventory states {name} as {stated[i]}, it is {expected[i]}."


def summary_agrees(facts: Facts) -> Iterator[str]:
    """total_cost is the unrounded sum over lines and facilities; total_shortfall, status, bound and gap fit it."""
    summary = facts.result.summary
    cost = total(facts.costs)
    size = total(abs(part) for part in facts.costs)
    total_cost = summary.get("total_cost")
    if not near(total_cost, cost, RELATIVE * (1 + size)):
        yield f"summary: total_cost is stated as {total_cost!r}, the lines come to {number(cost)}."
    shortfall = total(facts.required[c] - facts.covered[c] for c in facts.short_calls)
    stated = summary.get("total_shortfall")
    if not near(stated, shortfall, CENT * len(facts.short_calls)):
        yield f"summary: total_shortfall is stated as {stated!r}, the calls come to {number(shortfall)}."
    yield from status_agrees(facts)
    yield from gap_agrees(summary, cost)


def status_agrees(facts: Facts) -> Iterator[str]:
    """``short`` exactly when a call or a reserve is; else ``optimal`` exactly when the gap is at most ``mip_gap``."""
    summary = facts.result.summary
    status, gap = summary.get("status"), summary.get("gap")
    within = is_number(gap) and float(gap or 0) <= facts.book.settings.mip_gap + 1e-12
    missing = short_reserves(facts)
    expected = "short" if facts.short_calls or missing else "optimal" if within else "feasible"
    if status != expected:
        yield (
            f"summary: status is {status}, with {len(facts.short_calls)} short call(s), {len(missing)} short"
            f" reserve(s), a gap of {gap!r} and a mip_gap of {facts.book.settings.mip_gap!r} it is {expected}."
        )


def gap_agrees(summary: Mapping[str, Any], cost: Fraction) -> Iterator[str]:
    """lower_bound <= total_cost, and gap = (total_cost - lower_bound) / |total_cost|, to a cent of cost.

    A cost of nothing above a bound below it has no such ratio: there any gap above zero will do.
    """
    bound, gap = summary.get("lower_bound"), summary.get("gap")
    if not is_number(bound):
        if is_number(gap):
            yield f"summary: a gap of {gap!r} is stated without a lower bound."
        return
    difference = cost - exact(float(bound or 0))
    if -difference > CENT / 2 + RELATIVE * abs(cost):
        yield f"summary: lower_bound {bound!r} is above the cost of the lines, {number(cost)}."
    if not is_number(gap):
        if abs(cost) > CENT:
            yield f"summary: no gap is stated, cost {number(cost)} and lower_bound {bound!r} give one."
        return
    fits = near(float(gap or 0) * abs(float(cost)), max(difference, NOTHING), CENT + RELATIVE * abs(cost))
    if not (fits or (cost == 0 and float(gap or 0) > 0)):
        yield f"summary: gap {gap!r} does not fit cost {number(cost)} and lower_bound {bound!r}."
