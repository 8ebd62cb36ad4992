"""Everything the rules look at: the lines of a result joined to the book, once, and what follows from them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.result.checker.figures import NOTHING, exact, grouped, positions, texts, total
from collateral_opt.result.checker.limits import Basket, GroupUse, gather_baskets, measure_groups
from collateral_opt.result.checker.movements import Draw, Movement
from collateral_opt.result.checker.reserves import Standing, stand
from collateral_opt.result.checker.terms import Matches, Terms
from eligibility_rules import Match

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allocation": (
        "call_id", "agreement_id", "holding_id", "facility_id", "asset_id", "action",
        "quantity", "market_value", "haircut", "collateral_value", "cost",
    ),
    "financing": (
        "facility_id", "holding_id", "from_facility_id", "asset_id", "quantity", "market_value", "haircut",
        "proceeds", "cost",
    ),
    "calls": ("call_id", "required", "covered", "shortfall", "excess"),
    "inventory": ("holding_id", "asset_id", "quantity", "used", "left"),
    "reserves": ("reserve_id", "required", "counted", "shortfall", "marginal_cost_bps"),
    "limits": ("agreement_id", "limit", "group", "used", "cap"),
}  # fmt: skip
"""The columns each table must have to be checked at all."""


class Checkable(Protocol):
    """What can be checked: the tables of a run in the columns of the file formats, and its summary."""

    @property
    def allocation(self) -> pd.DataFrame: ...
    @property
    def financing(self) -> pd.DataFrame: ...
    @property
    def calls(self) -> pd.DataFrame: ...
    @property
    def inventory(self) -> pd.DataFrame: ...
    @property
    def reserves(self) -> pd.DataFrame: ...
    @property
    def limits(self) -> pd.DataFrame: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Facts:
    """The book, the result, and everything looked up once for all rules."""

    book: Book
    result: Checkable
    lines: tuple[Movement, ...]
    inputs: tuple[Movement, ...]
    draws: tuple[Draw, ...]
    unknown: tuple[str, ...]
    """Sentences about rows that name something the book does not have; nothing is made of those rows."""
    assets: pd.DataFrame
    """The asset rows that lines, inputs or posted positions touch."""
    asset_at: Mapping[int, int]
    """Position in the book's assets -> position in ``assets``."""
    terms: Terms
    matches: Matches
    """Over ``assets``."""

    @property
    def movements(self) -> tuple[Movement, ...]:
        """All that is handed over, to calls and to facilities."""
        return (*self.lines, *self.inputs)

    @cached_property
    def lines_of_call(self) -> Mapping[int, tuple[Movement, ...]]:
        return grouped(self.lines, lambda line: line.call)

    @cached_property
    def inputs_of_facility(self) -> Mapping[int, tuple[Movement, ...]]:
        return grouped(self.inputs, lambda line: line.facility)

    @cached_property
    def required(self) -> tuple[Fraction, ...]:
        return tuple(
            exact(amount) * self.terms.rate(currency)
            for amount, currency in zip(self.book.calls["amount"], self.book.calls["currency"], strict=True)
        )

    @cached_property
    def covered(self) -> tuple[Fraction, ...]:
        return tuple(
            total(line.collateral_value for line in self.lines_of_call.get(call, ()))
            for call in range(len(self.book.calls))
        )

    @cached_property
    def short_calls(self) -> tuple[int, ...]:
        return tuple(c for c in range(len(self.book.calls)) if self.covered[c] < self.required[c])

    @cached_property
    def used_of_holding(self) -> Mapping[int, Fraction]:
        """What leaves each holding, to calls and facilities together, in units."""
        used: dict[int, Fraction] = defaultdict(Fraction)
        for movement in self.movements:
            if movement.holding >= 0:
                used[movement.holding] += movement.quantity
        return used

    @cached_property
    def spent(self) -> Mapping[int, tuple[Movement, ...]]:
        """By facility: everything spent from it."""
        return grouped((m for m in self.movements if m.producer >= 0), lambda movement: movement.producer)

    @cached_property
    def produced(self) -> Mapping[int, Fraction]:
        """By facility: what it produces, the market value of everything spent from it."""
        return {facility: total(m.market_value for m in spent) for facility, spent in self.spent.items()}

    @cached_property
    def costs(self) -> tuple[Fraction, ...]:
        """Every part of the run's cost, unrounded: each movement's own, and each facility's."""
        facilities = (self.terms.facility_cost(facility, value) for facility, value in self.produced.items())
        return (*(movement.cost for movement in self.movements), *facilities)

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
    def groups(self) -> tuple[GroupUse, ...]:
        return tuple(use for basket in self.baskets for use in measure_groups(self, basket))

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """By reserve: what is left at home that it can count."""
        return tuple(stand(self))


