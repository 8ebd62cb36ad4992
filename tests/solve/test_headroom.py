"""What is left of every row, and that rows taken over from a network like it are the network's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collateral_opt import read_book, read_words
from collateral_opt.generate import write_book
from collateral_opt.network.exact import EXACT
from collateral_opt.network.network import Network, View
from collateral_opt.optimiser import solved
from collateral_opt.solve import headroom
from collateral_opt.solve.headroom import Headroom
from collateral_opt.solve.ledger import Ledger
from tests.networks import limit, network


def bond_and_cash(
    *, quantity: float = 1000.0, price: float = 1.0, factor: str = "0.5", required: str = "1000", posted: str = "0"
) -> Network:
    """A bond in lots of 10 and cash in lots of 1 for one call; of the bond no more than 40 % of what is required after
    haircut, of cash no more than 250. Other cash and another call form no pairs.
    """
    of_bond = limit(
        "requirement", "value_after_haircut", [0], [0], [0],
        share=0.4, requirement=required, posted=[posted], posted_total=posted,
    )  # fmt: skip
    of_cash = limit("money", "market_value", [1], [0], [1], figure=250.0)
    return network(
        [("B", price, 10, quantity), ("K", 1, 1, 300), ("L", 1, 1, 150)],
        [("C", "1000"), ("D", "1000")],
        [(0, 0, factor, 5), (0, 1, "1", 25)],
        [of_bond, of_cash],
    )


def rows_of(net: Network, near: Headroom | None = None, set_aside: Mapping[int, Fraction] = {}) -> Headroom:
    return Headroom(View(net, np.arange(2), EXACT), [int(10 * net.assets.price[0]), 1], 1, set_aside, near)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many limits each headroom from here on makes rows of its own."""
    limits, counts = headroom.limits, list[int]()

    def counted(view: View) -> list[headroom.Rows]:
        counts.append(len(view.network.limits))
        return limits(view)

    monkeypatch.setattr(headroom, "limits", counted)
    return counts


@pytest.mark.parametrize(
    ("changed", "bonds", "blocks"),
    [
        # 40 % of 1,000 after a haircut of half: 800 of the bond.
        ({}, 80, 0),
        ({"required": "500"}, 40, 1),
        # 400 / 0.8 = 500.
        ({"factor": "0.8"}, 50, 1),
        # All there is; the limit is what it was.
        ({"quantity": 300.0}, 30, 0),
        # A lot is worth 20, and 10 after haircut.
        ({"price": 2.0}, 40, 1),
        # 150 of the 400 lie there already.
        ({"posted": "150"}, 50, 1),
    ],
)
def test_rows_of_what_changed_are_made_anew_and_the_others_taken_over(
    changed: dict[str, float | str], bonds: int, blocks: int, made: list[int]
) -> None:
    known = rows_of(bond_and_cash())
    rows = rows_of(bond_and_cash(**changed), known)  # type: ignore[arg-type]
    assert made == [2, blocks]
    assert (rows.most(0), rows.most(1)) == (bonds, 250)
    assert (known.most(0), known.most(1)) == (80, 250)


def test_a_row_is_broken_only_where_a_line_takes_of_it() -> None:
    # 450 lie there of the 400 that may.
    rows = rows_of(bond_and_cash(posted="450"))
    assert rows.broken() == []
    rows.add(0, 1, 1)
    (row,) = rows.broken()
    assert [k for k, _ in rows.takers[row]] == [0]
    rows.add(0, -1, -1)
    assert rows.broken() == []


def test_what_is_set_aside_is_not_there_and_is_again_where_it_is_not() -> None:
    aside = {0: Fraction(500)}
    known = rows_of(bond_and_cash())
    # 500 of the bond's 1,000 are no one's.
    with_less = rows_of(bond_and_cash(), known, aside)
    assert (with_less.most(0), with_less.most(1)) == (50, 250)
    assert rows_of(bond_and_cash(), with_less, aside).most(0) == 50
    assert rows_of(bond_and_cash(), with_less).most(0) == 80


@pytest.mark.parametrize(
    ("part", "otherwise", "cash"),
    [
        # Of the other cash there are 150.
        ("edges", {"source": np.array([0, 2])}, 150),
        ("edges", {"use": np.array([0, 1])}, 250),
        ("sources", {"asset": np.array([0, 2, 1])}, 250),
        ("sources", {"ids": ["B", "M", "L"]}, 250),
        ("assets", {"ids": ["asset B", "asset M", "asset L"]}, 250),
        ("uses", {"ids": ["C", "E"]}, 250),
    ],
)
def test_rows_of_other_pairs_are_not_taken_over(
    part: str, otherwise: dict[str, Any], cash: int, made: list[int]
) -> None:
    net = bond_and_cash()
    other = replace(net, **{part: replace(getattr(net, part), **otherwise)})
    rows = rows_of(other, rows_of(net))
    assert (rows.most(0), rows.most(1)) == (80, cash)
    assert made == [2, 2]


def test_rows_of_other_limits_are_not_taken_over(made: list[int]) -> None:
    net = bond_and_cash()
    other = replace(net, limits=[net.limits[0], replace(net.limits[1], label="another")])
    rows_of(other, rows_of(net))
    assert rows_of(replace(net, limits=net.limits[:1]), rows_of(net)).most(1) == 300
    assert made == [2, 2, 2, 1]


def test_of_pairs_that_were_not_looked_at_rows_are_made_anew() -> None:
    net = bond_and_cash()
    only_cash = Headroom(View(net, np.array([1]), EXACT), [1], 1, {})
    # The bond's rows are not among those of a ledger without it, and the cash keeps its own.
    both = rows_of(net, only_cash)
    assert (both.most(0), both.most(1)) == (80, 250)


def test_rows_made_anew_time_and_again_do_not_pile_up() -> None:
    rows = rows_of(bond_and_cash())
    for k in range(20):
        rows = rows_of(bond_and_cash(required=str(1000 + 100 * k)), rows)
    # 40 % of 2,900 after a haircut of half would be 2,320, and 1,000 are there; two rows of supply and two of limits.
    assert rows.most(0) == 100
    assert len(rows.slack) <= 2 * 4 + 1


@pytest.mark.parametrize(
    "word",
    [
        "call:*.amount=+3%",
        "holding:*.cost_bps=+2",
        "holding:*.quantity=-3%",
        "asset:{asset}.price=-2%",
        "haircut:all=+0.01",
    ],
)
def test_a_ledger_near_another_has_the_room_of_one_made_anew(tmp_path: Path, word: str) -> None:
    write_book(tmp_path / "book", holdings=120, calls=20, agreements=6, seed=4)
    book = read_book(tmp_path / "book")
    base = solved(book)
    other = read_words([word.format(asset=base.result.allocation["asset_id"][0])])(book)
    found = solved(other).answer
    network, edge = found.linear.network, found.ledger.edge
    known = solved(other, near=base).answer.ledger
    ledgers = [
        Ledger(network, edge, {}),
        Ledger(network, edge, {}, base.answer.ledger.headroom),
        Ledger(network, edge, {}, known.headroom),
    ]
    first, *others = ledgers
    for lots in (found.ledger.snapshot(), (0,) * len(edge)):
        for ledger in ledgers:
            ledger.restore(lots)
        for ledger in others:
            assert [ledger.room(k) for k in range(len(edge))] == [first.room(k) for k in range(len(edge))]
            assert [ledger.removable(k, n) for k, n in enumerate(lots)] == [
                first.removable(k, n) for k, n in enumerate(lots)
            ]
            assert ledger.missing == first.missing
            assert not ledger.headroom.broken()
