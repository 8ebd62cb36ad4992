"""All pairs of a problem too large to write down: a program has some of them, and the others are priced, not built.

For each use the reduced costs of all sources open to it come from a few arrays: what a unit of cover is worth there
less what the source, and the limits of the place, are worth. So the same figures tell which pairs a program lacks, and
how far its optimum can be from that of all pairs.

Only what every large book has can be priced like this: holdings and facilities, calls, reserves, limits of schedules.
Where lines count, something is pinned, what is posted may move or stands over a cap, or the house has limits, all pairs
are written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collateral_opt.model.program import Floats, Program
from collateral_opt.network.build import Problem
from collateral_opt.network.network import BlockKey, Bools, GivenCap, Ints, Kind, LimitBlock, Network
from collateral_opt.network.runs import place_in_run
from collateral_opt.solve.entries import GOLDEN, before_in_run

SHORT_OF = 1e-7
"""A program lacks a pair whose reduced cost, in basis points a year, is below the negative of this."""
NEARBY = 0.02
"""Where it does, pairs join that would with prices changed by this share of what a source costs on average."""
SETTLED = 3
"""After so many rounds only what is lacking joins."""
PLASTIC = 0.7548776662466927
"""Multiples of this and of the golden section are spread evenly over a square."""
FAR = 0.5
"""What is lacking by much is ranked by anything from this share of it to all of it."""
PER_USE = 800
"""Most pairs of a use that join in a round, ..."""
PER_SOURCE = 5
"""... and most of a source, unless it could serve more."""


LimitPrices = tuple[str, Ints, Floats, float]
"""Of a limit: measure, group of each asset, dual of each group, and what all groups' shares cost any pair."""


@dataclass(frozen=True)
class Prices:
    """What a solved program says about any pair, by position: of uses, sources, counted holdings, and limits by use."""

    cover: Floats
    supply: Floats
    home: Floats
    counted: dict[tuple[int, int], float]
    limits: dict[int, list[LimitPrices]]
    blocks: dict[BlockKey, Floats]
    """By block: dual of each group."""

    def duals_of(self, network: Network, program: Program) -> Floats:
        """These prices as duals of another program of the same problem; rows that they know nothing of get none."""
        uses = network.uses
        about = np.split(program.rows.about, np.cumsum(program.sections)[:-1])
        parts = [np.zeros(count) for count in program.sections]
        parts[0][:] = self.cover[: uses.asking]
        parts[2][:] = self.supply[about[2]]
        parts[3][:] = [
            self.counted.get((int(network.edges.use[e]), int(network.edges.source[e])), 0.0) for e in about[3]
        ]
        parts[4][:] = -self.cover[list(uses.facilities)]
        for block, part, groups in zip(network.limits, parts[7:], about[7:], strict=False):
            if block.key in self.blocks:
                part[:] = self.blocks[block.key][block.codes[groups]]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Missing:
    """Pairs (``use``, ``source``) that a program lacks, and how much less its optimum could be for want of them.

    ``gain`` is in base currency times yearly basis points, not above 0.
    """

    use: Ints
    source: Ints
    gain: float


