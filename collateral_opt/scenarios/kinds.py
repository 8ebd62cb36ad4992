"""The kinds of change that a what-if is made of: each is small, typed, named by its own words, and changes a draft.

As a mapping a change has the fields of its model (``{call: MC7, amount: +20%}``); ``str`` gives its shortest word
(``call:MC7.amount=+20%``). :mod:`.words` reads both. What does not fit the book is said to the draft, not raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from collateral_opt.book.house import Held, HouseLimit
from collateral_opt.book.schedules import find_schedule
from collateral_opt.book.tables import hint
from collateral_opt.network.network import Ints
from collateral_opt.scenarios.draft import EVERY, Draft
from collateral_opt.scenarios.figure import ALL, Assets, Due, DueMove, Move, Plain, Which, flow
from collateral_opt.scenarios.haircuts import moved
from eligibility_rules import Cap, Limit, ScheduleError, load_schedule, rating_step
from eligibility_rules.columns import AGENCIES, rating_column
from eligibility_rules.ratings import data_rows
from eligibility_rules.scalars import PROBLEM, exact, problem, true_or_false
from eligibility_rules.vocabulary import BASES, Frozen, MarginType, Text, TrueFalse, leaf_columns, leaves

EVERYTHING = Which(text=ALL)


class BookChange(Frozen):
    """One change to a book.

    ``lead`` is the key by which its mapping is known (``leads``: or one of these), ``wrapped`` whether all is below it.
    """

    lead: ClassVar[str]
    leads: ClassVar[tuple[str, ...]] = ()
    wrapped: ClassVar[bool] = False

    def apply(self, draft: Draft) -> None:
        """Make the change to ``draft``, and say there what does not fit."""
        raise NotImplementedError

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        form = {name: value for name, value in given.items() if value != type(self).model_fields[name].default}
        return flow({self.lead: form} if self.wrapped else form)

    def _has_one_of(self, *fields: str, exactly: bool = True) -> Self:
        given = [name for name in fields if getattr(self, name) is not None]
        if not given or (exactly and len(given) > 1):
            raise problem(
                f"{self.lead}: needs {'exactly ' if exactly else ''}one of {', '.join(fields)}; it has "
                f"{' and '.join(given) or 'none'}",
                "",
                f"Write {'one of them' if given else f'{fields[0]}: ...'}",
            )
        return self


# -------------------- calls


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
            _find(draft, self.schedule)
        if not len(rows):
            return
        own = draft.table("agreements")["base_currency"].iloc[rows[0]]
        at = self.due.at if self.due is not None else None
        given = {"margin_type": self.margin_type, "schedule": self.schedule, "priority": _float(self.priority)}
        named = {"call_id": self.call_id, "agreement_id": self.agreement_id, "currency": self.currency or own}
        draft.add("calls", {**named, "amount": float(self.amount), "due": at, **given})
        draft.due_date(self.call_id, at.date() if at is not None else None)


# -------------------- prices and ratings


class PriceMoved(BookChange):
    """Another price of the assets inside; cash, which is worth one of its currency, is not among a class's."""

    lead = "price"
    price: Move
    of: Assets

    def apply(self, draft: Draft) -> None:
        assets = draft.table("assets")
        inside, is_cash = draft.inside(self.of), (assets["asset_type"] == "cash").to_numpy()
        if inside.any() and not (inside & ~is_cash).any():
            draft.say(f"{self.of} is cash, which is worth one of its currency. Move the rate: fx:EUR={self.price}.")
        inside = inside & ~is_cash
        if self.price.how != "to" and inside.sum() > 1:
            inside &= assets["price"].notna().to_numpy()
        draft.move("assets", "price", np.flatnonzero(inside), self.price)

    def __str__(self) -> str:
        return f"price:{self.of}={self.price}"


