"""The independent checker on facilities and reserves: one hand-made answer passes, every breach of it is named.

The answer, by hand (in EUR, 1 USD = 0.8 EUR; over 36 of 360 days a basis point costs 1/10^5 of market value):

    REPO  takes 45,000 BUND:  m = 45,000, f = 1 - 0.1 - 0.1 (EUR is not USD) = 0.8, v = 36,000, 10 bp    4.50
          and 25,000 USTN:    m = 20,000, f = 1 - 0.1 = 0.9,                        v = 18,000,  5 bp    1.00
          gives 62,500 USD = 50,000 EUR of the 54,000: 50 bp and 1 bp once                              30.00
                                                       shared by v, 36 to 18: 20 and 10
    FX    takes 62,500 USD:   m = 50,000, f = 0.9, v = 45,000, proceeds bear no cost of their own
          gives 45,000 EUR: 5 bp and 2 bp once                                                          11.25
    LINE  gives 15,000 EUR out of nothing: 80 bp                                                        12.00
    C1    asks 60,000 EUR: 45,000 from FX, 15,000 from LINE, which earn 10 bp there                     -6.00
    C2    asks  8,000 EUR: 10,000 BUND at 20 %: m = 10,000, v = 8,000, 10 bp                             1.00
                                                                                                  total 53.75
    At home stay 5,000 BUND (m = 5,000) and 5,000 USTN (m = 4,000). BUFFER counts them at 0.85: 4,250 + 3,400
    = 7,650, more than the 7,000 it asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.result.checker import COLUMNS, check

Row = dict[str, Any]
TABLES: dict[str, dict[str, Row]] = {
    "assets": {
        "EUR": {"asset_type": "cash", "currency": "EUR"},
        "USD": {"asset_type": "cash", "currency": "USD"},
        "BUND": {
            "asset_type": "debt", "currency": "EUR", "price": 100, "price_factor": 0.01, "lot_size": 1000,
            "issuer": "DE", "maturity_date": "2030-01-04",
        },
        "USTN": {
            "asset_type": "debt", "currency": "USD", "price": 100, "price_factor": 0.01, "lot_size": 1000,
            "issuer": "US", "maturity_date": "2030-01-04",
        },
    },
    "holdings": {
        "H-BUND": {"asset_id": "BUND", "quantity": 60_000, "cost_bps": 10, "settle_hours": 4},
        "H-USTN": {"asset_id": "USTN", "quantity": 30_000, "cost_bps": 5},
    },
    "agreements": {"G1": {"counterparty": "CPA", "schedule": "S", "cash_return_bps": 10}},
    "calls": {
        "C1": {"agreement_id": "G1", "amount": 60_000, "currency": "EUR", "due": "2026-03-03T08:00:00+00:00"},
        "C2": {"agreement_id": "G1", "amount": 8_000, "currency": "EUR", "due": None},
    },
    "facilities": {
        "REPO": {
            "kind": "repo", "gives": "USD", "takes": "R", "capacity": 100_000, "cost_bps": 50, "one_off_bps": 1,
            "counterparty": "DEALER", "access_hours": 4,
        },
        "FX": {
            "kind": "fx", "gives": "EUR", "takes": "F", "capacity": 80_000, "cost_bps": 5, "one_off_bps": 2,
            "access_hours": 24,
        },
        "LINE": {"kind": "credit_line", "gives": "EUR", "capacity": 20_000, "cost_bps": 80},
    },
    "reserves": {"BUFFER": {"schedule": "Q", "amount": 7_000, "currency": "EUR"}},
}  # fmt: skip
KEYS = {
    "assets": "asset_id",
    "holdings": "holding_id",
    "agreements": "agreement_id",
    "calls": "call_id",
    "facilities": "facility_id",
    "reserves": "reserve_id",
}
CASH: Row = {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}
SCHEDULES: dict[str, Row] = {
    "S": {"rules": [CASH, {"label": "debt", "when": {"asset_type": "debt"}, "haircut": 0.2}]},
    "R": {
        "fx_haircut": {"rate": 0.1, "when": "differs_from_base", "combine": "additive"},
        "rules": [{"label": "debt", "when": {"asset_type": "debt"}, "haircut": 0.1}],
    },
    "F": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0.1}]},
    "Q": {"rules": [{"label": "debt", "when": {"asset_type": "debt"}, "haircut": 0.15}]},
}
ALLOCATION = [
    ("C1", "G1", None, "FX", "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, -4.5),
    ("C1", "G1", None, "LINE", "EUR", "deliver", 15_000.0, 15_000.0, 0.0, 15_000.0, -1.5),
    ("C2", "G1", "H-BUND", None, "BUND", "deliver", 10_000.0, 10_000.0, 0.2, 8_000.0, 1.0),
]
FINANCING = [
    ("FX", None, "REPO", "USD", 62_500.0, 50_000.0, 0.1, 45_000.0, 11.25),
    ("LINE", None, None, "EUR", 15_000.0, 15_000.0, 0.0, 15_000.0, 12.0),
    ("REPO", "H-BUND", None, "BUND", 45_000.0, 45_000.0, 0.2, 36_000.0, 24.5),
    ("REPO", "H-USTN", None, "USTN", 25_000.0, 20_000.0, 0.1, 18_000.0, 11.0),
]
FX_ROW, LINE_ROW, BUND_ROW, NOTE_ROW = range(4)
CALLS = [("C1", 60_000.0, 60_000.0, 0.0, 0.0), ("C2", 8_000.0, 8_000.0, 0.0, 0.0)]
INVENTORY = [
    ("H-BUND", "BUND", 60_000.0, 0.0, 55_000.0, 5_000.0),
    ("H-USTN", "USTN", 30_000.0, 0.0, 25_000.0, 5_000.0),
]
HELD = ("BUFFER", 7_000.0, 7_000.0, 0.0, 0.0)


@dataclass(frozen=True)
class Answer:
    """A result as the checker sees one."""

    allocation: pd.DataFrame
    financing: pd.DataFrame
    calls: pd.DataFrame
    agreements: pd.DataFrame
    inventory: pd.DataFrame
    reserves: pd.DataFrame
    limits: pd.DataFrame
    summary: Mapping[str, Any]

    def with_cell(self, table: str, row: int, column: str, value: Any) -> Answer:
        changed = getattr(self, table).astype(object)
        changed.loc[row, column] = value
        return replace(self, **{table: changed.infer_objects()})

    def with_summary(self, **values: Any) -> Answer:
        return replace(self, summary={**self.summary, **values})


def answer(
    reserves: list[tuple[Any, ...]] | None = None,
    limits: list[tuple[Any, ...]] | None = None,
    financing: list[tuple[Any, ...]] | None = None,
    status: str = "optimal",
    total_cost: float = 53.75,
) -> Answer:
    """The hand-made answer with whole tables replaced."""
    rows = {
        "allocation": ALLOCATION,
        "financing": FINANCING if financing is None else financing,
        "calls": CALLS,
        "agreements": [],
        "inventory": INVENTORY,
        "reserves": [HELD] if reserves is None else reserves,
        "limits": limits or [],
    }
    tables = {name: pd.DataFrame(rows[name], columns=list(columns)) for name, columns in COLUMNS.items()}
    summary = {"status": status, "total_cost": total_cost, "lower_bound": total_cost, "gap": 0.0}
    return Answer(**tables, summary=summary | {"total_shortfall": 0.0, "counts": {"moves": len(ALLOCATION)}})


def book(
    changes: Mapping[str, Mapping[str, Row]] | None = None,
    schedules: Mapping[str, Row] | None = None,
    costs: list[Row] | None = None,
    as_of: str = "2026-03-02T08:00:00+00:00",
) -> Book:
    """The hand-made book with single cells changed (by table and identifier) and rows added."""
    frames = {}
    for name, rows in TABLES.items():
        new = (changes or {}).get(name, {})
        cells = {key: {**rows.get(key, {}), **new.get(key, {})} for key in {**rows, **new}}
        frames[name] = pd.DataFrame([{KEYS[name]: key, **row} for key, row in cells.items()])
    frames["fx"] = pd.DataFrame([{"currency": "USD", "rate": 0.8}])
    if costs:
        frames["costs"] = pd.DataFrame(costs)
    named = {name: {"name": name, **SCHEDULES.get(name, {}), **(schedules or {}).get(name, {})}
             for name in {**SCHEDULES, **(schedules or {})}}  # fmt: skip
    settings = {"as_of": as_of, "base_currency": "EUR", "horizon_days": 36, "day_count": 360}
    return Book.from_tables(frames, settings=settings, schedules=named)


def facility(name: str, **cells: Any) -> Book:
    return book({"facilities": {name: cells}})


def assert_only(on: Book, what: Answer, pattern: str, count: int | None = None) -> None:
    """The answer breaks the one rule whose sentences match the pattern, and no other."""
    found = check(on, what)
    assert found
    assert [sentence for sentence in found if not re.search(pattern, sentence)] == []
    assert count is None or len(found) == count


def broken(on: Book, what: Answer) -> str:
    return "\n".join(check(on, what))


def test_the_hand_made_answer_passes() -> None:
    assert check(book(), answer()) == ()


# --- what rows name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "sentence"),
    [
        ("allocation", 0, "facility_id", "SWAP", "names facility SWAP, which the book does not have"),
        ("allocation", 0, "holding_id", "H-BUND", "names a holding and a facility"),
        ("allocation", 0, "facility_id", None, "names neither a holding nor a facility"),
        ("allocation", 0, "asset_id", "USD", "the line's asset is USD, the facility's is EUR"),
        ("allocation", 1, "facility_id", "FX", "the pair has more than one line"),
        ("financing", 0, "facility_id", "SWAP", "names facility SWAP, which the book does not have"),
        ("financing", 0, "from_facility_id", "SWAP", "names facility SWAP, which the book does not have"),
        ("financing", 0, "holding_id", "H-USTN", "names a holding and a facility"),
        ("financing", 0, "from_facility_id", None, "names neither a holding nor a facility that it takes from"),
        ("financing", 2, "holding_id", "H9", "names holding H9, which the book does not have"),
        ("financing", 2, "asset_id", "USTN", "the line's asset is USTN, the holding's is BUND"),
        ("financing", 3, "holding_id", "H-BUND", "holding H-BUND: 2 rows in financing"),
        ("financing", 2, "quantity", 0.0, "moves 0.0; a quantity must be above zero"),
        ("financing", 2, "quantity", np.nan, "has no quantity"),
        ("financing", 1, "holding_id", "H-BUND", "gives something to a facility that takes nothing"),
        ("financing", 1, "asset_id", "USD", "the row's asset is USD, it gives EUR"),
    ],
)
def test_a_row_that_names_something_wrong_is_reported(
    table: str, row: int, column: str, value: Any, sentence: str
) -> None:
    assert sentence in broken(book(), answer().with_cell(table, row, column, value))


def test_a_table_without_its_columns_ends_the_check() -> None:
    lacking = replace(answer(), financing=answer().financing.drop(columns=["proceeds"]))
    assert check(book(), lacking) == ("financing lacks the column(s) proceeds.",)


# --- what facilities take -------------------------------------------------------------------------------


def test_inputs_are_whole_lots_and_reach_the_minimum_denomination() -> None:
    at_seven = book({"assets": {"USTN": {"lot_size": 7000}}})
    assert_only(at_seven, answer(), "REPO, holding H-USTN: quantity 25,000 is not a whole number of lots of 7,000")
    least = book({"assets": {"USTN": {"min_denomination": 26_000}}})
    assert_only(least, answer(), "REPO, holding H-USTN: .* below the minimum denomination of 26,000", 1)
    assert_only(book({"assets": {"USD": {"lot_size": 5000}}}), answer(), "FX, proceeds of REPO: .* lots of 5,000", 1)


def test_an_asset_the_facility_does_not_take_is_reported() -> None:
    only_bunds = {"R": {"rules": [{"label": "bunds", "when": {"issuer": "DE"}, "haircut": 0.1}]}}
    assert "facility REPO, holding H-USTN: schedule R does not take USTN" in broken(
        book(schedules=only_bunds), answer()
    )
    euros = {"F": {"rules": [{"label": "euros", "when": {"currency": "EUR"}, "haircut": 0.1}]}}
    assert "facility FX, proceeds of REPO: schedule F does not take USD" in broken(book(schedules=euros), answer())


def test_proceeds_the_call_does_not_take_are_reported() -> None:
    debt = {"S": {"rules": SCHEDULES["S"]["rules"][1:]}}
    assert "call C1, proceeds of LINE: schedule S does not take EUR" in broken(book(schedules=debt), answer())


def test_wrong_way_is_judged_against_the_facilitys_counterparty() -> None:
    assert_only(facility("REPO", counterparty="DE"), answer(), "REPO, holding H-BUND: wrong-way, .* family of DE", 1)
    allowed = book({"facilities": {"REPO": {"counterparty": "DE"}}}, {"R": {"wrong_way": "allow"}})
    assert check(allowed, answer()) == ()


def test_a_holding_that_arrives_after_the_facility_opens_is_reported() -> None:
    # 08:00 and 4 hours is the minute at which REPO opens.
    late = book({"holdings": {"H-BUND": {"settle_hours": 4.25}}})
    assert_only(late, answer(), "facility REPO, holding H-BUND: arrives .* the facility opens .*00:15:00 late", 1)
    ready = book({"holdings": {"H-USTN": {"ready_at": "2026-03-02T12:00:00+00:00"}}})
    assert check(ready, answer()) == ()
    ready = book({"holdings": {"H-USTN": {"ready_at": "2026-03-02T12:01:00+00:00"}}})
    assert_only(ready, answer(), "facility REPO, holding H-USTN: arrives .*00:01:00 late", 1)


def test_proceeds_go_only_into_facilities_that_open_later() -> None:
    assert check(facility("REPO", access_hours=23.5), answer()) == ()
    sentence = "FX, proceeds of REPO: the proceeds are there after 24 hours, which is not before the 24"
    assert_only(facility("REPO", access_hours=24), answer(), sentence, 1)


def test_proceeds_after_the_deadline_of_the_call_are_reported() -> None:
    assert_only(
        facility("FX", access_hours=24.5), answer(), "C1, proceeds of FX: arrives .* call is due .*00:30:00 late"
    )


def test_an_input_must_not_mature_before_the_facility_opens() -> None:
    def notes(day: str, hours: float, as_of: str = "2026-03-02T08:00:00+00:00") -> Book:
        changes = {"assets": {"USTN": {"maturity_date": day}}, "facilities": {"REPO": {"access_hours": hours}}}
        return book({**changes, "reserves": {"BUFFER": {"amount": 4_000}}}, as_of=as_of)

    less = answer([("BUFFER", 4_000.0, 4_000.0, 0.0, 0.0)])
    assert check(notes("2026-03-02", 4), less) == ()
    assert_only(notes("2026-03-02", 20), less, "REPO, holding H-USTN: the asset matures 2026-03-02, before 2026-03-03")
    # The same hours on a clock five hours behind: 23:00 of the 2nd.
    west = "2026-03-02T03:00:00-05:00"
    assert check(notes("2026-03-02", 20, as_of=west), less) == ()


@pytest.mark.parametrize(
    ("limit", "holds", "breaks", "used", "cap", "cap_broken"),
    [
        # requirement is REPO's capacity, 100,000 USD = 80,000 EUR
        ({"measure": "value_after_haircut", "of": "requirement"}, 0.45, 0.44, 36_000, 36_000, 35_200),
        ({"measure": "market_value", "of": "requirement"}, 0.6, 0.55, 45_000, 48_000, 44_000),
        # posted is all it was given: v = 54,000, m = 65,000, units = 70,000
        ({"measure": "value_after_haircut", "of": "posted"}, 0.7, 0.65, 36_000, 37_800, 35_100),
        ({"measure": "market_value", "of": "posted"}, 0.7, 0.69, 45_000, 45_500, 44_850),
        ({"measure": "quantity", "of": "posted"}, 0.65, 0.64, 45_000, 45_500, 44_800),
    ],
)
def test_the_limits_of_takes_bind_at_each_facility(
    limit: Row, holds: float, breaks: float, used: float, cap: float, cap_broken: float
) -> None:
    def limited(most: float) -> Book:
        bunds = {"label": "bunds", "group_by": "asset", "select": {"issuer": "DE"}, **limit, "max": most}
        return book(schedules={"R": {"limits": [bunds]}})

    assert check(limited(holds), answer(limits=[("REPO", "bunds", "BUND", used, cap)])) == ()
    over = answer(limits=[("REPO", "bunds", "BUND", used, cap_broken)])
    assert_only(limited(breaks), over, "facility REPO, limit 'bunds', group 'BUND': .* is used, the cap is", 1)
    assert_only(limited(holds), answer(), "facility REPO, limit 'bunds', group 'BUND': .* limits has no row for it", 1)
    wrong = answer(limits=[("REPO", "bunds", "BUND", used, cap + 1)])
    assert_only(limited(holds), wrong, "REPO, limit 'bunds', group 'BUND': stated", 1)


# --- what facilities produce ----------------------------------------------------------------------------


def test_a_facility_keeps_to_its_capacity() -> None:
    # 62,500 USD are spent: 50,000 EUR.
    assert check(facility("REPO", capacity=62_500), answer()) == ()
    sentence = "facility REPO: 50,000 is spent of a capacity of 49,999.992, 0.008 too much"
    assert_only(facility("REPO", capacity=62_499.99), answer(), sentence, 1)
    assert_only(
        facility("LINE", capacity=14_999), answer(), "facility LINE: 15,000 is spent of a capacity of 14,999", 1
    )


def test_a_facility_produces_no_more_than_it_was_given() -> None:
    # Without the notes REPO was given 36,000, and the BUND row bears all of its 30: 53.75 - 1.00 remain.
    rows = [FINANCING[FX_ROW], FINANCING[LINE_ROW], (*FINANCING[BUND_ROW][:8], 34.5)]
    less = answer(financing=rows, total_cost=52.75)
    less = replace(
        less, inventory=pd.DataFrame([INVENTORY[0], ("H-USTN", "USTN", 30_000.0, 0.0, 0.0, 30_000.0)],
                                     columns=list(COLUMNS["inventory"]))
    )  # fmt: skip
    assert_only(book(), less, "facility REPO: 50,000 is spent, it was given a collateral value of 36,000", 1)
    # At 0.89 of 50,000 the dollars are worth 44,500 to FX.
    wider = {"F": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0.11}]}}
    found = broken(book(schedules=wider), answer())
    assert "facility FX: 45,000 is spent, it was given a collateral value of 44,500" in found


def test_what_comes_out_of_nothing_is_stated_in_one_row() -> None:
    line = FINANCING[LINE_ROW]
    others = [FINANCING[FX_ROW], FINANCING[BUND_ROW], FINANCING[NOTE_ROW]]
    assert_only(book(), answer(financing=others), "facility LINE: it has 0 rows in financing", 1)
    assert_only(book(), answer(financing=[*others, line, line]), "facility LINE: it has 2 rows in financing", 1)
    more = ("LINE", None, None, "EUR", 16_000.0, 16_000.0, 0.0, 16_000.0, 12.0)
    assert_only(book(), answer(financing=[*others, more]), "LINE: financing states 16,000, 15,000 is spent", 1)


@pytest.mark.parametrize(
    ("row", "column", "value", "sentence"),
    [
        (BUND_ROW, "haircut", 0.1, "H-BUND: haircut is stated as 0.1, it is 0.2"),
        (BUND_ROW, "market_value", 45_000.01, "H-BUND: market_value is stated as 45000.01, it is 45,000"),
        (BUND_ROW, "proceeds", 36_000.01, "H-BUND: proceeds is stated as 36000.01, it is 36,000"),
        (BUND_ROW, "cost", 4.5, "H-BUND: cost is stated as 4.5, it is 24.5"),
        (FX_ROW, "cost", 11.24, "proceeds of REPO: cost is stated as 11.24, it is 11.25"),
        (LINE_ROW, "cost", 0.0, "facility LINE: cost is stated as 0.0, it is 12"),
        (LINE_ROW, "haircut", 0.01, "facility LINE: haircut is stated as 0.01"),
        (LINE_ROW, "proceeds", 15_000.01, "facility LINE: proceeds is stated as 15000.01"),
        (LINE_ROW, "market_value", np.nan, "facility LINE: market_value is stated as nan"),
    ],
)
def test_a_wrong_figure_is_reported(row: int, column: str, value: Any, sentence: str) -> None:
    assert_only(book(), answer().with_cell("financing", row, column, value), re.escape(sentence), 1)


def test_the_cost_of_a_pair_with_a_facility_replaces_the_holdings() -> None:
    # By asset 30 bp would cost 45,000 BUND 13.50; by holding 20 bp beats it: 9.00 in place of 4.50.
    by_asset: Row = {"asset_id": "BUND", "holding_id": None, "facility_id": "REPO", "cost_bps": 30}
    by_holding: Row = {"asset_id": None, "holding_id": "H-BUND", "facility_id": "REPO", "cost_bps": 20}
    for_cash: Row = {"asset_id": "USD", "holding_id": None, "facility_id": "FX", "cost_bps": 99}
    dearer = answer(total_cost=58.25).with_cell("financing", BUND_ROW, "cost", 29.0)
    assert check(book(costs=[by_asset, by_holding, for_cash]), dearer) == (), "proceeds are not touched"
    assert "cost is stated as 24.5, it is 33.5" in broken(book(costs=[by_asset]), answer())


def test_proceeds_earn_the_cash_return_and_bear_no_cost_of_their_own() -> None:
    by_asset: Row = {"asset_id": "EUR", "agreement_id": "G1", "cost_bps": 50}
    assert check(book(costs=[by_asset]), answer()) == ()
    wrong = answer().with_cell("allocation", 0, "cost", 0.0)
    assert_only(book(), wrong, "call C1, proceeds of FX: cost is stated as 0.0, it is -4.5", 1)


def test_what_facilities_cost_is_part_of_the_total() -> None:
    wrong = answer().with_summary(total_cost=0.5)
    assert_only(book(), wrong, "total_cost is stated as 0.5, the lines come to 53.75", 1)


def test_calls_and_facilities_share_a_holding() -> None:
    less = book({"holdings": {"H-BUND": {"quantity": 54_000}}, "reserves": {"BUFFER": {"amount": 3_400}}})
    said = answer([("BUFFER", 3_400.0, 3_400.0, 0.0, 0.0)])
    said = said.with_cell("inventory", 0, "quantity", 54_000.0).with_cell("inventory", 0, "left", -1_000.0)
    assert_only(less, said, "holding H-BUND: 55,000 is delivered of 54,000, 1,000 too much", 1)


def test_more_proceeds_than_the_call_needs_are_reported() -> None:
    more = answer(total_cost=53.75 + 0.008 - 0.001)
    more = more.with_cell("allocation", 1, "quantity", 15_010.0).with_cell("allocation", 1, "market_value", 15_010.0)
    more = more.with_cell("allocation", 1, "collateral_value", 15_010.0)
    for column, value in (("quantity", 15_010.0), ("market_value", 15_010.0), ("proceeds", 15_010.0)):
        more = more.with_cell("financing", LINE_ROW, column, value)
    more = more.with_cell("financing", LINE_ROW, "cost", 12.01)
    more = more.with_cell("calls", 0, "covered", 60_010.0).with_cell("calls", 0, "excess", 10.0)
    assert_only(book(), more, "taking 0.01 off this line would still cover it", 2)


# --- reserves -------------------------------------------------------------------------------------------


def reserve(**cells: Any) -> Book:
    return book({"reserves": {"BUFFER": cells}})


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("required", 7_000.01, "required is stated as 7000.01, it is 7,000"),
        ("counted", 7_650.0, "counted is stated as 7650.0, the most that counts is 7,000"),
        ("counted", 6_999.99, "counted is stated as 6999.99"),
        ("counted", np.nan, "counted is stated as nan"),
        ("shortfall", 0.01, "a shortfall of 0.01 is stated, the reserve holds"),
        ("reserve_id", "B2", "reserves: reserve_id"),
    ],
)
def test_a_wrong_row_of_reserves_is_reported(column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("reserves", 0, column, value))


def test_a_reserve_counts_all_that_is_left_and_is_short_of_the_rest() -> None:
    # 4,250 + 3,400 = 7,650 of 8,000.
    short = answer([("BUFFER", 8_000.0, 7_650.0, 350.0, np.nan)], status="short")
    assert check(reserve(amount=8_000), short) == ()
    assert_only(reserve(amount=8_000), short.with_summary(status="optimal"), r"1 short reserve\(s\), .* it is short", 1)
    priced = short.with_cell("reserves", 0, "marginal_cost_bps", 3.0)
    assert_only(reserve(amount=8_000), priced, "a short reserve has no price, 3.0 is stated", 1)
    hidden = short.with_cell("reserves", 0, "shortfall", 0.0)
    assert "no shortfall is stated, but 350 of 8,000 is missing" in broken(reserve(amount=8_000), hidden)


def test_part_of_a_cent_is_missing_too() -> None:
    finer = reserve(amount=7_650.004)
    assert "but 0.004 of" in broken(finer, answer([("BUFFER", 7_650.0, 7_650.0, 0.0, np.nan)]))
    said = answer([("BUFFER", 7_650.0, 7_650.0, 0.01, np.nan)], status="short")
    assert check(finer, said) == ()


def test_a_reserve_is_read_in_its_own_currency() -> None:
    # 9,000 USD are 7,200 EUR; BUND differs from USD: 5,000 * (0.85 - 0.05) = 4,000, and 3,400 of USTN are 7,400.
    fx = {"Q": {"fx_haircut": {"rate": 0.05, "when": "differs_from_base", "combine": "additive"}}}
    dollars = book({"reserves": {"BUFFER": {"amount": 9_000, "currency": "USD"}}}, fx)
    assert check(dollars, answer([("BUFFER", 7_200.0, 7_200.0, 0.0, 0.0)])) == ()
    more = book({"reserves": {"BUFFER": {"amount": 9_500, "currency": "USD"}}}, fx)
    assert check(more, answer([("BUFFER", 7_600.0, 7_400.0, 200.0, np.nan)], status="short")) == ()


def test_time_and_counterparties_mean_nothing_to_a_reserve_and_maturity_does() -> None:
    later = book({"holdings": {"H-SPARE": {"asset_id": "USTN", "quantity": 10_000, "settle_hours": 999}}})
    rows = [*INVENTORY, ("H-SPARE", "USTN", 10_000.0, 0.0, 0.0, 10_000.0)]
    said = replace(answer(), inventory=pd.DataFrame(rows, columns=list(COLUMNS["inventory"])))
    changed = later.replace(reserves=pd.DataFrame([{"reserve_id": "BUFFER", "schedule": "Q", "amount": 14_450,
                                                    "currency": "EUR"}]))  # fmt: skip
    full = replace(said, reserves=answer([("BUFFER", 14_450.0, 14_450.0, 0.0, 1.0)]).reserves)
    assert check(changed, full) == ()
    # A holding of a bond that matured yesterday counts nothing.
    gone = {"assets": {"OLD": {**TABLES["assets"]["BUND"], "maturity_date": "2026-03-01"}},
            "holdings": {"H-SPARE": {"asset_id": "OLD", "quantity": 10_000}},
            "reserves": {"BUFFER": {"amount": 8_000}}}  # fmt: skip
    rows[-1] = ("H-SPARE", "OLD", 10_000.0, 0.0, 0.0, 10_000.0)
    short = answer([("BUFFER", 8_000.0, 7_650.0, 350.0, np.nan)], status="short")
    short = replace(short, inventory=pd.DataFrame(rows, columns=list(COLUMNS["inventory"])))
    assert check(book(gone), short) == ()


def capped(amount: float, *limits: Row) -> Book:
    return book({"reserves": {"BUFFER": {"amount": amount}}}, {"Q": {"limits": list(limits)}})


BUNDS: Row = {"label": "bunds", "group_by": "asset", "select": {"issuer": "DE"}, "measure": "value_after_haircut"}


@pytest.mark.parametrize(
    ("limit", "amount", "counted"),
    [
        # 3,400 of USTN, and BUND 2/3 of that: 40 % of 5,666.67
        ({"of": "posted", "max": 0.4}, 6_000.0, 5_666.67),
        # 30 % of 6,000 are 1,800
        ({"of": "requirement", "max": 0.3}, 6_000.0, 5_200.0),
        # 2,000 EUR of market value count at 0.85
        ({"measure": "market_value", "of": "money", "max": {"amount": 2_500, "currency": "USD"}}, 6_000.0, 5_100.0),
        # BUND m <= m_total / 2: 4,000 of each, 3,400 of each
        ({"measure": "market_value", "of": "posted", "max": 0.5}, 7_000.0, 6_800.0),
        # b units of BUND, at most 0.3 (b + 5,000): 2,142.857, times 0.85
        ({"measure": "quantity", "of": "posted", "max": 0.3}, 6_000.0, 5_221.43),
    ],
)
def test_the_limits_of_a_reserve_bind_what_it_counts(limit: Row, amount: float, counted: float) -> None:
    on = capped(amount, BUNDS | limit)
    short = round(amount - counted, 2)
    assert check(on, answer([("BUFFER", amount, counted, short, np.nan)], status="short")) == ()
    all_of_it = answer([("BUFFER", amount, amount, 0.0, 0.0)])
    found = broken(on, all_of_it)
    assert f"counted is stated as {amount!r}, the most that counts is" in found
    assert "no shortfall is stated" in found
    assert "it is short" in found
    less = answer([("BUFFER", amount, counted - 1, short + 1, np.nan)], status="short")
    assert "the most that counts is" in broken(on, less)


def test_a_reserve_whose_limits_leave_enough_holds() -> None:
    on = capped(5_600, BUNDS | {"of": "posted", "max": 0.4})
    assert check(on, answer([("BUFFER", 5_600.0, 5_600.0, 0.0, 2.0)])) == ()
    assert "a shortfall of 1.0 is stated" in broken(on, answer([("BUFFER", 5_600.0, 5_599.0, 1.0, np.nan)]))


def test_two_caps_of_composition_bind_together() -> None:
    # At most 40 % BUND; at most 15 % of all in NOTE, of which 4,000 USD are held: x = 3,400 USTN is 45 % of 7,555.56
    # and NOTE 15 % of that is 1,133.33, BUND 40 % is 3,022.22.
    limits = [BUNDS | {"of": "posted", "max": 0.4},
              {"label": "notes", "select": {"issuer": "BANK"}, "measure": "value_after_haircut", "of": "posted",
               "max": 0.15}]  # fmt: skip
    changes = {
        "assets": {"NOTE": {**TABLES["assets"]["USTN"], "issuer": "BANK"}},
        "holdings": {"H-NOTE": {"asset_id": "NOTE", "quantity": 4_000}},
        "reserves": {"BUFFER": {"amount": 9_000}},
    }
    on = book(changes, {"Q": {"limits": limits}})
    rows = [*INVENTORY, ("H-NOTE", "NOTE", 4_000.0, 0.0, 0.0, 4_000.0)]
    said = answer([("BUFFER", 9_000.0, 7_555.56, 1_444.44, np.nan)], status="short")
    assert check(on, replace(said, inventory=pd.DataFrame(rows, columns=list(COLUMNS["inventory"])))) == ()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("BUFFER", "bunds", "BUND", 1_800.0, 1_800.0), ""),
        (("BUFFER", "bunds", "BUND", 900.0, 1_800.0), ""),
        (("BUFFER", "bunds", "BUND", 1_801.0, 1_800.0), "over the cap of 1800.0"),
        (("BUFFER", "bunds", "BUND", 1_800.0, 1_900.0), "the cap is stated as 1900.0, it is at most 1,800"),
        (("BUFFER", "bunds", "BUND", 1_500.0, 1_700.0), "the cap is stated as 1700.0, it is 1,800"),
        (("BUFFER", "bunds", "BUND", 4_300.0, 4_400.0), "4,250 of it is left at home"),
        (("BUFFER", "bunds", "OAT", 10.0, 1_800.0), "0 of it is left at home"),
        (("BUFFER", "bunds", "BUND", np.nan, 1_800.0), "is stated as counted"),
        (("BUFFER", "else", "BUND", 1_800.0, 1_800.0), "the schedules in force have no such limit"),
    ],
)
def test_a_row_of_limits_about_a_reserve_is_bounded(row: tuple[Any, ...], sentence: str) -> None:
    on = capped(6_000, BUNDS | {"of": "requirement", "max": 0.3})
    found = check(on, answer([("BUFFER", 6_000.0, 5_200.0, 800.0, np.nan)], [row], status="short"))
    assert [sentence in line for line in found] == ([True] if sentence else [])


def test_a_limit_that_a_reserve_shares_with_others_of_its_name_is_told_apart() -> None:
    named = {"facilities": {"BUFFER": {**TABLES["facilities"]["REPO"]}}, "reserves": {"BUFFER": {"amount": 6_000}}}
    limit = BUNDS | {"of": "requirement", "max": 0.3}
    on = book(named, {"Q": {"limits": [limit]}, "R": {"limits": [limit | {"max": 0.9}]}})
    rows = [("BUFFER", "bunds", "BUND", 1_800.0, 1_800.0), ("REPO", "bunds", "BUND", 36_000.0, 72_000.0)]
    assert check(on, answer([("BUFFER", 6_000.0, 5_200.0, 800.0, np.nan)], rows, status="short")) == ()
