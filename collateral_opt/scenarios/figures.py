"""The numbers of a book's linear program as its calls, prices, quantities, costs and facilities' capacities move.

Nothing but right sides and costs ever moves: availability is ``q_i u_i``, what a limit leaves is affine in the calls
of its place and in unit values. Where the *structure* would be another one, :meth:`Figures.after` says so by giving
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from collateral_opt.book import Book
from collateral_opt.model.constraints import conversion, cover, limits, promised, stays_home
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Rows, Scaling, scale, stack
from collateral_opt.network.build import Problem
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.facts import Facts, gather
from collateral_opt.network.network import Bools, Cap, Floats, Ints, LimitBlock, Network, View
from collateral_opt.network.posted import PostedLine, by_agreement
from collateral_opt.network.reduction import like_uses, with_uses
from collateral_opt.network.switches import counts_lines
from collateral_opt.scenarios.change import PlacedChange
from collateral_opt.scenarios.used import Sources
from collateral_opt.solve.entries import GOLDEN

SAME = 1e-9
"""What lies at a place and its cap differ by more than this share, or it is not said here which is more."""


LITTLE = 0.01
"""Where less than this share of what the book asks for is asked, the program's tolerances are too coarse for it."""


@dataclass(frozen=True)
class Model:
    """The program without its supply rows: ``sum_k x_k <= available[g]`` over the columns ``k`` of each group ``g``.

    Columns are the edges of the network, then a shortfall for each use that asks; ``group`` [columns] is the source
    that a column leaves from, or one of its own. ``use`` [columns] and ``factor`` [columns] are each column's entry in
    the cover rows, the first ``asking`` rows (factor 0 for none); ``rows`` are these, promised, home, conversion and
    limits, without right sides of any meaning. ``scaling`` is that of the book as it stands.
    """

    group: Ints
    groups: int
    use: Ints
    factor: Floats
    rows: Rows
    asking: int
    rank: Ints
    scaling: Scaling

    @property
    def edges(self) -> int:
        return len(self.group) - self.asking

    @property
    def shorts(self) -> slice:
        """The columns that are shortfalls."""
        return slice(self.edges, len(self.group))

    @property
    def promises(self) -> slice:
        """The rows that keep what was reached for each rank of priority."""
        return slice(self.asking, self.asking + int(self.rank.max(initial=-1)) + 1)


@dataclass(frozen=True)
class Numbers:
    """What a scenario makes of the model: base currency, basis points a year.

    ``cost`` [edges], ``available`` [groups], ``upper`` [rows]; cover rows are met exactly, others have no lower side.
    """

    cost: Floats
    available: Floats
    upper: Floats


