"""What a shortfall wants is the least that covers it: with it the book can be covered, with less it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from collateral_opt import Book, Change, optimise
from collateral_opt.errors import CollateralError
from collateral_opt.explain.answered import Answered, limit_name
from collateral_opt.explain.records import Kind, Remedy, Shortfall
from collateral_opt.explain.shortfalls import shortfalls
from collateral_opt.network.network import Network
from collateral_opt.result import Result
from tests.desks import asset, desk, listing
from tests.explain.resolving import solved, solved_network, with_cap
from tests.judges.books import random_book


def desk_of(**more: Any) -> Book:
    """A call of 1,000 by 18:00 in New York: 400 of B, and 1,000 of D of which only 200 may go, cover 600.

    Y (20 % haircut) arrives at 08:00 of the next day, X is not on the schedule.
    """
    limit = {"label": "little of D", "group_by": "none", "select": {"asset_id": "D"}, "measure": "market_value",
             "of": "money", "max": {"amount": 200.0, "currency": "USD"}}  # fmt: skip
    parts: dict[str, Any] = {
        "assets": [asset("B"), asset("D"), asset("X"), asset("Y")],
        "holdings": [
            {"holding_id": "HB", "asset_id": "B", "quantity": 400.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 1_000.0},
            {"holding_id": "HX", "asset_id": "X", "quantity": 900.0},
            {"holding_id": "HY", "asset_id": "Y", "quantity": 600.0, "settle_hours": 24.0},
        ],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
        "calls": [
            {"call_id": "C", "agreement_id": "A", "amount": 1_000.0, "currency": "USD",
             "due": "2026-03-24T18:00:00-04:00"},
        ],
        "schedules": {"s": {**listing(B=0.0, D=0.0, Y=0.2), "limits": [limit]}},
    }  # fmt: skip
    return desk(**{**parts, **more})


def of_kind(short: Shortfall, kind: Kind) -> Remedy:
    return next(remedy for remedy in short.remedies if remedy.kind == kind)


def test_the_smallest_change_of_each_kind() -> None:
    (short,) = optimise(desk_of()).explain().shortfalls
    assert (short.kind, short.name, short.required, short.missing, short.is_lots) == ("call", "C", 1_000, 400, False)
    amounts = {remedy.kind: remedy.amount for remedy in short.remedies}
    # 400 more of B, or room for 400 more of D, or 400 of X without a haircut, or 400 / 0.8 of Y.
    assert amounts["supply"] == pytest.approx(400.0)
    assert amounts["limits"] == pytest.approx(400.0)
    assert amounts["eligibility"] == pytest.approx(400.0)
    assert amounts["time"] == pytest.approx(500.0)
    assert (amounts["pins"], amounts["others"]) == (None, None)
    (late,), (refused,) = of_kind(short, "time").needed, of_kind(short, "eligibility").needed
    assert (late.what, late.why) == ("Y (HY)", "14.00 hours too late")
    assert (refused.what, refused.why) == ("X (HX)", "refused: no rule takes it")
    assert [one.what for one in of_kind(short, "supply").needed] == ["more of HB"]
    assert [one.what for one in of_kind(short, "limits").needed] == ["'little of D' at A"]


@pytest.mark.parametrize(("quantity", "missing"), [(400.0, 0.0), (399.0, 1.0)])
def test_taking_what_is_refused_covers_the_call_and_no_less_does(quantity: float, missing: float) -> None:
    changed = desk_of(schedules={"s": listing(B=0.0, X=0.0)})
    # B brings 400; without D the 200 that it brought are X's too.
    enough = Change(quantities={"HX": quantity + 200.0}).applied_to(changed)
    assert solved(enough)[0] == pytest.approx(missing, abs=1e-5)


@pytest.mark.parametrize(("quantity", "missing"), [(500.0, 0.0), (490.0, 8.0)])
def test_what_comes_too_late_would_cover_it_in_time(quantity: float, missing: float) -> None:
    book = desk_of()
    early = book.replace(holdings=book.holdings.assign(settle_hours=0.0))
    assert solved(Change(quantities={"HY": quantity}).applied_to(early))[0] == pytest.approx(missing, abs=1e-5)


def test_where_no_kind_alone_will_do_they_may_together() -> None:
    # 2,000 are asked for: of X there are 900, of D 800 more, of Y 480 after the haircut. B and D alone: 600.
    calls = [{"call_id": "C", "agreement_id": "A", "amount": 2_000.0, "currency": "USD",
              "due": "2026-03-24T18:00:00-04:00"}]  # fmt: skip
    (short,) = optimise(desk_of(calls=calls)).explain().shortfalls
    amounts = {remedy.kind: remedy.amount for remedy in short.remedies}
    assert (amounts["eligibility"], amounts["limits"], amounts["time"]) == (None, None, None)
    assert [amounts["supply"], amounts["together"]] == pytest.approx([1_400.0, 1_400.0])


def test_a_pin_that_stands_in_the_way() -> None:
    pins = [{"call_id": "C", "holding_id": "HB", "forbid": True}]
    (short,) = optimise(desk_of(pins=pins)).explain().shortfalls
    assert short.missing == 800.0
    # B alone brings 400.
    assert of_kind(short, "pins").amount is None
    calls = [{"call_id": "C", "agreement_id": "A", "amount": 500.0, "currency": "USD",
              "due": "2026-03-24T18:00:00-04:00"}]  # fmt: skip
    (short,) = optimise(desk_of(pins=pins, calls=calls)).explain().shortfalls
    assert of_kind(short, "pins").amount == pytest.approx(300.0)


def test_what_others_would_have_to_do_without() -> None:
    calls = [
        {"call_id": name, "agreement_id": "A", "amount": 500.0, "currency": "USD", "priority": priority}
        for name, priority in (("C1", 1), ("C2", 2))
    ]
    book = desk_of(calls=calls, schedules={"s": listing(B=0.0)})
    (short,) = optimise(replace_quantity(book, 600.0)).explain().shortfalls
    # 600 of B: C1 has 500, C2 the rest and 400 too few.
    assert (short.name, short.missing) == ("C2", 400.0)
    others = of_kind(short, "others")
    assert others.amount == pytest.approx(400.0)
    assert [one.what for one in others.needed] == ["call C1"]


def replace_quantity(book: Book, quantity: float) -> Book:
    return Change(quantities={"HB": quantity}).applied_to(book)


def test_a_reserve_is_short_because_of_calls() -> None:
    book = desk_of(
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 300.0, "currency": "USD"}],
        schedules={"s": listing(B=0.0), "buffer": listing(B=0.0)},
        reserves=[{"reserve_id": "R", "schedule": "buffer", "amount": 250.0, "currency": "USD"}],
    )
    # 100 of B stay at home.
    (short,) = optimise(book).explain().shortfalls
    assert (short.kind, short.name, short.missing) == ("reserve", "R", 150.0)
    assert of_kind(short, "others").amount == pytest.approx(150.0)
    assert of_kind(short, "supply").amount == pytest.approx(150.0)


def test_whole_lots_alone_may_be_why() -> None:
    # 1,500 of B in lots of 1,000: the linear program covers 1,200, whole lots only 1,000.
    book = desk_of(
        assets=[asset("B", lot_size=1_000.0)],
        holdings=[{"holding_id": "HB", "asset_id": "B", "quantity": 1_500.0}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 1_200.0, "currency": "USD"}],
        schedules={"s": listing(B=0.0)},
    )
    (short,) = optimise(book).explain().shortfalls
    assert (short.missing, short.is_lots) == (200.0, True)


def alone_short(seeds: range) -> list[tuple[Result, Answered, Shortfall]]:
    """Answers in which just one call is short, and not for lots: the first, last in priority and much too large."""
    found = []
    for seed in seeds:
        book = random_book(seed, "small").to_book()
        if book.calls.empty:
            continue
        first = book.calls["call_id"] == book.calls["call_id"].iloc[0]
        amount = book.calls["amount"].where(~first, book.calls["amount"] * 25)
        priority = book.calls["priority"].where(first, 1.0).where(~first, 2.0)
        try:
            result = optimise(book.replace(calls=book.calls.assign(amount=amount, priority=priority)))
        except CollateralError:
            continue
        answered = Answered(result)
        told = shortfalls(answered, range(answered.uses.asking))
        if len(told) == 1 and not told[0].is_lots:
            found.append((result, answered, told[0]))
    return found


def with_more(book: Book, answered: Answered, remedy: Remedy, part: float) -> Book | None:
    """``book`` with so much of what a remedy of supply asks for; None where it asks for a facility's capacity."""
    quantities = {}
    for one in remedy.needed:
        if not one.what.startswith("more of "):
            return None
        name = one.what.removeprefix("more of ")
        source = answered.sources.ids.index(name)
        unit = float(answered.assets.unit_value[answered.sources.asset[source]])
        quantities[name] = float(answered.sources.quantity[source]) + part * one.amount / unit
    return Change(quantities=quantities).applied_to(book)


