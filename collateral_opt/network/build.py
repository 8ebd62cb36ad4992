"""Builds the network of a book: sources from holdings, uses from calls, and an edge for each deliverable pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.book import Book
from collateral_opt.network.eligibility import Eligibility
from collateral_opt.network.exact import exact
from collateral_opt.network.limits import limit_blocks
from collateral_opt.network.network import (
    Assets,
    Barrier,
    Bools,
    Edges,
    Floats,
    Ints,
    Network,
    Sources,
    Uses,
)
from eligibility_rules import Match

NANOSECONDS_PER_HOUR = 3_600_000_000_000


def build_network(book: Book) -> Network:
    """Everything deliverable in ``book`` and everything that asks for it."""
    asset_frame, assets = _assets(book)
    agreements = book.agreements.sort_values("agreement_id", ignore_index=True)
    calls = book.calls.sort_values("call_id", ignore_index=True)
    eligibility = Eligibility(book, asset_frame)
    sources = _sources(book, assets)
    uses = _uses(book, calls, agreements)
    reach = HoldingReach(book, asset_frame, assets, agreements, calls, sources, uses, eligibility)
    edges = _edges(book, assets, agreements, sources, uses, reach)
    return Network(
        assets=assets,
        agreement_ids=agreements["agreement_id"].tolist(),
        sources=sources,
        uses=uses,
        edges=edges,
        limits=limit_blocks(book, asset_frame, assets, agreements, uses, sources, edges, eligibility),
        reach=reach,
        horizon_years=exact(book.settings.horizon_days) / exact(book.settings.day_count),
    )


def _assets(book: Book) -> tuple[pd.DataFrame, Assets]:
    """The assets that are held or posted, by identifier: the others cannot play a part."""
    in_play = book.assets["asset_id"].isin(book.holdings["asset_id"])
    in_play |= book.assets["asset_id"].isin(book.posted["asset_id"])
    order = book.assets.loc[in_play, "asset_id"].sort_values().index
    frame = book.assets.loc[order].reset_index(drop=True)
    min_quantity = (
        frame["min_denomination"].fillna(0.0) if "min_denomination" in frame else pd.Series(0.0, index=frame.index)
    )
    return frame, Assets(
        ids=frame["asset_id"].tolist(),
        unit_value=book.unit_values[order.to_numpy()],
        price=frame["price"].to_numpy(np.float64),
        price_factor=frame["price_factor"].to_numpy(np.float64),
        rate=frame["currency"].map(book.rates).to_numpy(np.float64),
        lot=book.lot_sizes[order.to_numpy()],
        min_quantity=min_quantity.to_numpy(np.float64),
        is_cash=(frame["asset_type"] == "cash").to_numpy(bool),
    )


def _positions(ids: Sequence[str], wanted: pd.Series[str]) -> Ints:
    """Where each of ``wanted`` stands in ``ids``."""
    return pd.Index(ids, dtype=object).get_indexer(wanted).astype(np.int64)


def _sources(book: Book, assets: Assets) -> Sources:
    holdings = book.holdings.sort_values("holding_id", ignore_index=True)
    as_of = pd.Timestamp(book.settings.as_of).tz_convert("UTC")
    ready = holdings["ready_at"].fillna(as_of).clip(lower=as_of)
    settle = np.rint(holdings["settle_hours"].to_numpy(np.float64) * NANOSECONDS_PER_HOUR).astype(np.int64)
    return Sources(
        ids=holdings["holding_id"].tolist(),
        asset=_positions(assets.ids, holdings["asset_id"]),
        quantity=holdings["quantity"].to_numpy(np.float64),
        deliverable_at=_nanoseconds(ready) + settle,
        cost_bps=holdings["cost_bps"].to_numpy(np.float64),
    )


def _nanoseconds(times: pd.Series[pd.Timestamp]) -> Ints:
    return times.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def _uses(book: Book, calls: pd.DataFrame, agreements: pd.DataFrame) -> Uses:
    agreement = _positions(agreements["agreement_id"].tolist(), calls["agreement_id"])
    own = agreements["schedule"].to_numpy(object)[agreement]
    min_line = agreements["min_line_value"].to_numpy(np.float64)
    currency = agreements["base_currency"].to_numpy(object)
    rates = {currency: exact(rate) for currency, rate in book.rates.items()}
    # Calls without a priority are served after every stated one, all alike.
    _, rank = np.unique(calls["priority"].fillna(np.inf).to_numpy(np.float64), return_inverse=True)
    return Uses(
        ids=calls["call_id"].tolist(),
        agreement=agreement,
        schedule=[s if s is not None else o for s, o in zip(calls["schedule"], own, strict=True)],
        required=[exact(a) * rates[c] for a, c in zip(calls["amount"], calls["currency"], strict=True)],
        priority=rank.astype(np.int64),
        min_line=[exact(m) * rates[c] for m, c in zip(min_line[agreement], currency[agreement], strict=True)],
    )


@dataclass(frozen=True)
class Families:
    """Who belongs to whom: names as codes, so that a family is a small set of integers."""

    issuer: Ints
    issuer_parent: Ints
    counterparty: Ints
    counterparty_parent: Ints

    @staticmethod
    def of(assets: pd.DataFrame, agreements: pd.DataFrame) -> Families:
        columns = [
            assets["issuer"],
            assets["issuer_parent"],
            agreements["counterparty"],
            agreements["counterparty_parent"],
        ]
        codes, _ = pd.factorize(pd.concat(columns, ignore_index=True))
        ends = np.cumsum([len(c) for c in columns])
        return Families(*np.split(codes.astype(np.int64), ends[:-1]))

    def wrong_way(self, agreement: int) -> Bools:
        """Per asset: issued inside the family of the agreement's counterparty."""
        family = np.array([self.counterparty[agreement], self.counterparty_parent[agreement]])
        family = family[family >= 0]
        return np.isin(self.issuer, family) | np.isin(self.issuer_parent, family)


