"""The words a schedule is written in, as frozen models: the YAML of a schedule is their form.

A criterion is one of :data:`Criterion`'s models. Its YAML form (`{asset_type: debt}`, `{all: [...]}`) is
read by the functions named `*_form`, which stand beside the models so that these stay plain. What a form
gets wrong becomes a pydantic error in our own words; `loading` turns all of them into `ScheduleProblem`s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from eligibility_rules.columns import (
    AGENCIES,
    ASSET_TYPES,
    RATING_COLUMNS,
    SCOPES,
    is_known,
    known_kind,
    rating_column,
)
from eligibility_rules.icad import COLUMN as ICAD_COLUMN
from eligibility_rules.icad import is_code, nearest
from eligibility_rules.problems import did_you_mean
from eligibility_rules.ratings import rating_step
from eligibility_rules.remembered import Remembered
from eligibility_rules.scalars import (
    day,
    decimal_text,
    exact,
    number,
    problem,
    shown,
    tenor,
    text_of,
    texts_of,
    true_or_false,
)

COMPARISONS = ("lt", "le", "gt", "ge")
MATURITIES = ("remaining", "original", "since_issue")
RESOLVES = ("lowest", "highest", "second_best", "average", "any")
LEAVES = ("maturity", "rating", "own_issue", "domestic_currency")
BRANCHES = ("all", "any", "not")

Text = Annotated[str, BeforeValidator(text_of)]
Texts = Annotated[tuple[str, ...], BeforeValidator(texts_of)]
Exact = Annotated[Fraction, BeforeValidator(exact), PlainSerializer(decimal_text, when_used="json")]
TrueFalse = Annotated[bool, BeforeValidator(true_or_false)]
Tenor = Annotated[str, BeforeValidator(tenor)]
MarginType = Literal["im", "vm"]


class Frozen(BaseModel):
    """A model that cannot change and has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def with_problems(
    model: type[BaseModel], raw: Any, read: Callable[[Any], Any], found: Sequence[PydanticCustomError]
) -> Any:
    """Read a model and report the problems of its fields together with the ones `found` across them."""
    errors: list[InitErrorDetails] = [InitErrorDetails(type=error, loc=(), input=None) for error in found]
    try:
        value = read(raw)
    except ValidationError as failed:
        for detail in failed.errors(include_url=False):
            errors.append(
                InitErrorDetails(
                    type=PydanticCustomError(
                        detail["type"], "{message}", {"message": detail["msg"], **detail.get("ctx", {})}
                    ),
                    loc=detail["loc"],
                    input=detail["input"],
                )
            )
        raise ValidationError.from_exception_data(model.__name__, errors) from None
    if errors:
        raise ValidationError.from_exception_data(model.__name__, errors)
    return value


# -------------------- criteria


class AllOf(Frozen):
    """True where every criterion is: false beats unknown, unknown beats true."""

    word: ClassVar[str] = "all"
    criteria: tuple[Criterion, ...]


class AnyOf(Frozen):
    """True where one criterion is: true beats unknown, unknown beats false."""

    word: ClassVar[str] = "any"
    criteria: tuple[Criterion, ...]


class Not(Frozen):
    """The opposite of a criterion; unknown stays unknown."""

    word: ClassVar[str] = "not"
    criterion: Criterion


class ColumnIn(Frozen):
    """The asset's cell is one of the values."""

    word: ClassVar[str] = "column"
    column: str
    values: tuple[str, ...]


class ColumnCompare(Frozen):
    """The asset's number or date lies within the bounds, each a number or an ISO date as text."""

    word: ClassVar[str] = "compare"
    column: str
    lt: Text | None = None
    le: Text | None = None
    gt: Text | None = None
    ge: Text | None = None


class Maturity(Frozen):
    """A distance on the calendar, compared as dates: `remaining le 5Y` is maturity_date <= as_of + 5Y."""

    word: ClassVar[str] = "maturity"
    measured: Literal["remaining", "original", "since_issue"]
    lt: Tenor | None = None
    le: Tenor | None = None
    gt: Tenor | None = None
    ge: Tenor | None = None


