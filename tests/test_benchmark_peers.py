"""The peers that come with the product solve the same program as ours, and find the same optimum."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collateral_opt import read_book
from collateral_opt.book import Book
from tests.benchmarks.books import TINY, generated
from tests.benchmarks.fresh import Run, Stopped, Task
from tests.benchmarks.ours import linear_optimum
from tests.benchmarks.peers import OURS, PEERS, highs, pulp_cbc, pulp_highs, pulp_model, pulp_naive, tasks
from tests.benchmarks.peers.__main__ import main
from tests.benchmarks.peers.program import Allocation, allocation, by_row
from tests.benchmarks.peers.report import optima
from tests.benchmarks.peers.session import Late, Session


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return read_book(generated(TINY, tmp_path_factory.mktemp("books")))


@pytest.fixture(scope="module")
def program(book: Book) -> Allocation:
    return allocation(book)


@pytest.mark.parametrize("peer", [highs, pulp_highs, pulp_cbc, pulp_naive])
def test_a_peer_finds_our_optimum(peer: object, book: Book, program: Allocation) -> None:
    ours = linear_optimum(book)
    assert ours > 0
    theirs = program.cost(peer.solve(program))  # type: ignore[attr-defined]
    assert theirs == pytest.approx(ours, rel=1e-6)


def test_a_peer_gets_no_bound_that_its_rows_imply(program: Allocation) -> None:
    assert np.all(np.isinf(program.most))
    variables = pulp_model.model(program, program.cost_bps).variables()
    assert {(x.lowBound, x.upBound) for x in variables} == {(0, None)}


def test_bounds_from_the_rows_are_the_least_of_cover_and_supply(program: Allocation) -> None:
    # One holding of 6 for a call of 4 at a factor of 0.8: 4 / 0.8 = 5 before 6. For a call of 9 at 0.9: 6 before 10.
    figures = {"use": np.array([0, 1]), "source": np.array([0, 0]), "factor": np.array([0.8, 0.9])}
    rows = {"required": np.array([4.0, 9.0]), "available": np.array([6.0])}
    by_hand = replace(program, **figures, **rows).bounded()
    assert by_hand.most.tolist() == pytest.approx([5.0, 6.0])


@pytest.mark.parametrize("peer", [highs, pulp_highs])
def test_bounds_from_the_rows_cut_nothing_off(peer: object, program: Allocation) -> None:
    bounded = program.bounded()
    assert np.all(np.isfinite(bounded.most)) and np.all(bounded.most > 0)
    assert peer.solve(bounded) == pytest.approx(peer.solve(program), rel=1e-9)  # type: ignore[attr-defined]


def test_a_bounded_peer_is_given_bounds_and_its_twin_none(
    program: Allocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.save(tmp_path / "program.npz")
    given: list[Allocation] = []
    monkeypatch.setattr(highs, "solve", lambda of: given.append(of) or 0.0)
    for name in ("highs", "highs-bounded"):
        tasks.peer_optimum(name, tmp_path / "program.npz", tmp_path / "program.npz")()
    assert [bool(np.isfinite(of.most).all()) for of in given] == [False, False, True, True]


def test_limits_and_totals_take_part_in_the_program(program: Allocation) -> None:
    assert program.n_totals > 0 and np.any(program.share > 0)
    without = {"cap": np.full(len(program.cap), 1e6), "share": np.zeros(len(program.share))}
    free = Allocation(**{**vars(program), **without})
    assert highs.solve(free) < highs.solve(program) * (1 - 1e-6)


def test_a_program_comes_back_from_its_file(program: Allocation, tmp_path: Path) -> None:
    program.save(tmp_path / "program.npz")
    again = Allocation.load(tmp_path / "program.npz")
    assert all(np.array_equal(getattr(again, name), array) for name, array in vars(program).items())


def test_rows_know_their_entries() -> None:
    assert [entries.tolist() for entries in by_row(np.array([2, 0, 2]), 4)] == [[1], [], [0, 2], []]


def test_a_book_with_more_than_holdings_and_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="holdings and calls only"):
        allocation(read_book("examples/liquidity-waterfall"))


def _busy() -> Task:
    def go() -> None:
        while True:
            pass

    return go


def _busy_elsewhere() -> Task:
    words = [sys.executable, "-c", "while True: pass"]
    return lambda: subprocess.run(words, check=True)


def _refused() -> Task:
    raise RuntimeError("no licence")


def _session(folder: Path, patience: float) -> Session:
    return Session(folder, folder, patience=patience, memory_gb=64, repeats=1, tell=lambda line: None)


@pytest.mark.parametrize(("task", "late"), [(_busy, True), (_busy_elsewhere, True), (_refused, False)])
def test_who_outlasts_the_patience_is_late_and_who_fails_is_not(
    task: Callable[[], Task], late: bool, tmp_path: Path
) -> None:
    session = _session(tmp_path, patience=1.0)
    session._once("highs", TINY, task)
    outcome = session.outcomes["highs", TINY]
    assert isinstance(outcome, Stopped) and isinstance(outcome, Late) is late


def test_the_table_says_more_than_for_who_is_late(tmp_path: Path) -> None:
    session = _session(tmp_path, patience=600.0)
    session.eligible[TINY] = 360
    session.outcomes = {
        (OURS, TINY): [Run(1.0, cpu_s=2.5, wall_s=3.0, memory_gb=0.1)],
        ("highs", TINY): Late("more than 600 s", 600.0),
        ("highs-bounded", TINY): [Run(1.0, cpu_s=25.0, wall_s=26.0, memory_gb=0.2)],
    }
    text = optima(session)
    # By processor seconds: 600 / 2.5, and 25 / 2.5.
    assert f"| {PEERS['highs'].title} | more than 600 s (more than 240.0 x) |" in text
    assert f"| {PEERS['highs-bounded'].title} | 25.0 s (10.0 x), 0.2 GB |" in text


@pytest.mark.parametrize("word", ["0", "-1", "inf", "nan", "soon"])
def test_patience_is_a_number_of_seconds(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--patience", word])
    assert left.value.code == 2 and "--patience" in capsys.readouterr().err
