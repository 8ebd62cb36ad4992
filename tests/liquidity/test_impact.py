"""Impact of sales on their own price, against figures worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.impact import Market, PowerLaw, SquareRoot, about_published

ONE = np.ones(1)


def market(adv: float = 8e5, volatility: float = 0.05, turnover: float = 200.0, spread_bps: float = 0.0) -> Market:
    return Market(adv * ONE, volatility * ONE, turnover * ONE, spread_bps * ONE)


def test_the_power_law_moves_the_price_as_published() -> None:
    """5/6 of a day's volume in a day: 0.314 * 200^(1/4) * 5 % * 5/6 = 4.9202 % for good, 0.142 * 5 % * (5/6)^0.6
    = 0.6364 % while it lasts; the sale itself pays half of the first and all of the second."""
    average, after = PowerLaw().drop(0 * ONE, 2e6 / 3 * ONE, 1.0, market())
    permanent = 0.314 * 3.7606030930863934 * 0.05 * 5 / 6  # 200^(1/4) = 3.76060...
    temporary = 0.142 * 0.05 * 0.8963781  # (5/6)^0.6 = exp(0.6 * ln(5/6)) = exp(-0.1093929)
    assert after[0] == pytest.approx(permanent, rel=1e-9)
    assert average[0] == pytest.approx(permanent / 2 + temporary, rel=1e-6)


def test_a_slower_sale_pays_less_while_it_lasts_and_the_same_for_good() -> None:
    fast, after_fast = PowerLaw().drop(0 * ONE, 4e5 * ONE, 1.0, market())
    slow, after_slow = PowerLaw().drop(0 * ONE, 4e5 * ONE, 4.0, market())
    assert after_fast == after_slow
    # v = 0.5 a day against 0.125 a day
    assert fast[0] - slow[0] == pytest.approx(0.142 * 0.05 * (0.5**0.6 - 0.125**0.6))


@pytest.mark.parametrize("impact", [PowerLaw(temporary=0.0), SquareRoot(0.7)])
def test_two_sales_in_a_row_cost_what_one_of_both_does(impact: PowerLaw | SquareRoot) -> None:
    """What lasts is additive: the price path does not know where one sale ends and the next begins."""
    first, _ = impact.drop(0 * ONE, 3e5 * ONE, 1.0, market())
    second, after = impact.drop(3e5 * ONE, 5e5 * ONE, 1.0, market())
    both, after_both = impact.drop(0 * ONE, 8e5 * ONE, 1.0, market())
    assert 3e5 * first[0] + 5e5 * second[0] == pytest.approx(8e5 * both[0])
    assert after[0] == pytest.approx(after_both[0])


def test_the_square_root_law_by_hand() -> None:
    """A whole day's volume at Y 1 and 5 %: down 5 % at the end, 2/3 of it on average; nothing sold costs what is
    there already."""
    average, after = SquareRoot(1.0).drop(0 * ONE, 8e5 * ONE, 1.0, market())
    assert (average[0], after[0]) == (pytest.approx(0.05 * 2 / 3), pytest.approx(0.05))
    average, after = SquareRoot(1.0).drop(2e5 * ONE, 0 * ONE, 1.0, market())
    assert (average[0], after[0]) == (pytest.approx(0.025), pytest.approx(0.025))


def test_half_the_spread_is_paid_and_no_price_falls_below_zero() -> None:
    average, after = PowerLaw().drop(0 * ONE, 0 * ONE, 1.0, market(spread_bps=30.0))
    assert (average[0], after[0]) == (pytest.approx(0.0015), 0.0)
    average, after = PowerLaw().drop(0 * ONE, 1e9 * ONE, 1.0, market())
    assert (average[0], after[0]) == (1.0, 1.0)


def test_the_range_of_the_fit_and_coefficients_that_make_no_sense() -> None:
    low, high = about_published(2.0)
    assert (low.permanent, high.permanent) == (pytest.approx(0.232), pytest.approx(0.396))
    assert (low.temporary, high.temporary) == (pytest.approx(0.1296), pytest.approx(0.1544))
    with pytest.raises(UsageError, match="0 or more"):
        PowerLaw(permanent=-0.1)
    with pytest.raises(UsageError, match="-1"):
        SquareRoot(-1.0)
