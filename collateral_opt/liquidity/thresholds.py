"""Thresholds and minimum transfer amounts that depend on ratings, put into the table of exposures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from collateral_opt.book.codes import finding
from collateral_opt.errors import Finding
from collateral_opt.liquidity.stress import US
from collateral_opt.scenarios.kinds.assets import lowered
from eligibility_rules import rating_step


def ratings_after(
    ratings: Mapping[str, str], notches: Mapping[str, int], say: Callable[[str], object]
) -> dict[str, str]:
    """The ratings, those in ``notches`` so much lower (default is the end); what has none is told to ``say``."""
    after = dict(ratings)
    for name, count in notches.items():
        if name in after:
            after[name] = lowered(after[name], "sp", count)
        else:
            say(f"downgrade: the rating of {name!r} is unknown. Write it below ratings.")
    return after


def with_thresholds(
    exposures: pd.DataFrame, thresholds: pd.DataFrame, ratings: Mapping[str, str], where: str
) -> tuple[pd.DataFrame, list[Finding]]:
    """The exposures with each party's threshold and minimum transfer amount as its rating has them.

    ``thresholds`` is the book's table. A party takes the row of the highest rating that it still has, below all of
    them the row without rating; an agreement without such a row has a threshold of zero there. Parties without rows,
    and those whose rating is unknown (W925), keep what the exposures say. ``where``: the findings' table.
    """
    found: list[Finding] = []
    cells: dict[str, list[Any]] = {}
    for (agreement, party), rows in thresholds.groupby(["agreement_id", "party"], sort=True):
        at = [i for i, name in enumerate(exposures["agreement_id"]) if name == agreement]
        if not at:
            continue
        rated = ratings.get(US if party == "us" else str(agreement))
        if rated is None:
            who = "us" if party == "us" else "the counterparty"
            found.append(
                finding("W925", where, agreement=agreement, value=who, counted="the exposures' own threshold counts")
            )
            continue
        threshold, minimum = _terms(rows, rated)
        for column, figure in ((f"threshold_{party}", threshold), (f"minimum_transfer_{party}", minimum)):
            if figure is None:
                continue
            if column not in cells:
                there = column in exposures
                cells[column] = exposures[column].astype(object).tolist() if there else [None] * len(exposures)
            for i in at:
                cells[column][i] = repr(figure)
    columns = {column: pd.Series(values, index=exposures.index, dtype=object) for column, values in cells.items()}
    return exposures.assign(**columns), found


def _terms(rows: pd.DataFrame, rating: str) -> tuple[float, float | None]:
    """Threshold and minimum transfer amount (None: not said here) of a party with this rating."""
    own = rating_step(rating, "sp")
    held = [
        (step, i)
        for i, letters in enumerate(rows["rating"])
        if letters is not None and (step := rating_step(letters, "sp")) is not None and own is not None and own <= step
    ]
    rest = [i for i, letters in enumerate(rows["rating"]) if letters is None]
    if not held and not rest:
        return 0.0, None
    row = rows.iloc[min(held)[1] if held else rest[0]]
    minimum = float(row["minimum_transfer"])
    return float(row["threshold"]), None if minimum != minimum else minimum
