"""The collateral terms of agreements, and whole documents: own samples, and those of the model where they are."""

from __future__ import annotations

import csv
import os
from datetime import date
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from eligibility_rules import Context, match
from eligibility_rules.importers import Imported
from eligibility_rules.importers.cdm import CdmOptions, read_cdm
from eligibility_rules.importers.terms import Amount, CsaTerms, Party, RatingAmount, Threshold
from eligibility_rules.scalars import decimal_text

OWN = Path(__file__).parent / "cdm"
SAMPLES = Path(os.environ.get("CDM_SAMPLES", Path(__file__).parents[3] / "shared" / "data" / "cdm_samples"))


def read(name: str, options: CdmOptions | None = None) -> Imported:
    return read_cdm(OWN / f"{name}.json", options=options)


def terms_of(name: str) -> CsaTerms:
    terms = read(name).terms
    assert terms is not None
    return terms


def test_an_agreements_terms_are_those_of_each_party() -> None:
    terms = terms_of("vm-agreement")
    assert (terms.publisher, terms.vintage, terms.governing_law, terms.margin_type) == ("ISDA", "2016", "GBEN", "vm")
    assert (terms.base_currency, terms.cash_currencies) == ("EUR", ("EUR", "SEK"))
    first, second = terms.party1, terms.party2
    assert (first.name, second.name) == ("Brook Street Bank", "Lindgren Pension Fund")
    assert first.minimum_transfer == Amount(
        value=250000, currency="EUR", zero_on_event=True, events=("event_of_default",)
    )
    assert second.minimum_transfer == Amount(value=0, currency=None)
    assert first.threshold == Threshold(infinite=True)
    assert second.threshold is not None and second.threshold.by_rating is not None
    assert second.threshold.by_rating.compare == "lowest"
    assert second.threshold.by_rating.table[0] == RatingAmount(agency="sp", rating="A-", amount=5000000)
    assert (first.independent_amount, second.independent_amount) == (None, Amount(value=1000000, currency="EUR"))
    assert (first.substitution_needs_consent, second.substitution_needs_consent) == (True, False)
    assert (terms.rounding.delivery, terms.rounding.delivery_direction) == (10000, "up")
    assert (terms.rounding.returned, terms.rounding.return_direction) == (10000, "down")


def test_the_terms_are_columns_of_the_table_of_requirements() -> None:
    columns = terms_of("vm-agreement").requirement_columns("party2")
    assert columns == {
        "currency": "EUR",
        "margin_type": "vm",
        "threshold_us": "",  # follows ratings: today's figure is filled in
        "threshold_them": "infinity",
        "independent_us": "1000000",
        "independent_them": "",
        "minimum_transfer_us": "0",
        "minimum_transfer_them": "250000",
        "zero_in_default_us": "threshold",
        "zero_in_default_them": "minimum_transfer",
        "delivery_unit": "10000",
        "delivery_rounding": "up",
        "return_unit": "10000",
        "return_rounding": "down",
    }


def test_one_who_need_not_post_has_an_infinite_threshold() -> None:
    terms = terms_of("im-agreement")
    assert (terms.margin_type, terms.only_poster) == ("im", "party2")
    columns = terms.requirement_columns("party1")
    assert (columns["threshold_us"], columns["threshold_them"]) == ("infinity", "50000000")


def test_both_serialisations_are_the_same_agreement() -> None:
    java, python = read("vm-agreement"), read("vm-agreement-python")
    assert java.terms == python.terms
    assert [one.rules for one in java.schedules] == [one.rules for one in python.schedules]
    assert [(one.where, one.message, one.effect) for one in java.findings] == [
        (one.where, one.message, one.effect) for one in python.findings
    ]


def test_each_party_has_a_schedule_of_what_it_may_post() -> None:
    first, second = read("vm-agreement").schedules
    assert (first.name, second.name) == ("vm-agreement-party1", "vm-agreement-party2")
    assert first.as_of == "2025-03-31" and "vm-agreement.json, ISDA 2016 GBEN" in first.source
    assert [rule.factor for rule in first.rules] == [1, Fraction(995, 1000), Fraction(96, 100)]
    assert [rule.factor for rule in second.rules] == [1]
    (only,) = read("vm-agreement", CdmOptions(party="party2")).schedules
    assert only.name == "vm-agreement-party2"