class Wide:
    """The pairs of ``problem``, most of which are only priced.

    Where they are ``few`` all limits have all their groups, and what is asked of pairs is kept.
    """

    def __init__(self, problem: Problem, *, few: bool = False) -> None:
        self.problem = problem
        self._few = few

    @cached_property
    def nearby(self) -> float:
        """Basis points a year by which prices may be off while what is nearest is still found."""
        cost = self.problem.facts.sources.cost_bps
        return NEARBY * float(np.abs(cost).mean()) if len(cost) else 0.0

    @staticmethod
    def can_price(problem: Problem) -> bool:
        """Whether ``problem`` has nothing but what can be priced."""
        return Wide.is_plain(problem) and Wide.is_open(problem.limits(problem.no_edges, all_groups=False))

    @staticmethod
    def is_plain(problem: Problem) -> bool:
        """Whether ``problem`` has nothing but what can be priced, its limits apart."""
        facts = problem.facts
        return not (facts.reoptimises or problem.counts_lines or problem.pins.asked or facts.book.house_limits)

    @staticmethod
    def is_open(limits: Sequence[LimitBlock]) -> bool:
        """Whether nothing that is posted stands over a cap."""
        return not any(block.shut.any() for block in limits)

    @cached_property
    def _rows(self) -> Sequence[tuple[int, Ints, Floats, Floats]] | None:
        """What :meth:`Problem.rows` says, where it is little enough to be kept."""
        return list(self.problem.rows()) if self._few else None

    @cached_property
    def overshoot(self) -> Floats:
        """By use what :attr:`Network.overshoot` would be with all pairs."""
        facts = self.problem.facts
        assets, uses, sources = facts.assets, facts.uses, facts.sources
        lot_value = (assets.lot * assets.unit_value)[sources.asset]
        fewest = np.maximum(1.0, (assets.min_quantity / assets.lot)[sources.asset])
        members = np.ones(len(uses)) if uses.members is None else uses.members
        most = np.zeros(len(uses))
        for j, at, factor, _ in self._rows or self.problem.rows():
            lot, min_line = lot_value[at], float(uses.min_line[j])
            smallest = np.ceil(np.maximum(fewest[at], min_line / lot) * (1 - 1e-12)) * lot
            if sources.coarsest is not None:
                smallest = np.maximum(smallest, min_line + sources.coarsest[at])
            most[j] = members[j] * float(np.max(factor * smallest, initial=0.0))
        return most

    def network(self, use: Ints, source: Ints) -> Network:
        """The network of some pairs."""
        order = np.lexsort((source, use))
        use, source = use[order], source[order]
        first = np.searchsorted(use, np.arange(len(self.problem.facts.uses) + 1)).tolist()
        edges = self.problem.edges(lambda j: source[first[j] : first[j + 1]])
        return self.problem.network(edges, all_groups=self._few)

    def joined(self, network: Network, missing: Missing) -> Network:
        """``network`` with what it lacks."""
        edges = network.edges
        return self.network(np.append(edges.use, missing.use), np.append(edges.source, missing.source))

    def missing(self, network: Network, prices: Prices, *, costs: bool = True, rounds: int = 0) -> Missing:
        """What ``network`` lacks by ``prices``, the best of each source first; without ``costs`` no pair has any.

        The more ``rounds`` there were, the less prices are still to move: pairs join for being near in the first few.
        """
        edges, sources = network.edges, len(network.sources)
        there = edges.use * sources + edges.source
        held = network.held
        # An aim without costs has prices of its own size: there only what is lacking joins.
        width = self.nearby / 2**rounds if costs and rounds < SETTLED else 0.0
        gain, worst, lacks = 0.0, np.zeros(sources), False
        found: list[tuple[Ints, Ints, Floats]] = []
        for j, at, reduced, factor in self.priced(prices, costs=costs):
            short = np.flatnonzero(reduced < (width or -SHORT_OF))
            short = short[~_in_sorted(j * sources + at[short], there)]
            if not len(short):
                continue
            at, lacking = at[short], reduced[short]
            saved = np.where(lacking < -SHORT_OF, lacking, 0.0)
            lacks |= bool(saved.any())
            if network.uses.kind[j] == Kind.RESERVE:
                most = np.minimum(held[at], network.uses.size[j] / factor[short])
                gain += float(np.sum(saved * most))
            else:
                worst[at] = np.minimum(worst[at], saved)
            # The further prices are off, the less they say which of the pairs that are lacking is best.
            spread = np.where(saved < 0, -FAR * saved, width)
            rank = lacking + spread * scattered(j, at) - width * (saved < 0)
            best = np.argsort(rank, kind="stable")[:PER_USE]
            found.append((np.full(len(best), j), at[best], rank[best]))
        if not lacks:
            return Missing(np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)
        use, source, rank = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((use, rank, source))
        before = before_in_run(source[order], network.uses.size[use[order]])
        kept = order[(place_in_run(source[order]) < PER_SOURCE) | (before < held[source[order]])]
        # What is lacking could be paid by dearer sources: their supply rows allow no more than all there is of each.
        return Missing(use[kept], source[kept], gain + float(np.sum(worst * held)))

    def priced(self, prices: Prices, *, costs: bool = True) -> Iterator[tuple[int, Ints, Floats, Floats]]:
        """Use by use: the sources open to it, their reduced costs (basis points a year) and factors."""
        facts = self.problem.facts
        unit_value = facts.assets.unit_value
        for j, at, factor, cost in self._rows or self.problem.rows():
            asset = facts.sources.asset[at]
            reduced = (cost if costs else 0.0) - prices.cover[j] * factor
            if facts.uses.kind[j] == Kind.RESERVE:
                reduced -= np.array([prices.counted.get((j, i), 0.0) for i in at.tolist()])
            else:
                reduced -= prices.supply[at] + prices.home[at]
            for measure, group, dual, of_all in prices.limits.get(j, ()):
                paid = dual[group[asset]] + of_all
                if measure == "value_after_haircut":
                    paid = paid * factor
                elif measure == "quantity":
                    paid = paid / unit_value[asset]
                reduced -= paid
            yield j, at, reduced, factor


