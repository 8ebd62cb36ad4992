"""The asset table as criteria see it: each column read once, unknown cells marked, assumptions filled in.

Text is kept as codes into its distinct values, so a criterion looks at each distinct value once and never at
each asset. A :class:`Facts` may be handed to `match` again and again in place of the frame it was made from.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from eligibility_rules.columns import RATING_COLUMNS, Kind, known_kind
from eligibility_rules.problems import ScheduleProblem
from eligibility_rules.ratings import rating_step
from eligibility_rules.scalars import day, number

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

MOST = 64 * 2**20
"""Bytes that may be kept with the facts of a table, of which every thing has one an asset ..."""
ROW = 2**14
"""... and about so many of its own."""


@dataclass(frozen=True)
class TextColumn:
    """A column of text: asset i holds `values[codes[i]]`, or is unknown where the code is -1."""

    codes: Codes
    values: tuple[str, ...]

    @cached_property
    def in_order(self) -> Codes:
        """The positions of the values in alphabetical order."""
        return np.array(sorted(range(len(self.values)), key=self.values.__getitem__), dtype=np.int64)

    def look_up(self, by_value: npt.NDArray[Any], unknown: Any) -> npt.NDArray[Any]:
        """For each asset what `by_value` says of its value, `unknown` where it has none."""
        return np.append(by_value, np.asarray([unknown], dtype=by_value.dtype))[self.codes]


class Facts:
    """What is known of n assets. Columns that are absent are unknown for all of them."""

    def __init__(self, assets: pd.DataFrame) -> None:
        self.assets = assets
        self.n = len(assets)
        self._assume: Mapping[str, str] = {}
        self._base: Facts | None = None
        self._text: dict[str, TextColumn] = {}
        self._number: dict[str, Floats] = {}
        self._day: dict[str, Days] = {}
        self._steps: dict[str, Floats] = {}
        self._filled: dict[frozenset[tuple[str, str]], Facts] = {}
        self._memory: dict[Hashable, dict[Any, Any]] = {}
        self._sound: set[str] = set()

    @classmethod
    def of(cls, assets: pd.DataFrame | Facts) -> Facts:
        """The facts of a frame, or the facts themselves."""
        return assets if isinstance(assets, Facts) else cls(assets)

    def assuming(self, assume: Mapping[str, str]) -> Facts:
        """The same assets with the empty cells of the named columns filled; other columns are shared."""
        if not assume:
            return self
        key = frozenset(assume.items())
        if key not in self._filled:
            filled = self._filled[key] = Facts(self.assets)
            # A twin with the same columns: facts that held one another would outlive their last user.
            twin = copy(self)
            twin._filled, twin._memory = {}, {}
            filled._assume, filled._base = dict(assume), twin
        return self._filled[key]

    def memory(self, of: Hashable) -> dict[Any, Any]:
        """What others worked out from these facts and ``of``, for them to keep here while there :attr:`has_room`."""
        return self._memory.setdefault(of, {})

    @property
    def has_room(self) -> bool:
        """Whether more may be kept: the facts of a book outlive many schedules."""
        return sum(map(len, self._memory.values())) * (self.n + ROW) < MOST

    def row(self, position: int) -> Facts:
        """The facts of one asset alone."""
        return Facts(self.assets.iloc[[position]]).assuming(self._assume)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The names of the columns that the asset table has."""
        return frozenset(self.assets.columns.tolist())

    @cached_property
    def ids(self) -> TextColumn:
        """`asset_id`, for messages and groups."""
        return self.text("asset_id")

    def asset_id(self, position: int) -> str:
        """How a message names an asset."""
        code = int(self.ids.codes[position])
        return self.ids.values[code] if code >= 0 else f"in row {position}"

    def kind(self, column: str) -> Kind:
        """What the column holds; a column nobody knows is what its cells are."""
        known = known_kind(column)
        if known is not None or column not in self.columns:
            return known or "text"
        cells = self.assets[column]
        if pd.api.types.is_datetime64_any_dtype(cells):
            return "date"
        if pd.api.types.is_bool_dtype(cells) or not pd.api.types.is_numeric_dtype(cells):
            return "text"
        # An empty column carries no kind of its own: it becomes that of what is assumed for it.
        assumed = self._assume.get(column)
        return "text" if assumed is not None and number(assumed) is None and cells.isna().all() else "number"

    def text(self, column: str) -> TextColumn:
        """A column as text, whatever it holds."""
        if column not in self._text:
            if self._base is not None and column not in self._assume:
                return self._base.text(column)
            self._text[column] = self._filled_text(column)
        return self._text[column]

    def number(self, column: str) -> Floats:
        """A column as float64, NaN where unknown."""
        if column not in self._number:
            if self._base is not None and column not in self._assume:
                return self._base.number(column)
            values = self._read_number(column)
            assumed = number(self._assume[column]) if column in self._assume else None
            self._number[column] = values if assumed is None else np.where(np.isnan(values), assumed, values)
        return self._number[column]

    def day(self, column: str) -> Days:
        """A column as datetime64[D], NaT where unknown."""
        if column not in self._day:
            if self._base is not None and column not in self._assume:
                return self._base.day(column)
            values = self._read_day(column)
            assumed = day(self._assume[column]) if column in self._assume else None
            filled = values if assumed is None else np.where(np.isnat(values), np.datetime64(assumed, "D"), values)
            self._day[column] = filled
        return self._day[column]

    def steps(self, column: str) -> Floats:
        """A rating column as steps 1 to 22, NaN where there is no rating or (`problems`) nonsense."""
        if column not in self._steps:
            if self._base is not None and column not in self._assume:
                return self._base.steps(column)
            cells = self._raw_text(column)
            steps = np.array([self._step(text, column) for text in cells.values], dtype=np.float64)
            values = cells.look_up(steps, np.nan)
            if column in self._assume:
                # "Not rated" is no rating either, so an assumption stands in for it too.
                values = np.where(np.isnan(values), self._step(self._assume[column], column), values)
            self._steps[column] = values
        return self._steps[column]

    @staticmethod
    def _step(text: str, column: str) -> float:
        try:
            step = rating_step(text, RATING_COLUMNS[column])
        except ValueError:
            return np.nan
        return np.nan if step is None else float(step)

    def _rating_problems(self, column: str, file: str) -> list[ScheduleProblem]:
        """Every distinct cell of a rating column that is neither a rating nor a mark for none."""
        cells = self._raw_text(column)
        problems = []
        for code, text in enumerate(cells.values):
            try:
                rating_step(text, RATING_COLUMNS[column])
            except ValueError as failed:
                hit = np.flatnonzero(cells.codes == code)
                others = f" (and {len(hit) - 1} more)" if len(hit) > 1 else ""
                message = f"{column} of asset {self.asset_id(int(hit[0]))}{others}: {failed}"
                remedy = "Correct the cell, or empty it: an empty rating is unknown"
                problems.append(ScheduleProblem(file, "assets", text, message, remedy))
        return problems

    # -------------------- reading one column

    def _raw_text(self, column: str) -> TextColumn:
        """The column without what is assumed for its empty cells."""
        if self._base is not None:
            return self._base._raw_text(column)
        if column not in self._text:
            self._text[column] = self._read_text(column)
        return self._text[column]

    def _filled_text(self, column: str) -> TextColumn:
        raw = self._raw_text(column)
        assumed = self._assume.get(column)
        if assumed is None:
            return raw
        values = raw.values if assumed in raw.values else (*raw.values, assumed)
        return TextColumn(np.where(raw.codes < 0, values.index(assumed), raw.codes), values)

    def _read_text(self, column: str) -> TextColumn:
        if column not in self.columns:
            return TextColumn(np.full(self.n, -1, dtype=np.int64), ())
        cells = self.assets[column]
        # An extension array hands out its cells one by one, and slowly.
        codes, distinct = pd.factorize(cells.to_numpy() if cells.dtype == object else cells.array)
        texts = [_cell_text(cell) for cell in distinct]
        values = tuple(dict.fromkeys(text for text in texts if text))
        place = {text: code for code, text in enumerate(values)}
        # Cells that differ only in surrounding blanks share a code; a blank cell is unknown.
        merged = np.array([place.get(text, -1) for text in texts], dtype=np.int64)
        return TextColumn(TextColumn(codes.astype(np.int64), ()).look_up(merged, -1), values)

    def _read_number(self, column: str) -> Floats:
        if column not in self.columns:
            return np.full(self.n, np.nan)
        cells = self.assets[column]
        if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
            return cells.to_numpy(dtype=np.float64, na_value=np.nan)
        text = self._raw_text(column)
        parsed = np.array([_or_nan(number(value)) for value in text.values], dtype=np.float64)
        values: Floats = text.look_up(parsed, np.nan)
        return values

    def _read_day(self, column: str) -> Days:
        if column not in self.columns:
            return np.full(self.n, np.datetime64("NaT", "D"))
        cells = self.assets[column]
        if pd.api.types.is_datetime64_any_dtype(cells):
            naive = cells.dt.tz_localize(None) if cells.dt.tz is not None else cells
            return naive.to_numpy().astype("datetime64[D]")
        text = self._raw_text(column)
        parsed = np.array([np.datetime64(day(value[:10]), "D") for value in text.values], dtype="datetime64[D]")
        return text.look_up(parsed, np.datetime64("NaT", "D"))

    def problems(self, column: str, file: str) -> list[ScheduleProblem]:
        """Every cell of a column that is not what the column holds, told of the schedule in ``file``."""
        if self._base is not None and column not in self._assume:
            return self._base.problems(column, file)
        if column in self._sound:
            return []
        found = self._unreadable(column, file)
        if column in RATING_COLUMNS:
            found += self._rating_problems(column, file)
        if not found:
            self._sound.add(column)
        return found

    def _unreadable(self, column: str, file: str) -> list[ScheduleProblem]:
        """Cells of a number or date column that hold something else."""
        kind = self.kind(column)
        if kind == "text" or column not in self.columns or self.assets[column].dtype.kind in "iufM":
            return []
        text = self._raw_text(column)
        problems = []
        for code, value in enumerate(text.values):
            if (number(value) if kind == "number" else day(value[:10])) is None:
                asset = self.asset_id(int(np.flatnonzero(text.codes == code)[0]))
                message = f"{column} of asset {asset} is {value}, which is not a {kind}"
                problems.append(ScheduleProblem(file, "assets", value, message, "Correct the cell, or empty it"))
        return problems


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _cell_text(cell: object) -> str:
    """A cell as text: numbers without a trailing .0, booleans as true and false, times as dates."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return ""
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, float | np.floating):
        value = float(cell)
        return "" if np.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(cell, pd.Timestamp | np.datetime64):
        return str(pd.Timestamp(cell).date())
    return str(cell).strip()
