"""Writes answered stresses and playbooks to a folder; all of it or nothing.

In the folder: ``stress.json`` with the figures of every stress and the names of the files; for each stress a folder
with ``waterfall.csv``, ``ladder.csv``, ``positions.csv`` where positions were stressed, ``report.html``, and its
``result``; of a playbook also ``playbook.html``, ``playbook.md`` and a notice for each counterparty in ``notices``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from collateral_opt.io.folders import check_apart, earlier_files, own_folders, plain_name
from collateral_opt.io.write import (
    Format,
    basis_points_text,
    csv_text,
    decimal_text,
    json_value,
    money_text,
    staged_folder,
    write_result,
    write_text,
)
from collateral_opt.liquidity.answer import Answered
from collateral_opt.liquidity.pages import notices, playbook_html, playbook_markdown, stress_html
from collateral_opt.liquidity.playbook import Playbook

MARKER = "stress.json"
NAMELESS = "stress"
_FORMATS: Mapping[str, Format] = {
    **dict.fromkeys(
        ("available", "cumulative", "used", "passed_on", "left", "cost", "used_in_order", "cost_in_order", "due",
         "headroom", "met"),
        money_text,
    ),
    **dict.fromkeys(("rate_bps", "one_off_bps"), basis_points_text),
    "hours": lambda x: decimal_text(round(x, 6)),
}  # fmt: skip


def check_stress_target(out: Path, names: Iterable[str], *, force: bool, book: Path) -> None:
    """Refuse a folder, or names that would share one, before any work is done. Raises UsageError."""
    _folders(names)
    check_apart(out, force=force, book=book, marker=MARKER)


def write_answers(answers: Sequence[Answered], out: Path, *, force: bool = False) -> list[Path]:
    """Write answered stresses to the folder ``out``; returns the paths, ``stress.json`` first.

    Raises UsageError: two would share a folder; or as :func:`~collateral_opt.io.write.write_result`.
    """
    return _write([(answered, None) for answered in answers], out, force=force)


def write_playbooks(playbooks: Sequence[Playbook], out: Path, *, force: bool = False) -> list[Path]:
    """Write playbooks, and the answers they are of, to the folder ``out``; as :func:`write_answers`."""
    return _write([(one.answered, one) for one in playbooks], out, force=force)


def _write(found: Sequence[tuple[Answered, Playbook | None]], out: Path, *, force: bool) -> list[Path]:
    folders = _folders(answered.name for answered, _ in found)
    with staged_folder(out, force=force, marker=MARKER, ours=earlier_files(out, MARKER)) as staging:
        for (answered, book), folder in zip(found, folders, strict=True):
            target = staging / folder
            write_result(answered.result, target / "result", report=False)
            write_text(target / "waterfall.csv", csv_text(_timed(answered, answered.fall.frame), _FORMATS))
            write_text(target / "ladder.csv", csv_text(_timed(answered, answered.ladder.frame), _FORMATS))
            if answered.projection is not None:
                write_text(target / "positions.csv", csv_text(answered.projection.positions))
            write_text(target / "report.html", stress_html(answered))
            if book is not None:
                write_text(target / "playbook.html", playbook_html(book))
                write_text(target / "playbook.md", playbook_markdown(book))
                (target / "notices").mkdir()
                names = _files(notice.counterparty for notice in book.notices)
                for name, text in zip(names, notices(book), strict=True):
                    write_text(target / "notices" / f"{name}.md", text + "\n")
        written = [p.relative_to(staging).as_posix() for p in sorted(staging.rglob("*")) if p.is_file()]
        told = [{"folder": f, **summary(a, b)} for f, (a, b) in zip(folders, found, strict=True)]
        text = json.dumps(
            {"stresses": told, "files": [*written, MARKER]}, indent=2, ensure_ascii=False, allow_nan=False
        )
        write_text(staging / MARKER, text + "\n")
    return [out / name for name in (MARKER, *written)]


def summary(answered: Answered, book: Playbook | None = None) -> dict[str, Any]:
    """The figures of one stress; what a playbook decides, too."""
    fall, ladder, result = answered.fall, answered.ladder, answered.result
    told: dict[str, Any] = {
        "name": answered.name,
        "status": result.status,
        "base_currency": result.summary["base_currency"],
        "called": fall.called,
        "covered": fall.covered,
        "shortfall": fall.shortfall,
        "total_cost": fall.total_cost,
        "survives": ladder.survives,
        "survives_until": _time(answered, ladder.survives_until),
        "missed": [
            {"call_id": c.call_id, "due": _time(answered, c.due), "shortfall": c.shortfall} for c in ladder.missed
        ],
        "findings": [] if answered.projection is None else [f.code for f in answered.projection.findings],
    }
    if fall.fixed is not None:
        fixed = fall.fixed
        told["fixed_order"] = {
            "order": fixed.order,
            "total_cost": fixed.total_cost,
            "extra_cost": fixed.extra_cost,
            "shortfall": fixed.shortfall,
        }
    if book is not None:
        told["playbook"] = {
            "status": book.status,
            "decisions": [
                {
                    "stage": stage.number,
                    "what": d.what,
                    "amount": d.amount,
                    "approver": d.approver,
                    "by": _time(answered, d.by),
                    "why": d.why,
                }
                for stage in book.stages
                for d in stage.decisions
            ],
        }
    said: dict[str, Any] = json_value(told)
    return said


def _time(answered: Answered, at: pd.Timestamp | None) -> str | None:
    if at is None:
        return None
    return str(at.tz_convert(answered.result.book.settings.as_of.tzinfo).isoformat(timespec="minutes"))


def _timed(answered: Answered, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with its times as the offset of ``as_of`` writes them."""
    times = [column for column in ("at", "access") if column in frame]
    return frame.assign(**{c: pd.Series([_time(answered, at) for at in frame[c]], dtype=object) for c in times})


def _folders(names: Iterable[str]) -> list[str]:
    """A folder for each stress, by its name. Raises UsageError: two would share one."""
    return own_folders(names, what="stresses", otherwise=NAMELESS)


def _files(names: Iterable[str]) -> list[str]:
    """A file name for each of ``names``, none twice."""
    made: list[str] = []
    for name in names:
        stem = plain_name(name, NAMELESS)
        taken = sum(1 for one in made if re.fullmatch(re.escape(stem) + r"(-\d+)?", one, re.IGNORECASE))
        made.append(f"{stem}-{taken + 1}" if taken else stem)
    return made