# --- looking things up -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A row of allocation or financing joined to the book; a position is -1 where it names nothing known."""

    at: int
    place: int
    """A call, or the facility that takes."""
    holding: int
    producer: int
    quantity: float
    sourced: bool
    """Whether it names any source at all."""

    @property
    def usable(self) -> bool:
        """It moves something, out of one source, to a place."""
        return self.place >= 0 and (self.holding >= 0) != (self.producer >= 0) and self.is_positive

    @property
    def is_draw(self) -> bool:
        """It produces something out of nothing."""
        return self.place >= 0 and not self.sourced and self.is_positive

    @property
    def is_positive(self) -> bool:
        return math.isfinite(self.quantity) and self.quantity > 0


def look_up(book: Book, result: Checkable) -> Facts:
    """Join the rows to the book: one match per schedule and context, on the touched assets only."""
    terms = Terms(book)
    facilities = book.facilities["facility_id"]
    delivered = read_rows(book, result.allocation, ("call_id", book.calls["call_id"]), "facility_id")
    financed = read_rows(book, result.financing, ("facility_id", facilities), "from_facility_id")
    lines = [row for row in delivered if row.usable]
    inputs = [row for row in financed if row.usable and terms.takes[row.place] is not None]
    draws = [row for row in financed if row.is_draw and terms.takes[row.place] is None]
    asset_of_holding = positions(book.assets["asset_id"], book.holdings["asset_id"])
    asset_of = {row: asset_of_holding[row.holding] if row.holding >= 0 else terms.gives[row.producer]
                for row in (*lines, *inputs)}  # fmt: skip
    posted = positions(book.assets["asset_id"], book.posted["asset_id"])
    touched = sorted({*asset_of.values(), *(asset for asset in posted if asset >= 0)})
    asset_at = {asset: at for at, asset in enumerate(touched)}
    assets = book.assets.iloc[touched].reset_index(drop=True)
    matches = Matches(book, assets)
    return Facts(
        book=book,
        result=result,
        lines=tuple(delivery(terms, matches, row, asset_of[row], asset_at) for row in lines),
        inputs=tuple(pledge(terms, matches, row, asset_of[row], asset_at) for row in inputs),
        draws=tuple(Draw(row.at, row.place, exact(row.quantity)) for row in draws),
        unknown=(
            *name_unknown_lines(result.allocation, delivered),
            *name_unknown_inputs(result.financing, financed, terms),
        ),
        assets=assets,
        asset_at=asset_at,
        terms=terms,
        matches=matches,
    )


def read_rows(book: Book, table: pd.DataFrame, place: tuple[str, pd.Series], producer: str) -> list[Row]:
    """Where the identifiers of each row stand in the book."""
    holdings, producers = texts(table["holding_id"]), texts(table[producer])
    columns = (
        positions(place[1], table[place[0]].tolist()),
        positions(book.holdings["holding_id"], holdings),
        positions(book.facilities["facility_id"], producers),
        [math.nan if quantity is None else float(quantity) for quantity in table["quantity"].tolist()],
        [holding is not None or facility is not None for holding, facility in zip(holdings, producers, strict=True)],
    )
    return [Row(at, *cells) for at, cells in enumerate(zip(*columns, strict=True))]


def delivery(terms: Terms, matches: Matches, row: Row, asset: int, asset_at: Mapping[int, int]) -> Movement:
    """A line of allocation."""
    agreement, schedule = terms.agreement_of_call[row.place], terms.schedule_in_force[row.place]
    found = matches.of(schedule, terms.base_currency(agreement), terms.margin_types[row.place])
    return move(
        terms, row, asset,
        name=f"call {terms.cell('calls', 'call_id', row.place)}",
        call=row.place,
        schedule=schedule,
        taker=terms.agreement_family(agreement),
        found=found,
        at=asset_at[asset],
        bps=terms.line_bps(row.holding, asset, agreement),
    )  # fmt: skip


