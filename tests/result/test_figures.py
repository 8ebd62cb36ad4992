"""Rounding and nearness, held against their definitions in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collateral_opt.result.answer import plus
from collateral_opt.result.assemble import _frame, cents
from collateral_opt.result.checker.figures import CENT, HALF_A_CENT, NOTHING, exact, is_number, near, strays
from collateral_opt.result.checker.movements import Movement

figures = st.floats(-1e16, 1e16, allow_subnormal=False)
fractions = st.fractions(-(10**12), 10**12, max_denominator=10**9)


@given(stated=figures, away=st.fractions(-1, 1, max_denominator=10**6), tolerance=st.sampled_from([NOTHING, CENT]))
@example(stated=0.01, away=-CENT, tolerance=CENT)
@example(stated=1234567.89, away=CENT, tolerance=CENT)
@example(stated=1e16, away=Fraction(10), tolerance=NOTHING)
def test_near_is_what_its_definition_says(stated: float, away: Fraction, tolerance: Fraction) -> None:
    true = exact(stated) + away
    assert near(stated, true, tolerance) == (abs(away) <= tolerance + abs(true) / 10**15)


@given(
    stated=st.lists(figures | st.integers(-100, 100) | st.sampled_from([float("nan"), float("inf"), None, "x"])),
    away=st.fractions(-1, 1, max_denominator=10**6),
    tolerance=st.sampled_from([NOTHING, CENT, HALF_A_CENT]),
)
@example(stated=[1234567.89, None, 0.01], away=CENT, tolerance=CENT)
@example(stated=[1234567.89, True], away=CENT * 2, tolerance=CENT)
def test_strays_of_a_column_are_those_that_are_not_near(stated: list[Any], away: Fraction, tolerance: Fraction) -> None:
    known = [figure if is_number(figure) else 0 for figure in stated]
    true = [exact(figure) + away for figure in known]
    expected = {at for at, figure in enumerate(stated) if not near(figure, true[at], tolerance)}
    assert strays(stated, true, tolerance) == expected


@given(quantity=fractions.filter(lambda q: q > 0), lot=fractions.filter(lambda q: q > 0))
@example(quantity=Fraction("0.3"), lot=Fraction("0.1"))
@example(quantity=Fraction(1500), lot=Fraction(1000))
def test_what_is_over_lots_is_the_remainder(quantity: Fraction, lot: Fraction) -> None:
    line = Movement(
        "call C", "holding H", 0, 0, 0, -1, 0, -1, 0, "S", frozenset(), quantity, lot,
        factor=Fraction(1), haircut=NOTHING, refusal="", market_value=quantity, collateral_value=quantity, cost=NOTHING,
    )  # fmt: skip
    assert line.over_lots == quantity % lot
    spare = quantity / 3
    assert line.lot_exceeds(spare) == (quantity >= lot and lot > spare)


def test_near_tells_what_floats_cannot() -> None:
    """A cent and a part in 10^13 of one away from a truth of nothing: in floats hardly more than a cent."""
    assert near(0.01, NOTHING, CENT)
    assert not near(0.010000000000001, NOTHING, CENT)
    assert not near(float("nan"), NOTHING, CENT)
    assert not near(None, NOTHING, CENT)


def test_half_a_cent_is_no_more() -> None:
    assert near(0.12, Fraction("0.125"), HALF_A_CENT)
    assert not near(0.12, Fraction("0.1251"), HALF_A_CENT)


@given(fractions)
@example(Fraction(-1, 1000))
def test_cents_round_as_fractions_do(value: Fraction) -> None:
    assert cents(value) == float(round(value, 2))


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("0.005", 0.0), ("0.015", 0.02), ("0.025", 0.02), ("-0.015", -0.02), ("-0.025", -0.02), ("2.675", 2.68)],
)
def test_half_a_cent_goes_to_the_even_one(value: str, rounded: float) -> None:
    assert cents(Fraction(value)) == rounded


def test_cents_have_no_minus_zero() -> None:
    assert str(cents(Fraction(-1, 1000))) == "0.0"


@pytest.mark.parametrize("value", [2.675, 55109.695, -1.005, 1e16])
def test_floats_round_as_what_they_are(value: float) -> None:
    # numpy's own round makes 2.68 of 2.67499999999999982236431605997495353221893310546875.
    assert cents(value) == cents(np.float64(value)) == cents(Fraction(value))


@given(fractions, fractions, st.integers(1, 1000))
def test_ratios_add_up_as_fractions_do_in_whatever_terms_they_are(one: Fraction, other: Fraction, times: int) -> None:
    a, of_a = one.as_integer_ratio()
    b, of_b = other.as_integer_ratio()
    assert Fraction(*plus((a * times, of_a * times), (b, of_b))) == one + other
    assert Fraction(*plus((a * of_b, of_a * of_b), (b * of_a, of_b * of_a))) == one + other


def test_tables_without_rows_have_their_columns_and_are_not_shared() -> None:
    first, second = _frame("reserves", []), _frame("reserves", [])
    first.loc[0, "reserve_id"] = "buffer"
    assert list(second.columns) == ["reserve_id", "required", "counted", "shortfall", "marginal_cost_bps"]
    assert (len(first), len(second), len(_frame("reserves", []))) == (1, 0, 0)
    assert second.dtypes.tolist() == [object, float, float, float, float]
