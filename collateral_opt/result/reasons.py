"""Why a call is short, in a sentence made from the same facts that decided."""

from __future__ import annotations

import numpy as np

from collateral_opt.network.network import Barrier, Bools, View
from collateral_opt.result.answer import Answer
from collateral_opt.result.measure import measured

_WORDS = {
    Barrier.INELIGIBLE: "not eligible",
    Barrier.WRONG_WAY: "wrong-way",
    Barrier.MATURES: "maturing before it is due",
    Barrier.LATE: "too late",
    Barrier.NOTHING_HELD: "empty",
    Barrier.FORBIDDEN: "forbidden by a pin",
}


def reason_for_shortfall(answer: Answer, use: int) -> str:
    """What stands in the way of call ``use``: nothing reaches it, limits are full, sources are used up, or lots."""
    network = answer.network
    everything = network.reach.barriers(use)
    at_home = ~network.sources.is_posted
    barriers = everything[at_home]
    undecided = network.reach.undecided(use)[at_home] & (barriers == Barrier.INELIGIBLE)
    refused = {word: int(np.count_nonzero(barriers == barrier)) for barrier, word in _WORDS.items()}
    refused["not eligible"] -= int(np.count_nonzero(undecided))
    refused["refused because a fact is missing"] = int(np.count_nonzero(undecided))
    others = ", ".join(f"{count} {word}" for word, count in refused.items() if count)
    if not np.any(everything == Barrier.NONE):
        return f"nothing can be delivered: of what is held {others}" if others else "nothing is held"
    idle = _idle(answer, use)
    full = _full_limits(answer, use, idle)
    if answer.ledger.lines_left(use) == 0:
        said = "no more assets may be delivered to one call, and those that are do not suffice"
    elif np.any(idle) and not answer.ledger.moves_left:
        said = "no more moves may be made in this run"
    elif full:
        said = f"limits are full: {', '.join(full)}"
    elif np.any(idle):
        said = "what is left fits in no whole line, or in none without breaking a share of what is posted"
    else:
        said = "what can be delivered is used up"
    return f"{said}; of the rest {others}" if others else said


def _idle(answer: Answer, use: int) -> Bools:
    """Edges into the call whose source still has the smallest line that may be delivered, and may still be funded."""
    network, sources = answer.network, answer.network.sources
    drawn = np.bincount(network.edges.source, weights=answer.delivered, minlength=len(sources))
    spare = (network.held - drawn)[network.edges.source]
    has_some = spare >= network.lot_value * (1 - 1e-9)
    feeds = np.zeros(len(network.uses), dtype=bool)
    feeds[network.edges.use[has_some & ~sources.is_facility[network.edges.source]]] = True
    needs = np.where(sources.is_facility, sources.funded_by, -1)[network.edges.source]
    return np.asarray((network.edges.use == use) & has_some & ((needs < 0) | feeds[needs]))


def _full_limits(answer: Answer, use: int, idle: Bools) -> list[str]:
    """Limits without room for one more lot of an idle edge."""
    network = answer.network
    view = View.of(network)
    found: set[str] = set()
    for block in network.limits:
        candidates = np.flatnonzero(idle[block.edge])
        if use not in block.governed or not len(candidates):
            continue
        used, cap, counts = measured(block, view, answer.delivered)
        edge, group = block.edge[candidates], block.group[candidates]
        more = counts[candidates] * network.lot_value[edge]
        if np.any(more > (cap - used)[group] * (1 + 1e-9)):
            found.add(f"'{block.label}' at {block.place}")
    return sorted(found)
