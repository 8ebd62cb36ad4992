"""The sources that meet the calls of an answer, in the order of their use, and what a fixed order would cost instead.

Nothing is decided here: what is used, and what it costs, is read off a result; a fixed order is the optimiser's answer
to a book in which later sources are barred.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.tables import hint
from collateral_opt.errors import UsageError
from collateral_opt.io.report_tables import cost_of_proceeds
from collateral_opt.network import Problem
from collateral_opt.network.facts import NANOSECONDS_PER_HOUR, gather
from collateral_opt.network.network import Ints, Kind
from collateral_opt.optimiser import Solved, solved
from collateral_opt.result import Result
from collateral_opt.result.answer import Answer, Line
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits

CENT = 0.005
_MIP_GAP = 1e-9
_NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Source:
    """Something that can be delivered to a call: a holding, or what a facility raises.

    Money is in base currency, of collateral value. ``access`` is when it can have arrived, ``hours`` the same after
    ``as_of``; ``rate_bps`` what a year of one unit of cover costs at its best call, with what is given for it and with
    ``one_off_bps`` (paid once, whatever the time) spread over the horizon of the book. ``available`` counts what was
    used and what is still free, nothing of it twice: what a source before it takes is not counted again; limits are
    not in it, they are in ``used``. ``passed_on`` is what went to other facilities instead of calls. ``in_time``: some
    call that takes it is not due before. ``given`` names what went into a facility, with quantities.
    """

    name: str
    kind: str
    asset_id: str
    access: pd.Timestamp
    hours: float
    rate_bps: float
    one_off_bps: float
    available: float
    cumulative: float
    used: float
    cost: float
    in_time: bool
    given: tuple[tuple[str, float], ...] = ()
    passed_on: float = 0.0

    @property
    def left(self) -> float:
        """What is available and not used."""
        return max(0.0, self.available - self.used - self.passed_on)


@dataclass(frozen=True)
class FixedOrder:
    """What a fixed order uses: by source what it covers and what that costs; ``extra_cost`` over the optimiser's."""

    order: tuple[str, ...]
    used: Mapping[str, float]
    cost: Mapping[str, float]
    total_cost: float
    extra_cost: float
    shortfall: float

    @property
    def last(self) -> str:
        """The last source that the order comes to."""
        return next((name for name in reversed(self.order) if self.used.get(name, 0.0) > CENT), self.order[0])


@dataclass(frozen=True)
class Waterfall:
    """Sources in the order of use; with the calls they are for, and the fixed order where one was asked for.

    ``elsewhere`` is cost that no source bears: of what is kept at agreements, and saved by recalling it.
    """

    sources: tuple[Source, ...]
    called: float
    covered: float
    shortfall: float
    total_cost: float
    elsewhere: float
    fixed: FixedOrder | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a source; with the fixed order also what that uses of each, and at which cost."""
        rows = [
            {
                "source": s.name, "kind": s.kind, "asset_id": s.asset_id, "access": s.access, "hours": s.hours,
                "in_time": s.in_time, "rate_bps": s.rate_bps, "one_off_bps": s.one_off_bps, "available": s.available,
                "cumulative": s.cumulative, "used": s.used, "passed_on": s.passed_on, "left": s.left, "cost": s.cost,
                "given": "; ".join(f"{quantity:,.12g} {name}" for name, quantity in s.given) or None,
            }
            for s in self.sources
        ]  # fmt: skip
        columns = [
            "source", "kind", "asset_id", "access", "hours", "in_time", "rate_bps", "one_off_bps", "available",
            "cumulative", "used", "passed_on", "left", "cost", "given",
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=columns)
        if self.fixed is not None:
            frame["used_in_order"] = [self.fixed.used.get(s.name, 0.0) for s in self.sources]
            frame["cost_in_order"] = [self.fixed.cost.get(s.name, 0.0) for s in self.sources]
        return frame


def waterfall(answered: Result | Solved, order: Sequence[str] = ()) -> Waterfall:
    """The sources of an answer in the order of use: in time before late, then the cheapest, the soonest, by name.

    What a source costs is right to the cent of what :func:`~collateral_opt.optimiser.solved` found; from a result alone
    it is the sum of its lines, each rounded to the cent.

    With ``order``, names of sources, the book is answered again as a desk would that turns to the next source only when
    the one before is used up; sources it does not name come last, by name.

    Raises:
        UsageError: ``order`` names something twice, or what is no source.
        SolverError: the solver gave up on the book in that order.
    """
    result, answer = (answered, None) if isinstance(answered, Result) else (answered.result, answered.answer)
    reached = _Reached(result.book)
    sources = _in_order(result, reached, answer)
    calls, allocation = result.calls, result.allocation
    delivered = allocation["action"] == "deliver"
    fall = Waterfall(
        sources=sources,
        called=float(calls["required"].sum()),
        covered=float((calls["required"] - calls["shortfall"]).sum()),
        shortfall=float(calls["shortfall"].sum()),
        total_cost=result.total_cost,
        elsewhere=float(allocation.loc[~delivered, "cost"].sum()),
    )
    if not order:
        return fall
    return replace(fall, fixed=_fixed_order(result, reached, _whole_order(order, fall, result.book)))


@dataclass(frozen=True)
class _Given:
    """What a facility may be given: a source, at a factor, at a year's cost in basis points of its market value."""

    source: int
    factor: float
    cost_bps: float


