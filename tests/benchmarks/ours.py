"""Ours, from a book in memory to the proven optimum of its linear program."""

from __future__ import annotations

from collateral_opt.book import Book
from collateral_opt.collection import put_off
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import gather
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits


@put_off()
def linear_optimum(book: Book) -> float:
    """The least cost of covering every call, lots aside: base currency over the horizon.

    Matching of schedules, reductions, solving, the proof and the split into few lines are all part of it; as in a run,
    Python's search for cycles is put off.
    """
    found = linear_optima(Problem(gather(book.in_full)), solver_named("highs"), Limits())
    return min(optimum.flows.cost for optimum in found) / 10_000 * book.settings.horizon_days / book.settings.day_count