class Figures:
    """The model of a book, and its numbers after a change."""

    def __init__(self, book: Book, whole: Facts, problem: Problem, use_at: Ints) -> None:
        """``problem`` is that of ``whole`` with interchangeable calls as one: ``use_at`` says which each is."""
        facts, uses, assets = problem.facts, whole.uses, whole.assets
        network = problem.network()
        # A cap that nothing can reach today may be reached after a change: every limit has its rows here.
        network = replace(network, limits=[replace(block, loose=None) for block in network.limits])
        view = View.of(network)
        self.whole = whole
        self.network = network
        self.program = formulate(network)
        self.model = _model(network, view, scale(self.program)[1])
        self.use_at = use_at[: uses.calls]
        self._amount = uses.size[: uses.calls].copy()
        self._agreement = uses.agreement[: uses.calls]
        self._unit_value = assets.unit_value
        self._quantity = facts.sources.quantity
        self._asset = facts.sources.asset
        self._capacity = np.array([np.nan if c is None else float(c) for c in facts.sources.capacity])
        self._follows = _follows_holding(problem)
        self._counted = network.edges.source[network.into_reserve]
        self._empty = ~facts.sources.is_posted & (facts.sources.quantity <= 0)
        self._into_facility = np.isin(network.edges.use, list(network.uses.facilities))
        self._standing = _Standing(facts, network)
        held = np.flatnonzero(facts.sources.is_holding).tolist()
        self._call_at = _positions(book.calls["call_id"], uses.ids[: uses.calls])
        self._holding_at = _positions(book.holdings["holding_id"], [facts.sources.ids[i] for i in held])
        self._asset_at = _positions(book.assets["asset_id"], assets.ids)
        self.sources = Sources.of(facts, network)
        self._facility_at, self._facility_rate = _facilities(book, facts)
        self._stays = _stays(book, whole)
        self._terms = self._schedules_in_force()
        self._speaks_of_capacity = _speaks_of_capacity(network)
        self._rate = np.ones(uses.calls)
        self._rate[self._call_at] = [book.rates[currency] for currency in book.calls["currency"]]
        self.base = self._numbers(self._amount, self._unit_value, self._quantity, network.edges.cost_bps)
        """The book as it stands; None where not even that is clear."""

    @classmethod
    def of(cls, book: Book) -> Figures | None:
        """None where more than numbers moves with a book of this kind, whatever is changed about it.

        That is where what is posted may move, lines cost or count or are pinned, something was received or sent, nobody
        asks for anything, or more than one road leads to an optimum.
        """
        if len(book.received) or len(book.instructions) or book.settings.scope == "reoptimise":
            return None
        whole = gather(book)
        problem = Problem(whole)
        if not len(whole.uses) or counts_lines(whole) or problem.pins.asked:
            return None
        use_at = like_uses(problem)
        figures = cls(book, whole, Problem(with_uses(whole, use_at)), use_at)
        return figures if len(figures.network.edges) and len(figures.network.roads()) == 1 else None

    def likely(self, count: int) -> list[Numbers]:
        """Numbers after so many changes of all calls, and of all prices, that are the same each time."""
        found = []
        for number in range(1, count + 1):
            calls, prices = (_spread(len(base), number) for base in (self._amount, self._unit_value))
            amount, unit_value = self._amount * (1 + 0.25 * calls), self._unit_value * (1 + 0.05 * prices)
            cost = self.network.edges.cost_bps
            found.append(self._numbers(amount, self._unit_value, self._quantity, cost))
            found.append(self._numbers(self._amount, unit_value, self._quantity, cost))
        return [numbers for numbers in found if numbers is not None]

    def by_call(self, short: Floats, change: PlacedChange) -> Floats:
        """What each call is short of, of ``short`` [uses that ask]: of those that stand as one, the last ones are."""
        amount, found = self._amounts(change), np.zeros(len(self._amount))
        for use in np.flatnonzero(short[: self.network.uses.calls] > 0).tolist():
            calls = np.flatnonzero(self.use_at == use)
            after = np.cumsum(amount[calls][::-1])[::-1] - amount[calls]
            found[calls] = np.clip(short[use] - after, 0.0, amount[calls])
        return found

    def marginal(self, dual: Floats) -> Floats:
        """What one more unit of each call costs at these duals [rows]: it asks for cover, and gives room to shares."""
        uses, room = self.whole.uses, self._standing.room_per_call(dual[len(dual) - len(self._standing) :])
        return dual[self.use_at] + room[uses.agreement[: uses.calls]]

    def _amounts(self, change: PlacedChange) -> Floats:
        """What each call asks for after ``change``, in base currency."""
        amount, at = self._amount.copy(), self._call_at[change.calls[0]]
        amount[at] = change.calls[1] * self._rate[at]
        return amount

    def _schedules_in_force(self) -> list[tuple[Ints, Ints]]:
        """Where calls of an agreement have several schedules: the calls of each, and the rows that are there for it."""
        uses = self.whole.uses
        by_schedule: dict[tuple[int, str], list[int]] = {}
        for call, agreement in enumerate(self._agreement.tolist()):
            by_schedule.setdefault((agreement, uses.schedule[call]), []).append(call)
        several = Counter(agreement for agreement, _ in by_schedule)
        return [
            (np.array(calls, dtype=np.int64), self._standing.rows_of(agreement, schedule))
            for (agreement, schedule), calls in by_schedule.items()
            if several[agreement] > 1
        ]

    def after(self, change: PlacedChange) -> Numbers | None:
        """The numbers after ``change``; None where it changes more than numbers."""
        unit_value, quantity, cost = self._unit_value, self._quantity, self.network.edges.cost_bps
        amount, capacity = self._amounts(change), self._capacity
        if self._stays[change.calls[0][change.calls[1] == 0]].any():
            return None
        if 0 < np.sum(amount) < LITTLE * np.sum(self._amount):
            return None
        if len(change.capacities[0]):
            at = self._facility_at[change.capacities[0]]
            capacity = capacity.copy()
            capacity[at] = change.capacities[1] * self._facility_rate[change.capacities[0]]
            unclear = (self._empty & (capacity > 0)) | (self._speaks_of_capacity & (capacity != self._capacity))
            if unclear[at].any() or not self._standing.allows_quantities:
                return None
        if len(change.prices[0]):
            at = self._asset_at[change.prices[0]]
            # What is neither held nor posted nor produced plays no part.
            held, assets = at >= 0, self.whole.assets
            unit_value = unit_value.copy()
            unit_value[at[held]] = change.prices[1][held] * (assets.price_factor * assets.rate)[at[held]]
            if not self._standing.allows_prices(unit_value != self._unit_value):
                return None
        if len(change.quantities[0]):
            quantity = quantity.copy()
            at = self._holding_at[change.quantities[0]]
            quantity[at] = change.quantities[1]
            if (self._empty & (quantity > 0))[at].any() or not self._standing.allows_quantities:
                return None
        if len(change.costs[0]):
            more = np.zeros(len(quantity))
            at = self._holding_at[change.costs[0]]
            more[at] = change.costs[1] - self.whole.sources.cost_bps[at]
            cost = cost + self._follows * more[self.network.edges.source]
        # A facility may be given more than it needs of what earns, up to a bound that the model does not have.
        if (self._into_facility & (cost < 0)).any():
            return None
        return self._numbers(amount, unit_value, quantity, cost, capacity)

    def _numbers(
        self,
        amount: Floats,
        unit_value: Floats,
        quantity: Floats,
        cost: Floats,
        capacity: Floats | None = None,
    ) -> Numbers | None:
        capacity = self._capacity if capacity is None else capacity
        network, model = self.network, self.model
        calls, facilities = network.uses.calls, len(network.uses.facilities)
        called = _sums(self._agreement, amount - self._amount, len(network.agreement_ids))
        # The limits of a schedule are in force while a call of it is made.
        lapsed = [rows for calls, rows in self._terms if not amount[calls].any()]
        left = self._standing.left(called, unit_value, np.concatenate([self.use_at[:0], *lapsed]))
        if left is None:
            return None
        required = np.append(_sums(self.use_at, amount, calls), network.uses.lacking[calls : model.asking])
        held = np.where(np.isnan(capacity), quantity * unit_value[self._asset], capacity)
        counted = held[self._counted]
        promises = np.full(model.promises.stop - model.asking, np.inf)
        return Numbers(
            cost=cost,
            available=np.concatenate([held, counted, required]),
            upper=np.concatenate([required, promises, counted, np.zeros(facilities), left]),
        )


