"""Rules about what is posted: all of it is kept or recalled, within what may be, at its own figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import CENT, HAIRCUT_TOLERANCE, NOTHING, near, number, to_the_cent
from collateral_opt.result.checker.posted import Posting, cost_of_stated


def what_is_posted_is_kept_or_recalled(facts: Facts) -> Iterator[str]:
    """kept + recalled = posted for each agreement, asset and holding, in one row each."""
    if facts.book.settings.scope != "reoptimise":
        return
    for posting in facts.postings:
        for action in ("keep", "recall"):
            count = sum(stated.action == action for stated in posting.stated)
            if count > 1:
                yield f"{posting.name}: {count} rows {action} it, one may."
        if abs(posting.kept + posting.recalled - posting.quantity) > posting.quantity / 10**15:
            yield (
                f"{posting.name}: {number(posting.kept)} is kept and {number(posting.recalled)} is recalled of"
                f" {number(posting.quantity)}."
            )


def locked_rows_stay(facts: Facts) -> Iterator[str]:
    """No more is recalled than is not locked, as far as a figure can show what several rows are together."""
    for posting in facts.postings:
        free = posting.quantity - posting.locked
        if float(posting.recalled) > float(free):
            yield f"{posting.name}: {number(posting.recalled)} is recalled, only {number(free)} of it is not locked."


def recalls_are_whole_rows_or_lots(facts: Facts) -> Iterator[str]:
    """What is recalled is made of whole rows of posted, and of parts of other rows in whole lots."""
    for posting in facts.postings:
        most = sum(row.quantity // posting.lot for row in posting.free)
        if posting.recalled and not any(
            is_shown_as_recalled(posting, odd, least, most) for odd, least in parts_over_lots(posting).items()
        ):
            yield (
                f"{posting.name}: {number(posting.recalled)} is recalled, which whole rows and whole lots of"
                f" {number(posting.lot)} do not make."
            )


def is_shown_as_recalled(posting: Posting, odd: Fraction, least: int, most: int) -> bool:
    """Whether ``odd`` and from ``least`` to ``most`` lots are what is recalled, as far as a figure can show them."""
    lots = min(max(round((posting.recalled - odd) / posting.lot), least), most)
    return float(odd + lots * posting.lot) == float(posting.recalled)


def parts_over_lots(posting: Posting) -> Mapping[Fraction, int]:
    """What some whole rows come to over whole lots, and the fewest lots that are recalled with it."""
    found = {NOTHING: 0}
    for row in posting.free:
        lots, odd = divmod(row.quantity, posting.lot)
        if not odd:
            continue
        for over, least in list(found.items()):
            if float(over + odd) <= float(posting.recalled):
                found[over + odd] = min(found.get(over + odd, least + lots), least + lots)
    return found


def posted_figures_agree(facts: Facts) -> Iterator[str]:
    """haircut = 1 - f unrounded, 1 where it counts nothing; market value, collateral value and cost to the cent."""
    columns = facts.stated["allocation"]
    for posting in facts.postings:
        for stated in posting.stated:
            name, row = f"{posting.name}, {stated.action}", stated.row
            if not near(columns["haircut"][row], 1 - posting.factor, HAIRCUT_TOLERANCE):
                yield f"{name}: haircut is stated as {columns['haircut'][row]!r}, it is {number(1 - posting.factor)}."
            position = posting.position(stated.quantity)
            yield from to_the_cent(name, "market_value", columns["market_value"][row], position.market_value)
            yield from to_the_cent(
                name, "collateral_value", columns["collateral_value"][row], position.collateral_value
            )
            low, high = cost_of_stated(facts, posting, stated)
            if low == high:
                yield from to_the_cent(name, "cost", columns["cost"][row], low)
            elif not near(columns["cost"][row], (low + high) / 2, (high - low) / 2 + CENT / 2):
                between = f"it lies between {number(low)} and {number(high)}"
                yield f"{name}: cost is stated as {columns['cost'][row]!r}, {between}."
