"""Lots on a ledger: rounded down, filled up, given back where a row broke, trimmed, exchanged, left where they lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from collateral_opt.network.network import Floats, Kind
from collateral_opt.solve.exchange import exchange_all
from collateral_opt.solve.ledger import Ledger

ROUNDS = 4
"""How often calls and facilities are filled in turn: what a facility could not be given is asked of others."""
PATIENCE = 16
"""Rounds of giving back just what breaks a row, before more goes at a time."""
PLANS = 8
"""How many of the cheapest edges are tried as the main filling of a call."""


def place(ledger: Ledger, target: Floats, price: Floats) -> None:
    """Bring the ledger near ``target`` (market values): round down, fill, give back what breaks a row, trim.

    Filling comes first: rounding down makes the whole smaller, and with it what a share of the whole may be.
    """
    put(ledger, target)
    settle(ledger, price)


def settle(ledger: Ledger, price: Floats) -> None:
    """Fill what is short, give back what breaks a row and trim, in turn, until that changes nothing more."""
    order, prices = ledger.turns, price.tolist()
    for done in range(ROUNDS):
        for j in order:
            fill(ledger, j, prices)
        retract(ledger, prices)
        if not any([trim(ledger, j, prices) for j in order]) and done:
            break


def put(ledger: Ledger, target: Floats) -> None:
    """Put ``target`` (market values) on the ledger, each line rounded down; see :func:`put_lots`."""
    values = zip(target.tolist(), ledger.lot_value, strict=True)
    put_lots(ledger, [int(x / float(v) + 1e-7) if x else 0 for x, v in values])


def put_lots(ledger: Ledger, wanted: Sequence[int]) -> None:
    """Put ``wanted`` lots on the ledger, but for lines that would be too small; no more lines than budgets allow."""
    whole: dict[int, int] = defaultdict(int)
    for line, lots in zip(ledger.line, wanted, strict=True):
        if lots:
            whole[line] += lots
    least = zip(ledger.line, wanted, ledger.least, ledger.floor, strict=True)
    kept = [max(lots if lots and whole[line] >= fewest else 0, floor) for line, lots, fewest, floor in least]
    ledger.restore(kept)
    if not ledger.overspent_budgets:
        return
    # One line after another, the largest first, and none that goes beyond a budget.
    ledger.restore((0,) * len(kept))
    size = [float(lots * value) for lots, value in zip(wanted, ledger.lot_value, strict=True)]
    for k in np.lexsort((-np.array(size), np.array(ledger.floor) <= 0)).tolist():
        if not kept[k]:
            continue
        ledger.add(k, kept[k])
        if ledger.overspent_budgets and not ledger.floor[k]:
            ledger.add(k, -ledger.lots[k])


def retract(ledger: Ledger, price: Sequence[float]) -> None:
    """Take lots back until every row holds and no facility has spent more than it was given.

    Both can undo one another by a lot at a time; so what goes grows after a while.
    """
    give_back(ledger, price)
    rounds = 0
    while unfund(ledger, price, _times(rounds)):
        give_back(ledger, price)
        rounds += 1


def _times(rounds: int) -> int:
    """How many times what is over goes after so many rounds."""
    return 1 << max(0, rounds - PATIENCE)


def unfund(ledger: Ledger, price: Sequence[float], much: int) -> bool:
    """Take less out of each facility, and recall less from each agreement, than could be put in; dearest lines first.

    What only comes home stays first of all, and what goes to a call goes last; ``much`` times what is overdrawn goes.
    Says whether anything went.
    """
    went, uses = 0, ledger.network.uses
    for j in reversed(ledger.turns):
        if j < uses.calls or ledger.overdrawn(j) <= 0:
            continue
        taken = [k for k, funding in enumerate(ledger.funded_by) if funding == j and ledger.lots[k] and ledger.drain[k]]
        for k in sorted(taken, key=lambda k: (-uses.kind[ledger.use[k]], -ledger.rank(k), -price[k], -k)):
            if ledger.overdrawn(j) > 0:
                went += ledger.take_back(k, min(ledger.lots[k], much * -(-ledger.overdrawn(j) // ledger.drain[k])))
    return went > 0


def give_back(ledger: Ledger, price: Sequence[float]) -> None:
    """Take lots off the lines of each row that rounding broke, last priority and dearest first, until every row holds.

    Shares of what is posted can break one another in turn by a lot at a time; so what goes grows after a while.
    """
    rounds = went = 0
    while (broken := ledger.headroom.broken()) and (went or not rounds):
        rounds, went = rounds + 1, 0
        much = _times(rounds)
        for row in broken:
            lines = sorted(ledger.lines_in(row), key=lambda line: (-ledger.rank(line[0]), -price[line[0]], -line[0]))
            for k, a in lines:
                over = -ledger.headroom.slack[row]
                if over <= 0:
                    break
                went += ledger.take_back(k, min(ledger.lots[k], much * -(-over // a)))


def fill(ledger: Ledger, j: int, price: Sequence[float]) -> None:
    """Cover what call ``j`` lacks: one main edge up to its last whole lot, then the edge that closes it cheapest."""
    if ledger.missing[j] <= 0:
        return
    by_price = sorted(ledger.lines_of[j], key=lambda k: (price[k], k))
    while ledger.missing[j] > 0:
        room = {k: most for k in by_price if (most := ledger.most_addable(k)) > 0}
        if not room:
            return
        plans = [_plan(ledger, j, main, room, price) for main in _mains(ledger, j, room)]
        _, main, count, closing = min(plans, key=lambda plan: plan[0])
        if count:
            ledger.add(main, count)
        if closing is not None:
            last = ledger.addable(closing, -(-ledger.missing[j] // ledger.value[closing]))
            if last:
                ledger.add(closing, last)
        elif not count:
            return


def _mains(ledger: Ledger, j: int, room: Mapping[int, int]) -> list[int]:
    """The edges tried as the main filling of a call: the cheapest; where lines cost or count, others besides."""
    by_price = list(room)
    if not len(ledger.network.switches):
        return by_price[:PLANS]
    on = [k for k in by_price if not ledger.opening_cost(k) and not ledger.is_new(k)]
    large = sorted(by_price, key=lambda k: (-ledger.room(k) * ledger.value[k], k)) if ledger.lines_left(j) else []
    return list(dict.fromkeys([*by_price[:PLANS], *on[:PLANS], *large[:PLANS]]))


def _plan(
    ledger: Ledger, j: int, main: int, room: Mapping[int, int], price: Sequence[float]
) -> tuple[tuple[float, float, int], int, int, int | None]:
    """Whole lots of ``main`` without excess, then the cheapest edge that covers the rest: key, main, lots, closing.

    ``room`` are the edges that take more, by price, and the most lots that each may take. The search for the edge that
    closes it ends early on the ground that no price is below zero: were one, the plan might not be the cheapest.
    """
    missing = ledger.missing[j]
    whole = missing // ledger.value[main]
    count = min(max(whole, ledger.fewest_more(main)), room[main]) if whole else 0
    if count > whole:
        count = 0
    rest = missing - count * ledger.value[main]
    spent = count * ledger.value[main] * price[main] + (ledger.opening_cost(main) * ledger.unit[j] if count else 0.0)
    if rest <= 0:
        return (spent, 0.0, main), main, count, None
    best: tuple[float, float, int] | None = None
    is_last = ledger.lines_left(j) == 1 and count > 0 and ledger.is_new(main)
    for k, most in room.items():
        if best is not None and spent + rest * price[k] > best[0]:
            # What closes it is worth at least what is missing, so the edges after this one all cost more.
            break
        if is_last and k != main and ledger.is_new(k):
            continue
        goes_on = k == main and count > 0
        lots = -(-rest // ledger.value[k])
        if not goes_on:
            lots = max(lots, ledger.fewest_more(k))
        # The main edge has less room once the plan takes from it: one more lot must still fit.
        if most < (count + lots if goes_on else lots):
            continue
        value = lots * ledger.value[k]
        opening = 0.0 if goes_on else ledger.opening_cost(k) * ledger.unit[j]
        key = (spent + value * price[k] + opening, float(value - rest), k)
        if best is None or key < best:
            best = key
    if best is None:
        # Nothing closes it in one step: the cheapest first, and the loop goes on.
        count = min(max(1, whole, ledger.fewest_more(main)), room[main])
        return (float("inf"), float(rest), main), main, count, None
    return best, main, count, best[2]


def trim_all(ledger: Ledger, price: Floats) -> None:
    """Take off what calls have too much until nothing more can go: what leaves one may let a share spare another's."""
    order, prices = ledger.turns, price.tolist()
    while any([trim(ledger, j, prices) for j in order]):
        pass


