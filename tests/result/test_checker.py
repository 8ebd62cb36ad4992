"""The independent checker passes one hand-made answer and names whatever is broken in it, one rule at a time.

The answer, by hand (in EUR, 1 USD = 0.9 EUR; over 36 of 360 days a basis point costs 1/10^5 of market value):

    C1 asks 100,000 EUR   80,000 BUND at 98 %:  m = 78,400, f = 0.98, v = 76,832, 10 bp:       7.84
                          23,168 EUR:           m = v = 23,168, 30 bp less 10 bp returned:     4.6336
    C2 asks  20,000 USD   23,000 USTN at 100 %: m = 20,700, f = 1 - 0.02 - 0.08 = 0.90,
             = 18,000 EUR                       v = 18,630, 5 bp:                              1.035
                                                                                       total  13.5086
    C1 is covered to the cent; C2 with 630 to spare, less than the 810 that a lot of 1,000 USTN is worth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.errors import CheckFailed
from collateral_opt.result.checker import COLUMNS, check, require_valid

Row = dict[str, Any]
ASSETS: dict[str, Row] = {
    "EUR": {"asset_type": "cash", "currency": "EUR"},
    "BUND": {
        "asset_type": "debt", "currency": "EUR", "price": 98, "price_factor": 0.01, "lot_size": 1000,
        "issuer": "DE", "maturity_date": "2030-01-04",
        "outstanding": 10_000_000, "adv": 100_000, "market_cap": 784_000,
    },
    "USTN": {
        "asset_type": "debt", "currency": "USD", "price": 100, "price_factor": 0.01, "lot_size": 1000,
        "issuer": "US",
    },
    "ACME": {"asset_type": "equity", "currency": "EUR", "price": 50, "lot_size": 10, "issuer": "ACME"},
}  # fmt: skip
HOLDINGS: dict[str, Row] = {
    "H-EUR": {"asset_id": "EUR", "quantity": 60_000, "cost_bps": 30},
    "H-BUND": {"asset_id": "BUND", "quantity": 200_000, "cost_bps": 10, "settle_hours": 4},
    "H-USTN": {"asset_id": "USTN", "quantity": 50_000, "cost_bps": 5},
    "H-ACME": {"asset_id": "ACME", "quantity": 1_000, "cost_bps": 40},
}
CALLS: dict[str, Row] = {
    "C1": {"agreement_id": "G1", "amount": 100_000, "currency": "EUR", "due": "2026-03-02T16:00:00+00:00"},
    "C2": {"agreement_id": "G1", "amount": 20_000, "currency": "USD"},
}
AGREEMENTS: dict[str, Row] = {"G1": {"counterparty": "CPA", "schedule": "S", "cash_return_bps": 10}}
SCHEDULE: Row = {
    "name": "S",
    "fx_haircut": {"rate": 0.08, "when": "differs_from_base", "combine": "additive"},
    "rules": [
        {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0},
        {"label": "debt", "when": {"asset_type": "debt"}, "haircut": 0.02},
        {"label": "shares", "when": {"asset_type": "equity"}, "margin_ratio": 1.25},
    ],
}
BUND_LINE: Row = {
    "call_id": "C1", "holding_id": "H-BUND", "asset_id": "BUND", "quantity": 80_000.0,
    "market_value": 78_400.0, "haircut": 0.02, "collateral_value": 76_832.0, "cost": 7.84, "exact_cost": 7.84,
}  # fmt: skip
CASH_LINE: Row = {
    "call_id": "C1", "holding_id": "H-EUR", "asset_id": "EUR", "quantity": 23_168.0,
    "market_value": 23_168.0, "haircut": 0.0, "collateral_value": 23_168.0, "cost": 4.63,
    "exact_cost": 4.6336,
}  # fmt: skip
NOTE_LINE: Row = {
    "call_id": "C2", "holding_id": "H-USTN", "asset_id": "USTN", "quantity": 23_000.0,
    "market_value": 20_700.0, "haircut": 0.1, "collateral_value": 18_630.0, "cost": 1.04, "exact_cost": 1.035,
}  # fmt: skip
LINES = (BUND_LINE, CASH_LINE, NOTE_LINE)
REQUIRED = {"C1": 100_000.0, "C2": 18_000.0}


@dataclass(frozen=True)
class Answer:
    """A result as the checker sees one."""

    allocation: pd.DataFrame
    calls: pd.DataFrame
    inventory: pd.DataFrame
    limits: pd.DataFrame
    summary: Mapping[str, Any] = field(default_factory=dict)
    financing: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS["financing"])))
    reserves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS["reserves"])))
    agreements: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS["agreements"])))

    def with_cell(self, table: str, row: int, column: str, value: Any) -> Answer:
        changed = getattr(self, table).copy()
        changed[column] = changed[column].astype(object)
        changed.loc[row, column] = value
        return replace(self, **{table: changed.infer_objects()})

    def with_summary(self, **values: Any) -> Answer:
        return replace(self, summary={**self.summary, **values})


def table(rows: Mapping[str, Row], key: str) -> pd.DataFrame:
    return pd.DataFrame([{key: name, **row} for name, row in rows.items()])


def merged(rows: Mapping[str, Row], changes: Mapping[str, Row] | None) -> dict[str, Row]:
    return {name: {**row, **(changes or {}).get(name, {})} for name, row in rows.items()}


def book(
    assets: Mapping[str, Row] | None = None,
    holdings: Mapping[str, Row] | None = None,
    calls: Mapping[str, Row] | None = None,
    agreement: Row | None = None,
    schedule: Row | None = None,
    schedules: Mapping[str, Row] | None = None,
    **tables: list[Row],
) -> Book:
    """The hand-made book with single cells changed and tables added."""
    frames = {
        "assets": table(merged(ASSETS, assets), "asset_id"),
        "holdings": table(merged(HOLDINGS, holdings), "holding_id"),
        "calls": table(merged(CALLS, calls), "call_id"),
        "agreements": table(merged(AGREEMENTS, {"G1": agreement or {}}), "agreement_id"),
        "fx": pd.DataFrame([{"currency": "USD", "rate": 0.9}]),
        **{name: pd.DataFrame(rows) for name, rows in tables.items()},
    }
    settings = {
        "as_of": "2026-03-02T08:00:00+00:00",
        "base_currency": "EUR",
        "horizon_days": 36,
        "day_count": 360,
    }
    return Book.from_tables(
        frames, settings=settings, schedules={"S": SCHEDULE | (schedule or {}), **(schedules or {})}
    )


def answer(
    lines: Sequence[Row] = LINES,
    limits: Sequence[tuple[str, str, float, float]] = (),
    required: Mapping[str, float] = REQUIRED,
    quantities: Mapping[str, float] | None = None,
) -> Answer:
    """A result of these lines: only sums are formed here, the figures of a line are the test's own."""
    allocation = pd.DataFrame(list(lines), columns=list(BUND_LINE)).drop(columns="exact_cost")
    allocation = allocation.assign(agreement_id="G1", facility_id=None, action="deliver")
    calls = []
    for call, amount in required.items():
        covered = round(sum(line["collateral_value"] for line in lines if line["call_id"] == call), 2)
        short, over = round(max(0.0, amount - covered), 2), round(max(0.0, covered - amount), 2)
        calls.append({"call_id": call, "required": amount, "covered": covered, "shortfall": short, "excess": over})
    inventory = []
    for name, holding in HOLDINGS.items():
        quantity = float((quantities or {}).get(name, holding["quantity"]))
        used = float(sum(line["quantity"] for line in lines if line["holding_id"] == name))
        row = {"holding_id": name, "asset_id": holding["asset_id"], "quantity": quantity, "recalled": 0.0}
        inventory.append({**row, "used": used, "left": quantity - used})
    cost = sum(line["exact_cost"] for line in lines)
    total = sum(call["shortfall"] for call in calls)
    columns = ["agreement_id", "limit", "group", "used", "cap"]
    return Answer(
        allocation=allocation,
        calls=pd.DataFrame(calls),
        inventory=pd.DataFrame(inventory),
        limits=pd.DataFrame([("G1", *row) for row in limits], columns=columns),
        summary={
            "status": "short" if total else "optimal",
            "total_cost": cost,
            "lower_bound": cost,
            "gap": 0.0,
            "total_shortfall": total,
            "counts": {"moves": len(lines)},
        },
    )


