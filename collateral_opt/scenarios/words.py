"""Reads what-ifs: the words of a command line (``call:MC7.amount=+20%``), and YAML files of several named ones.

A change is written as a word or as the mapping of its model; both are the same change. All that cannot be read is
reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from collateral_opt.book.tables import hint
from collateral_opt.errors import UsageError
from collateral_opt.io.read import written_twice, yaml_reason
from collateral_opt.scenarios.figure import read_flow
from collateral_opt.scenarios.kinds import KINDS, BookChange, Removed
from collateral_opt.scenarios.what_if import WhatIf
from eligibility_rules.scalars import PROBLEM, shown

UNNAMED = "what if"
"""What the changes of a command line are called."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "call": ("amount", "due"),
    "asset": ("price",),
    "holding": ("cost_bps", "quantity"),
    "facility": ("capacity", "cost_bps", "one_off_bps"),
    "agreement": ("schedule", "cash_return", "haircut", "fx_haircut", "rule", "limit"),
    "schedule": ("haircut", "fx_haircut", "rule", "limit"),
}
"""What can be set of a thing: ``THING:NAME.FIELD=VALUE``."""
DETAILED = {"haircut": "of", "rule": "rule", "limit": "limit", "cash_return": "currency"}
"""The fields that take a detail, ``FIELD:DETAIL=VALUE``, and the key it stands for."""
BY_CLASS = ("price", "haircut", "cost_bps", "quantity", "downgrade")
"""What can be set of a class of assets: ``FIELD:CLASS=VALUE``."""
ALONE = ("fx_haircut",)
"""What can be set without saying of what: ``FIELD=VALUE``."""
_THING = re.compile(rf"^(?P<thing>{'|'.join(FIELDS)}):(?P<name>.+?)\.(?P<field>[a-z_]+)(?::(?P<detail>.+))?$", re.S)


def read_words(words: Iterable[str], name: str = UNNAMED) -> WhatIf:
    """One what-if of these words, in their order.

    Raises:
        UsageError: everything that is wrong with them.
    """
    wrong: list[str] = []
    changes = read_changes(list(words), "", wrong)
    _require_sound(wrong)
    return WhatIf(name=name, changes=changes)


def read_file(path: str | Path) -> list[WhatIf]:
    """The what-ifs of a YAML file: a mapping from name to list of changes, or one list, called as the file is.

    Raises:
        UsageError: the file cannot be read, or something in it: all of it at once.
    """
    file = Path(path)
    wrong: list[str] = []
    data = read_yaml(file, wrong)
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = {file.stem: data}
    if not isinstance(data, Mapping) or not data:
        raise UsageError(
            f"{file}: there is no what-if in it. Write `NAME:` and below it lines with `- call:C1.amount=+20%`."
        )
    named = {str(name): read_changes(forms, f"{name}, ", wrong) for name, forms in data.items()}
    _require_sound(wrong, str(file))
    return [WhatIf(name=name, changes=changes) for name, changes in named.items()]


def read_yaml(file: Path, wrong: list[str]) -> object:
    """What a YAML file holds, every scalar as the text that was written; ``wrong`` gets each key that stands twice.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}. Check the name.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        data: object = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        reason = yaml_reason(error)
        raise UsageError(f"{file}{place}: not readable as YAML: {reason}. Check indentation and brackets.") from None
    for line, key in written_twice(root):
        wrong.append(f"line {line}: {key} stands twice in one mapping. Keep one of them.")
    return data


def read_change(raw: object) -> BookChange:
    """One change from its word or its mapping; raises pydantic's ValidationError or custom error."""
    if isinstance(raw, BookChange):
        return raw
    form = _form(raw) if isinstance(raw, str) else raw
    if not isinstance(form, Mapping):
        raise _problem(
            f"{shown(raw) or 'nothing'} is no change", "Write call:C1.amount=+20%, or {call: C1, amount: +20%}"
        )
    for kind in KINDS:
        if not {kind.lead, *kind.leads} & set(form):
            continue
        if kind.wrapped:
            others = [str(key) for key in form if key != kind.lead]
            if others:
                raise _problem(
                    f"{kind.lead}: stands beside {', '.join(others)}", f"Write {{{kind.lead}: {{...}}}} alone"
                )
            form = form[kind.lead]
        return kind.model_validate(form)
    leads = sorted({lead for kind in KINDS for lead in (kind.lead, *kind.leads)})
    guesses = [guess for key in form if (guess := hint(str(key), leads))]
    remedy = guesses[0].strip() if guesses else f"A change has one of {', '.join(leads)}"
    raise _problem(f"{shown(form)} is no change that is known", remedy)


# -------------------- words


def _form(word: str) -> object:
    """The mapping that a word stands for."""
    text = word.strip()
    if text.startswith("{"):
        return read_flow(text)
    target, sign, value = (part.strip() for part in text.rpartition("="))
    if not sign or not value:
        raise _problem(f"{word!r} sets nothing", "Write WHAT=VALUE, such as call:C1.amount=+20%")
    thing = _THING.match(target)
    if thing is not None:
        return _of_thing(thing, value)
    if target.startswith("house.limit:"):
        return {"limit": target.removeprefix("house.limit:"), "max": value, "house": "true"}
    field, _, detail = target.partition(":")
    if field == "remove":
        return _removal(detail, value)
    if detail and field == "fx":
        return {"fx": detail, "rate": value}
    if detail and field in BY_CLASS:
        return {field: _count(value) if field == "downgrade" else value, "of": detail}
    if target in ALONE:
        return {target: value}
    starts = [*(f"{one}:" for one in (*FIELDS, *BY_CLASS, "fx", "remove")), *ALONE, "house.limit:"]
    guess = hint(f"{field}:", starts).strip() or f"A word begins with one of {', '.join(starts)}"
    known = field in (*FIELDS, *BY_CLASS, *ALONE, "fx")
    missing = f"Write {field}:NAME.{FIELDS[field][0]}=..." if field in FIELDS else f"Write {field}:NAME=..."
    missing = f"Write {field}=..., or schedule:NAME.{field}=..." if field in ALONE else missing
    raise _problem(f"{word!r} cannot be read", missing if known else guess)


