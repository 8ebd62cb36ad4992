"""From flows to lines that can be instructed: whole lots, every call covered to the cent, nothing posted in excess.

The flow is rounded down to lots, what calls lack is filled with the cheapest lots that fit, and what is more than a
call needs is taken off again. Where the result is further from the linear program than asked for, lines exchange
lots within a call, and then an integer program over a small pool of edges improves it. All accounts are exact
(:class:`~collateral_opt.solve.ledger.Ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from collateral_opt.errors import SolverError
from collateral_opt.model.program import Floats
from collateral_opt.network.exact import FLOAT, exact
from collateral_opt.network.network import Bools, Ints, Network, View
from collateral_opt.network.runs import place_in_run
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import NEAR, SMALL, Linear
from collateral_opt.solve.lines import LineSearch, nearest, on_chosen_lines, swaps_many, with_switches_of
from collateral_opt.solve.passes import COVERED, Flows, Passes
from collateral_opt.solve.polishing import COARSE, FINE, in_lots, in_whole_lots, polish, taken_over
from collateral_opt.solve.reserves import count_reserves
from collateral_opt.solve.rounding import leave_in_place, make_way, place, refit, standing, trim_all
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.sparse import flows_on_few_lines

TINY = 600
"""Up to so many edges an integer program looks for the exact optimum; beyond, only where a call is left short."""
EFFORT = 60_000
"""Most nodes of the integer program times its edges: a count, not a time, so that every machine stops alike."""
MOST_NODES = 1_000
"""And no more than so many nodes, however few the edges."""
FOCUS = 240
"""Most edges of the integer program that decides which lines there are, unless more are in use."""
LOT_NODES = 10
"""Most nodes of an integer program that finds the lots of lines chosen before."""
REPEATS = 2
"""How often a call left short by single lots is asked for other lines, ..."""
MOST_SHORT = 8
"""... if it is one of so many, ..."""
TOGETHER, BESIDE = 4, 20
"""... with so many calls free to change theirs, and so many edges of each to choose from ..."""
PATIENCE, IN_VAIN = 4, 600
"""... until so many programs in a row changed nothing: more of small ones, of so many edges together."""


def make_executable(linear: Linear, mip_gap: float) -> tuple[Linear, Ledger]:
    """Whole lots near the flows of ``linear``, optimal to ``mip_gap`` where an integer program was needed and finished.

    With reserves, what they count is set aside, or nothing is, or an integer program decides: whatever leaves calls,
    then reserves, least short, and costs least. Where the network was too narrow, a wider one comes back with them.
    """
    network, flows = linear.network, linear.flows
    if _caps_assets(network):
        targets = _on_lines(linear, mip_gap)
    else:
        targets = [flows.x, *(flows_on_few_lines(linear.passes, flows) if len(network.switches) else ())]
    free = _settled(linear, targets, mip_gap, {})
    if network.uses.asking == network.uses.demands:
        return free
    answers = [free, _settled(linear, targets, mip_gap, _set_aside(network, flows))]
    if len(network.edges) <= TINY:
        answers.append((linear, _with_reserves(linear, mip_gap)))
    return min(answers, key=lambda answer: _whole_standing(answer[1], linear))


def _on_lines(linear: Linear, mip_gap: float) -> list[Floats]:
    """Flows [edges] to make whole where calls may be given only so many assets.

    Of many lines only those that were chosen for it: rounding the linear program's own would be work for nothing.
    """
    chosen, flows = on_chosen_lines(linear, mip_gap), linear.flows
    return chosen if chosen and swaps_many(linear.network, flows.x) else [flows.x, *chosen]


def _whole_standing(ledger: Ledger, linear: Linear) -> tuple[Any, ...]:
    """What decides between two answers, reserves included: they come after all calls and before cost."""
    uses = ledger.network.uses
    short, _ = count_reserves(ledger.network, ledger, linear.solver, linear.limits)
    lacking = np.maximum(short - 10 * COVERED * uses.size[uses.demands : uses.asking], 0.0)
    shortfalls, cost, recalls = standing(ledger)
    return shortfalls, round(float(lacking.sum()), 2), cost, recalls


def _with_reserves(linear: Linear, mip_gap: float) -> Ledger:
    """What an integer program makes of all edges, those included on which reserves count what stays."""
    network = linear.network
    edge = np.flatnonzero(network.in_lots | network.into_reserve)
    view = View(network, edge, FLOAT)
    program = in_lots(network, view)
    price = prices_of_cover(network, linear.flows)
    ledger = Ledger(network, np.flatnonzero(network.in_lots), {})
    effort = _effort(ledger, linear.limits, mip_gap)
    try:
        passes = Passes(network, program, view, linear.solver, effort)
        solution = passes.in_order()
    except SolverError:
        return ledger
    found = np.zeros(len(network.edges))
    scaled = np.clip(solution.x[: len(edge)], 0.0, None) * passes.scaling.column[: len(edge)]
    found[edge] = in_whole_lots(scaled, view, program)
    answers = []
    for _ in taken_over(ledger, found[ledger.edge], price[ledger.edge]):
        leave_in_place(ledger)
        answers.append((_whole_standing(ledger, linear), ledger.snapshot()))
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
    linear: Linear, targets: Sequence[Floats], mip_gap: float, set_aside: dict[int, Fraction]
) -> tuple[Linear, Ledger]:
    """The best of what ``targets`` come to in whole lots, improved by an integer program where that is worth it."""
    network, flows, solver, limits = linear.network, linear.flows, linear.solver, linear.limits
    prices = prices_of_cover(network, flows)
    carries = np.any([x > 0 for x in targets], axis=0)
    pool = _pool(network, flows, carries) if linear.reduction is None else np.flatnonzero(network.in_lots)
    ledger = _best_placed(network, flows, targets, pool, prices, mip_gap, set_aside)
    if limits.are_over:
        leave_in_place(ledger)
        trim_all(ledger, prices[ledger.edge])
        return linear, ledger
    short = np.flatnonzero(np.array([float(s) for s in ledger.shortfalls()]) > flows.short[: network.uses.demands])
    wide = linear.widened(short)
    if wide is not linear:
        targets = _on_lines(wide, mip_gap) if _caps_assets(network) else [wide.flows.x]
        return _settled(wide, targets, mip_gap, set_aside)
    wider = np.union1d(pool, np.flatnonzero(np.isin(network.edges.use, short) & _whole_lines(network)))
    if len(wider) > len(pool):
        # The edges nearest to being used may be those that make no whole line: what is short asks all the others.
        ledger = _best_placed(network, flows, targets, wider, prices, mip_gap, set_aside)
    make_way(ledger, prices[ledger.edge])
    if len(network.switches) and not is_close_enough(ledger, flows, mip_gap):
        if _caps_assets(network):
            _settle_lots(ledger, linear, targets, prices, mip_gap)
        else:
            _choose_lines(ledger, linear, targets, prices, mip_gap)
    tiny = len(ledger.edge) <= (FOCUS if _caps_assets(network) else TINY)
    may_search = tiny or not _caps_assets(network)
    if (may_search and _leaves_short(ledger, flows)) or (tiny and not is_close_enough(ledger, flows, mip_gap)):
        polish(ledger, prices[ledger.edge], solver, _effort(ledger, limits, mip_gap), FINE)
    leave_in_place(ledger)
    trim_all(ledger, prices[ledger.edge])
    return linear, ledger


def _caps_assets(network: Network) -> bool:
    """Whether some call may be given only so many assets."""
    return any(label[0] == "asset" for label in network.switches.labels)


def _choose_lines(ledger: Ledger, linear: Linear, targets: Sequence[Floats], prices: Floats, mip_gap: float) -> None:
    """Improve the ledger by integer programs over few edges, in which lines that cost or count are chosen."""
    flows, solver, limits = linear.flows, linear.solver, linear.limits
    for fine in (COARSE, FINE):
        if _is_shorter(ledger, flows) and len(ledger.edge) <= SMALL:
            # Any edge may be the one that helps.
            polish(ledger, prices[ledger.edge], solver, _effort(ledger, limits, mip_gap), fine, Passes.least_shortfalls)
    # Movements are a matter of which lines: there the root of the search finds nearly all there is to find.
    few = _focused(ledger, targets, prices)
    polish(few, prices[few.edge], solver, replace(_effort(few, limits, mip_gap), mip_nodes=1), COARSE)
    _spread(few, ledger)


def _settle_lots(ledger: Ledger, linear: Linear, targets: Sequence[Floats], prices: Floats, mip_gap: float) -> None:
    """Find the best lots of the lines there are; then, where single lots leave a call short, other lines for it."""
    network, flows = linear.network, linear.flows
    limits = replace(linear.limits, mip_gap=mip_gap, mip_nodes=LOT_NODES)
    price = flows.reduced_cost
    search = LineSearch(network, price, linear.solver, limits, mip_gap)
    among = nearest(network, price, BESIDE, network.in_lots)
    in_vain = 0
    for turn in range(REPEATS + 1):
        short = [j for j in range(network.uses.calls) if ledger.missing[j] > 0][:MOST_SHORT] if turn else [-1]
        for j in short:
            if turn and (limits.are_over or not _is_shorter(ledger, flows)):
                return
            search.x = np.zeros(len(network.edges))
            search.x[ledger.edge] = ledger.market_values()
            there = search.x > 0
            if turn:
                joining = among[np.isin(network.edges.use[among], search.beside(j, TOGETHER, turn - 1))]
                there[np.intersect1d(joining, ledger.edge)] = True
            else:
                there |= np.any([x > 0 for x in targets[-1:] if x is not flows.x], axis=0)
                there[sorted(network.pinned)] = True
            few = narrowed(ledger, np.flatnonzero(there), with_switches_of(network, there))
            before = ledger.snapshot()
            # With a penalty on what is short, and not step by step, the cost stays in sight. Other lines are a matter
            # of what is large; with every small lot in whole numbers too, small books take minutes.
            fine = COARSE if turn else FINE
            polish(few, prices[few.edge], linear.solver, limits, fine, Passes.cover_everything)
            _spread(few, ledger)
            in_vain = in_vain + 1 if turn and ledger.snapshot() == before else 0
            if in_vain >= max(PATIENCE, IN_VAIN // (len(few.edge) + 1)):
                return


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
        if not is_close_enough(ledger, flows, mip_gap):
            refit(ledger, price)
        if best is None or standing(ledger) < best[0]:
            best = standing(ledger), ledger.snapshot()
    assert best is not None
    ledger.restore(best[1])
    return ledger


def _whole_lines(network: Network) -> Bools:
    """Edges whose source holds at least the smallest line that may be delivered there."""
    return network.in_lots & (network.held[network.edges.source] >= network.least_value * (1 - 1e-9))


def _pool(network: Network, flows: Flows, carries: Bools) -> Ints:
    """The edges that lots are looked for on: all, or those that carry something and those near."""
    if np.count_nonzero(network.in_lots) <= SMALL:
        return np.flatnonzero(network.in_lots)
    return near_to_use(network, flows, carries, network.in_lots)


def near_to_use(network: Network, flows: Flows, carries: Bools, among: Bools, count: int = NEAR) -> Ints:
    """The edges that carry something and, of those ``among`` which to choose, the ``count`` nearest to it of each call;
    of holdings with some left, as many again.
    """
    edges, sources, leaving = network.edges, network.sources, network.in_lots
    drawn = np.bincount(edges.source, weights=np.where(leaving, flows.x, 0.0), minlength=len(sources))
    whole = _whole_lines(network) & among
    spare = whole & ((network.held - drawn)[edges.source] >= network.lot_value)
    per_cover = flows.reduced_cost / edges.factor
    near = [_nearest(edges.use, per_cover, np.flatnonzero(kind), count) for kind in (whole, spare)]
    pinned = np.array(sorted(network.pinned), dtype=np.int64)
    return np.unique(np.concatenate([*near, pinned, np.flatnonzero(leaving & carries)]))


def _nearest(use: Ints, price: Floats, among: Ints, count: int) -> Ints:
    """Of the edges ``among``, the ``count`` cheapest of each call."""
    order = among[np.lexsort((among, price[among], use[among]))]
    return order[place_in_run(use[order]) < count]


def prices_of_cover(network: Network, flows: Flows) -> Floats:
    """Per edge: basis points a year for one unit of cover, with what the supply and limits it takes are worth."""
    uses = network.uses
    worth = [flows.duals[("cover", *label)] for label in uses.label[: uses.asking]]
    worth += [-flows.duals[("conversion", uses.ids[k])] for k in uses.facilities]
    worth += [0.0] * (len(uses) - len(worth))
    marginal = np.array(worth, dtype=np.float64)[network.edges.use]
    return np.maximum(flows.reduced_cost / network.edges.factor + marginal, 0.0)


def is_close_enough(ledger: Ledger, flows: Flows, mip_gap: float) -> bool:
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
