"""Projections as text and as files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from collateral_opt.io.folders import check_apart, own_folders, plain_name
from collateral_opt.io.write import csv_text, money_text, staged_folder
from collateral_opt.liquidity.projection import COLUMNS, totals
from collateral_opt.liquidity.records import Projection

MARKER = "totals.csv"
"""The file by which a folder is known for one of ours."""
NAMELESS = "stress"
TABLES = ("positions", "calls", "receipts", "findings")
_HEADS = ("value", "P&L", "margin", "stressed", "stressed P&L", "variation", "margin then", "called")
_FORMATS = dict.fromkeys((*COLUMNS[3:], "amount"), money_text)


def projection_text(projection: Projection) -> str:
    """The stress's name, a line a position with the total in base currency below, and what is called by when."""
    base = projection.book.settings.base_currency
    frame = projection.positions
    rows = [[str(row[0]), str(row[2]), *map(_money, row[3:])] for row in frame.itertuples(index=False)]
    sums = totals(projection)
    rows.append(["total", base, *(_money(sums[column]) for column in COLUMNS[3:])])
    lines = [projection.name, *_aligned([["position", "", *_HEADS], *rows], left=2)]
    here = projection.book.settings.as_of.tzinfo
    for head, table in (("calls", projection.calls), ("received", projection.receipts)):
        if not len(table):
            continue
        lines += ["", head]
        cells = []
        for row in table.to_dict("records"):
            kind = row["margin_type"] or ""
            name = row["call_id"] if "call_id" in row else row["agreement_id"]
            due = "no due time" if pd.isna(row["due"]) else f"due {row['due'].tz_convert(here).isoformat()}"
            cells.append([str(name), str(kind), due, _money(row["amount"]), str(row["currency"])])
        lines += _aligned(cells, left=3)
    if not len(projection.calls):
        lines += ["", "nothing is called"]
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]  # fmt: skip


def _money(amount: float) -> str:
    if amount != amount:
        return "-"
    return f"{amount:,.2f}".removesuffix(".00") if round(amount, 2) else "0"


def write_projections(projections: Sequence[Projection], out: Path, *, force: bool = False) -> list[Path]:
    """Write a folder a stress with positions.csv, calls.csv, receipts.csv and findings.csv, and totals.csv of all.

    ``totals.csv`` has a row a stress: its name, the sums of the positions' columns and of calls and receipts, in the
    book's base currency. All of it or nothing; ``force`` replaces an earlier folder.

    :raises UsageError: two stresses would share a folder, or ``out`` holds what is not ours.
    """
    folders = _folders(one.name for one in projections)
    written: list[Path] = []
    with staged_folder(out, force=force, marker=MARKER, ours=[MARKER, *_earlier(out)]) as staging:
        for one, name in zip(projections, folders, strict=True):
            folder = staging / name
            folder.mkdir()
            findings = pd.DataFrame(
                [(f.code, f.severity, f.cause, f.action) for f in one.findings],
                columns=["code", "severity", "cause", "action"],
                dtype=object,
            )
            calls, receipts = _dated(one, one.calls.drop(columns="due_date")), _dated(one, one.receipts)
            for file, table in zip(TABLES, (one.positions, calls, receipts, findings), strict=True):
                (folder / f"{file}.csv").write_text(csv_text(table, _FORMATS), encoding="utf-8", newline="")
                written.append(out / name / f"{file}.csv")
        summary = pd.DataFrame([_sums(one) for one in projections])
        formats = dict.fromkeys(summary.columns[1:], money_text)
        (staging / MARKER).write_text(csv_text(summary, formats), encoding="utf-8", newline="")
    return [out / MARKER, *written]


def _sums(one: Projection) -> dict[str, object]:
    rates = one.book.rates
    sums = {
        name: float((table["amount"] * table["currency"].map(rates).astype(float)).sum()) if len(table) else 0.0
        for name, table in (("calls", one.calls), ("receipts", one.receipts))
    }
    return {"stress": one.name, **totals(one), **sums}


def _dated(one: Projection, table: pd.DataFrame) -> pd.DataFrame:
    """Times as they are at the desk."""
    here = one.book.settings.as_of.tzinfo
    told = [None if pd.isna(at) else at.tz_convert(here).isoformat() for at in table["due"]]
    return table.assign(due=pd.Series(told, index=table.index, dtype=object))


def check_projection_target(out: Path, names: Iterable[str], *, force: bool, book: Path) -> None:
    """Refuse a folder, or names that would share one, before any work is done. Raises UsageError."""
    _folders(names)
    check_apart(out, force=force, book=book, marker=MARKER)


def _folders(names: Iterable[str]) -> list[str]:
    return own_folders(names, what="stresses", otherwise=NAMELESS)


def _earlier(out: Path) -> list[str]:
    """The files that an earlier run wrote into folders, by its own word."""
    try:
        with (out / MARKER).open(encoding="utf-8", newline="") as file:
            folders = [plain_name(row["stress"], NAMELESS) for row in csv.DictReader(file)]
        return [f"{folder}/{table}.csv" for folder in folders for table in TABLES]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []
