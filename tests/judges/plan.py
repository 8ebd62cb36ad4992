"""What the judges solve: a book as pairs of a source and a place, rows over them, and what lies at agreements.

Everything is exact, and by position: calls, holdings, assets and facilities as their tables list them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import groupby
from typing import Any

import pandas as pd

Cell = Any
Record = Mapping[str, Cell]


@dataclass(frozen=True)
class Pair:
    """A source that may go to a place; positions, -1 for what it is not.

    The source is a holding, what row ``posted`` of ``Plan.lying`` brings back into a holding, or the proceeds of the
    facility ``producer``; the place a call, an agreement's ``need``, a facility, or (in ``Plan.counts`` only) the
    reserve that may count it.
    """

    call: int
    holding: int
    asset: int
    factor: Fraction
    unit_value: Fraction
    cost_bps: Fraction
    facility: int = -1
    producer: int = -1
    reserve: int = -1
    need: int = -1
    posted: int = -1
    when: datetime | None = None
    """Into a need: when it has settled. Out of a recall: when that must have started. None: at no particular time."""

    @property
    def value(self) -> Fraction:
        """Collateral value of one unit."""
        return self.factor * self.unit_value


@dataclass(frozen=True)
class LimitRow:
    """sum of weight * quantity over pairs, and of weight * quantity recalled over rows of ``lying``, <= room."""

    name: str
    weights: Mapping[int, Fraction]
    room: Fraction
    recalled: Mapping[int, Fraction] = field(default_factory=dict)
    share: bool = False
    """Of what is posted: the rest may be worth delivering for the room that it makes."""


@dataclass(frozen=True)
class Facility:
    """What it may produce and what that costs, both in base currency."""

    facility_id: str
    takes: bool
    """Whether it needs inputs: it produces no more than their collateral value."""
    capacity: Fraction
    cost: Fraction
    """Of one unit of base currency produced, over the horizon and once."""


@dataclass(frozen=True)
class Lying:
    """A row of what is posted; ``factor`` is 0 where it counts nothing, ``holding`` -1 where none is named."""

    need: int
    asset: int
    holding: int
    quantity: Fraction
    factor: Fraction
    unit_value: Fraction
    cost_bps: Fraction
    """A year, of what is kept, less what cash earns there."""
    locked: bool
    move_cost: Fraction

    @property
    def value(self) -> Fraction:
        """Collateral value of one unit where it lies."""
        return self.factor * self.unit_value


@dataclass(frozen=True)
class Need:
    """What an agreement requires beside its calls; in base currency.

    ``required`` counts an excess that is too small to be called back, ``posted`` is the value of all that lies there,
    ``requirement`` what its limits call so.
    """

    agreement_id: str
    required: Fraction
    posted: Fraction
    requirement: Fraction
    smallest: Fraction
    """Least market value of a line, in base currency."""

    @property
    def most(self) -> Fraction:
        """No replacement goes beyond this by a lot."""
        return max(self.required, self.posted)

    @property
    def spare(self) -> Fraction:
        """What may be recalled without a replacement."""
        return self.most - self.required


@dataclass(frozen=True)
class Pin:
    """A line that must be: of exactly ``quantity``, or (None) of at least the least line."""

    call: int
    holding: int
    quantity: Fraction | None


@dataclass(frozen=True)
class Plan:
    """The whole program in quantities, exact."""

    required: tuple[Fraction, ...]
    priority: tuple[float | None, ...]
    supply: tuple[Fraction, ...]
    lots: tuple[Fraction, ...]
    """By asset, as are ``least``."""
    least: tuple[Fraction, ...]
    pairs: tuple[Pair, ...]
    rows: tuple[LimitRow, ...]
    year_share: Fraction
    """horizon_days / day_count."""
    call_ids: tuple[str, ...]
    holding_ids: tuple[str, ...]
    facilities: tuple[Facility, ...] = ()
    reserve_ids: tuple[str, ...] = ()
    reserved: tuple[Fraction, ...] = ()
    """By reserve: what it asks, in base currency."""
    counts: tuple[Pair, ...] = ()
    """Holdings that a reserve may count."""
    count_rows: tuple[LimitRow, ...] = ()
    """Over ``counts``."""
    asset_ids: tuple[str, ...] = ()
    smallest: tuple[Fraction, ...] = ()
    """By call: least market value of a line, in base currency."""
    max_lines: tuple[int | None, ...] = ()
    """By call: most distinct assets."""
    max_moves: int | None = None
    move_costs: tuple[Fraction, ...] = ()
    """By holding: of one line out of it."""
    pins: tuple[Pin, ...] = ()
    """What must be; what must not be is no pair."""
    lying: tuple[Lying, ...] = ()
    needs: tuple[Need, ...] = ()
    cured: Plan | None = None
    """The same book where groups that are over their caps now must hold after the run; None: no such group.

    Either such a group takes nothing (this plan), or it is cured: enough of the rest comes beside it, or enough of it
    is recalled. All that can be cured at all are cured together.
    """

    @property
    def roads(self) -> tuple[Plan, ...]:
        """The plans of which the better answer counts."""
        return (self,) if self.cured is None else (self, self.cured)

    @property
    def shares(self) -> bool:
        """Whether a share of what is posted is capped: it may force an excess that the lot judge does not allow."""
        return any(row.share for road in self.roads for row in road.rows)

    @property
    def levels(self) -> list[tuple[float | None, list[int], list[int]]]:
        """Calls, and needs, by priority, first served first; last come calls without one, and with them all needs."""
        order = sorted(range(len(self.required)), key=lambda j: (self.priority[j] is None, self.priority[j] or 0))
        levels: list[tuple[float | None, list[int], list[int]]] = [
            (level, list(calls), []) for level, calls in groupby(order, key=lambda j: self.priority[j])
        ]
        if self.needs:
            rest = levels.pop()[1] if levels and levels[-1][0] is None else []
            levels.append((None, rest, list(range(len(self.needs)))))
        return levels

    def line_cost(self, pair: Pair) -> Fraction:
        """Cost of one unit over the horizon; of proceeds, with what producing them costs."""
        produced = self.facilities[pair.producer].cost if pair.producer >= 0 else Fraction(0)
        return pair.unit_value * (pair.cost_bps / 10**4 * self.year_share + produced)

    def keep_cost(self, row: Lying) -> Fraction:
        """Cost of one unit kept over the horizon."""
        return row.unit_value * row.cost_bps / 10**4 * self.year_share

    def least_lots(self, pair: Pair) -> int:
        """The least line, in lots."""
        smallest = self.needs[pair.need].smallest if pair.need >= 0 else self.smallest[pair.call]
        return max(1, math.ceil(max(self.least[pair.asset], smallest / pair.unit_value) / self.lots[pair.asset]))

    def line(self, pin: Pin) -> list[int]:
        """The pairs that feed a pinned line; none where it cannot be."""
        return [e for e, p in enumerate(self.pairs) if (p.call, p.holding) == (pin.call, pin.holding)]

    def pinned(self, pin: Pin, pair: Pair) -> Fraction:
        """The quantity that a pin forces into the line of ``pair``."""
        return self.least_lots(pair) * self.lots[pair.asset] if pin.quantity is None else pin.quantity

    def forced(self, call: int) -> Fraction:
        """Collateral value that pins force into a call."""
        lines = [(pin, self.pairs[e]) for pin in self.pins if pin.call == call for e in self.line(pin)[:1]]
        return sum((self.pinned(pin, pair) * pair.value for pin, pair in lines), Fraction(0))


def exact(number: float) -> Fraction:
    return Fraction(repr(float(number)))


def records(table: pd.DataFrame | None) -> list[Record]:
    """Rows as dictionaries; an empty cell is None."""
    if table is None:
        return []
    return [{k: None if empty(v) else v for k, v in row.items()} for row in table.to_dict("records")]


def empty(value: Cell) -> bool:
    return value is None or value == "" or value is pd.NaT or (isinstance(value, float) and value != value)


def number(record: Record, name: str, default: float) -> Fraction:
    value = record.get(name)
    return exact(default if value is None else float(value))
