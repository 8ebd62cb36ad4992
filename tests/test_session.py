"""Scenarios have the optimum of the changed book, whatever was solved before and wherever."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, Change, Scenario, Session, optimise, read_book
from collateral_opt.errors import BookError, Finding, SolverError, UsageError
from collateral_opt.generate import write_book
from collateral_opt.network import Problem
from collateral_opt.network.facts import gather
from collateral_opt.session import solve_afresh
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.seam import Limits
from tests.desks import asset, desk, listing
from tests.judges.books import random_book


def two_bonds(**more: Any) -> Book:
    """A call of 980; 1,000 of bond B (2 % haircut, 10 bp) and 5,000 of bond D (no haircut, 30 bp), both at 1.00.

    The horizon is a year.
    """
    parts: dict[str, Any] = {
        "assets": [asset("B"), asset("D")],
        "holdings": [
            {"holding_id": "HB", "asset_id": "B", "quantity": 1_000.0, "cost_bps": 10.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
        ],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
        "calls": [{"call_id": "C", "agreement_id": "A", "amount": 980.0, "currency": "USD"}],
        "schedules": {"s": listing(B=0.02, D=0.0)},
    }
    return desk(**{**parts, **more})


@pytest.mark.parametrize(
    ("change", "cost", "marginal"),
    [
        # All of B: 1,000 at 10 bp is 1.00; the next unit of the call is worth anything between B's and D's price.
        (Change("as it is"), 1.0, None),
        # 980 more come from D: 980 at 30 bp is 2.94.
        (Change("the call doubles", calls={"C": 1_960.0}), 1.0 + 2.94, 30.0),
        # B is worth 500 and gives 490 for 0.50; the other 490 come from D for 1.47.
        (Change("the price halves", prices={"B": 0.5}), 0.5 + 1.47, 30.0),
        # Half of the call, from B alone: 490 / 0.98 = 500 at 10 bp; one more unit costs 10 / 0.98 bp.
        (Change("the call halves", calls={"C": 490.0}), 0.5, 10 / 0.98),
        # 600 of B give 588 for 0.60; 392 of D cost 1.176.
        (Change("less of it", quantities={"HB": 600.0}), 0.6 + 1.176, 30.0),
        (Change("nothing of it", quantities={"HB": 0.0}), 2.94, 30.0),
        # D at 5 bp beats B at 10 / 0.98: 980 at 5 bp is 0.49.
        (Change("cheaper than B", costs={"HD": 5.0}), 0.49, 5.0),
        # The price of B halves and all else moves with it: 1,200 of it are worth 600 and give 588 at 20 bp for 1.20,
        # 1,412 of D cost 4.236.
        (
            Change(
                "all at once", calls={"C": 2_000.0}, prices={"B": 0.5}, quantities={"HB": 1_200.0}, costs={"HB": 20.0}
            ),
            1.2 + 4.236,
            30.0,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Change) else "",
)
def test_two_bonds_and_a_call_by_hand(change: Change, cost: float, marginal: float | None) -> None:
    scenario = Session(two_bonds()).solve(change)
    assert scenario.warm
    assert scenario.name == change.name
    assert scenario.cost == pytest.approx(cost, rel=1e-9)
    assert scenario.bound == pytest.approx(cost, rel=1e-9)
    assert scenario.bound <= scenario.cost
    assert scenario.is_covered and not scenario.shortfalls
    if marginal is not None:
        assert scenario.marginal_cost_bps == pytest.approx({"C": marginal}, rel=1e-9)


def test_a_call_beyond_all_there_is_is_short_by_the_rest() -> None:
    # B gives 980, D 5,000: 5,980 of 7,000, at 1.00 + 15.00.
    scenario = Session(two_bonds()).solve(Change(calls={"C": 7_000.0}))
    assert scenario.warm
    assert scenario.shortfalls == pytest.approx({"C": 1_020.0})
    assert scenario.total_shortfall == pytest.approx(1_020.0)
    assert scenario.cost == pytest.approx(16.0)


def test_the_first_priority_is_served_first_and_the_last_of_like_calls_is_short() -> None:
    calls = [
        {"call_id": name, "agreement_id": "A", "amount": 100.0, "currency": "USD", "priority": priority}
        for name, priority in (("C1", 2), ("C2", 2), ("C3", 1))
    ]
    session = Session(two_bonds(calls=calls))
    # 5,980 in all: 4,000 to C3, 1,980 are left for C1 (1,500) and C2 (1,000).
    scenario = session.solve(Change(calls={"C1": 1_500.0, "C2": 1_000.0, "C3": 4_000.0}))
    assert scenario.warm
    assert scenario.shortfalls == pytest.approx({"C2": 520.0})
    assert session.solve(Change()).is_covered


def test_a_limit_that_nothing_reaches_today_binds_when_the_call_grows() -> None:
    # At most half of the requirement in B: of 980 that is 490 (500 of B); of 3,000 all of B (980) would do.
    schedule = {
        **listing(B=0.02, D=0.0),
        "limits": [
            {
                "label": "half",
                "select": {"asset_id": "B"},
                "measure": "value_after_haircut",
                "of": "requirement",
                "max": 0.5,
            }
        ],
    }
    session = Session(two_bonds(schedules={"s": schedule}))
    assert session.solve(Change()).cost == pytest.approx(0.5 + 1.47)
    assert session.solve(Change(calls={"C": 3_000.0})).cost == pytest.approx(1.0 + 6.06)
    assert session.solve(Change(calls={"C": 100.0})).cost == pytest.approx(10 * 50 / 0.98 / 10_000 + 0.15)


def test_everything_wrong_with_a_change_is_said_at_once() -> None:
    change = Change(
        "typos",
        calls={"C9": 1.0, "C": -5.0},
        prices={"B": float("nan"), "X": 1.0},
        quantities={"HB": -1.0},
        costs={"HD": float("inf")},
    )
    with pytest.raises(UsageError) as told:
        Session(two_bonds()).solve(change)
    for text in ("'typos'", "'C9' is not", "'C' is -5.0", "'B' is nan", "'X' is not", "'HB' is -1.0", "'HD' is inf"):
        assert text in str(told.value)
    with pytest.raises(UsageError, match="'C9' is not"):
        change.applied_to(two_bonds())


def test_cash_has_no_price_to_change() -> None:
    assets = [asset("B"), asset("D"), asset("USD", "cash")]
    with pytest.raises(UsageError, match="'USD' is cash"):
        Session(two_bonds(assets=assets)).solve(Change(prices={"USD": 0.9}))


def test_a_changed_book_has_the_new_figures_and_no_others() -> None:
    change = Change(calls={"C": 5.0}, prices={"D": 0.7}, quantities={"HB": 3.0}, costs={"HD": 4.0})
    book = two_bonds()
    changed = change.applied_to(book)
    assert changed.calls["amount"].tolist() == [5.0]
    assert changed.assets.set_index("asset_id")["price"].to_dict() == {"B": 1.0, "D": 0.7}
    assert changed.holdings["quantity"].tolist() == [3.0, 5_000.0]
    assert changed.holdings["cost_bps"].tolist() == [10.0, 4.0]
    assert book.calls["amount"].tolist() == [980.0]
    assert optimise(changed).total_cost == pytest.approx(Session(book).solve(change).cost, abs=0.01)


# Calls that are not made, facilities that give less, and what is left of each source.

WATERFALL = Path(__file__).parents[1] / "examples" / "liquidity-waterfall"


@pytest.mark.parametrize(
    ("change", "used", "exhausted"),
    [
        # 10.5 million: 2 of cash, 3 of the fund, 4 of repo (which takes 4 / 0.98 of bonds), 1.5 of the line. All of
        # it goes to one call; a unit costs 0.5 bp from cash, 1 bp through redemption, 2 bp from the fund into it,
        # and 15 bp from repo. Bonds are left.
        (
            Change(),
            {"CASH": 2e6, "MMF": 3e6, "REDEEM": 3e6, "TBONDS": 4e6 / 0.98, "REPO": 4e6, "LINE": 1.5e6},
            ("CASH", "REDEEM", "MMF", "REPO"),
        ),
        (Change(calls={"MC": 1e6}), {"CASH": 1e6}, ()),
        (Change(calls={"MC": 0.0}), {}, ()),
        # The line gives 1 million: half a million is short. Without repo the line gives 5 of 5.5.
        (
            Change(capacities={"LINE": 1e6}),
            {"CASH": 2e6, "MMF": 3e6, "REDEEM": 3e6, "TBONDS": 4e6 / 0.98, "REPO": 4e6, "LINE": 1e6},
            ("CASH", "REDEEM", "MMF", "REPO", "LINE"),
        ),
        (
            Change(capacities={"REPO": 0.0}),
            {"CASH": 2e6, "MMF": 3e6, "REDEEM": 3e6, "LINE": 5e6},
            ("CASH", "REDEEM", "MMF", "LINE"),
        ),
    ],
)
def test_what_is_drawn_from_each_source_and_which_run_out(
    change: Change, used: dict[str, float], exhausted: tuple[str, ...]
) -> None:
    book = read_book(WATERFALL)
    scenario = Session(book).solve(change)
    assert scenario.warm
    assert scenario.used == pytest.approx(used)
    assert scenario.exhausted == exhausted
    asked = change.calls.get("MC", 10.5e6)
    from_sources = sum(used.get(name, 0.0) for name in ("CASH", "REDEEM", "REPO", "LINE"))
    assert scenario.total_shortfall == pytest.approx(asked - from_sources, abs=0.1)
    afresh = solve_afresh(book, change)
    assert afresh.used == pytest.approx(used)
    assert afresh.exhausted == exhausted
    assert afresh.cost == pytest.approx(scenario.cost)


def test_what_runs_out_for_an_earlier_call_runs_out_first() -> None:
    # B is the dearer one, but only it goes to the call that is due first.
    at = "2026-03-24T{}:00:00-04:00"
    book = two_bonds(
        agreements=[
            {"agreement_id": "A", "counterparty": "Bank", "schedule": "s"},
            {"agreement_id": "E", "counterparty": "House", "schedule": "e"},
        ],
        calls=[
            {"call_id": "C", "agreement_id": "A", "amount": 5_000.0, "currency": "USD", "due": at.format(16)},
            {"call_id": "F", "agreement_id": "E", "amount": 980.0, "currency": "USD", "due": at.format(12)},
        ],
        schedules={"s": listing(D=0.0), "e": listing(B=0.02)},
    )
    dear = Change(costs={"HB": 90.0})
    for scenario in (Session(book).solve(dear), solve_afresh(book, dear)):
        assert scenario.exhausted == ("HB", "HD")
    less = Session(book).solve(Change(calls={"F": 979.0}))
    assert less.exhausted == ("HD",)


def test_a_call_that_is_not_made_is_not_in_the_book() -> None:
    calls = [
        {"call_id": name, "agreement_id": "A", "amount": 500.0, "currency": "USD", "priority": priority}
        for name, priority in (("C1", 2), ("C2", 1))
    ]
    book = two_bonds(calls=calls, pins=[{"call_id": "C1", "holding_id": "HD", "quantity": 100.0}])
    change = Change(calls={"C1": 0.0})
    changed = change.applied_to(book)
    assert changed.calls["call_id"].tolist() == ["C2"]
    assert len(changed.pins) == 0
    # 500 from B: 500 / 0.98 at 10 bp.
    scenario = Session(book).solve(change)
    assert not scenario.warm
    assert scenario.cost == pytest.approx(500 / 0.98 / 1_000)
    warm = Session(two_bonds(calls=calls)).solve(change)
    assert warm.warm
    assert warm.cost == pytest.approx(500 / 0.98 / 1_000)
    assert list(warm.marginal_cost_bps) == list(scenario.marginal_cost_bps) == ["C2"]
    none = Session(two_bonds(calls=calls)).solve(Change(calls={"C1": 0.0, "C2": 0.0}))
    assert (none.cost, none.is_covered, none.used) == (0.0, True, {})


def test_the_limits_of_a_schedule_go_with_the_last_call_of_it() -> None:
    capped = {
        **listing(B=0.02, D=0.0),
        "limits": [{"label": "cap", "select": {"asset_id": "B"}, "of": "requirement", "max": 0.1}],
    }
    calls = [
        {"call_id": name, "agreement_id": "A", "amount": 490.0, "currency": "USD", "schedule": schedule}
        for name, schedule in (("C1", None), ("C2", "t"), ("C3", "t"))
    ]
    session = Session(two_bonds(calls=calls, schedules={"s": listing(B=0.02, D=0.0), "t": capped}))
    # A tenth of 1,470: 147 of B at 10 bp, which give 144.06; 1,325.94 of D at 30 bp.
    assert session.solve(Change()).cost == pytest.approx(0.147 + 3.97782)
    # Of 980 still a tenth: 98 of B give 96.04, and 883.96 come of D.
    one = session.solve(Change(calls={"C2": 0.0}))
    assert (one.cost, one.warm) == (pytest.approx(0.098 + 2.65188), True)
    # Without calls under t no cap is left: 490 / 0.98 of B.
    none = session.solve(Change(calls={"C2": 0.0, "C3": 0.0}))
    assert (none.cost, none.warm) == (pytest.approx(0.5), True)
    # And without those under s its own limits, of which there are none.
    other = session.solve(Change(calls={"C1": 0.0}))
    assert (other.cost, other.warm) == (pytest.approx(0.098 + 2.65188), True)


@pytest.mark.parametrize(("initial", "warm"), [(0.5, False), (None, True)])
def test_what_lies_there_is_read_by_the_types_of_calls_only_where_the_schedule_does(
    initial: float | None, warm: bool
) -> None:
    # 100 of B lie there, of a cap of 130; for calls of initial margin its haircut may be a half.
    by_type = {"label": "IM", "when": {"asset_id": "B"}, "margin_type": "im", "haircut": initial}
    schedule = {
        "rules": [
            *([by_type] if initial else []),
            {"label": "all", "when": {"any": [{"asset_id": "B"}, {"asset_id": "D"}]}, "haircut": 0},
        ],
        "overlap": "first",
        "limits": [
            {"label": "cap", "select": {"asset_id": "B"}, "of": "money", "max": {"amount": 130, "currency": "USD"}}
        ],
    }
    calls = [
        {"call_id": f"C{kind}", "agreement_id": "A", "amount": 50.0, "currency": "USD", "margin_type": kind}
        for kind in ("vm", "im")
    ]
    posted = [{"agreement_id": "A", "asset_id": "B", "quantity": 100.0}]
    session = Session(two_bonds(calls=calls, posted=posted, schedules={"s": schedule}))
    change = Change(calls={"Cvm": 0.0})
    scenario, afresh = session.solve(change), solve_afresh(session._book, change)
    assert scenario.warm is warm
    assert scenario.cost == pytest.approx(afresh.cost, rel=1e-9)


def test_a_facility_opens_afresh_and_a_wrong_capacity_is_said() -> None:
    book = read_book(WATERFALL)
    shut = book.replace(facilities=book.facilities.assign(capacity=[3e6, 0.0, 5e6, 1e7]))
    opened = Session(shut).solve(Change(capacities={"REPO": 4e6}))
    assert not opened.warm
    assert opened.cost == pytest.approx(Session(book).solve(Change()).cost)
    with pytest.raises(UsageError, match=r"'REPO' is -1\.0: it must be a number of 0 or more"):
        Session(book).solve(Change(capacities={"REPO": -1.0}))
    with pytest.raises(UsageError, match="'NONE' is not in the book"):
        Session(book).solve(Change(capacities={"NONE": 1.0}))


@pytest.mark.parametrize("block", range(2))
def test_random_books_without_some_calls_and_with_other_capacities_agree(block: int) -> None:
    warm = facilities = dropped = 0
    for seed in range(20 * block, 20 * block + 20):
        rng = np.random.default_rng(1_000 + seed)
        try:
            book = random_book(seed, "small", facilities=True, reserves=seed % 3 == 0).to_book()
            session = Session(book)
        except BookError:
            continue
        for number in range(3):
            amounts = book.calls["amount"].round(2) * rng.choice([0.0, 0.5, 1.5], len(book.calls))
            capacities = book.facilities["capacity"] * rng.choice([0.0, 0.3, 2.0], len(book.facilities))
            change = Change(
                str(number),
                calls=dict(zip(book.calls["call_id"], amounts.tolist(), strict=True)),
                capacities=dict(zip(book.facilities["facility_id"], capacities.tolist(), strict=True)),
            )
            try:
                scenario = session.solve(change)
            except (BookError, SolverError):
                continue
            changed = change.applied_to(book)
            if scenario.warm and len(changed.calls):
                warm += 1
                facilities += len(book.facilities)
                dropped += len(book.calls) - len(changed.calls)
                assert_the_optimum_of(changed, scenario)
                assert set(scenario.exhausted) <= set(scenario.used)
    assert warm > 15
    assert facilities > 5
    assert dropped > 5


# What the loaded program cannot express.


def test_what_more_than_numbers_would_change_is_solved_afresh() -> None:
    holdings = [
        {"holding_id": "HB", "asset_id": "B", "quantity": 0.0, "cost_bps": 10.0},
        {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
    ]
    session = Session(two_bonds(holdings=holdings))
    assert session.solve(Change()).cost == pytest.approx(2.94)
    filled = session.solve(Change(quantities={"HB": 500.0}))
    assert not filled.warm
    # 490 from B for 0.50, 490 from D for 1.47.
    assert filled.cost == pytest.approx(0.5 + 1.47)
    assert session.solve(Change(calls={"C": 1_960.0})).warm


def test_what_is_posted_over_its_cap_after_the_change_is_solved_afresh() -> None:
    # 300 of B lie there, of a cap of 250 + 0.5 * what is called.
    schedule = {
        **listing(B=0.0, D=0.0),
        "limits": [{"label": "cap", "select": {"asset_id": "B"}, "of": "requirement", "max": 0.5}],
    }
    posted = [{"agreement_id": "A", "asset_id": "B", "quantity": 300.0}]
    session = Session(two_bonds(schedules={"s": schedule}, posted=posted))
    # Requirement 1,280: 340 more of B at 10 bp, 640 of D at 30 bp.
    assert session.solve(Change()).cost == pytest.approx(0.34 + 1.92)
    below = session.solve(Change(calls={"C": 200.0}))
    # Requirement 500, cap 250 < 300: nothing more of B.
    assert not below.warm
    assert below.cost == pytest.approx(0.6)


@pytest.mark.parametrize(
    "more",
    [
        {"settings": {"scope": "reoptimise"}},
        {"pins": [{"call_id": "C", "holding_id": "HD", "quantity": 100.0}]},
        {"settings": {"max_moves": 3}},
    ],
    ids=["reoptimise", "pins", "moves"],
)
def test_books_of_other_kinds_are_solved_afresh(more: dict[str, Any]) -> None:
    book = two_bonds(**more)
    scenario = Session(book).solve(Change(calls={"C": 980.0}))
    assert not scenario.warm
    # 100 pinned of D leave 880 for B (897.96 of it); otherwise all of B.
    expected = 0.3 + 880 / 0.98 / 1_000 if "pins" in more else 1.0
    assert scenario.cost == pytest.approx(expected, rel=1e-6)


def test_a_book_without_calls_costs_nothing() -> None:
    calls = pd.DataFrame(columns=["call_id", "agreement_id", "amount", "currency"])
    book = two_bonds()
    frames = {name: getattr(book, name) for name in ("assets", "holdings", "agreements")}
    empty = Book.from_tables({**frames, "calls": calls}, settings=book.settings, schedules=book.schedules)
    scenario = Session(empty).solve(Change(prices={"B": 0.5}))
    assert (scenario.cost, scenario.total_shortfall, scenario.marginal_cost_bps) == (0.0, 0.0, {})


# Against the road from the changed book on.


def changes(book: Book, seed: int, count: int) -> Iterator[Change]:
    """Changes of each kind, and of several at once; moderate and wild."""
    rng = np.random.default_rng(seed)
    security = (book.assets["asset_type"] != "cash") & book.assets["price"].notna()
    tables = {
        "calls": (book.calls["call_id"], book.calls["amount"].round(2), (0.5, 0.9, 1.1, 2.0, 5.0)),
        "prices": (book.assets["asset_id"][security], book.assets["price"][security], (0.7, 0.95, 1.02, 1.3)),
        "quantities": (book.holdings["holding_id"], book.holdings["quantity"], (0.0, 0.5, 0.9, 1.1, 2.0)),
        "costs": (book.holdings["holding_id"], book.holdings["cost_bps"] + 1, (0.5, 0.9, 1.1, 3.0)),
    }
    for number in range(count):
        kinds = list(tables) if number % 5 == 4 else [list(tables)[number % 5]]
        part = rng.choice([0.1, 0.5, 1.0])
        figures: dict[str, dict[str, float]] = {}
        for kind in kinds:
            names, values, factors = tables[kind]
            drawn = values.to_numpy() * rng.choice(factors, len(values))
            chosen = (rng.random(len(values)) < part) & ((drawn > 0) | (kind not in ("calls", "prices")))
            figures[kind] = dict(zip(names[chosen], drawn[chosen].tolist(), strict=True))
        yield Change(name=f"{number} {'+'.join(kinds)}", **figures)


def assert_the_optimum_of(book: Book, scenario: Scenario) -> None:
    """``scenario`` is the optimum of ``book`` as the solver finds it with all pairs at once."""
    problem = Problem(gather(book.in_full))
    (whole,) = linear_optima(problem, HighsSolver(), Limits(), small=10**9)
    uses, flows = whole.network.uses, whole.flows
    short = bool(np.any(flows.short > 0)) or not scenario.is_covered
    sizes = float(uses.size[: uses.asking].sum())
    dearest = float(np.max(np.abs(whole.network.edges.cost_bps / whole.network.edges.factor), initial=0.0))
    # Where something is short, the solver's tolerance in shortfalls shows in the cost, at the price of a call.
    dearest = max([dearest, *map(abs, scenario.marginal_cost_bps.values())])
    noise = (1e-8 if short else 1e-12) * dearest * sizes + 1e-9 * abs(flows.cost) + 1e-9
    years = float(whole.network.horizon_years) / 10_000
    # Ties are broken at the price of some last digits: nothing is proven to be below the bound, nothing found above.
    assert (flows.bound - noise) * years <= scenario.cost <= (flows.cost + noise) * years
    assert scenario.bound <= scenario.cost <= scenario.bound + noise * years
    assert scenario.total_shortfall == pytest.approx(whole.least_shortfall, abs=1e-8 * sizes)
    assert sum(scenario.shortfalls.values()) == pytest.approx(scenario.total_shortfall, abs=1e-8 * sizes)
    reserved = float(flows.short[uses.demands : uses.asking].sum())
    assert sum(scenario.reserve_shortfalls.values()) == pytest.approx(reserved, abs=1e-8 * sizes)


@pytest.mark.parametrize("block", range(4))
def test_random_books_warm_and_cold_agree_in_any_order(block: int) -> None:
    warm = cold = 0
    for seed in range(12 * block, 12 * block + 12):
        tables = random_book(seed, "small", facilities=seed % 2 == 0, reserves=seed % 3 == 0)
        try:
            book = tables.to_book()
            session = Session(book)
        except BookError:
            continue  # amounts too large for a book
        asked = list(changes(book, seed, 6))
        found: dict[int, Scenario] = {}
        for at in [*range(6), *np.random.default_rng(seed).permutation(6).tolist()]:
            try:
                scenario = session.solve(asked[at])
            except (BookError, SolverError):
                continue
            # To the last digit: nothing is left of what was solved in between.
            assert found.setdefault(at, scenario) == scenario
        for at, scenario in found.items():
            warm, cold = warm + scenario.warm, cold + (not scenario.warm)
            if scenario.warm:
                assert_the_optimum_of(asked[at].applied_to(book), scenario)
    assert warm > 20
    assert cold > 0


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Book:
    folder = tmp_path_factory.mktemp("session") / "desk"
    write_book(folder, holdings=150, calls=30, agreements=12, seed=5)
    return read_book(folder)


def test_a_generated_desk_warm_and_cold_agree(generated: Book) -> None:
    session = Session(generated)
    found = 0
    for change in changes(generated, 7, 25):
        scenario = session.solve(change)
        found += scenario.warm
        assert_the_optimum_of(change.applied_to(generated), scenario)
    assert found >= 20


def test_a_marginal_cost_is_what_one_more_unit_costs(generated: Book) -> None:
    session = Session(generated)
    base = session.solve(Change())
    years = float(generated.settings.horizon_days) / float(generated.settings.day_count)
    for call, currency in list(zip(generated.calls["call_id"], generated.calls["currency"], strict=True))[::6]:
        amount = float(generated.calls.set_index("call_id")["amount"][call])
        sides = []
        for step in (-1e-4, 1e-4):
            moved = session.solve(Change(calls={call: amount * (1 + step)}))
            by = amount * step * generated.rates[currency]
            sides.append((moved.cost - base.cost) / by / years * 10_000)
        # The cost is convex in a call, and the dual lies between its slopes to either side.
        slack = 1e-5 * max(map(abs, sides))
        assert sides[0] - slack <= base.marginal_cost_bps[call] <= sides[1] + slack


# Many at once.


@pytest.fixture(scope="module")
def many(generated: Book) -> tuple[list[Change], list[Scenario]]:
    asked = [change for seed in range(11) for change in changes(generated, seed, 20)]
    session = Session(generated)
    return asked, [session.solve(change) for change in asked]


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_give_what_one_session_gives_in_the_same_order(
    generated: Book, many: tuple[list[Change], list[Scenario]], pool: type[Executor]
) -> None:
    asked, expected = many
    told: list[tuple[int, int]] = []
    with pool(2) as executor:  # type: ignore[call-arg]
        found = Session(generated).solve_many(
            asked, executor=executor, progress=lambda done, total: told.append((done, total))
        )
    assert found == expected
    assert told[-1] == (220, 220)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) == 3  # two batches of a hundred, and the rest


def test_few_are_solved_here_and_nothing_comes_of_nothing(
    generated: Book, many: tuple[list[Change], list[Scenario]]
) -> None:
    asked, expected = many
    told: list[int] = []
    session = Session(generated)
    assert session.solve_many(asked, progress=lambda done, total: told.append(done)) == expected
    assert told == [100, 200, 220]
    assert session.solve_many([]) == []


def test_many_go_to_all_cores_by_themselves(
    generated: Book, many: tuple[list[Change], list[Scenario]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, expected = many
    monkeypatch.setattr("collateral_opt.session.START", float("-inf"))
    monkeypatch.setattr("collateral_opt.session.cores", lambda: 2)
    started: list[int] = []

    class Pool(ProcessPoolExecutor):
        def __init__(self, workers: int) -> None:
            started.append(workers)
            super().__init__(workers)

    monkeypatch.setattr("collateral_opt.session.ProcessPoolExecutor", Pool)
    assert Session(generated).solve_many(asked) == expected
    assert started == [2]


def test_a_wrong_change_stops_all_before_the_first_is_solved(generated: Book) -> None:
    told: list[int] = []
    with pytest.raises(UsageError, match="'nobody' is not"):
        Session(generated).solve_many(
            [Change(), Change(calls={"nobody": 1.0})], progress=lambda done, total: told.append(done)
        )
    assert told == []


def test_an_interrupt_cancels_what_is_pending(generated: Book, many: tuple[list[Change], list[Scenario]]) -> None:
    class Held(Executor):
        """Runs the first task, and leaves the rest to be cancelled."""

        def __init__(self) -> None:
            self.futures: list[Future[Any]] = []

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if not self.futures:
                future.set_result(fn(*args, **kwargs))
            self.futures.append(future)
            return future

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    held = Held()
    with pytest.raises(KeyboardInterrupt):
        Session(generated).solve_many(many[0], executor=held, progress=interrupt)
    assert [future.cancelled() for future in held.futures] == [False, True, True]


def test_what_is_wrong_with_a_changed_book_comes_back_from_a_worker(
    generated: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Finding("E404", "error", "assets", 2, "price", "2.0", "the cause.", "The action.")

    def refuse(self: Session, change: Change) -> Scenario:
        raise BookError([wrong])

    class Elsewhere(Executor):
        """Tasks and answers travel as bytes, as between processes."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(pickle.loads(pickle.dumps(fn(*pickle.loads(pickle.dumps(args))))))
            return future

    monkeypatch.setattr(Session, "solve", refuse)
    with pytest.raises(BookError) as told:
        Session(generated).solve_many([Change()], executor=Elsewhere())
    assert told.value.findings == (wrong,)
