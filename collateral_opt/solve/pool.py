"""Flows on a pool of edges, with what every row has room for, so that a change of a few is weighed in no time.

The rows are those of the program over the pool, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from collateral_opt.model.formulation import formulate, pinned_bounds
from collateral_opt.model.program import Label
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Bools, Floats, Ints, Network, View
from collateral_opt.solve.entries import Entries

UNCOVERED = 50.0
"""What is short costs so many times as much as the dearest edge."""
NOTHING = 1e-6
"""Flow below this, in base currency, is none."""
EXACT = 1e-9
"""A row, and a call's cover, hold to this share of what they speak of."""
OPENINGS = 3
"""The most new lines that a call is given at once to make up for what it lacks."""
UNCAPPED = 1_000
"""So many lines may a call have that nobody caps."""

Log = list[tuple[int, float]]
"""Columns and what was on them before they changed, in order."""


class Pool:
    """Flows ``x`` [edges of the pool] that cover ``target`` [calls] on at most ``allowed`` lines each [uses].

    ``movable`` are the edges on which anything may change: from holdings to calls, neither pinned nor in coarse lots.
    """

    def __init__(self, network: Network, edge: Ints, x: Floats, target: Floats, allowed: Floats, coarse: float) -> None:
        view, self.program = View(network, edge, FLOAT), formulate(network, edge)
        self.network, self.edge, self.x = network, edge, x[edge].copy()
        self.source, self.use, self.calls = view.source, view.use, network.uses.calls
        self.factor, self.cost_bps = network.edges.factor[edge], network.edges.cost_bps[edge]
        self.rate: Floats = self.cost_bps / self.factor
        """What a unit of cover costs on each edge, in basis points a year."""
        self.uncovered = UNCOVERED * (float(np.max(np.abs(self.rate), initial=0.0)) or 1.0)
        lower, upper = pinned_bounds(view)
        self.least: Floats = np.maximum(network.least_value[edge], lower)
        self.upper: Floats = np.minimum(upper, network.held[self.source])
        small_lots = network.lot_value[edge] * self.factor <= coarse * network.uses.size[self.use]
        self.movable: Bools = small_lots & (lower <= 0) & (self.upper >= self.least) & network.in_lots[edge]
        self.movable &= (self.use < self.calls) & network.sources.is_holding[self.source]
        self.target, self.allowed = target, np.minimum(allowed, UNCAPPED)
        self.into = [np.flatnonzero(self.use == j) for j in range(self.calls)]
        self.switch: Ints = np.full(len(edge), -1, dtype=np.int64)
        column, at = view.columns_of(network.switches.edge)
        self.switch[column] = network.switches.switch[at]
        self._load_rows()
        leaving = ~view.into_reserve
        drawn = np.bincount(self.source[leaving], weights=self.x[leaving], minlength=len(network.sources))
        self.left: Floats = np.maximum(network.held - drawn, 0.0)
        """What is left of each source [sources]."""
        covered = np.bincount(self.use, weights=self.x * self.factor, minlength=len(network.uses))
        self.cover: Floats = covered[: self.calls].astype(np.float64)

    def _load_rows(self) -> None:
        program, entries = self.program, Entries.of(self.program)
        self._start, self._row, self._coefficient = entries.start, entries.row, entries.coefficient
        labels = program.rows.labels
        self.row_of: dict[Label, int] = {label: row for row, label in enumerate(labels)}
        counts = np.array([label[0] not in ("cover", "promised", "budget") for label in labels], dtype=bool)
        flows = np.pad(self.x, (0, program.n_columns - len(self.x)))[entries.column] * entries.coefficient
        self.activity: Floats = np.bincount(entries.row, flows, program.n_rows).astype(np.float64)
        upper = np.where(counts, np.asarray(program.rows.upper, dtype=np.float64), np.inf)
        size = np.bincount(entries.row, np.abs(flows), program.n_rows)
        tolerance = EXACT * np.maximum(np.where(np.isfinite(upper), np.abs(upper), 0.0), np.maximum(size, 1.0))
        # A row that does not hold to begin with just must not get worse.
        self._most: Floats = np.maximum(upper, self.activity) + tolerance
        self._upper = upper
        self._last = int(entries.start[len(self.x)])
        is_supply = np.array([label[0] == "supply" for label in labels], dtype=bool)
        rows = entries.row[: self._last]
        self._limits = (entries.coefficient[: self._last] > 0) & ~is_supply[rows]

    @property
    def cost(self) -> float:
        """What the flows cost, with a penalty on what is short, in base currency times yearly basis points."""
        short = np.maximum(self.target - self.cover, 0.0)
        return float(np.sum(self.cost_bps * self.x)) + self.uncovered * float(np.sum(short))

    def flows(self) -> Floats:
        """The flows over all edges of the network."""
        x = np.zeros(len(self.network.edges))
        x[self.edge] = self.x
        return x

    def lines(self, call: int) -> Ints:
        """The edges into a call that carry anything."""
        into = self.into[call]
        return into[self.x[into] > 0]

    def places(self, call: int) -> int:
        """How many more lines a call may have."""
        return int(self.allowed[call]) - len(set(self.switch[self.lines(call)].tolist()))

    def put(self, column: int, value: float, log: Log) -> None:
        """Let ``column`` carry ``value`` from now on."""
        log.append((column, float(self.x[column])))
        self._move(column, value if value > NOTHING else 0.0)

    def undo(self, log: Log) -> None:
        """Back to before ``log``."""
        for column, value in reversed(log):
            self._move(column, value)

    def _move(self, column: int, value: float) -> None:
        more = value - self.x[column]
        self.x[column] = value
        self.left[self.source[column]] -= more
        self.cover[self.use[column]] += more * self.factor[column]
        at = slice(self._start[column], self._start[column + 1])
        self.activity[self._row[at]] += more * self._coefficient[at]

    def holds(self, log: Log) -> bool:
        """Whether every row with a column that changed holds, and every line there is no smaller than it must be."""
        for column in {column for column, _ in log}:
            rows = self._row[self._start[column] : self._start[column + 1]]
            if (self.activity[rows] > self._most[rows]).any():
                return False
            if self.x[column] > 0 and not self.least[column] <= self.x[column] <= self.upper[column] * (1 + EXACT):
                return False
        return True

    def rooms(self) -> Floats:
        """How much more each column may carry as far as limits go [edges]; what its source has left is not asked."""
        room, rows = np.full(len(self.x), np.inf), self._row[: self._last]
        left = np.full(self._last, np.inf)
        at = np.flatnonzero(self._limits)
        left[at] = np.maximum((self._upper - self.activity)[rows[at]], 0.0) / self._coefficient[at]
        first = self._start[: len(self.x)]
        # Every column is in a row of its source, so none is empty.
        room[:] = np.minimum.reduceat(left, first) if len(first) else room
        return room

    def room(self, column: int) -> float:
        """How much more one column may carry."""
        at = slice(self._start[column], self._start[column + 1])
        rows, coefficient = self._row[at], self._coefficient[at]
        takes = coefficient > 0
        left = float(np.min((self._upper - self.activity)[rows[takes]] / coefficient[takes], initial=np.inf))
        return max(0.0, min(left, float(self.upper[column] - self.x[column]), float(self.left[self.source[column]])))

    def openings(self, call: int, rooms: Floats) -> Ints:
        """The cheapest lines that a call could be given of what is left, as far as it has places."""
        into = self.into[call]
        into = into[self.movable[into] & (self.x[into] == 0)]
        most = np.minimum(np.minimum(self.left[self.source[into]], self.upper[into]), rooms[into])
        into = into[most >= self.least[into]]
        first: Ints = into[np.lexsort((into, self.rate[into]))]
        return first[: max(0, min(self.places(call), OPENINGS))]

    def settle(self, call: int, rooms: Floats, log: Log) -> bool:
        """Let lines of ``call`` grow, or shrink, until it is covered and not in excess. Says whether that went."""
        lines = [column for column in self.lines(call).tolist() if self.movable[column]]
        exact = EXACT * self.target[call]
        if self.cover[call] < self.target[call]:
            places = self.places(call)
            lines += self.openings(call, rooms).tolist()
            for column in sorted(lines, key=lambda column: (self.rate[column], column)):
                missing = self.target[call] - self.cover[call]
                if missing <= exact:
                    break
                more = min(self.room(column), missing / self.factor[column])
                is_new = self.x[column] == 0
                if more > NOTHING and not (is_new and (places <= 0 or more < self.least[column])):
                    places -= is_new
                    self.put(column, self.x[column] + more, log)
            return self.places(call) >= 0
        for column in sorted(lines, key=lambda column: (-self.rate[column], column)):
            over = (self.cover[call] - self.target[call]) / self.factor[column]
            less = self.x[column] if over >= self.x[column] else min(over, self.x[column] - self.least[column])
            if less > 0:
                self.put(column, self.x[column] - less, log)
        return bool(self.cover[call] - self.target[call] <= exact) and self.places(call) >= 0

    def without(self, columns: Iterable[int]) -> Floats:
        """The activity of each row of the program without what is on these columns."""
        activity = self.activity.copy()
        for column in columns:
            at = slice(self._start[column], self._start[column + 1])
            activity[self._row[at]] -= self.x[column] * self._coefficient[at]
        return activity