class RateMoved(BookChange):
    """Another rate of a currency against the base currency (``*``: of every other currency)."""

    lead = "fx"
    fx: Text
    rate: Move

    def apply(self, draft: Draft) -> None:
        base = draft.settings.base_currency
        if self.fx == base:
            draft.say(f"{base} is the base currency, whose rate is 1. Move the other currencies' rates.")
            return
        rows = draft.rows("fx", self.fx, every=True)
        others = (draft.table("fx")["currency"].iloc[rows] != base).to_numpy()
        draft.move("fx", "rate", rows[others], self.rate)

    def __str__(self) -> str:
        return f"fx:{self.fx}={self.rate}"


Scope = Literal["asset", "issuer", "sovereign"]


class Downgraded(BookChange):
    """Every rating of the assets inside so many notches lower, each on its agency's own scale; default is the end.

    ``scope`` says which ratings; left out, the asset's own where single assets are named by ``asset_id``, else the
    asset's and its issuer's. What is not rated stays so.
    """

    lead = "downgrade"
    downgrade: Annotated[int, Field(ge=1, le=21)]
    of: Assets
    scope: Annotated[tuple[Scope, ...] | None, BeforeValidator(lambda raw: (raw,) if isinstance(raw, str) else raw)] = (
        None
    )

    def apply(self, draft: Draft) -> None:
        rows, lowered = np.flatnonzero(draft.inside(self.of)), False
        for column, agency in [(rating_column(s, a), a) for s in self._scopes() for a in AGENCIES]:
            cells = draft.table("assets")[column].iloc[rows]
            letters = cells.map({text: _lower(text, agency, self.downgrade) for text in cells.dropna().unique()})
            changed = (letters.notna() & (letters != cells)).to_numpy()
            draft.put("assets", column, rows[changed], letters[changed].tolist())
            lowered = lowered or bool(changed.any())
        if len(rows) and not lowered:
            scopes = " and ".join(self._scopes())
            draft.say(f"no asset of {self.of} has a rating ({scopes}) that could be lowered. Name another scope.")

    def _scopes(self) -> tuple[str, ...]:
        if self.scope is not None:
            return self.scope
        named = {column for leaf in leaves(self.of.criterion) for column in leaf_columns(leaf)}
        return ("asset",) if named == {"asset_id"} else ("asset", "issuer")

    def __str__(self) -> str:
        return f"downgrade:{self.of}={self.downgrade}" if self.scope is None else super().__str__()


@cache
def _scale(agency: str) -> tuple[str, ...]:
    return tuple(row[agency] for row in data_rows("rating_scale.csv"))


def _lower(text: str, agency: str, notches: int) -> str:
    """The letters so many steps below; what is no rating stays what it is."""
    try:
        step = rating_step(text, agency)
    except ValueError:
        return text
    letters = _scale(agency)
    return text if step is None else letters[min(step + notches, len(letters)) - 1]


# -------------------- schedules


