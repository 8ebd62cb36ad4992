"""Reads lists of others (a clearing house's, a central bank's), whose columns a map names, as list schedules.

    columns = ListColumns(isin="ISIN_CODE", haircut="HAIRCUT", percent=True)
    found = read_list("eligible_assets.csv", columns)
    found.schedule, found.unread

Figures are read exactly or refused: nothing is guessed about percent, and a decimal mark is found out only where the
figures can be read with no other.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.vocabulary import Schedule
from eligibility_rules.writing import number_text

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ISIN = re.compile(r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$")
_CUSIP = re.compile(r"^[A-Z0-9]{8}[0-9]$")
_FIGURE = {
    ".": re.compile(r"^[+-]?([0-9]+|[1-9][0-9]{0,2}([, '][0-9]{3})+)?(\.[0-9]+)?$"),
    ",": re.compile(r"^[+-]?([0-9]+|[1-9][0-9]{0,2}([. '][0-9]{3})+)?(,[0-9]+)?$"),
}
SAY_PERCENT = "Say that figures are percent (--percent)"


class Row(NamedTuple):
    """A line of the file: its number, and its cells."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class ListColumns:
    """Which column of the file says what.

    One of `isin`, `cusip`, `asset_id` names the asset (an empty ISIN falls back on the CUSIP); one of `haircut` and
    `valuation` (what counts: 98 % of the market value) its valuation, in percent if `percent`. `eligible`: a column
    and the cells that mean yes; without it every line is eligible. `max_value` is money of the agreement's base
    currency, `max_quantity` units. `delimiter` and `decimal` (`.` or `,`) are found out where they are not given.
    """

    isin: str | None = None
    cusip: str | None = None
    asset_id: str | None = None
    haircut: str | None = None
    valuation: str | None = None
    percent: bool = False
    eligible: tuple[str, tuple[str, ...]] | None = None
    max_value: str | None = None
    max_quantity: str | None = None
    delimiter: str | None = None
    decimal: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        eligible = self.eligible[0] if self.eligible else None
        all_ = (self.isin, self.cusip, self.asset_id, self.haircut, self.valuation, eligible)
        return tuple(name for name in (*all_, self.max_value, self.max_quantity) if name is not None)

    @property
    def figures(self) -> tuple[str, ...]:
        """The columns of numbers."""
        all_ = (self.haircut, self.valuation, self.max_value, self.max_quantity)
        return tuple(name for name in all_ if name is not None)


@dataclass(frozen=True)
class ListRead:
    """A list as a schedule, sorted by asset; `unread` columns of the file, the cells that were taken to mean `no`, how
    many lines `repeated` another, and `doubts`, sentences about what looks otherwise than it was said to be."""

    schedule: Schedule
    unread: tuple[str, ...]
    no: tuple[str, ...]
    repeated: int
    doubts: tuple[str, ...]


def read_list(path: str | Path, columns: ListColumns, name: str | None = None) -> ListRead:
    """Read a delimited file; lines above the one that heads the columns are passed over.

    `name` is what the schedule is called, else what the file is. Raises ScheduleError with every problem.
    """
    file = Path(path)
    _check_columns(columns, str(file))
    delimiter, header, rows = read_rows(file, columns.named, columns.delimiter)
    lines = _Lines(str(file), columns, columns.decimal or _decimal(rows, header, columns, delimiter, str(file)))
    for row in rows:
        if any(row.cells):
            lines.read(row, header)
    unread = tuple(column for column in header if column and column not in columns.named)
    listing = lines.listing()
    schedule = Schedule.model_validate({"name": name or file.stem, "listing": listing})
    doubts = (*_doubts(schedule, columns), *lines.doubts())
    return ListRead(schedule, unread, tuple(sorted(lines.no)), lines.repeated, doubts)


def _doubts(schedule: Schedule, columns: ListColumns) -> Iterator[str]:
    haircuts = [row.haircut for row in schedule.listing if row.haircut]
    if columns.percent and haircuts and max(haircuts) < Fraction(1, 100):
        yield f"no haircut reaches 1 %: is {columns.haircut or columns.valuation} in percent?"
    if columns.percent and columns.valuation and haircuts and min(haircuts) >= Fraction(99, 100):
        yield f"nothing counts at more than 1 %: is {columns.valuation} in percent?"
    if not any(row.eligible for row in schedule.listing):
        yield "nothing on the list is eligible: do the cells that mean yes read so?"


