"""Which lines there are, where only so many may be: chosen for a few calls at a time, by small integer programs.

A neighbourhood search (Shaw, Using constraint programming and local search methods to solve vehicle routing problems,
CP 1998): the lines of a few calls may come and go, all others stay, and what every line carries is settled anew. One
call at a time first, among many edges; then calls together that want the same holdings. Where lines are only counted,
they are swapped between calls before that; in large books the others then also carry what they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.model.program import Floats, Label, Program
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Bools, Ints, Network, Switches, View
from collateral_opt.network.runs import place_in_run
from collateral_opt.solve.diving import BRIEF, ROUNDS, dive
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.polishing import COARSE, in_lots
from collateral_opt.solve.pool import Log, Pool
from collateral_opt.solve.seam import Limits, Solver
from collateral_opt.solve.swaps import WORTHWHILE, swap_lines

STAGES = ((1, 60, 4), (2, 40, 2), (3, 30, 2), (4, 15, 3))
"""Calls whose lines are free together, the cheapest edges of each that may become lines, and most rounds of all."""
FEW = 500
"""Up to so many lines all of them are settled anew with each choice; of more, only those of the calls that are free."""
PAIRS = 36
"""Then this is the most integer programs, ..."""
JOINING = 30
"""... two calls to each, with so many edges of each beside its lines."""
POOL = 300
"""The cheapest edges of each call on which lines may be swapped."""
STEPS, WORK = 300, 120_000
"""Most integer programs, and most edges of all of them together."""
NODES = 10
"""Most nodes of one integer program: a count, not a time, so that every machine stops alike."""
NEAREST = 40
"""The cheapest edges of each use among which flows on few lines are looked for, to begin with; of large ones, as many
again."""
WANTED = 40
"""The cheapest edges of each call by which it is said which calls want the same holdings."""
CARRIES = 1e-6
"""A line is there if it carries more than this share of the most it could."""
MARGIN = 1e-3
"""What is asked for beyond a call is at most this share of it."""
COUNTS = 1e-7
"""A shortfall below this share of all that is asked for is the solver's tolerance."""


def nearest(network: Network, price: Floats, count: int, among: Bools) -> Ints:
    """Of the edges ``among``, the ``count`` of each use that are cheapest by ``price`` [edges] for a unit of cover."""
    candidates = np.flatnonzero(among)
    use, per_cover = network.edges.use[candidates], (price / network.edges.factor)[candidates]
    order = candidates[np.lexsort((candidates, per_cover, use))]
    return np.sort(order[place_in_run(network.edges.use[order]) < count])


