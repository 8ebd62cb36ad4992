"""A book under a stress, and the changes that further moves of risk factors make to it: thousands at a time.

The stress is projected once. A scenario's moves come on top of it: values move with the links and sensitivities, margin
with the values and the responses, and calls follow from margin as in a projection, agreement by agreement.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.factors import (
    Generator,
    Link,
    Response,
    draw,
    excess,
    read_generator,
    read_links,
    read_responses,
    relative,
    require_factors,
)
from collateral_opt.liquidity.naming import Positions
from collateral_opt.liquidity.projection import project, under_stress
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.stress import Stress, StressFile
from collateral_opt.network.network import Bools, Floats, Ints
from collateral_opt.scenarios.change import Change
from collateral_opt.scenarios.draft import Draft

PILOT = 64
"""Scenarios whose median says how large a call is in the book that all of them are changes of."""
LEAST = 0.005
"""Less than half a minor unit is no call."""


@dataclass(frozen=True, eq=False)
class Calls:
    """The calls that a stress can make, in the order of their identifiers.

    ``nets`` [calls]: what is summed, of ``kind`` vm, im or both; ``each``: position by position, without netting.
    ``fixed`` [calls] is asked for besides, in the call's currency.
    """

    ids: tuple[str, ...]
    agreement: tuple[str, ...]
    kind: tuple[str, ...]
    each: Bools
    fixed: Floats
    rate: Floats


@dataclass(frozen=True, eq=False)
class Moved:
    """What a book under a stress becomes as factors move; arrays are by position, asset or facility, as named.

    ``book`` has every call that can be made, each of its median amount, so that a scenario is a change of figures.
    Positions' amounts are in base currency: ``value`` today, ``variation`` and ``initial`` the stress's call for
    variation margin and stressed initial margin, ``today`` the initial margin that is there; all 0 where nothing is
    called. ``betas`` [positions x factors] contain the positions' own; ``delta`` and ``gamma`` likewise.
    """

    name: str
    book: Book
    generator: Generator
    calls: Calls
    agreement: Ints
    value: Floats
    variation: Floats
    initial: Floats
    today: Floats
    betas: Floats
    delta: Floats
    gamma: Floats
    margins: tuple[tuple[Response, Bools], ...]
    assets: tuple[str, ...]
    prices: Floats
    asset_betas: Floats
    facilities: tuple[tuple[Response, float], ...] = ()
    kept: Mapping[str, float] = field(default_factory=dict)
    """The calls due in every scenario, of the book and of exposures without positions: amounts in base currency."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that an answer depends on."""
        arrays = [
            self.value, self.variation, self.initial, self.today, self.betas, self.delta, self.gamma,
            self.prices, self.asset_betas, self.calls.fixed, self.calls.rate, self.agreement,
        ]  # fmt: skip
        head = json.dumps(
            [
                self.book.digest, self.generator.digest, self.calls.ids, self.calls.agreement, self.calls.kind,
                self.calls.each.tolist(), self.assets, [[str(r), m.tolist()] for r, m in self.margins],
                [[str(r), c] for r, c in self.facilities],
            ]
        )  # fmt: skip
        return hashlib.sha256(head.encode() + b"".join(array.tobytes() for array in arrays)).hexdigest()

    def amounts(self, moves: Floats) -> Floats:
        """Calls [scenarios x calls], in the calls' currencies, 0 where none is made."""
        margined = np.flatnonzero(self.agreement >= 0)
        variation, initial = self._margins(moves)
        found = np.zeros((len(moves), len(self.calls.ids)))
        for at, (kind, each) in enumerate(zip(self.calls.kind, self.calls.each.tolist(), strict=True)):
            mine = margined[self.agreement[margined] == self._place[at]]
            parts = np.zeros((len(moves), len(mine)))
            if kind in ("vm", "all"):
                parts += variation[:, mine]
            if kind in ("im", "all"):
                parts += initial[:, mine]
            # In the positions' order, so that the digits do not depend on how many scenarios there are.
            total = np.zeros(len(moves))
            for column in (np.maximum(parts, 0.0) if each else parts).T:
                total += column
            found[:, at] = np.maximum(0.0, total / self.calls.rate[at] + self.calls.fixed[at])
        return np.where(found < LEAST, 0.0, found)

    @cached_property
    def _place(self) -> Ints:
        """By call the number of its agreement among those of the positions."""
        names = list(dict.fromkeys(self.calls.agreement))
        return np.array([names.index(name) for name in self.calls.agreement], dtype=np.int64)

    def _margins(self, moves: Floats) -> tuple[Floats, Floats]:
        """Calls for variation margin and for more initial margin [scenarios x positions], in base currency."""
        gained = self.value * relative(moves, self.betas)
        for factor in range(moves.shape[1]):
            move = moves[:, factor, None]
            if self.delta[:, factor].any() or self.gamma[:, factor].any():
                gained = gained + self.delta[:, factor] * move + self.gamma[:, factor] * move**2 / 2
        times = np.ones((len(moves), len(self.value)))
        for response, named in self.margins:
            times[:, named] = (1 + float(response.slope or 0) * excess(moves, self.generator, response))[:, None]
        return self.variation - gained, self.initial * times - self.today

    def changes(self, moves: Floats, first: int = 0) -> Iterator[tuple[Change, dict[str, float]]]:
        """For each row of ``moves`` the change of :attr:`book`, and what it calls, in base currency, by call."""
        amounts = self.amounts(moves)
        falls = 1 + relative(moves, self.asset_betas)
        left = [np.where(excess(moves, self.generator, r) > 0, float(r.keep or 0), 1.0) for r, _ in self.facilities]
        moving = np.flatnonzero(np.any(self.asset_betas != 0, axis=1)).tolist()
        for at in range(len(moves)):
            capacities: dict[str, float] = {}
            for (response, capacity), share in zip(self.facilities, left, strict=True):
                name = str(response.facility)
                capacities[name] = min(capacities.get(name, capacity), capacity * float(share[at]))
            called = dict(zip(self.calls.ids, amounts[at].tolist(), strict=True))
            yield (
                Change(
                    name=str(first + at),
                    calls=called,
                    prices={self.assets[k]: float(self.prices[k] * falls[at, k]) for k in moving},
                    capacities=capacities,
                ),
                dict(zip(self.calls.ids, (amounts[at] * self.calls.rate).tolist(), strict=True)),
            )

    @cached_property
    def packed(self) -> bytes:
        """All of it, to travel."""
        return pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL)


