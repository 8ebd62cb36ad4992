"""Writes workbooks for a desk: one sheet a question, with filters, frozen heads and number formats.

Columns are named as in the tables. Text stays text: no formula, link or number is read into it. The same result gives
the same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from collateral_opt.errors import UsageError
from collateral_opt.io.report import with_names
from collateral_opt.io.report_tables import Explained, binding_limits, remedies_of, shortfalls
from collateral_opt.io.write import FORMATS, Format, basis_points_text, decimal_text, json_value, money_text

if TYPE_CHECKING:
    from collateral_opt.result import Result
    from collateral_opt.result.comparison import Comparison

_MONEY, _BPS, _WHOLE, _DECIMAL, _PERCENT = "#,##0.00", "#,##0.00####", "#,##0", "#,##0.##########", "0.00##%"
_OF_TEXT: Mapping[Format, str] = {money_text: _MONEY, basis_points_text: _BPS, decimal_text: _DECIMAL}
_FORMAT: Mapping[str, str] = {
    **{column: _OF_TEXT[told] for formats in FORMATS.values() for column, told in formats.items()},
    **dict.fromkeys(("haircut", "use"), _PERCENT),
    **dict.fromkeys(("missing", "amount", "saves_per_day", "covers", "raised"), _MONEY),
    **dict.fromkeys(("before", "after", "by"), _MONEY),
    **dict.fromkeys(("one_more_bps", "one_less_bps", "one_more_saves_bps", "one_less_costs_bps"), _BPS),
    "lines": _DECIMAL,
}
"""The number format of a column; one before, after or of a difference has that of its stem."""
_SHORT = frozenset({"shortfall", "missing"})
_KEYS = ("call_id", "agreement_id", "holding_id", "facility_id", "reserve_id", "asset_id", "kind", "item", "figure")
_MOST_ROWS = 1_048_575
_MOST_CHARACTERS = 32_767
_WIDEST = 60
_MOST_FROZEN = 3
_NEVER = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def write_workbook(result: Result, path: Path, explained: Explained | None = None) -> None:
    """The workbook of a result; with ``explained`` also what would cover what is short, and what terms cost.

    :raises UsageError: a table has more rows than a sheet can hold.
    """
    _write(result_sheets(result, explained), path, str(result.summary["as_of"]))


def write_comparison_workbook(comparison: Comparison, path: Path) -> None:
    """The workbook of a what-if: its changes and figures, who pays, and whatever differs; raises as above."""
    changes = pd.DataFrame({"change": list(comparison.changes)}, dtype=object)
    tables = comparison.tables()
    order = (
        *("alterations", "figures", "costs", "calls", "agreements", "reserves", "lines", "movements", "limits"),
        "facilities",
    )
    _write({"changes": changes} | {name: tables[name] for name in order}, path, str(comparison.after.summary["as_of"]))


def result_sheets(result: Result, explained: Explained | None = None) -> dict[str, pd.DataFrame]:
    """What each sheet has, by its name; a sheet without rows is not written."""
    lines = with_names(result).drop(columns="source")
    delivered = lines["action"] == "deliver"
    return {
        "summary": _summary(result.summary),
        "deliver": lines[delivered].drop(columns="action"),
        "keep and recall": lines[~delivered],
        "calls": result.calls,
        "short": shortfalls(result).astype({"required": float, "missing": float}),
        "to cover it": _remedies(explained),
        "limits": _limits(result),
        "left": _left(result),
        "facilities": result.financing,
        "reserves": result.reserves,
        "agreements": result.agreements,
        "prices": _prices(result, explained),
        "worth letting go": _relaxations(explained),
        "steps": result.steps,
        "changes": result.changes,
    }


def _summary(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Item by item; without the seconds it took, which are others every time."""
    rows = []
    for key, value in json_value(summary).items():
        if key == "seconds":
            continue
        nested = value.items() if isinstance(value, dict) else [(None, value)]
        rows += [(key if part is None else f"{key}.{part}", v) for part, v in nested]
    return pd.DataFrame(rows, columns=["item", "value"], dtype=object)


def _limits(result: Result) -> pd.DataFrame:
    """Every group of every limit with the part of its cap that is used, the fullest first."""
    limits = result.limits
    has_cap = limits["cap"] > 0
    use = (limits["used"] / limits["cap"].where(has_cap)).astype(float)
    # what is used where nothing may be has no part to tell, and stands on top
    fullest = use.mask(~has_cap & (limits["used"] > 0), math.inf).sort_values(ascending=False, kind="stable")
    return limits.assign(use=use).loc[fullest.index]


def _left(result: Result) -> pd.DataFrame:
    """Every holding with what is used and left of it."""
    assets = result.book.assets
    frame = result.inventory.copy()
    name = frame["asset_id"].map(dict(zip(assets["asset_id"], assets["name"], strict=True)))
    frame.insert(list(frame.columns).index("asset_id") + 1, "name", name)
    return frame


