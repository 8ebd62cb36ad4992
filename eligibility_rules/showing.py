"""A schedule as a page to read: what a lawyer or an analyst holds against the document it comes from.

`sheet` says what is on the page; `sheet_text` and `sheet_html` lay it out for a terminal and a browser.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eligibility_rules.scalars import percent
from eligibility_rules.vocabulary import Listed, Rating, Rule, Schedule, leaves
from eligibility_rules.words import (
    EVERYTHING,
    MARGIN_TYPES,
    amount_words,
    caps_words,
    column_words,
    conditions,
    deduction_words,
    further_words,
    group_words,
    measure_words,
    printable,
    rating_reading,
    valuation_words,
)

NOTHING_SAID = "not said"
_OVERLAPS = {
    "first": "the first rule that takes an asset decides",
    "highest_haircut": "of several rules that take an asset, the one with the highest haircut decides",
    "error": "no two rules may take the same asset",
}
_WRONG_WAY = {
    "exclude": "refused: what the counterparty's own group has issued",
    "allow": "allowed, as far as a rule takes it: what the counterparty's own group has issued",
}


@dataclass(frozen=True)
class Table:
    """A table of the page: a cell is one or more paragraphs."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], ...], ...]


@dataclass(frozen=True)
class Sheet:
    """The page: the schedule's name, what is to be known before reading it, and its tables."""

    name: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    tables: tuple[Table, ...]


def sheet(schedule: Schedule) -> Sheet:
    """Everything a schedule says, in words."""
    tables = [_listing(schedule.listing)] if schedule.listing else [_rules(schedule)]
    if schedule.limits:
        tables.append(_limits(schedule))
    return Sheet(schedule.name, tuple(_facts(schedule)), tuple(tables))


def _facts(schedule: Schedule) -> Iterable[tuple[str, tuple[str, ...]]]:
    yield "source", (schedule.source or NOTHING_SAID,)
    yield "figures as of", (schedule.as_of or NOTHING_SAID,)
    yield "leaves out", schedule.leaves_out or (NOTHING_SAID,)
    if schedule.note:
        yield "note", tuple(line for line in schedule.note.splitlines() if line.strip())
    if schedule.assume:
        assumed = (f"{column_words(column)} is {text}" for column, text in schedule.assume.items())
        yield "assumed", tuple(f"{line}, where the asset's own is empty" for line in assumed)
    if schedule.listing:
        yield "reading", ("an asset that is not on the list is refused",)
    else:
        yield "reading", tuple(_reading(schedule))
    further = [further_words(one) for one in schedule.further_haircuts]
    if further:
        yield "further haircuts", tuple(further)
    if schedule.fx_haircut is not None:
        yield "FX haircut", (deduction_words(schedule.fx_haircut),)
    if rating_said(schedule):
        yield "ratings", (rating_said(schedule),)
    yield "own issues", (_WRONG_WAY[schedule.wrong_way],)
    yield "asks for", (", ".join(sorted(schedule.columns)) or "nothing",)


def _reading(schedule: Schedule) -> Iterable[str]:
    yield _OVERLAPS[schedule.overlap]
    if any(rule.exclude for rule in schedule.rules):
        yield "a rule that refuses does so wherever it stands, and also where it cannot be decided"
    yield "an asset that no rule takes is refused; an empty fact is unknown, and no rule takes what it cannot decide"
    if any(limit.select is not None for limit in schedule.limits):
        yield "a limit counts what it selects, and what it cannot decide"


def rating_said(schedule: Schedule) -> str:
    """How ratings are read, where every criterion reads them alike; else nothing, and each criterion says it."""
    found = (leaf for _, when in schedule.criteria() for leaf in leaves(when) if isinstance(leaf, Rating))
    readings = {rating_reading(leaf) for leaf in found}
    return readings.pop() if len(readings) == 1 else ""


def _rules(schedule: Schedule) -> Table:
    heads = ("", "rule", "takes what meets all of", "as stated", "counts at")
    said = rating_said(schedule)
    return Table("Rules", heads, tuple(_rule(place, rule, said) for place, rule in enumerate(schedule.rules, 1)))


def _rule(place: int, rule: Rule, said: str) -> tuple[tuple[str, ...], ...]:
    when = [*conditions(rule.when, said), *([f"for {MARGIN_TYPES[rule.margin_type]}"] if rule.margin_type else [])]
    if rule.margin_type and when[0] == EVERYTHING:
        when = [f"{EVERYTHING}, {when[1]}"]
    label = "" if rule.label == f"rule {place}" else rule.label
    stated, counts = ("refused", "") if rule.exclude else (valuation_words(rule), percent(rule.factor))
    return (str(place),), (label, *_note(rule.note)), tuple(when), (stated,), (counts,)


