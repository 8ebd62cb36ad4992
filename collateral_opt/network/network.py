"""Sources, uses and the edges between them, as arrays keyed by position with the labels kept beside them.

A source is anything that can be handed over: a holding, what a facility produces, what is posted and may be recalled.
A use is anything that takes, an edge a pair that is eligible and deliverable in time. Sources and uses stand in the
order of their identifiers, so the rows' order in a file never matters. Flow on an edge is market value in base
currency.

What is posted needs no columns to stay where it is. An edge out of it is a recall: it takes its collateral value from
the requirement of its agreement, which replacements must make good, as what is spent of a facility must be funded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from collateral_opt.network.exact import FLOAT, Arithmetic, Array, exact, in_floats

if TYPE_CHECKING:
    from collateral_opt.network.pins import Pin
    from collateral_opt.network.posted import PostedLine

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Kind(IntEnum):
    """What a use is, in the order in which uses stand."""

    CALL = 0
    AGREEMENT = 1
    """What an agreement requires beside its calls: replacements go there."""
    RESERVE = 2
    FACILITY = 3
    HOME = 4
    """Where what is recalled may come to rest."""


@dataclass(frozen=True)
class Recallable:
    """What is posted and may be recalled: the last of the sources.

    ``agreement`` is where each lies, ``joins`` the holding (a source) that it comes back into, -1 for none;
    ``factor`` its collateral factor where it lies (0 if it no longer counts); ``keep_bps`` what a year of leaving it
    there costs; ``wait`` nanoseconds from the settlement of its replacement until it can have arrived elsewhere.
    ``line`` is the position of its row among all that is posted. What is more than whole lots of a row is a source of
    its own, ``odd`` (in units, 0 for whole lots): it comes home together with the rest of its row or not at all.
    """

    agreement: Ints
    joins: Ints
    factor: Sequence[Fraction]
    keep_bps: Floats
    wait: Ints
    line: Ints
    odd: Floats

    def __len__(self) -> int:
        return len(self.agreement)


_NONE = np.zeros(0, dtype=np.int64)
NOTHING_RECALLABLE = Recallable(_NONE, _NONE, (), np.zeros(0), _NONE, _NONE, np.zeros(0))


@dataclass(frozen=True)
class Sources:
    """What can be handed over: holdings, then what each facility produces, then what may be recalled.

    ``asset`` is a position in the network's assets; ``quantity`` is in units (of a facility: what its capacity buys,
    and ``capacity`` the exact market value of that, None for others); ``deliverable_at`` is when it can have
    arrived, in nanoseconds of UTC; ``cost_bps`` what a year of letting it go costs (of a facility: of producing it).
    ``funded_by`` is the use that must be given what is taken from the source: a facility's input side, the agreement
    that a recall leaves; -1 for holdings and for facilities that take nothing.
    """

    ids: Sequence[str]
    asset: Ints
    quantity: Floats
    capacity: Sequence[Fraction | None]
    deliverable_at: Ints
    cost_bps: Floats
    funded_by: Ints
    recallable: Recallable = NOTHING_RECALLABLE
    coarsest: Floats | None = None
    """Where a source stands for several: what the smallest line of any of them is worth, with one more lot."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def is_facility(self) -> Bools:
        return np.array([c is not None for c in self.capacity], dtype=bool)

    @property
    def first_posted(self) -> int:
        """Where what may be recalled begins."""
        return len(self) - len(self.recallable)

    @cached_property
    def is_posted(self) -> Bools:
        return np.arange(len(self)) >= self.first_posted

    @cached_property
    def is_holding(self) -> Bools:
        return ~self.is_facility & ~self.is_posted

    @cached_property
    def holding(self) -> Ints:
        """The holding that each source leaves from: itself, or the one that a recall joins; -1 for none."""
        own = np.where(self.is_holding, np.arange(len(self)), -1)
        own[self.first_posted :] = self.recallable.joins
        return own

    @cached_property
    def drain_factors(self) -> Sequence[Fraction]:
        """What one unit of market value taken from the source takes from the use that funds it."""
        return (*([Fraction(1)] * self.first_posted), *self.recallable.factor)

    @cached_property
    def lies_at(self) -> Ints:
        """The agreement that each source is recalled from, -1 for what is not posted."""
        where = np.full(len(self), -1, dtype=np.int64)
        where[self.first_posted :] = self.recallable.agreement
        return where

    @cached_property
    def counts_at(self) -> Ints:
        """The agreement at which each source counts until it is recalled, -1 for what is not posted or does not."""
        counts = np.array([factor > 0 for factor in self.recallable.factor], dtype=bool)
        where = np.full(len(self), -1, dtype=np.int64)
        where[self.first_posted :] = np.where(counts, self.recallable.agreement, -1)
        return where


