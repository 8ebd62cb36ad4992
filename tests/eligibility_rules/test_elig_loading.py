"""Reading schedules: what is kept as written, and every message that a wrong one earns."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from eligibility_rules import KNOWN_COLUMNS, Schedule, ScheduleError, is_known, load_schedule, parse_schedule

ACME = """
name: acme-vm
source: made up, 2026-07-01
fx_haircut: {rate: 0.08, when: differs_from_base, combine: additive, select: {not: {asset_type: cash}}}
overlap: first
assume: {secured_type: plain}
wrong_way: allow
rules:
  - label: treasuries up to 5 years
    when: {all: [{asset_type: debt}, {issuer_type: sovereign}, {issuer_country: [US, NO]},
                 {maturity: {remaining: {le: 5Y}}},
                 {rating: {scope: [asset, issuer], at_least: AA-, agencies: [sp, moodys], resolve: lowest}}]}
    haircut: 0.02
  - label: nothing convertible
    when: {secured_type: convertible}
    exclude: true
limits:
  - label: one issuer
    group_by: issuer
    select: {asset_type: debt}
    measure: value_after_haircut
    of: requirement
    max: 0.25
  - group_by: asset
    caps: [{of: money, max: {amount: 50000000, currency: USD}}, {of: outstanding, max: 0.025}]
