"""Which assets a schedule takes, at which factor, and which rule or missing fact refused the others.

Exclusions come first: a true one refuses, and so does one that cannot be decided. Then the rules are walked
(in order, or from the highest haircut down) and the first true one wins, unless one that cannot be decided
stands before it and would give a lower factor. Then the further haircuts come off, the FX haircut last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from eligibility_rules.columns import KNOWN_COLUMNS
from eligibility_rules.criteria import FALSE, TRUE, UNKNOWN, Bools, Context, Evaluation, Truth
from eligibility_rules.facts import Facts
from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.remembered import Remembered
from eligibility_rules.scalars import day, decimal_text, number, percent
from eligibility_rules.vocabulary import (
    ColumnCompare,
    Deduction,
    FurtherHaircut,
    FxHaircut,
    Rule,
    Schedule,
    leaves,
    place_of,
)

Ints = npt.NDArray[np.int32]


class Refusal(IntEnum):
    """Why a schedule does not take an asset."""

    NONE = 0
    NO_RULE = 1
    EXCLUDED = 2
    EXCLUSION_UNKNOWN = 3
    RULE_UNKNOWN = 4
    NO_VALUE = 5
    NOT_LISTED = 6
    LISTED_INELIGIBLE = 7


@dataclass(frozen=True)
class Reason:
    """Why one asset is eligible or not: the rule, the facts that are missing, and a sentence that says so.

    `missing` names asset columns; beside them `margin_type` (of the call) and `owner_parent` (of the poster).
    """

    eligible: bool
    rule: str
    refusal: Refusal
    missing: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class UnknownExclusion:
    """An exclusion that could not be decided for `count` assets, which it therefore refuses.

    `otherwise_eligible` of them would have been taken without it. `columns` are the facts that are missing;
    an `assume` line for them settles it.
    """

    rule_label: str
    columns: tuple[str, ...]
    count: int
    otherwise_eligible: int

    @property
    def assume_line(self) -> str:
        """The schedule's line that would settle it, its values left to fill in; empty where none would."""
        settled = [column for column in self.columns if column not in ("margin_type", "owner_parent")]
        return "assume: {" + ", ".join(f"{column}: ..." for column in settled) + "}" if settled else ""


@dataclass(frozen=True, eq=False)
class Match:
    """What a schedule says of n assets; arrays are read-only and in the order of the asset table.

    `eligible` bool; `factor` float64, collateral value of one unit of market value, 0 where not eligible;
    `factor_code` int32, position in the exact `factors`, -1 where not eligible; `rule` int32, position in
    `schedule.rules` (a list: in `schedule.listing`) of what took or refused the asset, -1 for none;
    `refused` int8, values of :class:`Refusal`.
    """

    eligible: Bools
    factor: npt.NDArray[np.float64]
    factor_code: Ints
    factors: tuple[Fraction, ...]
    rule: Ints
    refused: npt.NDArray[np.int8]
    unknown_exclusions: tuple[UnknownExclusion, ...]
    schedule: Schedule = field(repr=False)
    facts: Facts = field(repr=False)
    context: Context

    def why(self, i: int) -> Reason:
        """The reason for asset i, in the order of the asset table."""
        refusal = Refusal(int(self.refused[i]))
        place = int(self.rule[i])
        if self.schedule.listing:
            return _why_listed(self, i, refusal, place)
        if place < 0:
            return Reason(False, "", refusal, (), "refused: no rule takes it")
        rule = self.schedule.rules[place]
        alone = Evaluation(self.facts.row(i), self.context)
        missing: tuple[str, ...] = ()
        if refusal in (Refusal.RULE_UNKNOWN, Refusal.EXCLUSION_UNKNOWN):
            missing = alone.missing(rule.when, rule.margin_type, np.ones(1, dtype=np.bool_))
        facts = _said(missing, alone.facts)
        haircut = _haircut(self.schedule, rule, alone)
        sentence = {
            Refusal.NONE: f"eligible under '{rule.label}' at {haircut}",
            Refusal.NO_RULE: "refused: no rule takes it",
            Refusal.EXCLUDED: f"refused by exclusion '{rule.label}'",
            Refusal.EXCLUSION_UNKNOWN: f"refused: exclusion '{rule.label}' cannot be decided, {facts}",
            Refusal.RULE_UNKNOWN: f"refused: rule '{rule.label}' cannot be decided, {facts}",
            Refusal.NO_VALUE: f"refused: '{rule.label}' leaves no value, at {haircut}",
        }[refusal]
        return Reason(refusal is Refusal.NONE, rule.label, refusal, missing, sentence)


