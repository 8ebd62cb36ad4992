"""The collateral terms of a credit support agreement, whatever it was read from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from eligibility_rules.ratings import rating_step
from eligibility_rules.scalars import decimal_text
from eligibility_rules.vocabulary import Exact, Frozen, MarginType

Party = Literal["party1", "party2"]
PARTIES: tuple[Party, ...] = ("party1", "party2")
Direction = Literal["up", "down", "nearest"]


class Amount(Frozen):
    """A fixed amount; `currency` is None where the document names none that is one."""

    value: Exact
    currency: str | None = None
    zero_on_event: bool = False
    events: tuple[str, ...] = ()

    def __str__(self) -> str:
        unit = f" {self.currency}" if self.currency else ""
        return f"{decimal_text(self.value)}{unit}{' (zero on an event)' if self.zero_on_event else ''}"


class RatingAmount(Frozen):
    """One line of a table of ratings: what applies to a party that the agency gives this rating."""

    agency: str
    rating: str
    amount: Exact


class ByRating(Frozen):
    """An amount that follows a rating: `compare` says which of several counts."""

    currency: str | None = None
    compare: str | None = None
    rated_party: str | None = None
    table: tuple[RatingAmount, ...] = ()
    zero_on_event: bool = False
    events: tuple[str, ...] = ()


class Threshold(Frozen):
    """Exactly one of the three; an infinite threshold means that the party never posts."""

    amount: Amount | None = None
    by_rating: ByRating | None = None
    infinite: bool = False

    def __str__(self) -> str:
        return "infinity" if self.infinite else "by rating" if self.by_rating is not None else str(self.amount)


class PartyTerms(Frozen):
    """What applies to one party as the one that posts; None where the document says nothing."""

    name: str | None = None
    minimum_transfer: Amount | None = None
    minimum_transfer_by_rating: ByRating | None = None
    threshold: Threshold | None = None
    independent_amount: Amount | None = None
    substitution_needs_consent: bool | None = None


class Rounding(Frozen):
    """To which multiple, and which way, what is delivered or returned is rounded."""

    delivery: Exact | None = None
    delivery_direction: Direction | None = None
    returned: Exact | None = None
    return_direction: Direction | None = None
    currency: str | None = None


class CsaTerms(Frozen):
    """The collateral terms of one agreement."""

    publisher: str | None = None
    vintage: str | None = None
    governing_law: str | None = None
    agreement_date: str | None = None
    margin_type: MarginType | None = None
    base_currency: str | None = None
    includes_base_currency: bool | None = None
    eligible_currencies: tuple[str, ...] = ()
    only_poster: Party | None = None
    rounding: Rounding = Rounding()
    party1: PartyTerms = PartyTerms()
    party2: PartyTerms = PartyTerms()

    def of(self, party: Party) -> PartyTerms:
        """The terms that apply to a party."""
        return self.party1 if party == "party1" else self.party2

    @property
    def cash_currencies(self) -> tuple[str, ...]:
        """The currencies that cash may be in: the base currency (unless it is left out), then the other ones."""
        base = (self.base_currency,) if self.base_currency and self.includes_base_currency is not False else ()
        return tuple(dict.fromkeys((*base, *self.eligible_currencies)))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Term, party 1, party 2: the sheet that is compared with the document; one value for both stands once."""
        for label, value in (
            ("publisher", self.publisher),
            ("vintage", self.vintage),
            ("governing law", self.governing_law),
            ("date", self.agreement_date),
            ("margin type", self.margin_type),
            ("base currency", self.base_currency),
            ("eligible currencies", ", ".join(self.cash_currencies) or self._no_currencies()),
            ("only this party posts", self.only_poster),
            ("delivery rounded", _rounded(self.rounding.delivery, self.rounding.delivery_direction)),
            ("return rounded", _rounded(self.rounding.returned, self.rounding.return_direction)),
            ("rounding currency", self.rounding.currency),
        ):
            yield label, value or "", ""
        consent = {True: "yes", False: "no", None: ""}
        one, two = self.party1, self.party2
        yield "name", one.name or "", two.name or ""
        yield (
            "minimum transfer amount",
            _text(one.minimum_transfer, one.minimum_transfer_by_rating),
            _text(two.minimum_transfer, two.minimum_transfer_by_rating),
        )
        yield "threshold", _text(one.threshold, None), _text(two.threshold, None)
        yield from _tables("threshold", _by_rating(one.threshold), _by_rating(two.threshold))
        yield from _tables("minimum transfer amount", one.minimum_transfer_by_rating, two.minimum_transfer_by_rating)
        yield "independent amount", _text(one.independent_amount, None), _text(two.independent_amount, None)
        yield (
            "substitution needs consent",
            consent[one.substitution_needs_consent],
            consent[two.substitution_needs_consent],
        )

    def _no_currencies(self) -> str:
        return "none is named, and the base currency is left out" if self.includes_base_currency is False else ""

    def requirement_columns(self, us: Party) -> dict[str, str]:
        """The terms as columns of the table that margin calls are computed from, `us` being one of the parties.

        What the document does not say, what follows ratings and what is not in the base currency stays empty.
        """
        them: Party = "party2" if us == "party1" else "party1"
        columns = {"currency": self.base_currency or "", "margin_type": self.margin_type or ""}
        for word, party in (("us", us), ("them", them)):
            side = self.of(party)
            columns[f"threshold_{word}"] = self._threshold(party)
            columns[f"independent_{word}"] = self._in_base(side.independent_amount)
            columns[f"minimum_transfer_{word}"] = self._in_base(side.minimum_transfer)
            columns[f"zero_in_default_{word}"] = self._zero_in_default(party)
        rounding = self.rounding
        return columns | {
            "delivery_unit": _digits(rounding.delivery),
            "delivery_rounding": rounding.delivery_direction or "",
            "return_unit": _digits(rounding.returned),
            "return_rounding": rounding.return_direction or "",
        }

    def _threshold(self, party: Party) -> str:
        if self.only_poster not in (None, party):
            return "infinity"
        threshold = self.of(party).threshold
        return "" if threshold is None else "infinity" if threshold.infinite else self._in_base(threshold.amount)

    def _in_base(self, amount: Amount | None) -> str:
        if amount is None:
            return ""
        return _digits(amount.value) if amount.value == 0 or amount.currency == self.base_currency else ""

    def _zero_in_default(self, party: Party) -> str:
        side = self.of(party)
        minimum = side.minimum_transfer or side.minimum_transfer_by_rating
        threshold = side.threshold and (side.threshold.amount or side.threshold.by_rating)
        zero = (bool(minimum and minimum.zero_on_event), bool(threshold and threshold.zero_on_event))
        return {(False, False): "none", (True, False): "minimum_transfer", (False, True): "threshold"}.get(zero, "both")


