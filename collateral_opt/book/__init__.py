"""What the firm brings to a run: its tables, settings and schedules, checked against each other and frozen.

The package knows no files, no solver and no clock; ``collateral_opt.io`` reads files into it.
"""

from .book import Book
from .settings import Settings

__all__ = ["Book", "Settings"]
