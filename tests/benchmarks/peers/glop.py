"""OR-Tools with GLOP, through its model builder."""

from __future__ import annotations

import numpy as np
from ortools.linear_solver.python import model_builder

from tests.benchmarks.peers.program import Allocation, by_row

_sum = model_builder.LinearExpr.weighted_sum


def solve(program: Allocation) -> float:
    """The optimum in millions times yearly basis points.

    :raises RuntimeError: GLOP did not find it optimal.
    """
    model = model_builder.Model()  # type: ignore[no-untyped-call]
    x = [model.new_num_var(0.0, most) for most in program.most.tolist()]
    totals = [model.new_num_var(0.0, np.inf) for _ in range(program.n_totals)]
    model.minimize(_sum(x, program.cost_bps.tolist()))
    for j, pairs in enumerate(by_row(program.use, len(program.required))):
        required = program.required[j]
        model.add_linear_constraint(_sum([x[k] for k in pairs], program.factor[pairs].tolist()), required, required)
    for i, pairs in enumerate(by_row(program.source, len(program.available))):
        model.add_linear_constraint(_sum([x[k] for k in pairs], [1.0] * len(pairs)), ub=program.available[i])
    for t, entries in enumerate(by_row(program.total_row, program.n_totals)):
        counted, weights = [x[k] for k in program.total_pair[entries]], program.total_weight[entries].tolist()
        model.add_linear_constraint(_sum([*counted, totals[t]], [*weights, -1.0]), 0.0, 0.0)
    for row, entries in enumerate(by_row(program.limit_row, len(program.cap))):
        counted, weights = [x[k] for k in program.limit_pair[entries]], program.limit_weight[entries].tolist()
        if program.total[row] >= 0:
            counted.append(totals[program.total[row]])
            weights.append(-program.share[row])
        model.add_linear_constraint(_sum(counted, weights), ub=program.cap[row])
    solver = model_builder.Solver("glop")
    status = solver.solve(model)
    if status != model_builder.SolveStatus.OPTIMAL:
        raise RuntimeError(status.name)
    return float(solver.objective_value)
