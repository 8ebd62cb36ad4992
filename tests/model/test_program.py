"""Scaling and the dual bound: figures worked out by hand, and weak duality for any duals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral_opt.model.program import Floats, Program, Rows, dual_bound, scale, stack

INF = np.inf

# minimise 5x + y with 2x + 3y >= 40, x - y <= 6, an empty row; x up to 30 in units of 10, y up to 8 in fours
SMALL = Program(
    column_labels=[("x",), ("y",)],
    lower=np.array([0.0, 0.0]),
    upper=np.array([30.0, 8.0]),
    cost=np.array([5.0, 1.0]),
    rows=Rows(
        labels=[("cover",), ("limit",), ("empty",)],
        row=np.array([0, 0, 1, 1]),
        column=np.array([0, 1, 0, 1]),
        coefficient=np.array([2.0, 3.0, 1.0, -1.0]),
        lower=np.array([40.0, -INF, 0.0]),
        upper=np.array([INF, 6.0, 0.0]),
    ),
    unit=np.array([10.0, 4.0]),
)


def activity(program: Program, x: Floats) -> Floats:
    entries = np.asarray(program.rows.coefficient, dtype=np.float64) * x[program.rows.column]
    return np.bincount(program.rows.row, weights=entries, minlength=program.n_rows)


def test_scale_divides_columns_by_unit_rows_by_largest_entry_and_costs_to_a_hundred() -> None:
    scaled, by = scale(SMALL)
    assert by.column.tolist() == [10, 4]
    # entries in units: 2 * 10 = 20, 3 * 4 = 12; 1 * 10 = 10, -1 * 4 = -4; the empty row stays
    assert by.row.tolist() == [20, 10, 1]
    np.testing.assert_allclose(scaled.rows.coefficient, [1, 12 / 20, 1, -0.4])
    assert scaled.rows.lower.tolist() == [2, -INF, 0]  # 40 / 20
    assert scaled.rows.upper.tolist() == [INF, 0.6, 0]  # 6 / 10
    assert scaled.lower.tolist() == [0, 0]
    assert scaled.upper.tolist() == [3, 2]  # 30 / 10, 8 / 4
    assert by.objective == 0.5  # costs in units 50 and 4; 50 / 100
    assert scaled.cost.tolist() == [100, 8]
    assert scaled.unit.tolist() == [1, 1]
    assert scaled.rows.labels == SMALL.rows.labels


def test_scale_leaves_a_program_without_costs_alone() -> None:
    scaled, by = scale(replace(SMALL, cost=np.zeros(2)))
    assert by.objective == 1.0
    assert scaled.cost.tolist() == [0, 0]


def test_scale_keeps_whole_numbers_marked() -> None:
    scaled, _ = scale(replace(SMALL, integer=np.array([True, False])))
    assert scaled.integer is not None
    assert scaled.integer.tolist() == [True, False]


@pytest.mark.parametrize(
    ("duals", "bound"),
    [
        # nothing asked of the rows: both at 0
        ([0, 0, 0], 0),
        # 40 * 1/3; reduced 5 - 2/3 > 0 at 0, y: 1 - 1 = 0
        ([1 / 3, 0, 0], 40 / 3),
        # 40 * 2.5 = 100; x: 5 - 5 = 0; y: 1 - 7.5 = -6.5 at 8: -52. The optimum: y = 8, x = 8, 40 + 8 = 48
        ([2.5, 0, 0], 48),
        # 40 * 3 = 120; x: 5 - 6 = -1 at 30; y: 1 - 9 = -8 at 8: 120 - 30 - 64
        ([3, 0, 0], 26),
        # the limit at -1: -6; x: 5 + 1 at 0; y: 1 - 1 = 0
        ([0, -1, 0], -6),
        # wrong signs: the cover has no upper side, the limit no lower one: both count as zero
        ([-2, 4, 0], 0),
        # the empty row's price meets a side of 0
        ([2.5, 0, 7], 48),
        ([2.5, 0, -7], 48),
    ],
)
def test_dual_bound_by_hand(duals: list[float], bound: float) -> None:
    assert dual_bound(SMALL, np.array(duals, dtype=np.float64)) == pytest.approx(bound, abs=1e-12)


def test_dual_bound_takes_the_side_of_a_ranged_row_that_the_sign_points_to() -> None:
    ranged = replace(SMALL, rows=replace(SMALL.rows, upper=np.array([50.0, 6, 0])))
    # -1: 50 * -1; x: 5 + 2, y: 1 + 3, both at 0
    assert dual_bound(ranged, np.array([-1.0, 0, 0])) == -50


def test_dual_bound_without_a_finite_bound_proves_nothing() -> None:
    endless = replace(SMALL, upper=np.array([30.0, INF]))
    assert dual_bound(endless, np.array([2.5, 0, 0])) == -INF  # y's reduced cost is -6.5
    assert dual_bound(endless, np.array([0.25, 0, 0])) == 10  # y's is 1 - 0.75 > 0: 40 / 4


def test_dual_bound_of_an_empty_program_is_zero() -> None:
    nothing = Program([], np.zeros(0), np.zeros(0), np.zeros(0), _no_rows(), np.zeros(0))
    assert dual_bound(nothing, np.zeros(0)) == 0


def _no_rows() -> Rows:
    none = np.zeros(0, dtype=np.int64)
    return Rows([], none, none, np.zeros(0), np.zeros(0), np.zeros(0))


def test_stack_shifts_rows_and_keeps_columns() -> None:
    both = stack([SMALL.rows, _no_rows(), SMALL.rows])
    assert len(both) == 6
    assert both.row.tolist() == [0, 0, 1, 1, 3, 3, 4, 4]
    assert both.column.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert list(both.labels[3:]) == list(SMALL.rows.labels)
    assert list(both.labels) == 2 * list(SMALL.rows.labels)
    assert both.lower.tolist() == [40, -INF, 0, 40, -INF, 0]


@st.composite
def points_of_programs(draw: st.DrawFn) -> tuple[Program, Floats, Floats]:
    """A program, a point that is feasible in it, and any duals."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    figure = st.integers(-10_000, 10_000).map(lambda hundredths: hundredths / 100)
    x = np.array(draw(st.lists(figure, min_size=n, max_size=n)))
    cells = [(i, j) for i in range(m) for j in range(n)]
    chosen = draw(st.lists(st.sampled_from(cells), max_size=12))
    coefficient = np.array(draw(st.lists(figure, min_size=len(chosen), max_size=len(chosen))), dtype=np.float64)
    row = np.array([i for i, _ in chosen], dtype=np.int64)
    column = np.array([j for _, j in chosen], dtype=np.int64)
    value = np.bincount(row, weights=coefficient * x[column], minlength=m).astype(np.float64)
    below = st.sampled_from([0.0, 1.0, 50.0, INF])
    room = [np.array(draw(st.lists(below, min_size=k, max_size=k))) for k in (n, n, m, m)]
    program = Program(
        column_labels=[(f"c{j}",) for j in range(n)],
        lower=x - room[0],
        upper=x + room[1],
        cost=np.array(draw(st.lists(figure, min_size=n, max_size=n))),
        rows=Rows([(f"r{i}",) for i in range(m)], row, column, coefficient, value - room[2], value + room[3]),
        unit=np.array(draw(st.lists(st.floats(0.01, 1e4), min_size=n, max_size=n))),
    )
    return program, x, np.array(draw(st.lists(figure, min_size=m, max_size=m)))


