"""Rules about facilities: what they are given, in which order and time, what they produce, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from collateral_opt.result.checker.facts import Facts
from collateral_opt.result.checker.figures import NOTHING, near, number, to_the_cent, total
from collateral_opt.result.checker.lines import assets_fit, haircut_agrees


def inputs_fit_what_they_name(facts: Facts) -> Iterator[str]:
    """The asset is the source's, or what is given where nothing is taken; one row a facility and source."""
    stated = facts.stated["financing"].texts("asset_id")
    yield from assets_fit(facts, facts.inputs, stated)
    for draw in facts.draws:
        gives = facts.terms.cell("facilities", "gives", draw.facility)
        if stated[draw.row] != gives:
            yield f"{facility_name(facts, draw.facility)}: the row's asset is {stated[draw.row]}, it gives {gives}."
    pairs = Counter((line.facility, line.holding, line.producer) for line in facts.inputs)
    seen = set()
    for line in facts.inputs:
        pair = (line.facility, line.holding, line.producer)
        if pairs[pair] > 1 and pair not in seen:
            yield f"{line.name}: {pairs[pair]} rows in financing, a pair has one."
        seen.add(pair)


def facilities_take_from_earlier_ones(facts: Facts) -> Iterator[str]:
    """Another facility's proceeds only where that one's ``access_hours`` is strictly smaller."""
    hours = facts.terms.tables["facilities"]["access_hours"]
    for line in facts.inputs:
        if line.producer >= 0 and not hours[line.producer] < hours[line.facility]:
            yield (
                f"{line.name}: the proceeds are there after {hours[line.producer]:g} hours, which is not before the"
                f" {hours[line.facility]:g} of the facility that takes them."
            )


def facilities_keep_to_their_capacity(facts: Facts) -> Iterator[str]:
    """What is spent from a facility is at most its capacity."""
    for facility, produced in sorted(facts.produced.items()):
        capacity = facts.terms.capacity(facility)
        if produced > capacity:
            yield (
                f"{facility_name(facts, facility)}: {number(produced)} is spent of a capacity of {number(capacity)},"
                f" {number(produced - capacity)} too much."
            )


def facilities_produce_what_they_were_given(facts: Facts) -> Iterator[str]:
    """What is spent is at most the collateral value of the inputs; of one that takes nothing, exactly its row."""
    rows = Counter(draw.facility for draw in facts.draws)
    drawn = {draw.facility: draw.quantity for draw in facts.draws}
    for facility in sorted(facts.produced.keys() | drawn.keys()):
        name, spent = facility_name(facts, facility), facts.produced.get(facility, NOTHING)
        if facts.terms.takes[facility] is not None:
            given = total(line.collateral_value for line in facts.inputs_of_facility.get(facility, ()))
            if spent > given:
                yield f"{name}: {number(spent)} is spent, it was given a collateral value of {number(given)}."
            continue
        quantity = total(movement.quantity for movement in facts.spent.get(facility, ()))
        if rows[facility] > 1 or (spent and not rows[facility]):
            yield f"{name}: it has {rows[facility]} rows in financing, producing out of nothing has one."
        elif drawn[facility] != quantity:
            yield f"{name}: financing states {number(drawn[facility])}, {number(quantity)} is spent."


def financing_figures_agree(facts: Facts) -> Iterator[str]:
    """haircut = 1 - f unrounded; market value, proceeds and cost to the cent.

    The cost of a row is its own (the holding's), and its share, by proceeds, of what the facility costs.
    """
    stated = facts.stated["financing"]
    given = {
        facility: total(line.collateral_value for line in lines) for facility, lines in facts.inputs_of_facility.items()
    }
    for line in facts.inputs:
        share = line.collateral_value / given[line.facility] if given[line.facility] else NOTHING
        cost = line.cost + share * facility_cost(facts, line.facility)
        yield from haircut_agrees(line, stated["haircut"][line.row])
        yield from to_the_cent(line.name, "market_value", stated["market_value"][line.row], line.market_value)
        yield from to_the_cent(line.name, "proceeds", stated["proceeds"][line.row], line.collateral_value)
        yield from to_the_cent(line.name, "cost", stated["cost"][line.row], cost)
    for draw in facts.draws:
        name = facility_name(facts, draw.facility)
        value = draw.quantity * facts.terms.unit_value(facts.terms.gives[draw.facility])
        if not near(stated["haircut"][draw.row], NOTHING, NOTHING):
            yield f"{name}: haircut is stated as {stated['haircut'][draw.row]!r}, nothing is taken: it is 0."
        yield from to_the_cent(name, "market_value", stated["market_value"][draw.row], value)
        yield from to_the_cent(name, "proceeds", stated["proceeds"][draw.row], value)
        yield from to_the_cent(name, "cost", stated["cost"][draw.row], facility_cost(facts, draw.facility))


def facility_cost(facts: Facts, facility: int) -> Fraction:
    return facts.terms.facility_cost(facility, facts.produced.get(facility, NOTHING))


def facility_name(facts: Facts, facility: int) -> str:
    return f"facility {facts.terms.cell('facilities', 'facility_id', facility)}"
