"""What is posted may move: substitution, recalls that free collateral for others, their time and their cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.result import Result
from tests.desks import Row, asset, desk, listing

REOPTIMISE: Row = {"scope": "reoptimise"}
A: Row = {"agreement_id": "A", "counterparty": "Bank", "schedule": "any"}
B: Row = {"agreement_id": "B", "counterparty": "Other", "schedule": "any"}
ANY = {"any": listing(CASH=0.0, BOND=0.0, NOTE=0.0), "cash": listing(CASH=0.0)}
ASSETS = [asset("CASH", "cash"), asset("BOND", price=1.0), asset("NOTE", price=1.0)]
NO_CALLS = pd.DataFrame({"call_id": [], "agreement_id": [], "amount": [], "currency": []})


def answer(
    *,
    holdings: list[Row],
    posted: list[Row],
    agreements: list[Row] | None = None,
    calls: list[Row] | pd.DataFrame | None = None,
    settings: Row | None = None,
    **more: Any,
) -> Result:
    asked: Any = NO_CALLS if calls is None else calls
    return optimise(
        desk(
            assets=ASSETS,
            holdings=holdings,
            agreements=agreements or [A, B],
            calls=asked,
            posted=posted,
            schedules=more.pop("schedules", ANY),
            settings={**REOPTIMISE, **(settings or {})},
            **more,
        )
    )


def moves(result: Result) -> list[tuple[Any, ...]]:
    table = result.allocation[["call_id", "agreement_id", "holding_id", "asset_id", "action", "quantity"]]
    return [tuple(None if cell != cell else cell for cell in row) for row in table.itertuples(index=False, name=None)]


BONDS: Row = {"holding_id": "H-BOND", "asset_id": "BOND", "quantity": 1_000_000.0, "cost_bps": 5.0}
CASH: Row = {"holding_id": "H-CASH", "asset_id": "CASH", "quantity": 0.0, "cost_bps": 40.0}


def test_cheaper_collateral_replaces_dearer() -> None:
    """600k of cash at 40 bps lie at A, bonds at 5 bps take their place: 300 instead of 2,400 a year."""
    lying = [{"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH"}]
    result = answer(holdings=[BONDS, CASH], posted=lying)
    assert moves(result) == [
        (None, "A", "H-CASH", "CASH", "recall", 600_000.0),
        (None, "A", "H-BOND", "BOND", "deliver", 600_000.0),
    ]
    assert result.total_cost == pytest.approx(300.0)
    assert result.status == "optimal"
    assert result.agreements.iloc[0].tolist()[:8] == ["A", 6e5, 6e5, 0.0, 6e5, 6e5, 0.0, 0.0]
    assert result.inventory.set_index("holding_id").loc["H-CASH", ["recalled", "used", "left"]].tolist() == [
        6e5,
        0,
        6e5,
    ]


def test_what_is_locked_stays_and_what_cannot_be_cheaper_too() -> None:
    lying = [
        {"agreement_id": "A", "asset_id": "CASH", "quantity": 300_000.0, "holding_id": "H-CASH", "locked": True},
        {"agreement_id": "B", "asset_id": "BOND", "quantity": 200_000.0, "holding_id": "H-BOND"},
    ]
    result = answer(holdings=[BONDS, CASH], posted=lying)
    assert moves(result) == [
        (None, "A", "H-CASH", "CASH", "keep", 300_000.0),
        (None, "B", "H-BOND", "BOND", "keep", 200_000.0),
    ]
    assert result.total_cost == pytest.approx(300_000 * 40e-4 + 200_000 * 5e-4)


def test_a_call_that_takes_cash_only_gets_the_cash_that_lies_elsewhere() -> None:
    """C takes cash only, and all cash lies at A, where bonds may replace it."""
    lying = [{"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH", "cost_bps": 0.0}]
    call = {"call_id": "C", "agreement_id": "B", "amount": 250_000.0, "currency": "USD"}
    result = answer(holdings=[BONDS, CASH], posted=lying, agreements=[A, {**B, "schedule": "cash"}], calls=[call])
    assert moves(result) == [
        ("C", "B", "H-CASH", "CASH", "deliver", 250_000.0),
        (None, "A", "H-CASH", "CASH", "keep", 350_000.0),
        (None, "A", "H-CASH", "CASH", "recall", 250_000.0),
        (None, "A", "H-BOND", "BOND", "deliver", 250_000.0),
    ]
    assert result.total_cost == pytest.approx(250_000 * 40e-4 + 250_000 * 5e-4)


@pytest.mark.parametrize(("recall_hours", "short"), [(4.0, 0.0), (5.0, 250_000.0)])
def test_a_recall_serves_a_call_only_if_it_is_back_in_time(recall_hours: float, short: float) -> None:
    """As of 08:00 bonds settle in two hours, the cash must be back and delivered by 14:00: four hours are left."""
    lying = [
        {
            "agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH",
            "recall_hours": recall_hours,
        }
    ]  # fmt: skip
    call = {
        "call_id": "C", "agreement_id": "B", "amount": 250_000.0, "currency": "USD", "due": "2026-03-24T14:00:00-04:00",
    }  # fmt: skip
    result = answer(
        holdings=[{**BONDS, "settle_hours": 2.0}, CASH],
        posted=lying,
        agreements=[A, {**B, "schedule": "cash"}],
        calls=[call],
    )
    assert result.calls["shortfall"].tolist() == [short]


def test_an_excess_below_the_minimum_transfer_is_not_called_back() -> None:
    """500k are required and 600k lie there: 100k come back, unless a transfer must be larger than that."""
    lying = [{"agreement_id": "A", "asset_id": "BOND", "quantity": 600_000.0, "holding_id": "H-BOND"}]
    required = {**A, "requirement": 500_000.0}
    assert answer(holdings=[BONDS], posted=lying, agreements=[required]).total_cost == pytest.approx(250.0)
    kept = answer(holdings=[BONDS], posted=lying, agreements=[{**required, "minimum_transfer": 100_001.0}])
    assert moves(kept) == [(None, "A", "H-BOND", "BOND", "keep", 600_000.0)]
    assert kept.total_cost == pytest.approx(300.0)


def test_what_is_required_beyond_calls_is_delivered() -> None:
    lying = [{"agreement_id": "A", "asset_id": "BOND", "quantity": 100_000.0, "holding_id": "H-BOND"}]
    call = {"call_id": "C", "agreement_id": "A", "amount": 50_000.0, "currency": "USD"}
    result = answer(holdings=[BONDS], posted=lying, agreements=[{**A, "requirement": 200_000.0}], calls=[call])
    assert moves(result) == [
        ("C", "A", "H-BOND", "BOND", "deliver", 50_000.0),
        (None, "A", "H-BOND", "BOND", "keep", 100_000.0),
        (None, "A", "H-BOND", "BOND", "deliver", 50_000.0),
    ]


def test_what_no_longer_counts_comes_home_without_replacement() -> None:
    lying = [{"agreement_id": "A", "asset_id": "BOND", "quantity": 100_000.0, "holding_id": "H-BOND"}]
    result = answer(holdings=[BONDS], posted=lying, agreements=[{**A, "schedule": "cash"}])
    assert moves(result) == [(None, "A", "H-BOND", "BOND", "recall", 100_000.0)]
    assert result.total_cost == 0.0


BOX: Row = {"location": "BOX", "move_cost": 100.0}


@pytest.mark.parametrize(("move_cost", "moved"), [(100.0, True), (1100.0, False)])
def test_a_substitution_must_earn_its_movements(move_cost: float, moved: bool) -> None:
    """Bonds for cash save 2,100 a year; the delivery and the recall cost ``move_cost`` each."""
    lying = [{"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH"}]
    result = answer(
        holdings=[{**BONDS, "location": "BOX"}, CASH],
        posted=lying,
        agreements=[{**A, "location": "BOX"}],
        locations=[{**BOX, "move_cost": move_cost}],
    )
    assert [row[4] for row in moves(result)] == (["recall", "deliver"] if moved else ["keep"])
    assert result.total_cost == pytest.approx(300.0 + 2 * move_cost if moved else 2400.0)
    assert result.status == "optimal"


@pytest.mark.parametrize(("budget", "cost"), [(0, 3400.0), (1, 3400.0), (2, 1300.0), (4, 500.0)])
def test_a_move_budget_is_spent_on_the_best_moves(budget: int, cost: float) -> None:
    """Cash at A (600k) and notes at 25 bps at B (400k) wait for bonds at 5 bps: 2,100 and 800 are to be saved."""
    lying = [
        {"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH"},
        {"agreement_id": "B", "asset_id": "NOTE", "quantity": 400_000.0, "cost_bps": 25.0},
    ]
    result = answer(holdings=[BONDS, CASH], posted=lying, settings={"max_moves": budget})
    assert result.total_cost == pytest.approx(cost)
    assert result.summary["counts"]["moves"] <= budget
    assert result.status == "optimal" or budget < 4


def test_no_move_is_proposed_that_does_not_pay_for_itself() -> None:
    """The second substitution saves 800 with two moves, 400 each."""
    lying = [
        {"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH"},
        {"agreement_id": "B", "asset_id": "NOTE", "quantity": 400_000.0, "cost_bps": 25.0},
    ]
    asked = {"min_saving_per_move": 401.0}
    assert answer(holdings=[BONDS, CASH], posted=lying, settings=asked).summary["counts"]["moves"] == 2
    asked = {"min_saving_per_move": 399.0}
    assert answer(holdings=[BONDS, CASH], posted=lying, settings=asked).summary["counts"]["moves"] == 4


def test_what_is_recalled_into_an_empty_holding_counts_for_a_reserve() -> None:
    """100 bonds lie at A for a holding with none at home; with cash in their place they are the buffer of 80."""
    lying = [{"agreement_id": "A", "asset_id": "BOND", "quantity": 100.0, "holding_id": "H-BOND"}]
    result = answer(
        holdings=[{**BONDS, "quantity": 0.0}, {**CASH, "quantity": 1000.0, "cost_bps": 1.0}],
        posted=lying,
        reserves=[{"reserve_id": "R", "schedule": "buffer", "amount": 80.0, "currency": "USD"}],
        schedules={**ANY, "buffer": listing(BOND=0.0)},
    )
    assert result.reserves[["counted", "shortfall"]].to_numpy().tolist() == [[80.0, 0.0]]


def test_what_lies_there_is_not_recalled_to_be_delivered_again() -> None:
    """Bonds lie at A and at home alike: a call at B is met from home, whatever else would cost the same."""
    lying = [{"agreement_id": "A", "asset_id": "BOND", "quantity": 100_000.0, "holding_id": "H-BOND"}]
    call = {"call_id": "C", "agreement_id": "B", "amount": 100_000.0, "currency": "USD"}
    result = answer(holdings=[{**BONDS, "quantity": 100_000.0}], posted=lying, calls=[call])
    assert moves(result) == [
        ("C", "B", "H-BOND", "BOND", "deliver", 100_000.0),
        (None, "A", "H-BOND", "BOND", "keep", 100_000.0),
    ]
