"""Each constraint alone: its rows against figures written down from the formula, in floats and in fractions."""

from __future__ import annotations

import inspect
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from collateral_opt.model import constraints
from collateral_opt.model.constraints import (
    budgets,
    concentration,
    conversion,
    cover,
    least_line,
    promised,
    release,
    share_of_posted,
    signed_weight,
    stays_home,
    supply,
    switched,
    whole_row,
)
from collateral_opt.model.formulation import lines_of
from collateral_opt.network.exact import EXACT, FLOAT, Arithmetic
from collateral_opt.network.network import Kind, View
from tests.networks import limit, network, with_facility_and_reserve, with_recall

# Two holdings: H0 is worth 2 a unit (100 units), H1 0.5 a unit (1,000 units). Two calls: C0 of 50, C1 of 80.
# Edges in order: C0<-H0 at 0.9, C0<-H1 at 0.8, C1<-H1 at 0.8.
HOLDINGS = [("H0", 2.0, 1.0, 100.0), ("H1", 0.5, 10.0, 1000.0)]
CALLS = [("C0", "50"), ("C1", "80")]
PAIRS = [(0, 0, "0.9", 10.0), (0, 1, "0.8", 20.0), (1, 1, "0.8", 30.0)]


def view(arithmetic: Arithmetic = FLOAT, limits: list = [], edge: list[int] | None = None) -> View:  # noqa: B006
    net = network(HOLDINGS, CALLS, PAIRS, limits)
    return View(net, np.array(edge if edge is not None else [0, 1, 2]), arithmetic)


def dense(rows, columns: int) -> list[list]:
    table = [[0] * columns for _ in rows.labels]
    for r, c, a in zip(rows.row, rows.column, rows.coefficient, strict=True):
        assert table[r][c] == 0, "an entry is given once"
        table[r][c] = a
    return table


def test_cover_counts_value_after_haircut_and_the_shortfall_against_the_call():
    rows = cover(view(EXACT))
    assert dense(rows, 5) == [
        [Fraction(9, 10), Fraction(8, 10), 0, 1, 0],
        [0, 0, Fraction(8, 10), 0, 1],
    ]
    assert list(rows.lower) == list(rows.upper) == [50, 80]
    assert rows.labels == [("cover", "call", "C0"), ("cover", "call", "C1")]


def test_supply_is_what_is_held_at_market_value():
    rows = supply(view())
    assert dense(rows, 3) == [[1, 0, 0], [0, 1, 1]]
    assert list(rows.upper) == [200.0, 500.0]
    assert list(rows.lower) == [-np.inf, -np.inf]


def test_supply_of_a_view_names_only_the_holdings_it_draws_on():
    rows = supply(view(edge=[2]))
    assert rows.labels == [("supply", "H1")]
    assert dense(rows, 1) == [[1]]


def test_promised_sums_the_shortfalls_of_one_priority():
    net = network(HOLDINGS, CALLS, PAIRS, priority=[1, 0])
    rows = promised(View(net, np.arange(3), FLOAT), np.array([7.0, np.inf]))
    # Rank 0 holds C1, whose shortfall is the second column after the three edges.
    assert dense(rows, 5) == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert list(rows.upper) == [7.0, np.inf]


def joined(arithmetic: Arithmetic = EXACT) -> View:
    net = with_facility_and_reserve()
    return View(net, np.arange(4), arithmetic)


def test_supply_leaves_out_what_is_only_counted_and_knows_a_facility_by_its_capacity():
    rows = supply(joined())
    assert rows.labels == [("supply", "B0"), ("supply", "B1"), ("supply", "proceeds", "F")]
    assert dense(rows, 4) == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert list(rows.upper) == [100, 120, 40]


def test_what_leaves_cannot_be_counted_at_home():
    rows = stays_home(joined())
    assert rows.labels == [("home", "B0", "R")]
    assert dense(rows, 4) == [[1, 0, 1, 0]]
    assert list(rows.upper) == [100]


def test_a_facility_produces_no_more_than_the_collateral_value_of_what_it_is_given():
    rows = conversion(joined())
    assert rows.labels == [("conversion", "F")]
    assert dense(rows, 4) == [[0, 1, 0, Fraction(-8, 10)]]
    assert list(rows.upper) == [0]


def test_cover_asks_for_calls_and_reserves():
    rows = cover(joined())
    assert rows.labels == [("cover", "call", "C"), ("cover", "reserve", "R")]
    assert dense(rows, 6) == [[1, 1, 0, 0, 1, 0], [0, 0, Fraction(9, 10), 0, 0, 1]]
    assert list(rows.upper) == [50, 30]


def test_a_least_line_is_nothing_or_at_least_that_much():
    # Edge 1 (C0<-H1) between 20 and 80; its switch is column 5, after three edges and two shortfalls.
    rows = least_line(view(), np.array([1]), np.array([0]), 5, np.array([20.0]), np.array([80.0]))
    assert dense(rows, 6) == [[0, 1, 0, 0, 0, -20], [0, 1, 0, 0, 0, -80]]
    assert list(rows.lower) == [0, -np.inf]
    assert list(rows.upper) == [np.inf, 0]
    assert rows.labels == [("least", "C0", "H1"), ("most", "C0", "H1")]


