"""Thousands of scenarios of one stress: drawn, called, answered and told, in parts that survive whoever dies.

A part's file depends on the book, the stress file, the seed and the part's number alone; the whole is the parts in
their order, so that neither the number of workers nor an interruption shows in it.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import pickle
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from math import ceil, fsum, nan, sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from collateral_opt.book import Book
from collateral_opt.errors import BookError, SolverError, UsageError
from collateral_opt.liquidity.executors import run
from collateral_opt.liquidity.factors import draw
from collateral_opt.liquidity.moved import Moved
from collateral_opt.liquidity.sweep_page import page
from collateral_opt.network.network import Floats
from collateral_opt.scenarios.change import Change
from collateral_opt.scenarios.what_if import answers
from collateral_opt.session import Scenario, Session, cores

PART = 250
"""Scenarios of a part."""
MANY = 4_000
"""Fewer are answered before further processes have begun."""
QUANTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
WORST = 10
WILSON = 1.959963984540054
"""Of a two-sided interval that holds the share in 95 of 100 sweeps."""
MARKER = "sweep.json"
COLUMNS: Mapping[str, str] = {
    "scenario": "int64", "called": "float64", "vm": "float64", "im": "float64", "cost": "float64",
    "shortfall": "float64", "reserve_shortfall": "float64", "exhausted": "str", "ran_out_first": "str",
    "first_short_call": "str", "first_short_due": "str", "warm": "bool", "failed": "str",
}  # fmt: skip
"""Columns of a sweep's table before ``x_FACTOR`` for each factor, and their types."""

