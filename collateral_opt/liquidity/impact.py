"""What a sale does to its own price: two published models, measured from the price at which selling begins.

Both are arithmetic, in fractions of the arrival price: what is sold later is sold at the arrival price less the drop
that all earlier sales have left. A short position that is bought back drives the price up by the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from collateral_opt.errors import UsageError
from collateral_opt.model.program import Floats


@dataclass(frozen=True)
class Market:
    """How liquid positions are, by position [positions].

    ``adv`` is what trades in a day (units), ``volatility`` that of a day (a fraction), ``turnover`` what there is of
    the instrument over ``adv`` (shares outstanding / daily volume; 1 where that has no meaning, as with futures), and
    ``spread_bps`` the whole bid-offer spread, of which a sale pays half.
    """

    adv: Floats
    volatility: Floats
    turnover: Floats
    spread_bps: Floats


class Impact(Protocol):
    """A model of impact."""

    @property
    def name(self) -> str:
        """What it is called, with its coefficients."""

    def drop(self, before: Floats, selling: Floats, days: float, market: Market) -> tuple[Floats, Floats]:
        """How far the price falls when ``selling`` units [positions] go in ``days``, after ``before`` units have.

        Two arrays of fractions of the arrival price: by how much the average price of this sale is lower (the half
        spread counts), and by how much the price is lower once it is done.
        """


@dataclass(frozen=True)
class PowerLaw:
    """Almgren, Thum, Hauptmann and Li, "Direct Estimation of Equity Market Impact", Risk, July 2005.

    Selling X units in T days at a daily volume V moves the price for good by
    ``permanent * sigma * X/V * turnover^(1/4)``, half of which the sale itself pays on average, and costs
    ``temporary * sigma * (X / (V T))^exponent`` besides, which is gone when the sale is. Their fit to orders in
    US shares, with standard errors: permanent 0.314 +- 0.041, temporary 0.142 +- 0.0062, exponent 0.600 +- 0.038 (then
    set to 3/5). With ``exponent`` 1 it is the linear form of Almgren and Chriss, Journal of Risk 3 (2000).
    """

    permanent: float = 0.314
    temporary: float = 0.142
    exponent: float = 0.6
    turnover_power: float = 0.25

    def __post_init__(self) -> None:
        if self.permanent < 0 or self.temporary < 0 or not 0 < self.exponent <= 1:
            raise UsageError(
                f"Impact coefficients must be 0 or more and the exponent above 0 and at most 1, not {self}."
            )

    @property
    def name(self) -> str:
        return f"power law (permanent {self.permanent:g}, temporary {self.temporary:g}, exponent {self.exponent:g})"

    def slope(self, market: Market) -> Floats:
        """By how much one unit sold lowers the price for good, in fractions of the arrival price [positions]."""
        return np.asarray(
            self.permanent * market.volatility * market.turnover**self.turnover_power / market.adv, dtype=np.float64
        )

    def curvature(self, days: float, market: Market) -> Floats:
        """k where selling x units in ``days`` costs ``k * x^(1 + exponent)`` of the arrival price [positions]."""
        return np.asarray(self.temporary * market.volatility / (market.adv * days) ** self.exponent, dtype=np.float64)

    def drop(self, before: Floats, selling: Floats, days: float, market: Market) -> tuple[Floats, Floats]:
        slope = self.slope(market)
        average = slope * (before + selling / 2) + self.curvature(days, market) * selling**self.exponent
        return _whole(average + market.spread_bps / 2e4), _whole(slope * (before + selling))


@dataclass(frozen=True)
class SquareRoot:
    """The square-root law: after Q units the price is down by ``y * sigma * sqrt(Q / V)``, and stays there meanwhile.

    The usual statement of it has y between 0.5 and 1 (Toth and others, Physical Review X 1, 2011, 021006); turnover
    and speed do not count. A sale pays the average along its way.
    """

    y: float = 1.0

    def __post_init__(self) -> None:
        if self.y < 0:
            raise UsageError(f"The coefficient of the square-root law must be 0 or more, not {self.y:g}.")

    @property
    def name(self) -> str:
        return f"square root (Y {self.y:g})"

    def drop(self, before: Floats, selling: Floats, days: float, market: Market) -> tuple[Floats, Floats]:
        low, high = before / market.adv, (before + selling) / market.adv
        # the average of sqrt over [low, high], which is sqrt(low) where nothing is sold
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(high > low, (high**1.5 - low**1.5) / (1.5 * (high - low)), np.sqrt(low))
        scale = self.y * market.volatility
        return _whole(scale * mean + market.spread_bps / 2e4), _whole(scale * np.sqrt(high))


def _whole(drop: Floats) -> Floats:
    """At most all of the price: nothing is sold below zero."""
    return np.minimum(drop, 1.0)


PUBLISHED = PowerLaw()


def about_published(errors: float = 2.0) -> tuple[PowerLaw, PowerLaw]:
    """The published fit with both coefficients lower, and higher, by that many of their standard errors."""
    low, high = (
        replace(PUBLISHED, permanent=0.314 + side * errors * 0.041, temporary=0.142 + side * errors * 0.0062)
        for side in (-1, 1)
    )
    return low, high
