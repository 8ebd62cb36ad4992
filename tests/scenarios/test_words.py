"""Words and mappings are the same changes; what cannot be read is said all at once, with what to write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from collateral_opt import Book, read_book, read_words
from collateral_opt.errors import UsageError
from collateral_opt.scenarios.figure import Figure, flow, read_figure, read_flow
from collateral_opt.scenarios.kinds import KINDS
from collateral_opt.scenarios.what_if import compared
from collateral_opt.scenarios.words import read_change, read_file

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "what-if.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(ROOT / "examples" / "what-if")


@pytest.mark.parametrize(("word", "form"), ROWS, ids=[word for word, _ in ROWS])
def test_every_row_of_the_page_is_one_change_written_twice(book: Book, word: str, form: str) -> None:
    change = read_change(word)
    assert change == read_change(yaml.load(form, Loader=yaml.BaseLoader))
    assert read_change(str(change)) == change, "and is written as it is read"
    assert read_words([word])(book).digest != book.digest, "and changes something"


def test_the_page_has_every_kind_and_its_own_blocks_are_read(book: Book, tmp_path: Path) -> None:
    assert {type(read_change(word)) for word, _ in ROWS} == set(KINDS)
    (tmp_path / "page.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0], encoding="utf-8")
    grows, trouble = read_file(tmp_path / "page.yaml")
    assert (grows.name, grows.words) == ("the call grows", ("call:MC7.amount=+20%",))
    assert trouble.words == ("downgrade:{issuer_country: IT}=2", "price:{issuer_country: IT}=-5%")
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.replace("examples/", f"{ROOT}/examples/"), re.S)[0], names)
    (here,) = compared(book, [grows])
    assert names["comparison"].cost == here.cost  # type: ignore[attr-defined]


def test_every_word_of_the_help_is_read() -> None:
    command = [sys.executable, "-m", "collateral_opt", "what-if", "--help"]
    text = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "90"}
    ).stdout
    words = [re.split(" {2,}", line.strip())[0] for line in text.splitlines() if re.match(r" (\w+[:.].*=|\{)", line)]
    assert len(words) >= 20
    for word in words:
        assert read_change(word)
    shown = {type(read_change(word)) for word in words}
    assert shown == set(KINDS)


@pytest.mark.parametrize(
    ("text", "figure", "said"),
    [
        ("500000", Figure(how="to", amount="500000"), "500000"),
        ("0.02", Figure(how="to", amount="0.02"), "0.02"),
        ("to -5", Figure(how="to", amount="-5"), "to -5"),
        ("+20%", Figure(how="percent", amount="20"), "+20%"),
        ("-0.5 %", Figure(how="percent", amount="-0.5"), "-0.5%"),
        ("+1e6", Figure(how="by", amount="1000000"), "+1000000"),
        ("-.5", Figure(how="by", amount="-0.5"), "-0.5"),
        (0.02, Figure(how="to", amount="0.02"), "0.02"),
        (-5, Figure(how="to", amount="-5"), "to -5"),
    ],
)
def test_figures_are_read_exactly_and_written_as_they_are_read(text: object, figure: Figure, said: str) -> None:
    assert read_figure(text) == figure and str(figure) == said and read_figure(said) == figure


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("call:MC7.amount=20%", "20% does not say which way. Write +20% or -20% of what it was, or the figure."),
        ("call:MC7.amount=lots", "lots is not a figure. Write 500000, +20%, -3%, +500 or to -5."),
        ("call:MC7.amount=1_000", "1_000 is not a figure."),
        ("call:MC7.amount=nan", "nan is not a figure."),
        ("call:MC7.amount", "'call:MC7.amount' sets nothing. Write WHAT=VALUE"),
        ("call:MC7=5", "'call:MC7=5' cannot be read. Write call:NAME.amount=..."),
        ("call:MC7.amont=5", "amont of call cannot be set. Did you mean amount?"),
        ("call:MC7.amount:x=5", "amount of call takes no 'x'. Write call:MC7.amount=..."),
        ("schedule:us-im.limit=5", "limit of schedule 'us-im' has no label. Write schedule:us-im.limit:LABEL=..."),
        ("call:MC7.amount=1e99", "1e99 is beyond any figure of a book. Write 1e+16 at most."),
        ("call:MC7.amount=+1e999999999", "+1e999999999 is not a figure."),
        ("{new_call: {call_id: N, agreement_id: A, amount: 1e99}}", "1e99 is beyond any figure of a book."),
        ("call:MC7.due=9999-01-01T00:00:00+00:00", "9999-01-01T00:00:00+00:00 is no time."),
        ("call:MC7.due=tomorrow", "tomorrow is no time. Write 2026-03-24T15:00:00+01:00 with its offset"),
        ("call:MC7.due=2026-03-24T15:00:00", "2026-03-24T15:00:00 is no time."),
        ("colour:corporate=5", "'colour:corporate=5' cannot be read. A word begins with one of call:, asset:"),
        (
            "fx_haircut:EUR=5",
            "'fx_haircut:EUR=5' cannot be read. Write fx_haircut=..., or schedule:NAME.",
        ),
        ("fx_hair=5", "'fx_hair=5' cannot be read. Did you mean fx_haircut?"),
        ("{fx_haircut: 1, schedule: A, agreement: B}", "fx_haircut: has both schedule and agreement."),
        ("haircuts:corporate=5", "'haircuts:corporate=5' cannot be read. Did you mean haircut:?"),
        ("remove:bond=X", "bond cannot be removed. Write one of asset, holding, call"),
        ("downgrade:corporate=0", "downgrade is 0. Write a number of 1 or more."),
        ("downgrade:corporate=1.5", "downgrade is 1.5"),
        ("price:{asset_type: bond}=5", "bond is not an asset_type."),
        ("price:{issuer: A=5", "{issuer: A is not readable. Write {column: value}, with a blank after each colon."),
        ("{pin: {call_id: C1}}", "pin: needs exactly one of holding_id, facility_id; it has none."),
        ("{pin: {call_id: C1, holding_id: H1}, call: C1}", "pin: stands beside call. Write {pin: {...}} alone."),
        ("{remove: {call: C1, asset: X}}", "it has asset and call"),
        ("{call: C1, amount: 5, colour: red}", "colour is not known here."),
        ("{call: C1}", "call: needs one of amount, due; it has none. Write amount: ..."),
        ("{haircut: 0.1, schedule: A, agreement: B}", "haircut: has both schedule and agreement. Write one of them."),
        ("{limit: L, max: 5}", "limit: needs exactly one of schedule, agreement, house; it has none."),
        ("{limit: L, house: true, max: 5, cap: all}", "cap is all. Write one of requirement, posted"),
        ("{new_call: {call_id: N, agreement_id: A, amount: 5, due: +4h}}", "due is +4h, which moves nothing."),
        ("{new_call: {call_id: N, amount: 5}}", "agreement_id is missing. Add agreement_id."),
        ("{new_call: N}", "is not a mapping."),
        ("{colour: red}", "{colour: red} is no change that is known. A change has one of "),
        ("{pric: 5, of: all}", "is no change that is known. Did you mean price?"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_write(word: str, said: str) -> None:
    with pytest.raises(UsageError, match="these changes cannot be read") as error:
        read_words([word])
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith(f"  {word}: ") and said in line


def test_a_file_says_all_that_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "changes.yaml"
    file.write_text(
        "one:\n  - call:C1.amont=5\n  - {call: C1, call: C2, amount: 5}\n  - 7: 8\ntwo: call:C1.amount=5\n", "utf-8"
    )
    with pytest.raises(UsageError) as error:
        read_file(file)
    assert [line.split(". ")[0] for line in str(error.value).splitlines()] == [
        f"{file}: these changes cannot be read:",
        "  line 3: call stands twice in one mapping",
        "  one, call:C1.amont=5: amont of call cannot be set",
        "  one, change 3: {7: 8} is no change that is known",
        "  two, there is no change in it",
    ]


@pytest.mark.parametrize("text", ["", "just text", "a: [", "? [a]: b"])
def test_a_file_without_what_ifs_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "f.yaml"))):
        read_file(tmp_path / "f.yaml")
    with pytest.raises(UsageError, match="No such file"):
        read_file(tmp_path / "g.yaml")


def test_a_list_alone_is_one_what_if_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "rates-up.yaml").write_text("- fx:EUR=+1%\n- {call: NO, amount: +5}\n", encoding="utf-8")
    (one,) = read_file(tmp_path / "rates-up.yaml")
    assert (one.name, one.words) == ("rates-up", ("fx:EUR=+1%", "call:NO.amount=+5")), "NO is text"


@pytest.mark.parametrize("name", ["a.b.c", "A:B", "A.amount", "a=b", "x y", "Crédit 7"])
def test_an_identifier_may_have_the_marks_of_a_word_in_it(name: str) -> None:
    change = read_change({"call": name, "amount": "+5"})
    assert read_change(str(change)) == change and str(change) == f"call:{name}.amount=+5"


@pytest.mark.parametrize(
    "raw",
    [
        {"all": [{"issuer": "A: b"}, {"not": {"sector": ["x, y", "{z}"]}}]},
        {"duration": {"le": "7.5"}},
        {"issuer": 'say "no" # now'},
        {"issuer": "- x"},
        {"rating": {"at_least": "BBB-", "scope": ["asset", "issuer"]}},
    ],
)
def test_a_form_is_read_as_it_is_written(raw: object) -> None:
    assert read_flow(flow(raw)) == raw


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"haircut": "+0.01"}, "haircut:all=+0.01"),
        ({"haircut": "+0.01", "rule": "cash"}, "{haircut: +0.01, rule: cash}"),
        ({"haircut": "+0.01", "rule": "cash", "schedule": "s"}, "schedule:s.rule:cash=+0.01"),
        (
            {"haircut": "+0.01", "rule": "cash", "schedule": "s", "of": {"currency": "EUR"}},
            "{haircut: +0.01, of: {currency: EUR}, schedule: s, rule: cash}",
        ),
        ({"fx_haircut": "+0.02"}, "fx_haircut=+0.02"),
        ({"fx_haircut": "0.1", "agreement": "A: b"}, "agreement:A: b.fx_haircut=0.1"),
        ({"call": "C", "amount": "+1", "due": "+1d"}, "{call: C, amount: +1, due: +1d}"),
        ({"facility": "F", "capacity": "1", "cost_bps": "-2"}, "{facility: F, capacity: 1, cost_bps: -2}"),
        ({"cost_bps": "+1", "of": "bank"}, "cost_bps:bank=+1"),
        ({"limit": "l", "house": "true", "max": "5"}, "house.limit:l=5"),
        ({"remove": {"call": "C"}}, "remove:call=C"),
        ({"downgrade": "1", "of": "bank", "scope": ["asset", "sovereign"]}, None),
    ],
)
def test_a_change_is_named_by_its_shortest_word_and_read_from_it(form: dict[str, object], word: str | None) -> None:
    change = read_change(form)
    assert word is None or str(change) == word
    assert read_change(str(change)) == change
