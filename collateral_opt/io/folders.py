"""Folders that hold several things by name: what each is called, where they may lie, and what an earlier run left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from collateral_opt.errors import UsageError
from collateral_opt.io.write import check_folder, check_target


def plain_name(name: str, otherwise: str) -> str:
    """``name`` in letters, digits and hyphens; ``otherwise`` where that leaves nothing."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or otherwise


def own_folders(
    names: Iterable[str], *, what: str, otherwise: str, taken: Mapping[str, str] | None = None
) -> list[str]:
    """A folder for each of ``names``; see :func:`plain_name`. ``what`` they are, for the message.

    :raises UsageError: two would share one, or one that is ``taken``: by folder, who has it.
    """
    known, folders = dict(taken or {}), []
    for name in names:
        folder = plain_name(name, otherwise)
        other = known.get(folder.casefold())
        if other is not None:
            raise UsageError(f"the {what} {name!r} and {other} would be written to one folder. Rename one of them.")
        known[folder.casefold()] = repr(name)
        folders.append(folder)
    return folders


def check_apart(out: Path, *, force: bool, book: Path, marker: str) -> None:
    """Refuse a folder of several results before any work is done.

    :raises UsageError: it and ``book`` lie in one another; or as :func:`~collateral_opt.io.write.check_folder`.
    """
    if not out.exists():
        check_target(out, force=force, book=book)
        return
    target, source = out.resolve(), book.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise UsageError(f"--out {out} and the book {book} lie in one another. Choose a folder outside it.")
    check_folder(out, force=force, marker=marker)


def earlier_files(out: Path, marker: str) -> list[str]:
    """The files that an earlier run wrote into the folder, by its own word; only paths below it are believed."""
    try:
        files = json.loads((out / marker).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    paths = [PurePosixPath(name) for name in files if isinstance(name, str)]
    return [str(path) for path in paths if not path.is_absolute() and ".." not in path.parts]
