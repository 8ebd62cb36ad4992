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
from collateral_opt.errors import InfeasibleError, SolverError
from collateral_opt.network import Network, build_network
from collateral_opt.network.network import Floats, Ints
from collateral_opt.result.answer import Answer
from collateral_opt.result.assemble import assemble
from collateral_opt.result.checker import require_valid
from collateral_opt.result.summary import summarise
from collateral_opt.solve.executable import COARSE, make_executable, narrowed, placements, polish, prices_of_cover
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import Flows, Passes, cost_bound, solve_flows
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.reserves import count_reserves
from collateral_opt.solve.seam import Limits, Solver
from collateral_opt.solve.sparse import SlopeScaling, charges, typical_cost

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
    """Cost and saving against the number of moves: at most ``points`` rows of :data:`COLUMNS`, by ``max_moves``.

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
    network = build_network(counted.replace(settings={"max_moves": 10**9}).in_full)
    require_possible_pins(counted.in_full, network)
    chosen, limits = solver_named(solver), Limits(seconds=book.settings.time_limit_s)
    tell("solving")
    passes, flows, road = _first_road(network, chosen, limits)
    tell("looking for fewer moves")
    found = _answers(passes, flows, chosen, counted.settings.mip_gap, limits)
    short = min(point.short for point in found)
    best = _least_by_moves([point for point in found if point.short == short])
    budgets = _budgets(best, points)
    # Down from many moves to few, and up again: what few moves reach is open to more of them.
    for allowed in [*reversed(budgets), *budgets]:
        tell(f"{allowed} moves")
        best = _least_by_moves([*best, _improved(passes, flows, best, allowed, chosen, limits)])
    rows = []
    for allowed in budgets:
        tell(f"checking {allowed} moves")
        point = _within(best, allowed)
        _check(counted, road, passes, flows, point, chosen, limits)
        rows.append((allowed, point, _bound(passes, flows, allowed)))
    return _table(rows, network)


def _within(best: list[Point], allowed: int) -> Point:
    """The best answer with at most so many moves."""
    return min((p for p in best if p.moves <= allowed), key=lambda p: (p.cost, p.moves))


def _improved(passes: Passes, flows: Flows, best: list[Point], allowed: int, solver: Solver, limits: Limits) -> Point:
    """The best answer within ``allowed`` moves, improved among its lines and those of the next one with more."""
    network = passes.network
    budgets = [*_other_budgets(network), ("moves", np.flatnonzero(network.switches.is_move), allowed)]
    within = replace(network, switches=replace(network.switches, budgets=budgets))
    start = _within(best, allowed)
    more = min((p for p in best if p.moves > allowed), key=lambda p: p.moves, default=start)
    prices = prices_of_cover(network, flows)
    cheap = start.ledger.edge[np.argsort(prices[start.ledger.edge], kind="stable")[:NEARBY]]
    edge = np.unique(np.concatenate([start.edges(), more.edges(), cheap]))
    start.ledger.restore(start.lots)
    ledger = narrowed(start.ledger, edge, within)
    effort = replace(limits, mip_gap=GAP, mip_nodes=8)
    polish(ledger, prices[edge], solver, effort, COARSE)
    return _point(ledger)


def _first_road(network: Network, solver: Solver, limits: Limits) -> tuple[Passes, Flows, Network]:
    """The first road of ``network`` that has an answer; the last always has."""
    for road in network.roads():
        try:
            return *solve_flows(road, solver, limits), road
        except InfeasibleError:
            continue
    raise SolverError("no road has an answer")


def _answers(passes: Passes, flows: Flows, solver: Solver, mip_gap: float, limits: Limits) -> list[Point]:
    """Answers with ever fewer moves, from the optimum that counts none to the fewest that were found."""
    network = passes.network
    unlimited = replace(passes.network, switches=replace(network.switches, budgets=_other_budgets(network)))
    targets = [flows.x, *_dearer_and_dearer(passes, flows)]
    first = make_executable(passes, flows, solver, mip_gap, limits)
    return [_point(first), *(_point(ledger) for ledger in placements(unlimited, flows, targets))]


def _other_budgets(network: Network) -> list[tuple[str, np.ndarray, int]]:
    return [budget for budget in network.switches.budgets if budget[0] != "moves"]


def _dearer_and_dearer(passes: Passes, flows: Flows) -> Iterator[Floats]:
    """Flows [edges] where a move costs more and more, until one costs as much as all of them together bring."""
    fixed, is_move = charges(passes), passes.network.switches.is_move
    scaling, price = SlopeScaling(passes, flows), typical_cost(flows) / 3
    everything = float(np.abs(flows.program.cost[: len(flows.x)]) @ flows.x)
    while price <= RISE * everything:
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


def _budgets(best: list[Point], points: int) -> list[int]:
    """Numbers of moves from the fewest to the most that pay, evenly."""
    fewest, most = best[0].moves, best[-1].moves
    return sorted({round(m) for m in np.linspace(fewest, most, max(points, 1))} | {fewest, most})[-max(points, 1) :]


def _bound(passes: Passes, flows: Flows, allowed: int) -> float:
    """The least cost of any answer with so many moves, times yearly basis points."""
    passes.allow("moves", allowed)
    try:
        bound, _ = passes.priced()
    except SolverError:
        bound = flows.bound
    return bound


def _check(
    book: Book, road: Network, passes: Passes, flows: Flows, point: Point, solver: Solver, limits: Limits
) -> None:
    """Make the point a result as any run does, and let the checker judge it."""
    point.ledger.restore(point.lots)
    short_reserves, counted = count_reserves(road, point.ledger, solver, limits)
    answer = Answer(road, passes, flows, point.ledger, short_reserves, counted)
    bound = cost_bound(passes, flows, answer.shortfalls)
    require_valid(book, assemble(book, answer, summarise(book, answer, bound, passes.least_shortfall, solver.name)))


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
