"""An answer seen by position: its lines and shortfalls, the linear optimum beside it, and what a pair costs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from collateral_opt.explain.optimum import Lines, Optimum
from collateral_opt.explain.records import Cost
from collateral_opt.model.program import Floats
from collateral_opt.network.build import Problem
from collateral_opt.network.facts import gather
from collateral_opt.network.network import Bools, Ints, Kind, Network
from collateral_opt.result.result import Result


@dataclass(frozen=True)
class Delivered:
    """A line of the answer by position of its use and source; values in base currency."""

    use: int
    source: int
    market_value: float
    collateral_value: float
    haircut: float


class Answered:
    """``result``, with everything that decided about it."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.problem = Problem(gather(result.book.in_full))
        facts = self.problem.facts
        self.uses, self.sources, self.assets = facts.uses, facts.sources, facts.assets
        self._use_at = {label: j for j, label in enumerate(self.uses.label)}
        self._source_at = {name: i for i, name in enumerate(self.sources.ids) if not self.sources.is_posted[i]}

    @cached_property
    def delivered(self) -> tuple[Delivered, ...]:
        """Every line to a call, an agreement or a facility, in the order of the tables."""
        return tuple(self._delivered())

    def _delivered(self) -> Iterator[Delivered]:
        allocation = self.result.allocation
        for row in allocation[allocation["action"] == "deliver"].to_dict("records"):
            to_call = isinstance(row["call_id"], str)
            use = self._use_at["call", row["call_id"]] if to_call else self._use_at["agreement", row["agreement_id"]]
            yield self._line(use, row, "facility_id", "collateral_value")
        for row in self.result.financing.to_dict("records"):
            if isinstance(row["holding_id"], str) or isinstance(row["from_facility_id"], str):
                yield self._line(self._use_at["facility", row["facility_id"]], row, "from_facility_id", "proceeds")

    def _line(self, use: int, row: Mapping[Any, Any], facility: str, value: str) -> Delivered:
        name = row["holding_id"] if isinstance(row["holding_id"], str) else row[facility]
        figures = float(row["market_value"]), float(row[value]), float(row["haircut"])
        return Delivered(use, self._source_at[name], *figures)

    @cached_property
    def short(self) -> Floats:
        """What each use that asks is short of, as the tables have it."""
        result, short = self.result, np.zeros(self.uses.asking)
        for kind, table in (("call", result.calls), ("agreement", result.agreements), ("reserve", result.reserves)):
            for name, missing in zip(table[f"{kind}_id"], table["shortfall"], strict=True):
                short[self._use_at[kind, name]] = float(missing)
        return short

    @cached_property
    def optimum(self) -> Optimum:
        """What prices come from: the linear program, with just these lines where single lines cost or count."""
        if not len(self.relaxed.network.switches) and not self.relaxed.network.has_least.any():
            return self.relaxed
        columns = ((line.use, line.source, line.market_value) for line in self.delivered)
        use, source, value = zip(*columns, strict=True) if self.delivered else ((), (), ())
        lines = Lines(np.array(use, np.int64), np.array(source, np.int64), np.array(value, np.float64), self.short)
        return self.relaxed.with_lines(lines)

    @cached_property
    def relaxed(self) -> Optimum:
        """The linear optimum, in which a line may be of any size and costs nothing for being there."""
        return Optimum.of(self.problem)

    @property
    def network(self) -> Network:
        return self.optimum.network

    def use(self, kind: str, name: str) -> int:
        """The position of a call, agreement, reserve or facility; -1 where that asks for nothing."""
        return self._use_at.get((kind, name), -1)

    def given_to(self, use: int) -> Bools:
        """Per source: the answer gives something of it to ``use``, at home or recalled."""
        drawn = np.zeros(len(self.sources), dtype=bool)
        drawn[[line.source for line in self.delivered if line.use == use]] = True
        holding = self.sources.holding
        return np.asarray(drawn | (self.sources.is_posted & (holding >= 0) & drawn[holding]))

    def holding_and_facility(self, source: int) -> tuple[str | None, str | None]:
        """The name of a source, as that of a holding or of a facility."""
        leaves_from = int(self.sources.holding[source])
        if leaves_from >= 0:
            return self.sources.ids[leaves_from], None
        return (None, self.sources.ids[source]) if self.sources.is_facility[source] else (None, None)

    def place_of(self, use: int) -> tuple[str | None, str | None, str | None]:
        """Call, agreement and facility that a use is."""
        kind, name, agreement = self.uses.kind[use], self.uses.ids[use], int(self.uses.agreement[use])
        at = self.problem.facts.agreements.ids[agreement] if agreement >= 0 else None
        return name if kind == Kind.CALL else None, at, name if kind == Kind.FACILITY else None

    def asset_of(self, source: int) -> str:
        """The asset of a source."""
        return self.assets.ids[int(self.sources.asset[source])]

    # What pairs cost.

    def worth(self, use: int, duals: Floats) -> float:
        """What a unit of cover is worth to a use at ``duals`` [rows], in basis points a year."""
        rows = self.optimum.row_at
        if use < self.uses.asking:
            return float(duals[rows["cover", *self.uses.label[use]]])
        return -float(duals[rows["conversion", self.uses.ids[use]]])

    def reduced_costs(self, use: int) -> tuple[Ints, Floats]:
        """The edges into ``use``, and what a unit of cover by each costs more than it is worth, at today's duals."""
        edges = self.optimum.edges_into(use)
        return edges, self.optimum.reduced_cost[edges] / self.network.edges.factor[edges]

    def cost(self, edge: int, duals: Floats, size: float) -> Cost:
        """A unit of cover on ``edge`` at ``duals`` [rows], where the line is worth ``size``."""
        edges, sources = self.network.edges, self.sources
        use, source, factor = int(edges.use[edge]), int(edges.source[edge]), float(edges.factor[edge])
        earned = float(self.problem.cash_return(use)[source])
        kept = float(sources.recallable.keep_bps[source - sources.first_posted]) if sources.is_posted[source] else 0.0
        paid = {kind: float(figures[0]) for kind, figures in self.optimum.paid(np.array([edge]), duals).items()}
        own = factor * self.worth(use, duals)
        covers = "cover" if use < self.uses.asking else "conversion"
        paid[covers] = paid.get(covers, 0.0) - own
        parts = {
            "holding": float(edges.cost_bps[edge]) + earned + kept,
            "cash_return": -earned,
            "movement": self._movement(edge) / size - paid.get("budget", 0.0) if size else 0.0,
            "scarcity": -paid.get("supply", 0.0),
            "reserve": -paid.get("home", 0.0),
            "limits": -paid.get("limit", 0.0),
            "funding": -paid.get("conversion", 0.0),
            "recall": -kept - sum(paid.get(kind, 0.0) for kind in ("cover", "release", "row")),
        }
        haircut = sum(parts.values()) * (1 / factor - 1)
        return Cost(**{name: part + 0.0 for name, part in parts.items()}, haircut=haircut + 0.0)

    def _movement(self, edge: int) -> float:
        """What the movements that a line on ``edge`` makes cost, in base currency times yearly basis points."""
        switches = self.network.switches
        made = switches.switch[switches.edge == edge].tolist()
        return float(sum(switches.fixed[switch] for switch in made))

    def room_taken(self, edge: int, duals: Floats) -> list[tuple[str, ...]]:
        """Rows of limits that have a price at ``duals`` and would have to give for more on ``edge``."""
        labels = self.optimum.program.rows.labels
        taken = [row for row, weight in self.optimum.rows_of(edge).items() if weight * duals[row] < -1e-9]
        return [labels[row] for row in sorted(taken) if labels[row][0] == "limit"]


def limit_name(label: tuple[str, ...]) -> str:
    """The row of a limit as a desk would name it."""
    _, place, limit, _, group = label
    return f"'{limit}' at {place}" + (f" for {group}" if group else "")
