"""Whoever is killed in the middle, no scenario is lost and no byte is another one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from collateral_opt.errors import UsageError
from collateral_opt.io.read import read_book
from collateral_opt.liquidity.executors import run
from collateral_opt.liquidity.moved import Moved, moved
from collateral_opt.liquidity.stress import read_stresses
from collateral_opt.liquidity.sweep import PART, sweep
from tests.liquidity.workers import die, refuse

COUNT = 8 * PART
DESK = Path(__file__).parents[2] / "examples" / "stress"
STRESSES = """
stresses: {day: {shocks: [{of: equity, value: -15%}], due: {vm: +8h}}}
generator: {seed: 3, factors: {prices: {volatility: 0.05}}}
links: [{of: equity, factor: prices, on: both}]
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of stresses."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "stresses.yaml").write_text(STRESSES)
    return folder


@pytest.fixture(scope="module")
def here(case: Path) -> Moved:
    read = read_stresses(case / "stresses.yaml")
    return moved(read_book(DESK), read.stress(), read)


@pytest.fixture(scope="module")
def clean(case: Path, here: Moved) -> bytes:
    sweep(here, case / "clean", COUNT)
    return (case / "clean" / "scenarios.csv").read_bytes()


def test_processes_that_are_killed_are_replaced(here: Moved, clean: bytes, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if PART <= done < total - 2 * PART and len(killed) < 2:
            # One that was killed may be listed until its end is noticed.
            victim = next((c.pid for c in multiprocessing.active_children() if c.pid not in killed), None)
            if victim is not None:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    found = sweep(here, tmp_path / "o", COUNT, executor="processes:2", progress=kill)
    assert len(set(killed)) == 2
    assert found.solved == COUNT
    assert (tmp_path / "o" / "scenarios.csv").read_bytes() == clean


def test_a_part_that_kills_every_worker_is_done_here() -> None:
    found: dict[int, int] = {}
    run(range(6), die, "processes:2", lambda part, answer: found.update({part: answer}))
    assert found == {part: part * part for part in range(6)}


def test_what_is_wrong_with_a_part_is_raised_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collateral_opt.liquidity.executors.PATIENCE", 1)
    with pytest.raises(UsageError, match="is wrong"):
        run(range(4), refuse, "processes:2", lambda part, answer: None)
    with pytest.raises(UsageError, match="no Dask scheduler"):
        run(range(4), refuse, "dask://127.0.0.1:9", lambda part, answer: None)


def test_a_run_that_is_killed_goes_on_and_leaves_no_workers(case: Path, clean: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "collateral_opt", "stress", "run", str(DESK), "--quiet"]
    command += ["--stresses", str(case / "stresses.yaml"), "--out", str(tmp_path / "o"), "--count", str(COUNT)]
    parts = tmp_path / "o" / "parts"
    process = subprocess.Popen([*command, "--executor", "processes:2"], start_new_session=True)
    try:
        for _ in range(1_200):
            if parts.is_dir() and any(parts.glob("*.csv")):
                break
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    kept = len(list(parts.glob("*.csv")))
    assert 0 < kept < COUNT // PART
    for _ in range(500):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("workers are still there")
    subprocess.run([*command, "--resume"], check=True, timeout=100)
    assert (tmp_path / "o" / "scenarios.csv").read_bytes() == clean


def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bytes(here: Moved, clean: bytes, tmp_path: Path) -> None:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:  # type: ignore[no-untyped-call]
        killed: list[int] = []

        def kill(done: int, total: int) -> None:
            if done >= PART and not killed:
                victim = next(iter(cluster.workers.values())).process.pid
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

        where = cluster.scheduler_address.replace("tcp://", "dask://")
        found = sweep(here, tmp_path / "o", COUNT, executor=where, progress=kill)
    assert len(killed) == 1
    assert found.solved == COUNT
    assert (tmp_path / "o" / "scenarios.csv").read_bytes() == clean
