"""From a book and a result to the facts: rows joined to what they name, matched and valued once."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from collateral_opt.book import Book
from collateral_opt.result.checker.facts import Checkable, Facts
from collateral_opt.result.checker.figures import NOTHING, exact
from collateral_opt.result.checker.movements import Draw, Movement
from collateral_opt.result.checker.posted import gather_postings
from collateral_opt.result.checker.rows import Row, name_unknown_inputs, name_unknown_lines, read_rows, sort_allocation
from collateral_opt.result.checker.terms import Matches, Terms
from eligibility_rules import Match


def look_up(book: Book, result: Checkable) -> Facts:
    """Join the rows to the book: one match per schedule and context, on the assets in play."""
    terms = Terms(book)
    facilities = book.facilities["facility_id"]
    delivered = sort_allocation(book, result.allocation)
    financed = read_rows(book, result.financing, ("facility_id", facilities), "from_facility_id")
    lines, replacements = ([row for row in rows if row.usable] for rows in (delivered.lines, delivered.replacements))
    inputs = [row for row in financed if row.usable and terms.takes[row.place] is not None]
    draws = [row for row in financed if row.is_draw and terms.takes[row.place] is None]
    asset_at = {asset: at for at, asset in enumerate(terms.in_play)}
    matches = Matches(book, terms.in_play)
    postings, fitless = gather_postings(terms, matches, asset_at, result.allocation, delivered.staying)
    return Facts(
        book=book,
        result=result,
        lines=tuple(delivery(terms, matches, row, asset_at) for row in lines),
        replacements=tuple(replacement(terms, matches, row, asset_at) for row in replacements),
        inputs=tuple(pledge(terms, matches, row, asset_at) for row in inputs),
        draws=tuple(Draw(row.at, row.place, exact(row.quantity)) for row in draws),
        postings=postings,
        unknown=(
            *name_unknown_lines(result.allocation, delivered),
            *fitless,
            *name_unknown_inputs(result.financing, financed, terms),
        ),
        asset_at=asset_at,
        terms=terms,
        matches=matches,
    )


def asset_of_row(terms: Terms, row: Row) -> int:
    """The asset of a row's source."""
    return terms.asset_of_holding[row.holding] if row.holding >= 0 else terms.gives[row.producer]


def delivery(terms: Terms, matches: Matches, row: Row, asset_at: Mapping[int, int]) -> Movement:
    """A line of allocation to a call."""
    asset = asset_of_row(terms, row)
    agreement, schedule = terms.agreement_of_call[row.place], terms.schedule_in_force[row.place]
    found = matches.of(schedule, terms.base_currency(agreement), terms.margin_types[row.place])
    return move(
        terms, row, asset,
        name=f"call {terms.cell('calls', 'call_id', row.place)}",
        call=row.place,
        agreement=agreement,
        schedule=schedule,
        taker=terms.agreement_family(agreement),
        found=found,
        at=asset_at[asset],
        bps=terms.line_bps(row.holding, asset, agreement),
    )  # fmt: skip


def replacement(terms: Terms, matches: Matches, row: Row, asset_at: Mapping[int, int]) -> Movement:
    """A line of allocation to an agreement without a call: under the agreement's own schedule."""
    asset = asset_of_row(terms, row)
    agreement, schedule = row.place, str(terms.cell("agreements", "schedule", row.place))
    found = matches.of(schedule, terms.base_currency(agreement), terms.posted_margin_type(agreement))
    return move(
        terms, row, asset,
        name=f"agreement {terms.cell('agreements', 'agreement_id', agreement)}",
        agreement=agreement,
        schedule=schedule,
        taker=terms.agreement_family(agreement),
        found=found,
        at=asset_at[asset],
        bps=terms.line_bps(row.holding, asset, agreement),
    )  # fmt: skip


def pledge(terms: Terms, matches: Matches, row: Row, asset_at: Mapping[int, int]) -> Movement:
    """A row of financing that gives a facility something to take."""
    asset = asset_of_row(terms, row)
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
    agreement: int = -1,
    facility: int = -1,
) -> Movement:
    """What a row hands over, valued; ``at`` is where its asset stands in ``found``."""
    table, column, source = ("holdings", "holding_id", row.holding)
    if row.holding < 0:
        table, column, source = ("facilities", "facility_id", row.producer)
    factor = found.factors[int(found.factor_code[at])] if bool(found.eligible[at]) else None
    quantity = exact(row.quantity)
    market_value = quantity * terms.unit_value(asset)
    moving = terms.holding_move_cost(row.holding) if row.holding >= 0 else NOTHING
    return Movement(
        name=f"{name}, {'holding' if row.holding >= 0 else 'proceeds of'} {terms.cell(table, column, source)}",
        row=row.at,
        call=call,
        agreement=agreement,
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
        cost=terms.cost(market_value, bps) + moving if moving else terms.cost(market_value, bps),
    )
