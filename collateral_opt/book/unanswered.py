"""What a book may ask that this version does not answer: said before a run, never passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Finding
from .codes import finding

if TYPE_CHECKING:
    from .book import Book

_TABLES = {
    "facilities": "facilities",
    "reserves": "reserves",
    "pins": "pins",
}


def unanswered(book: Book) -> list[Finding]:
    """E801 for whatever would change the answer, W801 for what is only left out of it."""
    found = [
        finding("E801", table, value=what, remedy="Remove the table to answer the rest of the book.")
        for table, what in _TABLES.items()
        if len(getattr(book, table))
    ]
    if book.settings.scope == "reoptimise":
        found.append(finding("E801", "settings", column="scope", value="reoptimise", remedy="Set the scope to calls."))
    if book.agreements["max_lines"].notna().any():
        found.append(
            finding("E801", "agreements", column="max_lines", value="a cap on lines", remedy="Empty the column.")
        )
    if len(book.locations):
        found.append(
            finding(
                "W801",
                "locations",
                value="cut-offs, calendars and movement costs",
                remedy="Put what they cost in time into settle_hours.",
            )
        )
    return found