class HoldingReach:
    """Which holdings reach a call: eligible, not wrong-way, alive and in time."""

    def __init__(
        self,
        book: Book,
        asset_frame: pd.DataFrame,
        assets: Assets,
        agreements: pd.DataFrame,
        calls: pd.DataFrame,
        sources: Sources,
        uses: Uses,
        eligibility: Eligibility,
    ) -> None:
        self._book = book
        self._sources = sources
        self._uses = uses
        self._eligibility = eligibility
        self._currency = agreements["base_currency"].to_numpy(object)[uses.agreement]
        self._margin_type = calls["margin_type"].tolist()
        self._families = Families.of(asset_frame, agreements)
        self._due = calls["due"].isna().to_numpy(), _nanoseconds(calls["due"])
        as_of_date = pd.Timestamp(book.settings.as_of.date())
        self._last_day = calls["due_date"].fillna(as_of_date).to_numpy("datetime64[ns]")
        self._maturity = asset_frame["maturity_date"].to_numpy("datetime64[ns]")
        self._nothing_held = sources.quantity <= 0

    def match(self, use: int) -> Match:
        """The match of the schedule in force for one call."""
        schedule = self._uses.schedule[use]
        return self._eligibility.match(schedule, self._currency[use], self._margin_type[use])

    def wrong_way(self, use: int) -> Bools:
        """Per asset: refused at this call because the counterparty's own family issued it."""
        if self._book.schedules[self._uses.schedule[use]].wrong_way == "allow":
            return np.zeros(len(self._maturity), dtype=bool)
        return self._families.wrong_way(int(self._uses.agreement[use]))

    def barriers(self, use: int) -> NDArray[np.int8]:
        """The first :class:`Barrier` before each source, for one call."""
        open_ended, due = self._due
        by_asset = np.select(
            [~self.match(use).eligible, self.wrong_way(use), self._maturity < self._last_day[use]],
            [Barrier.INELIGIBLE, Barrier.WRONG_WAY, Barrier.MATURES],
            Barrier.NONE,
        ).astype(np.int8)
        found = by_asset[self._sources.asset]
        if not open_ended[use]:
            late = self._sources.deliverable_at > due[use]
            found = np.where((found == Barrier.NONE) & late, Barrier.LATE, found)
        return np.where((found == Barrier.NONE) & self._nothing_held, Barrier.NOTHING_HELD, found).astype(np.int8)


