"""The smallest shock that breaks a firm is where it is by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from collateral_opt.cli import app
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.reverse import read_directions, reverse
from tests.liquidity.moving import book, plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "stress"


def only_cash() -> object:
    whole = book()
    return whole.replace(
        holdings=whole.holdings[whole.holdings["holding_id"] == "CASH"], facilities=whole.facilities.iloc[:0]
    )


def test_cash_of_ten_million_breaks_at_a_fall_of_a_fifth() -> None:
    # The index position of 50 million calls 50 million times the fall.
    here = plan(only_cash())  # type: ignore[arg-type]
    directions = read_directions({"crash": {"equities": "-0.8"}, "rise": {"equities": "30%"}}, here.generator)
    crash, rise = reverse(here, directions)
    assert (crash.direction, rise.direction) == ("crash", "rise")
    assert crash.share * 0.8 == pytest.approx(0.2, rel=2e-4)
    assert crash.share * 0.8 >= 0.2
    assert crash.held * 0.8 <= 0.2
    assert crash.moves["equities"] == pytest.approx(-0.2, rel=2e-4)
    # 5 standard deviations of 0.04, and the other factor stays at 0: 5 / sqrt(1 - 0.25).
    assert crash.deviations == pytest.approx(5 / 0.75**0.5, rel=2e-4)
    assert crash.first_short_call == "CCP vm"
    assert crash.first_short_due == "2026-03-24T20:00:00Z"
    assert crash.exhausted == ("CASH",)
    assert crash.called == pytest.approx(10e6, rel=2e-4)
    assert not rise.breaks and rise.held == 1.0


def test_the_first_break_is_found_where_a_gain_comes_back() -> None:
    # The swap loses 60 m x^2 - 20 m x: nothing up to 1/3, its worst gain at 1/6; 10 million where
    # 60 x^2 - 20 x = 10, that is at (1 + sqrt(7)) / 6 = 0.607625.
    here = plan(only_cash())  # type: ignore[arg-type]
    (found,) = reverse(here, read_directions({"up": {"vol": "1"}}, here.generator))
    assert found.share == pytest.approx((1 + 7**0.5) / 6, rel=2e-4)
    # Downwards both terms lose: 60 x^2 + 20 x = 10 at (sqrt(7) - 1) / 6.
    (found,) = reverse(here, read_directions({"down": {"vol": "-1"}}, here.generator))
    assert found.share == pytest.approx((7**0.5 - 1) / 6, rel=2e-4)


def test_what_holds_again_later_breaks_where_it_breaks_first() -> None:
    # A loss of 40 m x less a gain of 80 m x^2 / 2 x 1: 40 x - 160 x^2 / 2 is 5 at most, at 1/4: cash of 4 million is
    # short from 40 x - 80 x^2 = 4 on, at (1 - sqrt(1 - 0.8)) / 4 * 1 = 0.138197, and holds again from 0.361803 on.
    whole = book(sensitivities=[{"position_id": "SWAP", "factor": "vol", "delta": -40e6, "gamma": 160e6}])
    poor = whole.replace(
        holdings=whole.holdings[whole.holdings["holding_id"] == "CASH"].assign(quantity=4e6),
        facilities=whole.facilities.iloc[:0],
    )
    here = plan(poor)
    (found,) = reverse(here, read_directions({"up": {"vol": "1"}}, here.generator))
    assert found.share == pytest.approx((1 - 0.2**0.5) / 4, rel=2e-4)


def test_random_directions_lie_on_one_sphere_and_stay_what_they_are() -> None:
    here = plan()
    first = read_directions({"random": "6"}, here.generator)
    again = read_directions({"random": "6"}, here.generator)
    assert [one.moves.tolist() for one in first] == [one.moves.tolist() for one in again]
    from collateral_opt.liquidity.factors import length

    assert [length(here.generator, one.moves) for one in first] == pytest.approx([10.0] * 6)
    found = reverse(here, first)
    lengths = [one.deviations for one in found if one.breaks]
    assert lengths == sorted(lengths)
    assert [one.breaks for one in found] == sorted((one.breaks for one in found), reverse=True)


def test_directions_that_are_none_are_said() -> None:
    here = plan()
    for form, said in (
        (None, "directions: write"),
        ({"random": "0"}, "no number of directions"),
        ({"crash": {"bonds": "-1"}}, "names the factor 'bonds'"),
    ):
        with pytest.raises(UsageError, match=said):
            read_directions(form, here.generator)


def test_the_example_breaks_where_its_readme_says() -> None:
    done = CliRunner().invoke(app, ["stress", "reverse", str(EXAMPLE), "--stresses", str(EXAMPLE / "stresses.yaml")])
    assert done.exit_code == 0, done.output
    # 14 million are there in time, 10.5 are called; 7 % more of 50 million are the other 3.5, of a direction to -50 %.
    first = done.stdout.splitlines()[0]
    assert first.startswith("equities fall: breaks at 14.00% of it") and first.endswith("equities -0.07")
