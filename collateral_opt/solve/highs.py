"""HiGHS in this process: a program goes over as arrays, and the basis stays warm while its numbers change.

One thread and a fixed seed, so that the same program gives the same answer. Every return status is checked:
HiGHS raises nothing by itself, and after one failed call the later ones fail silently.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import highspy
import numpy as np
from highspy import HighsModelStatus, HighsStatus, cb
from numpy.typing import NDArray

from collateral_opt.errors import SolverError, UsageError
from collateral_opt.model.program import Floats, Program
from collateral_opt.solve.seam import Basis, Columns, Limits, Solution, Status

OLDEST = (1, 15, 1)  # 1.14.0 returns wrong optima
TOLERANCE = 1e-9
LOOSER_TOLERANCE = 1e-7

AT_LOWER, BASIC = highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kBasic
"""Where columns and rows stand that no basis speaks of."""
_TOLERANCES = ("primal_feasibility_tolerance", "dual_feasibility_tolerance")
_OPTIONS: dict[str, bool | int | float | str] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "solver": "simplex",
    "simplex_strategy": 0,  # primal simplex from a primal feasible basis (costs changed), otherwise dual
    "simplex_scale_strategy": 2,  # equilibrates rows and columns, the default
    "small_matrix_value": 1e-12,  # drop nothing that a schedule could mean
    "mip_abs_gap": 1e-9,
    # Not the mip_feasibility_tolerance: tightened, presolve of some integer programs writes out of bounds (1.15.1).
    **dict.fromkeys(_TOLERANCES, TOLERANCE),
}
_DUAL_SIMPLEX = {"simplex_strategy": 1}
_AFRESH: Sequence[Mapping[str, int | float]] = (
    _DUAL_SIMPLEX,
    {**_DUAL_SIMPLEX, **dict.fromkeys(_TOLERANCES, LOOSER_TOLERANCE)},
    # A program of cents and of trillions, scaled once more, may end in neither.
    {**_DUAL_SIMPLEX, "simplex_scale_strategy": 0},
)
"""The ways to try again where a run ends unclear."""
_OCCASIONS = (cb.HighsCallbackType.kCallbackSimplexInterrupt, cb.HighsCallbackType.kCallbackMipInterrupt)
_FEASIBLE_POINT = int(highspy.SolutionStatus.kSolutionStatusFeasible)
_FINAL = {
    HighsModelStatus.kOptimal: Status.OPTIMAL,
    HighsModelStatus.kInfeasible: Status.INFEASIBLE,
    HighsModelStatus.kUnbounded: Status.UNBOUNDED,
}
_STOPPED = {
    HighsModelStatus.kTimeLimit,
    HighsModelStatus.kIterationLimit,
    HighsModelStatus.kSolutionLimit,
    HighsModelStatus.kInterrupt,
    HighsModelStatus.kMemoryLimit,
    HighsModelStatus.kObjectiveBound,
    HighsModelStatus.kObjectiveTarget,
}
_CLEAR = {*_FINAL, *_STOPPED, HighsModelStatus.kModelEmpty}


class HighsSolver:
    """The default solver. Raises :class:`UsageError` where highspy is older than :data:`OLDEST`."""

    name = "highs"

    def __init__(self) -> None:
        found = (highspy.HIGHS_VERSION_MAJOR, highspy.HIGHS_VERSION_MINOR, highspy.HIGHS_VERSION_PATCH)
        if found < OLDEST:
            raise UsageError(
                f"highspy {'.'.join(map(str, found))} is installed, and answers of versions before "
                f"{'.'.join(map(str, OLDEST))} cannot be relied on. Run: pip install --upgrade highspy"
            )

    def load(self, program: Program) -> HighsSession:
        return HighsSession(program)

    def load_growing(self, program: Program) -> HighsSession:
        """Without presolve: what column generation leaves to solve takes longer to reduce than to solve."""
        return HighsSession(program, presolve=False)


class HighsSession:
    """A program inside HiGHS, for one thread at a time; sessions do not disturb each other.

    The first solve of a linear program presolves unless told not to; later ones start from the last basis. Integer
    columns come back as whole numbers.
    """

    def __init__(self, program: Program, presolve: bool = True) -> None:
        require_whole_numbers(program)
        self._n_columns = program.n_columns
        self._n_rows = program.n_rows
        self._integer = np.zeros(program.n_columns, dtype=np.bool_)
        if program.integer is not None:
            self._integer[:] = program.integer
        self._row_lower = figures_of(program.rows.lower, program.n_rows, "lower bounds of rows")
        self._row_upper = figures_of(program.rows.upper, program.n_rows, "upper bounds of rows")
        self._columns = np.arange(program.n_columns, dtype=np.int32)
        self._rows = np.arange(program.n_rows, dtype=np.int32)
        # the compiled class: highspy.Highs adds a modelling layer, and locks shared by all instances
        self._highs = highspy._core._Highs()
        self._start: Floats | None = None
        self._row_dual = np.zeros(program.n_rows)
        # Presolve of some integer programs writes out of bounds (1.15.1), and takes the process with it.
        self._presolve = "choose" if presolve and not self._is_mip else "off"
        self._stop = _Stop()
        for name, value in {**_OPTIONS, "presolve": self._presolve}.items():
            self._set(name, value)
        self._pass(program)
        self._check("setCallback", self._highs.setCallback(_interrupt_when(self._stop), None))
        for occasion in _OCCASIONS:
            self._check("startCallback", self._highs.startCallback(occasion))

    def _pass(self, program: Program) -> None:
        start, row, coefficient = _by_column(program)
        status = self._highs.passModel(
            self._n_columns,
            self._n_rows,
            len(row),
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            finite(program.cost, self._n_columns, "costs"),
            figures_of(program.lower, self._n_columns, "lower bounds of columns"),
            figures_of(program.upper, self._n_columns, "upper bounds of columns"),
            self._row_lower,
            self._row_upper,
            start,
            row,
            coefficient,
            self._integer.astype(np.int32),  # for linear programs too: without kinds HiGHS reads past the end (1.15.1)
        )
        self._check("passModel", status)

    def change_costs(self, cost: Floats) -> None:
        figures = finite(cost, self._n_columns, "costs")
        self._check("changeColsCost", self._highs.changeColsCost(self._n_columns, self._columns, figures))

    def change_column_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, self._n_columns, "lower bounds of columns")
        high = figures_of(upper, self._n_columns, "upper bounds of columns")
        status = self._highs.changeColsBounds(self._n_columns, self._columns, low, high)
        self._check("changeColsBounds", status)

    def change_row_bounds(self, lower: Floats, upper: Floats) -> None:
        low = figures_of(lower, self._n_rows, "lower bounds of rows")
        high = figures_of(upper, self._n_rows, "upper bounds of rows")
        change = self._highs.changeRowsBounds  # type: ignore[attr-defined]  # missing in the stubs of 1.15.1
        self._check("changeRowsBounds", change(self._n_rows, self._rows, low, high))
        self._row_lower, self._row_upper = low, high

    def add_columns(self, columns: Columns) -> None:
        """Let further columns take part from now on; they come after those there are, outside the basis.

        Those that would save something by the last duals begin at their upper bounds: so the basis stays dual feasible,
        and dual simplex goes on from there, several times sooner than primal simplex from the lower bounds.
        """
        first, count = self._n_columns, len(columns)
        start = np.searchsorted(columns.column, np.arange(count)).astype(np.int32)
        status = self._highs.addCols(
            count,
            finite(columns.cost, count, "costs"),
            figures_of(columns.lower, count, "lower bounds of columns"),
            figures_of(columns.upper, count, "upper bounds of columns"),
            len(columns.row),
            start,
            columns.row.astype(np.int32),
            finite(columns.coefficient, len(columns.row), "coefficients"),
        )
        self._check("addCols", status)
        self._n_columns += count
        self._columns = np.arange(self._n_columns, dtype=np.int32)
        self._integer = np.pad(self._integer, (0, count))
        priced = self._row_dual[columns.row] * columns.coefficient
        reduced = columns.cost - np.bincount(columns.column, weights=priced, minlength=count)
        saving = first + np.flatnonzero((reduced < 0) & np.isfinite(columns.upper))
        basis = self._highs.getBasis()
        if len(saving) and basis.valid:
            statuses = list(basis.col_status)
            for column in saving.tolist():
                statuses[column] = highspy.HighsBasisStatus.kUpper
            basis.col_status = statuses
            self._check("setBasis", self._highs.setBasis(basis))

    @property
    def basis(self) -> Basis:
        """Where columns and rows stand after the last solve."""
        basis = self._highs.getBasis()
        return Basis(list(basis.col_status), list(basis.row_status))

    def resume(self, basis: Basis) -> None:
        """Begin the next solve at ``basis``; one that does not quite fit the program is made to."""
        given = highspy.HighsBasis()
        given.col_status, given.row_status = basis.column, basis.row  # type: ignore[assignment]
        given.valid = given.alien = True
        self._check("setBasis", self._highs.setBasis(given))

    def start_from(self, x: Floats) -> None:
        """Give an integer program an answer to improve on; a linear one has its basis, and ignores this."""
        if self._is_mip:
            self._start = finite(x, self._n_columns, "starting values")

    def solve(self, limits: Limits = Limits()) -> Solution:
        """Solve what is loaded now. Ctrl-C stops HiGHS first, and then does what it always does."""
        self._set("mip_rel_gap", limits.mip_gap)
        self._set("mip_max_nodes", 2**31 - 1 if limits.mip_nodes is None else limits.mip_nodes)
        # HiGHS counts all runs of an instance together.
        self._set("time_limit", np.inf if limits.seconds is None else self._highs.getRunTime() + limits.seconds)
        if self._start is not None:
            # Given last: whatever is changed about a program makes HiGHS forget the answer it was to start from.
            self._check("setSolution", self._highs.setSolution(self._n_columns, self._columns, self._start))
        self._stop.asked = limits.stop
        with _ctrl_c_sets(self._stop.ctrl_c):
            self._run_until_clear()
        return self._read()

    @property
    def _is_mip(self) -> bool:
        return bool(self._integer.any())

    def _run_until_clear(self) -> None:
        """Run; settle without presolve what ends unclear, or what presolve says has no answer; where that is unclear
        too, try each of :data:`_AFRESH` from nothing.

        Presolve (1.15.1) takes a program for infeasible in which fixed and bounded columns miss a row by less than the
        tolerance.
        """
        ran = self._highs.run()
        is_infeasible = self._highs.getModelStatus() == HighsModelStatus.kInfeasible
        if self._presolve != "off" and (is_infeasible or not self._is_clear()):
            ran = self._run_with({})
        for otherwise in _AFRESH:
            if ran != HighsStatus.kError and self._is_clear():
                return
            self._check("clearSolver", self._highs.clearSolver())
            ran = self._run_with(otherwise)
        self._check("run", ran)

    def _is_clear(self) -> bool:
        """Whether the last run ended in a word that can be relied on: an optimum has a feasible point."""
        said = self._highs.getModelStatus()
        if said == HighsModelStatus.kOptimal and self._highs.getInfo().primal_solution_status != _FEASIBLE_POINT:
            return False
        return said in _CLEAR

    def _run_with(self, otherwise: Mapping[str, int | float]) -> HighsStatus:
        """Run without presolve, with these options for once."""
        for name, value in {"presolve": "off", **otherwise}.items():
            self._set(name, value)
        try:
            return self._highs.run()
        finally:
            for name in ("presolve", *otherwise):
                self._set(name, {**_OPTIONS, "presolve": self._presolve}[name])

    def _read(self) -> Solution:
        said = self._highs.getModelStatus()
        info = self._highs.getInfo()
        answered = info.primal_solution_status == _FEASIBLE_POINT
        status = _FINAL.get(said, Status.FAILED)
        if said in _STOPPED:
            status = Status.FEASIBLE if self._is_mip and answered else Status.STOPPED
        if said == HighsModelStatus.kModelEmpty:
            status, answered = self._empty_status(), True
        if status is Status.OPTIMAL and not answered:
            status = Status.FAILED
        message = self._highs.modelStatusToString(said)
        read = status in (Status.OPTIMAL, Status.FEASIBLE)
        nothing = np.full(self._n_columns, np.nan)
        no_duals = np.full(self._n_rows, np.nan)
        if not read:
            bound = info.mip_dual_bound if self._is_mip and status is Status.STOPPED else np.nan
            return Solution(status, message, np.nan, bound, nothing, no_duals, nothing)
        solution = self._highs.getSolution()
        x = np.array(solution.col_value, dtype=np.float64)
        objective = float(info.objective_function_value)
        if self._is_mip:
            x[self._integer] = np.round(x[self._integer])
            return Solution(status, message, objective, float(info.mip_dual_bound), x, no_duals, nothing)
        self._row_dual = row_dual = np.array(solution.row_dual, dtype=np.float64)
        reduced_cost = np.array(solution.col_dual, dtype=np.float64)
        return Solution(status, message, objective, objective, x, row_dual, reduced_cost)

    def _empty_status(self) -> Status:
        """HiGHS does not look at the rows of a program without columns: each must allow zero."""
        holds = np.all(self._row_lower <= 0) and np.all(self._row_upper >= 0)
        return Status.OPTIMAL if holds else Status.INFEASIBLE

    def _set(self, option: str, value: bool | int | float | str) -> None:
        self._check(f"setOptionValue({option!r}, {value!r})", self._highs.setOptionValue(option, value))

    def _check(self, call: str, status: HighsStatus) -> None:
        if status == HighsStatus.kError:
            said = self._highs.modelStatusToString(self._highs.getModelStatus())
            raise SolverError(
                f"HiGHS refused the call {call} for a program of {self._n_columns} columns "
                f"and {self._n_rows} rows (model status: {said})."
            )


def _by_column(program: Program) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """The entries column by column: where each column begins, rows, coefficients; those at one place are added up."""
    rows = program.rows
    height = max(program.n_rows, 1)
    place = np.asarray(rows.column) * height + rows.row
    coefficient = finite(rows.coefficient, len(rows.row), "coefficients")
    if (place[1:] <= place[:-1]).any():
        # A stable sort takes the rows as they come, block by block in the order of columns, for the few runs they are.
        order = np.argsort(place, kind="stable")
        place, coefficient = place[order], coefficient[order]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        place, coefficient = place[first], np.add.reduceat(coefficient, first)
    start = np.searchsorted(place, np.arange(program.n_columns) * height)
    return start.astype(np.int32), (place % height).astype(np.int32), coefficient


def require_whole_numbers(program: Program) -> None:
    """Solvers count integer columns in ones; :class:`SolverError` where their units are not 1."""
    if program.integer is not None and (program.unit[program.integer] != 1).any():
        raise SolverError("Integer columns must count whole numbers: load the program that scale() gives.")


def figures_of(values: NDArray[np.generic], length: int, what: str) -> Floats:
    """The values as floats; :class:`SolverError` for a wrong length or NaN: HiGHS would believe both."""
    figures = np.ascontiguousarray(values, dtype=np.float64)
    if figures.shape != (length,):
        raise SolverError(f"{what}: {figures.shape} figures where the program has {length}.")
    wrong = np.flatnonzero(np.isnan(figures))
    if len(wrong):
        raise SolverError(f"{what}: the figure at position {wrong[0]} is not a number.")
    return figures


def finite(values: NDArray[np.generic], length: int, what: str) -> Floats:
    """As :func:`figures_of`, and none of them infinite."""
    figures = figures_of(values, length, what)
    wrong = np.flatnonzero(np.isinf(figures))
    if len(wrong):
        raise SolverError(f"{what}: the figure at position {wrong[0]} is infinite.")
    return figures


class _Stop:
    """Whether a run is to end: Ctrl-C was pressed, or who gave the limits asks for it."""

    def __init__(self) -> None:
        self.ctrl_c = threading.Event()
        self.asked: threading.Event | None = None

    def is_set(self) -> bool:
        return self.ctrl_c.is_set() or (self.asked is not None and self.asked.is_set())


def _interrupt_when(stop: _Stop) -> Callable[..., None]:
    """What HiGHS calls at each of its looks; it holds no session, so that a session can be freed."""

    def look(_kind: Any, _message: str, _out: Any, answer: Any, _data: Any) -> None:
        if stop.is_set():
            answer.user_interrupt = True

    return look


@contextmanager
def _ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Hold Ctrl-C back until the solver has come to rest, then hand it to whoever handled it before.

    An exception thrown through the solver would leave it half way. Signals reach the main thread only: a
    solve in another thread is not interrupted.
    """
    stop.clear()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append((number, frame))
        stop.set()

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        before(*held[0])
