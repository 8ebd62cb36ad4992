"""What an answer draws from each source, and which sources it leaves nothing of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Floats, Ints, Network

TOUCHED = 1e-9
"""Less of a source than this share is nothing."""
ALL = 1e-6
"""What is drawn but for this share is all of it."""
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Sources:
    """The sources of a network, and by when each of its uses must have what it takes.

    ``name`` is the identifier of the holding, facility or recall, ``facility ID`` for a facility named as a holding.
    ``due`` [uses] is in nanoseconds of UTC.
    """

    network: Network
    name: tuple[str, ...]
    due: Ints

    @classmethod
    def of(cls, facts: Facts, network: Network) -> Sources:
        """Those of ``network``, which is one of ``facts``."""
        sources, dated = network.sources, min(len(facts.terms.due), len(network.uses))
        held = {sources.ids[at] for at in np.flatnonzero(sources.is_holding).tolist()}
        names = (
            f"facility {name}" if is_facility and name in held else name
            for name, is_facility in zip(sources.ids, sources.is_facility.tolist(), strict=True)
        )
        due = np.full(len(network.uses), NEVER)
        due[:dated] = np.where(facts.terms.open_ended[:dated], NEVER, facts.terms.due[:dated])
        return cls(network, tuple(names), due)

    def drawn(self, x: Floats, available: Floats, room: float = 0.0) -> tuple[dict[str, float], tuple[str, ...]]:
        """What flows ``x`` [edges] draw, by name, and the names of the sources that have nothing left.

        These are in the order in which they run out: by when the last call must be met that any of it goes to
        (through a facility: that any of what it produces goes to), then by what they cost a unit of cover, the
        cheapest first, then by name. ``available`` [sources] is in base currency, as is what is drawn; what merely
        counts towards a reserve stays there. ``room`` is what the answer may spare although something is short: the
        tolerance of the least shortfall.
        """
        network, edges = self.network, self.network.edges
        at = np.flatnonzero((x > 0) & ~network.into_reserve)
        source, use, flow = edges.source[at], edges.use[at], x[at]
        total = np.bincount(source, flow, minlength=len(self.name))
        touched = np.flatnonzero(total > TOUCHED * available).tolist()
        is_gone = (total > TOUCHED * available) & (total >= available * (1 - ALL) - room)
        gone = np.flatnonzero(is_gone & ~network.sources.is_posted)
        used = {self.name[k]: float(total[k]) for k in touched}
        if len(gone) < 2:
            return used, tuple(self.name[k] for k in gone.tolist())
        real = flow > TOUCHED * available[source]
        source, use, flow, at = source[real], use[real], flow[real], at[real]
        last = self._last(source, use)
        cover = np.bincount(source, flow * edges.factor[at], minlength=len(self.name))
        cost = np.bincount(source, flow * edges.cost_bps[at], minlength=len(self.name))
        merit = np.round(np.divide(cost, cover, out=np.zeros_like(cost), where=cover > 0), 6)
        order = sorted(gone.tolist(), key=lambda k: (int(last[k]), float(merit[k]), self.name[k]))
        return used, tuple(self.name[k] for k in order)

    def _last(self, source: Ints, use: Ints) -> Ints:
        """By source when the last call must be met that it goes to: what facilities are given as what they produce."""
        uses, funded_by = self.network.uses, self.network.sources.funded_by
        due = self.due.copy()
        facility = np.flatnonzero(self.network.sources.is_facility & (funded_by >= 0))
        due[funded_by[facility]] = 0
        last = np.zeros(len(self.name), dtype=np.int64)
        for _ in range(len(uses.facilities) + 1):
            before = last.copy()
            np.maximum.at(last, source, due[use])
            due[funded_by[facility]] = last[facility]
            if np.array_equal(before, last):
                break
        return last
