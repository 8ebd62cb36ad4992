"""Finds the schedule that somebody names: a file, or one of the published."""

from __future__ import annotations

from pathlib import Path

from eligibility_rules import published
from eligibility_rules.loading import load_schedule
from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.vocabulary import Schedule


def schedule_named(name: str) -> Schedule:
    """The schedule in a file, or the published one of that name; raises ScheduleError."""
    path = Path(name)
    if path.is_file():
        return load_schedule(path)
    found = published.find(name)
    if found is None and path.suffix.lower() in published.SUFFIXES:
        return load_schedule(path)  # says that it is not there
    if found is None:
        remedy = did_you_mean(name, published.names()) or "See `eligibility-rules list`, or name a file"
        message = "there is no such published schedule, and no such file"
        raise ScheduleError([ScheduleProblem(name, "", "", message, remedy)])
    return found
