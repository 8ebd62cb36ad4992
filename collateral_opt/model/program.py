"""A linear program as plain arrays: columns, named rows, one convention of signs; it knows no solver.

Always a minimisation. A row's dual is the change of the optimum for one more unit of its right side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NOTHING = np.zeros(0, dtype=np.int64)
Label = tuple[str, ...]


class Labels(Sequence[Label]):
    """So many labels, made when one is first asked for: a large program is mostly solved without any."""

    def __init__(self, count: int, make: Callable[[], Sequence[Label]]) -> None:
        self._count = count
        self._make = make

    @cached_property
    def _all(self) -> Sequence[Label]:
        return self._make()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Label: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Label]: ...
    def __getitem__(self, at: int | slice) -> Label | Sequence[Label]:
        return self._all[at]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Rows:
    """Rows of one kind: ``lower <= sum(coefficient * column) <= upper``, entries as triplets.

    ``labels`` are tuples of identifiers, such as ``("supply", "H0001")``. In a program the values are floats;
    a constraint evaluated exactly gives object arrays of :class:`fractions.Fraction` in the same places.
    """

    labels: Sequence[Label]
    row: Ints
    column: Ints
    coefficient: NDArray[np.generic]
    lower: NDArray[np.generic]
    upper: NDArray[np.generic]
    about: Ints = field(default_factory=lambda: _NOTHING)
    """By position what each row is about, where that is a source, an edge or a group."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Presence:
    """How far each line that costs or counts is there, from 0 to 1: ``z_g = sum_c a_gc x_c``, entries as triplets.

    In a linear program a line is there as far as it is full, ``z_g = sum_e x_e / u_g``: with no charge below zero that
    is what the optimum makes of ``u_g z_g >= sum_e x_e``, so switches need neither columns nor rows. In an integer
    program ``z_g`` is a column of its own. ``most`` [lines] is ``u_g``, the most that its edges carry together.
    """

    line: Ints
    column: Ints
    coefficient: Floats
    most: Floats

    def cost(self, price: Floats, columns: int) -> Floats:
        """By column, of so many, what a ``price`` [lines] for being there comes to."""
        paid = np.bincount(self.column, weights=price[self.line] * self.coefficient, minlength=columns)
        return paid.astype(np.float64)


NO_LINES = Presence(_NOTHING, _NOTHING, np.zeros(0), np.zeros(0))


def stack(blocks: Sequence[Rows]) -> Rows:
    """Put blocks of rows below one another."""
    offsets = np.cumsum([0, *(len(block) for block in blocks)])
    return Rows(
        labels=Labels(int(offsets[-1]), lambda: [label for block in blocks for label in block.labels]),
        row=np.concatenate([block.row + offset for block, offset in zip(blocks, offsets[:-1], strict=True)]),
        column=np.concatenate([block.column for block in blocks]),
        coefficient=np.concatenate([block.coefficient for block in blocks]),
        lower=np.concatenate([block.lower for block in blocks]),
        upper=np.concatenate([block.upper for block in blocks]),
        about=np.concatenate([block.about if len(block.about) else np.full(len(block), -1) for block in blocks]),
    )


@dataclass(frozen=True)
class Program:
    """Minimise ``cost @ x`` over ``rows`` and ``lower <= x <= upper``.

    ``unit`` is the size in which each column is thought of (above 0); ``integer`` marks the columns that are whole
    multiples of theirs. ``presence`` says how far lines that cost or count are there. ``opens`` are columns, and which
    of the switches at the end opens each.
    ``column_labels`` are tuples of identifiers as in :class:`Rows`. ``source`` and ``use`` [columns] are what each
    column takes from and serves, -1 for none: column generation weighs those of one source, or one use, together.
    """

    column_labels: Sequence[Label]
    lower: Floats
    upper: Floats
    cost: Floats
    rows: Rows
    unit: Floats
    integer: NDArray[np.bool_] | None = None
    presence: Presence = NO_LINES
    opens: tuple[Ints, Ints] = (_NOTHING, _NOTHING)
    source: Ints = field(default_factory=lambda: _NOTHING)
    use: Ints = field(default_factory=lambda: _NOTHING)
    sections: tuple[int, ...] = ()
    """How many rows each constraint has, in their order."""

    @property
    def n_columns(self) -> int:
        return len(self.lower)

    @property
    def n_rows(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Scaling:
    """How a program's columns, rows and objective were divided to bring its figures near one."""

    column: Floats
    row: Floats
    objective: float


def scale(program: Program) -> tuple[Program, Scaling]:
    """The same program in figures near one, so that a solver's absolute tolerances are relative to each call.

    A column is divided by its unit (so an integer column counts lots), a row by its largest coefficient after
    that, the objective by its largest cost over 100. The scaled program's units are 1.
    """
    column = program.unit
    entries = np.asarray(program.rows.coefficient, dtype=np.float64) * column[program.rows.column]
    largest = np.zeros(program.n_rows)
    np.maximum.at(largest, program.rows.row, np.abs(entries))
    row = np.where(largest > 0, largest, 1.0)
    cost = program.cost * column
    objective = float(np.max(np.abs(cost), initial=0.0)) / 100.0 or 1.0
    scaled = Program(
        column_labels=program.column_labels,
        lower=program.lower / column,
        upper=program.upper / column,
        cost=cost / objective,
        rows=Rows(
            labels=program.rows.labels,
            row=program.rows.row,
            column=program.rows.column,
            coefficient=entries / row[program.rows.row],
            lower=np.asarray(program.rows.lower, dtype=np.float64) / row,
            upper=np.asarray(program.rows.upper, dtype=np.float64) / row,
        ),
        unit=np.ones(program.n_columns),
        integer=program.integer,
        source=program.source,
        use=program.use,
    )
    return scaled, Scaling(column=column, row=row, objective=objective)


def dual_bound(program: Program, duals: Floats) -> float:
    """A lower bound on the program's optimum that holds for *any* duals (weak duality).

    Duals of the wrong sign for their row are taken as zero; every column pays its reduced cost at the bound
    that is worse for us. The bound is -inf if a column without a finite bound has a reduced cost of that sign.
    """
    rows = program.rows
    lower = np.asarray(rows.lower, dtype=np.float64)
    upper = np.asarray(rows.upper, dtype=np.float64)
    usable = np.where(duals > 0, np.isfinite(lower), np.isfinite(upper))
    pi = np.where(usable, duals, 0.0)
    side = np.where(pi > 0, lower, upper)
    side = np.where(pi == 0, 0.0, side)
    reduced = program.cost - np.bincount(
        rows.column,
        weights=pi[rows.row] * np.asarray(rows.coefficient, dtype=np.float64),
        minlength=program.n_columns,
    )
    worst = np.where(reduced > 0, program.lower, program.upper)
    with np.errstate(invalid="ignore"):
        paid = np.where(reduced == 0, 0.0, reduced * worst)
    return float(np.sum(pi * side) + np.sum(paid))