class Rating(Frozen):
    """The rating of the first scope that carries one, resolved over the agencies, lies within the bounds."""

    word: ClassVar[str] = "rating"
    scope: Texts = ("asset",)
    at_least: Text | None = None
    at_most: Text | None = None
    agencies: Texts = AGENCIES
    resolve: Literal["lowest", "highest", "second_best", "average", "any"] = "lowest"

    @field_validator("at_least", "at_most")
    @classmethod
    def _letters(cls, letters: str | None) -> str | None:
        if letters is not None and _step(letters) is None:
            raise problem(
                f"{letters} is not a rating",
                letters,
                "Write S&P's letters or the agency's own: BBB-, Baa3, BBB (low)",
            )
        return letters

    @field_validator("scope")
    @classmethod
    def _scopes(cls, scope: tuple[str, ...]) -> tuple[str, ...]:
        return _each_of(scope, SCOPES, "scope")

    @field_validator("agencies")
    @classmethod
    def _agencies(cls, agencies: tuple[str, ...]) -> tuple[str, ...]:
        return _each_of(agencies, AGENCIES, "agency")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        best, worst = self.best_step, self.worst_step
        if self.at_least is None and self.at_most is None:
            raise problem("a rating criterion has no bound", "", "Add at_least or at_most")
        if best > worst:
            raise problem(
                f"no rating is at least {self.at_least} and at most {self.at_most}",
                self.at_least,
                "Exchange the bounds",
            )
        return self

    @property
    def best_step(self) -> int:
        """Smallest step of the scale that still satisfies `at_most`."""
        return 1 if self.at_most is None else _step(self.at_most) or 1

    @property
    def worst_step(self) -> int:
        """Largest step of the scale that still satisfies `at_least`."""
        return 22 if self.at_least is None else _step(self.at_least) or 22

    @property
    def columns(self) -> tuple[str, ...]:
        """Every asset column it looks at, scope by scope."""
        return tuple(rating_column(scope, agency) for scope in self.scope for agency in self.agencies)


class OwnIssue(Frozen):
    """Issued inside the poster's family: issuer or issuer_parent is the context's owner_parent."""

    word: ClassVar[str] = "own_issue"
    value: TrueFalse


class DomesticCurrency(Frozen):
    """The asset's currency is legal tender in its issuer's country on the day."""

    word: ClassVar[str] = "domestic_currency"
    value: TrueFalse


def _step(letters: str) -> int | None:
    try:
        return rating_step(letters)
    except ValueError:
        return None


def _each_of(words: tuple[str, ...], known: Sequence[str], what: str) -> tuple[str, ...]:
    for word in words:
        if word not in known:
            remedy = did_you_mean(word, known) or "Write one of " + ", ".join(known)
            raise problem(f"{word} is not a known {what}", word, remedy)
    return tuple(dict.fromkeys(words))


# -------------------- the YAML form of a criterion


def _kind(raw: object) -> str:
    """Which model a form is meant for; what fits none goes to the column leaf, which says what is wrong."""
    if isinstance(raw, Frozen):
        return str(getattr(raw, "word", "column"))
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((key, value),) = raw.items()
        if key in BRANCHES or key in LEAVES:
            return str(key)
        if isinstance(value, Mapping):
            return "compare"
    return "column"


def branch_form(raw: object) -> object:
    """`{all: [...]}` and `{any: [...]}`."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    ((word, criteria),) = raw.items()
    if isinstance(criteria, Mapping | str) or not isinstance(criteria, Sequence):
        raise problem(f"{word} needs a list of criteria", criteria, f"Write {word}: [{{...}}, {{...}}]")
    if not criteria:
        raise problem(f"{word} has an empty list", criteria, f"Write at least one criterion under {word}")
    return {"criteria": tuple(criteria)}


def not_form(raw: object) -> object:
    """`{not: {...}}`."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    if not isinstance(raw["not"], Mapping | Frozen):
        raise problem(
            "not needs exactly one criterion",
            raw["not"],
            "Write not: {...}, or not: {any: [...]} for several",
        )
    return {"criterion": raw["not"]}


