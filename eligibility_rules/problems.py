"""What can be wrong with a schedule, said so that it can be put right: file, place, value, cause, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ScheduleProblem:
    """One thing wrong with a schedule, or with what a schedule is asked about."""

    file: str
    where: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.where) if part)
        sentence = f"{place}: {self.message}" if place else self.message
        return f"{sentence}. {self.remedy}" if self.remedy else f"{sentence}."


class ScheduleError(ValueError):
    """A schedule that cannot be used, with every problem that was found."""

    def __init__(self, problems: Iterable[ScheduleProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that proposes the known word nearest to `word`, or nothing where none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"Did you mean {by_lower[near[0]]}?" if near else ""