def _one(file: str, where: str, value: str, message: str, remedy: str) -> ScheduleError:
    return ScheduleError([ScheduleProblem(file, where, value, message, remedy)])


def _check_columns(columns: ListColumns, file: str) -> None:
    if not (columns.isin or columns.cusip or columns.asset_id):
        raise _one(file, "", "", "no column names the assets", "Name the column of ISINs, of CUSIPs or of own ids")
    if (columns.haircut is None) == (columns.valuation is None):
        found = "both haircut and valuation are" if columns.haircut else "neither haircut nor valuation is"
        raise _one(file, "", "", f"{found} named", "Name the one column that the file values assets by")
    if columns.delimiter is not None and len(columns.delimiter) != 1:
        raise _one(file, "", columns.delimiter, "a delimiter is one character", "Write ';' or ','")
    if columns.decimal not in (None, ".", ","):
        raise _one(file, "", columns.decimal or "", "a decimal mark is . or ,", "Write one of the two")


# -------------------- the file as a table


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _one(str(file), "", "", "there is no such file", "Check the name") from None
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if data.startswith(b"PK\x03\x04"):
        raise _one(str(file), "", "", "the file is a workbook", "Save its sheet as CSV")
    if not data.strip():
        raise _one(str(file), "", "", "the file is empty", "Check that it was saved whole")
    if not utf16 and b"\0" in data:
        remedy = "Save it as UTF-8, or as UTF-16 with its mark"
        raise _one(str(file), "", "", "the file is no text in UTF-8", remedy)
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as failed:
        line = 1 + data.count(b"\n", 0, failed.start)
        raise _one(
            str(file), "" if utf16 else f"line {line}", "", "the file is not UTF-8", "Save it as UTF-8"
        ) from None


def read_rows(file: Path, named: Sequence[str], delimiter: str | None = None) -> tuple[str, list[str], list[Row]]:
    """The delimiter, the first line that heads all columns `named`, and the lines below it; raises ScheduleError."""
    return _rows(_text(file), named, delimiter, str(file))


def _rows(text: str, named: Sequence[str], given: str | None, file: str) -> tuple[str, list[str], list[Row]]:
    best: tuple[int, list[str], list[str]] = (-1, [], [])
    for delimiter in [given] if given else DELIMITERS:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
            rows = [Row(reader.line_num, [" ".join(cell.split()) for cell in row]) for row in reader]
        except csv.Error as failed:
            raise _one(file, "", "", f"not readable as a table: {failed}", "Save it as CSV anew") from None
        for place, (line, row) in enumerate(rows):
            missing = [name for name in named if name not in row]
            if not missing:
                twice = [name for name in named if row.count(name) > 1]
                if twice:
                    raise _one(file, f"line {line}", twice[0], f"{twice[0]} heads two columns", "Rename one")
                return delimiter, row, rows[place + 1 :]
            there = len(set(named)) - len(missing)
            if there > best[0] or (there == best[0] == 0 and len(row) > len(best[2])):
                best = (there, missing, row)
    _, missing, row = best
    problems = [
        ScheduleProblem(
            file, "", name, f"no line heads a column {name}", did_you_mean(name, row) or f"There are {', '.join(row)}"
        )
        for name in missing or named
    ]
    raise ScheduleError(problems)


def _decimal(rows: Sequence[Row], header: Sequence[str], columns: ListColumns, delimiter: str, file: str) -> str:
    """The decimal mark that every figure can be read with; where commas part cells, the point.

    `2.500` and `2,500` alone may be two and a half, or a thousand times more.
    """
    places = {header.index(name): name for name in columns.figures}
    figures = [
        (_bare(cells[place]), line, name)
        for line, cells in rows
        for place, name in places.items()
        if place < len(cells) and any(mark in cells[place] for mark in ".,")
    ]
    fits = [mark for mark in ".," if all(_FIGURE[mark].match(figure) for figure, _, _ in figures)]
    if delimiter == "," or not figures or not fits:
        return "."
    if len(fits) == 2:
        figure, line, name = figures[0]
        message = f"{name} is {figure}, with a mark that may part thousands or decimals"
        raise _one(file, f"line {line}", figure, message, "Say which is the decimal mark (--decimal)")
    return fits[0]


