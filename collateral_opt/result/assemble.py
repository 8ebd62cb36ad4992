"""From whole lots and duals to the tables of a result. Amounts are summed exactly and rounded once, at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.exact import FLOAT, exact
from collateral_opt.network.network import Floats, View
from collateral_opt.result.answer import Answer
from collateral_opt.result.measure import measured
from collateral_opt.result.reasons import reason_for_shortfall
from collateral_opt.result.result import COLUMNS, Result


def assemble(book: Book, answer: Answer, summary: Mapping[str, Any]) -> Result:
    """The tables of ``answer``."""
    return Result(
        book=book,
        allocation=_allocation(answer),
        financing=_financing(answer),
        calls=_calls(answer),
        inventory=_inventory(answer),
        reserves=_reserves(answer),
        limits=_limits(answer),
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


def _allocation(answer: Answer) -> pd.DataFrame:
    network, uses, sources = answer.network, answer.network.uses, answer.network.sources
    rows: list[tuple[Any, ...]] = []
    for line in answer.lines:
        if line.use >= uses.calls:
            continue
        source, is_facility = sources.ids[line.source], sources.is_facility[line.source]
        rows.append(
            (
                uses.ids[line.use],
                network.agreement_ids[uses.agreement[line.use]],
                None if is_facility else source,
                source if is_facility else None,
                network.assets.ids[line.asset],
                "deliver",
                float(line.quantity),
                cents(line.market_value),
                float(1 - line.factor),
                cents(line.collateral_value),
                cents(line.cost),
            )
        )
    return _frame("allocation", rows)


def _financing(answer: Answer) -> pd.DataFrame:
    """What each facility was given, with its own cost split by what each part brings; a line of its own where none."""
    network, sources = answer.network, answer.network.sources
    rows: list[tuple[Any, ...]] = []
    for facility in np.flatnonzero(sources.is_facility).tolist():
        produced, cost = answer.produced(facility), answer.production_cost(facility)
        given = [line for line in answer.lines if line.use == sources.funded_by[facility]]
        total = sum((line.collateral_value for line in given), Fraction(0))
        name = sources.ids[facility]
        for line in given:
            is_facility = sources.is_facility[line.source]
            rows.append(
                (
                    name,
                    None if is_facility else sources.ids[line.source],
                    sources.ids[line.source] if is_facility else None,
                    network.assets.ids[line.asset],
                    float(line.quantity),
                    cents(line.market_value),
                    float(1 - line.factor),
                    cents(line.collateral_value),
                    cents(line.cost + cost * line.collateral_value / total),
                )
            )
        if produced and not given:
            asset = int(sources.asset[facility])
            quantity = float(produced / network.assets.exact_unit_value(asset))
            value = cents(produced)
            rows.append((name, None, None, network.assets.ids[asset], quantity, value, 0.0, value, cents(cost)))
    return _frame("financing", rows)


def _calls(answer: Answer) -> pd.DataFrame:
    network, ledger = answer.network, answer.ledger
    marginal = _marginal_costs(answer)
    rows: list[tuple[Any, ...]] = []
    for j, identifier in enumerate(network.uses.ids[: network.uses.calls]):
        required = network.uses.required[j]
        covered = required - Fraction(ledger.missing[j], ledger.unit[j])
        shortfall = max(Fraction(0), required - covered)
        rows.append(
            (
                identifier,
                cents(required),
                cents(covered),
                _shown(shortfall),
                cents(max(Fraction(0), covered - required)),
                np.nan if shortfall else marginal[j] + 0.0,
                reason_for_shortfall(answer, j) if shortfall else None,
            )
        )
    return _frame("calls", rows)


def _shown(shortfall: Fraction) -> float:
    """To the cent, but a shortfall is never shown as none."""
    return max(cents(shortfall), 0.01) if shortfall else 0.0


def _marginal_costs(answer: Answer) -> Floats:
    """Per call and reserve: the dual of its cover, less what the room is worth that it gives to caps on it."""
    uses, duals = answer.network.uses, answer.flows.duals
    cost = np.array([duals[("cover", identifier)] for identifier in uses.ids[: uses.asking]])
    for block in answer.network.limits:
        governed = block.governed[block.governed < uses.asking]
        if block.cap.of == "requirement" and len(governed):
            labels = [("limit", block.place, block.label, block.basis, group) for group in block.groups]
            cost[governed] -= block.cap.share * sum(_worth(duals.get(label, 0.0)) for label in labels)
    return cost


def _inventory(answer: Answer) -> pd.DataFrame:
    network, sources = answer.network, answer.network.sources
    used: dict[int, Fraction] = defaultdict(Fraction)
    for line in answer.lines:
        used[line.source] += line.quantity
    at_home: dict[str, float] = defaultdict(float)
    for label, dual in answer.flows.duals.items():
        if label[0] == "home":
            at_home[label[1]] += _worth(dual)
    rows: list[tuple[Any, ...]] = []
    for i in np.flatnonzero(~sources.is_facility).tolist():
        identifier, quantity = sources.ids[i], exact(sources.quantity[i])
        rows.append(
            (
                identifier,
                network.assets.ids[sources.asset[i]],
                float(quantity),
                float(used[i]),
                float(quantity - used[i]),
                _worth(answer.flows.duals.get(("supply", identifier), 0.0)) + at_home[identifier],
            )
        )
    return _frame("inventory", rows)


def _worth(dual: float) -> float:
    """The price of a row that holds something back: positive, and never minus zero."""
    return max(0.0, -dual)


def _reserves(answer: Answer) -> pd.DataFrame:
    uses = answer.network.uses
    marginal = _marginal_costs(answer)
    rows: list[tuple[Any, ...]] = []
    for r, short in enumerate(answer.lacking):
        j = uses.calls + r
        required = uses.required[j]
        rows.append(
            (
                uses.ids[j],
                cents(required),
                cents(required - short),
                _shown(short),
                np.nan if short else marginal[j] + 0.0,
            )
        )
    return _frame("reserves", rows)


def _limits(answer: Answer) -> pd.DataFrame:
    """Every group of every limit that an eligible edge or a posted asset touches, at its tightest cap."""
    network = answer.network
    view = View(network, np.arange(len(network.edges)), FLOAT)
    flow = answer.delivered + answer.counted
    tightest: dict[tuple[str, str, str], tuple[float, float, float, float]] = {}
    for block in network.limits:
        used, cap, _ = measured(block, view, flow)
        for g, group in enumerate(block.groups):
            dual = _worth(answer.flows.duals.get(("limit", block.place, block.label, block.basis, group), 0.0))
            key, row = (block.place, block.label, group), (cap[g] - used[g], used[g], cap[g], dual)
            known = tightest.get(key)
            if known is not None:
                row = (*min(known[:3], row[:3]), known[3] + dual)
            tightest[key] = row
    rows = [(*key, cents(used), cents(cap), price) for key, (_, used, cap, price) in sorted(tightest.items())]
    return _frame("limits", rows)