def _of_thing(found: re.Match[str], value: str) -> dict[str, object]:
    thing, name, field, detail = found["thing"], found["name"], found["field"], found["detail"]
    if field not in FIELDS[thing]:
        guess = hint(field, FIELDS[thing]).strip() or f"Of {thing} one can set {', '.join(FIELDS[thing])}"
        raise _problem(f"{field} of {thing} cannot be set", guess)
    if detail is not None and field not in DETAILED:
        raise _problem(f"{field} of {thing} takes no {detail!r}", f"Write {thing}:{name}.{field}=...")
    if detail is None and field in ("rule", "limit"):
        raise _problem(f"{field} of {thing} {name!r} has no label", f"Write {thing}:{name}.{field}:LABEL=...")
    if thing == "asset":
        return {"price": value, "of": {"asset_id": name}}
    form: dict[str, object] = {thing: name, {"rule": "haircut", "limit": "max"}.get(field, field): value}
    return form if detail is None else {**form, DETAILED[field]: detail}


def _removal(what: str, name: str) -> dict[str, object]:
    known = tuple(Removed.model_fields)
    if what not in known:
        raise _problem(
            f"{what or 'nothing'} cannot be removed", hint(what, known).strip() or f"Write one of {', '.join(known)}"
        )
    return {"remove": {what: name}}


def _count(text: str) -> object:
    return int(text) if text.isdecimal() else text


# -------------------- what is wrong


def _problem(message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "value": "", "remedy": remedy})


def read_changes(forms: object, where: str, wrong: list[str]) -> tuple[BookChange, ...]:
    """The changes of a list of words and mappings; ``wrong`` gets what cannot be read, after ``where`` it stands."""
    if isinstance(forms, str | Mapping) or not isinstance(forms, Sequence) or not forms:
        wrong.append(f"{where}there is no change in it. Write a line for each, such as `- call:C1.amount=+20%`.")
        return ()
    changes: list[BookChange] = []
    for place, form in enumerate(forms, 1):
        said = form if isinstance(form, str) else f"change {place}"
        try:
            changes.append(read_change(form))
        except PydanticCustomError as error:
            wrong.append(f"{where}{said}: {sentences(error.context or {})}")
        except ValidationError as error:
            wrong += [f"{where}{said}: {worded(detail)}" for detail in error.errors(include_url=False)]
    return tuple(changes)


def worded(detail: Mapping[str, Any]) -> str:
    """One of pydantic's errors in our own words."""
    names = [str(part) for part in detail["loc"] if isinstance(part, str)]
    field, value, context = (names[-1] if names else "change"), shown(detail["input"]), detail.get("ctx", {})
    if detail["type"] == PROBLEM:
        said = sentences(context)
        return said if field in said else f"{field}: {said}"
    if detail["type"] == "extra_forbidden":
        return f"{field} is not known here. Take it out, or correct the name."
    if detail["type"] == "missing":
        return f"{field} is missing. Add {field}."
    if detail["type"] == "literal_error":
        return f"{field} is {value}. Write one of {context.get('expected')}."
    if detail["type"] in ("model_type", "dict_type", "model_attributes_type"):
        said = f"{field} is {value}, which is" if value and names else f"{value or field} is"
        return f"{said} not a mapping. Write {{key: value, ...}}."
    if detail["type"] in ("tuple_type", "list_type"):
        said = f"{field} is {value}, which is" if names else f"{value} is"
        return f"{said} no list. Write [{value}], or its lines below it, each after a hyphen."
    if detail["type"] == "too_short":
        return f"{field} is empty. Write at least {context['min_length']}, or leave it out."
    if detail["type"].startswith("int_"):
        return f"{field} is {value}, which is no whole number. Write one, such as 2."
    if detail["type"] in ("float_parsing", "float_type", "finite_number"):
        return f"{field} is {value}, which is no number. Write a decimal number, such as 0.02."
    for name, bound in _BOUNDS.items():
        if detail["type"] == name:
            return f"{field} is {value}. Write a number {bound.format(context[_LIMITS[name]])}."
    return f"{field} is {value}: {detail['msg']}."


_BOUNDS = {
    "greater_than": "above {:g}",
    "greater_than_equal": "of {:g} or more",
    "less_than": "below {:g}",
    "less_than_equal": "of {:g} at most",
}
_LIMITS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def sentences(context: Mapping[str, Any]) -> str:
    """Message and remedy of one of our own problems."""
    parts = [
        text if text.endswith(("?", ".")) else f"{text}." for text in (context["message"], context["remedy"]) if text
    ]
    return " ".join(parts)


def _require_sound(wrong: Sequence[str], file: str = "") -> None:
    if wrong:
        head = f"{file}: these changes cannot be read" if file else "these changes cannot be read"
        raise UsageError(f"{head}:\n" + "\n".join(f"  {text}" for text in wrong))
