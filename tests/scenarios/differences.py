"""What differs between two books, cell by cell, in words that a test can name."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from collateral_opt.book import Book

KEYS: Mapping[str, tuple[str, ...]] = {
    "fx": ("currency",), "assets": ("asset_id",), "holdings": ("holding_id",), "agreements": ("agreement_id",),
    "calls": ("call_id",), "cash_returns": ("agreement_id", "currency"),
    "posted": ("agreement_id", "asset_id", "holding_id"), "locations": ("location",), "facilities": ("facility_id",),
    "reserves": ("reserve_id",), "costs": ("holding_id", "asset_id", "agreement_id", "facility_id"),
    "pins": ("call_id", "holding_id", "facility_id"), "received": ("received_id",),
    "instructions": ("call_id", "holding_id", "facility_id"),
}  # fmt: skip


def _rows(frame: pd.DataFrame, keys: tuple[str, ...]) -> dict[str, dict[str, str]]:
    texts = frame.astype(object).where(frame.notna(), "-").astype(str)
    return {"/".join(row[k] for k in keys): row for row in texts.to_dict("records")}


def differences(before: Book, after: Book) -> set[str]:
    """`calls C1 amount: 5.0 -> 6.0` for a cell, `calls +C9` and `calls -C1` for a row, `schedule us-im`."""
    found: set[str] = set()
    for table, keys in KEYS.items():
        old, new = (_rows(getattr(book, table), keys) for book in (before, after))
        found |= {f"{table} +{key}" for key in new.keys() - old.keys()}
        found |= {f"{table} -{key}" for key in old.keys() - new.keys()}
        for key in old.keys() & new.keys():
            cells = {c: (old[key].get(c), new[key].get(c)) for c in {*old[key], *new[key]}}
            found |= {f"{table} {key} {c}: {a} -> {b}" for c, (a, b) in cells.items() if a != b}
    names = {*before.schedules, *after.schedules}
    found |= {f"schedule {name}" for name in names if before.schedules.get(name) != after.schedules.get(name)}
    if before.house_limits != after.house_limits:
        found.add("house limits")
    if before.settings != after.settings:
        found.add("settings")
    return found
