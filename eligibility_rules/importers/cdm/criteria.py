"""What a collateral criterion of the Common Domain Model says, in the form of a schedule's criterion.

One function for each member of the choice `CollateralCriteria`. What a schedule has no word for becomes a
column of its own (`taxonomy_guarantor_type`): where the asset table lacks it the criterion is unknown, so a
rule does not take the asset and an exclusion refuses it. So nothing is dropped, and nothing is taken by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from eligibility_rules import icad
from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.documents import Node
from eligibility_rules.importers.cdm.forms import (
    ALWAYS,
    Form,
    all_of,
    any_of,
    not_,
    one_of,
)
from eligibility_rules.importers.cdm.ratings import RatingLeaf, all_ratings, any_ratings, rating
from eligibility_rules.importers.cdm.unsaid import shown_node, unknown, unknown_part

# By the attributes that only they have, where a serialisation leaves out the name of the member.
_ATTRIBUTES = {
    "allCriteria": "AllCriteria",
    "anyCriteria": "AnyCriteria",
    "negativeCriteria": "NegativeCriteria",
    "issuerType": "CollateralIssuerType",
    "guarantorType": "CollateralGuarantorType",
    "assetType": "AssetType",
    "issuerCountryOfOrigin": "IssuerCountryOfOrigin",
    "assetCountryOfOrigin": "AssetCountryOfOrigin",
    "issuerName": "IssuerName",
    "issuerAgencyRating": "IssuerAgencyRating",
    "sovereignAgencyRating": "SovereignAgencyRating",
    "assetAgencyRating": "AssetAgencyRating",
    "maturityRange": "AssetMaturity",
    "identifierType": "AssetIdentifier",
    "taxonomySource": "CollateralTaxonomy",
    "exchange": "ListingExchange",
    "sector": "ListingSector",
    "equityIndex": "IndexType",
    "counterpartyOwnIssuePermitted": "CounterpartyOwnIssuePermitted",
    "domesticCurrencyIssued": "DomesticCurrencyIssued",
}
_RATINGS = {"IssuerAgencyRating": "issuer", "SovereignAgencyRating": "sovereign", "AssetAgencyRating": "asset"}
_UNITS = {"Y": "Y", "YEAR": "Y", "M": "M", "MONTH": "M", "W": "W", "WEEK": "W", "D": "D", "DAY": "D"}


@dataclass(frozen=True)
class CriteriaReader:
    """Reads criteria; `issuers` says what the asset table calls an issuer, `priority` which rating goes first."""

    issuers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    priority: str | None = None

    def read(self, node: Node) -> Form:
        """The form of a criterion; what it says that has no word for it included."""
        part = self._part(node)
        return part.form if isinstance(part, RatingLeaf) else part

    def _part(self, node: Node) -> Form | RatingLeaf:
        member, inner = _member(node)
        if member in _RATINGS:
            return rating(inner, _RATINGS[member])
        if member not in _READERS:
            return unknown(node, "criterion", ", ".join(node.names()) or node.text() or "empty")
        form = _READERS[member](self, inner)
        if member in ("AllCriteria", "AnyCriteria", "NegativeCriteria"):
            return form
        leftovers = [unknown_part(inner, path, name, value) for path, name, value in inner.unread()]
        inner.skip()
        return all_of([form, *leftovers])

    # -------------------- branches

    def _all(self, node: Node) -> Form:
        parts = [self._part(item) for item in node.all("allCriteria")]
        if not parts:
            return unknown(node, "criterion", "allCriteria is empty")
        ratings = [part for part in parts if isinstance(part, RatingLeaf)]
        return _ratings_together(all_of(_in_place(parts, all_ratings(ratings))))

    def _any(self, node: Node) -> Form:
        parts = [self._part(item) for item in node.all("anyCriteria")]
        if not parts:
            return unknown(node, "criterion", "anyCriteria is empty")
        ratings = [part for part in parts if isinstance(part, RatingLeaf)]
        forms = self._with_priority(any_ratings(ratings), node)
        return _ratings_together(any_of(_in_place(parts, forms)))

    def _not(self, node: Node) -> Form:
        inner = node.get("negativeCriteria")
        if inner is None:
            return unknown(node, "criterion", "negativeCriteria is empty")
        with node.reading.turned():
            return not_(self.read(inner))

    def _with_priority(self, forms: list[Form], node: Node) -> list[Form]:
        """Where one of two scopes goes first, `any` of the two is one criterion with both."""
        scopes = {tuple(form["rating"]["scope"]) for form in forms if "rating" in form}
        if self.priority is None or not {("asset",), ("issuer",)} <= scopes:
            return forms
        order = {"issuer": ["issuer", "asset"], "asset": ["asset", "issuer"]}.get(words.fold(self.priority))
        if order is not None:
            bare = [{**form.get("rating", {}), "scope": order} for form in forms]
            if len(forms) == 2 and bare[0] == bare[1]:
                return [{"rating": bare[0]}]
        word = words.fold(self.priority)
        bounds = {bound for form in forms for bound in ("at_least", "at_most") if bound in form.get("rating", {})}
        # The higher of two is at least a bound where one of them is, and at most it where both are.
        if (word, *bounds) in (("highest", "at_least"), ("lowest", "at_most")):
            return forms
        if (word, *bounds) in (("lowest", "at_least"), ("highest", "at_most")):
            said = f"of asset's and issuer's ratings the {word} counts: both are required, also where one is missing"
        else:
            said = f"a schedule cannot say this priority ({self.priority}) of these ratings: every one is required"
        node.find(said, "stricter", self.priority)
        return [all_of(forms)]

    # -------------------- leaves

    def _asset_type(self, node: Node) -> Form:
        kind, instrument = node.get("assetType"), node.get("securityType", "instrumentType")
        forms: list[Form] = []
        if instrument is not None:
            table = words.look_up(instrument.text() or "", words.INSTRUMENTS)
            if table is None:
                forms.append(one_of("asset_type", ("equity", "other")))
                forms.append(one_of("security_type", [words.snake(instrument.text() or "")]))
                instrument.find("read as this security_type, compared as it is written", "none")
            else:
                forms.append(one_of("asset_type", table))
        elif kind is not None:
            kinds = words.look_up(kind.text() or "", words.ASSET_KINDS)
            forms.append(
                unknown(kind, "asset_type", kind.text() or "") if kinds is None else one_of("asset_type", kinds)
            )
            if kinds == words.SECURITIES and not node.get("debtType", "equityType", "fundType"):
                kind.find("any security: debt, equity and funds", "none")
        if kind is not None:
            kind.skip()
        for debt in node.all("debtType"):
            forms += _debt_type(debt)
        for equity in node.all("equityType"):
            forms.append(_word(equity.get("equityType") or equity, words.EQUITIES, "security_type"))
        for fund in node.all("fundType"):
            forms.append(_word(fund.get("fundType") or fund, words.FUNDS, "security_type"))
        implied = {"debtType": "debt", "equityType": "equity", "fundType": "fund"}
        if instrument is None:
            for name, value in implied.items():
                if node.get(name) is not None:
                    forms = [form for form in forms if form != {"asset_type": list(words.SECURITIES)}]
                    forms.insert(0, {"asset_type": value})
        others = node.all("otherAssetType")
        if others:
            # Free text says what kind of asset an OTHER is.
            forms = [form for form in forms if form != {"asset_type": "other"}]
            forms.append(any_of(_other_asset_type(other, forms) for other in others))
        return all_of(forms) if forms else unknown(node, "asset_type", "empty")

    def _issuer_type(self, node: Node) -> Form:
        types = [_word(item, words.ISSUER_TYPES, "issuer_type") for item in node.all("issuerType")]
        return any_of(types) if types else unknown(node, "issuer_type", "empty")

    def _issuer_country(self, node: Node) -> Form:
        return _countries(node, "issuerCountryOfOrigin", "issuer_country")

    def _asset_country(self, node: Node) -> Form:
        return _countries(node, "assetCountryOfOrigin", "asset_country")

    def _currency(self, node: Node) -> Form:
        codes = [text for item in node.items() if (text := item.text())]
        for code in codes:
            if not is_currency(code):
                node.find(f"{code} is not a currency code", "stricter", code)
        return one_of("currency", codes) if codes else unknown(node, "currency", "empty")

    def _issuer_name(self, node: Node) -> Form:
        entity = node.get("issuerName") or node
        name = entity.get("name")
        names = [name.text() or ""] if name is not None else []
        names += [text for item in entity.all("entityId", "entityIdentifier") if (text := _identifier(item))]
        names = [text for text in names if text]
        entity.skip()
        if not names:
            return unknown(node, "issuer", "empty")
        ours = [self.issuers.get(text, (text,)) for text in names]
        if not any(text in self.issuers for text in names):
            entity.find("issuer is compared as written: the asset table must call the issuer so", "stricter", names[0])
        node.reading.named.update(names)
        return one_of("issuer", [text for group in ours for text in group])

    def _maturity(self, node: Node) -> Form:
        kind, span = node.get("maturityType"), node.get("maturityRange")
        measured = words.look_up(kind.text() or "", words.MATURITIES) if kind is not None else None
        if measured is None or span is None:
            return unknown(node, "maturity", (kind.text() if kind is not None else None) or "empty")
        bounds: dict[str, str] = {}
        for name, closed, opened in (("lowerBound", "ge", "gt"), ("upperBound", "le", "lt")):
            bound = span.get(name)
            if bound is None:
                continue
            tenor = _tenor(bound)
            if tenor is None:
                return unknown(node, "maturity", f"{name}: {shown_node(bound.get('period') or bound)}")
            inclusive = bound.get("inclusive")
            if inclusive is None or inclusive.flag() is None:
                bound.find(f"whether {tenor} itself is meant is not said: read as not", "stricter", tenor)
            bounds[closed if inclusive is not None and inclusive.flag() else opened] = tenor
        return {"maturity": {measured: bounds}} if bounds else unknown(node, "maturity", "empty")

    def _identifier(self, node: Node) -> Form:
        kind, value = node.get("identifierType"), node.get("identifier")
        text = value.text() if value is not None else None
        if kind is None or text is None:
            return unknown(node, "identifier", text or "empty")
        word = words.fold(kind.text() or "")
        column = {"isin": "isin", "currencycode": "currency", "name": "name"}.get(word)
        if column is None:
            column = f"taxonomy_{words.snake(kind.text() or 'identifier')}"
            said = f"no column holds it: asked of {column}, and refused where the asset table lacks it"
            node.find(said, "stricter", either_way=True)
        return {column: text}

    def _taxonomy(self, node: Node) -> Form:
        source = node.get("taxonomySource")
        column = words.look_up(source.text() or "", words.TAXONOMIES) if source is not None else None
        value = node.get("taxonomyValue")
        codes: list[str] = []
        for name in value.names() if value is not None else ():
            assert value is not None
            codes += value.texts(name)
        if column is None or not codes:
            return unknown(node, "taxonomy", ", ".join(codes) or "empty")
        if column == icad.COLUMN:
            return any_of(_icad(node, code) for code in codes)
        node.find(f"asked of the column {column}, and refused where the asset table lacks it", "none", ", ".join(codes))
        return one_of(column, codes)

    def _exchange(self, node: Node) -> Form:
        exchanges = node.texts("exchange")
        return one_of("exchange", exchanges) if exchanges else unknown(node, "exchange", "empty")

    def _sector(self, node: Node) -> Form:
        sectors = node.texts("sector")
        return one_of("sector", sectors) if sectors else unknown(node, "sector", "empty")

    def _index(self, node: Node) -> Form:
        names: list[str] = []
        for item in node.all("equityIndex"):
            code = item.text() or ""
            name = words.look_up(code, words.index_names())
            if name is None:
                item.find("not an index that the model knows: compared as written", "stricter")
            names.append(name or code)
        return one_of("index", names) if any(names) else unknown(node, "index", "empty")

    def _own_issue(self, node: Node) -> Form:
        permitted = node.get("counterpartyOwnIssuePermitted")
        flag = permitted.flag() if permitted is not None else None
        if flag is None:
            return unknown(node, "own_issue", "empty")
        if flag and node.reading.refusing:
            node.find("refused (or capped) is what the poster's own group issued", "none", "own issue")
            return {"own_issue": True}
        return ALWAYS if flag else {"own_issue": False}

    def _domestic(self, node: Node) -> Form:
        issued = node.get("domesticCurrencyIssued")
        flag = issued.flag() if issued is not None else None
        if flag is None:
            return unknown(node, "domestic_currency", "empty")
        if flag or node.reading.refusing:
            return {"domestic_currency": flag}
        node.find("read as no requirement of the currency (not as: any but the domestic one)", "laxer", "false")
        return ALWAYS

    def _guarantor(self, node: Node) -> Form:
        types = [item.text() or "" for item in node.all("guarantorType")]
        node.skip()
        return unknown(node, "guarantor_type", *[text for text in types if text] or ["empty"])


_READERS: dict[str, Callable[[CriteriaReader, Node], Form]] = {
    "AllCriteria": CriteriaReader._all,
    "AnyCriteria": CriteriaReader._any,
    "NegativeCriteria": CriteriaReader._not,
    "CollateralIssuerType": CriteriaReader._issuer_type,
    "CollateralGuarantorType": CriteriaReader._guarantor,
    "AssetType": CriteriaReader._asset_type,
    "IssuerCountryOfOrigin": CriteriaReader._issuer_country,
    "AssetCountryOfOrigin": CriteriaReader._asset_country,
    "CurrencyCodeEnum": CriteriaReader._currency,
    "IssuerName": CriteriaReader._issuer_name,
    "AssetMaturity": CriteriaReader._maturity,
    "AssetIdentifier": CriteriaReader._identifier,
    "CollateralTaxonomy": CriteriaReader._taxonomy,
    "ListingExchange": CriteriaReader._exchange,
    "ListingSector": CriteriaReader._sector,
    "IndexType": CriteriaReader._index,
    "CounterpartyOwnIssuePermitted": CriteriaReader._own_issue,
    "DomesticCurrencyIssued": CriteriaReader._domestic,
}


def _member(node: Node) -> tuple[str, Node]:
    """The member of the choice and its content: by its name, by `@type`, or by the attributes it has."""
    keys = [key for key in node.names() if key != "@type"]
    named = [key for key in keys if key in _READERS or key in _RATINGS]
    if len(named) == 1 and len(keys) == 1:
        inner = node.get(named[0])
        return ("", node) if inner is None else (named[0], inner)
    if not keys and is_currency(node.text() or ""):
        return "CurrencyCodeEnum", node
    if isinstance(node.value, dict) and "@type" in node.value:
        return str(node.value["@type"]).split(".")[-1], node
    members = {_ATTRIBUTES[key] for key in keys if key in _ATTRIBUTES}
    return (members.pop(), node) if len(members) == 1 else ("", node)


# -------------------- words


def _word(node: Node, table: words.Table, column: str) -> Form:
    """Our words for a word of CDM."""
    text = node.text() or ""
    found = words.look_up(text, table)
    return unknown(node, column, text or "empty") if found is None else one_of(column, found)


def _in_place(parts: Iterable[Form | RatingLeaf], ratings: list[Form]) -> Iterator[Form]:
    """The forms in their order, all ratings where the first of them stood."""
    given = False
    for part in parts:
        if isinstance(part, RatingLeaf):
            yield from () if given else ratings
            given = True
        else:
            yield part


def _ratings_together(form: Form) -> Form:
    """Ratings from within inner branches beside those of the outer one: so is the form when it is read again."""
    word = next(iter(form), "")
    if word not in ("all", "any"):
        return form
    inner = form[word]
    first = next((place for place, part in enumerate(inner) if "rating" in part), len(inner))
    ratings = [part for part in inner if "rating" in part]
    others = [part for part in inner[first:] if "rating" not in part]
    return {word: [*inner[:first], *ratings, *others]}


# -------------------- single facts


def is_currency(code: str) -> bool:
    """Whether a text is written as a currency code is; NA and N/A are not."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