def prices_of(network: Network, program: Program, dual: Floats) -> Prices:
    """The duals of ``program`` [rows, natural figures], which is of ``network``, by what they are about."""
    uses, count = network.uses, len(network.sources)
    parts = np.split(dual, np.cumsum(program.sections)[:-1])
    about = np.split(program.rows.about, np.cumsum(program.sections)[:-1])
    cover = np.zeros(len(uses))
    cover[: uses.asking] = parts[0]
    # What is given to a facility funds what is spent of it: a row of the other sign.
    cover[list(uses.facilities)] = -parts[4]
    supply, home = np.zeros(count), np.zeros(count)
    supply[about[2]] = parts[2]
    # What a facility produces takes from what it was given, too.
    funded = np.flatnonzero(network.sources.funded_by >= uses.asking)
    supply[funded] += parts[4][network.sources.funded_by[funded] - uses.asking]
    counted = {}
    for edge, eta in zip(about[3].tolist(), parts[3].tolist(), strict=True):
        home[network.edges.source[edge]] += eta
        counted[int(network.edges.use[edge]), int(network.edges.source[edge])] = eta
    limits: dict[int, list[LimitPrices]] = {}
    blocks: dict[BlockKey, Floats] = {}
    for block, duals, groups in zip(network.limits, parts[7:], about[7:], strict=False):
        if block.kinds is None or isinstance(block.cap, GivenCap) or not duals.any():
            continue
        by_group = np.zeros(block.kinds.groups + 1)
        by_group[block.codes[groups]] = duals
        blocks[block.key] = by_group
        # Each open group's row counts a share of whatever lies there, of that group or not.
        shares = duals[~block.shut[groups]].sum() if block.cap.of == "posted" else 0.0
        of_all = -block.cap.share * shares
        for j in block.governed.tolist():
            limits.setdefault(j, []).append((block.measure, block.kinds.group, by_group, float(of_all)))
    return Prices(cover, supply, home, counted, limits, blocks)


def scattered(use: int, source: Ints) -> Floats:
    """Numbers from 0 to 1, spread evenly over the sources, and differently for each use."""
    return np.asarray(np.modf(source * GOLDEN + use * PLASTIC)[0])


def _in_sorted(values: Ints, known: Ints) -> Bools:
    """Which of ``values`` are in the sorted ``known``."""
    at = np.searchsorted(known, values)
    at[at == len(known)] = max(len(known) - 1, 0)
    return np.asarray(known[at] == values) if len(known) else np.zeros(len(values), dtype=bool)
