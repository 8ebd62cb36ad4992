"""When collateral starts to move at its place, and what a movement costs: time zones, calendars, cut-offs.

A calendar is one of the `holidays` package, by the code of a market (`XNYS`, `NYSE`, `ECB`), a country (`US`,
`GB`) or a part of one (`GB-ENG`), in any case. `TARGET` is the European Central Bank's, `Fed` that of the Federal
Reserve Banks, which close on the Monday after a holiday on a Sunday and stay open on the Friday before one on a
Saturday. Weekends are the calendar's own; without a calendar Monday to Friday are business days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from .tables import hint

if TYPE_CHECKING:
    from holidays import HolidayBase

    from .book import Book

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
_SATURDAY = 5
LONGEST_CLOSURE = 31
"""Days in a row on which no place is shut."""
_TARGET = ("TARGET", "TARGET2", "T2")


@cache
def _codes() -> dict[str, str]:
    """Every code of a market or country, in capitals, and the name `holidays` has its class under."""
    from holidays.registry import COUNTRIES, FINANCIAL  # slow to import, and only calendars need it

    codes = {code.upper(): names[0] for names in (*COUNTRIES.values(), *FINANCIAL.values()) for code in names[1:]}
    return codes | dict.fromkeys(_TARGET, codes["XECB"])


@cache
def calendar(name: str) -> HolidayBase | None:
    """The calendar of this name, which works out each year's holidays on demand; None if there is none."""
    import holidays

    code, dash, part = name.upper().partition("-")
    if code not in _codes():
        return None
    kind = getattr(holidays, _codes()[code])
    if not dash:
        return kind()  # type: ignore[no-any-return]
    parts = {known.upper(): known for known in kind.subdivisions}
    return kind(subdiv=parts[part]) if part in parts else None


def calendar_hint(name: str) -> str:
    """``"Did you mean X? "`` for a name that is no calendar, or nothing."""
    import holidays

    code, dash, _ = name.upper().partition("-")
    if dash and code in _codes():
        return hint(name, [f"{code}-{known}" for known in getattr(holidays, _codes()[code]).subdivisions])
    return hint(name, sorted(_codes()))


@dataclass(frozen=True)
class Place:
    """The facts of a location that say when a movement starts there."""

    zone: tzinfo
    calendar: HolidayBase | None = None
    cut_off: time | None = None

    def is_business_day(self, day: date) -> bool:
        if self.calendar is None:
            return day.weekday() < _SATURDAY
        return not self.calendar.is_weekend(day) and day not in self.calendar

    def start(self, moment: int) -> int:
        """When what is ready at ``moment`` starts to move; both nanoseconds UTC."""
        local = (_EPOCH + timedelta(microseconds=moment // 1000)).astimezone(self.zone)
        day = local.date()
        if self.is_business_day(day) and (self.cut_off is None or local.time() <= self.cut_off):
            return moment
        day += _DAY
        while not self.is_business_day(day):
            day += _DAY
        # Where clocks skip midnight, this is the moment at which they do: the first of that day.
        midnight = datetime.combine(day, time(), self.zone)
        return (midnight - _EPOCH) // _MICROSECOND * 1000


class Movements:
    """When movements out of holdings and recalls start, and what each costs.

    A movement starts when its collateral is ready, but if that local day is not a business day or the local
    time is after the cut-off, at 00:00 local of the next business day. Where the location is unknown, or has
    neither time zone nor calendar nor cut-off, nothing moves the start. Rows are positions in the book's
    frames; costs are in base currency, 0 where the location is unknown. Raises nothing for a checked book.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._as_of = pd.Timestamp(book.settings.as_of).value
        offset = book.settings.as_of.utcoffset()
        own_zone = timezone(offset if offset is not None else timedelta())
        facts = book.locations[["location", "timezone", "calendar", "cut_off"]]
        self._places = {
            location: Place(
                zone=own_zone if zone is None else ZoneInfo(zone),
                calendar=None if days is None else calendar(days),
                cut_off=None if cut_off is None else time.fromisoformat(cut_off),
            )
            for location, zone, days, cut_off in facts.itertuples(index=False)
            if not (zone is None and days is None and cut_off is None)
        }
        self._move_costs: dict[str, float] = dict(
            zip(book.locations["location"], book.locations["move_cost"].tolist(), strict=True)
        )

    def holding_starts(self) -> Integers:
        """int64[holdings], read-only: when a movement out of each holding starts, nanoseconds UTC."""
        return self._holding_starts

    def holding_start(self, i: int) -> pd.Timestamp:
        """When a movement out of holding ``i`` starts, UTC."""
        return _timestamp(int(self._holding_starts[i]))

    def recall_start(self, agreement_row: int, earliest: pd.Timestamp) -> pd.Timestamp:
        """When a recall that is free from ``earliest`` starts at the agreement's location, UTC."""
        place = self._places.get(self._book.agreements["location"].iloc[agreement_row])
        return _timestamp(earliest.value if place is None else place.start(earliest.value))

    def latest_recall_start(self, agreement_row: int, by: pd.Timestamp) -> pd.Timestamp:
        """The latest moment, not after ``by``, at which a recall may start at the agreement's location, UTC."""
        place = self._places.get(self._book.agreements["location"].iloc[agreement_row])
        if place is None or place.start(by.value) == by.value:
            return by
        last = place.cut_off or time(23, 59, 59)
        local = by.tz_convert(place.zone)
        for back in range(LONGEST_CLOSURE):
            day = (local - pd.Timedelta(days=back)).date()
            moment = pd.Timestamp(datetime.combine(day, last, tzinfo=place.zone)).tz_convert("UTC")
            if moment <= by and place.start(moment.value) == moment.value:
                return moment
        return by

    def holding_move_costs(self) -> Floats:
        """float64[holdings], read-only: what one movement out of each holding costs."""
        return self._holding_costs

    def holding_move_cost(self, i: int) -> float:
        """What one movement out of holding ``i`` costs."""
        return float(self._holding_costs[i])

    def agreement_move_cost(self, i: int) -> float:
        """What one recall from agreement ``i`` costs."""
        return self._move_costs.get(self._book.agreements["location"].iloc[i], 0.0)

    @cached_property
    def _holding_starts(self) -> Integers:
        holdings = self._book.holdings
        ready = holdings["ready_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
        starts = np.maximum(ready, self._as_of)  # an unknown time is the least of all numbers
        for location, rows in holdings.groupby("location").indices.items():
            place = self._places.get(str(location))
            if place is not None:
                moments, which = np.unique(starts[rows], return_inverse=True)
                starts[rows] = np.array([place.start(m) for m in moments.tolist()], dtype=np.int64)[which]
        starts.setflags(write=False)
        return starts

    @cached_property
    def _holding_costs(self) -> Floats:
        locations = self._book.holdings["location"].tolist()
        costs = np.array([self._move_costs.get(location, 0.0) for location in locations], dtype=np.float64)
        costs.setflags(write=False)
        return costs


def _timestamp(moment: int) -> pd.Timestamp:
    return pd.Timestamp(moment, unit="ns", tz="UTC")
