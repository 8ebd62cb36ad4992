"""Factors have the distribution that is stated, any part of them can be drawn alone, and nonsense is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.factors import (
    Generator,
    draw,
    length,
    read_generator,
    read_links,
    read_moves,
    read_responses,
    relative,
)

COUNT = 60_000


def generator(**more: Any) -> Generator:
    form: dict[str, Any] = {
        "seed": "11",
        "factors": {"a": {"volatility": "0.01"}, "b": {"volatility": "0.03"}},
        "correlation": [["1", "0.6"], ["0.6", "1"]],
    }
    return read_generator({**form, **more})


@pytest.fixture(scope="module")
def tails() -> np.ndarray[Any, np.dtype[np.float64]]:
    return draw(generator(degrees="5", horizon_days="4"), 0, COUNT)


def test_any_part_is_drawn_alone_to_the_last_digit() -> None:
    one = generator()
    whole = draw(one, 0, 50)
    assert np.array_equal(draw(one, 17, 5), whole[17:22])
    assert np.array_equal(draw(one, 49, 1), whole[49:])
    assert not np.array_equal(draw(generator(seed="12"), 0, 50), whole)


def test_mean_volatility_and_correlation_are_those_stated(tails: Any) -> None:
    # Over four days a's standard deviation is 0.02; Student's t with 5 degrees has kurtosis 9.
    standard = tails / np.array([0.02, 0.06])
    assert np.max(np.abs(standard.mean(axis=0))) < 4 / np.sqrt(COUNT)
    assert np.max(np.abs((standard**2).mean(axis=0) - 1)) < 4 * np.sqrt(8 / COUNT)
    # E[x^2 y^2] of a t is (nu - 2) / (nu - 4) = 3 times the normal's 1 + 2 rho^2 = 1.72.
    assert abs(float((standard[:, 0] * standard[:, 1]).mean()) - 0.6) < 4 * np.sqrt((3 * 1.72 - 0.36) / COUNT)


@pytest.mark.parametrize(("share", "quantile"), [(0.05, 2.01505), (0.01, 3.36493), (0.001, 5.89343)])
def test_tails_are_those_of_the_table_of_students_t(tails: Any, share: float, quantile: float) -> None:
    scale = np.array([0.02, 0.06]) * np.sqrt(3 / 5)
    found = (tails / scale < -quantile).mean(axis=0)
    assert np.max(np.abs(found - share)) < 4 * np.sqrt(share * (1 - share) / COUNT)


def test_large_moves_come_together_more_than_normal_ones(tails: Any) -> None:
    normal = draw(generator(kind="normal"), 0, COUNT)

    def together(moves: Any) -> float:
        low = moves < np.quantile(moves, 0.01, axis=0)
        return float((low[:, 0] & low[:, 1]).mean()) / 0.01

    # At a correlation of 0.6 the conditional probabilities are near 0.29 and 0.39; the noise of each is near 0.02.
    assert together(tails) > together(normal) + 0.05


def test_history_is_drawn_in_runs_of_days_and_compounded(tmp_path: Path) -> None:
    (tmp_path / "moves.csv").write_text("date,a,b\n2026-01-03,-0.5,0.2\n2026-01-02,0.2,0\n2026-01-01,0.1,0.1\n")
    found = draw(
        read_generator({"kind": "history", "file": "moves.csv", "horizon_days": "2", "seed": "3"}, tmp_path), 0, 60
    )
    # 1.1 * 1.2 and 1.1; 1.2 * 0.5 and 1.2.
    seen = {(round(a, 12), round(b, 12)) for a, b in found.tolist()}
    assert seen == {(0.32, 0.1), (-0.4, 0.2)}


def test_absolute_moves_of_a_history_add_up_and_may_be_of_any_size(tmp_path: Path) -> None:
    (tmp_path / "moves.csv").write_text("date,points,share\n2026-01-01,-2.5,0.1\n2026-01-02,1.5,0.2\n")
    form = {"kind": "history", "file": "moves.csv", "horizon_days": "2", "absolute": ["points"]}
    # -2.5 + 1.5, and 1.1 * 1.2.
    assert draw(read_generator(form, tmp_path), 0, 1)[0] == pytest.approx([-1.0, 0.32])
    with pytest.raises(UsageError, match=r"-2\.5 is no relative move"):
        read_generator({**form, "absolute": []}, tmp_path)
    with pytest.raises(UsageError, match=r"no column point\. Did you mean points"):
        read_generator({**form, "absolute": ["point"]}, tmp_path)


def test_a_day_of_a_history_is_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "moves.csv").write_text("date,a\n2026-01-01,0.1\n2026-01-02,0.05\n")
    found = draw(read_generator({"kind": "history", "file": "moves.csv"}, tmp_path), 0, 30)
    assert set(found[:, 0].tolist()) == {0.1, 0.05}


def test_no_relative_move_takes_all() -> None:
    moves = np.array([[-0.8, 0.1], [0.2, 0.0]])
    betas = np.array([[1.0, 0.0], [2.0, 1.0]])
    assert relative(moves, betas) == pytest.approx(np.array([[-0.8, -0.99], [0.2, 0.4]]))


def test_a_length_considers_correlation() -> None:
    one = generator(correlation=[["1", "0.5"], ["0.5", "1"]])
    # One standard deviation of both: (1, 1) C^-1 (1, 1)' = 2 / (1 + 0.5).
    assert length(one, np.array([0.01, 0.03])) == pytest.approx(np.sqrt(2 / 1.5))
    assert length(one, np.array([0.01, -0.03])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "names no factors"),
        ({"kind": "stable"}, "kind is stable"),
        ({"degrees": "2", "factors": {"a": {"volatility": "1"}}}, "degrees is 2"),
        ({"factors": {"a": {"volatility": "-1"}}}, "volatility is -1"),
        ({"factors": {"a": {"volatility": "nan"}}}, "volatility is nan"),
        ({"kind": "normal", "degrees": "5", "factors": {"a": {"volatility": "1"}}}, "degrees say nothing"),
        ({"kind": "history", "file": "x.csv", "factors": {"a": {"volatility": "1"}}}, "factors say nothing"),
        ({"kind": "history", "file": "none.csv"}, "none.csv: cannot be read"),
        ({"absolute": ["a"], "factors": {"a": {"volatility": "1"}}}, "absolute say nothing"),
        ({"factors": {"a": {"volatility": "1"}}, "correlation": [["1", "0"]]}, "1 rows of 1 figures"),
        (
            {"factors": {"a": {"volatility": "1"}, "b": {"volatility": "1"}}, "correlation": [["1", "1"], ["0", "1"]]},
            "symmetric",
        ),
        (
            # Least eigenvalue of three with correlations 0.9, 0.9 and -0.9: 1 - 2 * 0.9.
            {
                "factors": {name: {"volatility": "1"} for name in "abc"},
                "correlation": [["1", "0.9", "0.9"], ["0.9", "1", "-0.9"], ["0.9", "-0.9", "1"]],
            },
            "least eigenvalue is -0.8",
        ),
        ({"faktors": {}}, "faktors is not known"),
    ],
)
def test_a_generator_that_is_none_is_said(form: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        read_generator(form, tmp_path)
    assert said in str(told.value)


@pytest.mark.parametrize("text", ["date,a\n2026-01-01,x\n2026-01-02,0\n", "a\n0.1\n", "date,a\n2026-01-01,0.1\n"])
def test_a_history_that_is_none_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(UsageError, match=r"h\.csv"):
        read_generator({"kind": "history", "file": "h.csv"}, tmp_path)


def test_links_responses_and_moves_that_are_none_are_said() -> None:
    with pytest.raises(UsageError, match=r"line 1: factor is missing"):
        read_links([{"of": "equity"}])
    with pytest.raises(UsageError, match=r"neither of initial margin nor of a facility"):
        read_responses([{"factor": "a", "facility": "LINE", "slope": "0.5"}])
    with pytest.raises(UsageError, match=r"keep is 2"):
        read_responses([{"factor": "a", "facility": "LINE", "keep": "2"}])
    with pytest.raises(UsageError, match=r"crash names the factor 'c'"):
        read_moves({"c": "1"}, generator(), "crash")
    with pytest.raises(UsageError, match=r"nothing moves"):
        read_moves({"a": "0"}, generator(), "crash")
    assert read_moves({"b": "-30%"}, generator(), "crash").tolist() == [0.0, -0.3]
