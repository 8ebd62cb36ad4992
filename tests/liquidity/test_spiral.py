"""Forced sales to their end: a case worked by hand, its range, what would have saved it, and an independent ledger."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.impact import PowerLaw, SquareRoot
from collateral_opt.liquidity.liquidate import Position
from collateral_opt.liquidity.spiral import (
    Case,
    Measure,
    break_even_depth,
    least,
    outcomes,
    savers,
    spiral,
    with_measure,
)

# 133.33m of crude futures at 100, down 15 % to 85: 20m lost; margin 10m, trebled to 30m; 15m of cash and nothing else
CRUDE = Position("CRUDE", 4e6 / 3, 85.0, 30e6, adv=8e5, volatility=0.05, turnover=200.0)
HELIOS = Case((CRUDE,), means=15e6, margin=10e6, called=40e6, variation=20e6, own_funds=25e6)


def test_the_fire_sale_by_hand() -> None:
    """666,666.7 units a day are 5/6 of a day's volume. For good: 0.314 * 200^0.25 * 5 % * 5/6 * 85 = 4.1821 a day;
    while it lasts 0.142 * 5 % * (5/6)^0.6 * 85 = 0.5410. The first day's sale gets 85 - 2.0911 - 0.5410 = 82.3680,
    the second 78.1859: in all 0.66667m * (2.6320 + 6.8141) = 6.297m lost, of 5m that were left."""
    found = spiral(HELIOS)
    for_good = 0.314 * 200**0.25 * 0.05 * 5 / 6 * 85
    passing = 0.142 * 0.05 * (5 / 6) ** 0.6 * 85
    units = 2e6 / 3
    first = units * (for_good / 2 + passing) + units * for_good  # sold, and the mark of what is left
    second = units * (for_good / 2 + passing)
    assert (for_good, passing) == (pytest.approx(4.1821, abs=1e-4), pytest.approx(0.5410, abs=1e-4))
    assert found.unmet == 25e6
    assert found.days["own_funds"].tolist() == pytest.approx([5e6, 5e6 - first, 5e6 - first - second])
    assert found.days["own_funds"].iloc[-1] == pytest.approx(-1.297e6, abs=500)
    assert found.prices["CRUDE"].tolist() == pytest.approx([85, 85 - for_good, 85 - 2 * for_good])
    assert (found.outcome, found.ends) == ("insolvent", 3)
    assert found.days["left"].iloc[-1] == 0
    # all margin is released in the end: 30m of it required, 25m of that never paid in
    assert found.days["released"].sum() == pytest.approx(30e6)
    assert found.days["unpaid"].iloc[-1] == pytest.approx(-found.own_funds)


@pytest.mark.parametrize(
    ("depth", "volatility", "expected"),
    [
        # own funds in millions at turnover 1, 50, 200, and under the square root with Y 0.5, 1
        (0.5, 0.6, (2.56, -0.39, -2.35, 2.93, 0.86)),
        (0.5, 1.0, (0.94, -3.98, -7.25, 1.55, -1.90)),
        (0.5, 1.6, (-1.49, -9.37, -14.59, -0.52, -6.04)),
        (1.0, 1.0, (2.80, 0.34, -1.30, 2.56, 0.12)),
        (1.0, 1.6, (1.47, -2.46, -5.08, 1.10, -2.80)),
        (2.0, 1.0, (3.78, 2.55, 1.74, 3.28, 1.55)),
        (2.0, 1.6, (3.05, 1.08, -0.22, 2.24, -0.52)),
    ],
)
def test_the_range_of_what_nobody_knows(depth: float, volatility: float, expected: tuple[float, ...]) -> None:
    """Insolvency hangs on depth and volatility, the default of day 1 does not; each cell from the formula alone."""
    table = outcomes(HELIOS)
    at = table[(table["depth"] == depth) & (table["volatility"] == volatility)].set_index("model")
    models = ["turnover 1", "turnover 50", "turnover 200", "square root, Y 0.5", "square root, Y 1"]
    assert (at.loc[models, "own_funds"] / 1e6).tolist() == pytest.approx(expected, abs=0.0051)
    assert (at["unmet"] == 25e6).all()
    sigma, v = 0.05 * volatility, 5 / 6 / depth
    for turnover in (1, 50, 200):
        g = 0.314 * turnover**0.25 * sigma * v * 85
        h = 0.142 * sigma * v**0.6 * 85
        assert at.loc[f"turnover {turnover}", "own_funds"] == pytest.approx(5e6 - 2e6 / 3 * (2 * g + 2 * h))
    for y in (0.5, 1):
        # all in all: the mean of sqrt over the 2 v of the two days, 2/3 sqrt(2 v)
        lost = 4e6 / 3 * 85 * y * sigma * 2 / 3 * math.sqrt(2 * v)
        assert at.loc[f"square root, Y {y:g}", "own_funds"] == pytest.approx(5e6 - lost)


def test_the_depth_at_which_it_is_just_solvent() -> None:
    depth = break_even_depth(HELIOS)
    assert depth is not None
    assert depth * 8e5 == pytest.approx(1_019_333, abs=1)
    assert break_even_depth(replace(HELIOS, own_funds=19e6)) is None  # lost with the gap alone


def test_what_would_have_saved_it() -> None:
    """A call of 40m against 15m: 25m of cash or line; bonds 25m / 0.98. Short futures on a share s: 40 (1 - s) <= 15 +
    10 s gives 1/2, and 62.5 % where the freed margin is gone. Puts that leave 20m of initial margin: 20 > 15, none."""
    table = savers(HELIOS, haircut=0.02).set_index("measure")
    paid = table["paid"]
    assert paid["cash"] == pytest.approx(25e6)
    assert paid["line"] == pytest.approx(25e6)
    assert paid["bonds"] == pytest.approx(25e6 / 0.98)
    assert paid["short"] == pytest.approx(0.5)
    assert paid["short_unfreed"] == pytest.approx(0.625)
    assert paid["put_netted"] == pytest.approx(0.625)
    assert np.isnan(paid["put"])
    lost = -spiral(HELIOS).own_funds
    assert table["solvent"]["cash"] == pytest.approx(lost)  # 1.297m leaves it solvent, and still closed out
    assert table["solvent"]["put"] == pytest.approx(lost / 20e6)


@pytest.mark.parametrize("measure", ["cash", "line", "bonds", "short", "short_unfreed", "put_netted"])
@pytest.mark.parametrize("aim", ["paid", "solvent"])
def test_a_hair_less_would_not_have_saved_it(measure: Measure, aim: str) -> None:
    size = least(measure, HELIOS, aim=aim, haircut=0.02)  # type: ignore[arg-type]
    assert size is not None
    for factor, saved in ((1 + 1e-6, True), (1 - 1e-6, False)):
        changed = with_measure(HELIOS, measure, size * factor, 0.02)
        found = spiral(changed)
        assert (found.outcome == "paid" if aim == "paid" else found.outcome != "insolvent") is saved


def ledger(case: Case, sales: list[float], law: PowerLaw) -> tuple[float, float, float]:
    """What is unpaid, own funds and price after sales of one position, kept as accounts: cash, margin, a mark."""
    (p,) = case.positions
    cash, margin = case.means - case.variation, case.margin
    price, left, done = p.price, p.units, 0.0
    for x in sales:
        g = p.price * law.permanent * p.volatility * p.turnover**0.25 / p.adv
        paid = p.price * law.temporary * p.volatility * (x / p.adv) ** law.exponent
        before = p.price - g * done
        cash -= x * (g * x / 2 + paid)  # against the last mark
        done, left = done + x, left - x
        price = p.price - g * done
        cash -= left * (before - price)
    required = p.initial_margin / (p.units * p.price) * left * price
    return required - margin - cash, case.own_funds - case.means - case.margin + cash + margin, price


@pytest.mark.parametrize(("means", "participation"), [(36e6, 1.0), (32e6, 0.3), (30e6, 0.15), (15e6, 0.5)])
def test_reduction_sells_the_least_that_cures(means: float, participation: float) -> None:
    case = replace(HELIOS, means=means, own_funds=means + 10e6)
    found = spiral(case, mode="reduce", participation=participation)
    sold = (found.days["sold"].iloc[1:] / found.prices["CRUDE"].iloc[:-1].to_numpy()).tolist()
    unpaid, own, price = ledger(case, sold, PowerLaw())
    assert found.days["unpaid"].iloc[-1] == pytest.approx(unpaid, abs=1)
    assert found.own_funds == pytest.approx(own, abs=1)
    assert found.prices["CRUDE"].iloc[-1] == pytest.approx(price)
    assert max(sold) <= 8e5 * participation * (1 + 1e-9)
    if means == 15e6:
        assert found.outcome == "insolvent" and own < 0
        return
    assert found.outcome == "cured" and own > 0
    assert unpaid == pytest.approx(0, abs=1)
    assert ledger(case, [*sold[:-1], sold[-1] * (1 - 1e-3)], PowerLaw())[0] > 10  # less would not have done


def test_reduction_leaves_what_frees_no_margin() -> None:
    """25m short of which a day's sale brings less: all of the volume goes, but for a swap without initial margin."""
    swap = Position("SWAP", 1e6, 50.0, 0.0, adv=1e7, volatility=0.02)
    alone, beside = (spiral(replace(HELIOS, positions=p), mode="reduce") for p in ((CRUDE,), (CRUDE, swap)))
    assert beside.days["sold"].iloc[1] == pytest.approx(8e5 * 85)
    assert beside.own_funds == pytest.approx(alone.own_funds)
    assert (beside.prices["SWAP"] == 50).all()


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("saved", [0.0002, 0.1, 1 / 3, 0.77, 0.999])
def test_a_hedge_is_asked_for_seldom(saved: float, pieces: int) -> None:
    """What lacks is linear, or in two pieces, down to just nothing. To 1e-6 a bisection asks 22 times."""
    asked: list[float] = []

    def hedged(measure: Measure, share: float) -> Case:
        asked.append(share)
        lacks = 1e6 * max(0.0, saved - share, (pieces - 1) * 10 * (0.9 * saved - share))
        return replace(HELIOS, called=40e6, means=40e6 - lacks)

    size = least("put", replace(HELIOS, means=30e6), hedged=hedged)
    assert size is not None and 0 <= size - saved <= 1e-6
    assert sum(share > 0 for share in asked) <= (11 if saved > 0.01 else 20)