def broken(on: Book, what: Answer) -> str:
    """All that the checker says, one sentence a line."""
    return "\n".join(check(on, what))


def assert_only(on: Book, what: Answer, pattern: str) -> None:
    """The answer breaks the one rule whose sentences match the pattern, and no other."""
    found = check(on, what)
    assert found
    assert [sentence for sentence in found if not re.search(pattern, sentence)] == []


def test_the_hand_made_answer_passes() -> None:
    assert check(book(), answer()) == ()
    require_valid(book(), answer())


def test_a_breach_is_raised_with_every_sentence() -> None:
    wrong = answer().with_summary(total_cost=1.0, total_shortfall=3.0)
    with pytest.raises(CheckFailed) as raised:
        require_valid(book(), wrong)
    assert raised.value.violations == check(book(), wrong)
    assert len(raised.value.violations) == 2


def test_a_book_without_calls_passes_with_an_empty_answer() -> None:
    limited = book(schedule={"limits": [bund_limit("requirement", 0.5)]})
    nothing = limited.replace(calls=limited.calls.iloc[:0])
    empty = answer(lines=())
    zero = {"status": "optimal", "total_cost": 0.0, "lower_bound": 0.0, "gap": 0.0, "total_shortfall": 0.0}
    zero |= {"counts": {"moves": 0}}
    assert check(nothing, replace(empty, calls=empty.calls.iloc[:0], summary=zero)) == ()


