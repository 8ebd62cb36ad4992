"""Reads a book from a folder of CSV or Parquet tables, or from one .xlsx workbook.

Cells come in as they are written: CSV as text throughout, a workbook with the types Excel gave its cells.
What they mean is decided by :mod:`collateral_opt.book`. Whatever is wrong with a file becomes a finding;
only a path that is no book at all ends the reading at once.

A workbook has the tables as sheets, the settings as a sheet `settings` with the columns `key` and `value`,
and list schedules as sheets called `schedule NAME`. Schedules with rules lie in a folder `schedules` beside
the workbook; `house_limits.yaml` lies beside it, too.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from eligibility_rules import Schedule, ScheduleError, ScheduleProblem, load_schedule

from ..book import Book
from ..book.cells import Kind, as_text, digits
from ..book.codes import finding
from ..book.schedules import SUFFIXES, problems, table_name
from ..book.settings import Settings
from ..book.tables import FILE_ROW, ROW_MODELS, kind, nearest
from ..errors import BookError, Finding

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

HOUSE_LIMITS = "house_limits.yaml"
_TABLE_SUFFIXES = (".csv", ".parquet")
_MISTAKABLE = {
    *_TABLE_SUFFIXES,
    ".yaml",
    ".yml",
    ".txt",
    ".tsv",
    ".xlsx",
    ".xls",
    ".gz",
    ".zip",
    ".pq",
    ".parq",
    ".json",
}


@dataclass
class _Parts:
    """What has been read of a book so far; every reader below adds to it."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    settings: dict[str, object] | None = None
    schedules: dict[str, Schedule] = field(default_factory=dict)
    failed_schedules: set[str] = field(default_factory=set)
    house_limits: object = None
    found: list[Finding] = field(default_factory=list)


def read_book(path: str | Path) -> Book:
    """The book in this folder or workbook. Raises BookError with every finding in all its files together."""
    source = Path(path)
    parts = _Parts()
    try:
        is_folder, is_there = source.is_dir(), source.exists()
    except OSError as error:
        raise BookError([_unreadable(str(source), error)]) from None
    if is_folder:
        _read_folder(source, parts)
    elif not is_there:
        raise BookError([finding("E201", str(source), reason="there is no such file or folder")])
    elif source.suffix.lower() == ".xlsx":
        _read_workbook(source, parts)
    else:
        raise BookError([finding("E202", str(source), value=source.name)])
    return Book.from_tables(
        parts.tables,
        settings=parts.settings,
        schedules=parts.schedules,
        house_limits=parts.house_limits,
        found=parts.found,
        failed_schedules=parts.failed_schedules,
    )


def _unreadable(table: str, error: OSError) -> Finding:
    return finding("E201", table, reason=(error.strerror or str(error)).lower())


def _bytes(path: Path, table: str, parts: _Parts) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        parts.found.append(_unreadable(table, error))
        return None


def _text(data: bytes, table: str, parts: _Parts) -> str | None:
    wrong = data.find(b"\0")  # valid UTF-8, but no text has it: UTF-16 without its mark does
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong < 0:
        return text
    line = data.count(b"\n", 0, wrong) + 1
    parts.found.append(finding("E207", table, reason=f"byte 0x{data[wrong]:02x} in line {line}"))
    return None


# ----------------------------------------------------------------------------------------------------- folder


def _read_folder(folder: Path, parts: _Parts) -> None:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "~")))
    except OSError as error:
        raise BookError([_unreadable(str(folder), error)]) from None
    sources: dict[str, list[Path]] = {}
    for entry in entries:
        suffix = entry.suffix.lower()
        if suffix in _TABLE_SUFFIXES and entry.stem in ROW_MODELS:
            sources.setdefault(entry.stem, []).append(entry)
        elif entry.name == "settings.yaml":
            parts.settings = _settings_file(entry, parts)
        elif entry.name == HOUSE_LIMITS:
            parts.house_limits = _house_limits_file(entry, parts)
        elif entry.name == "schedules" and entry.is_dir():
            _read_schedules(entry, parts)
        else:
            parts.found += _stray(entry)
    for name, paths in sources.items():
        if len(paths) > 1:
            parts.found.append(finding("E209", name, value=", ".join(p.name for p in paths)))
            continue
        (path,) = paths
        frame = _csv_table(path, name, parts) if path.suffix.lower() == ".csv" else _parquet_table(path, name, parts)
        if frame is not None:
            parts.tables[name] = frame


