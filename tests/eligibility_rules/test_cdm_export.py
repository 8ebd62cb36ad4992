"""Schedules written as documents of the Common Domain Model: what reads back is the same, or is said not to be."""

from __future__ import annotations

import json
import random
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from eligibility_rules import Context, ScheduleError, match, parse_schedule
from eligibility_rules.exporters.cdm import cdm_document, cdm_text
from eligibility_rules.importers.cdm import parse_cdm
from eligibility_rules.importers.cdm.checks import always_true, never_true, overlap, within
from eligibility_rules.vocabulary import Criterion, Rule, Schedule
from eligibility_rules.writing import criterion_form, form_of

OWN = Path(__file__).parent / "cdm"
Form = dict[str, Any]


def again(schedule: Schedule) -> Schedule:
    (read,) = parse_cdm(cdm_text(schedule), "again").schedules
    return read


# -------------------- what is drawn

COUNTRIES, CURRENCIES = ["US", "DE", "JP"], ["USD", "EUR", "JPY"]
KINDS = ["cash", "debt", "equity", "fund"]
LETTERS = ["AAA", "AA-", "A", "BBB-", "BB"]
TENORS = ["6M", "1Y", "5Y", "10Y"]
INDICES = ["S&P 500", "DAX", "CAC 40"]


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


@st.composite
def ratings(draw: st.DrawFn) -> Form:
    agencies = draw(some(["sp", "moodys"]))
    inner: Form = {"scope": draw(st.sampled_from(["asset", "issuer"])), "agencies": agencies}
    best, worst = sorted(draw(st.lists(st.sampled_from(range(5)), min_size=2, max_size=2)))
    words = draw(st.sampled_from([("at_least",), ("at_most",), ("at_least", "at_most")]))
    inner |= {word: LETTERS[worst if word == "at_least" else best] for word in words}
    if len(agencies) > 1:
        resolves = ["lowest", "highest", "second_best", "average"] + (["any"] if len(words) == 1 else [])
        inner["resolve"] = draw(st.sampled_from(resolves))
    return {"rating": inner}


@st.composite
def maturities(draw: st.DrawFn) -> Form:
    low, high = sorted(draw(st.lists(st.sampled_from(range(4)), min_size=2, max_size=2, unique=True)))
    bounds = {}
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["ge", "gt"]))] = TENORS[low]
    if draw(st.booleans()) or not bounds:
        bounds[draw(st.sampled_from(["le", "lt"]))] = TENORS[high]
    return {"maturity": {draw(st.sampled_from(["remaining", "original"])): bounds}}


LEAVES = st.one_of(
    some(COUNTRIES).map(lambda values: {"issuer_country": values}),
    some(COUNTRIES).map(lambda values: {"asset_country": values}),
    some(CURRENCIES).map(lambda values: {"currency": values}),
    some(INDICES).map(lambda values: {"index": values}),
    some(["I1", "I2"]).map(lambda values: {"issuer": values}),
    some(["XNYS", "XETR"]).map(lambda values: {"exchange": values}),
    st.sampled_from([["sovereign", "central_bank"], ["agency"], ["corporate", "bank", "financial"]]).map(
        lambda values: {"issuer_type": values}
    ),
    st.booleans().map(lambda value: {"own_issue": value}),
    st.booleans().map(lambda value: {"domestic_currency": value}),
    ratings(),
    maturities(),
)
BOND = st.one_of(
    st.sampled_from([["fixed"], ["zero"], ["fixed", "zero"]]).map(lambda values: {"interest": values}),
    st.sampled_from([["plain"], ["covered"], ["asset_backed"]]).map(lambda values: {"secured_type": values}),
    st.just({"seniority": "senior"}),
)
CRITERIA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)


@st.composite
def rules(draw: st.DrawFn) -> Form:
    kind = draw(st.sampled_from(KINDS))
    parts = [{"asset_type": kind}, draw(CRITERIA)]
    if kind == "debt" and draw(st.booleans()):
        parts.append(draw(BOND))
    rule: Form = {"when": {"all": parts}}
    if draw(st.integers(0, 4)) == 0:
        return rule | {"exclude": True}
    if draw(st.booleans()):
        rule["margin_type"] = draw(st.sampled_from(["im", "vm"]))
    word, value = draw(
        st.sampled_from(
            [("haircut", "0.02"), ("haircut", "0.005"), ("margin_ratio", "1.08"), ("valuation_percentage", "0.96")]
        )
    )
    return rule | {word: value}


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    last = {"when": {"asset_type": "commodity"}, "haircut": "0.15"}
    drawn = [*draw(st.lists(rules(), min_size=1, max_size=3)), last]
    form: Form = {"overlap": "highest_haircut", "rules": drawn}
    if draw(st.booleans()):
        form["fx_haircut"] = {"rate": "0.08"}
    if draw(st.integers(0, 3)) == 0:
        form["wrong_way"] = "allow"
    return parse_schedule(form, "drawn")


