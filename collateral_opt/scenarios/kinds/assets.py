"""Changes of prices, rates and ratings."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.figure import Assets, Move
from collateral_opt.scenarios.kinds.kind import BookChange
from eligibility_rules import rating_step
from eligibility_rules.columns import AGENCIES, rating_column
from eligibility_rules.ratings import data_rows
from eligibility_rules.vocabulary import Text, leaf_columns, leaves


class PriceMoved(BookChange):
    """Another price of the assets inside; cash, which is worth one of its currency, is not among a class's."""

    lead = "price"
    price: Move
    of: Assets

    def apply(self, draft: Draft) -> None:
        assets = draft.table("assets")
        inside, is_cash = draft.inside(self.of), (assets["asset_type"] == "cash").to_numpy()
        if inside.any() and not (inside & ~is_cash).any():
            draft.say(f"{self.of} is cash, which is worth one of its currency. Move the rate: fx:EUR={self.price}.")
        inside = inside & ~is_cash
        if self.price.how != "to" and inside.sum() > 1:
            inside &= assets["price"].notna().to_numpy()
        draft.move("assets", "price", np.flatnonzero(inside), self.price)

    def __str__(self) -> str:
        return f"price:{self.of}={self.price}"


class RateMoved(BookChange):
    """Another rate of a currency against the base currency (``*``: of every other currency)."""

    lead = "fx"
    fx: Text
    rate: Move

    def apply(self, draft: Draft) -> None:
        base = draft.settings.base_currency
        if self.fx == base:
            draft.say(f"{base} is the base currency, whose rate is 1. Move the other currencies' rates.")
            return
        rows = draft.rows("fx", self.fx, every=True)
        others = (draft.table("fx")["currency"].iloc[rows] != base).to_numpy()
        draft.move("fx", "rate", rows[others], self.rate)

    def __str__(self) -> str:
        return f"fx:{self.fx}={self.rate}"


Scope = Literal["asset", "issuer", "sovereign"]


class Downgraded(BookChange):
    """Every rating of the assets inside so many notches lower, each on its agency's own scale; default is the end.

    ``scope`` says which ratings; left out, the asset's own where single assets are named by ``asset_id``, else the
    asset's and its issuer's. What is not rated stays so.
    """

    lead = "downgrade"
    downgrade: Annotated[int, Field(ge=1, le=21)]
    of: Assets
    scope: Annotated[tuple[Scope, ...] | None, BeforeValidator(lambda raw: (raw,) if isinstance(raw, str) else raw)] = (
        None
    )

    def apply(self, draft: Draft) -> None:
        rows, moved = np.flatnonzero(draft.inside(self.of)), False
        for column, agency in [(rating_column(s, a), a) for s in self._scopes() for a in AGENCIES]:
            cells = draft.table("assets")[column].iloc[rows]
            letters = cells.map({text: lowered(text, agency, self.downgrade) for text in cells.dropna().unique()})
            changed = (letters.notna() & (letters != cells)).to_numpy()
            draft.put("assets", column, rows[changed], letters[changed].tolist())
            moved = moved or bool(changed.any())
        if len(rows) and not moved:
            scopes = " and ".join(self._scopes())
            draft.say(f"no asset of {self.of} has a rating ({scopes}) that could be lowered. Name another scope.")

    def _scopes(self) -> tuple[str, ...]:
        if self.scope is not None:
            return self.scope
        named = {column for leaf in leaves(self.of.criterion) for column in leaf_columns(leaf)}
        return ("asset",) if named == {"asset_id"} else ("asset", "issuer")

    def __str__(self) -> str:
        return f"downgrade:{self.of}={self.downgrade}" if self.scope is None else super().__str__()


@cache
def _scale(agency: str) -> tuple[str, ...]:
    return tuple(row[agency] for row in data_rows("rating_scale.csv"))


def lowered(text: str, agency: str, notches: int) -> str:
    """The letters so many steps below; what is no rating stays what it is."""
    try:
        step = rating_step(text, agency)
    except ValueError:
        return text
    letters = _scale(agency)
    return text if step is None else letters[min(step + notches, len(letters)) - 1]
