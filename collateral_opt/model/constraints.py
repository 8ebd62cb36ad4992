"""The constraints, one function each: the formula, what its dual means, then the rows.

``x_e`` is the market value in base currency on edge ``e`` (``y_ir`` where it is only counted, for a reserve);
``short_j`` the collateral value that call or reserve ``j`` is left without. A function reads a
:class:`~collateral_opt.network.View`, so the same lines give floats for a solver and fractions for what is delivered.
Columns are the view's edges, then one shortfall per call and reserve where rows have one.
"""

from __future__ import annotations

import numpy as np

from collateral_opt.model.program import Floats, Labels, Presence, Rows
from collateral_opt.network.exact import Array
from collateral_opt.network.network import Bools, Ints, Kind, LimitBlock, View
from collateral_opt.network.runs import distinct, ranges


def cover(view: View) -> Rows:
    """``sum_e f_e x_e - sum_(e recalled from j) f_p x_e + short_j = R_j`` for every use ``j`` that asks.

    ``f_p`` is the factor of what is recalled where it lies. An agreement with more than it requires (``R_j < 0``) may
    be left with any part of that; a call with more pinned to it than it asks for, with just that. The dual is the
    cost of one more unit of the call, in basis points a year.
    """
    uses, funded_by = view.network.uses, view.network.sources.funded_by[view.source]
    asked = np.flatnonzero(view.use < uses.asking)
    recalled = np.flatnonzero((funded_by >= 0) & (funded_by < uses.asking))
    pinned = view.network.pinned_cover
    required = view.arithmetic.fractions(uses.required[: uses.asking])
    most = required.copy()
    most[uses.calls :] = np.maximum(required[uses.calls :], view.arithmetic.number(0.0))
    for use, least in pinned.items():
        if use < uses.asking:
            most[use] = max(most[use], view.arithmetic.number(least))
    return Rows(
        labels=[("cover", *label) for label in uses.label[: uses.asking]],
        row=np.concatenate([view.use[asked], funded_by[recalled], np.arange(uses.asking)]),
        column=np.concatenate([asked, recalled, len(view.edge) + np.arange(uses.asking)]),
        coefficient=np.concatenate(
            [view.factor[asked], -view.drain_factor[recalled], view.arithmetic.ones(uses.asking)]
        ),
        lower=required,
        upper=most,
    )


def supply(view: View) -> Rows:
    """``sum_e x_e <= A_i`` over the edges on which source ``i`` leaves: a holding's value, a facility's capacity.

    The negative dual is the source's scarcity: what one more unit of it would save, in basis points a year.
    """
    leaving = np.flatnonzero(~view.into_reserve)
    drawn, row = distinct(view.source[leaving], len(view.network.sources))
    return Rows(
        labels=Labels(len(drawn), lambda: [("supply", *_source_label(view, i)) for i in drawn.tolist()]),
        row=row,
        column=leaving,
        coefficient=view.arithmetic.ones(len(leaving)),
        lower=np.full(len(drawn), -np.inf),
        upper=view.available(drawn),
        about=drawn,
    )


def stays_home(view: View) -> Rows:
    """``y_ir + sum_e x_e - sum_(recalled into i) x_e <= A_i`` for every holding ``i`` that a reserve ``r`` may count.

    What leaves cannot be counted, what comes home can, and each reserve counts for itself. The negative dual is what
    one more unit of the holding would save because of that reserve.
    """
    sources, uses = view.network.sources, view.network.uses
    counted = np.flatnonzero(view.into_reserve)
    comes_home = uses.kind[view.use] == Kind.HOME
    moves = np.flatnonzero(~view.into_reserve & (sources.is_holding[view.source] | comes_home))
    holding = sources.holding[view.source]
    by_source = moves[np.argsort(holding[moves], kind="stable")]
    first = np.searchsorted(holding[by_source], view.source[counted])
    last = np.searchsorted(holding[by_source], view.source[counted], side="right")
    row = np.repeat(np.arange(len(counted)), last - first)
    column = by_source[ranges(first, last)]
    return Rows(
        labels=Labels(
            len(counted),
            lambda: [("home", *_source_label(view, int(view.source[e])), uses.ids[view.use[e]]) for e in counted],
        ),
        row=np.concatenate([np.arange(len(counted)), row]),
        column=np.concatenate([counted, column]),
        coefficient=np.concatenate(
            [
                view.arithmetic.ones(len(counted)),
                view.arithmetic.zeros(len(column)) + np.where(comes_home[column], -1, 1),
            ]
        ),
        lower=np.full(len(counted), -np.inf),
        upper=view.available(view.source[counted]),
        about=view.edge[counted],
    )


