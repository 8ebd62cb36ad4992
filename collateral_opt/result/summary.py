"""The summary of a run: status, cost, what is proven about it, and where it comes from."""

from __future__ import annotations

import platform
from fractions import Fraction
from importlib.metadata import version
from typing import Any

from collateral_opt.book import Book
from collateral_opt.network.network import Network
from collateral_opt.solve.ledger import Ledger
from collateral_opt.solve.passes import COVERED, Flows

PACKAGES = ("collateral-opt", "highspy", "numpy", "pandas", "pulp")


def summarise(
    book: Book, network: Network, flows: Flows, ledger: Ledger, cost_bound: float, solver: str
) -> dict[str, Any]:
    """Status, costs, gaps and shortfalls. ``cost_bound`` is in base currency times yearly basis points.

    ``gap`` compares the answer in lots with the proven lower bound, ``lp_gap`` the linear program with its own; both
    are relative to the answer's cost.
    """
    horizon = float(network.horizon_years) / 10_000
    total_cost = float(ledger.cost() / 10_000 * network.horizon_years)
    lower_bound = cost_bound * horizon
    shortfalls = ledger.shortfalls()
    total_shortfall = sum(shortfalls, Fraction(0))
    gap = relative_gap(total_cost, lower_bound)
    return {
        "status": "short" if total_shortfall else "optimal" if gap <= book.settings.mip_gap else "feasible",
        "total_cost": total_cost,
        "lower_bound": lower_bound,
        "gap": gap,
        "lp_gap": relative_gap(flows.cost, flows.bound),
        "shortfall_bound": float(flows.short[flows.short > COVERED * network.uses.required_float].sum()),
        "total_shortfall": float(total_shortfall),
        "base_currency": book.settings.base_currency,
        "counts": {
            "holdings": len(network.sources),
            "calls": len(network.uses),
            "agreements": len(network.agreement_ids),
            "eligible_pairs": len(network.edges),
            "lines": sum(1 for lots in ledger.lots if lots),
            "short_calls": sum(1 for s in shortfalls if s),
        },
        "as_of": book.settings.as_of.isoformat(),
        "solver": solver,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "book": book.digest,
    }  # fmt: skip


def relative_gap(cost: float, bound: float) -> float:
    """How far ``cost`` may lie above the optimum, relative to itself; noise below the bound counts as none."""
    return max(0.0, cost - bound) / abs(cost) if cost else max(0.0, -bound)
