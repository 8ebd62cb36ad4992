"""The published schedules against their sources, cell by cell.

`cells/NAME.csv` is typed from the source of a schedule: `line` is the number of the row in the stored table that
the asset was made for (several where rows share a cell, none for an asset that no row speaks of), `rule` the label
expected (empty: refused), `haircut_pct` the figure published, `matures` the asset's maturity from `AS_OF`
(`1Y-1D`). Three columns speak of the reading: `base` (USD), `margin_type` and `owner_parent`; `issued` is as
`matures`; `factor` stands instead of `haircut_pct` where a source gives something else. All others are facts.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from dateutil.relativedelta import relativedelta

from collateral_opt import optimise
from collateral_opt.book.schedules import find_schedule
from eligibility_rules import Context, Match, Refusal, Schedule, match, match_limits
from eligibility_rules.published import find, names
from tests.desks import asset, desk, listing

AS_OF = date(2026, 3, 24)
EUR = Context(date(2026, 7, 1), "EUR")
CELLS = Path(__file__).parent / "cells"
TABLES = Path(__file__).parents[3] / "shared" / "data" / "schedules"
READING = ("line", "rule", "haircut_pct", "factor", "matures", "issued", "base", "margin_type", "owner_parent")

# The stored table of a schedule, and which of its rows are the schedule's.
SOURCES = {
    "us-margin": ("us_pr_uncleared_margin_appendix_b.csv", range(1, 14)),
    "eu-margin": ("eu_2016_2251_annex_ii_table1.csv", range(1, 28)),
    "basel-haircuts": ("basel_standard_supervisory_haircuts_cbb_2015.csv", range(1, 28)),
    "us-capital": ("us_capital_12cfr1240_39_table1.csv", range(1, 27)),
    "fed-discount-window": ("fed_discount_window_securities_2026-07-01.csv", range(1, 184)),
    "occ": ("occ_haircuts_two_vintages.csv", range(1, 19)),
    "occ-earlier": ("occ_haircuts_two_vintages.csv", range(19, 30)),
    "cme-base": ("cme_base_acceptable_collateral.csv", range(1, 54)),
    "ficc-gsd": ("ficc_gsd_clearing_fund_2025-04-17.csv", range(1, 34)),
    "dtc": ("dtc_eligible_collateral_2025-07-28.csv", range(1, 71)),
    "csa-jpm-cambridge-2017": ("csa_vm_jpm_cambridge_2017.csv", range(1, 7)),
    "eurosystem-observed": ("ecb_eurosystem_2023-01_observed.csv", range(1, 75)),
    "nyfed-pdcf": ("nyfed_pdcf_2020-04-09_partial.csv", range(1, 12)),
}
FX_ROWS = {("basel-haircuts", 27)}  # the row of the currency haircut, which comes off other rows' rules


@dataclass(frozen=True, eq=False)
class Cell:
    """One line of a file of cells: where it stands, what is expected, and the asset."""

    schedule: str
    place: int
    lines: tuple[int, ...]
    rule: str
    factor: Fraction | None
    context: Context
    asset: dict[str, str | None]

    def __str__(self) -> str:
        return f"{self.schedule}:{self.place}"


def moved(words: str) -> str | None:
    """AS_OF moved by `1Y`, `18M-1D`, `0D`; an ISO date stays what it is, and nothing stays nothing."""
    if not words or re.fullmatch(r"\d{4}-\d\d-\d\d", words):
        return words or None
    found = AS_OF
    for sign, count, unit in re.findall(r"([+-]?)(\d+)([YMD])", words):
        number = int(sign + count)
        found += relativedelta(**{{"Y": "years", "M": "months", "D": "days"}[unit]: number})  # type: ignore[arg-type]
    return found.isoformat()


def cell(schedule: str, place: int, row: dict[str, str]) -> Cell:
    base = row.get("base") or "USD"
    if row.get("factor"):
        factor = Fraction(row["factor"])
    else:
        factor = 1 - Fraction(row["haircut_pct"]) / 100 if row["haircut_pct"] else None
    context = Context(AS_OF, base, row.get("margin_type") or None, row.get("owner_parent") or "us")
    facts: dict[str, str | None] = {key: text or None for key, text in row.items() if key not in READING}
    dates = {"maturity_date": moved(row.get("matures", "")), "issue_date": moved(row.get("issued", ""))}
    filled = {**facts, **{key: text for key, text in dates.items() if text}, "asset_id": f"line {place}"}
    lines = tuple(int(line) for line in row["line"].split())
    return Cell(schedule, place, lines, row["rule"], factor, context, {"currency": base, **defaulted(filled, base)})


def defaulted(facts: dict[str, str | None], base: str) -> dict[str, str | None]:
    """The facts, the currency being that of the reading where a line has none."""
    return {**facts, "currency": facts.get("currency") or base}


@cache
def cells_of(schedule: str) -> tuple[Cell, ...]:
    with (CELLS / f"{schedule}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(cell(schedule, place, row) for place, row in enumerate(csv.DictReader(file), 2))


@cache
def published(name: str) -> Schedule:
    schedule = find(name)
    assert schedule is not None, name
    return schedule


@cache
def read_cells(schedule: str) -> dict[Cell, tuple[Match, int]]:
    """What the schedule says of each cell's asset: a match, and the asset's place in it."""
    by_context: dict[Context, list[Cell]] = defaultdict(list)
    for one in cells_of(schedule):
        by_context[one.context].append(one)
    found = {}
    for context, group in by_context.items():
        said = match(published(schedule), pd.DataFrame([one.asset for one in group], dtype=object), context)
        found.update({one: (said, place) for place, one in enumerate(group)})
    return found


CELLED = sorted(path.stem for path in CELLS.glob("*.csv"))


def said(found: Match, i: int) -> str:
    """The rule that takes an asset and the factor, or why it is refused."""
    why = found.why(i)
    return f"{why.rule}: {found.factors[found.factor_code[i]]}" if why.eligible else why.sentence


@pytest.mark.parametrize("name", CELLED)
def test_every_cell_is_what_is_published(name: str) -> None:
    wrong = []
    for one, (found, i) in read_cells(name).items():
        taken = f"{one.rule}: {one.factor}"
        if bool(found.eligible[i]) != bool(one.rule) or (one.rule and said(found, i) != taken):
            wrong.append(f"{one}: {said(found, i)}, not {taken if one.rule else 'refused'}")
    assert not wrong, "\n".join(wrong)


def test_every_published_schedule_has_its_cells() -> None:
    assert set(names()) == set(CELLED)


@pytest.mark.parametrize("name", CELLED)
def test_every_row_of_the_source_has_a_cell(name: str) -> None:
    if name in SOURCES:
        covered = {line for one in cells_of(name) for line in one.lines}
        assert covered == set(SOURCES[name][1])


@pytest.mark.parametrize("name", CELLED)
def test_every_rule_takes_or_refuses_a_cell(name: str) -> None:
    used = {int(found.rule[i]) for found, i in read_cells(name).values()}
    idle = [rule.label for place, rule in enumerate(published(name).rules) if place not in used]
    assert not idle


@pytest.mark.parametrize("name", CELLED)
def test_every_further_haircut_comes_off_a_cell_and_stays_off_another(name: str) -> None:
    sentences = [found.why(i).sentence for found, i in read_cells(name).values() if found.eligible[i]]
    marks = [f"({further.label})" for further in published(name).further_haircuts]
    marks += ["FX "] if published(name).fx_haircut is not None else []
    for mark in marks:
        assert {mark in sentence for sentence in sentences} == {True, False}, mark


@pytest.mark.parametrize("name", CELLED)
def test_the_figures_typed_are_those_of_the_stored_table(name: str) -> None:
    """Where the tables lie beside the checkout: what a row's cells are taken by has the haircut of that row, and no
    row without a figure, or with one of 100 %, has a cell that is taken."""
    table, rows = SOURCES.get(name, ("", range(0)))
    if not (TABLES / table).is_file():
        return
    with (TABLES / table).open(encoding="utf-8", newline="") as file:
        source = dict(enumerate(csv.DictReader(file), 1))
    by_label = {rule.label: rule for rule in published(name).rules}
    for line in rows:
        figure = source[line].get("haircut_pct")
        labels = {one.rule for one in cells_of(name) if line in one.lines and one.rule}
        if figure is None or (name, line) in FX_ROWS:
            continue
        assert not labels or (figure != "" and Fraction(figure) < 100), (line, labels)
        for label in labels:
            assert by_label[label].factor == 1 - Fraction(figure) / 100, (line, label)


@pytest.mark.parametrize("name", names())
def test_every_published_schedule_says_where_it_comes_from_of_when_and_what_is_left_out(name: str) -> None:
    schedule = published(name)
    assert schedule.source and schedule.as_of and schedule.leaves_out
    assert not schedule.listing
    assert not schedule.extra_columns
    assert find_schedule(name, {}) == schedule


@pytest.mark.parametrize("name", names())
def test_what_is_left_out_says_to_which_side(name: str) -> None:
    for text in published(name).leaves_out:
        assert re.search(r"\([^()]*\b(stricter|laxer|none)\b[^()]*\)$", text), text


@pytest.mark.parametrize("name", names())
def test_no_limit_and_no_exclusion_of_a_published_schedule_speaks_of_cash_unasked(name: str) -> None:
    """What is unknown counts under a limit and is refused by an exclusion; cash has none of the facts of securities."""
    schedule = published(name)
    cash = pd.DataFrame({"asset_id": ["cash"], "asset_type": ["cash"], "currency": ["USD"], "price": ["1"]})
    found = match(schedule, cash, Context(AS_OF, "USD", None, "us"))
    assert Refusal(int(found.refused[0])) is not Refusal.EXCLUSION_UNKNOWN, found.why(0).sentence


# -------------------- lcr-hqla


def test_the_caps_are_shares_of_all_that_counts_after_haircuts() -> None:
    schedule = published("lcr-hqla")
    assert [[cap.share for cap in limit.caps] for limit in schedule.limits] == [[Fraction(2, 5)], [Fraction(3, 20)]]
    frame = pd.DataFrame({"asset_id": ["a", "b", "c"], "hqla_level": ["1", "2A", "2B"]}, dtype=object)
    level_2, level_2b = match_limits(schedule, frame, EUR)
    assert (level_2.counts.tolist(), level_2b.counts.tolist()) == ([False, True, True], [False, False, True])
    assert {limit.measure for limit in (level_2, level_2b)} == {"value_after_haircut"}
    assert {cap.of for limit in (level_2, level_2b) for cap in limit.caps} == {"posted"}


@pytest.mark.parametrize(
    ("level_1", "level_2a", "level_2b", "stock"),
    [
        # 850 of level 1 carry 850 x 15/85 = 150 of level 2B: 2,000 at half would be 1,000
        (850.0, 0.0, 2000.0, 1000.0),
        # 600 carry 600 x 2/3 = 400 of level 2: 1,000 of level 2A at 85 % would be 850
        (600.0, 1000.0, 0.0, 1000.0),
        # 600 carry 400 of level 2, of which 150 may be 2B: the adjustments are 500 - 150 and 850 + 150 - 400,
        # 600 + 850 + 500 - 350 - 600
        (600.0, 1000.0, 1000.0, 1000.0),
        # no cap binds: 1,000 + 100 x 0.85 + 100 x 0.5
        (1000.0, 100.0, 100.0, 1135.0),
        # without level 1 nothing counts
        (0.0, 1000.0, 1000.0, 0.0),
    ],
)
def test_a_reserve_counts_the_stock_that_basel_counts(
    level_1: float, level_2a: float, level_2b: float, stock: float
) -> None:
    """The stock is levels 1, 2A and 2B after haircuts, less what exceeds the caps (BCBS 238, annex 1)."""
    held = {"L1": level_1, "L2A": level_2a, "L2B": level_2b, "CASH": 10.0}
    result = optimise(
        desk(
            assets=[
                asset("L1", hqla_level="1", issuer="Republic"),
                asset("L2A", hqla_level="2A", issuer="Railways"),
                asset("L2B", "equity", hqla_level="2B", issuer="Machines"),
                asset("CASH", "cash"),
            ],
            holdings=[{"holding_id": name, "asset_id": name, "quantity": held[name]} for name in held],
            agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}],
            calls=[{"call_id": "C", "agreement_id": "A", "amount": 10.0, "currency": "USD"}],
            reserves=[{"reserve_id": "LCR", "schedule": "lcr-hqla", "amount": 5000.0, "currency": "USD"}],
            schedules={"cash": listing(CASH=0)},
        )
    )
    assert result.reserves["counted"].tolist() == pytest.approx([stock], abs=0.01)
    assert result.reserves["shortfall"].tolist() == pytest.approx([5000.0 - stock], abs=0.01)