class _Reached:
    """What could be delivered to calls if none of them were due: by source its best factor, cheapest rate, and calls.

    ``rate_bps`` and ``factor`` are NaN and 0 where no call takes the source; ``latest`` is the latest time at which a
    call takes it, in nanoseconds; ``given`` what each facility takes.
    """

    def __init__(self, book: Book) -> None:
        # Without times due what comes too late is there to be told; the days on which assets must be alive stay.
        never = pd.Series(pd.NaT, book.calls.index, "datetime64[ns, UTC]")
        problem = Problem(gather(book.with_figures(calls=book.calls.assign(due=never))))
        self.sources, self.uses = problem.facts.sources, problem.facts.uses
        self.assets = problem.facts.assets
        kind = self.uses.kind
        taking = (Kind.CALL, Kind.FACILITY)
        edges = problem.edges(lambda use: problem.open_to(use)[: None if kind[use] in taking else 0])
        to_call = kind[edges.use] == Kind.CALL
        source, use = edges.source[to_call], edges.use[to_call]
        times = dict(zip(book.calls["call_id"], book.calls["due"], strict=True))
        due = [times[call] for call in self.uses.ids[: self.uses.calls]]
        until = np.array([_NEVER if pd.isna(at) else pd.Timestamp(at).value for at in due], dtype=np.int64)
        own, self.factor = np.full(len(self.sources), np.inf), np.zeros(len(self.sources))
        self.latest: Ints = np.full(len(self.sources), -_NEVER, dtype=np.int64)
        np.minimum.at(own, source, edges.cost_bps[to_call] / edges.factor[to_call])
        np.maximum.at(self.factor, source, edges.factor[to_call])
        np.maximum.at(self.latest, source, until[use])
        self.source, self.use = source, use
        taker = {use: i for i, use in enumerate(self.sources.funded_by.tolist()) if use >= 0}
        self.given: dict[int, list[_Given]] = defaultdict(list)
        columns = (edges.use, edges.source, edges.factor, edges.cost_bps)
        for use, *row in zip(*(column[~to_call].tolist() for column in columns), strict=True):
            self.given[taker[use]].append(_Given(*row))
        self._fill: dict[int, float] = {}
        filled = np.array(
            [self.input_rate(i) if facility else 0.0 for i, facility in enumerate(self.sources.is_facility)]
        )
        self.rate_bps = np.where(self.factor > 0, own + filled / np.where(self.factor > 0, self.factor, 1.0), np.nan)

    def pairs(self) -> Iterator[tuple[str, int]]:
        """A call, and a source that it takes."""
        return ((self.uses.ids[use], i) for use, i in zip(self.use.tolist(), self.source.tolist(), strict=True))

    def input_rate(self, facility: int) -> float:
        """What a year of the cheapest input costs for one unit of a facility's proceeds, in basis points."""
        if self.sources.funded_by[facility] < 0:
            return 0.0
        # Ends: a facility takes only the proceeds of one that has them earlier.
        if facility not in self._fill:
            self._fill[facility] = min((self.unit_rate(g) for g in self.given[facility]), default=np.nan)
        return self._fill[facility]

    def unit_rate(self, given: _Given) -> float:
        """What a year of what a facility is given costs for one unit of its proceeds, in basis points."""
        below = self.input_rate(given.source) if self.sources.is_facility[given.source] else 0.0
        return (given.cost_bps + below) / given.factor


