"""Rounding and nearness, held against their definitions in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collateral_opt.result.assemble import cents
from collateral_opt.result.checker.figures import CENT, HALF_A_CENT, NOTHING, exact, near

figures = st.floats(-1e16, 1e16, allow_subnormal=False)
fractions = st.fractions(-(10**12), 10**12, max_denominator=10**9)


@given(stated=figures, away=st.fractions(-1, 1, max_denominator=10**6), tolerance=st.sampled_from([NOTHING, CENT]))
@example(stated=0.01, away=-CENT, tolerance=CENT)
@example(stated=1234567.89, away=CENT, tolerance=CENT)
@example(stated=1e16, away=Fraction(10), tolerance=NOTHING)
def test_near_is_what_its_definition_says(stated: float, away: Fraction, tolerance: Fraction) -> None:
    true = exact(stated) + away
    assert near(stated, true, tolerance) == (abs(away) <= tolerance + abs(true) / 10**15)


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
