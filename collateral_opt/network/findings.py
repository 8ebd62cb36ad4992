"""What only shows when schedules, agreements and what is posted meet: said before a run."""

from __future__ import annotations

from collateral_opt.book import Book
from collateral_opt.book.codes import finding
from collateral_opt.errors import Finding
from collateral_opt.network.build import build_network


def posted_over_cap(book: Book) -> list[Finding]:
    """W523 for each limit of which what is posted already stands over the cap in some group."""
    if not len(book.posted):
        return []
    over: dict[tuple[str, str], set[str]] = {}
    for block in build_network(book).limits:
        groups = {group or "all that it counts" for group, shut in zip(block.groups, block.shut, strict=True) if shut}
        if groups:
            over.setdefault((block.place, block.label), set()).update(groups)
    return [
        finding("W523", "posted", value=place, limit=label, groups=", ".join(sorted(groups)))
        for (place, label), groups in sorted(over.items())
    ]
