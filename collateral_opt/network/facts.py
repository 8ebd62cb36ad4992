"""What a book says about assets, agreements, holdings and calls, as typed arrays in the order of identifiers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.eligibility import Eligibility
from collateral_opt.network.exact import exact
from collateral_opt.network.network import Assets, Bools, Floats, Ints, Sources, Uses

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


@dataclass(frozen=True)
class Calls:
    """Per call: margin type, and when it is due; ``due`` in nanoseconds of UTC, meaningless where ``open_ended``."""

    margin_type: Sequence[str | None]
    open_ended: Bools
    due: Ints
    last_day: Ints
    """The day, in nanoseconds, before which an asset delivered there must not mature."""


@dataclass(frozen=True)
class Facts:
    """Everything that the edges and limits of a network are made from."""

    book: Book
    asset_frame: pd.DataFrame
    assets: Assets
    agreements: Agreements
    calls: Calls
    sources: Sources
    uses: Uses
    eligibility: Eligibility

    @cached_property
    def _families(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Names as codes, so that a family is a small set of integers; -1 is unknown."""
        columns: list[Iterable[str | None]] = [
            self.asset_frame["issuer"].tolist(),
            self.asset_frame["issuer_parent"].tolist(),
            self.agreements.counterparty,
            self.agreements.counterparty_parent,
        ]
        lengths = np.cumsum([len(self.assets.ids)] * 2 + [len(self.agreements)])
        codes, _ = pd.factorize(np.array([name for column in columns for name in column], dtype=object))
        issuer, parent, counterparty, counterparty_parent = np.split(codes.astype(np.int64), lengths)
        return issuer, parent, counterparty, counterparty_parent

    def wrong_way(self, agreement: int, schedule: str) -> Bools:
        """Per asset: refused under ``schedule`` because the family of the agreement's counterparty issued it."""
        issuer, parent, counterparty, counterparty_parent = self._families
        if self.book.schedules[schedule].wrong_way == "allow":
            return np.zeros(len(issuer), dtype=bool)
        family = np.array([counterparty[agreement], counterparty_parent[agreement]])
        family = family[family >= 0]
        return np.isin(issuer, family) | np.isin(parent, family)


def gather(book: Book) -> Facts:
    """The facts of ``book``; assets that are neither held nor posted cannot play a part and are left out."""
    asset_frame, assets = _assets(book)
    agreements = _agreements(book)
    calls = book.calls.sort_values("call_id", ignore_index=True)
    return Facts(
        book=book,
        asset_frame=asset_frame,
        assets=assets,
        agreements=agreements,
        calls=_calls(book, calls),
        sources=_sources(book, assets),
        uses=_uses(book, calls, agreements),
        eligibility=Eligibility(book, asset_frame),
    )


def positions(ids: Sequence[str], wanted: Iterable[str]) -> Ints:
    """Where each of ``wanted`` stands in ``ids``."""
    at = {name: i for i, name in enumerate(ids)}
    return np.array([at[name] for name in wanted], dtype=np.int64)


def _assets(book: Book) -> tuple[pd.DataFrame, Assets]:
    in_play = book.assets["asset_id"].isin(book.holdings["asset_id"])
    in_play |= book.assets["asset_id"].isin(book.posted["asset_id"])
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


def _calls(book: Book, frame: pd.DataFrame) -> Calls:
    as_of_date = pd.Timestamp(book.settings.as_of.date())
    return Calls(
        margin_type=frame["margin_type"].tolist(),
        open_ended=frame["due"].isna().to_numpy(dtype=bool),
        due=_nanoseconds(frame["due"]),
        last_day=_nanoseconds(frame["due_date"].fillna(as_of_date)),
    )


def _sources(book: Book, assets: Assets) -> Sources:
    holdings = book.holdings.sort_values("holding_id", ignore_index=True)
    as_of = pd.Timestamp(book.settings.as_of).value
    ready = np.where(holdings["ready_at"].isna(), as_of, _nanoseconds(holdings["ready_at"]))
    settle = np.rint(_figures(holdings["settle_hours"]) * NANOSECONDS_PER_HOUR).astype(np.int64)
    return Sources(
        ids=holdings["holding_id"].tolist(),
        asset=positions(assets.ids, holdings["asset_id"]),
        quantity=_figures(holdings["quantity"]),
        deliverable_at=np.maximum(ready, as_of) + settle,
        cost_bps=_figures(holdings["cost_bps"]),
    )


def _uses(book: Book, calls: pd.DataFrame, agreements: Agreements) -> Uses:
    agreement = positions(agreements.ids, calls["agreement_id"])
    rates = {currency: exact(rate) for currency, rate in book.rates.items()}
    # Calls without a priority are served after every stated one, all alike.
    _, rank = np.unique(_figures(calls["priority"].fillna(np.inf)), return_inverse=True)
    return Uses(
        ids=calls["call_id"].tolist(),
        agreement=agreement,
        schedule=[
            own if own is not None else agreements.schedule[a]
            for own, a in zip(calls["schedule"].tolist(), agreement.tolist(), strict=True)
        ],
        required=[exact(a) * rates[c] for a, c in zip(calls["amount"], calls["currency"], strict=True)],
        priority=rank.astype(np.int64),
        min_line=[exact(agreements.min_line_value[a]) * rates[agreements.currency[a]] for a in agreement.tolist()],
    )


def _figures(column: pd.Series[float]) -> Floats:
    figures: Floats = np.asarray(column, dtype=np.float64)
    return figures


def _nanoseconds(times: pd.Series[pd.Timestamp]) -> Ints:
    return times.to_numpy(dtype="datetime64[ns]").astype(np.int64)
