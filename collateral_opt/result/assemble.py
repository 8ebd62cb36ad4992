"""From whole lots and duals to the tables of a result. Amounts are summed exactly and rounded once, at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.model.right_sides import marginal_costs
from collateral_opt.network.exact import Sum, exact
from collateral_opt.network.network import View
from collateral_opt.result.answer import Answer, Line, Stay
from collateral_opt.result.changes import changes
from collateral_opt.result.measure import measured
from collateral_opt.result.reasons import reason_for_shortfall
from collateral_opt.result.result import COLUMNS, Result
from collateral_opt.result.steps import step_rows


def assemble(book: Book, answer: Answer, summary: Mapping[str, Any]) -> Result:
    """The tables of ``answer``."""
    allocation = _allocation(answer)
    return Result(
        book=book.in_full,
        allocation=allocation,
        financing=_financing(answer),
        calls=_calls(answer),
        agreements=_agreements(answer),
        inventory=_inventory(answer),
        reserves=_reserves(answer),
        limits=_limits(answer),
        steps=_frame("steps", step_rows(book.in_full, answer)[0]),
        changes=changes(book, allocation) if len(book.instructions) else _frame("changes", []),
        summary=dict(summary),
    )


def cents(value: Fraction | float) -> float:
    """Rounded to the cent, half a cent to the even one, never minus zero."""
    if isinstance(value, float):
        return round(float(value), 2) + 0.0  # numpy's own round is of the product with 100
    numerator, denominator = value.as_integer_ratio()
    whole, rest = divmod(100 * numerator, denominator)
    more = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    return (whole + more) / 100


def _frame(table: str, rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Rows under the columns of ``table``: figures as floats, names as objects."""
    columns = COLUMNS[table]
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    index = pd.RangeIndex(len(rows))
    names = {"call_id", "agreement_id", "holding_id", "facility_id", "from_facility_id", "asset_id", "action",
             "reserve_id", "limit", "group", "reason", "settles", "start_by", "together", "bridge", "state",
             "change"}  # fmt: skip
    return pd.DataFrame(
        {
            # Pandas would make text of a column of names, and NaN of None.
            column: pd.Series(values, index, dtype=object) if column in names else np.array(values, dtype=np.float64)
            for column, values in zip(columns, cells, strict=True)
        },
        index,
    )


def _allocation(answer: Answer) -> pd.DataFrame:
    """What goes to calls, then what stays, is recalled and replaces it, agreement by agreement."""
    uses = answer.network.uses
    rows = [_delivered(answer, line) for line in answer.lines if line.use < uses.calls]
    staying, replacing = _stays_by_agreement(answer), _lines_by_use(answer)
    uses_of: dict[int, list[int]] = defaultdict(list)
    for use in range(uses.calls, uses.demands):
        uses_of[int(uses.agreement[use])].append(use)
    for agreement in range(len(answer.network.agreement_ids)):
        rows += [row for stay in staying[agreement] for row in _stays(answer, stay)]
        rows += [_delivered(answer, line) for use in uses_of[agreement] for line in replacing[use]]
    return _frame("allocation", rows)


def _stays_by_agreement(answer: Answer) -> Mapping[int, list[Stay]]:
    found: dict[int, list[Stay]] = defaultdict(list)
    for stay in answer.stays:
        found[stay.agreement].append(stay)
    return found


def _lines_by_use(answer: Answer) -> Mapping[int, list[Line]]:
    found: dict[int, list[Line]] = defaultdict(list)
    for line in answer.lines:
        found[line.use].append(line)
    return found


def _delivered(answer: Answer, line: Line) -> tuple[Any, ...]:
    network, uses = answer.network, answer.network.uses
    source, is_facility = network.sources.ids[line.source], network.sources.is_facility[line.source]
    return (
        uses.ids[line.use] if line.use < uses.calls else None,
        network.agreement_ids[uses.agreement[line.use]],
        None if is_facility else source,
        source if is_facility else None,
        network.assets.ids[line.asset],
        "deliver",
        float(line.quantity),
        cents(line.market_value),
        _haircut(line.factor),
        cents(line.collateral_value),
        cents(line.cost),
    )


@lru_cache(maxsize=2**12)
def _haircut(factor: Fraction) -> float:
    return float(1 - factor)


