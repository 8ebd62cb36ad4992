"""Writes docs/published.md: what each published schedule takes over from its source, assumes, and leaves out.

`python -m tests.eligibility_rules.published_page` writes the page; a test compares it with what it would write. The
rows of the sources are counted by hand, what is taken over is counted in the cells that the tests recompute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from eligibility_rules import Schedule
from eligibility_rules.published import names
from tests.eligibility_rules.test_elig_published import cells_of, published

PAGE = Path(__file__).parents[2] / "docs" / "published.md"


@dataclass(frozen=True)
class Source:
    """What a source has: rows with a figure, rows without value, rows left out, limits, limits taken over."""

    rows: int
    no_value: int = 0
    left_out: int = 0
    in_limits: int = 0
    limits: int = 0
    limits_taken: int = 0

    @property
    def taken(self) -> int:
        """Rows that a rule takes over."""
        return self.rows - self.no_value - self.left_out - self.in_limits


SOURCES = {
    "basel-haircuts": Source(27, no_value=2, left_out=1),  # two N/A; units of funds
    "cme-base": Source(53, limits=34, limits_taken=32),  # two rows on letters of credit are one limit
    "credit-td-saba-2025": Source(
        15, no_value=1, in_limits=3, limits=13, limits_taken=11
    ),  # tiers above which is nothing
    "csa-jpm-cambridge-2017": Source(6),
    "dtc": Source(70, no_value=18),  # rows at 100 %
    "eu-margin": Source(27, no_value=6),  # N/A
    "eurosystem-observed": Source(74),
    "fed-discount-window": Source(183),
    "ficc-gsd": Source(33, limits=2, limits_taken=2),  # footnotes 1 and 2
    "ficc-gsd-over": Source(15),  # the rows that footnote 1 doubles
    "lcr-hqla": Source(5, limits=2, limits_taken=2),
    "nyfed-pdcf": Source(11),
    "occ": Source(18),
    "occ-earlier": Source(11),
    "us-capital": Source(26, left_out=2),  # mutual funds; other exposure types
    "us-margin": Source(13, left_out=1),  # funds
}

HEAD = """\
# Published schedules, counted

The schedules that come with the product, each against its source. A book names one without bringing it; how to write
a schedule, and what the words mean, is in [schedules.md](schedules.md). `eligibility-rules show NAME` prints one.

Every cell below is recomputed by a test: an asset is made for it, and at each of its boundaries, and the rule and the
exact figure must be those typed from the source. Nothing here is legal advice; a source changes, so mind its date.

| Schedule | As of | Rows of the source | taken over | without value there | left out | Limits | taken over | Rules | \
Assets tried |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""

FOOT = """
A row without value (N/A, 100 %) has no rule, so that what it speaks of is refused. Rows can share a rule, and a rule
can be of no row: an exclusion, or a footnote. Three rows of credit-td-saba-2025 are the tiers above which nothing
counts, and are limits. *Stricter* says that the schedule may count less than its source would, *laxer* that it may
count more and somebody must look, *none* that nothing changes. A bond that has matured satisfies every band of
maturity that only has an upper end: a book does not deliver it, but `match` alone does not ask.

What no schedule can say yet, and therefore is left out of all: haircuts in steps of liquidation days, the least number
of obligors or industries, the haircut of a fund by what it holds, limits over several agreements (a book's
`house_limits` say them), a share of some of what is posted, short-term ratings as a scale. A haircut that is twice as
high above a share of the requirement is said with a facility: [examples/two-slope](../examples/two-slope).
"""


def row(name: str, schedule: Schedule, source: Source) -> str:
    """The schedule's line of the table."""
    left_out = source.left_out or ""
    limits = (source.limits, source.limits_taken) if source.limits else ("", "")
    tried = len(cells_of(name))
    numbers = (source.rows, source.taken, source.no_value or "", left_out, *limits, len(schedule.rules), tried)
    return f"| [{name}](#{name}) | {schedule.as_of} | {' | '.join(map(str, numbers))} |\n"


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """A paragraph or list entry, no wider than a line."""
    width, words = 120, " ".join(text.split())
    return fill(words, width, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                break_on_hyphens=False)  # fmt: skip


def section(name: str, schedule: Schedule) -> str:
    """Source, readings, facts assumed, what is left out."""
    parts = [f"## {name}", wrapped(f"Source: {schedule.source}. As of: {schedule.as_of}."), wrapped(schedule.note)]
    if schedule.assume:
        facts = ", ".join(f"`{column}: {value}`" for column, value in schedule.assume.items())
        parts.append(wrapped(f"Assumed of an asset whose cell is empty: {facts}."))
    else:
        parts.append("Nothing is assumed of an empty cell.")
    entries = "\n".join(wrapped(entry, "* ", "  ") for entry in schedule.leaves_out)
    parts.append(f"Left out:\n\n{entries}")
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """The whole page."""
    schedules = {name: published(name) for name in names()}
    table = "".join(row(name, schedule, SOURCES[name]) for name, schedule in schedules.items())
    sections = "\n".join(section(name, schedule) for name, schedule in schedules.items())
    return f"{HEAD}{table}{FOOT}\n{sections}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
