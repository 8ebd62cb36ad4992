"""The smallest shock that breaks the firm: how far factors can move in a direction until a call cannot be met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.factors import Generator, length, read_moves
from collateral_opt.liquidity.moved import LEAST, Moved
from collateral_opt.liquidity.sweep import dues
from collateral_opt.network.network import Floats
from collateral_opt.session import Scenario, Session

STEPS = 32
"""A direction is looked at in so many places before the first break is narrowed down."""
NARROW = 1e-4
"""To this share of itself."""
FAR = 10.0
"""Random directions are followed for so many standard deviations."""
SINGULAR = 1e-10
"""A correlation whose least eigenvalue is below has no inverse to speak of."""
RANDOM = "random"
"""The key under which the number of random directions stands; they are named by it, from ``random 1`` on."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Direction:
    """Moves of all factors [factors], followed from nothing to all of them."""

    name: str
    moves: Floats


@dataclass(frozen=True, eq=False)
class Break:
    """Where a direction breaks the firm.

    Attributes:
        direction: the direction's name.
        share: of the direction at which a call is short, NaN if none is on all of it.
        moves: the factors' there (of the whole direction if nothing breaks).
        deviations: their Mahalanobis length: standard deviations, correlations considered.
        held: the largest share below it that was found to hold.
        shortfall: there, in base currency.
        first_short_call: the earliest due of the calls that are short, "" for none; ``first_short_due`` in UTC.
        exhausted: sources with nothing left, the first to run out first.
        called: all calls there, in base currency.
    """

    direction: str
    share: float
    moves: Mapping[str, float]
    deviations: float
    held: float
    shortfall: float
    first_short_call: str
    first_short_due: str
    exhausted: tuple[str, ...]
    called: float

    @property
    def breaks(self) -> bool:
        return self.share == self.share


def read_directions(form: object, generator: Generator) -> tuple[Direction, ...]:
    """Directions by name from a mapping of moves; ``random: 50`` adds so many.

    A random one is a point of the sphere of :data:`FAR` standard deviations, drawn from the generator's seed.

    Raises:
        UsageError: the mapping cannot be read, or names factors that are not there; or the factors of a history
            follow from each other.
    """
    if not isinstance(form, Mapping) or not form:
        raise UsageError("directions: write `NAME: {FACTOR: -0.3}` for each, or `random: 50`.")
    if float(np.min(np.linalg.eigvalsh(generator.correlation))) < SINGULAR:
        raise UsageError(
            f"directions: the moves of the history's {len(generator.names)} factors follow from each other, so that no "
            "length can be told in standard deviations. Give it more days, or take out a factor that others imply."
        )
    found: list[Direction] = []
    for name, moves in form.items():
        if name != RANDOM:
            found.append(Direction(str(name), read_moves(moves, generator, f"directions, {name}")))
            continue
        if not str(moves).isdecimal() or not 1 <= int(str(moves)) <= 10_000:
            raise UsageError(f"directions, {RANDOM}: {moves!r} is no number of directions. Write 1 to 10000.")
        if generator.history is not None:
            raise UsageError(f"directions, {RANDOM}: a history has none. Write moves of its factors.")
        for number in range(int(str(moves))):
            # Another stream than that of the scenarios.
            rng = np.random.Generator(np.random.Philox(key=generator.seed, counter=[0, 0, 1, number]))
            point = rng.standard_normal(len(generator.names))
            point *= FAR / np.sqrt(np.sum(point**2))
            moves_there = generator.sigma * np.sum(generator.root * point, axis=1)
            found.append(Direction(f"{RANDOM} {number + 1}", moves_there))
    return tuple(found)


def reverse(plan: Moved, directions: Sequence[Direction], progress: Progress | None = None) -> list[Break]:
    """The first break in each direction, those that break soonest (in standard deviations) first.

    A direction is looked at in 32 places evenly apart; between the first that breaks and the one before it, the
    break is narrowed down to 1e-4 of itself. What breaks and holds again between two places is not seen.

    Raises:
        BookError, SolverError: a scenario has no answer.
    """
    session = Session(plan.book)
    found = []
    for number, direction in enumerate(directions):
        found.append(_first_break(plan, session, direction))
        if progress is not None:
            progress(number + 1, len(directions))
    return sorted(found, key=lambda one: (not one.breaks, one.deviations if one.breaks else 0.0))


def _first_break(plan: Moved, session: Session, direction: Direction) -> Break:
    def at(share: float) -> tuple[Scenario, float]:
        ((change, called),) = plan.changes(direction.moves[None, :] * share)
        return session.solve(change), sum(called.values()) + sum(plan.kept.values())

    def is_short(share: float) -> bool:
        return at(share)[0].total_shortfall > LEAST

    low, high = 0.0, float("nan")
    if is_short(0.0):
        high = 0.0
    else:
        for step in range(1, STEPS + 1):
            if is_short(step / STEPS):
                high = step / STEPS
                break
            low = step / STEPS
        while high - low > NARROW * high:
            middle = (low + high) / 2
            low, high = (low, middle) if is_short(middle) else (middle, high)
    share = high if high == high else 1.0
    scenario, called = at(share)
    due = dues(plan.book)
    first = min(scenario.shortfalls, key=lambda name: (due[name] == "", due[name], name), default="")
    moves = direction.moves * share
    return Break(
        direction=direction.name,
        share=high,
        moves=dict(zip(plan.generator.names, moves.tolist(), strict=True)),
        deviations=length(plan.generator, moves),
        held=low,
        shortfall=scenario.total_shortfall,
        first_short_call=first,
        first_short_due=due.get(first, ""),
        exhausted=scenario.exhausted,
        called=called,
    )


def table(breaks: Sequence[Break]) -> pd.DataFrame:
    """A row a direction, in the order given: the attributes of :class:`Break`, ``x_FACTOR`` for the moves."""
    return pd.DataFrame(
        [
            {
                "direction": one.direction,
                "breaks": one.breaks,
                "share": one.share,
                "deviations": one.deviations,
                "called": round(one.called, 2),
                "shortfall": round(one.shortfall, 2),
                "first_short_call": one.first_short_call,
                "first_short_due": one.first_short_due,
                "exhausted": "; ".join(one.exhausted),
                **{f"x_{name}": move for name, move in one.moves.items()},
            }
            for one in breaks
        ]
    )
