"""What every command shares: exit statuses and how errors become them, the usual options, how a book is read.

Nothing here takes long to import; what does is imported in the functions that need it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.errors import BookError, CheckFailed, Finding, SolverError, StoppedError, UsageError
from collateral_opt.terminal import findings_text, is_at_work, printable, say

if TYPE_CHECKING:
    from collateral_opt.book import Book

COVERED, DIFFERENT, WRONG, SHORT, GAVE_UP, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 130, 143

BookPath = Annotated[Path, typer.Argument(help="A folder of tables, or one .xlsx.")]
SolverName = Annotated[str, typer.Option("--solver", help="highs, or pulp:NAME for any solver PuLP knows.")]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0.0, help="Stop then, with the best answer so far.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for the tables; must be new or empty.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace earlier tables in DIR.")]
StressesFile = Annotated[Path, typer.Option("--stresses", metavar="FILE", help="The file of stresses.")]


class Terminated(KeyboardInterrupt):
    """SIGTERM, to be cleaned up after like Ctrl-C."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what can go wrong into a message on standard error and an exit status."""
    try:
        yield
    except BookError as error:
        fail(WRONG, findings_text(error.findings))
    except UsageError as error:
        fail(WRONG, "error: " + "\n".join(map(printable, str(error).splitlines())))
    except StoppedError:
        leave(INTERRUPTED, "stopped before there was an answer. Nothing was written.")
    except SolverError as error:
        fail(GAVE_UP, f"the solver gave up: {printable(error)}\nNothing was written.")
    except CheckFailed as error:
        refused = "\n".join(f"  {printable(v)}" for v in error.violations)
        fail(
            GAVE_UP,
            f"the answer was refused by the checker; please report this:\n{refused}\nNothing was written.",
        )
    except MemoryError:
        fail(GAVE_UP, "out of memory. Nothing was written.")
    except KeyboardInterrupt as error:
        leave(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        fail(WRONG, f"error: {printable(what)}. Nothing was written.")


def fail(status: int, message: str) -> None:
    say(message, error=True)
    raise typer.Exit(status)


def leave(status: int, said: str = "interrupted. Nothing was written.") -> None:
    """End an interrupted run: at once if a solver is still at work in its own thread, which nothing can stop."""
    say(said, error=True)
    if is_at_work():
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
    raise typer.Exit(status)


def say_written(written: Sequence[Path], out: Path | None) -> None:
    """Name what was written to the folder ``out``; nothing where there is none."""
    if out is not None and written:
        say(f"\nwritten to {printable(out)}: {', '.join(path.name for path in written)}")


def whole_money(amount: float) -> str:
    """An amount as a terminal shows it where cents do not matter."""
    return f"{amount:,.0f}"


def read(path: Path) -> Book:
    from collateral_opt.io.read import read_book

    return read_book(path)


def ready(path: Path, quiet: bool, besides: Collection[Path] = ()) -> Book:
    """The book, with nothing in the way of an answer; what is odd about it is said.

    ``besides``: other files that are read, which may lie in the book's folder without being tables of it.
    """
    loaded = read(path)
    known = {file.name for file in besides if file.resolve().parent == path.resolve()}
    findings = tuple(f for f in all_findings(loaded) if not (f.code == "N232" and f.value in known))
    if any(finding.severity == "error" for finding in findings):
        raise BookError(findings)
    if findings and not quiet:
        say(findings_text(findings), error=True)
    return loaded


def all_findings(book: Book) -> tuple[Finding, ...]:
    """What the book's own checks found, and what shows only when it is about to be answered."""
    whole = book.in_full
    if not len(whole.posted) and not len(whole.pins):
        return book.findings
    from collateral_opt.collisions import findings
    from collateral_opt.network import Problem
    from collateral_opt.network.facts import gather

    return (*book.findings, *findings(whole, Problem(gather(whole))))


def within(book: Book, time_limit: float | None) -> Book:
    """The book, to be answered in so many seconds."""
    return book if time_limit is None else book.replace(settings={"time_limit_s": time_limit})
