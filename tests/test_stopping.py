"""A run that is asked to end gives the best answer so far, checked, with a gap that is true; or says it has none."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collateral_opt.book import Book
from collateral_opt.cli import INTERRUPTED, app
from collateral_opt.errors import StoppedError
from collateral_opt.generate import write_book
from collateral_opt.io.read import read_book
from collateral_opt.optimiser import optimise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk that takes several rounds."""
    folder = tmp_path_factory.mktemp("books") / "desk"
    write_book(folder, holdings=700, calls=40, agreements=24, seed=3)
    return folder


@pytest.fixture(scope="module")
def desk(folder: Path) -> Book:
    return read_book(folder)


def test_stopped_after_a_round_the_answer_is_checked_and_its_gap_holds(desk: Book) -> None:
    stop, rounds = threading.Event(), []

    def after_one_round(stage: str) -> None:
        if stage.startswith("solving, round"):
            rounds.append(stage)
            stop.set()

    stopped, whole = optimise(desk, stop=stop, progress=after_one_round), optimise(desk)
    assert len(rounds) == 1
    assert stopped.summary["stopped"] and not whole.summary["stopped"]
    assert stopped.summary["lower_bound"] <= whole.summary["lower_bound"] * (1 + 1e-9)
    assert whole.summary["lower_bound"] <= whole.total_cost <= whole.summary["lower_bound"] * (1 + 1e-3)
    assert stopped.summary["total_shortfall"] > 0 or stopped.total_cost >= whole.summary["lower_bound"]


def test_full_and_generated_programs_have_the_same_bound(desk: Book) -> None:
    generated, full = optimise(desk), optimise(desk, full=True)
    assert generated.summary["lower_bound"] == pytest.approx(full.summary["lower_bound"], rel=1e-9)
    assert generated.summary["total_shortfall"] == full.summary["total_shortfall"] == 0


def test_stopped_before_there_is_an_answer_nothing_comes_back(desk: Book) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        optimise(desk, stop=stop)
    with pytest.raises(StoppedError):
        optimise(desk.replace(settings={"time_limit_s": 1e-6}))


def test_the_command_says_so_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    words = ["allocate", str(folder), "--out", str(tmp_path / "out"), "--time-limit", "0.000001"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == INTERRUPTED
    assert "stopped before there was an answer" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_tells_the_rounds(folder: Path, tmp_path: Path) -> None:
    words = ["allocate", str(folder), "--out", str(tmp_path / "out"), "--verbose", "--no-report"]
    done = subprocess.run([sys.executable, "-m", "collateral_opt", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    rounds = [line for line in done.stderr.splitlines() if line.startswith("round ")]
    assert rounds and rounds[0].startswith("round 1: ") and "columns" in rounds[0] and "gap" in rounds[0]
