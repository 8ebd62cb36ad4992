"""Whole lots: cover to the cent, nothing in excess, and the exact optimum on small networks."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.seam import Limits
from tests.networks import limit, network


def executable(net, mip_gap=1e-4) -> Ledger:
    return make_executable(Linear.of(net, HighsSolver(), Limits()), mip_gap)[1]


def test_a_lot_is_rounded_up_where_only_that_covers():
    # 100 / 0.98 = 102.04 units: in lots of 10 that is 11 lots.
    ledger = executable(network([("B", 1, 10, 1000)], [("C", "100")], [(0, 0, "0.98", 10)]))
    assert ledger.lots == [11]


def test_a_lot_that_covers_exactly_is_enough():
    # 1000 * 1/1.02 covers 980.392...; asked for exactly that fraction of 50/51.
    ledger = executable(network([("B", 1, 51, 5100)], [("C", "1000")], [(0, 0, "50/51", 10)]))
    assert ledger.lots == [20]
    assert ledger.missing == [0]


def test_small_change_closes_the_call_instead_of_another_lot():
    # Bond lots of 1,000 at 10 bps and cash by the cent at 40: 3 lots cover 2,940 and 60.00 in cash the rest.
    net = network(
        [("B", 1, 1000, 50000), ("K", 1, 0.01, 10000)], [("C", "3000")], [(0, 0, "0.98", 10), (0, 1, "1", 40)]
    )
    ledger = executable(net)
    assert ledger.lots == [3, 6000]


def test_another_lot_is_cheaper_than_dear_small_change():
    # The same with cash at 400 bps: 60 of cash cost 24,000, one more lot 10,000.
    net = network(
        [("B", 1, 1000, 50000), ("K", 1, 0.01, 10000)],
        [("C", "3000")],
        [(0, 0, "0.98", 10), (0, 1, "1", 400)],
    )
    ledger = executable(net)
    assert ledger.lots == [4, 0]


def test_lots_never_pass_a_limit_met_exactly():
    block = limit("requirement", "value_after_haircut", [0], [0], [0, 1], share=0.25, requirement="400")
    net = network(
        [("B0", 1, 50, 1000), ("B1", 1, 10, 1000)], [("C", "400")], [(0, 0, "1", 5), (0, 1, "1", 25)], [block]
    )
    assert executable(net).lots == [2, 30]


def test_a_share_of_what_is_posted_is_built_up_from_nothing():
    block = limit("posted", "value_after_haircut", [0], [0], [0, 1], share=0.5)
    net = network(
        [("B0", 1, 10, 1000), ("B1", 1, 10, 1000)], [("C", "200")], [(0, 0, "1", 5), (0, 1, "1", 25)], [block]
    )
    assert executable(net).lots == [10, 10]


def test_least_denomination_is_kept_to():
    net = network([("B", 1, 1, 1000), ("K", 1, 1, 1000)], [("C", "60")], [(0, 0, "1", 5), (0, 1, "1", 25)])
    net.assets.min_quantity[0] = 100
    ledger = executable(net)
    # The bond's least quantity of 100 costs 500; 60 of the other would cost 1,500.
    assert ledger.lots == [100, 0]


def brute_force(net) -> tuple[Fraction, Fraction]:
    """Every count of lots on every edge: least total shortfall, then least cost."""
    ledger = Ledger(net, np.arange(len(net.edges)), {})
    held = [int(net.sources.quantity[i] / net.assets.lot[i]) for i in net.edges.source]
    best = None
    for lots in product(*(range(h + 1) for h in held)):
        used = np.zeros(len(net.sources))
        for i, n in zip(net.edges.source, lots, strict=True):
            used[i] += n * net.assets.lot[i]
        if np.any(used > net.sources.quantity):
            continue
        covered = [Fraction(0)] * len(net.uses)
        cost = Fraction(0)
        for e, n in enumerate(lots):
            value = n * ledger.lot_value[e]
            covered[net.edges.use[e]] += value * net.edges.factors[net.edges.factor_code[e]]
            cost += value * Fraction(net.edges.cost_bps[e])
        short = sum(max(Fraction(0), r - c) for r, c in zip(net.uses.required, covered, strict=True))
        best = min(best, (short, cost)) if best is not None else (short, cost)
    return best


@pytest.mark.parametrize("seed", range(40))
def test_coarse_lots_reach_the_exact_optimum_of_tiny_books(seed):
    rng = np.random.default_rng(seed)
    holdings = [(f"B{i}", 1.0, float(rng.choice([7, 20, 50])), float(rng.integers(20, 160))) for i in range(2)]
    calls = [(f"C{j}", str(int(rng.integers(20, 120)))) for j in range(2)]
    pairs = [
        (j, i, str(rng.choice(["1", "0.9", "0.75"])), float(rng.integers(1, 60))) for j in range(2) for i in range(2)
    ]
    net = network(holdings, calls, pairs)
    ledger = executable(net)
    short, cost = brute_force(net)
    assert sum(ledger.shortfalls()) == short
    assert float(ledger.cost()) <= float(cost) * (1 + 1e-4)


def test_no_line_can_shrink_by_a_lot():
    rng = np.random.default_rng(11)
    holdings = [(f"B{i}", float(rng.uniform(0.5, 2)), 100.0, 5000.0) for i in range(12)] + [("K", 1.0, 0.01, 200.0)]
    calls = [(f"C{j}", f"{rng.uniform(500, 4000):.2f}") for j in range(6)]
    pairs = [
        (j, i, str(rng.choice(["0.98", "0.95", "0.9"])), float(rng.integers(5, 50)))
        for j in range(6)
        for i in range(13)
    ]
    ledger = executable(network(holdings, calls, pairs))
    assert sum(ledger.shortfalls()) == 0
    for k, lots in enumerate(ledger.lots):
        if lots:
            assert -ledger.missing[ledger.use[k]] < ledger.value[k]
