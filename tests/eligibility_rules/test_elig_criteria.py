"""Each leaf alone: where it is true, where it is false, where it is unknown, and exactly on its boundary."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from eligibility_rules import Context, Facts, ScheduleError, match, parse_schedule
from eligibility_rules.criteria import Evaluation, add_tenor

TODAY = date(2026, 7, 1)
T, F, U = 1, -1, 0


def truth(leaf: dict[str, Any], context: Context | None = None, **columns: list[Any]) -> list[int]:
    """Truth of one criterion over assets given as columns."""
    schedule = parse_schedule({"rules": [{"when": leaf, "haircut": 0}]}, "one")
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    for name in ("duration", "outstanding"):
        if name in frame:
            frame[name] = frame[name].astype("float64")
    for name in ("issue_date", "maturity_date"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name]).astype("datetime64[ns]")
    context = context or Context(TODAY, "USD")
    return Evaluation(Facts(frame), context).truth(schedule.rules[0].when).tolist()


def test_column_value_is_true_false_or_unknown() -> None:
    assert truth({"issuer_country": "US"}, issuer_country=["US", "DE", None]) == [T, F, U]


def test_column_list_takes_any_of_its_values() -> None:
    assert truth({"issuer_country": ["US", "NO"]}, issuer_country=["NO", "US", "DE", None]) == [T, T, F, U]


def test_nan_and_blank_cells_are_unknown_as_none_is() -> None:
    assert truth({"sector": "energy"}, sector=[np.nan, "", "  ", None, " energy "]) == [U, U, U, U, T]


def test_known_column_absent_from_the_table_is_unknown_everywhere() -> None:
    assert truth({"secured_type": "plain"}, issuer=["a", "b"]) == [U, U]
    assert truth({"taxonomy_emir": "A"}, issuer=["a", "b"]) == [U, U]
    assert truth({"duration": {"le": 7}}, issuer=["a"]) == [U]
    assert truth({"maturity": {"remaining": {"le": "5Y"}}}, issuer=["a"]) == [U]


def test_numeric_extra_column_is_compared_as_numbers() -> None:
    frame = pd.DataFrame({"tier": [1.0, 2.0, np.nan]})
    schedule = parse_schedule({"rules": [{"when": {"tier": ["1", "3.0"]}, "haircut": 0}]}, "s")
    assert Evaluation(Facts(frame), Context(TODAY, "USD")).truth(schedule.rules[0].when).tolist() == [T, F, U]


def test_boolean_column_and_boolean_text_compare_in_any_case() -> None:
    schedule = parse_schedule({"rules": [{"when": {"qualified": True}, "haircut": 0}]}, "s")
    for cells in (pd.Series([True, False]), pd.Series(["TRUE", "False"], dtype=object)):
        facts = Facts(pd.DataFrame({"qualified": cells}))
        assert Evaluation(facts, Context(TODAY, "USD")).truth(schedule.rules[0].when).tolist() == [T, F]


def test_text_is_compared_in_its_case() -> None:
    assert truth({"sector": "Energy"}, sector=["Energy", "energy"]) == [T, F]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("lt", [T, F, F, U]), ("le", [T, T, F, U]), ("gt", [F, F, T, U]), ("ge", [F, T, T, U])],
)
def test_comparison_at_below_and_above_its_bound(word: str, expected: list[int]) -> None:
    assert truth({"duration": {word: 7}}, duration=[6.9, 7.0, 7.1, np.nan]) == expected


def test_both_bounds_of_a_comparison_hold_together() -> None:
    assert truth({"duration": {"gt": 1, "le": 7}}, duration=[1.0, 1.1, 7.0, 7.1]) == [F, T, T, F]


def test_dates_are_compared_as_dates() -> None:
    cells = ["2019-12-31", "2020-01-01", None]
    assert truth({"issue_date": {"ge": "2020-01-01"}}, issue_date=cells) == [F, T, U]
    assert truth({"issue_date": "2020-01-01"}, issue_date=cells) == [F, T, U]


def test_comparison_on_a_text_column_is_an_error_that_names_it() -> None:
    schedule = parse_schedule({"rules": [{"label": "x", "when": {"grade": {"le": 7}}, "haircut": 0}]}, "s")
    frame = pd.DataFrame({"asset_id": ["a"], "grade": pd.Series(["A1"], dtype=object)})
    with pytest.raises(ScheduleError, match=r"s: rule 1 'x': grade holds text \(A1\)"):
        match(schedule, frame, Context(TODAY, "USD"))


# -------------------- maturity


def test_remaining_maturity_on_its_last_day() -> None:
    # 2026-07-01 + 5Y = 2031-07-01
    cells = ["2031-06-30", "2031-07-01", "2031-07-02", None]
    assert truth({"maturity": {"remaining": {"le": "5Y"}}}, maturity_date=cells) == [T, T, F, U]
    assert truth({"maturity": {"remaining": {"lt": "5Y"}}}, maturity_date=cells) == [T, F, F, U]
    assert truth({"maturity": {"remaining": {"gt": "5Y"}}}, maturity_date=cells) == [F, F, T, U]
    assert truth({"maturity": {"remaining": {"ge": "5Y"}}}, maturity_date=cells) == [F, T, T, U]


def test_remaining_maturity_between_two_bounds() -> None:
    cells = ["2027-07-01", "2027-07-02", "2031-07-01", "2031-07-02"]
    assert truth({"maturity": {"remaining": {"gt": "1Y", "le": "5Y"}}}, maturity_date=cells) == [F, T, T, F]


def test_months_weeks_and_days() -> None:
    assert truth({"maturity": {"remaining": {"le": "6M"}}}, maturity_date=["2027-01-01", "2027-01-02"]) == [
        T,
        F,
    ]
    assert truth({"maturity": {"remaining": {"le": "2W"}}}, maturity_date=["2026-07-15", "2026-07-16"]) == [
        T,
        F,
    ]
    assert truth({"maturity": {"remaining": {"le": "30D"}}}, maturity_date=["2026-07-31", "2026-08-01"]) == [
        T,
        F,
    ]


def test_end_of_month_is_clipped() -> None:
    # 31 August + 6M = 28 February
    context = Context(date(2026, 8, 31), "USD")
    leaf = {"maturity": {"remaining": {"le": "6M"}}}
    assert truth(leaf, context, maturity_date=["2027-02-28", "2027-03-01"]) == [T, F]


def test_original_maturity_needs_both_dates() -> None:
    assert truth(
        {"maturity": {"original": {"le": "5Y"}}},
        issue_date=["2020-02-29", "2020-02-29", None, "2020-01-01"],
        maturity_date=["2025-02-28", "2025-03-01", "2025-01-01", None],
    ) == [T, F, U, U]


def test_time_since_issue() -> None:
    # as_of 2026-07-01 <= issue + 5Y
    cells = ["2021-07-01", "2021-06-30", None]
    assert truth({"maturity": {"since_issue": {"le": "5Y"}}}, issue_date=cells) == [T, F, U]


@given(st.dates(date(1950, 1, 1), date(2080, 12, 31)), st.integers(0, 600), st.sampled_from(["Y", "M", "W", "D"]))
def test_calendar_arithmetic_agrees_with_dateutil(start: date, count: int, unit: str) -> None:
    count = count // 12 if unit == "Y" else count
    names = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
    expected = start + relativedelta(**{names[unit]: count})  # type: ignore[arg-type]
    assert add_tenor(np.array([start], dtype="datetime64[D]"), f"{count}{unit}")[0] == np.datetime64(expected)


# -------------------- ratings


def rated(**rating: Any) -> dict[str, Any]:
    return {"rating": {"agencies": ["sp", "moodys", "fitch"], **rating}}


def test_at_least_and_at_most_on_the_boundary() -> None:
    cells = ["AA", "AA-", "A+", None]
    assert truth({"rating": {"at_least": "AA-"}}, rating_sp=cells) == [T, T, F, U]
    assert truth({"rating": {"at_most": "AA-"}}, rating_sp=cells) == [F, T, T, U]
    assert truth({"rating": {"at_least": "AA-", "at_most": "AA-"}}, rating_sp=cells) == [F, T, F, U]


def test_agencys_own_letters_mean_the_same_step() -> None:
    assert truth({"rating": {"at_least": "Aa3"}}, rating_sp=["AA-", "A+"]) == [T, F]
    assert truth({"rating": {"at_least": "AA-"}}, rating_moodys=["Aa3", "A1"]) == [T, F]
    assert truth({"rating": {"at_least": "AA (low)"}}, rating_dbrs=["AA (low)", "A (high)"]) == [T, F]


@pytest.mark.parametrize(
    ("resolve", "sp", "moodys", "fitch", "expected"),
    [
        # at least A- is step 7; AA- 4, A- 7, BBB+ 8, BBB 9
        ("lowest", "AA-", "A3", "BBB+", F),
        ("lowest", "AA-", "A3", "A-", T),
        ("highest", "BBB", "Baa2", "A-", T),
        ("highest", "BBB", "Baa2", "BBB+", F),
        ("second_best", "AA-", "A3", "BBB", T),
        ("second_best", "AA-", "Baa1", "BBB", F),
        ("second_best", "A-", None, None, T),
        ("second_best", "BBB", None, None, F),
        ("second_best", "A-", "A3", "BBB", T),
        ("average", "A", "Baa1", None, T),  # (6 + 8) / 2 = 7
        ("average", "A", "Baa1", "BBB+", F),  # (6 + 8 + 8) / 3 = 7.33
        ("average", "BBB+", None, None, F),
        ("any", "BBB", "Baa2", "A-", T),
        ("any", "BBB", "Baa2", "BBB+", F),
        ("any", "A-", None, None, T),
    ],
)
def test_resolving_over_agencies(
    resolve: str, sp: str | None, moodys: str | None, fitch: str | None, expected: int
) -> None:
    leaf = rated(at_least="A-", resolve=resolve)
    assert truth(leaf, rating_sp=[sp], rating_moodys=[moodys], rating_fitch=[fitch]) == [expected]


@pytest.mark.parametrize("resolve", ["lowest", "highest", "second_best", "average", "any"])
def test_no_rating_is_unknown_however_resolved(resolve: str) -> None:
    leaf = rated(at_least="A-", resolve=resolve)
    assert truth(leaf, rating_sp=[None, "NR"], rating_moodys=[None, "WR"], rating_fitch=[None, None]) == [
        U,
        U,
    ]


def test_any_with_two_bounds_needs_one_agency_within_both() -> None:
    # A+ .. BBB+ is 5..8: AAA (1) and BB (12) enclose it, and neither lies in it
    leaf = rated(at_least="BBB+", at_most="A+", resolve="any")
    assert truth(leaf, rating_sp=["AAA", "AAA"], rating_moodys=["Ba2", "A2"]) == [F, T]


def test_first_scope_with_a_rating_counts() -> None:
    leaf = {"rating": {"scope": ["asset", "issuer", "sovereign"], "at_least": "A-", "agencies": ["sp"]}}
    assert truth(
        leaf,
        rating_sp=["BBB", "A", None, None, None],
        issuer_rating_sp=["AAA", "BBB", "A", None, None],
        sovereign_rating_sp=["AAA", "BBB", "BBB", "AAA", None],
    ) == [F, T, T, T, U]


def test_agencies_that_are_not_named_do_not_count() -> None:
    leaf = {"rating": {"at_least": "A-", "agencies": ["sp"]}}
    assert truth(leaf, rating_sp=[None, "A"], rating_moodys=["Aaa", "B1"]) == [U, T]


def test_rating_nobody_knows_names_column_asset_and_value() -> None:
    schedule = parse_schedule({"rules": [{"when": {"rating": {"at_least": "A"}}, "haircut": 0}]}, "s")
    frame = pd.DataFrame({"asset_id": ["a", "b"], "rating_sp": ["A", "A++"], "rating_moodys": ["Aa9", None]})
    with pytest.raises(ScheduleError) as caught:
        match(schedule, frame, Context(TODAY, "USD"))
    assert [(p.value, p.message.split(":")[0]) for p in caught.value.problems] == [
        ("Aa9", "rating_moodys of asset a"),
        ("A++", "rating_sp of asset b"),
    ]


# -------------------- own issue and domestic currency

FAMILY = Context(TODAY, "USD", owner_parent="Acme")


def test_own_issue_by_issuer_or_by_its_parent() -> None:
    assert truth(
        {"own_issue": True},
        FAMILY,
        asset_type=["debt"] * 5,
        issuer=["Acme", "Acme Finance", "Other", None, None],
        issuer_parent=[None, "Acme", "Big", None, "Acme"],
    ) == [T, T, F, U, T]


def test_own_issue_false_is_the_opposite() -> None:
    assert truth({"own_issue": False}, FAMILY, issuer=["Acme", "Other", None]) == [F, T, U]


def test_an_issuer_without_a_parent_on_record_stands_for_itself() -> None:
    assert truth({"own_issue": True}, FAMILY, issuer=["Other"], issuer_parent=[None]) == [F]


def test_cash_is_never_an_own_issue() -> None:
    kinds = {"asset_type": ["cash", "debt"], "issuer": [None, None]}
    assert truth({"own_issue": True}, FAMILY, **kinds) == [F, U]
    assert truth({"own_issue": True}, None, **kinds) == [F, U]


def test_own_issue_is_unknown_while_the_owner_is() -> None:
    assert truth({"own_issue": True}, asset_type=["debt"], issuer=["Other"]) == [U]


def test_domestic_currency_of_the_issuers_country() -> None:
    assert truth(
        {"domestic_currency": True},
        issuer_country=["US", "US", "DE", "NO", None, "ZZ", "PA"],
        currency=["USD", "EUR", "EUR", "NOK", "USD", "USD", "USD"],
    ) == [T, F, T, T, U, U, T]
    assert truth({"domestic_currency": False}, issuer_country=["US", "US"], currency=["USD", "EUR"]) == [F, T]


def test_domestic_currency_on_the_day() -> None:
    columns = {"issuer_country": ["HR", "HR"], "currency": ["HRK", "EUR"]}
    assert truth({"domestic_currency": True}, Context(date(2020, 1, 1), "USD"), **columns) == [T, F]
    assert truth({"domestic_currency": True}, Context(TODAY, "USD"), **columns) == [F, T]


# -------------------- all, any, not

COMBINATIONS = {
    "sector": ["x", "x", "x", "y", "y", "y", None, None, None],
    "index": ["x", "y", None, "x", "y", None, "x", "y", None],
}
PAIR = [{"sector": "x"}, {"index": "x"}]


def test_false_beats_unknown_within_all() -> None:
    assert truth({"all": PAIR}, **COMBINATIONS) == [T, F, U, F, F, F, U, F, U]


def test_true_beats_unknown_within_any() -> None:
    assert truth({"any": PAIR}, **COMBINATIONS) == [T, T, T, T, F, U, T, U, U]


def test_not_unknown_is_unknown() -> None:
    assert truth({"not": {"sector": "x"}}, sector=["x", "y", None]) == [F, T, U]


def test_no_assets_at_all() -> None:
    for leaf in (
        {"sector": "x"},
        {"duration": {"le": 1}},
        {"maturity": {"original": {"le": "1Y"}}},
        {"own_issue": True},
        {"rating": {"at_least": "A", "resolve": "second_best"}},
        {"domestic_currency": True},
        {"all": PAIR},
    ):
        assert truth(leaf, sector=[]) == []
