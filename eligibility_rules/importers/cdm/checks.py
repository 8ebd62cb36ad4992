"""What real documents get wrong, found in the schedule that was made of them.

A criterion is opened out into alternatives of single facts; whether facts can be true together is decided from
values, distances and steps alone. Where that is not enough they count as possible, so `may both take` is
sometimes said of rules that never do, and `never true` never of one that may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from eligibility_rules.columns import ASSET_TYPES
from eligibility_rules.criteria import bounds_of
from eligibility_rules.scalars import number, percent, tenor_parts
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
    Rule,
    Schedule,
    leaf_columns,
    leaves,
)
from eligibility_rules.words import conjuncts

Literal_ = tuple[Leaf, bool]
_MOST = 512
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_FAR = float("inf")
_IDENTIFIERS = ("isin", "name", "taxonomy_cusip", "taxonomy_sedol", "taxonomy_ric", "taxonomy_figi", "taxonomy_bbgid")
Bound = tuple[float, bool]
"""An end of an interval and whether it is left out."""


def never_true(criterion: Criterion) -> bool:
    """Whether no asset can satisfy the criterion."""
    return not possible(alternatives(criterion, True))


def always_true(criterion: Criterion) -> bool:
    """Whether every asset whose facts are known satisfies it."""
    return not possible(alternatives(criterion, False))


def within(part: Criterion, whole: Criterion) -> bool:
    """Whether what satisfies the part satisfies the whole."""
    return not possible(_products([alternatives(part, True), alternatives(whole, False)]))


def overlap(one: Criterion | None, other: Criterion | None) -> bool:
    """Whether an asset may satisfy both."""
    both = [alternatives(criterion, True) for criterion in (one, other) if criterion is not None]
    return possible(_products(both))


def alternatives(criterion: Criterion, wanted: bool) -> list[list[Literal_]] | None:
    """Alternatives of facts that make the criterion `wanted`; None where there are too many to list."""
    match criterion:
        case Not():
            return alternatives(criterion.criterion, not wanted)
        case AllOf() | AnyOf():
            parts = [alternatives(inner, wanted) for inner in criterion.criteria]
            if isinstance(criterion, AllOf) == wanted:
                return _products(parts)
            if any(part is None for part in parts):
                return None
            found = [one for part in parts if part is not None for one in part]
            return found if len(found) <= _MOST else None
        case _:
            return [[(criterion, wanted)]]


def _products(parts: Iterable[list[list[Literal_]] | None]) -> list[list[Literal_]] | None:
    found: list[list[Literal_]] = [[]]
    open_ended = False
    for part in parts:
        if part is None:
            open_ended = True
            continue
        found = [[*one, *other] for one in found for other in part]
        found = [one for one in found if _consistent(one)]
        if len(found) > _MOST:
            return None
    # What was too much to list can only rule out more.
    return None if open_ended and found else found


def possible(found: list[list[Literal_]] | None) -> bool:
    """Whether one of the alternatives can be; what could not be listed can."""
    return found is None or any(_consistent(one) for one in found)


def _consistent(literals: list[Literal_]) -> bool:
    allowed: dict[str, set[str]] = {}
    barred: dict[str, set[str]] = {}
    flags: dict[str, bool] = {}
    spans: dict[str, list[tuple[Bound, Bound]]] = {}
    for leaf, wanted in literals:
        match leaf:
            case ColumnIn():
                if wanted:
                    values = set(leaf.values)
                    allowed[leaf.column] = allowed.get(leaf.column, values) & values
                else:
                    barred.setdefault(leaf.column, set()).update(leaf.values)
            case OwnIssue() | DomesticCurrency():
                value = leaf.value == wanted
                if flags.setdefault(leaf.word, value) != value:
                    return False
            case _:
                key, pieces = _span(leaf, wanted)
                spans[key] = [
                    both
                    for mine in spans.get(key, [((-_FAR, False), (_FAR, False))])
                    for piece in pieces
                    if (both := _intersection(mine, piece)) is not None
                ]
                if not spans[key]:
                    return False
    if set(ASSET_TYPES) <= barred.get("asset_type", set()):
        return False
    # Cash matures never and has no rating, so nothing about either is true of it.
    if allowed.get("asset_type") == {"cash"} and any(isinstance(leaf, Maturity | Rating) for leaf, _ in literals):
        return False
    return all(values - barred.get(column, set()) for column, values in allowed.items())


def _span(leaf: Leaf, wanted: bool) -> tuple[str, list[tuple[Bound, Bound]]]:
    """What is measured, and the intervals it must lie in."""
    if isinstance(leaf, Rating):
        key = json.dumps(["rating", leaf.scope, leaf.agencies, leaf.resolve])
        low, high = (float(leaf.best_step), False), (float(leaf.worst_step), False)
        if leaf.resolve == "any" and not wanted:
            key += " every one"
    else:
        assert isinstance(leaf, Maturity | ColumnCompare)
        key = f"maturity {leaf.measured}" if isinstance(leaf, Maturity) else leaf.column
        bounds = {word: _distance(leaf, text) for word, text in bounds_of(leaf).items()}
        low = (bounds["gt"], True) if "gt" in bounds else (bounds.get("ge", -_FAR), False)
        high = (bounds["lt"], True) if "lt" in bounds else (bounds.get("le", _FAR), False)
    if wanted:
        # Any agency may be the one that satisfies: two such bounds can hold of different agencies.
        several = isinstance(leaf, Rating) and leaf.resolve == "any" and len(leaf.agencies) > 1
        return (f"{key} {low} {high}" if several else key), [(low, high)]
    pieces = []
    if low[0] != -_FAR and not (isinstance(leaf, Rating) and low[0] == 1):
        pieces.append(((-_FAR, False), (low[0], not low[1])))
    if high[0] != _FAR and not (isinstance(leaf, Rating) and high[0] == 22):
        pieces.append(((high[0], not high[1]), (_FAR, False)))
    return key, pieces


def _distance(leaf: Maturity | ColumnCompare, text: str) -> float:
    if isinstance(leaf, Maturity):
        count, unit = tenor_parts(text)
        return count * _DAYS[unit]
    value = number(text)
    return float(text.replace("-", "")) if value is None else value


def _intersection(one: tuple[Bound, Bound], other: tuple[Bound, Bound]) -> tuple[Bound, Bound] | None:
    low = max(one[0], other[0])
    high = min(one[1], other[1], key=lambda bound: (bound[0], not bound[1]))
    empty = low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1]))
    return None if empty else (low, high)


# -------------------- findings


def findings_of(schedule: Schedule) -> Iterator[tuple[str, str, str, str]]:
    """Place, value, message and effect of what looks wrong in a schedule."""
    for rule in schedule.rules:
        if rule.when is not None:
            yield from _odd_criteria(rule, rule.when)
        else:
            message = f"{'excludes' if rule.exclude else 'takes'} every asset. Is that meant?"
            yield rule.note or rule.label, rule.label, message, "stricter" if rule.exclude else "laxer"
    takers = [rule for rule in schedule.rules if not rule.exclude]
    yield from _overlaps(takers)
    yield from _gaps(takers)


def _odd_criteria(rule: Rule, when: Criterion) -> Iterator[tuple[str, str, str, str]]:
    place = rule.note or rule.label
    if never_true(when):
        effect = "laxer" if rule.exclude else "stricter"
        yield place, rule.label, "never true: what it asks for excludes itself. Is any of them meant?", effect
        return
    if always_true(when):
        effect = "stricter" if rule.exclude else "laxer"
        yield place, rule.label, "true of every asset whose facts are known. Are all of them meant?", effect
    for branch in _branches(when, wanted=True):
        if not never_true(branch) and branch is not when and always_true(branch):
            effect = "stricter" if rule.exclude else "laxer"
            yield place, rule.label, "holds an any that is true of every asset. Are all of them meant?", effect
        parts = branch.criteria
        contained = [part for part in parts if any(part is not other and within(part, other) for other in parts)]
        if contained and len(contained) < len(parts):
            yield place, rule.label, "holds an any of a criterion and a part of the same: the part adds nothing", "none"
        kinds = [frozenset(_kind(column) for leaf in leaves(part) for column in leaf_columns(leaf)) for part in parts]
        # Exclusions list what is refused, one kind after the other: there it is as it should be.
        if not frozenset.intersection(*kinds) and not contained and not rule.exclude:
            message = "any of criteria of different kinds: one is enough. Are all of them meant?"
            yield place, rule.label, message, "laxer"


def _kind(column: str) -> str:
    """What a column is about: two ways to name an asset, or two agencies' ratings, are one."""
    if column in _IDENTIFIERS:
        return "identifier"
    return "rating" if "rating" in column else column


