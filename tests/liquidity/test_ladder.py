"""What is due and what is there by the hour, and the first call that cannot be met: by hand, and by adding up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collateral_opt import optimise, read_book
from collateral_opt.book import Book
from collateral_opt.liquidity.ladder import Ladder, ladder, survival
from tests.desks import asset, desk, listing

EXAMPLE = Path(__file__).parents[2] / "examples/liquidity-waterfall"
START = pd.Timestamp("2026-03-24T12:00Z")


def after(hours: float) -> pd.Timestamp:
    return START + pd.Timedelta(hours=hours)


@pytest.fixture(scope="module")
def case() -> Book:
    return read_book(EXAMPLE)


def at(found: Ladder, hours: float) -> tuple[float, float, float]:
    rung = next(rung for rung in found.rungs if rung.hours == hours)
    return rung.due, rung.available, rung.met


def test_the_case_by_hand(case: Book) -> None:
    found = ladder(optimise(case))
    assert at(found, 0) == (0.0, 5e6, 0.0)
    assert at(found, 3) == (0.0, 5e6, 0.0)
    assert at(found, 4) == (0.0, 9e6, 0.0)
    assert at(found, 6) == (0.0, 14e6, 0.0)
    assert at(found, 8) == (10.5e6, 14e6, 10.5e6)
    assert at(found, 48) == (10.5e6, 24e6, 10.5e6)
    # Hours to two days, then days to five.
    assert [rung.hours for rung in found.rungs] == [*range(49), 72, 96, 120]
    assert found.survives and found.survives_until is None
    assert survival(case) is None


def test_due_after_five_hours_it_is_over_then(case: Book) -> None:
    book = case.replace(calls=case.calls.assign(due=case.calls["due"] - pd.Timedelta(hours=3)))
    found = ladder(optimise(book))
    assert at(found, 5) == (10.5e6, 9e6, 9e6)
    assert next(r.headroom for r in found.rungs if r.hours == 5) == -1.5e6
    assert found.survives_until == after(5) == survival(book)
    assert [(call.call_id, call.shortfall) for call in found.first_missed] == [("MC", 1.5e6)]


def two_calls(case: Book, **more: list[float]) -> Book:
    rows = [{**case.calls.iloc[0].to_dict(), "call_id": name, "amount": 6e6} for name in ("EARLY", "LATE")]
    calls = pd.DataFrame(rows).drop(columns="due_date").assign(due=[after(1), after(7)], **more)
    return case.replace(calls=calls)


def test_of_two_calls_the_earlier_comes_first(case: Book) -> None:
    """5m are there at +1h for 6m: 1m short; 14m at +7h are more than the other 6m need."""
    book = two_calls(case)
    found = ladder(optimise(book))
    assert found.survives_until == after(1) == survival(book)
    assert [(call.call_id, call.shortfall) for call in found.missed] == [("EARLY", 1e6)]


def test_the_horizon_does_not_hang_on_the_priorities_of_the_book(case: Book) -> None:
    """At +5h 9m are there for 6m and 6m, the latter first in the book: by time the first is met all the same."""
    calls = two_calls(case).calls.drop(columns="due_date")
    book = case.replace(calls=calls.assign(due=[after(4.5), after(5)], priority=[2.0, 1.0]))
    result = optimise(book)
    assert result.calls.set_index("call_id")["shortfall"].to_dict() == {"EARLY": 3e6, "LATE": 0.0}
    assert [(call.call_id, call.shortfall) for call in ladder(result).missed] == [("LATE", 3e6)]
    assert survival(book) == after(5)


def test_calls_without_a_deadline_come_last_and_end_no_survival(case: Book) -> None:
    calls = two_calls(case).calls.drop(columns="due_date")
    book = case.replace(
        calls=calls.assign(amount=[5e6, 30e6], due=pd.Series([after(1), None], dtype="datetime64[ns, UTC]"))
    )
    found = ladder(optimise(book))
    assert at(found, 119 + 1)[0] == 35e6
    assert at(found, 96)[0] == 5e6
    assert [(call.call_id, call.due) for call in found.missed] == [("LATE", None)]
    assert (found.survives, found.survives_until) == (False, None)


def test_survival_of_random_cash_against_adding_up() -> None:
    random = np.random.default_rng(11)
    seen = set()
    for _ in range(8):
        ready, due = random.integers(0, 40, 5), random.integers(1, 40, 6)
        held, asked = random.integers(1, 100, 5) * 10.0, random.integers(1, 60, 6) * 10.0
        book = desk(
            assets=[asset("USD", "cash")],
            holdings=[
                {"holding_id": f"H{i}", "asset_id": "USD", "quantity": q, "ready_at": after(int(h)).isoformat()}
                for i, (q, h) in enumerate(zip(held, ready, strict=True))
            ],
            agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}],
            calls=[
                {
                    "call_id": f"C{i}",
                    "agreement_id": "A",
                    "amount": a,
                    "currency": "USD",
                    "due": after(int(h)).isoformat(),
                }
                for i, (a, h) in enumerate(zip(asked, due, strict=True))
            ],
            schedules={"cash": listing(USD=0)},
        )
        gaps = [h for h in sorted(set(due.tolist())) if asked[due <= h].sum() > held[ready <= h].sum()]
        expected = after(gaps[0]) if gaps else None
        found = ladder(optimise(book))
        assert found.survives_until == expected == survival(book)
        if gaps:
            # All that is there by then goes to what is due by then.
            missing = asked[due <= gaps[0]].sum() - held[ready <= gaps[0]].sum()
            assert sum(call.shortfall for call in found.first_missed) == pytest.approx(missing)
        for rung in found.rungs:
            assert rung.due == asked[due <= rung.hours].sum() or rung.at > after(40)
            assert rung.available == pytest.approx(held[ready <= rung.hours].sum())
        seen.add(bool(gaps))
    assert seen == {True, False}
