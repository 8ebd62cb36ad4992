"""The smallest shock that breaks a firm is where it is by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from collateral_opt.cli import app
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.factors import read_generator
from collateral_opt.liquidity.pictures import distance_figure
from collateral_opt.liquidity.reverse import read_directions, reverse
from collateral_opt.liquidity.reverse_page import page
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


def test_a_history_whose_factors_follow_from_each_other_has_no_lengths(tmp_path: Path) -> None:
    # Two days: whatever two factors do, one is a line of the other.
    (tmp_path / "h.csv").write_text("date,a,b\n2026-01-01,0.1,0.2\n2026-01-02,0.3,-0.1\n")
    generator = read_generator({"kind": "history", "file": "h.csv"}, tmp_path)
    with pytest.raises(UsageError, match="2 factors follow from each other"):
        read_directions({"fall": {"a": "-1"}}, generator)


def test_the_page_has_every_distance_and_escapes_names(tmp_path: Path) -> None:
    here = plan(only_cash())  # type: ignore[arg-type]
    found = reverse(
        here, read_directions({"</script><b>": {"equities": "-0.8"}, "up": {"equities": "0.3"}}, here.generator)
    )
    drawn = distance_figure(found)
    assert drawn is not None
    (bars,) = drawn["data"]
    assert bars["y"] == ["&lt;/script&gt;&lt;b&gt;", "up"]
    # 5 standard deviations down break it, and 7.5 up do not: each over sqrt(1 - 0.25).
    assert bars["x"] == pytest.approx([5 / 0.75**0.5, 7.5 / 0.75**0.5], rel=2e-4)
    assert bars["text"] == ["25.00% of it", "holds"]
    text = page(here, found)
    assert "</script><b>" not in text and "5.77 deviations" in text
    assert page(here, found) == text
    assert distance_figure([]) is None


def test_the_command_writes_the_page_and_says_beforehand_what_it_cannot_write(tmp_path: Path) -> None:
    args = ["stress", "reverse", str(EXAMPLE), "--stresses", str(EXAMPLE / "stresses.yaml"), "--quiet"]
    out, drawn = str(tmp_path / "r.csv"), str(tmp_path / "r.html")
    assert CliRunner().invoke(app, [*args, "--out", out, "--page", drawn]).exit_code == 0
    assert "equities fall" in Path(drawn).read_text(encoding="utf-8")
    for more, said in (
        (["--page", drawn], "is there already"),
        (["--out", str(tmp_path / "none" / "r.csv")], "is not there"),
        (["--out", out, "--page", out, "--force"], "are one file"),
        (["--out", str(EXAMPLE / "positions.csv"), "--force"], "lies in the book"),
    ):
        done = CliRunner().invoke(app, [*args, *more])
        assert done.exit_code == 2 and said in " ".join(done.stderr.split())


def test_the_example_breaks_where_its_readme_says() -> None:
    done = CliRunner().invoke(app, ["stress", "reverse", str(EXAMPLE), "--stresses", str(EXAMPLE / "stresses.yaml")])
    assert done.exit_code == 0, done.output
    # 14 million are there in time, 10.5 are called; 7 % more of 50 million are the other 3.5, of a direction to -50 %.
    first = done.stdout.splitlines()[0]
    assert first.startswith("equities fall: breaks at 14.00% of it") and first.endswith("equities -0.07")
