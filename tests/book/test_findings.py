"""Every code of the catalogue can be provoked, says where, and the page lists exactly the catalogue."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xlsxwriter

from collateral_opt.book.codes import CATALOGUE, findings_page
from collateral_opt.book.tables import ROW_MODELS
from collateral_opt.errors import Finding
from tests.book.small import ACCEPTS, Desk, found_at, found_in

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
Where = tuple[str, int | None, str | None]
Change = Callable[[Desk], None]


def cell(table: str, row: int, column: str, value: Any) -> Change:
    """Writes one cell; ``row`` as a person counts it, the header being row 1."""

    def change(desk: Desk) -> None:
        for other in desk.rows[table]:
            other.setdefault(column, "")
        desk.rows[table][row - 2][column] = value

    return change


def setting(key: str, value: Any) -> Change:
    return lambda desk: desk.settings.__setitem__(key, value)


def again(table: str, row: int) -> Change:
    return lambda desk: desk.rows[table].append(dict(desk.rows[table][row - 2]))


def drop(table: str, column: str | None = None) -> Change:
    def change(desk: Desk) -> None:
        if column is None:
            del desk.rows[table]
        else:
            desk.rows[table] = [{c: v for c, v in row.items() if c != column} for row in desk.rows[table]]

    return change


def row(table: str, **cells: str) -> Change:
    return lambda desk: desk.rows.setdefault(table, []).append(cells)


def received(**cells: str) -> Change:
    line = {"received_id": "R1", "agreement_id": "ACME", "asset_id": "BUND", "quantity": "1000", "reuse": "true"}
    return row("received", **{**line, **cells})


def sent(**cells: str) -> Change:
    line = {"call_id": "C1", "holding_id": "H2", "facility_id": "", "asset_id": "", "quantity": "500"}
    return row("instructions", **{**line, "state": "settled", **cells})


def position(**cells: str) -> Change:
    line = {"position_id": "P1", "agreement_id": "ACME", "instrument": "Bund future", "market_value": "100"}
    return row("positions", **{**line, "quantity": "", "price": "", "initial_margin": "5", "currency": "EUR", **cells})


def schedule(text: str) -> Change:
    return lambda desk: desk.schedules.__setitem__("vm.yaml", "name: vm\n" + text)


def both(*changes: Change) -> Change:
    def change(desk: Desk) -> None:
        for one in changes:
            one(desk)

    return change


TWO_RULES = "overlap: error\nrules: [{label: a, haircut: 0.02}, {label: b, haircut: 0.04}]\n"
EXCLUSION = "rules: [{haircut: 0.02}, {label: no convertibles, exclude: true, when: {secured_type: convertible}}]\n"
LIMIT = "rules: [{haircut: 0.02}]\nlimits: [{label: turnover, group_by: asset, of: adv, max: 0.1}]\n"
GBP_LIMIT = "rules: [{haircut: 0}]\nlimits: [{label: most, of: money, max: {amount: 5, currency: GBP}}]\n"

# code, what is changed, where the finding must stand (table, row, column)
IN_TABLES: list[tuple[str, Change, Where]] = [
    ("E101", cell("calls", 2, "amount", ""), ("calls", 2, "amount")),
    ("E101", setting("as_of", ""), ("settings", None, "as_of")),
    ("E102", cell("holdings", 3, "quantity", "1,000"), ("holdings", 3, "quantity")),
    ("E102", cell("holdings", 3, "quantity", "1_000"), ("holdings", 3, "quantity")),
    ("E102", cell("holdings", 3, "cost_bps", "5%"), ("holdings", 3, "cost_bps")),
    ("E102", setting("mip_gap", "small"), ("settings", None, "mip_gap")),
    ("E103", cell("holdings", 3, "quantity", "1e400"), ("holdings", 3, "quantity")),
    ("E103", cell("holdings", 3, "quantity", "nan"), ("holdings", 3, "quantity")),
    ("E103", cell("assets", 3, "price", "-inf"), ("assets", 3, "price")),
    ("E104", cell("calls", 3, "amount", "-250000"), ("calls", 3, "amount")),
    ("E104", cell("calls", 3, "amount", "0"), ("calls", 3, "amount")),
    ("E104", cell("holdings", 2, "quantity", "-1"), ("holdings", 2, "quantity")),
    ("E104", cell("assets", 3, "price", "0"), ("assets", 3, "price")),
    ("E104", cell("assets", 3, "lot_size", "-1000"), ("assets", 3, "lot_size")),
    ("E104", cell("fx", 2, "rate", "0"), ("fx", 2, "rate")),
    ("E104", setting("horizon_days", "0"), ("settings", None, "horizon_days")),
    ("E105", cell("agreements", 2, "max_lines", "2.5"), ("agreements", 2, "max_lines")),
    ("E105", setting("max_moves", "2.5"), ("settings", None, "max_moves")),
    ("E106", cell("assets", 3, "asset_type", "bond"), ("assets", 3, "asset_type")),
    ("E106", cell("facilities", 2, "kind", "reverse"), ("facilities", 2, "kind")),
    ("E106", cell("calls", 2, "margin_type", "VM"), ("calls", 2, "margin_type")),
    ("E106", setting("scope", "all"), ("settings", None, "scope")),
    ("E107", cell("assets", 3, "maturity_date", "31/12/2030"), ("assets", 3, "maturity_date")),
    ("E107", cell("assets", 3, "maturity_date", "2030-02-30"), ("assets", 3, "maturity_date")),
    ("E108", cell("calls", 2, "due", "31.03.2026 16:00"), ("calls", 2, "due")),
    ("E109", cell("calls", 2, "due", "2026-03-31T16:00"), ("calls", 2, "due")),
    ("E109", cell("holdings", 3, "ready_at", "2026-03-31"), ("holdings", 3, "ready_at")),
    ("E109", setting("as_of", "2026-03-31T09:00"), ("settings", None, "as_of")),
    ("E110", cell("posted", 2, "locked", "maybe"), ("posted", 2, "locked")),
    ("E112", cell("calls", 2, "currency", "eur"), ("calls", 2, "currency")),
    ("E112", setting("base_currency", "Euro"), ("settings", None, "base_currency")),
    ("E113", cell("locations", 2, "cut_off", "4pm"), ("locations", 2, "cut_off")),
    ("E114", cell("assets", 3, "issue_date", "1600-01-01"), ("assets", 3, "issue_date")),
    ("E114", cell("calls", 2, "due", "2400-01-01T00:00:00Z"), ("calls", 2, "due")),
    ("E116", cell("locations", 2, "timezone", "Europe/Londn"), ("locations", 2, "timezone")),
    ("E118", cell("locations", 2, "calendar", "TARGTE"), ("locations", 2, "calendar")),
    ("W122", cell("agreements", 2, "cash_return_bp", "4"), ("agreements", None, "cash_return_bp")),
    ("N131", cell("holdings", 2, "holding_id", " H1"), ("holdings", 2, "holding_id")),
    ("N132", cell("assets", 3, "maturity_date", "9999-12-31"), ("assets", 3, "maturity_date")),
    ("E203", drop("holdings"), ("holdings", None, None)),
    ("E204", drop("calls", "amount"), ("calls", None, "amount")),
    ("E301", again("fx", 2), ("fx", 3, "currency")),
    ("E301", again("assets", 3), ("assets", 5, "asset_id")),
    ("E301", again("holdings", 2), ("holdings", 5, "holding_id")),
    ("E301", again("agreements", 2), ("agreements", 4, "agreement_id")),
    ("E301", again("calls", 2), ("calls", 4, "call_id")),
    ("E301", again("cash_returns", 2), ("cash_returns", 3, "agreement_id")),
    ("E301", again("locations", 2), ("locations", 3, "location")),
    ("E301", again("facilities", 2), ("facilities", 4, "facility_id")),
    ("E301", again("reserves", 2), ("reserves", 3, "reserve_id")),
    ("E301", again("costs", 3), ("costs", 4, "asset_id")),
    ("E301", again("pins", 2), ("pins", 3, "call_id")),
    ("E302", cell("holdings", 2, "asset_id", "CHF"), ("holdings", 2, "asset_id")),
    ("E302", cell("holdings", 3, "location", "L9"), ("holdings", 3, "location")),
    ("E302", cell("calls", 2, "agreement_id", "X"), ("calls", 2, "agreement_id")),
    ("E302", cell("cash_returns", 2, "agreement_id", "X"), ("cash_returns", 2, "agreement_id")),
    ("E302", cell("posted", 2, "agreement_id", "X"), ("posted", 2, "agreement_id")),
    ("E302", cell("posted", 2, "asset_id", "X"), ("posted", 2, "asset_id")),
    ("E302", cell("posted", 2, "holding_id", "X"), ("posted", 2, "holding_id")),
    ("E302", cell("facilities", 2, "gives", "X"), ("facilities", 2, "gives")),
    ("E302", cell("costs", 2, "holding_id", "X"), ("costs", 2, "holding_id")),
    ("E302", cell("costs", 3, "asset_id", "X"), ("costs", 3, "asset_id")),
    ("E302", cell("costs", 2, "agreement_id", "X"), ("costs", 2, "agreement_id")),
    ("E302", cell("costs", 3, "facility_id", "X"), ("costs", 3, "facility_id")),
    ("E302", cell("pins", 2, "call_id", "X"), ("pins", 2, "call_id")),
    ("E302", cell("pins", 2, "holding_id", "X"), ("pins", 2, "holding_id")),
    ("E303", cell("posted", 2, "holding_id", "H1"), ("posted", 2, "holding_id")),
    ("E304", cell("costs", 2, "asset_id", "EUR"), ("costs", 2, "holding_id")),
    ("E304", cell("costs", 2, "agreement_id", ""), ("costs", 2, "agreement_id")),
    ("E305", cell("facilities", 2, "takes", ""), ("facilities", 2, "takes")),
    ("E306", both(cell("pins", 2, "quantity", "5"), cell("pins", 2, "forbid", "true")),
     ("pins", 2, "quantity")),
    ("E101", received(asset_id=""), ("received", 2, "asset_id")),
    ("E106", sent(state="sent"), ("instructions", 2, "state")),
    ("E109", received(return_by="2026-03-31T16:00"), ("received", 2, "return_by")),
    ("E301", both(received(), received()), ("received", 3, "received_id")),
    ("E301", both(row("pins", call_id="C1", facility_id="F1"), row("pins", call_id="C1", facility_id="F1")),
     ("pins", 4, "call_id")),
    ("E302", received(agreement_id="X"), ("received", 2, "agreement_id")),
    ("E302", received(asset_id="X"), ("received", 2, "asset_id")),
    ("E302", received(location="X"), ("received", 2, "location")),
    ("E302", sent(call_id="X"), ("instructions", 2, "call_id")),
    ("E302", sent(holding_id="X"), ("instructions", 2, "holding_id")),
    ("E302", sent(holding_id="", facility_id="X"), ("instructions", 2, "facility_id")),
    ("E302", sent(asset_id="X"), ("instructions", 2, "asset_id")),
    ("E302", cell("pins", 2, "facility_id", "X"), ("pins", 2, "facility_id")),
    ("E302", both(received(), sent(call_id="R1")), ("instructions", 2, "call_id")),  # nothing of it is owed back
    ("E302", both(received(return_quantity="1"), cell("calls", 2, "agreement_id", "R1")), ("calls", 2, "agreement_id")),
    ("E303", sent(asset_id="UST"), ("instructions", 2, "holding_id")),
    ("E303", both(received(), sent(holding_id="R1", asset_id="UST")), ("instructions", 2, "holding_id")),
    ("E304", cell("pins", 2, "facility_id", "F1"), ("pins", 2, "holding_id")),
    ("E304", cell("pins", 2, "holding_id", ""), ("pins", 2, "holding_id")),
    ("E304", sent(facility_id="F1"), ("instructions", 2, "holding_id")),
    ("E304", sent(holding_id=""), ("instructions", 2, "holding_id")),
    ("E306", both(cell("pins", 2, "at_least", "5"), cell("pins", 2, "forbid", "true")), ("pins", 2, "at_least")),
    ("E331", received(received_id="H1"), ("received", 2, "received_id")),
    ("E331", received(received_id="ACME"), ("received", 2, "received_id")),
    ("E331", received(received_id="C1"), ("received", 2, "received_id")),
    ("E331", both(received(), lambda d: d.schedules.update({"return R1.yaml": ACCEPTS.replace("vm", "return R1")})),
     ("received", 2, "received_id")),
    ("E332", received(return_quantity="1001"), ("received", 2, "return_quantity")),
    ("E333", both(received(reuse=""), sent(holding_id="R1")), ("instructions", 2, "holding_id")),
    ("E333", both(received(segregated="true"), cell("pins", 2, "holding_id", "R1")), ("pins", 2, "holding_id")),
    ("E333", both(received(reuse="", return_quantity="9"), sent(call_id="R1")), ("instructions", 2, "call_id")),
    ("E334", sent(holding_id="", facility_id="F1", asset_id="UST"), ("instructions", 2, "facility_id")),
    ("E335", both(sent(quantity="20000000"), sent(call_id="C2", quantity="1", state="disputed")),
     ("instructions", 2, "holding_id")),
    ("E335", sent(holding_id="", facility_id="F2", quantity="5000.01"), ("instructions", 2, "facility_id")),
    ("E336", both(sent(), cell("pins", 2, "forbid", "true")), ("pins", 2, "holding_id")),
    ("E337", both(cell("pins", 2, "quantity", "5"), cell("pins", 2, "at_least", "6")), ("pins", 2, "at_least")),
    ("W321", cell("assets", 4, "isin", "GB0002634946"), ("assets", 4, "isin")),
    ("W322", cell("assets", 4, "isin", "US0378331006"), ("assets", 4, "isin")),
    ("W322", cell("assets", 4, "isin", "037833100"), ("assets", 4, "isin")),
    ("E401", cell("calls", 3, "currency", "GBP"), ("fx", None, "currency")),
    ("E401", cell("assets", 4, "currency", "GBP"), ("fx", None, "currency")),
    ("E401", cell("agreements", 2, "base_currency", "GBP"), ("fx", None, "currency")),
    ("E401", cell("reserves", 2, "currency", "GBP"), ("fx", None, "currency")),
    ("E401", schedule(GBP_LIMIT), ("fx", None, "currency")),
    ("E402", lambda d: d.rows["fx"].append({"currency": "EUR", "rate": "1.1"}), ("fx", 3, "rate")),
    ("E403", cell("assets", 3, "price", ""), ("assets", 3, "price")),
    ("E403", both(row("assets", asset_id="NEW", asset_type="equity", currency="EUR"), received(asset_id="NEW")),
     ("assets", 5, "price")),
    ("E404", cell("assets", 2, "price", "1.01"), ("assets", 2, "price")),
    ("E404", cell("assets", 2, "price_factor", "0.01"), ("assets", 2, "price")),
    ("E501", schedule("rules: [{label: a, haircut: 2}]\n"), ("schedules/vm", None, "rule 1 'a'")),
    ("E501", schedule(TWO_RULES), ("schedules/vm", None, "rule 1 'a'")),
    ("E502", cell("agreements", 2, "schedule", "vn"), ("agreements", 2, "schedule")),
    ("E502", cell("calls", 2, "schedule", "im"), ("calls", 2, "schedule")),
    ("E502", cell("facilities", 2, "takes", "im"), ("facilities", 2, "takes")),
    ("E502", cell("reserves", 2, "schedule", "im"), ("reserves", 2, "schedule")),
    ("E504", schedule("rules: [{haircut: 0, when: {secter: x}}]\n"), ("schedules/vm", None, "secter")),
    ("E505", cell("assets", 3, "rating_moodys", "AAA+"), ("assets", 3, "rating_moodys")),
    ("E506", lambda d: d.schedules.update({"vm.yaml": "name: other\nrules: [{haircut: 0}]\n"}),
     ("schedules/vm", None, "name")),
    ("W521", schedule(EXCLUSION), ("schedules/vm", None, "no convertibles")),
    ("W522", schedule(LIMIT), ("schedules/vm", None, "turnover")),
    ("N531", lambda d: d.schedules.update({"old.yaml": "name: old\nrules: [{haircut: 0}]\n"}),
     ("schedules/old", None, None)),
    ("W601", cell("assets", 3, "maturity_date", "2019-12-31"), ("assets", 3, "maturity_date")),
    ("W602", cell("assets", 3, "maturity_date", "2026-03-30"), ("holdings", 3, "asset_id")),
    ("W603", cell("calls", 2, "due", "2026-03-31T08:59:59+02:00"), ("calls", 2, "due")),
    ("W604", cell("assets", 3, "issuer", ""), ("assets", 3, "issuer")),
    ("W603", received(return_quantity="1", return_by="2026-03-31T08:59:59+02:00"), ("received", 2, "return_by")),
    ("W641", both(received(return_quantity="150"), cell("assets", 3, "lot_size", "100")),
     ("received", 2, "return_quantity")),
    ("N641", received(reuse="", return_quantity="9"), ("received", 2, "return_quantity")),
    ("N642", sent(state="disputed"), ("instructions", 2, "state")),
    ("W605", cell("calls", 3, "priority", ""), ("calls", 3, "priority")),
    ("W606", setting("as_of", "2150-03-31T09:00:00+02:00"), ("locations", 2, "calendar")),
    ("N631", both(cell("calls", 2, "priority", ""), cell("calls", 3, "priority", "")),
     ("calls", None, "priority")),
    ("E703", setting("horizn_days", "2"), ("settings", None, "horizn_days")),
]  # fmt: skip


def at(found: list[Finding], code: str) -> list[Where]:
    return [(f.table, f.row, f.column) for f in found if f.code == code]


IN_TABLES += [
    ("E301", both(position(), position()), ("positions", 3, "position_id")),
    ("E302", position(agreement_id="ACM"), ("positions", 2, "agreement_id")),
    ("E401", position(currency="CHF"), ("fx", None, "currency")),
    ("E901", position(market_value="", quantity="5"), ("positions", 2, "market_value")),
    ("W911", position(initial_margin=""), ("positions", 2, "initial_margin")),
    ("W912", position(quantity="5", price="10"), ("positions", 2, "market_value")),
    ("W913", position(agreement_id=""), ("positions", 2, "initial_margin")),
    ("E106", cell("agreements", 2, "nets", "netted"), ("agreements", 2, "nets")),
    ("E302", row("sensitivities", position_id="P9", factor="f", delta="1"), ("sensitivities", 2, "position_id")),
    ("E904", row("thresholds", agreement_id="ACME", party="us", rating="A1", threshold="5"),
     ("thresholds", 2, "rating")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "change", "where"), IN_TABLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_slip_in_a_table_is_found_where_it_stands_in_frames_and_in_files_alike(
    code: str, change: Change, where: Where, tmp_path: Path
) -> None:
    desk = Desk()
    change(desk)
    in_frames = found_in(desk)
    assert where in at(in_frames, code), in_frames
    assert found_at(desk.write(tmp_path)) == in_frames


# ------------------------------------------------------------------------ what only a frame can bring


def _frames_found(change: Callable[[dict[str, pd.DataFrame]], None]) -> list[Finding]:
    from collateral_opt.book import Book
    from collateral_opt.errors import BookError

    desk = Desk()
    frames = desk.frames()
    change(frames)
    schedules = {"vm": {"name": "vm", "rules": [{"haircut": 0.02}]}}
    try:
        return list(Book.from_tables(frames, settings=desk.settings, schedules=schedules).findings)
    except BookError as error:
        return list(error.findings)


def _numeric_ids(frames: dict[str, pd.DataFrame]) -> None:
    frames["holdings"] = frames["holdings"].assign(holding_id=[37833100, 2, 3])


def _list_in_cell(frames: dict[str, pd.DataFrame]) -> None:
    frames["holdings"].at[0, "quantity"] = [1, 2]


def _two_columns(frames: dict[str, pd.DataFrame]) -> None:
    frames["calls"] = pd.concat([frames["calls"], frames["calls"][["amount"]]], axis=1)


def _nameless(frames: dict[str, pd.DataFrame]) -> None:
    frames["calls"] = frames["calls"].assign(**{" ": "x"})


def _stranger(frames: dict[str, pd.DataFrame]) -> None:
    frames["call"] = frames["calls"]


IN_FRAMES: list[tuple[str, Callable[[dict[str, pd.DataFrame]], None], Where]] = [
    ("E111", _numeric_ids, ("holdings", None, "holding_id")),
    ("E117", _list_in_cell, ("holdings", 2, "quantity")),
    ("E205", _two_columns, ("calls", None, "amount")),
    ("E211", _nameless, ("calls", None, None)),
    ("E214", _stranger, ("call", None, None)),
]


@pytest.mark.parametrize(("code", "change", "where"), IN_FRAMES, ids=[c for c, *_ in IN_FRAMES])
def test_a_slip_in_a_frame_is_found(code: str, change: Callable[[dict[str, pd.DataFrame]], None], where: Where) -> None:
    assert where in at(_frames_found(change), code)


# ------------------------------------------------------------------------- what only files can bring


def _write(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return change


def _calls_twice(folder: Path) -> Path:
    (folder / "calls.parquet").write_bytes(b"")
    return folder


def _calls_as_parquet(content: bytes) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        (folder / "calls.csv").unlink()
        (folder / "calls.parquet").write_bytes(content)
        return folder

    return change


def _directory_as_table(folder: Path) -> Path:
    (folder / "pins.csv").unlink()
    (folder / "pins.csv").mkdir()
    return folder


def _renamed(old: str, new: str) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        (folder / old).rename(folder / new)
        return folder

    return change


def _blank_line(folder: Path) -> Path:
    path = folder / "calls.csv"
    head, *rest = path.read_text().splitlines()
    path.write_text("\n".join([head, ",,,", *rest, ""]))
    return folder


def workbook(path: Path, change: Callable[[xlsxwriter.Workbook], None] | None = None) -> Path:
    """The small desk as a workbook, everything as text; its schedule as a list."""
    desk = Desk()
    with xlsxwriter.Workbook(str(path)) as book:
        sheets = {name: [list(rows[0]), *[list(row.values()) for row in rows]] for name, rows in desk.rows.items()}
        sheets["settings"] = [["key", "value"], *[[k, v] for k, v in desk.settings.items()]]
        listed = [[asset, "0.02"] for asset in ("EUR", "BUND", "UST")]
        sheets["schedule vm"] = [["asset_id", "haircut"], *listed]
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, value in enumerate(row):
                    sheet.write_string(number, column, value)
        if change is not None:
            change(book)
    return path


def _in_workbook(change: Callable[[xlsxwriter.Workbook], None]) -> Callable[[Path], Path]:
    return lambda folder: workbook(folder / "book.xlsx", change)


def _excel_error(book: xlsxwriter.Workbook) -> None:
    book.get_worksheet_by_name("calls").write_formula("C3", "=NA()", None, "#N/A")


def _excel_number(book: xlsxwriter.Workbook) -> None:
    book.get_worksheet_by_name("assets").write_number("H4", 378331005)  # isin of UST
    book.get_worksheet_by_name("assets").write_number("F4", 42)  # its issuer


def _listed_stranger(folder: Path) -> Path:
    (folder / "schedules" / "vm.yaml").unlink()
    lines = "asset_id,haircut\nEUR,0\nBUND,0.02\nUST,0.02\nJGB,0.03\n"
    (folder / "schedules" / "vm.csv").write_text(lines)
    return folder


IN_FILES: list[tuple[str, Callable[[Path], Path], Where]] = [
    ("E115", _in_workbook(_excel_error), ("calls", 3, "amount")),
    ("W121", _in_workbook(_excel_number), ("assets", 4, "issuer")),
    ("E201", lambda folder: folder / "nowhere", ("?", None, None)),
    ("E201", _directory_as_table, ("pins", None, None)),
    ("E202", lambda folder: folder / "calls.csv", ("?", None, None)),
    ("E206", _write("pins.csv", "call_id,holding_id\nC1,H1\nC2,H1,x\n"), ("pins", 3, None)),
    ("E207", _write("pins.csv", b"call_id,holding_id\nC1,H\xfc\n"), ("pins", None, None)),
    ("E207", _write("settings.yaml", b"owner_parent: M\xfcller\n"), ("settings", None, None)),
    ("E208", _write("pins.csv", "\n"), ("pins", None, None)),
    ("E209", _calls_twice, ("calls", None, None)),
    ("E210", _write("pins.csv", 'call_id,holding_id\n"C1,H1\n'), ("pins", None, None)),
    ("E207", _write("pins.csv", "call_id,holding_id\nC1,H1\x00\n"), ("pins", None, None)),
    ("E210", _calls_as_parquet(b"PAR1 this is no parquet PAR1"), ("calls", None, None)),
    ("E210", lambda folder: _write("b.xlsx", "no zip")(folder) / "b.xlsx", ("b.xlsx", None, None)),
    ("E212", _write("pins.csv", "call_id;holding_id\nC1;H1\n"), ("pins", None, None)),
    ("E213", _calls_as_parquet(b"PAR1"), ("calls", None, None)),
    ("W221", _renamed("pins.csv", "pin.csv"), ("pins", None, None)),
    ("W221", _renamed("calls.csv", "calls .csv"), ("calls", None, None)),
    ("W221", _renamed("settings.yaml", "settings.yml"), ("settings", None, None)),
    ("N231", _blank_line, ("calls", 2, None)),
    ("N232", _write("weather.csv", "a\n1\n"), ("book", None, None)),
    ("E503", _write("schedules/vm.csv", "asset_id,haircut\nEUR,0\n"), ("schedules/vm", None, None)),
    ("N532", _listed_stranger, ("schedules/vm", None, None)),
    ("E701", lambda folder: [(folder / "settings.yaml").unlink(), folder][1], ("settings", None, None)),
    ("E702", _write("settings.yaml", "as_of: [\n"), ("settings", None, None)),
    ("E704", _write("settings.yaml", "as_of: x\nbase_currency: EUR\nas_of: y\n"), ("settings", 3, "as_of")),
    ("E705", _write("settings.yaml", "- as_of\n"), ("settings", None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "change", "where"), IN_FILES, ids=[c for c, *_ in IN_FILES])
def test_a_slip_in_a_file_is_found(
    code: str,
    change: Callable[[Path], Path],
    where: Where,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = change(Desk().write(tmp_path / "desk"))
    if code == "E213":
        imported = builtins.__import__

        def without_pyarrow(name: str, *rest: Any, **more: Any) -> Any:
            if name.split(".")[0] == "pyarrow":
                raise ImportError(name)
            return imported(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    places = at(found_at(path), code)
    if where[0] == "?":
        where = (str(path), *where[1:])
    assert where in places, found_at(path)


# ------------------------------------------------------------------------------------ the catalogue


def test_every_code_is_provoked_above() -> None:
    provoked = {code for code, *_ in (*IN_TABLES, *IN_FRAMES, *IN_FILES)}
    elsewhere = {"E215", "W523", "N524", "E308", "E811", "E812", "E813", "E814", "E815", "E816"}
    elsewhere |= {
        "W921",
        "W922",
        "W923",
        "W924",
        "W925",
        "N931",
        "N932",
        "N933",
        "N934",
    }  # of a stress: test_projection
    assert provoked == set(CATALOGUE) - elsewhere, "in test_read, test_posted, test_reoptimise, test_house, test_pins"


def test_the_page_is_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == findings_page()


def test_a_finding_names_the_thing_the_value_and_what_to_do() -> None:
    desk = Desk()
    cell("calls", 3, "amount", "-250000")(desk)
    (found,) = found_in(desk)
    assert str(found) == (
        "E104 calls row 3, amount: -250000 is not above 0. Remove the row, or correct its sign or size."
    )


def test_every_sentence_is_complete() -> None:
    for code, change, _ in IN_TABLES:
        desk = Desk()
        change(desk)
        for found in found_in(desk):
            text = str(found)
            assert "{" not in text.replace("{secured_type: ...}", ""), (code, text)
            assert found.cause.endswith((".", ".)")) and found.action.endswith((".", "")), text


def test_every_reference_column_of_every_table_is_required_to_exist() -> None:
    """A column that ends in _id is its table's own key, or a reference that is checked."""
    from collateral_opt.book.checks import REFERENCES, UNIQUE

    checked = {(table, column) for table, column, *_ in REFERENCES}
    for table, model in ROW_MODELS.items():
        for column in model.model_fields:
            if column.endswith("_id"):
                assert (table, column) in checked or column in UNIQUE[table][:1], (table, column)


def test_an_excel_time_without_offset_is_refused(tmp_path: Path) -> None:
    def change(book: xlsxwriter.Workbook) -> None:
        form = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        book.get_worksheet_by_name("calls").write_datetime("E2", datetime(2026, 3, 31, 16, 0), form)

    (found,) = found_at(workbook(tmp_path / "b.xlsx", change))
    assert (found.code, found.row, found.column) == ("E109", 2, "due")
    assert "ISO 8601" in found.action
