"""Changes of calls, and of the lines that are asked for them."""

from __future__ import annotations

from datetime import datetime
from typing import Self, cast

import pandas as pd
from pydantic import model_validator

from collateral_opt.network.network import Ints
from collateral_opt.scenarios.draft import EVERY, Draft
from collateral_opt.scenarios.figure import Due, DueMove, Move, Plain
from collateral_opt.scenarios.kinds.kind import BookChange, as_float
from collateral_opt.scenarios.kinds.schedules import find
from eligibility_rules.scalars import problem
from eligibility_rules.vocabulary import MarginType, Text, TrueFalse


class CallMoved(BookChange):
    """Another amount or due time of a call (``*``: of every call)."""

    lead = "call"
    call: Text
    amount: Move | None = None
    due: DueMove | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("amount", "due", exactly=False)

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("calls", self.call, every=True)
        draft.move("calls", "amount", rows, self.amount)
        if self.due is not None:
            self._move_due(draft, rows, self.due)

    def _move_due(self, draft: Draft, rows: Ints, due: Due) -> None:
        calls, here = draft.table("calls"), draft.settings.as_of.tzinfo
        if self.call == EVERY and due.later is not None:
            dated = rows[calls["due"].iloc[rows].notna().to_numpy()]
            rows = dated if len(dated) else rows
        for call, old, old_day in calls[["call_id", "due", "due_date"]].iloc[rows].itertuples(index=False, name=None):
            if due.later is None:
                draft.due(call, due.at, due.at.date() if due.at is not None else None)
            elif pd.isna(old):
                draft.say(f"call {call!r} has no due time that could be moved. Write the time itself.")
            else:
                try:
                    new = cast(datetime, due.of(old))
                except (OverflowError, ValueError):
                    draft.say(f"call {call!r} would be due out of all time. Write fewer days.")
                    continue
                # The offset that the old time was written with is gone; as many days later as on the desk's calendar.
                days = new.astimezone(here).date() - old.astimezone(here).date()
                draft.due(call, new, draft.due_day(call, old_day.date()) + days)

    def __str__(self) -> str:
        given = [(name, figure) for name in ("amount", "due") if (figure := getattr(self, name)) is not None]
        return super().__str__() if len(given) > 1 else f"call:{self.call}.{given[0][0]}={given[0][1]}"


class CallAdded(BookChange):
    """A call more; without ``currency`` in the agreement's."""

    lead, wrapped = "new_call", True
    call_id: Text
    agreement_id: Text
    amount: Plain
    currency: Text | None = None
    due: DueMove | None = None
    margin_type: MarginType | None = None
    schedule: Text | None = None
    priority: Plain | None = None

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        if self.due is not None and self.due.later is not None:
            raise problem(f"due is {self.due}, which moves nothing", self.due.text, "Write the time with its offset")
        return self

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("agreements", self.agreement_id)
        if (draft.table("calls")["call_id"] == self.call_id).any():
            draft.say(f"call {self.call_id!r} is in the book already. Write another call_id.")
        if self.schedule is not None:
            find(draft, self.schedule)
        if not len(rows):
            return
        own = draft.table("agreements")["base_currency"].iloc[rows[0]]
        at = self.due.at if self.due is not None else None
        given = {"margin_type": self.margin_type, "schedule": self.schedule, "priority": as_float(self.priority)}
        named = {"call_id": self.call_id, "agreement_id": self.agreement_id, "currency": self.currency or own}
        draft.add("calls", {**named, "amount": float(self.amount), "due": at, **given})
        draft.due_date(self.call_id, at.date() if at is not None else None)


class PinAdded(BookChange):
    """A line more that is forced, fixed or forbidden, as a row of the book's ``pins``."""

    lead, wrapped = "pin", True
    call_id: Text
    holding_id: Text | None = None
    facility_id: Text | None = None
    quantity: Plain | None = None
    at_least: Plain | None = None
    forbid: TrueFalse = False

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("holding_id", "facility_id")

    def apply(self, draft: Draft) -> None:
        received = draft.table("received")["received_id"].tolist()
        for table, name in (("calls", self.call_id), ("holdings", self.holding_id), ("facilities", self.facility_id)):
            if name is not None and not (table != "facilities" and name in received):
                draft.has(table, name)
        given = {name: getattr(self, name) for name in ("call_id", "holding_id", "facility_id", "forbid")}
        draft.add("pins", {**given, "quantity": as_float(self.quantity), "at_least": as_float(self.at_least)})