def _stray(entry: Path) -> Iterator[Finding]:
    """A file that is no table: a slip of the pen is worth a warning, a table nobody knows a note."""
    word, suffix = entry.name.split(".")[0], entry.suffix.lower()
    if entry.is_dir():
        if nearest(word, ["schedules"]):
            yield finding("W221", "schedules", value=entry.name, hint="Did you mean schedules? ")
        return
    if suffix not in _MISTAKABLE:
        return
    names = {name: f"{name}{suffix if suffix in _TABLE_SUFFIXES else '.csv'}" for name in ROW_MODELS}
    names |= {"settings": "settings.yaml", "house_limits": HOUSE_LIMITS}
    guess = nearest(word, names)
    if guess is not None:
        yield finding("W221", guess, value=entry.name, hint=f"Did you mean {names[guess]}? ")
    elif suffix in _TABLE_SUFFIXES:
        yield finding("N232", "book", value=entry.name)


def _csv_table(path: Path, name: str, parts: _Parts) -> pd.DataFrame | None:
    data = _bytes(path, name, parts)
    text = None if data is None else _text(data, name, parts)
    if text is None:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        parts.found.append(finding("E210", name, reason=f"{error}, line {reader.line_num}"))
        return None
    if not any(map(any, records)):
        parts.found.append(finding("E208", name))
        return None
    header = [label.strip() for label in records[0]]
    if len(header) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in header[0]:
                parts.found.append(finding("E212", name, value=word))
                return None
    width = len(header)
    kept: dict[int, Sequence[object]] = {}
    for number, record in enumerate(records[1:], start=2):
        if len(record) > width and any(cell.strip() for cell in record[width:]):
            # Its cells may have moved, so that none of them can be trusted.
            parts.found.append(finding("E206", name, row=number, count=len(record), width=width))
            continue
        kept[number] = record
    return _frame(header, kept, name, parts)


def _frame(header: Sequence[str], records: Mapping[int, Sequence[object]], name: str, parts: _Parts) -> pd.DataFrame:
    """The rows under their header, blank ones left out, each with the number it has in its file."""
    width = len(header)
    full: list[Sequence[object]] = []
    numbers: list[int] = []
    blank: list[int] = []
    for number, record in records.items():
        if any(cell is not None and (not isinstance(cell, str) or cell.strip()) for cell in record):
            full.append(record if len(record) == width else [*record, *[None] * (width - len(record))][:width])
            numbers.append(number)
        else:
            blank.append(number)
    inner = [number for number in blank if numbers and number < numbers[-1]]
    if inner:
        parts.found.append(finding("N231", name, row=inner[0], count=len(inner), first=inner[0]))
    columns = list(zip(*full, strict=True)) if full else [()] * width
    index = pd.Index(numbers, name=FILE_ROW, dtype="int64")
    frame = pd.DataFrame(
        {i: pd.Series(cells, index=index, dtype=object) for i, cells in enumerate(columns)}, index=index
    )
    return frame.set_axis(list(header), axis=1)


