"""The commands, their files and pages: statuses, nothing half-written, what pictures show."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from collateral_opt import cli, read_book
from collateral_opt.book import Book
from collateral_opt.liquidity.answer import Answered, answer
from collateral_opt.liquidity.ladder import Ladder, Rung
from collateral_opt.liquidity.pages import playbook_html, playbook_markdown, stress_html
from collateral_opt.liquidity.pictures import (
    MOST_BARS,
    distribution_figure,
    ladder_figure,
    survival_figure,
    waterfall_figure,
)
from collateral_opt.liquidity.playbook import playbook
from tests.desks import asset, desk, listing

EXAMPLES = Path(__file__).parents[2] / "examples"
CASE = EXAMPLES / "liquidity-waterfall"


def invoke(*words: str | Path) -> SimpleNamespace:
    done = CliRunner().invoke(cli.app, ["stress", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module")
def case() -> Answered:
    return answer(read_book(CASE), order=["LINE", "CASH", "REDEEM", "REPO"])


def test_answer_says_the_waterfall_and_what_the_order_costs() -> None:
    done = invoke("answer", CASE, "--order", "LINE,CASH,REDEEM,REPO")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "today: 10,500,000.00 USD called, 10,500,000.00 met"
    row = "REPO 4 h 16.02 4,000,000.00 9,000,000.00 4,000,000.00"
    assert row in [" ".join(line.split()) for line in lines]
    assert "  in the order LINE, CASH, REDEEM, REPO, SALE: 1,066.68, 651.29 more" in lines
    assert "  survives every deadline" in lines


def test_the_case_from_positions_to_the_playbook(tmp_path: Path) -> None:
    book, stresses = EXAMPLES / "stress", EXAMPLES / "stress/stresses.yaml"
    done = invoke("playbook", book, "--stresses", stresses, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "W921" in done.stderr
    (told,) = json.loads((tmp_path / "out/stress.json").read_text())["stresses"]
    assert (told["called"], told["shortfall"], told["playbook"]["status"]) == (10.5e6, 0.0, "green")
    assert told["findings"] == ["W921"]
    folder = tmp_path / "out" / told["folder"]
    fall = pd.read_csv(folder / "waterfall.csv")
    assert fall["used"].tolist() == [2e6, 3e6, 4e6, 1.5e6, 0.0]
    assert fall["cumulative"].tolist() == [2e6, 5e6, 9e6, 14e6, 24e6]
    positions = pd.read_csv(folder / "positions.csv")
    assert positions["total_margin_call"].tolist() == [11e6, 0.0, -0.5e6]
    page = (folder / "playbook.html").read_text()
    assert all(figure in page for figure in ("10,500,000", "24,000,000", "-500,000"))
    assert {p.name for p in (folder / "notices").iterdir()} == {
        "Clearing.md", "Fund-Co-Agent.md", "Line-Bank.md", "Repo-Bank.md"
    }  # fmt: skip


def test_what_is_short_is_status_3_with_all_files(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    for path in CASE.rglob("*"):
        if path.is_file():
            target = book / path.relative_to(CASE)
            target.parent.mkdir(exist_ok=True)
            target.write_text(path.read_text().replace("T16:00:00", "T13:00:00"))
    done = invoke("answer", book, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "survives until Tue 24 Mar 2026 13:00 -0400: 1,500,000.00 USD cannot be met then" in done.stdout
    (told,) = json.loads((tmp_path / "out/stress.json").read_text())["stresses"]
    assert told["survives_until"] == "2026-03-24T13:00-04:00"
    assert told["missed"] == [{"call_id": "MC", "due": "2026-03-24T13:00-04:00", "shortfall": 1.5e6}]
    assert (tmp_path / "out/today/result/allocation.csv").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--order", "LINE,NOWHERE"], "NOWHERE is no source of these calls."),
        (["--stress", "crash"], "Add --stresses FILE."),
        (["--stresses", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_what_is_wrong_is_status_2_and_nothing_is_written(words: list[str], said: str, tmp_path: Path) -> None:
    done = invoke("answer", CASE, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_only_by_force_and_alike_to_the_byte(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke("playbook", CASE, "--out", out).returncode == 0
    files = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file() and p.name != "summary.json"}
    (out / "mine.txt").write_text("kept")
    again = invoke("playbook", CASE, "--out", out)
    assert again.returncode == 2 and "--force" in again.stderr
    assert invoke("playbook", CASE, "--out", out, "--force").returncode == 0
    assert {p: p.read_bytes() for p in files} == files
    assert (out / "mine.txt").read_text() == "kept"
    assert invoke("playbook", CASE, "--out", CASE / "out").returncode == 2


def test_bars_stand_upon_each_other(case: Answered) -> None:
    figure = waterfall_figure(case.fall, case.result)
    assert figure is not None
    free, used = figure["data"]
    assert free["x"] == ["CASH", "REDEEM", "REPO", "LINE", "SALE"]
    assert free["base"] == [0.0, 2e6, 5e6, 9e6, 14e6] == used["base"]
    assert free["y"] == [2e6, 3e6, 4e6, 5e6, 10e6]
    assert used["y"] == [2e6, 3e6, 4e6, 1.5e6, 0.0]
    assert figure["layout"]["shapes"][0]["y0"] == 10.5e6
    assert free["text"] == ["now", "now", "4 h", "6 h", "48 h"]


def many_holdings() -> Book:
    return desk(
        assets=[asset("USD", "cash"), asset("GOV", issuer_type="sovereign")],
        holdings=[
            {"holding_id": f"H{i}", "asset_id": "USD" if i % 2 else "GOV", "quantity": 10.0, "cost_bps": i % 2 * 5}
            for i in range(2 * MOST_BARS)
        ],
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "wide"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 200.0, "currency": "USD"}],
        schedules={"wide": listing(USD=0, GOV=0.1)},
    )


def test_many_holdings_share_bars_by_class() -> None:
    """16 of GOV give 144 of cover at 0 bp, 16 of cash 160 at 5: 56 of it are used."""
    answered = answer(many_holdings())
    figure = waterfall_figure(answered.fall, answered.result)
    assert figure is not None
    free, used = figure["data"]
    assert free["x"] == ["sovereign debt (16)", "cash (16)"]
    assert free["base"] == [0.0, 144.0] and free["y"] == [144.0, 160.0]
    assert used["y"] == [144.0, 56.0]


def test_the_gap_of_the_ladder_is_what_is_due_and_not_there(case: Answered) -> None:
    start = pd.Timestamp("2026-03-24T12:00Z")
    rungs = [Rung(start + pd.Timedelta(hours=h), h, due, there, there) for h, due, there in
             [(0, 0.0, 5.0), (1, 6.0, 5.0), (2, 6.0, 5.0), (4, 6.0, 9.0)]]  # fmt: skip
    figure = ladder_figure(Ladder(tuple(rungs), ()), case.result)
    assert figure is not None
    below, above, available, due, _ = figure["data"]
    # The rung at 2 hours changes nothing and is left out.
    assert available["x"] == [0, 1, 4] and available["y"] == [5.0, 5.0, 9.0] and due["y"] == [0.0, 6.0, 6.0]
    gaps = {x: a - b for x, a, b in zip(above["x"], above["y"], below["y"], strict=True) if a != b}
    assert set(gaps.values()) == {1.0} and set(gaps) <= {1, 4}
    assert above["fill"] == "tonexty"


def test_survival_by_hand() -> None:
    figure = survival_figure([None, 2.0, 5.0, 2.0], 24.0)
    assert figure is not None
    assert figure["data"][0]["x"] == [0.0, 2.0, 5.0, 24.0]
    assert figure["data"][0]["y"] == [1.0, 0.5, 0.25, 0.25]
    assert survival_figure([], 24.0) is None


def test_the_distribution_counts_every_scenario_and_marks_the_buffer() -> None:
    figure = distribution_figure([0.0, 1.0, 3.0, 8.0], "USD", marks={"buffer": 9.0})
    assert figure is not None
    assert sum(figure["data"][0]["y"]) == 4
    assert figure["layout"]["shapes"][0]["x0"] == 9.0
    assert figure["layout"]["annotations"][0]["text"] == "buffer 9"
    assert distribution_figure([], "USD") is None


def test_identifiers_mean_nothing_but_themselves() -> None:
    book = desk(
        assets=[asset("USD", "cash")],
        holdings=[{"holding_id": "<b>|*H*", "asset_id": "USD", "quantity": 10.0}],
        agreements=[{"agreement_id": "A", "counterparty": "</script><i>Bank", "schedule": "cash"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 12.0, "currency": "USD"}],
        schedules={"cash": listing(USD=0)},
    )
    answered = answer(book)
    page = playbook_html(playbook(answered)) + stress_html(answered)
    assert "<b>|" not in page and "<i>Bank" not in page
    text = playbook_markdown(playbook(answered))
    assert r"from \<b\>\|\*H\*" in text


def test_without_calls_nothing_is_needed() -> None:
    book = read_book(CASE)
    answered = answer(book.replace(calls=book.calls.iloc[:0]))
    made = playbook(answered)
    assert (made.status, made.notices) == ("green", ())
    assert made.stages[1].said == ("No holding, redemption or line is needed.",)
    assert "Nothing has to be delivered" in playbook_html(made)
