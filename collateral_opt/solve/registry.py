"""Solvers by the name the command line gives them: ``highs``, or ``pulp:NAME``."""

from __future__ import annotations

from difflib import get_close_matches

from collateral_opt.errors import UsageError
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.seam import Solver
from collateral_opt.solve.sifting import ColumnGeneration, OnRound


def solver_named(name: str, *, full: bool = False, on_round: OnRound | None = None) -> Solver:
    """The solver of that name; :class:`UsageError` says which there are on this machine.

    Large linear programs are solved part by part, and ``on_round`` told of each round, unless ``full`` asks for all
    columns at once.
    """
    inner = _inner(name)
    return inner if full else ColumnGeneration(inner, on_round)


def _inner(name: str) -> Solver:
    if name.lower() == "highs":
        return HighsSolver()
    # PuLP takes a while to import, and the default road does without it.
    from collateral_opt.solve.pulp_adapter import PulpSolver, known_solvers

    known = {"highs": "highs", **{f"pulp:{solver}".lower(): f"pulp:{solver}" for solver in known_solvers()}}
    asked = name.lower()
    if asked in known:
        return PulpSolver(known[asked].removeprefix("pulp:"))
    close = get_close_matches(asked, known, n=1) or get_close_matches(f"pulp:{asked}", known, n=1)
    meant = f" Did you mean {known[close[0]]!r}?" if close else ""
    raise UsageError(f"There is no solver {name!r}.{meant} Available here: {', '.join(available())}.")


def available() -> list[str]:
    """The names of the solvers on this machine, the default first."""
    from collateral_opt.solve.pulp_adapter import installed_solvers

    return ["highs", *(f"pulp:{solver}" for solver in installed_solvers())]
