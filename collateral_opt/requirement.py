"""A table of exposures and terms to margin calls: ``collateral-opt requirement``.

The arithmetic of one leg is :mod:`.credit_support`, whose names are here too. This module reads the table,
judges it, runs the arithmetic for every row and says what came of it. ``docs/requirement.md`` lists the
columns and the findings.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from .credit_support import (
    DECIMALS,
    INFINITE,
    LARGEST,
    ZERO,
    CollateralTerms,
    Direction,
    Exposure,
    InDefault,
    MarginCall,
    Party,
    Rounding,
    Step,
    ZeroInDefault,
    decimals,
    margin_call,
    margin_call_each_way,
    money,
)
from .errors import BookError, Finding
from .terminal import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CODES",
    "INFINITE",
    "CollateralTerms",
    "Exposure",
    "MarginCall",
    "Rounding",
    "Step",
    "calls_on_us",
    "calls_text",
    "margin_call",
    "margin_call_each_way",
    "margin_calls",
    "read_exposures",
    "write_calls",
]

# ------------------------------------------------------------------------------------------------------- findings

CODES: Mapping[str, tuple[str, str]] = {
    "R101": ("the cell is empty, and {column} is required.", "Fill it in; an empty cell means unknown, never zero."),
    "R102": (
        "{value} is not a number.",
        "Write digits with a dot for decimals: no thousands separators, no currency, no percent sign.",
    ),
    "R103": ("{value} is not {bound}.", "Correct it."),
    "R104": ("{value} is not one of {choices}.", "Write one of these words, in small letters."),
    "R105": ("{value} is not a currency code.", "Write three capital letters, as in EUR."),
    "R106": (
        "{value} is the call of row {first} already.",
        "Give each row a call_id of its own, or remove the one that is there twice.",
    ),
    "R107": (
        "{party} in default (in_default), but the cell does not say what is zero then.",
        "Write what the agreement says of that party: none, minimum_transfer, threshold or both.",
    ),
    "R108": (
        "{value} is a number, not text; leading zeros may be lost.",
        "Read or format the column as text (pandas: dtype=str).",
    ),
    "R109": (
        "the cell is empty, but initial margin is not netted: each party's is a figure of its own.",
        "Write the margin that we must post (0 if none) here, and what they must post in exposure.",
    ),
    "R110": (
        "{value} stands here, but this row is not of initial margin: their exposure is ours with the sign changed.",
        "Leave the cell empty, or write im in margin_type.",
    ),
    "R111": (
        "{value} is pending, which leaves what is held below zero.",
        "Correct it or {held}: more cannot come back than is there.",
    ),
    "R112": (
        "{value} stands here, but {unit} is empty: nothing would be rounded.",
        "Fill in {unit}, or leave both cells empty.",
    ),
    "R113": (
        "{value} stands here, but an independent amount is no part of an initial margin requirement.",
        "Leave the cell empty; where the annex takes the greater of the two, write that in the exposure.",
    ),
    "R201": ("the file cannot be read: {reason}.", "Check the path and who may read it."),
    "R202": (
        "this is not a comma-separated table in UTF-8: {reason}.",
        "Save it as CSV, UTF-8, with commas and a header row.",
    ),
    "R203": ("the column {column} is missing.", "{hint}Add it."),
    "R204": ("the column {column} is there {count} times.", "Keep one of them."),
    "R205": ("the row has {count} cells, the header {width}.", "Put cells that contain commas in double quotes."),
    "R206": ("there is no row below the header.", "Add a row for each agreement."),
    "R207": (
        "the column {column} is not known, and would be left out of the arithmetic.",
        "{hint}Give it a known name, or one that does not look like a term of the agreement.",
    ),
}
"""Cause and remedy of every finding about the table; all of them are errors."""

_TABLE = "exposures"


def _finding(code: str, row: int | None, column: str | None, value: object = None, **details: object) -> Finding:
    cause, remedy = CODES[code]
    shown = None if value is None else printable(value)[:80]
    fields = {"hint": "", **details, "column": column, "value": shown}
    return Finding(code, "error", _TABLE, row, column, shown, cause.format(**fields), remedy.format(**fields))


# ------------------------------------------------------------------------------------------------------ the table

REQUIRED = ("agreement_id", "currency", "exposure", "held_by_us", "held_by_them")
PASSED_ON = ("due", "schedule", "priority")
"""Columns of a book's calls that go through as they are; ``check`` judges them there."""
OPTIONAL = (
    "call_id", "margin_type", "exposure_them", "pending_to_us", "pending_to_them",
    "threshold_us", "threshold_them", "independent_us", "independent_them",
    "minimum_transfer_us", "minimum_transfer_them",
    "delivery_rounding", "delivery_unit", "return_rounding", "return_unit",
    "in_default", "zero_in_default_us", "zero_in_default_them", *PASSED_ON,
)  # fmt: skip
CALL_COLUMNS = ("call_id", "agreement_id", "amount", "currency", "due", "margin_type", "schedule", "priority")
COLUMNS = (*CALL_COLUMNS, "party", "action", "credit_support_amount", "held", "difference", "note", "arithmetic")

