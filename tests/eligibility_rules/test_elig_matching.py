"""Which rule wins, at what factor, and what is said of the assets that are refused."""

from __future__ import annotations

import gc
import weakref
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eligibility_rules import (
    Context,
    Facts,
    Match,
    Refusal,
    ScheduleError,
    load_schedule,
    match,
    parse_schedule,
)

USD = Context(date(2026, 7, 1), "USD")


def assets(**columns: list[Any]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    base: dict[str, list[Any]] = {"asset_id": [f"a{i}" for i in range(n)], "currency": ["USD"] * n}
    frame = pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in {**base, **columns}.items()})
    if "maturity_date" in frame:
        frame["maturity_date"] = pd.to_datetime(frame["maturity_date"]).astype("datetime64[ns]")
    return frame


def read(rules: list[dict[str, Any]], frame: pd.DataFrame, context: Context = USD, **schedule: Any) -> Match:
    return match(parse_schedule({"rules": rules, **schedule}, "acme"), frame, context)


def refusals(found: Match) -> list[str]:
    return [Refusal(code).name for code in found.refused.tolist()]


# -------------------- valuations


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("haircut", "0.02", Fraction(98, 100)),
        ("haircut", 0.02, Fraction(98, 100)),
        ("haircut", 0, Fraction(1)),
        ("haircut", "0.1234567890123456789", 1 - Fraction(1234567890123456789, 10**19)),
        ("margin_ratio", "1.02", Fraction(50, 51)),
        ("margin_ratio", 1, Fraction(1)),
        ("valuation_percentage", "0.98", Fraction(49, 50)),
        ("valuation_percentage", "1", Fraction(1)),
    ],
)
def test_each_form_of_haircut_is_exact(form: str, value: Any, expected: Fraction) -> None:
    found = read([{form: value}], assets(sector=["x"]))
    assert found.factors == (expected,)
    assert found.factor.tolist() == [float(expected)]
    assert found.factor_code.tolist() == [0]


def test_fx_haircut_adds_up_or_multiplies() -> None:
    frame = assets(sector=["x", "x", "x"], currency=["USD", "EUR", None])
    # additive: 1 - 0.02 - 0.08 = 0.90; multiplicative: 0.98 * 0.92 = 0.9016; an unknown currency bears it
    found = read([{"haircut": "0.02"}], frame, fx_haircut={"rate": "0.08"})
    assert [found.factors[code] for code in found.factor_code] == [
        Fraction(98, 100),
        Fraction(9, 10),
        Fraction(9, 10),
    ]
    found = read([{"haircut": "0.02"}], frame, fx_haircut={"rate": "0.08", "combine": "multiplicative"})
    assert [found.factors[code] for code in found.factor_code] == [Fraction(98, 100)] + 2 * [Fraction(9016, 10000)]


def test_fx_haircut_looks_at_the_currency_of_the_context() -> None:
    found = read(
        [{"haircut": 0}],
        assets(currency=["USD", "EUR"]),
        Context(date(2026, 7, 1), "EUR"),
        fx_haircut={"rate": "0.08"},
    )
    assert found.factor.tolist() == [0.92, 1.0]


def test_fx_haircut_on_selected_assets_and_where_the_selection_is_unknown() -> None:
    fx = {"rate": "0.08", "select": {"not": {"asset_type": "cash"}}}
    frame = assets(asset_type=["cash", "debt", None], currency=["EUR"] * 3)
    assert read([{"haircut": 0}], frame, fx_haircut=fx).factor.tolist() == [1.0, 0.92, 0.92]


@pytest.mark.parametrize(("margin_type", "factor"), [("im", 0.92), ("vm", 1.0), (None, 0.92)])
def test_fx_haircut_of_a_margin_type_applies_when_the_type_is_unknown(margin_type: str | None, factor: float) -> None:
    context = Context(date(2026, 7, 1), "USD", margin_type)
    fx = {"rate": "0.08", "margin_type": "im"}
    assert read([{"haircut": 0}], assets(currency=["EUR"]), context, fx_haircut=fx).factor.tolist() == [factor]


def test_no_value_left_after_fx_is_not_eligible() -> None:
    found = read([{"label": "x", "haircut": "0.92"}], assets(currency=["EUR", "USD"]), fx_haircut={"rate": "0.08"})
    assert refusals(found) == ["NO_VALUE", "NONE"]
    assert found.factor.tolist() == [0.0, 0.08]
    assert found.rule.tolist() == [0, 0]
    assert found.why(0).sentence == "refused: 'x' leaves no value, at haircut 92 % plus FX 8 %"


# -------------------- overlap

