"""From positions and a stress to the calls that follow, agreement by agreement.

Step by step: stressed values, variation and initial margin of each position, what each agreement nets of them, and
the book that has to meet the calls. An agreement with a row in the exposures is called for what it is short of (the
arithmetic of ``collateral-opt requirement``); any other for what the stress loses there. ``docs/stress.md`` has the
formulas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import fsum
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.codes import finding
from collateral_opt.book.positions import VALUE
from collateral_opt.book.tables import hint
from collateral_opt.credit_support import CollateralTerms, Exposure, Movements, movements
from collateral_opt.errors import Finding, UsageError
from collateral_opt.liquidity.naming import Positions
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.stress import MarginMove, Shock, Stress, StressFile
from collateral_opt.liquidity.thresholds import ratings_after, with_thresholds
from collateral_opt.network.network import Bools, Floats, Ints
from collateral_opt.requirement import terms_of
from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.kinds import BookChange
from collateral_opt.scenarios.what_if import WhatIf

DECIMALS = 6
"""Amounts of calls are rounded to so many decimals, so that what nets to nothing is nothing."""
CONTRADICTS = 0.01
"""A stated variation margin may differ from the value's change by this share of it, or by one unit."""
COLUMNS = (
    "position_id", "agreement_id", "currency", "market_value", "unrealised_pnl", "initial_margin",
    "stressed_market_value", "stressed_unrealised_pnl", "variation_margin_call", "stressed_initial_margin",
    "total_margin_call",
)  # fmt: skip

Say = Callable[[str], object]


def project(book: Book, stress: Stress, file: StressFile) -> Projection:
    """What ``stress`` makes of ``book``: stressed positions, calls and receipts, and the book under the stress.

    Raises:
        UsageError: the stress names something that is not there, or its figures do not fit: all of it at once.
        BookError: the exposures, or the book under the stress, have an error.
    """
    return stressed(book, stress, file).projection()


def stressed(book: Book, stress: Stress, file: StressFile) -> Stressed:
    """``book`` with ``stress`` on its positions and margin, before calls are made; raises as :func:`project`."""
    wrong: list[str] = []
    where = f"stress {stress.name}"
    found: list[Finding] = []
    positions = Positions(book)
    _require_names(book, stress, file, wrong.append)
    moves = _moves(book, positions, stress, where, wrong.append, found)
    margins = _margins(positions, stress, moves, where, wrong.append, found)
    ratings = ratings_after(file.ratings, stress.downgrade, wrong.append)
    exposures = file.exposures
    if exposures is not None:
        exposures, more = with_thresholds(exposures, book.thresholds, ratings, where)
        found += more
    if wrong:
        said = "\n".join(f"  {text}" for text in dict.fromkeys(wrong))
        raise UsageError(f"the stress {stress.name!r} does not fit the book:\n{said}")
    under = under_stress(book, stress)
    desk = Desk(under, positions.frame, stress, exposures)
    found += _contradictions(desk, positions.frame, moves, margins, stress, where)
    found += _collateral_left(book, under, stress, where)
    return Stressed(stress, file, positions, moves, margins, desk, tuple(found))