def _countries(node: Node, name: str, column: str) -> Form:
    codes = node.texts(name)
    for code in codes:
        if not (len(code) == 2 and code.isalpha() and code.isupper()) or code == "UK":
            node.find(f"{code} is not a country code of ISO 3166", "stricter", code)
    return one_of(column, codes) if codes else unknown(node, column, "empty")


def _identifier(node: Node) -> str | None:
    """An identifier, which may stand one level down."""
    inner = node.get("identifier", "entityId")
    return (inner or node).text()


def _icad(node: Node, code: str) -> Form:
    """A code of ISDA's collateral asset definitions, in whatever case it is written."""
    known = next((one for one in icad.codes() if one.lower() == code.lower()), None)
    if known is None:
        return unknown(node, "cdm_icad", code)
    cash = re.search(r"\(([A-Z]{3})\) Cash", icad.codes()[known])
    if cash is not None:
        return all_of([{"asset_type": "cash"}, {"currency": cash.group(1)}])
    node.find(
        f"the code {known} of ISDA's collateral asset definitions: asked of the column {icad.COLUMN}, and refused "
        "where the asset table lacks it",
        "none",
        code,
    )
    return {icad.COLUMN: known}


def _other_asset_type(node: Node, forms: list[Form]) -> Form:
    """Free text: a letter of credit, an ISDA code, the currency of cash, or what only the firm can tell."""
    text = node.text() or "empty"
    if {"asset_type": "cash"} in forms and is_currency(text):
        return {"currency": text}
    if words.fold(text) in ("letterofcredit", "lettersofcredit"):
        return {"asset_type": "letter_of_credit"}
    if any(code.lower() == text.lower() for code in icad.codes()):
        return _icad(node, text)
    return unknown(node, "other_asset_type", text)


