"""Whole lots on desks where rounding is not a detail: large pools, smallest lines, priorities, and tolerances."""

from __future__ import annotations

import random
from typing import Any

import pytest

from collateral_opt import optimise
from collateral_opt.book import Book
from collateral_opt.network.network import Floats
from collateral_opt.result import Result
from collateral_opt.solve import executable, polishing
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.seam import Limits, Solver
from tests.desks import Row, asset, desk
from tests.judges.books import random_book

ALL: Row = {"rules": [{"label": "all", "haircut": 0}]}


def plain(assets: list[Row], holdings: list[Row], calls: list[Row], agreement: Row | None = None, **more: Any) -> Book:
    return desk(
        assets=assets,
        holdings=holdings,
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s", **(agreement or {})}],
        calls=[{"agreement_id": "A", "currency": "USD", **call} for call in calls],
        schedules=more.pop("schedules", {"s": ALL}),
        **more,
    )


def held(i: int, quantity: float, cost: float = 1.0, asset_id: str | None = None) -> Row:
    return {"holding_id": f"H{i}", "asset_id": asset_id or f"B{i}", "quantity": quantity, "cost_bps": cost}


def shortfalls(result: Result) -> dict[str, float]:
    return dict(zip(result.calls["call_id"], result.calls["shortfall"], strict=True))


def test_a_large_desk_of_coarse_lots_is_covered_where_there_is_plenty() -> None:
    """2,100 bonds of which many hold less than one lot; the call is under a third of what there is in whole lots."""
    draw = random.Random(0)
    count = 2100
    assets = [asset(f"B{i}", lot_size=float(draw.choice([1000, 7000]))) for i in range(count)]
    holdings = [held(i, 1000.0 * draw.randint(5, 20), draw.uniform(1, 30)) for i in range(count)]
    result = optimise(plain(assets, holdings, [{"call_id": "C", "amount": 0.3 * sum(h["quantity"] for h in holdings)}]))
    assert shortfalls(result) == {"C": 0.0}


def test_the_smallest_line_is_whole_lots() -> None:
    """The second bond's least 21 units are 25 in lots of 5: 75 of value cover the call of 37."""
    assets = [asset("B0", lot_size=10.0, price=0.5), asset("B1", lot_size=5.0, price=3.0, min_denomination=21.0)]
    calls = [{"call_id": "C0", "amount": 4.0}, {"call_id": "C1", "amount": 37.0}]
    result = optimise(plain(assets, [held(0, 60.0, 7.0), held(1, 30.5, 0.0)], calls, {"min_line_value": 12.0}))
    assert shortfalls(result) == {"C0": 0.0, "C1": 0.0}
    # C0: 12 of value is 24 units, so 30 in lots of 10.
    assert sorted(result.allocation["quantity"]) == [25.0, 30.0]


@pytest.mark.parametrize(
    ("assets", "holding", "agreement"),
    [
        ([asset("USD", "cash")], held(0, 700.0, 0.0, "USD"), {"min_line_value": 100.0, "cash_return_bps": 5.0}),
        ([asset("B0", min_denomination=1000.0)], held(0, 7000.0, -3.0), {}),
    ],
    ids=["cash that earns", "a bond that earns"],
)
def test_the_bound_knows_that_a_smallest_line_which_earns_overshoots(
    assets: list[Row], holding: Row, agreement: Row
) -> None:
    result = optimise(plain(assets, [holding], [{"call_id": "C", "amount": 10.0}], agreement))
    assert shortfalls(result) == {"C": 0.0}
    assert result.summary["lower_bound"] <= result.total_cost < 0


@pytest.mark.parametrize("seed", range(12))
def test_a_shortfall_below_what_a_solver_can_tell_is_still_an_answer(seed: int) -> None:
    """All of a billion but half a unit is asked for, and a little more: the last priority is short by the rest."""
    draw = random.Random(seed)
    holdings = [held(i, float(draw.randint(10**7, 10**8)), draw.uniform(1, 9)) for i in range(20)]
    little = draw.choice([0.75, 2.0, 10.0])
    calls = [
        {"call_id": "C0", "amount": sum(h["quantity"] for h in holdings) - 0.5, "priority": 1},
        {"call_id": "C1", "amount": little, "priority": 2},
    ]
    result = optimise(plain([asset(f"B{i}", lot_size=0.25) for i in range(20)], holdings, calls))
    assert shortfalls(result) == {"C0": 0.0, "C1": little - 0.5}


