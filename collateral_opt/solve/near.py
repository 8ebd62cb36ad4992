"""Answers of a book that differs a little from one answered before: from where that one ended, moving what has to move.

The pairs looked at, the basis and the lots of the known answer are told by identifiers, so that a call or a holding may
come or go. The linear program begins at the known basis, and every pair it does not have is priced, so its optimum is
proven like any other. Where the optimum moves, lots follow it; elsewhere lines stay as they are.

A book is answered from the start where not all pairs can be priced (:meth:`~collateral_opt.solve.wide.Wide.can_price`),
where something is short or a reserve counts what stays at home, and where the lots come out too far from the optimum.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collateral_opt.model.program import Floats, Program
from collateral_opt.network.build import Problem
from collateral_opt.network.network import Bools, Edges, Ints, Network, Sources, Uses
from collateral_opt.solve.executable import is_close_enough, near_to_use, prices_of_cover
from collateral_opt.solve.headroom import Headroom
from collateral_opt.solve.highs import AT_LOWER, BASIC, HighsSession, HighsSolver
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.linear import MANY, Linear, Standing, corner
from collateral_opt.solve.passes import COVERED, Passes
from collateral_opt.solve.rounding import put_lots, refit, settle, trim_all
from collateral_opt.solve.seam import Basis, Limits
from collateral_opt.solve.wide import Wide

STILL = 1e-6
"""A flow that changes by less than this part of a lot stays as it is."""

OTHERS = 10
"""Edges that a call which is covered anew may be given beside its own; of holdings with some left, as many again."""
FEW = 4
"""Where no more calls have to be covered anew, all other lines are left as they are at first."""


@dataclass(frozen=True)
class Known:
    """What was found for a book: ``flow`` and ``lots`` [edges of ``network``], by label where the columns and rows of
    its program stood, and the ``headroom`` of its ledger, from which rows that are the same are taken over.
    """

    network: Network
    flow: Floats
    lots: Ints
    stands: Standing
    headroom: Headroom

    @classmethod
    def of(cls, problem: Problem, linear: Linear, ledger: Ledger) -> Known | None:
        """What was found for ``problem``; None where nothing can begin from it."""
        network = linear.network
        if not _is_plain(problem) or not Wide.is_open(network.limits) or any(ledger.shortfalls()):
            return None
        begins = linear.stands or corner(network, linear.flows.x, HighsSolver(), Limits())[1]
        if begins is None:
            return None
        solver = Resuming(begins)
        passes = Passes.over(network, solver, Limits())
        found = passes.cover_everything()
        stands = Standing.of(passes.program, passes.session)
        if stands is None:
            return None
        lots = np.zeros(len(network.edges), dtype=np.int64)
        lots[ledger.edge] = ledger.lots
        return cls(
            network=network,
            flow=passes.flows(found, found).x,
            lots=lots,
            stands=stands,
            headroom=ledger.headroom,
        )

    def linear(self, problem: Problem, limits: Limits) -> Linear | None:
        """The linear optimum of ``problem``; None where it has to be found from the start.

        Raises:
            SolverError: the solver gave up.
        """
        few = problem.pairs <= MANY
        if not _is_plain(problem):
            return None
        network = problem.network(self._pairs_in(problem), all_groups=few)
        if not Wide.is_open(network.limits):
            return None
        solver = Resuming(self.stands)
        passes = Passes.over(network, solver, limits, Wide(problem, few=few))
        covering = passes.cover_everything()
        if np.any(covering.x[-network.uses.asking :] > COVERED):
            return None
        priced = passes.in_order(covering)
        flows = passes.flows(priced, priced)
        return Linear(passes.network, flows, passes, flows, solver, limits)

    def whole_lots(self, linear: Linear, mip_gap: float) -> Ledger | None:
        """The known lots, with as few of them moved as will do; None where that leaves something short or costs too
        much.

        Only what no longer holds, or covers, is moved at first; then whatever the optimum moved.
        """
        network, flows = linear.network, linear.flows
        lots, flow = self._carried_over(network)
        moved = flows.x / network.lot_value - flow
        moved[np.abs(moved) <= STILL] = 0.0
        follows = np.maximum(lots + np.floor(moved + STILL), 0).astype(np.int64)
        anew, moving = (self._asks_otherwise(network) | _lacking(network, wanted) for wanted in (lots, follows))
        moving[network.edges.use[follows != lots]] = True
        edge = near_to_use(network, flows, (lots > 0) | (follows > 0), (anew | moving)[network.edges.use], OTHERS)
        ledger, price = Ledger(network, edge, {}, self.headroom), prices_of_cover(network, flows)[edge]
        tried = [(follows, moving)] if np.count_nonzero(anew) > FEW else [(lots, anew), (follows, moving)]
        for wanted, among in tried:
            put_lots(ledger, wanted[edge].tolist())
            settle(ledger, price)
            if not is_close_enough(ledger, flows, mip_gap):
                refit(ledger, price, np.flatnonzero(among[: network.uses.demands]).tolist())
            trim_all(ledger, price)
            if not any(ledger.shortfalls()) and is_close_enough(ledger, flows, mip_gap):
                return ledger
        return None

    def _pairs_in(self, problem: Problem) -> Edges:
        """The known pairs that ``problem`` has."""
        use, source = self._positions(problem.facts.uses, problem.facts.sources)
        there = np.flatnonzero((use >= 0) & (source >= 0))
        there = there[np.lexsort((source[there], use[there]))]
        first = np.searchsorted(use[there], np.arange(len(problem.facts.uses) + 1)).tolist()
        return problem.edges(lambda j: source[there[first[j] : first[j + 1]]])

    def _positions(self, uses: Uses, sources: Sources) -> tuple[Ints, Ints]:
        """Where the use and the source of each known pair stand among these; -1 for nowhere."""
        known = self.network
        return (
            _positions(known.uses.label, uses.label)[known.edges.use],
            _positions(known.sources.ids, sources.ids)[known.edges.source],
        )

    def _carried_over(self, network: Network) -> tuple[Ints, Floats]:
        """Known lots, and the known flow in lots, on the edges of ``network``."""
        lots, flow = np.zeros(len(network.edges), dtype=np.int64), np.zeros(len(network.edges))
        use, source = self._positions(network.uses, network.sources)
        sources = len(network.sources)
        known = np.flatnonzero((use >= 0) & (source >= 0))
        there, wanted = network.edges.use * sources + network.edges.source, (use * sources + source)[known]
        _, at, of = np.intersect1d(there, wanted, assume_unique=True, return_indices=True)
        lots[at], flow[at] = self.lots[known[of]], self._flow_in_lots[known[of]]
        return lots, flow

    @cached_property
    def _flow_in_lots(self) -> Floats:
        return self.flow / self.network.lot_value

    def _asks_otherwise(self, network: Network) -> Bools:
        """The uses of ``network`` that did not ask for just that."""
        asked = dict(zip(self.network.uses.label, self.network.uses.required, strict=True))
        now = zip(network.uses.label, network.uses.required, strict=True)
        return np.array([asked.get(label) != required for label, required in now], dtype=bool)


def _lacking(network: Network, lots: Ints) -> Bools:
    """Uses that so many lots [edges] leave short, or of whose sources there is less than that."""
    edges, value = network.edges, lots * network.lot_value
    covered = np.bincount(edges.use, weights=value * edges.factor, minlength=len(network.uses))
    drawn = np.bincount(edges.source, weights=value, minlength=len(network.sources))
    asks = np.arange(len(network.uses)) < network.uses.asking
    lacking = asks & (covered < network.uses.size * (1 - COVERED))
    lacking[edges.use[(drawn > network.held * (1 + COVERED))[edges.source] & (lots > 0)]] = True
    return np.asarray(lacking)


def _is_plain(problem: Problem) -> bool:
    uses = problem.facts.uses
    return uses.calls == uses.asking and Wide.is_plain(problem)


def _positions(names: Sequence[Hashable], among: Sequence[Hashable]) -> Ints:
    at = {name: k for k, name in enumerate(among)}
    return np.array([at.get(name, -1) for name in names], dtype=np.int64)


class Resuming:
    """HiGHS, with programs that begin where their columns and rows stood before; others at nothing."""

    name = "highs"

    def __init__(self, stands: Standing) -> None:
        self._inner = HighsSolver()
        # Not ``stands``: its labels keep the network alive that they are of, and answers keep their solver.
        self._column, self._row = stands.column, stands.row

    def load(self, program: Program) -> HighsSession:
        session = self._inner.load_growing(program)
        session.resume(
            Basis(
                [self._column.get(label, AT_LOWER) for label in program.column_labels],
                [self._row.get(label, BASIC) for label in program.rows.labels],
            )
        )
        return session
