"""The independent checker: works out again, exactly, what a result claims of a book, and names every breach.

It shares no code with the optimiser: it reads the book, asks ``eligibility_rules`` once per schedule and
context about the assets in play (``memory`` keeps what they say for the next check), and works everything
else out itself.

One function per rule, each ``Facts -> sentences``; :data:`RULES` lists them. Another kind of claim is another
function in that list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from collateral_opt.book import Book
from collateral_opt.errors import CheckFailed
from collateral_opt.result.checker import (
    agreements,
    facilities,
    house,
    keeps,
    limits,
    lines,
    pins,
    recalls,
    reserves,
    totals,
)
from collateral_opt.result.checker.facts import COLUMNS, Checkable, Facts
from collateral_opt.result.checker.join import look_up

RULES: tuple[Callable[[Facts], Iterator[str]], ...] = (
    lines.rows_name_what_the_book_has,
    lines.lines_fit_what_they_name,
    facilities.inputs_fit_what_they_name,
    lines.lines_deliver,
    keeps.what_is_posted_is_kept_or_recalled,
    keeps.locked_rows_stay,
    keeps.recalls_are_whole_rows_or_lots,
    lines.movements_are_whole_lots,
    lines.movements_reach_the_minimum_denomination,
    lines.lines_reach_the_minimum_line_value,
    lines.calls_keep_to_their_line_cap,
    pins.pins_are_kept,
    lines.movements_are_eligible,
    lines.movements_are_not_wrong_way,
    lines.movements_arrive_in_time,
    lines.movements_outlive_their_use,
    facilities.facilities_take_from_earlier_ones,
    recalls.recalled_collateral_is_there_in_time,
    lines.line_figures_agree,
    keeps.posted_figures_agree,
    facilities.financing_figures_agree,
    lines.holdings_suffice,
    facilities.facilities_keep_to_their_capacity,
    facilities.facilities_produce_what_they_were_given,
    lines.calls_table_agrees,
    lines.excess_is_below_one_lot,
    agreements.agreements_table_agrees,
    agreements.replacements_stay_below_one_lot,
    limits.limits_hold,
    limits.limits_table_agrees,
    house.house_limits_hold,
    reserves.reserves_table_agrees,
    totals.inventory_table_agrees,
    totals.moves_keep_to_their_cap,
    totals.summary_agrees,
)


def check(book: Book, result: Checkable) -> tuple[str, ...]:
    """Every breach of the book (in full) in ``result``, one sentence each, empty when there is none.

    A table without its columns ends the check early; a row that names something unknown is reported and then
    left out of the rules that would need what it names.
    """
    broken = list(tables_have_their_columns(result))
    if broken:
        return tuple(broken)
    facts = look_up(book.in_full, result)
    for rule in RULES:
        broken.extend(rule(facts))
    return tuple(broken)


def require_valid(book: Book, result: Checkable) -> None:
    """Raise :class:`CheckFailed` with every breach if there is any."""
    broken = check(book, result)
    if broken:
        raise CheckFailed(broken)


def tables_have_their_columns(result: Checkable) -> Iterator[str]:
    """Every table has the columns the checker reads."""
    for table, columns in COLUMNS.items():
        missing = [column for column in columns if column not in getattr(result, table).columns]
        if missing:
            yield f"{table} lacks the column(s) {', '.join(missing)}."
