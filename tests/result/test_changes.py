"""Instructions of the day against a new allocation, each case by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.io.read import read_book
from collateral_opt.result.changes import COLUMNS, changes

EXAMPLE = Path(__file__).parents[2] / "examples" / "in-flight"
NAMES = ("call_id", "holding_id", "facility_id", "asset_id", "quantity")
Line = tuple[str | None, str | None, str | None, str, float]


def book(*sent: tuple[str, str, float, str]) -> Book:
    """The example's book with these instructions: call, holding, quantity, state."""
    made = read_book(EXAMPLE)
    names = ("call_id", "holding_id", "quantity", "state")
    return made.replace(instructions=pd.DataFrame(list(sent), columns=list(names)))


def allocation(*lines: Line) -> pd.DataFrame:
    frame = pd.DataFrame(list(lines), columns=list(NAMES)).astype({name: object for name in NAMES[:4]})
    return frame.assign(quantity=frame["quantity"].astype(float), action="deliver")


def listed(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    assert list(frame.columns) == list(COLUMNS)
    assert [str(frame[name].dtype) for name in ("sent", "now", "state")] == ["float64", "float64", "object"]
    columns = [frame[name].tolist() for name in ("call_id", "holding_id", "asset_id", "state", "sent", "now", "change")]
    return [tuple(None if cell != cell else cell for cell in line) for line in zip(*columns, strict=True)]


def test_the_example_says_what_its_readme_says() -> None:
    now = allocation(
        ("MC2", "H-CORP", None, "CORP", 211_000),
        ("MC1", "H-GOV", None, "GOV", 600_000),
        ("MC1", "H-CASH", None, "USD", 412_000),
    )
    assert listed(changes(read_book(EXAMPLE), now)) == [
        ("MC1", "H-CASH", "USD", None, None, 412_000, "new"),
        ("MC1", "H-CORP", "CORP", "rejected", 434_000, 0, "replaced"),
        ("MC1", "H-GOV", "GOV", "settled", 600_000, 600_000, "left alone"),
        ("MC2", "H-CORP", "CORP", "failed", 211_000, 211_000, "offered again"),
    ]


@pytest.mark.parametrize(
    ("sent", "now", "expected"),
    [
        ([(1000.0, "instructed")], 1000, ["left alone"]),
        ([(1000.0, "instructed")], 2000, ["more"]),
        ([(0.1, "instructed"), (0.2, "instructed")], 0.3, ["left alone"]),  # 0.1 + 0.2 are more than 0.3 as floats
        ([(1000.0, "failed")], 1000, ["offered again"]),
        ([(1000.0, "failed")], 0, ["replaced"]),
        ([(1000.0, "rejected")], 0, ["replaced"]),
        ([(1000.0, "disputed")], 0, ["replaced"]),
        ([(1000.0, "failed"), (500.0, "settled")], 500, ["left alone", "replaced"]),
        ([(1000.0, "failed"), (500.0, "settled")], 1500, ["more", "offered again"]),
        ([(1000.0, "settled"), (500.0, "instructed"), (5.0, "rejected")], 1500,
         ["left alone", "left alone", "replaced"]),
    ],
)  # fmt: skip
def test_each_state_of_a_pair_has_its_change(sent: list[tuple[float, str]], now: float, expected: list[str]) -> None:
    made = book(*(("MC1", "H-CASH", quantity, state) for quantity, state in sent))
    lines = [("MC1", "H-CASH", None, "USD", now)] if now else []
    frame = changes(made, allocation(*lines))
    assert frame["change"].tolist() == expected
    assert frame["now"].tolist() == [now] * len(expected)


def test_what_has_no_call_is_no_line_of_a_call() -> None:
    now = allocation((None, "H-GOV", None, "GOV", 5000), (None, None, None, "GOV", 7000))
    assert listed(changes(book(), now)) == []


def test_proceeds_are_named_by_their_facility() -> None:
    facility = pd.DataFrame({"facility_id": ["LINE"], "kind": ["credit_line"], "gives": ["USD"], "capacity": [9000.0]})
    sent = pd.DataFrame({"call_id": ["MC1"], "facility_id": ["LINE"], "quantity": [4000.0], "state": ["settled"]})
    made = read_book(EXAMPLE).replace(facilities=facility, instructions=sent)
    frame = changes(made, allocation(("MC1", None, "LINE", "USD", 9000)))
    (line,) = frame.to_dict("records")
    assert (line["holding_id"], line["facility_id"], line["asset_id"]) == (None, "LINE", "USD")
    assert (line["sent"], line["now"], line["change"]) == (4000, 9000, "more")


def test_names_may_be_empty_as_a_file_leaves_them() -> None:
    frame = allocation(("MC1", "H-GOV", None, "GOV", 600_000)).assign(facility_id=np.nan)
    assert changes(book(("MC1", "H-GOV", 600_000.0, "settled")), frame)["change"].tolist() == ["left alone"]


def test_an_allocation_that_takes_back_what_was_sent_is_refused() -> None:
    with pytest.raises(ValueError, match=r"600000.0 of H-GOV was sent to MC1, 599000.0 is there now"):
        changes(book(("MC1", "H-GOV", 600_000.0, "settled")), allocation(("MC1", "H-GOV", None, "GOV", 599_000)))
