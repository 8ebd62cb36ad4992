"""How the single values of a schedule are read: text, exact numbers, true and false, tenors, dates.

Everything in a schedule arrives as text (Norway is `NO`); these functions give it the meaning its place
asks for and say what is wrong with it in the words of a `ScheduleProblem`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from pydantic_core import PydanticCustomError

PROBLEM = "schedule_problem"
_TENOR = re.compile(r"^(\d{1,4})([YMWD])$")
_TRUE_FALSE = {"true": True, "yes": True, "false": False, "no": False}


def problem(message: str, value: object = "", remedy: str = "") -> PydanticCustomError:
    """An error for pydantic to collect, with the value and the remedy kept apart from the message."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "value": shown(value), "remedy": remedy})


def shown(value: object) -> str:
    """A value as a person would recognise it in the file, cut where it is long."""
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
    elif isinstance(value, str | int | float | date):
        text = text_of(value) if value != "" else ""
    elif isinstance(value, Sequence):
        text = "[" + ", ".join(shown(inner) for inner in value) + "]"
    else:
        text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def text_of(value: object) -> str:
    """The text of one scalar; raises where there is none, or more than one value."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, int | Fraction | Decimal | date):
        return str(value)
    if value is None or isinstance(value, str):
        raise problem("a value is missing", value, "Write one, or take the line out")
    raise problem(f"{shown(value)} is not a single value", value, "Write one value here")


def texts_of(value: object) -> tuple[str, ...]:
    """One scalar, or a list of them, as a tuple of texts."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            raise problem("the list is empty, so nothing could ever match", value, "Write at least one value")
        return tuple(text_of(inner) for inner in value)
    return (text_of(value),)


def exact(value: object) -> Fraction:
    """The number a decimal text stands for, exactly: 0.02 is 2/100, never its nearest binary float."""
    if isinstance(value, Fraction):
        return value
    text = text_of(value)
    try:
        if isinstance(value, bool):
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        percent = "Write 2 % as 0.02" if text.endswith("%") else "Write a decimal number, such as 0.02"
        raise problem(f"{text} is not a number", value, percent) from None


def true_or_false(value: object) -> bool:
    """true, false, yes or no, in any case."""
    text = text_of(value)
    if text.lower() not in _TRUE_FALSE:
        raise problem(f"{text} is neither true nor false", value, "Write true or false")
    return _TRUE_FALSE[text.lower()]


def tenor(value: object) -> str:
    """A calendar distance such as 5Y, 6M, 2W or 30D, in capitals."""
    text = text_of(value).upper()
    if not _TENOR.match(text):
        hint = (
            f"Write {text}Y, {text}M or {text}D"
            if text.isdigit()
            else "Write whole years, months, weeks or days: 5Y, 6M, 2W, 30D"
        )
        raise problem(f"{text_of(value)} is not a tenor", value, hint)
    return text


def tenor_parts(text: str) -> tuple[int, str]:
    """Count and unit (`Y`, `M`, `W`, `D`) of a tenor."""
    found = _TENOR.match(text)
    assert found is not None, text
    return int(found.group(1)), found.group(2)


def number(text: str) -> float | None:
    """The float a text stands for, None where it stands for none."""
    try:
        value = float(Fraction(text)) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def day(text: str) -> date | None:
    """The date an ISO 8601 text stands for, None where it stands for none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def decimal_text(value: Fraction) -> str:
    """A fraction as a decimal where that ends, as `50/51` where it does not; `exact` reads both back."""
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return str(value)
    text = format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: Fraction) -> str:
    """A share in percent: `2 %`, `0.5 %`; rounded to four decimals where it does not end."""
    text = decimal_text(value * 100)
    return f"{float(value * 100):.4f} %" if "/" in text else f"{text} %"
