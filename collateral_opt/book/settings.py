"""The settings of a book: as of when, in which currency, and how far the optimiser may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import Finding
from . import cells
from .cells import Kind
from .codes import finding
from .tables import Currency, hint, kind, refusal


def _from_text(value: object) -> object:
    return cells.READ[Kind.TIME](value)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Settings(BaseModel):
    """Settings of one run; frozen. Times carry their offset, money is in ``base_currency``.

    >>> Settings(as_of="2026-03-31T09:00:00+02:00", base_currency="EUR").horizon_days
    1.0
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    as_of: Annotated[AwareDatetime, BeforeValidator(_from_text), Kind.TIME]
    base_currency: Currency
    horizon_days: Annotated[float, Field(gt=0, allow_inf_nan=False), Kind.NUMBER] = 1.0
    day_count: Annotated[float, Field(gt=0, allow_inf_nan=False), Kind.NUMBER] = 360.0
    scope: Annotated[Literal["calls", "reoptimise"], Kind.TEXT] = "calls"
    mip_gap: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), Kind.NUMBER] = 1e-4
    time_limit_s: Annotated[float | None, Field(gt=0, allow_inf_nan=False), Kind.NUMBER] = None
    owner_parent: Annotated[str | None, Kind.TEXT] = None
    max_moves: Annotated[int | None, Field(ge=0), BeforeValidator(_whole), Kind.NUMBER] = None
    min_saving_per_move: Annotated[float, Field(ge=0, allow_inf_nan=False), Kind.NUMBER] = 0.0


def read_settings(data: Mapping[str, object] | Settings | None) -> tuple[Settings | None, list[Finding]]:
    """The settings, and everything wrong with them.

    Values may be text, as a file holds them, or Python's own. None comes back where ``as_of`` or
    ``base_currency`` cannot be read; any other setting that is wrong stands at its default, so that the
    checks can go on.
    """
    if isinstance(data, Settings):
        return data, []
    if data is None:
        return None, [finding("E701", "settings")]
    if not isinstance(data, Mapping):
        return None, [finding("E705", "settings", value=type(data).__name__)]
    found: list[Finding] = []
    values: dict[str, Any] = {}
    written: dict[str, object] = {}
    for key, raw in data.items():
        column = str(key).strip()
        info = Settings.model_fields.get(column)
        if info is None:
            options = list(Settings.model_fields)
            found.append(
                finding("E703", "settings", column=column, choices=", ".join(options), hint=hint(column, options))
            )
            continue
        (value,) = cells.plain(pd.Series([raw], dtype=object))
        if value is None:
            continue
        read = cells.READ.get(kind(info))
        values[column] = read(value) if read else value
        written[column] = value
    try:
        return Settings(**values), found
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            column = str(detail["loc"][0])
            info = Settings.model_fields[column]
            found.append(refusal("settings", None, column, info, detail, written.get(column)))
            values.pop(column, None)
    if "as_of" not in values or "base_currency" not in values:
        return None, found
    return Settings(**values), found
