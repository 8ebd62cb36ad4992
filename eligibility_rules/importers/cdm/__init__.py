"""Reads eligible collateral and agreements from JSON of the Common Domain Model (FINOS, version 6).

    imported = read_cdm("schedule.json")

An `EligibleCollateralSpecification` becomes a schedule, or one for each party where criteria apply to one of
them; a credit support agreement becomes a schedule for each posting party, and its collateral terms. The
semantics are those of the legal text: an exclusion excludes wherever it stands, of several treatments of one
asset the lower value counts (criteria have no order), and what is not understood is not taken.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.checks import findings_of
from eligibility_rules.importers.cdm.documents import Node, Reading, parse_json
from eligibility_rules.importers.cdm.forms import implies
from eligibility_rules.importers.cdm.terms import party_of, read_terms
from eligibility_rules.importers.cdm.treatment import Draft, HaircutIs, Written, fx_haircut, read_draft, write_drafts
from eligibility_rules.importers.problems import Effect, Imported, ImportFinding, by_effect
from eligibility_rules.importers.terms import PARTIES, CsaTerms, Party
from eligibility_rules.loading import parse_schedule
from eligibility_rules.problems import ScheduleError, ScheduleProblem
from eligibility_rules.vocabulary import Schedule

_ELECTIONS = ("creditSupportAgreementElections", "collateralTransferAgreementElections")
_NOTHING = ("", "false", "notapplicable", "none", "nonespecified", "notspecified", "na", "standard", *PARTIES)
# Sections of an agreement that may speak of what is eligible or what it is worth.
_TELLING: dict[str, tuple[str, Effect]] = {
    "ineligibleCreditSupport": ("what becomes ineligible on regulatory grounds", "laxer"),
    "otherEligibleSupport": ("other eligible support", "stricter"),
    "otherEligibleSupportIM": ("other eligible support", "stricter"),
    "otherEligibleAndPostedSupport": ("other eligible support", "stricter"),
    "fxHaircutCurrency": ("the currency from which FX haircuts are counted", "laxer"),
    "additionalBespokeTerms": ("terms of the parties' own, which may change any other", "laxer"),
    "additionalAmendments": ("amendments, which may change any other term", "laxer"),
    "creditSupportOffsets": ("offsets between credit support", "none"),
    "minimumTransferAmountAmendment": ("an amendment of the minimum transfer amounts", "none"),
    "creditSupportAmount": ("how the amount of a call is made out", "none"),
    "deliveryAmount": ("how the amount of a call is made out", "none"),
    "returnAmount": ("how the amount of a return is made out", "none"),
    "marginApproach": ("how one margin meets another", "none"),
}


# Of what one party may post.
_IN_WORDS: dict[str, tuple[str, Effect]] = {
    "excludedCollateral": ("excluded collateral", "laxer"),
    "additionalLanguage": ("eligible collateral", "laxer"),
    "otherEligibleSupport": ("other eligible support", "stricter"),
}


@dataclass(frozen=True)
class CdmOptions:
    """How to read what documents leave open.

    `haircut_is` says whether `haircutPercentage` holds haircuts or (wrongly) valuation percentages, `fx_haircut`
    the rate where an agreement only says `Standard`, `party` whose schedule to write (both), `issuers` what the
    asset table calls an issuer that the document names.
    """

    haircut_is: HaircutIs = "haircut"
    fx_haircut: Fraction | None = None
    party: Party | None = None
    issuers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Source:
    """The criteria that apply to one posting party (to both: None), and where they stand."""

    party: Party | None
    node: Node
    criteria: tuple[Node, ...]


def read_cdm(path: str | Path, *, name: str | None = None, options: CdmOptions | None = None) -> Imported:
    """Read a CDM document; schedules are called `name` (the file's, if none is given), with `-party1`, `-party2`.

    Raises ScheduleError for what is not JSON, holds neither eligible collateral nor an agreement, or has the shape
    of version 5. Everything else is read, and what was not understood is among the findings.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ScheduleError([ScheduleProblem(str(file), "", "", "there is no such file", "Check the name")]) from None
    except UnicodeDecodeError as failed:
        where = f"byte {failed.start}"
        raise ScheduleError([ScheduleProblem(str(file), where, "", "not UTF-8", "Save it as UTF-8")]) from None
    return parse_cdm(text, name or _slug(file.stem), str(file), options)


def parse_cdm(text: str, name: str, file: str = "", options: CdmOptions | None = None) -> Imported:
    """The same for the text of a document; `file` is what its problems are said of."""
    options = options or CdmOptions()
    reading = Reading(file or name, parse_json(text, file or name))
    root = _root(reading)
    terms: CsaTerms | None = None
    elections = root
    if root.get("criteria") is not None:
        sources = list(_by_party(root, root.all("criteria")))
        parts = {"source": f"{Path(reading.file).name}, an eligible collateral specification"}
    else:
        kind, elections = _elections(root)
        terms = read_terms(root, elections, kind)
        sources = list(_agreement_sources(elections))
        parts = _sourced(reading, terms)
        options = _with_fx(elections, options)
        _telling(elections)
    schedules = _schedules(sources, name, parts, terms, reading, options)
    if terms is not None:
        _sections(elections)
    _leftovers(root)
    for issuer in sorted(set(options.issuers) - reading.named):
        root.find("no issuer is named so in the document: its translation is not used", "stricter", issuer)
    if not schedules:
        root.find("nothing that says what is eligible: no schedule is written", "none", "schedule")
    return Imported(schedules, terms, by_effect(reading.findings))


def _slug(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-") or "cdm"


# -------------------- finding what a document holds


def _root(reading: Reading) -> Node:
    """The specification or agreement, wherever it stands; there may be one."""
    waiting, found = deque(reading.root.items()), list[Node]()
    while waiting:
        node = waiting.popleft()
        names = set(node.names())
        if {"common", "variable"} <= names:
            message = "an EligibleCollateralSpecificationInstruction, which says how to make a specification"
            raise reading.problem(node.path, "", message, "Give the specification that is made of it")
        specification = "criteria" in names and any([_is_criterion(one) for one in node.all("criteria")])
        if specification or "agreementTerms" in names or names & set(_ELECTIONS):
            found.append(node)
            continue
        for name in node.names():
            inner = node.get(name)
            if inner is not None and isinstance(inner.value, dict | list):
                waiting.extend(one for one in inner.items() if isinstance(one.value, dict))
    if not found:
        raise reading.problem(
            "$",
            ", ".join(reading.root.names()[:5]),
            "neither an EligibleCollateralSpecification (criteria) nor an agreement (agreementTerms) is in it",
            "Give a document of the Common Domain Model",
        )
    if len(found) > 1:
        places = ", ".join(node.path for node in found[:5])
        raise reading.problem("$", places, f"holds {len(found)} documents ({places})", "Give one at a time")
    return found[0]


def _is_criterion(node: Node) -> bool:
    """Whether a node is eligible collateral; refuses that of version 5 by name."""
    names = set(node.names())
    if "collateralCriteria" in names:
        return True
    if names & {"issuer", "asset"} and "treatment" in names:
        raise node.reading.problem(
            node.path,
            ", ".join(sorted(names)),
            "eligible collateral in the shape of version 5 of the model (lists of issuer and asset), which is not read",
            "Convert it to version 6 (collateralCriteria)",
        )
    return False


def _elections(agreement: Node) -> tuple[str, Node]:
    """The elections of a credit support agreement and what they are called."""
    terms = agreement.get("agreementTerms") or agreement
    inner = terms.get("agreement") or terms
    for name in _ELECTIONS:
        elections = inner.get(name)
        if elections is None:
            continue
        names = [one for one in elections.names() if one.endswith("Elections")]
        if len(names) == 1 and elections.get(names[0]) is not None:
            found = elections.get(names[0])
            assert found is not None
            return names[0], found
        return str(elections.value.get("@type", name) if isinstance(elections.value, dict) else name), elections
    raise agreement.reading.problem(
        inner.path,
        ", ".join(inner.names()[:5]),
        "an agreement without credit support elections",
        "Give a credit support annex or deed, or a collateral transfer agreement",
    )


def _by_party(node: Node, criteria: list[Node], party: Party | None = None) -> Iterator[_Source]:
    """The criteria of each party; of neither in particular where none says whom it applies to."""
    applies = [{party_of(one) for one in criterion.all("appliesTo")} - {None} for criterion in criteria]
    if not any(applies) or party is not None:
        for criterion, parties in zip(criteria, applies, strict=True):
            if party is not None and parties and party not in parties:
                criterion.find(f"stands with {party} and applies to the other party: left out", "stricter", party)
        kept = [one for one, parties in zip(criteria, applies, strict=True) if not parties or party in parties]
        yield _Source(party, node, tuple(kept if party is not None else criteria))
        return
    for each in PARTIES:
        kept = [one for one, parties in zip(criteria, applies, strict=True) if not parties or each in parties]
        yield _Source(each, node, tuple(kept))


def _agreement_sources(elections: Node) -> Iterator[_Source]:
    """What each party may post: in the credit support obligations, or among the posting obligations."""
    obligations = elections.get("creditSupportObligations")
    eligible = obligations.get("eligibleCreditSupport") if obligations is not None else None
    posting = elections.get("postingObligations")
    for place in (eligible, posting):
        for election in place.all("partyElection") if place is not None else ():
            yield from _party_sources(election)


def _party_sources(election: Node) -> Iterator[_Source]:
    party = party_of(election.get("party"))
    permitted = election.get("asPermitted")
    if permitted is not None and permitted.flag():
        permitted.find("eligible is what the regime permits: say it with a published schedule", "none", "asPermitted")
    criteria: list[Node] = []
    for one in election.all("eligibleCollateral"):
        inner = one.all("criteria")
        criteria += inner or [one]
    criteria = [one for one in criteria if _readable(one)]
    for name, (what, effect) in _IN_WORDS.items():
        for said in election.all(name):
            if not _says_nothing(said):
                said.find(f"{what} in words: read it in the document", effect if criteria else "stricter")
            said.skip()
    if not criteria:
        return
    if party is None:
        yield from _by_party(election, criteria)
    else:
        yield from _by_party(election, criteria, party)


def _readable(node: Node) -> bool:
    if _is_criterion(node):
        return True
    node.find("not a criterion: not read", "stricter")
    node.skip()
    return False


# -------------------- what else an agreement says


def _says_nothing(node: Node) -> bool:
    if isinstance(node.value, dict | list):
        inner = node.value.values() if isinstance(node.value, dict) else node.value
        return all(_says_nothing(Node(node.reading, one, "")) for one in inner)
    text = node.text() or ""
    return text.isascii() and words.fold(text) in _NOTHING


def _with_fx(elections: Node, options: CdmOptions) -> CdmOptions:
    """The options with the FX haircut of the agreement, where that is a figure and none is given."""
    fx = elections.at("creditSupportObligations", "fxHaircut")
    text = (fx.text() or "").strip(" .").lower() if fx is not None else ""
    if fx is None or options.fx_haircut is not None or (text != "standard" and _says_nothing(fx)):
        return options
    figure = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%|per ?cent)", text)
    rate = Fraction(figure.group(1)) / 100 if figure else None
    if rate is not None and 0 < rate < 1:
        fx.find("an FX haircut in the election's own words: taken off everything", "none")
        return replace(options, fx_haircut=rate)
    said = "without its rate" if text == "standard" else "in words"
    fx.find(f"an FX haircut {said}: none is taken off unless you give one", "laxer")
    return options


def _telling(elections: Node) -> None:
    """Sections that bear on the schedules or the amounts, and can only be read by a person."""
    for holder in (elections, elections.get("creditSupportObligations"), elections.get("postingObligations")):
        for name, (what, effect) in _TELLING.items():
            part = holder.get(name) if holder is not None else None
            if part is not None:
                if not _says_nothing(part):
                    part.find(f"{what}: read it in the document", effect)
                part.skip()


def _sections(elections: Node) -> None:
    """What was not asked for: sections about other things together, anything else by itself."""
    apart: dict[str, list[str]] = {}
    for path, name, value in list(elections.unread()):
        parent = path.removesuffix(f".{name}")
        if parent in (elections.path, f"{elections.path}.creditSupportObligations"):
            apart.setdefault(parent, []).append(name)
        else:
            in_words = isinstance(value, str) and name.startswith(("additionalLanguage", "custom", "other"))
            message = "an election in words: read it in the document" if in_words else "not read"
            Node(elections.reading, value, path).find(message, "none")
    for parent, names in apart.items():
        elections.reading.find(parent, f"sections about other matters, not read: {', '.join(names)}", "none")
    elections.skip()


_IDENTITY = ("identifier", "party", "counterparty", "partyRole", "contractualParty", "legalAgreementIdentification")


def _leftovers(root: Node) -> None:
    """What stands beside the criteria or the elections; names and identifiers are no loss."""
    for holder in (root, root.get("agreementTerms")):
        for name in _IDENTITY:
            part = holder.get(name) if holder is not None else None
            if part is not None:
                part.skip()
    for path, _, value in list(root.unread()):
        Node(root.reading, value, path).find("not read", "none")


def _sourced(reading: Reading, terms: CsaTerms) -> dict[str, str]:
    said = [terms.publisher, terms.vintage, terms.governing_law, "credit support agreement"]
    parts = {"source": f"{Path(reading.file).name}, {' '.join(one for one in said if one)}"}
    if terms.agreement_date is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", terms.agreement_date[:10]):
        parts["as_of"] = terms.agreement_date[:10]
    return parts


# -------------------- schedules


def _schedules(
    sources: list[_Source],
    name: str,
    parts: dict[str, str],
    terms: CsaTerms | None,
    reading: Reading,
    options: CdmOptions,
) -> tuple[Schedule, ...]:
    by_party: dict[Party | None, tuple[list[Node], Node]] = {}
    for source in sources:
        by_party.setdefault(source.party, ([], source.node))[0].extend(source.criteria)
    drafts: dict[Node, Draft] = {}
    for nodes, _ in by_party.values():
        for node in nodes:
            if node not in drafts:
                drafts[node] = read_draft(node, dict(options.issuers))
    reading.limits_in_percent = _limits_in_percent(drafts.values())
    schedules = []
    for party, (nodes, node) in sorted(by_party.items(), key=lambda item: item[0] or ""):
        if options.party not in (None, party) and party is not None:
            for one in nodes:
                one.skip()
            continue
        called = name if party is None else f"{name}-{party}"
        schedule = _schedule(called, parts, [drafts[one] for one in nodes], node, terms, reading, options)
        if schedule is not None:
            schedules.append(schedule)
    return tuple(schedules)


def _schedule(
    name: str,
    parts: dict[str, str],
    drafts: list[Draft],
    node: Node,
    terms: CsaTerms | None,
    reading: Reading,
    options: CdmOptions,
) -> Schedule | None:
    """One party's schedule; None where nothing is taken."""
    written = write_drafts(
        drafts,
        options.haircut_is,
        terms.cash_currencies if terms is not None else (),
        terms.base_currency if terms is not None else None,
    )
    for draft in drafts:
        _unread_of_criterion(draft.node)
    rules = [rule for rule in written.rules if _usable(rule, name, node)]
    if all(rule.get("exclude") for rule in rules):
        if drafts:
            node.find("nothing is taken: no schedule is written", "stricter", name)
        return None
    form: dict[str, Any] = {"name": name, **parts, "overlap": "highest_haircut", "rules": rules}
    limits = [limit for limit in written.limits if _usable_limit(limit, name, node)]
    if limits:
        form["limits"] = limits
    form |= _fx(written, node, options)
    included = [draft for draft in drafts if draft.included]
    if included and all(draft.permits_own_issue for draft in included):
        form["wrong_way"] = "allow"
    elif any(draft.permits_own_issue for draft in included):
        node.find("own issues are permitted for some of it only: refused for all", "stricter", "own issue")
    schedule = parse_schedule(form, name, reading.file)
    if (
        terms is not None
        and terms.cash_currencies
        and not any(implies(one.when, "asset_type", "cash") for one in drafts)
    ):
        node.find("eligible currencies are named, but cash is not among what is eligible", "stricter", "cash")
    paths = {draft.place: draft.node.path for draft in drafts}
    for place, value, message, effect in findings_of(schedule):
        reading.find(paths.get(place, node.path), message, _effect(effect), value)
    left_out = [one.message for one in reading.findings if one.effect == "laxer" and _is_about(one, node, drafts)]
    if left_out:
        form["leaves_out"] = list(dict.fromkeys(left_out))
    return parse_schedule(form, name, reading.file)


def _is_about(finding: ImportFinding, node: Node, drafts: list[Draft]) -> bool:
    """Whether a finding concerns this party's schedule: its own criteria or election, or the whole agreement."""
    if any(f"{finding.where}.".startswith(f"{draft.node.path}.") for draft in drafts):
        return True
    if "criteria[" in finding.where or "eligibleCollateral[" in finding.where:
        return False
    return "partyElection" not in finding.where or finding.where.startswith(node.path)


def _effect(word: str) -> Effect:
    return "laxer" if word == "laxer" else "stricter" if word == "stricter" else "none"


def _fx(written: Written, node: Node, options: CdmOptions) -> dict[str, Any]:
    fx = fx_haircut(written, node, options.fx_haircut)
    return {} if fx is None else {"fx_haircut": fx}


def _usable(rule: dict[str, Any], name: str, node: Node) -> bool:
    """Whether a schedule with this rule can be read; an exclusion that cannot must not be lost."""
    try:
        parse_schedule({"rules": [rule]}, name)
    except ScheduleError as failed:
        if rule.get("exclude"):
            raise
        where = f"{node.path}, {rule['note']}"
        node.reading.find(where, f"left out: {failed.problems[0].message}", "stricter", rule["label"])
        return False
    return True


def _usable_limit(limit: dict[str, Any], name: str, node: Node) -> bool:
    try:
        parse_schedule({"rules": [{"haircut": "0"}], "limits": [limit]}, name)
    except ScheduleError as failed:
        where = f"{node.path}, {limit['note']}"
        node.reading.find(where, f"left out: {failed.problems[0].message}", "laxer", limit["label"])
        return False
    return True


def _unread_of_criterion(node: Node) -> None:
    """What stands in a treatment and was not asked for."""
    for path, name, value in list(node.unread()):
        part = Node(node.reading, value, path)
        part.find(f"{name} is not known here: not read", "laxer")
    node.skip()


def _limits_in_percent(drafts: Any) -> bool:
    """Whether the document writes limits in percent (a share of more than 1 can be nothing else)."""
    for draft in drafts:
        for limit in draft.limits:
            upper = limit.at("percentageLimit", "upperBound")
            number = (upper.get("number") or upper).number() if upper is not None else None
            if number is not None and number > 1:
                return True
    return False


__all__ = ["CdmOptions", "ImportFinding", "Imported", "parse_cdm", "read_cdm"]