@given(points_of_programs())
def test_no_duals_prove_more_than_any_feasible_point_costs(drawn: tuple[Program, Floats, Floats]) -> None:
    program, x, duals = drawn
    rounding = 1e-12 * 1e6 * 20  # products of three figures up to 100, a score of them
    assert dual_bound(program, duals) <= float(program.cost @ x) + rounding


@given(points_of_programs())
def test_a_scaled_point_keeps_its_cost_and_its_rows(drawn: tuple[Program, Floats, Floats]) -> None:
    program, x, _ = drawn
    scaled, by = scale(program)
    z = x / by.column
    assert float(scaled.cost @ z) * by.objective == pytest.approx(float(program.cost @ x), rel=1e-9, abs=1e-6)
    np.testing.assert_allclose(activity(scaled, z) * by.row, activity(program, x), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(scaled.rows.lower * by.row, program.rows.lower, rtol=1e-12)
    np.testing.assert_allclose(scaled.upper * by.column, program.upper, rtol=1e-12)
    entries = np.abs(np.asarray(scaled.rows.coefficient, dtype=np.float64))
    assert entries.max(initial=0.0) <= 1 + 1e-12
    assert np.abs(scaled.cost).max() <= 100 * (1 + 1e-12)


@given(points_of_programs())
def test_scaled_duals_prove_the_same_bound(drawn: tuple[Program, Floats, Floats]) -> None:
    program, _, duals = drawn
    scaled, by = scale(program)
    there = dual_bound(scaled, duals * by.row / by.objective) * by.objective
    here = dual_bound(program, duals)
    if np.isfinite(here) and np.isfinite(there):
        assert there == pytest.approx(here, rel=1e-9, abs=1e-5)
