"""Any program as a named PuLP model: solved by every solver PuLP knows, or written as LP or MPS to read.

The second opinion. Where PuLP 3.3 and 4.x differ is marked ``3.3`` below. Accuracy is that of the road the
solver takes: PuLP hands HiGHS the figures as they are; CBC reads 13 digits from a file, and answers with 8 in
values and in duals (CBC 2.10); LP files carry 12.
"""

from __future__ import annotations

import inspect
import operator
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pulp as _typed_pulp

from collateral_opt.errors import SolverError, UsageError
from collateral_opt.model.program import Floats, Program
from collateral_opt.solve.highs import figures_of, finite, require_whole_numbers
from collateral_opt.solve.seam import Limits, Solution, Status

pulp: Any = _typed_pulp  # the types of 3.3 and 4.x differ; what both can do is what is used here

LONGEST_NAME = 255  # of the LP format
_STANDS_FOR = {
    "CBC": ("PULP_CBC_CMD", "COIN_CMD"),
    "PULP_CBC_CMD": (
        "PULP_CBC_CMD",
        "COIN_CMD",
    ),  # 3.3 brings a CBC of this name; 4.x takes it from pulp[cbc]
}
_CBC: dict[str, Any] = {
    # recent CBC takes rows of one column for bounds: their duals are lost, and infeasible becomes "unknown";
    # 2.10 and before pass over options they do not know
    "options": ["boundPropLevel off", "singletonBounds off"],
}
_TOLD: dict[str, dict[str, Any]] = {
    "HiGHS": {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9, "random_seed": 0},
    "PULP_CBC_CMD": _CBC,
    "COIN_CMD": _CBC,
}
_RESERVED = {
    "obj",
    "free",
    "inf",
    "infinity",
    "st",
    "subject",
    "bound",
    "bounds",
    "general",
    "generals",
    "gen",
}
_RESERVED |= {"integer", "integers", "binary", "binaries", "bin", "min", "minimize", "max", "maximize", "nan"}


class PulpSolver:
    """A solver PuLP knows: ``HiGHS``, ``GUROBI``, ``PULP_CBC_CMD``, ...; ``CBC`` is whichever CBC is here.

    Raises :class:`UsageError` where PuLP does not know it, or it is not installed. Duals are held to the
    convention of the seam for CBC and HiGHS; a solver that hands back none gives arrays of NaN.
    """

    def __init__(self, solver: str) -> None:
        self.name = f"pulp:{solver}"
        self._solver = _installed(solver)

    def load(self, program: Program) -> PulpSession:
        require_whole_numbers(program)
        return PulpSession(program, self._solver, self.name)


class PulpSession:
    """A program that is built anew for every solve: PuLP's solvers keep no basis."""

    def __init__(self, program: Program, solver: str, name: str) -> None:
        self._program = program
        self._solver = solver
        self._name = name
        self._start: Floats | None = None
        finite(program.rows.coefficient, len(program.rows.row), "coefficients")
        self.change_costs(program.cost)
        self.change_column_bounds(program.lower, program.upper)
        rows = program.rows
        self.change_row_bounds(np.asarray(rows.lower, np.float64), np.asarray(rows.upper, np.float64))

    def change_costs(self, cost: Floats) -> None:
        self._program = replace(self._program, cost=finite(cost, self._program.n_columns, "costs"))

    def change_column_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, self._program.n_columns, "lower bounds of columns")
        high = figures_of(upper, self._program.n_columns, "upper bounds of columns")
        self._program = replace(self._program, lower=low, upper=high)

    def change_row_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, self._program.n_rows, "lower bounds of rows")
        high = figures_of(upper, self._program.n_rows, "upper bounds of rows")
        self._program = replace(self._program, rows=replace(self._program.rows, lower=low, upper=high))

    def start_from(self, x: Floats) -> None:
        """Give an integer program an answer to improve on, where the solver takes one."""
        self._start = finite(x, self._program.n_columns, "starting values")

    def solve(self, limits: Limits = Limits()) -> Solution:
        """Solve what is loaded now. A limit on nodes holds only for the solvers that PuLP can tell of it."""
        program = self._program
        foregone = _foregone(program)
        if foregone is not None:
            return foregone
        solution = self._ask(program, limits)
        if solution.status in (Status.INFEASIBLE, Status.FAILED) and _could_be_unbounded(program):
            # several solvers cannot tell unbounded from infeasible: without costs only the second is left
            without_costs = self._ask(replace(program, cost=np.zeros(program.n_columns)), limits).status
            if without_costs in (Status.OPTIMAL, Status.FEASIBLE):
                return replace(solution, status=Status.UNBOUNDED)
            if without_costs is Status.INFEASIBLE:
                return replace(solution, status=Status.INFEASIBLE)
        return solution

    def _ask(self, program: Program, limits: Limits) -> Solution:
        model = _Model(program, "program")
        if self._start is not None and _is_mip(program):
            for variable, value in zip(model.variables, self._start.tolist(), strict=True):
                variable.setInitialValue(value, check=False)
        with tempfile.TemporaryDirectory(prefix="collateral-opt-") as directory:
            solver = _new_solver(self._solver, program, limits, warm=self._start is not None)
            if hasattr(solver, "tmpDir"):
                solver.tmpDir = directory  # a solver that crashes leaves its files behind
            try:
                model.problem.solve(solver)
            except Exception as error:
                raise SolverError(
                    f"{self._name} broke off: {type(error).__name__}: {error}. Try --solver highs."
                ) from error
        return model.read(limits)


