"""Changes of what is there and of what it costs: holdings, facilities, cash."""

from __future__ import annotations

from typing import Self, cast

import numpy as np
from pydantic import model_validator

from collateral_opt.scenarios.draft import EVERY, Draft
from collateral_opt.scenarios.figure import Assets, Move
from collateral_opt.scenarios.kinds.kind import BookChange
from eligibility_rules.scalars import exact
from eligibility_rules.vocabulary import Text


class HoldingMoved(BookChange):
    """Another cost or quantity of a holding (``*``: of every one), or of all holdings of the assets inside."""

    lead, leads = "holding", ("cost_bps", "quantity")
    holding: Text | None = None
    of: Assets | None = None
    cost_bps: Move | None = None
    quantity: Move | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("holding", "of")._has_one_of("cost_bps", "quantity")

    def apply(self, draft: Draft) -> None:
        if self.of is None:
            rows = draft.rows("holdings", cast(str, self.holding), every=True)
        else:
            inside = draft.inside(self.of)
            named = set(draft.table("assets")["asset_id"][inside])
            rows = np.flatnonzero(draft.table("holdings")["asset_id"].isin(named).to_numpy())
            if inside.any() and not len(rows):
                draft.say(f"nothing of {self.of} is held. Write another class or criterion.")
        draft.move("holdings", "cost_bps", rows, self.cost_bps)
        draft.move("holdings", "quantity", rows, self.quantity)

    def __str__(self) -> str:
        name, figure = ("cost_bps", self.cost_bps) if self.cost_bps is not None else ("quantity", self.quantity)
        return f"{name}:{self.of}={figure}" if self.of is not None else f"holding:{self.holding}.{name}={figure}"


class FacilityMoved(BookChange):
    """Another capacity or cost of a facility (``*``: of every one)."""

    lead = "facility"
    facility: Text
    capacity: Move | None = None
    cost_bps: Move | None = None
    one_off_bps: Move | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("capacity", "cost_bps", "one_off_bps", exactly=False)

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("facilities", self.facility, every=True)
        for column in ("capacity", "cost_bps", "one_off_bps"):
            draft.move("facilities", column, rows, getattr(self, column))

    def __str__(self) -> str:
        given = [(n, f) for n in ("capacity", "cost_bps", "one_off_bps") if (f := getattr(self, n)) is not None]
        return super().__str__() if len(given) > 1 else f"facility:{self.facility}.{given[0][0]}={given[0][1]}"


class CashReturnMoved(BookChange):
    """Another return on cash at an agreement (``*``: at every one), in one currency or in all."""

    lead = "cash_return"
    cash_return: Move
    agreement: Text = EVERY
    currency: Text | None = None

    def apply(self, draft: Draft) -> None:
        rows, returns = draft.rows("agreements", self.agreement, every=True), draft.table("cash_returns")
        agreements = draft.table("agreements").iloc[rows]
        here = returns["agreement_id"].isin(agreements["agreement_id"]).to_numpy()
        if self.currency is None:
            draft.move("agreements", "cash_return_bps", rows, self.cash_return)
        else:
            here = here & (returns["currency"] == self.currency).to_numpy()
        draft.move("cash_returns", "bps", np.flatnonzero(here), self.cash_return)
        if self.currency is None:
            return
        stated = set(returns["agreement_id"][here])
        for name, common in agreements[["agreement_id", "cash_return_bps"]].itertuples(index=False, name=None):
            if name not in stated:
                bps = float(self.cash_return.of(exact(common)))
                draft.add("cash_returns", {"agreement_id": name, "currency": self.currency, "bps": bps})

    def __str__(self) -> str:
        currency = f":{self.currency}" if self.currency is not None else ""
        return f"agreement:{self.agreement}.cash_return{currency}={self.cash_return}"
