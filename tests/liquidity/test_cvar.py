"""The mean lack over the worst scenarios is nothing: by hand, and against one linear program over all of them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pulp
import pytest

from collateral_opt import Book, Change, Session
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.buffer import Candidate, Needs, size_buffer
from collateral_opt.liquidity.cvar import cvar_buffer, tail_mean
from collateral_opt.liquidity.needs import with_candidates
from tests.desks import asset, desk, listing

CASH = Candidate("cash", "USD", cost_bps=50)
BONDS = Candidate("bonds", "UST", cost_bps=20)
OWN = 2e5


def two_calls(cash: float = OWN) -> Book:
    """C takes cash alone, D bonds too, at 5 %."""
    return desk(
        assets=[asset("USD", "cash"), asset("UST")],
        holdings=[{"holding_id": "H", "asset_id": "USD", "quantity": cash}],
        agreements=[
            {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"},
            {"agreement_id": "B", "counterparty": "Broker", "schedule": "wide"},
        ],
        calls=[
            {"call_id": "C", "agreement_id": "A", "amount": 1e6, "currency": "USD"},
            {"call_id": "D", "agreement_id": "B", "amount": 1e6, "currency": "USD"},
        ],
        schedules={"cash": listing(USD=0), "wide": listing(USD=0, UST=0.05)},
    )


def four() -> list[Change]:
    """Calls of 2, 3, 5 and 10m against 2m of cash: 0, 1, 3 and 8m are lacking."""
    return [Change(f"s{n}", calls={"C": amount, "D": 0.0}) for n, amount in enumerate([2e6, 3e6, 5e6, 10e6])]


@pytest.mark.parametrize(
    ("share", "value"),
    [
        (1.0, 8e6),  # a tail of less than one scenario is the worst
        (0.9, 8e6),
        (0.75, 8e6),
        (0.6, 6.125e6),  # 1.6 scenarios: (8 + 0.6 * 3) / 1.6
        (0.5, 5.5e6),  # (8 + 3) / 2
        (0.0, 3e6),  # the mean of all: what is to spare counts, (0 + 1 + 3 + 8) / 4
    ],
)
def test_the_worst_lack_nothing_in_the_mean(share: float, value: float) -> None:
    book = two_calls(2e6)
    plan = cvar_buffer(book, four(), [CASH], share)
    assert plan.value == pytest.approx(value, abs=0.011)
    assert plan.gap <= 1e-6
    needs = Needs(book, four(), [CASH])
    assert tail_mean(book, needs, np.array([value]), share) == pytest.approx(0.0, abs=0.01)
    assert tail_mean(book, needs, np.array([value - 1e5]), share) == pytest.approx(1e5, abs=0.01)


def test_no_more_scenarios_are_short_than_the_share_allows() -> None:
    """It is the conservative one: 5.5m where 1m survives half of them."""
    assert cvar_buffer(two_calls(2e6), four(), [CASH], 0.5).short == ("s3",)
    assert size_buffer(two_calls(2e6), four(), [CASH], 0.5).short == ("s2", "s3")


def drawn(seed: int, count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [dict(zip("CD", np.round(rng.lognormal(13, 1.0, 2), 2).tolist(), strict=True)) for _ in range(count)]


def by_hand(calls: list[dict[str, float]], share: float) -> float:
    """The least yearly cost by CBC: one linear program with the flows of every scenario, and cash added or spared."""
    problem = pulp.LpProblem("tail", pulp.LpMinimize)
    cash, bonds, eta = pulp.LpVariable("cash", 0), pulp.LpVariable("bonds", 0), pulp.LpVariable("eta")
    problem += 0.005 * cash + 0.002 * bonds
    excess = [pulp.LpVariable(f"w{s}", 0) for s in range(len(calls))]
    problem += eta + pulp.lpSum(excess) / ((1 - share) * len(calls)) <= 0
    for s, called in enumerate(calls):
        extra = pulp.LpVariable(f"t{s}")
        x = {key: pulp.LpVariable(f"x{s}{key}", 0) for key in ("C", "D", "bonds")}
        problem += cash + extra >= 0
        problem += x["C"] + x["D"] <= OWN + cash + extra
        problem += x["bonds"] <= bonds
        problem += x["C"] == called["C"]
        problem += x["D"] + 0.95 * x["bonds"] == called["D"]
        problem += excess[s] >= extra - eta
    problem.solve(pulp.PULP_CBC_CMD(msg=False))
    assert problem.status == pulp.LpStatusOptimal
    return float(pulp.value(problem.objective))


@pytest.mark.parametrize(("seed", "share"), list(product(range(2), (0.5, 0.75, 0.9))))
def test_the_cost_is_that_of_one_linear_program_over_all_scenarios(seed: int, share: float) -> None:
    calls = drawn(seed, 20)
    plan = cvar_buffer(two_calls(), [Change(f"s{s}", calls=c) for s, c in enumerate(calls)], [CASH, BONDS], share)
    assert plan.bound == pytest.approx(by_hand(calls, share), rel=1e-6)
    # Whole bonds and cents, and what is left of the gap.
    assert plan.bound * (1 - 1e-9) <= plan.cost_a_year <= plan.bound * (1 + 1e-6) + 0.01
    assert len(plan.short) <= (1 - share) * 20


def test_a_session_with_the_buffer_survives_what_the_plan_says() -> None:
    changes = [Change(f"s{s}", calls=c) for s, c in enumerate(drawn(7, 20))]
    plan = cvar_buffer(two_calls(), changes, [CASH, BONDS], 0.8)
    session = Session(with_candidates(two_calls(), [CASH, BONDS], [plan.values["cash"], plan.values["bonds"]]))
    assert {c.name for c in changes if not session.solve(c).is_covered} == set(plan.short)
    assert len(plan.short) <= 4


def bonds_only() -> Book:
    """D takes bonds alone: cash is no help there."""
    return two_calls().replace(schedules={"wide": listing(UST=0.05)})


def test_what_cash_cannot_meet_is_met_by_what_can() -> None:
    """D of 0.95m and 1.9m wants 1m and 2m of bonds in every scenario that counts: 2m; cash only what C lacks."""
    changes = [Change("one", calls={"C": 5e5, "D": 0.95e6}), Change("two", calls={"C": 1e5, "D": 1.9e6})]
    plan = cvar_buffer(bonds_only(), changes, [CASH, BONDS], 0.5)
    assert plan.quantities["bonds"] in (2e6, 2e6 + 1)
    assert plan.quantities["cash"] == pytest.approx(3e5, abs=0.02)


def test_lost_scenarios_shorten_the_tail() -> None:
    """Of five scenarios one wants bonds that cannot be had: at 60 % one of the others remains, the worst."""
    changes = [Change(f"s{n}", calls={"C": amount, "D": 0.0}) for n, amount in enumerate([2e5, 3e5, 5e5, 1e6])]
    changes.append(Change("beyond", calls={"C": 0.0, "D": 1e6}))
    plan = cvar_buffer(bonds_only(), changes, [CASH], 0.6)
    assert plan.value == 8e5
    assert plan.lost == plan.short == ("beyond",)
    with pytest.raises(UsageError, match=r"1 of 5 are lost with the most of each \(beyond\). Ask for 0.8 at most"):
        cvar_buffer(bonds_only(), changes, [CASH], 0.9)


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ([BONDS], "let cash that is held be one of the candidates"),
        ([Candidate("cash", "USD", 0)], "no candidate costs anything"),
        ([Candidate("cash", "USD", 10, most=1e6)], r"the most of each candidate \(cash 1,000,000.00\) is not enough"),
    ],
)
def test_what_cannot_be_sized_is_said(candidates: list[Candidate], said: Any) -> None:
    with pytest.raises(UsageError, match=said):
        cvar_buffer(two_calls(2e6), four(), candidates, 0.75)