def test_a_call_that_is_met_sells_nothing() -> None:
    found = spiral(replace(HELIOS, means=40e6, own_funds=50e6))
    assert (found.outcome, found.ends, len(found.days)) == ("paid", 1, 1)
    assert found.own_funds == 30e6


def test_reduction_always_ends() -> None:
    """Random cases: it ends within its days, own funds only fall, what is left only falls, and the accounts agree."""
    rng = np.random.default_rng(11)
    outcomes_seen = set()
    for _ in range(60):
        positions = tuple(
            Position(
                f"P{i}",
                float(rng.choice([-1, 1]) * rng.uniform(1e3, 1e5)),
                float(rng.uniform(10, 100)),
                float(rng.uniform(0, 2e5)),
                adv=float(rng.uniform(1e3, 1e5)),
                volatility=float(rng.uniform(0.01, 0.08)),
                spread_bps=float(rng.uniform(0, 20)),
                margined=bool(rng.uniform() < 0.7),
            )
            for i in range(3)
        )
        called = float(rng.uniform(1e4, 1e6))
        case = Case(positions, called * float(rng.uniform(0, 1)), 1e5, called, called / 2, float(rng.uniform(0, 3e6)))
        impact = PowerLaw() if rng.uniform() < 0.5 else SquareRoot(0.8)
        found = spiral(case, impact, "reduce", participation=0.25, most_days=60)
        outcomes_seen.add(found.outcome)
        assert (np.diff(found.days["own_funds"]) <= 1e-6).all()
        assert len(found.days) <= 61
        if found.outcome in ("cured", "paid"):
            assert found.days["unpaid"].iloc[-1] <= 1e-3
        if found.outcome == "insolvent":
            assert found.own_funds < 0
    assert {"cured", "insolvent"} <= outcomes_seen


def test_wrong_figures_are_named() -> None:
    with pytest.raises(UsageError, match="means is -1"):
        replace(HELIOS, means=-1.0)
    with pytest.raises(UsageError, match="days is 0"):
        spiral(HELIOS, days=0)
    with pytest.raises(UsageError, match="no measure 'gold'"):
        least("gold", HELIOS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="haircut"):
        least("bonds", HELIOS, haircut=1.0)