def _by_rating(threshold: Threshold | None) -> ByRating | None:
    return threshold.by_rating if threshold is not None else None


def _tables(what: str, one: ByRating | None, two: ByRating | None) -> Iterator[tuple[str, str, str]]:
    """An amount that follows ratings, a row for each amount: the ratings with which it applies to each party."""
    amounts: dict[str, tuple[list[RatingAmount], list[RatingAmount]]] = {}
    for place, table in enumerate((one, two)):
        for line in table.table if table is not None else ():
            unit = f" {table.currency}" if table is not None and table.currency else ""
            amounts.setdefault(f"{decimal_text(line.amount)}{unit}", ([], []))[place].append(line)
    for amount, (first, second) in amounts.items():
        yield f"  {what} {amount}", _spans(first), _spans(second)


def _spans(lines: list[RatingAmount]) -> str:
    """`sp AAA to AA-, moodys Aaa to Aa3`: ratings that follow one another on the scale as a span."""
    said: list[str] = []
    for agency in dict.fromkeys(line.agency for line in lines):
        steps: dict[int, str] = {}
        for line in lines:
            if line.agency == agency:
                step = _step(line)
                if step is None:
                    said.append(f"{agency} {line.rating}")
                else:
                    steps.setdefault(step, line.rating)
        for step in steps:
            if step - 1 not in steps:
                last = next(end for end in range(step, step + len(steps) + 1) if end + 1 not in steps)
                said.append(f"{agency} {steps[step]}" + (f" to {steps[last]}" if last > step else ""))
    return ", ".join(said)


def _step(line: RatingAmount) -> int | None:
    try:
        return rating_step(line.rating, line.agency)
    except (KeyError, ValueError):  # an agency that is not known, or no rating of its
        return None


def _digits(value: Fraction | None) -> str:
    return "" if value is None else decimal_text(value)


def _rounded(unit: Fraction | None, direction: str | None) -> str:
    if not unit:
        return ""
    way = "to the nearest" if direction == "nearest" else f"{direction} to a" if direction is not None else "to a"
    return f"{way} multiple of {decimal_text(unit)}"


def _text(amount: Amount | Threshold | None, by_rating: ByRating | None) -> str:
    return "by rating" if by_rating is not None else "" if amount is None else str(amount)