def switches_among(switches: Switches, free: Bools, on: Bools) -> Switches:
    """Just the switches that are ``free`` [switches]; of the others, those that are ``on`` take up their budgets."""
    kept = np.flatnonzero(free)
    place = np.full(len(switches), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    stays = free[switches.switch]
    budgets = [
        (name, place[members[free[members]]], most - int(np.count_nonzero(on[members] & ~free[members])))
        for name, members, most in switches.budgets
        if free[members].any()
    ]
    return Switches(
        labels=[switches.labels[s] for s in kept.tolist()],
        edge=switches.edge[stays],
        switch=place[switches.switch[stays]],
        fixed=[switches.fixed[s] for s in kept.tolist()],
        worth=[switches.worth[s] for s in kept.tolist()],
        is_move=switches.is_move[kept],
        budgets=budgets,
    )


def with_switches_of(network: Network, edges: Bools) -> Network:
    """``network`` with the switches of just those ``edges`` [edges]."""
    switches = network.switches
    there = np.zeros(len(switches), dtype=bool)
    there[switches.switch[edges[switches.edge]]] = True
    return replace(network, switches=switches_among(switches, there, np.zeros_like(there)))


def on_chosen_lines(linear: Linear, mip_gap: float) -> list[Floats]:
    """Flows [edges] on lines chosen to keep all budgets, near the least shortfall and cost; none where time is up."""
    network, flows = linear.network, linear.flows
    price = flows.reduced_cost
    search = LineSearch(network, price, linear.solver, linear.limits, mip_gap, flows.duals)
    if not search.begin(_few_lines(linear, price)):
        return []
    search.improve(flows.cost)
    return [search.x]


def _few_lines(linear: Linear, price: Floats) -> Iterator[Floats]:
    """``linear``'s flows [edges], and flows on fewer lines among the edges nearest to them by ``price``."""
    network, flows, switches = linear.network, linear.flows, linear.network.switches
    drawn = np.bincount(network.edges.source, np.where(network.in_lots, flows.x, 0.0), len(network.sources))
    left = np.maximum(network.held - drawn, 0.0)[network.edges.source] * network.edges.factor
    there = (flows.x > 0) | network.into_reserve
    there[nearest(network, price, NEAREST, network.in_lots)] = True
    # The cheapest may be small: of what is left, what could make a line of average size joins them.
    large = left >= network.uses.size[network.edges.use] / _lines_allowed(network)[network.edges.use]
    there[nearest(network, price, NEAREST, network.in_lots & large)] = True
    there[sorted(network.pinned)] = True
    # A line that has some of its edges only would be full too soon.
    touched = np.zeros(len(switches), dtype=bool)
    touched[switches.switch[there[switches.edge]]] = True
    there[switches.edge[touched[switches.switch]]] = True
    is_brief = swaps_many(network, flows.x)
    narrow, rounds = with_switches_of(network, there), BRIEF if is_brief else ROUNDS
    x = dive(narrow, np.flatnonzero(there), flows.short, linear.solver, linear.limits, rounds)
    # Cut to few lines, the linear program's own flows may be less short, but are a worse place to swap from.
    if x is None or not is_brief:
        yield flows.x
    if x is not None:
        yield x


class LineSearch:
    """Flows ``x`` [edges] and shortfalls ``short`` [calls, then reserves] that keep all budgets, and better ones.

    ``price`` [edges] is what choosing an edge costs, beside the best that could be had; ``duals`` say what holdings and
    places are worth. Lots worth more than a small
    share of their call are whole at the calls that are free; all else is continuous, and rounded by whoever asks.
    """

    def __init__(
        self,
        network: Network,
        price: Floats,
        solver: Solver,
        limits: Limits,
        mip_gap: float,
        duals: Mapping[Label, float] = MappingProxyType({}),
    ) -> None:
        self.network = network
        self._worth: Floats = np.array([-duals.get(("budget", f"call {name}"), 0.0) for name in network.uses.ids])
        self._scarcity: Floats = np.array([-duals.get(("supply", name), 0.0) for name in network.sources.ids])
        self._price = np.maximum(price, 0.0)
        self._solver = solver
        self._limits = replace(limits, mip_gap=mip_gap, mip_nodes=NODES)
        self._mip_gap = mip_gap
        self._work = 0
        switches, pinned = network.switches, sorted(network.pinned)
        self._charge = network.switches.charges
        self._budgets_of: list[list[int]] = [[] for _ in range(len(switches))]
        for budget, (_, members, _) in enumerate(switches.budgets):
            for switch in members.tolist():
                self._budgets_of[switch].append(budget)
        self._pinned = np.zeros(len(network.edges), dtype=bool)
        self._pinned[[edge for edge in pinned if network.pinned[edge][0]]] = True
        # Lines into a call are chosen call by call; what else there is, is always free.
        self._is_call = np.arange(len(network.uses)) < network.uses.calls
        self._margin = _lost_to_rounding(network, nearest(network, self._price, WANTED, network.in_lots))
        self.x: Floats = np.zeros(len(network.edges))
        self.short: Floats = network.uses.size[: network.uses.asking] + self._margin

    def begin(self, targets: Iterable[Floats]) -> bool:
        """Take the best of ``targets`` [edges], each cut to as many lines as there may be. Says if there is one."""
        nobody = np.zeros(0, dtype=np.int64)
        found = [(self.x, self.short)]
        for target in targets:
            self.x, self.short = self._cut(target), self.network.uses.size[: self.network.uses.asking] + self._margin
            answer = self._solved(nobody, np.zeros(len(self.network.edges), dtype=bool))
            if answer is not None:
                found.append(answer)
            if self._limits.are_over:
                break
        self.x, self.short = min(found, key=lambda answer: self._standing(*answer))
        return len(found) > 1

    def improve(self, least: float) -> None:
        """Search until every stage is through, or the cost is within the gap of ``least`` with nothing short."""
        if may_swap(self.network):
            self._swap(least)
            if np.count_nonzero(self.x) > FEW:
                return
        steps, self._work = 0, 0
        for together, width, rounds in STAGES:
            among = nearest(self.network, self._price, width, self.network.in_lots)
            failed: set[tuple[int, ...]] = set()
            for turn in range(rounds):
                before = self._standing(self.x, self.short)
                for j in self._worst_first():
                    if self._limits.are_over or steps == STEPS or self._work > WORK or self._is_near(least):
                        return
                    calls = self.beside(j, together, turn)
                    if tuple(calls) in failed:
                        continue
                    steps += 1
                    if self._step(calls, among):
                        failed.clear()
                    else:
                        failed.add(tuple(calls))
                if self._standing(self.x, self.short) == before:
                    break

    def _swap(self, least: float) -> None:
        """Swap lines between calls, and choose those of two at a time anew; then settle what every line carries."""
        network, before = self.network, (self.x, self.short)
        uses, there = network.uses, self.x > 0
        there[nearest(network, self._price, POOL, network.in_lots)] = True
        target = uses.size[: uses.calls] + self._margin[: uses.calls]
        pool = Pool(network, np.flatnonzero(there), self.x, target, _lines_allowed(network), COARSE)
        swap_lines(pool, lambda: not self._limits.are_over)
        steps, turn, improved = 0, 0, bool(np.count_nonzero(pool.x) > FEW)
        while improved:
            improved = False
            for j in self._most_lost(pool):
                is_near = pool.cost - least <= self._mip_gap * abs(pool.cost)
                if self._limits.are_over or steps == PAIRS or is_near:
                    break
                self.x = pool.flows()
                steps += 1
                improved |= self._choose(pool, self.beside(j, 2, turn))
            if improved:
                swap_lines(pool, lambda: not self._limits.are_over)
            turn += 1
        self.x = pool.flows()
        self.short = np.append(np.maximum(pool.target - pool.cover, 0.0), self.short[uses.calls :])
        nobody = np.zeros(0, dtype=np.int64)
        answers = [before, self._solved(nobody, np.zeros(len(network.edges), dtype=bool)) or before]
        self.x, self.short = min(answers, key=lambda answer: self._standing(*answer))

    def _most_lost(self, pool: Pool) -> list[int]:
        """The calls in the order of what their lines cost beyond the best there could be, and their places with them.

        A place is worth the price of its budget; a line takes of it as much as it is full, and wastes the rest.
        """
        uses, presence = self.network.uses, pool.program.presence
        into, calls = pool.use < uses.calls, uses.calls
        lost = np.bincount(pool.use[into], (self._price[pool.edge] * pool.x)[into], calls)
        full = presence.coefficient * pool.x[presence.column]
        taken = np.bincount(pool.use[presence.column], full, len(uses))[:calls]
        capped = np.isfinite(_lines_allowed(self.network)[:calls])
        wasted = np.where(capped, self._worth[:calls] * (pool.allowed[:calls] - taken), 0.0)
        total = lost + wasted
        order = np.argsort(-total, kind="stable")
        return [j for j in order.tolist() if total[j] > self._mip_gap / 10 * abs(pool.cost)]

    def _choose(self, pool: Pool, calls: Ints) -> bool:
        """Choose the lines of ``calls`` anew, all others as they are; kept only if better, which it says."""
        there = pool.left + np.bincount(
            pool.source, np.where(np.isin(pool.use, calls), pool.x, 0.0), len(self.network.sources)
        )
        columns = []
        for j in calls.tolist():
            new = pool.into[j][pool.movable[pool.into[j]] & (pool.x[pool.into[j]] == 0)]
            source = pool.source[new]
            could = np.minimum(there[source], pool.upper[new]) >= pool.least[new]
            new, source = new[could], source[could]
            # Of equally near edges, those first whose holding is dear to leave.
            per_cover = np.round(self._price[pool.edge[new]] / pool.factor[new], 6)
            order = np.lexsort((new, -self._scarcity[source] * there[source], per_cover))
            columns += [pool.lines(j), new[order[:JOINING]]]
        column = np.unique(np.concatenate(columns))
        is_free = ~self._is_call
        is_free[calls] = True
        program, view, narrow = self._program(pool.edge[column], is_free)
        passes = Passes(narrow, _beside(program, pool, column), view, self._solver, self._limits)
        missing = np.maximum(pool.target - pool.cover, 0.0)
        passes.start_from(pool.x[column], np.pad(missing, (0, self.network.uses.asking - len(missing))))
        try:
            solution = passes.cover_everything()
        except SolverError:
            return False
        found = np.clip(solution.x[: len(column)], 0.0, None) * passes.scaling.column[: len(column)]
        most = np.minimum(self.network.held[view.source], self.network.uses.size[view.use])
        cost, log, rooms = pool.cost, Log(), pool.rooms()
        for at, value in zip(column.tolist(), np.where(found > CARRIES * most, found, 0.0).tolist(), strict=True):
            pool.put(at, value, log)
        settled = all([pool.settle(j, rooms, log) for j in calls.tolist()])
        if settled and pool.cost < cost - WORTHWHILE * abs(cost) and pool.holds(log):
            return True
        pool.undo(log)
        return False

    def _is_near(self, least: float) -> bool:
        shortfalls, cost = self._standing(self.x, self.short)
        return not any(shortfalls) and cost - least <= self._mip_gap * abs(cost)

    def _standing(self, x: Floats, short: Floats) -> tuple[tuple[float, ...], float]:
        """What decides between two answers: shortfalls by priority, then cost."""
        uses = self.network.uses
        lacking = np.bincount(uses.priority[: uses.demands], weights=short[: uses.demands], minlength=uses.ranks)
        tolerated = COUNTS * float(uses.size[: uses.demands].sum())
        cost = float(np.sum(self.network.edges.cost_bps * x)) + float(np.sum(self._charge[self._on(x)]))
        return tuple(s if s > tolerated else 0.0 for s in lacking.tolist()), cost

    def _on(self, x: Floats) -> Bools:
        """Which switches are on."""
        on = np.zeros(len(self.network.switches), dtype=bool)
        switches = self.network.switches
        on[switches.switch[x[switches.edge] > 0]] = True
        return on

    def _cut(self, target: Floats) -> Floats:
        """``target`` without the lines that budgets have no room for, smallest first; never without what is pinned."""
        switches = self.network.switches
        left, kept = [most for _, _, most in switches.budgets], np.where(self._pinned, np.maximum(target, 1.0), target)
        made_by: dict[int, list[int]] = {}
        carries = kept[switches.edge] > 0
        for edge, switch in zip(switches.edge[carries].tolist(), switches.switch[carries].tolist(), strict=True):
            made_by.setdefault(edge, []).append(switch)
        edges, on = np.array(sorted(made_by), dtype=np.int64), np.zeros(len(switches), dtype=bool)
        for edge in edges[np.lexsort((edges, -kept[edges], ~self._pinned[edges]))].tolist():
            off = [switch for switch in made_by[edge] if not on[switch]]
            needed = [budget for switch in off for budget in self._budgets_of[switch]]
            if all(left[b] >= needed.count(b) for b in needed) or self._pinned[edge]:
                on[off] = True
                for budget in needed:
                    left[budget] -= 1
            else:
                kept[edge] = 0.0
        return kept

    def _worst_first(self) -> list[int]:
        """The calls in the order of what their lines cost beyond the best there could be; what is short comes first."""
        uses, calls = self.network.uses, self.network.uses.calls
        lost = np.bincount(self.network.edges.use, weights=self._price * self.x, minlength=len(uses))[:calls]
        share = np.maximum(self.short - self._margin, 0.0)[:calls] / uses.size[:calls]
        worth = lost > self._mip_gap * float(np.sum(lost)) / max(1, calls)
        order = np.lexsort((np.arange(calls), -lost, -np.where(share > COUNTS, share, 0.0)))
        return [j for j in order.tolist() if share[j] > COUNTS or worth[j]]

    def beside(self, j: int, together: int, turn: int) -> Ints:
        """Call ``j`` and those that have most of what it wants; in another ``turn``, the next of these."""
        if together == 1:
            return np.array([j], dtype=np.int64)
        uses, edges = self.network.uses, self.network.edges
        into = np.flatnonzero((edges.use == j) & self.network.in_lots)
        into = into[np.argsort((self._price / edges.factor)[into], kind="stable")[:WANTED]]
        wanted = np.zeros(len(self.network.sources))
        scale = float(np.mean(np.abs(edges.cost_bps))) / 10 or 1.0
        wanted[edges.source[into]] = 1 / (1 + self._price[into] / scale)
        has = wanted[edges.source] * np.minimum(self.x, uses.size[j])
        score = np.bincount(edges.use, weights=has, minlength=len(uses))[: uses.calls]
        score[j] = -1.0
        order = np.lexsort((np.arange(uses.calls), -score))[: uses.calls - 1]
        first = turn * (together - 1)
        return np.sort(np.append(order[first : first + together - 1], j)).astype(np.int64)

    def _step(self, calls: Ints, among: Ints) -> bool:
        """Choose the lines of ``calls`` anew, from those they have and the edges ``among``. Says if that helped."""
        joins = np.zeros(len(self.network.edges), dtype=bool)
        joins[among] = True
        answer = self._solved(calls, joins)
        if answer is None:
            return False
        (short_before, before), (short_after, after) = self._standing(self.x, self.short), self._standing(*answer)
        if (short_after, after) < (short_before, before - 1e-7 * abs(before)):
            self.x, self.short = answer
            return True
        return False

    def _solved(self, calls: Ints, joins: Bools) -> tuple[Floats, Floats] | None:
        """The best answer in which only ``calls`` may have other lines, of those that ``joins`` [edges] allows."""
        network, asking = self.network, self.network.uses.asking
        is_free = ~self._is_call
        is_free[calls] = True
        free = is_free[network.edges.use]
        edge = np.flatnonzero(((self.x > 0) | (joins & free)) & network.in_lots)
        self._work += len(edge)
        program, view, narrow = self._program(edge, is_free)
        passes = Passes(narrow, program, view, self._solver, self._limits)
        if len(calls):
            passes.start_from(self.x[edge], self.short)
        try:
            solution = passes.cover_everything()
        except SolverError:
            return None
        found = np.clip(solution.x[: len(edge) + asking], 0.0, None) * passes.scaling.column[: len(edge) + asking]
        most = np.minimum(network.held[view.source], network.uses.size[view.use])
        x = np.zeros(len(network.edges))
        x[edge] = np.where(found[: len(edge)] > CARRIES * most, found[: len(edge)], 0.0)
        return x, found[len(edge) :]

    def _program(self, edge: Ints, is_free: Bools) -> tuple[Program, View, Network]:
        """The program over ``edge`` in which lines into uses that are not free [uses] stay, of whatever size."""
        network, switches = self.network, self.network.switches
        there = np.zeros(len(network.edges), dtype=bool)
        there[edge] = True
        may_change = np.zeros(len(switches), dtype=bool)
        may_change[switches.switch[there[switches.edge] & is_free[network.edges.use[switches.edge]]]] = True
        narrow = replace(network, switches=switches_among(switches, may_change, self._on(self.x)))
        view = View(narrow, edge, FLOAT)
        free = is_free[view.use]
        program = in_lots(narrow, view, COARSE, ~free)
        lower = program.lower.copy()
        column, line = program.opens
        if len(column):
            stays = np.ones(int(line.max()) + 1, dtype=bool)
            stays[line[free[column]]] = False
            lower[program.n_columns - len(stays) :][stays] = 1.0
        asking = np.arange(network.uses.asking)
        row_lower, upper = np.array(program.rows.lower, dtype=np.float64), program.upper.copy()
        row_lower[asking] += self._margin
        upper[len(edge) + asking] += self._margin
        rows = replace(program.rows, lower=row_lower, upper=np.maximum(program.rows.upper, row_lower))
        return replace(program, lower=lower, upper=upper, rows=rows), view, narrow


def swaps_many(network: Network, x: Floats) -> bool:
    """Whether lines may be swapped, and ``x`` [edges] uses more than can all be settled anew with each choice."""
    return may_swap(network) and bool(np.count_nonzero(x) > FEW)


def may_swap(network: Network) -> bool:
    """Whether lines are only counted call by call: one more or less costs nothing, and nothing comes back for it."""
    switches = network.switches
    counts_assets = all(label[0] == "asset" for label in switches.labels) and not network.switches.charges.any()
    return counts_assets and not network.sources.is_posted.any()


def _beside(program: Program, pool: Pool, column: Ints) -> Program:
    """``program``, which is over just ``column`` of the pool, with what all others carry there taken off its rows."""
    others, rows = pool.without(column.tolist()), program.rows
    at = [pool.row_of.get(label, -1) if label[0] not in ("budget", "promised") else -1 for label in rows.labels]
    taken = np.append(others, 0.0)[at]
    lower = np.asarray(rows.lower, dtype=np.float64) - taken
    upper = np.asarray(rows.upper, dtype=np.float64) - taken
    # What the others take beyond a row, by the last digits of a sum, must not make it impossible.
    upper = np.where(np.isneginf(lower), np.maximum(upper, 0.0), np.maximum(upper, lower))
    return replace(program, rows=replace(rows, lower=lower, upper=upper))


def _lines_allowed(network: Network) -> Floats:
    """How many lines each use may have, as far as that is a matter of it alone [uses]."""
    names, allowed = {f"call {name}": j for j, name in enumerate(network.uses.ids[: network.uses.calls])}, {}
    for name, _, most in network.switches.budgets:
        if name in names:
            allowed[names[name]] = float(most)
    return np.array([allowed.get(j, np.inf) for j in range(len(network.uses))])


def _lost_to_rounding(network: Network, near: Ints) -> Floats:
    """By call and reserve, what its lines may lose when they are rounded down: half of a lot each, as lots are there.

    ``near`` are the edges that may become lines. Of uses whose lines nobody counts, nothing.
    """
    uses, edges = network.uses, network.edges
    lost, allowed = np.zeros(uses.asking), _lines_allowed(network)
    lot_cover = (network.lot_value * edges.factor)[near]
    fine = lot_cover <= COARSE * uses.size[edges.use[near]]
    for j in np.flatnonzero(np.isfinite(allowed)).tolist():
        lots = lot_cover[fine & (edges.use[near] == j)]
        if len(lots):
            lost[j] = min(float(allowed[j]) / 2 * float(np.median(lots)), MARGIN * float(uses.size[j]))
    return lost
