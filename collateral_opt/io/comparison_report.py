"""Builds the report of a what-if: what it costs more, who pays, which lines differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from collateral_opt.io.comparison import payer, signed, told_changes
from collateral_opt.io.page import COLOURS, Figure, axis, beginning, figure, labels, numbers, rendered
from collateral_opt.io.report_tables import Cell, Group, Table, money
from collateral_opt.result.comparison import BREAKDOWNS, Comparison, CostDifference, Moved

_MOST_PAYERS = 15
_MOST_ROWS = 500
_CENT = 0.005
_SEEN = 1e-3
"""The part of the largest step below which one cannot be seen."""
_LINES = (
    ("difference", "difference", "mark"),
    ("action", "action", "text"),
    ("call_id", "call", "text"),
    ("agreement_id", "agreement", "text"),
    ("source", "from or into", "text"),
    ("asset_id", "asset", "text"),
    ("quantity_before", "quantity before", "quantity"),
    ("quantity_after", "after", "quantity"),
    ("collateral_value_by", "collateral value by", "money"),
    ("cost_before", "cost before", "money"),
    ("cost_after", "after", "money"),
    ("cost_by", "cost by", "money"),
)


def comparison_html(comparison: Comparison) -> str:
    """The page as text: figures before and after, a waterfall of the cost by who pays, what differs, line by line."""
    c, figures = comparison, {f"pays-{by}": waterfall(comparison, by) for by in BREAKDOWNS}
    by_agreement, by_counterparty = figures["pays-agreement"], figures["pays-counterparty"]
    if by_agreement and by_counterparty and by_agreement["data"][0]["y"] == by_counterparty["data"][0]["y"]:
        # each of them has one agreement: the same picture again
        figures["pays-counterparty"] = None
    return rendered(
        "what_if.html",
        figures=figures,
        lines=_lines(c),
        columns=_LINES,
        total="cost_by",
        comparison=c,
        changes=told_changes(c),
        summary=c.after.summary,
        cards=_cards(c),
        tables=_tables(c),
        notes={"lines": beginning(len(c.lines), "lines")},
    )


def waterfall(comparison: Comparison, by: str) -> Figure | None:
    """Steps from the cost before to the cost after, whoever's moves most first; None where nobody's does.

    Steps start at the cost before, so that a small change of a large cost can be seen. ``by``: one of
    :data:`~collateral_opt.result.comparison.BREAKDOWNS`.
    """
    moved = [one for one in comparison.costs if one.by == by and abs(one.cost.by) >= _CENT]
    if not moved:
        return None
    moved.sort(key=lambda one: -abs(one.cost.by))
    steps = [(payer(one), one.cost.by, one.cost) for one in moved[:_MOST_PAYERS]]
    others = moved[_MOST_PAYERS:]
    if others:
        together = Moved(sum(one.cost.before for one in others), sum(one.cost.after for one in others))
        steps.append((f"{len(others):,} others", together.by, together))
    rounding = comparison.cost.by - sum(step for _, step, _ in steps)
    if abs(rounding) >= max(_CENT, _SEEN * max(abs(step) for _, step, _ in steps)):
        # rows are rounded to the cent one by one, the whole is not
        steps.append(("rounding", rounding, Moved(0.0, rounding)))
    names = [*(name for name, _, _ in steps), "together"]
    values = [*(step for _, step, _ in steps), comparison.cost.by]
    bases, at = [], 0.0
    for _, step, _ in steps:
        bases.append(at)
        at += step
    figures = [*(cost for _, _, cost in steps), comparison.cost]
    bars = {
        "type": "bar",
        "x": labels(_distinct(names)),
        "y": numbers(values),
        "base": numbers([*bases, 0.0]),
        "marker": {"color": [*(COLOURS[4] if step > 0 else COLOURS[2] for step in values[:-1]), COLOURS[8]]},
        "text": [signed(step) for step in values],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [[money(cost.before), money(cost.after), signed(cost.by)] for cost in figures],
        "hovertemplate": "%{x}: %{customdata[0]} before, %{customdata[1]} after (%{customdata[2]})<extra></extra>",
    }
    # room for the figures above and below the bars
    ends = [0.0, *bases, *(base + value for base, value in zip([*bases, 0.0], values, strict=True))]
    room = 0.12 * (max(ends) - min(ends))
    scale = {**axis("cost more than before", comparison.base_currency), "range": [min(ends) - room, max(ends) + room]}
    return figure([bars], {"showlegend": False, "height": 340, "yaxis": scale}, "x")


def _lines(comparison: Comparison) -> pd.DataFrame:
    """The lines that differ, with one column for where each comes from, or goes back to."""
    lines = comparison.tables()["lines"]
    return lines.assign(source=lines["holding_id"].where(lines["holding_id"].notna(), lines["facility_id"]))


def _cards(c: Comparison) -> list[tuple[str, str, str]]:
    least = " to ".join(signed(x) for x in c.least_cost)
    found = Counter(line.difference for line in c.lines)
    counts = [f"{found[what]:,} {what}" for what in ("added", "removed", "changed", "repriced") if found[what]]
    cards = [
        ("Cost", f"{signed(c.cost.by)} {c.base_currency}", f"{_step(c.cost)}; of the least cost {least}"),
        ("Shortfall", f"{signed(c.shortfall.by)} {c.base_currency}", _step(c.shortfall)),
        ("Lines that differ", f"{len(c.lines):,}", ", ".join(counts)),
        ("Limits", f"{len(c.newly_binding):,} newly binding", f"{len(c.no_longer_binding):,} no longer binding"),
    ]
    if c.reserve_shortfall.before or c.reserve_shortfall.after:
        words = (f"{signed(c.reserve_shortfall.by)} {c.base_currency}", _step(c.reserve_shortfall))
        cards.append(("Missing in reserves", *words))
    return cards


def _tables(c: Comparison) -> dict[str, Table]:
    """What differs beside the lines, by name; none where nothing does."""
    calls = sorted(c.calls, key=lambda x: -x.shortfall.after)
    made = {
        "calls": _table(
            "Calls that differ",
            "Amounts before and after; why a call is short after.",
            ("call", "agreement", "difference"),
            ("required", "shortfall"),
            [((x.call_id, x.agreement_id, x.difference), (x.required, x.shortfall), x.reason) for x in calls],
            why=True,
        ),
        "requirements": _table(
            "Agreements and reserves that differ",
            "What an agreement requires beside its calls, and what reserves ask for.",
            ("what", "name", "difference"),
            ("required", "shortfall"),
            [
                ((what, x.name, x.difference), (x.required, x.shortfall), None)
                for what, differences in (("agreement", c.agreements), ("reserve", c.reserves))
                for x in differences
            ],
        ),
        "limits": _table(
            "Limits that begin or cease to bind",
            "Prices are what one more unit of cap would save, in basis points a year.",
            ("agreement", "limit", "group", "difference"),
            ("used", "cap", "price"),
            [
                ((x.agreement_id, x.limit, x.group, x.difference), (x.used, x.cap, x.shadow_price), None)
                for x in c.limits
            ],
            by=False,
        ),
        "facilities": _table(
            "Facilities",
            "",
            ("facility",),
            ("raised", "cost"),
            [((x.facility_id,), (x.raised, x.cost), None) for x in c.facilities],
        ),
        "movements": _table(
            "Movements",
            "",
            ("action",),
            ("lines", "market value"),
            [((x.action,), (x.lines, x.market_value), None) for x in c.movements],
        ),
        "costs": _table(
            "Who pays",
            "Each breakdown adds up to the whole cost, but for cents; who pays the same as before is left out.",
            ("by", "who"),
            ("cost",),
            [((x.by, payer(x)), (x.cost,), None) for x in _payers_first(c)],
        ),
    }
    return {name: table for name, table in made.items() if table is not None}


def _payers_first(c: Comparison) -> Iterable[CostDifference]:
    moved = [one for one in c.costs if one.cost.by]
    return sorted(moved, key=lambda one: (BREAKDOWNS.index(one.by), -abs(one.cost.by)))


def _table(
    title: str,
    note: str,
    names: Sequence[str],
    figures: Sequence[str],
    records: Sequence[tuple[Sequence[str | None], Sequence[Moved], str | None]],
    *,
    by: bool = True,
    why: bool = False,
) -> Table | None:
    """Names, and each figure before, after and (with ``by``) by how much."""
    if not records:
        return None
    rows = []
    for name, moved, reason in records[:_MOST_ROWS]:
        cells = [
            Cell(part or "", f"text {part}" if part in ("added", "removed", "changed") else "text") for part in name
        ]
        for label, one in zip(figures, moved, strict=True):
            decimals = 0 if label == "lines" else 2
            worse = "number short" if label == "shortfall" and one.after > 0 else "number"
            cells += [Cell(money(one.before, decimals), "number"), Cell(money(one.after, decimals), worse)]
            cells += [Cell(signed(one.by, decimals) if one.by else "", "number")] if by else []
        rows.append([*cells, *([Cell(reason or "", "words")] if why else [])])
    heads = [Cell(name) for name in names]
    heads += [Cell(head, "number") for label in figures for head in (f"{label} before", "after", *["by"] * by)]
    heads += [Cell("why it is short")] if why else []
    cut = f"The first {_MOST_ROWS:,} of {len(records):,}; the folder's tables have them all."
    return Table(title, f"{note} {cut}".strip() if len(records) > _MOST_ROWS else note, heads, [Group(rows)])


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of bars, each its own: bars of one name would stand on one place."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    again: dict[str, int] = {}
    out = []
    for name in names:
        again[name] = again.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({again[name]})")
    return out


def _step(moved: Moved) -> str:
    return f"{money(moved.before)} before, {money(moved.after)} after"
