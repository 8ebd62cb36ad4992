"""The program as a PuLP model, term by term from lists: the fastest of the ways to write it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import pulp

from tests.benchmarks.peers.program import Allocation, Floats, by_row


def model(program: Allocation, cost: Floats) -> pulp.LpProblem:
    """Minimise ``cost`` [pairs]."""
    problem = pulp.LpProblem("allocation", pulp.LpMinimize)
    # PuLP knows no infinity, but no bound.
    x = [pulp.LpVariable(f"x{k}", 0, most if most < inf else None) for k, most in enumerate(program.most.tolist())]
    totals = [pulp.LpVariable(f"t{k}", 0) for k in range(program.n_totals)]
    problem += _sum(x, cost.tolist())
    for j, pairs in enumerate(by_row(program.use, len(program.required))):
        problem += _sum([x[k] for k in pairs], program.factor[pairs].tolist()) == program.required[j]
    for i, pairs in enumerate(by_row(program.source, len(program.available))):
        if len(pairs):
            problem += _sum([x[k] for k in pairs], [1.0] * len(pairs)) <= program.available[i]
    for t, entries in enumerate(by_row(program.total_row, program.n_totals)):
        counted = _sum([x[k] for k in program.total_pair[entries]], program.total_weight[entries].tolist())
        problem += counted - totals[t] == 0
    for row, entries in enumerate(by_row(program.limit_row, len(program.cap))):
        counted = _sum([x[k] for k in program.limit_pair[entries]], program.limit_weight[entries].tolist())
        if program.total[row] >= 0:
            counted -= program.share[row] * totals[program.total[row]]
        problem += counted <= program.cap[row]
    return problem


def optimum(problem: pulp.LpProblem, solver: pulp.LpSolver) -> float:
    """Solve ``problem``.

    :raises RuntimeError: the solver did not find it optimal.
    """
    problem.solve(solver)
    if problem.sol_status != pulp.LpSolutionOptimal:
        raise RuntimeError(pulp.LpStatus[problem.status])
    return float(pulp.value(problem.objective))


def _sum(variables: Sequence[pulp.LpVariable], weights: Iterable[float]) -> pulp.LpAffineExpression:
    return pulp.LpAffineExpression(list(zip(variables, weights, strict=True)))
