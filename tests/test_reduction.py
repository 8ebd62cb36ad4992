"""Merging what is interchangeable changes nothing: the same optimum, flows of the whole, prices that prove it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.errors import BookError
from collateral_opt.generate import write_book
from collateral_opt.io.read import read_book
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import dual_bound
from collateral_opt.network import Problem, build_network
from collateral_opt.network.facts import gather
from collateral_opt.network.reduction import overlay, reduce
from collateral_opt.optimiser import optimise
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import Linear, linear_optima
from collateral_opt.solve.seam import Limits
from tests.judges.books import BookTables, random_book


def doubled(tables: BookTables) -> BookTables:
    """The same book with every holding in two, and every call: their halves are interchangeable."""
    frames = dict(tables.tables)
    holdings, calls = frames["holdings"], frames["calls"]
    twin = holdings.assign(holding_id=holdings["holding_id"] + "-2", quantity=3 * holdings["quantity"])
    again = calls.assign(call_id=calls["call_id"] + "-2", amount=calls["amount"] / 2)
    frames["holdings"] = pd.concat([holdings, twin], ignore_index=True)
    frames["calls"] = pd.concat([calls, again], ignore_index=True)
    return replace(tables, tables=frames)


def reduced_and_whole(book: Book) -> tuple[list[Linear], list[Linear], int]:
    """The optimum of each road by merging and without, and how many nodes merging saved."""
    problem, small = Problem(gather(book.in_full)), Limits()
    reduction = reduce(problem)
    nodes = [len(p.facts.sources) + len(p.facts.uses) for p in (problem, reduction.reduced)]
    merged = list(linear_optima(problem, HighsSolver(), small, small=0))
    whole = list(linear_optima(problem, HighsSolver(), small, merge=False))
    return merged, whole, nodes[0] - nodes[1]


def assert_flows_of_the_whole(merged: Linear, whole: Linear) -> None:
    """The flows keep every row of the whole program, at the same cost, and the prices prove that there is no better."""
    network, program = whole.network, formulate(whole.network)
    place = {
        pair: k for k, pair in enumerate(zip(network.edges.use.tolist(), network.edges.source.tolist(), strict=True))
    }
    x = np.zeros(program.n_columns)
    edges = merged.network.edges
    for use, source, amount in zip(edges.use.tolist(), edges.source.tolist(), merged.flows.x.tolist(), strict=True):
        x[place[use, source]] = amount
    x[len(network.edges) : len(network.edges) + len(merged.flows.short)] = merged.flows.short
    terms = x[program.rows.column] * program.rows.coefficient
    activity = np.bincount(program.rows.row, weights=terms, minlength=program.n_rows)
    size = 1e-7 * (1 + np.bincount(program.rows.row, weights=np.abs(terms), minlength=program.n_rows))
    assert np.all(activity <= program.rows.upper + size)
    assert np.all(activity >= program.rows.lower - size)
    # Where something is short, the solver's tolerance in shortfalls shows in the cost.
    dearest = np.max(np.abs(network.edges.cost_bps / network.edges.factor), initial=0.0)
    relative = 1e-7 if whole.flows.short.any() else 1e-9
    noise = relative * (abs(whole.flows.cost) + dearest * network.uses.size.sum()) + 1e-9
    assert merged.flows.cost == pytest.approx(whole.flows.cost, abs=noise)
    assert program.cost @ x == pytest.approx(whole.flows.cost, abs=10 * noise)
    assert merged.least_shortfall == pytest.approx(whole.least_shortfall, rel=1e-8, abs=1e-6)
    # What earns may be priced at its column's bound instead of its call, and that is not the same bound in parts.
    if not whole.flows.short.any() and network.edges.cost_bps.min(initial=0.0) >= 0:
        duals = np.array([merged.flows.duals.get(label, 0.0) for label in program.rows.labels])
        covered = replace(program, upper=np.where(program.source < 0, 0.0, program.upper))
        assert dual_bound(covered, duals) == pytest.approx(whole.flows.cost, abs=10 * noise)


@pytest.mark.parametrize("block", range(5))
def test_random_books_have_the_same_optimum_merged_and_not(block: int) -> None:
    saved = 0
    for seed in range(20 * block, 20 * block + 20):
        tables = doubled(random_book(seed, "small", facilities=seed % 2 == 0, reserves=seed % 3 == 0))
        try:
            merged, whole, fewer = reduced_and_whole(tables.to_book())
        except BookError:
            continue  # amounts too large for a book
        saved += fewer
        assert len(merged) == len(whole)
        for one, other in zip(merged, whole, strict=True):
            assert_flows_of_the_whole(one, other)
    assert saved > 20


def test_a_generated_desk_has_the_same_optimum_merged_and_not(tmp_path: Path) -> None:
    write_book(tmp_path / "desk", holdings=150, calls=30, agreements=12, seed=5)
    merged, whole, fewer = reduced_and_whole(read_book(tmp_path / "desk"))
    assert fewer > 10
    assert len(merged[0].network.edges) < len(whole[0].network.edges)
    assert_flows_of_the_whole(merged[0], whole[0])


def test_widening_brings_every_pair_of_a_use_and_no_other_optimum(tmp_path: Path) -> None:
    write_book(tmp_path / "desk", holdings=150, calls=30, agreements=12, seed=5)
    book = read_book(tmp_path / "desk")
    (linear,) = linear_optima(Problem(gather(book.in_full)), HighsSolver(), Limits(), small=0)
    everything = build_network(book.in_full).edges
    wide = linear.widened(np.array([3])).widened(np.array([3]))
    assert np.count_nonzero(wide.network.edges.use == 3) == np.count_nonzero(everything.use == 3)
    assert wide.flows.cost == linear.flows.cost
    assert wide.widened(np.array([3])) is wide


def test_pieces_laid_side_by_side_are_cut_where_either_ends() -> None:
    # Group 0: 5 and 3 beside 2, 4 and 9: cut at 2, 5, 6 and 8. Group 2 has nothing on the other side.
    group, length = np.array([0, 0, 2]), np.array([5.0, 3.0, 1.0])
    other_group, other_length = np.array([0, 0, 0, 1]), np.array([2.0, 4.0, 9.0, 7.0])
    one, other, along = overlay(group, length, other_group, other_length)
    assert one.tolist() == [0, 0, 1, 1]
    assert other.tolist() == [0, 1, 1, 2]
    assert along == pytest.approx([2, 3, 1, 2])


def test_calls_that_stand_as_one_may_each_be_exceeded_by_a_lot_that_earns() -> None:
    # 150,000 at a haircut of 2 % takes two lots of 100,000: 200,000 at -10 bps over a quarter earn 50, for each call.
    calls = 210
    tables = {
        "assets": [{"asset_id": "GOV", "asset_type": "debt", "currency": "USD", "price": 1.0, "lot_size": 100_000.0}],
        "holdings": [{"holding_id": f"H{i}", "asset_id": "GOV", "quantity": 1e7, "cost_bps": -10.0} for i in range(10)],
        "agreements": [{"agreement_id": "A", "counterparty": "N", "schedule": "flat"}],
        "calls": [
            {"call_id": f"C{j:03}", "agreement_id": "A", "amount": 150_000.0, "currency": "USD"} for j in range(calls)
        ],
    }
    book = Book.from_tables(
        {name: pd.DataFrame(rows) for name, rows in tables.items()},
        settings={"as_of": "2026-03-24T08:00:00+00:00", "base_currency": "USD", "horizon_days": 90.0},
        schedules={"flat": {"rules": [{"label": "all", "when": {"asset_type": "debt"}, "haircut": 0.02}]}},
    )
    result = optimise(book)
    assert result.total_cost == pytest.approx(-50 * calls)
    assert result.summary["lower_bound"] <= result.total_cost


def test_a_desk_that_is_short_loses_little_more_to_whole_lots(tmp_path: Path) -> None:
    for seed, agreements in ((101, 12), (108, 40)):
        write_book(tmp_path / str(seed), holdings=300, calls=40, agreements=agreements, seed=seed)
        book = read_book(tmp_path / str(seed))
        summary = optimise(book.replace(calls=book.calls.assign(amount=3 * book.calls["amount"]))).summary
        assert summary["shortfall_bound"] > 1e8
        assert summary["total_shortfall"] <= 1.01 * summary["shortfall_bound"]
