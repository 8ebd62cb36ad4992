"""The linear program of a book as plain arrays: what somebody has in hand who writes it with another library.

minimise    sum_k c_k x_k
cover       sum_{k into j} f_k x_k                          =   required_j
supply      sum_{k out of i} x_k                            <=  available_i
total       sum_{k counted by t} w_k x_k - total_t          =   0
limit       sum_{k counted by l} w_k x_k - share_l total_t  <=  cap_l
bounds      0 <= x_k <= most_k

Nobody writes upper bounds that the rows imply, so ``most`` is infinite but for :meth:`Allocation.bounded`. Kinder than
what one writes at first: shares of what is posted have a column for all that is posted, figures are millions and basis
points, and the largest weight of a limit is 1; each of these helps every solver tried. A generated book can always be
covered, so nobody needs a shortfall.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from collateral_opt.book import Book
from collateral_opt.model.constraints import concentration, signed_weight
from collateral_opt.network import Network, build_network
from collateral_opt.network.network import LimitBlock, View

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scalar = TypeVar("Scalar", np.float64, np.int64)

MILLION = 1e6
BASIS_POINTS = 1e4


@dataclass(frozen=True)
class Allocation:
    """Pairs of a holding and a call, and what binds them. Money is in millions of base currency.

    ``source``, ``use``, ``factor`` (collateral value of one unit of market value), ``cost_bps`` (a year's) and
    ``most`` are per pair. ``required`` [uses], ``available`` [sources]. ``limit_row``, ``limit_pair`` and
    ``limit_weight`` are the entries of the limits, ``total_row``, ``total_pair`` and ``total_weight`` those of the
    totals. Per limit: ``cap``, ``share`` and the ``total`` that it is a share of (0 and -1 for a constant cap).
    ``years`` [1] is the horizon.
    """

    source: Ints
    use: Ints
    factor: Floats
    cost_bps: Floats
    most: Floats
    required: Floats
    available: Floats
    limit_row: Ints
    limit_pair: Ints
    limit_weight: Floats
    cap: Floats
    share: Floats
    total: Ints
    total_row: Ints
    total_pair: Ints
    total_weight: Floats
    years: Floats

    def bounded(self) -> Allocation:
        """The same program, each pair bounded by what its cover and its supply let through."""
        most = np.minimum(self.required[self.use] / self.factor, self.available[self.source])
        return replace(self, most=most)

    @property
    def n_pairs(self) -> int:
        return len(self.source)

    @property
    def n_totals(self) -> int:
        return int(self.total.max(initial=-1)) + 1

    def cost(self, objective: float) -> float:
        """What an optimum in millions times yearly basis points costs over the horizon, in base currency."""
        return float(objective * MILLION / BASIS_POINTS * self.years[0])

    def save(self, file: Path) -> None:
        """Write all arrays to an ``.npz``."""
        np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, file: Path) -> Allocation:
        """The arrays that :meth:`save` wrote."""
        with np.load(file) as arrays:
            return cls(**{f.name: arrays[f.name] for f in fields(cls)})


def allocation(book: Book) -> Allocation:
    """The program of all eligible pairs of ``book``.

    :raises ValueError: the book has more in it than holdings and calls, and nobody else's program would be the same.
    """
    network = build_network(book.in_full)
    _require_plain(network)
    edges, view = network.edges, View.of(network)
    limits = [_rows(view, block) for block in network.limits]
    shares = [block for block in network.limits if block.cap.of == "posted"]
    total_of = {id(block): t for t, block in enumerate(shares)}
    sizes = [len(rows.cap) for rows in limits]
    first = np.cumsum([0, *sizes])
    return Allocation(
        source=edges.source,
        use=edges.use,
        factor=edges.factor,
        cost_bps=edges.cost_bps,
        most=np.full(len(edges.source), np.inf),
        required=np.array([float(r) for r in network.uses.required]) / MILLION,
        available=network.held / MILLION,
        limit_row=_joined([rows.row + f for rows, f in zip(limits, first[:-1], strict=True)], np.int64),
        limit_pair=_joined([rows.pair for rows in limits], np.int64),
        limit_weight=_joined([rows.weight for rows in limits], np.float64),
        cap=_joined([rows.cap for rows in limits], np.float64),
        share=np.repeat([b.cap.share if id(b) in total_of else 0.0 for b in network.limits], sizes),
        total=np.repeat(np.array([total_of.get(id(b), -1) for b in network.limits], dtype=np.int64), sizes),
        total_row=np.repeat(np.arange(len(shares)), [len(block.scope) for block in shares]),
        total_pair=_joined([block.scope for block in shares], np.int64),
        total_weight=_joined([_weights(view, block, block.scope) for block in shares], np.float64),
        years=np.array([float(network.horizon_years)]),
    )


def by_row(row: Ints, count: int) -> list[Ints]:
    """The positions in ``row`` at which each of ``count`` rows stands."""
    order = np.argsort(row, kind="stable")
    return np.split(order, np.searchsorted(row[order], np.arange(1, count))) if count else []


@dataclass(frozen=True)
class _LimitRows:
    row: Ints
    pair: Ints
    weight: Floats
    cap: Floats


def _rows(view: View, block: LimitBlock) -> _LimitRows:
    # Every row stands, those too that nothing can ever fill: to see that is a solver's work.
    block = replace(block, loose=None)
    if block.cap.of == "posted":
        room = block.cap.share * float(block.posted_total) - np.array([float(lies) for lies in block.posted])
        return _LimitRows(block.group, block.edge, _weights(view, block, block.edge), room / MILLION)
    rows = concentration(view, block)
    weight, cap = np.asarray(rows.coefficient, dtype=np.float64), np.asarray(rows.upper, dtype=np.float64)
    largest = np.zeros(len(rows))
    np.maximum.at(largest, rows.row, weight)
    largest[largest == 0] = 1.0
    return _LimitRows(rows.row, rows.column, weight / largest[rows.row], cap / largest / MILLION)


def _weights(view: View, block: LimitBlock, pairs: Ints) -> Floats:
    weights = signed_weight(view, block.measure, pairs, np.zeros(len(pairs), dtype=bool))
    return np.asarray(weights, dtype=np.float64)


def _require_plain(network: Network) -> None:
    """A peer's program knows holdings and calls, and limits upon them."""
    others = {
        "uses that are no calls": len(network.uses) - network.uses.calls,
        "sources that are no holdings": int(np.count_nonzero(~network.sources.is_holding)),
        "lines that cost for being there": len(network.switches),
        "pins": len(network.pinned),
        "groups over their cap": sum(int(block.shut.sum()) for block in network.limits),
    }
    found = [f"{count} {what}" for what, count in others.items() if count]
    if found:
        raise ValueError(f"the book has {', '.join(found)}; the peers' program knows holdings and calls only")


def _joined(parts: list[NDArray[Scalar]], kind: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)
