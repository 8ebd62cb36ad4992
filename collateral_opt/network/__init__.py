"""Book -> sources, uses and edges: who could deliver what to whom, at which haircut and cost, under which limits."""

from collateral_opt.network.build import Problem, build_network
from collateral_opt.network.network import Barrier, Edges, LimitBlock, Network, Sources, Uses, View

__all__ = ["Barrier", "Edges", "LimitBlock", "Network", "Problem", "Sources", "Uses", "View", "build_network"]
