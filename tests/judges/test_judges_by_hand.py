"""The judges on desks solved by hand: what may be recalled and when, movements, caps on lines and moves, and pins.

In USD, over a whole year, so that a basis point costs 1/10^4. A and B are bonds at 1 in lots of 100, taken without a
haircut; agreement X has posted collateral, agreement Y calls.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.judges.books import BookTables, frame, random_book
from tests.judges.exact_lots import LotOptimum, lot_optimum
from tests.judges.reference_lp import (
    RESERVES,
    ImpossibleError,
    JudgeFailedError,
    lower_bound_given_shortfalls,
    lp_optimum,
)
from tests.judges.row_by_row import plan_of

Row = dict[str, Any]
AS_OF = "2026-03-02T08:00:00+00:00"
BOND: Row = {"asset_type": "debt", "currency": "USD", "price": 1.0, "lot_size": 100.0, "issuer": "T"}
ASSETS: list[Row] = [
    {"asset_id": "A", **BOND},
    {"asset_id": "B", **BOND},
    {"asset_id": "USD", "asset_type": "cash", "currency": "USD", "lot_size": 100.0},
]
ANY: Row = {"rules": [{"label": "all", "haircut": 0}]}
SCHEDULES: dict[str, Row] = {
    "ANY": ANY,
    "ONLY-A": {"rules": [{"label": "A", "when": {"asset_id": "A"}, "haircut": 0}]},
    "ONLY-B": {"rules": [{"label": "B", "when": {"asset_id": "B"}, "haircut": 0}]},
}
HA: Row = {"holding_id": "HA", "asset_id": "A", "quantity": 0.0, "cost_bps": 50.0}
HB: Row = {"holding_id": "HB", "asset_id": "B", "quantity": 1000.0, "cost_bps": 10.0}
LIES: Row = {"agreement_id": "X", "asset_id": "A", "quantity": 1000.0, "holding_id": "HA"}
CALL: Row = {"call_id": "C", "agreement_id": "Y", "amount": 1000.0, "currency": "USD"}


def desk(
    holdings: list[Row],
    calls: tuple[Row, ...] = (),
    posted: tuple[Row, ...] = (),
    x: Row | None = None,
    y: Row | None = None,
    settings: Row | None = None,
    schedules: dict[str, Row] | None = None,
    **tables: list[Row],
) -> BookTables:
    agreements = [
        {"agreement_id": "X", "counterparty": "CPX", "schedule": "ANY", **(x or {})},
        {"agreement_id": "Y", "counterparty": "CPY", "schedule": "ANY", **(y or {})},
    ]
    found = {
        "assets": frame(ASSETS),
        "holdings": frame(holdings),
        "agreements": frame(agreements),
        "calls": frame(list(calls), ("call_id", "agreement_id", "amount", "currency", "due")),
        "posted": frame(list(posted), ("agreement_id", "asset_id", "quantity")),
        **{name: frame(rows) for name, rows in tables.items()},
    }
    scope = {"scope": "reoptimise"} if posted else {}
    return BookTables(
        {name: table for name, table in found.items() if len(table) or name in ("holdings", "calls")},
        {"as_of": AS_OF, "base_currency": "USD", "horizon_days": 360, **scope, **(settings or {})},
        {name: {"name": name, **terms} for name, terms in (SCHEDULES | (schedules or {})).items()},
    )


def due(hours: int) -> str:
    return f"2026-03-{2 + (8 + hours) // 24:02d}T{(8 + hours) % 24:02d}:00:00+00:00"


def assert_optimum(book: BookTables, cost: float, short: float = 0.0, lp_cost: float | None = None) -> LotOptimum:
    """Both judges' answers: all short is without priority; without lots and movements it costs ``lp_cost``."""
    shortfalls, least = lp_optimum(book)
    assert shortfalls == pytest.approx({None: short}, abs=1e-5)
    assert least == pytest.approx(cost if lp_cost is None else lp_cost, abs=1e-6)
    best = lot_optimum(book)
    assert {level: float(missed) for level, missed in best.shortfall_by_priority.items()} == {None: short}
    assert float(best.cost) == pytest.approx(cost, abs=1e-12)
    return best


