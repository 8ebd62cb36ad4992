"""Risk factors: how their moves are drawn, and what they do to positions, margin, collateral and facilities.

The moves of scenario ``i`` depend on the seed and on ``i`` alone, so that any part of them can be drawn by itself,
anywhere, to the same last digit.

>>> generator = read_generator({"seed": 7, "factors": {"equities": {"volatility": 0.015}}})
>>> moves = draw(generator, 0, 1_000)
>>> moves.shape, bool((draw(generator, 990, 10) == moves[990:]).all())
((1000, 1), True)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from collateral_opt.book.tables import hint
from collateral_opt.errors import UsageError
from collateral_opt.network.network import Floats
from collateral_opt.scenarios.figure import Assets
from collateral_opt.scenarios.words import worded
from eligibility_rules.scalars import problem
from eligibility_rules.vocabulary import Frozen, Text, leaf_columns, leaves

SYMMETRIC = 1e-9
"""What two entries of a correlation that stand for one may differ by."""
MOST_TOLD = 20
"""Of what is wrong with a file of moves."""
LOWEST = -0.99
"""No relative move takes more than this away."""


def _finite(**kwargs: Any) -> Any:
    return Field(allow_inf_nan=False, **kwargs)


Positive = Annotated[float, _finite(gt=0)]
Number = Annotated[float, _finite()]


@dataclass(frozen=True, eq=False)
class Generator:
    """Draws moves of ``names`` over ``horizon_days`` days.

    ``volatility`` [factors] is a day's, ``correlation`` [factors x factors] and ``root`` its lower Cholesky factor;
    ``degrees`` are those of Student's t (None: normal). With ``history`` [days x factors], runs of ``horizon_days``
    consecutive days of it are drawn with replacement instead: relative moves compound, those of ``absolute`` [factors]
    add up.
    """

    names: tuple[str, ...]
    seed: int
    horizon_days: int
    degrees: float | None
    volatility: Floats
    correlation: Floats
    root: Floats
    history: Floats | None = None
    absolute: tuple[bool, ...] = ()

    @property
    def sigma(self) -> Floats:
        """The standard deviation of each factor over the horizon."""
        scaled: Floats = self.volatility * np.sqrt(self.horizon_days)
        return scaled

    @property
    def digest(self) -> str:
        """SHA-256 over all that the moves depend on."""
        head = json.dumps([self.names, self.seed, self.horizon_days, self.degrees, self.absolute])
        parts = [self.volatility, self.correlation] if self.history is None else [self.history]
        return hashlib.sha256(head.encode() + b"".join(part.tobytes() for part in parts)).hexdigest()


def draw(generator: Generator, first: int, count: int) -> Floats:
    """Moves [count x factors] of the scenarios ``first`` to ``first + count - 1``: relative, or in the factor's unit.

    Student's t is scaled to the stated volatilities: ``x = sigma sqrt(h) sqrt((nu-2)/nu) L z / sqrt(W/nu)``, with ``z``
    standard normal and one ``W``, chi-squared with ``nu`` degrees, for all factors of a scenario: large moves come
    together. Scenario ``i`` is drawn by Philox (key: the seed; counter: ``i``).
    """
    found = np.empty((count, len(generator.names)))
    scale = generator.sigma
    for at in range(count):
        rng = np.random.Generator(np.random.Philox(key=generator.seed, counter=[0, 0, 0, first + at]))
        if generator.history is not None:
            days = generator.horizon_days
            start = int(rng.integers(0, len(generator.history) - days + 1))
            drawn = generator.history[start : start + days]
            # One day is what the file says, to the last digit.
            compounded = drawn[0] if days == 1 else np.prod(1 + drawn, axis=0) - 1
            found[at] = np.where(list(generator.absolute) or False, np.sum(drawn, axis=0), compounded)
            continue
        # Written out: a library's product may round by the number of its threads.
        normal = np.sum(generator.root * rng.standard_normal(len(scale)), axis=1)
        if generator.degrees is not None:
            normal *= np.sqrt((generator.degrees - 2) / rng.chisquare(generator.degrees))
        found[at] = scale * normal
    return found


class _Factor(Frozen):
    volatility: Positive


class _Form(Frozen):
    kind: Literal["student_t", "normal", "history"] = "student_t"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    horizon_days: Annotated[int, Field(ge=1, le=365)] = 1
    degrees: Annotated[float, _finite(gt=2, le=1e6)] | None = None
    factors: dict[Text, _Factor] | None = None
    correlation: list[list[Number]] | None = None
    file: Text | None = None
    absolute: list[Text] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        drawn, of_history = ("factors", "correlation", "degrees"), ("file", "absolute")
        unfit = of_history if self.kind != "history" else drawn
        wrong = [name for name in unfit if getattr(self, name) is not None]
        if self.kind == "normal" and self.degrees is not None:
            wrong.append("degrees")
        if wrong:
            raise problem(f"{' and '.join(wrong)} say nothing to the kind {self.kind}", "", "Take them out")
        needed = "file" if self.kind == "history" else "factors"
        if not getattr(self, needed):
            remedy = "Write file: history.csv" if needed == "file" else "Write factors: {equities: {volatility: 0.015}}"
            raise problem(f"the generator names no {needed}", "", remedy)
        return self


def read_generator(form: object, folder: str | Path = ".") -> Generator:
    """The generator that a mapping describes; ``file`` is relative to ``folder``.

    Raises:
        UsageError: it cannot be read, its correlation is none, or its file has no such moves.
    """
    read = _read(_Form, form, "generator")
    if read.kind == "history":
        names, history = _history(Path(folder) / str(read.file), read.horizon_days, read.absolute or ())
        absolute = tuple(name in (read.absolute or ()) for name in names)
        volatility = np.std(history, axis=0, ddof=1)
        still = [name for name, moves in zip(names, volatility.tolist(), strict=True) if moves <= 0]
        if still:
            raise UsageError(f"generator: {', '.join(still)} never moves in {read.file}. Take the column out.")
        correlation = np.atleast_2d(np.corrcoef(history, rowvar=False))
        root = np.eye(len(names))
        return Generator(names, read.seed, read.horizon_days, None, volatility, correlation, root, history, absolute)
    factors = read.factors or {}
    names = tuple(factors)
    volatility = np.array([factor.volatility for factor in factors.values()])
    correlation = _correlation(read.correlation, len(names))
    least = float(np.min(np.linalg.eigvalsh(correlation)))
    if least <= 0:
        raise UsageError(
            f"generator: the correlation is not positive definite: its least eigenvalue is {least:.4g}. "
            "No factors can be correlated so; bring the correlations nearer to 0."
        )
    degrees = (read.degrees or 5.0) if read.kind == "student_t" else None
    return Generator(names, read.seed, read.horizon_days, degrees, volatility, correlation, _cholesky(correlation))


def _correlation(rows: Sequence[Sequence[float]] | None, count: int) -> Floats:
    if rows is None:
        return np.eye(count)
    if len(rows) != count or any(len(row) != count for row in rows):
        raise UsageError(f"generator: the correlation needs {count} rows of {count} figures, in the factors' order.")
    matrix = np.array(rows, dtype=np.float64)
    if np.max(np.abs(matrix - matrix.T)) > SYMMETRIC or np.max(np.abs(np.diag(matrix) - 1)) > SYMMETRIC:
        raise UsageError("generator: a correlation is symmetric and has 1 on its diagonal. Correct the rows.")
    return (matrix + matrix.T) / 2


def _cholesky(matrix: Floats) -> Floats:
    """The lower root of a positive definite matrix, to the same last digit on every machine."""
    root = np.zeros_like(matrix)
    for i in range(len(matrix)):
        for j in range(i + 1):
            left = float(matrix[i, j]) - sum(float(a) * float(b) for a, b in zip(root[i, :j], root[j, :j], strict=True))
            root[i, j] = max(left, 0.0) ** 0.5 if i == j else left / float(root[j, j])
    return root


def _history(path: Path, days: int, absolute: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
    """The factors and moves [days x factors] of a CSV with a ``date`` and a column of moves a factor: relative ones,
    but for the ``absolute`` factors, which move in their own unit."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path}: cannot be read: {said}. Check the name and that it is a CSV.") from None
    names = tuple(str(name) for name in frame.columns if name != "date")
    if "date" not in frame.columns or not names:
        raise UsageError(f"{path}: needs a column date and a column of relative moves for each factor.")
    for name in absolute:
        if name not in names:
            raise UsageError(f"generator, absolute: {path} has no column {name}. {hint(name, names)}".rstrip())
    moves = frame[list(names)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    wrong = []
    floor = np.array([-np.inf if name in absolute else -1.0 for name in names])
    for row, name in zip(*np.nonzero(~(np.isfinite(moves) & (moves > floor))), strict=True):
        cell = frame[names[name]].iloc[row] or "empty"
        what, remedy = ("move", "Write a number") if floor[name] < -1 else ("relative move", "Write a number above -1")
        wrong.append(f"{path}, row {row + 2}, {names[name]}: {cell} is no {what}. {remedy}, such as -0.012.")
    days_known = pd.to_datetime(frame["date"], format="ISO8601", errors="coerce")
    for row in np.flatnonzero(days_known.isna()):
        cell = frame["date"].iloc[row] or "empty"
        wrong.append(f"{path}, row {row + 2}, date: {cell} is no day. Write it as 2026-03-24.")
    for row in np.flatnonzero(days_known.notna() & days_known.duplicated()):
        wrong.append(f"{path}, row {row + 2}, date: {frame['date'].iloc[row]} is there already. Keep one of the rows.")
    if wrong:
        raise UsageError("\n".join(wrong[:MOST_TOLD]))
    moves = moves[np.argsort(days_known.to_numpy(), kind="stable")]
    if len(moves) < max(2, days):
        raise UsageError(f"{path}: has {len(moves)} days; a horizon of {days} needs {max(2, days)} or more.")
    return names, moves


# -------------------- what moves do


class Link(Frozen):
    """What is ``of`` a class or criterion moves by ``beta`` times the factor's move, relative to its value or price."""

    of: Assets
    factor: Text
    beta: Number = 1.0
    on: Literal["positions", "collateral", "both"] = "both"

    @property
    def is_own(self) -> bool:
        """Whether it names single positions or instruments, whose own ``beta`` then plays no part."""
        if self.of.criterion is None:
            return False
        named = {column for leaf in leaves(self.of.criterion) for column in leaf_columns(leaf)}
        return bool(named) and named <= {"position_id", "instrument", "asset_id"}


class Response(Frozen):
    """What happens as a factor moves by more than ``beyond`` standard deviations of the horizon, either way.

    The initial margin of what ``initial_margin`` names is multiplied by ``1 + slope * (|x|/sigma - beyond)``; a
    ``facility`` keeps the share ``keep`` of its capacity.
    """

    factor: Text
    beyond: Annotated[float, _finite(ge=0)] = 0.0
    initial_margin: Assets | None = None
    slope: Annotated[float, _finite(ge=0)] | None = None
    facility: Text | None = None
    keep: Annotated[float, _finite(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        pairs = (self.initial_margin, self.slope), (self.facility, self.keep)
        whole = [None not in pair for pair in pairs]
        empty = [pair == (None, None) for pair in pairs]
        if whole not in ([True, False], [False, True]) or not any(empty):
            remedy = "Write {initial_margin, factor, beyond, slope} or {facility, factor, beyond, keep}"
            raise problem("a response is neither of initial margin nor of a facility", "", remedy)
        return self


def read_links(form: object) -> tuple[Link, ...]:
    """The links of a list of mappings; raises :class:`UsageError`."""
    links: tuple[Link, ...] = _read(tuple[Link, ...], form, "links")
    return links


def read_responses(form: object) -> tuple[Response, ...]:
    """The responses of a list of mappings; raises :class:`UsageError`."""
    responses: tuple[Response, ...] = _read(tuple[Response, ...], form, "response")
    return responses


def _read(model: Any, form: object, section: str) -> Any:
    try:
        return TypeAdapter(model).validate_python(form)
    except ValidationError as error:
        said = []
        for detail in error.errors(include_url=False):
            place = [f"line {part + 1}" for part in detail["loc"][:1] if isinstance(part, int)]
            said.append(": ".join([*place, worded(detail).removeprefix("change: ")]))
        raise UsageError("\n".join(f"{section}: {text}" for text in dict.fromkeys(said))) from None


def require_factors(named: Mapping[str, str], generator: Generator) -> None:
    """Raise :class:`UsageError` for every factor in ``named`` (with who names it) that the generator does not have."""
    wrong = [
        f"{who} names the factor {name!r}, which the generator does not have. {hint(name, generator.names)}".rstrip()
        for name, who in named.items()
        if name not in generator.names
    ]
    if wrong:
        raise UsageError("\n".join(wrong))


def relative(moves: Floats, betas: Floats) -> Floats:
    """Relative moves [scenarios x things]: the sum over factors of beta times move, never below -99 %."""
    total = np.zeros((len(moves), len(betas)))
    for factor in np.flatnonzero(np.any(betas != 0, axis=0)).tolist():
        total += moves[:, factor, None] * betas[None, :, factor]
    return np.maximum(total, LOWEST)


def excess(moves: Floats, generator: Generator, response: Response) -> Floats:
    """By how many standard deviations the response's factor moves beyond what it starts at [scenarios]; or 0."""
    factor = generator.names.index(response.factor)
    return np.maximum(0.0, np.abs(moves[:, factor]) / float(generator.sigma[factor]) - response.beyond)


def length(generator: Generator, move: Floats) -> float:
    """The Mahalanobis length of a move [factors]: in standard deviations, correlations considered."""
    scaled = move / generator.sigma
    return float(np.sqrt(max(0.0, float(scaled @ np.linalg.solve(generator.correlation, scaled)))))


def read_moves(form: object, generator: Generator, where: str) -> Floats:
    """A move [factors] from a mapping of factors to figures, 0 where nothing is said; raises :class:`UsageError`."""
    if not isinstance(form, Mapping) or not form:
        raise UsageError(f"{where}: write the factors' moves, as in {{{generator.names[0]}: -0.3}}.")
    require_factors({str(name): where for name in form}, generator)
    move = np.zeros(len(generator.names))
    for name, text in form.items():
        try:
            figure = float(str(text).rstrip("%")) / (100 if str(text).endswith("%") else 1)
        except ValueError:
            figure = float("nan")
        if not isfinite(figure):
            raise UsageError(f"{where}: {name} is {text!r}, which is no move. Write -0.3 or -30%.")
        move[generator.names.index(str(name))] = figure
    if not move.any():
        raise UsageError(f"{where}: nothing moves. Write a move other than 0.")
    return move
