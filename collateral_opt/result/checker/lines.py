"""Rules about what is handed over: what lines name, lots and minimums, eligibility, time, figures, and cover."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import pandas as pd

from collateral_opt.result.checker.baskets import holds_others_in
from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import (
    CENT,
    HAIRCUT_TOLERANCE,
    HALF_A_CENT,
    NOTHING,
    near,
    number,
    one_row_each,
    strays,
    to_the_cent,
)
from collateral_opt.result.checker.movements import Movement
from collateral_opt.result.checker.pins import pin_of

FIGURES = ("market_value", "collateral_value", "cost")


def rows_name_what_the_book_has(facts: Facts) -> Iterator[str]:
    """Every row of allocation and financing names what exists, and a quantity above zero."""
    yield from facts.unknown


def lines_fit_what_they_name(facts: Facts) -> Iterator[str]:
    """The asset is the holding's or what the facility gives, the agreement the call's; one line a pair."""
    table, identifiers = facts.stated["allocation"], facts.terms.tables["agreements"]["agreement_id"]
    agreements = table.texts("agreement_id")
    yield from assets_fit(facts, facts.deliveries, table.texts("asset_id"))
    for line in facts.lines:
        agreement = str(identifiers[line.agreement])
        if agreements[line.row] != agreement:
            yield f"{line.name}: the line's agreement is {agreements[line.row]}, the call's is {agreement}."
    seen: set[tuple[int, int, int, int]] = set()
    for line in facts.deliveries:
        pair = (line.call, line.agreement, line.holding, line.producer)
        if pair in seen:
            yield f"{line.name}: the pair has more than one line."
        seen.add(pair)


def assets_fit(facts: Facts, movements: tuple[Movement, ...], stated: list[str | None]) -> Iterator[str]:
    """The asset a row states is its source's."""
    identifiers = facts.terms.tables["assets"]["asset_id"]
    for movement in movements:
        asset = str(identifiers[movement.asset])
        if stated[movement.row] != asset:
            source = "holding's" if movement.holding >= 0 else "facility's"
            yield f"{movement.name}: the line's asset is {stated[movement.row]}, the {source} is {asset}."


def lines_deliver(facts: Facts) -> Iterator[str]:
    """What goes to a call, or to an agreement in place of something else, is a delivery."""
    actions = facts.stated["allocation"].texts("action")
    for line in facts.deliveries:
        if actions[line.row] != "deliver":
            yield f"{line.name}: the action is {actions[line.row]}, of a line it must be deliver."


def movements_are_whole_lots(facts: Facts) -> Iterator[str]:
    """quantity = n * lot size, n whole."""
    for movement in facts.movements:
        over = movement.over_lots
        if over:
            yield (
                f"{movement.name}: quantity {number(movement.quantity)} is not a whole number of lots of"
                f" {number(movement.lot)} ({number(over)} over)."
            )


def movements_reach_the_minimum_denomination(facts: Facts) -> Iterator[str]:
    """quantity >= the asset's ``min_denomination``, where that is known."""
    for movement in facts.movements:
        least = facts.terms.minimum_denomination(movement.asset)
        if least and movement.quantity < least:
            quantity = number(movement.quantity)
            yield f"{movement.name}: quantity {quantity} is below the minimum denomination of {number(least)}."


def lines_reach_the_minimum_line_value(facts: Facts) -> Iterator[str]:
    """market value >= the agreement's ``min_line_value``."""
    for line in facts.deliveries:
        least = facts.terms.minimum_line_value(line.agreement)
        if least and line.market_value < least:
            yield (
                f"{line.name}: market value {number(line.market_value)} is below the agreement's minimum line"
                f" of {number(least)}."
            )


def calls_keep_to_their_line_cap(facts: Facts) -> Iterator[str]:
    """At most ``max_lines`` distinct assets a call."""
    caps = facts.terms.tables["agreements"]["max_lines"]
    for call, lines in facts.lines_of_call.items():
        cap = caps[facts.terms.agreement_of_call[call]]
        count = len({line.asset for line in lines})
        if not math.isnan(cap) and count > cap:
            yield f"{call_name(facts, call)}: {count} distinct assets are delivered, at most {cap:g} may be."


