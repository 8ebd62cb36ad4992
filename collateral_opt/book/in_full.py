"""The book in full: what was received and what was sent, put into holdings, agreements, calls and pins.

Everything after the book reads these tables alone, and so needs to know nothing of received collateral or of
instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd

from . import received
from .in_flight import disputed_by_source, exact, pins_in_full, sent_by_pair, unit_prices
from .tables import normalise

if TYPE_CHECKING:
    from .book import Book


def in_full(book: Book) -> Book:
    """``book`` without rows in ``received`` and ``instructions``, and with what they come to.

    Of what was received, a line that may be re-used and is not segregated is a holding under its own identifier;
    what is owed back of it is a call of that identifier, at an agreement of that identifier, which takes its asset
    alone, at full value and before all other calls.

    Of what was sent, instructed and settled quantities are pinned (``at_least``, ``sent``), rejected pairs are
    forbidden, disputed quantities leave their holding (their facility's capacity) and their pairs are forbidden;
    where part of a pair is left alone and part of it rejected or disputed, the pin is exact.

    Identifiers and findings are the book's.
    """
    sent = sent_by_pair(book.instructions)
    holdings, facilities = disputed_by_source(sent)
    capacity_used = {
        facility: quantity * unit_prices(book.assets)[gives]
        for facility, gives in zip(book.facilities["facility_id"], book.facilities["gives"], strict=True)
        if (quantity := facilities.get(facility))
    }
    held = _with_rows("holdings", book.holdings, received.received_holdings(book.received))
    calls = _with_rows("calls", book.calls, received.return_calls(book))
    full = book.replace(
        schedules=received.return_schedules(book.received),
        holdings=_less(held, "holding_id", "quantity", holdings),
        facilities=_less(book.facilities, "facility_id", "capacity", capacity_used),
        agreements=_with_rows("agreements", book.agreements, received.return_agreements(book)),
        calls=calls,
        pins=pins_in_full(book.pins, sent),
        received=book.received.iloc[:0],
        instructions=book.instructions.iloc[:0],
    )
    # Checked again, a due date would be the day in UTC.
    return replace(full, calls=full.calls.assign(due_date=calls["due_date"]), findings=book.findings)


def _with_rows(name: str, frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """``frame`` and after it ``rows``, their other columns at their defaults."""
    if not len(rows):
        return frame
    table, _ = normalise(name, rows)
    return pd.concat([frame, table.frame], ignore_index=True)


def _less(frame: pd.DataFrame, key: str, column: str, amounts: Mapping[str, Fraction]) -> pd.DataFrame:
    """``frame`` with ``column`` smaller by what ``amounts`` says of each ``key``."""
    if not amounts:
        return frame
    left = [
        value if name not in amounts else float(exact(value) - amounts[name])
        for name, value in zip(frame[key], frame[column], strict=True)
    ]
    return frame.assign(**{column: left})
