"""``collateral-opt stress reverse``: the smallest shock that breaks the firm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import BookPath, Quiet, exit_codes, ready
from collateral_opt.liquidity.commands import app
from collateral_opt.liquidity.commands.run import FILE, SEED, STRESS
from collateral_opt.terminal import bold, findings_text, printable, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collateral_opt.liquidity.reverse import Break

_MOST = 10


@app.command("reverse")
def command(
    book: BookPath,
    stresses: FILE,
    stress: STRESS = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every direction to this new CSV.")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the distances on this new page (.html), too.")
    ] = None,
    seed: SEED = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the CSV and the page.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find how far factors can move in the file's directions until a call cannot be met."""
    with exit_codes():
        from collateral_opt.errors import UsageError
        from collateral_opt.io.write import write_text
        from collateral_opt.liquidity.moved import moved
        from collateral_opt.liquidity.reverse import read_directions, reverse, table
        from collateral_opt.liquidity.reverse_page import page as drawn
        from collateral_opt.liquidity.stress import read_stresses
        from collateral_opt.terminal import Progress

        files = [file for file in (out, page) if file is not None]
        for target in files:
            if book.resolve() in (target.resolve(), *target.resolve().parents):
                raise UsageError(f"{target} lies in the book {book}. Choose a place outside it.")
            if target.exists() and not force:
                raise UsageError(f"{target} is there already. Choose another name, or replace it with --force.")
            if not target.resolve().parent.is_dir():
                raise UsageError(f"the folder of {target} is not there. Make it, or choose another name.")
        if len({target.resolve() for target in files}) < len(files):
            raise UsageError("--out and --page are one file. Give one of them another name.")
        file = read_stresses(stresses)
        loaded = ready(book, quiet, file.files)
        plan = moved(loaded, file.stress(stress), file, seed=seed)
        if plan.findings and not quiet:
            say(findings_text(plan.findings) + "\n", error=True)

        def work(tell: Progress) -> list[Break]:
            directions = read_directions(file.sections.get("directions"), plan.generator)
            return reverse(plan, directions, lambda done, total: tell(f"directions: {done:,} of {total:,}"))

        found = wait_for(work, quiet=quiet)
        if out is not None:
            write_text(out, table(found).to_csv(index=False, lineterminator="\n"))
        if page is not None:
            write_text(page, drawn(plan, found))
        if not quiet:
            say(_told(found, loaded.settings.base_currency))
            if files:
                say(f"written to {', '.join(map(printable, files))}")


def _told(found: Sequence[Break], currency: str) -> str:
    lines = []
    for one in found[:_MOST]:
        moves = ", ".join(f"{printable(name)} {move:+.4g}" for name, move in one.moves.items() if move)
        if not one.breaks:
            lines.append(f"{bold(printable(one.direction))}: nothing breaks as far as {moves or 'no move'}")
            continue
        due = f", due {one.first_short_due}" if one.first_short_due else ""
        lines.append(
            f"{bold(printable(one.direction))}: breaks at {one.share:.2%} of it, {one.deviations:.2f} standard "
            f"deviations: {moves or 'no move'}\n"
            f"  called {one.called:,.2f} {currency}; short first: {printable(one.first_short_call)}{due}; nothing left "
            f"of {printable(', '.join(one.exhausted)) or 'nothing'}"
        )
    if len(found) > _MOST:
        lines.append(f"and {len(found) - _MOST:,} further directions")
    return "\n".join(lines)
