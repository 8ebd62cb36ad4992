"""Flows on few lines, for books in which a line costs something for being there, or only so many may be.

Slope scaling (Kim and Pardalos, A solution approach to the fixed charge network flow problem using a dynamic slope
scaling procedure, Operations Research Letters 24, 1999): a line's fixed cost is spread over what it carried in the
answer before, so that small lines become dear and large ones stay cheap. What a budget allows too few lines for gets a
price per line, which rises until they are few enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.network.network import Floats
from collateral_opt.solve.passes import Flows, Passes

ITERATIONS = 8
"""Linear programs solved in search of few lines, each from the basis of the one before."""
RISE, FALL = 2.0, 0.7
"""How the price of a line changes while there are too many, and once there are few enough."""
CARRIES = 1e-7
"""A line is there if it carries more than this share of the most it could."""


def flows_on_few_lines(passes: Passes, flows: Flows) -> Iterator[Floats]:
    """Flows [edges of the program] that cover what ``flows`` does, on fewer and fewer lines."""
    switches = passes.network.switches
    column, at = passes.view.columns_of(switches.edge)
    switch = switches.switch[at]
    fixed = np.array([float(f + w) for f, w in zip(switches.fixed, switches.worth, strict=True)])
    price = np.zeros(len(switches.budgets))
    first_price = _typical_cost(flows)
    most = passes.most_on
    x = flows.x
    carried = np.bincount(switch, weights=x[column], minlength=len(switches))
    slope = fixed / most
    for _ in range(ITERATIONS):
        on = carried > CARRIES * most
        for budget, (_, members, allowed) in enumerate(switches.budgets):
            too_many = np.count_nonzero(on[members]) > allowed
            if too_many or price[budget]:
                price[budget] = max(price[budget] * (RISE if too_many else FALL), first_price if too_many else 0.0)
        charge = fixed.copy()
        for budget, (_, members, _) in enumerate(switches.budgets):
            charge[members] += price[budget]
        slope = np.where(on, charge / np.maximum(carried, CARRIES * most), np.maximum(slope, charge / most))
        tilt: Floats = np.bincount(column, weights=slope[switch], minlength=len(x)).astype(np.float64)
        try:
            x = passes.tilted(tilt)
        except SolverError:
            return
        before, carried = carried, np.bincount(switch, weights=x[column], minlength=len(switches))
        yield x
        if np.allclose(before, carried, rtol=1e-9) and not price.any():
            return


def _typical_cost(flows: Flows) -> float:
    """A tenth of what a line costs or saves on average: where the price of a line begins."""
    lines = max(1, int(np.count_nonzero(flows.x > 0)))
    linear = flows.program.cost[: len(flows.x)]
    return max(float(np.abs(linear) @ flows.x) / lines / 10, 1e-6)
