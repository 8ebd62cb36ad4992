"""What a person has pinned holds, the rest is optimised around it, and what cannot hold is named with what it meets."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.book import Book
from collateral_opt.errors import BookError, Finding
from tests.desks import Row, asset, desk, listing

ASSETS = [asset("USD", "cash"), asset("T1", issuer="UST", lot_size=1000.0), asset("T2", issuer="UST", lot_size=1000.0)]
HOLDINGS: list[Row] = [
    {"holding_id": "H-USD", "asset_id": "USD", "quantity": 5e6, "cost_bps": 30.0},
    {"holding_id": "H-T1", "asset_id": "T1", "quantity": 5e5, "cost_bps": 5.0},
    {"holding_id": "H-T2", "asset_id": "T2", "quantity": 5e6, "cost_bps": 10.0},
]
SCHEDULE = listing(USD=0.0, T1=0.0, T2=0.0)
CALL: Row = {"call_id": "C", "agreement_id": "A", "amount": 1_000_000.0, "currency": "USD"}


def pinned(*pins: Row, limits: list[Row] | None = None, agreement: Row | None = None, **more: Any) -> Book:
    return desk(
        assets=ASSETS,
        holdings=HOLDINGS,
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s", **(agreement or {})}],
        calls=more.pop("calls", [CALL]),
        schedules={"s": {**SCHEDULE, "limits": limits or []}},
        pins=[{"call_id": "C", **pin} for pin in pins],
        **more,
    )


def quantities(book: Book) -> dict[str, float]:
    return optimise(book).allocation.set_index("holding_id")["quantity"].to_dict()


def refused(book: Book) -> list[Finding]:
    with pytest.raises(BookError) as caught:
        optimise(book)
    return [finding for finding in caught.value.findings if finding.severity == "error"]


def test_without_pins_the_cheapest_goes_first() -> None:
    free = pinned({"holding_id": "H-USD", "forbid": True})
    assert quantities(free) == {"H-T1": 500_000.0, "H-T2": 500_000.0}


def test_a_line_is_forbidden_forced_or_fixed_and_the_rest_is_optimised_around_it() -> None:
    assert quantities(pinned({"holding_id": "H-T1", "forbid": True})) == {"H-T2": 1_000_000.0}
    assert quantities(pinned({"holding_id": "H-USD"})) == pytest.approx(
        {"H-USD": 0.01, "H-T1": 500_000.0, "H-T2": 500_000.0}
    )
    assert quantities(pinned({"holding_id": "H-USD", "quantity": 250_000.0})) == {
        "H-USD": 250_000.0, "H-T1": 500_000.0, "H-T2": 250_000.0,
    }  # fmt: skip
    assert quantities(pinned({"holding_id": "H-T2", "at_least": 800_000.0})) == {"H-T1": 200_000.0, "H-T2": 800_000.0}


def test_a_pin_may_force_an_excess() -> None:
    result = optimise(pinned({"holding_id": "H-T2", "quantity": 1_500_000.0}))
    assert result.calls["excess"].tolist() == [500_000.0]


def test_what_is_on_its_way_is_not_asked_whether_it_could_still_arrive() -> None:
    due = [{**CALL, "due": "2026-03-24T09:00:00-04:00"}]
    late = [{**row, "settle_hours": 5.0} if row["holding_id"] == "H-T1" else row for row in HOLDINGS]
    sent = pinned({"holding_id": "H-T1", "at_least": 300_000.0, "sent": True}, calls=due).replace(
        holdings=pd.DataFrame(late)
    )
    assert quantities(sent)["H-T1"] >= 300_000.0
    (found,) = refused(sent.replace(pins=sent.pins.assign(sent=False)))
    assert found.code == "E811" and "it cannot have arrived in time" in found.cause


SHARE: Row = {"label": "UST", "group_by": "issuer", "of": "requirement", "max": 0.5}
CASES = [
    ("E811", pinned({"holding_id": "H-T1"}, agreement={"counterparty_parent": "UST"}), "counterparty's family"),
    ("E812", pinned({"holding_id": "H-T1", "quantity": 1500.0}), "1,000"),
    ("E813", pinned({"holding_id": "H-T1", "quantity": 1000.0}, agreement={"min_line_value": 5000.0}), "5,000"),
    ("E814", pinned({"holding_id": "H-T1", "quantity": 600_000.0}), "500,000"),
    ("E815", pinned({"holding_id": "H-T2", "quantity": 501_000.0}, limits=[SHARE]), "501,000.00 of 500,000.00"),
]


@pytest.mark.parametrize(("code", "book", "words"), CASES, ids=[code for code, *_ in CASES])
def test_an_impossible_pin_is_named_with_what_it_collides_with(code: str, book: Book, words: str) -> None:
    (found,) = refused(book)
    assert (found.code, found.table, found.row) == (code, "pins", 2)
    assert words in found.cause


def test_more_pinned_assets_than_a_call_may_be_given() -> None:
    both = pinned({"holding_id": "H-T1"}, {"holding_id": "H-T2"}, agreement={"max_lines": 1})
    (found,) = refused(both)
    assert found.code == "E815" and "the most lines allowed for call C, 1" in found.cause


def test_pins_that_only_together_are_impossible_are_named_together() -> None:
    """A fifth of all that is there may be cash. 30,000 of cash go with 120,000 of bonds, but not with just 100,000."""
    share = {"label": "cash", "select": {"asset_type": "cash"}, "of": "posted", "max": 0.2}
    pins: list[Row] = [{"holding_id": "H-USD", "quantity": 30_000.0}, {"holding_id": "H-T2", "quantity": 100_000.0}]
    only = [{"holding_id": "H-T1", "forbid": True}]
    (found,) = refused(pinned(*pins, *only, limits=[share], calls=[{**CALL, "amount": 150_000.0}]))
    assert found.code == "E816"
    assert "C from H-USD" in str(found) and "C from H-T2" in str(found)


def test_all_impossible_pins_are_told_at_once() -> None:
    wrong = pinned({"holding_id": "H-T1", "quantity": 1500.0}, {"holding_id": "H-T2", "quantity": 1e9})
    assert sorted(found.code for found in refused(wrong)) == ["E812", "E814"]


def test_a_pin_may_need_the_room_that_a_recall_makes() -> None:
    """At most 600,000 of UST at A, 400,000 of T1 lie there; 500,000 of T2 are pinned: some T1 comes back for cash."""
    cap = {"label": "UST", "group_by": "issuer", "of": "money", "max": {"amount": 600_000.0, "currency": "USD"}}
    book = pinned(
        {"holding_id": "H-T2", "quantity": 500_000.0},
        limits=[cap],
        calls=[{**CALL, "amount": 500_000.0}],
        posted=[{"agreement_id": "A", "asset_id": "T1", "quantity": 400_000.0, "holding_id": "H-T1"}],
        settings={"scope": "reoptimise"},
    )
    result = optimise(book)
    assert result.limits.set_index("group").loc["UST", "used"] == 600_000.0
    assert result.agreements["recalled"].tolist() == [300_000.0]