# --- what lines name ------------------------------------------------------------------------------------


def test_a_missing_column_ends_the_check() -> None:
    without = replace(answer(), allocation=answer().allocation.drop(columns=["haircut"]))
    assert check(book(), without) == ("allocation lacks the column(s) haircut.",)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("call_id", "C9", "names call C9, which the book does not have"),
        ("holding_id", "H9", "names holding H9, which the book does not have"),
        ("facility_id", "REPO", "names facility REPO"),
        ("asset_id", "ACME", "the line's asset is ACME, the holding's is BUND"),
        ("agreement_id", "G9", "the line's agreement is G9, the call's is G1"),
        ("action", "keep", "the action is keep"),
        ("quantity", float("nan"), "has no quantity"),
        ("quantity", 0.0, "a quantity must be above zero"),
        ("quantity", -1000.0, "a quantity must be above zero"),
    ],
)
def test_a_line_that_names_something_wrong_is_reported(column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("allocation", 0, column, value))


def test_a_pair_with_two_lines_is_reported() -> None:
    # 80,000 BUND as 50,000 and 30,000: m = 49,000 and 29,400, v = 48,020 and 28,812.
    first = BUND_LINE | {
        "quantity": 50_000.0,
        "market_value": 49_000.0,
        "collateral_value": 48_020.0,
        "cost": 4.9,
    }
    second = BUND_LINE | {
        "quantity": 30_000.0,
        "market_value": 29_400.0,
        "collateral_value": 28_812.0,
        "cost": 2.94,
    }
    halves = (first | {"exact_cost": 4.9}, second | {"exact_cost": 2.94}, CASH_LINE, NOTE_LINE)
    assert_only(book(), answer(halves), "the pair has more than one line")


# --- lots and minimum lines -----------------------------------------------------------------------------


def test_a_fraction_of_a_lot_is_reported() -> None:
    # 80,000 = 26 lots of 3,000 and 2,000 over.
    assert_only(
        book(assets={"BUND": {"lot_size": 3000}}),
        answer(),
        r"80,000 is not a whole .* of 3,000 \(2,000 over\)",
    )


def test_cash_moves_in_its_minor_unit_and_securities_in_single_units() -> None:
    # A tenth of a cent more cash (C1 is covered either way), half a unit of an unlotted bond.
    cash = CASH_LINE | {"quantity": 23_168.001, "exact_cost": 4.6336002}
    assert "lots of 0.01" in broken(book(), answer((BUND_LINE, cash, NOTE_LINE)))
    assert "not a whole number" in broken(
        book(assets={"BUND": {"lot_size": None}}), answer().with_cell("allocation", 0, "quantity", 80_000.5)
    )


def test_a_line_below_the_minimum_denomination_is_reported() -> None:
    assert check(book(assets={"BUND": {"min_denomination": 80_000}}), answer()) == ()
    assert_only(
        book(assets={"BUND": {"min_denomination": 81_000}}),
        answer(),
        "below the minimum denomination of 81,000",
    )


def test_a_line_below_the_minimum_line_value_is_reported() -> None:
    assert check(book(agreement={"min_line_value": 20_700}), answer()) == ()
    assert_only(book(agreement={"min_line_value": 20_701}), answer(), "20,700 is below the agreement's minimum line")
    # It is stated in the agreement's currency: 23,000 USD are 20,700 EUR.
    in_dollars = book(agreement={"min_line_value": 23_000, "base_currency": "USD"})
    assert "minimum line" not in broken(in_dollars, answer())
    in_dollars = book(agreement={"min_line_value": 23_001, "base_currency": "USD"})
    assert "20,700 is below the agreement's minimum line of 20,700.9" in broken(in_dollars, answer())


def test_more_assets_than_the_line_cap_are_reported() -> None:
    assert check(book(agreement={"max_lines": 2}), answer()) == ()
    assert_only(book(agreement={"max_lines": 1}), answer(), "2 distinct assets are delivered, at most 1 may be")


def test_pins_are_kept() -> None:
    def pin(**cells: Any) -> Book:
        return book(pins=[{"call_id": "C1", "quantity": None, "forbid": None, **cells}])

    assert check(pin(holding_id="H-BUND", quantity=80_000), answer()) == ()
    assert check(pin(holding_id="H-BUND"), answer()) == ()
    assert_only(pin(holding_id="H-BUND", quantity=81_000), answer(), "a pin asks for exactly 81,000")
    assert_only(pin(holding_id="H-ACME"), answer(), "a pin asks for at least one lot")
    assert_only(pin(holding_id="H-EUR", forbid=True), answer(), "a pin forbids it")


# --- eligible, in time ----------------------------------------------------------------------------------


