"""What is taken over from the facts of a book near to this one is what would have been found anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, read_words
from collateral_opt.errors import BookError, UsageError
from collateral_opt.network.build import Problem
from collateral_opt.network.costs import PairCosts
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.facts import Facts, gather
from collateral_opt.network.rows import in_order, positions, rows
from collateral_opt.network.runs import distinct
from eligibility_rules import load_schedule
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
        f"agreement:{agreement}.cash_return=+5",
        "agreement:*.cash_return:EUR=to -4",
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
    if len(book.costs):
        yield book.with_figures(costs=book.costs.assign(cost_bps=book.costs["cost_bps"] + 5.0))


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
    assert len(near.edges())
    asked = 0
    for other in changes(book, np.random.default_rng(seed)):
        asked += 1
        facts = gather(other.in_full, near.facts)
        assert_same_facts(facts, gather(other.in_full))
        taken_over, anew = Problem(facts, near=near), Problem(gather(other.in_full))
        for use in range(len(facts.uses)):
            assert np.array_equal(taken_over.open_to(use), anew.open_to(use)), facts.uses.ids[use]
        assert same(taken_over.edges(), anew.edges())
    assert asked > 8


AGREEMENT = {"agreement_id": "A", "counterparty": "N", "schedule": "s", "cash_return_bps": 4.0}


@pytest.mark.parametrize(
    ("table", "row", "bps"),
    [
        ("costs", {"agreement_id": "A", "asset_id": "U", "cost_bps": 20.0}, 20 - 4),
        ("cash_returns", {"agreement_id": "A", "currency": "USD", "bps": -5.0}, 10 + 5),
        ("agreements", {**AGREEMENT, "cash_return_bps": 1.0}, 10 - 1),
    ],
)
def test_costs_are_known_only_where_what_they_rest_on_is_the_same(table: str, row: dict[str, Any], bps: float) -> None:
    """Cash that costs 10 bp and earns 4; each time one table is another, and all other facts are the very same."""
    common: dict[str, Any] = {
        "assets": [asset("U", asset_type="cash")],
        "holdings": [{"holding_id": "H", "asset_id": "U", "quantity": 1e6, "cost_bps": 10.0}],
        "calls": [{"call_id": "C", "agreement_id": "A", "amount": 10.0, "currency": "USD"}],
        "schedules": {"s": listing(U=0.0)},
    }
    facts = gather(desk(agreements=[AGREEMENT], **common))
    near = PairCosts(facts)
    assert near.of_use(0).tolist() == [6]
    assert PairCosts(facts, near)._known
    other = gather(desk(**{"agreements": [AGREEMENT], table: [row], **common}))
    changed = (
        {"agreements": other.agreements}
        if table == "agreements"
        else {"book": facts.book.with_figures(**{table: getattr(other.book, table)})}
    )
    assert PairCosts(replace(facts, **changed), near).of_use(0).tolist() == [bps]


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


def test_tables_are_read_in_the_order_of_identifiers() -> None:
    table = pd.DataFrame({"name": ["b", "c", "a"], "size": [2.0, np.nan, 1.0]}, index=[7, 8, 9])
    ordered, came_from = in_order(table, "name")
    assert list(rows(ordered, "name", "size"))[:2] == [("a", 1.0), ("b", 2.0)]
    assert (ordered.index.tolist(), came_from.tolist()) == ([0, 1, 2], [2, 0, 1])
    assert in_order(ordered, "name")[0] is ordered
    assert positions(["a", "b", "c"], table["name"]).tolist() == [1, 2, 0]
    assert positions({"b": 5, "c": 6}, ["c", "b"]).tolist() == [6, 5]


def test_distinct_numbers_stand_in_their_order() -> None:
    found, at = distinct(np.array([4, 1, 4, 0]), 6)
    assert (found.tolist(), at.tolist()) == ([0, 1, 4], [2, 1, 2, 0])


def in_two_currencies(schedule: Any) -> Book:
    """One schedule, read in USD at agreement A and in EUR at B; a euro is two dollars."""
    return desk(
        assets=[asset("U"), asset("E", currency="EUR")],
        holdings=[{"holding_id": f"H{name}", "asset_id": name, "quantity": 1e6} for name in "UE"],
        agreements=[
            {"agreement_id": name, "counterparty": name, "schedule": "s", "base_currency": currency}
            for name, currency in (("A", "USD"), ("B", "EUR"))
        ],
        calls=[{"call_id": name, "agreement_id": name, "amount": 10.0, "currency": "USD"} for name in "AB"],
        schedules={"s": schedule},
        fx=[{"currency": "EUR", "rate": 2.0}],
    )


def test_a_schedule_is_read_once_for_currencies_that_make_no_difference_to_it() -> None:
    plain = gather(in_two_currencies(listing(U=0.1, E=0.1))).eligibility
    assert plain.match("s", "USD", None) is plain.match("s", "EUR", None)
    dearer = {**listing(U=0.1, E=0.1), "fx_haircut": {"rate": 0.08}}
    mixed = gather(in_two_currencies(dearer)).eligibility
    # The FX haircut comes off what is not in the currency of the agreement: 1 - 0.1 - 0.08.
    factors = [mixed.match("s", currency, None).factor.tolist() for currency in ("USD", "EUR")]
    assert factors == [[pytest.approx(0.82), pytest.approx(0.9)], [pytest.approx(0.9), pytest.approx(0.82)]]


def test_a_list_caps_value_in_the_currency_of_the_agreement(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("asset_id,haircut,max_value\nU,0,100\nE,0,100\n")
    problem = Problem(gather(in_two_currencies(load_schedule(tmp_path / "s.csv"))))
    assets = problem.facts.assets
    caps = {
        block.place: block.cap.values(block.measure, np.arange(2), assets, FLOAT).tolist()
        for block in problem.limits(problem.edges())
    }
    assert caps == {"A": [100.0, 100.0], "B": [200.0, 200.0]}
    # A million of either is held: both groups could be full at both agreements.
    assert [full.tolist() for full in problem.could_be_full.values()] == [[True, True]]


def test_what_lies_there_is_read_anew_where_the_margin_type_of_its_calls_is_another() -> None:
    rules = [{"label": kind, "haircut": h, "margin_type": kind} for kind, h in (("im", 0.25), ("vm", 0.5))]
    book = desk(
        assets=[asset("U")],
        holdings=[{"holding_id": "H", "asset_id": "U", "quantity": 1e6}],
        agreements=[{"agreement_id": "A", "counterparty": "N", "schedule": "s"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 10.0, "currency": "USD", "margin_type": "im"}],
        posted=[{"agreement_id": "A", "asset_id": "U", "quantity": 100.0}],
        schedules={"s": {"rules": rules}},
    )
    near = gather(book)
    assert [line.value_after_haircut for line in near.posted] == [75]
    assert gather(book.with_figures(calls=book.calls.assign(amount=20.0)), near).posted is near.posted
    variation = book.with_figures(calls=book.calls.assign(margin_type="vm"))
    assert [line.value_after_haircut for line in gather(variation, near).posted] == [50]
