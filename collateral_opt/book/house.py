"""House limits: caps over all agreements and facilities together, read from ``house_limits.yaml``.

A house limit is written like a schedule's limit; it may also group by holding, place or counterparty, be a share of
what is held, or say how much must stay. What it counts is said by :mod:`.house_groups`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BeforeValidator,
    Discriminator,
    ModelWrapValidatorHandler,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from eligibility_rules import Cap, Limit, is_known
from eligibility_rules.columns import KNOWN_COLUMNS
from eligibility_rules.limits import Measure
from eligibility_rules.problems import did_you_mean
from eligibility_rules.scalars import PROBLEM, decimal_text, problem, shown
from eligibility_rules.vocabulary import (
    FIELDS,
    PER_ASSET,
    Criterion,
    Exact,
    Frozen,
    Text,
    cap_form,
    leaf_columns,
    leaves,
    place_of,
    with_problems,
)

from ..errors import Finding
from .codes import finding

if TYPE_CHECKING:
    from .checks import Draft

HOUSE = "house"
"""What house limits are called in the column `agreement_id` of limits."""
TABLE = "house_limits"
BY_HOLDING = ("holding", "location")
BY_COUNTERPARTY = ("agreement", "counterparty", "counterparty_parent")
PLACES = (
    ("agreements", "agreement_id"),
    ("facilities", "facility_id"),
    ("reserves", "reserve_id"),
    ("received", "received_id"),
)
"""Identifiers that the column `agreement_id` of limits may show."""
BASES = ("money", "held", *PER_ASSET)
_SAME = {"asset_id": "asset", "holding_id": "holding", "agreement_id": "agreement"}


# -------------------- the words


class Money(Frozen):
    """An amount of a currency."""

    amount: Exact
    currency: Text

    @field_validator("amount")
    @classmethod
    def _not_negative(cls, amount: Fraction) -> Fraction:
        if amount < 0:
            text = decimal_text(amount)
            raise problem(f"amount is {text} (must be at least 0)", text, "Correct its sign")
        return amount


class Held(Frozen):
    """The most that may leave of what is held, as a share of it."""

    of: Literal["held"] = "held"
    share: Exact

    @field_validator("share")
    @classmethod
    def _is_share(cls, share: Fraction) -> Fraction:
        if not 0 <= share <= 1:
            text = decimal_text(share)
            raise problem(f"max is {text} (a share of what is held is 0 to 1)", text, "Write nine tenths as 0.9")
        return share


def _cap_kind(raw: object) -> str:
    of = raw.get("of") if isinstance(raw, Mapping) else getattr(raw, "of", None)
    return "held" if of == "held" else "cap"


HouseCap = Annotated[
    Annotated[Held, BeforeValidator(cap_form), Tag("held")] | Annotated[Cap, BeforeValidator(cap_form), Tag("cap")],
    Discriminator(_cap_kind),
]


class HouseLimit(Frozen):
    """A cap on every group of the selected assets over the whole house, several of them, or what must stay.

    ``group_by`` is `none`, `asset`, an asset column, or one of :data:`BY_HOLDING` and :data:`BY_COUNTERPARTY`.
    """

    label: Text = ""
    group_by: Text = "none"
    select: Criterion | None = None
    measure: Measure = "market_value"
    caps: tuple[HouseCap, ...] = ()
    min_left: Money | None = None
    note: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _one_form(cls, raw: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, Mapping):
            return read(raw)
        form, found = _limit_form(raw)
        return with_problems(cls, form, read, found)  # type: ignore[no-any-return]

    @property
    def leaving(self) -> bool:
        """Whether it counts only what leaves holdings in this run, not all that is handed over and posted."""
        of_held = any(isinstance(cap, Held) for cap in self.caps)
        return self.group_by in BY_HOLDING or of_held or self.min_left is not None

    @property
    def asset_column(self) -> str | None:
        """The asset column that tells the groups apart; None where none does."""
        if self.group_by == "none" or self.group_by in (*BY_HOLDING, *BY_COUNTERPARTY):
            return None
        return "asset_id" if self.group_by == "asset" else self.group_by

    @property
    def columns(self) -> frozenset[str]:
        """Every asset column it speaks of."""
        named = {column for leaf in leaves(self.select) for column in leaf_columns(leaf)}
        return frozenset(named | ({self.asset_column} if self.asset_column is not None else set()))

    @property
    def currencies(self) -> frozenset[str]:
        """Every currency it states an amount in."""
        stated = {cap.currency for cap in self.caps if isinstance(cap, Cap) and cap.currency is not None}
        return frozenset(stated | ({self.min_left.currency} if self.min_left is not None else set()))

    def over_assets(self, base_currency: str) -> Limit:
        """Its side that speaks of assets alone, as a schedule's limit: what is selected, and the asset column."""
        nothing = Cap(of="money", amount=Fraction(0), currency=base_currency)
        group_by = self.asset_column or "none"
        return Limit(label=self.label, group_by=group_by, select=self.select, caps=(nothing,))


