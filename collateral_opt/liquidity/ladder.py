"""By hour and day: what is due, what is available, what the answer meets, and the first call that cannot be met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.liquidity.waterfall import Waterfall, waterfall
from collateral_opt.optimiser import solved
from collateral_opt.result import Result

HOURLY = 48
"""Hours after ``as_of`` that have a rung each; days from there to the end of the horizon."""


@dataclass(frozen=True)
class Rung:
    """A moment: sums over all that is due, has arrived, or is met by then, in base currency.

    ``due`` are calls due by then (those without a deadline at the end of the horizon), ``met`` what the answer covers
    of them, ``available`` what sources can have delivered by then, whatever limits say.
    """

    at: pd.Timestamp
    hours: float
    due: float
    available: float
    met: float

    @property
    def headroom(self) -> float:
        """What is available beyond what is due; below zero: a gap."""
        return self.available - self.due

    @property
    def short(self) -> float:
        """What is due by then and not met."""
        return self.due - self.met


@dataclass(frozen=True)
class ShortCall:
    """A call that cannot be met, when all before it come first."""

    call_id: str
    due: pd.Timestamp | None
    shortfall: float


@dataclass(frozen=True)
class Ladder:
    """Rungs in the order of time, and what cannot be met when calls are served as they fall due.

    ``survives_until`` is the first time at which a call that is due cannot be met: None where every deadline is met.
    """

    rungs: tuple[Rung, ...]
    missed: tuple[ShortCall, ...]

    @property
    def survives_until(self) -> pd.Timestamp | None:
        """The survival horizon."""
        return min((call.due for call in self.missed if call.due is not None), default=None)

    @property
    def survives(self) -> bool:
        """Whether every call is met."""
        return not self.missed

    @property
    def first_missed(self) -> tuple[ShortCall, ...]:
        """The calls that are missed at the survival horizon."""
        return tuple(call for call in self.missed if call.due == self.survives_until)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a rung."""
        rows = [
            {"at": r.at, "hours": r.hours, "due": r.due, "available": r.available, "headroom": r.headroom, "met": r.met}
            for r in self.rungs
        ]
        return pd.DataFrame(rows, columns=["at", "hours", "due", "available", "headroom", "met"])


def ladder(result: Result, fall: Waterfall | None = None) -> Ladder:
    """The rungs of ``result``, and its survival horizon; ``fall`` is its waterfall where that is known already.

    Raises SolverError: the solver gave up on the book with its calls in the order in which they fall due.
    """
    book, fall = result.book, waterfall(result) if fall is None else fall
    start = pd.Timestamp(book.settings.as_of).tz_convert("UTC")
    end = start + pd.Timedelta(days=book.settings.horizon_days)
    calls = book.calls[["call_id", "due"]].merge(result.calls, on="call_id")
    due = calls["due"].fillna(max(end, calls["due"].max()) if len(calls) else end)
    sources = [(source.access, source.available) for source in fall.sources]
    met = calls["required"] - calls["shortfall"]
    rungs = []
    for at in _moments(start, end, [*due, *(access for access, _ in sources)]):
        by_then = due <= at
        rungs.append(
            Rung(
                at=at,
                hours=(at - start) / pd.Timedelta(hours=1),
                due=float(calls.loc[by_then, "required"].sum()),
                available=sum(available for access, available in sources if access <= at),
                met=float(met[by_then].sum()),
            )
        )
    return Ladder(tuple(rungs), missed(result))


def survival(book: Book) -> pd.Timestamp | None:
    """The first time at which a call that is due cannot be met, the earlier ones coming first; None: none such.

    Raises SolverError: the solver gave up.
    """
    return Ladder((), _missed(solved(as_they_fall_due(book)).result)).survives_until


def missed(result: Result) -> tuple[ShortCall, ...]:
    """The calls of the book of ``result`` that are not met when the earlier ones come first, in the order of time."""
    if not (result.calls["shortfall"] > 0).any():
        return ()
    by_time = as_they_fall_due(result.book)
    return _missed(result if by_time is result.book else solved(by_time).result)


def _missed(result: Result) -> tuple[ShortCall, ...]:
    due = dict(zip(result.book.calls["call_id"], result.book.calls["due"], strict=True))
    short = result.calls[result.calls["shortfall"] > 0]
    found = []
    for call, missing in zip(short["call_id"], short["shortfall"], strict=True):
        known = due[call]
        found.append(ShortCall(str(call), None if pd.isna(known) else pd.Timestamp(known), float(missing)))
    last = pd.Timestamp.max.tz_localize("UTC")
    return tuple(sorted(found, key=lambda call: (call.due or last, call.call_id)))


def as_they_fall_due(book: Book) -> Book:
    """``book`` with its calls served in the order of their deadlines, those without one last; itself where they are."""
    rank = book.calls["due"].rank(method="dense").astype(float)
    if rank.equals(book.calls["priority"].astype(float)):
        return book
    return book.replace(calls=book.calls.assign(priority=rank))


def _moments(start: pd.Timestamp, end: pd.Timestamp, more: Sequence[pd.Timestamp]) -> list[pd.Timestamp]:
    """``start``, hours, days to ``end``, and ``more``, each once, none before ``start``."""
    hours = [start + pd.Timedelta(hours=h) for h in range(HOURLY + 1)]
    days = [start + pd.Timedelta(days=d) for d in range(int((end - start) / pd.Timedelta(days=1)) + 1)]
    moments = {start, end, *(at for at in hours if at <= end), *days, *(max(start, at) for at in more)}
    return sorted(moments)
