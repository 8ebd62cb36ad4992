"""A stress, and its playbook, as pages that need no network, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from collateral_opt.io.page import beginning, rendered
from collateral_opt.io.report import with_names
from collateral_opt.io.report_tables import Cell, Group, Table, money
from collateral_opt.liquidity.answer import Answered
from collateral_opt.liquidity.ladder import Ladder
from collateral_opt.liquidity.pictures import ladder_figure, waterfall_figure
from collateral_opt.liquidity.playbook import Playbook, short_time, told_time

_MOST_ROWS = 200
_MOST_SOURCES = 60
_MOST_NAMED = 8
_BADGES = {"green": "optimal", "amber": "feasible", "red": "short"}
_LINES = (
    ("call_id", "call", "text"),
    ("agreement_id", "agreement", "text"),
    ("source", "from", "text"),
    ("asset_id", "asset", "text"),
    ("quantity", "quantity", "quantity"),
    ("market_value", "market value", "money"),
    ("haircut", "haircut", "percent"),
    ("collateral_value", "collateral value", "money"),
    ("cost", "cost", "money"),
)
_POSITIONS = (
    ("market_value", "market value"),
    ("unrealised_pnl", "unrealised P&L"),
    ("initial_margin", "initial margin"),
    ("stressed_market_value", "stressed value"),
    ("stressed_unrealised_pnl", "stressed P&L"),
    ("variation_margin_call", "variation margin"),
    ("stressed_initial_margin", "stressed initial margin"),
    ("total_margin_call", "call"),
)
_WATERFALL = (
    "Each source on top of those used before it: in time before late, then by the rate of one unit of cover. Dark: "
    "used; grey: too late. What a source before it takes is not counted again; limits show in what is used."
)
_LADDER = "What sources can have delivered by then, what is due by then, and what the answer meets of that."


def stress_html(answered: Answered) -> str:
    """The page of one stress: what is called, what meets it, how long that lasts."""
    return _page(
        answered, f"Stress: {answered.name}" if answered.projection else "Calls of today", [], [], _badge(answered)
    )


def playbook_html(book: Playbook) -> str:
    """The playbook's five stages with pictures, its notices, and every line."""
    stages, notices = _stages(book), _notices(book)
    badge = (_BADGES[book.status], book.status)
    return _page(book.answered, f"Playbook: {book.name}", stages, notices, badge)


def playbook_markdown(book: Playbook) -> str:
    """The five stages and the notices as Markdown."""
    result = book.answered.result
    return _text(
        "playbook.md.j2",
        name=book.name,
        status=book.status,
        as_of=told_time(pd.Timestamp(result.book.settings.as_of), result.book),
        currency=result.summary["base_currency"],
        stages=_stages(book),
        notices=_notices(book),
    )


def _badge(answered: Answered) -> tuple[str, str]:
    return ("short", "short") if answered.is_short else ("optimal", "every call met")


def _page(
    answered: Answered,
    title: str,
    stages: Sequence[Mapping[str, Any]],
    notices: Sequence[Mapping[str, str]],
    badge: tuple[str, str],
) -> str:
    result = answered.result
    lines = with_names(result)
    lines = lines[lines["action"] == "deliver"].astype({"quantity": float, "cost": float})
    return rendered(
        "stress.html",
        figures={
            "waterfall": waterfall_figure(answered.fall, result),
            "ladder": ladder_figure(answered.ladder, result),
        },
        lines=lines,
        columns=_LINES,
        total="collateral_value",
        name=answered.name,
        title=title,
        badge=badge,
        summary=result.summary,
        cards=_cards(answered),
        findings=[f"{f.code} {f.cause} {f.action}" for f in answered.projection.findings]
        if answered.projection
        else [],
        stages=stages,
        notices=notices,
        tables=_tables(answered),
        notes={"lines": beginning(len(lines), "result/allocation")},
        waterfall_words=_WATERFALL,
        ladder_words=_LADDER,
    )


