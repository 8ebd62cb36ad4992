"""An exact account of what is delivered, in whole lots: what each line may still take, and what each call still lacks.

Cover is counted here, and what rows leave in :mod:`collateral_opt.solve.headroom`: both in integers, so that cover
holds to the last fraction of a cent and no holding or limit is exceeded by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from math import ceil, lcm

import numpy as np

from collateral_opt.model.program import Floats
from collateral_opt.network.exact import EXACT, exact
from collateral_opt.network.network import Ints, Kind, Network, View
from collateral_opt.solve.headroom import Headroom


class Ledger:
    """Lots on some edges of a network. ``lots[k]`` are those on ``edge[k]``.

    :meth:`addable` and :meth:`removable` say what keeps every row; :meth:`add` does as it is told. ``missing[j]`` is
    what use ``j`` lacks: a call its amount, a facility what is spent of it beyond what it was given, an agreement what
    it requires beyond what lies there and replaces what was recalled. Reserves are not on the ledger: what they count
    is set aside first (``set_aside``, market value per source). Rows that are the same in the headroom ``near`` this
    one's, of whatever book, are taken over from it.
    """

    def __init__(
        self, network: Network, edge: Ints, set_aside: Mapping[int, Fraction], near: Headroom | None = None
    ) -> None:
        self.network = network
        self.edge = edge
        self.set_aside = set_aside
        view = View(network, edge, EXACT)
        # A source has one lot, whatever it goes to; fractions are slow, and sources few.
        _, first, of = np.unique(view.source, return_index=True, return_inverse=True)
        assets = network.edge_asset[edge[first]].tolist()
        lots = network.lot[edge[first]].tolist()
        prices = (network.assets.exact_unit_value(asset).as_integer_ratio() for asset in assets)
        values = [_lot_value(lot, *price) for lot, price in zip(lots, prices, strict=True)]
        self._unit = lcm(*{value.denominator for value in values})
        """All values are integers in this part of the base currency."""
        units = [value.numerator * (self._unit // value.denominator) for value in values]
        self.lot_value: list[Fraction] = [values[i] for i in of.tolist()]
        self._lot_units = [units[i] for i in of.tolist()]
        self.use: list[int] = view.use.tolist()
        self.source: list[int] = view.source.tolist()
        self.funded_by: list[int] = network.sources.funded_by[view.source].tolist()
        self.line: list[int] = network.line[edge].tolist()
        self._line_lots: dict[int, int] = dict.fromkeys(self.line, 0)
        self.cost_bps = network.edges.cost_bps[edge]
        self._load_costs()
        self.lots = [0] * len(edge)
        comes_home = network.uses.kind[view.use] == Kind.HOME
        smallest = network.assets.min_quantity[assets].tolist()
        fewest = [max(1, _lots_for(quantity, lot)) for quantity, lot in zip(smallest, lots, strict=True)]
        lines = [(line * self._unit).as_integer_ratio() for line in network.uses.min_line]
        self.least = [
            1 if home else max(fewest[i], -(-lines[j][0] // (lines[j][1] * units[i])))
            for i, j, home in zip(of.tolist(), self.use, comes_home.tolist(), strict=True)
        ]
        pins = [network.pinned.get(e, (0, None)) for e in edge.tolist()]
        self.floor = [least for least, _ in pins]
        self._ceiling = [most for _, most in pins]
        self.headroom = Headroom(view, self._lot_units, self._unit, set_aside, near)
        self._scale_cover()
        self.lines_of: list[list[int]] = [[] for _ in network.uses.ids]
        for k, j in enumerate(self.use):
            self.lines_of[j].append(k)
        self.home = {self.source[k]: k for k in np.flatnonzero(comes_home).tolist()}
        self._load_switches(view)

    def _load_costs(self) -> None:
        """What a lot costs on each edge, a switch for being on, and all of it together."""
        network = self.network
        bps = EXACT.array(self.cost_bps).tolist()
        charge = [f + w for f, w in zip(network.switches.fixed, network.switches.worth, strict=True)]
        others = [network.standing_cost, *charge]
        self._cost_unit = lcm(self._unit * lcm(*{c.denominator for c in bps}), *{c.denominator for c in others})
        """All costs are integers in this part of a unit of base currency times a yearly basis point."""
        scale = self._cost_unit // self._unit
        self._lot_cost = [v * c.numerator * (scale // c.denominator) for v, c in zip(self._lot_units, bps, strict=True)]
        self._weighed, *self._charge = [c.numerator * (self._cost_unit // c.denominator) for c in others]

    def _load_switches(self, view: View) -> None:
        """Which lines each edge is part of, which are there, and how many more of each budget there may be."""
        switches = self.network.switches
        self._switches_of: list[list[int]] = [[] for _ in self.edge]
        column, at = view.columns_of(switches.edge)
        for k, switch in zip(column.tolist(), switches.switch[at].tolist(), strict=True):
            self._switches_of[k].append(switch)
        self._edges_on = [0] * len(switches)
        self._budgets_of: list[list[int]] = [[] for _ in range(len(switches))]
        self._unspent = [most for _, _, most in switches.budgets]
        for budget, (_, members, _) in enumerate(switches.budgets):
            for switch in members.tolist():
                self._budgets_of[switch].append(budget)

    def _scale_cover(self) -> None:
        """``value[k]`` of a lot where it goes, ``drain[k]`` where it comes from, in one integer unit per use."""
        uses = self.network.uses
        sources = self.network.sources
        code: list[int] = self.network.edges.factor_code[self.edge].tolist()
        factors = [factor.as_integer_ratio() for factor in self.network.edges.factors]
        drains = {i: sources.drain_factors[i].as_integer_ratio() for i in set(self.source) if sources.funded_by[i] >= 0}
        common = lcm(*{factors[c][1] for c in set(code)}, *{below for _, below in drains.values()})
        required = [r if j < uses.asking else Fraction(0) for j, r in enumerate(uses.required)]
        self.unit = [lcm(r.denominator, common * self._unit) for r in required]
        scale = [unit // self._unit for unit in self.unit]
        self.value: list[int] = [
            factors[c][0] * scale[j] // factors[c][1] * lot
            for c, lot, j in zip(code, self._lot_units, self.use, strict=True)
        ]
        self.drain: list[int] = [
            drains[i][0] * scale[j] // drains[i][1] * lot if j >= 0 else 0
            for i, lot, j in zip(self.source, self._lot_units, self.funded_by, strict=True)
        ]
        self.missing: list[int] = [r.numerator * (u // r.denominator) for r, u in zip(required, self.unit, strict=True)]
        # Only what was lacking from the start may stay so: no recall leaves an agreement with less than it requires.
        self._may_lack = [max(0, m) if j < uses.asking else 0 for j, m in enumerate(self.missing)]

    def room(self, k: int) -> int:
        """How many more lots edge ``k`` may take."""
        room = self.headroom.most(k)
        ceiling = self._ceiling[k]
        if ceiling is not None:
            room = min(room, ceiling - self.lots[k])
        if self.funded_by[k] >= self.network.uses.asking and room > 0:
            room = min(room, self._fundable(self.funded_by[k]) // self.drain[k])
        return max(0, room)

    def overdrawn(self, j: int) -> int:
        """How much more has been taken out of facility or agreement ``j`` than was put in."""
        return max(0, self.missing[j] - self._may_lack[j])

    def _fundable(self, j: int) -> int:
        """How much more could be spent of a facility, if everything it can take were given to it."""
        return sum(self.room(k) * self.value[k] for k in self.lines_of[j]) - self.missing[j]

    @cached_property
    def lot_costs(self) -> Floats:
        """What a year of a lot costs on each edge, in base currency times basis points, as near as floats come."""
        return np.array([float(value) for value in self.lot_value]) * self.cost_bps

    @cached_property
    def turns(self) -> list[int]:
        """The uses in the order in which they are filled: demands by priority, then facilities, the last ones first.

        A facility is funded after what spends it, and proceeds come only from facilities that give earlier.
        """
        uses, sources = self.network.uses, self.network.sources
        demands = sorted(range(uses.demands), key=lambda j: (uses.priority[j], j))
        if not uses.facilities:
            return demands
        gives_at = {int(j): int(t) for j, t in zip(sources.funded_by, sources.deliverable_at, strict=True)}
        return demands + sorted(uses.facilities, key=lambda j: (-gives_at[j], j))

    def rank(self, k: int) -> int:
        """The priority of the use that edge ``k`` goes to; what facilities are given comes before all calls."""
        return int(self.network.uses.priority[self.use[k]]) if self.use[k] < self.network.uses.demands else -1

    def _may_open(self, k: int) -> bool:
        """Whether the budgets leave room for a line on edge ``k``."""
        if self.lots[k]:
            return True
        if not self._switches_of[k]:
            return True
        # One edge can be two moves at once: a recall, and the line it is part of.
        needed = Counter(b for s in self._switches_of[k] if not self._edges_on[s] for b in self._budgets_of[s])
        return all(self._unspent[b] >= count for b, count in needed.items())

    @property
    def moves_left(self) -> bool:
        """Whether the budget of moves, if there is one, allows another."""
        budgets = zip(self.network.switches.budgets, self._unspent, strict=True)
        return all(unspent > 0 for (name, _, _), unspent in budgets if name == "moves")

    def opening_cost(self, k: int) -> float:
        """What the line on edge ``k`` would cost for being there, as :meth:`weighed_cost` counts it."""
        if not self._switches_of[k]:
            return 0.0
        switches = self.network.switches
        off = (s for s in self._switches_of[k] if not self._edges_on[s])
        return sum(float(switches.fixed[s] + switches.worth[s]) for s in off)

    def is_new(self, k: int) -> bool:
        """Whether a line on edge ``k`` would take up some budget."""
        return any(self._budgets_of[s] for s in self._switches_of[k] if not self._edges_on[s])

    def lines_left(self, j: int) -> int | None:
        """How many more assets call ``j`` may be given; None where nobody counts them."""
        wanted = f"call {self.network.uses.ids[j]}"
        names = (b for b, (name, _, _) in enumerate(self.network.switches.budgets) if name == wanted)
        return next((self._unspent[b] for b in names), None) if j < self.network.uses.calls else None

    def addable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may be added, a new line starting at its least quantity."""
        return min(max(wanted, self.fewest_more(k)), self.most_addable(k))

    def most_addable(self, k: int) -> int:
        """The most lots that may be added: none where that is too few for a line, or one more is not allowed."""
        room = self.room(k)
        return room if room >= self.fewest_more(k) and self._may_open(k) else 0

    def fewest_more(self, k: int) -> int:
        """Lots that the line on edge ``k`` lacks of its least quantity; none or below where it has that."""
        return self.least[k] - self._line_lots[self.line[k]]

    def removable(self, k: int, wanted: int) -> int:
        """The most lots up to ``wanted`` that may go: what is left is nothing, or at least the least quantity."""
        spare = self.headroom.spare(k)
        most = min(wanted, self.lots[k] - self.floor[k], self.lots[k] if spare is None else spare)
        most = max(0, most)
        line = self.line_lots(k)
        if line - most >= self.least[k] or most == line:
            return most
        return max(0, min(most, line - self.least[k]))

    def take_back(self, k: int, count: int) -> int:
        """Take ``count`` lots off edge ``k``, the whole line where too little would be left; never what is pinned.

        Returns what went.
        """
        if self.line_lots(k) - count < self.least[k]:
            count = self.lots[k]
        went = min(count, self.lots[k] - self.floor[k])
        if went > 0:
            self.add(k, -went)
        if 0 < self.line_lots(k) < self.least[k]:
            for other in [e for e in self.lines_of[self.use[k]] if self.line[e] == self.line[k] and self.lots[e]]:
                self.add(other, -max(0, self.lots[other] - self.floor[other]))
        return max(0, went)

    def line_lots(self, k: int) -> int:
        """Lots of the line that edge ``k`` is part of."""
        return self._line_lots[self.line[k]]

    def lines_in(self, row: int) -> list[tuple[int, int]]:
        """The edges that carry lots and use up ``row``, each with what one of its lots takes."""
        return [(k, a) for k, a in self.headroom.takers[row] if self.lots[k]]

    def add(self, k: int, count: int) -> None:
        """Put ``count`` more lots on edge ``k`` (fewer, where negative)."""
        opened = bool(self.lots[k] + count) - bool(self.lots[k])
        self.lots[k] += count
        self._weighed += count * self._lot_cost[k]
        self._line_lots[self.line[k]] += count
        self.missing[self.use[k]] -= count * self.value[k]
        if self.funded_by[k] >= 0:
            self.missing[self.funded_by[k]] += count * self.drain[k]
        self.headroom.add(k, count, opened)
        for switch in self._switches_of[k] if opened else ():
            was_on = self._edges_on[switch] > 0
            self._edges_on[switch] += opened
            self._weighed += ((self._edges_on[switch] > 0) - was_on) * self._charge[switch]
            for budget in self._budgets_of[switch]:
                self._unspent[budget] -= (self._edges_on[switch] > 0) - was_on

    @property
    def overspent_budgets(self) -> bool:
        """Whether there are more lines than some budget allows."""
        return any(unspent < 0 for unspent in self._unspent)

    def shortfall(self, j: int) -> Fraction:
        """What call ``j`` lacks, in base currency."""
        return Fraction(max(0, self.missing[j]), self.unit[j])

    def shortfalls(self) -> list[Fraction]:
        """What each call lacks, and then each agreement, in base currency."""
        return [self.shortfall(j) for j in range(self.network.uses.demands)]

    def shortfalls_by_rank(self) -> tuple[Fraction, ...]:
        """Total shortfall of the calls of each priority rank."""
        priority: list[int] = self.network.uses.priority[: self.network.uses.demands].tolist()
        totals = dict.fromkeys(sorted(set(priority)), Fraction(0))
        for j, rank in enumerate(priority):
            if self.missing[j] > 0:
                totals[rank] += self.shortfall(j)
        return tuple(totals.values())

    def cost(self) -> Fraction:
        """Yearly basis points times base currency of everything on the ledger and what stays where it lies, exact."""
        worth = (w for w, on in zip(self.network.switches.worth, self._edges_on, strict=True) if on)
        return self.weighed_cost() - sum(worth, Fraction(0))

    def weighed_cost(self) -> Fraction:
        """:meth:`cost`, and what every move must save to be worth it."""
        return Fraction(self._weighed, self._cost_unit)

    def moves(self) -> int:
        """Deliveries and recalls on the ledger, where switches count them."""
        switches = self.network.switches
        return sum(1 for move, on in zip(switches.is_move.tolist(), self._edges_on, strict=True) if move and on)

    def recalls(self) -> int:
        """How many edges recall something: of two answers of one cost, the one that moves less is better."""
        first = self.network.sources.first_posted
        return sum(1 for source, lots in zip(self.source, self.lots, strict=True) if lots and source >= first)

    def market_values(self) -> Floats:
        """Market value on each edge, for a solver."""
        unit = self._unit
        return np.array([n * v / unit if n else 0.0 for n, v in zip(self.lots, self._lot_units, strict=True)])

    def snapshot(self) -> tuple[int, ...]:
        """The lots as they stand."""
        return tuple(self.lots)

    def restore(self, lots: Sequence[int]) -> None:
        """Back to a snapshot."""
        for k, (now, then) in enumerate(zip(self.lots, lots, strict=True)):
            if now != then:
                self.add(k, then - now)


@lru_cache(maxsize=2**14)
def _lot_value(lot: float, above: int, below: int) -> Fraction:
    """Value of a lot at a price of ``above / below``: many ledgers are made of the same few."""
    return exact(lot) * Fraction(above, below)


@lru_cache(maxsize=2**14)
def _lots_for(quantity: float, lot: float) -> int:
    """How many lots make ``quantity`` at least."""
    return ceil(exact(quantity) / exact(lot))
