"""What the book says about one asset, holding, call, agreement or facility, exact and remembered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements
from collateral_opt.result.checker.columns import Tables
from collateral_opt.result.checker.figures import NOTHING, ONE, exact, exact_product, grouped, product
from collateral_opt.result.checker.memory import Departures, departures_of, reading_of
from eligibility_rules import Context, LimitMatch, Match, minor_unit


class Terms:
    """The book's cells, and the few figures that follow from them."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.tables = Tables(book)
        self._families: dict[int, frozenset[str]] = {}
        self._lots: dict[int, Fraction] = {}
        self._unit_values: dict[int, Fraction] = {}

    def cell(self, table: str, column: str, row: int) -> Any:
        """One cell of the book."""
        return self.tables[table][column][row]

    # --- who and where

    @cached_property
    def agreement_of_call(self) -> list[int]:
        return self.tables["agreements"].rows_of("agreement_id", self.tables["calls"]["agreement_id"])

    @cached_property
    def schedule_in_force(self) -> list[str]:
        """By call: its own schedule, else its agreement's."""
        return [
            own or str(self.cell("agreements", "schedule", agreement))
            for own, agreement in zip(self.tables["calls"].texts("schedule"), self.agreement_of_call, strict=True)
        ]

    @cached_property
    def margin_types(self) -> list[str | None]:
        """By call."""
        return self.tables["calls"].texts("margin_type")

    @cached_property
    def calls_of_agreement(self) -> Mapping[int, tuple[int, ...]]:
        return grouped(range(len(self.book.calls)), lambda call: self.agreement_of_call[call])

    def posted_margin_type(self, agreement: int) -> str | None:
        """The margin type of what is posted at an agreement, or replaces it: its calls' own, when they have one."""
        kinds = {self.margin_types[call] for call in self.calls_of_agreement.get(agreement, ())}
        return next(iter(kinds)) if len(kinds) == 1 else None

    @cached_property
    def asset_of_holding(self) -> list[int]:
        """By holding: the position of its asset."""
        return self.tables["assets"].rows_of("asset_id", self.tables["holdings"]["asset_id"])

    @cached_property
    def in_play(self) -> list[int]:
        """Positions of the assets that are held, posted, or produced by a facility, each once."""
        posted = self.tables["assets"].rows_of("asset_id", self.tables["posted"]["asset_id"])
        return sorted({*self.asset_of_holding, *posted, *self.gives} - {-1})

    @cached_property
    def gives(self) -> list[int]:
        """By facility: the position of the asset it produces."""
        return self.tables["assets"].rows_of("asset_id", self.tables["facilities"]["gives"])

    @cached_property
    def takes(self) -> list[str | None]:
        """By facility: the schedule of what it accepts; None where it produces out of nothing."""
        return self.tables["facilities"].texts("takes")

    def agreement_family(self, agreement: int) -> frozenset[str]:
        """The counterparty of an agreement and its parent."""
        if agreement not in self._families:
            names = ("counterparty", "counterparty_parent")
            self._families[agreement] = family(*(self.cell("agreements", name, agreement) for name in names))
        return self._families[agreement]

    def facility_family(self, facility: int) -> frozenset[str]:
        return family(self.cell("facilities", "counterparty", facility))

    def wrong_way(self, asset: int, theirs: frozenset[str], schedule: str) -> bool:
        """Whether the asset is issued inside the family ``theirs``, and the schedule does not allow that."""
        issued = any(self.cell("assets", name, asset) in theirs for name in ("issuer", "issuer_parent"))
        return issued and self.book.schedules[schedule].wrong_way != "allow"

    # --- when

    @cached_property
    def as_of(self) -> pd.Timestamp:
        return pd.Timestamp(self.book.settings.as_of).tz_convert("UTC")

    @cached_property
    def _movements(self) -> Movements:
        return Movements(self.book)

    def arrives(self, holding: int) -> pd.Timestamp:
        """When a holding can have been delivered: its start, after cut-off and holidays, and settle_hours."""
        return moment_after(self._departures.starts[holding], self.cell("holdings", "settle_hours", holding))

    def settling(self, holding: int) -> pd.Timedelta:
        return pd.Timedelta(hours=float(self.cell("holdings", "settle_hours", holding)))

    def recall_starts(self, agreement: int, earliest: pd.Timestamp) -> pd.Timestamp:
        """When a recall that may start from ``earliest`` on starts, after cut-off and holidays."""
        return self._movements.recall_start(agreement, earliest)

    def opens(self, facility: int) -> pd.Timestamp:
        """When a facility's proceeds can be delivered, and by when what it takes must have arrived."""
        return self.as_of + pd.Timedelta(hours=float(self.cell("facilities", "access_hours", facility)))

    def opening_day(self, facility: int) -> pd.Timestamp:
        """The day of :meth:`opens` as ``as_of``'s own offset writes it."""
        local = self.opens(facility).tz_convert(self.book.settings.as_of.tzinfo)
        return local.tz_localize(None).normalize()

    # --- how much

    def rate(self, currency: str) -> Fraction:
        """Base units for one unit of ``currency``."""
        return exact(self.book.rates[currency])

    def base_currency(self, agreement: int) -> str:
        """The currency an agreement is kept in."""
        return str(self.cell("agreements", "base_currency", agreement))

    def currency(self, asset: int) -> str:
        return str(self.cell("assets", "currency", asset))

    def local_price(self, asset: int) -> Fraction:
        """Value of one unit in the asset's own currency."""
        return exact_product(self.cell("assets", "price", asset), self.cell("assets", "price_factor", asset))

    def unit_value(self, asset: int) -> Fraction:
        """Value of one unit in base currency."""
        if asset not in self._unit_values:
            price, factor = (self.cell("assets", name, asset) for name in ("price", "price_factor"))
            self._unit_values[asset] = exact_product(price, factor, self.book.rates[self.currency(asset)])
        return self._unit_values[asset]

    def is_cash(self, asset: int) -> bool:
        return bool(self.cell("assets", "asset_type", asset) == "cash")

    def lot(self, asset: int) -> Fraction:
        """The step of a quantity: the asset's own, else the minor unit of cash, else 1."""
        if asset not in self._lots:
            stated = self.cell("assets", "lot_size", asset)
            minor = Fraction(1, 10 ** minor_unit(self.currency(asset))) if self.is_cash(asset) else ONE
            self._lots[asset] = minor if math.isnan(stated) else exact(stated)
        return self._lots[asset]

    def minimum_denomination(self, asset: int) -> Fraction:
        """The least that may be delivered of the asset; 0 where the book does not say."""
        return self._minimum_denominations[asset]

    @cached_property
    def _minimum_denominations(self) -> list[Fraction]:
        if "min_denomination" not in self.book.assets.columns:
            return [NOTHING] * len(self.book.assets)
        return [NOTHING if math.isnan(least) else exact(least) for least in self.tables["assets"]["min_denomination"]]

    def least_quantity(self, asset: int, agreement: int) -> Fraction:
        """The least whole lots that make a deliverable line of the asset at an agreement."""
        lot, unit_value = self.lot(asset), self.unit_value(asset)
        least = self.minimum_denomination(asset)
        if unit_value > 0:
            least = max(least, self.minimum_line_value(agreement) / unit_value)
        return max(1, math.ceil(least / lot)) * lot

    def minimum_line_value(self, agreement: int) -> Fraction:
        """An agreement's ``min_line_value`` in the book's base currency."""
        return self._minimum_line_values[agreement]

    @cached_property
    def _minimum_line_values(self) -> list[Fraction]:
        return [
            exact(least) * self.rate(self.base_currency(agreement))
            for agreement, least in enumerate(self.tables["agreements"]["min_line_value"])
        ]

    def held(self, holding: int) -> Fraction:
        """Units of a holding."""
        return exact(self.cell("holdings", "quantity", holding))

    def capacity(self, facility: int) -> Fraction:
        """The most a facility can produce, in base currency."""
        stated = exact(self.cell("facilities", "capacity", facility))
        return stated * self.rate(self.currency(self.gives[facility]))

    # --- at what cost

    @cached_property
    def pair_costs(self) -> Mapping[tuple[str, int, str, int], Fraction]:
        """Basis points that replace the holding's, by ("holding" | "asset", row, "agreement" | "facility", row)."""
        found: dict[tuple[str, int, str, int], Fraction] = {}
        table = self.tables["costs"]
        holdings, assets, agreements, facilities = (
            self.tables[of].rows_of(name, table.texts(name))
            for of, name in (
                ("holdings", "holding_id"), ("assets", "asset_id"),
                ("agreements", "agreement_id"), ("facilities", "facility_id"),
            )
        )  # fmt: skip
        for holding, asset, agreement, facility, bps in zip(
            holdings, assets, agreements, facilities, table["cost_bps"], strict=True
        ):
            what = ("holding", holding) if holding >= 0 else ("asset", asset)
            place = ("agreement", agreement) if agreement >= 0 else ("facility", facility)
            found[*what, *place] = exact(bps)
        return found

    @cached_property
    def cash_returns(self) -> Mapping[tuple[str, str], Fraction]:
        table = self.tables["cash_returns"]
        pairs = zip(table["agreement_id"], table["currency"], strict=True)
        return dict(zip(pairs, map(exact, table["bps"]), strict=True))

    def holding_bps(self, holding: int, asset: int, place: tuple[str, int]) -> Fraction:
        """Yearly basis points of letting a holding go to ``place``: the pair's own, else the holding's.

        A place is ``agreement`` or ``facility`` and its row. Of no known holding (-1) the asset's own there, else
        nothing.
        """
        bps = None
        if holding >= 0 and self.pair_costs:
            bps = self.pair_costs.get(("holding", holding, *place))
        if bps is None and self.pair_costs:
            bps = self.pair_costs.get(("asset", asset, *place))
        if bps is None:
            return exact(self.cell("holdings", "cost_bps", holding)) if holding >= 0 else NOTHING
        return bps

    def cash_return_bps(self, asset: int, agreement: int) -> Fraction:
        """What cash earns at an agreement; nothing for anything else."""
        if not self.is_cash(asset):
            return NOTHING
        agreement_id = str(self.cell("agreements", "agreement_id", agreement))
        earned = self.cash_returns.get((agreement_id, self.currency(asset)))
        return exact(self.cell("agreements", "cash_return_bps", agreement)) if earned is None else earned

    def keep_bps(self, row: int, holding: int, asset: int, agreement: int) -> Fraction:
        """Yearly basis points of leaving a row of ``posted`` in place: its own, else as if delivered there."""
        own = float(self.cell("posted", "cost_bps", row))
        bps = self.holding_bps(holding, asset, ("agreement", agreement)) if math.isnan(own) else exact(own)
        return bps - self.cash_return_bps(asset, agreement)

    def holding_move_cost(self, holding: int) -> Fraction:
        """What one movement out of a holding costs."""
        return self._departures.costs[holding]

    @cached_property
    def _departures(self) -> Departures:
        return departures_of(self.book, self.tables)

    def agreement_move_cost(self, agreement: int) -> Fraction:
        """What one recall from an agreement costs."""
        return exact(self._movements.agreement_move_cost(agreement))

    def cost(self, market_value: Fraction, bps: Fraction) -> Fraction:
        """What ``bps`` a year on ``market_value`` comes to over the horizon."""
        return product(market_value, bps, self._years_in_bps) if bps else NOTHING

    @cached_property
    def _years_in_bps(self) -> Fraction:
        """The horizon in years, over 10^4."""
        settings = self.book.settings
        return exact(settings.horizon_days) / exact(settings.day_count) / 10**4

    def facility_cost(self, facility: int, produced: Fraction) -> Fraction:
        """What producing ``produced`` costs: a yearly rate over the horizon, and once."""
        once = exact(self.cell("facilities", "one_off_bps", facility))
        return self.cost(produced, exact(self.cell("facilities", "cost_bps", facility))) + produced * once / 10**4


