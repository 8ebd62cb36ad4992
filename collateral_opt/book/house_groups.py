"""What house limits count, in which groups, and what caps each group; sums of what is handed over are the caller's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from eligibility_rules import Context, LimitMatch, Rule, Schedule, ScheduleError, match_limits
from eligibility_rules.limits import UNKNOWN_GROUP, Measure
from eligibility_rules.scalars import exact
from eligibility_rules.vocabulary import PER_ASSET

from ..errors import Finding
from .codes import finding
from .house import BY_COUNTERPARTY, BY_HOLDING, TABLE, Held, HouseLimit, problem_finding

if TYPE_CHECKING:
    from .book import Book

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int32]]
Positions = np.ndarray[Any, np.dtype[np.int64]]
By = Literal["asset", "holding", "counterparty"]


@dataclass(frozen=True, eq=False)
class GroupCap:
    """One cap on every group: `money` and `min_left` state ``amount`` of ``currency``, the others a ``share``."""

    of: Literal["money", "held", "outstanding", "market_cap", "adv", "min_left"]
    share: Fraction | None
    amount: Fraction | None
    currency: str | None
    _most: Callable[[], Iterable[Fraction]] = field(repr=False)

    @cached_property
    def most(self) -> tuple[Fraction, ...]:
        """By group, exact, in the limit's measure (base currency, or units): the cap; of `min_left` what may leave.

        0 where a figure it needs is unknown.
        """
        return tuple(self._most())


@dataclass(frozen=True, eq=False)
class HouseGroups:
    """What one house limit counts, in which group, under which caps (all of which bind).

    Group numbers are positions in ``groups``, -1 where nothing counts. ``counts`` bool[assets]: selected, or not
    known not to be. ``by`` says which of the arrays tells the groups apart: ``of_asset`` int32[assets], or
    ``of_holding`` int32[holdings], or ``of_agreement`` int32[agreements] with ``of_facility`` int32[facilities].
    The others are all 0 (what does not tell groups apart), but for ``of_facility`` of a limit by agreement: a
    facility is at no agreement, -1. Assets are in the order of the frame that was asked about, the rest in the book's.
    """

    label: str
    """As limits show it, told apart from limits of the same name."""
    measure: Measure
    leaving: bool
    """True: counts only what leaves holdings in this run. False: what is delivered, what a facility is given from a
    holding, and what is posted and stays."""
    by: By
    counts: Bools
    of_asset: Ints
    of_holding: Ints
    of_agreement: Ints
    of_facility: Ints
    groups: tuple[str, ...]
    caps: tuple[GroupCap, ...]

    def group_of(self, asset: Positions, holding: Positions, agreement: Positions, facility: Positions) -> Ints:
        """int32[k]: the group in which each of k movements counts, -1 for none.

        A movement is an ``asset`` that goes from a ``holding`` (-1: proceeds, or what is posted already) to an
        ``agreement`` or a ``facility`` (-1 for the one it does not go to). For what is posted and stays, ask with
        holding and facility -1.
        """
        asset, holding, agreement, facility = (
            np.asarray(positions, dtype=np.int64) for positions in (asset, holding, agreement, facility)
        )
        counted = self.counts[asset] & ((holding >= 0) | ((facility < 0) & (not self.leaving)))
        if self.by == "asset":
            group = self.of_asset[asset]
        elif self.by == "holding":
            group = _at(self.of_holding, holding)
        else:
            group = np.where(facility >= 0, _at(self.of_facility, facility), _at(self.of_agreement, agreement))
        return np.where(counted, group, -1).astype(np.int32)


def _at(groups: Ints, positions: Positions) -> Ints:
    """The group at each position; -1 for position -1."""
    found: Ints = np.append(groups, np.int32(-1))[positions]
    return found


def _over_assets(book: Book, assets: pd.DataFrame) -> tuple[LimitMatch, ...]:
    """What each limit selects of ``assets`` and in which asset group, labels told apart; raises ScheduleError."""
    settings = book.settings
    limits = tuple(limit.over_assets(settings.base_currency) for limit in book.house_limits)
    schedule = Schedule(name=TABLE, rules=(Rule(haircut=Fraction(0)),), limits=limits)
    context = Context(settings.as_of.date(), settings.base_currency, None, settings.owner_parent)
    return match_limits(schedule, assets, context)


def house_findings(book: Book) -> list[Finding]:
    """E501: a select that the assets' cells do not allow. W522: caps that cannot be told for assets in play."""
    play = {*book.holdings["asset_id"], *book.posted["asset_id"], *book.facilities["gives"]} - {None}
    assets = book.assets[book.assets["asset_id"].isin(list(play))].reset_index(drop=True)
    try:
        matched = _over_assets(book, assets)
    except ScheduleError as error:
        return [problem_finding(p.where, p.value, p.message, p.remedy) for p in error.problems]
    found: list[Finding] = []
    for limit, match in zip(book.house_limits, matched, strict=True):
        for of in (cap.of for cap in limit.caps if cap.of in PER_ASSET):
            blank = np.flatnonzero(match.counts & assets[of].isna().to_numpy())
            if len(blank):
                first = assets["asset_id"].iloc[int(blank[0])]
                found.append(finding("W522", TABLE, column=match.label, value=first, count=len(blank), columns=of))
    return found


