"""One book, many changes: the linear program of the book stays loaded, and only its numbers move.

>>> import pandas as pd
>>> from collateral_opt import Book, Change, Session
>>> book = Book.from_tables(
...     {
...         "assets": pd.DataFrame({"asset_id": ["B"], "asset_type": ["debt"], "currency": ["USD"], "price": [1.0]}),
...         "holdings": pd.DataFrame({"holding_id": ["H"], "asset_id": ["B"], "quantity": [5e6], "cost_bps": [36.0]}),
...         "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["Bank"], "schedule": ["all"]}),
...         "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["A"], "amount": [1e6], "currency": ["USD"]}),
...     },
...     settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD", "horizon_days": 30, "day_count": 360},
...     schedules={"all": {"rules": [{"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0}]}},
... )
>>> session = Session(book)
>>> round(session.solve(Change()).cost, 2), round(session.solve(Change(calls={"C": 2e6})).cost, 2)
(300.0, 600.0)
"""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from collateral_opt.book import Book
from collateral_opt.model.right_sides import marginal_costs
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import gather
from collateral_opt.network.network import Floats, Network
from collateral_opt.scenarios.change import Change, PlacedChange, Places
from collateral_opt.scenarios.figures import Figures
from collateral_opt.scenarios.used import Sources
from collateral_opt.scenarios.warm import Warm, loaded
from collateral_opt.solve.linear import better, linear_optima
from collateral_opt.solve.passes import COVERED
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits

BATCH = 100
"""Scenarios that a task has at least: fewer are not worth sending."""
START = 3.0
"""Seconds until a worker can begin, besides what a session takes to get ready."""
BASIS_POINTS = 10_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scenario:
    """The optimum of the linear program (lots aside) of a book with a change.

    Amounts are in base currency. ``cost`` is over the horizon, ``bound`` a proven lower bound on it given the least
    shortfalls. ``shortfalls``: of each call that is short, ``total_shortfall`` of all together (with requirements of
    agreements, where what is posted may move); ``reserve_shortfalls`` of reserves. Which of several calls of one
    priority is short is not always said by the aims, their total is. ``marginal_cost_bps``: what one more unit of
    each call would cost, in basis points a year (the solver's dual, one of several where the optimum has a kink).
    ``used``: what is drawn from each holding and facility, in market value (of a facility: what it produces); what it
    is given is drawn from the holding too. ``exhausted``: those with nothing left, the first to run out first (see
    :meth:`~collateral_opt.scenarios.used.Sources.drawn`); of several optima of one cost, one is told.
    ``warm``: solved with the loaded program; otherwise afresh, to the same optimum.
    """

    name: str
    cost: float
    bound: float
    shortfalls: Mapping[str, float]
    total_shortfall: float
    marginal_cost_bps: Mapping[str, float]
    reserve_shortfalls: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    exhausted: tuple[str, ...] = ()
    warm: bool = True

    @property
    def is_covered(self) -> bool:
        """Whether no call is short."""
        return self.total_shortfall == 0


