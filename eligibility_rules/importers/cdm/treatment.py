"""How much of a collateral's value counts, and how much of it may be posted: treatments as rules and limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.criteria import CriteriaReader, is_currency
from eligibility_rules.importers.cdm.documents import Node
from eligibility_rules.importers.cdm.forms import ALWAYS, Form, all_of, any_of, implies, mentions
from eligibility_rules.scalars import decimal_text, percent

HaircutIs = Literal["haircut", "valuation"]
_UNREADABLE = Fraction(-1)
_FIGURES = ("haircutPercentage", "marginPercentage", "fxHaircutPercentage", "additionalHaircutPercentage")


@dataclass(frozen=True)
class Draft:
    """One eligible-collateral criterion as it was read, before its figures are made sense of together."""

    node: Node
    when: Form
    included: bool
    figures: dict[str, Fraction]
    limits: tuple[Node, ...]
    margin_type: str | None
    permits_own_issue: bool
    reader: CriteriaReader

    @property
    def place(self) -> str:
        """Where it stands, from the party's election (or the top) on."""
        parts = self.node.path.split(".")
        first = len(parts) - 1
        while first > 0 and parts[first - 1].endswith("]"):
            first -= 1
        return ".".join(parts[first:])

    def label(self, when: Form) -> str:
        """Of a rule made of it, which asks for `when`: its place in the document, and what it is about."""
        place = self.node.path.rpartition("[")[2].rstrip("]")
        number = str(int(place) + 1) if place.isdigit() else "1"
        return f"{number}: {described(when)}"


