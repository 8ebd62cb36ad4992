"""Tables as lists: a cell of a frame is slow to read, so a column is turned into a list, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd


class Columns(dict[str, list[Any]]):
    """The columns of one table by name, from the first row to the last; each is read when it is first asked for."""

    def __init__(self, table: pd.DataFrame) -> None:
        super().__init__()
        self.height = len(table)
        self._table = table
        self._texts: dict[str, list[str | None]] = {}
        self._rows: dict[str, Mapping[Any, int]] = {}

    def __missing__(self, column: str) -> list[Any]:
        self[column] = cells = self._table[column].tolist()
        return cells

    def has(self, column: str) -> bool:
        """Whether the table has such a column."""
        return column in self._table.columns

    def texts(self, column: str) -> list[str | None]:
        """A text column, with every way of being empty made None."""
        if column not in self._texts:
            self._texts[column] = [
                value or None if type(value) is str else None if value is None or value != value else str(value) or None
                for value in self[column]
            ]
        return self._texts[column]

    def rows_of(self, column: str, wanted: Iterable[Any]) -> list[int]:
        """The row in which each of ``wanted`` stands in a column; -1 where none does."""
        if column not in self._rows:
            self._rows[column] = {key: row for row, key in enumerate(self[column])}
        rows = self._rows[column]
        return [rows.get(key, -1) for key in wanted]


class Tables(dict[str, Columns]):
    """The tables of a book or of a result by name, each taken when it is first asked for."""

    def __init__(self, of: object) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, name: str) -> Columns:
        self[name] = columns = Columns(getattr(self._of, name))
        return columns
