"""Strategies side by side on the same scenarios: what each does to calls, to what is short, to the buffer, to cost.

A strategy changes today's book: it scales positions or adds some, changes terms as a what-if does, adds facilities,
or holds a buffer. All strategies meet the same stresses, or the same draws of risk factors, so that differences are
paired: their error is far smaller than that of either side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from collateral_opt.book import Book
from collateral_opt.book.tables import ROW_MODELS
from collateral_opt.errors import BookError, UsageError
from collateral_opt.liquidity.buffer import Aim, Candidate, NotToBeHadError, size_buffer
from collateral_opt.liquidity.factors import draw
from collateral_opt.liquidity.moved import moved
from collateral_opt.liquidity.naming import Positions
from collateral_opt.liquidity.needs import require_fit, with_candidates
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.stress import Share, Stress, StressFile
from collateral_opt.liquidity.waterfall import least_shortfall
from collateral_opt.scenarios.change import Change
from collateral_opt.scenarios.figure import Assets
from collateral_opt.scenarios.kinds import BookChange
from collateral_opt.scenarios.what_if import WhatIf
from collateral_opt.scenarios.words import read_changes, worded
from collateral_opt.session import Session, solve_afresh
from eligibility_rules.vocabulary import Frozen, Text

Progress = Callable[[str], None]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SCALED = ("quantity", "market_value", "initial_margin", "unrealised_pnl")
"""The columns of positions that move with their size; ``value_NAME`` does too."""
_SHORT = 0.005
"""Less than half a minor unit is nothing."""


class Scaled(Frozen):
    """Positions and the margin on them, larger or smaller by a share: ``{of: equity, by: -30%}``."""

    of: Assets
    by: Share


class Held(Frozen):
    """A buffer that is held: so much value of an asset, or of a committed line of it; ``cost_bps`` a year."""

    asset: Text
    value: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    cost_bps: NotNegative = 0.0
    line: bool = False
    access_hours: NotNegative = 0.0


def _listed(raw: object) -> object:
    return [raw] if isinstance(raw, Mapping) else raw


Rows = Annotated[tuple[Mapping[str, Any], ...], BeforeValidator(_listed)]


class Strategy(Frozen):
    """One way to be placed before a stress.

    ``scale`` (in order), then ``add`` and ``sensitivities`` (rows of ``positions`` and ``sensitivities``),
    ``facilities`` (rows of that table), ``book`` (changes as in what-ifs), ``buffer``. ``cost``: what it
    costs a year besides, such as premiums and commitment fees, in base currency.
    """

    name: str
    scale: Annotated[tuple[Scaled, ...], BeforeValidator(_listed)] = ()
    add: Rows = ()
    sensitivities: Rows = ()
    facilities: Rows = ()
    book: tuple[SerializeAsAny[BookChange], ...] = ()
    buffer: Annotated[tuple[Held, ...], BeforeValidator(_listed)] = ()
    cost: NotNegative = 0.0

    @property
    def carry(self) -> float:
        """What its buffer costs a year, in base currency."""
        return sum(one.value * one.cost_bps / 10_000 for one in self.buffer)

    def applied_to(self, book: Book, stresses: Sequence[Stress] = ()) -> Book:
        """``book`` as the strategy places it.

        Raises:
            UsageError: something is named that is not there, or a position is scaled of which one of ``stresses``
                states an amount (all of it at once).
            BookError: the book has an error then.
        """
        wrong: list[str] = []
        frames: dict[str, Any] = {}
        if self.scale:
            frames |= self._scaled(book, stresses, wrong.append)
        for table, rows in (
            ("positions", self.add),
            ("sensitivities", self.sensitivities),
            ("facilities", self.facilities),
        ):
            if rows:
                frames[table] = _with_rows(table, frames.get(table, getattr(book, table)), rows, wrong.append)
        if wrong:
            said = "\n".join(f"  {text}" for text in dict.fromkeys(wrong))
            raise UsageError(f"the strategy {self.name!r} does not fit the book:\n{said}")
        placed = book.replace(**frames) if frames else book
        if self.book:
            placed = WhatIf(name=self.name, changes=self.book)(placed)
        if not self.buffer:
            return placed
        held = [
            Candidate(name=f"{self.name} {n}", asset=b.asset, cost_bps=0.0, is_line=b.line, access_hours=b.access_hours)
            for n, b in enumerate(self.buffer, 1)
        ]
        return with_candidates(placed, held, [b.value for b in self.buffer])

    def _scaled(self, book: Book, stresses: Sequence[Stress], say: Callable[[str], object]) -> dict[str, pd.DataFrame]:
        known, frame, sensitivities = Positions(book), book.positions, book.sensitivities
        columns = [c for c in frame if c in SCALED or str(c).startswith("value_")]
        factor = np.ones(len(frame))
        for one in self.scale:
            named = known.named(one.of, say)
            factor[named] *= 1 + float(one.by.amount) / 100
            for stress in stresses:
                self._require_relative(frame["position_id"][named], named, known, stress, say)
        frame = frame.assign(**{str(c): frame[c] * factor for c in columns})
        by_name = dict(zip(frame["position_id"], factor.tolist(), strict=True))
        times = sensitivities["position_id"].map(by_name).astype(np.float64)
        moved_ = {c: sensitivities[c] * times for c in ("delta", "gamma")}
        return {"positions": frame, "sensitivities": sensitivities.assign(**moved_)}

    def _require_relative(
        self,
        names: pd.Series[Any],
        named: np.ndarray[Any, np.dtype[np.bool_]],
        known: Positions,
        stress: Stress,
        say: Callable[[str], object],
    ) -> None:
        """Amounts stated of whole positions do not hold for a part of them."""
        for key, stated in (("values", stress.values), ("variation_margin", stress.variation_margin)):
            for name in sorted(set(names) & set(stated)):
                say(f"{name} is scaled, and {key} of {stress.name} states its amount. Write a shock there instead.")
        for move in stress.initial_margin:
            if move.of is not None and (move.add or move.to) and (known.named(move.of, say) & named).any():
                say(f"initial_margin of {stress.name} states an amount of what is scaled. Write a multiplier there.")


def _with_rows(
    table: str, frame: pd.DataFrame, rows: Sequence[Mapping[str, Any]], say: Callable[[str], object]
) -> pd.DataFrame:
    """The frame with these rows below, cells read as the table's columns are."""
    known = [*ROW_MODELS[table].model_fields]
    made = []
    for row in rows:
        cells: dict[str, Any] = {}
        for key, cell in row.items():
            if key not in known and not (table == "positions" and key.startswith("value_")):
                say(f"{table} has no column {key!r}. The columns are {', '.join(known)}.")
                continue
            numeric = key.startswith("value_") or (key in frame and frame[key].dtype.kind == "f")
            try:
                cells[key] = float(str(cell)) if numeric else cell
            except ValueError:
                say(f"{table}, {key}: {cell!r} is no number.")
        made.append(cells)
    columns = list(dict.fromkeys([*frame.columns, *(key for cells in made for key in cells)]))
    old = frame.astype(object).where(frame.notna(), None).to_dict("records")
    both = pd.DataFrame([*old, *made], columns=columns, dtype=object)
    defaults = {k: f.default for k, f in ROW_MODELS[table].model_fields.items() if not f.is_required()}
    for column in columns:
        if (column in frame and frame[column].dtype.kind == "f") or column.startswith("value_"):
            both[column] = pd.to_numeric(both[column]).astype(np.float64)
        if isinstance(defaults.get(column), bool):
            both[column] = [str(cell).strip().lower() == "true" for cell in both[column]]
        elif isinstance(defaults.get(column), float) and not np.isnan(defaults[column]):
            both[column] = both[column].fillna(defaults[column])
    return both