def _facilities(book: Book, facts: Facts) -> tuple[Ints, Floats]:
    """By row of the book's facilities where each stands among the sources, and the rate of its capacity's currency."""
    currency = dict(zip(book.assets["asset_id"], book.assets["currency"], strict=True))
    place = {facts.sources.ids[i]: i for i in np.flatnonzero(facts.sources.is_facility).tolist()}
    at = np.array([place[name] for name in book.facilities["facility_id"]], dtype=np.int64)
    rate = np.array([float(book.rates[currency[asset]]) for asset in book.facilities["gives"]], dtype=np.float64)
    return at, rate


def _stays(book: Book, facts: Facts) -> Bools:
    """By row of the book's calls whether more than its amount and its limits go if it is not made.

    What lies at an agreement is read under the margin type of its calls, if they have one.
    """
    types: dict[str, set[str | None]] = {}
    for agreement, kind in zip(book.calls["agreement_id"], book.calls["margin_type"], strict=True):
        types.setdefault(agreement, set()).add(kind)
    lying = by_agreement(facts.posted)
    place = {name: at for at, name in enumerate(facts.agreements.ids)}
    stay = {
        name
        for name, kinds in types.items()
        if place[name] in lying and (book.house_limits or _is_read_by_type(facts, lying[place[name]], kinds))
    }
    stays: Bools = book.calls["agreement_id"].isin(list(stay)).to_numpy(dtype=bool)
    return stays


def _is_read_by_type(facts: Facts, lines: Sequence[PostedLine], kinds: Set[str | None]) -> bool:
    """Whether what lies at one agreement counts for more or less once only some of its calls' types are left."""
    if len(kinds) < 2:
        return False
    at, assets = lines[0].agreement, [line.asset for line in lines]
    schedule, currency = facts.agreements.schedule[at], facts.agreements.currency[at]
    read = [facts.eligibility.match(schedule, currency, kind) for kind in (None, *sorted(filter(None, kinds)))]
    counts = [[one.factors[one.factor_code[k]] if one.eligible[k] else None for k in assets] for one in read]
    return any(one != counts[0] for one in counts)


def _speaks_of_capacity(network: Network) -> Bools:
    """By source whether it is a facility with a limit that is a share of its capacity."""
    uses = [b.governed for b in network.limits if b.cap.of == "requirement" and b.agreement < 0]
    funded = network.sources.funded_by
    return (funded >= network.uses.asking) & np.isin(funded, np.concatenate([funded[:0], *uses]))


