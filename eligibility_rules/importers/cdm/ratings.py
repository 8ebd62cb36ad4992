"""Ratings: one agency's as a criterion, and how those of several are settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.documents import Node
from eligibility_rules.importers.cdm.forms import Form, all_of, letters_of, one_of, rating_of, step_of
from eligibility_rules.importers.cdm.unsaid import unknown, unknown_part
from eligibility_rules.ratings import rating_step

_NOT_TESTED = ("outlook", "creditWatch", "scale", "debt")


@dataclass(frozen=True)
class RatingLeaf:
    """One agency's rating as a criterion: its bounds as steps of the scale, and the stated resolution of several."""

    scope: str
    agency: str
    at_least: int | None
    at_most: int | None
    stated: str | None
    node: Node

    @property
    def form(self) -> Form:
        """The criterion by itself."""
        return rating_of([self.scope], [self.agency], self.at_least, self.at_most, None)


def rating(node: Node, scope: str) -> Form | RatingLeaf:
    """One agency's rating; what cannot be read of it is unknown."""
    criterion = next((node.get(key) for key in node.names() if key.endswith("AgencyRating")), None) or node
    notation = criterion.get("creditNotation")
    if notation is None:
        return unknown(criterion, f"{scope}_rating", "empty")
    name, written = notation.get("agency"), notation.get("notation")
    agency_word, letters = (name.text() if name else None) or "", (written.text() if written else None) or ""
    agency, boundary = words.look_up(agency_word, words.AGENCIES), criterion.get("boundary")
    word = words.fold(boundary.text() or "") if boundary is not None else ""
    said = f"{agency_word} {word} {letters}".replace("  ", " ")
    step = step_of(letters, agency) if agency is not None else None
    if agency is None or step is None:
        short = _short_term(criterion, agency, letters, word)
        criterion.skip()
        return short if short is not None else unknown(criterion, f"{scope}_rating", said)
    _own_letters(notation, agency, letters, step)
    if boundary is None:
        notation.find("neither minimum nor maximum: read as exactly this rating", "stricter", said)
    elif word not in ("minimum", "maximum"):
        return unknown(criterion, f"{scope}_rating", said)
    for name_ in _NOT_TESTED:
        extra = notation.get(name_)
        if extra is not None:
            extra.skip()
            long_term = name_ == "scale" and "short" not in (extra.text() or "").lower()
            extra.find(f"{name_} is not tested", "none" if long_term else "laxer")
    leaf = RatingLeaf(
        scope,
        agency,
        None if word == "maximum" else step,
        None if word == "minimum" else step,
        _resolution(criterion, agency),
        notation,
    )
    leftovers = [unknown_part(node, path, key, value) for path, key, value in node.unread()]
    node.skip()
    if word == "maximum" and step == 1:
        notation.find("every rating is at most this: true of whatever the agency rates", "none", said)
    if word == "minimum" and step == 22:
        notation.find("every rating is at least this: true of whatever the agency rates", "none", said)
    return all_of([leaf.form, *leftovers]) if leftovers else leaf


def _own_letters(node: Node, agency: str, letters: str, step: int) -> None:
    own = letters_of(step, agency)
    try:
        foreign = rating_step(letters, agency) != step
    except ValueError:
        foreign = True
    if foreign or (agency == "moodys" and letters.upper() != own.upper()):
        node.find(f"not a rating in the letters of {agency}: read as its {own}", "none", letters)


def _short_term(node: Node, agency: str | None, letters: str, word: str) -> Form | None:
    """A short-term rating: the column `taxonomy_short_term` holds one of those that are at least as good."""
    scale = words.SHORT_TERM.get(agency or "", ())
    found = next((place for place, one in enumerate(scale) if one.lower() == letters.lower()), None)
    if found is None or word not in ("minimum", "maximum"):
        return None
    said = "a short-term rating: asked of the column taxonomy_short_term, and refused where the asset table lacks it"
    node.find(said, "stricter", letters, either_way=True)
    return one_of("taxonomy_short_term", scale[: found + 1] if word == "minimum" else scale[found:])


