"""Answers one question of a desk: may this asset go there, at which haircut, and if not, why not?"""

from __future__ import annotations

from dataclasses import dataclass

from collateral_opt.book import Book
from collateral_opt.errors import UsageError
from eligibility_rules import Context, Reason, Schedule, ScheduleError, match
from eligibility_rules.naming import schedule_named


@dataclass(frozen=True)
class Answer:
    """What the schedule in force says of one asset; ``factor`` is 1 less the haircut, 0 where it is not
    eligible.

    ``wrong_way`` names the family that asset and counterparty share, which keeps the asset out.
    """

    asset_id: str
    schedule: str
    currency: str
    margin_type: str | None
    eligible: bool
    factor: float
    reason: Reason
    wrong_way: str | None


def ask(
    book: Book,
    asset_id: str,
    *,
    agreement: str | None = None,
    call: str | None = None,
    schedule: str | None = None,
) -> Answer:
    """Ask the schedule of an agreement, of a call, or one by its name (of the book, published, or a file).

    Limits, supply and time are not looked at: this is the schedule's word alone, and the wrong-way rule's.

    :raises UsageError: not exactly one of the three is given, or something of that name is not there.
    """
    if sum(x is not None for x in (agreement, call, schedule)) != 1:
        raise UsageError("Ask about one of --agreement, --call and --schedule.")
    assets = book.assets[book.assets["asset_id"] == asset_id].reset_index(drop=True)
    if assets.empty:
        raise UsageError(f"There is no asset {asset_id!r} in the book.")
    name, currency = schedule, book.settings.base_currency
    margin_type: str | None = None
    family: set[str] = set()
    if call is not None:
        row = _row(book, "calls", "call_id", call)
        agreement, name = str(row["agreement_id"]), _text(row["schedule"])
        margin_type = _text(row["margin_type"])
    if agreement is not None:
        row = _row(book, "agreements", "agreement_id", agreement)
        name, currency = name or str(row["schedule"]), str(row["base_currency"])
        family = {t for t in (_text(row["counterparty"]), _text(row["counterparty_parent"])) if t}
    found = _schedule(book, str(name))
    settings = book.settings
    context = Context(settings.as_of.date(), currency, margin_type=margin_type, owner_parent=settings.owner_parent)
    said = match(found, assets, context)
    issued_by = {t for t in (_text(assets["issuer"][0]), _text(assets["issuer_parent"][0])) if t}
    shared = sorted(family & issued_by) if found.wrong_way == "exclude" else []
    eligible = bool(said.eligible[0]) and not shared
    return Answer(
        asset_id=asset_id,
        schedule=found.name,
        currency=currency,
        margin_type=margin_type,
        eligible=eligible,
        factor=float(said.factor[0]) if eligible else 0.0,
        reason=said.why(0),
        wrong_way=shared[0] if shared else None,
    )


def _row(book: Book, table: str, column: str, name: str) -> dict[str, object]:
    frame = getattr(book, table)
    rows = frame[frame[column] == name]
    if rows.empty:
        raise UsageError(f"There is no {table.removesuffix('s')} {name!r} in the book.")
    return {str(k): v for k, v in rows.iloc[0].to_dict().items()}


def _schedule(book: Book, name: str) -> Schedule:
    try:
        return schedule_named(name, book.schedules)
    except ScheduleError as error:
        raise UsageError(str(error)) from None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
