"""The book: everything one run needs, read, checked and frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from dataclasses import replace as with_fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from eligibility_rules import Facts, Schedule, ScheduleError, minor_unit
from eligibility_rules.remembered import Remembered
from eligibility_rules.writing import canonical_text

from ..errors import BookError, Finding
from . import checks
from .codes import finding
from .house import HouseLimit, parse_house_limits
from .house_groups import house_findings
from .in_full import in_full
from .positions import with_defaults as with_currencies
from .schedules import find_schedule, problems, read_schedules
from .settings import Settings, read_settings
from .tables import REQUIRED_TABLES, ROW_MODELS, Table, empty, hint, normalise

Floats = np.ndarray[Any, np.dtype[np.float64]]
_LATER = ("positions", "sensitivities", "thresholds")
"""The tables that joined the contract after digests had been given out."""


@dataclass(frozen=True, eq=False)
class Book:
    """What the firm brings to one run: settings, tables, the schedules they name.

    Build it with :meth:`from_tables` or ``collateral_opt.io.read.read_book``: both check everything and
    raise :class:`~collateral_opt.errors.BookError` with *all* findings. Warnings and notes stay in
    ``findings``. Frames have every column of their table, in the file's order of rows: text as object with
    None for unknown, numbers as float64, yes/no as bool, times as datetime64[ns, UTC], dates as
    datetime64[ns]. A book is frozen; pandas cannot freeze a frame, so treat them as read-only and take
    :meth:`replace` for a changed book.

    >>> import pandas as pd
    >>> from collateral_opt.book import Book
    >>> assets = pd.DataFrame({
    ...     "asset_id": ["EUR", "BUND30"], "asset_type": ["cash", "debt"], "currency": ["EUR", "EUR"],
    ...     "price": [None, 98.5], "price_factor": [None, 0.01], "issuer": [None, "DE"]})
    >>> holdings = pd.DataFrame({
    ...     "holding_id": ["H1", "H2"], "asset_id": ["EUR", "BUND30"], "quantity": [5_000_000, 20_000_000]})
    >>> agreements = pd.DataFrame(
    ...     {"agreement_id": ["ACME"], "counterparty": ["Acme Bank"], "schedule": ["acme-vm"]})
    >>> calls = pd.DataFrame(
    ...     {"call_id": ["C1"], "agreement_id": ["ACME"], "amount": [750_000], "currency": ["EUR"]})
    >>> book = Book.from_tables(
    ...     {"assets": assets, "holdings": holdings, "agreements": agreements, "calls": calls},
    ...     settings={"as_of": "2026-03-31T09:00:00+02:00", "base_currency": "EUR"},
    ...     schedules={"acme-vm": {"name": "acme-vm", "rules": [{"label": "anything", "haircut": 0.02}]}})
    >>> book.unit_values.tolist(), book.lot_sizes.tolist()
    ([1.0, 0.985], [0.01, 1.0])
    """

    settings: Settings
    fx: pd.DataFrame
    assets: pd.DataFrame
    holdings: pd.DataFrame
    agreements: pd.DataFrame
    calls: pd.DataFrame
    cash_returns: pd.DataFrame
    posted: pd.DataFrame
    locations: pd.DataFrame
    facilities: pd.DataFrame
    reserves: pd.DataFrame
    costs: pd.DataFrame
    pins: pd.DataFrame
    received: pd.DataFrame
    instructions: pd.DataFrame
    positions: pd.DataFrame
    sensitivities: pd.DataFrame
    thresholds: pd.DataFrame
    schedules: Mapping[str, Schedule]
    house_limits: tuple[HouseLimit, ...] = ()
    findings: tuple[Finding, ...] = dataclass_field(default=(), repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of, elsewhere: what was worked out of it stays here."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[str, pd.DataFrame],
        *,
        settings: Mapping[str, object] | Settings | None,
        schedules: Mapping[str, Schedule | Mapping[str, object]],
        house_limits: object = None,
        found: Iterable[Finding] = (),
        failed_schedules: Iterable[str] = (),
    ) -> Book:
        """The book of these tables, checked.

        ``tables`` by name; text and typed columns both do, an index named "file row" gives the row numbers
        to show (otherwise the first row is row 2). ``schedules`` by name, as Schedule or as their YAML's
        mapping. ``house_limits``: as the mapping that ``house_limits.yaml`` is, or a list of limits. ``found`` is
        what a reader found before, ``failed_schedules`` names schedules it could not read. Raises BookError
        with every finding if one of them is an error.
        """
        findings = list(found)
        read: dict[str, Table] = {}
        names = list(ROW_MODELS)
        for name in tables:
            if name not in ROW_MODELS:
                findings.append(finding("E214", str(name), hint=hint(str(name), names), choices=", ".join(names)))
        # A table the reader has a finding about is there, only not readable.
        spoken_of = {f.table for f in findings if f.severity == "error"}
        for name in names:
            if name in tables:
                read[name], more = normalise(name, tables[name])
                findings += more
            else:
                if name in REQUIRED_TABLES and name not in spoken_of:
                    columns = [c for c, info in ROW_MODELS[name].model_fields.items() if info.is_required()]
                    findings.append(finding("E203", name, columns=", ".join(columns)))
                read[name] = empty(name, given=name not in REQUIRED_TABLES and name not in spoken_of)
        if settings is None and "settings" in spoken_of:
            known_settings: Settings | None = None
        else:
            known_settings, more = read_settings(settings)
            findings += more
        known, failed, more = read_schedules(schedules)
        findings += more
        limits, more = parse_house_limits(house_limits)
        findings += more
        return cls._checked(read, known_settings, known, failed | set(failed_schedules), limits, findings)

    @classmethod
    def _checked(
        cls,
        tables: Mapping[str, Table],
        settings: Settings | None,
        schedules: Mapping[str, Schedule],
        failed_schedules: Iterable[str],
        house_limits: tuple[HouseLimit, ...],
        findings: list[Finding],
    ) -> Book:
        """Defaults that need the whole book, the published schedules it names, every cross check."""
        read = with_currencies({name: _with_defaults(table, settings) for name, table in tables.items()}, settings)
        local, failed = dict(schedules), set(failed_schedules)
        for name in sorted(checks.named_schedules(read) - set(local) - failed):
            try:
                published = find_schedule(name, local)
            except ScheduleError as error:
                failed.add(name)
                findings += problems(name, error)
                continue
            if published is not None:
                local[name] = published
        incomplete = frozenset(f.table for f in findings if f.code == "E206")
        draft = checks.Draft(settings, read, local, frozenset(failed), incomplete, house_limits)
        findings += checks.cross_findings(draft)
        spoken_of = {column for schedule in local.values() for column in schedule.columns}
        spoken_of |= {column for limit in house_limits for column in limit.columns}
        findings = [f for f in findings if not (f.code == "W122" and f.table == "assets" and f.column in spoken_of)]
        # An Excel error reads as empty: one finding for the cell is enough.
        broken = {(f.table, f.row, f.column) for f in findings if f.code == "E115"}
        findings = [f for f in findings if f.code != "E101" or (f.table, f.row, f.column) not in broken]
        if settings is None:
            raise BookError(findings)
        frames = {name: table.frame for name, table in read.items()}
        book = cls(settings=settings, schedules=local, house_limits=house_limits, findings=(), **frames)
        if not any(f.severity == "error" and f.table in ("assets", "agreements", "calls") for f in findings):
            findings += checks.eligibility_findings(book)
            if not any(f.severity == "error" and f.table == "house_limits" for f in findings):
                findings += house_findings(book)
        if any(f.severity == "error" for f in findings):
            raise BookError(findings)
        object.__setattr__(book, "findings", tuple(sorted(findings, key=Finding.sort_key)))
        return book

    def replace(
        self,
        *,
        settings: Mapping[str, object] | Settings | None = None,
        schedules: Mapping[str, Schedule | Mapping[str, object]] | None = None,
        house_limits: object = None,
        **frames: pd.DataFrame,
    ) -> Book:
        """Another book with these frames, settings or schedules, checked again; scenarios are made of this.

        ``settings`` as a mapping changes only the settings it names, ``schedules`` adds to the book's or
        replaces those of the same name, ``house_limits`` replaces them all (an empty list: none). Frames that
        stay are not read again, but all cross checks run. Raises BookError.
        """
        findings: list[Finding] = []
        read = {}
        for name in ROW_MODELS:
            frame = frames.pop(name, None)
            if frame is None:
                own: pd.DataFrame = getattr(self, name)
                read[name] = Table(name, own, range(2, len(own) + 2))
                continue
            if name == "calls":
                frame = self._with_own_due_dates(frame)
            read[name], more = normalise(name, frame)
            findings += more
        names = list(ROW_MODELS)
        for name in frames:
            findings.append(finding("E214", name, hint=hint(name, names), choices=", ".join(names)))
        changed: Settings | None = self.settings
        if settings is not None:
            if not isinstance(settings, Settings):
                settings = {**self.settings.model_dump(), **settings}
            changed, more = read_settings(settings)
            findings += more
        known, failed, more = read_schedules(schedules or {})
        findings += more
        limits, more = parse_house_limits(self.house_limits if house_limits is None else house_limits)
        findings += more
        book = self._checked(read, changed, {**self.schedules, **known}, failed, limits, findings)
        same = len(book.schedules) == len(self.schedules) and all(
            book.schedules[name] is schedule for name, schedule in self.schedules.items()
        )
        # The very same, so that nobody asks them again what is known.
        return with_fields(book, schedules=self.schedules) if same else book

    def with_figures(self, **frames: pd.DataFrame) -> Book:
        """The same book with other figures in these frames, which the caller vouches for: nothing is checked again."""
        figures: dict[str, Any] = {**frames}
        return with_fields(self, **figures)

    def with_haircuts(self, schedules: Mapping[str, Schedule]) -> Book:
        """The same book with schedules that say the same as those of these names, but for haircuts; the caller vouches
        for that, and nothing is checked again."""
        return with_fields(self, schedules={**self.schedules, **schedules})

    def _with_own_due_dates(self, frame: pd.DataFrame) -> pd.DataFrame:
        """``due_date`` blanked where ``due`` has moved, so that it is taken from the new time."""
        if not {"call_id", "due", "due_date"} <= set(frame.columns):
            return frame
        before = self.calls.set_index("call_id")["due"]
        times = pd.api.types.is_datetime64_any_dtype(frame["due"].dtype)
        if not (times and len(before) and before.index.is_unique):
            return frame.drop(columns="due_date")
        same = (frame["call_id"].map(before) == frame["due"]).to_numpy()
        return frame.assign(due_date=frame["due_date"].where(same))

    @cached_property
    def in_full(self) -> Book:
        """The book with what was received and what was sent put into holdings, agreements, calls and pins.

        The book itself where ``received`` and ``instructions`` have no rows. Everything that decides or checks an
        answer reads this one; see :func:`collateral_opt.book.in_full.in_full`.
        """
        return in_full(self) if len(self.received) or len(self.instructions) else self

    @cached_property
    def rates(self) -> dict[str, float]:
        """Value of one unit of each currency in base currency; the base currency is 1."""
        known = dict(zip(self.fx["currency"], self.fx["rate"].tolist(), strict=True))
        return {**known, self.settings.base_currency: 1.0}

    @cached_property
    def unit_values(self) -> Floats:
        """float64[assets]: value of one unit in base currency; NaN where price or rate is unknown."""
        fx = self.assets["currency"].map(self.rates).to_numpy(np.float64)
        price = self.assets["price"].to_numpy(np.float64)
        value: Floats = price * self.assets["price_factor"].to_numpy(np.float64) * fx
        return value

    @cached_property
    def lot_sizes(self) -> Floats:
        """float64[assets]: units a quantity is a multiple of; empty: cash its minor unit, securities 1."""
        given = self.assets["lot_size"].to_numpy(np.float64)
        # float("1e-2") is the float nearest to 0.01, which 10 ** -2 need not be.
        minor = {currency: float(f"1e-{minor_unit(currency)}") for currency in self.assets["currency"].unique()}
        cash = (self.assets["asset_type"] == "cash").to_numpy()
        default = np.where(cash, self.assets["currency"].map(minor).to_numpy(np.float64), 1.0)
        return np.where(np.isnan(given), default, given)

    @cached_property
    def asset_facts(self) -> Facts:
        """What schedules read of the assets."""
        return Facts(self.assets)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over settings, rules and every known cell; orders of rows and columns do not matter."""
        whole = hashlib.sha256()

        whole.update(_parts("settings", self.settings.model_dump_json()))
        for name in ROW_MODELS:
            frame: pd.DataFrame = getattr(self, name)
            # A book that had no such table before there was one keeps its digest.
            if len(frame) or name not in _LATER:
                whole.update(_parts(name, str(len(frame))) + _ROWS(frame))
        for name in sorted(self.schedules):
            whole.update(_parts("schedule", name) + _SCHEDULE(self.schedules[name]))
        for limit in self.house_limits:
            whole.update(_parts("house limit", canonical_text(limit)))
        return whole.hexdigest()