def leaf_form(raw: object) -> object:
    """`{rating: {...}}`: the inner mapping is the model's own."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    ((word, inner),) = raw.items()
    if not isinstance(inner, Mapping):
        raise problem(f"{word} needs a mapping", inner, f"Write {word}: {{at_least: BBB-}}")
    return inner


def flag_form(raw: object) -> object:
    """`{own_issue: true}`."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    (value,) = raw.values()
    return {"value": value}


def maturity_form(raw: object) -> object:
    """`{maturity: {remaining: {ge: 1Y, le: 5Y}}}`."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    inner = raw["maturity"]
    if not isinstance(inner, Mapping) or len(inner) != 1:
        raise problem(
            "maturity needs exactly one of " + ", ".join(MATURITIES),
            inner,
            "Write maturity: {remaining: {le: 5Y}}, and two of them as two leaves under all",
        )
    ((measured, bounds),) = inner.items()
    if measured not in MATURITIES:
        remedy = did_you_mean(str(measured), MATURITIES) or "Write one of " + ", ".join(MATURITIES)
        raise problem(f"maturity knows no {measured}", measured, remedy)
    return {"measured": measured, **_bounds(f"maturity {measured}", bounds, "5Y")}


def _bounds(what: str, bounds: object, example: str) -> dict[str, object]:
    if not isinstance(bounds, Mapping) or not bounds:
        raise problem(f"{what} needs a comparison", bounds, f"Write {{le: {example}}}, with lt, le, gt or ge")
    for word in bounds:
        if word not in COMPARISONS:
            meant = "maturity" if word in MATURITIES else "rating" if word in Rating.model_fields else ""
            near = f"Did you mean {meant}: {{{word}: ...}}?" if meant else did_you_mean(str(word), COMPARISONS)
            remedy = near or "Compare with lt, le, gt or ge"
            raise problem(f"{what} knows no comparison {word}", word, remedy)
    for lower, upper in (("lt", "le"), ("gt", "ge")):
        if lower in bounds and upper in bounds:
            raise problem(f"{what} has both {lower} and {upper}", bounds, "Keep one of them")
    return dict(bounds)


def column_form(raw: object) -> object:
    """`{issuer_country: [US, NO]}`; also where every form that fits nothing is told why."""
    if isinstance(raw, Frozen):
        return raw
    if not isinstance(raw, Mapping) or not raw:
        raise problem(
            f"{shown(raw) or 'nothing'} is not a criterion",
            raw,
            "Write a mapping, such as {asset_type: debt}",
        )
    if len(raw) > 1:
        words = ", ".join(map(str, raw))
        raise problem(
            f"a criterion has {len(raw)} keys: {words}",
            words,
            "Put each on its own under all: [{...}, {...}]",
        )
    ((column, value),) = raw.items()
    name = _column_name(column)
    if isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value):
        remedy = did_you_mean(name, BRANCHES) or "Only all and any take a list of criteria"
        raise problem(f"{name} is not known here", name, remedy)
    if known_kind(name) == "text" and _has_boolean(value):
        raise problem(
            f"{name} is text, and true or false is not",
            value,
            "Quote it ('NO' is Norway), or read the file with load_schedule, which keeps text as written",
        )
    if value is None or value == "":
        raise problem(f"{name} has no value", "", f"Write {name}: [one, or, another]; no rule asks for an empty cell")
    values = texts_of(value)
    for text in values:
        _check_value(name, text)
    return {"column": name, "values": tuple(dict.fromkeys(values))}


def compare_form(raw: object) -> object:
    """`{duration: {gt: 1, le: 7}}`."""
    if isinstance(raw, Frozen):
        return raw
    assert isinstance(raw, Mapping)
    ((column, bounds),) = raw.items()
    name = _column_name(column)
    near = did_you_mean(name, (*LEAVES, *BRANCHES))
    if near and not is_known(name) and not (isinstance(bounds, Mapping) and set(bounds) <= set(COMPARISONS)):
        raise problem(f"{name} is not known", name, near)
    given = _bounds(name, bounds, "7")
    if known_kind(name) == "text":
        remedy = "Use rating: {at_least: BBB-}" if name in RATING_COLUMNS else f"Write {name}: [one, or, another]"
        raise problem(f"{name} is text and has no order", shown(given), remedy)
    texts = {word: text_of(bound) for word, bound in given.items()}
    for text in texts.values():
        if known_kind(name) is None and number(text) is None and day(text) is None:
            raise problem(
                f"{name} is compared with {text}, which is neither a number nor a date",
                text,
                "Write 7 or 2030-12-31",
            )
        _check_value(name, text)
    return {"column": name, **texts}


def _column_name(key: object) -> str:
    if not isinstance(key, str) or not key.strip():
        raise problem(f"{shown(key) or 'an empty key'} is not the name of a column", key, "Write the column's name")
    return key.strip()


def _has_boolean(value: object) -> bool:
    inner = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return any(isinstance(one, bool) for one in inner)


def _check_value(column: str, text: str) -> None:
    """A value that a column's cells can never hold is a slip of the pen, not a criterion."""
    kind = known_kind(column)
    if kind == "number" and number(text) is None:
        raise problem(f"{column} is a number, {text} is not", text, "Write a number, such as 7 or 0.5")
    if kind == "date" and day(text) is None:
        raise problem(f"{column} is a date, {text} is not", text, "Write it as 2030-12-31")
    if column == "asset_type" and text not in ASSET_TYPES:
        remedy = did_you_mean(text, ASSET_TYPES) or "Write one of " + ", ".join(ASSET_TYPES)
        raise problem(f"{text} is not an asset_type", text, remedy)
    if column == ICAD_COLUMN and not is_code(text):
        raise problem(f"{text} is not a code of {ICAD_COLUMN}", text, nearest(text))


