"""Lines that cost something for being there at all, or of which there may be only so many.

A line is what a use takes of one holding or one facility, whether it was at home or had to be recalled first; a recall
of one holding from one agreement is a movement too, wherever it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from collateral_opt.network.exact import exact
from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Edges, Floats, Ints, Kind, Switches


def switches(facts: Facts, edges: Edges, horizon_years: Fraction) -> Switches:
    """The switches that the book's movement costs, move budget and caps on lines ask for; none where it has none."""
    groups = [*_movements(facts, edges, horizon_years), *_assets_per_call(facts, edges)]
    per_call: dict[str, list[int]] = {}
    for at, (label, *_) in enumerate(groups):
        if label[0] == "asset":
            per_call.setdefault(label[1], []).append(at)
    is_move = np.array([move for *_, move in groups], dtype=bool)
    budgets = [(f"call {name}", np.array(at, dtype=np.int64), _cap(facts, name)) for name, at in per_call.items()]
    if facts.book.settings.max_moves is not None:
        budgets.append(("moves", np.flatnonzero(is_move), facts.book.settings.max_moves))
    return Switches(
        labels=[label for label, *_ in groups],
        edge=np.concatenate([np.zeros(0, dtype=np.int64), *(edge for _, edge, *_ in groups)]),
        switch=np.repeat(np.arange(len(groups)), [len(edge) for _, edge, *_ in groups]),
        fixed=[fixed for *_, fixed, _, _ in groups],
        worth=[worth for *_, worth, _ in groups],
        is_move=is_move,
        budgets=budgets,
    )


def counts_lines(facts: Facts) -> bool:
    """Whether a line can cost something for being there, or lines are counted."""
    caps = facts.agreements.max_lines[facts.uses.agreement[: facts.uses.calls]]
    return _movements_count(facts) or bool(np.isfinite(caps).any())


def _movements_count(facts: Facts) -> bool:
    settings = facts.book.settings
    costs = bool(np.any(facts.book.locations["move_cost"])) and any(side.any() for side in _move_costs(facts))
    return costs or settings.max_moves is not None or bool(settings.min_saving_per_move)


Group = tuple[tuple[str, ...], Ints, Fraction, Fraction, bool]
"""Label, edges, fixed cost, what it must save, and whether it is a move."""


def _movements(facts: Facts, edges: Edges, horizon_years: Fraction) -> Iterator[Group]:
    """Lines to calls, requirements and facilities, then recalls, where any of that costs or is counted."""
    if not _movements_count(facts):
        return
    uses, sources = facts.uses, facts.sources
    leaving, arriving = _move_costs(facts)
    worth = exact(facts.book.settings.min_saving_per_move) * 10_000 / horizon_years
    taken = np.flatnonzero((uses.kind[edges.use] != Kind.RESERVE) & (uses.kind[edges.use] != Kind.HOME))
    from_where = np.where(sources.is_facility, np.arange(len(sources)), sources.holding)[edges.source[taken]]
    for (use, source), edge in _grouped(taken, edges.use[taken], from_where):
        fixed = exact(leaving[source]) * 10_000 / horizon_years
        is_move = bool(uses.kind[use] != Kind.FACILITY)
        yield ("line", *uses.label[use], sources.ids[source]), edge, fixed, worth if is_move else Fraction(0), is_move
    recalled = np.flatnonzero(sources.is_posted[edges.source])
    posted = edges.source[recalled]
    lies_at, holding, asset = sources.lies_at[posted], sources.holding[posted], sources.asset[posted]
    for (agreement, joins, paper), edge in _grouped(recalled, lies_at, holding, asset):
        into = sources.ids[joins] if joins >= 0 else ""
        fixed = exact(arriving[agreement]) * 10_000 / horizon_years
        label = ("recall", facts.agreements.ids[agreement], facts.assets.ids[paper], into)
        yield label, edge, fixed, worth, True


def _move_costs(facts: Facts) -> tuple[Floats, Floats]:
    """What a movement out of each source, and out of each agreement, costs in base currency; of proceeds nothing."""
    at = {name: i for i, name in enumerate(facts.book.holdings["holding_id"])}
    costs = facts.movements.holding_move_costs()
    leaving = np.zeros(len(facts.sources))
    for i in np.flatnonzero(facts.sources.is_holding).tolist():
        leaving[i] = costs[at[facts.sources.ids[i]]]
    rows = facts.agreements.row.tolist()
    return leaving, np.array([facts.movements.agreement_move_cost(row) for row in rows], dtype=np.float64)


def _assets_per_call(facts: Facts, edges: Edges) -> Iterator[Group]:
    """The distinct assets of each call whose agreement caps their number."""
    caps = facts.agreements.max_lines
    capped = np.flatnonzero(facts.uses.kind == Kind.CALL)
    capped = capped[np.isfinite(caps[facts.uses.agreement[capped]])]
    if not len(capped):
        return
    into = np.flatnonzero(np.isin(edges.use, capped))
    asset = facts.sources.asset[edges.source[into]]
    for (use, paper), edge in _grouped(into, edges.use[into], asset):
        yield ("asset", facts.uses.ids[use], facts.assets.ids[paper]), edge, Fraction(0), Fraction(0), False


def _cap(facts: Facts, call_id: str) -> int:
    use = list(facts.uses.ids[: facts.uses.calls]).index(call_id)
    return int(facts.agreements.max_lines[facts.uses.agreement[use]])


def _grouped(edges: Ints, *keys: Ints) -> Iterator[tuple[tuple[int, ...], Ints]]:
    """``edges`` by their keys, in the order of these."""
    if not len(edges):
        return
    order = np.lexsort((edges, *reversed(keys)))
    stacked = np.stack([key[order] for key in keys], axis=1)
    starts = np.flatnonzero(np.append(True, (stacked[1:] != stacked[:-1]).any(axis=1)))
    for first, members in zip(starts.tolist(), np.split(edges[order], starts[1:]), strict=True):
        yield tuple(stacked[first].tolist()), members
