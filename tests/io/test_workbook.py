"""The workbook: one sheet a question, text that stays text, formats, filters and frozen heads, the same bytes."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from python_calamine import CalamineWorkbook

from collateral_opt import optimise, read_book, read_words
from collateral_opt.errors import UsageError
from collateral_opt.io import workbook
from collateral_opt.io.workbook import result_sheets, write_comparison_workbook, write_workbook
from collateral_opt.scenarios.what_if import compared
from tests.io.results import NASTY, made_result
from tests.io.test_report import frame

EXAMPLES = Path(__file__).parents[2] / "examples"


def sheets(path: Path) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_path(path)
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def columns(table: list[list[Any]], *names: str) -> list[tuple[Any, ...]]:
    at = [table[0].index(name) for name in names]
    return [tuple(row[i] for i in at) for row in table[1:]]


def test_a_sheet_for_each_question_that_has_an_answer(tmp_path: Path) -> None:
    write_workbook(made_result(2), tmp_path / "w.xlsx")
    assert list(sheets(tmp_path / "w.xlsx")) == ["summary", "deliver", "calls", "short", "limits", "left", "prices"]


def test_text_stays_text_and_numbers_are_numbers(tmp_path: Path) -> None:
    write_workbook(made_result(len(NASTY)), tmp_path / "w.xlsx")
    table = sheets(tmp_path / "w.xlsx")["deliver"]
    assert [asset for (asset,) in columns(table, "asset_id")] == NASTY
    assert columns(table, "quantity", "market_value")[0] == (1_000_000.0, 1000.5)
    with zipfile.ZipFile(tmp_path / "w.xlsx") as parts:
        for name in parts.namelist():
            assert b"<f>" not in parts.read(name) and b"<hyperlink" not in parts.read(name), name


def test_every_row_of_every_table_is_in_a_sheet() -> None:
    rows = [(None, "A1", None, None, "0123", "keep", 1.0, 1.0, 0.0, 1.0, 0.0)]
    kept = frame("allocation", ("C1", "A1", "H0", None, "0123", "deliver", 2.0, 2.0, 0.0, 2.0, 0.1), *rows)
    result = made_result(allocation=kept)
    told = result_sheets(result)
    assert told["deliver"]["quantity"].tolist() == [2.0] and told["keep and recall"]["action"].tolist() == ["keep"]
    for table, sheet in {"calls": "calls", "limits": "limits", "inventory": "left"}.items():
        assert len(told[sheet]) == len(result.table(table)) > 0, table


def test_what_is_short_stands_apart_with_its_reason_the_most_first() -> None:
    calls = frame(
        "calls",
        ("C1", 10.0, 9.0, 1.0, 0.0, np.nan, "late"),
        ("C2", 10.0, 10.0, 0.0, 0.0, 3.0, None),
        ("C3", 10.0, 2.0, 8.0, 0.0, np.nan, "nothing left"),
    )
    reserves = frame("reserves", ("LCR", 100.0, 60.0, 40.0, np.nan))
    short = result_sheets(made_result(calls=calls, reserves=reserves))["short"]
    assert short[["kind", "name", "missing"]].values.tolist() == [
        ["call", "C3", 8.0], ["call", "C1", 1.0], ["reserve", "LCR", 40.0],
    ]  # fmt: skip
    assert short["reason"].tolist()[:2] == ["nothing left", "late"]


def test_the_fullest_limits_come_first_and_the_part_used_is_told() -> None:
    limits = frame(
        "limits",
        ("A", "half", "", 5.0, 10.0, 0.0),
        ("A", "full", "", 10.0, 10.0, 2.0),
        ("A", "none may be", "", 5.0, 0.0, 0.0),
        ("A", "no cap", "", 5.0, np.inf, 0.0),
        ("A", "nothing there", "", 0.0, 0.0, 0.0),
    )
    told = result_sheets(made_result(limits=limits))["limits"]
    assert told["limit"].tolist() == ["none may be", "full", "half", "no cap", "nothing there"]
    assert told["use"].tolist()[1:4] == [1.0, 0.5, 0.0] and told["use"].isna().tolist() == [True, *[False] * 3, True]


def test_heads_are_frozen_filters_are_set_and_figures_have_formats(tmp_path: Path) -> None:
    write_workbook(made_result(3), tmp_path / "w.xlsx")
    with zipfile.ZipFile(tmp_path / "w.xlsx") as parts:
        deliver = parts.read("xl/worksheets/sheet2.xml").decode()
        styles = parts.read("xl/styles.xml").decode()
    # call, agreement and holding stay in sight, and the heads; three lines of twelve columns
    assert '<pane xSplit="3" ySplit="1"' in deliver and '<autoFilter ref="A1:L4"/>' in deliver
    formats = dict(re.findall(r'<numFmt numFmtId="(\d+)" formatCode="([^"]+)"', styles))
    cells = re.findall(r"<cellXfs.*?</cellXfs>", styles, re.S)[0]
    by_style = [formats.get(n, "") for n in re.findall(r'<xf numFmtId="(\d+)"', cells)]
    shown = {cell: by_style[int(style)] for cell, style in re.findall(r'<c r="([A-Z]+)2" s="(\d+)"', deliver)}
    assert shown == {"F": "#,##0", "G": "#,##0.00", "H": "0.00##%", "I": "#,##0.00", "J": "#,##0.00"}


def test_the_same_answer_gives_the_same_bytes_whatever_it_took(tmp_path: Path) -> None:
    for name in ("one", "two"):
        seconds = {"seconds": {"solving": 1.0}, "as_of": "2026-03-24T08:00:00+00:00", "cost": 1.5}
        took = seconds if name == "one" else {**seconds, "seconds": {"solving": 9.0}}
        write_workbook(made_result(30, summary=took), tmp_path / name)
    assert columns(sheets(tmp_path / "one")["summary"], "item")[1:] == [("cost",)]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_more_rows_than_a_sheet_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_ROWS", 4)
    with pytest.raises(UsageError, match=r"^deliver: more rows than a sheet can hold\. Leave --workbook out\.$"):
        # of prices there are four: two calls, and two limits that bind
        write_workbook(made_result(5, summary={"as_of": "2026-03-24T08:00:00+00:00"}), tmp_path / "w.xlsx")
    assert not list(tmp_path.iterdir())


def test_an_explained_result_says_what_would_cover_it(tmp_path: Path) -> None:
    """980,000 of one bond: 600,000 / 0.98 go first; of the rest 0.95 counts, and the call asks for 500,000."""
    result = optimise(read_book(EXAMPLES / "short-by-priority"))
    write_workbook(result, tmp_path / "w.xlsx", result.explain())
    table = sheets(tmp_path / "w.xlsx")["to cover it"]
    needed = {row[:3]: row[3] for row in columns(table, "name", "to_change", "what", "amount")}
    lacking = 500_000 - (980_000 - 600_000 / 0.98) * 0.95
    assert set(needed) == {("BANK-1", "supply", "more of H-GOV"), ("BANK-1", "others", "call CCP-1")}
    assert needed["BANK-1", "supply", "more of H-GOV"] == pytest.approx(lacking / 0.95, rel=1e-6)


def test_an_explained_result_has_prices_to_either_side_and_what_terms_cost(tmp_path: Path) -> None:
    """A unit more of the cap puts 1 / 0.95 of a bond at 5.2 bp where one at 10 bp was."""
    result = optimise(read_book(EXAMPLES / "concentration-limit"))
    plain, told = result_sheets(result), result_sheets(result, result.explain())
    assert "one_less_bps" not in plain["prices"] and not len(plain["worth letting go"])
    (limit,) = told["prices"][told["prices"]["kind"] == "limit"].to_dict("records")
    assert (limit["agreement_id"], limit["name"], limit["group"], limit["one_more"]) == (
        "BANK", "one issuer", "Alpha", "saves",
    )  # fmt: skip
    assert limit["one_more_bps"] == pytest.approx((10 - 5.2) / 0.95) == pytest.approx(limit["one_less_bps"])
    (term,) = told["worth letting go"].to_dict("records")
    # 400,000 of cover by the cheaper bond
    assert (term["kind"], term["name"]) == ("limit", "one issuer")
    assert term["saves_per_day"] == pytest.approx(400_000 / 0.95 * (10 - 5.2) / 10_000 / 360, rel=1e-6)


def test_a_what_if_has_a_sheet_for_each_kind_of_difference(tmp_path: Path) -> None:
    words = read_words(["call:MC7.amount=+10000000"], "more")
    (found,) = compared(read_book(EXAMPLES / "what-if"), [words])
    write_comparison_workbook(found, tmp_path / "w.xlsx")
    told = sheets(tmp_path / "w.xlsx")
    assert told["alterations"][1][:2] == [1, "call:MC7.amount=+10000000"]
    assert columns(told["alterations"], "name", "was", "now") == [("MC7", 1e6, 1.1e7)]
    assert {"changes", "figures", "costs", "calls", "lines", "movements"} <= set(told)
    assert told["changes"] == [["change"], ["call:MC7.amount=+10000000"]]
    (cost,) = [row for row in told["figures"] if row[0] == "cost"]
    assert cost[1:] == [found.cost.before, found.cost.after, found.cost.by]
    assert columns(told["calls"], "call_id", "required_by") == [("MC7", 10_000_000.0)]
    assert len(told["lines"]) == 1 + len(found.lines) > 1
