"""Taking lots back until every row holds."""

from __future__ import annotations

from collateral_opt import optimise
from tests.judges.books import random_book


def test_rows_that_undo_one_another_by_a_lot_at_a_time_come_to_an_end() -> None:
    """Recalls and the shares that they free up: one lot less of one was one lot less of the other, for ever so long."""
    result = optimise(random_book(21, "small", reoptimise=True, reserves=True).to_book())
    assert result.summary["gap"] < 1e-6
