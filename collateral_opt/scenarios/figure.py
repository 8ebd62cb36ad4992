"""What the words of a what-if are made of: a figure or its move, a time or its move, and which assets are meant."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator

from collateral_opt.book.tables import MOST
from eligibility_rules.scalars import decimal_text, exact, problem, shown, text_of
from eligibility_rules.vocabulary import Criterion, Exact, Frozen

_FIGURE = re.compile(
    r"^(?P<to>to\s+)?(?P<sign>[+-]?)(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?)\s*(?P<share>%?)$"
)
_SHIFT = re.compile(r"^(?P<count>[+-]\d+(?:\.\d+)?)\s*(?P<unit>[dhm])$")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_PLAIN = re.compile(r"^(?:\w|[+-](?=[\w.]))(?:[\w .+/&%()-]*[\w.+/&%()-])?$")
FIRST_YEAR, LAST_YEAR = 1678, 2261
"""A book has no times before and after."""
ALL = "all"
"""The class word for every asset."""


class Figure(Frozen):
    """A figure (``to``), or the move of one: ``by`` so much, or so many ``percent`` of it.

    >>> read_figure("+20%").of(Fraction(50)), read_figure("-5").of(Fraction(3)), read_figure("to -5").of(Fraction(3))
    (Fraction(60, 1), Fraction(-2, 1), Fraction(-5, 1))
    """

    how: Literal["to", "by", "percent"]
    amount: Exact

    def of(self, old: Fraction) -> Fraction:
        """The new figure where ``old`` stood."""
        if self.how == "to":
            return self.amount
        return old + self.amount if self.how == "by" else old * (1 + self.amount / 100)

    def __str__(self) -> str:
        text = decimal_text(self.amount)
        if self.how == "to":
            return f"to {text}" if self.amount < 0 else text
        return (text if text.startswith("-") else f"+{text}") + ("%" if self.how == "percent" else "")


def read_figure(raw: object) -> Figure:
    """``500000`` or ``to -5`` stands for itself, as a number does; ``+20%``, ``-3%``, ``+500`` and ``-0.02`` move.

    Raises pydantic's custom error, with a remedy, for anything else.
    """
    if isinstance(raw, Figure):
        return raw
    if isinstance(raw, int | float | Fraction) and not isinstance(raw, bool):
        return Figure(how="to", amount=read_plain(raw))
    text = text_of(raw)
    found = _FIGURE.match(text)
    if found is None:
        raise problem(f"{text} is not a figure", raw, "Write 500000, +20%, -3%, +500 or to -5")
    if found["share"] and (found["to"] or not found["sign"]):
        raise problem(f"{text} does not say which way", raw, f"Write +{text} or -{text} of what it was, or the figure")
    how: Any = "to" if found["to"] or not found["sign"] else "percent" if found["share"] else "by"
    return Figure(how=how, amount=read_plain(found["sign"] + found["number"]))


def read_plain(raw: object) -> Fraction:
    """The decimal that is written, where it is one that a book could have."""
    value = exact(raw)
    if abs(value) > MOST:
        raise problem(f"{shown(raw)} is beyond any figure of a book", raw, f"Write {MOST:g} at most")
    return value


class Due(Frozen):
    """A call's new due time: ``at`` a time with its offset, ``later`` by so many minutes, or (neither) none at all."""

    at: datetime | None = None
    later: Exact | None = None
    text: str

    def of(self, old: datetime) -> datetime | None:
        """The new time where ``old`` stood."""
        return self.at if self.later is None else old + timedelta(minutes=float(self.later))

    def __str__(self) -> str:
        return self.text


def read_due(raw: object) -> Due:
    """``2026-03-24T15:00:00+01:00``, ``+4h``, ``-30m``, ``+1d`` or ``none``."""
    if isinstance(raw, Due):
        return raw
    if isinstance(raw, datetime):
        raw = raw.isoformat()
    text = text_of(raw)
    if text == "none":
        return Due(text=text)
    shift = _SHIFT.match(text)
    if shift is not None:
        minutes = Fraction(shift["count"]) * Fraction(timedelta(**{_UNITS[shift["unit"]]: 1}) // timedelta(minutes=1))
        return Due(later=minutes, text=text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise problem(f"{text} is no time", raw, "Write 2026-03-24T15:00:00+01:00 with its offset, +4h, -30m, or none")
    return Due(at=at, text=text)


class Which(Frozen):
    """Which assets: a criterion of the schedules' vocabulary, or (``criterion`` is None) a short class word."""

    text: str
    criterion: Criterion | None = None

    def __str__(self) -> str:
        return self.text


def read_which(raw: object) -> Which | dict[str, object]:
    """``corporate``, ``{issuer_country: IT}`` as text, or the mapping that this is."""
    if isinstance(raw, Which):
        return raw
    if isinstance(raw, str) and raw.strip().startswith("{"):
        raw = read_flow(raw)
    if isinstance(raw, Mapping):
        return {"text": flow(raw), "criterion": raw}
    return {"text": text_of(raw)}


def read_flow(text: str) -> object:
    """YAML in which every scalar is the text that was written (`NO` is Norway); raises pydantic's custom error."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        remedy = "Write {column: value}, with a blank after each colon"
        raise problem(f"{shown(text)} is not readable", text, remedy) from None


def flow(raw: object) -> str:
    """A form on one line, as :func:`read_flow` reads it.

    >>> flow({"all": [{"issuer": "A: b"}, {"duration": {"le": 7}}]})
    '{all: [{issuer: "A: b"}, {duration: {le: 7}}]}'
    """
    if isinstance(raw, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(value)}" for key, value in raw.items()) + "}"
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        return "[" + ", ".join(map(flow, raw)) + "]"
    if isinstance(raw, Which) and raw.criterion is not None:
        return raw.text
    text = str(raw) if isinstance(raw, Figure | Due | Which) else text_of(raw)
    return text if _PLAIN.match(text) else json.dumps(text, ensure_ascii=False)


Plain = Annotated[Fraction, BeforeValidator(read_plain)]
Move = Annotated[Figure, BeforeValidator(read_figure)]
DueMove = Annotated[Due, BeforeValidator(read_due)]
Assets = Annotated[Which, BeforeValidator(read_which)]
