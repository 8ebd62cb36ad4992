"""Builds the report of a result: one HTML file that needs no network and opens anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from collateral_opt.io.page import COLOURS, Figure, axis, beginning, figure, labels, numbers, rendered
from collateral_opt.io.report_tables import Explained, cost_of_proceeds, currency, money, percent, tables

if TYPE_CHECKING:
    from collateral_opt.result import Result

_MOST_BARS = 60
_TOP_HOLDINGS = 20
_TOP_LIMITS = 40
_TOP_FACILITIES = 20
_FULL = 99.9

_VIA = "#d37295"
_CLASS_ORDER = (
    "cash",
    "sovereign debt",
    "agency debt",
    "covered bonds",
    "bank debt",
    "corporate debt",
    "equity",
    "fund",
)


_LINES = (
    ("call_id", "call", "text"),
    ("agreement_id", "agreement", "text"),
    ("source", "from", "text"),
    ("asset_id", "asset", "text"),
    ("name", "name", "text"),
    ("class", "class", "text"),
    ("quantity", "quantity", "quantity"),
    ("market_value", "market value", "money"),
    ("haircut", "haircut", "percent"),
    ("collateral_value", "collateral value", "money"),
    ("cost", "cost", "money"),
)


def report_html(result: Result, explained: Explained | None = None) -> str:
    """The whole page as text: headline, what is short and what binds, charts, tables, and every line to deliver.

    With ``explained`` (what ``result.explain()`` says of the whole) also what would cover each shortfall, prices to
    either side, and what letting go of terms would save.
    """
    allocation = with_names(result)
    lines = allocation[allocation["action"] == "deliver"]
    return rendered(
        "report.html",
        figures={
            "cover": _cover_by_call(result, lines),
            "sources": _sources_of_cover(result, lines),
            "agreements": _posted_by_agreement(result),
            "heat": _class_by_agreement(allocation),
            "cost": _cost_by_source(result, lines),
            "limits": _use_of_limits(result),
        },
        lines=lines.astype({"quantity": float, "cost": float}),
        columns=_LINES,
        total="collateral_value",
        summary=result.summary,
        cards=_cards(result),
        tables=tables(result, explained),
        notes=_notes(result, allocation, lines),
    )


def asset_class(assets: pd.DataFrame) -> pd.Series[Any]:
    """What a desk would call each asset: ``cash``, ``sovereign debt``, ``covered bonds``, ``equity``..."""
    kind = assets["asset_type"].astype(object)
    issuer = assets["issuer_type"].astype(object)
    of_debt = (issuer.where(issuer.notna(), "other").astype(str).str.replace("_", " ") + " debt").astype(object)
    label = kind.where(kind != "debt", of_debt)
    return label.mask(assets["security_type"].astype(object) == "covered_bond", "covered bonds")


def with_names(result: Result) -> pd.DataFrame:
    """The allocation with each asset's name and class beside it, and one column for where it comes from."""
    assets = result.book.assets
    facts = pd.DataFrame({"asset_id": assets["asset_id"], "name": assets["name"], "class": asset_class(assets)})
    lines = result.allocation.merge(facts, on="asset_id", how="left", validate="many_to_one")
    lines["source"] = lines["holding_id"].where(lines["holding_id"].notna(), lines["facility_id"])
    return lines


def _cards(result: Result) -> list[tuple[str, str, str]]:
    """Headline figures: label, figure, and a word of explanation."""
    s, calls, base = result.summary, result.calls, currency(result)
    covered = int((calls["shortfall"] == 0).sum())
    required = float(calls["required"].sum())
    delivered = int((result.allocation["action"] == "deliver").sum())
    cards = [
        ("Cost", f"{money(s['total_cost'])} {base}", "over the horizon of the book"),
        ("Gap", percent(s["gap"]), f"proven: no answer costs less than {money(s['lower_bound'])} {base}"),
        ("Calls covered", f"{covered} of {len(calls)}", f"{money(required, 0)} {base} asked for"),
        ("Shortfall", f"{money(s['total_shortfall'])} {base}", "collateral value that is missing"),
        ("Lines", f"{delivered:,}", f"deliveries to one call{' or agreement' if len(result.agreements) else ''} each"),
    ]
    return cards + _more_cards(result, base)


