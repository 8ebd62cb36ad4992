"""What a book may ask that this version does not answer: said before a run, never passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Finding
from .codes import finding

if TYPE_CHECKING:
    from .book import Book


def unanswered(book: Book) -> list[Finding]:
    """E801 for whatever would change the answer, W801 for what is only left out of it."""
    found = []
    if len(book.pins):
        found.append(finding("E801", "pins", value="a pin", remedy="Remove the table to answer the rest."))
    if book.settings.scope == "reoptimise":
        found.append(finding("E801", "settings", column="scope", value="reoptimise", remedy="Set the scope to calls."))
    if book.settings.max_moves is not None:
        found.append(finding("E801", "settings", column="max_moves", value="a cap on moves", remedy="Remove it."))
    if book.agreements["max_lines"].notna().any():
        found.append(
            finding("E801", "agreements", column="max_lines", value="a cap on lines", remedy="Empty the column.")
        )
    if len(book.locations):
        found.append(
            finding(
                "W801",
                "locations",
                value="a cut-off, calendar or movement cost",
                remedy="Put what they cost in time into settle_hours.",
            )
        )
    return found
