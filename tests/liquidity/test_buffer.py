"""Buffers are the least that survive so many scenarios: by hand, by all subsets, and by sessions that look again."""

from __future__ import annotations

from itertools import combinations
from math import floor
from typing import Any

import numpy as np
import pandas as pd
import pulp
import pytest

from collateral_opt import Book, Change, Session, read_book
from collateral_opt.errors import BookError, UsageError
from collateral_opt.generate import write_book
from collateral_opt.liquidity.buffer import BufferPlan, Candidate, Needs, Sizing, curve, size_buffer
from collateral_opt.liquidity.needs import with_candidates
from tests.desks import asset, desk, listing
from tests.judges.books import random_book

CASH = Candidate("cash", "USD", cost_bps=50)
BONDS = Candidate("bonds", "UST", cost_bps=20)


def one_call(**more: Any) -> Book:
    """A call that takes cash alone, and 2m of that."""
    parts: dict[str, Any] = {
        "assets": [asset("USD", "cash"), asset("UST")],
        "holdings": [{"holding_id": "H", "asset_id": "USD", "quantity": 2e6}],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}],
        "calls": [{"call_id": "C", "agreement_id": "A", "amount": 1e6, "currency": "USD"}],
        "schedules": {"cash": listing(USD=0)},
    }
    return desk(**{**parts, **more})


def four() -> list[Change]:
    """Calls of 2, 3, 5 and 10m against 2m of cash: 0, 1, 3 and 8m are lacking."""
    return [Change(f"s{n}", calls={"C": amount}) for n, amount in enumerate([2e6, 3e6, 5e6, 10e6])]


