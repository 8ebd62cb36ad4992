"""Swaps of lines between calls: what pays is made, every row and cap holds, and the books of a pool are right."""

from __future__ import annotations

import numpy as np
import pytest

from collateral_opt.model.formulation import formulate
from collateral_opt.network.network import Floats, LimitBlock, Network
from collateral_opt.solve import lines
from collateral_opt.solve.executable import make_executable
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.lines import LineSearch, may_swap
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.pool import Log, Pool
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.swaps import swap_lines
from tests.networks import limit, network, with_facility_and_reserve, with_recall
from tests.solve.test_lines import capped, every_choice, linear_of, small_desk

ALWAYS = 1.0
"""As a share of a call: no lot is too coarse."""


def pool_of(net: Network, x: list[float] | Floats, most: int) -> Pool:
    every, calls = np.arange(len(net.edges)), net.uses.calls
    allowed = np.full(len(net.uses), float(most))
    return Pool(net, every, np.asarray(x, dtype=np.float64), net.uses.size[:calls], allowed, ALWAYS)


def swapped(net: Network, x: list[float] | Floats, most: int) -> Pool:
    pool = pool_of(capped(net, most), x, most)
    swap_lines(pool, lambda: True)
    return pool


def full_desk(*limits: LimitBlock) -> Network:
    """Two calls of 100 that may both have holdings of 60, 55, 45 and 40, and at 9 bps any part of 1,000."""
    holdings = [("A", 1, 1, 60), ("B", 1, 1, 55), ("C", 1, 1, 45), ("D", 1, 1, 40), ("Z", 1, 1, 1_000)]
    pairs = [(j, i, "1", 9.0 if i == 4 else 1.0) for j in range(2) for i in range(5)]
    return network(holdings, [("K", "100"), ("L", "100")], pairs, limits)


def test_two_calls_swap_the_lines_that_add_up() -> None:
    # K has A and B, of which it needs but 40; L has C and D and lacks 15. With B and D swapped both are covered.
    pool = swapped(full_desk(), [60, 40, 0, 0, 0, 0, 0, 45, 40, 0], 2)
    assert sorted([sorted(pool.x[:5].tolist()), sorted(pool.x[5:].tolist())]) == [[0, 0, 0, 40, 60], [0, 0, 0, 45, 55]]
    assert pool.cost == 200


def test_what_is_left_takes_the_place_of_a_dearer_line() -> None:
    # D lies idle and Z stands in its place: 40 at 9 bps instead of 1.
    pool = swapped(full_desk(), [60, 0, 0, 0, 40, 0, 55, 45, 0, 0], 2)
    assert pool.x.tolist() == [60, 0, 0, 40, 0, 0, 55, 45, 0, 0]


def test_a_place_that_is_free_takes_what_is_left() -> None:
    pool = swapped(full_desk(), [60, 0, 0, 0, 0, 0, 55, 45, 0, 0], 2)
    assert pool.x.tolist() == [60, 0, 0, 40, 0, 0, 55, 45, 0, 0]


def test_a_swap_that_breaks_a_limit_is_not_made() -> None:
    # D may not go to K, which else would have it instead of Z.
    shut = limit("money", "market_value", [3], [0], [3], figure=0.0)
    x = [60.0, 0, 0, 0, 40, 0, 55, 45, 0, 0]
    assert swapped(full_desk(shut), x, 2).x.tolist() == x


def rows_hold(net: Network, x: Floats) -> bool:
    program = formulate(net)
    full = np.pad(x, (0, program.n_columns - len(x)))
    activity = np.bincount(
        program.rows.row, full[program.rows.column] * program.rows.coefficient, minlength=program.n_rows
    )
    asked = [row for row, label in enumerate(program.rows.labels) if label[0] not in ("cover", "budget")]
    return bool(np.all(activity[asked] <= np.asarray(program.rows.upper)[asked] + 1e-6))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("most", [1, 2, 3])
