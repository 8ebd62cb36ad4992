"""Prices are one-sided derivatives of the least cost, hold as far as they say, and no further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collateral_opt import Book, Change, optimise, read_book
from collateral_opt.explain.answered import Answered
from collateral_opt.explain.prices import price_of_limit, price_of_source, price_of_use, relaxations
from collateral_opt.explain.records import Price
from collateral_opt.result import Result
from tests.desks import asset, desk, listing
from tests.explain.resolving import answers, cost_or_none, solved, solved_network, with_cap

At = Callable[[float], float | None]
"""The least cost after a step, None where something is short then."""


def two_bonds(call: float = 500.0, quantity: float = 1_000.0) -> Book:
    """One call; 1,000 of B (10 bp, 2 % haircut) and 5,000 of D (30 bp, no haircut); a year is the horizon."""
    return desk(
        assets=[asset("B"), asset("D")],
        holdings=[
            {"holding_id": "HB", "asset_id": "B", "quantity": quantity, "cost_bps": 10.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
        ],
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": call, "currency": "USD"}],
        schedules={"s": listing(B=0.02, D=0.0)},
    )


def test_a_kink_has_two_prices_and_each_its_range() -> None:
    # 980 is all that 1,000 of B can cover. One less saves 10 / 0.98 of B, one more takes D at 30, of which there are
    # 5,000.
    told = optimise(two_bonds(980.0)).explain(call="C")
    (price,) = told.prices
    assert price.less_bps == pytest.approx(10 / 0.98)
    assert price.more_bps == pytest.approx(30.0)
    assert price.holds_down == pytest.approx(980.0)
    assert price.holds_up == pytest.approx(5_000.0)


def test_a_holding_is_worth_what_it_saves() -> None:
    # Of 1,960, B covers 980 and D the rest. One more of B brings 0.98 of cover at 10 instead of 0.98 x 30: 19.4.
    told = optimise(two_bonds(1_960.0)).explain(asset="B")
    (price,) = told.prices
    assert (price.more_bps, price.less_bps) == (pytest.approx(19.4), pytest.approx(19.4))
    # The other 980 are B's for 1,000 units more, and D's, of which 5,000 are there, for 1,000 units less.
    assert price.holds_up == pytest.approx(1_000.0)
    assert price.holds_down == pytest.approx(1_000.0)


def test_nothing_is_said_of_a_call_that_is_short() -> None:
    told = optimise(two_bonds(7_000.0)).explain(call="C")
    assert (told.prices[0].more_bps, told.prices[0].less_bps) == (None, None)


def assert_is_the_slope(price: Price, sign: float, base: float, at: At, size: float) -> int:
    """The cost is linear with this price as far as the price holds, and dearer beyond; how many steps were compared."""
    compared = 0
    for bps, holds, way in ((price.more_bps, price.holds_up, 1.0), (price.less_bps, price.holds_down, -1.0)):
        reach = float("inf") if holds is None else holds
        if bps is None or reach < 1e-4 * size:
            continue
        for part in (0.5, 1.0):
            step = part * min(reach, 0.5 * size)
            cost = at(way * step)
            assert cost is not None, (price, step)
            assert cost - base == pytest.approx(sign * way * bps * step, abs=1e-5 * size + 1e-7 * abs(base)), price
            compared += 1
        if reach < 0.3 * size:
            beyond, step = at(way * (reach + 0.1 * size)), reach + 0.1 * size
            assert beyond is None or beyond > base + sign * way * bps * step + 1e-9 * size, price
            compared += 1
    return compared


def covered(seeds: range, *kinds: dict[str, bool]) -> list[Result]:
    return [result for result in answers(seeds, kinds=kinds) if result.status != "short"]


def changed(book: Book, change: Change, size: float) -> float | None:
    short, cost = solved(change.applied_to(book))
    return None if short > 1e-6 * size else cost


@pytest.mark.parametrize("kind", [{}, {"facilities": True}, {"reserves": True}])
def test_what_a_call_costs_is_what_solving_again_says(kind: dict[str, bool]) -> None:
    compared = 0
    for result in covered(range(40, 52), kind):
        answered, book = Answered(result), result.book
        base = solved(book)[1]
        for row in book.calls.head(2).to_dict("records"):
            name, rate = row["call_id"], book.rates[row["currency"]]
            use = answered.use("call", name)
            size = float(answered.uses.required[use])

            def at(step: float, name: str = name, size: float = size, rate: Any = rate) -> float | None:
                left = (size + step) / float(rate)
                return changed(book, Change(calls={name: left}), size) if left > 0 else None  # noqa: B023

            compared += assert_is_the_slope(price_of_use(answered, use), 1.0, base, at, size)
    assert compared >= 8


@pytest.mark.parametrize("kind", [{}, {"facilities": True}, {"reserves": True}])
def test_what_a_holding_is_worth_is_what_solving_again_says(kind: dict[str, bool]) -> None:
    compared = 0
    for result in covered(range(40, 52), kind):
        answered, book = Answered(result), result.book
        base, total = solved(book)[1], float(sum(answered.uses.required[: answered.uses.calls]))
        used = result.inventory[(result.inventory["scarcity_bps"] > 0)]["holding_id"].head(2)
        for name in used:
            source = answered.sources.ids.index(name)
            unit = float(answered.assets.unit_value[answered.sources.asset[source]])
            quantity = float(answered.sources.quantity[source])

            def at(step: float, name: str = name, unit: float = unit, quantity: float = quantity) -> float | None:
                left = quantity + step / unit
                return changed(book, Change(quantities={name: left}), total) if left >= 0 else None  # noqa: B023

            compared += assert_is_the_slope(price_of_source(answered, source), -1.0, base, at, quantity * unit)
    assert compared >= 4


def test_what_room_under_a_limit_is_worth_is_what_solving_again_says() -> None:
    compared = 0
    for result in covered(range(40, 60), {}):
        answered = Answered(result)
        network, labels = answered.network, answered.optimum.program.rows.labels
        base = cost_or_none(network)
        posted = {block.key for block in network.limits if block.cap.of == "posted"}
        for row in np.flatnonzero(answered.optimum.duals < -1e-6).tolist():
            label = labels[row]
            if label[0] != "limit" or label[1:4] in posted:
                continue
            price, size = price_of_limit(answered, label), float(answered.optimum.program.rows.upper[row])  # type: ignore[arg-type]
            if price.unit != "base currency" or size <= 0:
                continue

            def at(step: float, label: tuple[str, ...] = label) -> float | None:
                return cost_or_none(with_cap(network, label, step))  # noqa: B023

            assert base is not None
            compared += assert_is_the_slope(price, -1.0, base, at, size)
    assert compared >= 4


def test_a_call_gives_room_to_the_share_that_its_agreement_allows() -> None:
    # At most half of the requirement in B (10 bp, no haircut), the rest in D (30): one more unit is half of each, 20.
    schedule = {
        **listing(B=0.0, D=0.0),
        "limits": [
            {"label": "half", "group_by": "none", "select": {"asset_id": "B"}, "measure": "market_value",
             "of": "requirement", "max": 0.5},
        ],
    }  # fmt: skip
    book = desk(
        assets=[asset("B"), asset("D")],
        holdings=[
            {"holding_id": "HB", "asset_id": "B", "quantity": 5_000.0, "cost_bps": 10.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
        ],
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 1_000.0, "currency": "USD"}],
        schedules={"s": schedule},
    )
    told = optimise(book).explain(agreement="A")
    assert told.prices[0].more_bps == pytest.approx(20.0)
    # Half of 1,000 could be B's too: 500 at 20 bp less are 1.00 a year of 360 days.
    (term,) = told.relaxations
    assert (term.kind, term.place, term.name) == ("limit", "A", "half")
    assert term.saves_per_day == pytest.approx(1.0 / 360)
    (full,) = told.full_limits
    assert full.price.more_bps == pytest.approx(20.0)
    assert (full.used, full.cap) == (500.0, 500.0)


def test_letting_go_of_a_limit_saves_what_solving_without_it_says() -> None:
    compared = 0
    for result in answers(range(40, 52), kinds=({}, {"reserves": True})):
        answered = Answered(result)
        network = answered.relaxed.network
        base = (float(answered.relaxed.short.sum()), answered.relaxed.cost + float(network.standing_cost))
        told = [term for term in relaxations(answered) if term.kind == "limit"]
        for term in told[:3]:
            kept = [b for b in network.limits if (b.place, b.label) != (term.place, term.name)]
            short, cost = solved_network(replace(network, limits=kept))
            size = float(network.uses.size.sum())
            assert base[0] - short == pytest.approx(term.covers, abs=1e-6 * size)
            day = float(result.book.settings.day_count) * 10_000
            if term.covers <= 1e-6 * size:
                assert (base[1] - cost) / day == pytest.approx(term.saves_per_day, abs=1e-9 * size)
            compared += 1
    assert compared >= 6


def test_the_capacity_of_a_facility_is_let_go_with_the_bounds_that_follow_from_it() -> None:
    """There are bonds for 4,100,000 x 0.98 = 4,018,000: 18,000 more, at 15 + 1 / 0.98 bp and not the line's 150."""
    book = read_book("examples/liquidity-waterfall")
    (term,) = optimise(book).explain().relaxations
    assert (term.kind, term.name) == ("capacity", "REPO")
    assert term.saves_per_day == pytest.approx(18_000 * (150 - 15 - 1 / 0.98) / 10_000 / 360, rel=1e-6)
    facilities = book.facilities
    wide = facilities.assign(capacity=facilities["capacity"].where(facilities["facility_id"] != "REPO", 1e9))
    days = book.settings.horizon_days
    saved = optimise(book).summary["lower_bound"] - optimise(book.replace(facilities=wide)).summary["lower_bound"]
    assert saved / days == pytest.approx(term.saves_per_day, rel=1e-4)
