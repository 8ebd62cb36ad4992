"""Python's search for unreachable cycles, put off while a run makes millions of objects and hardly a cycle."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_RUNS = 0
"""How many runs have put it off."""


@contextmanager
def put_off() -> Iterator[None]:
    """Put it off until the last of the runs that asked is over; whoever has turned it off keeps it so.

    It looks at all that the process holds, the book above all, again and again: a fifth of a run at desk size.
    """
    global _RUNS
    with _LOCK:
        ours = _RUNS > 0 or gc.isenabled()
        _RUNS += ours
        if ours:
            gc.disable()
    try:
        yield
    finally:
        with _LOCK:
            _RUNS -= ours
            if ours and not _RUNS:
                gc.enable()
