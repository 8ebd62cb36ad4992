"""A buffer from a file of stresses: what it may be made of, the scenarios, the plan, and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from collateral_opt.book import Book
from collateral_opt.book.tables import hint
from collateral_opt.errors import UsageError
from collateral_opt.io.page import Figure, axis, beginning, figure, numbers, rendered
from collateral_opt.io.report_tables import money
from collateral_opt.io.write import csv_text, decimal_text, money_text, staged_folder, summary_text, write_text
from collateral_opt.liquidity.buffer import Aim, BufferPlan, curve, size_buffer
from collateral_opt.liquidity.cvar import cvar_buffer
from collateral_opt.liquidity.factors import draw
from collateral_opt.liquidity.moved import moved
from collateral_opt.liquidity.needs import BASIS_POINTS, Candidate, Needs, Progress, Scenarios
from collateral_opt.liquidity.pictures import distribution_figure
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.stress import StressFile
from collateral_opt.model.program import Floats
from collateral_opt.scenarios.words import worded
from eligibility_rules.scalars import problem
from eligibility_rules.vocabulary import Frozen, Text

MARKER = "buffer.json"
FILES = (MARKER, "buffer.html", "buffer.csv", "scenarios.csv", "curve.csv")
_AIMS = {"cost": "the cheapest", "value": "the smallest", "cvar": "the cheapest whose worst lack nothing in the mean"}
NotNegative = Annotated[float, Field(ge=0, le=1e16, allow_inf_nan=False)]


class _Line(Frozen):
    """One entry below ``buffer:``."""

    asset: Text | None = None
    line: Text | None = None
    name: Text | None = None
    gives: Text | None = None
    cost_bps: NotNegative = 0.0
    most: NotNegative | None = None
    capacity: NotNegative | None = None
    access_hours: NotNegative = 0.0
    location: Text | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.asset is None) == (self.line is None):
            said = "neither of an asset nor a line" if self.asset is None else "of an asset and a line at once"
            raise problem(f"a buffer is {said}", "", "Write {asset: ...} or {line: NAME}")
        odd = ("gives", "capacity") if self.line is None else ("most", "location", "name")
        for key in odd:
            if getattr(self, key) is not None:
                kind = "an asset" if self.line is None else "a line"
                raise problem(f"{key} is not for {kind}", "", "Take it out")
        return self


def read_candidates(form: object, book: Book) -> list[Candidate]:
    """The candidates of the ``buffer:`` section of a file of stresses, as written there.

    A line gives cash of the book's base currency unless it ``gives`` another; a ``most`` or ``capacity`` is in base
    currency.

    Raises:
        UsageError: there are none, one cannot be read, or an asset is not in the book: all of it at once.
    """
    if not isinstance(form, list) or not form:
        raise UsageError(
            "there is nothing that a buffer may be made of. Write `buffer:` and below it lines such as "
            "`- {asset: USD, cost_bps: 60}`."
        )
    try:
        lines = TypeAdapter(list[_Line]).validate_python(form)
    except ValidationError as error:
        # an entry that is wrong as a whole has no field to be named
        said = [
            f"buffer: line {int(detail['loc'][0]) + 1}: {worded(detail).removeprefix('change: ')}"
            for detail in error.errors(include_url=False)
        ]
        raise UsageError("\n".join(dict.fromkeys(said))) from None
    kinds = dict(zip(book.assets["asset_id"], book.assets["asset_type"], strict=True))
    currencies = dict(zip(book.assets["asset_id"], book.assets["currency"], strict=True))
    base = book.settings.base_currency
    own = next((name for name, kind in kinds.items() if kind == "cash" and currencies[name] == base), base)
    found, wrong = [], []
    for number, one in enumerate(lines, 1):
        asset = str(one.asset or one.gives or own)
        if asset not in kinds:
            guess = hint(asset, kinds)
            wrong.append(f"buffer: line {number}: asset {asset!r} is not in the book. {guess}".rstrip())
        elif one.line is not None and kinds[asset] != "cash":
            wrong.append(f"buffer: line {number}: a line gives cash, and {asset!r} is {kinds[asset]}.")
        most = one.most if one.line is None else one.capacity
        found.append(
            Candidate(
                name=str(one.line or one.name or one.asset),
                asset=asset,
                cost_bps=one.cost_bps,
                most=np.inf if most is None else most,
                is_line=one.line is not None,
                access_hours=one.access_hours,
                location=one.location,
            )
        )
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def read_own(form: object) -> list[str]:
    """The holdings of the ``of_own:`` section. Raises UsageError where it is no list of identifiers."""
    if form is None:
        return []
    if not isinstance(form, list) or not all(isinstance(name, str) for name in form):
        raise UsageError("of_own is a list of holdings that the buffer takes the place of: write `of_own: [CASH]`.")
    return list(form)


def scenarios_of(
    book: Book, file: StressFile, stress: str | None = None, *, count: int | None = None, seed: int | None = None
) -> tuple[Book, Scenarios]:
    """The book that scenarios are changes of, and these: every stress of ``file``, or ``count`` draws around one.

    Raises:
        UsageError: no such stress, or the file has no generator to draw with.
        BookError: a stress makes a book with an error.
    """
    if count is None:
        names = list(file.stresses) if stress is None else [file.stress(stress).name]
        return book, [project(book, file.stresses[name], file).book for name in names]
    plan = moved(book, file.stress(stress), file, seed=seed)
    return plan.book, [change for change, _ in plan.changes(draw(plan.generator, 0, count))]


@dataclass(frozen=True, eq=False)
class BufferReport:
    """A plan, and what it is read with.

    ``scenarios``: scenario, need (the least value of a buffer that survives it alone; NaN: none does), survived, lost;
    ``curve`` as :func:`~collateral_opt.liquidity.buffer.curve`, where asked for; ``narrowed``: in how many scenarios
    a limit that is broken today is taken to stay so.
    """

    plan: BufferPlan
    candidates: Sequence[Candidate]
    scenarios: pd.DataFrame
    curve: pd.DataFrame | None
    currency: str
    as_of: str
    book: str
    narrowed: int = 0


def report(
    book: Book,
    file: StressFile,
    *,
    stress: str | None = None,
    count: int | None = None,
    seed: int | None = None,
    share: float = 0.95,
    aim: Aim = "cost",
    cvar: bool = False,
    with_curve: bool = False,
    horizon: pd.Timedelta | None = None,
    keep_reserves: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> BufferReport:
    """The buffer that ``file`` asks for; see :func:`scenarios_of`, :func:`size_buffer`, :func:`cvar_buffer`.

    Raises:
        As these do.
    """
    candidates, own = read_candidates(file.sections.get("buffer"), book), read_own(file.sections.get("of_own"))
    base, scenarios = scenarios_of(book, file, stress, count=count, seed=seed)
    needs = Needs(
        base,
        scenarios,
        candidates,
        horizon=horizon,
        keep_reserves=keep_reserves,
        instead_of=own,
        progress=progress,
    )
    if count is None:
        needs = needs.named(list(file.stresses) if stress is None else [stress])
    if cvar:
        plan = cvar_buffer(base, needs, candidates, share, seconds=seconds, progress=progress)
    else:
        plan = size_buffer(base, needs, candidates, share, aim, seconds=seconds, progress=progress)
    need: Floats = needs.all_least(np.ones(len(candidates)), range(len(needs)))
    table = pd.DataFrame(
        {
            "scenario": needs.names,
            "need": np.where(np.isfinite(need), need, np.nan),
            "survived": [name not in set(plan.short) for name in needs.names],
            "lost": [name in set(plan.lost) for name in needs.names],
        }
    )
    drawn = curve(base, needs, candidates, aim=aim, seconds=seconds, progress=progress) if with_curve else None
    settings = book.settings
    as_of = settings.as_of.isoformat()
    return BufferReport(plan, candidates, table, drawn, settings.base_currency, as_of, book.digest, needs.narrowed)


def write_buffer(found: BufferReport, out: Path, *, force: bool = False) -> list[Path]:
    """Write ``buffer.json``, its tables and the curve to the folder ``out``, all or nothing; return their paths.

    Raises:
        UsageError: ``out`` is a file, or holds something and ``force`` is not set, or no earlier buffer.
    """
    plan = found.plan
    parts = pd.DataFrame(
        {
            "candidate": [c.name for c in found.candidates],
            "asset_id": [c.asset for c in found.candidates],
            "kind": ["line" if c.is_line else "holding" for c in found.candidates],
            "quantity": [plan.quantities[c.name] for c in found.candidates],
            "value": [plan.values[c.name] for c in found.candidates],
            "cost_bps": [c.cost_bps for c in found.candidates],
            "cost_a_year": [plan.values[c.name] * c.cost_bps / 10_000 for c in found.candidates],
        }
    )
    summary: dict[str, Any] = {
        "aim": plan.aim,
        "share": plan.share,
        "base_currency": found.currency,
        "value": round(plan.value, 2),
        "cost_a_year": round(plan.cost_a_year, 2),
        "bound": round(plan.bound, 2),
        "gap": float(f"{plan.gap:.3g}"),
        "scenarios": plan.scenarios,
        "survived": plan.survived,
        "lost": list(plan.lost),
        "limits_broken_today": found.narrowed,
        "rounds": plan.rounds,
    }
    formats_of = {"value": money_text, "cost_a_year": money_text, "need": money_text, "bound": money_text}
    tables = {"buffer": parts, "scenarios": found.scenarios}
    if found.curve is not None:
        formats_of |= {c.name: money_text for c in found.candidates}
        tables["curve"] = found.curve
    with staged_folder(out, force=force, marker=MARKER, ours=FILES) as staging:
        write_text(staging / MARKER, summary_text(summary))
        write_text(staging / "buffer.html", page(found))
        for name, table in tables.items():
            formats = {c: formats_of.get(c, _digits) for c in table.columns if table[c].dtype == np.float64}
            formats |= {"quantity": decimal_text} if name == "buffer" else {}
            write_text(staging / f"{name}.csv", csv_text(table, formats))
        written = sorted(path.name for path in staging.iterdir())
    return [out / name for name in written]


def page(found: BufferReport) -> str:
    """The plan as a page that needs no network: what scenarios need, with the line of the buffer, and the curve."""
    plan = found.plan
    needs = found.scenarios["need"].dropna().tolist()
    lines = found.scenarios.assign(outcome=np.where(found.scenarios["survived"], "survived", "short"))
    lines["outcome"] = lines["outcome"].mask(found.scenarios["lost"], "lost")
    cards = [
        ("Buffer", money(plan.value, 0), f"proven within {100 * plan.gap:.4f} %"),
        ("Cost a year", money(plan.cost_a_year, 0), _AIMS.get(plan.aim, plan.aim)),
        ("Survived", f"{plan.survived:,}", f"of {plan.scenarios:,} scenarios; {100 * plan.share:.6g} % were asked for"),
        ("Lost", f"{len(plan.lost):,}", "whatever the buffer has of these"),
    ]
    parts = [
        (
            c.name,
            f"{plan.quantities[c.name]:,.12g}",
            money(plan.values[c.name], 0),
            money(plan.values[c.name] * c.cost_bps / BASIS_POINTS, 0),
        )
        for c in found.candidates
    ]
    return rendered(
        "buffer.html",
        figures={
            "needs": distribution_figure(needs, found.currency, what="need", marks={"buffer": plan.value}),
            "curve": None if found.curve is None else _curve_figure(found.curve, found.currency),
        },
        lines=lines,
        columns=(("scenario", "scenario", "text"), ("need", "need", "money"), ("outcome", "outcome", "text")),
        total=None,  # what scenarios need is not needed at once
        summary={"as_of": found.as_of, "base_currency": found.currency, "book": found.book, "versions": {}},
        cards=cards,
        parts=parts,
        notes={"lines": beginning(len(lines), "scenarios")},
        tables={},
    )


def _curve_figure(table: pd.DataFrame, currency: str) -> Figure | None:
    """Cost a year against the share of scenarios survived."""
    known = table.dropna()
    if known.empty:
        return None
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": numbers(100 * known["share"]),
        "y": numbers(known["cost_a_year"]),
        "customdata": [[money(value, 0)] for value in known["value"].tolist()],
        "hovertemplate": "%{x} %: %{y:,.0f} a year, a buffer of %{customdata[0]}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "scenarios survived, %"}},
        "yaxis": axis("cost a year", currency),
        "showlegend": False,
    }
    drawn = figure([line], layout, "x")
    drawn["layout"]["xaxis"]["type"] = "linear"
    return drawn


def _digits(x: float) -> str:
    """Six significant digits, without exponent."""
    return decimal_text(float(f"{x:.6g}"))
