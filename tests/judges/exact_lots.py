"""The exact optimum in whole lots, for books of a handful of pairs: the contract as a small integer program.

Aims in order: shortfall by priority, then cost, movements and what is kept included. A line is one source of one
place, a holding with all that is recalled into it; it is nothing or a whole number of lots, at least the minimum
denomination and the agreement's least line. The excess of a call stays below one lot of each of its lines (a line that
stands at its minimum: below the whole line; a pinned line cannot shrink below its pin, and one pinned to a quantity
not at all). What replaces posted collateral stays below one lot, or the least line, of the largest of these lines. A
posted row is recalled in whole lots or wholly. The solver's whole numbers are checked again in fractions; what does
not hold exactly is not an answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import pulp

from tests.judges.books import BookTables
from tests.judges.plan import Pair, Plan
from tests.judges.reference_lp import ImpossibleError, JudgeFailedError, by_road
from tests.judges.row_by_row import plan_of

MOST_LOTS = 100_000
"""More lots than this in one line and the solver's tolerances are no longer those of whole numbers."""
HAIR = 10**6
"""Strictly less than a lot: by this part of it."""


@dataclass(frozen=True)
class LotOptimum:
    """The best answer in whole lots, exact; ``lines`` are quantities by (call_id, holding_id).

    In scope ``reoptimise`` ``replacements`` are quantities by (agreement_id, holding_id), and ``recalled`` and ``kept``
    by (agreement_id, asset_id, holding_id or empty). Agreements are short with the calls that have no priority.
    """

    shortfall_by_priority: dict[float | None, Fraction]
    shortfall_by_call: dict[str, Fraction]
    cost: Fraction
    lines: dict[tuple[str, str], Fraction]
    shortfall_by_agreement: dict[str, Fraction] = field(default_factory=dict)
    replacements: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    recalled: dict[tuple[str, str, str], Fraction] = field(default_factory=dict)
    kept: dict[tuple[str, str, str], Fraction] = field(default_factory=dict)


class TooLargeError(ValueError):
    """The book has too many lines or too fine lots for an exact answer, or facilities or reserves."""


def lot_optimum(book: BookTables | Plan, most_pairs: int = 16, time_limit: float = 20.0) -> LotOptimum:
    """The exact optimum in whole lots of a tiny book; where ``Plan.shares``, of answers without an excess they force.

    ``most_pairs`` counts lines and posted rows that may be recalled. Raises :class:`TooLargeError` for a book beyond
    it or :data:`MOST_LOTS`, ``ImpossibleError`` where pins cannot hold, and :class:`JudgeFailedError` where the solver
    does not finish or its answer does not hold in fractions.
    """
    plan = book if isinstance(book, Plan) else plan_of(book)
    if plan.facilities or plan.reserved:
        raise TooLargeError("facilities and reserves are not judged in whole lots")
    size = max(len(lines_of(road)) for road in plan.roads) + sum(not row.locked for row in plan.lying)
    if size > most_pairs:
        raise TooLargeError(f"{size} lines and posted rows, at most {most_pairs} are judged")
    answers = by_road(plan, partial(optimum_of, time_limit=time_limit))
    return min(answers, key=lambda best: (list(best.shortfall_by_priority.values()), best.cost))


def optimum_of(plan: Plan, time_limit: float) -> LotOptimum:
    """The exact optimum of one plan."""
    program = LotProgram(plan, time_limit)
    for _, calls, needs in plan.levels:
        aim = [(f"call{j}", plan.required[j]) for j in calls] + [(f"need{k}", plan.needs[k].required) for k in needs]
        total = sum((required for _, required in aim), Fraction(0))
        if not total:
            continue
        expression = pulp.lpSum(float(required / total) * program.short[name] for name, required in aim if required)
        answer = program.minimise(expression)
        found = sum((answer.shortfall(name) for name, _ in aim), Fraction(0))
        # Shortfalls of whole-lot answers are discrete: a little room lets this one through and no worse one.
        program.model += expression <= float(found / total) + 1e-8
    return program.minimise(program.cost()).optimum()


