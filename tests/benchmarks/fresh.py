"""Runs a task in a process of its own and takes its processor seconds, wall clock and peak memory.

Each process has one thread for everybody. Imports and first calls are the task's preparation and are not counted.
Unix only: usage is that of the process and of the solvers that it starts.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
GIGABYTE = 1e9

Task = Callable[[], Any]


@dataclass(frozen=True)
class Run:
    """What a task returned, and what that took.

    ``memory_gb`` is the peak of the process, preparation and all, or of a solver that it started if that is larger.
    """

    value: Any
    cpu_s: float
    wall_s: float
    memory_gb: float


@dataclass(frozen=True)
class Stopped:
    """Why there is no answer, in a few words: ``stopped after 900 s``."""

    reason: str


def run(prepare: Callable[..., Task], *arguments: Any, seconds: float | None, memory_gb: float) -> Run | Stopped:
    """Prepare a task in a fresh process, then run it there for at most so many seconds and gigabytes of memory.

    ``prepare`` must be importable by name; what it returns is run and timed. ``seconds=None``: however long it takes.
    """
    os.environ.update(ONE_THREAD)
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, memory_gb, prepare, arguments))
    process.start()
    assert process.pid is not None
    there.close()
    answer: Run | Stopped | None = None
    try:
        answer = here.recv()
        if answer is None:
            answer = here.recv() if here.poll(seconds) else Stopped(f"stopped after {seconds or 0:,.0f} s")
    except EOFError:
        pass
    finally:
        with suppress(ProcessLookupError):
            # Solvers that the process has started are of its group.
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        here.close()
    return answer or Stopped(f"ended by signal {-(process.exitcode or 0)} with {memory_gb:g} GB allowed")


def _work(report: Connection, memory_gb: float, prepare: Callable[..., Task], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    _be_silent()
    most = int(memory_gb * GIGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    cpu = _cpu_seconds()
    try:
        task = prepare(*arguments)
        report.send(None)
        cpu, wall = _cpu_seconds(), time.perf_counter()
        value = task()
        report.send(Run(value, _cpu_seconds() - cpu, time.perf_counter() - wall, _peak_gb()))
    except MemoryError:
        report.send(Stopped(f"out of memory at {memory_gb:g} GB"))
    except Exception as error:
        traceback.print_exc()
        report.send(Stopped(f"failed after {_cpu_seconds() - cpu:,.0f} s: {type(error).__name__}: {error}"))


def _be_silent() -> None:
    """Solvers greet on standard output, whatever they are told."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def _peak_gb() -> float:
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak * (1 if sys.platform == "darwin" else 1024) / GIGABYTE
