"""One scale of 22 steps, 1 the best, and the letters of four agencies mapped onto it.

The scale is package data with its source (`data/rating_scale.csv`, `data/rating_marks.csv`). Of what data
vendors write around the letters, a review mark (`AA- *-`), `(sf)` and the unsolicited `u` change nothing; an
expected or provisional rating (`(P)Aa3`, `AA-(EXP)`) is not yet one and counts as none.
"""

from __future__ import annotations

import csv
import re
from functools import cache, lru_cache
from importlib.resources import files

from eligibility_rules.columns import AGENCIES

_NOTCH_WORDS = re.compile(r"\s*\(?\s*\b(HIGH|LOW|MIDDLE)\b\s*\)?$")
_REVIEW = re.compile(r"\s*/?\s*\*\s*[+-]?$")
_STRUCTURED = re.compile(r"\s*\(?\s*SF\s*\)?$", re.IGNORECASE)
_UNSOLICITED = re.compile(r"(?<=[A-Da-d0-9+-])u$")
_EXPECTED = re.compile(r"^\(P\)|\(\s*EXP\s*\)$|(?<=[A-Da-d0-9+-])\(?e\)?$")


def data_rows(name: str) -> list[dict[str, str]]:
    """The rows of one of the package's data files, its comment lines (the source) left out."""
    text = files("eligibility_rules").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("# ")))


@cache
def _letters(agency: str | None) -> dict[str, int]:
    """Letters in capitals -> step: an agency's own and S&P's; everybody's where no agency is named."""
    columns = AGENCIES if agency is None else ("sp", agency)
    letters = {row[column].upper(): int(row["step"]) for row in data_rows("rating_scale.csv") for column in columns}
    marks = {row["mark"]: int(row["step"]) for row in data_rows("rating_marks.csv") if row["step"]}
    return letters | marks


@cache
def _unrated() -> frozenset[str]:
    return frozenset(row["mark"] for row in data_rows("rating_marks.csv") if not row["step"])


@lru_cache(maxsize=2**12)
def rating_step(text: str, agency: str | None = None) -> int | None:
    """The step, 1 (AAA) to 22 (default), of a rating; None for a mark that means unrated (`NR`, `WR`).

    `agency` (`sp`, `moodys`, `fitch`, `dbrs`) admits that agency's own letters and S&P's; without it the
    letters of all four are understood, which agree wherever they overlap. Raises ValueError for anything
    else, national scales (`zaAA`) and short-term ratings (`P-1`) included.
    """
    mark = text.strip()
    if mark.upper() in _unrated():
        return None
    bare = _UNSOLICITED.sub("", _STRUCTURED.sub("", _REVIEW.sub("", mark)))
    letters = _letters(agency)
    if _EXPECTED.search(bare) and _bare_step(_EXPECTED.sub("", bare), letters) is not None:
        return None
    step = _bare_step(bare, letters)
    if step is None:
        raise ValueError(f"{text!r} is not a long-term rating" + (f" of {agency}" if agency else ""))
    return step


def _bare_step(bare: str, letters: dict[str, int]) -> int | None:
    """DBRS writes a notch as a word, `AA (high)`, where the scale has a letter, `AAH`."""
    capitals = bare.strip().upper()
    notch = _NOTCH_WORDS.search(capitals)
    if notch:
        capitals = capitals[: notch.start()] + {"HIGH": "H", "LOW": "L", "MIDDLE": ""}[notch.group(1)]
    return letters.get(capitals)
