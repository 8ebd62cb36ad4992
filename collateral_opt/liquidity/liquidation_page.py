"""The page of a forced sale: its course, what that hangs on, and what would have saved the firm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from collateral_opt.io.page import COLOURS, axis, beginning, figure, labels, numbers, rendered

if TYPE_CHECKING:
    from collateral_opt.liquidity.forced import ForcedSale

_LINES = (
    ("position_id", "Position", "text"),
    ("period", "Day", "quantity"),
    ("quantity", "Units", "quantity"),
    ("price", "Price", "quantity"),
    ("proceeds", "Proceeds", "money"),
    ("margin_released", "Margin released", "money"),
    ("cost", "Cost", "money"),
)
_BADGES = {"paid": "optimal", "cured": "feasible", "closed": "feasible", "open": "short", "insolvent": "short"}


def liquidation_html(found: ForcedSale) -> str:
    """The page as text; it needs no network, and the same forced sale gives the same bytes."""
    end = found.spiral
    sales = found.schedule.sales if found.schedule is not None else pd.DataFrame(columns=[c for c, _, _ in _LINES])
    return rendered(
        "liquidation.html",
        figures={"path": _path(found), "range": _range(found)},
        lines=sales.astype({"quantity": float, "price": float, "cost": float}).round({"quantity": 2, "price": 4}),
        columns=_LINES,
        total="cost",
        name=found.name,
        currency=found.currency,
        summary=found.answer,
        model=found.terms.model.name,
        badge=(_BADGES[end.outcome], end.outcome + ("" if end.outcome == "paid" else f" on day {end.ends}")),
        cards=_cards(found),
        savers=_savers(found),
        notes={"path": "", "range": _break_even(found), "lines": beginning(len(sales), "schedule")},
    )


def _cards(found: ForcedSale) -> list[tuple[str, str, str]]:
    case, end = found.case, found.spiral
    cards = [
        ("called", f"{case.called:,.0f}", f"{case.variation_called:,.0f} of it variation margin"),
        ("not met on day 1", f"{case.unmet:,.0f}", f"{case.called - case.unmet:,.0f} paid"),
        ("own funds", f"{end.own_funds:,.0f}", f"{case.own_funds:,.0f} before the stress"),
    ]
    if found.schedule is not None:
        lacking = found.schedule.unmet[-1]
        said = f"{lacking:,.0f} lacking still" if lacking > 0 else "meet what is not met"
        cards.append(("cheapest sales cost", f"{found.schedule.cost:,.0f}", said))
    return cards


def _path(found: ForcedSale) -> dict[str, Any] | None:
    days = found.spiral.days
    if len(days) < 2:
        return None
    at = ["stress", *(f"day {day}, sold" for day in days["day"].iloc[1:])]
    return figure(
        [
            {
                "type": "bar", "name": "called and not paid", "x": at, "y": numbers(days["unpaid"]),
                "marker": {"color": COLOURS[1]}, "hovertemplate": "%{y:,.0f}",
            },
            {
                "type": "scatter", "mode": "lines+markers", "name": "own funds", "x": at,
                "y": numbers(days["own_funds"]), "line": {"color": COLOURS[0], "width": 3},
                "hovertemplate": "%{y:,.0f}",
            },
        ],
        {"yaxis": axis("Amount", found.currency), "hovermode": "x"},
        "x",
    )  # fmt: skip


def _range(found: ForcedSale) -> dict[str, Any] | None:
    cells = found.outcomes
    if found.case.unmet <= 0:
        return None
    drawn = []
    depths = sorted(set(cells["depth"]))
    size = {depth: 7 + 4 * min(at, 4) for at, depth in enumerate(depths)}
    for colour, (volatility, mine) in zip(COLOURS * 9, cells.groupby("volatility"), strict=False):
        drawn.append(
            {
                "type": "scatter", "mode": "markers", "name": f"volatility x {volatility:g}",
                "x": labels(mine["model"]), "y": numbers(mine["own_funds"]),
                "text": [f"{depth:g} times the depth" for depth in mine["depth"]],
                "marker": {"color": colour, "size": [size[depth] for depth in mine["depth"]], "opacity": 0.8},
                "hovertemplate": "%{text}: %{y:,.0f}",
            }
        )  # fmt: skip
    zero = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": 0,
        "y1": 0,
        "line": {"color": COLOURS[4], "width": 2},
    }
    layout = {"yaxis": axis("Own funds in the end", found.currency), "shapes": [zero], "height": 460}
    return figure(drawn, layout, "x")


def _break_even(found: ForcedSale) -> str:
    if found.break_even is None:
        return ""
    return f"Under the model as stated it is just solvent where {found.break_even:.4f} times as much trades in a day."


def _savers(found: ForcedSale) -> list[tuple[str, str, str]]:
    if found.case.unmet <= 0:
        return []
    return [
        (row["what"], _size(row["paid"], row["unit"]), _size(row["solvent"], row["unit"]))
        for row in found.savers.to_dict("records")
    ]


def _size(size: float, unit: str) -> str:
    if size != size:
        return "no size does"
    return f"{100 * size:.2f} %" if unit == "share" else f"{size:,.0f}"
