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
    texts,
    total,
)
from collateral_opt.result.checker.reserves import short_reserves


def inventory_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a holding: its asset, quantity, what comes back, what is used and what is left, all exact."""
    table, holdings = facts.result.inventory, facts.book.holdings
    yield from one_row_each("inventory", "holding_id", holdings["holding_id"], table["holding_id"])
    where = np.array(positions(holdings["holding_id"], table["holding_id"]), dtype=np.int64)
    rows = np.flatnonzero(where >= 0)
    at = where[rows]
    used, left, recalled = (table[name].to_numpy(float)[rows] for name in ("used", "left", "recalled"))
    quantity, held = table["quantity"].to_numpy(float)[rows], holdings["quantity"].to_numpy(float)[at]
    expected_used, expected_left, expected_recalled = np.zeros(len(at)), held.copy(), np.zeros(len(at))
    for i in np.flatnonzero(np.isin(at, [*facts.used_of_holding, *facts.recalled_into])):
        out, back = (amounts.get(int(at[i]), NOTHING) for amounts in (facts.used_of_holding, facts.recalled_into))
        expected_used[i], expected_recalled[i] = float(out), float(back)
        expected_left[i] = float(exact(held[i]) - out + back if back else exact(held[i]) - out)
    assets, own_assets = table["asset_id"].to_numpy(object)[rows], holdings["asset_id"].to_numpy(object)[at]
    checks = (
        ("asset_id", assets, own_assets),
        ("quantity", quantity, held),
        ("recalled", recalled, expected_recalled),
        ("used", used, expected_used),
        ("left", left, expected_left),
    )
    for name, stated, expected in checks:
        for i in np.flatnonzero(stated != expected):
            holding = holdings["holding_id"].iloc[at[i]]
            yield f"holding {holding}: inventory states {name} as {stated[i]}, it is {expected[i]}."


def moves_keep_to_their_cap(facts: Facts) -> Iterator[str]:
    """Deliveries and recalls together are at most ``max_moves``, and as many as the summary counts."""
    moves = sum(action in ("deliver", "recall") for action in texts(facts.result.allocation["action"]))
    most = facts.book.settings.max_moves
    if most is not None and moves > most:
        yield f"allocation: {moves} deliveries and recalls, at most {most} may be."
    stated = (facts.result.summary.get("counts") or {}).get("moves")
    if stated != moves:
        yield f"summary: {stated!r} moves are counted, there are {moves}."


def summary_agrees(facts: Facts) -> Iterator[str]:
    """total_cost is the unrounded sum over rows and facilities; total_shortfall, status, bound and gap fit it."""
    summary = facts.result.summary
    cost, doubt = total(cost for cost, _ in facts.costs), total(doubt for _, doubt in facts.costs)
    size = total(abs(cost) for cost, _ in facts.costs)
    total_cost = summary.get("total_cost")
    if not near(total_cost, cost, RELATIVE * (1 + size) + doubt):
        yield f"summary: total_cost is stated as {total_cost!r}, the lines come to {number(cost)}."
    shortfall = total(facts.required[c] - facts.covered[c] for c in facts.short_calls)
    shortfall += total(account.shortfall for account in facts.short_accounts)
    stated = summary.get("total_shortfall")
    if not near(stated, shortfall, CENT * (len(facts.short_calls) + len(facts.short_accounts))):
        yield f"summary: total_shortfall is stated as {stated!r}, the rows come to {number(shortfall)}."
    yield from status_agrees(facts)
    yield from gap_agrees(summary, cost, doubt)


def status_agrees(facts: Facts) -> Iterator[str]:
    """``short`` exactly when a call, an agreement or a reserve is; else ``optimal`` up to a gap of ``mip_gap``."""
    summary = facts.result.summary
    status, gap = summary.get("status"), summary.get("gap")
    within = is_number(gap) and float(gap or 0) <= facts.book.settings.mip_gap + 1e-12
    missing = short_reserves(facts)
    is_short = facts.short_calls or facts.short_accounts or missing
    expected = "short" if is_short else "optimal" if within else "feasible"
    if status != expected:
        yield (
            f"summary: status is {status}, with {len(facts.short_calls)} short call(s), {len(facts.short_accounts)}"
            f" short agreement(s), {len(missing)} short reserve(s), a gap of {gap!r} and a mip_gap of"
            f" {facts.book.settings.mip_gap!r} it is {expected}."
        )


def gap_agrees(summary: Mapping[str, Any], cost: Fraction, doubt: Fraction) -> Iterator[str]:
    """lower_bound <= total_cost, and gap = (total_cost - lower_bound) / |total_cost|, to a cent of cost and ``doubt``.

    A cost of nothing above a bound below it has no such ratio: there any gap above zero will do.
    """
    bound, gap = summary.get("lower_bound"), summary.get("gap")
    if not is_number(bound):
        if is_number(gap):
            yield f"summary: a gap of {gap!r} is stated without a lower bound."
        return
    difference = cost - exact(float(bound or 0))
    if -difference > CENT / 2 + RELATIVE * abs(cost) + doubt:
        yield f"summary: lower_bound {bound!r} is above the cost of the lines, {number(cost)}."
    if not is_number(gap):
        if abs(cost) > CENT:
            yield f"summary: no gap is stated, cost {number(cost)} and lower_bound {bound!r} give one."
        return
    fits = near(float(gap or 0) * abs(float(cost)), max(difference, NOTHING), CENT + RELATIVE * abs(cost) + doubt)
    if not (fits or (cost == 0 and float(gap or 0) > 0)):
        yield f"summary: gap {gap!r} does not fit cost {number(cost)} and lower_bound {bound!r}."