def _more_cards(result: Result, base: str) -> list[tuple[str, str, str]]:
    """Of what not every run has."""
    cards = []
    financing, reserves, agreements = result.financing, result.reserves, result.agreements
    if len(financing):
        raised, cost = float(financing["proceeds"].sum()), float(financing["cost"].sum())
        cards.append(("Financing", f"{money(raised)} {base}", f"raised for {money(cost)} {base}"))
    if len(reserves):
        hold = int((reserves["shortfall"] == 0).sum())
        missing = float(reserves["shortfall"].sum())
        cards.append(("Reserves that hold", f"{hold} of {len(reserves)}", f"{money(missing)} {base} missing"))
    if len(agreements):
        sound = int((agreements["shortfall"] == 0).sum())
        recalls = int((result.allocation["action"] == "recall").sum())
        words = f"beside their calls; {recalls:,} recall{'' if recalls == 1 else 's'}"
        cards.append(("Agreements covered", f"{sound} of {len(agreements)}", words))
    return cards


def _notes(result: Result, allocation: pd.DataFrame, lines: pd.DataFrame) -> dict[str, str]:
    """Where a chart or the lines show a part only, they say so."""
    notes = {}
    if len(result.calls) > _MOST_BARS:
        notes["cover"] = f"The {_MOST_BARS} largest of {len(result.calls):,} calls, short ones first."
    if len(result.agreements) > _MOST_BARS:
        notes["agreements"] = f"The chart shows the {_MOST_BARS} largest of {len(result.agreements):,} agreements."
    there = allocation.loc[allocation["action"] != "recall", "agreement_id"].nunique()
    if there > _MOST_BARS:
        notes["heat"] = f"The {_MOST_BARS} agreements of {there:,} that take most."
    used = result.limits[result.limits["used"] > 0]
    full = int(((used["used"] >= used["cap"] * _FULL / 100) | (used["shadow_price"].fillna(0.0) != 0)).sum())
    notes["limits"] = f"{full:,} of the {len(used):,} groups with something in them are full."
    told = [beginning(len(lines), "allocation")]
    if len(result.agreements):
        kept = int((allocation["action"] == "keep").sum())
        told.append(
            f"What stays where it lies ({kept:,} row{'' if kept == 1 else 's'}) and what is recalled is not here."
        )
    notes["lines"] = " ".join(told).strip()
    return notes


def _cover_by_call(result: Result, lines: pd.DataFrame) -> Figure | None:
    """Bars of collateral value by class on each call, and a mark where the call's requirement stands."""
    calls = result.calls
    if not len(calls):
        return None
    if len(calls) > _MOST_BARS:
        ranked = calls.assign(is_short=calls["shortfall"] > 0)
        calls = ranked.sort_values(["is_short", "required", "call_id"], ascending=[False, False, True])
        calls = calls.head(_MOST_BARS).sort_values("call_id")
    shown = calls["call_id"].tolist()
    table = _pivot(lines[lines["call_id"].isin(shown)], "class", "call_id")
    x = labels(shown)
    columns = table.T.reindex(shown, fill_value=0.0)
    bars = [
        {
            "type": "bar",
            "name": escape(name, quote=False),
            "x": x,
            "y": numbers(columns[name]),
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:,.2f}",
        }
        for name, colour in _coloured(table.index)
    ]
    required = _required(x, calls["required"])
    return figure([*bars, required], {"barmode": "stack", "yaxis": axis("collateral value", currency(result))}, "x")


def _class_by_agreement(allocation: pd.DataFrame) -> Figure | None:
    """How much of each class is kept at or goes to each agreement."""
    lines = allocation[allocation["action"] != "recall"]
    if not len(lines):
        return None
    table = _pivot(lines, "class", "agreement_id")
    if table.shape[1] > _MOST_BARS:
        table = table[table.sum().nlargest(_MOST_BARS).index.sort_values()]
    rows = [name for name, _ in _coloured(table.index)][::-1]
    cells = [[v if v else None for v in numbers(table.T[name])] for name in rows]
    heat = {
        "type": "heatmap",
        "x": labels(table.columns),
        "y": labels(rows),
        "z": cells,
        "xgap": 2,
        "ygap": 2,
        "colorscale": [[0, "#c6dbef"], [0.5, "#6baed6"], [1, "#08519c"]],
        "hoverongaps": False,
        "hovertemplate": "%{y} at %{x}: %{z:,.2f}<extra></extra>",
        "colorbar": {"outlinewidth": 0, "thickness": 12},
    }
    return figure([heat], {"yaxis": {"type": "category"}, "height": 110 + 36 * len(rows)}, "x")