def test_swaps_keep_caps_and_rows_and_never_make_it_worse(seed: int, most: int) -> None:
    net = capped(small_desk(seed), most)
    rng = np.random.default_rng(seed)
    x = np.zeros(len(net.edges))
    for i in range(len(net.sources)):
        # Each holding lies at some call, in part.
        j = int(rng.integers(len(net.uses)))
        into = np.flatnonzero((net.edges.use == j) & (x > 0))
        edge = int(np.flatnonzero((net.edges.use == j) & (net.edges.source == i))[0])
        x[edge] = min(net.held[i], 30.0) if len(into) < most else 0.0
    pool = pool_of(net, x, most)
    before = pool.cost
    swap_lines(pool, lambda: True)
    assert pool.cost <= before
    assert all(len(pool.lines(j)) <= most for j in range(pool.calls))
    assert rows_hold(net, pool.flows())
    short, cost = every_choice(net, most)
    lacking = float(np.sum(np.maximum(pool.target - pool.cover, 0.0)))
    assert lacking >= short - 1e-6
    if lacking <= short + 1e-6:
        assert float(np.sum(net.edges.cost_bps * pool.x)) >= cost - 1e-4


def test_a_pool_keeps_its_books() -> None:
    net = capped(small_desk(3), 2)
    pool = pool_of(net, np.zeros(len(net.edges)), 2)
    log = Log()
    for column, value in ((0, 20.0), (7, 15.0), (0, 5.0), (7, 0.0), (11, 12.0)):
        pool.put(column, value, log)
    again = pool_of(net, pool.flows(), 2)
    assert pool.left == pytest.approx(again.left)
    assert pool.cover == pytest.approx(again.cover)
    assert pool.activity == pytest.approx(again.activity)
    pool.undo(log)
    assert not pool.x.any()
    assert pool.left == pytest.approx(net.held)
    assert not pool.activity.any()


def test_the_program_of_two_calls_is_the_whole_one_with_the_others_as_they_are() -> None:
    net = capped(small_desk(4), 2)
    search = LineSearch(net, np.zeros(len(net.edges)), HighsSolver(), Limits(), 1e-6)
    x = np.where(net.edges.use == 0, 25.0, 0.0) * (net.edges.source < 2)
    search.x = x
    pool = pool_of(net, x, 2)
    column = np.flatnonzero(net.edges.use > 0)
    free = np.arange(len(net.uses)) > 0
    program, view, narrow = search._program(column, free)
    few = Passes(narrow, lines._beside(program, pool, column), view, HighsSolver(), Limits()).cover_everything()
    program, view, narrow = search._program(np.arange(len(net.edges)), free)
    stays = net.edges.use == 0
    program.lower[: len(x)][stays] = program.upper[: len(x)][stays] = x[stays]
    whole = Passes(narrow, program, view, HighsSolver(), Limits()).cover_everything()
    # Call 0 is short of the same in both; what the others are given is the same.
    assert few.x[len(column) :][:3] == pytest.approx(whole.x[len(x) :][:3], abs=1e-6)
    assert few.x[: len(column)] == pytest.approx(whole.x[: len(x)][~stays], abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("most", [1, 2])
def test_the_search_of_large_books_keeps_what_small_ones_allow(
    seed: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "FEW", 0)
    net = capped(small_desk(seed), most)
    ledger = make_executable(linear_of(net), 1e-4)[1]
    short, cost = every_choice(net, most)
    lacking = float(sum(ledger.shortfalls()))
    assert lacking == pytest.approx(short, abs=0.02)
    assert float(ledger.cost()) >= cost * (1 - 1e-6)


def test_lines_are_not_swapped_where_more_than_their_number_counts() -> None:
    assert may_swap(capped(small_desk(0), 2))
    assert may_swap(with_facility_and_reserve())
    assert not may_swap(with_recall())
