"""Two results of one desk beside each other: what it costs more, who pays, which lines, limits and facilities move.

Amounts are in base currency, as the results' tables state them (to the cent); quantities in units. What was done to the
book between them stands beside that, in the book's own figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal

import pandas as pd

from collateral_opt.network.exact import exact
from collateral_opt.result.result import Result

ACTIONS = ("deliver", "keep", "recall")
FULL = 1 - 1e-5
"""The part of a cap that counts as all of it: what is left beyond is often less than a lot."""
BREAKDOWNS = ("agreement", "counterparty", "owner")
"""The ways in which the cost is told apart."""


Difference = Literal["added", "removed", "changed"]


Stated = float | str
"""A figure of a book, or text where a cell holds text (a time, a rating, the name of a schedule)."""


@dataclass(frozen=True)
class Alteration:
    """What a change did to one figure of the book.

    ``number`` and ``change``: which of the changes it was (from 1), and its word. ``thing`` and ``name`` say whose
    figure it is (`call`, `holding`, `rule`, ...), ``place`` the schedule in which a rule or limit stands, ``field``
    which one. Where the thing itself came or went, ``was`` or ``now`` is None, and ``field`` may be empty.
    ``unit``: a currency, `bp` or `units`; None for shares and prices, in the book's own terms.
    """

    number: int
    change: str
    difference: Difference
    thing: str
    name: str
    place: str | None
    field: str
    was: Stated | None
    now: Stated | None
    unit: str | None


@dataclass(frozen=True)
class Altered:
    """The alterations of one kind that a change made, together.

    ``name`` is None where there are several. ``was`` and ``now``: the least and the most figure (one if they are the
    same), or every text; empty where none stood or stands. ``unit`` is None where there are several.
    """

    number: int
    change: str
    difference: Difference
    thing: str
    field: str
    count: int
    name: str | None
    places: tuple[str, ...]
    was: tuple[Stated, ...]
    now: tuple[Stated, ...]
    unit: str | None


def summed_up(alterations: Iterable[Alteration]) -> tuple[Altered, ...]:
    """A record for each kind of figure that each change moved, in the order in which the first of them was."""
    kinds: dict[tuple[int, str, str, str], list[Alteration]] = {}
    for one in alterations:
        kinds.setdefault((one.number, one.difference, one.thing, one.field), []).append(one)
    return tuple(map(_together, kinds.values()))


def _together(ones: Sequence[Alteration]) -> Altered:
    first, units = ones[0], {one.unit for one in ones}
    return Altered(
        number=first.number,
        change=first.change,
        difference=first.difference,
        thing=first.thing,
        field=first.field,
        count=len(ones),
        name=first.name if len(ones) == 1 else None,
        places=tuple(sorted({one.place for one in ones if one.place is not None})),
        was=_range(one.was for one in ones),
        now=_range(one.now for one in ones),
        unit=first.unit if len(units) == 1 else None,
    )


def _range(figures: Iterable[Stated | None]) -> tuple[Stated, ...]:
    there = {figure for figure in figures if figure is not None}
    numbers = sorted(figure for figure in there if not isinstance(figure, str))
    ends = dict.fromkeys((numbers[0], numbers[-1])) if numbers else ()
    return (*ends, *sorted(figure for figure in there if isinstance(figure, str)))


@dataclass(frozen=True)
class Moved:
    """A figure before and after; 0 where there was or is none."""

    before: float
    after: float

    @property
    def by(self) -> float:
        """How much more it is, exactly: a float stands for its shortest decimal."""
        return _sum(self.after, -self.before)


@dataclass(frozen=True)
class CallDifference:
    """A call that came, went, asks for another amount or is short by another one.

    ``reason``: why it is short after, where it is.
    """

    call_id: str
    agreement_id: str
    difference: Difference
    required: Moved
    shortfall: Moved
    reason: str | None


@dataclass(frozen=True)
class RequirementDifference:
    """A reserve, or what an agreement requires beside its calls, that asks for or is short by another amount."""

    name: str
    difference: Difference
    required: Moved
    shortfall: Moved


@dataclass(frozen=True)
class LineDifference:
    """A line that is not what it was: ``changed`` in quantity, or ``repriced`` in value, haircut or cost alone.

    A line is what one holding or facility gives of an asset to one call (none: to the agreement), or keeps there.
    """

    call_id: str | None
    agreement_id: str
    holding_id: str | None
    facility_id: str | None
    asset_id: str
    action: str
    difference: Literal["added", "removed", "changed", "repriced"]
    quantity: Moved
    market_value: Moved
    collateral_value: Moved
    cost: Moved


@dataclass(frozen=True)
class Movement:
    """How many lines of an action there are, and of what market value together."""

    action: str
    lines: Moved
    market_value: Moved


@dataclass(frozen=True)
class LimitDifference:
    """A limit's group that binds after and not before, or the other way round.

    It binds where it is used up to its cap or one more unit of cap would save something. Where an agreement is gone,
    so are its limits: they are not among what differs.
    """

    agreement_id: str
    limit: str
    group: str
    difference: Literal["newly binding", "no longer binding"]
    used: Moved
    cap: Moved
    shadow_price: Moved

    @property
    def by_price(self) -> bool:
        """Whether, where it binds, it does so by what one more unit would save alone, and is not used up."""
        now = self.difference == "newly binding"
        used, cap = (self.used.after, self.cap.after) if now else (self.used.before, self.cap.before)
        return not _used_up(used, cap)


@dataclass(frozen=True)
class FacilityDifference:
    """A facility that is used before or after: what it raised and its rows of ``financing`` cost."""

    facility_id: str
    raised: Moved
    cost: Moved


@dataclass(frozen=True)
class CostDifference:
    """One part of the cost in the breakdown ``by``; the parts of each breakdown together are the whole.

    ``part`` is `agreement`, `counterparty`, `owner` (of holdings; None: nobody is named), or `facility`: by agreement
    and counterparty all that financing costs, by owner what no holding brought.
    """

    by: str
    part: str
    name: str | None
    cost: Moved


@dataclass(frozen=True)
class Comparison:
    """What ``changes`` (their words) made of a result; ``alterations`` are the figures of the book that they moved.

    ``least_cost``: between which two figures the change of the *least* cost surely lies, whatever the lots (where
    the shortfalls are the least as well). ``movements``, ``facilities`` and ``costs`` hold all that
    there is, the others what differs.
    """

    name: str
    changes: tuple[str, ...]
    base_currency: str
    status: tuple[str, str]
    cost: Moved
    least_cost: tuple[float, float]
    shortfall: Moved
    reserve_shortfall: Moved
    moves: Moved
    calls: tuple[CallDifference, ...]
    agreements: tuple[RequirementDifference, ...]
    reserves: tuple[RequirementDifference, ...]
    lines: tuple[LineDifference, ...]
    movements: tuple[Movement, ...]
    limits: tuple[LimitDifference, ...]
    facilities: tuple[FacilityDifference, ...]
    costs: tuple[CostDifference, ...]
    before: Result = field(repr=False, compare=False)
    after: Result = field(repr=False, compare=False)
    alterations: tuple[Alteration, ...] = ()

    @property
    def altered(self) -> tuple[Altered, ...]:
        """What the changes did to the book, summed up by change and kind of figure."""
        return summed_up(self.alterations)

    @property
    def newly_binding(self) -> tuple[LimitDifference, ...]:
        """The limits that bind now and did not."""
        return tuple(one for one in self.limits if one.difference == "newly binding")

    @property
    def no_longer_binding(self) -> tuple[LimitDifference, ...]:
        """The limits that bound and do not now."""
        return tuple(one for one in self.limits if one.difference == "no longer binding")

    def figures(self) -> dict[str, Moved]:
        """The figures of the whole run."""
        return {name: getattr(self, name) for name in ("cost", "shortfall", "reserve_shortfall", "moves")}

    def tables(self) -> dict[str, pd.DataFrame]:
        """A frame for each kind of difference; a figure has the columns NAME_before, NAME_after and NAME_by."""
        figures = [{"figure": name, **_columns("", moved)} for name, moved in self.figures().items()]
        tables = {"figures": pd.DataFrame(figures, columns=["figure", "before", "after", "by"])}
        for name, record in RECORDS.items():
            rows = [_row(one) for one in getattr(self, name)]
            tables[name] = pd.DataFrame(rows, columns=list(_header(record)))
        return tables


RECORDS: Mapping[str, type] = {
    "alterations": Alteration, "calls": CallDifference, "agreements": RequirementDifference,
    "reserves": RequirementDifference, "lines": LineDifference, "movements": Movement, "limits": LimitDifference,
    "facilities": FacilityDifference, "costs": CostDifference,
}  # fmt: skip
"""The tables of a comparison beside ``figures``, and what a row of each is."""


def compare(
    before: Result,
    after: Result,
    *,
    name: str = "",
    changes: Sequence[str] = (),
    alterations: Sequence[Alteration] = (),
) -> Comparison:
    """Two results of the same desk beside each other.

    ``changes`` are the words that tell what was done between, ``alterations`` the figures of the book that this moved.
    """
    b, a = before.summary, after.summary
    return Comparison(
        name=name,
        changes=tuple(changes),
        base_currency=str(a["base_currency"]),
        status=(before.status, after.status),
        cost=Moved(before.total_cost, after.total_cost),
        least_cost=(a["lower_bound"] - before.total_cost, after.total_cost - b["lower_bound"]),
        shortfall=Moved(b["total_shortfall"], a["total_shortfall"]),
        reserve_shortfall=Moved(b["reserve_shortfall"], a["reserve_shortfall"]),
        moves=Moved(b["counts"]["moves"], a["counts"]["moves"]),
        calls=tuple(_calls(before, after)),
        agreements=tuple(_requirements(before.agreements, after.agreements, "agreement_id")),
        reserves=tuple(_requirements(before.reserves, after.reserves, "reserve_id")),
        lines=tuple(_lines(before, after)),
        movements=tuple(_movements(before, after)),
        limits=tuple(_limits(before, after)),
        facilities=tuple(_facilities(before, after)),
        costs=tuple(_costs(before, after)),
        before=before,
        after=after,
        alterations=tuple(alterations),
    )


# -------------------- pairs of rows

Key = tuple[Any, ...]
Figures = dict[str, float]


def _sums(frame: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> dict[Key, Figures]:
    """The columns' sums by key; a key's names are None where there is none."""
    sums: dict[Key, Figures] = {}
    for row in frame[[*keys, *columns]].to_dict("records"):
        key = tuple(name if isinstance(name, str) else None for name in (row[k] for k in keys))
        there = sums.setdefault(key, dict.fromkeys(columns, 0.0))
        for column in columns:
            there[column] = _sum(there[column], row[column])
    return sums


def _sum(one: float, other: float) -> float:
    there = isfinite(one) and isfinite(other)
    return float(exact(one) + exact(other)) if there else one + other


def _paired(
    before: Mapping[Key, Figures], after: Mapping[Key, Figures]
) -> list[tuple[Key, Figures | None, Figures | None]]:
    """Every key of the two, sorted (no name first), with what it has in each."""
    keys = sorted({*before, *after}, key=lambda key: tuple((name is not None, name or "") for name in key))
    return [(key, before.get(key), after.get(key)) for key in keys]


def _moved(column: str, old: Figures | None, new: Figures | None) -> Moved:
    return Moved(old[column] if old else 0.0, new[column] if new else 0.0)


# -------------------- what differs


def _calls(before: Result, after: Result) -> Iterable[CallDifference]:
    reasons = dict(zip(after.calls["call_id"], after.calls["reason"], strict=True))
    agreement = {
        call: name
        for result in (before, after)
        for call, name in zip(result.book.calls["call_id"], result.book.calls["agreement_id"], strict=True)
    }
    for one in _requirements(before.calls, after.calls, "call_id"):
        reason = reasons.get(one.name)
        said = reason if isinstance(reason, str) else None
        yield CallDifference(one.name, agreement[one.name], one.difference, one.required, one.shortfall, said)


def _requirements(before: pd.DataFrame, after: pd.DataFrame, key: str) -> Iterable[RequirementDifference]:
    old, new = (_sums(frame, (key,), ("required", "shortfall")) for frame in (before, after))
    for (name,), was, now in _paired(old, new):
        if was != now:
            difference: Difference = "added" if was is None else "removed" if now is None else "changed"
            required, shortfall = (_moved(column, was, now) for column in ("required", "shortfall"))
            yield RequirementDifference(name, difference, required, shortfall)


_LINE = ("call_id", "agreement_id", "holding_id", "facility_id", "asset_id", "action")
_WORTH = ("quantity", "market_value", "collateral_value", "cost")


def _lines(before: Result, after: Result) -> Iterable[LineDifference]:
    old, new = (_sums(result.allocation, _LINE, _WORTH) for result in (before, after))
    for key, was, now in _paired(old, new):
        if was == now:
            continue
        difference: Any = "repriced"
        if was is None or now is None:
            difference = "added" if was is None else "removed"
        elif was["quantity"] != now["quantity"]:
            difference = "changed"
        quantity, market_value, collateral_value, cost = (_moved(column, was, now) for column in _WORTH)
        call, agreement, holding, facility, asset, action = key
        yield LineDifference(
            call,
            agreement,
            holding,
            facility,
            asset,
            action,
            difference,
            quantity,
            market_value,
            collateral_value,
            cost,
        )


def _movements(before: Result, after: Result) -> Iterable[Movement]:
    lines = [result.allocation.assign(lines=1.0) for result in (before, after)]
    old, new = (_sums(frame, ("action",), ("lines", "market_value")) for frame in lines)
    for action in ACTIONS:
        was, now = old.get((action,)), new.get((action,))
        if was or now:
            yield Movement(action, _moved("lines", was, now), _moved("market_value", was, now))


def _limits(before: Result, after: Result) -> Iterable[LimitDifference]:
    keys, columns = ("agreement_id", "limit", "group"), ("used", "cap", "shadow_price")
    old, new = (_sums(result.limits, keys, columns) for result in (before, after))
    gone = {*before.book.agreements["agreement_id"]} - {*after.book.agreements["agreement_id"]}
    for (agreement, limit, group), was, now in _paired(old, new):
        binds = _binds(now)
        if binds != _binds(was) and agreement not in gone:
            difference: Any = "newly binding" if binds else "no longer binding"
            used, cap, price = (_moved(column, was, now) for column in columns)
            yield LimitDifference(agreement, limit, group, difference, used, cap, price)


def _binds(limit: Figures | None) -> bool:
    return limit is not None and (limit["shadow_price"] > 0 or _used_up(limit["used"], limit["cap"]))


def _used_up(used: float, cap: float) -> bool:
    return used >= cap * FULL > 0


def _facilities(before: Result, after: Result) -> Iterable[FacilityDifference]:
    old, new = (_sums(r.financing, ("facility_id",), ("proceeds", "cost")) for r in (before, after))
    for (name,), was, now in _paired(old, new):
        yield FacilityDifference(name, _moved("proceeds", was, now), _moved("cost", was, now))


def _costs(before: Result, after: Result) -> Iterable[CostDifference]:
    for by in BREAKDOWNS:
        old, new = (_sums(_charged(result, by), ("part", "name"), ("cost",)) for result in (before, after))
        for (part, name), was, now in _paired(old, new):
            yield CostDifference(by, part, name, _moved("cost", was, now))


def _charged(result: Result, by: str) -> pd.DataFrame:
    """Every row that costs, with who bears it."""
    lines, financing, book = result.allocation, result.financing, result.book
    raised = pd.DataFrame({"part": "facility", "name": financing["facility_id"], "cost": financing["cost"]})
    if by == "owner":
        owner = dict(zip(book.holdings["holding_id"], book.holdings["owner"], strict=True))
        rows = pd.concat([lines, financing])[["holding_id", "facility_id", "cost"]].to_dict("records")
        charged = [
            ("owner", owner.get(row["holding_id"]), row["cost"])
            if isinstance(row["holding_id"], str) or not isinstance(row["facility_id"], str)
            else ("facility", row["facility_id"], row["cost"])
            for row in rows
        ]
        return pd.DataFrame(charged, columns=["part", "name", "cost"])
    names = lines["agreement_id"]
    if by == "counterparty":
        names = names.map(dict(zip(book.agreements["agreement_id"], book.agreements["counterparty"], strict=True)))
    return pd.concat([pd.DataFrame({"part": by, "name": names, "cost": lines["cost"]}), raised])


# -------------------- as tables


def _columns(name: str, value: object) -> dict[str, object]:
    if not isinstance(value, Moved):
        return {name: value}
    stem = f"{name}_" if name else ""
    return {f"{stem}before": value.before, f"{stem}after": value.after, f"{stem}by": value.by}


def _row(record: Any) -> dict[str, object]:
    return {k: v for one in fields(record) for k, v in _columns(one.name, getattr(record, one.name)).items()}


def _header(record: type) -> Iterable[str]:
    for one in fields(record):
        yield from _columns(one.name, Moved(0, 0) if one.type == "Moved" else None)
