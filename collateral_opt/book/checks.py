"""What only shows when tables are seen together: duplicates, references, rates and prices, dates, schedules.

Every check is vectorised, takes the draft of a book and yields findings. A cell that could not be read has
its finding already and is left alone here. ``eligibility_findings`` needs schedules to be matched and runs
last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from eligibility_rules import Context, Facts, Schedule, ScheduleError, match, match_limits, rating_step
from eligibility_rules.columns import KNOWN_COLUMNS, RATING_COLUMNS, is_known

from ..errors import Finding
from .codes import finding, shown
from .house import HouseLimit, house_problems
from .in_flight import instruction_findings
from .positions import position_findings
from .received import received_findings, returned, reusable
from .schedules import problems, table_name
from .settings import Settings
from .settlement import calendar, calendar_hint
from .tables import Table, hint

if TYPE_CHECKING:
    from .book import Book

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def positions(mask: np.ndarray[Any, Any]) -> list[int]:
    """Where a mask is true."""
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


@dataclass(frozen=True)
class Draft:
    """A book that is being read: what could be read of it so far."""

    settings: Settings | None
    tables: Mapping[str, Table]
    schedules: Mapping[str, Schedule]
    failed_schedules: frozenset[str]
    incomplete: frozenset[str] = frozenset()
    """Tables of which a row had to be left out: what they do not have proves nothing."""
    house_limits: tuple[HouseLimit, ...] = ()

    def frame(self, name: str) -> pd.DataFrame:
        return self.tables[name].frame


UNIQUE: Mapping[str, tuple[str, ...]] = {
    "fx": ("currency",),
    "assets": ("asset_id",),
    "holdings": ("holding_id",),
    "agreements": ("agreement_id",),
    "calls": ("call_id",),
    "cash_returns": ("agreement_id", "currency"),
    "locations": ("location",),
    "facilities": ("facility_id",),
    "reserves": ("reserve_id",),
    "costs": ("holding_id", "asset_id", "agreement_id", "facility_id"),
    "pins": ("call_id", "holding_id", "facility_id"),
    "received": ("received_id",),
    "positions": ("position_id",),
    "sensitivities": ("position_id", "factor"),
    "thresholds": ("agreement_id", "party", "rating"),
}
PARTLY_EMPTY_KEYS = ("costs", "pins", "thresholds")
REFERENCES: tuple[tuple[str, str, str, str], ...] = (
    ("holdings", "asset_id", "assets", "asset_id"),
    ("holdings", "location", "locations", "location"),
    ("agreements", "location", "locations", "location"),
    ("calls", "agreement_id", "agreements", "agreement_id"),
    ("cash_returns", "agreement_id", "agreements", "agreement_id"),
    ("posted", "agreement_id", "agreements", "agreement_id"),
    ("posted", "asset_id", "assets", "asset_id"),
    ("posted", "holding_id", "holdings", "holding_id"),
    ("facilities", "gives", "assets", "asset_id"),
    ("costs", "holding_id", "holdings", "holding_id"),
    ("costs", "asset_id", "assets", "asset_id"),
    ("costs", "agreement_id", "agreements", "agreement_id"),
    ("costs", "facility_id", "facilities", "facility_id"),
    ("pins", "call_id", "calls", "call_id"),
    ("pins", "holding_id", "holdings", "holding_id"),
    ("pins", "facility_id", "facilities", "facility_id"),
    ("received", "agreement_id", "agreements", "agreement_id"),
    ("received", "asset_id", "assets", "asset_id"),
    ("received", "location", "locations", "location"),
    ("instructions", "call_id", "calls", "call_id"),
    ("instructions", "holding_id", "holdings", "holding_id"),
    ("instructions", "facility_id", "facilities", "facility_id"),
    ("instructions", "asset_id", "assets", "asset_id"),
    ("positions", "agreement_id", "agreements", "agreement_id"),
    ("sensitivities", "position_id", "positions", "position_id"),
    ("thresholds", "agreement_id", "agreements", "agreement_id"),
)
SCHEDULE_COLUMNS = (
    ("agreements", "schedule"),
    ("calls", "schedule"),
    ("facilities", "takes"),
    ("reserves", "schedule"),
)


def duplicates(draft: Draft) -> Iterator[Finding]:
    """E301: the second row of a key."""
    for name, key in UNIQUE.items():
        table = draft.tables[name]
        keys = table.frame[list(key)]
        there = keys.notna()
        usable = (there.any(axis=1) if name in PARTLY_EMPTY_KEYS else there.all(axis=1)).to_numpy()
        for column in key:
            usable = usable & (table.known(column))
        keys = keys[usable]
        if not keys.duplicated().any():
            continue
        first: dict[tuple[object, ...], int] = {}
        for position, *values in keys.itertuples(name=None):
            entry = tuple(values)
            if entry in first:
                named = [(c, v) for c, v in zip(key, values, strict=True) if v is not None]
                text = ", ".join(shown(v) for _, v in named)
                yield finding(
                    "E301", name, row=table.rows[position], column=named[0][0], value=text, first=first[entry]
                )
            else:
                first[entry] = table.rows[position]


def references(draft: Draft) -> Iterator[Finding]:
    """E302, E333: an identifier that its table does not have, or received collateral that is not in use."""
    received = draft.frame("received")
    lines = received["received_id"]
    bound = set(lines[~reusable(received)])
    for name, column, target, target_column in REFERENCES:
        table, other = draft.tables[name], draft.tables[target]
        derived = lines[_added_by_received(draft, name, target)]
        # Places may be named without being described; a table that could not be read proves nothing.
        if (target == "locations" and not len(other.frame)) or not other.given or target in draft.incomplete:
            continue
        if target in ("holdings", "calls") and ("received" in draft.incomplete or not draft.tables["received"].given):
            continue
        cells = table.frame[column]
        wrong = cells.notna().to_numpy() & table.known(column) & ~cells.isin(other.frame[target_column]).to_numpy()
        wrong = wrong & ~cells.isin(derived).to_numpy()
        if not wrong.any():
            continue
        names = [v for v in (*other.frame[target_column], *derived) if v is not None]
        suggest = cache(lambda value, names=names: hint(value, names))
        for i in positions(wrong):
            value = cells.iloc[i]
            if target in ("holdings", "calls") and value in bound:
                yield finding("E333", name, row=table.rows[i], column=column, value=value)
                continue
            yield finding(
                "E302",
                name,
                row=table.rows[i],
                column=column,
                value=value,
                target=target,
                hint=suggest(value),
            )


def _added_by_received(draft: Draft, name: str, target: str) -> Mask:
    """bool[received]: the lines that a column of ``name`` may name as if they were in ``target``."""
    received = draft.frame("received")
    if target == "holdings":
        return reusable(received).to_numpy()
    if target == "calls" or (target == "agreements" and name == "costs"):
        return returned(received).to_numpy()
    return np.zeros(len(received), dtype=bool)


def pairs(draft: Draft) -> Iterator[Finding]:
    """E303 to E306, E334, E337: rows whose own cells do not go together."""
    yield from _assets_named_twice(draft)
    for name, *columns in (
        ("costs", "holding_id", "asset_id"),
        ("costs", "agreement_id", "facility_id"),
        ("pins", "holding_id", "facility_id"),
        ("instructions", "holding_id", "facility_id"),
    ):
        table = draft.tables[name]
        count = table.frame[columns].notna().sum(axis=1).to_numpy()
        for i in positions((count != 1) & table.given):
            yield finding(
                "E304",
                name,
                row=table.rows[i],
                column=columns[0],
                found="both" if count[i] else "none",
                columns=" and ".join(columns),
            )
    facilities = draft.tables["facilities"]
    idle = facilities.frame["takes"].isna().to_numpy() & facilities.frame["kind"].notna().to_numpy()
    idle = idle & ((facilities.frame["kind"] != "credit_line").to_numpy() & facilities.known("takes"))
    for i in positions(idle):
        yield finding(
            "E305",
            "facilities",
            row=facilities.rows[i],
            column="takes",
            value=facilities.frame["kind"].iloc[i],
        )
    pins = draft.tables["pins"]
    for column in ("quantity", "at_least"):
        for i in positions((pins.frame["forbid"] & pins.frame[column].notna()).to_numpy()):
            yield finding("E306", "pins", row=pins.rows[i], column=column, value=f"{pins.frame[column].iloc[i]:g}")
    for i in positions((pins.frame["at_least"] > pins.frame["quantity"]).to_numpy()):
        least, quantity = pins.frame["at_least"].iloc[i], pins.frame["quantity"].iloc[i]
        yield finding("E337", "pins", row=pins.rows[i], column="at_least", value=least, quantity=shown(quantity))


def _assets_named_twice(draft: Draft) -> Iterator[Finding]:
    """E303, E334: a row that names an asset, and a holding or a facility of another."""
    of = dict(zip(*(draft.frame("received")[c] for c in ("received_id", "asset_id")), strict=True))
    of |= dict(zip(*(draft.frame("holdings")[c] for c in ("holding_id", "asset_id")), strict=True))
    gives = dict(zip(*(draft.frame("facilities")[c] for c in ("facility_id", "gives")), strict=True))
    for code, name, column, assets in (
        ("E303", "posted", "holding_id", of),
        ("E303", "instructions", "holding_id", of),
        ("E334", "instructions", "facility_id", gives),
    ):
        table = draft.tables[name]
        for i, (source, asset) in enumerate(zip(table.frame[column], table.frame["asset_id"], strict=True)):
            held = assets.get(source) if source is not None else None
            if held is not None and asset is not None and held != asset:
                yield finding(code, name, row=table.rows[i], column=column, value=source, held=held, asset=asset)


def isins(draft: Draft) -> Iterator[Finding]:
    """W321, W322: an ISIN given twice, or one whose form or check digit is wrong."""
    table = draft.tables["assets"]
    column = table.frame["isin"]
    known = positions(column.notna().to_numpy())
    if not len(known):
        return
    values = column.iloc[known]
    texts = [str(v) for v in values]
    right_form = np.array([len(t) == 12 and t.isascii() and t.isalnum() and t.isupper() for t in texts])
    right_form = right_form & (np.array([t[:2].isalpha() and t[-1:].isdigit() for t in texts]))
    codes = np.array([t if ok else "AA0000000000" for t, ok in zip(texts, right_form, strict=True)], dtype="U12")
    sums = luhn_sum(codes.view(np.uint32).reshape(-1, 12))
    for n in positions(~right_form | (sums % 10 != 0)):
        reason = "its check digit is wrong"
        if not right_form[n]:
            reason = "that would be two capital letters, nine capital letters or digits and a check digit"
        yield finding("W322", "assets", row=table.rows[known[n]], column="isin", value=texts[n], reason=reason)
    first: dict[str, int] = {}
    for position, text in zip(known, texts, strict=True):
        row = table.rows[position]
        if first.setdefault(text, row) != row:
            yield finding("W321", "assets", row=row, column="isin", value=text, first=first[text])


def luhn_sum(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The weighted digit sum of ISINs (ISO 6166); a valid one's is a multiple of 10.

    ``codes``: uint32[n, 12] code points. A letter counts as two digits (A = 10 ... Z = 35); from the right
    every second digit is doubled and its own digits are added.
    """
    points = codes.astype(np.int64)
    numbers = np.where(points >= ord("A"), points - ord("A") + 10, points - ord("0"))
    total = np.zeros(len(codes), dtype=np.int64)
    doubled = np.zeros(len(codes), dtype=bool)  # the check digit counts once

    def add(digit: np.ndarray[Any, Any], where: np.ndarray[Any, Any]) -> None:
        nonlocal total, doubled
        weighted = np.where(doubled, digit * 2 - 9 * (digit > 4), digit)
        total = total + np.where(where, weighted, 0)
        doubled = doubled ^ where

    for column in range(11, -1, -1):
        number = numbers[:, column]
        add(number % 10, np.ones(len(codes), dtype=bool))
        add(number // 10, number >= 10)
    return total


def _in_play(draft: Draft) -> dict[str, str]:
    """asset_id -> how it is in play: held, received, posted or given by a facility."""
    play: dict[str, str] = {}
    for name, column, word in (
        ("facilities", "gives", "given by a facility"),
        ("posted", "asset_id", "posted"),
        ("received", "asset_id", "received"),
        ("holdings", "asset_id", "held"),
    ):
        frame = draft.frame(name)
        if name == "received":
            frame = frame[reusable(frame)]
        for asset in frame[column][(frame["quantity"] != 0) if "quantity" in frame else slice(None)]:
            if asset is not None:
                play[asset] = word
    return play


def rates(draft: Draft) -> Iterator[Finding]:
    """E401, E402: a currency in use without a rate; a base currency that is not worth one of itself."""
    if draft.settings is None:
        return
    base = draft.settings.base_currency
    fx = draft.tables["fx"]
    for i in positions((fx.frame["currency"] == base).to_numpy() & ~(fx.frame["rate"].isin([1.0])).to_numpy()):
        if i not in fx.unread.get("rate", ()):
            rate = f"{fx.frame['rate'].iloc[i]:g}"
            yield finding("E402", "fx", row=fx.rows[i], column="rate", value=base, rate=rate)
    if "currency" in fx.unread:
        return  # a currency that does not read may be the one that seems missing
    users: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    play = _in_play(draft)
    assets = draft.frame("assets")
    for asset, currency in zip(assets["asset_id"], assets["currency"], strict=True):
        if asset in play:
            users[currency]["assets"] += 1
    for name, column in (
        ("agreements", "base_currency"),
        ("calls", "currency"),
        ("reserves", "currency"),
        ("positions", "currency"),
    ):
        for currency in draft.frame(name)[column]:
            users[currency][name] += 1
    for name in sorted(named_schedules(draft.tables)):
        schedule = draft.schedules.get(name)
        for limit in schedule.limits if schedule is not None else ():
            for cap in limit.caps:
                if cap.currency is not None:
                    users[cap.currency][table_name(name)] += 1
    for house_limit in draft.house_limits:
        for currency in house_limit.currencies:
            users[currency]["house_limits"] += 1
    known = {base, *fx.frame["currency"]}
    for currency in sorted(c for c in users if c is not None and c not in known):
        named = ", ".join(f"{table} ({n})" for table, n in users[currency].items())
        yield finding("E401", "fx", column="currency", value=currency, users=named)


def prices(draft: Draft) -> Iterator[Finding]:
    """E403, E404: a security in play without a price; cash that is not worth itself."""
    table = draft.tables["assets"]
    frame = table.frame
    play = _in_play(draft)
    cash = (frame["asset_type"] == "cash").to_numpy()
    security = frame["asset_type"].notna().to_numpy() & ~cash
    unknown = security & frame["price"].isna().to_numpy() & table.known("price")
    for i in positions(unknown):
        use = play.get(frame["asset_id"].iloc[i])
        if use is not None:
            yield finding("E403", "assets", row=table.rows[i], column="price", use=use)
    worth = (frame["price"] * frame["price_factor"]).to_numpy()
    odd = cash & (worth != 1) & ~np.isnan(worth)
    for i in positions(odd):
        yield finding("E404", "assets", row=table.rows[i], column="price", value=f"{worth[i]:g}")


def dates(draft: Draft) -> Iterator[Finding]:
    """W601 to W603: what comes before what it should follow."""
    table = draft.tables["assets"]
    frame = table.frame
    for i in positions((frame["maturity_date"] < frame["issue_date"]).to_numpy()):
        yield finding(
            "W601",
            "assets",
            row=table.rows[i],
            column="maturity_date",
            value=frame["maturity_date"].iloc[i].date(),
            issued=frame["issue_date"].iloc[i].date(),
        )
    if draft.settings is None:
        return
    as_of = draft.settings.as_of
    matured = frame["maturity_date"] < pd.Timestamp(as_of.date())
    gone = dict(zip(frame["asset_id"][matured], frame["maturity_date"][matured], strict=True))
    holdings = draft.tables["holdings"]
    if gone:
        for i in positions(holdings.frame["asset_id"].isin(list(gone)).to_numpy()):
            asset = holdings.frame["asset_id"].iloc[i]
            yield finding(
                "W602",
                "holdings",
                row=holdings.rows[i],
                column="asset_id",
                value=gone[asset].date(),
                asset=asset,
            )
    calls = draft.tables["calls"]
    for i in positions((calls.frame["due"] < pd.Timestamp(as_of)).to_numpy()):
        yield finding("W603", "calls", row=calls.rows[i], column="due", value=calls.frame["due"].iloc[i].isoformat())


def issuers(draft: Draft) -> Iterator[Finding]:
    """W604: held securities whose family nobody knows, once with their number."""
    table = draft.tables["assets"]
    frame = table.frame
    received = draft.frame("received")
    held = frame["asset_id"].isin([*draft.frame("holdings")["asset_id"], *received["asset_id"][reusable(received)]])
    bare = held & frame["issuer"].isna() & frame["issuer_parent"].isna() & frame["asset_type"].notna()
    found = positions((bare & (frame["asset_type"] != "cash")).to_numpy() & table.known("issuer"))
    if len(found):
        value = frame["asset_id"].iloc[found[0]]
        yield finding("W604", "assets", row=table.rows[found[0]], column="issuer", value=value, count=len(found))


def priorities(draft: Draft) -> Iterator[Finding]:
    """W605, N631: calls that compete because nobody said which comes first."""
    table = draft.tables["calls"]
    empty = table.frame["priority"].isna().to_numpy() & table.known("priority")
    if empty.all():
        if table.frame["agreement_id"].nunique() > 1:
            yield finding("N631", "calls", column="priority")
    elif empty.any():
        first = positions(empty)[0]
        yield finding(
            "W605",
            "calls",
            row=table.rows[first],
            column="priority",
            value=table.frame["call_id"].iloc[first],
            count=int(empty.sum()),
        )


def zones(draft: Draft) -> Iterator[Finding]:
    """E116: a time zone nobody knows."""
    table = draft.tables["locations"]
    for i, zone in enumerate(table.frame["timezone"]):
        if zone is not None and not _is_zone(zone):
            from zoneinfo import available_timezones  # reads the whole database: only where a name is wrong

            guess = hint(zone, sorted(available_timezones()))
            yield finding("E116", "locations", row=table.rows[i], column="timezone", value=zone, hint=guess)


@cache
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # ZoneInfoNotFoundError is a KeyError; a path in disguise a ValueError
        return False
    return True


def calendars(draft: Draft) -> Iterator[Finding]:
    """E118, W606: a calendar nobody knows, or known to other years than the book's."""
    table = draft.tables["locations"]
    for i, name in enumerate(table.frame["calendar"]):
        if name is None:
            continue
        known = calendar(name)
        if known is None:
            guess = calendar_hint(name)
            yield finding("E118", "locations", row=table.rows[i], column="calendar", value=name, hint=guess)
        elif draft.settings is not None and not known.start_year <= draft.settings.as_of.year <= known.end_year:
            yield finding(
                "W606",
                "locations",
                row=table.rows[i],
                column="calendar",
                value=name,
                first=known.start_year,
                last=known.end_year,
            )


def named_schedules(tables: Mapping[str, Table]) -> set[str]:
    """Names of schedules that some row refers to."""
    return {v for name, column in SCHEDULE_COLUMNS for v in tables[name].frame[column] if v is not None}


def schedule_names(draft: Draft) -> Iterator[Finding]:
    """E502, N531: a schedule that is named but not there, or there but not named."""
    there = sorted({*draft.schedules, *draft.failed_schedules})
    used: set[str] = set()
    for name, column in SCHEDULE_COLUMNS:
        table = draft.tables[name]
        readable = table.known(column)
        for i, value in enumerate(table.frame[column]):
            if value is None or not readable[i]:
                continue
            used.add(value)
            if value not in draft.schedules and value not in draft.failed_schedules:
                choices = ", ".join(there) or "none"
                guess = hint(value, there)
                yield finding("E502", name, row=table.rows[i], column=column, value=value, choices=choices, hint=guess)
    for name in sorted(set(draft.schedules) - used):
        yield finding("N531", table_name(name))


def schedule_columns(draft: Draft) -> Iterator[Finding]:
    """E504: a column in a schedule that no asset table has."""
    columns = set(draft.frame("assets").columns)
    for name in sorted(draft.schedules):
        for column in sorted(draft.schedules[name].columns):
            if column not in columns and not is_known(column):
                guess = hint(column, sorted(columns | KNOWN_COLUMNS))
                yield finding("E504", table_name(name), column=column, value=column, hint=guess)


def ratings(draft: Draft) -> Iterator[Finding]:
    """E505: a rating that its agency does not give."""
    table = draft.tables["assets"]
    for column, agency in RATING_COLUMNS.items():
        cells = table.frame[column]
        wrong = set()
        for value in cells.dropna().unique():
            try:
                rating_step(value, agency)
            except ValueError:
                wrong.add(value)
        if wrong:
            for i in positions(cells.isin(list(wrong)).to_numpy()):
                yield finding("E505", "assets", row=table.rows[i], column=column, value=cells.iloc[i])


CHECKS: tuple[Callable[[Draft], Iterable[Finding]], ...] = (
    duplicates,
    references,
    pairs,
    received_findings,
    instruction_findings,
    isins,
    rates,
    prices,
    dates,
    issuers,
    priorities,
    zones,
    calendars,
    schedule_names,
    schedule_columns,
    ratings,
    house_problems,
    position_findings,
)


def cross_findings(draft: Draft) -> list[Finding]:
    """Everything the checks of this module find in what could be read."""
    return [found for check in CHECKS for found in check(draft)]


def contexts(book: Book) -> Mapping[str, set[str | None]]:
    """Schedules in use -> the margin types they are read with (only None where that makes no difference)."""
    used: dict[str, set[str | None]] = defaultdict(set)
    own = dict(zip(book.agreements["agreement_id"], book.agreements["schedule"], strict=True))
    called = set()
    for agreement, schedule, margin_type in zip(
        book.calls["agreement_id"], book.calls["schedule"], book.calls["margin_type"], strict=True
    ):
        name = schedule if schedule is not None else own.get(agreement)
        if name is not None:
            used[name].add(margin_type)
            called.add(name)
    for names in (book.agreements["schedule"], book.facilities["takes"], book.reserves["schedule"]):
        for name in names:
            if name is not None and name not in called:
                used[name].add(None)
    return {
        name: types if book.schedules[name].margin_sensitive else {None}
        for name, types in sorted(used.items())
        if name in book.schedules
    }


def eligibility_findings(book: Book) -> list[Finding]:
    """What shows when every schedule in use meets the assets held, received, posted or given by a facility.

    E501: two rules for one asset where the schedule allows one. W521: exclusions that cannot be told. W522:
    caps that cannot be told. N532: lines of a list that name no asset of the book. One match a schedule and
    margin type.
    """
    received = book.received["asset_id"][reusable(book.received)]
    play = {*book.holdings["asset_id"], *received, *book.posted["asset_id"], *book.facilities["gives"]} - {None}
    assets = book.assets[book.assets["asset_id"].isin(list(play))].reset_index(drop=True)
    facts = Facts(assets)
    found: list[Finding] = []
    for name, margin_types in contexts(book).items():
        schedule = book.schedules[name]
        found += _unlisted(name, schedule, book.assets)
        exclusions: dict[str, Finding] = {}
        caps: dict[str, Finding] = {}
        for margin_type in sorted(margin_types, key=str):
            context = Context(
                as_of=book.settings.as_of.date(),
                base_currency=book.settings.base_currency,
                margin_type=margin_type,
                owner_parent=book.settings.owner_parent,
            )
            try:
                matched = match(schedule, facts, context)
                limits = match_limits(schedule, facts, context)
            except ScheduleError as error:
                found += [f for f in problems(name, error) if f not in found]
                break
            for unknown in matched.unknown_exclusions:
                line = unknown.assume_line
                exclusions.setdefault(
                    unknown.rule_label,
                    finding(
                        "W521",
                        table_name(name),
                        column=unknown.rule_label,
                        count=unknown.count,
                        columns=", ".join(unknown.columns),
                        otherwise=unknown.otherwise_eligible,
                        settle=f", or settle it in the schedule: `{line}`" if line else "",
                    ),
                )
            for limit in limits:
                for cap in limit.caps:
                    if cap.per_asset is None:
                        continue
                    blank = positions(matched.eligible & limit.counts & np.isnan(cap.per_asset))
                    if len(blank):
                        caps.setdefault(
                            limit.label,
                            finding(
                                "W522",
                                table_name(name),
                                column=limit.label,
                                value=assets["asset_id"].iloc[blank[0]],
                                count=len(blank),
                                columns=_cap_columns(schedule, limit.label),
                            ),
                        )
        found += [*exclusions.values(), *caps.values()]
    return found


def _cap_columns(schedule: Schedule, label: str) -> str:
    """The asset columns whose figures the limit's caps are shares of."""
    bases = [cap.of for limit in schedule.limits if limit.label == label for cap in limit.caps]
    return ", ".join(of for of in bases if of in ("outstanding", "adv", "market_cap")) or "price"


def _unlisted(name: str, schedule: Schedule, assets: pd.DataFrame) -> Iterator[Finding]:
    """N532: lines of a list schedule for assets the book does not have."""
    if not schedule.listing:
        return
    ids, codes = set(assets["asset_id"]), set(assets["isin"])
    lost = [
        row.asset_id or row.isin
        for row in schedule.listing
        if (row.asset_id not in ids if row.asset_id is not None else row.isin not in codes)
    ]
    if lost:
        yield finding("N532", table_name(name), count=len(lost), value=lost[0])