def _parquet_table(path: Path, name: str, parts: _Parts) -> pd.DataFrame | None:
    data = _bytes(path, name, parts)
    if data is None:
        return None
    if not data:
        parts.found.append(finding("E208", name))
        return None
    try:
        frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except ImportError:
        parts.found.append(finding("E213", name))
        return None
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        parts.found.append(finding("E210", name, reason=_first_line(error)))
        return None
    # pandas may have written a column as the index.
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _first_line(error: Exception) -> str:
    """The first line of what another library says, to stand inside a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _settings_file(path: Path, parts: _Parts) -> dict[str, object] | None:
    """The settings, or None with a finding. Scalars keep their text: a time has its offset."""
    data = _bytes(path, "settings", parts)
    text = None if data is None else _text(data, "settings", parts)
    if text is None:
        return None
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        reason = f"{getattr(error, 'problem', None) or str(error).splitlines()[0]}{place}"
        parts.found.append(finding("E702", "settings", reason=reason))
        return None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        word = "a list stands" if isinstance(root, yaml.SequenceNode) else "a single value stands"
        parts.found.append(finding("E705", "settings", value=word))
        return None
    settings: dict[str, object] = {}
    for key_node, value_node in root.value:
        key = str(key_node.value)
        if key in settings:
            parts.found.append(finding("E704", "settings", row=key_node.start_mark.line + 1, column=key))
            continue
        value: object = value_node.value
        if not isinstance(value_node, yaml.ScalarNode):
            value = [text[value_node.start_mark.index : value_node.end_mark.index].strip()]
        elif value_node.style is None and value in ("~", "null", "Null", "NULL"):
            value = None
        settings[key] = value
    return settings


def _house_limits_file(path: Path, parts: _Parts) -> object:
    """The house limits as their YAML has them, every scalar its text; None with a finding."""
    data = _bytes(path, "house_limits", parts)
    text = None if data is None else _text(data, "house_limits", parts)
    if text is None:
        return None
    try:
        twice = list(written_twice(yaml.compose(text, Loader=yaml.BaseLoader)))
        limits: object = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        parts.found.append(finding("E702", "house_limits", reason=f"{yaml_reason(error)}{place}"))
        return None
    if limits is None:
        parts.found.append(finding("E208", "house_limits"))
    for line, key in twice:
        cause, remedy = f"{key} stands twice in one mapping.", "Keep one of them."
        parts.found.append(finding("E501", "house_limits", row=line, column=key, cause=cause, remedy=remedy))
    return limits


def yaml_reason(error: Exception) -> str:
    return str(getattr(error, "problem", None) or _first_line(error))


def written_twice(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Line and key, wherever a mapping has a key for the second time: whichever one a parser keeps, one is lost."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from written_twice(part)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(str(key.value))
            yield from written_twice(value)


# -------------------------------------------------------------------------------------------------- schedules


def _read_schedules(folder: Path, parts: _Parts) -> None:
    try:
        paths = sorted(
            p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith((".", "~"))
        )
    except OSError as error:
        parts.found.append(_unreadable("schedules", error))
        return
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(path.stem, []).append(path)
    for name, same in by_name.items():
        if len(same) > 1 or name in parts.schedules or name in parts.failed_schedules:
            parts.found.append(finding("E503", table_name(name), value=", ".join(p.name for p in same)))
            parts.failed_schedules.add(name)
            continue
        _add_schedule(same[0], name, parts)


def _add_schedule(path: Path, name: str, parts: _Parts) -> None:
    schedule = _load(path, name, parts)
    if schedule is None:
        return
    if schedule.name != name:
        parts.found.append(finding("E506", table_name(name), column="name", value=schedule.name))
    parts.schedules[name] = schedule


def _load(path: Path, name: str, parts: _Parts) -> Schedule | None:
    try:
        return load_schedule(path)
    except ScheduleError as error:
        parts.found += problems(name, error)
    except OSError as error:
        parts.found.append(_unreadable(table_name(name), error))
    except (csv.Error, yaml.YAMLError) as error:
        message = f"not readable: {_first_line(error)}"
        problem = ScheduleProblem(path.name, "", "", message, "Write it again from its source")
        parts.found += problems(name, ScheduleError([problem]))
    parts.failed_schedules.add(name)
    return None


# --------------------------------------------------------------------------------------------------- workbook


def _read_workbook(path: Path, parts: _Parts) -> None:
    data = _bytes(path, path.name, parts)
    if data is None:
        raise BookError(parts.found)
    book = _open_workbook(data, path, parts)
    errors = _excel_errors(data)
    known = {"settings", *ROW_MODELS}
    seen: dict[str, str] = {}
    for sheet in book.sheet_names:
        name = sheet.strip()
        prefix, _, schedule = name.partition(" ")
        if name not in known and not (prefix == "schedule" and schedule):
            guess = nearest(name, sorted(known))
            if nearest(name, ["house_limits"]) is not None:
                # Limits that are silently off would be no limits.
                parts.found.append(finding("E215", "house_limits", value=sheet))
                continue
            code, table = ("N232", "book") if guess is None else ("W221", guess)
            parts.found.append(finding(code, table, value=sheet, hint=f"Did you mean {guess}? "))
            continue
        if name in seen:
            parts.found.append(finding("E209", name, value=f"{seen[name]!r}, {sheet!r}"))
            parts.tables.pop(name, None)
            continue
        seen[name] = sheet
        table = name if name in known else table_name(schedule)
        rows = _sheet_rows(book, sheet, table, parts)
        labels = [] if not rows else [as_text(c).strip() if c is not None else "" for c in rows[0]]
        for row, column in errors.get(sheet, ()):
            label = labels[column] if column < len(labels) else ""
            parts.found.append(finding("E115", table, row=row, column=label or None))
        if not rows:
            parts.found.append(finding("E208", table))
        elif name == "settings":
            parts.settings = _settings_sheet(rows, parts)
        elif name in ROW_MODELS:
            parts.tables[name] = _sheet_table(labels, rows, name, parts)
        else:
            _sheet_schedule(schedule.strip(), labels, rows, parts)
    folder = path.parent / "schedules"
    if folder.is_dir():
        _read_schedules(folder, parts)
    limits = path.parent / HOUSE_LIMITS
    if limits.is_file():
        parts.house_limits = _house_limits_file(limits, parts)


def _open_workbook(data: bytes, path: Path, parts: _Parts) -> CalamineWorkbook:
    from python_calamine import CalamineError, load_workbook

    try:
        return load_workbook(io.BytesIO(data))
    except (CalamineError, OSError, ValueError) as error:
        parts.found.append(finding("E210", path.name, reason=_first_line(error)))
        raise BookError(parts.found) from None


def _sheet_rows(book: CalamineWorkbook, sheet: str, table: str, parts: _Parts) -> list[list[object]]:
    """The sheet's cells, row 1 first, an empty one None, without the blank rows and columns at its end."""
    from python_calamine import CalamineError

    try:
        rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (CalamineError, OSError, ValueError) as error:
        parts.found.append(finding("E210", table, reason=_first_line(error)))
        return []
    cells: list[list[object]] = [[None if cell == "" else cell for cell in row] for row in rows]
    while cells and all(cell is None for cell in cells[-1]):
        cells.pop()
    width = max((i + 1 for row in cells for i, cell in enumerate(row) if cell is not None), default=0)
    return [row[:width] for row in cells]


