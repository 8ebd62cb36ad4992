"""What a change did to the book is told figure by figure: all of it, nothing else, and summed up in words."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from collateral_opt import Book, read_book, read_words
from collateral_opt.errors import UsageError
from collateral_opt.io.comparison import alteration_text
from collateral_opt.result.comparison import Alteration, Altered, summed_up
from tests.scenarios.differences import differences
from tests.scenarios.test_kinds import MOVES
from tests.scenarios.test_kinds import desk as small_desk

ROOT = Path(__file__).parents[2]
TABLES = {
    "call": "calls", "asset": "assets", "currency": "fx", "holding": "holdings", "facility": "facilities",
    "agreement": "agreements", "cash return": "cash_returns", "pin": "pins", "posted position": "posted",
    "received position": "received", "pair's cost": "costs",
}  # fmt: skip
"""The table of each thing; haircuts and caps are no cells of a table."""


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(ROOT / "examples" / "what-if")


def told(book: Book, *words: str) -> list[str]:
    return [alteration_text(one) for one in summed_up(read_words(words).alterations(book))]


def by_cell(alterations: tuple[Alteration, ...]) -> set[str]:
    """As :func:`tests.scenarios.differences.differences` has it."""
    signs = {"added": "+", "removed": "-"}
    said: set[str] = set()
    for one in alterations:
        if one.thing in TABLES and one.difference in signs:
            said.add(f"{TABLES[one.thing]} {signs[one.difference]}{one.name}")
        elif one.thing in TABLES:
            was, now = ({"true": "True", "false": "False"}.get(str(x), str(x)) for x in (one.was, one.now))
            said.add(f"{TABLES[one.thing]} {one.name} {one.field}: {was} -> {now}")
    return said


def in_tables(found: set[str]) -> set[str]:
    """Those of cells and rows, with names joined by blanks and without what is empty."""
    cells = {one for one in found if not one.startswith(("schedule ", "house "))}
    cells = {one for one in cells if not re.search(r" schedule: (.+) -> \1 \(", one)}  # a copy for one agreement
    return {re.sub(r"^(\w+ [+-])(.*/.*)$", lambda row: row[1] + _joined(row[2]), one) for one in cells}


def _joined(key: str) -> str:
    return " ".join(part for part in key.split("/") if part != "-")


NOT_TIMES = [word for word, _ in MOVES if ".due=" not in word]


@pytest.mark.parametrize("word", NOT_TIMES)
def test_every_cell_that_differs_is_told_and_no_other(book: Book, word: str) -> None:
    what_if = read_words([word])
    assert by_cell(what_if.alterations(book)) == in_tables(differences(book, what_if(book)))


@pytest.mark.parametrize("word", ["remove:counterparty=Acme", "remove:agreement=BETA", "remove:facility=F1"])
def test_every_row_that_goes_along_is_told(word: str) -> None:
    made, what_if = small_desk().book(), read_words([word])
    found = in_tables(differences(made, what_if(made)))
    assert len(found) >= 2
    assert by_cell(what_if.alterations(made)) == found


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        ("call:MC7.amount=+20%", ["amount of call MC7: 1,000,000 -> 1,200,000 USD"]),
        # in dollars and in euros
        ("call:*.amount=-10%", ["amount of 2 calls: 500,000 to 1,000,000 -> 450,000 to 900,000"]),
        ("call:MC7.due=+90m", ["due of call MC7: 2026-03-24T15:00:00-04:00 -> 2026-03-24T16:30:00-04:00"]),
        # told in the desk's offset: seven in the morning in Tokyo
        (
            "call:MC7.due=2026-03-25T07:00:00+09:00",
            ["due of call MC7: 2026-03-24T15:00:00-04:00 -> 2026-03-24T18:00:00-04:00"],
        ),
        ("call:MC7.due=none", ["due of call MC7: 2026-03-24T15:00:00-04:00 -> none"]),
        ("price:sovereign=-10%", ["price of 3 assets: 98 to 100 -> 88.2 to 90"]),
        ("fx:EUR=+10%", ["rate of currency EUR: 1.2 -> 1.32 USD"]),
        ("holding:H1.quantity=-25%", ["quantity of holding H1: 1,000,000 -> 750,000 units"]),
        ("cost_bps:{currency: EUR}=+1.5", ["cost_bps of 2 holdings: 10 to 12 -> 11.5 to 13.5 bp"]),
        (
            "downgrade:{issuer_country: IT}=1",
            ["rating_sp of asset BTP32: BBB -> BBB-", "rating_moodys of asset BTP32: Baa3 -> Ba1"],
        ),
        ("agreement:*.schedule=lcr-hqla", ["schedule of 2 agreements: eu-im, us-im -> lcr-hqla"]),
        # cash 0, sovereigns 0.02 and 0.05, corporates 0.08
        ("haircut:all=+0.02", ["haircut of 5 rules in 2 schedules: 0 to 0.08 -> 0.02 to 0.1"]),
        ("haircut:corporate=+0.02", ["haircut of rule 3 'corporates' in us-im: 0.08 -> 0.1"]),
        ("agreement:VM1.haircut:sovereign=0.1", ["haircut of rule 2 'sovereigns' in eu-im (VM1): 0.05 -> 0.1"]),
        ("schedule:us-im.fx_haircut=0.08", ["fx_haircut of schedule us-im: none -> 0.08"]),
        ("agreement:VM1.fx_haircut=0.1", ["fx_haircut of schedule eu-im (VM1): none -> 0.1"]),
        ("schedule:us-im.limit:one issuer=0.2", ["max of limit one issuer in us-im: 0.5 -> 0.2"]),
        ("house.limit:one issuer=-90%", ["max of limit one issuer in the house: 5,000,000 -> 500,000 USD"]),
        ("agreement:*.cash_return:EUR=to -4", ["2 cash returns added: bps -4 bp"]),
        (
            "remove:counterparty=Rhine Bank",
            [
                "call MC8 removed: amount 500,000 EUR",
                "agreement VM1 removed",
                "facility REPO removed: capacity 1,000,000 USD",
            ],
        ),
        ("{new_call: {call_id: N1, agreement_id: VM1, amount: 0.5}}", ["call N1 added: amount 0.5 EUR"]),
        ("call:MC7.amount=+0", []),
    ],
)
def test_what_a_change_did_is_said_with_the_old_figure_and_the_new(book: Book, word: str, lines: list[str]) -> None:
    assert told(book, word) == lines


def test_each_change_sees_what_those_before_it_left(book: Book) -> None:
    twice = read_words(["call:MC7.amount=+10%", "call:MC7.amount=+10%"]).alterations(book)
    assert [(one.number, one.was, one.now) for one in twice] == [(1, 1e6, 1.1e6), (2, 1.1e6, 1.21e6)]
    assert {one.change for one in twice} == {"call:MC7.amount=+10%"}
    split = told(book, "schedule:us-im.haircut:{issuer_country: IT}=+0.01", "schedule:us-im.haircut:sovereign=+0.01")
    # Italy's bond has a rule of its own by then
    assert split == [
        "haircut of rule 2 'sovereigns' in us-im: 0.02 -> 0.03",
        "haircut of 2 rules in us-im: 0.02 to 0.03 -> 0.03 to 0.04",
    ]


def test_lines_of_a_list_are_told_as_lines() -> None:
    desk = ROOT / "examples" / "desk"
    made = read_book(desk)
    with (desk / "schedules" / "ccp-treasuries.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["haircut"]]
    assets = set(made.assets["asset_id"])
    haircuts = [float(row["haircut"]) for row in rows if row["asset_id"] in assets]
    (line,) = told(made, "schedule:ccp-treasuries.haircut=+0.05")
    least, most = min(haircuts), max(haircuts)
    assert len(haircuts) > 5 and most > least
    moved = f"{least:g} to {most:g} -> {least + 0.05:g} to {most + 0.05:g}"
    assert line == f"haircut of {len(haircuts)} lines in ccp-treasuries: {moved}"


def test_many_texts_are_counted_and_units_that_differ_are_left_out() -> None:
    ones = [
        Alteration(1, "w", "changed", "asset", str(i), None, "rating_sp", text, "D", None)
        for i, text in enumerate(["AAA", "AA", "A", "BBB", "AAA"])
    ]
    (altered,) = summed_up(ones)
    assert altered == Altered(
        number=1, change="w", difference="changed", thing="asset", field="rating_sp", count=5, name=None, places=(),
        was=("A", "AA", "AAA", "BBB"), now=("D",), unit=None,
    )  # fmt: skip
    assert alteration_text(altered) == "rating_sp of 5 assets: 4 different ones -> D"
    amounts = [
        Alteration(1, "w", "changed", "facility", name, None, "capacity", 1.0, 2.0, unit)
        for name, unit in (("F", "USD"), ("G", "EUR"))
    ]
    assert [alteration_text(one) for one in summed_up(amounts)] == ["capacity of 2 facilities: 1 -> 2"]


def test_a_change_that_does_not_fit_moves_nothing_that_could_be_told(book: Book) -> None:
    with pytest.raises(UsageError, match="'MC9' is not in the book"):
        read_words(["call:MC9.amount=5"]).alterations(book)
