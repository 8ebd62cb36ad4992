"""The file of stresses: what each does to positions, margin, terms and collateral, and when its calls fall due.

``docs/stress.md`` lists the keys. Everything that cannot be read is reported at once.

>>> file = StressFile.from_mapping({"stresses": {"fall": {"shocks": [{"of": "equity", "value": "-20%"}]}}})
>>> file.stresses["fall"].shocks[0].share
Fraction(-1, 5)
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from collateral_opt.book.positions import is_rating
from collateral_opt.book.tables import hint
from collateral_opt.errors import UsageError
from collateral_opt.requirement import read_exposures
from collateral_opt.scenarios.figure import Assets, DueMove, Figure, read_figure, read_plain
from collateral_opt.scenarios.kinds import BookChange
from collateral_opt.scenarios.words import read_changes, read_yaml, sentences, worded
from eligibility_rules.scalars import PROBLEM, problem, shown, text_of
from eligibility_rules.vocabulary import Frozen, Text, leaf_columns, leaves

US = "us"
"""The firm itself, below ``ratings`` and ``downgrade``; a counterparty stands there by its agreement."""
SECTIONS = (
    "order", "approvals", "generator", "links", "response", "directions", "buffer", "of_own", "liquidation", "spiral",
    "strategies",
)  # fmt: skip
"""Keys of the file that other commands of ``stress`` read; here they go through as they are written."""


def _read_share(raw: object) -> Figure:
    figure = read_figure(raw)
    if figure.how != "percent":
        remedy = "Write -20% or +5%; a stressed value itself goes below values"
        raise problem(f"{text_of(raw)} is no relative move", raw, remedy)
    if figure.amount < -100:
        raise problem(f"{text_of(raw)} would take a price through zero", raw, "Write -100% at most")
    return figure


def _read_rating(raw: object) -> str:
    text = text_of(raw)
    if not is_rating(text):
        raise problem(f"{text} is no rating of the scale", raw, "Write letters such as A or BBB+")
    return text


Share = Annotated[Figure, BeforeValidator(_read_share)]
Plain = Annotated[Fraction, BeforeValidator(read_plain)]
Notches = Annotated[int, Field(ge=1, le=21)]


class Shock(Frozen):
    """A relative move of what is ``of`` a class or criterion, or a factor's move ``by`` so much."""

    of: Assets | None = None
    value: Share | None = None
    on: Literal["positions", "collateral", "both"] = "positions"
    factor: Text | None = None
    by: Plain | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        by_class, by_factor = (self.of, self.value), (self.factor, self.by)
        if (None in by_class) == (None in by_factor) or any(
            part is not None for part in (by_factor if None not in by_class else by_class)
        ):
            raise problem("a shock is either of a class or of a factor", "", "Write {of, value} or {factor, by}")
        if self.factor is not None and self.on != "positions":
            raise problem("a factor moves positions only", "", "Take `on` out, or write {of, value}")
        return self

    @property
    def share(self) -> Fraction:
        """The relative move; 0 of a factor's."""
        return self.value.amount / 100 if self.value is not None else Fraction(0)

    @property
    def is_own(self) -> bool:
        """Whether it names single positions or instruments, whose ``beta`` then plays no part."""
        if self.of is None or self.of.criterion is None:
            return False
        named = {column for leaf in leaves(self.of.criterion) for column in leaf_columns(leaf)}
        return bool(named) and named <= {"position_id", "instrument", "asset_id"}


class MarginMove(Frozen):
    """The initial margin of positions: times ``multiplier``, then plus ``add``; or ``to`` a figure.

    With ``agreement`` instead of ``of``: ``add``, asked for by the agreement and by no position of it.
    """

    of: Assets | None = None
    agreement: Text | None = None
    multiplier: Plain | None = None
    add: Plain | None = None
    to: Plain | None = None

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        if (self.of is None) == (self.agreement is None):
            raise problem("initial_margin needs one of of and agreement", "", "Write {of: ..., multiplier: 1.2}")
        how = [name for name in ("multiplier", "add", "to") if getattr(self, name) is not None]
        if not how or ("to" in how and len(how) > 1) or (self.agreement is not None and how != ["add"]):
            allowed = "add" if self.agreement is not None else "multiplier and add, or to"
            raise problem(f"initial_margin has {' and '.join(how) or 'no figure'}", "", f"Write {allowed}")
        if min(self.multiplier or 0, self.to or 0) < 0:
            raise problem("initial margin would be below zero", "", "Write 0 or more")
        return self


class Stress(Frozen):
    """One stress; see the module. ``book``: changes to the book, as in what-ifs."""

    name: str
    shocks: tuple[Shock, ...] = ()
    revalue: Text | None = None
    values: Mapping[str, Plain] = {}
    variation_margin: Mapping[str, Plain] = {}
    initial_margin: tuple[MarginMove, ...] = ()
    downgrade: Mapping[str, Annotated[Notches, BeforeValidator(lambda raw: _count(raw))]] = {}
    due: Mapping[str, DueMove] = {}
    book: tuple[SerializeAsAny[BookChange], ...] = ()

    @model_validator(mode="after")
    def _names_each_factor_once(self) -> Self:
        factors = [shock.factor for shock in self.shocks if shock.factor is not None]
        for factor in factors:
            if factors.count(factor) > 1:
                raise problem(f"the factor {factor} moves twice", factor, "Write its whole move in one line")
        return self


def _count(raw: object) -> object:
    return int(raw) if isinstance(raw, str) and raw.strip().isdecimal() else raw


