"""Pairs that are priced and not built: the same reduced costs as a program's columns, and the same optimum."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collateral_opt.errors import BookError, StoppedError
from collateral_opt.generate import write_book
from collateral_opt.io.read import read_book
from collateral_opt.model.formulation import formulate
from collateral_opt.model.program import Floats, Program, dual_bound, scale
from collateral_opt.network import Network, Problem
from collateral_opt.network.facts import gather
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.linear import linear_optima
from collateral_opt.solve.seam import Limits
from collateral_opt.solve.sifting import ColumnGeneration, Round
from collateral_opt.solve.wide import Wide, prices_of
from tests.judges.books import random_book


def problems(count: int) -> list[Problem]:
    """Problems of random books that can be priced, with facilities and reserves in turn."""
    found = []
    for seed in range(count):
        try:
            book = random_book(seed, "small", facilities=seed % 2 == 0, reserves=seed % 3 == 0).to_book()
        except BookError:
            continue  # amounts too large for a book
        problem = Problem(gather(book.in_full))
        if Wide.can_price(problem):
            found.append(problem)
    return found


def random_duals(problem: Problem, rng: np.random.Generator) -> tuple[Network, Program, Floats]:
    """The whole network, its program, and duals of the signs that their rows allow."""
    network = problem.network()
    program = formulate(network)
    duals = rng.normal(0, 5, program.n_rows) * (rng.random(program.n_rows) < 0.5)
    duals = np.where(np.isfinite(program.rows.lower), duals, -np.abs(duals))
    labels = [label[0] for label in program.rows.labels]
    return network, program, np.where(np.array(labels) == "promised", 0.0, duals)


def test_any_prices_give_every_pair_the_reduced_cost_of_its_column() -> None:
    rng = np.random.default_rng(4)
    some = problems(40)
    assert len(some) > 10
    for problem in some:
        network, program, duals = random_duals(problem, rng)
        entries = duals[program.rows.row] * program.rows.coefficient
        expected = program.cost - np.bincount(program.rows.column, weights=entries, minlength=program.n_columns)
        wide = Wide(problem)
        priced = [reduced for _, _, reduced, _ in wide.priced(prices_of(network, program, duals))]
        pairs = np.concatenate([np.zeros(0), *priced])
        np.testing.assert_allclose(pairs, expected[: len(network.edges)], atol=1e-9, rtol=1e-9)


def test_what_is_lacking_bounds_the_optimum_of_all_pairs_from_below() -> None:
    rng = np.random.default_rng(5)
    lacked = 0
    for problem in problems(40):
        network, program, duals = random_duals(problem, rng)
        keep = rng.random(len(network.edges)) < 0.5
        keep |= np.isin(network.uses.kind[network.edges.use], [2])
        wide = Wide(problem)
        part = wide.network(network.edges.use[keep], network.edges.source[keep])
        small = formulate(part)
        by_label = dict(zip(program.rows.labels, duals.tolist(), strict=True))
        few = np.array([by_label[label] for label in small.rows.labels])
        missing = wide.missing(part, prices_of(part, small, few))
        lacked += len(missing.use)
        all_duals = dict(zip(small.rows.labels, few.tolist(), strict=True))
        padded = np.array([all_duals.get(label, 0.0) for label in program.rows.labels])
        # The whole program's own bound for these duals, where each supply row pays for what its pairs would gain.
        proven = dual_bound(small, few) + missing.gain
        best = _with_best_supply(program, padded)
        assert proven <= best + 1e-6 * abs(best) + 1e-3
    assert lacked > 20


def _with_best_supply(program: Program, duals: Floats) -> float:
    """The best bound that changing the duals of supply rows alone can give: a linear program."""
    free = np.array([label[0] == "supply" for label in program.rows.labels])
    fixed = np.where(free, 0.0, duals)
    entries = fixed[program.rows.row] * program.rows.coefficient
    cost = program.cost - np.bincount(program.rows.column, weights=entries, minlength=program.n_columns)
    lower = np.where(free, program.rows.lower, -np.inf)
    upper = np.where(free, program.rows.upper, np.inf)
    side = np.where(fixed > 0, program.rows.lower, np.where(fixed < 0, program.rows.upper, 0.0))
    relaxed = replace(program, cost=cost, rows=replace(program.rows, lower=lower, upper=upper))
    scaled, scaling = scale(relaxed)
    solution = HighsSolver().load(scaled).solve()
    return float(solution.objective * scaling.objective + np.sum(np.where(fixed == 0, 0.0, fixed * side)))


def assert_same_optimum(problem: Problem) -> int:
    """Few pairs have the optimum of all; says how many of them were not built."""
    few = list(linear_optima(problem, HighsSolver(), Limits(), small=0, many=0))
    every = list(linear_optima(problem, HighsSolver(), Limits(), merge=False))
    assert len(few) == len(every)
    for one, other in zip(few, every, strict=True):
        network = other.network
        dearest = np.max(np.abs(network.edges.cost_bps / network.edges.factor), initial=0.0)
        relative = 1e-7 if other.flows.short.any() else 1e-9
        noise = relative * (abs(other.flows.cost) + dearest * network.uses.size.sum()) + 1e-9
        assert one.flows.cost == pytest.approx(other.flows.cost, abs=noise)
        assert one.flows.bound == pytest.approx(other.flows.bound, abs=100 * noise)
        assert one.least_shortfall == pytest.approx(other.least_shortfall, rel=1e-8, abs=1e-6)
    return sum(len(o.network.edges) for o in every) - sum(len(f.reduced.network.edges) for f in few)


@pytest.mark.parametrize("seed", range(3))
def test_a_desk_of_which_few_pairs_are_built_has_the_same_optimum(tmp_path: Path, seed: int) -> None:
    write_book(tmp_path / "desk", holdings=300, calls=20, agreements=20, seed=seed)
    assert assert_same_optimum(Problem(gather(read_book(tmp_path / "desk").in_full))) > 1000


def test_random_books_of_which_few_pairs_are_built_have_the_same_optimum() -> None:
    for problem in problems(60):
        assert_same_optimum(problem)


def test_stopped_at_any_round_the_bound_holds(tmp_path: Path) -> None:
    write_book(tmp_path / "desk", holdings=300, calls=20, agreements=20, seed=1)
    problem = Problem(gather(read_book(tmp_path / "desk").in_full))
    (whole,) = linear_optima(problem, HighsSolver(), Limits(), merge=False)
    answered = 0
    for last in range(1, 30, 2):
        stop, rounds = threading.Event(), []

        def count(done: Round, stop: threading.Event = stop, rounds: list[Round] = rounds, last: int = last) -> None:
            rounds.append(done)
            if len(rounds) == last:
                stop.set()

        solver = ColumnGeneration(HighsSolver(), count, whole=0)
        try:
            (few,) = linear_optima(problem, solver, Limits(stop=stop), small=0, many=0)
        except StoppedError:
            continue
        answered += 1
        if few.found.short.sum() <= 1e-9 * problem.facts.uses.size.sum():
            assert few.flows.bound <= whole.flows.cost * (1 + 1e-9)
            assert few.flows.cost >= whole.flows.cost * (1 - 1e-7)
    assert answered > 3


def test_calls_may_be_exceeded_by_what_all_pairs_would_let_them_be() -> None:
    for problem in problems(20):
        network = problem.network()
        demands = network.uses.demands
        np.testing.assert_allclose(Wide(problem).overshoot[:demands], network.overshoot[:demands])