@dataclass(frozen=True, eq=False)
class Stressed:
    """A stress made of a book's positions and margin; ``desk`` has the book under it, and knows how it is called."""

    stress: Stress
    file: StressFile
    positions: Positions
    moves: Moves
    margins: Margins
    desk: Desk
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> pd.DataFrame:
        """The book's own calls that are due beside the stress's.

        The arithmetic on exposures counts from what is held: it has the call of today within it.
        """
        own, file = self.desk.book.calls, self.file
        if file.calls == "replace":
            return own.iloc[:0]
        if file.exposures is None:
            return own
        anew = set(zip(file.exposures["agreement_id"], _margin_types(file.exposures), strict=True))
        whose = zip(own["agreement_id"], own["margin_type"].fillna("vm"), strict=True)
        return own[np.array([pair not in anew for pair in whose], dtype=bool)]

    def projection(self) -> Projection:
        """What the stress calls, and the book that has to meet it."""
        desk, margins, where = self.desk, self.margins, f"stress {self.stress.name}"
        legs, found = desk.legs(margins), [*self.findings]
        found += _left_over(legs, self.file, where)
        made = made_calls(desk.book, legs, self.kept)
        undated = [str(name) for name, due in zip(made["call_id"], made["due"], strict=True) if pd.isna(due)]
        if undated:
            found.append(finding("N934", where, value=undated[0], count=len(undated)))
        receipts = received(legs)
        counted = as_holdings(desk.book, legs if self.file.receipts == "count" else ())
        final = book_of(desk.book, self.kept, made, counted)
        frame = self.positions.frame
        table = pd.DataFrame(
            {
                **{column: frame[column] for column in COLUMNS[:6]},
                "stressed_market_value": self.moves.after,
                "stressed_unrealised_pnl": frame["unrealised_pnl"].to_numpy(np.float64) + self.moves.change,
                "variation_margin_call": margins.variation,
                "stressed_initial_margin": margins.initial,
                "total_margin_call": margins.total,
            }
        )
        ordered = tuple(sorted(found, key=lambda one: (("error", "warning", "note").index(one.severity), one.code)))
        return Projection(self.stress.name, table, final.calls, receipts, ordered, final)


def totals(projection: Projection) -> dict[str, float]:
    """The sums of the positions' columns in the book's base currency, at the rates under the stress."""
    frame, rates = projection.positions, projection.book.rates
    rate = frame["currency"].map(rates).to_numpy(np.float64)
    return {column: fsum(np.nan_to_num(frame[column].to_numpy(np.float64) * rate).tolist()) for column in COLUMNS[3:]}


def under_stress(book: Book, stress: Stress) -> Book:
    """``book`` with the stress's changes and its shocks to collateral made; its calls are its own still."""
    shocks = tuple(shock for shock in stress.shocks if shock.on != "positions")
    changes: tuple[BookChange, ...] = (*stress.book, *((CollateralShocked(shocks=shocks),) if shocks else ()))
    return WhatIf(name=stress.name, changes=changes)(book) if changes else book


class CollateralShocked(BookChange):
    """Relative moves of prices: an asset takes the last that names it, as a position does. Cash keeps its worth."""

    lead = "shocks"
    shocks: tuple[Shock, ...]

    def apply(self, draft: Draft) -> None:
        assets = draft.table("assets")
        last = np.full(len(assets), -1)
        for number, shock in enumerate(self.shocks):
            if shock.of is not None:
                last[draft.inside(shock.of)] = number
        priced = ((assets["asset_type"] != "cash") & assets["price"].notna()).to_numpy()
        for number, shock in enumerate(self.shocks):
            draft.move("assets", "price", np.flatnonzero((last == number) & priced), shock.value)

    def __str__(self) -> str:
        return ", ".join(f"price:{shock.of}={shock.value}" for shock in self.shocks)


# -------------------- values


@dataclass(frozen=True)
class Moves:
    """Values of positions, float64[positions] each, in their currency; ``named``: those that the stress names.

    ``share`` is the relative move that shocks make, with betas; 0 where a stated value stands in its place.
    """

    before: Floats
    after: Floats
    named: Bools
    share: Floats

    @property
    def change(self) -> Floats:
        return self.after - self.before


