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
from collateral_opt.network.network import Bools, Floats
from collateral_opt.solve.passes import Flows, Passes

ITERATIONS = 8
"""Linear programs solved in search of few lines, each from the basis of the one before."""
RISE, FALL = 2.0, 0.7
"""How the price of a line changes while there are too many, and once there are few enough."""
CARRIES = 1e-7
"""A line is there if it carries more than this share of the most it could."""


class SlopeScaling:
    """Linear programs in which a line's charge is spread over what it carried in the answer before."""

    def __init__(self, passes: Passes, flows: Flows) -> None:
        switches = passes.network.switches
        self._passes = passes
        self._column, at = passes.view.columns_of(switches.edge)
        self._switch = switches.switch[at]
        self._most = passes.program.presence.most
        self._slope = np.zeros(len(switches))
        self._carry(flows.x)

    def _carry(self, x: Floats) -> None:
        carried = np.bincount(self._switch, weights=x[self._column], minlength=len(self._most))
        self.carried: Floats = carried.astype(np.float64)

    @property
    def on(self) -> Bools:
        """Which lines carry anything."""
        return np.asarray(self.carried > CARRIES * self._most)

    def step(self, charge: Floats) -> Floats:
        """Flows [edges of the program] where each line costs ``charge`` [switches] for being there, as near as a
        linear program comes to that.

        Raises:
            SolverError: the solver gave up.
        """
        spread = charge / np.maximum(self.carried, CARRIES * self._most)
        self._slope = np.where(self.on, spread, np.maximum(self._slope, charge / self._most))
        tilt = np.bincount(self._column, weights=self._slope[self._switch], minlength=len(self._passes.view.edge))
        x = self._passes.tilted(tilt.astype(np.float64))
        self._carry(x)
        return x


def flows_on_few_lines(passes: Passes, flows: Flows) -> Iterator[Floats]:
    """Flows [edges of the program] that cover what ``flows`` does, on fewer and fewer lines."""
    switches, scaling = passes.network.switches, SlopeScaling(passes, flows)
    fixed = passes.network.switches.charges
    price = np.zeros(len(switches.budgets))
    first_price = typical_cost(passes, flows)
    for _ in range(ITERATIONS):
        charge, on = fixed.copy(), scaling.on
        for budget, (_, members, allowed) in enumerate(switches.budgets):
            too_many = np.count_nonzero(on[members]) > allowed
            if too_many or price[budget]:
                price[budget] = max(price[budget] * (RISE if too_many else FALL), first_price if too_many else 0.0)
            charge[members] += price[budget]
        before = scaling.carried
        try:
            yield scaling.step(charge)
        except SolverError:
            return
        if np.allclose(before, scaling.carried, rtol=1e-9) and not price.any():
            return


def typical_cost(passes: Passes, flows: Flows) -> float:
    """A tenth of what a line costs or saves on average: where the price of a line begins."""
    lines = max(1, int(np.count_nonzero(flows.x > 0)))
    return max(whole_cost(passes, flows) / lines / 10, 1e-6)


def whole_cost(passes: Passes, flows: Flows) -> float:
    """What all lines cost or save together, in base currency times yearly basis points."""
    return float(np.sum(np.abs(passes.network.edges.cost_bps[passes.view.edge]) * flows.x))
