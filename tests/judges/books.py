"""Books to try the product on: small awkward ones for hypothesis, larger ones from a seed, and their files.

One set of functions draws a book from a :class:`Chooser`; hypothesis' ``draw`` and numpy's Generator are
both choosers, so soak runs and property tests see the same kinds of book. ``size`` is one of

* ``tiny``: at most three calls and four holdings, coarse lots; small enough for an optimum in whole lots;
* ``small``: up to 12 assets with everything that can go wrong;
* ``medium``: 30 to 60 assets and about 15 calls.

:class:`Extras` add to the book of a seed: what they draw is drawn last, in the order of its fields (only the size of a
tiny book in scope ``reoptimise`` is drawn otherwise). Facilities come with agreements that take nothing but cash, so
that they are needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import yaml
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collateral_opt.book import Book

T = TypeVar("T")
Rule = dict[str, Any]

AS_OF = datetime.fromisoformat("2026-03-02T08:00:00+01:00")
CURRENCIES = ("EUR", "USD", "JPY", "GBP")
IN_EUR = {"EUR": 1.0, "USD": 0.9137, "JPY": 0.0061, "GBP": 1.17}
ISSUERS = ("I1", "I2", "I3", "CP1", "OWN")
PARENTS = ("P1", "P2", "OWN")
COUNTRIES = ("US", "DE", "GB", "JP")
TYPES = ("debt", "cash", "equity", "debt", "fund", "debt")
IDENTIFIERS = ("037833100", "12345E10", "NA", "007", "1e5", "null", "Ä 1", "x-1")
RATINGS = {
    "sp": ("AAA", "AA-", "A", "BBB-", "BB+", "NR"),
    "moodys": ("Aaa", "Aa3", "A2", "Baa3", "Ba1"),
    "fitch": ("AA+", "A", "BBB", "BB", "WD"),
    "dbrs": ("AA (low)", "A", "BBB (high)"),
}
CASH = {"asset_type": "cash"}
TENORS = ("30D", "1Y", "5Y", "10Y")


class Chooser(Protocol):
    """Where the choices come from."""

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible."""
        ...


class Draw:
    """hypothesis chooses (and shrinks towards low numbers)."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


class Seeded:
    """numpy's Generator chooses."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self._generator.integers(low, high + 1))


@dataclass(frozen=True)
class BookTables:
    """A book as plain tables: frames as files hold them, settings, schedules (a frame is a list schedule)."""

    tables: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Any]
    schedules: Mapping[str, Mapping[str, Any] | pd.DataFrame]

    def to_book(self) -> Book:
        """The product's Book of these tables; raises its BookError."""
        from collateral_opt.book import Book
        from eligibility_rules import load_schedule

        schedules: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, schedule in self.schedules.items():
                if isinstance(schedule, pd.DataFrame):
                    path = Path(folder) / f"{name}.csv"
                    schedule.to_csv(path, index=False)
                    schedules[name] = load_schedule(path)
                else:
                    schedules[name] = schedule
        return Book.from_tables(dict(self.tables), settings=dict(self.settings), schedules=schedules)


