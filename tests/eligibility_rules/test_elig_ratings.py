"""The scale of 22 steps, the letters of four agencies, and what vendors write around them."""

from __future__ import annotations

from datetime import date

import pytest

from eligibility_rules import currencies_of, minor_unit, rating_step
from eligibility_rules.ratings import data_rows


def test_the_scale_has_22_steps_and_all_letters_of_a_step_mean_it() -> None:
    rows = data_rows("rating_scale.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 23))
    for row in rows:
        for agency in ("sp", "moodys", "fitch", "dbrs"):
            assert rating_step(row[agency], agency) == rating_step(row[agency]) == int(row["step"])


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("AAA", 1),
        ("Aaa", 1),
        ("AA-", 4),
        ("Aa3", 4),
        ("AAL", 4),
        ("BBB-", 10),
        ("Baa3", 10),
        ("Caa3", 19),
        ("D", 22),
    ],
)
def test_letters_by_hand(text: str, step: int) -> None:
    assert rating_step(text) == step


@pytest.mark.parametrize("text", ["AA (high)", "AA(high)", "AA high", "aa (HIGH)", "AAH"])
def test_dbrs_notches_in_words(text: str) -> None:
    assert rating_step(text, "dbrs") == 2


def test_dbrs_low_and_middle() -> None:
    assert (rating_step("BBB (low)", "dbrs"), rating_step("BBB (middle)", "dbrs")) == (10, 9)


@pytest.mark.parametrize(
    "text",
    [
        "AA- *-",
        "AA- *+",
        "AA-*-",
        "AA- *",
        "AA-/*-",
        "AA- (sf)",
        "AA-sf",
        "AA-u",
        " AA- ",
        "aa-",
        "AA- (sf) *-",
    ],
)
def test_review_marks_structured_and_unsolicited_change_nothing(text: str) -> None:
    assert rating_step(text, "sp") == 4


@pytest.mark.parametrize("text", ["NR", "nr", "WR", "WD", "N/A", "#N/A N/A", "(P)Aa3", "Aa3(EXP)", "AA-e", "AA-(e)"])
def test_unrated_withdrawn_and_expected_are_no_rating(text: str) -> None:
    assert rating_step(text, "moodys") is None


@pytest.mark.parametrize("text", ["SD", "RD", "DDD", "DD", "D"])
def test_every_default_is_the_last_step(text: str) -> None:
    assert rating_step(text) == 22


@pytest.mark.parametrize(
    ("text", "agency"),
    [
        ("zaAA", "sp"),
        ("AA(mex)", "fitch"),
        ("P-1", "moodys"),
        ("A++", "sp"),
        ("", "sp"),
        ("Aa3", "sp"),
        ("AAH", "fitch"),
        ("-A", "sp"),
        ("(P)what", "moodys"),
        ("AA- *-?", "sp"),
    ],
)
def test_anything_else_is_not_a_rating(text: str, agency: str) -> None:
    with pytest.raises(ValueError, match="is not a long-term rating of"):
        rating_step(text, agency)


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("CLP", 0),
        ("ISK", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("CLF", 4),
        ("HUF", 2),
        ("IDR", 2),
    ],
)
def test_decimals_of_a_currency(currency: str, decimals: int) -> None:
    assert minor_unit(currency) == decimals


def test_currency_of_a_country_on_a_day() -> None:
    assert currencies_of("US", date(2026, 7, 1)) == {"USD"}
    assert currencies_of("HR", date(2022, 12, 31)) == {"HRK"}
    assert currencies_of("HR", date(2024, 1, 1)) == {"EUR"}
    assert currencies_of("BG", date(2025, 12, 31)) == {"BGN"}
    assert currencies_of("BG", date(2026, 1, 1)) == {"EUR"}
    assert currencies_of("ZZ", date(2026, 7, 1)) == set()
