"""A small linear program: the greatest sum of bounded variables under rows, solved by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highspy
import numpy as np

Row = tuple[Sequence[int], Sequence[float], float]
"""Columns, their coefficients, and the most that the row may come to."""


class Unsolved(Exception):
    """The solver ended without an optimum."""


def greatest_sum(
    upper: Sequence[float], rows: Sequence[Row], sums: Sequence[tuple[Sequence[int], Sequence[float]]]
) -> float:
    """max of the sum of x over 0 <= x <= ``upper`` under ``rows``; for ``sums`` and errors see :func:`greatest`."""
    return greatest(upper, rows, sums)[0]


def greatest(
    upper: Sequence[float], rows: Sequence[Row], sums: Sequence[tuple[Sequence[int], Sequence[float]]]
) -> tuple[float, list[float]]:
    """max of the sum of x over 0 <= x <= ``upper`` under ``rows``, and an x that reaches it.

    Column n + i, for n variables, is the i-th of ``sums``: that combination of x, for rows to refer to. All figures
    should be scaled to about one. Raises :class:`Unsolved`.
    """
    n, infinity = len(upper), highspy.kHighsInf
    columns = [*(list(at) for at, _, _ in rows), *([*at, n + i] for i, (at, _) in enumerate(sums))]
    values = [*(list(weights) for _, weights, _ in rows), *([*weights, -1.0] for _, weights in sums)]
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = n + len(sums), len(columns)
    program.sense_ = highspy.ObjSense.kMaximize
    program.col_cost_ = np.array([1.0] * n + [0.0] * len(sums))
    program.col_lower_ = np.zeros(n + len(sums))
    program.col_upper_ = np.array([*upper, *[infinity] * len(sums)])
    program.row_lower_ = np.array([-infinity] * len(rows) + [0.0] * len(sums))
    program.row_upper_ = np.array([most for _, _, most in rows] + [0.0] * len(sums))
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.concatenate([[0], np.cumsum([len(row) for row in columns])])
    program.a_matrix_.index_ = np.array([column for row in columns for column in row])
    program.a_matrix_.value_ = np.array([value for row in values for value in row])
    for presolve in ("choose", "off"):
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("presolve", presolve),
            ("primal_feasibility_tolerance", 1e-9),
            ("dual_feasibility_tolerance", 1e-9),
        ):
            solver.setOptionValue(option, value)
        solver.passModel(program)
        solver.run()
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            found = list(solver.getSolution().col_value)[:n]
            return float(solver.getInfo().objective_function_value), found
    raise Unsolved(f"the solver says {solver.modelStatusToString(status)}")
