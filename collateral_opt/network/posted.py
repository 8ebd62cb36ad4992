"""What is posted already: what it counts where it lies, what leaving it there costs, whether it may be recalled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from collateral_opt.book import Book
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Assets, Bools
from collateral_opt.network.rows import rows
from eligibility_rules import Match


@dataclass(frozen=True)
class PostedLine:
    """One row of ``posted``: positions of its agreement and asset, exact quantity and values in base currency.

    ``factor`` is the collateral factor under the agreement's own schedule; a line that no longer counts has none, and
    counts nothing in any measure. ``cost_bps`` is what the table says (None: nothing).
    """

    agreement: int
    asset: int
    holding_id: str | None
    locked: bool
    quantity: Fraction
    market_value: Fraction
    factor: Fraction | None
    cost_bps: float | None
    recall_hours: float

    @property
    def value_after_haircut(self) -> Fraction:
        """What it counts as collateral."""
        return self.market_value * (self.factor or 0)

    def measured(self, measure: str) -> Fraction:
        """What it counts in ``measure``."""
        counted: Fraction = getattr(self, measure)
        return counted if self.factor is not None else Fraction(0)


def posted_lines(
    book: Book, assets: Assets, agreement_ids: Sequence[str], counts: Callable[[int], tuple[Bools, Match]]
) -> tuple[PostedLine, ...]:
    """The lines of ``book`` by agreement and identifiers.

    ``counts`` says, of an agreement, which assets still count where they lie there, and how they are valued.
    """
    agreement_at = {name: i for i, name in enumerate(agreement_ids)}
    columns = ("agreement_id", "asset_id", "holding_id", "locked", "quantity", "cost_bps", "recall_hours")
    known: dict[int, tuple[Bools, Match]] = {}
    found = []
    for agreement_id, asset_id, holding, locked, quantity, cost, hours in rows(book.posted, *columns):
        agreement, asset = agreement_at[agreement_id], assets.at[asset_id]
        if agreement not in known:
            known[agreement] = counts(agreement)
        still, matched = known[agreement]
        units = exact(quantity)
        found.append(
            PostedLine(
                agreement=agreement,
                asset=asset,
                holding_id=holding,
                locked=bool(locked),
                quantity=units,
                market_value=units * assets.exact_unit_value(asset),
                factor=matched.factors[matched.factor_code[asset]] if still[asset] else None,
                cost_bps=None if np.isnan(cost) else float(cost),
                recall_hours=float(hours),
            )
        )
    return tuple(sorted(found, key=_order))


def _order(line: PostedLine) -> tuple[object, ...]:
    """By place and name, and then by everything else, so that the order of rows never matters."""
    cost = float("-inf") if line.cost_bps is None else line.cost_bps
    return (line.agreement, line.asset, line.holding_id or "", line.locked, line.recall_hours, cost, line.quantity)


def by_agreement(lines: Sequence[PostedLine]) -> Mapping[int, Sequence[PostedLine]]:
    """The lines that lie at each agreement."""
    found: dict[int, list[PostedLine]] = defaultdict(list)
    for line in lines:
        found[line.agreement].append(line)
    return found
