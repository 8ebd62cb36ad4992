"""What is decided when a stress happens, stage by stage: by whom it is approved, by when, and who is told.

Every figure is one of an answer or of its projection; nothing is worked out anew but sums and times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements
from collateral_opt.errors import SolverError, UsageError
from collateral_opt.explain.words import paragraphs
from collateral_opt.io.report import asset_class
from collateral_opt.io.report_tables import money
from collateral_opt.liquidity.answer import Answered
from collateral_opt.liquidity.forced import ForcedSale
from collateral_opt.liquidity.waterfall import CENT, Source
from collateral_opt.scenarios.words import read_yaml

Status = Literal["green", "amber", "red"]
STAGES = (
    "Alert and triage",
    "Source activation",
    "Transformation and optimisation",
    "Position reduction",
    "Counterparty communication",
)
MOST_ALONE = 12
"""Holdings with a decision of their own; where there are more, one is made for those of one latest start."""
AMBER = 0.25
"""Headroom, as a share of what is due by a deadline, below which a stress that is met is amber."""
_ACTIVATED = ("redemption", "credit_line")
_WORDS = {
    "holding": "Deliver {quantity} from {name}, which counts {amount}",
    "redemption": "Redeem {amount} through {name}",
    "credit_line": "Draw {amount} on {name}",
    "repo": "Raise {amount} in repo through {name}",
    "fx": "Exchange into {amount} through {name}",
    "upgrade": "Upgrade into {amount} through {name}",
    "sale": "Sell for {amount} through {name}",
}


class Above(BaseModel):
    """Who approves a decision of at least ``amount`` of base currency; of one stage, or of all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[float, Field(ge=0)]
    approver: Annotated[str, Field(min_length=1)]
    stage: Annotated[int, Field(ge=1, le=5)] | None = None


class Approvals(BaseModel):
    """Who approves what: the highest amount of ``above`` that a decision reaches, else its stage, else ``default``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Annotated[str, Field(min_length=1)] = "treasurer"
    stages: Mapping[Annotated[int, Field(ge=1, le=5)], Annotated[str, Field(min_length=1)]] = {}
    above: tuple[Above, ...] = ()

    def of(self, stage: int, amount: float) -> str:
        """Who approves ``amount`` of base currency at ``stage`` (1 to 5)."""
        reached = [a for a in self.above if a.stage in (None, stage) and amount >= a.amount]
        if reached:
            return max(reached, key=lambda a: (a.amount, a.stage is not None)).approver
        return self.stages.get(stage, self.default)


def approvals_of(form: object, place: str) -> Approvals:
    """The approvals that a mapping holds, as YAML has it; None: the default ones. ``place`` is named where it is wrong.

    Raises UsageError: with everything that is not as it should be.
    """
    if form is not None and not isinstance(form, Mapping):
        raise UsageError(f"{place}: there is no approver in it. Write `default: NAME` below it, or stages or above.")
    try:
        return Approvals.model_validate({} if form is None else form)
    except ValidationError as error:
        wrong = [f"{place}: {'.'.join(map(str, e['loc'])) or 'approvals'}: {e['msg']}." for e in error.errors()]
        raise UsageError("\n".join(wrong)) from None


def read_approvals(path: Path) -> Approvals:
    """The approvals of a YAML file. Raises UsageError: it is no YAML, or not as it should be."""
    wrong: list[str] = []
    form = read_yaml(path, wrong)
    if wrong:
        raise UsageError("\n".join(f"{path}: {text}" for text in wrong))
    return approvals_of(form, str(path))


@dataclass(frozen=True)
class Decision:
    """Something to be decided: what, how much (base currency), who approves it, until when (None: no deadline)."""

    what: str
    amount: float
    approver: str
    by: pd.Timestamp | None
    why: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage: what there is to say in sentences, and what is to be decided."""

    number: int
    title: str
    said: tuple[str, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True)
class Called:
    """A call that a notice answers: ``amount`` in its ``currency``, ``short`` in the book's."""

    call_id: str
    agreement_id: str
    amount: float
    currency: str
    due: pd.Timestamp | None
    margin_type: str | None
    short: float


