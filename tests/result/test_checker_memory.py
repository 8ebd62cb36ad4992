"""What the checker remembers of earlier checks spares work, and never lets an answer pass that the book refuses.

The book and the answer are those of ``test_checker``, worked out there by hand; each test changes one thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements
from collateral_opt.result.checker import check, memory
from collateral_opt.result.checker.figures import exact, exact_product, product, total
from eligibility_rules import Context, Facts, LimitMatch, Match, Schedule, match, match_limits
from tests.result.test_checker import SCHEDULE, answer, book


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    memory._READINGS.clear()
    memory._DEPARTURES.clear()
    yield
    memory._READINGS.clear()
    memory._DEPARTURES.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the schedules that are matched, in order."""
    names: list[str] = []

    def noted(schedule: Schedule, facts: Facts, context: Context) -> Match:
        names.append(schedule.name)
        return match(schedule, facts, context)

    monkeypatch.setattr(memory, "match", noted)
    return names


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read anew of limits and of movements, in order."""
    what: list[str] = []

    def limits(schedule: Schedule, facts: Facts, context: Context) -> tuple[LimitMatch, ...]:
        what.append(f"limits of {schedule.name}")
        return match_limits(schedule, facts, context)

    def movements(book: Book) -> Movements:
        what.append("movements")
        return Movements(book)

    monkeypatch.setattr(memory, "match_limits", limits)
    monkeypatch.setattr(memory, "Movements", movements)
    return what


def says(on: Book, words: str) -> bool:
    """Whether the answer is refused with these words, among others."""
    return any(words in sentence for sentence in check(on, answer()))


# --- work that is spared ----------------------------------------------------------------------------------


def test_a_book_with_other_calls_and_prices_is_not_matched_again(asked: list[str]) -> None:
    first = book()
    dearer = first.assets.assign(price=first.assets["price"].where(first.assets["asset_id"] != "ACME", 51.0))
    assert check(first, answer()) == ()
    assert check(first.replace(calls=first.calls.copy()), answer()) == ()
    assert check(first.replace(assets=dearer), answer()) == ()
    assert asked == ["S"]


def test_a_schedule_that_asks_for_prices_is_matched_again_when_they_move(asked: list[str]) -> None:
    """Debt up to a price of 100: the bond at 98, not at 101."""
    debt = {"label": "debt", "when": {"all": [{"asset_type": "debt"}, {"price": {"le": 100}}]}, "haircut": 0.02}
    first = book(schedule={"rules": [SCHEDULE["rules"][0], debt]})
    assert check(first, answer()) == ()
    moved = first.assets.assign(price=first.assets["price"].where(first.assets["asset_id"] != "BUND", 101.0))
    assert says(first.replace(assets=moved), "H-BUND: schedule S does not take BUND")
    assert asked == ["S", "S"]


def test_limits_and_movements_are_read_once_though_haircuts_and_calls_move(read: list[str]) -> None:
    """Limits say the same whatever a haircut is; where holdings are is the same in all three books."""
    first = book(schedule={"limits": [one_issuer(0.7)]})
    said = answer(limits=[("one issuer", "DE", 76_832.0, 82_600.0), ("one issuer", "US", 18_630.0, 82_600.0)])
    assert check(first, said) == ()
    own = first.schedules["S"]
    dearer = own.model_copy(
        update={"rules": tuple(r.model_copy(update={"haircut": Fraction("0.03")}) for r in own.rules)}
    )
    assert any("haircut is stated as 0.02, it is 0.03" in s for s in check(first.with_haircuts({"S": dearer}), said))
    assert check(first.replace(calls=first.calls.copy()), said) == ()
    assert sorted(read) == ["limits of S", "movements"]


@pytest.mark.parametrize(("without", "times"), [("fx_haircut", 1), ("limits", 2)])
def test_a_schedule_without_an_fx_haircut_is_matched_once_for_all_currencies(
    without: str, times: int, asked: list[str]
) -> None:
    """Two agreements under one schedule, kept in euro and in dollars."""
    first = book()
    agreements = pd.concat([first.agreements, first.agreements.assign(agreement_id="G2", base_currency="USD")])
    both = first.replace(
        agreements=agreements.reset_index(drop=True),
        calls=first.calls.assign(agreement_id=["G1", "G2"]),
        schedules={"S": {key: value for key, value in SCHEDULE.items() if key != without}},
    )
    assert says(both, "C2, holding H-USTN: the line's agreement is G1, the call's is G2")
    assert asked == ["S"] * times


def test_only_a_few_tables_and_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ANSWERS", 3)
    for at in range(6):
        assert check(book(assets={"ACME": {"sector": f"sector {at}"}}), answer()) == ()
    assert len(memory._READINGS) == 4
    for at in range(6):
        again = book(assets={"ACME": {"sector": "sector 5"}}, schedule={"source": f"source {at}"})
        assert check(again, answer()) == ()
    assert max(len(reading._answers) for reading in memory._READINGS) == 3


def test_the_table_that_comes_again_outlives_the_others(asked: list[str]) -> None:
    """One book between six others: its schedule is matched once, theirs once each."""
    base = book()
    for at in range(6):
        assert check(base, answer()) == ()
        assert check(base.replace(assets=base.assets.assign(sector=f"sector {at}")), answer()) == ()
    assert len(asked) == 7


def test_a_long_table_is_not_remembered(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    monkeypatch.setattr(memory, "ROWS", 3)
    assert check(book(), answer()) == check(book(), answer()) == ()
    assert asked == ["S", "S"]
    assert not memory._READINGS


def test_assets_out_of_play_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    """Four assets are held; a fifth neither makes the table long nor, changed, makes it another one."""
    monkeypatch.setattr(memory, "ROWS", 4)
    first = book()
    idle = first.assets.iloc[[3]].assign(asset_id="IDLE")
    for sector in ("banks", "mines"):
        five = pd.concat([first.assets, idle.assign(sector=sector)], ignore_index=True)
        assert check(first.replace(assets=five), answer()) == ()
    assert asked == ["S"]


# --- what is never taken for what it was ------------------------------------------------------------------


def test_a_frame_changed_in_place_is_read_again() -> None:
    changed = book()
    assert check(changed, answer()) == ()
    changed.assets.loc[changed.assets["asset_id"] == "BUND", "asset_type"] = "fund"
    assert says(changed, "H-BUND: schedule S does not take BUND: refused: no rule takes it")


def test_a_place_changed_in_place_is_read_again() -> None:
    """Leaving at eight the bond is there at noon, for a call at four; after a cut-off at seven it waits a day."""
    where = [{"location": "DEPOT", "timezone": "UTC", "cut_off": "09:00"}]
    changed = book(holdings={"H-BUND": {"location": "DEPOT"}}, locations=where)
    assert check(changed, answer()) == ()
    changed.locations.loc[0, "cut_off"] = "07:00"
    assert says(changed, "H-BUND: arrives 2026-03-03 04:00:00+00:00, the call is due")
    changed.holdings.loc[changed.holdings["holding_id"] == "H-BUND", "location"] = None
    assert check(changed, answer()) == ()


def test_one_cell_that_differs_is_another_table() -> None:
    """Unknown where it was known: the exclusion of convertibles then refuses the bond."""
    strict = {"rules": [*SCHEDULE["rules"], {"label": "c", "when": {"seniority": "junior"}, "exclude": True}]}
    known: dict[str, dict[str, Any]] = {name: {"seniority": "senior"} for name in ("EUR", "BUND", "USTN", "ACME")}
    assert check(book(assets=known, schedule=strict), answer()) == ()
    unknown = {**known, "BUND": {"seniority": None}}
    assert says(book(assets=unknown, schedule=strict), "H-BUND: schedule S does not take BUND")


def test_a_schedule_of_the_same_name_is_another_one() -> None:
    """A haircut of 3 % where it was 2 %: another haircut, less collateral value, a short call."""
    first = book()
    assert check(first, answer()) == ()
    rules = [SCHEDULE["rules"][0], {**SCHEDULE["rules"][1], "haircut": 0.03}]
    assert says(first.replace(schedules={"S": SCHEDULE | {"rules": rules}}), "haircut is stated as 0.02, it is 0.03")


def test_limits_that_are_tightened_are_read_again() -> None:
    """The bond's 76,832 of the 118,000 asked for is 65 %: within 70 %, not within 60 %."""
    said = answer(limits=[("one issuer", "DE", 76_832.0, 82_600.0), ("one issuer", "US", 18_630.0, 82_600.0)])
    first = book(schedule={"limits": [one_issuer(0.7)]})
    assert check(first, said) == ()
    found = check(first.replace(schedules={"S": SCHEDULE | {"limits": [one_issuer(0.6)]}}), said)
    assert any("group 'DE': 76,832 is used, the cap is 70,800 (6,032 over)" in sentence for sentence in found)


