"""What pins collide with: a barrier, what is held, a limit, a cap on lines, or one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from collateral_opt.book import Book
from collateral_opt.book.codes import finding
from collateral_opt.errors import BookError, Finding, InfeasibleError
from collateral_opt.model.constraints import concentration, supply
from collateral_opt.network.build import Problem
from collateral_opt.network.exact import EXACT
from collateral_opt.network.findings import network_findings, pin_name
from collateral_opt.network.network import Network, View
from collateral_opt.network.pins import Pin
from collateral_opt.solve.passes import solve_flows
from collateral_opt.solve.registry import solver_named


def findings(book: Book, problem: Problem) -> list[Finding]:
    """Everything that ``problem`` shows about ``book``, with what its pins collide with."""
    # What lies there over a cap shows without any pair; only pins ask for those.
    network = problem.network(None if problem.pins.asked else problem.no_edges)
    alone = network_findings(book, network)
    if any(found.severity == "error" for found in alone) or not network.pinned:
        return alone
    together = list(_against_rows(network)) or list(_against_lines(network)) or list(_against_one_another(network))
    return [*alone, *together]


def require_possible_pins(book: Book, problem: Problem) -> None:
    """Raise :class:`BookError` with every pin that cannot hold."""
    if problem.pins.asked:
        wrong = [found for found in findings(book, problem) if found.severity == "error"]
        if wrong:
            raise BookError(wrong)


def _against_rows(network: Network) -> Iterator[Finding]:
    """E815 for each holding, facility or limit that the pins alone exceed."""
    edges = np.array(sorted(network.pinned), dtype=np.int64)
    view = View(network, edges, EXACT)
    lot = EXACT.array(network.assets.lot[network.edge_asset[edges]])
    least = [network.pinned[e][0] * value for e, value in zip(edges.tolist(), view.unit_value * lot, strict=True)]
    # A share of what is posted can be met by posting more beside it: only the whole program can tell.
    # So is a cap from under which something may be recalled.
    constant = [block for block in network.limits if block.cap.of != "posted" and not block.recalled.any()]
    for rows in (supply(view), *(concentration(view, block) for block in constant)):
        for row, label in enumerate(rows.labels):
            at = np.flatnonzero(rows.row == row)
            taken = sum(rows.coefficient[k] * least[rows.column[k]] for k in at.tolist())
            if taken > rows.upper[row]:
                pins = _pins_on(network, edges[rows.column[at]].tolist())
                yield _collision(
                    network, pins, f"{_words(label)}: {float(taken):,.2f} of {float(rows.upper[row]):,.2f}"
                )


def _against_lines(network: Network) -> Iterator[Finding]:
    """E815 for each call with more pinned assets than it may be given, and for a budget of moves they exceed."""
    switches = network.switches
    pinned = np.isin(switches.edge, sorted(network.pinned))
    for name, members, most in switches.budgets:
        needed = np.unique(switches.switch[pinned & np.isin(switches.switch, members)])
        if len(needed) > most:
            edges = switches.edge[pinned & np.isin(switches.switch, needed)].tolist()
            yield _collision(network, _pins_on(network, edges), f"the most lines allowed for {name}, {most}")


def _against_one_another(network: Network) -> Iterator[Finding]:
    """E816 with pins that cannot hold together, though each alone could; none of them can be spared in that."""
    if _is_possible(network):
        return
    together = sorted(network.pinned)
    for edge in sorted(network.pinned):
        fewer = [e for e in together if e != edge]
        if not _is_possible(replace(network, pinned={e: network.pinned[e] for e in fewer})):
            together = fewer
    pins = _pins_on(network, together)
    names = ", ".join(pin_name(network, pin) for pin in pins)
    yield finding("E816", "pins", row=pins[0].row + 2, value=names)


def _is_possible(network: Network) -> bool:
    for road in network.roads():
        try:
            solve_flows(road, solver_named("highs"))
            return True
        except InfeasibleError:
            continue
    return False


def _pins_on(network: Network, edges: list[int]) -> list[Pin]:
    pairs = {(int(network.edges.use[e]), int(network.edges.source[e])) for e in edges}
    return [pin for pin in network.pins if (pin.use, pin.source) in pairs]


def _collision(network: Network, pins: list[Pin], what: str) -> Finding:
    names = ", ".join(pin_name(network, pin) for pin in pins)
    return finding("E815", "pins", row=pins[0].row + 2, value=names, what=what)


def _words(label: tuple[str, ...]) -> str:
    """A row of the program as a desk would name it."""
    kind, *names = label
    if kind == "supply":
        return f"what there is of {names[-1]}"
    place, limit, _, group = names
    return f"limit '{limit}' at {place}" + (f" for {group}" if group else "")
