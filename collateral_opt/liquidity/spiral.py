"""A forced sale that moves its own price and calls more margin, day by day to its end; and what would have saved it.

Day 1 brings the stress: variation margin and a higher initial margin are called, and paid as far as means go. What is
not paid is a default, and leads to one of two courses:

* ``close_out``: the clearer sells all margined positions in equal slices over so many days, and returns what is left.
* ``reduce``: we sell, day by day, the least that cures the call, by the ranking of
  :func:`~collateral_opt.liquidity.liquidate.ranking`, or all that the volume takes if nothing cures it.

A sale settles on the day after it. Each lowers the price of what is left (variation margin), pays its own impact, and
releases the initial margin of what went, at the rate of initial margin to value right after the stress. Own funds below
zero are insolvency: on the day on which the loss that makes them so settles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Literal, TypedDict

import numpy as np
import pandas as pd

from collateral_opt.errors import UsageError
from collateral_opt.liquidity.impact import PUBLISHED, Impact, PowerLaw, SquareRoot, about_published
from collateral_opt.liquidity.liquidate import Position, market_of, ranking
from collateral_opt.model.program import Floats

Mode = Literal["close_out", "reduce"]
Aim = Literal["paid", "solvent"]
Outcome = Literal["paid", "cured", "closed", "insolvent", "open"]
Measure = Literal["cash", "line", "bonds", "short", "short_unfreed", "put", "put_netted"]
MEASURES: Mapping[Measure, str] = {
    "cash": "a buffer of cash",
    "line": "a committed line that can be drawn before the call is due",
    "bonds": "a buffer of bonds that can be repoed",
    "short": "a share hedged by short futures from the start, netted, the margin it frees kept as cash",
    "short_unfreed": "the same, the margin it frees spent",
    "put": "a share hedged by puts that pay variation margin and leave initial margin as it is",
    "put_netted": "the same, where puts lower initial margin too, and what that frees is spent on them",
}
_SHARES: tuple[Measure, ...] = ("short", "short_unfreed", "put", "put_netted")
_NONE = 1e-12
"""Of the first call: less than this is nothing."""
_SCAN, _SCAN_ANEW = 64, 2
_CLOSE = 1e-12
"""To this, of itself, a size is told."""
_CLOSE_ANEW = 1e-6
"""Of what a hedge's share is told: the linear program does not tell apart what is closer."""
_OWN_FUNDS = 5
"""Its place in a row of a course."""


@dataclass(frozen=True)
class Case:
    """A firm in the moment of its stress. Money is in one currency.

    ``positions`` are as the stress leaves them (``initial_margin`` after it); ``margin`` is the initial margin posted
    before it. ``called`` is what the stress calls in all, ``variation`` the variation margin that it takes on balance:
    what is called of it, less ``received``, what others pay us of it. ``means`` is what can be paid by the time it is
    due, with what is received by then if that counts; ``arriving`` comes from others after that, and is there when the
    first sale settles. ``own_funds`` is what the firm is worth before the stress, and ``loss`` what the stress takes
    from that (None: ``variation``; more where positions that are not margined lose too).
    """

    positions: tuple[Position, ...]
    means: float
    margin: float
    called: float
    variation: float
    own_funds: float
    loss: float | None = None
    received: float = 0.0
    arriving: float = 0.0

    def __post_init__(self) -> None:
        figures = ("means", "margin", "called", "arriving")
        wrong = [
            f"{name} is {value:g} (must be 0 or more)"
            for name, value in ((name, getattr(self, name)) for name in figures)
            if not value >= 0
        ]
        if wrong:
            raise UsageError(f"The case of a forced sale: {'; '.join(wrong)}.")

    @property
    def lost(self) -> float:
        """What the stress takes from own funds."""
        return self.variation if self.loss is None else self.loss

    @property
    def variation_called(self) -> float:
        """The variation margin in what is called."""
        return self.variation + self.received

    @property
    def unmet(self) -> float:
        """What is called and cannot be paid."""
        return max(0.0, self.called - self.means)


@dataclass(frozen=True, eq=False)
class Spiral:
    """How a case went.

    Attributes:
        days: the stress, then a row a day's sale: day, sold (value at the prices before it), loss (of all positions by
            it), released (margin, or received for what is not margined), unpaid (what is still called and not paid
            then; below zero: what is over), own_funds (at the prices after it), left (value of margined positions).
        prices: a row a day, a column a position: the price after the day's sale.
        outcome: ``paid`` (the call was met), ``cured`` (met after sales), ``closed`` (all is sold, own funds remain),
            ``insolvent``, ``open`` (sales still under way when days ran out).
        ends: the day on which it was so.
        unmet: what could not be paid on day 1.
        own_funds: at the end.
    """

    days: pd.DataFrame
    prices: pd.DataFrame
    outcome: Outcome
    ends: int
    unmet: float
    own_funds: float