@pytest.mark.parametrize(
    ("asset_type", "currency", "matures", "value"),
    [
        ("cash", "SEK", "", Fraction(1)),
        ("cash", "USD", "", None),  # no eligible currency
        ("debt", "EUR", "2027-06-30", Fraction(995, 1000)),  # a day less than a year
        ("debt", "EUR", "2027-07-01", None),  # exactly one year: between `under` and `over`
        ("debt", "EUR", "2027-07-02", Fraction(96, 100)),
        ("debt", "EUR", "2036-07-01", Fraction(96, 100)),  # exactly ten years
        ("debt", "EUR", "2036-07-02", None),
    ],
)
def test_assets_count_as_the_agreement_says(
    asset_type: str, currency: str, matures: str, value: Fraction | None
) -> None:
    facts = {"asset_id": "A", "asset_type": asset_type, "currency": currency, "maturity_date": matures}
    facts |= {"issuer_type": "sovereign", "issuer_country": "DE"} if asset_type == "debt" else {}
    found = match(read("vm-agreement").schedules[0], pd.DataFrame([facts]), Context(date(2026, 7, 1), "EUR"))
    assert (found.factors[found.factor_code[0]] if found.eligible[0] else None) == value


def test_an_fx_haircut_without_its_rate_is_laxer_until_it_is_given() -> None:
    assert [one.effect for one in read("vm-agreement").findings if "FX haircut without its rate" in one.message] == [
        "laxer"
    ]
    given = read("vm-agreement", CdmOptions(fx_haircut=Fraction(8, 100)))
    assert given.schedules[0].fx_haircut is not None and given.schedules[0].fx_haircut.rate == Fraction(8, 100)
    assert not [one for one in given.findings if "FX haircut without its rate" in one.message]


def test_findings_that_may_take_too_much_come_first() -> None:
    effects = [one.effect for one in read("vm-agreement").findings]
    assert effects == sorted(effects, key=["laxer", "stricter", "none"].index)


def test_an_agreement_whose_collateral_stands_elsewhere_has_terms_only(tmp_path: Path) -> None:
    text = (OWN / "vm-agreement.json").read_text(encoding="utf-8").replace("eligibleCollateral", "elsewhere")
    (tmp_path / "bare.json").write_text(text, encoding="utf-8")
    found = read_cdm(tmp_path / "bare.json")
    assert found.schedules == () and found.terms is not None
    assert any("no schedule is written" in one.message for one in found.findings)


# -------------------- the model's own samples, where they are


def _expected() -> list[dict[str, str]]:
    file = SAMPLES / "expected_csa_terms.csv"
    return list(csv.DictReader(file.open(encoding="utf-8"))) if file.exists() else []


def _amount(amount: Amount | None) -> str:
    if amount is None:
        return ""
    zero = " zero_on_event" if amount.zero_on_event else ""
    return f"{decimal_text(amount.value)} {amount.currency or 'NA'}{zero}"


def _threshold(threshold: Threshold | None) -> str:
    if threshold is None or threshold.infinite:
        return "" if threshold is None else "infinity"
    return "ratings_based" if threshold.by_rating is not None else _amount(threshold.amount)


def terms_differ(row: dict[str, str], found: Imported) -> dict[str, tuple[str, str]]:
    """Cells in which the terms are not those that were read from the printed agreement."""
    terms = found.terms
    assert terms is not None
    ours: dict[str, str] = {}
    parties: tuple[tuple[str, Party], ...] = (("1", "party1"), ("2", "party2"))
    for number, party in parties:
        side = terms.of(party)
        ours[f"mta_party{number}"] = _amount(side.minimum_transfer)
        ours[f"threshold_party{number}"] = _threshold(side.threshold)
        consent = side.substitution_needs_consent
        ours[f"subst_consent_p{number}"] = "" if consent is None else str(consent)
    rounding = terms.rounding
    ours |= {
        "round_delivery": "" if rounding.delivery is None else decimal_text(rounding.delivery),
        "round_delivery_dir": (rounding.delivery_direction or "").upper(),
        "round_return": "" if rounding.returned is None else decimal_text(rounding.returned),
        "round_return_dir": (rounding.return_direction or "").upper(),
        "round_ccy": rounding.currency or "",
        "base_ccy": terms.base_currency or "",
        "other_eligible_ccy": "/".join(terms.eligible_currencies),
        "n_eligible_criteria": str(sum(len(schedule.rules) for schedule in found.schedules)),
    }
    percentages = {rule.factor * 100 for schedule in found.schedules for rule in schedule.rules}
    ours["margin_percentages"] = " ".join(decimal_text(one) for one in sorted(percentages))
    return {key: (row[key], value) for key, value in ours.items() if row[key] != value}


def test_the_samples_have_the_terms_that_were_read_from_the_printed_agreements() -> None:
    for row in _expected():
        assert terms_differ(row, read_cdm(SAMPLES / row["file"])) == {}, row["file"]


def test_a_difference_of_terms_would_be_found() -> None:
    found = read("vm-agreement")
    assert "mta_party1" in terms_differ({key: "" for key in _KEYS}, found)


_KEYS = (
    "mta_party1", "mta_party2", "threshold_party1", "threshold_party2", "subst_consent_p1", "subst_consent_p2",
    "round_delivery", "round_delivery_dir", "round_return", "round_return_dir", "round_ccy", "base_ccy",
    "other_eligible_ccy", "n_eligible_criteria", "margin_percentages",
)  # fmt: skip