def _edges(
    book: Book, assets: Assets, agreements: pd.DataFrame, sources: Sources, uses: Uses, reach: HoldingReach
) -> Edges:
    """An edge for every source without a barrier, use by use."""
    costs = PairCosts(book, assets, agreements, sources)
    codes: dict[Fraction, int] = {}
    source, use, code, cost, upper = [], [], [], [], []
    lot_value = (assets.lot * assets.unit_value)[sources.asset]
    for j in range(len(uses)):
        at = np.flatnonzero(reach.barriers(j) == Barrier.NONE)
        matched = reach.match(j)
        shared = np.array([codes.setdefault(f, len(codes)) for f in matched.factors] or [0], dtype=np.int64)
        source.append(at)
        use.append(np.full(len(at), j))
        code.append(shared[matched.factor_code[sources.asset[at]]])
        cost.append(costs.at(int(uses.agreement[j]))[at])
        # More than the call plus a lot is of no use there: whole lots overshoot by less than one. What is held is
        # left to the supply row, so that its dual is the price of the holding.
        upper.append(uses.required_float[j] / matched.factor[sources.asset[at]] + lot_value[at])
    return Edges(
        source=_joined(source).astype(np.int64),
        use=_joined(use).astype(np.int64),
        factor_code=_joined(code).astype(np.int64),
        factors=tuple(codes),
        cost_bps=_joined(cost).astype(np.float64),
        upper=_joined(upper).astype(np.float64),
    )


def _joined(parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
    return np.concatenate(parts) if parts else np.zeros(0)


class PairCosts:
    """A year's cost in basis points of letting each source go to an agreement."""

    def __init__(self, book: Book, assets: Assets, agreements: pd.DataFrame, sources: Sources) -> None:
        self._ids = agreements["agreement_id"].tolist()
        self._returns = agreements["cash_return_bps"].to_numpy(np.float64)
        self._sources = sources
        self._is_cash = assets.is_cash[sources.asset]
        frame = book.assets.set_index("asset_id")["currency"]
        self._currency = frame.loc[list(assets.ids)].to_numpy(object)[sources.asset]
        self._returns_by_currency = {
            key: group for key, group in book.cash_returns.groupby("agreement_id", sort=False)
        }
        self._rows = {key: group for key, group in book.costs.groupby("agreement_id", sort=False)}
        self._position = {h: i for i, h in enumerate(sources.ids)}
        self._asset_ids = np.array(assets.ids, dtype=object)[sources.asset]
        self._known: dict[int, Floats] = {}

    def at(self, agreement: int) -> Floats:
        """Per source, after what cash earns there."""
        if agreement not in self._known:
            self._known[agreement] = self._own(agreement) - self._cash_return(agreement)
        return self._known[agreement]

    def _own(self, agreement: int) -> Floats:
        cost = self._sources.cost_bps
        rows = self._rows.get(self._ids[agreement])
        if rows is None:
            return cost
        cost = cost.copy()
        by_holding = rows["holding_id"].notna()
        for asset, bps in rows.loc[~by_holding, ["asset_id", "cost_bps"]].itertuples(index=False):
            cost[self._asset_ids == asset] = bps
        for holding, bps in rows.loc[by_holding, ["holding_id", "cost_bps"]].itertuples(index=False):
            cost[self._position[holding]] = bps
        return cost

    def _cash_return(self, agreement: int) -> Floats:
        earned = np.full(len(self._sources), self._returns[agreement])
        rows = self._returns_by_currency.get(self._ids[agreement])
        if rows is not None:
            for currency, bps in rows[["currency", "bps"]].itertuples(index=False):
                earned[self._currency == currency] = bps
        return np.where(self._is_cash, earned, 0.0)
