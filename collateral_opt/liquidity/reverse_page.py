"""A reverse stress as one page that needs no network: the distance to breaking in each direction."""

from __future__ import annotations

from collections.abc import Sequence

from collateral_opt.io.page import beginning, rendered
from collateral_opt.io.report_tables import money
from collateral_opt.liquidity.moved import Moved
from collateral_opt.liquidity.pictures import MOST_BARS, distance_figure
from collateral_opt.liquidity.reverse import Break, table


def page(plan: Moved, breaks: Sequence[Break]) -> str:
    """The page of ``breaks`` of ``plan``, at least one, in their order."""
    settings, frame = plan.book.settings, table(breaks)
    broken = [one for one in breaks if one.breaks]
    first = broken[0] if broken else None
    cards = [("Directions", f"{len(breaks):,}", f"{len(broken):,} break within what was looked at")]
    if first is not None:
        cards += [
            ("Breaks soonest", first.direction, f"at {first.share:.2%} of it, {first.deviations:.2f} deviations"),
            ("Called there", money(first.called, 0), f"short {money(first.shortfall, 0)}"),
            ("Short first", first.first_short_call, first.first_short_due or "no due time"),
        ]
    names = list(breaks[0].moves)
    told = frame.assign(
        breaks=["breaks" if one.breaks else "holds" for one in breaks],
        share=[one.share if one.breaks else 1.0 for one in breaks],
        deviations=[round(one.deviations, 2) for one in breaks],
        **{f"x_{name}": [f"{one.moves[name]:+.4g}" for one in breaks] for name in names},
    )
    shown = f"The first {MOST_BARS} of {len(breaks):,} directions." if len(breaks) > MOST_BARS else ""
    return rendered(
        "reverse.html",
        figures={"distance": distance_figure(breaks)},
        lines=told,
        columns=(
            ("direction", "direction", "text"), ("breaks", "", "text"), ("share", "share of it", "percent"),
            ("deviations", "standard deviations", "quantity"), *((f"x_{name}", name, "text") for name in names),
            ("called", "called there", "money"), ("shortfall", "short", "money"),
            ("first_short_call", "short first", "text"), ("exhausted", "nothing left of", "text"),
        ),
        total="shortfall",
        summary={
            "as_of": settings.as_of.isoformat(), "base_currency": settings.base_currency, "book": plan.book.digest,
            "versions": {},
        },
        stress=plan.name,
        cards=cards,
        notes={"distance": shown, "lines": beginning(len(breaks), "the CSV")},
        tables={},
    )  # fmt: skip
