"""Why an answer is what it is: typed records made from the same facts, formulation and duals that decided.

Every figure can be had by solving again with the change made: prices are one-sided derivatives of the linear program
(:mod:`collateral_opt.explain.optimum` says how and why that is exact), what a term costs is a solve without it, and
what a shortfall wants is the least that makes the same constraints hold.
"""

from collateral_opt.explain.asking import explain
from collateral_opt.explain.records import Explanation

__all__ = ["Explanation", "explain"]