def read_strategies(section: object) -> list[Strategy]:
    """``strategies:`` of a stress file, in its order. Raises UsageError with everything that is wrong."""
    if not isinstance(section, Mapping) or not section:
        raise UsageError("the file has no strategies. Write `strategies:` and below it `NAME:` with what is done.")
    wrong: list[str] = []
    found = []
    for name, raw in section.items():
        if raw not in ("", None) and not isinstance(raw, Mapping):
            wrong.append(
                f"{name}: says {raw}. Write below it scale, add, facilities, book, buffer or cost, or nothing."
            )
            continue
        form: dict[str, Any] = {**(raw or {}), "name": str(name)}
        if "book" in form:
            form["book"] = read_changes(form["book"], f"{name}, ", wrong)
        try:
            found.append(Strategy.model_validate(form))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                at = ", ".join(str(p + 1) if isinstance(p, int) else str(p) for p in detail["loc"][:-1])
                wrong.append(f"{name}{', ' if at else ''}{at}: {worded(dict(detail))}")
    if wrong:
        raise UsageError("these strategies cannot be read:\n" + "\n".join(f"  {text}" for text in wrong))
    return found


@dataclass(frozen=True, eq=False)
class Compared:
    """Strategies on the same scenarios; amounts in base currency.

    Attributes:
        table: a row a strategy: strategy, scenarios, called_mean, called_high, called_most, short (how many scenarios
            are), shortfall_mean, shortfall_high, shortfall_most, cost_mean (of meeting the calls, over the horizon);
            the least buffer of candidates for ``share`` of the scenarios, buffer_value and buffer_cost (a year; NaN:
            none asked for, or none does); stated_cost, carry and cost_a_year (these and buffer_cost); and against
            the first strategy, scenario by scenario, called_less and shortfall_less (means) with their standard errors.
            ``_high`` is the least figure that ``share`` of the scenarios do not exceed.
        scenarios: a row a strategy and scenario: strategy, scenario, called, cost, shortfall.
        share: as asked for.
    """

    table: pd.DataFrame
    scenarios: pd.DataFrame
    share: float


