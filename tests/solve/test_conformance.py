"""One suite for every solver adapter: the same programs, worked out by hand, under one convention."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import highspy
import numpy as np
import pulp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collateral_opt.errors import SolverError, UsageError
from collateral_opt.model.program import Floats, Program, Rows, dual_bound, scale
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.pulp_adapter import PulpSolver, lp_names, to_pulp, write_lp, write_mps
from collateral_opt.solve.registry import available, solver_named
from collateral_opt.solve.seam import Limits, Session, Solution, Solver, Status
from collateral_opt.solve.sifting import ColumnGeneration

INF = np.inf
IN_PARTS = "highs, in parts"
ADAPTERS = ("highs", "pulp:CBC", "pulp:HiGHS", IN_PARTS)
# CBC 2.10 writes 8 digits
TOLERANCE = {"highs": 1e-9, "pulp:CBC": 1e-7, "pulp:HiGHS": 1e-9, IN_PARTS: 1e-9}


class InParts:
    """Column generation over HiGHS for programs however small, each column from a source of its own."""

    name = IN_PARTS

    def load(self, program: Program) -> Session:
        sourced = replace(program, source=np.arange(program.n_columns), use=np.zeros(program.n_columns, dtype=np.int64))
        return ColumnGeneration(HighsSolver(), whole=0).load(sourced)


def adapter(name: str) -> Solver:
    if name == IN_PARTS:
        return InParts()
    if name not in available():
        pytest.skip(f"{name} is not installed")
    return solver_named(name)


@pytest.fixture(params=ADAPTERS)
def solver(request: pytest.FixtureRequest) -> Solver:
    return adapter(request.param)


def program(
    cost: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    matrix: Sequence[Sequence[float]] = (),
    rows: Sequence[tuple[float, float]] = (),
    integer: Sequence[bool] | None = None,
) -> Program:
    """A program from a dense matrix; zeros are no entries."""
    dense = np.array(matrix, dtype=np.float64).reshape(len(rows), len(cost))
    row, column = np.nonzero(dense)
    sides = np.array(rows, dtype=np.float64).reshape(-1, 2)
    limits = np.array(bounds, dtype=np.float64).reshape(-1, 2)
    return Program(
        column_labels=[("column", str(j)) for j in range(len(cost))],
        lower=limits[:, 0],
        upper=limits[:, 1],
        cost=np.array(cost, dtype=np.float64),
        rows=Rows(
            labels=[("row", str(i)) for i in range(len(rows))],
            row=row,
            column=column,
            coefficient=dense[row, column],
            lower=sides[:, 0],
            upper=sides[:, 1],
        ),
        unit=np.ones(len(cost)),
        integer=None if integer is None else np.array(integer, dtype=np.bool_),
    )


def activity(program: Program, x: Floats) -> Floats:
    entries = np.asarray(program.rows.coefficient, dtype=np.float64) * x[program.rows.column]
    return np.bincount(program.rows.row, weights=entries, minlength=program.n_rows)


def assert_feasible(program: Program, x: Floats, tolerance: float) -> None:
    assert (x >= program.lower - tolerance).all()
    assert (x <= program.upper + tolerance).all()
    assert (activity(program, x) >= np.asarray(program.rows.lower) - tolerance).all()
    assert (activity(program, x) <= np.asarray(program.rows.upper) + tolerance).all()


def assert_nothing_to_read(solution: Solution) -> None:
    assert np.isnan(solution.objective)
    for array in (solution.x, solution.row_dual, solution.reduced_cost):
        assert np.isnan(array).all()


def close(adapter: Solver) -> dict[str, float]:
    return {"rtol": TOLERANCE[adapter.name], "atol": TOLERANCE[adapter.name]}


# Two assets, two calls. Columns: A to call 1, A to call 2, B to call 1, B to call 2.
# A unit delivered costs 1, 1, 2, 3 and covers 1, 0.9, 0.8, 1: covering one unit costs 1, 1.111, 2.5, 3.
# Of A there are 60. A unit of A saves 2.5 - 1 = 1.5 in call 1, and 0.9 * 3 - 1 = 1.7 in call 2: call 2 first.
# Call 2 (45) takes 45 / 0.9 = 50 of A. Call 1 (40) gets the 10 of A left, and 30 / 0.8 = 37.5 of B.
# Cost 50 + 10 + 2 * 37.5 = 135.
TRANSPORT = program(
    cost=[1, 1, 2, 3],
    bounds=[(0, INF)] * 4,
    matrix=[[1, 0, 0.8, 0], [0, 0.9, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]],
    rows=[(40, INF), (45, INF), (-INF, 60), (-INF, 100)],
)


def test_least_cost_transport_with_haircuts(solver: Solver) -> None:
    solution = solver.load(TRANSPORT).solve()
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.x, [10, 50, 37.5, 0], **close(solver))
    assert solution.objective == pytest.approx(135)
    assert solution.bound == solution.objective


def test_duals_say_what_one_more_unit_of_the_right_side_changes(solver: Solver) -> None:
    solution = solver.load(TRANSPORT).solve()
    # one more of call 1: 1 / 0.8 of B at 2 = 2.5. One more of A: replaces 1 / 0.8 of B: 1 - 2.5 = -1.5.
    # one more of call 2: 1 / 0.9 of A, each at 1 + 1.5: 2.5 / 0.9. B is not scarce: 0.
    np.testing.assert_allclose(solution.row_dual, [2.5, 2.5 / 0.9, -1.5, 0], **close(solver))
    # B to call 2 costs 3 where 2.5 / 0.9 is paid
    np.testing.assert_allclose(solution.reduced_cost, [0, 0, 0, 3 - 2.5 / 0.9], **close(solver))
    # 40 * 2.5 + 45 * 2.5 / 0.9 - 60 * 1.5 = 100 + 125 - 90
    bounded = replace(TRANSPORT, upper=np.full(4, 100.0))  # else a rounding of 1e-16 makes the bound -inf
    assert dual_bound(bounded, solution.row_dual) == pytest.approx(135, abs=1e-5)


@pytest.mark.parametrize(
    ("cost", "coefficient", "sides", "x", "dual"),
    [
        (2, 3, (6, INF), 2, 2 / 3),  # at least: x = 6 / 3, and one more unit asks for 1/3 more at 2
        (-2, 4, (-INF, 8), 2, -1 / 2),  # at most: one more unit allows 1/4 more, worth 2
        (3, 2, (8, 8), 4, 3 / 2),  # equal, and x costs: one more unit asks for 1/2 more at 3
        (-3, 2, (8, 8), 4, -3 / 2),  # equal, and x earns
        (1, 2, (3, 7), 1.5, 1 / 2),  # ranged, its lower side presses
        (-1, 2, (3, 7), 3.5, -1 / 2),  # ranged, its upper side presses
        (1, -2, (-7, -3), 1.5, -1 / 2),  # ranged and negative: -2x <= -3 presses; one more unit spares 1/2
    ],
)
def test_dual_of_each_kind_of_row(
    solver: Solver, cost: float, coefficient: float, sides: tuple[float, float], x: float, dual: float
) -> None:
    # the second column, held at 5 by its bounds, costs 1 and is in no row: it changes nothing but the cost
    one = program([cost, 1], [(0, 10), (5, 5)], [[coefficient, 0]], [sides])
    solution = solver.load(one).solve()
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.x, [x, 5], **close(solver))
    assert solution.objective == pytest.approx(cost * x + 5)
    np.testing.assert_allclose(solution.row_dual, [dual], **close(solver))
    np.testing.assert_allclose(solution.reduced_cost, [0, 1], **close(solver))


@pytest.mark.parametrize("sides", [(-INF, INF), (-10, 10), (-10, INF), (-INF, 10)])
def test_a_row_that_does_not_press_has_no_price(solver: Solver, sides: tuple[float, float]) -> None:
    solution = solver.load(program([1], [(1, 2)], [[1]], [sides])).solve()
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.x, [1], **close(solver))
    np.testing.assert_allclose(solution.row_dual, [0], atol=1e-12)
    np.testing.assert_allclose(solution.reduced_cost, [1], **close(solver))  # the lower bound holds x up


def test_a_free_row_does_not_shift_the_duals_of_those_after_it(solver: Solver) -> None:
    # minimise x + 2y, x + y >= 4, x <= 3 as a row: x = 3, y = 1, cost 5; duals 2 and 1 - 2 = -1
    one = program([1, 2], [(0, INF)] * 2, [[1, 1], [1, -1], [1, 1], [1, 0]], [(-INF, INF)] * 2 + [(4, INF), (-INF, 3)])
    solution = solver.load(one).solve()
    np.testing.assert_allclose(solution.x, [3, 1], **close(solver))
    np.testing.assert_allclose(solution.row_dual, [0, 0, 2, -1], **close(solver))


def test_reduced_cost_at_an_upper_bound_is_negative(solver: Solver) -> None:
    # minimise 3x + 5y, x + y = 4, x <= 1: x = 1, y = 3, cost 18; the row's price is 5, so x earns 3 - 5
    solution = solver.load(program([3, 5], [(0, 1), (0, INF)], [[1, 1]], [(4, 4)])).solve()
    np.testing.assert_allclose(solution.x, [1, 3], **close(solver))
    np.testing.assert_allclose(solution.row_dual, [5], **close(solver))
    np.testing.assert_allclose(solution.reduced_cost, [-2, 0], **close(solver))


def test_a_degenerate_assignment_has_a_proof_whatever_its_duals(solver: Solver) -> None:
    # one unit each way, all rows equal: 1 + 5 = 6 straight, 2 + 3 = 5 crossed
    one = program(
        [1, 2, 3, 5],
        [(0, INF)] * 4,
        [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]],
        [(1, 1)] * 4,
    )
    solution = solver.load(one).solve()
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.x, [0, 1, 1, 0], **close(solver))
    slack = replace(one, upper=np.ones(4))  # finite bounds, so that rounding cannot make the bound -inf
    assert dual_bound(slack, solution.row_dual) == pytest.approx(5, abs=1e-6)


def test_bounds_alone(solver: Solver) -> None:
    solution = solver.load(program([1, -1, 0], [(-1, 2), (0, 3), (-2, -1)])).solve()
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(-4)  # -1 - 3
    np.testing.assert_allclose(solution.x[:2], [-1, 3], **close(solver))
    assert -2 <= solution.x[2] <= -1
    np.testing.assert_allclose(solution.reduced_cost, [1, -1, 0], **close(solver))


def test_columns_may_go_below_zero_without_end(solver: Solver) -> None:
    solution = solver.load(program([1], [(-INF, INF)], [[2]], [(-3, INF)])).solve()
    np.testing.assert_allclose(solution.x, [-1.5], **close(solver))
    np.testing.assert_allclose(solution.row_dual, [0.5], **close(solver))


def test_entries_at_the_same_place_add_up(solver: Solver) -> None:
    one = program([1], [(0, INF)], [[1]], [(3, INF)])
    twice = replace(one.rows, row=np.array([0, 0]), column=np.array([0, 0]), coefficient=np.array([1.0, 0.5]))
    solution = solver.load(replace(one, rows=twice)).solve()
    np.testing.assert_allclose(solution.x, [2], **close(solver))  # 1.5 x >= 3


@pytest.mark.parametrize(
    "impossible",
    [
        pytest.param(program([1, 1], [(0, 1)] * 2, [[1, 1]], [(3, INF)]), id="row"),
        pytest.param(program([0, 0], [(0, 1)] * 2, [[1, 1]], [(3, INF)]), id="row, no costs"),
        pytest.param(program([1], [(0, 5)], [[1]], [(3, 2)]), id="row bounds crossed"),
        pytest.param(program([1], [(2, 1)]), id="column bounds crossed"),
        pytest.param(program([1], [(0, 1)], [[0]], [(1, INF)]), id="row without entries"),
        pytest.param(program([], [], [[]], [(1, 1)]), id="row without columns"),
        pytest.param(program([1], [(0, 1)], [[1]], [(0.3, 0.6)], [True]), id="no whole number"),
        pytest.param(program([-1], [(0, INF)], [[1]], [(0.3, 0.6)], [True]), id="no whole number, earning"),
        pytest.param(program([-1, 0], [(0, INF)] * 2, [[0, 1]], [(-INF, -1)]), id="an earning column"),
    ],
)
def test_infeasible(solver: Solver, impossible: Program) -> None:
    solution = solver.load(impossible).solve()
    assert solution.status is Status.INFEASIBLE
    assert_nothing_to_read(solution)


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(program([-1], [(0, INF)]), id="no rows"),
        pytest.param(program([-1, 0], [(0, INF)] * 2, [[1, -1]], [(-INF, 1)]), id="a ray"),
        pytest.param(program([1], [(-INF, 0)], [[1]], [(-INF, 4)]), id="downwards"),
        pytest.param(program([-1], [(0, INF)], [[1]], [(0, INF)], [True]), id="whole numbers"),
    ],
)
def test_unbounded(solver: Solver, endless: Program) -> None:
    solution = solver.load(endless).solve()
    assert solution.status is Status.UNBOUNDED
    assert_nothing_to_read(solution)


@pytest.mark.parametrize("sides", [[], [(0, 1)], [(-INF, INF), (-1, 0)]])
def test_nothing_to_decide(solver: Solver, sides: list[tuple[float, float]]) -> None:
    solution = solver.load(program([], [], [[]] * len(sides), sides)).solve()
    assert solution.status is Status.OPTIMAL
    assert solution.objective == 0
    assert solution.x.shape == (0,)
    assert solution.row_dual.tolist() == [0] * len(sides)


def test_change_costs_then_sides_then_bounds(solver: Solver) -> None:
    session = solver.load(TRANSPORT)
    assert session.solve().objective == pytest.approx(135)
    # B to call 2 at 1: A saves 1.5 in call 1 and 0.9 * 1 - 1 < 0 in call 2. So 40 of A, 45 of B: 40 + 45 = 85
    session.change_costs(np.array([1.0, 1, 2, 1]))
    solution = session.solve()
    assert solution.objective == pytest.approx(85)
    np.testing.assert_allclose(solution.x, [40, 0, 0, 45], **close(solver))
    # call 1 asks for 68: 60 of A and 8 / 0.8 = 10 of B: 60 + 20 + 45 = 125
    session.change_row_bounds(np.array([68.0, 45, -INF, -INF]), np.array([INF, INF, 60, 100]))
    assert session.solve().objective == pytest.approx(125)
    # of A at most 52 to call 1, at least 9 to call 2 would be 61 of 60: infeasible
    session.change_column_bounds(np.array([52.0, 9, 0, 0]), np.full(4, INF))
    assert session.solve().status is Status.INFEASIBLE
    # at most 52 of A to call 1: the other 16 need 20 of B. 8 of A are left for call 2, at 1 / 0.9 against 1:
    # no. 52 + 40 + 45 = 137
    session.change_column_bounds(np.zeros(4), np.array([52.0, INF, INF, INF]))
    solution = session.solve()
    assert solution.objective == pytest.approx(137)
    np.testing.assert_allclose(solution.reduced_cost[0], 1 - 2.5, **close(solver))


@st.composite
def linear_programs(draw: st.DrawFn) -> tuple[Program, Floats]:
    """A program of small whole figures, and a point of it: so it is feasible, and bounded by its bounds."""
    n, m = draw(st.integers(1, 6)), draw(st.integers(0, 5))
    figures = st.integers(-4, 5)
    point = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.float64)
    room = np.array(draw(st.lists(st.integers(0, 3), min_size=2 * n, max_size=2 * n)), dtype=np.float64)
    matrix = draw(st.lists(st.lists(figures, min_size=n, max_size=n), min_size=m, max_size=m))
    rows = []
    for coefficients in matrix:
        value = float(np.dot(coefficients, point))
        low, high = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        kind = draw(st.sampled_from(["equal", "least", "most", "range", "free"]))
        rows.append(
            {
                "equal": (value, value),
                "least": (value - low, INF),
                "most": (-INF, value + high),
                "range": (value - low, value + high),
                "free": (-INF, INF),
            }[kind]
        )
    cost = draw(st.lists(st.integers(-5, 9), min_size=n, max_size=n))
    bounds = list(zip(point - room[:n], point + room[n:], strict=True))
    return program(cost, bounds, matrix, rows), point


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=60, deadline=None)
@given(drawn=linear_programs())
def test_every_optimum_is_proven_by_its_duals(name: str, drawn: tuple[Program, Floats]) -> None:
    one, point = drawn
    solution = adapter(name).load(one).solve()
    assert solution.status is Status.OPTIMAL
    assert_feasible(one, solution.x, 1e-6)
    assert solution.objective == pytest.approx(float(one.cost @ solution.x), abs=1e-6)
    assert solution.objective <= one.cost @ point + 1e-6
    tolerance = 1e-7 if name != "pulp:CBC" else 1e-5  # of CBC's 8 digits, over a dozen terms
    assert dual_bound(one, solution.row_dual) == pytest.approx(solution.objective, abs=tolerance)
    priced = np.asarray(one.rows.coefficient, dtype=np.float64) * solution.row_dual[one.rows.row]
    paid = np.bincount(one.rows.column, weights=priced, minlength=one.n_columns)
    np.testing.assert_allclose(solution.reduced_cost, one.cost - paid, atol=tolerance)


@settings(max_examples=60, deadline=None)
@given(drawn=linear_programs(), changes=st.lists(st.integers(-3, 3), min_size=12, max_size=12))
def test_a_warm_session_agrees_with_a_cold_one(drawn: tuple[Program, Floats], changes: list[int]) -> None:
    one, _ = drawn
    session = HighsSolver().load(one)
    session.solve()
    step = np.resize(np.array(changes, dtype=np.float64), one.n_columns)
    drift = np.resize(np.array(changes[::-1], dtype=np.float64), one.n_rows)
    changed = replace(
        one,
        cost=one.cost + step,
        lower=one.lower + np.minimum(step, 0),
        upper=one.upper + np.maximum(step, 0),
        rows=replace(one.rows, lower=one.rows.lower + drift, upper=one.rows.upper + drift),
    )
    session.change_costs(changed.cost)
    session.change_column_bounds(changed.lower, changed.upper)
    session.change_row_bounds(changed.rows.lower, changed.rows.upper)
    warm, cold = session.solve(), HighsSolver().load(changed).solve()
    assert warm.status is cold.status
    if cold.status is Status.OPTIMAL:
        assert warm.objective == pytest.approx(cold.objective, abs=1e-8)
        assert dual_bound(changed, warm.row_dual) == pytest.approx(cold.objective, abs=1e-7)


# Weights 3, 4, 2 in a sack of 6, worth 10, 13, 7. The second and third weigh 6 and are worth 20; the first
# and third 17. In fractions: third and first (5), a quarter of the second: 17 + 13 / 4 = 20.25.
KNAPSACK = program([-10, -13, -7], [(0, 1)] * 3, [[3, 4, 2]], [(-INF, 6)], [True] * 3)


def test_knapsack_in_whole_numbers(solver: Solver) -> None:
    solution = solver.load(KNAPSACK).solve()
    assert solution.status is Status.OPTIMAL
    assert solution.x.tolist() == [0, 1, 1]
    assert solution.objective == pytest.approx(-20)
    assert solution.bound == pytest.approx(-20)
    assert np.isnan(solution.row_dual).all()
    assert np.isnan(solution.reduced_cost).all()


def test_the_same_knapsack_in_fractions(solver: Solver) -> None:
    solution = solver.load(replace(KNAPSACK, integer=np.zeros(3, dtype=np.bool_))).solve()
    assert solution.objective == pytest.approx(-20.25)
    np.testing.assert_allclose(solution.row_dual, [-13 / 4], **close(solver))


def test_whole_and_divisible_columns_together(solver: Solver) -> None:
    # lots of 3 at 3, pieces at 1.2, and 7 to cover: two lots and a piece cost 6 + 1.2 = 7.2, three lots 9
    solution = solver.load(program([3, 1.2], [(0, 5), (0, 5)], [[3, 1]], [(7, INF)], [True, False])).solve()
    np.testing.assert_allclose(solution.x, [2, 1], **close(solver))
    assert solution.objective == pytest.approx(7.2)


def test_a_start_does_not_change_the_optimum(solver: Solver) -> None:
    session = solver.load(KNAPSACK)
    session.start_from(np.array([1.0, 0, 1]))
    assert session.solve().x.tolist() == [0, 1, 1]


def test_units_other_than_one_are_refused_where_whole_numbers_are_counted(solver: Solver) -> None:
    with pytest.raises(SolverError, match=r"scale\(\)"):
        solver.load(replace(KNAPSACK, unit=np.array([1.0, 100, 1])))
    scaled, _ = scale(replace(KNAPSACK, unit=np.array([1.0, 1, 1])))
    assert solver.load(scaled).solve().x.tolist() == [0, 1, 1]


def covering(n: int, m: int, whole: bool) -> Program:
    """A covering program that no solver proves optimal within seconds in whole numbers."""
    rng = np.random.default_rng(0)
    half = m // 2
    row = np.concatenate([rng.integers(0, half, n), rng.integers(half, m, n)])
    column = np.tile(np.arange(n), 2)
    return Program(
        column_labels=[("column", str(j)) for j in range(n)],
        lower=np.zeros(n),
        upper=np.ones(n),
        cost=rng.random(n),
        rows=Rows(
            labels=[("row", str(i)) for i in range(m)],
            row=row,
            column=column,
            coefficient=rng.random(2 * n),
            lower=np.full(m, 0.3 * n / m),
            upper=np.full(m, INF),
        ),
        unit=np.ones(n),
        integer=np.full(n, whole),
    )


def test_a_time_limit_leaves_a_feasible_answer_and_an_honest_bound(solver: Solver) -> None:
    hard = covering(2000, 100, whole=True)
    solution = solver.load(hard).solve(Limits(seconds=2))
    assert solution.status is Status.FEASIBLE
    assert_feasible(hard, solution.x, 1e-6)
    assert (solution.x == np.round(solution.x)).all()
    assert solution.bound < solution.objective
    assert np.isnan(solution.row_dual).all()


def test_a_linear_program_stopped_short_has_no_answer(solver: Solver) -> None:
    """PuLP 3.3 calls it "Optimal" with values that break rows; recent CBC may be done before it looks."""
    linear = covering(3000, 300, whole=False)
    solution = solver.load(linear).solve(Limits(seconds=1e-4))
    if solution.status is Status.OPTIMAL:
        assert dual_bound(linear, solution.row_dual) == pytest.approx(solution.objective, rel=1e-6)
    else:
        assert solution.status is Status.STOPPED
        assert_nothing_to_read(solution)


def test_a_gap_is_kept(solver: Solver) -> None:
    hard = covering(400, 40, whole=True)
    solution = solver.load(hard).solve(Limits(mip_gap=0.2, seconds=60))
    assert solution.status is Status.OPTIMAL
    assert_feasible(hard, solution.x, 1e-6)
    assert 0.8 * solution.objective - 1e-9 <= solution.bound <= solution.objective
    best_known = solver.load(hard).solve(Limits(seconds=2))
    assert solution.bound <= best_known.objective + 1e-9


def test_the_same_program_gets_the_same_answer(solver: Solver) -> None:
    tied = program([1] * 6, [(0, 1)] * 6, [[1] * 6], [(3, INF)])
    first, second = solver.load(tied).solve(), solver.load(tied).solve()
    assert first.objective == pytest.approx(3)
    assert first.x.tolist() == second.x.tolist()


def test_nothing_is_printed_and_no_file_is_left(
    solver: Solver, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for variable in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for one in (TRANSPORT, KNAPSACK):
        assert solver.load(one).solve().status is Status.OPTIMAL
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_figures_of_the_wrong_length_are_refused(solver: Solver) -> None:
    session = solver.load(TRANSPORT)
    with pytest.raises(SolverError, match="4"):
        session.change_costs(np.ones(3))
    with pytest.raises(SolverError, match="4"):
        session.change_column_bounds(np.zeros(4), np.ones(5))
    with pytest.raises(SolverError, match="4"):
        session.change_row_bounds(np.zeros(1), np.ones(1))
    assert session.solve().objective == pytest.approx(135)


def test_figures_that_are_none_are_refused(solver: Solver) -> None:
    with pytest.raises(SolverError, match="position 1"):
        solver.load(TRANSPORT).change_costs(np.array([1, np.nan, 1, 1]))
    with pytest.raises(SolverError, match="position 2"):
        solver.load(replace(TRANSPORT, cost=np.array([1, 1, INF, 1])))
    with pytest.raises(SolverError, match="position 0"):
        solver.load(replace(TRANSPORT, upper=np.array([np.nan, 1, 1, 1])))


def test_highs_improves_on_the_start_it_is_given() -> None:
    hard = covering(2000, 100, whole=True)
    first = HighsSolver().load(hard).solve(Limits(seconds=2))
    session = HighsSolver().load(hard)
    session.start_from(first.x)
    again = session.solve(Limits(seconds=0.3))
    assert again.status is Status.FEASIBLE
    assert again.objective <= first.objective + 1e-9


def test_ctrl_c_stops_highs_and_leaves_the_session_usable() -> None:
    session = HighsSolver().load(covering(2000, 100, whole=True))
    before = signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        session.solve(Limits(seconds=60))
    assert time.monotonic() - began < 30
    assert signal.getsignal(signal.SIGINT) is before
    assert session.solve(Limits(seconds=1)).status is Status.FEASIBLE


class Stumbling:
    """A HiGHS whose first runs end with ``first``; it notes the tolerance of every run, and how it scales."""

    def __init__(self, highs: object, first: list[highspy.HighsModelStatus]) -> None:
        self._highs, self._first, self._said = highs, first, None
        self.tries: list[tuple[float, int]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._highs, name)

    def run(self) -> highspy.HighsStatus:
        options = ("dual_feasibility_tolerance", "simplex_scale_strategy")
        self.tries.append(tuple(self._highs.getOptionValue(name)[1] for name in options))  # type: ignore[attr-defined, arg-type]
        self._said = self._first.pop(0) if self._first else None
        return self._highs.run()  # type: ignore[attr-defined, no-any-return]

    def getModelStatus(self) -> highspy.HighsModelStatus:  # noqa: N802
        return self._said or self._highs.getModelStatus()  # type: ignore[attr-defined, no-any-return]


def test_where_numbers_fail_highs_is_asked_afresh_by_dual_simplex_then_looser_then_unscaled() -> None:
    tries = [(1e-9, 2), (1e-9, 2), (1e-9, 2), (1e-7, 2), (1e-9, 0)]
    for unclear in range(1, 5):
        session = HighsSolver().load(TRANSPORT)
        session._highs = stumbling = Stumbling(session._highs, [highspy.HighsModelStatus.kUnknown] * unclear)
        assert session.solve().objective == pytest.approx(135)
        assert stumbling.tries == tries[: unclear + 1]
        # What was tried once does not stay.
        assert session.solve().objective == pytest.approx(135) and stumbling.tries[-1] == tries[0]
    session = HighsSolver().load(TRANSPORT)
    session._highs = stumbling = Stumbling(session._highs, [highspy.HighsModelStatus.kUnknown] * 5)
    assert session.solve().status is Status.FAILED and stumbling.tries == tries


def test_what_presolve_takes_for_infeasible_is_tried_without_it() -> None:
    # The first source just gives the second row its unit. The unit of the first row then costs an eighth, whether it is
    # a tenth of the second source at 1 for 0.8, or a twentieth of the third, 2.5 times.
    rows = [
        [1, 1, 0.4, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0.04, 0, 1, 0, 0],
        [0.1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0.1, 0, 0, 1, 0, 0, 0, -0.8, 0],
        [0, 0, 0.05, 0, 0, 0.05, 0, 0, 0, -1],
    ]
    most = [1.00000001, 1.00000001, 2.500000025, 1.000000001, 1.000000001, 25.000000025, 0, 0, 13.75, 0.05]
    sides = [(1, 1), (1, 1), (-INF, 1), (-INF, 0), (-INF, 0)]
    small = program([0] * 8 + [1, 1], [(0, upper) for upper in most], rows, sides)
    solution = HighsSolver().load(small).solve()
    assert (solution.status, solution.objective) == (Status.OPTIMAL, pytest.approx(0.125, abs=1e-6))


def test_unbounded_or_infeasible_is_settled_without_presolve() -> None:
    session = HighsSolver().load(program([-1], [(0, INF)], [[1]], [(0, INF)], [True]))
    session._highs = settled = Stumbling(session._highs, [highspy.HighsModelStatus.kUnboundedOrInfeasible])
    assert session.solve().status is Status.UNBOUNDED
    assert len(settled.tries) == 2


def test_highs_solves_in_other_threads_at_once() -> None:
    found: dict[int, float] = {}

    def solve(k: int) -> None:
        found[k] = HighsSolver().load(TRANSPORT).solve().objective

    threads = [threading.Thread(target=solve, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[k] for k in range(4)] == [pytest.approx(135)] * 4


def test_a_solver_that_breaks_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise pulp.PulpSolverError("exit code 139")

    monkeypatch.setattr(pulp.LpProblem, "solve", crash)
    with pytest.raises(SolverError, match=r"pulp:HiGHS.*exit code 139"):
        PulpSolver("HiGHS").load(TRANSPORT).solve()


def test_a_crash_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pulp:CBC" not in available():
        pytest.skip("CBC is not installed")

    def crash(*_: object, **__: object) -> None:
        assert list(tmp_path.rglob("*.mps")), "the files would be elsewhere, and this test see nothing"
        raise pulp.PulpSolverError("no readable answer")

    monkeypatch.setattr(pulp.COIN_CMD, "readsol_MPS", crash)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for variable in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(SolverError, match="no readable answer"):
        PulpSolver("CBC").load(TRANSPORT).solve()
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("higs", "highs"), ("cbc", "pulp:CBC"), ("pulp:HiGH", "pulp:HiGHS"), ("pulp:GUROBBI", "pulp:GUROBI")],
)
def test_an_unknown_solver_is_answered_with_the_nearest_and_those_here(asked: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        solver_named(asked)
    assert f"Did you mean {meant!r}?" in str(refused.value)
    assert all(name in str(refused.value) for name in available())


def test_a_solver_that_is_not_installed_is_named() -> None:
    if "pulp:MOSEK" in available():
        pytest.skip("MOSEK is installed")
    with pytest.raises(UsageError, match="MOSEK is not installed"):
        solver_named("pulp:MOSEK")


def test_every_name_that_is_offered_can_be_had() -> None:
    assert available()[0] == "highs"
    for name in available():
        assert solver_named(name).name == name


def test_names_are_plain_unique_and_fixed() -> None:
    labels = [
        ("deliver", "MC0003", "H0001"),
        ("supply", "DE 1"),
        ("supply", "DE-1"),
        ("supply", "DE_1_2"),  # taken by the second spelling: it steps aside
        ("2nd",),
        ("e12",),
        ("Free",),
        ("größe", "x/y"),
        ("z" * 300, "a"),
        ("z" * 300, "b"),
        ("",),
    ]
    names = lp_names(labels)
    assert names[:8] == [
        "deliver_MC0003_H0001",
        "supply_DE_1",
        "supply_DE_1_2",
        "supply_DE_1_2_2",
        "n_2nd",
        "n_e12",
        "n_Free",
        "gr__e_x_y",
    ]
    assert len(set(names)) == len(labels)
    assert max(map(len, names)) <= 255
    assert names == lp_names(labels)


# minimise x + 1.9y with 2x + 3y >= 7 and x + y between 1 and 5, x in lots of 2: x = 4 costs 4; x = 2 leaves
# 3, so y = 1 and the cost 3.9; x = 0 asks for y = 7/3 and 4.43. In lots x is 1.
IN_LOTS = replace(
    program([1, 1.9], [(0, 4), (0, 10)], [[2, 3], [1, 1]], [(7, INF), (1, 5)], [True, False]),
    unit=np.array([2.0, 1.0]),
    column_labels=[("deliver", "MC1", "H1"), ("deliver", "MC1", "H2")],
)


@pytest.mark.parametrize(("write", "suffix"), [(write_lp, "lp"), (write_mps, "mps")])
def test_a_written_program_is_read_back_as_the_same(write: object, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"book.{suffix}"
    assert callable(write)
    write(IN_LOTS, path)
    text = path.read_text()
    for name in ("deliver_MC1_H1", "deliver_MC1_H2", "row_0", "row_1_min", "row_1_max"):
        assert name in text
    reader = highspy.Highs()
    reader.silent()
    assert reader.readModel(str(path)) == highspy.HighsStatus.kOk
    reader.run()
    assert reader.getObjectiveValue() == pytest.approx(3.9)
    by_name = dict(zip(reader.getLp().col_names_, reader.getSolution().col_value, strict=True))
    assert by_name["deliver_MC1_H1"] == pytest.approx(1)
    assert by_name["deliver_MC1_H2"] == pytest.approx(1)


def test_fifty_thousand_entries_become_a_named_model_in_seconds() -> None:
    began = time.process_time()
    problem = to_pulp(covering(25_000, 500, whole=False), "large")
    assert problem.numConstraints() == 500
    assert len(problem.variables()) == 25_000
    assert time.process_time() - began < 10


def test_a_program_that_primal_simplex_gives_up_on_is_solved_by_dual() -> None:
    # Each column stands at its cheapest bound: -2 + 2 * -2 - 1 - 0 + 2 * -1 = -9. With column 1 at -1 both rows hold:
    # 1 + 0 - 1 = 0, and 2 - 1 - 6 + 3 + 2 = 0.
    bounds = [(-2.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (-1.0, 0.0)]
    matrix = [[0, 0, 0, 1, 1, 1], [-1, 1, 3, 3, 0, -2]]
    one = program([1, 0, 2, -1, -1, 2], bounds, matrix, [(-INF, 0.0), (-3.0, 0.0)])
    solution = solver_named("highs").load(one).solve()
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(-9.0, abs=1e-9)
