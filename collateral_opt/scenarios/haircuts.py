"""Haircuts moved in a schedule, for some assets or all, in the schedules' own vocabulary.

A rule W at haircut h, moved to k for the assets inside, becomes two rules in its place: W and inside at k, W and not
inside at h. Inside is said by ``asset_id``, which is never unknown: of every asset one of the two is false and the
other has W's own truth, so that whatever rule won, excluded, or could not be told before does so again, in any
``overlap``. Assets outside keep rule, haircut and reason; assets inside are read as if W had always been at k.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd

from collateral_opt.network.network import Bools
from collateral_opt.scenarios.figure import Figure
from eligibility_rules import Facts, Rule, Schedule
from eligibility_rules.matching import listed_rows
from eligibility_rules.scalars import decimal_text
from eligibility_rules.vocabulary import VALUATIONS, AllOf, ColumnIn, Criterion, Listed, Not, place_of

Say = Callable[[str], None]


def moved(
    schedule: Schedule, figure: Figure, say: Say, *, assets: pd.DataFrame, inside: Bools, rule: str | None = None
) -> Schedule:
    """``schedule`` with the haircuts of its rules (those labelled ``rule``), or of its list, moved.

    Args:
        figure: a haircut, or the move of one; a move does not go below 0.
        say: told of every haircut that would leave 0 to 1 (1 itself excluded).
        assets: the book's.
        inside: bool[assets], for which the haircuts move.
    """
    if schedule.listing:
        return _moved_list(schedule, figure, say, assets, inside)
    only = _only(assets, inside)
    rules: list[Rule] = []
    for place, one in enumerate(schedule.rules, 1):
        if one.exclude or (rule is not None and one.label != rule):
            rules.append(one)
            continue
        haircut = _haircut(figure, 1 - one.factor, f"{schedule.name}, {place_of('rule', place, one.label)}", say)
        at_new = {**dict.fromkeys(VALUATIONS), "haircut": haircut}
        if only is None:
            rules.append(one.model_copy(update=at_new))
        else:
            rules.append(one.model_copy(update={"when": _and(one.when, only), **at_new}))
            rules.append(one.model_copy(update={"when": _and(one.when, Not(criterion=only))}))
    return schedule.model_copy(update={"rules": tuple(rules)})


def _haircut(figure: Figure, old: Fraction, where: str, say: Say) -> Fraction:
    new = figure.of(old)
    if figure.how != "to":
        new = max(Fraction(0), new)
    if not 0 <= new < 1:
        say(f"{where}: the haircut would be {decimal_text(new)}: it must be at least 0 and below 1 (2 % is 0.02).")
    return new


def _only(assets: pd.DataFrame, inside: Bools) -> Criterion | None:
    """True of the assets inside and false of all others; None where that is everything."""
    if inside.all():
        return None
    few = inside if inside.sum() * 2 <= len(inside) else ~inside
    named = ColumnIn(column="asset_id", values=tuple(assets["asset_id"][few]))
    return named if few is inside else Not(criterion=named)


def _and(when: Criterion | None, only: Criterion) -> Criterion:
    return only if when is None else AllOf(criteria=(when, only))


def _moved_list(schedule: Schedule, figure: Figure, say: Say, assets: pd.DataFrame, inside: Bools) -> Schedule:
    """Lines that speak of assets inside alone are moved; beside one that speaks of others too, its assets inside get
    lines of their own (an ``asset_id`` beats an ISIN)."""
    spoken_by = listed_rows(schedule, Facts.of(assets))
    lines: list[Listed] = []
    added: list[Listed] = []
    for place, line in enumerate(schedule.listing):
        mine = spoken_by == place
        hit = mine & inside
        if line.haircut is None or not line.eligible or not hit.any():
            lines.append(line)
            continue
        haircut = _haircut(figure, line.haircut, f"{schedule.name}, line {line.line}", say)
        if (hit == mine).all():
            lines.append(line.model_copy(update={"haircut": haircut}))
            continue
        lines.append(line)
        for name in assets["asset_id"][np.flatnonzero(hit)]:
            added.append(line.model_copy(update={"haircut": haircut, "asset_id": name, "isin": None}))
    return schedule.model_copy(update={"listing": (*lines, *added)})
