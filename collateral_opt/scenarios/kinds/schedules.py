"""Changes of schedules: another one, or other haircuts in it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Self

from pydantic import model_validator

from collateral_opt.book.schedules import find_schedule
from collateral_opt.book.tables import hint
from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.figure import ALL, Assets, Move, Which
from collateral_opt.scenarios.haircuts import Note, fx_moved, moved
from collateral_opt.scenarios.kinds.kind import BookChange
from eligibility_rules import Schedule, ScheduleError, load_schedule
from eligibility_rules.scalars import problem
from eligibility_rules.vocabulary import Text

EVERYTHING = Which(text=ALL)


class HaircutMoved(BookChange):
    """Other haircuts for the assets inside: in one schedule, in all of an agreement's, or in every one traded under.

    ``rule``: only those of the rules of that label. A schedule that others name too is copied for the agreement.
    Every schedule is that of all agreements, calls and facilities; a reserve's own is moved by its name only.
    """

    lead = "haircut"
    haircut: Move
    of: Assets = EVERYTHING
    schedule: Text | None = None
    agreement: Text | None = None
    rule: Text | None = None

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        require_one_place(self.lead, self.schedule, self.agreement)
        return self

    def apply(self, draft: Draft) -> None:
        inside, names = draft.inside(self.of), schedules_meant(draft, self.schedule, self.agreement)
        if self.rule is not None:
            labels = sorted({rule.label for name in names for rule in draft.schedules[name].rules if not rule.exclude})
            if names and self.rule not in labels:
                guess = hint(self.rule, labels) or f"Write one of {', '.join(labels)}."
                draft.say(f"{' and '.join(names)}: no rule {self.rule!r} takes anything. {guess}".rstrip())
            names = [n for n in names if any(rule.label == self.rule for rule in draft.schedules[n].rules)]
        if not inside.any():
            return
        assets = draft.asset_facts
        for name in names:
            own = name if self.agreement is None else draft.own_schedule(self.agreement, name)
            old, context = draft.schedules[own], draft.context
            changed = moved(
                old,
                self.haircut,
                draft.say,
                assets=assets,
                inside=inside,
                context=context,
                rule=self.rule,
                note=_noted(draft, own),
            )
            draft.haircuts(own, changed)

    def __str__(self) -> str:
        named = self.schedule is not None or self.agreement is not None
        everything, ruled = self.of.text == ALL, self.rule is not None
        if ruled and not (named and everything):
            return super().__str__()
        what = f"rule:{self.rule}" if ruled else "haircut" if named and everything else f"haircut:{self.of}"
        return f"{_place(self.schedule, self.agreement)}{what}={self.haircut}"


class FxHaircutMoved(BookChange):
    """Another FX haircut: in one schedule, in all of an agreement's, or in every one traded under that has one.

    A figure where a place is named, and its schedule has none, is one for every asset in another currency. A list has
    none. Copies are made as for other haircuts.
    """

    lead = "fx_haircut"
    fx_haircut: Move
    schedule: Text | None = None
    agreement: Text | None = None

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        require_one_place(self.lead, self.schedule, self.agreement)
        return self

    def apply(self, draft: Draft) -> None:
        names = schedules_meant(draft, self.schedule, self.agreement)
        everywhere = self.schedule is None and self.agreement is None
        may_have = [name for name in names if not draft.schedules[name].listing]
        have = [name for name in may_have if draft.schedules[name].fx_haircut is not None]
        meant = have if everywhere or self.fx_haircut.how != "to" else may_have
        if names and not meant:
            no_list = "there is no FX haircut that could be moved. Name a schedule, and write the figure itself."
            why = no_list if may_have else "a list has no FX haircut. Move its haircuts."
            draft.say(f"{' and '.join(names)}: {why}")
        for name in meant:
            own = name if self.agreement is None else draft.own_schedule(self.agreement, name)
            old = draft.schedules[own]
            new = fx_moved(old, self.fx_haircut, draft.say)
            draft.note("schedule", own, "fx_haircut", _fx_rate(old), _fx_rate(new))
            draft.schedule(own, new)

    def __str__(self) -> str:
        return f"{_place(self.schedule, self.agreement)}fx_haircut={self.fx_haircut}"


class ScheduleReplaced(BookChange):
    """Another schedule for an agreement (``*``: for every one): of the book, a published one, or a file.

    Calls that name their own keep it.
    """

    lead = "agreement"
    agreement: Text
    schedule: Text

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("agreements", self.agreement, every=True)
        name = find(draft, self.schedule)
        if name is not None:
            draft.put("agreements", "schedule", rows, name)

    def __str__(self) -> str:
        return f"agreement:{self.agreement}.schedule={self.schedule}"


def require_one_place(lead: str, schedule: str | None, agreement: str | None) -> None:
    """Refuse a change that names both."""
    if schedule is not None and agreement is not None:
        raise problem(f"{lead}: has both schedule and agreement", schedule, "Write one of them")


def schedules_meant(draft: Draft, schedule: str | None, agreement: str | None) -> list[str]:
    """The names of the schedules meant: this one, all of the agreement's, or every one that is traded under."""
    if schedule is not None:
        return [schedule] if is_of_book(draft, schedule) else []
    if agreement is None:
        return draft.traded_under()
    if not draft.has("agreements", agreement):
        return []
    tables = draft.table("agreements"), draft.table("calls")
    named = [t["schedule"][t["agreement_id"] == agreement] for t in tables]
    return sorted({name for names in named for name in names.dropna()})


def _place(schedule: str | None, agreement: str | None) -> str:
    """The beginning of a word that names it."""
    if schedule is not None:
        return f"schedule:{schedule}."
    return f"agreement:{agreement}." if agreement is not None else ""


def _fx_rate(schedule: Schedule) -> float | None:
    return None if schedule.fx_haircut is None else float(schedule.fx_haircut.rate)


def _noted(draft: Draft, schedule: str) -> Note:
    """Has the draft told what moves in the schedule."""

    def note(thing: str, name: str, old: Fraction, new: Fraction) -> None:
        draft.note(thing, name, "haircut", float(old), float(new), place=schedule)

    return note


def is_of_book(draft: Draft, name: str) -> bool:
    """Whether the draft has such a schedule; said where not."""
    if name not in draft.schedules:
        draft.unknown("schedule", name, draft.schedules)
    return name in draft.schedules


def find(draft: Draft, name: str) -> str | None:
    """The name in the draft of a schedule of the book, published or in a file; said where there is none."""
    try:
        found = find_schedule(name, draft.schedules)
        if found is None and Path(name).is_file():
            found, name = load_schedule(Path(name)), Path(name).stem
            if name in draft.schedules and draft.schedules[name] != found:
                draft.say(f"the book has a schedule {name!r} already. Give the file another name.")
    except ScheduleError as error:
        draft.say(str(error))
        return None
    if found is None:
        guess = hint(name, draft.schedules) or "Write one of the book, a published one, or a file."
        draft.say(f"there is no schedule {name!r}: not in the book, not published, and no file. {guess}".rstrip())
        return None
    if name not in draft.schedules:
        draft.schedule(name, found)
    return name