def to_pulp(program: Program, name: str) -> Any:
    """The program as a ``pulp.LpProblem`` with names made of its labels, such as ``deliver_MC0003_H0001``.

    A row with two different bounds becomes two constraints, ``..._min`` and ``..._max``. Rows that always
    hold, for want of bounds or of columns, are left out. Integer columns count units.
    """
    return _Model(_in_whole_numbers(program), name).problem


def write_lp(program: Program, path: Path | str) -> None:
    """Write the program in LP format: names to read, figures of 12 digits."""
    to_pulp(program, Path(path).stem).writeLP(str(path), max_length=LONGEST_NAME)


def write_mps(program: Program, path: Path | str) -> None:
    """Write the program in free MPS format: names to read, figures of 13 digits."""
    to_pulp(program, Path(path).stem).writeMPS(str(path))


def known_solvers() -> list[str]:
    """The names :class:`PulpSolver` understands, installed or not."""
    return list(dict.fromkeys([*_STANDS_FOR, *pulp.listSolvers()]))


def installed_solvers() -> list[str]:
    """The names of the solvers PuLP finds on this machine."""
    names = pulp.listSolvers(onlyAvailable=True)
    return [*(["CBC"] if set(names) & set(_STANDS_FOR["CBC"]) else []), *names]


class _Model:
    """A PuLP model beside the program it was made of: columns and rows keep their positions."""

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.problem = pulp.LpProblem(_plain(name) or "program", pulp.LpMinimize)
        self.variables = self._add_variables()
        entries = _entries_by_row(program)
        self.row_of_constraint = self._add_constraints(entries)
        # PuLP forgets a column it meets nowhere: one in no constraint is named here, at whatever cost
        named = program.cost != 0
        in_constraints = {j for i in self.row_of_constraint for j, _ in entries[i]}
        named[[j for j in range(program.n_columns) if j not in in_constraints]] = True
        costs = program.cost.tolist()
        self.problem.setObjective(_expression((self.variables[j], costs[j]) for j in np.flatnonzero(named)))

    def _add_variables(self) -> list[Any]:
        program = self.program
        integer = np.zeros(program.n_columns, dtype=np.bool_) if program.integer is None else program.integer
        # 3.3 before 3.3.1 has no add_variable; in 4.x there is no other way
        new = getattr(self.problem, "add_variable", None) or pulp.LpVariable
        return [
            new(
                name,
                None if low == -np.inf else low,
                None if high == np.inf else high,
                "Integer" if whole else "Continuous",
            )
            for name, low, high, whole in zip(
                lp_names(program.column_labels),
                program.lower.tolist(),
                program.upper.tolist(),
                integer.tolist(),
                strict=True,
            )
        ]

    def _add_constraints(self, entries: list[list[tuple[int, float]]]) -> list[int]:
        """Add the rows that ask something; of each constraint, in order, the row it came from."""
        lower = np.asarray(self.program.rows.lower, dtype=np.float64).tolist()
        upper = np.asarray(self.program.rows.upper, dtype=np.float64).tolist()
        asked = [
            (i, (*label, *suffix), compare, side)
            for i, label in enumerate(self.program.rows.labels)
            if entries[i] or not lower[i] <= 0 <= upper[i]
            for suffix, compare, side in _sides(lower[i], upper[i])
        ]
        for (i, _, compare, side), name in zip(asked, lp_names([a[1] for a in asked]), strict=True):
            left = _expression((self.variables[j], coefficient) for j, coefficient in entries[i])
            self.problem.addConstraint(compare(left, side), name)
        return [i for i, _, _, _ in asked]

    def read(self, limits: Limits) -> Solution:
        """What the solver said; values only where ``sol_status`` vouches for them."""
        program = self.program
        status = self._status(limits)
        message = f"{pulp.LpStatus[self.problem.status]}, {pulp.LpSolution[self.problem.sol_status]}"
        if status not in (Status.OPTIMAL, Status.FEASIBLE):
            return _no_answer(program, status, message)
        x = np.array([np.nan if v.varValue is None else v.varValue for v in self.variables], dtype=np.float64)
        if np.isnan(x).any():
            return _no_answer(program, Status.FAILED, f"{message}, but a value is missing")
        row_dual = np.full(program.n_rows, np.nan)
        reduced_cost = np.full(program.n_columns, np.nan)
        if _is_mip(program):
            x[program.integer] = np.round(x[program.integer])
        else:
            row_dual = self._row_duals()
            reduced_cost = np.array([np.nan if v.dj is None else v.dj for v in self.variables])
        objective = float(np.sum(program.cost * x))
        bound = objective
        if _is_mip(program):
            optimal = status is Status.OPTIMAL
            bound = objective - limits.mip_gap * abs(objective) if optimal else -np.inf
        return Solution(status, message, objective, bound, x, row_dual, reduced_cost)

    def _status(self, limits: Limits) -> Status:
        status, found = self.problem.status, self.problem.sol_status
        if found == pulp.LpSolutionOptimal:
            return Status.OPTIMAL
        if found == pulp.LpSolutionIntegerFeasible:
            # with status "Optimal" in 3.3; a linear program that was stopped may break its rows
            return Status.FEASIBLE if _is_mip(self.program) else Status.STOPPED
        if status == pulp.LpStatusInfeasible:  # not sol_status: that says "infeasible" of "not solved" too
            return Status.INFEASIBLE
        if status == pulp.LpStatusUnbounded:
            return Status.UNBOUNDED
        limited = limits.seconds is not None or limits.mip_nodes is not None
        return Status.STOPPED if limited and status == pulp.LpStatusNotSolved else Status.FAILED

    def _row_duals(self) -> Floats:
        """By row; of a row with two constraints the sum, as one of them at most presses; of a free row 0."""
        held = self.problem.constraints
        constraints = held() if callable(held) else list(held.values())  # 3.3 before 3.3.1: a dict
        pi = np.array([np.nan if c.pi is None else c.pi for c in constraints], dtype=np.float64)
        dual = np.zeros(self.program.n_rows)
        np.add.at(dual, self.row_of_constraint, pi)
        return dual