def house_groups(book: Book, assets: pd.DataFrame | None = None) -> list[HouseGroups]:
    """Each house limit of the book, in the order they are written, over ``assets``: rows of the book's, or all.

    What is held is told from the whole book, whatever ``assets`` are asked about.
    """
    if not book.house_limits:
        return []
    stock = _Stock(book)
    asked = book.assets if assets is None else assets
    rows = np.array([stock.position[identifier] for identifier in asked["asset_id"]], dtype=np.int64)
    return [
        _house_groups(stock, limit, match, rows)
        for limit, match in zip(book.house_limits, _over_assets(book, book.assets), strict=True)
    ]


def _house_groups(stock: _Stock, limit: HouseLimit, match: LimitMatch, rows: Positions) -> HouseGroups:
    book = stock.book
    of_holding = np.zeros(len(book.holdings), dtype=np.int32)
    of_agreement = np.zeros(len(book.agreements), dtype=np.int32)
    of_facility = np.zeros(len(book.facilities), dtype=np.int32)
    of_asset, groups = match.group, match.groups
    by: By = "asset"
    if limit.group_by in BY_HOLDING:
        by, of_asset = "holding", np.zeros(len(book.assets), dtype=np.int32)
        counted = match.counts[stock.asset_of_holding]
        names = book.holdings["holding_id" if limit.group_by == "holding" else "location"]
        of_holding, groups = _numbered([name if c else None for name, c in zip(names, counted, strict=True)])
    elif limit.group_by in BY_COUNTERPARTY:
        by, of_asset = "counterparty", np.zeros(len(book.assets), dtype=np.int32)
        takers, given = _takers(book, limit.group_by)
        numbers, groups = _numbered([*takers, *given])
        of_agreement, of_facility = numbers[: len(takers)], numbers[len(takers) :]
    return HouseGroups(
        label=match.label,
        measure=limit.measure,
        leaving=limit.leaving,
        by=by,
        counts=match.counts[rows],
        of_asset=of_asset[rows],
        of_holding=of_holding,
        of_agreement=of_agreement,
        of_facility=of_facility,
        groups=groups,
        caps=tuple(_caps(_Sized(stock, limit.measure, by, match.counts, of_asset, of_holding, groups), limit)),
    )


def _takers(book: Book, group_by: str) -> tuple[list[str | None], list[str | None]]:
    """By agreement and by facility: the name of who takes, None for no group; a facility's may be unknown."""
    if group_by == "agreement":
        return book.agreements["agreement_id"].tolist(), [None] * len(book.facilities)
    names = book.agreements["counterparty"].tolist()
    if group_by == "counterparty_parent":
        parents = book.agreements["counterparty_parent"].tolist()
        names = [parent or own for parent, own in zip(parents, names, strict=True)]
    return names, [name or UNKNOWN_GROUP for name in book.facilities["counterparty"]]


def _numbered(names: Sequence[str | None]) -> tuple[Ints, tuple[str, ...]]:
    """Each name's position among the sorted names that occur, -1 for None; and these names."""
    groups = sorted({name for name in names if name is not None})
    place = {name: position for position, name in enumerate(groups)}
    return np.array([-1 if name is None else place[name] for name in names], dtype=np.int32), tuple(groups)


# -------------------- what caps come to