def _sheet_table(labels: Sequence[str], rows: list[list[object]], name: str, parts: _Parts) -> pd.DataFrame:
    fields = ROW_MODELS[name].model_fields
    _take_digits(
        {x for x in labels if x.startswith("taxonomy_") or (x in fields and kind(fields[x]) is Kind.TEXT)},
        labels,
        rows,
        name,
        parts,
    )
    return _frame(labels, dict(enumerate(rows[1:], start=2)), name, parts)


def _take_digits(
    text_columns: Set[str], labels: Sequence[str], rows: list[list[object]], table: str, parts: _Parts
) -> None:
    """Turns whole numbers in text columns into their digits, with one warning a column."""
    for column, label in enumerate(labels):
        if label not in text_columns:
            continue
        taken: list[int] = []
        for number, row in enumerate(rows[1:], start=2):
            whole = digits(row[column])
            if whole is not None:
                row[column] = whole
                taken.append(number)
        if taken:
            first = rows[taken[0] - 1][column]
            parts.found.append(finding("W121", table, row=taken[0], column=label, value=first, count=len(taken)))


def _settings_sheet(rows: Iterable[Sequence[object]], parts: _Parts) -> dict[str, object]:
    settings: dict[str, object] = {}
    for number, row in enumerate(rows, start=1):
        key, value = ([*row, None, None])[:2]
        if key is None or (number == 1 and key == "key"):
            continue
        name = as_text(key).strip()
        if name in settings:
            parts.found.append(finding("E704", "settings", row=number, column=name))
            continue
        info = Settings.model_fields.get(name)
        if info is not None and kind(info) is Kind.TEXT:
            value = digits(value) or value
        settings[name] = value
    return settings


def _sheet_schedule(name: str, labels: Sequence[str], rows: list[list[object]], parts: _Parts) -> None:
    """A list schedule on a sheet, read as the CSV file it could have been."""
    _take_digits({"asset_id", "isin"}, labels, rows, table_name(name), parts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["" if c is None else as_text(c) for c in row] for row in rows])
        schedule = _load(path, name, parts)
    if schedule is not None:
        parts.schedules[name] = schedule.model_copy(update={"name": name})


_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
_CELL = re.compile(rb'<c\b([^>]*)\bt="e"([^>]*)>')
_REFERENCE = re.compile(rb'\br="([A-Z]+)(\d+)"')


def _excel_errors(data: bytes) -> dict[str, list[tuple[int, int]]]:
    """(row, column from 0) of cells with an Excel error (#N/A ...) by sheet: calamine reads them as empty."""
    import xml.etree.ElementTree as ElementTree

    found: dict[str, list[tuple[int, int]]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
            links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
            targets = {link.get("Id"): link.get("Target", "") for link in links}
            for sheet in book.iter("{http://schemas.openxmlformats.org/spreadsheetml/2006/main}sheet"):
                key = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
                target = (targets.get(sheet.get(key)) or "").lstrip("/")
                xml = archive.read(target if target.startswith("xl/") else f"xl/{target}")
                if b't="e"' not in xml:
                    continue
                for match in _CELL.finditer(xml):
                    place = _REFERENCE.search(match.group(1) + match.group(2))
                    if place:
                        column = 0
                        for letter in place.group(1):
                            column = column * 26 + letter - ord("A") + 1
                        found.setdefault(sheet.get("name", ""), []).append((int(place.group(2)), column - 1))
    except (*_ZIP_ERRORS, KeyError, ElementTree.ParseError):
        return {}  # calamine could read it: an unusual workbook is no reason to refuse it
    return found
