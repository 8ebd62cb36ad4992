"""The difference of two schedules: nothing where they say the same, one record for each edit, and what assets feel."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from eligibility_rules import Context, Schedule, match, parse_schedule, published
from eligibility_rules.differences import Difference, asset_differences, differences, differences_text
from eligibility_rules.writing import form_of
from tests.eligibility_rules.drawn import schedules

Form = dict[str, Any]


def base() -> Form:
    return {
        "name": "acme",
        "source": "Annex of 2020",
        "fx_haircut": {"rate": "0.08"},
        "further_haircuts": [{"label": "zeros", "select": {"interest": "zero"}, "rate": "0.01"}],
        "assume": {"secured_type": "plain"},
        "leaves_out": ["short-term ratings"],
        "rules": [
            {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0},
            {
                "label": "treasuries",
                "when": {
                    "all": [
                        {"asset_type": "debt"},
                        {"issuer_country": ["US", "CA"]},
                        {"maturity": {"remaining": {"le": "5Y"}}},
                    ]
                },
                "haircut": "0.02",
            },
            {"when": {"asset_type": "equity"}, "haircut": "0.15"},
            {"label": "no convertibles", "when": {"secured_type": "convertible"}, "exclude": True},
        ],
        "limits": [
            {"label": "one issuer", "group_by": "issuer", "of": "requirement", "max": "0.25"},
            {"select": {"asset_type": "equity"}, "of": "posted", "max": "0.3"},
        ],
    }


def read(form: Form) -> Schedule:
    return parse_schedule(form, "acme")


@settings(max_examples=60, deadline=None)
@given(schedule=schedules)
def test_a_schedule_does_not_differ_from_itself(schedule: Schedule) -> None:
    assert differences(schedule, schedule) == ()
    assert differences(schedule, parse_schedule(form_of(schedule), "other")) == ()


def put(form: Form, value: Any, *path: Any) -> None:
    for step in path[:-1]:
        form = form[step]
    if value is None:
        del form[path[-1]]
    else:
        form[path[-1]] = value


def at(value: Any, *path: Any) -> Callable[[Form], None]:
    return lambda form: put(form, value, *path)


def added(value: Any, *path: Any) -> Callable[[Form], None]:
    def change(form: Form) -> None:
        for step in path:
            form = form[step]
        form.append(value)  # type: ignore[attr-defined]

    return change


FX = "added to the haircut, where the asset's currency differs from the one that collateral is counted in"
BY = "by market_value, group_by none, of"
WHEN = ("rules", 1, "when", "all")
EDITS: list[tuple[str, Callable[[Form], None], tuple[str, str, str, str, str]]] = [
    ("source", at("Annex of 2025", "source"), ("changed", "schedule", "source", "Annex of 2020", "Annex of 2025")),
    ("overlap", at("error", "overlap"), ("changed", "schedule", "overlap", "first", "error")),
    (
        "fx",
        at("0.1", "fx_haircut", "rate"),
        (
            "changed",
            "schedule",
            "fx_haircut",
            f"8 % more, {FX}",
            f"10 % more, {FX}",
        ),
    ),
    ("assume", at(None, "assume", "secured_type"), ("removed", "schedule", "assume secured_type", "plain", "")),
    (
        "assumed",
        at("covered", "assume", "secured_type"),
        ("changed", "schedule", "assume secured_type", "plain", "covered"),
    ),
    ("left out", added("loans", "leaves_out"), ("added", "schedule", "leaves_out", "", "loans")),
    (
        "haircut",
        at("0.03", "rules", 1, "haircut"),
        ("changed", "rule 2 'treasuries'", "valuation", "haircut 2 %", "haircut 3 %"),
    ),
    (
        "criterion",
        at({"maturity": {"remaining": {"le": "10Y"}}}, *WHEN, 2),
        (
            "changed",
            "rule 2 'treasuries'",
            "when",
            "remaining maturity at most 5 years",
            "remaining maturity at most 10 years",
        ),
    ),
    (
        "condition more",
        added({"currency": "USD"}, *WHEN),
        ("changed", "rule 2 'treasuries'", "when", "no such condition", "currency is USD"),
    ),
    (
        "criterion of what has no label",
        at({"asset_type": "fund"}, "rules", 2, "when"),
        ("changed", "rule 3", "when", "asset type is equity", "asset type is fund"),
    ),
    ("label", at("T-notes", "rules", 1, "label"), ("changed", "rule 2 'T-notes'", "label", "treasuries", "T-notes")),
    ("margin type", at("im", "rules", 1, "margin_type"), ("changed", "rule 2 'treasuries'", "margin_type", "", "im")),
    ("note", at("see 4.2", "rules", 1, "note"), ("changed", "rule 2 'treasuries'", "note", "", "see 4.2")),
    ("rule removed", at(None, "rules", 2), ("removed", "rule 3", "", "haircut 15 %: asset type is equity", "")),
    (
        "rule added",
        added({"label": "gold", "when": {"asset_type": "commodity"}, "haircut": "0.15"}, "rules"),
        ("added", "rule 5 'gold'", "", "", "haircut 15 %: asset type is commodity"),
    ),
    (
        "exclusion turned round",
        lambda form: (put(form, None, "rules", 3, "exclude"), put(form, "0.2", "rules", 3, "haircut"))[0],
        ("changed", "rule 4 'no convertibles'", "valuation", "refused", "haircut 20 %"),
    ),
    (
        "order",
        lambda form: form["rules"].insert(0, form["rules"].pop(1)),
        ("moved", "rule 1 'treasuries'", "place", "place 2", "place 1"),
    ),
    (
        "cap",
        at("0.5", "limits", 0, "max"),
        ("changed", "limit 1 'one issuer'", "caps", "25 % of the requirement", "50 % of the requirement"),
    ),
    (
        "group",
        at("issuer_parent", "limits", 0, "group_by"),
        ("changed", "limit 1 'one issuer'", "group_by", "issuer", "issuer_parent"),
    ),
    (
        "measure",
        at("value_after_haircut", "limits", 0, "measure"),
        ("changed", "limit 1 'one issuer'", "measure", "market_value", "value_after_haircut"),
    ),
    (
        "selection",
        at({"asset_type": ["equity", "fund"]}, "limits", 1, "select"),
        ("changed", "limit 2", "select", "asset type is equity", "asset type is equity or fund"),
    ),
    (
        "limit removed",
        at(None, "limits", 1),
        ("removed", "limit 2", "", f"30 % of all that is posted {BY} asset type is equity", ""),
    ),
    ("rate", at("0.02", "further_haircuts", 0, "rate"), ("changed", "further haircut 1 'zeros'", "rate", "1 %", "2 %")),
]


@pytest.mark.parametrize(("edit", "expected"), [edit[1:] for edit in EDITS], ids=[edit[0] for edit in EDITS])
def test_one_edit_is_one_difference(edit: Callable[[Form], None], expected: tuple[str, ...]) -> None:
    changed = base()
    edit(changed)
    before, after = read(base()), read(changed)
    assert [differences(before, after)] == [(Difference(*expected),)]  # type: ignore[arg-type]
    assert len(differences(after, before)) == 1


def test_order_of_values_and_conditions_and_needless_nesting_is_no_difference() -> None:
    changed = base()
    one, two, three = changed["rules"][1]["when"]["all"]
    changed["rules"][1]["when"] = {"all": [{"all": [three, {"issuer_country": ["CA", "US"]}]}, {"any": [one]}, one]}
    assert two == {"issuer_country": ["US", "CA"]}
    assert read(changed) != read(base())
    assert differences(read(base()), read(changed)) == ()


def test_order_is_no_difference_where_it_decides_nothing() -> None:
    before, after = base(), base()
    after["rules"].insert(0, after["rules"].pop())
    assert differences(read(before), read(after)) == (), "an exclusion refuses wherever it stands"
    before["overlap"] = after["overlap"] = "highest_haircut"
    after["rules"].insert(0, after["rules"].pop())
    assert differences(read(before), read(after)) == ()


def test_insertions_do_not_pair_rules_with_the_wrong_ones() -> None:
    """Unlabelled rules between which one is put keep their partners: they are told by their conditions."""
    before = {"rules": [{"when": {"currency": c}, "haircut": 0} for c in ("USD", "EUR", "GBP")]}
    after = copy.deepcopy(before)
    after["rules"].insert(1, {"when": {"currency": "JPY"}, "haircut": "0.01"})
    assert [str(one) for one in differences(read(before), read(after))] == [
        "rule 2: added: haircut 1 %: currency is JPY"
    ]


def test_a_rule_that_is_renamed_and_changed_is_told_by_most_of_its_conditions() -> None:
    """Three of four conditions are shared: it is the same rule; one of three is not enough."""
    debt, us, short = {"asset_type": "debt"}, {"issuer_country": "US"}, {"maturity": {"remaining": {"le": "1Y"}}}
    before = {"rules": [{"label": "bills", "when": {"all": [debt, us, short]}, "haircut": "0.01"}]}
    after = {"rules": [{"label": "short", "when": {"all": [debt, us, short, {"currency": "USD"}]}, "haircut": "0.02"}]}
    assert [str(one) for one in differences(read(before), read(after))] == [
        "rule 1 'short', label: bills -> short",
        "rule 1 'short', when: no such condition -> currency is USD",
        "rule 1 'short', valuation: haircut 1 % -> haircut 2 %",
    ]
    other = {"rules": [{"label": "other", "when": {"all": [debt, {"currency": "USD"}]}, "haircut": "0.02"}]}
    assert [one.change for one in differences(read(before), read(other))] == ["removed", "added"]


def test_two_vintages_of_a_list() -> None:
    def listed(*rows: tuple[str, bool, str | None]) -> Schedule:
        rows_ = [
            {"line": n, "asset_id": a, "isin": None, "eligible": e, "haircut": h} for n, (a, e, h) in enumerate(rows, 2)
        ]
        return Schedule.model_validate({"name": "ccp", "listing": rows_})

    before = listed(("A", True, "0.02"), ("B", True, "0.03"), ("C", False, None))
    after = listed(("C", False, None), ("B", True, "0.04"), ("D", True, "0"))
    assert differences(before, after) == (
        Difference("removed", "asset A", "", "eligible true, haircut 2 %", ""),
        Difference("changed", "asset B", "haircut", "3 %", "4 %"),
        Difference("added", "asset D", "", "", "eligible true, haircut 0 %"),
    )


ASSETS = pd.DataFrame(
    {
        "asset_id": ["CASH", "T3", "T7", "SHARE", "FUND"],
        "asset_type": ["cash", "debt", "debt", "equity", "fund"],
        "currency": ["USD"] * 5,
        "issuer_country": [None, "US", "US", "US", "US"],
        "interest": ["none"] * 5,
        "maturity_date": [None, "2029-07-01", "2033-07-01", None, None],
    },
    dtype=object,
)
TODAY = Context(date(2026, 7, 1), "USD")


def test_assets_that_are_treated_differently_are_named_with_both_reasons() -> None:
    changed = base()
    changed["rules"][1]["when"]["all"][2] = {"maturity": {"remaining": {"le": "10Y"}}}
    changed["rules"][1]["haircut"] = "0.03"
    del changed["rules"][2]
    before, after = read(base()), read(changed)
    found = asset_differences(before, after, ASSETS, TODAY)
    assert [(one.asset_id, one.change, one.before, one.after) for one in found] == [
        ("T3", "factor", Fraction(98, 100), Fraction(97, 100)),
        ("T7", "taken", None, Fraction(97, 100)),
        ("SHARE", "refused", Fraction(85, 100), None),
    ]
    assert found[1].why_before == "refused: no rule takes it"
    assert found[1].why_after == "eligible under 'treasuries' at haircut 3 %"
    text = differences_text(differences(before, after), found)
    _, _, assets = text.partition("Assets: ")
    assert assets.splitlines()[0] == "1 newly refused, 1 at another factor, 1 newly taken"
    assert [line for line in assets.splitlines() if line.startswith("  ") and not line.startswith("   ")] == [
        "  85 % -> refused: 1 asset",
        "  98 % -> 97 %: 1 asset",
        "  refused -> 97 %: 1 asset",
    ]
    assert asset_differences(before, before, ASSETS, TODAY) == ()


def test_assets_that_feel_the_same_are_told_once_with_every_name() -> None:
    """45 names of 6 letters and the commas between them take more than one line of 120; none is broken."""
    changed = base()
    changed["rules"][0]["haircut"] = "0.01"
    names = [f"CASH{n:02}" for n in range(45)]
    assets = pd.DataFrame(
        {"asset_id": names, "asset_type": "cash", "currency": "USD", "interest": "none", "secured_type": "plain"},
        dtype=object,
    )
    found = asset_differences(read(base()), read(changed), assets, TODAY)
    lines = differences_text((), found).splitlines()
    assert lines[3:7] == [
        "",
        "  100 % -> 99 %: 45 assets",
        "    Before: eligible under 'cash' at haircut 0 %.",
        "    After: eligible under 'cash' at haircut 1 %.",
    ]
    assert len(lines) > 8 and max(map(len, lines)) <= 120
    assert ", ".join(names) == " ".join(line.strip() for line in lines[7:])


def test_lines_of_lists_are_no_reasons() -> None:
    """Where on the list an asset stands hides that others feel the same."""
    isins = ("DE0001102580", "FR0000131104")
    before, after = (
        Schedule.model_validate(
            {
                "name": "ccp",
                "listing": [
                    {"line": n, "asset_id": None, "isin": isin, "eligible": True, "haircut": haircut}
                    for n, isin in enumerate(isins, 2)
                ],
            }
        )
        for haircut in ("0.02", "0.03")
    )
    assets = pd.DataFrame({"asset_id": ["A", "B"], "isin": isins, "currency": "EUR"}, dtype=object)
    found = asset_differences(before, after, assets, TODAY)
    assert {one.sentences for one in found} == {
        (
            "98 % -> 97 %",
            "Before: eligible under the list at haircut 2 %.",
            "After: eligible under the list at haircut 3 %.",
        )
    }


def test_schedules_that_differ_nowhere_treat_every_asset_alike() -> None:
    """What `differences` passes over (order, nesting) must not matter to `match` either."""
    changed = base()
    when = changed["rules"][1]["when"]["all"]
    changed["rules"][1]["when"] = {"all": [{"all": list(reversed(when))}]}
    changed["rules"].insert(0, changed["rules"].pop())
    assert differences(read(base()), read(changed)) == ()
    assert match(read(base()), ASSETS, TODAY).factor.tolist() == match(read(changed), ASSETS, TODAY).factor.tolist()


def test_the_published_schedules_differ_from_each_other() -> None:
    names = published.names()
    assert len(names) > 1
    for one, other in pairwise(names):
        before, after = published.find(one), published.find(other)
        assert before is not None and after is not None
        assert differences(before, after), (one, other)
        assert differences(before, before) == ()
