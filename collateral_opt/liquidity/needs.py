"""What each scenario needs of a buffer: programs that stay loaded, one for all scenarios that differ in figures alone.

Linear, whole lots aside, as :class:`collateral_opt.Session` is. Facilities of kind ``sale`` produce nothing here, and
reserves may run short, as in a scenario of a session, unless they are to be kept. A group that what is posted puts over
its cap takes nothing, even where a recall could cure that: a buffer is then rather larger than needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import floor
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.tables import hint
from collateral_opt.errors import SolverError, UsageError
from collateral_opt.model.buffer import Bools, with_buffer
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Ints, Program, Scaling, scale
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import Facts, gather
from collateral_opt.network.network import Network
from collateral_opt.scenarios.change import Change, PlacedChange, Places
from collateral_opt.scenarios.figures import Figures
from collateral_opt.session import cores
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.seam import Session, Status

PLENTY = 10.0
"""A candidate without a limit of its own may be as large as the calls of the largest scenario so many times."""
MOST_VALUE = 1e13
"""No candidate is larger: a book's figures end at 1e16, in whatever currency."""
MET = 1e-8
"""A scenario is survived where less than this share of its calls is lacking."""
BASIS_POINTS = 10_000
TOLD = 50
PARTS, MANY = 8, 100
"""Scenarios are looked at in so many parts where there are many, each with programs of its own: a part can be at work
on each core, and what comes out depends on how many scenarios there are, not on how many cores."""
Scenarios = Sequence[Change | Book]
Progress = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """Something that a buffer can be made of: units of an asset held for it, or a committed line.

    Attributes:
        name: as it is told; its holding or facility in a book is ``buffer NAME``.
        asset: what is held, or what the line gives; an ``asset_id`` of the book.
        cost_bps: what it costs to have, in basis points of its value (of its capacity) a year, used or not.
        most: value in base currency that there can be of it (infinite: as much as could be of use).
        is_line: a credit line of which the capacity is committed.
        access_hours: until a line's cash can be used, or a holding settles.
        location: where a holding lies.
    """

    name: str
    asset: str
    cost_bps: float
    most: float = np.inf
    is_line: bool = False
    access_hours: float = 0.0
    location: str | None = None

    @property
    def row(self) -> str:
        """Identifier of its holding or facility."""
        return f"buffer {self.name}"


