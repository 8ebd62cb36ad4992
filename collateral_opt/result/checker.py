"""The independent checker: works out again, exactly, what a result claims of a book, and names every breach.

It shares no code with the optimiser: it reads the book, asks ``eligibility_rules`` once per schedule and
context about the assets that were touched, and works everything else out itself. A number stands for the
decimal its shortest ``repr`` shows, so all comparisons are between exact rationals; only figures stated
"to the cent" get half a cent.

One function per rule, each ``Facts -> sentences``; :data:`RULES` lists them. Another kind of claim
(financing, reserves, keeps and recalls) is another function in that list.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import CheckFailed
from eligibility_rules import CapMatch, Context, LimitMatch, Match, match, match_limits, minor_unit

T = TypeVar("T")

CENT = Fraction(1, 100)
RELATIVE = Fraction(1, 10**9)
"""Agreement asked of figures that are not stated to the cent (caps, bounds, sums of many lines)."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allocation": (
        "call_id", "agreement_id", "holding_id", "facility_id", "asset_id", "action",
        "quantity", "market_value", "haircut", "collateral_value", "cost",
    ),
    "calls": ("call_id", "required", "covered", "shortfall", "excess"),
    "inventory": ("holding_id", "asset_id", "quantity", "used", "left"),
    "limits": ("agreement_id", "limit", "group", "used", "cap"),
}  # fmt: skip
"""The columns each table must have to be checked at all."""


class Checkable(Protocol):
    """What can be checked: the tables of a run in the columns of the file formats, and its summary."""

    @property
    def allocation(self) -> pd.DataFrame: ...
    @property
    def calls(self) -> pd.DataFrame: ...
    @property
    def inventory(self) -> pd.DataFrame: ...
    @property
    def limits(self) -> pd.DataFrame: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...


def check(book: Book, result: Checkable) -> tuple[str, ...]:
    """Every breach of the book in ``result``, one sentence each, empty when there is none.

    A table without its columns ends the check early; a line that names something unknown is reported and then
    left out of the rules that would need what it names.
    """
    broken = list(tables_have_their_columns(result))
    if broken:
        return tuple(broken)
    facts = look_up(book, result)
    for rule in RULES:
        broken.extend(rule(facts))
    return tuple(broken)


def require_valid(book: Book, result: Checkable) -> None:
    """Raise :class:`CheckFailed` with every breach if there is any."""
    broken = check(book, result)
    if broken:
        raise CheckFailed(broken)


# --- what the rules look at ------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One delivered line with what the book says about it; values in base currency, all exact."""

    name: str
    row: int
    call: int
    holding: int
    asset: int
    quantity: Fraction
    lot: Fraction
    factor: Fraction | None
    """Collateral factor; None where the schedule in force refuses the asset."""
    refusal: str
    market_value: Fraction
    collateral_value: Fraction
    cost: Fraction

    @property
    def lot_value(self) -> Fraction:
        """Collateral value of one lot."""
        return self.collateral_value / self.quantity * self.lot


@dataclass(frozen=True)
class Position:
    """Collateral already at an agreement that counts there; values in base currency, all exact."""

    asset: int
    quantity: Fraction
    market_value: Fraction
    collateral_value: Fraction


@dataclass(frozen=True)
class Basket:
    """All that one schedule governs at one agreement; what is posted is there under its own schedule only."""

    agreement: int
    schedule: str
    own: bool
    calls: tuple[int, ...]
    lines: tuple[Line, ...]
    posted: tuple[Position, ...]
    requirement: Fraction

    def total(self, measure: str, after: bool = True) -> Fraction:
        """All collateral there in ``measure``, with the lines of this run or (``after=False``) without."""
        items: Sequence[Line | Position] = (*self.lines, *self.posted) if after else self.posted
        return sum((measured(item, measure) for item in items), Fraction(0))


@dataclass(frozen=True)
class GroupUse:
    """What one group of one limit holds, and the caps it must stay under (units or base currency)."""

    agreement: int
    limit: str
    group: str
    posted: Fraction
    delivered: Fraction
    caps: tuple[Fraction, ...]
    caps_before: tuple[Fraction, ...]
    """The caps with basis ``posted`` read before this run."""

    @property
    def used(self) -> Fraction:
        return self.posted + self.delivered

    @property
    def shut(self) -> bool:
        """What was posted already stands over a cap: nothing more may come, and nothing is enforced."""
        return any(self.posted > cap for cap in self.caps_before)


