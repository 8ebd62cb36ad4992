"""Rows of allocation and financing joined to the book by identifier, and what cannot be joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from collateral_opt.result.checker.columns import Columns
from collateral_opt.result.checker.terms import Terms

STAYING = ("keep", "recall")
"""Actions of rows about what is posted already."""


class Row(NamedTuple):
    """A row of allocation or financing joined to the book; a position is -1 where it names nothing known."""

    at: int
    place: int
    """A call, the agreement of a replacement, or the facility that takes."""
    holding: int
    producer: int
    quantity: float
    sourced: bool
    """Whether it names any source at all."""

    @property
    def usable(self) -> bool:
        """It moves something, out of one source, to a place."""
        return self.place >= 0 and (self.holding >= 0) != (self.producer >= 0) and self.is_positive

    @property
    def is_draw(self) -> bool:
        """It produces something out of nothing."""
        return self.place >= 0 and not self.sourced and self.is_positive

    @property
    def is_positive(self) -> bool:
        return math.isfinite(self.quantity) and self.quantity > 0


@dataclass(frozen=True, slots=True)
class AllocationRows:
    """The rows of allocation by what they are about."""

    lines: tuple[Row, ...]
    """To calls."""
    replacements: tuple[Row, ...]
    """To agreements, without a call."""
    staying: tuple[int, ...]
    """About what is posted: where they stand in the table."""


def sort_allocation(terms: Terms, stated: Columns) -> AllocationRows:
    """In scope ``calls`` every row is a line; else an empty call makes it a replacement, or a keep or a recall."""
    to_calls = read_rows(terms, stated, ("calls", "call_id"), "facility_id")
    if terms.book.settings.scope != "reoptimise":
        return AllocationRows(tuple(to_calls), (), ())
    to_agreements = read_rows(terms, stated, ("agreements", "agreement_id"), "facility_id")
    calls, actions = stated.texts("call_id"), stated.texts("action")
    return AllocationRows(
        lines=tuple(row for row in to_calls if calls[row.at] is not None),
        replacements=tuple(r for r in to_agreements if calls[r.at] is None and actions[r.at] not in STAYING),
        staying=tuple(at for at, call in enumerate(calls) if call is None and actions[at] in STAYING),
    )


def read_rows(terms: Terms, stated: Columns, place: tuple[str, str], producer: str) -> list[Row]:
    """Where the identifiers of each row stand in the book; ``place`` is a table and its identifier."""
    table, identifier = place
    holdings, producers = stated.texts("holding_id"), stated.texts(producer)
    columns = (
        range(stated.height),
        terms.tables[table].rows_of(identifier, stated.texts(identifier)),
        terms.tables["holdings"].rows_of("holding_id", holdings),
        terms.tables["facilities"].rows_of("facility_id", producers),
        quantities(stated),
        [holding is not None or facility is not None for holding, facility in zip(holdings, producers, strict=True)],
    )
    return list(map(Row._make, zip(*columns, strict=True)))


def quantities(stated: Columns) -> list[float]:
    """The column as floats, NaN where there is no number."""
    return [math.nan if quantity is None else float(quantity) for quantity in stated["quantity"]]


# --- what cannot be joined -------------------------------------------------------------


def name_unknown_lines(stated: Columns, rows: AllocationRows) -> Iterator[str]:
    """Rows about calls, agreements, holdings or facilities the book does not have, or with a quantity that is none."""
    for kind, column, some in (("call", "call_id", rows.lines), ("agreement", "agreement_id", rows.replacements)):
        places, holdings, facilities = map(stated.texts, (column, "holding_id", "facility_id"))
        for row in some:
            place, holding, facility = places[row.at], holdings[row.at], facilities[row.at]
            if row.usable and (holding is None) != (facility is None):
                continue
            where = f"allocation line {row.at + 1} ({kind} {place}, {source_name(holding, facility)})"
            if row.place < 0:
                yield f"{where} names {kind} {place}, which the book does not have."
            yield from name_unknown_source(where, row, holding, facility)
            if not row.sourced:
                yield f"{where} names neither a holding nor a facility."


def name_unknown_inputs(stated: Columns, rows: Iterable[Row], terms: Terms) -> Iterator[str]:
    """Financing rows about facilities or holdings the book does not have, or whose sources do not fit ``takes``."""
    facilities, holdings, producers = map(stated.texts, ("facility_id", "holding_id", "from_facility_id"))
    for row in rows:
        facility, holding, producer = facilities[row.at], holdings[row.at], producers[row.at]
        where = f"financing row {row.at + 1} (facility {facility}, {source_name(holding, producer)})"
        if row.place < 0:
            yield f"{where} names facility {facility}, which the book does not have."
        yield from name_unknown_source(where, row, holding, producer)
        if row.place >= 0 and terms.takes[row.place] is None and row.sourced:
            yield f"{where} gives something to a facility that takes nothing."
        elif row.place >= 0 and terms.takes[row.place] is not None and not row.sourced:
            yield f"{where} names neither a holding nor a facility that it takes from."


def name_unknown_source(where: str, row: Row, holding: str | None, facility: str | None) -> Iterator[str]:
    if facility is not None and row.producer < 0:
        yield f"{where} names facility {facility}, which the book does not have."
    if holding is not None and row.holding < 0:
        yield f"{where} names holding {holding}, which the book does not have."
    if holding is not None and facility is not None:
        yield f"{where} names a holding and a facility, it can come from one of them only."
    yield from name_wrong_quantity(where, row.quantity)


def name_wrong_quantity(where: str, quantity: float) -> Iterator[str]:
    if not math.isfinite(quantity):
        yield f"{where} has no quantity."
    elif quantity <= 0:
        yield f"{where} moves {quantity!r}; a quantity must be above zero."


def source_name(holding: str | None, facility: str | None) -> str:
    return f"holding {holding}" if holding is not None or facility is None else f"proceeds of {facility}"
