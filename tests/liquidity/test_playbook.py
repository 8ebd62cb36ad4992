"""Decisions, approvals and deadlines of a stress, by hand; every figure in the text is one of the answer."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from collateral_opt import optimise, read_book
from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.answer import Answered, answer
from collateral_opt.liquidity.forced import read_terms, simulated
from collateral_opt.liquidity.pages import notices, playbook_markdown
from collateral_opt.liquidity.playbook import STAGES, Playbook, approvals_of, playbook, read_approvals
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.stress import read_stresses
from tests.desks import asset, desk, listing

EXAMPLE = Path(__file__).parents[2] / "examples/liquidity-waterfall"
AGREEMENT = {"agreement_id": "A", "counterparty": "Bank", "schedule": "cash"}
CALL = {"call_id": "C", "agreement_id": "A", "currency": "USD", "due": "2026-03-24T16:00:00-04:00"}


def new_york(hour: int, minute: int = 0) -> pd.Timestamp:
    return pd.Timestamp(2026, 3, 24, hour, minute, tz="America/New_York")


@pytest.fixture(scope="module")
def case() -> Book:
    return read_book(EXAMPLE)


@pytest.fixture(scope="module")
def short(case: Book) -> Playbook:
    """6m due at 11:00, for which 5m are there; 11m due at 15:00, for which 9m are: the sale is too late."""
    return playbook(answer(two_calls(case), order=["LINE", "CASH"]))


def two_calls(case: Book) -> Book:
    rows = [{**case.calls.iloc[0].to_dict(), "call_id": name} for name in ("EARLY", "LATE")]
    calls = pd.DataFrame(rows).drop(columns="due_date")
    return case.replace(calls=calls.assign(amount=[6e6, 11e6], due=[new_york(11), new_york(15)]))


def decided(book: Playbook, stage: int) -> list[tuple[str, float, pd.Timestamp | None]]:
    return [(d.what.split(" USD ")[-1], d.amount, d.by) for d in book.stages[stage - 1].decisions]


def test_the_stages_of_the_case_by_hand(case: Book) -> None:
    book = playbook(answer(case))
    assert (book.name, book.status) == ("today", "green")
    assert [stage.title for stage in book.stages] == list(STAGES)
    # Due at 16:00: cash and fund need no time, the line six hours, the repo four.
    assert decided(book, 2) == [
        ("from CASH, which counts 2,000,000.00 USD", 2e6, new_york(16)),
        ("through REDEEM", 3e6, new_york(16)),
        ("on LINE", 1.5e6, new_york(10)),
    ]
    assert decided(book, 3) == [("in repo through REPO", 4e6, new_york(12))]
    assert book.stages[3].decisions == ()
    assert [(notice.counterparty, notice.by, notice.short) for notice in book.notices] == [
        ("Clearing", new_york(16), 0.0),
        ("Fund Co Agent", new_york(16), 0.0),
        ("Line Bank", new_york(10), 0.0),
        ("Repo Bank", new_york(12), 0.0),
    ]
    assert book.notices[3].drawn == (("REPO", "repo", 4e6),)
    (given,) = book.notices[3].deliveries
    assert (given.asset_id, given.quantity, given.value) == ("UST", 4_082_000.0, 4_000_360.0)


def test_a_line_is_drawn_for_what_leaves_it_and_not_for_what_that_counts() -> None:
    # 1,000 asked, a fifth off all cash: 700 of our own count 560, and 550 of the line the other 440.
    book = desk(
        assets=[asset("USD", "cash", price=None)],
        holdings=[{"holding_id": "CASH", "asset_id": "USD", "quantity": 700.0, "cost_bps": 1.0}],
        facilities=[
            {"facility_id": "LINE", "kind": "credit_line", "gives": "USD", "capacity": 5e3, "cost_bps": 100.0,
             "counterparty": "Line Bank"}
        ],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 1000.0}],
        schedules={"cash": listing(USD=0.2)},
    )  # fmt: skip
    told = playbook(answer(book))
    assert [(d.what, d.amount) for d in told.stages[1].decisions] == [
        ("Deliver 700 USD from CASH, which counts 560.00 USD", 560.0),
        ("Draw 550.00 USD on LINE", 550.0),
    ]
    assert next(notice.drawn for notice in told.notices if notice.drawn) == (("LINE", "credit_line", 550.0),)


def test_little_headroom_is_amber(case: Book) -> None:
    """14m for 12m leave a sixth; a quarter would be green."""
    assert playbook(answer(case.replace(calls=case.calls.assign(amount=12e6)))).status == "amber"
    assert playbook(answer(case.replace(calls=case.calls.assign(amount=11.2e6)))).status == "green"


def test_what_is_short_is_red_and_says_what_is_missing(short: Playbook) -> None:
    assert short.status == "red"
    # Earlier calls come first where the book has no priorities: 5m of 6m; then 9m of 11m.
    assert decided(short, 4) == [
        ("for EARLY of Clearing, or reduce the position", 1e6, new_york(11)),
        ("for LATE of Clearing, or reduce the position", 2e6, new_york(15)),
    ]
    said = " ".join(short.stages[3].said)
    assert "SALE has 10,000,000.00 USD, but only Thu 26 Mar 2026 08:00 -0400." in said
    assert "Would be met by supply: 1,000,000.00 more of what is taken" in said
    assert "Survival horizon Tue 24 Mar 2026 11:00 -0400: 1,000,000.00 USD cannot be met then." in short.stages[0].said
    clearing = short.notices[0]
    assert (clearing.counterparty, clearing.short) == ("Clearing", 3e6)
    assert "Of your calls 3,000,000.00 USD is not covered" in notices(short)[0]


def test_priorities_of_the_book_are_kept(case: Book) -> None:
    calls = two_calls(case).calls.assign(priority=[2.0, 1.0])
    answered = answer(case.replace(calls=calls))
    # LATE first: all 14m there by 15:00 could go to its 11m; 3m are left for EARLY.
    assert answered.result.calls.set_index("call_id")["shortfall"].to_dict() == {"EARLY": 3e6, "LATE": 0.0}


def figures(text: str) -> set[Decimal]:
    return {Decimal(x.replace(",", "")) for x in re.findall(r"(-?[\d,]+\.\d\d)(?: USD)?", text)}


def known(answered: Answered) -> set[Decimal]:
    """Figures of the answer's own tables, and their sums."""
    result, fall = answered.result, answered.fall
    book, calls = result.book, result.book.calls.merge(result.calls, on="call_id")
    in_time = [s for s in fall.sources if s.in_time]
    waiting = [s for s in in_time if s.kind in ("holding", "redemption", "credit_line")]
    amounts = [
        *calls["amount"], *calls["required"], *calls["shortfall"], calls["required"].sum(), calls["shortfall"].sum(),
        *calls.groupby("due")["required"].sum(), *calls.groupby("due")["shortfall"].sum(),
        *result.allocation["collateral_value"], *result.financing["proceeds"], result.total_cost,
        result.summary["lower_bound"], sum(s.available for s in in_time), sum(s.used for s in in_time),
        sum(s.left for s in in_time), sum(s.used for s in waiting),
        *(getattr(s, name) for s in fall.sources for name in ("available", "used", "cost")),
    ]  # fmt: skip
    if fall.fixed is not None:
        amounts += [fall.fixed.total_cost, fall.fixed.extra_cost]
    explained = result.explain()
    for one in explained.shortfalls:
        for remedy in one.remedies:
            amounts += [remedy.amount or 0.0, *(needed.amount for needed in remedy.needed)]
    late = {
        (source - due).total_seconds() / 3600 for source in (s.access for s in fall.sources) for due in calls["due"]
    }
    assert len(book.calls) == len(calls)
    return {Decimal(f"{x + 0.0:.2f}") for x in [*amounts, *late]}


