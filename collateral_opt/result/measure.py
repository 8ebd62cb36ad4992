"""How full a limit is after a run."""

from __future__ import annotations

import numpy as np

from collateral_opt.model.constraints import signed_weight
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Floats, LimitBlock, View


def measured(block: LimitBlock, view: View, flow: Floats) -> tuple[Floats, Floats, Floats]:
    """Per group what counts against the cap after the run, and the cap; per edge of the block what its flow adds.

    ``flow`` [edges] is market value in base currency, ``view`` all edges in floats.
    """
    counts: Floats = signed_weight(view, block.measure, block.edge, block.recalled)
    added = np.bincount(block.group, weights=flow[block.edge] * counts, minlength=len(block.groups))
    used: Floats = block.posted_values + added
    if block.cap.of == "posted":
        everywhere = signed_weight(view, block.measure, block.scope, view.network.leaves(block, block.scope))
        total = float(block.posted_total) + float((flow[block.scope] * everywhere).sum())
        return used, np.full(len(used), block.cap.share * total), counts
    groups = np.arange(len(block.groups))
    caps = block.cap.values(block.measure, groups, view.network.assets, FLOAT)
    return used, np.asarray(caps, dtype=np.float64), counts
