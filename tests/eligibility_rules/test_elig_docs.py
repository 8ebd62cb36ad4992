"""The user page's own examples are read as they stand."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from eligibility_rules import Context, load_schedule, match, parse_schedule
from eligibility_rules.published import find, names
from eligibility_rules.vocabulary import BASES, LEAVES, RESOLVES, ColumnIn, FurtherHaircut, Schedule, leaves

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")

WORDED = ("asset_type", "issuer_type", "security_type", "interest", "secured_type", "seniority")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_is_a_schedule(tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    schedule = load_schedule(tmp_path / "page.yaml")
    assert (schedule.name, len(schedule.rules), len(schedule.limits)) == ("acme-vm", 2, 1)


def block_with(language: str, start: str) -> str:
    (found,) = [block for block in blocks(language) if block.startswith(start)]
    return found


@pytest.mark.parametrize("line", block_with("yaml", "fx_haircut").splitlines())
def test_every_fx_haircut_of_the_page_is_read(tmp_path: Path, line: str) -> None:
    (tmp_path / "fx.yaml").write_text(f"{line}\nrules: [{{haircut: 0}}]", encoding="utf-8")
    assert load_schedule(tmp_path / "fx.yaml").fx_haircut is not None


def test_the_further_haircuts_of_the_page_are_read(tmp_path: Path) -> None:
    text = "rules: [{haircut: 0}]\n" + block_with("yaml", "further_haircuts")
    (tmp_path / "further.yaml").write_text(text, encoding="utf-8")
    assert [one.combine for one in load_schedule(tmp_path / "further.yaml").further_haircuts] == [
        "additive",
        "multiplicative",
    ]


def test_the_limits_of_the_page_are_read(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("rules: [{haircut: 0}]\n" + block_with("yaml", "limits"), encoding="utf-8")
    assert len(load_schedule(tmp_path / "limits.yaml").limits[0].caps) == 2


def test_the_page_lists_every_published_schedule_with_its_date() -> None:
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+ \| ([0-9a-z-]+) \|$", PAGE, re.MULTILINE)
    assert dict(listed) == {name: getattr(find(name), "as_of", None) for name in names()}


def test_the_words_of_the_page_are_those_of_the_published_schedules() -> None:
    """Every word that a published schedule asks for stands in the row of its column."""
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|$", PAGE[PAGE.index("## Words") :], re.MULTILINE))
    known = {column: set(re.findall(r"\w+", words)) for column, words in rows.items()}
    for name in names():
        schedule = find(name)
        assert schedule is not None
        for _, when in schedule.criteria():
            for leaf in leaves(when):
                if isinstance(leaf, ColumnIn) and leaf.column in WORDED:
                    assert set(leaf.values) <= known[leaf.column], (name, leaf)


def test_the_list_of_the_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(blocks("csv")[0], encoding="utf-8")
    assert [row.eligible for row in load_schedule(tmp_path / "list.csv").listing] == [True, True, False]


@pytest.mark.parametrize("criterion", re.findall(r"^\| `(\{[^`]*\})` \|", PAGE, re.MULTILINE))
def test_every_criterion_of_the_table_is_read(tmp_path: Path, criterion: str) -> None:
    (tmp_path / "one.yaml").write_text(f"rules: [{{when: {criterion}, haircut: 0}}]", encoding="utf-8")
    assert load_schedule(tmp_path / "one.yaml").rules[0].when is not None


def test_the_page_has_the_whole_vocabulary() -> None:
    for word in (
        *LEAVES,
        *BASES,
        *RESOLVES,
        *(word for word in Schedule.model_fields if word not in ("name", "listing", "rules")),
        *FurtherHaircut.model_fields,
        "highest_haircut",
        "multiplicative",
        "margin_ratio",
        "wrong_way",
    ):
        assert word in PAGE, word


def test_the_mean_of_the_page_is_what_it_says() -> None:
    # AA- (4), A+ (5), A+ (5): 14/3 = 4.67
    schedule = parse_schedule(
        {"rules": [{"when": {"rating": {"at_least": "AA-", "resolve": "average"}}, "haircut": 0}]}, "s"
    )
    frame = pd.DataFrame({"asset_id": ["a"], "rating_sp": ["AA-"], "rating_fitch": ["A+"], "rating_moodys": ["A1"]})
    assert not match(schedule, frame, Context(date(2026, 7, 1), "USD")).eligible[0]
