"""What a person has decided about lines: how much of a pair is delivered, or that none is, or that it has left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from collateral_opt.result.checker.columns import Columns
from collateral_opt.result.checker.figures import NOTHING, exact, number
from collateral_opt.result.checker.movements import Movement

if TYPE_CHECKING:
    from collateral_opt.result.checker.facts import Facts

Pair = tuple[str, str, str]
"""A call, and ``holding`` or ``facility`` with its identifier."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A row of pins: exactly ``quantity`` where it is known, else at least one lot and ``at_least``."""

    quantity: Fraction | None
    at_least: Fraction
    forbid: bool
    sent: bool
    """The line is under way already: whether it arrives in time is no longer asked."""


def read_pins(table: Columns) -> Mapping[Pair, Pin]:
    """By pair; a column the book's table does not have stands at its default."""
    unknown: list[None] = [None] * table.height
    calls, holdings, facilities = (
        table.texts(name) if table.has(name) else unknown for name in ("call_id", "holding_id", "facility_id")
    )
    quantities, least = (figures(table[name] if table.has(name) else unknown) for name in ("quantity", "at_least"))
    forbidden, sent = (marks(table[name] if table.has(name) else unknown) for name in ("forbid", "sent"))
    found: dict[Pair, Pin] = {}
    for row, call in enumerate(calls):
        source = ("holding", holdings[row]) if holdings[row] is not None else ("facility", facilities[row])
        pin = Pin(quantities[row], least[row] or NOTHING, bool(forbidden[row]), bool(sent[row]))
        found[str(call), source[0], str(source[1])] = pin
    return found


def figures(cells: Iterable[Any]) -> list[Fraction | None]:
    return [None if value is None or math.isnan(value) else exact(value) for value in cells]


def marks(cells: Iterable[Any]) -> list[bool]:
    return [value is not None and value == value and bool(value) for value in cells]


def pair_of(facts: Facts, line: Movement) -> Pair:
    """The pair of a line to a call."""
    call = str(facts.terms.cell("calls", "call_id", line.call))
    if line.holding >= 0:
        return call, "holding", str(facts.terms.cell("holdings", "holding_id", line.holding))
    return call, "facility", str(facts.terms.cell("facilities", "facility_id", line.producer))


def pin_of(facts: Facts, movement: Movement) -> Pin | None:
    """The pin on a line to a call, where there is one that does not forbid it."""
    if movement.call < 0 or not facts.pins:
        return None
    pin = facts.pins.get(pair_of(facts, movement))
    return None if pin is None or pin.forbid else pin


def pins_are_kept(facts: Facts) -> Iterator[str]:
    """A forbidden pair has no line; a pinned pair has exactly its quantity, or at least one lot and its least."""
    if not facts.pins:
        return
    delivered = {pair_of(facts, line): line.quantity for line in facts.lines}
    for pair, pin in facts.pins.items():
        there = delivered.get(pair)
        call, kind, source = pair
        name = f"call {call}, {'holding' if kind == 'holding' else 'proceeds of'} {source}"
        asked = "at least one lot" if pin.quantity is None else number(pin.quantity)
        if pin.forbid and there is not None:
            yield f"{name}: {number(there)} is delivered where a pin forbids it."
        elif not pin.forbid and there is None:
            yield f"{name}: nothing is delivered, a pin asks for {asked}."
        elif not pin.forbid and there is not None:
            if pin.quantity is not None and there != pin.quantity:
                yield f"{name}: {number(there)} is delivered, a pin asks for exactly {number(pin.quantity)}."
            if there < pin.at_least:
                yield f"{name}: {number(there)} is delivered, a pin asks for at least {number(pin.at_least)}."
