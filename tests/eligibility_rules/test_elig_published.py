"""The published schedules, against their source: levels, haircuts and caps of the liquidity coverage ratio."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from importlib.resources import as_file, files
from typing import Any

import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.book.schedules import find_schedule
from eligibility_rules import Context, Match, Schedule, load_schedule, match, match_limits
from tests.desks import asset, desk, listing

EUR = Context(date(2026, 7, 1), "EUR")
PUBLISHED = files("eligibility_rules").joinpath("published")


def published(name: str) -> Schedule:
    with as_file(PUBLISHED.joinpath(name)) as path:
        return load_schedule(path)


def read(*rows: dict[str, Any]) -> Match:
    columns = ("asset_type", "hqla_level", "security_type", "rating_sp", "rating_moodys")
    table = [{"asset_id": f"a{n}", "currency": "EUR", **dict.fromkeys(columns), **row} for n, row in enumerate(rows)]
    return match(published("lcr-hqla.yaml"), pd.DataFrame(table, dtype=object), EUR)


def test_every_published_schedule_is_found_by_its_name_and_says_where_it_comes_from() -> None:
    names = [entry.name for entry in PUBLISHED.iterdir() if entry.name.endswith((".yaml", ".csv"))]
    assert "lcr-hqla.yaml" in names
    for name in names:
        schedule = published(name)
        assert schedule.source, name
        assert find_schedule(name.rsplit(".", 1)[0], {}) == schedule


# BCBS 238: level 1 at 0 %, 2A at 15 %, 2B: RMBS of AA or better at 25 %, corporates from A+ to BBB- and equity at 50 %
@pytest.mark.parametrize(
    ("row", "haircut"),
    [
        ({"asset_type": "cash", "hqla_level": "1"}, "0"),
        ({"asset_type": "debt", "hqla_level": "1"}, "0"),
        ({"asset_type": "debt", "hqla_level": "2A"}, "0.15"),
        ({"asset_type": "debt", "hqla_level": "2B", "security_type": "rmbs", "rating_sp": "AA"}, "0.25"),
        ({"asset_type": "debt", "hqla_level": "2B", "security_type": "rmbs", "rating_moodys": "Aaa"}, "0.25"),
        ({"asset_type": "debt", "hqla_level": "2B", "security_type": "bond", "rating_sp": "A+"}, "0.5"),
        ({"asset_type": "debt", "hqla_level": "2B", "security_type": "bond", "rating_moodys": "Baa3"}, "0.5"),
        ({"asset_type": "debt", "hqla_level": "2B", "rating_sp": "BBB"}, "0.5"),
        ({"asset_type": "equity", "hqla_level": "2B"}, "0.5"),
    ],
)
def test_what_counts_counts_at_the_haircut_of_its_level(row: dict[str, Any], haircut: str) -> None:
    found = read(row)
    assert found.eligible.tolist() == [True]
    assert found.factor.tolist() == [float(1 - Fraction(haircut))]


@pytest.mark.parametrize(
    "row",
    [
        {"asset_type": "cash"},
        {"asset_type": "debt", "rating_sp": "AAA"},
        {"asset_type": "debt", "hqla_level": "none"},
        {"asset_type": "fund", "hqla_level": "2B"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "rmbs", "rating_sp": "AA-"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "rmbs", "rating_sp": "AA", "rating_moodys": "A1"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "rmbs"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "bond", "rating_sp": "AA-"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "bond", "rating_sp": "BB+"},
        {"asset_type": "debt", "hqla_level": "2B", "security_type": "bond"},
    ],
)
def test_what_has_no_level_or_not_the_rating_of_its_level_does_not_count(row: dict[str, Any]) -> None:
    assert read(row).eligible.tolist() == [False]


def test_the_caps_are_shares_of_all_that_counts_after_haircuts() -> None:
    schedule = published("lcr-hqla.yaml")
    assert [[cap.share for cap in limit.caps] for limit in schedule.limits] == [[Fraction(2, 5)], [Fraction(3, 20)]]
    frame = pd.DataFrame({"asset_id": ["a", "b", "c"], "hqla_level": ["1", "2A", "2B"]}, dtype=object)
    level_2, level_2b = match_limits(schedule, frame, EUR)
    assert (level_2.counts.tolist(), level_2b.counts.tolist()) == ([False, True, True], [False, False, True])
    assert {limit.measure for limit in (level_2, level_2b)} == {"value_after_haircut"}
    assert {cap.of for limit in (level_2, level_2b) for cap in limit.caps} == {"posted"}


@pytest.mark.parametrize(
    ("level_1", "level_2a", "level_2b", "stock"),
    [
        # 850 of level 1 carry 850 x 15/85 = 150 of level 2B: 2,000 at half would be 1,000
        (850.0, 0.0, 2000.0, 1000.0),
        # 600 carry 600 x 2/3 = 400 of level 2: 1,000 of level 2A at 85 % would be 850
        (600.0, 1000.0, 0.0, 1000.0),
        # 600 carry 400 of level 2, of which 150 may be 2B: the adjustments are 500 - 150 and 850 + 150 - 400,
        # 600 + 850 + 500 - 350 - 600
        (600.0, 1000.0, 1000.0, 1000.0),
        # no cap binds: 1,000 + 100 x 0.85 + 100 x 0.5
        (1000.0, 100.0, 100.0, 1135.0),
        # without level 1 nothing counts
        (0.0, 1000.0, 1000.0, 0.0),
    ],
)
def test_a_reserve_counts_the_stock_that_basel_counts(
    level_1: float, level_2a: float, level_2b: float, stock: float
) -> None:
    """The stock is levels 1, 2A and 2B after haircuts, less what exceeds the caps (BCBS 238, annex 1)."""
    held = {"L1": level_1, "L2A": level_2a, "L2B": level_2b, "CASH": 10.0}
    result = optimise(
        desk(
            assets=[
                asset("L1", hqla_level="1", issuer="Republic"),
                asset("L2A", hqla_level="2A", issuer="Railways"),
                asset("L2B", "equity", hqla_level="2B", issuer="Machines"),
                asset("CASH", "cash"),
            ],
            holdings=[{"holding_id": name, "asset_id": name, "quantity": held[name]} for name in held],
            agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}],
            calls=[{"call_id": "C", "agreement_id": "A", "amount": 10.0, "currency": "USD"}],
            reserves=[{"reserve_id": "LCR", "schedule": "lcr-hqla", "amount": 5000.0, "currency": "USD"}],
            schedules={"cash": listing(CASH=0)},
        )
    )
    assert result.reserves["counted"].tolist() == pytest.approx([stock], abs=0.01)
    assert result.reserves["shortfall"].tolist() == pytest.approx([5000.0 - stock], abs=0.01)