TWO = [{"label": "low", "when": {"sector": "x"}, "haircut": "0.01"}, {"label": "high", "haircut": "0.05"}]


def test_first_true_rule_wins() -> None:
    found = read(TWO, assets(sector=["x", "y"]))
    assert (found.rule.tolist(), found.factor.tolist()) == ([0, 1], [0.99, 0.95])


def test_highest_haircut_wins_wherever_it_stands() -> None:
    found = read(TWO, assets(sector=["x", "y"]), overlap="highest_haircut")
    assert (found.rule.tolist(), found.factor.tolist()) == ([1, 1], [0.95, 0.95])


def test_overlap_error_names_both_rules_and_the_asset() -> None:
    with pytest.raises(ScheduleError) as caught:
        read(TWO, assets(sector=["y", "x"]), overlap="error")
    expected = "acme: rule 1 'low': rule 1 'low' and rule 2 'high' both take asset a1, and overlap is error"
    assert str(caught.value).startswith(expected)
    assert caught.value.problems[0].value == "a1"


def test_overlap_error_minds_no_asset_that_is_excluded_anyway() -> None:
    found = read([*TWO, {"when": {"sector": "x"}, "exclude": True}], assets(sector=["x"]), overlap="error")
    assert refusals(found) == ["EXCLUDED"]


def test_unknown_rule_before_the_true_one_refuses_only_with_a_lower_factor() -> None:
    frame = assets(sector=[None])
    cheap = [{"when": {"sector": "x"}, "haircut": "0.01"}, {"haircut": "0.05"}]
    dear = [{"when": {"sector": "x"}, "haircut": "0.20"}, {"haircut": "0.05"}]
    same = [{"when": {"sector": "x"}, "haircut": "0.05"}, {"haircut": "0.05"}]
    assert read(cheap, frame).factor.tolist() == [0.95]
    assert read(same, frame).factor.tolist() == [0.95]
    refused = read(dear, frame)
    assert (refusals(refused), refused.rule.tolist()) == (["RULE_UNKNOWN"], [0])


def test_unknown_rule_after_the_true_one_does_no_harm_where_the_first_wins() -> None:
    after = [{"haircut": "0.05"}, {"when": {"sector": "x"}, "haircut": "0.20"}]
    assert read(after, assets(sector=[None])).factor.tolist() == [0.95]
    assert refusals(read(after, assets(sector=[None]), overlap="highest_haircut")) == ["RULE_UNKNOWN"]
    assert refusals(read(after, assets(sector=[None]), overlap="error")) == ["RULE_UNKNOWN"]


def test_unknown_alone_is_not_eligible_and_false_alone_is_no_rule() -> None:
    found = read([{"when": {"sector": "x"}, "haircut": 0}], assets(sector=[None, "y", "x"]))
    assert refusals(found) == ["RULE_UNKNOWN", "NO_RULE", "NONE"]
    assert found.rule.tolist() == [0, -1, 0]


@pytest.mark.parametrize(("margin_type", "refusal"), [("im", "NONE"), ("vm", "NO_RULE"), (None, "RULE_UNKNOWN")])
def test_rule_of_a_margin_type(margin_type: str | None, refusal: str) -> None:
    found = read(
        [{"haircut": 0, "margin_type": "im"}],
        assets(sector=["x"]),
        Context(date(2026, 7, 1), "USD", margin_type),
    )
    assert refusals(found) == [refusal]
    assert found.schedule.margin_sensitive


# -------------------- exclusions and assumptions

CONVERTIBLE = {"label": "nothing convertible", "when": {"secured_type": "convertible"}, "exclude": True}


def test_exclusion_wins_wherever_it_stands_and_excludes_when_unknown() -> None:
    frame = assets(secured_type=["convertible", "plain", None])
    for rules in ([{"haircut": 0}, CONVERTIBLE], [CONVERTIBLE, {"haircut": 0}]):
        assert refusals(read(rules, frame)) == ["EXCLUDED", "NONE", "EXCLUSION_UNKNOWN"]


def test_negated_exclusion_that_is_unknown_excludes_too() -> None:
    rules = [{"haircut": 0}, {"when": {"not": {"sector": "x"}}, "exclude": True}]
    assert refusals(read(rules, assets(sector=["x", "y", None]))) == ["NONE", "EXCLUDED", "EXCLUSION_UNKNOWN"]


def test_true_exclusion_is_named_before_an_unknown_one() -> None:
    frame = assets(secured_type=[None], sector=["x"])
    found = read([{"haircut": 0}, CONVERTIBLE, {"label": "no x", "when": {"sector": "x"}, "exclude": True}], frame)
    assert (refusals(found), found.rule.tolist(), found.unknown_exclusions) == (["EXCLUDED"], [2], ())


