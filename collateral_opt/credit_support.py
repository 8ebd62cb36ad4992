"""From exposure and collateral held to the margin call, as a credit support annex has it, in exact decimals.

One leg is one party's collateral: the *pledgor* posts it, the *secured* party holds it. Either party may be
either, so one exposure has two legs. The words are those of the 1994 New York law annex (paragraph 3, and
"Credit Support Amount" there); the 1995 English law annex calls the parties transferor and transferee and
computes the same. The 2016 variation margin annexes know neither threshold nor independent amount: leave both
at zero. ``docs/requirement.md`` says what is not decided here.

>>> ours = CollateralTerms("USD", minimum_transfer=Decimal(250_000), delivery_rounding=Rounding(Decimal(10_000)))
>>> call = margin_call(ours, ours, exposure=Decimal(3_142_500), held=Decimal(2_500_000))
>>> call.action, call.amount
('delivery', Decimal('650000'))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from typing import Literal, get_args

from .errors import UsageError

Direction = Literal["up", "down", "nearest"]
ZeroInDefault = Literal["none", "minimum_transfer", "threshold", "both"]
InDefault = Literal["none", "us", "them", "both"]
Action = Literal["delivery", "return", "none"]
Party = Literal["us", "them"]

ZERO, INFINITE = Decimal(0), Decimal("Infinity")

LARGEST, DECIMALS = Decimal(10) ** 18, 30
"""Amounts are below the one in size, and have at most the other."""

_EXACT = Context(prec=60)
"""Sums of a few such amounts have at most 50 digits: nothing is rounded but by the agreement."""


@dataclass(frozen=True)
class Rounding:
    """To a multiple of ``unit``, for amounts not below zero; zero leaves them as they are. Halves go up."""

    unit: Decimal = ZERO
    direction: Direction = "up"

    def __post_init__(self) -> None:
        _require(self.unit, "unit of rounding")
        if self.direction not in get_args(Direction):
            raise UsageError(f"a rounding's direction is {self.direction!r}: it must be up, down or nearest.")

    def apply(self, amount: Decimal) -> Decimal:
        """The amount as a whole number of units.

        >>> Rounding(Decimal(10_000)).apply(Decimal("642_500")), Rounding(Decimal(10_000)).apply(Decimal("640_000"))
        (Decimal('650000'), Decimal('640000'))
        """
        if not self.unit:
            return amount
        with localcontext(_EXACT):
            whole, rest = divmod(amount, self.unit)
            more = {"up": rest > 0, "down": False, "nearest": 2 * rest >= self.unit}[self.direction]
            return (whole + more) * self.unit


@dataclass(frozen=True)
class CollateralTerms:
    """What an agreement says of one party, in the agreement's base currency.

    Its ``threshold`` (``INFINITE``: it never posts), ``independent_amount`` and ``minimum_transfer`` (all not
    below zero); how what it delivers and what it returns is rounded; and which of its threshold and minimum
    transfer amount are zero while it is in default (None: not known, and then its default is refused).
    """

    currency: str
    threshold: Decimal = ZERO
    independent_amount: Decimal = ZERO
    minimum_transfer: Decimal = ZERO
    delivery_rounding: Rounding = field(default_factory=Rounding)
    return_rounding: Rounding = field(default_factory=lambda: Rounding(direction="down"))
    zero_in_default: ZeroInDefault | None = None

    def __post_init__(self) -> None:
        if self.threshold != INFINITE:
            _require(self.threshold, "threshold")
        _require(self.independent_amount, "independent amount")
        _require(self.minimum_transfer, "minimum transfer amount")
        if self.zero_in_default not in (None, *get_args(ZeroInDefault)):
            raise UsageError(f"zero_in_default is {self.zero_in_default!r}: write one of {_list(ZeroInDefault)}.")

    def effective(self, in_default: bool) -> tuple[Decimal, Decimal]:
        """Threshold and minimum transfer amount as they stand today."""
        if not in_default:
            return self.threshold, self.minimum_transfer
        if self.zero_in_default is None:
            raise UsageError("a party is in default, but its terms do not say what is zero then (zero_in_default).")
        return (
            ZERO if self.zero_in_default in ("threshold", "both") else self.threshold,
            ZERO if self.zero_in_default in ("minimum_transfer", "both") else self.minimum_transfer,
        )


@dataclass(frozen=True)
class Exposure:
    """Where two parties stand on a valuation date, in the agreement's base currency.

    ``amount`` is ours to them: positive when they would owe us, so that they post. ``of_them`` is theirs to us
    where it is not simply the opposite: under an initial margin annex, where each party's margin is a figure of
    its own and nothing is netted. Held is collateral value after haircuts; pending is what was agreed to move
    and has not settled (to the holder positive, back from it negative).
    """

    amount: Decimal
    held_by_us: Decimal = ZERO
    held_by_them: Decimal = ZERO
    pending_to_us: Decimal = ZERO
    pending_to_them: Decimal = ZERO
    of_them: Decimal | None = None
    in_default: InDefault = "none"

    def __post_init__(self) -> None:
        if self.in_default not in get_args(InDefault):
            raise UsageError(f"in_default is {self.in_default!r}: write one of {_list(InDefault)}.")

    @property
    def theirs(self) -> Decimal:
        """Theirs to us."""
        if self.of_them is not None:
            return self.of_them
        with localcontext(_EXACT):
            return ZERO - self.amount


@dataclass(frozen=True)
class Step:
    """One line of the arithmetic."""

    what: str
    amount: Decimal

    def __str__(self) -> str:
        return f"{self.what:<48} {money(self.amount):>20}"


@dataclass(frozen=True)
class MarginCall:
    """What one leg comes to: the pledgor delivers, the secured party returns, or nothing moves.

    ``difference`` is the delivery amount (positive) or return amount (negative) before minimum transfer and
    rounding. ``note`` says why nothing moves, or what to see to before something does; empty otherwise.
    """

    action: Action
    amount: Decimal
    currency: str
    credit_support_amount: Decimal
    held: Decimal
    difference: Decimal
    note: str
    steps: tuple[Step, ...]


def margin_call(
    pledgor: CollateralTerms,
    secured: CollateralTerms,
    exposure: Decimal,
    held: Decimal,
    *,
    pending: Decimal = ZERO,
    pledgor_in_default: bool = False,
    secured_in_default: bool = False,
) -> MarginCall:
    """The call on one leg. ``exposure`` is the secured party's, ``held`` what it holds of the pledgor's.

    Credit support amount = max(0, exposure + independent amount of the pledgor - that of the secured party
    - threshold of the pledgor). Delivery amount = credit support amount - held, if that reaches the pledgor's
    minimum transfer amount; return amount = held - credit support amount, if that reaches the secured party's.
    What is compared is not rounded yet; what moves is. A return is never more than what is held.
    Raises UsageError for figures that cannot be.
    """
    if pledgor.currency != secured.currency:
        raise UsageError(f"the terms are in {pledgor.currency} and {secured.currency}: write both in one currency.")
    _require(abs(exposure), "exposure")
    _require(held, "collateral held")
    _require(abs(pending), "collateral pending")
    with localcontext(_EXACT):
        there = held + pending
        _require(there, "collateral held with what is pending")
        required, difference, amount = _leg(pledgor, secured, exposure, there, pledgor_in_default, secured_in_default)
        threshold, delivery_minimum = pledgor.effective(pledgor_in_default)
        _, return_minimum = secured.effective(secured_in_default)
        steps = [
            Step("exposure of the secured party", exposure),
            Step("plus independent amount of the pledgor", pledgor.independent_amount),
            Step("less independent amount of the secured party", ZERO - secured.independent_amount),
            Step("less threshold of the pledgor", ZERO - threshold),
            Step("credit support amount, not below zero", required),
            Step(f"held, {money(pending)} of it pending" if pending else "held", there),
        ]
        action: Action = "none"
        if difference > 0:
            note, more = _told("delivery", difference, delivery_minimum, pledgor.delivery_rounding, amount)
            action, receiver_in_default = "delivery", secured_in_default
        elif difference < 0:
            note, more = _told("return", -difference, return_minimum, secured.return_rounding, amount)
            action, receiver_in_default = "return", pledgor_in_default
        else:
            note, more, receiver_in_default = "what is held is what is required", [], False
    if amount and receiver_in_default:
        note = "the receiver is in default: conditions precedent may suspend this, so ask before it moves"
    return MarginCall(
        action if amount else "none", amount, pledgor.currency, required, there, difference, note, (*steps, *more)
    )


def _leg(
    pledgor: CollateralTerms,
    secured: CollateralTerms,
    exposure: Decimal,
    there: Decimal,
    pledgor_in_default: bool,
    secured_in_default: bool,
) -> tuple[Decimal, Decimal, Decimal]:
    """What is required, by how much that is more than is there, and what moves: the figures of one leg."""
    threshold, delivery_minimum = pledgor.effective(pledgor_in_default)
    required = max(ZERO, exposure + pledgor.independent_amount - secured.independent_amount - threshold)
    difference = required - there
    if difference > 0:
        moves = pledgor.delivery_rounding.apply(difference) if difference >= delivery_minimum else ZERO
        return required, difference, moves
    if difference < 0:
        _, return_minimum = secured.effective(secured_in_default)
        moves = secured.return_rounding.apply(-difference) if -difference >= return_minimum else ZERO
        return required, difference, min(moves, there)
    return required, difference, ZERO


def _told(
    action: Action, size: Decimal, minimum: Decimal, rounding: Rounding, amount: Decimal
) -> tuple[str, list[Step]]:
    """Why nothing moves of a delivery or return amount, and the lines that say what does."""
    mover = "pledgor" if action == "delivery" else "secured party"
    steps = [Step(f"{action} amount", size), Step(f"minimum transfer amount of the {mover}", minimum)]
    if size < minimum:
        return f"a {action} of {money(size)} is below the minimum transfer amount {money(minimum)}", steps
    rounded = rounding.apply(size)
    if rounding.unit:
        to = "to the nearest" if rounding.direction == "nearest" else f"{rounding.direction} to a"
        steps.append(Step(f"rounded {to} multiple of {money(rounding.unit)}", rounded))
    if rounded > amount:
        steps.append(Step("not more than is held", amount))
    return "" if amount else f"a {action} of {money(size)} rounds to nothing", steps


def margin_call_each_way(us: CollateralTerms, them: CollateralTerms, exposure: Exposure) -> dict[Party, MarginCall]:
    """Both legs of one exposure, by who posts: ``"us"`` our collateral with them, ``"them"`` theirs with us.

    An exposure that has changed sides moves both: what was posted goes back, and the other party delivers.
    """
    ours, theirs = exposure.in_default in ("us", "both"), exposure.in_default in ("them", "both")
    on_us = margin_call(
        us, them, exposure.theirs, exposure.held_by_them,
        pending=exposure.pending_to_them, pledgor_in_default=ours, secured_in_default=theirs,
    )  # fmt: skip
    on_them = margin_call(
        them, us, exposure.amount, exposure.held_by_us,
        pending=exposure.pending_to_us, pledgor_in_default=theirs, secured_in_default=ours,
    )  # fmt: skip
    return {"us": on_us, "them": on_them}


@dataclass(frozen=True)
class Movements:
    """What moves on both legs of one exposure: what we ``deliver`` and ``give_back``, and what we ``receive``."""

    deliver: Decimal
    receive: Decimal
    give_back: Decimal


def movements(us: CollateralTerms, them: CollateralTerms, exposure: Exposure) -> Movements:
    """The amounts of :func:`margin_call_each_way` without the arithmetic told: for thousands of exposures."""
    ours, theirs = exposure.in_default in ("us", "both"), exposure.in_default in ("them", "both")
    with localcontext(_EXACT):
        held_by_them = exposure.held_by_them + exposure.pending_to_them
        _, on_us, moved = _leg(us, them, exposure.theirs, held_by_them, ours, theirs)
        held_by_us = exposure.held_by_us + exposure.pending_to_us
        _, on_them, other = _leg(them, us, exposure.amount, held_by_us, theirs, ours)
        return Movements(
            deliver=moved if on_us > 0 else ZERO,
            receive=(moved if on_us < 0 else ZERO) + (other if on_them > 0 else ZERO),
            give_back=other if on_them < 0 else ZERO,
        )


def money(amount: Decimal) -> str:
    """Digits in groups of three, no zeros behind the last decimal.

    >>> money(Decimal("-1234567.50")), money(INFINITE)
    ('-1,234,567.5', 'infinity')
    """
    if not amount.is_finite():
        return "-infinity" if amount < 0 else "infinity"
    whole, _, part = f"{amount:,f}".partition(".")
    part = part.rstrip("0")
    text = f"{whole}.{part}" if part else whole
    return "0" if text == "-0" else text


def _require(amount: Decimal, what: str) -> None:
    if not isinstance(amount, Decimal):
        raise UsageError(f"the {what} is {amount!r}, not a Decimal: a float would not be exact.")
    if not amount.is_finite() or not 0 <= amount < LARGEST or decimals(amount) > DECIMALS:
        raise UsageError(f"the {what} cannot be {amount}.")


def decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _list(words: object) -> str:
    return ", ".join(get_args(words))