@pytest.mark.parametrize(
    ("measure", "coefficient", "room"),
    [
        # A quarter of a requirement of 130 is 32.5 in money whatever is measured.
        ("market_value", [1, 1, 1], Fraction(325, 10)),
        ("value_after_haircut", [Fraction(9, 10), Fraction(8, 10), Fraction(8, 10)], Fraction(325, 10)),
    ],
)
def test_concentration_in_a_share_of_the_requirement(measure, coefficient, room):
    block = limit("requirement", measure, [0, 1, 2], [0, 0, 0], [0, 1, 2], share=0.25, requirement="130")
    rows = concentration(view(EXACT), block)
    assert dense(rows, 3) == [coefficient]
    assert list(rows.upper) == [room]


def test_concentration_in_units_counts_units():
    # 2.5 % of 4,000 outstanding is 100 units; an H1 unit is worth 0.5, so a unit of value is two units.
    block = limit("units", "quantity", [1, 2], [0, 0], [0, 1, 2], share=0.025, figure=4000, asset=[1])
    rows = concentration(view(EXACT), block)
    assert dense(rows, 3) == [[0, 2, 2]]
    assert list(rows.upper) == [100]


def test_concentration_of_market_value_in_units_is_worth_the_units():
    block = limit("units", "market_value", [1, 2], [0, 0], [0, 1, 2], share=0.025, figure=4000, asset=[1])
    assert list(concentration(view(EXACT), block).upper) == [50]  # 100 units at 0.5


def test_concentration_leaves_room_for_less_by_what_is_posted():
    block = limit(
        "money", "market_value", [0, 1], [0, 1], [0, 1, 2], figure=60, posted=["25", "61"], shut=[False, True]
    )
    rows = concentration(view(EXACT), block)
    # 60 - 25 = 35; the second group is over its cap already, which leaves no room rather than less than none.
    assert list(rows.upper) == [35, 0]


def test_share_of_posted_weighs_the_group_against_everything_there():
    # Group {C0<-H0} at most 40 % of all collateral; 10 of it lies there, of 30 in all.
    block = limit("posted", "value_after_haircut", [0], [0], [0, 1, 2], share=0.4, posted=["10"], posted_total="30")
    rows = share_of_posted(view(EXACT), block)
    # 0.9 x0 - 0.4 (0.9 x0 + 0.8 x1 + 0.8 x2) <= 0.4 * 30 - 10
    assert dense(rows, 3) == [[Fraction(54, 100), Fraction(-32, 100), Fraction(-32, 100)]]
    assert list(rows.upper) == [2]


def test_a_group_that_is_shut_takes_nothing():
    block = limit("posted", "market_value", [0, 1], [0, 1], [0, 1, 2], share=0.4, shut=[True, False])
    rows = share_of_posted(view(EXACT), block)
    assert dense(rows, 3) == [[1, 0, 0], [Fraction(-4, 10), Fraction(6, 10), Fraction(-4, 10)]]
    assert list(rows.upper) == [0, 0]


def recalling() -> View:
    """Columns: C<-P, A<-B0, home<-P."""
    return View(with_recall(), np.arange(3), EXACT)


def test_a_recall_takes_from_the_cover_of_the_agreement_it_leaves():
    rows = cover(recalling())
    # A has 10 more than it requires and may be left with any part of that.
    assert dense(rows, 5) == [
        [Fraction(8, 10), 0, 0, 1, 0],
        [Fraction(-9, 10), Fraction(1, 2), Fraction(-9, 10), 0, 1],
    ]
    assert list(rows.lower) == [50, -10] and list(rows.upper) == [50, 0]


def test_no_recall_is_released_before_what_replaces_it():
    rows = release(recalling())
    assert dense(rows, 3) == [[Fraction(9, 10), Fraction(-1, 2), 0]]
    assert list(rows.upper) == [10]


def test_a_recall_makes_room_at_its_factor_where_it_lay():
    block = limit("money", "value_after_haircut", [1, 0, 2], [0, 0, 0], [0, 1, 2], figure=60, posted=["72"])
    block = replace(block, recalled=np.array([False, True, True]))
    rows = concentration(recalling(), block)
    assert dense(rows, 3) == [[Fraction(-9, 10), Fraction(1, 2), Fraction(-9, 10)]]
    assert list(rows.upper) == [-12]  # so much must be recalled
    shut = concentration(recalling(), replace(block, shut=np.array([True])))
    assert dense(shut, 3) == [[0, Fraction(1, 2), 0]] and list(shut.upper) == [0]


def test_signed_weight_in_units_and_value():
    view = recalling()
    assert list(signed_weight(view, "quantity", np.array([0, 1]), np.array([True, False]))) == [-1, 1]
    assert list(signed_weight(view, "market_value", np.array([2]), np.array([True]))) == [-1]