def match(schedule: Schedule, assets: pd.DataFrame | Facts, context: Context) -> Match:
    """Read a schedule over an asset table.

    `assets`: one row an asset, columns as the book has them, an absent known column being unknown everywhere;
    or the `Facts` made from it, which spares reading the columns again. Raises ScheduleError for a column
    that neither the table nor anybody else knows, for cells that are no rating (number, date) where one is
    needed, and, with `overlap: error`, for an asset that two rules take.
    """
    facts = Facts.of(assets).assuming(schedule.assume)
    check_columns(schedule, facts)
    if schedule.listing:
        return _match_listing(schedule, facts, context)
    evaluation = Evaluation(facts, context)
    truths = [evaluation.truth_for(rule.when, rule.margin_type) for rule in schedule.rules]
    takers = [place for place, rule in enumerate(schedule.rules) if not rule.exclude]
    exclusions = [place for place, rule in enumerate(schedule.rules) if rule.exclude]
    excluded = _excluded(exclusions, truths, facts.n)
    if schedule.overlap == "error":
        _refuse_overlap(schedule, takers, truths, excluded[0] < 0, facts)
    rule, refused = _taken(schedule, takers, truths, facts.n)
    combinations, less = _deductions(schedule, evaluation)
    factors, rank = _FACTORS(schedule)
    table = [[_less(factor, deductions) for factor in factors] for deductions in combinations]
    refused = _no_value(table, less, rank[rule], refused)
    without_exclusions = refused == Refusal.NONE
    rule, refused = _with_exclusions(rule, refused, *excluded)
    undecided = _unknown_exclusions(schedule, evaluation, exclusions, refused, without_exclusions)
    return _frozen_match(schedule, evaluation, table, less, rule, refused, undecided)


# -------------------- which rule wins


def _excluded(exclusions: Sequence[int], truths: Sequence[Truth], n: int) -> tuple[Ints, Bools]:
    """The exclusion that refuses each asset (-1: none), the first true one, else the first undecided one; and
    whether it is true."""
    by = np.full(n, -1, dtype=np.int32)
    certain = np.zeros(n, dtype=np.bool_)
    for place in reversed(exclusions):
        by[truths[place] == UNKNOWN] = place
    for place in reversed(exclusions):
        hit = truths[place] == TRUE
        by[hit] = place
        certain |= hit
    return by, certain


