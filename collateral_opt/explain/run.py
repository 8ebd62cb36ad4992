"""A result from the folder that a run has written, for the book that it answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.result.result import COLUMNS, Result

_FIGURES = frozenset(
    {"quantity", "market_value", "haircut", "collateral_value", "cost", "proceeds", "required", "covered", "shortfall",
     "excess", "marginal_cost_bps", "posted", "kept", "recalled", "delivered", "used", "left", "scarcity_bps",
     "counted", "cap", "shadow_price", "step", "sent", "now"}
)  # fmt: skip


def is_run(folder: Path) -> bool:
    """Whether a run has written its result here."""
    return (folder / "summary.json").is_file() and (folder / "allocation.csv").is_file()


def read_run(folder: Path, book: Book) -> Result:
    """The result in ``folder``, as its files have it: amounts to the cent.

    Raises:
        UsageError: a file is not as a run writes it, or the run was of another book, or of this one before it changed.
        OSError: a file cannot be read.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        tables = {name: _table(folder / f"{name}.csv", columns) for name, columns in COLUMNS.items()}
        answers = summary["book"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is no result of a run: {error}. Run allocate again.") from None
    if answers != _as_run(book, summary).digest:
        raise UsageError(
            f"The run in {folder} is not of this book as it stands now. Run allocate again, or name the book it is of."
        )
    return Result(book=book.in_full, summary=summary, **tables)


def _as_run(book: Book, summary: object) -> Book:
    """``book`` with the time limit that the command line may have set for the run."""
    limit = summary.get("time_limit_s") if isinstance(summary, dict) else None
    return book if limit is None else book.replace(settings={"time_limit_s": limit})


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of a run, or an empty one where it had nothing to say."""
    if not path.is_file():
        return pd.DataFrame({c: pd.Series(dtype=np.float64 if c in _FIGURES else object) for c in columns})
    read = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    missing = [column for column in columns if column not in read]
    if missing:
        raise ValueError(f"{path.name} has no column {missing[0]!r}")
    return pd.DataFrame(
        {
            c: pd.to_numeric(read[c].where(read[c] != "", None)).astype(np.float64)
            if c in _FIGURES
            else read[c].where(read[c] != "", None).astype(object)
            for c in columns
        }
    )