def conversion(view: View) -> Rows:
    """``sum_(e out of k) x_e - sum_(e into k) f_e x_e <= 0`` for every facility ``k`` that takes something.

    The negative dual is what one more unit of funding at the facility would save, in basis points a year.
    """
    uses, funded_by = view.network.uses, view.network.sources.funded_by
    given = np.flatnonzero(uses.kind[view.use] == Kind.FACILITY)
    spent = np.flatnonzero(funded_by[view.source] >= uses.asking)
    count = len(uses.facilities)
    return Rows(
        labels=[("conversion", uses.ids[k]) for k in uses.facilities],
        row=np.concatenate([view.use[given], funded_by[view.source[spent]]]) - uses.asking,
        column=np.concatenate([given, spent]),
        coefficient=np.concatenate([-view.factor[given], view.arithmetic.ones(len(spent))]),
        lower=np.full(count, -np.inf),
        upper=view.arithmetic.zeros(count),
    )


def concentration(view: View, block: LimitBlock) -> Rows:
    """``sum_(e in group) w_e x_e <= cap - what lies there``, for each group of a constant cap.

    ``w_e`` is 1, ``f_e`` or ``1/u_e`` as the limit measures market value, value after haircut or quantity, and below
    zero for what is recalled. A group that is shut takes nothing, whatever is recalled from it; one that could take
    all there is has no row. The negative dual is what one more unit of the cap would save, in basis points a year.
    """
    column, at = view.columns_of(block.edge)
    if block.loose is not None:
        bound = ~block.loose[block.group[at]]
        column, at = column[bound], at[bound]
    groups, row = distinct(block.group[at], len(block.groups))
    caps = block.cap.values(block.measure, groups, view.network.assets, view.arithmetic)
    room = caps - _lying(view, block, groups)
    room[block.shut[groups]] = view.arithmetic.number(0.0)
    recalled = block.recalled[at]
    counts = signed_weight(view, block.measure, column, recalled)
    stands = ~(block.shut[groups][row] & recalled)
    return Rows(
        labels=_labels(block, groups),
        row=row[stands],
        column=column[stands],
        coefficient=counts[stands],
        lower=np.full(len(groups), -np.inf),
        upper=room,
        about=groups,
    )


def share_of_posted(view: View, block: LimitBlock) -> Rows:
    """``sum_(e in group) w_e x_e - share * sum_e w_e x_e <= share * P - P_g``, for each group.

    ``P`` is all that lies at the agreement already, ``P_g`` the group's part of it, in the limit's measure. The dual
    enters every edge of the agreement, inside the group or not. A group that is shut takes nothing: its row is
    ``sum_(e in group) w_e x_e <= 0``.
    """
    share = view.arithmetic.number(block.cap.share)
    column, at = view.columns_of(block.edge)
    groups, row = distinct(block.group[at], len(block.groups))
    everywhere, _ = view.columns_of(block.scope)
    counts = signed_weight(view, block.measure, everywhere, view.network.leaves(block, view.edge[everywhere]))
    coefficient = np.tile(-share * counts, (len(groups), 1))
    shut = block.shut[groups]
    coefficient[shut] = view.arithmetic.number(0.0)
    position = np.searchsorted(everywhere, column)
    stands = ~(shut[row] & block.recalled[at])
    coefficient[row[stands], position[stands]] += counts[position[stands]]
    lying = _lying(view, block, groups)
    room = share * view.arithmetic.number(block.posted_total) - lying
    room[shut] = view.arithmetic.number(0.0)
    used = (coefficient != 0).ravel()
    return Rows(
        labels=_labels(block, groups),
        row=np.repeat(np.arange(len(groups)), len(everywhere))[used],
        column=np.tile(everywhere, len(groups))[used],
        coefficient=coefficient.ravel()[used],
        lower=np.full(len(groups), -np.inf),
        upper=room,
        about=groups,
    )


