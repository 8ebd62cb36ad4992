"""The reference linear program: every pair a variable, every limit a row, solved through PuLP.

Slow and plain on purpose. A variable is the part of its most that a pair delivers, so coefficients are at most one;
what a reserve counts of a holding is another. A call's row is divided by its reach (what it asks, or all its pairs
can give, whichever is less), a reserve's likewise, every other row by its largest coefficient. What lies beyond the
reach is short whatever is done, and is added in fractions.

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
from tests.judges.row_by_row import Pair, Plan, exact, plan_of

RESERVES = "reserves"
Shortfalls = dict[float | str | None, float]
"""By priority of calls (None: calls without one), and under RESERVES, where a book has any, of all reserves."""


class JudgeFailedError(AssertionError):
    """The judge itself could not solve its program: nothing may be concluded."""


HALF_CENT = Fraction(1, 200)
SLACK = 1e-9
"""Room, in parts of the reach, that a level's least shortfall is given when later aims are pursued."""


@dataclass
class Demand:
    """What a call or a reserve asks, and the part of its reach that is missed."""

    required: Fraction
    reach: Fraction
    """What it asks, or all that could go there, whichever is less."""
    missed: pulp.LpVariable

    @property
    def beyond(self) -> Fraction:
        """Short whatever is done."""
        return self.required - self.reach


@dataclass
class Program:
    """One PuLP model with its parts by position: shares and their most by pair, demands by call and reserve."""

    model: pulp.LpProblem
    share: list[pulp.LpVariable]
    most: list[Fraction]
    calls: list[Demand]
    reserves: list[Demand]
    plan: Plan


def lp_optimum(book: BookTables | Plan) -> tuple[Shortfalls, float]:
    """Least shortfall by priority and of reserves (base currency), and then the least cost.

    Cover is an equality, collateral values plus shortfall = amount. Raises :class:`JudgeFailedError`.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    found = []
    for road in plan.roads:
        try:
            found.append(optimum_of(road))
        except JudgeFailedError:
            if road is plan:
                raise
    return min(found, key=lambda answer: (list(answer[0].values()), answer[1]))


def optimum_of(plan: Plan) -> tuple[Shortfalls, float]:
    """The optimum of one plan."""
    program = formulate(plan)
    shortfalls: Shortfalls = {}
    for level, calls in plan.levels:
        shortfalls[level] = miss_least(program, [program.calls[j] for j in calls])
    if program.reserves:
        shortfalls[RESERVES] = miss_least(program, program.reserves)
    return shortfalls, least_cost(program)


def miss_least(program: Program, demands: Sequence[Demand]) -> float:
    """The least that all these demands miss together, which later aims have to keep."""
    beyond = sum((demand.beyond for demand in demands), Fraction(0))
    total = sum((demand.reach for demand in demands), Fraction(0))
    least = 0.0
    if total:
        aim = pulp.lpSum(float(demand.reach / total) * demand.missed for demand in demands)
        least = max(0.0, minimise(program, aim))
        least = 0.0 if least < SLACK else least
        program.model += aim <= least + SLACK
    return float(beyond + exact(least) * total)


def lower_bound_given_shortfalls(
    book: BookTables | Plan,
    shortfalls: Mapping[str, float],
    excess: Mapping[str, float] | None = None,
    reserve_shortfalls: Mapping[str, float] | None = None,
) -> float:
    """Least cost when a call may be short by at most ``shortfalls[call_id]`` (base currency, absent: 0).

    ``reserve_shortfalls`` says the same by reserve_id. Shortfalls are those of a result's tables, to the cent:
    half a cent more is allowed where there is one.

    Cover lies between amount - shortfall and amount (plus ``excess[call_id]``, which an answer in whole lots
    may have and which lowers the bound where a cost is negative). Raises :class:`JudgeFailedError` where no
    answer is that little short.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    program = formulate(plan, [exact((excess or {}).get(name, 0.0)) for name in plan.call_ids])
    allow(program.calls, plan.call_ids, shortfalls)
    allow(program.reserves, plan.reserve_ids, reserve_shortfalls or {})
    return least_cost(program)


def allow(demands: Sequence[Demand], names: Sequence[str], shortfalls: Mapping[str, float]) -> None:
    """Let each demand miss what is stated, and a hair more."""
    for demand, name in zip(demands, names, strict=True):
        stated = exact(shortfalls.get(name, 0.0))
        allowed = stated + (HALF_CENT if stated else 0) - demand.beyond
        if demand.reach:
            demand.missed.upBound = min(1.0, max(0.0, float(allowed / demand.reach)) + SLACK)


