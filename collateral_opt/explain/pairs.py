"""Why a line is there, and why a pair is not used: by its full cost, or by whatever keeps it out."""

from __future__ import annotations

import numpy as np

from collateral_opt.explain.answered import Answered, Delivered, limit_name
from collateral_opt.explain.optimum import Slope
from collateral_opt.explain.records import Alternative, Line, NotUsed, Obstacle
from collateral_opt.network.network import Barrier, Ints, Kind

NEAREST = 3
"""Pairs of least reduced cost of which the cheapest is the next best."""
SAME = 1e-6
"""Basis points a year below which nothing is dearer than anything."""
NANOSECONDS_PER_HOUR = 3_600_000_000_000

_OBSTACLES: dict[Barrier, Obstacle] = {
    Barrier.INELIGIBLE: "eligibility",
    Barrier.WRONG_WAY: "wrong way",
    Barrier.MATURES: "maturity",
    Barrier.LATE: "time",
    Barrier.NOTHING_HELD: "nothing held",
    Barrier.FORBIDDEN: "pin",
}


def lines_of(answered: Answered, use: int) -> list[Line]:
    """Why each line to ``use`` is there, in the order of the tables."""
    mine = [line for line in answered.delivered if line.use == use]
    if not mine:
        return []
    best = _next_best(answered, use)
    return [_line(answered, line, best) for line in mine]


def _next_best(answered: Answered, use: int) -> tuple[int, Slope] | None:
    """The edge of the cheapest pair that does not serve ``use``, and what forcing one unit onto it costs."""
    edges, reduced = answered.reduced_costs(use)
    factor, source = answered.network.edges.factor, answered.network.edges.source
    others = np.flatnonzero(~answered.given_to(use)[source[edges]] & answered.optimum.may_carry[edges])
    nearest: Ints = edges[others[np.argsort(reduced[others], kind="stable")][:NEAREST]]
    found = [(edge, answered.optimum.slope({}, {edge: 1.0})) for edge in nearest.tolist()]
    possible = [(edge, slope) for edge, slope in found if slope.duals is not None]
    return min(possible, key=lambda pair: pair[1].bps / factor[pair[0]], default=None)


def _line(answered: Answered, line: Delivered, best: tuple[int, Slope] | None) -> Line:
    optimum, network = answered.optimum, answered.network
    edge = optimum.edge(line.use, line.source)
    duals = optimum.duals if best is None or best[1].duals is None else best[1].duals
    call, agreement, facility = answered.place_of(line.use)
    holding, proceeds = answered.holding_and_facility(line.source)
    alternative = None
    if best is not None:
        factor, source = float(network.edges.factor[best[0]]), int(network.edges.source[best[0]])
        other_holding, other_facility = answered.holding_and_facility(source)
        alternative = Alternative(
            holding_id=other_holding,
            facility_id=other_facility,
            asset_id=answered.asset_of(source),
            haircut=1 - factor,
            cost=answered.cost(best[0], duals, line.collateral_value / factor),
            dearer_bps=best[1].bps / factor,
        )
    return Line(
        call_id=call,
        agreement_id=agreement,
        facility_input=facility,
        holding_id=holding,
        facility_id=proceeds,
        asset_id=answered.asset_of(line.source),
        market_value=line.market_value,
        collateral_value=line.collateral_value,
        haircut=line.haircut,
        cost=answered.cost(edge, duals, line.market_value),
        worth_bps=answered.worth(line.use, duals),
        next_best=alternative,
    )


def why_not(answered: Answered, use: int, source: int) -> NotUsed:
    """What keeps ``source`` away from ``use``, to which the answer gives nothing of it."""
    reach = answered.problem.reach
    barrier = Barrier(int(reach.barriers(use)[source]))
    return _by_cost(answered, use, source) if barrier == Barrier.NONE else _kept_out(answered, use, source, barrier)


def _kept_out(answered: Answered, use: int, source: int, barrier: Barrier) -> NotUsed:
    facts, reach = answered.problem.facts, answered.problem.reach
    reason = reach.match(use).why(int(facts.sources.asset[source])) if barrier == Barrier.INELIGIBLE else None
    late = None
    if barrier == Barrier.LATE and answered.uses.kind[use] != Kind.RESERVE:
        late = float(facts.sources.deliverable_at[source] - facts.terms.due[use]) / NANOSECONDS_PER_HOUR
    return _not_used(
        answered,
        use,
        source,
        obstacle=_OBSTACLES[barrier],
        why=reach.why(use, source),
        rule=(reason.rule or None) if reason else None,
        missing=reason.missing if reason else (),
        hours_late=late,
    )


def _by_cost(answered: Answered, use: int, source: int) -> NotUsed:
    """Nothing stands between the two but limits, and what it costs."""
    optimum, size = answered.optimum, float(answered.uses.size[use])
    edge = optimum.edge(use, source)
    if edge < 0:
        return _not_used(answered, use, source, obstacle="cost", why="it is not among the pairs near the optimum")
    factor = float(answered.network.edges.factor[edge])
    if optimum.x[edge] * factor > 1e-9 * size:
        carried = f"the linear program would give {optimum.x[edge]:,.2f} of it; whole lots do without"
        return _not_used(answered, use, source, obstacle="lots", why=carried)
    slope = optimum.slope({}, {edge: 1.0})
    if slope.duals is None:
        full = _shut(answered, edge)
        why = "there is no room for it, whatever gives way"
        return _not_used(answered, use, source, obstacle="limit", why=why, limits=tuple(full))
    cost = answered.cost(edge, slope.duals, size / factor)
    limits = tuple(limit_name(label) for label in answered.room_taken(edge, slope.duals))
    without_room, without_scarcity = slope.bps - cost.limits, slope.bps - cost.scarcity - cost.reserve
    obstacle: Obstacle = "cost"
    if slope.bps <= SAME:
        obstacle, why = "tie", "it would cost no more; others come first"
    elif limits and without_room <= SAME:
        obstacle, why = "limit", f"its room is better used by others: {', '.join(limits)}"
    elif without_scarcity <= SAME:
        why = "what there is of it saves more elsewhere"
    else:
        why = "it costs more than what is used"
    return _not_used(
        answered,
        use,
        source,
        obstacle=obstacle,
        why=why,
        limits=limits,
        too_dear_bps=max(slope.bps, 0.0),
        cost=cost,
        worth_bps=answered.worth(use, slope.duals),
    )


def _shut(answered: Answered, edge: int) -> list[str]:
    """Limits that ``edge`` is in and that have no room at all."""
    labels, at = answered.optimum.program.rows.labels, answered.optimum.bounds.row_upper
    rows = [row for row, weight in answered.optimum.rows_of(edge).items() if weight > 0 and at[row] <= 0]
    return [limit_name(labels[row]) for row in sorted(rows) if labels[row][0] == "limit"]


def _not_used(answered: Answered, use: int, source: int, **said: object) -> NotUsed:
    call, agreement, _ = answered.place_of(use)
    holding, facility = answered.holding_and_facility(source)
    return NotUsed.model_validate(
        {
            "call_id": call,
            "agreement_id": agreement,
            "holding_id": holding,
            "facility_id": facility,
            "asset_id": answered.asset_of(source),
            **said,
        }
    )
