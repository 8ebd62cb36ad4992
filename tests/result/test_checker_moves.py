"""The independent checker on movements: when recalls are back, what movements cost, how many there are, what is pinned.

The answer is worked out in `reoptimised`: 40,000 of the BUND that C1 gets must have left G1 by 10:00.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.result.checker import check
from tests.result.reoptimised import (
    AT_C1,
    AT_CASH,
    AT_JUNK,
    AT_RECALL,
    C1_LINE,
    CASH,
    CASH_LINE,
    DEBT,
    G1,
    HELD,
    JUNK,
    LINES,
    TABLES,
    Answer,
    Line,
    Row,
    answer,
    assert_only,
    book,
    broken,
    with_lines,
)  # fmt: skip

LATE = "is neither the holding's own in time nor recalled in time from another agreement"


def due(time: str) -> dict[str, Row]:
    return {"C1": {"due": f"2026-03-02T{time}:00+00:00"}}


# --- when recalled collateral is back ---------------------------------------------------------------------


def test_a_recall_starts_when_its_replacement_has_settled() -> None:
    assert check(book(holdings={"H-EUR": {"settle_hours": 2}}), answer()) == ()
    late = book(holdings={"H-EUR": {"settle_hours": 2.25}})
    assert_only(late, answer(), f"C1, holding H-BUND: some 40,000 of 50,000 {LATE}", 1)
    ready = book(holdings={"H-EUR": {"ready_at": "2026-03-02T09:01:00+00:00"}})
    assert_only(ready, answer(), f"C1, holding H-BUND: some 40,000 of 50,000 {LATE}", 1)


def test_it_must_be_back_and_settle_before_the_deadline() -> None:
    # The cash has settled at 09:00, 2 hours to come back and 4 to settle: 15:00.
    assert check(book(calls=due("15:00")), answer()) == ()
    assert_only(book(calls=due("14:59")), answer(), LATE, 1)
    assert check(book(calls={"C1": {"due": None}}, holdings={"H-EUR": {"settle_hours": 99}}), answer()) == ()
    assert_only(book(posted={0: {"recall_hours": 3.1}}), answer(), LATE, 1)
    assert_only(book(holdings={"H-BUND": {"settle_hours": 5.1}}), answer(), LATE, 1)


def test_what_the_holding_has_of_its_own_waits_for_nothing() -> None:
    def on(quantity: int) -> Book:
        return book(holdings={"H-BUND": {"quantity": quantity}, "H-EUR": {"settle_hours": 9}})

    def what(quantity: int) -> Answer:
        return answer(held={**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": quantity}})

    assert check(on(50_000), what(50_000)) == ()
    assert_only(on(49_000), what(49_000), f"some 1,000 of 50,000 {LATE}", 1)


def test_only_what_has_settled_by_then_has_been_replaced() -> None:
    # 40,000 BUND are worth 36,000: so much of the cash must be there in time, the rest may be late.
    def on_time(amount: int) -> tuple[Book, Answer]:
        rest = 45_000 - amount
        soon = (*CASH_LINE[:6], float(amount), float(amount), 0.0, float(amount), amount * 0.0002)
        late = (*CASH_LINE[:2], "H-LATE", *CASH_LINE[3:6], float(rest), float(rest), 0.0, float(rest), rest * 0.0002)
        slow = {"asset_id": "EUR", "quantity": 60_000, "cost_bps": 30, "settle_hours": 9}
        return book(holdings={"H-LATE": slow}), answer([*LINES[:5], soon, late], held={**HELD, "H-LATE": slow})

    assert check(*on_time(36_000)) == ()
    assert_only(*on_time(35_100), f"some 1,000 of 50,000 {LATE}", 1)


def test_an_excess_is_free_from_the_start() -> None:
    # 72,000 required: 36,000 may come back at once, which 40,000 BUND are worth.
    def spare(required: int, **location: Any) -> tuple[Book, Answer]:
        on = book({"G1": {"requirement": required, **location}}, {"H-EUR": {"settle_hours": 9}}, locations=LOCATIONS)
        row = ("G1", float(required), 108_000.0, 63_000.0, 45_000.0, 45_000.0, 0.0, 108_000.0 - required)
        return on, answer(agreements=(row,))

    assert check(*spare(72_000)) == ()
    assert_only(*spare(72_900), f"some 1,000 of 50,000 {LATE}", 1)
    assert check(*spare(72_000, location="NOON")) == ()
    assert_only(*spare(72_000, location="SEVEN"), f"40,000 of 50,000 {LATE}", 1)


LOCATIONS: list[Row] = [
    {"location": "SEVEN", "timezone": "UTC", "cut_off": "07:00", "move_cost": None},
    {"location": "HALF-PAST-EIGHT", "timezone": "UTC", "cut_off": "08:30", "move_cost": None},
    {"location": "NOON", "timezone": "UTC", "cut_off": "12:00", "move_cost": None},
]


def test_a_recall_after_the_cut_off_of_its_agreement_starts_on_the_next_day() -> None:
    # The replacement has settled at 09:00.
    assert check(book({"G1": {"location": "NOON"}}, locations=LOCATIONS), answer()) == ()
    assert_only(book({"G1": {"location": "HALF-PAST-EIGHT"}}, locations=LOCATIONS), answer(), LATE, 1)
    next_day = {"C1": {"due": "2026-03-03T06:00:00+00:00"}}
    assert check(book({"G1": {"location": "HALF-PAST-EIGHT"}}, calls=next_day, locations=LOCATIONS), answer()) == ()


def test_what_counts_nothing_is_free_from_the_start() -> None:
    # JUNK comes back into H-JUNK in 2 hours and goes to C2, which takes it at half its value.
    junk = {"asset_id": "JUNK", "quantity": 0, "cost_bps": 0}
    posted = {2: {"holding_id": "H-JUNK", "recall_hours": 2}}
    line = ("C2", "G2", "H-JUNK", None, "JUNK", "deliver", 500.0, 500.0, 0.5, 250.0, 0.0)
    calls = (("C1", 45_000.0, 45_000.0, 0.0, 0.0), ("C2", 250.0, 250.0, 0.0, 0.0))
    recall = (*JUNK[:2], "H-JUNK", *JUNK[3:])
    what = answer([*with_lines({AT_JUNK: recall}), line], calls=calls, held={**HELD, "H-JUNK": junk})

    def on(time: str) -> Book:
        call = {"agreement_id": "G2", "amount": 250, "currency": "EUR", "schedule": "J"}
        return book(
            holdings={"H-JUNK": junk}, posted=posted, calls={"C2": {**call, "due": f"2026-03-02T{time}:00+00:00"}},
            schedules={"J": {"rules": [{"label": "all", "haircut": 0.5}]}},
        )  # fmt: skip

    assert check(on("10:00"), what) == ()
    assert_only(on("09:59"), what, f"C2, holding H-JUNK: some 500 of 500 {LATE}", 1)


def test_nothing_goes_back_to_where_it_was_recalled_from() -> None:
    # A call at G1 for 20,000 BUND: the holding has 10,000 of its own, all else is recalled from G1 itself.
    line = ("C2", "G1", "H-BUND", None, "BUND", "deliver", 20_000.0, 20_000.0, 0.1, 18_000.0, 2.0)
    other = (*C1_LINE[:6], 40_000.0, 40_000.0, 0.1, 36_000.0, 4.0)
    calls = (("C1", 36_000.0, 36_000.0, 0.0, 0.0), ("C2", 18_000.0, 18_000.0, 0.0, 0.0))

    def on(quantity: int) -> Book:
        call = {"agreement_id": "G1", "amount": 18_000, "currency": "EUR"}
        return book(holdings={"H-BUND": {"quantity": quantity}}, calls={"C1": {"amount": 36_000}, "C2": call})

    def what(quantity: int) -> Answer:
        stock = {**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": quantity}}
        return answer([*with_lines({AT_C1: other}), line], calls=calls, held=stock)

    assert check(on(20_000), what(20_000)) == ()
    assert_only(on(10_000), what(10_000), f"(C1|C2), holding H-BUND: some 10,000 of .0,000 {LATE}", 1)


def test_it_does_not_replace_itself() -> None:
    # 50,000 BUND leave G1 and come back as replacement, with nothing of H-BUND's own: nothing would have moved.
    line = (None, "G1", "H-BUND", None, "BUND", "deliver", 50_000.0, 50_000.0, 0.1, 45_000.0, 5.0)
    stock = {**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": 0}}
    none = (("C1", 45_000.0, 0.0, 45_000.0, 0.0),)
    what = answer([line, *LINES[1:5]], calls=none, held=stock, total_shortfall=45_000.0)
    empty = book(holdings={"H-BUND": {"quantity": 0}})
    assert_only(empty, what, f"agreement G1, holding H-BUND: some 50,000 of 50,000 {LATE}", 1)


# --- replacements that are recalled, facilities -----------------------------------------------------------


def swapped(quantity: int, deadline: str | None) -> tuple[Book, Answer]:
    """G1 gets 50,000 OAT in place of the BUND, of which H-OAT has so many and G2 gives back 50,000 for cash."""
    oat = {**HELD["H-OAT"], "quantity": quantity}
    at_g2 = {"agreement_id": "G2", "asset_id": "OAT", "quantity": 50_000, "holding_id": "H-OAT"}
    lines: list[Line] = [
        *with_lines({AT_CASH: (None, "G1", "H-OAT", None, "OAT", "deliver", 50_000.0, 50_000.0, 0.1, 45_000.0, 3.5)}),
        (None, "G2", "H-OAT", None, "OAT", "recall", 50_000.0, 50_000.0, 0.1, 45_000.0, 0.0),
        (None, "G2", "H-EUR", None, "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, 9.0),
    ]
    on = book(holdings={"H-OAT": oat}, posted=[*TABLES["posted"], at_g2], calls={"C1": {"due": deadline}})
    row = ("G2", 45_000.0, 45_000.0, 0.0, 45_000.0, 45_000.0, 0.0, 0.0)
    return on, answer(lines, (G1, row), held={**HELD, "H-OAT": oat})


def test_a_replacement_that_is_itself_recalled_makes_good_only_what_has_no_deadline() -> None:
    assert check(*swapped(0, None)) == ()
    assert_only(*swapped(0, "2026-03-09T16:00:00+00:00"), f"40,000 of 50,000 {LATE}", 1)
    assert check(*swapped(40_000, "2026-03-02T16:00:00+00:00")) == (), "36,000 of it is H-OAT's own"
    assert_only(*swapped(39_000, "2026-03-02T16:00:00+00:00"), f"some 1,000 of 50,000 {LATE}", 1)


def with_repo(hours: float) -> tuple[Book, Answer]:
    """REPO takes 50,000 BUND, at 10 %, and gives the 45,000 EUR that C1 gets."""
    repo = {"facility_id": "REPO", "kind": "repo", "gives": "EUR", "takes": "R", "capacity": 90_000}
    on = book(
        calls={"C1": {"due": None}}, facilities=[{**repo, "access_hours": hours}], schedules={"R": {"rules": [DEBT]}}
    )
    given = ("REPO", "H-BUND", None, "BUND", 50_000.0, 50_000.0, 0.1, 45_000.0, 5.0)
    line = ("C1", "G2", None, "REPO", "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, -4.5)
    return on, answer(with_lines({AT_C1: line}), financing=(given,))


def test_what_a_facility_takes_is_back_before_it_opens() -> None:
    # Replaced at 09:00, 2 hours to come back and 4 to settle: 15:00 is 7 hours from now.
    assert check(*with_repo(7)) == ()
    assert_only(*with_repo(6.9), f"facility REPO, holding H-BUND: some 40,000 of 50,000 {LATE}", 1)


def with_credit(hours: float) -> tuple[Book, Answer]:
    """A credit line gives the cash that replaces the BUND at G1, at no cost of its own."""
    credit = {"facility_id": "LINE", "kind": "credit_line", "gives": "EUR", "capacity": 45_000, "access_hours": hours}
    line = (None, "G1", None, "LINE", "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, -4.5)
    drawn = ("LINE", None, None, "EUR", 45_000.0, 45_000.0, 0.0, 45_000.0, 0.0)
    return book(facilities=[credit]), answer(with_lines({AT_CASH: line}), financing=(drawn,))


def test_proceeds_replace_from_when_they_can_be_delivered() -> None:
    assert check(*with_credit(2)) == ()
    assert_only(*with_credit(2.1), f"C1, holding H-BUND: some 40,000 of 50,000 {LATE}", 1)


def test_a_holding_that_is_late_itself_may_hand_on_what_was_recalled_in_time() -> None:
    # All 50,000 may come from G1: 45,000 are replaced by 09:00. What H-BUND has itself is there at 17:00.
    late: dict[str, Row] = {"H-BUND": {"ready_at": "2026-03-02T13:00:00+00:00"}}
    assert check(book(holdings=late), answer()) == ()
    slow = book(holdings=late, posted={0: {"recall_hours": 9}})
    assert_only(slow, answer(), f"C1, holding H-BUND: some 50,000 of 50,000 {LATE}", 1)
    line = (*C1_LINE[:6], 51_000.0, 51_000.0, 0.1, 45_900.0, 5.1)
    what = answer(with_lines({AT_C1: line}), calls=(("C1", 45_900.0, 45_900.0, 0.0, 0.0),))
    assert_only(book(holdings=late, calls={"C1": {"amount": 45_900}}), what, f"some 1,000 of 51,000 {LATE}", 1)


def test_rows_of_one_posting_that_take_their_own_time_are_told_apart() -> None:
    # 40,000 of it may be back in 2 hours, all else in 20.
    bund, *others = TABLES["posted"]

    def on(soon: int) -> Book:
        slow = {**bund, "quantity": 100_000 - soon, "recall_hours": 20}
        return book(posted=[{**bund, "quantity": soon}, slow, *others])

    assert check(on(40_000), answer()) == ()
    assert_only(on(39_000), answer(), f"some 1,000 of 50,000 {LATE}", 1)


@pytest.mark.parametrize("size", [1, 10**9])
def test_a_plan_that_just_suffices_is_never_refused(size: int) -> None:
    """A third of the value of each asset, so that no figure is a decimal: 40,000 of 3 EUR by 10:00 for 40,000 cash."""
    third = {"label": "thirds", "when": {"issuer": ["DE", "FR"]}, "margin_ratio": 3}
    posted = [{**row, "quantity": row["quantity"] * size} for row in TABLES["posted"][:1]]
    bund = {"quantity": 10_000 * size}
    on = book(
        holdings={"H-BUND": bund, "H-EUR": {"quantity": 20_000 * size}}, posted=posted,
        calls={"C1": {"amount": 50_000 * size // 3}}, schedules={"S": {"rules": [CASH, third]}},
    )  # fmt: skip
    value, cash = 50_000 * size / 3, round(40_000 * size / 3 + 0.005, 2)
    late = round(10_000 * size / 3 + 0.005, 2)
    facts = (50_000.0 * size, 50_000.0 * size, 2 / 3, round(value, 2))
    row: Line = ("G1", round(2 * value, 2), round(2 * value, 2), round(value, 2), round(value, 2), 0.0, 0.0, 0.0)
    lines = [
        ("C1", "G2", "H-BUND", None, "BUND", "deliver", *facts, 5.0 * size),
        (None, "G1", "H-BUND", None, "BUND", "keep", *facts, 5.0 * size),
        (None, "G1", "H-BUND", None, "BUND", "recall", *facts, 0.0),
        (None, "G1", "H-EUR", None, "EUR", "deliver", cash + late, cash + late, 0.0, cash + late, 0.0),
    ]
    stated = answer(lines, (row,))
    assert not [sentence for sentence in check(on, stated) if LATE in sentence]


# --- what movements cost, and how many there are ----------------------------------------------------------

PLACES: list[Row] = [{"location": "BOX", "move_cost": 2.5}, {"location": "VAULT", "move_cost": 0.75}]


def test_each_movement_bears_the_cost_of_its_place() -> None:
    # Out of BOX move the cash and the BUND of C1, out of VAULT (G1's place) what is recalled; keeping moves nothing.
    on = book(
        {"G1": {"location": "VAULT"}, "G2": {"location": "VAULT"}},
        {"H-EUR": {"location": "BOX"}, "H-BUND": {"location": "BOX"}, "H-OAT": {"location": "BOX"}},
        locations=PLACES,
    )
    costs = {AT_C1: 7.5, AT_CASH: 11.5, AT_RECALL: 0.75, AT_JUNK: 0.75}
    what = answer(with_lines({at: (*LINES[at][:10], cost) for at, cost in costs.items()}))
    assert what.summary["total_cost"] == pytest.approx(19.8 + 2.5 + 2.5 + 0.75 + 0.75)
    assert check(on, what) == ()
    for at, cost in costs.items():
        wrong = what.with_cell("allocation", at, "cost", LINES[at][10])
        assert_only(on, wrong, f"cost is stated as {LINES[at][10]!r}, it is {cost:g}", 1)
    assert "total_cost is stated" in broken(on, what.with_summary(total_cost=19.8))


def in_calls(**settings: Any) -> Book:
    """C1 is covered out of REPO alone, which takes 50,000 BUND of H-BUND from BOX."""
    repo = {"facility_id": "REPO", "kind": "repo", "gives": "EUR", "takes": "R", "capacity": 90_000}
    return book(
        holdings={"H-BUND": {"quantity": 60_000, "location": "BOX"}}, locations=PLACES, facilities=[repo],
        calls={"C1": {"due": None}}, schedules={"R": {"rules": [DEBT]}}, settings={"scope": "calls", **settings},
    )  # fmt: skip


def out_of_repo(cost: float) -> Answer:
    given = ("REPO", "H-BUND", None, "BUND", 50_000.0, 50_000.0, 0.1, 45_000.0, cost)
    line = ("C1", "G2", None, "REPO", "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, -4.5)
    stock = {**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": 60_000}}
    return answer([line], (), financing=(given,), held=stock)


def test_what_goes_into_a_facility_is_moved_and_proceeds_are_not() -> None:
    on = in_calls()
    on = on.replace(facilities=on.facilities.assign(access_hours=4.0))
    assert check(on, out_of_repo(7.5)) == ()
    wrong = out_of_repo(7.5).with_cell("financing", 0, "cost", 5.0)
    assert_only(on, wrong, "H-BUND: cost is stated as 5.0, it is 7.5", 1)


def test_a_movement_after_the_cut_off_of_its_place_starts_on_the_next_day() -> None:
    def on(place: str, due: str) -> Book:
        return book(
            holdings={"H-BUND": {"quantity": 60_000, "location": place}}, locations=LOCATIONS,
            calls={"C1": {"due": due}}, settings={"scope": "calls"},
        )  # fmt: skip

    what = answer([C1_LINE], (), held={**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": 60_000}})
    assert check(on("HALF-PAST-EIGHT", "2026-03-02T12:00:00+00:00"), what) == ()
    assert check(on("SEVEN", "2026-03-03T04:00:00+00:00"), what) == ()
    late = on("SEVEN", "2026-03-03T03:00:00+00:00")
    assert_only(late, what, "H-BUND: arrives 2026-03-03 04:00:00.*, the call is due .*01:00:00 late", 1)


def test_deliveries_and_recalls_keep_to_their_cap() -> None:
    # Two deliveries and two recalls; what is kept does not move.
    assert check(book(settings={"max_moves": 4}), answer()) == ()
    assert_only(book(settings={"max_moves": 3}), answer(), "4 deliveries and recalls, at most 3 may be", 1)
    assert_only(in_calls(max_moves=0), out_of_repo(7.5), "1 deliveries and recalls, at most 0 may be|arrives", 2)


@pytest.mark.parametrize("counts", [{"moves": 5}, {"moves": None}, {}, None])
def test_the_summary_counts_the_moves(counts: Any) -> None:
    assert_only(book(), answer().with_summary(counts=counts), "moves are counted, there are 4", 1)


# --- pins -------------------------------------------------------------------------------------------------


def pinned(on: Book, **cells: Any) -> Book:
    pin: Row = {"call_id": "C1", "holding_id": None, "quantity": None, "forbid": False, **cells}
    return replace(on, pins=pd.DataFrame([pin]).astype({"quantity": float}))


def test_a_pinned_line_may_be_fed_by_what_is_recalled() -> None:
    assert check(pinned(book(), holding_id="H-BUND", quantity=50_000), answer()) == ()
    assert_only(pinned(book(), holding_id="H-BUND", quantity=51_000), answer(), "a pin asks for exactly 51,000", 1)
    assert_only(pinned(book(), holding_id="H-OAT"), answer(), "C1, holding H-OAT: nothing is delivered, a pin asks", 1)


def test_a_pin_of_at_least_so_much() -> None:
    for least in (1.0, 49_001.0, 50_000.0):
        assert check(pinned(book(), holding_id="H-BUND", at_least=least), answer()) == ()
    more = pinned(book(), holding_id="H-BUND", at_least=50_001.0)
    assert_only(more, answer(), "50,000 is delivered, a pin asks for at least 50,001", 1)


def test_a_pin_of_at_least_so_much_forces_an_excess_and_no_more() -> None:
    # C1 asks for 40,000: 45,000 is too much by five lots of 900, unless as many are pinned.
    calls = (("C1", 40_000.0, 45_000.0, 0.0, 5_000.0),)
    on = book(calls={"C1": {"amount": 40_000}})
    assert_only(on, answer(calls=calls), "taking 900 off this line would still cover it", 1)
    assert check(pinned(on, holding_id="H-BUND", at_least=49_001.0), answer(calls=calls)) == ()
    assert check(pinned(on, holding_id="H-BUND", at_least=50_000.0), answer(calls=calls)) == ()
    found = broken(pinned(on, holding_id="H-BUND", at_least=49_000.0), answer(calls=calls))
    assert "taking 900 off this line would still cover it" in found


def test_a_pin_on_the_proceeds_of_a_facility() -> None:
    on, what = with_repo(7)
    assert check(pinned(on, facility_id="REPO", quantity=45_000), what) == ()
    assert_only(pinned(on, facility_id="REPO", quantity=44_000), what, "C1, proceeds of REPO: 45,000 is delivered", 1)
    assert_only(pinned(on, facility_id="REPO", forbid=True), what, "C1, proceeds of REPO: .* where a pin forbids it", 1)
    other = pinned(book(), facility_id="REPO", forbid=True)
    assert check(other, answer()) == ()
    asked = pinned(book(), facility_id="REPO", quantity=5.0)
    assert_only(asked, answer(), "C1, proceeds of REPO: nothing is delivered, a pin asks for 5", 1)


def test_a_line_that_is_under_way_is_not_asked_to_arrive_in_time() -> None:
    on = book(
        holdings={"H-BUND": {"quantity": 60_000, "settle_hours": 99}}, settings={"scope": "calls"},
    )  # fmt: skip
    what = answer([C1_LINE], (), held={**HELD, "H-BUND": {**HELD["H-BUND"], "quantity": 60_000}})
    assert_only(on, what, "call C1, holding H-BUND: arrives", 1)
    assert check(pinned(on, holding_id="H-BUND", at_least=50_000.0, sent=True), what) == ()
    assert_only(pinned(on, holding_id="H-BUND", at_least=50_000.0, sent=False), what, "H-BUND: arrives", 1)
    # Nor when what was recalled would feed it.
    slow = book(holdings={"H-EUR": {"settle_hours": 99}})
    assert_only(slow, answer(), LATE, 1)
    assert check(pinned(slow, holding_id="H-BUND", sent=True), answer()) == ()
