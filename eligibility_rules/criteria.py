"""Three-valued truth of criteria over a whole asset table: one short vectorised predicate a leaf.

Truth is an int8 array, one entry an asset: -1 false, 0 unknown, 1 true. So `all` is the minimum (false beats
unknown), `any` the maximum (true beats unknown), `not` the negative (unknown stays unknown): Kleene's logic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from eligibility_rules.columns import RATING_COLUMNS, rating_column
from eligibility_rules.currencies import currencies_of
from eligibility_rules.facts import Days, Facts, Floats
from eligibility_rules.scalars import day, number, tenor_parts
from eligibility_rules.vocabulary import (
    AllOf,
    AnyOf,
    ColumnCompare,
    ColumnIn,
    Criterion,
    DomesticCurrency,
    Leaf,
    Maturity,
    Not,
    OwnIssue,
    Rating,
    leaf_columns,
)

Truth = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]
FALSE, UNKNOWN, TRUE = np.int8(-1), np.int8(0), np.int8(1)


@dataclass(frozen=True)
class Context:
    """What a schedule is read in: the day, the currency collateral is counted in, the call, the poster."""

    as_of: date
    base_currency: str
    margin_type: str | None = None
    owner_parent: str | None = None


def truth_of(satisfied: Bools, known: Bools) -> Truth:
    """True or false where known, unknown elsewhere."""
    return np.where(known, np.where(satisfied, TRUE, FALSE), UNKNOWN).astype(np.int8)


def constant(value: np.int8, n: int) -> Truth:
    """The same truth for n assets."""
    return np.full(n, value, dtype=np.int8)


# -------------------- leaves


def column_in(leaf: ColumnIn, facts: Facts, context: Context) -> Truth:
    """True where the cell is one of the values: compared as numbers, dates or text, as the column is.

    `true` and `false` match a text in any case, since a table writes TRUE, True or true for the same thing.
    """
    kind = facts.kind(leaf.column)
    if kind == "number":
        numbers = facts.number(leaf.column)
        wanted = [value for value in map(number, leaf.values) if value is not None]
        return truth_of(np.isin(numbers, wanted), ~np.isnan(numbers))
    if kind == "date":
        days = facts.day(leaf.column)
        wanted_days = np.array([day(value) for value in leaf.values], dtype="datetime64[D]")
        return truth_of(np.isin(days, wanted_days), ~np.isnat(days))
    column = facts.text(leaf.column)
    wanted_texts = frozenset(leaf.values)
    flags = {value.lower() for value in leaf.values} & {"true", "false"}
    hit = [TRUE if value in wanted_texts or value.lower() in flags else FALSE for value in column.values]
    return column.look_up(np.array(hit, dtype=np.int8), UNKNOWN)


def within(values: npt.NDArray[Any], bounds: Mapping[str, Any]) -> Bools:
    """Whether each value lies within the bounds, comparison word -> bound (one, or one for each value)."""
    compare: dict[str, Callable[..., Any]] = {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    }  # fmt: skip
    inside = np.ones(len(values), dtype=np.bool_)
    for word, bound in bounds.items():
        inside &= compare[word](values, bound)
    return inside


def bounds_of(leaf: ColumnCompare | Maturity) -> dict[str, str]:
    """The bounds a leaf gives, comparison word -> text."""
    given = {"lt": leaf.lt, "le": leaf.le, "gt": leaf.gt, "ge": leaf.ge}
    return {word: bound for word, bound in given.items() if bound is not None}


def column_compare(leaf: ColumnCompare, facts: Facts, context: Context) -> Truth:
    """True where the number or date lies within the bounds."""
    if facts.kind(leaf.column) == "date":
        days = facts.day(leaf.column)
        limits = {word: np.datetime64(day(bound), "D") for word, bound in bounds_of(leaf).items()}
        return truth_of(within(days, limits), ~np.isnat(days))
    numbers = facts.number(leaf.column)
    return truth_of(
        within(numbers, {word: number(bound) for word, bound in bounds_of(leaf).items()}), ~np.isnan(numbers)
    )


def add_tenor(days: Days, tenor: str) -> Days:
    """Calendar arithmetic: a month on from 31 January is the last day of February. NaT stays NaT."""
    count, unit = tenor_parts(tenor)
    if unit in "WD":
        return days + np.timedelta64(count * (7 if unit == "W" else 1), "D")
    months = days.astype("datetime64[M]")
    target = months + np.timedelta64(count * (12 if unit == "Y" else 1), "M")
    last = (target + np.timedelta64(1, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
    shifted: Days = np.minimum(target.astype("datetime64[D]") + (days - months.astype("datetime64[D]")), last)
    return shifted


def maturity(leaf: Maturity, facts: Facts, context: Context) -> Truth:
    """`remaining le T`: maturity_date <= as_of + T; `original le T`: maturity_date <= issue_date + T;
    `since_issue le T`: as_of <= issue_date + T."""
    as_of = np.datetime64(context.as_of, "D")
    # One date for all assets where the distance starts today: it broadcasts.
    start = np.array([as_of]) if leaf.measured == "remaining" else facts.day("issue_date")
    end = np.full(facts.n, as_of) if leaf.measured == "since_issue" else facts.day("maturity_date")
    limits = {word: add_tenor(start, bound) for word, bound in bounds_of(leaf).items()}
    return truth_of(within(end, limits), ~(np.isnat(end) | np.isnat(start)))


def _average(steps: Floats) -> Floats:
    rated = ~np.isnan(steps)
    mean: Floats = np.where(rated, steps, 0).sum(axis=1) / np.where(rated.any(axis=1), rated.sum(axis=1), np.nan)
    return mean


def _second_best(steps: Floats) -> Floats:
    ordered = np.sort(steps, axis=1)  # NaN goes last
    second = ordered[:, min(1, ordered.shape[1] - 1)]
    return np.where(np.isnan(second), ordered[:, 0], second)


# Best is the smallest step. An average is compared unrounded: 10.33 is not at least BBB- (10).
RESOLVED: dict[str, Callable[[Floats], Floats]] = {
    "lowest": lambda steps: np.fmax.reduce(steps, axis=1),
    "highest": lambda steps: np.fmin.reduce(steps, axis=1),
    "second_best": _second_best,
    "average": _average,
}


def rating(leaf: Rating, facts: Facts, context: Context) -> Truth:
    """True where the first scope with any rating of the named agencies, resolved, lies within the bounds."""
    truth = constant(UNKNOWN, facts.n)
    for scope in leaf.scope:
        steps = np.column_stack([facts.steps(rating_column(scope, agency)) for agency in leaf.agencies])
        if leaf.resolve == "any":
            satisfied = np.asarray(((steps >= leaf.best_step) & (steps <= leaf.worst_step)).any(axis=1))
        else:
            resolved = RESOLVED[leaf.resolve](steps)
            satisfied = (resolved >= leaf.best_step) & (resolved <= leaf.worst_step)
        here = truth_of(satisfied, np.asarray(~np.isnan(steps).all(axis=1)))
        truth = np.where(truth == UNKNOWN, here, truth)
    return truth


def own_issue(leaf: OwnIssue, facts: Facts, context: Context) -> Truth:
    """True where issuer or issuer_parent is the poster's parent; cash has no issuer, so it is never own.

    An issuer without a parent on record stands for itself; an empty issuer is unknown, and so is everything
    where the poster's parent is.
    """
    cash = equals(facts, "asset_type", "cash") == TRUE
    if context.owner_parent is None:
        own = constant(UNKNOWN, facts.n)
    else:
        parent = equals(facts, "issuer_parent", context.owner_parent) == TRUE
        own = np.where(parent, TRUE, equals(facts, "issuer", context.owner_parent))
    own = np.where(cash, FALSE, own)
    return own if leaf.value else -own


def equals(facts: Facts, column: str, value: str) -> Truth:
    """Whether a text column holds the value."""
    cells = facts.text(column)
    return cells.look_up(np.array([TRUE if v == value else FALSE for v in cells.values], dtype=np.int8), UNKNOWN)


def domestic_currency(leaf: DomesticCurrency, facts: Facts, context: Context) -> Truth:
    """True where the currency is legal tender in issuer_country; a country nobody knows is unknown."""
    countries, currencies = facts.text("issuer_country"), facts.text("currency")
    table = np.full((len(countries.values) + 1, len(currencies.values) + 1), UNKNOWN, dtype=np.int8)
    for i, country in enumerate(countries.values):
        tender = currencies_of(country, context.as_of)
        for j, currency in enumerate(currencies.values if tender else ()):
            table[i, j] = TRUE if currency in tender else FALSE
    domestic: Truth = table[countries.codes, currencies.codes]  # code -1 is the last row or column: unknown
    return domestic if leaf.value else -domestic


PREDICATES: dict[type, Callable[..., Truth]] = {
    ColumnIn: column_in,
    ColumnCompare: column_compare,
    Maturity: maturity,
    Rating: rating,
    OwnIssue: own_issue,
    DomesticCurrency: domestic_currency,
}


# -------------------- criteria


class Evaluation:
    """Criteria over one asset table in one context.

    What was worked out once is remembered with the table: no criterion asks for more of a context than the day and who
    posts, so that all schedules, currencies and margin types share it.
    """

    def __init__(self, facts: Facts, context: Context) -> None:
        self.facts = facts
        self.context = context
        self._truths: dict[Criterion, Truth] = facts.memory((context.as_of, context.owner_parent))

    def truth(self, criterion: Criterion | None) -> Truth:
        """int8[n] of -1, 0, 1; a missing criterion is true of everything."""
        if criterion is None:
            return constant(TRUE, self.facts.n)
        truth = self._truths.get(criterion)
        if truth is None:
            truth = self._evaluate(criterion)
            truth.flags.writeable = False
            if self.facts.has_room:
                self._truths[criterion] = truth
        return truth

    def _evaluate(self, criterion: Criterion) -> Truth:
        truth: Truth
        match criterion:
            case AllOf():
                truth = np.minimum.reduce([self.truth(inner) for inner in criterion.criteria])
                return truth
            case AnyOf():
                truth = np.maximum.reduce([self.truth(inner) for inner in criterion.criteria])
                return truth
            case Not():
                return -self.truth(criterion.criterion)
            case _:
                return PREDICATES[type(criterion)](criterion, self.facts, self.context)

    def margin(self, margin_type: str | None) -> np.int8:
        """Whether the call is of the margin type that something is restricted to."""
        if margin_type is None:
            return TRUE
        if self.context.margin_type is None:
            return UNKNOWN
        return TRUE if self.context.margin_type == margin_type else FALSE

    def truth_for(self, criterion: Criterion | None, margin_type: str | None) -> Truth:
        """The criterion, restricted to calls of a margin type."""
        return np.minimum(self.truth(criterion), self.margin(margin_type))

    def missing(self, criterion: Criterion | None, margin_type: str | None, rows: Bools) -> tuple[str, ...]:
        """The facts whose absence leaves the criterion unknown for some of the rows, in order of appearance.

        Asset columns; beside them `margin_type` (of the call) and `owner_parent` (of the poster).
        """
        found: dict[str, None] = {}
        if margin_type is not None and self.margin(margin_type) == UNKNOWN and rows.any():
            found["margin_type"] = None
        if criterion is not None:
            self._collect(criterion, rows, found)
        return tuple(found)

    def _collect(self, criterion: Criterion, rows: Bools, found: dict[str, None]) -> None:
        open_rows = rows & (self.truth(criterion) == UNKNOWN)
        if not open_rows.any():
            return
        match criterion:
            case AllOf() | AnyOf():
                for inner in criterion.criteria:
                    self._collect(inner, open_rows, found)
            case Not():
                self._collect(criterion.criterion, open_rows, found)
            case _:
                found.update(dict.fromkeys(self._empty(criterion, open_rows)))

    def _empty(self, leaf: Leaf, rows: Bools) -> tuple[str, ...]:
        if isinstance(leaf, OwnIssue):
            return ("owner_parent",) if self.context.owner_parent is None else ("issuer",)
        columns = leaf_columns(leaf)
        empty = tuple(column for column in columns if (self.unknown(column) & rows).any())
        # A country that nobody knows is not empty, and still says nothing.
        return empty or columns[:1]

    def unknown(self, column: str) -> Bools:
        """Where a column says nothing: empty, or (a rating) not rated."""
        kind = self.facts.kind(column)
        if kind == "number":
            return np.isnan(self.facts.number(column))
        if kind == "date":
            return np.isnat(self.facts.day(column))
        if column in RATING_COLUMNS:
            return np.isnan(self.facts.steps(column))
        return self.facts.text(column).codes < 0
