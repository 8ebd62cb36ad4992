"""What the optimiser decided, before it is made into tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from collateral_opt.errors import InfeasibleError
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Floats, Network
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import COVERED, Flows, Passes, cost_bound


@dataclass(frozen=True)
class Line:
    """One line in whole lots: from a source to a use. Values in base currency, exact.

    ``cost`` is what the line costs over the horizon; of proceeds, without what producing them costs, which is told
    where they are produced.
    """

    source: int
    use: int
    asset: int
    quantity: Fraction
    market_value: Fraction
    factor: Fraction
    cost: Fraction

    @property
    def collateral_value(self) -> Fraction:
        return self.market_value * self.factor


@dataclass(frozen=True)
class Answer:
    """Whole lots and what they leave for reserves, with the linear program that they come from.

    ``short_reserves`` [reserves] is what each lacks, ``counted`` [edges] the market value that each reserve counts.
    """

    network: Network
    passes: Passes
    flows: Flows
    ledger: Ledger
    short_reserves: Floats
    counted: Floats

    def standing(self) -> tuple[tuple[Fraction, ...], Fraction, Fraction]:
        """What decides between two answers: shortfalls by priority, of reserves, then cost."""
        return self.ledger.shortfalls_by_rank(), sum(self.lacking, Fraction(0)), self.ledger.cost()

    @cached_property
    def shortfalls(self) -> tuple[Fraction, ...]:
        """What each call and then each reserve lacks."""
        return (*self.ledger.shortfalls(), *self.lacking)

    def bound_for(self, shortfalls: Sequence[Fraction]) -> float:
        """The least cost on this road of any answer no shorter than ``shortfalls``; infinite where there is none.

        In base currency times yearly basis points.
        """
        try:
            return cost_bound(self.passes, self.flows, shortfalls)
        except InfeasibleError:
            return float("inf")

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line, in the order of use and source."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[Line]:
        network, ledger = self.network, self.ledger
        for k, lots in enumerate(ledger.lots):
            if not lots:
                continue
            e = int(ledger.edge[k])
            source = int(network.edges.source[e])
            asset = int(network.sources.asset[source])
            market_value = lots * ledger.lot_value[k]
            bps = exact(network.edges.cost_bps[e])
            if network.sources.is_facility[source]:
                bps -= exact(network.sources.cost_bps[source])
            yield Line(
                source=source,
                use=int(network.edges.use[e]),
                asset=asset,
                quantity=lots * exact(network.assets.lot[asset]),
                market_value=market_value,
                factor=network.edges.factors[network.edges.factor_code[e]],
                cost=self.over_horizon(market_value, bps),
            )

    @cached_property
    def lacking(self) -> tuple[Fraction, ...]:
        """What each reserve lacks; less than the solver's tolerance is nothing."""
        uses = self.network.uses
        required = uses.required[uses.calls : uses.asking]
        return tuple(
            exact(short) if short > COVERED * 10 * float(needed) else Fraction(0)
            for short, needed in zip(self.short_reserves.tolist(), required, strict=True)
        )

    def over_horizon(self, market_value: Fraction, bps: Fraction) -> Fraction:
        """What ``bps`` a year cost over the horizon."""
        return market_value * bps / 10_000 * self.network.horizon_years

    @cached_property
    def delivered(self) -> Floats:
        """Market value on each edge of the network, to calls and facilities."""
        flow = np.zeros(len(self.network.edges))
        flow[self.ledger.edge] = self.ledger.market_values()
        return flow

    def produced(self, source: int) -> Fraction:
        """Market value of what is spent of a facility."""
        return sum((line.market_value for line in self.lines if line.source == source), Fraction(0))

    def production_cost(self, source: int) -> Fraction:
        """What producing that costs over the horizon, paid once or by the day."""
        return self.over_horizon(self.produced(source), exact(self.network.sources.cost_bps[source]))
