"""Positions, on which margin is called: what their rows say with the facts of the assets they name, and its checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from eligibility_rules import rating_step

from ..errors import Finding
from .codes import finding, shown
from .settings import Settings
from .tables import Table

if TYPE_CHECKING:
    from .book import Book
    from .checks import Draft

Floats = np.ndarray[Any, np.dtype[np.float64]]

FROM_ASSET = ("asset_type", "sector", "issuer_type", "issuer_country", "security_type")
"""What an empty cell of a position takes from the asset that its ``instrument`` names."""
VALUE = "value_"
"""A column ``value_NAME`` is what the positions are worth under the stress that names it."""
APART = 1e-6
"""Two statements of one value are the same to this relative difference."""


def with_currencies(table: Table, assets: pd.DataFrame, settings: Settings | None) -> Table:
    """An empty ``currency`` filled: that of the asset it names, else the book's."""
    frame = table.frame
    blank = frame["currency"].isna() & table.known("currency")
    if settings is None or not blank.any():
        return table
    own = frame["instrument"].map(_by_asset(assets, "currency"))
    currency = frame["currency"].mask(blank, own.where(own.notna(), settings.base_currency)).astype(object)
    return Table(table.name, frame.assign(currency=currency), table.rows, table.unread, table.given)


def positions_in_full(book: Book) -> pd.DataFrame:
    """The book's positions with what they leave to their assets filled in, and their value.

    The columns of the table; class columns, ``price`` with ``price_factor`` and ``adv`` from the asset that
    ``instrument`` names where the cell is empty; ``market_value`` from quantity, price and factor where it is empty;
    ``initial_margin`` 0 where a position is margined and says nothing, NaN where it is not margined;
    ``unrealised_pnl`` 0 where it is unknown.
    """
    frame = _valued(book.positions, book.assets)
    margined = frame["agreement_id"].notna()
    return frame.assign(
        initial_margin=frame["initial_margin"].fillna(0.0).where(margined),
        unrealised_pnl=frame["unrealised_pnl"].fillna(0.0),
    )


def _valued(positions: pd.DataFrame, assets: pd.DataFrame) -> pd.DataFrame:
    frame = positions
    for column in FROM_ASSET:
        known = frame["instrument"].map(_by_asset(assets, column))
        frame = frame.assign(**{column: frame[column].where(frame[column].notna(), known).astype(object)})
    bare = frame["price"].isna()
    for column in ("price", "price_factor", "adv"):
        known = frame["instrument"].map(_by_asset(assets, column)).astype(np.float64)
        # A factor belongs to its price: where the position states its own price, the factor is its own too.
        ours = bare & known.notna() if column != "adv" else frame[column].isna()
        frame = frame.assign(**{column: frame[column].mask(ours, known)})
    product = frame["quantity"] * frame["price"] * frame["price_factor"]
    return frame.assign(market_value=frame["market_value"].where(frame["market_value"].notna(), product))


def _by_asset(assets: pd.DataFrame, column: str) -> dict[str, Any]:
    known = assets[["asset_id", column]].dropna()
    return dict(zip(known["asset_id"], known[column], strict=True))


def position_findings(draft: Draft) -> Iterator[Finding]:
    """E901, E904, W911 to W913: no value, two values, margin that is unknown or belongs to no agreement."""
    table = draft.tables["positions"]
    if len(table.frame) and table.given:
        yield from _margins(table)
        yield from _values(table, draft.frame("assets"), table_is_whole="assets" not in draft.incomplete)
    thresholds = draft.tables["thresholds"]
    for i, rating in enumerate(thresholds.frame["rating"]):
        if rating is not None and not is_rating(rating):
            yield finding("E904", "thresholds", row=thresholds.rows[i], column="rating", value=rating)


def is_rating(text: str) -> bool:
    """Whether these are letters of Standard & Poor's scale for long-term debt."""
    try:
        return rating_step(text, "sp") is not None
    except ValueError:
        return False


def _margins(table: Table) -> Iterator[Finding]:
    frame = table.frame
    margined, known = frame["agreement_id"].notna().to_numpy(), frame["initial_margin"].notna().to_numpy()
    for i in _places(margined & ~known & table.known("initial_margin")):
        yield finding("W911", "positions", row=table.rows[i], column="initial_margin")
    for i in _places(~margined & known & table.known("agreement_id")):
        margin = shown(float(frame["initial_margin"].iloc[i]))
        yield finding("W913", "positions", row=table.rows[i], column="initial_margin", value=margin)


def _values(table: Table, assets: pd.DataFrame, *, table_is_whole: bool) -> Iterator[Finding]:
    frame = _valued(table.frame, assets)
    stated = table.frame["market_value"].to_numpy(np.float64)
    value = frame["market_value"].to_numpy(np.float64)
    columns = ("market_value", "quantity", "price", "price_factor")
    readable = np.logical_and.reduce([table.known(column) for column in columns])
    if table_is_whole:
        for i in _places(np.isnan(value) & readable):
            yield finding("E901", "positions", row=table.rows[i], column="market_value")
    product = (frame["quantity"] * frame["price"] * frame["price_factor"]).to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(product - stated) > APART * np.maximum(np.abs(product), np.abs(stated))
    for i in _places(apart & readable):
        said, made = f"{stated[i]:,.12g}", f"{product[i]:,.12g}"
        yield finding("W912", "positions", row=table.rows[i], column="market_value", value=said, product=made)


def _places(mask: np.ndarray[Any, Any]) -> list[int]:
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


def with_defaults(tables: Mapping[str, Table], settings: Settings | None) -> dict[str, Table]:
    """The tables, the positions' currencies filled."""
    return {**tables, "positions": with_currencies(tables["positions"], tables["assets"].frame, settings)}
