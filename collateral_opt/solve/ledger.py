"""An exact account of what is delivered, in whole lots: what each line may still take, and what each call still lacks.

The rows are those of :mod:`collateral_opt.model.constraints`, read in exact arithmetic and scaled to integers, so
that cover holds to the last fraction of a cent and no holding or limit is exceeded by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, lcm

import numpy as np

from collateral_opt.model.constraints import limits, supply
from collateral_opt.model.program import Floats, Rows
from collateral_opt.network.exact import EXACT, exact
from collateral_opt.network.network import Ints, Network, View


class Ledger:
    """Lots on some edges of a network. ``lots[k]`` are those on ``edge[k]``.

    :meth:`addable` and :meth:`removable` say what keeps every row; :meth:`add` does as it is told. ``missing[j]`` is
    what use ``j`` lacks: a call its amount, a facility what is spent of it beyond what it was given. Reserves are not
    on the ledger: what they count is set aside first (``set_aside``, market value per source).
    """

    def __init__(self, network: Network, edge: Ints, set_aside: Mapping[int, Fraction]) -> None:
        self.network = network
        self.edge = edge
        view = View(network, edge, EXACT)
        asset = network.edge_asset[edge]
        lot = EXACT.array(network.assets.lot[asset])
        self.lot_value: list[Fraction] = list(view.unit_value * lot)
        self.use: list[int] = view.use.tolist()
        self.source: list[int] = view.source.tolist()
        self.funded_by: list[int] = network.sources.funded_by[view.source].tolist()
        self.cost_bps = network.edges.cost_bps[edge]
        self.lots = [0] * len(edge)
        self.least: list[int] = [
            max(1, ceil(exact(q) / size), ceil(network.uses.min_line[j] / value))
            for q, size, value, j in zip(network.assets.min_quantity[asset], lot, self.lot_value, self.use, strict=True)
        ]
        self.slack: list[int] = []
        self._rows_of: list[list[tuple[int, int]]] = [[] for _ in edge]
        self._takers_of: list[list[tuple[int, int]]] = []
        self._add(self._after(supply(view), view, set_aside))
        for rows in limits(view):
            self._add(rows)
        self._taken = [0] * len(self.slack)
        self._scale_cover(view)
        self.lines_of: list[list[int]] = [[] for _ in network.uses.ids]
        for k, j in enumerate(self.use):
            self.lines_of[j].append(k)

    @staticmethod
    def _after(rows: Rows, view: View, set_aside: Mapping[int, Fraction]) -> Rows:
        """Supply rows without what is set aside; they stand in the order of the sources drawn on."""
        drawn = np.unique(view.source).tolist()
        left = [max(Fraction(0), u - set_aside.get(i, Fraction(0))) for u, i in zip(rows.upper, drawn, strict=True)]
        upper = np.empty(len(left), dtype=object)
        upper[:] = left
        return replace(rows, upper=upper)

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
            self._takers_of.append([(c, a.numerator * (common // a.denominator)) for c, a in terms if a > 0])
            self.slack.append(upper.numerator * (common // upper.denominator))

    def _scale_cover(self, view: View) -> None:
        """``value[k]`` of a lot where it goes, ``drain[k]`` where it comes from, in one integer unit per use."""
        uses = self.network.uses
        required = [r if j < uses.asking else Fraction(0) for j, r in enumerate(uses.required)]
        values = [f * v for f, v in zip(view.factor.tolist(), self.lot_value, strict=True)]
        self.unit = [r.denominator for r in required]
        for value, lot_value, j, funding in zip(values, self.lot_value, self.use, self.funded_by, strict=True):
            self.unit[j] = lcm(self.unit[j], value.denominator)
            if funding >= 0:
                self.unit[funding] = lcm(self.unit[funding], lot_value.denominator)
        self.value: list[int] = [
            v.numerator * (self.unit[j] // v.denominator) for v, j in zip(values, self.use, strict=True)
        ]
        self.drain: list[int] = [
            v.numerator * (self.unit[j] // v.denominator) if j >= 0 else 0
            for v, j in zip(self.lot_value, self.funded_by, strict=True)
        ]
        self.missing: list[int] = [r.numerator * (u // r.denominator) for r, u in zip(required, self.unit, strict=True)]

    def room(self, k: int) -> int:
        """How many more lots edge ``k`` may take."""
        # Every edge stands in its holding's supply row, so there is always one to ask.
        room: int = min(self.slack[r] // a for r, a in self._rows_of[k] if a > 0)
        if self.funded_by[k] >= 0 and room > 0:
            room = min(room, self._fundable(self.funded_by[k]) // self.drain[k])
        return int(max(0, room))

    def _fundable(self, j: int) -> int:
        """How much more could be spent of a facility, if everything it can take were given to it."""
        return sum(self.room(k) * self.value[k] for k in self.lines_of[j]) - self.missing[j]

    def rank(self, k: int) -> int:
        """The priority of the use that edge ``k`` goes to; what facilities are given comes before all calls."""
        return int(self.network.uses.priority[self.use[k]]) if self.use[k] < self.network.uses.calls else -1

    def addable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may be added, a new line starting at its least quantity."""
        least = self.least[k] - self.lots[k]
        room = self.room(k)
        wanted = max(wanted, least)
        return min(wanted, room) if room >= least else 0

    def removable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may go: what is left is nothing, or at least the least quantity."""
        held_by = ((r, a) for r, a in self._rows_of[k] if a < 0 and self._taken[r])
        free = min((self.slack[r] // -a for r, a in held_by), default=self.lots[k])
        most = min(wanted, self.lots[k], max(0, free))
        if self.lots[k] - most >= self.least[k] or most == self.lots[k]:
            return most
        return max(0, self.lots[k] - self.least[k])

    def broken_rows(self) -> list[int]:
        """Rows that do not hold and of which a line takes: only after lots were put there without asking for room.

        A group that what is posted puts over its cap may stand there; it just takes nothing more.
        """
        return [row for row, slack in enumerate(self.slack) if slack < 0 and self._taken[row]]

    def lines_in(self, row: int) -> list[tuple[int, int]]:
        """The edges that carry lots and use up ``row``, each with what one of its lots takes."""
        return [(k, a) for k, a in self._takers_of[row] if self.lots[k]]

    def add(self, k: int, count: int) -> None:
        """Put ``count`` more lots on edge ``k`` (fewer, where negative)."""
        opened = bool(self.lots[k] + count) - bool(self.lots[k])
        self.lots[k] += count
        self.missing[self.use[k]] -= count * self.value[k]
        if self.funded_by[k] >= 0:
            self.missing[self.funded_by[k]] += count * self.drain[k]
        for row, a in self._rows_of[k]:
            self.slack[row] -= count * a
            if a > 0:
                self._taken[row] += opened

    def shortfall(self, j: int) -> Fraction:
        """What call ``j`` lacks, in base currency."""
        return Fraction(max(0, self.missing[j]), self.unit[j])

    def shortfalls(self) -> list[Fraction]:
        """What each call lacks, in base currency."""
        return [self.shortfall(j) for j in range(self.network.uses.calls)]

    def shortfalls_by_rank(self) -> tuple[Fraction, ...]:
        """Total shortfall of the calls of each priority rank."""
        totals: dict[int, Fraction] = {}
        for j, short in enumerate(self.shortfalls()):
            rank = int(self.network.uses.priority[j])
            totals[rank] = totals.get(rank, Fraction(0)) + short
        return tuple(total for _, total in sorted(totals.items()))

    def cost(self) -> Fraction:
        """Yearly basis points times base currency of everything on the ledger, exact."""
        lines = zip(self.lots, self.lot_value, self.cost_bps.tolist(), strict=True)
        return sum((n * v * exact(c) for n, v, c in lines if n), Fraction(0))

    def market_values(self) -> Floats:
        """Market value on each edge, for a solver."""
        return np.array([float(n * v) if n else 0.0 for n, v in zip(self.lots, self.lot_value, strict=True)])

    def snapshot(self) -> tuple[int, ...]:
        """The lots as they stand."""
        return tuple(self.lots)

    def restore(self, lots: tuple[int, ...]) -> None:
        """Back to a snapshot."""
        for k, (now, then) in enumerate(zip(self.lots, lots, strict=True)):
            if now != then:
                self.add(k, then - now)