def test_an_asset_the_schedule_refuses_is_reported() -> None:
    excluding = {"rules": [*SCHEDULE["rules"], {"label": "no bunds", "when": {"issuer": "DE"}, "exclude": True}]}
    assert "schedule S does not take BUND: refused by exclusion 'no bunds'" in broken(
        book(schedule=excluding), answer()
    )


def test_a_missing_fact_refuses() -> None:
    asking = {"rules": [{"label": "shorts", "when": {"duration": {"le": 7}}, "haircut": 0.02}, SCHEDULE["rules"][0]]}
    assert "schedule S does not take BUND" in broken(book(schedule=asking), answer())


def test_a_calls_own_schedule_replaces_the_agreements() -> None:
    cash_only = {"CASH": {"name": "CASH", "rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}]}}
    assert "schedule CASH does not take USTN" in broken(
        book(calls={"C2": {"schedule": "CASH"}}, schedules=cash_only), answer()
    )


def test_the_margin_type_of_the_call_counts() -> None:
    for_im = {"fx_haircut": SCHEDULE["fx_haircut"] | {"margin_type": "im"}}
    assert check(book(schedule=for_im, calls={"C2": {"margin_type": "im"}}), answer()) == ()
    assert "haircut is stated as 0.1, it is 0.02" in broken(
        book(schedule=for_im, calls={"C2": {"margin_type": "vm"}}), answer()
    )


@pytest.mark.parametrize(
    ("asset", "agreement"),
    [
        ({"issuer": "CPA"}, {}),
        ({"issuer_parent": "CPA"}, {}),
        ({"issuer": "DE"}, {"counterparty_parent": "DE"}),
        ({"issuer_parent": "FAM"}, {"counterparty_parent": "FAM"}),
    ],
)
def test_wrong_way_collateral_is_reported_unless_the_schedule_allows_it(asset: Row, agreement: Row) -> None:
    mine = {"assets": {"BUND": asset}, "agreement": agreement}
    assert_only(book(**mine), answer(), "wrong-way, BUND is issued inside the family of CPA")
    assert check(book(**mine, schedule={"wrong_way": "allow"}), answer()) == ()


def test_a_line_after_the_deadline_is_reported() -> None:
    # 08:00 and 8 hours is 16:00, in time; a quarter of an hour more is late. So are 12:30 and 4 hours.
    assert check(book(holdings={"H-BUND": {"settle_hours": 8}}), answer()) == ()
    assert_only(book(holdings={"H-BUND": {"settle_hours": 8.25}}), answer(), "0 days 00:15:00 late")
    assert_only(book(holdings={"H-BUND": {"ready_at": "2026-03-02T13:30:00+01:00"}}), answer(), "0 days 00:30:00 late")
    assert check(book(holdings={"H-USTN": {"settle_hours": 999}}), answer()) == (), "C2 has no deadline"


def test_an_asset_that_matures_before_the_call_is_reported() -> None:
    assert check(book(assets={"BUND": {"maturity_date": "2026-03-02"}}), answer()) == ()
    assert_only(
        book(assets={"BUND": {"maturity_date": "2026-03-01"}}),
        answer(),
        "matures 2026-03-01, before 2026-03-02",
    )
    assert_only(
        book(assets={"USTN": {"maturity_date": "2026-03-01"}}),
        answer(),
        "matures 2026-03-01, before 2026-03-02",
    )
    # The due date is the one written: 03:00 on the 3rd in Tokyo is the 2nd in London.
    tokyo = {"calls": {"C1": {"due": "2026-03-03T03:00:00+09:00"}}}
    assert_only(book(**tokyo, assets={"BUND": {"maturity_date": "2026-03-02"}}), answer(), "before 2026-03-03")


# --- figures of a line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("haircut", 0.02001),
        ("haircut", None),
        ("market_value", 78_400.01),
        ("collateral_value", 76_831.99),
        ("cost", 7.85),
        ("cost", float("nan")),
    ],
)
def test_a_wrong_figure_is_reported(column: str, value: Any) -> None:
    assert_only(book(), answer().with_cell("allocation", 0, column, value), f"holding H-BUND: {column} is stated as")


def test_a_margin_ratio_is_exact() -> None:
    # C2 with shares instead: 1/1.25 = 0.8, a lot of 10 is worth 10 * 50 * 0.8 = 400, 45 lots are 18,000.
    shares = NOTE_LINE | {
        "holding_id": "H-ACME",
        "asset_id": "ACME",
        "quantity": 450.0,
        "market_value": 22_500.0,
    }
    shares |= {"haircut": 0.2, "collateral_value": 18_000.0, "cost": 9.0, "exact_cost": 9.0}
    assert check(book(), answer((BUND_LINE, CASH_LINE, shares))) == ()