class _Free:
    """What an answer leaves of every source, taken down as it is counted."""

    def __init__(self, result: Result, reached: _Reached, spent: Mapping[str, float]) -> None:
        sources = reached.sources
        left = dict(zip(result.inventory["holding_id"], result.inventory["left"], strict=True))
        units = reached.assets.unit_value[sources.asset]
        self._reached = reached
        self.value = [
            max(0.0, float(capacity) - spent.get(name, 0.0))
            if capacity is not None
            else (float(left.get(name, 0.0)) * float(unit) if holds else 0.0)
            for name, capacity, unit, holds in zip(
                sources.ids, sources.capacity, units.tolist(), sources.is_holding.tolist(), strict=True
            )
        ]

    def take(self, source: int, wanted: float) -> float:
        """Count up to ``wanted`` market value of ``source`` as gone; what there was of it."""
        wanted = min(wanted, self.value[source])
        reached = self._reached
        if reached.sources.funded_by[source] >= 0 and reached.sources.is_facility[source]:
            raised = 0.0
            for given in sorted(reached.given[source], key=lambda g: (reached.unit_rate(g), g.source)):
                if wanted - raised <= 0:
                    break
                raised += given.factor * self.take(given.source, (wanted - raised) / given.factor)
            wanted = min(wanted, raised)
        self.value[source] -= wanted
        return wanted


def _in_order(result: Result, reached: _Reached, answer: Answer | None) -> tuple[Source, ...]:
    """Every holding that a call takes and every facility."""
    sources, book = reached.sources, result.book
    used, cost, passed_on, spent = _spent(result, answer)
    as_of = pd.Timestamp(book.settings.as_of).tz_convert("UTC")
    kinds = dict(zip(book.facilities["facility_id"], book.facilities["kind"], strict=True))
    once = dict(zip(book.facilities["facility_id"], book.facilities["one_off_bps"].tolist(), strict=True))
    free = _Free(result, reached, spent)
    found = []
    for i, name in enumerate(sources.ids):
        facility = bool(sources.is_facility[i])
        if facility or (sources.is_holding[i] and (reached.factor[i] > 0 or used.get((name, False), 0.0) > 0)):
            at = int(sources.deliverable_at[i])
            in_time = bool(at <= reached.latest[i])
            rate = float(reached.rate_bps[i])
            found.append((not in_time, rate if np.isfinite(rate) else np.inf, at, name, i))
    cumulative, listed = 0.0, []
    for late, _, at, name, i in sorted(found):
        facility = bool(sources.is_facility[i])
        out = used.get((name, facility), 0.0)
        available = out + passed_on.get(name, 0.0) * facility + free.take(i, np.inf) * float(reached.factor[i])
        cumulative += available
        listed.append(
            Source(
                name=name,
                kind=str(kinds[name]) if facility else "holding",
                asset_id=reached.assets.ids[sources.asset[i]],
                access=pd.Timestamp(at, unit="ns", tz="UTC"),
                hours=(at - as_of.value) / NANOSECONDS_PER_HOUR,
                rate_bps=float(reached.rate_bps[i]),
                one_off_bps=float(once[name]) if facility else 0.0,
                available=available,
                cumulative=cumulative,
                used=out,
                cost=cost.get((name, facility), 0.0),
                in_time=not late,
                given=_given(result, name) if facility else (),
                passed_on=passed_on.get(name, 0.0) if facility else 0.0,
            )
        )
    return tuple(listed)


Named = tuple[str, bool]
"""A source by its name, and whether it is a facility."""


