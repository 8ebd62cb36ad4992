"""The report: one file without a network, safe whatever its text, the same bytes for the same result."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pandas as pd
import pytest

from collateral_opt.io.report import asset_class, report_html
from collateral_opt.result.result import Result
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
    assert (package / "io" / "templates" / "report.html").is_file()
    assert len([f for f in (package / "desk_schedules").iterdir() if f.name.endswith(".yaml")]) == 7
    assert (package / "py.typed").is_file() and (files("eligibility_rules") / "py.typed").is_file()