def _parts(*texts: str) -> bytes:
    """Texts one after another, each with its length, so that no others read the same."""
    return b"".join(b"%d:%b" % (len(data), data) for data in map(str.encode, texts))


def _canonical_rows(frame: pd.DataFrame) -> bytes:
    """One text a row, sorted: its known cells by column name, each in the one form its value has."""
    columns = []
    for name in sorted(frame.columns):
        cells: list[str] = []
        series, head = frame[name], f"{name!r}:"
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            times = series.to_numpy(dtype="datetime64[ns]")
            stamps, unknown = times.astype(np.int64).tolist(), np.isnat(times).tolist()
            cells = ["" if nat else f"{head}{v}" for v, nat in zip(stamps, unknown, strict=True)]
        else:
            # v == v is False for NaN alone; a float's repr is its shortest decimal.
            cells = [f"{head}{v!r}" if v is not None and v == v else "" for v in series.tolist()]
        columns.append(cells)
    return _parts(*sorted(";".join(filter(None, row)) for row in zip(*columns, strict=True)))


# A book changed in some figures shares all else with the one it was made from.
_ROWS = Remembered(_canonical_rows)
_SCHEDULE: Remembered[Schedule, bytes] = Remembered(lambda schedule: _parts(canonical_text(schedule)))


def _with_defaults(table: Table, settings: Settings | None) -> Table:
    """The defaults that depend on other cells: cash is worth 1, an agreement's currency is the book's."""
    frame = table.frame
    if table.name == "assets":
        blank = (frame["asset_type"] == "cash") & frame["price"].isna() & table.known("price")
        frame = frame.assign(price=frame["price"].mask(blank, 1.0))
    elif table.name == "agreements" and settings is not None:
        blank = frame["base_currency"].isna() & table.known("base_currency")
        frame = frame.assign(base_currency=frame["base_currency"].mask(blank, settings.base_currency).astype(object))
    else:
        return table
    return Table(table.name, frame, table.rows, table.unread, table.given)
