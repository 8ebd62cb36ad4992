"""The tables of a book: one row model each, and how a frame of any origin becomes a normalised one.

The row models are the tables' definition: names, kinds, bounds and defaults are BOOK.md's. They are strict
and see only cells that hold something (:mod:`.cells` has turned text into numbers, times and dates before),
so an empty cell is a missing field: an error where it is required, the default otherwise.

A normalised frame has every column of its model: text as object with None, numbers as float64 with NaN,
yes/no as bool, times as datetime64[ns, UTC], dates as datetime64[ns]. Columns the model does not name are
kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from math import nan
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ..errors import Finding
from . import cells
from .cells import Kind
from .codes import finding, shown

FILE_ROW = "file row"
"""Name of an index that holds a file's row numbers; any other index is ignored (the first row is row 2)."""

_FIRST = date(1678, 1, 1)
_FIRST_TIME, _LAST_TIME = datetime(1678, 1, 1, tzinfo=UTC), datetime(2261, 12, 31, tzinfo=UTC)

Identifier = Annotated[str, Kind.TEXT]
Text = Annotated[str | None, Kind.TEXT]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), Kind.TEXT]
MOST = 1e16
"""No figure of a book is larger: beyond, a float no longer tells cents apart."""
Number = Annotated[float, Field(ge=-MOST, le=MOST, allow_inf_nan=False), Kind.NUMBER]
NotNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False), Kind.NUMBER]
Positive = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False), Kind.NUMBER]
Count = Annotated[float, Field(ge=1, multiple_of=1, allow_inf_nan=False), Kind.NUMBER]
Boolean = Annotated[bool, Kind.BOOLEAN]
Time = Annotated[AwareDatetime | None, Field(ge=_FIRST_TIME, le=_LAST_TIME), Kind.TIME]
Date = Annotated[date | None, Field(ge=_FIRST), Kind.DATE]
Clock = Annotated[str | None, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$"), Kind.CLOCK]
AssetType = Annotated[Literal["cash", "debt", "equity", "fund", "commodity", "letter_of_credit", "other"], Kind.TEXT]
FacilityKind = Annotated[Literal["repo", "credit_line", "redemption", "fx", "upgrade", "sale"], Kind.TEXT]
MarginType = Annotated[Literal["im", "vm"] | None, Kind.TEXT]
Nets = Annotated[Literal["margin_type", "all", "none"] | None, Kind.TEXT]
Party = Annotated[Literal["us", "them"], Kind.TEXT]
InstructionState = Annotated[Literal["instructed", "settled", "failed", "rejected", "disputed"], Kind.TEXT]


class Row(BaseModel):
    """One row of a table."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class FxRow(Row):
    """``rate``: value of one unit of the currency in the book's base currency."""

    currency: Currency
    rate: Positive


class AssetRow(Row):
    """One security or currency; one unit is worth ``price`` times ``price_factor`` in its currency."""

    asset_id: Identifier
    asset_type: AssetType
    currency: Currency
    price: Positive = nan  # 1 for cash
    price_factor: Positive = 1.0
    lot_size: Positive = nan  # units; empty: cash to its minor unit, securities to 1
    min_denomination: Positive = nan  # units
    isin: Text = None
    name: Text = None
    issuer: Text = None
    issuer_parent: Text = None
    issuer_type: Text = None
    issuer_country: Text = None
    asset_country: Text = None
    sector: Text = None
    issue_date: Date = None
    maturity_date: Date = None
    rating_sp: Text = None
    rating_moodys: Text = None
    rating_fitch: Text = None
    rating_dbrs: Text = None
    issuer_rating_sp: Text = None
    issuer_rating_moodys: Text = None
    issuer_rating_fitch: Text = None
    issuer_rating_dbrs: Text = None
    sovereign_rating_sp: Text = None
    sovereign_rating_moodys: Text = None
    sovereign_rating_fitch: Text = None
    sovereign_rating_dbrs: Text = None
    seniority: Text = None
    interest: Text = None
    principal: Text = None
    secured_type: Text = None
    security_type: Text = None
    hqla_level: Text = None
    outstanding: NotNegative = nan  # units
    market_cap: NotNegative = nan  # the asset's currency
    adv: NotNegative = nan  # units
    duration: Number = nan  # years
    exchange: Text = None
    index: Text = None


class HoldingRow(Row):
    """What the firm can use; ``quantity`` in currency units, face amount or shares, ``cost_bps`` a year."""

    holding_id: Identifier
    asset_id: Identifier
    quantity: NotNegative
    cost_bps: Number = 0.0
    location: Text = None
    ready_at: Time = None
    settle_hours: NotNegative = 0.0
    owner: Text = None


class AgreementRow(Row):
    """A counterparty's agreement; values in its ``base_currency`` (empty: the book's).

    ``nets``: what a stress nets of its positions' margin: each margin type by itself (so too where it is empty), all of
    it together, or nothing.
    """

    agreement_id: Identifier
    counterparty: Identifier
    schedule: Identifier
    base_currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$"), Kind.TEXT] = None
    counterparty_parent: Text = None
    cash_return_bps: Number = 0.0
    min_line_value: NotNegative = 0.0
    max_lines: Count = nan
    minimum_transfer: NotNegative = 0.0
    requirement: NotNegative = nan
    location: Text = None
    nets: Nets = None


class CallRow(Row):
    """Collateral asked for: ``amount`` is collateral value in ``currency``."""

    call_id: Identifier
    agreement_id: Identifier
    amount: Positive
    currency: Currency
    due: Time = None
    margin_type: MarginType = None
    schedule: Text = None
    priority: Number = nan


class CashReturnRow(Row):
    """What cash of a currency earns at an agreement, basis points a year."""

    agreement_id: Identifier
    currency: Currency
    bps: Number


class PostedRow(Row):
    """Collateral already at a counterparty."""

    agreement_id: Identifier
    asset_id: Identifier
    quantity: NotNegative
    holding_id: Text = None
    locked: Boolean = False
    cost_bps: Number = nan  # empty: what letting go of it costs otherwise
    recall_hours: NotNegative = 0.0


class LocationRow(Row):
    """A place where collateral lies; ``cut_off`` in local time, ``move_cost`` in base currency a movement."""

    location: Identifier
    timezone: Text = None
    calendar: Text = None
    cut_off: Clock = None
    move_cost: NotNegative = 0.0


class FacilityRow(Row):
    """Turns what ``takes`` (a schedule) accepts into the asset ``gives``; ``capacity`` in its currency."""

    facility_id: Identifier
    kind: FacilityKind
    gives: Identifier
    takes: Text = None
    capacity: NotNegative
    cost_bps: Number = 0.0
    one_off_bps: Number = 0.0
    counterparty: Text = None
    access_hours: NotNegative = 0.0


class ReserveRow(Row):
    """What must stay at home: value after haircut by ``schedule`` of at least ``amount``."""

    reserve_id: Identifier
    schedule: Identifier
    amount: NotNegative
    currency: Currency


class CostRow(Row):
    """Replaces a holding's ``cost_bps`` for one pair: (holding or asset) by (agreement or facility)."""

    holding_id: Text = None
    asset_id: Text = None
    agreement_id: Text = None
    facility_id: Text = None
    cost_bps: Number


class PinRow(Row):
    """What is decided for a call and a holding, or a facility's proceeds; no quantity at all: at least one lot.

    ``sent``: part of it has left already; that part is in ``at_least``, and stays where it went.
    """

    call_id: Identifier
    holding_id: Text = None
    facility_id: Text = None
    quantity: Positive = nan  # exactly this much
    at_least: Positive = nan
    forbid: Boolean = False
    sent: Boolean = False


class ReceivedRow(Row):
    """Collateral that others have posted here: a source where it may be re-used, and owed back in part.

    ``return_quantity`` of it is owed back by ``return_by``.
    """

    received_id: Identifier
    agreement_id: Identifier
    asset_id: Identifier
    quantity: NotNegative
    reuse: Boolean = False
    segregated: Boolean = False
    return_quantity: NotNegative = 0.0
    return_by: Time = None
    cost_bps: Number = 0.0
    settle_hours: NotNegative = 0.0
    ready_at: Time = None
    location: Text = None


class InstructionRow(Row):
    """What was sent earlier on the same day, to a call from a holding or from a facility, and how it fares."""

    call_id: Identifier
    holding_id: Text = None
    facility_id: Text = None
    asset_id: Text = None
    quantity: Positive
    state: InstructionState
    at: Time = None


class PositionRow(Row):
    """What the firm holds for its own sake, and where margin is called on it.

    Values in ``currency``; worth ``market_value``, or quantity times price times factor; short is negative. Without an
    agreement nothing is called on it. ``beta`` multiplies the shocks of its class. For its sale under impact: ``adv``
    in units a day, ``daily_volatility`` a fraction, ``turnover`` the units outstanding over ``adv``.
    """

    position_id: Identifier
    agreement_id: Text = None
    instrument: Identifier
    asset_type: Text = None
    sector: Text = None
    issuer_type: Text = None
    issuer_country: Text = None
    security_type: Text = None
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$"), Kind.TEXT] = None
    quantity: Number = nan
    price: Number = nan
    price_factor: Positive = 1.0
    market_value: Number = nan
    initial_margin: NotNegative = nan
    unrealised_pnl: Number = nan
    illiquid: Boolean = False
    beta: Number = 1.0
    adv: Positive = nan
    daily_volatility: NotNegative = nan
    turnover: Positive = 1.0
    spread_bps: NotNegative = 0.0


class SensitivityRow(Row):
    """What a position gains per 1.0 that a factor moves (``delta``), and per 1.0 squared (``gamma``; half of it)."""

    position_id: Identifier
    factor: Identifier
    delta: Number
    gamma: Number = 0.0


class ThresholdRow(Row):
    """A party's threshold and minimum transfer amount while it is rated ``rating`` or better.

    An empty ``rating`` is the row of every rating below the others, and of none. An empty ``minimum_transfer``: as in
    the exposures.
    """

    agreement_id: Identifier
    party: Party
    rating: Text = None
    threshold: NotNegative
    minimum_transfer: NotNegative = nan


ROW_MODELS: Mapping[str, type[Row]] = {
    "fx": FxRow,
    "assets": AssetRow,
    "holdings": HoldingRow,
    "agreements": AgreementRow,
    "calls": CallRow,
    "cash_returns": CashReturnRow,
    "posted": PostedRow,
    "locations": LocationRow,
    "facilities": FacilityRow,
    "reserves": ReserveRow,
    "costs": CostRow,
    "pins": PinRow,
    "received": ReceivedRow,
    "instructions": InstructionRow,
    "positions": PositionRow,
    "sensitivities": SensitivityRow,
    "thresholds": ThresholdRow,
}
REQUIRED_TABLES = ("assets", "holdings", "agreements", "calls")


@dataclass(frozen=True)
class Table:
    """A normalised frame, and what the checks must know about where it came from."""

    name: str
    frame: pd.DataFrame
    rows: Sequence[int]
    """Row number shown for each position."""
    unread: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Positions by column whose cell holds something that could not be read (or is required and empty)."""
    given: bool = True
    """Whether the book has this table at all, with its required columns."""

    def known(self, column: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """bool[n]: where the cell could be read or is rightly empty."""
        mask = np.ones(len(self.frame), dtype=bool)
        mask[list(self.unread.get(column, ()))] = False
        return mask


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``word``: first but for case, spaces, hyphens and underscores, then by letters."""
    known = {_folded(choice): choice for choice in choices}
    folded = _folded(word)
    if folded in known or len(known) > 1000:  # difflib is slow on long lists
        return known.get(folded)
    close = difflib.get_close_matches(folded, known, n=1, cutoff=0.75)
    return known[close[0]] if close else None


def _folded(word: str) -> str:
    return word.casefold().translate({ord(c): None for c in " -_\u200b\ufeff\xa0"})


def hint(word: str, choices: Iterable[str]) -> str:
    """``"Did you mean X? "``, or nothing."""
    guess = nearest(word, choices)
    return f"Did you mean {shown(guess)}? " if guess is not None else ""


@cache
def _adapter(model: type[Row]) -> TypeAdapter[list[Row]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


@cache
def _column_adapter(model: type[Row], column: str) -> TypeAdapter[list[Any]]:
    """What the model says of one of its columns, of the cells alone."""
    info = model.model_fields[column]
    cell: Any = Annotated.__class_getitem__((info.annotation, *info.metadata))  # type: ignore[attr-defined]
    return TypeAdapter(list[cell], config=ConfigDict(strict=True))


def kind(info: FieldInfo) -> Kind:
    """The kind a field's annotation carries."""
    return next(m for m in info.metadata if isinstance(m, Kind))


def choices(info: FieldInfo) -> tuple[str, ...]:
    """The words a field allows; empty if it is free."""
    options: list[str] = []
    for part in (info.annotation, *get_args(info.annotation)):
        if isinstance(part, str):
            options.append(part)
        else:
            options += [option for option in get_args(part) if isinstance(option, str)]
    return tuple(dict.fromkeys(options))


def empty(name: str, *, given: bool = False) -> Table:
    """The table without rows, all columns there."""
    frame = pd.DataFrame({c: _series(kind(i), []) for c, i in ROW_MODELS[name].model_fields.items()})
    if name == "calls":
        frame = frame.assign(due_date=_series(Kind.DATE, []))
    return Table(name, frame, [], given=given)


def normalise(name: str, source: pd.DataFrame) -> tuple[Table, list[Finding]]:
    """The table as normalised frame, and everything wrong with its cells.

    A cell that cannot be read is unknown in the frame and listed in ``Table.unread``; the rest of its row
    stands.
    """
    model = ROW_MODELS[name]
    found: list[Finding] = []
    rows = source.index.tolist() if source.index.name == FILE_ROW else list(range(2, len(source) + 2))
    labels = [str(label).strip() for label in source.columns]
    columns: dict[str, list[object]] = {}
    written: dict[str, list[object]] = {}
    free: dict[str, list[object]] = {}
    unread: dict[str, set[int]] = {}
    for position, label in enumerate(labels):
        series = source.iloc[:, position]
        values = cells.plain(series)
        if not label:
            if any(v is not None for v in values):
                found.append(finding("E211", name, value=position + 1))
            continue
        if label in labels[:position]:
            if labels[:position].count(label) == 1:
                found.append(finding("E205", name, column=label, count=labels.count(label)))
            continue
        if label in model.model_fields:
            found += _stripped(name, label, series, rows)
            written[label] = values
            values = _prepared(name, label, kind(model.model_fields[label]), series, values, rows, unread, found)
            columns[label] = values
        elif not (name == "calls" and label == "due_date"):
            if label.startswith("taxonomy_"):
                values = _prepared(name, label, Kind.TEXT, series, values, rows, unread, found)
            free[label] = values

    absent = [c for c, i in model.model_fields.items() if c not in columns]
    missing = [c for c in absent if model.model_fields[c].is_required()]
    spare = [c for c in free if any(v is not None for v in free[c])]
    for column in missing:
        found.append(finding("E204", name, column=column, hint=hint(column, spare)))
    for column in spare:
        guess = nearest(column, [c for c in absent if c not in missing])
        # Only all but equal names: `price_usd` may be the desk's own.
        if guess and difflib.SequenceMatcher(None, column.casefold(), guess).ratio() >= 0.85:
            found.append(finding("W122", name, column=column, hint=f"Did you mean {guess}? "))

    _judge(name, columns, written, missing, rows, unread, found)
    read: dict[str, pd.Series] = {}
    for column, info in model.model_fields.items():
        default = None if info.is_required() else info.default
        values = columns.get(column, [None] * len(source))
        if default is not None:
            values = [default if v is None else v for v in values]
        for i in unread.get(column, ()):
            values[i] = default
        read[column] = _series(kind(info), values)
        columns[column] = values
    for column, values in free.items():
        is_text = column.startswith("taxonomy_")
        read[column] = cells.text_series(values) if is_text else cells.free_column(values)
    frame = pd.DataFrame(read, index=pd.RangeIndex(len(source)))
    if name == "calls":
        given = source.iloc[:, labels.index("due_date")] if "due_date" in labels else None
        frame = frame.assign(due_date=_due_dates(frame["due"], columns["due"], given))
    marks = {c: frozenset(positions) for c, positions in unread.items()}
    marks |= {c: frozenset(range(len(source))) for c in missing}
    return Table(name, frame, rows, marks, given=not missing), found


def _stripped(name: str, label: str, series: pd.Series, rows: Sequence[int]) -> Iterator[Finding]:
    """One note a column where identifiers came with spaces around them (two of them may have become one)."""
    if not (label.endswith("_id") or label in ("currency", "schedule", "location", "counterparty", "gives", "takes")):
        return
    texts = series.astype(object).tolist()
    # Stripping leaves text that needs none as the same object.
    padded = [i for i, v in enumerate(texts) if isinstance(v, str) and v.strip() is not v and v.strip()]
    if padded:
        first = padded[0]
        yield finding("N131", name, row=rows[first], column=label, value=series.iloc[first], count=len(padded))


def _prepared(
    name: str,
    label: str,
    what: Kind,
    series: pd.Series,
    values: list[object],
    rows: Sequence[int],
    unread: dict[str, set[int]],
    found: list[Finding],
) -> list[object]:
    """The column's cells as Python values of its kind where they can be; numbers for text are reported."""
    if what is not Kind.TEXT:
        read = cells.READ[what]
        values = cells.numbers(values) if what is Kind.NUMBER else [None if v is None else read(v) for v in values]
        if what is Kind.DATE:
            late = [i for i, v in enumerate(values) if type(v) is date and v > cells.LAST_DATE]
            if late:
                found.append(
                    finding("N132", name, row=rows[late[0]], column=label, value=values[late[0]], count=len(late))
                )
                for i in late:
                    values[i] = cells.LAST_DATE
        return values
    if set(map(type, values)) <= {str, type(None)}:
        return values
    foreign = [i for i, v in enumerate(values) if v is not None and type(v) is not str]
    if not foreign:
        return values
    values = list(values)
    whole = not pd.api.types.is_object_dtype(series.dtype) and not isinstance(series.dtype, pd.CategoricalDtype)
    for n, i in enumerate(foreign):
        if isinstance(values[i], str):  # a subclass, such as numpy's
            values[i] = str(values[i])
            continue
        # One finding for a column that is all numbers, one a cell where text and numbers are mixed.
        if n == 0 or not whole:
            code = "E117" if isinstance(values[i], list | dict | tuple | set) else "E111"
            at = None if whole else rows[i]
            found.append(finding(code, name, row=at, column=label, value=values[i], kind=cells.kind_of(values[i])))
        # The other checks go on with the digits: one slip is not reported as a hundred unknown references.
        values[i] = cells.as_text(values[i])
    return values


def _judge(
    name: str,
    columns: Mapping[str, list[object]],
    written: Mapping[str, list[object]],
    missing: Sequence[str],
    rows: Sequence[int],
    unread: dict[str, set[int]],
    found: list[Finding],
) -> None:
    """Holds every row against its model; a refused cell is reported and marked unread.

    The models are strict: what they accept is what went in, so nothing has to be taken out of them again. Columns are
    looked at first, each as a whole: rows are made only where something will be refused.
    """
    model = ROW_MODELS[name]
    if all(_is_accepted(model, column, columns[column]) for column in columns):
        return
    labels = [column for column in columns if not _is_free_text(model.model_fields[column])]
    rows_as_seen = zip(*(columns[column] for column in labels), strict=True)
    records = [{c: v for c, v in zip(labels, row, strict=True) if v is not None} for row in rows_as_seen]
    try:
        _adapter(model).validate_python(records)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            i, column = int(detail["loc"][0]), str(detail["loc"][1])
            if column in missing or i in unread.get(column, ()):
                continue
            cell = written[column][i] if column in written else None
            found.append(refusal(name, rows[i], column, model.model_fields[column], detail, cell))
            unread.setdefault(column, set()).add(i)


def _is_accepted(model: type[Row], column: str, values: Sequence[object]) -> bool:
    """Whether the model refuses none of the column's cells."""
    info = model.model_fields[column]
    if _is_free_text(info):
        return True
    is_text = kind(info) is Kind.TEXT
    # A number or a time is rarely the same twice, text often; and only text can surely be put into a dictionary.
    known = dict.fromkeys(values) if is_text and set(map(type, values)) <= {str, type(None)} else values
    try:
        _column_adapter(model, column).validate_python([value for value in known if value is not None])
    except ValidationError:
        return False
    return not info.is_required() or None not in known


def _is_free_text(info: FieldInfo) -> bool:
    """Whether any text does, or none: nothing for a model to refuse, and large books have millions."""
    return not info.is_required() and info.metadata == [Kind.TEXT] and not choices(info)


def refusal(
    table: str, row: int | None, column: str, info: FieldInfo, detail: Mapping[str, Any], value: object
) -> Finding:
    """One of pydantic's error details as a finding; ``value`` is the cell as it was written."""
    error, context = str(detail["type"]), detail.get("ctx", {})
    what = kind(info)

    def say(code: str, **details: object) -> Finding:
        return finding(code, table, row=row, column=column, value=value, **details)

    if error == "missing":
        return finding("E101", table, row=row, column=column)
    if isinstance(value, list | dict | tuple | set):
        return say("E117")
    if error == "finite_number":
        return say("E103")
    if error in ("multiple_of", "int_type"):
        return say("E105")
    if error == "timezone_aware":
        return say("E109")
    if error == "literal_error":
        options = choices(info)
        return say("E106", choices=", ".join(options), hint=hint(str(value), options))
    if error in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        if what in (Kind.DATE, Kind.TIME):
            return say("E114")
        words = {
            "greater_than": "above {gt}",
            "less_than": "below {lt}",
            "greater_than_equal": "{ge} or more",
        }
        bound = words.get(error, "{le} or less").format(**{k: f"{v:g}" for k, v in context.items()})
        return say("E104", bound=bound)
    if error == "string_pattern_mismatch" and what is Kind.TEXT:
        upper = str(value).upper()
        is_code = len(upper) == 3 and upper.isascii() and upper.isalpha()
        return say("E112", hint=f"Did you mean {upper}? " if is_code else "")
    by_kind = {
        Kind.NUMBER: "E102",
        Kind.BOOLEAN: "E110",
        Kind.TIME: "E108",
        Kind.DATE: "E107",
        Kind.CLOCK: "E113",
    }
    return say(by_kind[what]) if what in by_kind else say("E111", kind=cells.kind_of(value))


def _series(what: Kind, values: list[Any]) -> pd.Series:
    """The values as the kind's normalised dtype; None is unknown."""
    if what is Kind.NUMBER:
        return pd.Series([nan if v is None else v for v in values], dtype="float64")
    if what is Kind.BOOLEAN:
        return pd.Series([bool(v) for v in values], dtype=bool)
    if what is Kind.TIME:
        utc = [None if v is None else v.astimezone(UTC).replace(tzinfo=None) for v in values]
        return pd.Series(np.array(utc, dtype="datetime64[ns]")).dt.tz_localize("UTC")
    if what is Kind.DATE:
        return pd.Series(np.array(values, dtype="datetime64[D]").astype("datetime64[ns]"))
    return cells.text_series(values)


def _due_dates(due: pd.Series, written: Sequence[Any], given: pd.Series | None) -> pd.Series:
    """The calendar date of each ``due`` as written, in its own offset.

    A frame taken from another book holds ``due`` in UTC; a ``due_date`` it carries is kept where it can
    belong to it.
    """
    days = [None if d is None else d.date() for d in written]
    dates = pd.Series(np.array(days, dtype="datetime64[D]").astype("datetime64[ns]"))
    if given is None or not pd.api.types.is_datetime64_dtype(given.dtype):
        return dates
    kept = given.reset_index(drop=True).astype("datetime64[ns]")
    utc = due.dt.tz_localize(None)
    earliest = (utc - pd.Timedelta(hours=12)).dt.normalize()
    latest = (utc + pd.Timedelta(hours=14)).dt.normalize()
    return kept.where((kept >= earliest) & (kept <= latest), dates)