def test_the_cost_of_a_pair_replaces_the_holdings() -> None:
    # By asset 20 bp would cost 15.68; by holding 10 bp beats it.
    by_asset: Row = {"asset_id": "BUND", "holding_id": None, "agreement_id": "G1", "cost_bps": 20}
    by_holding: Row = {"asset_id": None, "holding_id": "H-BUND", "agreement_id": "G1", "cost_bps": 10}
    assert check(book(costs=[by_holding, by_asset]), answer()) == ()
    assert "cost is stated as 7.84, it is 15.68" in broken(book(costs=[by_asset]), answer())


def test_what_cash_earns_there_comes_off() -> None:
    # 30 bp less 12 bp on 23,168: 4.17024 instead of 4.6336.
    earning = book(cash_returns=[{"agreement_id": "G1", "currency": "EUR", "bps": 12}])
    assert "cost is stated as 4.63, it is 4.17024" in broken(earning, answer())


# --- supply, cover, excess ------------------------------------------------------------------------------


def test_more_than_the_holding_has_is_reported() -> None:
    less = book(holdings={"H-BUND": {"quantity": 79_999.99}})
    over = answer(quantities={"H-BUND": 79_999.99}).with_cell("inventory", 1, "left", -0.01)
    assert_only(less, over, "holding H-BUND: 80,000 is delivered of 79,999.99, 0.01 too much")
    exactly = book(holdings={"H-BUND": {"quantity": 80_000}})
    assert check(exactly, answer(quantities={"H-BUND": 80_000})) == ()


def test_one_cent_short_is_short() -> None:
    cent_more = book(calls={"C1": {"amount": 100_000.01}})
    required = {"C1": 100_000.01, "C2": 18_000.0}
    said = answer(required=required)
    assert check(cent_more, said) == (), "a shortfall of a cent that is stated is no breach"
    hidden = said.with_cell("calls", 0, "shortfall", 0.0).with_summary(total_shortfall=0.0, status="optimal")
    found = broken(cent_more, hidden)
    assert "call C1: no shortfall is stated, but 100,000 covers 100,000.01 only up to 0.01" in found
    assert "status is optimal, with 1 short call(s)" in found


def test_cover_is_exact_and_not_to_rounding() -> None:
    # 100,000.004 rounds to 100,000.00, and 100,000.00 does not cover it.
    finer = book(calls={"C1": {"amount": 100_000.004}})
    assert "no shortfall is stated, but 100,000 covers 100,000.004" in broken(finer, answer())
    said = answer().with_cell("calls", 0, "shortfall", 0.01).with_summary(status="short", total_shortfall=0.01)
    assert check(finer, said) == (), "part of a cent is stated as a cent"


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("required", 18_000.01, "call C2: required is stated as 18000.01, it is 18,000"),
        ("covered", 18_629.99, "call C2: covered is stated as 18629.99, it is 18,630"),
        ("excess", 0.0, "call C2: excess is stated as 0.0, it is 630"),
        ("shortfall", 1.0, "call C2: a shortfall of 1.0 is stated, the call is covered"),
        ("call_id", "C9", "calls: call_id C9 is not in the book"),
        ("call_id", "C1", "calls: call_id C1 has 2 rows"),
    ],
)
def test_a_wrong_row_of_calls_is_reported(column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("calls", 1, column, value))


def test_a_short_call_has_no_excess() -> None:
    short = answer((BUND_LINE, CASH_LINE))
    assert check(book(), short) == ()
    assert "a short call cannot have an excess" in broken(book(), short.with_cell("calls", 1, "excess", 5.0))


def test_one_lot_too_many_is_reported() -> None:
    # 24,000 USTN: m = 21,600, v = 19,440, 1,440 to spare where a lot is 810; 5 bp cost 1.08.
    more = NOTE_LINE | {"quantity": 24_000.0, "market_value": 21_600.0, "collateral_value": 19_440.0}
    more |= {"cost": 1.08, "exact_cost": 1.08}
    over = answer((BUND_LINE, CASH_LINE, more))
    assert_only(book(), over, "covered with 1,440 to spare, taking 810 off this line would still cover it")


def test_a_spare_cent_of_cash_is_one_lot_too_many() -> None:
    # 20 bp on 23,168.01 cost 4.633602; 60,000 - 23,168.01 = 36,831.99.
    cent = CASH_LINE | {"quantity": 23_168.01, "market_value": 23_168.01, "collateral_value": 23_168.01}
    over = answer((BUND_LINE, cent | {"exact_cost": 4.633602}, NOTE_LINE)).with_cell("inventory", 0, "left", 36_831.99)
    assert_only(book(), over, "taking 0.01 off this line would still cover it")


