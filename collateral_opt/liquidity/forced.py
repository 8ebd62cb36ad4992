"""From a stress and its answer to a forced sale: what could be sold, and how the firm stands when it begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from collateral_opt.liquidity.projection import (
    Asked,
    as_holdings,
    book_of,
    made_calls,
    project,
    received,
    stressed,
)
from collateral_opt.liquidity.records import Projection
from collateral_opt.liquidity.spiral import (
    Case,
    Measure,
    Spiral,
    break_even_depth,
    impacts,
    in_place,
    outcomes,
    savers,
    spiral,
)
from collateral_opt.liquidity.stress import Stress, StressFile
from collateral_opt.optimiser import optimise
from collateral_opt.result import Result
from collateral_opt.scenarios.change import Change
from collateral_opt.scenarios.words import worded
from collateral_opt.session import solve_afresh
from eligibility_rules.scalars import problem
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
            raise problem("square_root is a model of its own", "", "Leave the other coefficients out")
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
    own_funds: Annotated[float, Field(allow_inf_nan=False)] | None = None
    haircut: Annotated[float, Field(ge=0, lt=1)] = 0.02
    impact: Coefficients = Coefficients()
    depth: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    volatility: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.6, 1.0, 1.6)

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
            f"  {', '.join(['liquidation', *map(str, e['loc'][:-1])])}: {worded(dict(e))}"
            for e in error.errors(include_url=False)
        ]
        raise UsageError("these terms of liquidation cannot be read:\n" + "\n".join(wrong)) from None


@dataclass(frozen=True)
class Sellable:
    """What could be sold, in base currency as the stress leaves it, and what not, with the reason."""

    positions: tuple[Position, ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Pledged:
    """How much of each asset is delivered as collateral: units, and what a unit of its value counts there."""

    units: Mapping[str, float]
    covers: Mapping[str, float]

    @classmethod
    def of(cls, book: Book, result: Result | None) -> _Pledged:
        """What ``posted`` says, less what ``result`` recalls, and what that delivers to calls and to facilities."""
        units: dict[str, float] = {}
        for asset, quantity in zip(book.posted["asset_id"], book.posted["quantity"].tolist(), strict=True):
            units[asset] = units.get(asset, 0.0) + quantity
        value: dict[str, float] = {}
        counted: dict[str, float] = {}
        if result is not None:
            taken = result.inventory["used"] - result.inventory["recalled"]
            for asset, quantity in zip(result.inventory["asset_id"], taken.tolist(), strict=True):
                units[asset] = units.get(asset, 0.0) + quantity
            lines = result.allocation[
                result.allocation["holding_id"].notna() & (result.allocation["action"] != "recall")
            ]
            given = result.financing[result.financing["holding_id"].notna()]
            for frame, worth in ((lines, "collateral_value"), (given, "proceeds")):
                for asset, full, counts in frame[["asset_id", "market_value", worth]].itertuples(index=False):
                    value[asset] = value.get(asset, 0.0) + full
                    counted[asset] = counted.get(asset, 0.0) + counts
        covers = {asset: counted[asset] / full for asset, full in value.items() if full > 0}
        return cls({asset: max(0.0, quantity) for asset, quantity in units.items()}, covers)


def sellable(book: Book, projection: Projection, result: Result | None = None) -> Sellable:
    """The positions of ``book`` that could be reduced under the stress, once it is answered by ``result``.

    Units are the position's quantity; where it states its market value alone they are units of its currency, and
    ``adv`` is then money a day. Of a long position without an agreement whose instrument is an asset of the book, only
    what is not delivered as collateral can be sold: to calls and to facilities (a facility of kind ``sale`` has sold it
    already), or posted before; several positions of one asset bear that in their order. Left out: no ``adv`` or
    ``daily_volatility``, ``illiquid``, or nothing left to sell.
    """
    pledged = _Pledged.of(book, result)
    still = dict(pledged.units)
    unit_values = dict(zip(book.assets["asset_id"], book.unit_values.tolist(), strict=True))
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
        asset, kept = str(row["instrument"]), 0.0
        if row["agreement_id"] is None and quantity > 0 and still.get(asset, 0.0) > 0:
            # a position without a quantity has units of its currency
            own = np.isfinite(row["quantity"]) and row["quantity"]
            each = 1.0 if own else unit_values[asset] / book.rates.get(str(row["currency"]), np.nan)
            kept = min(units, still[asset] * each)
            still[asset] -= kept / each
        free = units - kept if units - kept > 1e-9 * units else 0.0
        reason = (
            "illiquid"
            if row["illiquid"]
            else f"no {' and no '.join(missing)}"
            if missing
            else f"no rate of {row['currency']}"
            if not np.isfinite(rate)
            else "worth nothing under the stress"
            if not (units > 0 and abs(value) > 0)
            else "all of it is delivered as collateral"
            if not free
            else ""
        )
        if reason:
            left_out[name] = reason
            continue
        found.append(
            Position(
                position_id=name,
                units=float(np.sign(value)) * free,
                price=abs(value) * rate / units,
                initial_margin=0.0 if np.isnan(margin) else margin * rate,
                adv=float(row["adv"]),
                volatility=float(row["daily_volatility"]),
                turnover=float(row["turnover"]),
                spread_bps=float(row["spread_bps"]),
                margined=row["agreement_id"] is not None,
                pledged=kept,
                covers=pledged.covers.get(asset, 1.0),
            )
        )
    return Sellable(tuple(found), left_out)


def case_of(book: Book, projection: Projection, result: Result, own_funds: float | None = None) -> Case:
    """How the firm stands when the stress has been answered: what was called, and how much of it could be paid.

    ``book`` is the one before the stress, ``result`` the answer of ``projection.book``. Base currency: what there was
    before at the rates before, what there is after at those of the stress. What meets calls is the optimiser's answer;
    nothing is counted again here. Positions left out of a sale keep their margin and price. What others pay us meets
    calls where the stress counts it (``receipts: count``): what falls due too late for these arrives when the first
    sale settles. Where it does not count it never arrives, though it is not lost either.
    """
    required, lacking = (float(result.calls[column].sum()) for column in ("required", "shortfall"))
    before, after = positions_in_full(book), projection.positions
    rates = [before["currency"].map(one.rates).to_numpy(np.float64) for one in (book, projection.book)]
    margined = before["agreement_id"].notna().to_numpy(np.bool_)
    posted = np.nan_to_num(before["initial_margin"].to_numpy(np.float64)) * margined
    variation = float(np.nansum(after["variation_margin_call"].to_numpy(np.float64) * rates[1]))
    outright = [
        np.nan_to_num(np.where(margined, 0.0, column.to_numpy(np.float64)))
        for column in (before["market_value"], after["stressed_market_value"])
    ]
    beside = _beside(book, before)
    worth = [
        float((posted * rate).sum() + (values * rate).sum()) + _worth(one, beside)
        for one, rate, values in zip((book, projection.book), rates, outright, strict=True)
    ]
    return Case(
        positions=sellable(book, projection, result).positions,
        means=required - lacking,
        margin=float((posted * rates[1]).sum()),
        called=required,
        variation=variation,
        own_funds=worth[0] if own_funds is None else own_funds,
        loss=variation + worth[0] - worth[1],
        received=_variation_received(projection.receipts, projection.book),
        arriving=_arriving(book, projection, result),
    )


def _variation_received(receipts: pd.DataFrame, book: Book) -> float:
    """The variation margin in what is received; base currency."""
    return _in_base(receipts[receipts["margin_type"] == "vm"], book)


def _in_base(table: pd.DataFrame, book: Book) -> float:
    """The sum of ``amount``; base currency."""
    return float((table["amount"] * table["currency"].map(book.rates)).sum())


def _beside(book: Book, positions: pd.DataFrame) -> pd.Series[float]:
    """Units of each asset that are held, but for those that are positions too: they are counted as such."""
    quantity = book.holdings.groupby("asset_id")["quantity"].sum()
    unit = pd.Series(book.unit_values, index=book.assets["asset_id"])
    own = positions[positions["agreement_id"].isna() & positions["instrument"].isin(quantity.index)]
    stated = own["quantity"].where(own["quantity"] != 0)
    by_value = own["market_value"] * own["currency"].map(book.rates).astype(np.float64) / own["instrument"].map(unit)
    long = stated.fillna(by_value).clip(lower=0.0).groupby(own["instrument"]).sum()
    return (quantity - long.reindex(quantity.index).fillna(0.0)).clip(lower=0.0)


def _worth(book: Book, units: pd.Series[float]) -> float:
    """The value of so many units of assets in base currency; what has no price counts nothing."""
    unit = pd.Series(book.unit_values, index=book.assets["asset_id"])
    return float(np.nansum(units.to_numpy(np.float64) * units.index.map(unit.to_dict()).to_numpy(np.float64)))


def _arriving(book: Book, projection: Projection, result: Result) -> float:
    """What is received, counts, and comes too late for every call that is short; base currency."""
    under, short = projection.book, result.calls.loc[result.calls["shortfall"] > 0, "call_id"]
    last = under.calls.loc[under.calls["call_id"].isin(short), "due"].max()
    if pd.isna(last):
        return 0.0
    left = dict(zip(result.inventory["holding_id"], result.inventory["left"], strict=True))
    unit = dict(zip(under.assets["asset_id"], under.unit_values.tolist(), strict=True))
    # receipts stand below the holdings of the book
    more = under.holdings[~under.holdings["holding_id"].isin(book.holdings["holding_id"])]
    late = more[more["holding_id"].str.startswith("receipt ") & (more["ready_at"] > last)]
    return float(
        sum(left[name] * unit[asset] for name, asset in late[["holding_id", "asset_id"]].itertuples(index=False))
    )


class Hedges:
    """Cases with a hedge in place: margin is netted and called with it, agreement by agreement, and answered again.

    Futures take their share of each variation margin, and of each change of initial margin. Puts take it where
    variation margin is to be paid; ``put_netted`` of changes of initial margin too. What the hedged calls leave short
    is by the linear program, whole lots aside.
    """

    def __init__(self, book: Book, projection: Projection, file: StressFile, case: Case) -> None:
        self.case, self.under = case, stressed(book, file.stress(projection.name), file)
        desk, kept = self.under.desk, self.under.kept
        cash = set(desk.book.assets.loc[desk.book.assets["asset_type"] == "cash", "currency"])
        counts = file.receipts == "count"
        self.legs = desk.legs_of(self.under.margins.added)
        every = [Asked(leg, 1.0, float(counts and leg.currency in cash)) for leg in self.legs]
        made, counted = made_calls(desk.book, every, kept), as_holdings(desk.book, every)
        # every call and receipt that there can be, so that a share changes figures alone
        self.book = book_of(desk.book, kept, made, counted)
        self.kept = _in_base(kept, desk.book)
        self.calls, names = list(made["call_id"]), iter(counted["holding_id"])
        self.receipts = [next(names) if one.receive else None for one in every]
        self._found: dict[tuple[str, float], Case] = {}

    def __call__(self, measure: Measure, share: float) -> Case:
        """The case with ``share`` of every margined position hedged by ``measure``."""
        if share == 0:
            return self.case
        # however the freed margin is used, the calls are the same
        kind: Measure = "short" if measure == "short_unfreed" else measure
        if (kind, share) not in self._found:
            self._found[kind, share] = self._anew(kind, 1 - share)
        return in_place(self._found[kind, share], self.case, measure, share)

    def _anew(self, measure: Measure, keep: float) -> Case:
        case, margins, desk = self.case, self.under.margins, self.under.desk
        of_initial = 1.0 if measure == "put" else keep
        margins = replace(
            margins,
            variation=margins.variation * np.where((margins.variation > 0) | (measure == "short"), keep, 1.0),
            initial=margins.initial_before + margins.more_initial * of_initial,
            added={name: amount * of_initial for name, amount in margins.added.items()},
        )
        some = {one.leg.call_id: one for one in desk.legs(margins)}
        asked = [some.get(leg.call_id, Asked(leg, 0.0, 0.0)) for leg in self.legs]
        change = Change(
            calls={name: one.pay for name, one in zip(self.calls, asked, strict=True)},
            quantities={name: one.receive for name, one in zip(self.receipts, asked, strict=True) if name is not None},
        )
        variation = float(np.nansum(margins.variation * desk.rate))
        called = self.kept + sum(one.pay * desk.book.rates[one.leg.currency] for one in asked)
        return replace(
            case,
            means=max(0.0, called - solve_afresh(self.book, change).total_shortfall),
            called=called,
            variation=variation,
            loss=case.lost - case.variation + variation,
            received=_variation_received(received(asked), desk.book),
            # what fell due too late for a call falls due too late for it still, and there is no more of it
            arriving=case.arriving if measure in ("put", "put_netted") else case.arriving * keep,
        )


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
            "received_later": case.arriving,
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
            "pledged": {p.position_id: p.pledged for p in case.positions if p.pledged > 0},
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
    return simulated(book, projection, result, file, terms, progress=progress)


def simulated(
    book: Book,
    projection: Projection,
    result: Result,
    file: StressFile,
    terms: Terms,
    *,
    progress: Callable[[str], None] | None = None,
) -> ForcedSale:
    """The forced sale that follows an answer ``result`` of a ``projection`` of a stress of ``file``."""
    case = case_of(book, projection, result, terms.own_funds)
    left_out = sellable(book, projection, result).left_out
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
    lacking = max(0.0, case.unmet - case.arriving)
    plan = (
        schedule(case.positions, lacking, terms.periods, terms.schedule_model, participation=terms.participation)
        if lacking > 0 and case.positions
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
        savers=savers(
            case,
            impact,
            terms.mode,
            haircut=terms.haircut,
            hedged=Hedges(book, projection, file, case),
            **course,
        ),
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
