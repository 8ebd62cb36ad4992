"""From whole lots and duals to the tables of a result. Amounts are summed exactly and rounded once, at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.exact import Ratio, exact, plus
from collateral_opt.network.network import BlockKey, View
from collateral_opt.result.answer import Answer, Line, Stay
from collateral_opt.result.changes import changes
from collateral_opt.result.measure import measured
from collateral_opt.result.reasons import reason_for_shortfall
from collateral_opt.result.result import COLUMNS, Result
from collateral_opt.result.steps import Row, step_rows

NAMES = frozenset(
    ("call_id", "agreement_id", "holding_id", "facility_id", "from_facility_id", "asset_id", "action", "reserve_id",
     "limit", "group", "reason", "settles", "start_by", "together", "bridge", "state", "change")
)  # fmt: skip
"""The columns that hold no figures."""


def assemble(book: Book, answer: Answer, summary: Mapping[str, Any]) -> Result:
    """The tables of ``answer``."""
    allocation = _frame("allocation", _allocation(answer))
    return Result(
        book=book.in_full,
        allocation=allocation,
        financing=_frame("financing", _financing(answer)),
        calls=_frame("calls", _calls(answer)),
        agreements=_frame("agreements", _agreements(answer)),
        inventory=_frame("inventory", _inventory(answer)),
        reserves=_frame("reserves", _reserves(answer)),
        limits=_frame("limits", _limits(answer)),
        steps=_frame("steps", step_rows(book.in_full, answer)),
        changes=changes(book, allocation) if len(book.instructions) else _frame("changes", []),
        summary=dict(summary),
    )


def cents(value: Fraction | float) -> float:
    """Rounded to the cent, half a cent to the even one, never minus zero."""
    if isinstance(value, float):
        return round(float(value), 2) + 0.0  # numpy's own round is of the product with 100
    return cents_of(value.as_integer_ratio())


def cents_of(value: Ratio) -> float:
    """The same of a ratio."""
    numerator, denominator = value
    whole, rest = divmod(100 * numerator, denominator)
    more = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    return (whole + more) / 100


def _frame(table: str, rows: list[Row]) -> pd.DataFrame:
    """Rows under the columns of ``table``: figures as floats, names as objects."""
    return _columns(table, list(zip(*rows, strict=True))) if rows else _empty(table).copy()


@cache
def _empty(table: str) -> pd.DataFrame:
    return _columns(table, [()] * len(COLUMNS[table]))


def _columns(table: str, cells: Sequence[Sequence[Any]]) -> pd.DataFrame:
    index = pd.RangeIndex(len(cells[0]))
    return pd.DataFrame(
        {
            # Pandas would make text of a column of names, and NaN of None.
            column: pd.Series(values, index, dtype=object) if column in NAMES else np.array(values, dtype=np.float64)
            for column, values in zip(COLUMNS[table], cells, strict=True)
        },
        index,
    )


def _allocation(answer: Answer) -> list[Row]:
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
    return rows


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


def _delivered(answer: Answer, line: Line) -> Row:
    (holding, facility), (units, unit) = answer.givers[line.source], line.units
    return (
        *answer.takers[line.use],
        holding,
        facility,
        answer.network.assets.ids[line.asset],
        "deliver",
        units / unit,
        cents_of(line.worth),
        _haircut(line.factor),
        cents_of(line.counts),
        cents_of(line.paid),
    )


def _haircut(factor: Fraction) -> float:
    counts, of = factor.as_integer_ratio()
    return (of - counts) / of


def _stays(answer: Answer, stay: Stay) -> Iterator[Row]:
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


def _financing(answer: Answer) -> list[Row]:
    """What each facility was given, with its own cost split by what each part brings; a line of its own where none."""
    network, sources = answer.network, answer.network.sources
    rows: list[Row] = []
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
    return rows


def _calls(answer: Answer) -> list[Row]:
    uses, ledger, marginal = answer.network.uses, answer.ledger, answer.marginal_costs.tolist()
    rows: list[Row] = []
    for j, (identifier, required) in enumerate(zip(uses.ids[: uses.calls], uses.required, strict=False)):
        missing, unit = ledger.missing[j], ledger.unit[j]
        shortfall = max(0, missing)
        rows.append(
            (
                identifier,
                cents(required),
                cents_of(plus(required.as_integer_ratio(), (-missing, unit))),
                _shown(Fraction(shortfall, unit)),
                cents_of((max(0, -missing), unit)),
                np.nan if shortfall else marginal[j] + 0.0,
                reason_for_shortfall(answer, j) if shortfall else None,
            )
        )
    return rows


def _agreements(answer: Answer) -> list[Row]:
    """Of each agreement what it requires beside its calls, and what is there for that after the run."""
    uses, ledger = answer.network.uses, answer.ledger
    staying, replacing = _stays_by_agreement(answer), _lines_by_use(answer)
    rows: list[Row] = []
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
                np.nan if shortfall else answer.marginal_costs[j] + 0.0,
            )
        )
    return rows


def _shown(shortfall: Fraction) -> float:
    """To the cent, but a shortfall is never shown as none."""
    return max(cents(shortfall), 0.01) if shortfall else 0.0


def _inventory(answer: Answer) -> list[Row]:
    sources, asset_ids, recalled_into = answer.network.sources, answer.network.assets.ids, answer.recalled_into
    used: dict[int, Ratio] = {}
    for line in answer.lines:
        used[line.source] = plus(used[line.source], line.units) if line.source in used else line.units
    worth: dict[str, float] = {}
    at_home: dict[str, float] = defaultdict(float)
    for label, dual in answer.prices.items():
        if label[0] == "home":
            at_home[label[1]] += _worth(dual)
        elif label[0] == "supply" and len(label) == 2:
            worth[label[1]] = _worth(dual)
    rows: list[Row] = []
    quantities, assets, nothing = (sources.quantity + 0.0).tolist(), sources.asset.tolist(), Fraction(0)
    for i in np.flatnonzero(sources.is_holding).tolist():
        identifier, quantity = sources.ids[i], quantities[i]
        back, (out, of) = recalled_into.get(identifier, nothing), used.get(i, (0, 1))
        moved = (0.0, 0.0, quantity)
        if back or out:
            held = exact(quantity) + back if back else exact(quantity)
            left, part = plus(held.as_integer_ratio(), (-out, of))
            moved = (float(back), out / of, left / part)
        price = worth.get(identifier, 0.0) + at_home.get(identifier, 0.0)
        rows.append((identifier, asset_ids[assets[i]], quantity, *moved, price))
    return rows


def _worth(dual: float) -> float:
    """The price of a row that holds something back: positive, and never minus zero."""
    return max(0.0, -dual)


def _reserves(answer: Answer) -> list[Row]:
    uses = answer.network.uses
    rows: list[Row] = []
    for r, short in enumerate(answer.lacking):
        j = uses.demands + r
        required = uses.required[j]
        rows.append(
            (
                uses.ids[j],
                cents(required),
                cents(required - short),
                _shown(short),
                np.nan if short else answer.marginal_costs[j] + 0.0,
            )
        )
    return rows


# Many groups have one cap, of most there is nothing, and a what-if moves few of them.
_limit_cents = lru_cache(maxsize=2**12)(cents)


def _limits(answer: Answer) -> list[Row]:
    """Every group of every limit that an eligible edge or a posted asset touches, at its tightest cap."""
    network = answer.network
    view, flow = View.of(network), answer.delivered + answer.counted
    worth: dict[BlockKey, dict[str, float]] = defaultdict(dict)
    for label, dual in answer.prices.items():
        if label[0] == "limit":
            _, place, limit, basis, group = label
            worth[place, limit, basis][group] = _worth(dual)
    tightest: dict[tuple[str, str], dict[str, tuple[float, float, float, float]]] = defaultdict(dict)
    for block in network.limits:
        used, cap, _ = measured(block, view, flow)
        known, own = tightest[block.place, block.label], worth[block.key]
        prices = [own.get(group, 0.0) for group in block.groups]
        figures = zip((cap - used).tolist(), used.tolist(), cap.tolist(), prices, strict=True)
        for group, row in zip(block.groups, figures, strict=True):
            before = known.get(group)
            known[group] = row if before is None else (*min(before[:3], row[:3]), before[3] + row[3])
    return [
        (*named, group, _limit_cents(used), _limit_cents(cap), price)
        for named, groups in sorted(tightest.items())
        for group, (_, used, cap, price) in sorted(groups.items())
    ]
