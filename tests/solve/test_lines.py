"""Which lines there are where calls may have only so many: caps kept, and the optimum of every choice of lines."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import highspy
import numpy as np
import pytest

from collateral_opt.network.network import Network, Switches
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.lines import LineSearch, nearest, on_chosen_lines, reduced_cost_of_lines, switches_among
from collateral_opt.solve.seam import Limits
from tests.networks import network


def capped(net: Network, most: int) -> Network:
    """``net`` with at most so many holdings for each call."""
    count = len(net.edges)
    budgets = [(f"call {name}", np.flatnonzero(net.edges.use == j), most) for j, name in enumerate(net.uses.ids)]
    switches = Switches(
        labels=[("asset", net.uses.ids[j], str(i)) for j, i in zip(net.edges.use, net.edges.source, strict=True)],
        edge=np.arange(count),
        switch=np.arange(count),
        fixed=[0] * count,
        worth=[0] * count,
        is_move=np.zeros(count, dtype=bool),
        budgets=budgets,
    )
    return replace(net, switches=switches)


def linear_of(net: Network) -> Linear:
    return Linear.of(net, HighsSolver(), Limits())


def test_one_line_is_the_one_that_is_large_enough() -> None:
    # 60 at 1 and 40 at 2 bps would be 140; alone only the last covers 100, at 5 bps: 500.
    pairs = [(0, 0, "1", 1), (0, 1, "1", 2), (0, 2, "1", 5)]
    net = network([("A", 1, 1, 60), ("B", 1, 1, 60), ("C", 1, 1, 200)], [("K", "100")], pairs)
    assert make_executable(linear_of(net), 1e-4)[1].lots == [60, 40, 0]
    assert make_executable(linear_of(capped(net, 1)), 1e-4)[1].lots == [0, 0, 100]


def test_a_call_leaves_the_large_holding_to_the_one_that_needs_it() -> None:
    # One line each: only A (100) covers L; S takes B at 9 bps, though A would cost it 1. 100 * 1 + 50 * 9 = 550.
    net = network(
        [("A", 1, 1, 100), ("B", 1, 1, 50)],
        [("S", "50"), ("L", "100")],
        [(0, 0, "1", 1), (0, 1, "1", 9), (1, 0, "1", 1), (1, 1, "1", 1)],
    )
    ledger = make_executable(linear_of(capped(net, 1)), 1e-4)[1]
    assert ledger.lots == [0, 50, 100, 0]
    assert ledger.cost() == 550


def small_desk(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    holdings = [(f"H{i}", 1.0, 0.01, float(rng.integers(40, 130))) for i in range(5)]
    calls = [(f"C{j}", str(int(rng.integers(40, 110)))) for j in range(3)]
    pairs = [(j, i, str(rng.choice(["1", "0.9"])), float(rng.integers(1, 60))) for j in range(3) for i in range(5)]
    return network(holdings, calls, pairs)


def every_choice(net: Network, most: int) -> tuple[float, float]:
    """Least shortfall, and the least cost at that, over every choice of ``most`` lines a call: a program for each."""
    uses, count = len(net.uses), len(net.edges)
    into = [np.flatnonzero(net.edges.use == j) for j in range(uses)]
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    for e in range(count):
        solver.addCol(float(net.edges.cost_bps[e]), 0, highspy.kHighsInf, 0, [], [])
    for _ in range(uses):
        solver.addCol(1e5, 0, highspy.kHighsInf, 0, [], [])
    for j, need in enumerate(net.uses.size.tolist()):
        columns, factors = [*into[j].tolist(), count + j], [*net.edges.factor[into[j]].tolist(), 1.0]
        solver.addRow(need, highspy.kHighsInf, len(columns), np.array(columns, dtype=np.int32), np.array(factors))
    for i, held in enumerate(net.held.tolist()):
        out = np.flatnonzero(net.edges.source == i).astype(np.int32)
        solver.addRow(-highspy.kHighsInf, held, len(out), out, np.ones(len(out)))
    best = (np.inf, np.inf)
    for chosen in product(*(combinations(edges.tolist(), most) for edges in into)):
        there = {e for lines in chosen for e in lines}
        for e in range(count):
            solver.changeColBounds(e, 0.0, highspy.kHighsInf if e in there else 0.0)
        solver.run()
        x = np.array(solver.getSolution().col_value)
        best = min(best, (round(float(x[count:].sum()), 6), float(net.edges.cost_bps @ x[:count])))
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [1, 2])
def test_small_desks_reach_the_best_of_every_choice_of_lines(seed: int, most: int) -> None:
    net = small_desk(seed)
    ledger = make_executable(linear_of(capped(net, most)), 1e-4)[1]
    short, cost = every_choice(net, most)
    # Lots are hundredths: 15 lines of half a lot are less than a tenth of a unit.
    assert float(sum(ledger.shortfalls())) <= short + 0.1
    if short == 0:
        assert float(ledger.cost()) <= cost * (1 + 1e-3)
    lines = np.bincount(np.array(ledger.use), weights=np.array(ledger.lots) > 0)
    assert lines.max() <= most


@pytest.mark.parametrize("seed", range(6))
def test_the_search_keeps_every_cap_and_says_the_same_twice(seed: int) -> None:
    net = capped(small_desk(seed), 2)
    (found,), (again,) = on_chosen_lines(linear_of(net), 1e-4), on_chosen_lines(linear_of(net), 1e-4)
    assert np.bincount(net.edges.use, weights=found > 0).max() <= 2
    assert np.all(np.bincount(net.edges.source, weights=found) <= net.held * (1 + 1e-6))
    assert found.tobytes() == again.tobytes()


def test_a_search_begins_within_its_caps_however_many_lines_it_is_given() -> None:
    net = capped(small_desk(1), 2)
    search = LineSearch(net, np.zeros(len(net.edges)), HighsSolver(), Limits(), 1e-4)
    assert search.begin([np.full(len(net.edges), 20.0)])
    assert np.bincount(net.edges.use, weights=search.x > 0).max() <= 2


@pytest.mark.parametrize("seed", range(1, 5))
def test_lines_in_use_have_no_reduced_cost_and_no_line_would_save(seed: int) -> None:
    net = capped(small_desk(seed), 2)
    linear = linear_of(net)
    price = reduced_cost_of_lines(net, linear.flows)
    full = linear.flows.x > 0.999 * np.minimum(net.most_value, net.held[net.edges.source])
    assert price[~full].min() > -1e-4
    partly = (linear.flows.x > 1e-3) & ~full
    assert partly.any()
    assert np.abs(price[partly]).max() < 1e-4


def test_lines_that_stay_take_up_the_budget_of_those_that_may_change() -> None:
    switches = capped(small_desk(0), 3).switches
    free, on = np.zeros(15, dtype=bool), np.zeros(15, dtype=bool)
    # Of the first call's five lines 0, 1 and 2 may change; 3 is there and stays.
    free[:3], on[[0, 3]] = True, True
    few = switches_among(switches, free, on)
    (_, members, most), *others = few.budgets
    assert members.tolist() == [0, 1, 2]
    assert most == 2
    assert others == []
    assert few.labels == list(switches.labels[:3])


def test_nearest_are_the_cheapest_for_a_unit_of_cover() -> None:
    pairs = [(0, 0, "0.5", 6), (0, 1, "1", 8), (0, 2, "1", 11)]
    net = network([("A", 1, 1, 9), ("B", 1, 1, 9), ("C", 1, 1, 9)], [("K", "5")], pairs)
    # 12, 8 and 11 bps for one unit of cover.
    assert nearest(net, net.edges.cost_bps, 2, net.in_lots).tolist() == [1, 2]