def test_a_line_at_its_minimum_may_leave_an_excess_below_all_of_it() -> None:
    # 24,000 USTN with 24,000 as the least: no lot can go, and without the line C2 is not covered.
    more = NOTE_LINE | {"quantity": 24_000.0, "market_value": 21_600.0, "collateral_value": 19_440.0}
    more |= {"cost": 1.08, "exact_cost": 1.08}
    least = book(assets={"USTN": {"min_denomination": 24_000}})
    assert check(least, answer((BUND_LINE, CASH_LINE, more))) == ()
    # 2,000 more of it in C1, at a minimum of 2,000, are not needed at all: v = 1,620.
    idle = NOTE_LINE | {
        "call_id": "C1",
        "quantity": 2_000.0,
        "market_value": 1_800.0,
        "collateral_value": 1_620.0,
    }
    idle |= {"cost": 0.09, "exact_cost": 0.09}
    at_two = book(assets={"USTN": {"min_denomination": 2_000}})
    assert "taking 1,620 off this line would still cover it" in broken(at_two, answer((*LINES, idle)))


# --- limits ---------------------------------------------------------------------------------------------

BUNDS = {"all": [{"asset_type": "debt"}, {"currency": "EUR"}]}
Cap = Callable[[Any], Row]


def bund_limit(of: str, most: Any, measure: str = "market_value") -> Row:
    return {"label": "bunds", "group_by": "asset", "select": BUNDS, "measure": measure, "of": of, "max": most}


def euros(amount: float) -> Row:
    return {"amount": amount, "currency": "EUR"}


@pytest.mark.parametrize(
    ("of", "measure", "used", "holds", "cap", "breaks", "cap_broken"),
    [
        # requirement = 118,000
        ("requirement", "market_value", 78_400, 0.7, 82_600, 0.66, 77_880),
        ("requirement", "value_after_haircut", 76_832, 0.66, 77_880, 0.65, 76_700),
        # posted: v = 118,630, m = 78,400 + 23,168 + 20,700 = 122,268, units = 80,000 + 23,168 + 23,000
        ("posted", "value_after_haircut", 76_832, 0.65, 77_109.5, 0.64, 75_923.2),
        ("posted", "market_value", 78_400, 0.65, 79_474.2, 0.64, 78_251.52),
        ("posted", "quantity", 80_000, 0.64, 80_747.52, 0.63, 79_485.84),
        (
            "money",
            "market_value",
            78_400,
            {"amount": 90_000, "currency": "USD"},
            81_000,
            euros(78_399.99),
            78_399.99,
        ),
        ("money", "quantity", 80_000, euros(78_400), 80_000, euros(78_399.02), 79_999),
        # outstanding = 10,000,000 and adv = 100,000 units of 0.98
        ("outstanding", "quantity", 80_000, 0.008, 80_000, 0.0079, 79_000),
        ("outstanding", "market_value", 78_400, 0.008, 78_400, 0.0079, 77_420),
        ("adv", "market_value", 78_400, 0.8, 78_400, 0.79, 77_420),
        ("adv", "quantity", 80_000, 0.8, 80_000, 0.79, 79_000),
        # market_cap = 784,000 EUR
        ("market_cap", "market_value", 78_400, 0.1, 78_400, 0.09, 70_560),
        ("market_cap", "quantity", 80_000, 0.1, 80_000, 0.09, 72_000),
    ],
)
def test_each_basis_of_a_limit_holds_and_breaks(
    of: str, measure: str, used: float, holds: Any, cap: float, breaks: Any, cap_broken: float
) -> None:
    fine = book(schedule={"limits": [bund_limit(of, holds, measure)]})
    assert check(fine, answer(limits=[("bunds", "BUND", used, cap)])) == ()
    tight = book(schedule={"limits": [bund_limit(of, breaks, measure)]})
    over = answer(limits=[("bunds", "BUND", used, cap_broken)])
    assert_only(tight, over, r"agreement G1, limit 'bunds', group 'BUND': .* is used, the cap is .* over\)")


def test_the_least_of_several_caps_binds() -> None:
    def limits(*caps: Row) -> Row:
        limit = bund_limit("posted", 0)
        return {"limits": [{k: v for k, v in limit.items() if k not in ("of", "max")} | {"caps": list(caps)}]}

    units = {"of": "outstanding", "max": 0.008}  # 80,000 units: 78,400
    wide = book(schedule=limits({"of": "money", "max": euros(90_000)}, units))
    assert check(wide, answer(limits=[("bunds", "BUND", 78_400, 78_400)])) == ()
    tight = book(schedule=limits({"of": "money", "max": euros(78_000)}, units))
    assert_only(tight, answer(limits=[("bunds", "BUND", 78_400, 78_000)]), "78,400 is used, the cap is 78,000")
    found = broken(wide, answer(limits=[("bunds", "BUND", 78_400, 90_000)]))
    assert "stated 78400 of 90000, it is 78,400 of 78,400" in found


def test_an_unknown_figure_caps_at_nothing() -> None:
    unknown = book(assets={"BUND": {"adv": None}}, schedule={"limits": [bund_limit("adv", 0.8)]})
    assert_only(unknown, answer(limits=[("bunds", "BUND", 78_400, 0)]), "the cap is 0")


