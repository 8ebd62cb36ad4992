"""Schedules of sales: closed forms, a published example, brute force, and what cannot be met."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.impact import PowerLaw
from collateral_opt.liquidity.liquidate import Position, Schedule, ranking, schedule

LIQUID = Position("LIQUID", 1000.0, 100.0, 10_000.0, adv=5000.0, volatility=0.02)
THIN = Position("THIN", 1000.0, 100.0, 20_000.0, adv=500.0, volatility=0.04)
STOCK = Position("STOCK", 400.0, 50.0, 0.0, adv=2000.0, volatility=0.03, spread_bps=40.0, margined=False)


def sold(found: Schedule, position_id: str) -> list[float]:
    mine = found.sales[found.sales["position_id"] == position_id]
    return mine.sort_values("period")["quantity"].tolist()


def test_one_position_goes_in_equal_slices_at_the_cost_of_the_closed_form() -> None:
    """Convex and the same each period: X P eta sigma (X / (V T))^0.6, and half the permanent move on all of it."""
    position = Position("A", 8000.0, 20.0, 0.0, adv=10_000.0, volatility=0.03, turnover=16.0)
    found = schedule([position], 0.0, periods=4, everything=True)
    assert sold(found, "A") == pytest.approx([2000.0] * 4, rel=5e-3)  # the optimum is flat
    temporary = 8000 * 20 * 0.142 * 0.03 * 0.2**0.6  # v = 8000 / (10000 * 4) = 0.2
    permanent = 0.5 * 8000 * 20 * 0.314 * 0.03 * 0.8 * 2  # 16^(1/4) = 2
    assert found.cost == pytest.approx(temporary + permanent, rel=2e-6)
    assert found.bound <= found.cost * (1 + 1e-12)
    assert found.gap < 3e-6


def test_the_example_of_almgren_and_chriss() -> None:
    """X 1e6 shares of 50, sigma 0.95 a day, 5 days, lambda 1e-6, linear temporary impact eta~ = 2.5e-6 - 0.5 * 2.5e-7
    = 2.375e-6: 2 (cosh k - 1) = lambda sigma^2 / eta~ = 0.38, and x_j = X sinh(k (5 - j)) / sinh(5 k)."""
    position = Position("A", 1e6, 50.0, 0.0, adv=5e6, volatility=0.95 / 50)
    # P * eta * sigma * x / V = 2.375e-6 x, so eta = 2.375e-6 * 5e6 / (50 * 0.019) = 12.5
    linear = PowerLaw(permanent=0.0, temporary=2.375e-6 * 5e6 / 0.95, exponent=1.0)
    found = schedule([position], 0.0, periods=5, impact=linear, everything=True, risk_aversion=1e-6)
    k = math.acosh(1 + 0.38 / 2)
    left = [1e6 * math.sinh(k * (5 - j)) / math.sinh(5 * k) for j in range(6)]
    assert sold(found, "A") == pytest.approx([a - b for a, b in pairwise(left)], rel=5e-3)
    cost = sum(2.375e-6 * (a - b) ** 2 for a, b in pairwise(left))
    risk = sum(1e-6 * 0.95**2 * x**2 for x in left[1:])
    assert found.objective == pytest.approx(cost + risk, rel=3e-6)
    assert found.gap < 5e-6


def by_hand(units: dict[str, float], positions: list[Position]) -> tuple[float, float]:
    """Cost and money raised of one period's sales, from the formulae and scalars alone."""
    cost = raised = 0.0
    for p in positions:
        x = units[p.position_id]
        temporary = x * p.price * 0.142 * p.volatility * (x / p.adv) ** 0.6 + x * p.price * p.spread_bps / 20_000
        permanent = 0.314 * p.volatility * p.turnover**0.25 / p.adv * p.price * x  # on each unit
        cost += temporary + permanent * x / 2
        if p.margined:
            raised += p.initial_margin * x / p.units - temporary - permanent * x / 2 - permanent * (p.units - x)
        else:
            raised += p.price * x - temporary - permanent * x / 2
    return cost, raised


@pytest.mark.parametrize("need", [2000.0, 9000.0, 17_000.0])
@pytest.mark.parametrize("pair", [(LIQUID, THIN), (LIQUID, STOCK), (THIN, STOCK)])
def test_no_pair_of_sales_on_a_grid_raises_as_much_for_less(pair: tuple[Position, Position], need: float) -> None:
    positions = list(pair)
    found = schedule(positions, need)
    least = math.inf
    most_raised = -math.inf
    caps = [min(p.units, p.adv) for p in positions]
    steps = 250
    for a, b in product(range(steps + 1), repeat=2):
        cost, raised = by_hand(
            {positions[0].position_id: caps[0] * a / steps, positions[1].position_id: caps[1] * b / steps}, positions
        )
        most_raised = max(most_raised, raised)
        if raised >= need:
            least = min(least, cost)
    if math.isinf(least):
        assert found.unmet[0] == pytest.approx(need - most_raised, rel=1e-2)
        assert found.raised[0] >= most_raised * (1 - 1e-6)
        return
    units = {p.position_id: sum(sold(found, p.position_id)) for p in positions}
    cost, raised = by_hand(units, positions)
    assert raised >= need * (1 - 2e-6)
    assert (cost, raised) == (pytest.approx(found.cost, rel=1e-9), pytest.approx(found.raised[0], rel=1e-9))
    assert found.cost <= least * (1 + 1e-6)
    assert found.cost >= least * 0.93  # the grid is coarse: no cheaper than a step away
    assert found.bound <= found.cost


