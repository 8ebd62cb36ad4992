"""Schedules written out: what is read back is what was written, and one thing has one form."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from eligibility_rules import Schedule, load_schedule, parse_schedule, published
from eligibility_rules.writing import canonical_text, criterion_form, csv_text, form_of, number_text, yaml_text
from tests.eligibility_rules.drawn import schedules

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/schedules/*"))
ours = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_back(text: str, tmp_path: Path, name: str) -> Schedule:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_schedule(path)


@ours
@given(schedule=schedules)
def test_what_is_written_reads_back_as_the_same_schedule(schedule: Schedule, tmp_path: Path) -> None:
    assert parse_schedule(form_of(schedule), schedule.name) == schedule
    text = yaml_text(schedule)
    again = read_back(text, tmp_path, "again.yaml")
    assert again == schedule
    assert yaml_text(again) == text


@ours
@given(schedule=schedules)
def test_other_readers_of_yaml_read_the_same(schedule: Schedule) -> None:
    """A reader that knows numbers, dates, true and false (Norway's NO among them) takes nothing for another thing."""
    assert parse_schedule(yaml.safe_load(yaml_text(schedule)), schedule.name) == schedule


@ours
@given(one=schedules, other=schedules)
def test_schedules_differ_exactly_where_their_canonical_texts_do(one: Schedule, other: Schedule) -> None:
    assert (one == other) == (canonical_text(one) == canonical_text(other))


def every_schedule_there_is() -> list[Any]:
    ours = [pytest.param(path, id="/".join(path.parts[-3::2])) for path in EXAMPLES]
    folder = Path(published.__file__).parent
    return ours + [pytest.param(next(folder.glob(f"{name}.*")), id=name) for name in published.names()]


@pytest.mark.parametrize("path", every_schedule_there_is())
def test_every_schedule_there_is_survives_being_written(path: Path, tmp_path: Path) -> None:
    schedule = load_schedule(path)
    text = yaml_text(schedule)
    suffix = ".csv" if schedule.listing else ".yaml"
    assert read_back(text, tmp_path, schedule.name + suffix) == schedule
    assert max(map(len, text.splitlines())) <= 120


def test_the_text_is_the_one_a_person_would_write() -> None:
    form = {
        "name": "acme",
        "source": "Annex A",
        "overlap": "first",
        "fx_haircut": {"rate": "0.080", "combine": "additive"},
        "rules": [
            {
                "label": "Norway, short",
                "haircut": 0.02,
                "when": {"all": [{"issuer_country": ["NO"]}, {"maturity": {"remaining": {"lt": "1y"}}}]},
            },
            {"when": {"own_issue": True}, "exclude": "yes"},
        ],
        "limits": [
            {"label": "rule 1", "caps": [{"of": "requirement", "max": 0.25}]},
            {"of": "money", "max": {"amount": 5e7, "currency": "USD"}, "group_by": "issuer"},
        ],
    }
    assert yaml_text(parse_schedule(form, "acme")) == (
        "name: acme\n"
        "source: Annex A\n"
        "fx_haircut: {rate: 0.08}\n"
        "rules:\n"
        "  - label: Norway, short\n"
        '    when: {all: [{issuer_country: "NO"}, {maturity: {remaining: {lt: 1Y}}}]}\n'
        "    haircut: 0.02\n"
        "  - when: {own_issue: true}\n"
        "    exclude: true\n"
        "limits:\n"
        "  - label: rule 1\n"
        "    of: requirement\n"
        "    max: 0.25\n"
        "  - group_by: issuer\n"
        "    of: money\n"
        "    max: {amount: 50000000, currency: USD}\n"
    )


def test_what_does_not_fit_on_a_line_is_opened_out() -> None:
    countries = [f"C{n:02}" for n in range(40)]
    when = {"all": [{"issuer_country": countries}, {"any": [{"currency": "USD"}, {"currency": "EUR"}]}]}
    note = "word " * 40
    lines = yaml_text(parse_schedule({"rules": [{"when": when, "haircut": 0, "note": note.strip()}]}, "x")).splitlines()
    assert lines[1:5] == [
        "rules:",
        "  - when:",
        "      all:",
        "        - issuer_country: [" + ", ".join(countries[:18]) + ",",
    ]
    assert lines[5].strip().startswith("C18, ") and lines[6].strip().startswith("C")
    assert "        - {any: [{currency: USD}, {currency: EUR}]}" in lines
    assert lines[-2].strip() == " ".join(["word"] * 23) and lines[-1].strip() == " ".join(["word"] * 17)


def test_an_ordered_form_is_the_same_for_what_only_differs_in_order_and_nesting() -> None:
    written = {"all": [{"not": {"currency": ["USD", "EUR", "USD"]}}, {"all": [{"asset_type": "debt"}]}]}
    again = {
        "all": [{"asset_type": ["debt"]}, {"any": [{"not": {"currency": ["EUR", "USD"]}}]}, {"asset_type": "debt"}]
    }
    forms = []
    for when in (written, again, {"any": again["all"]}):
        criterion = parse_schedule({"rules": [{"when": when, "haircut": 0}]}, "x").rules[0].when
        assert criterion is not None
        forms.append(criterion_form(criterion, ordered=True))
    both = [{"asset_type": "debt"}, {"not": {"currency": ["EUR", "USD"]}}]
    assert forms == [{"all": both}, {"all": both}, {"any": both}]


def test_kinds_of_criteria_that_hold_the_same_keep_their_word() -> None:
    inner = [{"asset_type": "debt"}, {"currency": "USD"}]
    whens: list[dict[str, Any]] = [
        {"all": inner},
        {"any": inner},
        {"own_issue": True},
        {"domestic_currency": True},
    ]
    texts = {canonical_text(parse_schedule({"rules": [{"when": when, "haircut": 0}]}, "x")) for when in whens}
    assert len(texts) == len(whens)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 50), "0.02"),
        (Fraction(50, 51), "50/51"),
        (Fraction(0), "0"),
        (Fraction("0." + "1" * 40), "1" * 40 + "/1" + "0" * 40),
    ],
)
def test_numbers_are_written_so_that_they_read_back_exactly(value: Fraction, text: str) -> None:
    assert number_text(value) == text and Fraction(text) == value


def test_a_list_is_written_as_its_table(tmp_path: Path) -> None:
    text = "isin,asset_id,eligible,haircut,max_value\nDE0001102580,,yes,0.020,\n,X,no,,\n,Y,,0.1,500\n"
    listed = read_back(text, tmp_path, "ccp.csv")
    written = csv_text(listed)
    assert written == (
        "asset_id,isin,eligible,haircut,max_value\n,DE0001102580,true,0.02,\nX,,false,,\nY,,true,0.1,500\n"
    )
    assert yaml_text(listed) == written
    assert read_back(written, tmp_path, "ccp.csv") == listed
