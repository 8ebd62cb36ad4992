"""Explanations as typed records; prose is made of them last, in :mod:`collateral_opt.explain.words`.

Rates are basis points of a year, amounts base currency. A figure that has no end or no meaning is None.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

BASIS_POINTS = 10_000


class Record(BaseModel):
    """Frozen, and compared by value."""

    model_config = ConfigDict(frozen=True)


class Cost(Record):
    """What a unit of cover costs by one pair, in parts, in basis points a year.

    ``holding``: letting the asset go (of proceeds: producing them); ``cash_return``: what cash earns there, below 0;
    ``movement``: the movement's cost, spread over the line; ``scarcity``: what the same unit would save elsewhere;
    ``reserve``: what it would at home; ``limits``: what its room under limits would save others; ``funding``: what a
    facility has to be given; ``recall``: what a recall costs where it lay; ``haircut``: what all of these grow by
    because more than one unit is needed for a unit of cover.
    """

    holding: float = 0.0
    cash_return: float = 0.0
    movement: float = 0.0
    scarcity: float = 0.0
    reserve: float = 0.0
    limits: float = 0.0
    funding: float = 0.0
    recall: float = 0.0
    haircut: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        """All parts together."""
        return float(sum(getattr(self, name) for name in type(self).model_fields))


class Alternative(Record):
    """The cheapest other pair: a unit of cover by it costs ``dearer_bps`` more than as it is."""

    holding_id: str | None
    facility_id: str | None
    asset_id: str
    haircut: float
    cost: Cost
    dearer_bps: float


class Line(Record):
    """Why a line is there. ``facility_input``: the facility that it is given to, where it goes to none of the calls.

    ``cost`` and that of ``next_best`` are at one and the same prices, at which a unit of cover is worth ``worth_bps``
    to the call; the line costs that, or whole lots made it dearer.
    """

    call_id: str | None
    agreement_id: str | None
    facility_input: str | None
    holding_id: str | None
    facility_id: str | None
    asset_id: str
    market_value: float
    collateral_value: float
    haircut: float
    cost: Cost
    worth_bps: float
    next_best: Alternative | None


Obstacle = Literal[
    "eligibility", "wrong way", "maturity", "time", "nothing held", "pin", "limit", "cost", "tie", "lots"
]


class NotUsed(Record):
    """Why nothing of a holding (or facility) goes to a call.

    ``obstacle`` is what keeps it out, ``why`` the words of whatever decided. ``rule`` and ``missing`` facts are the
    schedule's, ``hours_late`` how much it misses the hour by. ``limits`` are full ones that it would need room under.
    ``too_dear_bps``: what one unit of market value of it there would cost more, at least, than the run as it is;
    ``cost`` is a unit of cover by it at the prices that prove this, ``worth_bps`` what that is worth to the call there.
    """

    call_id: str | None
    agreement_id: str | None
    holding_id: str | None
    facility_id: str | None
    asset_id: str
    obstacle: Obstacle
    why: str
    rule: str | None = None
    missing: tuple[str, ...] = ()
    hours_late: float | None = None
    limits: tuple[str, ...] = ()
    too_dear_bps: float | None = None
    cost: Cost | None = None
    worth_bps: float | None = None


Kind = Literal["eligibility", "supply", "time", "limits", "pins", "others", "together"]


class Needed(Record):
    """One thing that would have to give: by how much (base currency), and what stands against it today."""

    what: str
    amount: float
    why: str = ""


class Remedy(Record):
    """The smallest change of one kind that alone would cover a call; ``amount`` None where none would.

    ``eligibility``: market value of refused assets to be taken, without a haircut; ``supply``: of more to be held;
    ``time``: of what comes too late; ``limits``: by how much caps would have to be higher; ``pins``: market value of
    what pins forbid; ``others``: by how much other calls and reserves would have to be shorter. ``together``: of all
    of these kinds at once.
    """

    kind: Kind
    amount: float | None
    needed: tuple[Needed, ...] = ()


class Shortfall(Record):
    """Why a call, an agreement or a reserve is short by ``missing`` of ``required``.

    ``is_lots``: the linear program covers it with nobody else shorter; only whole lots do not fit.
    """

    kind: Literal["call", "agreement", "reserve"]
    name: str
    required: float
    missing: float
    is_lots: bool
    remedies: tuple[Remedy, ...]


class Price(Record):
    """What one unit of base currency more, or less, of something does to the cost, in basis points a year.

    Of what is asked for (call, agreement, reserve) ``more_bps`` is what one more costs and ``less_bps`` what one less
    saves; of what there is (holding, facility, limit) ``more_bps`` is what one more saves and ``less_bps`` what one
    less costs. None: it cannot be. They differ where the optimum has a kink. Each holds for so many units
    (``holds_up``, ``holds_down``; None: without end). ``name`` of a limit is its place, label and group.
    """

    kind: Literal["call", "agreement", "reserve", "holding", "facility", "limit"]
    name: str
    more_bps: float | None
    less_bps: float | None
    holds_up: float | None = None
    holds_down: float | None = None
    unit: Literal["base currency", "unit of the asset"] = "base currency"


class Relaxation(Record):
    """What letting go of one term saves a day, and by how much less is short, found by solving without it."""

    kind: Literal["limit", "capacity", "pin", "reserve"]
    place: str
    name: str
    saves_per_day: float
    covers: float = 0.0


class FullLimit(Record):
    """A limit that binds: its use and cap after the run, and what a unit of cap would save."""

    agreement_id: str
    limit: str
    group: str
    used: float
    cap: float
    price: Price


class Explanation(Record):
    """Everything asked for. ``is_whole``: all pairs were looked at; of a very large book, those near the optimum."""

    asked: str
    base_currency: str
    status: str
    total_cost: float
    is_whole: bool
    lines: tuple[Line, ...] = ()
    not_used: tuple[NotUsed, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    prices: tuple[Price, ...] = ()
    full_limits: tuple[FullLimit, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
