"""The tables of the report: what is short, what binds, financing, reserves, agreements and moves, steps, changes.

Each is there only where the run has rows for it. Cells are text as a person reads it; the template escapes it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from collateral_opt.io.write import decimal_text
from collateral_opt.result.comparison import FULL

if TYPE_CHECKING:
    from collateral_opt.result import Result

_MOST_ROWS = 500
_MOST_GIVEN = 50
_MOST_SPENT = 10

_COVERING = {
    "eligibility": "take what is refused",
    "supply": "have more",
    "time": "have it sooner",
    "limits": "raise caps",
    "pins": "use what pins forbid",
    "others": "leave others shorter",
    "together": "all of this together",
}
_STEP_NAMES = {
    "call_id": "call",
    "agreement_id": "agreement",
    "facility_id": "facility",
    "holding_id": "holding",
    "asset_id": "asset",
    "settles": "settles",
    "start_by": "start by",
}

Record = dict[str, Any]


class Explained(Protocol):
    """What is read of an :class:`~collateral_opt.explain.Explanation` of the whole: tuples of its records."""

    @property
    def shortfalls(self) -> Sequence[Any]:
        """What is short, with remedies."""

    @property
    def full_limits(self) -> Sequence[Any]:
        """What binds, with prices to either side."""

    @property
    def prices(self) -> Sequence[Any]:
        """The scarcest holdings."""

    @property
    def relaxations(self) -> Sequence[Any]:
        """The most valuable terms."""


@dataclass(frozen=True)
class Cell:
    """Text, how it is set (``text``, ``number``, a word about it), and how many rows it stands beside."""

    text: str
    css: str = "text"
    rows: int = 1


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    rows: Sequence[Sequence[Cell]]
    css: str = ""


@dataclass(frozen=True)
class Table:
    """A section of the page: what it is called, what there is to say about it, its columns and its rows."""

    title: str
    note: str
    heads: Sequence[Cell]
    groups: Sequence[Group]


def tables(result: Result, explained: Explained | None = None) -> dict[str, Table]:
    """The tables there are rows for, by name."""
    made = {
        "short": _short(result, explained),
        "binding": _binding(result, explained),
        "relaxations": None if explained is None else _relaxations(result, explained),
        "financing": _financing(result),
        "reserves": _reserves(result),
        "agreements": _agreements(result),
        "moves": _moves(result),
        "steps": _steps(result),
        "changes": _changes(result),
    }
    return {name: table for name, table in made.items() if table is not None}


def cost_of_proceeds(result: Result) -> dict[str, float]:
    """What a unit of each facility's proceeds cost over the horizon, with what was given for them.

    Where a facility was given another one's proceeds, those bring their own cost along. Shares are of what was spent,
    so that the costs of all that proceeds were spent on add up to those of ``financing``.
    """
    own = result.financing.groupby("facility_id")["cost"].sum()
    spent = _spent(result)
    fed: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for facility, uses in spent.items():
        for kind, name, value in uses:
            if kind == "facility":
                fed[name].append((facility, value))
    rates: dict[str, float] = {}

    def rate(facility: str) -> float:
        # ends: a facility takes only the proceeds of one that has them earlier
        if facility not in rates:
            cost = float(own.get(facility, 0.0)) + sum(value * rate(giver) for giver, value in fed[facility])
            total = sum(value for _, _, value in spent.get(facility, []))
            rates[facility] = cost / total if total else 0.0
        return rates[facility]

    return {str(facility): rate(str(facility)) for facility in own.index}


def money(x: float | None, decimals: int = 2) -> str:
    """With thousands, never minus zero; a dash for what is not known."""
    if x is None or not math.isfinite(x):
        return "-"
    text = f"{x:,.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def percent(x: float | None) -> str:
    """Of a share: 0.02 is ``2.0000 %``."""
    return "-" if x is None or not math.isfinite(x) else f"{100 * x:.4f} %"


def shortfalls(result: Result) -> pd.DataFrame:
    """What is short, the most first, calls before agreements and reserves: kind, name, required, missing, reason."""
    parts = []
    for kind in ("call", "agreement", "reserve"):
        frame = result.table(f"{kind}s").rename(columns={f"{kind}_id": "name", "shortfall": "missing"})
        frame = frame[frame["missing"] > 0].sort_values(["missing", "name"], ascending=[False, True])
        parts.append(frame.reindex(columns=["name", "required", "missing", "reason"]).assign(kind=kind))
    columns = ["kind", "name", "required", "missing", "reason"]
    return pd.concat([part.astype(object) for part in parts], ignore_index=True)[columns]


def binding_limits(result: Result, explained: Explained | None = None) -> pd.DataFrame:
    """The rows of `limits` that bind, those worth most first, with prices to either side where they are explained.

    A limit binds where it is used up to its cap, or one more unit of cap would save something.
    """
    limits, keys = result.limits.astype({"group": object}), ["agreement_id", "limit", "group"]
    one_more, one_less = limits["shadow_price"].astype(float), pd.Series(math.nan, index=limits.index)
    if explained is not None:
        told = {(one.agreement_id, one.limit, one.group): one.price for one in explained.full_limits}
        names = limits[keys].where(limits[keys].notna(), "").itertuples(index=False, name=None)
        for at, key in zip(limits.index, names, strict=True):
            if key in told:
                one_more[at], one_less[at] = (math.nan if x is None else x for x in _sides(told[key]))
    full = (limits["used"] > 0) & (limits["used"] >= limits["cap"] * FULL)
    frame = limits.assign(one_more_saves_bps=one_more, one_less_costs_bps=one_less)
    return (
        frame[full | (limits["shadow_price"] > 0) | (one_more > 0)]
        .sort_values("one_more_saves_bps", ascending=False, kind="stable", na_position="last")
        .drop(columns="shadow_price" if explained is not None else ["shadow_price", "one_less_costs_bps"])
    )


def _sides(price: Any) -> tuple[float | None, float | None]:
    return price.more_bps, price.less_bps


def _short(result: Result, explained: Explained | None) -> Table | None:
    """Each shortfall with its reason; with an explanation, the least change of each kind that would cover it."""
    short = shortfalls(result)
    if not len(short):
        return None
    told = {(one.kind, one.name): one for one in explained.shortfalls} if explained is not None else {}
    groups = []
    for record in _records(short, _MOST_ROWS):
        remedies = _remedies(told.get((record["kind"], record["name"])))
        rows: list[list[Cell]] = remedies if explained is not None else [[]]
        height = len(rows)
        first = [
            Cell(record["kind"], "text", height),
            Cell(record["name"], "text", height),
            Cell(money(record["required"]), "number", height),
            Cell(money(record["missing"]), "number short", height),
            Cell(record["reason"] or "", "words", height),
        ]
        groups.append(Group([[*first, *rows[0]], *rows[1:]]))
    note = f"Calls come first, by priority, then reserves. {_cut(len(short), 'calls')}"
    heads = ["what", "name", "required#", "missing#", "why"]
    if explained is not None:
        note += " Beside each, the least change of each kind that alone would cover it while nobody else gets shorter."
        heads += ["to cover it", "amount#", "of that"]
    return Table("What is short, and why", note.strip(), _heads(*heads), groups)


def remedies_of(short: Any) -> list[Any]:
    """The remedies of a shortfall that would do: each of one kind alone, all kinds together only where none does."""
    could = [one for one in short.remedies if one.amount is not None]
    return [one for one in could if one.kind != "together"] or could


def _remedies(short: Any) -> list[list[Cell]]:
    """What would cover a shortfall: kind of change, its size, its parts. Never no row."""
    if short is None:
        return [[Cell("not explained", "words"), _text(""), _text("")]]
    if short.is_lots:
        return [[Cell("nothing: only whole lots do not fit", "words"), _text(""), _text("")]]
    rows = []
    for one in remedies_of(short):
        parts = [f"{n.what} {money(n.amount)}" + (f" ({n.why})" if n.why else "") for n in one.needed[:_MOST_SPENT]]
        parts += [f"{len(one.needed) - _MOST_SPENT:,} more"] if len(one.needed) > _MOST_SPENT else []
        rows.append([_text(_COVERING[one.kind]), _number(money(one.amount)), Cell("; ".join(parts), "words")])
    return rows or [[Cell("no change that is known here", "words"), _text(""), _text("")]]


def _binding(result: Result, explained: Explained | None) -> Table | None:
    binding = binding_limits(result, explained)
    if not len(binding):
        return None
    sides = [name for name in ("one_more_saves_bps", "one_less_costs_bps") if name in binding]
    rows = [
        [
            _text(r["agreement_id"]),
            _text(r["limit"]),
            _text(r["group"]),
            _number(money(r["used"])),
            _number(money(r["cap"])),
            *(_number(money(r[side])) for side in sides),
        ]
        for r in _records(binding, _MOST_ROWS)
    ]
    note = (
        "Full, or worth something: what a unit of cap more would save and one less would cost, in basis points a year "
        f"(by unit of the asset where the limit counts units). {_cut(len(binding), 'limits')}"
    )
    titles = {"one_more_saves_bps": "one more saves, bp#", "one_less_costs_bps": "one less costs, bp#"}
    heads = _heads("agreement", "limit", "group", "used#", "cap#", *(titles[side] for side in sides))
    return Table("Limits that bind", note.strip(), heads, [Group(rows)])


def _relaxations(result: Result, explained: Explained) -> Table:
    """The terms that cost most, found by solving without each."""
    rows = [
        [
            _text(one.kind),
            _text(one.name),
            _text(one.place if one.place != one.name else ""),
            _number(money(one.saves_per_day)),
            _number(money(one.covers)),
        ]
        for one in explained.relaxations
    ]
    if not rows:
        return Table(
            "Worth letting go",
            "Without any one limit, capacity, pin or reserve nothing is saved and nothing covered.",
            (),
            (),
        )
    note = (
        f"What the linear program saves, in {currency(result)} a day, and covers that is short, without the whole of "
        "one term: the most valuable, each solved again."
    )
    heads = _heads("term", "name", "where", "saves a day#", "covers#")
    return Table("Worth letting go", note, heads, [Group(rows)])


def _financing(result: Result) -> Table | None:
    """Facility by facility what it was given, what that raised and cost, and what the proceeds were spent for."""
    financing = result.financing
    if not len(financing):
        return None
    spent = _spent(result)
    by_facility = list(financing.groupby("facility_id", sort=False))
    groups = [_facility(str(name), given, spent.get(str(name), [])) for name, given in by_facility[:_MOST_ROWS]]
    raised, cost = float(financing["proceeds"].sum()), float(financing["cost"].sum())
    note = (
        f"{_count(len(by_facility), 'facility', 'facilities')} raised {money(raised)} {currency(result)} for "
        f"{money(cost)}, with the cost of what they were given. Spent is what of the proceeds goes where; "
        f"what is raised may be a little more. {_cut(len(by_facility), 'financing')}"
    )
    heads = _heads("facility", "given", "asset", "quantity#", "market value#", "haircut#", "raised#", "cost#", "spent")
    return Table("Financing", note.strip(), heads, groups)


def _facility(name: str, given: pd.DataFrame, uses: Sequence[tuple[str, str, float]]) -> Group:
    records = _records(given, _MOST_GIVEN)
    rows = [
        [
            _text(record["holding_id"] or _proceeds(record["from_facility_id"])),
            _text(record["asset_id"]),
            _number(_quantity(record["quantity"])),
            _number(money(record["market_value"])),
            _number(_haircut(record["haircut"])),
            _number(money(record["proceeds"])),
            _number(money(record["cost"])),
        ]
        for record in records
    ]
    if len(given) > 1:
        words = f"all {len(given):,}" if len(given) <= _MOST_GIVEN else f"all {len(given):,}, of which {_MOST_GIVEN}"
        sums = (money(float(given[column].sum())) for column in ("market_value", "proceeds", "cost"))
        value, raised, cost = (Cell(figure, "number total") for figure in sums)
        rows = [[Cell(words, "total"), _text(""), _text(""), value, _text(""), raised, cost], *rows]
    parts = [f"{_use(kind, use)} {money(value)}" for kind, use, value in uses[:_MOST_SPENT]]
    parts += [f"{len(uses) - _MOST_SPENT:,} more"] if len(uses) > _MOST_SPENT else []
    rows[0] = [Cell(name, "text", len(rows)), *rows[0], Cell("; ".join(parts), "words", len(rows))]
    return Group(rows)


def _proceeds(facility: str | None) -> str:
    return f"proceeds of {facility}" if facility else "(drawn)"


def _use(kind: str, name: str) -> str:
    return name if kind == "call" else f"{kind} {name}"


def _spent(result: Result) -> dict[str, list[tuple[str, str, float]]]:
    """Facility -> what its proceeds went to: ``call``, ``agreement`` (for no call) or ``facility``, its name, value."""
    lines = result.allocation[result.allocation["facility_id"].notna()]
    to_calls, to_agreements = lines[lines["call_id"].notna()], lines[lines["call_id"].isna()]
    onward = result.financing[result.financing["from_facility_id"].notna()]
    found: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
    for kind, frame, giver, taker in (
        ("call", to_calls, "facility_id", "call_id"),
        ("agreement", to_agreements, "facility_id", "agreement_id"),
        ("facility", onward, "from_facility_id", "facility_id"),
    ):
        sums = frame.groupby([giver, taker], as_index=False)["market_value"].sum()
        for facility, name, value in sums.itertuples(index=False, name=None):
            found[str(facility)].append((kind, str(name), float(value)))
    return dict(found)


def _reserves(result: Result) -> Table | None:
    reserves = result.reserves
    if not len(reserves):
        return None
    short = int((reserves["shortfall"] > 0).sum())
    hold = f"{len(reserves) - short:,} of {_count(len(reserves), 'reserve')} hold."
    note = f"{hold} Counted is what stays at home, after haircut. {_cut(len(reserves), 'reserves')}"
    rows = [
        [
            _text(r["reserve_id"]),
            _number(money(r["required"])),
            _number(money(r["counted"])),
            _shortfall(r["shortfall"]),
            _number(money(r["marginal_cost_bps"])),
        ]
        for r in _records(_short_first(reserves), _MOST_ROWS)
    ]
    heads = _heads("reserve", "required#", "counted#", "shortfall#", "price, bp a year#")
    return Table("Reserves", note.strip(), heads, [Group(rows)])


def _agreements(result: Result) -> Table | None:
    agreements = result.agreements
    if not len(agreements):
        return None
    figures = ("required", "posted", "kept", "recalled", "delivered", "shortfall", "excess")
    rows = []
    for record in _records(_short_first(agreements), _MOST_ROWS):
        cells = [_shortfall(record[f]) if f == "shortfall" else _number(money(record[f])) for f in figures]
        price = _number(money(record["marginal_cost_bps"]))
        rows.append([_text(record["agreement_id"]), *cells, price])
    note = (
        "What each requires beside its calls, and what is there for that; collateral value. Posted is what lay there "
        f"before: kept and recalled. {_cut(len(agreements), 'agreements')}"
    )
    heads = _heads("agreement", *(f"{f}#" for f in figures), "price, bp a year#")
    return Table("What is posted", note.strip(), heads, [Group(rows)])


def _moves(result: Result) -> Table | None:
    """Recalls, and what is delivered for no call, agreement by agreement."""
    allocation = result.allocation
    moved = allocation[allocation["call_id"].isna() & allocation["action"].isin(["recall", "deliver"])]
    if not len(moved):
        return None
    recalls = int((moved["action"] == "recall").sum())
    delivered = len(moved) - recalls
    note = (
        f"{_count(recalls, 'recall')} and {_count(delivered, 'delivery', 'deliveries')} for no call: they replace what "
        f"is recalled, or make up what an agreement lacks. {_cut(len(moved), 'allocation')}"
    )
    rows = [
        [
            _text(r["agreement_id"]),
            _text(r["action"]),
            _text(r["holding_id"] or r["facility_id"]),
            _text(r["asset_id"]),
            _number(_quantity(r["quantity"])),
            _number(money(r["market_value"])),
            _number(_haircut(r["haircut"])),
            _number(money(r["collateral_value"])),
            _number(money(r["cost"])),
        ]
        for r in _records(moved, _MOST_ROWS)
    ]
    heads = _heads(
        "agreement", "action", "into or from", "asset", "quantity#", "market value#", "haircut#", "collateral value#",
        "cost#",
    )  # fmt: skip
    return Table("Recalls and replacements", note.strip(), heads, [Group(rows)])


def _steps(result: Result) -> Table | None:
    """The steps as they can be carried out, one group a round."""
    steps = result.steps
    if not len(steps):
        return None
    # columns that no step fills are left out
    names = [name for name in _STEP_NAMES if steps[name].notna().any()]
    marked = bool(steps[["together", "bridge"]].notna().to_numpy().any())
    rounds: dict[float, list[Record]] = defaultdict(list)
    for record in _records(steps, _MOST_ROWS):
        rounds[record["step"]].append(record)
    groups = [_round(number, records, names, marked) for number, records in rounds.items()]
    joint = int(steps.loc[steps["together"].notna(), "step"].nunique())
    bridged = int(steps.loc[steps["bridge"].notna(), "step"].nunique())
    notes = ["Each step needs only what is there after those before it."]
    notes += [f"At {_count(joint, 'step')} several movements must happen at once."] if joint else []
    notes += [f"{_count(bridged, 'step')} with a bridge: what is lent meanwhile and given back."] if bridged else []
    heads = _heads("step#", "action", *(_STEP_NAMES[name] for name in names), "quantity#", *(["how"] if marked else []))
    return Table("Steps in order", " ".join([*notes, _cut(len(steps), "steps")]).strip(), heads, groups)


def _round(number: float, records: Sequence[Record], names: Sequence[str], marked: bool) -> Group:
    rows = [
        [
            _text(str(r["action"]).replace("_", " ")),
            *(_text(r[name]) for name in names),
            _number(_quantity(r["quantity"])),
        ]
        for r in records
    ]
    together, bridge = records[0]["together"] is not None, records[0]["bridge"]
    how = "at once" if together else ""
    if bridge:
        how = f"at once, or one by one with a bridge of {bridge}" if together else f"with a bridge of {bridge}"
    last = [Cell(how, "words", len(rows))] if marked else []
    rows[0] = [Cell(f"{number:.0f}", "number", len(rows)), *rows[0], *last]
    return Group(rows, "joint" if together else "bridged" if bridge else "")


def _changes(result: Result) -> Table | None:
    changes = result.changes
    if not len(changes):
        return None
    counts = Counter(changes["change"])
    words = ", ".join(f"{n:,} {change}" for change, n in sorted(counts.items()))
    rows = [
        [
            _text(r["call_id"]),
            _text(r["holding_id"] or r["facility_id"]),
            _text(r["asset_id"]),
            _text(r["state"]),
            _number(_quantity(r["sent"])),
            _number(_quantity(r["now"])),
            Cell(str(r["change"]), f"text {str(r['change']).replace(' ', '-')}"),
        ]
        for r in _records(changes, _MOST_ROWS)
    ]
    heads = _heads("call", "from", "asset", "state", "sent#", "now#", "change")
    note = f"{words[:1].upper()}{words[1:]}. Quantities. {_cut(len(changes), 'changes')}"
    return Table("Changes since what was sent earlier", note.strip(), heads, [Group(rows)])


def _records(frame: pd.DataFrame, most: int) -> list[Record]:
    """The first rows, None for what is absent."""
    head = frame.head(most).astype(object)
    return head.where(head.notna(), None).to_dict("records")  # type: ignore[return-value]


def _short_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("shortfall", ascending=False, kind="stable")


def _heads(*titles: str) -> list[Cell]:
    """Columns by their titles; ``#`` marks those of figures."""
    return [Cell(title.rstrip("#"), "number" if title.endswith("#") else "") for title in titles]


def _text(value: object) -> Cell:
    return Cell("" if value is None else str(value))


def _number(text: str) -> Cell:
    return Cell(text, "number")


def _shortfall(value: float) -> Cell:
    return Cell(money(value), "number short" if value > 0 else "number")


def _quantity(x: float | None) -> str:
    """All its decimals, and no more."""
    if x is None:
        return ""
    whole, point, decimals = decimal_text(float(x)).partition(".")
    return f"{int(whole):,}{point}{decimals}"


def _haircut(x: float) -> str:
    return f"{100 * x:.3f}".rstrip("0").rstrip(".") + " %"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def currency(result: Result) -> str:
    """The base currency."""
    return str(result.summary["base_currency"])


def _cut(rows: int, table: str) -> str:
    """What to say where a table shows a part only."""
    return f"The first {_MOST_ROWS:,} of {rows:,}; {table}.csv has them all." if rows > _MOST_ROWS else ""