def compare_strategies(
    book: Book,
    file: StressFile,
    strategies: Sequence[Strategy],
    *,
    stress: Stress | None = None,
    count: int = 0,
    seed: int | None = None,
    share: float = 0.95,
    candidates: Sequence[Candidate] = (),
    aim: Aim = "value",
    instead_of: Sequence[str] = (),
    progress: Progress | None = None,
) -> Compared:
    """Meet the same scenarios with each of ``strategies``, by the linear optimum (whole lots aside).

    The scenarios are the stresses of ``file``; or with ``count`` so many draws of its generator, on top of ``stress``
    (None: of nothing). With ``candidates``, the smallest buffer of them (``aim`` ``cost``: the cheapest) is sized for
    each strategy, in the place of the holdings ``instead_of``.

    Raises:
        UsageError: a strategy or stress does not fit the book, a strategy makes a book with an error, or share is
            outside (0, 1].
        BookError, SolverError: as :class:`~collateral_opt.session.Session`.
    """
    if not strategies:
        raise UsageError("there are no strategies to compare.")
    if not 0 < share <= 1 or count < 0:
        raise UsageError(f"share is {share:g} (above 0, at most 1), count {count} (0 or more).")
    stresses = [stress or Stress(name="today")] if count else list(file.stresses.values())
    placed = [_placed(one, book, stresses) for one in strategies]
    rows, frames = [], []
    for one, own in zip(strategies, placed, strict=True):
        if progress is not None:
            progress(f"strategy {one.name}")
        if count:
            base, changes, frame = _drawn(own, stresses[0], file, count, seed)
            many: Sequence[Change | Book] = changes
        else:
            base, many, frame = _stressed(own, stresses, file)
        row: dict[str, Any] = {
            "strategy": one.name,
            **_figures(frame, share),
            "buffer_value": np.nan,
            "buffer_cost": np.nan,
        }
        if candidates:
            row |= _buffer(base, many, candidates, share, aim, instead_of)
        row |= {"stated_cost": one.cost, "carry": one.carry}
        row["cost_a_year"] = one.cost + one.carry + (row["buffer_cost"] if candidates else 0.0)
        frames.append(frame.assign(strategy=one.name)[["strategy", *frame.columns]])
        first = frames[0]
        for column in ("called", "shortfall"):
            less = first[column].to_numpy(np.float64) - frame[column].to_numpy(np.float64)
            row[f"{column}_less"] = float(less.mean())
            row[f"{column}_less_error"] = float(less.std(ddof=1) / np.sqrt(len(less))) if len(less) > 1 else np.nan
        rows.append(row)
    return Compared(pd.DataFrame(rows), pd.concat(frames, ignore_index=True), share)