def _bare(cell: str) -> str:
    return cell.replace("\u00a0", " ").replace("\u202f", " ").rstrip("%").strip()


# -------------------- lines


class _Lines:
    """The lines of a list as they are read, with every problem they have."""

    def __init__(self, file: str, columns: ListColumns, decimal: str) -> None:
        self.file, self.columns, self.decimal = file, columns, decimal
        self.problems: list[ScheduleProblem] = []
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.repeated = 0
        self.no: set[str] = set()
        self.signs: set[bool] = set()

    def doubts(self) -> Iterator[str]:
        """What the lines together give to doubt."""
        if len(self.signs) > 1:
            column = self.columns.haircut or self.columns.valuation
            yield f"{column} has a % on some lines and none on others: are all in percent?"

    def listing(self) -> tuple[dict[str, Any], ...]:
        """The lines sorted by asset, numbered as they are written; raises what was found wrong."""
        if not self.rows and not self.problems:
            self.add("", "", "the list has no lines", "List at least one asset")
        if self.problems:
            raise ScheduleError(self.problems)
        rows = [self.rows[key] for key in sorted(self.rows)]
        return tuple({**row, "line": line} for line, row in enumerate(rows, 2))

    def add(self, where: str, value: str, message: str, remedy: str) -> None:
        self.problems.append(ScheduleProblem(self.file, where, value, message, remedy))

    def read(self, line_read: Row, header: Sequence[str]) -> None:
        """One line, or what is wrong with it."""
        number, cells = line_read
        where, before = f"line {number}", len(self.problems)
        if len(cells) > len(header) and any(cells[len(header) :]):
            message = f"has {len(cells)} cells under {len(header)} columns"
            self.add(where, "", message, "Quote a cell that has a delimiter in it")
        row = dict(zip(header, cells, strict=False))
        isin, asset_id = self._asset(row, where)
        eligible = self._eligible(row)
        haircut = self._haircut(row, where, eligible)
        caps = {name: self._cap(row, where, name) for name in ("max_quantity", "max_value")}
        if len(self.problems) > before:
            return
        line = {"asset_id": asset_id, "isin": isin, "eligible": eligible, "haircut": haircut, **caps}
        key = (isin or "", asset_id or "")
        known = self.rows.setdefault(key, {**line, "line": number})
        if known["line"] == number:
            return
        self.repeated += 1
        unlike = [name for name in line if known[name] != line[name]]
        if unlike:
            asset = isin or asset_id or ""
            said = " and ".join(f"{name} {_said(known[name])} and {_said(line[name])}" for name in unlike)
            message = f"{asset} stands on line {known['line']} already, with another value: {said}"
            self.add(where, asset, message, "Keep one of the two lines")

    def _asset(self, row: Mapping[str, str], where: str) -> tuple[str | None, str | None]:
        columns = self.columns
        isin = row.get(columns.isin or "", "").replace(" ", "").upper() if columns.isin else ""
        cusip = row.get(columns.cusip or "", "").replace(" ", "").upper() if columns.cusip else ""
        asset_id = row.get(columns.asset_id or "", "") if columns.asset_id else ""
        if isin:
            wrong = isin_problem(isin)
            if wrong:
                self.add(where, isin, wrong, "Correct it, or take the line out")
        elif cusip:
            wrong = cusip_problem(cusip)
            if wrong:
                self.add(where, cusip, wrong, "Give its ISIN, or take the line out")
            isin = "" if wrong else us_isin(cusip)
        elif not asset_id:
            self.add(where, "", "names no asset", "Fill its identifier, or take the line out")
        # A book finds a line by its asset_id alone where there is one.
        return (None, asset_id) if asset_id else (isin or None, None)

    def _eligible(self, row: Mapping[str, str]) -> bool:
        if self.columns.eligible is None:
            return True
        column, yes = self.columns.eligible
        cell = row.get(column, "")
        if cell.lower() in {one.lower() for one in yes}:
            return True
        self.no.add(cell)
        return False

    def _haircut(self, row: Mapping[str, str], where: str, eligible: bool) -> Fraction | None:
        column = self.columns.haircut or self.columns.valuation or ""
        cell = row.get(column, "")
        if not eligible:
            return None
        if not cell:
            self.add(where, "", f"{column} is empty, and an eligible asset needs it", "Fill it, or take the line out")
            return None
        if cell.endswith("%") and not self.columns.percent:
            self.add(where, cell, f"{column} is {cell}, but figures are not said to be percent", SAY_PERCENT)
            return None
        figure = self._figure(cell, column, where, "2" if self.columns.percent else f"0{self.decimal}02")
        if figure is None:
            return None
        self.signs.add(cell.endswith("%"))
        share = figure / 100 if self.columns.percent else figure
        haircut = share if self.columns.haircut else 1 - share
        if not 0 <= haircut < 1:
            sane = "from 0 to below" if self.columns.haircut else "above 0 to at most"
            most = "100" if self.columns.percent else "1"
            remedy = "Correct it"
            if not self.columns.percent and figure > 1:
                remedy = SAY_PERCENT
            elif haircut == 1:
                remedy = (
                    "What has no value is not eligible: take the line out, or name the cells that mean yes (--eligible)"
                )
            self.add(where, cell, f"{column} is {cell} (must be {sane} {most})", remedy)
            return None
        return haircut

    def _cap(self, row: Mapping[str, str], where: str, name: str) -> Fraction | None:
        column = getattr(self.columns, name)
        cell = row.get(column, "") if column else ""
        figure = self._figure(cell, column, where, "1000000") if cell else None
        if figure is not None and figure < 0:
            self.add(where, cell, f"{column} is {cell} (must be at least 0)", "Write nothing where there is no cap")
        return figure

    def _figure(self, cell: str, column: str, where: str, example: str) -> Fraction | None:
        bare = _bare(cell)
        if not bare or not any(c.isdigit() for c in bare) or not _FIGURE[self.decimal].match(bare):
            self.add(where, cell, f"{column} is {cell}, which is not a number", f"Write a number such as {example}")
            return None
        return Fraction("".join(c for c in bare if c.isdigit() or c in f"+-{self.decimal}").replace(",", "."))


