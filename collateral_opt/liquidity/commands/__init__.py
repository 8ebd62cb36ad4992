"""``collateral-opt stress ...``: each module of this folder registers its command on ``app``.

What takes long to import is imported inside the commands: ``collateral-opt --help`` reads all these modules.
"""

from __future__ import annotations

from importlib import import_module

import typer

app = typer.Typer(
    name="stress",
    help="What a stress calls, what meets it, how large the buffer must be, and what to do.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for _name in ("project", "answer", "playbook", "run", "reverse", "buffer", "liquidate", "compare"):
    import_module(f"{__name__}.{_name}")  # in the order in which help lists them
