"""From whole lots and duals to the tables of a result. Amounts are summed exactly and rounded once, at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.model.constraints import weight
from collateral_opt.network.exact import FLOAT, exact
from collateral_opt.network.network import Floats, LimitBlock, Network, View
from collateral_opt.result.reasons import reason_for_shortfall
from collateral_opt.result.result import COLUMNS, Result
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import Flows

Duals = Mapping[tuple[str, ...], float]


def assemble(book: Book, network: Network, flows: Flows, ledger: Ledger, summary: Mapping[str, Any]) -> Result:
    """The tables of the answer on ``ledger``, priced with the duals of ``flows``."""
    duals = dict(zip(flows.program.rows.labels, flows.row_dual.tolist(), strict=True))
    return Result(
        book=book,
        allocation=_allocation(network, ledger),
        financing=_empty("financing"),
        calls=_calls(network, ledger, duals),
        inventory=_inventory(network, ledger, duals),
        reserves=_empty("reserves"),
        limits=_limits(network, ledger, duals),
        summary=dict(summary),
    )


def cents(value: Fraction | float) -> float:
    """Rounded to the cent, never minus zero."""
    return float(round(Fraction(value), 2)) + 0.0


def _frame(table: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows under the columns of ``table``: figures as floats, names as objects."""
    columns = COLUMNS[table]
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    names = {"call_id", "agreement_id", "holding_id", "facility_id", "from_facility_id", "asset_id", "action",
             "reserve_id", "limit", "group", "reason"}  # fmt: skip
    return pd.DataFrame(
        {
            column: pd.Series(list(values), dtype=object if column in names else np.float64)
            for column, values in zip(columns, cells, strict=True)
        }
    )


def _empty(table: str) -> pd.DataFrame:
    return _frame(table, [])


def _lines(ledger: Ledger) -> list[int]:
    """Edges of the ledger that carry lots, in the order of call and holding."""
    return [k for k, lots in enumerate(ledger.lots) if lots]


def _quantity(network: Network, ledger: Ledger, k: int) -> Fraction:
    return ledger.lots[k] * exact(network.assets.lot[network.edge_asset[ledger.edge[k]]])


def _allocation(network: Network, ledger: Ledger) -> pd.DataFrame:
    edges, uses, sources = network.edges, network.uses, network.sources
    rows: list[tuple[Any, ...]] = []
    for k in _lines(ledger):
        e = int(ledger.edge[k])
        i, j = int(edges.source[e]), int(edges.use[e])
        factor = edges.factors[edges.factor_code[e]]
        market_value = ledger.lots[k] * ledger.lot_value[k]
        cost = market_value * exact(edges.cost_bps[e]) / 10_000 * network.horizon_years
        rows.append(
            (
                uses.ids[j],
                network.agreement_ids[uses.agreement[j]],
                sources.ids[i],
                None,
                network.assets.ids[sources.asset[i]],
                "deliver",
                float(_quantity(network, ledger, k)),
                cents(market_value),
                float(1 - factor),
                cents(market_value * factor),
                cents(cost),
            )
        )
    return _frame("allocation", rows)


def _calls(network: Network, ledger: Ledger, duals: Duals) -> pd.DataFrame:
    marginal = _marginal_costs(network, duals)
    rows: list[tuple[Any, ...]] = []
    for j, identifier in enumerate(network.uses.ids):
        required = network.uses.required[j]
        covered = required - Fraction(ledger.missing[j], ledger.unit[j])
        shortfall = max(Fraction(0), required - covered)
        rows.append(
            (
                identifier,
                cents(required),
                cents(covered),
                max(cents(shortfall), 0.01) if shortfall else 0.0,  # a shortfall is never shown as none
                cents(max(Fraction(0), covered - required)),
                np.nan if shortfall else marginal[j] + 0.0,
                reason_for_shortfall(network, ledger, j) if shortfall else None,
            )
        )
    return _frame("calls", rows)


def _marginal_costs(network: Network, duals: Duals) -> Floats:
    """Per call: the dual of its cover, less what the room is worth that it gives to caps on a requirement."""
    cost = np.array([duals[("cover", identifier)] for identifier in network.uses.ids])
    for block in network.limits:
        if block.cap.of == "requirement":
            agreement = network.agreement_ids[block.agreement]
            labels = [("limit", agreement, block.label, block.cap.of, group) for group in block.groups]
            worth = block.cap.share * sum(_worth(duals.get(label, 0.0)) for label in labels)
            governed = np.array([s == block.schedule for s in network.uses.schedule], dtype=bool)
            cost[governed & (network.uses.agreement == block.agreement)] -= worth
    return cost


def _inventory(network: Network, ledger: Ledger, duals: Duals) -> pd.DataFrame:
    used: dict[int, Fraction] = defaultdict(Fraction)
    for k in _lines(ledger):
        used[int(network.edges.source[ledger.edge[k]])] += _quantity(network, ledger, k)
    rows: list[tuple[Any, ...]] = []
    for i, identifier in enumerate(network.sources.ids):
        quantity = exact(network.sources.quantity[i])
        rows.append(
            (
                identifier,
                network.assets.ids[network.sources.asset[i]],
                float(quantity),
                float(used[i]),
                float(quantity - used[i]),
                _worth(duals.get(("supply", identifier), 0.0)),
            )
        )
    return _frame("inventory", rows)


def _worth(dual: float) -> float:
    """The price of a row that holds something back: positive, and never minus zero."""
    return max(0.0, -dual)


def _limits(network: Network, ledger: Ledger, duals: Duals) -> pd.DataFrame:
    """Every group of every limit that an eligible edge or a posted asset touches, at its tightest cap."""
    view = View(network, np.arange(len(network.edges)), FLOAT)
    delivered = np.zeros(len(network.edges))
    delivered[ledger.edge] = ledger.market_values()
    tightest: dict[tuple[str, str, str], tuple[float, float, float, float]] = {}
    for block in network.limits:
        agreement = network.agreement_ids[block.agreement]
        used, cap = measured(block, view, delivered)
        for g, group in enumerate(block.groups):
            dual = _worth(duals.get(("limit", agreement, block.label, block.cap.of, group), 0.0))
            key, row = (agreement, block.label, group), (cap[g] - used[g], used[g], cap[g], dual)
            known = tightest.get(key)
            if known is not None:
                row = (*min(known[:3], row[:3]), known[3] + dual)
            tightest[key] = row
    rows = [(*key, cents(used), cents(cap), price) for key, (_, used, cap, price) in sorted(tightest.items())]
    return _frame("limits", rows)


def measured(block: LimitBlock, view: View, delivered: Floats) -> tuple[Floats, Floats]:
    """Per group of ``block``: what counts against the cap after the run, and the cap."""
    counts = delivered * weight(view, block.measure, np.arange(len(delivered)))
    posted = np.array([float(p) for p in block.posted])
    used: Floats = posted + np.bincount(block.group, weights=counts[block.edge], minlength=len(block.groups))
    if block.cap.of == "posted":
        total = float(block.posted_total) + float(counts[block.scope].sum())
        return used, np.full(len(used), block.cap.share * total)
    groups = np.arange(len(block.groups))
    return used, np.asarray(block.cap.values(block.measure, groups, view.network.assets, FLOAT), dtype=np.float64)
