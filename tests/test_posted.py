"""What is posted already counts in limits; a share of what is posted is judged on all that is there after the run."""

from __future__ import annotations

import pytest

from collateral_opt import optimise
from collateral_opt.network import build_network
from collateral_opt.network.findings import network_findings
from collateral_opt.result import Result
from tests.desks import Row, asset, desk

CALL: Row = {"call_id": "C", "agreement_id": "A", "currency": "USD"}
HALF: Row = {"label": "half", "group_by": "asset_type", "of": "posted", "max": 0.5}


def answer(holdings: list[Row], calls: list[Row], limit: Row, posted: list[Row] | None = None) -> Result:
    return optimise(
        desk(
            assets=[asset("USD", "cash"), asset("T1", issuer="UST"), asset("E", "equity", price=300.0, issuer="X")],
            holdings=holdings,
            agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
            calls=calls,
            schedules={
                name: {"rules": [{"label": "all", "haircut": 0}], "limits": [limit]} for name in ("s", "t")
            },
            **({"posted": posted} if posted else {}),
        )
    )  # fmt: skip


def quantities(result: Result) -> dict[str, float]:
    return result.allocation.groupby("holding_id")["quantity"].sum().to_dict()


def test_a_share_that_forces_an_excess_does_not_leave_the_call_short() -> None:
    """Cash and shares at most half each, shares of 300: one and 300 of cash cover 600, two and 600 cover 1,200."""
    result = answer(
        [
            {"holding_id": "H1", "asset_id": "USD", "quantity": 5e6, "cost_bps": 30.0},
            {"holding_id": "H2", "asset_id": "E", "quantity": 5000.0, "cost_bps": 5.0},
        ],
        [{**CALL, "amount": 1000.0}],
        HALF,
    )
    assert quantities(result) == {"H1": 600.0, "H2": 2.0}
    assert result.calls["excess"].tolist() == [200.0]


BONDS: Row = {"label": "bonds", "select": {"asset_type": "debt"}, "of": "posted", "max": 0.75}
STOCK = [
    {"holding_id": "H1", "asset_id": "USD", "quantity": 5e5, "cost_bps": 30.0},
    {"holding_id": "H2", "asset_id": "T1", "quantity": 5e6, "cost_bps": 5.0},
]
LYING = [{"agreement_id": "A", "asset_id": "T1", "quantity": 9e5}]


def test_a_share_over_its_cap_before_the_run_may_be_cured_by_what_comes_beside_it() -> None:
    """900k of bonds lie there. With a call of 1m, 475k of cash and 525k of bonds make 1,425k of 1,900k: just 75 %."""
    result = answer(STOCK, [{**CALL, "amount": 1e6}], BONDS, LYING)
    assert quantities(result) == {"H1": 475_000.0, "H2": 525_000.0}
    assert result.total_cost == pytest.approx((475_000 * 30 + 525_000 * 5) / 1e4)
    assert result.limits[["used", "cap"]].to_numpy().tolist() == [[1_425_000.0, 1_425_000.0]]


def test_a_share_that_cannot_be_cured_takes_nothing_more_and_is_no_failure() -> None:
    """A call of 100k brings at most 100k of cash beside 900k of bonds, 90 % of all: no bond more, and no failure."""
    result = answer(STOCK, [{**CALL, "amount": 1e5}], BONDS, LYING)
    assert result.status == "optimal"
    assert quantities(result) == {"H1": 100_000.0}


def test_a_limit_holds_over_all_calls_of_an_agreement_whatever_schedule_they_name() -> None:
    """Bonds at most 600k there, under both schedules: two calls of 1m take 600k of bonds together."""
    plenty = [{**STOCK[0], "quantity": 5e6}, STOCK[1]]
    cap = {"label": "bonds", "select": {"asset_type": "debt"}, "of": "money", "max": {"amount": 6e5, "currency": "USD"}}
    calls = [{**CALL, "amount": 1e6}, {**CALL, "call_id": "D", "amount": 1e6, "schedule": "t"}]
    result = answer(plenty, calls, cap)
    assert quantities(result) == {"H1": 1_400_000.0, "H2": 600_000.0}
    assert result.limits["limit"].tolist() == ["bonds", "t: bonds"]
    assert result.limits["used"].tolist() == [600_000.0, 600_000.0]


def test_what_stands_over_a_cap_already_is_found() -> None:
    result = answer(STOCK, [{**CALL, "amount": 1e5}], BONDS, LYING)
    (found,) = network_findings(result.book, build_network(result.book))
    assert (found.code, found.severity, found.table, found.value) == ("W523", "warning", "posted", "A")
    assert "limit 'bonds'" in found.cause
    clean = answer(STOCK, [{**CALL, "amount": 1e5}], BONDS).book
    assert network_findings(clean, build_network(clean)) == []


def test_shares_at_their_caps_survive_the_rounding_to_lots() -> None:
    """Ten issuers at most a tenth each, all at their cap: rounding down must not make the shares undo one another."""
    assets = [asset("USD", "cash")]
    assets += [asset(f"B{i}", lot_size=1000.0, issuer=f"I{i}", price=0.9 + i / 100) for i in range(14)]
    holdings: list[Row] = [{"holding_id": "H", "asset_id": "USD", "quantity": 2e6, "cost_bps": 40.0}]
    holdings += [{"holding_id": f"H{i}", "asset_id": f"B{i}", "quantity": 9e5, "cost_bps": 2.0 + i} for i in range(14)]
    share = {"label": "issuer", "select": {"asset_type": "debt"}, "group_by": "issuer", "of": "posted", "max": 0.1}
    result = optimise(
        desk(
            assets=assets,
            holdings=holdings,
            agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s"}],
            calls=[{**CALL, "amount": 5_000_000.0}],
            schedules={"s": {"rules": [{"label": "all", "haircut": 0}], "limits": [share]}},
        )
    )
    assert result.calls["shortfall"].tolist() == [0.0]
    # The ten cheapest at 500,000 each cost (2 + ... + 11) bps of it; a lot of each in cash instead adds under 1 %.
    assert result.total_cost <= 500_000 * sum(range(2, 12)) / 1e4 * 1.01