def test_early_needs_are_met_early_within_the_cap() -> None:
    found = schedule([LIQUID, THIN], [3000.0, 0.0, 8000.0], periods=3, participation=0.1)
    assert found.raised[0] >= 3000.0 * (1 - 2e-6)
    assert found.raised[2] >= 8000.0 * (1 - 2e-6)
    for position in (LIQUID, THIN):
        assert max(sold(found, position.position_id), default=0) <= position.adv * 0.1 * (1 + 1e-9)
    alone = schedule([LIQUID, THIN], [0.0, 0.0, 8000.0], periods=3, participation=0.1)
    assert alone.cost <= found.cost * (1 + 1e-6)


def test_what_cannot_be_raised_is_unmet_and_as_much_as_can_be_is_raised() -> None:
    """All of LIQUID: margin 10,000 less v = 0.2: 1000 * 100 * 0.02 * (0.142 * 0.2^0.6 + 0.314 * 0.2 / 2)."""
    found = schedule([LIQUID], 50_000.0)
    raised = 10_000 - 2000 * (0.142 * 0.2**0.6 + 0.314 * 0.1)
    assert sold(found, "LIQUID") == pytest.approx([1000.0], rel=1e-6)
    assert found.raised[0] == pytest.approx(raised, rel=1e-6)
    assert found.unmet[0] == pytest.approx(50_000 - raised, rel=1e-6)


def test_a_sale_that_calls_more_margin_than_it_releases_is_not_made() -> None:
    """Selling X of 1000 moves the rest: margin 1 a unit, but 0.314 * 0.04 * 100 / 500 * 1000 = 2.5 a unit called."""
    spiralling = Position("S", 1000.0, 100.0, 1000.0, adv=500.0, volatility=0.04)
    found = schedule([spiralling], 500.0, participation=0.2)
    assert found.sales.empty
    assert found.unmet == (pytest.approx(500.0),)


def test_the_ranking_puts_first_what_raises_most_for_its_cost() -> None:
    table = ranking([THIN, LIQUID, STOCK], PowerLaw())
    assert table["position_id"].tolist() == ["STOCK", "LIQUID", "THIN"]
    assert table["rank"].tolist() == [1, 2, 3]
    # LIQUID: a tenth of 1000 units; 5000 trade a day, so all of it takes a fifth of one
    cost, raised = by_hand({"LIQUID": 100.0}, [LIQUID])
    row = table.set_index("position_id").loc["LIQUID"]
    assert (row["raised_per_cost"], row["days_to_sell"]) == (pytest.approx(raised / cost), pytest.approx(0.2))


def test_a_short_position_is_bought_back_above_its_price() -> None:
    short = Position("S", -1000.0, 100.0, 10_000.0, adv=5000.0, volatility=0.02)
    long, back = schedule([LIQUID], 4000.0), schedule([short], 4000.0)
    assert back.cost == pytest.approx(long.cost, rel=1e-5)
    assert back.sales["quantity"].tolist() == pytest.approx([-q for q in sold(long, "LIQUID")], rel=1e-5)
    assert (back.sales["price"] > 100).all() and (long.sales["price"] < 100).all()


def test_a_random_schedule_of_several_periods_is_within_its_gap_of_any_other() -> None:
    """Feasible schedules drawn at random never cost less than the bound, nor than the answer."""
    rng = np.random.default_rng(5)
    positions = [LIQUID, THIN, STOCK]
    found = schedule(positions, [2000.0, 15_000.0], periods=2)
    seen = 0
    for _ in range(4000):
        x = rng.uniform(0, 1, (3, 2)) * np.array([[500.0], [500.0], [200.0]])
        cost = raised_1 = raised_2 = 0.0
        for p, (first, second) in zip(positions, x, strict=True):
            g = p.price * 0.314 * p.volatility / p.adv
            paid = [
                y * p.price * (0.142 * p.volatility * (y / p.adv) ** 0.6 + p.spread_bps / 20_000)
                for y in (first, second)
            ]
            both = first + second
            cost += sum(paid) + g * both**2 / 2
            unit = p.initial_margin / p.units if p.margined else p.price
            rest = p.units if p.margined else 0.0
            raised_1 += unit * first - paid[0] - g * first**2 / 2 - g * first * max(rest - first, 0)
            raised_2 += unit * both - sum(paid) - g * both**2 / 2 - g * both * max(rest - both, 0)
        if raised_1 >= 2000 and raised_2 >= 15_000:
            seen += 1
            assert cost >= found.bound * (1 - 1e-9)
            assert cost >= found.cost * (1 - 1e-5)
    assert seen > 50


def test_wrong_figures_are_named() -> None:
    with pytest.raises(UsageError, match=r"position X: price is 0.*adv is 0"):
        Position("X", 1.0, 0.0, 0.0, adv=0.0, volatility=0.1)
    with pytest.raises(UsageError, match="2 figures, and there are 3 periods"):
        schedule([LIQUID], [1.0, 2.0], periods=3)
    with pytest.raises(UsageError, match="participation is 0"):
        schedule([LIQUID], 1.0, participation=0.0)
    with pytest.raises(UsageError, match="THIN cannot be sold in 1 periods"):
        schedule([LIQUID, THIN], 0.0, everything=True)
    with pytest.raises(UsageError, match="no position"):
        schedule([], 1.0)
