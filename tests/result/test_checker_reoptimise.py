"""The independent checker in scope `reoptimise`: one hand-made answer passes, every breach of it is named.

The answer is worked out in `reoptimised`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collateral_opt import optimise
from collateral_opt.book import Book
from collateral_opt.result.checker import check
from tests.result.reoptimised import (
    AT_C1,
    AT_CASH,
    AT_JUNK,
    AT_KEEP,
    AT_OAT,
    AT_RECALL,
    CASH,
    CASH_LINE,
    DEBT,
    G1,
    HELD,
    JUNK,
    KEEP,
    KEEP_OAT,
    LINES,
    SCHEDULES,
    TABLES,
    Answer,
    Row,
    answer,
    assert_only,
    book,
    broken,
    with_lines,
)  # fmt: skip


def test_the_hand_made_answer_passes() -> None:
    assert check(book(), answer()) == ()


# --- what rows name, and conservation --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "value", "sentence"),
    [
        (AT_KEEP, "agreement_id", "G9", "is about something that is not posted"),
        (AT_KEEP, "agreement_id", "G2", "is about something that is not posted"),
        (AT_KEEP, "asset_id", "OAT", "is about something that is not posted"),
        (AT_RECALL, "holding_id", None, "is about something that is not posted"),
        (AT_RECALL, "holding_id", "H9", "is about something that is not posted"),
        (AT_JUNK, "holding_id", "H-OAT", "is about something that is not posted"),
        (AT_JUNK, "holding_id", "H9", "is about something that is not posted"),
        (AT_RECALL, "facility_id", "REPO", "names facility REPO, nothing posted comes from one"),
        (AT_RECALL, "quantity", np.nan, "has no quantity"),
        (AT_KEEP, "quantity", 0.0, "a quantity must be above zero"),
        (AT_KEEP, "action", "recall", "2 rows recall it, one may"),
        (AT_KEEP, "action", "hold", "the action is hold, of a line it must be deliver"),
        (AT_KEEP, "call_id", "C1", "the action is keep, of a line it must be deliver"),
        (AT_CASH, "agreement_id", "G9", "names agreement G9, which the book does not have"),
        (AT_CASH, "holding_id", "H9", "names holding H9, which the book does not have"),
        (AT_CASH, "asset_id", "OAT", "agreement G1, holding H-EUR: the line's asset is OAT, the holding's is EUR"),
        (AT_CASH, "call_id", "C9", "names call C9, which the book does not have"),
    ],
)
def test_a_row_that_names_something_wrong_is_reported(row: int, column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("allocation", row, column, value))


@pytest.mark.parametrize(
    ("row", "column", "value", "sentence"),
    [
        (AT_KEEP, "quantity", 51_000.0, "51,000 is kept and 50,000 is recalled of 100,000"),
        (AT_KEEP, "quantity", 49_999.99, "49,999.99 is kept and 50,000 is recalled of 100,000"),
        (AT_RECALL, "quantity", 49_000.0, "50,000 is kept and 49,000 is recalled of 100,000"),
        (AT_OAT, "quantity", 19_000.0, "19,000 is kept and 0 is recalled of 20,000"),
    ],
)
def test_what_is_posted_is_kept_or_recalled(row: int, column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("allocation", row, column, value))


def test_a_posting_without_a_row_is_reported() -> None:
    lines = [line for line in LINES if line is not KEEP_OAT]
    assert "posted OAT of holding H-OAT: 0 is kept and 0 is recalled of 20,000" in broken(book(), answer(lines))


def in_two(first: Row, second: Row) -> Book:
    """The BUND at G1 in two rows."""
    bund, *others = TABLES["posted"]
    return book(posted=[{**bund, **first}, {**bund, **second}, *others])


def test_what_counts_nothing_may_be_kept_as_well() -> None:
    kept = (*JUNK[:5], "keep", *JUNK[6:])
    assert check(book(), answer(with_lines({AT_JUNK: kept}))) == ()


def test_rows_of_one_agreement_asset_and_holding_are_one_posting() -> None:
    assert check(in_two({"quantity": 60_000}, {"quantity": 40_000}), answer()) == ()
    assert "of 99,000" in broken(in_two({"quantity": 60_000}, {"quantity": 39_000}), answer())


def test_what_no_figure_can_show_of_rows_together_is_kept_with_them() -> None:
    # 100,000.000000000001 together, of which 50,000 leave; no float lies between 50,000 and 50,000.000000000007.
    assert check(in_two({"quantity": 5_000.000000000001}, {"quantity": 95_000}), answer()) == ()
    # A digit more, which figures can show, is missed.
    assert "G1: no shortfall is stated" in broken(
        in_two({"quantity": 5_000.00000000003}, {"quantity": 95_000}), answer()
    )


# 499.99999999999996 and 500.00000000000003 together; the nearest figures lie below the one and above the other.
BELOW = ([166.66666666666666, 333.3333333333333], 499.99999999999994)
ABOVE = ([166.66666666666666, 333.33333333333337], 500.00000000000006)


def junk_rows(quantities: list[float], **cells: Any) -> list[Row]:
    return [{**TABLES["posted"][2], "quantity": quantity, **cells} for quantity in quantities]


@pytest.mark.parametrize("lot", [1, 1000])
@pytest.mark.parametrize(("quantities", "shown"), [BELOW, ABOVE])
def test_what_no_figure_can_show_of_rows_together_is_recalled_with_them(
    quantities: list[float], shown: float, lot: int
) -> None:
    """JUNK in two free rows and one of 100 that is locked; the next figures on either side are refused."""
    junk = [*junk_rows(quantities), *junk_rows([100.0], locked=True)]
    on = book(assets={"JUNK": {"lot_size": lot}}, posted=[*TABLES["posted"][:2], *junk])
    kept = (*JUNK[:5], "keep", 100.0, 100.0, 1.0, 0.0, 0.0)
    below, above = np.nextafter(shown, 0.0).item(), np.nextafter(shown, 1000.0).item()
    found = {
        recalled: check(on, answer([*with_lines({AT_JUNK: (*JUNK[:6], recalled, recalled, 1.0, 0.0, 0.0)}), kept]))
        for recalled in (shown, below, above)
    }
    assert found[shown] == ()
    assert len(found[below]) == 1
    assert len(found[above]) == 2
    assert all("whole rows and whole lots" in found[recalled][-1] for recalled in (below, above))
    assert "of it is not locked" in found[above][0]


@pytest.mark.parametrize(("quantities", "shown"), [BELOW, ABOVE])
def test_rows_that_no_figure_can_show_together_are_recalled_by_a_run(quantities: list[float], shown: float) -> None:
    """JUNK counts nothing, and to keep it costs 50 bp: all of it comes back."""
    result = optimise(book(posted=[TABLES["posted"][0], *junk_rows(quantities, cost_bps=50)]))
    junk = result.allocation[result.allocation["asset_id"] == "JUNK"]
    assert list(zip(junk["action"], junk["quantity"], strict=True)) == [("recall", shown)]


def test_locked_rows_stay() -> None:
    locked = book(posted={0: {"locked": True}})
    assert "50,000 is recalled, only 0 of it is not locked" in broken(locked, answer())
    part = in_two({"quantity": 60_000, "locked": True}, {"quantity": 40_000})
    assert "50,000 is recalled, only 40,000 of it is not locked" in broken(part, answer())
    assert check(in_two({"quantity": 50_000, "locked": True}, {"quantity": 50_000}), answer()) == ()


@pytest.mark.parametrize(
    ("quantities", "recalled", "possible"),
    [
        ([1_000.0], 333.0, False),
        ([700.0], 700.0, True),
        ([700.0], 300.0, True),
        ([750.0], 300.0, True),
        ([750.0], 750.0, True),
        ([750.0], 350.0, False),
        ([750.0, 830.0], 830.0, True),
        ([750.0, 830.0], 930.0, True),  # 830 and a lot
        ([750.0, 830.0], 1_530.0, True),  # 830 and seven lots
        ([750.0, 830.0], 1_550.0, True),  # 750 and eight lots
        ([750.0, 830.0], 1_580.0, True),
        ([750.0, 830.0], 730.0, False),  # 830 wholly is more than that
        ([750.0, 830.0], 1_500.0, True),
        ([750.0, 830.0], 1_600.0, False),
        ([50.0, 50.0], 50.0, True),
        ([50.0, 50.0], 100.0, True),
    ],
)
def test_rows_are_recalled_wholly_or_in_whole_lots(quantities: list[float], recalled: float, possible: bool) -> None:
    """JUNK in lots of 100: whatever it counts, its rows go wholly or in lots."""
    junk = [{**TABLES["posted"][2], "quantity": quantity} for quantity in quantities]
    on = book(assets={"JUNK": {"lot_size": 100}}, posted=[*TABLES["posted"][:2], *junk])
    kept = sum(quantities) - recalled
    rows = [(*JUNK[:5], "recall", recalled, recalled, 1.0, 0.0, 0.0)]
    rows += [(*JUNK[:5], "keep", kept, kept, 1.0, 0.0, 0.0)] if kept > 0 else []
    what = answer([line for line in LINES if line is not JUNK] + rows)
    found = [sentence for sentence in check(on, what) if "whole rows and whole lots" in sentence]
    assert len(found) == (0 if possible else 1)


# --- figures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (AT_KEEP, "haircut", 0.11),
        (AT_KEEP, "market_value", 50_000.01),
        (AT_KEEP, "collateral_value", 44_999.99),
        (AT_KEEP, "cost", 4.99),
        (AT_RECALL, "haircut", 0.0),
        (AT_RECALL, "collateral_value", 0.0),
        (AT_RECALL, "cost", 5.0),
        (AT_OAT, "cost", 1.4),
        (AT_JUNK, "haircut", 0.1),
        (AT_JUNK, "collateral_value", 450.0),
        (AT_JUNK, "market_value", np.nan),
        (AT_CASH, "haircut", 0.1),
        (AT_CASH, "cost", 13.5),
    ],
)
def test_a_wrong_figure_is_reported(row: int, column: str, value: float) -> None:
    assert_only(book(), answer().with_cell("allocation", row, column, value), f"{column} is stated as", 1)


PAIR: Row = {"holding_id": None, "asset_id": None, "agreement_id": "G1", "facility_id": None}


@pytest.mark.parametrize(
    ("posted", "costs", "cost"),
    [
        ({"cost_bps": 3}, [], 1.5),
        ({"cost_bps": 3}, [{**PAIR, "holding_id": "H-BUND", "cost_bps": 6}], 1.5),
        ({}, [{**PAIR, "holding_id": "H-BUND", "cost_bps": 6}, {**PAIR, "asset_id": "BUND", "cost_bps": 8}], 3.0),
        ({}, [{**PAIR, "asset_id": "BUND", "cost_bps": 8}], 4.0),
        ({"cost_bps": -2}, [], -1.0),
    ],
)
def test_what_keeping_costs(posted: Row, costs: list[Row], cost: float) -> None:
    on = book(posted={0: posted}, **({"costs": costs} if costs else {}))
    assert check(on, answer(with_lines({AT_KEEP: (*KEEP[:10], cost)}))) == ()
    assert "keep: cost is stated as 5.0" in broken(on, answer())


def test_cash_in_place_earns_what_cash_returns_there() -> None:
    # 10,000 EUR at G2, of no known holding: nothing less 10 bp, 10,000 at 1/10^5; at 25 bp of its own, 15 bp.
    there = {"agreement_id": "G2", "asset_id": "EUR", "quantity": 10_000.0}
    row = (None, "G2", None, None, "EUR", "keep", 10_000.0, 10_000.0, 0.0, 10_000.0, -1.0)
    account = ("G2", 10_000.0, 10_000.0, 10_000.0, 0.0, 0.0, 0.0, 0.0)
    on = book(posted=[*TABLES["posted"], there])
    assert check(on, answer([*LINES, row], [G1, account])) == ()
    own = book(posted=[*TABLES["posted"], {**there, "cost_bps": 25}])
    assert check(own, answer([*LINES, (*row[:10], 1.5)], [G1, account])) == ()
    assert "cost is stated as -1.0, it is 1.5" in broken(own, answer([*LINES, row], [G1, account]))


def test_rows_of_one_posting_with_costs_of_their_own_may_be_recalled_in_any_order() -> None:
    # 60,000 at 10 bp and 40,000 at 2 bp, 50,000 kept: 40,000 at 2 and 10,000 at 10 are 1.80; 50,000 at 10 are 5.00.
    on = in_two({"quantity": 60_000}, {"quantity": 40_000, "cost_bps": 2})
    for cost in (1.8, 3.0, 5.0):
        assert check(on, answer(with_lines({AT_KEEP: (*KEEP[:10], cost)}))) == ()
    for cost in (1.79, 5.01):
        found = broken(on, answer(with_lines({AT_KEEP: (*KEEP[:10], cost)})))
        assert f"cost is stated as {cost!r}, it lies between 1.8 and 5" in found
    assert "total_cost is stated" in broken(on, answer(with_lines({AT_KEEP: (*KEEP[:10], 3.0)}), cost=19.8))


# --- agreements ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("required", 107_999.99, "agreement G1: required is stated as 107999.99, it is 108,000"),
        ("posted", 108_450.0, "agreement G1: posted is stated as 108450.0, it is 108,000"),
        ("kept", 63_450.0, "agreement G1: kept is stated as 63450.0, it is 63,000"),
        ("recalled", 45_450.0, "agreement G1: recalled is stated as 45450.0, it is 45,000"),
        ("delivered", 0.0, "agreement G1: delivered is stated as 0.0, it is 45,000"),
        ("shortfall", 0.01, "agreement G1: a shortfall of 0.01 is stated"),
        ("excess", 0.01, "agreement G1: excess is stated as 0.01, it is 0"),
        ("agreement_id", "G2", "agreements: agreement_id G2 has nothing posted and needs nothing"),
        ("agreement_id", "G9", "agreements: agreement_id G1 has 0 rows, it must have one"),
    ],
)
def test_a_wrong_row_of_agreements_is_reported(column: str, value: Any, sentence: str) -> None:
    assert sentence in broken(book(), answer().with_cell("agreements", 0, column, value))


def test_an_agreement_has_one_row() -> None:
    assert_only(book(), answer(agreements=(G1, G1)), "agreement_id G1 has 2 rows, it must have one", 1)
    assert_only(book(), answer(agreements=()), "agreement_id G1 has 0 rows, it must have one", 1)


def test_an_agreement_short_of_its_requirement_is_stated_as_short() -> None:
    # 200,000 less the 108,000 that are there; a replacement in whole cents is never too much then.
    on = book(agreements={"G1": {"requirement": 200_000}})
    row = ("G1", 200_000.0, 108_000.0, 63_000.0, 45_000.0, 45_000.0, 92_000.0, 0.0)
    short = answer(agreements=(row,), total_shortfall=92_000.0)
    assert check(on, short) == ()
    assert_only(on, short.with_summary(status="optimal"), r"1 short agreement\(s\), .* it is short", 1)
    assert_only(on, short.with_summary(total_shortfall=0.0), "total_shortfall is stated as 0.0, .* 92,000", 1)
    hidden = short.with_cell("agreements", 0, "shortfall", 0.0)
    assert_only(on, hidden, "agreement G1: no shortfall is stated", 1)


def test_a_requirement_is_read_in_the_agreements_currency_and_bears_its_calls() -> None:
    # 250,000 USD at 0.8 are 200,000 EUR; of them a call at G1 asks for 900: 199,100 besides it.
    on = book(
        agreements={"G1": {"requirement": 250_000, "base_currency": "USD"}},
        calls={"C2": {"agreement_id": "G1", "amount": 900, "currency": "EUR"}},
        fx=[{"currency": "USD", "rate": 0.8}],
    )
    row = ("G1", 199_100.0, 108_000.0, 63_000.0, 45_000.0, 45_000.0, 91_100.0, 0.0)
    line = ("C2", "G1", "H-EUR", None, "EUR", "deliver", 900.0, 900.0, 0.0, 900.0, 0.18)
    calls = (("C1", 45_000.0, 45_000.0, 0.0, 0.0), ("C2", 900.0, 900.0, 0.0, 0.0))
    assert check(on, answer([*LINES, line], (row,), calls, total_shortfall=91_100.0)) == ()


def test_what_no_call_asks_for_is_never_less_than_nothing() -> None:
    # G2 needs 10,000 in all, its call asks for 45,000.
    assert check(book(agreements={"G2": {"requirement": 10_000}}), answer()) == ()


def test_an_excess_may_be_kept_or_called_back_and_is_not_exceeded_by_replacements() -> None:
    # 80,000 required: any 17,000 to 45,000 of cash beside the 63,000 that stay, no cent more than was there before.
    on = book(agreements={"G1": {"requirement": 80_000}})

    def with_cash(amount: float) -> Answer:
        cash = (*CASH_LINE[:6], amount, amount, 0.0, amount, round(amount * 0.0002, 2))
        after = 63_000.0 + amount
        short = max(0.0, 80_000.0 - after)
        row = ("G1", 80_000.0, 108_000.0, 63_000.0, 45_000.0, amount, short, max(0.0, after - 80_000.0))
        cost = 10.8 + amount * 0.0002
        return answer(with_lines({AT_CASH: cash}), (row,), cost=cost, total_shortfall=short)

    for amount in (16_999.99, 17_000.0, 30_000.0, 45_000.0):
        assert check(on, with_cash(amount)) == ()
    # The excess of 28,000 alone suffices for 40,000 of BUND (v = 36,000) with 8,000 of cash.
    assert_only(on, with_cash(45_000.01), "108,000.01 is kept and delivered where 80,000 is required", 1)


def test_a_replacement_may_exceed_by_less_than_its_least_line() -> None:
    # OAT in lots of 1,000 (v = 900): 51,000 are 45,900, 900 too many; with a least line of 51,000 nothing else is.
    lines = with_lines(
        {AT_CASH: (None, "G1", "H-OAT", None, "OAT", "deliver", 51_000.0, 51_000.0, 0.1, 45_900.0, 3.57)}
    )
    row = ("G1", 108_000.0, 108_000.0, 63_000.0, 45_000.0, 45_900.0, 0.0, 900.0)
    holdings: dict[str, Row] = {"H-OAT": {"quantity": 60_000}}
    what = answer(lines, (row,), held={**HELD, "H-OAT": {**HELD["H-OAT"], "quantity": 60_000}})
    assert_only(book(holdings=holdings), what, "108,900 is kept and delivered where 108,000 is required", 1)
    least = book({"G1": {"min_line_value": 51_000}}, holdings)
    assert check(least, what) == ()
    denominated = book(holdings=holdings, assets={"OAT": {"min_denomination": 51_000}})
    assert check(denominated, what) == ()
    assert "below the agreement's minimum line" in broken(book({"G1": {"min_line_value": 51_001}}, holdings), what)


def test_an_excess_below_the_minimum_transfer_stays() -> None:
    # 107,000 required, 1,000 too much there: with a minimum of 1,000 it may come back, with 1,000.01 it may not.
    cash = (*CASH_LINE[:6], 44_000.0, 44_000.0, 0.0, 44_000.0, 8.8)
    back = ("G1", 107_000.0, 108_000.0, 63_000.0, 45_000.0, 44_000.0, 0.0, 0.0)
    what = answer(with_lines({AT_CASH: cash}), (back,))
    assert check(book({"G1": {"requirement": 107_000, "minimum_transfer": 1_000}}), what) == ()
    stays = book({"G1": {"requirement": 107_000, "minimum_transfer": 1_000.01}})
    assert "agreement G1: required is stated as 107000.0, it is 108,000" in broken(stays, what)
    assert check(stays, answer()) == ()
    short = ("G1", 108_000.0, 108_000.0, 63_000.0, 45_000.0, 44_000.0, 1_000.0, 0.0)
    late = answer(with_lines({AT_CASH: cash}), (short,), total_shortfall=1_000.0)
    assert check(stays, late) == (), "a shortfall that is stated is no breach"


def test_what_is_posted_counts_under_the_agreements_own_schedule_and_not_wrong_way() -> None:
    # BUND at half its value: 50,000 of 100,000; what C1 gets is read the same way.
    half = {"S": {"rules": [CASH, {**DEBT, "haircut": 0.5}]}}
    found = broken(book(schedules=half), answer())
    assert "posted BUND of holding H-BUND, keep: haircut is stated as 0.1, it is 0.5" in found
    assert "agreement G1: posted is stated as 108000.0, it is 60,000" in found
    wrong_way = broken(book({"G1": {"counterparty": "DE"}}), answer())
    assert "posted BUND of holding H-BUND, keep: haircut is stated as 0.1, it is 1" in wrong_way
    assert "agreement G1: posted is stated as 108000.0, it is 18,000" in wrong_way


def test_a_replacement_is_judged_by_the_agreements_own_schedule() -> None:
    no_cash = {"S": {"rules": [DEBT]}}
    assert "agreement G1, holding H-EUR: schedule S does not take EUR" in broken(book(schedules=no_cash), answer())
    issued = book({"G1": {"counterparty": "ECB"}}, assets={"EUR": {"issuer": "ECB"}})
    assert_only(issued, answer(), "agreement G1, holding H-EUR: wrong-way, EUR is issued inside the family of ECB", 1)
    mature = book(assets={"EUR": {"maturity_date": "2026-03-01"}})
    assert_only(mature, answer(), "agreement G1, holding H-EUR: the asset matures 2026-03-01", 1)
    at_three = book(assets={"EUR": {"lot_size": 7_000}})
    assert_only(at_three, answer(), "agreement G1, holding H-EUR: quantity 45,000 is not a whole number of lots", 1)


def test_a_pair_has_one_replacement() -> None:
    half = (*CASH_LINE[:6], 22_500.0, 22_500.0, 0.0, 22_500.0, 4.5)
    assert_only(book(), answer([*LINES[:5], half, half]), "the pair has more than one line", 1)


def test_a_replacement_where_nothing_is_missing_is_too_much() -> None:
    line = (None, "G2", "H-EUR", None, "EUR", "deliver", 0.01, 0.01, 0.0, 0.01, 0.0)
    row = ("G2", 0.0, 0.0, 0.0, 0.0, 0.01, 0.0, 0.01)
    what = answer([*LINES, line], (G1, row), cost=19.800002).with_cell("inventory", 0, "left", 14_999.99)
    what = what.with_cell("inventory", 0, "used", 45_000.01)
    assert_only(book(), what, "agreement G2: 0.01 is kept and delivered where 0 is required and 0 was posted", 1)


def test_max_lines_does_not_bind_replacements() -> None:
    # Two assets replace what comes back from G1, which takes one a call.
    oat = (None, "G1", "H-OAT", None, "OAT", "deliver", 10_000.0, 10_000.0, 0.1, 9_000.0, 0.7)
    cash = (*CASH_LINE[:6], 36_000.0, 36_000.0, 0.0, 36_000.0, 7.2)
    what = answer([*LINES[:5], cash, oat], held={**HELD, "H-OAT": {**HELD["H-OAT"], "quantity": 10_000}})
    assert check(book({"G1": {"max_lines": 1}}, {"H-OAT": {"quantity": 10_000}}), what) == ()


# --- limits, supply, reserves ----------------------------------------------------------------------------


def issued(issuer: str) -> Row:
    """Its bonds: of cash the issuer is not known, and what is not known counts."""
    return {"all": [{"asset_type": "debt"}, {"issuer": issuer}]}


def limited(limit: Row, **changes: Any) -> Book:
    bunds = {
        "label": "bunds",
        "group_by": "asset",
        "select": {"all": [{"asset_type": "debt"}, {"issuer": "DE"}]},
        **limit,
    }
    return book(schedules={"S": {**SCHEDULES["S"], "limits": [bunds]}}, **changes)


def of_bunds(*rows: tuple[str, float, float]) -> Answer:
    return answer(limits=[(place, "bunds", "BUND", used, cap) for place, used, cap in rows])


@pytest.mark.parametrize(
    ("limit", "holds", "used", "cap", "breaks", "cap_broken"),
    [
        # kept 45,000 of the requirement of 108,000, C1 its whole 45,000
        ({"measure": "value_after_haircut", "of": "requirement"}, 1.0, 45_000, 108_000, 0.4, 43_200),
        # 45,000 of 108,000 after the run, where 90,000 of 108,000 was before
        ({"measure": "value_after_haircut", "of": "posted"}, 1.0, 45_000, 108_000, 0.4, 43_200),
        # m = 50,000 of 115,000: JUNK never counts
        ({"measure": "market_value", "of": "posted"}, 1.0, 50_000, 115_000, 0.4, 46_000),
    ],
)
def test_limits_bind_what_is_kept_and_delivered(
    limit: Row, holds: float, used: float, cap: float, breaks: float, cap_broken: float
) -> None:
    at_g2 = (45_000, 45_000) if limit["measure"] == "value_after_haircut" else (50_000, 50_000)
    assert check(limited({**limit, "max": holds}), of_bunds(("G1", used, cap), ("G2", *at_g2))) == ()
    # G1 stood over its cap and gets none: no breach. G2 gets all of it.
    over = of_bunds(("G1", used, cap_broken), ("G2", at_g2[0], at_g2[1] * breaks))
    assert_only(limited({**limit, "max": breaks}), over, "agreement G2, limit 'bunds', group 'BUND': .* is used", 1)


def test_the_requirement_of_a_limit_is_the_agreements_own() -> None:
    limit = {"measure": "value_after_haircut", "of": "requirement", "max": 0.5}
    on = limited(limit, agreements={"G1": {"requirement": 80_000}, "G2": {"requirement": 90_000}})
    g1 = ("G1", 80_000.0, 108_000.0, 63_000.0, 45_000.0, 45_000.0, 0.0, 28_000.0)
    g2 = ("G2", 45_000.0, 0.0, 0.0, 0.0, 0.0, 45_000.0, 0.0)
    rows = [("G1", "bunds", "BUND", 45_000, 40_000), ("G2", "bunds", "BUND", 45_000, 45_000)]
    # Where 90,000 stood over 40,000 already, 45,000 may stay.
    assert check(on, answer(agreements=(g1, g2), limits=rows, total_shortfall=45_000.0)) == ()


def test_a_requirement_below_what_the_calls_ask_for_is_taken_as_it_stands() -> None:
    # Half of 40,000, where the call asks for 45,000: G2 holds nothing and needs nothing besides its call.
    limit = {"measure": "value_after_haircut", "of": "requirement", "max": 0.5}
    rows = [("G1", "bunds", "BUND", 45_000, 54_000), ("G2", "bunds", "BUND", 45_000, 20_000)]
    on = limited(limit, agreements={"G2": {"requirement": 40_000}})
    assert_only(on, answer(limits=rows), "agreement G2, limit 'bunds', .* 45,000 is used, the cap is 20,000", 1)


def test_a_share_that_breaks_because_others_leave_is_a_breach() -> None:
    # OAT 18,000 of 108,000 was within 17 %; after a recall that is not replaced it is 18,000 of 63,000.
    oats = {
        "label": "oats",
        "select": issued("FR"),
        "measure": "value_after_haircut",
        "of": "posted",
        "max": 0.17,
    }
    on = book(
        {"G1": {"requirement": 60_000}},
        schedules={"S": {**SCHEDULES["S"], "limits": [oats]}},
        calls={"C1": {"amount": 45_000}},
    )
    row = ("G1", 60_000.0, 108_000.0, 63_000.0, 45_000.0, 0.0, 0.0, 3_000.0)
    what = answer(LINES[:5], (row,), limits=[("G1", "oats", "", 18_000, 10_710)])
    assert_only(on, what, "agreement G1, limit 'oats', group '': 18,000 is used, the cap is 10,710", 1)


def test_a_group_over_its_cap_before_the_run_takes_nothing_unless_it_is_cured() -> None:
    # OAT instead of cash into G1, where OAT (v = 18,000) stands over 10,000: nothing more may come.
    oats = {
        "label": "oats",
        "select": issued("FR"),
        "measure": "value_after_haircut",
        "of": "money",
    }
    lines = with_lines({AT_CASH: (None, "G1", "H-OAT", None, "OAT", "deliver", 50_000.0, 50_000.0, 0.1, 45_000.0, 3.5)})
    stock: dict[str, Any] = {"held": {**HELD, "H-OAT": {**HELD["H-OAT"], "quantity": 50_000}}}

    def on(cap: float) -> Book:
        limit = {**oats, "max": {"amount": cap, "currency": "EUR"}}
        return book(holdings={"H-OAT": {"quantity": 50_000}}, schedules={"S": {**SCHEDULES["S"], "limits": [limit]}})

    def used(cap: float) -> Answer:
        return answer(lines, limits=[("G1", "oats", "", 63_000, cap)], **stock)

    assert check(on(63_000), used(63_000)) == ()
    assert_only(on(62_999), used(62_999), "63,000 is used, the cap is 62,999", 1)
    assert_only(on(17_000), used(17_000), r"what was posted \(18,000\) stands over the cap already, 45,000 more", 1)


def test_the_agreements_own_limits_bind_what_it_holds_where_its_call_has_another_schedule() -> None:
    # A call at G1 read under T: what is kept and what replaces is still under S.
    line = ("C2", "G1", "H-EUR", None, "EUR", "deliver", 900.0, 900.0, 0.0, 900.0, 0.18)
    calls = (("C1", 45_000.0, 45_000.0, 0.0, 0.0), ("C2", 900.0, 900.0, 0.0, 0.0))
    cash = {"label": "cash", "select": {"asset_type": "cash"}, "measure": "market_value", "of": "money"}
    limit = {**cash, "max": {"amount": 45_000, "currency": "EUR"}}
    on = book(
        calls={"C2": {"agreement_id": "G1", "amount": 900, "currency": "EUR", "schedule": "T"}},
        schedules={"S": {**SCHEDULES["S"], "limits": [limit]}, "T": SCHEDULES["S"]},
    )
    what = answer([*LINES, line], calls=calls, limits=[("G1", "cash", "", 45_900, 45_000)])
    assert_only(on, what, "agreement G1, limit 'cash', group '': 45,900 is used, the cap is 45,000", 1)


def test_no_more_leaves_a_holding_than_it_has_and_gets_back() -> None:
    # 61,000 BUND to C1: 10,000 and 50,000 back are one lot short.
    line = ("C1", "G2", "H-BUND", None, "BUND", "deliver", 61_000.0, 61_000.0, 0.1, 54_900.0, 6.1)
    what = answer(with_lines({AT_C1: line}), calls=(("C1", 54_900.0, 54_900.0, 0.0, 0.0),))
    assert_only(
        book(calls={"C1": {"amount": 54_900}}), what, "H-BUND: 61,000 is delivered of 60,000, 1,000 too much", 1
    )


@pytest.mark.parametrize(
    ("column", "value"), [("recalled", 49_000.0), ("recalled", np.nan), ("left", -40_000.0), ("used", 0.0)]
)
def test_a_wrong_row_of_inventory_is_reported(column: str, value: float) -> None:
    assert_only(book(), answer().with_cell("inventory", 1, column, value), f"H-BUND: inventory states {column} as", 1)


def test_what_is_recalled_counts_for_reserves() -> None:
    # 10,000 BUND are left in H-BUND: v = 9,000 of the 9,000 asked; the 15,000 EUR are not debt.
    buffer = {"reserve_id": "R", "schedule": "Q", "amount": 9_000, "currency": "EUR"}
    on = book(reserves=[buffer], schedules={"Q": {"rules": [DEBT]}})
    assert check(on, answer(reserves=(("R", 9_000.0, 9_000.0, 0.0, 0.0),))) == ()


# --- scope ------------------------------------------------------------------------------------------------


def test_in_scope_calls_nothing_is_kept_recalled_or_replaced() -> None:
    found = broken(book(settings={"scope": "calls"}), answer())
    assert "names call None, which the book does not have" in found
    assert "agreements: agreement_id G1 has nothing posted and needs nothing besides its calls" in found


def test_in_scope_calls_a_requirement_means_nothing() -> None:
    on = book(
        {"G1": {"requirement": 900_000, "minimum_transfer": 5}},
        {"H-BUND": {"quantity": 50_000}},
        settings={"scope": "calls"},
    )
    what = answer(LINES[:1], (), held={**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": 50_000}})
    assert check(on, what) == ()
