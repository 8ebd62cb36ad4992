"""linopy with HiGHS: sums over groups in its sparse form, the model handed over in memory."""

from __future__ import annotations

import linopy
import numpy as np
import pandas as pd

from tests.benchmarks.peers.program import Allocation, Floats, Ints

linopy.options["semantics"] = "v1"  # the sparse form asks for it


def solve(program: Allocation) -> float:
    """The optimum in millions times yearly basis points.

    :raises RuntimeError: HiGHS did not find it optimal.
    """
    model = linopy.Model(sparse=True)
    every = np.arange(program.n_pairs)
    x = model.add_variables(lower=0, upper=_along("pair", program.most), name="x")
    total = model.add_variables(lower=0, coords=[pd.RangeIndex(program.n_totals, name="total")], name="total")
    model.add_objective((_along("pair", program.cost_bps) * x).sum())

    def summed(weight: Floats, pair: Ints, row: Ints) -> linopy.LinearExpression:
        """``sum(weight * x[pair])`` for each row."""
        entries = pd.RangeIndex(len(pair), name="entry")
        taken = x.isel(pair=pair).rename(pair="entry").assign_coords(entry=entries)
        groups = (_along("entry", weight) * taken).groupby(pd.Series(row, entries, name="row"))
        sums: linopy.LinearExpression = groups.sum()
        return sums

    model.add_constraints(summed(program.factor, every, program.use) == _along("row", program.required))
    drawn = np.unique(program.source)
    supply = pd.Series(program.available[drawn], pd.Index(drawn, name="row"))
    model.add_constraints(summed(np.ones(program.n_pairs), every, program.source) <= supply)
    if program.n_totals:
        counted = summed(program.total_weight, program.total_pair, program.total_row)
        model.add_constraints(counted - total.rename(total="row") == 0)
    for t in np.unique(program.total):
        rows = np.flatnonzero(program.total == t)
        inside = np.isin(program.limit_row, rows)
        counted = summed(program.limit_weight[inside], program.limit_pair[inside], program.limit_row[inside])
        if t >= 0:
            counted = counted - pd.Series(program.share[rows], pd.Index(rows, name="row")) * total.isel(total=t)
        model.add_constraints(counted <= pd.Series(program.cap[rows], pd.Index(rows, name="row")))
    status, condition = model.solve("highs", io_api="direct", threads=1, output_flag=False)
    if status != "ok":
        raise RuntimeError(condition)
    return float(model.objective.value or 0.0)


def _along(name: str, values: Floats) -> pd.Series:
    return pd.Series(values, pd.RangeIndex(len(values), name=name))
