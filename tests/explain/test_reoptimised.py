"""Where what is posted may move, and where pins and reserves go: figures of explanations against solving again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book, Change
from collateral_opt.explain.answered import Answered
from collateral_opt.explain.prices import price_of_source, price_of_use, relaxations
from collateral_opt.explain.records import Price
from collateral_opt.result import Result
from tests.explain.resolving import answers, solved

SEEDS = range(40, 56)


@pytest.fixture(scope="module")
def reoptimised() -> list[Answered]:
    """Answers to books in which what is posted may be recalled, and nothing is short."""
    found = answers(SEEDS, kinds=({"reoptimise": True},))
    return [Answered(result) for result in found if result.status != "short"]


def requiring(book: Book, agreement: str, more: float) -> Book:
    """``book`` in which an agreement requires so much more (base currency) than the figure that it states."""
    agreements = book.agreements
    mine = (agreements["agreement_id"] == agreement).to_numpy()
    rate = float(book.rates[agreements["base_currency"][mine].iloc[0]])
    return book.replace(agreements=agreements.assign(requirement=agreements["requirement"] + mine * (more / rate)))


def assert_holds(price: Price, sign: float, answered: Answered, at: Callable[[float], Book], size: float) -> int:
    """The book after a step within the range costs what the price says; how many steps were compared."""
    short, base = solved(answered.result.book)
    compared = 0
    for bps, holds, way in ((price.more_bps, price.holds_up, 1.0), (price.less_bps, price.holds_down, -1.0)):
        step = min(float("inf") if holds is None else holds, 0.3 * size)
        if bps is None or step < 1e-4 * size:
            continue
        missing, cost = solved(at(way * step))
        assert missing <= short + 1e-6 * size, price
        assert cost - base == pytest.approx(sign * way * bps * step, abs=1e-5 * size + 1e-7 * abs(base)), price
        compared += 1
    return compared


def test_a_call_costs_what_solving_again_says(reoptimised: list[Answered]) -> None:
    """What an agreement requires beside its calls stays: a figure of its own for all of it moves with the call."""
    compared: Counter[str] = Counter()
    for answered in reoptimised:
        book = answered.result.book
        agreements = book.agreements.set_index("agreement_id")
        for row in book.calls.head(3).to_dict("records"):
            call, agreement = row["call_id"], row["agreement_id"]
            use, rate = answered.use("call", call), float(book.rates[row["currency"]])
            size, states_its_own = float(answered.uses.required[use]), pd.notna(agreements["requirement"][agreement])

            def at(step: float, call: str = call, agreement: str = agreement, rate: float = rate) -> Book:
                grown = Change(calls={call: (size + step) / rate}).applied_to(book)  # noqa: B023
                return requiring(grown, agreement, step) if states_its_own else grown  # noqa: B023

            kind = "of its own" if states_its_own else "of its calls"
            compared[kind] += assert_holds(price_of_use(answered, use), 1.0, answered, at, size)
    assert min(compared["of its own"], compared["of its calls"]) >= 8


def test_what_an_agreement_requires_beside_its_calls_costs_what_solving_again_says(
    reoptimised: list[Answered],
) -> None:
    compared = 0
    for answered in reoptimised:
        uses, book = answered.uses, answered.result.book
        for use in range(uses.calls, uses.demands):
            size, name = float(uses.required[use]), uses.ids[use]
            if size > 0:

                def at(step: float, name: str = name, book: Book = book) -> Book:
                    return requiring(book, name, step)

                compared += assert_holds(price_of_use(answered, use), 1.0, answered, at, size)
    assert compared >= 4


def test_a_holding_is_worth_what_solving_again_says(reoptimised: list[Answered]) -> None:
    compared = 0
    for answered in reoptimised:
        inventory, sources = answered.result.inventory, answered.sources
        for name in inventory[inventory["scarcity_bps"] > 0]["holding_id"].head(3):
            source = sources.ids.index(name)
            unit, quantity = float(answered.assets.unit_value[sources.asset[source]]), float(sources.quantity[source])

            def at(step: float, name: str = name, unit: float = unit, quantity: float = quantity) -> Book:
                return Change(quantities={name: quantity + step / unit}).applied_to(answered.result.book)  # noqa: B023

            if quantity > 0:
                compared += assert_holds(price_of_source(answered, source), -1.0, answered, at, quantity * unit)
    assert compared >= 8


KINDS: tuple[dict[str, bool], ...] = (
    {"pins": True}, {"reserves": True}, {"pins": True, "facilities": True}, {"pins": True, "reoptimise": True},
    {"reserves": True, "reoptimise": True},
)  # fmt: skip


@pytest.fixture(scope="module")
def with_terms() -> list[Result]:
    """Answers to books with pins or reserves, short ones among them."""
    return answers(range(1, 9), kinds=KINDS)


def assert_told(result: Result, kind: str, place: str, name: str, without: Book) -> str:
    """What is said of a term, or that nothing is, holds of the book without it; whether it was `told` or `silent`."""
    answered = Answered(result)
    told = {(term.kind, term.place, term.name): term for term in relaxations(answered)}.get((kind, place, name))  # type: ignore[call-overload]
    covers, saves = (told.covers, told.saves_per_day) if told is not None else (0.0, 0.0)
    (short, cost), (left, less) = solved(result.book), solved(without)
    use = answered.use("reserve", name) if kind == "reserve" else -1
    short -= float(answered.relaxed.short[use]) if use >= 0 else 0.0
    size = float(np.sum(answered.uses.size[: answered.uses.asking]))
    assert short - left == pytest.approx(covers, abs=1e-6 * size), (kind, place, name)
    if covers <= 1e-6 * size:
        day = 10_000 * float(result.book.settings.day_count)
        assert (cost - less) / day == pytest.approx(saves, abs=1e-8 * size + 1e-9 * abs(cost) / day), (place, name)
    return "told" if told is not None else "silent"


def test_letting_go_of_a_pin_saves_what_solving_without_it_says(with_terms: list[Result]) -> None:
    compared: Counter[str] = Counter()
    for result in with_terms:
        pins = result.book.pins
        for at, pin in pins[~pins["forbid"].astype(bool)].iterrows():
            name = pin["holding_id"] if isinstance(pin["holding_id"], str) else pin["facility_id"]
            without = result.book.replace(pins=pins.drop(index=at))
            compared[assert_told(result, "pin", pin["call_id"], name, without)] += 1
    assert min(compared["told"], compared["silent"]) >= 4


def test_letting_go_of_a_reserve_saves_what_solving_without_it_says(with_terms: list[Result]) -> None:
    compared: Counter[str] = Counter()
    for result in with_terms:
        reserves = result.book.reserves
        for at, name in reserves["reserve_id"].items():
            without = result.book.replace(reserves=reserves.drop(index=at))
            compared[assert_told(result, "reserve", name, name, without)] += 1
    assert compared["told"] >= 2 and compared["silent"] >= 5