def assets(seed: int, n: int = 60) -> pd.DataFrame:
    chance = random.Random(seed)

    def cell(values: list[str]) -> str:
        return chance.choice([*values, ""])

    rows = []
    for place in range(n):
        kind = chance.choice([*KINDS, "commodity"])
        row = {"asset_id": f"A{place}", "asset_type": kind, "currency": cell(CURRENCIES)}
        if kind != "cash":
            row |= {
                "issuer": cell(["I1", "I2", "I3"]),
                "issuer_parent": cell(["P1", "P2"]),
                "issuer_type": cell(["sovereign", "agency", "bank", "fund"]),
                "issuer_country": cell(COUNTRIES),
                "asset_country": cell(COUNTRIES),
                "exchange": cell(["XNYS", "XLON"]),
                "index": cell(INDICES),
                "issue_date": cell(["2020-07-01", "2025-07-01"]),
                "maturity_date": cell(
                    ["2026-12-31", "2027-01-01", "2027-07-01", "2030-01-01", "2031-07-01", "2040-01-01"]
                ),
                "interest": cell(["fixed", "zero", "floating"]),
                "secured_type": cell(["plain", "covered", "asset_backed"]),
                "seniority": cell(["senior", "subordinated"]),
                "rating_sp": cell(LETTERS),
                "rating_moodys": cell(["Aaa", "Aa3", "A2", "Baa3", "Ba2"]),
                "issuer_rating_sp": cell(LETTERS),
                "issuer_rating_moodys": cell(["Aaa", "Aa3", "A2", "Baa3", "Ba2"]),
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


CONTEXTS = [
    Context(date(2026, 7, 1), "EUR", margin_type, owner)
    for margin_type in ("im", "vm")
    for owner in (None, "P1")
]  # fmt: skip


def values(schedule: Schedule, table: pd.DataFrame, context: Context) -> list[Fraction | None]:
    found = match(schedule, table, context)
    return [
        found.factors[code] if taken else None for code, taken in zip(found.factor_code, found.eligible, strict=True)
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(schedules(), st.integers(0, 2**20))
def test_what_is_written_reads_back_as_a_schedule_that_takes_the_same(schedule: Schedule, seed: int) -> None:
    assume(not cdm_document(schedule).unsaid)
    read, table = again(schedule), assets(seed)
    for context in CONTEXTS:
        assert values(read, table, context) == values(schedule, table, context)
    assert cdm_text(again(read)) == cdm_text(read)


def test_branches_within_branches_are_written_the_same_when_they_are_read_again() -> None:
    best = {"rating": {"at_least": "AAA", "agencies": ["sp"]}}
    worst = {"rating": {"at_most": "BB+", "agencies": ["sp"]}}
    for word in ("any", "all"):
        when = {word: [best, {word: [{"issuer_country": "US"}, worst]}]}
        read = again(parse_schedule({"rules": [{"when": when, "haircut": "0.02"}]}, "x"))
        assert criterion_form(read.rules[0].when) == {word: [best, worst, {"issuer_country": "US"}]}  # type: ignore[arg-type]
        assert cdm_text(again(read)) == cdm_text(read)


def test_the_drawn_schedules_can_mostly_be_said() -> None:
    """The property above would mean little if most of what is drawn were assumed away."""
    said: list[bool] = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(schedules())
    def draw(schedule: Schedule) -> None:
        said.append(not cdm_document(schedule).unsaid)

    draw()
    assert sum(said) > 0.7 * len(said)


# -------------------- documents


def bare(schedule: Schedule) -> Form:
    """What a document can hold: neither name, source nor notes."""
    form = form_of(schedule)
    for key in ("name", "source", "as_of", "leaves_out"):
        form.pop(key, None)
    for part in [*form["rules"], *form.get("limits", [])]:
        part.pop("note", None)
    return form


@pytest.mark.parametrize("file", sorted(OWN.glob("*.json")), ids=lambda file: file.stem)
def test_a_document_that_was_read_is_written_and_read_the_same(file: Path) -> None:
    for schedule in parse_cdm(file.read_text(encoding="utf-8"), file.stem).schedules:
        first = again(schedule)
        assert [rule.when for rule in first.rules] == [rule.when for rule in schedule.rules]
        assert [rule.factor for rule in first.rules] == [rule.factor for rule in schedule.rules]
        assert first.limits == tuple(
            limit.model_copy(update={"note": mine.note})
            for limit, mine in zip(schedule.limits, first.limits, strict=True)
        )
        assert first.fx_haircut == schedule.fx_haircut
        assert bare(again(first)) == bare(first)
        assert cdm_text(again(first)) == cdm_text(first)


def test_a_rule_is_written_as_the_model_has_it() -> None:
    when = {
        "all": [{"asset_type": "debt"}, {"issuer_country": "US"}, {"maturity": {"remaining": {"ge": "1Y", "lt": "5Y"}}}]
    }
    schedule = parse_schedule({"rules": [{"when": when, "valuation_percentage": "0.98", "margin_type": "im"}]}, "one")
    assert json.loads(cdm_text(schedule)) == {
        "criteria": [
            {
                "collateralCriteria": {
                    "AllCriteria": {
                        "allCriteria": [
                            {"AssetType": {"assetType": "SECURITY", "securityType": "DEBT"}},
                            {"IssuerCountryOfOrigin": {"issuerCountryOfOrigin": "US"}},
                            {
                                "AssetMaturity": {
                                    "maturityType": "REMAINING_MATURITY",
                                    "maturityRange": {
                                        "lowerBound": {
                                            "inclusive": True,
                                            "period": {"period": "Y", "periodMultiplier": 1},
                                        },
                                        "upperBound": {
                                            "inclusive": False,
                                            "period": {"period": "Y", "periodMultiplier": 5},
                                        },
                                    },
                                }
                            },
                        ]
                    }
                },
                "restrictTo": "INITIAL_MARGIN",
                "treatment": {"isIncluded": True, "valuationTreatment": {"haircutPercentage": 0.02}},
            }
        ]
    }


def test_figures_are_written_to_the_last_digit() -> None:
    digits = "0.0123456789012345678901234567"
    schedule = parse_schedule({"rules": [{"when": {"asset_type": "debt"}, "haircut": digits}]}, "one")
    assert f'"haircutPercentage": {digits}' in cdm_text(schedule)
    assert again(schedule).rules[0].factor == 1 - Fraction(digits)


UNSAID: list[tuple[Form, str, str]] = [
    ({"rules": [{"when": {"duration": {"le": 3}}, "haircut": "0.02"}]}, "compares no duration", "stricter"),
    ({"rules": [{"when": {"hqla_level": "1"}, "haircut": "0"}]}, "no word for hqla_level", "stricter"),
    ({"rules": [{"when": {"issuer_type": "bank"}, "haircut": "0.1"}]}, "stand for exactly bank", "stricter"),
    ({"rules": [{"when": {"interest": "zero"}, "haircut": "0.1"}]}, "no word for interest", "stricter"),
    ({"rules": [{"haircut": "0"}]}, "needs a criterion", "stricter"),
    ({"rules": [{"when": {"asset_type": "debt"}, "haircut": "1/3"}]}, "does not end", "stricter"),
    ({"rules": [{"when": {"index": "My index"}, "exclude": True}]}, "not an index of the model", "laxer"),
    ({"assume": {"secured_type": "plain"}}, "no assumptions", "stricter"),
    (
        {
            "overlap": "first",
            "rules": [
                {"when": {"currency": "USD"}, "haircut": "0"},
                {"when": {"asset_type": "debt"}, "haircut": "0.02"},
            ],
        },
        "no order of rules",
        "stricter",
    ),
    ({"fx_haircut": {"rate": "0.08", "combine": "multiplicative"}}, "not multiplied", "laxer"),
    ({"fx_haircut": {"rate": "0.08", "select": {"currency": "JPY"}}}, "stands with a criterion", "laxer"),
    ({"further_haircuts": [{"label": "more", "rate": "0.01"}]}, "beside those of the rules", "laxer"),
    (
        {"limits": [{"group_by": "issuer", "select": {"currency": "JPY"}, "of": "posted", "max": "0.1"}]},
        "no rule takes exactly",
        "laxer",
    ),
    (
        {
            "limits": [
                {"measure": "value_after_haircut", "select": {"asset_type": "debt"}, "of": "posted", "max": "0.1"}
            ]
        },
        "measured in market value",
        "laxer",
    ),
    (
        {"limits": [{"group_by": "issuer", "select": {"asset_type": "debt"}, "of": "requirement", "max": "0.1"}]},
        "no limit of the model",
        "laxer",
    ),
]


@pytest.mark.parametrize(("form", "message", "effect"), UNSAID, ids=[message for _, message, _ in UNSAID])
def test_what_cannot_be_said_is_told_and_nothing_is_written(form: Form, message: str, effect: str) -> None:
    schedule = parse_schedule({"rules": [{"when": {"asset_type": "debt"}, "haircut": "0.02"}], **form}, "one")
    told = [one.effect for one in cdm_document(schedule).unsaid if message in one.message]
    assert told == [effect]
    with pytest.raises(ScheduleError, match=message):
        cdm_text(schedule)


def test_exclusions_alone_are_no_document() -> None:
    rules_ = [{"when": {"asset_type": "debt"}, "exclude": True}, {"when": {"hqla_level": "1"}, "haircut": "0.01"}]
    schedule = parse_schedule({"overlap": "highest_haircut", "rules": rules_}, "two")
    with pytest.raises(ScheduleError, match="no rule that takes anything can be said"):
        cdm_text(schedule, partly=True)


def test_part_of_a_schedule_is_written_only_if_asked_for() -> None:
    rules_ = [{"when": {"asset_type": "debt"}, "haircut": "0.02"}, {"when": {"hqla_level": "1"}, "haircut": "0.01"}]
    schedule = parse_schedule({"overlap": "highest_haircut", "rules": rules_}, "two")
    (read,) = parse_cdm(cdm_text(schedule, partly=True), "read").schedules
    assert [rule.factor for rule in read.rules] == [Fraction(98, 100)]


def test_a_rule_that_holds_another_back_is_missed() -> None:
    """Without the second rule its assets would count at 98 %, by the first."""
    rules_ = [{"when": {"asset_type": "debt"}, "haircut": "0.02"}, {"when": {"hqla_level": "1"}, "haircut": "0.2"}]
    schedule = parse_schedule({"overlap": "highest_haircut", "rules": rules_}, "two")
    assert [one.effect for one in cdm_document(schedule).unsaid] == ["laxer"]


# -------------------- broken documents

DOCUMENTS = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(OWN.glob("*.json"))]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    if not path:
        return part
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], part)
    return copy


