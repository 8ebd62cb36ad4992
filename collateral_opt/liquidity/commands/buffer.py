"""``collateral-opt stress buffer``: how large the buffer must be, of what, and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import (
    BookPath,
    Force,
    OutFolder,
    Quiet,
    StressesFile,
    TimeLimit,
    exit_codes,
    ready,
    say_written,
)
from collateral_opt.command import whole_money as _money
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import Progress, bold, printable, say, wait_for

if TYPE_CHECKING:
    from collateral_opt.liquidity.sizing import BufferReport


class AimWord(StrEnum):
    """What is made as small as can be."""

    cost = "cost"
    value = "value"


@app.command()
def buffer(
    book: BookPath,
    stresses: StressesFile,
    stress: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this stress; with --count the one that draws are around.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="So many scenarios from the file's generator, around one stress.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the generator, instead of the file's.")] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the scenarios that is to be survived.")] = 0.95,
    aim: Annotated[AimWord, typer.Option(help="The cheapest buffer, or the smallest.")] = AimWord.cost,
    cvar: Annotated[
        bool,
        typer.Option("--cvar", help="The cheapest for which the mean lack of the worst is nothing: for thousands."),
    ] = False,
    curve: Annotated[bool, typer.Option("--curve", help="What buffers for 80 to 100 % cost, too.")] = False,
    horizon: Annotated[
        float | None, typer.Option(metavar="HOURS", min=0.0, help="Look at calls due within so many hours only.")
    ] = None,
    keep_reserves: Annotated[
        bool, typer.Option("--keep-reserves", help="A scenario with a reserve short is not survived.")
    ] = False,
    time_limit: TimeLimit = None,
    out: OutFolder = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Size the buffer that survives a share of the stresses of a file, or of many scenarios around one.

    What it may be made of is `buffer:` of the file. Assets are not sold.
    """
    with exit_codes():
        import pandas as pd

        from collateral_opt.io.write import check_folder
        from collateral_opt.liquidity.sizing import MARKER, report, write_buffer
        from collateral_opt.liquidity.stress import read_stresses

        file = read_stresses(stresses)
        if out is not None:
            check_folder(out, force=force, marker=MARKER)

        def run(progress: Progress) -> BufferReport:
            return report(
                ready(book, quiet, file.files),
                file,
                stress=stress,
                count=count,
                seed=seed,
                share=share,
                aim=aim.value,
                cvar=cvar,
                with_curve=curve,
                horizon=None if horizon is None else pd.Timedelta(hours=horizon),
                keep_reserves=keep_reserves,
                seconds=time_limit,
                progress=progress,
            )

        found = wait_for(run, quiet=quiet)
        written = write_buffer(found, out, force=force) if out is not None else []
        if not quiet:
            _tell(found)
            say_written(written, out)


def _tell(found: BufferReport) -> None:
    plan, currency = found.plan, found.currency
    say(bold(f"a buffer of {_money(plan.value)} {currency}, {_money(plan.cost_a_year)} a year"))
    say(f"  survives {plan.survived:,} of {plan.scenarios:,} scenarios; {100 * plan.share:.6g} % were asked for")
    say(f"  within {100 * plan.gap:.4f} % of what is proven")
    if found.narrowed:
        say(
            f"  in {found.narrowed:,} scenarios a limit is broken by what is posted today, and its group taken to take "
            "nothing, even where a recall cures that: the buffer may be larger than needed"
        )
    if plan.lost:
        named = ", ".join(map(printable, plan.lost[:5])) + (", ..." if len(plan.lost) > 5 else "")
        say(f"  lost with any buffer of these: {len(plan.lost):,} ({named})")
    width = max(len(printable(c.name)) for c in found.candidates)
    for c in found.candidates:
        value = plan.values[c.name]
        cost = f"at {c.cost_bps:g} bps {_money(value * c.cost_bps / 1e4)}"
        say(f"  {printable(c.name):<{width}}  {_money(value):>20}  {cost}")
    if found.curve is not None:
        say(f"\n  share            value      cost a year  survived of {plan.scenarios:,}")
        for row in found.curve.to_dict("records"):
            known = row["survived"] == row["survived"]
            said = (
                f"{_money(row['value']):>20} {_money(row['cost_a_year']):>16} {row['survived']:>9,.0f}" if known else ""
            )
            say(f"  {100 * row['share']:>5.4g} %{said or '  no buffer of these'}")