def _prices(result: Result, explained: Explained | None) -> pd.DataFrame:
    """What one more unit costs (of what is asked for) or saves (of what there is), in basis points a year."""
    told = {(one.kind, one.name): one.less_bps for one in explained.prices} if explained is not None else {}
    rows: list[dict[str, Any]] = []
    for kind in ("call", "agreement", "reserve"):
        frame = result.table(f"{kind}s")
        for name, bps in zip(frame[f"{kind}_id"], frame["marginal_cost_bps"], strict=True):
            rows.append({"kind": kind, "name": name, "one_more": "costs", "one_more_bps": bps})
    scarce = result.inventory[result.inventory["scarcity_bps"] > 0]
    for name, asset, bps in zip(scarce["holding_id"], scarce["asset_id"], scarce["scarcity_bps"], strict=True):
        less = told.get(("holding", name))
        rows.append(
            {
                "kind": "holding",
                "name": name,
                "asset_id": asset,
                "one_more": "saves",
                "one_more_bps": bps,
                "one_less_bps": less,
            }
        )
    for limit in binding_limits(result, explained).to_dict("records"):
        rows.append(
            {
                "kind": "limit",
                "name": limit["limit"],
                "agreement_id": limit["agreement_id"],
                "group": limit["group"],
                "one_more": "saves",
                "one_more_bps": limit["one_more_saves_bps"],
                "one_less_bps": limit.get("one_less_costs_bps"),
            }
        )
    columns = ["kind", "name", "agreement_id", "group", "asset_id", "one_more", "one_more_bps", "one_less_bps"]
    frame = pd.DataFrame(rows, columns=columns).astype({"one_more_bps": float, "one_less_bps": float})
    return frame.drop(columns=[] if explained is not None else "one_less_bps")


def _remedies(explained: Explained | None) -> pd.DataFrame:
    """Of each shortfall the least change of each kind that would cover it, one row for each part of it."""
    rows: list[tuple[object, ...]] = []
    for short in explained.shortfalls if explained is not None else ():
        if short.is_lots:
            rows.append((short.kind, short.name, "lots", None, None, "only whole lots do not fit"))
            continue
        for remedy in remedies_of(short):
            rows += [(short.kind, short.name, remedy.kind, n.what, n.amount, n.why) for n in remedy.needed]
    return pd.DataFrame(rows, columns=["kind", "name", "to_change", "what", "amount", "why"])


def _relaxations(explained: Explained | None) -> pd.DataFrame:
    rows = [
        (one.kind, one.place, one.name, one.saves_per_day, one.covers)
        for one in (explained.relaxations if explained is not None else ())
    ]
    return pd.DataFrame(rows, columns=["kind", "place", "name", "saves_per_day", "covers"])


# -------------------- sheets


def _write(sheets: Mapping[str, pd.DataFrame], path: Path, as_of: str) -> None:
    import xlsxwriter

    too_long = [name for name, table in sheets.items() if len(table) > _MOST_ROWS]
    if too_long:
        raise UsageError(f"{', '.join(too_long)}: more rows than a sheet can hold. Leave --workbook out.")
    with xlsxwriter.Workbook(str(path), {**_NEVER, "nan_inf_to_errors": False}) as book:
        # the run's own time, so that the same result gives the same bytes
        book.set_properties({"created": pd.Timestamp(as_of).tz_convert(None).to_pydatetime()})
        formats = {text: book.add_format({"num_format": text}) for text in (_MONEY, _BPS, _WHOLE, _DECIMAL, _PERCENT)}
        formats["head"] = book.add_format({"bold": True, "bottom": 1, "bg_color": "#DCE6F1"})
        formats["short"] = book.add_format({"font_color": "#B42318", "bold": True})
        for name, table in sheets.items():
            if len(table):
                _write_sheet(book, name, table, formats)


def _write_sheet(book: Any, name: str, table: pd.DataFrame, formats: Mapping[str, Any]) -> None:
    sheet = book.add_worksheet(name)
    columns = [str(column) for column in table.columns]
    # heads, and the names by which a row is known
    sheet.freeze_panes(1, min(_MOST_FROZEN, next((at for at, c in enumerate(columns) if c not in _KEYS), 0)))
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    for at, column in enumerate(columns):
        sheet.write_string(0, at, column, formats["head"])
        sheet.set_column(at, at, _write_column(sheet, at, table.iloc[:, at].tolist(), _format(column), formats, column))
        if re.sub("_(before|after)$", "", column) in _SHORT:
            above = {"type": "cell", "criteria": ">", "value": 0, "format": formats["short"]}
            sheet.conditional_format(1, at, len(table), at, above)
    sheet.autofilter(0, 0, len(table), len(columns) - 1)


def _write_column(sheet: Any, at: int, values: Sequence[Any], style: str, formats: Mapping[str, Any], head: str) -> int:
    """The cells below the head; returns how wide the column has to be."""
    width = len(head) + 3
    for row, value in enumerate(values, start=1):
        if isinstance(value, bool):
            sheet.write_boolean(row, at, value)
        elif isinstance(value, int | float):
            if math.isfinite(value):
                # no point without decimals
                shown = _WHOLE if style == _DECIMAL and float(value).is_integer() else style
                sheet.write_number(row, at, value + 0.0, formats[shown])
                width = max(width, len(f"{value:,.2f}") + 1)
        elif isinstance(value, str):
            sheet.write_string(row, at, value[:_MOST_CHARACTERS])
            width = max(width, min(len(value) + 1, _WIDEST))
    return width


def _format(column: str) -> str:
    return _FORMAT.get(column) or _FORMAT.get(re.sub("_(before|after|by)$", "", column), _DECIMAL)
