"""Pictures of a stress as figures for plotly.js: waterfall, ladder, distribution of need, survival.

They are plain dictionaries, the same for the same content; :mod:`collateral_opt.io.page` draws them on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from collateral_opt.io.page import COLOURS, Figure, axis, figure, labels, numbers
from collateral_opt.io.report import asset_class
from collateral_opt.io.report_tables import money
from collateral_opt.liquidity.ladder import Ladder
from collateral_opt.liquidity.waterfall import Source, Waterfall
from collateral_opt.result import Result

if TYPE_CHECKING:
    from collateral_opt.liquidity.reverse import Break

MOST_BARS = 16
"""Sources with a bar of their own; where there are more, holdings of one class share one."""
_FREE, _USED, _LATE, _CALL, _GAP = "#c6d5e8", COLOURS[0], COLOURS[8], COLOURS[4], "rgba(228,87,86,0.35)"
_MET, _AVAILABLE = COLOURS[2], COLOURS[0]
_BINS = 60


def waterfall_figure(fall: Waterfall, result: Result) -> Figure | None:
    """A step a source, each on what stands before it: used and still free, against the line of what is called."""
    steps = _steps(fall, result)
    if not steps:
        return None
    names, sources = [name for name, _ in steps], [source for _, source in steps]
    base = [source.cumulative - source.available for source in sources]
    told = [
        [money(s.used), money(s.available), _hours(s.hours), "in time" if s.in_time else "too late", money(s.cost)]
        for s in sources
    ]
    hover = (
        "%{x}<br>%{customdata[0]} used of %{customdata[1]}<br>after %{customdata[2]}, %{customdata[3]}"
        "<br>costs %{customdata[4]}<extra></extra>"
    )
    shared: dict[str, Any] = {"type": "bar", "x": labels(names), "customdata": told, "hovertemplate": hover}
    free = {
        **shared,
        "name": "available",
        "base": numbers(base),
        "y": numbers(s.available for s in sources),
        "marker": {"color": [_FREE if s.in_time else _LATE for s in sources]},
        "text": [_hours(s.hours) for s in sources],
        "textposition": "outside",
        "cliponaxis": False,
    }
    used = {
        **shared,
        "name": "used",
        "base": numbers(base),
        "y": numbers(s.used for s in sources),
        "marker": {"color": _USED},
    }
    top = max([fall.called, *(s.cumulative for s in sources)]) * 1.08
    layout = {
        "barmode": "overlay",
        "bargap": 0.15,
        "yaxis": {**axis("cumulative liquidity", fall_currency(result)), "range": [0, round(top, 2)]},
        **_level(fall.called, f"called {money(fall.called, 0)}"),
    }
    return figure([free, used], layout, "x")


def ladder_figure(ladder: Ladder, result: Result) -> Figure | None:
    """What is available and what is due by the hour, as steps; what is due beyond what is there is shaded."""
    if not ladder.rungs:
        return None
    # A step for plotly is drawn after its moment; moments apart by much share one axis of hours.
    rungs = [r for i, r in enumerate(ladder.rungs) if i in (0, len(ladder.rungs) - 1) or _moved(ladder, i)]
    hours = [round(r.hours, 4) for r in rungs]
    due, available, met = ([getattr(r, name) for r in rungs] for name in ("due", "available", "met"))
    step = {"type": "scatter", "mode": "lines", "x": hours}
    lines: list[Mapping[str, Any]] = [
        _stairs(hours, np.minimum(due, available), {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}),
        _stairs(
            hours,
            np.asarray(due),
            {"line": {"width": 0}, "fill": "tonexty", "fillcolor": _GAP, "name": "gap", "hoverinfo": "skip"},
        ),
        _curve(step, "available", available, {"color": _AVAILABLE, "width": 3, "shape": "hv"}),
        _curve(step, "due", due, {"color": _CALL, "width": 3, "shape": "hv"}),
        _curve(step, "met", met, {"color": _MET, "width": 3, "dash": "dash", "shape": "hv"}),
    ]
    layout: dict[str, Any] = {
        "hovermode": "x unified",
        "yaxis": {**axis("by then", fall_currency(result)), "rangemode": "tozero"},
        "xaxis": {"title": {"text": "hours from now"}, "rangemode": "tozero"},
    }
    if ladder.survives_until is not None:
        start = pd.Timestamp(result.book.settings.as_of)
        layout |= _upright((ladder.survives_until - start) / pd.Timedelta(hours=1), "survival horizon")
    return _linear(lines, layout)


def distribution_figure(
    need: Sequence[float], currency: str, *, what: str = "called", marks: Mapping[str, float] | None = None
) -> Figure | None:
    """How many scenarios need how much, with an upright line for each of ``marks`` (a buffer, a quantile)."""
    values = np.asarray(need, dtype=np.float64)
    if not len(values):
        return None
    ends = max(float(values.max()), *(marks or {}).values()) if marks else float(values.max())
    counts, edges = np.histogram(values, bins=_BINS, range=(min(0.0, float(values.min())), ends if ends > 0 else 1.0))
    bars = {
        "type": "bar",
        "name": "scenarios",
        "x": numbers((edges[:-1] + edges[1:]) / 2),
        "width": numbers(np.diff(edges)),
        "y": counts.tolist(),
        "marker": {"color": _USED},
        "customdata": [[money(a, 0), money(b, 0)] for a, b in pairwise(edges.tolist())],
        "hovertemplate": "%{customdata[0]} to %{customdata[1]}: %{y} scenarios<extra></extra>",
    }
    layout: dict[str, Any] = {
        "bargap": 0.02,
        "showlegend": False,
        "xaxis": axis(what, currency),
        "yaxis": {"title": {"text": "scenarios"}},
        "margin": {"l": 60, "r": 20, "t": 30, "b": 40},
    }
    shapes, notes = [], []
    for at, (name, value) in enumerate((marks or {}).items()):
        drawn = _upright(value, f"{name} {money(value, 0)}", y=1.0 - 0.07 * at)
        shapes += drawn["shapes"]
        notes += drawn["annotations"]
    return _linear([bars], {**layout, "shapes": shapes, "annotations": notes})


def survival_figure(broken_after: Sequence[float | None], horizon_hours: float) -> Figure | None:
    """The share of scenarios in which every call so far is met, against hours; None: that scenario survives."""
    if not len(broken_after):
        return None
    times = sorted(h for h in broken_after if h is not None and h <= horizon_hours)
    hours, shares = [0.0], [1.0]
    for time in dict.fromkeys(times):
        hours.append(time)
        shares.append(1.0 - sum(1 for h in times if h <= time) / len(broken_after))
    hours.append(horizon_hours)
    shares.append(shares[-1])
    line = {
        "type": "scatter", "mode": "lines", "x": [round(h, 4) for h in hours], "y": [round(s, 6) for s in shares],
        "line": {"shape": "hv", "width": 3, "color": _MET}, "fill": "tozeroy", "fillcolor": "rgba(84,162,75,0.15)",
        "hovertemplate": "%{x} hours: %{y:.2%} survive<extra></extra>",
    }  # fmt: skip
    layout = {
        "showlegend": False,
        "xaxis": {"title": {"text": "hours from now"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "scenarios that survive"}, "range": [0, 1.03], "tickformat": ".0%"},
    }
    return _linear([line], layout)


def distance_figure(breaks: Sequence[Break]) -> Figure | None:
    """A bar a direction, as far as it breaks, or (light) as far as it was looked at; the first of many."""
    shown = breaks[:MOST_BARS]
    if not shown:
        return None
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": labels(one.direction for one in shown),
        "x": [round(one.deviations, 4) for one in shown],
        "marker": {"color": [_CALL if one.breaks else _FREE for one in shown]},
        "text": [f"{one.share:.2%} of it" if one.breaks else "holds" for one in shown],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [[escape(one.first_short_call, quote=False) or "nothing", money(one.called)] for one in shown],
        "hovertemplate": "%{y}: %{x:.2f} deviations<br>called %{customdata[1]}"
        "<br>short first: %{customdata[0]}<extra></extra>",
    }
    layout = {
        "showlegend": False,
        "height": 120 + 28 * len(shown),
        "margin": {"l": 60, "r": 90, "t": 10, "b": 40},
        "xaxis": {"title": {"text": "standard deviations"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed"},
    }
    return figure([bars], layout, "y")


def fall_currency(result: Result) -> str:
    """The base currency."""
    return str(result.summary["base_currency"])


def _steps(fall: Waterfall, result: Result) -> list[tuple[str, Source]]:
    """Bars by name: the sources, or where there are many, holdings of one class that are in time together as one."""
    sources = [s for s in fall.sources if s.available > 0]
    if len(sources) <= MOST_BARS:
        return [(s.name, s) for s in sources]
    classes = dict(zip(result.book.assets["asset_id"], asset_class(result.book.assets), strict=True))
    groups: dict[tuple[str, bool], list[Source]] = {}
    for source in sources:
        name = source.name if source.kind != "holding" else str(classes[source.asset_id])
        groups.setdefault((name, source.in_time), []).append(source)
    made, cumulative = [], 0.0
    for (name, in_time), members in sorted(groups.items(), key=lambda group: (not group[0][1], _rate(group[1]))):
        cumulative += sum(s.available for s in members)
        one = Source(
            name=name, kind=members[0].kind, asset_id="", access=min(s.access for s in members),
            hours=min(s.hours for s in members), rate_bps=_rate(members), one_off_bps=0.0,
            available=sum(s.available for s in members), cumulative=cumulative, used=sum(s.used for s in members),
            cost=sum(s.cost for s in members), in_time=in_time,
        )  # fmt: skip
        label = f"{name} ({len(members)})" if len(members) > 1 else name
        made.append((label if in_time else f"{label}, late", one))
    return made


def _rate(members: Sequence[Source]) -> float:
    """What their cover costs on average, in basis points a year."""
    rates = np.array([s.rate_bps for s in members])
    return float(np.average(np.where(np.isfinite(rates), rates, 0.0), weights=[s.available for s in members]))


def _moved(ladder: Ladder, at: int) -> bool:
    one, other = ladder.rungs[at - 1], ladder.rungs[at]
    return (one.due, one.available, one.met) != (other.due, other.available, other.met)


def _curve(step: Mapping[str, Any], name: str, values: Sequence[float], line: Mapping[str, Any]) -> dict[str, Any]:
    return {**step, "name": name, "y": numbers(values), "line": line, "hovertemplate": "%{y:,.0f}"}


def _stairs(hours: Sequence[float], values: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """A stepped curve with corners of its own: areas between stepped lines are not filled otherwise."""
    x = [h for pair in zip(hours, [*hours[1:], hours[-1]], strict=True) for h in pair]
    y = [v for value in np.asarray(values).tolist() for v in (value, value)]
    return {"type": "scatter", "mode": "lines", "x": x, "y": numbers(y), **more}


def _linear(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Figure:
    """A figure with figures on both axes."""
    drawn = figure(data, layout, "x")
    drawn["layout"]["xaxis"]["type"] = "linear"
    return drawn


def _level(value: float, words: str) -> dict[str, Any]:
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": round(value, 2), "y1": round(value, 2)}
    text = {"xref": "paper", "x": 0.005, "xanchor": "left", "y": round(value, 2), "yanchor": "bottom"}
    return _marked(line, text, words)


def _upright(value: float, words: str, y: float = 1.0) -> dict[str, Any]:
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": round(value, 4), "x1": round(value, 4)}
    text = {"yref": "paper", "y": y, "yanchor": "top", "x": round(value, 4), "xanchor": "left"}
    return _marked(line, text, words)


def _marked(line: dict[str, Any], text: dict[str, Any], words: str) -> dict[str, Any]:
    drawn = {**line, "line": {"color": _CALL, "width": 2, "dash": "dash"}}
    said = {**text, "text": escape(words, quote=False), "showarrow": False, "font": {"color": _CALL}}
    return {"shapes": [drawn], "annotations": [said]}


def _hours(hours: float) -> str:
    return "now" if hours <= 0 else f"{hours:,.4g} h"