def _cards(answered: Answered) -> list[tuple[str, str, str]]:
    fall, ladder, base = answered.fall, answered.ladder, answered.result.summary["base_currency"]
    book = answered.result.book
    calls = answered.result.calls
    cards = [
        ("Called", f"{money(fall.called)} {base}", f"{len(calls):,} call{'' if len(calls) == 1 else 's'}"),
        ("Met", f"{money(fall.covered)} {base}", f"{money(fall.shortfall)} short"),
        ("Cost", f"{money(fall.total_cost)} {base}", f"over {book.settings.horizon_days:g} days"),
        _horizon(ladder, answered),
    ]
    if fall.fixed is not None:
        order = ", ".join([*fall.fixed.order[:_MOST_NAMED], *["..."] * (len(fall.fixed.order) > _MOST_NAMED)])
        cards.append(("The fixed order costs", f"{money(fall.fixed.extra_cost)} {base} more", order))
    return cards


def _horizon(ladder: Ladder, answered: Answered) -> tuple[str, str, str]:
    if ladder.survives_until is None:
        said = "every call is met" if ladder.survives else "only calls without a deadline are missed"
        return "Survival horizon", "beyond the last deadline", said
    book = answered.result.book
    missing = sum(call.shortfall for call in ladder.first_missed)
    return "Survival horizon", told_time(ladder.survives_until, book), f"{money(missing)} is missing then"


def _tables(answered: Answered) -> dict[str, Table]:
    made = {
        "sources": _sources(answered),
        "rungs": _rungs(answered),
        "called": _called(answered),
        "positions": _positions(answered),
    }
    return {name: table for name, table in made.items() if table is not None}


def _sources(answered: Answered) -> Table | None:
    fall = answered.fall
    if not fall.sources:
        return None
    heads = [Cell("source"), Cell("kind"), Cell("there from")]
    heads += [Cell(x, "number") for x in ("rate, bp", "available", "cumulative", "used", "left", "cost")]
    gives = any(s.given for s in fall.sources[:_MOST_SOURCES])
    heads += [Cell("is given")] if gives else []
    heads += [Cell("in the fixed order", "number"), Cell("cost", "number")] if fall.fixed else []
    rows = []
    for s in fall.sources[:_MOST_SOURCES]:
        cells = [
            Cell(s.name),
            Cell(s.kind.replace("_", " ")),
            Cell(short_time(s.access, answered.result.book) + ("" if s.in_time else ", too late")),
            Cell(f"{s.rate_bps:,.6g}" if pd.notna(s.rate_bps) else "-", "number"),
            *(Cell(money(x), "number") for x in (s.available, s.cumulative, s.used, s.left, s.cost)),
        ]
        if gives:
            cells.append(Cell("; ".join(f"{quantity:,.12g} {name}" for name, quantity in s.given), "words"))
        if fall.fixed:
            figures = (fall.fixed.used.get(s.name, 0.0), fall.fixed.cost.get(s.name, 0.0))
            cells += [Cell(money(x), "number") for x in figures]
        rows.append(cells)
    note = "The rate is what a year of one unit of cover costs, with what is paid once spread over the horizon."
    return Table(
        "Sources in the order of use",
        f"{note} {_cut(len(fall.sources), 'waterfall', _MOST_SOURCES)}",
        heads,
        [Group(rows)],
    )


def _rungs(answered: Answered) -> Table | None:
    rungs = answered.ladder.rungs
    kept = [r for i, r in enumerate(rungs) if i in (0, len(rungs) - 1) or _figures(rungs[i - 1]) != _figures(r)]
    heads = [Cell("by"), *(Cell(x, "number") for x in ("hours", "due", "available", "headroom", "met"))]
    rows = [
        [
            Cell(told_time(r.at, answered.result.book)),
            Cell(f"{r.hours:,.4g}", "number"),
            Cell(money(r.due), "number"),
            Cell(money(r.available), "number"),
            Cell(money(r.headroom), "number short" if r.headroom < 0 else "number"),
            Cell(money(r.met), "number"),
        ]
        for r in kept[:_MOST_ROWS]
    ]
    note = f"Moments at which something changes. {_cut(len(kept), 'ladder')}"
    return Table("By the hour", note, heads, [Group(rows)])


