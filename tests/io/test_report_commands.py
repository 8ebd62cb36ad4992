"""`allocate --explain` and `what-if --out --workbook`: what is asked for is told, and only then."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

from collateral_opt.cli import app
from collateral_opt.errors import SolverError
from collateral_opt.result import Result
from tests.io.test_report import Tables

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words: str | Path) -> SimpleNamespace:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(status=done.exit_code, out=done.stdout, errors=done.stderr)


def tables(folder: Path) -> dict[str, list[list[str]]]:
    return Tables((folder / "report.html").read_text(encoding="utf-8")).rows


def test_explain_tells_what_would_cover_a_shortfall(tmp_path: Path) -> None:
    example = EXAMPLES / "short-by-priority"
    assert run("allocate", example, "--out", tmp_path / "plain").status == 3
    assert run("allocate", example, "--out", tmp_path / "told", "--explain", "--workbook").status == 3
    assert tables(tmp_path / "plain")["short"][1][:4] == ["call", "BANK-1", "500,000.00", "150,875.00"]
    assert len(tables(tmp_path / "plain")["short"]) == 2
    # 500,000 - (980,000 - 600,000 / 0.98) x 0.95 are lacking, of a bond at a haircut of 5 %
    assert tables(tmp_path / "told")["short"][1][5:] == [
        "have more", "158,560.68", "more of H-GOV 158,560.68 (all of it is used)",
    ]  # fmt: skip
    assert "to cover it" in CalamineWorkbook.from_path(tmp_path / "told" / "workbook.xlsx").sheet_names


def test_without_it_nothing_is_solved_again_and_the_tables_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = EXAMPLES / "concentration-limit"
    assert run("allocate", example, "--out", tmp_path / "told", "--explain").status == 0
    assert tables(tmp_path / "told")["relaxations"][1][:3] == ["limit", "one issuer", "BANK"]
    monkeypatch.setattr(Result, "explain", lambda self: pytest.fail("nobody asked"))
    assert run("allocate", example, "--out", tmp_path / "plain", "--workbook").status == 0
    assert tables(tmp_path / "plain")["binding"][1] == [
        "BANK", "one issuer", "Alpha", "599,450.00", "600,000.00", "5.05",
    ]  # fmt: skip
    assert "relaxations" not in tables(tmp_path / "plain")
    for table in tmp_path.glob("plain/*.csv"):
        assert table.read_bytes() == (tmp_path / "told" / table.name).read_bytes(), table.name


def test_an_answer_is_written_though_it_cannot_be_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(_: Result) -> None:
        raise SolverError("no basis")

    monkeypatch.setattr(Result, "explain", gives_up)
    done = run("allocate", EXAMPLES / "concentration-limit", "--out", tmp_path / "out", "--explain")
    assert done.status == 0 and done.errors == "not explained: the solver gave up: no basis\n"
    assert "binding" in tables(tmp_path / "out") and (tmp_path / "out" / "allocation.csv").is_file()


def test_what_would_be_written_nowhere_is_refused(tmp_path: Path) -> None:
    example = EXAMPLES / "concentration-limit"
    done = run("allocate", example, "--out", tmp_path / "out", "--explain", "--no-report")
    assert done.status == 2 and "--explain has nowhere to be told" in done.errors
    done = run("what-if", EXAMPLES / "what-if", "--set", "fx:EUR=1.1", "--workbook")
    assert done.status == 2 and "Add --out DIR." in done.errors
    assert not list(tmp_path.iterdir())


def test_each_what_if_gets_its_report_and_on_request_its_workbook(tmp_path: Path) -> None:
    example, out = EXAMPLES / "what-if", tmp_path / "out"
    words = ("what-if", example, "--changes", example / "changes.yaml", "--out", out, "--quiet")
    assert run(*words).status == 3
    folders = [one["folder"] for one in json.loads((out / "comparison.json").read_text(encoding="utf-8"))["what_ifs"]]
    assert len(folders) == 4
    assert all((out / folder / "report.html").is_file() for folder in folders)
    assert not list(out.rglob("*.xlsx"))
    assert run(*words, "--force", "--workbook").status == 3
    assert [p.parent.name for p in sorted(out.rglob("*.xlsx"))] == sorted(folders)
    # examples/what-if/README.md: two points more of haircut cost the credit desk 6.04, but for a lot
    rows = tables(out / "dearer-corporates")["costs"]
    (credit,) = [float(row[-1]) for row in rows if row[1] == "credit"]
    assert credit == pytest.approx(500_000 * 5e-4 * (1 / 0.90 - 1 / 0.92), abs=0.02)
