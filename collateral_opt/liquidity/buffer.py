"""The smallest buffer, or the cheapest, that survives a share of scenarios: one program over all of them.

>>> import pandas as pd
>>> from collateral_opt import Book, Change
>>> book = Book.from_tables(
...     {
...         "assets": pd.DataFrame({"asset_id": ["USD"], "asset_type": ["cash"], "currency": ["USD"]}),
...         "holdings": pd.DataFrame({"holding_id": ["H"], "asset_id": ["USD"], "quantity": [2e6]}),
...         "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["CCP"], "schedule": ["cash"]}),
...         "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["A"], "amount": [1e6], "currency": ["USD"]}),
...     },
...     settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD"},
...     schedules={"cash": {"rules": [{"label": "cash", "when": {"asset_type": "cash"}, "haircut": 0}]}},
... )
>>> scenarios = [Change(f"s{n}", calls={"C": amount}) for n, amount in enumerate([2e6, 3e6, 5e6, 10e6])]
>>> plan = size_buffer(book, scenarios, [Candidate("cash", "USD", cost_bps=50)], share=0.75)
>>> plan.value, plan.cost_a_year, plan.short
(3000000.0, 15000.0, ('s3',))
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil, floor
from typing import Literal

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import SolverError, UsageError
from collateral_opt.liquidity.needs import BASIS_POINTS, Candidate, Needs, Progress, Scenarios, lot_values
from collateral_opt.model.buffer import Bools, Ceiling, Cut, chance
from collateral_opt.model.program import Floats, Program, scale
from collateral_opt.solve.highs import HighsSolver
from collateral_opt.solve.seam import Limits, Solution, Status

__all__ = ["BufferPlan", "Candidate", "Needs", "NotToBeHadError", "Sizing", "curve", "size_buffer"]

Aim = Literal["value", "cost"]
NEARLY = 1e-7
"""Less than this is no reason for another round: it is added to the buffer."""
CLOSED = 1e-6
"""A buffer within this share of what is proven is the smallest."""
MIP_GAP = 1e-7
ROUNDS = 200


class NotToBeHadError(UsageError):
    """No buffer of these candidates survives so many of the scenarios."""


@dataclass(frozen=True)
class BufferPlan:
    """A buffer, and what it does in the scenarios that it was sized over.

    Values are in base currency at today's prices. A scenario is survived where every call is met, by the linear
    program (whole lots aside) and without sale of assets.

    Attributes:
        aim: ``value``: of the smallest buffers a cheapest one; ``cost``: the cheapest; ``cvar``: the cheapest for which
            the mean lack of cash over the worst scenarios is nothing.
        share: of scenarios that was asked for.
        values: of each candidate by name.
        quantities: the same in units of the asset (a line: its capacity, in its currency), rounded up to whole lots.
        value: of the whole buffer.
        cost_a_year: what having it costs, used or not.
        bound: what no such buffer is below: in base currency, of value (aim ``value``) or cost a year.
        gap: how far the buffer may be above that, as a share of what it comes to; 0 is proven.
        scenarios: how many there are.
        short: those that the buffer does not survive, ``lost`` among them.
        lost: those that no buffer of these candidates survives.
        rounds: of cuts.
    """

    aim: str
    share: float
    values: Mapping[str, float]
    quantities: Mapping[str, float]
    value: float
    cost_a_year: float
    bound: float
    gap: float
    scenarios: int
    short: tuple[str, ...]
    lost: tuple[str, ...]
    rounds: int

    @property
    def survived(self) -> int:
        """How many scenarios the buffer survives."""
        return self.scenarios - len(self.short)


def size_buffer(
    book: Book,
    changes: Scenarios | Needs,
    candidates: Sequence[Candidate],
    share: float,
    aim: Aim = "value",
    *,
    horizon: pd.Timedelta | None = None,
    keep_reserves: bool = False,
    instead_of: Sequence[str] = (),
    seconds: float | None = None,
    progress: Progress | None = None,
) -> BufferPlan:
    """The smallest buffer (``aim`` ``value``; of several a cheapest one), or the cheapest (``cost``).

    It survives ``share`` of the scenarios at least: all but ``floor((1 - share) * scenarios)``.

    Args:
        book: today's, without the buffer.
        changes: the scenarios: changes of ``book`` or books of their own; or all of it, loaded (``Needs``).
        candidates: what it may be made of.
        share: from 0 to 1.
        horizon: calls due later than so long after ``as_of`` are not looked at.
        keep_reserves: a scenario in which a reserve is short is not survived.
        instead_of: holdings that the buffer takes the place of: it is sized without them.
        seconds: stop then, with the best buffer so far and its gap.
        progress: told what is done.

    Raises:
        UsageError: a candidate or scenario does not fit the book, or no buffer survives that many.
        BookError: a scenario has an error.
        SolverError: the solver gave up, or time was up before there was a buffer.
    """
    if aim not in ("value", "cost"):
        raise UsageError(f"aim {aim!r} is neither value nor cost.")
    needs = (
        changes
        if isinstance(changes, Needs)
        else Needs(
            book,
            changes,
            candidates,
            horizon=horizon,
            keep_reserves=keep_reserves,
            instead_of=instead_of,
            progress=progress,
        )
    )
    until = None if seconds is None else time.monotonic() + seconds
    return Sizing(needs, progress).plan(book, share, aim, until)


def curve(
    book: Book,
    changes: Scenarios | Needs,
    candidates: Sequence[Candidate],
    shares: Iterable[float] = (0.8, 0.85, 0.9, 0.95, 0.99, 1.0),
    aim: Aim = "cost",
    *,
    seconds: float | None = None,
    progress: Progress | None = None,
    **how: object,
) -> pd.DataFrame:
    """What a buffer costs against the share of scenarios survived.

    Needs are found once: what a scenario needs does not depend on how many are to be survived. ``seconds`` and
    ``how`` as in :func:`size_buffer`, ``seconds`` for each share.

    Returns:
        A row a share, in rising order: share, value, cost_a_year, bound, gap, survived (float64, NaN where no buffer
        survives so many), then the value of each candidate under its name.

    Raises:
        As :func:`size_buffer`.
    """
    needs = changes if isinstance(changes, Needs) else Needs(book, changes, candidates, progress=progress, **how)  # type: ignore[arg-type]
    sizing = Sizing(needs, progress)
    rows: list[dict[str, float]] = []
    for share in sorted(shares):
        row = {"share": share, **dict.fromkeys(("value", "cost_a_year", "bound", "gap", "survived"), np.nan)}
        row |= dict.fromkeys((c.name for c in needs.candidates), np.nan)
        if given_up(share, len(needs)) >= int(sizing.lost.sum()):
            until = None if seconds is None else time.monotonic() + seconds
            plan = sizing.plan(book, share, aim, until)
            row |= {
                "value": plan.value,
                "cost_a_year": plan.cost_a_year,
                "bound": plan.bound,
                "gap": plan.gap,
                "survived": float(plan.survived),
                **plan.values,
            }
        rows.append(row)
    return pd.DataFrame(rows).astype("float64")


def given_up(share: float, scenarios: int) -> int:
    """How many scenarios need not be survived: all beyond ``share`` of them."""
    if not 0 <= share <= 1:
        raise UsageError(f"share {share!r} is not between 0 and 1.")
    return floor((1 - share) * scenarios + 1e-9)


@dataclass(frozen=True)
class Sized:
    """A buffer that is enough, and what none is below, in what was minimised."""

    buffer: Floats
    bound: float
    rounds: int


@dataclass
class Sizing:
    """Needs, and the cuts that have been found of them so far: they hold for every share and aim."""

    needs: Needs
    progress: Progress | None = None
    cuts: list[Cut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scenarios = list(range(len(self.needs)))
        first = self._cut(np.ones(len(self.needs.candidates)))
        self.lost: Bools = ~np.isfinite(first.need)
        self._scenarios = np.flatnonzero(~self.lost).tolist()
        self.rates = rates(self.needs)
        if (self.rates > 0).any():
            self._cut(self.rates / self.rates.max())

    def plan(self, book: Book, share: float, aim: Aim, until: float | None = None) -> BufferPlan:
        """As :func:`size_buffer`."""
        give_up = given_up(share, len(self.needs))
        require_enough(self.needs, self.lost, share)
        if aim == "cost" and not (self.rates > 0).any():
            raise UsageError("no candidate costs anything: give their cost_bps, or size by value.")
        ones = np.ones(len(self.rates))
        found = self._least(ones if aim == "value" else self.rates, give_up, (), until)
        if found is None:
            raise SolverError("sizing ended before there was a buffer. Give more seconds, or fewer scenarios.")
        sized, bound = found, found.bound
        if aim == "value" and len(self.rates) > 1 and np.ptp(self.rates) > 0:
            sized = self._cheaper(sized, give_up, until)
        return plan_of(book, self.needs, share, aim, sized.buffer, bound, sized.rounds, self.lost)

    def _cheaper(self, sized: Sized, give_up: int, until: float | None) -> Sized:
        """Of the buffers that are no larger than ``sized``, a cheapest one."""
        ones = np.ones(len(self.rates))
        for room in (0.0, CLOSED):
            ceiling = Ceiling(ones, float(ones @ sized.buffer) * (1 + room))
            found = self._least(self.rates, give_up, (ceiling,), until)
            if found is not None:
                return replace(found, rounds=sized.rounds + found.rounds)
        return sized

    def _cut(self, price: Floats) -> Cut:
        cut = Cut(price, self.needs.all_least(price, self._scenarios))
        self.cuts.append(cut)
        return cut

    def _least(self, cost: Floats, give_up: int, ceilings: Sequence[Ceiling], until: float | None) -> Sized | None:
        """The least ``cost . b`` that survives all but ``give_up``: cuts join until enough scenarios are survived."""
        needs, more = self.needs, give_up - int(self.lost.sum())
        best, bound, number = None, 0.0, 0
        while best is None and number < ROUNDS and not (number and until is not None and time.monotonic() >= until):
            number += 1
            master = chance(cost, needs.most, self.cuts, self.lost, more, ceilings)
            found, proven = answer(master, until)
            if found is None:
                break
            bound = max(bound, proven)
            gone = found[len(cost) :] > 0.5
            # With the choice made, what remains is linear, and exact to more digits.
            exact = self._polished(cost, gone, ceilings)
            buffer = found[: len(cost)] if exact is None else exact
            lacks = self._lacks(buffer)
            out = [s for s, (value, *_) in lacks.items() if value > NEARLY * needs.size[s]]
            if len(out) <= more:
                best = _filled(buffer, lacks, out)
                break
            if self.progress is not None:
                self.progress(f"sizing, round {number}: {len(out) - more:,} scenarios more to survive")
            if not self._separate(lacks, [s for s in out if not gone[s]]):
                break
        if best is None:
            best = self._enough(cost, more, ceilings)
        return None if best is None else Sized(best, bound, number)

    def _polished(self, cost: Floats, gone: Bools, ceilings: Sequence[Ceiling]) -> Floats | None:
        """The least ``cost . b`` by the cuts of all scenarios that are not ``gone``."""
        program = chance(cost, self.needs.most, self.cuts, gone, 0, ceilings)
        found, _ = answer(replace(program, integer=None), None)
        return None if found is None else found[: len(cost)]

    def _enough(self, cost: Floats, more: int, ceilings: Sequence[Ceiling]) -> Floats | None:
        """A buffer that is enough, if not the least: those that need most at these costs are given up."""
        need = np.where(self.lost, np.inf, self.needs.all_least(cost / cost.max(), self._scenarios))
        gone = self.lost.copy()
        gone[np.argsort(-need, kind="stable")[: more + int(self.lost.sum())]] = True
        for _ in range(ROUNDS):
            buffer = self._polished(cost, gone, ceilings)
            if buffer is None:
                return None
            lacks = self._lacks(buffer)
            out = [s for s, (value, *_) in lacks.items() if value > NEARLY * self.needs.size[s]]
            if not [s for s in out if not gone[s]]:
                return _filled(buffer, lacks, out)
            if not self._separate(lacks, [s for s in out if not gone[s]]):
                return None
        return None

    def _lacks(self, buffer: Floats) -> dict[int, tuple[float, Floats, Floats]]:
        """What each scenario that is not lost lacks, by its position; see :meth:`Needs.lack`."""
        lacks = self.needs.each(self._scenarios, lambda s: self.needs.lack(s, buffer))
        return {s: lack for s, lack in zip(self._scenarios, lacks, strict=True) if lack is not None}

    def _separate(self, lacks: Mapping[int, tuple[float, Floats, Floats]], broken: Sequence[int]) -> bool:
        """Cuts that ``broken`` scenarios say are missing: those of the most, a middling and the least lack."""
        order = sorted(broken, key=lambda s: (-lacks[s][0], s))
        before = len(self.cuts)
        for s in dict.fromkeys([order[0], order[len(order) // 2], order[-1]] if order else []):
            price = lacks[s][1] / max(float(lacks[s][1].max()), 1e-300)
            if price.max() > 0 and not any(np.allclose(price, cut.price, rtol=1e-9, atol=1e-12) for cut in self.cuts):
                self._cut(price)
        return len(self.cuts) > before


def plan_of(
    book: Book,
    needs: Needs,
    share: float,
    aim: str,
    buffer: Floats,
    bound: float,
    rounds: int,
    lost: Bools,
    survived: Bools | None = None,
) -> BufferPlan:
    """The plan of a ``buffer`` [candidates], in whole lots, with every scenario looked at once more.

    But for those that less is known to have ``survived``.
    """
    quantity, value = in_lots(book, needs.candidates, buffer)
    names = [c.name for c in needs.candidates]
    cost, whole = float(rates(needs) @ value), float(value.sum())
    reached = whole if aim == "value" else cost
    open_ = ~lost if survived is None else ~(lost | survived)
    return BufferPlan(
        aim=aim,
        share=share,
        values=dict(zip(names, value.tolist(), strict=True)),
        quantities=dict(zip(names, quantity.tolist(), strict=True)),
        value=whole,
        cost_a_year=cost,
        bound=bound,
        gap=max((reached - bound) / reached, 0.0) if reached > 0 else 0.0,
        scenarios=len(needs),
        short=_named(needs, lost | needs.short(value, np.flatnonzero(open_).tolist())),
        lost=_named(needs, lost),
        rounds=rounds,
    )


def rates(needs: Needs) -> Floats:
    """What each candidate costs [candidates], as a share of its value a year."""
    return np.array([c.cost_bps for c in needs.candidates], dtype=np.float64) / BASIS_POINTS


def require_enough(needs: Needs, lost: Bools, share: float) -> None:
    """:class:`NotToBeHadError` where no buffer survives ``share`` of the scenarios; ``lost`` are beyond saving."""
    names = _named(needs, lost)
    if len(names) > given_up(share, len(needs)):
        raise NotToBeHadError(
            f"no buffer of these candidates survives {share:.6g} of the scenarios: {len(names):,} of {len(needs):,} "
            f"are lost with the most of each ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}). Ask for "
            f"{floor((1 - len(names) / len(needs)) * 1e4) / 1e4:g} at most, or let the buffer be of something else, "
            "sooner or more of it, that these calls take."
        )


def _named(needs: Needs, chosen: Bools) -> tuple[str, ...]:
    return tuple(name for name, one in zip(needs.names, chosen.tolist(), strict=True) if one)


def _filled(buffer: Floats, lacks: Mapping[int, tuple[float, Floats, Floats]], out: Sequence[int]) -> Floats:
    """``buffer`` with what is lacking within tolerance in scenarios that are not ``out``."""
    beyond = set(out)
    filled: Floats = np.max([buffer, *(full for s, (_, _, full) in lacks.items() if s not in beyond)], axis=0)
    return filled


def answer(program: Program, until: float | None) -> tuple[Floats | None, float]:
    """The optimum of ``program`` [columns], None where there is none (in time); and what is proven."""
    scaled, scaling = scale(program)
    integer = program.integer is not None
    seconds = None if until is None else max(until - time.monotonic(), 0.1)
    # Without presolve, as needs are found.
    session = HighsSolver().load_growing(scaled)
    solution: Solution = session.solve(Limits(seconds=seconds, mip_gap=MIP_GAP if integer else 0.0))
    if solution.status in (Status.OPTIMAL, Status.FEASIBLE):
        return solution.x * scaling.column, solution.bound * scaling.objective
    if solution.status in (Status.INFEASIBLE, Status.STOPPED):
        return None, 0.0
    raise SolverError(f"sizing the buffer: {solution.message}")


def in_lots(book: Book, candidates: Sequence[Candidate], values: Floats) -> tuple[Floats, Floats]:
    """Quantities of each candidate for ``values``, rounded up to whole lots; and what they come to."""
    lot, unit = lot_values(book, candidates)
    count = values / (unit * lot)
    lots = [ceil(each - max(1e-6, 1e-10 * each)) for each in count.tolist()]
    # Through decimals: three lots of 0.01 are 0.03.
    quantity = np.array(
        [float(Decimal(repr(float(k))) * Decimal(repr(s))) for k, s in zip(lots, lot.tolist(), strict=True)]
    )
    return quantity, quantity * unit
