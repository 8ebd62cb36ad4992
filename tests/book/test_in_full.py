"""The book in full: what was received and what was sent, in the tables that the engine reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.received import at_most
from collateral_opt.errors import BookError
from collateral_opt.io.read import read_book
from eligibility_rules import Context, match
from tests.book.small import Desk, found_at, found_in

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE = {"received_id": "R1", "agreement_id": "BETA", "asset_id": "UST", "quantity": "700000", "reuse": "true"}


def desk(*, received: Sequence[dict[str, str]] = (), sent: Sequence[str] = (), pins: Sequence[str] = ()) -> Desk:
    """The small desk with lines received, instructions ``call source quantity state`` and pins.

    A pin is ``call source quantity at_least forbid``; a source is a facility where its name begins with F, and - is
    an empty cell.
    """
    made = Desk()
    made.rows["received"] = [{**LINE, **line} for line in received]
    names = ("call_id", "source", "quantity", "state")
    made.rows["instructions"] = [_row(names, line) for line in sent]
    names = ("call_id", "source", "quantity", "at_least", "forbid")
    made.rows["pins"] = [_row(names, line) for line in pins]
    for table in ("received", "instructions", "pins"):
        if not made.rows[table]:
            del made.rows[table]
    return made


def _row(names: tuple[str, ...], line: str) -> dict[str, str]:
    row = {name: "" if cell == "-" else cell for name, cell in zip(names, line.split(), strict=True)}
    source = row.pop("source")
    return {**row, "facility_id" if source.startswith("F") else "holding_id": source}


def row(frame: pd.DataFrame, key: str, value: str) -> dict[str, Any]:
    (found,) = frame[frame[key] == value].to_dict("records")
    return {str(column): cell for column, cell in found.items()}


def pins(book: Book) -> list[tuple[Any, ...]]:
    """(call, source, exactly, at least, forbid, sent), None for an empty figure."""
    return [
        (p["call_id"], p["holding_id"] or p["facility_id"],
         *(None if np.isnan(p[c]) else p[c] for c in ("quantity", "at_least")), p["forbid"], p["sent"])
        for p in book.pins.to_dict("records")
    ]  # fmt: skip


def test_a_book_without_the_two_tables_is_itself() -> None:
    book = Desk().book()
    assert book.in_full is book


# ------------------------------------------------------------------------------------------- received


def test_a_line_that_may_be_reused_is_a_holding_of_its_name() -> None:
    line = {"cost_bps": "1.5", "settle_hours": "3", "ready_at": "2026-03-31T10:00:00+02:00", "location": "L1"}
    book = desk(received=[line]).book()
    full = book.in_full
    holding = row(full.holdings, "holding_id", "R1")
    assert (holding["asset_id"], holding["quantity"], holding["cost_bps"]) == ("UST", 700_000, 1.5)
    assert (holding["settle_hours"], holding["location"], holding["owner"]) == (3, "L1", None)
    assert holding["ready_at"] == pd.Timestamp("2026-03-31T08:00:00Z")
    assert len(full.calls) == len(book.calls) and len(full.agreements) == len(book.agreements)  # nothing is owed back
    pd.testing.assert_frame_equal(full.holdings.iloc[:3], book.holdings)
    assert len(full.received) == 0 and full.in_full is full


def test_what_is_owed_back_is_a_call_for_its_asset_alone() -> None:
    # 01:00 on 1 April in Frankfurt, where the book is, is still 31 March in UTC
    book = desk(received=[{"return_quantity": "250000", "return_by": "2026-03-31T23:00:00+00:00"}]).book()
    full = book.in_full
    call, agreement = row(full.calls, "call_id", "R1"), row(full.agreements, "agreement_id", "R1")
    # 250,000 of face at 101 per cent, in the bond's own currency; the other calls have the priorities 1 and 2
    assert (call["agreement_id"], call["amount"], call["currency"], call["priority"]) == ("R1", 252_500, "USD", 0)
    assert (call["due"], call["due_date"].date()) == (pd.Timestamp("2026-03-31T23:00:00Z"), date(2026, 4, 1))
    assert (call["schedule"], call["margin_type"]) == (None, None)
    assert (agreement["counterparty"], agreement["base_currency"], agreement["schedule"]) == (
        "Beta",
        "USD",
        "return R1",
    )
    schedule = full.schedules["return R1"]
    context = Context(as_of=date(2026, 3, 31), base_currency="USD")
    assert match(schedule, full.assets, context).factor.tolist() == [0.0, 0.0, 1.0]
    assert schedule.wrong_way == "allow" and not schedule.limits
    pd.testing.assert_frame_equal(full.calls.iloc[:2], book.calls)


@pytest.mark.parametrize(("given", "first"), [(("7", "-2.5"), -3.5), (("", "4"), 3.0), (("", ""), 0.0)])
def test_a_return_comes_before_every_call(given: tuple[str, str], first: float) -> None:
    made = desk(received=[{"return_quantity": "1"}])
    for call, priority in zip(made.rows["calls"], given, strict=True):
        call["priority"] = priority
    assert row(made.book().in_full.calls, "call_id", "R1")["priority"] == first


@pytest.mark.parametrize("bound", [{"reuse": "false"}, {"segregated": "true"}])
def test_a_line_that_may_not_be_reused_is_left_out_with_a_note(bound: dict[str, str]) -> None:
    book = desk(received=[{**bound, "return_quantity": "5"}]).book()
    full = book.in_full
    assert "R1" not in {*full.holdings["holding_id"], *full.calls["call_id"], *full.agreements["agreement_id"]}
    assert [(f.code, f.row, f.value) for f in book.findings] == [("N641", 2, "5")]
    assert full.findings == book.findings


def test_pins_costs_and_instructions_may_name_what_was_received() -> None:
    made = desk(received=[{"return_quantity": "500"}], sent=["R1 R1 200 settled"], pins=["C1 R1 100 - -"])
    made.rows["costs"].append({"holding_id": "R1", "asset_id": "", "agreement_id": "R1", "cost_bps": "0.5"})
    full = made.book().in_full
    assert pins(full) == [("C1", "R1", 100, None, False, False), ("R1", "R1", None, 200, False, True)]
    assert full.costs["agreement_id"].tolist()[-1] == "R1"


def test_what_is_owed_is_never_a_hair_more_than_the_quantity_is_worth() -> None:
    assert at_most(Fraction(3, 10)) == 0.3
    assert repr(at_most(Fraction(1, 3))) == "0.3333333333333333"  # what is nearest is below
    assert repr(at_most(Fraction(5, 3))) == "1.6666666666666665"  # the nearest, 1.6666666666666667, is above


# ------------------------------------------------------------------------------------------- in flight


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (["C1 H2 300 instructed"], [("C1", "H2", None, 300, False, True)]),
        (["C1 H2 0.1 instructed", "C1 H2 0.2 settled"], [("C1", "H2", None, 0.3, False, True)]),
        (["C1 F1 40 settled"], [("C1", "F1", None, 40, False, True)]),
        (["C1 H2 300 failed"], []),
        (["C1 H2 300 failed", "C1 H2 100 settled"], [("C1", "H2", None, 100, False, True)]),
        (["C1 H2 300 rejected"], [("C1", "H2", None, None, True, False)]),
        (["C1 H2 300 rejected", "C1 H2 100 settled"], [("C1", "H2", 100, 100, False, True)]),
        (["C1 H2 100 instructed", "C1 H2 7 disputed"], [("C1", "H2", 100, 100, False, True)]),
        (["C2 H2 1 settled", "C1 H3 2 settled", "C1 H1 3 rejected"],
         [("C1", "H1", None, None, True, False), ("C1", "H3", None, 2, False, True),
          ("C2", "H2", None, 1, False, True)]),
    ],
)  # fmt: skip
def test_what_was_sent_becomes_pins(sent: list[str], expected: list[tuple[Any, ...]]) -> None:
    book = desk(sent=sent).book()
    full = book.in_full
    assert pins(full) == expected
    assert len(full.instructions) == 0
    for name in ("holdings", "agreements", "calls"):
        if not any("disputed" in line for line in sent):
            pd.testing.assert_frame_equal(getattr(full, name), getattr(book, name))


def test_what_is_disputed_leaves_its_holding_and_counts_nowhere() -> None:
    book = desk(sent=["C1 H1 0.1 disputed", "C2 H1 0.2 disputed"]).book()
    full = book.in_full
    # 5,000,000 - 0.3, as decimals
    assert full.holdings["quantity"].tolist() == [4_999_999.7, 20_000_000, 3_000_000]
    assert pins(full) == [("C1", "H1", None, None, True, False), ("C2", "H1", None, None, True, False)]
    assert [(f.code, f.row, f.value) for f in full.findings] == [("N642", 2, "H1"), ("N642", 3, "H1")]


def test_what_is_disputed_of_proceeds_takes_capacity() -> None:
    full = desk(sent=["C1 F1 250000 disputed"]).book().in_full
    assert full.facilities["capacity"].tolist() == [750_000, 5_000]
    assert pins(full) == [("C1", "F1", None, None, True, False)]


def test_proceeds_that_are_a_security_take_capacity_at_their_price() -> None:
    made = desk(sent=["C1 F1 200000 disputed"])
    made.rows["facilities"][0]["gives"] = "BUND"
    # 200,000 at 98.5 per cent are 197,000 of 1,000,000
    assert made.book().in_full.facilities["capacity"].tolist()[0] == 803_000


@pytest.mark.parametrize(
    ("pin", "sent", "expected"),
    [
        ("C1 H2 500 - -", ["C1 H2 300 settled"], (500, 300, False, True)),
        ("C1 H2 300 - -", ["C1 H2 300 settled"], (300, 300, False, True)),
        ("C1 H2 - - -", ["C1 H2 300 settled"], (None, 300, False, True)),
        ("C1 H2 - 400 -", ["C1 H2 300 settled"], (None, 400, False, True)),
        ("C1 H2 - 200 -", ["C1 H2 300 settled"], (None, 300, False, True)),
        ("C1 H2 - 200 -", ["C1 H2 300 settled", "C1 H2 1 rejected"], (300, 300, False, True)),
        ("C1 H2 - - true", ["C1 H2 300 rejected"], (None, None, True, False)),
        ("C1 H2 - - true", ["C1 H2 300 failed"], (None, None, True, False)),
        ("C1 H2 500 - -", ["C1 H2 300 failed"], (500, None, False, False)),
    ],
)
def test_a_persons_pin_and_what_was_sent_hold_together(pin: str, sent: list[str], expected: tuple[Any, ...]) -> None:
    made = desk(sent=sent, pins=[pin])
    made.rows["pins"][0]["who"] = "Ann"
    full = made.book().in_full
    assert pins(full) == [("C1", "H2", *expected)]
    assert full.pins["who"].tolist() == ["Ann"]


@pytest.mark.parametrize(
    ("pin", "sent", "words"),
    [
        ("C1 H2 - - true", ["C1 H2 300 settled"], "asks for nothing of it, but 300 was sent (instructions row 2)"),
        ("C1 H2 200 - -", ["C1 H2 300 settled"], "asks for exactly 200, but 300 was sent"),
        ("C1 F1 500 - -", ["C2 H1 1 settled", "C1 F1 300 settled", "C1 F1 1 rejected"],
         "asks for exactly 500, but 300 was sent, and nothing more may go there (instructions row 3)"),
        ("C1 H2 - 400 -", ["C1 H2 300 settled", "C1 H2 1 rejected"], "asks for at least 400, but 300 was sent, and"),
        ("C1 H2 - - -", ["C1 H2 300 rejected"], "asks for at least one lot, but nothing more may go there"),
        ("C1 H2 300 - -", ["C1 H2 300 disputed"], "asks for exactly 300, but nothing more may go there"),
    ],
)  # fmt: skip
def test_a_pin_against_what_was_sent_is_an_error_that_names_both(pin: str, sent: list[str], words: str) -> None:
    with pytest.raises(BookError) as caught:
        desk(sent=sent, pins=[pin]).book()
    (found,) = (f for f in caught.value.findings if f.severity == "error")
    assert (found.code, found.table, found.row) == ("E336", "pins", 2)
    assert words in found.cause


def test_more_may_have_been_sent_than_is_held_only_where_it_may_be_recalled() -> None:
    # 1,000 of H2 are posted at ACME, beside the 20,000,000 that are held
    made = desk(sent=["C1 H2 20001000 settled"])
    made.rows["posted"][0]["locked"] = "false"
    assert [f.code for f in found_in(made)] == ["E335"]
    made.settings["scope"] = "reoptimise"
    assert found_in(made) == []
    made.rows["posted"][0]["locked"] = "true"
    assert [f.code for f in found_in(made)] == ["E335"]


def test_what_was_received_can_be_sent_and_disputed() -> None:
    full = desk(received=[{}], sent=["C1 R1 1000 disputed"]).book().in_full
    assert row(full.holdings, "holding_id", "R1")["quantity"] == 699_000
    made = desk(received=[{}], sent=["C1 R1 700000.01 settled"])
    assert [(f.code, f.value) for f in found_in(made)] == [("E335", "R1")]


def test_a_table_that_could_not_be_read_proves_nothing(tmp_path: Path) -> None:
    made = desk(received=[{}], sent=["C1 R1 1000 settled"])
    (made.write(tmp_path) / "received.csv").write_bytes(b"received_id\xfc\n")
    assert [(f.code, f.table) for f in found_at(tmp_path)] == [("E207", "received")]


def test_the_two_tables_are_part_of_the_books_hash() -> None:
    digests = {
        made.book().digest
        for made in (desk(), desk(received=[{}]), desk(sent=["C1 H2 1 settled"]), desk(sent=["C1 H2 1 failed"]))
    }
    assert len(digests) == 4


# --------------------------------------------------------------------------------------------- examples


def test_the_examples_are_what_their_readmes_say() -> None:
    received = read_book(EXAMPLES / "received")
    assert [f.code for f in received.findings] == ["N641"]
    full = received.in_full
    assert full.holdings["holding_id"].tolist() == ["H-CORP", "R-GOV"]
    assert dict(zip(full.calls["call_id"], full.calls["amount"], strict=True)) == {"CCP-1": 500_000, "R-GOV": 196_000}
    in_flight = read_book(EXAMPLES / "in-flight")
    assert in_flight.findings == ()
    assert pins(in_flight.in_full) == [
        ("MC1", "H-CORP", None, None, True, False),
        ("MC1", "H-GOV", None, 600_000, False, True),
    ]
