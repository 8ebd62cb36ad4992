"""Column generation finds what the solver finds on the whole program, and its duals prove it."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collateral_opt.errors import SolverError
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Program, Rows, dual_bound, scale
from collateral_opt.network.build import build_network
from collateral_opt.solve.highs import HighsSession, HighsSolver
from collateral_opt.solve.registry import available, solver_named
from collateral_opt.solve.seam import Limits, Session, Solution, Solver, Status
from collateral_opt.solve.sifting import ColumnGeneration, Round
from tests.judges.books import random_book

INF = np.inf
ADAPTERS = ("highs", "pulp:CBC", "pulp:HiGHS")
# CBC 2.10 writes 8 digits
TOLERANCE = {"highs": 1e-9, "pulp:CBC": 1e-6, "pulp:HiGHS": 1e-9}


@pytest.fixture(params=ADAPTERS)
def inner(request: pytest.FixtureRequest) -> Solver:
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed")
    return solver_named(request.param, full=True)


def desk(seed: int, sources: int, uses: int, short: bool = True) -> Program:
    """Sources that share what there is among uses, in figures near one: with limits, pins, and a row that converts.

    ``short``: every use may be left without what it asks for, at a price, so that there is always an answer.
    """
    rng = np.random.default_rng(seed)
    source, use = np.nonzero(rng.random((sources, uses)) < 0.6)
    n, columns = len(source), np.arange(len(source))
    supply = rng.integers(0, 5, sources).astype(np.float64)
    asked = rng.integers(1, 9, uses) * max(1.0, sources / uses / 4)
    counted = columns[rng.random(n) < 0.05]  # in no supply row
    leaving = np.setdiff1d(columns, counted)
    limited = [columns[rng.random(n) < 0.2] for _ in range(4)]
    out, into = columns[rng.random(n) < 0.1], columns[rng.random(n) < 0.1]
    shorts = n + np.arange(uses) if short else np.zeros(0, dtype=np.int64)
    blocks = [
        (use, columns, rng.integers(5, 11, n) / 10),
        (np.arange(len(shorts)), shorts, np.ones(len(shorts))),
        (uses + source[leaving], leaving, rng.integers(1, 3, len(leaving))),
        *((np.full(len(c), uses + sources + g), c, rng.integers(1, 4, len(c))) for g, c in enumerate(limited)),
        (np.full(len(out), uses + sources + 4), out, np.ones(len(out))),
        (np.full(len(into), uses + sources + 4), into, -np.ones(len(into))),
    ]
    m = uses + sources + 5
    lower = np.where(rng.random(n) < 0.03, 0.25, 0.0)
    supply += np.bincount(source, weights=2 * lower, minlength=sources)
    upper = np.where(rng.random(n) < 0.3, rng.integers(0, 4, n), 20.0)
    total = n + len(shorts)
    return Program(
        column_labels=[("column", str(k)) for k in range(total)],
        lower=np.pad(lower, (0, len(shorts))),
        upper=np.pad(np.maximum(lower, upper), (0, len(shorts)), constant_values=50.0),
        cost=np.concatenate([rng.integers(-1, 9, n).astype(np.float64), np.full(len(shorts), 100.0)]),
        rows=Rows(
            labels=[("row", str(i)) for i in range(m)],
            row=np.concatenate([b[0] for b in blocks]).astype(np.int64),
            column=np.concatenate([b[1] for b in blocks]).astype(np.int64),
            coefficient=np.concatenate([b[2] for b in blocks]).astype(np.float64),
            lower=np.concatenate([asked, np.full(m - uses, -INF)]),
            upper=np.concatenate([asked, supply, rng.integers(0, 40, 4) * sources / 10, [0.0]]),
        ),
        unit=np.ones(total),
        source=np.pad(source, (0, len(shorts)), constant_values=-1),
        use=np.concatenate([use, np.arange(len(shorts))]),
    )


def assert_feasible(program: Program, x: Floats, tolerance: float) -> None:
    rows = program.rows
    activity = np.bincount(rows.row, weights=rows.coefficient * x[rows.column], minlength=program.n_rows)
    assert (x >= program.lower - tolerance).all()
    assert (x <= program.upper + tolerance).all()
    assert (activity >= rows.lower - tolerance * (1 + np.abs(rows.lower))).all()
    assert (activity <= rows.upper + tolerance * (1 + np.abs(rows.upper))).all()


def assert_agrees(program: Program, found: Solution, direct: Solution, name: str) -> None:
    """The same status; the same objective, at a feasible point, that the duals prove."""
    assert found.status is direct.status
    if direct.status is not Status.OPTIMAL:
        assert np.isnan(found.x).all()
        return
    tolerance = TOLERANCE[name] * (1 + abs(direct.objective))
    assert found.objective == pytest.approx(direct.objective, abs=tolerance)
    assert found.objective == pytest.approx(float(program.cost @ found.x), abs=1e-9)
    assert_feasible(program, found.x, max(TOLERANCE[name], 1e-8))
    assert dual_bound(program, found.row_dual) == pytest.approx(direct.objective, abs=10 * tolerance)
    priced = np.asarray(program.rows.coefficient) * found.row_dual[program.rows.row]
    paid = np.bincount(program.rows.column, weights=priced, minlength=program.n_columns)
    np.testing.assert_allclose(found.reduced_cost, program.cost - paid, atol=1e-9)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), sources=st.integers(1, 60), uses=st.integers(1, 8), short=st.booleans())
def test_part_by_part_is_as_good_as_the_whole(name: str, seed: int, sources: int, uses: int, short: bool) -> None:
    if name not in available():
        pytest.skip(f"{name} is not installed")
    program = desk(seed, sources, uses, short)
    found = ColumnGeneration(solver_named(name, full=True), whole=0).load(program).solve()
    assert_agrees(program, found, HighsSolver().load(program).solve(), name)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_after_every_change_part_by_part_still_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = desk(seed, 40, 5)
    session = ColumnGeneration(HighsSolver(), whole=0).load(program)
    for _ in range(6):
        change = rng.integers(0, 4)
        if change == 0:
            program = replace(program, cost=program.cost + rng.integers(-3, 4, program.n_columns))
            session.change_costs(program.cost)
        elif change == 1:
            lower = np.where(rng.random(program.n_columns) < 0.02, 0.25, program.lower)
            upper = np.maximum(program.upper + rng.integers(-2, 3, program.n_columns), lower)
            program = replace(program, lower=lower, upper=upper)
            session.change_column_bounds(program.lower, program.upper)
        else:
            shift = rng.integers(-2, 3, program.n_rows)
            if change == 3:
                # A row that was an upper bound may have to be met exactly, and one without an end get one.
                exactly = np.isfinite(program.rows.upper) & (rng.random(program.n_rows) < 0.05)
                low = np.where(exactly, program.rows.upper, program.rows.lower)
            else:
                low = program.rows.lower
            high = np.maximum(program.rows.upper + shift, 0)
            low = np.minimum(np.where(np.isfinite(low), low + shift, low), high)
            program = replace(program, rows=replace(program.rows, lower=low, upper=high))
            session.change_row_bounds(low, high)
        assert_agrees(program, session.solve(), HighsSolver().load(program).solve(), "highs")


@pytest.mark.parametrize("seed", range(20))
def test_figures_may_be_written_over_after_they_were_handed_over(seed: int) -> None:
    """Callers keep one array of bounds, and change it in place from pass to pass."""
    program = desk(seed, 40, 5)
    cost, lower, upper = program.cost.copy(), program.lower.copy(), program.upper.copy()
    row_lower, row_upper = program.rows.lower.copy(), program.rows.upper.copy()
    row_upper[-5:-1] = INF  # the limits do not bind yet, and are left out
    session = ColumnGeneration(HighsSolver(), whole=0).load(program)
    session.change_row_bounds(row_lower, row_upper)
    session.solve()
    for row in range(program.n_rows - 5, program.n_rows - 1):
        row_upper[row] = program.rows.upper[row] / 4
        session.change_row_bounds(row_lower, row_upper)
        changed = replace(program, rows=replace(program.rows, upper=row_upper.copy()))
        assert_agrees(changed, session.solve(), HighsSolver().load(changed).solve(), "highs")
    session.change_costs(cost)
    session.change_column_bounds(lower, upper)
    before = session.solve()
    for array in (cost, lower, upper, row_lower, row_upper):
        array[:] = 7.0
    assert session.solve().objective == before.objective


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", ["tiny", "small"])
def test_programs_of_random_books_agree(size: str, seed: int, inner: Solver) -> None:
    program, _ = scale(formulate(build_network(random_book(seed, size).to_book())))
    program = replace(program, cost=np.where(program.source < 0, 1e4, program.cost))
    found = ColumnGeneration(inner, whole=0).load(program).solve()
    direct = HighsSolver().load(program).solve()
    assert found.status is direct.status is Status.OPTIMAL
    assert found.objective == pytest.approx(direct.objective, rel=TOLERANCE[inner.name], abs=1e-5)
    assert_feasible(program, found.x, max(TOLERANCE[inner.name], 1e-8))


def one_source(cost: list[float], upper: list[float], supply: float = 4.0) -> Program:
    """One source of ``supply`` and uses that ask for 2 each, with nothing else to be had."""
    n = len(cost)
    return Program(
        column_labels=[("column", str(k)) for k in range(n)],
        lower=np.zeros(n),
        upper=np.array(upper),
        cost=np.array(cost),
        rows=Rows(
            labels=[("row", str(i)) for i in range(n + 1)],
            row=np.concatenate([np.arange(n), np.full(n, n)]),
            column=np.tile(np.arange(n), 2),
            coefficient=np.ones(2 * n),
            lower=np.array([2.0] * n + [-INF]),
            upper=np.array([INF] * n + [supply]),
        ),
        unit=np.ones(n),
        source=np.zeros(n, dtype=np.int64),
        use=np.arange(n),
    )


def test_what_cannot_be_met_is_infeasible(inner: Solver) -> None:
    # Three uses ask for 2 each of a source of 4.
    solution = ColumnGeneration(inner, whole=0).load(one_source([1, 1, 1], [9, 9, 9])).solve()
    assert solution.status is Status.INFEASIBLE
    assert np.isnan(solution.x).all()


def test_what_can_just_be_met_is_found(inner: Solver) -> None:
    # Three uses ask for 2 each of a source of 6: 2 * (1 + 5 + 3) = 18.
    solution = ColumnGeneration(inner, whole=0).load(one_source([1, 5, 3], [9, 9, 9], supply=6.0)).solve()
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.x, [2, 2, 2], atol=1e-9)
    assert solution.objective == pytest.approx(18)


def test_a_saving_without_end_is_unbounded(inner: Solver) -> None:
    program = one_source([1, -1], [9, INF])
    rows = replace(program.rows, upper=np.full(3, INF))
    assert ColumnGeneration(inner, whole=0).load(replace(program, rows=rows)).solve().status is Status.UNBOUNDED


def test_the_price_of_a_source_is_what_one_more_unit_of_it_saves() -> None:
    # 5 asked for at one use; the source has 3 at cost 1, another is without end at cost 4: one more saves 3.
    program = Program(
        column_labels=[("a",), ("b",)],
        lower=np.zeros(2),
        upper=np.array([10.0, 10.0]),
        cost=np.array([1.0, 4.0]),
        rows=Rows(
            labels=[("cover",), ("supply a",), ("supply b",)],
            row=np.array([0, 0, 1, 2]),
            column=np.array([0, 1, 0, 1]),
            coefficient=np.ones(4),
            lower=np.array([5.0, -INF, -INF]),
            upper=np.array([5.0, 3.0, 100.0]),
        ),
        unit=np.ones(2),
        source=np.array([0, 1]),
        use=np.array([0, 0]),
    )
    solution = ColumnGeneration(HighsSolver(), whole=0).load(program).solve()
    np.testing.assert_allclose(solution.x, [3, 2])
    np.testing.assert_allclose(solution.row_dual, [4, -3, 0])
    np.testing.assert_allclose(solution.reduced_cost, [0, 0])


def test_where_its_own_bound_holds_a_column_back_the_source_has_no_price() -> None:
    # The same, and of the cheap source no more than 2 of its 3 may be used: one more unit of it is of no use.
    program = one_source([1], [2.0], supply=3.0)
    program = replace(program, cost=np.array([-1.0]))
    solution = ColumnGeneration(HighsSolver(), whole=0).load(program).solve()
    np.testing.assert_allclose(solution.x, [2])
    assert solution.row_dual[1] == 0
    assert solution.reduced_cost[0] + solution.row_dual[0] == pytest.approx(-1)


def test_a_limit_that_could_not_bind_does_once_there_is_more_of_the_source() -> None:
    # Two columns of at most 0.6 each, that earn 1; a source of 1, and a limit of 1.1 on both. With a source of 2, 1.1.
    program = Program(
        column_labels=[("a",), ("b",)],
        lower=np.zeros(2),
        upper=np.full(2, 0.6),
        cost=-np.ones(2),
        rows=Rows(
            labels=[("supply",), ("limit",)],
            row=np.array([0, 0, 1, 1]),
            column=np.array([0, 1, 0, 1]),
            coefficient=np.ones(4),
            lower=np.full(2, -INF),
            upper=np.array([1.0, 1.1]),
        ),
        unit=np.ones(2),
        source=np.zeros(2, dtype=np.int64),
        use=np.arange(2),
    )
    session = ColumnGeneration(HighsSolver(), whole=0).load(program)
    assert session.solve().objective == pytest.approx(-1)
    session.change_row_bounds(np.full(2, -INF), np.array([2.0, 1.1]))
    assert session.solve().objective == pytest.approx(-1.1)


class Counting:
    """HiGHS that notes how many columns it is given."""

    name = "highs"

    def __init__(self) -> None:
        self.given: list[int] = []

    def load(self, program: Program) -> HighsSession:
        self.given.append(program.n_columns)
        return HighsSolver().load(program)


def test_programs_that_are_small_or_whole_go_to_the_solver_as_they_are() -> None:
    inner, program = Counting(), desk(1, 30, 4)
    ColumnGeneration(inner).load(program).solve()
    whole = replace(program, integer=np.arange(program.n_columns) == 0)
    ColumnGeneration(inner, whole=0).load(whole)
    assert inner.given == [program.n_columns] * 2


def test_where_few_columns_can_move_they_are_solved_at_once() -> None:
    inner, program = Counting(), desk(1, 200, 4)
    session = ColumnGeneration(inner, whole=60).load(program)
    first = session.solve()
    before = len(inner.given)
    moves = np.arange(program.n_columns) % 16 == 0
    lower, upper = np.where(moves, program.lower, first.x), np.where(moves, program.upper, first.x)
    session.change_column_bounds(np.minimum(lower, upper), upper)
    second = session.solve()
    assert second.objective == pytest.approx(first.objective, abs=1e-8)
    assert len(inner.given) == before + 1
    assert inner.given[-1] < program.n_columns


class CountingGrowth(Counting):
    """The same, and of programs that may grow."""

    def load_growing(self, program: Program) -> HighsSession:
        self.given.append(program.n_columns)
        return HighsSolver().load_growing(program)


def test_where_few_columns_can_move_they_join_a_part_that_can_grow() -> None:
    inner, program, rounds = CountingGrowth(), desk(1, 200, 4), list[Round]()
    session = ColumnGeneration(inner, rounds.append, whole=60).load(program)
    first = session.solve()
    before, seen = len(inner.given), len(rounds)
    moves = np.arange(program.n_columns) % 16 == 0
    upper = np.where(moves, program.upper, first.x)
    changed = replace(
        program,
        lower=np.minimum(np.where(moves, program.lower, first.x), upper),
        upper=upper,
        cost=program.cost + np.random.default_rng(1).integers(-3, 4, program.n_columns),
    )
    session.change_column_bounds(changed.lower, changed.upper)
    session.change_costs(changed.cost)
    second = session.solve()
    assert_agrees(changed, second, HighsSolver().load(changed).solve(), "highs")
    assert second.objective < float(changed.cost @ first.x) - 0.1
    assert len(inner.given) == before
    # All that can move is in the part at once.
    assert len(rounds) == seen + 1
    assert rounds[seen - 1].columns < rounds[seen].columns < program.n_columns


def test_every_round_is_told_and_the_bound_never_falls() -> None:
    rounds: list[Round] = []
    program = desk(3, 400, 6)
    solution = ColumnGeneration(HighsSolver(), rounds.append, whole=0).load(program).solve()
    assert [r.number for r in rounds] == list(range(1, len(rounds) + 1))
    assert len(rounds) > 1
    assert rounds[0].columns < program.n_columns
    assert all(a.bound <= b.bound for a, b in pairwise(rounds))
    assert all(a.columns + a.added == b.columns for a, b in pairwise(rounds))
    assert all(r.bound <= r.objective + 1e-9 for r in rounds)
    assert rounds[-1].added == 0
    assert rounds[-1].objective == solution.objective


def stopped_after_one_round(program: Program) -> Solution:
    stop = threading.Event()
    return ColumnGeneration(HighsSolver(), lambda _: stop.set(), whole=0).load(program).solve(Limits(stop=stop))


def test_a_stop_after_a_round_leaves_an_answer_and_a_proven_bound() -> None:
    program = desk(3, 400, 6)
    solution = stopped_after_one_round(program)
    best = HighsSolver().load(program).solve().objective
    assert solution.status is Status.FEASIBLE
    assert_feasible(program, solution.x, 1e-8)
    assert solution.objective == pytest.approx(float(program.cost @ solution.x))
    assert solution.bound <= best <= solution.objective
    assert dual_bound(program, solution.row_dual) == pytest.approx(solution.bound)


def test_a_stop_before_the_first_answer_leaves_none() -> None:
    stop = threading.Event()
    stop.set()
    solution = ColumnGeneration(HighsSolver(), whole=0).load(desk(3, 400, 6)).solve(Limits(stop=stop))
    assert solution.status is Status.STOPPED
    assert np.isnan(solution.objective)


def test_a_session_that_was_stopped_can_go_on() -> None:
    program, stop = desk(3, 400, 6), threading.Event()
    session = ColumnGeneration(HighsSolver(), lambda _: stop.set(), whole=0).load(program)
    assert session.solve(Limits(stop=stop)).status is Status.FEASIBLE
    assert_agrees(program, session.solve(), HighsSolver().load(program).solve(), "highs")


class WithoutDuals:
    """HiGHS that keeps its duals to itself."""

    name = "highs"

    def load(self, program: Program) -> Session:
        return _WithoutDuals(program)


class _WithoutDuals(HighsSession):
    def solve(self, limits: Limits = Limits()) -> Solution:
        solution = super().solve(limits)
        return replace(solution, row_dual=np.full_like(solution.row_dual, np.nan))


def test_a_solver_without_duals_is_given_everything() -> None:
    program = desk(3, 400, 6)
    solution = ColumnGeneration(WithoutDuals(), whole=0).load(program).solve()
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(HighsSolver().load(program).solve().objective)


def test_the_same_program_gets_the_same_answer_to_the_bit() -> None:
    first, second = (ColumnGeneration(HighsSolver(), whole=0).load(desk(5, 300, 6)).solve() for _ in range(2))
    for a, b in zip((first.x, first.row_dual), (second.x, second.row_dual), strict=True):
        assert a.tobytes() == b.tobytes()


def test_figures_of_the_wrong_length_are_refused() -> None:
    session = ColumnGeneration(HighsSolver(), whole=0).load(desk(1, 10, 2))
    with pytest.raises(SolverError, match="costs"):
        session.change_costs(np.ones(3))
    with pytest.raises(SolverError, match="columns"):
        session.change_column_bounds(np.zeros(3), np.ones(3))
    with pytest.raises(SolverError, match="rows"):
        session.change_row_bounds(np.zeros(3), np.ones(3))


def test_columns_join_a_warm_session() -> None:
    # Cover 5 at cost 4; then a column at cost 1 that gives 2 at most joins: 2 * 1 + 3 * 4.
    from collateral_opt.solve.seam import Columns

    program = one_source([4], [9], supply=9.0)
    program = replace(program, rows=replace(program.rows, lower=np.array([5.0, -INF])))
    session = HighsSolver().load_growing(program)
    assert session.solve().objective == pytest.approx(20)
    one = np.ones(1)
    session.add_columns(Columns(0 * one, 2 * one, one, np.array([0, 1]), np.array([0, 0]), np.ones(2)))
    solution = session.solve()
    assert solution.objective == pytest.approx(14)
    np.testing.assert_allclose(solution.x, [3, 2])
    session.change_costs(np.array([4.0, 5.0]))
    assert session.solve().objective == pytest.approx(20)
