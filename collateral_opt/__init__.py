"""Collateral optimisation: cover every margin call at the least cost, with what the firm can deliver.

>>> from collateral_opt import Book, optimise
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collateral_opt.book import Book
    from collateral_opt.io.read import read_book
    from collateral_opt.optimise import optimise
    from collateral_opt.result import Result

__all__ = ["Book", "Result", "optimise", "read_book"]

_HOMES = {
    "Book": "collateral_opt.book",
    "Result": "collateral_opt.result",
    "optimise": "collateral_opt.optimise",
    "read_book": "collateral_opt.io.read",
}


def __getattr__(name: str) -> Any:
    # Pandas and a solver take most of a second to import; the command line starts without them.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