def _branches(criterion: Criterion, wanted: bool) -> Iterator[AnyOf]:
    """Every `any` of which one is enough for what is wanted; within a `not`, every one is refused."""
    match criterion:
        case AnyOf() | AllOf():
            if isinstance(criterion, AnyOf) and wanted:
                yield criterion
            for inner in criterion.criteria:
                yield from _branches(inner, wanted)
        case Not():
            yield from _branches(criterion.criterion, not wanted)
        case _:
            return


def _overlaps(takers: list[Rule]) -> Iterator[tuple[str, str, str, str]]:
    """Each rule with the earlier ones that may take the same assets at another value."""
    opened = [None if rule.when is None else alternatives(rule.when, True) for rule in takers]
    outlines = [_outline(rule.when) for rule in takers]
    for place, rule in enumerate(takers):
        others = [
            other
            for before, other in enumerate(takers[:place])
            if other.factor != rule.factor
            and len({other.margin_type, rule.margin_type} - {None}) < 2
            and not _apart(outlines[before], outlines[place])
            and possible(_products([opened[before], opened[place]]))
        ]
        if others:
            same = any(other.when == rule.when for other in others)
            may = "takes the same assets as" if same else "may take assets of"
            named = ", ".join(f"{other.note or other.label} ({percent(other.factor)})" for other in others)
            yield (
                rule.note or rule.label,
                rule.label,
                f"at {percent(rule.factor)} of their value, {may} {named}: the lower value counts",
                "stricter",
            )


