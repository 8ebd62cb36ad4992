"""The command line: exit statuses, one clear message and never a traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from collateral_opt import cli, terminal
from collateral_opt.errors import CheckFailed, Finding, SolverError

EXAMPLES = Path(__file__).parents[1] / "examples"
CHEAP = EXAMPLES / "cheapest-to-deliver"


def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collateral_opt", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, **options)  # type: ignore[call-overload]
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert "\x1b" not in done.stderr + done.stdout, "no colours in a pipe"
    return done  # type: ignore[no-any-return]


def invoke(*words: str | Path) -> SimpleNamespace:
    """The same without a new process, for tests that change something inside."""
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def copied(tmp_path: Path, example: str = "cheapest-to-deliver") -> Path:
    return Path(shutil.copytree(EXAMPLES / example, tmp_path / "book"))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# allocate


def test_allocate_writes_the_result_and_says_what_it_came_to(tmp_path: Path) -> None:
    done = run("allocate", CHEAP, "--out", tmp_path / "out")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[:4] == [
        "optimal: 1 of 1 call covered",
        "  cost       306.30 USD, proven to be at least 306.12",
        "  gap        0.0580 %",
        "  lines      1 out of 1 holding",
    ]
    assert "report.html" in done.stdout


def test_a_short_call_is_exit_status_3_with_its_reason(tmp_path: Path) -> None:
    done = run("allocate", EXAMPLES / "short-by-priority", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "short: 1 of 2 calls covered" in done.stdout and "BANK-1  150,875.00 of 500,000.00" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_facilities_are_told_with_what_they_raised(tmp_path: Path) -> None:
    done = run("allocate", EXAMPLES / "liquidity-waterfall", "--out", tmp_path / "out")
    words = "REPO 4,000,360; REDEEM 3,000,000; LINE 1,500,000 (raised, at a cost of 414.00 USD)"
    assert f"  facilities {words}" in done.stdout.splitlines()


def test_reserves_are_told_where_they_are_short(tmp_path: Path) -> None:
    book = copied(tmp_path, "hqla-buffer")
    assert " short, " not in run("allocate", book, "--out", tmp_path / "first").stdout
    (book / "reserves.csv").write_text(
        "reserve_id,schedule,amount,currency\nLCR,lcr-hqla,9000000,EUR\n", encoding="utf-8"
    )
    done = run("allocate", book, "--out", tmp_path / "out")
    found = re.search(r"^  reserves   1 of 1 reserve short, ([\d,.]+) EUR missing$", done.stdout, re.M)
    assert done.returncode == 3 and found and f"  reserve LCR  {found[1]} missing" in done.stdout


@pytest.mark.parametrize(("bonds", "words", "moves"), [
    (600_000, "optimal: 0 of 0 calls and 1 of 1 agreement covered", "recalls 1, deliveries 1"),
    (100_000, "short: 0 of 0 calls and 0 of 1 agreement covered", "recalls 0, deliveries 1"),
])  # fmt: skip
def test_moves_are_told_and_what_an_agreement_lacks(tmp_path: Path, bonds: int, words: str, moves: str) -> None:
    """Bonds at 5 bps take the place of cash at 40 bps; 600k are required, and 300k of cash lie there where few are."""
    posted = 600_000 if bonds == 600_000 else 300_000
    tables = {
        "settings.yaml": "as_of: 2026-03-24T08:00:00-04:00\nbase_currency: USD\nhorizon_days: 360\nscope: reoptimise\n",
        "assets.csv": "asset_id,asset_type,currency,price\nUSD,cash,USD,1\nBOND,debt,USD,1\n",
        "holdings.csv": f"holding_id,asset_id,quantity,cost_bps\nH-CASH,USD,0,40\nH-BOND,BOND,{bonds},5\n",
        "agreements.csv": "agreement_id,counterparty,schedule,requirement\nA,Bank,any,600000\n",
        "calls.csv": "call_id,agreement_id,amount,currency\n",
        "posted.csv": f"agreement_id,asset_id,quantity,holding_id\nA,USD,{posted},H-CASH\n",
        "schedules/any.csv": "asset_id,haircut\nUSD,0\nBOND,0\n",
    }
    (tmp_path / "book" / "schedules").mkdir(parents=True)
    for name, text in tables.items():
        (tmp_path / "book" / name).write_text(text, encoding="utf-8")
    lines = run("allocate", tmp_path / "book", "--out", tmp_path / "out").stdout.splitlines()
    assert lines[0] == words and f"  moves      {moves}" in lines
    assert ("  agreement A  200,000.00 of 600,000.00" in lines) == (bonds == 100_000)


def test_an_impossible_pin_is_refused_once_and_nothing_is_written(tmp_path: Path) -> None:
    book = shutil.copytree(CHEAP, tmp_path / "book")
    holding = (book / "holdings.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    (book / "pins.csv").write_text(f"call_id,holding_id,quantity\nMC1,{holding},9e12\n", encoding="utf-8")
    for command in (["check"], ["allocate", "--out", tmp_path / "out", "--write-lp", tmp_path / "program.lp"]):
        done = run(command[0], book, *command[1:])
        assert done.returncode == 2
        assert (done.stderr + done.stdout).count("E814") == 1
        assert names(tmp_path) == ["book"]


def test_the_curve_of_moves_is_written_when_asked_for(tmp_path: Path) -> None:
    done = run("allocate", EXAMPLES / "move-budget", "--out", tmp_path / "out", "--no-report", "--frontier")
    assert done.returncode == 0
    curve = (tmp_path / "out" / "frontier.csv").read_text(encoding="utf-8").splitlines()
    assert curve[0] == "max_moves,moves,total_cost,saving,lower_bound"
    # worked by hand in the example's README
    assert [row.split(",")[:4] for row in curve[1::2]] == [
        ["1", "1", "453.50", "0.00"], ["3", "3", "273.50", "180.00"], ["5", "5", "191.00", "262.50"],
        ["7", "7", "157.25", "296.25"],
    ]  # fmt: skip


def test_quiet_says_nothing(tmp_path: Path) -> None:
    done = run("allocate", CHEAP, "--out", tmp_path / "out", "--quiet", "--no-report", "--workbook")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "workbook.xlsx" in names(tmp_path / "out") and "report.html" not in names(tmp_path / "out")


def test_another_solver_gives_the_same_answer(tmp_path: Path) -> None:
    for solver in ("highs", "pulp:HiGHS"):
        assert run("allocate", CHEAP, "--out", tmp_path / solver[-3:], "--solver", solver).returncode == 0
    first, second = ((tmp_path / name / "allocation.csv").read_bytes() for name in ("ghs", "GHS"))
    assert first == second


def test_cross_check_compares_the_optima(tmp_path: Path) -> None:
    done = run("allocate", CHEAP, "--out", tmp_path / "out", "--cross-check", "pulp:HiGHS")
    assert done.returncode == 0 and "cross-check: 306.122449 here, 306.122449 with pulp:HiGHS" in done.stdout


def test_the_program_can_be_written_and_is_not_overwritten(tmp_path: Path) -> None:
    lp, mps = tmp_path / "program.lp", tmp_path / "program.mps"
    words = ["allocate", CHEAP, "--write-lp", lp, "--write-mps", mps, "--out"]
    assert run(*words, tmp_path / "out").returncode == 0
    assert "Minimize" in lp.read_text() and "ROWS" in mps.read_text()
    assert run(*words, tmp_path / "other").returncode == 2
    assert run("allocate", CHEAP, "--write-lp", "program.txt", "--out", tmp_path / "other").returncode == 2
    assert names(tmp_path) == ["out", "program.lp", "program.mps"]


def test_warnings_are_told_but_do_not_fail(tmp_path: Path) -> None:
    book = copied(tmp_path)
    (book / "asets.csv").write_text("asset_id\nX\n")
    done = run("allocate", book, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert done.stderr.startswith("1 warning\n") and "1 warning" not in done.stdout


@pytest.mark.parametrize("target", ["", "out", ".."])
def test_a_result_is_kept_away_from_its_book(tmp_path: Path, target: str) -> None:
    book = copied(tmp_path)
    before = names(book)
    done = run("allocate", book, "--out", book / target, "--force")
    assert done.returncode == 2 and "book" in done.stderr and names(book) == before


def test_what_is_there_is_overwritten_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("allocate", CHEAP, "--out", out).returncode == 0
    before = (out / "allocation.csv").read_bytes()
    done = run("allocate", EXAMPLES / "concentration-limit", "--out", out)
    assert done.returncode == 2 and "--force" in done.stderr and (out / "allocation.csv").read_bytes() == before
    assert run("allocate", EXAMPLES / "concentration-limit", "--out", out, "--force").returncode == 0
    assert (out / "allocation.csv").read_bytes() != before and names(tmp_path) == ["out"]


# what can be wrong


def broken_calls(book: Path) -> None:
    (book / "calls.csv").write_text("call_id,agreement_id,amount,currency\nMC1,NOWHERE,-5,USD\nMC1,BANK,x,EUR\n")


def bytes_in(name: str, content: bytes) -> Callable[[Path], None]:
    def change(book: Path) -> None:
        (book / name).write_bytes(content)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda book: (book / name).unlink()


def folder_for_file(book: Path) -> None:
    (book / "calls.csv").unlink()
    (book / "calls.csv").mkdir()


BAD_BOOKS: dict[str, Callable[[Path], None]] = {
    "broken calls": broken_calls,
    "no settings": without("settings.yaml"),
    "no assets": without("assets.csv"),
    "no schedule": without("schedules/bilateral.yaml"),
    "settings that are no yaml": bytes_in("settings.yaml", b"as_of: [1, 2\n  x: {"),
    "settings that are a list": bytes_in("settings.yaml", b"- 1\n- 2\n"),
    "a time without an offset": bytes_in("settings.yaml", b"as_of: 2026-03-24T08:00:00\nbase_currency: USD\n"),
    "bytes that are no text": bytes_in("holdings.csv", bytes(range(256))),
    "nothing in a file": bytes_in("holdings.csv", b""),
    "a NUL": bytes_in("calls.csv", b"call_id,agreement_id,amount,currency\nM\x00C,BANK,1,USD\n"),
    "a ragged row": bytes_in("calls.csv", b"call_id,agreement_id,amount,currency\nMC1,BANK,1,USD,9,9\n"),
    "a header twice": bytes_in("calls.csv", b"call_id,call_id,agreement_id,amount,currency\na,b,BANK,1,USD\n"),
    "an infinite amount": bytes_in("calls.csv", b"call_id,agreement_id,amount,currency\nMC1,BANK,inf,USD\n"),
    "a huge amount": bytes_in("calls.csv", b"call_id,agreement_id,amount,currency\nMC1,BANK,1e999,USD\n"),
    "a schedule that is no mapping": bytes_in("schedules/bilateral.yaml", b"hello"),
    "a schedule with a column nobody knows": bytes_in(
        "schedules/bilateral.yaml", b"name: b\nrules: [{label: x, when: {colour: red}, haircut: 0.1}]\n"
    ),
    "a schedule with a tab": bytes_in("schedules/bilateral.yaml", b"name: b\n\trules: []\n"),
    "parquet that is none": bytes_in("posted.parquet", b"PAR1 no"),
    "a folder where a file should be": folder_for_file,
    "an unclosed quote": bytes_in("calls.csv", b'call_id,agreement_id,amount,currency\n"MC1,BANK,1,USD\n'),
    "a currency without a rate": bytes_in("calls.csv", b"call_id,agreement_id,amount,currency\nM,BANK,1,CHF\n"),
}


@pytest.mark.parametrize("name", BAD_BOOKS)
def test_a_bad_book_is_exit_status_2_with_findings_and_nothing_written(name: str, tmp_path: Path) -> None:
    book = copied(tmp_path)
    BAD_BOOKS[name](book)
    done = invoke("allocate", book, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stdout == ""
    assert "error" in done.stderr
    assert names(tmp_path) == ["book"]


def test_all_findings_are_listed_at_once_by_table(tmp_path: Path) -> None:
    book = copied(tmp_path)
    broken_calls(book)
    (book / "holdings.csv").write_text("holding_id,asset_id,quantity\nH1,NOTHING,1\n")
    done = run("allocate", book, "--out", tmp_path / "out")
    text = done.stderr
    assert done.returncode == 2
    assert all(word in text for word in ("errors", "\ncalls\n", "\nholdings\n", "NOWHERE", "-5", "NOTHING"))


def test_books_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    for book in ("missing", "empty", "file.txt", "broken.xlsx"):
        done = invoke("allocate", tmp_path / book, "--out", tmp_path / "out")
        assert done.returncode == 2 and done.stderr.strip(), book
    assert "out" not in names(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["allocate"],
        ["allocate", str(CHEAP)],
        ["allocate", str(CHEAP), "--out"],
        ["allocate", str(CHEAP), "--out", "x", "--sideways"],
        ["optimise", str(CHEAP)],
        ["check", str(CHEAP), "--format", "xml"],
        ["generate", "x", "--holdings", "many"],
        ["eligible", str(CHEAP)],
        [],
    ],
)
def test_a_wrong_command_is_exit_status_2(words: list[str]) -> None:
    assert invoke(*words).returncode == 2


def test_an_unknown_solver_names_those_there_are(tmp_path: Path) -> None:
    done = invoke("allocate", CHEAP, "--out", tmp_path / "out", "--solver", "pulp:NOPE")
    assert done.returncode == 2 and "highs" in done.stderr and names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = run("allocate", CHEAP, "--out", tmp_path / "closed" / "out")
    assert done.returncode == 2 and "ermission" in done.stderr


def test_a_folder_below_a_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run("allocate", CHEAP, "--out", tmp_path / "file" / "out")
    assert done.returncode == 2 and done.stderr.startswith("error: ")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (OSError(28, "No space left on device", "/x/limits.csv"), 2, "No space left on device"),
        (PermissionError(13, "Permission denied", "/x"), 2, "Permission denied"),
        (SolverError("time limit reached"), 4, "time limit reached"),
        (CheckFailed(["call C1: not covered"]), 4, "call C1: not covered"),
        (MemoryError(), 4, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_goes_wrong_while_writing_leaves_nothing(
    raised: BaseException, status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise raised

    monkeypatch.setattr("collateral_opt.io.write.summary_text", fail)
    done = invoke("allocate", CHEAP, "--out", tmp_path / "out")
    assert done.returncode == status and words in done.stderr
    assert names(tmp_path) == []


def solving(script: str, out: Path) -> subprocess.Popen[str]:
    """An allocation by a changed program, which has said that it is solving."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, "allocate", str(CHEAP), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "solving\n"
    return process


