"""Collateral optimisation: cover every margin call at the least cost, with what the firm can deliver.

>>> import pandas as pd
>>> from collateral_opt import Book, optimise
>>> book = Book.from_tables(
...     {
...         "assets": pd.DataFrame(
...             {"asset_id": ["USD", "T1"], "asset_type": ["cash", "debt"], "currency": "USD", "price": [1.0, 0.99]}
...         ),
...         "holdings": pd.DataFrame(
...             {"holding_id": ["H1", "H2"], "asset_id": ["USD", "T1"], "quantity": [5e6, 2e6], "cost_bps": [25.0, 4.0]}
...         ),
...         "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["Bank"], "schedule": ["simple"]}),
...         "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["A"], "amount": [970200.0], "currency": ["USD"]}),
...     },
...     settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD"},
...     schedules={
...         "simple": {
...             "rules": [
...                 {"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0},
...                 {"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0.02},
...             ]
...         }
...     },
... )
>>> result = optimise(book)
>>> result.allocation[["holding_id", "quantity", "collateral_value"]].to_dict("records")
[{'holding_id': 'H2', 'quantity': 1000000.0, 'collateral_value': 970200.0}]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collateral_opt.book import Book
    from collateral_opt.explain import Explanation
    from collateral_opt.io.read import read_book
    from collateral_opt.optimiser import optimise, solved
    from collateral_opt.result import Result
    from collateral_opt.result.comparison import Comparison, compare
    from collateral_opt.scenarios.change import Change
    from collateral_opt.scenarios.what_if import WhatIf
    from collateral_opt.scenarios.words import read_words
    from collateral_opt.session import Scenario, Session

__all__ = [
    "Book",
    "Change",
    "Comparison",
    "Explanation",
    "Result",
    "Scenario",
    "Session",
    "WhatIf",
    "compare",
    "optimise",
    "read_book",
    "read_words",
    "solved",
]

_HOMES = {
    "Book": "collateral_opt.book",
    "Change": "collateral_opt.scenarios.change",
    "Comparison": "collateral_opt.result.comparison",
    "Explanation": "collateral_opt.explain",
    "Result": "collateral_opt.result",
    "Scenario": "collateral_opt.session",
    "Session": "collateral_opt.session",
    "WhatIf": "collateral_opt.scenarios.what_if",
    "compare": "collateral_opt.result.comparison",
    "optimise": "collateral_opt.optimiser",
    "read_book": "collateral_opt.io.read",
    "read_words": "collateral_opt.scenarios.words",
    "solved": "collateral_opt.optimiser",
}


def __getattr__(name: str) -> Any:
    # Pandas and a solver take most of a second to import; the command line starts without them.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