def pledge(terms: Terms, matches: Matches, row: Row, asset: int, asset_at: Mapping[int, int]) -> Movement:
    """A row of financing that gives a facility something to take."""
    facility, schedule = str(terms.cell("facilities", "facility_id", row.place)), str(terms.takes[row.place])
    return move(
        terms, row, asset,
        name=f"facility {facility}",
        facility=row.place,
        schedule=schedule,
        taker=terms.facility_family(row.place),
        found=matches.of(schedule, terms.currency(terms.gives[row.place])),
        at=asset_at[asset],
        bps=terms.holding_bps(row.holding, asset, ("facility", facility)) if row.holding >= 0 else NOTHING,
    )  # fmt: skip


def move(
    terms: Terms,
    row: Row,
    asset: int,
    *,
    name: str,
    schedule: str,
    taker: frozenset[str],
    found: Match,
    at: int,
    bps: Fraction,
    call: int = -1,
    facility: int = -1,
) -> Movement:
    """What a row hands over, valued; ``at`` is where its asset stands in ``found``."""
    table, column, source = ("holdings", "holding_id", row.holding)
    if row.holding < 0:
        table, column, source = ("facilities", "facility_id", row.producer)
    factor = found.factors[int(found.factor_code[at])] if bool(found.eligible[at]) else None
    quantity = exact(row.quantity)
    market_value = quantity * terms.unit_value(asset)
    return Movement(
        name=f"{name}, {'holding' if row.holding >= 0 else 'proceeds of'} {terms.cell(table, column, source)}",
        row=row.at,
        call=call,
        facility=facility,
        holding=row.holding,
        producer=row.producer,
        asset=asset,
        schedule=schedule,
        taker=taker,
        quantity=quantity,
        lot=terms.lot(asset),
        factor=factor,
        refusal="" if factor is not None else found.why(at).sentence,
        market_value=market_value,
        collateral_value=market_value * (factor or 0),
        cost=terms.cost(market_value, bps),
    )


# --- what cannot be looked up ----------------------------------------------------------


def name_unknown_lines(table: pd.DataFrame, rows: list[Row]) -> Iterator[str]:
    """Lines about calls, holdings or facilities the book does not have, or with a quantity that is none."""
    calls, holdings, facilities = (texts(table[name]) for name in ("call_id", "holding_id", "facility_id"))
    for row in rows:
        call, holding, facility = calls[row.at], holdings[row.at], facilities[row.at]
        where = f"allocation line {row.at + 1} (call {call}, {source_name(holding, facility)})"
        if row.place < 0:
            yield f"{where} names call {call}, which the book does not have."
        yield from name_unknown_source(where, row, holding, facility)
        if not row.sourced:
            yield f"{where} names neither a holding nor a facility."


def name_unknown_inputs(table: pd.DataFrame, rows: list[Row], terms: Terms) -> Iterator[str]:
    """Financing rows about facilities or holdings the book does not have, or whose sources do not fit ``takes``."""
    facilities, holdings, producers = (texts(table[n]) for n in ("facility_id", "holding_id", "from_facility_id"))
    for row in rows:
        facility, holding, producer = facilities[row.at], holdings[row.at], producers[row.at]
        where = f"financing row {row.at + 1} (facility {facility}, {source_name(holding, producer)})"
        if row.place < 0:
            yield f"{where} names facility {facility}, which the book does not have."
        yield from name_unknown_source(where, row, holding, producer)
        if row.place >= 0 and terms.takes[row.place] is None and row.sourced:
            yield f"{where} gives something to a facility that takes nothing."
        elif row.place >= 0 and terms.takes[row.place] is not None and not row.sourced:
            yield f"{where} names neither a holding nor a facility that it takes from."


def name_unknown_source(where: str, row: Row, holding: str | None, facility: str | None) -> Iterator[str]:
    if facility is not None and row.producer < 0:
        yield f"{where} names facility {facility}, which the book does not have."
    if holding is not None and row.holding < 0:
        yield f"{where} names holding {holding}, which the book does not have."
    if holding is not None and facility is not None:
        yield f"{where} names a holding and a facility, it can come from one of them only."
    if not math.isfinite(row.quantity):
        yield f"{where} has no quantity."
    elif row.quantity <= 0:
        yield f"{where} moves {row.quantity!r}; a quantity must be above zero."


def source_name(holding: str | None, facility: str | None) -> str:
    return f"holding {holding}" if holding is not None or facility is None else f"proceeds of {facility}"
