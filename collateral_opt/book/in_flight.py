"""What was sent earlier on the day: what it leaves to decide about each pair, and the pin that says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import Finding
from .codes import finding, shown

if TYPE_CHECKING:
    from .checks import Draft

Pair = tuple[str, str | None, str | None]
"""A call, and the holding or (the other None) the facility it is served from."""
NOTHING = Fraction(0)


@dataclass(frozen=True)
class Pin:
    """What is decided about a pair. No quantity, none at least, not forbidden: at least one lot."""

    quantity: Fraction | None = None
    at_least: Fraction | None = None
    forbid: bool = False
    sent: bool = False


@dataclass(frozen=True)
class Sent:
    """What the instructions of one pair come to; ``position`` is that of the first of them."""

    position: int
    left_alone: Fraction = NOTHING
    """Instructed or settled."""
    disputed: Fraction = NOTHING
    closed: bool = False
    """Part of it was rejected or is disputed: nothing more goes there."""

    @property
    def gone(self) -> Fraction:
        """What has left, whether it counts or not."""
        return self.left_alone + self.disputed

    def contradicts(self, pin: Pin) -> bool:
        """Whether a person's pin cannot hold together with what was sent."""
        if not self.left_alone:
            return self.closed and not pin.forbid
        if pin.forbid:
            return True
        if pin.quantity is not None:
            return pin.quantity != self.left_alone if self.closed else pin.quantity < self.left_alone
        return self.closed and pin.at_least is not None and pin.at_least > self.left_alone

    def pinned(self, pin: Pin | None) -> Pin | None:
        """The pin of the pair, ``pin`` being a person's that is not contradicted; None: nothing is decided."""
        if not self.left_alone:
            return Pin(forbid=True) if self.closed else pin
        own = pin or Pin()
        quantity = self.left_alone if self.closed else own.quantity
        return Pin(quantity=quantity, at_least=max(self.left_alone, own.at_least or NOTHING), sent=True)


def exact(value: float) -> Fraction:
    """The decimal that was written."""
    return Fraction(repr(float(value)))


def pair_of(call: object, holding: object, facility: object) -> Pair | None:
    """The pair that three cells name, or None where they do not name one."""
    names = [name if isinstance(name, str) and name else None for name in (call, holding, facility)]
    if names[0] is None or (names[1] is None) == (names[2] is None):
        return None
    return names[0], names[1], names[2]


def sent_by_pair(instructions: pd.DataFrame) -> dict[Pair, Sent]:
    """Every pair with an instruction, in the order of their first ones."""
    sent: dict[Pair, Sent] = {}
    columns = (instructions[c] for c in ("call_id", "holding_id", "facility_id", "quantity", "state"))
    for position, (call, holding, facility, quantity, state) in enumerate(zip(*columns, strict=True)):
        pair = pair_of(call, holding, facility)
        if pair is None or quantity != quantity:
            continue
        before = sent.get(pair, Sent(position))
        if state in ("instructed", "settled"):
            sent[pair] = replace(before, left_alone=before.left_alone + exact(quantity))
        elif state == "disputed":
            sent[pair] = replace(before, disputed=before.disputed + exact(quantity), closed=True)
        else:
            sent[pair] = replace(before, closed=before.closed or state == "rejected")
    return sent


def pins_by_pair(pins: pd.DataFrame) -> dict[Pair, tuple[int, Pin]]:
    """Every pair with a pin: the pin's position, and what it says."""
    found: dict[Pair, tuple[int, Pin]] = {}
    names = ("call_id", "holding_id", "facility_id", "quantity", "at_least", "forbid", "sent")
    columns = (pins[name] for name in names)
    for position, (call, holding, facility, quantity, least, forbid, sent) in enumerate(zip(*columns, strict=True)):
        pair = pair_of(call, holding, facility)
        if pair is not None:
            found[pair] = (position, Pin(_known(quantity), _known(least), bool(forbid), bool(sent)))
    return found


def _known(value: float) -> Fraction | None:
    return exact(value) if value == value else None


def pins_in_full(pins: pd.DataFrame, sent: Mapping[Pair, Sent]) -> pd.DataFrame:
    """``pins`` with what was sent: persons' pins where they stand, the others after them in order of identifiers."""
    own = pins_by_pair(pins)
    rows: list[dict[str, object]] = list(pins.to_dict("records"))  # type: ignore[arg-type]
    for pair in sorted(sent, key=lambda pair: tuple(name or "" for name in pair)):
        position, pin = own.get(pair, (None, None))
        pinned = sent[pair].pinned(pin)
        if pinned is None:
            continue
        call, holding, facility = pair
        row: dict[str, object] = {
            "call_id": call,
            "holding_id": holding,
            "facility_id": facility,
            "quantity": None if pinned.quantity is None else float(pinned.quantity),
            "at_least": None if pinned.at_least is None else float(pinned.at_least),
            "forbid": pinned.forbid,
            "sent": pinned.sent,
        }
        if position is None:
            rows.append(row)
        else:
            rows[position] |= row
    return pd.DataFrame(rows, columns=pins.columns)


