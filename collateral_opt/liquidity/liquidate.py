"""Which positions to reduce, and how fast, when sources run out: a convex schedule under impact.

``x_it >= 0`` units of position i go in period t of ``tau`` days; ``X_it`` is their sum so far. With arrival price
``P``, ``g`` and ``k`` of :class:`~collateral_opt.liquidity.impact.PowerLaw`, and ``b`` the exponent, selling costs

    sum_it P k_i x_it^(1+b)  +  sum_it P spread_i x_it  +  sum_i 1/2 P g_i X_iT^2        against the arrival price,

and by the end of each period the sales must have raised ``need_t``: the margin released, or what is received for a
position that is not margined, less what the sale costs, less the variation margin that the lower price calls on
what is left of a margined position, ``P g_i X_it (units_i - X_it)``, and less what units that are collateral elsewhere
count for less, ``P g_i X_it pledged_i covers_i``.

Every term is of one variable, so the program is linear once each convex term lies above tangents, and tangents are
added where the solution is until the costs are right to 1e-6. The last term is concave: its tangent overstates it,
which is safe, and is moved to the solution until nothing is gained; its chord understates it, and gives a bound on all
schedules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.errors import SolverError, UsageError
from collateral_opt.liquidity.impact import PUBLISHED, Market, PowerLaw
from collateral_opt.model.program import Floats, Program, Rows, scale
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.seam import Status

EXACT = 1e-6
"""How exact costs are, relative to themselves, and the money raised, relative to what is needed."""
_ROUNDS = 60


@dataclass(frozen=True)
class Position:
    """What can be reduced, as it stands under the stress.

    ``units`` is signed (a short position is bought back), ``price`` the money a unit is worth, ``initial_margin`` the
    requirement on all of it. ``adv`` (units a day), ``volatility`` (a day), ``turnover`` and ``spread_bps`` as in
    :class:`~collateral_opt.liquidity.impact.Market`. One that is not ``margined`` brings its price when it is sold.
    ``pledged`` units are there besides, but delivered as collateral and not to be sold: a fall of the price takes from
    them too, and calls ``covers`` of that, what a unit of their value counts as collateral.
    """

    position_id: str
    units: float
    price: float
    initial_margin: float
    adv: float
    volatility: float
    turnover: float = 1.0
    spread_bps: float = 0.0
    margined: bool = True
    pledged: float = 0.0
    covers: float = 1.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value:g} (must be {rule})"
            for name, value, fine, rule in (
                ("price", self.price, self.price > 0, "> 0"),
                ("initial_margin", self.initial_margin, self.initial_margin >= 0, ">= 0"),
                ("adv", self.adv, self.adv > 0, "> 0"),
                ("daily_volatility", self.volatility, self.volatility >= 0, ">= 0"),
                ("turnover", self.turnover, self.turnover > 0, "> 0"),
                ("spread_bps", self.spread_bps, self.spread_bps >= 0, ">= 0"),
                ("pledged", self.pledged, self.pledged >= 0, ">= 0"),
                ("covers", self.covers, self.covers >= 0, ">= 0"),
            )
            if not fine
        ]
        if wrong:
            raise UsageError(f"position {self.position_id}: {'; '.join(wrong)}.")

    @property
    def value(self) -> float:
        """What all of it is worth at its price, without sign."""
        return abs(self.units) * self.price


def market_of(positions: Sequence[Position]) -> Market:
    """How liquid they are."""
    return Market(
        adv=np.array([p.adv for p in positions]),
        volatility=np.array([p.volatility for p in positions]),
        turnover=np.array([p.turnover for p in positions]),
        spread_bps=np.array([p.spread_bps for p in positions]),
    )


@dataclass(frozen=True, eq=False)
class Schedule:
    """The sales that raise what is needed at the least cost.

    Attributes:
        sales: a row a sale: position_id, period (from 1), quantity (signed as the position: what is given up), price
            (the average received), proceeds (of what is not margined), margin_released (at the arrival price), cost.
        ranking: a row a position, best first: position_id, rank, raised_per_cost (money raised for one of cost, by
            selling the first tenth of what a period's cap allows), days_to_sell (all of it, at the cap), sold (units).
        raised: by period, what the sales have raised until then.
        unmet: by period, what they lack of the need, though all that helps is sold.
        cost: against the arrival price; with ``risk_aversion``, without what risk weighs.
        objective: what was minimised (``cost``, and what risk weighs).
        bound: no schedule that raises as much has a lower objective.
    """

    sales: pd.DataFrame
    ranking: pd.DataFrame
    raised: tuple[float, ...]
    unmet: tuple[float, ...]
    cost: float
    objective: float
    bound: float

    @property
    def gap(self) -> float:
        """How far the objective may lie above the least, relative to it."""
        return max(0.0, self.objective - self.bound) / self.objective if self.objective > 0 else 0.0


def schedule(
    positions: Sequence[Position],
    need: float | Sequence[float],
    periods: int = 1,
    impact: PowerLaw = PUBLISHED,
    *,
    days: float = 1.0,
    participation: float = 1.0,
    everything: bool = False,
    risk_aversion: float = 0.0,
) -> Schedule:
    """The cheapest sales that raise ``need`` (one figure: by the end; or one a period: by the end of each).

    A period lasts ``days`` and takes at most ``participation`` of the volume that trades in it. With ``everything``
    all is sold by the end whatever is needed. ``risk_aversion`` weighs the variance of what is left at the end of each
    period, ``(price * volatility * units)^2 * days``, per unit of money (Almgren and Chriss 2000). Where the need
    cannot be met, as much of it is met as can be.

    :raises UsageError: no positions or periods, a participation outside (0, 1], or ``everything`` in too little time.
    """
    needs = _needs(need, periods)
    if not positions:
        raise UsageError("There is no position that could be reduced: none has adv and daily_volatility.")
    if not 0 < participation <= 1 or days <= 0:
        raise UsageError(f"participation is {participation:g} (above 0, at most 1), days {days:g} (above 0).")
    case = _Case(positions, needs, impact, days, participation, everything, risk_aversion)
    short = [
        p.position_id
        for p, cap in zip(positions, case.cap, strict=True)
        if everything and cap * periods < abs(p.units) * (1 - 1e-12)
    ]
    if short:
        raise UsageError(
            f"{', '.join(short)} cannot be sold in {periods} periods at {participation:.0%} of the volume. "
            "Allow more of either."
        )
    sold, lacking = _sold(case)
    _, bound_of = _Master(case, case.chord, lacking).solved()
    return _told(case, sold, lacking, bound_of)


def ranking(
    positions: Sequence[Position], impact: PowerLaw, days: float = 1.0, participation: float = 1.0
) -> pd.DataFrame:
    """Positions by what a first sale raises for one of cost, best first; then by how soon all could be sold.

    The first sale is a tenth of what the cap allows in one period (impact has no slope at nothing), or of the position.
    """
    case = _Case(positions, np.zeros(1), impact, days, participation, False, 0.0)
    first = (np.minimum(case.cap, case.units) / 10)[:, None]
    cost, raised = case.cost(first), case.raised_by(first)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_cost = np.where(cost > 0, raised / cost, np.where(raised > 0, np.inf, 0.0))
    table = pd.DataFrame(
        {
            "position_id": [p.position_id for p in positions],
            "raised_per_cost": per_cost,
            "days_to_sell": case.units / case.market.adv / participation,
        }
    )
    table = table.sort_values(["raised_per_cost", "days_to_sell", "position_id"], ascending=[False, True, True])
    table.insert(1, "rank", np.arange(1, len(table) + 1))
    return table.reset_index(drop=True)


def _needs(need: float | Sequence[float], periods: int) -> Floats:
    if periods < 1:
        raise UsageError(f"A schedule has at least one period, not {periods}.")
    given = np.atleast_1d(np.asarray(need, dtype=np.float64))
    if len(given) == 1:
        given = np.concatenate([np.zeros(periods - 1), given])
    if len(given) != periods or not np.isfinite(given).all():
        raise UsageError(f"need has {len(given)} figures, and there are {periods} periods; give one for each, or one.")
    return np.maximum(given, 0.0)


class _Case:
    """The figures of a schedule, by position and period."""

    def __init__(
        self,
        positions: Sequence[Position],
        need: Floats,
        impact: PowerLaw,
        days: float,
        participation: float,
        everything: bool,
        risk_aversion: float,
    ) -> None:
        self.positions = positions
        self.need = need
        self.days = days
        self.participation = participation
        self.periods = len(need)
        self.everything = everything
        self.impact = impact
        self.market = market_of(positions)
        self.units = np.array([abs(p.units) for p in positions])
        self.price = np.array([p.price for p in positions])
        self.margined = np.array([p.margined for p in positions])
        self.short = np.array([p.units < 0 for p in positions])
        self.cap = self.market.adv * days * participation
        self.slope = self.price * impact.slope(self.market)
        self.curve = self.price * impact.curvature(days, self.market)
        self.spread = self.price * self.market.spread_bps / 2e4
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(self.units > 0, np.array([p.initial_margin for p in positions]) / self.units, 0.0)
        paid = np.where(self.short, -self.price, self.price)  # buying back costs the price
        # what is pledged counts for less with each unit sold
        lost = self.slope * np.array([p.pledged * p.covers for p in positions])
        self.releases = margin
        self.brings = np.where(self.margined, margin, paid) - lost
        self.risk = risk_aversion * (self.price * self.market.volatility) ** 2 * days

    @property
    def chord(self) -> tuple[Floats, Floats]:
        """The variation margin on what is left is at least this [positions, periods]. Intercept and slope.

        It is concave, so the chord from nothing to the most that can be sold by then lies below it.
        """
        most = np.minimum(self.units[:, None], self.cap[:, None] * np.arange(1, self.periods + 1))
        slope = (self.slope * self.margined)[:, None] * (self.units[:, None] - most)
        return np.zeros_like(slope), slope

    def tangent(self, so_far: Floats) -> tuple[Floats, Floats]:
        """It is at most this, and just this at ``so_far`` [positions, periods]. Intercept and slope."""
        g, units = self.slope[:, None] * self.margined[:, None], self.units[:, None]
        return g * so_far**2, g * (units - 2 * so_far)

    def execution(self, sales: Floats) -> Floats:
        """What lasts as long as the sale does, and the spread [positions, periods]."""
        return np.asarray(self.curve[:, None] * sales ** (1 + self.impact.exponent) + self.spread[:, None] * sales)

    def cost(self, sales: Floats) -> Floats:
        """By position, against the arrival price."""
        return np.asarray(self.execution(sales).sum(axis=1) + 0.5 * self.slope * sales.sum(axis=1) ** 2)

    def raised_by(self, sales: Floats) -> Floats:
        """By position and period, what sales so far have raised."""
        so_far = sales.cumsum(axis=1)
        left = np.where(self.margined[:, None], self.units[:, None] - so_far, 0.0)
        return np.asarray(
            self.brings[:, None] * so_far
            - self.execution(sales).cumsum(axis=1)
            - 0.5 * self.slope[:, None] * so_far**2
            - self.slope[:, None] * so_far * left
        )

    def weighed_risk(self, sales: Floats) -> float:
        return float((self.risk[:, None] * (self.units[:, None] - sales.cumsum(axis=1)) ** 2).sum())

    def objective(self, sales: Floats) -> float:
        return float(self.cost(sales).sum()) + self.weighed_risk(sales)


def _sold(case: _Case) -> tuple[Floats, Floats]:
    """Sales [positions, periods], and what is lacking of the need by period.

    The tangent of the variation margin on what is left is moved to the solution until the objective falls no further:
    each solution is feasible for the next, so it never rises.
    """
    nothing = np.zeros((len(case.units), case.periods))
    line = case.tangent(nothing)
    sold, lacking = _Master(case, line, None).solved()[0], np.zeros(case.periods)
    for _ in range(_ROUNDS):
        lacking = np.maximum(case.need - case.raised_by(sold).sum(axis=0), 0.0)
        if lacking.max(initial=0.0) <= EXACT * case.need.max(initial=0.0):
            break
        before, sold = lacking.sum(), _Master(case, case.tangent(sold.cumsum(axis=1)), None).solved()[0]
        after = np.maximum(case.need - case.raised_by(sold).sum(axis=0), 0.0).sum()
        if after >= before * (1 - EXACT):
            break
    lacking = np.maximum(case.need - case.raised_by(sold).sum(axis=0), 0.0)
    least = np.inf
    for _ in range(_ROUNDS):
        line = case.tangent(sold.cumsum(axis=1))
        found, _ = _Master(case, line, lacking).solved()
        objective = case.objective(found)
        if objective >= least * (1 - EXACT / 10):
            break
        least, sold = objective, found
    return sold, np.where(lacking > EXACT * case.need.max(initial=0.0), lacking, 0.0)


class _Master:
    """The program under tangents. Columns: sales x, their cost u, so far permanent p and risk r, then what is lacking.

    ``lacking`` None: minimise what is lacking, not the cost.
    """

    def __init__(self, case: _Case, line: tuple[Floats, Floats], lacking: Floats | None) -> None:
        self.case, self.line, self.lacking = case, line, lacking
        n, t = len(case.units), case.periods
        self.shape = (n, t)
        self.x, self.u, self.p, self.r = (np.arange(n * t).reshape(n, t) + k * n * t for k in range(4))
        self.lack = np.arange(4 * n * t, 4 * n * t + t)
        self.columns = 4 * n * t + t
        most = np.minimum(case.cap, case.units)
        # where convex terms have tangents from the start: more of them where they bend
        steps = np.array([0.01, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0])
        self.at_sale = np.repeat((most[:, None] * steps)[:, None, :], t, axis=1)
        self.at_sum = np.repeat((case.units[:, None] * steps)[:, None, :], t, axis=1)
        self.fixed = self._fixed_rows()

    def solved(self) -> tuple[Floats, float]:
        """Sales [positions, periods], and the least that the objective can be under this line."""
        case = self.case
        for _ in range(_ROUNDS):
            x, value = self._solution()
            so_far = x.cumsum(axis=1)
            u = case.curve[:, None] * x ** (1 + case.impact.exponent)
            p = 0.5 * case.slope[:, None] * so_far**2
            r = case.risk[:, None] * (case.units[:, None] - so_far) ** 2
            off = float((np.maximum(u - self.told[0], 0) + np.maximum(r - self.told[2], 0)).sum())
            off += float(np.maximum(p - self.told[1], 0)[:, -1].sum())
            money = float(
                (np.maximum(u - self.told[0], 0).sum(axis=1) + np.maximum(p - self.told[1], 0).max(axis=1)).sum()
            )
            whole = float((u + r).sum() + p[:, -1].sum())
            if off <= EXACT * whole and money <= EXACT * max(case.need.max(initial=0.0), whole):
                break
            self.at_sale = np.concatenate([self.at_sale, x[:, :, None]], axis=2)
            self.at_sum = np.concatenate([self.at_sum, so_far[:, :, None]], axis=2)
        return x, value

    def _solution(self) -> tuple[Floats, float]:
        case = self.case
        n, t = self.shape
        cost, lower, upper = np.zeros(self.columns), np.zeros(self.columns), np.full(self.columns, np.inf)
        upper[self.x] = np.minimum(case.cap, case.units)[:, None]
        unit = np.ones(self.columns)
        unit[self.x] = np.maximum(np.minimum(case.cap, case.units), 1e-9)[:, None]
        money = max(case.need.max(initial=0.0), float(case.cost(np.minimum(case.cap, case.units)[:, None]).max()), 1e-9)
        unit[n * t :] = money
        if self.lacking is None:
            cost[self.lack] = 1.0
        else:
            upper[self.lack] = self.lacking + EXACT / 10 * case.need.max(initial=0.0) * (self.lacking > 0)
            cost[self.u] = 1.0
            cost[self.x] = case.spread[:, None]
            cost[self.p[:, -1]] = 1.0
            cost[self.r] = 1.0
        rows = _joined([self.fixed, *self._tangents()])
        program = Program(
            column_labels=[(str(c),) for c in range(self.columns)],
            lower=lower,
            upper=upper,
            cost=cost,
            rows=rows,
            unit=unit,
        )
        scaled, scaling = scale(program)
        found = HighsSolver().load_growing(scaled).solve()
        if found.status is not Status.OPTIMAL:
            raise SolverError(f"The schedule of sales was not solved: {found.message}.")
        x = found.x * scaling.column
        self.told = x[self.u], x[self.p], x[self.r]
        return np.clip(x[self.x], 0.0, upper[self.x]), float(cost @ x)

    def _fixed_rows(self) -> Rows:
        """What is sold in all, and what is raised by the end of each period."""
        case = self.case
        n, t = self.shape
        entries: list[tuple[int, int, float]] = [(i, int(c), 1.0) for i in range(n) for c in self.x[i]]
        low = np.where(case.everything, case.units, 0.0)
        intercept, slope = self.line
        for k in range(t):
            row = n + k
            for i in range(n):
                for c in range(k + 1):
                    entries.append((row, int(self.x[i, c]), case.brings[i] - case.spread[i] - slope[i, k]))
                    entries.append((row, int(self.u[i, c]), -1.0))
                entries.append((row, int(self.p[i, k]), -1.0))
            entries.append((row, int(self.lack[k]), 1.0))
        raised = case.need + intercept.sum(axis=0)
        raised = np.where(case.need > 0, raised, -np.inf)
        row_, column, coefficient = (np.array(a) for a in zip(*entries, strict=True))
        return _rows(
            row_, column, coefficient, np.concatenate([low, raised]), np.concatenate([case.units, np.full(t, np.inf)])
        )

    def _tangents(self) -> list[Rows]:
        """Each convex term above its tangents: ``value - f'(a) x >= f(a) - f'(a) a``."""
        case, b = self.case, 1 + self.case.impact.exponent
        a, s = self.at_sale, self.at_sum
        curve, slope, risk = case.curve[:, None, None], case.slope[:, None, None], case.risk[:, None, None]
        u_steep = b * curve * a ** (b - 1)
        p_steep = slope * s
        left = case.units[:, None, None] - s
        return [
            self._above(self.u, u_steep, curve * a**b - u_steep * a, False),
            self._above(self.p, p_steep, 0.5 * slope * s**2 - p_steep * s, True),
            self._above(self.r, -2 * risk * left, risk * left**2 + 2 * risk * left * s, True)
            if risk.any()
            else _rows(*(np.zeros(0, dtype=np.int64),) * 2, np.zeros(0), np.zeros(0), np.zeros(0)),
        ]

    def _above(self, value: NDArray[np.int64], steep: Floats, floor: Floats, summed: bool) -> Rows:
        n, t, k = steep.shape
        rows = np.arange(n * t * k).reshape(n, t, k)
        row, column, coefficient = [rows.ravel()], [np.repeat(value.ravel(), k)], [np.ones(n * t * k)]
        for period in range(t):
            for so_far in range(period + 1) if summed else (period,):
                row.append(rows[:, period].ravel())
                column.append(np.repeat(self.x[:, so_far], k))
                coefficient.append(-steep[:, period].ravel())
        return _rows(
            np.concatenate(row),
            np.concatenate(column),
            np.concatenate(coefficient),
            floor.ravel(),
            np.full(n * t * k, np.inf),
        )


def _rows(row: NDArray[np.int64], column: NDArray[np.int64], coefficient: Floats, lower: Floats, upper: Floats) -> Rows:
    return Rows(
        [(str(r),) for r in range(len(lower))], row.astype(np.int64), column.astype(np.int64), coefficient, lower, upper
    )


def _joined(blocks: Sequence[Rows]) -> Rows:
    at = np.cumsum([0, *(len(b) for b in blocks)])
    return _rows(
        np.concatenate([b.row + start for b, start in zip(blocks, at[:-1], strict=True)]),
        np.concatenate([b.column for b in blocks]),
        np.concatenate([np.asarray(b.coefficient, dtype=np.float64) for b in blocks]),
        np.concatenate([np.asarray(b.lower, dtype=np.float64) for b in blocks]),
        np.concatenate([np.asarray(b.upper, dtype=np.float64) for b in blocks]),
    )


def _told(case: _Case, sold: Floats, lacking: Floats, bound: float) -> Schedule:
    sold = np.where(sold > 1e-9 * case.units[:, None], sold, 0.0)
    so_far = sold.cumsum(axis=1)
    execution = case.execution(sold)
    permanent = 0.5 * case.slope[:, None] * np.diff(np.pad(so_far, ((0, 0), (1, 0))) ** 2, axis=1)
    cost = execution + permanent
    sign = np.where(case.short, -1.0, 1.0)
    at_i, at_t = np.nonzero(sold)
    quantity, paid = sold[at_i, at_t], cost[at_i, at_t]
    price = case.price[at_i] - sign[at_i] * paid / quantity
    margined = case.margined[at_i]
    sales = pd.DataFrame(
        {
            "position_id": [case.positions[int(i)].position_id for i in at_i],
            "period": at_t + 1,
            "quantity": sign[at_i] * quantity,
            "price": price,
            "proceeds": np.where(margined, 0.0, sign[at_i] * quantity * price),
            "margin_released": np.where(margined, case.releases[at_i] * quantity, 0.0),
            "cost": paid,
        }
    ).sort_values(["period", "position_id"], ignore_index=True)
    table = ranking(case.positions, case.impact, case.days, case.participation)
    total = dict(zip([p.position_id for p in case.positions], sold.sum(axis=1).tolist(), strict=True))
    table["sold"] = table["position_id"].map(total)
    objective = case.objective(sold)
    return Schedule(
        sales=sales,
        ranking=table,
        raised=tuple(case.raised_by(sold).sum(axis=0).tolist()),
        unmet=tuple(lacking.tolist()),
        cost=float(cost.sum()),
        objective=objective,
        bound=min(bound, objective),
    )
