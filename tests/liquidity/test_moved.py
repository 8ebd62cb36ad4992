"""What a scenario calls and receives is what a projection of the very same figures does, agreement by agreement."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.factors import draw
from collateral_opt.liquidity.moved import Moved, moved
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.stress import StressFile
from collateral_opt.session import Session
from tests.desks import asset
from tests.liquidity.moving import FACTORS, book, file, plan

KINDS = ["vm", "im", None]
NETS = ["margin_type", "all", "none", None]


def exposure(**cells: object) -> dict[str, object]:
    row: dict[str, object] = {"agreement_id": "CSA", "currency": "USD", "exposure": 0, "held_by_us": 0}
    return {**row, "held_by_them": 0, "threshold_us": 0, "threshold_them": 0, **cells}


def one_swap(receipts: str = "ignore", **cells: object) -> Moved:
    """A position of 100 million with an exposure; a fall of 1 % is a loss of 1 million."""
    agreements = [{"agreement_id": "CSA", "counterparty": "Bank", "schedule": "s", "base_currency": "USD"}]
    positions = [
        {"position_id": "P", "agreement_id": "CSA", "instrument": "swap", "asset_type": "equity", "market_value": 100e6,
         "initial_margin": 0.0, "beta": 1.0}
    ]  # fmt: skip
    calls = [{"call_id": "OWN", "agreement_id": "CSA", "amount": 1e6, "currency": "USD"}]
    still = [{"position_id": "P", "factor": "vol", "delta": 0.0, "gamma": 0.0}]
    whole = book(agreements=agreements, positions=positions, sensitivities=still, calls=calls)
    read = StressFile.from_mapping(
        {
            "exposures": pd.DataFrame([exposure(**cells)], dtype=object),
            "receipts": receipts,
            "stresses": {"day": {"due": {"vm": "+8h", "im": "+8h"}}},
            "generator": FACTORS,
            "links": [{"of": "equity", "factor": "equities", "on": "positions"}],
        }
    )
    return moved(whole, read.stress(), read)


def paid_and_got(here: Moved, equities: float) -> tuple[float, float]:
    paid, got = here.asked(np.array([[equities, 0.0]]))
    return float(paid[0, 0]), float(got[0, 0])


# By hand.


@pytest.mark.parametrize(
    ("fall", "called"),
    [
        (0.0, 0.0),  # 8 owed, below the threshold of 10
        (0.02, 0.0),  # 10 owed: the threshold itself
        (0.0249999, 0.0),  # 10.49999 owed: 0.49999 is below the minimum transfer of 0.5
        (0.025, 0.5e6),  # 0.5 reaches it
        (0.0250001, 0.51e6),  # 500,010 up to 510,000
        (0.03, 1e6),
    ],
)
def test_a_threshold_and_a_minimum_transfer_are_straddled(fall: float, called: float) -> None:
    terms = {"exposure": -8e6, "threshold_us": 10e6, "minimum_transfer_us": 5e5, "delivery_unit": 10_000}
    assert paid_and_got(one_swap(**terms), -fall) == (called, 0.0)


def test_what_they_owe_is_received_by_their_terms_and_what_they_hold_goes_back() -> None:
    here = one_swap(exposure=-8e6, held_by_them=8e6, threshold_them=2e6, minimum_transfer_them=1e6, return_unit=1e5)
    assert here.kept == {}
    # A rise of 5 %: 3 owed, 5 of 8 go back.
    assert paid_and_got(here, 0.05) == (0.0, 5e6)
    # 5.05 % more: 5.05 goes back, down to a multiple of 0.1.
    assert paid_and_got(here, 0.0505) == (0.0, 5e6)
    # 0.9 % more: 0.9 to go back is below their minimum.
    assert paid_and_got(here, 0.009) == (0.0, 0.0)
    # 11 %: all 8 go back, and of the 3 that they owe, 1 is above their threshold.
    assert paid_and_got(here, 0.11) == (0.0, 9e6)
    assert paid_and_got(here, -0.01) == (1e6, 0.0)


def test_what_is_received_is_cash_of_the_scenario() -> None:
    here = one_swap("count", exposure=0, threshold_us=1e6)
    (holding,) = here.calls.receipts
    assert holding == "receipt CSA"
    ((change, _),) = here.changes(np.array([[0.02, 0.0]]))
    assert change.quantities == {holding: 2e6}
    assert change.applied_to(here.book).holdings.set_index("holding_id")["quantity"][holding] == 2e6
    ((change, _),) = here.changes(np.array([[-0.02, 0.0]]))
    assert (change.quantities, change.calls) == ({holding: 0.0}, {"CSA": 1e6})


def test_moves_come_on_top_of_where_the_stress_has_moved_a_factor() -> None:
    # The swap gains 20 x - 60 x^2 (millions): at 0.1 + 0.05 it is 3 - 1.35 = 1.65, at 0.1 it was 2 - 0.6 = 1.4.
    stresses = {"day": {"shocks": [{"factor": "vol", "by": "0.1"}], "due": {"vm": "+8h", "im": "+8h"}}}
    here = plan(stresses=stresses)
    lost = here.amounts(np.array([[-0.1, 0.0], [-0.1, 0.05]]))[:, 0]
    assert lost == pytest.approx([5e6 - 1.4e6, 5e6 - 1.65e6])
    (whole,) = (
        file(stresses={"sum": {"shocks": [{"factor": "vol", "by": "0.15"}, {"of": "equity", "value": "-10%"}]}}),
    )
    (called,) = project(book(), whole.stress(), whole).calls["amount"]
    assert lost[1] == pytest.approx(called)


def test_shock_and_moves_together_take_no_more_than_all() -> None:
    # 50 million of the index: the stress takes 60 %, moves of -50 % would take it through zero, and take 39 % more.
    # One with a stated value keeps what moves do to it, and so does a rise.
    day = {"shocks": [{"of": "equity", "value": "-60%"}], "due": {"vm": "+8h", "im": "+8h"}}
    moves = np.array([[-0.5, 0.0], [-0.3, 0.0], [0.1, 0.0]])
    assert plan(stresses={"day": day}).amounts(moves)[:, 0] == pytest.approx([49.5e6, 45e6, 25e6])
    stated = plan(stresses={"day": {**day, "values": {"INDEX": 20e6}}})
    assert stated.amounts(moves)[:, 0] == pytest.approx([55e6, 45e6, 25e6])


# Any book.


class Case:
    """Agreements of all kinds, some with exposures, positions of both signs and currencies, a stress over them."""

    def __init__(self, seed: int, receipts: str) -> None:
        rng = self.rng = np.random.default_rng(seed)
        names = [f"A{k}" for k in range(6)]
        self.agreements = [
            {"agreement_id": name, "counterparty": name, "schedule": "s",
             "base_currency": str(rng.choice(["USD", "EUR"])), "nets": NETS[int(rng.integers(4))]}
            for name in names
        ]  # fmt: skip
        self.positions: list[dict[str, Any]] = []
        for k in range(16):
            at = int(rng.integers(-1, 6))
            self.positions.append(
                {"position_id": f"P{k}", "agreement_id": names[at] if at >= 0 else None, "instrument": f"I{k}",
                 "asset_type": str(rng.choice(["equity", "debt"])), "currency": str(rng.choice(["USD", "EUR"])),
                 "market_value": round(float(rng.normal(0, 20e6)), 2), "beta": float(rng.choice([0.0, 0.5, 1.0, 1.5])),
                 "initial_margin": None if at < 0 else float(rng.integers(0, 40)) * 1e5}
            )  # fmt: skip
        self.sensitivities = [
            {"position_id": f"P{k}", "factor": "vol", "delta": round(float(rng.normal(0, 5e6))),
             "gamma": round(float(rng.normal(0, 5e7)))}
            for k in range(0, 16, 3)
        ]  # fmt: skip
        self.thresholds = [
            {"agreement_id": name, "party": party, "rating": rating, "threshold": float(rng.integers(0, 6)) * 1e6,
             "minimum_transfer": [None, 0.0, 3e5][int(rng.integers(3))]}
            for name in names[:2] for party in ("us", "them") for rating in ("A", "BBB", None)
        ]  # fmt: skip
        rows = []
        for name in names[:5]:
            kinds = [kind for kind in KINDS[: int(rng.integers(1, 3))] if rng.random() < 0.8]
            for kind in kinds or [None]:
                rows.append(self._exposure(name, kind))
        self.form: dict[str, Any] = {
            "calls": str(rng.choice(["keep", "replace"])),
            "receipts": receipts,
            "ratings": {"us": "A", "A0": "AA", "A1": "BBB"},
            "exposures": pd.DataFrame(rows, dtype=object),
            "generator": {**FACTORS, "seed": str(seed)},
        }
        margined = [p["position_id"] for p in self.positions if p["agreement_id"]]
        self.stated = {margined[0]: -123_456.78, margined[1]: 2_000_000.0}
        self.stress: dict[str, Any] = {
            "shocks": [{"of": "all", "value": "-3%"}],
            "variation_margin": self.stated,
            "initial_margin": [
                {"of": {"position_id": margined[2]}, "multiplier": "1.5"},
                {"agreement": "A1", "add": "250000"}, {"agreement": "A5", "add": "-40000"},
            ],
            "due": {"vm": "+6h", "A2": "+1d"},
        }  # fmt: skip
        if rng.random() < 0.7 and {"A0", "A1"} & {row["agreement_id"] for row in rows}:
            self.stress["downgrade"] = {"us": int(rng.integers(1, 5))}
        self.book = book(
            fx=[{"currency": "EUR", "rate": 1.25}],
            assets=[asset("USD", "cash", price=None), asset("EUR", "cash", price=None, currency="EUR"),
                    asset("SHARE", "equity", price=100.0)],
            agreements=self.agreements, positions=self.positions, sensitivities=self.sensitivities,
            thresholds=self.thresholds,
            calls=[{"call_id": "A0", "agreement_id": "A5", "amount": 5e4, "currency": "USD"},
                   {"call_id": "MINE", "agreement_id": "A1", "amount": 7e4, "currency": "USD"}],
        )  # fmt: skip

    def _exposure(self, name: str, kind: str | None) -> dict[str, object]:
        rng = self.rng
        figures = ("threshold_us", "threshold_them", "minimum_transfer_us", "minimum_transfer_them")
        row = exposure(agreement_id=name, currency=str(rng.choice(["USD", "EUR"])))
        row |= {"margin_type": kind, "call_id": f"{name} {kind or 'both'} M", "due": "2026-03-25T10:00:00-04:00"}
        row |= {column: float(rng.integers(0, 5)) * [1e6, 1e5][at // 2] for at, column in enumerate(figures)}
        row |= {"held_by_us": float(rng.integers(0, 6)) * 1e6, "held_by_them": float(rng.integers(0, 6)) * 1e6}
        if kind == "im":
            row |= {"exposure": float(rng.integers(0, 9)) * 1e6, "exposure_them": float(rng.integers(0, 9)) * 1e6}
        else:
            row |= {"exposure": round(float(rng.normal(0, 6e6)), 2), "independent_us": float(rng.integers(0, 3)) * 1e5}
        if rng.random() < 0.6:
            row |= {
                "delivery_unit": 10_000,
                "return_unit": 5_000,
                "delivery_rounding": str(rng.choice(["up", "nearest"])),
            }
        return row

    def moved(self) -> Moved:
        links = [{"of": "equity", "factor": "equities", "on": "positions"}]
        response = [{"initial_margin": "equity", "factor": "equities", "beyond": "0.5", "slope": "0.25"}]
        form = {**self.form, "stresses": {"day": self.stress}, "links": links, "response": response}
        read = StressFile.from_mapping(form)
        return moved(self.book, read.stress(), read)

    def alone(self, equities: Fraction, vol: Fraction) -> tuple[StressFile, dict[str, Any]]:
        """The moves as one stress that states every value, margin and multiplier."""
        known = {(s["position_id"]): s for s in self.sensitivities}
        values, stated, margins = {}, {}, []
        times = 1 + Fraction(1, 4) * max(Fraction(0), abs(equities) / Fraction("0.04") - Fraction(1, 2))
        multiplied = self.stress["initial_margin"][0]["of"]["position_id"]
        for p in self.positions:
            name, value, beta = p["position_id"], Fraction(p["market_value"]), Fraction(p["beta"])
            gain = value * beta * equities if p["asset_type"] == "equity" else Fraction(0)
            if name in known:
                gain += Fraction(known[name]["delta"]) * vol + Fraction(known[name]["gamma"]) * vol**2 / 2
            values[name] = float(value * (1 - Fraction(3, 100) * beta) + gain)
            if name in self.stated:
                stated[name] = float(Fraction(self.stated[name]) - gain)
            if p["agreement_id"]:
                by = (times if p["asset_type"] == "equity" else 1) * (Fraction(3, 2) if name == multiplied else 1)
                margins.append({"of": {"position_id": name}, "to": float(Fraction(p["initial_margin"]) * by)})
        stress = {
            **self.stress, "shocks": [], "values": values, "variation_margin": stated,
            "initial_margin": [*margins, *self.stress["initial_margin"][1:]],
        }  # fmt: skip
        return StressFile.from_mapping({**self.form, "stresses": {"alone": stress}}), stress


@pytest.mark.parametrize("receipts", ["ignore", "count"])
@pytest.mark.parametrize("seed", range(8))
def test_scenarios_call_and_receive_what_projections_do_to_the_cent(seed: int, receipts: str) -> None:
    case = Case(seed, receipts)
    here = case.moved()
    moves = np.round(draw(here.generator, 0, 7), 6)
    moves[0] = 0.0
    named = dict(zip(here.calls.ids, here.calls.legs, strict=True))
    both_ways, many = 0, [next(iter(here.changes(row[None, :]))) for row in moves]
    assert [change.calls for change, _ in here.changes(moves)] == [change.calls for change, _ in many]
    for (change, called), (equities, vol) in zip(many, moves.tolist(), strict=True):
        read, _ = case.alone(Fraction(str(equities)), Fraction(str(vol)))
        found = project(case.book, read.stress(), read)
        expected = dict(zip(found.calls["call_id"], found.calls["amount"], strict=True))
        applied = change.applied_to(here.book).calls
        got = dict(zip(applied["call_id"], applied["amount"], strict=True))
        assert got == pytest.approx(expected, abs=0.01, rel=0)
        columns = ["call_id", "agreement_id", "currency", "due", "due_date", "margin_type", "schedule"]
        pd.testing.assert_frame_equal(
            applied[columns].sort_values("call_id").reset_index(drop=True),
            found.calls[columns].sort_values("call_id").reset_index(drop=True),
        )
        rate = here.book.rates
        assert called == pytest.approx({n: change.calls[n] * rate[leg.currency] for n, leg in named.items()})
        received = here.asked(np.array([[equities, vol]]))[1].sum()
        assert received == pytest.approx(found.receipts["amount"].sum(), abs=0.05, rel=0)
        both_ways += bool(len(expected)) and bool(len(found.receipts))
        cash = found.book.holdings.set_index("holding_id")["quantity"]
        counted = {name: amount for name, amount in cash.items() if str(name).startswith("receipt")}
        assert {n: q for n, q in change.quantities.items() if q} == pytest.approx(counted, abs=0.01, rel=0)
        assert bool(counted) == (receipts == "count" and bool(len(found.receipts)))
    assert both_ways >= 3


def test_scenarios_with_exposures_and_receipts_are_answered_as_their_projections_are() -> None:
    case = Case(3, "count")
    here, session = case.moved(), None
    session = Session(here.book)
    for number, row in enumerate(np.round(draw(here.generator, 0, 4), 6)):
        ((change, _),) = here.changes(row[None, :])
        read, _ = case.alone(*(Fraction(str(x)) for x in row.tolist()))
        result = optimise(project(case.book, read.stress(), read).book)
        scenario = session.solve(change)
        assert scenario.total_shortfall == pytest.approx(float(result.calls["shortfall"].sum()), abs=200), number
        assert scenario.cost == pytest.approx(result.total_cost, abs=5), number


def test_two_rows_that_one_agreements_positions_would_move_are_refused() -> None:
    case = Case(0, "ignore")
    frame = case.form["exposures"]
    first = frame.iloc[:1]
    margined = {p["agreement_id"] for p in case.positions}
    assert first["agreement_id"].iloc[0] in margined
    case.form["exposures"] = pd.concat([first, first.assign(call_id="again")], ignore_index=True)
    with pytest.raises(UsageError, match="has 2 rows of"):
        case.moved()
