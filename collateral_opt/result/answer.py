"""What the optimiser decided, before it is made into tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from collateral_opt.model.right_sides import marginal_costs
from collateral_opt.network.exact import Ratio, exact, plus
from collateral_opt.network.network import Floats, Kind, Network
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.passes import COVERED, Flows
from collateral_opt.solve.reserves import count_reserves


class Line(NamedTuple):
    """One line in whole lots: from a holding or a facility to a use. Values in base currency, exact.

    ``cost`` is what the line costs over the horizon, with the movement; of proceeds, without what producing them
    costs, which is told where they are produced. ``units``, ``worth``, ``counts`` and ``paid`` are quantity, market
    value, collateral value and cost as ratios.
    """

    source: int
    use: int
    asset: int
    factor: Fraction
    units: Ratio
    worth: Ratio
    paid: Ratio

    @property
    def quantity(self) -> Fraction:
        return Fraction(*self.units)

    @property
    def market_value(self) -> Fraction:
        return Fraction(*self.worth)

    @property
    def cost(self) -> Fraction:
        return Fraction(*self.paid)

    @property
    def counts(self) -> Ratio:
        (worth, part), (factor, of) = self.worth, self.factor.as_integer_ratio()
        return worth * factor, part * of

    @property
    def collateral_value(self) -> Fraction:
        return Fraction(*self.counts)


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
        sources = self.network.sources
        if not len(sources.recallable):
            return self.parts
        leaves_from = np.where(sources.is_facility, np.arange(len(sources)), sources.holding).tolist()
        whole: dict[tuple[int, int], list[tuple[int, Line]]] = defaultdict(list)
        for edge, line in self._carried:
            whole[line.use, leaves_from[line.source]].append((edge, line))
        return tuple(self._joined(source, parts) for (_, source), parts in sorted(whole.items()))

    @cached_property
    def parts(self) -> tuple[Line, ...]:
        """The lines in parts: what is at home and what has to be recalled from each place, with their own sources."""
        if not self._fixed:
            return tuple(line for _, line in self._carried)
        return tuple(self._joined(line.source, [(edge, line)]) for edge, line in self._carried)

    def _joined(self, source: int, parts: Sequence[tuple[int, Line]]) -> Line:
        """One line out of ``source`` of what several edges to one use carry, with the cost of its movement."""
        (edge, line), *more = parts
        units, worth, paid = line.units, line.worth, line.paid
        for _, part in more:
            units, worth, paid = plus(units, part.units), plus(worth, part.worth), plus(paid, part.paid)
        if self._fixed:
            paid = plus(paid, self._fixed_cost("line", edge).as_integer_ratio())
        return line._replace(source=source, units=units, worth=worth, paid=paid)

    @cached_property
    def _carried(self) -> Sequence[tuple[int, Line]]:
        """Edges to calls, agreements and facilities that carry something, each with its line as if it were all that is
        there, without what the movement costs for being made."""
        network, ledger = self.network, self.ledger
        edges, factors = network.edges, network.edges.factors
        at = np.flatnonzero(ledger.lots)
        at = at[network.uses.kind[edges.use[ledger.edge[at]]] != Kind.HOME]
        # Edges stand in the order of use and source.
        at = at[np.argsort(ledger.edge[at], kind="stable")]
        edge = ledger.edge[at]
        source = edges.source[edge]
        columns = (
            at, edge, source, edges.use[edge], network.edge_asset[edge], edges.factor_code[edge],
            network.lot[edge], edges.cost_bps[edge], -self._elsewhere[source],
        )  # fmt: skip
        found = []
        for k, e, i, j, asset, code, lot, bps, less in zip(*(c.tolist() for c in columns), strict=True):
            lots, (units, unit) = ledger.lots[k], exact(lot).as_integer_ratio()
            worth, part = ledger.lot_value[k].as_integer_ratio()
            share, of = self._share(bps, less).as_integer_ratio()
            line = Line(
                source=i,
                use=j,
                asset=asset,
                factor=factors[code],
                units=(lots * units, unit),
                worth=(lots * worth, part),
                paid=(lots * worth * share, part * of),
            )
            found.append((e, line))
        return found

    @cached_property
    def takers(self) -> Sequence[tuple[str | None, str]]:
        """By use that counterparties ask for: call (None: what is beside its calls) and agreement."""
        uses, names = self.network.uses, self.network.agreement_ids
        calls = [*uses.ids[: uses.calls], *[None] * (uses.demands - uses.calls)]
        return [(call, names[at]) for call, at in zip(calls, uses.agreement.tolist(), strict=False)]

    @cached_property
    def givers(self) -> Sequence[tuple[str | None, str | None]]:
        """By source: the holding that it is, or joins, and the facility that it is; None for none."""
        sources, names = self.network.sources, self.network.sources.ids
        columns = zip(names, sources.holding.tolist(), sources.is_facility.tolist(), strict=True)
        return [(None if at < 0 else names[at], name if is_facility else None) for name, at, is_facility in columns]

    @cached_property
    def _elsewhere(self) -> Floats:
        """By source: what its edges cost a year that is told elsewhere than in their lines: producing what a facility
        gives, and, taken off, keeping what is recalled."""
        sources = self.network.sources
        bps = np.where(sources.is_facility, sources.cost_bps, 0.0)
        bps[sources.first_posted :] = -sources.recallable.keep_bps
        return bps

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
    def _recalled(self) -> Sequence[tuple[int, int, Fraction]]:
        """Every edge that recalls something, the posted line it lies in, and its market value."""
        ledger, sources = self.ledger, self.network.sources
        if not len(sources.recallable):
            return []
        at = np.flatnonzero(ledger.lots)
        at = at[sources.is_posted[self.network.edges.source[ledger.edge[at]]]]
        edge = ledger.edge[at]
        line = sources.recallable.line[self.network.edges.source[edge] - sources.first_posted]
        found = zip(at.tolist(), edge.tolist(), line.tolist(), strict=True)
        return [(e, line_at, ledger.lots[k] * ledger.lot_value[k]) for k, e, line_at in found]

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """What becomes of everything that lies at agreements and might move."""
        network = self.network
        recalled: dict[int, Fraction] = defaultdict(Fraction)
        recall_cost: dict[int, Fraction] = {}
        for e, line_at, market_value in self._recalled:
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
        found = self.linear.passes.prices_with(self.delivered + self.counted, short, self.flows.duals)
        return self.flows.duals if found is None else found

    @cached_property
    def marginal_costs(self) -> Floats:
        """What one more unit of each use that asks costs [uses that ask], in basis points a year."""
        return marginal_costs(self.network, self.prices)

    @property
    def moves(self) -> int:
        """Deliveries to calls and agreements, and recalls."""
        delivered = sum(1 for line in self.lines if line.use < self.network.uses.demands)
        return delivered + sum(1 for stay in self.stays if stay.recalled)

    @cached_property
    def recalls(self) -> Mapping[tuple[int, int], Fraction]:
        """Units recalled, by the posted line they lay in and the use they are for (home: nobody waits)."""
        network = self.network
        units: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
        for e, line, market_value in self._recalled:
            unit_value = network.assets.exact_unit_value(int(network.edge_asset[e]))
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
