"""From flows to lines that can be instructed: whole lots, every call covered to the cent, nothing posted in excess.

The flow is rounded down to lots, what calls lack is filled with the cheapest lots that fit, and what is more than a
call needs is taken off again. Where the result is further from the linear program than asked for, lines exchange
lots within a call, and then an integer program over a small pool of edges improves it. All accounts are exact
(:class:`~collateral_opt.solve.ledger.Ledger`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.model.constraints import least_line
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Program, stack
from collateral_opt.network.exact import FLOAT, exact
from collateral_opt.network.network import Bools, Ints, Kind, Network, View
from collateral_opt.solve.exchange import exchange_all
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import COVERED, Flows, Passes
from collateral_opt.solve.reserves import count_reserves
from collateral_opt.solve.seam import Limits, Solution, Solver
from collateral_opt.solve.sparse import flows_on_few_lines

SMALL = 2_000
"""A network of at most so many edges is its own pool."""
POOL_PER_CALL = 25
"""Edges of least reduced cost that join the pool of a larger one, per call."""
FINE, COARSE = 1e-6, 1e-2
"""A lot worth less than this share of its call is counted as continuous by the integer program: where it looks for the
best lots, and where it decides which lines there are."""
TINY = 600
"""Up to so many edges an integer program looks for the exact optimum; beyond, only where a call is left short."""
EFFORT = 60_000
"""Most nodes of the integer program times its edges: a count, not a time, so that every machine stops alike."""
REPEATS = 3
"""How often that integer program is asked again around its own answer."""
FOCUS = 240
"""Most edges of the integer program that decides which lines there are, unless more are in use."""
MOST_NODES = 1_000
"""And no more than so many nodes, however few the edges."""
ROUNDS = 4
"""How often calls and facilities are filled in turn: what a facility could not be given is asked of others."""
PATIENCE = 16
"""Rounds of giving back just what breaks a row, before more goes at a time."""
PLANS = 8
"""How many of the cheapest edges are tried as the main filling of a call."""


def make_executable(passes: Passes, flows: Flows, solver: Solver, mip_gap: float, limits: Limits) -> Ledger:
    """Whole lots near ``flows``; optimal to ``mip_gap`` where the integer program was needed and finished.

    With reserves, what they count is set aside, or nothing is, or an integer program decides: whatever leaves calls,
    then reserves, least short, and costs least.
    """
    network = passes.network
    targets = [flows.x, *(flows_on_few_lines(passes, flows) if len(network.switches) else ())]
    free = _settled(network, flows, targets, solver, mip_gap, limits, {})
    if network.uses.asking == network.uses.demands:
        return free
    answers = [free, _settled(network, flows, targets, solver, mip_gap, limits, _set_aside(network, flows))]
    if len(network.edges) <= TINY:
        answers.append(_with_reserves(network, flows, solver, limits, mip_gap))
    return min(answers, key=lambda ledger: _whole_standing(ledger, solver, limits))


def _whole_standing(ledger: Ledger, solver: Solver, limits: Limits) -> tuple[Any, ...]:
    """What decides between two answers, reserves included: they come after all calls and before cost."""
    uses = ledger.network.uses
    short, _ = count_reserves(ledger.network, ledger, solver, limits)
    lacking = np.maximum(short - 10 * COVERED * uses.size[uses.demands : uses.asking], 0.0)
    shortfalls, cost, recalls = _standing(ledger)
    return shortfalls, round(float(lacking.sum()), 2), cost, recalls


def _with_reserves(network: Network, flows: Flows, solver: Solver, limits: Limits, mip_gap: float) -> Ledger:
    """What an integer program makes of all edges, those included on which reserves count what stays."""
    edge = np.flatnonzero(network.in_lots | network.into_reserve)
    view, program = View(network, edge, FLOAT), formulate(network, edge)
    program = in_lots(network, view, program)
    price = prices_of_cover(network, flows)
    ledger = Ledger(network, np.flatnonzero(network.in_lots), {})
    effort = _effort(ledger, limits, mip_gap)
    try:
        passes = Passes(network, program, view, solver, effort)
        solution = passes.in_order()
    except SolverError:
        return ledger
    found = np.zeros(len(network.edges))
    scaled = np.clip(solution.x[: len(edge)], 0.0, None) * passes.scaling.column[: len(edge)]
    found[edge] = _snapped(scaled, view, program)
    answers = []
    for _ in _taken_over(ledger, found[ledger.edge], price[ledger.edge]):
        leave_in_place(ledger)
        answers.append((_whole_standing(ledger, solver, limits), ledger.snapshot()))
    ledger.restore(min(answers, key=lambda answer: answer[0])[1])
    return ledger


def placements(network: Network, flows: Flows, targets: Sequence[Floats]) -> Iterator[Ledger]:
    """What each of ``targets`` comes to in whole lots, one after another on one ledger."""
    prices = prices_of_cover(network, flows)
    edge = _pool(network, flows, np.any([x > 0 for x in targets], axis=0))
    ledger, price = Ledger(network, edge, _set_aside(network, flows)), prices[edge]
    for x in targets:
        place(ledger, x[edge], price)
        yield ledger


def _set_aside(network: Network, flows: Flows) -> dict[int, Fraction]:
    """Market value per source that some reserve counts: the most that any one of them does."""
    counted = np.flatnonzero(network.into_reserve & (flows.x > 0))
    most = np.zeros(len(network.sources))
    np.maximum.at(most, network.edges.source[counted], flows.x[counted])
    return {i: exact(most[i]) for i in np.flatnonzero(most).tolist()}


def _settled(
    network: Network,
    flows: Flows,
    targets: Sequence[Floats],
    solver: Solver,
    mip_gap: float,
    limits: Limits,
    set_aside: dict[int, Fraction],
) -> Ledger:
    """The best of what ``targets`` come to in whole lots, improved by an integer program where that is worth it."""
    prices = prices_of_cover(network, flows)
    carries = np.any([x > 0 for x in targets], axis=0)
    pool = _pool(network, flows, carries)
    ledger = _best_placed(network, flows, targets, pool, prices, mip_gap, set_aside)
    short = np.flatnonzero(np.array([float(s) for s in ledger.shortfalls()]) > flows.short[: network.uses.demands])
    wider = np.union1d(pool, np.flatnonzero(np.isin(network.edges.use, short) & _whole_lines(network)))
    if len(wider) > len(pool):
        # The edges nearest to being used may be those that make no whole line: what is short asks all the others.
        ledger = _best_placed(network, flows, targets, wider, prices, mip_gap, set_aside)
    make_way(ledger, prices[ledger.edge])
    if len(network.switches) and not _close_enough(ledger, flows, mip_gap):
        for fine in (COARSE, FINE):
            if _is_shorter(ledger, flows) and len(ledger.edge) <= SMALL:
                # Any edge may be the one that helps.
                polish(
                    ledger, prices[ledger.edge], solver, _effort(ledger, limits, mip_gap), fine, Passes.least_shortfalls
                )
        # Few assets a call can mean that single lots decide who is covered. Movements are a matter of which lines, and
        # there the root of the search finds nearly all there is to find.
        caps_assets = any(label[0] == "asset" for label in network.switches.labels)
        for fine in (COARSE, *[FINE] * (REPEATS if caps_assets else 0)):
            few = _focused(ledger, targets, prices)
            before = _standing(few)
            effort = _effort(few, limits, mip_gap)
            polish(few, prices[few.edge], solver, effort if caps_assets else replace(effort, mip_nodes=1), fine)
            _spread(few, ledger)
            if fine == FINE and _standing(few) == before:
                break
    if _leaves_short(ledger, flows) or (len(ledger.edge) <= TINY and not _close_enough(ledger, flows, mip_gap)):
        polish(ledger, prices[ledger.edge], solver, _effort(ledger, limits, mip_gap), FINE)
    leave_in_place(ledger)
    return ledger


def leave_in_place(ledger: Ledger) -> None:
    """Undo recalls that the same holding's own stock makes good at the same agreement, where that costs nothing more.

    What is recalled from there for a call goes to it from the holding instead, and what lies there stays.
    """
    uses, sources = ledger.network.uses, ledger.network.sources
    at = {(j, i): k for k, (j, i) in enumerate(zip(ledger.use, ledger.source, strict=True))}
    for k in [k for k, source in enumerate(ledger.source) if sources.is_posted[source]]:
        holding = int(sources.holding[ledger.source[k]])
        back = at.get((ledger.funded_by[k], holding))
        instead = at.get((ledger.use[k], holding))
        comes_home = uses.kind[ledger.use[k]] == Kind.HOME
        if back is None or not ledger.lots[back] or not ledger.lots[k] or (instead is None and not comes_home):
            continue
        before, standing = ledger.snapshot(), _standing(ledger)
        count = min(ledger.lots[k], ledger.lots[back])
        ledger.add(k, -count)
        ledger.add(back, -count)
        if instead is not None and not comes_home:
            ledger.add(instead, count)
        short_lines = any(0 < ledger.line_lots(e) < ledger.least[e] for e in (k, back))
        if short_lines or not _holds(ledger) or _standing(ledger) > standing:
            ledger.restore(before)


def _effort(ledger: Ledger, limits: Limits, mip_gap: float) -> Limits:
    return replace(limits, mip_gap=mip_gap / 10, mip_nodes=min(MOST_NODES, EFFORT // (len(ledger.edge) + 1)))


def _spread(few: Ledger, ledger: Ledger) -> None:
    """Put the lots of ``few`` on the edges of ``ledger``, and nothing on the others."""
    lots = dict(zip(few.edge.tolist(), few.lots, strict=True))
    ledger.restore(tuple(lots.get(e, 0) for e in ledger.edge.tolist()))


def _focused(ledger: Ledger, targets: Sequence[Floats], prices: Floats) -> Ledger:
    """The same lots on a ledger of few edges: those that some target uses, and the cheapest of the others."""
    edge = ledger.edge
    used = np.any([x[edge] > 0 for x in targets], axis=0) | (np.array(ledger.lots) > 0) | (np.array(ledger.floor) > 0)
    order = np.lexsort((edge, prices[edge], ~used))
    kept = np.sort(order[: max(FOCUS, int(np.count_nonzero(used)))])
    return narrowed(ledger, edge[kept], ledger.network)


def narrowed(ledger: Ledger, edge: Ints, network: Network) -> Ledger:
    """The same lots on a ledger of ``edge`` alone, which has all edges that carry any."""
    small = Ledger(network, edge, ledger.set_aside)
    lots = dict(zip(ledger.edge.tolist(), ledger.lots, strict=True))
    small.restore(tuple(lots.get(e, 0) for e in edge.tolist()))
    return small


def _best_placed(
    network: Network,
    flows: Flows,
    targets: Sequence[Floats],
    edge: Ints,
    prices: Floats,
    mip_gap: float,
    set_aside: dict[int, Fraction],
) -> Ledger:
    ledger, price = Ledger(network, edge, set_aside), prices[edge]
    best: tuple[Any, tuple[int, ...]] | None = None
    for x in targets:
        place(ledger, x[edge], price)
        if not _close_enough(ledger, flows, mip_gap):
            refit(ledger, price)
        if best is None or _standing(ledger) < best[0]:
            best = _standing(ledger), ledger.snapshot()
    assert best is not None
    ledger.restore(best[1])
    return ledger


def _whole_lines(network: Network) -> Bools:
    """Edges whose source holds at least the smallest line that may be delivered there."""
    return network.in_lots & (network.held[network.edges.source] >= network.least_value * (1 - 1e-9))


def _pool(network: Network, flows: Flows, carries: Bools) -> Ints:
    """The edges that carry something and, per call, those nearest to it; of holdings with some left, as many again."""
    edges, sources = network.edges, network.sources
    leaving = network.in_lots
    if np.count_nonzero(leaving) <= SMALL:
        return np.flatnonzero(leaving)
    drawn = np.bincount(edges.source, weights=np.where(leaving, flows.x, 0.0), minlength=len(sources))
    whole = _whole_lines(network)
    spare = whole & ((network.held - drawn)[edges.source] >= network.lot_value)
    per_cover = flows.reduced_cost / edges.factor
    near = [_nearest(edges.use, per_cover, np.flatnonzero(kind)) for kind in (whole, spare)]
    pinned = np.array(sorted(network.pinned), dtype=np.int64)
    return np.unique(np.concatenate([*near, pinned, np.flatnonzero(leaving & carries)]))


def _nearest(use: Ints, price: Floats, among: Ints) -> Ints:
    """Of the edges ``among``, the :data:`POOL_PER_CALL` cheapest of each call."""
    order = among[np.lexsort((among, price[among], use[among]))]
    _, first, count = np.unique(use[order], return_index=True, return_counts=True)
    place_in_call = np.arange(len(order)) - np.repeat(first, count)
    return order[place_in_call < POOL_PER_CALL]


def prices_of_cover(network: Network, flows: Flows) -> Floats:
    """Per edge: basis points a year for one unit of cover, with what the supply and limits it takes are worth."""
    uses = network.uses
    worth = [flows.duals[("cover", *label)] for label in uses.label[: uses.asking]]
    worth += [-flows.duals[("conversion", uses.ids[k])] for k in uses.facilities]
    worth += [0.0] * (len(uses) - len(worth))
    marginal = np.array(worth, dtype=np.float64)[network.edges.use]
    return np.maximum(flows.reduced_cost / network.edges.factor + marginal, 0.0)


def _close_enough(ledger: Ledger, flows: Flows, mip_gap: float) -> bool:
    """No shorter than the linear program, by priority, and within the gap of its cost."""
    cost = float(ledger.weighed_cost())
    return not _is_shorter(ledger, flows) and cost - flows.cost <= mip_gap * max(abs(cost), abs(flows.cost))


def _is_shorter(ledger: Ledger, flows: Flows) -> bool:
    """Some priority is left shorter than the linear program leaves it."""
    uses, demands = ledger.network.uses, ledger.network.uses.demands
    priority = uses.priority[:demands]
    least = np.bincount(priority, weights=flows.short[:demands])
    size = np.bincount(priority, weights=uses.size[:demands])
    short = np.array([float(s) for s in ledger.shortfalls_by_rank()])
    return bool(np.any(short > least + 1e-8 * size + 1e-9))


def _leaves_short(ledger: Ledger, flows: Flows) -> bool:
    """A book that the linear program covers is left short."""
    demands = ledger.network.uses.demands
    covered = flows.short[:demands] <= 10 * COVERED * ledger.network.uses.size[:demands]
    return bool(covered.all()) and any(ledger.shortfalls())


def place(ledger: Ledger, target: Floats, price: Floats) -> None:
    """Bring the ledger near ``target`` (market values): round down, fill, give back what breaks a row, trim.

    Filling comes first: rounding down makes the whole smaller, and with it what a share of the whole may be.
    """
    put(ledger, target)
    order = turns(ledger)
    for done in range(ROUNDS):
        for j in order:
            fill(ledger, j, price)
        retract(ledger, price)
        if not any([trim(ledger, j, price) for j in order]) and done:
            break


def put(ledger: Ledger, target: Floats) -> None:
    """Put ``target`` (market values) on the ledger, each line rounded down; no more lines than budgets allow."""
    ledger.restore((0,) * len(target))
    has_budgets = bool(ledger.network.switches.budgets)
    pinned = np.array(ledger.floor) > 0
    wanted = [int(x / float(value) + 1e-7) for x, value in zip(target.tolist(), ledger.lot_value, strict=True)]
    whole: dict[int, int] = defaultdict(int)
    for line, lots in zip(ledger.line, wanted, strict=True):
        whole[line] += lots
    for k in np.lexsort((-target, ~pinned)).tolist() if has_budgets else range(len(target)):
        ledger.add(k, max(wanted[k] if whole[ledger.line[k]] >= ledger.least[k] else 0, ledger.floor[k]))
        if ledger.overspent_budgets and not ledger.floor[k]:
            ledger.add(k, -ledger.lots[k])


def turns(ledger: Ledger) -> list[int]:
    """The uses in the order in which they are filled: demands by priority, then facilities from the last to the first.

    A facility is funded after what spends it, and proceeds come only from facilities that give earlier.
    """
    network = ledger.network
    demands = sorted(range(network.uses.demands), key=lambda j: (network.uses.priority[j], j))
    gives_at = {int(j): int(t) for j, t in zip(network.sources.funded_by, network.sources.deliverable_at, strict=True)}
    facilities = sorted(network.uses.facilities, key=lambda j: (-gives_at[j], j))
    return demands + facilities


def retract(ledger: Ledger, price: Floats) -> None:
    """Take lots back until every row holds and no facility has spent more than it was given."""
    give_back(ledger, price)
    while unfund(ledger, price):
        give_back(ledger, price)


def unfund(ledger: Ledger, price: Floats) -> bool:
    """Take less out of each facility, and recall less from each agreement, than could be put in; dearest lines first.

    What only comes home stays first of all, and what goes to a call goes last. Says whether anything went.
    """
    went, uses = 0, ledger.network.uses
    for j in reversed(turns(ledger)):
        if j < uses.calls or ledger.overdrawn(j) <= 0:
            continue
        taken = [k for k, funding in enumerate(ledger.funded_by) if funding == j and ledger.lots[k] and ledger.drain[k]]
        for k in sorted(taken, key=lambda k: (-uses.kind[ledger.use[k]], -ledger.rank(k), -price[k], -k)):
            if ledger.overdrawn(j) > 0:
                went += ledger.take_back(k, min(ledger.lots[k], -(-ledger.overdrawn(j) // ledger.drain[k])))
    return went > 0


def give_back(ledger: Ledger, price: Floats) -> None:
    """Take lots off the lines of each row that rounding broke, last priority and dearest first, until every row holds.

    Shares of what is posted can break one another in turn by a lot at a time; so what goes grows after a while.
    """
    rounds = went = 0
    while (broken := ledger.broken_rows()) and (went or not rounds):
        rounds, went = rounds + 1, 0
        much = 2 ** max(0, rounds - PATIENCE)
        for row in broken:
            lines = sorted(ledger.lines_in(row), key=lambda line: (-ledger.rank(line[0]), -price[line[0]], -line[0]))
            for k, a in lines:
                over = -ledger.slack[row]
                if over <= 0:
                    break
                went += ledger.take_back(k, min(ledger.lots[k], much * -(-over // a)))


def fill(ledger: Ledger, j: int, price: Floats) -> None:
    """Cover what call ``j`` lacks: one main edge up to its last whole lot, then the edge that closes it cheapest."""
    by_price = sorted(ledger.lines_of[j], key=lambda k: (price[k], k))
    while ledger.missing[j] > 0:
        open_edges = [k for k in by_price if ledger.addable(k, 1) > 0]
        if not open_edges:
            return
        plans = [_plan(ledger, j, main, open_edges, price) for main in _mains(ledger, j, open_edges)]
        _, main, count, closing = min(plans, key=lambda plan: plan[0])
        if count:
            ledger.add(main, count)
        if closing is not None:
            last = ledger.addable(closing, -(-ledger.missing[j] // ledger.value[closing]))
            if last:
                ledger.add(closing, last)
        elif not count:
            return


def _mains(ledger: Ledger, j: int, by_price: list[int]) -> list[int]:
    """The edges tried as the main filling of a call: the cheapest; where lines cost or count, others besides."""
    if not len(ledger.network.switches):
        return by_price[:PLANS]
    on = [k for k in by_price if not ledger.opening_cost(k) and not ledger.is_new(k)]
    large = sorted(by_price, key=lambda k: (-ledger.room(k) * ledger.value[k], k)) if ledger.lines_left(j) else []
    return list(dict.fromkeys([*by_price[:PLANS], *on[:PLANS], *large[:PLANS]]))


def _plan(
    ledger: Ledger, j: int, main: int, edges: list[int], price: Floats
) -> tuple[tuple[float, float, int], int, int, int | None]:
    """Whole lots of ``main`` without excess, then the cheapest edge that covers the rest: key, main, lots, closing."""
    missing = ledger.missing[j]
    whole = missing // ledger.value[main]
    count = ledger.addable(main, whole) if whole else 0
    if count > whole:
        count = 0
    rest = missing - count * ledger.value[main]
    spent = count * ledger.value[main] * price[main] + (ledger.opening_cost(main) * ledger.unit[j] if count else 0.0)
    if rest <= 0:
        return (spent, 0.0, main), main, count, None
    best: tuple[float, float, int] | None = None
    is_last = ledger.lines_left(j) == 1 and count > 0 and ledger.is_new(main)
    for k in edges:
        if is_last and k != main and ledger.is_new(k):
            continue
        if k == main and count:
            # Its room shrinks by what the plan takes: one more lot must still fit.
            lots = -(-rest // ledger.value[k])
            fits = ledger.addable(k, count + lots) >= count + lots
        else:
            lots = max(-(-rest // ledger.value[k]), ledger.least[k] - ledger.line_lots(k))
            fits = ledger.addable(k, lots) >= lots
        if fits:
            value = lots * ledger.value[k]
            opening = ledger.opening_cost(k) * ledger.unit[j] if k != main or not count else 0.0
            key = (spent + value * price[k] + opening, float(value - rest), k)
            best = min(best, key) if best is not None else key
    if best is None:
        # Nothing closes it in one step: the cheapest first, and the loop goes on.
        return (float("inf"), float(rest), main), main, ledger.addable(main, max(1, whole)), None
    return best, main, count, best[2]


def trim(ledger: Ledger, j: int, price: Floats) -> bool:
    """Take off what call ``j`` has too much, dearest lines first. Says whether anything went."""
    went = False
    for k in sorted(ledger.lines_of[j], key=lambda k: (-price[k], -ledger.cost_bps[k], -k)):
        excess = -ledger.missing[j]
        if excess <= 0:
            return went
        count = ledger.removable(k, excess // ledger.value[k])
        if count:
            ledger.add(k, -count)
            went = True
        elif ledger.lots[k] and ledger.value[k] <= excess:
            went |= _sent_home(ledger, k, excess // ledger.value[k])
    return went


def _sent_home(ledger: Ledger, k: int, most: int) -> bool:
    """Let up to ``most`` recalled lots on edge ``k`` come home instead, where nothing is in the way of that."""
    home = ledger.home.get(ledger.source[k])
    if home is None or home == k:
        return False
    count = min(most, ledger.lots[k] - ledger.floor[k])
    if 0 < ledger.line_lots(k) - count < ledger.least[k]:
        count = ledger.line_lots(k) - ledger.least[k]
    if count <= 0:
        return False
    ledger.add(k, -count)
    ledger.add(home, count)
    if ledger.broken_rows() or ledger.overspent_budgets:
        ledger.add(home, -count)
        ledger.add(k, count)
        return False
    return True


def make_way(ledger: Ledger, price: Floats) -> None:
    """Where a call is short, take back what later priorities hold of its sources, and serve them after it.

    Rounding can leave lots with a later priority that an earlier one lacks. Kept only if that serves better.
    """
    if len(ledger.shortfalls_by_rank()) < 2:
        return
    for j in turns(ledger)[: ledger.network.uses.demands]:
        if ledger.missing[j] <= 0:
            continue
        sources = {ledger.source[k] for k in ledger.lines_of[j]}
        before, standing = ledger.snapshot(), _standing(ledger)
        for k, lots in enumerate(ledger.lots):
            if lots and ledger.source[k] in sources and ledger.rank(k) > ledger.network.uses.priority[j]:
                ledger.take_back(k, lots)
        retract(ledger, price)
        for turn in turns(ledger):
            fill(ledger, turn, price)
        retract(ledger, price)
        refit(ledger, price)
        if _standing(ledger) >= standing:
            ledger.restore(before)


def refit(ledger: Ledger, price: Floats) -> None:
    """Exchange lots within the calls, then take off what that left too much."""
    exchange_all(ledger)
    for j in turns(ledger):
        trim(ledger, j, price)


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
    program = in_lots(network, view, formulate(network, ledger.edge), fine)
    before, rank_before = ledger.snapshot(), _standing(ledger)
    try:
        passes = Passes(network, program, view, solver, limits)
        short = np.array([float(s) for s in ledger.shortfalls()])
        passes.start_from(ledger.market_values(), np.pad(short, (0, network.uses.asking - len(short))))
        solution = aim(passes)
    except SolverError:
        return
    found = np.clip(solution.x[: len(view.edge)], 0.0, None) * passes.scaling.column[: len(view.edge)]
    snapped = _snapped(found, view, program)
    answers = [(rank_before, before), *_taken_over(ledger, snapped, price)]
    ledger.restore(min(answers, key=lambda answer: answer[0])[1])


def _taken_over(ledger: Ledger, target: Floats, price: Floats) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """What an integer program's answer comes to on the ledger: as it is, filled up, and placed as any flow."""
    put(ledger, target)
    for fills in (False, True):
        for j in turns(ledger):
            if fills:
                fill(ledger, j, price)
            trim(ledger, j, price)
        if _holds(ledger):
            yield _standing(ledger), ledger.snapshot()
    place(ledger, target, price)
    refit(ledger, price)
    yield _standing(ledger), ledger.snapshot()


