"""The steps of an answer in an order that can be carried out: funding, deliveries, recalls.

What is recalled for a use with a deadline is a step of its own, for it must start by then, and so is what is handed
over of it. Where the order leaves a choice, what settles or must start earlier comes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Kind
from collateral_opt.result.answer import Answer, Line
from collateral_opt.result.ordering import Bridge, Step, order_steps

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Movement:
    """A step with what its row says: call, agreement, facility, holding, asset and quantity, and its times.

    ``settles`` is when it can have arrived, ``start_by`` when it must have begun, in nanoseconds of UTC.
    """

    step: Step
    row: Row
    settles: int | None = None
    start_by: int | None = None

    @property
    def when(self) -> float:
        """What orders steps that could go either way."""
        times = [t for t in (self.settles, self.start_by) if t is not None]
        return min(times, default=float("inf"))


def step_rows(book: Book, answer: Answer) -> list[Row]:
    """The rows of ``steps``, in order.

    A step takes what is at home in a holding, or the proceeds of a facility; a recall may not leave an agreement with
    less than all it requires, its calls included, or with less than it has at the end.
    """
    sources, time = answer.network.sources, cache(partial(_time, book))
    if _waits_for_nothing(answer):
        settles = sources.deliverable_at.tolist()
        plain = sorted(answer.parts, key=lambda part: settles[part.source])
        return [
            (float(number), *_delivered(answer, part), time(settles[part.source]), None, None, None)
            for number, part in enumerate(plain, start=1)
        ]
    movements = sorted([*_funding(book, answer), *_deliveries(answer), *_recalls(answer)], key=_when)
    named = {stock for movement in movements for stock in (*movement.step.takes, *movement.step.gives)}
    holdings = ((("holding", sources.ids[i]), sources.quantity[i]) for i in np.flatnonzero(sources.is_holding).tolist())
    stocks: dict[Hashable, Fraction] = {stock: exact(quantity) for stock, quantity in holdings if stock in named}
    values, floors = _agreements(answer) if answer.recalls else ({}, {})
    order = order_steps([m.step for m in movements], stocks, values, floors)
    rows: list[Row] = []
    for number, taken in enumerate(order.rounds, start=1):
        bridge = "; ".join(_words(answer, bridge) for bridge in taken.bridges)
        for at in taken.steps:
            together = len(taken.steps) > 1
            movement = movements[at]
            times = (time(movement.settles), time(movement.start_by))
            rows.append((float(number), *movement.row, *times, "yes" if together else None, bridge or None))
    return rows


def _waits_for_nothing(answer: Answer) -> bool:
    """Whether all that moves is what is at home, so that no delivery comes after another."""
    network = answer.network
    is_facility, demands = network.sources.is_facility.tolist(), network.uses.demands
    return not answer.recalls and not any(is_facility[part.source] or part.use >= demands for part in answer.parts)


def _when(movement: Movement) -> float:
    return movement.when


def _time(book: Book, at: int | None) -> str | None:
    """As ``as_of``'s own offset writes it."""
    if at is None:
        return None
    return str(pd.Timestamp(at, tz="UTC").tz_convert(book.settings.as_of.tzinfo).isoformat(timespec="minutes"))


def _funding(book: Book, answer: Answer) -> Iterator[Movement]:
    """What facilities are given, and what is drawn of those that take nothing."""
    network, sources = answer.network, answer.network.sources
    kinds = dict(zip(book.facilities["facility_id"], book.facilities["kind"], strict=True))
    for facility in np.flatnonzero(sources.is_facility).tolist():
        name, produced = sources.ids[facility], answer.produced(facility)
        proceeds: Hashable = ("facility", name)
        given = [part for part in answer.parts if part.use == sources.funded_by[facility]]
        for part in given:
            step = Step(name, kinds[name], takes=_taken(answer, part), gives={proceeds: part.collateral_value})
            row = (kinds[name], None, None, name, *_source(answer, part), float(part.quantity))
            yield Movement(step, row, settles=_settles(answer, part))
        if produced and not given:
            asset = int(sources.asset[facility])
            units = float(produced / network.assets.exact_unit_value(asset))
            step = Step(name, kinds[name], gives={proceeds: produced})
            row = (kinds[name], None, None, name, None, network.assets.ids[asset], units)
            yield Movement(step, row, settles=int(sources.deliverable_at[facility]))


