"""Builds the network of a book: an edge for each source that is deliverable to a use, and the limits upon them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collateral_opt.book import Book
from collateral_opt.network.costs import PairCosts
from collateral_opt.network.exact import exact
from collateral_opt.network.facts import Facts, gather
from collateral_opt.network.limits import limit_blocks
from collateral_opt.network.network import Barrier, Bools, Edges, Kind, Network
from eligibility_rules import Match, Refusal


def build_network(book: Book) -> Network:
    """Everything deliverable in ``book`` and everything that asks for it."""
    facts = gather(book)
    reach = SourceReach(facts)
    edges = _edges(facts, reach)
    return Network(
        assets=facts.assets,
        agreement_ids=facts.agreements.ids,
        facility_ids=facts.facilities["facility_id"].tolist(),
        sources=facts.sources,
        uses=facts.uses,
        edges=edges,
        limits=limit_blocks(facts, edges),
        reach=reach,
        horizon_years=exact(book.settings.horizon_days) / exact(book.settings.day_count),
    )


class SourceReach:
    """Which sources reach a use: eligible, not wrong-way, alive and in time; a reserve counts holdings only."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._maturity = facts.asset_frame["maturity_date"].to_numpy(dtype="datetime64[ns]")
        self._nothing_held = facts.sources.quantity <= 0

    def match(self, use: int) -> Match:
        """The match of the schedule in force at one use."""
        facts = self._facts
        return facts.eligibility.match(
            facts.uses.schedule[use], facts.terms.currency[use], facts.terms.margin_type[use]
        )

    def barriers(self, use: int) -> NDArray[np.int8]:
        """The first :class:`Barrier` before each source, for one use."""
        facts = self._facts
        by_asset = np.select(
            [
                ~self.match(use).eligible,
                facts.wrong_way(facts.terms.family[use], facts.uses.schedule[use]),
                self._maturity < facts.terms.last_day[use].astype("datetime64[ns]"),
            ],
            [Barrier.INELIGIBLE, Barrier.WRONG_WAY, Barrier.MATURES],
            Barrier.NONE,
        )
        nothing = self._nothing_held | (facts.uses.required[use] <= 0)
        found = by_asset[facts.sources.asset]
        found = np.where((found == Barrier.NONE) & self._late(use), Barrier.LATE, found)
        return np.where((found == Barrier.NONE) & nothing, Barrier.NOTHING_HELD, found).astype(np.int8)

    def undecided(self, use: int) -> Bools:
        """Sources that are not eligible there only because a fact is missing."""
        missing = np.isin(self.match(use).refused, [Refusal.RULE_UNKNOWN, Refusal.EXCLUSION_UNKNOWN])
        return np.asarray(missing[self._facts.sources.asset])

    def _late(self, use: int) -> Bools:
        """Sources that cannot have arrived; for a facility only proceeds that were there before, so nothing circles."""
        sources, terms, kind = self._facts.sources, self._facts.terms, self._facts.uses.kind[use]
        if kind == Kind.RESERVE:
            return sources.is_facility
        if terms.open_ended[use]:
            return np.zeros(len(sources), dtype=bool)
        late = sources.deliverable_at > terms.due[use]
        if kind == Kind.FACILITY:
            late |= sources.is_facility & (sources.deliverable_at >= terms.due[use])
        return np.asarray(late)


def _edges(facts: Facts, reach: SourceReach) -> Edges:
    """An edge for every source without a barrier, use by use."""
    costs = PairCosts(facts)
    sources, uses = facts.sources, facts.uses
    codes: dict[Fraction, int] = {}
    source, use, code, cost = [], [], [], []
    for j in range(len(uses)):
        at = np.flatnonzero(reach.barriers(j) == Barrier.NONE)
        matched = reach.match(j)
        shared = np.array([codes.setdefault(f, len(codes)) for f in matched.factors] or [0], dtype=np.int64)
        source.append(at)
        use.append(np.full(len(at), j))
        code.append(shared[matched.factor_code[sources.asset[at]]])
        cost.append(costs.of_use(j)[at])
    return Edges(
        source=_joined(source).astype(np.int64),
        use=_joined(use).astype(np.int64),
        factor_code=_joined(code).astype(np.int64),
        factors=tuple(codes),
        cost_bps=_joined(cost).astype(np.float64),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