def _spent(
    result: Result, answer: Answer | None
) -> tuple[dict[Named, float], dict[Named, float], dict[str, float], dict[str, float]]:
    """Cover and cost of each source; what facilities pass on to others; market value of all that each has spent."""
    used: dict[Named, float] = defaultdict(float)
    cost: dict[Named, float] = defaultdict(float)
    passed_on: dict[str, float] = defaultdict(float)
    spent: dict[str, float] = defaultdict(float)
    rates = cost_of_proceeds(result)
    allocation = result.allocation
    for row in allocation[allocation["action"] == "deliver"].to_dict("records"):
        facility = row["facility_id"] is not None
        named = (row["facility_id"] if facility else row["holding_id"], facility)
        cost[named] += row["cost"]
        if facility:
            spent[named[0]] += row["market_value"]
            cost[named] += row["market_value"] * rates.get(named[0], 0.0)
        used[named] += row["collateral_value"]
    for row in result.financing.to_dict("records"):
        if row["from_facility_id"] is not None:
            passed_on[row["from_facility_id"]] += row["market_value"]
            spent[row["from_facility_id"]] += row["market_value"]
    return used, cost if answer is None else _exact_costs(answer), passed_on, spent


def _exact_costs(answer: Answer) -> dict[Named, float]:
    """What each source costs that goes to a call or an agreement, with what was given for it; each rounded once."""
    sources, uses = answer.network.sources, answer.network.uses
    lines_to: dict[int, list[Line]] = defaultdict(list)
    for line in answer.lines:
        lines_to[line.use].append(line)

    @cache
    def rate(facility: int) -> Fraction:
        """What a unit of its proceeds costs; ends, as a facility is given only proceeds that are had earlier."""
        cost = answer.production_cost(facility)
        cost += sum((with_proceeds(line) for line in lines_to[int(sources.funded_by[facility])]), Fraction(0))
        produced = answer.produced(facility)
        return cost / produced if produced else Fraction(0)

    def with_proceeds(line: Line) -> Fraction:
        return line.cost + (line.market_value * rate(line.source) if sources.is_facility[line.source] else 0)

    costs: dict[Named, Fraction] = defaultdict(Fraction)
    for line in answer.lines:
        if line.use < uses.demands:
            costs[sources.ids[line.source], bool(sources.is_facility[line.source])] += with_proceeds(line)
    return {name: float(cost) for name, cost in costs.items()}


def _given(result: Result, facility: str) -> tuple[tuple[str, float], ...]:
    rows = result.financing[result.financing["facility_id"] == facility]
    names = rows["holding_id"].where(rows["holding_id"].notna(), rows["from_facility_id"])
    known = zip(names.tolist(), rows["quantity"].tolist(), strict=True)
    return tuple((str(name), quantity) for name, quantity in known if isinstance(name, str))


def _whole_order(order: Sequence[str], fall: Waterfall, book: Book) -> tuple[str, ...]:
    """``order`` with the sources it does not name after it."""
    names = [source.name for source in fall.sources]
    wrong = []
    for name in dict.fromkeys(order):
        if list(order).count(name) > 1:
            wrong.append(f"the order names {name} twice.")
        if name in names:
            continue
        takers = "; name the facility that takes it" if (book.holdings["holding_id"] == name).any() else ""
        wrong.append(f"{name} is no source of these calls{takers}. {hint(name, names)}Sources: {', '.join(names)}.")
    if wrong:
        raise UsageError("\n".join(wrong))
    return (*order, *sorted(set(names) - set(order)))


def _fixed_order(result: Result, reached: _Reached, order: tuple[str, ...]) -> FixedOrder:
    """The answer that uses the fewest sources of ``order`` that leave no more short, and of the last of them least."""
    book = result.book
    slack = max(CENT, 1e-9 * float(result.calls["required"].sum()))
    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        missing = least_shortfall(_barred(book, reached, order[middle:]))
        low, high = (low, middle) if missing <= result.summary["shortfall_bound"] + slack else (middle, high)
    # Whole lots may need one source more than the linear program does.
    for count in range(high, len(order) + 1):
        last, allowed = order[count - 1], set(order[:count])
        # Dearer by far than any source before it, so that it is used only for what they leave.
        rates = [r for name, r in zip(reached.sources.ids, reached.rate_bps.tolist(), strict=True) if name in allowed]
        dear = 10.0 * max([100.0, *(abs(r) for r in rates if np.isfinite(r))])
        priced = _dearer(_barred(book, reached, order[count:]), last, dear)
        found = solved(priced.replace(settings={"mip_gap": _MIP_GAP}))
        answer = found.result
        if float(answer.summary["total_shortfall"]) <= float(result.summary["total_shortfall"]) + slack:
            break
    used, cost, _, spent = _spent(answer, found.answer)
    is_facility = bool((book.facilities["facility_id"] == last).any())
    years = book.settings.horizon_days / book.settings.day_count
    lines = answer.allocation[answer.allocation["action"] == "deliver"]
    delivered = float(lines.loc[lines["holding_id"] == last, "market_value"].sum())
    moved = spent.get(last, 0.0) if is_facility else delivered
    penalty = moved * dear / 1e4 * years
    total = answer.total_cost - penalty
    facilities = set(book.facilities["facility_id"])
    costs = {name: cost.get((name, name in facilities), 0.0) for name in order}
    costs[last] -= penalty
    return FixedOrder(
        order=order,
        used={name: used.get((name, name in facilities), 0.0) for name in order},
        cost=costs,
        total_cost=total,
        extra_cost=total - result.total_cost,
        shortfall=float(answer.summary["total_shortfall"]),
    )


