"""What is posted already, and what a run makes of it: what is kept, what is recalled, and what either costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd

from collateral_opt.result.checker.columns import Columns
from collateral_opt.result.checker.figures import CENT, NOTHING, exact, near, total
from collateral_opt.result.checker.movements import Position
from collateral_opt.result.checker.rows import name_wrong_quantity, quantities
from collateral_opt.result.checker.terms import Matches, Terms

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts

Key = tuple[int, int, int]
"""An agreement, an asset, and the holding it came from or -1."""


@dataclass(frozen=True, slots=True)
class PostedRow:
    """A row of posted."""

    quantity: Fraction
    locked: bool
    recall_time: pd.Timedelta
    bps: Fraction
    """What keeping it in place costs a year."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A keep or a recall in allocation."""

    row: int
    action: str
    quantity: Fraction


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Posting:
    """All rows of posted with one agreement, asset and holding, and what the result states about them."""

    name: str
    agreement: int
    asset: int
    holding: int
    rows: tuple[PostedRow, ...]
    lot: Fraction
    unit_value: Fraction
    factor: Fraction
    """Collateral factor; 0 where it counts nothing there."""
    counts: bool
    """Whether the agreement's own schedule still takes it, and it is not wrong-way."""
    stated: tuple[Stated, ...]
    kept: Fraction
    recalled: Fraction

    @property
    def quantity(self) -> Fraction:
        return total(row.quantity for row in self.rows)

    @property
    def free(self) -> list[PostedRow]:
        """The rows that may be recalled."""
        return [row for row in self.rows if not row.locked]

    @property
    def locked(self) -> Fraction:
        return total(row.quantity for row in self.rows if row.locked)

    def value(self, quantity: Fraction) -> Fraction:
        """Collateral value of so much of it."""
        return quantity * self.unit_value * self.factor

    def position(self, quantity: Fraction) -> Position:
        """So much of it as limits see it."""
        return Position(self.asset, quantity, quantity * self.unit_value, self.value(quantity))


def gather_postings(terms: Terms, matches: Matches, asset_at: Mapping[int, int], allocation: Columns,
                    staying: Sequence[int]) -> tuple[tuple[Posting, ...], tuple[str, ...]]:  # fmt: skip
    """Everything posted with the rows of allocation about it (those at ``staying``), and which of these fit nothing."""
    if not len(terms.book.posted) and not staying:
        return (), ()
    rows_of = rows_by_posting(terms)
    stated, unknown = read_staying(terms, allocation, staying, rows_of)
    stays = terms.book.settings.scope == "calls"
    found = []
    for (agreement, asset, holding), rows in rows_of.items():
        schedule, at = str(terms.cell("agreements", "schedule", agreement)), asset_at[asset]
        match = matches.of(schedule, terms.base_currency(agreement), terms.posted_margin_type(agreement))
        counts = bool(match.eligible[at]) and not terms.wrong_way(asset, terms.agreement_family(agreement), schedule)
        mine = tuple(stated.get((agreement, asset, holding), ()))
        kept, recalled = (total(s.quantity for s in mine if s.action == action) for action in ("keep", "recall"))
        there_is = total(row.quantity for row in rows)
        if float(kept) == float(there_is - recalled):
            # The last digits of several rows together may be more than a figure of the answer can show.
            kept = there_is - recalled
        posting = Posting(
            name=posting_name(terms, agreement, asset, holding),
            agreement=agreement,
            asset=asset,
            holding=holding,
            rows=tuple(rows),
            lot=terms.lot(asset),
            unit_value=terms.unit_value(asset),
            factor=match.factors[int(match.factor_code[at])] if counts else NOTHING,
            counts=counts,
            stated=mine,
            kept=there_is if stays else kept,
            recalled=recalled,
        )
        found.append(posting)
    return tuple(found), tuple(unknown)


def rows_by_posting(terms: Terms) -> Mapping[Key, list[PostedRow]]:
    keys = positions_of(terms, terms.tables["posted"])
    found: dict[Key, list[PostedRow]] = defaultdict(list)
    for row, (agreement, asset, holding) in enumerate(keys):
        found[agreement, asset, holding].append(
            PostedRow(
                exact(terms.cell("posted", "quantity", row)),
                bool(terms.cell("posted", "locked", row)),
                pd.Timedelta(hours=float(terms.cell("posted", "recall_hours", row))),
                terms.keep_bps(row, holding, asset, agreement),
            )
        )
    return found