Criterion = Annotated[
    Annotated[AllOf, BeforeValidator(branch_form), Tag("all")]
    | Annotated[AnyOf, BeforeValidator(branch_form), Tag("any")]
    | Annotated[Not, BeforeValidator(not_form), Tag("not")]
    | Annotated[ColumnIn, BeforeValidator(column_form), Tag("column")]
    | Annotated[ColumnCompare, BeforeValidator(compare_form), Tag("compare")]
    | Annotated[Maturity, BeforeValidator(maturity_form), Tag("maturity")]
    | Annotated[Rating, BeforeValidator(leaf_form), Tag("rating")]
    | Annotated[OwnIssue, BeforeValidator(flag_form), Tag("own_issue")]
    | Annotated[DomesticCurrency, BeforeValidator(flag_form), Tag("domestic_currency")],
    Discriminator(_kind),
]
Leaf = ColumnIn | ColumnCompare | Maturity | Rating | OwnIssue | DomesticCurrency


def leaves(criterion: Criterion | None) -> Iterator[Leaf]:
    """The leaves of a criterion, in the order they are written."""
    match criterion:
        case None:
            return
        case AllOf() | AnyOf():
            for inner in criterion.criteria:
                yield from leaves(inner)
        case Not():
            yield from leaves(criterion.criterion)
        case _:
            yield criterion


def leaf_columns(leaf: Leaf) -> tuple[str, ...]:
    """The asset columns that decide a leaf."""
    match leaf:
        case ColumnIn() | ColumnCompare():
            return (leaf.column,)
        case Maturity():
            return {
                "remaining": ("maturity_date",),
                "original": ("issue_date", "maturity_date"),
                "since_issue": ("issue_date",),
            }[leaf.measured]
        case Rating():
            return leaf.columns
        case OwnIssue():
            return ("asset_type", "issuer", "issuer_parent")
        case DomesticCurrency():
            return ("issuer_country", "currency")


