"""Small desks as DataFrames, for tests that run the whole road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from collateral_opt.book import Book

Row = dict[str, Any]


def listing(**haircuts: float) -> dict[str, Any]:
    """A schedule that takes these assets at these haircuts, and nothing else."""
    return {"rules": [{"label": a, "when": {"asset_id": a}, "haircut": h} for a, h in haircuts.items()]}


def asset(asset_id: str, asset_type: str = "debt", currency: str = "USD", price: float = 1.0, **more: Any) -> Row:
    return {"asset_id": asset_id, "asset_type": asset_type, "currency": currency, "price": price, **more}


def desk(
    *,
    assets: list[Row],
    holdings: list[Row],
    agreements: list[Row],
    calls: list[Row],
    schedules: Mapping[str, Any],
    settings: Row | None = None,
    **more: list[Row],
) -> Book:
    """A book of these rows, in USD, as of 08:00 in New York on 24 March 2026; a year is the horizon."""
    tables = {"assets": assets, "holdings": holdings, "agreements": agreements, "calls": calls, **more}
    standard = {"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD", "horizon_days": 360, "day_count": 360}
    return Book.from_tables(
        {name: pd.DataFrame(rows) for name, rows in tables.items()},
        settings={**standard, **(settings or {})},
        schedules=schedules,
    )
