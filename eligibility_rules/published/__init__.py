"""Schedules as published, for any book to name."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from eligibility_rules.loading import load_schedule
from eligibility_rules.vocabulary import Schedule

SUFFIXES = (".yaml", ".yml", ".csv")


def names() -> tuple[str, ...]:
    """What the published schedules are called, in alphabetical order."""
    entries = (Path(entry.name) for entry in files(__name__).iterdir())
    return tuple(sorted(entry.stem for entry in entries if entry.suffix in SUFFIXES))


def find(name: str) -> Schedule | None:
    """The published schedule of this name, None where there is none.

    Raises ScheduleError if it does not read.
    """
    # A name is no path: it must not lead out of the folder.
    if name != Path(name).name or name.startswith("."):
        return None
    for suffix in SUFFIXES:
        entry = files(__name__).joinpath(name + suffix)
        if entry.is_file():
            with as_file(entry) as path:
                return load_schedule(path)
    return None
