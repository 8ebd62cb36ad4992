"""What a schedule says, in sentences that can be held against the document it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from eligibility_rules.criteria import bounds_of
from eligibility_rules.scalars import day, percent, tenor_parts
from eligibility_rules.vocabulary import (
    AllOf,
    AnyOf,
    Cap,
    ColumnCompare,
    ColumnIn,
    Criterion,
    Deduction,
    DomesticCurrency,
    FurtherHaircut,
    FxHaircut,
    Limit,
    Maturity,
    Not,
    OwnIssue,
    Rating,
    Valuation,
)
from eligibility_rules.writing import laid_open, number_text

EVERYTHING = "everything"
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_DATES = {"gt": "after", "ge": "on or after", "lt": "before", "le": "on or before"}
_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_MATURITIES = {"remaining": "remaining maturity", "original": "original maturity", "since_issue": "time since issue"}
_AGENCIES = {"sp": "S&P", "moodys": "Moody's", "fitch": "Fitch", "dbrs": "DBRS"}
_SCOPES = {"asset": "the asset", "issuer": "the issuer", "sovereign": "the sovereign"}
_RESOLVES = {
    "lowest": "the lowest",
    "highest": "the highest",
    "second_best": "the second best",
    "average": "the average",
    "any": "any one",
}
_BASES = {
    "requirement": "the requirement",
    "posted": "all that is posted",
    "outstanding": "the amount outstanding",
    "market_cap": "the market capitalisation",
    "adv": "the average daily volume",
}
_MEASURES = {
    "market_value": "market value",
    "value_after_haircut": "value after haircut",
    "quantity": "quantity",
}
MARGIN_TYPES = {"im": "initial margin", "vm": "variation margin"}


def printable(text: object) -> str:
    """The text without control characters: no name in a file steers a terminal.

    >>> printable("acme\\x1b[31m")
    'acme?[31m'
    """
    return "".join(c if c.isprintable() else "?" for c in str(text))


def listed(parts: Sequence[str], last: str = "or") -> str:
    """`US, CA or GB`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def column_words(column: str) -> str:
    """`issuer country`; a taxonomy keeps its name, which is somebody's own."""
    return column if column.startswith("taxonomy_") else column.replace("_", " ")


# -------------------- criteria


def conditions(criterion: Criterion | None, said: str = "") -> tuple[str, ...]:
    """The conditions that must all hold, one sentence each; `any` of compound ones as a list of lines with `- `.

    `said` is how ratings are read (:func:`rating_reading`) where the reader knows it already: it is not repeated.
    """
    if criterion is None:
        return (EVERYTHING,)
    found: list[str] = []
    for part in conjuncts(criterion):
        ways = list(disjuncts(part))
        if len(ways) > 2 or (len(ways) == 2 and any(isinstance(way, AllOf) for way in ways)):
            found += ["one of:", *dict.fromkeys(f"- {condition(way, said)}" for way in ways)]
        else:
            found.append(condition(part, said))
    return tuple(found)


def conjuncts(criterion: Criterion) -> Iterator[Criterion]:
    """The criteria that must all be true, `all` within `all` laid open."""
    yield from laid_open(criterion, AllOf)


def disjuncts(criterion: Criterion) -> Iterator[Criterion]:
    """The criteria of which one must be true, `any` within `any` laid open."""
    yield from laid_open(criterion, AnyOf)


def condition(criterion: Criterion, said: str = "") -> str:
    """One criterion as a sentence without its full stop: `remaining maturity at least 1 year and below 5 years`."""
    match criterion:
        case AllOf():
            return " and ".join(_bracketed(inner, said) for inner in conjuncts(criterion))
        case AnyOf():
            return " or ".join(_bracketed(inner, said) for inner in disjuncts(criterion))
        case Not(criterion=ColumnIn() as leaf):
            return _is_one_of(leaf, "is not")
        case Not():
            return f"not {_bracketed(criterion.criterion, said)}"
        case ColumnIn():
            return _is_one_of(criterion, "is")
        case ColumnCompare():
            return f"{column_words(criterion.column)} {_within(bounds_of(criterion))}"
        case Maturity():
            bounds = {word: _tenor(bound) for word, bound in bounds_of(criterion).items()}
            return f"{_MATURITIES[criterion.measured]} {_within(bounds)}"
        case Rating():
            return _rating(criterion, said)
        case OwnIssue():
            return f"{'' if criterion.value else 'not '}issued by the poster's own group"
        case DomesticCurrency():
            return f"{'' if criterion.value else 'not '}in the domestic currency of its issuer"


