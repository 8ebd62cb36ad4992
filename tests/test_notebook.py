"""The notebook runs from top to bottom and comes to the figures that its text works out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = json.loads((Path(__file__).parents[1] / "examples" / "from-dataframes.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
PROSE = "".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown")


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that its cells leave behind, run in order in a folder of their own."""
    names: dict[str, Any] = {"__name__": "__main__", "folder": tmp_path_factory.mktemp("notebook")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(names["folder"])
        for cell in CODE:
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    return names


def test_it_has_ten_cells_of_code_and_keeps_no_output() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len(CODE) == 10
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_the_cheapest_cover_is_the_one_worked_out_by_hand(after: dict[str, Any]) -> None:
    lines = dict(after["result"].allocation[["holding_id", "quantity"]].itertuples(index=False, name=None))
    assert lines == {"H-ACME29": 450_000 / 0.9, "H-T30": 450_000 / 0.96}
    assert after["result"].total_cost == pytest.approx(500_000 * 8e-4 + 468_750 * 12e-4, abs=0.005)
    assert "**962.50**" in PROSE and not after["book"].findings


def test_the_limit_costs_what_is_worked_out_by_hand(after: dict[str, Any]) -> None:
    (term,) = after["told"].relaxations
    assert (term.kind, term.name) == ("limit", "one issuer")
    assert term.saves_per_day == pytest.approx((962.5 - 1_000_000 * 8e-4) / 360, rel=1e-6)
    (full,) = after["told"].full_limits
    assert full.price.more_bps == pytest.approx(12 / 0.96 - 8 / 0.9)
    assert "162.50 less, 0.45 a day" in PROSE


def test_the_what_if_costs_what_is_worked_out_by_hand(after: dict[str, Any]) -> None:
    comparison = after["comparison"]
    assert comparison.cost.after == pytest.approx(600_000 * 8e-4 + 562_500 * 12e-4, abs=0.005)
    assert comparison.cost.by == pytest.approx(192.5, abs=0.005)
    owners = {one.name: one.cost.by for one in comparison.costs if one.by == "owner"}
    assert owners == pytest.approx({"credit": 80.0, "rates": 112.5}, abs=0.005)
    assert "**1,155.00**" in PROSE and "192.50 more" in PROSE


def test_the_reports_and_workbooks_are_there(after: dict[str, Any]) -> None:
    shown = [path.as_posix() for path in after["written"] if path.suffix in (".html", ".xlsx")]
    assert sorted(shown) == [
        "out/notebook/today/report.html", "out/notebook/today/workbook.xlsx",
        "out/notebook/what-if/the-call-grows/report.html", "out/notebook/what-if/the-call-grows/workbook.xlsx",
    ]  # fmt: skip
    assert all((after["folder"] / path).is_file() for path in shown)
