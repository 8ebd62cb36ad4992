"""Work in parts, here or on workers that may be lost: every part is done, whoever does it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from collateral_opt.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")
STRIKES = 3
"""A part whose worker is lost so many times is done in this process."""
PATIENCE = 10
"""Seconds for a scheduler to answer."""
KINDS = "Write processes:N with 1 or more, dask://HOST:PORT, or leave it out."


@contextmanager
def opened(where: str | Executor | None) -> Iterator[_Workers]:
    """Workers: None (this process), ``processes:N``, ``dask://HOST:PORT``, or any executor, which stays open.

    Raises:
        UsageError: ``where`` is none of these, or what it needs is not there.
    """
    workers = _workers(where)
    try:
        yield workers
    except BaseException:
        workers.close(now=True)
        raise
    workers.close(now=False)


def run(parts: Sequence[T], work: Callable[[T], R], where: str | Executor | None, done: Callable[[T, R], None]) -> None:
    """``work`` on each of ``parts``; ``done`` hears of each once, in this process, in the order in which they end.

    A part whose worker is lost is given to another; after three times it is done here. ``work`` and the parts travel
    as bytes. Raises what ``work`` raises, and :class:`UsageError` for workers that there are none of.
    """
    with opened(where) as workers:
        if not workers.count:
            for part in parts:
                done(part, work(part))
            return
        strikes = [0] * len(parts)
        waiting = list(range(len(parts)))[::-1]
        flying: dict[Future[R], int] = {}
        while waiting or flying:
            # Few are on their way at a time: of those alone it is not known which one a lost worker had.
            lost = False
            while waiting and len(flying) < 2 * workers.count and not lost:
                at = waiting.pop()
                try:
                    flying[workers.submit(work, parts[at])] = at
                except BrokenProcessPool:
                    waiting.append(at)
                    lost = True
            ended = set(flying) if lost else wait(flying, return_when=FIRST_COMPLETED).done
            for future in sorted(ended, key=flying.__getitem__):
                at = flying.pop(future)
                try:
                    answer = future.result()
                except BaseException as error:
                    if not workers.is_loss(error):
                        raise
                    lost = True
                    strikes[at] += 1
                    if strikes[at] < STRIKES:
                        waiting.append(at)
                        continue
                    answer = work(parts[at])
                done(parts[at], answer)
            if lost:
                # The rest of a broken pool ends in the same way.
                workers.renew(not flying)


class _Workers:
    """This process alone."""

    count = 0

    def submit(self, work: Callable[[T], R], part: T) -> Future[R]:
        raise NotImplementedError

    def is_loss(self, error: BaseException) -> bool:
        """Whether the worker is lost, and not the part wrong."""
        return False

    def renew(self, is_idle: bool) -> None:
        """After a loss, once nothing is on its way."""

    def close(self, *, now: bool) -> None:
        """Let the workers go, ``now`` without what is pending."""


class _Given(_Workers):
    """An executor of the caller's, which stays the caller's."""

    def __init__(self, executor: Executor, count: int) -> None:
        self._executor, self.count = executor, count
        self._asked: list[Future[Any]] = []

    def submit(self, work: Callable[[T], R], part: T) -> Future[R]:
        future = self._executor.submit(work, part)
        self._asked = [one for one in self._asked if not one.done()] + [future]
        return future

    def close(self, *, now: bool) -> None:
        if now:
            for future in self._asked:
                future.cancel()


class _Processes(_Workers):
    """Processes of this machine, new ones where one was killed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        # A fork would copy the threads' locks of this process as they happen to stand.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.count, mp_context=context, initializer=_end_with_parent)

    def submit(self, work: Callable[[T], R], part: T) -> Future[R]:
        return self._pool.submit(work, part)

    def is_loss(self, error: BaseException) -> bool:
        return isinstance(error, BrokenProcessPool)

    def renew(self, is_idle: bool) -> None:
        if is_idle:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new()

    def close(self, *, now: bool) -> None:
        self._pool.shutdown(wait=not now, cancel_futures=now)


def _end_with_parent() -> None:
    """In a worker: leave when the process goes that started it, even if that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


class _Dask(_Workers):
    """The workers of a Dask cluster, which gives their work to others where one is lost."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError("dask:// needs the package distributed. Install collateral-opt[grid].") from None
        try:
            self._client: Any = Client(address, timeout=PATIENCE)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"no Dask scheduler answers at {address}: {error}. Check the address.") from None
        client: Any = self._client
        self._executor: Executor = client.get_executor(pure=False, retries=10)
        self.count = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, work: Callable[[T], R], part: T) -> Future[R]:
        future: Future[R] = self._executor.submit(work, part)
        return future

    def is_loss(self, error: BaseException) -> bool:
        from distributed.scheduler import KilledWorker

        return isinstance(error, KilledWorker | CancelledError)

    def close(self, *, now: bool) -> None:
        with suppress(Exception):
            self._executor.shutdown(wait=not now)
        self._client.close()


def _workers(where: str | Executor | None) -> _Workers:
    if where is None:
        return _Workers()
    if isinstance(where, Executor):
        return _Given(where, 8)
    kind, _, rest = where.partition(":")
    if kind == "processes" and rest.isdecimal() and int(rest) >= 1:
        return _Processes(int(rest))
    if where.startswith("dask://") and len(where) > len("dask://"):
        return _Dask(f"tcp://{where.removeprefix('dask://')}")
    raise UsageError(f"{where!r} is no executor. {KINDS}")