# -------------------- rules and haircuts


class Valuation(Frozen):
    """How much of the market value counts: exactly one of the three forms, exact to the decimal text."""

    haircut: Exact | None = None
    margin_ratio: Exact | None = None
    valuation_percentage: Exact | None = None

    @field_validator("haircut")
    @classmethod
    def _haircut(cls, haircut: Fraction | None) -> Fraction | None:
        return None if haircut is None else share_below_one(haircut, "haircut")

    @field_validator("margin_ratio")
    @classmethod
    def _margin_ratio(cls, ratio: Fraction | None) -> Fraction | None:
        if ratio is not None and ratio < 1:
            raise problem(
                f"margin_ratio is {decimal_text(ratio)} (must be at least 1)",
                decimal_text(ratio),
                "Write 1.02 for a value of 1/1.02",
            )
        return ratio

    @field_validator("valuation_percentage")
    @classmethod
    def _valuation_percentage(cls, share: Fraction | None) -> Fraction | None:
        if share is not None and not 0 < share <= 1:
            text = decimal_text(share)
            raise problem(f"valuation_percentage is {text} (must be above 0 and at most 1)", text, "Write 98 % as 0.98")
        return share

    @property
    def factor(self) -> Fraction:
        """The collateral value of one unit of market value, before any FX haircut; 0 without a valuation."""
        if self.haircut is not None:
            return 1 - self.haircut
        if self.margin_ratio is not None:
            return 1 / self.margin_ratio
        return self.valuation_percentage if self.valuation_percentage is not None else Fraction(0)


VALUATIONS = tuple(Valuation.model_fields)


def share_below_one(share: Fraction, what: str) -> Fraction:
    """A haircut: from 0 up to, but not including, 1."""
    if not 0 <= share < 1:
        text = decimal_text(share)
        meant = f"If {text} % is meant, write {decimal_text(share / 100)}"
        remedy = meant if 1 <= share < 100 else "Write 2 % as 0.02"
        raise problem(f"{what} is {text} (must be at least 0 and below 1)", text, remedy)
    return share


