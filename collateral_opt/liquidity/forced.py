"""From a stress and its answer to a forced sale: what could be sold, and how the firm stands when it begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypedDict

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from collateral_opt.book import Book
from collateral_opt.book.positions import positions_in_full
from collateral_opt.errors import UsageError
from collateral_opt.liquidity.impact import PUBLISHED, Impact, PowerLaw, SquareRoot
from collateral_opt.liquidity.liquidate import Position, Schedule, schedule
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.spiral import Case, Spiral, break_even_depth, impacts, outcomes, savers, spiral
from collateral_opt.liquidity.stress import Stress, StressFile
from collateral_opt.optimiser import optimise
from collateral_opt.result import Result
from eligibility_rules.vocabulary import Frozen

Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Coefficients(Frozen):
    """``impact:`` of the file: those of the power law, or of the square root instead."""

    permanent: NotNegative = PUBLISHED.permanent
    temporary: NotNegative = PUBLISHED.temporary
    exponent: Share = PUBLISHED.exponent
    square_root: NotNegative | None = None

    @model_validator(mode="after")
    def _is_one_model(self) -> Self:
        if self.square_root is not None and len(self.model_fields_set) > 1:
            raise ValueError("square_root is a model of its own; leave the other coefficients out")
        return self

    @property
    def model(self) -> PowerLaw | SquareRoot:
        if self.square_root is not None:
            return SquareRoot(self.square_root)
        return PowerLaw(self.permanent, self.temporary, self.exponent)


class Terms(Frozen):
    """``liquidation:`` of a stress file.

    ``mode``: what follows a call that is not met. ``days``: of a close-out. ``participation``: the share of a day's
    volume that our own sales take at most. ``periods``: days that a schedule of sales may take. ``own_funds``: what the
    firm is worth before the stress (base currency; else its holdings, the margin it has posted, and what it holds
    without an agreement). ``haircut``: of the bonds that a buffer could be made of. ``depth`` and ``volatility``:
    multiples of adv and daily_volatility over which the outcome is shown.
    """

    mode: Literal["close_out", "reduce"] = "close_out"
    days: Annotated[int, Field(ge=1, le=250)] = 2
    participation: Share = 1.0
    periods: Annotated[int, Field(ge=1, le=60)] = 2
    own_funds: float | None = None
    haircut: Annotated[float, Field(ge=0, lt=1)] = 0.02
    impact: Coefficients = Coefficients()
    depth: tuple[Positive, ...] = (0.5, 1.0, 2.0)
    volatility: tuple[Positive, ...] = (0.6, 1.0, 1.6)

    @property
    def model(self) -> Impact:
        """The model of impact."""
        return self.impact.model

    @property
    def schedule_model(self) -> PowerLaw:
        """That of the schedule, which must be convex: the published power law instead of the square root."""
        model = self.impact.model
        return model if isinstance(model, PowerLaw) else PUBLISHED


def read_terms(section: object) -> Terms:
    """The ``liquidation`` of a stress file (None: all defaults). Raises UsageError with everything that is wrong."""
    if section is None:
        return Terms()
    if not isinstance(section, Mapping):
        raise UsageError("liquidation: says nothing. Write below it mode, days, participation or other terms.")
    try:
        return Terms.model_validate(dict(section))
    except ValidationError as error:
        wrong = [
            f"  {', '.join(['liquidation', *map(str, e['loc'])])}: {e['msg']} (it is {str(e['input'])[:60]})"
            for e in error.errors(include_url=False)
        ]
        raise UsageError("these terms of liquidation cannot be read:\n" + "\n".join(wrong)) from None


@dataclass(frozen=True)
class Sellable:
    """What could be sold, in base currency as the stress leaves it, and what not, with the reason."""

    positions: tuple[Position, ...]
    left_out: Mapping[str, str]


def sellable(book: Book, projection: Projection) -> Sellable:
    """The positions of ``book`` that could be reduced under the stress.

    Units are the position's quantity; where it states its market value alone they are units of its currency, and
    ``adv`` is then money a day. Left out: no ``adv`` or ``daily_volatility``, ``illiquid``, or nothing left to sell.
    """
    stated, stressed = positions_in_full(book), projection.positions
    if not len(stated):
        return Sellable((), {})
    rates = projection.book.rates
    found: list[Position] = []
    left_out: dict[str, str] = {}
    after = stressed.set_index("position_id")
    worth, margins = after["stressed_market_value"].to_dict(), after["stressed_initial_margin"].to_dict()
    for row in stated.to_dict("records"):
        name = str(row["position_id"])
        value, margin = float(worth[name]), float(margins[name])
        quantity = row["quantity"] if np.isfinite(row["quantity"]) and row["quantity"] else row["market_value"]
        units = abs(float(quantity))
        missing = [c for c in ("adv", "daily_volatility") if not np.isfinite(row[c])]
        rate = rates.get(str(row["currency"]), np.nan)
        reason = (
            "illiquid"
            if row["illiquid"]
            else f"no {' and no '.join(missing)}"
            if missing
            else f"no rate of {row['currency']}"
            if not np.isfinite(rate)
            else "worth nothing under the stress"
            if not (units > 0 and abs(value) > 0)
            else ""
        )
        if reason:
            left_out[name] = reason
            continue
        found.append(
            Position(
                position_id=name,
                units=float(np.sign(value)) * units,
                price=abs(value) * rate / units,
                initial_margin=0.0 if np.isnan(margin) else margin * rate,
                adv=float(row["adv"]),
                volatility=float(row["daily_volatility"]),
                turnover=float(row["turnover"]),
                spread_bps=float(row["spread_bps"]),
                margined=row["agreement_id"] is not None,
            )
        )
    return Sellable(tuple(found), left_out)


def case_of(book: Book, projection: Projection, result: Result, own_funds: float | None = None) -> Case:
    """How the firm stands when the stress has been answered: what was called, and how much of it could be paid.

    ``book`` is the one before the stress, ``result`` the answer of ``projection.book``. Base currency. What meets calls
    is the optimiser's answer; nothing is counted again here. Positions left out of a sale keep their margin and price.
    """
    before, after = positions_in_full(book), projection.positions
    rate = before["currency"].map(projection.book.rates).to_numpy(np.float64)
    margined = before["agreement_id"].notna().to_numpy(np.bool_)
    held = set(book.assets.loc[book.assets["asset_id"].isin(book.holdings["asset_id"]), "asset_id"])
    # what is a holding too is counted as such
    outright = ~margined & ~before["instrument"].isin(held).to_numpy(np.bool_)
    margin = float(np.nansum(np.where(margined, before["initial_margin"], 0.0) * rate))
    variation = float(np.nansum(after["variation_margin_call"].to_numpy(np.float64) * rate))
    got = projection.receipts[projection.receipts["margin_type"] == "vm"]
    received = float((got["amount"] * got["currency"].map(projection.book.rates)).sum())
    values = [
        float(np.nansum(np.where(outright, column.to_numpy(np.float64), 0.0) * rate))
        for column in (before["market_value"], after["stressed_market_value"])
    ]
    holdings = [_worth(book), _worth(projection.book.replace(holdings=book.holdings))]
    required = result.calls["required"].to_numpy(np.float64)
    lacking = result.calls["shortfall"].to_numpy(np.float64)
    return Case(
        positions=sellable(book, projection).positions,
        means=float((required - lacking).sum()),
        margin=margin,
        called=float(required.sum()),
        variation=variation,
        own_funds=holdings[0] + margin + values[0] if own_funds is None else own_funds,
        loss=variation + values[0] - values[1] + holdings[0] - holdings[1],
        received=received,
    )


def _worth(book: Book) -> float:
    """The value of the book's holdings in base currency; what has no price counts nothing."""
    unit = pd.Series(book.unit_values, index=book.assets["asset_id"])
    return float(np.nansum(book.holdings["quantity"].to_numpy(np.float64) * book.holdings["asset_id"].map(unit)))