def with_room(network: Network, remedy: Remedy, part: float) -> Network | None:
    """``network`` with so much of the room that a remedy of limits asks for; None where a name does not tell."""
    for one in remedy.needed:
        labels = [block.row(group) for block in network.limits for group in block.groups]
        named = [label for label in labels if limit_name(label) == one.what]
        block = next((b for b in network.limits if len(named) == 1 and b.key == named[0][1:4]), None)
        if block is None or block.cap.of == "posted" or block.measure == "quantity":
            return None
        network = with_cap(network, named[0], part * one.amount)
    return network


def test_as_much_more_covers_the_call_and_less_does_not() -> None:
    supplied = given_room = 0
    for result, answered, short in alone_short(range(100, 150)):
        size = float(sum(answered.uses.required[: answered.uses.calls]))
        supply, limits = of_kind(short, "supply"), of_kind(short, "limits")
        if supply.amount is not None:
            enough = with_more(result.book, answered, supply, 1 + 1e-6)
            too_little = with_more(result.book, answered, supply, 0.98)
            if enough is not None and too_little is not None:
                assert solved(enough)[0] <= 1e-6 * size
                assert solved(too_little)[0] > 0.001 * short.missing
                supplied += 1
        if limits.amount is not None:
            roomy = with_room(answered.network, limits, 1 + 1e-6)
            tight = with_room(answered.network, limits, 0.98)
            if roomy is not None and tight is not None:
                assert solved_network(roomy)[0] <= 1e-6 * size
                assert solved_network(tight)[0] > 0.001 * short.missing
                given_room += 1
    assert supplied >= 8
    assert given_room >= 2