def trim(ledger: Ledger, j: int, price: Sequence[float]) -> bool:
    """Take off what call ``j`` has too much, dearest lines first. Says whether anything went."""
    went = False
    if ledger.missing[j] >= 0:
        return went
    lines = [k for k in ledger.lines_of[j] if ledger.lots[k] and ledger.value[k] <= -ledger.missing[j]]
    for k in sorted(lines, key=lambda k: (-price[k], -ledger.cost_bps[k], -k)):
        excess = -ledger.missing[j]
        if excess <= 0:
            return went
        if ledger.value[k] > excess:
            continue
        count = ledger.removable(k, excess // ledger.value[k])
        if count:
            ledger.add(k, -count)
            went = True
        else:
            went |= _sent_home(ledger, k, excess // ledger.value[k])
    return went


def _sent_home(ledger: Ledger, k: int, most: int) -> bool:
    """Let up to ``most`` recalled lots on edge ``k`` come home instead, where nothing is in the way of that."""
    home = ledger.home.get(ledger.source[k])
    if home is None or home == k:
        return False
    count = min(most, ledger.lots[k] - ledger.floor[k])
    if 0 < ledger.line_lots(k) - count < ledger.least[k]:
        count = ledger.line_lots(k) - ledger.least[k]
    if count <= 0:
        return False
    ledger.add(k, -count)
    ledger.add(home, count)
    if ledger.headroom.broken() or ledger.overspent_budgets:
        ledger.add(home, -count)
        ledger.add(k, count)
        return False
    return True


def make_way(ledger: Ledger, price: Floats) -> None:
    """Where a call is short, take what it lacks back from later priorities, and serve those after it.

    Rounding can leave lots with a later priority that an earlier one lacks. Kept only if that serves better.
    """
    if len(ledger.shortfalls_by_rank()) < 2:
        return
    prices = price.tolist()
    for j in ledger.turns[: ledger.network.uses.demands]:
        if ledger.missing[j] <= 0:
            continue
        before, stood = ledger.snapshot(), standing(ledger)
        _take_from_later(ledger, j, prices)
        retract(ledger, prices)
        for turn in ledger.turns:
            fill(ledger, turn, prices)
        retract(ledger, prices)
        refit(ledger, price)
        if standing(ledger) >= stood:
            ledger.restore(before)


def _take_from_later(ledger: Ledger, j: int, price: Sequence[float]) -> None:
    """Give call ``j`` what it lacks out of what later priorities hold of its sources, and take no more than that."""
    own = {ledger.source[k] for k in ledger.lines_of[j]}
    held_by: dict[int, list[int]] = defaultdict(list)
    for k, lots in enumerate(ledger.lots):
        if lots and ledger.source[k] in own and ledger.rank(k) > ledger.network.uses.priority[j]:
            held_by[ledger.source[k]].append(k)
    for k in sorted(ledger.lines_of[j], key=lambda k: (price[k], k)):
        if ledger.missing[j] <= 0:
            return
        wanted = max(-(-ledger.missing[j] // ledger.value[k]), ledger.least[k] - ledger.line_lots(k))
        for other in sorted(held_by[ledger.source[k]], key=lambda o: (-ledger.rank(o), -price[o], -o)):
            lacking = wanted - ledger.addable(k, wanted)
            if lacking <= 0:
                break
            taken = ledger.take_back(other, min(ledger.lots[other], lacking))
            if wanted - ledger.addable(k, wanted) == lacking:
                # Something else is in the way: a limit, or a line that would still be too small.
                ledger.add(other, taken)
        ledger.add(k, ledger.addable(k, wanted))


def refit(ledger: Ledger, price: Floats, among: Iterable[int] | None = None) -> None:
    """Exchange lots within the calls (of ``among``, or all), then take off what that left too much."""
    exchange_all(ledger, range(ledger.network.uses.demands) if among is None else among)
    trim_all(ledger, price)


def leave_in_place(ledger: Ledger) -> None:
    """Undo recalls that the same holding's own stock makes good at the same agreement, where that costs nothing more.

    What is recalled from there for a call goes to it from the holding instead, and what lies there stays.
    """
    uses, sources = ledger.network.uses, ledger.network.sources
    at = {(j, i): k for k, (j, i) in enumerate(zip(ledger.use, ledger.source, strict=True))}
    for k in [k for k, source in enumerate(ledger.source) if sources.is_posted[source]]:
        holding = int(sources.holding[ledger.source[k]])
        back = at.get((ledger.funded_by[k], holding))
        instead = at.get((ledger.use[k], holding))
        comes_home = uses.kind[ledger.use[k]] == Kind.HOME
        if back is None or not ledger.lots[back] or not ledger.lots[k] or (instead is None and not comes_home):
            continue
        before, stood = ledger.snapshot(), standing(ledger)
        count = min(ledger.lots[k], ledger.lots[back])
        ledger.add(k, -count)
        ledger.add(back, -count)
        if instead is not None and not comes_home:
            ledger.add(instead, count)
        short_lines = any(0 < ledger.line_lots(e) < ledger.least[e] for e in (k, back))
        if short_lines or not holds(ledger) or standing(ledger) > stood:
            ledger.restore(before)


def holds(ledger: Ledger) -> bool:
    """Every row and budget holds, and nothing is overdrawn."""
    overdrawn = any(ledger.overdrawn(j) for j in range(ledger.network.uses.calls, len(ledger.network.uses)))
    return not (ledger.headroom.broken() or ledger.overspent_budgets or overdrawn)


def standing(ledger: Ledger) -> tuple[tuple[Fraction, ...], Fraction, int]:
    """What decides between two answers: shortfalls by priority, cost, then how much of what is posted moves."""
    return ledger.shortfalls_by_rank(), ledger.weighed_cost(), ledger.recalls()
