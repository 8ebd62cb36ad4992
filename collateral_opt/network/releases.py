"""When what is recalled can be elsewhere: not before its replacement has settled and it has come back.

Everything recalled for a use with a deadline must have left its agreement by some latest time. For each such time,
what has left by then is made good by replacements that have settled by then, or lies there in excess of the
requirement. Taken over all times these rows are exact: earliest deadlines first is then a plan. A replacement that
is recalled itself settles at no known time, and makes good only what nobody waits for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from collateral_opt.network.exact import exact
from collateral_opt.network.facts import Facts
from collateral_opt.network.network import Edges, Ints, Kind, Release


def releases(facts: Facts, edges: Edges) -> tuple[Release, ...]:
    """One row per agreement and latest time of leaving it, in that order."""
    return tuple(row for use in range(facts.uses.calls, facts.uses.demands) for row in _of_agreement(facts, edges, use))


def _of_agreement(facts: Facts, edges: Edges, use: int) -> Iterator[Release]:
    uses, sources = facts.uses, facts.sources
    recalled = np.flatnonzero(sources.funded_by[edges.source] == use)
    open_ended = np.append(facts.terms.open_ended, True)  # home, the last use, waits for nothing
    timed = recalled[~open_ended[np.minimum(edges.use[recalled], len(open_ended) - 1)]]
    if not len(timed):
        return
    leaves_by = _latest_leave(facts, edges, timed)
    replacing = np.flatnonzero(edges.use == use)
    settled = _recall_may_start(facts, edges, replacing, use)
    free = max(-uses.required[use], exact(0.0))
    as_of = _started(facts, use, np.array([pd.Timestamp(facts.book.settings.as_of).value]))[0]
    for number, latest in enumerate(np.unique(leaves_by).tolist()):
        yield Release(
            agreement=uses.ids[use],
            number=number + 1,
            recall=timed[leaves_by <= latest],
            replacement=replacing[settled <= latest],
            free=free if 2 * as_of <= latest else exact(0.0),
        )


def leave_by(facts: Facts, edges: Edges) -> dict[tuple[int, int], int]:
    """When a recall must start, by posted line and use, at the place it leaves: for uses with a deadline only."""
    sources, terms = facts.sources, facts.terms
    found = {}
    for e in np.flatnonzero(sources.is_posted[edges.source]).tolist():
        use, part = int(edges.use[e]), int(edges.source[e]) - sources.first_posted
        if use < len(terms.due) and not terms.open_ended[use]:
            latest = pd.Timestamp(int(terms.due[use] - sources.recallable.wait[part]), tz="UTC")
            row = int(facts.agreements.row[sources.recallable.agreement[part]])
            found[int(sources.recallable.line[part]), use] = facts.movements.latest_recall_start(row, latest).value
    return found


def _latest_leave(facts: Facts, edges: Edges, timed: Ints) -> Ints:
    """Twice the time by which each recall must start; one more where proceeds of that very time may replace it."""
    sources, due = facts.sources, facts.terms.due[edges.use[timed]]
    wait = sources.recallable.wait[edges.source[timed] - sources.first_posted]
    # What goes into a facility at once cannot be replaced by what the facility produces at that moment.
    circles = (facts.uses.kind[edges.use[timed]] == Kind.FACILITY) & (wait == 0)
    return np.asarray(2 * (due - wait) + ~circles)


def _recall_may_start(facts: Facts, edges: Edges, replacing: Ints, use: int) -> Ints:
    """Twice the time from which each replacement, once settled, lets a recall start; proceeds half a step later."""
    sources = facts.sources
    source = edges.source[replacing]
    starts = _started(facts, use, sources.deliverable_at[source])
    never = np.iinfo(np.int64).max
    return np.where(sources.is_posted[source], never, 2 * starts + sources.is_facility[source])


def _started(facts: Facts, use: int, earliest: Ints) -> Ints:
    """When a recall starts that may start at ``earliest``: cut-offs and business days of the agreement's place."""
    row = int(facts.agreements.row[facts.uses.agreement[use]])
    times, back = np.unique(earliest, return_inverse=True)
    starts = [facts.movements.recall_start(row, pd.Timestamp(t, tz="UTC")).value for t in times.tolist()]
    return np.array(starts, dtype=np.int64)[back]