def _limit_form(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[PydanticCustomError]]:
    """The fields of a limit as it is written, and what does not go together in it."""
    form = {key: value for key, value in raw.items() if key not in ("of", "max", "caps")}
    group_by = raw.get("group_by") or "none"
    form["group_by"] = _SAME.get(group_by, group_by) if isinstance(group_by, str) else group_by
    caps, found = _caps_form(raw)
    if raw.get("min_left") is not None:
        found += _min_left_problems(raw, form)
        return form, found
    form.pop("min_left", None)
    sound = []
    for cap in caps:
        of = cap.get("of") if isinstance(cap, Mapping) else getattr(cap, "of", None)
        faults = [] if of is None and not isinstance(cap, Mapping) else list(_basis_problems(of, form))
        found += faults
        sound += [] if faults else [cap]
    ofs = {_cap_kind(cap) for cap in sound}
    if len(ofs) > 1 and form["group_by"] not in BY_HOLDING:
        message = "of: held counts what leaves holdings in this run, the other caps count all that is there"
        found.append(problem(message, "held", "Write two limits"))
    return {**form, "caps": tuple(sound)}, found


def _caps_form(raw: Mapping[str, Any]) -> tuple[Sequence[Any], list[PydanticCustomError]]:
    single = {key: raw[key] for key in ("of", "max") if raw.get(key) is not None}
    caps = raw.get("caps")
    if raw.get("min_left") is not None:
        return (), []
    if caps is None or caps == "":
        nothing = problem("has no cap", "", "Add of: and max:, or min_left: {amount: 5000000, currency: EUR}")
        return ((single,), []) if single else ((), [nothing])
    if single:
        return (), [problem("has caps and, beside them, of or max", "", "Move of and max into the list of caps")]
    if isinstance(caps, str | Mapping) or not isinstance(caps, Sequence) or not caps:
        remedy = "Write caps: [{of: money, max: {amount: 50000000, currency: USD}}]"
        return (), [problem("caps is not a list with a cap in it", caps, remedy)]
    return caps, []


def _min_left_problems(raw: Mapping[str, Any], form: Mapping[str, Any]) -> Iterator[PydanticCustomError]:
    beside = [key for key in ("of", "max", "caps") if raw.get(key)]
    if beside:
        yield problem(f"has min_left and, beside it, {beside[0]}", "", "Keep one of them, or write two limits")
    if form["group_by"] in BY_COUNTERPARTY:
        message = f"min_left says what stays at home, but group_by is {form['group_by']}"
        yield problem(message, form["group_by"], "Group by location, holding, asset or an asset column")
    if form.get("measure", "market_value") != "market_value":
        message = f"min_left is a market value, but measure is {shown(form['measure'])}"
        yield problem(message, form["measure"], "Take measure out")
    if not isinstance(raw["min_left"], Mapping | Money):
        yield problem(
            f"min_left is {shown(raw['min_left'])}", raw["min_left"], "Write {amount: 5000000, currency: EUR}"
        )


def _basis_problems(of: object, form: Mapping[str, Any]) -> Iterator[PydanticCustomError]:
    """What a cap is a share of must be known to the house, and fit what is measured and how it is grouped."""
    group_by, measure = form["group_by"], form.get("measure", "market_value")
    if of is None or of == "":
        yield problem("a cap does not say of what", "", "Add of: " + " | ".join(BASES))
    elif of in ("requirement", "posted"):
        remedy = "Write of: money or of: held, or put the limit into a schedule"
        yield problem(f"of: {of} is a share of one agreement, and a house limit is over all of them", of, remedy)
    elif of not in BASES:
        remedy = did_you_mean(shown(of), BASES) or "Write one of " + ", ".join(BASES)
        yield problem(f"of is {shown(of)}, which is not known", of, remedy)
    elif of in PER_ASSET and group_by != "asset":
        yield problem(f"of: {of} is a fact of one asset, but group_by is {group_by}", of, "Write group_by: asset")
    elif of == "held" and group_by in BY_COUNTERPARTY:
        message = f"of: held is a share of what is held, but group_by is {group_by}"
        yield problem(message, of, "Group by holding, location, asset or an asset column, or write of: money")
    elif of == "held" and measure == "value_after_haircut":
        remedy = "Measure market_value or quantity"
        yield problem("what is held has no haircut: of: held never meets value_after_haircut", of, remedy)
    elif of == "money" and measure == "quantity" and group_by not in ("asset", "holding"):
        remedy = "Write group_by: asset or holding, or measure market_value"
        yield problem("measure quantity meets of: money only asset by asset", of, remedy)