def _bracketed(criterion: Criterion, said: str) -> str:
    """In brackets where a word within could be taken to reach further."""
    text = condition(criterion, said)
    one_bound = isinstance(criterion, Rating) and None in (criterion.at_least, criterion.at_most)
    return text if one_bound or not (" or " in text or " and " in text) else f"({text})"


def _is_one_of(leaf: ColumnIn, verb: str) -> str:
    return f"{column_words(leaf.column)} {verb} {listed(leaf.values)}"


def _within(bounds: dict[str, str]) -> str:
    """The lower bound first, whatever order it was written in; a date is not below another, but before it."""
    told = []
    for word in _BOUNDS:
        if word in bounds:
            text = bounds[word]
            said = _DATES if day(text) is not None else _BOUNDS
            told.append(f"{said[word]} {f'{int(text):,}' if text.isdecimal() and len(text) > 4 else text}")
    return " and ".join(told)


def _tenor(text: str) -> str:
    count, unit = tenor_parts(text)
    return f"{count} {_UNITS[unit]}{'' if count == 1 else 's'}"


def _rating(rating: Rating, said: str) -> str:
    bounds = {"ge": rating.at_least, "le": rating.at_most}
    letters = _within({word: bound for word, bound in bounds.items() if bound is not None})
    reading = rating_reading(rating)
    return f"rating {letters}" + ("" if reading == said else f" ({reading})")


def rating_reading(rating: Rating) -> str:
    """`the lowest of S&P and Moody's; of the asset, else of the issuer`."""
    agencies = listed([_AGENCIES[agency] for agency in rating.agencies], "and")
    of = agencies if len(rating.agencies) == 1 else f"{_RESOLVES[rating.resolve]} of {agencies}"
    return f"{of}; of " + ", else of ".join(_SCOPES[scope] for scope in rating.scope)


# -------------------- what it counts at


def valuation_words(valuation: Valuation) -> str:
    """The figure as the document states it: `haircut 2 %`, `margin ratio 1.02`, `valued at 98 %`."""
    if valuation.haircut is not None:
        return f"haircut {percent(valuation.haircut)}"
    if valuation.margin_ratio is not None:
        return f"margin ratio {number_text(valuation.margin_ratio)}"
    return f"valued at {percent(valuation.factor)}"


def deduction_words(deduction: Deduction) -> str:
    """`1 % more, added to the haircut, where interest is zero`."""
    how = "added to the haircut" if deduction.combine == "additive" else "off what the haircut leaves"
    where = [] if deduction.select is None else [condition(deduction.select)]
    if isinstance(deduction, FxHaircut):
        where.insert(0, "the asset's currency differs from the one that collateral is counted in")
    only = [f"for {MARGIN_TYPES[deduction.margin_type]} only"] if deduction.margin_type else []
    parts = [f"{percent(deduction.rate)} more, {how}", *only]
    return ", ".join(parts) + (f", where {' and '.join(where)}" if where else "")


# -------------------- limits


def cap_words(cap: Cap) -> str:
    """`25 % of the requirement`, `50,000,000 USD`, `5 times the average daily volume`."""
    if cap.amount is not None:
        return f"{amount_words(cap.amount)} {cap.currency}"
    share = cap.share if cap.share is not None else Fraction(0)
    many = f"{number_text(share)} times" if share > 1 else f"{percent(share)} of"
    return f"{many} {_BASES[cap.of]}"


def amount_words(amount: Fraction) -> str:
    """`50,000,000`, every decimal kept."""
    whole, _, rest = number_text(amount).partition(".")
    return (f"{int(whole):,}" if whole.isdecimal() else whole) + (f".{rest}" if rest else "")


def caps_words(limit: Limit) -> str:
    """What caps each group; of several, the least."""
    words = [cap_words(cap) for cap in limit.caps]
    return words[0] if len(words) == 1 else f"the least of {listed(words, 'and')}"


def group_words(limit: Limit) -> str:
    """`each issuer`, or `all together`."""
    return "all together" if limit.group_by == "none" else f"each {column_words(limit.group_by)}"


def measure_words(limit: Limit) -> str:
    """What is added up."""
    return _MEASURES[limit.measure]


def further_words(further: FurtherHaircut) -> str:
    """A further haircut with its label."""
    return f"{further.label}: {deduction_words(further)}"
