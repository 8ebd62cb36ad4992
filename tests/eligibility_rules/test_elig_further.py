"""Haircuts on top of those of the rules, and what a schedule says of itself beside its rules."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eligibility_rules import Context, Match, ScheduleError, load_schedule, match, parse_schedule
from eligibility_rules.columns import known_kind
from eligibility_rules.vocabulary import Schedule

USD = Context(date(2026, 7, 1), "USD")


def read(further: list[dict[str, Any]], frame: dict[str, list[Any]], context: Context = USD, **more: Any) -> Match:
    n = len(next(iter(frame.values())))
    columns = {"asset_id": [f"a{i}" for i in range(n)], "currency": ["USD"] * n, **frame}
    schedule = parse_schedule(
        {"rules": [{"label": "all", "haircut": "0.02"}], "further_haircuts": further, **more}, "s"
    )
    return match(schedule, pd.DataFrame(columns, dtype=object), context)


def factors(found: Match) -> list[Fraction]:
    return [found.factors[code] if code >= 0 else Fraction(0) for code in found.factor_code.tolist()]


ZERO = {"label": "zero coupon", "select": {"interest": "zero"}, "rate": "0.01"}
CANADA = {"label": "Canada", "select": {"issuer_country": "CA"}, "rate": "0.03", "combine": "multiplicative"}


def test_a_further_haircut_comes_off_the_selected_assets_and_off_those_it_cannot_tell() -> None:
    found = read([ZERO], {"interest": ["zero", "fixed", None]})
    assert factors(found) == [Fraction(97, 100), Fraction(98, 100), Fraction(97, 100)]
    assert found.factor.tolist() == [0.97, 0.98, 0.97]


def test_further_haircuts_come_off_in_the_order_written_and_the_fx_haircut_last() -> None:
    frame = {"interest": ["zero"], "issuer_country": ["CA"], "currency": ["CAD"]}
    # (0.98 - 0.01) 0.97 - 0.08 and 0.98 x 0.97 - 0.01 - 0.08
    assert factors(read([ZERO, CANADA], frame, fx_haircut={"rate": "0.08"})) == [Fraction("0.8609")]
    assert factors(read([CANADA, ZERO], frame, fx_haircut={"rate": "0.08"})) == [Fraction("0.8606")]
    # the FX haircut stands last wherever its key stands: (0.98 x 0.97 - 0.01) 0.92
    fx = {"rate": "0.08", "combine": "multiplicative"}
    assert factors(read([CANADA, ZERO], frame, fx_haircut=fx)) == [Fraction("0.865352")]


def test_each_asset_bears_its_own_combination() -> None:
    frame = {"interest": ["zero", "zero", "fixed", "fixed"], "issuer_country": ["CA", "US", "CA", "US"]}
    expected = [Fraction("0.9409"), Fraction("0.97"), Fraction("0.9506"), Fraction("0.98")]
    assert factors(read([ZERO, CANADA], frame)) == expected


def test_many_further_haircuts_make_no_more_factors_than_occur() -> None:
    # 40 of them select one country each: the combinations that could occur are 2^40
    further = [{"select": {"issuer_country": f"C{n}"}, "rate": f"0.0{n:02}"} for n in range(40)]
    found = read(further, {"issuer_country": [f"C{n}" for n in range(40)]})
    assert factors(found) == [Fraction(98, 100) - Fraction(n, 1000) for n in range(40)]


@pytest.mark.parametrize(("margin_type", "factor"), [("im", "0.97"), ("vm", "0.98"), (None, "0.97")])
def test_a_further_haircut_of_a_margin_type(margin_type: str | None, factor: str) -> None:
    context = Context(date(2026, 7, 1), "USD", margin_type)
    found = read([{**ZERO, "margin_type": "im"}], {"interest": ["zero"]}, context)
    assert factors(found) == [Fraction(factor)]
    assert found.schedule.margin_sensitive


def test_no_value_left_is_refused_and_the_sentence_says_what_came_off() -> None:
    found = read([ZERO, {"label": "old", "rate": "0.97"}], {"interest": ["zero", "fixed"]})
    assert found.eligible.tolist() == [False, True]
    assert found.why(0).sentence == (
        "refused: 'all' leaves no value, at haircut 2 % plus 1 % (zero coupon) plus 97 % (old)"
    )
    assert found.why(1).sentence == "eligible under 'all' at haircut 2 % plus 97 % (old)"


def test_the_sentence_tells_adding_from_multiplying() -> None:
    found = read(
        [ZERO, CANADA],
        {"interest": ["zero"], "issuer_country": ["CA"], "currency": ["CAD"]},
        fx_haircut={"rate": "0.08"},
    )
    words = "haircut 2 % plus 1 % (zero coupon) and then 3 % (Canada) plus FX 8 %"
    assert found.why(0).sentence == f"eligible under 'all' at {words}"


def test_further_haircuts_of_no_assets_at_all() -> None:
    assert read([ZERO], {"interest": []}).factor.tolist() == []


def test_they_keep_the_order_of_rules() -> None:
    rules = [{"label": "low", "haircut": "0.1"}, {"label": "high", "haircut": "0.2"}]
    found = read([CANADA], {"issuer_country": ["CA"]}, rules=rules, overlap="highest_haircut")
    assert (found.why(0).rule, factors(found)) == ("high", [Fraction("0.776")])


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ({"rate": "3"}, "further haircut 1: rate"),
        ({"label": "x", "rate": "0.03", "combin": "additive"}, "further haircut 1 'x'"),
        ({"label": "x", "rate": "0.03", "combine": "added"}, "which is not known"),
        ({"label": "x"}, "rate is missing"),
        ({"label": "x", "rate": "0.03", "select": {"duration": "long"}}, "duration is a number"),
        ({"label": "x", "rate": "0.03", "when": "differs_from_base"}, "when is not known here"),
    ],
)
def test_what_a_further_haircut_gets_wrong_is_told_with_its_place(further: dict[str, Any], words: str) -> None:
    with pytest.raises(ScheduleError) as failed:
        read([further], {"interest": ["zero"]})
    assert words in str(failed.value)
    assert "further haircut 1" in str(failed.value)


def test_an_empty_list_of_further_haircuts_is_a_slip(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("further_haircuts:\nrules: [{haircut: 0}]\n", encoding="utf-8")
    with pytest.raises(ScheduleError, match="further_haircuts is empty"):
        load_schedule(tmp_path / "s.yaml")


def test_their_columns_are_the_schedules_columns() -> None:
    schedule = parse_schedule({"rules": [{"haircut": 0}], "further_haircuts": [ZERO, CANADA]}, "s")
    assert schedule.columns == {"interest", "issuer_country"}
    assert [where for where, _ in schedule.criteria()] == [
        "further haircut 1 'zero coupon'",
        "further haircut 2 'Canada'",
    ]
    with pytest.raises(ScheduleError, match="assets have no column colour"):
        read([{"rate": "0.01", "select": {"colour": "red"}}], {"interest": ["zero"]})


# -------------------- what a schedule says of itself


def said(**fields: Any) -> Schedule:
    return parse_schedule({"rules": [{"haircut": 0}], **fields}, "s")


@pytest.mark.parametrize("as_of", ["2026-07-01", "2026-07", "2013", "undated", date(2026, 7, 1)])
def test_a_schedule_is_of_a_day_a_month_a_year_or_undated(as_of: Any) -> None:
    assert said(as_of=as_of).as_of == str(as_of)


@pytest.mark.parametrize("as_of", ["July 2026", "2026-13", "2026-02-30", "1.7.2026"])
def test_a_date_that_is_none_is_refused(as_of: str) -> None:
    with pytest.raises(ScheduleError, match="is not a date"):
        said(as_of=as_of)


def test_without_a_date_nothing_is_said() -> None:
    assert (said().as_of, said(as_of="").as_of, said().leaves_out) == (None, None, ())


def test_what_is_left_out_is_a_list_of_texts() -> None:
    assert said(leaves_out=["loans", "funds"]).leaves_out == ("loans", "funds")
    assert said(leaves_out="loans").leaves_out == ("loans",)
    assert said(leaves_out=[]).leaves_out == ()
    with pytest.raises(ScheduleError, match="is not a single value"):
        said(leaves_out=[{"laxer": "loans"}])


def test_risk_weight_is_a_number_that_a_schedule_may_ask_for() -> None:
    assert known_kind("risk_weight") == "number"
    rules = [{"when": {"risk_weight": ["0.2", "0.5"]}, "haircut": 0}]
    schedule = parse_schedule({"rules": rules}, "s")
    frame = pd.DataFrame({"asset_id": ["a", "b", "c", "d"], "risk_weight": [0.2, 0.5, 1.0, None]})
    assert match(schedule, frame, USD).eligible.tolist() == [True, True, False, False]
    absent = match(schedule, frame[["asset_id"]], USD)
    assert absent.why(0).missing == ("risk_weight",)


def test_codes_of_the_collateral_asset_definitions_are_checked() -> None:
    assert parse_schedule({"rules": [{"when": {"taxonomy_icad": ["US-TBILL", "none"]}, "haircut": 0}]}, "s").rules
    with pytest.raises(ScheduleError, match=r"US-TBIL is not a code of taxonomy_icad.*US-TBILL"):
        parse_schedule({"rules": [{"when": {"taxonomy_icad": "US-TBIL"}, "haircut": 0}]}, "s")