class Matches:
    """What schedules say of the assets in play; base currency and margin type are named where they matter."""

    def __init__(self, book: Book, assets: list[int]) -> None:
        self._book = book
        self._reading = reading_of(book, assets)
        self._found: dict[tuple[str, str, str | None], Match] = {}
        self._limits: dict[tuple[str, str], tuple[LimitMatch, ...]] = {}

    def of(self, schedule: str, currency: str, margin_type: str | None = None) -> Match:
        asked = (schedule, currency, margin_type)
        if asked not in self._found:
            rules = self._book.schedules[schedule]
            read_in = currency if rules.currency_sensitive else self._book.settings.base_currency
            context = self._context(read_in, margin_type if rules.margin_sensitive else None)
            self._found[asked] = self._reading.match(rules, context)
        return self._found[asked]

    def limits(self, schedule: str, currency: str) -> tuple[LimitMatch, ...]:
        if (schedule, currency) not in self._limits:
            rules = self._book.schedules[schedule]
            self._limits[schedule, currency] = self._reading.limits(rules, self._context(currency, None))
        return self._limits[schedule, currency]

    def _context(self, currency: str, margin_type: str | None) -> Context:
        settings = self._book.settings
        return Context(settings.as_of.date(), currency, margin_type, settings.owner_parent)


@lru_cache(maxsize=2**12)
def moment_after(start: int, hours: float) -> pd.Timestamp:
    """So many hours after ``start`` (nanoseconds UTC); remembered, as most holdings move alike."""
    return pd.Timestamp(start, unit="ns", tz="UTC") + pd.Timedelta(hours=hours)


def family(*names: str | None) -> frozenset[str]:
    """The known names of a group of companies; an unknown name belongs to nobody."""
    return frozenset(name for name in names if name)
