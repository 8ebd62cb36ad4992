"""``collateral-opt stress liquidate``: what to reduce when sources run out, how it ends, what would have saved it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from collateral_opt.command import (
    COVERED,
    SHORT,
    BookPath,
    Force,
    OutFolder,
    Quiet,
    SolverName,
    StressesFile,
    exit_codes,
    ready,
    say_written,
)
from collateral_opt.command import whole_money as _money
from collateral_opt.liquidity.commands import app
from collateral_opt.terminal import Progress, bold, printable, say, wait_for

if TYPE_CHECKING:
    from collateral_opt.liquidity.forced import ForcedSale


@app.command()
def liquidate(
    book: BookPath,
    stresses: StressesFile,
    stress: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of them; not needed where there is one.")
    ] = None,
    out: OutFolder = None,
    force: Force = False,
    solver: SolverName = "highs",
    quiet: Quiet = False,
) -> None:
    """What is short under a stress, raised by selling positions: the cheapest schedule, the forced sale, its range.

    The terms (what follows a missed call, days, share of volume, coefficients) are `liquidation:` of the file.
    """
    with exit_codes():
        from collateral_opt.io.write import check_folder
        from collateral_opt.liquidity.forced import MARKER, forced_sale, write_forced_sale
        from collateral_opt.liquidity.stress import read_stresses

        file = read_stresses(stresses)
        one = file.stress(stress)
        if out is not None:
            check_folder(out, force=force, marker=MARKER)
        stop = threading.Event()

        def run(progress: Progress) -> ForcedSale:
            return forced_sale(ready(book, quiet, file.files), one, file, solver=solver, stop=stop, progress=progress)

        found = wait_for(run, quiet=quiet, stop=stop)
        written = write_forced_sale(found, out, force=force) if out is not None else []
        if not quiet:
            _tell(found)
            say_written(written, out)
        raise typer.Exit(SHORT if found.case.unmet > 0 else COVERED)


def _tell(found: ForcedSale) -> None:
    case, end, currency = found.case, found.spiral, found.currency
    say(bold(f"{printable(found.name)}: {end.outcome}" + (f" on day {end.ends}" if end.outcome != "paid" else "")))
    say(f"  called     {_money(case.called)} {currency}, {_money(case.variation_called)} of it variation margin")
    say(f"  paid       {_money(case.called - case.unmet)}, not met {_money(case.unmet)}")
    say(f"  own funds  {_money(case.own_funds)} before, {_money(case.own_funds - case.lost)} after the stress, "
        f"{_money(end.own_funds)} in the end")  # fmt: skip
    for name, reason in found.left_out.items():
        say(f"  {printable(name)} is left out of sales: {printable(reason)}")
    for p in found.case.positions:
        if p.pledged > 0:
            say(f"  {printable(p.position_id)}: {p.pledged:,.2f} units are collateral, {abs(p.units):,.2f} can be sold")
    if found.case.unmet <= 0:
        return
    if found.case.arriving > 0:
        say(f"  {_money(found.case.arriving)} of what others pay comes too late for the calls, and the day after")
    if found.schedule is not None:
        plan = found.schedule
        short = f", {_money(plan.unmet[-1])} still lacking" if plan.unmet[-1] > 0 else ""
        say(f"\ncheapest sales within {found.terms.periods} days, costing {_money(plan.cost)} "
            f"(proven within {100 * plan.gap:.4f} %){short}")  # fmt: skip
        for row in plan.ranking.to_dict("records"):
            say(f"  {row['rank']}. {printable(row['position_id'])}: {row['raised_per_cost']:,.1f} for one of cost, "
                f"{row['days_to_sell']:.2f} days to sell, sold {row['sold']:,.2f} units")  # fmt: skip
    say(f"\n{found.terms.mode.replace('_', ' ')} under {found.terms.model.name}")
    for at, row in enumerate(end.days.to_dict("records")):
        if at == 0:
            say(f"  after the stress: unpaid {_money(row['unpaid'])}, own funds {_money(row['own_funds'])}")
            continue
        say(f"  day {row['day']}: sold {_money(row['sold'])}, lost {_money(row['loss'])}, "
            f"unpaid {_money(row['unpaid'])}, own funds {_money(row['own_funds'])}")  # fmt: skip
    cells = found.outcomes
    insolvent = int((cells["outcome"] == "insolvent").sum())
    say(f"\nrange: insolvent in {insolvent} of {len(cells)} cases of model, depth and volatility; own funds from "
        f"{_money(cells['own_funds'].min())} to {_money(cells['own_funds'].max())}")  # fmt: skip
    if found.break_even is not None:
        say(f"  just solvent where {found.break_even:.4f} times as much trades in a day")
    say("\nthe least that would have met the call, or kept the firm solvent")
    for row in found.savers.to_dict("records"):
        say(f"  {row['what']}: {_size(row['paid'], row['unit'])}, or {_size(row['solvent'], row['unit'])}")


def _size(x: float, unit: str) -> str:
    if x != x:
        return "no size does"
    return f"{100 * x:.2f} %" if unit == "share" else _money(x)