# -------------------- reading them


def parse_house_limits(data: object) -> tuple[tuple[HouseLimit, ...], list[Finding]]:
    """The house limits of ``house_limits.yaml``'s mapping, and everything wrong with them.

    ``data`` may also be the list itself, of mappings or of :class:`HouseLimit`; None is no limits. A limit that
    cannot be read is left out, its findings (E501) name it by its place and label.
    """
    if data is None:
        return (), []
    found: list[Finding] = []
    parts = data
    if isinstance(data, Mapping):
        for key in data:
            if key not in ("limits", "note"):
                remedy = did_you_mean(str(key), ["limits"]) or "Known are limits, note."
                found.append(problem_finding("", str(key), f"{key} is not known here", remedy))
        parts = data.get("limits")
    if isinstance(parts, str | Mapping) or not isinstance(parts, Sequence):
        message = "house limits are a list under limits"
        return (), [*found, problem_finding("", shown(parts), message, "Write limits: and below it lines with -")]
    limits: list[HouseLimit] = []
    for place, part in enumerate(parts, 1):
        try:
            limits.append(part if isinstance(part, HouseLimit) else _labelled(part, place))
        except ValidationError as failed:
            label = str(part.get("label") or "") if isinstance(part, Mapping) else ""
            found += [_worded(place_of("limit", place, label), detail) for detail in failed.errors(include_url=False)]
    return tuple(limits), found


def _labelled(part: object, place: int) -> HouseLimit:
    if isinstance(part, Mapping) and not part.get("label"):
        part = {**part, "label": f"limit {place}"}
    return HouseLimit.model_validate(part)


def problem_finding(where: str, value: str, message: str, remedy: str) -> Finding:
    """E501 about one limit, ``where``; as ``limit 2 'one issuer'``."""
    cause, remedy = (text if text.endswith((".", "?")) else text + "." for text in (message, remedy))
    return finding("E501", TABLE, column=where or None, value=value or None, cause=cause, remedy=remedy)


def _worded(where: str, detail: ErrorDetails) -> Finding:
    """One pydantic error in our own words."""
    names = [str(part) for part in detail["loc"] if isinstance(part, str)]
    field, value, context = (names[-1] if names else "limit"), shown(detail["input"]), detail.get("ctx", {})
    if detail["type"] == PROBLEM:
        return problem_finding(where, context["value"], context["message"], context["remedy"])
    if detail["type"] == "extra_forbidden":
        known = (*HouseLimit.model_fields, "of", "max") if len(names) == 1 else FIELDS.get(names[-2], ())
        remedy = did_you_mean(field, known) or ("Known are " + ", ".join(known) if known else "Take it out")
        return problem_finding(where, field, f"{field} is not known here", remedy)
    if detail["type"] == "missing":
        return problem_finding(where, "", f"{field} is missing", f"Add {field}")
    if detail["type"] == "literal_error":
        words = [w.strip().strip("'") for w in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        remedy = did_you_mean(value, words) or "Write one of " + ", ".join(words)
        return problem_finding(where, value, f"{field} is {value}, which is not known", remedy)
    if detail["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return problem_finding(where, value, f"{value or field} is not a mapping", "Write {key: value, ...}")
    return problem_finding(where, value, f"{field}: {detail['msg']}", "Write a single text")


# -------------------- what shows beside the tables


def house_problems(draft: Draft) -> Iterator[Finding]:
    """E308: a place called as the house is. E501: a column that no asset table has."""
    if not draft.house_limits:
        return
    for name, column in PLACES:
        table = draft.tables[name]
        for i in np.flatnonzero((table.frame[column] == HOUSE).to_numpy()).tolist():
            yield finding("E308", name, row=table.rows[i], column=column, value=HOUSE)
    columns = set(draft.frame("assets").columns) | KNOWN_COLUMNS
    for place, limit in enumerate(draft.house_limits, 1):
        for column in sorted(limit.columns):
            if column not in columns and not is_known(column):
                words = [*columns, *BY_HOLDING, *BY_COUNTERPARTY] if column == limit.asset_column else columns
                remedy = did_you_mean(column, sorted(words)) or "Add the column to assets, or correct the name"
                where = place_of("limit", place, limit.label)
                yield problem_finding(where, column, f"assets have no column {column}", remedy)
