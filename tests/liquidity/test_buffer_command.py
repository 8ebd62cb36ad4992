"""``stress buffer``: from a file of stresses to tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from collateral_opt import read_book
from collateral_opt.cli import app
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.sizing import read_candidates, read_own

ROOT = Path(__file__).parents[2]
FALL = {"shocks": [{"of": "equity", "value": "-20%"}], "due": {"CCP": "+8h"}}
CRASH = {"shocks": [{"of": "equity", "value": "-50%"}], "due": {"CCP": "+8h"}}
FILE: dict[str, Any] = {
    "stresses": {"fall": FALL, "crash": CRASH},
    "generator": {"seed": 7, "factors": {"equities": {"volatility": 0.05}}},
    "links": [{"of": "equity", "factor": "equities"}],
    "buffer": [
        {"asset": "USD", "cost_bps": 60},
        {"line": "NEW", "capacity": 4_000_000, "cost_bps": 40, "access_hours": 6},
    ],
}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """The command on the example's positions, with the answer's folder."""
    shutil.copytree(ROOT / "examples" / "stress", tmp_path / "book", ignore=shutil.ignore_patterns("stresses.yaml"))

    def invoke(*words: str, **changed: Any) -> tuple[Any, Path]:
        (tmp_path / "stresses.yaml").write_text(yaml.safe_dump({**FILE, **changed}, sort_keys=False), encoding="utf-8")
        out = tmp_path / "out"
        options = ["--stresses", str(tmp_path / "stresses.yaml"), "--out", str(out), "--force"]
        return CliRunner().invoke(app, ["stress", "buffer", str(tmp_path / "book"), *options, *words]), out

    return invoke


def test_the_stresses_of_a_file_are_survived(run: Any) -> None:
    """SPX falls from 50m: 10m are called after a fifth, 25m after a half; the firm has 14m without sale of stock.

    That is 2m of cash, 3m of the fund, 4m of repo and 5m of the line. 11m are lacking after the crash: 4m from the new
    line at 40 bps, all it has, and 7m of cash at 60: 16,000 + 42,000.
    """
    answer, out = run("--share", "1")
    assert answer.exit_code == 0, answer.output
    plan = json.loads((out / "buffer.json").read_text(encoding="utf-8"))
    assert (plan["value"], plan["cost_a_year"], plan["scenarios"], plan["survived"]) == (11e6, 58_000.0, 2, 2)
    parts = pd.read_csv(out / "buffer.csv", index_col="candidate")
    assert parts["value"].to_dict() == {"USD": 7e6, "NEW": 4e6}
    table = pd.read_csv(out / "scenarios.csv", index_col="scenario")
    assert table["need"].to_dict() == pytest.approx({"fall": 0.0, "crash": 11e6})
    assert "a buffer of 11,000,000 USD, 58,000 a year" in answer.output
    page = (out / "buffer.html").read_text(encoding="utf-8")
    assert "11,000,000" in page and "buffer 11,000,000" in page
    assert '"total":null' in page.replace(" ", "")  # needs are not needed at once: no sum of them is told
    half, _ = run("--share", "0.5")
    assert "a buffer of 0 USD" in half.output and "survives 1 of 2 scenarios" in half.output


def test_scenarios_are_drawn_around_a_stress(run: Any) -> None:
    answer, out = run("--stress", "fall", "--count", "40", "--share", "0.9", "--curve")
    assert answer.exit_code == 0, answer.output
    table, line = pd.read_csv(out / "scenarios.csv"), pd.read_csv(out / "curve.csv")
    assert len(table) == 40 and table["survived"].sum() >= 36
    value = json.loads((out / "buffer.json").read_text(encoding="utf-8"))["value"]
    # Each scenario is met by one more unit of any candidate: the need of the fifth worst is the buffer.
    assert value == pytest.approx(sorted(table["need"])[35], abs=0.02)
    assert line["cost_a_year"].is_monotonic_increasing
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    run("--stress", "fall", "--count", "40", "--share", "0.9", "--curve")
    assert first == {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_mean_of_the_worst_asks_for_more(run: Any) -> None:
    words = ("--stress", "fall", "--count", "40", "--share", "0.9")
    _, out = run(*words)
    plain = json.loads((out / "buffer.json").read_text(encoding="utf-8"))
    answer, _ = run(*words, "--cvar")
    assert answer.exit_code == 0, answer.output
    wary = json.loads((out / "buffer.json").read_text(encoding="utf-8"))
    assert wary["aim"] == "cvar" and wary["cost_a_year"] > plain["cost_a_year"]
    assert wary["survived"] >= plain["survived"]


def test_what_is_held_may_be_sized_anew(run: Any) -> None:
    """Without its 2m of cash the firm lacks 13m."""
    _, out = run("--share", "1", of_own=["CASH"])
    assert json.loads((out / "buffer.json").read_text(encoding="utf-8"))["value"] == 13e6


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"buffer": []}, "there is nothing that a buffer may be made of"),
        ({"buffer": [{"asset": "USDX", "cost_bps": 1}]}, "asset 'USDX' is not in the book"),
        ({"buffer": [{"cost_bps": 1}]}, "line 1: a buffer is neither of an asset nor a line"),
        ({"buffer": [{"asset": "USD", "line": "L"}]}, "line 1: a buffer is of an asset and a line at once"),
        ({"buffer": [{"asset": "USD"}, {"line": "L", "most": 5}]}, "line 2: most is not for a line. Take it out."),
        ({"buffer": [{"line": "L", "gives": "UST"}]}, "a line gives cash, and 'UST' is debt"),
        ({"buffer": [{"asset": "USD", "cost_bps": "dear"}]}, "cost_bps"),
        ({"of_own": ["NONE"]}, "holding 'NONE' is not in the book"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(run: Any, changed: dict[str, Any], said: str) -> None:
    answer, out = run("--share", "1", **changed)
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())
    assert not out.exists()


def test_candidates_are_read_as_written() -> None:
    book = read_book(ROOT / "examples" / "stress")
    form = [{"asset": "UST", "name": "bonds", "most": "1e6", "cost_bps": "25"}, {"line": "L"}]
    bonds, line = read_candidates(form, book)
    assert (bonds.name, bonds.asset, bonds.most, bonds.cost_bps, bonds.is_line) == ("bonds", "UST", 1e6, 25.0, False)
    assert (line.name, line.asset, line.is_line) == ("L", "USD", True)
    with pytest.raises(UsageError, match="of_own is a list"):
        read_own("CASH")


def test_the_example_runs_as_its_page_says(tmp_path: Path) -> None:
    """Repo 4m and line 5m meet 9m of 10.5m: 1m of the new line at 40 bps, 0.5m of cash at 60: 4,000 + 3,000."""
    example = ROOT / "examples" / "stress"
    words = ["stress", "buffer", str(example), "--stresses", str(example / "stresses.yaml"), "--out", str(tmp_path)]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    plan = json.loads((tmp_path / "buffer.json").read_text(encoding="utf-8"))
    assert (plan["value"], plan["cost_a_year"], plan["survived"]) == (1.5e6, 7000.0, 1)
    parts = pd.read_csv(tmp_path / "buffer.csv", index_col="candidate")
    assert parts["value"].to_dict() == {"cash": 0.5e6, "NEW": 1e6}