def _moves(book: Book, positions: Positions, stress: Stress, where: str, say: Say, found: list[Finding]) -> Moves:
    """Stated values before revaluation columns before shocks and sensitivities."""
    frame = positions.frame
    value, beta = (frame[column].to_numpy(np.float64) for column in ("market_value", "beta"))
    share, named = np.zeros(len(frame)), np.zeros(len(frame), dtype=bool)
    for shock in stress.shocks:
        if shock.of is None or shock.on == "collateral":
            continue
        inside = positions.named(shock.of, say)
        share[inside] = float(shock.share) * (1.0 if shock.is_own else beta[inside])
        named |= inside
    for i in np.flatnonzero(share < -1):
        name, of = frame["position_id"].iloc[i], f"{share[i]:.0%}"
        say(f"{name}: shock times beta is {of}, which takes its price through zero. Give it a shock of its own.")
    after = value * (1 + share)
    gain, touched = _sensitive(book, frame, stress, where, found)
    after, named = after + gain, named | touched
    if stress.revalue is not None:
        stated = _revaluation(frame, stress.revalue, say)
        after, named = np.where(np.isnan(stated), after, stated), named | ~np.isnan(stated)
        share = np.where(np.isnan(stated), share, 0.0)
    for name, figure in stress.values.items():
        i_at = positions.at(name, lambda text: say(f"values: {text}"))
        if i_at is not None:
            after[i_at], named[i_at], share[i_at] = float(figure), True, 0.0
    return Moves(value, after, named, share)


def _sensitive(
    book: Book, frame: pd.DataFrame, stress: Stress, where: str, found: list[Finding]
) -> tuple[Floats, Bools]:
    """What factors add to each value, delta x + gamma x^2 / 2, and which positions they touch."""
    gain, touched = np.zeros(len(frame)), np.zeros(len(frame), dtype=bool)
    table = book.sensitivities
    places = pd.Index(frame["position_id"])
    for shock in stress.shocks:
        if shock.factor is None or shock.by is None:
            continue
        rows = table[table["factor"] == shock.factor]
        if rows.empty:
            guess = hint(shock.factor, table["factor"].dropna().unique())
            found.append(finding("W923", where, value=shock.factor, hint=guess))
            continue
        x, at = float(shock.by), places.get_indexer(rows["position_id"])
        np.add.at(gain, at, (rows["delta"] * x + rows["gamma"] * x * x / 2).to_numpy(np.float64))
        touched[at] = True
    return gain, touched


def _revaluation(frame: pd.DataFrame, name: str, say: Say) -> Floats:
    column, nothing = f"{VALUE}{name}", np.full(len(frame), np.nan)
    if column not in frame:
        there = [c.removeprefix(VALUE) for c in map(str, frame.columns) if c.startswith(VALUE)]
        guess = hint(name, there) or f"There are: {', '.join(there) or 'none'}."
        say(f"revalue: positions have no column {column}. {guess}".rstrip())
        return nothing
    figures = pd.to_numeric(frame[column], errors="coerce")
    for i in np.flatnonzero((figures.isna() & frame[column].notna()).to_numpy()):
        say(f"revalue: {column} of {frame['position_id'].iloc[i]} is {frame[column].iloc[i]!r}. Write a number.")
    return figures.to_numpy(np.float64)


# -------------------- margin


@dataclass(frozen=True)
class Margins:
    """Margin of positions, float64[positions] each, in their currency, NaN where there is none; ``added``: asked for
    by agreements beside their positions, in the agreement's currency."""

    variation: Floats
    initial: Floats
    initial_before: Floats
    added: Mapping[str, float]

    @property
    def more_initial(self) -> Floats:
        return self.initial - self.initial_before

    @property
    def total(self) -> Floats:
        """Variation margin and the change of initial margin; 0 where nothing is margined."""
        return np.nan_to_num(self.variation + self.more_initial)


def _margins(positions: Positions, stress: Stress, moves: Moves, where: str, say: Say, found: list[Finding]) -> Margins:
    frame = positions.frame
    margined = frame["agreement_id"].notna().to_numpy()
    variation = np.where(margined, -moves.change, np.nan)
    for name, figure in stress.variation_margin.items():
        at = positions.at(name, lambda text: say(f"variation_margin: {text}"))
        if at is None:
            continue
        if margined[at]:
            variation[at] = float(figure)
        else:
            found.append(finding("W922", where, value=name, stated=_money(float(figure))))
    before = frame["initial_margin"].to_numpy(np.float64)
    initial, added = before.copy(), dict[str, float]()
    for move in stress.initial_margin:
        if move.agreement is not None:
            added[move.agreement] = added.get(move.agreement, 0.0) + float(move.add or 0)
            continue
        if move.of is None:
            continue
        named = positions.named(move.of, lambda text: say(f"initial_margin: {text}"))
        if named.any() and not (named & margined).any():
            say(f"initial_margin: {move.of} names no position with an agreement. Name one, or take the line out.")
        at_once = named & margined
        initial[at_once] = _moved_margin(before[at_once], move)
        if move.multiplier is not None and move.multiplier < 1:
            found.append(finding("W924", where, value=str(move.of), multiplier=f"{float(move.multiplier):g}"))
    for i in np.flatnonzero(initial < 0):
        name = frame["position_id"].iloc[i]
        say(f"initial_margin: that of {name} would be {_money(initial[i])}. Margin is 0 or more.")
    return Margins(variation, initial, before, added)


