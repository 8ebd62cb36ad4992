"""What was worked out of a thing that never changes, kept as long as the thing is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Found = TypeVar("Found")


class Remembered(Generic[Thing, Found]):
    """``make``, asked once of each thing: of the object itself, not of others that are equal to it.

    >>> class Sheet(list): pass
    >>> total = Remembered(lambda sheet: print("adding") or sum(sheet))
    >>> sheet = Sheet([1, 2]); total(sheet), total(sheet)
    adding
    (3, 3)
    """

    def __init__(self, make: Callable[[Thing], Found]) -> None:
        self._make = make
        self._known: dict[int, tuple[weakref.ref[Thing], Found]] = {}

    def __call__(self, thing: Thing) -> Found:
        at = id(thing)
        known = self._known.get(at)
        if known is not None and known[0]() is thing:
            return known[1]
        found = self._make(thing)
        self._known[at] = weakref.ref(thing, lambda _: self._known.pop(at, None)), found
        return found