def test_ctrl_c_while_solving_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    # a solver that sleeps in its own thread as one in C would, deaf to signals
    script = (
        "import time, collateral_opt.optimiser as o, collateral_opt.cli as c\n"
        "def forever(book, **options):\n"
        "    print('solving', flush=True)\n"
        "    time.sleep(60)\n"
        "o.optimise = forever\n"
        "c.main()\n"
    )
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = solving(script, tmp_path / "out")
        process.send_signal(number)
        if number == signal.SIGINT:
            # The first asks for what there is, the second leaves.
            assert process.stderr is not None and process.stderr.readline().startswith("stopping with the best answer")
            process.send_signal(number)
        start = time.monotonic()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == status and time.monotonic() - start < 10
        assert errors == "interrupted. Nothing was written.\n" and names(tmp_path) == []


def test_the_first_ctrl_c_ends_the_search_and_the_answer_is_written(tmp_path: Path) -> None:
    script = (
        "import collateral_opt.optimiser as o, collateral_opt.cli as c\n"
        "solve = o.optimise\n"
        "def patient(book, stop, **options):\n"
        "    print('solving', flush=True)\n"
        "    assert stop.wait(60)\n"
        "    return solve(book, **options)\n"
        "o.optimise = patient\n"
        "c.main()\n"
    )
    process = solving(script, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors.startswith("stopping with the best answer so far")
    assert "optimal" in out and (tmp_path / "out" / "allocation.csv").is_file()


def test_a_reader_who_goes_away_is_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "collateral_opt", "allocate", str(CHEAP), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0 and process.stderr.read() == ""
    process.stderr.close()
    assert (tmp_path / "out" / "calls.csv").is_file()


def test_a_terminal_that_knows_ascii_only_is_enough() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = ("eligible", EXAMPLES / "desk", "--asset", "COV0001", "--agreement", "IM-UK-08")
    assert run(*words, env=environment).returncode == 0


# check, eligible, generate


def test_check_of_a_sound_book_counts_its_tables() -> None:
    done = run("check", CHEAP)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2 assets, 2 holdings, 1 agreements, 1 calls, 1 schedules\n"


def test_check_lists_findings_as_text_or_json(tmp_path: Path) -> None:
    book = copied(tmp_path)
    broken_calls(book)
    text, data = run("check", book), run("check", book, "--format", "json")
    findings = json.loads(data.stdout)
    assert text.returncode == data.returncode == 2
    assert {f["table"] for f in findings} == {"calls", "fx"} and "error" in {f["severity"] for f in findings}
    assert all(f["code"] in text.stdout for f in findings)
    assert json.loads(run("check", CHEAP, "--format", "json").stdout) == []


def test_eligible_tells_the_haircut_and_the_rule() -> None:
    done = run("eligible", CHEAP, "--asset", "GOV", "--agreement", "BANK")
    assert done.returncode == 0
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()[1:5]] == [
        ["schedule", "bilateral, read in USD"], ["haircut", "2 %"], ["factor", "0.98"],
        ["rule", "governments"],
    ]  # fmt: skip


