"""The import arrow: eligibility_rules <- book <- network <- model <- solve <- result <- the road, and nothing back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYWHERE = {"eligibility_rules", "collateral_opt.errors"}
MAY_IMPORT = {
    "eligibility_rules": set(),
    "collateral_opt/book": {"collateral_opt.book"},
    "collateral_opt/network": {"collateral_opt.book", "collateral_opt.network"},
    "collateral_opt/model": {"collateral_opt.network", "collateral_opt.model"},
    "collateral_opt/solve": {"collateral_opt.network", "collateral_opt.model", "collateral_opt.solve"},
    "collateral_opt/result/checker": {"collateral_opt.book", "collateral_opt.result.checker"},
    "collateral_opt/explain": {
        "collateral_opt.book",
        "collateral_opt.network",
        "collateral_opt.model",
        "collateral_opt.solve",
        "collateral_opt.result",
        "collateral_opt.explain",
    },
    "collateral_opt/io": {"collateral_opt.book", "collateral_opt.result", "collateral_opt.io"},
}
SOLVERS = {"pulp", "highspy"}
LIQUIDITY = "collateral_opt.liquidity"


def imported(file: Path) -> set[str]:
    """The modules that a file names in its imports, relative ones spelt out."""
    package = ".".join(file.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            found.add(".".join([*above, *([node.module] if node.module else [])]))
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_package_imports_only_what_stands_before_it(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder} is there"
    allowed = MAY_IMPORT[folder] | ({"eligibility_rules"} if folder == "eligibility_rules" else EVERYWHERE)
    for file in files:
        ours = {name for name in imported(file) if name.split(".")[0] in ("collateral_opt", "eligibility_rules")}
        wrong = {n for n in ours if not any(n == a or n.startswith(a + ".") for a in allowed)}
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("folder", ["collateral_opt/book", "collateral_opt/network", "collateral_opt/model"])
def test_the_mathematics_knows_no_solver(folder: str) -> None:
    for file in sorted((ROOT / folder).rglob("*.py")):
        assert not {name.split(".")[0] for name in imported(file)} & SOLVERS, file


def test_only_the_command_line_knows_of_stresses() -> None:
    for file in sorted((ROOT / "collateral_opt").rglob("*.py")):
        inside = (ROOT / "collateral_opt" / "liquidity") in file.parents
        if not inside and file.name != "cli.py":
            wrong = {name for name in imported(file) if name == LIQUIDITY or name.startswith(LIQUIDITY + ".")}
            assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


def test_stresses_know_nothing_of_the_command_line_but_what_commands_share() -> None:
    for file in sorted((ROOT / "collateral_opt" / "liquidity").rglob("*.py")):
        assert "collateral_opt.cli" not in imported(file), file
        if "commands" not in file.parts:
            assert "collateral_opt.command" not in imported(file), file
