"""Writes a schedule as an `EligibleCollateralSpecification` of the Common Domain Model (FINOS, version 6).

    cdm_text(schedule)            # raises ScheduleError with all that the model has no words for
    cdm_document(schedule)        # the document, and what it leaves unsaid

What is written reads back (`importers.cdm`) as a schedule that takes the same assets at the same value. The model
knows no order of criteria, so of several rules that take an asset the lower value counts; it knows no labels,
assumptions or notes. A rule that cannot be said is left out, never widened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.checks import overlap
from eligibility_rules.importers.cdm.forms import letters_of
from eligibility_rules.importers.problems import Effect, ImportFinding, by_effect
from eligibility_rules.problems import ScheduleError, ScheduleProblem
from eligibility_rules.scalars import decimal_text, tenor_parts
from eligibility_rules.vocabulary import (
    AllOf,
    AnyOf,
    Cap,
    ColumnCompare,
    ColumnIn,
    Criterion,
    DomesticCurrency,
    FxHaircut,
    Limit,
    Maturity,
    Not,
    OwnIssue,
    Rating,
    Rule,
    Schedule,
    place_of,
)
from eligibility_rules.words import conjuncts, disjuncts

Json = dict[str, Any]
_MEMBERS = {"asset": "AssetAgencyRating", "issuer": "IssuerAgencyRating", "sovereign": "SovereignAgencyRating"}


class Number(str):
    """A number as its exact decimal digits: JSON has no other way to keep them."""


class Unsaid(Exception):
    """A part of a schedule that the model has no words for."""


@dataclass
class Exported:
    """The document, and what of the schedule it does not say (`laxer`: a reader may take more than it does)."""

    document: Json
    unsaid: tuple[ImportFinding, ...] = ()


def cdm_text(schedule: Schedule, *, partly: bool = False) -> str:
    """The document as JSON, keys sorted, numbers exact.

    Raises ScheduleError with all that is left unsaid, unless the schedule may be said only `partly`; and in any case
    where no rule that takes something can be said.
    """
    exported = cdm_document(schedule)
    remedy = "Say it in other words, or write what can be said (partly)"
    problems = [ScheduleProblem(schedule.name, one.where, one.value, one.message, remedy) for one in exported.unsaid]
    if not any(criterion["treatment"]["isIncluded"] for criterion in exported.document["criteria"]):
        message = "no rule that takes anything can be said"
        raise ScheduleError([ScheduleProblem(schedule.name, "", "", message, "Say one in other words"), *problems])
    if problems and not partly:
        raise ScheduleError(problems)
    return json_text(exported.document) + "\n"


def cdm_document(schedule: Schedule) -> Exported:
    """The document of a schedule with everything that it leaves unsaid."""
    return _Writer(schedule).written()


@dataclass
class _Writer:
    schedule: Schedule
    findings: list[ImportFinding] = field(default_factory=list)

    def written(self) -> Exported:
        schedule = self.schedule
        if schedule.listing:
            raise ScheduleError(
                [ScheduleProblem(schedule.name, "", "", "a list is not written as criteria", "Hand on its CSV")]
            )
        self._fields()
        said: list[tuple[Rule, Json]] = []
        for place, rule in enumerate(schedule.rules, 1):
            where = place_of("rule", place, rule.label)
            try:
                said.append((rule, self._rule(rule)))
            except Unsaid as found:
                self._find(where, str(found), "laxer" if self._holds_back(rule) else "stricter")
        self._fx(said)
        for place, limit in enumerate(schedule.limits, 1):
            try:
                self._limit(limit, said)
            except Unsaid as found:
                self._find(place_of("limit", place, limit.label), str(found), "laxer")
        return Exported({"criteria": [criterion for _, criterion in said]}, by_effect(self.findings))

    def _find(self, where: str, message: str, effect: Effect, value: str = "") -> None:
        self.findings.append(ImportFinding(where, value, message, effect))

    def _fields(self) -> None:
        schedule = self.schedule
        if schedule.assume:
            self._find(
                "assume", "the model knows no assumptions for empty cells", "stricter", ", ".join(schedule.assume)
            )
        takers = [rule for rule in schedule.rules if not rule.exclude]
        if schedule.overlap != "highest_haircut" and any(
            one.factor > other.factor and overlap(one.when, other.when)
            for place, one in enumerate(takers)
            for other in takers[place + 1 :]
        ):
            message = "the model knows no order of rules: of several that take an asset the lower value counts"
            self._find("overlap", message, "stricter", schedule.overlap)
        for further in schedule.further_haircuts:
            self._find("further_haircuts", "a haircut beside those of the rules cannot be said", "laxer", further.label)

    def _holds_back(self, rule: Rule) -> bool:
        """Whether without the rule something may be taken, or at a higher value."""
        return rule.exclude or any(
            not other.exclude and other.factor > rule.factor and overlap(other.when, rule.when)
            for other in self.schedule.rules
        )

    def _rule(self, rule: Rule) -> Json:
        if rule.when is None:
            raise Unsaid("takes everything, and the model needs a criterion")
        criterion = criterion_json(rule.when)
        if self.schedule.wrong_way == "allow" and not rule.exclude:
            criterion = _all([criterion, {"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": True}}])
        treatment: Json = {"isIncluded": not rule.exclude}
        if not rule.exclude:
            treatment["valuationTreatment"] = _valuation(rule)
        written: Json = {"collateralCriteria": criterion, "treatment": treatment}
        if rule.margin_type is not None:
            written["restrictTo"] = _back(words.MARGIN_TYPES, rule.margin_type)
        return written

    def _fx(self, said: list[tuple[Rule, Json]]) -> None:
        fx = self.schedule.fx_haircut
        if fx is None or fx.rate == 0:
            return
        try:
            takers = _fx_takers(fx, [(rule, criterion) for rule, criterion in said if not rule.exclude])
        except Unsaid as found:
            self._find("fx_haircut", str(found), "laxer")
            return
        for criterion in takers:
            criterion["treatment"]["valuationTreatment"]["fxHaircutPercentage"] = _number(fx.rate)

    def _limit(self, limit: Limit, said: list[tuple[Rule, Json]]) -> None:
        if limit.measure != "market_value":
            raise Unsaid(f"a limit is measured in market value, not in {limit.measure.replace('_', ' ')}")
        takers = [(rule, criterion) for rule, criterion in said if not rule.exclude]
        group = limit.group_by
        bare = limit.select
        if group == "none" and isinstance(bare, AllOf) and _is_cash(bare.criteria[-1]):
            bare = bare.criteria[0] if len(bare.criteria) == 2 else AllOf(criteria=bare.criteria[:-1])
        at = next((criterion for rule, criterion in takers if rule.when in (limit.select, bare)), None)
        if at is None and limit.select is None and len(takers) == 1:
            at = takers[0][1]
        if at is None:
            raise Unsaid("a limit stands with one criterion: no rule takes exactly what it counts")
        limits = [_limit_json(limit, cap) for cap in limit.caps]
        at["treatment"].setdefault("concentrationLimit", []).extend(limits)


def _is_cash(criterion: Criterion) -> bool:
    return isinstance(criterion, ColumnIn) and (criterion.column, criterion.values) == ("asset_type", ("cash",))


def _fx_takers(fx: FxHaircut, takers: list[tuple[Rule, Json]]) -> list[Json]:
    if fx.combine != "additive":
        raise Unsaid("an FX haircut is taken off, not multiplied")
    if fx.select is None:
        chosen = takers
    else:
        parts = tuple(disjuncts(fx.select))
        chosen = [(rule, criterion) for rule, criterion in takers if rule.when in (fx.select, *parts)]
        if {rule.when for rule, _ in chosen} not in ({fx.select}, set(parts)):
            raise Unsaid("an FX haircut stands with a criterion: no rules take exactly what it is taken off")
    chosen = [(rule, criterion) for rule, criterion in chosen if fx.margin_type in (None, rule.margin_type)]
    if fx.margin_type is not None and any(rule.margin_type is None for rule, _ in takers):
        raise Unsaid("an FX haircut for one margin type needs rules for that type")
    return [criterion for _, criterion in chosen]


def _valuation(rule: Rule) -> Json:
    # A margin above 2 would read as a valuation percentage.
    if rule.margin_ratio is not None and rule.margin_ratio <= 2:
        return {"marginPercentage": _number(rule.margin_ratio)}
    return {"haircutPercentage": _number(1 - rule.factor)}


def _number(value: Fraction) -> Number:
    text = decimal_text(value)
    if "/" in text or Fraction(text) != value:
        raise Unsaid(f"{value} does not end as a decimal")
    return Number(text)


def _back(table: dict[str, str], ours: str) -> str:
    found = next((word for word, value in table.items() if value == ours), None)
    if found is None:
        raise Unsaid(f"{ours} has no word in the model")
    return found


def _limit_json(limit: Limit, cap: Cap) -> Json:
    written: Json = {}
    if cap.of == "money":
        if limit.group_by != "none":
            kind = next((word for word, (group, _) in words.LIMITS.items() if group == limit.group_by), None)
        else:
            kind = "BASE_CURRENCY_EQUIVALENT" if _counts_cash(limit) else None
        assert cap.amount is not None
        money = {"value": _number(cap.amount), "unit": {"currency": {"value": cap.currency}}}
        written["valueLimit"] = {"upperBound": {"inclusive": True, "money": money}}
    else:
        kind = next((word for word, value in words.LIMITS.items() if value == (limit.group_by, cap.of)), None)
        if kind == "BASE_CURRENCY_EQUIVALENT" and not _counts_cash(limit):
            kind = None
        assert cap.share is not None
        if cap.share > 1:
            raise Unsaid("a share above 1 reads as percent")
        written["percentageLimit"] = {"upperBound": {"inclusive": True, "number": _number(cap.share)}}
        if cap.of == "adv":
            volume = {"methodology": "CONSOLIDATED", "period": {"period": "D", "periodMultiplier": 1}}
            return written | {"concentrationLimitCriteria": {"averageTradingVolume": volume}}
        if kind is None and (limit.group_by, cap.of) != ("none", "posted"):
            raise Unsaid(f"no limit of the model is by {limit.group_by} of {cap.of}")
    if kind is None and limit.group_by != "none":
        raise Unsaid(f"no limit of the model is by {limit.group_by}")
    return written if kind is None else written | {"concentrationLimitCriteria": {"concentrationLimitType": kind}}


def _counts_cash(limit: Limit) -> bool:
    return limit.select is not None and any(map(_is_cash, conjuncts(limit.select)))


# -------------------- criteria


def criterion_json(criterion: Criterion) -> Json:
    """A criterion as a member of the choice `CollateralCriteria`; raises Unsaid."""
    return _criterion(criterion, frozenset())


def _criterion(criterion: Criterion, kinds: frozenset[str]) -> Json:
    """`kinds` are the asset types that the criterion's surroundings leave: a bond's facts need a bond."""
    match criterion:
        case AllOf():
            narrowed = kinds
            for part in conjuncts(criterion):
                if isinstance(part, ColumnIn) and part.column == "asset_type":
                    narrowed = narrowed & frozenset(part.values) if narrowed else frozenset(part.values)
            return _all([_criterion(part, narrowed) for part in conjuncts(criterion)])
        case AnyOf():
            ratings = [part for part in criterion.criteria if isinstance(part, Rating) and len(part.agencies) == 1]
            if len({(part.scope, part.best_step, part.worst_step) for part in ratings}) < len(ratings):
                raise Unsaid("any of several agencies' ratings alike: say it as one rating, resolve any")
            return _any([_criterion(part, kinds) for part in criterion.criteria])
        case Not():
            return {"NegativeCriteria": {"negativeCriteria": _criterion(criterion.criterion, kinds)}}
        case ColumnIn():
            return _column(criterion, kinds)
        case Maturity():
            return _maturity(criterion)
        case Rating():
            return _rating(criterion)
        case OwnIssue():
            permitted: Json = {"CounterpartyOwnIssuePermitted": {"counterpartyOwnIssuePermitted": False}}
            return {"NegativeCriteria": {"negativeCriteria": permitted}} if criterion.value else permitted
        case DomesticCurrency():
            domestic: Json = {"DomesticCurrencyIssued": {"domesticCurrencyIssued": True}}
            return domestic if criterion.value else {"NegativeCriteria": {"negativeCriteria": domestic}}
        case ColumnCompare():
            raise Unsaid(f"the model compares no {criterion.column}")


def _all(parts: list[Json]) -> Json:
    flat = [one for part in parts for one in (part["AllCriteria"]["allCriteria"] if "AllCriteria" in part else [part])]
    return flat[0] if len(flat) == 1 else {"AllCriteria": {"allCriteria": flat}}


def _any(parts: list[Json]) -> Json:
    return parts[0] if len(parts) == 1 else {"AnyCriteria": {"anyCriteria": parts}}


def _each(member: str, attribute: str, values: tuple[str, ...]) -> Json:
    return _any([{member: {attribute: value}} for value in values])


def _column(leaf: ColumnIn, kinds: frozenset[str]) -> Json:
    column, values = leaf.column, leaf.values
    plain: dict[str, Callable[[tuple[str, ...]], Json]] = {
        "issuer_country": lambda texts: _each("IssuerCountryOfOrigin", "issuerCountryOfOrigin", texts),
        "asset_country": lambda texts: _each("AssetCountryOfOrigin", "assetCountryOfOrigin", texts),
        "currency": lambda texts: _any([{"CurrencyCodeEnum": {"value": text}} for text in texts]),
        "issuer": lambda texts: _any([{"IssuerName": {"issuerName": {"name": {"value": text}}}} for text in texts]),
        "isin": lambda texts: _any([_identifier("ISIN", text) for text in texts]),
        "name": lambda texts: _any([_identifier("NAME", text) for text in texts]),
        "exchange": lambda texts: {"ListingExchange": {"exchange": [{"value": text} for text in texts]}},
        "sector": lambda texts: {"ListingSector": {"sector": [{"value": text} for text in texts]}},
        "index": _indices,
        "issuer_type": lambda texts: _each("CollateralIssuerType", "issuerType", _words(words.ISSUER_TYPES, texts)),
        "asset_type": _asset_type,
    }
    if column in plain:
        return plain[column](values)
    if column in words.TAXONOMIES.values():
        source = _back(words.TAXONOMIES, column)
        name = words.TAXONOMY_VALUES.get(column, "nonEnumeratedTaxonomyValue")
        listed: list[Any] = list(values) if column in words.TAXONOMY_VALUES else [{"value": text} for text in values]
        return {"CollateralTaxonomy": {"taxonomySource": source, "taxonomyValue": {name: listed}}}
    return _asset_facts(column, values, kinds)


def _asset_facts(column: str, values: tuple[str, ...], kinds: frozenset[str]) -> Json:
    """What is said of a bond, a share or a fund, where it is known to be one."""
    economics: dict[str, tuple[str, words.Table]] = {
        "seniority": ("seniority", words.SENIORITIES),
        "interest": ("interest", words.INTERESTS),
        "principal": ("principal", words.PRINCIPALS),
    }
    if kinds == {"debt"} and column in economics:
        name, table = economics[column]
        return _debt({"debtEconomics": [{name: word} for word in _words(table, values)]})
    if kinds == {"debt"} and column == "secured_type":
        return _any([_debt({"debtClass": word}) for word in _words(words.DEBT_CLASSES | _COVERED, values)])
    if column == "security_type" and len(kinds) == 1:
        (kind,) = kinds
        if kind == "debt":
            backed = _words(words.ASSET_BACKED, values)
            return _debt({"debtEconomics": [{"secured": {"assetBacked": word}} for word in backed]})
        tables = {"equity": ("equityType", words.EQUITIES), "fund": ("fundType", words.FUNDS)}
        if kind in tables:
            name, table = tables[kind]
            asset = {"assetType": "SECURITY", "securityType": kind.upper()}
            return _any([{"AssetType": {**asset, name: word}} for word in _words(table, values)])
    raise Unsaid(f"the model has no word for {column} {', '.join(values)}")


_COVERED: words.Table = {"COVERED_BONDS": ("covered",)}


def _debt(debt_type: Json) -> Json:
    if debt_type.get("debtClass") in _COVERED:
        debt_type = {"debtEconomics": [{"secured": {"securedType": debt_type["debtClass"]}}]}
    return {"AssetType": {"assetType": "SECURITY", "securityType": "DEBT", "debtType": debt_type}}


def _asset_type(values: tuple[str, ...]) -> Json:
    if set(values) == set(words.SECURITIES):
        return {"AssetType": {"assetType": "SECURITY"}}
    parts: list[Json] = []
    for value in values:
        if value in ("cash", "commodity"):
            parts.append({"AssetType": {"assetType": value.upper()}})
        elif (value,) in words.INSTRUMENTS.values():
            instrument = next(word for word, ours in words.INSTRUMENTS.items() if ours == (value,))
            parts.append({"AssetType": {"assetType": "SECURITY", "securityType": instrument}})
        else:
            raise Unsaid(f"asset_type {value} has no word in the model")
    return _any(parts)


def _words(table: words.Table, values: tuple[str, ...]) -> tuple[str, ...]:
    """The words that together stand for exactly these values."""
    left = set(values)
    found = []
    for word, ours in table.items():
        if set(ours) <= left:
            found.append(word)
            left -= set(ours)
    if left:
        raise Unsaid(f"no words of the model stand for exactly {', '.join(values)}")
    return tuple(found)


def _identifier(kind: str, text: str) -> Json:
    return {"AssetIdentifier": {"identifier": {"value": text}, "identifierType": kind}}


def _indices(names: tuple[str, ...]) -> Json:
    unknown = [name for name in names if name not in words.index_codes()]
    if unknown:
        raise Unsaid(f"{', '.join(unknown)} is not an index of the model")
    return _any([{"IndexType": {"equityIndex": words.index_codes()[name]}} for name in names])


def _maturity(leaf: Maturity) -> Json:
    span: Json = {}
    for name, closed, opened in (("lowerBound", leaf.ge, leaf.gt), ("upperBound", leaf.le, leaf.lt)):
        tenor = closed if closed is not None else opened
        if tenor is not None:
            count, unit = tenor_parts(tenor)
            period = {"period": unit, "periodMultiplier": Number(count)}
            span[name] = {"inclusive": closed is not None, "period": period}
    return {"AssetMaturity": {"maturityType": _back(words.MATURITIES, leaf.measured), "maturityRange": span}}


def _rating(leaf: Rating) -> Json:
    if len(leaf.scope) > 1:
        raise Unsaid("a rating of one of several scopes cannot be said")
    bounds = list(_rating_bounds(leaf))
    if leaf.resolve == "any" and len(bounds) > 1 and len(leaf.agencies) > 1:
        raise Unsaid("any rating between two bounds cannot be said: another may satisfy each")
    return _all([_any([_one_rating(leaf, agency, *bound) for agency in leaf.agencies]) for bound in bounds])


def _rating_bounds(leaf: Rating) -> Iterator[tuple[str, int]]:
    if leaf.at_least is not None:
        yield "MINIMUM", leaf.worst_step
    if leaf.at_most is not None:
        yield "MAXIMUM", leaf.best_step


def _one_rating(leaf: Rating, agency: str, boundary: str, step: int) -> Json:
    notation = {"agency": _back(words.AGENCIES, agency), "notation": {"value": letters_of(step, agency)}}
    rating: Json = {"boundary": boundary, "creditNotation": notation}
    if len(leaf.agencies) > 1 and leaf.resolve != "any":
        rating["mismatchResolution"] = _back(words.RESOLUTIONS, leaf.resolve)
    member = _MEMBERS[leaf.scope[0]]
    return {member: {f"{member[0].lower()}{member[1:]}": rating}}


# -------------------- JSON


def json_text(value: Any, indent: int = 0) -> str:
    """JSON with keys sorted and two spaces a level; a `Number` stands as its digits."""
    inner, outer = "  " * (indent + 1), "  " * indent
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {json_text(value[key], indent + 1)}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + f"\n{outer}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + json_text(one, indent + 1) for one in value) + f"\n{outer}]"
    return json.dumps(value, ensure_ascii=False)