def test_eligible_tells_why_not_and_what_is_missing(tmp_path: Path) -> None:
    book = copied(tmp_path)
    assets = book / "assets.csv"
    assets.write_text(assets.read_text().replace("Company,corporate,", "Company,,"))
    for where in (("--agreement", "BANK"), ("--call", "MC1"), ("--schedule", "bilateral")):
        done = run("eligible", book, "--asset", "CORP", *where)
        assert done.returncode == 0 and done.stdout.startswith("CORP: not eligible\n")
        assert "missing    issuer_type" in done.stdout


def test_eligible_knows_wrong_way_risk(tmp_path: Path) -> None:
    book = copied(tmp_path)
    agreements = book / "agreements.csv"
    agreements.write_text(agreements.read_text().replace("Northgate Bank", "Company"))
    done = run("eligible", book, "--asset", "CORP", "--agreement", "BANK")
    assert "CORP: not eligible" in done.stdout and "both belong to Company" in done.stdout


def test_eligible_reads_a_schedule_that_lies_in_a_file() -> None:
    schedule = EXAMPLES / "short-by-priority" / "schedules" / "clearing-house.yaml"
    assert run("eligible", CHEAP, "--asset", "GOV", "--schedule", schedule).stdout.startswith("GOV: eligible")


@pytest.mark.parametrize(
    "words",
    [
        ["--asset", "NOPE", "--agreement", "BANK"],
        ["--asset", "GOV", "--agreement", "NOPE"],
        ["--asset", "GOV", "--call", "NOPE"],
        ["--asset", "GOV", "--schedule", "NOPE"],
        ["--asset", "GOV"],
        ["--asset", "GOV", "--agreement", "BANK", "--call", "MC1"],
    ],
)
def test_eligible_refuses_what_it_does_not_know(words: list[str]) -> None:
    done = invoke("eligible", CHEAP, *words)
    assert done.returncode == 2 and done.stderr.startswith("error: ")


