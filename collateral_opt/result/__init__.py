"""What a run answers: the result, its reasons, and the independent checker that guards it."""

from collateral_opt.result.result import COLUMNS, Result

__all__ = ["COLUMNS", "Result"]