def _in_whole_numbers(program: Program) -> Program:
    """The program with its integer columns counted in units, and all else as it was."""
    if program.integer is None:
        return program
    size = np.where(program.integer, program.unit, 1.0)
    coefficient = np.asarray(program.rows.coefficient, dtype=np.float64) * size[program.rows.column]
    return replace(
        program,
        lower=program.lower / size,
        upper=program.upper / size,
        cost=program.cost * size,
        rows=replace(program.rows, coefficient=coefficient),
        unit=program.unit / size,
    )


def _expression(terms: Iterable[tuple[Any, float]]) -> Any:
    """3.3: the constructor takes what ``from_list`` takes in 4.x."""
    make = getattr(pulp.LpAffineExpression, "from_list", pulp.LpAffineExpression)
    return make(list(terms))


def _entries_by_row(program: Program) -> list[list[tuple[int, float]]]:
    """For each row its columns and coefficients; entries at the same place are added up."""
    width = max(program.n_columns, 1)
    place, position = np.unique(program.rows.row * width + program.rows.column, return_inverse=True)
    values = np.asarray(program.rows.coefficient, dtype=np.float64)
    coefficient = np.bincount(position, weights=values, minlength=len(place)).tolist()
    column = (place % width).tolist()
    start = np.searchsorted(place, np.arange(program.n_rows + 1) * width).tolist()
    return [
        [(j, value) for j, value in zip(column[a:b], coefficient[a:b], strict=True) if value != 0]
        for a, b in pairwise(start)
    ]


def _sides(lower: float, upper: float) -> list[tuple[tuple[str, ...], Callable[[Any, float], Any], float]]:
    """The comparisons a row consists of: none, one, or two with names told apart."""
    if lower == upper:
        return [((), operator.eq, lower)]
    sides: list[tuple[tuple[str, ...], Callable[[Any, float], Any], float]] = []
    if lower > -np.inf:
        sides.append((("min",), operator.ge, lower))
    if upper < np.inf:
        sides.append((("max",), operator.le, upper))
    return sides if len(sides) == 2 else [((), compare, side) for _, compare, side in sides]


