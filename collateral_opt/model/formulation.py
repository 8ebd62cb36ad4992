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
budget      sum_{g} z_g                                       <=  most lines
bounds      l_e <= x_e <= u_e,  0 <= short_j <= R_j

For lines that cost or count as such, ``z_g`` says how far a line is there: sum_{e in line g} x_e / u_g in a linear
program; in an integer program it is 0 or 1, and

switch      sum_{e in line g} x_e                             <=  u_g z_g
"""

from __future__ import annotations

from collections.abc import Sequence

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
from collateral_opt.model.program import Floats, Labels, Presence, Program, Rows, stack
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Ints, Kind, Network, View
from collateral_opt.network.runs import ranges


def formulate(network: Network, edge: Ints | None = None, *, by_switch: bool = False) -> Program:
    """The linear program over all edges of ``network``, or over those in ``edge``, with cost as its aim.

    ``by_switch``: with a column and a row for each line that costs or counts, which an integer program needs.
    """
    view = View(network, np.arange(len(network.edges)) if edge is None else edge, FLOAT)
    uses, sources, switches = network.uses, network.sources, network.switches
    size = uses.size[: uses.asking]
    lower, upper = pinned_bounds(view)
    left, full = supply(view), limits(view)
    constraints = [
        cover(view),
        promised(view, np.full(uses.ranks, np.inf)),
        left,
        stays_home(view),
        conversion(view),
        release(view),
        whole_row(view),
        *full,
    ]
    first_switch, own = len(view.edge) + uses.asking, len(switches) if by_switch else 0
    presence = lines_of(view, most_on(view, lower, upper, [left, *full]), first_switch if by_switch else None)
    if by_switch:
        constraints.append(switched(view, first_switch, presence.most))
    constraints.append(budgets(view, presence))
    return Program(
        column_labels=Labels(
            first_switch + own,
            lambda: [
                *(("deliver", uses.ids[j], sources.ids[i]) for i, j in zip(view.source, view.use, strict=True)),
                *(("short", *label) for label in uses.label[: uses.asking]),
                *(("on", *label) for label in switches.labels[:own]),
            ],
        ),
        lower=np.concatenate([lower, np.zeros(uses.asking + own)]),
        upper=np.concatenate([upper, uses.lacking[: uses.asking], np.ones(own)]),
        cost=np.pad(network.edges.cost_bps[view.edge], (0, uses.asking + own))
        + presence.cost(network.switches.charges, first_switch + own),
        unit=np.concatenate([typical(view), np.where(size > 0, size, 1.0), np.ones(own)]),
        rows=stack(constraints),
        presence=presence,
        source=np.pad(view.source, (0, uses.asking + own), constant_values=-1),
        use=np.concatenate([view.use, np.arange(uses.asking), np.full(own, -1)]),
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


def lines_of(view: View, most: Floats, first_switch: int | None) -> Presence:
    """How far each line that costs or counts is there: as far as it is full, or its column from ``first_switch`` on."""
    if first_switch is not None:
        every = np.arange(len(most))
        return Presence(every, first_switch + every, np.ones(len(most)), most)
    column, at = view.columns_of(view.network.switches.edge)
    line = view.network.switches.switch[at]
    return Presence(line, column, 1 / most[line], most)


def most_on(view: View, lower: Floats, upper: Floats, rows: Sequence[Rows]) -> Floats:
    """The most that the edges of each switch carry together in any answer worth having [switches], above 0.

    That is what there is of them, what the call that they all go to asks for, with the smallest line that overshoots
    it, and what any of ``rows`` leaves to them alone; no less than a line must have.
    """
    network, switches = view.network, view.network.switches
    if not len(switches):
        return np.zeros(0)
    column, at = view.columns_of(switches.edge)
    line, count = switches.switch[at], len(switches)
    there_is: Floats = np.bincount(line, np.minimum(upper, network.held[view.source])[column], count).astype(np.float64)
    least, factor = np.full((2, count), np.inf)
    np.minimum.at(least, line, network.least_value[view.edge[column]])
    np.minimum.at(factor, line, network.edges.factor[view.edge[column]])
    goes_to = np.full(count, -1)
    goes_to[line] = view.use[column]
    # An agreement can take more than it asks for where something is recalled from it; a call cannot.
    is_met = (network.uses.kind == Kind.CALL) & ~np.isin(np.arange(len(network.uses)), network.sources.funded_by)
    alone = is_met[goes_to] & (goes_to >= 0)
    alone[line[view.use[column] != goes_to[line]]] = False
    wanted = (network.uses.size + network.overshoot)[goes_to] / factor
    most = np.minimum(there_is, np.where(alone, wanted, np.inf))
    for block in rows:
        most = np.minimum(most, _left_by(block, column, line, count))
    most = np.maximum(most, np.minimum(least, there_is))
    most = np.maximum(most, np.bincount(line, lower[column], count))
    return np.where(most > 0, most, 1.0)


def _left_by(rows: Rows, column: Ints, line: Ints, count: int) -> Floats:
    """What the rows that all columns of a line are in leave to them together [lines]; ``column``/``line`` are pairs.

    Only rows in which nothing makes room for others say that.
    """
    coefficient, limit = np.asarray(rows.coefficient, np.float64), np.asarray(rows.upper, np.float64)
    makes_room = np.bincount(rows.row, coefficient < 0, len(rows)) > 0
    order = np.argsort(column, kind="stable")
    begin, end = (np.searchsorted(column[order], rows.column, side) for side in ("left", "right"))
    # Each entry once for each line that its column is part of.
    entry = np.repeat(np.arange(len(rows.row)), end - begin)
    of_line, of_row = line[order][ranges(begin, end)], rows.row[entry]
    pair, place, inside = np.unique(of_line * len(rows) + of_row, return_inverse=True, return_counts=True)
    lightest, left = np.full(len(pair), np.inf), np.full(count, np.inf)
    np.minimum.at(lightest, place, coefficient[entry])
    at, row = np.divmod(pair, max(len(rows), 1))
    binds = (inside == np.bincount(line, minlength=count)[at]) & (lightest > 0) & ~makes_room[row]
    np.minimum.at(left, at[binds], np.maximum(limit[row[binds]], 0.0) / lightest[binds])
    return left


def typical(view: View) -> Floats:
    """The most that an edge can be asked for: all of its source, or what alone meets its use."""
    network = view.network
    held = network.held[view.source]
    # A holding may be empty until something is recalled into it.
    held = np.where(held > 0, held, np.inf)
    return np.minimum(held, network.uses.size[view.use] / network.edges.factor[view.edge])


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