def test_generate_writes_a_book_and_protects_what_is_there(tmp_path: Path) -> None:
    words = ("generate", tmp_path / "book", "--holdings", "20", "--calls", "2", "--agreements", "1")
    assert invoke(*words).returncode == 0
    assert invoke("check", tmp_path / "book").returncode == 0
    done = invoke(*words)
    assert done.returncode == 2 and "--force" in done.stderr
    assert invoke(*words, "--force").returncode == 0
    assert invoke("generate", tmp_path / "other", "--holdings", "3").returncode == 2
    assert names(tmp_path) == ["book"]


# what it says and how it starts


def test_help_imports_nothing_that_takes_long() -> None:
    script = (
        "import sys\n"
        "from collateral_opt.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    slow = {'pandas', 'numpy', 'highspy', 'pulp', 'plotly', 'pydantic', 'jinja2', 'yaml'}\n"
        "    heavy = slow & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("allocate", "check", "generate", "eligible"))


def test_identifiers_cannot_steer_a_terminal() -> None:
    found = Finding("E1", "error", "calls", 3, "call_id", None, "\x1b[2Jgone\r.", "Mend \x07it.")
    assert terminal.findings_text([found]) == "1 error\n\ncalls\n  error E1 row 3, call_id: ?[2Jgone?. Mend ?it."


def test_errors_come_before_warnings_and_counts_before_both() -> None:
    findings = [
        Finding("W2", "warning", "assets", None, None, None, "Odd.", "Look."),
        Finding("E9", "error", "calls", 2, None, None, "Wrong.", "Mend."),
        Finding("E1", "error", "calls", 4, "due", None, "Late.", "Wait."),
    ]
    assert terminal.findings_text(findings).splitlines() == [
        "2 errors, 1 warning", "", "calls", "  error E1 row 4, due: Late. Wait.",
        "  error E9 row 2: Wrong. Mend.", "", "assets", "  warning W2 Odd. Look.",
    ]  # fmt: skip


def test_waiting_hands_back_what_the_task_returns_or_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal.wait_for(lambda progress: progress("x") or 7, quiet=True) == 7
    with pytest.raises(ValueError, match="seven"):
        terminal.wait_for(lambda _: int("seven"), quiet=True)
    monkeypatch.setattr(terminal, "_PATIENCE", 0.01)
    assert terminal.wait_for(lambda _: time.sleep(0.05) or 8, quiet=False) == 8
