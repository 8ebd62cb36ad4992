"""`collateral-opt what-if`: exit statuses, what is said, and nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from collateral_opt import Book, Comparison
from collateral_opt.cli import app
from collateral_opt.scenarios.what_if import compared

EXAMPLE = Path(__file__).parents[2] / "examples" / "what-if"


def run(*words: str | Path) -> SimpleNamespace:
    done = CliRunner().invoke(app, ["what-if", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def test_words_of_the_command_line_are_one_what_if(tmp_path: Path) -> None:
    done = run(EXAMPLE, "--set", "call:MC7.amount=+20%", "--set", "fx:EUR=-10%", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "what if: optimal before, optimal after"
    # from the book's tables: 1,000,000 and a fifth, 1.20 less a tenth
    assert rest[:4] == [
        "  change     call:MC7.amount=+20%", "             amount of call MC7: 1,000,000 -> 1,200,000 USD",
        "  change     fx:EUR=-10%", "             rate of currency EUR: 1.2 -> 1.08 USD",
    ]  # fmt: skip
    assert (tmp_path / "out" / "what-if" / "lines.csv").is_file()


def test_a_file_has_several_and_a_shortfall_is_exit_status_3(tmp_path: Path) -> None:
    done = run(
        EXAMPLE, "--changes", EXAMPLE / "changes.yaml", "--set", "remove:facility=REPO", "--out", tmp_path / "out"
    )
    assert done.returncode == 3, done.stderr
    heads = [line for line in done.stdout.splitlines() if line and not line.startswith((" ", "written"))]
    assert heads == [
        "what if: optimal before, optimal after", "the call grows: optimal before, optimal after",
        "dearer corporates: optimal before, optimal after", "Italy loses a notch: optimal before, optimal after",
        "more than there is: optimal before, short after",
    ]  # fmt: skip
    told = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [one["folder"] for one in told["what_ifs"]] == [
        "what-if", "the-call-grows", "dearer-corporates", "Italy-loses-a-notch", "more-than-there-is",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: nothing is changed. Write --set call:C1.amount=+20%, or --changes FILE."),
        (["--set", "call:MC7.amont=5"], "Did you mean amount?"),
        (
            ["--set", "call:MC9.amount=5", "--set", "fx:GBP=1"],
            "  what if, fx:GBP=1: currency 'GBP' is not in the book.",
        ),
        (
            ["--set", "fx:EUR=1.1", "--changes", "nowhere.yaml"],
            "nowhere.yaml: No such file or directory. Check the name.",
        ),
        (
            ["--set", "{new_call: {call_id: N, agreement_id: IM1, amount: 1, currency: JPY}}"],
            "there is no rate for JPY",
        ),
        (["--set", "{pin: {call_id: MC8, holding_id: H1}}"], "E8"),  # a corporate is not eligible there
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(EXAMPLE, *words, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    assert not list(tmp_path.iterdir())


def test_several_findings_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    done = run(EXAMPLE, "--set", "call:MC9.amount=5", "--set", "call:MC8.amount=-500000")
    assert done.stderr.splitlines() == [
        "error: the changes do not fit the book:",
        "  what if, call:MC9.amount=5: call 'MC9' is not in the book. Correct the identifier, or leave it out.",
        "  what if, call:MC8.amount=-500000: amount of call 'MC8' would be 0: it must be above 0, and 1e+16 at most.",
    ]


def test_solver_and_time_limit_mean_what_they_mean_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    def noted(book: Book, what_ifs: Any, **how: Any) -> list[Comparison]:
        limits.append(book.settings.time_limit_s)
        return compared(book, what_ifs, **how)

    monkeypatch.setattr("collateral_opt.scenarios.what_if.compared", noted)
    words = ("--set", "call:MC7.amount=+20%", "--solver", "pulp:PULP_CBC_CMD", "--time-limit", "30")
    done = run(EXAMPLE, *words, "--out", tmp_path / "out")
    assert done.returncode == 0 and limits == [30.0], done.stderr
    for folder in ("before", "what-if/after"):
        summary = json.loads((tmp_path / "out" / folder / "summary.json").read_text(encoding="utf-8"))
        assert summary["solver"].startswith("pulp:PULP_CBC_CMD")
    assert "stopped" not in done.stdout
    for wrong in (("--solver", "nobody"), ("--time-limit", "0")):
        assert run(EXAMPLE, "--set", "fx:EUR=1.1", *wrong).returncode == 2


def test_a_folder_that_may_not_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    book = shutil.copytree(EXAMPLE, tmp_path / "book")
    for out in (book, book / "out", tmp_path):
        done = run(book, "--set", "fx:EUR=1.1", "--out", out, "--force")
        assert done.returncode == 2 and "hoose" in done.stderr
    out = tmp_path / "out"
    assert run(book, "--set", "fx:EUR=1.1", "--out", out, "--quiet").stdout == ""
    assert run(book, "--set", "fx:EUR=1.1", "--out", out).returncode == 2
    assert run(book, "--set", "fx:EUR=1.1", "--out", out, "--force").returncode == 0


def test_what_the_changed_book_alone_shows_is_told(tmp_path: Path) -> None:
    # nobody trades under eu-im then but the repo; the book as it stands has no such finding
    done = run(EXAMPLE, "--set", "remove:counterparty=Rhine Bank")
    assert done.returncode == 0
    assert "with what if: " in done.stderr and "eu-im" in done.stderr.split("with what if: ")[1]


def test_the_command_imports_late_what_is_heavy() -> None:
    asked = (
        "import sys, collateral_opt.cli; print(sorted({'pandas', 'highspy', 'yaml', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
