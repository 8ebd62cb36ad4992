"""Which positions are meant by a class word or a criterion."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.book.positions import positions_in_full
from collateral_opt.book.tables import hint
from collateral_opt.network.network import Bools
from collateral_opt.scenarios.figure import ALL, Which
from eligibility_rules import Context, Facts, Rule, Schedule, ScheduleError, match
from eligibility_rules.vocabulary import ColumnIn, Criterion

CLASSES = ("asset_type", "issuer_type", "security_type", "sector")
"""The columns of positions whose values are class words."""


class Positions:
    """A book's positions as criteria see them: their own columns, and every fact of the asset they name.

    ``frame``: :func:`~collateral_opt.book.positions.positions_in_full`.
    """

    def __init__(self, book: Book) -> None:
        self.frame = positions_in_full(book)
        settings = book.settings
        self._context = Context(settings.as_of.date(), settings.base_currency, owner_parent=settings.owner_parent)
        assets = book.assets.set_index("asset_id")
        others = [column for column in assets.columns if column not in self.frame.columns]
        facts = assets[others].reindex(self.frame["instrument"]).set_axis(self.frame.index)
        # Criteria know an asset by its asset_id, and yes and no as words.
        told = self.frame.assign(
            asset_id=self.frame["instrument"], illiquid=self.frame["illiquid"].map({True: "true", False: "false"})
        )
        self._facts = Facts(pd.concat([told, facts], axis=1))

    def named(self, which: Which, say: Callable[[str], object]) -> Bools:
        """bool[positions]: where ``which`` is true of the position; unknown is outside.

        What names no position, or cannot be read on theirs, is told to ``say``.
        """
        nothing: Bools = np.zeros(len(self.frame), dtype=bool)
        if which.text == ALL and len(self.frame):
            return ~nothing
        criterion = which.criterion if which.criterion is not None else self._class(which.text, say)
        if criterion is None:
            return nothing
        by_itself = Schedule(name="filter", rules=(Rule(label="filter", when=criterion, haircut=Fraction(0)),))
        try:
            found: Bools = match(by_itself, self._facts, self._context).eligible
        except ScheduleError as error:
            for one in error.problems:
                say(f"{one.message}. {one.remedy}.".replace("?.", "?"))
            return nothing
        if not found.any():
            say(f"{which} is true of no position. Write another class or criterion, or leave it out.")
        return found

    def at(self, position: str, say: Callable[[str], object]) -> int | None:
        """Where the position of that identifier stands; told to ``say`` where there is none."""
        found = np.flatnonzero((self.frame["position_id"] == position).to_numpy())
        if len(found):
            return int(found[0])
        guess = hint(position, self.frame["position_id"]) or "Correct the identifier, or leave it out."
        say(f"position {position!r} is not in the book. {guess}".rstrip())
        return None

    def _class(self, word: str, say: Callable[[str], object]) -> Criterion | None:
        there = {c: (self.frame[c] == word).to_numpy() for c in CLASSES}
        columns = [c for c in CLASSES if there[c].any()]
        if not columns:
            words = sorted({value for c in CLASSES for value in self.frame[c].dropna().unique()})
            known = hint(word, words) or f"Write {', '.join(['all', *words])}, or a criterion."
            say(f"no position is of class {word!r}. {known}".rstrip())
            return None
        if any((there[c] != there[columns[0]]).any() for c in columns[1:]):
            meant = " or ".join(f"{{{c}: {word}}}" for c in columns)
            say(f"{word!r} is a value of {' and of '.join(columns)}, for different positions. Write {meant}.")
            return None
        return ColumnIn(column=columns[0], values=(word,))
