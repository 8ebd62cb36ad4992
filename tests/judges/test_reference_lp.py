"""The reference program on books solved by hand: facilities in a chain, their caps, and reserves.

In EUR, 1 USD = 0.8 EUR; over 36 of 360 days a basis point costs 1/10^5 of market value. REPO takes bonds at 0.8 and
gives dollars for 50 bp and 1 bp once, 6 in 10^4; FX takes dollars at 0.9 and gives euros for 5 bp and 2 bp once, 2.5
in 10^4. A call for 36,000 euros in cash, which earn 10 bp there, takes 40,000 out of REPO and 50,000 of bonds at 10 bp:

    50,000 at 10 bp      5.00
    40,000 out of REPO  24.00
    36,000 out of FX     9.00
    36,000 earn         -3.60
                        34.40
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.judges.books import BookTables, frame
from tests.judges.exact_lots import TooLargeError, lot_optimum
from tests.judges.reference_lp import RESERVES, JudgeFailedError, lower_bound_given_shortfalls, lp_optimum
from tests.judges.row_by_row import plan_of

Row = dict[str, Any]
CASH: Row = {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}
SCHEDULES: dict[str, Row] = {
    "EUROS": {"name": "EUROS", "rules": [{"label": "euros", "when": {"asset_id": "EUR"}, "haircut": 0}]},
    "ANY": {"name": "ANY", "rules": [CASH, {"label": "bonds", "haircut": 0.2}]},
    "R": {"name": "R", "rules": [{"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0.2}]},
    "F": {"name": "F", "rules": [CASH | {"haircut": 0.1}]},
    "Q": {"name": "Q", "rules": [{"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0.15}]},
}
REPO: Row = {
    "facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "R", "capacity": 100_000.0, "cost_bps": 50.0,
    "one_off_bps": 1.0, "access_hours": 4.0,
}  # fmt: skip
FX: Row = {
    "facility_id": "FX", "kind": "fx", "gives": "EUR", "takes": "F", "capacity": 80_000.0, "cost_bps": 5.0,
    "one_off_bps": 2.0, "access_hours": 24.0,
}  # fmt: skip
LINE: Row = {"facility_id": "LINE", "kind": "credit_line", "gives": "EUR", "capacity": 1e6, "cost_bps": 150.0}
BUND: Row = {"holding_id": "H-BUND", "asset_id": "BUND", "quantity": 100_000.0, "cost_bps": 10.0, "settle_hours": 4.0}


def book(
    *facilities: Row,
    holdings: tuple[Row, ...] = (BUND,),
    call: Row | None = None,
    schedule: str = "EUROS",
    takes: Row | None = None,
    reserves: tuple[Row, ...] = (),
    schedules: dict[str, Row] | None = None,
    costs: tuple[Row, ...] = (),
) -> BookTables:
    bond: Row = {"asset_type": "debt", "currency": "EUR", "price": 100.0, "price_factor": 0.01, "lot_size": 1000.0}
    assets = [
        {"asset_id": "BUND", **bond, "issuer": "DE"},
        {"asset_id": "AGENCY", **bond, "issuer": "AG"},
        {"asset_id": "EUR", "asset_type": "cash", "currency": "EUR"},
        {"asset_id": "USD", "asset_type": "cash", "currency": "USD"},
    ]
    agreement = {"agreement_id": "G", "counterparty": "CP", "schedule": schedule, "cash_return_bps": 10.0}
    asked = {"call_id": "C", "agreement_id": "G", "amount": 36_000.0, "currency": "EUR", "due": None}
    tables = {
        "assets": frame(assets),
        "holdings": frame(list(holdings)),
        "agreements": frame([agreement]),
        "calls": frame([asked | (call or {})]),
        "fx": frame([{"currency": "USD", "rate": 0.8}]),
        "facilities": frame(list(facilities)),
        "reserves": frame(list(reserves)),
        "costs": frame(list(costs), ("holding_id", "asset_id", "agreement_id", "facility_id", "cost_bps")),
    }
    used = SCHEDULES | {"R": SCHEDULES["R"] | (takes or {})} | (schedules or {})
    settings = {"as_of": "2026-03-02T08:00:00+00:00", "base_currency": "EUR", "horizon_days": 36}
    return BookTables({k: v for k, v in tables.items() if len(v)}, settings, used)


def assert_optimum(on: BookTables, cost: float, short: float = 0.0, reserves: float | None = None) -> None:
    """The reference program's answer; and the product takes the book at all."""
    shortfalls, least = lp_optimum(on)
    expected = {None: short} if reserves is None else {None: short, RESERVES: reserves}
    assert shortfalls == pytest.approx(expected, abs=1e-4)
    assert least == pytest.approx(cost, abs=1e-6)
    on.to_book()


