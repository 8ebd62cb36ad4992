"""The execution order of a plan: one step after another, and nothing goes negative or falls under its floor.

A stock's level is what it holds, an agreement's what it has above its floor; :mod:`~collateral_opt.result.moves`
searches for the order over these. Where steps must happen at once, bridges say what would let them go one by one.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Literal

from collateral_opt.result.moves import Levels, Moves, Together, arranged

FEW = 8
"""Bridges of a round of at most so many steps are the least possible; those of a longer one suffice."""
TRIES = 16
"""How many first steps are tried for the bridges of a longer one."""

Kind = Literal["stock", "agreement"]
Place = tuple[Kind, Hashable]
Amounts = Mapping[Hashable, Fraction]


@dataclass(frozen=True)
class Step:
    """One movement, done wholly or not at all. Amounts (units of a stock, value at an agreement) are not negative."""

    label: str
    kind: str
    takes: Amounts = field(default_factory=dict)
    gives: Amounts = field(default_factory=dict)
    raises: Amounts = field(default_factory=dict)
    lowers: Amounts = field(default_factory=dict)


@dataclass(frozen=True)
class Bridge:
    """What is lent to a stock (units) or an agreement (collateral value) while a round lasts, and then given back."""

    place: Kind
    name: Hashable
    amount: Fraction


@dataclass(frozen=True)
class Round:
    """Indices of the steps done at this point: one, or those that must happen at once or need ``bridges``.

    With the bridges the steps can be done one after another as listed. Of all bridges that allow some sequence they are
    at the fewest places, and then of the least sum (units and values alike). Of more than `FEW` steps they are only
    known to suffice, and ``is_least`` is false. A round of one step has a bridge where the step takes what it gives.
    """

    steps: Together
    bridges: tuple[Bridge, ...] = ()
    is_least: bool = True


@dataclass(frozen=True)
class Order:
    """Rounds in the order of their execution; every step occurs once.

    ``is_complete`` is false where steps that hang together are more than `moves.SURE` and have joint rounds because a
    budget ended the search: an order without them may exist then.
    """

    rounds: tuple[Round, ...]
    is_complete: bool


def order_steps(steps: Sequence[Step], stocks: Amounts, values: Amounts, floors: Amounts) -> Order:
    """An order in which no stock goes negative and no step lowers an agreement to under its floor.

    A step takes from what is there before it; what it gives does not help it. ``stocks`` (units) and ``values``
    (collateral value) are what there is at the start, ``floors`` what a lowering must leave; what is not named is 0.
    The steps of a joint round are netted and checked after it. Ties go to the lower index.

    Raises ValueError for a negative amount or stock, and where all steps together leave a stock negative or an
    agreement that some step lowers under its floor: no order, round or bridge helps then. The message names it.
    """
    # Whole multiples of a unit of each place: sums of integers are exact, and faster than those of fractions.
    start, unit = _starts_and_units(steps, stocks, values, floors)
    whole = [_needs_and_changes(step, unit) for step in steps]
    places = list(dict.fromkeys(place for both in whole for part in both for place in part))
    number = {place: r for r, place in enumerate(places)}
    moves = Moves(
        [{number[place]: amount for place, amount in need.items()} for need, _ in whole],
        [{number[place]: amount for place, amount in change.items()} for _, change in whole],
        [[] for _ in places],
    )
    for s in range(len(steps)):
        for r in moves.touched(s):
            moves.touching[r].append(s)
    level = {r: _whole(start[place], unit[place]) for place, r in number.items()}
    told = _Told(moves, places, [unit[place] for place in places])
    told.refuse_what_cannot_end(level)
    together, is_complete = arranged(moves, level.copy())
    return Order(told.rounds(together, level), is_complete)


def _sides(step: Step) -> tuple[tuple[Kind, Amounts, Amounts], ...]:
    """What a step takes away and what it brings, by kind of place."""
    return ("stock", step.takes, step.gives), ("agreement", step.lowers, step.raises)


def _starts_and_units(
    steps: Sequence[Step], stocks: Amounts, values: Amounts, floors: Amounts
) -> tuple[dict[Place, Fraction], dict[Place, int]]:
    """Of each place that a step names: what there is at the start, and of which part of 1 all its figures are whole."""
    denominators: dict[Place, set[int]] = defaultdict(set)
    for step in steps:
        for kind, less, more in _sides(step):
            for name, amount in (*less.items(), *more.items()):
                denominators[kind, name].add(amount.denominator)
    start = {
        (kind, name): Fraction(stocks.get(name, 0) if kind == "stock" else values.get(name, 0) - floors.get(name, 0))
        for kind, name in denominators
    }
    return start, {place: lcm(start[place].denominator, *found) for place, found in denominators.items()}


def _whole(amount: Fraction, unit: int) -> int:
    """How many parts of which ``unit`` make 1."""
    return amount.numerator * (unit // amount.denominator)


def _needs_and_changes(step: Step, unit: Mapping[Place, int]) -> tuple[dict[Place, int], dict[Place, int]]:
    """What must be at a place before the step, and by how much it changes it; nothing where amounts are zero."""
    need: dict[Place, int] = {}
    change: dict[Place, int] = {}
    for kind, less, more in _sides(step):
        for name in {**less, **more}:
            down, up = (_whole(part[name], unit[kind, name]) if name in part else 0 for part in (less, more))
            if down < 0 or up < 0:
                raise ValueError(f"step {step.label!r} has a negative amount at {kind} {name!r}")
            if down:
                # An agreement is looked at after the step, so what raises it counts; a stock is looked at before.
                need[kind, name] = down if kind == "stock" else down - up
            if up != down:
                change[kind, name] = up - down
    return need, change


@dataclass(frozen=True)
class _Sequence:
    """Steps done one after another, the levels without what is lent, and what had to be lent."""

    steps: Together
    level: Levels
    lent: Levels


@dataclass(frozen=True)
class _Told:
    """Rounds with their bridges; ``units`` are per place."""

    moves: Moves
    places: list[Place]
    units: list[int]

    def refuse_what_cannot_end(self, level: Levels) -> None:
        """Raise ValueError where all steps together, done from ``level``, leave a needed place short."""
        end = level.copy()
        self.moves.do(range(len(self.moves.need)), end)
        for r in dict.fromkeys(r for need in self.moves.need for r in need):
            kind, name = self.places[r]
            if kind == "stock" and level[r] < 0:
                raise ValueError(f"stock {name!r} starts negative: {Fraction(level[r], self.units[r])}")
            if end[r] < 0:
                under = "zero" if kind == "stock" else "its floor"
                short = Fraction(-end[r], self.units[r])
                raise ValueError(f"after all steps {kind} {name!r} is {short} under {under}")

    def rounds(self, together: list[Together], level: Levels) -> tuple[Round, ...]:
        told = []
        for steps in together:
            alone = len(steps) == 1 and self.moves.can(steps[0], level)
            told.append(Round(steps) if alone else self._bridged(steps, level))
            self.moves.do(steps, level)
        return tuple(told)

    def _bridged(self, steps: Together, level: Levels) -> Round:
        start = _Sequence((), {r: level[r] for s in steps for r in self.moves.touched(s)}, {})
        if is_least := len(steps) <= FEW:
            found = self._least(start, steps)
        else:
            found = min((self._built(start, first, steps) for first in steps[:TRIES]), key=lambda f: self._sum(f.lent))
        bridges = [Bridge(*self.places[r], Fraction(lent, self.units[r])) for r, lent in sorted(found.lent.items())]
        return Round(found.steps, tuple(bridges), is_least)

    def _least(self, start: _Sequence, steps: Together) -> _Sequence:
        """The cheapest sequence of all: what is lent never falls, so the first one that ends is the least."""
        queue = [(self._sum(start.lent), start.steps, start)]
        met = set()
        while True:
            _, _, found = heapq.heappop(queue)
            if len(found.steps) == len(steps):
                return found
            if (state := (frozenset(found.steps), frozenset(found.lent.items()))) not in met:
                met.add(state)
                for s in sorted(set(steps) - set(found.steps)):
                    longer = _Sequence((*found.steps, s), found.level.copy(), self._lent(s, found))
                    self.moves.do([s], longer.level)
                    heapq.heappush(queue, (self._sum(longer.lent), longer.steps, longer))

    def _built(self, start: _Sequence, first: int, steps: Together) -> _Sequence:
        """A sequence that goes on with what needs nothing more, or else with what needs the least."""
        found, left = _Sequence((), start.level.copy(), {}), dict.fromkeys(steps)
        s = first
        while True:
            found = _Sequence((*found.steps, s), found.level, self._lent(s, found))
            self.moves.do([s], found.level)
            del left[s]
            if not left:
                return found
            free = (t for t in left if self._lent(t, found) == found.lent)
            s = next(free, -1)
            if s < 0:
                s = min(left, key=lambda t: self._sum(self._lent(t, found)))

    def _lent(self, s: int, found: _Sequence) -> Levels:
        """What must be lent in all for the sequence and then the step."""
        missing = {r: need - found.level[r] for r, need in self.moves.need[s].items()}
        more = {r: lack for r, lack in missing.items() if lack > found.lent.get(r, 0)}
        return found.lent | more

    def _sum(self, lent: Levels) -> tuple[int, Fraction]:
        return len(lent), sum((Fraction(amount, self.units[r]) for r, amount in lent.items()), Fraction(0))