def test_assets_of_unknown_group_form_one_group() -> None:
    # Sector is known of none: BUND and USTN together are 78,400 + 20,700 = 99,100 of 118,000 * 0.5.
    by_sector = {
        "label": "sector",
        "group_by": "sector",
        "select": {"asset_type": "debt"},
        "of": "requirement",
        "max": 0.5,
    }
    both = answer(limits=[("sector", "(unknown)", 99_100, 59_000)])
    assert_only(book(schedule={"limits": [by_sector]}), both, "99,100 is used, the cap is 59,000")


def test_an_asset_of_unknown_selection_counts() -> None:
    by_type = bund_limit("money", euros(78_399)) | {"select": {"issuer_type": "bank"}, "group_by": "none"}
    all_of_it = answer(limits=[("bunds", "", 122_268, 78_399)])
    assert_only(book(schedule={"limits": [by_type]}), all_of_it, "122,268 is used, the cap is 78,399")


def test_what_is_posted_counts() -> None:
    # 10,000 BUND posted: m = 9,800, v = 9,604. Used 88,200; requirement 118,000 + 9,604 = 127,604.
    there = [{"agreement_id": "G1", "asset_id": "BUND", "quantity": 10_000}]
    fine = book(posted=there, schedule={"limits": [bund_limit("requirement", 0.7)]})
    assert check(fine, answer(limits=[("bunds", "BUND", 88_200, 89_322.8)])) == ()
    tight = book(posted=there, schedule={"limits": [bund_limit("requirement", 0.69)]})
    assert_only(tight, answer(limits=[("bunds", "BUND", 88_200, 88_046.76)]), "88,200 is used, the cap is 88,046.76")


def test_what_is_posted_and_no_longer_eligible_counts_nothing() -> None:
    there = [{"agreement_id": "G1", "asset_id": "ACME", "quantity": 100}]
    schedule = {"limits": [bund_limit("requirement", 0.7)], "rules": SCHEDULE["rules"][:2]}
    assert check(book(posted=there, schedule=schedule), answer(limits=[("bunds", "BUND", 78_400, 82_600)])) == ()
    wrong_way = book(
        posted=there,
        schedule={"limits": [bund_limit("requirement", 0.7)]},
        assets={"ACME": {"issuer": "CPA"}},
    )
    assert check(wrong_way, answer(limits=[("bunds", "BUND", 78_400, 82_600)])) == ()


def test_a_group_over_its_cap_takes_nothing_more() -> None:
    # 100 ACME posted are 5,000, over a cap of 4,000: no breach. More BUND where BUND is over: a breach.
    def posted(asset: str, quantity: float) -> list[Row]:
        return [{"agreement_id": "G1", "asset_id": asset, "quantity": quantity}]

    shares = bund_limit("money", euros(4_000)) | {"label": "shares", "select": {"asset_type": "equity"}}
    lying = answer(limits=[("shares", "ACME", 5_000, 4_000)])
    assert check(book(posted=posted("ACME", 100), schedule={"limits": [shares]}), lying) == ()
    over = book(posted=posted("BUND", 10_000), schedule={"limits": [bund_limit("money", euros(9_799))]})
    more = answer(limits=[("bunds", "BUND", 88_200, 9_799)])
    assert_only(over, more, r"what was posted \(9,800\) stands over the cap already, 78,400 more is delivered")


def test_limits_of_a_calls_own_schedule_bind_all_that_is_there() -> None:
    # All of the agreement: calls of 118,000 and 9,604 of value posted are 127,604; used is 78,400 + 9,800 posted.
    own = {"T": SCHEDULE | {"name": "T", "limits": [bund_limit("requirement", 0.7)]}}
    there = [{"agreement_id": "G1", "asset_id": "BUND", "quantity": 10_000}]
    there_too = book(calls={"C1": {"schedule": "T"}}, schedules=own, posted=there)
    assert check(there_too, answer(limits=[("T: bunds", "BUND", 88_200, 89_322.8)])) == ()
    own["T"]["limits"] = [bund_limit("requirement", 0.69)]
    tight = book(calls={"C1": {"schedule": "T"}}, schedules=own, posted=there)
    assert_only(tight, answer(limits=[("T: bunds", "BUND", 88_200, 88_046.76)]), "'T: bunds'.* the cap is 88,046.76")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "78,400 is used, and limits has no row for it"),
        ([("bunds", "BUND", 78_399.0, 82_600)], "stated 78399.0 of 82600, it is 78,400 of 82,600"),
        ([("bunds", "BUND", 78_400, 82_601)], "stated 78400 of 82601, it is 78,400 of 82,600"),
        ([("bunds", "BUND", 78_400, 82_600)] * 2, "2 rows in limits"),
        (
            [("bunds", "BUND", 78_400, 82_600), ("else", "BUND", 0, 1)],
            "the schedules in force have no such limit",
        ),
        (
            [("bunds", "BUND", 78_400, 82_600), ("bunds", "OAT", 5, 82_600)],
            "nothing there counts in this group",
        ),
        (
            [("bunds", "BUND", 78_400, 82_600), ("bunds", "OAT", 0, 82_000)],
            "the cap is stated as 82000, it is 82,600",
        ),
    ],
)
def test_a_wrong_row_of_limits_is_reported(rows: list[tuple[str, str, float, float]], sentence: str) -> None:
    limited = book(schedule={"limits": [bund_limit("requirement", 0.7)]})
    found = check(limited, answer(limits=rows))
    assert len(found) == 1
    assert sentence in found[0]


