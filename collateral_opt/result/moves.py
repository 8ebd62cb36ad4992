"""Which move comes after which: the search for an order, over places with a level and moves that change the levels.

A move *needs* a level at some places and *changes* some; it can be done when every place that it needs has enough.
The search rests on three facts about the moves that are still to be done, from given levels:

* **A place is ample** if its level covers all that is drawn from it, whatever is given first. It never refuses a move
  and can be left out.
* **A move is safe to do now** if it can be done and draws on no scarce place. *Proof:* move it to the front of any
  order. Every other move then finds each scarce place at the level it found before or higher, so all still go.
* **A move is safe to leave for last** if it gives to no scarce place and can be done after all others. *Proof:* move it
  to the end of any order. Every other move then finds the levels it found before or higher.

Both proofs hold with joint rounds as well; a round only gets smaller by them. What remains falls into components that
share no scarce place, so each is ordered for itself: cheapest first, where an order costs the number of moves that it
does jointly. All orders of single moves come before any joint round, so one is found wherever there is one. The search
branches on one component of what remains and meets each state once, so that independent parts add up.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count

SURE = 22
"""Whether a component of at most so many moves needs a joint round is always settled; a larger one has a budget."""
FEW = 8
"""The joint rounds of a component of at most so many moves are the smallest possible in sum."""
WORK = 400_000
"""Budget of a larger component: moves looked at, summed over states. Never less than two descents to the end take."""
TRIES = 16
"""How many first moves are tried where a joint round is not searched for but built up."""

Levels = dict[int, int]
Together = tuple[int, ...]


@dataclass(frozen=True)
class Moves:
    """Per move what it needs, and by how much it changes what (never by zero); per place the moves that do either."""

    need: list[Levels]
    change: list[Levels]
    touching: list[list[int]]

    def touched(self, s: int) -> Levels:
        """The places that a move needs or changes."""
        return self.need[s] | self.change[s]

    def can(self, s: int, level: Levels) -> bool:
        """Whether every place of ``level`` that the move needs has enough."""
        return all(level[r] >= n for r, n in self.need[s].items() if r in level)

    def do(self, together: Collection[int], level: Levels) -> None:
        """Change the places of ``level``."""
        for s in together:
            for r, amount in self.change[s].items():
                if r in level:
                    level[r] += amount

    def short(self, together: Collection[int], level: Levels) -> int | None:
        """The first needed place that doing these at once would leave short; None if there is none."""
        net = {r: level[r] for s in together for r in self.need[s] if r in level}
        self.do(together, net)
        return next((r for r, left in net.items() if left < 0), None)

    def givers(self, r: int, among: Collection[int]) -> list[int]:
        """Those that leave more at a place than there was."""
        return [s for s in self.touching[r] if s in among and self.change[s].get(r, 0) > 0]

    def component(self, first: int, among: Collection[int], level: Levels) -> set[int]:
        """The moves of ``among`` that share places of ``level`` with ``first``, directly or through others."""
        found, todo, met = {first}, [first], set()
        while todo:
            for r in self.touched(todo.pop()):
                if r in level and r not in met:
                    met.add(r)
                    new = [t for t in self.touching[r] if t in among and t not in found]
                    found.update(new)
                    todo += new
        return found


def arranged(moves: Moves, level: Levels) -> tuple[list[Together], bool]:
    """All moves in rounds, and whether it is settled that the joint rounds among them cannot be avoided.

    All moves at once must leave no needed place of ``level`` negative. Ties go to the lower index.
    """
    start = _reduced(moves, None, (), set(range(len(moves.need))), level)
    rounds, all_settled = [*start.ahead], True
    left = set(start.core)
    while left:
        component = moves.component(min(left), left, start.level)
        left -= component
        found, is_settled = _component_arranged(moves, component, start.level)
        rounds += found
        all_settled &= is_settled
    return [*rounds, *start.behind], all_settled


def _component_arranged(moves: Moves, component: set[int], level: Levels) -> tuple[list[Together], bool]:
    scarce = sorted({r for s in component for r in moves.touched(s) if r in level})
    state = _State(None, [], tuple(sorted(component)), {r: level[r] for r in scarce}, [])
    budget = max(WORK, len(component) ** 2)
    state, is_settled = _Search(moves, state, budget).run()
    while state.core:
        # Each search has half the budget of the one before, so that all of them take twice the first one's.
        budget //= 2
        state, _ = _Search(moves, _after(moves, state, _built(moves, state)), budget).run()
    return state.rounds(), is_settled


def _built(moves: Moves, state: _State) -> Together:
    """Moves that can be done at once, few but not always fewest: what is short is given by the largest giver."""
    among = moves.component(state.core[0], state.core, state.level)
    found: list[set[int]] = []
    for first in sorted(among, key=lambda s: (not moves.can(s, state.level), s))[:TRIES]:
        together = {first}
        while (r := moves.short(together, state.level)) is not None:
            together.add(min(moves.givers(r, among - together), key=lambda s: (-moves.change[s][r], s)))
        found.append(together)
    fewest = min(found, key=len)
    return tuple(sorted(fewest))


@dataclass(frozen=True)
class _State:
    """After ``ahead`` was done since the state ``before``, and ``behind`` left for last, ``core`` is to be decided.

    ``core`` ascends; ``level`` holds its scarce places only, in ascending order.
    """

    before: _State | None
    ahead: list[Together]
    core: Together
    level: Levels
    behind: list[Together]

    def rounds(self) -> list[Together]:
        """All rounds up to here, then all that was left for last."""
        path = [self]
        while path[-1].before is not None:
            path.append(path[-1].before)
        return [t for state in reversed(path) for t in state.ahead] + [t for state in path for t in state.behind]


def _after(moves: Moves, state: _State, together: Together) -> _State:
    """The state once these moves were done, and then all that is safe."""
    level = state.level.copy()
    moves.do(together, level)
    return _reduced(moves, state, together, set(state.core) - set(together), level)


def _reduced(moves: Moves, before: _State | None, done: Together, left: set[int], level: Levels) -> _State:
    """Do what is safe to do now and set aside what is safe to leave for last, until nothing is. Owns its arguments."""
    scarce = _Scarce(moves, left, level)
    ahead: list[Together] = [done] if done else []
    behind: list[Together] = []
    # First what can be done now, lowest index first; then what can be left for last, highest index last of all.
    todo = [(at_end, -s if at_end else s) for s in left for at_end in (False, True)]
    heapq.heapify(todo)
    queued = set(todo)
    while todo:
        entry = heapq.heappop(todo)
        queued.remove(entry)
        at_end, s = entry[0], abs(entry[1])
        if s not in left or not (scarce.is_safe_last(s) if at_end else scarce.is_safe_now(s)):
            continue
        left.remove(s)
        (behind if at_end else ahead).append((s,))
        for t in scarce.without(s, at_end):
            for again in ((False, t), (True, -t)):
                if t in left and again not in queued:
                    queued.add(again)
                    heapq.heappush(todo, again)
    return _State(before, ahead, tuple(sorted(left)), dict(sorted(level.items())), behind[::-1])


class _Scarce:
    """Which places are scarce while moves are done or left for last. Takes the ample ones out of ``level``."""

    def __init__(self, moves: Moves, left: Collection[int], level: Levels) -> None:
        self.moves, self.level = moves, level
        self.end = level.copy()
        self.needing, self.drawn, self.beyond = (dict.fromkeys(level, 0) for _ in range(3))
        for s in left:
            need, change = moves.need[s], moves.change[s]
            for r in (r for r in moves.touched(s) if r in level):
                self.end[r] += change.get(r, 0)
                self.drawn[r] -= min(0, change.get(r, 0))
                if r in need:
                    self.needing[r] += 1
                    # Nothing for a move that just draws; more for one that needs more than it draws on balance.
                    self.beyond[r] = max(self.beyond[r], need[r] + min(0, change.get(r, 0)))
        for r in [r for r in level if self._is_ample(r)]:
            del level[r]

    def _is_ample(self, r: int) -> bool:
        return not self.needing[r] or self.level[r] >= self.drawn[r] + self.beyond[r]

    def is_safe_now(self, s: int) -> bool:
        change = self.moves.change[s]
        return all(c > 0 for r, c in change.items() if r in self.level) and self.moves.can(s, self.level)

    def is_safe_last(self, s: int) -> bool:
        need, change = self.moves.need[s], self.moves.change[s]
        return all(c < 0 for r, c in change.items() if r in self.level) and all(
            self.end[r] - change.get(r, 0) >= n for r, n in need.items() if r in self.level
        )

    def without(self, s: int, at_end: bool) -> Iterator[int]:
        """Account for a move that was done, or left for last; the moves that may have become safe by it."""
        for r in [r for r in self.moves.touched(s) if r in self.level]:
            change = self.moves.change[s].get(r, 0)
            if at_end:
                self.end[r] -= change
            else:
                self.level[r] += change
            self.drawn[r] += min(0, change)
            self.needing[r] -= r in self.moves.need[s]
            if self._is_ample(r):
                del self.level[r]
            yield from self.moves.touching[r]


class _Search:
    """Cheapest first over the states of a component, and of equally cheap ones that with the fewest moves left."""

    def __init__(self, moves: Moves, start: _State, budget: int) -> None:
        self.moves, self.budget = moves, budget
        self.is_sure, self.is_small = len(start.core) <= SURE, len(start.core) <= FEW
        self.serial = count()
        self.queue: list[tuple[int, int, int, _State, Together | int]] = []
        self.met: set[tuple[Together, Together]] = set()
        self.best = start
        self._meet(0, start)

    def run(self) -> tuple[_State, bool]:
        """The cheapest end, or with the budget spent the state with fewest moves left; whether its cost is settled."""
        # The queue runs empty before the end only where the budget cut short the look for joint rounds.
        while self.queue and self.best.core:
            cost, _, _, state, move = heapq.heappop(self.queue)
            if self.budget < 0 and not self.is_small and not (self.is_sure and cost == 0):
                return self.best, cost > 0
            self.budget -= len(state.core)
            if isinstance(move, int):
                self._join(cost, state, move)
            else:
                self._meet(cost, _after(self.moves, state, move))
        return self.best, True

    def _push(self, cost: int, left: int, state: _State, move: Together | int) -> None:
        heapq.heappush(self.queue, (cost, left, next(self.serial), state, move))

    def _meet(self, cost: int, state: _State) -> None:
        """Queue what can be done from a state, unless it was met before, and then at no higher cost."""
        key = (state.core, tuple(state.level.values()))
        if key in self.met:
            return
        self.met.add(key)
        if len(state.core) < len(self.best.core):
            self.best = state
        if state.core:
            for s in sorted(self.moves.component(state.core[0], set(state.core), state.level)):
                if self.moves.can(s, state.level):
                    self._push(cost, len(state.core) - 1, state, (s,))
            self._push(cost + 1, len(state.core), state, 1)

    def _join(self, cost: int, state: _State, size: int) -> None:
        """Queue the joint rounds of so many moves, and the look for larger ones.

        Where moves can be done at once and some of them cannot, the others give to whatever place those leave short.
        So adding one giver after another to a single move meets every smallest set.
        """
        among = self.moves.component(state.core[0], set(state.core), state.level)
        waiting = {s for s in among if not self.moves.can(s, state.level)}
        todo = [frozenset((s,)) for s in sorted(waiting, reverse=True)]
        met = set(todo)
        while todo and (self.is_small or self.budget >= 0):
            together = todo.pop()
            self.budget -= len(together)
            place = self.moves.short(sorted(together), state.level)
            if place is None and len(together) == size:
                self._push(cost, len(state.core) - size, state, tuple(sorted(together)))
            elif place is not None and len(together) < size:
                larger = {together | {s} for s in self.moves.givers(place, waiting - together)} - met
                met |= larger
                todo += sorted(larger, key=sorted, reverse=True)
        if size < len(among):
            self._push(cost + 1, len(state.core), state, size + 1)
