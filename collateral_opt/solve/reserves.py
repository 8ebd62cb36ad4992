"""What each reserve counts of the holdings left at home, once the lines are known: the most its limits allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collateral_opt.model.formulation import formulate
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Floats, Kind, Network, View
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.seam import Limits, Solver


def count_reserves(network: Network, ledger: Ledger, solver: Solver, limits: Limits) -> tuple[Floats, Floats]:
    """What each reserve lacks [reserves], and the flow that each edge into one counts [edges], in base currency."""
    counted = np.zeros(len(network.edges))
    if network.uses.asking == network.uses.demands:
        return np.zeros(0), counted
    # What is recalled and goes on leaves its holding as it was; what comes home adds to it.
    source, comes_home = (
        network.edges.source[ledger.edge],
        network.uses.kind[network.edges.use[ledger.edge]] == Kind.HOME,
    )
    holding = network.sources.holding[source]
    at = np.flatnonzero((holding >= 0) & (~network.sources.is_posted[source] | comes_home))
    moved = np.where(comes_home, -1.0, 1.0) * ledger.market_values()
    used = np.bincount(holding[at], weights=moved[at], minlength=len(network.sources))
    unit_value = network.assets.unit_value[network.sources.asset]
    left = np.maximum(network.sources.quantity - used / unit_value, 0.0)
    home = replace(network, sources=replace(network.sources, quantity=left))
    edge = np.flatnonzero(network.into_reserve & (left > 0)[network.edges.source])
    view = View(home, edge, FLOAT)
    passes = Passes(home, formulate(home, edge), view, solver, limits)
    passes.least_shortfalls()
    solution = passes.least_cost()
    flows = passes.flows(solution, solution)
    counted[edge] = flows.x
    return flows.short[network.uses.demands :], counted