def _stays(answer: Answer, stay: Stay) -> Iterator[tuple[Any, ...]]:
    """A row for what is kept and one for what is recalled, where there is any."""
    network = answer.network
    place = (None, network.agreement_ids[stay.agreement], stay.holding_id, None, network.assets.ids[stay.asset])
    parts = (("keep", stay.kept, stay.keep_cost), ("recall", stay.recalled, stay.recall_cost))
    for action, quantity, cost in parts:
        if quantity:
            value = quantity * stay.unit_value
            haircut = _haircut(stay.factor)
            worth = (cents(value), haircut, cents(value * stay.factor), cents(cost))
            yield (*place, action, float(quantity), *worth)


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
                    _haircut(line.factor),
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
    marginal = marginal_costs(answer.network, answer.prices)
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


def _agreements(answer: Answer) -> pd.DataFrame:
    """Of each agreement what it requires beside its calls, and what is there for that after the run."""
    uses, ledger = answer.network.uses, answer.ledger
    marginal = marginal_costs(answer.network, answer.prices)
    staying, replacing = _stays_by_agreement(answer), _lines_by_use(answer)
    rows: list[tuple[Any, ...]] = []
    for j in range(uses.calls, uses.demands):
        stays = staying[int(uses.agreement[j])]
        kept = sum((stay.kept * stay.unit_value * stay.factor for stay in stays), Fraction(0))
        recalled = sum((stay.recalled * stay.unit_value * stay.factor for stay in stays), Fraction(0))
        delivered = sum((line.collateral_value for line in replacing[j]), Fraction(0))
        required = uses.required[j] + kept + recalled
        shortfall = ledger.shortfall(j)
        rows.append(
            (
                uses.ids[j],
                cents(required),
                cents(kept + recalled),
                cents(kept),
                cents(recalled),
                cents(delivered),
                _shown(shortfall),
                cents(max(Fraction(0), kept + delivered - required)),
                np.nan if shortfall else marginal[j] + 0.0,
            )
        )
    return _frame("agreements", rows)


def _shown(shortfall: Fraction) -> float:
    """To the cent, but a shortfall is never shown as none."""
    return max(cents(shortfall), 0.01) if shortfall else 0.0


def _inventory(answer: Answer) -> pd.DataFrame:
    network, sources = answer.network, answer.network.sources
    used: dict[int, Sum] = defaultdict(Sum)
    for line in answer.lines:
        used[line.source].add(line.quantity)
    at_home: dict[str, float] = defaultdict(float)
    for label, dual in answer.prices.items():
        if label[0] == "home":
            at_home[label[1]] += _worth(dual)
    rows: list[tuple[Any, ...]] = []
    quantities, assets = (sources.quantity + 0.0).tolist(), sources.asset.tolist()
    prices, recalled_into, nothing = answer.prices, answer.recalled_into, Fraction(0)
    for i in np.flatnonzero(sources.is_holding).tolist():
        identifier, quantity = sources.ids[i], quantities[i]
        back, out = recalled_into.get(identifier, nothing), used[i].value if i in used else nothing
        moved = (0.0, 0.0, quantity)
        if back or out:
            moved = (float(back), float(out), float(exact(quantity) + back - out if back else exact(quantity) - out))
        worth = _worth(prices.get(("supply", identifier), 0.0)) + at_home.get(identifier, 0.0)
        rows.append((identifier, network.assets.ids[assets[i]], quantity, *moved, worth))
    return _frame("inventory", rows)


def _worth(dual: float) -> float:
    """The price of a row that holds something back: positive, and never minus zero."""
    return max(0.0, -dual)


def _reserves(answer: Answer) -> pd.DataFrame:
    uses = answer.network.uses
    marginal = marginal_costs(answer.network, answer.prices)
    rows: list[tuple[Any, ...]] = []
    for r, short in enumerate(answer.lacking):
        j = uses.demands + r
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
    view = View.of(network)
    flow = answer.delivered + answer.counted
    tightest: dict[tuple[str, str, str], tuple[float, float, float, float]] = {}
    for block in network.limits:
        used, cap, _ = (figures.tolist() for figures in measured(block, view, flow))
        for g, group in enumerate(block.groups):
            dual = _worth(answer.prices.get(block.row(group), 0.0))
            key, row = (block.place, block.label, group), (cap[g] - used[g], used[g], cap[g], dual)
            known = tightest.get(key)
            if known is not None:
                row = (*min(known[:3], row[:3]), known[3] + dual)
            tightest[key] = row
    rows = [(*key, cents(used), cents(cap), price) for key, (_, used, cap, price) in sorted(tightest.items())]
    return _frame("limits", rows)
