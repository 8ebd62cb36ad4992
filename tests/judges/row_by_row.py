"""The book read the slow way: every pair of call and holding judged by itself, from the format's own words.

Nothing here uses ``eligibility_rules`` or ``collateral_opt``; the program it builds is small, exact and
plain, so that the linear and the whole-lot judge can be compared with the product.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pandas as pd

from tests.judges.books import BookTables
from tests.judges.plan import Cell, Facility, LimitRow, Lying, Need, Pair, Pin, Plan, Record, exact, number, records

Truth = bool | None

SCALE = (
    "AAA AA+ AA AA- A+ A A- BBB+ BBB BBB- BB+ BB BB- B+ B B- CCC+ CCC CCC- CC C D",
    "Aaa Aa1 Aa2 Aa3 A1 A2 A3 Baa1 Baa2 Baa3 Ba1 Ba2 Ba3 B1 B2 B3 Caa1 Caa2 Caa3 Ca C",
)
LETTERS, MOODYS = (letters.split() for letters in SCALE)
DBRS = [f"{x[:-1]} ({'high' if x[-1] == '+' else 'low'})" if x[-1] in "+-" else x for x in LETTERS]
LEGAL_TENDER = {"US": "USD", "DE": "EUR", "FR": "EUR", "GB": "GBP", "JP": "JPY"}
DECIMALS = {"JPY": 0}
COMPARE = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


# --- eligibility, one asset at a time -------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """Who asks: the day, the agreement's currency, the margin type, the poster's family."""

    as_of: date
    base_currency: str
    margin_type: str | None
    owner_parent: str | None


def all_of(truths: Iterable[Truth]) -> Truth:
    found = list(truths)
    return False if False in found else None if None in found else True


def any_of(truths: Iterable[Truth]) -> Truth:
    found = list(truths)
    return True if True in found else None if None in found else False


def negation(truth: Truth) -> Truth:
    return None if truth is None else not truth


def holds(when: Any, asset: Record, ask: Question) -> Truth:
    """A `when` about one asset, in three values."""
    if when is None:
        return True
    return all_of(leaf_holds(name, wanted, asset, ask) for name, wanted in when.items())


def leaf_holds(name: str, wanted: Any, asset: Record, ask: Question) -> Truth:
    if name == "all":
        return all_of(holds(part, asset, ask) for part in wanted)
    if name == "any":
        return any_of(holds(part, asset, ask) for part in wanted)
    if name == "not":
        return negation(holds(wanted, asset, ask))
    if name == "maturity":
        return maturity_holds(wanted, asset, ask)
    if name == "rating":
        return rating_holds(wanted, asset)
    if name == "own_issue":
        return own_issue(asset, ask) if wanted else negation(own_issue(asset, ask))
    if name == "domestic_currency":
        country = asset.get("issuer_country")
        truth = None if country is None else LEGAL_TENDER[country] == asset["currency"]
        return truth if wanted else negation(truth)
    value = asset.get(name)
    if value is None:
        return None
    if isinstance(wanted, dict):
        return all(COMPARE[how](float(value), bound) for how, bound in wanted.items())
    return value in wanted if isinstance(wanted, list) else value == wanted


def own_issue(asset: Record, ask: Question) -> Truth:
    """Whether the asset is issued inside the poster's family; cash has no issuer and is never own."""
    if asset["asset_type"] == "cash":
        return False
    if ask.owner_parent is None:
        return None
    if asset.get("issuer_parent") == ask.owner_parent:
        return True
    return None if asset.get("issuer") is None else asset["issuer"] == ask.owner_parent


def day(value: Cell) -> date | None:
    return None if value is None else date.fromisoformat(str(value)[:10])


def later(start: date, period: str) -> date:
    """Calendar arithmetic: 5Y, 6M, 30D; the 29th to the 31st become the month's last day where they must."""
    count, unit = int(period[:-1]), period[-1]
    if unit == "D":
        return start + timedelta(days=count)
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "Y" else 1)
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def maturity_holds(wanted: Mapping[str, Mapping[str, str]], asset: Record, ask: Question) -> Truth:
    issued, matures = day(asset.get("issue_date")), day(asset.get("maturity_date"))
    ends = {
        "remaining": (ask.as_of, matures),
        "original": (issued, matures),
        "since_issue": (issued, ask.as_of),
    }
    truths: list[Truth] = []
    for kind, bounds in wanted.items():
        start, end = ends[kind]
        for how, period in bounds.items():
            truths.append(None if start is None or end is None else COMPARE[how](end, later(start, period)))
    return all_of(truths)


def step(text: str, agency: str) -> int | None:
    """Place on the scale, 1 the best; None for what is no rating."""
    scale = {"moodys": MOODYS, "dbrs": DBRS}.get(agency, LETTERS)
    return scale.index(text) + 1 if text in scale else None


