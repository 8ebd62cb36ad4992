"""From a book and a result to the facts: rows joined to what they name, matched and valued once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property, partial

from collateral_opt.book import Book
from collateral_opt.result.checker.columns import Tables
from collateral_opt.result.checker.facts import Checkable, Facts
from collateral_opt.result.checker.figures import NOTHING, exact, product
from collateral_opt.result.checker.movements import Draw, Movement
from collateral_opt.result.checker.posted import gather_postings
from collateral_opt.result.checker.rows import Row, name_unknown_inputs, name_unknown_lines, read_rows, sort_allocation
from collateral_opt.result.checker.terms import Matches, Terms
from eligibility_rules import Match
from eligibility_rules.remembered import Remembered


def look_up(book: Book, result: Checkable) -> Facts:
    """Join the rows to the book: one match per schedule and context, on the assets in play."""
    terms, stated = Terms(book), Tables(result)
    allocation, financing = stated["allocation"], stated["financing"]
    delivered = sort_allocation(terms, allocation)
    financed = read_rows(terms, financing, ("facilities", "facility_id"), "from_facility_id")
    lines, replacements = ([row for row in rows if row.usable] for rows in (delivered.lines, delivered.replacements))
    inputs = [row for row in financed if row.usable and terms.takes[row.place] is not None]
    draws = [row for row in financed if row.is_draw and terms.takes[row.place] is None]
    asset_at = {asset: at for at, asset in enumerate(terms.in_play)}
    matches = Matches(book, terms.in_play)
    postings, fitless = gather_postings(terms, matches, asset_at, allocation, delivered.staying)
    of_call, of_agreement, of_facility = (
        cache(partial(taker, terms, matches)) for taker in (taker_of_call, taker_of_agreement, taker_of_facility)
    )
    return Facts(
        book=book,
        result=result,
        stated=stated,
        lines=tuple([move(terms, row, of_call(row.place), asset_at) for row in lines]),
        replacements=tuple([move(terms, row, of_agreement(row.place), asset_at) for row in replacements]),
        inputs=tuple([move(terms, row, of_facility(row.place), asset_at) for row in inputs]),
        draws=tuple(Draw(row.at, row.place, exact(row.quantity)) for row in draws),
        postings=postings,
        unknown=(
            *name_unknown_lines(allocation, delivered),
            *fitless,
            *name_unknown_inputs(financing, financed, terms),
        ),
        asset_at=asset_at,
        terms=terms,
        matches=matches,
    )


def asset_of_row(terms: Terms, row: Row) -> int:
    """The asset of a row's source."""
    return terms.asset_of_holding[row.holding] if row.holding >= 0 else terms.gives[row.producer]


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Who takes what rows hand over: a call, an agreement without one, or a facility; and what judges it there."""

    name: str
    schedule: str
    family: frozenset[str]
    found: Match
    call: int = -1
    agreement: int = -1
    facility: int = -1

    @cached_property
    def place(self) -> tuple[str, int]:
        """The agreement or the facility, as costs of pairs name it."""
        return ("agreement", self.agreement) if self.facility < 0 else ("facility", self.facility)

    @cached_property
    def haircuts(self) -> tuple[Fraction, ...]:
        """1 - f for each collateral factor f of what was found."""
        return haircuts(self.found)


def taker_of_call(terms: Terms, matches: Matches, call: int) -> Taker:
    """A call, for which lines of allocation are."""
    agreement, schedule = terms.agreement_of_call[call], terms.schedule_in_force[call]
    return Taker(
        name=f"call {terms.cell('calls', 'call_id', call)}",
        call=call,
        agreement=agreement,
        schedule=schedule,
        family=terms.agreement_family(agreement),
        found=matches.of(schedule, terms.base_currency(agreement), terms.margin_types[call]),
    )


def taker_of_agreement(terms: Terms, matches: Matches, agreement: int) -> Taker:
    """An agreement to which lines go without a call: under its own schedule."""
    schedule = str(terms.cell("agreements", "schedule", agreement))
    return Taker(
        name=f"agreement {terms.cell('agreements', 'agreement_id', agreement)}",
        agreement=agreement,
        schedule=schedule,
        family=terms.agreement_family(agreement),
        found=matches.of(schedule, terms.base_currency(agreement), terms.posted_margin_type(agreement)),
    )


def taker_of_facility(terms: Terms, matches: Matches, facility: int) -> Taker:
    """A facility, which rows of financing give something to take."""
    schedule = str(terms.takes[facility])
    return Taker(
        name=f"facility {terms.cell('facilities', 'facility_id', facility)}",
        facility=facility,
        schedule=schedule,
        family=terms.facility_family(facility),
        found=matches.of(schedule, terms.currency(terms.gives[facility])),
    )


def move(terms: Terms, row: Row, taker: Taker, asset_at: Mapping[int, int]) -> Movement:
    """What a row hands over, valued; ``asset_at`` says where its asset stands in what was matched."""
    asset, found = asset_of_row(terms, row), taker.found
    at = asset_at[asset]
    code = int(found.factor_code[at])
    quantity = exact(row.quantity)
    market_value = product(quantity, terms.unit_value(asset))
    if row.holding >= 0:
        source = f"holding {terms.cell('holdings', 'holding_id', row.holding)}"
        bps, moving = terms.holding_bps(row.holding, asset, taker.place), terms.holding_move_cost(row.holding)
    else:
        source = f"proceeds of {terms.cell('facilities', 'facility_id', row.producer)}"
        bps, moving = NOTHING, NOTHING  # proceeds bear no cost of their own
    if taker.agreement >= 0 and terms.is_cash(asset):
        bps -= terms.cash_return_bps(asset, taker.agreement)
    cost = terms.cost(market_value, bps)
    return Movement(
        taker_name=taker.name,
        source_name=source,
        row=row.at,
        call=taker.call,
        agreement=taker.agreement,
        facility=taker.facility,
        holding=row.holding,
        producer=row.producer,
        asset=asset,
        schedule=taker.schedule,
        taker=taker.family,
        quantity=quantity,
        lot=terms.lot(asset),
        factor=found.factors[code] if code >= 0 else None,
        haircut=taker.haircuts[code] if code >= 0 else None,
        refusal="" if code >= 0 else found.why(at).sentence,
        market_value=market_value,
        collateral_value=product(market_value, found.factors[code]) if code >= 0 else NOTHING,
        cost=cost + moving if moving else cost,
    )


@Remembered
def haircuts(found: Match) -> tuple[Fraction, ...]:
    """1 - f for each collateral factor f of a match."""
    return tuple(1 - factor for factor in found.factors)
