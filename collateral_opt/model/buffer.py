"""Programs that size a buffer: what one scenario needs of it, and which buffer meets the needs of enough of them.

One scenario ``s``, with ``b_k`` the value of what the buffer has of candidate ``k`` (base currency, at its price in
the scenario). Costs and shortfalls of the allocation program are left out, its flows are not:

supply      sum_{e on which candidate k leaves} x_e - b_k     <=  0
home        y_kr + sum_{e on which k leaves} x_e - b_k        <=  0
bounds      short_j = 0 for what must be met,  0 <= b_k <= most_k

Its buffers are ``P_s``, and ``h_s(a) = min a.b over P_s`` is what it needs at prices ``a``. All scenarios, of which
``q`` may be given up (``z_s`` is 1 for these; Luedtke, Mathematical Programming 146, 2014):

minimise    c.b
cut         a.b                                               >=  h_[q+1](a)
cut         a.b + (h_s(a) - h_[q+1](a)) z_s                   >=  h_s(a)      for each s that needs more than that
given up    sum_s z_s                                         <=  q

where ``h_[1] >= h_[2] >= ...`` are the needs in order: of the first ``q + 1`` at least one is met. The linear version
bounds the mean of the worst needs instead (Rockafellar, Uryasev, Journal of Risk 2, 2000), with ``L_s(b)`` the value
of cash that buffer ``b`` lacks in scenario ``s``, below zero what it has to spare:

minimise    c.b
tail        eta + sum_s w_s / m                               <=  0           for the worst m scenarios
excess      w_s  >=  L_s(b) - eta,  w_s >= 0
tangent     L_s(b)                                            >=  L_s(b0) - a.(b - b0)
reach       a.b                                               >=  h_s(a)      for each s, where cash alone is no help
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collateral_opt.model.program import Floats, Ints, Labels, Program, Rows, stack

Bools = NDArray[np.bool_]


def with_buffer(program: Program, names: Sequence[str], proceeds: Sequence[bool], must: Bools, unit: float) -> Program:
    """``program`` without costs, with a column for each candidate, and no shortfall where something ``must`` be met.

    Args:
        program: of the allocation; its last columns but for switches are shortfalls.
        names: identifier of each candidate: a holding's, or a facility's where ``proceeds``.
        proceeds: whether each is a line, of which the proceeds are used.
        must: [uses that ask] whether each must be met in full; the others may be short of everything.
        unit: size in which the buffer is thought of, base currency.
    """
    count, first = len(names), program.n_columns
    at = {("proceeds", n) if line else (n,): k for k, (n, line) in enumerate(zip(names, proceeds, strict=True))}
    rows = program.rows
    found = [
        (row, at[given])
        for row, label in enumerate(rows.labels)
        if (given := label[1:] if label[0] == "supply" else label[1:-1] if label[0] == "home" else ()) in at
    ]
    place, candidate = np.array(found, dtype=np.int64).reshape(-1, 2).T
    upper_of_rows = np.asarray(rows.upper, dtype=np.float64).copy()
    upper_of_rows[place] = 0.0
    upper = program.upper.copy()
    upper[shortfalls(program, len(must))] = np.where(must, 0.0, np.inf)
    return replace(
        program,
        column_labels=Labels(first + count, lambda: [*program.column_labels, *(("buffer", name) for name in names)]),
        lower=np.pad(program.lower, (0, count)),
        upper=np.concatenate([upper, np.full(count, np.inf)]),
        cost=np.zeros(first + count),
        unit=np.concatenate([program.unit, np.full(count, unit)]),
        rows=replace(
            rows,
            row=np.concatenate([rows.row, place]),
            column=np.concatenate([rows.column, first + candidate]),
            coefficient=np.concatenate([np.asarray(rows.coefficient, dtype=np.float64), -np.ones(len(place))]),
            upper=upper_of_rows,
        ),
        source=np.pad(program.source, (0, count), constant_values=-1),
        use=np.pad(program.use, (0, count), constant_values=-1),
    )


def shortfalls(program: Program, asking: int) -> Ints:
    """The columns of ``program`` that are shortfalls of the ``asking`` uses."""
    return np.flatnonzero((program.source == -1) & (program.use >= 0))[:asking]


@dataclass(frozen=True)
class Cut:
    """``h_s(price)`` of every scenario [scenarios], infinite where no buffer is enough."""

    price: Floats
    need: Floats


@dataclass(frozen=True)
class Ceiling:
    """``price . b <= most``: what a buffer may be worth, or cost."""

    price: Floats
    most: float


def chance(
    cost: Floats, most: Floats, cuts: Sequence[Cut], lost: Bools, give_up: int, ceilings: Sequence[Ceiling] = ()
) -> Program:
    """The least ``cost . b`` by what the cuts say, with ``give_up`` scenarios given up besides those that are ``lost``.

    Columns are ``b`` [candidates], at most ``most``, then ``z`` [scenarios] of 0 or 1.
    """
    candidates, scenarios = len(cost), len(lost)
    blocks = [
        _rows(
            "given up",
            [(np.arange(candidates, candidates + scenarios), np.ones(scenarios), -np.inf, float(give_up + lost.sum()))],
        )
    ]
    sizes: list[float] = []
    for cut in cuts:
        need = np.where(lost, -np.inf, cut.need)
        order = np.argsort(-need, kind="stable")
        floor = max(float(need[order[give_up]]), 0.0) if give_up < int((~lost).sum()) else 0.0
        sizes.append(floor / float(cut.price.max()))
        priced = np.flatnonzero(cut.price)
        entries = [(priced, cut.price[priced], floor, np.inf)]
        for s in order[:give_up].tolist():
            if need[s] > floor:
                entries.append(
                    (np.append(priced, candidates + s), np.append(cut.price[priced], need[s] - floor), need[s], np.inf)
                )
        blocks.append(_rows("cut", entries))
    blocks.append(_rows("ceiling", [(np.arange(candidates), c.price, -np.inf, c.most) for c in ceilings]))
    unit = np.ones(candidates + scenarios)
    unit[:candidates] = max(sizes, default=0.0) or float(most.max(initial=1.0))
    integer = np.zeros(candidates + scenarios, dtype=np.bool_)
    integer[candidates:] = True
    return Program(
        column_labels=[("buffer", str(k)) for k in range(candidates)] + [("lost", str(s)) for s in range(scenarios)],
        lower=np.concatenate([np.zeros(candidates), lost.astype(np.float64)]),
        upper=np.concatenate([most, np.ones(scenarios)]),
        cost=np.pad(cost, (0, scenarios)),
        rows=stack(blocks),
        unit=unit,
        integer=integer,
    )


@dataclass(frozen=True)
class Tangent:
    """``L_s(b) >= level - price . b`` for the scenario at a position."""

    scenario: int
    price: Floats
    level: float


@dataclass(frozen=True)
class Floor:
    """``price . b >= least``: less is not enough in some scenario, whatever its cash."""

    price: Floats
    least: float


def tail(
    cost: Floats, most: Floats, tangents: Sequence[Tangent], floors: Sequence[Floor], scenarios: int, worst: float
) -> Program:
    """The least ``cost . b`` whose mean lack of cash over the ``worst`` of so many ``scenarios`` is nothing.

    Columns are ``b`` [candidates], ``eta``, then an excess for each scenario that has a tangent, in their order.
    """
    candidates = len(cost)
    named = sorted({t.scenario for t in tangents})
    at = {s: candidates + 1 + k for k, s in enumerate(named)}
    eta, columns = candidates, candidates + 1 + len(named)
    excess = np.arange(candidates + 1, columns)
    size = max([t.level / max(float(t.price.max()), 1e-9) for t in tangents], default=0.0)
    size = size if size > 0 else float(most.max(initial=1.0))
    every = np.arange(candidates)
    blocks = [
        _rows("tail", [(np.append(eta, excess), np.append(1.0, np.full(len(named), 1 / worst)), -np.inf, 0.0)]),
        _rows(
            "tangent",
            [
                (np.append(every, [eta, at[t.scenario]]), np.append(t.price, [1.0, 1.0]), t.level, np.inf)
                for t in tangents
            ],
        ),
        _rows("reach", [(every, f.price, f.least, np.inf) for f in floors]),
    ]
    return Program(
        column_labels=[("buffer", str(k)) for k in range(candidates)]
        + [("eta",)]
        + [("excess", str(s)) for s in named],
        lower=np.concatenate([np.zeros(candidates), [-float(most.sum()) - size], np.zeros(len(named))]),
        upper=np.concatenate([most, np.full(1 + len(named), np.inf)]),
        cost=np.pad(cost, (0, columns - candidates)),
        rows=stack(blocks),
        unit=np.full(columns, size),
    )


def _rows(kind: str, entries: Sequence[tuple[Ints, Floats, float, float]]) -> Rows:
    """Rows of columns, coefficients, lower and upper side."""
    return Rows(
        labels=[(kind, str(number)) for number in range(len(entries))],
        row=np.repeat(np.arange(len(entries)), [len(columns) for columns, *_ in entries]),
        column=np.concatenate([np.zeros(0, np.int64), *(np.asarray(columns, np.int64) for columns, *_ in entries)]),
        coefficient=np.concatenate([np.zeros(0), *(coefficient for _, coefficient, _, _ in entries)]),
        lower=np.array([low for _, _, low, _ in entries], dtype=np.float64),
        upper=np.array([high for *_, high in entries], dtype=np.float64),
    )