@dataclass(frozen=True)
class Facts:
    """The book, the result, and everything looked up once for all rules."""

    book: Book
    result: Checkable
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]
    """Sentences about lines that name something the book does not have; they are not in ``lines``."""
    assets: pd.DataFrame
    """The asset rows that lines or posted positions touch."""
    asset_at: Mapping[int, int]
    """Position in the book's assets -> position in ``assets``."""
    terms: Terms

    @cached_property
    def lines_of_call(self) -> Mapping[int, tuple[Line, ...]]:
        return grouped(self.lines, lambda line: line.call)

    @cached_property
    def required(self) -> tuple[Fraction, ...]:
        return tuple(
            exact(amount) * self.terms.rate(currency)
            for amount, currency in zip(self.book.calls["amount"], self.book.calls["currency"], strict=True)
        )

    @cached_property
    def covered(self) -> tuple[Fraction, ...]:
        return tuple(
            sum((line.collateral_value for line in self.lines_of_call.get(call, ())), Fraction(0))
            for call in range(len(self.book.calls))
        )

    @cached_property
    def used_of_holding(self) -> Mapping[int, Fraction]:
        used: dict[int, Fraction] = defaultdict(Fraction)
        for line in self.lines:
            used[line.holding] += line.quantity
        return used

    @cached_property
    def short_calls(self) -> tuple[int, ...]:
        return tuple(c for c in range(len(self.book.calls)) if self.covered[c] < self.required[c])

    @cached_property
    def pins(self) -> Mapping[tuple[str, str], tuple[Fraction | None, bool]]:
        """By call and holding: the pinned quantity (None: at least one lot), and whether it is forbidden."""
        table = self.book.pins
        return {
            (str(call), str(holding)): (None if math.isnan(quantity) else exact(quantity), bool(forbid))
            for call, holding, quantity, forbid in zip(
                table["call_id"], table["holding_id"], table["quantity"], table["forbid"], strict=True
            )
        }

    @cached_property
    def baskets(self) -> tuple[Basket, ...]:
        return tuple(gather_baskets(self))

    @cached_property
    def limit_matches(self) -> Mapping[tuple[str, str], tuple[LimitMatch, ...]]:
        """Limits of a schedule on the touched assets, by schedule and the agreement's base currency."""
        keys = {(b.schedule, self.terms.base_currency(b.agreement)) for b in self.baskets}
        settings = self.book.settings
        return {
            (schedule, currency): match_limits(
                self.book.schedules[schedule],
                self.assets,
                Context(settings.as_of.date(), currency, None, settings.owner_parent),
            )
            for schedule, currency in sorted(keys)
        }

    @cached_property
    def groups(self) -> tuple[GroupUse, ...]:
        return tuple(use for basket in self.baskets for use in measure_groups(self, basket))


class Terms:
    """What the book says about one asset, pair or call, exact and remembered."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._columns: dict[tuple[str, str], list[Any]] = {}
        self.schedule_in_force = [
            own or str(self.cell("agreements", "schedule", agreement))
            for own, agreement in zip(texts(book.calls["schedule"]), self.agreement_of_call, strict=True)
        ]
        self._rates = {currency: exact(rate) for currency, rate in book.rates.items()}
        self._unit_values: dict[int, Fraction] = {}

    def cell(self, table: str, column: str, row: int) -> Any:
        """One cell of the book (a column is turned into a list once, a cell of a frame is slow to read)."""
        if (table, column) not in self._columns:
            self._columns[table, column] = getattr(self.book, table)[column].tolist()
        return self._columns[table, column][row]

    @cached_property
    def agreement_of_call(self) -> list[int]:
        return positions(self.book.agreements["agreement_id"], self.book.calls["agreement_id"])

    @cached_property
    def pair_costs(self) -> Mapping[tuple[str, str, str], Fraction]:
        """Basis points that replace the holding's: by ("holding" | "asset", identifier, agreement)."""
        found: dict[tuple[str, str, str], Fraction] = {}
        table = self.book.costs
        for holding, asset, agreement, bps in zip(
            texts(table["holding_id"]),
            texts(table["asset_id"]),
            texts(table["agreement_id"]),
            table["cost_bps"],
            strict=True,
        ):
            if agreement is not None and holding is not None:
                found["holding", holding, agreement] = exact(bps)
            elif agreement is not None and asset is not None:
                found["asset", asset, agreement] = exact(bps)
        return found

    @cached_property
    def cash_returns(self) -> Mapping[tuple[str, str], Fraction]:
        table = self.book.cash_returns
        return {
            (agreement, currency): exact(bps)
            for agreement, currency, bps in zip(table["agreement_id"], table["currency"], table["bps"], strict=True)
        }

    def rate(self, currency: str) -> Fraction:
        """Base units for one unit of ``currency``."""
        return self._rates[currency]

    def base_currency(self, agreement: int) -> str:
        """The currency an agreement is kept in."""
        return str(self.cell("agreements", "base_currency", agreement))

    def currency(self, asset: int) -> str:
        return str(self.cell("assets", "currency", asset))

    def local_price(self, asset: int) -> Fraction:
        """Value of one unit in the asset's own currency."""
        return exact(self.cell("assets", "price", asset)) * exact(self.cell("assets", "price_factor", asset))

    def unit_value(self, asset: int) -> Fraction:
        """Value of one unit in base currency."""
        if asset not in self._unit_values:
            self._unit_values[asset] = self.local_price(asset) * self.rate(self.currency(asset))
        return self._unit_values[asset]

    def is_cash(self, asset: int) -> bool:
        return bool(self.cell("assets", "asset_type", asset) == "cash")

    def lot(self, asset: int) -> Fraction:
        """The step of a quantity: the asset's own, else the minor unit of cash, else 1."""
        stated = self.cell("assets", "lot_size", asset)
        if not math.isnan(stated):
            return exact(stated)
        return Fraction(1, 10 ** minor_unit(self.currency(asset))) if self.is_cash(asset) else Fraction(1)

    def cost_bps(self, holding: int, asset: int, agreement: int) -> Fraction:
        """Yearly basis points of a line: the pair's own, else the holding's, less what cash earns there."""
        agreement_id = str(self.cell("agreements", "agreement_id", agreement))
        holding_id = str(self.cell("holdings", "holding_id", holding))
        bps = self.pair_costs.get(("holding", holding_id, agreement_id))
        if bps is None:
            bps = self.pair_costs.get(("asset", str(self.cell("assets", "asset_id", asset)), agreement_id))
        if bps is None:
            bps = exact(self.cell("holdings", "cost_bps", holding))
        if self.is_cash(asset):
            earned = self.cash_returns.get((agreement_id, self.currency(asset)))
            if earned is None:
                earned = exact(self.cell("agreements", "cash_return_bps", agreement))
            bps -= earned
        return bps

    def cost(self, market_value: Fraction, bps: Fraction) -> Fraction:
        """What ``bps`` a year on ``market_value`` comes to over the horizon."""
        settings = self.book.settings
        return market_value * bps / 10**4 * exact(settings.horizon_days) / exact(settings.day_count)