def _sums(at: Ints, amount: Floats, count: int) -> Floats:
    return np.bincount(at, amount, minlength=count).astype(np.float64)


def _positions(names: Iterable[str], among: Sequence[str]) -> Ints:
    """Where each of ``names`` stands ``among`` others, -1 for nowhere."""
    at = {name: k for k, name in enumerate(among)}
    return np.array([at.get(name, -1) for name in names], dtype=np.int64)


def _model(network: Network, view: View, scaling: Scaling) -> Model:
    """``network`` as a model; its rows but for supply are those of the program that ``scaling`` scales."""
    edges, uses, sources = network.edges, network.uses, len(network.sources)
    kept = [cover(view), promised(view, np.full(uses.ranks, np.inf))]
    supplied = len(np.unique(edges.source[~network.into_reserve]))
    first = sum(map(len, kept))
    kept += [stays_home(view), conversion(view), *limits(view)]
    counted = np.cumsum(network.into_reserve) - 1
    group = np.where(network.into_reserve, sources + counted, edges.source)
    groups = sources + int(network.into_reserve.sum()) + uses.asking
    asks = edges.use < uses.asking
    return Model(
        group=np.concatenate([group, np.arange(groups - uses.asking, groups)]),
        groups=groups,
        use=np.concatenate([np.where(asks, edges.use, 0), np.arange(uses.asking)]),
        factor=np.concatenate([np.where(asks, edges.factor, 0.0), np.ones(uses.asking)]),
        rows=stack(kept),
        asking=uses.asking,
        rank=uses.priority,
        scaling=replace(scaling, row=np.delete(scaling.row, slice(first, first + supplied))),
    )


def _follows_holding(problem: Problem) -> Floats:
    """Per edge 1 where it costs what its holding does (and 0 where its pair has a cost of its own)."""
    facts = problem.facts
    dearer = replace(facts, sources=replace(facts.sources, cost_bps=facts.sources.cost_bps + facts.sources.is_holding))
    follows: Floats = np.rint(Problem(dearer).edges().cost_bps - problem.edges().cost_bps)
    return follows


def _spread(count: int, number: int) -> Floats:
    """So many figures evenly between -1 and 1, in another order for each ``number``."""
    return np.asarray(2 * np.modf(np.arange(1, count + 1) * np.modf(number * GOLDEN)[0])[0] - 1)


class _Standing:
    """What limits leave: ``upper = base + share * more called at the place + sum_k slope_k (u_k - base u_k)``.

    A limit of quantities has its rows in market value at base prices, so its right side moves with the price.
    """

    def __init__(self, facts: Facts, network: Network) -> None:
        book, caps = facts.book, [_Cap(facts, network.edge_asset, block) for block in network.limits]
        first = np.cumsum([0, *(len(cap.room) for cap in caps)])
        rows = int(first[-1])
        self._agreements = len(network.agreement_ids)
        self._unit_value = network.assets.unit_value
        self._room, self._share, self._lies = np.zeros((3, rows))
        self._agreement, self._shut = np.full(rows, -1), np.zeros(rows, dtype=bool)
        self._schedule: list[str | None] = [None] * rows
        self._rigid = np.zeros(len(self._unit_value), dtype=bool)
        for at, cap in zip(first.tolist(), caps, strict=False):
            mine = slice(at, at + len(cap.room))
            self._room[mine], self._share[mine], self._lies[mine] = cap.room, cap.share, cap.lies
            self._agreement[mine], self._shut[mine] = cap.agreement, cap.shut
            self._rigid |= cap.rigid
            self._schedule[mine] = [cap.schedule] * len(cap.room)
        slopes = [cap.slopes() for cap in caps]
        self._row, self._asset, self._slope = _together(
            [(at + row, asset, slope) for at, (row, asset, slope) in zip(first.tolist(), slopes, strict=False)]
        )
        columns = {column for schedule in book.schedules.values() for column in schedule.columns}
        self._rigid |= bool(book.house_limits) or not columns.isdisjoint({"price", "price_factor"})
        self.allows_quantities = not book.house_limits

    def __len__(self) -> int:
        return len(self._room)

    def room_per_call(self, dual: Floats) -> Floats:
        """By agreement what the room is worth that one more unit of a call there gives, at these duals [rows]."""
        worth = np.where(self._shut, 0.0, self._share * dual)
        return _sums(self._agreement + 1, worth, self._agreements + 1)[1:]

    def allows_prices(self, moved: Bools) -> bool:
        """Whether the assets in ``moved`` may have other prices in the same rows."""
        return not bool((moved & self._rigid).any())

    def rows_of(self, agreement: int, schedule: str) -> Ints:
        """The rows of limits of a schedule at an agreement."""
        named = np.array([one == schedule for one in self._schedule], dtype=bool)
        return np.flatnonzero(named & (self._agreement == agreement))

    def left(self, called: Floats, unit_value: Floats, lapsed: Ints) -> Floats | None:
        """What each row leaves: nothing where its group is shut, all in those that have ``lapsed``.

        None unless the same groups are shut, beyond doubt.
        """
        moved = self._slope * (unit_value - self._unit_value)[self._asset]
        left = self._room + np.append(called, 0.0)[self._agreement] * self._share
        left += np.bincount(self._row, moved, minlength=len(left))
        doubtful = (np.abs(left) <= SAME * self._lies) | ((left < 0) != self._shut)
        doubtful &= self._lies > 0
        # What a group takes that was shut has no columns.
        doubtful[lapsed] = self._shut[lapsed]
        left = np.where(self._shut, 0.0, left)
        left[lapsed] = np.inf
        return None if doubtful.any() else left


