"""Agreements and schedules as lawyers write them: what comes out was worked out by hand from the text alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from collateral_opt import cli
from eligibility_rules import Context, ScheduleError, match
from eligibility_rules.__main__ import main as eligibility_command
from eligibility_rules.commands import import_cdm, issuers
from eligibility_rules.importers import Imported
from eligibility_rules.importers.cdm import CdmOptions, parse_cdm
from eligibility_rules.vocabulary import Schedule
from eligibility_rules.writing import criterion_form
from tests.eligibility_rules.cdm_parts import Json, any_of, country, every, negated

CASH: Json = {"AssetType": {"assetType": "CASH"}}
DEBT: Json = {"AssetType": {"assetType": "SECURITY", "securityType": "DEBT"}}
OWN: Json = {"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": True}}
FOREIGN: Json = {"DomesticCurrencyIssued": {"domesticCurrencyIssued": False}}


def product_command(words: list[str]) -> int:
    return CliRunner().invoke(cli.app, words).exit_code


def named(name: str) -> Json:
    return {"IssuerName": {"issuerName": {"name": {"value": name}}}}


def identified(kind: str, code: str) -> Json:
    return {"AssetIdentifier": {"identifier": {"value": code}, "identifierType": kind}}


def remaining(lower: tuple[int, str, bool] | None = None, upper: tuple[int, str, bool] | None = None) -> Json:
    span = {
        name: {"period": {"period": bound[1], "periodMultiplier": bound[0]}, "inclusive": bound[2]}
        for name, bound in (("lowerBound", lower), ("upperBound", upper))
        if bound is not None
    }
    return {"AssetMaturity": {"maturityType": "REMAINING_MATURITY", "maturityRange": span}}


def rated(scope: str, boundary: str = "MINIMUM") -> Json:
    notation = {"agency": "STANDARD_AND_POORS", "notation": {"value": "A"}}
    attribute = f"{scope.lower()}AgencyRating"
    return {f"{scope}AgencyRating": {attribute: {"creditNotation": notation, "boundary": boundary}}}


def taken(criterion: Json, **figures: Any) -> Json:
    return {
        "collateralCriteria": criterion,
        "treatment": {"isIncluded": True, "valuationTreatment": figures or {"haircutPercentage": 0.02}},
    }


def refused(criterion: Json) -> Json:
    return {"collateralCriteria": criterion, "treatment": {"isIncluded": False}}


def schedule_of(*criteria: Json, options: CdmOptions | None = None) -> tuple[Schedule, Imported]:
    found = parse_cdm(json.dumps({"criteria": list(criteria)}), "made-up", options=options)
    (schedule,) = found.schedules
    return schedule, found


def form_of_rule(schedule: Schedule, place: int) -> Json:
    when = schedule.rules[place].when
    assert when is not None
    return criterion_form(when)


def effects(found: Imported, words: str) -> list[str]:
    return [finding.effect for finding in found.findings if words in finding.message]


def agreement(collateral: list[Json], obligations: Json | None = None, elections: Json | None = None) -> Json:
    """A variation margin annex in dollars, euros eligible, in which party 1 may post the collateral."""
    election = {"party": "PARTY_1", "eligibleCollateral": collateral}
    inside: Json = {
        "baseAndEligibleCurrency": {
            "baseCurrency": "USD",
            "eligibleCurrency": ["EUR"],
            "eligibleCurrencyInclBaseCurrency": True,
        },
        "creditSupportObligations": {"eligibleCreditSupport": {"partyElection": [election]}, **(obligations or {})},
    }
    inside |= elections or {}
    kind = {"CreditSupportAgreementVariationMarginElections": inside}
    return {"agreementTerms": {"agreement": {"creditSupportAgreementElections": kind}}}


def read(document: Json, **options: Any) -> Imported:
    return parse_cdm(json.dumps(document), "made-up", options=CdmOptions(**options))


TREASURIES = [
    taken(CASH, haircutPercentage=0),
    taken(every(DEBT, country("US"), remaining(upper=(13, "M", True))), marginPercentage=99),
    taken(every(DEBT, country("US"), remaining((13, "M", False), (5, "Y", True))), marginPercentage=98),
    taken(every(DEBT, country("US"), remaining((5, "Y", False))), marginPercentage=95),
]


@pytest.mark.parametrize(
    ("asset_type", "currency", "matures", "value"),
    [
        ("cash", "USD", "", Fraction(1)),
        ("cash", "EUR", "", Fraction(92, 100)),  # 8 % for the currency
        ("cash", "GBP", "", None),  # no eligible currency
        ("debt", "USD", "2027-04-24", Fraction(99, 100)),  # exactly 13 months
        ("debt", "USD", "2027-04-25", Fraction(98, 100)),
        ("debt", "USD", "2031-03-24", Fraction(98, 100)),  # exactly 5 years
        ("debt", "USD", "2031-03-25", Fraction(95, 100)),
        ("debt", "EUR", "2031-03-25", Fraction(87, 100)),  # 5 % and 8 %
    ],
)
def test_an_annex_with_bands_in_months_and_an_fx_haircut_in_its_own_figure(
    asset_type: str, currency: str, matures: str, value: Fraction | None
) -> None:
    (schedule,) = read(agreement(TREASURIES, {"fxHaircut": "8%"})).schedules
    facts = {"asset_id": "A", "asset_type": asset_type, "currency": currency, "maturity_date": matures}
    facts |= {"issuer_country": "US"} if asset_type == "debt" else {}
    found = match(schedule, pd.DataFrame([facts]), Context(date(2026, 3, 24), "USD"))
    assert (found.factors[found.factor_code[0]] if found.eligible[0] else None) == value


@pytest.mark.parametrize(
    ("words", "rate", "effect"),
    [
        ("8%", Fraction(8, 100), "none"),
        ("8.5 per cent.", Fraction(85, 1000), "none"),
        ("Standard", None, "laxer"),
        ("8% save for cash", None, "laxer"),
        ("120%", None, "laxer"),
        ("Not Applicable", None, None),
        ("不適用", None, "laxer"),
    ],
)
def test_an_fx_haircut_is_taken_over_where_it_is_a_figure(
    words: str, rate: Fraction | None, effect: str | None
) -> None:
    found = read(agreement(TREASURIES, {"fxHaircut": words}))
    fx = found.schedules[0].fx_haircut
    assert (fx.rate if fx is not None else None) == rate
    assert effects(found, "an FX haircut") == ([effect] if effect else [])


def test_of_the_agreements_and_a_criterions_fx_haircut_the_higher_comes_off_everything() -> None:
    figures = {"haircutPercentage": 0.02, "fxHaircutPercentage": 0.06}
    found = read(agreement([taken(CASH, haircutPercentage=0), taken(DEBT, **figures)], {"fxHaircut": "8%"}))
    fx = found.schedules[0].fx_haircut
    assert fx is not None and (fx.rate, fx.select) == (Fraction(8, 100), None)
    assert effects(found, "FX haircuts differ (6 %, 8 %)") == ["stricter"]


def test_what_is_said_in_words_stands_in_the_schedule_of_the_party_it_is_said_of() -> None:
    document = agreement(TREASURIES, {"ineligibleCreditSupport": {"legalIneligibilityNotice": "on notice"}})
    elections = document["agreementTerms"]["agreement"]["creditSupportAgreementElections"]
    place = elections["CreditSupportAgreementVariationMarginElections"]["creditSupportObligations"]
    excluded = {"party": "PARTY_2", "eligibleCollateral": TREASURIES, "excludedCollateral": "bonds of banks"}
    place["eligibleCreditSupport"]["partyElection"].append(excluded)
    first, second = read(document).schedules
    regulatory = "what becomes ineligible on regulatory grounds: read it in the document"
    assert first.leaves_out == (regulatory,)
    assert set(second.leaves_out) == {regulatory, "excluded collateral in words: read it in the document"}


def test_sections_that_change_amounts_are_told_by_themselves_and_standard_ones_are_not() -> None:
    standard = read(agreement(TREASURIES, {"deliveryAmount": {"deliveryAmount": "STANDARD"}}))
    assert not effects(standard, "read it in the document")
    custom = {"creditSupportAmount": {"customElection": "plus 10 % of the notional"}}
    found = read(agreement(TREASURIES, custom, {"creditSupportOffsets": True, "additionalBespokeTerms": "(a) ..."}))
    assert effects(found, "how the amount of a call is made out") == ["none"]
    assert effects(found, "offsets between credit support") == ["none"]
    assert effects(found, "terms of the parties' own") == ["laxer"]


def test_a_table_of_ratings_is_shown_as_spans_with_what_stands_beside_it() -> None:
    def lines(amount: int, **ratings: str) -> list[Json]:
        agencies = {"sp": "STANDARD_AND_POORS", "moodys": "MOODYS", "house": "HOUSE"}
        return [
            {"name": agencies[agency], "value": rating, "amount": amount}
            for agency, all_of in ratings.items()
            for rating in all_of.split()
        ]

    table = {
        "currency": "USD",
        "noRating": True,
        "namedEntity": "Parent plc",
        "ratingType": "LONG_TERM",
        "variableSet": lines(50, sp="AA AAA AA+", moodys="Aa1") + lines(0, sp="A- BBB", moodys="NR", house="good"),
    }
    threshold = {"threshold": {"partyElection": [{"party": "PARTY_2", "ratingsBased": table}]}}
    found = read(agreement(TREASURIES, threshold))
    assert found.terms is not None
    rows = {label.strip(): (one, two) for label, one, two in found.terms.rows() if "threshold" in label}
    # AAA, AA+ and AA follow one another; A- and BBB do not.
    assert rows == {
        "threshold": ("", "by rating"),
        "threshold 50 USD": ("", "sp AAA to AA, moodys Aa1"),
        "threshold 0 USD": ("", "sp A-, sp BBB, moodys NR, HOUSE good"),
    }
    beside = [one.value for one in found.findings if "what applies without a rating" in one.message]
    assert beside == ["noRating true, namedEntity Parent plc"]


@pytest.mark.parametrize(
    ("direction", "said"),
    [("UP", "up to a multiple of 10"), ("NEAREST", "to the nearest multiple of 10"), (None, "to a multiple of 10")],
)
def test_rounding_is_said_so_that_it_is_no_maximum(direction: str | None, said: str) -> None:
    rounding: Json = {"deliveryAmount": 10} | ({"deliveryDirection": direction} if direction else {})
    terms = read(agreement(TREASURIES, {"rounding": rounding})).terms
    assert terms is not None and ("delivery rounded", said, "") in set(terms.rows())


# -------------------- what refuses, and what is misread there


def test_an_exclusion_of_own_issues_refuses_these_and_no_others() -> None:
    schedule, found = schedule_of(taken(DEBT), refused(OWN), refused(every(DEBT, FOREIGN)))
    assert form_of_rule(schedule, 1) == {"own_issue": "true"}
    assert form_of_rule(schedule, 2) == {"all": [{"asset_type": "debt"}, {"domestic_currency": "false"}]}
    assert not effects(found, "every asset")


def test_own_issues_can_be_negated() -> None:
    schedule, found = schedule_of(taken(every(DEBT, negated(OWN))), taken(every(CASH, negated(FOREIGN))))
    assert form_of_rule(schedule, 0) == {"all": [{"asset_type": "debt"}, {"own_issue": "false"}]}
    assert form_of_rule(schedule, 1) == {"all": [{"asset_type": "cash"}, {"domestic_currency": "true"}]}
    assert not effects(found, "never true")


@pytest.mark.parametrize(
    ("criterion", "words", "if_taken", "if_refused"),
    [
        # An issuer, an index or a country in other letters: a taker misses it, and so does an exclusion.
        (named("Land X"), "issuer is compared as written", "stricter", "laxer"),
        ({"IndexType": {"equityIndex": "HOUSE"}}, "not an index that the model knows", "stricter", "laxer"),
        (country("UK"), "not a country code", "stricter", "laxer"),
        # What the asset table lacks is unknown: not taken by the one, refused by the other.
        ({"CollateralGuarantorType": {"guarantorType": "FUND"}}, "has no word for it", "stricter", "stricter"),
        (identified("CUSIP", "037833100"), "no column holds it", "stricter", "stricter"),
        # What can never be true takes nothing, or refuses nothing.
        (every(country("US"), country("CA")), "never true", "stricter", "laxer"),
    ],
)
def test_what_is_misread_takes_less_or_refuses_less(
    criterion: Json, words: str, if_taken: str, if_refused: str
) -> None:
    assert effects(schedule_of(taken(criterion))[1], words) == [if_taken]
    assert effects(schedule_of(taken(CASH, haircutPercentage=0), refused(criterion))[1], words) == [if_refused]


def test_within_a_not_a_misread_issuer_is_taken() -> None:
    assert effects(schedule_of(taken(every(DEBT, negated(named("Land X")))))[1], "compared as written") == ["laxer"]
    twice = refused(every(DEBT, negated(named("Land X"))))  # refused is all but Land X
    assert effects(schedule_of(taken(DEBT), twice)[1], "compared as written") == ["stricter"]


def test_a_limit_on_a_criterion_of_its_own_counts_what_the_asset_table_calls_the_issuer() -> None:
    limit = {
        "concentrationLimitCriteria": {"collateralCriteria": named("Land X")},
        "percentageLimit": {"upperBound": {"inclusive": True, "number": 0.2}},
    }
    line = taken(DEBT)
    line["treatment"]["concentrationLimit"] = [limit]
    schedule, found = schedule_of(line, options=CdmOptions(issuers={"Land X": ("LX",)}))
    assert schedule.limits[0].select is not None
    assert criterion_form(schedule.limits[0].select) == {"all": [{"asset_type": "debt"}, {"issuer": "LX"}]}
    # Without it the limit may miss the issuer, and so lets more through.
    assert effects(schedule_of(line)[1], "issuer is compared as written") == ["laxer"]
    assert not effects(found, "issuer is compared as written")


@pytest.mark.parametrize(
    "criterion",
    [
        every(
            DEBT, negated(any_of(identified("ISIN", "US0378331005"), country("US")))
        ),  # neither is taken: a plain list
        every(DEBT, any_of(rated("Asset"), rated("Issuer"))),  # the asset's or the issuer's rating
    ],
)
def test_an_any_that_is_meant_is_not_doubted(criterion: Json) -> None:
    assert not effects(schedule_of(taken(criterion))[1], "different kinds")


def test_an_exclusion_may_list_kinds() -> None:
    listed = any_of(country("US"), {"AssetType": {"assetType": "COMMODITY"}})
    assert not effects(schedule_of(taken(DEBT), refused(listed))[1], "different kinds")
    assert effects(schedule_of(taken(listed))[1], "different kinds") == ["laxer"]


@pytest.mark.parametrize(
    ("priority", "boundary", "word", "told"),
    [
        ("HIGHEST", "MINIMUM", "any", []),  # the higher is at least A where one of them is
        ("LOWEST", "MINIMUM", "all", ["stricter"]),
        ("LOWEST", "MAXIMUM", "any", []),  # the lower is at most A where one of them is
        ("HIGHEST", "MAXIMUM", "all", ["stricter"]),
    ],
)
def test_the_higher_or_lower_of_asset_and_issuer(priority: str, boundary: str, word: str, told: list[str]) -> None:
    line = taken(any_of(rated("Asset", boundary), rated("Issuer", boundary))) | {"ratingPriorityResolution": priority}
    schedule, found = schedule_of(line)
    bound = "at_least" if boundary == "MINIMUM" else "at_most"
    ratings = [
        {"rating": {bound: "A", "agencies": ["sp"]}},
        {"rating": {"scope": ["issuer"], bound: "A", "agencies": ["sp"]}},
    ]
    assert form_of_rule(schedule, 0) == {word: ratings}
    assert effects(found, f"of asset's and issuer's ratings the {priority.lower()} counts") == told


# -------------------- bands


def bands(code: str, until_exclusive: bool = True) -> list[Json]:
    first = remaining(upper=(1, "Y", not until_exclusive))
    return [
        taken(every(DEBT, country(code), part), haircutPercentage=haircut)
        for part, haircut in ((first, 0.01), (remaining((1, "Y", False)), 0.02))
    ]


def test_a_gap_is_one_of_the_same_assets() -> None:
    gap = "exactly 1Y remaining maturity is in no band"
    assert effects(schedule_of(*bands("US"))[1], gap) == ["stricter"]
    assert not effects(schedule_of(*bands("US", until_exclusive=False))[1], gap)
    # Another country's bands neither close the gap nor make one.
    assert effects(schedule_of(*bands("US"), *bands("CA", until_exclusive=False))[1], gap) == ["stricter"]
    assert not effects(schedule_of(bands("US")[0], bands("CA")[1])[1], gap)
    # A broader rule takes what stands between.
    assert not effects(schedule_of(*bands("US"), taken(DEBT, haircutPercentage=0.3))[1], gap)


def test_a_label_keeps_what_tells_bands_apart() -> None:
    securities = {"AssetType": {"assetType": "SECURITY"}}
    issuer = named("Government of the United States of America")
    schedule, _ = schedule_of(taken(every(securities, issuer, remaining((10, "Y", False), (20, "Y", True)))))
    assert schedule.rules[0].label == "1: security, Government of the United State..., over 10Y to 20Y"


# -------------------- the other serialisation, and names of issuers


def test_a_currency_is_a_criterion_by_itself_where_members_are_types() -> None:
    def typed(member: str, **content: Any) -> Json:
        return {"@type": f"cdm.product.collateral.{member}", **content}

    cash = typed("AssetType", assetType="Cash")
    codes = [
        {"@type": "cdm.base.staticdata.asset.common.ISOCurrencyCodeEnum", "@data": code} for code in ("USD", "EUR")
    ]
    criterion = typed("AllCriteria", allCriteria=[cash, typed("AnyCriteria", anyCriteria=codes)])
    schedule, found = schedule_of(taken(criterion, haircutPercentage="0"))
    assert form_of_rule(schedule, 0) == {"all": [{"asset_type": "cash"}, {"currency": ["USD", "EUR"]}]}
    assert found.findings == ()


def test_issuers_are_given_on_the_command_line() -> None:
    assert issuers(["Land X=LX", "Land X = LX2", "A=B=C"]) == {"Land X": ("LX", "LX2"), "A=B": ("C",)}
    for wrong in ("Land X", "=LX", "Land X="):
        with pytest.raises(ScheduleError, match="is not a name and what stands for it"):
            issuers([wrong])


def test_both_commands_take_issuers(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"criteria": [taken(named("Land X"))]}), encoding="utf-8")
    commands: list[Callable[[list[str]], int]] = [eligibility_command, product_command]
    for place, command in enumerate(commands):
        out = tmp_path / str(place)
        words = ["import-cdm", str(file), "--out", str(out), "--issuer", "Land X=LX", "--issuer", "Land X=LX2"]
        assert command(words) == 0
        assert "{issuer: [LX, LX2]}" in (out / "schedule.yaml").read_text(encoding="utf-8")


def test_an_issuer_that_the_document_does_not_name_is_told(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"criteria": [taken(named("Land X"))]}), encoding="utf-8")
    options = CdmOptions(issuers=issuers(["Land X=LX", "Land Y=LY"]))
    found, (written,) = import_cdm(file, tmp_path / "schedules", options=options)
    assert "{issuer: LX}" in written.read_text(encoding="utf-8")
    assert [(one.value, one.effect) for one in found.findings] == [("Land Y", "stricter")]