def _deliveries(answer: Answer) -> Iterator[Movement]:
    uses = answer.network.uses
    for part in answer.parts:
        if part.use >= uses.demands:
            continue
        row = _delivered(answer, part)
        _, call, agreement, *_ = row
        step = Step(call or agreement, "deliver", takes=_taken(answer, part), raises={agreement: part.collateral_value})
        yield Movement(step, row, settles=_settles(answer, part))


def _delivered(answer: Answer, part: Line) -> Row:
    """What is delivered to a call or an agreement."""
    (holding, facility), (units, unit) = answer.givers[part.source], part.units
    asset = answer.network.assets.ids[part.asset]
    return ("deliver", *answer.takers[part.use], facility, holding, asset, units / unit)


def _recalls(answer: Answer) -> Iterator[Movement]:
    """What is recalled, by place, holding and the time by which it must start."""
    network = answer.network
    units: dict[tuple[int, int, str, int | None], Fraction] = defaultdict(Fraction)
    into: dict[tuple[int, int, str, int | None], dict[Hashable, Fraction]] = defaultdict(dict)
    for (at, use), quantity in answer.recalls.items():
        line = network.posted[at]
        key = (line.agreement, line.asset, line.holding_id or "", network.leave_by.get((at, use)))
        units[key] += quantity
        stock = _stock(answer, at, use)
        if stock is not None:
            into[key][stock] = into[key].get(stock, Fraction(0)) + quantity
    factors = {(stay.agreement, stay.asset, stay.holding_id or ""): stay.factor for stay in answer.stays}
    for key, quantity in sorted(units.items(), key=lambda item: (item[0][:3], item[0][3] is None, item[0][3] or 0)):
        at_agreement, asset, joins, start_by = key
        agreement = network.agreement_ids[at_agreement]
        value = quantity * network.assets.exact_unit_value(asset) * factors[at_agreement, asset, joins]
        step = Step(agreement, "recall", gives=into[key], lowers={agreement: value} if value else {})
        row = ("recall", None, agreement, None, joins or None, network.assets.ids[asset], float(quantity))
        yield Movement(step, row, start_by=start_by)


def _stock(answer: Answer, at: int, use: int) -> Hashable | None:
    """Where what is recalled lies until it is handed over: kept for its use, or in its holding."""
    line = answer.network.posted[at]
    if answer.network.uses.kind[use] == Kind.HOME:
        return None if line.holding_id is None else ("holding", line.holding_id)
    return ("recalled", at, use)


def _settles(answer: Answer, part: Line) -> int | None:
    """When it can have arrived; of what has to be recalled first that depends."""
    sources = answer.network.sources
    return None if sources.is_posted[part.source] else int(sources.deliverable_at[part.source])


def _taken(answer: Answer, part: Line) -> Mapping[Hashable, Fraction]:
    """Units of a holding or of what is recalled, or market value of a facility's proceeds."""
    sources = answer.network.sources
    if sources.is_facility[part.source]:
        return {("facility", sources.ids[part.source]): part.market_value}
    if sources.is_posted[part.source]:
        line = int(sources.recallable.line[part.source - sources.first_posted])
        return {("recalled", line, part.use): part.quantity}
    return {("holding", sources.ids[part.source]): part.quantity}


def _source(answer: Answer, part: Line) -> tuple[str | None, str]:
    """The holding, if it is one or joins one, and the asset."""
    return answer.givers[part.source][0], answer.network.assets.ids[part.asset]


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


def _words(answer: Answer, bridge: Bridge) -> str:
    """What has to be lent for the round to be done one after another."""
    if bridge.place == "agreement":
        return f"{float(bridge.amount):,.2f} of collateral at {bridge.name}"
    assert isinstance(bridge.name, tuple)
    kind, name, *_ = bridge.name
    if kind == "recalled":
        name = answer.network.posted[name].holding_id
    return f"{float(bridge.amount):,.12g} {'of proceeds of' if kind == 'facility' else 'units of'} {name}"
