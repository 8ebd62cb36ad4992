"""What one cell means: text, number, time, date, time of day or yes/no, whatever it came from.

Nothing is judged here. What cannot be read as its kind is left as it is, and the row model refuses it
(:mod:`.tables`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite

import numpy as np
import pandas as pd

LAST_DATE = date(2261, 12, 31)
"""The last date a frame can hold (nanoseconds since 1970 in 64 bits), taken for anything later."""


class Kind(Enum):
    """What a column holds; a row model's field carries it in its annotation."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    DATE = "date"
    CLOCK = "time of day"


def plain(column: pd.Series) -> list[object]:
    """The column's cells as Python objects: text stripped, None where there is nothing (NaN, NA, blank)."""
    values: list[object] = column.astype(object).tolist()
    kinds = set(map(type, values))
    if kinds == {str}:
        return [v or None for v in map(str.strip, values)]  # type: ignore[arg-type]
    if kinds <= {str, type(None)}:
        return [v.strip() or None if isinstance(v, str) else None for v in values]
    missing = column.isna().tolist()
    # The inner `or` turns blank text into None; it must not see 0 and False.
    return [
        None if gone else (v.strip() or None) if isinstance(v, str) else v
        for v, gone in zip(values, missing, strict=True)
    ]


def numbers(values: list[object]) -> list[object]:
    """Each cell as float where it is a number."""
    try:
        # The usual case in one go: nothing but plain text that reads, and empty cells.
        texts = "".join(v for v in values if v is not None)  # type: ignore[misc]
        if texts.isascii() and "_" not in texts:
            return [None if v is None else float(v) for v in values]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        pass
    return [None if v is None else _number(v) for v in values]


def _number(value: object) -> object:
    if isinstance(value, str):
        # float() also takes 1_000 and digits of other scripts: both are more likely slips than meant.
        if "_" in value or not value.isascii():
            return value
        try:
            return float(value)
        except ValueError:
            return value
    if isinstance(value, bool | np.bool_):
        return str(value)
    if isinstance(value, int | float | Decimal | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    return value


_WORDS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def _boolean(value: object) -> object:
    if isinstance(value, str):
        return _WORDS.get(value.lower(), value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.integer | np.floating) and value in (0, 1):
        return bool(value)
    return value


def _time(value: object) -> object:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min)  # a day alone lacks its offset, as a naive time does
    return value


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time.min:
        return value.date()
    return value


_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def _clock(value: object) -> object:
    if isinstance(value, time) and value.tzinfo is None:
        return value.strftime("%H:%M" if value.second == 0 else "%H:%M:%S")
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return value.zfill(5) if value.count(":") == 1 else value.zfill(8)
    return value


READ: dict[Kind, Callable[[object], object]] = {
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.TIME: _time,
    Kind.DATE: _date,
    Kind.CLOCK: _clock,
}


def kind_of(value: object) -> str:
    """The word a message uses for a value that is not text."""
    if isinstance(value, bool | np.bool_):
        return "yes/no value"
    if isinstance(value, int | float | Decimal | np.number):
        return "number"
    if isinstance(value, datetime | date | time):
        return "date or time"
    return type(value).__name__


def digits(value: object) -> str | None:
    """The digits of a whole number that was meant as text; None if it is none, or too long to be exact."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | Decimal | np.integer | np.floating):
        return None
    if isinstance(value, int | np.integer):
        return str(value)
    if not isfinite(value) or value != int(value):
        return None
    # A float holds 15 digits for certain, an integer all of them.
    if isinstance(value, float | np.floating) and abs(float(value)) >= 1e15:
        return None
    return str(int(value))


def as_text(value: object) -> str:
    """A cell of a column without a fixed kind, as text: whole numbers as digits, times in ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return digits(value) or str(value)


_LEADING_ZERO = re.compile(r"[+-]?0\d")


def free_column(values: list[object]) -> pd.Series:
    """A column no table names: float64 if each known cell is a finite number, none like 007; else text."""
    known = [v for v in values if v is not None]
    if known and not any(isinstance(v, str) and _LEADING_ZERO.match(v) for v in known):
        read = numbers(values)
        if all(n is None or (isinstance(n, float) and isfinite(n)) for n in read):
            return pd.Series(read, dtype="float64")
    return text_series([None if v is None else as_text(v) for v in values])


def text_series(values: list[object]) -> pd.Series:
    """Text as an object column (never pandas' own string type: there unknown would be NaN)."""
    return pd.Series(values, dtype=object)
