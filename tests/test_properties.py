"""Random books, small and awkward: the checker accepts every answer, and two other programs judge how good it is.

The judges share no code with the product: they read the book row by row, solve the linear program pair by pair, and
tiny books in whole lots exactly.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from collateral_opt.optimiser import optimise
from collateral_opt.result import Result
from tests.judges.books import BookTables, books, random_book
from tests.judges.exact_lots import TooLargeError, lot_optimum
from tests.judges.reference_lp import JudgeFailedError, lp_optimum
from tests.judges.row_by_row import Plan, plan_of

slow = settings(phases=(Phase.generate,), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def judged(tables: BookTables) -> tuple[Result, Plan]:
    """The answer, which the checker has accepted (it raises otherwise), and the book as the judges read it."""
    return optimise(tables.to_book()), plan_of(tables)


def size_of(plan: Plan) -> float:
    return float(sum(plan.required)) or 1.0


def assert_as_good_as_the_linear_program(tables: BookTables) -> None:
    result, plan = judged(tables)
    try:
        short, cost = lp_optimum(plan)
    except JudgeFailedError:
        assume(False)
        return
    summary, size = result.summary, size_of(plan)
    dearest = max((abs(float(pair.cost_bps / 10**4 * plan.year_share / pair.factor)) for pair in plan.pairs), default=0)
    noise = 1e-6 * abs(cost) + 1e-8 * size * dearest
    assert summary["shortfall_bound"] == pytest.approx(sum(short.values()), rel=1e-6, abs=1e-7 * size)
    assert summary["lower_bound"] <= summary["total_cost"] + noise
    if summary["total_shortfall"] == 0:
        # The reference fits calls exactly; a bound that allows for the excess of a lot may lie below it, never above.
        assert summary["lower_bound"] <= cost + noise
        if all(pair.cost_bps >= 0 for pair in plan.pairs):
            assert summary["lower_bound"] >= cost - noise


@settings(slow, max_examples=120)
@given(books("tiny"))
def test_tiny_books_are_as_good_as_the_linear_program(tables: BookTables) -> None:
    assert_as_good_as_the_linear_program(tables)


@settings(slow, max_examples=60)
@given(books("small"))
def test_small_books_are_as_good_as_the_linear_program(tables: BookTables) -> None:
    assert_as_good_as_the_linear_program(tables)


@pytest.mark.parametrize("seed", range(4))
def test_medium_books_are_as_good_as_the_linear_program(seed: int) -> None:
    assert_as_good_as_the_linear_program(random_book(seed, "medium"))


@pytest.mark.parametrize("block", range(8))
def test_tiny_books_reach_the_exact_optimum_in_whole_lots(block: int) -> None:
    compared = 0
    for seed in range(20 * block, 20 * block + 20):
        result, plan = judged(random_book(seed, "tiny"))
        try:
            best = lot_optimum(plan)
        except (TooLargeError, JudgeFailedError):
            continue
        if any(plan.line_cost(pair) < 0 for pair in plan.pairs):
            continue  # lines that earn are judged by the bound: the exact program posts them without need
        compared += 1
        least = float(sum(best.shortfall_by_priority.values()))
        assert result.summary["total_shortfall"] == pytest.approx(least, abs=1e-6 * size_of(plan)), seed
        if least == 0:
            assert result.total_cost <= float(best.cost) * (1 + 1e-4) + 1e-9, seed
    assert compared >= 5