def _taken(
    schedule: Schedule, takers: Sequence[int], truths: Sequence[Truth], n: int
) -> tuple[Ints, npt.NDArray[np.int8]]:
    """The rule that takes each asset, or the undecided one that stands in the way, or -1; and the refusal.

    Further haircuts come off every rule alike and keep their order, so factors are compared without them.
    """
    rank = _FACTORS(schedule)[1].tolist()
    lowest_first = schedule.overlap != "first"
    order = sorted(takers, key=lambda place: (rank[place], place)) if lowest_first else takers
    nobody = len(rank)
    winner = np.full(n, -1, dtype=np.int32)
    doubt = np.full(n, -1, dtype=np.int32)  # the undecided rule of lowest factor before the winner
    doubt_rank = np.full(n, nobody, dtype=np.int32)
    first_doubt = np.full(n, -1, dtype=np.int32)
    for place in order:
        undecided = winner < 0
        won = undecided & (truths[place] == TRUE)
        winner[won] = place
        doubtful = undecided & (truths[place] == UNKNOWN)
        if doubtful.any():
            first_doubt[doubtful & (first_doubt < 0)] = place
            lower = doubtful & (rank[place] < doubt_rank)
            doubt[lower] = place
            doubt_rank[lower] = rank[place]
    winner_rank = np.array([*rank, nobody], dtype=np.int32)[winner]
    in_the_way = (winner >= 0) & (doubt_rank < winner_rank)
    none_true = (winner < 0) & (first_doubt >= 0)
    rule = np.where(in_the_way, doubt, np.where(none_true, first_doubt, winner)).astype(np.int32)
    unknown = in_the_way | none_true
    refused = np.where(unknown, Refusal.RULE_UNKNOWN, np.where(rule < 0, Refusal.NO_RULE, Refusal.NONE))
    return rule, refused.astype(np.int8)


def _factors_of(schedule: Schedule) -> tuple[Sequence[Fraction], Ints]:
    """The different factors of the rules, or of the lines of a list, lowest first; and which is that of each."""
    if schedule.listing:
        each = [1 - line.haircut if line.haircut is not None else Fraction(0) for line in schedule.listing]
    else:
        each = [rule.factor for rule in schedule.rules]
    factors = sorted(set(each))
    rank = {factor: at for at, factor in enumerate(factors)}
    return factors, np.array([rank[factor] for factor in each], dtype=np.int32)


_FACTORS = Remembered(_factors_of)


def _with_exclusions(
    rule: Ints, refused: npt.NDArray[np.int8], by: Ints, certain: Bools
) -> tuple[Ints, npt.NDArray[np.int8]]:
    hit = by >= 0
    why = np.where(certain, Refusal.EXCLUDED, Refusal.EXCLUSION_UNKNOWN)
    return np.where(hit, by, rule).astype(np.int32), np.where(hit, why, refused).astype(np.int8)


def _refuse_overlap(
    schedule: Schedule, takers: Sequence[int], truths: Sequence[Truth], open_: Bools, facts: Facts
) -> None:
    count = np.zeros(facts.n, dtype=np.int32)
    for place in takers:
        count += (truths[place] == TRUE) & open_
    twice = np.flatnonzero(count > 1)
    if not len(twice):
        return
    asset = int(twice[0])
    both = [place_of("rule", p + 1, schedule.rules[p].label) for p in takers if truths[p][asset] == TRUE]
    others = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
    message = f"{' and '.join(both)} both take asset {facts.asset_id(asset)}{others}, and overlap is error"
    remedy = "Tell the rules apart, or write overlap: first or overlap: highest_haircut"
    raise ScheduleError([ScheduleProblem(schedule.name, both[0], facts.asset_id(asset), message, remedy)])


# -------------------- valuation


def _fx_applies(fx: FxHaircut, evaluation: Evaluation) -> Bools:
    facts = evaluation.facts
    currencies = facts.text("currency")
    base = np.array([currency == evaluation.context.base_currency for currency in currencies.values], dtype=np.bool_)
    differs = ~currencies.look_up(base, False)
    applies: Bools = differs & (evaluation.truth_for(fx.select, fx.margin_type) != FALSE)
    return applies


