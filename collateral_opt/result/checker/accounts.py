"""Agreements in scope ``reoptimise``: what each needs besides its calls, and what is kept and delivered towards it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from collateral_opt.result.checker.figures import NOTHING, exact, total

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Collateral values in base currency, exact."""

    agreement: int
    identifier: str
    requirement: Fraction
    """All that it needs, its calls included."""
    required: Fraction
    """What no call asks for; what is posted, where the excess over that is less than the minimum transfer."""
    posted: Fraction
    """What is posted before the run, as far as it counts."""
    holds: bool
    """Whether anything is posted, counting or not."""
    kept: Fraction
    recalled: Fraction
    delivered: Fraction
    """In place of what is recalled, for no call."""

    @property
    def name(self) -> str:
        return f"agreement {self.identifier}"

    @property
    def after(self) -> Fraction:
        """What is there after the run, besides what calls get."""
        return self.kept + self.delivered

    @property
    def shortfall(self) -> Fraction:
        return max(NOTHING, self.required - self.after)

    @property
    def excess(self) -> Fraction:
        return max(NOTHING, self.after - self.required)

    @property
    def spare(self) -> Fraction:
        """What may come back without a replacement."""
        return max(NOTHING, self.posted - self.required)


def open_accounts(facts: Facts) -> Iterator[Account]:
    """One for each agreement that has collateral, needs some that no call asks for, or gets some without a call."""
    if facts.book.settings.scope != "reoptimise":
        return
    for agreement in range(len(facts.book.agreements)):
        account = open_account(facts, agreement)
        replaced = any(line.call < 0 for line in facts.delivered_to.get(agreement, ()))
        if account.required > 0 or facts.postings_at.get(agreement) or replaced:
            yield account


def open_account(facts: Facts, agreement: int) -> Account:
    terms = facts.terms
    rate = terms.rate(terms.base_currency(agreement))
    postings = facts.postings_at.get(agreement, ())
    posted = total(posting.value(posting.quantity) for posting in postings)
    called = total(facts.required[call] for call in terms.calls_of_agreement.get(agreement, ()))
    requirement = requirement_of(facts, agreement)
    uncalled = max(NOTHING, requirement - called)
    least_transfer = exact(terms.cell("agreements", "minimum_transfer", agreement)) * rate
    return Account(
        agreement=agreement,
        identifier=str(terms.cell("agreements", "agreement_id", agreement)),
        requirement=requirement,
        required=posted if 0 < posted - uncalled < least_transfer else uncalled,
        posted=posted,
        holds=any(posting.quantity > 0 for posting in postings),
        kept=total(posting.value(posting.kept) for posting in postings),
        recalled=total(posting.value(posting.recalled) for posting in postings),
        delivered=total(line.collateral_value for line in facts.delivered_to.get(agreement, ()) if line.call < 0),
    )


def requirement_of(facts: Facts, agreement: int) -> Fraction:
    """All that an agreement needs: in scope ``reoptimise`` its own figure where known, else what is there and asked."""
    terms = facts.terms
    stated = float(terms.cell("agreements", "requirement", agreement))
    if facts.book.settings.scope == "reoptimise" and not math.isnan(stated):
        return exact(stated) * terms.rate(terms.base_currency(agreement))
    posted = total(posting.value(posting.quantity) for posting in facts.postings_at.get(agreement, ()))
    return posted + total(facts.required[call] for call in terms.calls_of_agreement.get(agreement, ()))
