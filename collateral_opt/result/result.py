"""A result: the tables of a run, as a person or a program reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from collateral_opt.book import Book

if TYPE_CHECKING:
    from collateral_opt.explain import Explanation

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allocation": (
        "call_id", "agreement_id", "holding_id", "facility_id", "asset_id", "action", "quantity", "market_value",
        "haircut", "collateral_value", "cost",
    ),
    "financing": (
        "facility_id", "holding_id", "from_facility_id", "asset_id", "quantity", "market_value", "haircut", "proceeds",
        "cost",
    ),
    "calls": ("call_id", "required", "covered", "shortfall", "excess", "marginal_cost_bps", "reason"),
    "agreements": (
        "agreement_id", "required", "posted", "kept", "recalled", "delivered", "shortfall", "excess",
        "marginal_cost_bps",
    ),
    "inventory": ("holding_id", "asset_id", "quantity", "recalled", "used", "left", "scarcity_bps"),
    "reserves": ("reserve_id", "required", "counted", "shortfall", "marginal_cost_bps"),
    "limits": ("agreement_id", "limit", "group", "used", "cap", "shadow_price"),
    "steps": (
        "step", "action", "call_id", "agreement_id", "facility_id", "holding_id", "asset_id", "quantity", "settles",
        "start_by", "together", "bridge",
    ),
    "changes": ("call_id", "holding_id", "facility_id", "asset_id", "state", "sent", "now", "change"),
}  # fmt: skip
"""The tables of a result and their columns, in order."""


@dataclass(frozen=True)
class Result:
    """What a run answers: one frame per table of :data:`COLUMNS`, and a summary.

    Values are in base currency, rounded to the cent; quantities are exact decimals (the shortest text of the float);
    haircuts unrounded; prices of constraints in basis points a year. An absent figure is NaN, an absent name None.
    ``book`` is the one answered in full: what was received and what was sent before are holdings, calls and pins of it.
    """

    book: Book
    allocation: pd.DataFrame
    financing: pd.DataFrame
    calls: pd.DataFrame
    agreements: pd.DataFrame
    inventory: pd.DataFrame
    reserves: pd.DataFrame
    limits: pd.DataFrame
    steps: pd.DataFrame
    changes: pd.DataFrame
    summary: Mapping[str, Any]

    @property
    def status(self) -> str:
        """``optimal``, ``feasible`` or ``short``."""
        return str(self.summary["status"])

    @property
    def total_cost(self) -> float:
        """Cost of the run in base currency."""
        return float(self.summary["total_cost"])

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables by its name in :data:`COLUMNS`."""
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def explain(
        self, *, asset: str | None = None, call: str | None = None, agreement: str | None = None
    ) -> Explanation:
        """Why it is so: of an asset, a call, an agreement, an asset at one of these, or of the whole.

        See :func:`collateral_opt.explain.explain`.

        Raises:
            UsageError: something is named that the book does not have.
            SolverError: the solver gave up on the book's linear program.
        """
        from collateral_opt.explain import explain

        return explain(self, asset=asset, call=call, agreement=agreement)
