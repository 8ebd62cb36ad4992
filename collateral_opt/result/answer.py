"""What the optimiser decided, before it is made into tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from collateral_opt.network.exact import exact
from collateral_opt.network.network import Floats, Kind, Network
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.passes import COVERED, Flows
from collateral_opt.solve.reserves import count_reserves


@dataclass(frozen=True)
class Line:
    """One line in whole lots: from a holding or a facility to a use. Values in base currency, exact.

    ``cost`` is what the line costs over the horizon, with the movement; of proceeds, without what producing them
    costs, which is told where they are produced.
    """

    source: int
    use: int
    asset: int
    quantity: Fraction
    market_value: Fraction
    factor: Fraction
    cost: Fraction

    @cached_property
    def collateral_value(self) -> Fraction:
        return self.market_value * self.factor


@dataclass(frozen=True)
class Stay:
    """What lies at an agreement of one asset, to come back into one holding: how much of it stays, how much does not.

    Quantities in units, values in base currency, exact; ``keep_cost`` and ``recall_cost`` over the horizon.
    """

    agreement: int
    asset: int
    holding_id: str | None
    factor: Fraction
    kept: Fraction
    recalled: Fraction
    unit_value: Fraction
    keep_cost: Fraction
    recall_cost: Fraction


@dataclass(frozen=True)
class Answer:
    """Whole lots and what they leave for reserves, with the linear program that they come from.

    ``short_reserves`` [reserves] is what each lacks, ``counted`` [edges] the market value that each reserve counts.
    """

    linear: Linear
    ledger: Ledger
    short_reserves: Floats
    counted: Floats

    @classmethod
    def of(cls, linear: Linear, ledger: Ledger) -> Answer:
        """The answer that ``ledger`` holds, on the network of ``linear``."""
        return cls(linear, ledger, *count_reserves(linear.network, ledger, linear.solver, linear.limits))

    @property
    def network(self) -> Network:
        return self.linear.network

    @property
    def flows(self) -> Flows:
        return self.linear.flows

    def standing(self) -> tuple[tuple[Fraction, ...], Fraction, Fraction, int]:
        """What decides between two answers: shortfalls by priority, of reserves, cost, then how much moves."""
        ledger = self.ledger
        short = ledger.shortfalls_by_rank(), sum(self.lacking, Fraction(0))
        return *short, ledger.weighed_cost(), ledger.recalls()

    @cached_property
    def shortfalls(self) -> tuple[Fraction, ...]:
        """What each call, then each agreement, then each reserve lacks."""
        return (*self.ledger.shortfalls(), *self.lacking)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line to a call, an agreement or a facility, in the order of use and source.

        What was recalled for a use is part of the line of the holding that it joins.
        """
        network, sources = self.network, self.network.sources
        at = np.array([e for e, _ in self._moved], dtype=np.int64)
        use, source = network.edges.use[at], network.edges.source[at]
        leaves_from = np.where(sources.is_facility[source], source, sources.holding[source])
        whole: dict[tuple[int, int], list[tuple[int, Fraction]]] = defaultdict(list)
        goes_home = network.uses.kind[use] == Kind.HOME
        for j, i, home, part in zip(use.tolist(), leaves_from.tolist(), goes_home.tolist(), self._moved, strict=True):
            if not home:
                whole[j, i].append(part)
        return tuple(self._line(use, source, parts) for (use, source), parts in sorted(whole.items()))

    def _line(self, use: int, source: int, parts: Sequence[tuple[int, Fraction]]) -> Line:
        network, edges = self.network, self.network.edges
        asset = int(network.sources.asset[source])
        market_value, *more = (value for _, value in parts)
        cost, *further = (value * self._line_share(e) for e, value in parts)
        if more:
            market_value, cost = sum(more, market_value), sum(further, cost)
        fixed = self._fixed_cost("line", parts[0][0])
        return Line(
            source=source,
            use=use,
            asset=asset,
            quantity=market_value / network.assets.exact_unit_value(asset),
            market_value=market_value,
            factor=edges.factors[edges.factor_code[parts[0][0]]],
            cost=cost + fixed if fixed else cost,
        )

    @cached_property
    def parts(self) -> tuple[Line, ...]:
        """The lines in parts: what is at home and what has to be recalled from each place, with their own sources."""
        network = self.network
        if not len(network.sources.recallable):
            return self.lines
        return tuple(
            self._line(int(network.edges.use[e]), int(network.edges.source[e]), [(e, value)])
            for e, value in self._moved
            if network.uses.kind[network.edges.use[e]] != Kind.HOME
        )

    def _line_share(self, edge: int) -> Fraction:
        """What the line on ``edge`` costs where it goes over the horizon, as a share of market value."""
        sources, source = self.network.sources, int(self.network.edges.source[edge])
        bps = float(self.network.edges.cost_bps[edge])
        if sources.is_facility[source]:
            return self._share(bps, -float(sources.cost_bps[source]))
        if sources.is_posted[source]:
            return self._share(bps, float(sources.recallable.keep_bps[source - sources.first_posted]))
        return self._share(bps)

    def _fixed_cost(self, kind: str, edge: int) -> Fraction:
        """What the movement that ``edge`` is part of costs for being made, in base currency."""
        fixed = self._fixed.get((kind, edge))
        return Fraction(0) if fixed is None else fixed / 10_000 * self.network.horizon_years

    @cached_property
    def _fixed(self) -> Mapping[tuple[str, int], Fraction]:
        switches = self.network.switches
        return {
            (switches.labels[switch][0], edge): switches.fixed[switch]
            for edge, switch in zip(switches.edge.tolist(), switches.switch.tolist(), strict=True)
        }

    @cached_property
    def _moved(self) -> Sequence[tuple[int, Fraction]]:
        """Every edge that carries something, with its market value."""
        ledger = self.ledger
        return [(int(ledger.edge[k]), n * ledger.lot_value[k]) for k, n in enumerate(ledger.lots) if n]

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """What becomes of everything that lies at agreements and might move."""
        network, sources = self.network, self.network.sources
        recalled: dict[int, Fraction] = defaultdict(Fraction)
        recall_cost: dict[int, Fraction] = {}
        for e, market_value in self._moved:
            source = int(network.edges.source[e])
            if sources.is_posted[source]:
                line_at = int(sources.recallable.line[source - sources.first_posted])
                recalled[line_at] += market_value
                recall_cost[line_at] = self._fixed_cost("recall", e)
        merged: dict[tuple[int, int, str], Stay] = {}
        for at, (line, bps) in enumerate(zip(network.posted, network.keep_bps, strict=True)):
            gone, cost = recalled[at], recall_cost.get(at, Fraction(0))
            unit_value = network.assets.exact_unit_value(line.asset)
            key = (line.agreement, line.asset, line.holding_id or "")
            before = merged.get(key)
            keep = (line.market_value - gone) * self._share(float(bps))
            merged[key] = Stay(
                agreement=line.agreement,
                asset=line.asset,
                holding_id=line.holding_id,
                factor=line.factor or Fraction(0),
                kept=line.quantity - gone / unit_value + (before.kept if before else 0),
                recalled=gone / unit_value + (before.recalled if before else 0),
                unit_value=unit_value,
                keep_cost=keep + (before.keep_cost if before else 0),
                # Several rows of one kind are one movement.
                recall_cost=max(cost, before.recall_cost) if before else cost,
            )
        return tuple(merged.values())

    @cached_property
    def prices(self) -> Mapping[tuple[str, ...], float]:
        """The price of each row of the program, in basis points a year.

        Where lines cost something for being there, or may not be of any size, they are those of the lines chosen.
        """
        if not len(self.network.switches) and not self.network.has_least.any():
            return self.flows.duals
        short = np.array([float(s) for s in self.shortfalls])
        found = self.linear.passes.prices_with(self.delivered + self.counted, short)
        return self.flows.duals if found is None else found

    @property
    def moves(self) -> int:
        """Deliveries to calls and agreements, and recalls."""
        delivered = sum(1 for line in self.lines if line.use < self.network.uses.demands)
        return delivered + sum(1 for stay in self.stays if stay.recalled)

    @cached_property
    def recalls(self) -> Mapping[tuple[int, int], Fraction]:
        """Units recalled, by the posted line they lay in and the use they are for (home: nobody waits)."""
        network, sources = self.network, self.network.sources
        units: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        for e, market_value in self._moved:
            source = int(network.edges.source[e])
            if sources.is_posted[source]:
                line = int(sources.recallable.line[source - sources.first_posted])
                unit_value = network.assets.exact_unit_value(int(sources.asset[source]))
                units[line, int(network.edges.use[e])] += market_value / unit_value
        return units

    @cached_property
    def recalled_into(self) -> Mapping[str, Fraction]:
        """By holding: units that come back into it."""
        into: dict[str, Fraction] = defaultdict(Fraction)
        for stay in self.stays:
            if stay.holding_id is not None:
                into[stay.holding_id] += stay.recalled
        return into

    @cached_property
    def lacking(self) -> tuple[Fraction, ...]:
        """What each reserve lacks; less than the solver's tolerance is nothing."""
        uses = self.network.uses
        required = uses.required[uses.demands : uses.asking]
        return tuple(
            exact(short) if short > COVERED * 10 * float(needed) else Fraction(0)
            for short, needed in zip(self.short_reserves.tolist(), required, strict=True)
        )

    def _share(self, *bps: float) -> Fraction:
        """What so many basis points a year, together, come to over the horizon, as a share of a value."""
        if bps not in self._shares:
            self._shares[bps] = sum(map(exact, bps), Fraction(0)) / 10_000 * self.network.horizon_years
        return self._shares[bps]

    @cached_property
    def _shares(self) -> dict[tuple[float, ...], Fraction]:
        return {}

    @cached_property
    def delivered(self) -> Floats:
        """Market value that moves on each edge of the network."""
        flow = np.zeros(len(self.network.edges))
        flow[self.ledger.edge] = self.ledger.market_values()
        return flow

    def produced(self, source: int) -> Fraction:
        """Market value of what is spent of a facility."""
        return sum((line.market_value for line in self.lines if line.source == source), Fraction(0))

    def production_cost(self, source: int) -> Fraction:
        """What producing that costs over the horizon, paid once or by the day."""
        return self.produced(source) * self._share(float(self.network.sources.cost_bps[source]))