def test_a_line_that_carries_anything_is_on_and_the_budget_counts_it():
    # The recall is on two switches: the line to C and the recall itself; they are columns 5 to 7.
    view = View(with_recall(), np.arange(3), FLOAT)
    rows = switched(view, 5, np.array([60.0, 100.0, 80.0]))
    assert dense(rows, 8) == [
        [1, 0, 0, 0, 0, -60, 0, 0],
        [0, 1, 0, 0, 0, 0, -100, 0],
        [1, 0, 1, 0, 0, 0, 0, -80],
    ]
    most = np.array([60.0, 100.0, 80.0])
    counted = budgets(view, lines_of(view, most, 5))
    assert dense(counted, 8) == [[0, 0, 0, 0, 0, 1, 1, 1]] and list(counted.upper) == [2]
    # Without columns of their own lines are there as far as they are full: the recall is part of two.
    by_flow = budgets(view, lines_of(view, most, None))
    assert np.allclose(dense(by_flow, 5), [[1 / 60 + 1 / 80, 1 / 100, 1 / 80, 0, 0]]) and list(by_flow.upper) == [2]


def test_what_comes_home_can_be_counted_there():
    net = with_recall()
    reserve = replace(
        net,
        uses=replace(
            net.uses,
            ids=["C", "A", "R", "home"],
            kind=np.array([Kind.CALL, Kind.AGREEMENT, Kind.RESERVE, Kind.HOME], dtype=np.int8),
            agreement=np.array([1, 0, -1, -1]),
            required=[Fraction(50), Fraction(-10), Fraction(5), Fraction(80)],
            priority=np.array([0, 0, 1]),
        ),
        edges=replace(
            net.edges,
            source=np.array([2, 0, 1, 2]),
            use=np.array([0, 1, 2, 3]),
            factor_code=np.array([0, 1, 2, 2]),
            cost_bps=np.zeros(4),
        ),
    )
    rows = stays_home(View(reserve, np.arange(4), EXACT))
    # H holds nothing; what R counts of it is at most what comes home.
    assert rows.labels == [("home", "H", "R")]
    assert dense(rows, 4) == [[0, 0, 1, -1]] and list(rows.upper) == [0]


def test_an_odd_lot_comes_home_with_all_of_its_row():
    # P is 80 in whole lots, and 5 more of its row are a source of their own, which goes home or stays.
    net = with_recall()
    parts = replace(
        net.sources.recallable,
        agreement=np.array([0, 0]),
        joins=np.array([1, 1]),
        factor=[Fraction(9, 10)] * 2,
        keep_bps=np.array([20.0, 20.0]),
        wait=np.zeros(2, np.int64),
        line=np.array([0, 0]),
        odd=np.array([0.0, 5.0]),
    )
    sources = replace(
        net.sources,
        ids=["B0", "H", "P", "P odd"],
        asset=np.array([0, 1, 1, 1]),
        quantity=np.array([100.0, 0.0, 80.0, 5.0]),
        capacity=[None] * 4,
        deliverable_at=np.zeros(4, dtype=np.int64),
        cost_bps=np.zeros(4),
        funded_by=np.array([-1, -1, 1, 1]),
        recallable=parts,
    )
    edges = replace(
        net.edges,
        source=np.array([2, 0, 2, 3]),
        use=np.array([0, 1, 2, 2]),
        factor_code=np.array([0, 1, 2, 2]),
        cost_bps=np.zeros(4),
    )
    rows = whole_row(View(replace(net, sources=sources, edges=edges), np.arange(4), EXACT))
    assert dense(rows, 4) == [[Fraction(-1, 80), 0, Fraction(-1, 80), Fraction(1, 5)]]
    assert list(rows.upper) == [0]


def test_floats_and_fractions_say_the_same():
    block = limit("requirement", "value_after_haircut", [0, 2], [0, 1], [0, 1, 2], share=0.3, requirement="130")
    for constraint in (cover, supply, lambda v: concentration(v, block)):
        floats, fractions = constraint(view(FLOAT)), constraint(view(EXACT))
        assert floats.labels == fractions.labels
        assert np.allclose(floats.coefficient, fractions.coefficient.astype(float), rtol=1e-15)
        assert np.allclose(floats.upper, fractions.upper.astype(float), rtol=1e-15)


def test_every_constraint_has_a_test_here():
    public = {
        name
        for name, function in inspect.getmembers(constraints, inspect.isfunction)
        if function.__module__ == constraints.__name__ and not name.startswith("_")
    }
    tested = {
        "cover",
        "supply",
        "promised",
        "concentration",
        "share_of_posted",
        "least_line",
        "stays_home",
        "conversion",
        "release",
        "switched",
        "budgets",
        "signed_weight",
        "whole_row",
    }
    assert public == tested | {"limits", "weight"}, "limits gathers the others, weight is part of two"
