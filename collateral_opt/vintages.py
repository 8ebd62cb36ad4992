"""What it would mean for a book if a schedule were another: which of its assets feel the difference, and what is held.

The other may be a later vintage, a draft of an amendment, or what the counterparty proposes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.terminal import printable
from eligibility_rules import Context, Facts, Schedule, ScheduleError
from eligibility_rules.differences import (
    AssetDifference,
    Difference,
    alike,
    asset_differences,
    counts_text,
    differences,
    group_head,
    names_lines,
    said_text,
)
from eligibility_rules.naming import two_schedules
from eligibility_rules.problems import did_you_mean


@dataclass(frozen=True)
class Felt:
    """An asset of the book that the schedules treat differently, and its market value there, in base currency.

    `held` is in the firm's holdings, `posted` at the agreements that trade under the first schedule by its name.
    """

    difference: AssetDifference
    held: float
    posted: float

    @property
    def worth(self) -> float:
        """All of it."""
        return self.held + self.posted


@dataclass(frozen=True)
class Vintages:
    """Two schedules, as they were named, compared over a book: what they say otherwise, and the assets that feel it.

    What is worth most comes first; the values are in `currency`, the book's base currency.
    """

    names: tuple[str, str]
    before: Schedule
    after: Schedule
    currency: str
    said: tuple[Difference, ...]
    felt: tuple[Felt, ...]


def compare_schedules(
    book: Book, before: str, after: str, *, base_currency: str | None = None, margin_type: str | None = None
) -> Vintages:
    """Compare two schedules, each of the book, published or a file, over all assets of the book.

    Collateral is counted in `base_currency` (the book's). Raises UsageError for a schedule that is not there or does
    not read on the book's assets, and for a currency that the book does not know.
    """
    settings = book.settings
    counted_in = base_currency or settings.base_currency
    if counted_in not in book.rates:
        remedy = did_you_mean(counted_in, book.rates) or f"There are {', '.join(sorted(book.rates))}"
        raise UsageError(f"--base-currency: the book knows no currency {counted_in!r}. {remedy}")
    context = Context(settings.as_of.date(), counted_in, margin_type=margin_type, owner_parent=settings.owner_parent)
    try:
        old, new = two_schedules(before, after, book.schedules)
        found = asset_differences(old, new, Facts(book.assets), context)
    except ScheduleError as error:
        raise UsageError(str(error)) from None
    under = book.agreements.loc[book.agreements["schedule"] == before, "agreement_id"]
    held = _values(book, book.holdings)
    posted = _values(book, book.posted[book.posted["agreement_id"].isin(under)])
    felt = [Felt(one, held.get(one.asset_id, 0.0), posted.get(one.asset_id, 0.0)) for one in found]
    felt.sort(key=lambda one: (-one.worth, one.difference.asset_id))
    return Vintages((before, after), old, new, settings.base_currency, differences(old, new), tuple(felt))


def _values(book: Book, positions: pd.DataFrame) -> dict[str, float]:
    """Market value of each asset among the positions, in base currency: a book knows the price of what is there."""
    value = dict(zip(book.assets["asset_id"], book.unit_values.tolist(), strict=True))
    quantities = positions.groupby("asset_id", sort=False)["quantity"].sum()
    return {str(asset): float(quantity * value[asset]) for asset, quantity in quantities.items()}


def vintages_text(found: Vintages) -> str:
    """What differs, then the assets that feel the same together, with what is held and posted of each."""
    lines = [f"{printable(found.names[0])} -> {printable(found.names[1])}", "", *said_text(found.said)]
    lines += ["", counts_text([one.difference for one in found.felt])]
    for group in alike(found.felt, lambda one: one.difference, lambda one: one.worth):
        there = [one for one in group if one.worth]
        others = [one.difference.asset_id for one in group if not one.worth]
        total = f", {_worth(there)} {found.currency}" if there else ", none held"
        lines += group_head(group[0].difference, len(group), total)
        lines += [f"      {printable(one.difference.asset_id)}: {_worth([one])}" for one in there]
        lines += names_lines(others, "none held: " if there else "") if others else []
    return "\n".join(lines)


def _worth(there: Sequence[Felt]) -> str:
    """`held 1,136,800.00, posted 500.00`, each where there is any."""
    sums = {"held": math.fsum(one.held for one in there), "posted": math.fsum(one.posted for one in there)}
    return ", ".join(f"{word} {value:,.2f}" for word, value in sums.items() if value)
