"""One stress answered: the calls it makes, what meets them and in which order, and how long that lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collateral_opt.book import Book
from collateral_opt.liquidity.ladder import Ladder, as_they_fall_due, ladder
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.waterfall import Waterfall, waterfall
from collateral_opt.optimiser import Solved, solved
from collateral_opt.result import Result

TODAY = "today"
"""The name of what is answered where no stress is given."""


@dataclass(frozen=True)
class Answered:
    """A stress, or the book's own calls (``projection`` is None), with its result and what is read off that."""

    name: str
    projection: Projection | None
    result: Result
    fall: Waterfall
    ladder: Ladder

    @property
    def is_short(self) -> bool:
        """Whether a call, an agreement or a reserve is."""
        return self.result.status == "short"


def answer(
    stressed: Book | Projection,
    *,
    order: Sequence[str] = (),
    near: Solved | None = None,
    solver: str = "highs",
    stop: threading.Event | None = None,
    progress: Callable[[str], None] | None = None,
) -> Answered:
    """Answer the calls of a projection, or those that a book has; see :func:`~collateral_opt.optimiser.solved`.

    Where something is short and the book states no priorities, calls are served in the order in which they fall due.

    ``order``: of sources, to be compared with; see :func:`~collateral_opt.liquidity.waterfall.waterfall`.

    Raises:
        UsageError: ``order`` names what is no source.
        StoppedError, SolverError, CheckFailed: as :func:`~collateral_opt.optimiser.optimise`.
    """
    projection = stressed if isinstance(stressed, Projection) else None
    book = stressed.book if isinstance(stressed, Projection) else stressed
    first = solved(book, near=near, solver=solver, stop=stop, progress=progress)
    result = first.result
    if (result.calls["shortfall"] > 0).any() and book.calls["priority"].isna().all():
        # Where not every call can be met, none that is due later is met in the place of an earlier one.
        by_time = as_they_fall_due(result.book)
        first = solved(by_time, near=first, solver=solver, stop=stop, progress=progress)
        result = first.result
    if progress is not None:
        progress("waterfall and ladder")
    fall = waterfall(first, order)
    return Answered(TODAY if projection is None else projection.name, projection, result, fall, ladder(result, fall))
