"""Facilities and reserves decided together with the calls, on desks whose optimum is worked by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.result import Result
from tests.desks import Row, asset, desk, listing

CASH_ONLY = {"schedules": {"cash": listing(USD=0)}}
CALL: Row = {"call_id": "MC", "agreement_id": "A", "currency": "USD", "due": "2026-03-24T16:00:00-04:00"}
AGREEMENT: Row = {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}


def spent(result: Result) -> dict[str, float]:
    """Quantity delivered by source."""
    source = result.allocation["holding_id"].fillna(result.allocation["facility_id"])
    return dict(zip(source, result.allocation["quantity"], strict=True))


def given(result: Result) -> dict[str, float]:
    """Quantity given to facilities, by holding or by the facility it comes from."""
    source = result.financing["holding_id"].fillna(result.financing["from_facility_id"])
    return dict(zip(source, result.financing["quantity"], strict=True))


def test_a_call_is_met_by_the_liquidity_waterfall_and_no_stock_is_sold() -> None:
    """A call of 10.5m: cash 2.0m, money fund 3.0m, repo 4.0m, credit line 1.5m, and nothing of the fire sale."""
    book = desk(
        assets=[asset("USD", "cash"), asset("MMF", "fund"), asset("UST"), asset("TECH", "equity", price=100.0)],
        holdings=[
            {"holding_id": "cash", "asset_id": "USD", "quantity": 2e6, "cost_bps": 1.0},
            {"holding_id": "fund", "asset_id": "MMF", "quantity": 3e6, "cost_bps": 2.0},
            {"holding_id": "bonds", "asset_id": "UST", "quantity": 5e6, "cost_bps": 1.0},
            {"holding_id": "stock", "asset_id": "TECH", "quantity": 1e5, "cost_bps": 0.0},
        ],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 10.5e6}],
        facilities=[
            {"facility_id": "redeem", "kind": "redemption", "gives": "USD", "takes": "fund", "capacity": 3e6},
            {
                "facility_id": "repo", "kind": "repo", "gives": "USD", "takes": "bonds", "capacity": 4e6,
                "cost_bps": 15.0, "access_hours": 4.0,
            },
            {
                "facility_id": "line", "kind": "credit_line", "gives": "USD", "capacity": 5e6, "cost_bps": 150.0,
                "access_hours": 6.0,
            },
            {
                "facility_id": "sale", "kind": "sale", "gives": "USD", "takes": "stock", "capacity": 1e7,
                "one_off_bps": 5000.0, "access_hours": 48.0,
            },
        ],
        schedules={
            "cash": listing(USD=0), "fund": listing(MMF=0), "bonds": listing(UST=0.02), "stock": listing(TECH=0)
        },
    )  # fmt: skip
    result = optimise(book)
    assert result.status == "optimal"
    assert spent(result) == {"cash": 2e6, "redeem": 3e6, "repo": 4e6, "line": 1.5e6}
    # 4m of cash takes 4m / 0.98 = 4,081,632.65 of bonds: 4,081,633 whole units.
    assert given(result) == {"fund": 3e6, "bonds": 4_081_633.0, None: 1.5e6}
    # 2m at 1 bp, 3m of fund at 2, bonds at 1, repo 4m at 15, line 1.5m at 150 bps, over a year.
    assert result.total_cost == pytest.approx(200 + 600 + 408.1633 + 6000 + 22500)


def test_one_bond_is_repoed_to_free_another() -> None:
    """B1 is taken by the call only, B2 by the repo only: cash from B2 is cheaper than B1 where B1 costs more."""
    book = desk(
        assets=[asset("USD", "cash"), asset("B1"), asset("B2")],
        holdings=[
            {"holding_id": "H1", "asset_id": "B1", "quantity": 1000.0, "cost_bps": 40.0},
            {"holding_id": "H2", "asset_id": "B2", "quantity": 1000.0, "cost_bps": 5.0},
        ],
        agreements=[{**AGREEMENT, "schedule": "wide"}],
        calls=[{**CALL, "amount": 300.0}],
        facilities=[
            {"facility_id": "repo", "kind": "repo", "gives": "USD", "takes": "b2", "capacity": 100.0, "cost_bps": 20.0}
        ],
        schedules={"wide": listing(USD=0, B1=0), "b2": listing(B2=0.5)},
    )
    result = optimise(book)
    # Cash by repo: 20 + 5 / 0.5 = 30 bps against 40 for B1, but only 100 of it.
    assert spent(result) == {"H1": 200.0, "repo": 100.0}
    assert given(result) == {"H2": 200.0}
    assert result.total_cost == pytest.approx((200 * 40 + 100 * 20 + 200 * 5) / 1e4)
    assert result.calls["marginal_cost_bps"].tolist() == pytest.approx([40.0])


def chain(**late: float) -> Result:
    """USD from a repo, changed into EUR, for a call in EUR at 1.10 USD each."""
    facilities = [
        {"facility_id": "repo", "kind": "repo", "gives": "USD", "takes": "bonds", "capacity": 1e4, "access_hours": 1.0},
        {"facility_id": "swap", "kind": "fx", "gives": "EUR", "takes": "usd", "capacity": 1e4, "access_hours": 2.0},
    ]
    for row in facilities:
        row["cost_bps"] = 10.0
        row["access_hours"] = late.get(str(row["facility_id"]), row["access_hours"])
    return optimise(
        desk(
            assets=[asset("USD", "cash"), asset("EUR", "cash", "EUR"), asset("UST", lot_size=100.0)],
            holdings=[{"holding_id": "bonds", "asset_id": "UST", "quantity": 5000.0, "cost_bps": 2.0}],
            agreements=[{**AGREEMENT, "schedule": "euro", "base_currency": "EUR"}],
            calls=[{**CALL, "amount": 1000.0, "currency": "EUR", "due": "2026-03-24T11:00:00-04:00"}],
            facilities=facilities,
            fx=[{"currency": "EUR", "rate": 1.1}],
            schedules={"euro": listing(EUR=0), "usd": listing(USD=0), "bonds": listing(UST=0.02)},
        )
    )


def test_proceeds_feed_another_facility() -> None:
    result = chain()
    # 1,000 EUR are 1,100 USD, which take 1,100 / 0.98 = 1,122.45 of bonds: 12 lots of 100.
    assert spent(result) == {"swap": 1000.0}
    assert given(result) == {"bonds": 1200.0, "repo": 1100.0}
    assert result.total_cost == pytest.approx((1100 * 10 + 1100 * 10 + 1200 * 2) / 1e4)


@pytest.mark.parametrize("late", [{"repo": 2.0}, {"swap": 3.5}], ids=["not strictly before", "after the call"])
def test_proceeds_that_come_too_late_are_not_spent(late: dict[str, float]) -> None:
    result = chain(**late)
    assert result.status == "short"
    assert result.calls["shortfall"].tolist() == [1100.0]
    assert len(result.financing) == 0


def test_limits_of_what_a_facility_takes_bind_what_it_is_given() -> None:
    limit = {"label": "half", "group_by": "asset", "measure": "value_after_haircut", "of": "requirement", "max": 0.5}
    book = desk(
        assets=[asset("USD", "cash"), asset("B1"), asset("B2")],
        holdings=[
            {"holding_id": "H1", "asset_id": "B1", "quantity": 1000.0, "cost_bps": 1.0},
            {"holding_id": "H2", "asset_id": "B2", "quantity": 1000.0, "cost_bps": 9.0},
        ],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 80.0}],
        facilities=[{"facility_id": "repo", "kind": "repo", "gives": "USD", "takes": "paper", "capacity": 100.0}],
        schedules={"cash": listing(USD=0), "paper": {**listing(B1=0, B2=0), "limits": [limit]}},
    )
    result = optimise(book)
    assert given(result) == {"H1": 50.0, "H2": 30.0}
    used = result.limits.set_index(["agreement_id", "group"])[["used", "cap"]]
    assert used.loc[("repo", "B1")].tolist() == [50.0, 50.0]


HQLA = {
    "rules": [
        {"label": "level 1", "when": {"hqla_level": "1"}, "haircut": 0},
        {"label": "level 2A", "when": {"hqla_level": "2A"}, "haircut": 0.15},
        {"label": "level 2B", "when": {"hqla_level": "2B"}, "haircut": 0.5},
    ],
    "limits": [
        {"label": "level 2", "select": {"hqla_level": ["2A", "2B"]}, "measure": "value_after_haircut", "of": "posted",
         "max": 0.40},
        {"label": "level 2B", "select": {"hqla_level": "2B"}, "measure": "value_after_haircut", "of": "posted",
         "max": 0.15},
    ],
}  # fmt: skip


def buffer(amount: float) -> Result:
    return optimise(
        desk(
            assets=[asset("UST", hqla_level="1"), asset("AGY", hqla_level="2A"), asset("CORP", hqla_level="2B")],
            holdings=[
                {"holding_id": "H1", "asset_id": "UST", "quantity": 8000.0, "cost_bps": 2.0},
                {"holding_id": "H2", "asset_id": "AGY", "quantity": 6000.0, "cost_bps": 5.0},
                {"holding_id": "H3", "asset_id": "CORP", "quantity": 10000.0, "cost_bps": 9.0},
            ],
            agreements=[{**AGREEMENT, "schedule": "wide"}],
            calls=[{**CALL, "amount": 5000.0}],
            reserves=[{"reserve_id": "LCR", "schedule": "hqla", "amount": amount, "currency": "USD"}],
            schedules={"wide": listing(UST=0, AGY=0, CORP=0), "hqla": HQLA},
        )
    )


def test_a_buffer_keeps_at_home_what_it_needs_and_its_price_is_what_that_costs() -> None:
    """Of a buffer of 9,000 at least 60 % is level 1: 5,400 stay, 2,600 are free for the call, and AGY brings 2,400."""
    result = buffer(9000.0)
    assert result.status == "optimal"
    assert spent(result) == {"H1": 2600.0, "H2": 2400.0}
    # One more unit of buffer keeps 0.6 more of UST, which AGY replaces at 5 - 2 = 3 bps: 1.8 bps.
    assert result.reserves["marginal_cost_bps"].tolist() == pytest.approx([1.8])
    assert result.reserves[["required", "counted", "shortfall"]].to_numpy().tolist() == [[9000.0, 9000.0, 0.0]]


def test_calls_come_first_and_the_buffer_says_how_far_it_fell() -> None:
    """All 8,000 of level 1 at home carry 8,000 / 0.6 = 13,333.33 at most; 15,000 are asked for."""
    result = buffer(15000.0)
    assert result.status == "short"
    assert result.calls["shortfall"].tolist() == [0.0]
    assert result.reserves["counted"].tolist() == pytest.approx([13333.33])
    assert result.reserves["shortfall"].tolist() == pytest.approx([1666.67])
    assert pd.isna(result.reserves["marginal_cost_bps"].iloc[0])
    assert "H1" not in spent(result)


def test_a_repo_is_given_what_the_buffer_does_not_count_on() -> None:
    """A buffer of 200 needs both lots of GOV; the repo of a call of 100 is given two lots of AGY, not GOV.

    200,000 at 2 bps and 100,000 raised at 10 bps for 30 of 360 days: 3.33 + 8.33.
    """
    lots = [asset(name, lot_size=100_000.0, price=100.0, price_factor=0.01) for name in ("GOV", "AGY")]
    book = desk(
        assets=[asset("USD", "cash"), *lots],
        holdings=[
            {"holding_id": "H-GOV", "asset_id": "GOV", "quantity": 200_000.0, "cost_bps": 1.0},
            {"holding_id": "H-AGY", "asset_id": "AGY", "quantity": 200_000.0, "cost_bps": 2.0},
        ],
        agreements=[{"agreement_id": "X", "counterparty": "Bank", "schedule": "cash"}],
        calls=[{"call_id": "C", "agreement_id": "X", "amount": 100_000.0, "currency": "USD"}],
        facilities=[
            {"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "repo", "capacity": 700_000.0,
             "cost_bps": 10.0, "counterparty": "Dealer"},
        ],
        reserves=[{"reserve_id": "BUF", "schedule": "buffer", "amount": 200_000.0, "currency": "USD"}],
        schedules={"cash": listing(USD=0.0), "repo": listing(GOV=0.02, AGY=0.02), "buffer": listing(GOV=0.0, AGY=0.15)},
        settings={"horizon_days": 30},
    )  # fmt: skip
    result = optimise(book)
    assert result.financing[["asset_id", "quantity"]].to_numpy().tolist() == [["AGY", 200_000.0]]
    assert result.summary["reserve_shortfall"] == 0
    assert result.total_cost == pytest.approx(200_000 * 2e-4 / 12 + 100_000 * 10e-4 / 12)
