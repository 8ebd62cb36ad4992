"""Surviving a stress: margin projected, what meets it and in which order, how large the buffer must be, what to do.

Calls are answered by the optimiser, here as everywhere; this package makes the books that it answers, and reads its
answers. ``docs/stress.md`` is the guide.
"""

from __future__ import annotations
