"""The exact optimum in whole lots, for books of a handful of pairs: the contract as a small integer program.

Aims in order: shortfall by priority, then cost. Every line is a whole number of lots and at least the
minimum denomination, and the excess of a call stays below one lot of each of its lines (a line that stands
at its minimum: below the whole line). The solver's whole numbers are checked again in fractions; what does
not hold exactly is not an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pulp

from tests.judges.books import BookTables
from tests.judges.reference_lp import JudgeFailedError
from tests.judges.row_by_row import Plan, plan_of

MOST_LOTS = 100_000
"""More lots than this in one line and the solver's tolerances are no longer those of whole numbers."""


@dataclass(frozen=True)
class LotOptimum:
    """The best answer in whole lots, exact; ``lines`` are quantities by (call_id, holding_id)."""

    shortfall_by_priority: dict[float | None, Fraction]
    shortfall_by_call: dict[str, Fraction]
    cost: Fraction
    lines: dict[tuple[str, str], Fraction]


class TooLargeError(ValueError):
    """The book has too many pairs or too fine lots for an exact answer, or facilities or reserves."""


def lot_optimum(book: BookTables | Plan, most_pairs: int = 16, time_limit: float = 20.0) -> LotOptimum:
    """The exact optimum in whole lots of a tiny book.

    Raises :class:`TooLargeError` for a book beyond ``most_pairs`` or :data:`MOST_LOTS`, and
    :class:`JudgeFailedError` where the solver does not finish or its answer does not hold in fractions.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    if plan.facilities or plan.reserved:
        raise TooLargeError("facilities and reserves are not judged in whole lots")
    if max(len(road.pairs) for road in plan.roads) > most_pairs:
        raise TooLargeError(f"{len(plan.pairs)} pairs, at most {most_pairs} are judged")
    found = []
    for road in plan.roads:
        try:
            found.append(optimum_of(road, time_limit))
        except JudgeFailedError:
            if road is plan:
                raise
    return min(found, key=lambda best: (list(best.shortfall_by_priority.values()), best.cost))


def optimum_of(plan: Plan, time_limit: float) -> LotOptimum:
    """The exact optimum of one plan."""
    program = LotProgram(plan, time_limit)
    aims = [[(j, plan.required[j]) for j in calls] for _, calls in plan.levels]
    for aim in aims:
        total = sum((required for _, required in aim), Fraction(0))
        expression = pulp.lpSum(float(required / total) * program.short[j] for j, required in aim)
        counts = program.minimise(expression)
        found = sum((program.shortfall(counts)[j] for j, _ in aim), Fraction(0))
        # Shortfalls of whole-lot answers are discrete: a little room lets this one through and no worse one.
        program.model += expression <= float(found / total) + 1e-8
    costs = [plan.line_cost(pair) * lot for pair, lot in zip(plan.pairs, program.lots, strict=True)]
    size = max((abs(cost) for cost in costs), default=Fraction(0)) or Fraction(1)
    aim = pulp.lpSum(float(c / size) * n for c, n in zip(costs, program.count, strict=True))
    counts = program.minimise(aim)
    return program.answer(counts, costs)


class LotProgram:
    """Counts of lots, lines that are open, and parts of calls that stay short."""

    def __init__(self, plan: Plan, time_limit: float) -> None:
        self.plan = plan
        self.time_limit = time_limit
        self.model = pulp.LpProblem("lots", pulp.LpMinimize)
        self.lots = [plan.lots[pair.asset] for pair in plan.pairs]
        self.least = [math.ceil(plan.least[p.asset] / lot) for p, lot in zip(plan.pairs, self.lots, strict=True)]
        self.most = [self.most_lots(e) for e in range(len(plan.pairs))]
        if max(self.most, default=0) > MOST_LOTS:
            raise TooLargeError(f"{max(self.most)} lots in one line, at most {MOST_LOTS} are judged")
        self.count = [pulp.LpVariable(f"n{e}", 0, most, "Integer") for e, most in enumerate(self.most)]
        self.open = [pulp.LpVariable(f"z{e}", 0, 1, "Binary") for e in range(len(plan.pairs))]
        self.short = [pulp.LpVariable(f"s{j}", 0, 1) for j in range(len(plan.required))]
        self.cover()
        self.lines()
        self.supply()
        self.limits()

    def most_lots(self, e: int) -> int:
        """No line can need more than the holding, or than the call and one lot (or the minimum) beyond."""
        pair, lot = self.plan.pairs[e], self.lots[e]
        by_need = math.ceil(self.plan.required[pair.call] / (pair.value * lot))
        most = min(math.floor(self.plan.supply[pair.holding] / lot), max(by_need, self.least[e]))
        return most if most >= self.least[e] else 0

    def lot_value(self, e: int) -> Fraction:
        return self.plan.pairs[e].value * self.lots[e]

    def cover(self) -> None:
        """1 <= covered + short, in parts of the call."""
        for j, required in enumerate(self.plan.required):
            self.model += self.covered(j) + self.short[j] >= 1, f"cover{j}"
            for e, pair in enumerate(self.plan.pairs):
                if pair.call == j:
                    self.excess(e, required)

    def covered(self, j: int) -> Any:
        required = self.plan.required[j]
        return pulp.lpSum(
            float(self.lot_value(e) / required) * self.count[e] for e, p in enumerate(self.plan.pairs) if p.call == j
        )

    def excess(self, e: int, required: Fraction) -> None:
        """covered - 1 < one lot of an open line; below the whole line where it stands at its minimum."""
        j, lot = self.plan.pairs[e].call, self.lot_value(e) / required
        inside = sum(
            (self.most[k] * self.lot_value(k) / required for k, p in enumerate(self.plan.pairs) if p.call == j),
            Fraction(0),
        )
        hair = lot / 10**6
        at_least = max(self.least[e], 1)
        if at_least == 1:
            self.model += self.covered(j) - 1 <= float(lot - hair) + float(inside) * (1 - self.open[e])
            return
        above = pulp.LpVariable(f"above{e}", 0, 1, "Binary")  # the line stands above its minimum
        self.model += self.count[e] <= at_least + (self.most[e] - at_least) * above
        self.model += self.count[e] >= (at_least + 1) * above
        self.model += self.covered(j) - 1 <= float(lot - hair) + float(inside) * (1 - above)
        whole = at_least * lot
        self.model += self.covered(j) - 1 <= float(whole - hair) + float(inside) * (1 - self.open[e])

    def lines(self) -> None:
        """A line is nothing, or at least the minimum denomination."""
        for e, count in enumerate(self.count):
            self.model += count <= self.most[e] * self.open[e]
            self.model += count >= max(self.least[e], 1) * self.open[e]

    def supply(self) -> None:
        for h, supply in enumerate(self.plan.supply):
            used = [
                float(self.lots[e] / supply) * self.count[e]
                for e, p in enumerate(self.plan.pairs)
                if p.holding == h and self.most[e]
            ]
            if used:
                self.model += pulp.lpSum(used) <= 1

    def limits(self) -> None:
        for row in self.plan.rows:
            weights = {e: w * self.lots[e] for e, w in row.weights.items()}
            size = max(abs(w) for w in weights.values())
            used = [float(w / size) * self.count[e] for e, w in weights.items()]
            self.model += pulp.lpSum(used) <= float(row.room / size)

    # --- answers

    def minimise(self, aim: Any) -> list[int]:
        """Whole numbers of lots at the optimum of one aim, verified in fractions."""
        self.model.setObjective(aim)
        solver = pulp.HiGHS(
            msg=False,
            threads=1,
            gapRel=0.0,
            gapAbs=0.0,
            timeLimit=self.time_limit,
            mip_feasibility_tolerance=1e-9,
            primal_feasibility_tolerance=1e-9,
        )
        self.model.solve(solver)
        if self.model.sol_status != pulp.LpSolutionOptimal:
            raise JudgeFailedError(f"the lot solver says {pulp.LpStatus[self.model.status]}")
        counts = [round(n.varValue or 0.0) for n in self.count]
        self.verify(counts)
        return counts

    def shortfall(self, counts: list[int]) -> list[Fraction]:
        """By call, exact."""
        return [max(Fraction(0), required - self.value(counts, j)) for j, required in enumerate(self.plan.required)]

    def value(self, counts: list[int], j: int) -> Fraction:
        return sum((self.lot_value(e) * counts[e] for e, p in enumerate(self.plan.pairs) if p.call == j), Fraction(0))

    def verify(self, counts: list[int]) -> None:
        """Supply, limits, minimum lines and the excess rule in fractions."""
        quantities = [n * lot for n, lot in zip(counts, self.lots, strict=True)]
        for h, supply in enumerate(self.plan.supply):
            if (
                sum(
                    (q for q, p in zip(quantities, self.plan.pairs, strict=True) if p.holding == h),
                    Fraction(0),
                )
                > supply
            ):
                raise JudgeFailedError(f"the lot solver takes too much of {self.plan.holding_ids[h]}")
        for row in self.plan.rows:
            if sum((w * quantities[e] for e, w in row.weights.items()), Fraction(0)) > row.room:
                raise JudgeFailedError(f"the lot solver breaks {row.name}")
        for e, pair in enumerate(self.plan.pairs):
            excess = self.value(counts, pair.call) - self.plan.required[pair.call]
            if counts[e] == 0:
                continue
            above = counts[e] > max(self.least[e], 1)
            step = self.lot_value(e) * (1 if above else counts[e])
            if counts[e] < self.least[e] or excess >= step:
                raise JudgeFailedError(f"the lot solver's line {e} is too small or has a lot to spare")

    def answer(self, counts: list[int], costs: list[Fraction]) -> LotOptimum:
        plan, shortfall = self.plan, self.shortfall(counts)
        return LotOptimum(
            shortfall_by_priority={
                level: sum((shortfall[j] for j in calls), Fraction(0)) for level, calls in plan.levels
            },
            shortfall_by_call=dict(zip(plan.call_ids, shortfall, strict=True)),
            cost=sum((n * cost for n, cost in zip(counts, costs, strict=True)), Fraction(0)),
            lines={
                (plan.call_ids[p.call], plan.holding_ids[p.holding]): counts[e] * self.lots[e]
                for e, p in enumerate(plan.pairs)
                if counts[e]
            },
        )
