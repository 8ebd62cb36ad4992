"""What is there no longer, and all that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Self

import numpy as np
from pydantic import model_validator

from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.kinds.kind import BookChange
from eligibility_rules.vocabulary import Text


class Removed(BookChange):
    """One thing is there no longer, and neither is what the book says of it.

    An asset or a holding: none of it can be delivered (quantities are 0, received is not re-used, a facility that
    gives the asset gives none, pins that ask for it go); what is posted stays, and is not recalled. A call, an
    agreement, a counterparty (its agreements and facilities), a facility: its rows go, and all rows that name it.
    """

    lead, wrapped = "remove", True
    asset: Text | None = None
    holding: Text | None = None
    call: Text | None = None
    agreement: Text | None = None
    counterparty: Text | None = None
    facility: Text | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of(*type(self).model_fields)

    def apply(self, draft: Draft) -> None:
        what, name = self._what()
        tables = {"asset": "assets", "holding": "holdings", "call": "calls", "agreement": "agreements"}
        if what == "counterparty":
            self._remove_counterparty(draft, name)
        elif draft.has(tables.get(what, "facilities"), name):
            drop: Callable[[Draft, list[str]], None] = {
                "asset": _exhaust_assets, "holding": _exhaust, "call": _drop_calls, "agreement": _drop_agreements,
                "facility": _drop_facilities,
            }[what]  # fmt: skip
            drop(draft, [name])

    def _what(self) -> tuple[str, str]:
        return next((n, str(v)) for n in type(self).model_fields if (v := getattr(self, n)) is not None)

    def _remove_counterparty(self, draft: Draft, name: str) -> None:
        agreements, facilities = draft.table("agreements"), draft.table("facilities")
        theirs, lent = agreements["counterparty"] == name, facilities["counterparty"] == name
        if not theirs.any() and not lent.any():
            known = sorted({*agreements["counterparty"], *facilities["counterparty"].dropna()})
            draft.unknown("counterparty", name, known)
        _drop_agreements(draft, agreements["agreement_id"][theirs].tolist())
        _drop_facilities(draft, facilities["facility_id"][lent].tolist())

    def __str__(self) -> str:
        what, name = self._what()
        return f"remove:{what}={name}"


def _exhaust(draft: Draft, holdings: Iterable[str]) -> None:
    """Nothing is left of these holdings, and nothing is asked of them."""
    names = list(holdings)
    rows = np.flatnonzero(draft.table("holdings")["holding_id"].isin(names).to_numpy())
    draft.put("holdings", "quantity", rows, 0.0)
    _ask_nothing_of(draft, "holding_id", names)
    _lock(draft, "holding_id", names)


def _lock(draft: Draft, column: str, names: list[str]) -> None:
    """What is posted of these is not recalled, for it would be delivered again; where nothing is recalled, as it is."""
    if draft.settings.scope == "reoptimise":
        posted = draft.table("posted")
        free = (posted[column].isin(names) & ~posted["locked"]).to_numpy(dtype=bool)
        draft.put("posted", "locked", np.flatnonzero(free), True)


def _ask_nothing_of(draft: Draft, column: str, names: list[str]) -> None:
    pins = draft.table("pins")
    draft.keep("pins", ~(pins[column].isin(names) & ~pins["forbid"]).to_numpy(dtype=bool))


def _exhaust_assets(draft: Draft, assets: list[str]) -> None:
    held, received = draft.table("holdings"), draft.table("received")
    facilities = draft.table("facilities")
    _exhaust(draft, held["holding_id"][held["asset_id"].isin(assets)])
    _lock(draft, "asset_id", assets)
    here = (received["asset_id"].isin(assets) & received["reuse"]).to_numpy(dtype=bool)
    draft.put("received", "reuse", np.flatnonzero(here), False)
    _ask_nothing_of(draft, "holding_id", received["received_id"][here].tolist())
    gives = facilities["gives"].isin(assets).to_numpy()
    draft.put("facilities", "capacity", np.flatnonzero(gives), 0.0)
    _ask_nothing_of(draft, "facility_id", facilities["facility_id"][gives].tolist())


def _drop_calls(draft: Draft, calls: list[str]) -> None:
    for table in ("calls", "pins", "instructions"):
        draft.drop(table, call_id=calls)


def _drop_agreements(draft: Draft, agreements: list[str]) -> None:
    calls, received = draft.table("calls"), draft.table("received")
    _drop_calls(draft, calls["call_id"][calls["agreement_id"].isin(agreements)].tolist())
    lent = received["received_id"][received["agreement_id"].isin(agreements)].tolist()
    for table in ("pins", "instructions"):
        draft.drop(table, call_id=lent, holding_id=lent)
    draft.drop("costs", agreement_id=agreements, holding_id=lent)
    positions = draft.table("positions")
    margined = positions["position_id"][positions["agreement_id"].isin(agreements)].tolist()
    draft.drop("sensitivities", position_id=margined)
    for table in ("agreements", "posted", "cash_returns", "received", "positions", "thresholds"):
        draft.drop(table, agreement_id=agreements)


def _drop_facilities(draft: Draft, facilities: list[str]) -> None:
    for table in ("facilities", "costs", "pins", "instructions"):
        draft.drop(table, facility_id=facilities)