def _moved_margin(margin: Floats, move: MarginMove) -> Floats:
    if move.to is not None:
        return np.full(len(margin), float(move.to))
    return margin * float(move.multiplier if move.multiplier is not None else 1) + float(move.add or 0)


# -------------------- agreements


@dataclass(frozen=True)
class Leg:
    """What can be called at an agreement, of one margin type or (None) of both."""

    agreement: str
    margin_type: str | None
    currency: str
    due: pd.Timestamp | None
    call_id: str


@dataclass(frozen=True)
class Flow(Leg):
    """Called for what the stress loses: the ``variation`` margin of its positions, more ``initial`` margin, or both.

    ``each``: position by position, without netting. ``added`` is asked for besides.
    """

    variation: bool = False
    initial: bool = False
    each: bool = False
    added: float = 0.0


@dataclass(frozen=True)
class Stock(Leg):
    """Called for all that an exposure is short of; ``passed``: other columns of its calls."""

    us: CollateralTerms = field(kw_only=True)
    them: CollateralTerms = field(kw_only=True)
    exposure: Exposure = field(kw_only=True)
    passed: Mapping[str, object] = field(default_factory=dict)

    def after(self, change: float) -> Movements:
        """What moves once the exposure has: ours to them, or of initial margin theirs to us, by ``change``."""
        more, stands = Decimal(repr(change)), self.exposure
        if stands.of_them is not None:
            return movements(self.us, self.them, replace(stands, of_them=stands.of_them + more))
        return movements(self.us, self.them, replace(stands, amount=stands.amount + more))


@dataclass(frozen=True)
class Asked:
    """What comes of a leg, in its currency: we ``pay`` and ``receive``, and ``give_back`` what we hold of theirs."""

    leg: Flow | Stock
    pay: float
    receive: float
    give_back: float = 0.0


