"""What schedules say of the assets in play, remembered for the next check: the books of what-ifs share most tables.

What a schedule says follows from the schedule, the context and the asset table alone, so it is remembered by these:
schedules by identity (they are frozen, and held here, so that no other can take their place), contexts by value, and
tables by the content of every column that is matched, held against a copy that nobody else can change. A frame that
was changed in place, or another at the same address, is therefore never taken for one that was read before.

Prices move most often and schedules rarely ask for them: columns of :data:`UNRULED` that no schedule of the book
names are not shown to schedules at all, and so need not be what they were.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, TypeVar

import pandas as pd

from collateral_opt.book import Book
from eligibility_rules import Context, Facts, LimitMatch, Match, Schedule, match, match_limits

T = TypeVar("T")

UNRULED = ("price", "price_factor", "lot_size", "min_denomination")
"""Columns that say what a unit is worth or in which steps it moves; few schedules speak of them."""
ROWS = 20_000
"""The longest table that is remembered: beyond it, matching is a small part of a run and takes much memory."""
ANSWERS = 256
"""Answers that are remembered of one table; with one more, the oldest is forgotten."""


class Reading:
    """Some assets, and what schedules said of them; answers are in the order of the rows."""

    def __init__(self, assets: pd.DataFrame) -> None:
        self._assets = assets.copy()
        self._facts = Facts(self._assets)
        self._answers: dict[tuple[str, int, Context], tuple[Schedule, Any]] = {}

    def is_of(self, assets: pd.DataFrame) -> bool:
        """Whether these are the same columns, of the same types, with the same in every cell."""
        return self._assets.equals(assets)

    def match(self, schedule: Schedule, context: Context) -> Match:
        """What the schedule takes, at which factor."""
        return self._answer("match", match, schedule, context)

    def limits(self, schedule: Schedule, context: Context) -> tuple[LimitMatch, ...]:
        """What the schedule's limits count, in which groups."""
        return self._answer("limits", match_limits, schedule, context)

    def _answer(
        self, question: str, ask: Callable[[Schedule, Facts, Context], T], schedule: Schedule, context: Context
    ) -> T:
        key = (question, id(schedule), context)
        known = self._answers.get(key)
        if known is None or known[0] is not schedule:
            known = self._answers[key] = (schedule, ask(schedule, self._facts, context))
            while len(self._answers) > ANSWERS:
                self._answers.pop(next(iter(self._answers)), None)
        answer: T = known[1]
        return answer


_READINGS: deque[Reading] = deque(maxlen=4)
"""The few that were used last, the latest at the end."""
_LOCK = Lock()
"""Held while they are searched and put in order."""


def reading_of(book: Book, rows: Sequence[int]) -> Reading:
    """What is known of the assets at these rows of the book: what an earlier check found, where nothing has changed."""
    named = {column for schedule in book.schedules.values() for column in schedule.columns}
    unruled = [column for column in UNRULED if column in book.assets.columns and column not in named]
    assets = book.assets.drop(columns=unruled).iloc[list(rows)].reset_index(drop=True)
    with _LOCK:
        reading = next((known for known in reversed(_READINGS) if known.is_of(assets)), None)
        if reading is None:
            reading = Reading(assets)
        else:
            _READINGS.remove(reading)
        if len(assets) <= ROWS:
            _READINGS.append(reading)
    return reading