def test_the_earlier_priority_is_whole_where_one_unit_is_missing_of_a_billion() -> None:
    calls = [{"call_id": "C2", "amount": 1.0, "priority": 1}, {"call_id": "C1", "amount": 1e9, "priority": 2}]
    result = optimise(plain([asset("USD", "cash")], [held(0, 1e9, 0.0, "USD")], calls))
    assert shortfalls(result) == {"C1": 1.0, "C2": 0.0}


@pytest.mark.parametrize("seed", range(4))
def test_calls_of_later_priority_never_make_an_earlier_one_shorter(seed: int) -> None:
    draw = random.Random(seed)
    assets = [asset(f"B{i}", lot_size=float(draw.choice([1000, 10_000, 100_000]))) for i in range(40)]
    holdings = [held(i, 1000.0 * draw.randint(100, 900), draw.uniform(1, 30)) for i in range(40)]
    total = sum(h["quantity"] for h in holdings)
    calls = [
        {"call_id": f"C{j}", "amount": round(1.02 * total / 12 * draw.uniform(0.5, 1.5), 2), "priority": 1 + j % 3}
        for j in range(12)
    ]
    all_of_them = shortfalls(optimise(plain(assets, holdings, calls)))
    for most in (1, 2):
        first = [call for call in calls if call["priority"] <= most]
        alone = shortfalls(optimise(plain(assets, holdings, first)))
        assert sum(all_of_them[call["call_id"]] for call in first) <= sum(alone.values()) + 0.01


def test_two_limits_of_one_name_and_two_caps_of_one_kind_are_told_apart() -> None:
    bonds = {"label": "L", "select": {"asset_type": "debt"}, "of": "money"}
    caps = {
        "label": "K", "select": {"asset_type": "debt"},
        "caps": [{"of": "requirement", "max": 0.4}, {"of": "requirement", "max": 0.9}],
    }  # fmt: skip
    limits = [{**bonds, "max": {"amount": m, "currency": "USD"}} for m in (400.0, 300.0)]
    book = plain(
        [asset("USD", "cash"), asset("B0")],
        [held(0, 1e6, 9.0, "USD"), held(1, 1e6, 1.0, "B0")],
        [{"call_id": "C", "amount": 500.0}],
        schedules={"s": {**ALL, "limits": [caps, *limits]}},
    )
    result = optimise(book)
    rows = result.limits.set_index("limit")
    assert rows["cap"].to_dict() == {"K": 200.0, "L": 400.0, "L (2)": 300.0}
    # A unit more of the cap replaces cash at 9 by the bond at 1 bps; a unit more of the call is 0.4 bond, 0.6 cash.
    assert rows["shadow_price"].to_dict() == pytest.approx({"K": 8.0, "L": 0.0, "L (2)": 0.0})
    assert result.calls["marginal_cost_bps"].tolist() == pytest.approx([9 - 0.4 * 8])


def test_what_one_call_gives_back_may_let_another_give_back_too() -> None:
    """Under shares of what is posted, a lot less at one call can be what keeps a line of another from shrinking."""
    # The checker refuses an answer that could give back more.
    assert optimise(random_book(1002, "small", facilities=True).to_book()).status == "optimal"


def test_other_lines_for_a_call_left_short_are_asked_for_only_so_often_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing helps the calls of this book that are short: ever more integer programs would only take time."""
    tried: list[tuple[int, float]] = []

    def polish(ledger: Ledger, price: Floats, solver: Solver, limits: Limits, fine: float, *aim: Any) -> None:
        before = ledger.snapshot()
        polishing.polish(ledger, price, solver, limits, fine, *aim)
        tried.append((len(ledger.edge), fine))
        if fine == polishing.COARSE:
            assert ledger.snapshot() == before

    monkeypatch.setattr(executable, "polish", polish)
    result = optimise(random_book(8, "medium", max_lines=True).to_book())
    assert sum(short > 0 for short in shortfalls(result).values()) > 1
    others = [edges for edges, fine in tried if fine == polishing.COARSE]
    assert 1 <= len(others) <= max(executable.PATIENCE, executable.IN_VAIN // min(others))
