"""The report of a what-if: who pays as steps that add up, what differs, in a folder that is whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collateral_opt import read_book, read_words
from collateral_opt.errors import UsageError
from collateral_opt.io import write_comparisons as writing
from collateral_opt.io.comparison_report import comparison_html, waterfall
from collateral_opt.io.write_comparisons import write_comparisons
from collateral_opt.result.comparison import Comparison, CostDifference, Moved
from collateral_opt.scenarios.what_if import compared
from tests.io.test_report import Page, Tables, data_of

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def grown() -> Comparison:
    """MC7 asks for a fifth more: examples/what-if/README.md has the arithmetic."""
    book = read_book(EXAMPLES / "what-if")
    (found,) = compared(book, [read_words(["call:MC7.amount=+20%"], "the call grows")])
    return found


def paid(comparison: Comparison, *costs: tuple[str, str, float, float], total: float) -> Comparison:
    """``comparison`` with these parts of the cost by agreement, and ``total`` more in all."""
    parts = tuple(CostDifference("agreement", part, name, Moved(*moved)) for part, name, *moved in costs)
    return replace(comparison, costs=parts, cost=Moved(100.0, 100.0 + total))


def test_the_steps_begin_where_the_one_before_ends_and_add_up(grown: Comparison) -> None:
    costs = (("agreement", "A", 50.0, 80.0), ("agreement", "B", 40.0, 0.0), ("facility", "F", 0.0, 15.0))
    drawn = waterfall(paid(grown, *costs, ("agreement", "C", 10.0, 10.0), total=5.0), "agreement")
    assert drawn is not None
    (bars,) = drawn["data"]
    assert bars["x"] == ["B", "A", "facility F", "together"], "who pays as before is no step"
    assert bars["y"] == [-40.0, 30.0, 15.0, 5.0] and bars["base"] == [0.0, -40.0, -10.0, 0.0]
    low, high = drawn["layout"]["yaxis"]["range"]
    assert low < -40.0 and high > 5.0
    assert bars["customdata"][2] == ["0.00", "15.00", "+15.00"]


def test_many_payers_are_few_steps_that_still_add_up(grown: Comparison) -> None:
    costs = [("agreement", f"A{i:02}", 0.0, 100.0 - i) for i in range(30)]
    drawn = waterfall(paid(grown, *costs, total=sum(100.0 - i for i in range(30))), "agreement")
    assert drawn is not None
    (bars,) = drawn["data"]
    # 85 + 84 + ... + 71 of the fifteen that pay least
    assert len(bars["x"]) == 17 and bars["x"][15:] == ["15 others", "together"] and bars["y"][15] == 1170.0
    assert sum(bars["y"][:16]) == bars["y"][16]


def test_what_rounding_leaves_is_a_step_where_it_could_be_seen(grown: Comparison) -> None:
    seen = waterfall(paid(grown, ("agreement", "A", 0.0, 1.0), total=1.02), "agreement")
    unseen = waterfall(paid(grown, ("agreement", "A", 0.0, 100.0), total=100.02), "agreement")
    assert seen is not None and seen["data"][0]["x"] == ["A", "rounding", "together"]
    assert unseen is not None and unseen["data"][0]["x"] == ["A", "together"]
    assert waterfall(paid(grown, ("agreement", "A", 7.0, 7.0), total=0.0), "agreement") is None


def test_names_that_mean_two_things_are_two_bars(grown: Comparison) -> None:
    costs = (("agreement", "together", 0.0, 5.0), ("agreement", "facility F", 0.0, 4.0), ("facility", "F", 0.0, 3.0))
    drawn = waterfall(paid(grown, *costs, total=12.0), "agreement")
    assert drawn is not None
    names = drawn["data"][0]["x"]
    assert len(set(names)) == len(names) == 4


def test_the_page_says_what_it_costs_who_pays_and_what_is_asked(grown: Comparison) -> None:
    html = comparison_html(grown)
    text, rows = Page(html).text, Tables(html).rows
    # from the README: 326.09 + 1,252.59 instead of 1,413.52
    asked = "amount of call MC7: 1,000,000 -> 1,200,000 USD"
    for part in (
        "What if: the call grows",
        "call:MC7.amount=+20%",
        asked,
        "+165.15 USD",
        "1,413.52 before, 1,578.68 after",
    ):
        assert part in text, part
    assert rows["calls"][1][:6] == ["MC7", "IM1", "changed", "1,000,000.00", "1,200,000.00", "+200,000.00"]
    assert html.index("Who pays, by agreement") < html.index("Calls that differ")
    owners = {row[1]: row[4] for row in rows["costs"][1:] if row[0] == "owner"}
    # 326.09 - 271.74 is the credit desk's; the rest is the rates desk's
    assert owners == {"credit": "+54.35", "rates": "+110.81"}
    figures = data_of(html)["figures"]
    assert set(figures) == {"pays-agreement", "pays-owner"}, "one agreement a counterparty: the picture stands once"
    assert figures["pays-owner"]["data"][0]["x"] == ["rates", "credit", "together"]


def test_every_line_that_differs_is_in_the_table_that_filters(grown: Comparison) -> None:
    data = data_of(comparison_html(grown))
    heads = [head for head, _ in data["columns"]]
    at = [heads.index(head) for head in ("difference", "call", "asset", "quantity before")]
    found = {tuple(line[i] for i in at) for line in data["lines"]}
    assert found == {(x.difference, x.call_id, x.asset_id, x.quantity.before) for x in grown.lines}
    assert heads[data["total"]] == "cost by"
    assert sum(line[data["total"]] for line in data["lines"]) == pytest.approx(grown.cost.by, abs=0.05)


def test_a_call_short_after_is_marked_with_its_reason() -> None:
    book = read_book(EXAMPLES / "what-if")
    words = read_words(["call:MC7.amount=+10000000", "remove:facility=REPO"], "more than there is")
    (found,) = compared(book, [words])
    html = comparison_html(found)
    (call,) = [one for one in found.calls if one.call_id == "MC7"]
    assert f'<td class="number short">{call.shortfall.after:,.2f}</td>' in html and call.reason
    assert Tables(html).rows["calls"][1][-1] == call.reason
    assert "short after" in Page(html).text
    assert html.index("Calls that differ") < html.index("Who pays, by agreement"), "what is short comes first"


def test_no_name_is_markup_and_nothing_is_loaded(grown: Comparison) -> None:
    evil = '</script><img src=x onerror=alert(1)><b>&"'
    calls = tuple(replace(one, call_id=evil, reason=evil) for one in grown.calls)
    costs = tuple(replace(one, name=evil) for one in grown.costs)
    lines = tuple(replace(one, call_id=evil, asset_id=evil) for one in grown.lines)
    changed = replace(grown, name=evil, changes=(evil,), calls=calls, costs=costs, lines=lines)
    html = comparison_html(changed)
    page = Page(html)
    assert "img" not in page.tags and page.loads == [] and page.tags.count("script") == 3
    assert page.text.count(evil) >= 5 and "<img" not in json.dumps(data_of(html)["figures"])


def test_nothing_that_differs_is_a_page_too(grown: Comparison) -> None:
    (found,) = compared(grown.before.book, [read_words(["call:MC7.amount=+0"], "the same")])
    html = comparison_html(found)
    assert data_of(html)["figures"] == {} and "Every line is as before." in Page(html).text


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_each_folder_holds_its_report_and_a_workbook_if_asked(grown: Comparison, tmp_path: Path) -> None:
    written = write_comparisons([grown, replace(grown, name="again")], tmp_path / "out", workbook=True)
    there = files(tmp_path / "out")
    assert {p.relative_to(tmp_path / "out").as_posix() for p in written} == set(there)
    for folder in ("the-call-grows", "again"):
        assert {f"{folder}/{name}" for name in ("report.html", "workbook.xlsx", "lines.csv")} <= set(there)
    assert set(json.loads(there["comparison.json"])["files"]) == set(there)
    assert files(tmp_path).keys() == {f"out/{name}" for name in there}, "nothing is left beside it"
    write_comparisons([grown, replace(grown, name="again")], tmp_path / "twice", workbook=True)
    assert files(tmp_path / "twice") == there, "to the byte"


def test_force_takes_earlier_reports_away_and_keeps_what_a_person_laid_there(grown: Comparison, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_comparisons([grown], out, workbook=True)
    (out / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        write_comparisons([grown], out)
    write_comparisons([replace(grown, name="other")], out, force=True)
    assert {p.name for p in out.iterdir()} == {"before", "other", "note.txt", "comparison.json"}
    assert "other/workbook.xlsx" not in files(out)


def test_a_report_that_cannot_be_written_leaves_the_earlier_folder(
    grown: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_comparisons([grown], out)
    before = files(tmp_path)

    def full(_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "comparison_html", full)
    with pytest.raises(OSError, match="No space left"):
        write_comparisons([grown], out, force=True)
    with pytest.raises(OSError, match="No space left"):
        write_comparisons([grown], tmp_path / "new" / "deep")
    assert files(tmp_path) == before and {p.name for p in tmp_path.iterdir()} == {"out"}


def test_rows_that_are_only_worth_something_else_are_counted(grown: Comparison) -> None:
    book = grown.before.book
    (found,) = compared(book, [read_words(["holding:H1.cost_bps=+1"], "dearer")])
    counts = pd.Series([line.difference for line in found.lines]).value_counts()
    assert counts.get("repriced", 0) >= 1
    assert f"{counts['repriced']} repriced" in Page(comparison_html(found)).text
