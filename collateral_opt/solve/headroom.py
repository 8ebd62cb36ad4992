"""What is left of every row while lots are put on edges: of holdings, limits, and what recalls must wait for.

The rows are those of :mod:`collateral_opt.model.constraints`, read in exact arithmetic and brought to integers row by
row. Of a book that differs a little from one before, those that are the same are taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np

from collateral_opt.model.constraints import limits, release, supply, whole_row
from collateral_opt.model.program import Rows, stack
from collateral_opt.network.exact import Ratio
from collateral_opt.network.network import Bools, Ints, LimitBlock, Network, View

Entries = list[list[tuple[int, int]]]


class Headroom:
    """``slack[row]`` is what is left of a row, in a unit of its own in which each lot takes a whole number.

    Column ``k`` is edge ``view.edge[k]``, of which a lot is worth ``lots[k]`` in units of which ``unit`` make one of
    base currency. ``set_aside`` is market value per source that is no one's. ``near`` may be of any book.
    """

    def __init__(
        self,
        view: View,
        lots: Sequence[int],
        unit: int,
        set_aside: Mapping[int, Fraction],
        near: Headroom | None = None,
    ) -> None:
        network = view.network
        self._network, self._edge, self._set_aside = network, view.edge, set_aside
        self._parts = [range(0)] * (len(network.limits) + 3)
        """The rows of supply, of each limit, of releases, and of odd lots."""
        self._full: list[int] = []
        self._takes: Entries = [[] for _ in range(len(view.edge))]
        """By column the rows that a lot uses up, and how much of each."""
        self._gives: Entries = [[] for _ in range(len(view.edge))]
        """By column the rows in which a lot makes room, and how much in each."""
        anew = list(range(len(self._parts)))
        if near is not None and near._is_of(network):
            anew = self._take_over(near)
        found = self._rows(view, anew)
        first = len(self._full)
        for part, rows in zip(anew, found, strict=True):
            self._parts[part] = range(first, first := first + len(rows))
        self._add(stack(found), lots, unit)
        self.slack = self._full.copy()
        self._order = [row for part in self._parts for row in part]
        self._lines = [0] * len(self.slack)

    def _take_over(self, near: Headroom) -> list[int]:
        """Take over the rows of ``near`` that are the same here; returns the parts that have others."""
        anew = near._changed(self._network, self._edge, self._set_aside)
        gone = {row for part in anew for row in near._parts[part]}
        self._parts, self._full = near._parts.copy(), near._full.copy()
        column: list[int] = near._column[self._edge].tolist()
        self._takes, self._gives = (
            [[entry for entry in entries[c] if entry[0] not in gone] if c >= 0 else [] for c in column]
            for entries in (near._takes, near._gives)
        )
        return anew

    def _rows(self, view: View, parts: Sequence[int]) -> list[Rows]:
        """The rows of those ``parts``, each."""
        network, last = view.network, len(view.network.limits)
        blocks = [network.limits[part - 1] for part in parts if 0 < part <= last]
        limited = view if len(blocks) == last else replace(view, network=replace(network, limits=blocks))
        return [*([self._supply(view)] if 0 in parts else ()), *limits(limited), release(view), whole_row(view)]

    def _supply(self, view: View) -> Rows:
        """Supply rows without what is set aside; they stand in the order of the sources drawn on."""
        rows, set_aside = supply(view), self._set_aside
        if not set_aside:
            return rows
        drawn = np.unique(view.source).tolist()
        upper = np.empty(len(drawn), dtype=object)
        upper[:] = [max(Fraction(0), u - set_aside.get(i, 0)) for u, i in zip(rows.upper, drawn, strict=True)]
        return replace(rows, upper=upper)

    def _add(self, rows: Rows, lots: Sequence[int], unit: int) -> None:
        """Take over ``sum a_k lots_k <= upper`` as integers; the rest of ``upper`` below one is of no use."""
        first, row, column = len(self._full), rows.row.tolist(), rows.column.tolist()
        ratios = [a.as_integer_ratio() for a in rows.coefficient.tolist()]
        common = [1] * len(rows)
        for r, (_, below) in zip(row, ratios, strict=True):
            if common[r] % below:
                common[r] = lcm(common[r], below)
        for r, k, (above, below) in _netted(row, column, ratios):
            if above > 0:
                self._takes[k].append((first + r, common[r] // below * above * lots[k]))
            elif above < 0:
                self._gives[k].append((first + r, common[r] // below * -above * lots[k]))
        uppers = zip(rows.upper.tolist(), common, strict=True)
        self._full += [upper.numerator * times * unit // upper.denominator for upper, times in uppers]

    @cached_property
    def _column(self) -> Ints:
        column = np.full(len(self._network.edges), -1, dtype=np.int64)
        column[self._edge] = np.arange(len(self._edge))
        return column

    def _is_of(self, network: Network) -> bool:
        """Whether these rows are of pairs and limits that ``network`` has too, wherever what they say may differ.

        Nothing is taken over with recalls or releases in either network, nor of rows most of which are of no use.
        """
        known = self._network
        if any(len(n.sources.recallable) or n.releases for n in (known, network)):
            return False
        # Rows that were taken over once and then made anew still take up room.
        return len(self._full) <= 2 * len(self._order) and all(
            _is_same(now, then)
            for now, then in (
                (network.edges.source, known.edges.source),
                (network.edges.use, known.edges.use),
                (network.sources.asset, known.sources.asset),
                (network.sources.ids, known.sources.ids),
                (network.assets.ids, known.assets.ids),
                (network.uses.label, known.uses.label),
                ([block.key for block in network.limits], [block.key for block in known.limits]),
            )
        )

    def _changed(self, network: Network, edge: Ints, set_aside: Mapping[int, Fraction]) -> list[int]:
        """The parts that have other rows over ``edge`` of ``network``; releases and odd lots are always among them."""
        known = self._network
        is_new, counts_otherwise = np.zeros((2, len(network.edges)), dtype=bool)
        is_new[edge] = (self._column[edge] < 0) | _are_repriced(network, known, edge)
        counts_otherwise[edge] = is_new[edge] | _have_other_factors(network, known, edge)
        changed = []
        if (
            is_new.any()
            or set_aside != self._set_aside
            or not _is_same(network.sources.quantity, known.sources.quantity)
            or not _is_same(network.sources.capacity, known.sources.capacity)
        ):
            changed.append(0)
        for part, (now, then) in enumerate(zip(network.limits, known.limits, strict=True), start=1):
            others = is_new if now.measure in ("market_value", "quantity") else counts_otherwise
            if others[now.edge].any() or others[now.scope].any() or not _has_same_rows(now, then):
                changed.append(part)
        return [*changed, len(network.limits) + 1, len(network.limits) + 2]

    def most(self, k: int) -> int:
        """How many more lots on edge ``k`` every row has room for; below zero where one is broken."""
        # Every edge stands in its holding's supply row, so there is always one to ask.
        slack = self.slack
        return min([slack[row] // a for row, a in self._takes[k]])

    def spare(self, k: int) -> int | None:
        """How many lots may leave edge ``k`` before one is missed in a row that lines take from; None for any."""
        held_by = (self.slack[row] // a for row, a in self._gives[k] if self._lines[row])
        return min(held_by, default=None)

    def add(self, k: int, count: int, lines: int) -> None:
        """Put ``count`` more lots on edge ``k``, which makes so many more ``lines``."""
        slack, there = self.slack, self._lines
        for row, a in self._takes[k]:
            slack[row] -= count * a
            there[row] += lines
        for row, a in self._gives[k]:
            slack[row] += count * a

    def broken(self) -> list[int]:
        """Rows that do not hold and of which a line takes: only after lots were put there without asking for room.

        A group that what is posted puts over its cap may stand there; it just takes nothing more.
        """
        slack, lines = self.slack, self._lines
        return [row for row in self._order if slack[row] < 0 and lines[row]]

    @cached_property
    def takers(self) -> Sequence[Sequence[tuple[int, int]]]:
        """By row the edges that use it up, each with what one of its lots takes."""
        takers: list[list[tuple[int, int]]] = [[] for _ in self.slack]
        for k, rows in enumerate(self._takes):
            for row, a in rows:
                takers[row].append((k, a))
        return takers


def _netted(row: list[int], column: list[int], ratios: list[Ratio]) -> Iterable[tuple[int, int, Ratio]]:
    """Entries of rows with each column once: what leaves a group and comes back into it changes nothing."""
    if len(set(zip(row, column, strict=True))) == len(row):
        return zip(row, column, ratios, strict=True)
    net: dict[tuple[int, int], Fraction] = {}
    for r, k, ratio in zip(row, column, ratios, strict=True):
        net[r, k] = net.get((r, k), Fraction(0)) + Fraction(*ratio)
    return [(r, k, a.as_integer_ratio()) for (r, k), a in net.items()]


def _are_repriced(now: Network, then: Network, edge: Ints) -> Bools:
    """Which of ``edge`` have lots of another worth or size; of networks without recalls, which alone have odd lots."""
    repriced = np.zeros(len(edge), dtype=bool)
    if now.assets is not then.assets:
        asset, names = now.edge_asset[edge], ("price", "price_factor", "rate", "lot")
        for name in names:
            repriced |= getattr(now.assets, name)[asset] != getattr(then.assets, name)[asset]
    return repriced


def _have_other_factors(now: Network, then: Network, edge: Ints) -> Bools:
    """Which of ``edge`` have another collateral factor."""
    at = {factor: code for code, factor in enumerate(then.edges.factors)}
    code = np.array([at.get(factor, -1) for factor in now.edges.factors] or [-1], dtype=np.int64)
    return np.asarray(code[now.edges.factor_code[edge]] != then.edges.factor_code[edge])


def _has_same_rows(now: LimitBlock, then: LimitBlock) -> bool:
    """Whether two blocks over the same edges say the same of them."""
    # Most books have nothing posted, and only some caps follow what is required: both are costly to compare.
    nothing_lies = not now.posted_total and not then.posted_total
    same_cap = _is_same(now.cap, then.cap, {"requirement"} if now.cap.of != "requirement" else set())
    return same_cap and _is_same(now, then, {"cap", "posted"} if nothing_lies else {"cap"})


def _is_same(now: Any, then: Any, but: AbstractSet[str] = frozenset()) -> bool:
    """Whether two values, or tables of values, are equal in every part ``but`` those named."""
    if now is then:
        return True
    if type(now) is not type(then):
        return False
    if isinstance(now, np.ndarray):
        return now.dtype == then.dtype and now.shape == then.shape and bool(now.tobytes() == then.tobytes())
    if is_dataclass(now):
        names = now.__dataclass_fields__
        return all(name in but or _is_same(getattr(now, name), getattr(then, name)) for name in names)
    return bool(now == then)