def promised(view: View, most: Floats) -> Rows:
    """``sum_j short_j <= S_p`` over the calls and reserves of priority rank ``p``: what earlier aims reached is kept.

    ``most`` [ranks] may be infinite, before a rank has had its turn.
    """
    uses = view.network.uses
    return Rows(
        labels=[("promised", str(rank)) for rank in range(len(most))],
        row=uses.priority,
        column=len(view.edge) + np.arange(uses.asking),
        coefficient=np.ones(uses.asking),
        lower=np.full(len(most), -np.inf),
        upper=most,
    )


def least_line(view: View, column: Ints, line: Ints, first_switch: int, least: Floats, most: Floats) -> Rows:
    """``least_l z_l <= sum_(e in line l) x_e <= most_l z_l``: a line is nothing, or at least its least quantity.

    ``column`` are the edges of the lines, ``line`` the line of each (0, 1, ...); ``z_l`` is a switch of 0 or 1, one
    for each line, from column ``first_switch`` on.
    """
    count = len(least)
    switch = first_switch + np.arange(count)
    _, first = np.unique(line, return_index=True)
    uses, sources = view.network.uses.ids, view.network.sources.ids
    names = [(uses[view.use[e]], sources[view.source[e]]) for e in column[first].tolist()]
    return Rows(
        labels=[("least", *name) for name in names] + [("most", *name) for name in names],
        row=np.concatenate([line, count + line, np.arange(2 * count)]),
        column=np.concatenate([column, column, switch, switch]),
        coefficient=np.concatenate([np.ones(2 * len(column)), -least, -most]),
        lower=np.concatenate([np.zeros(count), np.full(count, -np.inf)]),
        upper=np.concatenate([np.full(count, np.inf), np.zeros(count)]),
    )


def release(view: View) -> Rows:
    """``sum_(e recalled) f_p x_e <= free + sum_(e settled by then) f_e x_e``: no recall before its replacement.

    One row for each time by which something recalled from an agreement is needed elsewhere.
    """
    known = view.network.releases
    parts = [(view.columns_of(r.recall)[0], view.columns_of(r.replacement)[0]) for r in known]
    nothing = view.arithmetic.zeros(0)
    return Rows(
        labels=[("release", r.agreement, str(r.number)) for r in known],
        row=np.repeat(np.arange(len(known)), [len(out) + len(back) for out, back in parts]),
        column=np.concatenate([np.zeros(0, np.int64), *(column for part in parts for column in part)]),
        coefficient=np.concatenate(
            [nothing, *(c for out, back in parts for c in (view.drain_factor[out], -view.factor[back]))]
        ),
        lower=np.full(len(known), -np.inf),
        upper=view.arithmetic.fractions([r.free for r in known]),
    )


def whole_row(view: View) -> Rows:
    """``x_odd / V_odd <= sum_(e out of p) x_e / V_p``: an odd lot comes home with all whole lots of its row.

    ``V`` are the market values of all there is of either; ``x_odd`` is all of its own or nothing.
    """
    rows = view.network.odd_rows
    sources = np.array(rows, dtype=np.int64).reshape(-1, 2)
    row, column, coefficient = [], [], []
    for side, sign in ((1, 1), (0, -1)):
        available = view.available(sources[:, side])
        at = {source: k for k, source in enumerate(sources[:, side].tolist())}
        out = [k for k, source in enumerate(view.source.tolist()) if source in at] if at else []
        row += [at[int(view.source[k])] for k in out]
        column += out
        coefficient += [sign / available[at[int(view.source[k])]] for k in out]
    weights = np.empty(len(coefficient), dtype=object if view.arithmetic.is_exact else np.float64)
    weights[:] = coefficient
    return Rows(
        labels=[("row", *_source_label(view, whole)) for whole, _ in rows],
        row=np.array(row, dtype=np.int64),
        column=np.array(column, dtype=np.int64),
        coefficient=weights,
        lower=np.full(len(rows), -np.inf),
        upper=view.arithmetic.zeros(len(rows)),
    )


