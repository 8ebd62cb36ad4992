"""Tells a comparison in lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from collateral_opt.result.comparison import Altered, Comparison, CostDifference, LimitDifference, Moved, Stated

_MOST = 5
_MOST_TEXTS = 3
_PLURALS = {"facility": "facilities", "currency": "currencies"}


def comparison_lines(comparison: Comparison) -> list[str]:
    """What a person reads first: cost, what is short, how much moves, what binds, who pays. A heading first."""
    c, currency = comparison, comparison.base_currency
    least = " to ".join(signed(x) for x in c.least_cost)
    out = [f"{c.name}: {c.status[0]} before, {c.status[1]} after"]
    stopped = [when for when, result in (("before", c.before), ("after", c.after)) if result.summary["stopped"]]
    if stopped:
        out.append(f"  stopped    {' and '.join(stopped)}, with the best answer so far")
    for word, lines in told_changes(c):
        out.append(f"  change     {word}")
        for line in _first(lines, out, "alterations.csv"):
            out.append(f"             {line}")
    out.append(f"  cost       {_step(c.cost)} {currency}; of the least cost {least}")
    out.append(f"  short      {_step(c.shortfall)} {currency}")
    if c.reserve_shortfall.before or c.reserve_shortfall.after:
        out.append(f"  reserves   {_step(c.reserve_shortfall)} {currency} missing")
    counts = [(what, sum(1 for line in c.lines if line.difference == what)) for what in ("added", "removed", "changed")]
    repriced = sum(1 for line in c.lines if line.difference == "repriced")
    counts += [("with the same quantity at another value or cost", repriced)] if repriced else []
    out.append(f"  lines      {', '.join(f'{n:,} {what}' for what, n in counts)}")
    for one in c.movements:
        value = _step(one.market_value, 0)
        out.append(
            f"  {one.action:<10} {one.lines.before:,.0f} lines, now {one.lines.after:,.0f}; market value {value}"
        )
    for call in _first(sorted(c.calls, key=lambda one: -abs(one.shortfall.by)), out, "calls.csv"):
        short = f", short {_step(call.shortfall)}" if call.shortfall.before or call.shortfall.after else ""
        why = f" ({call.reason})" if call.reason else ""
        out.append(f"  call {call.call_id} {call.difference}: asks {_step(call.required)}{short}{why}")
    for what, others in (("agreement", c.agreements), ("reserve", c.reserves)):
        for other in _first(others, out, f"{what}s.csv"):
            asks, short = _step(other.required), _step(other.shortfall)
            out.append(f"  {what} {other.name} {other.difference}: requires {asks}, short {short}")
    for limit in _first(c.limits, out, "limits.csv"):
        out.append(f"  {limit.difference}: {_limit(limit)}")
    for facility in _first([one for one in c.facilities if one.raised.by or one.cost.by], out, "facilities.csv"):
        out.append(f"  facility {facility.facility_id}: raised {_step(facility.raised)}, cost {_step(facility.cost)}")
    for by in ("agreement", "owner"):
        paying = [one for one in c.costs if one.by == by and one.cost.by]
        if paying:
            largest = sorted(paying, key=lambda one: -abs(one.cost.by))
            more = f"; {len(paying) - _MOST:,} more in costs.csv" if len(paying) > _MOST else ""
            said = "; ".join(f"{payer(one)} {signed(one.cost.by)}" for one in largest[:_MOST])
            out.append(f"  by {by:<10}{said}{more}")
    return out


def told_changes(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The word of each change, with a line for each kind of figure that it moved in the book."""
    altered = comparison.altered
    return [
        (word, [alteration_text(one) for one in altered if one.number == number])
        for number, word in enumerate(comparison.changes, 1)
    ]


def alteration_text(one: Altered) -> str:
    """What a change did to figures of one kind: `amount of call MC7: 1,000,000 -> 1,200,000 USD`."""
    whose = f"{one.count:,} {_PLURALS.get(one.thing, f'{one.thing}s')}" if one.name is None else _called(one)
    if one.places:
        whose += f" in {one.places[0] if len(one.places) == 1 else f'{len(one.places):,} schedules'}"
    unit = f" {one.unit}" if one.unit is not None else ""
    if one.difference != "changed":
        figure = _stated(one.now if one.difference == "added" else one.was)
        return f"{whose} {one.difference}" + (f": {one.field} {figure}{unit}" if figure else "")
    return f"{one.field} of {whose}: {_stated(one.was) or 'none'} -> {_stated(one.now) or 'none'}{unit}"


def _called(one: Altered) -> str:
    """A thing and its name, which may begin with what it is (`rule 3 'corporates'`)."""
    name = one.name or ""
    return name if name.startswith(f"{one.thing} ") else f"{one.thing} {name}"


def _stated(figures: Sequence[Stated]) -> str:
    """`0.02 to 0.08`, or the texts."""
    numbers = [f"{figure + 0.0:,.12g}" for figure in figures if not isinstance(figure, str)]
    texts = [figure for figure in figures if isinstance(figure, str)]
    if len(texts) > _MOST_TEXTS:
        texts = [f"{len(texts):,} different ones"]
    return ", ".join([*([" to ".join(numbers)] if numbers else []), *texts])


def _first(differences: Sequence[Any], out: list[str], table: str) -> Iterator[Any]:
    """The first few, and how many more there are."""
    yield from differences[:_MOST]
    if len(differences) > _MOST:
        out.append(f"  and {len(differences) - _MOST:,} more, see {table}")


def _limit(limit: LimitDifference) -> str:
    group = f" {limit.group}" if limit.group else ""
    used, cap = limit.used, limit.cap
    more = {"newly binding": "saves something now", "no longer binding": "would not save anything any more"}
    return (
        f"{limit.agreement_id}, {limit.limit}{group}: {used.before:,.2f} of {cap.before:,.2f} before, "
        f"{used.after:,.2f} of {cap.after:,.2f} after"
        + (f"; one more unit {more[limit.difference]}" if limit.by_price else "")
    )


def payer(one: CostDifference) -> str:
    """Who bears a part of the cost."""
    name = one.name if one.name is not None else f"no {one.part} named"
    return f"facility {name}" if one.part == "facility" else name


def _step(moved: Moved, decimals: int = 2) -> str:
    same = f"{moved.before + 0.0:,.{decimals}f}"
    if not moved.by:
        return f"{same} as before"
    return f"{same} -> {moved.after + 0.0:,.{decimals}f} ({signed(moved.by, decimals)})"


def signed(x: float, decimals: int = 2) -> str:
    """A difference, with its sign."""
    return f"{round(x, decimals) + 0.0:+,.{decimals}f}"
