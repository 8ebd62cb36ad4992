"""From a book and a stress to a forced sale: the worked example end to end, and what is counted as what."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from collateral_opt import Book, read_book
from collateral_opt.cli import app
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.forced import FILES, ForcedSale, Hedges, case_of, forced_sale, read_terms, sellable
from collateral_opt.liquidity.impact import PowerLaw, SquareRoot
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.spiral import Case, Measure, least, spiral
from collateral_opt.liquidity.stress import StressFile, read_stresses
from collateral_opt.optimiser import optimise

EXAMPLE = Path(__file__).parents[2] / "examples" / "fire-sale"
STRESSES = EXAMPLE / "stresses.yaml"


@pytest.fixture(scope="module")
def fire_sale() -> ForcedSale:
    file = read_stresses(STRESSES)
    return forced_sale(read_book(EXAMPLE), file.stress(), file)


def test_the_case_follows_from_position_shock_and_cash(fire_sale: ForcedSale) -> None:
    """133.33m fall by 15 %: 20m, and 50m of gains are 30m. Margin 10m becomes 30m: 40m called against 15m of cash. Own
    funds 15m + 10m before, 5m after."""
    case = fire_sale.case
    assert (case.called, case.variation) == (pytest.approx(40e6), pytest.approx(20e6))
    assert (case.means, case.margin, case.unmet) == (pytest.approx(15e6), 10e6, pytest.approx(25e6))
    assert (case.own_funds, case.lost) == (pytest.approx(25e6), pytest.approx(20e6))
    (crude,) = case.positions
    assert (crude.price, crude.units, crude.initial_margin) == (pytest.approx(85), pytest.approx(4e6 / 3), 30e6)
    file = read_stresses(STRESSES)
    gains = project(read_book(EXAMPLE), file.stress(), file).positions["stressed_unrealised_pnl"]
    assert gains.tolist() == pytest.approx([30e6])


def test_it_is_insolvent_on_day_three_and_told_over_a_range(fire_sale: ForcedSale) -> None:
    assert (fire_sale.spiral.outcome, fire_sale.spiral.ends) == ("insolvent", 3)
    assert fire_sale.spiral.own_funds == pytest.approx(-1_297_424, abs=1)
    cells = fire_sale.outcomes
    assert (cells["unmet"].round() == 25e6).all()  # the default hangs on none of it
    assert {"insolvent", "closed"} == set(cells["outcome"])  # insolvency does
    assert fire_sale.break_even == pytest.approx(1_019_333 / 800_000, rel=1e-6)
    paid = fire_sale.savers.set_index("measure")["paid"]
    assert (paid["cash"], paid["line"], paid["bonds"]) == (
        pytest.approx(25e6),
        pytest.approx(25e6),
        pytest.approx(25e6 / 0.98),
    )
    assert paid["short"] == pytest.approx(0.5)


def test_selling_all_by_the_schedule_loses_what_the_close_out_does(fire_sale: ForcedSale) -> None:
    """One position, equal slices: the cheapest schedule and the simulated close-out are the same sale."""
    assert fire_sale.schedule is not None
    assert fire_sale.schedule.cost == pytest.approx(fire_sale.spiral.days["loss"].sum(), rel=1e-5)
    assert fire_sale.schedule.unmet[-1] == pytest.approx(-fire_sale.spiral.own_funds, rel=1e-4)


@pytest.mark.parametrize(("cash", "outcome"), [("40000000", "paid"), ("39990000", "closed")])
def test_with_the_buffer_that_saves_it_the_optimiser_pays(tmp_path: Path, cash: str, outcome: str) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "book")
    holdings = tmp_path / "book" / "holdings.csv"
    holdings.write_text(holdings.read_text().replace("15000000", cash))
    file = read_stresses(STRESSES)
    found = forced_sale(read_book(tmp_path / "book"), file.stress(), file)
    assert found.spiral.outcome == outcome
    assert (found.schedule is None) is (outcome == "paid")


def _mixed() -> tuple[Any, StressFile]:
    book = read_book(EXAMPLE)
    positions = pd.DataFrame(
        {
            "position_id": ["FUT", "BUND", "ODD", "TECH", "STALE"],
            "agreement_id": ["CLEARING", "CLEARING", None, None, None],
            "instrument": ["f", "b", "o", "t", "s"],
            "asset_type": ["equity", "debt", "equity", "equity", "equity"],
            "currency": ["USD", "EUR", "USD", "USD", "USD"],
            "quantity": [1000.0, None, 10.0, 100.0, 5.0],
            "price": [100.0, None, 7.0, 50.0, 3.0],
            "market_value": [None, -40_000.0, None, None, None],
            "initial_margin": [10_000.0, 2000.0, None, None, None],
            "adv": [5000.0, 1e6, None, 400.0, 10.0],
            "daily_volatility": [0.02, 0.01, 0.03, 0.03, 0.03],
            "illiquid": [False, False, False, False, True],
        }
    )
    fx = pd.DataFrame({"currency": ["EUR"], "rate": [1.1]})
    mixed = book.replace(positions=positions, fx=fx)
    file = StressFile.from_mapping(
        {"stresses": {"s": {"shocks": [{"of": "equity", "value": "-10%"}, {"of": "debt", "value": "+5%"}]}}}
    )
    return mixed, file


def test_what_can_be_sold_and_what_cannot() -> None:
    """A short bund of EUR 40,000 stated by value: 40,000 units of 1.05 * 1.1 each; TECH is not margined."""
    book, file = _mixed()
    found = sellable(book, project(book, file.stress(), file))
    assert dict(found.left_out) == {"ODD": "no adv", "STALE": "illiquid"}
    by_name = {p.position_id: p for p in found.positions}
    assert list(by_name) == ["FUT", "BUND", "TECH"]
    assert (by_name["FUT"].units, by_name["FUT"].price) == (1000, pytest.approx(90))
    assert (by_name["BUND"].units, by_name["BUND"].price) == (-40_000, pytest.approx(1.155))
    assert by_name["BUND"].initial_margin == pytest.approx(2200)
    assert (by_name["TECH"].margined, by_name["TECH"].initial_margin) == (False, 0)


def test_own_funds_before_and_what_the_stress_takes() -> None:
    """Holdings 15m, margin 10,000 + 2,000 * 1.1, outright 70 + 5,000 + 15 USD. It takes 10,000 and 2,000 * 1.1 as
    variation margin, and a tenth of 5,085."""
    book, file = _mixed()
    projection = project(book, file.stress(), file)
    case = case_of(book, projection, optimise(projection.book))
    assert case.own_funds == pytest.approx(15e6 + 12_200 + 5085)
    assert case.variation == pytest.approx(12_200)
    assert case.lost == pytest.approx(12_200 + 508.5)
    assert case.called == pytest.approx(12_200, abs=0.01)


def test_what_others_pay_us_is_no_part_of_what_is_called(tmp_path: Path) -> None:
    """A long future falls from 100m to 80m: 20m called. A short one with a broker falls from 10m to 8m: 2m come back,
    which meet no call. Initial margin of 5m doubles: 5m more. So 25m are called, 20m of it variation margin, and the
    stress takes 18m. Cash is 15m: puts on a share s leave 20 (1 - s) + 5 to pay, so half of it must be hedged.
    """
    book = tmp_path / "book"
    shutil.copytree(EXAMPLE, book)
    (book / "agreements.csv").write_text(
        "agreement_id,counterparty,schedule,base_currency\nA,Clearer,cash-only,USD\nB,Broker,cash-only,USD\n",
        encoding="utf-8",
    )
    (book / "positions.csv").write_text(
        "position_id,agreement_id,instrument,asset_type,market_value,initial_margin,adv,daily_volatility\n"
        "LONG,A,future,equity,100000000,5000000,50000000,0.01\n"
        "SHORT,B,future,equity,-10000000,0,50000000,0.01\n",
        encoding="utf-8",
    )
    stresses = tmp_path / "stresses.yaml"
    stresses.write_text(
        "stresses:\n  fall:\n    shocks: [{of: equity, value: -20%}]\n"
        "    initial_margin: [{of: equity, multiplier: 2}]\n",
        encoding="utf-8",
    )
    file = read_stresses(stresses)
    found = forced_sale(read_book(book), file.stress(), file)
    assert (found.case.called, found.case.variation_called) == (pytest.approx(25e6), pytest.approx(20e6))
    assert found.case.lost == pytest.approx(18e6)
    assert found.summary["variation_margin"] == pytest.approx(20e6)
    paid = found.savers.set_index("measure")["paid"]
    assert paid["put"] == pytest.approx(0.5)
    assert paid["put_netted"] == pytest.approx(0.4)  # 25 (1 - s) = 15


def _two_legs(tmp_path: Path, *, nets: str = "", cash: float = 12e6) -> Path:
    """A long future of 100m at A with 5m of margin, and a short one of 20m at B, or at A where that ``nets`` all."""
    book = tmp_path / "book"
    shutil.copytree(EXAMPLE, book)
    (book / "agreements.csv").write_text(
        f"agreement_id,counterparty,schedule,base_currency,nets\nA,Clearer,cash-only,USD,{nets}\n"
        "B,Broker,cash-only,USD,\n",
        encoding="utf-8",
    )
    (book / "positions.csv").write_text(
        "position_id,agreement_id,instrument,asset_type,market_value,initial_margin,adv,daily_volatility\n"
        "LONG,A,future,equity,100000000,5000000,50000000,0.01\n"
        f"SHORT,{'A' if nets else 'B'},future,equity,-20000000,0,50000000,0.01\n",
        encoding="utf-8",
    )
    holdings = book / "holdings.csv"
    holdings.write_text(holdings.read_text(encoding="utf-8").replace("15000000", f"{cash:.0f}"), encoding="utf-8")
    return book


def _case(book: Book, file: StressFile) -> Case:
    projection = project(book, file.stress(), file)
    return case_of(book, projection, optimise(projection.book))


def _fall(receipts: str, due: dict[str, str] | None = None, mode: str = "reduce") -> StressFile:
    return StressFile.from_mapping(
        {
            "receipts": receipts,
            "stresses": {
                "fall": {
                    "shocks": [{"of": "equity", "value": "-20%"}],
                    "initial_margin": [{"of": {"position_id": "LONG"}, "multiplier": "2"}],
                    "due": due or {"vm": "+8h", "im": "+8h"},
                }
            },
            "liquidation": {"mode": mode},
        }
    )


@pytest.mark.parametrize(
    ("receipts", "nets", "unmet", "paid"),
    [
        # 25m called, 4m received, 12m of cash. Futures on s: 25 (1 - s) = 12 + 5 s, or 12 where what is freed is spent;
        # puts on what loses: 20 (1 - s) + 5 = 12, netted 25 (1 - s) = 12.
        ("ignore", "", 13e6, {"short": 13 / 30, "short_unfreed": 13 / 25, "put": 13 / 20, "put_netted": 13 / 25}),
        # What is received is there: 4m, with futures 4 (1 - s) of it, with puts all.
        ("count", "", 9e6, {"short": 9 / 26, "short_unfreed": 9 / 21, "put": 9 / 20, "put_netted": 9 / 25}),
        # One call of 20 - 4 + 5: futures 21 (1 - s), puts 20 (1 - s) - 4 + 5, netted 25 (1 - s) - 4.
        ("ignore", "all", 9e6, {"short": 9 / 26, "short_unfreed": 9 / 21, "put": 9 / 20, "put_netted": 9 / 25}),
    ],
)
def test_hedges_are_projected_with_what_they_leave_of_receipts(
    tmp_path: Path, receipts: str, nets: str, unmet: float, paid: dict[Measure, float]
) -> None:
    file, book = _fall(receipts), read_book(_two_legs(tmp_path, nets=nets))
    projection = project(book, file.stress(), file)
    case = case_of(book, projection, optimise(projection.book))
    assert case.unmet == pytest.approx(unmet)
    assert case.lost == pytest.approx(16e6)
    hedged = Hedges(book, projection, file, case)
    assert {name: least(name, case, hedged=hedged) for name in paid} == pytest.approx(paid, abs=1e-6)


def test_a_hedge_moves_what_thresholds_call_and_other_currencies(tmp_path: Path) -> None:
    """CHF at 1.05 EUR. A future of 20m falls by a tenth, and 1m of margin becomes 1.5m: 2m and 0.5m, EUR 2.625m. A swap
    of 8m falls as much under a threshold of 0.5m, with 1m of exposure and 0.2m posted: 1.8 - 0.5 - 0.2 = 1.1m, EUR
    1.155m. Cash is EUR 0.5m. With futures on s, 2.625 (1 - s) + 1.155 - 0.84 s = 0.5 + 1.05 s; without what they free
    the 1.05 s is missing, and so it is with netted puts. Puts that leave 0.525m of margin cannot do it.
    """
    book = tmp_path / "book"
    shutil.copytree(EXAMPLE, book)
    tables = {
        "settings.yaml": 'as_of: "2026-05-11T09:30:00+02:00"\nbase_currency: EUR\n',
        "fx.csv": "currency,rate\nCHF,1.05\n",
        "assets.csv": "asset_id,asset_type,currency\nEUR,cash,EUR\nCHF,cash,CHF\n",
        "holdings.csv": "holding_id,asset_id,quantity\nTILL,EUR,500000\n",
        "agreements.csv": "agreement_id,counterparty,schedule,base_currency\nCCP,Clearer,cash-only,CHF\n"
        "OTC,Dealer,cash-only,CHF\n",
        "schedules/cash-only.csv": "asset_id,haircut\nEUR,0\nCHF,0\n",
        "positions.csv": "position_id,agreement_id,instrument,asset_type,currency,market_value,initial_margin\n"
        "FUTURE,CCP,future,equity,CHF,20000000,1000000\nSWAP,OTC,swap,equity,CHF,8000000,0\n",
        "exposures.csv": "agreement_id,currency,exposure,held_by_us,held_by_them,threshold_us,minimum_transfer_us\n"
        "OTC,CHF,-1000000,0,200000,500000,100000\n",
        "stresses.yaml": "exposures: exposures.csv\nstresses:\n  fall:\n    shocks: [{of: equity, value: -10%}]\n"
        "    initial_margin: [{of: equity, multiplier: 1.5}]\n",
    }
    for name, text in tables.items():
        (book / name).write_text(text, encoding="utf-8")
    file, opened = read_stresses(book / "stresses.yaml"), read_book(book)
    projection = project(opened, file.stress(), file)
    case = case_of(opened, projection, optimise(projection.book))
    assert (case.called, case.unmet) == (pytest.approx(3.78e6), pytest.approx(3.28e6))
    hedged = Hedges(opened, projection, file, case)
    paid: dict[Measure, float] = {"short": 3.28 / 4.515, "short_unfreed": 3.28 / 3.465, "put_netted": 3.28 / 3.465}
    assert {name: least(name, case, hedged=hedged) for name in paid} == pytest.approx(paid, abs=1e-6)
    assert least("put", case, hedged=hedged) is None
    # as an answer of the whole book has it
    half = hedged("short", 0.5)
    assert (half.called, half.means) == (pytest.approx(1.3125e6 + 0.735e6), pytest.approx(0.5e6 + 0.525e6))
    assert half.lost == pytest.approx(case.lost / 2)


@pytest.mark.parametrize(("receipts", "cash", "sold"), [("count", 22e6, 0.0), ("ignore", 22e6, 1.0)])
def test_what_is_received_too_late_is_there_the_day_after(
    tmp_path: Path, receipts: str, cash: float, sold: float
) -> None:
    """25m are due after 4 hours, and 22m there: 3m short. 4m come after 20 hours: where they count nothing is sold."""
    file = _fall(receipts, {"A": "+4h", "B": "+20h"})
    case = _case(read_book(_two_legs(tmp_path, cash=cash)), file)
    assert case.unmet == pytest.approx(3e6)
    assert case.arriving == (pytest.approx(4e6) if receipts == "count" else 0)
    end = spiral(case, mode="reduce")
    assert (end.outcome, end.ends) == ("cured", 2)
    assert (end.days["sold"].sum() > 0) == (sold > 0)
    if receipts == "count":
        assert end.days["unpaid"].tolist() == pytest.approx([3e6, -1e6])
        assert end.own_funds == pytest.approx(case.own_funds - 16e6)


def test_a_stress_of_exchange_rates_takes_from_own_funds_what_they_take() -> None:
    """Margin of EUR 1m, a future of EUR 10m that falls by a tenth, a euro of 1.10 that rises to 1.21. Before: 15m and
    1.1m. After: 15m, margin of 1.21m, less variation margin of EUR 1m, 1.21m: the stress takes 1.1m."""
    book = read_book(EXAMPLE)
    positions = pd.DataFrame(
        {
            "position_id": ["FUT"],
            "agreement_id": ["CLEARING"],
            "instrument": ["f"],
            "asset_type": ["equity"],
            "currency": ["EUR"],
            "market_value": [10e6],
            "initial_margin": [1e6],
        }
    )
    book = book.replace(positions=positions, fx=pd.DataFrame({"currency": ["EUR"], "rate": [1.1]}))
    stress = {"shocks": [{"of": "equity", "value": "-10%"}], "book": ["fx:EUR=+10%"]}
    file = StressFile.from_mapping({"stresses": {"s": stress}})
    case = _case(book, file)
    assert case.called == pytest.approx(1.21e6)
    assert case.own_funds == pytest.approx(16.1e6)
    assert case.own_funds - case.lost == pytest.approx(15e6)


def _pledging(*, schedules: dict[str, Any] | None = None, **more: Any) -> Book:
    """Bonds of 20m, a call of 8.1m that takes them at 10 %, and one of 7m on futures that takes cash, of which there
    are 5m: 9m of bonds are delivered, 2m are short, and 11m of bonds are free."""
    table: dict[str, Any] = {
        "assets": pd.DataFrame(
            {"asset_id": ["USD", "BOND"], "asset_type": ["cash", "debt"], "currency": ["USD"] * 2, "price": [None, 1.0]}
        ),
        "holdings": pd.DataFrame(
            {
                "holding_id": ["CASH", "BONDS"],
                "asset_id": ["USD", "BOND"],
                "quantity": [5e6, 20e6],
                "cost_bps": [9.0, 1.0],
            }
        ),
        "agreements": pd.DataFrame(
            {"agreement_id": ["CSA", "CCP"], "counterparty": ["Bank", "Clearer"], "schedule": ["wide", "cash"]}
        ),
        "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["CSA"], "amount": [8.1e6], "currency": ["USD"]}),
        "positions": pd.DataFrame(
            {
                "position_id": ["FUT", "BONDS"],
                "agreement_id": ["CCP", None],
                "instrument": ["future", "BOND"],
                "asset_type": ["equity", None],
                "market_value": [70e6, None],
                "quantity": [None, 20e6],
                "initial_margin": [0.0, None],
                "adv": [None, 10e6],
                "daily_volatility": [None, 0.02],
                "illiquid": [True, False],
            }
        ),
        **more,
    }
    cash = {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}
    bonds = {"label": "bonds", "when": {"asset_type": "debt"}, "haircut": "0.1"}
    return Book.from_tables(
        table,
        settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD"},
        schedules={"cash": {"rules": [cash]}, "wide": {"rules": [cash, bonds]}, **(schedules or {})},
    )


FUTURES_FALL = StressFile.from_mapping(
    {
        "stresses": {"fall": {"shocks": [{"of": "equity", "value": "-10%"}]}},
        "liquidation": {"mode": "reduce", "impact": {"temporary": "0"}},
    }
)


def test_what_is_delivered_as_collateral_is_not_sold_again() -> None:
    """With c = 0.314 * 2 % / 10m, x bonds sold bring x (1 - c x / 2), and the fall of c x takes 0.9 c x from each of
    the 9m that are collateral: 2m = x - c x^2 / 2 - 8.1m c x. Own funds lose c x^2 / 2 on what is sold, and c x on each
    of the 20m - x that are left, sold or not."""
    book = _pledging()
    found = forced_sale(book, FUTURES_FALL.stress(), FUTURES_FALL)
    (bonds,) = found.case.positions
    assert (bonds.units, bonds.pledged, bonds.covers) == (pytest.approx(11e6), pytest.approx(9e6), pytest.approx(0.9))
    assert found.summary["pledged"] == {"BONDS": pytest.approx(9e6)}
    assert found.case.unmet == pytest.approx(2e6)
    # 25m of holdings before; the future loses 7m
    assert (found.case.own_funds, found.case.lost) == (pytest.approx(25e6), pytest.approx(7e6))
    c = 0.314 * 0.02 / 10e6
    slope = 1 - 8.1e6 * c
    x = (slope - math.sqrt(slope**2 - 2 * c * 2e6)) / c
    assert (found.spiral.outcome, found.spiral.ends) == ("cured", 2)
    assert found.spiral.days["sold"].iloc[-1] == pytest.approx(x, rel=1e-6)
    assert found.spiral.own_funds == pytest.approx(18e6 - c * x**2 / 2 - c * x * (20e6 - x), rel=1e-9)
    assert found.schedule is not None
    assert found.schedule.sales["quantity"].sum() == pytest.approx(x, rel=1e-5)


def test_what_is_posted_or_given_to_a_facility_is_not_sold_either() -> None:
    """Of 20m, 9m are delivered: with 3m posted before 8m are free, with 2m in a repo at 5 %, for 1.9m of cash, 9m."""
    repo = pd.DataFrame(
        {"facility_id": ["REPO"], "kind": ["repo"], "takes": ["repo"], "gives": ["USD"], "capacity": [1.9e6]}
    )
    posted = pd.DataFrame({"agreement_id": ["CSA"], "asset_id": ["BOND"], "quantity": [3e6], "holding_id": ["BONDS"]})
    given = {"label": "bonds", "when": {"asset_type": "debt"}, "haircut": "0.05"}
    cases = {}
    for name, more in (("posted", {"posted": posted}), ("repo", {"facilities": repo})):
        book = _pledging(schedules={"repo": {"rules": [given]}}, **more)
        (cases[name],) = _case(book, FUTURES_FALL).positions
    assert cases["posted"].units == pytest.approx(8e6)
    assert cases["repo"].units == pytest.approx(9e6)
    assert cases["repo"].covers == pytest.approx((8.1 + 1.9) / 11)
    whole = _pledging(posted=posted.assign(quantity=[11e6]))
    projection = project(whole, FUTURES_FALL.stress(), FUTURES_FALL)
    found = sellable(whole, projection, optimise(projection.book))
    assert found.left_out["BONDS"] == "all of it is delivered as collateral"


def test_terms_are_read_and_wrong_ones_named() -> None:
    terms = read_terms({"mode": "reduce", "participation": "0.2", "impact": {"permanent": "0.4"}, "depth": ["1", "3"]})
    assert terms.model == PowerLaw(permanent=0.4)
    assert (terms.participation, terms.depth) == (0.2, (1.0, 3.0))
    assert read_terms({"impact": {"square_root": "0.7"}}).model == SquareRoot(0.7)
    assert read_terms(None).days == 2
    with pytest.raises(UsageError, match=r"(?s)liquidation: mode is panic.*liquidation: days is 0.*liquidation: speed"):
        read_terms({"mode": "panic", "days": "0", "speed": "9"})
    with pytest.raises(UsageError, match=r"impact: square_root is a model of its own\. Leave the other"):
        read_terms({"impact": {"square_root": "0.7", "permanent": "1"}})


def test_a_close_out_needs_to_know_the_depth_of_what_it_sells() -> None:
    book, file = _mixed()
    blind = book.replace(
        positions=book.positions.assign(adv=float("nan")), holdings=book.holdings.assign(quantity=[1.0])
    )
    with pytest.raises(UsageError, match="BUND, FUT"):
        forced_sale(blind, file.stress(), file)


def test_the_commands_write_the_same_bytes_twice(tmp_path: Path) -> None:
    told = []
    for name in ("one", "two"):
        out = tmp_path / name
        ran = CliRunner().invoke(
            app, ["stress", "liquidate", str(EXAMPLE), "--stresses", str(STRESSES), "--out", str(out)]
        )
        assert ran.exit_code == 3, ran.output
        assert "insolvent on day 3" in ran.output
        assert {path.name for path in out.iterdir()} <= set(FILES)
        told.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert told[0] == told[1]
    summary = json.loads(told[0]["liquidation.json"])
    assert (summary["outcome"], summary["day"], round(summary["unmet"])) == ("insolvent", 3, 25_000_000)
    again = CliRunner().invoke(
        app, ["stress", "liquidate", str(EXAMPLE), "--stresses", str(STRESSES), "--out", str(tmp_path / "one")]
    )
    assert again.exit_code == 2


def test_strategies_of_the_example(tmp_path: Path) -> None:
    """Called and lacking: 40 and 25; a third less 26.8 and 11.8; half, 5m free, 20 and 0; puts on half 30 and 15."""
    out = tmp_path / "compared"
    ran = CliRunner().invoke(
        app,
        ["stress", "compare", str(EXAMPLE), "--stresses", str(STRESSES), "--buffer-asset", "USD", "--out", str(out)],
    )
    assert ran.exit_code == 0, ran.output
    table = pd.read_csv(out / "strategies.csv").set_index("strategy")
    assert (table["called_most"] / 1e6).round(3).tolist() == [40, 26.8, 20, 30, 40, 40]
    assert (table["shortfall_most"] / 1e6).round(3).tolist() == [25, 11.8, 0, 15, 0, 0]
    assert (table["buffer_value"] / 1e6).round(3).tolist() == [25, 11.8, 0, 15, 0, 0]
