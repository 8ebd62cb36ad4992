"""``collateral-opt stress playbook``: what is decided when a stress happens, by whom, by when, and who is told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import COVERED, SHORT, BookPath, Quiet, SolverName, TimeLimit, exit_codes, ready, within
from collateral_opt.liquidity.commands import app
from collateral_opt.liquidity.commands.answer import Force, Names, Order, Stresses, answers_of, file_of, names_of, warn
from collateral_opt.terminal import printable, say, wait_for

if TYPE_CHECKING:
    from collateral_opt.liquidity.playbook import Playbook
    from collateral_opt.terminal import Progress


@app.command("playbook")
def command(
    book: BookPath,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the playbook; must be new or empty.")],
    stresses: Stresses = None,
    stress: Names = None,
    order: Order = None,
    approvals: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML of who approves what; else approvals: in --stresses.")
    ] = None,
    force: Force = False,
    solver: SolverName = "highs",
    time_limit: TimeLimit = None,
    quiet: Quiet = False,
) -> None:
    """Write the five stages of meeting a stress, or today's calls: decisions, approvals, deadlines, notices."""
    with exit_codes():
        from collateral_opt.liquidity.forced import read_terms, simulated
        from collateral_opt.liquidity.playbook import approvals_of, playbook, read_approvals
        from collateral_opt.liquidity.write import check_stress_target, write_playbooks

        file = file_of(stresses)
        names = names_of(file, stress)
        given = None if file is None else file.sections.get("approvals")
        by = read_approvals(approvals) if approvals is not None else approvals_of(given, f"{stresses}: approvals")
        sections = {} if file is None else file.sections
        terms = read_terms(sections["liquidation"]) if "liquidation" in sections else None
        check_stress_target(out, names, force=force, book=book)
        stop = threading.Event()

        def run(progress: Progress) -> list[Playbook]:
            loaded = ready(book, quiet, file.files if file is not None else ())
            limited = within(loaded, time_limit)
            answers = answers_of(limited, file, names, order, solver=solver, stop=stop, progress=progress)
            progress("playbook")
            made: list[Playbook] = []
            for a in answers:
                sale = None
                if terms is not None and file is not None and a.is_short and a.projection is not None:
                    sale = simulated(loaded, a.projection, a.result, file, terms, progress=progress)
                made.append(playbook(a, by, sale))
            return made

        found = wait_for(run, quiet=quiet, stop=stop)
        written = write_playbooks(found, out, force=force)
        if not quiet:
            for one in found:
                warn(one.answered)
                decisions = sum(len(stage.decisions) for stage in one.stages)
                drafts = len(one.notices)
                many = f"{decisions:,} decision{'s' * (decisions != 1)}, {drafts:,} notice{'s' * (drafts != 1)}"
                say(f"{printable(one.name)}: {one.status}, {many}")
            say(f"written to {printable(out)}: {len(written):,} files, see */playbook.html")
        raise typer.Exit(SHORT if any(one.answered.is_short for one in found) else COVERED)
