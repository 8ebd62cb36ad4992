"""Reserves: what is left at home, the most of it that each reserve can count, and the rows that state it.

Any part of a holding may be counted, each reserve for itself, and nothing but the reserve's schedule has a say: no
timing, no counterparty. Without limits the count is a sum, worked out exactly; with limits it is the optimum of a
small linear program, good to :data:`SOLVED` of the amount.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from collateral_opt.result.checker.baskets import fixed_cap
from collateral_opt.result.checker.figures import (
    CENT,
    NOTHING,
    exact,
    is_number,
    near,
    number,
    one_row_each,
    total,
)
from collateral_opt.result.checker.linear import Unsolved, greatest_sum
from collateral_opt.result.checker.terms import Terms
from eligibility_rules import CapMatch, LimitMatch

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts

SOLVED = Fraction(1, 10**7)
"""How far, in parts of the amount, the linear program may be off."""
ENOUGH = Fraction(101, 100)
"""More than this, in parts of the amount, need not be counted to see that a reserve holds."""


@dataclass(frozen=True, slots=True)
class Left:
    """All that is left at home of one asset which the schedule takes; values in base currency."""

    asset: int
    at: int
    """Where the asset stands in the matches."""
    factor: Fraction
    quantity: Fraction
    unit_value: Fraction

    def per_value(self, measure: str) -> Fraction:
        """What one unit of base currency counted comes to in the measure of a limit."""
        if measure == "value_after_haircut":
            return Fraction(1)
        return 1 / self.factor / (self.unit_value if measure == "quantity" else 1)

    @property
    def value(self) -> Fraction:
        """Value after haircut."""
        return self.quantity * self.unit_value * self.factor


@dataclass(frozen=True)
class Standing:
    """One reserve: what it asks, what there is for it, and between which figures its count lies."""

    identifier: str
    currency: str
    required: Fraction
    left: tuple[Left, ...]
    limits: tuple[LimitMatch, ...]
    low: Fraction
    high: Fraction
    """The most that can be counted, at most ``required``, lies between ``low`` and ``high``."""
    unsolved: str = ""

    @cached_property
    def _members(self) -> Mapping[str, Mapping[str, Sequence[Left]]]:
        """By limit and group: what is left that counts in it."""
        found: dict[str, dict[str, list[Left]]] = {limit.label: defaultdict(list) for limit in self.limits}
        for limit in self.limits:
            for asset in self.left:
                if bool(limit.counts[asset.at]):
                    found[limit.label][limit.groups[int(limit.group[asset.at])]].append(asset)
        return found

    def cap(self, terms: Terms, limit: LimitMatch, cap: CapMatch, asset: Left) -> Fraction:
        """A cap that does not depend on what is counted, for the group of ``asset``."""
        return fixed_cap(terms, limit, cap, self.required, self.currency, asset.asset, asset.at)

    def row_faults(self, terms: Terms, label: str, group: str, used: float, cap: float) -> Iterator[str]:
        """What cannot be true of a row of limits: more than there is or than a cap allows, or too wide a cap.

        Which assets are counted is the optimiser's choice, so only bounds can be told.
        """
        limit = next(limit for limit in self.limits if limit.label == label)
        members = self._members[label].get(group, ())
        there = total(asset.value * asset.per_value(limit.measure) for asset in members)
        if not_above(used, there) and not_above(-used, NOTHING):
            if members:
                caps = [self.cap(terms, limit, c, members[0]) for c in limit.caps if c.of != "posted"]
                if caps and not not_above(cap, min(caps)):
                    yield f"the cap is stated as {cap!r}, it is at most {number(min(caps))}."
                elif len(caps) == len(limit.caps) and not not_above(-cap, -min(caps)):
                    yield f"the cap is stated as {cap!r}, it is {number(min(caps))}."
            if not not_above(used - cap, NOTHING):
                yield f"{used!r} is stated as counted, over the cap of {cap!r}."
        else:
            yield f"{used!r} is stated as counted, {number(there)} of it is left at home."


def not_above(stated: float, most: Fraction) -> bool:
    """stated <= most, to a cent or what a solved figure may be off."""
    return is_number(stated) and exact(stated) - most <= max(CENT, SOLVED * 10 * abs(most))


# --- counting --------------------------------------------------------------------------


def stand(facts: Facts) -> Iterator[Standing]:
    """Every reserve, counted on what is left at home after all movements."""
    book, terms = facts.book, facts.terms
    if not len(book.reserves):
        return
    at_home = left_at_home(facts)
    for reserve, schedule in enumerate(terms.tables["reserves"]["schedule"]):
        currency = str(terms.cell("reserves", "currency", reserve))
        found = facts.matches.of(schedule, currency)
        left = tuple(
            Left(
                asset=asset,
                at=facts.asset_at[asset],
                factor=found.factors[int(found.factor_code[facts.asset_at[asset]])],
                quantity=quantity,
                unit_value=terms.unit_value(asset),
            )
            for asset, quantity in at_home.items()
            if bool(found.eligible[facts.asset_at[asset]])
        )
        required = exact(terms.cell("reserves", "amount", reserve)) * terms.rate(currency)
        everything = min(required, total(asset.value for asset in left))
        standing = Standing(
            identifier=str(terms.cell("reserves", "reserve_id", reserve)),
            currency=currency,
            required=required,
            left=left,
            limits=facts.matches.limits(schedule, currency),
            low=everything,
            high=everything,
        )
        yield within_limits(terms, standing) if standing.limits and everything > 0 else standing


def left_at_home(facts: Facts) -> dict[int, Fraction]:
    """Units left by asset, in the order of the book's assets; what has matured counts no more."""
    terms = facts.terms
    left: dict[int, Fraction] = defaultdict(Fraction)
    today = pd.Timestamp(facts.book.settings.as_of.date())
    maturities = terms.tables["assets"]["maturity_date"]
    for holding, asset in enumerate(terms.asset_of_holding):
        remaining = terms.held(holding) + facts.recalled_into.get(holding, NOTHING)
        remaining -= facts.used_of_holding.get(holding, NOTHING)
        if remaining > 0 and not maturities[asset] < today:
            left[asset] += remaining
    return dict(sorted(left.items()))