class _Stock:
    """Exact figures of the book: what an asset is worth, and what is held."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.position = {identifier: i for i, identifier in enumerate(book.assets["asset_id"])}
        self.asset_of_holding = np.array([self.position[a] for a in book.holdings["asset_id"]], dtype=np.int64)
        self._unit_values: dict[int, Fraction | None] = {}

    @cached_property
    def quantities(self) -> list[Fraction]:
        """By holding."""
        return [exact(quantity) for quantity in self.book.holdings["quantity"].tolist()]

    @cached_property
    def _prices(self) -> list[list[float]]:
        prices: list[list[float]] = self.book.assets[["price", "price_factor"]].to_numpy(np.float64).tolist()
        return prices

    @cached_property
    def _currencies(self) -> list[str]:
        return list(self.book.assets["currency"])

    @cached_property
    def stated(self) -> Mapping[str, list[float]]:
        """By asset: what the columns that caps are shares of say, NaN where unknown."""
        return {of: self.book.assets[of].to_numpy(np.float64).tolist() for of in PER_ASSET}

    def rate(self, currency: str) -> Fraction:
        """Base units for one unit of ``currency``."""
        return exact(self.book.rates[currency])

    def local_price(self, asset: int) -> Fraction | None:
        """Value of one unit in the asset's own currency; None where the price is unknown."""
        price, factor = self._prices[asset]
        return None if math.isnan(price) else exact(price) * exact(factor)

    def unit_value(self, asset: int) -> Fraction | None:
        """Value of one unit in base currency; None where price or rate is unknown."""
        if asset not in self._unit_values:
            price, currency = self.local_price(asset), self._currencies[asset]
            known = price is not None and currency in self.book.rates
            self._unit_values[asset] = price * self.rate(currency) if price is not None and known else None
        return self._unit_values[asset]


@dataclass(frozen=True, eq=False)
class _Sized:
    """The groups of one limit over the whole book, and what is held or known of each."""

    stock: _Stock
    measure: Measure
    by: By
    counts: Bools
    of_asset: Ints
    of_holding: Ints
    groups: tuple[str, ...]

    def held(self) -> list[Fraction]:
        """By group: all that is held of what counts, in the measure."""
        total = [Fraction(0)] * len(self.groups)
        counts, group = self.counts.tolist(), (self.of_asset if self.by == "asset" else self.of_holding).tolist()
        for holding, asset in enumerate(self.stock.asset_of_holding.tolist()):
            at = group[asset if self.by == "asset" else holding]
            if counts[asset] and at >= 0:
                unit = Fraction(1) if self.measure == "quantity" else self.stock.unit_value(asset) or 0
                total[at] += self.stock.quantities[holding] * unit
        return total

    def share_of_held(self, share: Fraction) -> Iterator[Fraction]:
        return (share * held for held in self.held())

    def above(self, amount: Fraction) -> Iterator[Fraction]:
        """What may leave so that ``amount`` stays."""
        return (max(Fraction(0), held - amount) for held in self.held())

    def money(self, amount: Fraction) -> Iterator[Fraction]:
        if self.measure != "quantity":
            return (amount for _ in self.groups)
        unit_values = (self.stock.unit_value(asset) for asset in self.assets())
        return (amount / unit_value if unit_value else Fraction(0) for unit_value in unit_values)

    def share_of_figure(self, of: str, share: Fraction) -> Iterator[Fraction]:
        """``share`` of what the column ``of`` says of each group's asset."""
        for asset in self.assets():
            stated, price = self.stock.stated[of][asset], self.stock.local_price(asset)
            unit_value = self.stock.unit_value(asset)
            if math.isnan(stated) or not price or not unit_value:
                yield Fraction(0)
                continue
            units = exact(stated) / price if of == "market_cap" else exact(stated)
            yield share * units * (1 if self.measure == "quantity" else unit_value)

    def assets(self) -> list[int]:
        """By group: its one asset, where groups are assets or holdings."""
        if self.by == "asset":
            return [self.stock.position[name] for name in self.groups]
        holdings = self.stock.book.holdings["holding_id"]
        of = dict(zip(holdings, self.stock.asset_of_holding.tolist(), strict=True))
        return [of[name] for name in self.groups]


def _caps(sized: _Sized, limit: HouseLimit) -> Iterator[GroupCap]:
    if limit.min_left is not None:
        amount, currency = limit.min_left.amount, limit.min_left.currency
        yield GroupCap("min_left", None, amount, currency, partial(sized.above, amount * sized.stock.rate(currency)))
    for cap in limit.caps:
        share = cap.share or Fraction(0)
        if isinstance(cap, Held):
            yield GroupCap("held", share, None, None, partial(sized.share_of_held, share))
        elif cap.of == "money":
            amount, currency = cap.amount or Fraction(0), cap.currency or ""
            yield GroupCap("money", None, amount, currency, partial(sized.money, amount * sized.stock.rate(currency)))
        elif cap.of in ("outstanding", "market_cap", "adv"):  # the rest is refused when the limit is read
            yield GroupCap(cap.of, share, None, None, partial(sized.share_of_figure, cap.of, share))