def _debt_type(node: Node) -> list[Form]:
    """Class, and economics: any one of the economics, each with all it says."""
    forms = [_word(item, words.DEBT_CLASSES, "secured_type") for item in node.all("debtClass")]
    economics = [_economics(item) for item in node.all("debtEconomics")]
    return [*forms, any_of(economics)] if economics else forms


def _economics(node: Node) -> Form:
    forms: list[Form] = []
    secured = node.get("secured", "debtSecured")
    if secured is not None:
        kind, backed = secured.get("securedType"), secured.get("assetBacked")
        forms += [_word(kind, words.SECURED, "secured_type")] if kind is not None else []
        forms += [_word(backed, words.ASSET_BACKED, "security_type")] if backed is not None else []
    for names, table, column in (
        (("debtSeniority", "seniority"), words.SENIORITIES, "seniority"),
        (("debtInterest", "interest"), words.INTERESTS, "interest"),
        (("debtPrincipal", "principal"), words.PRINCIPALS, "principal"),
    ):
        found = node.get(*names)
        forms += [_word(found, table, column)] if found is not None else []
    return all_of(forms) if forms else unknown(node, "debt_economics", "empty")


def _tenor(bound: Node) -> str | None:
    """`5Y`, `18M`: whole years, months, weeks or days; None for anything else."""
    period = bound.get("period") or bound
    unit, count = period.get("period"), period.get("periodMultiplier")
    letter = _UNITS.get((unit.text() or "").upper()) if unit is not None else None
    number = count.number() if count is not None else None
    if letter is None or number is None or number < 0:
        return None
    if letter == "Y" and number.denominator != 1 and (number * 12).denominator == 1:
        letter, number = "M", number * 12
    return f"{number}{letter}" if number.denominator == 1 and number <= 9999 else None
