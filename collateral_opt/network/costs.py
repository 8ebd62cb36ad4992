"""What a year of letting a source go to an agreement costs, in basis points of market value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Floats, Ints
from collateral_opt.network.posted import PostedLine
from collateral_opt.network.rows import rows
from eligibility_rules.remembered import Remembered

MOST_KNOWN = 500
"""Agreements whose costs are remembered: a figure for each source takes room."""


class PairCosts:
    """The source's own cost, or the pair's where ``costs`` has a row for it, less what cash earns there.

    Proceeds cost what producing them costs, whatever ``costs`` says; what a reserve counts costs nothing. What is
    recalled costs what its holding does where it goes, and no longer what it did where it lay. What was asked of
    ``near`` is known already where all that rests on is the same.
    """

    def __init__(self, facts: Facts, near: PairCosts | None = None) -> None:
        self._facts = facts
        self._costs = _COSTS(facts.book.costs)
        self._returns = _RETURNS(facts.book.cash_returns)
        self._known: dict[int, Floats] = near._known.copy() if near is not None and self._reads_as(near) else {}

    def _reads_as(self, other: PairCosts) -> bool:
        """Whether all that costs at agreements rest on is the very same here as there."""
        here, there = self._facts, other._facts
        parts = ("sources", "assets", "agreements")
        return all(getattr(here, part) is getattr(there, part) for part in parts) and (
            self._costs is other._costs and self._returns is other._returns
        )

    @cached_property
    def _cash(self) -> tuple[Ints, NDArray[np.str_]]:
        """The sources of cash, and their currencies."""
        asset = self._facts.sources.asset
        cash = np.flatnonzero(self._facts.assets.is_cash[asset])
        return cash, self._facts.asset_frame["currency"].to_numpy(dtype=object)[asset[cash]].astype(str)

    @cached_property
    def _of_holding(self) -> dict[str, int]:
        sources = self._facts.sources
        return {sources.ids[i]: i for i in np.flatnonzero(sources.is_holding).tolist()}

    @cached_property
    def _by_asset(self) -> tuple[Ints, Ints]:
        """The holdings in the order of their assets, and the asset of each."""
        sources = self._facts.sources
        held = np.flatnonzero(sources.is_holding)
        held = held[np.argsort(sources.asset[held], kind="stable")]
        return held, sources.asset[held]

    def _of_asset(self, name: str) -> Ints:
        """The holdings of an asset."""
        held, asset = self._by_asset
        at = self._facts.assets.at.get(name, -1)
        first, last = np.searchsorted(asset, [at, at + 1])
        return held[first:last]

    def of_use(self, use: int) -> Floats:
        """Per source: what a year there costs, in basis points of market value."""
        uses, agreement = self._facts.uses, int(self._facts.uses.agreement[use])
        if agreement < 0:
            if use in uses.facilities:
                return self._with_recalls(self._own("facility_id", uses.ids[use]))
            return np.zeros(len(self._facts.sources))
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
        told = self._costs["agreement_id"].get(agreement, []) if own is None else []
        for holding, named, bps in sorted(told, key=lambda row: row[0] is not None):
            if (holding is None and named == asset) or (holding is not None and holding == line.holding_id):
                own = bps
        if own is None:
            holding_at = None if line.holding_id is None else self._of_holding.get(line.holding_id)
            own = 0.0 if holding_at is None else float(self._facts.sources.cost_bps[holding_at])
        return own - (self._earned(agreement, line.asset) if self._facts.assets.is_cash[line.asset] else 0.0)

    def _with_recalls(self, cost: Floats) -> Floats:
        """``cost`` with each recall at its holding's, less what leaving it cost."""
        sources = self._facts.sources
        cost[sources.first_posted :] = cost[sources.recallable.joins] - sources.recallable.keep_bps
        return cost

    def _own(self, place: str, identifier: str) -> Floats:
        cost = self._facts.sources.cost_bps.copy()
        told = self._costs[place].get(identifier, [])
        # A row by holding beats one by asset, so it is written after it.
        for holding, asset, bps in sorted(told, key=lambda row: row[0] is not None):
            cost[self._of_asset(asset) if holding is None else self._of_holding[holding]] = bps
        return cost

    def _cash_return(self, agreement: int) -> Floats:
        earned, (cash, currency_of_cash) = np.zeros(len(self._facts.sources)), self._cash
        earned[cash] = self._facts.agreements.cash_return_bps[agreement]
        for currency, bps in self._returns.get(self._facts.agreements.ids[agreement], []):
            earned[cash[currency_of_cash == currency]] = bps
        return earned

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
    for first, *rest in rows(frame, *columns):
        if isinstance(first, str):
            grouped.setdefault(first, []).append(tuple(rest))
    return grouped


def _by_place(costs: pd.DataFrame) -> Mapping[str, Rows]:
    places = ("agreement_id", "facility_id")
    return {place: _by_first(costs, place, "holding_id", "asset_id", "cost_bps") for place in places}


def _by_agreement(returns: pd.DataFrame) -> Rows:
    return _by_first(returns, "agreement_id", "currency", "bps")


_COSTS, _RETURNS = Remembered(_by_place), Remembered(_by_agreement)
