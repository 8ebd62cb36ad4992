"""What a book says about assets, agreements, holdings and calls, as typed arrays in the order of identifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.settlement import Movements
from collateral_opt.network.eligibility import Eligibility
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Assets, Bools, Floats, Ints, Kind, Recallable, Sources, Uses
from collateral_opt.network.posted import PostedLine, by_agreement, posted_lines
from collateral_opt.network.rows import in_order, positions, rows
from eligibility_rules import Match

NANOSECONDS_PER_HOUR = 3_600_000_000_000


@dataclass(frozen=True)
class Agreements:
    """Per agreement: its schedule, the currency it is read in, what cash earns there, its least line, its owner."""

    ids: Sequence[str]
    schedule: Sequence[str]
    currency: Sequence[str]
    cash_return_bps: Floats
    min_line_value: Floats
    counterparty: Sequence[str | None]
    counterparty_parent: Sequence[str | None]
    required: Sequence[Fraction | None]
    """The total collateral value that each needs, in base currency; None: what is posted there plus its calls."""
    minimum_transfer: Sequence[Fraction]
    """In base currency: an excess below it is not called back."""
    max_lines: Floats
    """Most distinct assets a call; NaN: any number."""
    row: Ints
    """Where each stands in the book's table."""

    def __len__(self) -> int:
        return len(self.ids)

    def family(self, agreement: int) -> tuple[str | None, ...]:
        """Who counts as the counterparty of an agreement."""
        return self.counterparty[agreement], self.counterparty_parent[agreement]


@dataclass(frozen=True)
class Terms:
    """Per use: how its schedule is read, whose family is wrong-way, and until when it takes what.

    ``due`` is in nanoseconds of UTC, meaningless where ``open_ended``; an asset that matures before ``last_day`` (in
    nanoseconds) is not taken.
    """

    currency: Sequence[str]
    margin_type: Sequence[str | None]
    family: Sequence[tuple[str | None, ...]]
    open_ended: Bools
    due: Ints
    last_day: Ints


@dataclass(frozen=True)
class Facts:
    """Everything that the edges and limits of a network are made from."""

    book: Book
    asset_frame: pd.DataFrame
    assets: Assets
    agreements: Agreements
    facilities: pd.DataFrame
    sources: Sources
    uses: Uses
    terms: Terms
    eligibility: Eligibility
    families: Families
    posted: tuple[PostedLine, ...]
    movements: Movements

    def wrong_way(self, use: int) -> Bools:
        """Per asset: refused at ``use`` because someone of its taker's family issued it."""
        return self.families.wrong_way(self.terms.family[use], self.uses.schedule[use])

    @property
    def reoptimises(self) -> bool:
        """Whether what is posted may move."""
        return self.book.settings.scope == "reoptimise"