def spiral(
    case: Case,
    impact: Impact = PUBLISHED,
    mode: Mode = "close_out",
    *,
    days: int = 2,
    participation: float = 1.0,
    most_days: int = 250,
) -> Spiral:
    """Simulate the case to its end.

    ``days`` are those of a close-out; ``participation`` is the share of a day's volume that ``reduce`` takes at most,
    ``most_days`` when it is given up.

    :raises UsageError: days below 1, or a participation outside (0, 1].
    """
    course = _course(case, impact, mode, days, participation, most_days)
    names = ["day", "sold", "loss", "released", "unpaid", "own_funds", "left"]
    told = pd.DataFrame(course.rows, columns=names).astype({"day": int})
    prices = pd.DataFrame(np.array(course.prices), columns=[p.position_id for p in case.positions])
    prices.insert(0, "day", told["day"])
    return Spiral(told, prices, course.outcome, course.ends, case.unmet, course.own_funds)


@dataclass(frozen=True, eq=False)
class _Course:
    """A simulation before it is told: rows and prices as in :class:`Spiral`."""

    outcome: Outcome
    ends: int
    own_funds: float
    rows: list[list[float]]
    prices: list[Floats]


def _course(case: Case, impact: Impact, mode: Mode, days: int, participation: float, most_days: int = 250) -> _Course:
    if days < 1 or most_days < 1 or not 0 < participation <= 1:
        raise UsageError(f"days is {days} (1 or more), participation {participation:g} (above 0, at most 1).")
    state = _State(case, impact)
    nothing = _NONE * max(case.called, 1.0)
    first = [0.0, 0.0, 0.0, state.unpaid, state.own_funds, state.value_left]
    rows, prices = [[1, *first]], [state.price.copy()]

    def ended(outcome: Outcome, day: int) -> _Course:
        return _Course(outcome, day, state.own_funds, rows, prices)

    if state.unpaid <= nothing:
        return ended("insolvent" if state.own_funds < -nothing else "paid", 1)
    if state.own_funds < -nothing and mode == "reduce":
        return ended("insolvent", 1)
    state.unpaid -= case.arriving
    last = days if mode == "close_out" else most_days
    for day in range(1, last + 1):
        if mode == "close_out":
            selling = np.where(state.margined, state.left / (days - day + 1), 0.0)
        else:
            selling = state.least_sale(participation, nothing)
        sold, loss, released = state.sell(selling)
        rows.append([day, sold, loss, released, state.unpaid, state.own_funds, state.value_left])
        prices.append(state.price.copy())
        if mode == "reduce":
            if state.own_funds < -nothing:
                return ended("insolvent", day + 1)
            if state.unpaid <= nothing:
                return ended("cured", day + 1)
            if not state.sellable:
                return ended("closed", day + 1)
    if mode == "close_out":
        gone = [1 if at == 0 else int(row[0]) + 1 for at, row in enumerate(rows) if row[_OWN_FUNDS] < -nothing]
        return ended("insolvent", gone[0]) if gone else ended("closed", days + 1)
    return ended("open", last)