@dataclass(frozen=True)
class Delivery:
    """What a counterparty gets: quantity of an asset, its collateral value in base currency, when it settles."""

    what: str
    asset_id: str
    quantity: float
    value: float
    haircut: float
    reference: str
    settles: pd.Timestamp


@dataclass(frozen=True)
class Notice:
    """What one counterparty is told: calls on us and what meets them; what is given to its facilities and raised."""

    counterparty: str
    calls: tuple[Called, ...]
    deliveries: tuple[Delivery, ...]
    drawn: tuple[tuple[str, str, float], ...]
    """Facility, its kind, what is drawn of it in base currency."""
    draw_by: pd.Timestamp | None = None
    """The latest start of the first of these."""

    @property
    def short(self) -> float:
        """What of its calls is not met, in base currency."""
        return sum(call.short for call in self.calls)

    @property
    def by(self) -> pd.Timestamp | None:
        """When it has to be sent at the latest."""
        return min((at for at in (self.draw_by, self.first_due) if at is not None), default=None)

    @property
    def first_due(self) -> pd.Timestamp | None:
        """The earliest deadline among its calls."""
        return min((call.due for call in self.calls if call.due is not None), default=None)


@dataclass(frozen=True)
class Playbook:
    """The five stages of one stress, and a notice for each counterparty that is called by or drawn upon."""

    answered: Answered
    status: Status
    stages: tuple[Stage, ...]
    notices: tuple[Notice, ...]

    @property
    def name(self) -> str:
        """Of the stress."""
        return self.answered.name


def playbook(answered: Answered, approvals: Approvals | None = None, sale: ForcedSale | None = None) -> Playbook:
    """The playbook of ``answered``. Where something is short the answer is explained, which solves again.

    ``sale``: what becomes of what is short, from :func:`~collateral_opt.liquidity.forced.simulated`; told in stage 4.
    """
    return _Writer(answered, approvals or Approvals(), sale).playbook()


