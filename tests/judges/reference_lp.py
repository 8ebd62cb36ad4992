"""The reference linear program: every pair a variable, every limit a row, solved through PuLP.

Slow and plain on purpose. A variable is the part of its most that a pair delivers, so coefficients are at most one;
what a reserve counts of a holding is another, and in scope ``reoptimise`` the part of a posted row that is recalled.
A call's row is divided by its reach (what it asks, or all its pairs can give, whichever is less), a reserve's and an
agreement's likewise, every other row by its largest coefficient. What lies beyond the reach is short whatever is done,
and is added in fractions.

The program knows no lots, no least lines and no movements: movement costs, ``max_lines`` and ``max_moves`` are left
out, so that where they matter its cost is a lower bound only. Pins hold in it as bounds, and calls may be covered
beyond their amount as far as pins alone go beyond it.

The program is built in fractions and solved in floats with tolerances of 1e-10: a shortfall is good to
about 1e-9 of the reach of all calls of its priority, the cost to about 1e-8 of that reach times the largest
cost per unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import pulp

from tests.judges.books import BookTables
from tests.judges.plan import Need, Pair, Pin, Plan, exact
from tests.judges.row_by_row import plan_of

T = TypeVar("T")
Term = tuple[Fraction, pulp.LpVariable]
"""What one unit of a variable weighs in a row, and the variable."""
RESERVES = "reserves"
Shortfalls = dict[float | str | None, float]
"""By priority of calls (None: calls without one, and agreements); under RESERVES, where a book has any, of reserves."""


class JudgeFailedError(AssertionError):
    """The judge itself could not solve its program: nothing may be concluded."""


class ImpossibleError(JudgeFailedError):
    """No answer keeps all that is asked; of one road, where a book has two."""


HALF_CENT = Fraction(1, 200)
SLACK = 1e-9
"""Room, in parts of the reach, that a level's least shortfall is given when later aims are pursued."""


@dataclass
class Demand:
    """What a call, an agreement or a reserve asks, and the part of its reach that is missed."""

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
    """One PuLP model with its parts by position: shares and their most by pair, the part recalled by row of what lies
    there (None: locked), demands by call, agreement and reserve."""

    model: pulp.LpProblem
    share: list[pulp.LpVariable]
    most: list[Fraction]
    recalled: list[pulp.LpVariable | None]
    calls: list[Demand]
    needs: list[Demand]
    reserves: list[Demand]
    plan: Plan


def lp_optimum(book: BookTables | Plan) -> tuple[Shortfalls, float]:
    """Least shortfall by priority and of reserves (base currency), and then the least cost.

    Cover is an equality, collateral values plus shortfall = amount, but where pins go beyond it; what an agreement
    keeps and gets lies between what it requires and that or what was posted, whichever is more.
    Raises :class:`JudgeFailedError`, and :class:`ImpossibleError` where pins cannot hold.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    return min(by_road(plan, optimum_of), key=lambda answer: (list(answer[0].values()), answer[1]))


def by_road(plan: Plan, solve: Callable[[Plan], T]) -> list[T]:
    """The answers of the roads that lead somewhere; raises :class:`JudgeFailedError` where none does."""
    found, failed = [], []
    for road in plan.roads:
        try:
            found.append(solve(road))
        except JudgeFailedError as error:
            if road is plan and not isinstance(error, ImpossibleError):
                raise
            failed.append(error)
    if not found:
        raise failed[-1]
    return found


def optimum_of(plan: Plan) -> tuple[Shortfalls, float]:
    """The optimum of one plan."""
    program = formulate(plan)
    shortfalls: Shortfalls = {}
    for level, calls, needs in plan.levels:
        demands = [program.calls[j] for j in calls] + [program.needs[k] for k in needs]
        shortfalls[level] = miss_least(program, demands)
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
    agreement_shortfalls: Mapping[str, float] | None = None,
    agreement_excess: Mapping[str, float] | None = None,
) -> float:
    """Least cost when a call may be short by at most ``shortfalls[call_id]`` (base currency, absent: 0).

    ``reserve_shortfalls`` says the same by reserve_id, ``agreement_shortfalls`` by agreement_id. Shortfalls are those
    of a result's tables, to the cent: half a cent more is allowed where there is one.

    Cover lies between amount - shortfall and amount (plus ``excess[call_id]``, which an answer in whole lots
    may have and which lowers the bound where a cost is negative); what an agreement keeps and gets likewise, up to
    ``agreement_excess[agreement_id]`` above what it requires. Raises :class:`JudgeFailedError` where no answer is that
    little short.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)

    def least_of(road: Plan) -> float:
        room = [exact((excess or {}).get(name, 0.0)) for name in road.call_ids]
        names = [need.agreement_id for need in road.needs]
        program = formulate(road, room, [exact((agreement_excess or {}).get(name, 0.0)) for name in names])
        allow(program.calls, road.call_ids, shortfalls)
        allow(program.needs, names, agreement_shortfalls or {})
        allow(program.reserves, road.reserve_ids, reserve_shortfalls or {})
        return least_cost(program)

    return min(by_road(plan, least_of))


