"""Why a call is short: the smallest change of each kind that would cover it, while nobody else gets any shorter.

The formulation is that of the run, with columns that the run has not: pairs that something stands in the way of, and
slacks on supplies and limits. Of one kind at a time they may be used, and as little of them as covers the call; what is
then used is what would have to give. A shortfall of the call itself is so dear there that it is left only where no
change of that kind covers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from collateral_opt.errors import InfeasibleError
from collateral_opt.explain.answered import Answered, limit_name
from collateral_opt.explain.generated import Bounds, Generated
from collateral_opt.explain.optimum import ROOM, pairs_added
from collateral_opt.explain.pairs import NANOSECONDS_PER_HOUR
from collateral_opt.explain.records import Kind, Needed, Remedy, Shortfall
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Ints, Labels, Program, scale
from collateral_opt.network.network import Barrier, Bools, Edges, Network
from collateral_opt.network.network import Kind as UseKind
from collateral_opt.solve.linear import on_the_road

DEAR = 1e4
"""What a unit left uncovered costs where a unit of change costs 1."""
TRACE = 0.005
"""Changes of less than half a cent are the solver's noise."""
_BARRED: dict[Kind, frozenset[Barrier]] = {
    "eligibility": frozenset({Barrier.INELIGIBLE, Barrier.WRONG_WAY, Barrier.MATURES}),
    "time": frozenset({Barrier.LATE}),
    "supply": frozenset({Barrier.NOTHING_HELD}),
    "pins": frozenset({Barrier.FORBIDDEN}),
}
KINDS: tuple[Kind, ...] = ("eligibility", "supply", "time", "limits", "pins", "others", "together")


def shortfalls(answered: Answered, uses: Sequence[int]) -> list[Shortfall]:
    """Of each of ``uses`` (positions of calls, agreements and reserves) that is short, why."""
    short = [use for use in uses if answered.short[use] > 0]
    if not short:
        return []
    elastic = Elastic(answered, short)
    return [elastic.explained(use) for use in short]


@dataclass(frozen=True)
class _Slack:
    """Columns that let rows give: ``row`` and ``column`` of each entry, what each column is ``of``, and what it costs.

    ``sign``: whether a column takes from its rows (-1) or adds to them.
    """

    kind: Kind
    of: Sequence[tuple[str, ...]]
    row: Ints
    column: Ints
    cost: Floats
    sign: float = -1.0


