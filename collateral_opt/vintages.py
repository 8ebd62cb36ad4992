"""What it would mean for a book if a schedule were another: which of its assets feel the difference, and what is held.

The other may be a later vintage, a draft of an amendment, or what the counterparty proposes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.terminal import printable
from eligibility_rules import Context, Facts, Schedule, ScheduleError
from eligibility_rules.differences import AssetDifference, Difference, asset_differences, counts_text, differences
from eligibility_rules.naming import schedule_named


@dataclass(frozen=True)
class Felt:
    """An asset of the book that the schedules treat differently, and what of it is held, in base currency.

    `held` is NaN where a price or rate is unknown.
    """

    difference: AssetDifference
    held: float


@dataclass(frozen=True)
class Vintages:
    """Two schedules compared over a book: what they say otherwise, and the assets that feel it, most held first."""

    before: Schedule
    after: Schedule
    said: tuple[Difference, ...]
    felt: tuple[Felt, ...]


def compare_schedules(
    book: Book, before: str, after: str, *, base_currency: str | None = None, margin_type: str | None = None
) -> Vintages:
    """Compare two schedules, each of the book, published or a file, over all assets of the book.

    Collateral is counted in `base_currency` (the book's). Raises UsageError for a schedule that is not there or does
    not read on the book's assets.
    """
    settings = book.settings
    context = Context(
        settings.as_of.date(),
        base_currency or settings.base_currency,
        margin_type=margin_type,
        owner_parent=settings.owner_parent,
    )
    try:
        old, new = (book.schedules.get(name) or schedule_named(name) for name in (before, after))
        found = asset_differences(old, new, Facts(book.assets), context)
    except ScheduleError as error:
        raise UsageError(str(error)) from None
    held = _held(book)
    felt = [Felt(one, held.get(one.asset_id, 0.0)) for one in found]
    felt.sort(key=lambda one: (-np.nan_to_num(one.held, nan=np.inf), one.difference.asset_id))
    return Vintages(old, new, differences(old, new), tuple(felt))


def _held(book: Book) -> dict[str, float]:
    """Market value of what is held of each asset, in base currency."""
    value = dict(zip(book.assets["asset_id"], book.unit_values.tolist(), strict=True))
    quantities = book.holdings.groupby("asset_id", sort=False)["quantity"].sum()
    return {str(asset): quantity * value[asset] for asset, quantity in quantities.items()}


def vintages_text(found: Vintages) -> str:
    """What differs, then the assets line by line with what is held of each."""
    lines = [f"{printable(found.before.name)} -> {printable(found.after.name)}", ""]
    lines += [printable(one) for one in found.said] or ["The schedules say the same."]
    lines += ["", f"Assets: {counts_text([one.difference for one in found.felt])}"]
    lines += [f"  {printable(one.difference)} {_held_text(one.held)}" for one in found.felt]
    return "\n".join(lines)


def _held_text(held: float) -> str:
    return "Held, at an unknown value." if np.isnan(held) else f"Held: {held:,.2f}." if held else "None held."