class Desk:
    """How the agreements of a book net and call under a stress; ``frame`` are the positions before it, in full.

    Raises:
        BookError: the exposures have an error.
    """

    def __init__(self, book: Book, frame: pd.DataFrame, stress: Stress, exposures: pd.DataFrame | None) -> None:
        self.book, self.stress, self.exposures = book, stress, exposures
        agreements = book.agreements
        self.currency = dict(zip(agreements["agreement_id"], agreements["base_currency"], strict=True))
        self.nets = dict(zip(agreements["agreement_id"], agreements["nets"], strict=True))
        self.rate = frame["currency"].map(book.rates).to_numpy(np.float64)
        margined = frame[frame["agreement_id"].notna()]
        self.rows: dict[str, Ints] = {
            str(name): rows.index.to_numpy() for name, rows in margined.groupby("agreement_id", sort=False)
        }
        self._stocks = list(self._by_stock())

    def legs_of(self, added: Mapping[str, float]) -> list[Flow | Stock]:
        """Every leg that there can be, in the order of the agreements; ``added``: asked for beside positions."""
        stocked = self._types_by_stock()
        found: list[Flow | Stock] = []
        for name in self.currency:
            if name in self.rows or name in added:
                found += self._by_flow(name, added.get(name, 0.0), stocked.get(name, frozenset()))
            taken = {leg.call_id for leg in found}
            for stock in (leg for leg in self._stocks if leg.agreement == name):
                is_bare = stock.call_id in taken and stock.margin_type is None
                found.append(replace(stock, call_id=f"{stock.call_id} vm") if is_bare else stock)
        return found

    def legs(self, margins: Margins, only: str | None = None) -> list[Asked]:
        """What comes of every leg that is not zero, in the order of the agreements; ``only`` of one of them."""
        legs = [leg for leg in self.legs_of(margins.added) if only in (None, leg.agreement)]
        asked = [self._asked(leg, margins) for leg in legs]
        return [one for one in asked if one.pay or one.receive or one.give_back]

    def called(self, margins: Margins, agreement: str) -> float:
        """All that the agreement calls, in its currency."""
        rates = self.book.rates
        own = rates[self.currency[agreement]]
        return fsum(one.pay * rates[one.leg.currency] / own for one in self.legs(margins, agreement))

    def added_to(self, stock: Stock, added: Mapping[str, float]) -> float:
        """What agreements ask for beside their positions that the exposure of ``stock`` takes, in its currency."""
        more = added.get(stock.agreement, 0.0) if stock.exposure.of_them is not None else 0.0
        return more * self.book.rates[self.currency[stock.agreement]] / self.book.rates[stock.currency] if more else 0.0

    def _asked(self, leg: Flow | Stock, margins: Margins) -> Asked:
        if isinstance(leg, Stock):
            if leg.exposure.of_them is not None:
                change = [*self._sum(leg, margins.more_initial), self.added_to(leg, margins.added)]
            else:
                change = [-one for one in self._sum(leg, margins.variation)]
            moved = leg.after(net(change))
            return Asked(leg, float(moved.deliver), float(moved.receive), float(moved.give_back))
        variation = self._sum(leg, margins.variation) if leg.variation else []
        initial = self._sum(leg, margins.more_initial) if leg.initial else []
        if not leg.each:
            total = net([*variation, *initial, leg.added])
            return Asked(leg, max(0.0, total), max(0.0, -total))
        longest = max(len(variation), len(initial))
        alone = [net([*variation[i : i + 1], *initial[i : i + 1]]) for i in range(longest)]
        total = net([*(max(0.0, one) for one in alone), leg.added])
        return Asked(leg, max(0.0, total), net([*(max(0.0, -one) for one in alone), max(0.0, -total)]))

    def _types_by_stock(self) -> dict[str, frozenset[str]]:
        """The margin types of each agreement that the exposures speak of."""
        if self.exposures is None:
            return {}
        types = _margin_types(self.exposures)
        names = self.exposures["agreement_id"].tolist()
        return {n: frozenset(t for m, t in zip(names, types, strict=True) if m == n) for n in dict.fromkeys(names)}

    def _sum(self, leg: Leg, figures: Floats) -> list[float]:
        """The figures of the leg's agreement, position by position, in its currency."""
        rows = self.rows.get(leg.agreement)
        if rows is None:
            return []
        own = self.book.rates[leg.currency]
        converted: list[float] = (figures[rows] * (self.rate[rows] / own)).tolist()
        return converted

    def _by_flow(self, name: str, added: float, stocked: frozenset[str]) -> Iterator[Flow]:
        """What the stress loses at an agreement is called, what it gains is received; nothing else is looked at."""
        nets, types = self.nets[name] or "margin_type", [kind for kind in ("vm", "im") if kind not in stocked]

        def flow(kind: str | None, call_id: str) -> Flow:
            has = {one: one in types and kind in (None, one) for one in ("vm", "im")}
            return Flow(
                name, kind, self.currency[name], self.due(name, kind), call_id,
                variation=has["vm"], initial=has["im"], each=nets == "none", added=added if has["im"] else 0.0,
            )  # fmt: skip

        if nets == "margin_type":
            yield from (flow(kind, f"{name} {kind}") for kind in types)
        elif types:
            yield flow(None, name)

    def _by_stock(self) -> Iterator[Stock]:
        """An agreement and margin type that the exposures speak of, by the arithmetic of the credit support annex."""
        if self.exposures is None:
            return
        # The stress may have taken an agreement away.
        table = self.exposures[self.exposures["agreement_id"].isin(list(self.currency))]
        given = "call_id" in table
        for passed, us, them, exposure in terms_of(table) if len(table) else ():
            name, kind = (
                str(passed["agreement_id"]),
                None if passed["margin_type"] is None else str(passed["margin_type"]),
            )
            due = self.due(name, kind or "vm")
            if not {name, kind or "vm"} & set(self.stress.due) and passed["due"] is not None:
                due = _time(passed["due"])
            told = given and passed["call_id"] != name
            yield Stock(
                agreement=name,
                margin_type=kind,
                currency=us.currency,
                due=due,
                call_id=str(passed["call_id"]) if told else f"{name} {kind}" if kind else name,
                us=us,
                them=them,
                exposure=exposure,
                passed={key: passed[key] for key in ("schedule", "priority") if passed[key] is not None},
            )

    def due(self, agreement: str, kind: str | None) -> pd.Timestamp | None:
        """When a call falls due: as said of its agreement, or else of its type (of both: the earlier)."""
        as_of = self.book.settings.as_of
        said = self.stress.due
        keys = [agreement] if agreement in said else [k for k in ("vm", "im") if kind in (None, k) and k in said]
        times = [at for key in keys if (at := said[key].of(as_of)) is not None]
        return pd.Timestamp(min(times)) if times else None