class Elastic:
    """The program in which whatever stands in the way of the uses ``short`` may give."""

    def __init__(self, answered: Answered, short: Sequence[int]) -> None:
        self._answered = answered
        barred = [(use, kind, source) for use in short for kind in _BARRED for source in self._barred(use, kind)]
        optimum, problem = answered.optimum, answered.problem
        edges = pairs_added(optimum.network.edges, self._edges(barred))
        network = on_the_road(problem.network(edges, all_groups=optimum.is_whole), optimum.network)
        # What is more than there is today could fill limits that nothing fills now.
        self.network = replace(network, limits=[replace(block, loose=None) for block in network.limits])
        program = formulate(self.network)
        self._kind = np.full(program.n_columns, "", dtype=object)
        sources = len(self.network.sources)
        key = edges.use * sources + edges.source
        for use, kind, source in barred:
            self._kind[int(np.searchsorted(key, use * sources + source))] = kind
        self._slacks = [
            _supply_slack(program),
            _limit_slack(self.network, program),
            _short_slack(self.network),
        ]
        self._program = _with_slack(program, self._slacks, unit=float(max(answered.short)))
        self._scaled, self._scaling = scale(self._program)
        is_near = np.isin(key, optimum.network.edges.use * sources + optimum.network.edges.source) & (
            np.isin(edges.use, short)
        )
        used = np.zeros(len(edges), dtype=bool)
        old = np.searchsorted(key, optimum.network.edges.use * sources + optimum.network.edges.source)
        used[old] = optimum.x > 0
        others = np.arange(len(edges), self._program.n_columns)
        begin = np.flatnonzero(is_near | used | (self._kind[: len(edges)] != "") | (program.lower[: len(edges)] != 0))
        self._generated = Generated(self._scaled, np.concatenate([begin, others]))

    def _barred(self, use: int, kind: Kind) -> Iterator[int]:
        """Sources that nothing but this kind of barrier keeps away from a use."""
        sources, is_reserve = self._answered.sources, self._answered.uses.kind[use] == UseKind.RESERVE
        stands = self._answered.problem.reach.all_barriers(use)
        nowhere: Bools = np.zeros(len(sources), dtype=bool)
        mine = np.logical_or.reduce([stands[b] for b in _BARRED[kind]] + [nowhere])
        others = np.logical_or.reduce([at for b, at in stands.items() if b not in _BARRED[kind]])
        usable = mine & ~others & ~sources.is_posted
        if kind == "time" and is_reserve:
            usable = nowhere
        if kind == "supply":
            usable &= sources.is_holding & (sources.quantity <= 0)
        yield from np.flatnonzero(usable).tolist()

    def _edges(self, barred: Sequence[tuple[int, Kind, int]]) -> Edges:
        """Pairs that something stands in the way of; what a schedule gives no factor comes without a haircut."""
        reach, asset = self._answered.problem.reach, self._answered.sources.asset
        pairs = sorted({(use, source) for use, _, source in barred})
        factors: list[Fraction] = []
        for use, source in pairs:
            matched = reach.match(use)
            code = int(matched.factor_code[asset[source]])
            factors.append(matched.factors[code] if code >= 0 else Fraction(1))
        table = tuple(dict.fromkeys(factors))
        return Edges(
            source=np.array([source for _, source in pairs], dtype=np.int64),
            use=np.array([use for use, _ in pairs], dtype=np.int64),
            factor_code=np.array([table.index(f) for f in factors], dtype=np.int64),
            factors=table,
            cost_bps=np.zeros(len(pairs)),
        )

    def explained(self, use: int) -> Shortfall:
        """Why ``use`` is short."""
        uses = self._answered.uses
        kind = UseKind(int(uses.kind[use])).name.lower()
        remedies = {k: self._remedy(use, k) for k in (None, *KINDS)}
        return Shortfall.model_validate(
            {
                "kind": kind,
                "name": uses.ids[use],
                "required": float(uses.required[use]),
                "missing": float(self._answered.short[use]),
                "is_lots": remedies[None].amount is not None,
                "remedies": [remedies[k] for k in KINDS],
            }
        )

    def _remedy(self, use: int, kind: Kind | None) -> Remedy:
        """The smallest change of ``kind`` (None: no change at all) that covers ``use``."""
        bounds, cost = self._asked(use, kind)
        natural = cost * self._scaling.column
        size = float(np.max(np.abs(natural), initial=0.0)) / DEAR or 1.0
        scaled = Bounds(
            bounds.lower / self._scaling.column,
            bounds.upper / self._scaling.column,
            bounds.row_lower / self._scaling.row,
            bounds.row_upper / self._scaling.row,
        )
        name: Kind = kind or "together"
        try:
            x = self._generated.solve(natural / size, scaled, "what stands in the way").x * self._scaling.column
        except InfeasibleError:
            return Remedy(kind=name, amount=None)
        short = len(self.network.edges) + use
        if x[short] > TRACE + ROOM * self._answered.uses.size[use]:
            return Remedy(kind=name, amount=None)
        cost[short] = 0.0
        changed = np.flatnonzero((cost > 0) & (x > TRACE))
        amounts = (cost * x)[changed]
        needed = [self._needed(use, k, float(a)) for k, a in zip(changed.tolist(), amounts.tolist(), strict=True)]
        return Remedy(kind=name, amount=float(np.sum(amounts)), needed=tuple(needed))

    def _asked(self, use: int, kind: Kind | None) -> tuple[Bounds, Floats]:
        """Bounds and costs under which just what is of ``kind`` may give for ``use``."""
        answered, program, edges = self._answered, self._program, len(self.network.edges)
        uses, pairs = answered.uses, self.network.edges
        bounds = Bounds.of(program)
        rows = program.rows.labels
        # How many lines there are, and of which size, is a matter of whole lots.
        free = [row for row, label in enumerate(rows) if label[0] in ("switch", "budget")]
        bounds.row_upper[free] = np.inf
        cost = np.zeros(program.n_columns)
        barred = self._kind[:edges] != ""
        mine = barred & (pairs.use == use) & ((self._kind[:edges] == kind) | (kind == "together"))
        bounds.upper[:edges][barred & ~mine] = 0.0
        cost[:edges][mine] = 1.0
        shorts = slice(edges, edges + uses.asking)
        bounds.upper[shorts] = np.minimum(answered.short, uses.lacking[: uses.asking]) + ROOM * uses.size[: uses.asking]
        bounds.upper[edges + use] = uses.lacking[use]
        cost[edges + use] = DEAR
        for slack, at in self._columns():
            cost[at] = slack.cost
            bounds.upper[at] = np.inf if kind in (slack.kind, "together") else 0.0
            if slack.kind == "others":
                bounds.upper[at.start + use] = 0.0
        return bounds, cost

    def _columns(self) -> Iterator[tuple[_Slack, slice]]:
        """Slacks, and where their columns are."""
        first = self._program.n_columns - sum(len(slack.of) for slack in self._slacks)
        for slack in self._slacks:
            yield slack, slice(first, first + len(slack.of))
            first += len(slack.of)

    def _needed(self, use: int, column: int, amount: float) -> Needed:
        """What a column that gives stands for."""
        answered, edges = self._answered, len(self.network.edges)
        if column < edges:
            source = int(self.network.edges.source[column])
            holding, facility = answered.holding_and_facility(source)
            what = f"{answered.asset_of(source)} ({holding or facility})"
            why = answered.problem.reach.why(use, source)
            if self._kind[column] == "time":
                facts = answered.problem.facts
                hours = float(facts.sources.deliverable_at[source] - facts.terms.due[use]) / NANOSECONDS_PER_HOUR
                why = f"{hours:,.2f} hours too late"
            return Needed(what=what, amount=amount, why=why)
        slack, at = next((slack, at) for slack, at in self._columns() if at.start <= column < at.stop)
        label = slack.of[column - at.start]
        if slack.kind == "supply":
            what = f"capacity of {label[2]}" if label[1] == "proceeds" else f"more of {label[1]}"
            return Needed(what=what, amount=amount, why="all of it is used")
        if slack.kind == "limits":
            return Needed(what=limit_name(label), amount=amount, why="it is full")
        return Needed(what=" ".join(label), amount=amount, why="it would be shorter by this")


