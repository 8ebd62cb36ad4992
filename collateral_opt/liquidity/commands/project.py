"""``collateral-opt stress project``: what stresses call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import BookPath, Quiet, exit_codes, ready
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import bold, findings_text, printable, say

if TYPE_CHECKING:
    from collateral_opt.liquidity.records import Projection

STRESSES = Annotated[Path, typer.Option("--stresses", metavar="FILE", help="The YAML file of stresses.")]
STRESS = Annotated[str | None, typer.Option("--stress", metavar="NAME", help="This one alone.")]


@app.command("project")
def project(
    book: BookPath,
    stresses: STRESSES,
    stress: STRESS = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the tables; must be new or empty.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace earlier tables in DIR.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what each stress of FILE does to the positions of BOOK, and what is called then, agreement by agreement."""
    with exit_codes():
        from collateral_opt.liquidity.projected import check_projection_target, projection_text, write_projections
        from collateral_opt.liquidity.projection import project as projected
        from collateral_opt.liquidity.stress import read_stresses

        file = read_stresses(stresses)
        asked = [file.stress(stress)] if stress is not None else list(file.stresses.values())
        if out is not None:
            check_projection_target(out, (one.name for one in asked), force=force, book=book)
        loaded = ready(book, quiet, file.files)
        found: list[Projection] = [projected(loaded, one, file) for one in asked]
        written = write_projections(found, out, force=force) if out is not None else []
        if quiet:
            return
        for one in found:
            head, *rest = projection_text(one).splitlines()
            say("\n".join([bold(printable(head)), *map(printable, rest), ""]))
            if one.findings:
                say(findings_text(one.findings) + "\n", error=True)
        if written and out is not None:
            say(f"written to {printable(out)}: {', '.join(printable(path.relative_to(out)) for path in written)}")