@dataclass(frozen=True, eq=False)
class ForcedSale:
    """A stress that is not met, to its end.

    Attributes:
        name, currency: of the stress, and of all money here (the book's base currency).
        case: how the firm stood.
        terms: of the sale.
        left_out: positions that are not sold, and why.
        schedule: the cheapest sales that raise what is not met; None where nothing lacks or nothing can be sold.
        spiral: the simulated course.
        reduced: the course had we been left to reduce by ourselves; the same where ``mode`` is that.
        outcomes: the end over models, depths and volatilities.
        break_even: the multiple of all adv at which the firm is just solvent, or None.
        savers: the least of each measure that would have saved it.
        answer: the summary of the stressed book's result.
    """

    name: str
    currency: str
    case: Case
    terms: Terms
    left_out: Mapping[str, str]
    schedule: Schedule | None
    spiral: Spiral
    reduced: Spiral
    outcomes: pd.DataFrame
    break_even: float | None
    savers: pd.DataFrame
    answer: Mapping[str, Any]

    @property
    def summary(self) -> dict[str, Any]:
        """Its figures, as they are written."""
        case, plan = self.case, self.schedule
        return {
            "stress": self.name,
            "currency": self.currency,
            "impact": self.terms.model.name,
            "mode": self.terms.mode,
            "called": case.called,
            "variation_margin": case.variation_called,
            "means": case.means,
            "unmet": case.unmet,
            "margin_before": case.margin,
            "own_funds_before": case.own_funds,
            "own_funds_after_stress": case.own_funds - case.lost,
            "own_funds": self.spiral.own_funds,
            "outcome": self.spiral.outcome,
            "day": self.spiral.ends,
            "reduced_outcome": self.reduced.outcome,
            "reduced_day": self.reduced.ends,
            "break_even_depth": self.break_even,
            "schedule_cost": None if plan is None else plan.cost,
            "schedule_gap": None if plan is None else plan.gap,
            "schedule_unmet": None if plan is None else plan.unmet[-1],
            "left_out": dict(self.left_out),
        }


