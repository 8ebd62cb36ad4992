"""From exposure to the call: every number worked by hand beside it, the terms of real agreements among them.

The agreements are the sample documents of the FINOS Common Domain Model (elections of ISDA credit support
annexes; rounding, minimum transfer, threshold and independent amounts as in their JSON) and the 2016 annex
between JPMorgan Chase Bank and Cambridge Master Fund of 12 July 2017, as filed. The figures are copied here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral_opt import Book, optimise, read_book
from collateral_opt.errors import BookError, UsageError
from collateral_opt.requirement import (
    CODES,
    INFINITE,
    CollateralTerms,
    Exposure,
    MarginCall,
    Rounding,
    calls_on_us,
    calls_text,
    margin_call,
    margin_call_each_way,
    margin_calls,
    read_exposures,
    write_calls,
)

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "from-exposure"
D = Decimal


def terms(**changes: Any) -> CollateralTerms:
    """A minimum transfer of 100,000; deliveries up and returns down to 10,000; no threshold."""
    usual = CollateralTerms(
        "USD",
        minimum_transfer=D(100_000),
        delivery_rounding=Rounding(D(10_000), "up"),
        return_rounding=Rounding(D(10_000), "down"),
    )
    return replace(usual, **changes)


def call(exposure: object, held: object = 0, pledgor: CollateralTerms | None = None, **options: Any) -> MarginCall:
    secured = options.pop("secured", terms())
    return margin_call(pledgor or terms(), secured, D(str(exposure)), D(str(held)), **options)


def moved(result: MarginCall) -> tuple[str, Decimal]:
    return result.action, result.amount


# the arithmetic of one leg


def test_a_delivery_is_what_is_missing_rounded_up() -> None:
    # 3,142,500 - 2,500,000 = 642,500, up to 10,000s
    result = call(3_142_500, 2_500_000)
    assert moved(result) == ("delivery", D(650_000))
    assert (result.credit_support_amount, result.difference, result.note) == (D(3_142_500), D(642_500), "")


def test_a_return_is_what_is_too_much_rounded_down() -> None:
    # 2,500,000 - 2,357,500 = 142,500, down to 10,000s
    result = call(2_357_500, 2_500_000)
    assert moved(result) == ("return", D(140_000)) and result.difference == D(-142_500)


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [
        (2_600_000, ("delivery", D(100_000))),  # 100,000: the minimum exactly, and a multiple exactly
        ("2599999.99", ("none", D(0))),  # 99,999.99: below it, though it would round up to 100,000
        ("2600000.01", ("delivery", D(110_000))),  # 100,000.01: above it by a cent, up
        (2_500_000, ("none", D(0))),  # nothing missing
        (2_400_000, ("return", D(100_000))),
        ("2400000.01", ("none", D(0))),  # 99,999.99
        ("2399999.99", ("return", D(100_000))),  # 100,000.01, down
    ],
)
def test_the_minimum_is_reached_by_the_amount_itself_before_rounding(
    exposure: object, expected: tuple[str, Decimal]
) -> None:
    assert moved(call(exposure, 2_500_000)) == expected


def test_a_delivery_answers_to_the_pledgors_minimum_and_a_return_to_the_holders() -> None:
    strict, lax = terms(minimum_transfer=D(500_000)), terms(minimum_transfer=D(0))
    assert moved(call(120_000, 0, lax, secured=strict)) == ("delivery", D(120_000))
    assert moved(call(120_000, 0, strict, secured=lax)) == ("none", D(0))
    assert moved(call(0, 120_000, lax, secured=strict)) == ("none", D(0))
    assert moved(call(0, 120_000, strict, secured=lax)) == ("return", D(120_000))


def test_without_a_minimum_nothing_is_still_nothing() -> None:
    free = terms(minimum_transfer=D(0))
    assert moved(call(70_000, 70_000, free, secured=free)) == ("none", D(0))
    assert call(0, 0, free, secured=free).note == "what is held is what is required"


def test_the_threshold_comes_off_and_an_infinite_one_leaves_nothing_to_post() -> None:
    # 7,000,000 - 5,000,000 = 2,000,000
    assert moved(call(7_000_000, 0, terms(threshold=D(5_000_000)))) == ("delivery", D(2_000_000))
    never = terms(threshold=INFINITE)
    assert moved(call(10**15, 0, never)) == ("none", D(0))
    # what is there all the same goes back
    result = call(10**15, 300_000, never)
    assert moved(result) == ("return", D(300_000)) and result.credit_support_amount == 0
    assert any("infinity" in str(step) for step in result.steps)


def test_independent_amounts_of_both_sides_enter_with_opposite_signs() -> None:
    two, one = D(2_000_000), D(500_000)
    # 1,000,000 + 2,000,000 - 500,000 = 2,500,000
    both = call(1_000_000, 0, terms(independent_amount=two), secured=terms(independent_amount=one))
    assert both.credit_support_amount == D(2_500_000)
    # 1,000,000 + 500,000 - 2,000,000 = -500,000, so zero
    other = call(1_000_000, 0, terms(independent_amount=one), secured=terms(independent_amount=two))
    assert other.credit_support_amount == 0
    # the pledgor's stands even against a negative exposure: -300,000 + 2,000,000 = 1,700,000
    assert moved(call(-300_000, 0, terms(independent_amount=two))) == ("delivery", D(1_700_000))


def test_a_negative_exposure_requires_nothing_and_frees_what_is_held() -> None:
    assert moved(call(-4_000_000, 0)) == ("none", D(0))
    assert moved(call(-4_000_000, 800_000)) == ("return", D(800_000))  # not 4,800,000


@pytest.mark.parametrize(
    ("direction", "amount", "expected"),
    [
        ("up", "640000", 640_000),  # a multiple stays what it is
        ("up", "640000.01", 650_000),
        ("down", "640000", 640_000),
        ("down", "649999.99", 640_000),
        ("nearest", "644999.99", 640_000),
        ("nearest", "645000", 650_000),  # a half goes up
        ("up", "0", 0),
        ("down", "9999", 0),
    ],
)
def test_rounding(direction: Any, amount: str, expected: int) -> None:
    assert Rounding(D(10_000), direction).apply(D(amount)) == expected


def test_without_a_unit_nothing_is_rounded_and_a_unit_may_be_a_fraction() -> None:
    assert Rounding().apply(D("123456.789")) == D("123456.789")
    assert Rounding(D("0.05")).apply(D("1.01")) == D("1.05")


def test_a_return_rounded_up_is_never_more_than_what_is_held() -> None:
    generous = terms(return_rounding=Rounding(D(100_000), "up"))
    # 250,000 would go up to 300,000, but 250,000 is all there is
    result = call(0, 250_000, secured=generous)
    assert moved(result) == ("return", D(250_000)) and str(result.steps[-1]).startswith("not more than is held")
    # 1,000,000 - 750,000 = 250,000 up to 300,000, of 1,000,000
    assert moved(call(750_000, 1_000_000, secured=generous)) == ("return", D(300_000))


def test_what_rounds_to_nothing_does_not_move() -> None:
    down = terms(minimum_transfer=D(0), delivery_rounding=Rounding(D(10_000), "down"))
    result = call(9_999, 0, down)
    assert moved(result) == ("none", D(0)) and result.note == "a delivery of 9,999 rounds to nothing"


def test_what_is_agreed_and_not_settled_counts_as_held() -> None:
    # 1,000,000 - (400,000 + 600,000) = 0: yesterday's call is not made twice
    assert moved(call(1_000_000, 400_000, pending=D(600_000))) == ("none", D(0))
    # 400,000 - 300,000 on its way back: 1,000,000 - 100,000
    assert moved(call(1_000_000, 400_000, pending=D(-300_000))) == ("delivery", D(900_000))


def test_in_default_a_partys_own_minimum_and_threshold_fall_as_agreed() -> None:
    def amount(zero: Any) -> Decimal:
        pledgor = terms(threshold=D(50_000), zero_in_default=zero)
        return call(145_000, 0, pledgor, pledgor_in_default=True).amount

    assert amount("none") == 0  # 145,000 - 50,000 = 95,000 < 100,000
    assert amount("minimum_transfer") == 100_000  # 95,000 >= 0, up
    assert amount("threshold") == 150_000  # 145,000 >= 100,000, up
    assert amount("both") == 150_000
    # the other side's default leaves the pledgor's terms alone
    pledgor = terms(threshold=D(50_000), zero_in_default="both")
    assert call(145_000, 0, pledgor, secured=pledgor, secured_in_default=True).amount == 0
    # and the holder's default zeroes the minimum of what it returns: 30,000 >= 0
    holder = terms(zero_in_default="minimum_transfer")
    assert moved(call(0, 30_000, secured=holder, secured_in_default=True)) == ("return", D(30_000))


def test_a_default_without_a_word_on_what_is_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="zero_in_default"):
        call(145_000, 0, terms(), pledgor_in_default=True)


def test_who_delivers_to_a_party_in_default_is_told_to_ask_first() -> None:
    failed = terms(zero_in_default="none")
    assert "conditions precedent" in call(500_000, 0, secured=failed, secured_in_default=True).note
    assert "conditions precedent" in call(0, 500_000, failed, pledgor_in_default=True).note
    assert call(500_000, 0, failed, pledgor_in_default=True).note == ""


def test_the_steps_are_the_arithmetic_in_order() -> None:
    # 12,340,000 + 1,000,000 - 0 - 5,000,000 = 8,340,000; - 8,200,000 = 140,000; up to 50,000s
    pledgor = terms(
        threshold=D(5_000_000), independent_amount=D(1_000_000), delivery_rounding=Rounding(D(50_000), "up")
    )
    amounts = [step.amount for step in call(12_340_000, 8_200_000, pledgor).steps]
    assert amounts == [12_340_000, 1_000_000, 0, -5_000_000, 8_340_000, 8_200_000, 140_000, 100_000, 150_000]
    assert sum(amounts[:4]) == amounts[4]


def test_cents_of_a_long_amount_are_exact() -> None:
    free = CollateralTerms("USD")
    # 123,456,789,012,345,678.12 - 0.03
    assert call("123456789012345678.12", "0.03", free, secured=free).amount == D("123456789012345678.09")
    assert call("0.3", "0.1", free, secured=free).amount == D("0.2")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: CollateralTerms("USD", threshold=D(-1)), "threshold"),
        (lambda: CollateralTerms("USD", independent_amount=INFINITE), "independent"),
        (lambda: CollateralTerms("USD", minimum_transfer=D("nan")), "minimum"),
        (lambda: CollateralTerms("USD", minimum_transfer=0.1), "float"),  # type: ignore[arg-type]
        (lambda: CollateralTerms("USD", zero_in_default="all"), "zero_in_default"),  # type: ignore[arg-type]
        (lambda: Rounding(D(-5)), "unit"),
        (lambda: Rounding(D(5), "UP"), "direction"),  # type: ignore[arg-type]
        (lambda: Exposure(D(1), in_default="me"), "in_default"),  # type: ignore[arg-type]
        (lambda: call(INFINITE), "exposure"),
        (lambda: call(1, -1), "held"),
        (lambda: call(1, 5, pending=D(-6)), "pending"),
        (lambda: call(1, 0, terms(currency="EUR")), "EUR"),
    ],
)
def test_figures_that_cannot_be_are_refused(make: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make()


AMOUNTS = st.decimals(0, 10**9, places=2)


@given(exposure=st.decimals(-(10**9), 10**9, places=2), held=AMOUNTS, ours=AMOUNTS, theirs=AMOUNTS, floor=AMOUNTS)
def test_after_the_call_nothing_as_large_as_the_minimum_is_missing(
    exposure: Decimal, held: Decimal, ours: Decimal, theirs: Decimal, floor: Decimal
) -> None:
    """And never do both parties deliver, never is more returned than is held, never is too little delivered."""
    us = terms(threshold=ours, minimum_transfer=floor)
    them = terms(threshold=theirs, minimum_transfer=floor)
    legs = margin_call_each_way(us, them, Exposure(exposure, held_by_us=held))
    assert [leg.action for leg in legs.values()].count("delivery") <= 1
    leg = legs["them"]
    after = held + (leg.amount if leg.action == "delivery" else -leg.amount)
    assert after >= 0
    missing = leg.credit_support_amount - after
    assert missing <= 0 if leg.action == "delivery" else missing < max(floor, D("0.01"))


# both legs


def test_a_positive_exposure_is_theirs_to_cover_and_a_negative_one_ours() -> None:
    legs = margin_call_each_way(terms(), terms(), Exposure(D(450_000)))
    assert moved(legs["them"]) == ("delivery", D(450_000)) and moved(legs["us"]) == ("none", D(0))
    legs = margin_call_each_way(terms(), terms(), Exposure(D(-450_000)))
    assert moved(legs["them"]) == ("none", D(0)) and moved(legs["us"]) == ("delivery", D(450_000))


def test_an_exposure_that_changed_sides_moves_both_legs() -> None:
    # theirs comes back in full: 800,000; ours is due: 1,204,300 up
    legs = margin_call_each_way(terms(), terms(), Exposure(D(-1_204_300), held_by_us=D(800_000)))
    assert moved(legs["them"]) == ("return", D(800_000)) and moved(legs["us"]) == ("delivery", D(1_210_000))


# real agreements: we are party 1, they are party 2


def test_cdm_sample_01_new_york_1994() -> None:
    """Minimum 100,000 each (zero in an event of default of party 2 only), independent amounts 1,000,000 each,
    party 1's threshold by its rating (5,000,000 at A+/A1), party 2's infinite; 50,000s up and down.
    Its threshold is zero in an event of default, its minimum is not."""
    common = CollateralTerms(
        "USD",
        independent_amount=D(1_000_000),
        minimum_transfer=D(100_000),
        delivery_rounding=Rounding(D(50_000), "up"),
        return_rounding=Rounding(D(50_000), "down"),
    )
    us = replace(common, threshold=D(5_000_000), zero_in_default="threshold")
    them = replace(common, threshold=INFINITE, zero_in_default="minimum_transfer")
    # 12,340,000 + 1,000,000 - 1,000,000 - 5,000,000 = 7,340,000; - 7,200,000 = 140,000; up to 50,000s
    at = Exposure(D(-12_340_000), held_by_them=D(7_200_000))
    assert moved(margin_call_each_way(us, them, at)["us"]) == ("delivery", D(150_000))
    # downgraded to A-/A3 the threshold is 0: 12,340,000 - 7,200,000 = 5,140,000, up
    downgraded = margin_call_each_way(replace(us, threshold=D(0)), them, at)
    assert moved(downgraded["us"]) == ("delivery", D(5_150_000))
    # in our own default it is 0 too, and the minimum stands
    defaulted = margin_call_each_way(us, them, replace(at, in_default="us"))
    assert moved(defaulted["us"]) == ("delivery", D(5_150_000))
    # however much we are exposed to them, they post nothing
    legs = margin_call_each_way(us, them, Exposure(D(90_000_000)))
    assert [leg.action for leg in legs.values()] == ["none", "none"]
    # they return: 7,200,000 - (10,000,000 - 5,000,000) = 2,200,000; at 7,135,000: 2,135,000 down to 2,100,000
    back = margin_call_each_way(us, them, Exposure(D(-10_000_000), held_by_them=D(7_135_000)))
    assert moved(back["us"]) == ("return", D(2_100_000))
    # 40,000 too much is below their minimum; in their default that is zero, but 40,000 rounds down to nothing;
    # 60,000 to 50,000
    for held, default, expected in ((40, "none", 0), (40, "them", 0), (60, "none", 0), (60, "them", 50_000)):
        stand = Exposure(D(-10_000_000), held_by_them=D(5_000_000 + held * 1000), in_default=default)  # type: ignore[arg-type]
        assert margin_call_each_way(us, them, stand)["us"].amount == expected


def test_cdm_sample_02_english_1995_rounds_deliveries_down() -> None:
    """Minimum 300,000, thresholds and independent amounts 0, 10,000s, both DOWN."""
    both = CollateralTerms(
        "USD", D(0), D(0), D(300_000), Rounding(D(10_000), "down"), Rounding(D(10_000), "down"), "none"
    )
    # 1,234,567 - 900,000 = 334,567, down
    assert moved(call(1_234_567, 900_000, both, secured=both)) == ("delivery", D(330_000))
    assert moved(call(1_199_999, 900_000, both, secured=both)) == ("none", D(0))  # 299,999
    assert moved(call(565_433, 900_000, both, secured=both)) == ("return", D(330_000))  # 334,567, down


@pytest.mark.parametrize(
    ("minimum", "missing", "in_default", "expected"),
    [
        (100_000, 99_999, False, 0),  # CDM sample 02, New York 2016: no zero event
        (100_000, 100_000, False, 100_000),
        (0, 1, False, 10_000),  # CDM sample 04, New York 2016: no minimum, 1 up to 10,000
        (250_000, 249_999, False, 0),  # CDM sample 08, English 2016; JPMorgan / Cambridge 2017
        (250_000, 249_999, True, 250_000),  # both: zero if an event of default has happened to the party
        (250_000, 1, True, 10_000),
        (250_000, 250_001, False, 260_000),
    ],
)
def test_variation_margin_annexes_of_2016(minimum: int, missing: int, in_default: bool, expected: int) -> None:
    """No threshold, no independent amount; deliveries up, returns down to 10,000s in all four."""
    annex = terms(minimum_transfer=D(minimum), zero_in_default="minimum_transfer")
    result = call(5_000_000 + missing, 5_000_000, annex, secured=annex, pledgor_in_default=in_default)
    assert result.amount == expected


def test_cdm_sample_01_initial_margin_2018() -> None:
    """Threshold 2,000,000, minimum 30,000, 10,000s up and down, distinct margin flow: nothing is netted."""
    both = terms(threshold=D(2_000_000), minimum_transfer=D(30_000))
    # they: 5,400,000 - 2,000,000 - 3,375,000 = 25,000 < 30,000; we: 2,512,000 - 2,000,000 = 512,000, up
    stand = Exposure(D(5_400_000), of_them=D(2_512_000), held_by_us=D(3_375_000))
    legs = margin_call_each_way(both, both, stand)
    assert moved(legs["them"]) == ("none", D(0)) and moved(legs["us"]) == ("delivery", D(520_000))


# tables


def table(*rows: dict[str, object]) -> pd.DataFrame:
    usual: dict[str, object] = {
        "agreement_id": "A", "currency": "USD", "exposure": "-642500", "held_by_us": "0", "held_by_them": "0",
    }  # fmt: skip
    return pd.DataFrame([{**usual, **row} for row in rows], dtype=object)


def test_a_table_gives_the_same_as_the_function_row_by_row() -> None:
    frame = table(
        {"delivery_unit": "10000", "minimum_transfer_us": "250000"},
        {"agreement_id": "B", "exposure": "1204300", "held_by_them": "800000", "delivery_unit": 10_000},
        {"agreement_id": "C", "exposure": 50_000.25, "minimum_transfer_them": 100_000},
        {"agreement_id": "D", "exposure": 0},
    )
    calls = margin_calls(frame)
    assert calls[["call_id", "party", "action", "amount"]].values.tolist() == [
        ["A", "us", "delivery", D(650_000)],  # 642,500 up
        ["B", "them", "return", D(800_000)],
        ["B", "them", "delivery", D(1_210_000)],  # 1,204,300 up
        ["C", "them", "none", D(0)],  # 50,000.25 < 100,000
        ["D", None, "none", D(0)],
    ]
    assert calls["note"].tolist()[3:] == [
        "a delivery of 50,000.25 is below the minimum transfer amount 100,000",
        "what is held is what is required, on both sides",
    ]


def test_floats_are_the_decimals_they_were_written_as() -> None:
    (amount,) = margin_calls(table({"exposure": -0.3, "held_by_them": 0.1}))["amount"]
    assert amount == D("0.2")


def test_what_we_deliver_is_a_books_calls_and_nothing_else_is() -> None:
    frame = table(
        {"margin_type": "vm", "due": "2026-03-25T17:00:00+00:00", "call_id": "MC1"},
        {"agreement_id": "B", "exposure": "500000"},  # they deliver
        {"agreement_id": "C", "exposure": "0", "held_by_us": "500000"},  # we return
    )
    calls = calls_on_us(margin_calls(frame))
    assert calls.values.tolist() == [["MC1", "A", D(642_500), "USD", "2026-03-25T17:00:00+00:00", "vm"]]
    book = Book.from_tables(
        {
            "assets": pd.DataFrame({"asset_id": ["USD"], "asset_type": "cash", "currency": "USD"}),
            "holdings": pd.DataFrame({"holding_id": ["H"], "asset_id": ["USD"], "quantity": [1e6]}),
            "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["Bank"], "schedule": ["cash"]}),
            "calls": calls,
        },
        settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD"},
        schedules={"cash": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}]}},
    )
    assert optimise(book).allocation["quantity"].tolist() == [642_500.0]


def test_an_empty_table_makes_no_calls() -> None:
    assert calls_on_us(margin_calls(table({}).iloc[:0])).empty


BAD: dict[str, tuple[dict[str, object], str, str]] = {
    "an empty cell": ({"held_by_us": None}, "R101", "held_by_us"),
    "a blank cell": ({"exposure": "  "}, "R101", "exposure"),
    "thousands separators": ({"exposure": "1,000"}, "R102", "exposure"),
    "a number that is none": ({"exposure": "nan"}, "R102", "exposure"),
    "a yes": ({"threshold_us": True}, "R102", "threshold_us"),
    "an infinite exposure": ({"exposure": "inf"}, "R103", "exposure"),
    "an infinite minimum": ({"minimum_transfer_us": "infinity"}, "R103", "minimum_transfer_us"),
    "less than nothing held": ({"held_by_them": "-1"}, "R103", "held_by_them"),
    "a threshold below zero": ({"threshold_us": "-5"}, "R103", "threshold_us"),
    "a threshold below everything": ({"threshold_us": "-infinity"}, "R103", "threshold_us"),
    "a unit of zero": ({"delivery_unit": "0"}, "R103", "delivery_unit"),
    "an amount nobody owes": ({"exposure": "1e18"}, "R103", "exposure"),
    "too many decimals": ({"exposure": "1e-400"}, "R103", "exposure"),
    "a word in capitals": ({"return_rounding": "DOWN", "return_unit": 1}, "R104", "return_rounding"),
    "a party nobody knows": ({"in_default": "me"}, "R104", "in_default"),
    "a currency in small letters": ({"currency": "usd"}, "R105", "currency"),
    "a default without its terms": ({"in_default": "us"}, "R107", "zero_in_default_us"),
    "a number for a name": ({"agreement_id": 7}, "R108", "agreement_id"),
    "initial margin of one side": ({"margin_type": "im", "exposure": "5"}, "R109", "exposure_them"),
    "initial margin below zero": ({"margin_type": "im", "exposure_them": "1"}, "R103", "exposure"),
    "variation margin of two sides": ({"exposure_them": "5"}, "R110", "exposure_them"),
    "more pending than held": ({"pending_to_us": "-1"}, "R111", "pending_to_us"),
    "a direction without a unit": ({"delivery_rounding": "up"}, "R112", "delivery_rounding"),
    "an independent amount in initial margin": (
        {"margin_type": "im", "exposure": "5", "exposure_them": "5", "independent_us": "1"},
        "R113",
        "independent_us",
    ),
    "a misspelt column": ({"treshold_us": "5"}, "R207", "treshold_us"),
    "another name for a term": ({"MTA": "5"}, "R207", "MTA"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_cell_is_one_finding_with_row_column_and_remedy(name: str) -> None:
    cells, code, column = BAD[name]
    with pytest.raises(BookError) as caught:
        margin_calls(table({"agreement_id": "first"}, cells))
    (finding,) = caught.value.findings
    assert (finding.code, finding.column, finding.severity) == (code, column, "error")
    assert finding.row == (None if code == "R207" else 3) and finding.action
    if finding.value is not None:
        assert finding.value == str(cells.get(column, "-642500")) and finding.value in finding.cause


def test_all_findings_come_at_once() -> None:
    frame = table(
        {"exposure": "x", "held_by_us": "-1"},
        {"threshold_us": "y"},  # and the call of row 2 again
    ).drop(columns="currency")
    with pytest.raises(BookError) as caught:
        margin_calls(frame)
    assert sorted(f.code for f in caught.value.findings) == ["R102", "R102", "R103", "R106", "R203"]


def test_a_column_that_is_no_term_is_left_alone() -> None:
    assert len(margin_calls(table({"trader": "Ann", "exposure_date": "2026-03-24", "counterparty": "Bank"}))) == 1


# files and the command


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collateral_opt", "requirement", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def test_the_example_gives_its_books_calls_to_the_byte(tmp_path: Path) -> None:
    out = tmp_path / "out" / "calls.csv"
    done = run(EXAMPLE / "margin" / "exposures.csv", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == (EXAMPLE / "calls.csv").read_bytes()
    assert [re.split(r"\s{2,}", line, maxsplit=3) for line in done.stdout.splitlines()[:6]] == [
        ["NORTHGATE", "we deliver", "150,000 USD"],
        ["ASHFORD", "they deliver", "650,000 USD"],
        ["MERIDIAN", "we deliver", "1,210,000 USD"],
        ["MERIDIAN", "we return", "800,000 USD"],
        ["LINDEN", "nothing moves", "a delivery of 60,000 is below the minimum transfer amount 100,000"],
        ["CALDER", "we deliver", "520,000 USD"],
    ]


def test_the_examples_calls_are_covered_at_the_cost_of_its_readme() -> None:
    result = optimise(read_book(EXAMPLE))
    # 150,000 / 0.98 in lots of 1,000, 1,210,000 / 0.98, 520,000 / 0.98; x 12 / 10,000 / 4
    quantities = result.allocation.set_index("call_id")["quantity"].to_dict()
    assert quantities == {"NORTHGATE": 154_000, "MERIDIAN": 1_235_000, "CALDER": 531_000}
    assert result.total_cost == pytest.approx(576.00, abs=1e-9)


def test_the_steps_are_shown_when_asked_for() -> None:
    done = run(EXAMPLE / "margin" / "exposures.csv", "--steps")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1:4] == [
        "exposure of the secured party 12,340,000",
        "plus independent amount of the pledgor 1,000,000",
        "less independent amount of the secured party 0",
    ]
    assert "not more than" not in done.stdout and lines.count("return amount 800,000") == 1


def test_nothing_is_overwritten_unless_asked_for_and_the_input_never(tmp_path: Path) -> None:
    source, out = tmp_path / "exposures.csv", tmp_path / "calls.csv"
    source.write_bytes((EXAMPLE / "margin" / "exposures.csv").read_bytes())
    out.write_text("mine")
    assert run(source, "--out", out).returncode == 2 and out.read_text() == "mine"
    assert run(source, "--out", tmp_path / "calls.txt").returncode == 2
    assert run(source, "--out", source, "--force").returncode == 2
    assert run(source, "--out", out, "--force").returncode == 0
    assert out.read_bytes() == (EXAMPLE / "calls.csv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calls.csv", "exposures.csv"]


def test_a_bad_table_is_exit_status_2_with_all_findings_and_nothing_written(tmp_path: Path) -> None:
    bad = tmp_path / "exposures.csv"
    bad.write_text("agreement_id,currency,exposure,held_by_us,held_by_them\nA,usd,x,0,0\n\nB,USD,1,0,0,7\nC,USD,,0,0\n")
    done = run(bad, "--out", tmp_path / "calls.csv")
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("4 errors\n")
    for words in ("R105 row 2, currency: usd", "R102 row 2, exposure: x", "R205 row 4", "R101 row 5, exposure"):
        assert words in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["exposures.csv"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "R202"),
        (b"a;b\n1;2\n", "R202"),
        (b"\xff\xfe\x00a", "R202"),
        (b'a,b\n"x,1\n', "R202"),
        (b"agreement_id,currency,exposure,held_by_us,held_by_them\n", "R206"),
        (b"agreement_id,currency,exposure,held_by_us,held_by_them,exposure\nA,USD,1,0,0,2\n", "R204"),
    ],
)
def test_a_file_that_is_no_such_table_is_a_finding(content: bytes, code: str, tmp_path: Path) -> None:
    file = tmp_path / "exposures.csv"
    file.write_bytes(content)
    with pytest.raises(BookError) as caught:
        margin_calls(read_exposures(file))
    assert [f.code for f in caught.value.findings] == [code]


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(BookError, match="R201"):
            read_exposures(path)


def test_amounts_are_written_as_plain_digits(tmp_path: Path) -> None:
    calls = margin_calls(table({"delivery_unit": "1e4"}, {"agreement_id": "B", "exposure": "-0.000001"}))
    assert write_calls(calls, tmp_path / "calls.csv") == 2
    lines = (tmp_path / "calls.csv").read_text().splitlines()
    assert lines == ["call_id,agreement_id,amount,currency", "A,A,650000,USD", "B,B,0.000001,USD"]
    assert calls_text(calls).splitlines()[1].endswith("0.000001 USD")


def test_every_code_is_on_the_page_and_the_page_knows_no_other() -> None:
    page = (ROOT / "docs" / "requirement.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (R\d{3}) \| (.*) \|$", page, re.M))
    assert set(rows) == set(CODES)
    for code, (cause, remedy) in CODES.items():
        told = (cause[0].upper() + cause[1:], remedy.replace("{hint}", ""))
        assert rows[code] == " | ".join(told), code


def test_importing_it_takes_no_pandas() -> None:
    script = "import sys, collateral_opt.requirement; assert not {'pandas', 'numpy', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
