"""A small desk with positions whose margin moves with factors, and what it has to meet the calls."""

from __future__ import annotations

from typing import Any

from collateral_opt.book import Book
from collateral_opt.liquidity.moved import Moved, moved
from collateral_opt.liquidity.stress import StressFile
from tests.desks import asset, desk, listing

FACTORS: dict[str, Any] = {
    "kind": "student_t",
    "degrees": "5",
    "seed": "7",
    "factors": {"equities": {"volatility": "0.04"}, "vol": {"volatility": "0.02"}},
    "correlation": [["1", "-0.5"], ["-0.5", "1"]],
}
LINKS = [{"of": "equity", "factor": "equities"}]


def book(**more: Any) -> Book:
    """10 million of cash at 1 bp, shares worth 4 million at 20 % off and 3 bp, and a line of 2 million at 100 bp.

    An index position worth 50 million is margined with 5 million at CCP; a swap there gains 20 million per 1.0 of
    ``vol``, less 60 million per its square (half of 120).
    """
    parts: dict[str, Any] = {
        "assets": [asset("USD", "cash", price=None), asset("SHARE", "equity", price=100.0)],
        "holdings": [
            {"holding_id": "CASH", "asset_id": "USD", "quantity": 10e6, "cost_bps": 1.0},
            {"holding_id": "SHARES", "asset_id": "SHARE", "quantity": 40_000.0, "cost_bps": 3.0},
        ],
        "facilities": [
            {"facility_id": "LINE", "kind": "credit_line", "gives": "USD", "capacity": 2e6, "cost_bps": 100.0}
        ],
        "agreements": [{"agreement_id": "CCP", "counterparty": "House", "schedule": "s"}],
        "calls": [],
        "schedules": {"s": listing(USD=0.0, SHARE=0.2)},
        "positions": [
            {
                "position_id": "INDEX",
                "agreement_id": "CCP",
                "instrument": "Index futures",
                "asset_type": "equity",
                "market_value": 50e6,
                "initial_margin": 5e6,
                "beta": 1.0,
            },
            {
                "position_id": "SWAP",
                "agreement_id": "CCP",
                "instrument": "Variance swap",
                "asset_type": "other",
                "market_value": 1e6,
                "initial_margin": 1e6,
                "beta": 1.0,
            },
        ],
        "sensitivities": [{"position_id": "SWAP", "factor": "vol", "delta": 20e6, "gamma": -120e6}],
    }
    parts = {**parts, **more}
    if not parts["calls"]:
        parts["calls"] = [{"call_id": "OWN", "agreement_id": "CCP", "amount": 1e6, "currency": "USD"}]
    return desk(**parts)


def file(**more: Any) -> StressFile:
    """One stress in which nothing happens but that calls are due in eight hours, and two factors."""
    form: dict[str, Any] = {
        "calls": "replace",
        "stresses": {"day": {"due": {"vm": "+8h", "im": "+8h"}}},
        "generator": FACTORS,
        "links": LINKS,
    }
    return StressFile.from_mapping({**form, **more})


def poor() -> Book:
    """With 1.5 million of cash and shares worth half a million instead, so that large moves break it."""
    whole = book()
    return whole.replace(holdings=whole.holdings.assign(quantity=[1.5e6, 5_000.0]))


def plan(of: Book | None = None, **more: Any) -> Moved:
    read = file(**more)
    return moved(book() if of is None else of, read.stress(), read)