class _State:
    """What is left, at what price, and what is owed."""

    def __init__(self, case: Case, impact: Impact) -> None:
        self.impact = impact
        self.market = market_of(case.positions)
        self.units = np.array([abs(p.units) for p in case.positions])
        self.sign = np.array([-1.0 if p.units < 0 else 1.0 for p in case.positions])
        self.margined = np.array([p.margined for p in case.positions], dtype=np.bool_)
        self.pledged = np.array([p.pledged for p in case.positions])
        self.covers = np.array([p.covers for p in case.positions])
        self.arrival = np.array([p.price for p in case.positions])
        value = self.units * self.arrival
        required = np.array([p.initial_margin for p in case.positions])
        with np.errstate(divide="ignore", invalid="ignore"):
            self.rate = np.where(self.margined & (value > 0), required / value, 0.0)
        # to sell what frees no margin, or to buy back what needs none, only costs
        self.brings = np.where(self.margined, self.rate > 0, self.sign > 0)
        self.done = np.zeros(len(self.units))
        self.price = self.arrival.copy()
        self.unpaid = case.called - case.means
        self.own_funds = case.own_funds - case.lost
        self.case = case

    @cached_property
    def order(self) -> list[int]:
        """Positions as ``reduce`` sells them; by the published model where the square root has no ranking."""
        impact = self.impact if isinstance(self.impact, PowerLaw) else PUBLISHED
        at = {p.position_id: i for i, p in enumerate(self.case.positions)}
        return [at[name] for name in ranking(self.case.positions, impact)["position_id"]] if at else []

    @property
    def left(self) -> Floats:
        return self.units - self.done

    @property
    def sellable(self) -> bool:
        """Whether something is left that a sale brings anything for."""
        return bool((self.brings & (self.left > 1e-12 * self.units)).any())

    @property
    def value_left(self) -> float:
        return float((self.left * self.price)[self.margined].sum())

    def after(self, selling: Floats) -> tuple[Floats, Floats, Floats]:
        """By position after a day's sale: the price, what it loses, and the margin it releases or money it brings."""
        average, after = self.impact.drop(self.done, selling, 1.0, self.market)
        price = self.arrival * (1 - self.sign * after)
        got = self.arrival * (1 - self.sign * np.where(selling > 0, average, 0.0))
        rest = self.left - selling
        loss = self.sign * (selling * (self.price - got) + (rest + self.pledged) * (self.price - price))
        margin = self.rate * (self.left * self.price - rest * price)
        return price, loss, np.where(self.margined, margin, self.sign * selling * got)

    def unpaid_after(self, selling: Floats) -> Floats:
        """What is called and not paid once a sale [..., positions] has settled, for each of them: losses on what is
        margined, and what collateral of a lower price no longer covers, are called besides."""
        price, loss, released = self.after(selling)
        uncovered = self.sign * self.pledged * self.covers * (self.price - price)
        raised: Floats = (released - np.where(self.margined, loss, 0.0) - uncovered).sum(axis=-1)
        return self.unpaid - raised

    def sell(self, selling: Floats) -> tuple[float, float, float]:
        """Make the sale; its value at the prices before, the loss, and what it released or brought."""
        sold = float((selling * self.price).sum())
        price, loss, released = self.after(selling)
        self.unpaid = float(self.unpaid_after(selling))
        self.own_funds -= float(loss.sum())
        self.price, self.done = price, np.minimum(self.done + selling, self.units)
        return sold, float(loss.sum()), float(released.sum())

    def least_sale(self, participation: float, nothing: float) -> Floats:
        """Along the ranking, within the cap, the least that pays what is unpaid; all of the cap where none does.

        What is unpaid need not fall all along: the path is scanned, and the first crossing bisected. Where no sale
        cures it, all that the cap allows is sold: to wait would end nothing.
        """
        cap = np.minimum(self.left, self.market.adv * participation)
        cap = np.where(self.brings, cap, 0.0)
        before = np.empty(len(cap))
        before[self.order] = np.arange(len(cap))

        def along(way: Floats) -> Floats:
            return cap * np.clip(way[..., None] * len(cap) - before, 0.0, 1.0)

        if self.unpaid <= nothing:
            return np.zeros(len(cap))
        ways = np.arange(1, _SCAN + 1) / _SCAN
        cures = self.unpaid_after(along(ways)) <= 0
        if not cures.any():
            return cap
        high = float(ways[cures.argmax()])
        way = _least(lambda way: float(self.unpaid_after(along(np.array(way)))) <= 0, high - 1 / _SCAN, high)
        return along(np.array(way))


def _least(fine: Callable[[float], bool], low: float, high: float, close: float = 0.0) -> float:
    """The least figure between ``low`` (not fine) and ``high`` (fine) that is, told ``close`` above it at most."""
    while high - low > close and low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if fine(middle) else (middle, high)
    return high


def with_measure(case: Case, measure: Measure, size: float, haircut: float = 0.0) -> Case:
    """The case, had that been in place: an amount of money (of bonds: their value), or a share between 0 and 1.

    A hedge takes its share of what the stress takes on margined positions, as if they were one agreement and all that
    is called came of them: where there are more, the calls of a book with the hedge must be found anew (``hedged`` of
    :func:`least`). Futures are netted with the positions, so that units and margins are smaller by that share, from
    before the stress on, and so is what others pay us; puts pay on what loses, and leave what gains alone. Premiums
    are not counted.
    """
    if measure == "cash":
        return replace(case, means=case.means + size, own_funds=case.own_funds + size)
    if measure == "line":
        return replace(case, means=case.means + size)
    if measure == "bonds":
        return replace(case, means=case.means + size * (1 - haircut), own_funds=case.own_funds + size)
    keep = 1.0 - size
    initial = case.called - case.variation_called
    is_put = measure in ("put", "put_netted")
    saved = (case.variation_called if is_put else case.variation) * size
    hedged = replace(
        case,
        variation=case.variation - saved,
        received=case.received * (1.0 if is_put else keep),
        loss=case.lost - saved,
        called=max(0.0, case.variation_called * keep + initial * (1.0 if measure == "put" else keep)),
    )
    return in_place(hedged, case, measure, size)


