"""How full a limit is after a run."""

from __future__ import annotations

import numpy as np

from collateral_opt.model.constraints import weight
from collateral_opt.network.exact import FLOAT
from collateral_opt.network.network import Floats, LimitBlock, View


def measured(block: LimitBlock, view: View, flow: Floats) -> tuple[Floats, Floats, Floats]:
    """Per group what counts against the cap after the run, and the cap; per edge what a unit of its flow counts.

    ``flow`` [edges] is market value in base currency, ``view`` all edges in floats.
    """
    counts: Floats = weight(view, block.measure, np.arange(len(flow)))
    posted = np.array([float(p) for p in block.posted])
    lines = flow * counts
    used: Floats = posted + np.bincount(block.group, weights=lines[block.edge], minlength=len(block.groups))
    if block.cap.of == "posted":
        total = float(block.posted_total) + float(lines[block.scope].sum())
        return used, np.full(len(used), block.cap.share * total), counts
    groups = np.arange(len(block.groups))
    caps = block.cap.values(block.measure, groups, view.network.assets, FLOAT)
    return used, np.asarray(caps, dtype=np.float64), counts
