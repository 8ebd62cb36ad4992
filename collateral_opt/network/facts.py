"""What a book says about assets, agreements, holdings and calls, as typed arrays in the order of identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.eligibility import Eligibility
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Assets, Bools, Floats, Ints, Kind, Sources, Uses

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

    @cached_property
    def _issuers(self) -> tuple[Ints, Ints, dict[str, int]]:
        """Issuers and their parents as codes (-1 is unknown), so that a family is a small set of integers."""
        names = [*self.asset_frame["issuer"].tolist(), *self.asset_frame["issuer_parent"].tolist()]
        code_of = {name: code for code, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
        codes = np.array([code_of.get(name, -1) for name in names], dtype=np.int64)
        return codes[: len(self.assets.ids)], codes[len(self.assets.ids) :], code_of

    def wrong_way(self, family: tuple[str | None, ...], schedule: str) -> Bools:
        """Per asset: refused under ``schedule`` because someone of ``family`` issued it."""
        issuer, parent, code_of = self._issuers
        if self.book.schedules[schedule].wrong_way == "allow":
            return np.zeros(len(issuer), dtype=bool)
        members = [code_of[name] for name in family if name in code_of]
        return np.isin(issuer, members) | np.isin(parent, members)


def gather(book: Book) -> Facts:
    """The facts of ``book``; assets that are not held, posted or produced cannot play a part and are left out."""
    asset_frame, assets = _assets(book)
    agreements = _agreements(book)
    calls = book.calls.sort_values("call_id", ignore_index=True)
    reserves = book.reserves.sort_values("reserve_id", ignore_index=True)
    facilities = book.facilities.sort_values("facility_id", ignore_index=True)
    uses = _uses(book, calls, reserves, facilities, agreements)
    return Facts(
        book=book,
        asset_frame=asset_frame,
        assets=assets,
        agreements=agreements,
        facilities=facilities,
        sources=_sources(book, assets, facilities, uses),
        uses=uses,
        terms=_terms(book, calls, reserves, facilities, agreements),
        eligibility=Eligibility(book, asset_frame),
    )


def positions(ids: Sequence[str], wanted: Iterable[str]) -> Ints:
    """Where each of ``wanted`` stands in ``ids``."""
    at = {name: i for i, name in enumerate(ids)}
    return np.array([at[name] for name in wanted], dtype=np.int64)


def _assets(book: Book) -> tuple[pd.DataFrame, Assets]:
    in_play = book.assets["asset_id"].isin(book.holdings["asset_id"])
    in_play |= book.assets["asset_id"].isin(book.posted["asset_id"])
    in_play |= book.assets["asset_id"].isin(book.facilities["gives"])
    order = book.assets.loc[in_play, "asset_id"].sort_values().index.to_numpy()
    frame = book.assets.iloc[order].reset_index(drop=True)
    rates = [book.rates[currency] for currency in frame["currency"]]
    least = _figures(frame["min_denomination"].fillna(0.0)) if "min_denomination" in frame else np.zeros(len(frame))
    return frame, Assets(
        ids=frame["asset_id"].tolist(),
        unit_value=book.unit_values[order],
        price=_figures(frame["price"]),
        price_factor=_figures(frame["price_factor"]),
        rate=np.array(rates, dtype=np.float64),
        lot=book.lot_sizes[order],
        min_quantity=least,
        is_cash=(frame["asset_type"] == "cash").to_numpy(dtype=bool),
    )


def _agreements(book: Book) -> Agreements:
    frame = book.agreements.sort_values("agreement_id", ignore_index=True)
    return Agreements(
        ids=frame["agreement_id"].tolist(),
        schedule=frame["schedule"].tolist(),
        currency=frame["base_currency"].tolist(),
        cash_return_bps=_figures(frame["cash_return_bps"]),
        min_line_value=_figures(frame["min_line_value"]),
        counterparty=frame["counterparty"].tolist(),
        counterparty_parent=frame["counterparty_parent"].tolist(),
    )


def _as_of(book: Book) -> int:
    """The book's time in nanoseconds of UTC."""
    return int(pd.Timestamp(book.settings.as_of).value)


def _hours(column: pd.Series[float]) -> Ints:
    """Hours in nanoseconds."""
    return np.rint(_figures(column) * NANOSECONDS_PER_HOUR).astype(np.int64)


def _takers(facilities: pd.DataFrame) -> pd.DataFrame:
    """The facilities that take something."""
    return facilities[facilities["takes"].notna()]


def _given_currency(book: Book, facilities: pd.DataFrame) -> list[str]:
    currency = dict(zip(book.assets["asset_id"], book.assets["currency"], strict=True))
    return [currency[asset] for asset in facilities["gives"]]


def _capacities(book: Book, facilities: pd.DataFrame) -> list[Fraction]:
    """The most each facility can produce, in base currency."""
    currencies = _given_currency(book, facilities)
    return [exact(c) * exact(book.rates[k]) for c, k in zip(facilities["capacity"], currencies, strict=True)]


