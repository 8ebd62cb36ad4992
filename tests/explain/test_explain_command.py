"""The command and its page: every example on the page runs and says what is printed there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collateral_opt import optimise, read_book
from collateral_opt.cli import app
from collateral_opt.errors import UsageError
from collateral_opt.explain.run import read_run
from collateral_opt.io.write import write_result

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(collateral-opt [^\n]*)\n```\n\n```text\n(.*?)\n```", PAGE, re.S)


def said(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_every_kind_of_question_has_an_example() -> None:
    asked = " ".join(command for command, _ in EXAMPLES)
    assert len(EXAMPLES) >= 6
    assert all(option in asked for option in ("--call", "--asset", "--agreement"))


@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_page_shows_what_the_command_says(command: str, printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, *words = shlex.split(command)
    status, output = said(*words)
    assert output.rstrip() == printed
    assert status == (3 if ": short" in printed.splitlines()[0] else 0)


def test_the_python_on_the_page() -> None:
    told = optimise(read_book(ROOT / "examples" / "cheapest-to-deliver")).explain(call="MC1")
    # 11.5 / 0.9 less 12 / 0.98.
    assert told.lines[0].next_best is not None
    assert told.lines[0].next_best.dearer_bps == pytest.approx(11.5 / 0.9 - 12 / 0.98)
    assert "('CORP', 0.5329)" in PAGE


def test_a_run_is_explained_like_the_answer_that_was_written(tmp_path: Path) -> None:
    for name in ("hqla-buffer", "liquidity-waterfall", "short-by-priority", "substitution"):
        book = read_book(ROOT / "examples" / name)
        result = optimise(book)
        write_result(result, tmp_path / name, report=False)
        again = read_run(tmp_path / name, book)
        assert again.explain() == result.explain()
        call = book.calls["call_id"].iloc[0]
        one, other = again.explain(call=call).model_dump_json(), result.explain(call=call).model_dump_json()
        assert json.loads(one) == json.loads(other)


def test_a_run_says_which_book_it_wants(tmp_path: Path) -> None:
    book = ROOT / "examples" / "short-by-priority"
    run = tmp_path / "run"
    assert said("allocate", str(book), "--out", str(run), "--no-report", "--quiet", "--time-limit", "60")[0] == 3
    assert said("explain", str(run), "--book", str(book))[0] == 3
    status, output = said("explain", str(run))
    assert (status, "--book" in output) == (2, True)
    status, output = said("explain", str(run), "--book", str(ROOT / "examples" / "hqla-buffer"))
    assert (status, "not of this book" in output) == (2, True)
    changed = shutil.copytree(book, tmp_path / "changed")
    calls = (changed / "calls.csv").read_text(encoding="utf-8")
    (changed / "calls.csv").write_text(calls.replace("500000", "500001"), encoding="utf-8")
    assert said("explain", str(run), "--book", str(changed))[0] == 2
    assert said("explain", str(book), "--book", str(book))[0] == 2


def test_a_run_with_a_broken_file_is_refused(tmp_path: Path) -> None:
    book = read_book(ROOT / "examples" / "hqla-buffer")
    write_result(optimise(book), tmp_path / "run", report=False)
    (tmp_path / "run" / "allocation.csv").write_text("call_id\nC\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no column"):
        read_run(tmp_path / "run", book)


def test_unknown_names_are_all_told_at_once_with_what_was_meant() -> None:
    result = optimise(read_book(ROOT / "examples" / "cheapest-to-deliver"))
    with pytest.raises(UsageError) as caught:
        result.explain(asset="GOVT", call="MC9")
    assert "no asset 'GOVT' in the book. Did you mean 'GOV'?" in str(caught.value)
    assert "no call 'MC9' in the book. Did you mean 'MC1'?" in str(caught.value)
    assert said("explain", str(ROOT / "examples" / "cheapest-to-deliver"), "--agreement", "nobody")[0] == 2


def test_records_are_json_without_infinities() -> None:
    status, output = said("explain", str(ROOT / "examples" / "liquidity-waterfall"), "--json")
    told = json.loads(output, parse_constant=lambda name: pytest.fail(name))
    assert status == 0
    # One more unit of the repo's capacity: what is told is what the records hold.
    assert [term["kind"] for term in told["relaxations"]] == ["capacity"]
    assert told["prices"][0]["more_bps"] == pytest.approx(149.5)


def test_the_same_question_has_the_same_answer_to_the_byte() -> None:
    book = read_book(ROOT / "examples" / "desk")
    once, again = (optimise(book).explain().model_dump_json() for _ in range(2))
    assert once == again
    assert json.loads(once)["full_limits"]
