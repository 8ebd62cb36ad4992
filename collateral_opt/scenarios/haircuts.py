"""Haircuts moved in a schedule, for some assets or all, in the schedules' own vocabulary.

A rule W at haircut h, moved to k for the assets inside, becomes two rules in its place: W and inside at k, W and not
inside at h. Inside is said by ``asset_id``, which is never unknown: of every asset one of the two is false and the
other has W's own truth, so that whatever rule won, excluded, or could not be told before does so again, in any
``overlap``. Assets outside keep rule, haircut and reason; assets inside are read as if W had always been at k. Where k
reaches 1 and W cannot take any of them, only the second of the two is there: should a later change lead one of them to
W, it takes nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from collateral_opt.network.network import Bools
from collateral_opt.scenarios.figure import Figure
from eligibility_rules import Context, Facts, Rule, Schedule, ScheduleError
from eligibility_rules.criteria import FALSE, TRUE, Evaluation
from eligibility_rules.matching import check_columns, listed_rows
from eligibility_rules.scalars import decimal_text
from eligibility_rules.vocabulary import VALUATIONS, AllOf, ColumnIn, Criterion, FxHaircut, Listed, Not, place_of

Say = Callable[[str], None]
Note = Callable[[str, str, Fraction, Fraction], None]
"""Told of a `rule` or a `line`, its name, and its haircut before and after."""

KEPT = 16
"""So many different sets of assets are told again by the same criterion; it may name most of a book's assets."""


def _nobody(thing: str, name: str, old: Fraction, new: Fraction) -> None:
    """Nobody wants to know."""


def moved(
    schedule: Schedule,
    figure: Figure,
    say: Say,
    *,
    assets: Facts,
    inside: Bools,
    context: Context,
    rule: str | None = None,
    note: Note = _nobody,
) -> Schedule:
    """``schedule`` with the haircuts of its rules (those labelled ``rule``), or of its list, moved.

    Args:
        figure: a haircut, or the move of one; a move does not go below 0.
        say: told of every haircut that would leave 0 to 1 (1 itself excluded): a figure wherever it is set, a move
            where the rule may take an asset inside.
        assets: what is known of the book's.
        inside: bool[assets], for which the haircuts move.
        context: the desk's, for calls of any margin type.
        note: told of every haircut that moves for an asset inside.
    """
    if schedule.listing:
        return _moved_list(schedule, figure, say, assets, inside, note)
    only, takes = _only(assets, inside), _may_take(schedule, assets, inside, context)
    rules: list[Rule] = []
    for place, one in enumerate(schedule.rules):
        if one.exclude or (rule is not None and one.label != rule):
            rules.append(one)
            continue
        old, name = 1 - one.factor, place_of("rule", place + 1, one.label)
        new = _moved_by(figure, old)
        beside = one.model_copy(update={"when": _and(one.when, Not(criterion=only))})
        if new >= 1 and figure.how != "to" and not takes[place]:
            rules.append(beside)
            continue
        _check(new, f"{schedule.name}, {name}", say)
        if takes[place]:
            note("rule", name, old, new)
        at_new = {**dict.fromkeys(VALUATIONS), "haircut": new}
        if inside.all():
            rules.append(one.model_copy(update=at_new))
        else:
            rules.append(one.model_copy(update={"when": _and(one.when, only), **at_new}))
            rules.append(beside)
    return schedule.model_copy(update={"rules": tuple(rules)})


def _may_take(schedule: Schedule, assets: Facts, inside: Bools, context: Context) -> list[bool]:
    """For each rule whether it may take an asset inside: none that is surely excluded, or surely taken before."""
    facts = assets.assuming(schedule.assume)
    try:
        check_columns(schedule, facts)
        evaluation = Evaluation(facts, context)
        truths = [evaluation.truth_for(rule.when, rule.margin_type) for rule in schedule.rules]
    except ScheduleError:
        # It cannot be read on these assets, which the changed book will say.
        return [True] * len(schedule.rules)
    open_ = inside.copy()
    for rule, truth in zip(schedule.rules, truths, strict=True):
        if rule.exclude:
            open_ &= truth != TRUE
    may: list[bool] = []
    for rule, truth in zip(schedule.rules, truths, strict=True):
        may.append(bool((open_ & (truth != FALSE)).any()))
        # Elsewhere the highest haircut wins, wherever its rule stands.
        if schedule.overlap == "first" and not rule.exclude:
            open_ &= truth != TRUE
    return may


def fx_moved(schedule: Schedule, figure: Figure, say: Say) -> Schedule:
    """``schedule`` with its FX haircut moved; where it has none, with one for every asset in another currency.

    ``say`` is told of one that would leave 0 to 1 (1 itself excluded); a move does not go below 0.
    """
    there = schedule.fx_haircut
    old = there.rate if there is not None else Fraction(0)
    new = _moved_by(figure, old)
    if not _check(new, f"{schedule.name}, FX haircut", say):
        return schedule
    changed = there.model_copy(update={"rate": new}) if there is not None else FxHaircut(rate=new)
    return schedule.model_copy(update={"fx_haircut": changed})


def _moved_by(figure: Figure, old: Fraction) -> Fraction:
    new = figure.of(old)
    return new if figure.how == "to" else max(Fraction(0), new)


def _check(haircut: Fraction, where: str, say: Say) -> bool:
    """Whether it is a haircut; said where not."""
    if not 0 <= haircut < 1:
        text = decimal_text(haircut)
        say(f"{where}: the haircut would be {text}: it must be at least 0 and below 1 (2 % is 0.02).")
    return 0 <= haircut < 1


def _only(assets: Facts, inside: Bools) -> Criterion:
    """True of the assets inside and false of all others; the same one for all schedules that are moved for them."""
    known, key = assets.memory("only"), inside.tobytes()
    if key not in known:
        few = inside if inside.all() or inside.sum() * 2 <= len(inside) else ~inside
        named = ColumnIn(column="asset_id", values=tuple(assets.assets["asset_id"].to_numpy()[few].tolist()))
        only = named if few is inside else Not(criterion=named)
        if len(known) >= KEPT:
            known.pop(next(iter(known)), None)
        known[key] = only
    found: Criterion = known[key]
    return found


def _and(when: Criterion | None, only: Criterion) -> Criterion:
    return only if when is None else AllOf(criteria=(when, only))


def _moved_list(schedule: Schedule, figure: Figure, say: Say, assets: Facts, inside: Bools, note: Note) -> Schedule:
    """Lines that speak of assets inside alone are moved; beside one that speaks of others too, its assets inside get
    lines of their own (an ``asset_id`` beats an ISIN)."""
    spoken_by = listed_rows(schedule, assets)
    lines: list[Listed] = []
    added: list[Listed] = []
    for place, line in enumerate(schedule.listing):
        mine = spoken_by == place
        hit = mine & inside
        if line.haircut is None or not line.eligible or not hit.any():
            lines.append(line)
            continue
        haircut = _moved_by(figure, line.haircut)
        _check(haircut, f"{schedule.name}, line {line.line}", say)
        note("line", f"line {line.line}", line.haircut, haircut)
        if (hit == mine).all():
            lines.append(line.model_copy(update={"haircut": haircut}))
            continue
        lines.append(line)
        for name in assets.assets["asset_id"][np.flatnonzero(hit)]:
            added.append(line.model_copy(update={"haircut": haircut, "asset_id": name, "isin": None}))
    return schedule.model_copy(update={"listing": (*lines, *added)})
