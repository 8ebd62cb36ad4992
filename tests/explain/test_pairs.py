"""Why a line is there and why a pair is not: parts that add up, rules that decided, and thresholds that are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collateral_opt import Book, optimise
from collateral_opt.explain.answered import Answered
from collateral_opt.explain.pairs import lines_of, why_not
from collateral_opt.network.network import Barrier
from tests.desks import asset, desk, listing
from tests.explain.resolving import answers, cost_or_none, with_edge


def desk_of(**more: Any) -> Book:
    """A call of 980 due at 18:00 in New York; bond B (10 bp, 2 % haircut), bond D (30 bp), cash (25 bp, earns 5).

    B is enough. X is not on the schedule, Y arrives after 24 hours, at 08:00 of the next day. A year is the horizon.
    """
    parts: dict[str, Any] = {
        "assets": [asset("B"), asset("D"), asset("USD", "cash"), asset("X"), asset("Y")],
        "holdings": [
            {"holding_id": "HB", "asset_id": "B", "quantity": 2_000.0, "cost_bps": 10.0},
            {"holding_id": "HD", "asset_id": "D", "quantity": 5_000.0, "cost_bps": 30.0},
            {"holding_id": "HU", "asset_id": "USD", "quantity": 5_000.0, "cost_bps": 25.0},
            {"holding_id": "HX", "asset_id": "X", "quantity": 5_000.0, "cost_bps": 1.0},
            {"holding_id": "HY", "asset_id": "Y", "quantity": 5_000.0, "cost_bps": 1.0, "settle_hours": 24.0},
        ],
        "agreements": [{"agreement_id": "A", "counterparty": "Bank", "schedule": "s", "cash_return_bps": 5.0}],
        "calls": [
            {"call_id": "C", "agreement_id": "A", "amount": 980.0, "currency": "USD",
             "due": "2026-03-24T18:00:00-04:00"},
        ],
        "schedules": {"s": listing(B=0.02, D=0.0, USD=0.0, Y=0.0)},
    }  # fmt: skip
    return desk(**{**parts, **more})


def test_a_line_and_the_next_best_in_the_same_parts() -> None:
    (line,) = optimise(desk_of()).explain(call="C").lines
    # B: 10 on a unit of market value; for a unit of cover 1 / 0.98 of it, so the haircut adds 10 x 0.02 / 0.98.
    assert (line.asset_id, line.market_value, line.collateral_value) == ("B", 1_000.0, 980.0)
    assert line.cost.holding == pytest.approx(10.0)
    assert line.cost.haircut == pytest.approx(0.2 / 0.98)
    assert line.cost.total == pytest.approx(10 / 0.98) == line.worth_bps
    # Cash costs 25 and earns 5 there; D costs 30.
    best = line.next_best
    assert best is not None and best.asset_id == "USD"
    assert (best.cost.holding, best.cost.cash_return, best.cost.total) == (25.0, -5.0, pytest.approx(20.0))
    assert best.dearer_bps == pytest.approx(20 - 10 / 0.98)


@pytest.mark.parametrize(
    ("name", "obstacle", "too_dear"),
    [
        ("D", "cost", 30 - 10 / 0.98),
        ("USD", "cost", 20 - 10 / 0.98),
        ("X", "eligibility", None),
        ("Y", "time", None),
    ],
)
def test_why_not(name: str, obstacle: str, too_dear: float | None) -> None:
    (one,) = optimise(desk_of()).explain(asset=name, call="C").not_used
    assert (one.call_id, one.asset_id, one.obstacle) == ("C", name, obstacle)
    assert one.too_dear_bps == (None if too_dear is None else pytest.approx(too_dear))
    # 08:00 on the 25th is 14 hours after 18:00 on the 24th.
    assert one.hours_late == (pytest.approx(14.0) if name == "Y" else None)


def test_a_missing_fact_is_named() -> None:
    schedule = {"rules": [{"label": "sovereigns", "when": {"issuer_type": "sovereign"}, "haircut": 0.0}]}
    assets = [asset("B", issuer_type="sovereign"), asset("D"), asset("USD", "cash"), asset("X"), asset("Y")]
    book = desk_of(assets=assets, schedules={"s": schedule})
    (one,) = optimise(book).explain(asset="D", call="C").not_used
    assert (one.obstacle, one.rule, one.missing) == ("eligibility", "sovereigns", ("issuer_type",))


def test_a_pin_is_named() -> None:
    book = desk_of(pins=[{"call_id": "C", "holding_id": "HB", "forbid": True}])
    (one,) = optimise(book).explain(asset="B", call="C").not_used
    assert one.obstacle == "pin"


def test_a_full_limit_is_named_with_what_its_room_is_worth() -> None:
    limit = {"label": "half", "group_by": "none", "select": {"asset_id": ["B", "D"]}, "measure": "market_value",
             "of": "money", "max": {"amount": 500.0, "currency": "USD"}}  # fmt: skip
    costs = [{"holding_id": "HD", "agreement_id": "A", "cost_bps": 15.0}]
    book = desk_of(schedules={"s": {**listing(B=0.02, D=0.0, USD=0.0), "limits": [limit]}}, costs=costs)
    result = optimise(book)
    # 500 of B and 490 of cash (20). D at 15 would be cheaper than the cash, but takes room in which B saves 9.6:
    # a unit of D in there replaces one of B (10) and 0.02 of cash (0.4), and costs 15.
    (one,) = result.explain(asset="D", call="C").not_used
    assert (one.obstacle, one.limits) == ("limit", ("'half' at A",))
    assert one.too_dear_bps == pytest.approx(15 - 10 - 0.4)
    assert one.cost is not None
    assert one.cost.limits == pytest.approx(0.98 * 20 - 10)


def test_what_is_dear_is_so_to_the_last_basis_point() -> None:
    """A pair enters the optimum when its cost falls by more than it is too dear by, and not before."""
    compared = 0
    for result in answers(range(40, 50)):
        if result.status == "short":
            continue
        answered = Answered(result)
        network = answered.relaxed.network
        base = cost_or_none(network)
        if base is None:
            continue
        pairs = np.flatnonzero(answered.relaxed.x <= 0)[::7][:4]
        for edge in pairs.tolist():
            use, source = int(network.edges.use[edge]), int(network.edges.source[edge])
            if use >= answered.uses.calls or answered.sources.is_posted[source]:
                continue
            told = why_not(answered, use, source)
            if told.too_dear_bps is None:
                continue
            margin = 0.05 * told.too_dear_bps + 0.5
            short_of = cost_or_none(with_edge(network, edge, lambda bps, t=told, m=margin: bps - t.too_dear_bps + m))
            beyond = cost_or_none(with_edge(network, edge, lambda bps, t=told, m=margin: bps - t.too_dear_bps - m))
            assert short_of == pytest.approx(base, rel=1e-9)
            assert beyond is not None and beyond < base - 1e-12 * abs(base)
            assert told.cost is not None and told.worth_bps is not None
            factor = float(network.edges.factor[edge])
            assert told.cost.total - told.worth_bps == pytest.approx(told.too_dear_bps / factor, rel=1e-6, abs=1e-6)
            compared += 1
    assert compared >= 20


def test_the_parts_of_every_line_add_up_to_what_it_costs_and_is_worth() -> None:
    compared = 0
    for result in answers(range(40, 48)):
        answered = Answered(result)
        carried = answered.optimum.x
        for use in range(answered.uses.demands):
            for line, mine in zip(
                lines_of(answered, use), [d for d in answered.delivered if d.use == use], strict=True
            ):
                edge = answered.optimum.edge(use, mine.source)
                parts = [getattr(line.cost, name) for name in type(line.cost).model_fields]
                assert line.cost.total == pytest.approx(sum(parts))
                inside = 1e-6 < carried[edge] < answered.optimum.program.upper[edge] - 1e-6
                if inside and answered.optimum.program.lower[edge] == 0 and answered.optimum is answered.relaxed:
                    assert line.cost.total == pytest.approx(line.worth_bps, rel=1e-6, abs=1e-6)
                    compared += 1
                if line.next_best is not None:
                    dearer = line.next_best.cost.total - line.next_best.cost.movement - line.worth_bps
                    assert dearer == pytest.approx(line.next_best.dearer_bps, rel=1e-6, abs=1e-5)
    assert compared >= 20


def test_whatever_keeps_a_pair_out_is_what_decided() -> None:
    seen = set()
    for result in answers(range(40, 46)):
        answered = Answered(result)
        for use in range(answered.uses.calls):
            barriers = answered.problem.reach.barriers(use)
            for source in np.flatnonzero(answered.sources.is_holding & (barriers != Barrier.NONE)).tolist():
                told = why_not(answered, use, source)
                assert told.why == answered.problem.reach.why(use, source)
                assert (told.hours_late is not None) == (barriers[source] == Barrier.LATE)
                assert told.hours_late is None or told.hours_late > 0
                seen.add(told.obstacle)
    assert {"eligibility", "wrong way"} <= seen


def test_a_line_that_would_have_to_be_large_is_too_dear_and_not_without_room() -> None:
    """D comes in pieces of 500 only: a unit of it still costs 30, and nothing is full."""
    assets = [asset("B"), asset("D", min_denomination=500.0), asset("USD", "cash"), asset("X"), asset("Y")]
    told = optimise(desk_of(assets=assets)).explain(asset="D", call="C")
    (pair,) = told.not_used
    assert (pair.obstacle, pair.limits) == ("cost", ())
    assert pair.too_dear_bps == pytest.approx(30 - 10 / 0.98)


def test_the_next_best_may_be_a_line_that_would_have_to_be_large() -> None:
    assets = [asset("B"), asset("D"), asset("USD", "cash", min_denomination=500.0), asset("X"), asset("Y")]
    (line,) = optimise(desk_of(assets=assets)).explain(call="C").lines
    assert line.next_best is not None and line.next_best.asset_id == "USD"
