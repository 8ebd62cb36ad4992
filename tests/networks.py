"""Small networks made by hand, for tests of the mathematics that should not depend on reading a book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from collateral_opt.network.network import (
    Assets,
    Barrier,
    Cap,
    Edges,
    Kind,
    LimitBlock,
    Network,
    Recallable,
    Release,
    Sources,
    Switches,
    Uses,
)


class EverythingReaches:
    """No barrier before any source."""

    def __init__(self, sources: int) -> None:
        self._sources = sources

    def barriers(self, use: int) -> np.ndarray:
        return np.full(self._sources, Barrier.NONE, dtype=np.int8)

    def undecided(self, use: int) -> np.ndarray:
        return np.zeros(self._sources, dtype=bool)

    def why(self, use: int, source: int) -> str:
        return ""


def network(
    holdings: Sequence[tuple[str, float, float, float]],
    calls: Sequence[tuple[str, str]],
    pairs: Sequence[tuple[int, int, str, float]],
    limits: Sequence[LimitBlock] = (),
    priority: Sequence[int] | None = None,
) -> Network:
    """``holdings``: (id, unit value, lot, quantity); ``calls``: (id, amount); ``pairs``: (call, holding, factor, bps).

    Every holding is an asset of its own, every call belongs to the one agreement ``A``. A year is the horizon.
    """
    n = len(holdings)
    unit_value = np.array([u for _, u, _, _ in holdings], dtype=float)
    pairs = sorted(pairs, key=lambda pair: pair[:2])
    factors = tuple(dict.fromkeys(Fraction(f) for _, _, f, _ in pairs))
    required = [Fraction(amount) for _, amount in calls]
    source = np.array([i for _, i, _, _ in pairs], dtype=np.int64)
    use = np.array([j for j, _, _, _ in pairs], dtype=np.int64)
    code = np.array([factors.index(Fraction(f)) for _, _, f, _ in pairs], dtype=np.int64)
    quantity = np.array([q for _, _, _, q in holdings], dtype=float)
    lot = np.array([size for _, _, size, _ in holdings], dtype=float)
    return Network(
        assets=Assets(
            ids=[f"asset {name}" for name, _, _, _ in holdings],
            unit_value=unit_value,
            price=unit_value,
            price_factor=np.ones(n),
            rate=np.ones(n),
            lot=lot,
            min_quantity=np.zeros(n),
            is_cash=np.zeros(n, dtype=bool),
        ),
        agreement_ids=["A"],
        facility_ids=[],
        sources=Sources(
            ids=[name for name, _, _, _ in holdings],
            asset=np.arange(n),
            quantity=quantity,
            capacity=[None] * n,
            deliverable_at=np.zeros(n, dtype=np.int64),
            cost_bps=np.zeros(n),
            funded_by=np.full(n, -1),
        ),
        uses=Uses(
            ids=[name for name, _ in calls],
            kind=np.full(len(calls), Kind.CALL, dtype=np.int8),
            agreement=np.zeros(len(calls), dtype=np.int64),
            schedule=["S"] * len(calls),
            required=required,
            priority=np.array(priority if priority is not None else [0] * len(calls), dtype=np.int64),
            min_line=[Fraction(0)] * len(calls),
        ),
        edges=Edges(
            source=source,
            use=use,
            factor_code=code,
            factors=factors,
            cost_bps=np.array([c for _, _, _, c in pairs], dtype=float),
        ),
        limits=list(limits),
        reach=EverythingReaches(n),
        horizon_years=Fraction(1),
    )


def limit(
    of: str,
    measure: str,
    edge: Sequence[int],
    group: Sequence[int],
    scope: Sequence[int],
    *,
    share: float = 1.0,
    figure: float = 0.0,
    requirement: str = "0",
    posted: Sequence[str] = (),
    posted_total: str = "0",
    asset: Sequence[int] = (),
    shut: Sequence[bool] = (),
) -> LimitBlock:
    """A block over the given edges; groups are named g0, g1, ..."""
    n = max(group) + 1
    return LimitBlock(
        place="A",
        governed=np.array([0]),
        label="cap",
        basis=of,
        measure=measure,
        groups=[f"g{g}" for g in range(n)],
        edge=np.array(edge, dtype=np.int64),
        group=np.array(group, dtype=np.int64),
        scope=np.array(scope, dtype=np.int64),
        posted=[Fraction(p) for p in posted] or [Fraction(0)] * n,
        posted_total=Fraction(posted_total),
        cap=Cap(
            of=of,
            share=share,
            rate=1.0,
            requirement=Fraction(requirement),
            figure=np.full(n, figure),
            asset=np.array(asset or [-1] * n, dtype=np.int64),
        ),
        shut=np.array(shut or [False] * n),
        recalled=np.zeros(len(edge), dtype=bool),
    )


def with_facility_and_reserve() -> Network:
    """Two holdings B0, B1; a call C of 50; a reserve R of 30 that counts B0 at 0.9; a repo F that takes B1 at 0.8.

    Edges: C<-B0 at 1, C<-F's cash at 1, R<-B0 at 0.9, F<-B1 at 0.8. F can produce 40.
    """
    plain = network([("B0", 1, 1, 100), ("B1", 2, 1, 60)], [("C", "50")], [])
    factors = (Fraction(1), Fraction(9, 10), Fraction(8, 10))
    return replace(
        plain,
        assets=replace(
            plain.assets,
            ids=[*plain.assets.ids, "cash"],
            unit_value=np.array([1.0, 2.0, 1.0]),
            price=np.array([1.0, 2.0, 1.0]),
            price_factor=np.ones(3),
            rate=np.ones(3),
            lot=np.array([1.0, 1.0, 0.01]),
            min_quantity=np.zeros(3),
            is_cash=np.array([False, False, True]),
        ),
        facility_ids=["F"],
        sources=Sources(
            ids=["B0", "B1", "F"],
            asset=np.arange(3),
            quantity=np.array([100.0, 60.0, 40.0]),
            capacity=[None, None, Fraction(40)],
            deliverable_at=np.zeros(3, dtype=np.int64),
            cost_bps=np.array([5.0, 1.0, 20.0]),
            funded_by=np.array([-1, -1, 2]),
        ),
        uses=Uses(
            ids=["C", "R", "F"],
            kind=np.array([Kind.CALL, Kind.RESERVE, Kind.FACILITY], dtype=np.int8),
            agreement=np.array([0, -1, -1]),
            schedule=["S"] * 3,
            required=[Fraction(50), Fraction(30), Fraction(40)],
            priority=np.array([0, 1]),
            min_line=[Fraction(0)] * 3,
        ),
        edges=Edges(
            source=np.array([0, 2, 0, 1]),
            use=np.array([0, 0, 1, 2]),
            factor_code=np.array([0, 0, 1, 2]),
            factors=factors,
            cost_bps=np.array([5.0, 20.0, 0.0, 1.0]),
        ),
        reach=EverythingReaches(3),
    )


def with_recall() -> Network:
    """What lies at A may be replaced by B0 and serve a call C of 50 at B, or come home into H.

    Sources B0 (100 at 1), H (nothing held), P (80 of H's asset, lying at A at 0.9). A requires 10 less than lies there.
    Edges: C<-P at 0.8, A<-B0 at 0.5, home<-P.
    """
    plain = network([("B0", 1, 1, 100), ("H", 1, 1, 0)], [("C", "50")], [])
    paper = plain.assets
    return replace(
        plain,
        assets=replace(paper, is_cash=np.zeros(2, dtype=bool)),
        agreement_ids=["A", "B"],
        sources=Sources(
            ids=["B0", "H", "P"],
            asset=np.array([0, 1, 1]),
            quantity=np.array([100.0, 0.0, 80.0]),
            capacity=[None] * 3,
            deliverable_at=np.zeros(3, dtype=np.int64),
            cost_bps=np.array([5.0, 7.0, 0.0]),
            funded_by=np.array([-1, -1, 1]),
            recallable=Recallable(
                agreement=np.array([0]),
                joins=np.array([1]),
                factor=[Fraction(9, 10)],
                keep_bps=np.array([20.0]),
                wait=np.array([0]),
                line=np.array([0]),
                odd=np.zeros(1),
            ),
        ),
        uses=Uses(
            ids=["C", "A", "home"],
            kind=np.array([Kind.CALL, Kind.AGREEMENT, Kind.HOME], dtype=np.int8),
            agreement=np.array([1, 0, -1]),
            schedule=["S", "S", ""],
            required=[Fraction(50), Fraction(-10), Fraction(80)],
            priority=np.array([0, 0]),
            min_line=[Fraction(0)] * 3,
            extent=[Fraction(50), Fraction(72), Fraction(80)],
        ),
        edges=Edges(
            source=np.array([2, 0, 2]),
            use=np.array([0, 1, 2]),
            factor_code=np.array([0, 1, 2]),
            factors=(Fraction(8, 10), Fraction(1, 2), Fraction(1)),
            cost_bps=np.array([-13.0, 5.0, -20.0]),
        ),
        reach=EverythingReaches(3),
        releases=[Release("A", 1, np.array([0]), np.array([1]), Fraction(10))],
        switches=Switches(
            labels=[("line", "call", "C", "H"), ("line", "agreement", "A", "B0"), ("recall", "A", "asset H", "H")],
            edge=np.array([0, 1, 0, 2]),
            switch=np.array([0, 1, 2, 2]),
            fixed=[Fraction(0), Fraction(3), Fraction(4)],
            worth=[Fraction(0)] * 3,
            is_move=np.ones(3, dtype=bool),
            budgets=[("moves", np.array([0, 1, 2]), 2)],
        ),
        standing_cost=Fraction(80 * 20),
    )