@dataclass(frozen=True)
class Line:
    """One holding, with what is recalled into it, into one place; its pairs by position."""

    place: str
    """``call`` or ``need`` with its position."""
    pair: Pair
    """One of its pairs: all have the same factor and cost."""
    pairs: tuple[int, ...]


def lines_of(plan: Plan) -> list[Line]:
    found: dict[tuple[int, int, int], list[int]] = {}
    for e, pair in enumerate(plan.pairs):
        found.setdefault((pair.call, pair.need, pair.holding), []).append(e)
    return [
        Line(f"call{call}" if call >= 0 else f"need{need}", plan.pairs[pairs[0]], tuple(pairs))
        for (call, need, _), pairs in found.items()
    ]


class LotProgram:
    """Counts of lots, lines that are open, parts of rows that are recalled, and parts of places that stay short."""

    def __init__(self, plan: Plan, time_limit: float) -> None:
        self.plan = plan
        self.time_limit = time_limit
        self.model = pulp.LpProblem("lots", pulp.LpMinimize)
        self.lines = lines_of(plan)
        self.places = {f"call{j}": required for j, required in enumerate(plan.required)}
        self.places |= {f"need{k}": need.required for k, need in enumerate(plan.needs)}
        self.lots = [plan.lots[line.pair.asset] for line in self.lines]
        self.least = [plan.least_lots(line.pair) for line in self.lines]
        self.pins = [self.pin_of(line) for line in self.lines]
        self.most = [self.most_lots(at) for at in range(len(self.lines))]
        if max(self.most, default=0) > MOST_LOTS:
            raise TooLargeError(f"{max(self.most)} lots in one line, at most {MOST_LOTS} are judged")
        self.count = [pulp.LpVariable(f"n{at}", 0, most, "Integer") for at, most in enumerate(self.most)]
        self.open = [pulp.LpVariable(f"z{at}", 0, 1, "Binary") for at in range(len(self.lines))]
        self.short = {name: pulp.LpVariable(f"s_{name}", 0, 1) for name, required in self.places.items() if required}
        self.recalls = [Recall(self.model, p, plan) for p in range(len(plan.lying))]
        groups = sorted({self.group(p) for p in range(len(plan.lying))})
        self.returns = {group: pulp.LpVariable(f"y{at}", 0, 1, "Binary") for at, group in enumerate(groups)}
        self.used = self.quantities()
        self.cover()
        self.calls()
        self.stays()
        self.line_sizes()
        self.supply()
        self.limits()
        self.moves()

    # --- parts

    def group(self, p: int) -> tuple[int, int, int]:
        """Rows of one agreement, asset and holding come home in one movement."""
        row = self.plan.lying[p]
        return row.need, row.asset, row.holding

    def pin_of(self, line: Line) -> tuple[bool, Fraction | None]:
        """Whether the line is pinned, and to which quantity."""
        for pin in self.plan.pins:
            if (pin.call, pin.holding) == (line.pair.call, line.pair.holding):
                return True, pin.quantity
        return False, None

    def stock(self, line: Line) -> Fraction:
        """All that could ever feed a line."""
        pairs = [self.plan.pairs[e] for e in line.pairs]
        sources = [self.plan.supply[p.holding] if p.posted < 0 else self.plan.lying[p.posted].quantity for p in pairs]
        return sum(sources, Fraction(0))

    def most_lots(self, at: int) -> int:
        """No line can need more than it can be fed, or than its place and one lot (or the minimum) beyond."""
        line, lot = self.lines[at], self.lots[at]
        value = lot * line.pair.value
        if line.pair.call >= 0:
            need = self.plan.required[line.pair.call] / value
        else:
            beyond = (self.least[i] * self.lot_value(i) for i, x in enumerate(self.lines) if x.place == line.place)
            need = (self.plan.needs[line.pair.need].most + max(beyond)) / value
        pinned, quantity = self.pins[at]
        if pinned and quantity is not None:
            need = max(need, quantity / lot)
        most = min(math.floor(self.stock(line) / lot), max(math.ceil(need), self.least[at]))
        return most if most >= self.least[at] else 0

    def lot_value(self, at: int) -> Fraction:
        return self.lines[at].pair.value * self.lots[at]

    def quantities(self) -> dict[int, Any]:
        """What each pair brings, in lots: all of its line, or its share of it where more than one feeds it."""
        used: dict[int, Any] = {}
        for at, line in enumerate(self.lines):
            if len(line.pairs) == 1:
                used[line.pairs[0]] = self.count[at]
                continue
            shares = [pulp.LpVariable(f"q{e}", 0, self.most[at]) for e in line.pairs]
            self.model += pulp.lpSum(shares) == self.count[at]
            used |= dict(zip(line.pairs, shares, strict=True))
        return used

    def at(self, place: str) -> list[int]:
        """Lines into a place."""
        return [at for at, line in enumerate(self.lines) if line.place == place]

    # --- rows

    def cover(self) -> None:
        """1 <= covered + short, in parts of what is required."""
        for name, short in self.short.items():
            self.model += self.covered(name) + short >= 1, f"cover_{name}"

    def covered(self, name: str, size: Fraction | None = None) -> Any:
        """What a place gets and keeps, in parts of what it requires (or of ``size``)."""
        size = size or self.places[name]
        terms = [float(self.lot_value(at) / size) * self.count[at] for at in self.at(name)]
        kept = Fraction(0)
        for p, row in enumerate(self.plan.lying):
            if name == f"need{row.need}":
                kept += row.quantity * row.value
                terms += [float(-w * row.value / size) * variable for w, variable in self.recalls[p].parts]
        return pulp.lpSum(terms) + float(kept / size)

    def calls(self) -> None:
        """Excess below a lot of each line, distinct assets, and pins of every call."""
        for at, line in enumerate(self.lines):
            if line.pair.call >= 0:
                self.excess(at)
                self.pin(at)
        for i, pin in enumerate(self.plan.pins):
            if not self.plan.line(pin):
                raise ImpossibleError(f"nothing could feed pin {i}")
        for j, most in enumerate(self.plan.max_lines):
            assets = sorted({self.lines[at].pair.asset for at in self.at(f"call{j}")})
            if most is None or most >= len(assets):
                continue
            there = {asset: pulp.LpVariable(f"u{j}_{asset}", 0, 1, "Binary") for asset in assets}
            for at in self.at(f"call{j}"):
                self.model += self.open[at] <= there[self.lines[at].pair.asset]
            self.model += pulp.lpSum(there.values()) <= most

    def pin(self, at: int) -> None:
        pinned, quantity = self.pins[at]
        if pinned and quantity is None:
            self.model += self.open[at] == 1
        elif quantity is not None:
            if quantity % self.lots[at]:
                raise ImpossibleError(f"{quantity} is not a whole number of lots of {self.lots[at]}")
            self.model += self.count[at] == int(quantity / self.lots[at])

    def excess(self, at: int) -> None:
        """covered - 1 < one lot of an open line; below the whole line where it stands at its minimum."""
        pinned, quantity = self.pins[at]
        if quantity is not None:
            return
        name = self.lines[at].place
        required = self.places[name]
        lot = self.lot_value(at) / required
        inside = float(sum((self.most[k] * self.lot_value(k) / required for k in self.at(name)), Fraction(0)))
        at_least = self.least[at]
        above = self.open[at]
        if at_least > 1 or pinned:
            above = pulp.LpVariable(f"above{at}", 0, 1, "Binary")  # the line stands above its minimum
            self.model += self.count[at] <= at_least + max(0, self.most[at] - at_least) * above
            self.model += self.count[at] >= (at_least + 1) * above
        self.model += self.covered(name) - 1 <= float(lot - lot / HAIR) + inside * (1 - above)
        if at_least > 1 and not pinned:
            whole = at_least * lot
            self.model += self.covered(name) - 1 <= float(whole - lot / HAIR) + inside * (1 - self.open[at])

    def stays(self) -> None:
        """What is kept and what replaces it: no more than needed or posted, or less than a lot of the largest line."""
        for k, need in enumerate(self.plan.needs):
            lines = self.at(f"need{k}")
            size = max([need.most, *(self.lot_value(at) for at in lines)])
            if not size:
                continue
            largest = [pulp.LpVariable(f"largest{at}", 0, 1, "Binary") for at in lines]
            for at, one in zip(lines, largest, strict=True):
                self.model += one <= self.open[at]
            self.model += pulp.lpSum(largest) <= 1
            steps = [
                float(self.least[at] * self.lot_value(at) / size * (1 - Fraction(1, HAIR))) * one
                for at, one in zip(lines, largest, strict=True)
            ]
            self.model += self.covered(f"need{k}", size) <= float(need.most / size) + pulp.lpSum(steps)

    def line_sizes(self) -> None:
        """A line is nothing, or at least the minimum denomination and the least line."""
        for at, count in enumerate(self.count):
            self.model += count <= self.most[at] * self.open[at]
            self.model += count >= self.least[at] * self.open[at]

    def supply(self) -> None:
        """Each holding gives what it has, and each row no more than is recalled of it."""
        for h, supply in enumerate(self.plan.supply):
            pairs = [e for e, p in enumerate(self.plan.pairs) if p.holding == h and p.posted < 0]
            self.model += pulp.lpSum(self.taken(pairs, supply or Fraction(1))) <= (1 if supply else 0)
        for p, row in enumerate(self.plan.lying):
            pairs = [e for e, pair in enumerate(self.plan.pairs) if pair.posted == p]
            if pairs and row.quantity:
                back = pulp.lpSum(float(w / row.quantity) * variable for w, variable in self.recalls[p].parts)
                self.model += pulp.lpSum(self.taken(pairs, row.quantity)) <= back
            for e in pairs if not row.quantity else []:
                self.model += self.used[e] == 0

    def taken(self, pairs: Iterable[int], size: Fraction) -> list[Any]:
        return [float(self.plan.lots[self.plan.pairs[e].asset] / size) * self.used[e] for e in pairs]

    def limits(self) -> None:
        for row in self.plan.rows:
            parts = [(w * self.plan.lots[self.plan.pairs[e].asset], self.used[e]) for e, w in row.weights.items()]
            parts += [(w * part, variable) for p, w in row.recalled.items() for part, variable in self.recalls[p].parts]
            size = max((abs(w) for w, _ in parts), default=Fraction(0))
            if size:
                self.model += pulp.lpSum(float(w / size) * variable for w, variable in parts) <= float(row.room / size)

    def moves(self) -> None:
        """Recalls are movements; their number and that of lines is capped."""
        for p, recall in enumerate(self.recalls):
            for _, variable in recall.parts:
                self.model += variable <= recall.whole * self.returns[self.group(p)]
        if self.plan.max_moves is not None:
            self.model += pulp.lpSum([*self.open, *self.returns.values()]) <= self.plan.max_moves

    # --- answers

    def cost(self) -> Any:
        """What can be chosen of the cost, in parts of its largest coefficient."""
        plan = self.plan
        parts = [(plan.line_cost(x.pair) * lot, n) for x, lot, n in zip(self.lines, self.lots, self.count, strict=True)]
        for at, line in enumerate(self.lines):
            parts.append((plan.move_costs[line.pair.holding], self.open[at]))
        for p, row in enumerate(plan.lying):
            parts += [(-plan.keep_cost(row) * w, variable) for w, variable in self.recalls[p].parts]
        parts += [(self.return_cost(group), variable) for group, variable in self.returns.items()]
        size = max((abs(w) for w, _ in parts), default=Fraction(0)) or Fraction(1)
        return pulp.lpSum(float(w / size) * variable for w, variable in parts if w)

    def return_cost(self, group: tuple[int, int, int]) -> Fraction:
        return next(row.move_cost for p, row in enumerate(self.plan.lying) if self.group(p) == group)

    def minimise(self, aim: Any) -> Answer:
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
        if self.model.sol_status == pulp.LpSolutionInfeasible:
            raise ImpossibleError("no whole lots keep all that is asked")
        if self.model.sol_status != pulp.LpSolutionOptimal:
            raise JudgeFailedError(f"the lot solver says {pulp.LpStatus[self.model.status]}")
        answer = Answer(self)
        answer.verify()
        return answer