@dataclass(frozen=True)
class Uses:
    """What takes collateral: margin calls, requirements of agreements, reserves, facilities that take something, home.

    ``required`` and ``min_line`` (the least market value of a line there) are in base currency, exact; what a
    facility requires is what it produces, and its ``required`` its capacity, which its limits speak of; what an
    agreement requires is what it lacks with all that lies there, below zero where there is more than enough.
    ``priority`` is a rank of all uses that ask: 0 is served first, reserves come last. ``schedule`` is the one in
    force there. ``extent`` is the most collateral value that can be of use there, where that is not ``required``.
    """

    ids: Sequence[str]
    kind: NDArray[np.int8]
    agreement: Ints
    """A position in the book's agreements; -1 for reserves, facilities and home."""
    schedule: Sequence[str]
    required: Sequence[Fraction]
    priority: Ints
    """Of the uses that ask, in their order."""
    min_line: Sequence[Fraction]
    extent: Sequence[Fraction] | None = None
    members: Ints | None = None
    """Where a use may stand for several: for how many."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def calls(self) -> int:
        """How many calls there are: the first uses."""
        return int(np.count_nonzero(self.kind == Kind.CALL))

    @cached_property
    def demands(self) -> int:
        """How many uses counterparties ask for: calls and requirements of agreements, the first uses."""
        return int(np.count_nonzero(self.kind <= Kind.AGREEMENT))

    @cached_property
    def asking(self) -> int:
        """How many uses ask for an amount: calls, requirements and reserves, the first uses."""
        return int(np.count_nonzero(self.kind <= Kind.RESERVE))

    @cached_property
    def facilities(self) -> range:
        """The uses that are facilities."""
        return range(self.asking, self.asking + int(np.count_nonzero(self.kind == Kind.FACILITY)))

    @cached_property
    def label(self) -> Sequence[tuple[str, str]]:
        """Kind and identifier of each: a call and a reserve may have one name."""
        return [(Kind(k).name.lower(), name) for k, name in zip(self.kind.tolist(), self.ids, strict=True)]

    @property
    def ranks(self) -> int:
        """How many different priorities there are."""
        return int(self.priority.max(initial=-1)) + 1

    @cached_property
    def lacking(self) -> Floats:
        """What each use lacks at most, and so may be left short of: ``required``, but never less than nothing."""
        return np.array([max(0.0, float(r)) for r in self.required], dtype=np.float64)

    @cached_property
    def size(self) -> Floats:
        """The most collateral value that can be of use to each."""
        return in_floats(self.extent or self.required)


@dataclass(frozen=True)
class Assets:
    """Per asset of the book: the value of one unit, its lot, the least deliverable quantity (0: a lot), and names."""

    ids: Sequence[str]
    unit_value: Floats
    price: Floats
    price_factor: Floats
    rate: Floats
    lot: Floats
    min_quantity: Floats
    is_cash: Bools

    @cached_property
    def at(self) -> Mapping[str, int]:
        """The position of each asset."""
        return {name: position for position, name in enumerate(self.ids)}

    def exact_unit_value(self, position: int) -> Fraction:
        """``price * price_factor * fx`` of one unit, in base currency."""
        if position not in self._exact:
            known = self.price[position], self.price_factor[position], self.rate[position]
            self._exact[position] = exact(known[0]) * exact(known[1]) * exact(known[2])
        return self._exact[position]

    @cached_property
    def _exact(self) -> dict[int, Fraction]:
        return {}

    def unit_values(self, positions: Ints, arithmetic: Arithmetic) -> Array:
        """Unit values of the assets at ``positions`` in either arithmetic."""
        if not arithmetic.is_exact:
            return self.unit_value[positions]
        known = {p: self.exact_unit_value(p) for p in np.unique(positions).tolist()}
        result = np.empty(len(positions), dtype=object)
        result[:] = [known[p] for p in positions.tolist()]
        return result


class Barrier(IntEnum):
    """What stands between a source and a use; the first that applies."""

    NONE = 0
    INELIGIBLE = 1
    WRONG_WAY = 2
    MATURES = 3
    LATE = 4
    NOTHING_HELD = 5
    FORBIDDEN = 6


class Reach(Protocol):
    """Which sources reach a use: asked to build the edges, and again to explain what is not there."""

    def barriers(self, use: int) -> NDArray[np.int8]:
        """The :class:`Barrier` before each source, for one use."""
        ...

    def undecided(self, use: int) -> Bools:
        """Sources that are not eligible there only because a fact is missing."""
        ...

    def why(self, use: int, source: int) -> str:
        """What stands between a source and a use, in a sentence; empty where nothing does."""
        ...


@dataclass(frozen=True)
class Edges:
    """Eligible and deliverable pairs, sorted by use, then source.

    ``factor_code`` is a position in ``factors`` (exact collateral factors); ``cost_bps`` is a year's cost on market
    value, after cash return.
    """

    source: Ints
    use: Ints
    factor_code: Ints
    factors: Sequence[Fraction]
    cost_bps: Floats

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def factor(self) -> Floats:
        table = in_floats(self.factors)
        return table[self.factor_code] if len(table) else np.zeros(0)


@dataclass(frozen=True)
class Cap:
    """What a group may reach, per group: a share of something or a figure of its own; see :meth:`values`.

    ``of`` is ``requirement``, ``money``, ``units`` (units of the group's asset), ``asset_money`` (in the asset's
    currency) or ``posted``. ``figure`` is per group (0 where the fact is unknown: then nothing may go there);
    ``asset`` is the group's asset where the limit is one per asset, else -1.
    """

    of: str
    share: float
    rate: float
    requirement: Fraction
    figure: Floats
    asset: Ints

    def values(self, measure: str, groups: Ints, assets: Assets, arithmetic: Arithmetic) -> Array:
        """Caps of the constant kinds for ``groups``, in the limit's measure: base currency, or units."""
        if self.of == "requirement":
            caps: Array = arithmetic.zeros(len(groups))
            caps = caps + arithmetic.number(self.share) * arithmetic.number(self.requirement)
            return caps
        figure: Array = arithmetic.array(self.figure[groups])
        figure = figure * arithmetic.number(self.rate if self.of == "money" else self.share)
        if self.of == "asset_money":
            figure = figure * arithmetic.array(assets.rate[self.asset[groups]])
        in_units, counts_units = self.of == "units", measure == "quantity"
        if in_units == counts_units:
            return figure
        unit_value = assets.unit_values(self.asset[groups], arithmetic)
        figure = figure * unit_value if in_units else figure / unit_value
        return figure


