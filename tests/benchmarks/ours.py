"""Ours, to the proven optimum of a book's linear program."""

from __future__ import annotations

from collateral_opt.book import Book
from collateral_opt.collection import put_off
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import gather
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits


def matched(book: Book) -> Problem:
    """The book as a problem that knows its eligible pairs."""
    problem = Problem(gather(book.in_full))
    for use in range(len(problem.facts.uses)):
        problem.open_to(use)
    return problem


@put_off()
def optimum(problem: Problem) -> float:
    """The least cost of covering every call, lots aside: base currency over the horizon.

    Costs, limits, reductions, solving, the proof and the split into few lines are all part of it; as in a run, Python's
    search for cycles is put off.
    """
    found = linear_optima(problem, solver_named("highs"), Limits())
    settings = problem.facts.book.settings
    return min(linear.flows.cost for linear in found) / 10_000 * settings.horizon_days / settings.day_count


@put_off()
def linear_optimum(book: Book) -> float:
    """The same from the book, its schedules matched first."""
    return optimum(matched(book))