class Recall:
    """What is recalled of one row: ``parts`` are quantities and whole variables, whole lots and the odd rest."""

    def __init__(self, model: pulp.LpProblem, p: int, plan: Plan) -> None:
        row = plan.lying[p]
        self.parts: list[tuple[Fraction, Any]] = []
        lot = plan.lots[row.asset]
        self.whole = max(1, math.floor(row.quantity / lot))
        if row.locked or not row.quantity:
            return
        if self.whole > MOST_LOTS:
            raise TooLargeError(f"{self.whole} lots in one posted row, at most {MOST_LOTS} are judged")
        lots, rest = divmod(row.quantity, lot)
        count = pulp.LpVariable(f"m{p}", 0, int(lots), "Integer")
        self.parts.append((lot, count))
        if rest:
            odd = pulp.LpVariable(f"w{p}", 0, 1, "Binary")  # the row comes home wholly
            model += count >= int(lots) * odd
            self.parts.append((rest, odd))


class Answer:
    """One answer of a :class:`LotProgram`, read off its variables into fractions."""

    def __init__(self, program: LotProgram) -> None:
        self.program = program
        self.plan = program.plan
        self.counts = [round(n.varValue or 0.0) for n in program.count]
        self.back = [
            sum((w * round(variable.varValue or 0.0) for w, variable in recall.parts), Fraction(0))
            for recall in program.recalls
        ]
        self.taken = self.split()

    def quantity(self, at: int) -> Fraction:
        return self.counts[at] * self.program.lots[at]

    def split(self) -> dict[int, Fraction]:
        """By pair: what it brings to its line, in multiples of what all quantities are multiples of."""
        plan, taken = self.plan, {}
        grain = common([*plan.lots, *plan.supply, *(row.quantity for row in plan.lying)])
        for at, line in enumerate(self.program.lines):
            rest = self.quantity(at)
            for e in line.pairs[1:]:
                lots = self.program.used[e].varValue or 0.0
                taken[e] = round(Fraction(lots) * self.program.lots[at] / grain) * grain
                rest -= taken[e]
            taken[line.pairs[0]] = rest
        return taken

    def value(self, name: str) -> Fraction:
        """What a place gets and keeps."""
        got = (self.quantity(at) * self.program.lines[at].pair.value for at in self.program.at(name))
        kept = (
            (row.quantity - self.back[p]) * row.value
            for p, row in enumerate(self.plan.lying)
            if name == f"need{row.need}"
        )
        return sum(got, Fraction(0)) + sum(kept, Fraction(0))

    def shortfall(self, name: str) -> Fraction:
        return max(Fraction(0), self.program.places[name] - self.value(name))

    def returning(self) -> set[tuple[int, int, int]]:
        """Groups of rows of which something is recalled."""
        return {self.program.group(p) for p, quantity in enumerate(self.back) if quantity}

    # --- in fractions

    def verify(self) -> None:
        """Supply, limits, timing, moves, least lines and excess."""
        plan, program = self.plan, self.program
        if min(self.taken.values(), default=Fraction(0)) < 0:
            raise JudgeFailedError("the lot solver feeds a line with less than nothing")
        for h, supply in enumerate(plan.supply):
            if self.sum_of(e for e, p in enumerate(plan.pairs) if p.holding == h and p.posted < 0) > supply:
                raise JudgeFailedError(f"the lot solver takes too much of {plan.holding_ids[h]}")
        for at, quantity in enumerate(self.back):
            if self.sum_of(e for e, p in enumerate(plan.pairs) if p.posted == at) > quantity:
                raise JudgeFailedError(f"the lot solver uses more than is recalled of row {at}")
        for row in plan.rows:
            used = sum((w * self.taken[e] for e, w in row.weights.items()), Fraction(0))
            if used + sum((w * self.back[p] for p, w in row.recalled.items()), Fraction(0)) > row.room:
                raise JudgeFailedError(f"the lot solver breaks {row.name}")
        for at, line in enumerate(program.lines):
            if self.counts[at]:
                self.verify_line(at, line)
        for k, need in enumerate(plan.needs):
            open_lines = [at for at in program.at(f"need{k}") if self.counts[at]]
            step = max((program.least[at] * program.lot_value(at) for at in open_lines), default=Fraction(0))
            over = self.value(f"need{k}") - need.most
            if over > 0 and over >= step:
                raise JudgeFailedError(f"the lot solver replaces too much at {need.agreement_id}")
        moves = sum(1 for n in self.counts if n) + len(self.returning())
        if plan.max_moves is not None and moves > plan.max_moves:
            raise JudgeFailedError("the lot solver moves too often")

    def sum_of(self, pairs: Iterable[int]) -> Fraction:
        return sum((self.taken[e] for e in pairs), Fraction(0))

    def verify_line(self, at: int, line: Line) -> None:
        """Its size, and for a line into a call that no lot of it is to spare."""
        least, (pinned, quantity) = self.program.least[at], self.program.pins[at]
        spare = self.value(line.place) - self.program.places[line.place]
        above = self.counts[at] > least
        step = self.program.lot_value(at) * (1 if above else self.counts[at])
        fixed = line.pair.need >= 0 or quantity is not None or (pinned and not above)
        if self.counts[at] < least or (spare >= step and not fixed):
            raise JudgeFailedError(f"the lot solver's line {at} is too small or has a lot to spare")

    def total_cost(self) -> Fraction:
        plan, program = self.plan, self.program
        lines = (
            plan.line_cost(line.pair) * self.quantity(at) + plan.move_costs[line.pair.holding]
            for at, line in enumerate(program.lines)
            if self.counts[at]
        )
        kept = (plan.keep_cost(row) * (row.quantity - back) for row, back in zip(plan.lying, self.back, strict=True))
        returns = (program.return_cost(group) for group in self.returning())
        return sum(lines, Fraction(0)) + sum(kept, Fraction(0)) + sum(returns, Fraction(0))

    def optimum(self) -> LotOptimum:
        plan = self.plan
        calls = [self.shortfall(f"call{j}") for j in range(len(plan.required))]
        needs = [self.shortfall(f"need{k}") for k in range(len(plan.needs))]
        return LotOptimum(
            shortfall_by_priority={
                level: sum((calls[j] for j in mine), Fraction(0)) + sum((needs[k] for k in beside), Fraction(0))
                for level, mine, beside in plan.levels
            },
            shortfall_by_call=dict(zip(plan.call_ids, calls, strict=True)),
            cost=self.total_cost(),
            lines=self.named("call", plan.call_ids),
            shortfall_by_agreement={need.agreement_id: short for need, short in zip(plan.needs, needs, strict=True)},
            replacements=self.named("need", [need.agreement_id for need in plan.needs]),
            recalled=self.rows(self.back),
            kept=self.rows([row.quantity - back for row, back in zip(plan.lying, self.back, strict=True)]),
        )

    def named(self, kind: str, names: Sequence[str]) -> dict[tuple[str, str], Fraction]:
        """Quantities of lines into calls or needs by name of the place and of the holding."""
        return {
            (names[int(line.place.removeprefix(kind))], self.plan.holding_ids[line.pair.holding]): self.quantity(at)
            for at, line in enumerate(self.program.lines)
            if self.counts[at] and line.place.startswith(kind)
        }

    def rows(self, quantities: Sequence[Fraction]) -> dict[tuple[str, str, str], Fraction]:
        """Quantities by agreement, asset and holding, those of nothing left out."""
        found: dict[tuple[str, str, str], Fraction] = {}
        for row, quantity in zip(self.plan.lying, quantities, strict=True):
            holding = self.plan.holding_ids[row.holding] if row.holding >= 0 else ""
            name = (self.plan.needs[row.need].agreement_id, self.plan.asset_ids[row.asset], holding)
            found[name] = found.get(name, Fraction(0)) + quantity
        return {name: quantity for name, quantity in found.items() if quantity}


def common(quantities: Iterable[Fraction]) -> Fraction:
    """The largest quantity that all are whole multiples of."""
    found = Fraction(0)
    for quantity in quantities:
        scale = math.lcm(found.denominator, quantity.denominator)
        found = Fraction(math.gcd(int(found * scale), int(quantity * scale)), scale)
    return found or Fraction(1)