def _supply_slack(program: Program) -> _Slack:
    """A column for each holding and facility: as much more of it, to be delivered and to be counted at home."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, label in enumerate(program.rows.labels):
        if label[0] == "supply" and label[1] != "posted":
            rows.setdefault(label, []).append(row)
    for row, label in enumerate(program.rows.labels):
        if label[0] == "home" and ("supply", label[1]) in rows:
            rows["supply", label[1]].append(row)
    labels = list(rows)
    return _Slack(
        kind="supply",
        of=labels,
        row=np.array([row for label in labels for row in rows[label]], dtype=np.int64),
        column=np.repeat(np.arange(len(labels)), [len(rows[label]) for label in labels]),
        cost=np.ones(len(labels)),
    )


def _limit_slack(network: Network, program: Program) -> _Slack:
    """A column for each row of a limit; where it counts units, one weighs as much as its dearest asset."""
    dearest: dict[tuple[str, ...], float] = {}
    for block in network.limits:
        if block.measure == "quantity":
            values = np.zeros(len(block.groups))
            np.maximum.at(values, block.group, network.assets.unit_value[network.edge_asset[block.edge]])
            dearest |= {block.row(group): float(v) for group, v in zip(block.groups, values, strict=True)}
    rows = [row for row, label in enumerate(program.rows.labels) if label[0] == "limit"]
    labels = [program.rows.labels[row] for row in rows]
    return _Slack(
        kind="limits",
        of=labels,
        row=np.array(rows, dtype=np.int64),
        column=np.arange(len(rows)),
        cost=np.array([dearest.get(label, 1.0) for label in labels], dtype=np.float64),
    )


def _short_slack(network: Network) -> _Slack:
    """A column for each use that asks: what it would be short of beyond today; its cover is the row of its number."""
    every = np.arange(network.uses.asking)
    return _Slack("others", network.uses.label[: len(every)], every, every, np.ones(len(every)), sign=1.0)


def _with_slack(program: Program, slacks: Sequence[_Slack], unit: float) -> Program:
    """``program`` with columns that take from rows, or add to them, thought of in units of ``unit``."""
    count, first = sum(len(slack.of) for slack in slacks), program.n_columns
    offsets = np.cumsum([first, *(len(slack.of) for slack in slacks)])[:-1].tolist()
    row = np.concatenate([program.rows.row, *(slack.row for slack in slacks)])
    column = np.concatenate(
        [program.rows.column, *(slack.column + offset for slack, offset in zip(slacks, offsets, strict=True))]
    )
    coefficient = [np.asarray(program.rows.coefficient, dtype=np.float64)]
    coefficient += [np.full(len(slack.row), slack.sign) for slack in slacks]
    return replace(
        program,
        column_labels=Labels(
            first + count,
            lambda: [*program.column_labels, *(("more", *label) for slack in slacks for label in slack.of)],
        ),
        lower=np.pad(program.lower, (0, count)),
        upper=np.pad(program.upper, (0, count), constant_values=np.inf),
        cost=np.zeros(first + count),
        unit=np.pad(program.unit, (0, count), constant_values=unit),
        rows=replace(
            program.rows,
            row=row,
            column=column,
            coefficient=np.concatenate(coefficient),
        ),
        source=np.pad(program.source, (0, count), constant_values=-1),
        use=np.pad(program.use, (0, count), constant_values=-1),
    )
