"""The independent checker on house limits: one hand-made answer keeps them, every breach of them is named.

The answer, by hand (in EUR, 1 USD = 0.8 EUR; costs are all zero):

    A1   posted already:   10,000 BUND   m = 10,000, own schedule f = 0.95             v = 9,500
    C1   20,000 at A1:     15,000 BUND from H1 (BOX):  m = 15,000, f = 0.95            v = 14,250
                            5,750 EUR, proceeds of REPO                                v = 5,750
    C2   8,000 at A2:      10,000 BUND from H2:        m = 10,000, f = 0.8             v = 8,000
    REPO (South) takes     10,000 USTN from H3 (BOX):  m = 8,000, f = 0.9              v = 7,200, gives 5,750

    Germany: 10,000 posted + 15,000 + 10,000 = 35,000, after haircut 9,500 + 14,250 + 8,000 = 31,750
    North (A1, A2): 35,000 + 5,750 = 40,750; South (REPO): 8,000; BOX: 15,000 + 8,000 = 23,000 of
    30,000 + 16,000 = 46,000; H1 15,000 of 30,000; H2 10,000 of 20,000
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.io.read import read_book
from collateral_opt.result.checker import COLUMNS, check
from collateral_opt.result.checker.house import house_limits_hold
from collateral_opt.result.checker.join import look_up

Row = dict[str, Any]
Limit = tuple[str, str, float, float]
TABLES: dict[str, list[Row]] = {
    "fx": [{"currency": "USD", "rate": 0.8}],
    "assets": [
        {"asset_id": "EUR", "asset_type": "cash", "currency": "EUR"},
        {
            "asset_id": "BUND", "asset_type": "debt", "currency": "EUR", "price": 100, "price_factor": 0.01,
            "lot_size": 1000, "issuer": "Germany", "outstanding": 500_000, "market_cap": 400_000,
        },
        {
            "asset_id": "USTN", "asset_type": "debt", "currency": "USD", "price": 100, "price_factor": 0.01,
            "lot_size": 1000, "issuer": "Treasury", "market_cap": 300_000,
        },
    ],
    "holdings": [
        {"holding_id": "H1", "asset_id": "BUND", "quantity": 30_000, "location": "BOX"},
        {"holding_id": "H2", "asset_id": "BUND", "quantity": 20_000, "location": None},
        {"holding_id": "H3", "asset_id": "USTN", "quantity": 20_000, "location": "BOX"},
    ],
    "agreements": [
        {"agreement_id": "A1", "counterparty": "North London", "counterparty_parent": "North", "schedule": "S"},
        {"agreement_id": "A2", "counterparty": "North Paris", "counterparty_parent": "North", "schedule": "T"},
    ],
    "calls": [
        {"call_id": "C1", "agreement_id": "A1", "amount": 20_000, "currency": "EUR"},
        {"call_id": "C2", "agreement_id": "A2", "amount": 8_000, "currency": "EUR"},
    ],
    "posted": [{"agreement_id": "A1", "asset_id": "BUND", "quantity": 10_000}],
    "facilities": [
        {
            "facility_id": "REPO", "kind": "repo", "gives": "EUR", "takes": "R", "capacity": 50_000,
            "counterparty": "South",
        }
    ],
}  # fmt: skip


def takes(haircut: float) -> Row:
    debt = {"label": "debt", "when": {"asset_type": "debt"}, "haircut": haircut}
    return {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}, debt]}


SCHEDULES = {"S": takes(0.05), "T": takes(0.2), "R": takes(0.1)}
ALLOCATION = [
    ("C1", "A1", "H1", None, "BUND", "deliver", 15_000.0, 15_000.0, 0.05, 14_250.0, 0.0),
    ("C1", "A1", None, "REPO", "EUR", "deliver", 5_750.0, 5_750.0, 0.0, 5_750.0, 0.0),
    ("C2", "A2", "H2", None, "BUND", "deliver", 10_000.0, 10_000.0, 0.2, 8_000.0, 0.0),
]
FINANCING = [("REPO", "H3", None, "USTN", 10_000.0, 8_000.0, 0.1, 7_200.0, 0.0)]
CALLS = [("C1", 20_000.0, 20_000.0, 0.0, 0.0), ("C2", 8_000.0, 8_000.0, 0.0, 0.0)]
INVENTORY = [
    ("H1", "BUND", 30_000.0, 15_000.0, 15_000.0),
    ("H2", "BUND", 20_000.0, 10_000.0, 10_000.0),
    ("H3", "USTN", 20_000.0, 10_000.0, 10_000.0),
]


@dataclass(frozen=True)
class Answer:
    """A result as the checker sees one; tables the tests do not fill are empty."""

    allocation: pd.DataFrame
    financing: pd.DataFrame
    calls: pd.DataFrame
    inventory: pd.DataFrame
    limits: pd.DataFrame
    reserves: pd.DataFrame
    agreements: pd.DataFrame
    summary: Mapping[str, Any]


def framed(table: str, rows: Sequence[tuple[Any, ...]], columns: Sequence[str] = ()) -> pd.DataFrame:
    names = list(columns or COLUMNS[table])
    frame = pd.DataFrame(rows, columns=names[: len(rows[0])] if rows else names)
    return frame.reindex(columns=names)


def answer(*limits: Limit) -> Answer:
    inventory = framed("inventory", INVENTORY, ("holding_id", "asset_id", "quantity", "used", "left"))
    return Answer(
        allocation=framed("allocation", ALLOCATION),
        financing=framed("financing", FINANCING),
        calls=framed("calls", CALLS),
        inventory=inventory.assign(recalled=0.0),
        limits=framed("limits", [("house", *row) for row in limits]),
        reserves=framed("reserves", []),
        agreements=pd.DataFrame(columns=list(COLUMNS.get("agreements", ()))),
        summary={
            **{"status": "optimal", "total_cost": 0.0, "lower_bound": 0.0, "gap": 0.0, "total_shortfall": 0.0},
            "counts": {"moves": len(ALLOCATION)},
        },
    )


def book(*limits: Row, **tables: list[Row]) -> Book:
    return Book.from_tables(
        {name: pd.DataFrame(rows) for name, rows in {**TABLES, **tables}.items()},
        settings={"as_of": "2026-03-02T08:00:00+00:00", "base_currency": "EUR"},
        schedules=SCHEDULES,
        house_limits=[{"label": "L", **limit} for limit in limits],
    )


GERMAN: Row = {"all": [{"asset_type": "debt"}, {"issuer": "Germany"}]}


def euros(amount: float) -> Row:
    return {"of": "money", "max": {"amount": amount, "currency": "EUR"}}


def test_the_hand_made_answer_passes_without_house_limits() -> None:
    assert check(book(), answer()) == ()


USES: list[tuple[str, Row, list[Limit]]] = [
    (
        "all that is given away and posted, by issuer",
        {"group_by": "issuer", **euros(35_000)},
        [("L", "Germany", 35_000, 35_000), ("L", "Treasury", 8_000, 35_000), ("L", "(unknown)", 5_750, 35_000)],
    ),
    (
        "what is selected",
        {"group_by": "issuer", "select": {"asset_type": "debt"}, **euros(35_000)},
        [("L", "Germany", 35_000, 35_000), ("L", "Treasury", 8_000, 35_000)],
    ),
    (
        "the value where it goes",
        {"group_by": "issuer", "select": GERMAN, "measure": "value_after_haircut", **euros(31_750)},
        [("L", "Germany", 31_750, 31_750)],
    ),
    (
        "at the family of who takes it",
        {"group_by": "counterparty_parent", **euros(40_750)},
        [("L", "North", 40_750, 40_750), ("L", "South", 8_000, 40_750)],
    ),
    (
        "at who takes it",
        {"group_by": "counterparty", **euros(30_750)},
        [("L", "North London", 30_750, 30_750), ("L", "North Paris", 10_000, 30_750), ("L", "South", 8_000, 30_750)],
    ),
    (
        "at agreements, not at facilities",
        {"group_by": "agreement", "of": "money", "max": {"amount": 38_437.5, "currency": "USD"}},
        [("L", "A1", 30_750, 30_750), ("L", "A2", 10_000, 30_750)],
    ),
    (
        "units against units outstanding: 25,000 BUND leave and 10,000 lie there",
        {"group_by": "asset", "select": GERMAN, "measure": "quantity", "of": "outstanding", "max": 0.07},
        [("L", "BUND", 35_000, 35_000)],
    ),
    (
        "value against what all of it is worth, in its own currency",
        {"group_by": "asset", "select": {"asset_type": "debt"}, "of": "market_cap", "max": 0.0875},
        [("L", "BUND", 35_000, 35_000), ("L", "USTN", 8_000, 21_000)],  # 300,000 x 0.8 x 0.0875
    ),
    (
        "units against money: 16,000 EUR buy 20,000 USTN",
        {"group_by": "asset", "select": {"currency": "USD"}, "measure": "quantity", **euros(16_000)},
        [("L", "USTN", 10_000, 20_000)],
    ),
    (
        "what leaves a holding, of what it holds",
        {"group_by": "holding", "of": "held", "max": 0.5},
        [("L", "H1", 15_000, 15_000), ("L", "H2", 10_000, 10_000), ("L", "H3", 8_000, 8_000)],
    ),
    (
        "units that leave, of units held",
        {"group_by": "asset", "measure": "quantity", "of": "held", "max": 0.5},
        [("L", "BUND", 25_000, 25_000), ("L", "USTN", 10_000, 10_000)],
    ),
    (
        "what leaves a box; what lies nowhere is in none",
        {"group_by": "location", **euros(23_000)},
        [("L", "BOX", 23_000, 23_000)],
    ),
    (
        "what must stay in a box: 46,000 less 23,000",
        {"group_by": "location", "min_left": {"amount": 28_750, "currency": "USD"}},
        [("L", "BOX", 23_000, 23_000)],
    ),
    (
        "what must stay of all: 66,000 less 33,000",
        {"min_left": {"amount": 33_000, "currency": "EUR"}},
        [("L", "", 33_000, 33_000)],
    ),
    (
        "the least of two caps: 0.6 of 30,000 and 16,000, of 20,000 and 16,000, of 16,000 and 16,000",
        {"group_by": "holding", "caps": [{"of": "held", "max": 0.6}, euros(16_000)]},
        [("L", "H1", 15_000, 16_000), ("L", "H2", 10_000, 12_000), ("L", "H3", 8_000, 9_600)],
    ),
]


@pytest.mark.parametrize(("limit", "rows"), [case[1:] for case in USES], ids=[case[0] for case in USES])
def test_an_answer_at_its_caps_passes_and_its_rows_say_so(limit: Row, rows: list[Limit]) -> None:
    assert check(book(limit), answer(*rows)) == ()


@pytest.mark.parametrize(("limit", "rows"), [case[1:] for case in USES], ids=[case[0] for case in USES])
def test_every_used_group_needs_a_row_with_its_usage_and_its_cap(limit: Row, rows: list[Limit]) -> None:
    on = book(limit)
    (label, group, used, cap), *others = rows
    (missing,) = check(on, answer(*others))
    assert "and limits has no row for it" in missing and f"group {group!r}" in missing
    for wrong in ((label, group, used - 1, cap), (label, group, used, cap + 1)):
        (sentence,) = check(on, answer(wrong, *others))
        assert "stated" in sentence and f"house, limit 'L', group {group!r}" in sentence
    (twice,) = check(on, answer(rows[0], *rows))
    assert twice == f"limits: house, limit 'L', group {group!r}: 2 rows in limits."


OVER: list[tuple[str, Row, list[Limit], str]] = [
    (
        "each agreement within its own, together over the house's",
        {"group_by": "issuer", "select": GERMAN, **euros(34_999)},
        [("L", "Germany", 35_000, 34_999)],
        "house, limit 'L', group 'Germany': 35,000 is used, the cap is 34,999 (1 over).",
    ),
    (
        "more than a share of a holding",
        {"group_by": "holding", "select": GERMAN, "of": "held", "max": 0.45},
        [("L", "H1", 15_000, 13_500), ("L", "H2", 10_000, 9_000)],
        "house, limit 'L', group 'H1': 15,000 is used, the cap is 13,500 (1,500 over).",
    ),
    (
        "less than must stay in the box",
        {"group_by": "location", "min_left": {"amount": 23_000.5, "currency": "EUR"}},
        [("L", "BOX", 23_000, 22_999.5)],
        "house, limit 'L', group 'BOX': 23,000 is used, the cap is 22,999.5 (0.5 over).",
    ),
    (
        "from a box in which less is than must stay",
        {"group_by": "location", "min_left": {"amount": 50_000, "currency": "EUR"}},
        [("L", "BOX", 23_000, 0)],
        "house, limit 'L', group 'BOX': 23,000 is used, the cap is 0 (23,000 over).",
    ),
    (
        "onto what is over its cap already",
        {"group_by": "issuer", "select": GERMAN, **euros(9_000)},
        [("L", "Germany", 35_000, 9_000)],
        "house, limit 'L', group 'Germany': what was posted (10,000) stands over the cap already, 25,000 more",
    ),
    (
        "an unknown figure caps at nothing",
        {"group_by": "asset", "select": {"currency": "USD"}, "of": "outstanding", "max": 1},
        [("L", "USTN", 8_000, 0)],
        "house, limit 'L', group 'USTN': 8,000 is used, the cap is 0 (8,000 over).",
    ),
]


@pytest.mark.parametrize(("limit", "rows", "sentence"), [case[1:] for case in OVER], ids=[case[0] for case in OVER])
def test_a_group_over_its_cap_is_a_breach(limit: Row, rows: list[Limit], sentence: str) -> None:
    found = check(book(limit), answer(*rows))
    assert found[0].startswith(sentence)
    assert all("house, limit 'L'" in other and " over" in other for other in found)


def test_what_is_over_its_cap_already_and_takes_nothing_is_no_breach() -> None:
    posted = [{"agreement_id": "A2", "asset_id": "USTN", "quantity": 5_000}, *TABLES["posted"]]
    on = book({"group_by": "agreement", "select": {"currency": "USD"}, **euros(3_999)}, posted=posted)
    assert check(on, answer(("L", "A2", 4_000, 3_999))) == ()


def test_what_is_posted_and_no_longer_eligible_counts_nothing() -> None:
    share = {"asset_id": "SHARE", "asset_type": "equity", "currency": "EUR", "price": 1, "issuer": "Germany"}
    posted = [*TABLES["posted"], {"agreement_id": "A2", "asset_id": "SHARE", "quantity": 7_000}]
    on = book({"group_by": "issuer", "select": {"not": {"asset_type": "cash"}}, **euros(35_000)},
              posted=posted, assets=[*TABLES["assets"], share])  # fmt: skip
    assert check(on, answer(("L", "Germany", 35_000, 35_000), ("L", "Treasury", 8_000, 35_000))) == ()


def test_a_row_for_an_unused_group_shows_no_usage() -> None:
    on = book({"group_by": "location", **euros(23_000)}, holdings=[
        *TABLES["holdings"], {"holding_id": "H4", "asset_id": "BUND", "quantity": 0, "location": "VAULT"},
    ])  # fmt: skip
    box = ("L", "BOX", 23_000, 23_000)

    def said(vault: Limit) -> tuple[str, ...]:
        stated = answer(box, vault)
        fourth = pd.DataFrame([("H4", "BUND", 0.0, 0.0, 0.0, 0.0)], columns=stated.inventory.columns)
        return check(on, replace(stated, inventory=pd.concat([stated.inventory, fourth], ignore_index=True)))

    assert said(("L", "VAULT", 0.0, 23_000)) == ()
    assert said(("L", "VAULT", 1.0, 23_000)) == (
        "limits: house, limit 'L', group 'VAULT': stated 1.0 of 23000, it is 0 of 23,000.",
    )


@pytest.mark.parametrize("row", [("M", "BOX", 23_000, 23_000), ("L", "SHELF", 0, 23_000)])
def test_a_row_about_what_the_house_does_not_limit_is_refused(row: Limit) -> None:
    (sentence,) = check(book({"group_by": "location", **euros(23_000)}), answer(("L", "BOX", 23_000, 23_000), row))
    assert sentence.endswith("the house has no such limit or group.")


def test_a_row_of_the_house_is_refused_where_the_house_has_no_limits() -> None:
    (sentence,) = check(book(), answer(("L", "BOX", 23_000, 23_000)))
    assert "house" in sentence and "no such limit" in sentence


STAYING = [
    (None, "A1", None, None, "BUND", "keep", 6_000.0, 6_000.0, 0.05, 5_700.0, 0.0),
    (None, "A1", None, None, "BUND", "recall", 4_000.0, 4_000.0, 0.05, 3_800.0, 0.0),
    (None, "A1", "H3", None, "USTN", "deliver", 5_000.0, 4_000.0, 0.05, 3_800.0, 0.0),
]


@pytest.mark.parametrize(
    ("limit", "rows", "sentences"),
    [
        (
            # kept 6,000 and 25,000 delivered; 8,000 into REPO and 4,000 in place of what is recalled
            {"group_by": "issuer", "select": {"asset_type": "debt"}, **euros(31_000)},
            [("L", "Germany", 31_000, 31_000), ("L", "Treasury", 12_000, 31_000)],
            (),
        ),
        (
            {"group_by": "location", **euros(26_999)},
            [("L", "BOX", 27_000, 26_999)],  # 15,000 + 8,000 + 4,000
            ("house, limit 'L', group 'BOX': 27,000 is used, the cap is 26,999 (1 over).",),
        ),
        (
            # over before and after the run: then nothing may come in
            {"group_by": "agreement", "select": GERMAN, **euros(5_000)},
            [("L", "A1", 21_000, 5_000), ("L", "A2", 10_000, 5_000)],
            (
                "house, limit 'L', group 'A1': what was posted (10,000) stands over the cap already,"
                " 15,000 more is delivered.",
                "house, limit 'L', group 'A2': 10,000 is used, the cap is 5,000 (5,000 over).",
            ),
        ),
        (
            # over before the run and within after it: that is what recalls are for
            {"group_by": "issuer", "select": GERMAN, **euros(34_999)},
            [("L", "Germany", 31_000, 34_999)],
            (),
        ),
    ],
)
def test_what_is_kept_counts_what_is_recalled_no_more_and_replacements_like_any_delivery(
    limit: Row, rows: list[Limit], sentences: tuple[str, ...]
) -> None:
    stated = replace(answer(*rows), allocation=framed("allocation", [*ALLOCATION, *STAYING]))
    on = book(limit).replace(settings={"scope": "reoptimise"})
    assert tuple(house_limits_hold(look_up(on, stated))) == sentences


EXAMPLE = Path(__file__).parents[2] / "examples" / "house-limit"


def of_the_example(north: int, south: int, limits: Sequence[tuple[Any, ...]]) -> Answer:
    """1,053 lots at each agreement, so many of them Alpha's."""
    lines, cost = [], 0.0
    for call, agreement, lots, beta in (("N1", "NORTH", north, 10), ("S1", "SOUTH", south, 12)):
        for holding, asset, taken, bps in (("H-A1", "A1", lots, 4), ("H-B1", "B1", 1_053 - lots, beta)):
            quantity, spent = taken * 1000.0, taken * 1000 * bps / 10_000 * 30 / 360
            cost += spent
            moved = (asset, "deliver", quantity, quantity, 0.05, taken * 950.0, round(spent, 2))
            lines.append((call, agreement, holding, None, *moved))
    used = {"A1": (north + south) * 1000.0, "B1": (2 * 1_053 - north - south) * 1000.0}
    inventory = [(f"H-{a}", a, 2_000_000.0, out, 2_000_000.0 - out) for a, out in used.items()]
    summary = {"total_cost": cost, "lower_bound": cost, "counts": {"moves": len(lines)}}
    stated = answer()
    return replace(
        stated,
        allocation=framed("allocation", lines),
        financing=framed("financing", []),
        calls=framed("calls", [(c, 1_000_000.0, 1_000_350.0, 0.0, 350.0) for c in ("N1", "S1")]),
        inventory=framed("inventory", inventory, ("holding_id", "asset_id", "quantity", "used", "left")).assign(
            recalled=0.0
        ),
        limits=framed("limits", limits),
        summary={**stated.summary, **summary},
    )


