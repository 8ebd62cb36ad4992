"""What is taken over from the facts of a book near to this one is what would have been found anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, read_words
from collateral_opt.errors import BookError, UsageError
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import Facts, gather
from tests.desks import asset, desk, listing
from tests.judges.books import random_book

PLAIN = ("assets", "agreements", "sources", "uses", "terms")
"""Facts that are nothing but figures and names."""


def changes(book: Book, rng: np.random.Generator) -> Iterator[Book]:
    """``book`` with another figure in one place, or less in it: each kind of table at least once."""
    call, holding = rng.choice(book.calls["call_id"]), rng.choice(book.holdings["holding_id"])
    agreement, other = rng.choice(book.agreements["agreement_id"], 2)
    held = rng.choice(book.holdings["asset_id"])
    schedule_of = dict(zip(book.agreements["agreement_id"], book.agreements["schedule"], strict=True))
    words = [
        f"call:{call}.amount=+7%",
        f"call:{call}.due=+6h",
        f"remove:call={call}",
        f"holding:{holding}.cost_bps=+5",
        f"holding:{holding}.quantity=-40%",
        f"holding:{holding}.quantity=0",
        f"remove:holding={holding}",
        f"remove:agreement={agreement}",
        f"asset:{held}.price=-3%",
        f"agreement:{agreement}.schedule={schedule_of[other]}",
        "haircut:all=+0.01",
        *(f"facility:{name}.capacity=-50%" for name in book.facilities["facility_id"]),
        *(f"facility:{name}.access_hours=+2" for name in book.facilities["facility_id"]),
        *(f"fx:{name}=+2%" for name in book.fx["currency"]),
    ]
    for word in words:
        try:
            yield read_words([word])(book)
        except (BookError, UsageError):
            continue


def same(one: Any, two: Any) -> bool:
    """Whether both say the same, arrays and dataclasses of them included."""
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, two, equal_nan=one.dtype.kind == "f"))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, part.name), getattr(two, part.name)) for part in fields(one))
    return bool(one == two)


def assert_same_facts(taken_over: Facts, anew: Facts) -> None:
    for name in PLAIN:
        assert same(getattr(taken_over, name), getattr(anew, name)), name
    assert taken_over.posted == anew.posted
    pd.testing.assert_frame_equal(taken_over.asset_frame, anew.asset_frame)
    pd.testing.assert_frame_equal(taken_over.facilities, anew.facilities)
    starts, anew_starts = taken_over.movements.holding_starts(), anew.movements.holding_starts()
    assert np.array_equal(starts, anew_starts)


@pytest.mark.parametrize("seed", range(6))
def test_facts_and_pairs_near_a_book_are_those_found_anew(seed: int) -> None:
    book = random_book(seed, "medium", facilities=seed % 2 == 0).to_book()
    near = Problem(gather(book.in_full))
    assert near.pairs
    asked = 0
    for other in changes(book, np.random.default_rng(seed)):
        asked += 1
        facts = gather(other.in_full, near.facts)
        assert_same_facts(facts, gather(other.in_full))
        taken_over, anew = Problem(facts, near=near), Problem(gather(other.in_full))
        for use in range(len(facts.uses)):
            assert np.array_equal(taken_over.open_to(use), anew.open_to(use)), facts.uses.ids[use]
    assert asked > 8


def test_what_is_found_near_a_problem_is_not_kept_there() -> None:
    book = random_book(1, "medium").to_book()
    near = Problem(gather(book.in_full))
    near.network()
    kept, more = (len(near._open), len(near._met)), 0
    for row, hour in enumerate(pd.date_range("2026-03-02T09:00:00Z", periods=len(book.calls), freq="h")):
        due = book.calls["due"].where(np.arange(len(book.calls)) != row, hour)
        other = book.with_figures(calls=book.calls.assign(due=due))
        problem = Problem(gather(other.in_full, near.facts), near=near)
        problem.network()
        assert problem.reach.is_as(near.reach)
        more += len(problem._open) - len(near._open)
    assert more > 0
    assert (len(near._open), len(near._met)) == kept


def test_a_facility_under_the_name_of_a_holding_is_not_taken_for_it() -> None:
    """A reserve counts what is held of an asset, and nothing of what a facility gives of it."""
    held = [
        {"holding_id": "H", "asset_id": "B", "quantity": 1e3},
        {"holding_id": "X", "asset_id": "D", "quantity": 1e3},
    ]
    common: dict[str, Any] = {
        "assets": [asset("B"), asset("D")],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
        "calls": [{"call_id": "C", "agreement_id": "A", "amount": 10.0, "currency": "USD"}],
        "reserves": [{"reserve_id": "R", "schedule": "s", "amount": 10.0, "currency": "USD"}],
        "schedules": {"s": listing(B=0.0, D=0.0)},
    }
    gives = {
        "facility_id": "X",
        "kind": "credit_line",
        "gives": "D",
        "capacity": 1e3,
        "cost_bps": 1.0,
        "access_hours": 0.0,
    }
    near = Problem(gather(desk(holdings=held, **common)))
    assert near.open_to(1).tolist() == [0, 1]
    book = desk(holdings=held[:1], facilities=[gives], **common)
    there = near.facts.book
    book = replace(book, settings=there.settings, schedules=there.schedules, pins=there.pins)
    assert Problem(gather(book, near.facts), near=near).open_to(1).tolist() == [0]
