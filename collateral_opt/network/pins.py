"""What a person has decided for single lines: forbidden, exactly so much, at least so much, under way already.

What a pin asks for is fed by what is at home in the holding; what is recalled may only come on top of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from collateral_opt.network.exact import exact
from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Bools, Edges
from collateral_opt.network.rows import rows


@dataclass(frozen=True)
class Pin:
    """One row of ``pins`` that asks for a line, in units of the asset.

    ``least`` is what the person asks for (None: a lot will do), ``lots`` what that comes to in whole lots of ``lot``,
    ``least_lots`` the fewest that any line there may have, ``held`` what there is of the source. ``is_reached``:
    nothing stands between the two. ``row`` counts the table's rows from 0.
    """

    use: int
    source: int
    least: Fraction | None
    is_exact: bool
    sent: bool
    row: int
    lot: Fraction
    lots: int
    least_lots: int
    held: Fraction
    is_reached: bool = False


class Pins:
    """The pins of a book by position, and what they make of the network's edges."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._forbidden: dict[int, list[int]] = {}
        self.asked: list[Pin] = []
        sources, uses = facts.sources, facts.uses
        if not len(facts.book.pins):
            return
        holding_at = {sources.ids[i]: i for i in np.flatnonzero(sources.is_holding).tolist()}
        facility_at = {sources.ids[i]: i for i in np.flatnonzero(sources.is_facility).tolist()}
        call_at = {name: j for j, name in enumerate(uses.ids[: uses.calls])}
        columns = ("call_id", "holding_id", "facility_id", "quantity", "at_least", "forbid", "sent")
        for row, cells in enumerate(rows(facts.book.pins, *columns)):
            call, holding, facility, quantity, at_least, forbid, sent = cells
            use, source = call_at[call], holding_at[holding] if holding is not None else facility_at[facility]
            if forbid:
                self._forbidden.setdefault(use, []).append(source)
                continue
            exactly = None if np.isnan(quantity) else exact(quantity)
            least = exactly if exactly is not None else None if np.isnan(at_least) else exact(at_least)
            self.asked.append(_pin(facts, use, source, least, exactly is not None, bool(sent), row))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Use and source of every line that is asked for."""
        return [(pin.use, pin.source) for pin in self.asked]

    def name(self, use: int) -> bool:
        """Whether any pin speaks of ``use``."""
        return use in self._forbidden or any(pin.use == use for pin in self.asked)

    def forbidden(self, use: int) -> Bools:
        """Per source: a person has said that ``use`` gets nothing of it, at home or recalled."""
        sources = self._facts.sources
        named = _marked(len(sources), self._forbidden.get(use, []))
        if use not in self._forbidden:
            return named
        return named | (sources.is_posted & (sources.holding >= 0) & named[sources.holding])

    def sent(self, use: int) -> Bools:
        """Per source: it is on its way there, so whether it could still arrive is not asked."""
        return _marked(len(self._facts.sources), [p.source for p in self.asked if p.use == use and p.sent])

    def exact(self, use: int) -> Bools:
        """Per source: a line of it to ``use`` is pinned to an exact quantity."""
        return _marked(len(self._facts.sources), [p.source for p in self.asked if p.use == use and p.is_exact])

    def on(self, edges: Edges) -> tuple[Sequence[Pin], Mapping[int, tuple[int, int | None]]]:
        """All pins, and by edge the least and the most lots that those ask for which something reaches."""
        pins, lots = [], {}
        for pin in self.asked:
            edge = _edge(pin, edges)
            pins.append(replace(pin, is_reached=edge >= 0))
            if edge >= 0:
                lots[edge] = (max(pin.lots, 1), pin.lots if pin.is_exact else None)
        return pins, lots


def _marked(count: int, at: Sequence[int]) -> Bools:
    """Which of so many positions are among ``at``."""
    marked = np.zeros(count, dtype=bool)
    marked[list(at)] = True
    return marked


def _pin(facts: Facts, use: int, source: int, least: Fraction | None, is_exact: bool, sent: bool, row: int) -> Pin:
    asset = int(facts.sources.asset[source])
    lot, value = exact(facts.assets.lot[asset]), facts.assets.exact_unit_value(asset)
    least_lots = max(
        1,
        ceil(exact(facts.assets.min_quantity[asset]) / lot),
        ceil(facts.uses.min_line[use] / (lot * value)) if value else 1,
    )
    held = facts.sources.capacity[source]
    return Pin(
        use=use,
        source=source,
        least=least,
        is_exact=is_exact,
        sent=sent,
        row=row,
        lot=lot,
        lots=least_lots if least is None else int(least // lot),
        least_lots=least_lots,
        held=exact(facts.sources.quantity[source]) if held is None else held / value,
    )


def _edge(pin: Pin, edges: Edges) -> int:
    """The edge of a pin, -1 where something stands between the two."""
    first, last = np.searchsorted(edges.use, [pin.use, pin.use + 1]).tolist()
    at = first + int(np.searchsorted(edges.source[first:last], pin.source))
    return at if at < last and edges.source[at] == pin.source else -1
