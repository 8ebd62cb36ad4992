"""The summary of a run: status, cost, what is proven about it, and where it comes from."""

from __future__ import annotations

import platform
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from collateral_opt.book import Book
from collateral_opt.result.answer import Answer

PACKAGES = ("collateral-opt", "highspy", "numpy", "pandas", "pulp")


@cache
def _versions() -> dict[str, str]:
    """Of everything that an answer rests on; asking for them takes a while."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def summarise(book: Book, answer: Answer, cost_bound: float, least_shortfall: float, solver: str) -> dict[str, Any]:
    """Status, costs, gaps and shortfalls. ``cost_bound`` is in base currency times yearly basis points,
    ``least_shortfall`` of calls and agreements in base currency.

    ``gap`` compares the answer in lots with the proven lower bound, ``lp_gap`` the linear program with its own; both
    are relative to the answer's cost. Shortfalls of calls and of reserves are told apart.
    """
    network, flows = answer.network, answer.flows
    total_cost = float(answer.ledger.cost() / 10_000 * network.horizon_years)
    lower_bound = cost_bound * float(network.horizon_years) / 10_000
    shortfalls = answer.shortfalls[: network.uses.demands]
    total_shortfall, reserve_shortfall = sum(shortfalls, Fraction(0)), sum(answer.lacking, Fraction(0))
    gap = relative_gap(total_cost, lower_bound)
    is_short = bool(total_shortfall or reserve_shortfall)
    return {
        "status": "short" if is_short else "optimal" if gap <= book.settings.mip_gap + 1e-12 else "feasible",
        "total_cost": total_cost,
        "lower_bound": lower_bound,
        "gap": gap,
        "lp_gap": relative_gap(flows.cost, flows.bound),
        "shortfall_bound": least_shortfall,
        "total_shortfall": float(total_shortfall),
        "reserve_shortfall": float(reserve_shortfall),
        "base_currency": book.settings.base_currency,
        "counts": {
            "holdings": int(np.count_nonzero(network.sources.is_holding)),
            "calls": network.uses.calls,
            "agreements": len(network.agreement_ids),
            "facilities": len(network.facility_ids),
            "reserves": len(answer.lacking),
            "eligible_pairs": network.call_pairs,
            "lines": len(answer.lines),
            "moves": answer.moves,
            "short_calls": sum(1 for s in shortfalls[: network.uses.calls] if s),
        },
        "as_of": book.settings.as_of.isoformat(),
        "solver": solver,
        "versions": dict(_versions()),
        "book": book.digest,
        "time_limit_s": book.settings.time_limit_s,
    }


def relative_gap(cost: float, bound: float) -> float:
    """How far ``cost`` may lie above the optimum, relative to itself; noise below the bound counts as none."""
    return max(0.0, cost - bound) / abs(cost) if cost else max(0.0, -bound)
