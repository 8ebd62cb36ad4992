"""The matrix of a program as column generation reads it, and what its rows imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collateral_opt.model.program import Floats, Ints, Program
from collateral_opt.network.runs import place_in_run, ranges
from collateral_opt.solve.highs import finite

Bools = NDArray[np.bool_]

GOLDEN = 0.6180339887498949
"""Multiples of this, modulo 1, are spread evenly."""


@dataclass(frozen=True)
class Entries:
    """The matrix column by column, each place once: triplets in that order, and where each column starts."""

    row: Ints
    column: Ints
    coefficient: Floats
    start: Ints
    rows: int

    @classmethod
    def of(cls, program: Program) -> Entries:
        m = program.n_rows
        coefficient = finite(program.rows.coefficient, len(program.rows.row), "coefficients")
        order = np.argsort(program.rows.column, kind="stable")
        row, column, coefficient = program.rows.row[order], program.rows.column[order], coefficient[order]
        if ((column[1:] == column[:-1]) & (row[1:] <= row[:-1])).any():
            place, position = np.unique(column * m + row, return_inverse=True)
            coefficient = np.bincount(position, weights=coefficient, minlength=len(place)).astype(np.float64)
            column, row = np.divmod(place, m)
        return cls(row, column, coefficient, np.searchsorted(column, np.arange(program.n_columns + 1)), m)

    def priced(self, dual: Floats) -> Floats:
        """``A^T dual`` [columns]."""
        paid = np.bincount(self.column, weights=dual[self.row] * self.coefficient, minlength=len(self.start) - 1)
        return paid.astype(np.float64)

    def among(self, column: Ints, row: Ints) -> tuple[Ints, Ints, Floats]:
        """Row, column and coefficient of the entries in these columns and rows, which are numbered anew."""
        first, last = self.start[column], self.start[column + 1]
        at = ranges(first, last)
        number = np.full(self.rows, -1)
        number[row] = np.arange(len(row))
        new = number[self.row[at]]
        kept = new >= 0
        return new[kept], np.repeat(np.arange(len(column)), last - first)[kept], self.coefficient[at][kept]


@dataclass(frozen=True)
class Supply:
    """Of each source at most one row ``sum a_k x_k <= A`` that only its columns are in, with ``a_k > 0``.

    ``row`` [columns], -1 where there is none; ``share`` [columns]: ``a_k``, or 1; ``column``: those that have one;
    ``is_row`` [rows].
    """

    row: Ints
    share: Floats
    column: Ints
    is_row: Bools

    @classmethod
    def of(cls, program: Program, entries: Entries) -> Supply:
        m, n = program.n_rows, program.n_columns
        source = program.source[entries.column]
        of_row = np.full(m, -1)
        of_row[entries.row] = source
        strange = (source != of_row[entries.row]) | (entries.coefficient <= 0)
        count = np.bincount(entries.row, minlength=m)
        strangers = np.bincount(entries.row, weights=strange, minlength=m)
        could_be = np.flatnonzero((of_row >= 0) & (strangers == 0))
        largest = could_be[np.lexsort((could_be, -count[could_be], of_row[could_be]))]
        is_row = np.zeros(m, dtype=np.bool_)
        is_row[largest[place_in_run(of_row[largest]) == 0]] = True
        at = np.flatnonzero(is_row[entries.row])
        row, share = np.full(n, -1), np.ones(n)
        row[entries.column[at]], share[entries.column[at]] = entries.row[at], entries.coefficient[at]
        return cls(row, share, np.flatnonzero(row >= 0), is_row)

    def least(self, figures: Floats) -> Floats:
        """The least of ``figures`` [columns] in each supply row [rows], or 0 if none is below."""
        least = np.zeros(len(self.is_row))
        negative = self.column[figures[self.column] < 0]
        np.minimum.at(least, self.row[negative], figures[negative])
        return least

    def sample(self, cost: Floats, use: Ints, every: int) -> Ints:
        """Supply rows of every so-manieth source, in the order of what they can serve and at which cost."""
        m = len(self.is_row)
        pattern = np.bincount(self.row[self.column], weights=np.modf((use[self.column] + 1) * GOLDEN)[0], minlength=m)
        cheapest = np.full(m, np.inf)
        np.minimum.at(cheapest, self.row[self.column], cost[self.column])
        rows = np.flatnonzero(self.is_row)
        return rows[np.lexsort((rows, cheapest[rows], pattern[rows]))][every // 2 :: every]


def cannot_bind(
    entries: Entries,
    supply: Supply,
    sourced: Bools,
    lower: Floats,
    upper: Floats,
    row_lower: Floats,
    row_upper: Floats,
) -> Bools:
    """The rows, bounded above alone, that stay below that bound whatever their columns do; no supply rows.

    Rows with columns of no source stay: they are few, and it is their bounds that change. The columns of one supply row
    can bring a row no further than they can together, nor than if the best of them had all there is.
    """
    m = len(row_upper)
    unfit = np.bincount(entries.row, weights=((lower < 0) | ~sourced)[entries.column], minlength=m) > 0
    could = ~unfit & np.isneginf(row_lower) & ~supply.is_row
    most = np.maximum(entries.coefficient, 0.0)
    most[most > 0] *= upper[entries.column[most > 0]]
    out = could & (np.bincount(entries.row, weights=most, minlength=m) <= row_upper)
    at = np.flatnonzero((could & ~out)[entries.row] & (most > 0))
    if len(at):
        row, column = entries.row[at], entries.column[at]
        # Those of no supply row may all be together in one: what they can do together is what counts.
        by = np.where(supply.row[column] >= 0, supply.row[column], m)
        order = np.lexsort((by, row))
        row, column, by, at = row[order], column[order], by[order], at[order]
        first = np.flatnonzero(place_in_run(row * (m + 1) + by) == 0)
        stock = np.where(by < m, np.pad(row_upper, (0, 1), constant_values=np.inf)[by] / supply.share[column], np.inf)
        alone = entries.coefficient[at] * stock
        reach = np.minimum(np.add.reduceat(most[at], first), np.maximum.reduceat(alone, first))
        out |= could & (np.bincount(row[first], weights=reach, minlength=m) <= row_upper)
    return np.asarray(out)


def before_in_run(run: Ints, amount: Floats) -> Floats:
    """The sum of the amounts before each in the run of equal values that it is in."""
    before = np.cumsum(amount) - amount
    return np.asarray(before - before[np.arange(len(run)) - place_in_run(run)], dtype=np.float64)
