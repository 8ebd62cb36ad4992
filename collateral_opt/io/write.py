"""Writes a result to a folder: tables, summary, report and on request a workbook; all of it or nothing.

Money has two decimals, quantities are exact decimals without exponent, haircuts the shortest text that reads
back as the same number, basis points and shadow prices six decimals at most. An unknown is an empty cell.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from collateral_opt.errors import UsageError

if TYPE_CHECKING:
    from collateral_opt.io.report_tables import Explained
    from collateral_opt.result import Result

_MARKER = "summary.json"

Format = Callable[[float], str]


def write_result(
    result: Result,
    out: Path,
    *,
    force: bool = False,
    workbook: bool = False,
    report: bool = True,
    frontier: pd.DataFrame | None = None,
    explained: Explained | None = None,
) -> list[Path]:
    """Write the result's files into the folder ``out`` and return their paths.

    The files are written beside ``out`` first and moved there together, so that a full disk, a signal or a
    crash leaves either the old folder or the new one. With ``force`` an earlier result is replaced; files in
    it that are not a result's stay where they are. Report and workbook tell what ``explained`` says, too
    (``result.explain()``, of the whole).

    :raises UsageError: ``out`` is a file, or holds something and ``force`` is not set, or holds no result.
    :raises OSError: the disk's own words; nothing has been written then.
    """
    with staged_folder(out, force=force, marker=_MARKER, ours=RESULT_FILES) as staging:
        for name in _told(result):
            write_text(staging / f"{name}.csv", csv_text(getattr(result, name), FORMATS[name]))
        if frontier is not None:
            write_text(staging / "frontier.csv", csv_text(frontier, FRONTIER_FORMATS))
        write_text(staging / "summary.json", summary_text(result.summary))
        if report:
            from collateral_opt.io.report import report_html

            write_text(staging / "report.html", report_html(result, explained))
        if workbook:
            from collateral_opt.io.workbook import write_workbook

            write_workbook(result, staging / "workbook.xlsx", explained)
        written = sorted(p.name for p in staging.iterdir())
    return [out / name for name in written]


def _told(result: Result) -> list[str]:
    """The tables that are written."""
    return [name for name in TABLES if name not in ON_OCCASION or len(getattr(result, name))]


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary as JSON, one key a line; what is not a finite number is null."""
    return json.dumps(json_value(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(table: pd.DataFrame, formats: Mapping[str, Format] | None = None) -> str:
    """The table as CSV: header row, ``\\n`` line ends, quotes only where needed, empty for unknown.

    Numbers are written by their column's format, exact decimals where there is none. Text is written as it
    is: an identifier that looks like a number or a formula stays what it is.
    """
    formats = formats or {}
    columns = [_cells(table[c], formats.get(str(c), decimal_text)) for c in table.columns]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def decimal_text(x: float) -> str:
    """The shortest exact decimal, without exponent and without a trailing ``.0``.

    >>> decimal_text(1e-07), decimal_text(3_000_000.0), decimal_text(0.1), decimal_text(-0.0)
    ('0.0000001', '3000000', '0.1', '0')
    """
    if not math.isfinite(x):
        return ""
    text = repr(x)
    if "e" in text:
        text = format(Decimal(text), "f")
    return _unsigned_zero(text.rstrip("0").rstrip(".") if "." in text else text)


def money_text(x: float) -> str:
    """Two decimals, and no minus before a zero.

    >>> money_text(1234.5), money_text(-0.001)
    ('1234.50', '0.00')
    """
    return _unsigned_zero(f"{x:.2f}") if math.isfinite(x) else ""


def basis_points_text(x: float) -> str:
    """Six decimals at most.

    >>> basis_points_text(12.3456789), basis_points_text(-1e-9)
    ('12.345679', '0')
    """
    return decimal_text(round(x, 6)) if math.isfinite(x) else ""


# The format of every numeric column, table by table.
FORMATS: Mapping[str, Mapping[str, Format]] = {
    "allocation": {"quantity": decimal_text, "market_value": money_text, "haircut": decimal_text,
                   "collateral_value": money_text, "cost": money_text},
    "financing": {"quantity": decimal_text, "market_value": money_text, "haircut": decimal_text,
                  "proceeds": money_text, "cost": money_text},
    "calls": {"required": money_text, "covered": money_text, "shortfall": money_text, "excess": money_text,
              "marginal_cost_bps": basis_points_text},
    "agreements": {"required": money_text, "posted": money_text, "kept": money_text, "recalled": money_text,
                   "delivered": money_text, "shortfall": money_text, "excess": money_text,
                   "marginal_cost_bps": basis_points_text},
    "inventory": {"quantity": decimal_text, "recalled": decimal_text, "used": decimal_text, "left": decimal_text,
                  "scarcity_bps": basis_points_text},
    "reserves": {"required": money_text, "counted": money_text, "shortfall": money_text,
                 "marginal_cost_bps": basis_points_text},
    "limits": {"used": money_text, "cap": money_text, "shadow_price": basis_points_text},
    "steps": {"step": decimal_text, "quantity": decimal_text},
    "changes": {"sent": decimal_text, "now": decimal_text},
}  # fmt: skip
TABLES = tuple(FORMATS)
FRONTIER_FORMATS: Mapping[str, Format] = {
    "max_moves": decimal_text, "moves": decimal_text, "total_cost": money_text, "saving": money_text,
    "lower_bound": money_text,
}  # fmt: skip
ON_OCCASION = frozenset({"agreements", "changes"})
"""Tables that are written only where the run has something to say in them."""
RESULT_FILES = frozenset(
    {*(f"{name}.csv" for name in TABLES), "summary.json", "frontier.csv", "report.html", "workbook.xlsx"}
)


def check_target(out: Path, *, force: bool, book: Path | None = None) -> None:
    """Refuse a target folder before any work is done: see :func:`write_result`.

    :raises UsageError: as there; and where ``out`` is the folder of the book, inside it, or around it.
    """
    if book is not None:
        target, source = out.resolve(), book.resolve()
        if target == source or source in target.parents:
            raise UsageError(f"--out {out} lies in the book {book}. Choose a folder outside it.")
        if target in source.parents and out.exists() and any(out.iterdir()):
            raise UsageError(f"--out {out} holds the book {book}. Choose another folder.")
    check_folder(out, force=force, marker=_MARKER)


@contextmanager
def staged_folder(folder: Path, *, force: bool, marker: str, ours: Collection[str]) -> Iterator[Path]:
    """Hand out an empty folder beside ``folder``; if the block ends well it takes that name, else it goes.

    ``marker`` is the file by which an earlier folder is known for one of ours; ``ours`` are the paths that
    are replaced with ``force``, all others are kept.
    """
    folder = folder.resolve()
    check_folder(folder, force=force, marker=marker)
    made = _make_parents(folder.parent)
    staging: Path | None = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        yield staging
        staging.chmod(0o777 & ~_umask())
        _take_place(staging, folder, ours)
    except BaseException:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def check_folder(folder: Path, *, force: bool, marker: str) -> None:
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Choose another name.")
    if not any(folder.iterdir()):
        return
    if not (folder / marker).is_file():
        raise UsageError(f"{folder} is not empty and holds no {marker}, so it is left alone. Choose another folder.")
    if not force:
        raise UsageError(f"{folder} is not empty. Choose another folder, or replace what is there with --force.")


def _take_place(staging: Path, folder: Path, ours: Collection[str]) -> None:
    """Give ``staging`` the name ``folder``; an earlier folder steps aside first, and back if that fails."""
    if not folder.exists():
        staging.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(aside)
    try:
        staging.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    for name in ours:
        with suppress(OSError):
            (aside / name).unlink()
    _keep_the_rest(aside, folder)
    shutil.rmtree(aside, ignore_errors=True)


def _keep_the_rest(aside: Path, folder: Path) -> None:
    """Move what a person laid beside our files into the new folder."""
    for entry in sorted(aside.rglob("*"), reverse=True):
        target = folder / entry.relative_to(aside)
        if entry.is_dir() and not entry.is_symlink():
            with suppress(OSError):
                entry.rmdir()
        elif not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            entry.rename(target)


def _make_parents(folder: Path) -> list[Path]:
    """Make ``folder``; returns what had to be made, deepest first."""
    missing = []
    at = folder
    while not at.exists():
        missing.append(at)
        at = at.parent
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _umask() -> int:
    # there is no way to read it without setting it
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    # ids are text from outside: a lone surrogate must not end the run
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _cells(column: pd.Series[Any], number: Format) -> list[str]:
    values = column.tolist()
    if pd.api.types.is_bool_dtype(column.dtype):
        return ["true" if v else "false" for v in values]
    if pd.api.types.is_numeric_dtype(column.dtype):
        return [number(v) for v in values]
    return [v if isinstance(v, str) else _cell(v, number) for v in values]


def _cell(value: object, number: Format) -> str:
    if value is None or value is pd.NaT or value is pd.NA:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(float(value)) if isinstance(value, int | float) else str(value)


def _unsigned_zero(text: str) -> str:
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(v) for v in value]
    if hasattr(value, "item"):  # numpy's scalars
        value = value.item()
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
