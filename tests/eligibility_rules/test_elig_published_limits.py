"""The limits of published schedules: what each counts, in which groups, and its caps, all typed from the source."""

from __future__ import annotations

import csv
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from eligibility_rules import Context, LimitMatch, Schedule, match, match_limits
from eligibility_rules.published import find, names
from tests.eligibility_rules.test_elig_published import AS_OF, TABLES

Row = dict[str, str]
POSTER = Context(AS_OF, "USD", None, "Meridian")
MATURES = date(AS_OF.year + 3, AS_OF.month, AS_OF.day).isoformat()


def debt(issuer_type: str, country: str, security_type: str = "bond", **more: str) -> Row:
    facts = {"asset_type": "debt", "issuer_type": issuer_type, "issuer_country": country, "interest": "fixed"}
    return {**facts, "security_type": security_type, "maturity_date": MATURES, **more}


FOREIGN = ("AU", "CA", "FR", "DE", "JP", "MX", "SG", "SE", "GB")
BOOKS: dict[str, dict[str, Row]] = {
    "cme-base": {
        "note": debt("sovereign", "US", "note"),
        "tips": debt("sovereign", "US", interest="inflation_linked"),
        "strip": debt("sovereign", "US", "strip", interest="zero"),
        "FFCB": debt("agency", "US", issuer="FFCB"),
        "discount": debt("agency", "US", "discount_note", issuer="FHLB", interest="zero"),
        "mbs": debt("agency", "US", "mbs", issuer="FNMA"),
        **{country: debt("sovereign", country) for country in FOREIGN},
        "bill-JP": debt("sovereign", "JP", "bill", interest="zero"),
        "Ontario": debt("regional", "CA", issuer="Ontario"),
        "corp": debt("corporate", "US", issuer="Co", issuer_parent="Group", sector="Steel", outstanding="400000000"),
        "bank": debt("bank", "US", issuer="Bank", issuer_parent="Bank", sector="Banks", outstanding="4000000000"),
        "IBRD": debt("supranational", "", issuer="IBRD", outstanding="2000000000"),
        "stock": {"asset_type": "equity", "security_type": "share", "index": "S&P 500"},
        "etf": {"asset_type": "fund", "security_type": "etf", "taxonomy_cme": "etf"},
        "short": {"asset_type": "fund", "security_type": "etf", "taxonomy_cme": "short_term_ust_etf"},
        "mmf": {"asset_type": "fund", "security_type": "mmf", "taxonomy_cme": "ief2"},
        "gold": {"asset_type": "commodity", "security_type": "gold"},
        "letter": {"asset_type": "letter_of_credit"},
        "usd": {"asset_type": "cash", "currency": "USD"},
        "eur": {"asset_type": "cash", "currency": "EUR"},
    },
    "ficc-gsd": {
        "note": debt("sovereign", "US", "note"),
        "strip": debt("sovereign", "US", "strip", interest="zero"),
        "FFCB": debt("agency", "US", issuer="FFCB"),
        "FHLB": debt("agency", "US", "discount_note", issuer="FHLB", interest="zero"),
        "FHLB-2": debt("agency", "US", issuer="FHLB"),
        "mbs": debt("agency", "US", "mbs", issuer="FNMA"),
        "self": debt("agency", "US", "mbs", issuer="Meridian"),
        "over": {"asset_type": "other", "security_type": "over_the_first_slope"},
        "usd": {"asset_type": "cash", "currency": "USD"},
    },
    "credit-td-saba-2025": {
        "bond": debt("corporate", "US", issuer="A", sector="Steel", rating_sp="BBB", price="98", outstanding="500"),
        "ccc": debt("corporate", "DE", issuer="B", sector="Steel", rating_sp="CCC", price="80", outstanding="700"),
        "loan-1": debt("corporate", "FR", "loan", issuer="C", sector="Rail", rating_sp="CCC+", price="90",
                       seniority="first_lien", outstanding="100"),
        "loan-2": debt("corporate", "FR", "loan", issuer="D", sector="Rail", rating_sp="BBB-", price="90",
                       seniority="second_lien", outstanding="100"),
        "luxembourg": debt("corporate", "LU", issuer="E", sector="Retail", rating_sp="BB", price="99",
                           outstanding="300"),
        "share": {"asset_type": "equity", "security_type": "share", "issuer": "A", "issuer_country": "US",
                  "sector": "Steel", "price": "30", "adv": "1000", "market_cap": "90000"},
        "spac": {"asset_type": "equity", "security_type": "spac", "issuer": "F", "issuer_country": "GB",
                 "sector": "Shell", "price": "10", "adv": "50", "market_cap": "20000"},
        "fund": {"asset_type": "fund", "security_type": "closed_end_fund", "issuer": "G", "issuer_country": "US",
                 "sector": "Funds", "price": "12", "adv": "2000"},
        "cheap": {"asset_type": "fund", "security_type": "closed_end_fund", "issuer": "H", "issuer_country": "US",
                  "sector": "Funds", "price": "1.5", "adv": "3000"},
        "usd": {"asset_type": "cash", "currency": "USD"},
    },
}  # fmt: skip

