"""What a book's tables come to, remembered for the next check: the books of what-ifs share most tables.

What a schedule says follows from the schedule, the context and the asset table alone, so it is remembered by these:
schedules by identity (they are frozen, and held here, so that no other can take their place; of limits only the parts
that describe them), contexts by value, and tables by the content of every column that is matched, held against a copy
that nobody else can change. A frame that was changed in place, or another at the same address, is therefore never
taken for one that was read before.

Prices move most often and schedules rarely ask for them: columns of :data:`UNRULED` that no schedule of the book
names are not shown to schedules at all, and so need not be what they were.

When movements start, and what each costs, follows from the day, the locations and where holdings are; it is
remembered by the content of these in the same way. Nothing of an answer is remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock
from typing import Any, TypeVar

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements
from collateral_opt.result.checker.columns import Tables
from collateral_opt.result.checker.figures import exact
from eligibility_rules import Context, Facts, LimitMatch, Match, Schedule, match, match_limits

T = TypeVar("T")

UNRULED = ("price", "price_factor", "lot_size", "min_denomination")
"""Columns that say what a unit is worth or in which steps it moves; few schedules speak of them."""
ROWS = 20_000
"""The longest table (of assets: of those in play) that is remembered: beyond it, matching is a small part of a run and
takes much memory."""
ANSWERS = 256
"""Answers that are remembered of one table; with one more, the oldest is forgotten."""


class Reading:
    """Some assets, and what schedules said of them; answers are in the order of the rows.

    Schedules are shown all columns but those of ``unruled``.
    """

    def __init__(self, assets: pd.DataFrame, unruled: Sequence[str]) -> None:
        self._assets, self._unruled = assets.copy(), list(unruled)
        self._ruled = self._assets.drop(columns=self._unruled)
        self._facts = Facts(self._ruled.reset_index(drop=True))
        self._answers: dict[tuple[object, ...], tuple[tuple[object, ...], Any]] = {}

    def is_of(self, assets: pd.DataFrame, unruled: Sequence[str]) -> bool:
        """Whether schedules see the same columns, of the same types, with the same in every cell."""
        if self._unruled != unruled:  # the same table, but schedules were not shown what they ask for now
            return False
        # Most what-ifs leave all columns as they were, and that is told in half the time that leaving some out takes.
        return self._assets.equals(assets) or self._ruled.equals(assets.drop(columns=unruled))

    def match(self, schedule: Schedule, context: Context) -> Match:
        """What the schedule takes, at which factor."""
        return self._answer(match, schedule, (schedule,), context)

    def limits(self, schedule: Schedule, context: Context) -> tuple[LimitMatch, ...]:
        """What the schedule's limits count, in which groups; haircuts have no say in that."""
        return self._answer(match_limits, schedule, (schedule.limits, schedule.listing, schedule.assume), context)

    def _answer(
        self,
        ask: Callable[[Schedule, Facts, Context], T],
        schedule: Schedule,
        heard: tuple[object, ...],
        context: Context,
    ) -> T:
        """What the schedule answers; known, where the very same parts of a schedule were ``heard`` before."""
        key = (context, *map(id, heard))
        known = self._answers.get(key)
        if known is None or any(one is not other for one, other in zip(known[0], heard, strict=True)):
            known = self._answers[key] = (heard, ask(schedule, self._facts, context))
            while len(self._answers) > ANSWERS:
                self._answers.pop(next(iter(self._answers)), None)
        answer: T = known[1]
        return answer


@dataclass(frozen=True, eq=False)
class Departures:
    """By holding: when a movement out of it starts (nanoseconds UTC), and what one costs (base currency)."""

    starts: Sequence[int]
    costs: Sequence[Fraction]
    made_of: tuple[object, ...]
    """What they follow from: all that ``Movements.holding_starts`` and ``holding_move_costs`` read of a book.

    Whatever these come to read must be named here as well, or the departures of another book would be taken for its.
    """


_READINGS: deque[Reading] = deque(maxlen=4)
"""The few that were used last, the latest at the end."""
_DEPARTURES: deque[Departures] = deque(maxlen=4)
_LOCK = Lock()
"""Held while they are searched and put in order."""


def reading_of(book: Book, rows: list[int]) -> Reading:
    """What is known of the assets at these rows of the book: what an earlier check found, where nothing has changed."""
    named = {column for schedule in book.schedules.values() for column in schedule.columns}
    unruled = [column for column in UNRULED if column in book.assets.columns and column not in named]
    seen = (book.assets.iloc[rows], unruled)
    return _latest(_READINGS, lambda known: known.is_of(*seen), lambda: Reading(*seen), len(rows) <= ROWS)


def departures_of(book: Book, tables: Tables) -> Departures:
    """When what leaves each holding of the book starts to move, and what that costs."""
    made_of = (
        book.settings.as_of.isoformat(),
        book.holdings["ready_at"].to_numpy(dtype="datetime64[ns]").tobytes(),
        tables["holdings"]["location"],
        [tables["locations"][fact] for fact in ("location", "timezone", "calendar", "cut_off", "move_cost")],
    )

    def read() -> Departures:
        movements = Movements(book)
        costs = [exact(cost) for cost in movements.holding_move_costs().tolist()]
        return Departures(movements.holding_starts().tolist(), costs, made_of)

    return _latest(_DEPARTURES, lambda known: known.made_of == made_of, read, len(book.holdings) <= ROWS)


def _latest(known: deque[T], fits: Callable[[T], bool], make: Callable[[], T], keep: bool) -> T:
    """The one that fits of those that are ``known``, else a new one; it is now the latest, if it is for keeping."""
    with _LOCK:
        found = next((one for one in reversed(known) if fits(one)), None)
        if found is None:
            found = make()
        else:
            known.remove(found)
        if keep:
            known.append(found)
    return found
