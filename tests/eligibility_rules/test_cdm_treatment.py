"""Treatments of the Common Domain Model: what counts, what may be posted, and figures that are written wrongly."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from eligibility_rules.importers.cdm import CdmOptions, parse_cdm
from eligibility_rules.importers.problems import Imported
from eligibility_rules.vocabulary import Schedule
from eligibility_rules.writing import form_of

Json = dict[str, Any]
DEBT: Json = {"AssetType": {"assetType": "SECURITY", "securityType": "DEBT"}}
EQUITY: Json = {"AssetType": {"assetType": "SECURITY", "securityType": "EQUITY"}}
CASH: Json = {"AssetType": {"assetType": "CASH"}}


def line(criterion: Json = DEBT, limits: list[Json] | None = None, included: bool = True, **valuation: Any) -> Json:
    treatment: Json = {"isIncluded": included}
    treatment |= {"valuationTreatment": valuation} if valuation else {}
    treatment |= {"concentrationLimit": limits} if limits else {}
    return {"collateralCriteria": criterion, "treatment": treatment}


def imported(*lines: Json, options: CdmOptions | None = None) -> Imported:
    return parse_cdm(json.dumps({"criteria": list(lines)}), "made-up", options=options)


def one(*lines: Json, options: CdmOptions | None = None) -> Schedule:
    (schedule,) = imported(*lines, options=options).schedules
    return schedule


def said(found: Imported, message: str) -> list[str]:
    return [finding.effect for finding in found.findings if message in finding.message]


VALUATIONS = [
    # A ratio of 1.08 is a value of 1/1.08; 98 is a valuation percentage; 102 is a ratio in percent.
    ({"marginPercentage": 1.08}, Fraction(100, 108), None),
    ({"marginPercentage": 1}, Fraction(1), None),
    ({"marginPercentage": 98}, Fraction(98, 100), "valuation percentage"),
    ({"marginPercentage": 70}, Fraction(70, 100), "valuation percentage"),
    ({"marginPercentage": 100}, Fraction(1), "valuation percentage"),
    ({"marginPercentage": 102}, Fraction(100, 102), "is in percent"),
    ({"marginPercentage": 0.98}, Fraction(98, 100), "below 1"),
    ({"marginPercentage": "1.02"}, Fraction(100, 102), None),
    ({"haircutPercentage": 0.005}, Fraction(995, 1000), None),
    ({"haircutPercentage": 0}, Fraction(1), None),
    ({"haircutPercentage": 4}, Fraction(96, 100), "is in percent"),
    ({"haircutPercentage": 0.97}, Fraction(3, 100), "if a valuation percentage is meant"),
    # 1 - 0.15 - 0.05; 1/1.25 - 0.05
    ({"haircutPercentage": 0.15, "additionalHaircutPercentage": 0.05}, Fraction(80, 100), "additional haircut"),
    ({"marginPercentage": 1.25, "additionalHaircutPercentage": 0.05}, Fraction(75, 100), "additional haircut"),
    # The lower of 1/1.25 = 80 % and 90 %.
    ({"haircutPercentage": 0.1, "marginPercentage": 1.25}, Fraction(80, 100), "the lower value"),
]


@pytest.mark.parametrize(("valuation", "factor", "message"), VALUATIONS, ids=lambda one: str(one))
def test_a_valuation_counts_exactly_as_much_as_it_says(valuation: Json, factor: Fraction, message: str | None) -> None:
    found = imported(line(**valuation))
    assert found.schedules[0].rules[0].factor == factor
    assert bool(found.findings) == (message is not None)
    assert message is None or said(found, message)


def test_haircuts_may_be_read_as_valuations() -> None:
    schedule = one(line(haircutPercentage=0.97), options=CdmOptions(haircut_is="valuation"))
    assert schedule.rules[0].factor == Fraction(97, 100)


@pytest.mark.parametrize("valuation", [{}, {"haircutPercentage": 1}, {"marginPercentage": 0}, {"marginPercentage": -3}])
def test_a_security_without_a_usable_figure_is_left_out(valuation: Json) -> None:
    found = imported(line(EQUITY, haircutPercentage=0.15), line(DEBT, **valuation))
    assert [rule.label for rule in found.schedules[0].rules] == ["1: equity"]
    assert "stricter" in [finding.effect for finding in found.findings]


def test_cash_without_a_figure_counts_in_full() -> None:
    found = imported(line({"AllCriteria": {"allCriteria": [CASH, {"CurrencyCodeEnum": "USD"}]}}))
    assert found.schedules[0].rules[0].factor == 1
    assert said(found, "cash counts in full") == ["laxer"]


def test_cash_with_a_figure_that_cannot_be_read_is_left_out() -> None:
    found = imported(line(CASH, haircutPercentage="nil"), line(EQUITY, haircutPercentage=0.15))
    assert [rule.label for rule in found.schedules[0].rules] == ["2: equity"]
    assert said(found, "not a number") == ["stricter"]


def test_cash_without_a_currency_is_said() -> None:
    assert said(imported(line(CASH, haircutPercentage=0)), "any currency is taken") == ["laxer"]


def test_an_exclusion_excludes_wherever_it_stands() -> None:
    schedule = one(line(DEBT, haircutPercentage=0.02), line(DEBT, included=False))
    assert [rule.exclude for rule in schedule.rules] == [False, True]


def test_of_two_treatments_the_lower_value_counts() -> None:
    found = imported(line(DEBT, haircutPercentage=0.02), line(DEBT, haircutPercentage=0.05))
    assert found.schedules[0].overlap == "highest_haircut"
    assert said(found, "takes the same assets as criteria[0] (98 %)") == ["stricter"]


def test_percent_and_decimals_in_one_document_are_said() -> None:
    found = imported(line(DEBT, marginPercentage=98), line(EQUITY, marginPercentage=1.08))
    assert said(found, "is a decimal here and in percent at $.criteria[0]") == ["laxer"]


def test_criteria_are_restricted_to_a_margin_type_and_a_party() -> None:
    for_im = line(DEBT, haircutPercentage=0.02) | {"restrictTo": "INITIAL_MARGIN", "appliesTo": ["PARTY_1"]}
    for_both = line(EQUITY, haircutPercentage=0.15) | {"restrictTo": "VariationMargin"}
    first, second = imported(for_im, for_both).schedules
    assert (first.name, second.name) == ("made-up-party1", "made-up-party2")
    assert [rule.margin_type for rule in first.rules] == ["im", "vm"]
    assert [rule.margin_type for rule in second.rules] == ["vm"]


def test_what_is_not_known_in_a_treatment_is_said() -> None:
    odd = line(DEBT, haircutPercentage=0.02)
    odd["treatment"]["stressedHaircut"] = 0.3
    found = imported(odd)
    assert said(found, "stressedHaircut is not known") == ["laxer"]
    assert found.schedules[0].leaves_out == ("stressedHaircut is not known here: not read",)


def test_own_issues_are_allowed_only_where_everything_allows_them() -> None:
    permitted = {"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": True}}
    both = {"AllCriteria": {"allCriteria": [DEBT, permitted]}}
    assert one(line(both, haircutPercentage=0.02)).wrong_way == "allow"
    found = imported(line(both, haircutPercentage=0.02), line(EQUITY, haircutPercentage=0.15))
    assert found.schedules[0].wrong_way == "exclude"
    assert said(found, "own issues are permitted for some") == ["stricter"]


# -------------------- FX haircuts


def test_one_fx_haircut_for_all_is_the_schedules() -> None:
    lines = (line(DEBT, haircutPercentage=0.02, fxHaircutPercentage=0.08),)
    assert form_of(one(*lines))["fx_haircut"] == {"rate": "0.08"}


def test_an_fx_haircut_of_some_is_selected() -> None:
    schedule = one(line(DEBT, haircutPercentage=0.02, fxHaircutPercentage=0.08), line(EQUITY, haircutPercentage=0.15))
    assert form_of(schedule)["fx_haircut"] == {"rate": "0.08", "select": {"asset_type": "debt"}}


def test_of_differing_fx_haircuts_the_highest_is_taken() -> None:
    found = imported(
        line(DEBT, haircutPercentage=0.02, fxHaircutPercentage=0.06),
        line(EQUITY, haircutPercentage=0.15, fxHaircutPercentage=0.08),
    )
    assert form_of(found.schedules[0])["fx_haircut"] == {"rate": "0.08"}
    assert said(found, "FX haircuts differ (6 %, 8 %)") == ["stricter"]


# -------------------- limits


def share(kind: str | None, number: Any, **more: Any) -> Json:
    criteria = {"concentrationLimitCriteria": {"concentrationLimitType": kind}} if kind else {}
    return criteria | {"percentageLimit": {"upperBound": {"inclusive": True, "number": number, **more}}}


def money(kind: str | None, value: Any, currency: str | None = "USD") -> Json:
    criteria = {"concentrationLimitCriteria": {"concentrationLimitType": kind}} if kind else {}
    unit = {"unit": {"currency": {"value": currency}}} if currency else {}
    return criteria | {"valueLimit": {"upperBound": {"inclusive": True, "money": {"value": value, **unit}}}}


LIMITS = [
    (DEBT, share("ASSET", 0.1), {"group_by": "asset", "of": "posted", "max": "0.1"}),
    (DEBT, share("ISSUER", 0.25), {"group_by": "issuer", "of": "posted", "max": "0.25"}),
    (DEBT, share("UltimateParentInstitution", 0.2), {"group_by": "issuer_parent", "of": "posted", "max": "0.2"}),
    (EQUITY, share("INDUSTRY_SECTOR", 0.3), {"group_by": "sector", "of": "posted", "max": "0.3"}),
    (EQUITY, share("PRIMARY_EXCHANGE", 0.3), {"group_by": "exchange", "of": "posted", "max": "0.3"}),
    (EQUITY, share("MARKET_CAPITALISATION", 0.02), {"group_by": "asset", "of": "market_cap", "max": "0.02"}),
    (DEBT, share("ISSUE_OUTSTANDING_AMOUNT", 0.05), {"group_by": "asset", "of": "outstanding", "max": "0.05"}),
    (CASH, share("BASE_CURRENCY_EQUIVALENT", 0.5), {"group_by": "none", "of": "posted", "max": "0.5"}),
    (DEBT, share(None, 0.4), {"group_by": "none", "of": "posted", "max": "0.4"}),
    (DEBT, share("ISSUER", 25), {"group_by": "issuer", "of": "posted", "max": "0.25"}),
    (
        DEBT,
        money("ISSUER", 5000000),
        {"group_by": "issuer", "of": "money", "max": {"amount": "5000000", "currency": "USD"}},
    ),
]


@pytest.mark.parametrize(("criterion", "limit", "form"), LIMITS, ids=lambda one: json.dumps(one)[:50])
def test_a_concentration_limit_counts_what_its_criterion_takes(criterion: Json, limit: Json, form: Json) -> None:
    (found,) = form_of(one(line(criterion, [limit], haircutPercentage=0.02)))["limits"]
    kind = criterion["AssetType"].get("securityType", "CASH").lower()
    wanted = {"select": {"asset_type": kind}, **{key: value for key, value in form.items() if value != "none"}}
    assert {key: value for key, value in found.items() if key not in ("label", "note")} == wanted


def test_the_share_of_a_volume_is_of_adv() -> None:
    volume = {"averageTradingVolume": {"methodology": "SINGLE", "period": {"period": "M", "periodMultiplier": 3}}}
    limit = share(None, 0.2) | {"concentrationLimitCriteria": volume}
    (found,) = one(line(EQUITY, [limit], haircutPercentage=0.15)).limits
    assert (found.group_by, found.caps[0].of, found.caps[0].share) == ("asset", "adv", Fraction(1, 5))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (share("OUTSTANDING_BALANCE", 0.1), "a limit of a kind that a schedule has no word for"),
        (money("ISSUER", 5000000, None), "without an upper bound that can be read"),
        ({"percentageLimit": {"lowerBound": {"inclusive": True, "number": 0.1}}}, "a least amount cannot be said"),
    ],
)
def test_a_limit_that_cannot_be_said_is_left_out_and_told(limit: Json, message: str) -> None:
    found = imported(line(DEBT, [limit], haircutPercentage=0.02))
    assert found.schedules[0].limits == ()
    assert said(found, message) == ["laxer"]


def test_limits_in_percent_and_decimals_in_one_document_are_said() -> None:
    found = imported(line(DEBT, [share("ISSUER", 25), share("ASSET", 0.1)], haircutPercentage=0.02))
    assert [limit.caps[0].share for limit in found.schedules[0].limits] == [Fraction(1, 4), Fraction(1, 10)]
    assert said(found, "another limit of the document is in percent") == ["laxer"]


def test_a_limit_of_one_is_everything_unless_limits_are_in_percent() -> None:
    alone = imported(line(DEBT, [share("ISSUER", 1)], haircutPercentage=0.02))
    beside = imported(line(DEBT, [share("ISSUER", 1), share("ASSET", 5)], haircutPercentage=0.02))
    assert alone.schedules[0].limits[0].caps[0].share == 1
    assert beside.schedules[0].limits[0].caps[0].share == Fraction(1, 100)
