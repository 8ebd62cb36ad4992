"""Schedules compared over a book, and taken over from others, by the commands of the product."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from collateral_opt import cli
from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from collateral_opt.io.read import read_book
from collateral_opt.vintages import compare_schedules, vintages_text
from eligibility_rules import load_schedule, parse_schedule
from eligibility_rules.naming import schedule_named

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
    with pytest.raises(UsageError, match="not in the book, not published, and no file"):
        compare_schedules(book, name, "nowhere")
    with pytest.raises(UsageError, match=r"the book knows no currency 'US'\. Did you mean USD\?"):
        compare_schedules(book, name, name, base_currency="US")


def test_the_command_says_what_is_felt(tmp_path: Path) -> None:
    (name,) = read_book(DESK).schedules
    done = invoke("diff", name, amended(tmp_path), "--book", DESK)
    assert done.status == 1 and done.err == ""
    # 5 million of GOV at a price of 100 percent, by its rule at 2 and then 3 percent
    assert done.out.splitlines()[4:] == [
        "Assets: 0 newly refused, 1 at another factor, 0 newly taken",
        "",
        "  98 % -> 97 %: 1 asset, held 5,000,000.00 USD",
        "    Before: eligible under 'governments' at haircut 2 %.",
        "    After: eligible under 'governments' at haircut 3 %.",
        "      GOV: held 5,000,000.00",
    ]
    same = invoke("diff", name, name, "--book", DESK)
    assert same.status == 0 and "The schedules say the same." in same.out
    assert invoke("diff", name, "us-margin", "--book", DESK).status == 1
    missing = invoke("diff", name, "us-margn", "--book", DESK)
    assert missing.status == 2 and "Did you mean us-margin?" in missing.err and missing.out == ""


def test_what_is_posted_under_the_schedule_is_told_beside_what_is_held() -> None:
    """All at 100 percent: GOV 600,000 held and 200,000 posted, CORP 900,000 and 100,000, both under `bilateral`."""
    book = read_book(ROOT / "examples" / "substitution")
    felt = compare_schedules(book, "bilateral", "cash-only").felt
    assert [(one.difference.asset_id, one.held, one.posted) for one in felt] == [
        ("CORP", 900_000, 100_000),
        ("GOV", 600_000, 200_000),
    ]
    back = compare_schedules(book, "cash-only", "bilateral").felt
    assert [(one.difference.change, one.posted) for one in back] == [("taken", 0), ("taken", 0)]
    done = invoke("diff", "bilateral", "cash-only", "--book", ROOT / "examples" / "substitution")
    assert [line for line in done.out.splitlines() if line.startswith("  9")] == [
        "  95 % -> refused: 1 asset, held 900,000.00, posted 100,000.00 USD",
        "  98 % -> refused: 1 asset, held 600,000.00, posted 200,000.00 USD",
    ]


def test_assets_that_feel_the_same_stand_together_the_most_valuable_first() -> None:
    """A at 2 and B at 1 a unit, C in euros at 3 and 1.1 dollars, nobody holds D: 2, 5 and 3.3 million. E is cash."""
    frames = {
        "assets": pd.DataFrame(
            {
                "asset_id": list("ABCDE"),
                "asset_type": ["debt"] * 4 + ["cash"],
                "currency": ["USD", "USD", "EUR", "USD", "USD"],
                "price": [2.0, 1.0, 3.0, None, 1.0],
                "issuer": ["T"] * 4 + [None],
            }
        ),
        "fx": pd.DataFrame({"currency": ["EUR"], "rate": [1.1]}),
        "holdings": pd.DataFrame(
            {"holding_id": list("12345"), "asset_id": list("ABCBE"), "quantity": [1e6, 4e6, 1e6, 1e6, 9e6]}
        ),
        "agreements": pd.DataFrame({"agreement_id": ["X"], "counterparty": ["N"], "schedule": ["old"]}),
        "calls": pd.DataFrame({"call_id": ["K"], "agreement_id": ["X"], "amount": [1.0], "currency": ["USD"]}),
    }
    cash: dict[str, Any] = {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}
    old, new = (
        parse_schedule({"rules": [cash, {"label": "bonds", "haircut": rate}]}, "bonds") for rate in ("0.02", "0.04")
    )
    book = Book.from_tables(
        frames,
        settings={"as_of": "2026-07-01T09:00:00+00:00", "base_currency": "USD"},
        schedules={"old": old, "new": new},
    )
    text = vintages_text(compare_schedules(book, "old", "new"))
    assert text.splitlines() == [
        "old -> new",
        "",
        "rule 2 'bonds', valuation: haircut 2 % -> haircut 4 %",
        "",
        "Assets: 0 newly refused, 4 at another factor, 0 newly taken",
        "",
        "  98 % -> 96 %: 4 assets, held 10,300,000.00 USD",
        "    Before: eligible under 'bonds' at haircut 2 %.",
        "    After: eligible under 'bonds' at haircut 4 %.",
        "      B: held 5,000,000.00",
        "      C: held 3,300,000.00",
        "      A: held 2,000,000.00",
        "      none held: D",
    ]


def test_a_schedule_is_looked_up_alike_by_every_command(tmp_path: Path) -> None:
    """The book's own goes before the published one; a name that is nearly right is told of, from both sides."""
    for command in (("eligible", DESK, "--asset", "GOV", "--schedule"), ("diff", "us-margin", "--book", DESK)):
        for wrong, remedy in (
            ("us-margn", "Did you mean us-margin?"),
            ("us-margin.yaml", "The schedule is called us-margin, without .yaml"),
            ("bilaterl", "Did you mean bilateral?"),
            (str(tmp_path), "See `eligibility-rules list`, or name a file"),
        ):
            done = invoke(*command, wrong)
            assert (done.status, done.out) == (2, "")
            assert done.err.strip().endswith(f"not in the book, not published, and no file. {remedy}")
    both = invoke("diff", "us-margn", "nothing", "--book", DESK)
    assert "us-margn" in both.err and "nothing" in both.err
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules: [{haircut: 2}]")
    refused = invoke("eligible", DESK, "--asset", "GOV", "--schedule", bad)
    assert refused.status == 2 and "haircut is 2 (must be at least 0 and below 1)" in refused.err
    own = schedule_named("bilateral", read_book(DESK).schedules)
    assert schedule_named("us-margin", {"us-margin": own}) is own


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