def moved(book: Book, stress: Stress, file: StressFile, *, seed: int | None = None) -> Moved:
    """``book`` under ``stress``, ready to be moved by the factors of ``file``; ``seed`` goes before the generator's.

    Raises:
        UsageError: the file has no generator or links, something is named that is not there, or an agreement is called
            by its exposure or pays what is received, which only a projection knows.
        BookError: the stressed book has an error.
    """
    sections = file.sections
    if "generator" not in sections:
        raise UsageError(
            "the stress file has no generator. Write `generator:` and below it factors with their volatilities."
        )
    form = sections["generator"]
    generator = read_generator(
        {**form, "seed": seed} if seed is not None and isinstance(form, dict) else form, file.folder
    )
    links, responses = read_links(sections.get("links", ())), read_responses(sections.get("response", ()))
    named = {link.factor: "a link" for link in links} | {one.factor: "a response" for one in responses}
    require_factors(named, generator)
    if file.receipts == "count":
        raise UsageError("receipts: count is not for many scenarios: write receipts: ignore, or project one stress.")
    projection = project(book, stress, file)
    return _Builder(book, stress, file, projection, generator, links, responses).built()


class _Builder:
    def __init__(
        self,
        book: Book,
        stress: Stress,
        file: StressFile,
        projection: Projection,
        generator: Generator,
        links: Sequence[Link],
        responses: Sequence[Response],
    ) -> None:
        self.stress, self.file, self.projection, self.generator = stress, file, projection, generator
        self.links, self.responses = links, responses
        self.book = projection.book
        exposures = file.exposures
        self.exposed: set[str] = set() if exposures is None else set(exposures["agreement_id"].dropna())
        own = set(under_stress(book, stress).calls["call_id"]) if file.calls == "keep" else set()
        calls = self.book.calls
        # Exposures without positions call the same, whatever moves.
        self.kept = calls[calls["call_id"].isin(own) | calls["agreement_id"].isin(self.exposed)]
        self.named = Positions(book)
        self.positions = self.named.frame
        self.wrong: list[str] = []

    def built(self) -> Moved:
        positions, rates = self.positions, self.book.rates
        rate: Floats = np.asarray(positions["currency"].map(rates), dtype=np.float64)
        shown = self.projection.positions
        margined = positions["agreement_id"].notna().to_numpy(dtype=bool)
        calls = self._calls()
        names = list(dict.fromkeys(calls.agreement))
        agreement = np.array([names.index(a) if a in names else -1 for a in positions["agreement_id"]], dtype=np.int64)

        def amounts(column: str) -> Floats:
            figures = shown[column].fillna(0.0).to_numpy(dtype=np.float64) * rate
            return np.where(margined, figures, 0.0)

        delta, gamma = self._sensitivities(rate)
        assets = self.book.assets
        held = assets["price"].notna().to_numpy(dtype=bool) & (assets["asset_type"] != "cash").to_numpy(dtype=bool)
        betas, asset_betas = self._betas(held)
        margins = tuple(
            (one, self.named.named(one.initial_margin, self.wrong.append))
            for one in self.responses
            if one.initial_margin is not None
        )
        facilities = self._facilities()
        if self.wrong:
            raise UsageError("\n".join(dict.fromkeys(self.wrong)))
        found = Moved(
            name=self.stress.name,
            book=self.book,
            generator=self.generator,
            calls=calls,
            agreement=agreement,
            value=amounts("market_value"),
            variation=amounts("variation_margin_call"),
            initial=amounts("stressed_initial_margin"),
            today=amounts("initial_margin"),
            betas=betas,
            delta=delta,
            gamma=gamma,
            margins=margins,
            assets=tuple(assets["asset_id"]),
            prices=assets["price"].to_numpy(dtype=np.float64, copy=True),
            asset_betas=asset_betas,
            facilities=facilities,
            kept={
                name: float(amount) * rates[currency]
                for name, amount, currency in self.kept[["call_id", "amount", "currency"]].itertuples(index=False)
            },
        )
        object.__setattr__(found, "book", self._with_calls(found))
        return found

    def _calls(self) -> Calls:
        """Every call that the positions' agreements can make."""
        agreements = self.book.agreements.set_index("agreement_id")
        with_positions = set(self.positions["agreement_id"].dropna())
        stock = sorted(with_positions & self.exposed)
        if stock:
            raise UsageError(
                f"{', '.join(stock)}: called by its exposure, which only the projection of one stress knows. "
                "Take its row out of the exposures, or its positions out of the book."
            )
        extra: dict[str, float] = {}
        for move in self.stress.initial_margin:
            if move.agreement is not None and move.agreement not in self.exposed:
                extra[move.agreement] = extra.get(move.agreement, 0.0) + float(move.add or 0)
        taken = set(self.kept["call_id"])
        rows: list[tuple[str, str, str, bool, float, float]] = []
        for name in sorted(with_positions | set(extra)):
            nets = agreements["nets"].get(name) or "margin_type"
            currency = agreements["base_currency"].get(name) or self.book.settings.base_currency
            rate, fixed = self.book.rates[currency], extra.get(name, 0.0)
            kinds = (("vm", 0.0), ("im", fixed)) if nets == "margin_type" else (("all", fixed),)
            for kind, more in kinds:
                call = name if kind == "all" else f"{name} {kind}"
                while call in taken:
                    call += " stress"
                rows.append((call, name, kind, nets == "none", more, rate))
        ids, agreement, kind_of, each, added, rate_of = zip(*rows, strict=True) if rows else ((),) * 6
        return Calls(
            ids=ids,
            agreement=agreement,
            kind=kind_of,
            each=np.array(each, dtype=bool),
            fixed=np.array(added, dtype=np.float64),
            rate=np.array(rate_of, dtype=np.float64),
        )

    def _with_calls(self, found: Moved) -> Book:
        """The stressed book with all calls that can be made, each of its median over the first scenarios."""
        calls = found.calls
        pilot = found.amounts(draw(self.generator, 0, PILOT))
        made = [pilot[:, k][pilot[:, k] > 0] for k in range(len(calls.ids))]
        rows = pd.DataFrame(
            {
                "call_id": list(calls.ids),
                "agreement_id": list(calls.agreement),
                "amount": [round(max(float(np.median(some)), 1.0), 2) if len(some) else 1.0 for some in made],
                "currency": [self._currency(name) for name in calls.agreement],
                "due": [self._due(name, kind) for name, kind in zip(calls.agreement, calls.kind, strict=True)],
                "margin_type": [None if kind == "all" else kind for kind in calls.kind],
            }
        )
        kept = self.kept.drop(columns="due_date", errors="ignore")
        frame = pd.concat([kept, rows], ignore_index=True) if len(kept) and len(rows) else rows if len(rows) else kept
        return self.book.replace(calls=frame)

    def _currency(self, agreement: str) -> str:
        named = self.book.agreements.set_index("agreement_id")["base_currency"].get(agreement)
        return named or self.book.settings.base_currency

    def _due(self, agreement: str, kind: str) -> pd.Timestamp | None:
        """As of a projection: what is said of the agreement, or else of the type; of both the earlier."""
        said, types = self.stress.due, ("vm", "im") if kind == "all" else (kind,)
        keys = [agreement] if agreement in said else [one for one in types if one in said]
        times = [at for key in keys if (at := said[key].of(self.book.settings.as_of)) is not None]
        return pd.Timestamp(min(times)).tz_convert("UTC") if times else None

    def _sensitivities(self, rate: Floats) -> tuple[Floats, Floats]:
        """Delta and gamma [positions x factors] in base currency."""
        shape = len(self.positions), len(self.generator.names)
        delta, gamma = np.zeros(shape), np.zeros(shape)
        row = {name: at for at, name in enumerate(self.positions["position_id"])}
        column = {name: at for at, name in enumerate(self.generator.names)}
        table = self.book.sensitivities[["position_id", "factor", "delta", "gamma"]]
        for position, factor, first, second in table.itertuples(index=False, name=None):
            if factor in column and position in row:
                at = row[position], column[factor]
                delta[at], gamma[at] = first * rate[row[position]], second * rate[row[position]]
        return delta, gamma

    def _betas(self, priced: Bools) -> tuple[Floats, Floats]:
        """Betas of positions, their own in them, and of assets that are ``priced`` [things x factors].

        A link of both need not be true of both; one that names single positions has no need of their own betas.
        """
        draft, own = Draft(self.book), self.positions["beta"].fillna(1.0).to_numpy(dtype=np.float64)
        on_positions, on_assets = np.zeros((2, len(self.links)), dtype=object)
        for at, link in enumerate(self.links):
            said: list[str] = []
            on_positions[at] = np.zeros(len(own), dtype=bool)
            on_assets[at] = np.zeros(len(priced), dtype=bool)
            if link.on != "collateral":
                on_positions[at] = self.named.named(link.of, said.append)
            if link.on != "positions":
                before = len(draft.wrong)
                on_assets[at] = draft.inside(link.of) & priced
                said += [text.removeprefix(": ") for text in draft.wrong[before:]]
            if not on_positions[at].any() and not on_assets[at].any():
                self.wrong += [f"links, line {at + 1}: {text}" for text in said]
        names = self.generator.names
        of_positions = np.zeros((len(own), len(names)))
        of_assets = np.zeros((len(priced), len(names)))
        for at, link in enumerate(self.links):
            factor = names.index(link.factor)
            of_positions[on_positions[at], factor] = link.beta * (1.0 if link.is_own else own[on_positions[at]])
            of_assets[on_assets[at], factor] = link.beta
        return of_positions, of_assets

    def _facilities(self) -> tuple[tuple[Response, float], ...]:
        capacity = dict(zip(self.book.facilities["facility_id"], self.book.facilities["capacity"], strict=True))
        found = []
        for one in self.responses:
            if one.facility is None:
                continue
            if one.facility not in capacity:
                self.wrong.append(f"a response names the facility {one.facility!r}, which is not in the book.")
                continue
            found.append((one, float(capacity[one.facility])))
        return tuple(found)
