"""``collateral-opt stress run``: a stress and thousands of moves of factors on top of it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import (
    GAVE_UP,
    INTERRUPTED,
    TERMINATED,
    BookPath,
    Quiet,
    Terminated,
    exit_codes,
    leave,
    ready,
)
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import bold, findings_text, printable, say, wait_for

if TYPE_CHECKING:
    from collateral_opt.liquidity.sweep import Sweep

FILE = Annotated[
    Path, typer.Option("--stresses", metavar="FILE", help="The YAML file of stresses, with a generator of factors.")
]
STRESS = Annotated[str | None, typer.Option("--stress", metavar="NAME", help="Needed where FILE has several.")]
SEED = Annotated[int | None, typer.Option(min=0, help="Goes before the generator's own.")]


class Format(StrEnum):
    """Of the table of scenarios."""

    CSV = "csv"
    PARQUET = "parquet"


@app.command("run")
def command(
    book: BookPath,
    stresses: FILE,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results, which also keeps finished parts.")],
    stress: STRESS = None,
    count: Annotated[int, typer.Option(min=1, help="How many scenarios.")] = 5_000,
    executor: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="processes:N, or dask://HOST:PORT; without it, all cores for many."),
    ] = None,
    seed: SEED = None,
    fmt: Annotated[Format, typer.Option("--format", help="Of the table of scenarios.")] = Format.CSV,
    confirm: Annotated[int, typer.Option(min=0, help="Answer so many of the worst again in whole lots.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in DIR.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin the sweep in DIR anew.")] = False,
    quiet: Quiet = False,
) -> None:
    """Answer thousands of scenarios of one stress: what is called, what meets it, and what runs out first."""
    try:
        with exit_codes():
            from collateral_opt.liquidity.moved import moved
            from collateral_opt.liquidity.stress import read_stresses
            from collateral_opt.liquidity.sweep import sweep, usual_executor
            from collateral_opt.terminal import Progress

            file = read_stresses(stresses)
            _require_apart(out, book)
            loaded = ready(book, quiet, file.files)
            plan = moved(loaded, file.stress(stress), file, seed=seed)
            if plan.findings and not quiet:
                say(findings_text(plan.findings) + "\n", error=True)

            def work(tell: Progress) -> Sweep:
                began = time.monotonic()
                first: list[int] = []

                def progress(done: int, total: int) -> None:
                    first.append(done)
                    new, seconds = done - first[0], time.monotonic() - began
                    left = f", about {seconds / new * (total - done):,.0f} s left" if new else ""
                    tell(f"scenarios: {done:,} of {total:,}{left}")

                return sweep(
                    plan,
                    out,
                    count,
                    executor=executor or usual_executor(count),
                    progress=progress,
                    resume=resume,
                    force=force,
                    fmt=fmt.value,
                    confirm=confirm,
                )

            try:
                found = wait_for(work, quiet=quiet)
            except KeyboardInterrupt as error:
                status = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
                leave(status, f"interrupted. Go on with --resume: finished parts are in {printable(out)}.")
                return
            if not quiet:
                say(_told(found, out))
            if found.summary["failed"]:
                say(f"{found.summary['failed']} scenarios have no answer: column failed says why.", error=True)
                raise typer.Exit(GAVE_UP)
    except ImportError as error:
        say(f"error: {printable(error)}. Install collateral-opt[parquet].", error=True)
        raise typer.Exit(2) from None


def _require_apart(out: Path, book: Path) -> None:
    from collateral_opt.errors import UsageError

    target, source = out.resolve(), book.resolve()
    if target == source or source in target.parents:
        raise UsageError(f"--out {out} lies in the book {book}. Choose a folder outside it.")


def _told(found: Sweep, out: Path) -> str:
    summary, money = found.summary, found.summary["base_currency"]
    lines = [bold(printable(f"{summary['stress']}: {summary['scenarios']:,} scenarios, seed {summary['seed']}"))]
    if summary["share_covered"] is not None:
        low, high = summary["share_covered_95"]
        lines.append(f"  covered         {summary['share_covered']:.1%} (95 % interval {low:.1%} to {high:.1%})")
    lines.append(f"  {'':<15} {'mean':>18} {'95 %':>18} {'99 %':>18} {'largest':>18}")
    for name in ("called", "cost", "shortfall"):
        if summary[name]:
            figures = [summary[name][key] for key in ("mean", "quantile_95", "quantile_99", "largest")]
            lines.append(f"  {name:<15} " + " ".join(f"{figure:>18,.2f}" for figure in figures) + f" {money}")
    for name, head in (("ran_out", "ran out"), ("ran_out_first", "ran out first"), ("first_short", "first short")):
        if summary[name]:
            lines.append(
                f"  {head:<15} " + ", ".join(f"{printable(k)} {n:,}" for k, n in list(summary[name].items())[:6])
            )
    rate = f"{found.solved / found.seconds:,.0f} a second" if found.solved and found.seconds > 0 else ""
    kept = summary["scenarios"] - found.solved
    told = [
        f"{found.solved:,} answered in {found.seconds:,.1f} s ({rate})" if rate else "",
        f"{kept:,} kept" if kept else "",
    ]
    told.append(f"{summary['warm']:,} with the loaded program")
    lines.append(f"  {', '.join(filter(None, told))}")
    for row in found.confirmed.to_dict("records"):
        lines.append(
            f"  scenario {row['scenario']}: cost {row['cost']:,.2f}, in whole lots {row['cost_in_lots']:,.2f}; "
            f"short {row['shortfall']:,.2f}, in whole lots {row['shortfall_in_lots']:,.2f}"
        )
    lines.append(f"written to {printable(out)}")
    return "\n".join(lines)
