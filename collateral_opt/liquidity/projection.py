"""From positions and a stress to the calls that follow, agreement by agreement.

Step by step: stressed values, variation and initial margin of each position, what each agreement nets of them, and
the book that has to meet the calls. An agreement with a row in the exposures is called for what it is short of (the
arithmetic of ``collateral-opt requirement``); any other for what the stress loses there. ``docs/stress.md`` has the
formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import fsum
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.codes import finding
from collateral_opt.book.positions import VALUE
from collateral_opt.book.tables import hint
from collateral_opt.errors import Finding, UsageError
from collateral_opt.liquidity.naming import Positions
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.stress import MarginMove, Shock, Stress, StressFile
from collateral_opt.liquidity.thresholds import ratings_after, with_thresholds
from collateral_opt.network.network import Bools, Floats
from collateral_opt.requirement import margin_calls
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
    desk = _Desk(under, positions.frame, stress, exposures)
    legs = desk.legs(margins)
    found += _contradictions(desk, positions.frame, moves, margins, stress, where)
    found += _collateral_left(book, under, stress, where)
    found += _left_over(legs, file, where)
    calls, made = _calls(under, legs, file)
    undated = [str(name) for name, due in zip(made["call_id"], made["due"], strict=True) if pd.isna(due)]
    if undated:
        found.append(finding("N934", where, value=undated[0], count=len(undated)))
    receipts = _receipts(legs)
    final = _with_calls(under, calls, made, receipts if file.receipts == "count" else receipts.iloc[:0])
    table = pd.DataFrame(
        {
            **{column: positions.frame[column] for column in COLUMNS[:6]},
            "stressed_market_value": moves.after,
            "stressed_unrealised_pnl": positions.frame["unrealised_pnl"].to_numpy(np.float64) + moves.change,
            "variation_margin_call": margins.variation,
            "stressed_initial_margin": margins.initial,
            "total_margin_call": margins.total,
        }
    )
    ordered = tuple(sorted(found, key=lambda one: (("error", "warning", "note").index(one.severity), one.code)))
    return Projection(stress.name, table, final.calls, receipts, ordered, final)


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
    """Values of positions, float64[positions] each, in their currency; ``named``: those that the stress names."""

    before: Floats
    after: Floats
    named: Bools

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
    for name, figure in stress.values.items():
        i_at = positions.at(name, lambda text: say(f"values: {text}"))
        if i_at is not None:
            after[i_at], named[i_at] = float(figure), True
    return Moves(value, after, named)


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
    """What one agreement comes to, of one margin type or (None) of both: above 0 we pay, below 0 we receive."""

    agreement: str
    margin_type: str | None
    amount: float
    currency: str
    due: pd.Timestamp | None
    call_id: str
    by_stock: bool = False
    passed: Mapping[str, object] | None = None
    goes_back: float = 0.0
    """What we hold of theirs and owe back."""


class _Desk:
    """How the agreements of a book net and call under a stress."""

    def __init__(self, book: Book, frame: pd.DataFrame, stress: Stress, exposures: pd.DataFrame | None) -> None:
        self.book, self.stress, self.exposures = book, stress, exposures
        agreements = book.agreements
        self.currency = dict(zip(agreements["agreement_id"], agreements["base_currency"], strict=True))
        self.nets = dict(zip(agreements["agreement_id"], agreements["nets"], strict=True))
        self.rate = frame["currency"].map(book.rates).to_numpy(np.float64)
        margined = frame[frame["agreement_id"].notna()]
        self.rows: dict[str, np.ndarray[Any, Any]] = {
            str(name): rows.index.to_numpy() for name, rows in margined.groupby("agreement_id", sort=False)
        }

    def legs(self, margins: Margins, only: str | None = None) -> list[Leg]:
        """Every leg that is not zero, in the order of the agreements; ``only`` one of them."""
        by_flow = [a for a in self.currency if only in (None, a) and (a in self.rows or a in margins.added)]
        stocked = self._types_by_stock()
        found = [leg for name in by_flow for leg in self._by_flow(name, margins, stocked.get(name, frozenset()))]
        found += self._by_stock(margins, only)
        place = {name: i for i, name in enumerate(self.currency)}
        return sorted((leg for leg in found if leg.amount or leg.goes_back), key=lambda leg: place[leg.agreement])

    def called(self, margins: Margins, agreement: str) -> float:
        """All that the agreement calls, in its currency."""
        rates = self.book.rates
        own = rates[self.currency[agreement]]
        legs = self.legs(margins, agreement)
        return fsum(leg.amount * rates[leg.currency] / own for leg in legs if leg.amount > 0)

    def _types_by_stock(self) -> dict[str, frozenset[str]]:
        """The margin types of each agreement that the exposures speak of."""
        if self.exposures is None:
            return {}
        types = _margin_types(self.exposures)
        names = self.exposures["agreement_id"].tolist()
        return {n: frozenset(t for m, t in zip(names, types, strict=True) if m == n) for n in dict.fromkeys(names)}

    def _sum(self, name: str, figures: Floats, currency: str) -> list[float]:
        """The agreement's figures, position by position, in ``currency``."""
        rows = self.rows.get(name)
        if rows is None:
            return []
        own = self.book.rates[currency]
        converted: list[float] = (figures[rows] * (self.rate[rows] / own)).tolist()
        return converted

    def _by_flow(self, name: str, margins: Margins, stocked: frozenset[str]) -> Iterator[Leg]:
        """What the stress loses at an agreement is called, what it gains is received; nothing else is looked at."""
        currency, nets = self.currency[name], self.nets[name] or "margin_type"
        variation = [] if "vm" in stocked else self._sum(name, margins.variation, currency)
        initial = [] if "im" in stocked else self._sum(name, margins.more_initial, currency)
        added = [] if "im" in stocked else [margins.added.get(name, 0.0)]

        def leg(kind: str | None, amounts: Iterable[float], word: str = "") -> Leg:
            return Leg(name, kind, _net(amounts), currency, self.due(name, kind), f"{name}{word}")

        if nets == "margin_type":
            yield leg("vm", variation, " vm")
            yield leg("im", [*initial, *added], " im")
        elif nets == "all":
            yield leg(None, [*variation, *initial, *added])
        else:
            longest = max(len(variation), len(initial))
            alone = [_net([*variation[i : i + 1], *initial[i : i + 1]]) for i in range(longest)]
            yield leg(None, [*(max(0.0, one) for one in alone), *added])
            yield leg(None, [min(0.0, one) for one in alone])

    def _by_stock(self, margins: Margins, only: str | None) -> Iterator[Leg]:
        """What the arithmetic of the credit support annex makes of the exposures after the stress."""
        if self.exposures is None:
            return
        table = self.exposures
        names, currencies, types = table["agreement_id"].tolist(), table["currency"].tolist(), _margin_types(table)
        columns = {c: table[c].astype(object).tolist() for c in ("exposure", "exposure_them") if c in table}
        for i, (name, currency, kind) in enumerate(zip(names, currencies, types, strict=True)):
            if name not in self.currency or currency not in self.book.rates:
                continue
            if kind == "im":
                change = [*self._sum(name, margins.more_initial, currency)]
                if name in margins.added:
                    rate = self.book.rates[self.currency[name]] / self.book.rates[currency]
                    change.append(margins.added[name] * rate)
                column = "exposure_them"
            else:
                change, column = [-one for one in self._sum(name, margins.variation, currency)], "exposure"
            if column in columns:
                columns[column][i] = _plus(columns[column][i], _net(change))
        stressed = table.assign(**{c: pd.Series(v, index=table.index, dtype=object) for c, v in columns.items()})
        # The stress may have taken an agreement away.
        stressed = stressed[stressed["agreement_id"].isin([only] if only is not None else list(self.currency))]
        given = "call_id" in table
        for row in margin_calls(stressed).to_dict("records") if len(stressed) else ():
            name, kind, amount = str(row["agreement_id"]), row["margin_type"], float(row["amount"])
            ours, back = row["party"] == "us", row["action"] == "return" and row["party"] == "us"
            due = self.due(name, kind or "vm")
            if not {name, kind or "vm"} & set(self.stress.due) and row["due"] is not None:
                due = _time(row["due"])
            yield Leg(
                agreement=name,
                margin_type=kind,
                amount=0.0 if back else amount if ours else -amount,
                currency=str(row["currency"]),
                due=due,
                call_id=str(row["call_id"]) if given and row["call_id"] != name else f"{name} {kind}" if kind else name,
                by_stock=True,
                passed={key: row[key] for key in ("schedule", "priority") if row[key] is not None},
                goes_back=amount if back else 0.0,
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


def _net(amounts: Iterable[float]) -> float:
    return round(fsum(amounts), DECIMALS) + 0.0


def _plus(cell: object, change: float) -> object:
    """A cell of the exposures after its change; what is no number stays what it is, to be found by the arithmetic."""
    try:
        return Decimal(str(cell)) + Decimal(repr(change))
    except ArithmeticError:
        return cell


# -------------------- the book under the stress


def _calls(under: Book, legs: Sequence[Leg], file: StressFile) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All calls, and those that the stress makes; each with the columns of a book's."""
    kept = under.calls.iloc[:0] if file.calls == "replace" else under.calls
    # The arithmetic on exposures counts from what is held: it has the call of today within it.
    anew = {(leg.agreement, leg.margin_type or "vm") for leg in legs if leg.by_stock}
    if file.exposures is not None:
        anew |= set(zip(file.exposures["agreement_id"], _margin_types(file.exposures), strict=True))
    whose = zip(kept["agreement_id"], kept["margin_type"].fillna("vm"), strict=True)
    kept = kept[np.array([pair not in anew for pair in whose], dtype=bool)]
    taken, rows = set(kept["call_id"]), []
    for leg in legs:
        if leg.amount <= 0:
            continue
        name = leg.call_id
        while name in taken:
            name += " stress" if name == leg.call_id else "'"
        taken.add(name)
        rows.append(
            {
                **(leg.passed or {}),
                "call_id": name,
                "agreement_id": leg.agreement,
                "amount": leg.amount,
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
    both = [part for part in (kept, made[under.calls.columns]) if len(part)]
    return pd.concat(both, ignore_index=True) if both else kept.reset_index(drop=True), made


def _receipts(legs: Sequence[Leg]) -> pd.DataFrame:
    columns = ("agreement_id", "margin_type", "amount", "currency", "due")
    rows = [(leg.agreement, leg.margin_type, -leg.amount, leg.currency, leg.due) for leg in legs if leg.amount < 0]
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
    due = pd.to_datetime(frame["due"], utc=True).astype("datetime64[ns, UTC]")
    return frame.assign(amount=frame["amount"].astype(np.float64), due=due)


def _with_calls(under: Book, calls: pd.DataFrame, made: pd.DataFrame, counted: pd.DataFrame) -> Book:
    """The book with these calls, and what is received counted among its holdings."""
    frames: dict[str, Any] = {"calls": calls}
    for name in ("pins", "instructions"):
        frame: pd.DataFrame = getattr(under, name)
        gone = frame["call_id"].isin(set(under.calls["call_id"]) - set(calls["call_id"]))
        if gone.any():
            frames[name] = frame[~gone].reset_index(drop=True)
    if len(counted):
        frames["holdings"] = pd.concat([under.holdings, _as_holdings(under, counted)], ignore_index=True)
    book = under.replace(**frames)
    # Checked again, a due date would be the day in UTC.
    days = {**dict(zip(under.calls["call_id"], under.calls["due_date"], strict=True)),
            **dict(zip(made["call_id"], made["due_date"], strict=True))}  # fmt: skip
    dates = book.calls["call_id"].map(days).astype("datetime64[ns]")
    return replace(book, calls=book.calls.assign(due_date=dates))


def _as_holdings(under: Book, receipts: pd.DataFrame) -> pd.DataFrame:
    cash = under.assets[under.assets["asset_type"] == "cash"]
    asset = dict(zip(cash["currency"][::-1], cash["asset_id"][::-1], strict=True))
    strangers = sorted(set(receipts["currency"]) - set(asset))
    if strangers:
        raise UsageError(f"receipts: the book has no cash in {', '.join(strangers)} to hold them as. Add it to assets.")
    names = [f"receipt {' '.join(filter(None, key))}" for key in zip(receipts["agreement_id"], receipts["margin_type"],
                                                                       strict=True)]  # fmt: skip
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
        for currency in sorted(set(map(str, file.exposures["currency"].dropna())) - set(book.rates)):
            say(f"exposures: there is no rate for {currency}. Add it to fx.")
        for cell in file.exposures["due"].dropna() if "due" in file.exposures else ():
            if str(cell).strip() and _time(cell) is None:
                say(f"exposures: {cell} is no time with an offset. Write 2026-03-24T15:00:00+01:00.")
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
    desk: _Desk, frame: pd.DataFrame, moves: Moves, margins: Margins, stress: Stress, where: str
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


def _left_over(legs: Sequence[Leg], file: StressFile, where: str) -> Iterator[Finding]:
    """N932, N933: what flows to us and is not used, and what we owe back of theirs."""
    for leg in legs:
        if leg.goes_back:
            back = f"{_money(leg.goes_back)} {leg.currency}"
            yield finding("N933", where, agreement=leg.agreement, value=back)
        if leg.amount < 0 and file.receipts == "ignore":
            yield finding("N932", where, agreement=leg.agreement, value=f"{_money(-leg.amount)} {leg.currency}")


def _money(amount: float, *, signed: bool = False) -> str:
    text = f"{amount:+,.2f}" if signed else f"{amount:,.2f}"
    return text.removesuffix(".00")