def formulate(plan: Plan, excess: Sequence[Fraction] | None = None) -> Program:
    """Cover, supply, facilities, reserves and limits in scaled form, without an objective."""
    model = pulp.LpProblem("reference", pulp.LpMinimize)
    room = list(excess or [Fraction(0)] * len(plan.required))
    most = [most_of(plan, pair, room) for pair in plan.pairs]
    share = [pulp.LpVariable(f"x{e}", 0, 1) for e in range(len(plan.pairs))]
    calls = []
    for j, required in enumerate(plan.required):
        values = {e: most[e] * pair.value for e, pair in enumerate(plan.pairs) if pair.call == j and most[e]}
        calls.append(demand(model, f"cover{j}", required, values, share, room[j]))
    for h, supply in enumerate(plan.supply):
        used = {e: most[e] for e, p in enumerate(plan.pairs) if p.holding == h}
        at_most(model, f"supply{h}", used, share, supply)
    for r, row in enumerate(plan.rows):
        at_most(model, f"limit{r}", {e: w * most[e] for e, w in row.weights.items()}, share, row.room)
    produce(model, plan, share, most)
    reserves = keep_at_home(model, plan, share, most)
    return Program(model, share, most, calls, reserves, plan)


def most_of(plan: Plan, pair: Pair, room: Sequence[Fraction]) -> Fraction:
    """The most units that can be of use: what the source has, what the call asks, what the facility may produce.

    A facility that is given more than it may produce could be given less of everything at no more cost, and keep
    its limits; only a pair that earns by itself may fill it beyond.
    """
    has = plan.supply[pair.holding] if pair.holding >= 0 else plan.facilities[pair.producer].capacity / pair.unit_value
    if pair.call >= 0:
        return min(has, (plan.required[pair.call] + room[pair.call]) / pair.value)
    return has if pair.cost_bps < 0 else min(has, plan.facilities[pair.facility].capacity / pair.value)


def demand(
    model: pulp.LpProblem,
    name: str,
    required: Fraction,
    values: Mapping[int, Fraction],
    share: Sequence[pulp.LpVariable],
    room: Fraction,
) -> Demand:
    """values + missed = required, in parts of the reach; up to ``room`` more."""
    reach = min(required, sum(values.values(), Fraction(0)))
    missed = pulp.LpVariable(f"missed_{name}", 0, 1)
    if reach:
        over = pulp.LpVariable(f"over_{name}", 0, float(room / reach))
        covered = pulp.lpSum(float(value / reach) * share[e] for e, value in values.items())
        model += covered + missed - over == 1, name
    return Demand(required, reach, missed)


def at_most(
    model: pulp.LpProblem,
    name: str,
    weights: Mapping[int, Fraction],
    share: Sequence[pulp.LpVariable],
    room: Fraction,
) -> None:
    """weights * share <= room, divided by the largest weight."""
    size = max((abs(weight) for weight in weights.values()), default=Fraction(0))
    if size:
        used = pulp.lpSum(float(weight / size) * share[e] for e, weight in weights.items() if weight)
        model += used <= float(room / size), name


def produce(model: pulp.LpProblem, plan: Plan, share: Sequence[pulp.LpVariable], most: Sequence[Fraction]) -> None:
    """What is spent from a facility <= its capacity, and <= the collateral value of what it was given."""
    for f, facility in enumerate(plan.facilities):
        spent = {e: most[e] * p.unit_value for e, p in enumerate(plan.pairs) if p.producer == f}
        at_most(model, f"capacity{f}", spent, share, facility.capacity)
        if facility.takes:
            given = {e: -most[e] * p.value for e, p in enumerate(plan.pairs) if p.facility == f}
            at_most(model, f"convert{f}", spent | given, share, Fraction(0))


def keep_at_home(
    model: pulp.LpProblem, plan: Plan, share: Sequence[pulp.LpVariable], most: Sequence[Fraction]
) -> list[Demand]:
    """Each reserve counts, for itself, parts of what does not leave the holdings, within its limits."""
    counted = [pulp.LpVariable(f"y{k}", 0, 1) for k in range(len(plan.counts))]
    upper = [min(plan.supply[p.holding], plan.reserved[p.reserve] / p.value) for p in plan.counts]
    for k, pair in enumerate(plan.counts):
        supply = plan.supply[pair.holding]
        leaving = [e for e, p in enumerate(plan.pairs) if p.holding == pair.holding and most[e]]
        if supply and leaving:
            used = pulp.lpSum(float(most[e] / supply) * share[e] for e in leaving)
            model += used + float(upper[k] / supply) * counted[k] <= 1, f"left{k}"
    for r, row in enumerate(plan.count_rows):
        weights = {k: weight * upper[k] for k, weight in row.weights.items()}
        at_most(model, f"counted{r}", weights, counted, row.room)
    reserves = []
    for r, required in enumerate(plan.reserved):
        values = {k: upper[k] * p.value for k, p in enumerate(plan.counts) if p.reserve == r and upper[k]}
        reserves.append(demand(model, f"reserve{r}", required, values, counted, Fraction(0)))
    return reserves


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
    values = [program.most[e] * plan.line_cost(pair) for e, pair in enumerate(plan.pairs)]
    size = max((abs(value) for value in values), default=Fraction(0))
    if not size:
        minimise(program, pulp.lpSum([]))
        return 0.0
    aim = pulp.lpSum(float(value / size) * program.share[e] for e, value in enumerate(values) if value)
    return minimise(program, aim) * float(size)