def _margin_types(exposures: pd.DataFrame) -> list[str]:
    """``im`` or ``vm`` a row; nothing said is variation margin."""
    if "margin_type" not in exposures:
        return ["vm"] * len(exposures)
    return ["im" if kind == "im" else "vm" for kind in exposures["margin_type"]]


def _time(cell: object) -> pd.Timestamp | None:
    """The time with its offset that a cell holds; None where it holds none."""
    try:
        at = pd.Timestamp(str(cell))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def net(amounts: Iterable[float]) -> float:
    """Their sum, to :data:`DECIMALS`."""
    return round(fsum(amounts), DECIMALS) + 0.0


# -------------------- the book under the stress


def made_calls(under: Book, asked: Sequence[Asked], kept: pd.DataFrame) -> pd.DataFrame:
    """A row for each leg that we pay, with the columns of a book's calls, under names that none of ``kept`` has."""
    taken, rows = set(kept["call_id"]), []
    for one in asked:
        if one.pay <= 0:
            continue
        leg = one.leg
        name = leg.call_id
        while name in taken:
            name += " stress" if name == leg.call_id else "'"
        taken.add(name)
        rows.append(
            {
                **(leg.passed if isinstance(leg, Stock) else {}),
                "call_id": name,
                "agreement_id": leg.agreement,
                "amount": one.pay,
                "currency": leg.currency,
                "due": leg.due,
                "margin_type": leg.margin_type,
            }
        )
    made = pd.DataFrame(rows, columns=[c for c in under.calls.columns if c != "due_date"], dtype=object)
    made = made.assign(due=pd.to_datetime(made["due"], utc=True).astype("datetime64[ns, UTC]"))
    here = made["due"].dt.tz_convert(under.settings.as_of.tzinfo).dt.tz_localize(None).dt.normalize()
    made = made.assign(
        amount=made["amount"].astype(np.float64),
        priority=pd.to_numeric(made["priority"]).astype(np.float64),
        due_date=here.astype("datetime64[ns]"),
    )
    return made[under.calls.columns]


def received(asked: Sequence[Asked]) -> pd.DataFrame:
    """What flows to us: agreement_id, margin_type, amount, currency, due."""
    columns = ("agreement_id", "margin_type", "amount", "currency", "due")
    rows = [
        (one.leg.agreement, one.leg.margin_type, one.receive, one.leg.currency, one.leg.due)
        for one in asked
        if one.receive > 0
    ]
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
    due = pd.to_datetime(frame["due"], utc=True).astype("datetime64[ns, UTC]")
    return frame.assign(amount=frame["amount"].astype(np.float64), due=due)