def test_every_figure_is_one_of_the_answer(case: Book, short: Playbook) -> None:
    for book in (short, playbook(answer(case, order=["LINE", "CASH", "REDEEM", "REPO"]))):
        found = figures(playbook_markdown(book))
        assert len(found) > 10
        assert not found - known(book.answered)


def test_what_is_decided_adds_up_to_what_is_met(short: Playbook) -> None:
    decisions = [d.amount for stage in short.stages[1:3] for d in stage.decisions]
    assert sum(decisions) == short.answered.fall.covered == 14e6
    delivered = sum(d.value for n in short.notices for d in n.deliveries if d.what.startswith("delivered"))
    assert delivered == pytest.approx(14e6)


def test_a_delivery_starts_before_the_cut_off_of_its_place() -> None:
    """Due 16:00 and settled in one hour it could start at 15:00, but its custodian stops at 11:30."""
    book = desk(
        assets=[asset("USD", "cash")],
        holdings=[{"holding_id": "H", "asset_id": "USD", "quantity": 9.0, "settle_hours": 1.0, "location": "CUST"}],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 5.0}],
        locations=[{"location": "CUST", "timezone": "America/New_York", "cut_off": "11:30"}],
        schedules={"cash": listing(USD=0)},
    )
    (decision,) = playbook(answer(book)).stages[1].decisions
    assert decision.by == new_york(11, 30)
    loose = book.replace(locations=book.locations.assign(cut_off=None))
    assert playbook(answer(loose)).stages[1].decisions[0].by == new_york(15)