def test_exclusion_of_a_margin_type_excludes_when_the_type_is_unknown() -> None:
    rules = [{"haircut": 0}, {"label": "no x", "when": {"sector": "x"}, "exclude": True, "margin_type": "im"}]
    found = read(rules, assets(sector=["x", "y"]))
    assert refusals(found) == ["EXCLUSION_UNKNOWN", "NONE"]
    assert found.unknown_exclusions[0].columns == ("margin_type",)
    assert found.unknown_exclusions[0].assume_line == ""


def test_unknown_exclusions_are_counted_with_the_column_that_would_settle_them() -> None:
    frame = assets(secured_type=[None, None, "plain", None], asset_type=["debt", "debt", "debt", "equity"])
    found = read([{"when": {"asset_type": "debt"}, "haircut": 0}, CONVERTIBLE], frame)
    (one,) = found.unknown_exclusions
    assert (one.rule_label, one.columns, one.count) == ("nothing convertible", ("secured_type",), 3)
    assert one.otherwise_eligible == 2
    assert one.assume_line == "assume: {secured_type: ...}"


def test_assume_settles_the_empty_cells_and_only_those() -> None:
    frame = assets(secured_type=["convertible", None])
    found = read([{"haircut": 0}, CONVERTIBLE], frame, assume={"secured_type": "plain"})
    assert refusals(found) == ["EXCLUDED", "NONE"]
    found = read([{"haircut": 0}, CONVERTIBLE], frame, assume={"secured_type": "convertible"})
    assert refusals(found) == ["EXCLUDED", "EXCLUDED"]
    assert frame["secured_type"].tolist() == ["convertible", None]


def test_assume_fills_numbers_dates_and_ratings_even_of_an_absent_column() -> None:
    rules = [
        {
            "when": {
                "all": [
                    {"duration": {"le": 7}},
                    {"maturity": {"remaining": {"le": "5Y"}}},
                    {"rating": {"at_least": "A", "agencies": ["sp"]}},
                ]
            },
            "haircut": 0,
        }
    ]
    frame = assets(rating_sp=[None, "NR", "BBB"], maturity_date=[None, "2030-01-01", None])
    assert refusals(read(rules, frame)) == ["RULE_UNKNOWN", "RULE_UNKNOWN", "NO_RULE"]
    assume = {"duration": 5, "maturity_date": "2030-06-30", "rating_sp": "A"}
    assert refusals(read(rules, frame, assume=assume)) == ["NONE", "NONE", "NO_RULE"]


def test_assume_gives_an_empty_extra_column_its_kind() -> None:
    frame = assets(sector=["x"]).assign(tier=np.array([np.nan]))
    assert refusals(read([{"when": {"tier": "gold"}, "haircut": 0}], frame, assume={"tier": "gold"})) == ["NONE"]


# -------------------- columns that are not there


def test_a_column_nobody_knows_is_an_error_never_false() -> None:
    with pytest.raises(ScheduleError) as caught:
        read([{"label": "x", "when": {"isuer_type": "bank"}, "haircut": 0}], assets(sector=["x"]))
    assert str(caught.value) == ("acme: rule 1 'x': assets have no column isuer_type. Did you mean issuer_type?")


def test_every_unknown_column_is_named_at_once() -> None:
    with pytest.raises(ScheduleError) as caught:
        read(
            [{"when": {"aaa_one": "x"}, "haircut": 0}],
            assets(sector=["x"]),
            assume={"bbb_two": "y"},
            limits=[{"group_by": "ccc_three", "of": "requirement", "max": 1}],
        )
    assert [(p.where, p.value) for p in caught.value.problems] == [
        ("rule 1", "aaa_one"),
        ("assume", "bbb_two"),
        ("limits", "ccc_three"),
    ]


def test_columns_lists_everything_the_schedule_speaks_of() -> None:
    schedule = parse_schedule(
        {
            "fx_haircut": {"rate": "0.08", "select": {"fx_group": "a"}},
            "assume": {"interest": "fixed"},
            "rules": [
                {"when": {"all": [{"my_flag": "y"}, {"maturity": {"original": {"le": "5Y"}}}]}, "haircut": 0},
                {
                    "when": {"rating": {"scope": ["sovereign"], "at_least": "A", "agencies": ["sp"]}},
                    "exclude": True,
                },
            ],
            "limits": [
                {"group_by": "desk", "select": {"exchange": "X"}, "of": "posted", "max": 1},
                {"group_by": "asset", "of": "adv", "max": 1},
            ],
        },
        "s",
    )
    assert schedule.columns == {
        "currency",
        "fx_group",
        "interest",
        "my_flag",
        "issue_date",
        "maturity_date",
        "sovereign_rating_sp",
        "desk",
        "exchange",
        "asset_id",
        "adv",
    }
    assert schedule.extra_columns == {"fx_group", "my_flag", "desk"}
    assert not schedule.margin_sensitive