@dataclass
class Written:
    """The parts of a schedule that the drafts of one party become."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    limits: list[dict[str, Any]] = field(default_factory=list)
    fx: list[tuple[Form, Fraction, str | None]] = field(default_factory=list)


def described(form: Form, most: int = 60) -> str:
    """The values of a criterion in a few words, for a label; maturity and rating, which tell bands apart, always."""
    words_: list[str] = []
    bands: list[str] = []

    def walk(part: Any, negated: bool = False) -> None:
        if isinstance(part, dict):
            for word, inner in part.items():
                if word == "rating":
                    bands.append(" ".join(str(inner[key]) for key in ("at_least", "at_most") if key in inner))
                    words_.append(bands[-1])
                elif word == "maturity":
                    bounds = next(iter(inner.values()))
                    signs = {"ge": "from", "gt": "over", "le": "to", "lt": "under"}
                    bands.append(" ".join(f"{signs[key]} {bounds[key]}" for key in bounds))
                    words_.append(bands[-1])
                elif inner == list(words.SECURITIES):
                    words_.append("not a security" if negated or word == "not" else "security")
                elif isinstance(inner, bool):
                    words_.append(f"{'' if inner else 'not '}{word.replace('_', ' ')}")
                else:
                    walk(inner, negated or word == "not")
        elif isinstance(part, list):
            several = len(part) > 3 and all(isinstance(inner, str) for inner in part)
            for inner in part[:2] if several else part:
                walk(inner, negated)
            words_.extend([f"and {len(part) - 2} more"] if several else [])
        else:
            words_.append(f"not {part}" if negated else str(part))

    walk(form)
    text = ", ".join(words_) or "anything"
    if len(text) <= most:
        return text
    band = ", ".join(dict.fromkeys(bands))
    if band and len(band) <= most // 2:
        rest = ", ".join(word for word in words_ if word not in bands)
        return rest[: most - len(band) - 5].rstrip(", ") + "..., " + band if rest else band
    return text[: most - 3].rstrip(", ") + "..."


def read_draft(node: Node, issuers: dict[str, tuple[str, ...]]) -> Draft:
    """One element of `criteria` (or `eligibleCollateral`)."""
    treatment = node.get("treatment")
    priority = node.get("ratingPriorityResolution")
    reader = CriteriaReader(issuers, priority.text() if priority is not None else None)
    criterion = node.get("collateralCriteria")
    if criterion is None:
        node.find(
            "no criterion: asked of the column taxonomy_criterion, and refused where the table lacks it", "stricter"
        )
    permits = criterion is not None and _permits_own_issue(criterion)
    stated = treatment.get("isIncluded") if treatment is not None else None
    included = stated.flag() if stated is not None else None
    with node.reading.turned(included is False):
        when = {"taxonomy_criterion": "empty"} if criterion is None else reader.read(criterion)
    restrict = node.get("restrictTo")
    margin_type = words.look_up(restrict.text() or "", words.MARGIN_TYPES) if restrict is not None else None
    if restrict is not None and margin_type is None:
        restrict.find("not a margin type that is known: taken for either", "laxer")
    if treatment is None:
        node.find("no treatment: neither taken in nor left out", "stricter", "treatment")
        return Draft(node, when, True, {}, (), margin_type, permits, reader)
    if included is None:
        treatment.find("whether it is included is not said: taken as included", "laxer", "isIncluded")
    valuation = treatment.get("valuationTreatment")
    figures: dict[str, Fraction] = {}
    for name in _FIGURES:
        figure = valuation.get(name) if valuation is not None else None
        if figure is None:
            continue
        number = figure.number()
        if number is None:
            figure.find("not a number", "stricter")
        figures[name] = _UNREADABLE if number is None else number
    limits = tuple(treatment.all("concentrationLimit"))
    return Draft(node, when, included is not False, figures, limits, margin_type, permits, reader)


def _permits_own_issue(node: Node) -> bool:
    """Whether, at the first level, own issues are said to be permitted."""
    every = node.get("AllCriteria")
    parts = every.all("allCriteria") if every is not None else [node]
    return any(
        found.flag() is True
        for part in parts
        if (found := part.at("CounterpartyOwnIssuePermitted", "counterpartyOwnIssuePermitted")) is not None
    )


# -------------------- figures


def write_drafts(
    drafts: Iterable[Draft], haircut_is: HaircutIs, cash_currencies: tuple[str, ...], base: str | None
) -> Written:
    """Rules, limits and FX haircuts of the drafts; the findings of each stand where it stands."""
    drafts = tuple(drafts)
    _mixed_figures(drafts)
    written = Written()
    for draft in drafts:
        when = _with_currencies(draft, cash_currencies)
        rule: dict[str, Any] = {"label": draft.label(when), "note": draft.place}
        if when != ALWAYS:
            rule["when"] = when
        if draft.margin_type is not None:
            rule["margin_type"] = draft.margin_type
        if not draft.included:
            written.rules.append(rule | {"exclude": True})
            for limit in draft.limits:
                limit.find("a limit on what is excluded has no effect", "none", "concentrationLimit")
                limit.skip()
            continue
        valuation = _valuation(draft, when, haircut_is)
        if valuation is None:
            for limit in draft.limits:
                limit.skip()
            continue
        written.rules.append(rule | valuation)
        fx = _share(draft, "fxHaircutPercentage")
        if fx is not None:
            written.fx.append((when, fx, draft.margin_type))
        written.limits += [found for limit in draft.limits if (found := _limit(draft, limit, when, base)) is not None]
    return written


def _with_currencies(draft: Draft, currencies: tuple[str, ...]) -> Form:
    """Cash of an agreement is in its eligible currencies, where the criterion does not say which."""
    if not implies(draft.when, "asset_type", "cash") or mentions(draft.when, "currency") or not draft.included:
        return draft.when
    if not currencies:
        draft.node.find("cash without a currency: any currency is taken", "laxer", "cash")
        return draft.when
    draft.node.find(
        f"cash without a currency: read as the agreement's currencies, {', '.join(currencies)}", "none", "cash"
    )
    return all_of([draft.when, {"currency": currencies[0] if len(currencies) == 1 else list(currencies)}])


def _mixed_figures(drafts: tuple[Draft, ...]) -> None:
    for name, most in (("marginPercentage", 2), ("haircutPercentage", 1)):
        given = [draft for draft in drafts if draft.included and name in draft.figures]
        high = [draft for draft in given if draft.figures[name] > most]
        if high and len(high) < len(given):
            low = next(draft for draft in given if draft.figures[name] <= most)
            low.node.find(
                f"{name} is a decimal here and in percent at {high[0].node.path}: each is read by its size",
                "laxer",
                low.figures[name],
            )


def _valuation(draft: Draft, when: Form, haircut_is: HaircutIs) -> dict[str, str] | None:
    """`{margin_ratio: 1.08}`, or None where nothing usable is said and the rule is left out."""
    node, figures = draft.node, draft.figures
    found = [
        one
        for one in (
            _margin(node, figures.get("marginPercentage")),
            _haircut(node, figures.get("haircutPercentage"), haircut_is),
        )
        if one is not None
    ]
    if not found:
        if figures.keys() & {"marginPercentage", "haircutPercentage"}:
            node.find("no usable figure: the rule is left out", "stricter", _said(figures))
            return None
        if implies(when, "asset_type", "cash"):
            node.find("no valuation: cash counts in full", "laxer", "valuationTreatment")
            return {"haircut": "0"}
        node.find("no valuation: the rule is left out", "stricter", "valuationTreatment")
        return None
    word, value = found[0]
    if len(found) == 2:
        node.find("a margin and a haircut: the lower value is taken", "stricter", _said(figures))
        word, value = min(found, key=lambda one: _factor(*one))
    more = _share(draft, "additionalHaircutPercentage")
    if more is None:
        return {word: decimal_text(value)}
    left = _factor(word, value) - more
    if left <= 0:
        node.find("haircuts that leave nothing: the rule is left out", "stricter", _said(figures))
        return None
    node.find(f"an additional haircut of {percent(more)}: taken off with the first", "none", _said(figures))
    return {"haircut": decimal_text(1 - left)}


def _factor(word: str, value: Fraction) -> Fraction:
    return {"haircut": 1 - value, "valuation_percentage": value}.get(word) or 1 / value


def _said(figures: dict[str, Fraction]) -> str:
    return ", ".join(f"{name} {decimal_text(value)}" for name, value in figures.items())


def _margin(node: Node, margin: Fraction | None) -> tuple[str, Fraction] | None:
    if margin is None or margin <= 0:
        return None
    text = decimal_text(margin)
    if 1 <= margin <= 2:
        return "margin_ratio", margin
    if margin < 1:
        node.find(
            f"marginPercentage {text} is below 1, which the model forbids: a value of {percent(margin)}", "none", text
        )
        return "valuation_percentage", margin
    if margin <= 100:
        node.find(
            f"marginPercentage {text} is a valuation percentage, not a ratio: a value of {percent(margin / 100)}",
            "none",
            text,
        )
        return "valuation_percentage", margin / 100
    node.find(f"marginPercentage {text} is in percent: a ratio of {decimal_text(margin / 100)}", "none", text)
    return "margin_ratio", margin / 100


def _haircut(node: Node, haircut: Fraction | None, haircut_is: HaircutIs) -> tuple[str, Fraction] | None:
    if haircut is None or haircut < 0:
        return None
    text = decimal_text(haircut)
    share = haircut
    if 1 < haircut <= 100:
        share = haircut / 100
        node.find(f"haircutPercentage {text} is in percent, which the model forbids: {percent(share)}", "laxer", text)
    if haircut_is == "valuation":
        return ("valuation_percentage", share) if 0 < share <= 1 else None
    if share >= 1:
        return None
    if share > Fraction(1, 2):
        node.find(
            f"a haircut of {percent(share)}: if a valuation percentage is meant, read haircuts as valuations",
            "stricter",
            text,
        )
    return "haircut", share


def _share(draft: Draft, name: str) -> Fraction | None:
    """A further haircut as a share; percent is understood."""
    value = draft.figures.get(name)
    if value is None or value == 0:
        return None
    if 0 < value < 1:
        return value
    if 1 <= value < 100:
        draft.node.find(f"{name} {decimal_text(value)} is in percent: {percent(value / 100)}", "laxer", value)
        return value / 100
    draft.node.find(f"{name} cannot be {decimal_text(value)}: not applied", "laxer", value)
    return None


# -------------------- limits


def _limit(draft: Draft, node: Node, when: Form, base: str | None) -> dict[str, Any] | None:
    """One concentration limit on what the criterion takes."""
    criteria = node.get("concentrationLimitCriteria")
    select, group, of = when, "none", "posted"
    said = "limit"
    if criteria is not None:
        kind, volume, inner = (
            criteria.get(name) for name in ("concentrationLimitType", "averageTradingVolume", "collateralCriteria")
        )
        if inner is not None:
            with node.reading.turned():
                select = all_of([when, draft.reader.read(inner)])
        if kind is not None:
            found = words.look_up(kind.text() or "", words.LIMITS)
            if found is None:
                kind.find("a limit of a kind that a schedule has no word for: left out", "laxer")
                node.skip()
                return None
            group, of = found
            said = words.snake(kind.text() or "").replace("_", " ")
            if words.fold(kind.text() or "") == "basecurrencyequivalent" and not implies(when, "asset_type", "cash"):
                select = all_of([select, {"asset_type": "cash"}])
        if volume is not None:
            volume.find("of the average trading volume in the column adv, whatever its period", "none", "adv")
            volume.skip()
            group, of, said = "asset", "adv", "average trading volume"
        for name in ("appliesTo", "restrictTo", "ratingPriorityResolution"):
            extra = criteria.get(name)
            if extra is not None:
                extra.find("a limit for one party or margin type: applied whoever posts", "stricter")
                extra.skip()
    cap = _percentage(node, of) or _money(node, base)
    if cap is None:
        node.find("a limit without an upper bound that can be read: left out", "laxer", said)
        node.skip()
        return None
    if cap["of"] == "posted" and group != "none":
        node.find("of what is not said: a share of all that is posted under the agreement", "none", said)
    if cap["of"] == "money" and said != "limit":
        said = f"{said}, in money"
    form: dict[str, Any] = {
        "label": f"{draft.label(when)}: {said}",
        "group_by": group,
        "note": f"{draft.place}{node.path.removeprefix(draft.node.path)}",
    }
    if select != ALWAYS:
        form["select"] = select
    return form | cap


def _bounds(node: Node, name: str) -> Node | None:
    span = node.get(name)
    if span is None:
        return None
    lower, upper = span.get("lowerBound"), span.get("upperBound")
    if lower is not None:
        lower.find("a least amount cannot be said: left out", "laxer", "lowerBound")
        lower.skip()
    if upper is None:
        return None
    inclusive = upper.get("inclusive")
    if inclusive is not None and inclusive.flag() is False:
        inclusive.find("an upper bound that is itself not allowed: read as allowed", "laxer", "inclusive")
    return upper


def _percentage(node: Node, of: str) -> dict[str, Any] | None:
    upper = _bounds(node, "percentageLimit")
    number = (upper.get("number") or upper).number() if upper is not None else None
    if upper is None or number is None or number < 0:
        return None
    if number > 1 or (number == 1 and _in_percent(node)):
        upper.find(f"{decimal_text(number)} is in percent: {percent(number / 100)}", "none", number)
        number = number / 100
    elif 0 < number < 1 and _in_percent(node):
        upper.find(
            f"a decimal, where another limit of the document is in percent: read as {percent(number)}", "laxer", number
        )
    return {"of": of, "max": decimal_text(number)}


def _in_percent(node: Node) -> bool:
    return node.reading.limits_in_percent


def _money(node: Node, base: str | None) -> dict[str, Any] | None:
    upper = _bounds(node, "valueLimit")
    if upper is None:
        return None
    money = upper.get("money", "amount", "value") or upper
    money = money if isinstance(money.value, dict) else upper
    value = money.get("value") or money
    number, unit = value.number(), money.at("unit", "currency")
    currency = unit.text() if unit is not None else None
    if number is None or number < 0:
        return None
    if currency is None or not is_currency(currency):
        if base is None:
            return None
        upper.find(f"no currency: read as the base currency, {base}", "laxer", number)
        currency = base
    return {"of": "money", "max": {"amount": decimal_text(number), "currency": currency}}


def fx_haircut(written: Written, node: Node, rate: Fraction | None) -> dict[str, Any] | None:
    """One FX haircut for the schedule: where rates differ the highest; on the rules that have one, or that of all."""
    if not written.fx:
        return None if rate is None else {"rate": decimal_text(rate)}
    rates = {one for _, one, _ in written.fx} | ({rate} if rate is not None else set())
    highest = max(rates)
    if len(rates) > 1:
        node.find(
            f"FX haircuts differ ({', '.join(percent(one) for one in sorted(rates))}): the highest is taken",
            "stricter",
            "fxHaircutPercentage",
        )
    form: dict[str, Any] = {"rate": decimal_text(highest)}
    takers = [rule for rule in written.rules if not rule.get("exclude")]
    if rate is not None:
        return form
    if len(written.fx) < len(takers):
        select = any_of(when for when, _, _ in written.fx)
        if select != ALWAYS:
            form["select"] = select
    margin_types = {margin_type for _, _, margin_type in written.fx}
    if len(margin_types) == 1 and None not in margin_types and len(written.fx) < len(takers):
        form["margin_type"] = margin_types.pop()
    return form
