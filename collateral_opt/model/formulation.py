"""The whole model on one screen: columns, constraints and aims of the allocation program.

minimise    short_j by priority, reserves last, then  sum_e c_e x_e + sum_g c_g z_g
cover       sum_{e into j} f_e x_e - sum_{e recalled from j} f_p x_e + short_j  =  R_j
promised    sum_{j of priority p} short_j                     <=  S_p, once the aim for p is met
supply      sum_{e on which source i leaves} x_e              <=  A_i
home        y_ir + sum_{e on which source i leaves} x_e       <=  A_i
conversion  sum_{e out of facility k} x_e                     <=  sum_{e into k} f_e x_e
release     sum_{e recalled by t} f_p x_e                     <=  free + sum_{replacements by t} f_e x_e
whole row   x_odd / V_odd                                     <=  sum_{e out of its row} x_e / V_p
limit       sum_{e in group} w_e x_e                          <=  cap, a constant or a share of what is posted
switch      sum_{e in line g} x_e                             <=  u_g z_g,  for lines that cost or count as such
budget      sum_{g} z_g                                       <=  most lines
bounds      l_e <= x_e <= u_e,  0 <= short_j <= R_j,  0 <= z_g <= 1
"""

from __future__ import annotations

import numpy as np

from collateral_opt.model.constraints import (
    budgets,
    conversion,
    cover,
    limits,
    promised,
    release,
    stays_home,
    supply,
    switched,
    whole_row,
)
from collateral_opt.model.program import Floats, Labels, Program, stack
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Ints, Network, View


def formulate(network: Network, edge: Ints | None = None) -> Program:
    """The linear program over all edges of ``network``, or over those in ``edge``, with cost as its aim."""
    view = View(network, np.arange(len(network.edges)) if edge is None else edge, FLOAT)
    uses, sources, switches = network.uses, network.sources, network.switches
    size = uses.size[: uses.asking]
    lower, upper = pinned_bounds(view)
    constraints = [
        cover(view),
        promised(view, np.full(uses.ranks, np.inf)),
        supply(view),
        stays_home(view),
        conversion(view),
        release(view),
        whole_row(view),
        *limits(view),
    ]
    first_switch, others = len(view.edge) + uses.asking, uses.asking + len(switches)
    constraints += [switched(view, first_switch, most_on(view, upper)), budgets(view, first_switch)]
    return Program(
        column_labels=Labels(
            first_switch + len(switches),
            lambda: [
                *(("deliver", uses.ids[j], sources.ids[i]) for i, j in zip(view.source, view.use, strict=True)),
                *(("short", *label) for label in uses.label[: uses.asking]),
                *(("on", *label) for label in switches.labels),
            ],
        ),
        lower=np.concatenate([lower, np.zeros(uses.asking + len(switches))]),
        upper=np.concatenate([upper, uses.lacking[: uses.asking], np.ones(len(switches))]),
        cost=cost_aim(view),
        unit=np.concatenate([typical(view), np.where(size > 0, size, 1.0), np.ones(len(switches))]),
        rows=stack(constraints),
        source=np.pad(view.source, (0, others), constant_values=-1),
        use=np.concatenate([view.use, np.arange(uses.asking), np.full(len(switches), -1)]),
        sections=tuple(len(rows) for rows in constraints),
    )


def pinned_bounds(view: View) -> tuple[Floats, Floats]:
    """Least and most flow on each column: what a person has decided, or nothing and the most that is of use."""
    network = view.network
    lower, upper = np.zeros(len(view.edge)), network.most_value[view.edge].copy()
    pinned = np.array(sorted(network.pinned), dtype=np.int64)
    column, at = view.columns_of(pinned)
    for k, edge in zip(column.tolist(), pinned[at].tolist(), strict=True):
        least, most = network.pinned[edge]
        lower[k] = least * network.lot_value[edge]
        if most is not None:
            upper[k] = most * network.lot_value[edge]
    return lower, upper


def most_on(view: View, upper: Floats) -> Floats:
    """The most that the edges of each switch can carry together."""
    switches = view.network.switches
    column, at = view.columns_of(switches.edge)
    carried = np.minimum(upper, view.network.held[view.source])[column]
    most = np.bincount(switches.switch[at], weights=carried, minlength=len(switches))
    return np.where(most > 0, most, 1.0)


def typical(view: View) -> Floats:
    """The most that an edge can be asked for: all of its source, or what alone meets its use."""
    network = view.network
    held = network.held[view.source]
    # A holding may be empty until something is recalled into it.
    held = np.where(held > 0, held, np.inf)
    return np.minimum(held, network.uses.size[view.use] / network.edges.factor[view.edge])


def cost_aim(view: View) -> Floats:
    """What a year of each edge's flow costs, in basis points, and each line for being there.

    Shortfalls are paid for by the aims before this one.
    """
    network = view.network
    lines = [float(f + w) for f, w in zip(network.switches.fixed, network.switches.worth, strict=True)]
    return np.concatenate([network.edges.cost_bps[view.edge], np.zeros(network.uses.asking), np.array(lines)])


def shortfall_aim(view: View, priority: int) -> Floats:
    """The shortfall of all calls, or of all reserves, of one priority rank."""
    return np.concatenate([np.zeros(len(view.edge)), (view.network.uses.priority == priority).astype(np.float64)])


def tie_aim(view: View) -> Floats:
    """Weights that grow with the source's place, and less with the call's: early identifiers are used first.

    What is posted moves only where nothing else does, and rather to where it is needed than home.
    """
    sources, uses = len(view.network.sources), len(view.network.uses)
    by_source = (view.source + 1) / (sources + 1) + 2.0 * view.network.sources.is_posted[view.source]
    by_use = (uses - view.use) / (uses + 1)
    return np.concatenate([by_source * (1 + by_use), np.zeros(view.network.uses.asking)])
