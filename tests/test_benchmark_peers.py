"""The peers that come with the product solve the same program as ours, and find the same optimum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collateral_opt import read_book
from collateral_opt.book import Book
from tests.benchmarks.books import TINY, generated
from tests.benchmarks.ours import linear_optimum
from tests.benchmarks.peers import highs, pulp_cbc, pulp_highs, pulp_naive
from tests.benchmarks.peers.program import Allocation, allocation, by_row


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return read_book(generated(TINY, tmp_path_factory.mktemp("books")))


@pytest.fixture(scope="module")
def program(book: Book) -> Allocation:
    return allocation(book)


@pytest.mark.parametrize("peer", [highs, pulp_highs, pulp_cbc, pulp_naive])
def test_a_peer_finds_our_optimum(peer: object, book: Book, program: Allocation) -> None:
    ours = linear_optimum(book)
    assert ours > 0
    theirs = program.cost(peer.solve(program))  # type: ignore[attr-defined]
    assert theirs == pytest.approx(ours, rel=1e-6)


def test_limits_and_totals_take_part_in_the_program(program: Allocation) -> None:
    assert program.n_totals > 0 and np.any(program.share > 0)
    without = {"cap": np.full(len(program.cap), 1e6), "share": np.zeros(len(program.share))}
    free = Allocation(**{**vars(program), **without})
    assert highs.solve(free) < highs.solve(program) * (1 - 1e-6)


def test_a_program_comes_back_from_its_file(program: Allocation, tmp_path: Path) -> None:
    program.save(tmp_path / "program.npz")
    again = Allocation.load(tmp_path / "program.npz")
    assert all(np.array_equal(getattr(again, name), array) for name, array in vars(program).items())


def test_rows_know_their_entries() -> None:
    assert [entries.tolist() for entries in by_row(np.array([2, 0, 2]), 4)] == [[1], [], [0, 2], []]


def test_a_book_with_more_than_holdings_and_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="holdings and calls only"):
        allocation(read_book("examples/liquidity-waterfall"))
