"""Criteria as they are put together: the YAML form of a criterion, kept flat and without repetition.

`ALWAYS` is what everything satisfies (it is left out of `all`), `NEVER` what nothing does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from eligibility_rules.columns import AGENCIES, ASSET_TYPES
from eligibility_rules.ratings import data_rows, rating_step
from eligibility_rules.vocabulary import BRANCHES, LEAVES

Form = dict[str, Any]
ALWAYS: Form = {}
NEVER: Form = {"not": {"asset_type": list(ASSET_TYPES)}}


def one_of(column: str, values: Iterable[str]) -> Form:
    """`{issuer_country: US}`, or a list where there are several."""
    texts = list(dict.fromkeys(values))
    return {column: texts[0] if len(texts) == 1 else texts}


def all_of(forms: Iterable[Form]) -> Form:
    """Every one of them: nested `all`s flat, none twice, none that is always true."""
    parts: list[Form] = []
    for form in forms:
        parts += form.get("all", [form])
    parts = _distinct(part for part in parts if part != ALWAYS)
    return ALWAYS if not parts else parts[0] if len(parts) == 1 else {"all": parts}


def any_of(forms: Iterable[Form]) -> Form:
    """One of them: nested `any`s flat, none twice, the values of one column in one list."""
    parts: list[Form] = []
    for form in forms:
        parts += form.get("any", [form])
    if ALWAYS in parts:
        return ALWAYS
    merged: list[Form] = []
    at: dict[str, int] = {}
    for part in _distinct(parts):
        column = column_of(part)
        if column is not None and column in at:
            earlier = merged[at[column]]
            merged[at[column]] = one_of(column, [*values_of(earlier), *values_of(part)])
            continue
        if column is not None:
            at[column] = len(merged)
        merged.append(part)
    return merged[0] if len(merged) == 1 else {"any": merged}


def not_(form: Form) -> Form:
    """The opposite; a flag is turned round."""
    if form == ALWAYS:
        return NEVER
    ((word, inner),) = form.items()
    if word == "not":
        return ALWAYS if form == NEVER else dict(inner)
    if word in ("own_issue", "domestic_currency"):
        return {word: not inner}
    return {"not": form}


def column_of(form: Form) -> str | None:
    """The column of `{column: value}` or `{column: [values]}`, None for any other form."""
    ((word, inner),) = form.items()
    return None if word in BRANCHES or word in LEAVES or isinstance(inner, dict) else str(word)


def values_of(form: Form) -> list[str]:
    """The values of `{column: ...}`."""
    (inner,) = form.values()
    return list(inner) if isinstance(inner, list) else [inner]


def implies(form: Form, column: str, value: str) -> bool:
    """Whether the form, at its first level, asks the column for exactly this value."""
    return any(part == {column: value} for part in form.get("all", [form]))


def mentions(form: Any, column: str) -> bool:
    """Whether the column is asked for anywhere in the form."""
    if isinstance(form, dict):
        return column in form or any(mentions(inner, column) for inner in form.values())
    return isinstance(form, list) and any(mentions(inner, column) for inner in form)


def _distinct(forms: Iterable[Form]) -> list[Form]:
    return list({json.dumps(form, sort_keys=True): form for form in forms}.values())


# -------------------- ratings


def letters_of(step: int, agency: str) -> str:
    """An agency's letters for a step of the scale; DBRS's with the notch as a word."""
    row = next(row for row in data_rows("rating_scale.csv") if int(row["step"]) == step)
    letters = row[agency]
    if agency != "dbrs" or letters[-1] not in "HL":
        return letters
    return f"{letters[:-1]} ({'high' if letters[-1] == 'H' else 'low'})"


def rating_of(
    scopes: Iterable[str], agencies: Iterable[str], at_least: int | None, at_most: int | None, resolve: str | None
) -> Form:
    """A rating criterion in its one spelling: one agency's own letters, S&P's for several; steps in between."""
    named = [agency for agency in AGENCIES if agency in set(agencies)]
    agency = named[0] if len(named) == 1 else "sp"
    inner: Form = {"scope": list(scopes)}
    for word, step in (("at_least", at_least), ("at_most", at_most)):
        if step is not None:
            inner[word] = letters_of(step, agency)
    inner["agencies"] = named
    if len(named) > 1 and resolve is not None:
        inner["resolve"] = resolve
    return {"rating": inner}


def step_of(letters: str, agency: str) -> int | None:
    """The step that an agency's letters stand for (anybody's, if they are not its own); None if they are no rating."""
    for known in (agency, None):
        try:
            return rating_step(letters, known)
        except ValueError:
            continue
    return None