def _sources_of_cover(result: Result, lines: pd.DataFrame) -> Figure | None:
    """What is delivered as steps, each class of holdings and each facility on top of what is cheaper."""
    if not len(result.financing) or not len(lines):
        return None
    rates = cost_of_proceeds(result)
    proceeds = lines["facility_id"].notna()
    largest = lines[proceeds].groupby("facility_id")["collateral_value"].sum().nlargest(_TOP_FACILITIES).index
    facility = lines["facility_id"].where(lines["facility_id"].isin(largest), "other facilities")
    steps = (
        pd.DataFrame(
            {
                "label": lines["class"].where(~proceeds, "via " + facility.astype(str)),
                "value": lines["collateral_value"].astype(float),
                "cost": lines["cost"].astype(float)
                + lines["market_value"].astype(float) * lines["facility_id"].map(rates).fillna(0.0).astype(float),
                "proceeds": proceeds,
            }
        )
        .groupby(["label", "proceeds"], sort=True, as_index=False)
        .sum()
    )
    steps["rate"] = 1e4 * steps["cost"] / steps["value"].where(steps["value"] > 0)
    steps = steps.sort_values("rate", kind="stable")
    total = float(steps["value"].sum())
    missing = float(result.calls["shortfall"].sum()) + float(result.agreements["shortfall"].sum())
    classes = dict(_coloured(steps.loc[~steps["proceeds"], "label"].tolist()))
    names = [*steps["label"], "delivered"]
    values, bases = [*steps["value"], total], [*(steps["value"].cumsum() - steps["value"]), 0.0]
    colours = [classes.get(label, _VIA) for label in steps["label"]] + [COLOURS[8]]
    words = [f"{money(rate) if abs(rate) >= 1 else format(rate + 0.0, '.2g')} bp" for rate in steps["rate"]] + [""]
    told = [f"<br>{money(cost)} over the horizon" for cost in steps["cost"]] + [""]
    if missing > 0:
        names, values, bases = [*names, "missing"], [*values, missing], [*bases, total]
        colours, words, told = [*colours, COLOURS[4]], [*words, ""], [*told, ""]
    bars = {
        "type": "bar",
        "x": labels(names),
        "y": numbers(values),
        "base": numbers(bases),
        "marker": {"color": colours},
        "text": words,
        "textposition": "auto",
        "customdata": [[money(value), more] for value, more in zip(values, told, strict=True)],
        "hovertemplate": "%{x}: %{customdata[0]}%{customdata[1]}<extra></extra>",
    }
    return figure(
        [bars], {"showlegend": False, "height": 340, "yaxis": axis("collateral value", currency(result))}, "x"
    )


def _posted_by_agreement(result: Result) -> Figure | None:
    """What is kept at each agreement and delivered for no call; what is recalled hangs below."""
    agreements = result.agreements
    if not len(agreements):
        return None
    if len(agreements) > _MOST_BARS:
        largest = agreements[["required", "posted"]].astype(float).max(axis=1).nlargest(_MOST_BARS).index
        agreements = agreements.loc[largest.sort_values()]
    x = labels(agreements["agreement_id"])
    parts = (("kept", 1, COLOURS[0]), ("delivered", 1, COLOURS[2]), ("recalled", -1, COLOURS[1]))
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": x,
            "y": numbers(sign * agreements[name].astype(float)),
            "marker": {"color": colour},
            "hovertemplate": "%{x}: %{y:,.2f}",
        }
        for name, sign, colour in parts
    ]
    required = _required(x, agreements["required"])
    return figure(
        [*bars, required],
        {"barmode": "relative", "height": 340, "yaxis": axis("collateral value", currency(result))},
        "x",
    )