def _deductions(schedule: Schedule, evaluation: Evaluation) -> tuple[list[tuple[Deduction, ...]], Ints]:
    """The combinations of further haircuts that occur, each in the order they come off, and for each asset the
    position of its own; the first is the empty one, whether it occurs or not."""
    combinations: list[tuple[Deduction, ...]] = [()]
    code = np.zeros(evaluation.facts.n, dtype=np.int64)
    for deduction, applies in _applies(schedule, evaluation):
        code = 2 * code + applies
        occurs = np.bincount(code, minlength=2 * len(combinations)) > 0
        occurs[0] = True
        combinations = [
            (*combinations[pair // 2], deduction) if pair % 2 else combinations[pair // 2]
            for pair in np.flatnonzero(occurs).tolist()
        ]
        code = (np.cumsum(occurs) - 1)[code]
    return combinations, code.astype(np.int32)


def _applies(schedule: Schedule, evaluation: Evaluation) -> Iterator[tuple[Deduction, Bools]]:
    """Every further haircut, the FX haircut last, with the assets it comes off: where it is true that it does,
    and where that is unknown."""
    for further in schedule.further_haircuts:
        yield further, evaluation.truth_for(further.select, further.margin_type) != FALSE
    if schedule.fx_haircut is not None:
        yield schedule.fx_haircut, _fx_applies(schedule.fx_haircut, evaluation)


def _less(factor: Fraction, deductions: Sequence[Deduction]) -> Fraction:
    for deduction in deductions:
        factor = deduction.applied_to(factor)
    return factor


def _no_value(
    table: Sequence[Sequence[Fraction]],
    less: Ints,
    rank: Ints,
    refused: npt.NDArray[np.int8],
) -> npt.NDArray[np.int8]:
    """Refused as worth nothing where the haircuts together leave no value: the factor of each asset is
    `table[less][rank]`."""
    worthless = np.array([[factor.numerator <= 0 for factor in row] for row in table], dtype=np.bool_)
    taken = refused == Refusal.NONE
    return np.where(taken & worthless[less, rank], Refusal.NO_VALUE, refused).astype(np.int8)


def _factors(
    table: Sequence[Sequence[Fraction]], less: Ints, rank: Ints, eligible: Bools
) -> tuple[tuple[Fraction, ...], npt.NDArray[np.float64], Ints]:
    """The distinct factors in use, highest first; each asset's as a float and as a position among them."""
    used = np.zeros((len(table), len(table[0])), dtype=np.bool_)
    used[less[eligible], rank[eligible]] = True
    factors: list[Fraction] = []
    codes = np.full(used.shape, -1, dtype=np.int32)
    for f, r in sorted(np.argwhere(used).tolist(), key=lambda place: table[place[0]][place[1]], reverse=True):
        if not factors or table[f][r] != factors[-1]:
            factors.append(table[f][r])
        codes[f, r] = len(factors) - 1
    code = np.where(eligible, codes[less, rank], -1).astype(np.int32)
    floats = np.array([*(float(factor) for factor in factors), 0.0])
    return tuple(factors), floats[code], code


def _unknown_exclusions(
    schedule: Schedule,
    evaluation: Evaluation,
    exclusions: Sequence[int],
    refused: npt.NDArray[np.int8],
    without_exclusions: Bools,
) -> tuple[UnknownExclusion, ...]:
    """One record for each exclusion that is undecided for assets which no other exclusion surely refuses."""
    found = []
    for place in exclusions:
        rule = schedule.rules[place]
        truth = evaluation.truth_for(rule.when, rule.margin_type)
        rows = (refused == Refusal.EXCLUSION_UNKNOWN) & (truth == UNKNOWN)
        if rows.any():
            missing = evaluation.missing(rule.when, rule.margin_type, rows)
            otherwise = int((rows & without_exclusions).sum())
            found.append(UnknownExclusion(rule.label, missing, int(rows.sum()), otherwise))
    return tuple(found)


def _frozen_match(
    schedule: Schedule,
    evaluation: Evaluation,
    table: Sequence[Sequence[Fraction]],
    less: Ints,
    rule: Ints,
    refused: npt.NDArray[np.int8],
    undecided: tuple[UnknownExclusion, ...] = (),
) -> Match:
    eligible = refused == Refusal.NONE
    factors, factor, code = _factors(table, less, _FACTORS(schedule)[1][rule], eligible)
    for array in (eligible, factor, code, rule, refused):
        array.setflags(write=False)
    return Match(
        eligible,
        factor,
        code,
        factors,
        rule,
        refused,
        undecided,
        schedule,
        evaluation.facts,
        evaluation.context,
    )


# -------------------- list schedules


def listed_rows(schedule: Schedule, facts: Facts) -> Ints:
    """For each asset the position of the line that speaks of it, -1 for none; an asset_id beats an ISIN."""
    row = np.full(facts.n, -1, dtype=np.int32)
    for column, lines in _LINES(schedule).items():
        cells = facts.text(column)
        of_value = np.array([lines.get(value, -1) for value in cells.values], dtype=np.int32)
        found = cells.look_up(of_value, -1)
        row = np.where(found >= 0, found, row)
    return row.astype(np.int32)


def _lines_of(schedule: Schedule) -> dict[str, dict[str, int]]:
    """The lines that speak of an ISIN, and those that speak of an asset_id."""
    by_id = {line.asset_id: place for place, line in enumerate(schedule.listing) if line.asset_id}
    by_isin = {line.isin: place for place, line in enumerate(schedule.listing) if line.isin and not line.asset_id}
    return {"isin": by_isin, "asset_id": by_id}


_LINES = Remembered(_lines_of)


def _match_listing(schedule: Schedule, facts: Facts, context: Context) -> Match:
    row = listed_rows(schedule, facts)
    allowed = np.array([line.eligible for line in schedule.listing], dtype=np.bool_)
    listed = np.where(allowed[row], Refusal.NONE, Refusal.LISTED_INELIGIBLE)
    refused = np.where(row < 0, Refusal.NOT_LISTED, listed)
    plain = np.zeros(facts.n, dtype=np.int32)
    return _frozen_match(
        schedule, Evaluation(facts, context), [_FACTORS(schedule)[0]], plain, row, refused.astype(np.int8)
    )


def _why_listed(found: Match, i: int, refusal: Refusal, place: int) -> Reason:
    if refusal is Refusal.NOT_LISTED:
        no_isin = (
            any(line.asset_id is None for line in found.schedule.listing) and found.facts.text("isin").codes[i] < 0
        )
        missing = ("isin",) if no_isin else ()
        sentence = f"refused: not on the list {found.schedule.name}" + (", isin is empty" if no_isin else "")
        return Reason(False, "", refusal, missing, sentence)
    line = found.schedule.listing[place]
    label = f"line {line.line}"
    if refusal is Refusal.LISTED_INELIGIBLE:
        return Reason(False, label, refusal, (), f"refused: {label} of the list lists it as not eligible")
    sentence = f"eligible under {label} of the list at haircut {percent(line.haircut or Fraction(0))}"
    return Reason(True, label, refusal, (), sentence)


# -------------------- words for reasons


def _haircut(schedule: Schedule, rule: Rule, alone: Evaluation) -> str:
    """`haircut 2 % plus 1 % (zero coupon) and then FX 8 %`."""
    if rule.margin_ratio is not None:
        words = f"margin ratio {decimal_text(rule.margin_ratio)}"
    elif rule.valuation_percentage is not None:
        words = f"valuation percentage {percent(rule.valuation_percentage)}"
    else:
        words = f"haircut {percent(rule.haircut or Fraction(0))}"
    for deduction, applies in _applies(schedule, alone):
        if applies[0]:
            joined = "plus" if deduction.combine == "additive" else "and then"
            rate = percent(deduction.rate)
            said = f"{rate} ({deduction.label})" if isinstance(deduction, FurtherHaircut) else f"FX {rate}"
            words = f"{words} {joined} {said}"
    return words


def _said(missing: Sequence[str], facts: Facts) -> str:
    """`rating_sp, rating_moodys are empty`; a cell that is filled and still says nothing is quoted."""
    empty, quoted = [], []
    for column in missing:
        cells = facts.text(column) if column not in ("margin_type", "owner_parent") else None
        if cells is not None and len(cells.codes) and cells.codes[0] >= 0:
            quoted.append(f"{column} is {cells.values[int(cells.codes[0])]}")
        else:
            empty.append(
                {"margin_type": "the call's margin_type", "owner_parent": "the poster's owner_parent"}.get(
                    column, column
                )
            )
    words = [", ".join(empty) + (" are empty" if len(empty) > 1 else " is empty")] if empty else []
    return " and ".join([*words, *quoted])


# -------------------- does the table fit at all


def check_columns(schedule: Schedule, facts: Facts) -> None:
    """Raise ScheduleError with everything about the asset table that the schedule cannot be read on."""
    sound = _SOUND.setdefault(facts, WeakValueDictionary())
    if sound.get(id(schedule)) is schedule:
        return
    problems = []
    present = facts.columns
    for column in sorted(schedule.extra_columns - present):
        places = [
            where for where, when in schedule.criteria() if any(column in _columns(leaf) for leaf in leaves(when))
        ]
        remedy = (
            did_you_mean(column, sorted(KNOWN_COLUMNS | present)) or "Add the column to assets, or correct the name"
        )
        where = places[0] if places else "limits" if column not in schedule.assume else "assume"
        problems.append(ScheduleProblem(schedule.name, where, column, f"assets have no column {column}", remedy))
    for column in sorted(schedule.columns & present):
        problems.extend(facts.problems(column, schedule.name))
    for where, leaf in _COMPARED(schedule):
        if leaf.column in present:
            problems.extend(_not_comparable(schedule, where, leaf, facts))
    for column, text in schedule.assume.items():
        kind = facts.kind(column)
        if (kind == "number" and number(text) is None) or (kind == "date" and day(text) is None):
            message = f"assume says {column} is {text}, but the column holds a {kind} for each asset"
            problems.append(ScheduleProblem(schedule.name, "assume", text, message, f"Write a {kind}"))
    if problems:
        raise ScheduleError(problems)
    sound[id(schedule)] = schedule


def _compared(schedule: Schedule) -> list[tuple[str, ColumnCompare]]:
    """Every comparison of the schedule with the place it stands at."""
    named = ((where, leaf) for where, when in schedule.criteria() for leaf in leaves(when))
    return [(where, leaf) for where, leaf in named if isinstance(leaf, ColumnCompare)]


_COMPARED = Remembered(_compared)
_SOUND: WeakKeyDictionary[Facts, WeakValueDictionary[int, Schedule]] = WeakKeyDictionary()
"""The schedules that can be read on facts, as long as there are both: neither is kept for it."""


def _columns(leaf: object) -> tuple[str, ...]:
    column = getattr(leaf, "column", None)
    return (column,) if isinstance(column, str) else ()


def _not_comparable(schedule: Schedule, where: str, leaf: ColumnCompare, facts: Facts) -> list[ScheduleProblem]:
    """A comparison needs a column of numbers or dates, and bounds of the same kind."""
    kind = facts.kind(leaf.column)
    cells = facts.text(leaf.column) if kind == "text" else None
    if cells is not None:
        if not cells.values:
            return []  # an empty column is unknown everywhere, whatever it is compared with
        message = f"{leaf.column} holds text ({cells.values[0]}) and has no order"
        return [ScheduleProblem(schedule.name, where, leaf.column, message, f"Write {leaf.column}: [one, or, another]")]
    read = number if kind == "number" else day
    wrong = [bound for bound in (leaf.lt, leaf.le, leaf.gt, leaf.ge) if bound is not None and read(bound) is None]
    return [
        ScheduleProblem(
            schedule.name, where, bound, f"{leaf.column} holds a {kind}, {bound} is none", f"Write a {kind}"
        )
        for bound in wrong
    ]
