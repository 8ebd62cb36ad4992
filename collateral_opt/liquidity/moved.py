"""A book under a stress, and the changes that further moves of risk factors make to it: thousands at a time.

The stress is projected once. A scenario's moves come on top of it: values move with the links and sensitivities, margin
with the values and the responses, and calls follow from margin as in a projection, agreement by agreement.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import Finding, UsageError
from collateral_opt.liquidity.factors import (
    LOWEST,
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
from collateral_opt.liquidity.projection import (
    DECIMALS,
    Asked,
    Flow,
    Stock,
    Stressed,
    as_holdings,
    book_of,
    made_calls,
    stressed,
)
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
    """The calls that a stress can make, in the order of their agreements; each comes of one of ``legs``.

    ``kind`` [calls]: vm, im or (of both) all. ``receipts`` [calls]: the holding that counts what is received; empty
    where it is not counted. ``fixed`` [calls] is asked for besides, and ``rate`` is that of the call's currency.
    """

    ids: tuple[str, ...]
    legs: tuple[Flow | Stock, ...]
    receipts: tuple[str, ...]
    fixed: Floats
    rate: Floats

    @property
    def agreement(self) -> tuple[str, ...]:
        return tuple(leg.agreement for leg in self.legs)

    @property
    def kind(self) -> tuple[str, ...]:
        return tuple(leg.margin_type or ("vm" if isinstance(leg, Stock) else "all") for leg in self.legs)


@dataclass(frozen=True, eq=False)
class Moved:
    """What a book under a stress becomes as factors move; arrays are by position, asset or facility, as named.

    ``book`` has every call that can be made, each of its median amount, so that a scenario is a change of figures.
    Positions' amounts are in base currency: ``value`` today, ``variation`` and ``initial`` the stress's call for
    variation margin and stressed initial margin, ``today`` the initial margin that is there; all 0 where nothing is
    called. ``betas`` [positions x factors] contain the positions' own; ``delta`` and ``gamma`` likewise, ``delta`` at
    the point to which the stress has moved the factor. ``lowest`` [positions]: no move is below, 0 at most.
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
    lowest: Floats
    margins: tuple[tuple[Response, Bools], ...]
    assets: tuple[str, ...]
    prices: Floats
    asset_betas: Floats
    facilities: tuple[tuple[Response, float], ...] = ()
    kept: Mapping[str, float] = field(default_factory=dict)
    """The book's own calls, due in every scenario: amounts in base currency."""
    findings: tuple[Finding, ...] = ()
    """What is odd about the stress."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that an answer depends on."""
        arrays = [
            self.value, self.variation, self.initial, self.today, self.betas, self.delta, self.gamma,
            self.lowest, self.prices, self.asset_betas, self.calls.fixed, self.calls.rate, self.agreement,
        ]  # fmt: skip
        head = json.dumps(
            [
                self.book.digest, self.generator.digest, self.calls.ids, list(map(repr, self.calls.legs)),
                self.calls.receipts, self.assets, [[str(r), m.tolist()] for r, m in self.margins],
                [[str(r), c] for r, c in self.facilities],
            ]
        )  # fmt: skip
        return hashlib.sha256(head.encode() + b"".join(array.tobytes() for array in arrays)).hexdigest()

    def amounts(self, moves: Floats) -> Floats:
        """Calls [scenarios x calls], in the calls' currencies, 0 where none is made."""
        return self.asked(moves)[0]

    def asked(self, moves: Floats) -> tuple[Floats, Floats]:
        """What is called and what is received [scenarios x calls], in the calls' currencies, 0 where nothing is."""
        variation, initial = self._margins(moves)
        paid, received = np.zeros((2, len(moves), len(self.calls.ids)))
        for at, leg in enumerate(self.calls.legs):
            mine = np.flatnonzero(self.agreement == self._place[at])
            rate, fixed = float(self.calls.rate[at]), float(self.calls.fixed[at])
            if isinstance(leg, Stock):
                parts = initial[:, mine] if leg.exposure.of_them is not None else -variation[:, mine]
                change = np.round(_summed(parts) / rate + fixed, DECIMALS)
                moved = [leg.after(float(one)) for one in change]
                paid[:, at] = [float(one.deliver) for one in moved]
                received[:, at] = [float(one.receive) for one in moved]
                continue
            parts = np.zeros((len(moves), len(mine)))
            parts += variation[:, mine] if leg.variation else 0.0
            parts += initial[:, mine] if leg.initial else 0.0
            total = _summed(np.maximum(parts, 0.0) if leg.each else parts) / rate + fixed
            paid[:, at] = np.maximum(total, 0.0)
            received[:, at] = np.maximum(-total, 0.0)
            if leg.each:
                received[:, at] += _summed(np.maximum(-parts, 0.0)) / rate
        return np.where(paid < LEAST, 0.0, paid), np.where(received < LEAST, 0.0, received)

    @cached_property
    def _place(self) -> Ints:
        """By call the number of its agreement among those of the positions."""
        names = list(dict.fromkeys(self.calls.agreement))
        return np.array([names.index(name) for name in self.calls.agreement], dtype=np.int64)

    def _margins(self, moves: Floats) -> tuple[Floats, Floats]:
        """Calls for variation margin and for more initial margin [scenarios x positions], in base currency."""
        gained = self.value * np.maximum(relative(moves, self.betas), self.lowest)
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
        amounts, received = self.asked(moves)
        counted = [(at, name) for at, name in enumerate(self.calls.receipts) if name]
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
                    quantities={name: float(received[at, k]) for k, name in counted},
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
        UsageError: the file has no generator, or something is named that is not there.
        BookError: the exposures, or the stressed book, have an error.
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
    return _Builder(stressed(book, stress, file), generator, links, responses).built()


