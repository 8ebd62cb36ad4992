"""What differs between two schedules, or two vintages of one: in what they say, and in what becomes of assets.

Criteria are compared by what they mean as written: the order of values and of conditions is no difference.
"""

from __future__ import annotations

import json
import textwrap
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

import pandas as pd

from eligibility_rules.criteria import Context
from eligibility_rules.facts import Facts
from eligibility_rules.matching import Match, match
from eligibility_rules.scalars import percent
from eligibility_rules.vocabulary import (
    ColumnIn,
    Criterion,
    FurtherHaircut,
    Limit,
    Listed,
    Rule,
    Schedule,
    place_of,
)
from eligibility_rules.words import (
    EVERYTHING,
    amount_words,
    caps_words,
    condition,
    conjuncts,
    deduction_words,
    printable,
    valuation_words,
)
from eligibility_rules.writing import WIDTH, criterion_form, plain, yaml_line

Felt = TypeVar("Felt")
Change = Literal["added", "removed", "changed", "moved"]
Part = TypeVar("Part", Rule, Limit, FurtherHaircut)


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    `change` says how, `where` which part of the schedule (`rule 3 'treasuries'`), `what` which word of it (empty: the
    part as a whole); `before` and `after` are sentences, empty where there is nothing.
    """

    change: Change
    where: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        head = self.where + (f", {self.what}" if self.what else "")
        if self.change in ("added", "removed"):
            return f"{head}: {self.change}: {self.after or self.before}"
        return f"{head}: {self.before or 'nothing'} -> {self.after or 'nothing'}"


def differences(before: Schedule, after: Schedule) -> tuple[Difference, ...]:
    """Everything that `after` says otherwise than `before`, but for the name; empty where that is nothing.

    Rules and limits are the same where their conditions are, else where their labels are, else where they share
    most of their conditions. What decides stands before what only informs a reader.
    """
    return (
        *_rules(before, after),
        *_listing(before.listing, after.listing),
        *_further(before, after),
        *_limits(before, after),
        *_fields(before, after),
    )


# -------------------- the schedule's own words

_PARTS = ("name", "rules", "limits", "listing", "further_haircuts", "assume", "leaves_out", "fx_haircut")
_TEXTS = ("source", "as_of", "note")


def _fields(before: Schedule, after: Schedule) -> Iterator[Difference]:
    deciding = [name for name in Schedule.model_fields if name not in (*_PARTS, *_TEXTS)]
    yield from _whole("fx_haircut", before.fx_haircut, after.fx_haircut, deduction_words)
    for column in sorted({*before.assume, *after.assume}):
        yield from _whole(f"assume {column}", before.assume.get(column), after.assume.get(column), str)
    for name in (*deciding, *_TEXTS):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            yield Difference("changed", "schedule", name, _text(one), _text(other))
    for text in before.leaves_out:
        if text not in after.leaves_out:
            yield Difference("removed", "schedule", "leaves_out", text, "")
    for text in after.leaves_out:
        if text not in before.leaves_out:
            yield Difference("added", "schedule", "leaves_out", "", text)


def _whole(what: str, one: Any, other: Any, words: Callable[[Any], str]) -> Iterator[Difference]:
    """Something that a schedule has once, or not at all."""
    if one == other:
        return
    change: Change = "added" if one is None else "removed" if other is None else "changed"
    told = ["" if part is None else words(part) for part in (one, other)]
    if told[0] == told[1]:
        told = ["" if part is None else yaml_line(plain(part)) for part in (one, other)]
    yield Difference(change, "schedule", what, *told)


def _text(value: Any) -> str:
    return "" if value is None else yaml_line(plain(value)) if not isinstance(value, str) else value


# -------------------- rules, limits, further haircuts


def _rules(before: Schedule, after: Schedule) -> Iterator[Difference]:
    pairs, removed, added = _paired(
        "rule", before.rules, after.rules, lambda rule: rule.when, lambda rule: (rule.margin_type, rule.exclude)
    )
    for place in removed:
        yield Difference("removed", _place("rule", place, before.rules[place]), "", _rule(before.rules[place]), "")
    for place in added:
        yield Difference("added", _place("rule", place, after.rules[place]), "", "", _rule(after.rules[place]))
    for one, other in pairs:
        old, new = before.rules[one], after.rules[other]
        where = _place("rule", other, new)
        yield from _label("rule", where, (one, old), (other, new))
        yield from _criterion(where, "when", old.when, new.when)
        if (old.exclude, old.factor) != (new.exclude, new.factor) or _valuation(old) != _valuation(new):
            yield Difference("changed", where, "valuation", _valuation(old), _valuation(new))
        for what in ("margin_type", "note"):
            if getattr(old, what) != getattr(new, what):
                yield Difference("changed", where, what, _text(getattr(old, what)), _text(getattr(new, what)))
    if "first" in (before.overlap, after.overlap):
        # An exclusion refuses wherever it stands: only the order of what takes assets decides anything.
        takers = [(one, other) for one, other in pairs if not (before.rules[one].exclude or after.rules[other].exclude)]
        for one, other in _moved(takers):
            where = _place("rule", other, after.rules[other])
            yield Difference("moved", where, "place", f"place {one + 1}", f"place {other + 1}")


def _limits(before: Schedule, after: Schedule) -> Iterator[Difference]:
    def counted(limit: Limit) -> tuple[Any, ...]:
        return limit.group_column, limit.measure, [cap.of for cap in limit.caps]

    pairs, removed, added = _paired("limit", before.limits, after.limits, lambda limit: limit.select, counted)
    for place in removed:
        limit = before.limits[place]
        yield Difference("removed", _place("limit", place, limit), "", _limit(limit), "")
    for place in added:
        limit = after.limits[place]
        yield Difference("added", _place("limit", place, limit), "", "", _limit(limit))
    for one, other in pairs:
        old, new = before.limits[one], after.limits[other]
        where = _place("limit", other, new)
        yield from _label("limit", where, (one, old), (other, new))
        yield from _criterion(where, "select", old.select, new.select)
        if old.group_column != new.group_column:
            yield Difference("changed", where, "group_by", old.group_by, new.group_by)
        if old.measure != new.measure:
            yield Difference("changed", where, "measure", old.measure, new.measure)
        if old.caps != new.caps:
            yield Difference("changed", where, "caps", caps_words(old), caps_words(new))
        if old.note != new.note:
            yield Difference("changed", where, "note", old.note, new.note)


def _further(before: Schedule, after: Schedule) -> Iterator[Difference]:
    old, new = before.further_haircuts, after.further_haircuts
    pairs, removed, added = _paired(
        "further haircut", old, new, lambda one: one.select, lambda one: (one.margin_type, one.combine)
    )
    for place in removed:
        yield Difference("removed", _place("further haircut", place, old[place]), "", deduction_words(old[place]), "")
    for place in added:
        yield Difference("added", _place("further haircut", place, new[place]), "", "", deduction_words(new[place]))
    for one, other in pairs:
        where = _place("further haircut", other, new[other])
        yield from _label("further haircut", where, (one, old[one]), (other, new[other]))
        yield from _criterion(where, "select", old[one].select, new[other].select)
        for what in ("rate", "combine", "margin_type", "note"):
            values = [getattr(part, what) for part in (old[one], new[other])]
            if values[0] != values[1]:
                told = [percent(value) if isinstance(value, Fraction) else _text(value) for value in values]
                yield Difference("changed", where, what, *told)
    for one, other in _moved(pairs):
        where = _place("further haircut", other, new[other])
        yield Difference("moved", where, "place", f"place {one + 1}", f"place {other + 1}")


def _place(word: str, place: int, part: Rule | Limit | FurtherHaircut) -> str:
    return place_of(word, place + 1, part.label)


def _label(word: str, where: str, *parts: tuple[int, Rule | Limit | FurtherHaircut]) -> Iterator[Difference]:
    """Labels that differ, but for those that only say the place."""
    old, new = (_own_label(word, place, part) for place, part in parts)
    if old != new:
        yield Difference("changed", where, "label", old, new)


def _criterion(where: str, what: str, old: Criterion | None, new: Criterion | None) -> Iterator[Difference]:
    """The conditions that only one of them has."""
    if _key(old) == _key(new):
        return
    sides: list[dict[str, str]] = [
        {} if when is None else {_key(part): condition(part) for part in conjuncts(when)} for when in (old, new)
    ]
    only = [[text for key, text in side.items() if key not in sides[1 - n]] for n, side in enumerate(sides)]
    told = [
        " and ".join(parts) or ("no such condition" if side else EVERYTHING)
        for parts, side in zip(only, sides, strict=True)
    ]
    yield Difference("changed", where, what, *told)


def _rule(rule: Rule) -> str:
    when = EVERYTHING if rule.when is None else condition(rule.when)
    return f"{_valuation(rule)}: {when}" + (f", for {rule.margin_type}" if rule.margin_type else "")


def _valuation(rule: Rule) -> str:
    return "refused" if rule.exclude else valuation_words(rule)


def _limit(limit: Limit) -> str:
    when = EVERYTHING if limit.select is None else condition(limit.select)
    return f"{caps_words(limit)} by {limit.measure}, group_by {limit.group_by}, of {when}"


# -------------------- which part is which


def _key(criterion: Criterion | None) -> str:
    """A text that two criteria share exactly where they are the same but for order and needless nesting."""
    return "" if criterion is None else json.dumps(criterion_form(criterion, ordered=True), sort_keys=True)


Pairs = list[tuple[int, int]]
Alike = tuple[dict[str, frozenset[str]], str]


def _paired(
    word: str,
    old: Sequence[Part],
    new: Sequence[Part],
    when: Callable[[Part], Criterion | None],
    rest: Callable[[Part], Any],
) -> tuple[Pairs, list[int], list[int]]:
    """Places that belong together, in the order of `new`, and the places of `old` and of `new` that are left alone.

    By condition, rest and label; by condition and rest; by a label that each has once; by what they share of their
    conditions; then what has no label between the same neighbours.
    """
    pairs: dict[int, int] = {}  # of new -> of old
    labels = [[_own_label(word, place, part) for place, part in enumerate(side)] for side in (old, new)]
    keys = [[f"{_key(when(part))} {rest(part)}" for part in side] for side in (old, new)]
    _pair(pairs, list(zip(keys[0], labels[0], strict=True)), list(zip(keys[1], labels[1], strict=True)))
    _pair(pairs, *keys)
    single = {label for label in labels[0] if label and labels[0].count(label) == labels[1].count(label) == 1}
    _pair(pairs, *([label if label in single else None for label in side] for side in labels))
    _pair_alike(pairs, *([(_conditions(when(part)), str(rest(part))) for part in side] for side in (old, new)))
    _pair_neighbours(pairs, *labels)
    return (
        sorted(((one, other) for other, one in pairs.items()), key=lambda pair: pair[1]),
        [place for place in range(len(old)) if place not in pairs.values()],
        [place for place in range(len(new)) if place not in pairs],
    )


def _conditions(criterion: Criterion | None) -> dict[str, frozenset[str]]:
    """What must all be true: a column with its values, or a condition as a whole."""
    found: dict[str, frozenset[str]] = {}
    for part in () if criterion is None else conjuncts(criterion):
        name = part.column if isinstance(part, ColumnIn) else ""
        if name and name not in found:
            found[name] = frozenset(part.values) if isinstance(part, ColumnIn) else frozenset()
        else:
            found[_key(part)] = frozenset([""])
    return found


def _alike(one: dict[str, frozenset[str]], other: dict[str, frozenset[str]]) -> Fraction:
    """Twice what they share, of all that they have; values of a column count by how many of them are shared."""
    both = [(one[name], other[name]) for name in one if name in other]
    shared = sum((Fraction(len(a & b), len(a | b)) for a, b in both), Fraction(0))
    return 2 * shared / max(len(one) + len(other), 1)


def _pair_alike(pairs: dict[int, int], old: Sequence[Alike], new: Sequence[Alike]) -> None:
    """Pair what is still alone and shares two thirds of its conditions or more, the most alike first."""
    taken = set(pairs.values())
    alike = [
        (-_alike(conditions, others), one, other)
        for one, (conditions, rest) in enumerate(old)
        for other, (others, other_rest) in enumerate(new)
        if one not in taken and other not in pairs and rest == other_rest
    ]
    for score, one, other in sorted(alike):
        if -score >= Fraction(2, 3) and one not in taken and other not in pairs:
            pairs[other] = one
            taken.add(one)


def _pair_neighbours(pairs: dict[int, int], old: Sequence[str], new: Sequence[str]) -> None:
    """Pair what is still alone and has no label, in order, where it follows the same pair."""
    after: dict[int | None, list[int]] = {}
    partner = {one: other for other, one in pairs.items()}
    for place, label in enumerate(old):
        if place not in partner and not label:
            before = max((one for one in partner if one < place), default=None)
            after.setdefault(None if before is None else partner[before], []).append(place)
    matched = list(pairs)
    for place, label in enumerate(new):
        waiting = after.get(max((other for other in matched if other < place), default=None))
        if place not in pairs and not label and waiting:
            pairs[place] = waiting.pop(0)


def _pair(pairs: dict[int, int], old: Sequence[Any], new: Sequence[Any]) -> None:
    """Pair what is still alone and is called the same, first with first; what is called None stays alone."""
    taken = set(pairs.values())
    waiting: dict[Any, list[int]] = {}
    for place, name in enumerate(old):
        if place not in taken and name is not None:
            waiting.setdefault(name, []).append(place)
    for place, name in enumerate(new):
        if place not in pairs and waiting.get(name):
            pairs[place] = waiting[name].pop(0)


def _own_label(word: str, place: int, part: Rule | Limit | FurtherHaircut) -> str:
    """The label, empty where it only says the place."""
    return "" if part.label == f"{word} {place + 1}" else part.label


def _moved(pairs: Pairs) -> Pairs:
    """The fewest of the pairs without which the others stand in one order in both."""
    ends: list[int] = []  # ends[n]: the smallest old place that ends an increasing run of n + 1
    length: list[int] = []
    for one, _ in pairs:
        n = bisect_left(ends, one)
        ends[n : n + 1] = [one]
        length.append(n + 1)
    still = len(ends)
    moved: Pairs = []
    for pair, n in zip(reversed(pairs), reversed(length), strict=True):
        if n == still:
            still -= 1
        else:
            moved.append(pair)
    return moved[::-1]


# -------------------- lists

_LISTED = ("eligible", "haircut", "max_quantity", "max_value")


def _listing(before: Sequence[Listed], after: Sequence[Listed]) -> Iterator[Difference]:
    old, new = ({row.asset_id or row.isin or "": row for row in listing} for listing in (before, after))
    for asset in dict.fromkeys((*old, *new)):
        where = f"asset {asset}"
        if asset not in new:
            yield Difference("removed", where, "", _listed(old[asset]), "")
        elif asset not in old:
            yield Difference("added", where, "", "", _listed(new[asset]))
        else:
            for what in _LISTED:
                one, other = getattr(old[asset], what), getattr(new[asset], what)
                if one != other:
                    yield Difference("changed", where, what, _figure(what, one), _figure(what, other))


def _listed(row: Listed) -> str:
    said = (f"{what} {_figure(what, getattr(row, what))}" for what in _LISTED if getattr(row, what) is not None)
    return ", ".join(said)


def _figure(what: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Fraction):
        return percent(value) if what == "haircut" else amount_words(value)
    return str(plain(value))


# -------------------- what becomes of assets

_CHANGES = ("refused", "factor", "taken")


@dataclass(frozen=True)
class AssetDifference:
    """An asset that the schedules treat differently; a factor is exact, None where the asset is refused."""

    asset_id: str
    before: Fraction | None
    after: Fraction | None
    why_before: str
    why_after: str

    @property
    def change(self) -> Literal["taken", "refused", "factor"]:
        """Newly taken, newly refused, or taken by both at another factor."""
        return "taken" if self.before is None else "refused" if self.after is None else "factor"

    @property
    def sentences(self) -> tuple[str, str, str]:
        """What becomes of it, and both reasons: all that assets which feel the same have in common."""
        factors = ["refused" if factor is None else percent(factor) for factor in (self.before, self.after)]
        return f"{factors[0]} -> {factors[1]}", f"Before: {self.why_before}.", f"After: {self.why_after}."


def asset_differences(
    before: Schedule, after: Schedule, assets: pd.DataFrame | Facts, context: Context
) -> tuple[AssetDifference, ...]:
    """The assets that are eligible under one only, or under both at unlike factors, in the order of the table.

    `assets` as `match` takes them. Raises ScheduleError as `match` does.
    """
    facts = Facts.of(assets)
    old, new = match(before, facts, context), match(after, facts, context)
    found = []
    for i in range(facts.n):
        factors = _factor(old, i), _factor(new, i)
        if factors[0] != factors[1]:
            found.append(AssetDifference(facts.asset_id(i), *factors, _why(before, old, i), _why(after, new, i)))
    return tuple(found)


def _factor(found: Match, i: int) -> Fraction | None:
    code = int(found.factor_code[i])
    return None if code < 0 else found.factors[code]


def _why(schedule: Schedule, found: Match, i: int) -> str:
    """The reason; of a list without the line's number, which says nothing and hides that others feel the same."""
    reason = found.why(i)
    line = f"{reason.rule} of the list"
    return reason.sentence.replace(line, "the list") if schedule.listing and reason.rule else reason.sentence


