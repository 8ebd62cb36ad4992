"""What moving collateral is worth: the least cost for each number of moves, and what that saves.

A price per move is raised step by step; each price gives an answer in whole lots with fewer moves than the one
before. For each budget of moves the cheapest of these answers that keeps it is the one told, with a proven lower bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.collisions import require_possible_pins
from collateral_opt.errors import SolverError
from collateral_opt.network import Network, Problem
from collateral_opt.network.facts import gather
from collateral_opt.network.network import Floats, Ints
from collateral_opt.result.answer import Answer
from collateral_opt.result.assemble import assemble
from collateral_opt.result.checker import require_valid
from collateral_opt.result.summary import summarise
from collateral_opt.solve.executable import make_executable, narrowed, placements, prices_of_cover
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import Linear, linear_optima
from collateral_opt.solve.passes import Flows, Passes
from collateral_opt.solve.polishing import COARSE, polish
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.sparse import SlopeScaling, typical_cost, whole_cost

if TYPE_CHECKING:
    from collateral_opt.optimiser import Progress

COLUMNS = ("max_moves", "moves", "total_cost", "saving", "lower_bound")
GAP = 1e-4
"""How near the integer program comes to its own bound before it stops."""
NEARBY = 60
"""Edges that join it besides those in use."""
RISE = 2.0
"""How much dearer each price of a move that is tried is than the one before."""
SETTLE = 2
"""Linear programs solved at each price."""


@dataclass(frozen=True)
class Point:
    """One answer in whole lots: its moves, its standing (shortfalls, cost), the lots on a ledger."""

    moves: int
    short: tuple[Fraction, ...]
    cost: Fraction
    lots: tuple[int, ...]
    ledger: Ledger

    def edges(self) -> Ints:
        """The edges that carry anything, or must."""
        return self.ledger.edge[(np.array(self.lots) > 0) | (np.array(self.ledger.floor) > 0)]


def frontier(book: Book, *, points: int = 20, solver: str = "highs", progress: Progress | None = None) -> pd.DataFrame:
    """Cost and saving against the number of moves: at most ``points`` (two or more) rows of :data:`COLUMNS`.

    A row says what is reached with at most so many deliveries and recalls; ``saving`` is against the fewest moves
    with which as much is covered. Costs are in base currency over the horizon. Every row's answer has passed the
    checker.

    Raises:
        BookError: something is pinned that cannot be.
        SolverError: the solver gave up.
        CheckFailed: the checker refused an answer.
    """
    tell = progress or (lambda _: None)
    counted = book.replace(settings={"max_moves": None, "min_saving_per_move": 0.0})
    tell("matching")
    # A budget that binds nothing makes every move a line of the program.
    problem = Problem(gather(counted.replace(settings={"max_moves": 10**9}).in_full))
    require_possible_pins(counted.in_full, problem)
    chosen, limits = solver_named(solver), Limits.for_a_run(book.settings.time_limit_s)
    roads = []
    tell("solving")
    for linear in linear_optima(problem, chosen, limits):
        tell("looking for fewer moves")
        roads.append(Road(linear, _answers(linear, counted.settings.mip_gap)))
    short = min(point.short for road in roads for point in road.found)
    roads = [kept for road in roads if (kept := road.as_short_as(short)).found]
    budgets = _budgets([point for road in roads for point in road.found], points)
    # Down from many moves to few, and up again: what few moves reach is open to more of them.
    for allowed in [*reversed(budgets), *budgets]:
        tell(f"{allowed} moves")
        for road in roads:
            road.improve(allowed)
    rows = []
    for allowed in budgets:
        tell(f"checking {allowed} moves")
        open_roads = [road for road in roads if road.found[0].moves <= allowed]
        best = min(open_roads, key=lambda road: _key(_within(road.found, allowed)))
        point = _within(best.found, allowed)
        _check(counted, best, point)
        bound = float("nan") if any(short) else min(road.linear.reduced.bound_with("moves", allowed) for road in roads)
        rows.append((allowed, point, bound))
    return _table(rows, roads[0].linear.network)


@dataclass
class Road:
    """A linear optimum, and the answers found near it by moves, each cheaper than the last."""

    linear: Linear
    found: list[Point]

    def as_short_as(self, short: tuple[Fraction, ...]) -> Road:
        """This road with just the answers that leave no more than ``short``."""
        return replace(self, found=_least_by_moves([point for point in self.found if point.short == short]))

    def improve(self, allowed: int) -> None:
        """Look for a better answer within ``allowed`` moves, if there is one at all."""
        if self.found[0].moves <= allowed:
            better = _improved(self.linear, self.found, allowed)
            if better.short == self.found[0].short:
                self.found = _least_by_moves([*self.found, better])


def _key(point: Point) -> tuple[Fraction, int]:
    return point.cost, point.moves


def _within(best: list[Point], allowed: int) -> Point:
    """The best answer with at most so many moves."""
    return min((p for p in best if p.moves <= allowed), key=_key)


def _improved(linear: Linear, best: list[Point], allowed: int) -> Point:
    """The best answer within ``allowed`` moves, improved among its lines and those of the next one with more."""
    network = linear.network
    budgets = [*_other_budgets(network), ("moves", np.flatnonzero(network.switches.is_move), allowed)]
    within = replace(network, switches=replace(network.switches, budgets=budgets))
    start = _within(best, allowed)
    more = min((p for p in best if p.moves > allowed), key=lambda p: p.moves, default=start)
    prices = prices_of_cover(network, linear.flows)
    cheap = start.ledger.edge[np.argsort(prices[start.ledger.edge], kind="stable")[:NEARBY]]
    edge = np.unique(np.concatenate([start.edges(), more.edges(), cheap]))
    start.ledger.restore(start.lots)
    ledger = narrowed(start.ledger, edge, within)
    effort = replace(linear.limits, mip_gap=GAP, mip_nodes=8)
    polish(ledger, prices[edge], linear.solver, effort, COARSE)
    return _point(ledger)


def _answers(linear: Linear, mip_gap: float) -> list[Point]:
    """Answers with ever fewer moves, from the optimum that counts none to the fewest that were found."""
    network, flows = linear.network, linear.flows
    unlimited = replace(network, switches=replace(network.switches, budgets=_other_budgets(network)))
    targets = [flows.x, *_dearer_and_dearer(linear.passes, flows)]
    _, first = make_executable(linear, mip_gap)
    return [_point(first), *(_point(ledger) for ledger in placements(unlimited, flows, targets))]


def _other_budgets(network: Network) -> list[tuple[str, np.ndarray, int]]:
    return [budget for budget in network.switches.budgets if budget[0] != "moves"]


def _dearer_and_dearer(passes: Passes, flows: Flows) -> Iterator[Floats]:
    """Flows [edges] where a move costs more and more, until one costs as much as all of them together bring."""
    fixed, is_move = passes.network.switches.charges, passes.network.switches.is_move
    scaling, price = SlopeScaling(passes, flows), typical_cost(passes, flows) / 3
    while price <= RISE * whole_cost(passes, flows):
        for _ in range(SETTLE):
            try:
                x = scaling.step(fixed + price * is_move)
            except SolverError:
                return
        yield x
        price *= RISE


def _point(ledger: Ledger) -> Point:
    return Point(ledger.moves(), ledger.shortfalls_by_rank(), ledger.cost(), ledger.snapshot(), ledger)


def _least_by_moves(found: list[Point]) -> list[Point]:
    """Those answers that nothing with as few moves undercuts, by moves."""
    least: list[Point] = []
    for point in sorted(found, key=lambda p: (p.moves, p.cost)):
        if not least or point.cost < least[-1].cost:
            least.append(point)
    return least


def _budgets(found: list[Point], points: int) -> list[int]:
    """Numbers of moves from the fewest to the most that pay, evenly."""
    fewest, most = min(p.moves for p in found), max(p.moves for p in found)
    return sorted({round(m) for m in np.linspace(fewest, most, max(points, 2))})


def _check(book: Book, road: Road, point: Point) -> None:
    """Make the point a result as any run does, and let the checker judge it."""
    point.ledger.restore(point.lots)
    answer = Answer.of(road.linear, point.ledger)
    bound = min(road.linear.flows.bound, float(point.cost))
    summary = summarise(book, answer, bound, road.linear.least_shortfall, road.linear.solver.name)
    result = assemble(book, answer, summary)
    require_valid(book, result)


def _table(rows: list[tuple[int, Point, float]], network: Network) -> pd.DataFrame:
    horizon = network.horizon_years / 10_000
    dearest = max(point.cost for _, point, _ in rows)
    cells = [
        (
            float(allowed),
            float(point.moves),
            float(point.cost * horizon),
            float((dearest - point.cost) * horizon),
            bound * float(horizon),
        )
        for allowed, point, bound in rows
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS))
