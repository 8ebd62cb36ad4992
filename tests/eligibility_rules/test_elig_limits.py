"""What limits count, how they group, and what caps them."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eligibility_rules import Context, LimitMatch, ScheduleError, load_schedule, match_limits, parse_schedule

EUR = Context(date(2026, 7, 1), "EUR")
FRAME = pd.DataFrame(
    {
        "asset_id": ["b", "a", "c", "d"],
        "asset_type": ["debt", "debt", "equity", None],
        "issuer": ["Z", None, "A", "A"],
        "outstanding": [1000.0, np.nan, 500.0, 10.0],
        "market_cap": [5e6, 6e6, np.nan, 7.0],
        "adv": [1.0, 2.0, 3.0, 4.0],
    },
)
for _column in ("asset_id", "asset_type", "issuer"):
    FRAME[_column] = pd.Series(FRAME[_column].where(FRAME[_column].notna(), None), dtype=object)


def one(limit: dict[str, Any], frame: pd.DataFrame = FRAME) -> LimitMatch:
    (found,) = match_limits(parse_schedule({"rules": [{"haircut": 0}], "limits": [limit]}, "s"), frame, EUR)
    return found


def test_groups_are_sorted_and_unknowns_form_one() -> None:
    frame = pd.concat([FRAME, FRAME], ignore_index=True)
    found = one({"group_by": "issuer", "of": "requirement", "max": "0.25"}, frame)
    assert found.groups == ("(unknown)", "A", "Z")
    assert found.group.tolist() == [2, 0, 1, 1] * 2
    assert found.counts.tolist() == [True] * 8


@pytest.mark.parametrize(
    ("issuers", "groups", "group"),
    [
        (["Z", None, "(b", "A"], ("(b", "(unknown)", "A", "Z"), [3, 1, 0, 2]),
        (["Z", None, "(unknown)", "(z"], ("(unknown)", "(z", "Z"), [2, 0, 0, 1]),
        (["Z", "(unknown)", "A", "A"], ("(unknown)", "A", "Z"), [2, 0, 1, 1]),
        (["!", None, "!", None], ("!", "(unknown)"), [0, 1, 0, 1]),
    ],
)
def test_the_unknown_group_stands_where_its_name_does(
    issuers: list[str | None], groups: tuple[str, ...], group: list[int]
) -> None:
    found = one(
        {"group_by": "issuer", "of": "requirement", "max": "0.25"},
        FRAME.assign(issuer=pd.Series(issuers, dtype=object)),
    )
    assert (found.groups, found.group.tolist()) == (groups, group)


def test_an_asset_whose_selection_is_unknown_counts() -> None:
    found = one({"group_by": "issuer", "select": {"asset_type": "debt"}, "of": "requirement", "max": "0.25"})
    assert found.counts.tolist() == [True, True, False, True]
    assert found.groups == ("(unknown)", "A", "Z")
    assert found.group.tolist() == [2, 0, -1, 1]


def test_group_by_none_is_one_group_without_a_name() -> None:
    found = one({"select": {"asset_type": "debt"}, "of": "posted", "max": "0.5", "measure": "value_after_haircut"})
    assert (found.groups, found.group.tolist(), found.measure) == (
        ("",),
        [0, 0, -1, 0],
        "value_after_haircut",
    )
    assert (found.caps[0].of, found.caps[0].share) == ("posted", 0.5)


def test_group_by_asset_and_by_a_number() -> None:
    found = one({"group_by": "asset", "of": "money", "max": {"amount": 50000000, "currency": "USD"}})
    assert (found.groups, found.group.tolist()) == (("a", "b", "c", "d"), [1, 0, 2, 3])
    assert (found.caps[0].of, found.caps[0].amount, found.caps[0].currency) == ("money", 50e6, "USD")
    by_number = one({"group_by": "adv", "of": "posted", "max": 1})
    assert by_number.groups == ("1", "2", "3", "4")


def test_caps_by_asset_carry_the_assets_own_figure() -> None:
    found = one(
        {
            "label": "cap",
            "group_by": "asset",
            "caps": [
                {"of": "money", "max": {"amount": "2.5", "currency": "USD"}},
                {"of": "outstanding", "max": "0.025"},
                {"of": "adv", "max": 2},
                {"of": "market_cap", "max": "0.1"},
            ],
        }
    )
    money, outstanding, adv, market_cap = found.caps
    assert (money.of, money.amount, money.per_asset) == ("money", 2.5, None)
    assert (outstanding.of, outstanding.share) == ("units", 0.025)
    assert outstanding.per_asset is not None and np.array_equal(
        outstanding.per_asset, [1000.0, np.nan, 500.0, 10.0], equal_nan=True
    )
    assert (adv.of, adv.share, adv.per_asset.tolist()) == ("units", 2.0, [1.0, 2.0, 3.0, 4.0])  # type: ignore[union-attr]
    assert (market_cap.of, market_cap.share) == ("asset_money", 0.1)
    assert found.label == "cap"


def test_assumptions_reach_groups_selections_and_caps() -> None:
    schedule = parse_schedule(
        {
            "assume": {"issuer": "A", "asset_type": "equity", "outstanding": 7},
            "rules": [{"haircut": 0}],
            "limits": [
                {"group_by": "issuer", "select": {"asset_type": "debt"}, "of": "posted", "max": 1},
                {"group_by": "asset", "of": "outstanding", "max": 1},
            ],
        },
        "s",
    )
    by_issuer, by_asset = match_limits(schedule, FRAME, EUR)
    assert (by_issuer.groups, by_issuer.group.tolist()) == (("A", "Z"), [1, 0, -1, -1])
    assert by_asset.caps[0].per_asset.tolist() == [1000.0, 7.0, 500.0, 10.0]  # type: ignore[union-attr]


def test_group_by_an_absent_known_column_is_one_unknown_group() -> None:
    found = one({"group_by": "sector", "of": "posted", "max": 1})
    assert (found.groups, found.group.tolist()) == (("(unknown)",), [0, 0, 0, 0])


def test_group_by_a_column_nobody_knows_is_an_error() -> None:
    with pytest.raises(ScheduleError, match=r"assets have no column isuer\. Did you mean issuer"):
        one({"group_by": "isuer", "of": "posted", "max": 1})


def test_nothing_counted_and_no_assets() -> None:
    found = one({"group_by": "issuer", "select": {"currency": "USD"}, "of": "posted", "max": 1}, FRAME[:0])
    assert (found.groups, len(found.counts)) == ((), 0)
    none = one({"group_by": "issuer", "select": {"adv": {"gt": 9}}, "of": "posted", "max": 1})
    assert (none.groups, none.group.tolist()) == ((), [-1] * 4)


def test_caps_of_a_list_bind_the_assets_that_have_one(tmp_path: Any) -> None:
    path = tmp_path / "list.csv"
    path.write_text("asset_id,haircut,max_quantity,max_value\na,0,100,\nb,0,,2500.50\nc,0,7,0\n")
    quantity, value = match_limits(load_schedule(path), FRAME, EUR)
    assert (quantity.label, quantity.measure) == ("max_quantity", "quantity")
    assert quantity.counts.tolist() == [False, True, True, False]
    assert (quantity.groups, quantity.group.tolist()) == (("a", "c"), [-1, 0, 1, -1])
    (cap,) = quantity.caps
    assert (cap.of, cap.share, cap.per_asset.tolist()[1:3]) == ("units", 1.0, [100.0, 7.0])  # type: ignore[union-attr]
    assert (value.label, value.measure, value.counts.tolist()) == (
        "max_value",
        "market_value",
        [True, False, True, False],
    )
    (cap,) = value.caps
    assert (cap.of, cap.currency, cap.per_asset.tolist()[::2]) == ("money", "EUR", [2500.5, 0.0])  # type: ignore[union-attr]


def test_a_list_without_caps_has_no_limits(tmp_path: Any) -> None:
    path = tmp_path / "list.csv"
    path.write_text("asset_id,haircut,max_quantity\na,0,\n")
    assert match_limits(load_schedule(path), FRAME, EUR) == ()
