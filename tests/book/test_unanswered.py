"""What a book asks and this version does not answer is said, and no answer is given without it."""

from __future__ import annotations

import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.unanswered import unanswered
from collateral_opt.errors import BookError
from collateral_opt.optimiser import optimise


def book(**more: list[dict[str, object]]) -> Book:
    tables: dict[str, list[dict[str, object]]] = {
        "assets": [{"asset_id": "USD", "asset_type": "cash", "currency": "USD"}],
        "holdings": [{"holding_id": "H", "asset_id": "USD", "quantity": 100.0}],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}],
        "calls": [{"call_id": "C", "agreement_id": "A", "amount": 40.0, "currency": "USD"}],
        **more,
    }
    return Book.from_tables(
        {name: pd.DataFrame(rows) for name, rows in tables.items()},
        settings={"as_of": "2026-03-24T08:00:00+00:00", "base_currency": "USD"},
        schedules={"cash": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}]}},
    )


def test_a_plain_book_is_answered() -> None:
    assert unanswered(book()) == []
    assert optimise(book()).allocation["quantity"].tolist() == [40.0]


def test_a_table_that_would_change_the_answer_is_refused() -> None:
    asked = book(pins=[{"call_id": "C", "holding_id": "H", "forbid": True}])
    assert [(f.code, f.table) for f in unanswered(asked)] == [("E801", "pins")]
    with pytest.raises(BookError, match="E801"):
        optimise(asked)


def test_a_scope_and_a_cap_on_lines_are_refused() -> None:
    agreement = {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash", "max_lines": 1.0}
    asked = book(agreements=[agreement]).replace(settings={"scope": "reoptimise", "max_moves": 1})
    assert [(f.code, f.column) for f in unanswered(asked)] == [
        ("E801", "scope"),
        ("E801", "max_moves"),
        ("E801", "max_lines"),
    ]


def test_locations_are_said_to_be_left_out() -> None:
    asked = book(locations=[{"location": "L", "timezone": "Europe/London"}])
    assert [f.code for f in unanswered(asked)] == ["W801"]
    assert optimise(asked).status == "optimal"
