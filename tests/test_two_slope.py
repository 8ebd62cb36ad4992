"""A haircut that doubles above a share of the requirement: the schedule, and a facility for its second slope."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.test_examples import EXAMPLES, Run, changed


def test_two_slope(tmp_path: Path) -> None:
    run = Run("two-slope", tmp_path / "out")
    assert (run.status, run.errors) == (0, "")
    # 150,000 / 930 down to 161 lots; the other 339 at 860; 158,730 / 970 up to 164, the excess of 350 is not delivered
    assert run.lines == [
        ("DEPOSIT", "MBS", "161000", "161000.00", "149730.00", "2.68"),
        ("DEPOSIT", "NOTE", "164000", "164000.00", "159080.00", "5.47"),
        ("DEPOSIT", "GSD-OVER", "291190", "291190.00", "291190.00", "0.00"),
    ]
    (over,) = run.table("financing")
    assert [over[c] for c in ("asset_id", "quantity", "haircut", "proceeds", "cost")] == [
        "MBS", "339000", "0.14", "291540.00", "5.65",
    ]  # fmt: skip
    assert run.summary["total_cost"] == pytest.approx((500 * 2 + 164 * 4) / 120, abs=1e-9)
    (slope,) = run.table("limits")
    assert (slope["used"], slope["cap"], slope["shadow_price"]) == ("149730.00", "150000.00", "0.310387")
    assert float(slope["shadow_price"]) == pytest.approx((1 - 0.86 / 0.93) * 4 / 0.97, abs=1e-6)
    assert run.column("calls", "call_id", "marginal_cost_bps") == {"DEPOSIT": "4.046115"}


def test_without_the_facility_the_first_slope_is_a_hard_cap(tmp_path: Path) -> None:
    book = shutil.copytree(EXAMPLES / "two-slope", tmp_path / "book")
    (book / "facilities.csv").unlink()
    run = Run(book, tmp_path / "out")
    assert run.status == 0
    # 450,270 / 970 up to 465 lots
    assert [line[1:3] for line in run.lines] == [("MBS", "161000"), ("NOTE", "465000")]
    assert run.summary["total_cost"] == pytest.approx((161 * 2 + 465 * 4) / 120, abs=1e-9)


def test_own_issues_count_less_on_both_slopes(tmp_path: Path) -> None:
    """At 14 % and 21 %: 150,000 / 860 down to 174 lots, 149,640; the other 326 at 790 are 257,540; 192,820 / 970 up
    to 199 lots."""
    book = changed("two-slope", tmp_path / "book", "settings.yaml", "Southgate Bank", "FNMA")
    run = Run(book, tmp_path / "out")
    assert run.status == 0
    assert [line[1:3] for line in run.lines][:2] == [("MBS", "174000"), ("NOTE", "199000")]
    assert [(row["quantity"], row["haircut"]) for row in run.table("financing")] == [("326000", "0.21")]
