"""Reading a book: folder and workbook, identifiers that survive, files that are not what they should be."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xlsxwriter

from collateral_opt.book.tables import ROW_MODELS
from collateral_opt.errors import BookError, Finding
from collateral_opt.io.read import read_book
from tests.book.small import Desk, csv_text, found_at

IDENTIFIERS = [
    "037833100",
    "12345E10",
    "NA",
    "NaN",
    "null",
    "None",
    "TRUE",
    "=1+1",
    "-5",
    "1e5",
    "007",
    "Ä 1",
    "#N/A",
]
LISTED = [["asset_id", "haircut"], ["EUR", "0.02"], ["BUND", "0.02"], ["UST", "0.02"]]


def with_holdings(identifiers: list[str]) -> Desk:
    desk = Desk()
    columns = {column: "" for column in desk.rows["holdings"][0]}
    desk.rows["holdings"] = [
        {**columns, "holding_id": name, "asset_id": "EUR", "quantity": "1"} for name in ["H1", "H2", *identifiers]
    ]
    desk.rows["posted"][0]["holding_id"] = ""
    return desk


def write_workbook(path: Path, desk: Desk, cells: dict[tuple[str, str], Any] | None = None) -> Path:
    """The desk as text cells, its schedule a list; ``cells`` by (sheet, address) replace some of them."""
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        sheets = {name: [list(rows[0]), *[list(row.values()) for row in rows]] for name, rows in desk.rows.items()}
        sheets["settings"] = [["key", "value"], *[[k, v] for k, v in desk.settings.items()]]
        sheets["schedule vm"] = LISTED
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, value in enumerate(row):
                    sheet.write_string(number, column, value)
        for (name, address), value in (cells or {}).items():
            book.get_worksheet_by_name(name).write(address, value)
    return path


def places(found: list[Finding]) -> list[tuple[str, str, int | None, str | None]]:
    return [(f.code, f.table, f.row, f.column) for f in found]


# --------------------------------------------------------------------------------------- what survives


def test_identifiers_survive_in_csv(tmp_path: Path) -> None:
    book = read_book(with_holdings(IDENTIFIERS).write(tmp_path))
    assert book.holdings["holding_id"].tolist()[2:] == IDENTIFIERS


def test_identifiers_survive_in_parquet(tmp_path: Path) -> None:
    desk = with_holdings(IDENTIFIERS)
    desk.write(tmp_path)
    (tmp_path / "holdings.csv").unlink()
    pd.DataFrame(desk.rows["holdings"]).to_parquet(tmp_path / "holdings.parquet")
    assert read_book(tmp_path).holdings["holding_id"].tolist()[2:] == IDENTIFIERS


def test_identifiers_survive_in_a_workbook(tmp_path: Path) -> None:
    book = read_book(write_workbook(tmp_path / "b.xlsx", with_holdings(IDENTIFIERS)))
    assert book.holdings["holding_id"].tolist()[2:] == IDENTIFIERS


def test_a_counterparty_called_na_and_a_country_called_no_stay(tmp_path: Path) -> None:
    desk = Desk()
    desk.rows["agreements"][0]["counterparty"] = "NA"
    desk.rows["assets"][1]["issuer_country"] = "NO"
    desk.settings["owner_parent"] = "NO"
    book = read_book(desk.write(tmp_path))
    assert book.agreements["counterparty"].tolist()[0] == "NA"
    assert book.assets["issuer_country"].tolist() == [None, "NO", None]
    assert book.settings.owner_parent == "NO"


def test_folder_workbook_and_frames_are_the_same_book(tmp_path: Path) -> None:
    desk = Desk()
    folder = read_book(desk.write(tmp_path / "desk"))
    sheets = read_book(write_workbook(tmp_path / "desk.xlsx", desk))
    frames = desk.book()
    for name in ROW_MODELS:
        pd.testing.assert_frame_equal(getattr(folder, name), getattr(frames, name))
        pd.testing.assert_frame_equal(getattr(sheets, name), getattr(frames, name))
    assert folder.digest == frames.digest
    assert folder.settings == sheets.settings == frames.settings


def test_a_mark_of_byte_order_and_carriage_returns_are_tolerated(tmp_path: Path) -> None:
    desk = Desk()
    desk.write(tmp_path)
    text = csv_text(desk.rows["assets"]).replace("\n", "\r\n")
    (tmp_path / "assets.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    settings = (tmp_path / "settings.yaml").read_bytes()
    (tmp_path / "settings.yaml").write_bytes(b"\xef\xbb\xbf" + settings)
    assert read_book(tmp_path).digest == desk.book().digest


def test_quoted_commas_and_line_breaks_are_one_cell(tmp_path: Path) -> None:
    desk = Desk()
    for row, name in zip(desk.rows["assets"], ["", "Bund, 2031", "UST\n2034"], strict=True):
        row["name"] = name
    assert read_book(desk.write(tmp_path)).assets["name"].tolist() == [None, "Bund, 2031", "UST\n2034"]


# ----------------------------------------------------------------------------------------- row numbers


def test_rows_are_numbered_as_in_the_file_also_after_blank_ones(tmp_path: Path) -> None:
    desk = Desk()
    desk.write(tmp_path)
    (tmp_path / "calls.csv").write_text(
        "call_id,agreement_id,amount,currency\n\nC1,ACME,5,EUR\n,,,\nC2,ACME,x,EUR\n\n\n"
    )
    found = found_at(tmp_path)
    assert [p for p in places(found) if p[1] == "calls" and p[0] != "N631"] == [
        ("E102", "calls", 5, "amount"),
        ("N231", "calls", 2, None),
    ]
    (blank,) = [f for f in found if f.code == "N231"]
    assert blank.cause == "2 blank row(s) are left out, the first is row 2."


def test_a_row_with_too_many_fields_is_left_out_and_hides_nothing(tmp_path: Path) -> None:
    desk = Desk()
    desk.write(tmp_path)
    text = csv_text(desk.rows["assets"]).replace("Germany", "Germany, Federal Republic")
    (tmp_path / "assets.csv").write_text(text)
    (tmp_path / "pins.csv").write_text("call_id,holding_id\nC9,H1\n")
    # holdings, posted rows and costs that name the asset of that row are not reported as well
    assert places(found_at(tmp_path)) == [("E206", "assets", 3, None), ("E302", "pins", 2, "call_id")]


def test_trailing_commas_and_short_rows_are_no_slip(tmp_path: Path) -> None:
    Desk().write(tmp_path)
    (tmp_path / "pins.csv").write_text("call_id,holding_id,quantity,forbid,,\nC1,H2,,,,\nC2,H1\n")
    assert read_book(tmp_path).pins["holding_id"].tolist() == ["H2", "H1"]


# -------------------------------------------------------------------------------------------- workbook


def test_typed_cells_of_a_workbook(tmp_path: Path) -> None:
    desk = Desk()
    cells = {
        ("assets", "D3"): 98.5,
        ("assets", "I3"): date(2031, 2, 15),
        ("posted", "E2"): True,
        ("locations", "D2"): time(16, 30),
        ("agreements", "E2"): 5,
        ("settings", "B2"): "2026-03-31T09:00:00+02:00",
    }
    book = read_book(write_workbook(tmp_path / "b.xlsx", desk, cells))
    plain = desk.book()
    for name in ROW_MODELS:
        pd.testing.assert_frame_equal(getattr(book, name), getattr(plain, name))


def test_a_number_where_an_identifier_belongs_is_read_as_its_digits_with_one_warning(tmp_path: Path) -> None:
    desk = Desk()
    cells: dict[tuple[str, str], Any] = {("holdings", f"A{row}"): 100 + row for row in (2, 3, 4)}
    desk.rows["posted"][0]["holding_id"] = "103"
    desk.rows["costs"][0]["holding_id"] = "102"
    desk.rows["pins"][0]["holding_id"] = "103"
    book = read_book(write_workbook(tmp_path / "b.xlsx", desk, cells))
    assert book.holdings["holding_id"].tolist() == ["102", "103", "104"]
    assert places(list(book.findings)) == [("W121", "holdings", 2, "holding_id")]
    assert book.findings[0].cause.startswith("3 cell(s) are numbers, the first is 102;")


@pytest.mark.parametrize("value", [12.5, True, 1e15, date(2026, 3, 1)])
def test_what_was_no_identifier_any_more_in_excel_is_an_error(value: object, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "b.xlsx", Desk(), {("agreements", "B2"): value})
    assert places(found_at(path)) == [("E111", "agreements", 2, "counterparty")]


@pytest.mark.parametrize(
    ("sheet", "address", "value", "code"),
    [
        ("calls", "E2", datetime(2026, 3, 31, 16), "E109"),
        ("calls", "E2", date(2026, 3, 31), "E109"),
        ("calls", "E2", 46112.5, "E108"),
        ("settings", "B2", datetime(2026, 3, 31, 9), "E109"),
        ("assets", "I3", 46112, "E107"),
        ("calls", "C2", date(2026, 3, 31), "E102"),
        ("calls", "C2", True, "E102"),
    ],
)
def test_cells_of_the_wrong_type(sheet: str, address: str, value: object, code: str, tmp_path: Path) -> None:
    assert [f.code for f in found_at(write_workbook(tmp_path / "b.xlsx", Desk(), {(sheet, address): value}))] == [code]


def test_a_formula_gives_its_value_and_a_failed_one_an_error_also_where_the_cell_may_be_empty(
    tmp_path: Path,
) -> None:
    path = write_workbook(tmp_path / "b.xlsx", Desk(), {("holdings", "D2"): "=5+5", ("holdings", "D3"): "=NA()"})
    # xlsxwriter stores 0 as the value of a formula it is given none for; Excel would have stored 10 and #N/A
    assert read_book(path).holdings["cost_bps"].tolist()[:2] == [0.0, 0.0]
    with xlsxwriter.Workbook(str(tmp_path / "c.xlsx")) as book:
        sheet = book.add_worksheet("fx")
        sheet.write_row("A1", ["currency", "rate"])
        sheet.write_row("A2", ["USD"])
        sheet.write_formula("B2", "=NA()", None, "#N/A")
    assert ("E115", "fx", 2, "rate") in places(found_at(tmp_path / "c.xlsx"))
    assert ("E101", "fx", 2, "rate") not in places(found_at(tmp_path / "c.xlsx"))


def test_rule_schedules_of_a_workbook_lie_beside_it(tmp_path: Path) -> None:
    desk = Desk()
    path = write_workbook(tmp_path / "b.xlsx", desk)
    (tmp_path / "schedules").mkdir()
    (tmp_path / "schedules" / "im.yaml").write_text("name: im\nrules: [{haircut: 0.1}]\n")
    book = read_book(path)
    assert set(book.schedules) == {"vm", "im"}
    (tmp_path / "schedules" / "vm.yaml").write_text("name: vm\nrules: [{haircut: 0.1}]\n")
    assert ("E503", "schedules/vm", None, None) in places(found_at(path))


def test_a_list_on_a_sheet_is_a_schedule_of_the_sheets_name(tmp_path: Path) -> None:
    book = read_book(write_workbook(tmp_path / "b.xlsx", Desk()))
    assert book.schedules["vm"].name == "vm"
    assert [row.asset_id for row in book.schedules["vm"].listing] == ["EUR", "BUND", "UST"]
    path = write_workbook(tmp_path / "c.xlsx", Desk(), {("schedule vm", "B2"): 2})
    (found,) = found_at(path)
    assert (found.code, found.table, found.column) == ("E501", "schedules/vm", "line 2")


def test_a_sheet_with_a_slip_in_its_name_is_named(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "b.xlsx")) as book:
        for name in ("Asset", "holdings", "scratch"):
            book.add_worksheet(name).write_row("A1", ["holding_id", "asset_id", "quantity"])
    found = found_at(tmp_path / "b.xlsx")
    assert ("W221", "assets", None, None) in places(found)
    assert ("N232", "book", None, None) in places(found)
    assert {f.table for f in found if f.code == "E203"} == {"assets", "agreements", "calls"}


# ------------------------------------------------------------------------------- files gone wrong


def test_every_file_is_read_whatever_is_wrong_with_the_others(tmp_path: Path) -> None:
    desk = Desk()
    desk.write(tmp_path)
    (tmp_path / "assets.csv").write_bytes(b"\xff\xfea\x00s\x00")
    (tmp_path / "settings.yaml").write_text("as_of: 2026-03-31\nbase_curency: EUR\nscope: [calls]\n")
    (tmp_path / "schedules" / "vm.yaml").write_text("name: vm\nrules: {}\n")
    (tmp_path / "calls.csv").rename(tmp_path / "Calls.csv")
    (tmp_path / "holdings.csv").write_text("holding_id,asset_id,quantity\nH1,EUR,-1\nH1,EUR,\n")
    got = places(found_at(tmp_path))
    for expected in [
        ("E207", "assets", None, None),
        ("E109", "settings", None, "as_of"),
        ("E703", "settings", None, "base_curency"),
        ("E101", "settings", None, "base_currency"),
        ("E117", "settings", None, "scope"),
        ("W221", "calls", None, None),
        ("E203", "calls", None, None),
        ("E104", "holdings", 2, "quantity"),
        ("E101", "holdings", 3, "quantity"),
        ("E301", "holdings", 3, "holding_id"),
    ]:
        assert expected in got, (expected, got)
    assert any(p[:2] == ("E501", "schedules/vm") for p in got)


def test_the_hint_names_the_file_that_was_meant(tmp_path: Path) -> None:
    for wrong in ("calls .csv", "call.csv", "Calls.csv", "calls.csv.gz", "calls.txt", "calls.xlsx"):
        folder = Desk().write(tmp_path / wrong)
        (folder / "calls.csv").rename(folder / wrong)
        (found,) = [f for f in found_at(folder) if f.code == "W221"]
        assert found.action.startswith("Did you mean calls.csv? "), wrong


def test_other_files_in_the_folder_are_nobodys_business(tmp_path: Path) -> None:
    folder = Desk().write(tmp_path)
    for name in ("README.md", ".hidden.csv", "~$assets.xlsx", "report.html"):
        (folder / name).write_text("x")
    (folder / "out").mkdir()
    assert read_book(folder).findings == ()


def test_a_file_that_may_not_be_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Desk().write(tmp_path)
    read_bytes = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self.name in ("pins.csv", "vm.yaml"):
            raise PermissionError(13, "Permission denied")
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert {p[:2] for p in places(found_at(folder))} >= {("E201", "pins"), ("E201", "schedules/vm")}


def test_a_folder_that_may_not_be_listed_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BookError, match=r"E201 .*permission denied"):
        read_book(tmp_path)


def test_a_parquet_table_with_typed_columns_and_an_index(tmp_path: Path) -> None:
    desk = Desk()
    folder = desk.write(tmp_path)
    (folder / "calls.csv").unlink()
    frame = pd.DataFrame(
        {
            "call_id": ["C1", "C2"],
            "agreement_id": ["ACME", "BETA"],
            "amount": [750000, 100000],
            "currency": ["EUR", "USD"],
            "due": pd.to_datetime(["2026-03-31T16:00:00+01:00", None], utc=True),
            "margin_type": ["vm", None],
            "priority": [1, 2],
        }
    )
    frame.set_index("call_id").to_parquet(folder / "calls.parquet")
    pd.testing.assert_frame_equal(read_book(folder).calls, desk.book().calls)


def test_settings_may_stand_unquoted_and_empty(tmp_path: Path) -> None:
    folder = Desk().write(tmp_path)
    (folder / "settings.yaml").write_text(
        "as_of: 2026-03-31T09:00:00+02:00\nbase_currency: EUR\nmax_moves:\ntime_limit_s: ~\nscope: reoptimise\n"
    )
    settings = read_book(folder).settings
    assert (settings.scope, settings.max_moves, settings.time_limit_s) == ("reoptimise", None, None)
    assert settings.as_of.isoformat() == "2026-03-31T09:00:00+02:00"


def test_reading_is_quick_to_load() -> None:
    code = (
        "import sys, collateral_opt.io.read;"
        "print([m for m in ('python_calamine', 'pyarrow.parquet', 'plotly', 'highspy', 'pulp', 'xlsxwriter')"
        " if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_house_limits_in_a_sheet_are_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("House Limits").write_string(0, 0, "label")
    with pytest.raises(BookError) as caught:
        read_book(path)
    (found,) = [finding for finding in caught.value.findings if finding.code == "E215"]
    assert found.value == "House Limits" and "house_limits.yaml" in found.action
