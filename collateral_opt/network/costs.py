"""What a year of letting a source go to an agreement costs, in basis points of market value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Floats, Kind
from collateral_opt.network.posted import PostedLine

MOST_KNOWN = 500
"""Agreements whose costs are remembered: a figure for each source takes room."""


class PairCosts:
    """The source's own cost, or the pair's where ``costs`` has a row for it, less what cash earns there.

    Proceeds cost what producing them costs, whatever ``costs`` says; what a reserve counts costs nothing. What is
    recalled costs what its holding does where it goes, and no longer what it did where it lay.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        book, sources = facts.book, facts.sources
        self._is_cash = facts.assets.is_cash[sources.asset]
        currencies, code = np.unique(
            facts.asset_frame["currency"].to_numpy(dtype=object).astype(str), return_inverse=True
        )
        self._code_of = {name: k for k, name in enumerate(currencies.tolist())}
        self._currency = code[sources.asset]
        held = np.flatnonzero(sources.is_holding).tolist()
        self._of_holding = {sources.ids[i]: i for i in held}
        self._of_asset: dict[str, list[int]] = {}
        for i in held:
            self._of_asset.setdefault(facts.assets.ids[sources.asset[i]], []).append(i)
        self._costs = {
            place: _by_first(
                book.costs.loc[book.costs[place].notna(), [place, "holding_id", "asset_id", "cost_bps"]].itertuples(
                    index=False, name=None
                )
            )
            for place in ("agreement_id", "facility_id")
        }
        self._returns = _by_first(
            book.cash_returns[["agreement_id", "currency", "bps"]].itertuples(index=False, name=None)
        )
        self._known: dict[int, Floats] = {}

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
            earned[self._currency == self._code_of.get(currency, -1)] = bps
        return np.where(self._is_cash, earned, 0.0)

    def _earned(self, agreement_id: str, asset: int) -> float:
        """What cash of one currency earns at one agreement."""
        currency = self._facts.asset_frame["currency"].iloc[asset]
        for known, bps in self._returns.get(agreement_id, []):
            if known == currency:
                return float(bps)
        at = self._facts.agreements.ids.index(agreement_id)
        return float(self._facts.agreements.cash_return_bps[at])


def _by_first(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by their first cell, without it."""
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for first, *rest in rows:
        grouped.setdefault(first, []).append(tuple(rest))
    return grouped
