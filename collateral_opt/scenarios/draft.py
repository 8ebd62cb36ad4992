"""A book while it is being changed: its tables, schedules and limits, and everything that is wrong with the changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.house import HouseLimit
from collateral_opt.book.tables import MOST, ROW_MODELS, hint, normalise
from collateral_opt.errors import UsageError
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Bools, Ints
from collateral_opt.result.comparison import Alteration, Difference, Stated
from collateral_opt.scenarios.figure import ALL, Figure, Which
from eligibility_rules import Context, Facts, Rule, Schedule, ScheduleError, match
from eligibility_rules.vocabulary import ColumnIn, Criterion, leaves

KEYS: Mapping[str, tuple[str, str]] = {
    "assets": ("asset", "asset_id"), "holdings": ("holding", "holding_id"), "calls": ("call", "call_id"),
    "agreements": ("agreement", "agreement_id"), "facilities": ("facility", "facility_id"),
    "fx": ("currency", "currency"), "cash_returns": ("cash return at", "agreement_id"),
}  # fmt: skip
"""What a row of a table is called, and the column that names it."""
_NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{table: (thing, (column,)) for table, (thing, column) in KEYS.items()},
    "cash_returns": ("cash return", ("agreement_id", "currency")),
    "posted": ("posted position", ("agreement_id", "asset_id", "holding_id")),
    "received": ("received position", ("received_id",)),
    "costs": ("pair's cost", ("holding_id", "asset_id", "agreement_id", "facility_id")),
    "pins": ("pin", ("call_id", "holding_id", "facility_id")),
    "instructions": ("instruction", ("call_id", "holding_id", "facility_id")),
    "positions": ("position", ("position_id",)),
    "sensitivities": ("sensitivity", ("position_id", "factor")),
    "thresholds": ("threshold", ("agreement_id", "party", "rating")),
}  # fmt: skip
"""What a row is called where it is told what was done to it, and all columns that tell it from others."""
_TOLD_BY = {"calls": "amount", "facilities": "capacity", "cash_returns": "bps", "posted": "quantity"}
"""The figure that is told of a row that comes or goes."""
CLASSES = ("asset_type", "issuer_type", "security_type", "sector", "hqla_level")
"""The columns whose values are class words."""
EVERY = "*"


class Draft:
    """The parts of ``book`` as the changes so far have left them; ``wrong`` collects what does not fit, word by word.

    ``alterations``: every figure that moved, change by change. ``touched``: the (table, column) of every figure that
    was set, (table, "") where rows came or went; schedules and house limits are tables here. ``at`` and ``number``:
    the change that is being made, which names what is wrong.
    """

    def __init__(self, book: Book) -> None:
        self.book, self.settings = book, book.settings
        self.schedules: dict[str, Schedule] = dict(book.schedules)
        self.house_limits: tuple[HouseLimit, ...] = book.house_limits
        self.wrong: list[str] = []
        self.touched: set[tuple[str, str]] = set()
        self.alterations: list[Alteration] = []
        self.at, self.number = "", 0
        self._frames: dict[str, pd.DataFrame] = {}
        self._due_dates: dict[str, date] = {}

    def begin(self, change: str) -> None:
        """What follows is done by this change."""
        self.at, self.number = change, self.number + 1

    def say(self, text: str) -> None:
        """Something that is wrong with the change being made: cause and remedy."""
        self.wrong.append(f"{self.at}: {text}")

    def table(self, name: str) -> pd.DataFrame:
        """A table as it stands now; not to be written to."""
        frame: pd.DataFrame = self._frames[name] if name in self._frames else getattr(self.book, name)
        return frame

    # -------------------- naming rows

    def rows(self, table: str, name: str, *, every: bool = False) -> Ints:
        """Positions of the rows that ``name`` names; with ``every``, all for ``*``. Said where there is none."""
        thing, column = KEYS[table]
        names = self.table(table)[column]
        if every and name == EVERY:
            return np.arange(len(names))
        found: Ints = np.flatnonzero(names.to_numpy() == name)
        if not len(found):
            self.unknown(thing, name, names)
        return found

    def unknown(self, thing: str, name: str, names: Iterable[str]) -> None:
        """Say that there is no such thing, and which may have been meant."""
        guess = "Name each by itself." if name == EVERY else hint(name, names)
        self.say(f"{thing} {name!r} is not in the book. {guess or 'Correct the identifier, or leave it out.'}".rstrip())

    def has(self, table: str, name: str) -> bool:
        """Whether there is such a row; said where not."""
        return bool(len(self.rows(table, name)))

    # -------------------- which assets

    @property
    def context(self) -> Context:
        """What schedules are read in where no call is meant."""
        settings = self.settings
        return Context(settings.as_of.date(), settings.base_currency, owner_parent=settings.owner_parent)

    @property
    def asset_facts(self) -> Facts:
        """What is known of the assets as they stand now."""
        assets = self.table("assets")
        return self.book.asset_facts if assets is self.book.assets else Facts(assets)

    def inside(self, which: Which) -> Bools:
        """bool[assets]: where the criterion is true of the asset as it stands now; unknown is outside.

        What names no asset, or cannot be read on the book's, is said.
        """
        assets = self.table("assets")
        nothing: Bools = np.zeros(len(assets), dtype=bool)
        if which.text == ALL:
            return np.ones(len(assets), dtype=bool)
        criterion = which.criterion if which.criterion is not None else self._class(which.text)
        if criterion is None or self._names_strangers(criterion):
            return nothing
        by_itself = Schedule(name="filter", rules=(Rule(label="filter", when=criterion, haircut=Fraction(0)),))
        try:
            found: Bools = match(by_itself, self.asset_facts, self.context).eligible
        except ScheduleError as error:
            for one in error.problems:
                self.say(f"{one.message}. {one.remedy}.".replace("?.", "?"))
            return nothing
        if not found.any():
            self.say(f"{which} is true of no asset of the book. Write another class or criterion, or leave it out.")
        return found

    def _class(self, word: str) -> Criterion | None:
        """The criterion that a class word stands for; said where there is none, or more than one."""
        assets = self.table("assets")
        there = {c: assets[c].to_numpy() == word for c in CLASSES}
        columns = [c for c in CLASSES if there[c].any()]
        if not columns:
            words = sorted({value for c in CLASSES for value in assets[c].dropna().unique()})
            known = hint(word, words) or f"Write {ALL}, one of {', '.join(words)}, or a criterion. "
            self.say(f"no asset of the book is of class {word!r}. {known}".rstrip())
            return None
        if any((there[c] != there[columns[0]]).any() for c in columns[1:]):
            meant = " or ".join(f"{{{c}: {word}}}" for c in columns)
            self.say(f"{word!r} is a value of {' and of '.join(columns)}, for different assets. Write {meant}.")
            return None
        return ColumnIn(column=columns[0], values=(word,))

    def _names_strangers(self, criterion: Criterion) -> bool:
        """Whether it names assets that the book does not have; each is said."""
        ids = self.table("assets")["asset_id"]
        named = [leaf.values for leaf in leaves(criterion) if isinstance(leaf, ColumnIn) and leaf.column == "asset_id"]
        known = set(ids.tolist()) if named else set()
        strangers = [name for values in named for name in values if name not in known]
        for name in strangers:
            self.unknown("asset", name, ids)
        return bool(strangers)

    # -------------------- changing tables

    def put(self, table: str, column: str, rows: Ints, values: object) -> None:
        """``values`` (one, or one a row) at these rows."""
        if not len(rows):
            return
        was = self.table(table)[column].take(rows)
        self._set(table, column, rows, values)
        now = self.table(table)[column].take(rows)
        self._note_cells(table, column, self.table(table), rows, self._stated(was), self._stated(now))

    def _set(self, table: str, column: str, rows: Ints, values: object) -> None:
        cells = self.table(table)[column].copy()
        cells.iloc[rows] = values
        self._frames[table] = self.table(table).assign(**{column: cells})
        self.touched.add((table, column))

    def move(self, table: str, column: str, rows: Ints, figure: Figure | None) -> None:
        """The figure at these rows, moved; what is no longer a figure of that column is said."""
        if figure is None:
            return
        thing, key = KEYS[table]
        frame, moved = self.table(table), []
        names, figures = frame[key].to_numpy()[rows].tolist(), frame[column].to_numpy()[rows].tolist()
        for name, old in zip(names, figures, strict=True):
            what = f"{column} of {thing} {name!r}"
            if figure.how != "to" and np.isnan(old):
                self.say(f"{what} is unknown, so that it cannot be moved. Write the figure itself.")
                continue
            new = figure.of(exact(old) if not np.isnan(old) else Fraction(0))
            bound = _outside(table, column, new)
            if bound:
                self.say(f"{what} would be {float(new):,.12g}: it must be {bound}.")
                continue
            moved.append(float(new))
        if len(moved) == len(rows):
            self.put(table, column, rows, moved)

    def keep(self, table: str, rows: Bools) -> None:
        """Only these rows."""
        if not rows.all():
            self._note_rows(table, self.table(table)[~rows], "removed")
            self._frames[table] = self.table(table)[rows].reset_index(drop=True)
            self.touched.add((table, ""))

    def drop(self, table: str, **named: Iterable[str]) -> None:
        """The rows go in which one of these columns holds one of these names."""
        frame = self.table(table)
        gone = np.zeros(len(frame), dtype=bool)
        for column, names in named.items():
            gone |= frame[column].isin(list(names)).to_numpy()
        self.keep(table, ~gone)

    def add(self, table: str, row: Mapping[str, object]) -> None:
        """One more row, read as a row of the table's; what is wrong with it is said."""
        read, found = normalise(table, pd.DataFrame([row], dtype=object))
        errors = [one for one in found if one.severity == "error"]
        for one in errors:
            self.say(f"{one.column}: {one.cause} {one.action}")
        if not errors:
            self._frames[table] = pd.concat([self.table(table), read.frame], ignore_index=True)
            self.touched.add((table, ""))
            self._note_rows(table, read.frame, "added")

    def due(self, call: str, at: datetime | None, day: date | None) -> None:
        """A call is due ``at``; ``day`` is that time's date where the call is due."""
        rows = np.flatnonzero((self.table("calls")["call_id"] == call).to_numpy())
        self.put("calls", "due", rows, pd.NaT if at is None else pd.Timestamp(at).tz_convert("UTC"))
        self.due_date(call, day)

    def due_date(self, call: str, day: date | None) -> None:
        """The date that a call is due on, where it is due."""
        self._due_dates.pop(call, None)
        if day is not None:
            self._due_dates[call] = day

    def due_day(self, call: str, old: date | None) -> date | None:
        """The date a call is due on as the changes so far have left it."""
        return self._due_dates.get(call, old)

    # -------------------- telling what was done

    def note(
        self,
        thing: str,
        name: str,
        field: str,
        was: Stated | None,
        now: Stated | None,
        *,
        place: str | None = None,
        unit: str | None = None,
        difference: Difference = "changed",
    ) -> None:
        """A figure that the change being made moved; not where it is what it was."""
        if was != now or difference != "changed":
            told = Alteration(self.number, self.at, difference, thing, name, place, field, was, now, unit)
            self.alterations.append(told)

    def _note_rows(self, table: str, rows: pd.DataFrame, difference: Literal["added", "removed"]) -> None:
        """Rows that came or went, each with the figure that matters most of it."""
        column = _TOLD_BY.get(table, "")
        none: list[Stated | None] = [None] * len(rows)
        cells = self._stated(rows[column]) if column else none
        was, now = (none, cells) if difference == "added" else (cells, none)
        self._note_cells(table, column, rows, np.arange(len(rows)), was, now, difference)

    def _note_cells(
        self,
        table: str,
        column: str,
        frame: pd.DataFrame,
        rows: Ints,
        was: Sequence[Stated | None],
        now: Sequence[Stated | None],
        difference: Difference = "changed",
    ) -> None:
        thing, keys = _NAMED[table]
        named = zip(*(frame[k].to_numpy()[rows].tolist() for k in keys), strict=True)
        names = [" ".join(key for key in row if isinstance(key, str)) for row in named]
        for name, old, new, unit in zip(names, was, now, self._units(column, frame, rows), strict=True):
            self.note(thing, name, column, old, new, unit=unit, difference=difference)

    def _stated(self, cells: pd.Series[Any]) -> list[Stated | None]:
        """Cells as they are told: numbers and text as they are, times as at the desk."""
        here = self.settings.as_of.tzinfo

        def stated(cell: Any) -> Stated | None:
            if pd.isna(cell):
                return None
            if isinstance(cell, datetime):
                return cell.astimezone(here).isoformat()
            return str(cell).lower() if isinstance(cell, bool | np.bool_) else cell

        return [stated(cell) for cell in cells.tolist()]

    def _units(self, column: str, frame: pd.DataFrame, rows: Ints) -> list[str | None]:
        """The unit of a column's figures in these rows."""
        if column == "amount":
            return [str(currency) for currency in frame["currency"].to_numpy()[rows]]
        if column == "capacity":
            assets = self.table("assets")
            currency = dict(zip(assets["asset_id"], assets["currency"], strict=True))
            return [currency.get(asset) for asset in frame["gives"].to_numpy()[rows]]
        base = self.settings.base_currency
        unit = {"rate": base, "quantity": "units"}.get(column, "bp" if column.endswith("bps") else None)
        return [unit] * len(rows)

    # -------------------- schedules

    def schedule(self, name: str, changed: Schedule) -> None:
        """``changed`` in the place of the schedule ``name``."""
        self.schedules[name] = changed
        self.touched.add(("schedules", name))

    def haircuts(self, name: str, changed: Schedule) -> None:
        """``changed``, which differs from the schedule ``name`` in haircuts only, in its place."""
        self.schedules[name] = changed
        self.touched.add(("haircuts", name))

    @property
    def moved_haircuts(self) -> dict[str, Schedule]:
        """The schedules in which haircuts have moved, and nothing else."""
        names = {name for kind, name in self.touched if kind == "haircuts" and ("schedules", name) not in self.touched}
        return {name: self.schedules[name] for name in sorted(names)}

    def traded_under(self) -> list[str]:
        """The schedules that agreements, calls and facilities name, by name; a reserve's own are not among them."""
        named = [
            self.table("agreements")["schedule"],
            self.table("calls")["schedule"],
            self.table("facilities")["takes"],
        ]
        return sorted({name for names in named for name in names.tolist() if isinstance(name, str)})

    def own_schedule(self, agreement: str, name: str) -> str:
        """The name of the schedule ``name`` where it is this agreement's alone: of a copy if others name it too."""
        agreements, calls = self.table("agreements"), self.table("calls")
        others = [
            agreements["schedule"][agreements["agreement_id"] != agreement],
            calls["schedule"][calls["agreement_id"] != agreement],
            self.table("facilities")["takes"],
            self.table("reserves")["schedule"],
        ]
        if not any((names == name).any() for names in others):
            return name
        own = f"{name} ({agreement})"
        while own in self.schedules:
            own += "'"
        self.schedule(own, self.schedules[name].model_copy(update={"name": own}))
        for table, frame in (("agreements", agreements), ("calls", calls)):
            mine = (frame["agreement_id"] == agreement) & (frame["schedule"] == name)
            # The copy says the same: what moves is told where it moves.
            self._set(table, "schedule", np.flatnonzero(mine.to_numpy()), own)
        return own

    # -------------------- the end

    def require_sound(self) -> None:
        """Raise :class:`UsageError` with everything that is wrong."""
        if self.wrong:
            said = "\n".join(f"  {text}" for text in dict.fromkeys(self.wrong))
            raise UsageError(f"the changes do not fit the book:\n{said}")

    def made(self) -> Book:
        """The changed book, checked again; raises :class:`UsageError` and ``BookError``."""
        self.require_sound()
        if not self.touched:
            return self.book
        changed = {name for kind, name in self.touched if kind in ("schedules", "haircuts")}
        schedules = {name: schedule for name, schedule in self.schedules.items() if name in changed}
        frames: dict[str, Any] = self._frames
        book = self.book.replace(schedules=schedules, house_limits=self.house_limits, **frames)
        if not self._due_dates:
            return book
        # Checked again, a due date would be the day in UTC.
        days = book.calls["call_id"].map(self._due_dates).astype("datetime64[ns]")
        return replace(book, calls=book.calls.assign(due_date=days.fillna(book.calls["due_date"])))

    def figures(self, table: str, column: str) -> dict[str, float]:
        """The figures of a column that differ from the book's, by the name of their row."""
        before, after = getattr(self.book, table)[column].to_numpy(), self.table(table)[column].to_numpy()
        moved = np.flatnonzero((before != after) & ~np.isnan(after))
        names: Sequence[str] = self.table(table)[KEYS[table][1]].iloc[moved].tolist()
        return dict(zip(names, after[moved].tolist(), strict=True))


def _outside(table: str, column: str, value: Fraction) -> str:
    """The bounds that the table's row model sets, in words, where ``value`` lies outside them; otherwise nothing."""
    bounds: list[Any] = ROW_MODELS[table].model_fields[column].metadata
    above = next((Fraction(b.gt) for b in bounds if hasattr(b, "gt")), None)
    least = next((Fraction(b.ge) for b in bounds if hasattr(b, "ge")), -Fraction(MOST))
    if above is not None:
        return "" if above < value <= MOST else f"above {above}, and {MOST:g} at most"
    return f"{float(least):g} to {MOST:g}" if value < least or value > MOST else ""
