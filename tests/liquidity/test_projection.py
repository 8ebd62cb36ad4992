"""Positions and stresses to calls: the worked case figure by figure, agreements by hand, any book by brute force."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.codes import CATALOGUE
from collateral_opt.errors import BookError, UsageError
from collateral_opt.io.read import read_book
from collateral_opt.liquidity.projected import projection_text, write_projections
from collateral_opt.liquidity.projection import project, totals
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.stress import StressFile, read_stresses
from collateral_opt.optimiser import optimise

EXAMPLE = Path(__file__).parents[2] / "examples" / "stress"
M = 1_000_000
FIGURES = ["market_value", "unrealised_pnl", "initial_margin", "stressed_market_value", "variation_margin_call",
           "stressed_initial_margin", "total_margin_call"]  # fmt: skip
CASE = {
    "SPX": [50 * M, 5 * M, 5 * M, 40 * M, 10 * M, 6 * M, 11 * M],
    "TECH": [20 * M, 8 * M, nan, 15 * M, nan, nan, 0],
    "TY": [-30 * M, -2 * M, 1.5 * M, -31 * M, -1 * M, 2 * M, -0.5 * M],
}
TOTAL = [40 * M, 11 * M, 6.5 * M, 24 * M, 9 * M, 8 * M, 10.5 * M]
Rows = list[dict[str, Any]]

POSITIONS: Rows = [
    {"position_id": "SPX", "agreement_id": "CCP", "instrument": "S&P 500 futures", "asset_type": "equity",
     "market_value": 50 * M, "initial_margin": 5 * M, "unrealised_pnl": 5 * M},
    {"position_id": "TECH", "instrument": "TECH", "asset_type": "equity", "market_value": 20 * M,
     "unrealised_pnl": 8 * M, "illiquid": True},
    {"position_id": "TY", "agreement_id": "CCP", "instrument": "Treasury futures", "asset_type": "debt",
     "market_value": -30 * M, "initial_margin": 1.5 * M, "unrealised_pnl": -2 * M},
]  # fmt: skip


def book_of(positions: Rows = POSITIONS, calls: Rows = (), **tables: Rows) -> Book:  # type: ignore[assignment]
    """Cash and a stock in dollars, euros at 1.25, a clearing house and a bank."""
    frames: dict[str, Rows] = {
        "fx": [{"currency": "EUR", "rate": 1.25}],
        "assets": [
            {"asset_id": "USD", "asset_type": "cash", "currency": "USD"},
            {"asset_id": "EUR", "asset_type": "cash", "currency": "EUR"},
            {"asset_id": "SHARE", "asset_type": "equity", "currency": "USD", "price": 100.0, "issuer": "S",
             "sector": "energy"},
        ],
        "holdings": [
            {"holding_id": "CASH", "asset_id": "USD", "quantity": 100 * M},
            {"holding_id": "SHARES", "asset_id": "SHARE", "quantity": 1000.0},
        ],
        "agreements": [
            {"agreement_id": "CCP", "counterparty": "Clearing", "schedule": "all", "nets": None},
            {"agreement_id": "CSA1", "counterparty": "Bank", "schedule": "all", "nets": None},
        ],
        **({"positions": list(positions)} if positions else {}),
        **tables,
    }  # fmt: skip
    made = {name: pd.DataFrame(rows, dtype=object) for name, rows in frames.items()}
    columns = ["call_id", "agreement_id", "amount", "currency", "due", "margin_type"]
    made["calls"] = pd.DataFrame(list(calls), columns=columns, dtype=object)
    return Book.from_tables(
        made,
        settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD", "horizon_days": 5},
        schedules={"all": {"rules": [{"label": "all", "haircut": 0}]}},
    )


def projected(book: Book, stress: dict[str, Any], **file: Any) -> Projection:
    read = StressFile.from_mapping({"stresses": {"s": stress}, **file})
    return project(book, read.stress(), read)


def called(projection: Projection) -> dict[str, float]:
    return dict(zip(projection.calls["call_id"], projection.calls["amount"], strict=True))


def codes(projection: Projection) -> list[str]:
    return [one.code for one in projection.findings]


# -------------------- the worked case


@pytest.fixture(scope="module")
def case() -> Projection:
    file = read_stresses(EXAMPLE / "stresses.yaml")
    return project(read_book(EXAMPLE), file.stress(), file)


def test_the_case_comes_out_figure_by_figure(case: Projection) -> None:
    frame = case.positions.set_index("position_id")
    for name, figures in CASE.items():
        assert frame.loc[name, FIGURES].tolist() == pytest.approx(figures, nan_ok=True, abs=1e-6), name
    sums = totals(case)
    assert [sums[column] for column in FIGURES] == pytest.approx(TOTAL, abs=1e-6)
    assert called(case) == {"CCP vm": 9 * M, "CCP im": 1.5 * M}
    assert case.calls["due"].tolist() == [pd.Timestamp("2026-03-24T16:00:00-04:00")] * 2
    assert not len(case.receipts)


def test_the_stated_margin_of_the_case_contradicts_its_value(case: Projection) -> None:
    (found,) = case.findings
    assert found.code == "W921"
    assert found.cause == (
        "TY: stated -1,000,000, but the value moves by -1,000,000 from -30,000,000 to -31,000,000, a loss: marked to "
        "market it would be +1,000,000, and CCP would call 12,500,000 instead of 10,500,000."
    )


def test_what_meets_the_case_is_what_its_source_lists(case: Projection) -> None:
    result = optimise(case.book)
    assert result.status == "optimal" and result.summary["total_cost"] == pytest.approx(415.39, abs=0.01)
    assert case.book.assets.set_index("asset_id")["price"]["TECH"] == 75.0
    by = result.financing.groupby("facility_id")["proceeds"].sum().to_dict()
    # the 1.5 of initial margin and the 9 of variation margin: line 1.5, fund 3, repo 4 (its lots make 360 more)
    assert by == pytest.approx({"LINE": 1.5 * M, "REDEEM": 3 * M, "REPO": 4 * M + 360}, abs=1)


def test_marked_to_market_the_case_calls_twelve_and_a_half_millions() -> None:
    stress: dict[str, Any] = {
        "shocks": [{"of": "equity", "value": "-20%"}, {"of": {"position_id": "TECH"}, "value": "-25%"}],
        "values": {"TY": -31 * M},
        "initial_margin": [
            {"of": {"position_id": "SPX"}, "multiplier": 1.2},
            {"of": {"position_id": "TY"}, "add": 0.5 * M},
        ],
    }
    found = projected(book_of(), stress)
    assert called(found) == {"CCP vm": 11 * M, "CCP im": 1.5 * M}
    # within 1 % of the change nothing is said, and the stated figure counts
    near = projected(book_of(), {**stress, "variation_margin": {"TY": 1_009_999}})
    assert called(near)["CCP vm"] == 11_009_999 and "W921" not in codes(near)
    apart = projected(book_of(), {**stress, "variation_margin": {"TY": 1_010_001}})
    assert "W921" in codes(apart)


# -------------------- netting


@pytest.mark.parametrize(
    ("nets", "calls", "receipts"),
    [
        (None, {"CCP vm": 9 * M, "CCP im": 1.5 * M}, []),
        ("margin_type", {"CCP vm": 9 * M, "CCP im": 1.5 * M}, []),
        ("all", {"CCP": 10.5 * M}, []),
        ("none", {"CCP": 11 * M}, [0.5 * M]),
    ],
)
def test_an_agreement_nets_what_it_says(nets: str | None, calls: dict[str, float], receipts: list[float]) -> None:
    agreements = [{"agreement_id": "CCP", "counterparty": "Clearing", "schedule": "all", "nets": nets}]
    stress = {
        "shocks": [{"of": "equity", "value": "-20%"}],
        "variation_margin": {"TY": -1 * M},
        "initial_margin": [
            {"of": {"position_id": "SPX"}, "multiplier": 1.2},
            {"of": {"position_id": "TY"}, "to": 2 * M},
        ],
    }
    found = projected(book_of(agreements=agreements), stress)
    assert called(found) == calls
    assert found.receipts["amount"].tolist() == receipts
    assert ("N932" in codes(found)) == bool(receipts)


def test_gains_of_variation_margin_pay_no_initial_margin_and_are_received() -> None:
    stress = {"shocks": [{"of": "equity", "value": "+10%"}], "initial_margin": [{"agreement": "CCP", "add": 2 * M}]}
    found = projected(book_of(), stress, calls="replace")
    assert called(found) == {"CCP im": 2 * M}
    (receipt,) = found.receipts.to_dict("records")
    assert (receipt["agreement_id"], receipt["margin_type"], receipt["amount"]) == ("CCP", "vm", 5 * M)
    counted = projected(book_of(), {**stress, "due": {"vm": "+1d", "im": "+2d"}}, receipts="count")
    held = counted.book.holdings.set_index("holding_id").loc["receipt CCP vm"]
    assert (held["asset_id"], held["quantity"]) == ("USD", 5 * M)
    assert held["ready_at"] == pd.Timestamp("2026-03-25T08:00:00-04:00")
    assert codes(counted) == []


def test_any_agreement_nets_as_a_loop_in_decimals_does() -> None:
    generator = np.random.default_rng(11)
    for _ in range(12):
        n = int(generator.integers(1, 25))
        kinds = ["margin_type", "all", "none", None]
        agreements = [
            {"agreement_id": f"A{k}", "counterparty": "B", "schedule": "all", "base_currency": c, "nets": kinds[k]}
            for k, c in enumerate(["USD", "EUR", "USD", "EUR"])
        ]
        rows: Rows = []
        for i in range(n):
            a = int(generator.integers(-1, 4))
            rows.append(
                {"position_id": f"P{i}", "agreement_id": None if a < 0 else f"A{a}", "instrument": "x",
                 "currency": str(generator.choice(["USD", "EUR"])), "beta": float(generator.integers(0, 3)) / 2,
                 "asset_type": str(generator.choice(["equity", "debt"])),
                 "market_value": float(generator.integers(-9999, 9999)),
                 "initial_margin": None if a < 0 else float(generator.integers(0, 999))}
            )  # fmt: skip
        rows.append({**rows[0], "position_id": "E", "asset_type": "equity"})
        book = book_of(rows, agreements=agreements)
        found = projected(
            book,
            {
                "shocks": [{"of": "equity", "value": "-30%"}],
                "initial_margin": [{"of": "all", "multiplier": "1.5", "add": 3}],
            }
            if any(row["agreement_id"] for row in rows)
            else {"shocks": [{"of": "equity", "value": "-30%"}]},
        )
        rate = {"USD": Decimal(1), "EUR": Decimal("1.25")}
        legs: dict[tuple[str, bool], Decimal] = {}
        for k, agreement in enumerate(agreements):
            own = rate[str(agreement["base_currency"])]
            parts = []
            for row in (row for row in rows if row["agreement_id"] == f"A{k}"):
                fall = Decimal("0.3") * Decimal(str(row["beta"])) if row["asset_type"] == "equity" else Decimal(0)
                scale = rate[row["currency"]] / own
                margin = Decimal(str(row["initial_margin"]))
                parts.append((Decimal(str(row["market_value"])) * fall * scale, (margin / 2 + 3) * scale))
            vm, im = sum((p[0] for p in parts), Decimal(0)), sum((p[1] for p in parts), Decimal(0))
            pays = {
                0: [vm, im], 1: [vm + im], 2: [a + b for a, b in parts], 3: [vm, im]
            }[k]  # fmt: skip
            legs[f"A{k}", True] = sum((max(Decimal(0), p) for p in pays), Decimal(0))
            legs[f"A{k}", False] = sum((max(Decimal(0), -p) for p in pays), Decimal(0))
        for frame, out in ((found.calls, True), (found.receipts, False)):
            sums = frame.groupby("agreement_id")["amount"].sum().to_dict()
            expected = {name: float(v) for (name, side), v in legs.items() if side is out and v}
            assert sums == pytest.approx(expected, abs=1e-5)


# -------------------- values


def test_stated_values_come_before_revaluation_before_shocks() -> None:
    rows = [{**row, "value_base-20": v} for row, v in zip(POSITIONS, [41 * M, None, None], strict=True)]
    stress = {"shocks": [{"of": "all", "value": "-10%"}], "revalue": "base-20", "values": {"TY": -28 * M}}
    found = projected(book_of(rows), stress)
    assert found.positions["stressed_market_value"].tolist() == [41 * M, 18 * M, -28 * M]
    assert found.positions["stressed_unrealised_pnl"].tolist() == [-4 * M, 6 * M, 0]
    with pytest.raises(UsageError, match="Did you mean base-20"):
        projected(book_of(rows), {"revalue": "base20"})


def test_sensitivities_add_delta_and_half_of_gamma() -> None:
    table = [
        {"position_id": "SPX", "factor": "vol", "delta": 100_000, "gamma": -20_000},
        {"position_id": "TY", "factor": "vol", "delta": -5, "gamma": 0},
    ]
    stress = {"shocks": [{"factor": "vol", "by": 2}, {"of": "equity", "value": "-1%"}]}
    found = projected(book_of(sensitivities=table), stress)
    # 200,000 - 20,000 x 4 / 2 = 160,000, and -1 % of 50 million
    assert found.positions["variation_margin_call"].tolist() == pytest.approx(
        [-160_000 + 500_000, nan, 10], nan_ok=True
    )
    stranger = projected(book_of(sensitivities=table), {"shocks": [{"factor": "voll", "by": 2}]})
    assert codes(stranger) == ["W923"] and "Did you mean vol?" in stranger.findings[0].action


def test_beta_belongs_to_classes_and_the_last_shock_that_names_a_position_counts() -> None:
    rows = [{**POSITIONS[0], "beta": 1.5}, POSITIONS[1], POSITIONS[2]]
    by_class = projected(book_of(rows), {"shocks": [{"of": "all", "value": "-50%"}, {"of": "equity", "value": "-20%"}]})
    assert by_class.positions["stressed_market_value"].tolist() == pytest.approx([35 * M, 16 * M, -15 * M])
    alone = projected(
        book_of(rows), {"shocks": [{"of": "equity", "value": "-20%"}, {"of": {"position_id": "SPX"}, "value": "-20%"}]}
    )
    assert alone.positions["stressed_market_value"].tolist() == pytest.approx([40 * M, 16 * M, -30 * M])
    with pytest.raises(UsageError, match="SPX: shock times beta is -120%"):
        projected(book_of(rows), {"shocks": [{"of": "equity", "value": "-80%"}]})


def test_a_position_takes_what_it_leaves_empty_from_its_asset() -> None:
    rows = [{"position_id": "P", "agreement_id": "CCP", "instrument": "SHARE", "quantity": 30, "initial_margin": 0}]
    found = projected(book_of(rows), {"shocks": [{"of": {"sector": "energy"}, "value": "-10%"}]})
    assert found.positions["market_value"].tolist() == [3000.0] and called(found) == {"CCP vm": 300.0}
    named = projected(book_of(POSITIONS), {"shocks": [{"of": {"illiquid": "true"}, "value": "-10%"}]})
    assert named.positions["stressed_market_value"].tolist() == [50 * M, 18 * M, -30 * M]


def test_a_short_position_in_another_currency_without_stated_margin_by_hand() -> None:
    rows: Rows = [
        {"position_id": "BUND", "agreement_id": "CCP", "instrument": "bund", "asset_type": "debt", "currency": "EUR",
         "quantity": -3_000_000, "price": 98.5, "price_factor": 0.01, "initial_margin": None, "unrealised_pnl": 7_000},
        {"position_id": "IDX", "agreement_id": "CCP", "instrument": "index", "asset_type": "equity", "currency": "USD",
         "quantity": 12, "price": 5_000, "price_factor": 50, "initial_margin": 180_000, "beta": 0.5},
    ]  # fmt: skip
    stress = {
        "shocks": [{"of": "debt", "value": "+4%"}, {"of": "equity", "value": "-10%"}],
        "initial_margin": [{"of": "all", "multiplier": "1.25", "add": 1_000}],
        "book": ["fx:EUR=+4%"],
    }
    found = projected(book_of(rows), stress)
    # 3 million at 98.5 % is 2,955,000 euros short: 4 % more are 118,200; half of 10 % of 3 million dollars is 150,000.
    assert found.positions["market_value"].tolist() == [-2_955_000.0, 3_000_000.0]
    assert found.positions["stressed_market_value"].tolist() == pytest.approx([-3_073_200, 2_850_000])
    assert found.positions["stressed_unrealised_pnl"].tolist() == pytest.approx([7_000 - 118_200, -150_000])
    assert found.positions["stressed_initial_margin"].tolist() == [1_000, 226_000]
    # A euro is 1.30: 153,660 + 150,000, and 1,300 + 46,000.
    assert called(found) == pytest.approx({"CCP vm": 303_660, "CCP im": 47_300})
    assert totals(found)["total_margin_call"] == pytest.approx(350_960)


def test_currencies_of_positions_agreements_and_book_differ() -> None:
    rows = [{**POSITIONS[0], "currency": "EUR"}, POSITIONS[2]]
    agreements = [
        {"agreement_id": "CCP", "counterparty": "C", "schedule": "all", "base_currency": "EUR", "nets": "margin_type"}
    ]
    stress = {"values": {"SPX": 45 * M, "TY": -31 * M}}
    found = projected(book_of(rows, agreements=agreements), stress)
    assert called(found) == {"CCP vm": 5 * M + 1 * M / 1.25} and found.calls["currency"].tolist() == ["EUR"]
    assert totals(found)["market_value"] == 50 * M * 1.25 - 30 * M
    weaker = projected(book_of(rows, agreements=agreements), {**stress, "book": ["fx:EUR=1"]})
    assert called(weaker) == {"CCP vm": 6 * M}


# -------------------- agreements with thresholds

EXPOSED = {"agreement_id": "CSA1", "currency": "USD", "exposure": "-12000000", "held_by_us": "0",
           "held_by_them": "2000000", "threshold_us": "10000000", "minimum_transfer_us": "500000"}  # fmt: skip
THRESHOLDS: Rows = [
    {"agreement_id": "CSA1", "party": "us", "rating": "A", "threshold": 10 * M},
    {"agreement_id": "CSA1", "party": "us", "rating": "BBB+", "threshold": 5 * M},
    {"agreement_id": "CSA1", "party": "us", "rating": None, "threshold": 0},
    {"agreement_id": "CSA1", "party": "them", "rating": "BBB-", "threshold": 7 * M, "minimum_transfer": 1},
]
RATED = {"us": "A", "CSA1": "A"}
SWAP = [{"position_id": "SWAP", "agreement_id": "CSA1", "instrument": "swap", "market_value": -12 * M,
         "initial_margin": 0}]  # fmt: skip


def by_stock(stress: dict[str, Any], rating: str = "A", **cells: str) -> Projection:
    exposures = pd.DataFrame([{**EXPOSED, **cells}], dtype=object)
    return projected(
        book_of(SWAP, thresholds=THRESHOLDS), stress, exposures=exposures, ratings={"us": rating, "CSA1": "A"}
    )


@pytest.mark.parametrize(
    ("value", "rating", "notches", "amount"),
    [
        (-16 * M, "A", 0, 4 * M),  # 16 - threshold 10 - held 2
        (-16 * M, "A", 1, 9 * M),  # A-: below A, at least BBB+: 16 - 5 - 2
        (-16 * M, "A", 2, 9 * M),  # BBB+ itself
        (-16 * M, "A", 3, 14 * M),  # BBB, below all: 16 - 0 - 2
        (-16 * M, "AAA", 5, 4 * M),  # A
        (-12.3 * M, "A", 0, 0),  # 0.3 is below the minimum transfer amount
        (-12.5 * M, "A", 0, 0.5 * M),
        (-12 * M, "A", 21, 10 * M),  # nothing moves but the rating, to its end
    ],
)
def test_a_threshold_and_what_is_held_come_off_the_exposure(
    value: float, rating: str, notches: int, amount: float
) -> None:
    stress: dict[str, Any] = {"values": {"SWAP": value}, "due": {"CSA1": "+1d"}}
    found = by_stock({**stress, "downgrade": {"us": notches}} if notches else stress, rating)
    assert called(found) == ({"CSA1": amount} if amount else {})
    if amount:
        assert found.calls["due"][0] == pd.Timestamp("2026-03-25T08:00:00-04:00")


def test_an_unknown_rating_leaves_the_exposures_threshold_with_a_warning() -> None:
    exposures = pd.DataFrame([EXPOSED], dtype=object)
    book = book_of(SWAP, thresholds=THRESHOLDS)
    found = projected(book, {"values": {"SWAP": -16 * M}}, exposures=exposures, ratings={"CSA1": "A"})
    assert called(found) == {"CSA1": 4 * M} and codes(found) == ["W925", "N934"]
    with pytest.raises(UsageError, match="the rating of 'us' is unknown"):
        projected(book, {"downgrade": {"us": 1}}, exposures=exposures)
    with pytest.raises(UsageError, match="no threshold depends on the rating of 'us'"):
        projected(book_of(SWAP), {"downgrade": {"us": 1}}, exposures=exposures, ratings={"us": "A"})


def test_their_threshold_falls_with_their_rating_and_what_they_owe_is_received() -> None:
    found = by_stock({"values": {"SWAP": 8 * M}, "downgrade": {"CSA1": 4}}, exposure="-12000000", held_by_them="0")
    # from -12 by +20 to 8 of ours; they are BBB, with a threshold of 7
    assert called(found) == {} and found.receipts["amount"].tolist() == [1 * M]
    back = by_stock({"values": {"SWAP": -12 * M}}, held_by_us="3000000", held_by_them="0")
    assert codes(back) == ["N933", "N934"]
    assert called(back) == {"CSA1": 2 * M} and "3,000,000 USD" in back.findings[0].cause


def test_initial_margin_of_a_stock_is_not_netted_and_the_books_call_of_it_is_not_counted_twice() -> None:
    rows = [{**SWAP[0], "initial_margin": 4 * M}]
    exposures = pd.DataFrame(
        [{**EXPOSED, "call_id": "M1", "margin_type": "im", "exposure": "0", "exposure_them": "4000000",
          "held_by_them": "4000000", "threshold_us": "0", "due": "2026-03-25T10:00:00-04:00"}], dtype=object
    )  # fmt: skip
    call: dict[str, Any] = {"agreement_id": "CSA1", "currency": "USD", "due": None}
    calls = [
        {**call, "call_id": "M1", "amount": 9, "margin_type": "im"},
        {**call, "call_id": "V1", "amount": 7, "margin_type": "vm"},
    ]
    stress = {"values": {"SWAP": -13 * M}, "initial_margin": [{"of": "all", "multiplier": 1.5}]}
    found = projected(book_of(rows, calls), stress, exposures=exposures)
    # variation margin has no row in the exposures: it is called as it is lost
    assert called(found) == {"V1": 7, "CSA1 vm": 1 * M, "M1": 2 * M}
    assert found.calls["due"].dropna().tolist() == [pd.Timestamp("2026-03-25T10:00:00-04:00")]
    assert called(projected(book_of(rows, calls), stress, exposures=exposures, calls="replace")).keys() == {
        "CSA1 vm",
        "M1",
    }


# -------------------- the book under the stress


def test_collateral_takes_the_last_shock_that_names_it_and_words_change_the_book() -> None:
    facilities = [{"facility_id": "LINE", "kind": "credit_line", "gives": "USD", "capacity": 10 * M}]
    stress = {
        "shocks": [
            {"of": "equity", "value": "-20%", "on": "both"},
            {"of": {"asset_id": "SHARE"}, "value": "-30%", "on": "collateral"},
        ],
        "book": ["facility:LINE.capacity=-50%"],
        "due": {"vm": "+20h"},
    }
    found = projected(book_of(facilities=facilities), stress)
    assert found.book.assets.set_index("asset_id")["price"]["SHARE"] == 70.0
    assert found.book.facilities["capacity"].tolist() == [5 * M]
    assert found.book.calls["due_date"].tolist() == [pd.Timestamp("2026-03-25")]
    pd.testing.assert_frame_equal(found.book.calls, found.calls)
    assert found.positions["stressed_market_value"].tolist()[:2] == [40 * M, 16 * M]
    assert codes(found) == []


def test_collateral_that_keeps_its_price_while_its_class_falls_is_noted() -> None:
    found = projected(book_of(), {"shocks": [{"of": "equity", "value": "-20%"}], "due": {"vm": "+1h"}})
    (note,) = found.findings
    assert note.code == "N931" and "100,000 USD" in note.cause and "SHARES" in note.cause


def test_margin_on_what_is_not_margined_and_less_margin_are_warned_of() -> None:
    stress = {
        "variation_margin": {"TECH": 5},
        "initial_margin": [{"of": "all", "multiplier": "0.5"}],
        "due": {"vm": "+1h", "im": "+1h"},
    }
    found = projected(book_of(), stress)
    assert codes(found) == ["W922", "W924", "N932"]
    assert found.receipts["amount"].tolist() == [3.25 * M] and isnan(found.positions["variation_margin_call"][1])


def test_a_call_of_the_same_name_keeps_its_own() -> None:
    calls = [
        {"call_id": "CCP vm", "agreement_id": "CSA1", "amount": 9, "currency": "USD", "due": None, "margin_type": None}
    ]
    found = projected(book_of(calls=calls), {"values": {"SPX": 49 * M}})
    assert called(found) == {"CCP vm": 9, "CCP vm stress": 1 * M}
    pins = [{"call_id": "CCP vm", "holding_id": "CASH", "forbid": True}]
    replaced = projected(book_of(calls=calls, pins=pins), {"values": {"SPX": 49 * M}}, calls="replace")
    assert called(replaced) == {"CCP vm": 1 * M}


def test_what_is_not_there_is_told_all_at_once() -> None:
    stress = {
        "shocks": [{"of": "equty", "value": "-20%"}, {"of": {"position_id": "SPY"}, "value": "-1%"}],
        "values": {"TYY": 1},
        "variation_margin": {"SPY": 1},
        "initial_margin": [{"agreement": "CPP", "add": 1}, {"of": {"position_id": "TECH"}, "multiplier": 2}],
        "due": {"CPP": "+1h", "vm": "-3h"},
    }
    with pytest.raises(UsageError) as caught:
        projected(book_of(), stress)
    said = str(caught.value)
    for part in (
        "no position is of class 'equty'. Did you mean equity?", "{position_id: SPY} is true of no position",
        "values: position 'TYY' is not in the book. Did you mean TY?", "variation_margin: position 'SPY'",
        "initial_margin: agreement 'CPP'", "due: agreement 'CPP'",
        "due: vm is due -3h, before the book's time", "names no position with an agreement",
    ):  # fmt: skip
        assert part in said, said
    with pytest.raises(UsageError, match="facility 'LINE' is not in the book"):
        projected(book_of(), {"book": ["facility:LINE.capacity=-50%"]})
    with pytest.raises(BookError, match="R101"):
        by_stock({"values": {"SWAP": 0}}, held_by_us="")


def test_an_agreement_that_the_stress_takes_away_calls_nothing() -> None:
    rows = [*POSITIONS, *SWAP]
    table = [{"position_id": "TY", "factor": "vol", "delta": -50 * M}]
    exposures = pd.DataFrame([EXPOSED], dtype=object)
    book = book_of(rows, sensitivities=table, thresholds=THRESHOLDS)
    stress = {"values": {"SWAP": -16 * M}, "variation_margin": {"TY": 5}, "shocks": [{"factor": "vol", "by": "0.1"}]}
    both = projected(book, stress, exposures=exposures, ratings=RATED)
    assert called(both) == {"CCP vm": 5, "CSA1": 4 * M}
    one = projected(book, {**stress, "book": [{"remove": {"agreement": "CCP"}}]}, exposures=exposures, ratings=RATED)
    assert called(one) == {"CSA1": 4 * M} and one.book.positions["position_id"].tolist() == ["TECH", "SWAP"]
    other = projected(book, {**stress, "book": [{"remove": {"agreement": "CSA1"}}]}, exposures=exposures, ratings=RATED)
    assert called(other) == {"CCP vm": 5} and not len(other.book.thresholds)


def test_books_without_positions_keep_their_digest() -> None:
    book = book_of([])
    bare = book.replace(positions=book.positions.iloc[:0], thresholds=book.thresholds.iloc[:0])
    assert bare.digest == book.digest
    with_one = book_of(SWAP)
    assert with_one.digest != book.digest and book_of(SWAP).digest == with_one.digest
    assert book_of(SWAP, thresholds=THRESHOLDS).digest != with_one.digest


def test_a_book_without_positions_is_stressed_by_its_own_calls() -> None:
    calls = [{"call_id": "C", "agreement_id": "CCP", "amount": 5, "currency": "USD", "due": None, "margin_type": None}]
    found = projected(book_of([], calls), {"book": ["call:C.amount=+100%"]})
    assert called(found) == {"C": 10} and not len(found.positions)
    assert codes(found) == [] and totals(found)["total_margin_call"] == 0


def test_sentences_are_complete(case: Projection) -> None:
    for one in case.findings:
        assert "{" not in one.cause + one.action and one.code in CATALOGUE


# -------------------- told and written


def test_what_is_said_and_written(case: Projection, tmp_path: Path) -> None:
    text = projection_text(case)
    assert text.splitlines()[0] == "equities down a fifth"
    assert "10,500,000" in text.splitlines()[5] and "due 2026-03-24T16:00:00-04:00" in text
    again = replace(case, name="2: the same")
    paths = write_projections([case, again], tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths[::4]] == [
        "totals.csv", "equities-down-a-fifth/findings.csv", "2-the-same/findings.csv",
    ]  # fmt: skip
    read = pd.read_csv(tmp_path / "out" / "totals.csv")
    assert read["calls"].tolist() == [10.5 * M] * 2 and read["stressed_market_value"].tolist() == [24 * M] * 2
    calls = pd.read_csv(tmp_path / "out" / "equities-down-a-fifth" / "calls.csv")
    assert calls["due"].tolist() == ["2026-03-24T16:00:00-04:00"] * 2
    with pytest.raises(UsageError, match="would be written to one folder"):
        write_projections([case, replace(case, name="Equities down, a fifth")], tmp_path / "other")
    # What an earlier run wrote goes, what others put there stays.
    (tmp_path / "out" / "note.txt").write_text("mine")
    write_projections([case], tmp_path / "out", force=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "equities-down-a-fifth", "note.txt", "totals.csv",
    ]  # fmt: skip


def test_the_command_says_the_case_and_writes_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "collateral_opt", "stress", "project", str(EXAMPLE), "--stresses",
             str(EXAMPLE / "stresses.yaml")]  # fmt: skip
    done = subprocess.run([*words, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "10,500,000" in done.stdout and "W921" in done.stderr
    assert (tmp_path / "out" / "totals.csv").is_file()
    wrong = subprocess.run([*words, "--stress", "no"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "there is no stress 'no'" in wrong.stderr
