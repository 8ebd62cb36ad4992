"""What one more unit of something moves in the right sides of the program, and so what it costs or is worth.

A dual is the price of one right side. What a desk thinks of as one thing may stand in several: a call asks for cover
and gives room to shares of its agreement's requirement; a holding can be delivered, and can be counted at home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from collateral_opt.model.program import Floats, Label
from collateral_opt.network.network import Ints, Kind, LimitBlock, Network


def more_of_use(network: Network, use: int) -> Mapping[Label, float]:
    """By row what one more unit that ``use`` asks for, or of a facility's capacity, adds to its right side.

    A unit is one of base currency. What an agreement requires beside a call stays what it is.
    """
    uses, name = network.uses, network.uses.ids[use]
    more: dict[Label, float] = dict.fromkeys(_freed(network, use), -1.0)
    more["cover", *uses.label[use]] = 1.0
    if use >= uses.asking:
        more = {("supply", "proceeds", name): 1.0}
    for block, growing in _rooms(network):
        if use in growing:
            more |= dict.fromkeys(_open_rows(block), block.cap.share)
    return more


def more_of_source(network: Network, source: int) -> Mapping[Label, float]:
    """By row what one more unit of a holding, or of a facility's capacity, adds to its right side.

    A unit is one of base currency.
    """
    sources, uses = network.sources, network.uses
    name = sources.ids[source]
    if sources.is_facility[source]:
        taker = int(sources.funded_by[source])
        return more_of_use(network, taker) if taker >= 0 else {("supply", "proceeds", name): 1.0}
    counted = (("home", name, uses.ids[r]) for r in range(uses.demands, uses.asking))
    return dict.fromkeys([("supply", name), *counted], 1.0)


def marginal_costs(network: Network, prices: Mapping[Label, float]) -> Floats:
    """What one more unit of each use that asks costs at these duals [uses that ask], in basis points a year.

    Raises:
        KeyError: a row that asks for cover has no dual.
    """
    uses = network.uses
    cost = np.array([prices["cover", *label] for label in uses.label[: uses.asking]], dtype=np.float64)
    for use in range(uses.calls, uses.demands):
        cost[use] -= sum(prices.get(row, 0.0) for row in _freed(network, use))
    for block, growing in _rooms(network):
        cost[growing[growing < uses.asking]] += block.cap.share * sum(prices.get(row, 0.0) for row in _open_rows(block))
    return cost


def _rooms(network: Network) -> Iterator[tuple[LimitBlock, Ints]]:
    """Blocks whose caps grow with what uses require, and those uses."""
    kind = network.uses.kind
    for block in network.limits:
        if block.cap.of == "requirement":
            # What an agreement requires as a whole follows its calls, or is a figure of its own: what it requires
            # beside a call stays, so that figure grows with each of them.
            rest = kind[block.governed] == Kind.AGREEMENT
            growing = block.governed[~rest] if block.follows_calls else block.governed
            if len(growing):
                yield block, growing


def _open_rows(block: LimitBlock) -> list[Label]:
    """The rows of groups that may take something."""
    return [block.row(group) for group, shut in zip(block.groups, block.shut, strict=True) if not shut]


def _freed(network: Network, use: int) -> list[Label]:
    """The rows of recalls that need no replacement so long as ``use`` has more than it requires."""
    if network.uses.kind[use] != Kind.AGREEMENT:
        return []
    name = network.uses.ids[use]
    return [("release", r.agreement, str(r.number)) for r in network.releases if r.agreement == name and r.free]
