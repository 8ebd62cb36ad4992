"""The collateral terms that the elections of a credit support agreement state."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.criteria import is_currency
from eligibility_rules.importers.cdm.documents import Node
from eligibility_rules.importers.terms import (
    PARTIES,
    Amount,
    ByRating,
    CsaTerms,
    Direction,
    Party,
    PartyTerms,
    RatingAmount,
    Rounding,
    Threshold,
)
from eligibility_rules.vocabulary import MarginType

_DIRECTIONS: dict[str, Direction] = {"UP": "up", "DOWN": "down", "NEAREST": "nearest"}


def party_of(node: Node | None) -> Party | None:
    """`PARTY_1` or `Party1` as `party1`; None for anything else."""
    word = words.fold(node.text() or "") if node is not None else ""
    return next((party for party in PARTIES if party == word), None)


def read_terms(agreement: Node, elections: Node, kind: str) -> CsaTerms:
    """The terms of one agreement; `kind` is the name of its elections, which tells variation from initial margin."""
    identification = agreement.get("legalAgreementIdentification")
    obligations = elections.get("creditSupportObligations")
    currencies = elections.get("baseAndEligibleCurrency")
    base = _currency(currencies.get("baseCurrency") if currencies is not None else None, "baseCurrency")
    names = _names(agreement)
    sides: dict[str, dict[str, object]] = {party: {"name": names.get(party)} for party in PARTIES}
    if obligations is not None:
        _amounts(obligations, sides, base)
    for election in _elections(elections.get("substitution")):
        party, consent = party_of(election.get("party")), election.get("needsConsent")
        if party is not None and consent is not None:
            sides[party]["substitution_needs_consent"] = consent.flag()
        election.get("legacyConsent")
    return CsaTerms(
        publisher=_text(identification, "publisher"),
        vintage=_text(identification, "vintage"),
        governing_law=_text(identification, "governingLaw"),
        agreement_date=_text(agreement, "agreementDate") or _text(agreement, "effectiveDate"),
        margin_type=_margin_type(identification, kind),
        base_currency=base,
        includes_base_currency=_flag(currencies, "eligibleCurrencyInclBaseCurrency"),
        eligible_currencies=_eligible(currencies),
        only_poster=_only_poster(elections),
        rounding=_rounding(obligations, base),
        party1=PartyTerms.model_validate(sides["party1"]),
        party2=PartyTerms.model_validate(sides["party2"]),
    )


# -------------------- amounts


def _elections(node: Node | None) -> list[Node]:
    return [] if node is None else node.all("partyElection", "partyElections")


def _amounts(obligations: Node, sides: dict[str, dict[str, object]], base: str | None) -> None:
    for word in ("minimumTransferAmount", "threshold", "independentAmount"):
        for election in _elections(obligations.get(word)):
            party = party_of(election.get("party"))
            if party is None:
                election.find("which party it applies to is not said: not read", "none")
                election.skip()
                continue
            side = sides[party]
            if word == "minimumTransferAmount":
                side["minimum_transfer"] = _amount(election, base)
                side["minimum_transfer_by_rating"] = _by_rating(election)
            elif word == "threshold":
                side["threshold"] = _threshold(election, base)
            else:
                applicable = election.get("isApplicable")
                if applicable is None or applicable.flag() is not False:
                    side["independent_amount"] = _amount(election, base)
            for name in (
                "customElection",
                "other",
                "otherElection",
                "noAmount",
                "electiveAmount",
                "additionalLanguage",
            ):
                said = election.get(name)
                if said is not None:
                    said.find("an election in words: read it in the document", "none")
                    said.skip()


def _amount(election: Node, base: str | None) -> Amount | None:
    fixed = election.get("fixedAmount") or (election if election.get("amount") is not None else None)
    if fixed is None:
        return None
    money = fixed.get("amount") or fixed
    number = money.number() if money.get("value") is None else _number(money.get("value"))
    if number is None:
        money.find("no amount that is a number: not read", "none")
        return None
    if number < 0:
        money.find("an amount below zero: not read", "none")
        return None
    currency = _currency(money.at("unit", "currency") or money.get("currency"), "the currency of the amount")
    if currency is not None and base is not None and currency != base:
        money.find(f"in {currency}, while the base currency is {base}: convert it", "none", str(number))
    zero = fixed.get("zeroEvent")
    return Amount(
        value=number,
        currency=currency,
        zero_on_event=bool(zero is not None and zero.flag()),
        events=_events(fixed),
    )


def _by_rating(election: Node) -> ByRating | None:
    table = election.get("ratingsBased")
    if table is None:
        return None
    lines = []
    for line in table.all("variableSet"):
        agency, rating, amount = line.get("name"), line.get("value"), _number(line.get("amount"))
        name = (agency.text() if agency is not None else None) or ""
        if amount is None or rating is None or rating.text() is None:
            line.find("a line of the table of ratings cannot be read", "none")
            line.skip()
            continue
        found = words.look_up(name, words.AGENCIES)
        lines.append(RatingAmount(agency=found or name, rating=rating.text() or "", amount=amount))
    table.find("follows ratings: fill in what applies on the day", "none", f"{len(lines)} ratings")
    zero = table.get("zeroEvent")
    compare = _text(table, "compare")
    parsed = ByRating(
        currency=_currency(table.get("currency"), "the currency of the table of ratings"),
        compare=words.look_up(compare, words.RESOLUTIONS) or compare if compare is not None else None,
        rated_party=words.snake(_text(table, "ratedParty") or "") or None,
        table=tuple(lines),
        zero_on_event=bool(zero is not None and zero.flag()),
        events=_events(table),
    )
    beside = []
    for name in ("noRating", "notRatedBy", "ratingType", "numberOfRatingAgencies", "namedEntity", "namedAffiliate"):
        text = _text(table, name)
        if text is not None and words.fold(text) not in ("false", "longterm"):
            beside.append(f"{name} {text}")
    if beside:
        said = ", ".join(beside)
        table.find("who is rated, or what applies without a rating: read it in the document", "none", said)
    return parsed


def _threshold(election: Node, base: str | None) -> Threshold | None:
    infinite = election.get("infinity")
    if infinite is not None and infinite.flag():
        return Threshold(infinite=True)
    by_rating = _by_rating(election)
    if by_rating is not None:
        return Threshold(by_rating=by_rating)
    amount = _amount(election, base)
    return None if amount is None else Threshold(amount=amount)


def _rounding(obligations: Node | None, base: str | None) -> Rounding:
    node = obligations.get("rounding") if obligations is not None else None
    if node is None:
        return Rounding()
    currency = _currency(node.get("currency"), "the rounding's currency")
    if currency is not None and base is not None and currency != base:
        node.find(f"rounded in {currency}, while the base currency is {base}", "none", currency)
    return Rounding(
        delivery=_number(node.get("deliveryAmount")),
        delivery_direction=_direction(node.get("deliveryDirection")),
        returned=_number(node.get("returnAmount")),
        return_direction=_direction(node.get("returnDirection")),
        currency=currency,
    )


def _direction(node: Node | None) -> Direction | None:
    if node is None:
        return None
    found = words.look_up(node.text() or "", _DIRECTIONS)
    if found is None:
        node.find("not a way to round that is known", "none")
    return found


# -------------------- currencies and parties


def _currency(node: Node | None, what: str) -> str | None:
    """A currency code; None, and a finding, for what is none (`NA`)."""
    if node is None or node.text() is None:
        return None
    code = node.text() or ""
    if is_currency(code):
        return code
    node.find(f"{what} is {code}, which is not a currency: left empty", "none", code)
    return None


def _eligible(currencies: Node | None) -> tuple[str, ...]:
    if currencies is not None:
        currencies.get("baseCurrencyTerminationCurrency")
    nodes = currencies.all("eligibleCurrency") if currencies is not None else []
    return tuple(code for node in nodes if (code := _currency(node, "an eligible currency")) is not None)


def _only_poster(elections: Node) -> Party | None:
    single, one_way = elections.get("singlePostingParty"), elections.get("oneWayProvisions")
    party = party_of(single.get("party")) if single is not None else None
    if party is None and one_way is not None and _flag(one_way, "isApplicable"):
        party = party_of(one_way.get("postingParty"))
    node = single if single is not None else one_way
    if party is not None and node is not None:
        node.find(f"only {party} posts collateral: its schedule is the one that is used", "none", party)
    return party


def _margin_type(identification: Node | None, kind: str) -> MarginType | None:
    stated = identification.at("agreementName", "creditSupportAgreementMarginType") if identification else None
    word: str | None = words.look_up((stated.text() if stated is not None else None) or "", words.MARGIN_TYPES)
    if word is None:
        word = next((kind_ for name, kind_ in words.MARGIN_TYPES.items() if words.fold(name) in words.fold(kind)), None)
    found: dict[str, Literal["im", "vm"]] = {"im": "im", "vm": "vm"}
    return found.get(word or "")


def _names(agreement: Node) -> dict[str, str]:
    """The parties' names: by their roles, else in the order in which they stand."""
    names: dict[str, str] = {}
    terms = agreement.get("agreementTerms") or agreement
    for counterparty in terms.all("counterparty"):
        party, name = party_of(counterparty.get("role")), _text(counterparty.get("partyReference"), "name")
        if party is not None and name is not None:
            names[party] = name
    if not names:
        for party, node in zip(PARTIES, agreement.all("contractualParty"), strict=False):
            name = _text(node, "name")
            if name is not None:
                names[party] = name
    return names


def _text(node: Node | None, name: str) -> str | None:
    found = node.get(name) if node is not None else None
    return found.text() if found is not None else None


def _events(node: Node) -> tuple[str, ...]:
    return tuple(words.snake(event) for event in node.texts("event"))


def _flag(node: Node | None, name: str) -> bool | None:
    found = node.get(name) if node is not None else None
    return found.flag() if found is not None else None


def _number(node: Node | None) -> Fraction | None:
    return node.number() if node is not None else None