class StressFile(Frozen):
    """A file of stresses, and what all of them share.

    Attributes:
        stresses: by name, in the file's order.
        exposures: where agreements with thresholds stand today, a row an agreement and margin type (the columns of
            ``docs/requirement.md``, as text), or None.
        ratings: letters of the firm (``us``) and of counterparties by agreement.
        calls: whether the book's own calls are due beside the stress's.
        receipts: whether what flows to us is there to be used.
        folder: paths in the file are relative to it.
        files: what is read besides, by this file's word.
        sections: the keys in :data:`SECTIONS` that are there, as written.
    """

    stresses: Mapping[str, Stress]
    exposures: pd.DataFrame | None = None
    ratings: Mapping[str, Annotated[str, BeforeValidator(_read_rating)]] = {}
    calls: Literal["keep", "replace"] = "keep"
    receipts: Literal["ignore", "count"] = "ignore"
    folder: Path = Path()
    files: tuple[Path, ...] = ()
    sections: Mapping[str, Any] = {}

    @classmethod
    def from_mapping(cls, form: Mapping[str, object], folder: str | Path = ".") -> StressFile:
        """The file that holds ``form``. Raises UsageError with everything wrong; BookError for the exposures."""
        wrong: list[str] = []
        file = cls._of(form, Path(folder), wrong)
        if file is None:
            raise UsageError(_told("these stresses cannot be read", wrong))
        return file

    @classmethod
    def _of(cls, form: object, folder: Path, wrong: list[str]) -> StressFile | None:
        """The file, or None with what is wrong added to ``wrong``."""
        if not isinstance(form, Mapping):
            wrong.append("there is no stress in it. Write `stresses:` and below it `NAME:` with what happens.")
            return None
        known = [name for name in cls.model_fields if name not in ("folder", "files", "sections")]
        for key in form:
            if key not in (*known, *SECTIONS):
                guess = hint(str(key), (*known, *SECTIONS)) or f"The keys are {', '.join((*known, *SECTIONS))}. "
                wrong.append(f"{key} is not known here. {guess}".rstrip())
        named = form.get("stresses")
        if not isinstance(named, Mapping) or not named:
            wrong.append("there is no stress in it. Write `stresses:` and below it `NAME:` with what happens.")
            named = {}
        data: dict[str, Any] = {key: form[key] for key in known if key in form and key != "exposures"}
        data["stresses"] = {str(name): _form(str(name), one, wrong) for name, one in named.items()}
        sections = {key: form[key] for key in SECTIONS if key in form}
        history = sections["generator"].get("file") if isinstance(sections.get("generator"), Mapping) else None
        files = tuple(folder / name for name in (form.get("exposures"), history) if isinstance(name, str))
        data |= {"folder": folder, "files": files, "sections": sections}
        try:
            file = cls.model_validate(data)
        except ValidationError as error:
            wrong += [_placed(detail) for detail in error.errors(include_url=False)]
            return None
        if wrong:
            return None
        path = form.get("exposures")
        if isinstance(path, str):
            if not (folder / path).is_file():
                wrong.append(
                    f"exposures: {folder / path} is no file. Correct the path, which is relative to this file."
                )
                return None
            path = read_exposures(folder / path)
        elif path is not None and not isinstance(path, pd.DataFrame):
            wrong.append(f"exposures: {shown(path)} is no file. Write its path, such as exposures.csv.")
            return None
        return file.model_copy(update={"exposures": path})

    def stress(self, name: str | None = None) -> Stress:
        """The stress of that name; without one, the only one there is. Raises UsageError."""
        if name is None and len(self.stresses) == 1:
            return next(iter(self.stresses.values()))
        if name is None or name not in self.stresses:
            said = "there is more than one stress" if name is None else f"there is no stress {name!r}"
            guess = hint(name, self.stresses) if name is not None else ""
            raise UsageError(f"{said}. {guess}The stresses are {', '.join(self.stresses)}.")
        return self.stresses[name]


def read_stresses(path: str | Path) -> StressFile:
    """The stresses of a YAML file.

    Raises:
        UsageError: the file cannot be read, or something in it: all of it at once.
        BookError: the table of exposures it names has an error.
    """
    file = Path(path)
    wrong: list[str] = []
    data = read_yaml(file, wrong)
    read = StressFile._of(data, file.parent, wrong)
    if read is None or wrong:
        raise UsageError(_told(f"{file}: these stresses cannot be read", wrong))
    return read


def _form(name: str, raw: object, wrong: list[str]) -> object:
    """A stress's mapping with its changes to the book read."""
    if not isinstance(raw, Mapping):
        said = "says nothing" if raw in (None, "") else f"is {shown(raw)}, which says nothing"
        wrong.append(f"{name}: {said}. Write below it shocks, values, initial_margin, downgrade, due or book.")
        return {"name": name}
    form = {**raw, "name": name}
    if "book" in form:
        form["book"] = read_changes(form["book"], f"{name}, ", wrong)
    return form


def _placed(detail: Any) -> str:
    """One of pydantic's errors, after the place in the file where it stands."""
    ours = detail["type"] == PROBLEM
    loc = [part for part in detail["loc"] if part != "stresses"]
    place = loc if ours else loc[:-1]
    named = ", ".join(f"line {part + 1}" if isinstance(part, int) else str(part) for part in place)
    said = sentences(detail["ctx"]) if ours else worded(detail)
    return f"{named}: {said}" if named else said


def _told(head: str, wrong: list[str]) -> str:
    return f"{head}:\n" + "\n".join(f"  {text}" for text in dict.fromkeys(wrong))