class HaircutMoved(BookChange):
    """Other haircuts for the assets inside: in one schedule, in all of an agreement's, or in every one traded under.

    ``rule``: only those of the rules of that label. A schedule that others name too is copied for the agreement.
    Every schedule is that of all agreements, calls and facilities; a reserve's own is moved by its name only.
    """

    lead = "haircut"
    haircut: Move
    of: Assets = EVERYTHING
    schedule: Text | None = None
    agreement: Text | None = None
    rule: Text | None = None

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.schedule is not None and self.agreement is not None:
            raise problem("haircut: has both schedule and agreement", self.schedule, "Write one of them")
        return self

    def apply(self, draft: Draft) -> None:
        inside, names = draft.inside(self.of), self._schedules(draft)
        if self.rule is not None:
            labels = sorted({rule.label for name in names for rule in draft.schedules[name].rules if not rule.exclude})
            if names and self.rule not in labels:
                guess = hint(self.rule, labels) or f"Write one of {', '.join(labels)}."
                draft.say(f"{' and '.join(names)}: no rule {self.rule!r} takes anything. {guess}".rstrip())
            names = [n for n in names if any(rule.label == self.rule for rule in draft.schedules[n].rules)]
        if not inside.any():
            return
        assets = draft.table("assets")
        for name in names:
            own = name if self.agreement is None else draft.own_schedule(self.agreement, name)
            old, context = draft.schedules[own], draft.context
            changed = moved(old, self.haircut, draft.say, assets=assets, inside=inside, context=context, rule=self.rule)
            draft.schedule(own, changed)

    def _schedules(self, draft: Draft) -> list[str]:
        """The names of the schedules meant."""
        if self.schedule is not None:
            return [self.schedule] if _is_of_book(draft, self.schedule) else []
        if self.agreement is None:
            return draft.traded_under()
        if not draft.has("agreements", self.agreement):
            return []
        tables = draft.table("agreements"), draft.table("calls")
        named = [t["schedule"][t["agreement_id"] == self.agreement] for t in tables]
        return sorted({name for names in named for name in names.dropna()})

    def __str__(self) -> str:
        named = self.schedule is not None or self.agreement is not None
        everything, ruled = self.of.text == ALL, self.rule is not None
        if ruled and not (named and everything):
            return super().__str__()
        place = f"schedule:{self.schedule}." if self.schedule is not None else f"agreement:{self.agreement}."
        what = f"rule:{self.rule}" if ruled else "haircut" if named and everything else f"haircut:{self.of}"
        return f"{place if named else ''}{what}={self.haircut}"


class LimitMoved(BookChange):
    """Another most (for ``min_left``: what must stay) in a limit of a schedule, an agreement's, or the house's.

    The share or the amount is meant, whichever the cap states; ``cap`` names its basis where there are several. An
    agreement whose schedule others name too gets a copy.
    """

    lead = "limit"
    limit: Text
    max: Move
    cap: Text | None = None
    schedule: Text | None = None
    agreement: Text | None = None
    house: Annotated[Literal[True], BeforeValidator(true_or_false)] | None = None

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.cap is not None and self.cap not in (*BASES, "held", "min_left"):
            raise problem(f"cap is {self.cap}", self.cap, f"Write one of {', '.join((*BASES, 'held', 'min_left'))}")
        return self._has_one_of("schedule", "agreement", "house")

    def apply(self, draft: Draft) -> None:
        if self.house:
            changed = self._moved(draft, "the house", draft.house_limits)
            if changed is not None:
                draft.house_limits = cast(tuple[HouseLimit, ...], changed)
                draft.touched.add(("house_limits", ""))
            return
        name = self.schedule
        if self.agreement is not None:
            rows = draft.rows("agreements", self.agreement)
            name = draft.table("agreements")["schedule"].iloc[rows[0]] if len(rows) else None
        if name is None or not _is_of_book(draft, name):
            return
        changed = self._moved(draft, f"schedule {name!r}", draft.schedules[name].limits)
        if changed is not None:
            own = name if self.agreement is None else draft.own_schedule(self.agreement, name)
            draft.schedule(own, draft.schedules[own].model_copy(update={"limits": changed}))

    def _moved(
        self, draft: Draft, place: str, limits: tuple[Limit | HouseLimit, ...]
    ) -> tuple[Limit | HouseLimit, ...] | None:
        """``limits`` with this one's cap moved; None, and said, where that cannot be."""
        at = [i for i, limit in enumerate(limits) if limit.label == self.limit]
        if not at:
            labels = [limit.label for limit in limits]
            guess = hint(self.limit, labels) or (f"Its limits are {', '.join(labels)}." if labels else "It has none.")
            draft.say(f"{place} has no limit {self.limit!r}. {guess}".rstrip())
            return None
        if len(at) > 1:
            draft.say(f"{place} has {len(at)} limits {self.limit!r}. Give them different labels.")
            return None
        changed = self._with_cap(draft, place, limits[at[0]])
        return None if changed is None else (*limits[: at[0]], changed, *limits[at[0] + 1 :])

    def _with_cap(self, draft: Draft, place: str, limit: Limit | HouseLimit) -> Limit | HouseLimit | None:
        caps: dict[str, Any] = {cap.of: cap for cap in limit.caps}
        if isinstance(limit, HouseLimit) and limit.min_left is not None:
            caps["min_left"] = limit.min_left
        of = self.cap if self.cap is not None else next(iter(caps)) if len(caps) == 1 else None
        if of is None or of not in caps or sum(cap.of == of for cap in limit.caps) > 1:
            draft.say(
                f"limit {self.limit!r} of {place} has caps of {', '.join(caps)}. Name one: cap: {next(iter(caps))}."
            )
            return None
        field = "amount" if of in ("money", "min_left") else "share"
        old = caps[of]
        try:
            new = type(old).model_validate({**dict(old), field: self.max.of(getattr(old, field))})
        except ValidationError as failed:
            for detail in failed.errors(include_url=False):
                context = detail.get("ctx", {})
                words = f"{context['message']}. {context['remedy']}" if detail["type"] == PROBLEM else detail["msg"]
                draft.say(f"limit {self.limit!r} of {place}: {words}.")
            return None
        if of == "min_left":
            return limit.model_copy(update={"min_left": new})
        kept: tuple[Cap | Held, ...] = tuple(new if cap is old else cap for cap in limit.caps)
        return limit.model_copy(update={"caps": kept})

    def __str__(self) -> str:
        if self.cap is not None:
            return super().__str__()
        place = f"schedule:{self.schedule}" if self.schedule is not None else f"agreement:{self.agreement}"
        return f"{'house' if self.house else place}.limit:{self.limit}={self.max}"


