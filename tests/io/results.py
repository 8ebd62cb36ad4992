"""A small result made by hand, for tests of what is written: no book is read and nothing is solved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from collateral_opt.result.result import COLUMNS, Result

# An identifier may look like a number, a formula, a link, a tag, or a name that CSV must quote.
NASTY = ["0123", "12345E10", "=1+1", "http://x.y", "<b>&", 'a,"b"', "NA", "Crédit", "+44", "@x", "{=SUM(A1)}"]


def made_result(lines: int = 3, **changes: Any) -> Result:
    """A result with that many lines of one call, the holdings named by NASTY in turn."""
    assets = [NASTY[i % len(NASTY)] + ("" if i < len(NASTY) else str(i)) for i in range(lines)]
    number = np.arange(1, lines + 1, dtype=float)
    allocation = pd.DataFrame({
        "call_id": "C1", "agreement_id": "A1", "holding_id": [f"H{a}" for a in assets], "facility_id": None,
        "asset_id": assets, "action": "deliver", "quantity": number * 1e6, "market_value": number * 1000.5,
        "haircut": 0.1, "collateral_value": number * 900.45, "cost": number / 3,
    }).astype({"facility_id": object})  # fmt: skip
    frames = {name: pd.DataFrame(columns=list(columns), dtype=object) for name, columns in COLUMNS.items()}
    required = float(allocation["collateral_value"].sum())
    frames["allocation"] = allocation if lines else frames["allocation"].astype(allocation.dtypes)
    frames["calls"] = pd.DataFrame({
        "call_id": ["C1", "C2"], "required": [required, 10.0], "covered": [required, 7.5],
        "shortfall": [0.0, 2.5],
        "excess": [0.0, 0.0], "marginal_cost_bps": [12.34567891, np.nan], "reason": [None,
        "nothing <b>left</b>"],
    })  # fmt: skip
    frames["inventory"] = pd.DataFrame({
        "holding_id": ["H1"], "asset_id": ["0123"], "quantity": [1e15], "recalled": [0.0], "used": [0.1],
        "left": [1e-7],
        "scarcity_bps": [-1e-12],
    })  # fmt: skip
    frames["limits"] = pd.DataFrame({
        "agreement_id": ["A1"] * 3, "limit": ["one issuer"] * 3, "group": ["<i>Beta", "Alpha", ""],
        "used": [10.0, 5.0, 1.0], "cap": [10.0, 0.0, np.inf], "shadow_price": [5.2631578947, 0.0, np.nan],
    })  # fmt: skip
    summary = {
        "status": "short", "total_cost": 1.25, "lower_bound": 1.0, "gap": 0.2, "lp_gap": 0.0,
        "shortfall_bound": 2.5,
        "total_shortfall": 2.5, "base_currency": "USD", "counts": {"lines": lines}, "solver": "highs",
        "as_of": "2026-03-24T08:00:00+00:00", "versions": {"python": "3"}, "book": "0f0f",
        "seconds": {"solving": 0.1},
    }  # fmt: skip
    facts = pd.DataFrame({
        "asset_id": assets, "name": [f"name of {a}" for a in assets], "asset_type": "debt",
        "issuer_type": "sovereign", "security_type": None,
    })  # fmt: skip
    return Result(**({"book": SimpleNamespace(assets=facts), "summary": summary} | frames | changes))
