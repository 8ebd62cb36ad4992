"""A hand-made answer in scope `reoptimise`, with the book it answers, for the tests of the independent checker.

The answer, by hand (in EUR; over 36 of 360 days a basis point costs 1/10^5 of market value; f = 0.9 for bonds):

    G1 holds   100,000 BUND of H-BUND:          v = 90,000
                20,000 OAT  of H-OAT, locked:   v = 18,000, 4 bp of its own
                   500 JUNK, not taken any more: counts zero          so that 108,000 is posted and required
    C1 at G2 asks 45,000 at 16:00, it is 08:00

    C1  gets 50,000 BUND of H-BUND: m = 50,000, v = 45,000, 10 bp                                            5.00
    G1  keeps 50,000 BUND (v = 45,000, 10 bp: 5.00) and 20,000 OAT (v = 18,000: 0.80)                         5.80
        recalls 50,000 BUND (v = 45,000) into H-BUND, and 500 JUNK
        gets 45,000 EUR instead, 30 bp less 10 bp returned                                                    9.00
                                                                                                      total  19.80
    H-BUND has 10,000 of its own, so that 40,000 of what C1 gets come back from G1. They must leave it by 10:00 (2 hours
    to come back, 4 to settle). The cash for them has settled at 09:00.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.result.checker import COLUMNS, check

Row = dict[str, Any]
Line = tuple[Any, ...]
BOND: Row = {"asset_type": "debt", "currency": "EUR", "price": 100, "price_factor": 0.01, "lot_size": 1000}
TABLES: dict[str, list[Row]] = {
    "assets": [
        {"asset_id": "EUR", "asset_type": "cash", "currency": "EUR"},
        {"asset_id": "BUND", **BOND, "issuer": "DE"},
        {"asset_id": "OAT", **BOND, "issuer": "FR"},
        {"asset_id": "JUNK", **BOND, "issuer": "JJ", "lot_size": 1},
    ],
    "holdings": [
        {"holding_id": "H-EUR", "asset_id": "EUR", "quantity": 60_000, "cost_bps": 30, "settle_hours": 1},
        {"holding_id": "H-BUND", "asset_id": "BUND", "quantity": 10_000, "cost_bps": 10, "settle_hours": 4},
        {"holding_id": "H-OAT", "asset_id": "OAT", "quantity": 0, "cost_bps": 7, "settle_hours": 0},
    ],
    "agreements": [
        {"agreement_id": "G1", "counterparty": "CPA", "schedule": "S", "cash_return_bps": 10},
        {"agreement_id": "G2", "counterparty": "CPB", "schedule": "S", "cash_return_bps": 10},
    ],
    "calls": [
        {"call_id": "C1", "agreement_id": "G2", "amount": 45_000, "currency": "EUR", "due": "2026-03-02T16:00:00+00:00"}
    ],
    "posted": [
        {"agreement_id": "G1", "asset_id": "BUND", "quantity": 100_000, "holding_id": "H-BUND", "recall_hours": 2},
        {"agreement_id": "G1", "asset_id": "OAT", "quantity": 20_000, "holding_id": "H-OAT", "locked": True,
         "cost_bps": 4},
        {"agreement_id": "G1", "asset_id": "JUNK", "quantity": 500},
    ],
}  # fmt: skip
CASH: Row = {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}
DEBT: Row = {"label": "debt", "when": {"issuer": ["DE", "FR"]}, "haircut": 0.1}
SCHEDULES: dict[str, Row] = {"S": {"rules": [CASH, DEBT]}}
C1_LINE = ("C1", "G2", "H-BUND", None, "BUND", "deliver", 50_000.0, 50_000.0, 0.1, 45_000.0, 5.0)
KEEP = (None, "G1", "H-BUND", None, "BUND", "keep", 50_000.0, 50_000.0, 0.1, 45_000.0, 5.0)
RECALL = (None, "G1", "H-BUND", None, "BUND", "recall", 50_000.0, 50_000.0, 0.1, 45_000.0, 0.0)
KEEP_OAT = (None, "G1", "H-OAT", None, "OAT", "keep", 20_000.0, 20_000.0, 0.1, 18_000.0, 0.8)
JUNK = (None, "G1", None, None, "JUNK", "recall", 500.0, 500.0, 1.0, 0.0, 0.0)
CASH_LINE = (None, "G1", "H-EUR", None, "EUR", "deliver", 45_000.0, 45_000.0, 0.0, 45_000.0, 9.0)
LINES = (C1_LINE, KEEP, RECALL, KEEP_OAT, JUNK, CASH_LINE)
AT_C1, AT_KEEP, AT_RECALL, AT_OAT, AT_JUNK, AT_CASH = range(6)
G1 = ("G1", 108_000.0, 108_000.0, 63_000.0, 45_000.0, 45_000.0, 0.0, 0.0)
HELD = {row["holding_id"]: row for row in TABLES["holdings"]}


@dataclass(frozen=True)
class Answer:
    """A result as the checker sees one."""

    allocation: pd.DataFrame
    financing: pd.DataFrame
    calls: pd.DataFrame
    agreements: pd.DataFrame
    inventory: pd.DataFrame
    reserves: pd.DataFrame
    limits: pd.DataFrame
    summary: Mapping[str, Any]

    def with_cell(self, table: str, row: int, column: str, value: Any) -> Answer:
        changed = getattr(self, table).astype(object)
        changed.loc[row, column] = value
        return replace(self, **{table: changed.infer_objects()})

    def with_summary(self, **values: Any) -> Answer:
        return replace(self, summary={**self.summary, **values})


def frame(table: str, rows: Sequence[Line]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS[table]))


def answer(
    lines: Sequence[Line] = LINES,
    agreements: Sequence[Line] = (G1,),
    calls: Sequence[Line] = (("C1", 45_000.0, 45_000.0, 0.0, 0.0),),
    limits: Sequence[Line] = (),
    financing: Sequence[Line] = (),
    reserves: Sequence[Line] = (),
    held: Mapping[str, Row] = HELD,
    cost: float | None = None,
    total_shortfall: float = 0.0,
) -> Answer:
    """A result of these rows; only sums are formed here."""
    inventory = []
    for name, row in held.items():
        out = sum(line[6] for line in lines if line[2] == name and line[5] == "deliver")
        out += sum(given[4] for given in financing if given[1] == name)
        back = sum(line[6] for line in lines if line[2] == name and line[5] == "recall")
        quantity = float(row["quantity"])
        inventory.append((name, row["asset_id"], quantity, back, out, round(quantity + back - out, 2)))
    spent = sum(line[10] for line in lines) + sum(given[8] for given in financing) if cost is None else cost
    return Answer(
        allocation=frame("allocation", lines),
        financing=frame("financing", financing),
        calls=frame("calls", calls),
        agreements=frame("agreements", agreements),
        inventory=frame("inventory", inventory),
        reserves=frame("reserves", reserves),
        limits=frame("limits", limits),
        summary={
            "status": "short" if total_shortfall else "optimal",
            "total_cost": spent,
            "lower_bound": spent,
            "gap": 0.0,
            "total_shortfall": total_shortfall,
            "counts": {"moves": sum(line[5] in ("deliver", "recall") for line in lines)},
        },
    )


def changed(rows: Sequence[Row], key: str, changes: Mapping[str, Row]) -> list[Row]:
    """Rows with cells changed by identifier; identifiers they do not have are new rows."""
    old = [{**row, **changes.get(row[key], {})} for row in rows]
    known = {row[key] for row in rows}
    return old + [{key: name, **row} for name, row in changes.items() if name not in known]


def book(
    agreements: Mapping[str, Row] | None = None,
    holdings: Mapping[str, Row] | None = None,
    calls: Mapping[str, Row] | None = None,
    assets: Mapping[str, Row] | None = None,
    posted: Mapping[int, Row] | Sequence[Row] = (),
    schedules: Mapping[str, Row] | None = None,
    settings: Row | None = None,
    **tables: list[Row],
) -> Book:
    """The hand-made book with single cells changed and tables added."""
    rows = {
        **TABLES,
        "agreements": changed(TABLES["agreements"], "agreement_id", agreements or {}),
        "holdings": changed(TABLES["holdings"], "holding_id", holdings or {}),
        "calls": changed(TABLES["calls"], "call_id", calls or {}),
        "assets": changed(TABLES["assets"], "asset_id", assets or {}),
        "posted": posted_rows(posted),
        **tables,
    }
    return Book.from_tables(
        {name: pd.DataFrame(some) for name, some in rows.items()},
        settings={
            "as_of": "2026-03-02T08:00:00+00:00", "base_currency": "EUR", "horizon_days": 36, "day_count": 360,
            "scope": "reoptimise", **(settings or {}),
        },
        schedules={name: {"name": name, **rules} for name, rules in {**SCHEDULES, **(schedules or {})}.items()},
    )  # fmt: skip


def posted_rows(posted: Mapping[int, Row] | Sequence[Row]) -> list[Row]:
    """The hand-made rows with cells changed by position, or other rows altogether."""
    if isinstance(posted, Mapping):
        return [{**row, **posted.get(at, {})} for at, row in enumerate(TABLES["posted"])]
    return list(posted) or TABLES["posted"]


def broken(on: Book, what: Answer) -> str:
    return "\n".join(check(on, what))


def assert_only(on: Book, what: Answer, pattern: str, count: int | None = None) -> None:
    """The answer breaks the one rule whose sentences match the pattern, and no other."""
    found = check(on, what)
    assert found
    others = [sentence for sentence in found if not re.search(pattern, sentence)]
    assert others == []
    assert count is None or len(found) == count


def with_lines(changes: Mapping[int, Line]) -> list[Line]:
    return [changes.get(at, line) for at, line in enumerate(LINES)]
