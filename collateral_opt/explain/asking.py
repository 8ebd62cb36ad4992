"""The questions: of an asset, a call, an agreement, an asset at one of these, or of the whole run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np

from collateral_opt.errors import UsageError
from collateral_opt.explain.answered import Answered
from collateral_opt.explain.pairs import lines_of, why_not
from collateral_opt.explain.prices import full_limits, price_of_source, price_of_use, relaxations
from collateral_opt.explain.records import Explanation, Line, NotUsed
from collateral_opt.explain.shortfalls import shortfalls
from collateral_opt.network.network import Barrier
from collateral_opt.result.result import Result

MOST_VALUABLE = 10
"""Relaxations and scarce holdings that an explanation of the whole tells of."""


def explain(
    result: Result, *, asset: str | None = None, call: str | None = None, agreement: str | None = None
) -> Explanation:
    """Why ``result`` is as it is.

    Args:
        result: the answer; its book is solved again as a linear program, for prices.
        asset: where it is used and why, why not elsewhere, and what more of it would be worth.
        call: why each of its lines is there, what it costs, why it is short; with ``asset``, just why that is there or
            not.
        agreement: the same of all its calls, its limits, and what letting go of its terms would save.

    Without any of these: every shortfall, every limit that binds, the most valuable relaxations and holdings.

    Raises:
        UsageError: something is named that the book does not have, or both a call and an agreement.
        SolverError: the linear program of the book has no answer, or the solver gave up.
    """
    _require_known(result, asset, call, agreement)
    answered = Answered(result)
    uses = _uses(answered, call, agreement)
    if asset is not None:
        return _of_asset(answered, asset, uses, asked=_asked(asset, call, agreement))
    if call is None and agreement is None:
        return _of_the_whole(answered)
    lines: list[Line] = [line for use in uses for line in lines_of(answered, use)]
    at_agreement = agreement is not None
    return _explanation(
        answered,
        _asked(asset, call, agreement),
        lines=lines,
        shortfalls=shortfalls(answered, uses),
        prices=[price_of_use(answered, use) for use in uses],
        full_limits=full_limits(answered, agreement) if at_agreement else (),
        relaxations=relaxations(answered, agreement) if at_agreement else (),
    )


def _of_asset(answered: Answered, asset: str, uses: Sequence[int], asked: str) -> Explanation:
    """Where an asset goes among ``uses``, why not to the others, and what more of it is worth."""
    sources, name = answered.sources, answered.assets.ids
    at = name.index(asset) if asset in name else -1
    mine = np.flatnonzero((sources.asset == at) & ~sources.is_posted)
    lines: list[Line] = []
    refused: list[NotUsed] = []
    for use in uses:
        if answered.given_to(use)[mine].any():
            lines += [line for line in lines_of(answered, use) if line.asset_id == asset]
        elif len(mine):
            refused.append(why_not(answered, use, _nearest(answered, use, mine.tolist())))
    return _explanation(
        answered, asked, lines=lines, not_used=refused, prices=[price_of_source(answered, i) for i in mine.tolist()]
    )


def _nearest(answered: Answered, use: int, sources: Sequence[int]) -> int:
    """The source that comes nearest to being used there: of those that nothing keeps away, the cheapest."""
    if len(sources) == 1:
        return sources[0]
    barriers = answered.problem.reach.barriers(use)
    edges, reduced = answered.reduced_costs(use)
    by_source = dict(zip(answered.network.edges.source[edges].tolist(), reduced.tolist(), strict=True))

    def standing(source: int) -> tuple[int, float]:
        barrier = Barrier(int(barriers[source]))
        return (0 if barrier == Barrier.NONE else 1), by_source.get(source, 0.0)

    return min(sources, key=standing)


def _of_the_whole(answered: Answered) -> Explanation:
    uses, scarcity = answered.uses, answered.result.inventory
    scarce = scarcity[scarcity["scarcity_bps"] > 0].sort_values(
        ["scarcity_bps", "holding_id"], ascending=[False, True], kind="stable"
    )
    names = scarce["holding_id"].head(MOST_VALUABLE).tolist()
    at = {name: i for i, name in enumerate(answered.sources.ids)}
    return _explanation(
        answered,
        "the whole",
        shortfalls=shortfalls(answered, range(uses.asking)),
        prices=[price_of_source(answered, at[name], ranges=False) for name in names],
        full_limits=full_limits(answered),
        relaxations=relaxations(answered)[:MOST_VALUABLE],
    )


def _explanation(answered: Answered, asked: str, **told: object) -> Explanation:
    result = answered.result
    return Explanation.model_validate(
        {
            "asked": asked,
            "base_currency": result.summary["base_currency"],
            "status": result.status,
            "total_cost": result.total_cost,
            "is_whole": answered.relaxed.is_whole,
            **told,
        }
    )


def _asked(asset: str | None, call: str | None, agreement: str | None) -> str:
    parts = (("asset", asset), ("call", call), ("agreement", agreement))
    return " at ".join(f"{kind} {name}" for kind, name in parts if name is not None)


def _uses(answered: Answered, call: str | None, agreement: str | None) -> list[int]:
    """The calls meant, with what an agreement requires beside them."""
    uses = answered.uses
    if call is not None:
        return [answered.use("call", call)]
    if agreement is None:
        return list(range(uses.calls))
    at = answered.problem.facts.agreements.ids.index(agreement)
    return np.flatnonzero(uses.agreement[: uses.demands] == at).tolist()


def _require_known(result: Result, asset: str | None, call: str | None, agreement: str | None) -> None:
    """Say everything that is asked about and not there."""
    book = result.book
    wrong = [
        f"There is no {kind} {name!r} in the book.{_meant(name, known)}"
        for kind, name, known in (
            ("asset", asset, book.assets["asset_id"]),
            ("call", call, book.calls["call_id"]),
            ("agreement", agreement, book.agreements["agreement_id"]),
        )
        if name is not None and name not in set(known)
    ]
    if call is not None and agreement is not None:
        wrong.append("A call and an agreement are two questions. Ask about one of them.")
    if wrong:
        raise UsageError("\n".join(wrong))


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else " Correct the identifier."
