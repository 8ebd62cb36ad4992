"""``collateral-opt stress compare``: strategies on the same scenarios, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import (
    COVERED,
    SHORT,
    BookPath,
    Force,
    OutFolder,
    Quiet,
    StressesFile,
    exit_codes,
    ready,
    say_written,
)
from collateral_opt.command import whole_money as _money
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import Progress, bold, printable, say, wait_for

if TYPE_CHECKING:
    from collateral_opt.liquidity.strategies import Compared


@app.command()
def compare(
    book: BookPath,
    stresses: StressesFile,
    stress: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --count: the stress that is drawn on top of.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="Draws of the file's generator; 0: its stresses instead.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Instead of the generator's.")] = None,
    share: Annotated[float, typer.Option(help="Of scenarios, for the high figures and the buffer.")] = 0.95,
    buffer: Annotated[
        bool, typer.Option("--buffer", help="Size the cheapest buffer of `buffer:` in the file for each strategy.")
    ] = False,
    buffer_asset: Annotated[
        str | None, typer.Option(metavar="ASSET", help="Size the least buffer of this asset for each strategy.")
    ] = None,
    buffer_bps: Annotated[float, typer.Option(min=0.0, help="What that costs to hold, basis points a year.")] = 0.0,
    out: OutFolder = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Compare the strategies of a file on the same scenarios: calls, what is short, the buffer needed, cost.

    Exit status 3 where every strategy leaves some call short in some scenario.
    """
    with exit_codes():
        from collateral_opt.io.write import check_folder
        from collateral_opt.liquidity.buffer import Candidate
        from collateral_opt.liquidity.sizing import read_candidates, read_own
        from collateral_opt.liquidity.strategies import MARKER, compare_strategies, read_strategies, write_compared
        from collateral_opt.liquidity.stress import read_stresses

        file = read_stresses(stresses)
        ways = read_strategies(file.sections.get("strategies"))
        if stress is not None and not count:
            raise UsageError("--stress says what is drawn on top of, and nothing is drawn. Add --count.")
        one = file.stress(stress) if stress is not None else None
        if out is not None:
            check_folder(out, force=force, marker=MARKER)
        if buffer and buffer_asset is not None:
            raise UsageError("--buffer sizes what the file says, --buffer-asset one asset. Leave one of them out.")
        if buffer_bps and buffer_asset is None:
            raise UsageError("--buffer-bps is the cost of an asset that is not named. Add --buffer-asset ASSET.")

        def run(progress: Progress) -> Compared:
            loaded = ready(book, quiet, file.files)
            wanted = [] if buffer_asset is None else [Candidate(buffer_asset, buffer_asset, buffer_bps)]
            if buffer:
                wanted = read_candidates(file.sections.get("buffer"), loaded)
            return compare_strategies(
                loaded,
                file,
                ways,
                stress=one,
                count=count,
                seed=seed,
                share=share,
                candidates=wanted,
                aim="cost" if buffer else "value",
                instead_of=read_own(file.sections.get("of_own")) if buffer else (),
                progress=progress,
            )

        found = wait_for(run, quiet=quiet)
        written = write_compared(found, out, force=force) if out is not None else []
        if not quiet:
            _tell(found)
            say_written(written, out)
        raise typer.Exit(SHORT if (found.table["short"] > 0).all() else COVERED)


def _tell(found: Compared) -> None:
    table = found.table
    head = [
        "strategy",
        "called, mean",
        f"{100 * found.share:g} %",
        "short in",
        "lacking, most",
        "buffer",
        "cost a year",
    ]
    columns = ["called_mean", "called_high", "short", "shortfall_most", "buffer_value", "cost_a_year"]
    cells = [
        [printable(row["strategy"]), *("-" if row[c] != row[c] else _money(row[c]) for c in columns)]
        for row in table.to_dict("records")
    ]
    wide = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head))]
    say(bold(_line(head, wide)))
    for line in cells:
        say(_line(line, wide))
    say(f"\n{int(table['scenarios'].iloc[0]):,} scenarios, the same for all; amounts in base currency")


def _line(cells: list[str], wide: list[int]) -> str:
    first, *rest = (
        cell.ljust(w) if at == 0 else cell.rjust(w) for at, (cell, w) in enumerate(zip(cells, wide, strict=True))
    )
    return "  ".join([first, *rest])
