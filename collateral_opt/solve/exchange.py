"""Exchanges within a call: some lots of one line for some of another edge, wherever that saves money.

Rounding leaves each call with part of a lot too much. Lots of different worth fit a call more closely together than
any of them alone, so a few exchanges take most of that excess away.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from collateral_opt.network.network import Floats, Ints
from collateral_opt.solve.ledger import Ledger

FEW = 24
"""Most lots of one side of an exchange; the other side follows from it."""
MOST = 40
"""Most lines, and most cheap edges, of a call that take part."""
SWEEPS = 4
"""How often every call has its turn."""
TURNS = 12
"""Most exchanges of a call in one turn."""
TRIES = 4
"""How many of the best exchanges are tried exactly before a turn ends."""
WORTHWHILE = 1e-9
"""An exchange saves at least this share of what the two lines cost, so that rounding of floats is not a saving."""


def exchange_all(ledger: Ledger, calls: Iterable[int]) -> None:
    """Exchange lots within each of ``calls`` that is covered until nothing saves money, or each had its turns."""
    cheapest = {j: _cheapest(ledger, j) for j in calls}
    for _ in range(SWEEPS):
        improved = False
        for j, cheap in cheapest.items():
            if ledger.missing[j] <= 0:
                turns = 0
                while turns < TURNS and _turn(ledger, j, cheap):
                    turns += 1
                improved |= turns > 0
        if not improved:
            return


def _turn(ledger: Ledger, j: int, cheap: Iterable[int]) -> bool:
    """Make the best exchange at call ``j`` that holds exactly. Says whether there was one."""
    edges = sorted({*_largest(ledger, j), *cheap})
    lots = np.array([ledger.lots[k] for k in edges], dtype=np.float64)
    lines = np.flatnonzero(lots > 0)
    if not len(lines):
        return False
    saving, gone, come = _savings(ledger, j, edges, lines, lots)
    for _ in range(TRIES):
        at = int(np.argmax(saving))
        if saving.flat[at] <= 0:
            return False
        _, a, b = np.unravel_index(at, saving.shape)
        if _exchanged(ledger, j, edges[lines[a]], int(gone.flat[at]), edges[b], int(come.flat[at])):
            return True
        saving.flat[at] = -np.inf
    return False


def _free(ledger: Ledger, j: int) -> list[int]:
    """The edges of call ``j``; proceeds stay: what they are worth here depends on what funds them elsewhere."""
    return [k for k in ledger.lines_of[j] if ledger.funded_by[k] < 0]


def _largest(ledger: Ledger, j: int) -> list[int]:
    """The largest lines, so that the pairs of them and the cheapest edges stay few."""
    lines = (k for k in _free(ledger, j) if ledger.lots[k])
    return sorted(lines, key=lambda k: (-ledger.lots[k] * ledger.value[k], k))[:MOST]


def _cheapest(ledger: Ledger, j: int) -> list[int]:
    """The edges on which a unit of cover costs least."""
    edges = _free(ledger, j)
    price = dict(zip(edges, ledger.lot_costs[edges].tolist(), strict=True))
    return sorted(edges, key=lambda k: (price[k] / ledger.value[k], k))[:MOST]


def _savings(ledger: Ledger, j: int, edges: list[int], lines: Ints, lots: Floats) -> tuple[Floats, Floats, Floats]:
    """Saving, lots that go and lots that come, of every exchange [size, line, edge]; -inf where it cannot be."""
    value = np.array([ledger.value[k] / ledger.unit[j] for k in edges])
    cost = ledger.lot_costs[edges]
    room = np.array([ledger.room(k) for k in edges], dtype=np.float64)
    least = np.array([ledger.least[k] - (ledger.line_lots(k) - ledger.lots[k]) for k in edges], dtype=np.float64)
    excess = -ledger.missing[j] / ledger.unit[j]
    few = np.arange(1.0, FEW + 1)[:, None, None]
    v_a, v_b = value[lines][None, :, None], value[None, None, :]
    shape = (FEW, len(lines), len(edges))
    # Either a few lots go and as many come as make up for them, or a few come and replace as many as they can.
    replaced = np.minimum((few * v_b + excess) // v_a, lots[lines][None, :, None])
    gone = np.concatenate([np.broadcast_to(few, shape), replaced])
    come = np.concatenate([np.maximum(np.ceil((few * v_a - excess) / v_b), 0), np.broadcast_to(few, shape)])
    stays, becomes = lots[lines][None, :, None] - gone, lots[None, None, :] + come
    possible = (gone > 0) & (stays >= 0) & ((stays == 0) | (stays >= least[lines][None, :, None]))
    possible &= (come <= room) & ((come == 0) | (becomes >= least))
    possible &= lines[None, :, None] != np.arange(len(edges))[None, None, :]
    before = gone * cost[lines][None, :, None]
    saving = before - come * cost[None, None, :]
    worthwhile = saving > WORTHWHILE * np.abs(before)
    return np.where(possible & worthwhile, saving, -np.inf), gone, come


def _exchanged(ledger: Ledger, j: int, a: int, gone: int, b: int, come: int) -> bool:
    """Make the exchange if every row and the call's cover hold exactly; otherwise leave all as it was.

    Where lines cost something for being there, one that is opened must be worth that too.
    """
    if ledger.removable(a, gone) != gone:
        return False
    counts_lines = bool(len(ledger.network.switches))
    before = ledger.weighed_cost() if counts_lines else None
    ledger.add(a, -gone)
    if come == 0 or ledger.addable(b, come) == come:
        ledger.add(b, come)
        if ledger.missing[j] <= 0 and (before is None or ledger.weighed_cost() < before):
            return True
        ledger.add(b, -come)
    ledger.add(a, gone)
    return False
