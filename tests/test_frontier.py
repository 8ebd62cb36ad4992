"""The curve of saving against the number of moves, on a desk whose best moves are known."""

from __future__ import annotations

import pytest

from collateral_opt.frontier import frontier
from tests.desks import desk
from tests.test_reoptimise import ANY, ASSETS, BONDS, CASH, NO_CALLS, A, B


def test_the_best_moves_come_first() -> None:
    """Cash at A (600k, 40 bps) and notes at B (400k, 25 bps) wait for bonds at 5 bps, two moves each.

    Staying costs 2,400 and 1,000; the cash's substitution saves 2,100, the notes' 800.
    """
    lying = [
        {"agreement_id": "A", "asset_id": "CASH", "quantity": 600_000.0, "holding_id": "H-CASH"},
        {"agreement_id": "B", "asset_id": "NOTE", "quantity": 400_000.0, "cost_bps": 25.0},
    ]
    book = desk(
        assets=ASSETS,
        holdings=[BONDS, CASH],
        agreements=[A, B],
        calls=NO_CALLS,
        posted=lying,
        schedules=ANY,
        settings={"scope": "reoptimise"},
    )
    curve = frontier(book).set_index("max_moves")
    costs = {0: 3400.0, 1: 3400.0, 2: 1300.0, 3: 1300.0, 4: 500.0}
    assert curve["total_cost"].to_dict() == pytest.approx(costs)
    assert curve["saving"].to_dict() == pytest.approx({m: 3400.0 - cost for m, cost in costs.items()})
    assert (curve["moves"] <= curve.index).all()
    assert (curve["lower_bound"] <= curve["total_cost"] + 1e-6).all()
    assert frontier(book, points=3)["max_moves"].tolist() == [0, 2, 4]


def test_where_nothing_can_move_the_curve_is_one_point() -> None:
    book = desk(
        assets=ASSETS, holdings=[BONDS], agreements=[A], calls=NO_CALLS, schedules=ANY, settings={"scope": "reoptimise"}
    )
    assert frontier(book)[["max_moves", "total_cost"]].to_numpy().tolist() == [[0.0, 0.0]]
