"""What one row of a result hands over, with what the book says about it; values in base currency, all exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter
from typing import NamedTuple

from collateral_opt.result.checker.figures import NOTHING


class Movement(NamedTuple):
    """A line of a call, a replacement, or an input of a facility; positions in the book, -1 for what it is not."""

    taker_name: str
    source_name: str
    row: int
    """Its row in allocation (a line) or financing (an input)."""
    call: int
    """The call it is delivered to."""
    agreement: int
    """The agreement it is delivered to, for a call or in place of what is recalled."""
    facility: int
    """The facility that takes it."""
    holding: int
    """The holding it comes from."""
    producer: int
    """The facility whose proceeds it is."""
    asset: int
    schedule: str
    """The one that judges it: in force for the call, or what the facility takes."""
    taker: frozenset[str]
    """The family of whoever takes it."""
    quantity: Fraction
    lot: Fraction
    factor: Fraction | None
    """Collateral factor; None where the schedule refuses the asset."""
    haircut: Fraction | None
    """1 - factor."""
    refusal: str
    market_value: Fraction
    collateral_value: Fraction
    cost: Fraction
    """Its own, with the movement; an input's share of what the facility costs is not in it."""

    @property
    def name(self) -> str:
        return f"{self.taker_name}, {self.source_name}"

    @property
    def over_lots(self) -> Fraction:
        """What of the quantity whole lots do not make."""
        (quantity, part), (lot, lot_part) = self.quantity.as_integer_ratio(), self.lot.as_integer_ratio()
        over = quantity * lot_part % (lot * part)
        return Fraction(over, part * lot_part) if over else NOTHING

    @property
    def lot_value(self) -> Fraction:
        """Collateral value of one lot."""
        value, quantity, lot = self.collateral_value, self.quantity, self.lot
        return Fraction(  # value / quantity * lot, reduced once
            value.numerator * quantity.denominator * lot.numerator,
            value.denominator * quantity.numerator * lot.denominator,
        )

    def lot_exceeds(self, spare: Fraction) -> bool:
        """Whether one lot, and so the whole line, is of more collateral value than ``spare``."""
        value, value_part = self.collateral_value.as_integer_ratio()
        quantity, part = self.quantity.as_integer_ratio()
        lot, lot_part = self.lot.as_integer_ratio()
        least, least_part = spare.as_integer_ratio()
        lots, one = quantity * lot_part, part * lot  # of the same parts
        return lots >= one and value * one * least_part > least * value_part * lots


@dataclass(frozen=True, slots=True)
class Draw:
    """The row of a facility that produces without taking anything."""

    row: int
    facility: int
    quantity: Fraction


@dataclass(frozen=True, slots=True)
class Position:
    """Collateral already at an agreement that counts there."""

    asset: int
    quantity: Fraction
    market_value: Fraction
    collateral_value: Fraction


MEASURES: Mapping[str, Callable[[Movement | Position], Fraction]] = {
    "quantity": attrgetter("quantity"),
    "market_value": attrgetter("market_value"),
    "value_after_haircut": attrgetter("collateral_value"),
}
"""A movement or posted position in each measure of a limit."""