def test_bonds_become_dollars_and_then_euros() -> None:
    assert_optimum(book(REPO, FX), 34.4)


def test_a_dear_credit_line_is_left_alone_and_a_cheap_one_drawn_first() -> None:
    assert_optimum(book(REPO, FX, LINE), 34.4)
    # 20,000 at 80 bp are 16; 16,000 / 36,000 of 38 are 16.8889; less 3.6.
    assert_optimum(book(REPO, FX, LINE | {"cost_bps": 80.0, "capacity": 20_000.0}), 16 + 38 * 16 / 36 - 3.6)


def test_capacity_holds_in_the_currency_of_what_is_given() -> None:
    # 25,000 USD are 20,000, which are 18,000 to FX: half of everything.
    little = REPO | {"capacity": 25_000.0}
    assert_optimum(book(little, FX), 17.2, short=18_000)
    # The credit line covers the rest: 18,000 at 150 bp less 10 bp.
    assert_optimum(book(little, FX, LINE), 17.2 + 25.2)


def test_a_chain_needs_the_earlier_facility_to_open_strictly_earlier() -> None:
    assert_optimum(book(REPO, FX | {"access_hours": 4.0}), 0, short=36_000)
    assert_optimum(book(REPO, FX | {"access_hours": 4.5}), 34.4)


def test_a_holding_must_arrive_before_the_facility_opens_and_proceeds_before_the_call_is_due() -> None:
    assert_optimum(book(REPO | {"access_hours": 3.75}, FX), 0, short=36_000)
    assert_optimum(book(REPO, FX, call={"due": "2026-03-03T08:00:00+00:00"}), 34.4)
    assert_optimum(book(REPO, FX, call={"due": "2026-03-03T07:59:00+00:00"}), 0, short=36_000)


def test_wrong_way_is_judged_at_the_facility() -> None:
    assert_optimum(book(REPO | {"counterparty": "DE"}, FX), 0, short=36_000)


@pytest.mark.parametrize(
    ("limit", "factor"),
    [
        ({"of": "requirement", "measure": "value_after_haircut", "max": 0.25}, 0.5),  # 20,000 of 80,000
        ({"of": "requirement", "measure": "market_value", "max": 0.25}, 0.4),  # 20,000, worth 16,000
        ({"of": "posted", "max": 0.5}, 0.0),  # nothing else may stand beside it
        ({"of": "money", "max": {"amount": 25_000.0, "currency": "USD"}}, 0.4),
    ],
)
def test_the_limits_of_takes_bind(limit: Row, factor: float) -> None:
    capped = {"limits": [{"label": "bunds", "group_by": "asset", **limit}]}
    assert_optimum(book(REPO, FX, takes=capped), 34.4 * factor, short=36_000 * (1 - factor))


def test_a_share_of_what_is_given_binds_across_inputs() -> None:
    # Half bunds, half agencies at 30 bp: 25,000 of each cost 2.5 and 7.5 in place of 5.
    agency = BUND | {"holding_id": "H-AG", "asset_id": "AGENCY", "cost_bps": 30.0}
    half = {"limits": [{"label": "bunds", "group_by": "asset", "of": "posted", "max": 0.5}]}
    assert_optimum(book(REPO, FX, takes=half, holdings=(BUND, agency)), 39.4)


def test_costs_name_facilities_and_leave_proceeds_alone() -> None:
    rows = (
        {"asset_id": "BUND", "facility_id": "REPO", "cost_bps": 99.0},
        {"holding_id": "H-BUND", "facility_id": "REPO", "cost_bps": 20.0},
        {"asset_id": "USD", "facility_id": "FX", "cost_bps": 99.0},
        {"asset_id": "EUR", "agreement_id": "G", "cost_bps": 99.0},
    )
    assert_optimum(book(REPO, FX, costs=rows), 39.4)


def test_whole_lots_of_such_books_are_not_judged() -> None:
    with pytest.raises(TooLargeError):
        lot_optimum(book(REPO, FX))


# --- reserves: a call for 8,000 takes bonds at 0.8, and euros at 100 bp less 10 ------------------------------------

EURO: Row = {"holding_id": "H-EUR", "asset_id": "EUR", "quantity": 10_000.0, "cost_bps": 100.0}
BONDS: Row = BUND | {"quantity": 30_000.0}
CALL: Row = {"amount": 8_000.0}