def test_the_examples_answer_keeps_the_house_limit() -> None:
    limits = [
        ("NORTH", "one issuer", "Alpha", 445_550, 600_000),
        ("NORTH", "one issuer", "Beta", 554_800, 600_000),
        ("SOUTH", "one issuer", "Alpha", 599_450, 600_000),
        ("SOUTH", "one issuer", "Beta", 400_900, 600_000),
        ("house", "one issuer, everywhere", "Alpha", 1_100_000, 1_100_000),
        ("house", "one issuer, everywhere", "Beta", 1_006_000, 1_100_000),
    ]
    assert check(read_book(EXAMPLE), of_the_example(469, 631, limits)) == ()


def test_each_agreement_at_its_own_limit_is_over_the_house_limit_of_the_example() -> None:
    limits = [
        *((a, "one issuer", "Alpha", 599_450, 600_000) for a in ("NORTH", "SOUTH")),
        *((a, "one issuer", "Beta", 400_900, 600_000) for a in ("NORTH", "SOUTH")),
        ("house", "one issuer, everywhere", "Alpha", 1_262_000, 1_100_000),
        ("house", "one issuer, everywhere", "Beta", 844_000, 1_100_000),
    ]
    assert check(read_book(EXAMPLE), of_the_example(631, 631, limits)) == (
        "house, limit 'one issuer, everywhere', group 'Alpha': 1,262,000 is used, the cap is 1,100,000 (162,000 over).",
    )
