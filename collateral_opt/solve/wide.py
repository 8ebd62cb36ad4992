"""All pairs of a problem too large to write down: a program has some of them, and the others are priced, not built.

For each use the reduced costs of all sources open to it come from a few arrays: what a unit of cover is worth there
less what the source, and the limits of the place, are worth. So the same figures tell which pairs a program lacks, and
how far its optimum can be from that of all pairs.

Only what every large book has can be priced like this: holdings and facilities, calls, reserves, limits of schedules.
Where lines count, something is pinned, what is posted may move or stands over a cap, or the house has limits, all pairs
are written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from collateral_opt.model.program import Floats, Program
from collateral_opt.network.build import Problem
from collateral_opt.network.network import BlockKey, Bools, GivenCap, Ints, Kind, Network
from collateral_opt.network.runs import place_in_run

SHORT_OF = 1e-7
"""A program lacks a pair whose reduced cost, in basis points a year, is below the negative of this."""
NEARBY = 0.02
"""Where it does, pairs join that would with prices changed by this share of what a source costs on average."""
PER_USE = 800
"""Most pairs of a use that join in a round, ..."""
PER_SOURCE = 5
"""... and most of a source."""
AMPLE = 8.0
"""The first pairs of a use could cover it so many times."""
FEWEST = 25
"""And are no fewer than this."""
SAMPLE = 20
"""Every so-manieth holding is in the sample that gives the first prices."""


@dataclass(frozen=True)
class Prices:
    """What a solved program says about any pair, by position: of uses, sources, counted holdings, and limits."""

    cover: Floats
    supply: Floats
    home: Floats
    counted: dict[tuple[int, int], float]
    limits: dict[int, list[tuple[str, Ints, Floats, float]]]
    """By use: measure, group of each asset, dual of each group, and what all groups' shares cost any pair."""
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
    """The pairs of ``problem``, most of which are only priced."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    @staticmethod
    def can_price(problem: Problem) -> bool:
        """Whether ``problem`` has nothing but what can be priced."""
        facts = problem.facts
        if facts.reoptimises or problem.counts_lines or problem.pins.asked or facts.book.house_limits:
            return False
        return not any(block.shut.any() for block in problem.limits(problem.no_edges, all_groups=False))

    @cached_property
    def overshoot(self) -> Floats:
        """By use no less than what :attr:`Network.overshoot` would be with all pairs."""
        facts = self._problem.facts
        assets, uses, sources = facts.assets, facts.uses, facts.sources
        lot_value = (assets.lot * assets.unit_value)[sources.asset]
        least = (assets.min_quantity * assets.unit_value)[sources.asset]
        coarsest = np.maximum(lot_value, least) + lot_value if sources.coarsest is None else sources.coarsest
        members = np.ones(len(uses)) if uses.members is None else uses.members
        most = np.zeros(len(uses))
        for j, at, factor, _ in self._problem.rows():
            if len(at):
                most[j] = members[j] * float(np.max(factor * (float(uses.min_line[j]) + coarsest[at])))
        return most

    def network(self, use: Ints, source: Ints) -> Network:
        """The network of some pairs."""
        order = np.lexsort((source, use))
        use, source = use[order], source[order]
        first = np.searchsorted(use, np.arange(len(self._problem.facts.uses) + 1)).tolist()
        edges = self._problem.edges(lambda j, _: np.unique(source[first[j] : first[j + 1]]))
        return self._problem.network(edges, all_groups=False)

    def joined(self, network: Network, missing: Missing) -> Network:
        """``network`` with what it lacks."""
        edges = network.edges
        return self.network(np.append(edges.use, missing.use), np.append(edges.source, missing.source))

    def sample(self) -> Network:
        """Every so-manieth holding, each as large as all that it stands for; and whatever is no holding."""
        sources = self._problem.facts.sources
        held = np.flatnonzero(sources.is_holding & (sources.quantity > 0))
        taken = held[np.lexsort((held, sources.cost_bps[held]))][::SAMPLE]
        times = np.where(sources.is_holding, 0.0, 1.0)
        times[taken] = SAMPLE
        network = self._problem.network(self._problem.edges(lambda _, at: at[times[at] > 0]), all_groups=False)
        return replace(network, sources=replace(sources, quantity=sources.quantity * times))

    def first(self, prices: Prices) -> Network:
        """The pairs nearest to being used: of each use until they could cover it amply, and two of each source."""
        facts = self._problem.facts
        held = facts.sources.quantity * facts.assets.unit_value[facts.sources.asset]
        best = np.full((2, len(held)), np.inf)
        of = np.full((2, len(held)), -1, dtype=np.int64)
        for j, at, reduced, _ in self._priced(prices):
            first, second = reduced < best[0, at], reduced < best[1, at]
            best[1, at] = np.where(first, best[0, at], np.where(second, reduced, best[1, at]))
            of[1, at] = np.where(first, of[0, at], np.where(second, j, of[1, at]))
            best[0, at] = np.where(first, reduced, best[0, at])
            of[0, at] = np.where(first, j, of[0, at])
        use, source = [of[of >= 0]], [np.nonzero(of >= 0)[1]]
        for j, at, reduced, factor in self._priced(prices):
            order = np.argsort(reduced - np.minimum(best[0, at], 0.0), kind="stable")
            could = np.cumsum((factor * held[at])[order])
            count = max(FEWEST, int(np.searchsorted(could, AMPLE * facts.uses.size[j])) + 1)
            if facts.uses.kind[j] == Kind.RESERVE:
                count = len(at)
            source.append(at[order[:count]])
            use.append(np.full(len(source[-1]), j))
        return self.network(np.concatenate(use), np.concatenate(source))

    def missing(self, network: Network, prices: Prices, *, costs: bool = True) -> Missing:
        """What ``network`` lacks by ``prices``, the best of each source first; without ``costs`` no pair has any."""
        edges, sources = network.edges, len(network.sources)
        there = edges.use * sources + edges.source
        held = network.held
        # An aim without costs has prices of its own size: there only what is lacking joins.
        typical = float(np.abs(network.sources.cost_bps).mean()) if costs and sources else 0.0
        nearby = NEARBY * typical if typical else -SHORT_OF
        gain, worst, lacks = 0.0, np.zeros(sources), False
        found: list[tuple[Ints, Ints, Floats]] = []
        for j, at, reduced, factor in self._priced(prices, costs=costs):
            short = np.flatnonzero(reduced < nearby)
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
            best = np.argsort(lacking, kind="stable")[:PER_USE]
            found.append((np.full(len(best), j), at[best], lacking[best]))
        if not lacks:
            return Missing(np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)
        use, source, lacking = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((use, lacking, source))
        kept = order[place_in_run(source[order]) < PER_SOURCE]
        # What is lacking could be paid by dearer sources: their supply rows allow no more than all there is of each.
        return Missing(use[kept], source[kept], gain + float(np.sum(worst * held)))

    def _priced(self, prices: Prices, *, costs: bool = True) -> Iterator[tuple[int, Ints, Floats, Floats]]:
        """Use by use: the sources open to it, their reduced costs (basis points a year) and factors."""
        facts = self._problem.facts
        unit_value = facts.assets.unit_value
        for j, at, factor, cost in self._problem.rows():
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
    limits: dict[int, list[tuple[str, Ints, Floats, float]]] = {}
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


def _in_sorted(values: Ints, known: Ints) -> Bools:
    """Which of ``values`` are in the sorted ``known``."""
    at = np.searchsorted(known, values)
    at[at == len(known)] = max(len(known) - 1, 0)
    return np.asarray(known[at] == values) if len(known) else np.zeros(len(values), dtype=bool)
