"""Recalled collateral can be where it is used: in time, and never where it came from.

A holding hands out what it had and what comes back to it without telling them apart, so the question is whether any
way of telling them apart will do. That is a linear program: which part of each line is the holding's own and which
was recalled from where, under what there is of each and, for each agreement, under what may have left it by when.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import NOTHING, number, total
from collateral_opt.result.checker.linear import Row, Unsolved, greatest
from collateral_opt.result.checker.movements import Movement
from collateral_opt.result.checker.posted import Posting

SLACK = 1e-7
"""How far, in parts of a row, the program may go beyond what there is: a true plan is never refused."""
FED = 1 - 1e-6
"""The share of a line from which on it counts as fed."""
MOMENT = pd.Timedelta(milliseconds=1)
"""Times that are no further apart are the same."""


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """What is recalled of one posting and takes the same time to arrive."""

    posting: Posting
    quantity: Fraction
    """The most of it."""
    recall_time: pd.Timedelta


@dataclass(frozen=True, slots=True)
class Feed:
    """A way in which a line may be fed: from an origin, or out of what the holding had."""

    line: int
    origin: Origin | None
    started: pd.Timestamp | None
    """By when the recall must have started; None without a deadline."""


def recalled_collateral_is_there_in_time(facts: Facts) -> Iterator[str]:
    """Each line out of a holding that gets something back can be fed by it and by what was recalled in time.

    A recall starts when its replacement has settled; what is not replaced may leave from ``as_of`` on. Nothing goes
    back to the agreement it was recalled from.
    """
    enough = {holding for holding, back in facts.recalled_into.items()
              if facts.used_of_holding.get(holding, NOTHING) <= facts.terms.held(holding) + back}  # fmt: skip
    lines = [movement for movement in facts.movements if movement.holding in enough]
    if not lines:
        return
    feeds = list(possible_feeds(facts, lines))
    rows = [*supply_rows(facts, lines, feeds), *departure_rows(facts, lines, feeds)]
    try:
        parts = greatest([1.0] * len(feeds), rows, ())[1] if feeds else []
    except Unsolved as problem:
        yield f"recalls: whether they are in time could not be verified: {problem}."
        return
    fed: dict[int, float] = defaultdict(float)
    for feed, part in zip(feeds, parts, strict=True):
        fed[feed.line] += part
    for at, line in enumerate(lines):
        if fed[at] < FED:
            missing = float(f"{float(line.quantity) * (1 - fed[at]):.4g}")  # as far as SLACK lets it be known
            yield (
                f"{line.name}: some {missing:,.12g} of {number(line.quantity)} is neither the holding's own in time nor"
                " recalled in time from another agreement."
            )


# --- which way -------------------------------------------------------------------------


def possible_feeds(facts: Facts, lines: Sequence[Movement]) -> Iterator[Feed]:
    """Every way in which each line may be fed in time, each by itself."""
    terms = facts.terms
    origins = origins_by_holding(facts)
    earliest = {a: terms.recall_starts(a, terms.as_of) for a in facts.accounts}
    for at, line in enumerate(lines):
        deadline = facts.deadline(line)
        if deadline is None or terms.arrives(line.holding) <= deadline:
            yield Feed(at, None, None)
        for origin in origins[line.holding]:
            agreement = origin.posting.agreement
            if agreement == line.agreement:
                continue
            started = None if deadline is None else deadline - origin.recall_time - terms.settling(line.holding)
            if started is None or earliest[agreement] <= started + MOMENT:
                yield Feed(at, origin, started)


def origins_by_holding(facts: Facts) -> Mapping[int, list[Origin]]:
    found: dict[int, list[Origin]] = defaultdict(list)
    for posting in facts.postings:
        if posting.holding < 0 or posting.recalled <= 0:
            continue
        for time in sorted({row.recall_time for row in posting.free}):
            there = total(row.quantity for row in posting.free if row.recall_time == time)
            found[posting.holding].append(Origin(posting, min(there, posting.recalled), time))
    return found


# --- the program -----------------------------------------------------------------------


def supply_rows(facts: Facts, lines: Sequence[Movement], feeds: Sequence[Feed]) -> Iterator[Row]:
    """No line is fed twice; no more than there is leaves a holding's own stock, an origin, or a posting in all."""
    by_line: dict[int, list[int]] = defaultdict(list)
    own: dict[int, list[int]] = defaultdict(list)
    by_origin: dict[Origin, list[int]] = defaultdict(list)
    by_posting: dict[Posting, list[int]] = defaultdict(list)
    for column, feed in enumerate(feeds):
        by_line[feed.line].append(column)
        if feed.origin is None:
            own[lines[feed.line].holding].append(column)
        else:
            by_origin[feed.origin].append(column)
            by_posting[feed.origin.posting].append(column)
    for columns in by_line.values():
        yield columns, [1.0] * len(columns), 1.0
    for holding, columns in own.items():
        yield scaled(((c, lines[feeds[c].line].quantity) for c in columns), facts.terms.held(holding))
    for origin, columns in by_origin.items():
        yield scaled(((c, lines[feeds[c].line].quantity) for c in columns), origin.quantity)
    for posting, columns in by_posting.items():
        yield scaled(((c, lines[feeds[c].line].quantity) for c in columns), posting.recalled)


def departure_rows(facts: Facts, lines: Sequence[Movement], feeds: Sequence[Feed]) -> Iterator[Row]:
    """By each time, no more value was recalled for uses with a deadline than was spare or had been replaced."""
    timed: dict[int, list[tuple[pd.Timestamp, int, float]]] = defaultdict(list)
    for column, feed in enumerate(feeds):
        if feed.origin is None or feed.started is None:
            continue
        value = float(feed.origin.posting.value(lines[feed.line].quantity))
        if value > 0:
            timed[feed.origin.posting.agreement].append((feed.started, column, value))
    position = {line.row: at for at, line in enumerate(lines) if line.facility < 0}
    own = {feed.line: column for column, feed in enumerate(feeds) if feed.origin is None}
    for agreement, departures in timed.items():
        account = facts.accounts[agreement]
        if account.spare >= account.recalled:
            continue
        settled = [(replaced_at(facts, line), line) for line in facts.replacements if line.agreement == agreement]
        for by in sorted({started for started, _, _ in departures}):
            weights = [(column, value) for started, column, value in departures if started <= by]
            there = [line for when, line in settled if when <= by + MOMENT]
            apart = [line for line in there if line.row in position]
            weights += [
                (own[position[line.row]], -float(line.collateral_value)) for line in apart if position[line.row] in own
            ]
            others = total(line.collateral_value for line in there if line.row not in position)
            yield scaled(weights, account.spare + others)


def replaced_at(facts: Facts, line: Movement) -> pd.Timestamp:
    """When a recall may start that waits for this replacement."""
    terms = facts.terms
    settled = terms.arrives(line.holding) if line.holding >= 0 else terms.opens(line.producer)
    return terms.recall_starts(line.agreement, settled)


def scaled(weights: Iterable[tuple[int, Fraction | float]], most: Fraction) -> Row:
    """A row with a coefficient of 1 for its largest, and a little more room than there is."""
    pairs = [(column, float(weight)) for column, weight in weights]
    size = max(abs(weight) for _, weight in pairs)
    room = min(float(most) / size, len(pairs) + 1.0)
    return [column for column, _ in pairs], [weight / size for _, weight in pairs], room + SLACK * max(1.0, room)