@dataclass(frozen=True)
class GivenCap:
    """What each group may reach, as an exact figure in the limit's measure."""

    most: Sequence[Fraction]
    of: str
    share: float = 1.0

    def values(self, measure: str, groups: Ints, assets: Assets, arithmetic: Arithmetic) -> Array:
        """Caps of ``groups``, whatever the measure."""
        caps: Array = arithmetic.zeros(len(groups))
        caps[:] = [arithmetic.number(self.most[g]) for g in groups.tolist()]
        return caps


BlockKey = tuple[str, str, str]
"""Place, label and basis of a block of limits."""


@dataclass(frozen=True, eq=False)
class LimitKinds:
    """How a limit of a schedule sorts assets: ``group`` [assets], -1 where it does not count them.

    ``name`` is the schedule and the limit's place in it.
    """

    name: tuple[str, int]
    group: Ints
    measure: str

    @cached_property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max(initial=-1)) + 1

    @cached_property
    def member(self) -> Ints:
        """By group one asset that counts in it, -1 where none does."""
        member = np.full(self.groups, -1, dtype=np.int64)
        counted = np.flatnonzero(self.group >= 0)
        member[self.group[counted]] = counted
        return member


@dataclass(frozen=True)
class LimitBlock:
    """One cap of one limit at one place (an agreement, a facility, a reserve), under one schedule in force there.

    ``governed`` are the uses there, ``scope`` every edge into them or, where something is recalled from there, out of
    it; ``edge``/``group``: the edges that count and the group of each, ``recalled`` those that take away from it
    (an edge may do both, in two groups). ``posted``: what lies there already, per group,
    in the limit's measure; ``posted_total`` over all groups and what no group counts. ``shut`` marks groups that what
    is posted already puts over their cap: they take nothing more.
    """

    place: str
    governed: Ints
    label: str
    basis: str
    """Which of the limit's caps this is: what it is of, and its number where there are several of that kind."""
    measure: str
    groups: Sequence[str]
    edge: Ints
    group: Ints
    scope: Ints
    posted: Sequence[Fraction]
    posted_total: Fraction
    cap: Cap | GivenCap
    shut: Bools
    recalled: Bools
    follows_calls: bool = False
    """Whether what its cap calls the requirement grows with the calls there."""
    agreement: int = -1
    """The agreement that this is the place of; -1 for facilities, reserves and the house."""
    kinds: LimitKinds | None = None
    """Of limits of schedules: how they sort all assets, and ``codes`` the number there of each of ``groups``."""
    codes: Ints = field(default_factory=lambda: _NONE)
    loose: Bools | None = None
    """Groups that could take all there is of them, and so need no row."""

    @property
    def key(self) -> BlockKey:
        return self.place, self.label, self.basis

    def row(self, group: str) -> tuple[str, ...]:
        """The label of the row of one of the groups in a program."""
        return ("limit", *self.key, group)

    @cached_property
    def posted_values(self) -> Floats:
        """``posted`` in floats."""
        return in_floats(self.posted)