Expected = tuple[str, str, str, str]  # group_by, what counts, measure, caps
SOME = "AU JP bill-JP MX SG SE Ontario corp bank stock short etf gold"
CME = {
    "Letters of credit": ("none", "letter", "market_value", "requirement 1/4, USD 1000000000"),
    "Gold": ("none", "gold", "market_value", "USD 1250000000"),
    "IEF2": ("none", "mmf", "market_value", "USD 5000000000"),
    "Corporate bonds": ("none", "corp bank", "market_value", "USD 2000000000"),
    "Corporate bonds: per issuance": ("asset", "corp bank", "market_value", "USD 50000000, outstanding 1/40"),
    "Corporate bonds: per family": ("issuer_parent", "corp bank", "market_value", "USD 200000000"),
    "Corporate bonds: per sector": ("sector", "corp bank", "market_value", "USD 500000000"),
    "TIPS": ("none", "tips", "market_value", "USD 1000000000"),
    "TSTRIPS": ("none", "strip", "market_value", "USD 1400000000"),
    "US agencies": ("none", "FFCB discount", "market_value", "USD 2000000000"),
    "MBS": ("none", "mbs", "market_value", "USD 1400000000"),
    "Australia": ("none", "AU", "market_value", "USD 250000000"),
    "Canada": ("none", "CA", "market_value", "USD 1400000000"),
    "France": ("none", "FR", "market_value", "USD 1400000000"),
    "Germany": ("none", "DE", "market_value", "USD 1400000000"),
    "Japan": ("none", "JP bill-JP", "market_value", "USD 1000000000"),
    "Mexico": ("none", "MX", "market_value", "USD 250000000"),
    "Singapore": ("none", "SG", "market_value", "USD 150000000"),
    "Sweden": ("none", "SE", "market_value", "USD 100000000"),
    "United Kingdom": ("none", "GB", "market_value", "USD 1400000000"),
    "Canadian provincials": ("none", "Ontario", "market_value", "USD 100000000"),
    "Stocks": ("none", "stock", "market_value", "USD 1000000000"),
    "ETFs": ("none", "etf", "market_value", "USD 1000000000"),
    "Short-term UST ETF": ("none", "short", "market_value", "USD 1000000000"),
    "IBRD": ("none", "IBRD", "market_value", "USD 250000000"),
    "IBRD: per CUSIP": ("asset", "IBRD", "quantity", "outstanding 1/10"),
    "Foreign cash used against another currency": ("none", "eur", "market_value", "USD 250000000"),
    "AGG1: stocks, ETFs, London gold, COMEX warrants, CA provincials":
        ("none", "stock etf gold Ontario", "market_value", "USD 3000000000"),
    "AGG2: foreign sovereign debt (ex GB DE FR CA), CA provincials, corporate bonds, stocks, ST UST ETFs, ETFs, gold":
        ("none", SOME, "market_value", "USD 5000000000"),
    "AGG3: AGG2 + all foreign sovereign debt + IBRD + IEF2":
        ("none", f"{SOME} GB DE FR CA IBRD mmf", "market_value", "USD 7000000000"),
    "AGG4: AGG3 + agencies, MBS, STRIPS":
        ("none", f"{SOME} GB DE FR CA IBRD mmf FFCB discount mbs strip", "market_value", "USD 8000000000"),
}  # fmt: skip
FICC = {
    "footnote 1: first slope, agency and MBS":
        ("none", "FFCB FHLB FHLB-2 mbs self", "value_after_haircut", "requirement 1/4"),
    "footnote 2: one agency issuer": ("issuer", "FFCB FHLB FHLB-2", "value_after_haircut", "requirement 1/5"),
}  # fmt: skip
SECURITIES = "bond ccc loan-1 loan-2 luxembourg share spac"
SABA = {
    "single obligor": ("issuer", f"{SECURITIES} fund cheap", "market_value", "posted 9/100"),
    "one issuance": ("asset", "bond ccc loan-1 loan-2 luxembourg", "quantity", "outstanding 1/10"),
    "industry group (BICS)": ("sector", SECURITIES, "market_value", "posted 1/5"),
    "one other country of G10": ("issuer_country", "ccc loan-1 loan-2", "market_value", "posted 1/10"),
    "all other countries of G10": ("none", "ccc loan-1 loan-2", "market_value", "posted 1/2"),
    "Luxembourg": ("none", "luxembourg", "market_value", "posted 1/20"),
    "a SPAC's market capitalisation": ("asset", "spac", "market_value", "market_cap 1/10"),
    "liquidation in 5 days": ("asset", "share spac fund cheap", "quantity", "adv 5"),
    "closed-end funds of price 0-2": ("none", "cheap", "market_value", "posted 3/20"),
    "second lien loans": ("none", "loan-2", "market_value", "posted 1/20"),
    "all CCC bonds and loans": ("none", "ccc loan-1", "market_value", "posted 3/20"),
}
LIMITS: dict[str, dict[str, Expected]] = {"cme-base": CME, "ficc-gsd": FICC, "credit-td-saba-2025": SABA}
TESTED_ELSEWHERE = {"lcr-hqla"}