def test_an_unreadable_cell_of_a_number_or_date_column_is_named() -> None:
    frame = pd.DataFrame({"asset_id": ["a"], "duration": ["long"], "maturity_date": ["31/12/2030"]}, dtype=object)
    rules = [{"when": {"all": [{"duration": {"le": 7}}, {"maturity": {"remaining": {"le": "5Y"}}}]}, "haircut": 0}]
    with pytest.raises(ScheduleError) as caught:
        read(rules, frame)
    assert [p.message for p in caught.value.problems] == [
        "duration of asset a is long, which is not a number",
        "maturity_date of asset a is 31/12/2030, which is not a date",
    ]


@pytest.mark.parametrize("assume", [{}, {"sector": "tech"}])
def test_an_unreadable_cell_is_named_to_every_schedule_that_reads_it(assume: dict[str, str]) -> None:
    facts = Facts(assets(duration=["long", "7"], rating_sp=["AA", "good"]))
    when = {"all": [{"duration": {"le": 7}}, {"rating": {"at_least": "A"}}]}
    for name in ("one", "two"):
        with pytest.raises(ScheduleError) as caught:
            match(parse_schedule({"rules": [{"when": when, "haircut": 0}], "assume": assume}, name), facts, USD)
        assert [(p.file, p.value) for p in caught.value.problems] == [(name, "long"), (name, "good")]


# -------------------- reasons


def test_reasons_name_the_rule_and_the_missing_facts() -> None:
    rules = [
        {
            "label": "treasuries up to 5 years",
            "when": {
                "all": [
                    {"asset_type": "debt"},
                    {"maturity": {"remaining": {"le": "5Y"}}},
                    {"rating": {"at_least": "AA-", "agencies": ["sp", "moodys"]}},
                ]
            },
            "haircut": "0.02",
        },
        CONVERTIBLE,
    ]
    frame = assets(
        asset_type=["debt", "debt", "debt", "equity", "debt", "debt"],
        currency=["EUR", "USD", "USD", "USD", "USD", "USD"],
        maturity_date=["2030-01-01"] * 4 + [None] * 2,
        rating_sp=["AA", None, "AA", "AA", "AA", "NR"],
        rating_moodys=[None] * 6,
        secured_type=["plain", "plain", "convertible", "plain", None, "plain"],
    )
    found = read(rules, frame, fx_haircut={"rate": "0.08"})
    assert [found.why(i).sentence for i in range(6)] == [
        "eligible under 'treasuries up to 5 years' at haircut 2 % plus FX 8 %",
        "refused: rule 'treasuries up to 5 years' cannot be decided, rating_sp, rating_moodys are empty",
        "refused by exclusion 'nothing convertible'",
        "refused: no rule takes it",
        "refused: exclusion 'nothing convertible' cannot be decided, secured_type is empty",
        "refused: rule 'treasuries up to 5 years' cannot be decided, "
        "maturity_date, rating_moodys are empty and rating_sp is NR",
    ]
    assert found.why(1).missing == ("rating_sp", "rating_moodys")
    assert found.why(1).refusal is Refusal.RULE_UNKNOWN


def test_only_the_facts_that_matter_are_missing() -> None:
    # The first branch is false whatever the sector is, so only the index is in the way.
    when = {"any": [{"all": [{"asset_type": "debt"}, {"sector": "x"}]}, {"index": "i"}]}
    found = read([{"when": when, "haircut": 0}], assets(asset_type=["equity"], sector=[None], index=[None]))
    assert found.why(0).missing == ("index",)


def test_other_forms_of_haircut_are_said_as_they_are_written() -> None:
    frame = assets(sector=["x", "y"], currency=["EUR", "USD"])
    rules = [
        {"label": "m", "when": {"sector": "x"}, "margin_ratio": "1.02"},
        {"label": "v", "valuation_percentage": "0.985"},
    ]
    found = read(rules, frame, fx_haircut={"rate": "0.08", "combine": "multiplicative"})
    assert found.why(0).sentence == "eligible under 'm' at margin ratio 1.02 and then FX 8 %"
    assert found.why(1).sentence == "eligible under 'v' at valuation percentage 98.5 %"