class Families:
    """Who issued what: asks whether an asset is of the family of whoever takes it."""

    def __init__(self, book: Book, asset_frame: pd.DataFrame) -> None:
        self._book = book
        self._frame = asset_frame

    @cached_property
    def _issuers(self) -> tuple[Ints, Ints, dict[str, int]]:
        """Issuers and their parents as codes (-1 is unknown), so that a family is a small set of integers."""
        names = [*self._frame["issuer"].tolist(), *self._frame["issuer_parent"].tolist()]
        code_of = {name: code for code, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
        codes = np.array([code_of.get(name, -1) for name in names], dtype=np.int64)
        return codes[: len(self._frame)], codes[len(self._frame) :], code_of

    def wrong_way(self, family: tuple[str | None, ...], schedule: str) -> Bools:
        """Per asset: refused under ``schedule`` because someone of ``family`` issued it."""
        issuer, parent, code_of = self._issuers
        if self._book.schedules[schedule].wrong_way == "allow":
            return np.zeros(len(issuer), dtype=bool)
        refused = np.zeros(len(issuer), dtype=bool)
        for member in {code_of[name] for name in family if name in code_of}:
            refused |= (issuer == member) | (parent == member)
        return refused


def gather(book: Book, near: Facts | None = None) -> Facts:
    """The facts of ``book``; assets that are not held, posted or produced cannot play a part and are left out.

    What comes of tables that ``near`` has too is taken over from there, and what schedules say of assets where it is
    the same.
    """

    def known(*made_of: str) -> Facts | None:
        """``near``, if it was gathered from these tables too: the very same objects."""
        same = near is not None and all(getattr(book, part) is getattr(near.book, part) for part in made_of)
        return near if same else None

    held = known("settings", "assets", "holdings", "posted", "facilities", "fx")
    asset_frame, assets = _assets(book) if held is None else (held.asset_frame, held.assets)
    named = known("settings", "agreements", "fx")
    agreements = _agreements(book) if named is None else named.agreements
    eligibility = Eligibility(book, asset_frame, None if near is None else near.eligibility)
    ruled = known("schedules")
    families = Families(book, asset_frame) if held is None or ruled is None else held.families
    moving = known("settings", "holdings", "agreements", "locations")
    movements = Movements(book) if moving is None else moving.movements
    given = known("facilities")
    facilities = in_order(book.facilities, "facility_id")[0] if given is None else given.facilities

    def counts(agreement: int) -> tuple[Bools, Match]:
        schedule, currency = agreements.schedule[agreement], agreements.currency[agreement]
        margin_type = eligibility.posted_margin_types.get(agreements.ids[agreement])
        matched = eligibility.match(schedule, currency, margin_type)
        return matched.eligible & ~families.wrong_way(agreements.family(agreement), schedule), matched

    lying = known("settings", "assets", "holdings", "posted", "facilities", "fx", "agreements", "schedules")
    if lying is not None and eligibility.posted_margin_types == lying.eligibility.posted_margin_types:
        posted = lying.posted
    else:
        posted = posted_lines(book, assets, agreements.ids, counts)
    rests = _rests(book, agreements, posted) if book.settings.scope == "reoptimise" else []
    asked = Asked(
        calls=in_order(book.calls, "call_id")[0],
        rests=rests,
        reserves=in_order(book.reserves, "reserve_id")[0],
        takers=_takers(facilities),
    )
    uses = _uses(book, asked, agreements, posted)
    nothing_comes_back = book.settings.scope != "reoptimise"
    if held is not None and moving is not None and nothing_comes_back and held.uses.label == uses.label:
        sources = held.sources
    else:
        sources = _sources(book, assets, facilities, uses, agreements, posted, movements)
    return Facts(
        book=book,
        asset_frame=asset_frame,
        assets=assets,
        agreements=agreements,
        facilities=facilities,
        sources=sources,
        uses=uses,
        terms=_terms(book, asked, agreements, eligibility),
        eligibility=eligibility,
        families=families,
        posted=posted,
        movements=movements,
    )


@dataclass(frozen=True)
class Rest:
    """What an agreement requires beside its calls: ``floor`` must stay there or be delivered, ``lies`` there now."""

    agreement: int
    floor: Fraction
    lies: Fraction


@dataclass(frozen=True)
class Asked:
    """Whatever takes something, in the order of uses."""

    calls: pd.DataFrame
    rests: Sequence[Rest]
    reserves: pd.DataFrame
    takers: pd.DataFrame


def _rests(book: Book, agreements: Agreements, posted: Sequence[PostedLine]) -> list[Rest]:
    """Of every agreement where something lies, or is required beyond its calls."""
    called: dict[int, Fraction] = defaultdict(Fraction)
    at = positions(agreements.ids, book.calls["agreement_id"]).tolist()
    for agreement, amount, currency in zip(at, book.calls["amount"], book.calls["currency"], strict=True):
        called[agreement] += exact(amount) * exact(book.rates[currency])
    lying = by_agreement(posted)
    found = []
    for agreement in range(len(agreements)):
        lies = sum((line.value_after_haircut for line in lying.get(agreement, ())), Fraction(0))
        required = agreements.required[agreement]
        floor = lies if required is None else max(Fraction(0), required - called[agreement])
        if 0 < lies - floor < agreements.minimum_transfer[agreement]:
            floor = lies
        if floor > 0 or agreement in lying:
            found.append(Rest(agreement, floor, lies))
    return found


def _assets(book: Book) -> tuple[pd.DataFrame, Assets]:
    named = {*book.holdings["asset_id"].tolist(), *book.posted["asset_id"].tolist(), *book.facilities["gives"].tolist()}
    ids = book.assets["asset_id"].tolist()
    order = sorted((at for at, name in enumerate(ids) if name in named), key=ids.__getitem__)
    frame = book.assets.take(order).reset_index(drop=True)
    price, price_factor = _figures(frame["price"]), _figures(frame["price_factor"])
    rate = np.array([book.rates[currency] for currency in frame["currency"].tolist()], dtype=np.float64)
    least = _figures(frame["min_denomination"]) if "min_denomination" in frame else np.zeros(len(frame))
    return frame, Assets(
        ids=[ids[at] for at in order],
        unit_value=price * price_factor * rate,
        price=price,
        price_factor=price_factor,
        rate=rate,
        lot=book.lot_sizes[order],
        min_quantity=np.where(np.isnan(least), 0.0, least),
        is_cash=np.array([kind == "cash" for kind in frame["asset_type"].tolist()], dtype=bool),
    )


def _agreements(book: Book) -> Agreements:
    frame, row = in_order(book.agreements, "agreement_id")
    return Agreements(
        ids=frame["agreement_id"].tolist(),
        schedule=frame["schedule"].tolist(),
        currency=frame["base_currency"].tolist(),
        cash_return_bps=_figures(frame["cash_return_bps"]),
        min_line_value=_figures(frame["min_line_value"]),
        counterparty=frame["counterparty"].tolist(),
        counterparty_parent=frame["counterparty_parent"].tolist(),
        required=[
            None if np.isnan(amount) else exact(amount) * exact(book.rates[currency])
            for amount, currency in rows(frame, "requirement", "base_currency")
        ],
        minimum_transfer=[
            exact(amount) * exact(book.rates[currency])
            for amount, currency in rows(frame, "minimum_transfer", "base_currency")
        ],
        max_lines=_figures(frame["max_lines"]),
        row=row,
    )


def _as_of(book: Book) -> int:
    """The book's time in nanoseconds of UTC."""
    return int(pd.Timestamp(book.settings.as_of).value)


def _hours(column: pd.Series[float]) -> Ints:
    """Hours in nanoseconds."""
    return np.rint(_figures(column) * NANOSECONDS_PER_HOUR).astype(np.int64)


def _takers(facilities: pd.DataFrame) -> pd.DataFrame:
    """The facilities that take something."""
    return facilities[facilities["takes"].notna()] if len(facilities) else facilities


def _given_currency(book: Book, facilities: pd.DataFrame) -> list[str]:
    gives = facilities["gives"].tolist()
    if not gives:
        return []
    given = book.assets[book.assets["asset_id"].isin(gives)]
    currency = dict(zip(given["asset_id"].tolist(), given["currency"].tolist(), strict=True))
    return [currency[asset] for asset in gives]


def _capacities(book: Book, facilities: pd.DataFrame) -> list[Fraction]:
    """The most each facility can produce, in base currency."""
    currencies = _given_currency(book, facilities)
    return [exact(c) * exact(book.rates[k]) for c, k in zip(facilities["capacity"], currencies, strict=True)]


def _sources(
    book: Book,
    assets: Assets,
    facilities: pd.DataFrame,
    uses: Uses,
    agreements: Agreements,
    posted: Sequence[PostedLine],
    movements: Movements,
) -> Sources:
    holdings, order = in_order(book.holdings, "holding_id")
    as_of = _as_of(book)
    settle = _hours(holdings["settle_hours"])
    given = positions(assets.at, facilities["gives"])
    capacity = _capacities(book, facilities)
    # What is paid once weighs like a yearly rate over the days that a posting is expected to stay.
    once = book.settings.day_count / book.settings.horizon_days
    taker = {uses.ids[k]: k for k in uses.facilities}
    parts = _movable_parts(posted, assets) if book.settings.scope == "reoptimise" else []
    movable = [posted[part.line] for part in parts]
    recallable = _recallable(parts, posted, holdings)
    first_recall = [
        movements.recall_start(int(agreements.row[line.agreement]), pd.Timestamp(book.settings.as_of)).value
        for line in movable
    ]
    rest_of = {int(uses.agreement[j]): j for j in range(uses.calls, uses.demands)}
    nothing = np.zeros(len(movable))
    return Sources(
        ids=[
            *holdings["holding_id"].tolist(),
            *facilities["facility_id"],
            *(f"{agreements.ids[line.agreement]} {assets.ids[line.asset]} {k + 1}" for k, line in enumerate(movable)),
        ],
        asset=np.concatenate(
            [
                positions(assets.at, holdings["asset_id"]),
                given,
                np.array([line.asset for line in movable], dtype=np.int64),
            ]
        ),
        quantity=np.concatenate(
            [
                _figures(holdings["quantity"]),
                np.array([float(c) for c in capacity]) / assets.unit_value[given],
                np.array([float(part.quantity) for part in parts]),
            ]
        ),
        capacity=[*([None] * len(holdings)), *capacity, *([None] * len(movable))],
        deliverable_at=np.concatenate(
            [
                movements.holding_starts()[order] + settle,
                as_of + _hours(facilities["access_hours"]),
                np.array(first_recall, dtype=np.int64) + recallable.wait,
            ]
        ),
        cost_bps=np.concatenate(
            [
                _figures(holdings["cost_bps"]),
                _figures(facilities["cost_bps"]) + _figures(facilities["one_off_bps"]) * once,
                nothing,
            ]
        ),
        funded_by=np.array(
            [
                *([-1] * len(holdings)),
                *(taker.get(k, -1) for k in facilities["facility_id"]),
                *(rest_of[line.agreement] for line in movable),
            ],
            dtype=np.int64,
        ),
        recallable=recallable,
    )


@dataclass(frozen=True)
class Part:
    """Whole lots of a posted row, or what is more than those."""

    line: int
    quantity: Fraction
    is_odd: bool


def _movable_parts(posted: Sequence[PostedLine], assets: Assets) -> list[Part]:
    """What may be recalled: of every row that is not locked its whole lots, and what is more than those."""
    parts = []
    for at, line in enumerate(posted):
        odd = line.quantity % exact(assets.lot[line.asset])
        whole = line.quantity - odd
        parts += [Part(at, q, is_odd) for q, is_odd in ((whole, False), (odd, True)) if q and not line.locked]
    return parts


def _recallable(parts: Sequence[Part], posted: Sequence[PostedLine], holdings: pd.DataFrame) -> Recallable:
    """What may be recalled; what leaving each there costs is worked out with the costs of pairs."""
    movable = [posted[part.line] for part in parts]
    at = {name: i for i, name in enumerate(holdings["holding_id"])}
    joins = np.array([-1 if line.holding_id is None else at[line.holding_id] for line in movable], dtype=np.int64)
    hours = np.array([line.recall_hours for line in movable])
    settle = _figures(holdings["settle_hours"])
    further = np.where(joins >= 0, settle[joins] if len(settle) else 0.0, 0.0)
    return Recallable(
        agreement=np.array([line.agreement for line in movable], dtype=np.int64),
        joins=joins,
        factor=[line.factor or Fraction(0) for line in movable],
        keep_bps=np.zeros(len(movable)),
        wait=np.rint((hours + further) * NANOSECONDS_PER_HOUR).astype(np.int64),
        line=np.array([part.line for part in parts], dtype=np.int64),
        odd=np.array([float(part.quantity) if part.is_odd else 0.0 for part in parts]),
    )


def _uses(book: Book, asked: Asked, agreements: Agreements, posted: Sequence[PostedLine]) -> Uses:
    calls, rests, reserves, takers = asked.calls, asked.rests, asked.reserves, asked.takers
    agreement = np.concatenate(
        [positions(agreements.ids, calls["agreement_id"]), np.array([r.agreement for r in rests], dtype=np.int64)]
    )
    rates = {currency: exact(rate) for currency, rate in book.rates.items()}
    min_line = [
        exact(least) * rates[c] for least, c in zip(agreements.min_line_value, agreements.currency, strict=True)
    ]
    # Calls without a priority are served after every stated one, all alike, and requirements with them; reserves last.
    stated = np.concatenate([_figures(calls["priority"]), np.full(len(rests), np.inf)])
    _, rank = np.unique(np.where(np.isnan(stated), np.inf, stated), return_inverse=True)
    amounts = [[exact(a) * rates[c] for a, c in rows(frame, "amount", "currency")] for frame in (calls, reserves)]
    movable: dict[int, Fraction] = defaultdict(Fraction)
    for line in posted:
        movable[line.agreement] += 0 if line.locked else line.value_after_haircut
    has_home = bool(rests) and any(not line.locked for line in posted)
    capacities = _capacities(book, takers)
    kinds = [Kind.CALL] * len(calls) + [Kind.AGREEMENT] * len(rests) + [Kind.RESERVE] * len(reserves)
    kinds += [Kind.FACILITY] * len(takers) + [Kind.HOME] * has_home
    nothing_more = len(reserves) + len(takers) + has_home
    required = [*amounts[0], *(r.floor - r.lies for r in rests), *amounts[1], *capacities]
    home = [sum((line.market_value for line in posted), Fraction(0))] * has_home
    return Uses(
        ids=[
            *calls["call_id"].tolist(),
            *(agreements.ids[r.agreement] for r in rests),
            *reserves["reserve_id"],
            *takers["facility_id"],
            *["home"] * has_home,
        ],
        kind=np.array(kinds, dtype=np.int8),
        agreement=np.concatenate([agreement, np.full(nothing_more, -1)]),
        schedule=[
            *(
                own if own is not None else agreements.schedule[a]
                for own, a in zip(calls["schedule"].tolist(), agreement[: len(calls)].tolist(), strict=True)
            ),
            *(agreements.schedule[r.agreement] for r in rests),
            *reserves["schedule"],
            *takers["takes"],
            *[""] * has_home,
        ],
        required=[*required, *home],
        priority=np.concatenate([rank, np.full(len(reserves), rank.max(initial=-1) + 1)]).astype(np.int64),
        min_line=[
            *(min_line[a] for a in agreement.tolist()),
            *([Fraction(0)] * nothing_more),
        ],
        extent=[
            *amounts[0],
            *(max(Fraction(0), r.floor - r.lies) + movable[r.agreement] for r in rests),
            *amounts[1],
            *capacities,
            *home,
        ],
    )


def _terms(book: Book, asked: Asked, agreements: Agreements, eligibility: Eligibility) -> Terms:
    calls, rests, reserves, takers = asked.calls, asked.rests, asked.reserves, asked.takers
    agreement = positions(agreements.ids, calls["agreement_id"]).tolist()
    as_of = pd.Timestamp(book.settings.as_of)
    today = np.datetime64(book.settings.as_of.date(), "ns")
    due, due_date = (calls[name].to_numpy(dtype="datetime64[ns]") for name in ("due", "due_date"))
    access = _hours(takers["access_hours"])
    ready = [(as_of + pd.Timedelta(hours=h)).tz_localize(None).normalize().value for h in takers["access_hours"]]
    nobody: list[tuple[str | None, ...]] = [()] * len(reserves)
    undated = len(rests) + len(reserves)
    return Terms(
        currency=[
            *(agreements.currency[a] for a in agreement),
            *(agreements.currency[r.agreement] for r in rests),
            *reserves["currency"],
            *_given_currency(book, takers),
        ],
        margin_type=[
            *calls["margin_type"],
            *(eligibility.posted_margin_types.get(agreements.ids[r.agreement]) for r in rests),
            *([None] * (len(reserves) + len(takers))),
        ],
        family=[
            *(agreements.family(a) for a in agreement),
            *(agreements.family(r.agreement) for r in rests),
            *nobody,
            *((name,) for name in takers["counterparty"]),
        ],
        open_ended=np.concatenate([np.isnat(due), np.ones(undated, bool), np.zeros(len(takers), bool)]),
        due=np.concatenate([due.astype(np.int64), np.zeros(undated, np.int64), _as_of(book) + access]),
        last_day=np.concatenate(
            [
                np.where(np.isnat(due_date), today, due_date).astype(np.int64),
                np.full(undated, today.astype(np.int64)),
                np.array(ready, dtype=np.int64),
            ]
        ),
    )


def _figures(column: pd.Series[float]) -> Floats:
    figures: Floats = np.asarray(column, dtype=np.float64)
    return figures
