"""What a scenario changes about a book: figures of calls, assets, holdings and facilities that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from collateral_opt.book import Book
from collateral_opt.book.tables import MOST
from collateral_opt.errors import UsageError
from collateral_opt.network.network import Bools, Floats, Ints

ByName = Mapping[str, float]


@dataclass(frozen=True)
class Change:
    """New figures by identifier; everything else stays as it is in the book.

    ``calls``: the amount of a call, in the call's currency (0 or more; of 0: the call is not made). ``prices``: the
    price of an asset, in the book's own terms (above 0; cash is worth one of its currency, and has none).
    ``quantities``: units of a holding (0 or more). ``costs``: what letting go of a holding costs, in basis points a
    year. ``capacities``: the most a facility produces, in the currency of what it gives (0 or more). ``name`` comes
    back with the answer.
    """

    name: str = ""
    calls: ByName = field(default_factory=dict)
    prices: ByName = field(default_factory=dict)
    quantities: ByName = field(default_factory=dict)
    costs: ByName = field(default_factory=dict)
    capacities: ByName = field(default_factory=dict)

    def applied_to(self, book: Book) -> Book:
        """``book`` with these figures, checked again.

        Raises:
            UsageError: something is named that the book does not have, or a figure is none: all of it at once.
            BookError: the book has an error with these figures.
        """
        placed = Places(book).of(self)
        frames: dict[str, Any] = {}
        for table, column, (row, figure) in (
            ("calls", "amount", placed.calls),
            ("assets", "price", placed.prices),
            ("holdings", "quantity", placed.quantities),
            ("holdings", "cost_bps", placed.costs),
            ("facilities", "capacity", placed.capacities),
        ):
            if len(row):
                frame = frames.get(table, getattr(book, table))
                figures = frame[column].to_numpy(dtype=np.float64, copy=True)
                figures[row] = figure
                frames[table] = frame.assign(**{column: figures})
        if not np.all(placed.calls[1] > 0):
            calls = frames["calls"]
            made = calls["amount"] > 0
            frames["calls"] = calls[made].reset_index(drop=True)
            gone = book.pins["call_id"].isin(calls["call_id"][~made])
            if gone.any():
                return book.replace(**frames, pins=book.pins[~gone].reset_index(drop=True))
        return book.with_figures(**frames) if _are_mere_figures(book, placed) else book.replace(**frames)


Placed = tuple[Ints, Floats]
"""Positions, and the figure at each."""
_NOWHERE: Placed = (np.zeros(0, dtype=np.int64), np.zeros(0))


@dataclass(frozen=True)
class PlacedChange:
    """A change by position in the tables of its book: calls, assets, holdings, holdings, facilities."""

    calls: Placed
    prices: Placed
    quantities: Placed
    costs: Placed
    capacities: Placed


def _are_mere_figures(book: Book, placed: PlacedChange) -> bool:
    """Whether no check of a book looks at figures like these, once each is one.

    Those of house limits and of what was received or sent do, schedules may speak of prices, and what is held of an
    asset decides whether its currency needs a rate.
    """
    if book.house_limits or len(book.received) or len(book.instructions):
        return False
    if len(placed.prices[0]) and any({"price", "price_factor"} & s.columns for s in book.schedules.values()):
        return False
    at, quantity = placed.quantities
    return bool(np.all((book.holdings["quantity"].to_numpy()[at] > 0) | (quantity == 0)))


class Places:
    """Where everything that a change may name stands in the tables of a book."""

    def __init__(self, book: Book) -> None:
        tables = {"call": book.calls, "asset": book.assets, "holding": book.holdings, "facility": book.facilities}
        # Read now: the tables may be written to while a session goes on.
        self._names = {thing: table[f"{thing}_id"].tolist() for thing, table in tables.items()}
        self._is_cash: Bools = np.asarray(book.assets["asset_type"].to_numpy() == "cash", dtype=bool)
        self._known: dict[str, Mapping[str, int]] = {}

    def _places(self, thing: str) -> Mapping[str, int]:
        """By identifier; made when something of the kind is first named."""
        if thing not in self._known:
            self._known[thing] = {name: at for at, name in enumerate(self._names[thing])}
        return self._known[thing]

    def of(self, change: Change) -> PlacedChange:
        """``change`` by position; :class:`UsageError` says everything that is wrong with it."""
        wrong: list[str] = []
        placed = PlacedChange(
            calls=self._placed("call", "amount", change.calls, wrong, least=0.0),
            prices=self._placed("asset", "price", change.prices, wrong, above=True),
            quantities=self._placed("holding", "quantity", change.quantities, wrong, least=0.0),
            costs=self._placed("holding", "cost_bps", change.costs, wrong),
            capacities=self._placed("facility", "capacity", change.capacities, wrong, least=0.0),
        )
        if len(placed.prices[0]) and self._is_cash[placed.prices[0]].any():
            names = [name for name in change.prices if self._is_cash[self._places("asset")[name]]]
            wrong += [f"asset {name!r} is cash, which is worth one of its currency: leave its price." for name in names]
        if wrong:
            named = f" {change.name!r}" if change.name else ""
            raise UsageError(f"the change{named} does not fit the book:\n" + "\n".join(f"  {text}" for text in wrong))
        return placed

    def _placed(
        self,
        thing: str,
        column: str,
        figures: ByName,
        wrong: list[str],
        *,
        least: float = -MOST,
        above: bool = False,
    ) -> Placed:
        """Positions and figures; in ``wrong`` goes what is not there, or not within ``least`` (or above 0) and the
        most."""
        if not figures:
            return _NOWHERE
        places = self._places(thing)
        try:
            at = np.fromiter(map(places.__getitem__, figures), dtype=np.int64, count=len(figures))
            figure = np.array(list(figures.values()), dtype=np.float64)
            if np.all((figure > 0 if above else figure >= least) & (figure <= MOST)):
                return at, figure
        except (KeyError, TypeError, ValueError):
            pass
        bound = "a number above 0" if above else f"a number of {least:g} or more"
        for name, value in figures.items():
            if name not in places:
                wrong.append(f"{thing} {name!r} is not in the book: correct the identifier, or leave it out.")
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not isfinite(value):
                wrong.append(f"{column} of {thing} {name!r} is {value!r}, which is not a number.")
            elif not ((value > 0 if above else value >= least) and value <= MOST):
                wrong.append(f"{column} of {thing} {name!r} is {value!r}: it must be {bound}, and {MOST:g} at most.")
        return _NOWHERE