def test_a_repo_begins_before_the_cut_off_of_what_it_is_given() -> None:
    """Due 16:00 with three hours of access it could begin at 13:00, but the bonds' custodian stops at 11:30."""
    book = desk(
        assets=[asset("USD", "cash"), asset("UST")],
        holdings=[{"holding_id": "H", "asset_id": "UST", "quantity": 9.0, "settle_hours": 1.0, "location": "CUST"}],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 5.0}],
        facilities=[{"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "bonds", "access_hours": 3.0,
                     "capacity": 9.0, "counterparty": "Dealer"}],
        locations=[{"location": "CUST", "timezone": "America/New_York", "cut_off": "11:30"}],
        schedules={"cash": listing(USD=0), "bonds": listing(UST=0)},
    )  # fmt: skip
    found = playbook(answer(book))
    assert [d.by for d in found.stages[2].decisions] == [new_york(11, 30)]
    assert [n.by for n in found.notices if n.counterparty == "Dealer"] == [new_york(11, 30)]
    loose = book.replace(locations=book.locations.assign(cut_off=None))
    assert playbook(answer(loose)).stages[2].decisions[0].by == new_york(13)


def test_a_reserve_that_is_short_is_told() -> None:
    """9 are there, 5 are called and 6 must stay: 4 stay, and 2 lack, though every call is met."""
    book = desk(
        assets=[asset("USD", "cash")],
        holdings=[{"holding_id": "H", "asset_id": "USD", "quantity": 9.0}],
        agreements=[AGREEMENT],
        calls=[{**CALL, "amount": 5.0}],
        reserves=[{"reserve_id": "LCR", "schedule": "cash", "amount": 6.0, "currency": "USD"}],
        schedules={"cash": listing(USD=0)},
    )
    found = playbook(answer(book))
    assert found.status == "red"
    assert "The reserve LCR lacks 2.00 USD of 6.00 USD." in found.stages[0].said


def test_without_a_deadline_there_is_none_to_decide_by(case: Book) -> None:
    calls = case.calls.drop(columns="due_date").assign(due=None)
    book = playbook(answer(case.replace(calls=calls)))
    assert [d.by for d in book.stages[1].decisions] == [None, None, None]
    assert "Without a deadline: 10,500,000.00 USD." in book.stages[0].said
    assert "without a deadline" in playbook_markdown(book)


def test_a_chain_of_facilities_begins_with_its_first() -> None:
    """Dollars of the repo go into the swap, which has them after two hours: both begin by 14:00."""
    book = desk(
        assets=[asset("USD", "cash"), asset("EUR", "cash", "EUR"), asset("UST", lot_size=100.0)],
        holdings=[{"holding_id": "BONDS", "asset_id": "UST", "quantity": 5000.0, "cost_bps": 2.0}],
        agreements=[{**AGREEMENT, "schedule": "euro", "base_currency": "EUR"}],
        calls=[{**CALL, "amount": 1000.0, "currency": "EUR"}],
        facilities=[
            {"facility_id": "REPO", "kind": "repo", "gives": "USD", "takes": "bonds", "capacity": 2200.0,
             "access_hours": 1.0},
            {"facility_id": "SWAP", "kind": "fx", "gives": "EUR", "takes": "usd", "capacity": 1e4,
             "access_hours": 2.0},
        ],
        fx=[{"currency": "EUR", "rate": 1.1}],
        schedules={"euro": listing(EUR=0), "usd": listing(USD=0), "bonds": listing(UST=0.02)},
    )  # fmt: skip
    decisions = playbook(answer(book)).stages[2].decisions
    assert [(d.what.split()[-1], d.amount, d.by) for d in decisions] == [
        ("SWAP", 1100.0, new_york(14)),
        ("REPO", 1100.0, new_york(14)),
    ]


