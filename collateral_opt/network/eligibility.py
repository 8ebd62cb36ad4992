"""Matches of the book's schedules against its assets, each computed once per profile.

A profile is a schedule with the currency it is read in and the margin type it is asked for, where these matter to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.network.network import LimitKinds
from collateral_opt.network.rows import rows
from eligibility_rules import Context, Facts, LimitMatch, Match, Schedule, match, match_limits

Key = TypeVar("Key", bound=tuple[Any, ...])
"""The name of a schedule, and whatever else was asked with it."""
Answer = TypeVar("Answer")


class Eligibility:
    """Asks each schedule of a book about ``assets`` (a frame as in the book), at most once per profile.

    What was asked of ``near`` is known already where a schedule is the same and reads the same of the assets.
    """

    def __init__(self, book: Book, assets: pd.DataFrame, near: Eligibility | None = None) -> None:
        self._book = book
        self._frame = assets
        known = near if near is not None and self._reads_as(near) else None
        # What the cells say is read once, for all schedules.
        self._assets: Facts = Facts(assets) if known is None else known._assets
        self._matches: dict[tuple[str, str | None, str | None], Match] = {}
        self._limits: dict[tuple[str, str | None], tuple[LimitMatch, ...]] = {}
        self._kinds: dict[tuple[str, int], LimitKinds] = {}
        if known is not None:
            theirs = known._book.schedules
            self._matches = self._of_same(known._matches, theirs)
            self._limits = self._of_same(known._limits, theirs)
            self._kinds = self._of_same(known._kinds, theirs)

    def _of_same(self, found: dict[Key, Answer], theirs: Mapping[str, Schedule]) -> dict[Key, Answer]:
        """Of the answers that were ``found``, those of schedules that are the same here."""
        mine = self._book.schedules
        if mine is theirs:
            return found
        return {key: answer for key, answer in found.items() if mine.get(key[0]) is theirs[key[0]]}

    def _reads_as(self, near: Eligibility) -> bool:
        """Whether a schedule says the same of these assets as of those of ``near``."""
        if self._book.settings != near._book.settings:
            return False
        mine, theirs = self._frame, near._frame
        if mine is theirs:
            return True
        if list(mine.columns) != list(theirs.columns) or len(mine) != len(theirs):
            return False
        if self._book.assets is near._book.assets:
            return mine["asset_id"].equals(theirs["asset_id"])
        read = {name for schedule in self._book.schedules.values() for name in schedule.columns}
        return all(mine[name].equals(theirs[name]) for name in mine.columns if name != "price" or name in read)

    def answers_as(self, other: Eligibility) -> bool:
        """Whether every schedule says the same here as there."""
        return self._book.schedules is other._book.schedules and (self is other or self._reads_as(other))

    def _context(self, currency: str, margin_type: str | None) -> Context:
        settings = self._book.settings
        return Context(
            as_of=settings.as_of.date(),
            base_currency=currency,
            margin_type=margin_type,
            owner_parent=settings.owner_parent,
        )

    def match(self, schedule: str, currency: str, margin_type: str | None) -> Match:
        """Who is eligible under ``schedule``, read in ``currency``, for calls of ``margin_type``."""
        known = self._book.schedules[schedule]
        key = (
            schedule,
            currency if known.currency_sensitive else None,
            margin_type if known.margin_sensitive else None,
        )
        if key not in self._matches:
            self._matches[key] = match(known, self._assets, self._context(currency, margin_type))
        return self._matches[key]

    def limits(self, schedule: str, currency: str) -> tuple[LimitMatch, ...]:
        """The limits of ``schedule`` with the assets and groups that each counts."""
        known = self._book.schedules[schedule]
        # A list caps value in the currency that it is read in; rules name theirs.
        key = (schedule, currency if known.listing else None)
        if key not in self._limits:
            self._limits[key] = match_limits(known, self._assets, self._context(currency, None))
        return self._limits[key]

    def kinds(self, schedule: str, currency: str, number: int) -> LimitKinds:
        """How the limit of that number sorts the assets."""
        name = (schedule, number)
        if name not in self._kinds:
            limit = self.limits(schedule, currency)[number]
            self._kinds[name] = LimitKinds(
                name, np.where(limit.counts, limit.group, -1).astype(np.int64), limit.measure
            )
        return self._kinds[name]

    @property
    def known_kinds(self) -> Set[LimitKinds]:
        """What :meth:`kinds` has answered so far."""
        return set(self._kinds.values())

    @cached_property
    def posted_margin_types(self) -> dict[str, str | None]:
        """The margin type under which what is posted at an agreement is read: its calls' own, when they have one."""
        types: dict[str, set[str | None]] = {}
        for agreement, kind in rows(self._book.calls, "agreement_id", "margin_type"):
            types.setdefault(agreement, set()).add(kind)
        return {agreement: next(iter(kinds)) if len(kinds) == 1 else None for agreement, kinds in types.items()}
