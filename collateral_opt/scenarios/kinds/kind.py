"""What every kind of change has in common."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, Self

from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.figure import flow
from eligibility_rules.scalars import problem
from eligibility_rules.vocabulary import Frozen


class BookChange(Frozen):
    """One change to a book.

    ``lead`` is the key by which its mapping is known (``leads``: or one of these), ``wrapped`` whether all is below it.
    """

    lead: ClassVar[str]
    leads: ClassVar[tuple[str, ...]] = ()
    wrapped: ClassVar[bool] = False

    def apply(self, draft: Draft) -> None:
        """Make the change to ``draft``, and say there what does not fit."""
        raise NotImplementedError

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        form = {name: value for name, value in given.items() if value != type(self).model_fields[name].default}
        return flow({self.lead: form} if self.wrapped else form)

    def _has_one_of(self, *fields: str, exactly: bool = True) -> Self:
        given = [name for name in fields if getattr(self, name) is not None]
        if not given or (exactly and len(given) > 1):
            raise problem(
                f"{self.lead}: needs {'exactly ' if exactly else ''}one of {', '.join(fields)}; it has "
                f"{' and '.join(given) or 'none'}",
                "",
                f"Write {'one of them' if given else f'{fields[0]}: ...'}",
            )
        return self


def as_float(value: Fraction | None) -> float | None:
    """A figure as a table holds it."""
    return None if value is None else float(value)
