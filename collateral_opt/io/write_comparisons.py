"""Writes what-ifs of one book to a folder: tables, figures, results, a report each; all of it or nothing.

In the folder: ``before``, the result of the book as it stands; a folder for each what-if, with the tables of its
comparison, its report, and its own result in ``after``; ``comparison.json``, which names them and has their figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from collateral_opt.io.comparison_report import comparison_html
from collateral_opt.io.folders import check_apart, earlier_files, own_folders
from collateral_opt.io.write import (
    Format,
    basis_points_text,
    csv_text,
    decimal_text,
    json_value,
    money_text,
    staged_folder,
    write_result,
    write_text,
)
from collateral_opt.result.comparison import RECORDS, Comparison

MARKER = "comparison.json"
_FORMAT: Mapping[str, Format] = {
    **dict.fromkeys(
        ("required", "shortfall", "market_value", "collateral_value", "cost", "used", "cap", "raised"), money_text
    ),
    "quantity": decimal_text,
    "lines": decimal_text,
    "shadow_price": basis_points_text,
    **dict.fromkeys(("before", "after", "by"), lambda x: decimal_text(round(x, 2))),
}
ON_OCCASION = frozenset({"agreements", "reserves"})
"""Tables that are written only where they have rows."""


def write_comparisons(
    comparisons: Sequence[Comparison], out: Path, *, force: bool = False, workbook: bool = False
) -> list[Path]:
    """Write what-ifs of one book, and the results, to the folder ``out``; returns the paths.

    :raises UsageError: two what-ifs have one name; or as :func:`~collateral_opt.io.write.write_result`.
    :raises OSError: the disk's own words; nothing has been written then.
    """
    folders = folder_names([comparison.name for comparison in comparisons])
    with staged_folder(out, force=force, marker=MARKER, ours=earlier_files(out, MARKER)) as staging:
        write_result(comparisons[0].before, staging / "before", report=False)
        for comparison, folder in zip(comparisons, folders, strict=True):
            write_result(comparison.after, staging / folder / "after", report=False)
            for name, table in comparison.tables().items():
                if name in ON_OCCASION and not len(table):
                    continue
                formats = {c: _format(c) for c in table.columns}
                write_text(staging / folder / f"{name}.csv", csv_text(table, formats))
            write_text(staging / folder / "report.html", comparison_html(comparison))
            if workbook:
                from collateral_opt.io.workbook import write_comparison_workbook

                write_comparison_workbook(comparison, staging / folder / "workbook.xlsx")
        written = [p.relative_to(staging).as_posix() for p in sorted(staging.rglob("*")) if p.is_file()]
        said = [{"folder": folder, **_told(one)} for folder, one in zip(folders, comparisons, strict=True)]
        write_text(
            staging / MARKER, json.dumps({"what_ifs": said, "files": [*written, MARKER]}, indent=2, **_JSON) + "\n"
        )
    return [out / name for name in (MARKER, *written)]


_JSON: Mapping[str, Any] = {"ensure_ascii": False, "allow_nan": False}


def check_comparison_target(out: Path, names: Sequence[str], *, force: bool, book: Path) -> None:
    """Refuse a folder, or names that would share one, before any work is done."""
    folder_names(names)
    check_apart(out, force=force, book=book, marker=MARKER)


def folder_names(names: Iterable[str]) -> list[str]:
    """A folder for each what-if, by its name: letters, digits, hyphens.

    :raises UsageError: two would share one, or one that is needed otherwise.
    """
    return own_folders(names, what="what-ifs", otherwise="what-if", taken={"before": repr("the book as it stands")})


def _told(comparison: Comparison) -> dict[str, Any]:
    """A comparison without its lines and single alterations, which have a table."""
    c = comparison
    records = {
        name: [asdict(one) for one in getattr(c, name)] for name in RECORDS if name not in ("alterations", "lines")
    }
    records["altered"] = [asdict(one) for one in c.altered]
    figures = {name: {**asdict(moved), "by": moved.by} for name, moved in c.figures().items()}
    status = {"before": c.status[0], "after": c.status[1]}
    least = {"from": c.least_cost[0], "to": c.least_cost[1]}
    head = {"name": c.name, "changes": c.changes, "base_currency": c.base_currency, "status": status}
    told: dict[str, Any] = json_value({**head, **figures, "least_cost_by": least, **records})
    return told


def _format(column: str) -> Format:
    stem = re.sub("_(before|after|by)$", "", column)
    return _FORMAT.get(stem, decimal_text)