@dataclass(frozen=True)
class Release:
    """What may be recalled early enough for the uses of ``recall``: no more than is made good by then.

    ``replacement`` are the edges whose lines have settled by then, ``free`` what lies there beyond the requirement.
    """

    agreement: str
    number: int
    recall: Ints
    replacement: Ints
    free: Fraction


@dataclass(frozen=True)
class Switches:
    """Lines that cost something for being there at all, or of which there may be only so many.

    A switch covers the edges that make one line: ``edge``/``switch`` name the pairs. Per switch its label, ``fixed``
    (what a line costs, in the unit of an aim: base currency times yearly basis points), ``worth`` (what it must save
    to be there, the same unit) and whether it is a move. ``budgets``: switches, and how many of them may be on.
    """

    labels: Sequence[tuple[str, ...]] = ()
    edge: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    switch: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    fixed: Sequence[Fraction] = ()
    worth: Sequence[Fraction] = ()
    is_move: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    budgets: Sequence[tuple[str, Ints, int]] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def charges(self) -> Floats:
        """What each line costs for being there, and must save to be worth it [switches]."""
        return np.array([float(f + w) if f or w else 0.0 for f, w in zip(self.fixed, self.worth, strict=True)])


@dataclass(frozen=True)
class Network:
    """Everything the mathematics needs to know of a book."""

    assets: Assets
    agreement_ids: Sequence[str]
    facility_ids: Sequence[str]
    sources: Sources
    uses: Uses
    edges: Edges
    limits: Sequence[LimitBlock]
    reach: Reach
    horizon_years: Fraction
    """``horizon_days / day_count``: what turns a yearly cost into this run's."""
    releases: Sequence[Release] = ()
    switches: Switches = field(default_factory=Switches)
    pins: Sequence[Pin] = ()
    """What a person has decided should be there."""
    pinned: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)
    """By edge what that comes to: the least and the most lots of the line (None: no most)."""
    posted: Sequence[PostedLine] = ()
    """Whatever lies at agreements, where it may move; ``recallable.line`` counts these."""
    keep_bps: Sequence[float] = ()
    """What a year of leaving each of ``posted`` there costs."""
    leave_by: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """When a recall must start, by posted line and use: nanoseconds of UTC, for uses with a deadline only."""
    call_pairs: int = 0
    """How many pairs of a source and a call there are, of which ``edges`` may be some."""
    standing_cost: Fraction = Fraction(0)
    """What leaving everything where it lies costs, in base currency times yearly basis points."""

    @cached_property
    def edge_asset(self) -> Ints:
        return self.sources.asset[self.edges.source]

    @cached_property
    def line(self) -> Ints:
        """The line that each edge is part of: what a use takes of one holding, at home or recalled, or one facility."""
        sources, uses = self.sources, self.uses
        leaves_from = np.where(sources.holding >= 0, sources.holding, np.arange(len(sources)))
        line = self.edges.use * len(sources) + leaves_from[self.edges.source]
        recalls = uses.kind[self.edges.use] == Kind.HOME
        return np.where(recalls, len(uses) * len(sources) + np.arange(len(line)), line)

    @cached_property
    def lot(self) -> Floats:
        """Units of one lot on each edge."""
        odd = np.zeros(len(self.sources))
        odd[self.sources.first_posted :] = self.sources.recallable.odd
        return np.where(odd > 0, odd, self.assets.lot[self.sources.asset])[self.edges.source]

    @cached_property
    def lot_value(self) -> Floats:
        """Market value of one lot on each edge."""
        return self.assets.unit_value[self.edge_asset] * self.lot

    @cached_property
    def odd_rows(self) -> Sequence[tuple[int, int]]:
        """Sources of whole lots and of what is more than those, of one posted row each."""
        recallable, first = self.sources.recallable, self.sources.first_posted
        at = {
            (int(line), bool(odd)): first + k
            for k, (line, odd) in enumerate(zip(recallable.line, recallable.odd, strict=True))
        }
        return [(at[line, False], at[line, True]) for line, is_odd in sorted(at) if is_odd and (line, False) in at]

    @cached_property
    def in_lots(self) -> Bools:
        """Per edge: whole lots can be handed over on it. Of an odd lot only the linear program knows more than home."""
        odd = np.zeros(len(self.sources), dtype=bool)
        odd[self.sources.first_posted :] = self.sources.recallable.odd > 0
        comes_home = self.uses.kind[self.edges.use] == Kind.HOME
        return np.asarray(~self.into_reserve & (comes_home | ~odd[self.edges.source]))

    def roads(self) -> tuple[Network, ...]:
        """This network, and before it the one in which shares of what is posted may be cured by posting more.

        A group that what is posted puts over its cap takes nothing more, unless enough is recalled from it or, for a
        share of what is posted, enough of the rest is delivered beside it. Either the cap holds after the run or the
        group takes nothing: two programs, one of which may have no answer.
        """
        if not any(bool((block.shut & self.curable(block)).any()) for block in self.limits):
            return (self,)
        return replace(self, limits=[replace(b, shut=b.shut & ~self.curable(b)) for b in self.limits]), self

    def curable(self, block: LimitBlock) -> Bools:
        """Groups that this run can bring back under their cap, and that something more could then go into."""
        takes, gives = np.zeros((2, len(block.groups)), dtype=bool)
        takes[block.group[~block.recalled]] = True
        gives[block.group[block.recalled]] = True
        return takes & (gives | (block.cap.of == "posted"))

    def leaves(self, block: LimitBlock, edges: Ints) -> Bools:
        """Which of ``edges`` recall something from where ``block`` holds, rather than deliver to it."""
        counts_at = self.sources.counts_at[self.edges.source[edges]]
        return np.asarray((counts_at >= 0) & (counts_at == block.agreement))

    @cached_property
    def held(self) -> Floats:
        """Market value of all there is of each source."""
        return self.sources.quantity * self.assets.unit_value[self.sources.asset]

    @cached_property
    def into_reserve(self) -> Bools:
        """Per edge: what it carries is counted, and stays at home."""
        return np.asarray(self.uses.kind[self.edges.use] == Kind.RESERVE)

    @cached_property
    def least_value(self) -> Floats:
        """Market value of the smallest line that may be delivered on each edge: whole lots, and no less than asked."""
        stays = (self.uses.kind[self.edges.use] == Kind.HOME) | self.into_reserve
        min_quantity = np.where(stays, 0.0, self.assets.min_quantity[self.edge_asset] / self.lot)
        min_line = in_floats(self.uses.min_line)[self.edges.use] / self.lot_value
        return np.ceil(np.maximum(1.0, np.maximum(min_quantity, min_line)) * (1 - 1e-12)) * self.lot_value

    @cached_property
    def has_least(self) -> Bools:
        """Per edge: a line there may not be as small as a lot."""
        return np.asarray(self.least_value > self.lot_value * (1 + 1e-9))

    @cached_property
    def most_value(self) -> Floats:
        """Market value beyond which more is of no use on each edge: the use, and the smallest line that overshoots it.

        What is held is left to the supply row, so that its dual is the price of the holding.
        """
        most = self.uses.size[self.edges.use] / self.edges.factor + self._excess_value
        for edge, (lots, _) in self.pinned.items():
            most[edge] = max(most[edge], lots * self.lot_value[edge])
        return most

    @cached_property
    def overshoot(self) -> Floats:
        """By use: collateral value by which it, and what it stands for, may be exceeded for want of smaller lines."""
        most = np.zeros(len(self.uses))
        np.maximum.at(most, self.edges.use, self._excess_value * self.edges.factor)
        return most

    @cached_property
    def _excess_value(self) -> Floats:
        """Per edge the smallest line, once for each use that the use there stands for."""
        edges, uses, coarsest = self.edges, self.uses, self.sources.coarsest
        least = self.least_value
        if coarsest is not None:
            min_line = in_floats(uses.min_line)
            least = np.maximum(least, min_line[edges.use] + coarsest[edges.source])
        return least if uses.members is None else least * uses.members[edges.use]

    @cached_property
    def pinned_cover(self) -> Mapping[int, Fraction]:
        """By use: collateral value of what a person has decided at least, exact."""
        cover: dict[int, Fraction] = {}
        for edge, (lots, _) in self.pinned.items():
            use, asset = int(self.edges.use[edge]), int(self.edge_asset[edge])
            value = lots * exact(self.lot[edge]) * self.assets.exact_unit_value(asset)
            factor = self.edges.factors[self.edges.factor_code[edge]]
            cover[use] = cover.get(use, Fraction(0)) + value * factor
        return cover