def allow(demands: Sequence[Demand], names: Sequence[str], shortfalls: Mapping[str, float]) -> None:
    """Let each demand miss what is stated, and a hair more."""
    for demand, name in zip(demands, names, strict=True):
        stated = exact(shortfalls.get(name, 0.0))
        allowed = stated + (HALF_CENT if stated else 0) - demand.beyond
        if allowed < -HALF_CENT:
            raise ImpossibleError(f"{name} is short by {float(demand.beyond):.2f} whatever is done")
        if demand.reach:
            demand.missed.upBound = min(1.0, max(0.0, float(allowed / demand.reach)) + SLACK)


def formulate(
    plan: Plan, excess: Sequence[Fraction] | None = None, need_excess: Sequence[Fraction] | None = None
) -> Program:
    """Cover, supply, recalls, pins, facilities, reserves and limits in scaled form, without an objective."""
    model = pulp.LpProblem("reference", pulp.LpMinimize)
    room = list(excess or [Fraction(0)] * len(plan.required))
    room = [max(more, plan.forced(j) - plan.required[j]) for j, more in enumerate(room)]
    extra = need_excess or [Fraction(0)] * len(plan.needs)
    tops = [max(need.most, need.required + more) for need, more in zip(plan.needs, extra, strict=True)]
    most = [most_of(plan, pair, room, tops) for pair in plan.pairs]
    share = [pulp.LpVariable(f"x{e}", 0, 1) for e in range(len(plan.pairs))]
    recalled = [None if row.locked else pulp.LpVariable(f"r{p}", 0, 1) for p, row in enumerate(plan.lying)]
    calls = []
    for j, required in enumerate(plan.required):
        values = {e: most[e] * pair.value for e, pair in enumerate(plan.pairs) if pair.call == j and most[e]}
        calls.append(demand(model, f"cover{j}", required, values, share, room[j]))
    for h, supply in enumerate(plan.supply):
        used = {e: most[e] for e, p in enumerate(plan.pairs) if p.holding == h and p.posted < 0}
        at_most(model, f"supply{h}", terms(used, share), supply)
    for p, lying in enumerate(plan.lying):
        used = {e: most[e] for e, pair in enumerate(plan.pairs) if pair.posted == p}
        if used:
            at_most(model, f"back{p}", [*terms(used, share), (-lying.quantity, recalled[p])], Fraction(0))
    for r, row in enumerate(plan.rows):
        back = [(w * plan.lying[p].quantity, recalled[p]) for p, w in row.recalled.items()]
        at_most(model, f"limit{r}", terms({e: w * most[e] for e, w in row.weights.items()}, share) + back, row.room)
    for i, pin in enumerate(plan.pins):
        hold(model, f"pin{i}", plan, pin, share, most)
    produce(model, plan, share, most)
    program = Program(model, share, most, recalled, calls, [], [], plan)
    program.needs = [stay(program, k, need, tops[k]) for k, need in enumerate(plan.needs)]
    program.reserves = keep_at_home(program)
    return program


def most_of(plan: Plan, pair: Pair, room: Sequence[Fraction], tops: Sequence[Fraction]) -> Fraction:
    """The most units that can be of use: what the source has, what the place asks, what the facility may produce.

    A facility that is given more than it may produce could be given less of everything at no more cost, and keep
    its limits; only a pair that earns by itself may fill it beyond.
    """
    if pair.posted >= 0:
        has = plan.lying[pair.posted].quantity
    elif pair.holding >= 0:
        has = plan.supply[pair.holding]
    else:
        has = plan.facilities[pair.producer].capacity / pair.unit_value
    if pair.call >= 0:
        return min(has, (plan.required[pair.call] + room[pair.call]) / pair.value)
    if pair.need >= 0:
        return min(has, tops[pair.need] / pair.value)
    return has if pair.cost_bps < 0 else min(has, plan.facilities[pair.facility].capacity / pair.value)


def terms(weights: Mapping[int, Fraction], variables: Sequence[pulp.LpVariable]) -> list[Term]:
    return [(weight, variables[at]) for at, weight in weights.items()]


