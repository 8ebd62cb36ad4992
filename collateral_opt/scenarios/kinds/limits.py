"""Changes of limits: of a schedule, an agreement's, the house's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, ValidationError, model_validator

from collateral_opt.book.house import Held, HouseLimit
from collateral_opt.book.tables import hint
from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.figure import Move
from collateral_opt.scenarios.kinds.kind import BookChange
from collateral_opt.scenarios.kinds.schedules import is_of_book
from eligibility_rules import Cap, Limit
from eligibility_rules.scalars import PROBLEM, problem, true_or_false
from eligibility_rules.vocabulary import BASES, Text

Limits = tuple[Limit | HouseLimit, ...]


class LimitMoved(BookChange):
    """Another most (for ``min_left``: what must stay) in a limit of a schedule, an agreement's, or the house's.

    The share or the amount is meant, whichever the cap states; ``cap`` names its basis where there are several. An
    agreement whose schedule others name too gets a copy.
    """

    lead = "limit"
    limit: Text
    max: Move
    cap: Text | None = None
    schedule: Text | None = None
    agreement: Text | None = None
    house: Annotated[Literal[True], BeforeValidator(true_or_false)] | None = None

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.cap is not None and self.cap not in (*BASES, "held", "min_left"):
            raise problem(f"cap is {self.cap}", self.cap, f"Write one of {', '.join((*BASES, 'held', 'min_left'))}")
        return self._has_one_of("schedule", "agreement", "house")

    def apply(self, draft: Draft) -> None:
        if self.house:
            changed = self._moved(draft, "the house", draft.house_limits)
            if changed is not None:
                _note(draft, "the house", draft.house_limits, changed)
                draft.house_limits = cast(tuple[HouseLimit, ...], changed)
                draft.touched.add(("house_limits", ""))
            return
        name = self.schedule
        if self.agreement is not None:
            rows = draft.rows("agreements", self.agreement)
            name = draft.table("agreements")["schedule"].iloc[rows[0]] if len(rows) else None
        if name is None or not is_of_book(draft, name):
            return
        changed = self._moved(draft, f"schedule {name!r}", draft.schedules[name].limits)
        if changed is not None:
            own = name if self.agreement is None else draft.own_schedule(self.agreement, name)
            _note(draft, own, draft.schedules[own].limits, changed)
            draft.schedule(own, draft.schedules[own].model_copy(update={"limits": changed}))

    def _moved(self, draft: Draft, place: str, limits: Limits) -> Limits | None:
        """``limits`` with this one's cap moved; None, and said, where that cannot be."""
        at = [i for i, limit in enumerate(limits) if limit.label == self.limit]
        if not at:
            labels = [limit.label for limit in limits]
            guess = hint(self.limit, labels) or (f"Its limits are {', '.join(labels)}." if labels else "It has none.")
            draft.say(f"{place} has no limit {self.limit!r}. {guess}".rstrip())
            return None
        if len(at) > 1:
            draft.say(f"{place} has {len(at)} limits {self.limit!r}. Give them different labels.")
            return None
        changed = self._with_cap(draft, place, limits[at[0]])
        return None if changed is None else (*limits[: at[0]], changed, *limits[at[0] + 1 :])

    def _with_cap(self, draft: Draft, place: str, limit: Limit | HouseLimit) -> Limit | HouseLimit | None:
        caps: dict[str, Any] = dict(_caps(limit))
        of = self.cap if self.cap is not None else next(iter(caps)) if len(caps) == 1 else None
        if of is None or of not in caps or sum(cap.of == of for cap in limit.caps) > 1:
            draft.say(
                f"limit {self.limit!r} of {place} has caps of {', '.join(caps)}. Name one: cap: {next(iter(caps))}."
            )
            return None
        field = _figure_of(of)
        old = caps[of]
        try:
            new = type(old).model_validate({**dict(old), field: self.max.of(getattr(old, field))})
        except ValidationError as failed:
            for detail in failed.errors(include_url=False):
                context = detail.get("ctx", {})
                words = f"{context['message']}. {context['remedy']}" if detail["type"] == PROBLEM else detail["msg"]
                draft.say(f"limit {self.limit!r} of {place}: {words}.")
            return None
        if of == "min_left":
            return limit.model_copy(update={"min_left": new})
        kept: tuple[Cap | Held, ...] = tuple(new if cap is old else cap for cap in limit.caps)
        return limit.model_copy(update={"caps": kept})

    def __str__(self) -> str:
        if self.cap is not None:
            return super().__str__()
        place = f"schedule:{self.schedule}" if self.schedule is not None else f"agreement:{self.agreement}"
        return f"{'house' if self.house else place}.limit:{self.limit}={self.max}"


def _caps(limit: Limit | HouseLimit) -> list[tuple[str, Any]]:
    """The caps of a limit with the basis of each, what must stay among them."""
    least = limit.min_left if isinstance(limit, HouseLimit) else None
    return [*((cap.of, cap) for cap in limit.caps), *([("min_left", least)] if least is not None else [])]


def _figure_of(basis: str) -> str:
    """Where a cap of this basis holds its figure."""
    return "amount" if basis in ("money", "min_left") else "share"


def _note(draft: Draft, place: str, before: Limits, after: Limits) -> None:
    """Have the draft told which caps differ."""
    for old, new in zip(before, after, strict=True):
        for (basis, was), (_, now) in zip(_caps(old), _caps(new), strict=True):
            field = _figure_of(basis)
            what, unit = ("min_left" if basis == "min_left" else "max"), getattr(now, "currency", None)
            figures = float(getattr(was, field)), float(getattr(now, field))
            draft.note("limit", old.label, what, *figures, place=place, unit=unit)
