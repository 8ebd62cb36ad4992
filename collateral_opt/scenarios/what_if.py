"""What-ifs: named changes to a book, one after the other, and what comes of each.

>>> import pandas as pd
>>> from collateral_opt import Book
>>> from collateral_opt.scenarios.words import read_words
>>> book = Book.from_tables(
...     {
...         "assets": pd.DataFrame({"asset_id": ["B"], "asset_type": ["debt"], "currency": ["USD"], "price": [1.0]}),
...         "holdings": pd.DataFrame({"holding_id": ["H"], "asset_id": ["B"], "quantity": [5e6], "cost_bps": [36.0]}),
...         "agreements": pd.DataFrame({"agreement_id": ["A"], "counterparty": ["Bank"], "schedule": ["all"]}),
...         "calls": pd.DataFrame({"call_id": ["C"], "agreement_id": ["A"], "amount": [1e6], "currency": ["USD"]}),
...     },
...     settings={"as_of": "2026-03-24T08:00:00-04:00", "base_currency": "USD", "horizon_days": 30, "day_count": 360},
...     schedules={"all": {"rules": [{"label": "bonds", "when": {"asset_type": "debt"}, "haircut": 0}]}},
... )
>>> (comparison,) = compared(book, [read_words(["call:C.amount=+50%"])])
>>> comparison.cost.before, comparison.cost.after, comparison.cost.by
(300.0, 450.0, 150.0)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Annotated

from pydantic import Field, SerializeAsAny

from collateral_opt.book import Book
from collateral_opt.optimiser import Solved, solved
from collateral_opt.result import Result
from collateral_opt.result.comparison import Alteration, Comparison, compare
from collateral_opt.scenarios.change import Change
from collateral_opt.scenarios.draft import Draft
from collateral_opt.scenarios.kinds import BookChange
from eligibility_rules.vocabulary import Frozen

Progress = Callable[[str], None]

_FIGURES = {
    ("calls", "amount"): "calls", ("assets", "price"): "prices",
    ("holdings", "quantity"): "quantities", ("holdings", "cost_bps"): "costs",
}  # fmt: skip
"""The figures that a :class:`Change` knows, and what it calls them."""


class WhatIf(Frozen):
    """Named changes; each sees the book as those before it left it. A function from book to book."""

    name: str = ""
    changes: Annotated[tuple[SerializeAsAny[BookChange], ...], Field()] = ()

    def __call__(self, book: Book) -> Book:
        """``book`` with the changes made, checked again.

        Raises:
            UsageError: something is named that is not there, or a figure cannot be: all of it at once.
            BookError: the changed book has an error.
        """
        return self._made(self._drafted(book))

    def then(self, other: WhatIf) -> WhatIf:
        """Both, this one first."""
        name = " and ".join(part for part in (self.name, other.name) if part)
        return WhatIf(name=name, changes=(*self.changes, *other.changes))

    @property
    def words(self) -> tuple[str, ...]:
        """Each change in its shortest word."""
        return tuple(map(str, self.changes))

    def alterations(self, book: Book) -> tuple[Alteration, ...]:
        """Every figure of ``book`` that the changes move, in their order; raises :class:`UsageError` as a call does."""
        draft = self._drafted(book)
        draft.require_sound()
        return tuple(draft.alterations)

    def as_change(self, book: Book) -> Change | None:
        """The same as new figures of calls, prices and holdings, for a session to answer warm.

        None where anything else of ``book`` changes. Raises :class:`UsageError` as a call does.
        """
        return self._as_change(self._drafted(book))

    def _as_change(self, draft: Draft) -> Change | None:
        draft.require_sound()
        return self._figures(draft, draft.touched)

    def _figures(self, draft: Draft, touched: Set[tuple[str, str]]) -> Change | None:
        """The change that these places make up; None where one of them is none of its figures."""
        if not touched <= set(_FIGURES):
            return None
        return Change(name=self.name, **{_FIGURES[place]: draft.figures(*place) for place in sorted(touched)})

    def _made(self, draft: Draft) -> Book:
        draft.require_sound()
        haircuts = draft.moved_haircuts
        figures = draft.touched - {("haircuts", name) for name in haircuts}
        change = self._figures(draft, figures)
        if change is None or not draft.touched:
            return draft.made()
        book = change.applied_to(draft.book) if figures else draft.book
        return book.with_haircuts(haircuts) if haircuts else book

    def _drafted(self, book: Book) -> Draft:
        draft = Draft(book)
        for change in self.changes:
            draft.begin(str(change))
            change.apply(draft)
        return draft


def answers(
    books: Iterable[Book],
    *,
    solver: str = "highs",
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """The result of each book, in order; arguments and raises as :func:`~collateral_opt.optimiser.optimise`.

    The one place where what-ifs are answered.
    """
    first: Solved | None = None
    for book in books:
        found = solved(book, solver=solver, near=first, stop=stop, progress=progress)
        first = first or found
        yield found.result


def compared(
    book: Book,
    what_ifs: Iterable[WhatIf],
    *,
    solver: str = "highs",
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> list[Comparison]:
    """What comes of each of ``what_ifs``, beside ``book`` as it stands.

    All changed books are made, and so checked, before the first is solved. ``solver``, ``stop`` and ``progress`` are as
    for :func:`~collateral_opt.optimiser.optimise`, and the setting ``time_limit_s`` is a limit for each answer.

    Raises:
        UsageError: changes do not fit the book: those of all what-ifs at once.
        BookError, SolverError, CheckFailed: as :func:`~collateral_opt.optimiser.optimise`.
    """
    asked = list(what_ifs)
    drafts = _sound_drafts(book, asked)
    books = [what_if._made(draft) for what_if, draft in zip(asked, drafts, strict=True)]
    before, *after = answers([book, *books], solver=solver, stop=stop, progress=progress)
    return [
        compare(before, result, name=what_if.name, changes=what_if.words, alterations=draft.alterations)
        for what_if, draft, result in zip(asked, drafts, after, strict=True)
    ]


def changed_books(book: Book, what_ifs: Iterable[WhatIf]) -> list[Book]:
    """``book`` after each of ``what_ifs``; raises as :meth:`WhatIf.__call__`, with what is wrong in all of them."""
    asked = list(what_ifs)
    return [what_if._made(draft) for what_if, draft in zip(asked, _sound_drafts(book, asked), strict=True)]


def _sound_drafts(book: Book, what_ifs: Sequence[WhatIf]) -> list[Draft]:
    """``book`` as each of ``what_ifs`` leaves it; raises with what is wrong in all of them."""
    drafts = [what_if._drafted(book) for what_if in what_ifs]
    together = Draft(book)
    for what_if, draft in zip(what_ifs, drafts, strict=True):
        together.wrong += [f"{what_if.name}, {text}" for text in draft.wrong]
    together.require_sound()
    return drafts
