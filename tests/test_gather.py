"""What is taken over from the facts of a book near to this one is what would have been found anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, read_words
from collateral_opt.errors import BookError, UsageError
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import Facts, gather
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