def one_issuer(most: float) -> dict[str, Any]:
    return {
        "label": "one issuer", "group_by": "issuer", "select": {"asset_type": "debt"},
        "measure": "value_after_haircut", "of": "requirement", "max": most,
    }  # fmt: skip


def test_another_day_and_another_currency_are_another_context() -> None:
    """Debt of less than four years; the bond matures on 4 January 2030, 3.8 years after the day."""
    short = {"label": "debt", "when": {"any": [{"maturity": {"remaining": {"le": "4Y"}}}, {"currency": "USD"}]}}
    first = book(schedule={"rules": [SCHEDULE["rules"][0], {**short, "haircut": 0.02}]})
    assert check(first, answer()) == ()
    earlier = first.replace(settings={"as_of": "2025-03-02T08:00:00+00:00"})
    assert says(earlier, "H-BUND: schedule S does not take BUND")
    dollars = first.replace(agreements=first.agreements.assign(base_currency="USD"))
    assert says(dollars, "H-BUND: haircut is stated as 0.02, it is 0.1")


def test_assets_that_come_into_play_are_matched() -> None:
    """A line out of a holding that an earlier book did not have."""
    small = book()
    without = small.replace(holdings=small.holdings[small.holdings["holding_id"] != "H-ACME"])
    short = answer()
    short = replace(short, inventory=short.inventory[short.inventory["holding_id"] != "H-ACME"].reset_index(drop=True))
    assert check(without, short) == ()
    assert check(small, answer()) == ()


# --- figures ----------------------------------------------------------------------------------------------


def test_sums_and_products_are_those_of_fractions() -> None:
    floats = np.random.default_rng(7).normal(0, 1e6, 50).round(3).tolist()
    figures = [exact(value) for value in floats]
    added, multiplied = exact(0.0), exact(1.0)
    for figure in figures:
        added, multiplied = added + figure, multiplied * figure
    assert total(figures) == added
    assert product(*figures) == exact_product(*floats) == multiplied
    assert total([]) == 0
    assert total(figures[:1]) == figures[0]


@pytest.mark.parametrize(("value", "digits"), [(1e22, 10**22), (1e23, 10**23), (-0.0, 0), (2.0**53, 2**53), (7.0, 7)])
def test_whole_numbers_are_the_decimals_they_show(value: float, digits: int) -> None:
    """1e23 as a float is 99999999999999991611392; it shows 1e+23."""
    assert exact(value) == digits
