"""ISDA's collateral asset definitions as codes (`US-TBILL`, `DE-BOND`), which assets carry in `taxonomy_icad`."""

from __future__ import annotations

from functools import cache

from eligibility_rules.problems import did_you_mean
from eligibility_rules.ratings import data_rows

COLUMN = "taxonomy_icad"
NONE = "none"
"""What an asset has that is known to fall under none of the codes: an empty cell would leave rules undecided."""


@cache
def codes() -> dict[str, str]:
    """Every code with what it stands for; the source is named in the file (`data/icad.csv`)."""
    return {row["code"]: row["description"] for row in data_rows("icad.csv")}


def is_code(text: str) -> bool:
    """Whether a cell or criterion of `taxonomy_icad` may hold the text: a code as it is published, or `none`."""
    return text == NONE or text in codes()


def nearest(text: str) -> str:
    """A sentence that proposes the code nearest to `text`, or says where they stand."""
    return did_you_mean(text, codes()) or f"Write a code of ISDA's collateral asset definitions, or {NONE}"
