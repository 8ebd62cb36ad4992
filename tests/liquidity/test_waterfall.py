"""Sources in the order of use, worked by hand; and fixed orders against going from source to source by hand."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collateral_opt import optimise, read_book
from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.waterfall import Waterfall, waterfall
from collateral_opt.optimiser import solved
from tests.desks import asset, desk, listing

EXAMPLES = Path(__file__).parents[2] / "examples"
AGREEMENT = {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}
CALL = {"call_id": "C", "agreement_id": "A", "currency": "USD", "due": "2026-03-24T16:00:00-04:00"}


@pytest.fixture(scope="module")
def case() -> Book:
    return read_book(EXAMPLES / "liquidity-waterfall")


def column(fall: Waterfall, name: str) -> list[object]:
    return [getattr(source, name) for source in fall.sources]


def test_the_case_by_hand(case: Book) -> None:
    fall = waterfall(optimise(case))
    assert column(fall, "name") == ["CASH", "REDEEM", "REPO", "LINE", "SALE"]
    assert column(fall, "kind") == ["holding", "redemption", "repo", "credit_line", "sale"]
    # REPO: 4,100,000 of bonds at 2 % would raise 4,018,000, its capacity is 4,000,000.
    assert column(fall, "available") == [2e6, 3e6, 4e6, 5e6, 10e6]
    assert column(fall, "cumulative") == [2e6, 5e6, 9e6, 14e6, 24e6]
    assert column(fall, "used") == [2e6, 3e6, 4e6, 1.5e6, 0.0]
    assert column(fall, "left") == [0.0, 0.0, 0.0, 3.5e6, 10e6]
    assert column(fall, "hours") == [0.0, 0.0, 4.0, 6.0, 48.0]
    assert column(fall, "in_time") == [True, True, True, True, False]
    assert column(fall, "cost") == [1.39, 12.5, 89.0, 312.5, 0.0]
    # 1 + 2 for the fund; 15 + 1 / 0.98; 3,333 once are 3,333 * 360 / 5 a year.
    assert column(fall, "rate_bps") == pytest.approx([0.5, 3.0, 15 + 1 / 0.98, 150.0, 3333 * 72])
    assert fall.sources[1].given == (("MMF", 3e6),)
    assert fall.sources[2].given == (("TBONDS", 4_082_000.0),)
    assert (fall.called, fall.covered, fall.shortfall, fall.fixed) == (10.5e6, 10.5e6, 0.0, None)


def test_what_is_short_of_time_comes_last_whatever_it_costs(case: Book) -> None:
    """Due after five hours the line (six) is late, like the sale; 9m of 10.5m are there."""
    calls = case.calls.assign(due=case.calls["due"] - pd.Timedelta(hours=3))
    fall = waterfall(optimise(case.replace(calls=calls)))
    assert column(fall, "name") == ["CASH", "REDEEM", "REPO", "LINE", "SALE"]
    assert column(fall, "in_time") == [True, True, True, False, False]
    assert column(fall, "used") == [2e6, 3e6, 4e6, 0.0, 0.0]
    assert (fall.covered, fall.shortfall) == (9e6, 1.5e6)


def test_a_line_first_by_hand(case: Book) -> None:
    """Line 5m, cash 2m, fund 3m, and 0.5m of repo: 511 lots of 1,000 bonds for 510,204.08."""
    fall = waterfall(optimise(case), ["LINE", "CASH", "REDEEM", "REPO"])
    fixed = fall.fixed
    assert fixed is not None
    assert fixed.order == ("LINE", "CASH", "REDEEM", "REPO", "SALE")
    assert fixed.used == {"LINE": 5e6, "CASH": 2e6, "REDEEM": 3e6, "REPO": 0.5e6, "SALE": 0.0}
    years = 5 / 360 / 1e4
    by_hand = (5e6 * 150 + 2e6 * 0.5 + 3e6 * 3 + 0.5e6 * 15 + 511_000 * 1) * years
    assert fixed.total_cost == pytest.approx(by_hand, abs=1e-4)
    assert fixed.extra_cost == pytest.approx(1066.6819 - 415.3917, abs=1e-3)
    assert fixed.cost["REPO"] == pytest.approx((0.5e6 * 15 + 511_000) * years, abs=0.01)
    assert sum(fixed.cost.values()) == pytest.approx(fixed.total_cost, abs=0.03)
    assert fixed.last == "REPO"
    assert fall.frame["used_in_order"].tolist() == [2e6, 3e6, 0.5e6, 5e6, 0.0]


def test_what_a_source_costs_is_right_to_the_cent(case: Book) -> None:
    """20 calls of 100,000 in cash cost 100,000 * 0.5 bps * 5 / 360 = 0.0694 each, which is shown as 0.07: together they
    are 1.39 and not 1.40."""
    rows = [{**case.calls.iloc[0].to_dict(), "call_id": f"C{n}", "amount": 1e5} for n in range(20)]
    found = solved(case.replace(calls=pd.DataFrame(rows).drop(columns="due_date")))
    cash = next(source for source in waterfall(found).sources if source.name == "CASH")
    assert cash.used == pytest.approx(2e6)
    assert cash.cost == pytest.approx(2e6 * 0.5e-4 * 5 / 360)
    assert round(cash.cost, 2) == 1.39
    assert next(source for source in waterfall(found.result).sources if source.name == "CASH").cost == pytest.approx(
        1.4
    )
    whole = waterfall(solved(case), ["LINE", "CASH", "REDEEM", "REPO"])
    assert sum(source.cost for source in whole.sources) == pytest.approx(whole.total_cost, abs=1e-6)
    assert whole.fixed is not None
    assert sum(whole.fixed.cost.values()) == pytest.approx(whole.fixed.total_cost, abs=1e-6)


def test_the_order_of_the_optimum_costs_nothing(case: Book) -> None:
    fixed = waterfall(optimise(case), ["CASH", "REDEEM", "REPO"]).fixed
    assert fixed is not None
    assert fixed.extra_cost == pytest.approx(0.0, abs=1e-6)


def test_no_order_is_cheaper_than_the_optimum(case: Book) -> None:
    result = optimise(case)
    capacity = {"CASH": 2e6, "REDEEM": 3e6, "REPO": 4e6, "LINE": 5e6}
    for order in list(permutations(capacity))[::6]:
        fixed = waterfall(result, order).fixed
        assert fixed is not None
        left = 10.5e6
        for name in order:
            assert fixed.used[name] == min(left, capacity[name]), order
            left -= fixed.used[name]
        assert fixed.extra_cost >= -1e-6


def test_random_orders_of_cash_against_going_from_one_to_the_next() -> None:
    random = np.random.default_rng(5)
    for _ in range(2):
        quantity = random.integers(100, 2000, 6).astype(float)
        bps = random.integers(1, 200, 6).astype(float)
        amount = float(random.integers(300, int(quantity.sum())))
        book = desk(
            assets=[asset("USD", "cash")],
            holdings=[
                {"holding_id": f"H{i}", "asset_id": "USD", "quantity": q, "cost_bps": b}
                for i, (q, b) in enumerate(zip(quantity, bps, strict=True))
            ],
            agreements=[AGREEMENT],
            calls=[{**CALL, "amount": amount}],
            schedules={"cash": listing(USD=0)},
        )
        order = random.permutation(6).tolist()
        fixed = waterfall(optimise(book), [f"H{i}" for i in order]).fixed
        assert fixed is not None
        left, cost = amount, 0.0
        for i in order:
            taken = min(left, quantity[i])
            assert fixed.used[f"H{i}"] == pytest.approx(taken)
            left, cost = left - taken, cost + taken * bps[i] / 1e4
        assert fixed.total_cost == pytest.approx(cost, abs=1e-6)
        cheapest, left = 0.0, amount
        for i in np.argsort(bps):
            cheapest += min(left, quantity[i]) * bps[i] / 1e4
            left -= min(left, quantity[i])
        assert fixed.extra_cost == pytest.approx(cost - cheapest, abs=1e-6)


def both_ways(amount: float) -> Book:
    """Bonds of 1,000 that the call takes at 10 %, and a repo (cash for the same call) at 2 %."""
    return desk(
        assets=[asset("USD", "cash"), asset("B", lot_size=0.01)],
        holdings=[{"holding_id": "BONDS", "asset_id": "B", "quantity": 1000.0, "cost_bps": 9.0}],
        agreements=[{**AGREEMENT, "schedule": "wide"}],
        calls=[{**CALL, "amount": amount}],
        facilities=[
            {"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "b", "capacity": 500.0, "cost_bps": 20.0}
        ],
        schedules={"wide": listing(USD=0, B=0.1), "b": listing(B=0.02)},
    )


def test_nothing_is_counted_twice() -> None:
    """Delivering costs 9 / 0.9 = 10 bps, the repo 20 + 9 / 0.98; bonds that were delivered cannot be repoed."""
    fall = waterfall(optimise(both_ways(450.0)))
    assert column(fall, "name") == ["BONDS", "REPO"]
    assert column(fall, "rate_bps") == pytest.approx([10.0, 20 + 9 / 0.98])
    assert column(fall, "available") == pytest.approx([900.0, 0.0])
    # All 1,000 are needed: 0.9 x + 0.98 (1,000 - x) = 940 where x = 500.
    fall = waterfall(optimise(both_ways(940.0)))
    assert column(fall, "used") == pytest.approx([450.0, 490.0])
    assert column(fall, "cumulative") == pytest.approx([450.0, 940.0])


def test_a_holding_that_is_not_to_be_delivered_yet_still_feeds_a_facility() -> None:
    """The repo first: 450 of cash for 459.19 of bonds; delivering bonds is never come to."""
    fixed = waterfall(optimise(both_ways(450.0)), ["REPO", "BONDS"]).fixed
    assert fixed is not None
    assert fixed.used == {"REPO": 450.0, "BONDS": 0.0}
    assert fixed.total_cost == pytest.approx((450 * 20 + 459.19 * 9) / 1e4, abs=1e-5)
    assert fixed.last == "REPO"


def test_proceeds_that_another_facility_takes_are_its_own() -> None:
    """1,000 EUR at 1.10 through a swap that takes the repo's dollars: the swap bears it all, the repo passes on."""
    book = desk(
        assets=[asset("USD", "cash"), asset("EUR", "cash", "EUR"), asset("UST", lot_size=100.0)],
        holdings=[{"holding_id": "BONDS", "asset_id": "UST", "quantity": 5000.0, "cost_bps": 2.0}],
        agreements=[{**AGREEMENT, "schedule": "euro", "base_currency": "EUR"}],
        calls=[{**CALL, "amount": 1000.0, "currency": "EUR"}],
        facilities=[
            {"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "bonds", "capacity": 2200.0,
             "cost_bps": 10.0, "access_hours": 1.0},
            {"facility_id": "SWAP", "kind": "fx", "gives": "EUR", "takes": "usd", "capacity": 1e4,
             "cost_bps": 10.0, "access_hours": 2.0},
        ],
        fx=[{"currency": "EUR", "rate": 1.1}],
        schedules={"euro": listing(EUR=0), "usd": listing(USD=0), "bonds": listing(UST=0.02)},
    )  # fmt: skip
    result = optimise(book)
    swap, repo = waterfall(result).sources
    assert (swap.name, swap.used, swap.given) == ("SWAP", 1100.0, (("REPO", 1100.0),))
    assert swap.rate_bps == pytest.approx(10 + 10 + 2 / 0.98)
    assert swap.cost == pytest.approx(result.total_cost, abs=0.005)
    # 1,100 more of dollars could still be raised, and swapped.
    assert swap.available == pytest.approx(2200.0)
    assert (repo.name, repo.used, repo.passed_on, repo.cost) == ("REPO", 0.0, 1100.0, 0.0)
    assert swap.cumulative == pytest.approx(2200.0)


@pytest.mark.parametrize("name", ["desk", "received", "substitution", "hqla-buffer", "in-flight"])
def test_what_sources_bear_adds_up_to_the_cost(name: str) -> None:
    result = optimise(read_book(EXAMPLES / name))
    fall = waterfall(result)
    rows = len(result.allocation) + len(result.financing)
    assert sum(s.cost for s in fall.sources) + fall.elsewhere == pytest.approx(result.total_cost, abs=0.01 * rows)
    delivered = result.allocation[result.allocation["action"] == "deliver"]
    assert sum(s.used for s in fall.sources) == pytest.approx(delivered["collateral_value"].sum())
    assert all(s.used <= s.available * (1 + 1e-12) + 0.01 for s in fall.sources)


def test_an_order_that_cannot_be_is_said_all_at_once(case: Book) -> None:
    with pytest.raises(UsageError) as said:
        waterfall(optimise(case), ["LINE", "MMF", "LINE", "REEPO"])
    text = str(said.value)
    assert "names LINE twice" in text
    assert "MMF is no source of these calls; name the facility that takes it." in text
    assert "REEPO is no source of these calls. Did you mean REPO? " in text
