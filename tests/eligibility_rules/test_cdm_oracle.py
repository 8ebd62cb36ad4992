"""What was read from a document against an evaluator that walks the document itself, one asset at a time."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pandas as pd
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from eligibility_rules import Context, match
from eligibility_rules.importers.cdm import parse_cdm

Json = dict[str, Any]
Truth = bool | None
Asset = dict[str, str]
TODAY = date(2026, 7, 1)
SP = {"AAA": 1, "AA-": 4, "A": 6, "BBB-": 10, "BB": 12}
MOODYS = {"Aaa": 1, "Aa3": 4, "A2": 6, "Baa3": 10, "Ba2": 12}
SCALE = {"STANDARD_AND_POORS": ("rating_sp", SP), "MOODYS": ("rating_moodys", MOODYS)}
ISSUERS = {
    "SOVEREIGN_CENTRAL_BANK": {"sovereign", "central_bank"},
    "CORPORATE": {"corporate", "bank", "financial"},
    "QUASI_GOVERNMENT": {"agency"},
}
UNITS = {"Y": "years", "M": "months", "D": "days"}


def cell(asset: Asset, column: str, wanted: set[str]) -> Truth:
    return asset[column] in wanted if asset[column] else None


def every(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def either(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def steps(asset: Asset, parts: list[Json]) -> list[int]:
    found = []
    for part in parts:
        column, scale = SCALE[part["AssetAgencyRating"]["assetAgencyRating"]["creditNotation"]["agency"]]
        if asset[column]:
            found.append(scale[asset[column]])
    return found


def rated(part: Json, step: int) -> bool:
    rating = part["AssetAgencyRating"]["assetAgencyRating"]
    _, scale = SCALE[rating["creditNotation"]["agency"]]
    bound = scale[rating["creditNotation"]["notation"]["value"]]
    return step <= bound if rating["boundary"] == "MINIMUM" else step >= bound


def evaluate(criterion: Json, asset: Asset) -> Truth:
    ((member, inner),) = criterion.items()
    if member == "AllCriteria":
        return every([evaluate(part, asset) for part in inner["allCriteria"]])
    if member == "AnyCriteria":
        parts = inner["anyCriteria"]
        if all("AssetAgencyRating" in part for part in parts) and len(parts) == 2:
            return agencies(parts, asset)
        return either([evaluate(part, asset) for part in parts])
    if member == "NegativeCriteria":
        truth = evaluate(inner["negativeCriteria"], asset)
        return None if truth is None else not truth
    if member == "AssetAgencyRating":
        found = steps(asset, [criterion])
        return rated(criterion, found[0]) if found else None
    if member == "AssetType":
        kind = cell(asset, "asset_type", {inner.get("securityType", inner["assetType"]).lower()})
        wanted = [one["interest"] for one in inner.get("debtType", {}).get("debtEconomics", [])]
        words = {"ZERO_COUPON": "zero", "FIXED": "fixed"}
        return every([kind, cell(asset, "interest", {words[one] for one in wanted})]) if wanted else kind
    if member == "CollateralIssuerType":
        return cell(asset, "issuer_type", ISSUERS[inner["issuerType"]])
    if member == "IssuerCountryOfOrigin":
        return cell(asset, "issuer_country", {inner["issuerCountryOfOrigin"]})
    if member == "AssetCountryOfOrigin":
        return cell(asset, "asset_country", {inner["assetCountryOfOrigin"]})
    if member == "CurrencyCodeEnum":
        return cell(asset, "currency", {inner["value"]})
    assert member == "AssetMaturity"
    return matures(inner, asset)


def agencies(parts: list[Json], asset: Asset) -> Truth:
    """Of the ratings there are, the one that the stated resolution names is compared."""
    found = steps(asset, parts)
    if not found:
        return None
    lowest = parts[0]["AssetAgencyRating"]["assetAgencyRating"]["mismatchResolution"] == "LOWEST"
    return rated(parts[0], max(found) if lowest else min(found))


def matures(inner: Json, asset: Asset) -> Truth:
    original = inner["maturityType"] == "ORIGINAL_MATURITY"
    if not asset["maturity_date"] or (original and not asset["issue_date"]):
        return None
    start = date.fromisoformat(asset["issue_date"]) if original else TODAY
    end = date.fromisoformat(asset["maturity_date"])
    for name, bound in inner["maturityRange"].items():
        period = bound["period"]
        at = start + relativedelta(**{UNITS[period["period"]]: period["periodMultiplier"]})  # type: ignore[arg-type]
        beyond = end > at if name == "lowerBound" else end < at
        if not (beyond or (bound["inclusive"] and end == at)):
            return False
    return True


# -------------------- what is drawn


def member(name: str, attribute: str, values: list[str]) -> st.SearchStrategy[Json]:
    return st.sampled_from(values).map(lambda value: {name: {attribute: value}})


def notation(agency: str, place: int, boundary: str, resolution: str | None) -> Json:
    rating: Json = {"boundary": boundary, "creditNotation": {"agency": agency, "notation": {}}}
    rating["creditNotation"]["notation"]["value"] = list(SCALE[agency][1])[place]
    if resolution is not None:
        rating["mismatchResolution"] = resolution
    return {"AssetAgencyRating": {"assetAgencyRating": rating}}


@st.composite
def ratings(draw: st.DrawFn) -> Json:
    place, boundary = draw(st.integers(0, 4)), draw(st.sampled_from(["MINIMUM", "MAXIMUM"]))
    if draw(st.booleans()):
        return notation("STANDARD_AND_POORS", place, boundary, None)
    resolution = draw(st.sampled_from(["LOWEST", "HIGHEST"]))
    both = [notation(agency, place, boundary, resolution) for agency in SCALE]
    return {"AnyCriteria": {"anyCriteria": both}}


@st.composite
def maturities(draw: st.DrawFn) -> Json:
    span = {}
    for name in draw(st.sampled_from([("lowerBound",), ("upperBound",), ("lowerBound", "upperBound")])):
        count, unit = draw(st.sampled_from([(1, "Y"), (5, "Y"), (18, "M"), (30, "D")]))
        period = {"period": unit, "periodMultiplier": count}
        span[name] = {"inclusive": draw(st.booleans()), "period": period}
    kind = draw(st.sampled_from(["REMAINING_MATURITY", "ORIGINAL_MATURITY"]))
    return {"AssetMaturity": {"maturityType": kind, "maturityRange": span}}


DEBT = {"assetType": "SECURITY", "securityType": "DEBT"}
LEAVES = st.one_of(
    st.sampled_from(
        [
            {"AssetType": {"assetType": "CASH"}},
            {"AssetType": DEBT},
            {"AssetType": {"assetType": "SECURITY", "securityType": "EQUITY"}},
            {"AssetType": {**DEBT, "debtType": {"debtEconomics": [{"interest": "ZERO_COUPON"}]}}},
            {
                "AssetType": {
                    **DEBT,
                    "debtType": {"debtEconomics": [{"interest": "FIXED"}, {"interest": "ZERO_COUPON"}]},
                }
            },
        ]
    ),
    member("CollateralIssuerType", "issuerType", list(ISSUERS)),
    member("IssuerCountryOfOrigin", "issuerCountryOfOrigin", ["US", "DE"]),
    member("AssetCountryOfOrigin", "assetCountryOfOrigin", ["US", "DE"]),
    member("CurrencyCodeEnum", "value", ["USD", "EUR"]),
    ratings(),
    maturities(),
)
CRITERIA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: {"AllCriteria": {"allCriteria": parts}}),
        # Ratings of several agencies stand in an `any` of their own.
        st.tuples(inner, st.sampled_from([{"AssetType": DEBT}, {"CurrencyCodeEnum": {"value": "USD"}}])).map(
            lambda parts: {"AnyCriteria": {"anyCriteria": list(parts)}}
        ),
        inner.map(lambda part: {"NegativeCriteria": {"negativeCriteria": part}}),
    ),
    max_leaves=6,
)


def one_of(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*values, ""])


ASSETS = st.fixed_dictionaries(
    {
        "asset_type": one_of("cash", "debt", "equity"),
        "interest": one_of("zero", "fixed", "floating"),
        "issuer_type": one_of("sovereign", "central_bank", "bank", "agency", "fund"),
        "issuer_country": one_of("US", "DE", "FR"),
        "asset_country": one_of("US", "DE"),
        "currency": one_of("USD", "EUR", "JPY"),
        "issue_date": one_of("2026-06-01", "2021-07-01"),
        "maturity_date": one_of("2026-07-01", "2026-07-31", "2027-07-01", "2028-01-01", "2031-07-01", "2031-07-02"),
        "rating_sp": one_of(*SP),
        "rating_moodys": one_of(*MOODYS),
    }
)


def treatment(haircut: float) -> Json:
    return {"isIncluded": True, "valuationTreatment": {"haircutPercentage": haircut}}


@settings(max_examples=250, deadline=None)
@given(CRITERIA, CRITERIA, st.lists(ASSETS, min_size=5, max_size=15))
def test_a_document_takes_what_it_says_itself(taken: Json, excluded: Json, assets: list[Asset]) -> None:
    # The third criterion takes something in any case; at a higher value, so it stands in no one's way.
    commodities = {"AssetType": {"assetType": "COMMODITY"}}
    document = {
        "criteria": [
            {"collateralCriteria": taken, "treatment": treatment(0.02)},
            {"collateralCriteria": excluded, "treatment": {"isIncluded": False}},
            {"collateralCriteria": commodities, "treatment": treatment(0.01)},
        ]
    }
    (schedule,) = parse_cdm(json.dumps(document), "drawn").schedules
    schedule = schedule.model_copy(update={"wrong_way": "allow"})
    table = pd.DataFrame([{"asset_id": f"A{place}", **asset} for place, asset in enumerate(assets)])
    found = match(schedule, table, Context(TODAY, "EUR"))
    assert list(found.eligible) == [
        evaluate(taken, asset) is True and evaluate(excluded, asset) is False for asset in assets
    ]