# --- looking things up -----------------------------------------------------------------


def exact(number: float) -> Fraction:
    """The decimal that the shortest ``repr`` of ``number`` shows."""
    return Fraction(repr(float(number)))


def texts(column: pd.Series) -> list[str | None]:
    """A text column with every way of being empty made None."""
    return [None if value is None or value == "" or value != value else str(value) for value in column]


def positions(keys: pd.Series, wanted: pd.Series) -> list[int]:
    """Where each of ``wanted`` stands in ``keys``; -1 where it does not."""
    where: dict[Any, int] = {key: position for position, key in enumerate(keys.tolist())}
    return [where.get(key, -1) for key in wanted.tolist()]


def grouped(items: Iterable[T], key: Callable[[T], int]) -> Mapping[int, tuple[T, ...]]:
    found: dict[int, list[T]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return {k: tuple(members) for k, members in found.items()}


def measured(item: Line | Position, measure: str) -> Fraction:
    """A line or posted position in the measure of a limit."""
    if measure == "quantity":
        return item.quantity
    return item.market_value if measure == "market_value" else item.collateral_value


def look_up(book: Book, result: Checkable) -> Facts:
    """Join the lines to the book: one match per schedule and context, on the touched assets only."""
    terms = Terms(book)
    table = result.allocation
    asset_of_holding = np.array(positions(book.assets["asset_id"], book.holdings["asset_id"]), dtype=np.int64)
    call_of = positions(book.calls["call_id"], table["call_id"])
    holding_of = positions(book.holdings["holding_id"], table["holding_id"])
    asset_of = [int(asset_of_holding[h]) if h >= 0 else -1 for h in holding_of]
    quantities = [float(q) for q in table["quantity"]]
    unknown = list(name_unknown_lines(table, call_of, holding_of, quantities))
    usable = [
        row
        for row, (call, holding, quantity) in enumerate(zip(call_of, holding_of, quantities, strict=True))
        if call >= 0 and holding >= 0 and math.isfinite(quantity) and quantity > 0
    ]
    posted_assets = positions(book.assets["asset_id"], book.posted["asset_id"])
    touched = sorted({asset_of[row] for row in usable} | {a for a in posted_assets if a >= 0})
    asset_at = {asset: at for at, asset in enumerate(touched)}
    assets = book.assets.iloc[touched].reset_index(drop=True)
    matches = Matches(book, assets)
    call_ids, holding_ids = texts(table["call_id"]), texts(table["holding_id"])
    lines: list[Line] = []
    for row in usable:
        call, holding, asset = call_of[row], holding_of[row], asset_of[row]
        agreement = terms.agreement_of_call[call]
        found = matches.of_call(call, agreement, terms.schedule_in_force[call])
        at = asset_at[asset]
        factor = found.factors[int(found.factor_code[at])] if bool(found.eligible[at]) else None
        quantity = exact(quantities[row])
        market_value = quantity * terms.unit_value(asset)
        lines.append(
            Line(
                name=f"call {call_ids[row]}, holding {holding_ids[row]}",
                row=row,
                call=call,
                holding=holding,
                asset=asset,
                quantity=quantity,
                lot=terms.lot(asset),
                factor=factor,
                refusal="" if factor is not None else found.why(at).sentence,
                market_value=market_value,
                collateral_value=market_value * (factor or 0),
                cost=terms.cost(market_value, terms.cost_bps(holding, asset, agreement)),
            )
        )
    return Facts(book, result, tuple(lines), tuple(unknown), assets, asset_at, terms)


class Matches:
    """One match per schedule, base currency and (where it matters) margin type, on the touched assets."""

    def __init__(self, book: Book, assets: pd.DataFrame) -> None:
        self._book = book
        self._assets = assets
        self._margin_types = texts(book.calls["margin_type"])
        self._currencies = book.agreements["base_currency"].tolist()
        self._found: dict[tuple[str, str, str | None], Match] = {}

    def of_call(self, call: int, agreement: int, schedule: str) -> Match:
        return self.of(schedule, agreement, self._margin_types[call])

    def of(self, schedule: str, agreement: int, margin_type: str | None) -> Match:
        rules = self._book.schedules[schedule]
        currency = str(self._currencies[agreement])
        key = (schedule, currency, margin_type if rules.margin_sensitive else None)
        if key not in self._found:
            settings = self._book.settings
            context = Context(settings.as_of.date(), currency, key[2], settings.owner_parent)
            self._found[key] = match(rules, self._assets, context)
        return self._found[key]


def family(*names: str | None) -> frozenset[str]:
    """The known names of a group of companies; an unknown name belongs to nobody."""
    return frozenset(name for name in names if name)


def wrong_way_pair(terms: Terms, asset: int, agreement: int, schedule: str) -> bool:
    """Whether the asset is issued inside the counterparty's family, and the schedule does not allow that."""
    if terms.book.schedules[schedule].wrong_way == "allow":
        return False
    issuers = family(*(terms.cell("assets", name, asset) for name in ("issuer", "issuer_parent")))
    theirs = family(*(terms.cell("agreements", name, agreement) for name in ("counterparty", "counterparty_parent")))
    return bool(issuers & theirs)


def gather_baskets(facts: Facts) -> Iterator[Basket]:
    """Every schedule in force at every agreement, with what it governs."""
    book, terms = facts.book, facts.terms
    matches = Matches(book, facts.assets)
    calls_at = grouped(range(len(book.calls)), lambda call: terms.agreement_of_call[call])
    rows_at = grouped(
        enumerate(positions(book.agreements["agreement_id"], book.posted["agreement_id"])),
        lambda pair: pair[1],
    )
    posted_assets = positions(book.assets["asset_id"], book.posted["asset_id"])
    margin_types = texts(book.calls["margin_type"])
    for agreement in sorted(calls_at.keys() | rows_at.keys()):
        own = str(terms.cell("agreements", "schedule", agreement))
        calls = calls_at.get(agreement, ())
        kinds = {margin_types[call] for call in calls}
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        posted = tuple(
            position
            for row, _ in rows_at.get(agreement, ())
            for position in counted_position(
                facts, row, posted_assets[row], matches.of(own, agreement, kind), agreement, own
            )
        )
        for schedule in (own, *sorted({terms.schedule_in_force[call] for call in calls} - {own})):
            governed = tuple(call for call in calls if terms.schedule_in_force[call] == schedule)
            there = posted if schedule == own else ()
            yield Basket(
                agreement=agreement,
                schedule=schedule,
                own=schedule == own,
                calls=governed,
                lines=tuple(line for call in governed for line in facts.lines_of_call.get(call, ())),
                posted=there,
                requirement=sum((facts.required[call] for call in governed), Fraction(0))
                + sum((position.collateral_value for position in there), Fraction(0)),
            )


def counted_position(
    facts: Facts, row: int, asset: int, found: Match, agreement: int, schedule: str
) -> Iterator[Position]:
    """A posted row as it counts: nothing when its schedule refuses it or it is wrong-way."""
    at = facts.asset_at[asset]
    if not bool(found.eligible[at]) or wrong_way_pair(facts.terms, asset, agreement, schedule):
        return
    quantity = exact(facts.terms.cell("posted", "quantity", row))
    market_value = quantity * facts.terms.unit_value(asset)
    yield Position(asset, quantity, market_value, market_value * found.factors[int(found.factor_code[at])])


def measure_groups(facts: Facts, basket: Basket) -> Iterator[GroupUse]:
    """Usage and caps of every group of every limit that the basket uses."""
    for limit in limits_of(facts, basket):
        delivered: dict[int, Fraction] = defaultdict(Fraction)
        posted: dict[int, Fraction] = defaultdict(Fraction)
        member: dict[int, int] = {}
        items: Sequence[Line | Position] = (*basket.lines, *basket.posted)
        for item in items:
            at = facts.asset_at[item.asset]
            if not bool(limit.counts[at]):
                continue
            group = int(limit.group[at])
            member[group] = item.asset
            uses = delivered if isinstance(item, Line) else posted
            uses[group] += measured(item, limit.measure)
        for group, asset in sorted(member.items()):
            yield GroupUse(
                agreement=basket.agreement,
                limit=limit_name(basket, limit),
                group=limit.groups[group],
                posted=posted[group],
                delivered=delivered[group],
                caps=tuple(cap_of(facts, basket, limit, cap, asset, after=True) for cap in limit.caps),
                caps_before=tuple(cap_of(facts, basket, limit, cap, asset, after=False) for cap in limit.caps),
            )


def limits_of(facts: Facts, basket: Basket) -> tuple[LimitMatch, ...]:
    currency = facts.terms.base_currency(basket.agreement)
    return facts.limit_matches[basket.schedule, currency]


def limit_name(basket: Basket, limit: LimitMatch) -> str:
    """The limit's label; with its schedule in front where a call's own schedule replaced the agreement's."""
    return limit.label if basket.own else f"{basket.schedule}: {limit.label}"


def cap_of(facts: Facts, basket: Basket, limit: LimitMatch, cap: CapMatch, asset: int, after: bool) -> Fraction:
    """A cap in the measure of its limit (units or base currency); an unknown figure caps at nothing."""
    terms = facts.terms
    share = Fraction(1) if cap.share is None else exact(cap.share)
    if cap.of == "requirement":
        return share * basket.requirement
    if cap.of == "posted":
        return share * basket.total(limit.measure, after)
    figure = stated_figure(facts, cap, asset)
    if figure is None:
        return Fraction(0)
    in_units = limit.measure == "quantity"
    if cap.of == "units":
        return share * figure * (1 if in_units else terms.unit_value(asset))
    if cap.of == "asset_money":
        return share * (figure / terms.local_price(asset) if in_units else figure * terms.rate(terms.currency(asset)))
    currency = cap.currency or facts.terms.base_currency(basket.agreement)
    amount = share * figure * terms.rate(currency)
    return amount / terms.unit_value(asset) if in_units else amount


def stated_figure(facts: Facts, cap: CapMatch, asset: int) -> Fraction | None:
    """The number a cap starts from: the asset's own where it has one each, else the schedule's amount."""
    if cap.per_asset is not None:
        figure = float(cap.per_asset[facts.asset_at[asset]])
        return None if math.isnan(figure) else exact(figure)
    return None if cap.amount is None else exact(cap.amount)


# --- the rules: each yields one sentence a breach --------------------------------------


def tables_have_their_columns(result: Checkable) -> Iterator[str]:
    """Every table has the columns the checker reads."""
    for table, columns in COLUMNS.items():
        missing = [column for column in columns if column not in getattr(result, table).columns]
        if missing:
            yield f"{table} lacks the column(s) {', '.join(missing)}."


def name_unknown_lines(
    table: pd.DataFrame, call_of: list[int], holding_of: list[int], quantities: list[float]
) -> Iterator[str]:
    """Lines about calls, holdings or facilities the book does not have, or with a quantity that is none."""
    calls, holdings, facilities = (texts(table[name]) for name in ("call_id", "holding_id", "facility_id"))
    for row, quantity in enumerate(quantities):
        where = f"allocation line {row + 1} (call {calls[row]}, holding {holdings[row]})"
        if call_of[row] < 0:
            yield f"{where} names call {calls[row]}, which the book does not have."
        if facilities[row] is not None:
            yield f"{where} names facility {facilities[row]}, which produces nothing in this run."
        if holding_of[row] < 0:
            yield f"{where} names holding {holdings[row]}, which the book does not have."
        if not math.isfinite(quantity):
            yield f"{where} has no quantity."
        elif quantity <= 0:
            yield f"{where} delivers {quantity!r}; a quantity must be above zero."


def lines_name_what_the_book_has(facts: Facts) -> Iterator[str]:
    """Known calls and holdings; the asset is the holding's, the agreement the call's; one line a pair."""
    yield from facts.unknown
    table, terms = facts.result.allocation, facts.terms
    assets, agreements = texts(table["asset_id"]), texts(table["agreement_id"])
    seen: set[tuple[int, int]] = set()
    for line in facts.lines:
        asset = str(facts.terms.cell("assets", "asset_id", line.asset))
        agreement = str(facts.terms.cell("agreements", "agreement_id", terms.agreement_of_call[line.call]))
        if assets[line.row] != asset:
            yield f"{line.name}: the line's asset is {assets[line.row]}, the holding's is {asset}."
        if agreements[line.row] != agreement:
            yield f"{line.name}: the line's agreement is {agreements[line.row]}, the call's is {agreement}."
        if (line.call, line.holding) in seen:
            yield f"{line.name}: the pair has more than one line."
        seen.add((line.call, line.holding))


def lines_deliver(facts: Facts) -> Iterator[str]:
    """In scope ``calls`` every line is a delivery."""
    actions = texts(facts.result.allocation["action"])
    for line in facts.lines:
        if actions[line.row] != "deliver":
            yield f"{line.name}: the action is {actions[line.row]}, in a run over calls it must be deliver."


def lines_are_whole_lots(facts: Facts) -> Iterator[str]:
    """quantity = n * lot size, n whole."""
    for line in facts.lines:
        over = line.quantity % line.lot
        if over:
            yield (
                f"{line.name}: quantity {number(line.quantity)} is not a whole number of lots of"
                f" {number(line.lot)} ({number(over)} over)."
            )


def lines_reach_the_minimum_denomination(facts: Facts) -> Iterator[str]:
    """quantity >= the asset's ``min_denomination``, where that is known."""
    for line in facts.lines:
        least = minimum_denomination(facts, line.asset)
        if line.quantity < least:
            yield (
                f"{line.name}: quantity {number(line.quantity)} is below the minimum denomination of {number(least)}."
            )


def lines_reach_the_minimum_line_value(facts: Facts) -> Iterator[str]:
    """market value >= the agreement's ``min_line_value``."""
    for line in facts.lines:
        least = minimum_line_value(facts, line)
        if line.market_value < least:
            yield (
                f"{line.name}: market value {number(line.market_value)} is below the agreement's minimum line"
                f" of {number(least)}."
            )


def calls_keep_to_their_line_cap(facts: Facts) -> Iterator[str]:
    """At most ``max_lines`` distinct assets a call."""
    caps = facts.book.agreements["max_lines"].tolist()
    for call, lines in facts.lines_of_call.items():
        cap = caps[facts.terms.agreement_of_call[call]]
        count = len({line.asset for line in lines})
        if not math.isnan(cap) and count > cap:
            yield f"{call_name(facts, call)}: {count} distinct assets are delivered, at most {cap:g} may be."


def pins_are_kept(facts: Facts) -> Iterator[str]:
    """A forbidden pair has no line; a pinned pair has exactly its quantity, or at least one lot."""
    delivered = {pair_name(facts, line): line.quantity for line in facts.lines}
    for (call, holding), (quantity, forbid) in facts.pins.items():
        there = delivered.get((call, holding))
        name = f"call {call}, holding {holding}"
        if forbid and there is not None:
            yield f"{name}: {number(there)} is delivered where a pin forbids it."
        elif not forbid and there is None:
            asked = "at least one lot" if quantity is None else number(quantity)
            yield f"{name}: nothing is delivered, a pin asks for {asked}."
        elif not forbid and quantity is not None and there is not None and there != quantity:
            yield f"{name}: {number(there)} is delivered, a pin asks for exactly {number(quantity)}."


def lines_are_eligible(facts: Facts) -> Iterator[str]:
    """The schedule in force for the call takes the asset."""
    for line in facts.lines:
        if line.factor is None:
            asset = facts.terms.cell("assets", "asset_id", line.asset)
            schedule = facts.terms.schedule_in_force[line.call]
            yield f"{line.name}: schedule {schedule} does not take {asset}: {line.refusal}"


def lines_are_not_wrong_way(facts: Facts) -> Iterator[str]:
    """No asset of the counterparty's own family, unless the schedule allows it."""
    for line in facts.lines:
        agreement = facts.terms.agreement_of_call[line.call]
        if wrong_way_pair(facts.terms, line.asset, agreement, facts.terms.schedule_in_force[line.call]):
            asset = facts.terms.cell("assets", "asset_id", line.asset)
            counterparty = facts.terms.cell("agreements", "counterparty", agreement)
            yield f"{line.name}: wrong-way, {asset} is issued inside the family of {counterparty}."


def lines_arrive_in_time(facts: Facts) -> Iterator[str]:
    """max(as_of, ready_at) + settle_hours is not after the call's due."""
    if not facts.lines:
        return
    holdings = facts.book.holdings.iloc[[line.holding for line in facts.lines]]
    due = facts.book.calls["due"].iloc[[line.call for line in facts.lines]].tolist()
    as_of = pd.Timestamp(facts.book.settings.as_of).tz_convert("UTC")
    for line, ready_at, hours, deadline in zip(
        facts.lines, holdings["ready_at"].tolist(), holdings["settle_hours"].tolist(), due, strict=True
    ):
        if pd.isna(deadline):
            continue
        arrives = (as_of if pd.isna(ready_at) else max(as_of, ready_at)) + pd.Timedelta(hours=float(hours))
        if arrives > deadline:
            yield f"{line.name}: arrives {arrives}, the call is due {deadline} ({arrives - deadline} late)."


def lines_outlive_their_call(facts: Facts) -> Iterator[str]:
    """The asset does not mature before the call's due date (without a deadline: before ``as_of``'s date)."""
    today = pd.Timestamp(facts.book.settings.as_of.date())
    for line in facts.lines:
        maturity = facts.terms.cell("assets", "maturity_date", line.asset)
        due = facts.terms.cell("calls", "due_date", line.call)
        until = today if pd.isna(due) else due
        if not pd.isna(maturity) and maturity < until:
            yield f"{line.name}: the asset matures {maturity.date()}, before {until.date()}."


def line_figures_agree(facts: Facts) -> Iterator[str]:
    """haircut = 1 - f unrounded; market value, collateral value and cost to the cent."""
    table = facts.result.allocation
    stated = {name: table[name].tolist() for name in ("haircut", "market_value", "collateral_value", "cost")}
    for line in facts.lines:
        if line.factor is not None:
            haircut = 1 - line.factor
            if not near(stated["haircut"][line.row], haircut, Fraction(1, 10**12)):
                figure = stated["haircut"][line.row]
                yield f"{line.name}: haircut is stated as {figure!r}, it is {number(haircut)}."
        for name in ("market_value", "collateral_value", "cost"):
            yield from to_the_cent(line.name, name, stated[name][line.row], getattr(line, name))


def holdings_suffice(facts: Facts) -> Iterator[str]:
    """What leaves a holding is at most its quantity."""
    for holding, used in sorted(facts.used_of_holding.items()):
        quantity = exact(facts.terms.cell("holdings", "quantity", holding))
        if used > quantity:
            name = facts.terms.cell("holdings", "holding_id", holding)
            yield (
                f"holding {name}: {number(used)} is delivered of {number(quantity)},"
                f" {number(used - quantity)} too much."
            )


def calls_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a call: required, covered, shortfall, excess as recomputed; no shortfall is rounded away."""
    table = facts.result.calls
    yield from one_row_each("calls", "call_id", facts.book.calls["call_id"], table["call_id"])
    stated = {name: table[name].tolist() for name in ("required", "covered", "shortfall", "excess")}
    for row, call in enumerate(positions(facts.book.calls["call_id"], table["call_id"])):
        if call < 0:
            continue
        name, required, covered = call_name(facts, call), facts.required[call], facts.covered[call]
        yield from to_the_cent(name, "required", stated["required"][row], required)
        yield from to_the_cent(name, "covered", stated["covered"][row], covered)
        yield from to_the_cent(name, "excess", stated["excess"][row], max(Fraction(0), covered - required))
        yield from shortfall_agrees(name, stated["shortfall"][row], required, covered)
        if covered < required and stated["excess"][row] != 0:
            yield f"{name}: a short call cannot have an excess, {stated['excess'][row]!r} is stated."


def shortfall_agrees(name: str, stated: float, required: Fraction, covered: Fraction) -> Iterator[str]:
    """shortfall = max(0, required - covered), to the cent; part of a cent is never rounded to zero."""
    shortfall = max(Fraction(0), required - covered)
    if shortfall > 0 and stated == 0:
        yield (
            f"{name}: no shortfall is stated, but {number(covered)} covers {number(required)} only up to"
            f" {number(shortfall)}."
        )
    elif shortfall == 0 and stated != 0:
        yield f"{name}: a shortfall of {stated!r} is stated, the call is covered."
    elif not near(stated, shortfall, CENT):
        yield f"{name}: shortfall is stated as {stated!r}, it is {number(shortfall)}."


def excess_is_below_one_lot(facts: Facts) -> Iterator[str]:
    """With the call still covered no line can shrink by a lot, nor one at its minimum be dropped."""
    for call, lines in sorted(facts.lines_of_call.items()):
        excess = facts.covered[call] - facts.required[call]
        if excess <= 0:
            continue
        for line in lines:
            spare = least_reduction(facts, line)
            if spare is not None and 0 < spare <= excess:
                yield (
                    f"{line.name}: the call is covered with {number(excess)} to spare, taking {number(spare)}"
                    " off this line would still cover it."
                )


def least_reduction(facts: Facts, line: Line) -> Fraction | None:
    """Collateral value of the smallest step down a line may take: a lot, else all of it; None if pinned."""
    pinned, forbid = facts.pins.get(pair_name(facts, line), (Fraction(0), True))
    if not forbid and pinned is not None:
        return None
    left = line.quantity - line.lot
    unit_value = facts.terms.unit_value(line.asset)
    allowed = left >= minimum_denomination(facts, line.asset) and left * unit_value >= minimum_line_value(facts, line)
    if left > 0 and allowed:
        return line.lot_value
    return line.collateral_value if forbid else None


def limits_hold(facts: Facts) -> Iterator[str]:
    """usage <= every cap, exactly; a group that was over its cap before this run takes nothing more."""
    for use in facts.groups:
        name = group_name(facts, use)
        if use.shut:
            if use.delivered > 0:
                yield (
                    f"{name}: what was posted ({number(use.posted)}) stands over the cap already,"
                    f" {number(use.delivered)} more is delivered."
                )
            continue
        for cap in use.caps:
            if use.used > cap:
                over = number(use.used - cap)
                yield f"{name}: {number(use.used)} is used, the cap is {number(cap)} ({over} over)."


def limits_table_agrees(facts: Facts) -> Iterator[str]:
    """Every used group has a row with usage and the cap of least room; an unused group shows no usage."""
    expected: dict[tuple[str, str, str], list[GroupUse]] = defaultdict(list)
    ids = facts.book.agreements["agreement_id"].tolist()
    for use in facts.groups:
        expected[str(ids[use.agreement]), use.limit, use.group].append(use)
    unused_caps = caps_of_unused_groups(facts)
    table = facts.result.limits
    agreements, labels, groups = (texts(table[name]) for name in ("agreement_id", "limit", "group"))
    seen: Counter[tuple[str, str, str]] = Counter()
    for agreement, label, group, used, cap in zip(
        agreements, labels, groups, table["used"].tolist(), table["cap"].tolist(), strict=True
    ):
        key = (str(agreement), str(label), group or "")
        seen[key] += 1
        name = f"agreement {key[0]}, limit {key[1]!r}, group {key[2]!r}"
        if key in expected:
            if not any(row_agrees(use, used, cap) for use in expected[key]):
                use = expected[key][0]
                caps = " or ".join(number(c) for c in tightest(use))
                yield f"{name}: stated {used!r} of {cap!r}, it is {number(use.used)} of {caps or 'no cap'}."
        elif key[:2] not in unused_caps:
            yield f"{name}: the schedules in force have no such limit."
        elif not near(used, Fraction(0), CENT):
            yield f"{name}: {used!r} is stated as used, nothing there counts in this group."
        elif unused_caps[key[:2]] and not any(agrees(cap, c) for c in unused_caps[key[:2]]):
            least = min(unused_caps[key[:2]])
            yield f"{name}: the cap is stated as {cap!r}, it is {number(least)}."
    governed = {basket.agreement for basket in facts.baskets if basket.calls}
    for key, uses in expected.items():
        wanted = [use for use in uses if use.used > 0 and use.agreement in governed]
        if len(wanted) > seen[key]:
            used = number(wanted[0].used)
            yield f"{group_name(facts, wanted[0])}: {used} is used, and limits has no row for it."
    for key, count in seen.items():
        if count > max(1, len(expected.get(key, ()))):
            yield f"agreement {key[0]}, limit {key[1]!r}, group {key[2]!r}: {count} rows in limits."


def caps_of_unused_groups(facts: Facts) -> Mapping[tuple[str, str], list[Fraction]]:
    """By agreement and limit: the least cap of an unused group; empty where each asset has its own."""
    found: dict[tuple[str, str], list[Fraction]] = defaultdict(list)
    ids = facts.book.agreements["agreement_id"].tolist()
    for basket in facts.baskets:
        for limit in limits_of(facts, basket):
            caps = found[str(ids[basket.agreement]), limit_name(basket, limit)]
            if all(same_for_every_asset(limit, cap) for cap in limit.caps):
                caps.append(min(cap_of(facts, basket, limit, cap, -1, after=True) for cap in limit.caps))
    return found


def same_for_every_asset(limit: LimitMatch, cap: CapMatch) -> bool:
    if cap.of in ("requirement", "posted"):
        return True
    return cap.of == "money" and cap.per_asset is None and limit.measure != "quantity"


def tightest(use: GroupUse) -> list[Fraction]:
    """The caps with the least room (all that are within a cent of it); every cap where the group is shut."""
    if use.shut:
        return [*use.caps, *use.caps_before]
    return [cap for cap in use.caps if cap - min(use.caps) <= CENT]


def row_agrees(use: GroupUse, used: float, cap: float) -> bool:
    return agrees(used, use.used) and any(agrees(cap, c) for c in tightest(use))


def inventory_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a holding: its asset, quantity, what is used and what is left, all exact."""
    table, holdings = facts.result.inventory, facts.book.holdings
    yield from one_row_each("inventory", "holding_id", holdings["holding_id"], table["holding_id"])
    where = np.array(positions(holdings["holding_id"], table["holding_id"]), dtype=np.int64)
    rows = np.flatnonzero(where >= 0)
    at = where[rows]
    used, left = table["used"].to_numpy(float)[rows], table["left"].to_numpy(float)[rows]
    quantity, held = table["quantity"].to_numpy(float)[rows], holdings["quantity"].to_numpy(float)[at]
    expected_used, expected_left = np.zeros(len(at)), held.copy()
    for i in np.flatnonzero(np.isin(at, list(facts.used_of_holding))):
        amount = facts.used_of_holding[int(at[i])]
        expected_used[i], expected_left[i] = float(amount), float(exact(held[i]) - amount)
    assets, own_assets = table["asset_id"].to_numpy(object)[rows], holdings["asset_id"].to_numpy(object)[at]
    checks = (
        ("asset_id", assets, own_assets),
        ("quantity", quantity, held),
        ("used", used, expected_used),
        ("left", left, expected_left),
    )
    for name, stated, expected in checks:
        for i in np.flatnonzero(stated != expected):
            holding = holdings["holding_id"].iloc[at[i]]
            yield f"holding {holding}: inventory states {name} as {stated[i]}, it is {expected[i]}."


def summary_agrees(facts: Facts) -> Iterator[str]:
    """total_cost is the unrounded sum; total_shortfall, status, lower bound and gap fit it."""
    summary = facts.result.summary
    cost = sum((line.cost for line in facts.lines), Fraction(0))
    size = sum((abs(line.cost) for line in facts.lines), Fraction(0))
    total_cost = summary.get("total_cost")
    if not near(total_cost, cost, RELATIVE * (1 + size)):
        yield f"summary: total_cost is stated as {total_cost!r}, the lines come to {number(cost)}."
    shortfall = sum((facts.required[c] - facts.covered[c] for c in facts.short_calls), Fraction(0))
    stated = summary.get("total_shortfall")
    if not near(stated, shortfall, CENT * len(facts.short_calls)):
        yield f"summary: total_shortfall is stated as {stated!r}, the calls come to {number(shortfall)}."
    yield from status_agrees(facts)
    yield from gap_agrees(summary, cost)


def status_agrees(facts: Facts) -> Iterator[str]:
    """``short`` exactly when a call is; otherwise ``optimal`` exactly when the gap is at most ``mip_gap``."""
    summary = facts.result.summary
    status, gap = summary.get("status"), summary.get("gap")
    within = is_number(gap) and float(gap or 0) <= facts.book.settings.mip_gap + 1e-12
    expected = "short" if facts.short_calls else "optimal" if within else "feasible"
    if status != expected:
        yield (
            f"summary: status is {status}, with {len(facts.short_calls)} short call(s), a gap of {gap!r}"
            f" and a mip_gap of {facts.book.settings.mip_gap!r} it is {expected}."
        )


def gap_agrees(summary: Mapping[str, Any], cost: Fraction) -> Iterator[str]:
    """lower_bound <= total_cost, and gap = (total_cost - lower_bound) / |total_cost|, to a cent of cost.

    A cost of nothing above a bound below it has no such ratio: there any gap above zero will do.
    """
    bound, gap = summary.get("lower_bound"), summary.get("gap")
    if not is_number(bound):
        if is_number(gap):
            yield f"summary: a gap of {gap!r} is stated without a lower bound."
        return
    difference = cost - exact(float(bound or 0))
    if -difference > CENT / 2 + RELATIVE * abs(cost):
        yield f"summary: lower_bound {bound!r} is above the cost of the lines, {number(cost)}."
    if not is_number(gap):
        if abs(cost) > CENT:
            yield f"summary: no gap is stated, cost {number(cost)} and lower_bound {bound!r} give one."
        return
    fits = near(float(gap or 0) * abs(float(cost)), max(difference, Fraction(0)), CENT + RELATIVE * abs(cost))
    if not (fits or (cost == 0 and float(gap or 0) > 0)):
        yield f"summary: gap {gap!r} does not fit cost {number(cost)} and lower_bound {bound!r}."


RULES: tuple[Callable[[Facts], Iterator[str]], ...] = (
    lines_name_what_the_book_has,
    lines_deliver,
    lines_are_whole_lots,
    lines_reach_the_minimum_denomination,
    lines_reach_the_minimum_line_value,
    calls_keep_to_their_line_cap,
    pins_are_kept,
    lines_are_eligible,
    lines_are_not_wrong_way,
    lines_arrive_in_time,
    lines_outlive_their_call,
    line_figures_agree,
    holdings_suffice,
    calls_table_agrees,
    excess_is_below_one_lot,
    limits_hold,
    limits_table_agrees,
    inventory_table_agrees,
    summary_agrees,
)


# --- small questions the rules share ---------------------------------------------------


def minimum_denomination(facts: Facts, asset: int) -> Fraction:
    """The least that may be delivered of the asset; 0 where the book does not say."""
    if "min_denomination" not in facts.book.assets.columns:
        return Fraction(0)
    least = float(facts.terms.cell("assets", "min_denomination", asset))
    return Fraction(0) if math.isnan(least) else exact(least)


def minimum_line_value(facts: Facts, line: Line) -> Fraction:
    """The agreement's ``min_line_value`` in the book's base currency."""
    agreement = facts.terms.agreement_of_call[line.call]
    least = exact(facts.terms.cell("agreements", "min_line_value", agreement))
    return least * facts.terms.rate(facts.terms.base_currency(agreement))


def pair_name(facts: Facts, line: Line) -> tuple[str, str]:
    calls, holdings = (
        facts.terms.cell("calls", "call_id", line.call),
        facts.terms.cell("holdings", "holding_id", line.holding),
    )
    return str(calls), str(holdings)


def call_name(facts: Facts, call: int) -> str:
    return f"call {facts.terms.cell('calls', 'call_id', call)}"


def group_name(facts: Facts, use: GroupUse) -> str:
    agreement = facts.terms.cell("agreements", "agreement_id", use.agreement)
    return f"agreement {agreement}, limit {use.limit!r}, group {use.group!r}"


def one_row_each(table: str, column: str, wanted: pd.Series, stated: pd.Series) -> Iterator[str]:
    """Each identifier of the book exactly once in a table of the result, and no others."""
    counts = Counter(stated.tolist())
    known = set(wanted.tolist())
    for name in wanted.tolist():
        if counts[name] != 1:
            yield f"{table}: {column} {name} has {counts[name]} rows, it must have one."
    for name in counts:
        if name not in known:
            yield f"{table}: {column} {name} is not in the book."


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def near(stated: Any, true: Fraction, tolerance: Fraction) -> bool:
    """Whether a figure is a number within ``tolerance`` of the truth, or as close as a float can come."""
    return is_number(stated) and abs(exact(stated) - true) <= tolerance + abs(true) / 10**15


def agrees(stated: Any, true: Fraction) -> bool:
    """Within a cent, or one part in 10^9."""
    return near(stated, true, max(CENT, RELATIVE * abs(true)))


def to_the_cent(name: str, figure: str, stated: Any, true: Fraction) -> Iterator[str]:
    """A figure stated to the cent is within half a cent of the truth."""
    if not near(stated, true, CENT / 2 + CENT * RELATIVE):
        yield f"{name}: {figure} is stated as {stated!r}, it is {number(true)}."


def number(value: Fraction) -> str:
    """A figure for a sentence, with digits enough to show what is wrong."""
    return f"{float(value):,.12g}"