Progress = Callable[[int, int], None]
Format = Literal["csv", "parquet"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What came of a sweep.

    ``table`` has a row a scenario, in their order: ``scenario``; ``called`` in all, ``vm`` and ``im`` of the stress's
    calls (of a call of both kinds: neither), ``cost`` over the horizon, ``shortfall`` and ``reserve_shortfall``, in
    base currency; ``exhausted``: the sources with nothing left, first to run out first, as a JSON list, and
    ``ran_out_first``; ``first_short_call`` and ``first_short_due``: the earliest due of those that are short;
    ``warm``: answered with the loaded program; ``failed``: why there is no answer (figures are NaN), empty where there
    is one; ``x_FACTOR``: the moves. ``summary`` is what ``summary.json`` holds. ``solved`` scenarios were answered in
    ``seconds``; the rest was there already.
    """

    table: pd.DataFrame
    summary: Mapping[str, Any]
    solved: int
    seconds: float
    confirmed: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class _Part:
    """Scenarios ``first`` to ``first + count - 1`` of the sweep whose packed :class:`Moved` has this ``key``."""

    key: str
    packed: bytes
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.first // PART:05d}.csv"

    @property
    def head(self) -> str:
        return f"# {self.key} {self.first} {self.count}"


def sweep(
    plan: Moved,
    out: str | Path,
    count: int,
    *,
    executor: str | Executor | None = None,
    progress: Progress | None = None,
    resume: bool = False,
    force: bool = False,
    fmt: Format = "csv",
    confirm: int = 0,
) -> Sweep:
    """Answer the first ``count`` scenarios of ``plan``, and write them to the folder ``out``.

    There: ``scenarios.csv`` (or ``.parquet``), ``summary.json``, ``worst.csv``, ``sweep.html``, ``confirmed.csv`` where
    something was confirmed, ``sweep.json`` (what the sweep is of), and ``parts``, from which it goes on.

    Args:
        executor: None for this process, ``processes:N``, ``dask://HOST:PORT``, or any executor.
        progress: called with how many scenarios are there and how many there will be, as parts end.
        resume: keep the parts of an earlier run to ``out`` that are whole, and of this very sweep.
        force: begin anew where there is an earlier sweep.
        confirm: so many of the worst scenarios are answered again in whole lots, and checked.

    Raises:
        UsageError: ``out`` holds another sweep or other things, or the executor is none.
    """
    if count < 1:
        raise UsageError("a sweep has 1 scenario or more.")
    folder = Path(out)
    key = _key(plan)
    identity = {"sweep": key, "stress": plan.name, "book": plan.book.digest, "seed": plan.generator.seed}
    _begin(folder, identity, resume=resume, force=force)
    parts = [_Part(key, plan.packed, at, min(PART, count - at)) for at in range(0, count, PART)]
    bodies = {part.first: body for part in parts if (body := _kept(folder, part)) is not None}
    missing = [part for part in parts if part.first not in bodies]
    tell = progress if progress is not None else lambda done, total: None
    done = count - sum(part.count for part in missing)
    tell(done, count)

    def ended(part: _Part, body: str) -> None:
        nonlocal done
        _write(folder / "parts" / part.name, f"{part.head} {_hash(body)}\n{body}")
        bodies[part.first] = body
        done += part.count
        tell(done, count)

    began = time.perf_counter()
    run(missing, _work, executor, ended)
    seconds = time.perf_counter() - began
    columns = [*COLUMNS, *(f"x_{name}" for name in plan.generator.names)]
    text = ",".join(map(_quoted, columns)) + "\n" + "".join(bodies[part.first] for part in parts)
    table = _table(text, columns)
    confirmed = _confirmed(plan, table, confirm) if confirm else pd.DataFrame()
    summary = summarised(plan, table)
    for name in ("scenarios.csv", "scenarios.parquet", "confirmed.csv"):
        (folder / name).unlink(missing_ok=True)
    if fmt == "parquet":
        staged = folder / ".scenarios.parquet.partial"
        table.to_parquet(staged, index=False)
        os.replace(staged, folder / "scenarios.parquet")
    else:
        _write(folder / "scenarios.csv", text)
    if len(confirmed):
        _write(folder / "confirmed.csv", confirmed.to_csv(index=False, lineterminator="\n"))
    _write(folder / "worst.csv", _rows_of(text, worst(table, WORST)["scenario"].tolist()))
    answered = table[table["failed"] == ""]
    _write(folder / "sweep.html", page(plan.book, answered, worst(answered, WORST), summary))
    _write(folder / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return Sweep(table, summary, sum(part.count for part in missing), seconds, confirmed)


def usual_executor(count: int) -> str | None:
    """All cores where there are parts for them to share, else this process."""
    workers = min(cores(), -(-count // PART))
    return f"processes:{workers}" if workers > 1 and count >= MANY else None


# -------------------- one part, wherever it is done

_here = threading.local()
"""In a worker: the plan and the session it was last asked about."""


def _work(part: _Part) -> str:
    """The rows of a part, as CSV."""
    if getattr(_here, "key", None) != part.key:
        _here.plan = pickle.loads(part.packed)
        _here.session = Session(_here.plan.book)
        _here.key = part.key
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(rows(_here.plan, _here.session, part.first, part.count))
    return text.getvalue()


def rows(plan: Moved, session: Session, first: int, count: int) -> Iterator[list[str]]:
    """The rows of some scenarios, cell by cell as they are written; ``session`` is of the plan's book."""
    moves = draw(plan.generator, first, count)
    due = dues(plan.book)
    kinds = dict(zip(plan.calls.ids, plan.calls.kind, strict=True))
    kept = fsum(plan.kept.values())
    for at, (change, called) in enumerate(plan.changes(moves, first)):
        by_kind = [fsum(called[name] for name, kind in kinds.items() if kind == which) for which in ("vm", "im")]
        known = [str(first + at), *map(_money, (kept + fsum(called.values()), *by_kind))]
        moved = [repr(float(x)) for x in moves[at]]
        answer = _answer(session, change)
        if isinstance(answer, str):
            yield [*known, "", "", "", "", "", "", "", "False", answer, *moved]
            continue
        short = min(answer.shortfalls, key=lambda name: (due[name] == "", due[name], name), default="")
        yield [
            *known,
            _money(answer.cost),
            _money(answer.total_shortfall),
            _money(fsum(answer.reserve_shortfalls.values())),
            json.dumps(answer.exhausted, ensure_ascii=False),
            answer.exhausted[0] if answer.exhausted else "",
            short,
            due.get(short, ""),
            str(answer.warm),
            "",
            *moved,
        ]


def _answer(session: Session, change: Change) -> Scenario | str:
    """The answer, or why there is none: one scenario without an answer does not take the others with it."""
    try:
        return session.solve(change)
    except (BookError, SolverError) as error:
        return " ".join(str(error).split())


def dues(book: Book) -> dict[str, str]:
    """When each call is due, in UTC, so that text sorts as time does; empty for never."""
    due = book.calls["due"]
    known = due.notna()
    shown = due.where(known).dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return dict(zip(book.calls["call_id"], shown.where(known, "").tolist(), strict=True))


def _money(amount: float) -> str:
    return f"{amount + 0.0:.2f}"


# -------------------- the folder


def _key(plan: Moved) -> str:
    version = importlib.metadata.version("collateral-opt")
    return _hash(json.dumps([plan.digest, version, PART, list(COLUMNS)]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _begin(folder: Path, identity: Mapping[str, Any], *, resume: bool, force: bool) -> None:
    """Make the folder ready; raises :class:`UsageError` where it holds what is not to be touched."""
    marker = folder / MARKER
    if marker.is_file():
        try:
            there = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            there = {}
        if resume and there != identity and not force:
            raise UsageError(
                f"{folder} holds another sweep: of another book, stress file, seed or version. Choose another folder, "
                "or replace it with --force."
            )
        if not resume and not force:
            raise UsageError(f"{folder} holds a sweep. Go on with --resume, or begin anew with --force.")
        if not resume or there != identity:
            shutil.rmtree(folder / "parts", ignore_errors=True)
    elif folder.exists() and (not folder.is_dir() or not all(map(_is_left_over, folder.iterdir()))):
        raise UsageError(f"{folder} is not empty and holds no {MARKER}, so it is left alone. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(marker, json.dumps(identity, indent=2) + "\n")
    (folder / "parts").mkdir(exist_ok=True)


def _is_left_over(entry: Path) -> bool:
    """Whether this is all there is of a sweep that ended while it began."""
    if entry.name == "parts":
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name.startswith(f".{MARKER}.") and entry.name.endswith(".partial")


def _kept(folder: Path, part: _Part) -> str | None:
    """The rows of a part that an earlier run wrote; None unless they are whole and of this sweep."""
    try:
        head, _, body = (folder / "parts" / part.name).read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return body if head == f"{part.head} {_hash(body)}" else None


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with staged.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(staged, path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n') else name


def _rows_of(text: str, scenarios: Sequence[int]) -> str:
    """The head and the rows of ``scenarios``, as they stand in the ``text`` of a sweep."""
    head, *lines = csv.reader(io.StringIO(text))
    found = io.StringIO()
    csv.writer(found, lineterminator="\n").writerows([head, *(lines[scenario] for scenario in scenarios)])
    return found.getvalue()


def _table(text: str, columns: Sequence[str]) -> pd.DataFrame:
    types = {**COLUMNS, **dict.fromkeys(columns[len(COLUMNS) :], "float64")}
    _, *lines = csv.reader(io.StringIO(text))
    read: dict[str, Callable[[str], object]] = {
        "float64": lambda cell: float(cell or nan), "int64": int, "bool": "True".__eq__, "str": str,
    }  # fmt: skip
    cells = zip(*lines, strict=True)
    return pd.DataFrame(
        {
            name: pd.Series(map(read[types[name]], column), dtype=types[name])
            for name, column in zip(columns, cells, strict=True)
        }
    )


# -------------------- what it comes to


def summarised(plan: Moved, table: pd.DataFrame) -> dict[str, Any]:
    """What the rows of a sweep come to, for ``summary.json``.

    Quantiles interpolate between neighbours; ``mean_of_worst`` is over the largest share, and one figure at least. The
    interval of the share covered is Wilson's, of 95 %.
    """
    answered = table[table["failed"] == ""]
    count = len(answered)
    covered = int((answered["shortfall"] == 0).sum())
    low, high = wilson(covered, count)
    out: Counter[str] = Counter()
    for cell in answered["exhausted"]:
        out.update(json.loads(cell))
    first = Counter(name for name in answered["ran_out_first"] if name)
    short = Counter(name for name in answered["first_short_call"] if name)
    return {
        "stress": plan.name,
        "seed": plan.generator.seed,
        "base_currency": plan.book.settings.base_currency,
        "scenarios": len(table),
        "failed": len(table) - count,
        "warm": int(answered["warm"].sum()),
        "covered": covered,
        "share_covered": covered / count if count else None,
        "share_covered_95": [low, high] if count else None,
        "called": _distribution(answered["called"]),
        "cost": _distribution(answered["cost"]),
        "shortfall": _distribution(answered["shortfall"]),
        "ran_out": _counted(out),
        "ran_out_first": _counted(first),
        "first_short": _counted(short),
        "worst": worst(answered, WORST)["scenario"].tolist(),
    }


def worst(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows with the largest shortfall, of these the largest calls; scenarios of one size in their order."""
    order = table.sort_values(["shortfall", "called", "scenario"], ascending=[False, False, True], kind="stable")
    return order.head(count).reset_index(drop=True)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which ``hits`` of ``count`` were seen; (0, 1) of none."""
    if not count:
        return 0.0, 1.0
    share, z = hits / count, WILSON**2 / count
    middle, half = share + z / 2, WILSON * sqrt(share * (1 - share) / count + z / (4 * count))
    return max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))


def _distribution(column: pd.Series[Any]) -> dict[str, float]:
    figures = np.sort(column.to_numpy(dtype=np.float64))
    if not len(figures):
        return {}
    told = {"mean": fsum(figures.tolist()) / len(figures), "largest": float(figures[-1])}
    told |= {f"quantile_{q:g}": _quantile(figures, q / 100) for q in QUANTILES}
    for share in (95, 99):
        tail = figures[len(figures) - ceil(len(figures) * (100 - share) / 100) :]
        told[f"mean_of_worst_{100 - share}_percent"] = fsum(tail.tolist()) / len(tail)
    return {name: round(figure, 2) for name, figure in told.items()}


def _quantile(figures: Floats, share: float) -> float:
    return float(np.quantile(figures, share))


def _counted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _confirmed(plan: Moved, table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The worst scenarios answered in whole lots: scenario, cost and shortfall of both, and the gap."""
    chosen = worst(table[table["failed"] == ""], count)
    changes = [change_of(plan, number) for number in chosen["scenario"].tolist()]
    results = list(answers([change.applied_to(plan.book) for change in changes]))
    return pd.DataFrame(
        {
            "scenario": chosen["scenario"],
            "cost": chosen["cost"],
            "cost_in_lots": [round(result.total_cost, 2) for result in results],
            "gap": [result.summary.get("gap", nan) for result in results],
            "shortfall": chosen["shortfall"],
            "shortfall_in_lots": [round(fsum(result.calls["shortfall"].tolist()), 2) for result in results],
        }
    )


def change_of(plan: Moved, scenario: int) -> Change:
    """The change that one scenario is of the plan's book."""
    ((change, _),) = plan.changes(draw(plan.generator, scenario, 1), scenario)
    return change
