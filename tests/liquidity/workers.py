"""What a worker is asked to do in tests; light, for every new process reads it."""

from __future__ import annotations

import multiprocessing
import os
import signal

from collateral_opt.errors import UsageError


def die(part: int) -> int:
    """Part 3 kills whichever worker has it."""
    if multiprocessing.parent_process() is not None and part == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return part * part


def refuse(part: int) -> int:
    raise UsageError(f"part {part} is wrong")