class _Course(TypedDict):
    days: int
    participation: float


def forced_sale(
    book: Book,
    stress: Stress,
    file: StressFile,
    *,
    solver: str = "highs",
    stop: threading.Event | None = None,
    progress: Callable[[str], None] | None = None,
) -> ForcedSale:
    """Project the stress, answer it, and take what cannot be met to its end.

    Raises:
        UsageError: the terms cannot be read, the stress does not fit the book, or a close-out must sell a margined
            position without ``adv`` or ``daily_volatility``.
        BookError, StoppedError, SolverError, CheckFailed: as :func:`~collateral_opt.optimiser.optimise`.
    """
    terms = read_terms(file.sections.get("liquidation"))
    projection = project(book, stress, file)
    result = optimise(projection.book, solver=solver, stop=stop, progress=progress)
    return simulated(book, projection, result, terms, progress=progress)


def simulated(
    book: Book,
    projection: Projection,
    result: Result,
    terms: Terms,
    *,
    progress: Callable[[str], None] | None = None,
) -> ForcedSale:
    """The forced sale that follows an answer."""
    case, left_out = case_of(book, projection, result, terms.own_funds), sellable(book, projection).left_out
    impact = terms.model
    course: _Course = {"days": terms.days, "participation": terms.participation}
    if case.unmet > 0:
        margined = set(book.positions.loc[book.positions["agreement_id"].notna(), "position_id"])
        unknown = sorted(name for name, reason in left_out.items() if name in margined and reason.startswith("no "))
        if unknown and terms.mode == "close_out":
            raise UsageError(
                f"a close-out sells every margined position, and its impact is not known for {', '.join(unknown)}. "
                "Give adv and daily_volatility in positions, or write mode: reduce."
            )
        if progress is not None:
            progress("forced sale, and what would have saved it")
    plan = (
        schedule(case.positions, case.unmet, terms.periods, terms.schedule_model, participation=terms.participation)
        if case.unmet > 0 and case.positions
        else None
    )
    end = spiral(case, impact, terms.mode, **course)
    return ForcedSale(
        name=projection.name,
        currency=str(book.settings.base_currency),
        case=case,
        terms=terms,
        left_out=left_out,
        schedule=plan,
        spiral=end,
        reduced=spiral(case, impact, "reduce", **course),
        outcomes=outcomes(
            case, terms.mode, depth=terms.depth, volatility=terms.volatility, models=impacts(impact), **course
        ),
        break_even=break_even_depth(case, impact, terms.mode, **course),
        savers=savers(case, impact, terms.mode, haircut=terms.haircut, **course),
        answer=result.summary,
    )


MARKER = "liquidation.json"
FILES = (
    MARKER, "schedule.csv", "ranking.csv", "days.csv", "prices.csv", "reduced.csv", "outcomes.csv", "savers.csv",
    "liquidation.html",
)  # fmt: skip
"""What is written, the first being that by which the folder is known."""


def write_forced_sale(found: ForcedSale, out: Path, *, force: bool = False) -> list[Path]:
    """Write its page, tables and summary to the folder ``out``, all or nothing, and return their paths.

    Raises:
        UsageError: ``out`` is a file, or holds something and ``force`` is not set, or no earlier ones of these.
    """
    from collateral_opt.io.write import csv_text, decimal_text, money_text, staged_folder, summary_text, write_text
    from collateral_opt.liquidity.liquidation_page import liquidation_html

    money = dict.fromkeys(
        ("sold", "loss", "released", "unpaid", "own_funds", "left", "unmet", "proceeds", "margin_released", "cost"),
        money_text,
    )
    tables = {
        "days": (found.spiral.days, money),
        "prices": (found.spiral.prices, {}),
        "reduced": (found.reduced.days, money),
        "outcomes": (found.outcomes, money),
        "savers": (found.savers, {}),
    }
    if found.schedule is not None:
        tables["schedule"] = (found.schedule.sales, money)
        tables["ranking"] = (found.schedule.ranking, {"sold": decimal_text})
    with staged_folder(out, force=force, marker=MARKER, ours=FILES) as staging:
        write_text(staging / MARKER, summary_text(found.summary))
        for name, (table, formats) in tables.items():
            rounded = {c: _ten_digits for c in table.columns if c not in formats and c != "day"}
            write_text(staging / f"{name}.csv", csv_text(table, {**rounded, **formats}))
        write_text(staging / "liquidation.html", liquidation_html(found))
        written = sorted(path.name for path in staging.iterdir())
    return [out / name for name in written]


def _ten_digits(x: float) -> str:
    """Ten significant digits, without exponent: what is found by bisection has no more."""
    from collateral_opt.io.write import decimal_text

    return decimal_text(float(f"{x:.10g}"))
