"""The cheapest buffer for which the mean lack of cash over the worst scenarios is nothing: linear, for thousands.

What a scenario lacks is counted in cash, and below zero where there is cash to spare, so that what the worst lack
others of the tail may make up for. It asks for more than :func:`~collateral_opt.liquidity.buffer.size_buffer` does: a
mean of nothing over the worst ``(1 - share)`` leaves at most that share of the scenarios short. In return it is a
linear program, and it looks at how much is lacking, not only at how often.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil

import numpy as np

from collateral_opt.book import Book
from collateral_opt.errors import SolverError, UsageError
from collateral_opt.liquidity.buffer import CLOSED, ROUNDS, BufferPlan, answer, plan_of, rates, require_enough
from collateral_opt.liquidity.needs import Candidate, Needs, Progress, Scenarios
from collateral_opt.model.buffer import Floor, Tangent, tail
from collateral_opt.model.program import Floats

__all__ = ["cvar_buffer", "tail_mean"]

EXACT = 1e-9
WIDER = 1.5
"""Tangents are taken of so many times as many scenarios as the tail has: the next worst soon are the worst."""
NEAR, SOME = 3.0, 20
"""So many times as many, and some more, are looked at in each round; all of them once nothing is lacking in these."""


def cvar_buffer(
    book: Book,
    changes: Scenarios | Needs,
    candidates: Sequence[Candidate],
    share: float,
    *,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> BufferPlan:
    """The cheapest buffer whose mean lack of cash over the worst ``(1 - share) * scenarios`` is nothing, or less.

    Scenarios that no amount of cash survives, with the most of all else, are lost: they count against the share, and
    the tail is as much shorter. A tail of less than one scenario is the worst one.

    Args:
        book, changes, candidates, share, seconds, progress: as :func:`~collateral_opt.liquidity.buffer.size_buffer`.
            One candidate must be cash that is held; lacks are counted in the first.

    Raises:
        UsageError: there is no such candidate, none costs anything, or more than ``1 - share`` of the scenarios are
            lost, or the most of each candidate is not enough.
        BookError, SolverError: as :func:`~collateral_opt.liquidity.buffer.size_buffer`.
    """
    needs = changes if isinstance(changes, Needs) else Needs(book, changes, candidates, progress=progress)
    until = None if seconds is None else time.monotonic() + seconds
    cash, cost = _cash(book, needs), rates(needs)
    if not (cost > 0).any():
        raise UsageError("no candidate costs anything: give their cost_bps.")
    buffer, tangents, floors = np.zeros(len(cost)), list[Tangent](), list[Floor]()
    # Nothing of a buffer at first: where then no amount of cash is enough, perhaps none is whatever else there is.
    lacks, beyond = _lacks(needs, buffer, cash, range(len(needs)))
    lost = np.zeros(len(needs), dtype=np.bool_)
    lost[[s for s in beyond if needs.cash_lack(s, needs.most, cash) is None]] = True
    require_enough(needs, lost, share)
    worst = max((1 - share) * len(needs) - int(lost.sum()), 1.0)
    best, least, bound, rounds = None, np.inf, 0.0, 0
    survived = np.zeros(len(needs), dtype=np.bool_)
    alive = np.flatnonzero(~lost).tolist()
    near: set[int] = set()
    whole = True
    while alive:
        floors += _floors(needs, buffer, cash, [s for s in beyond if not lost[s]])
        order = sorted(lacks, key=lambda s: (-lacks[s][0], s))
        if not (set(beyond) & set(alive)):
            mean = _mean([lacks[s][0] for s in order], worst)
            # Cash makes up for what is lacking, one for one.
            enough = buffer.copy()
            enough[cash] = max(enough[cash] + mean, 0.0) if mean > 0 else enough[cash]
            reached = float(cost @ enough)
            closed = mean <= EXACT * needs.unit or (rounds > 0 and reached - bound <= CLOSED * reached)
            if whole and enough[cash] <= needs.most[cash] and reached < least:
                best, least = enough, reached
                survived[:] = False
                survived[[s for s, (value, _) in lacks.items() if value <= 0]] = True
            if whole and progress is not None:
                progress(f"sizing, round {rounds}: within {least - bound:,.0f} a year of the least")
            if whole and rounds > 0 and (closed or (best is not None and least - bound <= CLOSED * least)):
                break
            if closed and not whole:
                # Nothing is lacking where most was: is there another scenario, of all, that lacks more?
                whole = True
                lacks, beyond = _lacks(needs, buffer, cash, alive)
                continue
        if rounds >= ROUNDS or (until is not None and time.monotonic() >= until):
            break
        tangents += [
            Tangent(s, lacks[s][1], lacks[s][0] + float(lacks[s][1] @ buffer)) for s in order[: ceil(WIDER * worst) + 1]
        ]
        near |= {*order[: ceil(NEAR * worst) + SOME], *(s for s in beyond if not lost[s])}
        rounds += 1
        found, proven = answer(tail(cost, needs.most, tangents, floors, len(needs), worst), None)
        if found is None:
            most = ", ".join(f"{c.name} {m:,.2f}" for c, m in zip(needs.candidates, needs.most.tolist(), strict=True))
            raise UsageError(
                f"the most of each candidate ({most}) is not enough for the worst {worst:g} scenarios: let it be more, "
                "or ask for a smaller share."
            )
        bound, buffer = max(bound, proven), np.clip(found[: len(cost)], 0.0, needs.most)
        whole = len(near) == len(alive)
        lacks, beyond = _lacks(needs, buffer, cash, sorted(near))
    if best is None:
        if alive:
            raise SolverError("sizing ended before there was a buffer. Give more seconds, or fewer scenarios.")
        best = np.zeros(len(cost))
    return plan_of(book, needs, share, "cvar", best, bound, rounds, lost, survived)


def tail_mean(book: Book, needs: Needs, values: Floats, share: float) -> float:
    """The mean lack of cash over the worst ``(1 - share) * scenarios`` with a buffer of ``values`` [candidates].

    Base currency; below zero: to spare; infinite where one of them is beyond cash.
    """
    cash = _cash(book, needs)
    found = needs.each(range(len(needs)), lambda s: needs.cash_lack(s, values, cash))
    lacks = sorted((np.inf if lack is None else lack[0] for lack in found), reverse=True)
    return _mean(lacks, max((1 - share) * len(needs), 1.0))


def _mean(lacks: Sequence[float], worst: float) -> float:
    """The mean of the ``worst`` of ``lacks``, which fall; the last of them in part."""
    worst = min(worst, float(len(lacks)))
    whole = int(worst + EXACT)
    rest = max(worst - whole, 0.0)
    return (sum(lacks[:whole]) + (rest * lacks[whole] if rest > EXACT else 0.0)) / worst


def _cash(book: Book, needs: Needs) -> int:
    kinds = dict(zip(book.assets["asset_id"], book.assets["asset_type"], strict=True))
    found = [at for at, c in enumerate(needs.candidates) if kinds[c.asset] == "cash" and not c.is_line]
    if not found:
        raise UsageError("what is lacking is counted in cash: let cash that is held be one of the candidates.")
    return found[0]


def _lacks(
    needs: Needs, buffer: Floats, cash: int, scenarios: Sequence[int]
) -> tuple[dict[int, tuple[float, Floats]], list[int]]:
    """What each scenario lacks in cash and what each candidate is worth there; and those where cash is no help."""
    found = needs.each(scenarios, lambda s: needs.cash_lack(s, buffer, cash))
    lacks = {s: lack for s, lack in zip(scenarios, found, strict=True) if lack is not None}
    return lacks, [s for s in scenarios if s not in lacks]


def _floors(needs: Needs, buffer: Floats, cash: int, scenarios: Sequence[int]) -> list[Floor]:
    """What ``scenarios`` that no cash survives besides ``buffer`` need of the rest."""
    floors = []
    others = np.where(np.arange(len(buffer)) == cash, 0.0, 1.0)
    for s in scenarios:
        more = needs.lack(s, buffer, others)
        if more is None:
            raise SolverError(
                f"scenario {needs.names[s]!r} has an answer with the most of each candidate, and then none."
            )
        price = np.where(others > 0, more[1], 0.0)
        least = more[0] + float(price @ buffer)
        # A little more than is needed, so that what is lost in rounding does not ask for the same again.
        floors.append(Floor(price, least + EXACT * needs.unit))
    return floors
