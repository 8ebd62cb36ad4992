"""The enumerations of the Common Domain Model and the words a schedule has for them, one table for both ways.

CDM's spellings differ by serialisation (`STANDARD_AND_POORS`, `StandardAndPoors`), so they are compared as
letters and digits. A word of CDM may stand for several of ours: its corporates include banks.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeVar

from eligibility_rules.columns import ASSET_TYPES
from eligibility_rules.ratings import data_rows

T = TypeVar("T")
Table = dict[str, tuple[str, ...]]

SECURITIES = ("debt", "equity", "fund")

ISSUER_TYPES: Table = {
    "SUPRA_NATIONAL": ("supranational",),
    "SOVEREIGN_CENTRAL_BANK": ("sovereign", "central_bank"),
    "QUASI_GOVERNMENT": ("agency",),
    "REGIONAL_GOVERNMENT": ("regional",),
    "CORPORATE": ("corporate", "bank", "financial"),
    "FUND": ("fund",),
    "SPECIAL_PURPOSE_VEHICLE": ("spv",),
}
ASSET_KINDS: Table = {"CASH": ("cash",), "SECURITY": SECURITIES, "COMMODITY": ("commodity",), "OTHER": ("other",)}
INSTRUMENTS: Table = {
    "DEBT": ("debt",),
    "EQUITY": ("equity",),
    "FUND": ("fund",),
    "LETTER_OF_CREDIT": ("letter_of_credit",),
}
DEBT_CLASSES: Table = {"ASSET_BACKED": ("asset_backed",), "CONVERTIBLE": ("convertible",), "VANILLA": ("plain",)}
SECURED: Table = {"ASSET_BACKED": ("asset_backed",), "COVERED_BONDS": ("covered",), "COVERED_BOND": ("covered",)}
ASSET_BACKED: Table = {"MORTGAGE": ("mbs", "cmo", "rmbs", "cmbs")}
SENIORITIES: Table = {"SECURED": ("secured",), "SENIOR": ("senior",), "SUBORDINATED": ("subordinated",)}
INTERESTS: Table = {
    "FIXED": ("fixed",),
    "FLOATING": ("floating",),
    "ZERO_COUPON": ("zero",),
    "INFLATION_LINKED": ("inflation_linked",),
    "INDEX_LINKED": ("index_linked",),
    "INTEREST_ONLY": ("interest_only",),
    "INVERSE_FLOATING": ("inverse_floating",),
    "OTHER_STRUCTURED": ("other_structured",),
}
PRINCIPALS: Table = {
    "BULLET": ("bullet",),
    "CALLABLE": ("callable",),
    "PUTTABLE": ("puttable",),
    "AMORTISING": ("amortising",),
    "INFLATION_LINKED": ("inflation_linked",),
    "INDEX_LINKED": ("index_linked",),
    "OTHER_STRUCTURED": ("other_structured",),
    "PRINCIPAL_ONLY": ("principal_only",),
}
EQUITIES: Table = {
    "ORDINARY": ("share",),
    "NON_CONVERTIBLE_PREFERENCE": ("preferred",),
    "CONVERTIBLE_PREFERENCE": ("convertible_preferred",),
    "DEPOSITARY_RECEIPT": ("adr", "gdr", "idr", "edr"),
}
FUNDS: Table = {
    "MONEY_MARKET_FUND": ("mmf",),
    "EXCHANGE_TRADED_FUND": ("etf",),
    "MUTUAL_FUND": ("mutual_fund",),
    "OTHER_FUND": ("other_fund",),
}
AGENCIES = {"STANDARD_AND_POORS": "sp", "MOODYS": "moodys", "FITCH": "fitch", "DBRS": "dbrs"}
RESOLUTIONS = {"LOWEST": "lowest", "HIGHEST": "highest", "AVERAGE": "average", "SECOND_BEST": "second_best"}
MATURITIES = {"REMAINING_MATURITY": "remaining", "ORIGINAL_MATURITY": "original", "FROM_ISSUANCE": "since_issue"}
MARGIN_TYPES = {"VARIATION_MARGIN": "vm", "INITIAL_MARGIN": "im"}
TAXONOMIES = {
    "ICAD": "taxonomy_icad",
    "CFI": "taxonomy_cfi",
    "ISDA": "taxonomy_isda",
    "EMIR": "taxonomy_emir",
    "EU_EMIR_ELIGIBLE_COLLATERAL_ASSET_CLASS": "taxonomy_eu_emir",
    "UK_EMIR_ELIGIBLE_COLLATERAL_ASSET_CLASS": "taxonomy_uk_emir",
    "US_CFTC_PR_ELIGIBLE_COLLATERAL_ASSET_CLASS": "taxonomy_us_cftc_pr",
    "MAS": "taxonomy_mas",
    "CSA": "taxonomy_csa",
    "OTHER": "taxonomy_other",
}
TAXONOMY_VALUES = {
    "taxonomy_eu_emir": "eu_EMIR_EligibleCollateral",
    "taxonomy_uk_emir": "uk_EMIR_EligibleCollateral",
    "taxonomy_us_cftc_pr": "us_CFTC_PR_EligibleCollateral",
}
LIMITS = {
    "ASSET": ("asset", "posted"),
    "ISSUER": ("issuer", "posted"),
    "ULTIMATE_PARENT_INSTITUTION": ("issuer_parent", "posted"),
    "INDUSTRY_SECTOR": ("sector", "posted"),
    "PRIMARY_EXCHANGE": ("exchange", "posted"),
    "BASE_CURRENCY_EQUIVALENT": ("none", "posted"),
    "ISSUE_OUTSTANDING_AMOUNT": ("asset", "outstanding"),
    "MARKET_CAPITALISATION": ("asset", "market_cap"),
}
SHORT_TERM = {
    "sp": ("A-1+", "A-1", "A-2", "A-3"),
    "moodys": ("P-1", "P-2", "P-3"),
    "fitch": ("F1+", "F1", "F2", "F3"),
    "dbrs": ("R-1 (high)", "R-1 (middle)", "R-1 (low)", "R-2 (high)", "R-2 (middle)", "R-2 (low)", "R-3"),
}

assert set(SECURITIES) <= set(ASSET_TYPES)


def fold(word: str) -> str:
    """`StandardAndPoors`, `STANDARD_AND_POORS` and `standard and poors` are the same word."""
    return re.sub(r"[^a-z0-9]", "", word.lower())


def look_up(word: str, table: dict[str, T]) -> T | None:
    """What a table says of a word of CDM, None where it does not know it."""
    return next((value for key, value in table.items() if fold(key) == fold(word)), None)


def snake(word: str) -> str:
    """`quasiGovernmentType` and `QUASI_GOVERNMENT_TYPE` as `quasi_government_type`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()).strip("_")


@cache
def index_names() -> dict[str, str]:
    """CDM's code of an equity index -> the name it is displayed with."""
    return {row["code"]: row["name"] for row in data_rows("cdm_equity_indices.csv")}


@cache
def index_codes() -> dict[str, str]:
    """The name of an equity index -> CDM's code, the first where two have one name."""
    codes: dict[str, str] = {}
    for code, name in index_names().items():
        codes.setdefault(name, code)
    return codes
