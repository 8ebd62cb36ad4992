"""Tells a comparison in lines of text, and writes several to a folder: tables, figures, results; all of it or nothing.

In the folder: ``before``, the result of the book as it stands; a folder for each what-if, with the tables of its
comparison and its own result in ``after``; ``comparison.json``, which names them and has their figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from collateral_opt.errors import UsageError
from collateral_opt.io.write import (
    Format,
    _check_folder,
    _finite,
    _write_text,
    basis_points_text,
    csv_text,
    decimal_text,
    money_text,
    staged_folder,
    write_result,
)
from collateral_opt.result.comparison import RECORDS, Comparison, CostDifference, LimitDifference, Moved

MARKER = "comparison.json"
_FORMAT: Mapping[str, Format] = {
    **dict.fromkeys(
        ("required", "shortfall", "market_value", "collateral_value", "cost", "used", "cap", "raised"), money_text
    ),
    "quantity": decimal_text,
    "lines": decimal_text,
    "shadow_price": basis_points_text,
    **dict.fromkeys(("before", "after", "by"), lambda x: decimal_text(round(x, 2))),
}
_MOST = 5
ON_OCCASION = frozenset({"agreements", "reserves"})
"""Tables that are written only where they have rows."""


# -------------------- words


def comparison_lines(comparison: Comparison) -> list[str]:
    """What a person reads first: cost, what is short, how much moves, what binds, who pays. A heading first."""
    c, currency = comparison, comparison.base_currency
    least = " to ".join(_signed(x) for x in c.least_cost)
    out = [f"{c.name}: {c.status[0]} before, {c.status[1]} after"]
    out += [f"  change     {word}" for word in c.changes]
    out.append(f"  cost       {_step(c.cost)} {currency}; of the least cost {least}")
    out.append(f"  short      {_step(c.shortfall)} {currency}")
    if c.reserve_shortfall.before or c.reserve_shortfall.after:
        out.append(f"  reserves   {_step(c.reserve_shortfall)} {currency} missing")
    counts = [(what, sum(1 for line in c.lines if line.difference == what)) for what in ("added", "removed", "changed")]
    repriced = sum(1 for line in c.lines if line.difference == "repriced")
    counts += [("with the same quantity at another value or cost", repriced)] if repriced else []
    out.append(f"  lines      {', '.join(f'{n:,} {what}' for what, n in counts)}")
    for one in c.movements:
        value = _step(one.market_value, 0)
        out.append(
            f"  {one.action:<10} {one.lines.before:,.0f} lines, now {one.lines.after:,.0f}; market value {value}"
        )
    for call in _first(sorted(c.calls, key=lambda one: -abs(one.shortfall.by)), out, "calls.csv"):
        short = f", short {_step(call.shortfall)}" if call.shortfall.before or call.shortfall.after else ""
        why = f" ({call.reason})" if call.reason else ""
        out.append(f"  call {call.call_id} {call.difference}: asks {_step(call.required)}{short}{why}")
    for what, others in (("agreement", c.agreements), ("reserve", c.reserves)):
        for other in _first(others, out, f"{what}s.csv"):
            asks, short = _step(other.required), _step(other.shortfall)
            out.append(f"  {what} {other.name} {other.difference}: requires {asks}, short {short}")
    for limit in _first(c.limits, out, "limits.csv"):
        out.append(f"  {limit.difference}: {_limit(limit)}")
    for facility in _first([one for one in c.facilities if one.raised.by or one.cost.by], out, "facilities.csv"):
        out.append(f"  facility {facility.facility_id}: raised {_step(facility.raised)}, cost {_step(facility.cost)}")
    for by in ("agreement", "owner"):
        paying = [one for one in c.costs if one.by == by and one.cost.by]
        if paying:
            largest = sorted(paying, key=lambda one: -abs(one.cost.by))
            more = f"; {len(paying) - _MOST:,} more in costs.csv" if len(paying) > _MOST else ""
            out.append(f"  by {by:<10}{'; '.join(map(_payer, largest[:_MOST]))}{more}")
    return out


def _first(differences: Sequence[Any], out: list[str], table: str) -> Iterator[Any]:
    """The first few, and how many more there are."""
    yield from differences[:_MOST]
    if len(differences) > _MOST:
        out.append(f"  and {len(differences) - _MOST:,} more, see {table}")


def _limit(limit: LimitDifference) -> str:
    group = f" {limit.group}" if limit.group else ""
    used, cap = limit.used, limit.cap
    return (
        f"{limit.agreement_id}, {limit.limit}{group}: {used.before:,.2f} of {cap.before:,.2f} before, "
        f"{used.after:,.2f} of {cap.after:,.2f} after"
    )


def _payer(one: CostDifference) -> str:
    name = one.name if one.name is not None else f"no {one.part} named"
    return f"{'facility ' if one.part == 'facility' else ''}{name} {_signed(one.cost.by)}"


def _step(moved: Moved, decimals: int = 2) -> str:
    same = f"{moved.before + 0.0:,.{decimals}f}"
    if not moved.by:
        return f"{same} as before"
    return f"{same} -> {moved.after + 0.0:,.{decimals}f} ({_signed(moved.by, decimals)})"


def _signed(x: float, decimals: int = 2) -> str:
    return f"{round(x, decimals) + 0.0:+,.{decimals}f}"


# -------------------- files


def write_comparisons(comparisons: Sequence[Comparison], out: Path, *, force: bool = False) -> list[Path]:
    """Write what-ifs of one book, and the results, to the folder ``out``; returns the paths.

    :raises UsageError: two what-ifs have one name; or as :func:`~collateral_opt.io.write.write_result`.
    :raises OSError: the disk's own words; nothing has been written then.
    """
    folders = folder_names([comparison.name for comparison in comparisons])
    with staged_folder(out, force=force, marker=MARKER, ours=_earlier(out)) as staging:
        write_result(comparisons[0].before, staging / "before", report=False)
        for comparison, folder in zip(comparisons, folders, strict=True):
            write_result(comparison.after, staging / folder / "after", report=False)
            for name, table in comparison.tables().items():
                if name in ON_OCCASION and not len(table):
                    continue
                formats = {c: _format(c) for c in table.columns}
                _write_text(staging / folder / f"{name}.csv", csv_text(table, formats))
        written = [p.relative_to(staging).as_posix() for p in sorted(staging.rglob("*")) if p.is_file()]
        said = [{"folder": folder, **_told(one)} for folder, one in zip(folders, comparisons, strict=True)]
        _write_text(
            staging / MARKER, json.dumps({"what_ifs": said, "files": [*written, MARKER]}, indent=2, **_JSON) + "\n"
        )
    return [out / name for name in (MARKER, *written)]


_JSON: Mapping[str, Any] = {"ensure_ascii": False, "allow_nan": False}


def check_comparison_target(out: Path, names: Sequence[str], *, force: bool, book: Path) -> None:
    """Refuse a folder, or names that would share one, before any work is done."""
    from collateral_opt.io.write import check_target

    folder_names(names)
    if not out.exists():
        check_target(out, force=force, book=book)
        return
    target, source = out.resolve(), book.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise UsageError(f"--out {out} and the book {book} lie in one another. Choose a folder outside it.")
    _check_folder(out, force=force, marker=MARKER)


def folder_names(names: Iterable[str]) -> list[str]:
    """A folder for each what-if, by its name: letters, digits, hyphens.

    :raises UsageError: two would share one, or one that is needed otherwise.
    """
    folders: dict[str, str] = {}
    for name in names:
        folder = re.sub(r"[^\w-]+", "-", name).strip("-") or "what-if"
        if folder.casefold() in {*folders, "before"}:
            other = folders.get(folder.casefold(), "the book as it stands")
            raise UsageError(f"the what-ifs {name!r} and {other!r} would be written to one folder. Rename one of them.")
        folders[folder.casefold()] = name
    return [re.sub(r"[^\w-]+", "-", name).strip("-") or "what-if" for name in folders.values()]


def _told(comparison: Comparison) -> dict[str, Any]:
    """A comparison without its lines, which have a table."""
    c = comparison
    records = {name: [asdict(one) for one in getattr(c, name)] for name in RECORDS if name != "lines"}
    figures = {name: {**asdict(moved), "by": moved.by} for name, moved in c.figures().items()}
    status = {"before": c.status[0], "after": c.status[1]}
    least = {"from": c.least_cost[0], "to": c.least_cost[1]}
    head = {"name": c.name, "changes": c.changes, "base_currency": c.base_currency, "status": status}
    told: dict[str, Any] = _finite({**head, **figures, "least_cost_by": least, **records})
    return told


def _format(column: str) -> Format:
    stem = re.sub("_(before|after|by)$", "", column)
    return _FORMAT.get(stem, decimal_text)


def _earlier(out: Path) -> list[str]:
    """The files that an earlier run wrote into the folder, by its own word; only paths below it are believed."""
    try:
        files = json.loads((out / MARKER).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    paths = [PurePosixPath(name) for name in files if isinstance(name, str)]
    return [str(path) for path in paths if not path.is_absolute() and ".." not in path.parts]