def _cost_by_source(result: Result, lines: pd.DataFrame) -> Figure | None:
    """What costs most to deliver or to give to a facility, at the top the dearest."""
    given = result.financing
    giver = given["holding_id"].where(given["holding_id"].notna(), given["from_facility_id"])
    facility = given["facility_id"].astype(str)
    taken = giver.astype(str) + " " + given["asset_id"].astype(str) + " into " + facility
    into = pd.DataFrame({"label": taken.where(giver.notna(), "drawn from " + facility), "cost": given["cost"]})
    name = lines["source"].astype(str) + " " + lines["asset_id"].astype(str)
    out = pd.DataFrame({"label": name, "cost": lines["cost"]})
    cost = pd.concat([out, into]).astype({"cost": float}).groupby("label", sort=True)["cost"].sum()
    cost = cost[cost != 0].sort_values(ascending=False, kind="stable").head(_TOP_HOLDINGS)[::-1]
    if not len(cost):
        return None
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": numbers(cost),
        "marker": {"color": COLOURS[0]},
        "y": labels(cost.index),
        "hovertemplate": "%{y}: %{x:,.2f}<extra></extra>",
    }
    return figure([bars], {"showlegend": False, "height": 90 + 22 * len(cost)}, "y")


def _use_of_limits(result: Result) -> Figure | None:
    """Use over cap of the limits that are used most, in percent; those that bind have a price."""
    limits = result.limits[(result.limits["used"] > 0) & np.isfinite(result.limits["cap"])]
    if not len(limits):
        return None
    share = (100 * limits["used"] / limits["cap"].where(limits["cap"] > 0)).clip(upper=999.0).fillna(999.0)
    # full limits first, among them those whose next unit is worth most
    full = (share >= _FULL) | (limits["shadow_price"].fillna(0.0) != 0)
    rank = pd.DataFrame({"full": full, "price": limits["shadow_price"].fillna(0.0).abs(), "share": share})
    order = rank.sort_values(["full", "price", "share"], ascending=False, kind="stable").head(_TOP_LIMITS).index[::-1]
    limits, share, full = limits.loc[order], share.loc[order], full.loc[order]
    group = limits["group"].where(limits["group"].notna(), "").astype(str)
    names = (
        limits["agreement_id"].astype(str) + ": " + limits["limit"].astype(str) + (" · " + group).where(group != "", "")
    )
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": numbers(share),
        "y": labels(names),
        "marker": {"color": np.where(full, COLOURS[4], COLOURS[5]).tolist()},
        "customdata": [
            [
                money(u),
                money(c),
                "" if not p or math.isnan(p) else f"<br>one more unit saves {p:,.2f} bp a year",
            ]
            for u, c, p in zip(limits["used"], limits["cap"], limits["shadow_price"], strict=True)
        ],
        "hovertemplate": "%{customdata[0]} of %{customdata[1]}%{customdata[2]}<extra></extra>",
    }
    axis = {"title": {"text": "use of the cap, %"}, "range": [0, max(105.0, float(share.max()) * 1.03)]}
    return figure([bars], {"showlegend": False, "height": 90 + 22 * len(limits), "xaxis": axis}, "y")


def _required(x: Sequence[str], values: Iterable[Any]) -> dict[str, Any]:
    """A mark at what is required; the page gives it the colour of the text."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "required",
        "x": x,
        "y": numbers(values),
        "marker": {
            "symbol": "line-ew",
            "size": max(6, min(22, 800 // len(x))),
            "line": {"width": 2, "color": "required"},
        },
        "hovertemplate": "%{x}: %{y:,.2f} required",
    }


def _pivot(lines: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    return lines.pivot_table(
        index=rows, columns=columns, values="collateral_value", aggfunc="sum", fill_value=0.0, observed=True
    )


def _coloured(classes: Sequence[str] | pd.Index[Any]) -> list[tuple[str, str]]:
    """The classes that are there, known ones first and always in the same colour."""
    known = [c for c in _CLASS_ORDER if c in classes]
    others = sorted(c for c in classes if c not in _CLASS_ORDER)
    return [(c, COLOURS[_CLASS_ORDER.index(c)]) for c in known] + [(c, COLOURS[-1]) for c in others]
