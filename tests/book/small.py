"""A small desk whose book has nothing to find: a test breaks one thing and sees what is said about it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import BookError, Finding
from collateral_opt.io.read import read_book

ACCEPTS = "name: vm\nrules:\n  - label: anything\n    haircut: 0.02\n"


def _rows(header: str, *lines: str) -> list[dict[str, Any]]:
    names = header.split()
    return [dict(zip(names, line.split(), strict=True)) for line in lines]


def _tables() -> dict[str, list[dict[str, Any]]]:
    tables = {
        "fx": _rows("currency rate", "USD 0.9"),
        "assets": _rows(
            "asset_id asset_type currency price price_factor issuer isin issue_date maturity_date rating_sp",
            "EUR cash EUR - - - - - - -",
            "BUND debt EUR 98.5 0.01 Germany GB0002634946 2020-01-15 2031-02-15 AAA",
            "UST debt USD 101 0.01 Treasury US0378331005 2024-02-29 2034-02-28 AA+",
        ),
        "holdings": _rows(
            "holding_id asset_id quantity cost_bps location ready_at settle_hours",
            "H1 EUR 5000000 10 - - -",
            "H2 BUND 20000000 3 L1 2026-03-31T08:00:00+01:00 2",
            "H3 UST 3000000 4.5 L1 - 24",
        ),
        "agreements": _rows(
            "agreement_id counterparty schedule base_currency max_lines",
            "ACME Acme vm EUR 5",
            "BETA Beta vm USD -",
        ),
        "calls": _rows(
            "call_id agreement_id amount currency due margin_type priority",
            "C1 ACME 750000 EUR 2026-03-31T16:00:00+01:00 vm 1",
            "C2 BETA 100000 USD - - 2",
        ),
        "cash_returns": _rows("agreement_id currency bps", "ACME USD 10"),
        "posted": _rows("agreement_id asset_id quantity holding_id locked", "ACME BUND 1000 H2 true"),
        "locations": _rows("location timezone calendar cut_off move_cost", "L1 Europe/London UK 16:30 25"),
        "facilities": _rows(
            "facility_id kind gives takes capacity cost_bps",
            "F1 repo EUR vm 1000000 12",
            "F2 credit_line EUR - 5000 40",
        ),
        "reserves": _rows("reserve_id schedule amount currency", "R1 vm 100 EUR"),
        "costs": _rows("holding_id asset_id agreement_id facility_id cost_bps", "H1 - ACME - 5", "- UST - F1 6"),
        "pins": _rows("call_id holding_id quantity forbid", "C1 H2 - false"),
    }
    return {
        name: [{column: "" if cell == "-" else cell for column, cell in row.items()} for row in rows]
        for name, rows in tables.items()
    }


@dataclass
class Desk:
    """Rows of text by table, settings, schedules as YAML text: change them, then ``book`` or ``write``."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=_tables)
    settings: dict[str, Any] = field(
        default_factory=lambda: {"as_of": "2026-03-31T09:00:00+02:00", "base_currency": "EUR"}
    )
    schedules: dict[str, str] = field(default_factory=lambda: {"vm.yaml": ACCEPTS})

    def frames(self) -> dict[str, pd.DataFrame]:
        return {name: pd.DataFrame(rows, dtype=object) for name, rows in self.rows.items()}

    def book(self) -> Book:
        import yaml

        schedules = {name.split(".")[0]: yaml.safe_load(text) for name, text in self.schedules.items()}
        return Book.from_tables(self.frames(), settings=self.settings, schedules=schedules)

    def write(self, folder: Path) -> Path:
        (folder / "schedules").mkdir(parents=True, exist_ok=True)
        for name, rows in self.rows.items():
            (folder / f"{name}.csv").write_text(csv_text(rows), encoding="utf-8")
        lines = [f'{key}: "{value}"\n' for key, value in self.settings.items()]
        (folder / "settings.yaml").write_text("".join(lines), encoding="utf-8")
        for name, text in self.schedules.items():
            (folder / "schedules" / name).write_text(text, encoding="utf-8")
        return folder


def csv_text(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def found_in(desk: Desk) -> list[Finding]:
    """Everything found about the desk's frames, errors or not."""
    try:
        return list(desk.book().findings)
    except BookError as error:
        return list(error.findings)


def found_at(path: Path) -> list[Finding]:
    """Everything found about the book at a path, errors or not."""
    try:
        return list(read_book(path).findings)
    except BookError as error:
        return list(error.findings)