def in_place(hedged: Case, case: Case, measure: Measure, share: float) -> Case:
    """``hedged``, with calls and losses as the hedge leaves them, with its margin and positions of ``case``."""
    if measure == "put":
        return replace(hedged, positions=case.positions, margin=case.margin)
    keep, freed = 1.0 - share, case.margin * share
    smaller = keep if measure in ("short", "short_unfreed") else 1.0
    positions = tuple(
        replace(p, units=p.units * smaller, initial_margin=p.initial_margin * keep) if p.margined else p
        for p in case.positions
    )
    left = replace(hedged, positions=positions, margin=case.margin - freed)
    if measure == "short":
        return replace(left, means=left.means + freed)
    return replace(left, own_funds=left.own_funds - freed)


Hedged = Callable[[Measure, float], Case]
"""A case with a hedge of a share: see :func:`least`."""


def least(
    measure: Measure,
    case: Case,
    impact: Impact = PUBLISHED,
    mode: Mode = "close_out",
    *,
    aim: Aim = "paid",
    haircut: float = 0.0,
    days: int = 2,
    participation: float = 1.0,
    hedged: Hedged | None = None,
) -> float | None:
    """The smallest size of the measure that would have saved the firm, by the simulation itself; None: none does.

    ``paid``: the first call is met. ``solvent``: own funds are left at the end, however it comes (a close-out is not
    prevented). Money, or a share between 0 and 1. ``haircut`` is that of the bonds. ``hedged`` makes the case with a
    hedge, in place of :func:`with_measure`; it may take long, so that it is asked as seldom as can be.

    :raises UsageError: a measure that is not known, or a haircut outside [0, 1).
    """
    if measure not in MEASURES:
        raise UsageError(f"There is no measure {measure!r}; there are {', '.join(MEASURES)}.")
    if not 0 <= haircut < 1:
        raise UsageError(f"The haircut of the bonds is {haircut:g} (must be 0 or more, and below 1).")
    anew = hedged if hedged is not None and measure in _SHARES else None

    def lacking(size: float) -> float:
        """Money by which it fails; 0 or less where it is saved."""
        changed = anew(measure, size) if anew is not None else with_measure(case, measure, size, haircut)
        nothing = _NONE * max(case.called, 1.0)
        if aim == "paid":
            # a sum of floats that is a hair above what is called counts as paid
            return changed.called - changed.means - nothing
        course = _course(changed, impact, mode, days, participation)
        return -min(row[_OWN_FUNDS] for row in course.rows) - nothing

    if lacking(0.0) <= 0:
        return 0.0
    high = 1.0
    if measure not in _SHARES:
        high = max(case.called, case.lost, 1.0)
        worth = sum(p.value for p in case.positions) + case.called + case.lost + abs(case.own_funds)
        while lacking(high) > 0 and high < 4 * worth / (1 - haircut):
            high *= 2
    steps, close = (_SCAN, _CLOSE) if anew is None else (_SCAN_ANEW, _CLOSE_ANEW)
    return _first(lacking, high, steps, close * high)


def _first(lacking: Callable[[float], float], high: float, steps: int, close: float) -> float | None:
    """The least size up to ``high`` that saves, looked for in so many ``steps`` (None: none does), to ``close``.

    What saves at one size need not at a larger one.
    """
    failed = [(0.0, lacking(0.0))]
    for step in range(1, steps + 1):
        size = high * step / steps
        found = lacking(size)
        if found <= 0:
            return _crossing(lacking, failed, size, close)
        failed.append((size, found))
    return None