"""


def write(folder: Path, text: str, name: str = "acme.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def messages(folder: Path, text: str, name: str = "acme.yaml") -> list[str]:
    """The problems of a file, without the folder before its name."""
    path = write(folder, text, name)
    with pytest.raises(ScheduleError) as caught:
        load_schedule(path)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def one_rule(folder: Path, rule: str) -> list[str]:
    return messages(folder, f"rules:\n  - {rule}\n")


def test_the_whole_of_a_schedule(tmp_path: Path) -> None:
    schedule = load_schedule(write(tmp_path, ACME))
    assert (schedule.name, schedule.source, schedule.wrong_way) == ("acme-vm", "made up, 2026-07-01", "allow")
    assert schedule.fx_haircut is not None and schedule.fx_haircut.rate == Fraction(8, 100)
    assert schedule.assume == {"secured_type": "plain"}
    assert [rule.label for rule in schedule.rules] == ["treasuries up to 5 years", "nothing convertible"]
    assert (schedule.rules[0].factor, schedule.rules[1].exclude) == (Fraction(49, 50), True)
    assert [limit.label for limit in schedule.limits] == ["one issuer", "limit 2"]
    money, outstanding = schedule.limits[1].caps
    assert (money.amount, money.currency, outstanding.share) == (50_000_000, "USD", Fraction(1, 40))


def test_norway_is_no_and_not_false(tmp_path: Path) -> None:
    schedule = load_schedule(write(tmp_path, "rules: [{when: {issuer_country: [NO, on, 007]}, haircut: 0}]"))
    assert schedule.rules[0].when.values == ("NO", "on", "007")  # type: ignore[union-attr]


def test_a_schedule_without_a_name_is_called_as_its_file(tmp_path: Path) -> None:
    assert load_schedule(write(tmp_path, "rules: [{haircut: 0}]", "vm-2026.yml")).name == "vm-2026"


def test_yaml_and_its_dict_form_are_the_same_schedule(tmp_path: Path) -> None:
    form = {"rules": [{"when": {"duration": {"le": 7}}, "haircut": 0.02}], "name": "x"}
    text = "name: x\nrules: [{when: {duration: {le: 7}}, haircut: 0.02}]"
    assert load_schedule(write(tmp_path, text)) == parse_schedule(form, "other")


def test_defaults(tmp_path: Path) -> None:
    schedule = parse_schedule({"rules": [{"haircut": 0}, {"haircut": 0}]}, "s")
    assert [rule.label for rule in schedule.rules] == ["rule 1", "rule 2"]
    assert (schedule.overlap, schedule.wrong_way, schedule.fx_haircut) == ("first", "exclude", None)
    assert isinstance(schedule, Schedule)


def test_labels_may_repeat_and_anchors_work(tmp_path: Path) -> None:
    text = "rules:\n  - &a {label: x, haircut: 0}\n  - *a\n"
    assert [rule.label for rule in load_schedule(write(tmp_path, text)).rules] == ["x", "x"]


def test_it_cannot_be_changed() -> None:
    schedule = parse_schedule({"rules": [{"haircut": 0}]}, "s")
    with pytest.raises(ValueError, match="frozen"):
        schedule.name = "other"


def test_a_schedule_can_be_written_as_json() -> None:
    text = parse_schedule({"rules": [{"when": {"not": {"sector": "x"}}, "haircut": "0.02"}]}, "s").model_dump_json()
    assert '"haircut":"0.02"' in text and '"sector"' in text


def test_known_columns_include_every_scope_of_ratings_and_taxonomies() -> None:
    assert {"issuer_rating_dbrs", "sovereign_rating_sp", "rating_fitch", "min_denomination"} <= KNOWN_COLUMNS
    assert is_known("taxonomy_emir") and not is_known("isuer")


# -------------------- problems of a rule

RULE_PROBLEMS = [
    ("{haircut: 2}", "haircut is 2 (must be at least 0 and below 1). If 2 % is meant, write 0.02"),
    ("{haircut: -0.1}", "haircut is -0.1 (must be at least 0 and below 1). Write 2 % as 0.02"),
    ("{haircut: 1}", "haircut is 1 (must be at least 0 and below 1). If 1 % is meant, write 0.01"),
    ("{haircut: 2%}", "haircut: 2% is not a number. Write 2 % as 0.02"),
    ("{haircut: nan}", "haircut: nan is not a number. Write a decimal number, such as 0.02"),
    ("{margin_ratio: 0.98}", "margin_ratio is 0.98 (must be at least 1). Write 1.02 for a value of 1/1.02"),
    (
        "{valuation_percentage: 98}",
        "valuation_percentage is 98 (must be above 0 and at most 1). Write 98 % as 0.98",
    ),
    (
        "{valuation_percentage: 0}",
        "valuation_percentage is 0 (must be above 0 and at most 1). Write 98 % as 0.98",
    ),
    (
        "{when: {asset_type: debt}}",
        "needs exactly one of haircut, margin_ratio, valuation_percentage; it has none. "
        "Write haircut: 0.02, or exclude: true",
    ),
    (
        "{haircut: 0, margin_ratio: 1}",
        "needs exactly one of haircut, margin_ratio, valuation_percentage; it has haircut and margin_ratio. "
        "Write haircut: 0.02, or exclude: true",
    ),
    ("{haircut: 0, exclude: true}", "an exclusion has a haircut. Take out haircut, or exclude"),
    ("{haircut: 0, exclude: maybe}", "exclude: maybe is neither true nor false. Write true or false"),
    ("{haircut: 0, margin_type: xm}", "margin_type is xm, which is not known. Write one of im, vm"),
    ("{haircutt: 0, haircut: 0}", "haircutt is not known here. Did you mean haircut?"),
    ("just text", "just text is not a mapping. Write {key: value, ...}"),
]


@pytest.mark.parametrize(("rule", "message"), RULE_PROBLEMS)
def test_problem_of_a_rule(tmp_path: Path, rule: str, message: str) -> None:
    assert one_rule(tmp_path, rule) == [f"acme.yaml: rule 1: {message}"]


WHEN_PROBLEMS = [
    (
        "{maturity: {remaning: {le: 5Y}}}",
        "maturity knows no remaning. Did you mean remaining?",
    ),
    (
        "{maturity: {remaining: {le: 5Y}, original: {le: 5Y}}}",
        "maturity needs exactly one of remaining, original, since_issue. "
        "Write maturity: {remaining: {le: 5Y}}, and two of them as two leaves under all",
    ),
    ("{maturity: {remaining: {le: 5}}}", "5 is not a tenor. Write 5Y, 5M or 5D"),
    (
        "{maturity: {remaining: {le: five}}}",
        "five is not a tenor. Write whole years, months, weeks or days: 5Y, 6M, 2W, 30D",
    ),
    ("{maturity: {remaining: {lte: 5Y}}}", "maturity remaining knows no comparison lte. Did you mean lt?"),
    (
        "{maturity: {remaining: 5Y}}",
        "maturity remaining needs a comparison. Write {le: 5Y}, with lt, le, gt or ge",
    ),
    ("{maturity: {remaining: {lt: 5Y, le: 5Y}}}", "maturity remaining has both lt and le. Keep one of them"),
    ("{rating: {at_leest: AA-}}", "at_leest is not known here. Did you mean at_least?"),
    ("{rating: {agencies: [sp]}}", "a rating criterion has no bound. Add at_least or at_most"),
    (
        "{rating: {at_least: A++}}",
        "at_least: A++ is not a rating. Write S&P's letters or the agency's own: BBB-, Baa3, BBB (low)",
    ),
    (
        "{rating: {at_least: A, agencies: [moody]}}",
        "agencies: moody is not a known agency. Did you mean moodys?",
    ),
    ("{rating: {at_least: A, scope: [isuer]}}", "isuer is not a known scope. Did you mean issuer?"),
    ("{rating: {at_least: A, resolve: lowst}}", "resolve is lowst, which is not known. Did you mean lowest?"),
    ("{rating: {at_least: A, at_most: AA}}", None),
    ("{rating: {at_least: AA, at_most: A}}", "no rating is at least AA and at most A. Exchange the bounds"),
    ("{rating: AA}", "rating needs a mapping. Write rating: {at_least: BBB-}"),
    ("{ratng: {at_least: AA}}", "ratng is not known. Did you mean rating?"),
    ("{own_issue: perhaps}", "perhaps is neither true nor false. Write true or false"),
    (
        "{asset_type: debt, issuer: x}",
        "a criterion has 2 keys: asset_type, issuer. Put each on its own under all: [{...}, {...}]",
    ),
    (
        "{asset_type: bond}",
        "bond is not an asset_type. Write one of cash, debt, equity, fund, commodity, letter_of_credit, other",
    ),
    ("{asset_type: []}", "the list is empty, so nothing could ever match. Write at least one value"),
    ("{issuer: }", "issuer has no value. Write issuer: [one, or, another]; no rule asks for an empty cell"),
    ("{duration: {leq: 7}}", "duration knows no comparison leq. Did you mean le?"),
    ("{duration: {le: long}}", "duration is a number, long is not. Write a number, such as 7 or 0.5"),
    ("{duration: long}", "duration is a number, long is not. Write a number, such as 7 or 0.5"),
    ("{issue_date: {ge: 01.01.2020}}", "issue_date is a date, 01.01.2020 is not. Write it as 2030-12-31"),
    ("{issuer_type: {le: 7}}", "issuer_type is text and has no order. Write issuer_type: [one, or, another]"),
    ("{rating_sp: {ge: AA-}}", "rating_sp is text and has no order. Use rating: {at_least: BBB-}"),
    (
        "{my_score: {le: high}}",
        "my_score is compared with high, which is neither a number nor a date. Write 7 or 2030-12-31",
    ),
    (
        "{issuer_type: {remaining: {le: 5Y}}}",
        "issuer_type knows no comparison remaining. Did you mean maturity: {remaining: ...}?",
    ),
    ("{all: {asset_type: debt}}", "all needs a list of criteria. Write all: [{...}, {...}]"),
    ("{any: []}", "any has an empty list. Write at least one criterion under any"),
    (
        "{not: [{asset_type: debt}]}",
        "not needs exactly one criterion. Write not: {...}, or not: {any: [...]} for several",
    ),
    ("{al: [{asset_type: debt}]}", "al is not known here. Did you mean all?"),
    ("debt", "debt is not a criterion. Write a mapping, such as {asset_type: debt}"),
    ("", "when is empty. Write a criterion, or take when out"),
]


@pytest.mark.parametrize(("when", "message"), WHEN_PROBLEMS)
def test_problem_of_a_criterion(tmp_path: Path, when: str, message: str | None) -> None:
    text = f"rules:\n  - label: one\n    when: {when}\n    haircut: 0\n"
    if message is None:
        assert load_schedule(write(tmp_path, text)).rules[0].label == "one"
    else:
        assert f"acme.yaml: rule 1 'one': {message}" in messages(tmp_path, text)[0]


def test_a_problem_deep_inside_is_still_found(tmp_path: Path) -> None:
    when = "{all: [{any: [{not: {maturity: {remaning: {le: 5Y}}}}]}, {rating: {at_leest: AA}}]}"
    assert messages(tmp_path, f"rules: [{{label: deep, when: {when}, haircut: 0}}]") == [
        "acme.yaml: rule 1 'deep': maturity knows no remaning. Did you mean remaining?",
        "acme.yaml: rule 1 'deep': at_leest is not known here. Did you mean at_least?",
    ]


# -------------------- problems of limits, the FX haircut and the schedule

LIMIT_PROBLEMS = [
    ("{of: requirement, max: -1}", "max is -1 (must be at least 0). Write 0.25 for a quarter"),
    ("{of: requirement, max: lots}", "max: lots is not a number. Write a decimal number, such as 0.02"),
    ("{of: requirment, max: 1}", "of is requirment, which is not known. Did you mean requirement?"),
    (
        "{max: 1}",
        "a cap does not say of what. Add of: requirement | posted | outstanding | market_cap | adv | money",
    ),
    (
        "{of: posted}",
        "a cap has no max. Write max: 0.25, or max: {amount: 50000000, currency: USD} with of: money",
    ),
    (
        "{of: money, max: 5}",
        "max is 5, which does not go with of: money. Write max: {amount: 50000000, currency: USD}",
    ),
    (
        "{of: posted, max: {amount: 5, currency: USD}}",
        "max is {amount: 5, currency: USD}, which does not go with of: posted. "
        "Write max: a share, such as 0.25 (an amount goes with of: money)",
    ),
    ("{of: money, max: {amount: 5}}", "max is {amount: 5}. Write {amount: 50000000, currency: USD}"),
    ("{of: adv, max: 1}", "of: adv is a fact of one asset, but group_by is none. Write group_by: asset"),
    (
        "{of: outstanding, max: 1, group_by: issuer}",
        "of: outstanding is a fact of one asset, but group_by is issuer. Write group_by: asset",
    ),
    (
        "{of: requirement, max: 1, measure: quantity, group_by: asset}",
        "measure quantity never meets of: requirement (units against money). "
        "Measure market_value or value_after_haircut",
    ),
    (
        "{of: money, max: {amount: 5, currency: USD}, measure: quantity}",
        "measure quantity meets of: money only asset by asset. Write group_by: asset, or measure market_value",
    ),
    (
        "{of: posted, max: 1, measure: value}",
        "measure is value, which is not known. Write one of market_value, value_after_haircut, quantity",
    ),
    (
        "{of: posted, max: 1, caps: []}",
        "has caps and, beside them, of or max. Move of and max into the list of caps",
    ),
    ("{caps: []}", "caps is not a list with a cap in it. Write caps: [{of: requirement, max: 0.25}]"),
    ("{groupby: issuer, of: posted, max: 1}", "groupby is not known here. Did you mean group_by?"),
    ("{select: {al: [{a: b}]}, of: posted, max: 1}", "al is not known here. Did you mean all?"),
]


@pytest.mark.parametrize(("limit", "message"), LIMIT_PROBLEMS)
def test_problem_of_a_limit(tmp_path: Path, limit: str, message: str) -> None:
    found = messages(tmp_path, f"rules: [{{haircut: 0}}]\nlimits:\n  - {limit}\n")
    assert [f"acme.yaml: limit 1: {message}"] == found


SCHEDULE_PROBLEMS = [
    ("rules: [{haircut: 0}]\noverlap: frist", "overlap is frist, which is not known. Did you mean first?"),
    ("rulez: [{haircut: 0}]", "rulez is not known here. Did you mean rules?"),
    ("rules: [{haircut: 0}]\nfx_haircut: 0.08", "fx_haircut: 0.08 is not a mapping. Write {key: value, ...}"),
    (
        "rules: [{haircut: 0}]\nfx_haircut: {rate: 8}",
        "fx_haircut: rate is 8 (must be at least 0 and below 1). If 8 % is meant, write 0.08",
    ),
    ("rules: [{haircut: 0}]\nfx_haircut: {combine: additive}", "fx_haircut: rate is missing. Add rate"),
    (
        "rules: [{haircut: 0}]\nfx_haircut: {rate: 0.08, combine: add}",
        "fx_haircut: combine is add, which is not known. Write one of additive, multiplicative",
    ),
    (
        "rules: [{haircut: 0}]\nassume: {rating_sp: good}",
        "assume: rating_sp is good, which is not a rating. Write letters, such as BB+",
    ),
    (
        "rules: [{haircut: 0}]\nassume: {duration: long}",
        "assume: duration is a number, long is not. Write a number, such as 7 or 0.5",
    ),
    ("rules: all", "rules is not a list. Write rules: and below it lines with -"),
    ("rules:", "rules: rules is empty. Write it, or take rules out"),
    ("name: x", "has no rules. Write rules: with at least one rule; `- haircut: 0` takes everything"),
    ("- haircut: 0", "a schedule is a mapping. Start with name: and rules:"),
    ("", "a schedule is a mapping. Start with name: and rules:"),
    (
        "rules: [{haircut: 0}]\nlisting: [x]",
        "listing: schedule knows no listing. Write rules:, or a list as NAME.csv",
    ),
    (
        "rules: [{haircut: 0}]\nwrong_way: ignore",
        "wrong_way is ignore, which is not known. Write one of exclude, allow",
    ),
]


@pytest.mark.parametrize(("text", "message"), SCHEDULE_PROBLEMS)
def test_problem_of_a_schedule(tmp_path: Path, text: str, message: str) -> None:
    assert messages(tmp_path, text)[0] == f"acme.yaml: {message}"


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    text = (
        "overlap: frist\nrules:\n  - {label: a, when: {asset_typ: {le: x}}, haircut: 2}\n  - {label: b}\n"
        "  - {label: c, haircut: 0, haircut: 0.1}\nlimits:\n  - {of: adv, max: -1}\n"
    )
    found = messages(tmp_path, text)
    assert [line.split(":")[1].strip() for line in found] == [
        "line 5",
        "overlap is frist, which is not known. Did you mean first?",
        "rule 1 'a'",
        "rule 1 'a'",
        "rule 2 'b'",
        "limit 1",
        "limit 1",
    ]
    assert found[0] == "acme.yaml: line 5: haircut stands twice in one mapping. Keep one of them"


def test_problem_carries_the_value(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError) as caught:
        load_schedule(write(tmp_path, "rules: [{label: a, haircut: 2}]"))
    (problem,) = caught.value.problems
    assert (problem.where, problem.value) == ("rule 1 'a'", "2")


def test_norway_read_by_another_yaml_reader_is_noticed() -> None:
    with pytest.raises(ScheduleError, match="issuer_country is text, and true or false is not"):
        parse_schedule({"rules": [{"when": {"issuer_country": ["SE", False]}, "haircut": 0}]}, "s")


def test_problem_of_the_dict_form_names_where_it_came_from() -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_schedule({"rules": [{}]}, "s", "book.xlsx, sheet s")
    assert caught.value.problems[0].file == "book.xlsx, sheet s"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert messages(tmp_path, "rules: [") == [
        "acme.yaml: line 1: not readable as YAML: expected the node content, but found '<stream end>'. "
        "Check indentation, brackets and quotes there"
    ]
    assert messages(tmp_path, "{}", "acme.json") == ["acme.json: .json is not a kind of schedule. Use .yaml or .csv"]
    with pytest.raises(ScheduleError, match="there is no such file"):
        load_schedule(tmp_path / "nothing.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes("rules: [{label: Bär, haircut: 0}]".encode("latin-1"))
    with pytest.raises(ScheduleError, match="byte 17: the file is not UTF-8"):
        load_schedule(path)


# -------------------- lists

LIST_PROBLEMS = [
    (
        "isin,haircut\nUS1,\n",
        "line 2: haircut is empty, and an eligible asset needs one. Fill it (0 for none), or write eligible: false",
    ),
    (
        "isin,haircut\nUS1,1.5\n",
        "line 2: haircut is 1.5 (must be at least 0 and below 1). If 1.5 % is meant, write 0.015",
    ),
    (
        "isin,haircut\nUS1,-0.1\n",
        "line 2: haircut is -0.1 (must be at least 0 and below 1). Write 2 % as 0.02",
    ),
    ("isin,haircut\nUS1,2%\n", "line 2: haircut: 2% is not a number. Write 2 % as 0.02"),
    (
        "isin,eligible,haircut\nUS1,maybe,0\n",
        "line 2: eligible: maybe is neither true nor false. Write true or false",
    ),
    (
        "isin,haircut\nUS1,0\nUS2,0\nUS1,0\n",
        "line 4: isin US1 stands on line 2 already. Keep one of the two lines",
    ),
    ("isin,haircut\n,0\n", "line 2: names no asset. Fill asset_id or isin"),
    (
        "isin,haircut,max_quantity\nUS1,0,-5\n",
        "line 2: max_quantity is -5 (must be at least 0). Write 0 for none of it, or nothing for no cap",
    ),
    (
        "isin,haircut,max_value\nUS1,0,much\n",
        "line 2: max_value: much is not a number. Write a decimal number, such as 0.02",
    ),
    ("isin,haircut\nUS1,0,02\n", "line 2: has 3 cells under 2 columns. Quote a cell that has a comma in it"),
    ("isin,hair_cut\nUS1,0\n", "line 1: hair_cut is not a column of a list schedule. Did you mean haircut?"),
    ("isin;haircut\nUS1;0\n", "line 1: the list has neither asset_id nor isin. Separate cells by commas"),
    ("isin,isin,haircut\nUS1,US1,0\n", "line 1: isin stands twice in the header. Keep one of them"),
    ("isin,haircut\n", "the list has no lines. List at least one asset"),
]


@pytest.mark.parametrize(("text", "message"), LIST_PROBLEMS)
def test_problem_of_a_list(tmp_path: Path, text: str, message: str) -> None:
    assert messages(tmp_path, text, "acme.csv") == [f"acme.csv: {message}"]


def test_all_problems_of_a_list_are_reported_at_once(tmp_path: Path) -> None:
    found = messages(tmp_path, "isin,eligible,haircut\nUS1,perhaps,9\n\nUS2,,\n", "acme.csv")
    assert [line.split(":")[1] for line in found] == [" line 2", " line 2", " line 4"]


def test_a_list_keeps_identifiers_as_text_and_figures_exact(tmp_path: Path) -> None:
    text = "asset_id,eligible,haircut,max_quantity,comment\n037833100,,0.1,100,x\n12345E10,No,,,\nNA,YES,0,,\n"
    rows: Any = load_schedule(write(tmp_path, text, "acme.csv")).listing
    assert [(row.asset_id, row.eligible, row.haircut, row.line) for row in rows] == [
        ("037833100", True, Fraction(1, 10), 2),
        ("12345E10", False, None, 3),
        ("NA", True, Fraction(0), 4),
    ]


def test_where_both_are_given_the_asset_id_is_the_key(tmp_path: Path) -> None:
    text = "asset_id,isin,haircut\na,US1,0\nb,US1,0\n"
    assert len(load_schedule(write(tmp_path, text, "acme.csv")).listing) == 2
