"""Strategies on the same scenarios, against calls worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import Book
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.buffer import Candidate
from collateral_opt.liquidity.strategies import Compared, compare_strategies, read_strategies
from collateral_opt.liquidity.stress import StressFile


def book(cash: float = 10e6) -> Book:
    """10m of cash; 50m of index futures with 5m of margin at a clearer that nets each margin type."""
    return Book.from_tables(
        {
            "assets": pd.DataFrame({"asset_id": ["USD"], "asset_type": ["cash"], "currency": ["USD"]}),
            "holdings": pd.DataFrame(
                {"holding_id": ["CASH"], "asset_id": ["USD"], "quantity": [cash], "cost_bps": [36.0]}
            ),
            "agreements": pd.DataFrame({"agreement_id": ["CCP"], "counterparty": ["Clearer"], "schedule": ["cash"]}),
            "calls": pd.DataFrame(columns=["call_id", "agreement_id", "amount", "currency"]),
            "positions": pd.DataFrame(
                {
                    "position_id": ["SPX"],
                    "agreement_id": ["CCP"],
                    "instrument": ["S&P futures"],
                    "asset_type": ["equity"],
                    "market_value": [50e6],
                    "initial_margin": [5e6],
                }
            ),
        },
        settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD", "horizon_days": 10, "day_count": 360},
        schedules={"cash": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}]}},
    )


FALLS: dict[str, Any] = {
    "stresses": {
        "a fifth": {
            "shocks": [{"of": "equity", "value": "-20%"}],
            "initial_margin": [{"of": "equity", "multiplier": "1.2"}],
        },
        "a tenth": {"shocks": [{"of": "equity", "value": "-10%"}]},
    }
}
WAYS: dict[str, Any] = {
    "as it is": "",
    "smaller": {"scale": {"of": "equity", "by": "-30%"}},
    "short futures": {
        "add": {
            "position_id": "HEDGE",
            "agreement_id": "CCP",
            "instrument": "S&P futures",
            "asset_type": "equity",
            "market_value": "-15000000",
            "initial_margin": "1500000",
        }
    },
    "cash kept": {"buffer": {"asset": "USD", "value": "2000000", "cost_bps": "60"}},
    "committed line": {
        "facilities": {
            "facility_id": "LINE",
            "kind": "credit_line",
            "gives": "USD",
            "capacity": "3000000",
            "cost_bps": "150",
        },
        "cost": "9000",
    },
}


@pytest.fixture(scope="module")
def compared() -> Compared:
    file = StressFile.from_mapping(FALLS)
    cash = Candidate("cash", "USD", cost_bps=50)
    return compare_strategies(book(), file, read_strategies(WAYS), share=1.0, candidates=[cash])


def test_calls_by_hand(compared: Compared) -> None:
    """A fifth: 10 + 1 = 11m; less 30 %: 7.7m; with 15m short against it 10 - 3 + 1 + 0.3 = 8.3m. A tenth: 5, 3.5,
    3.5m."""
    called = compared.scenarios.pivot(index="strategy", columns="scenario", values="called")
    assert called["a fifth"].to_dict() == pytest.approx(
        {"as it is": 11e6, "smaller": 7.7e6, "short futures": 8.3e6, "cash kept": 11e6, "committed line": 11e6}
    )
    assert called["a tenth"].to_dict() == pytest.approx(
        {"as it is": 5e6, "smaller": 3.5e6, "short futures": 3.5e6, "cash kept": 5e6, "committed line": 5e6}
    )


def test_what_is_short_and_what_each_way_costs(compared: Compared) -> None:
    """Against 10m of cash one million is short as it is; cash kept or a line cover it. 2m at 60 bps are 12,000 a year,
    1m of buffer at 50 bps 5,000. A fifth costs 10m at 36 bps for 10 days, 1,000, and 1m of line at 150 bps, 416.67."""
    table = compared.table.set_index("strategy")
    assert table["short"].to_dict() == {
        "as it is": 1,
        "smaller": 0,
        "short futures": 0,
        "cash kept": 0,
        "committed line": 0,
    }
    assert table.loc["as it is", "shortfall_most"] == pytest.approx(1e6)
    assert table["buffer_value"].to_dict() == pytest.approx(
        {"as it is": 1e6, "smaller": 0, "short futures": 0, "cash kept": 0, "committed line": 0}, abs=1
    )
    assert table["cost_a_year"].to_dict() == pytest.approx(
        {"as it is": 5000, "smaller": 0, "short futures": 0, "cash kept": 12_000, "committed line": 9000}, abs=0.1
    )
    costs = compared.scenarios.set_index(["strategy", "scenario"])["cost"]
    assert costs["committed line", "a fifth"] == pytest.approx(1000 + 1e6 * 0.015 * 10 / 360)
    assert costs["smaller", "a fifth"] == pytest.approx(7.7e6 * 0.0036 * 10 / 360)


def test_the_cheapest_buffer_of_several_is_what_stress_buffer_sizes() -> None:
    """1m is short as it is: of cash at 50 bps, or a line of 400,000 at 30 bps before it: 1,200 + 3,000 a year. Without
    the 10m of cash that the buffer takes the place of 11m are short, less 30 % 7.7m."""
    file, ways = StressFile.from_mapping(FALLS), read_strategies({w: WAYS[w] for w in ("as it is", "smaller")})
    candidates = [Candidate("cash", "USD", 50), Candidate("NEW", "USD", 30, most=4e5, is_line=True)]
    found = compare_strategies(book(), file, ways, share=1.0, candidates=candidates, aim="cost").table
    assert found["buffer cash"].tolist() == pytest.approx([6e5, 0], abs=0.02)
    assert found["buffer NEW"].tolist() == pytest.approx([4e5, 0], abs=0.02)
    assert found["buffer_cost"].tolist() == pytest.approx([4200, 0], abs=0.01)
    anew = compare_strategies(
        book(), file, ways, share=1.0, candidates=candidates, aim="cost", instead_of=["CASH"]
    ).table
    assert anew["buffer_value"].tolist() == pytest.approx([11e6, 7.7e6], abs=0.02)
    few = [Candidate("NEW", "USD", 30, most=4e5, is_line=True)]
    assert np.isnan(compare_strategies(book(), file, ways, share=1.0, candidates=few).table["buffer_value"].iloc[0])


def test_what_is_short_is_right_to_the_cent() -> None:
    """Money is short by 1m and not by a billionth of the call more, which the least cost would leave open."""
    file = StressFile.from_mapping(FALLS)
    found = compare_strategies(book(cash=1e6), file, read_strategies({"as it is": ""}))
    assert found.scenarios["shortfall"].round(4).tolist() == [10e6, 4e6]


def test_differences_are_paired(compared: Compared) -> None:
    """Smaller: 3.3m and 1.5m less, on average 2.4m with an error of 0.9m / sqrt(2) * sqrt(2) = 0.9m."""
    table = compared.table.set_index("strategy")
    assert table.loc["smaller", "called_less"] == pytest.approx(2.4e6)
    assert table.loc["smaller", "called_less_error"] == pytest.approx(0.9e6)
    assert table.loc["as it is", "called_less"] == 0
    assert table.loc["cash kept", "shortfall_less"] == pytest.approx(0.5e6)


def test_draws_are_the_same_for_every_strategy() -> None:
    """Without margin moves a call is in proportion to the position, draw by draw; a put that pays 0.5 per 1 of the move
    and 4 * x^2 / 2 takes that from each call."""
    form = {
        **FALLS,
        "generator": {"seed": "3", "factors": {"equities": {"volatility": "0.02"}}},
        "links": [{"of": "equity", "factor": "equities"}],
    }
    put = {
        "add": {
            "position_id": "PUT",
            "agreement_id": "CCP",
            "instrument": "put",
            "asset_type": "other",
            "market_value": "1",
        },
        "sensitivities": {"position_id": "PUT", "factor": "equities", "delta": "-10000000", "gamma": "80000000"},
        "cost": "250000",
    }
    ways = read_strategies({"as it is": "", "smaller": WAYS["smaller"], "put": put})
    file = StressFile.from_mapping(form)
    found = compare_strategies(book(cash=1e6), file, ways, count=200)
    by_way = {way: frame.reset_index(drop=True) for way, frame in found.scenarios.groupby("strategy")}
    before, smaller, hedged = (by_way[way]["called"].to_numpy() for way in ("as it is", "smaller", "put"))
    assert len(before) == 200
    assert (before > 0).sum() > 60
    assert smaller == pytest.approx(0.7 * before, abs=0.02)
    move = -before / 50e6  # where there is a call the index fell by it
    called = before > 1
    expected = np.maximum(0, before + 1e7 * move - 4e7 * move**2)
    assert hedged[called] == pytest.approx(expected[called], abs=0.02)
    # what is short is what is called above one million of cash
    assert by_way["as it is"]["shortfall"].to_numpy() == pytest.approx(np.maximum(0, before - 1e6), abs=0.02)
    high = np.sort(before)[189]  # 95 % of 200 are 190
    assert found.table.set_index("strategy").loc["as it is", "called_high"] == pytest.approx(high)


def test_a_scaled_position_brings_its_sensitivities_along() -> None:
    ways = read_strategies({"half": {"scale": [{"of": {"position_id": "SPX"}, "by": "-50%"}]}})
    with_delta = book().replace(
        sensitivities=pd.DataFrame({"position_id": ["SPX"], "factor": ["f"], "delta": [100.0], "gamma": [8.0]})
    )
    placed = ways[0].applied_to(with_delta)
    assert placed.positions[["market_value", "initial_margin"]].iloc[0].tolist() == [25e6, 2.5e6]
    assert placed.sensitivities[["delta", "gamma"]].iloc[0].tolist() == [50.0, 4.0]


def test_what_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"(?s)one: says 5.*two: cost is -1.*three, scale, 1: by"):
        read_strategies({"one": "5", "two": {"cost": "-1"}, "three": {"scale": {"of": "equity", "by": "3"}}})
    with pytest.raises(UsageError, match="no strategies"):
        read_strategies(None)
    odd = read_strategies(
        {"odd": {"add": {"colour": "red", "market_value": "much"}, "scale": {"of": "gold", "by": "+1%"}}}
    )
    with pytest.raises(
        UsageError, match=r"(?s)no position is of class 'gold'.*no column 'colour'.*'much' is no number"
    ):
        odd[0].applied_to(book())
    stated = StressFile.from_mapping({"stresses": {"s": {"values": {"SPX": "40000000"}}}})
    with pytest.raises(UsageError, match="values of s states its amount"):
        compare_strategies(book(), stated, read_strategies({"smaller": WAYS["smaller"]}))
    with pytest.raises(UsageError, match="not in the book"):
        file = StressFile.from_mapping(FALLS)
        compare_strategies(book(), file, read_strategies({"x": ""}), candidates=[Candidate("gold", "GOLD", 1.0)])