def movements_are_eligible(facts: Facts) -> Iterator[str]:
    """The schedule in force for the call, or the facility's ``takes``, takes the asset."""
    for movement in facts.movements:
        if movement.factor is None:
            asset = facts.terms.cell("assets", "asset_id", movement.asset)
            yield f"{movement.name}: schedule {movement.schedule} does not take {asset}: {movement.refusal}"


def movements_are_not_wrong_way(facts: Facts) -> Iterator[str]:
    """No asset of the counterparty's own family, unless the schedule allows it."""
    for movement in facts.movements:
        if facts.terms.wrong_way(movement.asset, movement.taker, movement.schedule):
            asset = facts.terms.cell("assets", "asset_id", movement.asset)
            yield f"{movement.name}: wrong-way, {asset} is issued inside the family of {counterparty(facts, movement)}."


def counterparty(facts: Facts, movement: Movement) -> str:
    if movement.facility >= 0:
        return str(facts.terms.cell("facilities", "counterparty", movement.facility))
    return str(facts.terms.cell("agreements", "counterparty", movement.agreement))


def movements_arrive_in_time(facts: Facts) -> Iterator[str]:
    """Arrival is not after the call's due, nor, of a holding, after the facility opens.

    A holding arrives settle_hours after its movement starts, proceeds at as_of + access_hours. What may have been
    recalled has a rule of its own.
    """
    terms = facts.terms
    for movement in facts.movements:
        if movement.facility >= 0 and movement.producer >= 0:
            continue  # that is a matter of order: see facilities_take_from_earlier_ones
        if movement.holding in facts.recalled_into:
            continue
        deadline = facts.deadline(movement)
        if deadline is None:
            continue
        arrives = terms.arrives(movement.holding) if movement.holding >= 0 else terms.opens(movement.producer)
        if arrives > deadline:
            event = "the call is due" if movement.call >= 0 else "the facility opens"
            yield f"{movement.name}: arrives {arrives}, {event} {deadline} ({arrives - deadline} late)."


def movements_outlive_their_use(facts: Facts) -> Iterator[str]:
    """The asset does not mature before the call's due date (without a deadline: before ``as_of``'s date).

    For a facility: before the day on which it opens.
    """
    terms = facts.terms
    today = pd.Timestamp(facts.book.settings.as_of.date())
    due, maturities = terms.tables["calls"]["due_date"], terms.tables["assets"]["maturity_date"]
    for movement in facts.movements:
        maturity = maturities[movement.asset]
        if maturity is pd.NaT:
            continue
        if movement.facility >= 0:
            until = terms.opening_day(movement.facility)
        else:
            until = today if movement.call < 0 or due[movement.call] is pd.NaT else due[movement.call]
        if maturity < until:
            yield f"{movement.name}: the asset matures {maturity.date()}, before {until.date()}."


def line_figures_agree(facts: Facts) -> Iterator[str]:
    """haircut = 1 - f unrounded; market value, collateral value and cost to the cent."""
    table, lines = facts.stated["allocation"], facts.deliveries
    rows = [line.row for line in lines]
    # A line that the schedule refuses has no true haircut: that is the finding, and whatever is stated passes below.
    haircuts = [line.haircut or NOTHING for line in lines]
    wrong = strays([table["haircut"][row] for row in rows], haircuts, HAIRCUT_TOLERANCE)
    for name in FIGURES:
        wrong |= strays([table[name][row] for row in rows], [getattr(line, name) for line in lines], HALF_A_CENT)
    for line in (lines[at] for at in sorted(wrong)):
        yield from haircut_agrees(line, table["haircut"][line.row])
        for name in FIGURES:
            yield from to_the_cent(line.name, name, table[name][line.row], getattr(line, name))


