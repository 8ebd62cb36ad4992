"""The examples give the numbers that their READMEs work out by hand; the desk is what its command makes."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


class Run:
    """One run of the command line on an example, or on a folder: exit status, tables and summary."""

    def __init__(self, example: str | Path, out: Path) -> None:
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
    def moves(self) -> list[tuple[str, ...]]:
        """Where something lies already too: agreement, asset, what is done, quantity, cover and cost."""
        columns = ("agreement_id", "asset_id", "action", "quantity", "collateral_value", "cost")
        return [tuple(row[c] for c in columns) for row in self.table("allocation")]

    def column(self, name: str, key: str, value: str) -> dict[str, str]:
        """Two columns of a table, as names and values."""
        return {row[key]: row[value] for row in self.table(name)}

    @property
    def summary(self) -> dict[str, float]:
        summary: dict[str, float] = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return summary


def changed(example: str, folder: Path, table: str, old: str, new: str) -> Path:
    """A copy of an example in ``folder``, with one piece of a table replaced."""
    shutil.copytree(EXAMPLES / example, folder)
    text = (folder / table).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / table).write_text(text.replace(old, new), encoding="utf-8")
    return folder


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
        command = rf"collateral-opt (allocate examples/{folder.name} --out out/|stress \w+ examples/){folder.name}"
        assert re.search(command, readme), folder.name


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


def test_cut_off(tmp_path: Path) -> None:
    run = Run("cut-off", tmp_path / "out")
    assert run.status == 0
    # bonds wait for Tuesday; 24 bp or 5 bp for 30 days of 360, and 5 or 15 for the movement
    assert run.lines == [
        ("MC-TODAY", "EUR", "490000", "490000.00", "490000.00", "103.00"),
        ("MC-TUESDAY", "BOND", "500000", "500000.00", "490000.00", "35.83"),
    ]
    assert run.summary["total_cost"] == pytest.approx(490 * 24 / 120 + 5 + 500 * 5 / 120 + 15, abs=1e-9)


def test_an_hour_before_the_cut_off_bonds_meet_both_calls(tmp_path: Path) -> None:
    book = changed("cut-off", tmp_path / "book", "settings.yaml", "T15:30", "T14:30")
    run = Run(book, tmp_path / "out")
    assert [line[1:3] for line in run.lines] == [("BOND", "500000")] * 2
    assert run.summary["total_cost"] == pytest.approx(2 * (500 * 5 / 120 + 15), abs=1e-9)


def test_one_more_unit_of_a_line_that_moves_anyway_does_not_move_again(tmp_path: Path) -> None:
    run = Run("cut-off", tmp_path / "out")
    assert run.column("calls", "call_id", "marginal_cost_bps") == {"MC-TODAY": "24", "MC-TUESDAY": "5.102041"}


def test_prices_are_those_of_the_lines_chosen(tmp_path: Path) -> None:
    """A4 at 8 bp over 0.98 fills North, B1 at 2 South; a unit more of A2 at 3 saves 5, of what is left over nothing."""
    run = Run("line-caps", tmp_path / "out")
    assert run.column("calls", "call_id", "marginal_cost_bps") == {"N1": "8.163265", "S1": "2.040816"}
    scarcity = run.column("inventory", "holding_id", "scarcity_bps")
    assert scarcity == {"H-A1": "0", "H-A2": "5", "H-A3": "0", "H-A4": "0", "H-B1": "0", "H-B2": "0"}


def test_hqla_buffer(tmp_path: Path) -> None:
    run = Run("hqla-buffer", tmp_path / "out")
    assert run.status == 0
    # 1,000,000 - 85,000 - 150,000 of GOV must stay, 150,000 may go; cash for the rest
    assert run.lines == [
        ("MC1", "EUR", "147000", "147000.00", "147000.00", "24.50"),
        ("MC1", "GOV", "150000", "150000.00", "147000.00", "5.00"),
    ]
    (buffer,) = run.table("reserves")
    assert (buffer["counted"], buffer["shortfall"]) == ("1000000.00", "0.00")
    assert buffer["marginal_cost_bps"] == "13.26"  # 0.85 x (0.98 x 20 - 4)
    limits = {row["limit"]: (row["used"], row["cap"], row["shadow_price"]) for row in run.table("limits")}
    assert limits == {
        "level 2": ("235000.00", "400000.00", "0"),
        "level 2B": ("150000.00", "150000.00", "15.6"),  # 0.98 x 20 - 4
    }


def test_received(tmp_path: Path) -> None:
    run = Run("received", tmp_path / "out")
    assert run.status == 0 and "N641" in run.errors
    # 200 lots of 980 go back, the other 400 are worth 960.40 each; 115,840 / 950 up to 122 lots of CORP
    assert run.lines == [
        ("CCP-1", "CORP", "122000", "122000.00", "115900.00", "5.08"),
        ("CCP-1", "GOV", "400000", "392000.00", "384160.00", "6.53"),
        ("R-GOV", "GOV", "200000", "196000.00", "196000.00", "3.27"),
    ]
    assert run.column("calls", "call_id", "excess") == {"CCP-1": "60.00", "R-GOV": "0.00"}
    assert run.summary["total_cost"] == pytest.approx((122 * 5 + 392 * 2 + 196 * 2) / 120, abs=1e-9)


def test_in_flight(tmp_path: Path) -> None:
    run = Run("in-flight", tmp_path / "out")
    assert run.status == 0
    # 600 lots of 980 stay, cash for the rest; 200,000 / 950 up to 211 lots
    assert run.lines == [
        ("MC1", "USD", "412000", "412000.00", "412000.00", "68.67"),
        ("MC1", "GOV", "600000", "600000.00", "588000.00", "20.00"),
        ("MC2", "CORP", "211000", "211000.00", "200450.00", "10.55"),
    ]
    columns = ("call_id", "holding_id", "state", "sent", "now", "change")
    assert [tuple(row[c] for c in columns) for row in run.table("changes")] == [
        ("MC1", "H-CASH", "", "", "412000", "new"),
        ("MC1", "H-CORP", "rejected", "434000", "0", "replaced"),
        ("MC1", "H-GOV", "settled", "600000", "600000", "left alone"),
        ("MC2", "H-CORP", "failed", "211000", "211000", "offered again"),
    ]
    assert run.summary["total_cost"] == pytest.approx((412 * 20 + 600 * 4 + 211 * 6) / 120, abs=1e-9)


def test_house_limit(tmp_path: Path) -> None:
    run = Run("house-limit", tmp_path / "out")
    assert run.status == 0
    # 1,100 lots of Alpha in all: 631 where one saves 8 bp, the other 469 where it saves 6
    assert run.lines == [
        ("N1", "A1", "469000", "469000.00", "445550.00", "15.63"),
        ("N1", "B1", "584000", "584000.00", "554800.00", "48.67"),
        ("S1", "A1", "631000", "631000.00", "599450.00", "21.03"),
        ("S1", "B1", "422000", "422000.00", "400900.00", "42.20"),
    ]
    house = {row["group"]: row for row in run.table("limits") if row["agreement_id"] == "house"}
    assert (house["Alpha"]["used"], house["Alpha"]["cap"]) == ("1100000.00", "1100000.00")
    assert house["Alpha"]["shadow_price"] == "6"  # 10 - 4
    assert house["Beta"]["used"] == "1006000.00"
    assert run.summary["total_cost"] == pytest.approx((1100 * 4 + 584 * 10 + 422 * 12) / 120, abs=1e-9)


def test_substitution(tmp_path: Path) -> None:
    run = Run("substitution", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    # 392,000 / 980 lots of GOV settle in time for the recall, CORP replaces the other 570,000: / 950
    assert run.moves == [
        ("CCP", "USD", "deliver", "490000", "490000.00", "32.67"),
        ("BANK", "GOV", "keep", "200000", "196000.00", "6.67"),
        ("BANK", "USD", "recall", "962000", "962000.00", "0.00"),
        ("BANK", "CORP", "deliver", "600000", "570000.00", "15.00"),
        ("BANK", "GOV", "deliver", "400000", "392000.00", "13.33"),
        ("FUND", "CORP", "keep", "100000", "95000.00", "2.50"),
    ]
    assert run.summary["total_cost"] == pytest.approx((490 * 8 + 200 * 4 + 600 * 3 + 400 * 4 + 100 * 3) / 120, abs=1e-9)
    assert run.column("calls", "call_id", "marginal_cost_bps") == {"CCP-1": "8.923738"}  # 8 + 4 / 0.98 - 3 / 0.95
    bank, fund = run.table("agreements")
    assert bank["required"] == bank["posted"] == "1158000.00" and bank["excess"] == "0.00"
    assert (bank["kept"], bank["recalled"], bank["delivered"]) == ("196000.00", "962000.00", "962000.00")
    assert bank["marginal_cost_bps"] == "3.157895"  # 3 / 0.95
    assert (fund["kept"], fund["recalled"]) == ("95000.00", "0.00")
    cash = next(row for row in run.table("inventory") if row["holding_id"] == "H-CASH")
    assert [cash[c] for c in ("quantity", "recalled", "used", "left")] == ["98000", "962000", "490000", "570000"]
    said = run.table("steps")
    steps = [(row["action"], row["agreement_id"], row["quantity"], row["start_by"][11:16]) for row in said]
    assert steps == [
        ("deliver", "CCP", "98000", ""),
        ("deliver", "BANK", "400000", ""),
        ("deliver", "BANK", "600000", ""),
        ("recall", "BANK", "392000", "13:00"),
        ("deliver", "CCP", "392000", ""),
        ("recall", "BANK", "570000", ""),
    ]


def test_without_substitution_the_call_is_short(tmp_path: Path) -> None:
    run = Run(changed("substitution", tmp_path / "book", "settings.yaml", "reoptimise", "calls"), tmp_path / "out")
    assert run.status == 3 and run.summary["total_shortfall"] == pytest.approx(392_000, abs=1e-9)


def test_without_a_minimum_transfer_an_excess_comes_home(tmp_path: Path) -> None:
    run = Run(changed("substitution", tmp_path / "book", "agreements.csv", ",5000,", ",,"), tmp_path / "out")
    assert [move[1:5] for move in run.moves if move[0] == "FUND"] == [
        ("CORP", "keep", "98000", "93100.00"),
        ("CORP", "recall", "2000", "1900.00"),
    ]


@pytest.mark.parametrize(
    ("setting", "moved", "cost"),
    [
        ("max_moves: 1", "", 453.5),
        ("max_moves: 3", "NORTH", 273.5),
        ("max_moves: 5", "NORTH SOUTH", 191.0),
        ("", "EAST NORTH SOUTH", 157.25),
        ("min_saving_per_move: 20", "NORTH SOUTH", 191.0),
    ],
)
def test_move_budget(setting: str, moved: str, cost: float, tmp_path: Path) -> None:
    """Substitutions save 180, 82.50, 33.75 and -5.25; the call takes one move of 12.50, and all cash costs 441."""
    run = Run(changed("move-budget", tmp_path / "book", "settings.yaml", "max_moves: 5", setting), tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    assert [move[0] for move in run.moves if move[2] == "recall"] == moved.split()
    assert run.summary["total_cost"] == pytest.approx(cost, abs=1e-9)
    assert ("WEST", "GOV", "deliver", "100000", "98000.00", "12.50") in run.moves
    assert ("WEST", "USD", "keep", "98000", "98000.00", "12.25") in run.moves


def test_pins(tmp_path: Path) -> None:
    run = Run("pins", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    # 1,000 lots of 980: 300 and 1 are pinned, the best that is not forbidden fills up
    assert run.lines == [
        ("MC1", "AGENCY", "699000", "699000.00", "685020.00", "30.29"),
        ("MC1", "CORP", "300000", "300000.00", "294000.00", "15.00"),
        ("MC1", "OLD", "1000", "1000.00", "980.00", "0.06"),
    ]
    assert run.summary["total_cost"] == pytest.approx((699 * 5.2 + 300 * 6 + 7) / 120, abs=1e-9)


@pytest.mark.parametrize(
    ("kept", "cost"),
    [
        ([], 1000 * 4),
        (["MC1,H-GOV,,true"], 1000 * 5.2),
        (["MC1,H-CORP,300000,"], 700 * 4 + 300 * 6),
        (["MC1,H-OLD,,"], 999 * 4 + 7),
    ],
)
def test_what_a_pin_costs_alone(kept: list[str], cost: float, tmp_path: Path) -> None:
    book = shutil.copytree(EXAMPLES / "pins", tmp_path / "book")
    (book / "pins.csv").write_text("\n".join(["call_id,holding_id,quantity,forbid", *kept, ""]), encoding="utf-8")
    assert Run(book, tmp_path / "out").summary["total_cost"] == pytest.approx(cost / 120, abs=1e-9)


def test_an_impossible_pin_is_refused_in_the_words_of_the_readme(tmp_path: Path) -> None:
    readme = (EXAMPLES / "pins" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```text\n(.*?)```", readme, re.S)
    assert found is not None
    run = Run(changed("pins", tmp_path / "book", "pins.csv", "300000", "500000"), tmp_path / "out")
    assert (run.status, run.errors) == (2, found.group(1))
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("most", "least", "north", "south"),
    [
        ("2", "250000", {"A2": 400, "A4": 600}, {"B1": 350, "B2": 250}),
        ("1", "", {"A4": 1000}, {"B1": 450, "B2": 150}),
        ("3", "", {"A1": 300, "A2": 400, "A3": 300}, {"B1": 450, "B2": 150}),
        ("", "", {"A1": 300, "A2": 400, "A3": 300}, {"B1": 450, "B2": 150}),
    ],
)
def test_line_caps(most: str, least: str, north: dict[str, int], south: dict[str, int], tmp_path: Path) -> None:
    old, new = "north,2,\nSOUTH,Southgate Bank,south,,250000", f"north,{most},\nSOUTH,Southgate Bank,south,,{least}"
    run = Run(changed("line-caps", tmp_path / "book", "agreements.csv", old, new), tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    found = {(line[0], line[1]): int(line[2]) // 1000 for line in run.lines}
    assert found == {("N1", a): n for a, n in north.items()} | {("S1", a): n for a, n in south.items()}
    bps = {"A1": 2, "A2": 3, "A3": 4, "A4": 8, "B1": 2, "B2": 6}
    by_hand = sum(bps[a] * lots for a, lots in (north | south).items()) / 120
    assert run.summary["total_cost"] == pytest.approx(by_hand, abs=1e-9)


def test_collateral_upgrade(tmp_path: Path) -> None:
    run = Run("collateral-upgrade", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    assert run.lines == [("IM-1", "UST", "1000000", "1000000.00", "980000.00", "0.00")]
    columns = ("facility_id", "holding_id", "from_facility_id", "asset_id", "quantity", "proceeds", "cost")
    assert [tuple(row[c] for c in columns) for row in run.table("financing")] == [
        ("FX", "H-EUR", "", "EUR", "400000", "440000.00", "16.87"),  # 440,000 x (1 / 12 + 0.3) / 10,000
        ("UPGRADE", "H-CORP", "", "CORP", "700000", "560000.00", "85.17"),  # 700,000 at 5 bp, 560,000 at 12
        ("UPGRADE", "", "FX", "USD", "440000", "440000.00", "44.00"),  # 440,000 at 12 bp
    ]
    assert run.summary["total_cost"] == pytest.approx(44 / 12 + 44 * 0.3 + (700 * 5 + 1000 * 12) / 120, abs=1e-9)
    assert run.column("calls", "call_id", "marginal_cost_bps") == {"IM-1": "18.622449"}  # (12 + 5 / 0.8) / 0.98
    assert run.column("inventory", "holding_id", "scarcity_bps")["H-EUR"] == "1.65"  # 6.25 - 1 - 0.3 x 12
    assert [row["action"] for row in run.table("steps")] == ["fx", "upgrade", "upgrade", "deliver"]