def lp_names(labels: Sequence[tuple[str, ...]]) -> list[str]:
    """Names that LP and MPS files take: unique, at most 255 plain characters, not a figure and not a keyword.

    The first label of a spelling keeps it; later ones get ``_2``, ``_3`` in their order.

    >>> lp_names([("supply", "H 1"), ("supply", "H-1"), ("2y",)])
    ['supply_H_1', 'supply_H_1_2', 'n_2y']
    """
    taken: set[str] = set()
    seen: dict[str, int] = {}
    names = []
    for label in labels:
        stem = _plain("_".join(label))
        if not stem or not stem[0].isalpha() or stem[0] in "eE" or stem.lower() in _RESERVED:
            stem = f"n_{stem}"
        stem = stem[: LONGEST_NAME - 10]
        name = stem
        while name in taken:
            seen[stem] = seen.get(stem, 1) + 1
            name = f"{stem}_{seen[stem]}"
        taken.add(name)
        names.append(name)
    return names


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "_", text)


def _installed(asked: str) -> str:
    """PuLP's own name of the solver asked for, in whatever case."""
    name = {known.lower(): known for known in known_solvers()}.get(asked.lower())
    if name is None:
        raise UsageError(f"PuLP {pulp.__version__} knows no solver {asked!r}.")
    has = pulp.listSolvers()
    for candidate in _STANDS_FOR.get(name, (name,)):
        if candidate in has and pulp.getSolver(candidate, **_quiet(candidate)).available():
            return candidate
    raise UsageError(
        f"{name} is not installed where PuLP {pulp.__version__} could find it. "
        f"Install it, or choose one of those here: {', '.join(installed_solvers()) or 'none'}."
    )


def _new_solver(name: str, program: Program, limits: Limits, warm: bool) -> Any:
    """The solver, told what it can be told: each class of PuLP's takes other arguments."""
    wanted: dict[str, Any] = {"threads": 1, "timeLimit": limits.seconds}
    if _is_mip(program):
        wanted |= {"gapRel": limits.mip_gap, "gapAbs": 1e-9, "maxNodes": limits.mip_nodes, "warmStart": warm}
    taken = _arguments(name)
    options = {key: value for key, value in wanted.items() if key in taken and value is not None}
    return pulp.getSolver(name, **_quiet(name), **options, **_TOLD.get(name, {}))


def _quiet(name: str) -> dict[str, bool]:
    quiet = {"msg": False}
    if "_skip_v4_deprecation" in _arguments(name):  # 3.3.2 warns whoever uses the CBC it brings
        quiet["_skip_v4_deprecation"] = True
    return quiet


def _arguments(name: str) -> set[str]:
    kinds = {kind.name: kind for kind in pulp.apis._all_solvers}
    return set(inspect.signature(kinds[name].__init__).parameters)


def _foregone(program: Program) -> Solution | None:
    """What no solver need be asked, and not every one gets right: nothing to decide, or nothing holds."""
    lower = np.asarray(program.rows.lower, dtype=np.float64)
    upper = np.asarray(program.rows.upper, dtype=np.float64)
    if (program.lower > program.upper).any() or (lower > upper).any():
        return _no_answer(program, Status.INFEASIBLE, "a lower bound is above its upper bound")
    empty = np.ones(program.n_rows, dtype=np.bool_)
    empty[program.rows.row[np.asarray(program.rows.coefficient, dtype=np.float64) != 0]] = False
    if (empty & ((lower > 0) | (upper < 0))).any():
        return _no_answer(program, Status.INFEASIBLE, "a row without columns is out of bounds")
    if program.n_columns == 0:
        nothing = np.zeros(0)
        return Solution(Status.OPTIMAL, "no columns", 0.0, 0.0, nothing, np.zeros(program.n_rows), nothing)
    return None


def _could_be_unbounded(program: Program) -> bool:
    downhill = np.where(program.cost < 0, program.upper, np.where(program.cost > 0, program.lower, 0.0))
    return bool(np.isinf(downhill).any())


def _is_mip(program: Program) -> bool:
    return program.integer is not None and bool(program.integer.any())


def _no_answer(program: Program, status: Status, message: str) -> Solution:
    nothing = np.full(program.n_columns, np.nan)
    return Solution(status, message, np.nan, np.nan, nothing, np.full(program.n_rows, np.nan), nothing)