def rating_holds(wanted: Mapping[str, Any], asset: Record) -> Truth:
    for scope in wanted.get("scope", ["asset"]):
        prefix = "" if scope == "asset" else f"{scope}_"
        steps = []
        for agency in wanted.get("agencies", ["sp", "moodys", "fitch", "dbrs"]):
            text = asset.get(f"{prefix}rating_{agency}")
            found = None if text is None else step(text, agency)
            if found is not None:
                steps.append(found)
        if steps:
            return any(within(wanted, value) for value in resolved(steps, wanted.get("resolve", "lowest")))
    return None


def resolved(steps: list[int], how: str) -> list[Fraction]:
    """The step or steps that count; the lowest rating is the highest step."""
    ordered = [Fraction(s) for s in sorted(steps)]
    if how == "any":
        return ordered
    if how == "average":
        return [sum(ordered, Fraction(0)) / len(ordered)]
    if how == "second_best":
        return [ordered[min(1, len(ordered) - 1)]]
    return [ordered[0] if how == "highest" else ordered[-1]]


def within(wanted: Mapping[str, Any], value: Fraction) -> bool:
    at_least, at_most = wanted.get("at_least"), wanted.get("at_most")
    return (at_least is None or value <= LETTERS.index(at_least) + 1) and (
        at_most is None or value >= LETTERS.index(at_most) + 1
    )


def bound_to(thing: Mapping[str, Any], truth: Truth, ask: Question) -> Truth:
    """A rule's truth where it is restricted to a margin type; an unknown margin type is unknown."""
    wanted = thing.get("margin_type")
    if wanted is None:
        return truth
    return all_of([truth, None if ask.margin_type is None else ask.margin_type == wanted])


def rule_factor(rule: Mapping[str, Any]) -> Fraction:
    if "margin_ratio" in rule:
        return 1 / exact(rule["margin_ratio"])
    if "valuation_percentage" in rule:
        return exact(rule["valuation_percentage"])
    return 1 - exact(rule["haircut"])


def assumed(schedule: Mapping[str, Any], asset: Record) -> Record:
    gaps = {k: v for k, v in schedule.get("assume", {}).items() if asset.get(k) is None}
    return {**asset, **gaps}


def factor_of(schedule: Mapping[str, Any] | pd.DataFrame, asset: Record, ask: Question) -> Fraction | None:
    """The collateral factor of one asset, None where the schedule refuses it."""
    if isinstance(schedule, pd.DataFrame):
        row = listed(schedule, asset)
        if row is None or row.get("eligible") is False:
            return None
        factor = 1 - number(row, "haircut", 0)
        return factor if factor > 0 else None
    asset = assumed(schedule, asset)
    truths = [bound_to(rule, holds(rule.get("when"), asset, ask), ask) for rule in schedule["rules"]]
    if any(rule.get("exclude") and truth is not False for rule, truth in zip(schedule["rules"], truths, strict=True)):
        return None
    takers = [
        (rule_factor(rule), truth)
        for rule, truth in zip(schedule["rules"], truths, strict=True)
        if not rule.get("exclude") and truth is not False
    ]
    sure = [at for at, (_, truth) in enumerate(takers) if truth]
    if not sure:
        return None
    if schedule.get("overlap", "first") == "highest_haircut":
        winner = min(sure, key=lambda at: takers[at][0])
        rivals = [f for f, truth in takers if truth is None]
    else:
        winner = sure[0]
        error = schedule.get("overlap") == "error"
        rivals = [f for at, (f, truth) in enumerate(takers) if truth is None and (error or at < winner)]
    factor = takers[winner][0]
    if any(rival < factor for rival in rivals):
        return None
    factor = after_fx(schedule.get("fx_haircut"), factor, asset, ask)
    return factor if factor > 0 else None


def after_fx(fx: Mapping[str, Any] | None, factor: Fraction, asset: Record, ask: Question) -> Fraction:
    if fx is None or asset["currency"] == ask.base_currency:
        return factor
    if bound_to(fx, holds(fx.get("select"), asset, ask), ask) is False:
        return factor
    rate = exact(fx["rate"])
    return factor - rate if fx.get("combine", "additive") == "additive" else factor * (1 - rate)


def listed(schedule: pd.DataFrame, asset: Record) -> Record | None:
    key = "asset_id" if "asset_id" in schedule.columns else "isin"
    return next((row for row in records(schedule) if asset.get(key) is not None and row[key] == asset[key]), None)


# --- the program ----------------------------------------------------------------------------------------


def plan_of(book: BookTables) -> Plan:
    """Every pair and every limit of a book, exact; raises ValueError where a location has a cut-off or a calendar."""
    plan, cured = Reader(book).plan(), Reader(book, cured=True).plan()
    return plan if len(plan.pairs) == len(cured.pairs) else replace(plan, cured=cured)