# --- what is posted ------------------------------------------------------------------------------------------------


def test_a_substitution_saves_the_difference_of_the_spreads() -> None:
    """1,000 of A at 50 bp stay for 5.00; 1,000 of B at 10 bp in their place cost 1.00."""
    best = assert_optimum(desk([HA, HB], posted=(LIES,)), 1.0)
    assert best.recalled == {("X", "A", "HA"): 1000}
    assert best.replacements == {("X", "HB"): 1000}
    assert best.kept == {}


def test_only_as_much_is_replaced_as_there_is_to_replace_it() -> None:
    best = assert_optimum(desk([HA, HB | {"quantity": 450.0}], posted=(LIES,)), 3.4, lp_cost=3.2)
    assert best.kept == {("X", "A", "HA"): 600}
    assert best.replacements == {("X", "HB"): 400}


def test_a_locked_row_stays() -> None:
    best = assert_optimum(desk([HA, HB], posted=(LIES | {"locked": True},)), 5.0)
    assert best.recalled == {}


def test_what_counts_nothing_comes_home_without_a_replacement() -> None:
    best = assert_optimum(desk([HA], posted=(LIES | {"quantity": 150.0},), x={"schedule": "ONLY-B"}), 0.0)
    assert best.recalled == {("X", "A", "HA"): 150}


def test_a_row_is_recalled_in_whole_lots_or_wholly() -> None:
    lies = LIES | {"quantity": 150.0}
    assert_optimum(desk([HA], posted=(lies,), x={"requirement": 40.0}), 0.25, lp_cost=0.2)
    # One lot less would leave 50.
    assert_optimum(desk([HA], posted=(lies,), x={"requirement": 60.0}), 0.75, lp_cost=0.3)


def test_a_minimum_transfer_keeps_a_small_excess() -> None:
    """700 of 1,000 are required: an excess of 300."""
    assert_optimum(desk([HA], posted=(LIES,), x={"requirement": 700.0, "minimum_transfer": 300.0}), 3.5)
    assert_optimum(desk([HA], posted=(LIES,), x={"requirement": 700.0, "minimum_transfer": 301.0}), 5.0)
    # It may be replaced all the same, in full.
    assert_optimum(desk([HA, HB], posted=(LIES,), x={"requirement": 700.0, "minimum_transfer": 301.0}), 1.0)


def test_a_requirement_above_what_is_posted_is_met_without_a_call_or_short() -> None:
    """Of 1,500 at X 300 are asked for by a call: 200 more are needed beside the 1,000 that stay."""
    call = CALL | {"agreement_id": "X", "amount": 300.0}
    keep = LIES | {"cost_bps": 1.0}
    assert_optimum(desk([HA, HB], (call,), (keep,), x={"requirement": 1500.0}), 0.1 + 0.5)
    assert_optimum(desk([HA, HB | {"quantity": 400.0}], (call,), (keep,), x={"requirement": 1500.0}), 0.1 + 0.4, 100.0)


def test_what_keeping_costs() -> None:
    """The row's own rate, that of its pair or of its holding; less what cash earns there."""
    cash = {"agreement_id": "X", "asset_id": "USD", "quantity": 1000.0, "locked": True}
    holding = {"holding_id": "HU", "asset_id": "USD", "quantity": 0.0, "cost_bps": 30.0}
    x = {"cash_return_bps": 10.0}
    by_pair = [
        {"holding_id": None, "asset_id": "USD", "agreement_id": "X", "cost_bps": 45.0},
        {"holding_id": "HU", "asset_id": None, "agreement_id": "X", "cost_bps": 35.0},
    ]
    mine = cash | {"holding_id": "HU"}
    assert_optimum(desk([holding], posted=(mine,), x=x), 2.0)
    assert_optimum(desk([holding], posted=(mine,), x=x, costs=by_pair), 2.5)
    assert_optimum(desk([holding], posted=(cash,), x=x, costs=by_pair), 3.5)
    assert_optimum(desk([holding], posted=(cash,), x=x), -1.0)
    assert_optimum(desk([holding], posted=(mine | {"cost_bps": 5.0},), x=x, costs=by_pair), -0.5)