def _sources(book: Book, assets: Assets, facilities: pd.DataFrame, uses: Uses) -> Sources:
    holdings = book.holdings.sort_values("holding_id", ignore_index=True)
    as_of = _as_of(book)
    ready = np.where(holdings["ready_at"].isna(), as_of, _nanoseconds(holdings["ready_at"]))
    given = positions(assets.ids, facilities["gives"])
    capacity = _capacities(book, facilities)
    # What is paid once weighs like a yearly rate over the days that a posting is expected to stay.
    once = book.settings.day_count / book.settings.horizon_days
    taker = {identifier: uses.asking + k for k, identifier in enumerate(_takers(facilities)["facility_id"])}
    return Sources(
        ids=[*holdings["holding_id"], *facilities["facility_id"]],
        asset=np.concatenate([positions(assets.ids, holdings["asset_id"]), given]),
        quantity=np.concatenate(
            [_figures(holdings["quantity"]), np.array([float(c) for c in capacity]) / assets.unit_value[given]]
        ),
        capacity=[*([None] * len(holdings)), *capacity],
        deliverable_at=np.concatenate(
            [np.maximum(ready, as_of) + _hours(holdings["settle_hours"]), as_of + _hours(facilities["access_hours"])]
        ),
        cost_bps=np.concatenate(
            [
                _figures(holdings["cost_bps"]),
                _figures(facilities["cost_bps"]) + _figures(facilities["one_off_bps"]) * once,
            ]
        ),
        funded_by=np.array(
            [*([-1] * len(holdings)), *(taker.get(k, -1) for k in facilities["facility_id"])], dtype=np.int64
        ),
    )


def _uses(
    book: Book, calls: pd.DataFrame, reserves: pd.DataFrame, facilities: pd.DataFrame, agreements: Agreements
) -> Uses:
    agreement = positions(agreements.ids, calls["agreement_id"])
    rates = {currency: exact(rate) for currency, rate in book.rates.items()}
    takers = _takers(facilities)
    # Calls without a priority are served after every stated one, all alike; reserves after all calls.
    _, rank = np.unique(_figures(calls["priority"].fillna(np.inf)), return_inverse=True)
    asked = [(a, c) for frame in (calls, reserves) for a, c in zip(frame["amount"], frame["currency"], strict=True)]
    nothing_more = len(reserves) + len(takers)
    return Uses(
        ids=[*calls["call_id"], *reserves["reserve_id"], *takers["facility_id"]],
        kind=np.repeat([Kind.CALL, Kind.RESERVE, Kind.FACILITY], [len(calls), len(reserves), len(takers)]).astype(
            np.int8
        ),
        agreement=np.concatenate([agreement, np.full(nothing_more, -1)]),
        schedule=[
            *(
                own if own is not None else agreements.schedule[a]
                for own, a in zip(calls["schedule"].tolist(), agreement.tolist(), strict=True)
            ),
            *reserves["schedule"],
            *takers["takes"],
        ],
        required=[*(exact(a) * rates[c] for a, c in asked), *_capacities(book, takers)],
        priority=np.concatenate([rank, np.full(len(reserves), rank.max(initial=-1) + 1)]).astype(np.int64),
        min_line=[
            *(exact(agreements.min_line_value[a]) * rates[agreements.currency[a]] for a in agreement.tolist()),
            *([Fraction(0)] * nothing_more),
        ],
    )


def _terms(
    book: Book, calls: pd.DataFrame, reserves: pd.DataFrame, facilities: pd.DataFrame, agreements: Agreements
) -> Terms:
    agreement = positions(agreements.ids, calls["agreement_id"]).tolist()
    as_of = pd.Timestamp(book.settings.as_of)
    as_of_date = pd.Timestamp(book.settings.as_of.date())
    takers = _takers(facilities)
    access = _hours(takers["access_hours"])
    ready = [(as_of + pd.Timedelta(hours=h)).tz_localize(None).normalize().value for h in takers["access_hours"]]
    nobody: list[tuple[str | None, ...]] = [()] * len(reserves)
    return Terms(
        currency=[
            *(agreements.currency[a] for a in agreement),
            *reserves["currency"],
            *_given_currency(book, takers),
        ],
        margin_type=[*calls["margin_type"], *([None] * (len(reserves) + len(takers)))],
        family=[
            *(agreements.family(a) for a in agreement),
            *nobody,
            *((name,) for name in takers["counterparty"]),
        ],
        open_ended=np.concatenate(
            [calls["due"].isna().to_numpy(dtype=bool), np.ones(len(reserves), bool), np.zeros(len(takers), bool)]
        ),
        due=np.concatenate([_nanoseconds(calls["due"]), np.zeros(len(reserves), np.int64), _as_of(book) + access]),
        last_day=np.concatenate(
            [
                _nanoseconds(calls["due_date"].fillna(as_of_date)),
                np.full(len(reserves), as_of_date.value),
                np.array(ready, dtype=np.int64),
            ]
        ),
    )


def _figures(column: pd.Series[float]) -> Floats:
    figures: Floats = np.asarray(column, dtype=np.float64)
    return figures


def _nanoseconds(times: pd.Series[pd.Timestamp]) -> Ints:
    return times.to_numpy(dtype="datetime64[ns]").astype(np.int64)
