"""An integer program over the edges of a ledger, and what its answer comes to there in whole lots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.model.constraints import least_line
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Program, stack
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Bools, Ints, Network, View
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.rounding import fill, holds, place, put, refit, standing, trim
from collateral_opt.solve.seam import Limits, Solution, Solver

FINE, COARSE = 1e-6, 1e-2
"""A lot worth less than this share of its call is counted as continuous by the integer program: where it looks for the
best lots, and where it decides which lines there are."""


def polish(
    ledger: Ledger,
    price: Floats,
    solver: Solver,
    limits: Limits,
    fine: float,
    aim: Callable[[Passes], Solution] = Passes.in_order,
) -> None:
    """Improve the ledger by an integer program over its edges, started from what it holds; kept only if better.

    Lots worth less than the share ``fine`` of their use are counted as continuous. ``aim`` runs the passes.
    """
    network, view = ledger.network, View(ledger.network, ledger.edge, FLOAT)
    program = in_lots(network, view, fine)
    before, rank_before = ledger.snapshot(), standing(ledger)
    try:
        passes = Passes(network, program, view, solver, limits)
        short = np.array([float(s) for s in ledger.shortfalls()])
        passes.start_from(ledger.market_values(), np.pad(short, (0, network.uses.asking - len(short))))
        solution = aim(passes)
    except SolverError:
        return
    found = np.clip(solution.x[: len(view.edge)], 0.0, None) * passes.scaling.column[: len(view.edge)]
    snapped = in_whole_lots(found, view, program)
    answers = [(rank_before, before), *taken_over(ledger, snapped, price)]
    ledger.restore(min(answers, key=lambda answer: answer[0])[1])


def taken_over(ledger: Ledger, target: Floats, price: Floats) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """What an integer program's answer comes to on the ledger: as it is, filled up, and placed as any flow."""
    put(ledger, target)
    prices = price.tolist()
    for fills in (False, True):
        for j in ledger.turns:
            if fills:
                fill(ledger, j, prices)
            trim(ledger, j, prices)
        if holds(ledger):
            yield standing(ledger), ledger.snapshot()
    place(ledger, target, price)
    refit(ledger, price)
    yield standing(ledger), ledger.snapshot()


def in_lots(network: Network, view: View, fine: float = FINE, stays: Bools | None = None) -> Program:
    """The program over the edges of ``view`` with coarse ones counted in whole lots, and covers that may overshoot by
    less than a lot; lines that ``stays`` [edges of the view] says are there stay there, of any value they may have.

    A lot worth more than its call counts as the call: one is enough either way, and the figures stay near one.
    """
    program = formulate(network, view.edge, by_switch=True)
    edges, uses = len(view.edge), network.uses
    lot_value, least = network.lot_value[view.edge], network.least_value[view.edge]
    into_call = view.use < uses.calls
    lot_cover = lot_value * network.edges.factor[view.edge]
    lot_cover = np.where(into_call, np.minimum(lot_cover, uses.size[view.use]), lot_cover)
    coarse: Bools = (lot_cover > fine * uses.size[view.use]) & ~view.into_reserve
    overshoot = np.zeros(len(uses))
    np.maximum.at(overshoot, view.use, np.maximum(lot_cover, least * network.edges.factor[view.edge]))
    coefficient, row_upper = program.rows.coefficient.copy(), np.array(program.rows.upper, dtype=np.float64)
    # The program's first rows cover the calls, and their first entries are the edges into them, in order.
    covering = np.count_nonzero(into_call)
    coarse_cover = (lot_cover / lot_value)[:covering]
    coefficient[:covering] = np.where(coarse[:covering], coarse_cover, coefficient[:covering])
    row_upper[: uses.demands] = row_upper[: uses.demands] + overshoot[: uses.demands]
    upper, unit = program.upper.copy(), program.unit.copy()
    most = np.minimum(np.maximum(upper[:edges], least), network.held[view.source])
    upper[:edges] = np.where(coarse, np.floor(most / lot_value + 1e-9) * lot_value, most)
    unit[:edges] = np.where(coarse, lot_value, unit[:edges])
    lower, has_least = program.lower.copy(), network.has_least[view.edge]
    if stays is not None:
        coarse = coarse & ~stays
        # The least of a line that stays is a bound where the line is one edge, and needs no switch.
        _, at, edges_of = np.unique(network.line[view.edge], return_inverse=True, return_counts=True)
        bounded = stays & has_least & (edges_of[at] == 1)
        lower[:edges] = np.where(bounded, np.maximum(lower[:edges], np.minimum(least, upper[:edges])), lower[:edges])
        has_least = has_least & ~bounded
    opens, line = _lines_with_a_least(network.line[view.edge], has_least)
    count = int(line.max(initial=-1)) + 1
    of_line: Floats = np.zeros(count)
    np.maximum.at(of_line, line, least[opens])
    carried: Floats = np.bincount(line, weights=upper[opens], minlength=count).astype(np.float64)
    switches = least_line(view, opens, line, program.n_columns, of_line, carried)
    between = np.zeros(uses.asking, dtype=bool)
    return replace(
        program,
        column_labels=[
            *program.column_labels,
            *(("open", *label[1:]) for label in switches.labels[:count]),
        ],
        lower=np.pad(lower, (0, count)),
        upper=np.pad(upper, (0, count), constant_values=1.0),
        cost=np.pad(program.cost, (0, count)),
        rows=stack([replace(program.rows, coefficient=coefficient, upper=row_upper), switches]),
        unit=np.pad(unit, (0, count), constant_values=1.0),
        integer=np.concatenate([coarse, between, np.ones(len(network.switches) + count, dtype=bool)]),
        opens=(opens, line),
        source=np.pad(program.source, (0, count), constant_values=-1),
        use=np.pad(program.use, (0, count), constant_values=-1),
    )


def _lines_with_a_least(line: Ints, has_least: Bools) -> tuple[Ints, Ints]:
    """The columns of lines that may not be of any size, and which of these lines (0, 1, ...) each is part of."""
    columns = np.flatnonzero(np.isin(line, line[has_least]))
    _, at = np.unique(line[columns], return_inverse=True)
    return columns, at.astype(np.int64)


def in_whole_lots(found: Floats, view: View, program: Program) -> Floats:
    """The integer program's answer with its whole lots made whole."""
    assert program.integer is not None
    integer, unit = program.integer[: len(view.edge)], program.unit[: len(view.edge)]
    return np.where(integer, np.rint(found / unit) * unit, found)