# --- time ----------------------------------------------------------------------------------------------------------


def recalled_for_y(call: Row | None = None, hb: Row | None = None, x: Row | None = None, **lies: Any) -> BookTables:
    """Y takes nothing but A, all of which lies at X."""
    return desk([HA, HB | (hb or {})], (CALL | (call or {}),), (LIES | lies,), x=x, y={"schedule": "ONLY-A"})


def test_a_recall_is_in_time_for_a_call_or_too_late() -> None:
    """A for Y 5.00, B in its place 1.00. Where A is too late it comes home all the same: 1.00."""
    best = assert_optimum(recalled_for_y({"due": due(24)}, recall_hours=24.0), 6.0)
    assert best.lines == {("C", "HA"): 1000}
    assert_optimum(recalled_for_y({"due": due(23)}, recall_hours=24.0), 1.0, 1000.0)
    assert_optimum(recalled_for_y(recall_hours=24.0), 6.0)


def test_a_recall_waits_for_its_replacement_to_settle() -> None:
    slow = {"settle_hours": 2.0}
    assert_optimum(recalled_for_y({"due": due(25)}, slow, recall_hours=24.0), 1.0, 1000.0)
    assert_optimum(recalled_for_y({"due": due(26)}, slow, recall_hours=24.0), 6.0)
    # What is beyond the requirement waits for nothing: 400 may go.
    freed = recalled_for_y({"due": due(25)}, slow, {"requirement": 600.0}, recall_hours=24.0)
    assert_optimum(freed, 2.0 + 0.6, 600.0)


def test_what_comes_back_has_to_settle_again() -> None:
    late = {"settle_hours": 1.0, "ready_at": due(20)}
    for hours, cost, short in ((3, 6.0, 0.0), (2, 1.0, 1000.0)):
        book = desk(
            [HA | late, HB], (CALL | {"due": due(hours)},), (LIES | {"recall_hours": 2.0},), y={"schedule": "ONLY-A"}
        )
        assert_optimum(book, cost, short)


def test_what_is_recalled_never_goes_back_to_where_it_lay() -> None:
    book = desk([HA, HB], (CALL | {"agreement_id": "X", "schedule": "ONLY-A"},), (LIES,))
    assert_optimum(book, 1.0, 1000.0)


def test_what_names_no_holding_is_of_no_use_elsewhere() -> None:
    assert_optimum(recalled_for_y(holding_id=None, cost_bps=50.0), 1.0, 1000.0)


def test_a_line_may_be_fed_from_the_holding_and_from_what_comes_back() -> None:
    """50 in the holding and 150 from X make the two lots for Y."""
    book = desk(
        [HA | {"quantity": 50.0}], (CALL | {"amount": 200.0},), (LIES | {"quantity": 150.0},), x={"requirement": 0.0}
    )
    best = assert_optimum(book, 1.0)
    assert best.lines == {("C", "HA"): 200}
    assert best.recalled == {("X", "A", "HA"): 150}


def test_a_recall_never_makes_an_agreement_short_whatever_the_priority_of_the_call() -> None:
    call = CALL | {"amount": 500.0, "priority": 1.0}
    for required, short in ((1000.0, 500.0), (1200.0, 500.0), (700.0, 200.0)):
        book = desk([HA], (call,), (LIES,), x={"requirement": required}, y={"schedule": "ONLY-A"})
        expected = {1.0: short, None: max(0.0, required - 1000)}
        assert lp_optimum(book)[0] == pytest.approx(expected, abs=1e-5)
        assert lot_optimum(book).shortfall_by_priority == expected


