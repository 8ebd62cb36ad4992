"""Flows on as many lines as budgets allow, by diving: lines become sure step by step, and a linear program settles the
rest each time.

In the linear program a line is there as far as it is full, so a use may take a little of many. Where there are more
lines than a budget allows, the largest of those that are not full is made sure: its place is paid, and it takes as much
as it can; but of what several uses divide among them, one line at a time. What is sure and carries nothing any more
becomes free again. A call that is short with all its places taken gives up the smallest of its lines for good.
"""

from __future__ import annotations

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.model.formulation import formulate
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Bools, Floats, Ints, Network, View
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.seam import Limits, Solver

ROUNDS = 80
"""Most linear programs of one dive, each from the basis of the one before; ..."""
BRIEF = 8
"""... and where swaps of lines follow, which repair a dive better than it would go on."""
CARRIES = 1e-7
"""A line is there if it carries more than this share of the most it could, ..."""
IS_FULL = 1 - 1e-4
"""... and full if it carries this share of it."""
SHORT = 1e-6
"""A use is short if it lacks more than this share of what it asks for."""


def dive(
    network: Network, edge: Ints, short: Floats, solver: Solver, limits: Limits, rounds: int = ROUNDS
) -> Floats | None:
    """Flows [edges] on lines among ``edge``: of all it came by the least short; on too many if the dive was cut off.

    ``short`` [calls, then reserves] is what the linear program leaves uncovered. None where the solver gives up, or
    time is over, before there are any flows.
    """
    return _Dive(network, edge, short, solver, limits).run(rounds)


class _Dive:
    """The linear program in which each line has a switch, and what is sure of them."""

    def __init__(self, network: Network, edge: Ints, short: Floats, solver: Solver, limits: Limits) -> None:
        program, view = formulate(network, edge, by_switch=True), View(network, edge, FLOAT)
        self._network, self._edge, self._most = network, edge, program.presence.most
        self._tolerated = short + SHORT * network.uses.size[: network.uses.asking]
        self._passes = Passes(network, program, view, solver, limits)
        self._first = len(edge) + network.uses.asking
        self._column, at = view.columns_of(network.switches.edge)
        self._line = network.switches.switch[at]
        self._must, self._shut = np.zeros((2, len(network.switches)), dtype=bool)
        self._must[self._line[program.lower[self._column] > 0]] = True
        self._sure: Bools = self._must.copy()
        self._use, self._asset = np.zeros((2, len(network.switches)), dtype=np.int64)
        self._use[self._line], self._asset[self._line] = view.use[self._column], network.edge_asset[edge[self._column]]
        self._budgets_of: list[list[int]] = [[] for _ in range(len(network.switches))]
        for budget, (_, members, _) in enumerate(network.switches.budgets):
            for line in members.tolist():
                self._budgets_of[line].append(budget)

    def run(self, rounds: int) -> Floats | None:
        """Flows [edges] at the end of the dive, or after so many ``rounds``."""
        best: tuple[float, Floats] | None = None
        edges, asking = len(self._edge), self._network.uses.asking
        for _ in range(rounds):
            try:
                solution = self._passes.cover_everything()
            except SolverError:
                break
            found = np.maximum(solution.x[: edges + asking], 0.0) * self._passes.scaling.column[: edges + asking]
            flows, lacking = found[:edges], np.maximum(found[edges:] - self._tolerated, 0.0)
            carried = np.bincount(self._line, flows[self._column], len(self._most)).astype(np.float64)
            is_over, goes_on = self._decide(carried, lacking > 0)
            total = np.inf if is_over else float(lacking.sum())
            if best is None or total < best[0] or np.isinf(best[0]):
                x = np.zeros(len(self._network.edges))
                x[self._edge] = flows
                best = total, x
            if not goes_on:
                break
        return None if best is None else best[1]

    def _decide(self, carried: Floats, is_short: Bools) -> tuple[bool, bool]:
        """Make lines sure where there are too many, and give up lines of calls that are short.

        Says whether there are too many, and whether anything was called for.
        """
        on, is_full = carried > CARRIES * self._most, carried > IS_FULL * self._most
        self._sure = self._must | (self._sure & on)
        budgets = self._network.switches.budgets
        room = [allowed - int(np.count_nonzero(self._sure[members])) for _, members, allowed in budgets]
        wanted: list[int] = []
        for _, members, allowed in budgets:
            if np.count_nonzero(on[members]) > allowed:
                free = members[on[members] & ~self._sure[members]]
                partly = free[~is_full[free]]
                wanted += [max((partly if len(partly) else free).tolist(), key=lambda line: carried[line])]
        divided: set[int] = set()
        for line in sorted(set(wanted), key=lambda line: (-carried[line], line)):
            if self._asset[line] not in divided and all(room[b] > 0 for b in self._budgets_of[line]):
                self._sure[line] = True
                divided.add(int(self._asset[line]))
                for b in self._budgets_of[line]:
                    room[b] -= 1
        given_up: list[int] = []
        for budget, (_, members, _) in enumerate(budgets):
            sure = members[(self._sure & ~self._must)[members] & _at(is_short, self._use[members])]
            if len(sure) and room[budget] <= 0:
                given_up.append(min(sure.tolist(), key=lambda line: carried[line]))
        self._sure[given_up], self._shut[given_up] = False, True
        switches = np.arange(self._first, self._first + len(on))
        self._passes.change_bounds(switches, self._sure.astype(np.float64), (~self._shut).astype(np.float64))
        return bool(wanted), bool(wanted or given_up)


def _at(flags: Bools, position: Ints) -> Bools:
    """``flags`` at these positions; beyond their end none is set."""
    inside = position < len(flags)
    return np.asarray(inside & flags[np.where(inside, position, 0)])