def read_staying(
    terms: Terms, allocation: Columns, staying: Sequence[int], known: Mapping[Key, object]
) -> tuple[Mapping[Key, list[Stated]], list[str]]:
    """Keeps and recalls by what they are about, and sentences about those that are about nothing posted."""
    found: dict[Key, list[Stated]] = defaultdict(list)
    unknown: list[str] = []
    if not staying:
        return found, unknown
    agreements, assets, holdings, facilities, actions = map(
        allocation.texts, ("agreement_id", "asset_id", "holding_id", "facility_id", "action")
    )
    keys, quantity = list(positions_of(terms, allocation)), quantities(allocation)
    for at in staying:
        key = keys[at]
        where = f"allocation line {at + 1} ({actions[at]}, agreement {agreements[at]}, {assets[at]} of {holdings[at]})"
        wrong = list(name_wrong_quantity(where, quantity[at]))
        unknown += wrong
        if facilities[at] is not None:
            unknown.append(f"{where} names facility {facilities[at]}, nothing posted comes from one.")
        if key not in known or (holdings[at] is not None) != (key[2] >= 0):
            unknown.append(f"{where} is about something that is not posted.")
        elif not wrong:
            found[key].append(Stated(at, str(actions[at]), exact(quantity[at])))
    return found, unknown


def positions_of(terms: Terms, table: Columns) -> Iterator[Key]:
    """Where the agreement, the asset and the holding of each row stand in the book; -1 where they do not."""
    named = (("agreements", "agreement_id"), ("assets", "asset_id"), ("holdings", "holding_id"))
    return zip(*(terms.tables[of].rows_of(name, table.texts(name)) for of, name in named), strict=True)


def posting_name(terms: Terms, agreement: int, asset: int, holding: int) -> str:
    of = f" of holding {terms.cell('holdings', 'holding_id', holding)}" if holding >= 0 else ""
    return (
        f"agreement {terms.cell('agreements', 'agreement_id', agreement)}, posted"
        f" {terms.cell('assets', 'asset_id', asset)}{of}"
    )


# --- what it costs ---------------------------------------------------------------------


def keep_costs(terms: Terms, posting: Posting) -> tuple[Fraction, Fraction]:
    """The least and the most that keeping what is kept costs, as any row may be the one that is recalled."""
    locked = total(terms.cost(row.quantity * posting.unit_value, row.bps) for row in posting.rows if row.locked)
    by_cost = sorted(posting.free, key=lambda row: row.bps)
    return (
        locked + cost_of_first(terms, posting, by_cost),
        locked + cost_of_first(terms, posting, by_cost[::-1]),
    )


def cost_of_first(terms: Terms, posting: Posting, rows: list[PostedRow]) -> Fraction:
    """What keeping costs when rows are kept in this order, as far as what is kept goes."""
    left, cost = posting.kept - posting.locked, NOTHING
    for row in rows:
        part = max(NOTHING, min(left, row.quantity))
        cost += terms.cost(part * posting.unit_value, row.bps)
        left -= part
    return cost


def cost_of_stated(facts: Facts, posting: Posting, stated: Stated) -> tuple[Fraction, Fraction]:
    """The least and the most that a keep or a recall can cost."""
    if stated.action == "recall":
        cost = facts.terms.agreement_move_cost(posting.agreement)
        return cost, cost
    return keep_costs(facts.terms, posting)


def posted_costs(facts: Facts) -> Iterator[tuple[Fraction, Fraction]]:
    """What each keep and recall costs and how far that may be off: where it is open, what is stated decides."""
    if not any(posting.stated for posting in facts.postings):
        return
    costs = facts.stated["allocation"]["cost"]
    for posting in facts.postings:
        for stated in posting.stated:
            low, high = cost_of_stated(facts, posting, stated)
            if low == high or not near(costs[stated.row], (low + high) / 2, (high - low) / 2):
                yield low, high - low
            else:
                yield exact(costs[stated.row]), CENT / 2