def book_of(under: Book, kept: pd.DataFrame, made: pd.DataFrame, counted: pd.DataFrame) -> Book:
    """The book with the calls that are ``kept`` and ``made``, and the holdings ``counted`` among its own."""
    both = [part for part in (kept, made) if len(part)]
    calls = pd.concat(both, ignore_index=True) if both else kept.reset_index(drop=True)
    frames: dict[str, Any] = {"calls": calls}
    for name in ("pins", "instructions"):
        frame: pd.DataFrame = getattr(under, name)
        gone = frame["call_id"].isin(set(under.calls["call_id"]) - set(calls["call_id"]))
        if gone.any():
            frames[name] = frame[~gone].reset_index(drop=True)
    if len(counted):
        frames["holdings"] = pd.concat([under.holdings, counted], ignore_index=True)
    book = under.replace(**frames)
    # Checked again, a due date would be the day in UTC.
    days = {**dict(zip(under.calls["call_id"], under.calls["due_date"], strict=True)),
            **dict(zip(made["call_id"], made["due_date"], strict=True))}  # fmt: skip
    dates = book.calls["call_id"].map(days).astype("datetime64[ns]")
    return replace(book, calls=book.calls.assign(due_date=dates))


def as_holdings(under: Book, asked: Sequence[Asked]) -> pd.DataFrame:
    """A holding of cash for each leg of which something is received, ready when it is due, named after its call."""
    cash = under.assets[under.assets["asset_type"] == "cash"]
    asset = dict(zip(cash["currency"][::-1], cash["asset_id"][::-1], strict=True))
    receipts = received(asked)
    strangers = sorted(set(receipts["currency"]) - set(asset))
    if strangers:
        raise UsageError(f"receipts: the book has no cash in {', '.join(strangers)} to hold them as. Add it to assets.")
    taken, names = set(under.holdings["holding_id"]), []
    for one in asked:
        if one.receive > 0:
            name = f"receipt {one.leg.call_id}"
            while name in taken:
                name += "'"
            taken.add(name)
            names.append(name)
    rows = pd.DataFrame(
        {"holding_id": names, "asset_id": receipts["currency"].map(asset), "quantity": receipts["amount"],
         "cost_bps": 0.0, "settle_hours": 0.0, "ready_at": receipts["due"]}
    )  # fmt: skip
    return rows.reindex(columns=under.holdings.columns).astype(
        {c: d for c, d in under.holdings.dtypes.items() if c in ("quantity", "cost_bps", "settle_hours", "ready_at")}
    )


# -------------------- what is odd


def _require_names(book: Book, stress: Stress, file: StressFile, say: Say) -> None:
    """What the stress and the exposures name is there."""
    agreements = set(book.agreements["agreement_id"])

    def known(name: str, place: str, also: Sequence[str] = ()) -> None:
        if name not in agreements and name not in also:
            guess = hint(name, [*also, *agreements]) or "Correct the identifier, or leave it out."
            say(f"{place}: agreement {name!r} is not in the book. {guess}".rstrip())

    for name, due in stress.due.items():
        known(name, "due", ("vm", "im"))
        at = due.of(book.settings.as_of)
        if at is not None and at < book.settings.as_of:
            say(f"due: {name} is due {due}, before the book's time. Write a later one, such as +8h.")
    for move in stress.initial_margin:
        if move.agreement is not None:
            known(move.agreement, "initial_margin")
    exposed = set(file.exposures["agreement_id"].dropna()) if file.exposures is not None else set()
    for name in sorted(map(str, exposed)):
        known(name, "exposures")
    if file.exposures is not None:
        margined = set(book.positions["agreement_id"].dropna())
        rows = Counter(zip(file.exposures["agreement_id"], _margin_types(file.exposures), strict=True))
        for (name, kind), count in rows.items():
            if count > 1 and name in margined:
                say(
                    f"exposures: agreement {name!r} has {count} rows of {kind}, and positions that would move each of "
                    "them. Leave one of the rows, or give each an agreement of its own."
                )
        for currency in sorted(set(map(str, file.exposures["currency"].dropna())) - set(book.rates)):
            say(f"exposures: there is no rate for {currency}. Add it to fx.")
        for cell in file.exposures["due"].dropna() if "due" in file.exposures else ():
            if str(cell).strip() and _time(cell) is None:
                say(f"exposures: {cell} is no time with an offset. Write 2026-03-24T15:00:00+01:00.")
    for name in file.ratings:
        known(name, "ratings", ("us",))
    terms = book.thresholds
    for name in stress.downgrade:
        known(name, "downgrade", ("us",))
        mine = terms[(terms["party"] == "us") if name == "us" else (terms["party"] == "them")
                     & (terms["agreement_id"] == name)]  # fmt: skip
        if not set(mine["agreement_id"]) & exposed:
            say(
                f"downgrade: no threshold depends on the rating of {name!r}. Fill in the table thresholds, and name "
                "the table of exposures."
            )


