"""Swaps of lines between calls, where only so many lines may be.

In the linear program a line is there as far as it is full, and a holding that several calls divide counts once; in the
answer each part does. So what is lost is mostly what no call has a place for, and it is won back where calls change
lines until these add up to what each asks for. Of two calls' lines, each is weighed in the place of the other; so is
what is left of a holding in the place of a line, and a line in a place that is free. What a call then has too much or
too little is settled on its other lines. All changes that pay are made, best first, no call and no holding twice a
round (Thompson and Psaraftis, Cyclic transfer algorithms for multivehicle routing and scheduling problems, Operations
Research 41, 1993, with cycles of two).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collateral_opt.network.network import Bools, Floats, Ints
from collateral_opt.solve.pool import Log, Pool

ROUNDS = 40
"""Most rounds of swaps."""
TRIES = 2_000
"""Most changes that are tried in a round."""
TOGETHER = 2_000
"""Lines weighed against one another at once: a table has the square of that."""
LEFT = 40
"""The cheapest sources with something left for each call that are asked."""
SHRINKING = 4
"""The dearest lines of a call that may become smaller to make up for a larger one."""
WORTHWHILE = 1e-8
"""A change saves at least this share of all cost."""


def swap_lines(pool: Pool, goes_on: Callable[[], bool]) -> None:
    """Improve ``pool`` by swaps until none pays, or ``goes_on`` says no."""
    order = sorted(range(pool.calls), key=lambda j: (pool.network.uses.schedule[j], j))
    groups: list[list[int]] = [[]]
    lines = 0
    for call in order:
        lines += len(pool.lines(call)) + 1
        if lines > TOGETHER and groups[-1]:
            groups.append([])
            lines = len(pool.lines(call)) + 1
        groups[-1].append(call)
    for group in groups:
        calls = np.array(sorted(group), dtype=np.int64)
        for _ in range(ROUNDS):
            if not goes_on() or not _round(pool, calls):
                break


@dataclass(frozen=True)
class _Items:
    """What can change places: lines, places that are free, then what is left of sources. -1 is none.

    ``call`` has the item, ``column`` is the line; ``source`` and ``amount`` are what another call gets with it.
    """

    call: Ints
    column: Ints
    source: Ints
    amount: Floats

    @classmethod
    def of(cls, pool: Pool, calls: Ints) -> _Items:
        on = np.flatnonzero((pool.x > 0) & (pool.switch >= 0))
        shared = np.bincount(pool.switch[on], minlength=len(pool.network.switches)) > 1
        lines = np.concatenate([pool.lines(j) for j in calls.tolist()])
        lines = lines[pool.movable[lines] & ~((pool.switch[lines] >= 0) & shared[pool.switch[lines]])]
        free = np.array([j for j in calls.tolist() if pool.places(j) > 0], dtype=np.int64)
        left = np.unique(np.concatenate([_cheapest_left(pool, j) for j in calls.tolist()]))
        none = np.full(len(free) + len(left), -1, dtype=np.int64)
        return cls(
            call=np.concatenate([pool.use[lines], free, none[: len(left)]]),
            column=np.concatenate([lines, none]),
            source=np.concatenate([pool.source[lines], none[: len(free)], left]),
            amount=np.concatenate(
                [pool.x[lines] + pool.left[pool.source[lines]], np.zeros(len(free)), pool.left[left]]
            ),
        )


def _cheapest_left(pool: Pool, call: int) -> Ints:
    into = pool.into[call]
    into = into[pool.movable[into] & (np.minimum(pool.left[pool.source[into]], pool.upper[into]) >= pool.least[into])]
    return pool.source[into[np.argsort(pool.rate[into], kind="stable")[:LEFT]]]


def _round(pool: Pool, calls: Ints) -> int:
    """Make the swaps that pay, best first; says how many there were."""
    items, rooms, least = _Items.of(pool, calls), pool.rooms(), WORTHWHILE * abs(pool.cost)
    had = int(np.count_nonzero(items.call >= 0))
    table = np.full((had, len(items.call)), np.inf)
    column_of = np.full(len(pool.network.sources), -1, dtype=np.int64)
    for call in calls.tolist():
        rows = np.flatnonzero(items.call[:had] == call)
        if len(rows):
            into = pool.into[call][pool.movable[pool.into[call]]]
            column_of[:] = -1
            column_of[pool.source[into]] = into
            table[rows] = _weighed(pool, call, rows, items, column_of, rooms)
    table[:, :had] += table[:, :had].T.copy()
    table[np.equal.outer(items.source[:had], items.source)] = np.inf
    table[np.tril_indices(had)] = np.inf
    one, other = np.nonzero(table < -least)
    saving = table[one, other]
    del table
    touched: set[int] = set()
    drawn: set[int] = set()
    made = 0
    for at in np.argsort(saving, kind="stable")[:TRIES].tolist():
        pair = int(one[at]), int(other[at])
        involved = {int(items.call[k]) for k in pair if items.call[k] >= 0}
        taken = {int(items.source[k]) for k in pair if items.source[k] >= 0}
        if not involved & touched and not taken & drawn and _swapped(pool, items, pair, rooms, least):
            touched |= involved
            drawn |= taken
            made += 1
    return made


def _weighed(pool: Pool, call: int, rows: Ints, items: _Items, column_of: Ints, rooms: Floats) -> Floats:
    """What it costs ``call`` to have each item in the place of each of its own, which are ``rows`` [rows, items].

    Infinite where it cannot; what its lines may grow and shrink is counted as it stands.
    """
    comes = np.where(items.source >= 0, column_of[items.source], -1)
    is_line, is_nothing = comes >= 0, items.source < 0
    most = np.minimum(np.minimum(items.amount, pool.upper[comes] - pool.x[comes]), rooms[comes])
    most = np.where(is_line, most, 0.0)
    possible = is_line & (most >= np.where(pool.x[comes] > 0, 0.0, pool.least[comes])) & (most > 0) | is_nothing
    possible &= items.call != call
    gain, rate = most * pool.factor[comes], np.where(is_line, pool.rate[comes], 0.0)
    goes = items.column[rows]
    lost, missing = np.where(goes >= 0, pool.x[goes] * pool.factor[goes], 0.0), pool.target[call] - pool.cover[call]
    change = gain[None, :] - (lost + max(0.0, float(missing)))[:, None]
    cost = (gain * rate)[None, :] - (lost * pool.rate[goes])[:, None] - pool.uncovered * max(0.0, float(missing))
    lines = pool.lines(call)
    lines = lines[pool.movable[lines]]
    room = np.minimum(np.minimum(pool.left[pool.source[lines]], pool.upper[lines] - pool.x[lines]), rooms[lines])
    opened = pool.openings(call, rooms)
    grows = np.concatenate([lines[room > 1.0], opened])
    by = np.concatenate(
        [room[room > 1.0], np.minimum(np.minimum(pool.left[pool.source[opened]], pool.upper[opened]), rooms[opened])]
    )
    # Where a line comes into the last free place, no other is opened.
    last = (goes < 0)[:, None] & (pool.x[grows] == 0)[None, :] & (pool.places(call) <= 1)
    order = np.argsort(pool.rate[grows], kind="stable")
    grown, lacking = _settled(pool, grows[order], by[order], goes, last[:, order], np.maximum(-change, 0.0))
    cost += grown + pool.uncovered * lacking
    over = np.maximum(change, 0.0)
    order = np.argsort(-pool.rate[lines], kind="stable")[:SHRINKING]
    shrinks = lines[order]
    by = np.maximum(pool.x[shrinks] - pool.least[shrinks], 0.0)
    saved, beyond = _settled(pool, shrinks, by, goes, np.zeros((len(rows), len(shrinks)), dtype=bool), over)
    # What comes may itself come in part.
    itself = np.where(over <= np.maximum(most - pool.least[comes], 0.0) * pool.factor[comes], over * rate, -np.inf)
    cost -= np.maximum(np.where(beyond > 1e-9 * pool.target[call], -np.inf, saved), itself)
    return np.where(possible[None, :], cost, np.inf)


def _settled(pool: Pool, columns: Ints, by: Floats, goes: Ints, shut: Bools, amount: Floats) -> tuple[Floats, Floats]:
    """What ``amount`` of cover [rows, items] costs on ``columns``, each up to ``by`` of flow, one after another, and
    how much is too much for them; in each row without the line that ``goes``, and what is ``shut`` [rows, columns].
    """
    cost, rest = np.zeros_like(amount), amount.copy()
    for at, column in enumerate(columns.tolist()):
        most = np.where((goes == column) | shut[:, at], 0.0, by[at] * pool.factor[column])
        part = np.minimum(rest, most[:, None])
        cost += pool.rate[column] * part
        rest -= part
    return cost, rest


def _swapped(pool: Pool, items: _Items, pair: tuple[int, int], rooms: Floats, least: float) -> bool:
    """Make one swap if it pays and every row holds; otherwise leave all as it was."""
    before, log = pool.cost, Log()
    for k in pair:
        if items.column[k] >= 0:
            pool.put(int(items.column[k]), 0.0, log)
    calls = []
    for k, other in (pair, pair[::-1]):
        if items.call[k] < 0:
            continue
        call = int(items.call[k])
        calls.append(call)
        if items.source[other] >= 0:
            into = pool.into[call]
            column = int(into[pool.movable[into] & (pool.source[into] == items.source[other])][0])
            pool.put(column, float(pool.x[column]) + pool.room(column), log)
    if all([pool.settle(call, rooms, log) for call in calls]) and pool.cost < before - least and pool.holds(log):
        return True
    pool.undo(log)
    return False