def test_a_sale_that_is_needed_is_a_reduction_of_a_position(case: Book) -> None:
    calls = case.calls.drop(columns="due_date").assign(amount=16e6, due=new_york(16) + pd.Timedelta(days=3))
    book = playbook(answer(case.replace(calls=calls)))
    assert decided(book, 4) == [("through SALE", 2e6, new_york(16) + pd.Timedelta(days=1))]


def test_what_is_short_is_told_with_its_forced_sale() -> None:
    """40m called, 15m there: without impact 25m of the 30m of margin come free by selling 25/30 of the position.

    Own funds are 25m, the stress loses 20m of them, and the sales nothing.
    """
    folder = EXAMPLE.parent / "fire-sale"
    book, file = read_book(folder), read_stresses(folder / "stresses.yaml")
    projection = project(book, file.stress(), file)
    answered = answer(projection)
    terms = read_terms({"periods": 3, "impact": {"permanent": 0, "temporary": 0}})
    units = float(book.positions["quantity"].iloc[0])
    assert answered.fall.shortfall == pytest.approx(25e6)
    stage = playbook(answered, sale=simulated(book, projection, answered.result, file, terms)).stages[3]
    assert next(line for line in stage.said if "own funds" in line).endswith("own funds 5,000,000.00 USD.")
    assert "The cheapest sales of positions within 3 days cost 0.00 USD." in stage.said
    (sale,) = [d for d in stage.decisions if d.what.startswith("Reduce ")]
    assert sale.amount == pytest.approx(25e6, rel=1e-6)
    assert float(sale.what.split()[3].replace(",", "")) == pytest.approx(units * 25 / 30, rel=1e-6)
    assert sale.by == min(answered.result.book.calls["due"])
    assert list(playbook(answered).stages[3].decisions) == [d for d in stage.decisions if d is not sale]


def test_many_holdings_are_decided_together_by_their_latest_start() -> None:
    book = desk(
        assets=[asset("USD", "cash"), asset("GOV", issuer_type="sovereign")],
        holdings=[
            {"holding_id": f"H{i:02}", "asset_id": "USD" if i % 2 else "GOV", "quantity": 10.0, "settle_hours": i // 10}
            for i in range(20)
        ],
        agreements=[{**AGREEMENT, "schedule": "wide"}],
        calls=[{**CALL, "amount": 200.0}],
        schedules={"wide": listing(USD=0, GOV=0)},
    )
    decisions = playbook(answer(book)).stages[1].decisions
    assert [(d.amount, d.by) for d in decisions] == [(100.0, new_york(15)), (100.0, new_york(16))]
    assert decisions[0].why.startswith("cash 50.00; sovereign debt 50.00;")


def test_who_approves() -> None:
    by = approvals_of(
        {
            "default": "desk",
            "stages": {"4": "CFO"},
            "above": [{"amount": "5e6", "approver": "CRO"}, {"amount": "1e6", "stage": "2", "approver": "treasurer"}],
        },
        "stresses.yaml",
    )
    assert [by.of(2, 1e5), by.of(2, 1e6), by.of(3, 1e6), by.of(2, 5e6), by.of(4, 1e6), by.of(4, 9e6)] == [
        "desk", "treasurer", "desk", "CRO", "CFO", "CRO"
    ]  # fmt: skip
    assert approvals_of(None, "f").of(1, 1e12) == "treasurer"


def test_approvals_that_cannot_be_read_are_said_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "approvals.yaml"
    path.write_text("stages: {9: CFO}\nabove: [{amount: much, approver: CFO}]\nwho: me\n")
    with pytest.raises(UsageError) as said:
        read_approvals(path)
    assert all(word in str(said.value) for word in ("stages.9", "above.0.amount", "who"))
    with pytest.raises(UsageError, match="no approver"):
        approvals_of(["CFO"], "stresses.yaml: approvals")


def test_the_answer_of_a_book_that_is_met_is_the_optimisers(case: Book) -> None:
    assert answer(case).result.allocation.equals(optimise(case).allocation)