def _contradictions(
    desk: Desk, frame: pd.DataFrame, moves: Moves, margins: Margins, stress: Stress, where: str
) -> Iterator[Finding]:
    """W921: a stated variation margin that the value's change contradicts, and what would be called otherwise."""
    for name in stress.variation_margin:
        at = int(np.flatnonzero((frame["position_id"] == name).to_numpy())[0])
        agreement, change = frame["agreement_id"].iloc[at], float(moves.change[at])
        stated = float(margins.variation[at])
        if (
            agreement not in desk.currency
            or not moves.named[at]
            or abs(stated + change) <= max(CONTRADICTS * abs(change), 1.0)
        ):
            continue
        marked = margins.variation.copy()
        marked[at] = -change
        yield finding(
            "W921",
            where,
            value=name,
            stated=_money(stated),
            change=_money(change),
            before=_money(moves.before[at]),
            after=_money(moves.after[at]),
            which="a loss" if change < 0 else "a gain" if change > 0 else "no change",
            marked=_money(-change, signed=True),
            agreement=agreement,
            otherwise=_money(desk.called(replace(margins, variation=marked), str(agreement))),
            called=_money(desk.called(margins, str(agreement))),
        )


def _collateral_left(book: Book, under: Book, stress: Stress, where: str) -> Iterator[Finding]:
    """N931: a class that falls in positions, while collateral of the same class keeps its price."""
    still = (
        (book.assets["price"] == under.assets["price"]).to_numpy() if len(book.assets) == len(under.assets) else None
    )
    if still is None:
        return
    value = dict(zip(book.assets["asset_id"], book.unit_values, strict=True))
    security = (book.assets["asset_type"] != "cash").to_numpy()
    for shock in stress.shocks:
        if shock.of is None or shock.on != "positions" or shock.share >= 0 or shock.is_own:
            continue
        left = book.assets["asset_id"][Draft(book).inside(shock.of) & still & security]
        held = book.holdings[book.holdings["asset_id"].isin(left) & (book.holdings["quantity"] > 0)]
        worth = fsum((held["quantity"] * held["asset_id"].map(value)).tolist())
        if worth:
            money = f"{_money(worth)} {book.settings.base_currency}"
            yield finding("N931", where, value=str(shock.of), worth=money, holding=held["holding_id"].iloc[0])


def _left_over(asked: Sequence[Asked], file: StressFile, where: str) -> Iterator[Finding]:
    """N932, N933: what flows to us and is not used, and what we owe back of theirs."""
    for one in asked:
        name, currency = one.leg.agreement, one.leg.currency
        if one.give_back:
            yield finding("N933", where, agreement=name, value=f"{_money(one.give_back)} {currency}")
        if one.receive and file.receipts == "ignore":
            yield finding("N932", where, agreement=name, value=f"{_money(one.receive)} {currency}")


def _money(amount: float, *, signed: bool = False) -> str:
    text = f"{amount:+,.2f}" if signed else f"{amount:,.2f}"
    return text.removesuffix(".00")