def test_agreements_come_after_calls_with_priority_and_beside_those_without() -> None:
    """500 of B: for a call at Y, or for what X lacks."""
    half = HB | {"quantity": 500.0}
    for priority, expected in ((1.0, {1.0: 500, None: 200}), (None, {None: 700})):
        book = desk([HA, half], (CALL | {"priority": priority},), (LIES,), x={"requirement": 1200.0})
        assert lp_optimum(book)[0] == pytest.approx(expected, abs=1e-5)
        assert lot_optimum(book).shortfall_by_priority == expected


def test_a_bond_does_not_pay_for_its_own_return() -> None:
    """Sold to REPO the moment it is back, A would bring the cash that has to replace it before: it stays for 5.00."""
    repo = {"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "ONLY-A", "capacity": 1000.0,
            "cost_bps": 1.0, "access_hours": 1.0}  # fmt: skip
    shortfalls, cost = lp_optimum(desk([HA], posted=(LIES,), facilities=[repo]))
    assert shortfalls == pytest.approx({None: 0.0}, abs=1e-5)
    assert cost == pytest.approx(5.0, abs=1e-6)
    # B at 10 bp does pay for it, though X refuses B: 1.00 and 0.10 for the cash.
    schedules = {"ANY": {"rules": [{"label": "not B", "when": {"asset_id": ["A", "USD"]}, "haircut": 0}]}}
    book = desk([HA, HB], posted=(LIES,), schedules=schedules, facilities=[repo | {"takes": "ONLY-B"}])
    assert lp_optimum(book)[1] == pytest.approx(1.1, abs=1e-6)


# --- limits and reserves -------------------------------------------------------------------------------------------


def test_a_group_over_its_cap_may_be_cured_by_recalls() -> None:
    """At most 600 of A at X, where 1,000 lie. A call there of 500 takes B (0.50), or A (0.05) after A has left.

    With all of A recalled, 500 of A out of the holding and 1,000 of B cover both the call and what has left.
    """
    cap = {"label": "A", "select": {"asset_id": "A"}, "of": "money", "max": {"amount": 600.0, "currency": "USD"}}
    call = CALL | {"agreement_id": "X", "amount": 500.0}
    holdings = [HA | {"quantity": 500.0, "cost_bps": 1.0}, HB | {"quantity": 2000.0}]
    lies = LIES | {"cost_bps": 50.0}
    capped = {"ANY": ANY | {"limits": [cap]}}
    best = assert_optimum(desk(holdings, (call,), (lies,), schedules=capped), 1.05)
    assert best.recalled == {("X", "A", "HA"): 1000}
    # Locked, it cannot be cured: B for the call, and A stays.
    best = assert_optimum(desk(holdings, (call,), (lies | {"locked": True},), schedules=capped), 5.5)
    assert best.lines == {("C", "HB"): 500}


def test_limits_count_what_is_kept_and_what_replaces_it() -> None:
    """B at most 30 % of the requirement of 1,000."""
    cap = {"label": "B", "select": {"asset_id": "B"}, "of": "requirement", "max": 0.3}
    best = assert_optimum(desk([HA, HB], posted=(LIES,), schedules={"ANY": ANY | {"limits": [cap]}}), 0.3 + 3.5)
    assert best.replacements == {("X", "HB"): 300}


def test_reserves_count_what_comes_back() -> None:
    reserve = {"reserve_id": "R", "schedule": "ONLY-A", "amount": 800.0, "currency": "USD"}
    free = LIES | {"cost_bps": 0.0}
    shortfalls, cost = lp_optimum(desk([HA, HB], posted=(free,), reserves=[reserve]))
    assert shortfalls == pytest.approx({None: 0.0, RESERVES: 0.0}, abs=1e-5)
    assert cost == pytest.approx(0.8, abs=1e-6)


# --- movements and lines -------------------------------------------------------------------------------------------