ODD = st.sampled_from([None, "", "X", -1, 0, 1.5, 1e9, True, [], {}, ["X"], {"X": 1}, {"value": None}, [[[]]]])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_broken_document_is_read_or_refused_and_never_more(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(DOCUMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        document = put(document, data.draw(st.sampled_from(places(document))), data.draw(ODD))
    try:
        found = parse_cdm(json.dumps(document), "broken")
    except ScheduleError as failed:
        assert failed.problems
    else:
        assert all(one.where.startswith("$") for one in found.findings)


# -------------------- what can be true together


@settings(max_examples=200, deadline=None)
@given(CRITERIA, CRITERIA, st.integers(0, 2**20))
def test_what_is_said_to_be_never_or_always_true_is(one: Form, other: Form, seed: int) -> None:
    def criterion(form: Form) -> Criterion:
        when = Rule.model_validate({"when": form, "haircut": 0}).when
        assert when is not None
        return when

    table, context = assets(seed, 200), Context(date(2026, 7, 1), "EUR", None, "P1")

    def taken(*forms: Form) -> bool:
        schedule = parse_schedule({"wrong_way": "allow", "rules": [{"when": {"all": list(forms)}, "haircut": 0}]}, "x")
        return bool(match(schedule, table, context).eligible.any())

    first, second = criterion(one), criterion(other)
    if never_true(first):
        assert not taken(one)
    if always_true(first):
        assert not taken({"not": one})
    if not overlap(first, second):
        assert not taken(one, other)
    if within(first, second):
        assert not taken(one, {"not": other})
