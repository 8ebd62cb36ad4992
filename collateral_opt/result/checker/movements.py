"""What one row of a result hands over, with what the book says about it; values in base currency, all exact."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class Movement:
    """A line of a call, a replacement, or an input of a facility; positions in the book, -1 for what it is not."""

    name: str
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
    refusal: str
    market_value: Fraction
    collateral_value: Fraction
    cost: Fraction
    """Its own, with the movement; an input's share of what the facility costs is not in it."""

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
        value, quantity, lot = self.collateral_value, self.quantity, self.lot
        one_lot = value.numerator * quantity.denominator * lot.numerator * spare.denominator
        return quantity >= lot and one_lot > spare.numerator * value.denominator * quantity.numerator * lot.denominator


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


def measured(item: Movement | Position, measure: str) -> Fraction:
    """A movement or posted position in the measure of a limit."""
    if measure == "quantity":
        return item.quantity
    return item.market_value if measure == "market_value" else item.collateral_value
