"""Why a call is short, in a sentence made from the same facts that decided."""

from __future__ import annotations

import numpy as np

from collateral_opt.network.network import Barrier, Network
from collateral_opt.solve.ledger import Ledger

_WORDS = {
    Barrier.INELIGIBLE: "not eligible",
    Barrier.WRONG_WAY: "wrong-way",
    Barrier.MATURES: "maturing before it is due",
    Barrier.LATE: "too late",
    Barrier.NOTHING_HELD: "of nothing",
}


def reason_for_shortfall(network: Network, ledger: Ledger, use: int) -> str:
    """What stands in the way of call ``use``: nothing reaches it, limits are full, holdings are used up, or lots."""
    barriers = network.reach.barriers(use)
    reaching = int(np.count_nonzero(barriers == Barrier.NONE))
    refused = ", ".join(
        f"{count} {_WORDS[barrier]}" for barrier in _WORDS if (count := int(np.count_nonzero(barriers == barrier)))
    )
    if not reaching:
        return f"no holding can be delivered ({refused})" if refused else "there are no holdings"
    full = _full_limits(network, ledger, use)
    detail = f"; of the other holdings {refused}" if refused else ""
    if full:
        return f"limits are full: {', '.join(full)}{detail}"
    return f"the {reaching} deliverable holdings are used up{detail}"


def _full_limits(network: Network, ledger: Ledger, use: int) -> list[str]:
    """Limits that hold back a line of the call whose holding still has a lot to give."""
    drawn = np.zeros(len(network.sources))
    np.add.at(drawn, network.edges.source[ledger.edge], ledger.market_values())
    assets, sources = network.assets, network.sources
    held = sources.quantity * assets.unit_value[sources.asset]
    lot = assets.lot[sources.asset] * assets.unit_value[sources.asset]
    spare = held - drawn >= lot * (1 - 1e-9)
    mine = np.zeros(len(network.edges), dtype=bool)
    mine[np.flatnonzero(network.edges.use == use)] = True
    idle = mine & spare[network.edges.source]
    agreement = network.agreement_ids[network.uses.agreement[use]]
    found = {
        f"'{block.label}' at {agreement}"
        for block in network.limits
        if block.agreement == network.uses.agreement[use] and bool(np.any(idle[block.edge]))
    }
    return sorted(found)
