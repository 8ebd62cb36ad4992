"""What a run later on the day changes: every instruction of the day against the new allocation."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.in_flight import Pair, exact, pair_of

COLUMNS = ("call_id", "holding_id", "facility_id", "asset_id", "state", "sent", "now", "change")
LEFT_ALONE = ("instructed", "settled")
STATES = (*LEFT_ALONE, "disputed", "failed", "rejected")
"""The order in which the states of one pair are listed."""


def changes(book: Book, allocation: pd.DataFrame) -> pd.DataFrame:
    """What becomes of everything that ``book.instructions`` names, and what is delivered anew.

    ``allocation`` is a result's, of the same book; only what it delivers to calls is looked at. A row is a call,
    a holding or facility, and a state: instructions of the same three are added up; ``state`` None is a line without
    any. ``sent`` is their quantity (NaN without), ``now`` the quantity of the pair in ``allocation``, all its
    states together. ``change`` is

    * ``left alone``: instructed or settled, and no more of it goes there;
    * ``more``: instructed or settled, and more of it goes there now;
    * ``offered again``: failed, and more goes there than was instructed or settled;
    * ``replaced``: failed, rejected or disputed, and not there now;
    * ``new``: a line nobody has instructed.

    Sorted by identifiers, then by state. Raises ValueError if ``allocation`` has less of a pair than was instructed
    or settled: it is not an answer to this book.
    """
    asset_of = _assets(book)
    now = _delivered(allocation)
    sent = _sent(book)
    rows: list[tuple[object, ...]] = []
    for pair in sorted(now.keys() | sent.keys(), key=lambda pair: tuple(name or "" for name in pair)):
        call, holding, facility = pair
        place = (call, holding, facility, asset_of["holding_id" if holding else "facility_id", holding or facility])
        there, states = now.get(pair, Fraction(0)), sent.get(pair, {})
        stays = sum((states.get(state, Fraction(0)) for state in LEFT_ALONE), Fraction(0))
        if there < stays:
            raise ValueError(f"{float(stays)} of {holding or facility} was sent to {call}, {float(there)} is there now")
        if not states:
            rows.append((*place, None, float("nan"), float(there), "new"))
        for state in (state for state in STATES if state in states):
            rows.append((*place, state, float(states[state]), float(there), _change(state, there > stays)))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: float if name in ("sent", "now") else object for name in COLUMNS})


def _change(state: str, is_more: bool) -> str:
    if state in LEFT_ALONE:
        return "more" if is_more else "left alone"
    return "offered again" if state == "failed" and is_more else "replaced"


def _assets(book: Book) -> dict[tuple[str, str | None], str]:
    """(column, source) -> what is delivered from it."""
    full = book.in_full
    holdings = zip(full.holdings["holding_id"], full.holdings["asset_id"], strict=True)
    facilities = zip(full.facilities["facility_id"], full.facilities["gives"], strict=True)
    return {
        **{("holding_id", source): asset for source, asset in holdings},
        **{("facility_id", source): asset for source, asset in facilities},
    }


def _delivered(allocation: pd.DataFrame) -> dict[Pair, Fraction]:
    """Quantity that goes to each call from each source; what is kept, recalled or put in for it has no call."""
    found: dict[Pair, Fraction] = defaultdict(Fraction)
    columns = (allocation[c] for c in ("call_id", "holding_id", "facility_id", "quantity"))
    for call, holding, facility, quantity in zip(*columns, strict=True):
        pair = pair_of(call, holding, facility)
        if pair is not None:
            found[pair] += exact(quantity)
    return dict(found)


def _sent(book: Book) -> dict[Pair, dict[str, Fraction]]:
    """Quantity sent, by pair and state."""
    found: dict[Pair, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    columns = (book.instructions[c] for c in ("call_id", "holding_id", "facility_id", "quantity", "state"))
    for call, holding, facility, quantity, state in zip(*columns, strict=True):
        pair = pair_of(call, holding, facility)
        if pair is not None:
            found[pair][state] += exact(quantity)
    return {pair: dict(states) for pair, states in found.items()}
