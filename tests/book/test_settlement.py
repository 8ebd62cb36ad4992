"""When movements start, against calendars and clocks worked out by hand, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements, Place, calendar
from collateral_opt.io.read import read_book
from tests.book.small import Desk, found_in
from tests.desks import asset, desk, listing

EXAMPLES = Path(__file__).parents[2] / "examples"
BERLIN = {"timezone": "Europe/Berlin", "calendar": "TARGET", "cut_off": "15:00"}
NEW_YORK = {"timezone": "America/New_York", "cut_off": "15:00"}


def book(as_of: str, holdings: list[dict[str, Any]], *locations: dict[str, Any]) -> Book:
    """Holdings of one bond, and an agreement at each location."""
    return desk(
        settings={"as_of": as_of},
        assets=[asset("B", issuer="Republic")],
        holdings=[{"holding_id": f"H{n}", "asset_id": "B", "quantity": 1.0, **row} for n, row in enumerate(holdings)],
        agreements=[
            {"agreement_id": f"A{n}", "counterparty": "Bank", "schedule": "s", "location": row["location"]}
            for n, row in enumerate(locations)
        ]
        or [{"agreement_id": "A0", "counterparty": "Bank", "schedule": "s"}],
        calls=[{"call_id": "C", "agreement_id": "A0", "amount": 1.0, "currency": "USD"}],
        schedules={"s": listing(B=0)},
        **({"locations": list(locations)} if locations else {}),
    )


def started(as_of: str, **facts: str) -> pd.Timestamp:
    """When what is ready at ``as_of`` starts at a place with these facts."""
    return Movements(book(as_of, [{"location": "L"}], {"location": "L", **facts})).holding_start(0)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).tz_convert("UTC")


# 2 April 2026 is a Thursday; 3 April is Good Friday, 6 April Easter Monday
@pytest.mark.parametrize(
    ("ready", "start"),
    [
        ("2026-04-02T14:59:00+02:00", "2026-04-02T14:59:00+02:00"),
        ("2026-04-02T15:00:00+02:00", "2026-04-02T15:00:00+02:00"),
        ("2026-04-02T15:00:01+02:00", "2026-04-07T00:00:00+02:00"),
        ("2026-04-02T13:30:00+00:00", "2026-04-07T00:00:00+02:00"),
        ("2026-04-02T12:30:00+00:00", "2026-04-02T12:30:00+00:00"),
        ("2026-04-03T09:00:00+02:00", "2026-04-07T00:00:00+02:00"),
        ("2026-04-07T00:00:00+02:00", "2026-04-07T00:00:00+02:00"),
        ("2026-03-27T18:00:00+01:00", "2026-03-30T00:00:00+02:00"),  # clocks go forward in between
        ("2026-04-30T16:00:00+02:00", "2026-05-04T00:00:00+02:00"),  # 1 May is a Friday
        ("2026-12-31T16:00:00+01:00", "2027-01-04T00:00:00+01:00"),  # into a year not asked for before
    ],
)
def test_target_days_and_a_cut_off_in_frankfurt(ready: str, start: str) -> None:
    assert started(ready, **BERLIN) == at(start)


@pytest.mark.parametrize(
    ("name", "ready", "start"),
    [
        # 4 July 2026 is a Saturday: the Federal Reserve Banks do not close the Friday before, others do
        ("Fed", "2026-07-03T10:00:00-04:00", "2026-07-03T10:00:00-04:00"),
        ("US", "2026-07-03T10:00:00-04:00", "2026-07-06T00:00:00-04:00"),
        ("XNYS", "2026-07-03T10:00:00-04:00", "2026-07-06T00:00:00-04:00"),
        # 4 July 2027 is a Sunday: closed on Monday. 25 December 2027 is a Saturday
        ("Fed", "2027-07-05T10:00:00-04:00", "2027-07-06T00:00:00-04:00"),
        ("Fed", "2027-12-24T10:00:00-05:00", "2027-12-24T10:00:00-05:00"),
        # Good Friday, Columbus Day, Juneteenth (a Friday)
        ("Fed", "2026-04-03T10:00:00-04:00", "2026-04-03T10:00:00-04:00"),
        ("NYSE", "2026-04-03T10:00:00-04:00", "2026-04-06T00:00:00-04:00"),
        ("Fed", "2026-10-12T10:00:00-04:00", "2026-10-13T00:00:00-04:00"),
        ("NYSE", "2026-10-12T10:00:00-04:00", "2026-10-12T10:00:00-04:00"),
        ("FED", "2026-06-19T10:00:00-04:00", "2026-06-22T00:00:00-04:00"),
    ],
)
def test_federal_reserve_days_are_not_those_of_the_country_or_the_exchange(name: str, ready: str, start: str) -> None:
    assert started(ready, calendar=name, **NEW_YORK) == at(start)


def test_a_part_of_a_country_has_its_own_holidays() -> None:
    """Easter Monday is a bank holiday in England, not in Scotland."""
    monday, tuesday = "2026-04-06T10:00:00+01:00", "2026-04-07T00:00:00+01:00"
    assert started(monday, timezone="Europe/London", calendar="GB-ENG") == at(tuesday)
    assert started(monday, timezone="Europe/London", calendar="GB-SCT") == at(monday)


def test_weekends_are_the_calendars_own() -> None:
    """8 May 2026 is a Friday."""
    friday, sunday = "2026-05-08T10:00:00+03:00", "2026-05-10T00:00:00+03:00"
    assert started(friday, timezone="Asia/Riyadh", calendar="SA") == at(sunday)
    assert started(friday, timezone="Asia/Riyadh", calendar="") == at(friday)
    assert started(sunday, timezone="Asia/Riyadh", calendar="SA") == at(sunday)
    assert started(sunday, timezone="Asia/Riyadh") == at("2026-05-11T00:00:00+03:00")


def test_the_local_day_counts() -> None:
    """Friday 23:00 in London is Saturday 07:00 in Tokyo."""
    assert started("2026-04-10T23:00:00+01:00", timezone="Asia/Tokyo") == at("2026-04-13T00:00:00+09:00")


def test_without_a_time_zone_the_offset_of_as_of_counts() -> None:
    ready = [{"location": "L", "ready_at": "2026-04-08T12:30:00+00:00"}]
    place = {"location": "L", "cut_off": "15:00"}
    east = Movements(book("2026-04-08T08:00:00+03:00", ready, place))
    west = Movements(book("2026-04-08T08:00:00-04:00", ready, place))
    assert east.holding_start(0) == at("2026-04-09T00:00:00+03:00")  # 15:30 there
    assert west.holding_start(0) == at("2026-04-08T12:30:00+00:00")  # 08:30 there


def test_a_midnight_that_clocks_skip_is_the_first_moment_of_its_day() -> None:
    """Cairo, Friday 30 April 2010: 00:00 did not exist, the day began at 01:00 (+03:00), 22:00 UTC the day before."""
    start = started("2010-04-29T18:00:00+02:00", timezone="Africa/Cairo", cut_off="16:00")
    assert start == pd.Timestamp("2010-04-29T22:00:00Z")


def test_years_beyond_a_calendar_have_weekends_only() -> None:
    """25 December 2150 is a Friday, 26 December 2150 a Saturday."""
    friday = "2150-12-25T10:00:00+01:00"
    assert date(2150, 12, 25).weekday() == 4
    assert started(friday, **BERLIN) == at(friday)
    assert started("2150-12-26T10:00:00+01:00", **BERLIN) == at("2150-12-28T00:00:00+01:00")


def test_what_is_not_ready_yet_starts_when_it_is() -> None:
    rows = [
        {"location": "CSD"},
        {"location": "CSD", "ready_at": "2026-04-01T10:00:00+02:00"},  # before as_of: as_of counts
        {"location": "CSD", "ready_at": "2026-04-02T14:00:00+02:00"},
        {"location": "CSD", "ready_at": "2026-04-02T16:00:00+02:00"},
        {"ready_at": "2026-04-04T16:00:00+02:00"},  # no place: even on a Saturday
        {"location": "VAULT", "ready_at": "2026-04-04T16:00:00+02:00"},  # a place without facts
    ]
    places = ({"location": "CSD", **BERLIN}, {"location": "VAULT", "move_cost": 7})
    moves = Movements(book("2026-04-02T09:00:00+02:00", rows, *places))
    expected = [
        "2026-04-02T09:00:00+02:00",
        "2026-04-02T09:00:00+02:00",
        "2026-04-02T14:00:00+02:00",
        "2026-04-07T00:00:00+02:00",
        "2026-04-04T16:00:00+02:00",
        "2026-04-04T16:00:00+02:00",
    ]
    assert [moves.holding_start(i) for i in range(6)] == [at(text) for text in expected]
    assert moves.holding_starts().dtype == "int64"
    assert moves.holding_starts().tolist() == [at(text).value for text in expected]


def test_a_place_that_is_named_but_not_described_moves_nothing() -> None:
    moves = Movements(book("2026-04-04T09:00:00+02:00", [{"location": "NOWHERE"}]))
    assert moves.holding_start(0) == at("2026-04-04T09:00:00+02:00")
    assert (moves.holding_move_cost(0), moves.agreement_move_cost(0)) == (0.0, 0.0)
    assert moves.recall_start(0, at("2026-04-04T10:00:00Z")) == at("2026-04-04T10:00:00Z")


def test_a_recall_starts_by_the_clock_of_its_agreement() -> None:
    places = ({"location": "CSD", **BERLIN}, {"location": "NY", "calendar": "Fed", **NEW_YORK})
    moves = Movements(book("2026-04-02T09:00:00+02:00", [{}], *places))
    afternoon = at("2026-04-02T16:00:00+02:00")  # 10:00 in New York
    assert moves.recall_start(0, afternoon) == at("2026-04-07T00:00:00+02:00")
    assert moves.recall_start(1, afternoon) == afternoon
    assert moves.recall_start(1, at("2026-04-02T19:00:01Z")) == at("2026-04-03T00:00:00-04:00")


def test_a_movement_costs_what_its_place_asks() -> None:
    places = ({"location": "CSD", "move_cost": 12.5}, {"location": "NY", "move_cost": 40}, {"location": "FREE"})
    rows: list[dict[str, Any]] = [{"location": "NY"}, {}, {"location": "CSD"}, {"location": "FREE"}]
    moves = Movements(book("2026-04-02T09:00:00+02:00", rows, *places))
    assert moves.holding_move_costs().tolist() == [40.0, 0.0, 12.5, 0.0]
    assert [moves.holding_move_cost(i) for i in range(4)] == [40.0, 0.0, 12.5, 0.0]
    assert [moves.agreement_move_cost(i) for i in range(3)] == [12.5, 40.0, 0.0]


def test_each_place_and_time_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    start = Place.start
    monkeypatch.setattr(Place, "start", lambda place, moment: asked.append(moment) or start(place, moment))
    times = ("2026-04-02T14:00:00+02:00", "2026-04-02T16:00:00+02:00", "")
    rows = [{"location": name, "ready_at": time} for name in ("CSD", "NY") for time in times] * 500
    places = ({"location": "CSD", **BERLIN}, {"location": "NY", "calendar": "Fed", **NEW_YORK})
    moves = Movements(book("2026-04-02T09:00:00+02:00", rows, *places))
    assert len(moves.holding_starts()) == 3000
    moves.holding_start(17)
    assert len(asked) == 6


def test_names_of_calendars() -> None:
    for name in (
        "TARGET",
        "target",
        "T2",
        "ECB",
        "Fed",
        "XFED",
        "XNYS",
        "nyse",
        "US",
        "usa",
        "GB",
        "UK",
        "DE",
        "US-NY",
    ):
        assert calendar(name) is not None, name
    for name in ("", "-", "TARGTE", "XX", "GB-", "GB-XYZ", "XNYS-1", "__class__", "date"):
        assert calendar(name) is None, name


@pytest.mark.parametrize(("name", "guess"), [("TARGTE", "TARGET"), ("GB-ENX", "GB-ENG"), ("XNYX", "XNYS")])
def test_an_unknown_calendar_is_an_error_that_says_which_is_meant(name: str, guess: str) -> None:
    small = Desk()
    small.rows["locations"][0]["calendar"] = name
    (found,) = found_in(small)
    assert (found.code, found.severity) == ("E118", "error")
    assert str(found).startswith(f"E118 locations row 2, calendar: {name} is not a calendar. Did you mean {guess}? ")


def test_holidays_is_not_imported_unless_a_calendar_is_named() -> None:
    script = (
        "import sys, collateral_opt.cli\n"
        "from collateral_opt.book.settlement import Movements\n"
        "from collateral_opt.io.read import read_book\n"
        f"Movements(read_book({str(EXAMPLES / 'concentration-limit')!r})).holding_starts()\n"
        "print('holidays' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_example_is_what_its_readme_says() -> None:
    moves = Movements(read_book(EXAMPLES / "cut-off"))
    assert moves.holding_start(0) == at("2026-04-07T00:00:00+02:00")
    assert moves.holding_start(1) == at("2026-04-02T15:30:00+02:00")
    assert moves.holding_move_costs().tolist() == [15.0, 5.0]
