"""From a book to its network: an edge for each source that is deliverable to a use, and the limits upon them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collateral_opt.book import Book
from collateral_opt.network.costs import PairCosts
from collateral_opt.network.exact import exact
from collateral_opt.network.facts import Facts, gather
from collateral_opt.network.limits import could_be_full, limit_blocks
from collateral_opt.network.network import (
    Barrier,
    Bools,
    Edges,
    Floats,
    Ints,
    Kind,
    LimitBlock,
    LimitKinds,
    Network,
)
from collateral_opt.network.pins import Pins
from collateral_opt.network.releases import leave_by, releases
from collateral_opt.network.switches import counts_lines, switches
from eligibility_rules import Match, Refusal

NEVER = np.iinfo(np.int64).max
"""After every day."""


def build_network(book: Book) -> Network:
    """Everything deliverable in ``book`` and everything that asks for it."""
    return Problem(gather(book)).network()


class Problem:
    """What decides of any source and use whether they form a pair, at which factor and cost, under which limits.

    Networks are made of it: of all pairs, or of some. ``whole`` is the problem that this one stands for, if any: what
    there is, is asked of that. From one ``near`` this one it takes over who reaches whom, at which cost, and what there
    is, where that is the same.
    """

    def __init__(self, facts: Facts, whole: Problem | None = None, near: Problem | None = None) -> None:
        costs = PairCosts(facts, None if near is None else near._costs)
        self.keep_bps = [costs.keeping(line) for line in facts.posted]
        if facts.reoptimises:
            facts = _with_keep_costs(facts, self.keep_bps)
            costs = PairCosts(facts)
        self.facts = facts
        self.pins = Pins(facts)
        self.reach = SourceReach(facts, self.pins)
        self._costs: PairCosts = costs
        known = near if near is not None and self.reach.is_as(near.reach) else None
        # Copies: near one problem there may be thousands of others, and it outlives them. What they find is theirs.
        self._open: dict[tuple[Hashable, ...], Ints] = {} if known is None else known._open.copy()
        self._met: dict[tuple[Hashable, ...], Bools] = {} if known is None else known._met.copy()
        self._whole = whole
        self._most: dict[LimitKinds, Floats] = {}
        if near is not None and facts.sources is near.facts.sources and facts.assets is near.facts.assets:
            self._most = {kinds: near._most[kinds] for kinds in facts.eligibility.known_kinds & near._most.keys()}

    def open_to(self, use: int) -> Ints:
        """The sources from which ``use`` may be given something, in their order."""
        key = self.reach.kind_of(use)
        if key not in self._open:
            sources = self.facts.sources
            self._open[key] = np.flatnonzero(
                sources.is_posted & (sources.quantity > 0)
                if self.facts.uses.kind[use] == Kind.HOME
                else ~np.logical_or.reduce([*self.reach.all_barriers(use).values()])
            )
        return self._open[key]

    def assets_met(self, uses: Ints) -> Bools:
        """Per asset: something of it may be given to one of ``uses`` at least."""
        like = {self.reach.kind_of(j): j for j in uses.tolist()}
        key = tuple(like)
        if key not in self._met:
            met = np.zeros(len(self.facts.assets.ids), dtype=bool)
            for j in like.values():
                met[self.facts.sources.asset[self.open_to(j)]] = True
            self._met[key] = met
        return self._met[key]

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return sum(len(self.open_to(j)) for j in range(len(self.facts.uses)))

    @property
    def call_pairs(self) -> int:
        """How many pairs there are of a source and a call."""
        return sum(len(self.open_to(j)) for j in range(self.facts.uses.calls))

    def edges(self, only: Callable[[int], Ints] | None = None) -> Edges:
        """Every pair, use by use; or, of the sources open to each use, those among what ``only`` names."""
        sources, uses = self.facts.sources, self.facts.uses
        codes: dict[Fraction, int] = {}
        shared: dict[Match, Ints] = {}
        source, code, cost = [], [], []
        for j, kind in enumerate(uses.kind.tolist()):
            at = self.open_to(j)
            if only is not None:
                named = np.zeros(len(sources), dtype=bool)
                named[only(j)] = True
                at = at[named[at]]
            if kind == Kind.HOME:
                factor = np.full(len(at), codes.setdefault(Fraction(1), len(codes)), dtype=np.int64)
                bps = -sources.recallable.keep_bps[at - sources.first_posted]
            else:
                matched = self.reach.match(j)
                if matched not in shared:
                    known = [codes.setdefault(f, len(codes)) for f in matched.factors]
                    shared[matched] = np.array(known or [0], dtype=np.int64)
                factor = shared[matched][matched.factor_code[sources.asset[at]]]
                bps = self._costs.of_use(j)[at] if len(at) else np.zeros(0)
            source.append(at)
            code.append(factor)
            cost.append(bps)
        return Edges(
            source=_joined(source).astype(np.int64, copy=False),
            use=np.repeat(np.arange(len(uses)), [len(at) for at in source]),
            factor_code=_joined(code).astype(np.int64, copy=False),
            factors=tuple(codes),
            cost_bps=_joined(cost).astype(np.float64, copy=False),
        )

    @cached_property
    def no_edges(self) -> Edges:
        """Not one of the pairs."""
        nothing = np.zeros(0, dtype=np.int64)
        return Edges(nothing, nothing, nothing, (), np.zeros(0))

    def limits(self, edges: Edges, *, all_groups: bool = True) -> Sequence[LimitBlock]:
        """The limits upon ``edges``; their groups are those of all pairs, or else those that ``edges`` touch."""
        return limit_blocks(self.facts, edges, self.there_is, self.assets_met if all_groups else None)

    @cached_property
    def counts_lines(self) -> bool:
        """Whether a line can cost something for being there, or lines are counted."""
        return counts_lines(self.facts)

    def cash_return(self, use: int) -> Floats:
        """Per source: what a year of it earns at ``use``, in basis points of market value; its cost is after that."""
        return self._costs.earned_at(use)

    def rows(self) -> Iterator[tuple[int, Ints, Floats, Floats]]:
        """Use by use the sources open to it, their collateral factors there, and what a year costs in basis points."""
        for j in range(len(self.facts.uses)):
            at = self.open_to(j)
            yield j, at, self.reach.match(j).factor[self.facts.sources.asset[at]], self._costs.of_use(j)[at]

    @cached_property
    def could_be_full(self) -> Mapping[LimitKinds, Bools]:
        """Of every limit of schedules in force, the groups that could be full somewhere."""
        return could_be_full(self.facts, self.no_edges, self.there_is)

    def there_is(self, kinds: LimitKinds) -> Floats:
        """By group what all sources together could count for at most; none counts for more than its market value."""
        if self._whole is not None:
            return self._whole.there_is(kinds)
        if kinds not in self._most:
            sources, assets = self.facts.sources, self.facts.assets
            counts = sources.quantity * (1.0 if kinds.measure == "quantity" else assets.unit_value[sources.asset])
            group = kinds.group[sources.asset]
            inside = group >= 0
            most = np.bincount(group[inside], weights=counts[inside], minlength=kinds.groups)
            self._most[kinds] = most.astype(np.float64)
        return self._most[kinds]

    def network(self, edges: Edges | None = None, *, all_groups: bool = True) -> Network:
        """The network of ``edges``, or of all pairs; see :meth:`limits`."""
        facts, edges = self.facts, self.edges() if edges is None else edges
        asked, pinned = self.pins.on(edges)
        stays = [line.market_value * exact(bps) for line, bps in zip(facts.posted, self.keep_bps, strict=True)]
        horizon_years = exact(facts.book.settings.horizon_days) / exact(facts.book.settings.day_count)
        return Network(
            assets=facts.assets,
            agreement_ids=facts.agreements.ids,
            facility_ids=facts.facilities["facility_id"].tolist(),
            sources=facts.sources,
            uses=facts.uses,
            edges=edges,
            call_pairs=self.call_pairs,
            limits=self.limits(edges, all_groups=all_groups),
            reach=self.reach,
            horizon_years=horizon_years,
            releases=releases(facts, edges),
            switches=switches(facts, edges, horizon_years),
            pins=asked,
            pinned=pinned,
            posted=facts.posted if facts.reoptimises else (),
            keep_bps=self.keep_bps if facts.reoptimises else (),
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
        self._maturity = facts.asset_frame["maturity_date"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
        # What never matures is alive on every day.
        self._maturity[np.isnat(self._maturity.view("datetime64[ns]"))] = NEVER
        self._nothing_held = facts.sources.quantity <= 0
        # What is recalled into an empty holding is at home there, and a reserve may count it.
        may_fill = np.zeros(len(facts.sources), dtype=bool)
        may_fill[facts.sources.recallable.joins[facts.sources.recallable.joins >= 0]] = True
        self._nothing_counted = self._nothing_held & ~may_fill

    def is_as(self, other: SourceReach) -> bool:
        """Whether uses of one :meth:`kind_of` are reached by the same sources here as there."""
        here, there = self._facts, other._facts
        mine, theirs = here.sources, there.sources
        if here.reoptimises or there.reoptimises or here.book.pins is not there.book.pins:
            return False
        if not here.eligibility.answers_as(there.eligibility):
            return False
        if here.agreements.ids != there.agreements.ids or mine.ids != theirs.ids:
            return False
        if here.asset_frame is not there.asset_frame and any(
            not here.asset_frame[name].equals(there.asset_frame[name]) for name in ("issuer", "issuer_parent")
        ):
            return False
        alike = [
            (mine.asset, theirs.asset),
            (mine.is_facility, theirs.is_facility),
            (mine.deliverable_at, theirs.deliverable_at),
            (self._nothing_held, other._nothing_held),
            (self._maturity, other._maturity),
        ]
        return all(one is two or np.array_equal(one, two) for one, two in alike)

    def kind_of(self, use: int) -> tuple[Hashable, ...]:
        """Uses alike in this are reached by the same sources, at the same factors."""
        return self._kinds[use]

    @cached_property
    def _kinds(self) -> Sequence[tuple[Hashable, ...]]:
        uses = self._facts.uses
        found: list[tuple[Hashable, ...]] = []
        for use, (kind, asks) in enumerate(zip(uses.kind.tolist(), (uses.size > 0).tolist(), strict=True)):
            if kind == Kind.HOME:
                found.append((kind,))
            else:
                own = uses.ids[use] if kind == Kind.FACILITY or self._pins.name(use) else None
                found.append((kind, *self.read_as(use), self.arrival(use), asks, own))
        return found

    def read_as(self, use: int) -> tuple[Hashable, ...]:
        """Under which terms a use takes what it takes."""
        uses, terms = self._facts.uses, self._facts.terms
        terms_there = terms.currency[use], terms.margin_type[use], terms.family[use]
        return (int(uses.agreement[use]), uses.schedule[use], *terms_there)

    def arrival(self, use: int) -> tuple[int, int]:
        """How many of all times of arrival are soon enough for a use, and how many maturities too soon."""
        return self._arrivals[use]

    @cached_property
    def timing(self) -> Ints:
        """Sources alike in this have arrived for the same uses."""
        terms = self._facts.terms
        return np.searchsorted(np.unique(terms.due[~terms.open_ended]), self._facts.sources.deliverable_at)

    @cached_property
    def maturing(self) -> Ints:
        """Assets alike in this mature too soon for the same uses."""
        return np.searchsorted(np.unique(self._facts.terms.last_day), self._maturity, "right")

    def matures_before(self, use: int) -> Bools:
        """Assets that are not taken there any more, so soon do they mature."""
        return np.asarray(self._maturity < self._facts.terms.last_day[use])

    @cached_property
    def _arrivals(self) -> Sequence[tuple[int, int]]:
        """Of every use with terms what :meth:`arrival` says."""
        terms, times = self._facts.terms, np.unique(self._facts.sources.deliverable_at)
        arrived = np.where(terms.open_ended, len(times), np.searchsorted(times, terms.due, "right"))
        matured = np.searchsorted(np.unique(self._maturity), terms.last_day)
        return list(zip(arrived.tolist(), matured.tolist(), strict=True))

    def match(self, use: int) -> Match:
        """The match of the schedule in force at one use."""
        facts = self._facts
        return facts.eligibility.match(
            facts.uses.schedule[use], facts.terms.currency[use], facts.terms.margin_type[use]
        )

    def barriers(self, use: int) -> NDArray[np.int8]:
        """The first :class:`Barrier` before each source, for one use."""
        found = np.full(len(self._facts.sources), Barrier.NONE, dtype=np.int8)
        for barrier, stands in self.all_barriers(use).items():
            found[(found == Barrier.NONE) & stands] = barrier
        return found

    def all_barriers(self, use: int) -> Mapping[Barrier, Bools]:
        """Of every :class:`Barrier`, in their order, the sources that it stands before, for one use."""
        facts = self._facts
        asset = facts.sources.asset
        is_reserve = int(facts.uses.kind[use]) == Kind.RESERVE
        nothing = self._nothing_counted if is_reserve else self._nothing_held
        if len(facts.sources.recallable):
            nothing = nothing | self._stays_away(use)
        if facts.uses.size[use] <= 0:
            nothing = np.ones(len(asset), dtype=bool)
        return {
            Barrier.INELIGIBLE: ~self.match(use).eligible[asset],
            Barrier.WRONG_WAY: facts.wrong_way(use)[asset],
            Barrier.MATURES: self.matures_before(use)[asset],
            Barrier.LATE: self._late(use) & ~self._pins.sent(use),
            Barrier.NOTHING_HELD: nothing,
            Barrier.FORBIDDEN: self._pins.forbidden(use),
        }

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
        pinned = sources.is_posted & (sources.holding >= 0) & self._pins.exact(use)[sources.holding]
        return np.asarray(nowhere | back | pinned)

    def _late(self, use: int) -> Bools:
        """Sources that cannot have arrived; for a facility only proceeds that were there before, so nothing circles."""
        sources, terms, kind = self._facts.sources, self._facts.terms, int(self._facts.uses.kind[use])
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


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