class Session:
    """Answers changes to ``book``, for one thread at a time.

    An answer depends on the book and the change alone, to the last digit: not on what was solved before it, nor on
    which process solves it. What the loaded program cannot express is solved afresh: see ``Scenario.warm``.
    """

    def __init__(self, book: Book) -> None:
        began = time.perf_counter()
        self._book = book
        self._places = Places(book)
        self._loaded = _Loaded.of(book)
        self._ready_after = time.perf_counter() - began

    def solve(self, change: Change) -> Scenario:
        """The optimum after ``change``.

        Raises:
            UsageError: the change names what the book does not have, or a figure is none.
            BookError: the book has an error with these figures.
            SolverError: there is no answer, or the solver gave up.
        """
        placed = self._places.of(change)
        warm = None if self._loaded is None else self._loaded.solve(change, placed)
        return solve_afresh(self._book, change) if warm is None else warm

    def solve_many(
        self, changes: Iterable[Change], *, executor: Executor | None = None, progress: Progress | None = None
    ) -> list[Scenario]:
        """One scenario for each of ``changes``, in their order.

        Args:
            changes: all are looked at before the first is solved.
            executor: any; each of its workers builds a session once and keeps it. Without one, this process begins,
                and all cores go on where the rest would take it longer than they take to get ready.
            progress: called with how many are done and how many there are, as batches end.

        Raises:
            As :meth:`solve`. An interrupt cancels what is pending.
        """
        asked = list(changes)
        for change in asked:
            self._places.of(change)
        tell = progress if progress is not None else lambda done, total: None
        if executor is not None:
            return self._sent(asked, executor, lambda done: tell(done, len(asked)))
        found: list[Scenario] = []
        began = time.perf_counter()
        while len(found) < len(asked):
            found += map(self.solve, asked[len(found) : len(found) + BATCH])
            tell(len(found), len(asked))
            rest = asked[len(found) :]
            alone = (time.perf_counter() - began) / len(found) * len(rest)
            if alone * (1 - 1 / cores()) > START + self._ready_after:
                done = len(found)
                with ProcessPoolExecutor(min(cores(), -(-len(rest) // BATCH))) as pool:
                    found += self._sent(rest, pool, lambda more: tell(done + more, len(asked)))  # noqa: B023
        return found

    def _sent(self, asked: Sequence[Change], executor: Executor, tell: Callable[[int], None]) -> list[Scenario]:
        size = max(BATCH, -(-len(asked) // (4 * cores())))
        batches = [asked[first : first + size] for first in range(0, len(asked), size)]
        book = pickle.dumps(self._book, protocol=pickle.HIGHEST_PROTOCOL)
        key = hashlib.sha256(book).hexdigest()
        futures = {executor.submit(_solve_batch, key, book, batch): at for at, batch in enumerate(batches)}
        found: list[Sequence[Scenario]] = [()] * len(batches)
        done = 0
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                done += len(batches[futures[future]])
                tell(done)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [scenario for batch in found for scenario in batch]


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_kept = threading.local()
"""In a worker: the session of the book it was last asked about, by the book's hash; sessions are for one thread."""


def _solve_batch(key: str, book: bytes, changes: Sequence[Change]) -> list[Scenario]:
    if getattr(_kept, "key", None) != key:
        _kept.session, _kept.key = Session(pickle.loads(book)), key
    session: Session = _kept.session
    return [session.solve(change) for change in changes]


@dataclass(frozen=True)
class _Loaded:
    """The program of a book in the solver, and how its answers are told of the book's own calls."""

    figures: Figures
    warm: Warm

    @classmethod
    def of(cls, book: Book) -> _Loaded | None:
        """None where changes to ``book`` are always solved afresh."""
        figures = Figures.of(book)
        warm = None if figures is None else loaded(figures)
        return None if figures is None or warm is None else cls(figures, warm)

    def solve(self, change: Change, placed: PlacedChange) -> Scenario | None:
        """None where ``change`` is none for the loaded program."""
        figures = self.figures
        numbers = figures.after(placed)
        optimum = None if numbers is None else self.warm.solve(numbers)
        if numbers is None or optimum is None:
            return None
        uses, calls = figures.whole.uses, figures.whole.uses.calls
        reserves = optimum.short[figures.model.asking - (uses.asking - calls) :]
        short = figures.by_call(optimum.short, placed)
        years = float(figures.network.horizon_years)
        used, exhausted = figures.sources.drawn(
            optimum.x, numbers.available[: len(figures.sources.name)], _room(numbers.upper, optimum.short)
        )
        marginal = zip(uses.ids, figures.marginal(optimum.dual).tolist(), strict=False)
        return Scenario(
            name=change.name,
            cost=optimum.cost / BASIS_POINTS * years,
            bound=optimum.bound / BASIS_POINTS * years,
            shortfalls=_positive(uses.ids, short),
            total_shortfall=float(np.sum(short)),
            marginal_cost_bps={name: bps for name, bps in marginal if change.calls.get(name, 1.0) > 0},
            reserve_shortfalls=_positive(uses.ids[calls:], reserves),
            used=used,
            exhausted=exhausted,
        )


def _positive(names: Sequence[str], short: Floats) -> dict[str, float]:
    return {names[at]: float(short[at]) for at in np.flatnonzero(short > 0).tolist()}


def _room(asked: Floats, short: Floats) -> float:
    """What an answer may spare of its sources where something is short."""
    return 2 * COVERED * float(np.sum(asked[: len(short)])) if np.any(short > 0) else 0.0


def _available(network: Network) -> Floats:
    """What there is of each source of ``network``, in base currency."""
    sources = network.sources
    return sources.quantity * network.assets.unit_value[sources.asset]


def solve_afresh(book: Book, change: Change) -> Scenario:
    """The optimum of ``book`` after ``change`` by the whole road, and not warm; raises as :meth:`Session.solve`."""
    changed = change.applied_to(book)
    limits = Limits(seconds=changed.settings.time_limit_s)
    problem = Problem(gather(changed.in_full))
    optima = linear_optima(problem, solver_named("highs"), limits)
    best = reduce(better, optima)
    uses, flows = best.network.uses, best.flows
    short = np.where(flows.short > COVERED * uses.size[: uses.asking], flows.short, 0.0)
    years = float(best.network.horizon_years)
    marginal = marginal_costs(best.network, flows.duals)
    used, exhausted = Sources.of(problem.facts, best.network).drawn(
        flows.x, _available(best.network), _room(uses.size, short)
    )
    return Scenario(
        name=change.name,
        cost=flows.cost / BASIS_POINTS * years,
        bound=min(flows.bound, flows.cost) / BASIS_POINTS * years,
        shortfalls=_positive(uses.ids, short[: uses.calls]),
        total_shortfall=float(np.sum(short[: uses.demands])),
        marginal_cost_bps=dict(zip(uses.ids[: uses.calls], marginal[: uses.calls].tolist(), strict=True)),
        reserve_shortfalls=_positive(uses.ids[uses.demands :], short[uses.demands :]),
        used=used,
        exhausted=exhausted,
        warm=False,
    )
