"""HiGHS on the full program, handed over as arrays: nothing is spent on modelling."""

from __future__ import annotations

import highspy
import numpy as np

from tests.benchmarks.peers.program import Allocation


def solve(program: Allocation) -> float:
    """The optimum in millions times yearly basis points.

    :raises RuntimeError: HiGHS did not find it optimal.
    """
    pairs, n = np.arange(program.n_pairs), program.n_pairs
    uses, sources, totals, limits = map(len, (program.required, program.available, program.total_row, program.cap))
    totals = program.n_totals
    supply, total, limit = np.cumsum([uses, sources, totals])
    shared = np.flatnonzero(program.total >= 0)
    parts = [
        (program.use, pairs, program.factor),
        (supply + program.source, pairs, np.ones(n)),
        (total + program.total_row, program.total_pair, program.total_weight),
        (total + np.arange(totals), n + np.arange(totals), -np.ones(totals)),
        (limit + program.limit_row, program.limit_pair, program.limit_weight),
        (limit + shared, n + program.total[shared], -program.share[shared]),
    ]
    row, column, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(column, kind="stable")
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n + totals, uses + sources + totals + limits
    lp.col_cost_ = np.concatenate([program.cost_bps, np.zeros(totals)])
    lp.col_lower_ = np.zeros(n + totals)
    lp.col_upper_ = np.concatenate([program.most, np.full(totals, np.inf)])
    equal = [program.required, np.zeros(totals)]
    lp.row_lower_ = np.concatenate([equal[0], np.full(sources, -np.inf), equal[1], np.full(limits, -np.inf)])
    lp.row_upper_ = np.concatenate([equal[0], program.available, equal[1], program.cap])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.searchsorted(column[order], np.arange(n + totals + 1))
    lp.a_matrix_.index_, lp.a_matrix_.value_ = row[order], weight[order]
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(lp)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(highs.modelStatusToString(highs.getModelStatus()))
    return float(highs.getInfo().objective_function_value)
