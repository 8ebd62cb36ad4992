"""What is written: faithful text, plain numbers, deterministic bytes, everything or nothing."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral_opt.errors import UsageError
from collateral_opt.io import write
from collateral_opt.io.write import (
    check_target,
    csv_text,
    decimal_text,
    money_text,
    staged_folder,
    write_result,
)
from collateral_opt.result.result import COLUMNS
from tests.io.results import NASTY, made_result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_every_table_of_a_result_is_written_with_its_columns(tmp_path: Path) -> None:
    paths = write_result(made_result(), tmp_path / "out")
    assert sorted(p.name for p in paths) == names(tmp_path / "out")
    assert not write.ON_OCCASION & {p.stem for p in paths}
    for table, columns in COLUMNS.items():
        if table in write.ON_OCCASION:
            continue
        header = (tmp_path / "out" / f"{table}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header == ",".join(columns)


def test_every_numeric_column_of_a_result_has_a_format() -> None:
    text = {"call_id", "agreement_id", "holding_id", "from_facility_id", "facility_id", "asset_id",
            "action", "reason", "reserve_id", "limit", "group", "settles", "start_by", "together", "bridge",
            "state", "change"}  # fmt: skip
    for table, columns in COLUMNS.items():
        assert set(columns) - text == set(write.FORMATS[table]), table


def test_identifiers_survive_as_they_are(tmp_path: Path) -> None:
    write_result(made_result(len(NASTY)), tmp_path / "out")
    assert [row["asset_id"] for row in rows(tmp_path / "out" / "allocation.csv")] == NASTY


def test_money_has_two_decimals_quantities_are_exact_and_unknowns_are_empty(tmp_path: Path) -> None:
    write_result(made_result(), tmp_path / "out")
    line = rows(tmp_path / "out" / "allocation.csv")[0]
    assert [line[c] for c in ("quantity", "market_value", "haircut", "cost", "facility_id")] == [
        "1000000", "1000.50", "0.1", "0.33", ""]  # fmt: skip
    assert rows(tmp_path / "out" / "inventory.csv")[0] == {
        "holding_id": "H1", "asset_id": "0123", "quantity": "1000000000000000", "recalled": "0", "used": "0.1",
        "left": "0.0000001", "scarcity_bps": "0"}  # fmt: skip
    calls = rows(tmp_path / "out" / "calls.csv")
    assert [c["marginal_cost_bps"] for c in calls] == ["12.345679", ""]
    assert [c["cap"] for c in rows(tmp_path / "out" / "limits.csv")] == ["10.00", "0.00", ""]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_decimal_reads_back_as_the_same_number(x: float) -> None:
    text = decimal_text(x)
    assert float(text) == x and "e" not in text.lower() and text != "-0"


@given(st.floats(-1e12, 1e12))
def test_money_never_shows_a_negative_zero(x: float) -> None:
    assert money_text(x) != "-0.00" and abs(float(money_text(x)) - x) <= 0.005001 + abs(x) * 1e-15


def test_lines_end_in_a_newline_alone_and_the_bytes_are_utf8(tmp_path: Path) -> None:
    write_result(made_result(len(NASTY)), tmp_path / "out")
    content = (tmp_path / "out" / "allocation.csv").read_bytes()
    assert b"\r" not in content and content.endswith(b"\n") and "Crédit".encode() in content


def test_booleans_and_missing_text_have_a_plain_form() -> None:
    table = pd.DataFrame({"flag": [True, False], "name": pd.Series([None, "x"], dtype=object), "n": [1, 2]})
    assert csv_text(table) == "flag,name,n\ntrue,,1\nfalse,x,2\n"


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_result(made_result(30), tmp_path / name, workbook=True)
    for file in names(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_the_summary_is_json_without_nan(tmp_path: Path) -> None:
    result = made_result()
    changed = made_result(summary={**result.summary, "gap": np.float64("nan"), "lower_bound": np.float64(-0.0)})
    write_result(changed, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["gap"] is None and str(summary["lower_bound"]) == "0.0" and summary["counts"] == {"lines": 3}


def test_the_workbook_is_left_out_unless_asked_for_and_the_report_may_be(tmp_path: Path) -> None:
    write_result(made_result(), tmp_path / "out", report=False)
    assert not {"workbook.xlsx", "report.html"} & set(names(tmp_path / "out"))


def test_an_empty_result_is_written_too(tmp_path: Path) -> None:
    write_result(made_result(0), tmp_path / "out", workbook=True)
    assert rows(tmp_path / "out" / "allocation.csv") == []


def test_an_existing_result_is_replaced_only_with_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_result(made_result(1), out, workbook=True)
    with pytest.raises(UsageError, match="--force"):
        write_result(made_result(2), out)
    assert len(rows(out / "allocation.csv")) == 1
    write_result(made_result(2), out, force=True)
    assert len(rows(out / "allocation.csv")) == 2
    assert "workbook.xlsx" not in names(out), "a file of the earlier result is not left beside the new ones"
    assert names(tmp_path) == ["out"]


def test_what_a_person_laid_beside_a_result_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_result(made_result(1), out)
    (out / "notes").mkdir()
    (out / "notes" / "monday.txt").write_text("call the bank")
    write_result(made_result(2), out, force=True)
    assert (out / "notes" / "monday.txt").read_text() == "call the bank"
    assert len(rows(out / "allocation.csv")) == 2 and names(tmp_path) == ["out"]


def test_a_folder_that_holds_no_result_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    with pytest.raises(UsageError, match=r"summary\.json"):
        write_result(made_result(), tmp_path / "photos", force=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a folder"):
        write_result(made_result(), tmp_path / "file", force=True)
    assert names(tmp_path) == ["file", "photos"] and names(tmp_path / "photos") == ["cat.png"]


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_result(made_result(), tmp_path / "empty")
    write_result(made_result(), tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c" / "calls.csv").is_file()
    usual = tmp_path / "usual"
    usual.mkdir()
    assert stat.S_IMODE((tmp_path / "a/b/c").stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_full_disk_leaves_the_old_result_and_no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_result(made_result(1), out)
    write_text = write.write_text

    def full(path: Path, text: str) -> None:
        if path.name == "limits.csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_text(path, text)

    monkeypatch.setattr(write, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(made_result(2), out, force=True)
    with pytest.raises(OSError, match="No space left"):
        write_result(made_result(2), tmp_path / "new" / "deep")
    assert len(rows(out / "allocation.csv")) == 1 and names(tmp_path) == ["out"]


def test_an_interruption_while_the_folders_change_places_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_result(made_result(1), out)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_result(made_result(2), out, force=True)
    assert len(rows(out / "allocation.csv")) == 1 and names(tmp_path) == ["out"]


def test_a_result_never_goes_into_onto_or_around_its_book(tmp_path: Path) -> None:
    book = tmp_path / "desk" / "book"
    book.mkdir(parents=True)
    for out in (book, book / "out", tmp_path / "desk", book / ".." / "book" / "x"):
        with pytest.raises(UsageError, match="book"):
            check_target(out, force=True, book=book)
    check_target(tmp_path / "desk" / "out", force=False, book=book)


def test_a_staged_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no"),
        staged_folder(tmp_path / "x" / "y", force=False, marker="m", ours=()) as staging,
    ):
        (staging / "half").write_text("written")
        raise ValueError("no")
    assert names(tmp_path) == []