def switched(view: View, first_switch: int, most: Floats) -> Rows:
    """``sum_(e in line g) x_e <= most_g z_g``: a line that carries anything is there.

    ``z_g`` is the line's switch between 0 and 1, from column ``first_switch`` on.
    """
    switches = view.network.switches
    column, at = view.columns_of(switches.edge)
    on = np.arange(len(switches))
    return Rows(
        labels=[("switch", *label) for label in switches.labels],
        row=np.concatenate([switches.switch[at], on]),
        column=np.concatenate([column, first_switch + on]),
        coefficient=np.concatenate([np.ones(len(column)), -most]),
        lower=np.full(len(switches), -np.inf),
        upper=np.zeros(len(switches)),
    )


def budgets(view: View, presence: Presence) -> Rows:
    """``sum_(g in budget) z_g <= most lines``: so many assets a call, so many moves a run."""
    known = view.network.switches.budgets
    order = np.argsort(presence.line, kind="stable")
    line, columns = presence.line[order], int(presence.column.max(initial=0)) + 1
    budget = np.repeat(np.arange(len(known)), [len(members) for _, members, _ in known])
    members = np.concatenate([np.zeros(0, np.int64), *(members for _, members, _ in known)])
    first, last = (np.searchsorted(line, members, side) for side in ("left", "right"))
    entry = order[ranges(first, last)]
    # A column may be part of several lines of one budget.
    place, at = np.unique(np.repeat(budget, last - first) * columns + presence.column[entry], return_inverse=True)
    return Rows(
        labels=[("budget", name) for name, _, _ in known],
        row=place // columns,
        column=place % columns,
        coefficient=np.bincount(at, weights=presence.coefficient[entry], minlength=len(place)),
        lower=np.full(len(known), -np.inf),
        upper=np.array([most for _, _, most in known], dtype=np.float64),
    )


def limits(view: View) -> list[Rows]:
    """The rows of every limit, in the order of the network's blocks."""
    return [(share_of_posted if b.cap.of == "posted" else concentration)(view, b) for b in view.network.limits]


def weight(view: View, measure: str, column: Ints) -> Array:
    """How much one unit of market value counts in ``measure``."""
    if measure == "value_after_haircut":
        return view.factor[column]
    if measure == "quantity":
        return view.arithmetic.ones(len(column)) / view.unit_value[column]
    return view.arithmetic.ones(len(column))


def signed_weight(view: View, measure: str, column: Ints, recalled: Bools) -> Array:
    """How much one unit of market value on each column adds in ``measure``, or takes away where ``recalled``."""
    counts = weight(view, measure, column)
    out = np.flatnonzero(recalled)
    if len(out):
        counts = counts.copy()
        counts[out] = -(view.drain_factor[column[out]] if measure == "value_after_haircut" else counts[out])
    return counts


def _lying(view: View, block: LimitBlock, groups: Ints) -> Array:
    """What lies there already of each of ``groups``."""
    return view.arithmetic.fractions([block.posted[g] for g in groups.tolist()])


def _labels(block: LimitBlock, groups: Ints) -> Labels:
    return Labels(
        len(groups),
        lambda: [block.row(block.groups[g]) for g in groups.tolist()],
    )


def _source_label(view: View, source: int) -> tuple[str, ...]:
    sources = view.network.sources
    if sources.is_facility[source]:
        return ("proceeds", sources.ids[source])
    return ("posted", sources.ids[source]) if sources.is_posted[source] else (sources.ids[source],)
