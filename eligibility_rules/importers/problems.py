"""What an import found worth telling, and what it made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from eligibility_rules.importers.terms import CsaTerms
from eligibility_rules.vocabulary import Schedule

Effect = Literal["laxer", "stricter", "none"]
EFFECTS: tuple[Effect, ...] = ("laxer", "stricter", "none")


@dataclass(frozen=True)
class ImportFinding:
    """One thing in a document that a reader of the schedule must know.

    `where` is the JSON path, `effect` whether the schedule may take more than the document means (`laxer`), less
    (`stricter`), or neither (`none`).
    """

    where: str
    value: str
    message: str
    effect: Effect

    def __str__(self) -> str:
        value = f" {self.value}:" if self.value else ""
        return f"{self.effect}: {self.where}:{value} {self.message}"


def by_effect(findings: Iterable[ImportFinding]) -> tuple[ImportFinding, ...]:
    """The findings that may take too much first; otherwise in the order of the document."""
    return tuple(sorted(findings, key=lambda finding: EFFECTS.index(finding.effect)))


@dataclass(frozen=True)
class Imported:
    """What was read: a schedule for each posting party, the terms of an agreement, and the findings."""

    schedules: tuple[Schedule, ...]
    terms: CsaTerms | None
    findings: tuple[ImportFinding, ...]
