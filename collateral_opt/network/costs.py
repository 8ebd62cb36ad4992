"""What a year of letting a source go to an agreement costs, in basis points of market value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Floats


class PairCosts:
    """The holding's own cost, or the pair's where ``costs`` has a row for it, less what cash earns there."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        book, sources = facts.book, facts.sources
        self._is_cash = facts.assets.is_cash[sources.asset]
        self._currency = facts.asset_frame["currency"].to_numpy(dtype=object)[sources.asset]
        self._asset_id = np.array(facts.assets.ids, dtype=object)[sources.asset]
        self._holding_id = np.array(sources.ids, dtype=object)
        columns = ["agreement_id", "holding_id", "asset_id", "cost_bps"]
        self._costs = _by_first(book.costs[columns].itertuples(index=False, name=None))
        self._returns = _by_first(
            book.cash_returns[["agreement_id", "currency", "bps"]].itertuples(index=False, name=None)
        )
        self._known: dict[int, Floats] = {}

    def at(self, agreement: int) -> Floats:
        """Per source, after what cash earns there."""
        if agreement not in self._known:
            self._known[agreement] = self._own(agreement) - self._cash_return(agreement)
        return self._known[agreement]

    def _own(self, agreement: int) -> Floats:
        cost = self._facts.sources.cost_bps.copy()
        rows = self._costs.get(self._facts.agreements.ids[agreement], [])
        # A row by holding beats one by asset, so it is written after it.
        for holding, asset, bps in sorted(rows, key=lambda row: row[0] is not None):
            cost[self._asset_id == asset if holding is None else self._holding_id == holding] = bps
        return cost

    def _cash_return(self, agreement: int) -> Floats:
        earned = np.full(len(self._facts.sources), self._facts.agreements.cash_return_bps[agreement])
        for currency, bps in self._returns.get(self._facts.agreements.ids[agreement], []):
            earned[self._currency == currency] = bps
        return np.where(self._is_cash, earned, 0.0)


def _by_first(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by their first cell, without it."""
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for first, *rest in rows:
        grouped.setdefault(first, []).append(tuple(rest))
    return grouped
