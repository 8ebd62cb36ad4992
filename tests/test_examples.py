"""The examples give the numbers that their READMEs work out by hand; the desk is what its command makes."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


class Run:
    """One run of the command line on an example: exit status, tables and summary."""

    def __init__(self, example: str, out: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "collateral_opt",
            "allocate",
            str(EXAMPLES / example),
            "--out",
            str(out),
        ]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
        self.status, self.out, self.errors = done.returncode, out, done.stderr

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def lines(self) -> list[tuple[str, ...]]:
        columns = ("call_id", "asset_id", "quantity", "market_value", "collateral_value", "cost")
        return [tuple(row[c] for c in columns) for row in self.table("allocation")]

    @property
    def summary(self) -> dict[str, float]:
        summary: dict[str, float] = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return summary


def test_cheapest_to_deliver(tmp_path: Path) -> None:
    run = Run("cheapest-to-deliver", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    # 1,000,000 / 0.98 = 1,020,408.16 up to lots of 1,000; x 0.98; x 12 / 10,000 x 90 / 360
    assert run.lines == [("MC1", "GOV", "1021000", "1021000.00", "1000580.00", "306.30")]
    (call,) = run.table("calls")
    assert (call["covered"], call["excess"], call["shortfall"]) == ("1000580.00", "580.00", "0.00")
    assert call["marginal_cost_bps"] == "12.244898"  # 12 / 0.98
    assert run.summary["total_cost"] == pytest.approx(306.30, abs=1e-9)
    assert run.summary["lower_bound"] == pytest.approx(1_000_000 / 0.98 * 12 / 10_000 / 4, rel=1e-9)


def test_concentration_limit(tmp_path: Path) -> None:
    run = Run("concentration-limit", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    # 1,053 lots of 950; Alpha at most 631: 400 of A1, 231 of A2; Beta 422
    assert run.lines == [
        ("MC1", "A1", "400000", "400000.00", "380000.00", "13.33"),  # x 4 / 10,000 / 12
        ("MC1", "A2", "231000", "231000.00", "219450.00", "10.01"),  # x 5.2 / 10,000 / 12
        ("MC1", "B1", "422000", "422000.00", "400900.00", "35.17"),  # x 10 / 10,000 / 12
    ]
    (call,) = run.table("calls")
    assert (call["covered"], call["excess"]) == ("1000350.00", "350.00")
    alpha = next(row for row in run.table("limits") if row["group"] == "Alpha")
    # (10 - 5.2) / 0.95
    assert (alpha["used"], alpha["cap"], alpha["shadow_price"]) == ("599450.00", "600000.00", "5.052632")
    assert run.summary["total_cost"] == pytest.approx((400 * 4 + 231 * 5.2 + 422 * 10) / 10 / 12, abs=1e-9)


def test_short_by_priority(tmp_path: Path) -> None:
    run = Run("short-by-priority", tmp_path / "out")
    assert (run.status, run.errors) == (3, "")
    # a lot of 980 is worth 960.40 to the clearing house, 625 of them; 931 to the bank: the other 375
    assert run.lines == [
        ("BANK-1", "GOV", "375000", "367500.00", "349125.00", "8.17"),
        ("CCP-1", "GOV", "625000", "612500.00", "600250.00", "13.61"),
    ]
    bank, clearing = run.table("calls")
    assert (bank["covered"], bank["shortfall"], bank["excess"]) == ("349125.00", "150875.00", "0.00")
    assert bank["reason"] and not clearing["reason"] and not bank["marginal_cost_bps"]
    assert (clearing["covered"], clearing["shortfall"], clearing["excess"]) == ("600250.00", "0.00", "250.00")
    assert run.summary["total_cost"] == pytest.approx(980_000 * 8 / 10_000 * 10 / 360, abs=1e-9)
    assert run.summary["total_shortfall"] == pytest.approx(150_875, abs=1e-9)


def test_the_desk_is_what_the_command_in_its_readme_makes(tmp_path: Path) -> None:
    readme = (EXAMPLES / "desk" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^collateral-opt (generate .*)$", readme, re.M)
    assert found is not None
    words = shlex.split(found.group(1).replace("examples/desk", str(tmp_path / "desk")))
    subprocess.run([sys.executable, "-m", "collateral_opt", *words], check=True, capture_output=True)

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    made, committed = contents(tmp_path / "desk"), contents(EXAMPLES / "desk")
    assert made == {name: content for name, content in committed.items() if name != "README.md"}


def test_every_example_has_a_readme_with_its_own_command() -> None:
    for folder in sorted(p for p in EXAMPLES.iterdir() if p.is_dir()):
        readme = (folder / "README.md").read_text(encoding="utf-8")
        assert f"collateral-opt allocate examples/{folder.name} --out out/{folder.name}" in readme


def test_liquidity_waterfall(tmp_path: Path) -> None:
    run = Run("liquidity-waterfall", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    used = {row["holding_id"] or row["facility_id"]: row["quantity"] for row in run.table("allocation")}
    assert used == {"CASH": "2000000", "REDEEM": "3000000", "REPO": "4000000", "LINE": "1500000"}
    given = {row["facility_id"]: (row["quantity"], row["proceeds"], row["cost"]) for row in run.table("financing")}
    assert given == {
        "REDEEM": ("3000000", "3000000.00", "12.50"),
        "REPO": ("4082000", "4000360.00", "89.00"),
        "LINE": ("1500000", "1500000.00", "312.50"),
    }
    assert run.summary["total_cost"] == pytest.approx(1.388889 + 12.5 + 83.333333 + 5.669444 + 312.5, abs=1e-5)
    (call,) = run.table("calls")
    assert (call["shortfall"], call["marginal_cost_bps"]) == ("0.00", "150")
