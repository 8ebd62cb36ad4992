"""``collateral-opt stress answer``: what is called under a stress, what meets it, and how long that lasts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import COVERED, SHORT, BookPath, Quiet, SolverName, TimeLimit, exit_codes, ready, within
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import bold, findings_text, printable, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collateral_opt.book import Book
    from collateral_opt.liquidity.answer import Answered
    from collateral_opt.liquidity.stress import StressFile
    from collateral_opt.terminal import Progress

Stresses = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A YAML of stresses; without it the book's own calls are answered.")
]
Names = Annotated[list[str] | None, typer.Option("--stress", metavar="NAME", help="Only this stress; any number.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for tables and pages; must be new or empty.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier answer in DIR.")]
Order = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Sources in the order in which the desk turns to them: what it would cost."),
]
_MOST_SOURCES = 20


@app.command("answer")
def command(
    book: BookPath,
    stresses: Stresses = None,
    stress: Names = None,
    order: Order = None,
    out: Out = None,
    force: Force = False,
    solver: SolverName = "highs",
    time_limit: TimeLimit = None,
    quiet: Quiet = False,
) -> None:
    """Say what is called under each stress, which sources meet it at which cost, and until when that is enough."""
    with exit_codes():
        from collateral_opt.liquidity.write import check_stress_target, write_answers

        file = file_of(stresses)
        names = names_of(file, stress)
        if out is not None:
            check_stress_target(out, names, force=force, book=book)
        stop = threading.Event()

        def run(progress: Progress) -> list[Answered]:
            loaded = within(ready(book, quiet, file.files if file is not None else ()), time_limit)
            return answers_of(loaded, file, names, order, solver=solver, stop=stop, progress=progress)

        found = wait_for(run, quiet=quiet, stop=stop)
        written = write_answers(found, out, force=force) if out is not None else []
        if not quiet:
            for answered in found:
                warn(answered)
                say(told(answered) + "\n")
            if written:
                say(f"written to {printable(out)}: {len(written):,} files, see {written[0].name}")
        raise typer.Exit(SHORT if any(answered.is_short for answered in found) else COVERED)


def file_of(stresses: Path | None) -> StressFile | None:
    """The file of stresses, where one is named."""
    from collateral_opt.liquidity.stress import read_stresses

    return None if stresses is None else read_stresses(stresses)


def names_of(file: StressFile | None, wanted: Sequence[str] | None) -> list[str]:
    """The stresses to be answered. Raises UsageError: one is not there, or there is no file."""
    from collateral_opt.errors import UsageError
    from collateral_opt.liquidity.answer import TODAY

    if file is None:
        if wanted:
            raise UsageError("--stress names one of a file. Add --stresses FILE.")
        return [TODAY]
    return [file.stress(name).name for name in dict.fromkeys(wanted)] if wanted else list(file.stresses)


def answers_of(
    book: Book,
    file: StressFile | None,
    names: Sequence[str],
    order: str | None,
    *,
    solver: str,
    stop: threading.Event,
    progress: Progress,
) -> list[Answered]:
    """The stresses of ``names``, projected and answered one after another."""
    from collateral_opt.liquidity.answer import answer

    if file is None:
        return [answer(book, order=order_of(order, file), solver=solver, stop=stop, progress=progress)]
    from collateral_opt.liquidity.projection import project

    found = []
    for name in names:
        progress(name)
        projection = project(book, file.stresses[name], file)
        found.append(answer(projection, order=order_of(order, file), solver=solver, stop=stop, progress=progress))
        if stop.is_set():
            break
    return found


def order_of(order: str | None, file: StressFile | None) -> list[str]:
    """The order of the command line, else the file's. Raises UsageError: the file's is no list of names."""
    from collateral_opt.errors import UsageError

    if order is not None:
        return [name.strip() for name in order.split(",") if name.strip()]
    given = [] if file is None else file.sections.get("order", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise UsageError("order: in the file of stresses is no list. Write order: [CASH, REPO, LINE].")
    return given


def warn(answered: Answered) -> None:
    """Say on standard error what is odd about a stress."""
    if answered.projection is not None and answered.projection.findings:
        say(findings_text(answered.projection.findings) + "\n", error=True)


def told(answered: Answered) -> str:
    """What a stress comes to, a line a source."""
    from collateral_opt.liquidity.playbook import told_time

    fall, ladder, result = answered.fall, answered.ladder, answered.result
    base, lines = result.summary["base_currency"], []
    head = f"{printable(answered.name)}: {fall.called:,.2f} {base} called, {fall.covered:,.2f} met"
    lines.append(bold(head + (f", {fall.shortfall:,.2f} short" if fall.shortfall else "")))
    listed = [s for s in fall.sources if s.used or s.available][:_MOST_SOURCES]
    width = max([6, *(len(printable(s.name)) for s in listed)])
    lines.append(
        f"  {'source':<{width}} {'after':>9} {'bp a year':>11} {'available':>18} {'cumulative':>18} {'used':>18}"
    )
    for s in listed:
        after = f"{s.hours:,.4g} h" + ("" if s.in_time else " late")
        rate = f"{s.rate_bps:,.5g}"
        lines.append(
            f"  {printable(s.name):<{width}} {after:>9} {rate:>11} {s.available:>18,.2f} {s.cumulative:>18,.2f} "
            f"{s.used:>18,.2f}"
        )
    if len(fall.sources) > len(listed):
        lines.append(f"  and {len(fall.sources) - len(listed):,} more, see waterfall.csv")
    lines.append(f"  cost {fall.total_cost:,.2f} {base} over {result.book.settings.horizon_days:g} days")
    if fall.fixed is not None:
        order = ", ".join(map(printable, fall.fixed.order[:_MOST_SOURCES]))
        lines.append(f"  in the order {order}: {fall.fixed.total_cost:,.2f}, {fall.fixed.extra_cost:,.2f} more")
    if ladder.survives_until is not None:
        missing = sum(call.shortfall for call in ladder.first_missed)
        until = told_time(ladder.survives_until, result.book)
        lines.append(f"  survives until {until}: {missing:,.2f} {base} cannot be met then")
    else:
        lines.append("  survives every deadline")
    return "\n".join(lines)