def test_a_row_for_a_group_nobody_uses_may_stand_in_limits() -> None:
    limited = book(schedule={"limits": [bund_limit("requirement", 0.7)]})
    assert check(limited, answer(limits=[("bunds", "BUND", 78_400, 82_600), ("bunds", "OAT", 0, 82_600)])) == ()


# --- inventory and summary ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "value", "sentence"),
    [
        (1, "used", 79_000.0, "inventory states used as 79000.0, it is 80000.0"),
        (1, "left", 120_000.01, "inventory states left as 120000.01, it is 120000.0"),
        (3, "used", 10.0, "holding H-ACME: inventory states used as 10.0, it is 0.0"),
        (3, "quantity", 999.0, "inventory states quantity as 999.0, it is 1000.0"),
        (3, "left", np.nan, "inventory states left as nan"),
        (3, "asset_id", "BUND", "inventory states asset_id as BUND, it is ACME"),
    ],
)
def test_a_wrong_row_of_inventory_is_reported(row: int, column: str, value: Any, sentence: str) -> None:
    found = check(book(), answer().with_cell("inventory", row, column, value))
    assert len(found) == 1
    assert sentence in found[0]


def test_a_holding_missing_from_inventory_is_reported() -> None:
    fewer = replace(answer(), inventory=answer().inventory.iloc[:3])
    assert check(book(), fewer) == ("inventory: holding_id H-ACME has 0 rows, it must have one.",)


def test_inventory_is_exact_where_floats_are_not() -> None:
    # 60,000.3 - 23,168 is 36,832.3; as floats the difference is another number.
    held = book(holdings={"H-EUR": {"quantity": 60_000.3}})
    right = answer(quantities={"H-EUR": 60_000.3}).with_cell("inventory", 0, "left", 36_832.3)
    assert check(held, right) == ()


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        (
            {"total_cost": 13.51, "lower_bound": 13.5086},
            "total_cost is stated as 13.51, the lines come to 13.5086",
        ),
        ({"total_cost": None}, "total_cost is stated as None"),
        ({"total_shortfall": 0.02}, "total_shortfall is stated as 0.02, the rows come to 0"),
        ({"status": "short"}, "status is short, with 0 short call(s)"),
        ({"status": "feasible"}, "status is feasible"),
        ({"lower_bound": 13.53}, "lower_bound 13.53 is above the cost of the lines, 13.5086"),
        ({"lower_bound": 12.0}, "gap 0.0 does not fit cost 13.5086 and lower_bound 12.0"),
        ({"gap": 0.5, "status": "feasible"}, "gap 0.5 does not fit"),
        ({"lower_bound": None}, "a gap of 0.0 is stated without a lower bound"),
    ],
)
def test_a_wrong_summary_is_reported(summary: Row, sentence: str) -> None:
    found = check(book(), answer().with_summary(**summary))
    assert len(found) == 1
    assert sentence in found[0]


def test_a_gap_above_mip_gap_is_feasible_and_not_optimal() -> None:
    # (13.5086 - 12) / 13.5086 = 0.111677...
    wide = answer().with_summary(lower_bound=12.0, gap=1.5086 / 13.5086, status="feasible")
    assert check(book(), wide) == ()
    assert "it is feasible" in broken(book(), wide.with_summary(status="optimal"))


def test_a_cost_of_nothing_has_no_relative_gap() -> None:
    free = [{"holding_id": h, "asset_id": None, "agreement_id": "G1", "cost_bps": 0} for h in ("H-BUND", "H-USTN")]
    free.append({"holding_id": "H-EUR", "asset_id": None, "agreement_id": "G1", "cost_bps": 10})
    nothing = answer([line | {"cost": 0.0, "exact_cost": 0.0} for line in LINES])
    assert check(book(costs=free), nothing) == ()
    assert check(book(costs=free), nothing.with_summary(lower_bound=-5.0, gap=5.0, status="feasible")) == ()
    assert "does not fit" in broken(book(costs=free), nothing.with_summary(lower_bound=-5.0))


def test_identifiers_are_compared_as_text() -> None:
    assert "names call None" in broken(book(), answer().with_cell("allocation", 0, "call_id", None))