@cache
def limits_of(name: str) -> tuple[Schedule, pd.DataFrame, tuple[LimitMatch, ...]]:
    schedule = find(name)
    assert schedule is not None
    frame = pd.DataFrame([{"asset_id": asset, "currency": "USD", **row} for asset, row in BOOKS[name].items()])
    frame = frame.astype(object).where(frame.notna() & (frame != ""), None)
    return schedule, frame, match_limits(schedule, frame, POSTER)


def test_every_published_limit_is_tested() -> None:
    for name in names():
        schedule = find(name)
        assert schedule is not None
        labels = {limit.label for limit in schedule.limits}
        assert name in TESTED_ELSEWHERE or labels == set(LIMITS.get(name, {})), name


@pytest.mark.parametrize(("name", "label"), [(name, label) for name, limits in LIMITS.items() for label in limits])
def test_a_limit_counts_and_caps_what_its_source_says(name: str, label: str) -> None:
    group_by, counted, measure, caps = LIMITS[name][label]
    schedule, frame, matched = limits_of(name)
    limit = next(limit for limit in schedule.limits if limit.label == label)
    found = next(found for found in matched if found.label == label)
    assert set(frame["asset_id"][found.counts]) == set(counted.split())
    assert (limit.group_by, limit.measure) == (group_by, measure)
    said = [f"{cap.currency} {cap.amount}" if cap.of == "money" else f"{cap.of} {cap.share}" for cap in limit.caps]
    assert ", ".join(said) == caps


def test_groups_are_told_apart() -> None:
    def groups(name: str, label: str) -> tuple[str, ...]:
        return next(limit.groups for limit in limits_of(name)[2] if limit.label == label)

    assert groups("ficc-gsd", "footnote 2: one agency issuer") == ("FFCB", "FHLB")
    assert groups("cme-base", "Corporate bonds: per family") == ("Bank", "Group")
    assert groups("credit-td-saba-2025", "single obligor") == tuple("ABCDEFGH")
    assert groups("credit-td-saba-2025", "one other country of G10") == ("DE", "FR")


def test_of_several_caps_the_least_binds_by_asset() -> None:
    """50,000,000 USD or 2.5 % of what is outstanding: of 400,000,000 that is 10,000,000 units of face."""
    _, frame, matched = limits_of("cme-base")
    money, share = next(limit.caps for limit in matched if limit.label == "Corporate bonds: per issuance")
    corp = frame["asset_id"].tolist().index("corp")
    assert (money.of, money.amount, money.currency) == ("money", 50_000_000.0, "USD")
    assert share.of == "units" and share.per_asset is not None and share.share is not None
    assert share.share * share.per_asset[corp] == 10_000_000.0


def test_the_second_slope_is_twice_the_first_but_for_what_the_schedule_states() -> None:
    """The assets of the first slope go by the facility at 1 - 2 h; self-issued MBS at 21 %, not at 28 %."""
    first, frame, _ = limits_of("ficc-gsd")
    second = find("ficc-gsd-over")
    assert second is not None
    one, two = match(first, frame, POSTER), match(second, frame, POSTER)
    haircuts = {
        asset: (1 - one.factors[one.factor_code[i]], 1 - two.factors[two.factor_code[i]])
        for i, asset in enumerate(frame["asset_id"])
        if two.eligible[i]
    }
    percent = {asset: (h * 100, hh * 100) for asset, (h, hh) in haircuts.items()}
    assert percent == {
        "FFCB": (7, 14), "FHLB": (7, 14), "FHLB-2": (7, 14), "mbs": (7, 14), "self": (14, 21),
    }  # fmt: skip


def test_the_limits_are_those_of_the_stored_table() -> None:
    """Where the table lies beside the checkout: every row of it is a limit with that figure, or said to be left out."""
    table = Path(TABLES) / "cme_base_limits.csv"
    if not table.is_file():
        return
    schedule = find("cme-base")
    assert schedule is not None
    limits = {limit.label: limit for limit in schedule.limits}
    left_out = {"Prefunded Treasury Facility", "CNH cash"}
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["group"] for row in rows} - left_out == set(limits)
    assert all(any(name in text for text in schedule.leaves_out) for name in left_out)
    for row in rows:
        if row["group"] in left_out:
            continue
        figures = {cap.amount if cap.of == "money" else cap.share for cap in limits[row["group"]].caps}
        given = row["limit"].removeprefix("min(").removesuffix(")")
        assert {Fraction(figure) for figure in given.split(", ")} <= figures, row
