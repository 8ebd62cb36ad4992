"""Finds the schedule that somebody names: one of their own, a published one, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eligibility_rules import published
from eligibility_rules.loading import load_schedule
from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.vocabulary import Schedule


def schedule_named(name: str, own: Mapping[str, Schedule] | None = None) -> Schedule:
    """The schedule of this name among one's `own` (a book's), else the published one, else that of the file.

    Raises ScheduleError if there is none, or it does not read.
    """
    found = (own or {}).get(name) or published.find(name)
    if found is not None:
        return found
    path = Path(name)
    if path.is_file():
        return load_schedule(path)
    near = path.stem if path.suffix.lower() in published.SUFFIXES and path.name == name else name
    known = (*(own or ()), *published.names())
    if near in known:
        remedy = f"The schedule is called {near}, without {path.suffix}"
    else:
        remedy = did_you_mean(near, known) or "See `eligibility-rules list`, or name a file"
    looked = "not published, and no file" if own is None else "not in the book, not published, and no file"
    raise ScheduleError([ScheduleProblem("", "", name, f"there is no schedule {name!r}: {looked}", remedy)])


def two_schedules(before: str, after: str, own: Mapping[str, Schedule] | None = None) -> tuple[Schedule, Schedule]:
    """Both as `schedule_named` finds them; raises ScheduleError with the problems of both."""
    found: list[Schedule] = []
    problems: list[ScheduleProblem] = []
    for name in (before, after):
        try:
            found.append(schedule_named(name, own))
        except ScheduleError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ScheduleError(problems)
    return found[0], found[1]
