"""What a year of letting a source go to an agreement costs, in basis points of market value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Bools, Floats, Kind
from collateral_opt.network.posted import PostedLine
from eligibility_rules.remembered import Remembered

MOST_KNOWN = 500
"""Agreements whose costs are remembered: a figure for each source takes room."""


class PairCosts:
    """The source's own cost, or the pair's where ``costs`` has a row for it, less what cash earns there.

    Proceeds cost what producing them costs, whatever ``costs`` says; what a reserve counts costs nothing. What is
    recalled costs what its holding does where it goes, and no longer what it did where it lay.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._costs = _COSTS(facts.book.costs)
        self._returns = _RETURNS(facts.book.cash_returns)
        self._known: dict[int, Floats] = {}

    @cached_property
    def _is_cash(self) -> Bools:
        return self._facts.assets.is_cash[self._facts.sources.asset]

    @cached_property
    def _currency(self) -> NDArray[np.str_]:
        """Of each source."""
        named = self._facts.asset_frame["currency"].to_numpy(dtype=object).astype(str)
        return named[self._facts.sources.asset]

    @cached_property
    def _of_holding(self) -> dict[str, int]:
        sources = self._facts.sources
        return {sources.ids[i]: i for i in np.flatnonzero(sources.is_holding).tolist()}

    @cached_property
    def _of_asset(self) -> dict[str, list[int]]:
        """The holdings of each asset."""
        assets, sources = self._facts.assets, self._facts.sources
        held: dict[str, list[int]] = {}
        for i in self._of_holding.values():
            held.setdefault(assets.ids[sources.asset[i]], []).append(i)
        return held

    def of_use(self, use: int) -> Floats:
        """Per source: what a year there costs, in basis points of market value."""
        uses = self._facts.uses
        if uses.kind[use] == Kind.RESERVE:
            return np.zeros(len(self._facts.sources))
        if uses.kind[use] == Kind.FACILITY:
            return self._with_recalls(self._own("facility_id", uses.ids[use]))
        agreement = int(uses.agreement[use])
        if agreement not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            own = self._own("agreement_id", self._facts.agreements.ids[agreement])
            self._known[agreement] = self._with_recalls(own) - self._cash_return(agreement)
        return self._known[agreement]

    def earned_at(self, use: int) -> Floats:
        """Per source: what cash returns come off its cost there, in basis points of market value."""
        agreement = int(self._facts.uses.agreement[use])
        return np.zeros(len(self._facts.sources)) if agreement < 0 else self._cash_return(agreement)

    def keeping(self, line: PostedLine) -> float:
        """What a year of leaving ``line`` where it lies costs, in basis points of market value."""
        agreement = self._facts.agreements.ids[line.agreement]
        asset = self._facts.assets.ids[line.asset]
        own = line.cost_bps
        rows = self._costs["agreement_id"].get(agreement, []) if own is None else []
        for holding, named, bps in sorted(rows, key=lambda row: row[0] is not None):
            if (holding is None and named == asset) or (holding is not None and holding == line.holding_id):
                own = bps
        if own is None:
            holding_at = self._of_holding.get(line.holding_id or "")
            own = 0.0 if holding_at is None else float(self._facts.sources.cost_bps[holding_at])
        return own - (self._earned(agreement, line.asset) if self._facts.assets.is_cash[line.asset] else 0.0)

    def _with_recalls(self, cost: Floats) -> Floats:
        """``cost`` with each recall at its holding's, less what leaving it cost."""
        sources = self._facts.sources
        cost[sources.first_posted :] = cost[sources.recallable.joins] - sources.recallable.keep_bps
        return cost

    def _own(self, place: str, identifier: str) -> Floats:
        cost = self._facts.sources.cost_bps.copy()
        rows = self._costs[place].get(identifier, [])
        # A row by holding beats one by asset, so it is written after it.
        for holding, asset, bps in sorted(rows, key=lambda row: row[0] is not None):
            cost[self._of_asset.get(asset, []) if holding is None else self._of_holding[holding]] = bps
        return cost

    def _cash_return(self, agreement: int) -> Floats:
        earned = np.full(len(self._facts.sources), self._facts.agreements.cash_return_bps[agreement])
        for currency, bps in self._returns.get(self._facts.agreements.ids[agreement], []):
            earned[self._currency == currency] = bps
        return np.where(self._is_cash, earned, 0.0)

    def _earned(self, agreement_id: str, asset: int) -> float:
        """What cash of one currency earns at one agreement."""
        currency = self._facts.asset_frame["currency"].iloc[asset]
        for known, bps in self._returns.get(agreement_id, []):
            if known == currency:
                return float(bps)
        at = self._facts.agreements.ids.index(agreement_id)
        return float(self._facts.agreements.cash_return_bps[at])


Rows = Mapping[str, Sequence[tuple[Any, ...]]]


def _by_first(frame: pd.DataFrame, *columns: str) -> Rows:
    """The known rows of some columns by the first of these, without it."""
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for first, *rest in frame.loc[frame[columns[0]].notna(), list(columns)].itertuples(index=False, name=None):
        grouped.setdefault(first, []).append(tuple(rest))
    return grouped


def _by_place(costs: pd.DataFrame) -> Mapping[str, Rows]:
    places = ("agreement_id", "facility_id")
    return {place: _by_first(costs, place, "holding_id", "asset_id", "cost_bps") for place in places}


def _by_agreement(returns: pd.DataFrame) -> Rows:
    return _by_first(returns, "agreement_id", "currency", "bps")


_COSTS, _RETURNS = Remembered(_by_place), Remembered(_by_agreement)
