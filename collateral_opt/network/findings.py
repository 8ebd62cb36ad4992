"""What only shows when schedules, agreements, what is posted and what is pinned meet: said before a run."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from collateral_opt.book import Book
from collateral_opt.book.codes import finding
from collateral_opt.errors import Finding
from collateral_opt.network.network import Network
from collateral_opt.network.pins import Pin


def network_findings(book: Book, network: Network) -> list[Finding]:
    """Everything wrong or odd that ``network``, made of ``book``, shows about it."""
    return [*_posted_over_cap(book, network), *_recalls_without_a_holding(book), *_pins_alone(book, network)]


def _posted_over_cap(book: Book, network: Network) -> Iterator[Finding]:
    """W523 for each limit of which what is posted already stands over the cap in some group."""
    if not len(book.posted):
        return
    over: dict[tuple[str, str], set[str]] = {}
    for block in network.limits:
        groups = {group or "all that it counts" for group, shut in zip(block.groups, block.shut, strict=True) if shut}
        if groups:
            over.setdefault((block.place, block.label), set()).update(groups)
    for (place, label), names in sorted(over.items()):
        yield finding("W523", "posted", value=place, limit=label, groups=", ".join(sorted(names)))


def _recalls_without_a_holding(book: Book) -> Iterator[Finding]:
    """N524 where what is recalled could not be used elsewhere in the same run."""
    if book.settings.scope != "reoptimise":
        return
    nowhere = book.posted["holding_id"].isna() & ~book.posted["locked"]
    if nowhere.any():
        yield finding("N524", "posted", column="holding_id", count=int(nowhere.sum()))


def _pins_alone(book: Book, network: Network) -> Iterator[Finding]:
    """Every pin that cannot hold whatever else is decided."""
    for pin in network.pins:
        row, name = pin.row + 2, pin_name(network, pin)
        if not pin.is_reached:
            yield finding("E811", "pins", row=row, value=name, reason=network.reach.why(pin.use, pin.source))
            continue
        if pin.least is not None and pin.lots * pin.lot != pin.least:
            yield finding("E812", "pins", row=row, column="quantity", value=name, lot=_figure(pin.lot))
        if pin.lots < pin.least_lots:
            least = _figure(pin.least_lots * pin.lot)
            yield finding("E813", "pins", row=row, column="quantity", value=name, least=least)
        if pin.lots * pin.lot > pin.held:
            yield finding("E814", "pins", row=row, column="quantity", value=name, held=_figure(pin.held))


def _figure(units: Fraction) -> str:
    return f"{float(units):,.12g}"


def pin_name(network: Network, pin: Pin) -> str:
    """A pin as a message names it."""
    return f"{network.uses.ids[pin.use]} from {network.sources.ids[pin.source]}"
