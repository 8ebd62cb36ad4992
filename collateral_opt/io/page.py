"""Pages that need no network: figures for plotly.js, which stands in the file itself, and a table that filters.

Figures are plain dictionaries; the same content gives the same bytes.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from collateral_opt.io.report_tables import money

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#eeca3b", "#bab0ac")
_MOST_LINES = 20_000

Figure = dict[str, Any]


def rendered(
    template: str,
    *,
    figures: Mapping[str, Figure | None],
    lines: pd.DataFrame,
    columns: Sequence[tuple[str, str, str]],
    total: str | None,
    **content: Any,
) -> str:
    """The page as text.

    ``columns``: column of ``lines``, its head, how it is told (`text`, `quantity`, `money`, `percent`); ``total``: the
    column whose sum is told (None: of no column).
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("collateral_opt.io", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["money"] = money
    names = [name for name, _, _ in columns]
    page = {
        "figures": {key: drawn for key, drawn in figures.items() if drawn is not None},
        "columns": [[head, kind] for _, head, kind in columns],
        "total": None if total is None else names.index(total),
        "lines": _rows(lines[names]),
    }
    return environment.get_template(template).render(
        figures=figures, line_count=len(lines), page=_script_json(page), plotly=_plotly_js(), **content
    )


def beginning(count: int, table: str) -> str:
    """What to say where the page has the first lines only."""
    return f"The first {_MOST_LINES:,} of {count:,} lines; {table}.csv has them all." if count > _MOST_LINES else ""


def figure(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], category: str) -> Figure:
    """Data and layout for plotly; identifiers stay on a category axis, whatever they look like."""
    base: Figure = {
        "margin": {"l": 60, "r": 20, "t": 10, "b": 40},
        "height": 420,
        "hovermode": "closest",
        "bargap": 0.25,
        "xaxis": {"automargin": True},
        "yaxis": {"automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    }
    for key, value in layout.items():
        base[key] = {**base[key], **value} if isinstance(value, dict) and key in base else value
    base[f"{category}axis"]["type"] = "category"
    return {"data": list(data), "layout": base}


def axis(title: str, currency: str) -> dict[str, Any]:
    """An axis of amounts."""
    return {"title": {"text": f"{title}, {escape(currency, quote=False)}"}}


def labels(values: Iterable[Any]) -> list[str]:
    """Names as plotly shows them as they are: it reads a few tags in text, and identifiers have none."""
    return [escape(str(v), quote=False) for v in values]


def numbers(values: Iterable[Any]) -> list[float]:
    """Amounts to the cent."""
    return [round(float(v), 2) for v in values]


def _rows(lines: pd.DataFrame) -> list[list[Any]]:
    """Rows of the table on the page; numbers as numbers, so that they sort."""
    cells = [[_blank(v) for v in lines[c].head(_MOST_LINES).tolist()] for c in lines]
    return [list(row) for row in zip(*cells, strict=True)]


def _blank(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


def _script_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def _plotly_js() -> str:
    """The text of plotly.js as the plotly package ships it, found without importing that package."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the report needs the plotly package")
    path = Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8")