H1: Row = {"holding_id": "H1", "asset_id": "A", "quantity": 600.0, "cost_bps": 1.0, "location": "L"}
H2: Row = {"holding_id": "H2", "asset_id": "B", "quantity": 1000.0, "cost_bps": 2.0, "location": "L"}
SAME: Row = H2 | {"asset_id": "A"}


def move(cost: float, **cells: Any) -> Row:
    return {"location": "L", "move_cost": cost, **cells}


@pytest.mark.parametrize(("cost", "total", "lines"), [(0.05, 0.24, 2), (0.1, 0.3, 1)])
def test_one_bigger_line_is_cheaper_than_two_where_movements_cost(cost: float, total: float, lines: int) -> None:
    """600 at 1 and 400 at 2 bp cost 0.14 and two movements, 1,000 at 2 bp 0.20 and one."""
    best = assert_optimum(desk([H1, H2], (CALL,), locations=[move(cost)]), total, lp_cost=0.14)
    assert len(best.lines) == lines


@pytest.mark.parametrize(("back", "total"), [(2.5, 1.0 + 1.0 + 2.5), (3.5, 5.0)])
def test_a_substitution_pays_for_its_movements(back: float, total: float) -> None:
    """It saves 4.00; bringing B costs 1.00, fetching A what a movement costs at X."""
    places = [move(1.0), move(back, location="M")]
    assert_optimum(desk([HA, HB | {"location": "L"}], posted=(LIES,), x={"location": "M"}, locations=places), total,
                   lp_cost=1.0)  # fmt: skip


def test_cut_offs_are_not_judged() -> None:
    with pytest.raises(ValueError, match="cut-off"):
        plan_of(desk([H1], (CALL,), locations=[move(1.0, cut_off="17:00")]))


def test_a_cap_on_lines_counts_assets() -> None:
    assert_optimum(desk([H1, H2], (CALL,)), 0.14)
    assert_optimum(desk([H1, H2], (CALL,), y={"max_lines": 1.0}), 0.2, lp_cost=0.14)
    assert_optimum(desk([H1, SAME], (CALL,), y={"max_lines": 1.0}), 0.14)


def test_a_cap_on_moves_counts_deliveries_and_recalls() -> None:
    assert_optimum(desk([H1, SAME], (CALL,), settings={"max_moves": 1}), 0.2, lp_cost=0.14)
    assert_optimum(desk([HA, HB], posted=(LIES,), settings={"max_moves": 1}), 5.0, lp_cost=1.0)
    assert_optimum(desk([HA, HB], posted=(LIES,), settings={"max_moves": 2}), 1.0)
    # Nothing may move: the call stays short, which the linear program does not see.
    assert lot_optimum(desk([H1], (CALL,), settings={"max_moves": 0})).shortfall_by_call == {"C": 1000}


def test_two_rows_of_one_holding_come_home_in_one_movement() -> None:
    rows = (LIES | {"quantity": 300.0}, LIES | {"quantity": 700.0, "recall_hours": 2.0})
    assert_optimum(desk([HA, HB], posted=rows, settings={"max_moves": 2}), 1.0)


def test_a_least_line_is_the_least() -> None:
    """250 in the agreement's money are three lots. 600 at 1 and at least 300 at 2 bp, or 700 in one line."""
    call = CALL | {"amount": 700.0}
    assert_optimum(desk([H1, H2], (call,), y={"min_line_value": 250.0}), 0.04 + 0.06, lp_cost=0.08)


# --- pins ----------------------------------------------------------------------------------------------------------


def pinned(*pins: Row, amount: float = 1000.0, **more: Any) -> BookTables:
    rows = [{"call_id": "C", **pin} for pin in pins]
    return desk([H1, H2], (CALL | {"amount": amount},), pins=rows, **more)


def test_a_pin_forbids() -> None:
    assert_optimum(pinned({"holding_id": "H1", "forbid": True}), 0.2)