def _said(value: object) -> str:
    if isinstance(value, Fraction):
        return number_text(value)
    return "empty" if value is None else str(value).lower()


# -------------------- identifiers


def _values(text: str) -> Iterator[int]:
    """The digits of a code, a letter counting from 10."""
    for character in text:
        yield int(character) if character.isdigit() else ord(character) - ord("A") + 10


def isin_check_digit(head: str) -> int:
    """The check digit of the eleven characters before it (ISO 6166: Luhn over letters written as numbers).

    >>> isin_check_digit("US037833100")
    5
    """
    digits = [int(digit) for value in _values(head) for digit in str(value)]
    doubled = [2 * digit if place % 2 == 0 else digit for place, digit in enumerate(reversed(digits))]
    return -sum(digit // 10 + digit % 10 for digit in doubled) % 10


def isin_problem(isin: str) -> str:
    """What is wrong with an ISIN, or nothing."""
    if not _ISIN.match(isin):
        return f"{isin} is not an ISIN"
    digit = isin_check_digit(isin[:-1])
    return "" if digit == int(isin[-1]) else f"{isin} is not an ISIN: its check digit would be {digit}"


def cusip_problem(cusip: str) -> str:
    """What is wrong with a CUSIP as that of a US security, or nothing."""
    if not _CUSIP.match(cusip):
        return f"{cusip} is not a CUSIP of nine characters"
    if cusip[0].isalpha():
        return f"{cusip} is a CINS, of a security from outside the United States and Canada"
    total = 0
    for place, value in enumerate(_values(cusip[:8])):
        value *= 1 + place % 2
        total += value // 10 + value % 10
    digit = -total % 10
    return "" if digit == int(cusip[8]) else f"{cusip} is not a CUSIP: its check digit would be {digit}"


def us_isin(cusip: str) -> str:
    """The ISIN of a US security from its CUSIP (a Canadian one begins with CA, which a CUSIP does not say).

    >>> us_isin("037833100")
    'US0378331005'
    """
    return f"US{cusip}{isin_check_digit('US' + cusip)}"
