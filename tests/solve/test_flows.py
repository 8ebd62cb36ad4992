"""The aims in their order, on networks small enough to solve by hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from collateral_opt import read_book
from collateral_opt.generate import write_book
from collateral_opt.model.program import dual_bound
from collateral_opt.network.build import build_network
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.passes import Passes, cost_bound, solve_flows, with_lines
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.sifting import ColumnGeneration
from tests.networks import limit, network, with_facility_and_reserve


def flows(*args, **kwargs):
    return solve_flows(network(*args, **kwargs), HighsSolver())[1]


def test_the_cheapest_cover_is_chosen_per_unit_of_cover_not_of_value():
    # B0 costs 9 bps at a factor of 0.5 (18 per unit of cover), B1 12 bps at 1 (12 per unit): B1 is cheaper.
    answer = flows([("B0", 1, 1, 1000), ("B1", 1, 1, 1000)], [("C", "100")], [(0, 0, "0.5", 9), (0, 1, "1", 12)])
    assert answer.x == pytest.approx([0, 100])
    assert answer.cost == pytest.approx(1200)
    assert answer.bound == pytest.approx(1200, rel=1e-12)
    assert answer.duals["cover", "call", "C"] == pytest.approx(12), "one more unit of the call costs 12 bps"


def test_scarcity_is_what_one_more_unit_would_save():
    # 40 at 5 bps are there, the other 60 cost 25: a unit more of the first saves 20.
    answer = flows([("B0", 1, 1, 40), ("B1", 1, 1, 1000)], [("C", "100")], [(0, 0, "1", 5), (0, 1, "1", 25)])
    assert answer.cost == pytest.approx(40 * 5 + 60 * 25)
    assert answer.duals["supply", "B0"] == pytest.approx(-20)
    assert answer.duals["cover", "call", "C"] == pytest.approx(25)


def test_an_earlier_priority_is_served_first_whatever_it_costs():
    # 100 for two calls of 80: the call of rank 0 takes 80 although its pair costs more.
    answer = flows(
        [("B", 1, 1, 100)],
        [("C0", "80"), ("C1", "80")],
        [(0, 0, "1", 90), (1, 0, "1", 1)],
        priority=[0, 1],
    )
    assert answer.x == pytest.approx([80, 20])
    assert answer.short == pytest.approx([0, 60], abs=1e-6)


def test_among_equals_the_total_shortfall_counts_then_the_cost():
    # C0 values the bond at 0.5, C1 at 1: 100 of value cover most at C1, and what C1 leaves goes to C0.
    answer = flows(
        [("B", 1, 1, 100)], [("C0", "80"), ("C1", "80")], [(0, 0, "0.5", 1), (1, 0, "1", 90)], priority=[0, 0]
    )
    assert answer.x == pytest.approx([20, 80])
    assert answer.short == pytest.approx([70, 0], abs=1e-6)


def test_a_call_of_one_cent_is_covered_beside_one_of_ten_trillion():
    answer = flows(
        [("B0", 1, 0.01, 1e13), ("B1", 1, 0.01, 5)],
        [("C0", "10000000000000"), ("C1", "0.01")],
        [(0, 0, "1", 3), (1, 1, "1", 3)],
    )
    assert answer.short == pytest.approx([0, 0], abs=1e-12)
    assert answer.x == pytest.approx([1e13, 0.01])


def test_ties_go_to_the_earlier_identifier():
    pairs = [(0, i, "0.9", 7) for i in range(5)]
    answer = flows([(f"B{i}", 1, 1, 60) for i in range(5)], [("C", "90")], pairs)
    assert answer.x == pytest.approx([60, 40, 0, 0, 0])


def test_a_limit_pushes_into_the_second_best_and_its_dual_says_what_that_costs():
    block = limit("requirement", "value_after_haircut", [0], [0], [0, 1], share=0.25, requirement="100")
    answer = flows([("B0", 1, 1, 1000), ("B1", 1, 1, 1000)], [("C", "100")], [(0, 0, "1", 5), (0, 1, "1", 25)], [block])
    assert answer.x == pytest.approx([25, 75])
    assert answer.duals["limit", "A", "cap", "requirement", "g0"] == pytest.approx(-20)


def test_negative_costs_do_not_post_more_than_the_call():
    answer = flows([("B", 1, 1, 1000)], [("C", "100")], [(0, 0, "1", -5)])
    assert answer.x == pytest.approx([100])


def test_no_calls_and_no_pairs_are_answers_too():
    assert flows([("B", 1, 1, 10)], [], []).cost == 0
    assert flows([("B", 1, 1, 10)], [("C", "5")], []).short == pytest.approx([5])
    assert flows([], [("C", "5")], []).short == pytest.approx([5])


def test_the_bound_holds_for_answers_as_short_as_the_reported_one_not_shorter():
    # Supply is 50 at 10 bps for a call of 80; an answer reported 40 short may use only 40 of it.
    net = network([("B", 1, 1, 50)], [("C", "80")], [(0, 0, "1", 10)])
    passes, answer = solve_flows(net, HighsSolver())
    assert answer.cost == pytest.approx(500)
    assert cost_bound(passes, answer, [Fraction(40)]) == pytest.approx(400, rel=1e-6)


def test_the_bound_allows_for_the_overshoot_of_a_lot_that_earns():
    # Cash earns 5 bps: a lot of 30 may overshoot the call of 100 by up to 30, so the bound goes down by 150.
    net = network([("B", 1, 30, 1000)], [("C", "100")], [(0, 0, "1", -5)])
    passes, answer = solve_flows(net, HighsSolver())
    assert cost_bound(passes, answer, [Fraction(0)]) == pytest.approx(-500 - 150)


def test_the_order_of_rows_does_not_matter_to_the_flow_of_money():
    rng = np.random.default_rng(3)
    holdings = [(f"B{i}", 1.0, 1.0, float(rng.integers(10, 90))) for i in range(6)]
    calls = [(f"C{j}", str(rng.integers(5, 60))) for j in range(4)]
    pairs = [(j, i, "0.9", float(rng.integers(1, 4))) for j in range(4) for i in range(6)]
    one = flows(holdings, calls, pairs)
    two = flows(holdings, calls, pairs[::-1])
    assert np.array_equal(one.x, two.x)


def test_a_facility_is_given_what_it_needs_and_the_reserve_keeps_its_share():
    # The reserve needs 30 / 0.9 = 33.33 of B0 at home, which leaves 66.67: B0 alone covers the call, at 5 bps.
    answer = solve_flows(with_facility_and_reserve(), HighsSolver())[1]
    assert answer.x == pytest.approx([50, 0, 100 / 3, 0])
    assert answer.short == pytest.approx([0, 0])


def test_the_call_comes_before_the_reserve_and_borrows_before_it_falls_short():
    # Of B0 only 40 are held: the reserve takes 33.33 of it, the call 6.67 and all 40 of the repo, and 3.33 more of B0.
    net = with_facility_and_reserve()
    net.sources.quantity[0] = 40.0
    answer = solve_flows(net, HighsSolver())[1]
    assert answer.x == pytest.approx([10, 40, 30, 50], rel=1e-6)
    # 40 of cash takes 40 / 0.8 = 50 of B1; the reserve counts 30 * 0.9 = 27 and falls short by 3.
    assert answer.short == pytest.approx([0, 3], abs=1e-6)
    # 10 at 5 bps, 40 at 20 bps, 50 of B1 at 1 bp.
    assert answer.cost == pytest.approx(10 * 5 + 40 * 20 + 50 * 1, rel=1e-6)


@pytest.mark.parametrize(
    "solver", [HighsSolver(), ColumnGeneration(HighsSolver(), whole=20)], ids=["whole", "in parts"]
)
def test_prices_of_given_lines_prove_what_they_cost(tmp_path: Path, solver) -> None:
    write_book(tmp_path / "book", holdings=120, calls=10, agreements=4, seed=3)
    on = build_network(read_book(tmp_path / "book").in_full)
    _, found = solve_flows(on, HighsSolver())
    passes = Passes.over(on, solver, Limits())
    prices = passes.prices_with(found.x, found.short, found.duals)
    assert prices is not None
    alone = with_lines(passes.program, passes.view, found.x, found.short)
    proven = dual_bound(alone, np.array([prices[label] for label in alone.rows.labels]))
    # The lines are those of the optimum, and a millionth of a call may be left uncovered.
    assert proven == pytest.approx(found.cost, rel=1e-5) and proven <= found.cost