class _Writer:
    """The figures of one answer, and the sentences made of them."""

    def __init__(self, answered: Answered, approvals: Approvals, sale: ForcedSale | None = None) -> None:
        self.answered, self.approvals, self.sale = answered, approvals, sale
        self.result, self.book = answered.result, answered.result.book
        self.currency = self.book.settings.base_currency
        self.start = pd.Timestamp(self.book.settings.as_of)
        self.calls = self.book.calls.merge(self.result.calls, on="call_id")
        self.delivered = self.result.allocation[self.result.allocation["action"] == "deliver"]
        self.rows = {name: row for row, name in enumerate(self.book.holdings["holding_id"])}
        # A movement out of a holding keeps the hours of its location, as a recall keeps those of an agreement's.
        self.movements = Movements(self.book.with_figures(agreements=self.book.holdings))
        self.counterparty = self.book.agreements.set_index("agreement_id")["counterparty"].to_dict()

    def playbook(self) -> Playbook:
        notices = _notices(self)
        stages = (self.triage(), self.activation(), self.transformation(), self.reduction(), self.letters(notices))
        return Playbook(self.answered, self.status, stages, notices)

    def money(self, amount: float) -> str:
        return f"{money(amount)} {self.currency}"

    def time(self, at: pd.Timestamp | None) -> str:
        return told_time(at, self.book)

    def stage(self, number: int, said: Sequence[str], decisions: Sequence[Decision]) -> Stage:
        return Stage(number, STAGES[number - 1], tuple(said), tuple(decisions))

    def decision(self, stage: int, what: str, amount: float, by: pd.Timestamp | None, why: str = "") -> Decision:
        return Decision(what, amount, self.approvals.of(stage, amount), by, why)

    @property
    def status(self) -> Status:
        if self.answered.is_short:
            return "red"
        return "amber" if any(room < AMBER for _, room in self.rooms()) else "green"

    def rooms(self) -> list[tuple[pd.Timestamp, float]]:
        """At each deadline, what is available beyond all that is due by then, as a share of that."""
        times = {at for at in self.calls["due"] if not pd.isna(at)}
        return [(r.at, r.headroom / r.due) for r in self.answered.ladder.rungs if r.at in times and r.due > 0]

    def triage(self) -> Stage:
        fall, calls = self.answered.fall, self.calls
        called = _count(calls["agreement_id"].map(self.counterparty).nunique(), "counterparty", "counterparties")
        said = [f"{_count(len(calls), 'call')} of {self.money(fall.called)} by {called}."]
        for at in sorted({at for at in calls["due"] if not pd.isna(at)}):
            said.append(f"Due {self.time(at)}: {self.money(calls.loc[calls['due'] == at, 'required'].sum())}.")
        if calls["due"].isna().any():
            said.append(f"Without a deadline: {self.money(calls.loc[calls['due'].isna(), 'required'].sum())}.")
        in_time = [s for s in fall.sources if s.in_time]
        free = sum(s.left for s in in_time)
        said.append(
            f"Sources that arrive in time: {self.money(sum(s.available for s in in_time))}, of which "
            f"{self.money(sum(s.used for s in in_time))} is used and {self.money(free)} is left."
        )
        rooms = self.rooms()
        if rooms:
            at, room = min(rooms, key=lambda pair: (pair[1], pair[0]))
            said.append(f"The least headroom at a deadline is {100 * room:.1f} % of what is due, {self.time(at)}.")
        said.append(self.horizon())
        reserves = self.result.reserves
        for row in reserves[reserves["shortfall"] > 0].to_dict("records"):
            lack, required = self.money(row["shortfall"]), self.money(row["required"])
            said.append(f"The reserve {row['reserve_id']} lacks {lack} of {required}.")
        what = f"Declare status {self.status} and convene treasury, risk and collateral operations"
        return self.stage(1, said, [self.decision(1, what, fall.called, self.start, said[0])])

    def horizon(self) -> str:
        ladder = self.answered.ladder
        if ladder.survives:
            return "Every call can be met when it is due."
        missing = self.money(sum(call.shortfall for call in ladder.first_missed))
        if ladder.survives_until is None:
            missing = self.money(sum(call.shortfall for call in ladder.missed))
            return f"Every deadline can be met; of calls without one {missing} cannot."
        return f"Survival horizon {self.time(ladder.survives_until)}: {missing} cannot be met then."

    def activation(self) -> Stage:
        used = [s for s in self.answered.fall.sources if s.used + s.passed_on > 0]
        sources = [s for s in used if s.kind in ("holding", *_ACTIVATED)]
        total = self.money(sum(s.used + s.passed_on for s in sources))
        said = [f"{_count(len(sources), 'source')} to activate for {total}."]
        held = [s for s in sources if s.kind == "holding"]
        if len(held) <= MOST_ALONE:
            decisions = [self.source(2, s) for s in sources]
        else:
            lines = [self.source(2, s) for s in sources if s.kind != "holding"]
            decisions = sorted([*self.together(held), *lines], key=lambda d: (d.by is None, d.by or self.start, d.what))
            said = [f"{said[0][:-1]}; holdings with one latest start are decided together."]
        return self.stage(2, said if sources else ["No holding, redemption or line is needed."], decisions)

    def together(self, held: Sequence[Source]) -> list[Decision]:
        """The decisions to deliver holdings, those of one latest start as one, with what each class brings."""
        classes = dict(zip(self.book.assets["asset_id"], asset_class(self.book.assets), strict=True))
        groups: dict[pd.Timestamp | None, list[Source]] = {}
        for source in held:
            groups.setdefault(self.latest_start(source.name, source.kind), []).append(source)
        found = []
        for by, members in groups.items():
            amount, cost = sum(s.used for s in members), sum(s.cost for s in members)
            parts: dict[str, float] = {}
            for source in members:
                name = str(classes[source.asset_id])
                parts[name] = parts.get(name, 0.0) + source.used
            said = "; ".join(f"{name} {money(part)}" for name, part in sorted(parts.items()))
            what = f"Deliver {self.money(amount)} from {_count(len(members), 'holding')}, as the lines say"
            found.append(self.decision(2, what, amount, by, f"{said}; costs {self.money(cost)}"))
        return found

    def source(self, stage: int, source: Source) -> Decision:
        """The decision to use a source, until the latest start that still meets the first of its calls."""
        lines = self.lines(source.name, source.kind)
        served = [*lines["call_id"].fillna(lines["agreement_id"]), *self.taken_by(source.name)]
        # What is asked of a facility is what it raises, which counts for less where a schedule takes a haircut off it.
        amount = source.used if source.kind == "holding" else self.raised(source.name)
        quantity = f"{fsum(lines['quantity'].tolist()):,.12g} {source.asset_id}"
        what = _WORDS.get(source.kind, "Raise {amount} through {name}").format(
            amount=self.money(amount), quantity=quantity, name=source.name
        )
        why = f"for {', '.join(dict.fromkeys(str(x) for x in served))}; costs {self.money(source.cost)}"
        by = self.latest_start(source.name, source.kind)
        return self.decision(stage, what, amount, by, why)

    def lines(self, name: str, kind: str) -> pd.DataFrame:
        """What is delivered of a source."""
        return self.delivered[self.delivered["holding_id" if kind == "holding" else "facility_id"] == name]

    def raised(self, facility: str) -> float:
        """What of a facility's proceeds goes to calls and to other facilities, in base currency."""
        financing = self.result.financing
        given = financing.loc[financing["from_facility_id"] == facility, "market_value"]
        return fsum([*self.lines(facility, "facility")["market_value"].tolist(), *given.tolist()])

    def taken_by(self, name: str) -> list[str]:
        """The facilities that are given proceeds of the facility ``name``."""
        financing = self.result.financing
        return [str(x) for x in financing.loc[financing["from_facility_id"] == name, "facility_id"]]

    def latest_start(self, name: str, kind: str) -> pd.Timestamp | None:
        """The last moment at which a source can be begun with and all it serves still arrive; None: no deadline."""
        due = self.book.calls.set_index("call_id")["due"].reindex(self.lines(name, kind)["call_id"]).min()
        if kind == "holding":
            if pd.isna(due):
                return None
            row = self.rows[name]
            by = pd.Timestamp(due) - pd.Timedelta(hours=float(self.book.holdings["settle_hours"].iloc[row]))
            return self.movements.latest_recall_start(row, by)
        access = float(self.book.facilities.set_index("facility_id")["access_hours"][name])
        times = [] if pd.isna(due) else [pd.Timestamp(due) - pd.Timedelta(hours=access)]
        # All facilities of a chain are begun with at once: each takes what the one before has by then.
        times += [at for taker in self.taken_by(name) if (at := self.latest_start(taker, "facility")) is not None]
        if not times:
            return None
        # What it is given has to leave by the cut-off of its own place.
        financing, by = self.result.financing, min(times)
        given = financing.loc[financing["facility_id"] == name, "holding_id"].dropna()
        return min([by, *(self.movements.latest_recall_start(self.rows[holding], by) for holding in given)])

    def transformation(self) -> Stage:
        fall, result = self.answered.fall, self.result
        turned = [s for s in fall.sources if s.kind not in ("holding", "sale", *_ACTIVATED)]
        decisions = [self.source(3, s) for s in turned if s.used + s.passed_on > 0]
        said = []
        for row in result.financing.to_dict("records"):
            giver = row["holding_id"] or row["from_facility_id"]
            if giver is not None:
                quantity = f"{row['quantity']:,.12g} {row['asset_id']} from {giver}"
                said.append(f"{row['facility_id']} is given {quantity} and raises {self.money(row['proceeds'])}.")
        said.append(
            f"Meeting the calls costs {self.money(result.total_cost)} over {self.book.settings.horizon_days:g} days; "
            f"no answer costs less than {self.money(float(result.summary['lower_bound']))}."
        )
        if fall.fixed is not None:
            order, cost = ", ".join(fall.fixed.order[:MOST_ALONE]), self.money(fall.fixed.total_cost)
            said.append(f"In the order {order} it would cost {cost}, {self.money(fall.fixed.extra_cost)} more.")
        dearest = self.calls["marginal_cost_bps"].max()
        if not pd.isna(dearest):
            said.append(f"One more unit of the dearest call would cost {dearest:,.4g} basis points a year.")
        return self.stage(3, said, decisions)

    def reduction(self) -> Stage:
        sales = [s for s in self.answered.fall.sources if s.kind == "sale" and s.used + s.passed_on > 0]
        decisions = [self.source(4, s) for s in sales]
        short = self.calls[self.calls["shortfall"] > 0]
        if not sales and not len(short):
            return self.stage(4, ["Nothing has to be sold: every call is met."], [])
        said = (
            [f"{_count(len(sales), 'sale')} for {self.money(sum(s.used + s.passed_on for s in sales))}."]
            if sales
            else []
        )
        for row in short.sort_values(["due", "call_id"]).to_dict("records"):
            by = None if pd.isna(row["due"]) else row["due"]
            counterparty = self.counterparty[row["agreement_id"]]
            what = (
                f"Raise {self.money(row['shortfall'])} for {row['call_id']} of {counterparty}, or reduce the position"
            )
            decisions.append(self.decision(4, what, row["shortfall"], by, row["reason"] or ""))
        late = [s for s in self.answered.fall.sources if not s.in_time and s.available > 0]
        said += [f"{s.name} has {self.money(s.available)}, but only {self.time(s.access)}." for s in late]
        said += self.remedies(len(short) > 0)
        if self.sale is not None and self.sale.case.unmet > 0:
            by = min((at for at in short["due"] if not pd.isna(at)), default=None)
            said += self.course(self.sale)
            decisions += self.reductions(self.sale, by)
        return self.stage(4, said, decisions)

    def course(self, sale: ForcedSale) -> list[str]:
        """How it ends where nothing more is done, and what the cheapest sales come to."""
        mode, end = sale.terms.mode.replace("_", " "), sale.spiral
        when = "" if end.outcome == "paid" else f" on day {end.ends}"
        said = [f"After a missed call ({mode}): {end.outcome}{when}, own funds {self.money(end.own_funds)}."]
        if sale.schedule is not None:
            plan = sale.schedule
            lack = f"; {self.money(plan.unmet[-1])} is lacking even then" if plan.unmet[-1] > CENT else ""
            days = _count(sale.terms.periods, "day")
            said.append(f"The cheapest sales of positions within {days} cost {self.money(plan.cost)}{lack}.")
        return said

    def reductions(self, sale: ForcedSale, by: pd.Timestamp | None) -> list[Decision]:
        """The cheapest sales, a decision a position, in the order of their ranking; ``by``: of the first short call."""
        if sale.schedule is None:
            return []
        sums = sale.schedule.sales.groupby("position_id")[["quantity", "proceeds", "margin_released", "cost"]].sum()
        found = []
        for name in (name for name in sale.schedule.ranking["position_id"] if name in sums.index):
            units, proceeds, released, cost = sums.loc[name].tolist()
            brings = [f"brings {self.money(proceeds)}"] if proceeds else []
            brings += [f"releases margin of {self.money(released)}"] if released else []
            what = f"Reduce {name} by {abs(units):,.2f} units, which {' and '.join(brings)}"
            found.append(self.decision(4, what, abs(proceeds) + released, by, f"impact costs {self.money(cost)}"))
        return found

    def remedies(self, is_short: bool) -> list[str]:
        """The least change of each kind that would meet what is short, in the words of the explanation."""
        if not is_short:
            return []
        try:
            explained = self.result.explain()
        except SolverError:
            return []
        said: list[str] = []
        for line in (line for heading, lines in paragraphs(explained) if heading == "short" for line in lines):
            if line.startswith(8 * " "):
                said[-1] += f"; {' '.join(line.split())}"
            else:
                said.append(f"Would be met by {line.strip()}" if line.startswith(" ") else f"{line}.")
        return said

    def letters(self, notices: Sequence[Notice]) -> Stage:
        decisions = [
            self.decision(
                5,
                f"Send the notice to {notice.counterparty}",
                max(sum(d.value for d in notice.deliveries), sum(amount for _, _, amount in notice.drawn)),
                notice.by,
                f"{self.money(notice.short)} of its calls is not met" if notice.short else "",
            )
            for notice in notices
        ]
        unmet = [notice for notice in notices if notice.short]
        said = [f"{_count(len(notices), 'notice')} drafted below."]
        if unmet:
            said.append(f"Speak before the deadline with {', '.join(n.counterparty for n in unmet)}: not all is met.")
        return self.stage(5, said, decisions)


