"""What is known of currencies: their decimals by ISO 4217, and which one is a country's own on a day."""

from __future__ import annotations

from datetime import date
from functools import cache

from eligibility_rules.ratings import data_rows

# Changes later than the table babel carries: country -> (currency, legal tender from).
# Bulgaria: euro from 2026-01-01, by legal acts the Council of the EU (ECOFIN) adopted on 8 July 2025.
_SINCE: dict[str, tuple[str, date]] = {"BG": ("EUR", date(2026, 1, 1))}


@cache
def _exceptions() -> dict[str, int]:
    return {row["currency"]: int(row["decimals"]) for row in data_rows("minor_units.csv")}


def minor_unit(currency: str) -> int:
    """Number of decimals of a currency by ISO 4217: 2 for USD, 0 for JPY, 3 for KWD (so a cent is 10**-2).

    A code the table of exceptions does not list has 2.
    """
    return _exceptions().get(currency, 2)


@cache
def currencies_of(country: str, as_of: date) -> frozenset[str]:
    """Legal tender of a country (ISO 3166 alpha-2, `EU` too) on a day; empty for a country nobody knows."""
    if country in _SINCE and as_of >= _SINCE[country][1]:
        return frozenset({_SINCE[country][0]})
    from babel.numbers import get_territory_currencies  # imported late: it is slow to load and rarely needed

    return frozenset(get_territory_currencies(country, start_date=as_of, end_date=as_of))
