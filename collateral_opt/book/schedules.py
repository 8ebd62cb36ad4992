"""The schedules a book names: its own and the published ones, read or refused with findings."""

from __future__ import annotations

from collections.abc import Mapping

from eligibility_rules import Schedule, ScheduleError, parse_schedule, published

from ..errors import Finding
from .codes import finding

SUFFIXES = published.SUFFIXES


def find_schedule(name: str, local: Mapping[str, Schedule]) -> Schedule | None:
    """The schedule of this name: the book's own, else the one published with `eligibility_rules`, else None.

    Raises ScheduleError if a published schedule does not read.
    """
    if name in local:
        return local[name]
    return published.find(name)


def table_name(name: str) -> str:
    """What findings call a schedule."""
    return f"schedules/{name}"


def problems(name: str, error: ScheduleError) -> list[Finding]:
    """A schedule's problems as findings."""
    return [
        finding(
            "E501",
            table_name(name),
            column=problem.where or None,
            value=problem.value or None,
            cause=_closed(problem.message),
            remedy=_closed(problem.remedy),
        )
        for problem in error.problems
    ]


def _closed(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if not sentence or sentence.endswith((".", "!", "?")) else sentence + "."


def read_schedules(
    given: Mapping[str, Schedule | Mapping[str, object]],
) -> tuple[dict[str, Schedule], frozenset[str], list[Finding]]:
    """Schedules by name, the names of those that do not read, and what is wrong with them."""
    schedules: dict[str, Schedule] = {}
    failed: set[str] = set()
    found: list[Finding] = []
    for name, data in given.items():
        if isinstance(data, Schedule):
            schedules[name] = data
            continue
        try:
            schedule = parse_schedule(data, name)
        except ScheduleError as error:
            failed.add(name)
            found += problems(name, error)
            continue
        if schedule.name != name:
            found.append(finding("E506", table_name(name), column="name", value=schedule.name))
        schedules[name] = schedule
    return schedules, frozenset(failed), found