def reserve(amount: float, **cells: Any) -> Row:
    return {"reserve_id": "B", "schedule": "Q", "amount": amount, "currency": "EUR", **cells}


def kept(*reserves: Row, holdings: tuple[Row, ...] = (BONDS, EURO), **more: Any) -> BookTables:
    return book(holdings=holdings, call=CALL, schedule="ANY", reserves=reserves, **more)


def test_a_reserve_keeps_bonds_at_home() -> None:
    assert_optimum(kept(), 1.0)
    assert_optimum(kept(reserve(17_000)), 1.0, reserves=0)
    # 20,400 are 24,000 of bonds: 6,000 may leave, worth 4,800 and costing 0.6; 3,200 of cash cost 2.88.
    assert_optimum(kept(reserve(20_400)), 3.48, reserves=0)
    assert_optimum(kept(reserve(25_500, currency="USD")), 3.48, reserves=0)


def test_calls_come_before_reserves() -> None:
    assert_optimum(kept(reserve(20_400), holdings=(BONDS,)), 1.0, reserves=3_400)
    assert_optimum(kept(reserve(30_000)), 7.2, reserves=4_500)


def test_reserves_count_the_same_bonds_each_for_itself() -> None:
    assert_optimum(kept(reserve(20_400), reserve(20_400, reserve_id="B2")), 3.48, reserves=0)


def test_cash_that_proceeds_bring_is_not_counted_and_what_a_facility_takes_is_gone() -> None:
    # All 30,000 bonds into REPO would be 24,000 USD-worth of cash; BUFFER counts bonds only and holds 20,400 of them:
    # 6,000 leave for the call, the other 3,200 come out of LINE at 150 bp less 10.
    on = kept(reserve(20_400), holdings=(BONDS,), schedules={})
    with_line = BookTables({**on.tables, "facilities": frame([LINE])}, on.settings, on.schedules)
    assert_optimum(with_line, 0.6 + 4.48, reserves=0)
    cash = {"Q": {"name": "Q", "rules": [CASH]}}
    proceeds = kept(reserve(1.0), holdings=(BONDS,), schedules=cash)
    assert_optimum(
        BookTables({**proceeds.tables, "facilities": frame([REPO])}, proceeds.settings, proceeds.schedules),
        1.0,
        reserves=1.0,
    )


def test_the_composition_of_a_buffer_binds() -> None:
    # Level 2 (agencies) at most 40 % of 10,000: 6,000 of level 1 stay. Of 5,000 asked 3,200 come from 4,000 bunds at
    # 1 bp, 1,800 from 2,250 agencies at 2 bp: 0.04 + 0.045.
    limits = [{"label": "level 2", "select": {"issuer": "AG"}, "measure": "value_after_haircut", "of": "posted",
               "max": 0.4}]  # fmt: skip
    buffer = {"Q": {"name": "Q", "rules": [{"label": "bonds", "haircut": 0}], "limits": limits}}
    bunds = BUND | {"quantity": 10_000.0, "cost_bps": 1.0}
    agencies = BUND | {"holding_id": "H-AG", "asset_id": "AGENCY", "quantity": 10_000.0, "cost_bps": 2.0}
    on = book(
        holdings=(bunds, agencies),
        call={"amount": 5_000.0},
        schedule="ANY",
        reserves=(reserve(10_000),),
        schedules=buffer,
    )
    assert_optimum(on, 0.085, reserves=0)
    assert [row.room for row in plan_of(on).count_rows] == [0]


def test_a_matured_bond_counts_nothing() -> None:
    on = kept(reserve(17_000))
    assets = on.tables["assets"].assign(maturity_date=["2026-03-01", None, None, None])
    gone = BookTables({**on.tables, "assets": assets}, on.settings, on.schedules)
    # Nor can it be delivered: 8,000 of cash at 90 bp.
    assert_optimum(gone, 7.2, reserves=17_000)


def test_the_bound_follows_the_shortfalls_that_are_allowed() -> None:
    on = kept(reserve(20_400))
    assert lower_bound_given_shortfalls(on, {}) == pytest.approx(3.48, abs=1e-6)
    # 3,400 less in the reserve are 4,000 bonds more to deliver.
    assert lower_bound_given_shortfalls(on, {}, reserve_shortfalls={"B": 3_400.0}) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(JudgeFailedError):
        lower_bound_given_shortfalls(kept(reserve(25_500), holdings=(BONDS, EURO | {"quantity": 2_000.0})), {})