def _notices(writer: _Writer) -> tuple[Notice, ...]:
    """By counterparty: its agreements' calls and what they get, and what its facilities are given and raise."""
    book, access = writer.book, {s.name: s.access for s in writer.answered.fall.sources}
    facilities = book.facilities.set_index("facility_id")
    calls: dict[str, list[Called]] = {}
    deliveries: dict[str, list[Delivery]] = {}
    drawn: dict[str, list[tuple[str, str, float]]] = {}
    for row in writer.calls.to_dict("records"):
        called = Called(
            call_id=row["call_id"],
            agreement_id=row["agreement_id"],
            amount=row["amount"],
            currency=row["currency"],
            due=None if pd.isna(row["due"]) else row["due"],
            margin_type=row["margin_type"],
            short=row["shortfall"],
        )
        calls.setdefault(writer.counterparty[row["agreement_id"]], []).append(called)
    for row in writer.delivered.to_dict("records"):
        source = row["holding_id"] or row["facility_id"]
        delivery = Delivery(
            what="delivered under " + row["agreement_id"],
            asset_id=row["asset_id"],
            quantity=row["quantity"],
            value=row["collateral_value"],
            haircut=row["haircut"],
            reference=row["call_id"] or row["agreement_id"],
            settles=access.get(source, writer.start),
        )
        deliveries.setdefault(writer.counterparty[row["agreement_id"]], []).append(delivery)
    financing = writer.result.financing
    starts: dict[str, list[pd.Timestamp | None]] = {}
    for name, rows in financing.groupby("facility_id", sort=True):
        facility = facilities.loc[str(name)]
        who = facility["counterparty"] or str(name)
        drawn.setdefault(who, []).append((str(name), str(facility["kind"]), writer.raised(str(name))))
        starts.setdefault(who, []).append(writer.latest_start(str(name), "facility"))
        for row in rows.to_dict("records"):
            giver = row["holding_id"] or row["from_facility_id"]
            if giver is None:
                continue
            delivery = Delivery(
                what=f"given to {name}",
                asset_id=row["asset_id"],
                quantity=row["quantity"],
                value=row["proceeds"],
                haircut=row["haircut"],
                reference=str(name),
                settles=_input_time(book, giver, access, writer.start),
            )
            deliveries.setdefault(who, []).append(delivery)
    names = sorted({*calls, *deliveries, *drawn})
    return tuple(
        Notice(
            counterparty=name,
            calls=tuple(calls.get(name, ())),
            deliveries=tuple(deliveries.get(name, ())),
            drawn=tuple(drawn.get(name, ())),
            draw_by=min((at for at in starts.get(name, ()) if at is not None), default=None),
        )
        for name in names
    )


def _input_time(book: Book, giver: str, access: Mapping[str, pd.Timestamp], start: pd.Timestamp) -> pd.Timestamp:
    """When what a facility is given can have arrived there."""
    at = (book.holdings["holding_id"] == giver).to_numpy()
    if not at.any():
        return access.get(giver, start)
    row = int(at.argmax())
    settle = pd.Timedelta(hours=float(book.holdings["settle_hours"].iloc[row]))
    return Movements(book).holding_start(row) + settle


def told_time(at: pd.Timestamp | None, book: Book) -> str:
    """In the offset in which the book says what time it is."""
    if at is None:
        return "without a deadline"
    return pd.Timestamp(at).tz_convert(book.settings.as_of.tzinfo).strftime("%a %d %b %Y %H:%M %z")


def short_time(at: pd.Timestamp, book: Book) -> str:
    """Day, hour and minute, in the offset in which the book says what time it is."""
    return pd.Timestamp(at).tz_convert(book.settings.as_of.tzinfo).strftime("%d %b %H:%M")


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
