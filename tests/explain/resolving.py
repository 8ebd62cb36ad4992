"""Books and networks solved again, to hold an explanation's figures against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from collateral_opt.book import Book
from collateral_opt.errors import CollateralError, InfeasibleError
from collateral_opt.network.build import Problem
from collateral_opt.network.exact import FLOAT, exact
from collateral_opt.network.facts import gather
from collateral_opt.network.network import GivenCap, Network
from collateral_opt.optimiser import optimise
from collateral_opt.result import Result
from collateral_opt.solve.linear import better, linear_optima
from collateral_opt.solve.passes import solve_flows
from collateral_opt.solve.registry import solver_named
from collateral_opt.solve.seam import Limits
from tests.judges.books import random_book

KINDS: tuple[dict[str, bool], ...] = ({}, {"facilities": True}, {"reserves": True}, {"reoptimise": True})


def answers(seeds: range, size: str = "small", kinds: tuple[dict[str, bool], ...] = KINDS) -> list[Result]:
    """The answers to random books; a book that cannot be answered is passed over."""
    found = []
    for seed in seeds:
        for kind in kinds:
            try:
                found.append(optimise(random_book(seed, size, **kind).to_book()))
            except CollateralError:
                continue
    return found


def solved(book: Book) -> tuple[float, float]:
    """Least shortfall of all that ask and least cost (base currency times yearly basis points) of the whole program."""
    problem = Problem(gather(book.in_full))
    best = reduce(better, linear_optima(problem, solver_named("highs", full=True), Limits(), merge=False))
    return float(best.flows.short.sum()), best.flows.cost


def solved_network(network: Network) -> tuple[float, float]:
    """The same of a network."""
    _, flows = solve_flows(network, solver_named("highs", full=True))
    return float(flows.short.sum()), flows.cost


def cost_or_none(network: Network) -> float | None:
    """The least cost of a network that can be covered, None where it cannot be, or not at all."""
    try:
        short, cost = solved_network(network)
    except InfeasibleError:
        return None
    return cost if short < 1e-6 * float(network.uses.size.sum()) else None


def with_edge(network: Network, edge: int, change: Callable[[float], float]) -> Network:
    """``network`` in which one pair has another cost."""
    cost = network.edges.cost_bps.copy()
    cost[edge] = change(cost[edge])
    return replace(network, edges=replace(network.edges, cost_bps=np.asarray(cost)))


def with_cap(network: Network, label: tuple[str, ...], more: float) -> Network:
    """``network`` in which one group of one limit has a cap that is higher by ``more``."""
    _, place, limit, basis, group = label

    def higher(block: Any) -> Any:
        if block.key != (place, limit, basis):
            return block
        caps = block.cap.values(block.measure, np.arange(len(block.groups)), network.assets, FLOAT)
        most = [exact(float(cap)) for cap in caps]
        most[list(block.groups).index(group)] += exact(more)
        return replace(block, cap=GivenCap(most, "money"))

    return replace(network, limits=[higher(block) for block in network.limits])