class Reader:
    """One book, taken apart row by row."""

    def __init__(self, book: BookTables, cured: bool = False) -> None:
        self.cured = cured
        self.settings = book.settings
        self.schedules = book.schedules
        tables = {name: records(table) for name, table in book.tables.items()}
        self.tables = tables
        self.assets = tables["assets"]
        self.asset_at = {asset["asset_id"]: at for at, asset in enumerate(self.assets)}
        self.holdings = tables["holdings"]
        self.agreements = {row["agreement_id"]: row for row in tables["agreements"]}
        self.calls = tables["calls"]
        self.facilities = tables.get("facilities", [])
        self.reserves = tables.get("reserves", [])
        self.year_share = number(book.settings, "horizon_days", 1) / number(book.settings, "day_count", 360)
        self.now = datetime.fromisoformat(book.settings["as_of"])
        self.home = book.settings["base_currency"]
        self.rates = {row["currency"]: exact(row["rate"]) for row in tables.get("fx", [])} | {self.home: Fraction(1)}
        self.locations = {row["location"]: row for row in tables.get("locations", [])}
        if any(row.get("cut_off") or row.get("calendar") for row in self.locations.values()):
            raise ValueError("cut-offs and calendars are not judged")
        self._factors: dict[Any, Fraction | None] = {}
        self.needs: list[Need] = []
        self.lying: list[Lying] = []
        self.recall_hours: list[float] = []
        self.reoptimises = book.settings.get("scope") == "reoptimise"
        if self.reoptimises:
            for agreement in tables["agreements"]:
                self.read_need(agreement)

    def plan(self) -> Plan:
        pairs: list[Pair] = []
        for call in range(len(self.calls)):
            for holding in range(len(self.holdings)):
                pairs += self.into_call(call, holding)
            for producer in range(len(self.facilities)):
                pairs += self.proceeds_into_call(call, producer)
        for facility in range(len(self.facilities)):
            pairs += self.inputs(facility)
        for need in range(len(self.needs)):
            pairs += self.replacements(need)
        pins = self.tables.get("pins", [])
        never = {(pin["call_id"], pin["holding_id"]) for pin in pins if pin.get("forbid")}
        pairs = [pair for pair in pairs if self.names(pair) not in never]
        pairs, rows = self.limits(pairs)
        counts = [pair for reserve in range(len(self.reserves)) for pair in self.counted(reserve)]
        return Plan(
            required=tuple(self.required(call) for call in self.calls),
            priority=tuple(None if c.get("priority") is None else float(c["priority"]) for c in self.calls),
            supply=tuple(number(h, "quantity", 0) for h in self.holdings),
            lots=tuple(self.lot(asset) for asset in self.assets),
            least=tuple(number(asset, "min_denomination", 0) for asset in self.assets),
            pairs=tuple(pairs),
            rows=(*rows, *self.recalls_in_time(pairs)),
            year_share=self.year_share,
            call_ids=tuple(c["call_id"] for c in self.calls),
            holding_ids=tuple(h["holding_id"] for h in self.holdings),
            facilities=tuple(self.facility(facility) for facility in self.facilities),
            reserve_ids=tuple(r["reserve_id"] for r in self.reserves),
            reserved=tuple(self.required(reserve) for reserve in self.reserves),
            counts=tuple(counts),
            count_rows=tuple(self.reserve_limits(counts)),
            asset_ids=tuple(asset["asset_id"] for asset in self.assets),
            smallest=tuple(self.smallest(self.agreements[call["agreement_id"]]) for call in self.calls),
            max_lines=tuple(whole(self.agreements[call["agreement_id"]].get("max_lines")) for call in self.calls),
            max_moves=whole(self.settings.get("max_moves")),
            move_costs=tuple(self.move_cost(holding) for holding in self.holdings),
            pins=tuple(self.pin(pin) for pin in pins if not pin.get("forbid")),
            lying=tuple(self.lying),
            needs=tuple(self.needs),
        )

    def names(self, pair: Pair) -> tuple[str, str] | None:
        """Call and holding, as pins name them."""
        if pair.call < 0 or pair.holding < 0:
            return None
        return self.calls[pair.call]["call_id"], self.holdings[pair.holding]["holding_id"]

    def pin(self, row: Record) -> Pin:
        return Pin(
            call=next(at for at, call in enumerate(self.calls) if call["call_id"] == row["call_id"]),
            holding=self.holding_at(row["holding_id"]),
            quantity=None if row.get("quantity") is None else exact(row["quantity"]),
        )

    def holding_at(self, name: str | None) -> int:
        """Position of a holding; -1 for none."""
        return next((at for at, holding in enumerate(self.holdings) if holding["holding_id"] == name), -1)

    def smallest(self, agreement: Record) -> Fraction:
        """Least market value of a line there, in base currency."""
        return number(agreement, "min_line_value", 0) * self.rates[self.base(agreement)]

    def move_cost(self, row: Record) -> Fraction:
        """Of one movement at the location of a holding or an agreement."""
        return number(self.locations.get(row.get("location"), {}), "move_cost", 0)

    def required(self, call: Record) -> Fraction:
        return exact(call["amount"]) * self.rates[call["currency"]]

    def lot(self, asset: Record) -> Fraction:
        cash = asset["asset_type"] == "cash"
        default = Fraction(1, 10 ** DECIMALS.get(asset["currency"], 2)) if cash else Fraction(1)
        return default if asset.get("lot_size") is None else exact(asset["lot_size"])

    def local_price(self, asset: Record) -> Fraction:
        return number(asset, "price", 1) * number(asset, "price_factor", 1)

    def unit_value(self, asset: Record) -> Fraction:
        return self.local_price(asset) * self.rates[asset["currency"]]

    def schedule_of(self, call: Record) -> str:
        own: str | None = call.get("schedule")
        return own or self.agreements[call["agreement_id"]]["schedule"]

    def base(self, agreement: Record) -> str:
        return agreement.get("base_currency") or self.home

    def question(self, currency: str, margin_type: str | None) -> Question:
        return Question(self.now.date(), currency, margin_type, self.settings.get("owner_parent"))

    def factor(
        self, schedule: str, asset: int, currency: str, margin_type: str | None, family: Iterable[str | None] = ()
    ) -> Fraction | None:
        """None where the schedule, read in ``currency``, refuses the asset or ``family`` issued it."""
        ask = self.question(currency, margin_type)
        key = (schedule, asset, ask)
        if key not in self._factors:
            self._factors[key] = factor_of(self.schedules[schedule], self.assets[asset], ask)
        factor = self._factors[key]
        return None if self.wrong_way(schedule, self.assets[asset], family) else factor

    def agreement_factor(
        self, schedule: str, asset: int, agreement: Record, margin_type: str | None
    ) -> Fraction | None:
        family = (agreement.get("counterparty"), agreement.get("counterparty_parent"))
        return self.factor(schedule, asset, self.base(agreement), margin_type, family)

    def wrong_way(self, schedule: str, asset: Record, family: Iterable[str | None]) -> bool:
        terms = self.schedules[schedule]
        if not isinstance(terms, pd.DataFrame) and terms.get("wrong_way") == "allow":
            return False
        issuers = {asset.get("issuer"), asset.get("issuer_parent")} - {None}
        return bool(issuers & set(family))

    def into_call(self, at_call: int, at_holding: int) -> Iterable[Pair]:
        """Out of the holding itself, and out of what comes back into it, where either is in time."""
        call, holding = self.calls[at_call], self.holdings[at_holding]
        at_asset = self.asset_at[holding["asset_id"]]
        asset, agreement = self.assets[at_asset], self.agreements[call["agreement_id"]]
        factor = self.agreement_factor(self.schedule_of(call), at_asset, agreement, call.get("margin_type"))
        if factor is None or not self.outlives(asset, call):
            return
        bps = self.holding_bps(holding, asset, "agreement_id", agreement["agreement_id"])
        bps -= self.earned(asset, agreement)
        pair = Pair(at_call, at_holding, at_asset, factor, self.unit_value(asset), bps)
        if self.in_time(self.arrives(holding), call):
            yield pair
        due = None if call.get("due") is None else datetime.fromisoformat(call["due"])
        yield from self.recalled(pair, due, agreement["agreement_id"])

    def proceeds_into_call(self, at_call: int, producer: int) -> Iterable[Pair]:
        call, facility = self.calls[at_call], self.facilities[producer]
        at_asset = self.asset_at[facility["gives"]]
        asset, agreement = self.assets[at_asset], self.agreements[call["agreement_id"]]
        factor = self.agreement_factor(self.schedule_of(call), at_asset, agreement, call.get("margin_type"))
        if factor is not None and self.in_time(self.opens(facility), call) and self.outlives(asset, call):
            bps = -self.earned(asset, agreement)
            yield Pair(at_call, -1, at_asset, factor, self.unit_value(asset), bps, producer=producer)

    def inputs(self, at_facility: int) -> Iterable[Pair]:
        """Holdings that are there when the facility opens, and proceeds of those that open before."""
        facility = self.facilities[at_facility]
        if facility.get("takes") is None:
            return
        hours = number(facility, "access_hours", 0)
        for at, holding in enumerate(self.holdings):
            asset = self.asset_at[holding["asset_id"]]
            factor = self.input_factor(facility, asset)
            if factor is None:
                continue
            bps = self.holding_bps(holding, self.assets[asset], "facility_id", facility["facility_id"])
            pair = Pair(-1, at, asset, factor, self.unit_value(self.assets[asset]), bps, facility=at_facility)
            if self.arrives(holding) <= self.opens(facility):
                yield pair
            yield from self.recalled(pair, self.opens(facility))
        for at, producer in enumerate(self.facilities):
            asset = self.asset_at[producer["gives"]]
            factor = self.input_factor(facility, asset)
            if factor is not None and number(producer, "access_hours", 0) < hours:
                value = self.unit_value(self.assets[asset])
                yield Pair(-1, -1, asset, factor, value, Fraction(0), facility=at_facility, producer=at)

    def input_factor(self, facility: Record, asset: int) -> Fraction | None:
        currency = self.assets[self.asset_at[facility["gives"]]]["currency"]
        matures = day(self.assets[asset].get("maturity_date"))
        if matures is not None and matures < self.opens(facility).date():
            return None
        return self.factor(facility["takes"], asset, currency, None, (facility.get("counterparty"),))

    def facility(self, row: Record) -> Facility:
        asset = self.assets[self.asset_at[row["gives"]]]
        yearly = number(row, "cost_bps", 0) * self.year_share
        return Facility(
            facility_id=row["facility_id"],
            takes=row.get("takes") is not None,
            capacity=exact(row["capacity"]) * self.rates[asset["currency"]],
            cost=(yearly + number(row, "one_off_bps", 0)) / 10**4,
        )

    def counted(self, at_reserve: int) -> Iterable[Pair]:
        """Holdings that a reserve may count: neither time nor counterparties matter, what has matured is gone."""
        reserve = self.reserves[at_reserve]
        for at, holding in enumerate(self.holdings):
            asset = self.asset_at[holding["asset_id"]]
            matures = day(self.assets[asset].get("maturity_date"))
            factor = self.factor(reserve["schedule"], asset, reserve["currency"], None)
            if factor is not None and not (matures is not None and matures < self.now.date()):
                value = self.unit_value(self.assets[asset])
                yield Pair(-1, at, asset, factor, value, Fraction(0), reserve=at_reserve)

    def arrives(self, holding: Record) -> datetime:
        ready = self.now if holding.get("ready_at") is None else datetime.fromisoformat(holding["ready_at"])
        return max(self.now, ready) + timedelta(hours=float(holding.get("settle_hours") or 0))

    def opens(self, facility: Record) -> datetime:
        return self.now + timedelta(hours=float(facility.get("access_hours") or 0))

    def in_time(self, arrives: datetime, call: Record) -> bool:
        return call.get("due") is None or arrives <= datetime.fromisoformat(call["due"])

    def outlives(self, asset: Record, call: Record) -> bool:
        until = self.now.date() if call.get("due") is None else datetime.fromisoformat(call["due"]).date()
        matures = day(asset.get("maturity_date"))
        return matures is None or matures >= until

    def holding_bps(self, holding: Record, asset: Record, column: str, place: str) -> Fraction:
        """What letting the holding go to one agreement or facility costs a year."""
        bps = number(holding, "cost_bps", 0)
        rows = [r for r in self.tables.get("costs", []) if r.get(column) == place]
        by_asset = [r for r in rows if r.get("holding_id") is None and r.get("asset_id") == asset["asset_id"]]
        by_holding = [r for r in rows if r.get("holding_id") == holding.get("holding_id", "")]
        for row in by_asset + by_holding:
            bps = exact(row["cost_bps"])
        return bps

    def earned(self, asset: Record, agreement: Record) -> Fraction:
        """What cash earns at the agreement, a year."""
        if asset["asset_type"] != "cash":
            return Fraction(0)
        earned = number(agreement, "cash_return_bps", 0)
        for row in self.tables.get("cash_returns", []):
            if (row["agreement_id"], row["currency"]) == (agreement["agreement_id"], asset["currency"]):
                earned = exact(row["bps"])
        return earned

    # --- what is posted, in scope reoptimise

    def read_need(self, agreement: Record) -> None:
        """What the agreement requires beside its calls, and the rows that lie there."""
        name = agreement["agreement_id"]
        rows = [row for row in self.tables.get("posted", []) if row["agreement_id"] == name]
        lying = [self.lie(row, agreement) for row in rows]
        posted = sum((row.quantity * row.value for row in lying), Fraction(0))
        asked = sum((self.required(call) for call in self.calls if call["agreement_id"] == name), Fraction(0))
        required = posted + asked
        if agreement.get("requirement") is not None:
            required = exact(agreement["requirement"]) * self.rates[self.base(agreement)]
        beside = max(Fraction(0), required - asked)
        if not lying and not beside:
            return
        if 0 < posted - beside < number(agreement, "minimum_transfer", 0) * self.rates[self.base(agreement)]:
            beside = posted
        self.needs.append(Need(name, beside, posted, required, self.smallest(agreement)))
        self.lying += lying
        self.recall_hours += [float(row.get("recall_hours") or 0) for row in rows]

    def lie(self, row: Record, agreement: Record) -> Lying:
        at_asset, at_holding = self.asset_at[row["asset_id"]], self.holding_at(row.get("holding_id"))
        asset, holding = self.assets[at_asset], self.holdings[at_holding] if at_holding >= 0 else {}
        bps = number(row, "cost_bps", 0)
        if row.get("cost_bps") is None:
            bps = self.holding_bps(holding, asset, "agreement_id", agreement["agreement_id"])
        factor = self.agreement_factor(agreement["schedule"], at_asset, agreement, self.posted_kind(agreement))
        return Lying(
            need=len(self.needs),
            asset=at_asset,
            holding=at_holding,
            quantity=exact(row["quantity"]),
            factor=factor or Fraction(0),
            unit_value=self.unit_value(asset),
            cost_bps=bps - self.earned(asset, agreement),
            locked=bool(row.get("locked")),
            move_cost=self.move_cost(agreement),
        )

    def recalled(self, pair: Pair, due: datetime | None, agreement: str = "") -> Iterable[Pair]:
        """The same line out of what comes back in time into the holding, but never to where it comes from."""
        for at, row in enumerate(self.lying):
            if row.locked or row.holding != pair.holding or self.needs[row.need].agreement_id == agreement:
                continue
            settle = float(self.holdings[row.holding].get("settle_hours") or 0)
            start = None if due is None else due - timedelta(hours=self.recall_hours[at] + settle)
            if start is None or start >= self.now:
                yield replace(pair, posted=at, when=start)

    def replacements(self, at_need: int) -> Iterable[Pair]:
        """What may come into an agreement beside its calls: under its own schedule, and without a deadline."""
        name = self.needs[at_need].agreement_id
        agreement = self.agreements[name]
        for at, holding in enumerate(self.holdings):
            pair = self.replacement(at_need, self.asset_at[holding["asset_id"]])
            if pair is not None:
                asset = self.assets[pair.asset]
                bps = self.holding_bps(holding, asset, "agreement_id", name) - self.earned(asset, agreement)
                pair = replace(pair, holding=at, cost_bps=bps)
                yield replace(pair, when=self.arrives(holding))
                yield from self.recalled(pair, None, name)
        for at, facility in enumerate(self.facilities):
            pair = self.replacement(at_need, self.asset_at[facility["gives"]])
            if pair is not None:
                yield replace(pair, producer=at, when=self.opens(facility))

    def replacement(self, at_need: int, asset: int) -> Pair | None:
        """From nowhere as yet, bearing only what it earns there; None where the agreement refuses it."""
        agreement = self.agreements[self.needs[at_need].agreement_id]
        factor = self.agreement_factor(agreement["schedule"], asset, agreement, self.posted_kind(agreement))
        if factor is None or not self.outlives(self.assets[asset], {}):
            return None
        earned = self.earned(self.assets[asset], agreement)
        return Pair(-1, -1, asset, factor, self.unit_value(self.assets[asset]), -earned, need=at_need)

    def recalls_in_time(self, pairs: list[Pair]) -> Iterable[LimitRow]:
        """What is recalled by a time is at most the spare and the replacements that have settled by then.

        All that is ever recalled is at most the spare and all replacements: no recall makes an agreement short.
        """
        for at, need in enumerate(self.needs):
            back = {p: row.value for p, row in enumerate(self.lying) if row.need == at and row.value and not row.locked}
            coming = {e: -pair.value for e, pair in enumerate(pairs) if pair.need == at}
            if back:
                yield LimitRow(f"{need.agreement_id} at last", coming, need.spare, back)
            moments = {e: self.moment(p) for e, p in enumerate(pairs) if p.when is not None}
            uses = [e for e in moments if pairs[e].posted >= 0 and self.lying[pairs[e].posted].need == at]
            settling = [e for e in moments if pairs[e].need == at]
            for latest in sorted({moments[e] for e in uses}):
                weights = {e: self.lying[pairs[e].posted].value for e in uses if moments[e] <= latest}
                weights = {e: weight for e, weight in weights.items() if weight}
                if weights:
                    weights |= {e: -pairs[e].value for e in settling if moments[e] <= latest}
                    yield LimitRow(f"{need.agreement_id} by {latest[0]}", weights, need.spare)

    def moment(self, pair: Pair) -> tuple[datetime, int]:
        """When a recall starts or a replacement settles; what goes into a facility at once goes before all proceeds."""
        assert pair.when is not None
        if pair.posted >= 0:
            at_once = pair.facility >= 0 and pair.when == self.opens(self.facilities[pair.facility])
            return pair.when, 0 if at_once else 1
        return pair.when, 1 if pair.producer >= 0 else 0

    # --- limits

    def limits(self, pairs: list[Pair]) -> tuple[list[Pair], list[LimitRow]]:
        """The pairs without those whose group is shut, and the rows of all other groups."""
        shut: set[int] = set()
        rows: list[LimitRow] = []
        for basket in [*self.agreement_baskets(pairs), *self.facility_baskets(pairs)]:
            for group in self.groups(basket, pairs):
                shut |= group.shut
                rows += group.rows
        kept = {old: new for new, old in enumerate(sorted(set(range(len(pairs))) - shut))}
        rows = [
            replace(row, weights={kept[e]: w for e, w in row.weights.items() if e in kept and w != 0}) for row in rows
        ]
        return [pairs[e] for e in kept], [row for row in rows if row.weights or row.recalled]

    def agreement_baskets(self, pairs: list[Pair]) -> Iterable[Basket]:
        for agreement in self.tables["agreements"]:
            name = agreement["agreement_id"]
            calls = [at for at, call in enumerate(self.calls) if call["agreement_id"] == name]
            posted = self.posted(agreement)
            lying = sum((q * self.unit_value(self.assets[a]) * f for a, q, f, _ in posted), Fraction(0))
            required = sum((self.required(self.calls[at]) for at in calls), lying)
            if self.reoptimises and agreement.get("requirement") is not None:
                required = exact(agreement["requirement"]) * self.rates[self.base(agreement)]
            mine = [e for e, p in enumerate(pairs) if p.call in calls]
            schedules = {self.schedule_of(self.calls[at]) for at in calls}
            for at, need in enumerate(self.needs):
                if need.agreement_id == name:
                    required = need.requirement
                    mine += [e for e, p in enumerate(pairs) if p.need == at]
                    schedules.add(agreement["schedule"])
            for schedule in sorted(schedules):
                yield Basket(name, schedule, self.base(agreement), mine, posted, required)

    def facility_baskets(self, pairs: list[Pair]) -> Iterable[Basket]:
        for at, facility in enumerate(self.facilities):
            if facility.get("takes") is not None:
                currency = self.assets[self.asset_at[facility["gives"]]]["currency"]
                mine = [e for e, p in enumerate(pairs) if p.facility == at]
                name, capacity = facility["facility_id"], self.facility(facility).capacity
                yield Basket(name, facility["takes"], currency, mine, [], capacity)

    def reserve_limits(self, counts: list[Pair]) -> Iterable[LimitRow]:
        """Rows over ``counts``."""
        for at, reserve in enumerate(self.reserves):
            mine = [e for e, p in enumerate(counts) if p.reserve == at]
            asked = self.required(reserve)
            basket = Basket(reserve["reserve_id"], reserve["schedule"], reserve["currency"], mine, [], asked)
            for group in self.groups(basket, counts):
                for row in group.rows:
                    weights = {e: w for e, w in row.weights.items() if w != 0}
                    if weights:
                        yield replace(row, weights=weights)

    def groups(self, basket: Basket, pairs: list[Pair]) -> Iterable[GroupRows]:
        schedule, mine = basket.schedule, basket.pairs
        for label, limit in limits_in(self.schedules[schedule]):
            measure = limit.get("measure", "market_value")

            def weight(asset: int, factor: Fraction, measure: str = measure) -> Fraction:
                if measure == "quantity":
                    return Fraction(1)
                return self.unit_value(self.assets[asset]) * (factor if measure == "value_after_haircut" else 1)

            weights = {e: weight(pairs[e].asset, pairs[e].factor) for e in mine}
            lying = [(a, q * weight(a, f)) for a, q, f, _ in basket.posted]
            free = {row: (a, q, weight(a, f)) for a, q, f, row in basket.posted if self.may_return(row)}
            members: dict[Any, list[int]] = {}
            stuck: dict[Any, Fraction] = {}
            back: dict[Any, list[int]] = {}
            sample: dict[Any, int] = {}
            for a in sorted({pairs[e].asset for e in mine} | {a for a, _ in lying}):
                group = self.group_of(schedule, limit, a, basket.currency)
                if group is not None:
                    members.setdefault(group, []).extend(e for e in mine if pairs[e].asset == a)
                    stuck[group] = stuck.get(group, Fraction(0)) + sum((v for b, v in lying if b == a), Fraction(0))
                    back.setdefault(group, []).extend(row for row, (b, _, _) in free.items() if b == a)
                    sample[group] = a
            total = sum((v for _, v in lying), Fraction(0))
            for group, edges in members.items():
                found = GroupRows(set(), [])
                over = False
                least = stuck[group] - sum((free[row][1] * free[row][2] for row in back[group]), Fraction(0))
                for cap in limit.get("caps", [limit]):
                    share = None
                    if cap["of"] == "posted":
                        share = exact(cap["max"])
                        bound = share * total
                    else:
                        bound = self.cap(cap, measure, sample[group], basket.requirement, basket.currency)
                    curable = self.cured and bool(edges) and (share is not None or least <= bound)
                    if stuck[group] > bound and not curable:
                        over = True
                    row = {e: weights[e] for e in edges}
                    gone = {at: -free[at][2] for at in back[group]}
                    if share is not None:
                        row = {e: row.get(e, Fraction(0)) - share * weights[e] for e in mine}
                        gone = {at: gone.get(at, Fraction(0)) + share * free[at][2] for at in free}
                    gone = {at: w for at, w in gone.items() if w}
                    name = f"{basket.name} {label} {group}"
                    found.rows.append(LimitRow(name, row, bound - stuck[group], gone, share is not None))
                if over:  # shut, and none of its rows is enforced, not even for lines outside the group
                    found = GroupRows(set(edges), [])
                yield found

    def may_return(self, row: int) -> bool:
        """Whether a row of ``lying`` may be recalled; -1 is none of them."""
        return row >= 0 and not self.lying[row].locked

    def posted_kind(self, agreement: Record) -> str | None:
        """The margin type under which what is posted is read: that of the agreement's calls, where they have one."""
        kinds = {c.get("margin_type") for c in self.calls if c["agreement_id"] == agreement["agreement_id"]}
        return kinds.pop() if len(kinds) == 1 else None

    def posted(self, agreement: Record) -> list[tuple[int, Fraction, Fraction, int]]:
        """Asset, quantity, factor and (in scope reoptimise, else -1) row of ``lying`` of what is posted and counts."""
        if self.needs:
            return [
                (row.asset, row.quantity, row.factor, at)
                for at, row in enumerate(self.lying)
                if row.factor and self.needs[row.need].agreement_id == agreement["agreement_id"]
            ]
        kind = self.posted_kind(agreement)
        found = []
        for row in self.tables.get("posted", []):
            if row["agreement_id"] == agreement["agreement_id"]:
                asset = self.asset_at[row["asset_id"]]
                factor = self.agreement_factor(agreement["schedule"], asset, agreement, kind)
                if factor is not None:
                    found.append((asset, exact(row["quantity"]), factor, -1))
        return found

    def group_of(self, schedule: str, limit: Mapping[str, Any], asset: int, currency: str) -> Any:
        """The group the asset counts in, ("unknown",) where its value is; None where it does not count."""
        terms, facts = self.schedules[schedule], self.assets[asset]
        if isinstance(terms, pd.DataFrame):
            row = listed(terms, facts)
            return None if row is None or row.get(limit["column"]) is None else ("is", facts["asset_id"])
        facts = assumed(terms, facts)
        if holds(limit.get("select"), facts, self.question(currency, None)) is False:
            return None
        column = limit.get("group_by", "none")
        if column == "none":
            return ("all",)
        value = facts.get("asset_id" if column == "asset" else column)
        return ("unknown",) if value is None else ("is", value)

    def cap(self, cap: Mapping[str, Any], measure: str, asset: int, requirement: Fraction, currency: str) -> Fraction:
        """A cap that does not depend on what is delivered, in the limit's measure."""
        facts = self.assets[asset]
        of, most = cap["of"], cap["max"]
        if of == "requirement":
            return exact(most) * requirement
        if of == "listed":
            row = listed(cap["list"], facts)
            assert row is not None
            stated = exact(row[cap["column"]])
            return stated if measure == "quantity" else stated * self.rates[currency]
        if of == "money":
            amount = exact(most["amount"]) * self.rates[most["currency"]]
            return amount / self.unit_value(facts) if measure == "quantity" else amount
        if facts.get(of) is None:
            return Fraction(0)
        figure = exact(most) * exact(facts[of])
        if of == "market_cap":
            return figure / self.local_price(facts) if measure == "quantity" else figure * self.rates[facts["currency"]]
        return figure if measure == "quantity" else figure * self.unit_value(facts)


@dataclass
class Basket:
    """What one schedule governs at one agreement, facility or reserve; ``currency`` is the one it is read in."""

    name: str
    schedule: str
    currency: str
    pairs: list[int]
    posted: list[tuple[int, Fraction, Fraction, int]]
    """Asset, quantity, factor, and row of what lies there."""
    requirement: Fraction


@dataclass
class GroupRows:
    """Pairs that a group shuts, or its rows."""

    shut: set[int]
    rows: list[LimitRow]


def whole(value: Cell) -> int | None:
    return None if value is None or value != value else int(value)


def limits_in(schedule: Mapping[str, Any] | pd.DataFrame) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(schedule, pd.DataFrame):
        return [(limit["label"], limit) for limit in schedule.get("limits", [])]
    measures = {"max_quantity": "quantity", "max_value": "market_value"}
    return [
        (column, {"measure": measure, "column": column, "of": "listed", "max": None, "list": schedule})
        for column, measure in measures.items()
        if column in schedule.columns
    ]
