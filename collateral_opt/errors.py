"""What can go wrong, as typed records: findings about a book, and the exceptions that carry them.

Exit codes of the command line: 2 for :class:`BookError` and :class:`UsageError`, 4 for :class:`SolverError`.
:class:`CheckFailed` means a defect of this program: the independent checker refused its answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One thing found in a book: where it stands, what is wrong, and what to do about it.

    ``row`` is the row a person sees in the file (the header is row 1), ``None`` when no single row is meant.
    """

    code: str
    severity: Severity
    table: str
    row: int | None
    column: str | None
    value: str | None
    cause: str
    action: str

    def __str__(self) -> str:
        where = self.table
        if self.row is not None:
            where += f" row {self.row}"
        if self.column:
            where += f", {self.column}"
        return f"{self.code} {where}: {self.cause} {self.action}"

    def sort_key(self) -> tuple[int, str, str, int, str, str]:
        """Errors first, then by code, place and text: the same book lists its findings in the same order."""
        return (_RANK[self.severity], self.code, self.table, self.row or 0, self.column or "", self.cause)


class CollateralError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(CollateralError):
    """The command or call is wrong, not the book."""


class BookError(CollateralError):
    """The book is wrong; ``findings`` holds every error and warning found, errors first."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=Finding.sort_key))
        errors = [f for f in self.findings if f.severity == "error"]
        super().__init__(f"the book has {len(errors)} error(s):\n" + "\n".join(f"  {f}" for f in errors))

    def __reduce__(self) -> tuple[type[BookError], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


class SolverError(CollateralError):
    """The solver gave up: no answer may be read from it."""


class StoppedError(SolverError):
    """A time limit or an interruption struck before there was an answer."""


class InfeasibleError(SolverError):
    """The program has no answer at all."""


class CheckFailed(CollateralError):
    """The independent checker refused a result; ``violations`` says where it breaks the book."""

    def __init__(self, violations: Iterable[str]) -> None:
        self.violations = tuple(violations)
        super().__init__("the result breaks the book:\n" + "\n".join(f"  {v}" for v in self.violations))

    def __reduce__(self) -> tuple[type[CheckFailed], tuple[tuple[str, ...]]]:
        return type(self), (self.violations,)
