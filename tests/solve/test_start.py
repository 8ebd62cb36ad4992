"""Where a problem too large to write down begins: about the right prices, and pairs that can cover every call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collateral_opt.generate import write_book
from collateral_opt.io.read import read_book
from collateral_opt.network import Problem
from collateral_opt.network.facts import gather
from collateral_opt.solve import start
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import Linear
from collateral_opt.solve.passes import Passes, solve_flows
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.wide import Wide, prices_of, scattered


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """Sixty agreements of eight schedules, and four cash accounts among 900 holdings."""
    folder: Path = tmp_path_factory.mktemp("books") / "b"
    write_book(folder, holdings=900, calls=60, agreements=60, seed=5)
    return Problem(gather(read_book(folder).in_full))


@pytest.fixture(autouse=True)
def small_likeness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "SAMPLE", 4_000)


def test_a_likeness_is_smaller_and_knows_about_the_prices_of_cover(problem: Problem) -> None:
    likeness = start._Likeness(problem)
    assert likeness._problem.pairs < problem.pairs / 4
    network = problem.network()
    passes = Passes.over(network, HighsSolver(), Limits())
    there = prices_of(network, passes.program, passes.natural(passes.rough().row_dual)).cover
    here = likeness.prices(HighsSolver(), Limits()).cover
    calls = slice(0, problem.facts.uses.calls)
    off = np.abs(here - there)[calls]
    # In basis points a year, where prices of cover go from about 5 to 50.
    assert np.median(off) < 1.0
    assert np.ptp(there[calls]) > 10.0


def test_what_a_likeness_asks_for_is_so_many_times_less(problem: Problem) -> None:
    likeness = start._Likeness(problem)
    uses, small = problem.facts.uses, likeness._problem.facts.uses
    assert likeness.times > 1
    assert small.size.sum() == pytest.approx(uses.size.sum() / likeness.times, rel=1e-9)
    assert 0 < np.count_nonzero(small.size) < np.count_nonzero(uses.size)


def test_the_first_pairs_cover_nearly_everything_and_lead_to_the_optimum_of_all(problem: Problem) -> None:
    wide, solver, limits = Wide(problem), HighsSolver(), Limits()
    first = start.first_network(wide, solver, limits)
    assert len(first.edges) < problem.pairs / 4
    _, few = solve_flows(first, solver, limits)
    _, whole = solve_flows(problem.network(), solver, limits)
    assert whole.short.sum() == 0
    assert few.short.sum() < 0.1 * first.uses.size.sum()
    grown = Linear.of(first, solver, limits, wide)
    assert grown.flows.cost == pytest.approx(whole.cost, rel=1e-9)


def test_like_uses_do_not_begin_at_the_same_sources() -> None:
    sources = np.arange(2_000)
    one, other = scattered(3, sources), scattered(4, sources)
    assert min(one.min(), other.min()) >= 0
    assert max(one.max(), other.max()) < 1
    for figures in (one, other):
        np.testing.assert_allclose(np.histogram(figures, 10, (0, 1))[0], 200, atol=10)
    assert len(np.intersect1d(np.argsort(one)[:200], np.argsort(other)[:200])) < 50