def within_limits(terms: Terms, standing: Standing) -> Standing:
    """The standing with the most that its limits let it count.

    Variables are values counted in parts of the amount. They may come to a little more than 1, so that a reserve
    which holds is seen to hold; rows are scaled to coefficients of at most 1. A share of all that counts is a share
    of one more variable, which sums everything in the measure.
    """
    required, left = standing.required, standing.left
    columns = np.arange(len(left))
    upper = [float(min(ENOUGH, asset.value / required)) for asset in left]
    rows: list[tuple[list[int], list[float], float]] = [(columns.tolist(), [1.0] * len(left), float(ENOUGH))]
    sums: list[tuple[list[int], list[float]]] = []
    sum_of: dict[str, int] = {}
    for limit in standing.limits:
        weights = [asset.per_value(limit.measure) * required for asset in left]
        size = max(weights)
        scaled = [float(weight / size) for weight in weights]
        members: dict[int, list[int]] = defaultdict(list)
        for column, asset in enumerate(left):
            if bool(limit.counts[asset.at]):
                members[int(limit.group[asset.at])].append(column)
        for cap in limit.caps:
            if cap.of == "posted" and limit.measure not in sum_of:
                sum_of[limit.measure] = len(left) + len(sums)
                sums.append((columns.tolist(), scaled))
            for group in members.values():
                used = [scaled[column] for column in group]
                if cap.of == "posted":
                    rows.append(([*group, sum_of[limit.measure]], [*used, -float(cap.share or 0)], 0.0))
                else:
                    room = standing.cap(terms, limit, cap, left[group[0]]) / size
                    rows.append((group, used, min(float(room), len(left) + 1.0)))
    try:
        share = exact(greatest_sum(upper, rows, sums))
    except Unsolved as problem:
        return replace(standing, low=NOTHING, unsolved=str(problem))
    found, doubt = share * required, SOLVED * required
    low, high = max(NOTHING, min(required, found - doubt)), min(standing.high, found + doubt)
    return replace(standing, low=low, high=high)


# --- the rules -------------------------------------------------------------------------


def reserves_table_agrees(facts: Facts) -> Iterator[str]:
    """One row a reserve: required; counted, the most that can be; what is missing; no price when it is short."""
    table, reserves = facts.stated["reserves"], facts.terms.tables["reserves"]
    yield from one_row_each("reserves", "reserve_id", reserves["reserve_id"], table["reserve_id"])
    for row, reserve in enumerate(reserves.rows_of("reserve_id", table["reserve_id"])):
        if reserve < 0:
            continue
        standing = facts.standings[reserve]
        name = f"reserve {standing.identifier}"
        required, counted, shortfall, price = (
            table[column][row] for column in ("required", "counted", "shortfall", "marginal_cost_bps")
        )
        if standing.unsolved:
            yield f"{name}: what it can count could not be verified: {standing.unsolved}."
            continue
        if not near(required, standing.required, CENT / 2):
            yield f"{name}: required is stated as {required!r}, it is {number(standing.required)}."
        if not between(counted, standing.low, standing.high, CENT / 2):
            yield f"{name}: counted is stated as {counted!r}, the most that counts is {number(standing.high)}."
        yield from missing_agrees(name, shortfall, standing)
        if shortfall != 0 and price == price and price is not None:
            yield f"{name}: a short reserve has no price, {price!r} is stated."


def missing_agrees(name: str, stated: float, standing: Standing) -> Iterator[str]:
    """shortfall = required - counted, to the cent; part of a cent is never rounded to zero."""
    least, most = standing.required - standing.high, standing.required - standing.low
    if stated == 0 and least > 0:
        yield f"{name}: no shortfall is stated, but {number(least)} of {number(standing.required)} is missing."
    elif stated != 0 and most == 0:
        yield f"{name}: a shortfall of {stated!r} is stated, the reserve holds."
    elif not between(stated, least, most, CENT):
        yield f"{name}: shortfall is stated as {stated!r}, it is {number(least)}."


def between(stated: float, low: Fraction, high: Fraction, tolerance: Fraction) -> bool:
    """low <= stated <= high, with so much room on either side."""
    return (
        near(stated, low, tolerance) or near(stated, high, tolerance) or (is_number(stated) and low <= stated <= high)
    )


def short_reserves(facts: Facts) -> list[str]:
    """Reserves that do not hold; where the count cannot tell, what the table says decides."""
    table = facts.stated["reserves"]
    said = dict(zip(table["reserve_id"], table["shortfall"], strict=True))
    return [
        standing.identifier
        for standing in facts.standings
        if standing.high < standing.required
        or (standing.low < standing.required and said.get(standing.identifier, 0) != 0)
    ]