class Rule(Valuation):
    """Takes the assets for which `when` is true, at its valuation; or, with `exclude`, refuses them."""

    label: Text = ""
    when: Criterion | None = None
    exclude: TrueFalse = False
    margin_type: MarginType | None = None
    note: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _one_valuation(cls, raw: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        return with_problems(cls, raw, read, _valuation_problems(raw))  # type: ignore[no-any-return]


def _valuation_problems(raw: object) -> list[PydanticCustomError]:
    if not isinstance(raw, Mapping):
        return []
    given = [word for word in VALUATIONS if raw.get(word) is not None]
    excludes = str(raw.get("exclude", "false")).lower() in ("true", "yes")
    if excludes and given:
        return [problem(f"an exclusion has a {given[0]}", raw[given[0]], f"Take out {given[0]}, or exclude")]
    if not excludes and len(given) != 1:
        found = "none" if not given else " and ".join(given)
        return [
            problem(
                f"needs exactly one of {', '.join(VALUATIONS)}; it has {found}",
                found if given else "",
                "Write haircut: 0.02, or exclude: true",
            )
        ]
    return []


class Deduction(Frozen):
    """What comes off the factor of every rule alike, from the assets for which `select` is true or unknown."""

    rate: Exact
    combine: Literal["additive", "multiplicative"] = "additive"
    select: Criterion | None = None
    margin_type: MarginType | None = None

    @field_validator("rate")
    @classmethod
    def _rate(cls, rate: Fraction) -> Fraction:
        return share_below_one(rate, "rate")

    def applied_to(self, factor: Fraction) -> Fraction:
        """The factor that is left of `factor`: additive 1-h-r, multiplicative (1-h)(1-r); either keeps their order."""
        return factor - self.rate if self.combine == "additive" else factor * (1 - self.rate)


class FurtherHaircut(Deduction):
    """A haircut on top of that of the rule, such as one point more for zero coupons."""

    label: Text = ""
    note: str = ""


class FxHaircut(Deduction):
    """A further haircut where the asset's currency differs from the one the collateral is counted in."""

    when: Literal["differs_from_base"] = "differs_from_base"


# -------------------- limits

PER_ASSET = ("outstanding", "market_cap", "adv")
BASES = ("requirement", "posted", *PER_ASSET, "money")


class Cap(Frozen):
    """The most a group may reach: a share of something, or (`of: money`) an amount of a currency."""

    of: Literal["requirement", "posted", "outstanding", "market_cap", "adv", "money"]
    share: Exact | None = None
    amount: Exact | None = None
    currency: Text | None = None

    @field_validator("share", "amount")
    @classmethod
    def _not_negative(cls, most: Fraction | None) -> Fraction | None:
        if most is not None and most < 0:
            raise problem(
                f"max is {decimal_text(most)} (must be at least 0)",
                decimal_text(most),
                "Write 0.25 for a quarter",
            )
        return most

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        money = self.amount is not None and self.currency is not None
        if money != (self.of == "money") or (self.share is None) != (self.of == "money"):
            raise problem(
                f"a cap of {self.of} lacks its max",
                self.of,
                "Give money an amount and currency, others a share",
            )
        return self


def cap_form(raw: object) -> object:
    """`{of: requirement, max: 0.25}` or `{of: money, max: {amount: 50000000, currency: USD}}`."""
    if not isinstance(raw, Mapping):
        return raw
    fields = {key: value for key, value in raw.items() if key != "max"}
    if "share" in raw or "amount" in raw:
        return fields
    most, of = raw.get("max"), raw.get("of")
    if most is None or most == "":
        raise problem(
            "a cap has no max",
            "",
            "Write max: 0.25, or max: {amount: 50000000, currency: USD} with of: money",
        )
    if of is None or of == "":
        raise problem("a cap does not say of what", shown(most), "Add of: " + " | ".join(BASES))
    if (of == "money") != isinstance(most, Mapping):
        wanted = (
            "{amount: 50000000, currency: USD}"
            if of == "money"
            else "a share, such as 0.25 (an amount goes with of: money)"
        )
        raise problem(f"max is {shown(most)}, which does not go with of: {of}", shown(most), f"Write max: {wanted}")
    if not isinstance(most, Mapping):
        return {**fields, "share": most}
    if set(most) != {"amount", "currency"}:
        raise problem(f"max is {shown(most)}", shown(most), "Write {amount: 50000000, currency: USD}")
    return {**fields, **most}


class Limit(Frozen):
    """A cap on every group of the selected assets, or several caps of which the least binds."""

    label: Text = ""
    group_by: Text = "none"
    select: Criterion | None = None
    measure: Literal["market_value", "value_after_haircut", "quantity"] = "market_value"
    caps: tuple[Annotated[Cap, BeforeValidator(cap_form)], ...]
    note: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _one_form(cls, raw: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, Mapping):
            return read(raw)
        found: list[PydanticCustomError] = []
        form = {key: value for key, value in raw.items() if key not in ("of", "max")}
        if "caps" not in raw:
            form["caps"] = ({key: raw[key] for key in ("of", "max") if key in raw},)
        elif "of" in raw or "max" in raw:
            found.append(problem("has caps and, beside them, of or max", "", "Move of and max into the list of caps"))
        elif isinstance(raw["caps"], str | Mapping) or not raw["caps"]:
            found.append(
                problem(
                    "caps is not a list with a cap in it",
                    raw["caps"],
                    "Write caps: [{of: requirement, max: 0.25}]",
                )
            )
            form["caps"] = ()
        return with_problems(cls, form, read, [*found, *_basis_problems(form)])  # type: ignore[no-any-return]

    @property
    def group_column(self) -> str | None:
        """The asset column that tells the groups apart; None where everything selected is one group."""
        return {"none": None, "asset": "asset_id"}.get(self.group_by, self.group_by)


def _basis_problems(form: Mapping[str, Any]) -> list[PydanticCustomError]:
    """What a cap is a share of must fit what is measured and how it is grouped."""
    found = []
    by_asset = form.get("group_by") in ("asset", "asset_id")
    quantity = form.get("measure") == "quantity"
    for cap in form["caps"]:
        of = cap.of if isinstance(cap, Cap) else cap.get("of") if isinstance(cap, Mapping) else None
        if of in PER_ASSET and not by_asset:
            found.append(
                problem(
                    f"of: {of} is a fact of one asset, but group_by is {form.get('group_by', 'none')}",
                    of,
                    "Write group_by: asset",
                )
            )
        if quantity and of == "requirement":
            found.append(
                problem(
                    "measure quantity never meets of: requirement (units against money)",
                    of,
                    "Measure market_value or value_after_haircut",
                )
            )
        if quantity and of == "money" and not by_asset:
            found.append(
                problem(
                    "measure quantity meets of: money only asset by asset",
                    of,
                    "Write group_by: asset, or measure market_value",
                )
            )
    return found


# -------------------- schedules


class Listed(Frozen):
    """One line of a list schedule: an asset by its id or, where that is empty, by its ISIN."""

    line: int
    asset_id: str | None
    isin: str | None
    eligible: bool
    haircut: Exact | None
    max_quantity: Exact | None = None
    max_value: Exact | None = None


UNDATED = "undated"
_AS_OF = re.compile(r"^\d{4}(-(0[1-9]|1[0-2]))?$")


def as_of_text(value: object) -> str | None:
    """The day, month or year that the figures of a schedule are of, or `undated` for a source that has none."""
    text = text_of(value) if value not in (None, "") else None
    if text is not None and text != UNDATED and not _AS_OF.match(text) and day(text) is None:
        raise problem(f"{text} is not a date", text, "Write 2026-07-01, 2026-07, 2026 or undated")
    return text


def left_out(value: object) -> tuple[str, ...]:
    """A list of texts, which may be empty: nothing of the source is left out."""
    return () if value is None or value == "" or value in ([], ()) else texts_of(value)


class Schedule(Frozen):
    """What one agreement accepts: rules or a list, with haircuts and limits.

    `as_of` (of the figures) and `leaves_out` (what the source says and the schedule does not) tell a reader how
    far to trust it; neither has a part in matching. Further haircuts come off in the order they are written,
    before the FX haircut.
    """

    name: Text
    source: str = ""
    as_of: Annotated[str | None, BeforeValidator(as_of_text)] = None
    note: str = ""
    leaves_out: Annotated[tuple[str, ...], BeforeValidator(left_out)] = ()
    further_haircuts: tuple[FurtherHaircut, ...] = ()
    fx_haircut: FxHaircut | None = None
    overlap: Literal["first", "highest_haircut", "error"] = "first"
    assume: dict[str, Text] = Field(default_factory=dict)
    wrong_way: Literal["exclude", "allow"] = "exclude"
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    listing: tuple[Listed, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _labels(cls, raw: Any) -> Any:
        """A rule or limit without a label is called by its place."""
        if not isinstance(raw, Mapping):
            return raw
        named = dict(raw)
        for key, word in PARTS.items():
            parts = raw.get(key)
            if isinstance(parts, Sequence) and not isinstance(parts, str):
                named[key] = tuple(_labelled(part, f"{word} {place}") for place, part in enumerate(parts, 1))
        return named

    @field_validator("assume")
    @classmethod
    def _assumptions(cls, assume: dict[str, str]) -> dict[str, str]:
        for column, text in assume.items():
            if column in RATING_COLUMNS and _step(text) is None:
                raise problem(
                    f"{column} is {text}, which is not a rating",
                    text,
                    "Write letters, such as BB+",
                )
            _check_value(column, text)
        return assume

    @model_validator(mode="after")
    def _takes_something(self) -> Self:
        if not self.rules and not self.listing:
            raise problem("has no rules", "", "Write rules: with at least one rule; `- haircut: 0` takes everything")
        return self

    def criteria(self) -> Iterator[tuple[str, Criterion]]:
        """Every criterion of the schedule with the place it stands at."""
        for place, rule in enumerate(self.rules, 1):
            if rule.when is not None:
                yield place_of("rule", place, rule.label), rule.when
        for place, further in enumerate(self.further_haircuts, 1):
            if further.select is not None:
                yield place_of("further haircut", place, further.label), further.select
        if self.fx_haircut is not None and self.fx_haircut.select is not None:
            yield "fx_haircut", self.fx_haircut.select
        for place, limit in enumerate(self.limits, 1):
            if limit.select is not None:
                yield place_of("limit", place, limit.label), limit.select

    @property
    def columns(self) -> frozenset[str]:
        """Every asset column the schedule speaks of, in rules, selections, groups and assumptions."""
        return _COLUMNS(self)

    @property
    def extra_columns(self) -> frozenset[str]:
        """Those of `columns` that an asset table must bring itself: they are not among the known ones."""
        return frozenset(column for column in self.columns if not is_known(column))

    @property
    def margin_sensitive(self) -> bool:
        """Whether the margin type of a call changes what the schedule says."""
        return _MARGIN_SENSITIVE(self)

    @property
    def currency_sensitive(self) -> bool:
        """Whether the currency that collateral is counted in changes what the schedule takes, and at which factor."""
        return self.fx_haircut is not None


def _columns_of(schedule: Schedule) -> frozenset[str]:
    named = {column for _, when in schedule.criteria() for leaf in leaves(when) for column in leaf_columns(leaf)}
    named |= {limit.group_column for limit in schedule.limits if limit.group_column is not None}
    for limit in schedule.limits:
        named |= {cap.of for cap in limit.caps if cap.of in PER_ASSET}
    if any(row.asset_id is not None for row in schedule.listing):
        named.add("asset_id")
    if any(row.asset_id is None for row in schedule.listing):
        named.add("isin")
    if schedule.fx_haircut is not None:
        named.add("currency")
    return frozenset(named | set(schedule.assume))


def _margin_sensitive(schedule: Schedule) -> bool:
    fx = schedule.fx_haircut is not None and schedule.fx_haircut.margin_type is not None
    further = any(one.margin_type is not None for one in schedule.further_haircuts)
    return fx or further or any(rule.margin_type is not None for rule in schedule.rules)


_COLUMNS, _MARGIN_SENSITIVE = Remembered(_columns_of), Remembered(_margin_sensitive)


PARTS = {"rules": "rule", "further_haircuts": "further haircut", "limits": "limit"}
"""The lists of a schedule, and what one of each is called."""


def place_of(word: str, place: int, label: str) -> str:
    """`rule 3 'treasuries'`, or `rule 3` where the label says no more."""
    plain = f"{word} {place}"
    return plain if label in ("", plain) else f"{plain} '{label}'"


def _labelled(part: object, label: str) -> object:
    if isinstance(part, Mapping) and not part.get("label"):
        return {**part, "label": label}
    return part


for _model in (AllOf, AnyOf, Not, Rule, Deduction, FurtherHaircut, FxHaircut, Limit, Schedule):
    _model.model_rebuild()

FIELDS: dict[str, tuple[str, ...]] = {
    "schedule": tuple(name for name in Schedule.model_fields if name != "listing"),
    "rules": tuple(Rule.model_fields),
    "limits": (*Limit.model_fields, "of", "max"),
    "further_haircuts": tuple(FurtherHaircut.model_fields),
    "fx_haircut": tuple(FxHaircut.model_fields),
    "caps": ("of", "max"),
    "rating": tuple(Rating.model_fields),
}