def counts_text(assets: Sequence[AssetDifference]) -> str:
    """How many assets feel what."""
    counts = {change: sum(one.change == change for one in assets) for change in _CHANGES}
    return "Assets: {refused:,} newly refused, {factor:,} at another factor, {taken:,} newly taken".format(**counts)


def alike(
    assets: Iterable[Felt], difference: Callable[[Felt], AssetDifference], worth: Callable[[Felt], float] = lambda _: 0
) -> list[list[Felt]]:
    """What feels the same for the same reasons, put together: first what is refused, then by worth, as given."""
    groups: dict[tuple[str, ...], list[Felt]] = {}
    for one in assets:
        groups.setdefault(difference(one).sentences, []).append(one)
    return sorted(
        groups.values(),
        key=lambda group: (_CHANGES.index(difference(group[0]).change), -sum(map(worth, group))),
    )


def differences_text(found: Sequence[Difference], assets: Sequence[AssetDifference] | None = None) -> str:
    """Both as lines; `assets` is None where none were asked about."""
    lines = said_text(found)
    if assets is not None:
        lines += ["", counts_text(assets)]
        for group in alike(assets, lambda one: one):
            lines += group_head(group[0], len(group))
            lines += names_lines([one.asset_id for one in group])
    return "\n".join(lines)


def said_text(found: Sequence[Difference]) -> list[str]:
    """What the schedules say otherwise, a line each."""
    return [printable(one) for one in found] or ["The schedules say the same."]


def group_head(one: AssetDifference, many: int, more: str = "") -> list[str]:
    """What heads so many assets that feel the same as this one, with what `more` is to be said of them all."""
    what, *reasons = one.sentences
    head = f"{what}: {many:,} asset{'' if many == 1 else 's'}{more}"
    return ["", f"  {head}", *(f"    {printable(reason)}" for reason in reasons)]


def names_lines(names: Sequence[str], before: str = "") -> list[str]:
    """Names parted by commas, in lines of 120 characters; none is broken."""
    text = before + ", ".join(map(printable, names))
    indent = " " * 6
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