def haircut_agrees(movement: Movement, stated: float) -> Iterator[str]:
    if movement.haircut is not None and not near(stated, movement.haircut, HAIRCUT_TOLERANCE):
        yield f"{movement.name}: haircut is stated as {stated!r}, it is {number(movement.haircut)}."


def holdings_suffice(facts: Facts) -> Iterator[str]:
    """What leaves a holding, to agreements and facilities together, is at most its quantity and what comes back."""
    for holding, left in sorted(facts.left_of_holding.items()):
        if left.numerator < 0:
            name, used = facts.terms.cell("holdings", "holding_id", holding), facts.used_of_holding[holding]
            yield f"holding {name}: {number(used)} is delivered of {number(left + used)}, {number(-left)} too much."


def calls_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a call: required, covered, shortfall, excess as recomputed; no shortfall is rounded away."""
    stated, calls = facts.stated["calls"], facts.terms.tables["calls"]
    yield from one_row_each("calls", "call_id", calls["call_id"], stated["call_id"])
    for row, call in enumerate(calls.rows_of("call_id", stated["call_id"])):
        if call < 0:
            continue
        name, required, covered = call_name(facts, call), facts.required[call], facts.covered[call]
        excess, is_short = stated["excess"][row], facts.surplus[call].numerator < 0
        yield from to_the_cent(name, "required", stated["required"][row], required)
        yield from to_the_cent(name, "covered", stated["covered"][row], covered)
        yield from to_the_cent(name, "excess", excess, NOTHING if is_short else facts.surplus[call])
        yield from shortfall_agrees(name, stated["shortfall"][row], required, covered)
        if is_short and excess != 0:
            yield f"{name}: a short call cannot have an excess, {excess!r} is stated."


def shortfall_agrees(name: str, stated: float, required: Fraction, covered: Fraction) -> Iterator[str]:
    """shortfall = max(0, required - covered), to the cent; part of a cent is never rounded to zero."""
    shortfall = max(NOTHING, required - covered)
    if shortfall > 0 and stated == 0:
        yield (
            f"{name}: no shortfall is stated, but {number(covered)} covers {number(required)} only up to"
            f" {number(shortfall)}."
        )
    elif shortfall == 0 and stated != 0:
        yield f"{name}: a shortfall of {stated!r} is stated, the call is covered."
    elif not near(stated, shortfall, CENT):
        yield f"{name}: shortfall is stated as {stated!r}, it is {number(shortfall)}."


def excess_is_below_one_lot(facts: Facts) -> Iterator[str]:
    """With the call still covered no line can shrink by a lot, nor one at its minimum be dropped.

    Unless a share of what is posted would break without it: cover comes first, and the excess is what that takes.
    """
    for call, lines in sorted(facts.lines_of_call.items()):
        excess = facts.surplus[call]
        if excess.numerator <= 0:
            continue
        for line in lines:
            if line.lot_exceeds(excess):
                continue
            spare = least_reduction(facts, line)
            if spare is None or not 0 < spare <= excess:
                continue
            if not holds_others_in(facts, line, line.quantity * spare / line.collateral_value):
                yield (
                    f"{line.name}: the call is covered with {number(excess)} to spare, taking {number(spare)}"
                    " off this line would still cover it."
                )


def least_reduction(facts: Facts, line: Movement) -> Fraction | None:
    """Collateral value of the smallest step down a line may take: a lot, else all of it; None if a pin holds it."""
    pin = pin_of(facts, line)
    if pin is not None and pin.quantity is not None:
        return None
    left = line.quantity - line.lot
    least = facts.terms.minimum_line_value(line.agreement)
    enough = not least or left * facts.terms.unit_value(line.asset) >= least
    enough = enough and (pin is None or left >= pin.at_least)
    if left > 0 and enough and left >= facts.terms.minimum_denomination(line.asset):
        return line.lot_value
    return line.collateral_value if pin is None else None


def call_name(facts: Facts, call: int) -> str:
    return f"call {facts.terms.cell('calls', 'call_id', call)}"