def _figures(rung: Any) -> tuple[float, float, float]:
    return rung.due, rung.available, rung.met


def _called(answered: Answered) -> Table | None:
    result = answered.result
    calls = result.book.calls.merge(result.calls, on="call_id")
    if not len(calls):
        return None
    heads = [Cell(x) for x in ("call", "agreement", "due")]
    heads += [Cell(x, "number") for x in ("amount", "required", "short")] + [Cell("why it is short")]
    rows = []
    for row in calls.head(_MOST_ROWS).to_dict("records"):
        due = None if pd.isna(row["due"]) else row["due"]
        rows.append(
            [
                Cell(row["call_id"]),
                Cell(row["agreement_id"]),
                Cell(told_time(due, result.book)),
                Cell(f"{money(row['amount'])} {row['currency']}", "number"),
                Cell(money(row["required"]), "number"),
                Cell(money(row["shortfall"]), "number short" if row["shortfall"] > 0 else "number"),
                Cell(row["reason"] or "", "words"),
            ]
        )
    return Table("Calls", _cut(len(calls), "result/calls"), heads, [Group(rows)])


def _positions(answered: Answered) -> Table | None:
    if answered.projection is None or not len(answered.projection.positions):
        return None
    frame = answered.projection.positions
    columns = [(column, head) for column, head in _POSITIONS if column in frame]
    figures = frame[[column for column, _ in columns]].astype(float).fillna(0.0)
    decimals = 0 if bool((figures == figures.round()).to_numpy().all()) else 2
    heads = [Cell("position"), Cell("agreement"), Cell("currency"), *(Cell(head, "number") for _, head in columns)]
    rows = [
        [
            Cell(row["position_id"]),
            Cell(row["agreement_id"] or "-"),
            Cell(row["currency"] or ""),
            *(Cell(money(row[column], decimals), "number") for column, _ in columns),
        ]
        for row in frame.head(_MOST_ROWS).to_dict("records")
    ]
    if frame["currency"].nunique() == 1 and len(frame) > 1:
        sums = (frame[column].sum(min_count=1) for column, _ in columns)
        rows.append(
            [Cell(text, "text total") for text in ("total", "", "")]
            + [Cell(money(x, decimals), "number total") for x in sums]
        )
    note = "Before and under the stress; a call below zero comes back."
    return Table("Positions", f"{note} {_cut(len(frame), 'positions')}", heads, [Group(rows)])


def _cut(count: int, table: str, most: int = _MOST_ROWS) -> str:
    return f"The first {most:,} of {count:,}; {table}.csv has them all." if count > most else ""


def _stages(book: Playbook) -> list[dict[str, Any]]:
    result = book.answered.result
    return [
        {
            "number": stage.number,
            "title": stage.title,
            "said": stage.said,
            "rows": [(d.what, d.why, d.approver, told_time(d.by, result.book)) for d in stage.decisions],
        }
        for stage in book.stages
    ]


def _notices(book: Playbook) -> list[dict[str, str]]:
    """By counterparty the text of what it is told."""
    return [{"counterparty": n.counterparty, "text": text} for n, text in zip(book.notices, notices(book), strict=True)]


def notices(book: Playbook) -> list[str]:
    """The text of each notice, in the order of ``book.notices``."""
    result = book.answered.result
    as_of = told_time(pd.Timestamp(result.book.settings.as_of), result.book)
    return [
        _text(
            "notice.md.j2",
            notice=notice,
            as_of=as_of,
            currency=result.summary["base_currency"],
            firm="Collateral operations",
            time=lambda at: told_time(at, result.book),
            quantity=lambda x: f"{x:,.12g}",
            percent=lambda x: f"{100 * x:.6g} %",
        ).strip()
        for notice in book.notices
    ]


def _text(template: str, **content: Any) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("collateral_opt.io", "templates"),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["money"] = money
    environment.filters["md"] = _markdown
    return environment.get_template(template).render(**content)


def _markdown(text: str) -> str:
    """Text that means nothing but itself in Markdown, on one line."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(str(text).split()))
