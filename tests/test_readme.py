"""The README says what is there: its commands run, its links lead somewhere, its tables name what exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from collateral_opt.io.write import ON_OCCASION, RESULT_FILES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [block.strip() for block in re.findall(r"```sh\n(.*?)```", README, re.S)]


def test_there_are_two_commands_of_one_line_each() -> None:
    assert len(COMMANDS) == 2 and all("\n" not in c and c.startswith("python3 -m venv") for c in COMMANDS)


def test_the_first_command_allocates_the_example_desk(tmp_path: Path) -> None:
    *set_up, run = COMMANDS[0].split(" && ")
    assert set_up == ["python3 -m venv .venv", ".venv/bin/pip install ."]
    program, *words = shlex.split(run)
    assert program == ".venv/bin/collateral-opt"
    words[words.index("out/desk")] = str(tmp_path / "out" / "desk")
    done = subprocess.run(
        [sys.executable, "-m", "collateral_opt", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "optimal: 45 of 45 calls covered" in done.stdout and done.stderr == ""
    written = {p.name for p in (tmp_path / "out" / "desk").iterdir()}
    assert written == RESULT_FILES - {"workbook.xlsx", "frontier.csv"} - {f"{name}.csv" for name in ON_OCCASION}


def test_the_second_command_is_the_one_that_ci_runs() -> None:
    *set_up, run = COMMANDS[1].split(" && ")
    assert set_up == ["python3 -m venv .venv", ".venv/bin/pip install -e '.[dev]'"]
    assert run == ".venv/bin/pytest -q -n auto"
    found = re.findall(r"^python3 -m venv .*pytest.*$", README, re.M)
    assert found == [COMMANDS[1]], "this is the line that .ci/run looks for"
    assert "'^python3 -m venv .*pytest' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_link_leads_to_something_in_the_project() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links), links


def test_every_file_of_a_result_is_named() -> None:
    assert all(f"`{name}`" in README for name in RESULT_FILES)


def test_every_option_and_command_named_exists() -> None:
    def help_of(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "collateral_opt", *words, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    table = README.split("## Commands")[1].split("## As a library")[0]
    for command, row in re.findall(r"`collateral-opt ([a-z]+(?: [a-z]+)?) [^`]*`(?=.*)(.*)", table):
        text = help_of(*command.split())
        options = re.findall(r"--[a-z-]+", row) + re.findall(rf"collateral-opt {command} [^`]*?(--[a-z-]+)", table)
        assert all(option in text for option in options), command