def _placed(one: Strategy, book: Book, stresses: Sequence[Stress]) -> Book:
    try:
        return one.applied_to(book, stresses)
    except BookError as error:
        # rows that the strategy adds are in no file: it is named, that they may be found
        raise UsageError(f"with the strategy {one.name!r}, whose rows come last, {error}") from None


def _stressed(book: Book, stresses: Sequence[Stress], file: StressFile) -> tuple[Book, Sequence[Book], pd.DataFrame]:
    """The book under each of the stresses, and what comes of it."""
    rows, books = [], []
    for one in stresses:
        under = project(book, one, file).book
        books.append(under)
        called = float((under.calls["amount"] * under.calls["currency"].map(under.rates)).sum())
        found = solve_afresh(under, Change()) if len(under.calls) else None
        # the least cost may be had with a billionth more short
        short = least_shortfall(under) if found is not None and found.total_shortfall > 0 else 0.0
        rows.append((one.name, called, found.cost if found else 0.0, short))
    return book, books, _frame(rows)


def _drawn(
    book: Book, stress: Stress, file: StressFile, count: int, seed: int | None
) -> tuple[Book, Sequence[Change], pd.DataFrame]:
    """The book that all draws are changes of, the changes, and what comes of them."""
    plan = moved(book, stress, file, seed=seed)
    session = Session(plan.book)
    rows = []
    kept = sum(plan.kept.values())
    drawn = list(plan.changes(draw(plan.generator, 0, count)))
    changes = [change for change, _ in drawn]
    for (change, called), found in zip(drawn, session.solve_many(changes), strict=True):
        rows.append((change.name, sum(called.values()) + kept, found.cost, found.total_shortfall))
    return plan.book, changes, _frame(rows)


def _frame(rows: Sequence[tuple[str, float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["scenario", "called", "cost", "shortfall"])
    return frame.assign(shortfall=frame["shortfall"].where(frame["shortfall"] > _SHORT, 0.0))


def _figures(frame: pd.DataFrame, share: float) -> dict[str, float]:
    told: dict[str, float] = {"scenarios": len(frame)}
    for column in ("called", "shortfall"):
        values = np.sort(frame[column].to_numpy(np.float64))
        high = values[max(0, int(np.ceil(share * len(values) - 1e-9)) - 1)]
        if column == "shortfall":
            told["short"] = int((values > 0).sum())
        told |= {
            f"{column}_mean": float(values.mean()),
            f"{column}_high": float(high),
            f"{column}_most": float(values[-1]),
        }
    return {**told, "cost_mean": float(frame["cost"].mean())}


def _buffer(
    base: Book,
    many: Sequence[Change | Book],
    candidates: Sequence[Candidate],
    share: float,
    aim: Aim,
    instead_of: Sequence[str],
) -> dict[str, float]:
    """The buffer, with what it has of each candidate; NaN where none of these candidates does it."""
    parts = [f"buffer {c.name}" for c in candidates] if len(candidates) > 1 else []
    require_fit(base, candidates)
    try:
        plan = size_buffer(base, many, candidates, share, aim, instead_of=instead_of)
    except NotToBeHadError:
        return dict.fromkeys(("buffer_value", "buffer_cost", *parts), np.nan)
    held = dict(zip(parts, plan.values.values(), strict=True)) if parts else {}
    return {"buffer_value": plan.value, "buffer_cost": plan.cost_a_year, **held}


MARKER = "strategies.csv"
FILES = (MARKER, "scenarios.csv")


def write_compared(found: Compared, out: Path, *, force: bool = False) -> list[Path]:
    """Write ``strategies.csv`` and ``scenarios.csv`` to the folder ``out``, all or nothing, and return their paths.

    Raises:
        UsageError: ``out`` is a file, or holds something and ``force`` is not set, or no earlier ones of these.
    """
    from collateral_opt.io.write import csv_text, decimal_text, money_text, staged_folder, write_text

    whole = dict.fromkeys(("scenarios", "short"), decimal_text)
    with staged_folder(out, force=force, marker=MARKER, ours=FILES) as staging:
        for name, table in ((MARKER, found.table), ("scenarios.csv", found.scenarios)):
            formats = {c: money_text for c in table.columns if c not in ("strategy", "scenario")} | whole
            write_text(staging / name, csv_text(table, formats))
        written = sorted(path.name for path in staging.iterdir())
    return [out / name for name in written]