def lot_values(book: Book, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Of each candidate, units in a lot and what a unit is worth in base currency (of a line: of its currency)."""
    at = _rows_of(book, [c.asset for c in candidates])
    rate = book.assets["currency"].map(book.rates).to_numpy(np.float64)[at]
    unit = np.where([c.is_line for c in candidates], rate, book.unit_values[at])
    return book.lot_sizes[at], np.asarray(unit, dtype=np.float64)


def _most(book: Book, candidates: Sequence[Candidate], plenty: float) -> Floats:
    """Value of each candidate that there can be, in whole lots where it is stated: a part of one is not to be had."""
    lot, unit = lot_values(book, candidates)
    most = []
    for c, each in zip(candidates, (lot * unit).tolist(), strict=True):
        # the hair is for quotients: three lots of 903.7 are 2,711.1, which is 2.9999999999999996 of them
        count = c.most / each
        whole = floor(count + max(1e-6, 1e-10 * count)) * each if np.isfinite(c.most) else np.inf
        if whole == 0 < c.most:
            raise UsageError(f"buffer {c.name!r}: a lot of {c.asset} is worth {each:,.2f}, more than its most.")
        most.append(min(whole, plenty))
    return np.array(most, dtype=np.float64)


def require_fit(book: Book, candidates: Sequence[Candidate]) -> None:
    """:class:`UsageError` where a candidate's asset is not in the book or has no value, or two have one name."""
    wrong = [f"buffer {c.name!r}: asset {c.asset!r} is not in the book." for c in candidates if not _has(book, c.asset)]
    names = [c.name for c in candidates]
    wrong += [
        f"buffer {name!r} is there twice: name them apart." for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    taken = {*book.holdings["holding_id"], *book.facilities["facility_id"]}
    wrong += [f"the book has {c.row!r} already: name the candidate otherwise." for c in candidates if c.row in taken]
    if wrong:
        raise UsageError("the buffer does not fit the book:\n" + "\n".join(f"  {text}" for text in wrong))
    at = _rows_of(book, [c.asset for c in candidates])
    valued = book.unit_values[at] > 0
    if not valued.all():
        first = candidates[int(np.argmin(valued))].asset
        raise UsageError(
            f"asset {first!r} has no value in base currency: give its price, and the rate of its currency."
        )


def with_candidates(book: Book, candidates: Sequence[Candidate], values: Sequence[float]) -> Book:
    """``book`` with ``values`` of each candidate (base currency, above 0) among its holdings and facilities.

    Raises:
        UsageError: a candidate's asset is not in the book, or two have one name, or one has no value.
        BookError: the book has an error with them.
    """
    require_fit(book, candidates)
    at = _rows_of(book, [c.asset for c in candidates])
    unit_value = book.unit_values[at]
    rates = book.assets["currency"].map(book.rates).to_numpy(np.float64)[at]
    frames: dict[str, Any] = {}
    held = [
        {
            "holding_id": c.row,
            "asset_id": c.asset,
            "quantity": value / unit,
            "cost_bps": c.cost_bps,
            "settle_hours": c.access_hours,
            "location": c.location,
        }
        for c, value, unit in zip(candidates, values, unit_value, strict=True)
        if not c.is_line
    ]
    lines = [
        {
            "facility_id": c.row,
            "kind": "credit_line",
            "gives": c.asset,
            "capacity": value / rate,
            "access_hours": c.access_hours,
        }
        for c, value, rate in zip(candidates, values, rates, strict=True)
        if c.is_line
    ]
    for table, rows in (("holdings", held), ("facilities", lines)):
        if rows:
            old = getattr(book, table)
            # Cell by cell: concat of frames would guess at the kinds of columns that are empty in one of them.
            frames[table] = pd.DataFrame([*old.to_dict("records"), *rows], columns=old.columns)
    return book.replace(**frames) if frames else book


def _has(book: Book, asset: str) -> bool:
    return bool((book.assets["asset_id"] == asset).any())


@dataclass(frozen=True)
class _Shape:
    """Programs that differ in bounds alone."""

    program: Program
    scaled: Program
    scaling: Scaling


@dataclass
class _Loaded:
    """A shape with the solver, and the scenario of which it has the rows."""

    session: Session
    scenario: int = -1


@dataclass(frozen=True)
class _Sides:
    """What one scenario makes of a shape, scaled: bounds of the rows and of the columns but for the buffer's."""

    shape: int
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats
    ratio: Floats
    """Value of each candidate in the scenario for one unit of its value today [candidates]."""


class Needs:
    """The scenarios of a book, loaded; buffers are values of each candidate at today's prices, in base currency."""

    def __init__(
        self,
        book: Book,
        scenarios: Scenarios,
        candidates: Sequence[Candidate],
        *,
        horizon: pd.Timedelta | None = None,
        keep_reserves: bool = False,
        instead_of: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> None:
        """``scenarios`` change ``book``, or are books of their own with the same assets.

        Args:
            horizon: calls due later than so long after ``as_of`` are not looked at.
            keep_reserves: a scenario is not survived where a reserve is short.
            instead_of: holdings of the book that the buffer takes the place of: none of them is there.
            progress: told what is done.

        Raises:
            UsageError: there is no scenario or candidate, or one does not fit the book.
            BookError: a scenario is none.
        """
        if not scenarios or not candidates:
            raise UsageError("a buffer is sized over one scenario and of one candidate at least.")
        self.candidates = list(candidates)
        self._keep_reserves = keep_reserves
        self._instead_of, self._horizon = instead_of, horizon
        self._shapes: list[_Shape] = []
        self._loaded: dict[tuple[int, int], _Loaded] = {}
        self._parts = PARTS if len(scenarios) >= MANY else 1
        self._tell = progress if progress is not None else lambda _: None
        base = self._own(book)
        size = [_called(base, one) if isinstance(one, Change) else _called(self._own(one), None) for one in scenarios]
        self.size: Floats = np.maximum(size, 1.0)
        """What the calls of each scenario come to, in base currency, 1 at least [scenarios]."""
        self.unit = float(np.median(self.size))
        """A figure that buffers are of the order of."""
        plenty = min(PLENTY * float(self.size.max()), MOST_VALUE)
        require_fit(base, candidates)
        self.most = _most(base, candidates, plenty)
        self.names = [
            (one.name if isinstance(one, Change) else "") or f"scenario {number}"
            for number, one in enumerate(scenarios, 1)
        ]
        whole = with_candidates(base, candidates, self.most.tolist())
        self._assets = [c.asset for c in candidates]
        self._value = _values(whole, self._assets)
        self._price = dict(zip(book.assets["asset_id"], book.assets["price"].tolist(), strict=True))
        self._facts: Facts | None = None
        self._at: dict[int, int] = {}
        figures = Figures.of(whole) if any(isinstance(one, Change) for one in scenarios) else None
        warm = None if figures is None else _Figured(figures, self._program(figures.network, whole))
        places = Places(whole)
        self._sides: list[_Sides] = []
        self.narrowed = 0
        """In how many scenarios a group that what is posted puts over its cap is taken to take nothing, though a
        recall could cure that."""
        for number, one in enumerate(scenarios, 1):
            if isinstance(one, Change):
                change = self._within(one, whole)
                sides = None if warm is None else self._from_figures(warm, change, places)
                self._sides.append(self._afresh(change.applied_to(whole)) if sides is None else sides)
            else:
                self._sides.append(self._afresh(with_candidates(self._own(one), candidates, self.most.tolist())))
            if number % TOLD == 0:
                self._tell(f"loading, {number:,} of {len(scenarios):,} scenarios")

    def __len__(self) -> int:
        return len(self._sides)

    @property
    def shapes(self) -> int:
        """How many programs are loaded."""
        return len(self._shapes)

    def named(self, names: Sequence[str]) -> Self:
        """These, the scenarios being told by ``names`` from now on."""
        self.names = list(names)
        return self

    def _own(self, book: Book) -> Book:
        """``book`` without what the buffer replaces, and calls beyond the horizon."""
        missing = [name for name in self._instead_of if not (book.holdings["holding_id"] == name).any()]
        if missing:
            guess = hint(missing[0], book.holdings["holding_id"]) or "Correct the identifier, or leave it out."
            raise UsageError(
                f"of_own: holding {missing[0]!r} is not in the book: the buffer cannot take its place. {guess}".rstrip()
            )
        frames: dict[str, Any] = {}
        if self._instead_of:
            gone = book.holdings["holding_id"].isin(list(self._instead_of))
            frames["holdings"] = book.holdings.assign(quantity=book.holdings["quantity"].mask(gone, 0.0))
        if self._horizon is not None:
            late = book.calls["due"] > pd.Timestamp(book.settings.as_of) + self._horizon
            if late.all() and len(late):
                raise UsageError("no call is due within the horizon: make it longer.")
            if late.any():
                frames["calls"] = book.calls[~late].reset_index(drop=True)
                gone = book.pins["call_id"].isin(book.calls["call_id"][late])
                frames["pins"] = book.pins[~gone].reset_index(drop=True)
        return book.replace(**frames) if frames else book

    def _within(self, change: Change, book: Book) -> Change:
        if self._horizon is None:
            return change
        kept = set(book.calls["call_id"])
        return replace(change, calls={name: amount for name, amount in change.calls.items() if name in kept})

    def _afresh(self, book: Book) -> _Sides:
        """What the whole road makes of a scenario."""
        facts = gather(book.in_full, self._facts)
        self._facts = facts
        roads = Problem(facts).network().roads()
        self.narrowed += len(roads) > 1
        network = roads[-1]
        program = self._program(network, book)
        shape = self._shape(program)
        scaling = self._shapes[shape].scaling
        count = program.n_columns - len(self.candidates)
        return _Sides(
            shape=shape,
            row_lower=np.asarray(program.rows.lower, np.float64) / scaling.row,
            row_upper=np.asarray(program.rows.upper, np.float64) / scaling.row,
            lower=program.lower[:count] / scaling.column[:count],
            upper=program.upper[:count] / scaling.column[:count],
            ratio=_values(book, self._assets) / self._value,
        )

    def _from_figures(self, warm: _Figured, change: Change, places: Places) -> _Sides | None:
        """What mere figures make of a scenario; None where it is more than that."""
        upper = warm.row_upper(places.of(change))
        if upper is None:
            return None
        program = warm.program
        shape = self._shape(program)
        scaling = self._shapes[shape].scaling
        count = program.n_columns - len(self.candidates)
        moved = [change.prices.get(asset) for asset in self._assets]
        today = [self._price[asset] for asset in self._assets]
        return _Sides(
            shape=shape,
            row_lower=np.where(np.isfinite(np.asarray(program.rows.lower, np.float64)), upper, -np.inf) / scaling.row,
            row_upper=upper / scaling.row,
            lower=program.lower[:count] / scaling.column[:count],
            upper=program.upper[:count] / scaling.column[:count],
            ratio=np.array([1.0 if new is None else new / old for new, old in zip(moved, today, strict=True)]),
        )

    def _program(self, network: Network, book: Book) -> Program:
        uses, sources = network.uses, network.sources
        must = np.arange(uses.asking) < (uses.asking if self._keep_reserves else uses.demands)
        names, lines = [c.row for c in self.candidates], [c.is_line for c in self.candidates]
        program = with_buffer(formulate(network), names, lines, must, self.unit)
        sales = set(book.facilities["facility_id"][book.facilities["kind"] == "sale"])
        sold = np.array([name in sales for name in sources.ids], dtype=bool) & sources.is_facility
        barred = (program.source >= 0) & np.append(sold, False)[program.source]
        return replace(program, upper=np.where(barred, program.lower, program.upper))

    def _shape(self, program: Program) -> int:
        """Where a program with the same entries is loaded, after loading it where there is none."""
        if id(program) in self._at:
            return self._at[id(program)]
        rows = program.rows
        for at, shape in enumerate(self._shapes):
            known = shape.program.rows
            if (
                program.n_columns == shape.program.n_columns
                and len(rows) == len(known)
                and np.array_equal(rows.row, known.row)
                and np.array_equal(rows.column, known.column)
                and np.array_equal(rows.coefficient, known.coefficient)
            ):
                return at
        scaled, scaling = scale(program)
        # The program is kept with its shape, so that its id stays its own.
        self._shapes.append(_Shape(program, scaled, scaling))
        self._at[id(program)] = len(self._shapes) - 1
        return len(self._shapes) - 1

    def least(self, scenario: int, price: Floats) -> tuple[float, Floats] | None:
        """``h_s(price)`` and a buffer that attains it [candidates]; None where no buffer is enough.

        ``price`` [candidates] is not negative, and above 0 somewhere.
        """
        found = self._solve(scenario, price, np.zeros(len(price)), self.most)
        return None if found is None else (float(price @ found[0]), found[0])

    def all_least(self, price: Floats, scenarios: Sequence[int]) -> Floats:
        """``h_s(price)`` of ``scenarios``, the others' being infinite [scenarios]."""
        need = np.full(len(self), np.inf)
        for s, found in zip(scenarios, self.each(scenarios, lambda s: self.least(s, price)), strict=True):
            if found is not None:
                need[s] = found[0]
        return need

    def each(self, scenarios: Sequence[int], ask: Callable[[int], T]) -> list[T]:
        """``ask`` of each of ``scenarios``, in their order; of different parts at the same time."""
        by_part: dict[int, list[int]] = {}
        for at, s in enumerate(scenarios):
            by_part.setdefault(self._part(s), []).append(at)
        workers = min(cores(), len(by_part))
        if workers < 2:
            return [ask(s) for s in scenarios]
        found: dict[int, T] = {}

        def of_part(places: Sequence[int]) -> None:
            for at in places:
                found[at] = ask(scenarios[at])

        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(of_part, places) for places in by_part.values()]:
                done.result()
        return [found[at] for at in range(len(scenarios))]

    def _part(self, scenario: int) -> int:
        return scenario * self._parts // len(self)

    def lack(self, scenario: int, buffer: Floats, weight: Floats | None = None) -> tuple[float, Floats, Floats] | None:
        """The least value (by ``weight`` [candidates], 1 each) to add to ``buffer``; with prices and the buffer then.

        At the prices ``a`` the buffer is worth ``a . buffer = h_s(a) - lack``, where weights are above 0: a cut that it
        breaks. None where no addition is enough.
        """
        weight = np.ones(len(buffer)) if weight is None else weight
        start = np.minimum(buffer, self.most)
        found = self._solve(scenario, weight, start, np.where(weight > 0, self.most, np.inf))
        if found is None:
            return None
        value, reduced = found
        return float(weight @ (value - start)), np.clip(weight - np.maximum(reduced, 0.0), 0.0, None), value

    def short(self, buffer: Floats, scenarios: Sequence[int]) -> Bools:
        """By scenario, whether it is one of ``scenarios`` and ``buffer`` does not survive it."""
        out = np.zeros(len(self), dtype=np.bool_)
        for s, lack in zip(scenarios, self.each(scenarios, lambda s: self.lack(s, buffer)), strict=True):
            out[s] = lack is None or lack[0] > MET * self.size[s]
        return out

    def cash_lack(self, scenario: int, buffer: Floats, cash: int) -> tuple[float, Floats] | None:
        """Value of candidate ``cash`` that ``buffer`` lacks (below 0: has to spare), and by how much each lowers that.

        None where no amount of it is enough.
        """
        price, low, high = np.zeros(len(buffer)), np.zeros(len(buffer)), np.minimum(buffer, self.most)
        price[cash], low[:], high[cash] = 1.0, high, np.inf
        low[cash] = 0.0
        found = self._solve(scenario, price, low, high)
        if found is None:
            return None
        value, reduced = found
        worth = -np.where(np.arange(len(buffer)) == cash, -1.0, np.minimum(reduced, 0.0))
        return float(value[cash] - buffer[cash]), worth

    def _solve(self, scenario: int, price: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats] | None:
        """The buffer of least ``price`` between bounds, and its reduced costs; None: there is none."""
        sides = self._sides[scenario]
        shape, key = self._shapes[sides.shape], (sides.shape, self._part(scenario))
        if key not in self._loaded:
            # Without presolve, of which one (1.15.1) takes small feasible programs of this kind for infeasible.
            self._loaded[key] = _Loaded(HighsSolver().load_growing(shape.scaled))
        loaded = self._loaded[key]
        session = loaded.session
        if loaded.scenario != scenario:
            session.change_row_bounds(sides.row_lower, sides.row_upper)
            loaded.scenario = scenario
        in_unit = sides.ratio / self.unit
        count, largest = len(sides.lower), float(np.max(np.abs(price)))
        session.change_column_bounds(
            np.concatenate([sides.lower, low * in_unit]), np.concatenate([sides.upper, high * in_unit])
        )
        cost = np.zeros(shape.program.n_columns)
        cost[count:] = price / sides.ratio / largest
        session.change_costs(cost)
        solution = session.solve()
        if solution.status is Status.INFEASIBLE:
            return None
        if solution.status is not Status.OPTIMAL:
            raise SolverError(f"scenario {self.names[scenario]!r} has no answer: {solution.message}")
        return solution.x[count:] / in_unit, solution.reduced_cost[count:] * sides.ratio * largest


class _Figured:
    """The program of a book whose scenarios are mere figures, and the right sides that they make of it."""

    def __init__(self, figures: Figures, program: Program) -> None:
        model, sections = figures.model, program.sections
        upper = program.upper.copy()
        # Nothing is pinned here, and what covers a call is bounded by the call, which moves.
        edges = slice(0, model.edges)
        upper[edges] = np.where(upper[edges] > program.lower[edges], np.inf, upper[edges])
        self._figures = figures
        self._first = sections[0] + sections[1]
        self._supply = figures.program.rows.about[self._first : self._first + sections[2]]
        first = figures.program.n_columns
        self._own = np.unique(program.rows.row[program.rows.column >= first])
        self.program = replace(program, upper=upper)

    def row_upper(self, placed: PlacedChange) -> Floats | None:
        """By row; None where the scenario is more than figures."""
        numbers = self._figures.after(placed)
        if numbers is None:
            return None
        upper = np.concatenate(
            [numbers.upper[: self._first], numbers.available[self._supply], numbers.upper[self._first :]]
        )
        upper[self._own] = 0.0
        return upper


def _values(book: Book, assets: Sequence[str]) -> Floats:
    """Value of a unit of each asset in base currency."""
    return np.asarray(book.unit_values[_rows_of(book, assets)], dtype=np.float64)


def _rows_of(book: Book, assets: Sequence[str]) -> Ints:
    place = {asset: at for at, asset in enumerate(book.assets["asset_id"])}
    return np.array([place[asset] for asset in assets], dtype=np.int64)


def _called(book: Book, change: Change | None) -> float:
    """What the calls of a scenario come to, in base currency."""
    amounts = dict(zip(book.calls["call_id"], book.calls["amount"].tolist(), strict=True))
    if change is not None:
        amounts |= {name: float(amount) for name, amount in change.calls.items() if name in amounts}
    currencies = dict(zip(book.calls["call_id"], book.calls["currency"], strict=True))
    return float(sum(amount * book.rates[currencies[name]] for name, amount in amounts.items()))