def test_the_callers_own_unknowns_are_named_as_such() -> None:
    rules = [{"haircut": 0}, {"label": "own", "when": {"own_issue": True}, "exclude": True}]
    found = read(rules, assets(asset_type=["debt"], issuer=["p"]))
    assert found.why(0).sentence == ("refused: exclusion 'own' cannot be decided, the poster's owner_parent is empty")


# -------------------- list schedules


def listed(tmp_path: Any, text: str) -> Any:
    path = tmp_path / "clearing.csv"
    path.write_text(text, encoding="utf-8")
    return load_schedule(path)


def test_list_schedule_by_asset_id_and_isin(tmp_path: Any) -> None:
    schedule = listed(tmp_path, "asset_id,isin,eligible,haircut\na0,,,0.02\n,US1,yes,0.05\na2,,no,\na3,US1,true,0.1\n")
    assert schedule.columns == {"asset_id", "isin"}
    frame = assets(isin=["US9", "US1", None, "US1", None, "US9"])
    found = match(schedule, frame, USD)
    assert refusals(found) == ["NONE", "NONE", "LISTED_INELIGIBLE", "NONE", "NOT_LISTED", "NOT_LISTED"]
    assert [found.factors[c] if c >= 0 else None for c in found.factor_code] == [
        Fraction(98, 100),
        Fraction(95, 100),
        None,
        Fraction(9, 10),
        None,
        None,
    ]
    assert found.rule.tolist() == [0, 1, 2, 3, -1, -1]
    assert [found.why(i).sentence for i in (0, 2, 4, 5)] == [
        "eligible under line 2 of the list at haircut 2 %",
        "refused: line 4 of the list lists it as not eligible",
        "refused: not on the list clearing, isin is empty",
        "refused: not on the list clearing",
    ]


# -------------------- shapes


def test_no_assets_at_all(tmp_path: Any) -> None:
    rules = [{"when": {"sector": "x"}, "haircut": 0}, CONVERTIBLE]
    found = read(rules, assets(sector=[]), fx_haircut={"rate": "0.08"})
    assert (len(found.eligible), len(found.factor), found.factors, found.unknown_exclusions) == (0, 0, (), ())
    assert len(match(listed(tmp_path, "isin,haircut\nUS1,0\n"), assets(sector=[]), USD).rule) == 0


def test_rules_and_lines_of_one_haircut_share_a_factor(tmp_path: Any) -> None:
    path = tmp_path / "ccp.csv"
    path.write_text("asset_id,haircut\na2,0.1\na0,0.02\na1,0.1\n")
    rules = [{"when": {"asset_id": name}, "haircut": h} for name, h in (("a2", "0.1"), ("a0", "0.02"), ("a1", "0.1"))]
    for found in (match(load_schedule(path), assets(sector=["x"] * 3), USD), read(rules, assets(sector=["x"] * 3))):
        assert found.factors == (Fraction(98, 100), Fraction(9, 10))
        assert (found.factor_code.tolist(), found.rule.tolist()) == ([0, 1, 1], [1, 2, 0])


def test_arrays_have_the_promised_types_and_cannot_be_written() -> None:
    found = read([{"haircut": "0.5"}], assets(sector=["x", None]))
    kinds = [a.dtype for a in (found.eligible, found.factor, found.factor_code, found.rule, found.refused)]
    assert kinds == [np.bool_, np.float64, np.int32, np.int32, np.int8]
    with pytest.raises(ValueError, match="read-only"):
        found.factor[0] = 1.0


def test_facts_read_once_serve_many_schedules() -> None:
    frame = assets(sector=["x", None])
    facts = Facts(frame)
    rules = [{"when": {"sector": "x"}, "haircut": 0}]
    filled = match(parse_schedule({"rules": rules, "assume": {"sector": "x"}}, "one"), facts, USD)
    plain = match(parse_schedule({"rules": rules}, "two"), facts, USD)
    assert (filled.eligible.tolist(), plain.eligible.tolist()) == ([True, True], [True, False])


@pytest.mark.parametrize("assume", [{}, {"sector": "tech"}])
def test_facts_and_schedules_are_kept_by_nobody_but_their_users(assume: dict[str, str]) -> None:
    rules = [{"label": "tech", "when": {"sector": "tech"}, "haircut": 0.1}]
    gc.disable()
    try:
        facts, schedule = Facts(assets(sector=[None, "x"])), parse_schedule({"rules": rules, "assume": assume}, "acme")
        found = match(schedule, facts, USD)
        assert found.eligible.tolist() == [bool(assume), False]
        known = weakref.ref(schedule), weakref.ref(facts)
        del schedule, found
        assert known[0]() is None
        del facts
        assert known[1]() is None
    finally:
        gc.enable()