class _Cap:
    """The rows of one block of limits, in the order in which they stand in the program."""

    def __init__(self, facts: Facts, edge_asset: Ints, block: LimitBlock) -> None:
        self._block = block
        self._unit_value = facts.assets.unit_value
        self._groups = groups = np.unique(block.group)
        self._of_posted = block.cap.of == "posted"
        self.lies = np.array([float(block.posted[g]) for g in groups.tolist()])
        cap = (
            block.cap.share * float(block.posted_total) * np.ones(len(groups))
            if self._of_posted
            else block.cap.values(block.measure, groups, facts.assets, FLOAT)
        )
        self.room: Floats = cap - self.lies
        self.shut = block.shut[groups]
        self.agreement = block.agreement
        self.schedule = block.kinds.name[0] if block.kinds is not None else None
        follows = block.cap.of == "requirement" and block.agreement >= 0
        self.share = np.full(len(groups), block.cap.share if follows else 0.0)
        self.rigid = self._rigid(edge_asset)
        known = facts.posted if block.kinds is not None and block.agreement >= 0 else ()
        self._lines = [line for line in known if line.agreement == block.agreement and line.factor is not None]

    def _rigid(self, edge_asset: Ints) -> Bools:
        """Assets of which no price can move alone, for their row counts quantities, and those of others with them."""
        block = self._block
        rigid = np.zeros(len(self._unit_value), dtype=bool)
        if block.measure == "quantity" and self._of_posted:
            rigid[edge_asset[block.scope]] = True
        elif block.measure == "quantity":
            asset = edge_asset[block.edge]
            lowest, highest = np.full((2, len(block.groups)), -1)
            highest[block.group] = asset
            np.maximum.at(highest, block.group, asset)
            lowest = highest.copy()
            np.minimum.at(lowest, block.group, asset)
            rigid[asset] = (lowest != highest)[block.group]
        return rigid

    def slopes(self) -> tuple[Ints, Ints, Floats]:
        """Row, asset and slope: how what the row leaves moves with the unit value of the asset."""
        cap, groups = self._block.cap, self._groups
        row, in_units = np.arange(len(groups)), cap.of == "units"
        if not isinstance(cap, Cap):
            return row[:0], row[:0], np.zeros(0)
        if self._block.measure == "quantity":
            asset = cap.asset[groups]
            alone = asset >= 0
            moves = (self.room if in_units else -self.lies) / self._unit_value[asset]
            return row[alone], asset[alone], moves[alone]
        found = [(row, cap.asset[groups], cap.figure[groups] * cap.share)] if in_units else []
        return _together([*found, *map(self._of_line, self._lines)])

    def _of_line(self, line: PostedLine) -> tuple[Ints, Ints, Floats]:
        """How the value of what lies there takes from its group, and adds to what a share is of."""
        block, quantity = self._block, float(line.quantity)
        assert block.kinds is not None
        value = quantity * float(line.factor or 0)
        counts = value if block.measure == "value_after_haircut" else quantity
        slope = self.share * value + (block.cap.share * counts if self._of_posted else 0.0)
        slope = slope - counts * (block.codes[self._groups] == block.kinds.group[line.asset])
        row = np.flatnonzero(slope)
        return row, np.full(len(row), line.asset), slope[row]


def _together(parts: Sequence[tuple[Ints, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    row, asset, slope = zip(*parts, strict=True) if parts else ((), (), ())
    nothing = np.zeros(0, dtype=np.int64)
    return np.concatenate([nothing, *row]), np.concatenate([nothing, *asset]), np.concatenate([np.zeros(0), *slope])
