"""The user page's own examples are read as they stand."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from eligibility_rules import Context, load_schedule, match, parse_schedule
from eligibility_rules.vocabulary import BASES, LEAVES, RESOLVES

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_is_a_schedule(tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    schedule = load_schedule(tmp_path / "page.yaml")
    assert (schedule.name, len(schedule.rules), len(schedule.limits)) == ("acme-vm", 2, 1)


@pytest.mark.parametrize("line", [line for line in blocks("yaml")[2].splitlines() if line])
def test_every_fx_haircut_of_the_page_is_read(tmp_path: Path, line: str) -> None:
    (tmp_path / "fx.yaml").write_text(f"{line}\nrules: [{{haircut: 0}}]", encoding="utf-8")
    assert load_schedule(tmp_path / "fx.yaml").fx_haircut is not None


def test_the_limits_of_the_page_are_read(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("rules: [{haircut: 0}]\n" + blocks("yaml")[3], encoding="utf-8")
    assert len(load_schedule(tmp_path / "limits.yaml").limits[0].caps) == 2


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