@dataclass(frozen=True)
class View:
    """Some edges of a network in one arithmetic: what a constraint reads.

    ``edge`` are positions in the network's edges; column k of any row built from this view is ``edge[k]``.
    """

    network: Network
    edge: Ints
    arithmetic: Arithmetic

    @classmethod
    def of(cls, network: Network) -> View:
        """All edges, in floats."""
        return cls(network, np.arange(len(network.edges)), FLOAT)

    @cached_property
    def source(self) -> Ints:
        return self.network.edges.source[self.edge]

    @cached_property
    def use(self) -> Ints:
        return self.network.edges.use[self.edge]

    @cached_property
    def factor(self) -> Array:
        """Collateral value of one unit of market value."""
        if not self.arithmetic.is_exact:
            return self.network.edges.factor[self.edge]
        result = np.empty(len(self.edge), dtype=object)
        factors = self.network.edges.factors
        result[:] = [factors[c] for c in self.network.edges.factor_code[self.edge].tolist()]
        return result

    @cached_property
    def unit_value(self) -> Array:
        return self.network.assets.unit_values(self.network.edge_asset[self.edge], self.arithmetic)

    @cached_property
    def into_reserve(self) -> Bools:
        return self.network.into_reserve[self.edge]

    @cached_property
    def drain_factor(self) -> Array:
        """What one unit of market value takes from the use that funds the column's source."""
        sources = self.network.sources
        table = self.arithmetic.ones(len(sources))
        recalled = sources.drain_factors[sources.first_posted :]
        table[sources.first_posted :] = [self.arithmetic.number(factor) for factor in recalled]
        return table[self.source]

    def available(self, sources: Ints) -> Array:
        """Market value of all there is of each of ``sources``."""
        known = self.network.sources
        available = self.arithmetic.zeros(len(sources))
        facility = known.is_facility[sources]
        held = sources[~facility]
        units = self.arithmetic.array(known.quantity[held])
        available[~facility] = units * self.network.assets.unit_values(known.asset[held], self.arithmetic)
        available[facility] = [self.arithmetic.number(known.capacity[i] or 0.0) for i in sources[facility].tolist()]
        return available

    def columns_of(self, edges: Ints) -> tuple[Ints, Ints]:
        """The columns of those of ``edges`` that are in this view, and their positions in ``edges``."""
        if len(self.edge) == len(self.network.edges):
            return edges, np.arange(len(edges))
        column = self._column_of_edge[edges]
        inside = np.flatnonzero(column >= 0)
        return column[inside], inside

    @cached_property
    def _column_of_edge(self) -> Ints:
        column = np.full(len(self.network.edges), -1, dtype=np.int64)
        column[self.edge] = np.arange(len(self.edge))
        return column