def test_a_pin_forces_a_quantity() -> None:
    assert_optimum(pinned({"holding_id": "H2", "quantity": 700.0}), 0.14 + 0.03)


def test_a_pin_forces_the_least_line() -> None:
    pin = {"holding_id": "H2"}
    assert_optimum(pinned(pin, amount=500.0), 0.04 + 0.02)
    # At least 250 a line: three lots of each are 600, and cheaper than 500 of H2 alone.
    assert_optimum(pinned(pin, amount=500.0, y={"min_line_value": 250.0}), 0.03 + 0.06, lp_cost=0.02 + 0.06)


def test_a_pin_beyond_the_call_is_kept_alone() -> None:
    best = assert_optimum(pinned({"holding_id": "H2", "quantity": 800.0}, amount=500.0), 0.16)
    assert best.lines == {("C", "H2"): 800}


@pytest.mark.parametrize("quantity", [1100.0, 250.0])
def test_a_pin_that_cannot_be_is_no_answer(quantity: float) -> None:
    """More than there is, or no whole lots (which the linear program does not know)."""
    with pytest.raises(ImpossibleError):
        lot_optimum(pinned({"holding_id": "H2", "quantity": quantity}))


def test_a_pin_on_what_the_agreement_refuses_is_no_answer() -> None:
    with pytest.raises(ImpossibleError):
        lp_optimum(pinned({"holding_id": "H2", "quantity": 100.0}, y={"schedule": "ONLY-A"}))


def test_a_pinned_line_may_be_fed_by_what_comes_back() -> None:
    pin = {"call_id": "C", "holding_id": "HA", "quantity": 300.0}
    best = assert_optimum(desk([HA, HB | {"quantity": 2000.0}], (CALL,), (LIES,), pins=[pin]), 1.0 + 1.5 + 0.7)
    assert best.lines == {("C", "HA"): 300, ("C", "HB"): 700}


# --- bounds and books ----------------------------------------------------------------------------------------------


def test_the_bound_follows_what_an_agreement_may_be_short() -> None:
    """1,400 are required: 1,000 of B (1.00) and 400 of A that stay (2.00), or B alone."""
    book = desk([HA, HB], posted=(LIES,), x={"requirement": 1400.0})
    assert lower_bound_given_shortfalls(book, {}) == pytest.approx(3.0, abs=1e-6)
    bound = lower_bound_given_shortfalls(book, {}, agreement_shortfalls={"X": 400.0})
    assert bound == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(JudgeFailedError):
        lower_bound_given_shortfalls(desk([HA], posted=(LIES,), x={"requirement": 1200.0}), {})


def test_the_bound_allows_for_the_excess_of_lots_that_earn() -> None:
    earns = HB | {"cost_bps": -10.0}
    book = desk([HA, earns], posted=(LIES | {"quantity": 950.0},))
    assert lower_bound_given_shortfalls(book, {}) == pytest.approx(-0.95, abs=1e-6)
    assert lower_bound_given_shortfalls(book, {}, agreement_excess={"X": 50.0}) == pytest.approx(-1.0, abs=1e-6)
    assert float(lot_optimum(book).cost) == pytest.approx(-1.0)


@pytest.mark.parametrize("size", ["tiny", "small"])
@pytest.mark.parametrize("seed", range(6))
def test_extras_are_added_to_the_book_of_a_seed(size: str, seed: int) -> None:
    plain = random_book(seed, size)
    more = random_book(seed, size, min_line=True, max_lines=True, moves=True, pins=True)
    more.to_book()
    for name in ("assets", "holdings", "agreements", "calls"):
        kept = [column for column in plain.tables[name].columns if column != "min_denomination"]
        assert more.tables[name][kept].equals(plain.tables[name][kept])
    again = random_book(seed, size, reoptimise=True, pins=True)
    again.to_book()
    assert again.settings["scope"] == "reoptimise"
    assert {"holding_id", "locked", "recall_hours"} <= set(again.tables["posted"].columns)
