"""``python -m collateral_opt``: the command line."""

from collateral_opt.cli import main

main()
