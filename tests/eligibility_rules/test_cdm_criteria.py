"""Criteria of the Common Domain Model, one by one: what each says in the words of a schedule."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pandas as pd
import pytest

from eligibility_rules import Context, ScheduleError, match
from eligibility_rules.importers import ImportFinding
from eligibility_rules.importers.cdm import CdmOptions, parse_cdm
from eligibility_rules.vocabulary import Schedule
from eligibility_rules.writing import criterion_form
from tests.eligibility_rules.cdm_parts import Json, any_of, country, every, negated

DEBT: Json = {"AssetType": {"assetType": "SECURITY", "securityType": "DEBT"}}
TREATMENT: Json = {"isIncluded": True, "valuationTreatment": {"haircutPercentage": 0.02}}


def schedule_of(
    *criteria: Json, options: CdmOptions | None = None, **more: Any
) -> tuple[Schedule, list[ImportFinding]]:
    document = {"criteria": [{"collateralCriteria": one, "treatment": TREATMENT, **more} for one in criteria]}
    imported = parse_cdm(json.dumps(document), "made-up", options=options)
    (schedule,) = imported.schedules
    return schedule, list(imported.findings)


def read(criterion: Json, **more: Any) -> tuple[Json, list[ImportFinding]]:
    """The criterion as a schedule writes it, and the findings."""
    schedule, findings = schedule_of(criterion, **more)
    when = schedule.rules[0].when
    return {} if when is None else criterion_form(when), findings


def rated(
    agency: str, letters: str, resolution: str | None = None, boundary: str | None = "MINIMUM", **more: Any
) -> Json:
    rating: Json = {"creditNotation": {"agency": agency, "notation": {"value": letters}, **more}}
    rating |= {"boundary": boundary} if boundary else {}
    rating |= {"mismatchResolution": resolution} if resolution else {}
    return {"AssetAgencyRating": {"assetAgencyRating": rating}}


def issuer_rated(letters: str) -> Json:
    notation = {"agency": "STANDARD_AND_POORS", "notation": {"value": letters}}
    return {"IssuerAgencyRating": {"issuerAgencyRating": {"creditNotation": notation, "boundary": "MINIMUM"}}}


def matures(kind: str = "REMAINING_MATURITY", **bounds: tuple[Any, str, bool | None]) -> Json:
    span = {}
    for name, (count, unit, inclusive) in bounds.items():
        bound: Json = {"period": {"period": unit, "periodMultiplier": count}}
        span[f"{name}Bound"] = bound if inclusive is None else bound | {"inclusive": inclusive}
    return {"AssetMaturity": {"maturityType": kind, "maturityRange": span}}


def asset(**facts: Any) -> Json:
    return {"AssetType": {"assetType": "SECURITY", **facts}}


def economics(**facts: Any) -> Json:
    return asset(securityType="DEBT", debtType={"debtEconomics": [facts]})


SAYS = [
    (DEBT, {"asset_type": "debt"}),
    (asset(instrumentType="EQUITY"), {"asset_type": "equity"}),
    ({"AssetType": {"assetType": "CASH"}}, {"asset_type": "cash"}),
    ({"AssetType": {"assetType": "Cash"}}, {"asset_type": "cash"}),
    ({"AssetType": {"assetType": "COMMODITY"}}, {"asset_type": "commodity"}),
    (asset(), {"asset_type": ["debt", "equity", "fund"]}),
    (asset(securityType="LETTER_OF_CREDIT"), {"asset_type": "letter_of_credit"}),
    (economics(interest="ZERO_COUPON"), {"all": [{"asset_type": "debt"}, {"interest": "zero"}]}),
    (economics(debtSeniority="SUBORDINATED"), {"all": [{"asset_type": "debt"}, {"seniority": "subordinated"}]}),
    (
        economics(secured={"securedType": "COVERED_BONDS"}),
        {"all": [{"asset_type": "debt"}, {"secured_type": "covered"}]},
    ),
    (
        economics(secured={"securedType": "ASSET_BACKED", "assetBacked": "MORTGAGE"}),
        {
            "all": [
                {"asset_type": "debt"},
                {"secured_type": "asset_backed"},
                {"security_type": ["mbs", "cmo", "rmbs", "cmbs"]},
            ]
        },
    ),
    (
        asset(securityType="DEBT", debtType={"debtEconomics": [{"interest": "FIXED"}, {"interest": "FLOATING"}]}),
        {"all": [{"asset_type": "debt"}, {"interest": ["fixed", "floating"]}]},
    ),
    (asset(debtType={"debtClass": "CONVERTIBLE"}), {"all": [{"asset_type": "debt"}, {"secured_type": "convertible"}]}),
    (
        asset(securityType="FUND", fundType="MONEY_MARKET_FUND"),
        {"all": [{"asset_type": "fund"}, {"security_type": "mmf"}]},
    ),
    (
        asset(securityType="EQUITY", equityType="NON_CONVERTIBLE_PREFERENCE"),
        {"all": [{"asset_type": "equity"}, {"security_type": "preferred"}]},
    ),
    (
        {"CollateralIssuerType": {"issuerType": "SOVEREIGN_CENTRAL_BANK"}},
        {"issuer_type": ["sovereign", "central_bank"]},
    ),
    ({"CollateralIssuerType": {"issuerType": "QuasiGovernment"}}, {"issuer_type": "agency"}),
    ({"CollateralIssuerType": {"issuerType": "CORPORATE"}}, {"issuer_type": ["corporate", "bank", "financial"]}),
    ({"AssetType": {"assetType": "OTHER", "otherAssetType": ["Letter of Credit"]}}, {"asset_type": "letter_of_credit"}),
    ({"AssetType": {"assetType": "OTHER", "otherAssetType": ["Gold"]}}, {"taxonomy_other_asset_type": "Gold"}),
    (
        {"AssetType": {"assetType": "CASH", "otherAssetType": ["USD", "EUR"]}},
        {"all": [{"asset_type": "cash"}, {"currency": ["USD", "EUR"]}]},
    ),
    (
        asset(securityType="DEBT", otherAssetType=["US-TBond"]),
        {"all": [{"asset_type": "debt"}, {"taxonomy_icad": "US-TBOND"}]},
    ),
    (
        {
            "CollateralTaxonomy": {
                "taxonomySource": "ICAD",
                "taxonomyValue": {"nonEnumeratedTaxonomyValue": ["AU-CASH"]},
            }
        },
        {"all": [{"asset_type": "cash"}, {"currency": "AUD"}]},
    ),
    (country("NO"), {"issuer_country": "NO"}),
    ({"AssetCountryOfOrigin": {"assetCountryOfOrigin": "US"}}, {"asset_country": "US"}),
    ({"CurrencyCodeEnum": "USD"}, {"currency": "USD"}),
    ({"CurrencyCodeEnum": {"value": "USD"}}, {"currency": "USD"}),
    ({"CurrencyCodeEnum": {"@data": "USD", "@scheme": "iso4217"}}, {"currency": "USD"}),
    (
        {"IssuerName": {"issuerName": {"name": {"value": "Land X"}, "entityId": [{"value": "LX1"}]}}},
        {"issuer": ["Land X", "LX1"]},
    ),
    (matures(lower=(1, "Y", True), upper=(5, "Y", False)), {"maturity": {"remaining": {"lt": "5Y", "ge": "1Y"}}}),
    (matures("ORIGINAL_MATURITY", upper=(270, "D", True)), {"maturity": {"original": {"le": "270D"}}}),
    (matures("FROM_ISSUANCE", lower=(6, "M", False)), {"maturity": {"since_issue": {"gt": "6M"}}}),
    (matures(upper=(1.5, "Y", True)), {"maturity": {"remaining": {"le": "18M"}}}),
    (matures(upper=(13, "W", True)), {"maturity": {"remaining": {"le": "13W"}}}),
    (
        {"AssetIdentifier": {"identifier": {"value": "US912828U816"}, "identifierType": "ISIN"}},
        {"isin": "US912828U816"},
    ),
    ({"ListingExchange": {"exchange": [{"value": "XNYS"}, {"value": "XLON"}]}}, {"exchange": ["XNYS", "XLON"]}),
    ({"ListingSector": {"sector": [{"value": "Utilities"}]}}, {"sector": "Utilities"}),
    ({"IndexType": {"equityIndex": "SP500"}}, {"index": "S&P 500"}),
    ({"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": False}}, {"own_issue": "false"}),
    ({"DomesticCurrencyIssued": {"domesticCurrencyIssued": True}}, {"domestic_currency": "true"}),
    (
        {
            "CollateralTaxonomy": {
                "taxonomySource": "ICAD",
                "taxonomyValue": {"nonEnumeratedTaxonomyValue": [{"value": "us-tbill"}]},
            }
        },
        {"taxonomy_icad": "US-TBILL"},
    ),
    (
        {
            "CollateralTaxonomy": {
                "taxonomySource": "EU_EMIR_ELIGIBLE_COLLATERAL_ASSET_CLASS",
                "taxonomyValue": {"eu_EMIR_EligibleCollateral": ["EU_EMIR_TYPE_C", "EU_EMIR_TYPE_D"]},
            }
        },
        {"taxonomy_eu_emir": ["EU_EMIR_TYPE_C", "EU_EMIR_TYPE_D"]},
    ),
    (negated(country("US")), {"not": {"issuer_country": "US"}}),
    (any_of(country("DE"), country("FR")), {"issuer_country": ["DE", "FR"]}),
    (
        every(every(DEBT, country("DE")), negated(country("FR"))),
        {"all": [{"asset_type": "debt"}, {"issuer_country": "DE"}, {"not": {"issuer_country": "FR"}}]},
    ),
    # Without the member's name, or with it as a type, as other writers have it.
    (
        {"@type": "cdm.product.collateral.IssuerCountryOfOrigin", "issuerCountryOfOrigin": "US"},
        {"issuer_country": "US"},
    ),
    (
        {"allCriteria": [DEBT, {"issuerCountryOfOrigin": "US"}]},
        {"all": [{"asset_type": "debt"}, {"issuer_country": "US"}]},
    ),
]


@pytest.mark.parametrize(("criterion", "form"), SAYS, ids=lambda one: json.dumps(one)[:60])
def test_a_criterion_says_the_same_in_the_words_of_a_schedule(criterion: Json, form: Json) -> None:
    assert read(criterion)[0] == form


SP, MOODYS, FITCH = "STANDARD_AND_POORS", "MOODYS", "FITCH"


def rating(agencies: list[str], resolve: str | None = None, **bounds: str) -> Json:
    more = {"resolve": resolve} if resolve else {}
    return {"rating": {**bounds, "agencies": agencies, **more}}


RATINGS = [
    (rated(SP, "A-"), rating(["sp"], at_least="A-")),
    (rated(MOODYS, "A3", boundary="MAXIMUM"), rating(["moodys"], at_most="A3")),
    # Moody's rating in S&P's letters is that step of Moody's: AA- is Aa3.
    (rated(MOODYS, "AA-"), rating(["moodys"], at_least="Aa3")),
    # The lowest counts: one criterion of both (and `lowest` is the default, which is not written).
    (any_of(rated(SP, "BBB-", "LOWEST"), rated(MOODYS, "Baa3", "LOWEST")), rating(["sp", "moodys"], at_least="BBB-")),
    (
        any_of(rated(SP, "BBB-", "SECOND_BEST"), rated(FITCH, "BBB-", "SECOND_BEST")),
        rating(["sp", "fitch"], "second_best", at_least="BBB-"),
    ),
    (any_of(rated(SP, "BBB-"), rated(MOODYS, "Baa3")), rating(["sp", "moodys"], "any", at_least="BBB-")),
    # Both are required: two criteria.
    (
        every(rated(SP, "AA-"), rated(MOODYS, "Aa3")),
        {"all": [rating(["sp"], at_least="AA-"), rating(["moodys"], at_least="Aa3")]},
    ),
    (
        every(rated(SP, "AA-", "LOWEST"), rated(MOODYS, "Aa3", "LOWEST")),
        {"all": [rating(["sp"], at_least="AA-"), rating(["moodys"], at_least="Aa3")]},
    ),
    (
        every(rated(SP, "AA-", "HIGHEST"), rated(MOODYS, "Aa3", "HIGHEST")),
        rating(["sp", "moodys"], "highest", at_least="AA-"),
    ),
    # Bounds that differ cannot be one criterion: of the lowest each is required, of any one is enough.
    (
        any_of(rated(SP, "A", "LOWEST"), rated(MOODYS, "Baa1", "LOWEST")),
        {"all": [rating(["sp"], at_least="A"), rating(["moodys"], at_least="Baa1")]},
    ),
    (
        any_of(rated(SP, "A"), rated(MOODYS, "Baa1")),
        {"any": [rating(["sp"], at_least="A"), rating(["moodys"], at_least="Baa1")]},
    ),
    (rated(SP, "AA", boundary=None), rating(["sp"], at_least="AA", at_most="AA")),
    (rated(SP, "A-1"), {"taxonomy_short_term": ["A-1+", "A-1"]}),
    (rated("AM_BEST", "A"), {"taxonomy_asset_rating": "AM_BEST minimum A"}),
]


@pytest.mark.parametrize(("criterion", "form"), RATINGS, ids=lambda one: json.dumps(one)[:60])
def test_ratings_have_an_order_and_a_resolution(criterion: Json, form: Json) -> None:
    assert read(criterion)[0] == form


def test_a_reference_agency_is_the_one_that_is_asked_for() -> None:
    both = [rated(SP, "A-", "REFERENCE_AGENCY"), rated(MOODYS, "A3", "REFERENCE_AGENCY")]
    for one in both:
        one["AssetAgencyRating"]["assetAgencyRating"]["referenceAgency"] = "MOODYS"
    form, findings = read(any_of(*both))
    assert form == rating(["moodys"], at_least="A3")
    assert any(finding.effect == "stricter" for finding in findings)


@pytest.mark.parametrize(("priority", "scope"), [("ISSUER", ["issuer", "asset"]), ("ASSET", ["asset", "issuer"])])
def test_the_priority_says_whose_rating_goes_first(priority: str, scope: list[str]) -> None:
    either = any_of(rated(SP, "A"), issuer_rated("A"))
    assert read(either, ratingPriorityResolution=priority)[0] == {
        "rating": {"scope": scope, "at_least": "A", "agencies": ["sp"]}
    }


def test_a_priority_that_cannot_be_said_requires_both() -> None:
    form, findings = read(any_of(rated(SP, "A"), issuer_rated("AA")), ratingPriorityResolution="ISSUER")
    assert set(form) == {"all"} and len(form["all"]) == 2
    assert any("priority" in finding.message and finding.effect == "stricter" for finding in findings)


# -------------------- what is not understood


def asset_table(**columns: str) -> pd.DataFrame:
    return pd.DataFrame([{"asset_id": "A", "asset_type": "debt", "issuer_country": "DE", **columns}])


CONTEXT = Context(as_of=date(2026, 7, 1), base_currency="EUR")


@pytest.mark.parametrize(
    ("criterion", "column", "value"),
    [
        ({"CollateralGuarantorType": {"guarantorType": "SOVEREIGN"}}, "taxonomy_guarantor_type", "SOVEREIGN"),
        ({"SomethingNew": {"colour": "RED"}}, "taxonomy_criterion", "SomethingNew"),
        ({"AssetType": {**DEBT["AssetType"], "greenness": "DARK"}}, "taxonomy_greenness", "DARK"),
        (
            {"AssetType": {**DEBT["AssetType"], "otherAssetType": ["Schuldschein"]}},
            "taxonomy_other_asset_type",
            "Schuldschein",
        ),
        (matures(upper=(1, "T", True)), "taxonomy_maturity", "upperBound: period T, periodMultiplier 1"),
        (
            {
                "CollateralIssuerType": {
                    "issuerType": "REGIONAL_GOVERNMENT",
                    "regionalGovernmentType": {"sovereignRecourse": True},
                }
            },
            "taxonomy_regional_government_type",
            "sovereignRecourse true",
        ),
    ],
)
def test_what_has_no_word_is_refused_until_the_firm_says_it(criterion: Json, column: str, value: str) -> None:
    schedule, findings = schedule_of(every(DEBT, criterion))
    assert column in schedule.columns
    assert any(column in finding.message and finding.effect == "stricter" for finding in findings), findings
    assert not match(schedule, asset_table(), CONTEXT).eligible[0]
    known = asset_table(**{column: value, "issuer_type": "regional"})
    assert match(schedule, known, CONTEXT).eligible[0]


def test_an_exclusion_that_is_not_understood_refuses() -> None:
    document = {
        "criteria": [
            {"collateralCriteria": DEBT, "treatment": TREATMENT},
            {
                "collateralCriteria": every(DEBT, {"CollateralGuarantorType": {"guarantorType": "FUND"}}),
                "treatment": {"isIncluded": False},
            },
        ]
    }
    (schedule,) = parse_cdm(json.dumps(document), "made-up").schedules
    assert not match(schedule, asset_table(), CONTEXT).eligible[0]
    assert match(schedule, asset_table(taxonomy_guarantor_type="none"), CONTEXT).eligible[0]


def test_an_issuer_can_be_given_the_name_that_the_asset_table_has() -> None:
    named = {"IssuerName": {"issuerName": {"name": {"value": "Government of Canada"}}}}
    options = CdmOptions(issuers={"Government of Canada": ("CAN",)})
    schedule, findings = schedule_of(named, options=options)
    assert criterion_form(schedule.rules[0].when) == {"issuer": "CAN"}  # type: ignore[arg-type]
    assert not [finding for finding in findings if "compared as written" in finding.message]


def test_an_issuers_country_is_the_issuers() -> None:
    schedule, _ = schedule_of(every(DEBT, country("US")))
    abroad = asset_table(asset_country="US")  # listed in the US, issued by a German
    assert not match(schedule, abroad, CONTEXT).eligible[0]


# -------------------- what real documents get wrong

WRONG = [
    (every(country("US"), country("CA"), country("GB")), "never true", "stricter"),
    (any_of(negated(country("US")), negated(country("CA"))), "true of every asset", "laxer"),
    (
        every(DEBT, any_of(negated(country("US")), negated(country("CA")))),
        "an any that is true of every asset",
        "laxer",
    ),
    (any_of(DEBT, country("GB"), matures(lower=(1, "Y", True))), "different kinds", "laxer"),
    (any_of(DEBT, economics(interest="ZERO_COUPON")), "a part of the same", "none"),
    (every(matures(lower=(5, "Y", True)), matures(upper=(5, "Y", False))), "never true", "stricter"),
    (every(rated(SP, "A"), rated(SP, "BBB+", boundary="MAXIMUM")), "never true", "stricter"),
    (every({"AssetType": {"assetType": "CASH"}}, matures(upper=(1, "Y", True))), "never true", "stricter"),
    (rated(SP, "AAA", boundary="MAXIMUM"), "at most this", "none"),
    (
        every(rated(SP, "A", "LOWEST"), rated(MOODYS, "A2", "LOWEST")),
        "one of them does not rate is refused",
        "stricter",
    ),
    (every(rated(SP, "A", "HIGHEST"), rated(MOODYS, "A2", "HIGHEST")), "read as the latter", "laxer"),
    (rated(SP, "AA", outlook="POSITIVE"), "outlook is not tested", "laxer"),
    (rated(MOODYS, "AA-"), "letters of moodys: read as its Aa3", "none"),
    (matures(upper=(1, "Y", None)), "whether 1Y itself is meant", "stricter"),
    (country("UK"), "not a country code", "stricter"),
    (
        any_of(country("US"), {"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": True}}),
        "every asset",
        "laxer",
    ),
]


@pytest.mark.parametrize(("criterion", "message", "effect"), WRONG, ids=[message for _, message, _ in WRONG])
def test_what_looks_wrong_is_said_with_its_place_and_effect(criterion: Json, message: str, effect: str) -> None:
    _, findings = schedule_of(criterion)
    said = [finding for finding in findings if message in finding.message]
    assert said and said[0].effect == effect and said[0].where.startswith("$.criteria[0]"), findings


@pytest.mark.parametrize(
    "criterion",
    [
        every(DEBT, country("US")),
        any_of(country("US"), country("CA")),
        every(DEBT, negated(country("US"))),
        every(DEBT, any_of(rated(SP, "A", "LOWEST"), rated(MOODYS, "A2", "LOWEST"))),
        every(matures(lower=(1, "Y", True)), matures(upper=(5, "Y", True))),
    ],
)
def test_nothing_is_said_of_what_is_right(criterion: Json) -> None:
    assert schedule_of(criterion)[1] == []


def test_the_distance_between_two_bands_is_found() -> None:
    _, findings = schedule_of(matures(upper=(1, "Y", False)), matures(lower=(1, "Y", False), upper=(5, "Y", True)))
    assert any("exactly 1Y remaining maturity is in no band" in finding.message for finding in findings)
    _, findings = schedule_of(matures(upper=(1, "Y", True)), matures(lower=(1, "Y", False), upper=(5, "Y", True)))
    assert not any("in no band" in finding.message for finding in findings)


def test_the_shape_of_version_5_is_refused_by_name() -> None:
    old = {"criteria": [{"issuer": [{"issuerCountryOfOrigin": ["GB"]}], "asset": [], "treatment": TREATMENT}]}
    with pytest.raises(ScheduleError, match="version 5"):
        parse_cdm(json.dumps(old), "old")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "neither an EligibleCollateralSpecification"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "not a number"),
        ('{"a": 1e999999999}', "out of all proportion"),
        ('{"trade": {}}', "neither an EligibleCollateralSpecification"),
        ('{"common": {}, "variable": []}', "Instruction"),
        ('[{"agreementTerms": {}}, {"agreementTerms": {}}]', "holds 2 documents"),
    ],
)
def test_what_is_no_document_of_the_model_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse_cdm(text, "wrong")


def test_a_reference_is_followed() -> None:
    shared = {"meta": {"globalKey": "k1"}, "issuerCountryOfOrigin": "US"}
    form, _ = read(
        every(DEBT, {"IssuerCountryOfOrigin": shared}, negated({"IssuerCountryOfOrigin": {"globalReference": "k1"}}))
    )
    assert form == {"all": [{"asset_type": "debt"}, {"issuer_country": "US"}, {"not": {"issuer_country": "US"}}]}


def test_a_document_is_found_within_another_and_what_stands_beside_it_is_said() -> None:
    document = {"criteria": [{"collateralCriteria": DEBT, "treatment": TREATMENT}], "colour": "red"}
    imported = parse_cdm(json.dumps({"eligibleCollateral": document}), "inner")
    assert [rule.when for rule in imported.schedules[0].rules] == [schedule_of(DEBT)[0].rules[0].when]
    assert [(one.where, one.value) for one in imported.findings] == [("$.eligibleCollateral.colour", "red")]
