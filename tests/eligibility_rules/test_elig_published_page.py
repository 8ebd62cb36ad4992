"""The page that counts the published schedules is what its script writes, and its counts are those of the cells."""

from __future__ import annotations

import pytest

from eligibility_rules.published import names
from tests.eligibility_rules.published_page import PAGE, SOURCES, page
from tests.eligibility_rules.test_elig_published import SOURCES as TABLES
from tests.eligibility_rules.test_elig_published import cells_of, published


def test_the_page_is_what_its_script_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.eligibility_rules.published_page"


def test_every_published_schedule_is_counted() -> None:
    assert set(SOURCES) == set(names())


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "lcr-hqla"])
def test_what_is_counted_as_taken_over_is_taken_by_a_rule(name: str) -> None:
    source, found = SOURCES[name], {line: False for one in cells_of(name) for line in one.lines}
    for one in cells_of(name):
        found |= {line: found[line] or bool(one.rule) for line in one.lines}
    assert sum(found.values()) == source.taken
    assert len(found) == source.rows - source.in_limits  # rows that only end a tier have no asset of their own
    if name in TABLES:
        assert source.rows == len(TABLES[name][1])


@pytest.mark.parametrize("name", list(SOURCES))
def test_what_is_left_out_of_a_source_is_said(name: str) -> None:
    source = SOURCES[name]
    assert 0 <= source.limits_taken <= source.limits
    assert bool(source.limits) == bool(published(name).limits)
    if source.left_out or source.limits_taken < source.limits:
        assert published(name).leaves_out
