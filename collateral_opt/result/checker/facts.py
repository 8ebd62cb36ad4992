"""Everything the rules look at: the lines of a result joined to the book, once, and what follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.result.checker.accounts import Account, open_accounts
from collateral_opt.result.checker.baskets import (
    Basket,
    GroupUse,
    SharedLimit,
    gather_baskets,
    measure_groups,
    shared_limits,
)
from collateral_opt.result.checker.columns import Tables
from collateral_opt.result.checker.figures import NOTHING, exact, grouped, total
from collateral_opt.result.checker.movements import Draw, Movement
from collateral_opt.result.checker.pins import Pair, Pin, pin_of, read_pins
from collateral_opt.result.checker.posted import Posting, posted_costs
from collateral_opt.result.checker.reserves import Standing, stand
from collateral_opt.result.checker.terms import Matches, Terms

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allocation": (
        "call_id", "agreement_id", "holding_id", "facility_id", "asset_id", "action",
        "quantity", "market_value", "haircut", "collateral_value", "cost",
    ),
    "financing": (
        "facility_id", "holding_id", "from_facility_id", "asset_id", "quantity", "market_value", "haircut",
        "proceeds", "cost",
    ),
    "calls": ("call_id", "required", "covered", "shortfall", "excess"),
    "agreements": (
        "agreement_id", "required", "posted", "kept", "recalled", "delivered", "shortfall", "excess",
    ),
    "inventory": ("holding_id", "asset_id", "quantity", "recalled", "used", "left"),
    "reserves": ("reserve_id", "required", "counted", "shortfall", "marginal_cost_bps"),
    "limits": ("agreement_id", "limit", "group", "used", "cap"),
}  # fmt: skip
"""The columns each table must have to be checked at all."""


class Checkable(Protocol):
    """What can be checked: the tables of a run in the columns of the file formats, and its summary."""

    @property
    def allocation(self) -> pd.DataFrame: ...
    @property
    def financing(self) -> pd.DataFrame: ...
    @property
    def calls(self) -> pd.DataFrame: ...
    @property
    def agreements(self) -> pd.DataFrame: ...
    @property
    def inventory(self) -> pd.DataFrame: ...
    @property
    def reserves(self) -> pd.DataFrame: ...
    @property
    def limits(self) -> pd.DataFrame: ...
    @property
    def summary(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Facts:
    """The book, the result, and everything looked up once for all rules."""

    book: Book
    result: Checkable
    stated: Tables
    """The tables of the result."""
    lines: tuple[Movement, ...]
    """To calls."""
    replacements: tuple[Movement, ...]
    """To agreements without a call."""
    inputs: tuple[Movement, ...]
    draws: tuple[Draw, ...]
    postings: tuple[Posting, ...]
    unknown: tuple[str, ...]
    """Sentences about rows that name something the book does not have; nothing is made of those rows."""
    asset_at: Mapping[int, int]
    """Position in the book's assets -> position in ``matches``, of every asset in play."""
    terms: Terms
    matches: Matches

    @cached_property
    def deliveries(self) -> tuple[Movement, ...]:
        """All that is handed over to agreements, for calls or without."""
        return (*self.lines, *self.replacements)

    @cached_property
    def movements(self) -> tuple[Movement, ...]:
        """All that is handed over, to agreements and to facilities."""
        return (*self.deliveries, *self.inputs)

    @cached_property
    def delivered_to(self) -> Mapping[int, tuple[Movement, ...]]:
        """By agreement."""
        return grouped(self.deliveries, lambda movement: movement.agreement)

    @cached_property
    def postings_at(self) -> Mapping[int, tuple[Posting, ...]]:
        """By agreement."""
        return grouped(self.postings, lambda posting: posting.agreement)

    @cached_property
    def accounts(self) -> Mapping[int, Account]:
        """By agreement, in scope ``reoptimise``: those that need or hold more than their calls ask for."""
        return {account.agreement: account for account in open_accounts(self)}

    @cached_property
    def lines_of_call(self) -> Mapping[int, tuple[Movement, ...]]:
        return grouped(self.lines, lambda line: line.call)

    @cached_property
    def inputs_of_facility(self) -> Mapping[int, tuple[Movement, ...]]:
        return grouped(self.inputs, lambda line: line.facility)

    @cached_property
    def required(self) -> tuple[Fraction, ...]:
        calls = self.terms.tables["calls"]
        return tuple(
            exact(amount) * self.terms.rate(currency)
            for amount, currency in zip(calls["amount"], calls["currency"], strict=True)
        )

    @cached_property
    def covered(self) -> tuple[Fraction, ...]:
        return tuple(
            total(line.collateral_value for line in self.lines_of_call.get(call, ()))
            for call in range(len(self.book.calls))
        )

    @cached_property
    def surplus(self) -> tuple[Fraction, ...]:
        """By call: what covers it beyond what it asks for; below nothing where it is short."""
        return tuple(covered - required for covered, required in zip(self.covered, self.required, strict=True))

    @cached_property
    def short_calls(self) -> tuple[int, ...]:
        return tuple(call for call, surplus in enumerate(self.surplus) if surplus < 0)

    @cached_property
    def short_accounts(self) -> tuple[Account, ...]:
        return tuple(account for account in self.accounts.values() if account.shortfall > 0)

    @cached_property
    def recalled_into(self) -> Mapping[int, Fraction]:
        """By holding: the units that come back into it."""
        recalled: dict[int, Fraction] = defaultdict(Fraction)
        for posting in self.postings:
            if posting.holding >= 0 and posting.recalled > 0:
                recalled[posting.holding] += posting.recalled
        return recalled

    def deadline(self, movement: Movement) -> pd.Timestamp | None:
        """By when it must have arrived; None without a deadline, or where a pin says it is under way."""
        if movement.facility >= 0:
            return self.terms.opens(movement.facility)
        due: Any = self.terms.cell("calls", "due", movement.call) if movement.call >= 0 else pd.NaT
        pin = pin_of(self, movement) if self.pins else None
        return None if due is pd.NaT or (pin is not None and pin.sent) else due

    @cached_property
    def used_of_holding(self) -> Mapping[int, Fraction]:
        """What leaves each holding, to calls and facilities together, in units."""
        leaving: dict[int, list[Fraction]] = defaultdict(list)
        for movement in self.movements:
            if movement.holding >= 0:
                leaving[movement.holding].append(movement.quantity)
        return {holding: total(quantities) for holding, quantities in leaving.items()}

    @cached_property
    def left_of_holding(self) -> Mapping[int, Fraction]:
        """What is left, in units, of each holding that anything leaves or comes back into; below 0: too much leaves."""
        left = {holding: self.terms.held(holding) - used for holding, used in self.used_of_holding.items()}
        for holding, back in self.recalled_into.items():
            left[holding] = left.get(holding, self.terms.held(holding)) + back
        return left

    @cached_property
    def spent(self) -> Mapping[int, tuple[Movement, ...]]:
        """By facility: everything spent from it."""
        return grouped((m for m in self.movements if m.producer >= 0), lambda movement: movement.producer)

    @cached_property
    def produced(self) -> Mapping[int, Fraction]:
        """By facility: what it produces, the market value of everything spent from it."""
        return {facility: total(m.market_value for m in spent) for facility, spent in self.spent.items()}

    @cached_property
    def costs(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """Every part of the run's cost, unrounded, and how far it may be off.

        Of each movement its own, of each facility what it produces, of each posting what is kept and recalled.
        """
        facilities = (self.terms.facility_cost(facility, value) for facility, value in self.produced.items())
        exactly = (*(movement.cost for movement in self.movements), *facilities)
        return (*((cost, NOTHING) for cost in exactly), *posted_costs(self))

    @cached_property
    def pins(self) -> Mapping[Pair, Pin]:
        return read_pins(self.terms.tables["pins"])

    @cached_property
    def baskets(self) -> tuple[Basket, ...]:
        return tuple(gather_baskets(self))

    @cached_property
    def shared_at(self) -> Mapping[str, Sequence[SharedLimit]]:
        """By agreement: limits there with a share of what is posted."""
        return shared_limits(self)

    @cached_property
    def groups(self) -> tuple[GroupUse, ...]:
        return tuple(use for basket in self.baskets for use in measure_groups(self, basket))

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """By reserve: what is left at home that it can count."""
        return tuple(stand(self))
