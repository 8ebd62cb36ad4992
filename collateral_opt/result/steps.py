"""The steps of an answer in an order that can be carried out: funding, deliveries, recalls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from collateral_opt.book import Book
from collateral_opt.network.exact import exact
from collateral_opt.result.answer import Answer, Line
from collateral_opt.result.ordering import Bridge, Order, Step, order_steps

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Movement:
    """A step with what its row says: call, agreement, facility, holding, asset and quantity."""

    step: Step
    row: Row


def step_rows(book: Book, answer: Answer) -> tuple[list[Row], Order]:
    """The rows of ``steps``, and the order they come from.

    A step takes what is at home in a holding, or the proceeds of a facility; a recall may not leave an agreement with
    less than all it requires, its calls included, or with less than it has at the end.
    """
    movements = [*_funding(book, answer), *_deliveries(answer), *_recalls(answer)]
    stocks: dict[Hashable, Fraction] = {
        ("holding", answer.network.sources.ids[i]): exact(answer.network.sources.quantity[i])
        for i in np.flatnonzero(answer.network.sources.is_holding).tolist()
    }
    values, floors = _agreements(answer)
    order = order_steps([m.step for m in movements], stocks, values, floors)
    rows: list[Row] = []
    for number, taken in enumerate(order.rounds, start=1):
        bridge = "; ".join(_words(bridge) for bridge in taken.bridges)
        for at in taken.steps:
            together = len(taken.steps) > 1
            rows.append((float(number), *movements[at].row, "yes" if together else None, bridge or None))
    return rows, order


def _funding(book: Book, answer: Answer) -> Iterator[Movement]:
    """What facilities are given, and what is drawn of those that take nothing."""
    network, sources = answer.network, answer.network.sources
    kinds = dict(zip(book.facilities["facility_id"], book.facilities["kind"], strict=True))
    for facility in np.flatnonzero(sources.is_facility).tolist():
        name, produced = sources.ids[facility], answer.produced(facility)
        proceeds: Hashable = ("facility", name)
        given = [line for line in answer.lines if line.use == sources.funded_by[facility]]
        for line in given:
            step = Step(name, kinds[name], takes=_taken(answer, line), gives={proceeds: line.collateral_value})
            yield Movement(step, (kinds[name], None, None, name, *_source(answer, line), float(line.quantity)))
        if produced and not given:
            asset = int(sources.asset[facility])
            units = float(produced / network.assets.exact_unit_value(asset))
            step = Step(name, kinds[name], gives={proceeds: produced})
            yield Movement(step, (kinds[name], None, None, name, None, network.assets.ids[asset], units))


def _deliveries(answer: Answer) -> Iterator[Movement]:
    network, uses = answer.network, answer.network.uses
    for line in answer.lines:
        if line.use >= uses.demands:
            continue
        agreement = network.agreement_ids[uses.agreement[line.use]]
        call = uses.ids[line.use] if line.use < uses.calls else None
        facility = network.sources.ids[line.source] if network.sources.is_facility[line.source] else None
        step = Step(call or agreement, "deliver", takes=_taken(answer, line), raises={agreement: line.collateral_value})
        yield Movement(step, ("deliver", call, agreement, facility, *_source(answer, line), float(line.quantity)))


def _recalls(answer: Answer) -> Iterator[Movement]:
    network = answer.network
    into: dict[Hashable, Fraction]
    for stay in answer.stays:
        if not stay.recalled:
            continue
        agreement = network.agreement_ids[stay.agreement]
        value = stay.recalled * stay.unit_value * stay.factor
        into = {("holding", stay.holding_id): stay.recalled} if stay.holding_id is not None else {}
        step = Step(agreement, "recall", gives=into, lowers={agreement: value} if value else {})
        asset = network.assets.ids[stay.asset]
        yield Movement(step, ("recall", None, agreement, None, stay.holding_id, asset, float(stay.recalled)))


def _taken(answer: Answer, line: Line) -> Mapping[Hashable, Fraction]:
    """Units of a holding, or market value of a facility's proceeds."""
    sources = answer.network.sources
    if sources.is_facility[line.source]:
        return {("facility", sources.ids[line.source]): line.market_value}
    return {("holding", sources.ids[line.source]): line.quantity}


def _source(answer: Answer, line: Line) -> tuple[str | None, str]:
    """The holding, if it is one, and the asset."""
    sources = answer.network.sources
    holding = None if sources.is_facility[line.source] else sources.ids[line.source]
    return holding, answer.network.assets.ids[line.asset]


def _agreements(answer: Answer) -> tuple[dict[Hashable, Fraction], dict[Hashable, Fraction]]:
    """What counts at each agreement before the first step, and what no recall may leave it below."""
    network, uses = answer.network, answer.network.uses
    before: dict[Hashable, Fraction] = defaultdict(Fraction)
    after: dict[Hashable, Fraction] = defaultdict(Fraction)
    required: dict[Hashable, Fraction] = defaultdict(Fraction)
    for stay in answer.stays:
        agreement = network.agreement_ids[stay.agreement]
        worth = stay.unit_value * stay.factor
        before[agreement] += (stay.kept + stay.recalled) * worth
        after[agreement] += stay.kept * worth
    for line in answer.lines:
        if line.use < uses.demands:
            after[network.agreement_ids[uses.agreement[line.use]]] += line.collateral_value
    for j in range(uses.demands):
        required[network.agreement_ids[uses.agreement[j]]] += uses.required[j]
    floors = {name: min(required[name] + before[name], value) for name, value in after.items()}
    # What an agreement requires beside its calls is counted as what it lacks with all that lies there.
    return dict(before), floors


def _words(bridge: Bridge) -> str:
    """What has to be lent for the round to be done one after another."""
    if bridge.place == "agreement":
        return f"{float(bridge.amount):,.2f} of collateral at {bridge.name}"
    assert isinstance(bridge.name, tuple)
    kind, name = bridge.name
    return f"{float(bridge.amount):,.12g} {'units of' if kind == 'holding' else 'of proceeds of'} {name}"
