"""Two results beside each other: every figure by hand on a desk of two bonds, and sums that must hold anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collateral_opt import Book, Comparison, Result, compare, optimise, read_book, read_words
from collateral_opt.errors import UsageError
from collateral_opt.io.comparison import _limit, comparison_lines
from collateral_opt.io.write_comparisons import folder_names, write_comparisons
from collateral_opt.result.comparison import LimitDifference, LineDifference, Moved, RequirementDifference
from collateral_opt.scenarios.what_if import compared
from tests.judges.books import random_book

EXAMPLES = Path(__file__).parents[2] / "examples"
RULES = {
    "rules": [{"label": "all", "haircut": 0}],
    "limits": [{"label": "one issuer", "group_by": "issuer", "of": "requirement", "max": 0.7}],
}


@pytest.fixture(scope="module")
def book() -> Book:
    """600,000 of A at 10 bp, 1,000,000 of B at 20 bp, a call for 1,000,000, a credit line at 300 bp. A year is a year.

    A covers 600,000 (600.00), B 400,000 (800.00): 1,400.00. A's issuer may cover 700,000.
    """
    tables = {
        "assets": pd.DataFrame({
            "asset_id": ["A", "B", "USD"], "asset_type": ["debt", "debt", "cash"], "currency": "USD",
            "price": [1.0, 1.0, 1.0], "issuer": ["IA", "IB", None],
        }),
        "holdings": pd.DataFrame({
            "holding_id": ["HA", "HB"], "asset_id": ["A", "B"], "quantity": [6e5, 1e6], "cost_bps": [10.0, 20.0],
            "owner": ["rates", None],
        }),
        "agreements": pd.DataFrame({"agreement_id": ["X", "Y"], "counterparty": "Bank", "schedule": "s"}),
        "calls": pd.DataFrame({
            "call_id": ["C"], "agreement_id": ["X"], "amount": [1e6], "currency": ["USD"], "priority": [1],
        }),
        "facilities": pd.DataFrame({
            "facility_id": ["F"], "kind": ["credit_line"], "gives": ["USD"], "capacity": [1e5], "cost_bps": [300.0],
        }),
    }  # fmt: skip
    settings = {"as_of": "2026-03-24T08:00:00+00:00", "base_currency": "USD", "horizon_days": 360, "day_count": 360}
    return Book.from_tables(tables, settings=settings, schedules={"s": RULES})


@pytest.fixture(scope="module")
def before(book: Book) -> Result:
    return optimise(book)


def after(book: Book, before: Result, *words: str) -> Comparison:
    what_if = read_words(words)
    return compare(before, optimise(what_if(book)), name="n", changes=what_if.words)


def lines(comparison: Comparison) -> list[tuple[str | None, str, float, float]]:
    rows = comparison.lines
    return [
        (row.holding_id or row.facility_id, row.difference, row.quantity.before, row.quantity.after) for row in rows
    ]


def parts(comparison: Comparison, by: str) -> Mapping[tuple[str, str | None], tuple[float, float]]:
    return {(c.part, c.name): (c.cost.before, c.cost.after) for c in comparison.costs if c.by == by}


def test_the_same_result_differs_in_nothing(before: Result) -> None:
    same = compare(before, before)
    assert (same.cost, same.cost.by) == (Moved(1400.0, 1400.0), 0.0)
    assert same.calls == same.lines == same.limits == same.facilities == ()
    assert same.movements[0].lines == Moved(2, 2)
    assert parts(same, "agreement") == {("agreement", "X"): (1400.0, 1400.0)}


def test_a_call_that_grows(book: Book, before: Result) -> None:
    # 200,000 more of B: 400.00
    grown = after(book, before, "call:C.amount=+20%")
    assert (grown.cost, grown.cost.by, grown.status) == (Moved(1400.0, 1800.0), 400.0, ("optimal", "optimal"))
    assert grown.least_cost == pytest.approx((400.0, 400.0), abs=1e-4)
    (line,) = grown.lines
    assert line == LineDifference(
        "C", "X", "HB", None, "B", "deliver", "changed", quantity=Moved(4e5, 6e5), market_value=Moved(4e5, 6e5),
        collateral_value=Moved(4e5, 6e5), cost=Moved(800.0, 1200.0),
    )  # fmt: skip
    (call,) = grown.calls
    assert (call.call_id, call.difference, call.required, call.shortfall) == (
        "C",
        "changed",
        Moved(1e6, 1.2e6),
        Moved(0, 0),
    )
    (movement,) = grown.movements
    assert (movement.action, movement.lines, movement.market_value) == ("deliver", Moved(2, 2), Moved(1e6, 1.2e6))
    assert parts(grown, "owner") == {("owner", None): (800.0, 1200.0), ("owner", "rates"): (600.0, 600.0)}
    assert parts(grown, "counterparty") == {("counterparty", "Bank"): (1400.0, 1800.0)}


def test_lines_that_go_and_lines_of_the_same_quantity_at_another_price(book: Book, before: Result) -> None:
    gone = after(book, before, "remove:holding=HA", "schedule:s.limit:one issuer=1")
    assert lines(gone) == [("HA", "removed", 6e5, 0.0), ("HB", "changed", 4e5, 1e6)]
    # 600,000 at half the price cover 300,000; 700,000 of B
    cheap = after(book, before, "asset:A.price=-50%")
    assert lines(cheap) == [("HA", "repriced", 6e5, 6e5), ("HB", "changed", 4e5, 7e5)]
    assert cheap.lines[0].market_value == Moved(6e5, 3e5)
    assert cheap.cost == Moved(1400.0, 300 + 1400.0)


def test_limits_that_begin_and_cease_to_bind(book: Book, before: Result) -> None:
    # at a half each issuer is at its cap; A's 600,000 leave 100,000, half at 20 bp instead of 10: 100.00 more
    tight = after(book, before, "schedule:s.limit:one issuer=0.5")
    assert tight.cost == Moved(1400.0, 1500.0)
    assert [(one.group, one.used, one.cap) for one in tight.newly_binding] == [
        ("IA", Moved(6e5, 5e5), Moved(7e5, 5e5)), ("IB", Moved(4e5, 5e5), Moved(7e5, 5e5)),
    ]  # fmt: skip
    assert tight.no_longer_binding == ()
    back = compare(tight.after, tight.before)
    assert [(one.group, one.difference) for one in back.limits] == [
        ("IA", "no longer binding"), ("IB", "no longer binding"),
    ]  # fmt: skip


def test_a_limit_that_binds_by_price_alone_says_so() -> None:
    before, cap = Moved(4_859_195.02, 4_859_195.02), Moved(4_859_822.55, 4_859_822.55)
    for difference, price, said in (
        ("no longer binding", Moved(1.5, 0), "; one more unit would not save anything any more"),
        ("newly binding", Moved(0, 1.5), "; one more unit saves something now"),
    ):
        limit = LimitDifference("X", "one issuer", "IA", difference, before, cap, price)  # type: ignore[arg-type]
        assert limit.by_price and _limit(limit).endswith(f"4,859,195.02 of 4,859,822.55 after{said}")
    full = LimitDifference("X", "one issuer", "IA", "newly binding", Moved(6, 5), Moved(7, 5), Moved(0, 1.5))
    assert not full.by_price and _limit(full).endswith("5.00 of 5.00 after")


def test_limits_of_an_agreement_that_is_gone_are_left_out(book: Book) -> None:
    tight = optimise(read_words(["schedule:s.limit:one issuer=0.5"])(book))
    assert (tight.limits["used"] == tight.limits["cap"]).any()
    gone = after(book, tight, "remove:agreement=X")
    assert gone.limits == () and [one.difference for one in gone.calls] == ["removed"]
    # the same agreement with room: its limits are still told of
    assert {one.difference for one in after(book, tight, "schedule:s.limit:one issuer=1").limits} == {
        "no longer binding"
    }


def test_a_shortfall_a_facility_and_who_pays_for_it(book: Book, before: Result) -> None:
    # 600,000 + 1,000,000 + 100,000 of credit; a cap of 1,260,000 an issuer does not matter
    short = after(book, before, "call:C.amount=1800000")
    assert (short.shortfall, short.status) == (Moved(0, 1e5), ("optimal", "short"))
    (call,) = short.calls
    assert call.shortfall == Moved(0, 1e5) and call.reason
    (facility,) = short.facilities
    # 100,000 at 300 bp
    assert (facility.facility_id, facility.raised, facility.cost) == ("F", Moved(0, 1e5), Moved(0, 3000.0))
    assert lines(short) == [("F", "added", 0.0, 1e5), ("HB", "changed", 4e5, 1e6)]
    assert parts(short, "owner") == {
        ("facility", "F"): (0.0, 3000.0), ("owner", None): (800.0, 2000.0), ("owner", "rates"): (600.0, 600.0),
    }  # fmt: skip
    assert parts(short, "agreement")[("facility", "F")] == (0.0, 3000.0)
    assert short.cost.after == 5600.0


def test_calls_that_come_and_go(book: Book, before: Result) -> None:
    words = (
        "{new_call: {call_id: D, agreement_id: Y, amount: 100000}}",
        "remove:call=C",
        "schedule:s.limit:one issuer=1",
    )
    other = after(book, before, *words)
    assert [(one.call_id, one.agreement_id, one.difference, one.required) for one in other.calls] == [
        ("C", "X", "removed", Moved(1e6, 0)), ("D", "Y", "added", Moved(0, 1e5)),
    ]  # fmt: skip
    assert parts(other, "agreement") == {("agreement", "X"): (1400.0, 0.0), ("agreement", "Y"): (0.0, 100.0)}


def test_a_reserve_that_falls_short(book: Book) -> None:
    # at least 500,000 of the bonds stay: 600,000 do. A call for 1,300,000 takes all the credit, which is dear but
    # comes before a reserve that is short, and 1,200,000 of bonds; 400,000 stay. 600 + 600,000 at 20 bp + 3,000
    reserve = pd.DataFrame({"reserve_id": ["R"], "schedule": ["s"], "amount": [5e5], "currency": ["USD"]})
    guarded = book.replace(reserves=reserve, schedules={"s": {"rules": RULES["rules"]}})
    (comparison,) = compared(guarded, [read_words(["call:C.amount=1300000"], "more")])
    assert comparison.reserves == (RequirementDifference("R", "changed", Moved(5e5, 5e5), Moved(0.0, 1e5)),)
    assert comparison.reserve_shortfall.by == pytest.approx(1e5) and comparison.shortfall == Moved(0.0, 0.0)
    assert comparison.cost == Moved(1400.0, 4800.0)
    text = comparison_lines(comparison)
    assert "  reserve R changed: requires 500,000.00 as before, short 0.00 -> 100,000.00 (+100,000.00)" in text


def test_what_is_kept_and_recalled_where_what_is_posted_may_move() -> None:
    # the page of the example has the figures before. Without CORP at home, 600 lots of GOV replace 588,000 of cash:
    # 374,000 of it are kept, at 20 - 5 bp for 30 days of 360
    book = read_book(EXAMPLES / "substitution")
    (comparison,) = compared(book, [read_words(["remove:holding=H-CORP"], "no bonds")])
    assert [(x.agreement_id, x.asset_id, x.action, x.difference, x.quantity) for x in comparison.lines] == [
        ("BANK", "USD", "keep", "added", Moved(0, 374_000)),
        ("BANK", "USD", "recall", "changed", Moved(962_000, 588_000)),
        ("BANK", "CORP", "deliver", "removed", Moved(600_000, 0)),
        ("BANK", "GOV", "deliver", "changed", Moved(400_000, 600_000)),
    ]  # fmt: skip
    assert [(x.action, x.lines) for x in comparison.movements] == [
        ("deliver", Moved(3, 2)), ("keep", Moved(2, 3)), ("recall", Moved(1, 1)),
    ]  # fmt: skip
    # CORP 15.00 and GOV 13.33 become GOV 20.00 and cash 46.75
    assert comparison.cost.by == pytest.approx(20 + 46.75 - 15 - 40 / 3, abs=1e-9)
    assert parts(comparison, "agreement")[("agreement", "BANK")] == (35.0, 73.42)
    assert comparison.agreements == ()


@pytest.mark.parametrize("seed", range(6))
def test_every_breakdown_adds_up_and_lines_tell_the_whole_difference(seed: int) -> None:
    book = random_book(seed, "small", facilities=True).to_book()
    comparison = compared(book, [read_words(["call:*.amount=+15%", "cost_bps:all=+1"], "more")])[0]
    for side in ("before", "after"):
        result: Result = getattr(comparison, side)
        rows = len(result.allocation) + len(result.financing)
        for by in ("agreement", "counterparty", "owner"):
            whole = sum(getattr(one.cost, side) for one in comparison.costs if one.by == by)
            assert whole == pytest.approx(result.total_cost, abs=0.006 * (rows + 1))
        facilities = sum(getattr(one.raised, side) for one in comparison.facilities)
        assert facilities == pytest.approx(result.financing["proceeds"].sum(), abs=1e-6)
    for column in ("market_value", "collateral_value", "cost"):
        moved = comparison.after.allocation[column].sum() - comparison.before.allocation[column].sum()
        assert sum(getattr(line, column).by for line in comparison.lines) == pytest.approx(moved, abs=1e-4)
    least, most = comparison.least_cost
    assert least <= comparison.cost.by + 1e-9 and comparison.cost.by <= most + 1e-9


def test_tables_have_a_row_for_each_record_and_a_column_for_each_side(book: Book, before: Result) -> None:
    tables = after(book, before, "call:C.amount=1800000").tables()
    assert list(tables) == [
        "figures",
        "alterations",
        "calls",
        "agreements",
        "reserves",
        "lines",
        "movements",
        "limits",
        "facilities",
        "costs",
    ]
    figures = tables["figures"].set_index("figure")
    assert figures.loc["shortfall"].tolist() == [0.0, 1e5, 1e5]
    assert tables["facilities"].to_dict("records") == [{
        "facility_id": "F", "raised_before": 0.0, "raised_after": 1e5, "raised_by": 1e5, "cost_before": 0.0,
        "cost_after": 3000.0, "cost_by": 3000.0,
    }]  # fmt: skip
    empty = compare(before, before).tables()
    assert [list(t.columns) for t in empty.values()] == [list(t.columns) for t in tables.values()]


# -------------------- told and written


def test_the_text_says_what_differs(book: Book, before: Result) -> None:
    text = "\n".join(comparison_lines(after(book, before, "call:C.amount=1800000")))
    assert text.startswith("n: optimal before, short after\n  change     call:C.amount=1800000\n")
    for said in (
        "cost       1,400.00 -> 5,600.00 (+4,200.00) USD",
        "short      0.00 -> 100,000.00 (+100,000.00) USD",
        "1 added, 0 removed, 1 changed",
        "call C changed: asks 1,000,000.00 -> 1,800,000.00 (+800,000.00), short 0.00 -> 100,000.00 (+100,000.00)",
        "facility F: raised 0.00 -> 100,000.00 (+100,000.00), cost 0.00 -> 3,000.00 (+3,000.00)",
        "by owner     facility F +3,000.00; no owner named +1,200.00",
    ):
        assert said in text


def test_the_text_says_what_the_changes_did_and_what_was_stopped(book: Book) -> None:
    words = read_words(["price:all=-5%", *(f"cost_bps:{{asset_id: {x}}}=+1" for x in "AB")], "n")
    (found,) = compared(book, [words])
    assert comparison_lines(found)[1:7] == [
        "  change     price:all=-5%", "             price of 2 assets: 1 -> 0.95",
        "  change     cost_bps:{asset_id: A}=+1", "             cost_bps of holding HA: 10 -> 11 bp",
        "  change     cost_bps:{asset_id: B}=+1", "             cost_bps of holding HB: 20 -> 21 bp",
    ]  # fmt: skip
    early = replace(found.after, summary={**found.after.summary, "stopped": True})
    text = comparison_lines(replace(found, after=early))
    assert text[1] == "  stopped    after, with the best answer so far"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_folder_holds_both_results_and_each_comparison(book: Book, tmp_path: Path) -> None:
    found = compared(book, [read_words(["call:C.amount=+20%"], "more, please"), read_words(["remove:call=C"], "less")])
    written = write_comparisons(found, tmp_path / "out")
    there = files(tmp_path / "out")
    assert {p.relative_to(tmp_path / "out").as_posix() for p in written} == set(there)
    tables = ("figures", "alterations", "calls", "lines", "movements", "limits", "facilities", "costs")
    assert {f"{folder}/{name}.csv" for folder in ("more-please", "less") for name in tables} <= set(there)
    assert {"before/allocation.csv", "less/after/summary.json", "comparison.json"} <= set(there)
    assert there["more-please/lines.csv"].decode().splitlines()[1] == (
        "C,X,HB,,B,deliver,changed,400000,600000,200000,400000.00,600000.00,200000.00,400000.00,600000.00,200000.00,"
        "800.00,1200.00,400.00"
    )
    assert there["more-please/figures.csv"].decode().splitlines()[1] == "cost,1400,1800,400"
    told: dict[str, Any] = json.loads(there["comparison.json"])
    assert [one["folder"] for one in told["what_ifs"]] == ["more-please", "less"]
    assert told["what_ifs"][0]["cost"] == {"before": 1400.0, "after": 1800.0, "by": 400.0}
    assert told["what_ifs"][0]["changes"] == ["call:C.amount=+20%"]
    assert there["more-please/alterations.csv"].decode().splitlines() == [
        "number,change,difference,thing,name,place,field,was,now,unit",
        "1,call:C.amount=+20%,changed,call,C,,amount,1000000,1200000,USD",
    ]
    assert told["what_ifs"][1]["altered"] == [{
        "number": 1, "change": "remove:call=C", "difference": "removed", "thing": "call", "field": "amount", "count": 1,
        "name": "C", "places": [], "was": [1e6], "now": [], "unit": "USD",
    }]  # fmt: skip
    again = write_comparisons(compared(book, [read_words(["call:C.amount=+20%"], "more, please")]), tmp_path / "again")
    same = files(tmp_path / "again")
    assert len(again) == len(same)
    comparable = {name for name in same if not name.endswith("json")}
    assert {name: same[name] for name in comparable} == {name: there[name] for name in comparable}, "to the byte"


def test_force_replaces_what_an_earlier_run_wrote_and_keeps_the_rest(book: Book, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_comparisons(compared(book, [read_words(["remove:call=C"], "less")]), out)
    (out / "note.txt").write_text("mine")
    more = compared(book, [read_words(["call:C.amount=+20%"], "more")])
    with pytest.raises(UsageError, match="--force"):
        write_comparisons(more, out)
    write_comparisons(more, out, force=True)
    assert {p.name for p in out.iterdir()} == {"before", "more", "note.txt", "comparison.json"}


def test_a_list_of_files_that_leads_out_of_the_folder_is_not_believed(book: Book, tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    names = ["../keep.txt", str(tmp_path / "keep.txt"), 7]
    (out / "comparison.json").write_text(json.dumps({"files": names}))
    write_comparisons(compared(book, [read_words(["remove:call=C"], "less")]), out, force=True)
    assert (tmp_path / "keep.txt").read_text() == "mine"


def test_a_disk_that_fails_leaves_nothing(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared(book, [read_words(["remove:call=C"], "less")])
    monkeypatch.setattr(
        Comparison, "tables", lambda self: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space left"):
        write_comparisons(found, tmp_path / "a" / "out")
    assert not list(tmp_path.iterdir())


def test_two_what_ifs_never_share_a_folder() -> None:
    assert folder_names(["rates up", "Ärger/2", "..", "a"]) == ["rates-up", "Ärger-2", "what-if", "a"]
    for names in (["a b", "A-b"], ["before"], ["Before"], ["..", "/"]):
        with pytest.raises(UsageError, match="would be written to one folder"):
            folder_names(names)


def test_the_example_gives_the_figures_that_its_page_works_out() -> None:
    folder = EXAMPLES / "what-if"
    from collateral_opt.scenarios.words import read_file

    found = {one.name: one for one in compared(read_book(folder), read_file(folder / "changes.yaml"))}
    acme, btp, mc8 = 5e5 / 0.92 * 5e-4, 5e5 / 0.98 * 1e-3, 6e5 / 0.95 * 1e-3
    assert acme + btp + mc8 == pytest.approx(1413.52, abs=0.005)
    over = 6e5 / 0.98 + 6e5 / 0.95 - 1.2e6
    grown = 6e5 / 0.92 * 5e-4 + 1200 + over * 12e-4
    by_hand = {
        "the call grows": grown - (acme + btp + mc8),
        "dearer corporates": 5e5 * 5e-4 * (1 / 0.90 - 1 / 0.92),
        "Italy loses a notch": (5e5 / 0.98 + 6e5 / 0.95) * 2e-4,
    }
    said = (folder / "README.md").read_text(encoding="utf-8")
    for name, by in by_hand.items():
        # in whole lots: one of each line, of 1.20 at 10 bp or a cent of cash at 40
        assert found[name].cost.by == pytest.approx(by, abs=0.02), name
        assert f"{by:,.2f}" in said, name
    assert found["more than there is"].status == ("optimal", "short")
    assert [c.name for c in found["dearer corporates"].costs if c.by == "owner" and c.cost.by > 1] == ["credit"]
