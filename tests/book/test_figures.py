"""Books made of other books: figures that no check looks at, and calls where there were none."""

from __future__ import annotations

import pandas as pd
import pytest

from collateral_opt import Book, Change
from collateral_opt.errors import BookError


@pytest.fixture
def book() -> Book:
    return Book.from_tables(
        {
            "assets": pd.DataFrame(
                {"asset_id": ["B", "E"], "asset_type": ["debt"] * 2, "currency": ["USD", "EUR"], "price": [1.0] * 2}
            ),
            "holdings": pd.DataFrame(
                {"holding_id": ["H", "G"], "asset_id": ["B", "E"], "quantity": [5e6, 0], "cost_bps": [36.0, 1.0]}
            ),
            "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["Bank"], "schedule": ["all"]}),
            "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["A"], "amount": [1e6], "currency": ["USD"]}),
        },
        settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD"},
        schedules={"all": {"rules": [{"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0}]}},
    )


def test_figures_that_no_check_looks_at_give_the_book_that_checks_would(book: Book) -> None:
    quick = Change(calls={"C": 2e6}, prices={"B": 0.9}, quantities={"H": 4e6}, costs={"H": 7.0}).applied_to(book)
    checked = book.replace(
        calls=book.calls.assign(amount=[2e6]),
        assets=book.assets.assign(price=[0.9, 1.0]),
        holdings=book.holdings.assign(quantity=[4e6, 0.0], cost_bps=[7.0, 1.0]),
    )
    assert quick.digest == checked.digest and quick.findings == checked.findings
    assert quick.holdings["quantity"].tolist() == [4e6, 0.0] and book.holdings["quantity"].tolist() == [5e6, 0.0]


def test_what_comes_to_be_held_is_checked(book: Book) -> None:
    with pytest.raises(BookError) as error:
        Change(quantities={"G": 1e6}).applied_to(book)
    assert "EUR" in str(error.value), "its currency has no rate, and needed none before"


def test_a_book_without_calls_may_be_given_some(book: Book) -> None:
    bare = book.replace(calls=book.calls.iloc[:0])
    again = bare.replace(calls=book.calls)
    assert len(bare.calls) == 0 and again.calls["call_id"].tolist() == ["C"]
