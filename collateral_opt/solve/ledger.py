"""An exact account of what is delivered, in whole lots: what each line may still take, and what each call still lacks.

The rows are those of :mod:`collateral_opt.model.constraints`, read in exact arithmetic and scaled to integers, so
that cover holds to the last fraction of a cent and no holding or limit is exceeded by one.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, lcm

import numpy as np

from collateral_opt.model.constraints import cover, limits, supply
from collateral_opt.model.program import Floats, Rows
from collateral_opt.network.exact import EXACT, exact
from collateral_opt.network.network import Ints, Network, View


class Ledger:
    """Lots on some edges of a network. ``lots[k]`` are those on ``edge[k]``.

    :meth:`addable` and :meth:`removable` say what keeps every row; :meth:`add` does as it is told.
    """

    def __init__(self, network: Network, edge: Ints) -> None:
        self.network = network
        self.edge = edge
        view = View(network, edge, EXACT)
        asset = network.edge_asset[edge]
        lot = EXACT.array(network.assets.lot[asset])
        self.lot_value: list[Fraction] = list(view.unit_value * lot)
        self.use: list[int] = view.use.tolist()
        self.cost_bps = network.edges.cost_bps[edge]
        self.lots = [0] * len(edge)
        self.least: list[int] = [
            max(1, ceil(exact(q) / size), ceil(network.uses.min_line[j] / value))
            for q, size, value, j in zip(network.assets.min_quantity[asset], lot, self.lot_value, self.use, strict=True)
        ]
        self.slack: list[int] = []
        self._rows_of: list[list[tuple[int, int]]] = [[] for _ in edge]
        for rows in (supply(view), *limits(view)):
            self._add(rows)
        self._scale_cover(cover(view))
        self.lines_of: list[list[int]] = [[] for _ in network.uses.ids]
        for k, j in enumerate(self.use):
            self.lines_of[j].append(k)

    def _add(self, rows: Rows) -> None:
        """Take over ``sum a_k lots_k <= upper`` as integers."""
        entries: list[list[tuple[int, Fraction]]] = [[] for _ in rows.labels]
        triplets = zip(rows.row.tolist(), rows.column.tolist(), rows.coefficient.tolist(), strict=True)
        for row, column, coefficient in triplets:
            entries[row].append((column, coefficient * self.lot_value[column]))
        for terms, upper in zip(entries, rows.upper.tolist(), strict=True):
            common = lcm(upper.denominator, *(a.denominator for _, a in terms))
            for column, a in terms:
                self._rows_of[column].append((len(self.slack), a.numerator * (common // a.denominator)))
            self.slack.append(upper.numerator * (common // upper.denominator))

    def _scale_cover(self, rows: Rows) -> None:
        """``value[k]`` of a lot and ``missing[j]`` of a call share one integer unit per call."""
        factors = rows.coefficient[: len(self.edge)].tolist()
        values = [f * v for f, v in zip(factors, self.lot_value, strict=True)]
        self.unit = [required.denominator for required in self.network.uses.required]
        for value, j in zip(values, self.use, strict=True):
            self.unit[j] = lcm(self.unit[j], value.denominator)
        self.value = [v.numerator * (self.unit[j] // v.denominator) for v, j in zip(values, self.use, strict=True)]
        self.missing = [
            r.numerator * (u // r.denominator) for r, u in zip(self.network.uses.required, self.unit, strict=True)
        ]

    def room(self, k: int) -> int:
        """How many more lots edge ``k`` may take."""
        # Every edge stands in its holding's supply row, so there is always one to ask.
        room: int = min(self.slack[r] // a for r, a in self._rows_of[k] if a > 0)
        return int(max(0, room))

    def addable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may be added, a new line starting at its least quantity."""
        least = self.least[k] - self.lots[k]
        room = self.room(k)
        wanted = max(wanted, least)
        return min(wanted, room) if room >= least else 0

    def removable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may go: what is left is nothing, or at least the least quantity."""
        free = min((self.slack[r] // -a for r, a in self._rows_of[k] if a < 0), default=self.lots[k])
        most = min(wanted, self.lots[k], max(0, free))
        if self.lots[k] - most >= self.least[k] or most == self.lots[k]:
            return most
        return max(0, self.lots[k] - self.least[k])

    def broken_rows(self) -> list[int]:
        """Rows that do not hold: only after lots were put there without asking for room."""
        return [row for row, slack in enumerate(self.slack) if slack < 0]

    def lines_in(self, row: int) -> list[tuple[int, int]]:
        """The edges that carry lots and use up ``row``, each with what one of its lots takes."""
        return [(k, a) for k, rows in enumerate(self._rows_of) if self.lots[k] for r, a in rows if r == row and a > 0]

    def add(self, k: int, count: int) -> None:
        """Put ``count`` more lots on edge ``k`` (fewer, where negative)."""
        self.lots[k] += count
        self.missing[self.use[k]] -= count * self.value[k]
        for row, a in self._rows_of[k]:
            self.slack[row] -= count * a

    def shortfall(self, j: int) -> Fraction:
        """What call ``j`` lacks, in base currency."""
        return Fraction(max(0, self.missing[j]), self.unit[j])

    def shortfalls(self) -> list[Fraction]:
        """What each call lacks, in base currency."""
        return [self.shortfall(j) for j in range(len(self.missing))]

    def shortfalls_by_rank(self) -> tuple[Fraction, ...]:
        """Total shortfall of each priority rank."""
        totals = [Fraction(0)] * self.network.uses.ranks
        for j, rank in enumerate(self.network.uses.priority.tolist()):
            totals[rank] += self.shortfall(j)
        return tuple(totals)

    def cost(self) -> Fraction:
        """Yearly basis points times base currency of everything on the ledger, exact."""
        lines = zip(self.lots, self.lot_value, self.cost_bps.tolist(), strict=True)
        return sum((n * v * exact(c) for n, v, c in lines if n), Fraction(0))

    def market_values(self) -> Floats:
        """Market value on each edge, for a solver."""
        return np.array([float(n * v) for n, v in zip(self.lots, self.lot_value, strict=True)])

    def snapshot(self) -> tuple[int, ...]:
        """The lots as they stand."""
        return tuple(self.lots)

    def restore(self, lots: tuple[int, ...]) -> None:
        """Back to a snapshot."""
        for k, (now, then) in enumerate(zip(self.lots, lots, strict=True)):
            if now != then:
                self.add(k, then - now)
