"""Where to begin on a problem too large to write down: prices from a small likeness of it, and the pairs nearest then.

Equally near pairs are many where agreements are alike. They are scattered: were each source to begin at the first of
its like uses, all would meet there.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from collateral_opt.model.program import Floats
from collateral_opt.network.build import Problem
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Ints, Kind, Network
from collateral_opt.network.runs import place_in_run
from collateral_opt.solve.entries import GOLDEN
from collateral_opt.solve.passes import Passes
from collateral_opt.solve.seam import Limits, Solver
from collateral_opt.solve.wide import LimitPrices, Prices, Wide, prices_of, scattered

SAMPLE = 50_000
"""So many pairs, or a few more, has the likeness."""
NEAREST = 4
"""The first pairs are so many of each source, ..."""
AMPLE = 3.0
"""... and of each use what could cover it so many times, ..."""
FEWEST = 25
"""... and no fewer than this."""


def first_network(wide: Wide, solver: Solver, limits: Limits) -> Network:
    """The pairs to begin with, and those alone."""
    return _nearest(wide, _Likeness(wide.problem).prices(solver, limits))


@dataclass(frozen=True)
class _Likeness:
    """A problem like ``whole``, so many times smaller."""

    whole: Problem

    @cached_property
    def times(self) -> int:
        return max(1, int(np.ceil(np.sqrt(self.whole.pairs / SAMPLE))))

    def prices(self, solver: Solver, limits: Limits) -> Prices:
        """What cover, and room below limits, is worth at each use of the whole: what it is at those of its kind here,
        but for what its sources cost there.
        """
        asked, network = self._asked, self._problem.network()
        passes = Passes.over(network, solver, limits)
        found = prices_of(network, passes.program, passes.natural(passes.rough().row_dual))
        costs = [float(np.mean(cost / factor)) if len(at) else 0.0 for _, at, factor, cost in self.whole.rows()]
        typical, cover, by_use = np.array(costs), found.cover.copy(), dict(found.limits)
        for alike in self._kinds:
            weight = asked[alike] / (asked[alike].sum() or 1.0)
            cover[alike] = typical[alike] + float(np.sum((found.cover - typical)[alike] * weight))
            by_use.update(dict.fromkeys(alike.tolist(), _averaged(found.limits, alike, weight)))
        nothing = np.zeros(len(self.whole.facts.sources))
        return Prices(cover, nothing, nothing, {}, by_use, {})

    @cached_property
    def _problem(self) -> Problem:
        facts = self.whole.facts
        sources, uses = facts.sources, facts.uses
        quantity = sources.quantity * np.where(sources.is_holding, self._taken, 1 / self.times)
        capacity = [None if c is None else c / self.times for c in sources.capacity]
        return Problem(
            replace(
                facts,
                sources=replace(sources, quantity=quantity, capacity=capacity),
                uses=replace(uses, required=[exact(a) for a in self._asked.tolist()], extent=None),
            )
        )

    @cached_property
    def _taken(self) -> Floats:
        """Of each holding this share is here: of those that the same calls take one in so many, of a few like ones all,
        so many times smaller.
        """
        sources = self.whole.facts.sources
        takers = np.zeros(len(sources))
        for number, alike in enumerate(self._kinds):
            takers[self.whole.open_to(alike[0])] += np.modf((number + 1) * GOLDEN)[0]
        like = np.unique(np.round(takers, 9), return_inverse=True)[1]
        order = np.lexsort((sources.cost_bps, like))
        taken = np.empty(len(sources))
        taken[order] = place_in_run(like[order]) % self.times == self.times // 2
        taken[np.bincount(like)[like] < self.times] = 1 / self.times
        return taken

    @cached_property
    def _asked(self) -> Floats:
        """What each use asks for here: together so many times less, and of each kind only some do."""
        size = self.whole.facts.uses.size
        asked = size / self.times
        for alike in self._kinds:
            by_size = alike[np.argsort(size[alike], kind="stable")]
            some = by_size[self.times // 2 :: self.times] if len(alike) > self.times // 2 else by_size[-1:]
            total = asked[alike].sum()
            if total > 0:
                asked[alike] = 0.0
                asked[some] = size[some] * (total / size[some].sum())
        return np.asarray(asked)

    @cached_property
    def _kinds(self) -> list[Ints]:
        """Calls that read alike what they take, though under different agreements; any other use for itself."""
        uses, terms, reach = self.whole.facts.uses, self.whole.facts.terms, self.whole.reach
        kinds: dict[Hashable, list[int]] = {}
        for j, kind in enumerate(uses.kind.tolist()):
            read_as = (uses.schedule[j], terms.currency[j], terms.margin_type[j]) if kind == Kind.CALL else j
            kinds.setdefault((read_as, reach.arrival(j) if kind == Kind.CALL else 0), []).append(j)
        return [np.array(alike, dtype=np.int64) for alike in kinds.values()]


def _averaged(limits: Mapping[int, Sequence[LimitPrices]], uses: Ints, weight: Floats) -> list[LimitPrices]:
    """The prices of limits at ``uses``, which have the same groups."""
    total: dict[tuple[str, int], LimitPrices] = {}
    for j, share in zip(uses.tolist(), weight.tolist(), strict=True):
        for measure, group, dual, of_all in limits.get(j, ()):
            _, _, known, known_of_all = total.get((measure, id(group)), (measure, group, 0.0 * dual, 0.0))
            total[measure, id(group)] = measure, group, known + share * dual, known_of_all + share * of_all
    return list(total.values())


def _nearest(wide: Wide, prices: Prices) -> Network:
    """The pairs nearest to being used at ``prices``: some of each source, some of each use."""
    facts = wide.problem.facts
    held = facts.sources.quantity * facts.assets.unit_value[facts.sources.asset]
    best = np.full((NEAREST, len(held)), np.inf)
    of = np.full((NEAREST, len(held)), -1, dtype=np.int64)
    for j, at, reduced, _ in wide.priced(prices):
        regret, use = reduced + wide.nearby * scattered(j, at), np.full(len(at), j)
        for rank in range(NEAREST):
            there, its = best[rank, at], of[rank, at]
            nearer = regret < there
            best[rank, at], of[rank, at] = np.where(nearer, regret, there), np.where(nearer, use, its)
            regret, use = np.where(nearer, there, regret), np.where(nearer, its, use)
    found = [(of[of >= 0], np.nonzero(of >= 0)[1])]
    for j, at, reduced, factor in wide.priced(prices):
        regret = reduced + wide.nearby * scattered(j, at) - np.minimum(best[0, at], 0.0)
        order = np.argsort(regret, kind="stable")
        could = np.cumsum((factor * held[at])[order])
        count = max(FEWEST, int(np.searchsorted(could, AMPLE * facts.uses.size[j])) + 1)
        if facts.uses.kind[j] == Kind.RESERVE:
            count = len(at)
        found.append((np.full(len(at[order[:count]]), j), at[order[:count]]))
    use, source = (np.concatenate(part) for part in zip(*found, strict=True))
    return wide.network(use, source)
