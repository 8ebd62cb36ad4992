"""A book answered from the answer of another: the same proven optimum, and lines that stay where they can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, Result, read_book, read_words
from collateral_opt.errors import BookError, UsageError
from collateral_opt.generate import write_book
from collateral_opt.optimiser import Solved, optimise, solved
from collateral_opt.scenarios.what_if import answers
from collateral_opt.solve.near import Resuming
from tests.desks import asset, desk, listing
from tests.judges.books import random_book

KEYS = ["action", "agreement_id", "call_id", "holding_id", "facility_id", "asset_id"]


def lines(result: Result) -> dict[tuple[str, ...], float]:
    """Quantity by line."""
    named = result.allocation[[*(k for k in KEYS if k in result.allocation)]].astype(str)
    return dict(zip(map(tuple, named.to_numpy().tolist()), result.allocation["quantity"], strict=True))


def began_near(found: Solved) -> bool:
    """Whether the answer began at another."""
    return isinstance(found.answer.linear.solver, Resuming)


def changed(book: Book, seed: int) -> Iterator[Book]:
    """``book`` after a change of each kind; those that its tables do not allow are left out."""
    rng = np.random.default_rng(seed)
    call, holding = rng.choice(book.calls["call_id"]), rng.choice(book.holdings["holding_id"])
    held = book.assets[book.assets["asset_id"].isin(book.holdings["asset_id"]) & (book.assets["asset_type"] != "cash")]
    words = [
        [f"call:{call}.amount=+{rng.integers(1, 30)}%"],
        [f"call:{call}.amount=-{rng.integers(1, 60)}%"],
        ["call:*.amount=-5%"],
        [f"holding:{holding}.cost_bps=+{rng.integers(1, 40)}"],
        [f"holding:{holding}.quantity=-50%"],
        [f"remove:holding={holding}"],
        [f"remove:call={call}"],
        *([[f"asset:{rng.choice(held['asset_id'])}.price=-{rng.integers(1, 9)}%"]] if len(held) else []),
        ["haircut:all=+0.01", f"call:{call}.amount=+1%"],
    ]
    for several in words:
        try:
            yield read_words(several)(book)
        except (BookError, UsageError):
            continue


def judged(book: Book, seed: int) -> tuple[int, int]:
    """How many changes were asked, and of how many the answer began at that of ``book``; each held against one from the
    start.
    """
    asked = near = 0
    base = solved(book)
    for other in changed(book, seed):
        found, expected = solved(other, near=base), optimise(other)
        asked, near = asked + 1, near + began_near(found)
        ours, theirs = found.result.summary, expected.summary
        assert ours["lower_bound"] == pytest.approx(theirs["lower_bound"], rel=1e-9, abs=1e-6)
        assert (ours["status"] == "short") == (theirs["status"] == "short")
        assert ours["total_shortfall"] == pytest.approx(theirs["total_shortfall"], abs=0.011)
        if began_near(found):
            assert ours["gap"] <= other.settings.mip_gap
            assert ours["lp_gap"] <= 1e-9
    return asked, near


def test_the_optimum_of_random_books_is_that_found_from_the_start() -> None:
    asked = near = 0
    for seed in range(8):
        try:
            book = random_book(seed, "small", facilities=seed % 3 == 0).to_book()
        except BookError:
            continue  # amounts too large for a book
        if len(book.calls) and len(book.holdings):
            asked, near = (a + b for a, b in zip((asked, near), judged(book, seed), strict=True))
    assert asked > 40
    assert near > 5


@pytest.mark.parametrize(("holdings", "calls"), [(60, 10), (160, 25)])
def test_the_optimum_of_a_desk_is_that_found_from_the_start(tmp_path: Path, holdings: int, calls: int) -> None:
    write_book(tmp_path / "book", holdings=holdings, calls=calls, agreements=calls // 3, seed=2)
    asked, near = judged(read_book(tmp_path / "book"), 3)
    assert asked == 9
    assert near >= 6


def test_lines_stay_where_nothing_has_to_move(tmp_path: Path) -> None:
    write_book(tmp_path / "book", holdings=160, calls=25, agreements=8, seed=1)
    book = read_book(tmp_path / "book")
    base = solved(book)
    idle = next(h for h in book.holdings["holding_id"] if h not in set(base.result.allocation["holding_id"]))
    for word in ("call:*.amount=+0%", f"holding:{idle}.cost_bps=+5", f"holding:{idle}.quantity=+50%"):
        found = solved(read_words([word])(book), near=base)
        assert began_near(found)
        assert lines(found.result) == lines(base.result)


def two_bonds(call: float = 980.0, other: float = 500.0, **more: Any) -> Book:
    """A call met by bond B (2 % haircut, 10 bp) as far as its 1,000 go, then by D (30 bp); another by E (20 bp).

    All at 1.00, in lots of 1; E is as good as D for the first call, and dearer than B.
    """
    parts: dict[str, Any] = {
        "assets": [asset("B"), asset("D"), asset("E")],
        "holdings": [
            {"holding_id": "HB", "asset_id": "B", "quantity": 1_000.0, "cost_bps": 10.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
            {"holding_id": "HE", "asset_id": "E", "quantity": 5_000.0, "cost_bps": 20.0},
        ],
        "agreements": [
            {"agreement_id": "A", "counterparty": "Bank", "schedule": "s"},
            {"agreement_id": "Z", "counterparty": "Other", "schedule": "t"},
        ],
        "calls": [
            {"call_id": "C", "agreement_id": "A", "amount": call, "currency": "USD"},
            {"call_id": "O", "agreement_id": "Z", "amount": other, "currency": "USD"},
        ],
        "schedules": {"s": listing(B=0.02, D=0.0), "t": listing(E=0.0)},
    }
    return desk(**{**parts, **more})


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # 490 more: B is used up, so D gives all of it; the other call keeps its 500 of E.
        ("call:C.amount=+50%", {"HB": 1_000.0, "HD": 490.0, "HE": 500.0}),
        # 490 need 500 of B.
        ("call:C.amount=-50%", {"HB": 500.0, "HE": 500.0}),
        # At 0.5 the 1,000 of B count for 490; D gives the rest.
        ("asset:B.price=0.5", {"HB": 1_000.0, "HD": 490.0, "HE": 500.0}),
        # D at 5 bp is cheaper than B at 10 / 0.98.
        ("holding:HD.cost_bps=5", {"HD": 980.0, "HE": 500.0}),
        # 400 of B count for 392, D for 588.
        ("holding:HB.quantity=400", {"HB": 400.0, "HD": 588.0, "HE": 500.0}),
        ("remove:holding=HB", {"HD": 980.0, "HE": 500.0}),
        ("remove:call=O", {"HB": 1_000.0}),
        # 12 %: 1,000 of B count for 880.
        ("schedule:s.rule:B=+0.10", {"HB": 1_000.0, "HD": 100.0, "HE": 500.0}),
    ],
)
def test_two_calls_by_hand(word: str, expected: dict[str, float]) -> None:
    book = two_bonds()
    found = solved(read_words([word])(book), near=solved(book))
    assert began_near(found)
    given = found.result.allocation.groupby("holding_id")["quantity"].sum()
    assert given.to_dict() == expected


def test_what_cannot_be_covered_any_more_is_answered_from_the_start() -> None:
    book = two_bonds()
    found = solved(read_words(["call:C.amount=7000"])(book), near=solved(book))
    assert not began_near(found)
    # 980 of B and 5,000 of D leave 1,020.
    assert found.result.summary["total_shortfall"] == 1_020.0


def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    book = two_bonds()
    words = ["call:C.amount=+50%", "holding:HD.cost_bps=5", "asset:B.price=0.5"]
    books = [read_words([word])(book) for word in words]
    forth, back = ([*answers([book, *some])][1:] for some in (books, books[::-1]))
    for one, other in zip(forth, back[::-1], strict=True):
        for table in ("allocation", "calls", "inventory", "limits", "steps"):
            pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))