class ScheduleReplaced(BookChange):
    """Another schedule for an agreement (``*``: for every one): of the book, a published one, or a file.

    Calls that name their own keep it.
    """

    lead = "agreement"
    agreement: Text
    schedule: Text

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("agreements", self.agreement, every=True)
        name = _find(draft, self.schedule)
        if name is not None:
            draft.put("agreements", "schedule", rows, name)

    def __str__(self) -> str:
        return f"agreement:{self.agreement}.schedule={self.schedule}"


def _is_of_book(draft: Draft, name: str) -> bool:
    if name not in draft.schedules:
        draft.unknown("schedule", name, draft.schedules)
    return name in draft.schedules


def _find(draft: Draft, name: str) -> str | None:
    """The name in the draft of a schedule of the book, published or in a file; said where there is none."""
    try:
        found = find_schedule(name, draft.schedules)
        if found is None and Path(name).is_file():
            found, name = load_schedule(Path(name)), Path(name).stem
            if name in draft.schedules and draft.schedules[name] != found:
                draft.say(f"the book has a schedule {name!r} already. Give the file another name.")
    except ScheduleError as error:
        draft.say(str(error))
        return None
    if found is None:
        guess = hint(name, draft.schedules) or "Write one of the book, a published one, or a file."
        draft.say(f"there is no schedule {name!r}: not in the book, not published, and no file. {guess}".rstrip())
        return None
    if name not in draft.schedules:
        draft.schedule(name, found)
    return name


# -------------------- costs, quantities, facilities


class HoldingMoved(BookChange):
    """Another cost or quantity of a holding (``*``: of every one), or of all holdings of the assets inside."""

    lead, leads = "holding", ("cost_bps", "quantity")
    holding: Text | None = None
    of: Assets | None = None
    cost_bps: Move | None = None
    quantity: Move | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("holding", "of")._has_one_of("cost_bps", "quantity")

    def apply(self, draft: Draft) -> None:
        if self.of is None:
            rows = draft.rows("holdings", cast(str, self.holding), every=True)
        else:
            inside = draft.inside(self.of)
            named = set(draft.table("assets")["asset_id"][inside])
            rows = np.flatnonzero(draft.table("holdings")["asset_id"].isin(named).to_numpy())
            if inside.any() and not len(rows):
                draft.say(f"nothing of {self.of} is held. Write another class or criterion.")
        draft.move("holdings", "cost_bps", rows, self.cost_bps)
        draft.move("holdings", "quantity", rows, self.quantity)

    def __str__(self) -> str:
        name, figure = ("cost_bps", self.cost_bps) if self.cost_bps is not None else ("quantity", self.quantity)
        return f"{name}:{self.of}={figure}" if self.of is not None else f"holding:{self.holding}.{name}={figure}"


