"""A sweep as one page that needs no network: how much is called, until when all is met, and the worst scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.io.page import rendered
from collateral_opt.io.report_tables import money
from collateral_opt.liquidity.pictures import distribution_figure, survival_figure

HOUR = pd.Timedelta(hours=1)


def page(book: Book, answered: pd.DataFrame, worst: pd.DataFrame, summary: Mapping[str, Any]) -> str:
    """The page of ``answered``, the rows of a sweep of ``book`` that have an answer, and of the ``worst`` of them.

    ``summary`` is that of the sweep.
    """
    currency, called = str(summary["base_currency"]), summary["called"]
    marks = {f"{share} %": called[f"quantile_{share}"] for share in (95, 99)} if called else {}
    cards = [
        ("Scenarios", f"{summary['scenarios']:,}", f"seed {summary['seed']}, {summary['failed']:,} without an answer"),
        ("All met", f"{summary['covered']:,}", _share(summary)),
        *(
            (head, money(summary[name]["quantile_99"], 0), f"mean {money(summary[name]['mean'], 0)}")
            for name, head in (("called", "Called, 99 %"), ("cost", "Cost, 99 %"), ("shortfall", "Short, 99 %"))
            if summary[name]
        ),
    ]
    told = (("ran_out_first", "Runs out first"), ("ran_out", "Runs out"), ("first_short", "Short first"))
    return rendered(
        "sweep.html",
        figures={
            "called": distribution_figure(answered["called"].tolist(), currency, what="called", marks=marks),
            "survival": survival_figure(broken_after(book, answered), horizon_hours(book)),
        },
        lines=worst,
        columns=(
            ("scenario", "scenario", "text"), ("called", "called", "money"), ("cost", "cost", "money"),
            ("shortfall", "short", "money"), ("first_short_call", "short first", "text"),
            ("ran_out_first", "runs out first", "text"),
        ),
        total="shortfall",
        summary={
            "as_of": book.settings.as_of.isoformat(), "base_currency": currency, "book": book.digest, "versions": {},
        },
        stress=summary["stress"],
        cards=cards,
        counts=[(head, name, f"{count:,}") for key, head in told for name, count in summary[key].items()],
        notes={},
        tables={},
    )  # fmt: skip


def broken_after(book: Book, answered: pd.DataFrame) -> list[float | None]:
    """By scenario the hours from now at which the first call that is short is due; None where all are met.

    A call without a due time can be met until the horizon ends, and breaks then.
    """
    as_of, end = pd.Timestamp(book.settings.as_of), horizon_hours(book)
    told = zip(answered["first_short_call"], answered["first_short_due"], strict=True)
    return [((pd.Timestamp(due) - as_of) / HOUR if due else end) if call else None for call, due in told]


def horizon_hours(book: Book) -> float:
    """The book's horizon, or when its last call is due if that is later, in hours from now."""
    due = book.calls["due"].dropna()
    last = (due.max() - pd.Timestamp(book.settings.as_of)) / HOUR if len(due) else 0.0
    return float(max(24.0 * book.settings.horizon_days, last))


def _share(summary: Mapping[str, Any]) -> str:
    if summary["share_covered"] is None:
        return ""
    low, high = summary["share_covered_95"]
    return f"{summary['share_covered']:.1%}; 95 % interval {low:.1%} to {high:.1%}"
