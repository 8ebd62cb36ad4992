"""An explanation in words, for a terminal. Figures are the records'; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator

from collateral_opt.explain.records import (
    Alternative,
    Cost,
    Explanation,
    FullLimit,
    Line,
    NotUsed,
    Price,
    Relaxation,
    Remedy,
    Shortfall,
)

_PARTS = {
    "holding": "holding",
    "cash_return": "cash return",
    "movement": "movement",
    "scarcity": "scarcity",
    "reserve": "reserve",
    "limits": "limits",
    "funding": "funding",
    "recall": "recall",
    "haircut": "haircut",
}
_REMEDIES = {
    "eligibility": "taking {amount} of refused assets",
    "supply": "{amount} more of what is taken",
    "time": "{amount} that comes too late",
    "limits": "caps higher by {amount}",
    "pins": "{amount} of what pins forbid",
    "others": "others shorter by {amount}",
    "together": "all of this together, {amount}",
}
_SMALL = 5e-7
_HALF_A_CENT = 0.005


def paragraphs(told: Explanation) -> Iterator[tuple[str, list[str]]]:
    """A heading and its lines, for each thing that there is something to say of."""
    currency = told.base_currency
    yield f"{told.asked}: {told.status}, {_money(told.total_cost)} {currency}", list(_caveat(told))
    for heading, lines in (
        ("short", [line for s in told.shortfalls for line in _shortfall(s)]),
        ("lines, in bp a year on a unit of cover", [line for one in told.lines for line in _line(one)]),
        ("not used", [_not_used(one) for one in told.not_used]),
        ("limits that bind", [_full(one) for one in told.full_limits]),
        (f"worth letting go, {currency} a day", [_relaxation(r) for r in told.relaxations if _shows(r)]),
        (_prices_of(told), [_price(one) for one in told.prices]),
    ):
        if lines:
            yield heading, lines


def _prices_of(told: Explanation) -> str:
    return "prices, bp a year" + (", what is short staying as short as it is" if told.status == "short" else "")


def _caveat(told: Explanation) -> Iterator[str]:
    if not told.is_whole:
        yield "only pairs near the optimum were looked at: the book is very large"
    if not (told.shortfalls or told.lines or told.not_used or told.full_limits or told.relaxations or told.prices):
        yield "nothing is short, and nothing binds"


def _line(line: Line) -> Iterator[str]:
    to = line.call_id or line.facility_input or line.agreement_id or ""
    what = f"{line.asset_id} ({line.holding_id or line.facility_id})"
    yield f"{to} <- {what}  {_money(line.collateral_value)}: {_cost(line.cost)}"
    # A movement is paid once, however large the line.
    dearer = line.cost.total - line.cost.movement / (1 - line.haircut) - line.worth_bps
    if dearer > _SMALL:
        yield f"    {_bps(dearer)} above what a unit of cover is worth there: for whole lots, or a pin"
    yield f"    next best {_alternative(line.next_best)}" if line.next_best else "    nothing else is left that could"


def _alternative(other: Alternative) -> str:
    name = f"{other.asset_id} ({other.holding_id or other.facility_id or 'recalled'})"
    return f"{name}, {_bps(other.dearer_bps)} dearer: {_cost(other.cost)}"


def _cost(cost: Cost) -> str:
    parts = ((words, getattr(cost, name)) for name, words in _PARTS.items())
    said = ", ".join(f"{words} {_bps(part)}" for words, part in parts if abs(part) > _SMALL)
    return f"{_bps(cost.total)}" + (f" = {said}" if said else "")


def _not_used(one: NotUsed) -> str:
    said = one.why
    if one.hours_late is not None:
        said += f", by {one.hours_late:,.2f} hours"
    if one.too_dear_bps is not None and one.obstacle != "tie":
        said += f"; {_bps(one.too_dear_bps)} too dear on a unit of market value"
    if one.cost is not None and one.worth_bps is not None and one.obstacle in ("cost", "limit"):
        said += f" (a unit of cover {_cost(one.cost)}, worth {_bps(one.worth_bps)})"
    holding = one.holding_id or one.facility_id
    return f"{one.call_id or one.agreement_id}  {one.asset_id} ({holding})  {one.obstacle}: {said}"


def _shortfall(short: Shortfall) -> Iterator[str]:
    yield f"{short.kind} {short.name}  {_money(short.missing)} of {_money(short.required)} missing"
    if short.is_lots:
        yield "    whole lots alone stand in the way: the linear program covers it"
        return
    alone = [remedy for remedy in short.remedies if remedy.kind != "together"]
    could = [remedy for remedy in alone if remedy.amount is not None]
    yield from (line for remedy in could for line in _remedy(remedy))
    if not could:
        together = [r for r in short.remedies if r.kind == "together" and r.amount is not None]
        yield "    no change of one kind would cover it"
        yield from (line for remedy in together for line in _remedy(remedy))


def _remedy(remedy: Remedy) -> Iterator[str]:
    assert remedy.amount is not None
    yield f"    {remedy.kind}: " + _REMEDIES[remedy.kind].format(amount=_money(remedy.amount))
    for needed in remedy.needed:
        yield f"        {needed.what}  {_money(needed.amount)}" + (f"  {needed.why}" if needed.why else "")


def _full(one: FullLimit) -> str:
    group = f" {one.group}" if one.group else ""
    worth = "no room" if one.price.more_bps is None else f"one more unit saves {_bps(one.price.more_bps)}"
    return f"{one.agreement_id}  '{one.limit}'{group}  {_money(one.used)} of {_money(one.cap)}: {worth}"


def _shows(one: Relaxation) -> bool:
    return max(one.saves_per_day, one.covers) >= _HALF_A_CENT


def _relaxation(one: Relaxation) -> str:
    what = {
        "limit": f"limit '{one.name}' at {one.place}",
        "capacity": f"the capacity of {one.name}",
        "pin": f"the pin of {one.name} to {one.place}",
        "reserve": f"reserve {one.name}",
    }[one.kind]
    covers = f", and covers {_money(one.covers)}" if one.covers >= _HALF_A_CENT else ""
    return f"{_money(one.saves_per_day):>14}  {what}{covers}"


def _price(price: Price) -> str:
    costs = price.kind in ("call", "agreement", "reserve")
    if price.more_bps is None and price.less_bps is None:
        return f"{price.kind} {price.name}  is short: one more unit cannot be covered"
    one = "one more unit" if price.unit == "base currency" else "one more unit of the asset"
    more = _side(f"{one} {'costs' if costs else 'saves'}", price.more_bps, price.holds_up)
    less = _side(f"one less {'saves' if costs else 'costs'}", price.less_bps, price.holds_down)
    return f"{price.kind} {price.name}  {more}; {less}"


def _side(words: str, bps: float | None, holds: float | None) -> str:
    if bps is None:
        return words.rsplit(" ", 1)[0] + " cannot be"
    return f"{words} {_bps(bps)}" + ("" if holds is None else f" for {holds:,.0f}")


def _bps(figure: float) -> str:
    return f"{figure:,.4f}".rstrip("0").rstrip(".") if abs(figure) > 5e-5 else "0"


def _money(amount: float) -> str:
    return f"{amount + 0.0:,.2f}"
