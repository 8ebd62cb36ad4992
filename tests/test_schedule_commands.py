"""Schedules compared over a book, and taken over from others, by the commands of the product."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from collateral_opt import cli
from collateral_opt.errors import UsageError
from collateral_opt.io.read import read_book
from collateral_opt.vintages import compare_schedules
from eligibility_rules import load_schedule

ROOT = Path(__file__).parents[1]
DESK = ROOT / "examples" / "cheapest-to-deliver"


def invoke(*words: str | Path) -> SimpleNamespace:
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(status=done.exit_code, out=done.stdout, err=done.stderr)


def amended(tmp_path: Path) -> Path:
    """The example's schedule with its first haircut raised by one point."""
    name = next((DESK / "schedules").iterdir())
    schedule = load_schedule(name)
    rule = schedule.rules[0]
    assert rule.haircut is not None
    text = name.read_text(encoding="utf-8").replace(
        f"haircut: {float(rule.haircut):g}", f"haircut: {float(rule.haircut) + 0.01:g}", 1
    )
    path = tmp_path / "amended.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_amendment_is_compared_over_the_assets_of_a_book(tmp_path: Path) -> None:
    book = read_book(DESK)
    (name,) = book.schedules
    found = compare_schedules(book, name, str(amended(tmp_path)))
    assert [one.what for one in found.said] == ["valuation"]
    assert found.felt
    for one in found.felt:
        before, after = one.difference.before, one.difference.after
        assert before is not None and after is not None and float(before - after) == pytest.approx(0.01)
        units = book.holdings.loc[book.holdings["asset_id"] == one.difference.asset_id, "quantity"].sum()
        asset = book.assets.set_index("asset_id").loc[one.difference.asset_id]
        rate = book.rates[asset["currency"]]
        assert one.held == pytest.approx(units * asset["price"] * asset["price_factor"] * rate)
    assert [one.held for one in found.felt] == sorted((one.held for one in found.felt), reverse=True)
    with pytest.raises(UsageError, match="no such published schedule"):
        compare_schedules(book, name, "nowhere")


def test_the_command_says_what_is_felt(tmp_path: Path) -> None:
    (name,) = read_book(DESK).schedules
    done = invoke("diff", name, amended(tmp_path), "--book", DESK)
    assert done.status == 1 and done.err == ""
    assert "Held: " in done.out and " at another factor" in done.out
    same = invoke("diff", name, name, "--book", DESK)
    assert same.status == 0 and "The schedules say the same." in same.out
    assert invoke("diff", name, "us-margin", "--book", DESK).status == 1
    missing = invoke("diff", name, "us-margn", "--book", DESK)
    assert missing.status == 2 and "Did you mean us-margin?" in missing.err and missing.out == ""


CDM = {
    "criteria": [
        {
            "collateralCriteria": {"AssetType": {"assetType": "CASH"}},
            "treatment": {"isIncluded": True, "valuationTreatment": {"haircutPercentage": 0.02}},
        }
    ]
}


def test_a_cdm_document_becomes_schedules(tmp_path: Path) -> None:
    source, out = tmp_path / "spec.json", tmp_path / "out"
    source.write_text(json.dumps(CDM))
    done = invoke("import-cdm", source, "--out", out, "--name", "bank")
    assert done.status == 0 and load_schedule(out / "bank.yaml").rules
    assert invoke("import-cdm", source, "--out", out, "--name", "bank").status == 2
    source.write_text("{")
    broken = invoke("import-cdm", source, "--out", tmp_path / "new")
    assert broken.status == 2 and broken.err.startswith("error: ") and not (tmp_path / "new").exists()


def test_a_list_becomes_a_schedule_that_a_book_can_name(tmp_path: Path) -> None:
    source, out = tmp_path / "ccp.txt", tmp_path / "ccp.csv"
    source.write_text("ISIN;HC\nUS0378331005;15,5\n")
    words = ["--isin", "ISIN", "--haircut", "HC"]
    done = invoke("import-list", source, "--out", out, *words, "--percent")
    assert done.status == 0 and out.read_text() == "isin,haircut\nUS0378331005,0.155\n"
    assert load_schedule(out).name == "ccp"
    refused = invoke("import-list", source, "--out", tmp_path / "b.csv", *words)
    assert refused.status == 2 and "HC is 15,5" in refused.err and not (tmp_path / "b.csv").exists()


def test_the_console_scripts_lead_somewhere() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert set(scripts) == {"collateral-opt", "eligibility-rules"}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))
