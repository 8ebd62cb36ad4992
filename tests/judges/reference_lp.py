"""The reference linear program: every pair a variable, every limit a row, solved through PuLP.

Slow and plain on purpose. A variable is the part of its most that a pair delivers, so coefficients are at
most one. A call's row is divided by its reach (what it asks, or all its pairs can give, whichever is less),
every other row by its largest coefficient. What lies beyond the reach is short whatever is done, and is
added in fractions.

The program is built in fractions and solved in floats with tolerances of 1e-10: a shortfall is good to
about 1e-9 of the reach of all calls of its priority, the cost to about 1e-8 of that reach times the largest
cost per unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pulp

from tests.judges.books import BookTables
from tests.judges.row_by_row import Plan, exact, plan_of

Shortfalls = dict[float | None, float]


class JudgeFailedError(AssertionError):
    """The judge itself could not solve its program: nothing may be concluded."""


HALF_CENT = Fraction(1, 200)
SLACK = 1e-9
"""Room, in parts of the reach, that a level's least shortfall is given when later aims are pursued."""


@dataclass
class Program:
    """One PuLP model with its parts by position: shares by pair, missed parts of the reach by call."""

    model: pulp.LpProblem
    share: list[pulp.LpVariable]
    most: list[Fraction]
    missed: list[pulp.LpVariable]
    reach: list[Fraction]
    plan: Plan


def lp_optimum(book: BookTables | Plan) -> tuple[Shortfalls, float]:
    """Least shortfall by priority (base currency; None: calls without one), and then the least cost.

    Cover is an equality, collateral values plus shortfall = amount. Raises :class:`JudgeFailedError`.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    program = formulate(plan)
    shortfalls: Shortfalls = {}
    for level, calls in plan.levels:
        beyond = sum((plan.required[j] - program.reach[j] for j in calls), Fraction(0))
        total = sum((program.reach[j] for j in calls), Fraction(0))
        least = 0.0
        if total:
            aim = pulp.lpSum(float(program.reach[j] / total) * program.missed[j] for j in calls)
            least = max(0.0, minimise(program, aim))
            least = 0.0 if least < SLACK else least
            program.model += aim <= least + SLACK
        shortfalls[level] = float(beyond + exact(least) * total)
    return shortfalls, least_cost(program)


def lower_bound_given_shortfalls(
    book: BookTables | Plan, shortfalls: Mapping[str, float], excess: Mapping[str, float] | None = None
) -> float:
    """Least cost when a call may be short by at most ``shortfalls[call_id]`` (base currency, absent: 0).

    Shortfalls are those of a result's table, to the cent: half a cent more is allowed where there is one.

    Cover lies between amount - shortfall and amount (plus ``excess[call_id]``, which an answer in whole lots
    may have and which lowers the bound where a cost is negative). Raises :class:`JudgeFailedError` where no
    answer is that little short.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    program = formulate(plan, [exact((excess or {}).get(name, 0.0)) for name in plan.call_ids])
    for j, name in enumerate(plan.call_ids):
        beyond = plan.required[j] - program.reach[j]
        stated = exact(shortfalls.get(name, 0.0))
        allowed = stated + (HALF_CENT if stated else 0) - beyond
        if not program.reach[j]:
            continue
        program.missed[j].upBound = min(1.0, max(0.0, float(allowed / program.reach[j])) + SLACK)
    return least_cost(program)


def formulate(plan: Plan, excess: Sequence[Fraction] | None = None) -> Program:
    """Cover, supply and limits in scaled form, without an objective."""
    model = pulp.LpProblem("reference", pulp.LpMinimize)
    room = list(excess or [Fraction(0)] * len(plan.required))
    most = [min(plan.supply[p.holding], (plan.required[p.call] + room[p.call]) / p.value) for p in plan.pairs]
    share = [pulp.LpVariable(f"x{e}", 0, 1) for e in range(len(plan.pairs))]
    missed = [pulp.LpVariable(f"s{j}", 0, 1) for j in range(len(plan.required))]
    reach = []
    for j, required in enumerate(plan.required):
        values = {e: most[e] * pair.value for e, pair in enumerate(plan.pairs) if pair.call == j and most[e]}
        within = min(required, sum(values.values(), Fraction(0)))
        reach.append(within)
        if within:
            over = pulp.LpVariable(f"over{j}", 0, float(room[j] / within))
            covered = pulp.lpSum(float(value / within) * share[e] for e, value in values.items())
            model += covered + missed[j] - over == 1, f"cover{j}"
    for h, supply in enumerate(plan.supply):
        used = [float(most[e] / supply) * share[e] for e, p in enumerate(plan.pairs) if p.holding == h and most[e]]
        if used:
            model += pulp.lpSum(used) <= 1, f"supply{h}"
    for r, row in enumerate(plan.rows):
        weights = {e: w * most[e] for e, w in row.weights.items()}
        size = max((abs(w) for w in weights.values()), default=Fraction(0))
        if size:
            used = [float(w / size) * share[e] for e, w in weights.items()]
            model += pulp.lpSum(used) <= float(row.room / size), f"limit{r}"
    return Program(model, share, most, missed, reach, plan)


def minimise(program: Program, aim: Any) -> float:
    """Solve for one aim; its least value."""
    program.model.setObjective(aim)
    solver = pulp.HiGHS(msg=False, threads=1, primal_feasibility_tolerance=1e-10, dual_feasibility_tolerance=1e-10)
    program.model.solve(solver)
    if program.model.sol_status != pulp.LpSolutionOptimal:
        raise JudgeFailedError(f"the reference solver says {pulp.LpStatus[program.model.status]}")
    return float(pulp.value(aim) or 0.0)


def least_cost(program: Program) -> float:
    """The least cost in base currency with the shortfalls as they are bounded."""
    plan = program.plan
    values = [program.most[e] * pair.unit_value * pair.cost_bps for e, pair in enumerate(plan.pairs)]
    size = max((abs(value) for value in values), default=Fraction(0))
    if not size:
        minimise(program, pulp.lpSum([]))
        return 0.0
    aim = pulp.lpSum(float(value / size) * program.share[e] for e, value in enumerate(values) if value)
    return minimise(program, aim) * float(size / 10**4 * plan.year_share)
