"""Rules about what a run left and comes to: the inventory and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

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
    total,
)
from collateral_opt.result.checker.reserves import short_reserves


def inventory_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a holding: its asset, quantity, what comes back, what is used and what is left, all exact."""
    table, holdings = facts.stated["inventory"], facts.terms.tables["holdings"]
    yield from one_row_each("inventory", "holding_id", holdings["holding_id"], table["holding_id"])
    nothing = [0.0] * holdings.height
    true = {
        "asset_id": holdings["asset_id"],
        "quantity": holdings["quantity"],
        "recalled": replaced(nothing, facts.recalled_into),
        "used": replaced(nothing, facts.used_of_holding),
        "left": replaced(holdings["quantity"], facts.left_of_holding),
    }
    rows = holdings.rows_of("holding_id", table["holding_id"])
    for name, expected in true.items():
        for stated, holding in zip(table[name], rows, strict=True):
            if holding >= 0 and stated != expected[holding]:
                identifier = holdings["holding_id"][holding]
                yield f"holding {identifier}: inventory states {name} as {stated}, it is {expected[holding]}."


def replaced(figures: Sequence[float], by: Mapping[int, Fraction]) -> list[float]:
    """The figures, with others in some places."""
    found = list(figures)
    for place, figure in by.items():
        found[place] = figure.numerator / figure.denominator
    return found


def moves_keep_to_their_cap(facts: Facts) -> Iterator[str]:
    """Deliveries and recalls together are at most ``max_moves``, and as many as the summary counts."""
    moves = sum(action in ("deliver", "recall") for action in facts.stated["allocation"].texts("action"))
    most = facts.book.settings.max_moves
    if most is not None and moves > most:
        yield f"allocation: {moves} deliveries and recalls, at most {most} may be."
    stated = (facts.result.summary.get("counts") or {}).get("moves")
    if stated != moves:
        yield f"summary: {stated!r} moves are counted, there are {moves}."


def summary_agrees(facts: Facts) -> Iterator[str]:
    """total_cost is the unrounded sum over rows and facilities; total_shortfall, status, bound and gap fit it."""
    summary = facts.result.summary
    paid = total(cost for cost, _ in facts.costs if cost.numerator > 0)
    earned = total(cost for cost, _ in facts.costs if cost.numerator < 0)
    cost, size, doubt = paid + earned, paid - earned, total(doubt for _, doubt in facts.costs if doubt)
    total_cost = summary.get("total_cost")
    if not near(total_cost, cost, RELATIVE * (1 + size) + doubt):
        yield f"summary: total_cost is stated as {total_cost!r}, the lines come to {number(cost)}."
    shortfall = total(-facts.surplus[call] for call in facts.short_calls)
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