class FacilityMoved(BookChange):
    """Another capacity or cost of a facility (``*``: of every one)."""

    lead = "facility"
    facility: Text
    capacity: Move | None = None
    cost_bps: Move | None = None
    one_off_bps: Move | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of("capacity", "cost_bps", "one_off_bps", exactly=False)

    def apply(self, draft: Draft) -> None:
        rows = draft.rows("facilities", self.facility, every=True)
        for column in ("capacity", "cost_bps", "one_off_bps"):
            draft.move("facilities", column, rows, getattr(self, column))

    def __str__(self) -> str:
        given = [(n, f) for n in ("capacity", "cost_bps", "one_off_bps") if (f := getattr(self, n)) is not None]
        return super().__str__() if len(given) > 1 else f"facility:{self.facility}.{given[0][0]}={given[0][1]}"


class CashReturnMoved(BookChange):
    """Another return on cash at an agreement (``*``: at every one), in one currency or in all."""

    lead = "cash_return"
    cash_return: Move
    agreement: Text = EVERY
    currency: Text | None = None

    def apply(self, draft: Draft) -> None:
        rows, returns = draft.rows("agreements", self.agreement, every=True), draft.table("cash_returns")
        agreements = draft.table("agreements").iloc[rows]
        here = returns["agreement_id"].isin(agreements["agreement_id"]).to_numpy()
        if self.currency is None:
            draft.move("agreements", "cash_return_bps", rows, self.cash_return)
        else:
            here = here & (returns["currency"] == self.currency).to_numpy()
        draft.move("cash_returns", "bps", np.flatnonzero(here), self.cash_return)
        if self.currency is None:
            return
        stated = set(returns["agreement_id"][here])
        for name, common in agreements[["agreement_id", "cash_return_bps"]].itertuples(index=False, name=None):
            if name not in stated:
                bps = float(self.cash_return.of(exact(common)))
                draft.add("cash_returns", {"agreement_id": name, "currency": self.currency, "bps": bps})

    def __str__(self) -> str:
        currency = f":{self.currency}" if self.currency is not None else ""
        return f"agreement:{self.agreement}.cash_return{currency}={self.cash_return}"


# -------------------- what goes, what comes


class Removed(BookChange):
    """One thing is there no longer, and neither is what the book says of it.

    An asset or a holding: none of it can be delivered (quantities are 0, received is not re-used, a facility that
    gives the asset gives none, pins that ask for it go); what is posted stays, and is not recalled. A call, an
    agreement, a counterparty (its agreements and facilities), a facility: its rows go, and all rows that name it.
    """

    lead, wrapped = "remove", True
    asset: Text | None = None
    holding: Text | None = None
    call: Text | None = None
    agreement: Text | None = None
    counterparty: Text | None = None
    facility: Text | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        return self._has_one_of(*type(self).model_fields)

    def apply(self, draft: Draft) -> None:
        what, name = self._what()
        tables = {"asset": "assets", "holding": "holdings", "call": "calls", "agreement": "agreements"}
        if what == "counterparty":
            self._remove_counterparty(draft, name)
        elif draft.has(tables.get(what, "facilities"), name):
            drop: Callable[[Draft, list[str]], None] = {
                "asset": _exhaust_assets, "holding": _exhaust, "call": _drop_calls, "agreement": _drop_agreements,
                "facility": _drop_facilities,
            }[what]  # fmt: skip
            drop(draft, [name])

    def _what(self) -> tuple[str, str]:
        return next((n, str(v)) for n in type(self).model_fields if (v := getattr(self, n)) is not None)

    def _remove_counterparty(self, draft: Draft, name: str) -> None:
        agreements, facilities = draft.table("agreements"), draft.table("facilities")
        theirs, lent = agreements["counterparty"] == name, facilities["counterparty"] == name
        if not theirs.any() and not lent.any():
            known = sorted({*agreements["counterparty"], *facilities["counterparty"].dropna()})
            draft.unknown("counterparty", name, known)
        _drop_agreements(draft, agreements["agreement_id"][theirs].tolist())
        _drop_facilities(draft, facilities["facility_id"][lent].tolist())

    def __str__(self) -> str:
        what, name = self._what()
        return f"remove:{what}={name}"


