"""The whole model on one screen: columns, constraints and aims of the allocation program.

minimise    short_j by priority, reserves last, then  sum_e c_e x_e
cover       sum_{e into call or reserve j} f_e x_e + short_j   =  R_j
promised    sum_{j of priority p} short_j                     <=  S_p, once the aim for p is met
supply      sum_{e on which source i leaves} x_e              <=  A_i
home        y_ir + sum_{e on which source i leaves} x_e       <=  A_i
conversion  sum_{e out of facility k} x_e                     <=  sum_{e into k} f_e x_e
limit       sum_{e in group} w_e x_e                          <=  cap, a constant or a share of what is posted
bounds      0 <= x_e <= u_e,  0 <= short_j <= R_j
"""

from __future__ import annotations

import numpy as np

from collateral_opt.model.constraints import conversion, cover, limits, promised, stays_home, supply
from collateral_opt.model.program import Floats, Program, stack
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Ints, Network, View


def formulate(network: Network, edge: Ints | None = None) -> Program:
    """The linear program over all edges of ``network``, or over those in ``edge``, with cost as its aim."""
    view = View(network, np.arange(len(network.edges)) if edge is None else edge, FLOAT)
    uses, sources = network.uses, network.sources
    moved = zip(view.source.tolist(), view.use.tolist(), strict=True)
    required = uses.required_float[: uses.asking]
    return Program(
        column_labels=[("deliver", uses.ids[j], sources.ids[i]) for i, j in moved]
        + [("short", identifier) for identifier in uses.ids[: uses.asking]],
        lower=np.zeros(len(view.edge) + uses.asking),
        upper=np.concatenate([network.most_value[view.edge], required]),
        cost=cost_aim(view),
        unit=np.concatenate([typical(view), np.where(required > 0, required, 1.0)]),
        rows=stack(
            [
                cover(view),
                promised(view, np.full(uses.ranks, np.inf)),
                supply(view),
                stays_home(view),
                conversion(view),
                *limits(view),
            ]
        ),
    )


def typical(view: View) -> Floats:
    """The most that an edge can be asked for: all of its source, or what alone meets its use."""
    network = view.network
    return np.minimum(
        network.held[view.source], network.uses.required_float[view.use] / network.edges.factor[view.edge]
    )


def cost_aim(view: View) -> Floats:
    """What a year of each edge's flow costs, in basis points; shortfalls are paid for by the aims before this one."""
    return np.concatenate([view.network.edges.cost_bps[view.edge], np.zeros(view.network.uses.asking)])


def shortfall_aim(view: View, priority: int) -> Floats:
    """The shortfall of all calls, or of all reserves, of one priority rank."""
    return np.concatenate([np.zeros(len(view.edge)), (view.network.uses.priority == priority).astype(np.float64)])


def tie_aim(view: View) -> Floats:
    """Weights that grow with the source's place, and less with the call's: early identifiers are used first."""
    sources, uses = len(view.network.sources), len(view.network.uses)
    by_source = (view.source + 1) / (sources + 1)
    by_use = (uses - view.use) / (uses + 1)
    return np.concatenate([by_source * (1 + by_use), np.zeros(view.network.uses.asking)])
