"""Builds the network of a book: an edge for each source that is deliverable to a use, and the limits upon them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from collateral_opt.network.pins import Pins
from collateral_opt.network.releases import leave_by, releases
from collateral_opt.network.switches import switches
from eligibility_rules import Match, Refusal


def build_network(book: Book) -> Network:
    """Everything deliverable in ``book`` and everything that asks for it."""
    facts = gather(book)
    costs = PairCosts(facts)
    keep_bps = [costs.keeping(line) for line in facts.posted]
    if facts.reoptimises:
        facts = _with_keep_costs(facts, keep_bps)
        costs = PairCosts(facts)
    pins = Pins(facts)
    reach = SourceReach(facts, pins)
    edges = _edges(facts, reach, costs)
    asked, pinned = pins.on(edges)
    stays = [line.market_value * exact(bps) for line, bps in zip(facts.posted, keep_bps, strict=True)]
    horizon_years = exact(book.settings.horizon_days) / exact(book.settings.day_count)
    return Network(
        assets=facts.assets,
        agreement_ids=facts.agreements.ids,
        facility_ids=facts.facilities["facility_id"].tolist(),
        sources=facts.sources,
        uses=facts.uses,
        edges=edges,
        limits=limit_blocks(facts, edges),
        reach=reach,
        horizon_years=horizon_years,
        releases=releases(facts, edges),
        switches=switches(facts, edges, horizon_years),
        pins=asked,
        pinned=pinned,
        posted=facts.posted if facts.reoptimises else (),
        keep_bps=keep_bps if facts.reoptimises else (),
        leave_by=leave_by(facts, edges),
        standing_cost=sum(stays, Fraction(0)) if facts.reoptimises else Fraction(0),
    )


def _with_keep_costs(facts: Facts, keep_bps: Sequence[float]) -> Facts:
    """``facts`` in which what may be recalled knows what leaving it there costs."""
    recallable = facts.sources.recallable
    recallable = replace(recallable, keep_bps=np.array(keep_bps, dtype=np.float64)[recallable.line])
    return replace(facts, sources=replace(facts.sources, recallable=recallable))


class SourceReach:
    """Which sources reach a use: eligible, not wrong-way, alive and in time; a reserve counts holdings only.

    What is recalled does not go back to where it came from, nor anywhere but home without a holding to come back into.
    """

    def __init__(self, facts: Facts, pins: Pins) -> None:
        self._facts = facts
        self._pins = pins
        self._maturity = facts.asset_frame["maturity_date"].to_numpy(dtype="datetime64[ns]")
        self._nothing_held = facts.sources.quantity <= 0
        # What is recalled into an empty holding is at home there, and a reserve may count it.
        may_fill = np.zeros(len(facts.sources), dtype=bool)
        may_fill[facts.sources.recallable.joins[facts.sources.recallable.joins >= 0]] = True
        self._nothing_counted = self._nothing_held & ~may_fill

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
                facts.wrong_way(use),
                self._maturity < facts.terms.last_day[use].astype("datetime64[ns]"),
            ],
            [Barrier.INELIGIBLE, Barrier.WRONG_WAY, Barrier.MATURES],
            Barrier.NONE,
        )
        found = by_asset[facts.sources.asset]
        is_reserve = facts.uses.kind[use] == Kind.RESERVE
        nothing = (
            (self._nothing_counted if is_reserve else self._nothing_held)
            | self._stays_away(use)
            | (facts.uses.size[use] <= 0)
        )
        late = self._late(use) & ~self._pins.sent(use)
        for stands, barrier in (
            (late, Barrier.LATE),
            (nothing, Barrier.NOTHING_HELD),
            (self._pins.forbidden(use), Barrier.FORBIDDEN),
        ):
            found = np.where((found == Barrier.NONE) & stands, barrier, found)
        return found.astype(np.int8)

    def undecided(self, use: int) -> Bools:
        """Sources that are not eligible there only because a fact is missing."""
        missing = np.isin(self.match(use).refused, [Refusal.RULE_UNKNOWN, Refusal.EXCLUSION_UNKNOWN])
        return np.asarray(missing[self._facts.sources.asset])

    def why(self, use: int, source: int) -> str:
        """What stands between a source and a use, in a sentence; empty where nothing does."""
        barrier = Barrier(int(self.barriers(use)[source]))
        if barrier == Barrier.INELIGIBLE:
            return self.match(use).why(int(self._facts.sources.asset[source])).sentence.rstrip(".")
        return _SENTENCES[barrier]

    def _stays_away(self, use: int) -> Bools:
        """What is recalled and could not be handed over there as part of a holding."""
        sources, agreement = self._facts.sources, self._facts.uses.agreement[use]
        nowhere = sources.is_posted & (sources.holding < 0)
        back = sources.is_posted & (sources.lies_at == agreement)
        pinned = sources.is_posted & np.isin(sources.holding, self._pins.holdings(use))
        return np.asarray(nowhere | back | pinned)

    def _late(self, use: int) -> Bools:
        """Sources that cannot have arrived; for a facility only proceeds that were there before, so nothing circles."""
        sources, terms, kind = self._facts.sources, self._facts.terms, self._facts.uses.kind[use]
        if kind == Kind.RESERVE:
            return ~sources.is_holding
        if terms.open_ended[use]:
            return np.zeros(len(sources), dtype=bool)
        late = sources.deliverable_at > terms.due[use]
        if kind == Kind.FACILITY:
            late |= sources.is_facility & (sources.deliverable_at >= terms.due[use])
        return np.asarray(late)


_SENTENCES = {
    Barrier.NONE: "",
    Barrier.INELIGIBLE: "the schedule in force there does not take it",
    Barrier.WRONG_WAY: "it is issued inside the counterparty's family",
    Barrier.MATURES: "it matures before the call is due",
    Barrier.LATE: "it cannot have arrived in time",
    Barrier.NOTHING_HELD: "nothing of it is held",
    Barrier.FORBIDDEN: "a pin forbids it",
}


def _edges(facts: Facts, reach: SourceReach, costs: PairCosts) -> Edges:
    """An edge for every source without a barrier, use by use."""
    sources, uses = facts.sources, facts.uses
    codes: dict[Fraction, int] = {}
    source, use, code, cost = [], [], [], []
    for j, kind in enumerate(uses.kind.tolist()):
        if kind == Kind.HOME:
            at = np.flatnonzero(sources.is_posted & (sources.quantity > 0))
            shared_code = np.full(len(at), codes.setdefault(Fraction(1), len(codes)), dtype=np.int64)
            bps = -sources.recallable.keep_bps[at - sources.first_posted]
        else:
            at = np.flatnonzero(reach.barriers(j) == Barrier.NONE)
            matched = reach.match(j)
            shared = np.array([codes.setdefault(f, len(codes)) for f in matched.factors] or [0], dtype=np.int64)
            shared_code, bps = shared[matched.factor_code[sources.asset[at]]], costs.of_use(j)[at]
        source.append(at)
        use.append(np.full(len(at), j))
        code.append(shared_code)
        cost.append(bps)
    return Edges(
        source=_joined(source).astype(np.int64),
        use=_joined(use).astype(np.int64),
        factor_code=_joined(code).astype(np.int64),
        factors=tuple(codes),
        cost_bps=_joined(cost).astype(np.float64),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
