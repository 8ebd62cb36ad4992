"""The report: one file without a network, safe whatever its text, the same bytes for the same result."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collateral_opt import optimise
from collateral_opt.explain import Explanation
from collateral_opt.io.read import read_book
from collateral_opt.io.report import asset_class, report_html
from collateral_opt.io.report_tables import cost_of_proceeds
from collateral_opt.result.result import COLUMNS, Result
from tests.io.results import NASTY, made_result


class Page(HTMLParser):
    """Collects tags, attributes that load something, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [(k, v) for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


class Tables(HTMLParser):
    """The tables of the page by their id: the texts of their rows, and the classes of their bodies."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: dict[str, list[list[str]]] = {}
        self.bodies: dict[str, list[str]] = {}
        self.table, self.is_cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "table":
            self.table = (values.get("id") or "").removeprefix("table-")
            self.rows[self.table], self.bodies[self.table] = [], []
        elif tag == "tbody":
            self.bodies[self.table].append(values.get("class") or "")
        elif tag == "tr":
            self.rows[self.table].append([])
        elif tag in ("td", "th"):
            self.rows[self.table][-1].append("")
        self.is_cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self.is_cell = False

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.rows[self.table][-1][-1] += data


def frame(table: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    """Rows under the columns of a table, figures as floats where a column has nothing else."""
    cells = zip(*rows, strict=True)
    return pd.DataFrame({
        column: pd.Series(values, dtype=float if all(isinstance(v, float) for v in values) else object)
        for column, values in zip(COLUMNS[table], cells, strict=True)
    })  # fmt: skip


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="page">(.*?)</script>', html, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = Page(report_html(made_result()))
    assert page.loads == [] and "link" not in page.tags and "iframe" not in page.tags


def test_text_from_the_book_is_never_markup() -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    result = made_result(len(NASTY))
    allocation = result.allocation.assign(agreement_id=evil, holding_id=evil)
    calls = result.calls.assign(call_id=[evil, "C2"], reason=[None, evil])
    limits = result.limits.assign(limit=evil, group=evil)
    html = report_html(made_result(len(NASTY), allocation=allocation, calls=calls, limits=limits))
    page = Page(html)
    assert "img" not in page.tags and page.tags.count("script") == 3
    assert data_of(html)["lines"][0][1] == evil
    figures = json.dumps(data_of(html)["figures"])
    assert "<img" not in figures and "&lt;img" in figures


def test_headline_and_short_calls_stand_on_the_page() -> None:
    text = Page(report_html(made_result())).text
    for part in ("short", "1.25 USD", "20.0000 %", "1 of 2", "2.50 USD", "nothing <b>left</b>"):
        assert part in text, part


def told(result: Result, **records: Any) -> Explanation:
    """An explanation of the whole with these records."""
    head = {"asked": "the whole", "base_currency": "USD", "status": result.status, "total_cost": 1.25}
    return Explanation.model_validate({**head, "is_whole": True, **records})


def shortfall(*remedies: tuple[str, float | None, list[dict[str, Any]]], is_lots: bool = False) -> dict[str, Any]:
    """Of call C2 of the made result, which lacks 2.50."""
    keys = ("kind", "amount", "needed")
    records = [dict(zip(keys, remedy, strict=True)) for remedy in remedies]
    return {
        "kind": "call", "name": "C2", "required": 10.0, "missing": 2.5, "is_lots": is_lots, "remedies": records,
    }  # fmt: skip


def test_every_shortfall_stands_on_the_page_with_its_reason() -> None:
    agreements = frame("agreements", ("A2", 40.0, 10.0, 10.0, 0.0, 0.0, 30.0, 0.0, NAN))
    reserves = frame("reserves", ("LCR", 100.0, 100.0, 0.0, 1.0), ("NIGHT", 50.0, 20.0, 30.0, NAN))
    html = report_html(made_result(agreements=agreements, reserves=reserves))
    assert Tables(html).rows["short"] == [
        ["what", "name", "required", "missing", "why"],
        ["call", "C2", "10.00", "2.50", "nothing <b>left</b>"],
        ["agreement", "A2", "40.00", "30.00", ""],
        ["reserve", "NIGHT", "50.00", "30.00", ""],
    ]


def test_an_explained_shortfall_has_a_row_for_each_change_that_alone_would_cover_it() -> None:
    result = made_result()
    part = {"what": "B1 (H1)", "amount": 3.0, "why": "rule 'x' <refuses>"}
    short = shortfall(
        ("eligibility", 3.0, [part]), ("supply", None, []), ("limits", 2.5, []), ("together", 2.0, [part])
    )
    rows = Tables(report_html(result, told(result, shortfalls=[short]))).rows["short"]
    assert rows[0][5:] == ["to cover it", "amount", "of that"]
    assert rows[1][:2] == ["call", "C2"]
    assert rows[1][5:] == ["take what is refused", "3.00", "B1 (H1) 3.00 (rule 'x' <refuses>)"]
    assert rows[2:] == [["raise caps", "2.50", ""]]


@pytest.mark.parametrize(
    ("short", "said"),
    [
        (shortfall(("supply", None, []), ("together", 4.0, [])), ["all of this together", "4.00", ""]),
        (shortfall(("supply", None, []), ("together", None, [])), ["no change that is known here", "", ""]),
        (shortfall(("supply", 1.0, []), is_lots=True), ["nothing: only whole lots do not fit", "", ""]),
    ],
)
def test_where_no_change_alone_would_do_the_page_says_what_would(short: dict[str, Any], said: list[str]) -> None:
    result = made_result()
    assert Tables(report_html(result, told(result, shortfalls=[short]))).rows["short"][1][5:] == said


def test_the_limits_that_bind_are_those_full_and_those_with_a_price() -> None:
    limits = frame(
        "limits",
        ("A1", "half", "", 5.0, 10.0, 0.0),
        ("A1", "full", "", 10.0, 10.0, 0.0),
        ("A1", "priced", "g", 9.0, 10.0, 2.5),
        ("A1", "empty", "", 0.0, 0.0, 0.0),
    )
    result = made_result(limits=limits)
    assert Tables(report_html(result)).rows["binding"] == [
        ["agreement", "limit", "group", "used", "cap", "one more saves, bp"],
        ["A1", "priced", "g", "9.00", "10.00", "2.50"],
        ["A1", "full", "", "10.00", "10.00", "0.00"],
    ]
    price = {"kind": "limit", "name": "A1 full", "more_bps": 1.0, "less_bps": 4.0}
    full = {"agreement_id": "A1", "limit": "full", "group": "", "used": 10.0, "cap": 10.0, "price": price}
    rows = Tables(report_html(result, told(result, full_limits=[full]))).rows["binding"]
    assert [row[1:2] + row[5:] for row in rows[1:]] == [["priced", "2.50", "-"], ["full", "1.00", "4.00"]]


def test_the_terms_worth_letting_go_stand_in_their_order() -> None:
    result = made_result()
    terms = [
        {"kind": "limit", "place": "A1", "name": "one issuer", "saves_per_day": 310.0, "covers": 0.0},
        {"kind": "reserve", "place": "LCR", "name": "LCR", "saves_per_day": 12.345, "covers": 2.5},
    ]
    assert Tables(report_html(result, told(result, relaxations=terms))).rows["relaxations"][1:] == [
        ["limit", "one issuer", "A1", "310.00", "0.00"],
        ["reserve", "LCR", "", "12.35", "2.50"],
    ]
    none = report_html(result, told(result))
    assert "relaxations" not in Tables(none).rows and "nothing is saved and nothing covered" in Page(none).text
    assert "Worth letting go" not in Page(report_html(result)).text


def test_a_quantity_has_all_its_decimals_and_no_more() -> None:
    steps = frame("steps", (1.0, "deliver", "C1", "A1", None, "H1", "USD", 50437039.32, None, None, None, None))
    assert Tables(report_html(made_result(steps=steps))).rows["steps"][1][-1] == "50,437,039.32"


def test_the_cover_of_a_call_adds_up_by_class() -> None:
    data = data_of(report_html(made_result(3)))
    bars = [trace for trace in data["figures"]["cover"]["data"] if trace["type"] == "bar"]
    # 900.45 x (1 + 2 + 3)
    assert [(b["name"], b["x"], b["y"]) for b in bars] == [("sovereign debt", ["C1", "C2"], [5402.70, 0.0])]
    (required,) = [trace for trace in data["figures"]["cover"]["data"] if trace["name"] == "required"]
    assert required["y"] == [5402.70, 10.0]


def test_identifiers_stay_on_category_axes() -> None:
    figures = data_of(report_html(made_result()))["figures"]
    assert figures["cover"]["layout"]["xaxis"]["type"] == "category"
    assert figures["heat"]["layout"]["xaxis"]["type"] == "category"
    assert figures["cost"]["layout"]["yaxis"]["type"] == figures["limits"]["layout"]["yaxis"]["type"] == "category"


def test_a_full_limit_and_one_without_room_stand_on_top() -> None:
    limits = data_of(report_html(made_result()))["figures"]["limits"]["data"][0]
    assert limits["y"] == ["A1: one issuer · Alpha", "A1: one issuer · &lt;i&gt;Beta"]
    assert limits["x"] == [999.0, 100.0]


def test_the_same_result_gives_the_same_page_whatever_the_run_took() -> None:
    result = made_result()
    other = made_result(summary={**result.summary, "seconds": {"solving": 99.0}})
    assert report_html(result) == report_html(other)


def test_nothing_delivered_and_nothing_called_is_a_page_too() -> None:
    empty = made_result(0)
    html = report_html(made_result(0, calls=empty.calls.iloc[:0], limits=empty.limits.iloc[:0]))
    assert "Nothing is delivered." in html and data_of(html)["figures"] == {}


def test_thousands_of_lines_and_calls_stay_readable_and_quick() -> None:
    result = many(5_000, 500)
    report_html(result)
    start = time.perf_counter()
    html = report_html(result)
    # measured 0.1 s; the bound allows for a busy machine
    assert time.perf_counter() - start < 2.0
    data = data_of(html)
    assert len(data["lines"]) == 5_000
    assert len(data["figures"]["cover"]["data"][-1]["x"]) == 60 and "The 60 largest of 500 calls" in html


NAN = float("nan")


def financed() -> Result:
    """F1 turns bonds into 100, of which 60 go to C1 and 40 into F2; F2 takes 60 of cash too and serves C2 with 100."""
    allocation = frame(
        "allocation",
        ("C1", "A1", "H0", None, "0123", "deliver", 10.0, 10.0, 0.0, 10.0, 0.1),
        ("C1", "A1", None, "F1", "0123", "deliver", 60.0, 60.0, 0.0, 60.0, 0.0),
        ("C2", "A1", None, "F2", "0123", "deliver", 100.0, 100.0, 0.0, 100.0, 0.0),
    )
    financing = frame(
        "financing",
        ("F1", "H1", None, "0123", 125.0, 125.0, 0.2, 100.0, 4.0),
        ("F2", "H2", None, "0123", 60.0, 60.0, 0.0, 60.0, 1.0),
        ("F2", None, "F1", "0123", 40.0, 40.0, 0.0, 40.0, 2.0),
    )
    return made_result(allocation=allocation, financing=financing)


def moved() -> Result:
    """At A1 cash makes room for a bond, while 300 of another bond stay; H2 has no part in it."""
    allocation = frame(
        "allocation",
        ("C1", "A2", "H1", None, "0123", "deliver", 200.0, 200.0, 0.0, 200.0, 7.0),
        (None, "A1", None, None, "12345E10", "keep", 300.0, 300.0, 0.0, 300.0, 3.0),
        (None, "A1", "H1", None, "0123", "recall", 200.0, 200.0, 0.0, 200.0, 5.0),
        (None, "A1", "H3", None, "=1+1", "deliver", 250.0, 250.0, 0.2, 200.0, 2.5),
    )
    agreements = frame(
        "agreements",
        ("A1", 500.0, 500.0, 300.0, 200.0, 200.0, 0.0, 0.0, 12.0),
        ("A2", 40.0, 10.0, 10.0, 0.0, 0.0, 30.0, 0.0, NAN),
    )
    return made_result(allocation=allocation, agreements=agreements)


def test_a_run_without_them_has_no_table_of_them() -> None:
    html = report_html(made_result())
    assert {"financing", "reserves", "agreements", "moves", "steps", "changes"}.isdisjoint(Tables(html).rows)
    sound = made_result(calls=made_result().calls.iloc[:1], limits=made_result().limits.iloc[2:])
    assert {"short", "binding", "relaxations"}.isdisjoint(Tables(report_html(sound)).rows)
    assert {"sources", "agreements"}.isdisjoint(data_of(html)["figures"])
    assert "Financing" not in Page(html).text and "Reserves that hold" not in Page(html).text


def test_each_facility_says_what_it_was_given_raised_and_spent() -> None:
    html = report_html(financed())
    assert Tables(html).rows["financing"][1:] == [
        ["F1", "H1", "0123", "125", "125.00", "20 %", "100.00", "4.00", "C1 60.00; facility F2 40.00"],
        ["F2", "all 2", "", "", "100.00", "", "100.00", "3.00", "C2 100.00"],
        ["H2", "0123", "60", "60.00", "0 %", "60.00", "1.00"],
        ["proceeds of F1", "0123", "40", "40.00", "0 %", "40.00", "2.00"],
    ]
    assert 'rowspan="3">F2</td>' in html and "raised for 7.00 USD" in Page(html).text


def test_sources_stand_on_each_other_the_cheapest_first_with_all_they_cost() -> None:
    """A unit of F1 costs 4 / 100; one of F2 costs (1 + 2 + 40 x 0.04) / 100, so the dearest comes last."""
    result = financed()
    assert cost_of_proceeds(result) == pytest.approx({"F1": 0.04, "F2": 0.046})
    (bars,) = data_of(report_html(result))["figures"]["sources"]["data"]
    # C2 of the made result is short by 2.50
    assert bars["x"] == ["sovereign debt", "via F1", "via F2", "delivered", "missing"]
    assert bars["y"] == [10.0, 60.0, 100.0, 170.0, 2.5] and bars["base"] == [0.0, 10.0, 70.0, 0.0, 170.0]
    assert bars["text"] == ["100.00 bp", "400.00 bp", "460.00 bp", "", ""]


def test_the_sources_of_a_run_bear_all_it_costs() -> None:
    result = optimise(read_book(Path(__file__).parents[2] / "examples" / "liquidity-waterfall"))
    rates = cost_of_proceeds(result)
    lines = result.allocation
    borne = lines["cost"].sum() + (lines["facility_id"].map(rates).fillna(0.0) * lines["market_value"]).sum()
    assert len(rates) == 3 and borne == pytest.approx(result.total_cost, abs=0.02)


def test_many_facilities_are_few_bars_that_add_up() -> None:
    lines = [("C1", "A1", None, f"F{i:02}", "0123", "deliver", 1.0, 1.0, 0.0, 1.0 + i, 0.0) for i in range(30)]
    given = [(f"F{i:02}", None, None, "0123", 1.0, 1.0, 0.0, 1.0, 0.5) for i in range(30)]
    result = made_result(allocation=frame("allocation", *lines), financing=frame("financing", *given))
    html = report_html(result)
    (bars,) = data_of(html)["figures"]["sources"]["data"]
    sizes = dict(zip(bars["x"], bars["y"], strict=True))
    # the ten smallest are 1 + 2 + ... + 10
    assert len(sizes) == 23 and sizes["via other facilities"] == 55.0 and sizes["delivered"] == 465.0
    assert Tables(html).rows["financing"][1][:2] == ["F00", "(drawn)"]


def test_reserves_tell_what_counts_and_the_short_one_comes_first() -> None:
    reserves = frame("reserves", ("LCR", 100.0, 100.0, 0.0, 13.256), ("NIGHT", 50.0, 20.0, 30.0, NAN))
    html = report_html(made_result(reserves=reserves))
    assert Tables(html).rows["reserves"][1:] == [
        ["NIGHT", "50.00", "20.00", "30.00", "-"],
        ["LCR", "100.00", "100.00", "0.00", "13.26"],
    ]
    assert '<td class="number short">30.00</td>' in html and "1 of 2 reserves hold." in Page(html).text


def test_what_stays_and_what_is_recalled_is_no_line_to_deliver() -> None:
    html = report_html(moved())
    data, rows = data_of(html), Tables(html).rows
    assert [line[:4] for line in data["lines"]] == [["C1", "A2", "H1", "0123"], ["", "A1", "H3", "=1+1"]]
    assert [row[:4] for row in rows["moves"][1:]] == [["A1", "recall", "H1", "0123"], ["A1", "deliver", "H3", "=1+1"]]
    assert rows["moves"][2][4:] == ["250", "250.00", "20 %", "200.00", "2.50"]
    assert "1 recall and 1 delivery for no call" in Page(html).text and "(1 row)" in Page(html).text


def test_agreements_show_what_lies_there_before_and_after() -> None:
    html = report_html(moved())
    assert Tables(html).rows["agreements"][1:] == [
        ["A2", "40.00", "10.00", "10.00", "0.00", "0.00", "30.00", "0.00", "-"],
        ["A1", "500.00", "500.00", "300.00", "200.00", "200.00", "0.00", "0.00", "12.00"],
    ]
    figures = data_of(html)["figures"]
    traces = {trace["name"]: trace["y"] for trace in figures["agreements"]["data"]}
    assert traces == {"kept": [300.0, 10.0], "delivered": [200.0, 0.0], "recalled": [-200.0, 0.0],
                      "required": [500.0, 40.0]}  # fmt: skip
    # what lies there after the run: 300 and 200 at A1, 200 at A2
    assert figures["heat"]["data"][0]["x"] == ["A1", "A2"] and figures["heat"]["data"][0]["z"] == [[500.0, 200.0]]
    # keeping and recalling are no deliveries
    assert figures["cost"]["data"][0]["x"] == [2.5, 7.0]


def test_steps_stand_in_order_and_those_at_once_in_one_group() -> None:
    steps = frame(
        "steps",
        (1.0, "credit_line", None, None, "F1", None, "0123", 0.1, "2026-03-24T12:00-04:00", None, None, None),
        (2.0, "deliver", None, "A1", None, "H1", "0123", 5e5, None, None, "yes", "5 units of <H1>"),
        (2.0, "recall", None, "A1", None, "H2", "@x", 5e5, None, None, "yes", "5 units of <H1>"),
        (
            3.0,
            "recall",
            None,
            "A1",
            None,
            "H3",
            "@x",
            1.0,
            None,
            "2026-03-24T13:00-04:00",
            None,
            "7.00 of collateral at A1",
        ),
    )
    tables = Tables(report_html(made_result(steps=steps)))
    assert tables.rows["steps"] == [
        ["step", "action", "agreement", "facility", "holding", "asset", "settles", "start by", "quantity", "how"],
        ["1", "credit line", "", "F1", "", "0123", "2026-03-24T12:00-04:00", "", "0.1", ""],
        [
            "2",
            "deliver",
            "A1",
            "",
            "H1",
            "0123",
            "",
            "",
            "500,000",
            "at once, or one by one with a bridge of 5 units of <H1>",
        ],
        ["recall", "A1", "", "H2", "@x", "", "", "500,000"],
        [
            "3",
            "recall",
            "A1",
            "",
            "H3",
            "@x",
            "",
            "2026-03-24T13:00-04:00",
            "1",
            "with a bridge of 7.00 of collateral at A1",
        ],
    ]
    assert tables.bodies["steps"] == ["", "joint", "bridged"]


def test_changes_tell_what_becomes_of_what_was_sent() -> None:
    changes = frame(
        "changes",
        ("C1", "H1", None, "0123", "settled", 6.5, 6.5, "left alone"),
        ("C1", None, "F1", "0123", None, NAN, 4.0, "new"),
        ("C2", "H1", None, "0123", "rejected", 3.0, 0.0, "replaced"),
    )
    html = report_html(made_result(changes=changes))
    assert Tables(html).rows["changes"][1:] == [
        ["C1", "H1", "0123", "settled", "6.5", "6.5", "left alone"],
        ["C1", "F1", "0123", "", "", "4", "new"],
        ["C2", "H1", "0123", "rejected", "3", "0", "replaced"],
    ]
    assert "1 left alone, 1 new, 1 replaced. Quantities." in Page(html).text


@pytest.mark.parametrize("made", [financed, moved])
def test_names_in_no_table_are_markup(made: Any) -> None:
    evil = '"><img src=x onerror=alert(1)><b>&'
    result = made()
    changed = {
        name: table.assign(**{c: evil for c in table if c.endswith("_id")})
        for name in ("allocation", "financing", "agreements")
        if len(table := result.table(name))
    }
    more = {
        "reserves": frame("reserves", (evil, 1.0, 0.0, 1.0, NAN)),
        "steps": frame("steps", (1.0, evil, evil, evil, evil, evil, evil, 1.0, evil, evil, "yes", evil)),
        "changes": frame("changes", (evil, evil, evil, evil, evil, 1.0, 1.0, evil)),
    }
    if "financing" in changed:
        changed["financing"] = changed["financing"].assign(from_facility_id=None)
    html = report_html(made_result(**changed, **more))
    page = Page(html)
    assert "img" not in page.tags and page.loads == []
    assert page.text.count(evil) >= 10 and "<img" not in json.dumps(data_of(html)["figures"])


def test_a_long_table_shows_its_beginning_and_says_so() -> None:
    steps = [
        (float(i), "deliver", "C1", "A1", None, f"H{i}", "0123", 1.0, None, None, None, None) for i in range(1, 3001)
    ]
    result = made_result(steps=frame("steps", *steps))
    html = report_html(result)
    assert len(Tables(html).rows["steps"]) == 501
    assert "The first 500 of 3,000; steps.csv has them all." in Page(html).text


def many(lines: int, calls: int) -> Result:
    result = made_result(lines)
    call_ids = [f"C{i}" for i in range(calls)]
    allocation = result.allocation.assign(call_id=[call_ids[i % calls] for i in range(lines)])
    frame = pd.DataFrame({
        "call_id": call_ids, "required": 100.0, "covered": 100.0, "shortfall": 0.0, "excess": 0.0,
        "marginal_cost_bps": 1.0, "reason": None,
    })  # fmt: skip
    return made_result(lines, allocation=allocation, calls=frame)


@pytest.mark.parametrize(
    ("asset_type", "issuer_type", "security_type", "expected"),
    [
        ("cash", None, None, "cash"),
        ("debt", "sovereign", "bill", "sovereign debt"),
        ("debt", "public_body", None, "public body debt"),
        ("debt", None, None, "other debt"),
        ("debt", "bank", "covered_bond", "covered bonds"),
        ("equity", "bank", "share", "equity"),
    ],
)
def test_asset_classes_are_named_as_a_desk_would(
    asset_type: str, issuer_type: str | None, security_type: str | None, expected: str
) -> None:
    row = {"asset_type": [asset_type], "issuer_type": [issuer_type], "security_type": [security_type]}
    assert asset_class(pd.DataFrame(row, dtype=object)).tolist() == [expected]


def test_the_template_and_the_generated_desk_s_schedules_are_package_data() -> None:
    package = files("collateral_opt")
    templates = {f.name for f in (package / "io" / "templates").iterdir()}
    pages = {"page", "macros", "report", "what_if", "stress", "sweep", "buffer", "liquidation", "reverse"}
    assert templates == {*(f"{page}.html" for page in pages), "playbook.md.j2", "notice.md.j2"}
    assert len([f for f in (package / "desk_schedules").iterdir() if f.name.endswith(".yaml")]) == 7
    assert (package / "py.typed").is_file() and (files("eligibility_rules") / "py.typed").is_file()
