"""Collateral that others have posted here: which of it is a source, and what of it is owed back."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import nextafter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import Finding
from .codes import finding, shown
from .in_flight import exact, unit_prices

if TYPE_CHECKING:
    from .book import Book
    from .checks import Draft


def reusable(received: pd.DataFrame) -> pd.Series:
    """bool[n]: lines that are a source, under their own identifier."""
    return received["reuse"] & ~received["segregated"]


def returned(received: pd.DataFrame) -> pd.Series:
    """bool[n]: lines whose return is a call of the run; the others' is none, or given back from where it lies."""
    return reusable(received) & (received["return_quantity"] > 0)


def return_schedule(received_id: str) -> str:
    """The name of the schedule that takes nothing but what was received."""
    return f"return {received_id}"


def received_holdings(received: pd.DataFrame) -> pd.DataFrame:
    """The lines that may be re-used, as rows of ``holdings``."""
    lines = received[reusable(received)]
    kept = ["asset_id", "quantity", "cost_bps", "settle_hours", "ready_at", "location"]
    return lines[kept].assign(holding_id=lines["received_id"])


def return_agreements(book: Book) -> pd.DataFrame:
    """One row of ``agreements`` a line that is owed back: only its asset, at its full value."""
    lines = book.received[returned(book.received)]
    agreements = book.agreements.set_index("agreement_id")
    columns = ["counterparty", "counterparty_parent", "location"]
    of = {column: lines["agreement_id"].map(agreements[column]) for column in columns}
    currency = dict(zip(book.assets["asset_id"], book.assets["currency"], strict=True))
    return pd.DataFrame(
        {
            "agreement_id": lines["received_id"],
            "schedule": lines["received_id"].map(return_schedule),
            "base_currency": lines["asset_id"].map(currency),
            **of,
        }
    )


def return_calls(book: Book) -> pd.DataFrame:
    """One row of ``calls`` a line that is owed back: its value, in the asset's currency, before all others."""
    lines = book.received[returned(book.received)]
    prices = unit_prices(book.assets)
    currency = dict(zip(book.assets["asset_id"], book.assets["currency"], strict=True))
    first = book.calls["priority"].min()
    zone = book.settings.as_of.tzinfo
    return pd.DataFrame(
        {
            "call_id": lines["received_id"],
            "agreement_id": lines["received_id"],
            "amount": [
                at_most(exact(quantity) * prices[asset])
                for quantity, asset in zip(lines["return_quantity"], lines["asset_id"], strict=True)
            ],
            "currency": lines["asset_id"].map(currency),
            "due": lines["return_by"],
            # The frame holds UTC; the day is that of where the book is.
            "due_date": lines["return_by"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize(),
            "priority": 0.0 if np.isnan(first) else first - 1,
        }
    )


def return_schedules(received: pd.DataFrame) -> dict[str, dict[str, object]]:
    """The schedules of :func:`return_agreements`, by name."""
    lines = received[returned(received)]
    return {
        return_schedule(identifier): {
            "name": return_schedule(identifier),
            "wrong_way": "allow",
            "rules": [{"label": "what was received", "when": {"asset_id": asset}, "haircut": 0}],
        }
        for identifier, asset in zip(lines["received_id"], lines["asset_id"], strict=True)
    }


def at_most(value: Fraction) -> float:
    """The largest float whose decimal is not above ``value``: a hair more would be owed a lot more."""
    rounded = float(value)
    return rounded if exact(rounded) <= value else nextafter(rounded, 0)


def received_findings(draft: Draft) -> Iterator[Finding]:
    """E331, E332, W603, W641, N641: names taken, more owed than received, late or odd returns, those left out."""
    table = draft.tables["received"]
    yield from _names_taken(draft)
    frame = table.frame
    over = (frame["return_quantity"] > frame["quantity"]).to_numpy() & table.known("return_quantity")
    for i in np.flatnonzero(over).tolist():
        yield finding(
            "E332",
            "received",
            row=table.rows[i],
            column="return_quantity",
            value=frame["return_quantity"].iloc[i],
            quantity=shown(frame["quantity"].iloc[i]),
        )
    owed = (frame["return_quantity"] > 0).to_numpy()
    bound = owed & ~reusable(frame).to_numpy() & table.known("reuse") & table.known("segregated")
    for i in np.flatnonzero(bound).tolist():
        value = frame["return_quantity"].iloc[i]
        yield finding("N641", "received", row=table.rows[i], column="return_quantity", value=value)
    called = owed & ~bound
    if draft.settings is not None:
        late = called & (frame["return_by"] < pd.Timestamp(draft.settings.as_of)).to_numpy()
        for i in np.flatnonzero(late).tolist():
            value = frame["return_by"].iloc[i].isoformat()
            yield finding("W603", "received", row=table.rows[i], column="return_by", value=value)
    assets = draft.frame("assets")
    lots = dict(zip(assets["asset_id"], assets["lot_size"], strict=True))
    for i in np.flatnonzero(called).tolist():
        lot, quantity = lots.get(frame["asset_id"].iloc[i], np.nan), frame["return_quantity"].iloc[i]
        if not np.isnan(lot) and exact(quantity) % exact(lot):
            yield finding(
                "W641", "received", row=table.rows[i], column="return_quantity", value=quantity, lot=shown(lot)
            )


def _names_taken(draft: Draft) -> Iterator[Finding]:
    """E331: a line is a holding of its own, and its return an agreement and a call of its own."""
    table = draft.tables["received"]
    taken: dict[str, str] = {}
    for name, column, word in (
        ("calls", "call_id", "a call"),
        ("agreements", "agreement_id", "an agreement"),
        ("holdings", "holding_id", "a holding"),
    ):
        taken |= dict.fromkeys(draft.frame(name)[column].dropna(), word)
    for i, identifier in enumerate(table.frame["received_id"]):
        if identifier is None:
            continue
        word = taken.get(identifier, "")
        if return_schedule(identifier) in draft.schedules:
            word = f"a schedule ('{return_schedule(identifier)}')"
        if word:
            yield finding("E331", "received", row=table.rows[i], column="received_id", value=identifier, word=word)