def _outline(when: Criterion | None) -> dict[str, frozenset[str] | tuple[Bound, Bound]]:
    """What a criterion requires in any case of a column or a distance: enough to tell most rules apart quickly."""
    found: dict[str, frozenset[str] | tuple[Bound, Bound]] = {}
    for part in () if when is None else conjuncts(when):
        if isinstance(part, ColumnIn):
            found[part.column] = frozenset(part.values)
        elif isinstance(part, Maturity):
            key, (span,) = _span(part, True)
            found[key] = span
    return found


def _apart(
    one: dict[str, frozenset[str] | tuple[Bound, Bound]], other: dict[str, frozenset[str] | tuple[Bound, Bound]]
) -> bool:
    for key in one.keys() & other.keys():
        mine, theirs = one[key], other[key]
        if isinstance(mine, frozenset) and isinstance(theirs, frozenset):
            if not mine & theirs:
                return True
        elif isinstance(mine, tuple) and isinstance(theirs, tuple) and _intersection(mine, theirs) is None:
            return True
    return False


def _gaps(takers: list[Rule]) -> Iterator[tuple[str, str, str, str]]:
    """A distance at which one band ends and the next begins for the same assets, and at which no rule takes them."""
    ends: dict[tuple[str, str], tuple[list[Rule], list[Rule]]] = {}
    for rule in takers:
        for leaf in () if rule.when is None else conjuncts(rule.when):
            if isinstance(leaf, Maturity):
                for place, tenor in enumerate((leaf.lt, leaf.gt)):
                    if tenor is not None:
                        ends.setdefault((leaf.measured, tenor), ([], []))[place].append(rule)
    for (measured, tenor), (below, above) in ends.items():
        at, next_to = ([_at(rule.when, measured, tenor) for rule in rules if rule.when] for rules in (below, above))
        between = (one for one in at if any(overlap(one, other) for other in next_to))
        if any(not any(overlap(one, rule.when) for rule in takers) for one in between):
            message = f"exactly {tenor} {measured} maturity is in no band: one ends below it, one begins above it"
            yield "maturity", tenor, message, "stricter"


def _at(when: Criterion, measured: str, tenor: str) -> Criterion:
    """What a rule asks for, but for its band, of an asset at exactly this distance."""
    rest = [part for part in conjuncts(when) if not (isinstance(part, Maturity) and part.measured == measured)]
    return AllOf(criteria=(*rest, Maturity.model_validate({"measured": measured, "ge": tenor, "le": tenor})))