def write_book(book: BookTables, folder: Path) -> Path:
    """Write a book as a folder of settings, CSV tables and schedules; returns the folder."""
    schedules = folder / "schedules"
    schedules.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in book.settings.items() if value is not None}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    for name, table in book.tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    for name, schedule in book.schedules.items():
        if isinstance(schedule, pd.DataFrame):
            schedule.to_csv(schedules / f"{name}.csv", index=False)
        else:
            text = yaml.safe_dump(dict(schedule), sort_keys=False, allow_unicode=True)
            (schedules / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Extras:
    """What a book may have beside calls in scope ``calls``."""

    facilities: bool = False
    reserves: bool = False
    reoptimise: bool = False
    """Scope ``reoptimise``, with posted rows that may be recalled, requirements and minimum transfers."""
    min_line: bool = False
    """Least lines of agreements and of assets."""
    max_lines: bool = False
    moves: bool = False
    """Locations with costs of movements (no cut-offs), and sometimes a cap on moves."""
    pins: bool = False
    """Mostly possible ones."""


def random_book(
    seed: int, size: str = "small", facilities: bool = False, reserves: bool = False, **extras: bool
) -> BookTables:
    """A book from a seed: the same seed, size and flags (fields of :class:`Extras`) give the same book."""
    return Maker(Seeded(seed), size, Extras(facilities, reserves, **extras)).book()


@st.composite
def books(
    draw: st.DrawFn, size: str = "small", facilities: bool = False, reserves: bool = False, **extras: bool
) -> BookTables:
    """Books for property tests; ``tiny``, ``small`` or ``medium``, with flags as :func:`random_book` has them."""
    return Maker(Draw(draw), size, Extras(facilities, reserves, **extras)).book()


class Maker:
    """Draws one book, table by table."""

    def __init__(self, chooser: Chooser, size: str, extras: Extras) -> None:
        self.chooser = chooser
        self.size = size
        self.extras = extras
        self.tiny = size == "tiny"

    # --- choices

    def integer(self, low: int, high: int) -> int:
        return self.chooser.integer(low, high)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        """True in so many cases of a hundred; shrinks to false."""
        return self.integer(0, 99) >= 100 - percent

    def some(self, options: Sequence[T], most: int = 99) -> list[T]:
        """At least one of the options, without repeats."""
        count = self.integer(1, min(most, len(options)))
        left = list(options)
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(count)]

    def maybe(self, percent: int, options: Sequence[T]) -> T | None:
        """One of the options so often, else None: a fact that is missing."""
        return self.pick(options) if self.chance(percent) else None

    def counts(self) -> tuple[int, int, int]:
        """Assets, agreements, calls."""
        if self.tiny and self.extras.reoptimise:
            return self.integer(3, 4), self.integer(2, 3), self.integer(1, 2)
        if self.tiny:
            return self.pick((3, 4, 2, 1)), self.integer(1, 2), self.integer(1, 3)
        if self.size == "medium":
            return self.integer(30, 60), self.integer(3, 6), self.integer(10, 20)
        return self.integer(1, 12), self.integer(1, 4), 0 if self.chance(3) else self.integer(1, 7)

    # --- the book

    def book(self) -> BookTables:
        n_assets, n_agreements, n_calls = self.counts()
        self.home = self.pick(("EUR", "USD"))
        self.currencies = [self.home, *[c for c in self.some(CURRENCIES, 3) if c != self.home]]
        self.rates = {c: 1.0 if c == self.home else round(IN_EUR[c] / IN_EUR[self.home], 6) for c in self.currencies}
        # Most books can be covered: the last rule takes everything, amounts are small beside what there is.
        self.generous = not self.chance(35)
        self.same_cost = self.maybe(12, (0.0, 5.0))
        self.scale = 1.0 if self.tiny else self.pick((1.0, 1.0, 1.0, 1.0, 1e4, 1e7))
        self.assets = [self.asset(i) for i in range(n_assets)]
        self.holdings = [h for a in self.assets for h in self.holdings_of(a)] or self.holdings_of(self.assets[0], 1)
        names = [f"S{i}" for i in range(self.integer(1, 3))]
        self.schedules: dict[str, Mapping[str, Any] | pd.DataFrame] = {n: self.schedule(n) for n in names}
        self.agreements = [self.agreement(i, names) for i in range(n_agreements)]
        self.calls = [self.call(i, names) for i in range(n_calls)]
        tables = {
            "assets": frame(self.assets),
            "holdings": frame(self.holdings),
            "agreements": frame(self.agreements),
            "calls": frame(self.calls, ("call_id", "agreement_id", "amount", "currency", "due", "priority")),
            "fx": frame(
                [{"currency": c, "rate": r} for c, r in self.rates.items() if c != self.home],
                ("currency", "rate"),
            ),
            "cash_returns": frame(self.cash_returns(), ("agreement_id", "currency", "bps")),
            "costs": frame(self.pair_costs(), ("holding_id", "asset_id", "agreement_id", "cost_bps")),
            "posted": frame(self.posted(), ("agreement_id", "asset_id", "quantity")),
        }
        required = {"assets", "holdings", "agreements", "calls"}
        settings = self.settings()
        extras = self.extras
        if extras.facilities:
            tables |= self.facility_tables(tables["costs"])
        if extras.reserves:
            tables |= self.reserve_tables()
        if extras.reoptimise:
            settings["scope"] = "reoptimise"
            tables |= self.posted_tables()
        if extras.min_line:
            tables |= self.least_lines()
        if extras.max_lines:
            tables |= self.line_caps()
        if extras.moves:
            tables |= self.places(settings)
        book = BookTables(
            tables={name: table for name, table in tables.items() if name in required or len(table)},
            settings=settings,
            schedules=self.schedules,
        )
        return self.pinned(book) if extras.pins else book

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"as_of": AS_OF.isoformat(), "base_currency": self.home}
        if self.chance(30):
            settings["horizon_days"] = self.pick((1, 7, 30))
        if self.chance(30):
            settings["day_count"] = 365
        if self.chance(50):
            settings["owner_parent"] = "OWN"
        return settings

    # --- what there is

    def asset(self, i: int) -> Rule:
        kind = self.pick(TYPES)
        currency = self.pick(self.currencies)
        asset: Rule = {
            "asset_id": IDENTIFIERS[i] if i < len(IDENTIFIERS) and self.chance(40) else f"A{i}",
            "asset_type": kind,
            "currency": currency,
            "price": None,
            "price_factor": None,
            "lot_size": None,
        }
        if kind == "cash":
            if self.tiny:
                asset["lot_size"] = self.pick((1000.0, 500.0, 2500.0))
        elif kind == "debt":
            asset["price"] = self.pick((100.0, 98.5, 101.375, 87.123))
            asset["price_factor"] = 0.01
            asset["lot_size"] = self.pick((1000.0, 5000.0)) if self.tiny else self.pick((None, 1000.0, 100.0, 0.01))
        else:
            asset["price"] = self.pick((10.0, 12.34, 250.5, 0.8125))
            asset["lot_size"] = self.pick((100.0, 50.0)) if self.tiny else self.pick((None, 100.0, 1.0))
        if kind != "cash" and self.chance(6):
            asset["min_denomination"] = (asset["lot_size"] or 1.0) * self.pick((2, 3, 10))
        if kind != "cash":
            asset.update(self.facts(i, kind))
        return asset

    def facts(self, i: int, kind: str) -> Rule:
        """What rules ask for; often missing."""
        facts: Rule = {
            "isin": f"XS{i:010d}" if self.chance(80) else None,
            "issuer": self.maybe(80, ISSUERS),
            "issuer_parent": self.maybe(50, PARENTS),
            "issuer_type": self.maybe(75, ("sovereign", "corporate", "bank")),
            "issuer_country": self.maybe(75, COUNTRIES),
            "sector": self.maybe(60, ("tech", "energy")),
            "secured_type": self.maybe(40, ("plain", "convertible")),
            "outstanding": self.maybe(60, (1e5, 123456.0, 1e9)),
            "market_cap": self.maybe(60, (1e6, 5e7, 1e11)),
            "adv": self.maybe(60, (1e4, 250000.0)),
            "duration": self.maybe(50, (0.5, 4.75, 7.0, 12.0)),
            "colour": self.maybe(60, ("red", "blue")),
        }
        for scope in ("", "issuer_", "sovereign_"):
            for agency, letters in RATINGS.items():
                if self.chance(30):
                    facts[f"{scope}rating_{agency}"] = self.pick(letters)
        if kind == "debt":
            facts["maturity_date"] = self.maybe(
                85, [self.date(days) for days in (1826, 365, 30, 3653, 1, 0, -1, 200, 2500)]
            )
            facts["issue_date"] = self.maybe(60, [self.date(days) for days in (-100, -731, -1461, -1, -3000)])
        return facts

    def date(self, days: int) -> str:
        return (AS_OF + timedelta(days=days)).date().isoformat()

    def cost(self) -> float:
        if self.same_cost is not None:
            return self.same_cost
        if self.chance(3):
            return self.pick((-2.0, -0.25))
        return self.pick((1.0, 5.0, 0.0, 3.0, 10.0, 10.0, 0.5, 22.75, 40.0))

    def quantity(self, asset: Rule) -> float:
        lot = asset["lot_size"] or (1.0 if asset["asset_type"] != "cash" else 0.01)
        if self.tiny:
            return lot * self.integer(1, 8) + self.pick((0.0, 0.0, lot / 4))
        units = self.pick((1e4, 123456.78, 1e6, 5e5, 250.0, 1.0, 99999.0)) * self.scale
        return float(round(units, 2))

    def holdings_of(self, asset: Rule, least: int = 0) -> list[Rule]:
        count = max(least, self.pick((1, 1, 1, 1, 0, 2) if self.tiny else (1, 1, 2, 2, 0)))
        return [
            {
                "holding_id": f"H{k}-{asset['asset_id']}",
                "asset_id": asset["asset_id"],
                "quantity": self.quantity(asset),
                "cost_bps": self.cost(),
                "ready_at": self.time(self.pick((-5, 0, 3, 20))) if self.chance(15) else None,
                "settle_hours": self.pick((0.0, 2.0, 24.0, 1.5)) if self.chance(30) else None,
            }
            for k in range(count)
        ]

    def time(self, hours: float, offset: int = 1) -> str:
        moment = AS_OF + timedelta(hours=hours)
        shifted = moment.replace(tzinfo=None) - timedelta(hours=1) + timedelta(hours=offset)
        return f"{shifted.isoformat()}{'+' if offset >= 0 else '-'}{abs(offset):02d}:00"

    # --- who asks

    def agreement(self, i: int, names: Sequence[str]) -> Rule:
        return {
            "agreement_id": f"G{i}",
            "counterparty": self.pick(("CP1", "CP2", "CP3")),
            "schedule": self.pick(names),
            "base_currency": self.maybe(40, self.currencies),
            "counterparty_parent": self.maybe(40, ("P1", "P9")),
            "cash_return_bps": self.pick((0.0, -3.0, 1.5)) if self.chance(40) else None,
        }

    def call(self, i: int, names: Sequence[str]) -> Rule:
        currency = self.pick(self.currencies)
        return {
            "call_id": f"C{i}",
            "agreement_id": self.pick(self.agreements)["agreement_id"],
            "amount": self.amount(currency),
            "currency": currency,
            "due": self.maybe(50, self.deadlines()),
            "margin_type": self.maybe(60, ("im", "vm")),
            "schedule": self.maybe(15, names),
            "priority": self.maybe(30, (1.0, 2.0, 2.0)),
        }

    def deadlines(self) -> list[str]:
        hours = ((30, 1), (24, 1), (60, -5), (44, 9)) if self.generous else ((30, 1), (24, 1), (2, 0), (1, 9), (20, 9))
        return [self.time(h, offset) for h, offset in hours]

    def amount(self, currency: str) -> float:
        """Mostly a share of what the firm has; sometimes a cent, sometimes everything there is."""
        if not self.tiny and self.chance(2 if self.generous else 10):
            return self.pick((0.01, 1.0, 1e13))
        worth = sum(self.worth(h) for h in self.holdings) / self.rates[currency]
        share = self.pick((5, 2, 10, 1, 3) if self.generous else (5, 20, 10, 1, 33, 60, 110)) / 100
        rounded = round(worth * share, -2 if self.tiny else 2)
        return max(float(rounded), 100.0 if self.tiny else 0.01)

    def worth(self, holding: Rule) -> float:
        asset = next(a for a in self.assets if a["asset_id"] == holding["asset_id"])
        unit = (asset["price"] or 1.0) * (asset["price_factor"] or 1.0) * self.rates[asset["currency"]]
        return float(holding["quantity"] * unit)

    def cash_returns(self) -> list[Rule]:
        return [
            {"agreement_id": g["agreement_id"], "currency": c, "bps": self.pick((0.0, -5.0, 2.0, -12.0))}
            for g in self.agreements
            for c in self.currencies
            if self.chance(15)
        ]

    def pair_costs(self) -> list[Rule]:
        rows = []
        for g in self.agreements:
            for h in self.holdings:
                if self.chance(5):
                    rows.append(
                        {
                            "holding_id": h["holding_id"],
                            "agreement_id": g["agreement_id"],
                            "cost_bps": self.cost(),
                        }
                    )
            for a in self.assets:
                if self.chance(5):
                    rows.append(
                        {
                            "asset_id": a["asset_id"],
                            "agreement_id": g["agreement_id"],
                            "cost_bps": self.cost(),
                        }
                    )
        return rows

    def posted(self) -> list[Rule]:
        return [
            {"agreement_id": g["agreement_id"], "asset_id": a["asset_id"], "quantity": self.quantity(a)}
            for g in self.agreements
            if self.chance(30)
            for a in self.some(self.assets, 3)
        ]

    # --- facilities and reserves

    def facility_tables(self, costs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Facilities of every kind, cash for them to give, and agreements that take nothing but cash."""
        for holding in self.holdings:
            # What earns by leaving would be given to a facility without need, which no desk wants judged.
            holding["cost_bps"] = abs(holding["cost_bps"])
        self.schedules["CASH"] = {"name": "CASH", "rules": [{"label": "cash", "when": CASH, "haircut": 0}]}
        for agreement in self.agreements:
            if self.chance(25):
                agreement["schedule"] = "CASH"
        facilities = [self.facility(i) for i in range(self.integer(1, 3 if self.tiny else 5))]
        rows = [
            {"holding_id": h["holding_id"], "facility_id": f["facility_id"], "cost_bps": abs(self.cost())}
            for f in facilities
            for h in self.holdings
            if self.chance(8)
        ]
        rows += [
            {"asset_id": a["asset_id"], "facility_id": f["facility_id"], "cost_bps": abs(self.cost())}
            for f in facilities
            for a in self.assets
            if self.chance(8)
        ]
        rows = [dict(row) for row in costs.to_dict("records")] + rows
        return {
            "assets": frame(self.assets),
            "holdings": frame(self.holdings),
            "agreements": frame(self.agreements),
            "facilities": frame(facilities),
            "costs": frame(rows, ("holding_id", "asset_id", "agreement_id", "facility_id", "cost_bps")),
        }

    def facility(self, i: int) -> Rule:
        kind = self.pick(("repo", "fx", "credit_line", "redemption", "upgrade", "sale"))
        currency = self.pick(self.currencies)
        gives = self.cash_of(currency)
        if kind == "upgrade":
            gives = self.pick(self.assets)
        facility: Rule = {
            "facility_id": f"F{i}",
            "kind": kind,
            "gives": gives["asset_id"],
            "takes": None,
            "capacity": round(self.amount(gives["currency"]) * self.pick((2.0, 5.0, 1.0, 0.5)), 2),
            "cost_bps": self.pick((0.0, 1.0, 5.0, 12.5, 60.0)),
            "one_off_bps": self.maybe(40, (0.0, 0.25, 2.0)),
            "counterparty": self.maybe(60, ("CP1", "CP2", "P1")),
            "access_hours": self.maybe(80, (0.0, 1.0, 4.0, 22.0, 24.0, 1.5)),
        }
        if kind != "credit_line" or self.chance(10):
            facility["takes"] = f"T{i}"
            self.schedules[f"T{i}"] = self.takes(f"T{i}", kind)
        return facility

    def cash_of(self, currency: str) -> Rule:
        """The cash of a currency, added to the assets where nobody has any."""
        known = [a for a in self.assets if (a["asset_type"], a["currency"]) == ("cash", currency)]
        if not known:
            lot = self.pick((1000.0, 500.0)) if self.tiny else None
            known = [{"asset_id": f"C-{currency}", "asset_type": "cash", "currency": currency, "price": None,
                      "price_factor": None, "lot_size": lot}]  # fmt: skip
            self.assets += known
        return self.pick(known)

    def takes(self, name: str, kind: str) -> Mapping[str, Any] | pd.DataFrame:
        """What a facility of that kind accepts; sometimes anything."""
        if self.chance(25):
            return self.schedule(name)
        wanted = {"fx": ["cash"], "redemption": ["fund", "equity"]}.get(kind, ["debt", "equity", "fund"])
        schedule: Rule = {
            "name": name,
            "rules": [{"label": kind, "when": {"asset_type": wanted}, **self.valuation()}],
        }
        if self.chance(40):
            schedule["fx_haircut"] = self.fx_haircut()
        if self.chance(10):
            schedule["wrong_way"] = "allow"
        if self.chance(40):
            schedule["limits"] = [self.limit(0)]
        return schedule

    def reserve_tables(self) -> dict[str, pd.DataFrame]:
        """One or two reserves: anything a schedule may say, or a buffer composed as liquidity rules ask."""
        for asset in self.assets:
            if asset["asset_type"] != "cash":
                asset["hqla_level"] = self.maybe(85, ("1", "2A", "1", "2B"))
        reserves = []
        for i in range(self.integer(1, 2)):
            currency = self.pick(self.currencies)
            self.schedules[f"Q{i}"] = self.buffer(f"Q{i}") if self.chance(60) else self.schedule(f"Q{i}")
            reserves.append({
                "reserve_id": f"R{i}",
                "schedule": f"Q{i}",
                "amount": round(self.amount(currency) * self.pick((1.0, 2.0, 0.25, 5.0)), 2),
                "currency": currency,
            })  # fmt: skip
        return {"assets": frame(self.assets), "reserves": frame(reserves)}

    def buffer(self, name: str) -> Rule:
        """Level 2 at most 40 % of all that counts, level 2B at most 15 %."""
        buffer: Rule = {
            "name": name,
            "rules": [
                {"label": "cash", "when": CASH, "haircut": 0},
                {"label": "level 1", "when": {"hqla_level": "1"}, "haircut": 0},
                {"label": "level 2A", "when": {"hqla_level": "2A"}, "haircut": 0.15},
                {"label": "level 2B", "when": {"hqla_level": "2B"}, "haircut": 0.5},
            ],
        }
        if self.chance(75):
            of: Rule = {"measure": "value_after_haircut", "of": "posted"}
            buffer["limits"] = [
                {"label": "level 2", "select": {"hqla_level": ["2A", "2B"]}, **of, "max": 0.4},
                {"label": "level 2B", "select": {"hqla_level": "2B"}, **of, "max": 0.15},
            ]
        return buffer

    # --- what may be recalled, movements and pins

    def posted_tables(self) -> dict[str, pd.DataFrame]:
        """Posted rows that may be recalled, some locked, some of no holding; what agreements require beside them."""
        rows: list[Rule] = []
        for agreement in self.agreements:
            mine = [self.posted_row(agreement, holding) for holding in self.some(self.holdings, 3)]
            mine = mine if self.chance(85) else []
            if mine and self.chance(10):  # a second row of the same holding, in whole lots so that they add up
                lot = self.lot_of(mine[0]["asset_id"])
                mine[0]["quantity"] = max(lot, mine[0]["quantity"] // lot * lot)
                mine.append(mine[0] | {"quantity": 2 * lot, "locked": not mine[0]["locked"]})
            rows += mine
            self.require(agreement, mine)
        columns = ("agreement_id", "asset_id", "quantity", "holding_id", "locked", "cost_bps", "recall_hours")
        return {"posted": frame(rows, columns), "agreements": frame(self.agreements)}

    def posted_row(self, agreement: Rule, holding: Rule) -> Rule:
        asset = next(a for a in self.assets if a["asset_id"] == holding["asset_id"])
        return {
            "agreement_id": agreement["agreement_id"],
            "asset_id": asset["asset_id"],
            "quantity": self.quantity(asset),
            "holding_id": self.maybe(85, (holding["holding_id"],)),
            "locked": self.chance(15),
            "cost_bps": self.maybe(60, (40.0, 15.0, 0.0, 60.0, 2.5)),
            "recall_hours": self.maybe(75, (0.0, 2.0, 24.0, 0.0)),
        }

    def lot_of(self, asset_id: str) -> float:
        asset = next(a for a in self.assets if a["asset_id"] == asset_id)
        return asset["lot_size"] or (0.01 if asset["asset_type"] == "cash" else 1.0)

    def require(self, agreement: Rule, rows: Sequence[Rule]) -> None:
        """Often a requirement, above or below what is posted; sometimes a minimum transfer."""
        rate = self.rates[agreement["base_currency"] or self.home]
        worth = sum(self.worth(row) for row in rows) / rate
        mine = [call for call in self.calls if call["agreement_id"] == agreement["agreement_id"]]
        asked = sum(call["amount"] * self.rates[call["currency"]] for call in mine) / rate
        share = self.maybe(60, (0.5, 0.7, 0.3, 0.8, 1.0, 0.0))
        digits = -2 if self.tiny else 2
        required = round((worth or asked) * (share or 0.0) + asked, digits)
        agreement["requirement"] = None if share is None else min(float(required), 1e15)
        small = self.maybe(30, (0.05, 0.3, 0.6))
        agreement["minimum_transfer"] = None if small is None else float(round(worth * small, digits))

    def least_lines(self) -> dict[str, pd.DataFrame]:
        """Least market values of lines at agreements, least quantities of assets."""
        typical = sorted(self.worth(holding) for holding in self.holdings)[len(self.holdings) // 2]
        for agreement in self.agreements:
            rate = self.rates[agreement["base_currency"] or self.home]
            share = self.maybe(70, (0.1, 0.25, 0.5))
            agreement["min_line_value"] = None if share is None else float(round(typical * share / rate, 2))
        for asset in self.assets:
            if asset["asset_type"] != "cash" and self.chance(40):
                asset["min_denomination"] = self.lot_of(asset["asset_id"]) * self.pick((2, 3, 2.5))
        return {"agreements": frame(self.agreements), "assets": frame(self.assets)}

    def line_caps(self) -> dict[str, pd.DataFrame]:
        for agreement in self.agreements:
            agreement["max_lines"] = self.maybe(80, (1.0, 2.0, 3.0))
        return {"agreements": frame(self.agreements)}

    def places(self, settings: Rule) -> dict[str, pd.DataFrame]:
        """Where things lie and what a movement costs there; in half of the books one worth some lines' cost."""
        scale = self.pick((1.0, 0.01, 0.1)) * self.scale
        costs = [round(self.pick((1.0, 0.0, 2.5, 10.0)) * scale, 4) for _ in range(self.integer(1, 3))]
        names = [f"L{i}" for i in range(len(costs))]
        for row in [*self.holdings, *self.agreements]:
            row["location"] = self.maybe(75, names)
        if self.chance(35):
            settings["max_moves"] = self.integer(1, 6)
        return {
            "holdings": frame(self.holdings),
            "agreements": frame(self.agreements),
            "locations": frame([{"location": n, "move_cost": c} for n, c in zip(names, costs, strict=True)]),
        }

    def pinned(self, book: BookTables) -> BookTables:
        """The book with up to three pins on lines that may be: never, at least a lot, or a modest exact quantity."""
        from tests.judges.row_by_row import plan_of

        plan = plan_of(book)
        own = [pair for pair in plan.pairs if pair.call >= 0 and pair.holding >= 0 and pair.posted < 0]
        rows: list[Rule] = []
        for pair in self.some(own, 3) if own else []:
            row: Rule = {"call_id": plan.call_ids[pair.call], "holding_id": plan.holding_ids[pair.holding]}
            kind = self.integer(0, 2)
            least = plan.least_lots(pair)
            lot = plan.lots[pair.asset]
            most = int(min(plan.supply[pair.holding] / 2, plan.required[pair.call] / pair.value / 2) / lot)
            alone = sum(other.call == pair.call for other in own) < 3
            if alone and most < least and self.chance(80):
                continue
            if not alone and (kind == 0 or most < least):
                row["forbid"] = True
            elif kind == 1:
                row["quantity"] = float(max(least, self.integer(min(least, most), most)) * lot)
            rows.append(row)
        pins = frame(rows, ("call_id", "holding_id", "quantity", "forbid"))
        return BookTables({**book.tables, "pins": pins} if rows else book.tables, book.settings, book.schedules)

    # --- schedules

    def schedule(self, name: str) -> Mapping[str, Any] | pd.DataFrame:
        if self.chance(3 if self.generous else 20):
            return self.listing()
        kinds = ("first", "highest_haircut") if self.generous else ("first", "highest_haircut", "error")
        kind = self.pick(kinds)
        schedule: Rule = {"name": name, "source": "drawn at random", "overlap": kind}
        if self.chance(40):
            schedule["fx_haircut"] = self.fx_haircut()
        if self.chance(30):
            schedule["assume"] = {self.pick(("secured_type", "issuer_type", "sector")): "plain"}
        if self.chance(10):
            schedule["wrong_way"] = "allow"
        schedule["rules"] = self.disjoint_rules() if kind == "error" else self.rules()
        limits = [self.limit(i) for i in range(self.pick((0, 0, 1, 1, 2, 3)))]
        if limits:
            schedule["limits"] = limits
        return schedule

    def listing(self) -> pd.DataFrame:
        """A list schedule by asset_id, or by isin where every asset has one."""
        key = self.pick(("asset_id", "isin"))
        rows = [
            {
                key: a[key],
                "eligible": self.pick((None, True, True, False)),
                "haircut": self.pick((0.0, 0.02, 0.15)),
                "max_quantity": self.maybe(25, (0.0, 1000.0, 1e5)),
                "max_value": self.maybe(25, (0.0, 5000.0, 1e6)),
            }
            for a in self.assets
            if a.get(key) is not None and self.chance(75)
        ]
        return frame(rows or [{"asset_id": self.assets[0]["asset_id"], "haircut": 0.1}])

    def fx_haircut(self) -> Rule:
        fx: Rule = {
            "rate": self.pick((0.08, 0.04, 0.001)),
            "when": "differs_from_base",
            "combine": self.pick(("additive", "multiplicative")),
        }
        if self.chance(25):
            fx["select"] = {"asset_type": self.pick(("debt", "cash"))}
        if self.chance(25):
            fx["margin_type"] = "im"
        return fx

    def valuation(self) -> Rule:
        return self.pick(
            (
                {"haircut": 0.02},
                {"haircut": 0},
                {"haircut": 0.15},
                {"margin_ratio": 1.02},
                {"valuation_percentage": 0.9},
                *([] if self.generous else [{"haircut": 0.955}]),
            )
        )

    def rules(self) -> list[Rule]:
        rules: list[Rule] = []
        for i in range(self.integer(0, 1 if self.tiny else 3)):
            rule: Rule = {"label": f"rule {i} drawn", "when": self.when(2)}
            rule.update({"exclude": True} if self.chance(5 if self.generous else 20) else self.valuation())
            if self.chance(12):
                rule["margin_type"] = self.pick(("im", "vm"))
            rules.append(rule)
        if self.generous:
            # The lowest factor of all: no rule that cannot be decided stands in its way.
            rules.append({"label": "the rest", "haircut": 0.2})
        elif self.chance(85) or not rules:
            last: Rule = {"label": "the rest", **self.valuation()}
            if self.chance(10 if self.tiny else 30):
                last["when"] = {"asset_type": self.some(("cash", "debt", "equity", "fund"))}
            rules.append(last)
        return rules

    def disjoint_rules(self) -> list[Rule]:
        """Rules that no asset meets twice, as ``overlap: error`` asks."""
        rules: list[Rule] = []
        for kind in self.some(("debt", "cash", "equity", "fund")):
            when: Rule = {"asset_type": kind}
            if self.chance(40):
                when = {"all": [when, self.when(1)]}
            rules.append({"label": f"all {kind}", "when": when, **self.valuation()})
        return rules

    def when(self, depth: int) -> Rule:
        if depth and self.chance(50):
            word = self.pick(("all", "any", "not"))
            if word == "not":
                return {"not": self.when(depth - 1)}
            return {word: [self.when(depth - 1) for _ in range(self.integer(1, 3))]}
        return self.leaf()

    def leaf(self) -> Rule:
        kind = self.integer(0, 9)
        if kind <= 3:
            column, values = self.pick(
                (
                    ("asset_type", ("debt", "cash", "equity")),
                    ("issuer_type", ("sovereign", "corporate", "bank")),
                    ("issuer_country", COUNTRIES),
                    ("secured_type", ("plain", "convertible")),
                    ("currency", CURRENCIES),
                    ("colour", ("red", "blue")),
                )
            )
            if column == "colour" and not any(a.get("colour") for a in self.assets):
                column, values = "sector", ("tech", "energy")
            wanted = self.some(values, 2)
            return {column: wanted if len(wanted) > 1 or self.chance(30) else wanted[0]}
        if kind == 4:
            return {"duration": {self.pick(("lt", "le", "gt", "ge")): self.pick((4.75, 7))}}
        if kind <= 6:
            measured = self.pick(("remaining", "original", "since_issue"))
            bounds: Rule = {self.pick(("le", "lt")): self.pick(TENORS[2:])}
            if self.chance(40):
                bounds[self.pick(("ge", "gt"))] = self.pick(TENORS[:2])
            return {"maturity": {measured: bounds}}
        if kind <= 8:
            return {"rating": self.rating()}
        return self.pick(({"own_issue": True}, {"domestic_currency": True}))

    def rating(self) -> Rule:
        rating: Rule = {
            "scope": self.some(("asset", "issuer", "sovereign")),
            "at_least": self.pick(("BBB-", "AA-", "A", "BB")),
            "agencies": self.some(("sp", "moodys", "fitch", "dbrs")),
            "resolve": self.pick(("lowest", "highest", "second_best", "average", "any")),
        }
        if self.chance(15) and rating["resolve"] != "any":
            rating["at_most"] = "AA+"
        return rating

    def limit(self, i: int) -> Rule:
        by = self.pick(("issuer", "none", "asset", "currency", "sector", "issuer_parent", "asset"))
        measure = self.pick(("market_value", "value_after_haircut", "quantity"))
        limit: Rule = {"label": f"limit {i} drawn", "group_by": by, "measure": measure}
        if self.generous and self.chance(80):
            limit["select"] = {"asset_type": self.pick(("equity", "fund", "debt"))}
        elif self.chance(40):
            limit["select"] = self.when(1)
        bases = ["posted"]
        if measure != "quantity":
            bases += ["requirement", "requirement"]
        if measure != "quantity" or by == "asset":
            bases += ["money"]
        if by == "asset":
            bases += ["outstanding", "market_cap", "adv"]
        caps = [self.cap(self.pick(bases)) for _ in range(2 if self.chance(20) else 1)]
        return limit | ({"caps": caps} if len(caps) > 1 else caps[0])

    def cap(self, of: str) -> Rule:
        if of == "money":
            amount = self.pick((50000.0, 5000.0, 1234.5, 1000000.0, 0.0)) * self.scale
            return {"of": of, "max": {"amount": amount, "currency": self.pick(self.currencies)}}
        shares = (0.5, 0.25, 0.4, 0.1, 0) if of in ("requirement", "posted") else (0.1, 0.025, 0)
        if self.generous:
            shares = (0.8, 0.6, 0.5) if of in ("requirement", "posted") else (0.1, 0.025)
        return {"of": of, "max": self.pick(shares)}


def frame(rows: Sequence[Rule], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows as a frame of plain objects: text, floats, and None for an empty cell."""
    names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