def _exhaust(draft: Draft, holdings: Iterable[str]) -> None:
    """Nothing is left of these holdings, and nothing is asked of them."""
    names = list(holdings)
    rows = np.flatnonzero(draft.table("holdings")["holding_id"].isin(names).to_numpy())
    draft.put("holdings", "quantity", rows, 0.0)
    _ask_nothing_of(draft, "holding_id", names)
    _lock(draft, "holding_id", names)


def _lock(draft: Draft, column: str, names: list[str]) -> None:
    """What is posted of these is not recalled, for it would be delivered again; where nothing is recalled, as it is."""
    if draft.settings.scope == "reoptimise":
        posted = draft.table("posted")
        free = (posted[column].isin(names) & ~posted["locked"]).to_numpy(dtype=bool)
        draft.put("posted", "locked", np.flatnonzero(free), True)


def _ask_nothing_of(draft: Draft, column: str, names: list[str]) -> None:
    pins = draft.table("pins")
    draft.keep("pins", ~(pins[column].isin(names) & ~pins["forbid"]).to_numpy(dtype=bool))


def _exhaust_assets(draft: Draft, assets: list[str]) -> None:
    held, received = draft.table("holdings"), draft.table("received")
    facilities = draft.table("facilities")
    _exhaust(draft, held["holding_id"][held["asset_id"].isin(assets)])
    _lock(draft, "asset_id", assets)
    here = (received["asset_id"].isin(assets) & received["reuse"]).to_numpy(dtype=bool)
    draft.put("received", "reuse", np.flatnonzero(here), False)
    _ask_nothing_of(draft, "holding_id", received["received_id"][here].tolist())
    gives = facilities["gives"].isin(assets).to_numpy()
    draft.put("facilities", "capacity", np.flatnonzero(gives), 0.0)
    _ask_nothing_of(draft, "facility_id", facilities["facility_id"][gives].tolist())


def _drop_calls(draft: Draft, calls: list[str]) -> None:
    for table in ("calls", "pins", "instructions"):
        draft.drop(table, call_id=calls)


def _drop_agreements(draft: Draft, agreements: list[str]) -> None:
    calls, received = draft.table("calls"), draft.table("received")
    _drop_calls(draft, calls["call_id"][calls["agreement_id"].isin(agreements)].tolist())
    lent = received["received_id"][received["agreement_id"].isin(agreements)].tolist()
    for table in ("pins", "instructions"):
        draft.drop(table, call_id=lent, holding_id=lent)
    draft.drop("costs", agreement_id=agreements, holding_id=lent)
    for table in ("agreements", "posted", "cash_returns", "received"):
        draft.drop(table, agreement_id=agreements)


def _drop_facilities(draft: Draft, facilities: list[str]) -> None:
    for table in ("facilities", "costs", "pins", "instructions"):
        draft.drop(table, facility_id=facilities)


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
        draft.add("pins", {**given, "quantity": _float(self.quantity), "at_least": _float(self.at_least)})


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


KINDS: tuple[type[BookChange], ...] = (
    CallAdded, PinAdded, Removed, HaircutMoved, LimitMoved, PriceMoved, RateMoved, Downgraded, CashReturnMoved,
    FacilityMoved, CallMoved, HoldingMoved, ScheduleReplaced,
)  # fmt: skip
"""Every kind. A mapping is of the first that it has a lead of."""