def least_shortfall(book: Book) -> float:
    """What the linear program of ``book`` leaves its calls short of, in base currency: before it looks at cost."""
    limits = Limits.for_a_run(book.settings.time_limit_s, None)
    optima = linear_optima(Problem(gather(book)), solver_named("highs"), limits)
    return min(optimum.least_shortfall for optimum in optima)


def _barred(book: Book, reached: _Reached, names: Sequence[str]) -> Book:
    """``book`` in which none of ``names`` may go to a call; into a facility it still may."""
    sources, barred = reached.sources, set(names)
    # What goes nowhere but to calls may as well not be there, which is far sooner answered than many pins.
    elsewhere = {sources.ids[g.source] for given in reached.given.values() for g in given}
    elsewhere |= {*book.posted["holding_id"], *book.pins["holding_id"], *book.pins["facility_id"]}
    if len(book.reserves):
        elsewhere |= set(book.holdings["holding_id"])
    gone = barred - elsewhere
    pinned = {
        (call, holding if holding is not None else facility)
        for call, holding, facility in book.pins[["call_id", "holding_id", "facility_id"]].itertuples(index=False)
    }
    rows = [
        {
            "call_id": call,
            "holding_id": None if sources.is_facility[i] else sources.ids[i],
            "facility_id": sources.ids[i] if sources.is_facility[i] else None,
            "forbid": True,
        }
        for call, i in reached.pairs()
        if sources.ids[i] in barred - gone and not sources.is_posted[i] and (call, sources.ids[i]) not in pinned
    ]
    holdings, facilities = book.holdings, book.facilities
    return book.replace(
        holdings=holdings.assign(quantity=holdings["quantity"].mask(holdings["holding_id"].isin(gone), 0.0)),
        facilities=facilities.assign(capacity=facilities["capacity"].mask(facilities["facility_id"].isin(gone), 0.0)),
        pins=_with_rows(book.pins, rows) if rows else book.pins,
    )


def _dearer(book: Book, name: str, by_bps: float) -> Book:
    """``book`` in which a year of delivering the source ``name`` costs so much more."""
    facilities = book.facilities
    at = facilities["facility_id"] == name
    if at.any():
        return book.replace(facilities=facilities.assign(cost_bps=facilities["cost_bps"] + by_bps * at))
    holding = book.holdings[book.holdings["holding_id"] == name].iloc[0]
    rows, costs = [], book.costs
    for agreement in dict.fromkeys(book.calls["agreement_id"].tolist()):
        there = costs["agreement_id"] == agreement
        of_asset = costs[there & (costs["asset_id"] == holding["asset_id"]) & costs["holding_id"].isna()]
        of_holding = costs[there & (costs["holding_id"] == name)]
        known = [*of_asset["cost_bps"], *of_holding["cost_bps"]]
        own = float(known[-1]) if known else float(holding["cost_bps"])
        rows.append({"holding_id": name, "agreement_id": agreement, "cost_bps": own + by_bps})
        costs = costs.drop(index=of_holding.index)
    return book.replace(costs=_with_rows(costs, rows))


def _with_rows(frame: pd.DataFrame, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """``frame`` and ``rows`` below it, as cells of any type: whoever reads it types them again."""
    known = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return pd.DataFrame([*known, *rows], columns=frame.columns, dtype=object)