def _holds(ledger: Ledger) -> bool:
    """Every row and budget holds, and nothing is overdrawn."""
    overdrawn = any(ledger.overdrawn(j) for j in range(ledger.network.uses.calls, len(ledger.network.uses)))
    return not (ledger.broken_rows() or ledger.overspent_budgets or overdrawn)


def _standing(ledger: Ledger) -> tuple[tuple[Fraction, ...], Fraction, int]:
    """What decides between two answers: shortfalls by priority, cost, then how much of what is posted moves."""
    return ledger.shortfalls_by_rank(), ledger.weighed_cost(), ledger.recalls()


def in_lots(network: Network, view: View, program: Program, fine: float = FINE) -> Program:
    """``program`` with coarse edges counted in whole lots, and covers that may overshoot by less than a lot.

    A lot worth more than its call counts as the call: one is enough either way, and the figures stay near one.
    """
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
    has_least = (least > lot_value * (1 + 1e-9)) & ~view.into_reserve
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
        lower=np.pad(program.lower, (0, count)),
        upper=np.pad(upper, (0, count), constant_values=1.0),
        cost=np.pad(program.cost, (0, count)),
        rows=stack([replace(program.rows, coefficient=coefficient, upper=row_upper), switches]),
        unit=np.pad(unit, (0, count), constant_values=1.0),
        integer=np.concatenate([coarse, between, np.ones(len(network.switches) + count, dtype=bool)]),
        opens=(opens, line),
    )


def _lines_with_a_least(line: Ints, has_least: Bools) -> tuple[Ints, Ints]:
    """The columns of lines that may not be of any size, and which of these lines (0, 1, ...) each is part of."""
    columns = np.flatnonzero(np.isin(line, line[has_least]))
    _, at = np.unique(line[columns], return_inverse=True)
    return columns, at.astype(np.int64)


def _snapped(found: Floats, view: View, program: Program) -> Floats:
    """The integer program's answer with its whole lots made whole."""
    assert program.integer is not None
    integer, unit = program.integer[: len(view.edge)], program.unit[: len(view.edge)]
    return np.where(integer, np.rint(found / unit) * unit, found)