def two_agreements() -> Book:
    """A call of 1m that takes cash alone, one of 1.9m that takes bonds too, at 5 %; nothing is held."""
    return desk(
        assets=[asset("USD", "cash"), asset("UST")],
        holdings=[{"holding_id": "H", "asset_id": "USD", "quantity": 0.0}],
        agreements=[
            {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"},
            {"agreement_id": "B", "counterparty": "Broker", "schedule": "wide"},
        ],
        calls=[
            {"call_id": "C", "agreement_id": "A", "amount": 1e6, "currency": "USD"},
            {"call_id": "D", "agreement_id": "B", "amount": 1.9e6, "currency": "USD"},
        ],
        schedules={"cash": listing(USD=0), "wide": listing(USD=0, UST=0.05)},
    )


def either_call(book: Book) -> list[Book]:
    """In one scenario only C is called, in the other only D."""
    return [book.replace(calls=book.calls[book.calls["call_id"] == name].reset_index(drop=True)) for name in "CD"]


@pytest.mark.parametrize(
    ("share", "value", "short"),
    [(1.0, 8e6, ()), (0.75, 3e6, ("s3",)), (0.5, 1e6, ("s2", "s3")), (0.25, 0.0, ("s1", "s2", "s3")), (0.76, 8e6, ())],
)
def test_all_but_the_worst_scenarios_are_survived(share: float, value: float, short: tuple[str, ...]) -> None:
    plan = size_buffer(one_call(), four(), [CASH], share)
    assert (plan.value, plan.short) == (value, short)
    assert plan.survived == 4 - len(short)
    # 50 bps of it a year.
    assert plan.cost_a_year == pytest.approx(value * 0.005)
    assert plan.gap <= 1e-6


def test_the_smallest_buffer_and_the_cheapest_are_not_the_same() -> None:
    """C wants 1m of cash, D 1.9m of cash or 1.9m / 0.95 = 2m of bonds; never both at once.

    Smallest: 1.9m of cash, at 50 bps 9,500 a year. Cheapest: 1m of cash for C; for D its other 0.9m from
    0.9m / 0.95 = 947,368.42 of bonds at 20 bps: 5,000 + 1,894.74 = 6,894.74; bonds come in whole units.
    """
    book = two_agreements()
    smallest = size_buffer(book, either_call(book), [CASH, BONDS], 1.0, "value")
    assert smallest.quantities == {"cash": 1.9e6, "bonds": 0.0}
    assert smallest.cost_a_year == pytest.approx(9_500)
    cheapest = size_buffer(book, either_call(book), [CASH, BONDS], 1.0, "cost")
    assert cheapest.quantities == {"cash": 1e6, "bonds": 947_369.0}
    assert cheapest.cost_a_year == pytest.approx(6_894.74, abs=0.005)
    assert cheapest.bound == pytest.approx(5_000 + 1_800 / 0.95, abs=1e-4)


def test_of_the_smallest_buffers_a_cheapest_one_is_taken() -> None:
    """Bonds without a haircut are as good as cash for D, and cost less: 1m of cash for C, 0.9m of bonds for D."""
    book = two_agreements().replace(schedules={"wide": listing(USD=0, UST=0)})
    plan = size_buffer(book, either_call(book), [CASH, BONDS], 1.0, "value")
    assert plan.quantities == {"cash": 1e6, "bonds": 9e5}
    assert plan.value == 1.9e6


def test_scenarios_of_figures_are_those_of_whole_books() -> None:
    """Nothing of a call of 0 is called: the same buffers from changes as from books without the call."""
    book = two_agreements()
    changes = [Change(calls={"D": 0.0}), Change(calls={"C": 0.0})]
    for aim in ("value", "cost"):
        by_change = size_buffer(book, changes, [CASH, BONDS], 1.0, aim)  # type: ignore[arg-type]
        by_book = size_buffer(book, either_call(book), [CASH, BONDS], 1.0, aim)  # type: ignore[arg-type]
        assert by_change.quantities == by_book.quantities


# What follows is written out on its own: scenario by scenario what each holding can give to each call.
TAKEN = {
    ("A", "USD"): 1.0,
    ("B", "USD"): 1.0,
    ("B", "UST"): 0.95,
    ("B", "GOV"): 0.9,
    ("E", "GOV"): 0.98,
    ("E", "USD"): 1,
}
OWN = {"USD": 3e5, "UST": 4e5}
RATES = {"USD": 0.006, "UST": 0.002, "GOV": 0.003}
CAP = 0.5
"""Of what is called at B, bonds GOV may cover no more than this share, after haircut."""


def three_calls() -> Book:
    return desk(
        assets=[asset("USD", "cash"), asset("UST", issuer="U"), asset("GOV", issuer="G")],
        holdings=[{"holding_id": f"own {name}", "asset_id": name, "quantity": held} for name, held in OWN.items()],
        agreements=[{"agreement_id": a, "counterparty": f"Bank {a}", "schedule": a} for a in "ABE"],
        calls=[{"call_id": a, "agreement_id": a, "amount": 1e6, "currency": "USD"} for a in "ABE"],
        schedules={
            "A": listing(USD=0),
            "B": {
                **listing(USD=0, UST=0.05, GOV=0.1),
                "limits": [
                    {
                        "label": "gov",
                        "select": {"asset_id": "GOV"},
                        "measure": "value_after_haircut",
                        "of": "requirement",
                        "max": CAP,
                    }
                ],
            },
            "E": listing(USD=0, GOV=0.02),
        },
    )


def drawn(seed: int, count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [dict(zip("ABE", np.round(rng.lognormal(13, 1.0, 3), 2).tolist(), strict=True)) for _ in range(count)]


def by_hand(
    calls: list[dict[str, float]], rates: dict[str, float], give_up: int | None, gone: tuple[int, ...] = ()
) -> float:
    """The least cost of a buffer by CBC, all scenarios at once: an integer program, or without those ``gone``."""
    problem = pulp.LpProblem("buffer", pulp.LpMinimize)
    buffer = {name: pulp.LpVariable(f"b{name}", 0) for name in RATES}
    lost = [
        pulp.LpVariable(f"z{s}", cat="Binary") if give_up is not None else int(s in gone) for s in range(len(calls))
    ]
    problem += pulp.lpSum(rates[name] * each for name, each in buffer.items())
    if give_up is not None:
        problem += pulp.lpSum(lost) <= give_up
    for s, called in enumerate(calls):
        x = {key: pulp.LpVariable(f"x{s}_{key[0]}_{key[1]}", 0) for key in TAKEN}
        for name, each in buffer.items():
            problem += pulp.lpSum(flow for (_, what), flow in x.items() if what == name) <= OWN.get(name, 0) + each
        for a, amount in called.items():
            covered = pulp.lpSum(TAKEN[key] * flow for key, flow in x.items() if key[0] == a)
            problem += covered >= amount * (1 - lost[s])
        problem += TAKEN["B", "GOV"] * x["B", "GOV"] <= CAP * called["B"]
    problem.solve(pulp.PULP_CBC_CMD(msg=False, gapRel=1e-9))
    assert problem.status == pulp.LpStatusOptimal
    return float(pulp.value(problem.objective))


@pytest.mark.parametrize("seed", range(4))
def test_the_buffer_is_the_least_over_every_choice_of_what_to_give_up(seed: int) -> None:
    """8 scenarios of which 2 may be given up: 28 linear programs, by another solver from another formulation."""
    calls = drawn(seed, 8)
    candidates = [Candidate(name, name, rate * 1e4) for name, rate in RATES.items()]
    needs = Needs(three_calls(), [Change(f"s{s}", calls=c) for s, c in enumerate(calls)], candidates)
    for aim, rates in (("cost", RATES), ("value", dict.fromkeys(RATES, 1.0))):
        plan = size_buffer(three_calls(), needs, candidates, 0.75, aim)  # type: ignore[arg-type]
        least = min(by_hand(calls, rates, None, gone) for gone in combinations(range(8), 2))
        reached = plan.cost_a_year if aim == "cost" else plan.value
        assert plan.bound == pytest.approx(least, rel=1e-6)
        # Whole bonds of 1.00 and cents of cash, and 1e-6 of slack.
        assert least * (1 - 1e-7) <= reached <= least * (1 + 2e-6) + 3
        assert len(plan.short) <= 2


def test_the_buffer_is_that_of_one_integer_program_over_all_scenarios() -> None:
    calls = drawn(11, 30)
    candidates = [Candidate(name, name, rate * 1e4) for name, rate in RATES.items()]
    changes = [Change(f"s{s}", calls=c) for s, c in enumerate(calls)]
    for share in (0.9, 0.8):
        plan = size_buffer(three_calls(), changes, candidates, share, "cost")
        assert plan.bound == pytest.approx(by_hand(calls, RATES, floor((1 - share) * 30 + 1e-9)), rel=1e-6)
        assert plan.gap <= 1e-5


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Book:
    folder = tmp_path_factory.mktemp("generated") / "book"
    write_book(folder, holdings=40, calls=8, agreements=4, seed=7)
    return read_book(folder)


@pytest.mark.parametrize("aim", ["value", "cost"])
def test_a_session_with_the_buffer_survives_just_what_the_plan_says(generated: Book, aim: Any) -> None:
    """Calls and prices move, those of the candidates too; limits leave 4 of 20 scenarios beyond saving."""
    book, rng = generated, np.random.default_rng(3)
    debt = book.assets["asset_id"][book.assets["asset_type"] == "debt"].tolist()
    price = dict(zip(book.assets["asset_id"], book.assets["price"], strict=True))
    called = dict(zip(book.calls["call_id"], book.calls["amount"], strict=True))
    changes = [
        Change(
            f"s{s}",
            calls={name: amount * float(rng.lognormal(1.0, 0.5)) for name, amount in called.items()},
            prices={name: price[name] * float(rng.uniform(0.8, 1.05)) for name in debt},
        )
        for s in range(20)
    ]
    candidates = [Candidate("usd", "USD", 60), Candidate("eur", "EUR", 55)]
    candidates += [Candidate(name, name, 25) for name in debt[:6:2]]

    def short(factor: float, values: dict[str, float]) -> set[str]:
        """What is not covered with so much of the buffer."""
        session = Session(with_candidates(book, candidates, [factor * values[c.name] for c in candidates]))
        found = {change.name: session.solve(change).total_shortfall for change in changes}
        return {c.name for c in changes if found[c.name] > 1e-7 * sum(c.calls.values())}

    plan = size_buffer(book, changes, candidates, 0.6, aim)
    assert plan.value > 0 and len(plan.short) <= 8
    assert short(1.0, dict(plan.values)) == set(plan.short)
    assert short(1.0, dict.fromkeys(plan.values, 1e12)) == set(plan.lost) != set()
    assert len(short(0.99, dict(plan.values))) > 8


def test_a_price_that_halves_takes_twice_as_many_bonds() -> None:
    """D of 1.9m from bonds at 0.50: 4m of them, 4m at today's price."""
    book = two_agreements()
    plan = size_buffer(book, [Change(calls={"C": 0.0}, prices={"UST": 0.5})], [BONDS], 1.0)
    assert plan.quantities == {"bonds": 4e6}
    assert plan.value == 4e6


def test_what_is_lost_is_named_and_counted() -> None:
    """C takes no bonds: whatever there is of them, its scenario is lost, and no share above a half can be had."""
    book = two_agreements()
    with pytest.raises(UsageError, match=r"1 of 2 are lost with the most of each \(scenario 1\). Ask for 0.5 at most"):
        size_buffer(book, either_call(book), [BONDS], 1.0)
    plan = size_buffer(book, either_call(book), [BONDS], 0.5)
    assert plan.quantities == {"bonds": 2e6}
    assert plan.lost == plan.short == ("scenario 1",)


def test_the_most_of_a_candidate_is_kept() -> None:
    """1.5m of cash at most, the rest of D from bonds: 0.4m / 0.95; C needs 1m of cash."""
    book = two_agreements()
    few = Candidate("cash", "USD", 1, most=1.5e6)
    plan = size_buffer(book, either_call(book), [few, BONDS], 1.0, "cost")
    assert plan.quantities == {"cash": 1.5e6, "bonds": 421_053.0}


@pytest.mark.parametrize(
    ("most", "lots"),
    [
        (2711.1, 3),  # 3 lots of 903.7, a quotient a hair below 3
        (2711.0, 2),
    ],
)
def test_the_most_of_a_candidate_is_whole_lots_of_it(most: float, lots: int) -> None:
    """Bonds at 90.37 in lots of 1,000: 903.7 a lot. Of the 4,711.1 called, what they do not meet is met in cash."""
    book = one_call(
        assets=[asset("USD", "cash"), asset("UST", price=90.37, price_factor=0.01, lot_size=1000)],
        holdings=[{"holding_id": "H", "asset_id": "USD", "quantity": 2000.0}],
        schedules={"cash": listing(USD=0, UST=0)},
    )
    bonds = Candidate("bonds", "UST", cost_bps=20, most=most)
    plan = size_buffer(book, [Change("s", calls={"C": 4711.1})], [bonds, CASH], 1.0, "cost")
    assert plan.quantities["bonds"] == 1000 * lots
    assert plan.quantities["cash"] == pytest.approx(2711.1 - 903.7 * lots, abs=0.011)
    assert (plan.short, plan.bound) == ((), pytest.approx(plan.cost_a_year, rel=1e-4))


def test_nothing_is_sold() -> None:
    """The stock could be sold for all of the call; the buffer is as large as without it."""
    book = one_call(
        assets=[asset("USD", "cash"), asset("UST"), asset("S", "equity")],
        holdings=[
            {"holding_id": "H", "asset_id": "USD", "quantity": 2e6},
            {"holding_id": "stock", "asset_id": "S", "quantity": 1e8},
        ],
        facilities=[{"facility_id": "sale", "kind": "sale", "gives": "USD", "takes": "stock", "capacity": 1e8}],
        schedules={"cash": listing(USD=0), "stock": listing(S=0)},
    )
    assert Session(book).solve(four()[3]).is_covered
    assert size_buffer(book, four(), [CASH], 1.0).value == 8e6


def test_bonds_are_repoed_where_the_book_has_a_line_for_them() -> None:
    """Repo gives 1m of cash at most for bonds at 2 %: 1m / 0.98 of them, the other 7m are cash."""
    book = one_call(
        facilities=[{"facility_id": "repo", "kind": "repo", "gives": "USD", "takes": "bonds", "capacity": 1e6}],
        schedules={"cash": listing(USD=0), "bonds": listing(UST=0.02)},
    )
    plan = size_buffer(book, four(), [CASH, BONDS], 1.0, "cost")
    assert plan.quantities == {"cash": 7e6, "bonds": 1_020_409.0}


def test_a_line_is_of_use_when_it_can_be_drawn_in_time() -> None:
    """A line at 10 bps that takes four hours meets what is due in eight, not what is due in two."""
    call = {"call_id": "C", "agreement_id": "A", "amount": 1e6, "currency": "USD"}
    line = Candidate("line", "USD", cost_bps=10, is_line=True, access_hours=4)
    late = one_call(calls=[{**call, "due": "2026-03-24T16:00:00-04:00"}])
    assert size_buffer(late, four(), [CASH, line], 1.0, "cost").quantities == {"cash": 0.0, "line": 8e6}
    soon = one_call(calls=[{**call, "due": "2026-03-24T10:00:00-04:00"}])
    assert size_buffer(soon, four(), [CASH, line], 1.0, "cost").quantities == {"cash": 8e6, "line": 0.0}


def test_calls_beyond_the_horizon_are_not_looked_at() -> None:
    calls = [
        {"call_id": "C", "agreement_id": "A", "amount": 1e6, "currency": "USD", "due": "2026-03-24T16:00:00-04:00"},
        {"call_id": "L", "agreement_id": "A", "amount": 5e6, "currency": "USD", "due": "2026-03-30T16:00:00-04:00"},
    ]
    book, changes = one_call(calls=calls), [Change(calls={"C": 3e6, "L": 9e6})]
    assert size_buffer(book, changes, [CASH], 1.0).value == 10e6
    assert size_buffer(book, changes, [CASH], 1.0, horizon=pd.Timedelta(days=1)).value == 1e6
    with pytest.raises(UsageError, match="no call is due within the horizon"):
        size_buffer(book, changes, [CASH], 1.0, horizon=pd.Timedelta(hours=1))


def test_a_buffer_may_take_the_place_of_what_is_held() -> None:
    """Without its own 2m the firm needs 10m."""
    assert size_buffer(one_call(), four(), [CASH], 1.0, instead_of=["H"]).value == 10e6


def test_reserves_may_be_used_unless_they_are_to_be_kept() -> None:
    """1.5m of the 2m must stay at home: 8m are lacking without the reserve, 9.5m with it."""
    book = one_call(reserves=[{"reserve_id": "R", "schedule": "cash", "amount": 1.5e6, "currency": "USD"}])
    assert size_buffer(book, four(), [CASH], 1.0).value == 8e6
    assert size_buffer(book, four(), [CASH], 1.0, keep_reserves=True).value == 9.5e6


def test_the_curve_rises_and_says_at_each_share_what_sizing_alone_says() -> None:
    found = curve(one_call(), four(), [CASH], (1.0, 0.5, 0.75))
    assert found["share"].tolist() == [0.5, 0.75, 1.0]
    assert found["cash"].tolist() == [1e6, 3e6, 8e6]
    assert found["cost_a_year"].tolist() == pytest.approx([5_000, 15_000, 40_000])
    assert found["survived"].tolist() == [2, 3, 4]


def test_the_curve_has_nothing_where_no_buffer_survives_so_many() -> None:
    book = two_agreements()
    found = curve(book, either_call(book), [BONDS], (0.5, 1.0))
    assert found["bonds"].tolist()[0] == 2e6
    assert found.iloc[1].drop("share").isna().all()


def test_cuts_of_one_share_hold_for_another() -> None:
    book = three_calls()
    changes = [Change(f"s{s}", calls=c) for s, c in enumerate(drawn(5, 20))]
    candidates = [Candidate(name, name, rate * 1e4) for name, rate in RATES.items()]
    sizing = Sizing(Needs(book, changes, candidates))

    def told(plan: BufferPlan) -> tuple[float, float]:
        return plan.bound, plan.cost_a_year

    for share in (0.7, 0.9, 0.8):
        alone = size_buffer(book, changes, candidates, share, "cost")
        assert told(sizing.plan(book, share, "cost")) == pytest.approx(told(alone), rel=2e-5)


@pytest.mark.parametrize(
    ("candidates", "share", "aim", "said"),
    [
        ([Candidate("x", "NONE", 1)], 0.9, "value", "asset 'NONE' is not in the book"),
        ([CASH, CASH], 0.9, "value", "buffer 'cash' is there twice"),
        ([CASH], 1.1, "value", "share 1.1 is not between 0 and 1"),
        ([CASH], 0.9, "least", "aim 'least' is neither value nor cost"),
        ([Candidate("free", "USD", 0)], 0.9, "cost", "no candidate costs anything"),
        ([], 0.9, "value", "of one candidate at least"),
        ([Candidate("x", "USD", 1, most=0.001)], 0.9, "value", "a lot of USD is worth 0.01, more than its most"),
    ],
)
def test_what_cannot_be_sized_is_said(candidates: list[Candidate], share: float, aim: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        size_buffer(one_call(), four(), candidates, share, aim)


def test_a_scenario_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="call 'X' is not in the book"):
        size_buffer(one_call(), [Change(calls={"X": 1.0})], [CASH], 1.0)
    with pytest.raises(BookError):
        size_buffer(one_call(), [Change(calls={"C": 1.0})], [Candidate("cash", "USD", 1e30)], 1.0)


@pytest.mark.parametrize("seed", [0, 4, 9])
def test_a_buffer_is_enough_for_a_scenario_just_where_a_session_says_so(seed: int) -> None:
    """Books with facilities and reserves, little and much of each candidate, calls and prices that move."""
    book, rng = (
        random_book(seed, "small", facilities=True, reserves=seed % 3 == 0).to_book(),
        np.random.default_rng(seed),
    )
    capacity = book.facilities["capacity"].mask(book.facilities["kind"] == "sale", 0.0)
    book = book.replace(facilities=book.facilities.assign(capacity=capacity))
    assets = book.assets["asset_id"][book.unit_values > 0].tolist()
    candidates = [Candidate(f"c{k}", str(name), 10.0) for k, name in enumerate(rng.choice(assets, 2))]
    changes = [
        Change(calls={name: float(a * rng.lognormal(0.5, 0.8)) for name, a in book.calls[["call_id", "amount"]].values})
        for _ in range(4)
    ]
    needs = Needs(book, changes, candidates)
    for share in (1e-6, 0.2, 0.6, 10.0):
        values = np.full(2, share * float(np.median(needs.size)))
        session = Session(with_candidates(book, candidates, values.tolist()))
        short = [session.solve(change).total_shortfall > 1e-6 * needs.size[k] for k, change in enumerate(changes)]
        assert needs.short(values, range(4)).tolist() == short


def test_when_time_is_up_the_best_buffer_so_far_is_given() -> None:
    """It survives what it should, and its gap says how far it may be from the least."""
    changes = [Change(f"s{s}", calls=c) for s, c in enumerate(drawn(5, 20))]
    candidates = [Candidate(name, name, rate * 1e4) for name, rate in RATES.items()]
    plan = size_buffer(three_calls(), changes, candidates, 0.8, "cost", seconds=0.0)
    best = size_buffer(three_calls(), changes, candidates, 0.8, "cost")
    assert len(plan.short) <= 4
    assert plan.bound <= best.bound * (1 + 1e-6) and plan.cost_a_year >= best.bound * (1 - 1e-6)
    assert plan.gap == pytest.approx((plan.cost_a_year - plan.bound) / plan.cost_a_year)


def test_the_same_scenarios_give_the_same_buffer() -> None:
    changes = [Change(f"s{s}", calls=c) for s, c in enumerate(drawn(2, 15))]
    candidates = [Candidate(name, name, rate * 1e4) for name, rate in RATES.items()]
    first, again = (size_buffer(three_calls(), changes, candidates, 0.8) for _ in range(2))
    assert first == again
