"""The asset columns a schedule may name without the asset table having them, and what kind each is."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "number", "date"]

AGENCIES = ("sp", "moodys", "fitch", "dbrs")
SCOPES = ("asset", "issuer", "sovereign")
ASSET_TYPES = ("cash", "debt", "equity", "fund", "commodity", "letter_of_credit", "other")


def rating_column(scope: str, agency: str) -> str:
    """The column that carries an agency's rating: `rating_sp`, `issuer_rating_sp`, `sovereign_rating_sp`."""
    return f"rating_{agency}" if scope == "asset" else f"{scope}_rating_{agency}"


RATING_COLUMNS: dict[str, str] = {rating_column(scope, agency): agency for scope in SCOPES for agency in AGENCIES}
NUMBER_COLUMNS = frozenset(
    {
        "price", "price_factor", "lot_size", "min_denomination", "outstanding", "market_cap", "adv", "duration",
        "risk_weight",
    }
)  # fmt: skip
DATE_COLUMNS = frozenset({"issue_date", "maturity_date"})
TEXT_COLUMNS = frozenset(
    {
        "asset_id", "asset_type", "currency", "isin", "name", "issuer", "issuer_parent", "issuer_type",
        "issuer_country", "asset_country", "sector", "seniority", "interest", "principal", "secured_type",
        "security_type", "hqla_level", "exchange", "index",
    }
) | frozenset(RATING_COLUMNS)  # fmt: skip
KNOWN_COLUMNS: frozenset[str] = TEXT_COLUMNS | NUMBER_COLUMNS | DATE_COLUMNS


def is_known(column: str) -> bool:
    """Whether a schedule may name `column` where the asset table lacks it (every cell is then unknown)."""
    return column in KNOWN_COLUMNS or column.startswith("taxonomy_")


def known_kind(column: str) -> Kind | None:
    """What a known column holds; None for any other column, whose kind the asset table decides."""
    if column in NUMBER_COLUMNS:
        return "number"
    if column in DATE_COLUMNS:
        return "date"
    return "text" if is_known(column) else None
