"""Draws the assets of a generated book: cash, governments, agencies, covered and company bonds, equities.

Governments carry their real issuers and ratings of early 2026; every other name is invented. Each asset comes
with two columns of the draw's own, ``_kind`` and ``_years`` (remaining life), which do not go into the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

AS_OF = "2026-03-24T08:00:00+00:00"
FX: Mapping[str, float] = {"USD": 1.0, "EUR": 1.0835, "GBP": 1.2915, "JPY": 0.00668}
OWNER = "Meridian Bank Group"

# Parent and country. Their subsidiaries issue covered bonds, bonds and shares and stand behind agreements;
# the last is the firm itself.
BANKS: Sequence[tuple[str, str]] = (
    ("Northgate Bancorp", "US"), ("Rhein-Alster Bank", "DE"), ("Crédit Valmont", "FR"),
    ("Pennine Banking Group", "GB"), ("Hudson & Lane", "US"), ("Kansai Trust", "JP"),
    ("Banque du Léman-Nord", "FR"), ("Harbour Street Holdings", "US"),
    ("Hansa Landesbank", "DE"), ("Caledonian Mercantile", "GB"), ("Prairie National", "US"), (OWNER, "GB"),
)  # fmt: skip

_CURRENCY = {"US": "USD", "DE": "EUR", "FR": "EUR", "GB": "GBP", "JP": "JPY"}
_SP = ("AAA", "AA+", "AA", "AA-", "A+", "A", "A-", "BBB+", "BBB", "BBB-", "BB+", "BB", "BB-", "B+", "B")
_MOODYS = (
    "Aaa",
    "Aa1",
    "Aa2",
    "Aa3",
    "A1",
    "A2",
    "A3",
    "Baa1",
    "Baa2",
    "Baa3",
    "Ba1",
    "Ba2",
    "Ba3",
    "B1",
    "B2",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class _Government:
    code: str
    title: str
    issuer: str
    ratings: tuple[str, str, str]
    lot: float


_GOVERNMENTS = {
    "US": _Government("UST", "US Treasury", "United States Treasury", ("AA+", "Aa1", "AA+"), 1_000),
    "DE": _Government("BUND", "Bund", "Federal Republic of Germany", ("AAA", "Aaa", "AAA"), 1_000),
    "FR": _Government("OAT", "OAT", "French Republic", ("A+", "Aa3", "A+"), 1_000),
    "GB": _Government("GILT", "Gilt", "United Kingdom", ("AA", "Aa3", "AA-"), 1_000),
    "JP": _Government("JGB", "JGB", "Japan", ("A+", "A1", "A"), 50_000),
}
_AGENCIES = {
    "US": ("Federal Homestead Agency", "Student Finance Agency", "Inland Waterways Agency"),
    "DE": ("Förderbank des Bundes", "Bahnfinanz"),
    "FR": ("Caisse des Territoires",),
}
_SECTORS = (
    "industrials",
    "utilities",
    "technology",
    "health care",
    "consumer",
    "energy",
    "telecoms",
    "materials",
)
_FIRST = ("Alder", "Beacon", "Cobalt", "Dunmore", "Everett", "Falcon", "Granite", "Helios", "Ironbridge",
          "Juniper", "Kestrel", "Linden", "Marlow", "Norwood", "Orchard", "Palisade", "Quarry", "Redwood",
          "Solent", "Tamar")  # fmt: skip
_SECOND = ("Power", "Systems", "Pharma", "Foods", "Steel", "Motors", "Networks", "Chemicals", "Logistics",
           "Energy", "Devices", "Retail", "Rail", "Optics", "Timber", "Water")  # fmt: skip
_SUFFIX = {"US": "Inc", "DE": "AG", "FR": "SA", "GB": "plc", "JP": "KK"}
_INDEX = {"US": "S&P 500", "DE": "STOXX 600", "FR": "STOXX 600", "GB": "FTSE 100", "JP": "TOPIX 100"}
_EXCHANGE = {"US": "XNYS", "DE": "XETR", "FR": "XPAR", "GB": "XLON", "JP": "XTKS"}

# How many of each kind the smallest book has, and how the rest is shared out.
_LEAST = {
    "US": 3,
    "DE": 1,
    "FR": 1,
    "GB": 1,
    "JP": 1,
    "agency": 1,
    "covered": 1,
    "bond": 1,
    "equity": 1,
    "fund": 0,
}
_SHARE = {"US": 0.20, "DE": 0.07, "FR": 0.06, "GB": 0.06, "JP": 0.05, "agency": 0.08, "covered": 0.08,
          "bond": 0.22, "equity": 0.14, "fund": 0.04}  # fmt: skip

Columns = dict[str, Any]


def minimum_assets() -> int:
    """The fewest assets a generated book can have: the four currencies and one or more of each kind."""
    return len(FX) + sum(_LEAST.values())


def draw_assets(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """The assets table, ``count`` rows: cash first, then kind by kind."""
    sizes = _sizes(count)
    companies = _companies(max(8, sizes["bond"] // 3), rng)
    width = max(4, len(str(count)))
    parts = [_cash()]
    parts += [_governments(country, sizes[country], width, rng) for country in _GOVERNMENTS]
    parts.append(_agencies(sizes["agency"], width, rng))
    parts.append(_covered_bonds(sizes["covered"], width, rng))
    parts.append(_bonds(sizes["bond"], companies, width, rng))
    parts.append(_shares(sizes["equity"], companies, width, rng))
    parts.append(_funds(sizes["fund"], width, rng))
    table = pd.concat([p for p in parts if len(p)], ignore_index=True)
    table = table.reindex(columns=[c for c in _ORDER if c in table.columns])
    text = table.select_dtypes(exclude="number").columns
    table[text] = table[text].astype(object).where(table[text].notna(), None)
    return table


_ORDER = (
    "asset_id", "isin", "name", "asset_type", "security_type", "currency", "price", "price_factor",
    "lot_size", "min_denomination", "issuer", "issuer_parent", "issuer_type", "issuer_country",
    "sector", "issue_date", "maturity_date", "interest", "principal", "seniority", "secured_type",
    "rating_sp", "rating_moodys", "rating_fitch", "issuer_rating_sp", "issuer_rating_moodys",
    "hqla_level", "outstanding", "market_cap", "adv", "duration", "exchange", "index", "_kind",
    "_years",
)  # fmt: skip


def _sizes(count: int) -> dict[str, int]:
    """Share out what is over the least by largest remainder."""
    spare = count - minimum_assets()
    exact = {kind: spare * share for kind, share in _SHARE.items()}
    sizes = {kind: _LEAST[kind] + int(x) for kind, x in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: (int(exact[kind]) - exact[kind], kind))
    for kind in by_remainder[: count - len(FX) - sum(sizes.values())]:
        sizes[kind] += 1
    return sizes


def _cash() -> pd.DataFrame:
    currencies = list(FX)
    return pd.DataFrame({
        "asset_id": currencies, "name": [f"{c} cash" for c in currencies], "asset_type": "cash",
        "currency": currencies, "price": 1.0, "price_factor": 1.0, "hqla_level": "1", "_kind": "cash",
        "_years": 0.0,
    })  # fmt: skip


def _governments(country: str, n: int, width: int, rng: np.random.Generator) -> pd.DataFrame:
    g = _GOVERNMENTS[country]
    years = np.minimum(rng.gamma(1.6, 4.2, n) + 0.1, 30.0)
    years[:3] = np.minimum(years[:3], [1.5, 4.0, 4.5][:n])
    debt = _debt(country, years, rng.uniform(0.005, 0.015, n) + 0.0006 * years, rng)
    bills = years <= 1
    name = [
        f"{g.title} {_dated(c, m, b)}" for c, m, b in zip(debt.pop("coupon"), debt["maturity_date"], bills, strict=True)
    ]
    return pd.DataFrame(debt | {
        "asset_id": _ids(g.code, n, width), "isin": _isins(country, 1, n), "name": name,
        "security_type": np.where(bills, "bill", "bond"), "lot_size": g.lot, "issuer": g.issuer,
        "issuer_type": "sovereign", "sector": "government", "seniority": "senior", "secured_type": "plain",
        "rating_sp": g.ratings[0], "rating_moodys": g.ratings[1], "rating_fitch": g.ratings[2],
        "hqla_level": "1",
        "outstanding": np.round(rng.uniform(8, 45, n)) * (1e9 if country != "JP" else 1e11),
        "_kind": "sovereign",
    })  # fmt: skip


def _agencies(n: int, width: int, rng: np.random.Generator) -> pd.DataFrame:
    pool = [(c, name) for c, names in _AGENCIES.items() for name in names]
    pick = rng.integers(len(pool), size=n)
    years = rng.uniform(0.3, 12, n)
    debt = _debt([pool[i][0] for i in pick], years, rng.uniform(0.006, 0.016, n), rng)
    name = [
        f"{pool[i][1]} {_dated(c, m)}" for i, c, m in zip(pick, debt.pop("coupon"), debt["maturity_date"], strict=True)
    ]
    return pd.DataFrame(debt | _rated("rating", rng.integers(0, 4, n), 0.12, rng) | {
        "asset_id": _ids("AGY", n, width), "isin": _isins(debt["issuer_country"], 2, n), "name": name,
        "security_type": "bond", "lot_size": 1_000.0, "issuer": [pool[i][1] for i in pick],
        "issuer_type": "agency",
        "sector": "government", "seniority": "senior", "secured_type": "plain", "hqla_level": "1",
        "outstanding": np.round(rng.uniform(1, 8, n)) * 1e9, "_kind": "agency",
    })  # fmt: skip


def _covered_bonds(n: int, width: int, rng: np.random.Generator) -> pd.DataFrame:
    issuers = [b for b in BANKS if _CURRENCY[b[1]] in ("EUR", "GBP")]
    pick = rng.integers(len(issuers), size=n)
    years = rng.uniform(0.5, 10, n)
    debt = _debt([issuers[i][1] for i in pick], years, rng.uniform(0.008, 0.02, n), rng)
    name = [
        f"{issuers[i][0]} covered {_dated(c, m)}"
        for i, c, m in zip(pick, debt.pop("coupon"), debt["maturity_date"], strict=True)
    ]
    return pd.DataFrame(debt | _rated("rating", rng.integers(0, 4, n), 0.25, rng) | {
        "asset_id": _ids("COV", n, width), "isin": _isins(debt["issuer_country"], 3, n), "name": name,
        "security_type": "covered_bond", "lot_size": 1_000.0, "min_denomination": 100_000.0,
        "issuer": [f"{issuers[i][0]} Mortgage" for i in pick], "issuer_parent": [issuers[i][0] for i in pick],
        "issuer_type": "bank", "sector": "banks", "seniority": "senior", "secured_type": "covered",
        "hqla_level": np.where(rng.random(n) < 0.6, "1", "2A"),
        "outstanding": np.round(rng.uniform(5, 20, n)) * 1e8, "_kind": "covered",
    })  # fmt: skip


def _companies(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Issuers of bonds and shares: every sixth a bank's subsidiary, a third of the rest in larger groups."""
    rows = []
    country = rng.choice(list(_CURRENCY), size=n, p=[0.45, 0.17, 0.15, 0.15, 0.08])
    grouped = rng.random(n) < 0.35
    sector = rng.integers(len(_SECTORS), size=n)
    step = np.clip(np.round(rng.normal(7.0, 2.4, n)), 1, 13).astype(int)
    for i in range(n):
        if i % 6 == 0:
            parent, home = BANKS[(i // 6) % len(BANKS)]
            issuer = f"{parent} Funding" + ("" if i // 6 < len(BANKS) else f" {i // 6 // len(BANKS) + 1}")
            rows.append((issuer, parent, "bank", home, "banks", min(int(step[i]), 6)))
            continue
        turn, at = divmod(i, len(_FIRST) * len(_SECOND))
        family = f"{_FIRST[at % len(_FIRST)]} {_SECOND[at // len(_FIRST)]}" + (f" {turn + 1}" if turn else "")
        home = str(country[i])
        issuer = f"{family} {_SUFFIX[home]}"
        group = f"{_FIRST[at % len(_FIRST)]} Group" + (f" {turn + 1}" if turn else "")
        parent = group if grouped[i] else issuer
        rows.append((issuer, parent, "corporate", home, _SECTORS[sector[i]], int(step[i])))
    return pd.DataFrame(rows, columns=["issuer", "issuer_parent", "issuer_type", "country", "sector", "step"])


def _bonds(n: int, companies: pd.DataFrame, width: int, rng: np.random.Generator) -> pd.DataFrame:
    of = companies.iloc[rng.integers(len(companies), size=n)].reset_index(drop=True)
    years = rng.uniform(0.3, 14, n)
    step = of["step"].to_numpy()
    debt = _debt(of["country"].to_numpy(object), years, 0.009 + 0.0022 * step + rng.uniform(0, 0.004, n), rng)
    name = [
        f"{i} {_dated(c, m)}" for i, c, m in zip(of["issuer"], debt.pop("coupon"), debt["maturity_date"], strict=True)
    ]
    sterling_euro = np.isin(debt["currency"], ["EUR", "GBP"])
    ratings = _rated("rating", step, 0.25, rng) | _rated("issuer_rating", step, 0.3, rng)
    del ratings["issuer_rating_fitch"]
    seniority = np.where(rng.random(n) < 0.1, "subordinated", "senior").astype(object)
    seniority[rng.random(n) < 0.05] = None
    return pd.DataFrame(debt | ratings | {
        "asset_id": _ids("CORP", n, width), "isin": _isins(debt["issuer_country"], 4, n), "name": name,
        "security_type": "bond", "lot_size": 1_000.0,
        "min_denomination": np.where(sterling_euro, 100_000.0, np.nan),
        "issuer": of["issuer"], "issuer_parent": of["issuer_parent"], "issuer_type": of["issuer_type"],
        "sector": of["sector"], "seniority": seniority,
        "secured_type": np.where(rng.random(n) < 0.05, "convertible", "plain"),
        "hqla_level": np.array([None, "2B", "2A"], dtype=object)[(step <= 9).astype(int) + (step <= 3)],
        "outstanding": np.round(rng.uniform(3, 30, n)) * 1e8 * np.where(debt["currency"] == "JPY", 100, 1),
        "_kind": "bond",
    })  # fmt: skip


def _shares(n: int, companies: pd.DataFrame, width: int, rng: np.random.Generator) -> pd.DataFrame:
    of = companies.iloc[rng.permutation(np.arange(n) % len(companies))].reset_index(drop=True)
    country = of["country"].to_numpy(object)
    japanese = country == "JP"
    price = np.round(rng.lognormal(4.0, 0.6, n), 2)
    price = np.where(japanese, np.round(price * 45), price)
    shares = np.round(rng.lognormal(20.0, 0.7, n), -3)
    return pd.DataFrame({
        "asset_id": _ids("EQ", n, width), "isin": _isins(country, 5, n), "name": of["issuer"] + " shares",
        "asset_type": "equity", "security_type": "share", "currency": [_CURRENCY[c] for c in country],
        "price": price, "price_factor": 1.0, "lot_size": np.where(japanese, 100.0, 1.0),
        "issuer": of["issuer"], "issuer_parent": of["issuer_parent"], "issuer_type": of["issuer_type"],
        "issuer_country": country, "sector": of["sector"], "hqla_level": "2B", "outstanding": shares,
        "market_cap": np.round(shares * price),
        "adv": np.round(shares * rng.uniform(0.002, 0.008, n), -2),
        "exchange": [_EXCHANGE[c] for c in country],
        "index": [_INDEX[c] if x < 0.75 else None for c, x in zip(country, rng.random(n), strict=True)],
        "_kind": "equity", "_years": 0.0,
    })  # fmt: skip


def _funds(n: int, width: int, rng: np.random.Generator) -> pd.DataFrame:
    country = rng.choice(["US", "DE", "GB"], size=n, p=[0.6, 0.2, 0.2])
    theme = rng.choice(["World Equity", "Broad Market", "Government Bond", "Dividend"], size=n)
    return pd.DataFrame({
        "asset_id": _ids("ETF", n, width), "isin": _isins(country, 6, n),
        "name": [f"Lantern {t} ETF {i + 1}" for i, t in enumerate(theme)], "asset_type": "fund",
        "security_type": "etf", "currency": [_CURRENCY[c] for c in country],
        "price": np.round(rng.lognormal(4.3, 0.5, n), 2), "price_factor": 1.0, "lot_size": 1.0,
        "issuer": "Lantern Funds", "issuer_type": "fund", "issuer_country": country, "sector": "funds",
        "outstanding": np.round(rng.lognormal(18.0, 0.5, n), -3),
        "adv": np.round(rng.lognormal(13.8, 0.6, n), -2),
        "exchange": [_EXCHANGE[c] for c in country], "_kind": "fund", "_years": 0.0,
    })  # fmt: skip


def _debt(
    country: str | Sequence[str] | NDArray[Any], years: NDArray[np.float64], spread: NDArray[np.float64],
    rng: np.random.Generator,
) -> Columns:  # fmt: skip
    """What every bond has: dates, coupon, the price they give at its country's rate plus ``spread``."""
    n = len(years)
    where = np.full(n, country, dtype=object) if isinstance(country, str) else np.asarray(country, dtype=object)
    rate = pd.Series(where).map({"US": 0.036, "DE": 0.021, "FR": 0.025, "GB": 0.039, "JP": 0.011}).to_numpy(float)
    day = pd.Timestamp(AS_OF[:10])
    maturity = day + pd.to_timedelta(np.maximum(np.round(years * 365.25), 30), unit="D")
    original = np.where(years <= 1, 1.0, np.ceil(years + rng.uniform(0, 6, n)))
    issued = maturity - pd.to_timedelta(np.round(original * 365.25), unit="D")
    issued = issued.where(issued < day, day - pd.Timedelta(days=40))
    coupon = np.round(np.maximum(rate + rng.normal(0.002, 0.012, n), 0.0) * 800) / 8
    coupon = np.where(years <= 1, 0.0, coupon)
    r = rate + spread
    discount = (1 + r) ** -years
    price = np.round(coupon * (1 - discount) / r + 100 * discount, 3)
    duration = np.where(coupon > 0, (1 - discount) / r / (1 + r), years)
    return {
        "asset_type": "debt", "currency": pd.Series(where).map(_CURRENCY).to_numpy(object), "price": price,
        "price_factor": 0.01, "issuer_country": where,
        "issue_date": issued.strftime("%Y-%m-%d").to_numpy(object),
        "maturity_date": maturity.strftime("%Y-%m-%d").to_numpy(object),
        "interest": np.where(coupon > 0, "fixed", "zero"), "principal": "bullet",
        "duration": np.round(np.minimum(duration, years), 2), "coupon": coupon, "_years": years,
    }  # fmt: skip


def _rated(prefix: str, step: NDArray[Any], gap: float, rng: np.random.Generator) -> Columns:
    """Three agencies that differ by a notch now and then, each missing with probability ``gap``."""
    columns: Columns = {}
    for agency, letters in (("sp", _SP), ("moodys", _MOODYS), ("fitch", _SP)):
        notch = np.clip(np.asarray(step) + rng.choice([-1, 0, 0, 0, 1], len(step)), 0, len(letters) - 1)
        rating = np.array(letters, dtype=object)[notch]
        rating[rng.random(len(step)) < gap] = None
        columns[f"{prefix}_{agency}"] = rating
    return columns


def _dated(coupon: float, maturity: str, bill: bool = False) -> str:
    year, month, day = maturity.split("-")
    return f"{'bill' if bill else f'{coupon:g}%'} {int(day)} {_MONTHS[int(month) - 1]} {year}"


def _ids(code: str, n: int, width: int) -> list[str]:
    return [f"{code}{i + 1:0{width}d}" for i in range(n)]


def _isins(country: str | Sequence[str] | NDArray[Any], block: int, n: int) -> list[str]:
    """Identifiers of the form of an ISIN, check digit included, all beginning ``ZZ`` after the country."""
    where = [country] * n if isinstance(country, str) else list(country)
    bodies = [f"{c}ZZ{block}{i + 1:06d}" for i, c in enumerate(where)]
    return [body + str(_luhn(body)) for body in bodies]


def _luhn(body: str) -> int:
    """The check digit of ISO 6166: letters as 10 to 35, every second digit from the right doubled."""
    digits = "".join(str(int(c, 36)) for c in body)
    total = 0
    for i, d in enumerate(reversed(digits)):
        total += sum(divmod(int(d) * 2, 10)) if i % 2 == 0 else int(d)
    return -total % 10
