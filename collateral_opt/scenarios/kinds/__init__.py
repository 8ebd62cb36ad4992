"""The kinds of change that a what-if is made of: each is small, typed, named by its own words, and changes a draft.

As a mapping a change has the fields of its model (``{call: MC7, amount: +20%}``); ``str`` gives its shortest word
(``call:MC7.amount=+20%``). :mod:`..words` reads both. What does not fit the book is said to the draft, not raised.
"""

from __future__ import annotations

from collateral_opt.scenarios.kinds.assets import Downgraded, PriceMoved, RateMoved
from collateral_opt.scenarios.kinds.calls import CallAdded, CallMoved, PinAdded
from collateral_opt.scenarios.kinds.costs import CashReturnMoved, FacilityMoved, HoldingMoved
from collateral_opt.scenarios.kinds.kind import BookChange
from collateral_opt.scenarios.kinds.limits import LimitMoved
from collateral_opt.scenarios.kinds.removed import Removed
from collateral_opt.scenarios.kinds.schedules import FxHaircutMoved, HaircutMoved, ScheduleReplaced

__all__ = [
    "KINDS", "BookChange", "CallAdded", "CallMoved", "CashReturnMoved", "Downgraded", "FacilityMoved",
    "FxHaircutMoved", "HaircutMoved", "HoldingMoved", "LimitMoved", "PinAdded", "PriceMoved", "RateMoved", "Removed",
    "ScheduleReplaced",
]  # fmt: skip

KINDS: tuple[type[BookChange], ...] = (
    CallAdded, PinAdded, Removed, HaircutMoved, FxHaircutMoved, LimitMoved, PriceMoved, RateMoved, Downgraded,
    CashReturnMoved, FacilityMoved, CallMoved, HoldingMoved, ScheduleReplaced,
)  # fmt: skip
"""Every kind. A mapping is of the first that it has a lead of."""