def _summed(parts: Floats) -> Floats:
    """The sums of rows, in the columns' order, so that their digits do not depend on how many rows there are."""
    total = np.zeros(len(parts))
    for column in parts.T:
        total += column
    return total


def _usual(amounts: Floats) -> float:
    """The median of those above 0, at least 1; 1 where there are none."""
    some = amounts[amounts > 0]
    return round(max(float(np.median(some)), 1.0), 2) if len(some) else 1.0


class _Builder:
    def __init__(
        self, under: Stressed, generator: Generator, links: Sequence[Link], responses: Sequence[Response]
    ) -> None:
        self.stressed, self.generator, self.links, self.responses = under, generator, links, responses
        self.desk, self.book = under.desk, under.desk.book
        self.named = under.positions
        self.positions = self.named.frame
        self.wrong: list[str] = []

    def built(self) -> Moved:
        margins, kept = self.stressed.margins, self.stressed.kept
        rate: Floats = self.desk.rate.astype(np.float64)
        delta, gamma = self._sensitivities(rate)
        assets = self.book.assets
        held = assets["price"].notna().to_numpy(dtype=bool) & (assets["asset_type"] != "cash").to_numpy(dtype=bool)
        betas, asset_betas = self._betas(held)
        responding = tuple(
            (one, self.named.named(one.initial_margin, self.wrong.append))
            for one in self.responses
            if one.initial_margin is not None
        )
        facilities = self._facilities()
        if self.wrong:
            raise UsageError("\n".join(dict.fromkeys(self.wrong)))
        variable = np.any((betas != 0) | (delta != 0) | (gamma != 0), axis=1)
        legs = self._legs(variable, np.any([variable & False, *(named for _, named in responding)], axis=0))
        names = list(dict.fromkeys(leg.agreement for leg in legs))
        place = [names.index(name) if name in names else -1 for name in self.positions["agreement_id"]]
        agreement = np.array(place, dtype=np.int64)

        def amounts(figures: Floats) -> Floats:
            return np.where(agreement >= 0, np.nan_to_num(figures) * rate, 0.0)

        found = Moved(
            name=self.stressed.stress.name,
            book=self.book,
            generator=self.generator,
            calls=self._calls(legs),
            agreement=agreement,
            value=amounts(self.stressed.moves.before),
            variation=amounts(margins.variation),
            initial=amounts(margins.initial),
            today=amounts(margins.initial_before),
            betas=betas,
            delta=delta,
            gamma=gamma,
            lowest=np.minimum(0.0, LOWEST - np.minimum(0.0, self.stressed.moves.share)),
            margins=responding,
            assets=tuple(assets["asset_id"]),
            prices=assets["price"].to_numpy(dtype=np.float64, copy=True),
            asset_betas=asset_betas,
            facilities=facilities,
            kept={
                name: float(amount) * self.book.rates[currency]
                for name, amount, currency in kept[["call_id", "amount", "currency"]].itertuples(index=False)
            },
            findings=self.stressed.projection().findings,
        )
        return self._with_calls(found, kept)

    def _legs(self, variable: Bools, responding: Bools) -> list[Flow | Stock]:
        """What is or can be called; ``variable`` positions have values, ``responding`` ones margin that moves."""
        desk, margins = self.desk, self.stressed.margins
        here = [one.leg for one in desk.legs(margins)]
        return [leg for leg in desk.legs_of(margins.added) if leg in here or self._moves(leg, variable, responding)]

    def _moves(self, leg: Flow | Stock, variable: Bools, responding: Bools) -> bool:
        """Whether what the leg comes to depends on the factors."""
        rows = self.desk.rows.get(leg.agreement, np.zeros(0, dtype=np.int64))
        is_initial = leg.initial if isinstance(leg, Flow) else leg.exposure.of_them is not None
        is_variation = leg.variation if isinstance(leg, Flow) else not is_initial
        return bool((is_variation and variable[rows].any()) or (is_initial and responding[rows].any()))

    def _calls(self, legs: Sequence[Flow | Stock]) -> Calls:
        added = self.stressed.margins.added
        fixed = [leg.added if isinstance(leg, Flow) else self.desk.added_to(leg, added) for leg in legs]
        return Calls(
            ids=("",) * len(legs),
            legs=tuple(legs),
            receipts=("",) * len(legs),
            fixed=np.array(fixed, dtype=np.float64),
            rate=np.array([self.book.rates[leg.currency] for leg in legs], dtype=np.float64),
        )

    def _with_calls(self, found: Moved, kept: pd.DataFrame) -> Moved:
        """In the book all calls and receipts that there can be, each of its median over the first scenarios."""
        pilot = found.asked(draw(self.generator, 0, PILOT))
        pays, gets = ([_usual(column) for column in side.T] for side in pilot)
        usual = [Asked(leg, pay, got) for leg, pay, got in zip(found.calls.legs, pays, gets, strict=True)]
        made = made_calls(self.book, usual, kept)
        counts = self.stressed.file.receipts == "count"
        holdings = as_holdings(self.book, usual if counts else ())
        receipts = tuple(holdings["holding_id"]) if counts else found.calls.receipts
        calls = replace(found.calls, ids=tuple(made["call_id"]), receipts=receipts)
        return replace(found, calls=calls, book=book_of(self.book, kept, made, holdings))

    def _sensitivities(self, rate: Floats) -> tuple[Floats, Floats]:
        """Delta and gamma [positions x factors] in base currency, delta where the stress has moved the factor to."""
        shape = len(self.positions), len(self.generator.names)
        delta, gamma = np.zeros(shape), np.zeros(shape)
        row = {name: at for at, name in enumerate(self.positions["position_id"])}
        column = {name: at for at, name in enumerate(self.generator.names)}
        table = self.book.sensitivities[["position_id", "factor", "delta", "gamma"]]
        for position, factor, first, second in table.itertuples(index=False, name=None):
            if factor in column and position in row:
                at = row[position], column[factor]
                delta[at], gamma[at] = first * rate[row[position]], second * rate[row[position]]
        for shock in self.stressed.stress.shocks:
            if shock.factor in column and shock.by is not None:
                delta[:, column[shock.factor]] += gamma[:, column[shock.factor]] * float(shock.by)
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
