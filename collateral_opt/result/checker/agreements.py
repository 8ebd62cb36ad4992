"""Rules about agreements in scope ``reoptimise``: the table that states them, and how far replacements may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from collateral_opt.result.checker.baskets import holds_others_in
from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import number, to_the_cent
from collateral_opt.result.checker.lines import shortfall_agrees
from collateral_opt.result.checker.movements import Movement

FIGURES = ("required", "posted", "kept", "recalled", "delivered", "excess")


def agreements_table_agrees(facts: Facts) -> Iterator[str]:
    """One row for each agreement that holds or needs anything besides its calls; no shortfall is rounded away."""
    table = facts.stated["agreements"]
    by_name = {account.identifier: account for account in facts.accounts.values()}
    names = table.texts("agreement_id")
    counts = Counter(names)
    for account in by_name.values():
        count = counts[account.identifier]
        if count > 1 or (count == 0 and (account.holds or account.required > 0)):
            yield f"agreements: agreement_id {account.identifier} has {count} rows, it must have one."
    for row, name in enumerate(names):
        found = by_name.get(str(name))
        if found is None:
            yield f"agreements: agreement_id {name} has nothing posted and needs nothing besides its calls."
            continue
        for figure in FIGURES:
            yield from to_the_cent(found.name, figure, table[figure][row], getattr(found, figure))
        yield from shortfall_agrees(found.name, table["shortfall"][row], found.required, found.after)


def replacements_stay_below_one_lot(facts: Facts) -> Iterator[str]:
    """With a replacement, less is there than what was posted or is required and one more lot of the largest.

    Unless a share of what is posted would break without each of them.
    """
    for account in facts.accounts.values():
        lines = [line for line in facts.delivered_to.get(account.agreement, ()) if line.call < 0 and line.factor]
        over = account.after - max(account.required, account.posted)
        if not lines or over < max(least_step(facts, line) for line in lines):
            continue
        if not all(holds_others_in(facts, line, min(line.lot, line.quantity)) for line in lines):
            yield (
                f"{account.name}: {number(account.after)} is kept and delivered where {number(account.required)} is"
                f" required and {number(account.posted)} was posted; a lot less would do."
            )


def least_step(facts: Facts, line: Movement) -> Fraction:
    """Collateral value of the least that a replacement like this one delivers."""
    quantity = facts.terms.least_quantity(line.asset, line.agreement)
    return line.collateral_value * quantity / line.quantity
