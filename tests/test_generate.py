"""The generator: sizes as asked for, the same bytes for the same seed, books that are sound and coverable."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from collateral_opt.errors import UsageError
from collateral_opt.generate import generate_book, write_book
from collateral_opt.io.read import read_book
from collateral_opt.optimiser import optimise


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("size", [(15, 1, 1), (40, 7, 3), (400, 45, 12), (3_000, 200, 60)])
def test_a_generated_book_has_the_sizes_asked_for_and_nothing_to_find(
    size: tuple[int, int, int], tmp_path: Path
) -> None:
    holdings, calls, agreements = size
    write_book(tmp_path / "book", holdings=holdings, calls=calls, agreements=agreements, seed=3)
    book = read_book(tmp_path / "book")
    assert (len(book.holdings), len(book.calls), len(book.agreements)) == size
    assert book.findings == ()


@pytest.mark.parametrize("size", [(15, 1, 1), (15, 4, 12), (60, 20, 5), (150, 30, 12)])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_call_of_a_generated_book_can_be_covered(size: tuple[int, int, int], seed: int, tmp_path: Path) -> None:
    holdings, calls, agreements = size
    write_book(tmp_path / "book", holdings=holdings, calls=calls, agreements=agreements, seed=seed)
    result = optimise(read_book(tmp_path / "book"))
    assert result.calls["shortfall"].sum() == 0


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        write_book(tmp_path / name, holdings=50, calls=5, agreements=4, seed=seed)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") != contents(tmp_path / "three")


def test_calls_ask_for_a_fair_part_of_the_inventory() -> None:
    drawn = generate_book(400, 45, 12, 7)
    rate = {"USD": 1.0} | dict(drawn.tables["fx"].itertuples(index=False))
    assets = drawn.tables["assets"].set_index("asset_id").loc[drawn.tables["holdings"]["asset_id"]]
    unit = (assets["price"] * assets["price_factor"] * assets["currency"].map(rate)).to_numpy()
    supply = float((drawn.tables["holdings"]["quantity"].to_numpy() * unit).sum())
    calls = drawn.tables["calls"]
    asked = float((calls["amount"] * calls["currency"].map(rate)).sum())
    assert 0.3 < asked / supply < 0.5


def test_cash_is_dearest_and_governments_are_dearer_than_companies() -> None:
    drawn = generate_book(1_000, 10, 5, 7)
    assets = drawn.tables["assets"].set_index("asset_id").loc[drawn.tables["holdings"]["asset_id"]]
    cost = drawn.tables["holdings"]["cost_bps"].to_numpy()
    kind = assets["issuer_type"].where(assets["asset_type"] != "cash", "cash").to_numpy()
    mean = {name: float(cost[kind == name].mean()) for name in ("cash", "sovereign", "agency", "corporate")}
    assert mean["cash"] > mean["sovereign"] > mean["agency"] > mean["corporate"]


def test_quantities_are_whole_lots_and_isins_carry_their_check_digit() -> None:
    drawn = generate_book(300, 10, 5, 1)
    assets = drawn.tables["assets"].set_index("asset_id")
    lot = assets["lot_size"].loc[drawn.tables["holdings"]["asset_id"]].fillna(1.0).to_numpy()
    assert (np.mod(drawn.tables["holdings"]["quantity"].to_numpy(), lot) == 0).all()
    # ISO 6166: letters as two digits, every second digit from the right doubled, the sum a multiple of ten
    for isin in assets["isin"].dropna():
        digits = [int(d) for d in "".join(str(int(c, 36)) for c in isin)]
        doubled = [d * 2 if i % 2 else d for i, d in enumerate(reversed(digits))]
        assert len(isin) == 12 and sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def test_limits_of_every_basis_and_list_schedules_are_among_the_schedules(tmp_path: Path) -> None:
    write_book(tmp_path / "book", holdings=100, calls=12, agreements=12, seed=7)
    schedules = read_book(tmp_path / "book").schedules
    bases = {cap.of for s in schedules.values() for limit in s.limits for cap in limit.caps}
    assert {"requirement", "posted", "outstanding", "market_cap", "adv", "money"} <= bases
    assert any(s.listing for s in schedules.values())


@pytest.mark.parametrize("sizes", [(14, 1, 1, 0), (20, 0, 1, 0), (20, 1, 0, 0), (20, 1, 1, -1)])
def test_sizes_that_make_no_book_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError):
        generate_book(*sizes)


def test_writing_keeps_what_is_not_the_book_s_own(tmp_path: Path) -> None:
    out = tmp_path / "book"
    write_book(out, holdings=20, calls=2, agreements=12, seed=1)
    (out / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        write_book(out, holdings=20, calls=2, agreements=1, seed=1)
    write_book(out, holdings=20, calls=2, agreements=1, seed=1, force=True)
    assert (out / "README.md").read_text() == "mine"
    assert read_book(out).findings == () and len(read_book(out).agreements) == 1


def test_a_book_that_a_person_made_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("as_of: 2026-03-24T08:00:00Z")
    with pytest.raises(UsageError, match="not generated"):
        write_book(tmp_path, holdings=20, calls=2, agreements=1, seed=1, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["settings.yaml"]


def test_a_book_of_twenty_thousand_holdings_takes_seconds() -> None:
    start = time.perf_counter()
    generate_book(20_000, 500, 100, 1)
    # measured 0.6 s; the bound allows for a busy machine
    assert time.perf_counter() - start < 10
