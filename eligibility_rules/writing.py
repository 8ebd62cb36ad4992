"""Writes schedules: the form that `parse_schedule` reads, as a dict of texts, as YAML and (lists) as CSV.

The form is what all that compare or hand on schedules go by: two schedules are the same exactly where their forms
are. What stands at its default is left out, numbers are exact texts, and each kind of criterion keeps its word.
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Any

import yaml
from pydantic import BaseModel

from eligibility_rules.criteria import bounds_of
from eligibility_rules.loading import LIST_COLUMNS
from eligibility_rules.scalars import decimal_text, text_of
from eligibility_rules.vocabulary import (
    COMPARISONS,
    PARTS,
    VALUATIONS,
    AllOf,
    AnyOf,
    Cap,
    ColumnCompare,
    ColumnIn,
    Criterion,
    DomesticCurrency,
    Limit,
    Maturity,
    Not,
    OwnIssue,
    Rating,
    Schedule,
)

CRITERIA = (AllOf, AnyOf, Not, ColumnIn, ColumnCompare, Maturity, Rating, OwnIssue, DomesticCurrency)
WIDTH = 120
_FIGURES = frozenset(
    {*VALUATIONS, *COMPARISONS, "rate", "max", "amount", "as_of", "exclude", "own_issue", "domestic_currency"}
)
_FIRST = ("name", "label", "group_by", "select", "when", "measure")  # of a rule or limit, before all else


def form_of(schedule: Schedule) -> dict[str, Any]:
    """The mapping that the schedule's YAML is, all of it text: `parse_schedule(form_of(s), s.name) == s`.

    A list schedule has its lines under `listing`; it is no YAML, and :func:`csv_text` writes what reads back.
    """
    return _model_form(schedule)


def criterion_form(criterion: Criterion, *, ordered: bool = False) -> dict[str, Any]:
    """`{all: [{asset_type: debt}, ...]}`: a criterion as it is written.

    `ordered`: values and conditions in one order, each once, without needless nesting; the same form for all criteria
    that only differ in that.
    """
    match criterion:
        case AllOf() | AnyOf():
            inner = laid_open(criterion, type(criterion)) if ordered else criterion.criteria
            forms = [criterion_form(one, ordered=ordered) for one in inner]
            if ordered:
                texts = {json.dumps(form, sort_keys=True): form for form in forms}
                forms = [texts[text] for text in sorted(texts)]
            return forms[0] if ordered and len(forms) == 1 else {criterion.word: forms}
        case Not():
            return {criterion.word: criterion_form(criterion.criterion, ordered=ordered)}
        case ColumnIn():
            values = sorted(criterion.values) if ordered else list(criterion.values)
            return {criterion.column: values[0] if len(values) == 1 else values}
        case ColumnCompare():
            return {criterion.column: _bounds_form(criterion)}
        case Maturity():
            return {"maturity": {criterion.measured: _bounds_form(criterion)}}
        case Rating():
            return {"rating": _model_form(criterion)}
        case OwnIssue() | DomesticCurrency():
            return {criterion.word: plain(criterion.value)}


def laid_open(criterion: Criterion, branch: type[AllOf] | type[AnyOf]) -> Iterator[Criterion]:
    """The criteria of an `all` (an `any`) with those of every one within it; of any other criterion, itself."""
    if isinstance(criterion, branch):
        for inner in criterion.criteria:
            yield from laid_open(inner, branch)
    else:
        yield criterion


def _bounds_form(leaf: ColumnCompare | Maturity) -> dict[str, str]:
    """The lower bound first."""
    bounds = bounds_of(leaf)
    return {word: bounds[word] for word in ("gt", "ge", "lt", "le") if word in bounds}


def plain(value: Any) -> Any:
    """Any part of a schedule in its form: texts, lists and mappings of texts."""
    if isinstance(value, CRITERIA):
        return criterion_form(value)
    if isinstance(value, Cap):
        return _cap_form(value)
    if isinstance(value, BaseModel):
        return _model_form(value)
    if isinstance(value, Fraction):
        return number_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else str(value)


def number_text(value: Fraction) -> str:
    """A number that reads back exactly: a decimal, or a fraction where the decimal does not end or is very long."""
    text = decimal_text(value)
    return text if Fraction(text) == value else str(value)


def canonical_text(part: BaseModel) -> str:
    """One text for what a schedule (or a limit of the house) says, for digests and comparisons."""
    return json.dumps(plain(part), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _model_form(model: BaseModel) -> dict[str, Any]:
    fields = type(model).model_fields
    form: dict[str, Any] = {}
    for name in sorted(fields, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        value = getattr(model, name)
        default = fields[name].get_default(call_default_factory=True)
        if value is None or (value == default and not fields[name].is_required()):
            continue
        form[name] = plain(value)
    if isinstance(model, Schedule):
        _without_place_labels(form)
    if isinstance(model, Limit) and len(model.caps) == 1:
        note = form.pop("note", None)
        form |= form.pop("caps")[0]
        form |= {"note": note} if note is not None else {}
    return form


def _without_place_labels(form: dict[str, Any]) -> None:
    """`rule 3` is what the third rule is called where it has no label."""
    for key, word in PARTS.items():
        for place, part in enumerate(form.get(key, ()), 1):
            if part.get("label") == f"{word} {place}":
                del part["label"]


def _cap_form(cap: Cap) -> dict[str, Any]:
    if cap.share is not None:
        return {"of": cap.of, "max": number_text(cap.share)}
    assert cap.amount is not None and cap.currency is not None
    return {"of": cap.of, "max": {"amount": number_text(cap.amount), "currency": cap.currency}}


# -------------------- lists


def csv_text(schedule: Schedule) -> str:
    """A list schedule as the CSV that `load_schedule` reads; lines are counted anew."""
    used = [
        column
        for column in LIST_COLUMNS
        if any(getattr(row, column) not in (None, True) for row in schedule.listing) or column == "haircut"
    ]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(used)
    for row in schedule.listing:
        cells = [getattr(row, column) for column in used]
        writer.writerow("" if cell is None else plain(cell) for cell in cells)
    return written.getvalue()


# -------------------- YAML


def yaml_text(schedule: Schedule) -> str:
    """The schedule as YAML, the same text for the same schedule, in lines of 120 where words allow it; a list as CSV.

    `load_schedule` reads it back as the same schedule.
    """
    if schedule.listing:
        return csv_text(schedule)
    lines: list[str] = []
    for key, value in form_of(schedule).items():
        lines += _entry(key, value, 0)
    return "\n".join(lines) + "\n"


def yaml_line(form: Any, key: str = "") -> str:
    """A form, or a part of one, on a single line: `{all: [{asset_type: debt}, {issuer_country: "NO"}]}`."""
    if isinstance(form, Mapping):
        return "{" + ", ".join(f"{_scalar(word)}: {yaml_line(inner, word)}" for word, inner in form.items()) + "}"
    if isinstance(form, list):
        return "[" + ", ".join(yaml_line(inner) for inner in form) + "]"
    return _scalar(form, key in _FIGURES)


def _entry(key: str, value: Any, indent: int) -> list[str]:
    """`key: value`, on one line if it fits, else opened out below the key."""
    head = f"{' ' * indent}{_scalar(key)}:"
    opened = indent == 0 and isinstance(value, list)
    text = _scalar(value, key in _FIGURES, alone=True) if isinstance(value, str) else yaml_line(value)
    if not opened and len(head) + 1 + len(text) <= WIDTH:
        return [f"{head} {text}"]
    if isinstance(value, str):
        return _folded(head, value, indent)
    if isinstance(value, Mapping):
        return [head, *(line for inner in value for line in _entry(inner, value[inner], indent + 2))]
    if not opened and all(isinstance(inner, str) for inner in value):
        return _wrapped(head, value, indent)
    return [head, *(line for inner in value for line in _item(inner, indent + 2, rows=opened))]


def _item(value: Any, indent: int, *, rows: bool) -> list[str]:
    """`- value`; with `rows`, a mapping always as lines of its own: rules and limits look alike so."""
    head = " " * indent + "-"
    one_line = f"{head} {yaml_line(value)}"
    if len(one_line) <= WIDTH and not (rows and isinstance(value, Mapping)):
        return [one_line]
    if isinstance(value, str):
        return _folded(head, value, indent)
    lines = [line for key in value for line in _entry(key, value[key], indent + 2)]
    return [f"{head} {lines[0].lstrip(' ')}", *lines[1:]]


def _wrapped(head: str, texts: Sequence[str], indent: int) -> list[str]:
    """`key: [one, two,` over as many lines as it takes; no text is broken."""
    lines, line = [], f"{head} ["
    for place, text in enumerate(texts):
        part = _scalar(text) + ("]" if place == len(texts) - 1 else ",")
        if len(line) + len(part) + 1 > WIDTH:
            lines.append(line)
            line = " " * (indent + 3) + part
        else:
            line += part if line.endswith("[") else f" {part}"
    return [*lines, line]


def _folded(head: str, text: str, indent: int) -> list[str]:
    """A long text: folded where it is one paragraph of plain words, else quoted as a whole."""
    if not text.isprintable() or " ".join(text.split()) != text:
        return [f"{head} {_quoted(text)}"]
    margin = " " * (indent + 2)
    words = textwrap.wrap(text, WIDTH - len(margin), break_long_words=False, break_on_hyphens=False)
    return [f"{head} >-", *(margin + line for line in words)]


@lru_cache(maxsize=65536)
def _scalar(text: str, figure: bool = False, *, alone: bool = False) -> str:
    """The text, quoted where YAML would read another text.

    Where text belongs (not a `figure`), what other readers of YAML take for a number, a date or a truth is quoted
    too: `NO` is false to them. `alone` on its line, not within brackets, it may have commas and brackets of its own.
    """
    if "\n" in text or len(text) > WIDTH:
        return _quoted(text)
    around = ("k: ", "") if alone else ("{k: ", "}")
    try:
        plain = yaml.load(text.join(around), yaml.BaseLoader) == {"k": text}
        plain = plain and (alone or yaml.load(f"{{{text}: k}}", yaml.BaseLoader) == {text: "k"})
        other = yaml.safe_load(f"k: {text}")["k"] if plain else None
    except (yaml.YAMLError, ValueError):
        return _quoted(text)
    meant = other == text or (figure and isinstance(other, bool | int | float | date) and text_of(other) == text)
    return text if plain and meant else _quoted(text)


def _quoted(text: str) -> str:
    return yaml.dump(text, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