def disputed_by_source(sent: Mapping[Pair, Sent]) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    """What is disputed of each holding, and of each facility's proceeds."""
    holdings: dict[str, Fraction] = defaultdict(Fraction)
    facilities: dict[str, Fraction] = defaultdict(Fraction)
    for (_, holding, facility), what in sent.items():
        if what.disputed and holding is not None:
            holdings[holding] += what.disputed
        elif what.disputed and facility is not None:
            facilities[facility] += what.disputed
    return dict(holdings), dict(facilities)


def instruction_findings(draft: Draft) -> Iterator[Finding]:
    """E335, E336, N642: more sent than there was, pins against what was sent, what is disputed."""
    table = draft.tables["instructions"]
    if not len(table.frame):
        return
    sent = sent_by_pair(table.frame)
    yield from _sent_too_much(draft, sent)
    pins = draft.tables["pins"]
    for pair, (position, pin) in pins_by_pair(pins.frame).items():
        what = sent.get(pair)
        if what is not None and what.contradicts(pin):
            yield finding(
                "E336",
                "pins",
                row=pins.rows[position],
                column="holding_id" if pair[1] is not None else "facility_id",
                value=pair[1] or pair[2],
                asked=_asked(pin),
                said=_said(what),
                row_sent=table.rows[what.position],
            )
    disputed = (table.frame["state"] == "disputed").to_numpy()
    for i in disputed.nonzero()[0].tolist():
        row = table.frame.iloc[i]
        yield finding(
            "N642",
            "instructions",
            row=table.rows[i],
            column="state",
            value=row["holding_id"] if row["holding_id"] is not None else row["facility_id"],
            quantity=shown(row["quantity"]),
            call=row["call_id"],
        )


def _asked(pin: Pin) -> str:
    if pin.forbid:
        return "nothing of it"
    if pin.quantity is not None:
        return f"exactly {shown(float(pin.quantity))}"
    return "at least one lot" if pin.at_least is None else f"at least {shown(float(pin.at_least))}"


def _said(sent: Sent) -> str:
    if not sent.left_alone:
        return "nothing more may go there"
    return f"{shown(float(sent.left_alone))} was sent" + (", and nothing more may go there" if sent.closed else "")


def _sent_too_much(draft: Draft, sent: Mapping[Pair, Sent]) -> Iterator[Finding]:
    """E335, once a source. What may come back into a holding may have been sent as well."""
    table = draft.tables["instructions"]
    had, returning = _held(draft), _recallable(draft)
    gone: dict[tuple[str, str], list[tuple[Pair, Sent]]] = defaultdict(list)
    for pair, what in sent.items():
        column = "holding_id" if pair[1] is not None else "facility_id"
        gone[column, str(pair[1] or pair[2])].append((pair, what))
    for (column, source), pairs in gone.items():
        unit, held = had.get((column, source), (None, NOTHING))
        if unit is None:
            continue
        total = sum((what.gone for _, what in pairs), NOTHING)
        disputed = sum((what.disputed for _, what in pairs), NOTHING)
        back = returning[source] if column == "holding_id" else NOTHING
        if total * unit > held + back or disputed * unit > held:
            first = min(what.position for _, what in pairs)
            yield finding(
                "E335",
                "instructions",
                row=table.rows[first],
                column=column,
                value=source,
                sent=shown(float(total * unit)),
                held=shown(float(held)),
            )


def _held(draft: Draft) -> dict[tuple[str, str], tuple[Fraction, Fraction]]:
    """(column, source) -> what a unit of it counts, and how much there is: units, or a facility's capacity."""
    found: dict[tuple[str, str], tuple[Fraction, Fraction]] = {}
    for name, column in (("holdings", "holding_id"), ("received", "received_id")):
        frame = draft.frame(name)
        for source, quantity in zip(frame[column], frame["quantity"], strict=True):
            if source is not None and quantity == quantity:
                found["holding_id", source] = (Fraction(1), exact(quantity))
    units = unit_prices(draft.frame("assets"))
    facilities = draft.frame("facilities")
    columns = (facilities[c] for c in ("facility_id", "gives", "capacity"))
    for source, asset, capacity in zip(*columns, strict=True):
        if source is not None and asset in units and capacity == capacity:
            found["facility_id", source] = (units[asset], exact(capacity))
    return found


def _recallable(draft: Draft) -> dict[str, Fraction]:
    """By holding: what is posted of it and may be recalled in this run."""
    found: dict[str, Fraction] = defaultdict(Fraction)
    if draft.settings is None or draft.settings.scope != "reoptimise":
        return found
    posted = draft.frame("posted")
    for holding, quantity, locked in zip(posted["holding_id"], posted["quantity"], posted["locked"], strict=True):
        if holding is not None and not locked and quantity == quantity:
            found[holding] += exact(quantity)
    return found


def unit_prices(assets: pd.DataFrame) -> dict[str, Fraction]:
    """asset_id -> exact value of one unit in the asset's currency, where it is known."""
    columns = (assets[c] for c in ("asset_id", "price", "price_factor"))
    return {
        asset: exact(price) * exact(factor)
        for asset, price, factor in zip(*columns, strict=True)
        if asset is not None and price == price and factor == factor
    }
