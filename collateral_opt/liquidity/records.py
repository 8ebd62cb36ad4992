"""What the parts of this package hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from collateral_opt.book import Book
    from collateral_opt.errors import Finding


@dataclass(frozen=True, eq=False)
class Projection:
    """What one stress makes of a book: stressed positions, the calls that follow, and the book that has to meet them.

    Amounts of a position are in its currency, amounts of a call in the call's.

    Attributes:
        name: of the stress.
        positions: a row a position, in the book's order: position_id, agreement_id, currency, market_value,
            unrealised_pnl, initial_margin, stressed_market_value, stressed_unrealised_pnl, variation_margin_call,
            stressed_initial_margin, total_margin_call (float64; NaN: none, as for what is not margined).
        calls: a book's ``calls``: call_id, agreement_id, amount (> 0), currency, due, margin_type; those the stress
            makes, after those of the book where the stress keeps them.
        receipts: what flows to us: agreement_id, margin_type, amount (> 0), currency, due.
        findings: what is odd about the stress, in the order of the catalogue.
        book: the book under the stress, with ``calls`` for its calls.
    """

    name: str
    positions: pd.DataFrame
    calls: pd.DataFrame
    receipts: pd.DataFrame
    findings: tuple[Finding, ...]
    book: Book