_TERM = re.compile(r"(threshold|independent|ia|minimum|mta|rounding|held|pending|zero)(?![a-z])", re.I)
_CURRENCY = re.compile(r"[A-Z]{3}")


def margin_calls(exposures: pd.DataFrame) -> pd.DataFrame:
    """The calls of every row of a table of exposures and terms (its columns: ``docs/requirement.md``).

    One row each for what moves; what does not, with the reason in ``note``; and one for a row whose legs are
    both square. ``party`` moves the collateral (or would). Amounts are Decimals. The rows in which we deliver,
    :func:`calls_on_us`, are a book's ``calls``. Raises BookError with every finding in the table together.
    """
    import pandas as pd

    rows = [row for passed, legs in _legs(exposures) for row in _table_rows(passed, legs)]
    return pd.DataFrame({c: pd.Series([row[c] for row in rows], dtype=object) for c in COLUMNS})


def calls_on_us(calls: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`margin_calls` in which we deliver, as a book's table ``calls``."""
    ours = calls[(calls["party"] == "us") & (calls["action"] == "delivery")]
    used = [c for c in CALL_COLUMNS if c in CALL_COLUMNS[:4] or ours[c].notna().any()]
    return ours[used].reset_index(drop=True)


def _table_rows(passed: Mapping[str, object], legs: Mapping[Party, MarginCall]) -> Iterator[dict[str, object]]:
    told = {party: leg for party, leg in legs.items() if leg.difference}
    for pledgor, leg in (told or {"us": legs["us"]}).items():
        other: Party = "them" if pledgor == "us" else "us"
        yield {
            **passed,
            "amount": leg.amount,
            "currency": leg.currency,
            "party": pledgor if leg.difference > 0 else other if leg.difference < 0 else None,
            "action": leg.action,
            "credit_support_amount": leg.credit_support_amount,
            "held": leg.held,
            "difference": leg.difference,
            "note": leg.note if told else "what is held is what is required, on both sides",
            "arithmetic": "\n".join(map(str, leg.steps)),
        }


def _legs(exposures: pd.DataFrame) -> list[tuple[dict[str, object], dict[Party, MarginCall]]]:
    return [(passed, margin_call_each_way(us, them, exposure)) for passed, us, them, exposure in terms_of(exposures)]


Row = tuple[dict[str, object], CollateralTerms, CollateralTerms, Exposure]
"""What a row passes on to the calls, our terms, theirs, and where the two stand."""


def terms_of(exposures: pd.DataFrame) -> list[Row]:
    """The terms and the exposure of each row. Raises BookError with every finding in the table together."""
    sheet = _Sheet(exposures)
    read = [_row(sheet, i) for i in range(len(exposures))]
    if sheet.found:
        raise BookError(sheet.found)
    return read


def _row(sheet: _Sheet, i: int) -> Row:
    """The terms and the exposure of one row. What is wrong is added to the sheet, and read as zero or nothing."""
    passed = {column: sheet.cell(column, i) for column in PASSED_ON}
    passed |= {"agreement_id": sheet.text("agreement_id", i), "call_id": sheet.call_id(i)}
    passed["margin_type"] = margin_type = sheet.word("margin_type", i, ("im", "vm"))
    initial, currency = margin_type == "im", sheet.currency(i)
    exposure = Exposure(
        sheet.amount("exposure", i, signed=not initial),
        **_held(sheet, i),
        of_them=_of_them(sheet, i, initial),
        in_default=sheet.word("in_default", i, get_args(InDefault)) or "none",
    )
    delivery, returns = _rounding(sheet, i, "delivery", "up"), _rounding(sheet, i, "return", "down")

    def terms(party: Party) -> CollateralTerms:
        zero = f"zero_in_default_{party}"
        if exposure.in_default in (party, "both") and sheet.cell(zero, i) is None:
            sheet.find("R107", i, zero, party="we are" if party == "us" else "they are")
        independent = sheet.amount(f"independent_{party}", i)
        if initial and independent:
            sheet.find("R113", i, f"independent_{party}", sheet.cell(f"independent_{party}", i))
        return CollateralTerms(
            currency,
            sheet.amount(f"threshold_{party}", i, infinite=True),
            independent,
            sheet.amount(f"minimum_transfer_{party}", i),
            delivery,
            returns,
            sheet.word(zero, i, get_args(ZeroInDefault)),
        )

    return passed, terms("us"), terms("them"), exposure


def _held(sheet: _Sheet, i: int) -> dict[str, Decimal]:
    amounts: dict[str, Decimal] = {}
    for party in get_args(Party):
        held, pending = f"held_by_{party}", f"pending_to_{party}"
        amounts |= {held: sheet.amount(held, i), pending: sheet.amount(pending, i, signed=True)}
        if amounts[held] + amounts[pending] < 0:
            sheet.find("R111", i, pending, sheet.cell(pending, i), held=held)
    return amounts


def _of_them(sheet: _Sheet, i: int, initial: bool) -> Decimal | None:
    """Initial margin has two figures and neither is netted; any other exposure is one figure, seen from two sides."""
    given = sheet.cell("exposure_them", i)
    if initial and given is None:
        sheet.find("R109", i, "exposure_them")
    if not initial and given is not None:
        sheet.find("R110", i, "exposure_them", given)
    return sheet.amount("exposure_them", i) if initial else None


def _rounding(sheet: _Sheet, i: int, what: str, usual: Direction) -> Rounding:
    column, unit = f"{what}_rounding", f"{what}_unit"
    word: Direction | None = sheet.word(column, i, get_args(Direction))
    if word is not None and sheet.cell(unit, i) is None:
        sheet.find("R112", i, column, word, unit=unit)
    return Rounding(sheet.amount(unit, i, positive=True), word or usual)


class _Sheet:
    """The cells of a table, and what has been found wrong with them so far."""

    def __init__(self, frame: pd.DataFrame) -> None:
        from .book.cells import plain
        from .book.tables import FILE_ROW, nearest

        self.found: list[Finding] = []
        self._rows: Sequence[int] = frame.index.tolist() if frame.index.name == FILE_ROW else range(2, len(frame) + 2)
        self._ids: dict[str, int] = {}
        labels = [str(label).strip() for label in frame.columns]
        self._columns = {label: plain(frame.iloc[:, labels.index(label)]) for label in (*REQUIRED, *OPTIONAL)
                         if label in labels}  # fmt: skip
        absent = [c for c in (*REQUIRED, *OPTIONAL) if c not in labels]
        unknown = [label for label in dict.fromkeys(labels) if label and label not in (*REQUIRED, *OPTIONAL)]
        for column in self._columns:
            if labels.count(column) > 1:
                self._add("R204", None, column, count=labels.count(column))
        missed = {}
        for column in (c for c in absent if c in REQUIRED):
            guess = nearest(column, unknown)
            missed[guess] = column
            self._add("R203", None, column, hint=f"Is it the one called {guess}? " if guess else "")
        for label in (u for u in unknown if u not in missed):
            guess = nearest(label, absent)
            # only all but equal names: `exposure_date` may be the desk's own
            alike = guess is not None and difflib.SequenceMatcher(None, label.casefold(), guess).ratio() >= 0.85
            if alike or _TERM.match(label):
                self._add("R207", None, label, hint=f"Did you mean {guess}? " if guess else "")

    def _add(self, code: str, row: int | None, column: str | None, value: object = None, **details: object) -> None:
        self.found.append(_finding(code, row, column, value, **details))

    def find(self, code: str, i: int, column: str, value: object = None, **details: object) -> None:
        self._add(code, self._rows[i], column, value, **details)

    def cell(self, column: str, i: int) -> object:
        return self._columns[column][i] if column in self._columns else None

    def _needed(self, column: str, i: int) -> object:
        """The cell, with a finding where it is empty though required (a column that is missing is one already)."""
        value = self.cell(column, i)
        if value is None and column in REQUIRED and column in self._columns:
            self.find("R101", i, column)
        return value

    def text(self, column: str, i: int) -> str | None:
        value = self._needed(column, i)
        if value is not None and not isinstance(value, str):
            self.find("R108", i, column, value)
            return None
        return value

    def call_id(self, i: int) -> str | None:
        """The row's own name, or else its agreement's: either way no two rows have the same."""
        given = self.text("call_id", i)
        column, value = ("agreement_id", self.cell("agreement_id", i)) if given is None else ("call_id", given)
        if not isinstance(value, str):
            return None
        first = self._ids.setdefault(value, i)
        if first != i:
            self.find("R106", i, column, value, first=self._rows[first])
        return value

    def word(self, column: str, i: int, choices: tuple[Any, ...]) -> Any:
        value = self.cell(column, i)
        if value is not None and value not in choices:
            self.find("R104", i, column, value, choices=", ".join(choices))
            return None
        return value

    def currency(self, i: int) -> str:
        value = self._needed("currency", i)
        if value is not None and not (isinstance(value, str) and _CURRENCY.fullmatch(value)):
            self.find("R105", i, "currency", value)
        return str(value)

    def amount(
        self, column: str, i: int, *, signed: bool = False, positive: bool = False, infinite: bool = False
    ) -> Decimal:
        value = self._needed(column, i)
        if value is None:
            return ZERO
        number = _number(value)
        if number is None or number.is_nan():
            self.find("R102", i, column, value)
            return ZERO
        if infinite and number == INFINITE:
            return number
        bound = ""
        if not number.is_finite() or abs(number) >= LARGEST or decimals(number) > DECIMALS:
            bound = f"an amount below 10^18 with at most {DECIMALS} decimals" + (" (or infinity)" if infinite else "")
        elif positive and number <= 0:
            bound = "above zero"
        elif number < 0 and not signed:
            bound = "zero or more"
        if bound:
            self.find("R103", i, column, value, bound=bound)
        return ZERO if bound else number


def _number(value: object) -> Decimal | None:
    """The decimal that was written; of a float the shortest that reads as that float."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        return value
    if isinstance(value, Integral):
        return Decimal(int(value))
    if isinstance(value, Real):
        return Decimal(repr(float(value)))
    # Decimal also reads 1_000 and digits of other scripts: both are more likely slips than meant
    if not isinstance(value, str) or "_" in value or not value.isascii():
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


# ------------------------------------------------------------------------------------------------ files and words


def read_exposures(path: str | Path) -> pd.DataFrame:
    """The table in this CSV file, its cells as text. Raises BookError for what is no such table."""
    import pandas as pd

    from .book.tables import FILE_ROW

    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BookError([_finding("R201", None, None, reason=(error.strerror or str(error)).lower())]) from None
    except UnicodeDecodeError as error:
        raise BookError([_finding("R202", None, None, reason=f"byte {error.start + 1} is not UTF-8")]) from None
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise BookError([_finding("R202", None, None, reason=str(error))]) from None
    if not records or "\0" in text:
        raise BookError([_finding("R202", None, None, reason="there is no text in it")])
    header = [label.strip() for label in records[0]]
    if len(header) == 1:
        raise BookError([_finding("R202", None, None, reason="its header is a single cell")])
    filled = {number: record for number, record in enumerate(records[1:], start=2) if any(c.strip() for c in record)}
    found = [
        _finding("R205", number, None, count=len(record), width=len(header))
        for number, record in filled.items()
        if any(cell.strip() for cell in record[len(header) :])
    ]
    if not filled:
        found.append(_finding("R206", None, None))
    cells = [(record + [""] * len(header))[: len(header)] for record in filled.values()]
    frame = pd.DataFrame(cells, columns=header, index=pd.Index(list(filled), name=FILE_ROW), dtype=object)
    if found:
        raise BookError([*found, *_found(frame)])
    return frame


def _found(frame: pd.DataFrame) -> tuple[Finding, ...]:
    try:
        _legs(frame)
    except BookError as error:
        return error.findings
    return ()


def write_calls(calls: pd.DataFrame, path: Path) -> int:
    """Write the calls on us as a book's ``calls.csv`` (all of it or nothing); how many there are."""
    ours = calls_on_us(calls)
    folder = path.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", suffix=".partial", dir=folder) as staging:
        staged = Path(staging) / path.name
        with staged.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(ours.columns)
            for row in ours.itertuples(index=False):
                writer.writerow([format(v, "f") if isinstance(v, Decimal) else "" if v is None else v for v in row])
        staged.replace(folder / path.name)
    return len(ours)


def calls_text(calls: pd.DataFrame, *, steps: bool = False) -> str:
    """What moves and what does not, a line each; with ``steps`` the arithmetic below it."""
    words = {
        ("us", "delivery"): "we deliver",
        ("us", "return"): "we return",
        ("them", "delivery"): "they deliver",
        ("them", "return"): "they return",
    }
    width = max((len(printable(c)) for c in calls["call_id"]), default=0)
    lines: list[str] = []
    for row in calls.to_dict("records"):
        moves = words.get((row["party"], row["action"]), "nothing moves")
        what = f"{money(row['amount'])} {row['currency']}" if row["amount"] else ""
        lines.append(f"{printable(row['call_id']):<{width}}  {moves:<13}  {what:>20}  {row['note']}".rstrip())
        if steps:
            lines += [f"    {line}" for line in row["arithmetic"].splitlines()]
    return "\n".join(lines)