def _crossing(
    lacking: Callable[[float], float], failed: list[tuple[float, float]], saved: float, close: float
) -> float:
    """Where ``lacking`` crosses nothing between the last of ``failed``, sizes with what they lack, and ``saved``.

    Told ``close`` above it at most. What lacks is mostly linear in pieces, and often just nothing where it is not above
    nothing: so the middle takes turns with where the line through the last two that fail crosses, a hair above, then a
    hair below.
    """
    for turn in count(1):
        size, lacked = failed[-1]
        if saved - size <= close or not size < (guess := (size + saved) / 2) < saved:
            break
        if turn % 2 and len(failed) > 1 and lacked < failed[-2][1]:
            crossing = size + lacked * (size - failed[-2][0]) / (failed[-2][1] - lacked)
            hair = close / 10
            guess = next((near for near in (crossing + hair, crossing - hair) if size < near < saved), guess)
        found = lacking(guess)
        if found <= 0:
            saved = guess
        else:
            failed.append((guess, found))
    return saved


class _How(TypedDict):
    haircut: float
    days: int
    participation: float
    hedged: Hedged | None


def savers(
    case: Case,
    impact: Impact = PUBLISHED,
    mode: Mode = "close_out",
    *,
    haircut: float = 0.02,
    days: int = 2,
    participation: float = 1.0,
    hedged: Hedged | None = None,
) -> pd.DataFrame:
    """Each measure's least size: measure, what, unit (money or share), paid, solvent (NaN: no size does).

    ``hedged`` as for :func:`least`.
    """
    more: _How = {"haircut": haircut, "days": days, "participation": participation, "hedged": hedged}
    rows = []
    for measure, what in MEASURES.items():
        sizes = [least(measure, case, impact, mode, aim=aim, **more) for aim in ("paid", "solvent")]
        if hedged is not None and measure in _SHARES:
            sizes = [None if size is None else round(size, 6) for size in sizes]  # no more is known of them
        rows.append([measure, what, "share" if measure in _SHARES else "money", *sizes])
    table = pd.DataFrame(rows, columns=["measure", "what", "unit", "paid", "solvent"])
    return table.astype({"paid": np.float64, "solvent": np.float64})


def impacts(
    stated: Impact = PUBLISHED, turnovers: Sequence[float] = (1.0, 50.0, 200.0)
) -> list[tuple[str, Impact, float | None]]:
    """Models to look at a case under: name, model, and the turnover to take (None: the position's own)."""
    low, high = about_published()
    return [
        ("as stated", stated, None),
        *((f"turnover {t:g}", PUBLISHED, t) for t in turnovers),
        ("coefficients less 2 standard errors", low, None),
        ("coefficients plus 2 standard errors", high, None),
        ("square root, Y 0.5", SquareRoot(0.5), None),
        ("square root, Y 1", SquareRoot(1.0), None),
    ]


def outcomes(
    case: Case,
    mode: Mode = "close_out",
    *,
    depth: Sequence[float] = (0.5, 1.0, 2.0),
    volatility: Sequence[float] = (0.6, 1.0, 1.6),
    models: Sequence[tuple[str, Impact, float | None]] | None = None,
    days: int = 2,
    participation: float = 1.0,
) -> pd.DataFrame:
    """How the case ends over a range of what nobody knows: a row a model, depth and volatility.

    ``depth`` and ``volatility`` multiply the positions' own adv and volatility. Columns: model, depth, volatility,
    unmet, own_funds, outcome, ends.
    """
    rows = []
    for name, impact, turnover in impacts() if models is None else models:
        for d in depth:
            for v in volatility:
                changed = _in_market(case, d, v, turnover)
                found = _course(changed, impact, mode, days, participation)
                rows.append([name, d, v, changed.unmet, found.own_funds, found.outcome, found.ends])
    columns = ["model", "depth", "volatility", "unmet", "own_funds", "outcome", "ends"]
    return pd.DataFrame(rows, columns=columns)


def break_even_depth(
    case: Case, impact: Impact = PUBLISHED, mode: Mode = "close_out", *, days: int = 2, participation: float = 1.0
) -> float | None:
    """By how much all adv would have to be multiplied for the firm to be just solvent; None: from 1/1000 to 1000 the
    answer is the same.
    """

    def solvent(depth: float) -> bool:
        changed = _in_market(case, depth, 1.0, None)
        return _course(changed, impact, mode, days, participation).outcome != "insolvent"

    low, high = -3.0, 3.0
    if solvent(10**low) or not solvent(10**high):
        return None
    return float(10 ** _least(lambda power: solvent(10**power), low, high, _CLOSE))


def _in_market(case: Case, depth: float, volatility: float, turnover: float | None) -> Case:
    positions = tuple(
        replace(
            p,
            adv=p.adv * depth,
            volatility=p.volatility * volatility,
            turnover=p.turnover if turnover is None else turnover,
        )
        for p in case.positions
    )
    return replace(case, positions=positions)