def _resolution(node: Node, agency: str) -> str | None:
    """How differing ratings are settled; a reference agency is one of the two ways to say `this agency`."""
    stated, reference = node.get("mismatchResolution"), node.get("referenceAgency")
    if reference is not None:
        reference.skip()
    if stated is None:
        return None
    if words.fold(stated.text() or "") == "referenceagency":
        named = words.look_up((reference.text() if reference is not None else None) or "", words.AGENCIES)
        return f"reference:{named}"
    found = words.look_up(stated.text() or "", words.RESOLUTIONS)
    if found is None:
        stated.find(
            "how differing ratings are settled is not said in words that are known: read as if left out", "laxer"
        )
    return found


def _grouped(leaves: Iterable[RatingLeaf]) -> list[list[RatingLeaf]]:
    """Ratings of one scope and bound, with one resolution, together."""
    groups: dict[tuple[object, ...], list[RatingLeaf]] = {}
    for leaf in leaves:
        bound = (leaf.at_least is None, leaf.at_most is None)
        groups.setdefault((leaf.scope, bound, leaf.stated), []).append(leaf)
    return list(groups.values())


def _together(group: list[RatingLeaf], resolve: str) -> Form:
    first = group[0]
    return rating_of([first.scope], [leaf.agency for leaf in group], first.at_least, first.at_most, resolve)


def any_ratings(leaves: Iterable[RatingLeaf]) -> list[Form]:
    """`any` of several agencies' ratings: a stated resolution says which of them counts."""
    forms: list[Form] = []
    for group in _grouped(leaves):
        first = group[0]
        alike = len({(leaf.at_least, leaf.at_most) for leaf in group}) == 1
        distinct = len({leaf.agency for leaf in group}) == len(group)
        if len(group) == 1 or not distinct:
            forms += [leaf.form for leaf in group]
        elif first.stated is not None and first.stated.startswith("reference:"):
            forms += _reference(group)
        elif alike:
            forms.append(_together(group, first.stated or "any"))
        elif (first.stated, first.at_most is None) in (("lowest", True), ("highest", False)):
            first.node.find(
                "the agencies' bounds differ, so the resolution cannot be said of them together; every one is required",
                "stricter",
                first.stated,
            )
            forms.append(all_of(leaf.form for leaf in group))
        else:
            if first.stated not in (None, "highest"):
                first.node.find("the agencies' bounds differ: any one of them is enough", "laxer", first.stated)
            forms += [leaf.form for leaf in group]
    return forms


def all_ratings(leaves: Iterable[RatingLeaf]) -> list[Form]:
    """`all` of several agencies' ratings: every one is required, unless the resolution says that one counts."""
    forms: list[Form] = []
    for group in _grouped(leaves):
        first = group[0]
        alike = len({(leaf.at_least, leaf.at_most) for leaf in group}) == 1
        distinct = len({leaf.agency for leaf in group}) == len(group)
        each = (first.stated, first.at_most is None) in (("lowest", True), ("highest", False))
        if len(group) == 1 or first.stated is None or not distinct:
            forms += [leaf.form for leaf in group]
        elif first.stated.startswith("reference:"):
            forms += _reference(group)
        elif alike and not each:
            first.node.find(
                f"all agencies are asked for, and of differing ratings the {first.stated} counts: read as the latter",
                "laxer",
                first.stated,
            )
            forms.append(_together(group, first.stated))
        else:
            message = "every agency's rating is required: what one of them does not rate is refused"
            first.node.find(message, "stricter", first.stated, either_way=True)
            forms += [leaf.form for leaf in group]
    return forms


def _reference(group: list[RatingLeaf]) -> list[Form]:
    """Where one agency's rating settles it, that one is asked for: also of assets that it does not rate."""
    first = group[0]
    agency = (first.stated or "").removeprefix("reference:")
    chosen = [leaf.form for leaf in group if leaf.agency == agency]
    first.node.find(
        f"of differing ratings that of {agency} counts: only it is asked for" if chosen else
        "of differing ratings that of an agency counts which is not among them: every one is required",
        "stricter",
        agency,
        either_way=bool(chosen),
    )  # fmt: skip
    return chosen or [all_of(leaf.form for leaf in group)]
