"""Which lines there are where calls may have only so many: caps kept, and the optimum of every choice of lines."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product

import highspy
import numpy as np
import pytest

from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Program, scale
from collateral_opt.network.network import Network, Switches, View
from collateral_opt.solve.diving import dive
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.lines import LineSearch, nearest, on_chosen_lines, switches_among
from collateral_opt.solve.polishing import in_lots
from collateral_opt.solve.seam import Limits, Status
from tests.networks import limit, network


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
    price = linear.flows.reduced_cost
    full = linear.flows.x > 0.999 * np.minimum(net.most_value, net.held[net.edges.source])
    assert price[~full].min() > -1e-4
    partly = (linear.flows.x > 1e-3) & ~full
    assert partly.any()
    assert np.abs(price[partly]).max() < 1e-4


def solved(program: Program) -> float:
    """The optimum with a penalty on what is short."""
    cost = program.cost.copy()
    cost[np.array([label[0] == "short" for label in program.column_labels])] = 1e5
    scaled, scaling = scale(replace(program, cost=cost))
    solution = HighsSolver().load(scaled).solve()
    assert solution.status is Status.OPTIMAL
    return solution.objective * scaling.objective


def counted(net: Network, seed: int) -> Network:
    """``net`` capped at two lines a call, with a charge on every line and at most three moves in all."""
    rng, held = np.random.default_rng(seed), capped(net, 2)
    count = len(net.edges)
    switches = replace(
        held.switches,
        fixed=[Fraction(int(f)) for f in rng.integers(0, 400, count)],
        worth=[Fraction(int(w)) for w in rng.integers(0, 100, count)],
        budgets=[*held.switches.budgets, ("moves", np.arange(count), 3)],
    )
    return replace(held, switches=switches)


@pytest.mark.parametrize("seed", range(1, 8))
def test_the_program_without_switch_columns_has_the_optimum_of_the_one_with_them(seed: int) -> None:
    net = counted(small_desk(seed), seed)
    without, with_them = formulate(net), formulate(net, by_switch=True)
    assert with_them.n_columns - without.n_columns == with_them.n_rows - without.n_rows == len(net.edges)
    assert solved(without) == pytest.approx(solved(with_them), rel=1e-8)
    free = replace(net, switches=replace(net.switches, budgets=[]))
    assert solved(without) > solved(formulate(free)) * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_bound_is_below_the_best_of_every_choice_of_lines(seed: int, most: int) -> None:
    net = small_desk(seed)
    linear = linear_of(capped(net, most))
    short, cost = every_choice(net, most)
    if short == 0:
        assert linear.flows.bound <= cost * (1 + 1e-9)
        assert linear.flows.bound >= linear_of(net).flows.bound * (1 - 1e-9)


def test_a_line_is_full_at_what_a_limit_leaves_to_it() -> None:
    # A has 90, the call asks for 100 and lots are 1, but of A only 30 may be taken; B's two lots of 60 overshoot 100 by
    # less than a lot; C and D are one line, and as much of both as covers 101 is all that could be of use.
    block = limit("requirement", "value_after_haircut", [0], [0], [0, 1, 2, 3], share=0.3, requirement="100")
    pairs = [(0, 0, "1", 1), (0, 1, "1", 2), (0, 2, "1", 3), (0, 3, "1", 4)]
    net = network(
        [("A", 1, 1, 90), ("B", 1, 60, 900), ("C", 1, 1, 70), ("D", 1, 1, 80)], [("K", "100")], pairs, [block]
    )
    budgets = [("call K", np.arange(3), 2)]
    lines = replace(
        capped(net, 2).switches, labels=["A", "B", "CD"], switch=np.array([0, 1, 2, 2]), fixed=[0] * 3, worth=[0] * 3
    )
    net = replace(net, switches=replace(lines, is_move=np.zeros(3, dtype=bool), budgets=budgets))
    assert formulate(net).presence.most.tolist() == [30, 160, 150]
    small = replace(net, assets=replace(net.assets, lot=np.ones(4)))
    assert formulate(small).presence.most.tolist() == [30, 101, 101]


@pytest.mark.parametrize("seed", range(6))
def test_a_dive_keeps_its_budgets_and_covers_what_two_lines_can(seed: int) -> None:
    net = capped(small_desk(seed), 2)
    found = dive(net, np.arange(len(net.edges)), np.zeros(3), HighsSolver(), Limits())
    assert found is not None
    assert np.bincount(net.edges.use, weights=found > 1e-5).max() <= 2
    covered = np.bincount(net.edges.use, weights=found * net.edges.factor)
    assert np.all(np.bincount(net.edges.source, weights=found) <= net.held * (1 + 1e-6))
    if every_choice(net, 2)[0] == 0:
        assert np.all(covered >= net.uses.size * (1 - 1e-5))


def test_a_dive_gives_what_two_calls_divide_to_one_of_them() -> None:
    # One line each. A is cheapest for both and too small for both: S (60) has it, L (100) all of B, or is short.
    pairs = [(0, 0, "1", 1), (0, 1, "1", 2), (1, 0, "1", 1), (1, 1, "1", 3)]
    net = capped(network([("A", 1, 1, 80), ("B", 1, 1, 120)], [("S", "60"), ("L", "100")], pairs), 1)
    found = dive(net, np.arange(4), np.zeros(2), HighsSolver(), Limits())
    assert found is not None
    assert found.tolist() == pytest.approx([60, 0, 0, 100])


def test_a_dive_keeps_the_lines_of_a_call_that_nothing_could_cover() -> None:
    # 60 of 100 is all there is, on two lines; the third is too small to be of use.
    net = network(
        [("A", 1, 1, 40), ("B", 1, 1, 20), ("C", 1, 1, 0.5)], [("K", "100")], [(0, i, "1", 5) for i in range(3)]
    )
    linear = linear_of(capped(net, 2))
    found = dive(capped(net, 2), np.arange(3), linear.flows.short, HighsSolver(), Limits())
    assert found is not None
    assert found.sum() >= 60 * (1 - 1e-6)


def test_a_line_that_stays_has_its_least_and_needs_no_switch() -> None:
    net = network([("A", 1, 1, 90), ("B", 1, 1, 90)], [("K", "100")], [(0, 0, "1", 1), (0, 1, "1", 2)])
    net.assets.min_quantity[:] = 20
    free = in_lots(net, View.of(net))
    staying = in_lots(net, View.of(net), stays=np.array([True, False]))
    assert free.n_columns - staying.n_columns == 1
    assert staying.lower[:2].tolist() == [20, 0]
    assert staying.integer is not None and staying.integer.tolist() == [False, True, False, True]


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