def _limits(schedule: Schedule) -> Table:
    rows = []
    for place, limit in enumerate(schedule.limits, 1):
        label = "" if limit.label == f"limit {place}" else limit.label
        counted = conditions(limit.select, rating_said(schedule))
        rows.append(
            (
                (str(place),),
                (label, *_note(limit.note)),
                (group_words(limit),),
                counted,
                (measure_words(limit),),
                (caps_words(limit),),
            )
        )
    heads = ("", "limit", "on", "counts what meets all of", "by", "at most")
    return Table("Limits", heads, tuple(rows))


def _listing(lines: Sequence[Listed]) -> Table:
    rows = []
    for one in lines:
        asset = one.asset_id or one.isin or ""
        haircut = f"haircut {percent(one.haircut)}" if one.haircut is not None else ""
        counts = percent(1 - one.haircut) if one.haircut is not None and one.eligible else ""
        most = [f"{amount_words(one.max_quantity)} units"] if one.max_quantity is not None else []
        most += [f"value {amount_words(one.max_value)}"] if one.max_value is not None else []
        stated = haircut if one.eligible else "refused"
        rows.append(((str(one.line),), (asset,), (stated,), (counts,), (" and ".join(most),)))
    return Table("List", ("line", "asset", "as stated", "counts at", "at most"), tuple(rows))


def _note(note: str) -> tuple[str, ...]:
    return (f"Note: {note}",) if note else ()


# -------------------- the terminal

_GAP = "  "
_CONDITIONS = "meets all of"
_LEAST = 12  # no column that has more to say is made narrower


def sheet_text(page: Sheet, width: int = 120) -> str:
    """The page in lines of at most `width` characters (80 or more), the same for the same schedule."""
    width = max(width, 80)
    lines = [printable(page.name), ""]
    margin = max(len(head) for head, _ in page.facts) + 4
    for head, paragraphs in page.facts:
        bullet = "- " if len(paragraphs) > 1 else ""
        for place, paragraph in enumerate(paragraphs):
            start = f"  {head if place == 0 else '':<{margin - 2}}"
            lines += _wrap(paragraph, width, start + bullet, " " * (margin + len(bullet)))
    for table in page.tables:
        lines += ["", table.title, "", *table_lines(table, width)]
    return "\n".join(lines)


def _wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    words = " ".join(printable(text).split())
    return textwrap.wrap(words, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [first]


def table_lines(table: Table, width: int) -> list[str]:
    """A table in lines of at most `width` characters, as far as its columns can be narrowed."""
    cells = [[[printable(part) for part in cell] for cell in row] for row in table.rows]
    full = [
        max(len(head), *(len(part) for row in cells for part in row[place] or [""]))
        for place, head in enumerate(table.heads)
    ]
    weights = [3 if _CONDITIONS in head else 2 for head in table.heads]
    widths = _fitted(full, weights, width - 2 - len(_GAP) * (len(full) - 1))
    lines = _row_lines([[head] for head in table.heads], widths)
    lines.append("  " + _GAP.join("-" * one for one in widths))
    for row in cells:
        lines += _row_lines(row, widths)
    return lines


def _fitted(full: Sequence[int], weights: Sequence[int], room: int) -> list[int]:
    """Widths that fill the room at most: the widest columns for their weight give way first."""
    widths = list(full)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda place: widths[place] / weights[place])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    return widths


def _row_lines(row: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    wrapped = [
        [line for part in cell for line in _wrap(part, width, "", "  ")]
        for cell, width in zip(row, widths, strict=True)
    ]
    height = max(map(len, wrapped))
    filled = [[*cell, *[""] * (height - len(cell))] for cell in wrapped]
    return [
        "  " + _GAP.join(f"{cell[n]:<{width}}" for cell, width in zip(filled, widths, strict=True)).rstrip()
        for n in range(height)
    ]


# -------------------- the browser


def sheet_html(page: Sheet) -> str:
    """The page as HTML that stands alone: no script, nothing fetched; rows can be linked to (`#rules-3`)."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("eligibility_rules", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("schedule.html").render(page=page)


def schedule_text(schedule: Schedule, width: int = 120) -> str:
    """The schedule as text to read."""
    return sheet_text(sheet(schedule), width)


def schedule_html(schedule: Schedule) -> str:
    """The schedule as a page to read."""
    return sheet_html(sheet(schedule))


def overview(schedules: Sequence[Schedule], width: int = 120) -> str:
    """Schedules one by one: name, date, how much there is to each, source."""
    rows = []
    for one in schedules:
        counts = [(len(one.listing), "line"), (len(one.rules), "rule"), (len(one.limits), "limit")]
        said = ", ".join(f"{count:,} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
        rows.append(((one.name,), (one.as_of or NOTHING_SAID,), (said,), (one.source or NOTHING_SAID,)))
    return "\n".join(table_lines(Table("", ("name", "as of", "", "source"), tuple(rows)), width))