def hold(
    model: pulp.LpProblem,
    name: str,
    plan: Plan,
    pin: Pin,
    share: Sequence[pulp.LpVariable],
    most: Sequence[Fraction],
) -> None:
    """The pinned line is what it must be; raises :class:`ImpossibleError` where nothing could feed it."""
    line = plan.line(pin)
    if not line:
        raise ImpossibleError(f"{plan.call_ids[pin.call]} cannot take {plan.holding_ids[pin.holding]}")
    pinned = plan.pinned(pin, plan.pairs[line[0]])
    used = pulp.lpSum(float(most[e] / pinned) * share[e] for e in line)
    model += (used >= 1 if pin.quantity is None else used == 1), name


def stay(program: Program, k: int, need: Need, top: Fraction) -> Demand:
    """required <= what is kept and what comes in its place, with what is missed; and <= ``top``."""
    plan = program.plan
    coming = {e: program.most[e] * p.value for e, p in enumerate(plan.pairs) if p.need == k and program.most[e]}
    going = {p: row.quantity * row.value for p, row in enumerate(plan.lying) if row.need == k and not row.locked}
    values = terms(coming, program.share) + [(-value, program.recalled[p]) for p, value in going.items()]
    reach = min(need.required, need.posted + sum(coming.values(), Fraction(0)))
    missed = pulp.LpVariable(f"missed_need{k}", 0, 1)
    if reach:
        covered = pulp.lpSum(float(value / reach) * variable for value, variable in values)
        program.model += covered + missed >= float(1 - need.posted / reach), f"need{k}"
    at_most(program.model, f"top{k}", values, top - need.posted)
    return Demand(need.required, reach, missed)


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


def at_most(model: pulp.LpProblem, name: str, weighted: Sequence[Term], room: Fraction) -> None:
    """sum of weight * variable <= room, divided by the largest weight."""
    size = max((abs(weight) for weight, _ in weighted), default=Fraction(0))
    if size:
        used = pulp.lpSum(float(weight / size) * variable for weight, variable in weighted if weight)
        model += used <= float(room / size), name


def produce(model: pulp.LpProblem, plan: Plan, share: Sequence[pulp.LpVariable], most: Sequence[Fraction]) -> None:
    """What is spent from a facility <= its capacity, and <= the collateral value of what it was given."""
    for f, facility in enumerate(plan.facilities):
        spent = {e: most[e] * p.unit_value for e, p in enumerate(plan.pairs) if p.producer == f}
        at_most(model, f"capacity{f}", terms(spent, share), facility.capacity)
        if facility.takes:
            given = {e: -most[e] * p.value for e, p in enumerate(plan.pairs) if p.facility == f}
            at_most(model, f"convert{f}", terms(spent | given, share), Fraction(0))


def keep_at_home(program: Program) -> list[Demand]:
    """Each reserve counts, for itself, parts of what does not leave the holdings, within its limits."""
    plan, model, share, most = program.plan, program.model, program.share, program.most
    counted = [pulp.LpVariable(f"y{k}", 0, 1) for k in range(len(plan.counts))]
    back = [
        [p for p, row in enumerate(plan.lying) if row.holding == h and not row.locked] for h in range(len(plan.supply))
    ]
    stock = [had + sum((plan.lying[p].quantity for p in back[h]), Fraction(0)) for h, had in enumerate(plan.supply)]
    upper = [min(stock[p.holding], plan.reserved[p.reserve] / p.value) for p in plan.counts]
    for k, pair in enumerate(plan.counts):
        used = terms({e: most[e] for e, p in enumerate(plan.pairs) if p.holding == pair.holding}, share)
        used += [(-plan.lying[p].quantity, program.recalled[p]) for p in back[pair.holding]]
        at_most(model, f"left{k}", [*used, (upper[k], counted[k])], plan.supply[pair.holding])
    for r, row in enumerate(plan.count_rows):
        weights = {k: weight * upper[k] for k, weight in row.weights.items()}
        at_most(model, f"counted{r}", terms(weights, counted), row.room)
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
    if program.model.sol_status == pulp.LpSolutionInfeasible:
        raise ImpossibleError("no answer keeps all that is asked")
    if program.model.sol_status != pulp.LpSolutionOptimal:
        raise JudgeFailedError(f"the reference solver says {pulp.LpStatus[program.model.status]}")
    return float(pulp.value(aim) or 0.0)


def least_cost(program: Program) -> float:
    """The least cost in base currency with the shortfalls as they are bounded."""
    plan = program.plan
    values = terms({e: program.most[e] * plan.line_cost(pair) for e, pair in enumerate(plan.pairs)}, program.share)
    kept = [row.quantity * plan.keep_cost(row) for row in plan.lying]
    values += [(-kept[p], variable) for p, variable in enumerate(program.recalled) if variable is not None]
    size = max((abs(value) for value, _ in values), default=Fraction(0))
    if not size:
        minimise(program, pulp.lpSum([]))
        return float(sum(kept))
    aim = pulp.lpSum(float(value / size) * variable for value, variable in values if value)
    return minimise(program, aim) * float(size) + float(sum(kept))
