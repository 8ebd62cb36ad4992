"""House limits: how they are read, what is said about slips, and what they count in which group under which cap.

The book, by hand (in EUR, 1 USD = 0.8 EUR):

    BUND  at 98.5 %: a unit is worth 0.985     H1  1,000,000 in BOX   985,000
                                               H2    500,000          492,500 nowhere known
    UST   at 100 %:  a unit is worth 0.8       H3    200,000 in BOX   160,000
    SHARE at 50:     a unit is worth 50        H4      1,000 in VAULT  50,000
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt.book import Book
from collateral_opt.book.house import HouseLimit, parse_house_limits
from collateral_opt.book.house_groups import HouseGroups, house_groups
from collateral_opt.errors import BookError, Finding
from collateral_opt.io.read import read_book

Raw = dict[str, Any]
BUND, UST, SHARE, EUR = range(4)
H1, H2, H3, H4 = range(4)
AMOUNT: Raw = {"amount": "1000000", "currency": "USD"}


def frames() -> dict[str, pd.DataFrame]:
    return {
        "fx": pd.DataFrame({"currency": ["USD"], "rate": [0.8]}),
        "assets": pd.DataFrame(
            {
                "asset_id": ["BUND", "UST", "SHARE", "EUR"],
                "asset_type": ["debt", "debt", "equity", "cash"],
                "currency": ["EUR", "USD", "EUR", "EUR"],
                "price": [98.5, 100, 50, None],
                "price_factor": [0.01, 0.01, 1, None],
                "issuer": ["Germany", "Treasury", None, None],
                "outstanding": [2_000_000, 4_000_000, None, None],
                "adv": [100_000, 300_000, 500, None],
                "market_cap": [None, None, 90_000, None],
                "desk": ["rates", "rates", "", ""],
            }
        ),
        "holdings": pd.DataFrame(
            {
                "holding_id": ["H1", "H2", "H3", "H4"],
                "asset_id": ["BUND", "BUND", "UST", "SHARE"],
                "quantity": [1_000_000, 500_000, 200_000, 1_000],
                "location": ["BOX", None, "BOX", "VAULT"],
            }
        ),
        "agreements": pd.DataFrame(
            {
                "agreement_id": ["A1", "A2", "A3"],
                "counterparty": ["North London", "North Paris", "South"],
                "counterparty_parent": ["North", "North", None],
                "schedule": ["vm"] * 3,
            }
        ),
        "calls": pd.DataFrame({"call_id": ["C1"], "agreement_id": ["A1"], "amount": [1000], "currency": ["EUR"]}),
        "facilities": pd.DataFrame(
            {
                "facility_id": ["REPO", "FX"],
                "kind": ["repo", "fx"],
                "gives": ["EUR", "EUR"],
                "takes": ["vm", "vm"],
                "capacity": [1000, 1000],
                "counterparty": ["South", None],
            }
        ),
    }


def book(*limits: Raw, **changed: pd.DataFrame) -> Book:
    return Book.from_tables(
        {**frames(), **changed},
        settings={"as_of": "2026-03-31T09:00:00+02:00", "base_currency": "EUR"},
        schedules={"vm": {"rules": [{"label": "anything", "haircut": "0.02"}]}},
        house_limits={"limits": list(limits)},
    )


def found(*limits: Raw, **changed: pd.DataFrame) -> list[Finding]:
    try:
        return list(book(*limits, **changed).findings)
    except BookError as error:
        return list(error.findings)


def described(limit: Raw) -> HouseGroups:
    (groups,) = house_groups(book(limit))
    return groups


def most(groups: HouseGroups, cap: int = 0) -> dict[str, Fraction]:
    return dict(zip(groups.groups, groups.caps[cap].most, strict=True))


# ------------------------------------------------------------------------------------------- reading


def test_a_limit_is_read_as_it_is_written_figures_exact() -> None:
    written = {"group_by": "holding_id", "select": {"asset_type": "debt"}, "of": "held", "max": "0.9"}
    (limit,), problems = parse_house_limits({"limits": [written]})
    assert problems == []
    assert (limit.label, limit.group_by, limit.measure, limit.leaving) == ("limit 1", "holding", "market_value", True)
    assert limit.caps[0].share == Fraction(9, 10)


def test_limits_may_come_as_a_list_of_models_too() -> None:
    limit = HouseLimit.model_validate({"label": "all", "of": "money", "max": AMOUNT})
    assert parse_house_limits([limit]) == ((limit,), [])
    assert parse_house_limits(None) == ((), [])


@pytest.mark.parametrize(
    ("limit", "leaving"),
    [
        ({"group_by": "issuer", "of": "money", "max": AMOUNT}, False),
        ({"group_by": "counterparty", "of": "money", "max": AMOUNT}, False),
        ({"group_by": "asset", "caps": [{"of": "money", "max": AMOUNT}, {"of": "adv", "max": 1}]}, False),
        ({"group_by": "issuer", "of": "held", "max": "0.5"}, True),
        ({"group_by": "location", "of": "money", "max": AMOUNT}, True),
        ({"group_by": "holding", "caps": [{"of": "money", "max": AMOUNT}, {"of": "held", "max": 1}]}, True),
        ({"min_left": AMOUNT}, True),
    ],
)
def test_held_boxes_and_holdings_count_what_leaves_all_others_what_is_there(limit: Raw, leaving: bool) -> None:
    assert HouseLimit.model_validate(limit).leaving is leaving


SLIPS: list[tuple[Raw, str]] = [
    ({"of": "requirement", "max": "0.2"}, "of: requirement is a share of one agreement, and a house limit is over all"),
    ({"of": "posted", "max": "0.2"}, "Write of: money or of: held, or put the limit into a schedule."),
    ({"of": "hold", "max": "0.2"}, "of is hold, which is not known. Did you mean held?"),
    ({"max": "0.2"}, "a cap does not say of what. Add of: money | held | outstanding | market_cap | adv."),
    ({}, "has no cap. Add of: and max:, or min_left:"),
    ({"of": "held"}, "a cap has no max."),
    ({"of": "held", "max": AMOUNT}, "which does not go with of: held."),
    ({"of": "held", "max": "90"}, "max is 90 (a share of what is held is 0 to 1)."),
    ({"of": "money", "max": "0.2"}, "max is 0.2, which does not go with of: money."),
    ({"of": "money", "max": {"amount": "-1", "currency": "EUR"}}, "max is -1 (must be at least 0)."),
    ({"of": "outstanding", "max": "0.1", "group_by": "holding"}, "but group_by is holding. Write group_by: asset."),
    ({"of": "held", "max": "0.1", "group_by": "counterparty"}, "share of what is held, but group_by is counterparty."),
    ({"of": "held", "max": "0.1", "measure": "value_after_haircut"}, "what is held has no haircut"),
    ({"of": "money", "max": AMOUNT, "measure": "quantity"}, "Write group_by: asset or holding"),
    (
        {"of": "money", "max": AMOUNT, "measure": "value"},
        "measure is value, which is not known. Write one of market_value,",
    ),
    ({"of": "money", "max": AMOUNT, "caps": []}, "has caps and, beside them, of or max."),
    ({"caps": []}, "caps is not a list with a cap in it."),
    ({"caps": ["x"]}, "x is not a mapping."),
    ({"caps": [{"of": "held", "max": 1}, {"of": "money", "max": AMOUNT}]}, "Write two limits."),
    ({"min_left": AMOUNT, "max": "0.2"}, "has min_left and, beside it, max."),
    ({"min_left": AMOUNT, "group_by": "agreement"}, "min_left says what stays at home, but group_by is agreement."),
    ({"min_left": AMOUNT, "measure": "quantity"}, "min_left is a market value, but measure is quantity."),
    ({"min_left": "5000000"}, "min_left is 5000000. Write {amount: 5000000, currency: EUR}."),
    ({"min_left": {"amount": "5"}}, "currency is missing. Add currency."),
    ({"min_left": {"amount": "-5", "currency": "EUR"}}, "amount is -5 (must be at least 0)."),
    ({"of": "held", "max": 1, "group": "issuer"}, "group is not known here. Did you mean group_by?"),
    ({"of": "held", "max": 1, "group_by": ["a", "b"]}, "[a, b] is not a single value."),
    ({"of": "held", "max": 1, "select": {"asset_type": "bond"}}, "bond is not an asset_type."),
    ({"of": "held", "max": 1, "select": {"rating": {"at_lest": "A"}}}, "at_lest is not known here. Did you mean at_le"),
]


@pytest.mark.parametrize(("limit", "words"), SLIPS, ids=[words[:30] for _, words in SLIPS])
def test_a_slip_is_named_with_its_limit_and_what_to_do(limit: Raw, words: str) -> None:
    limits, problems = parse_house_limits({"limits": [{"label": "a", **limit}]})
    assert limits == ()
    assert {(p.code, p.table, p.column) for p in problems} == {("E501", "house_limits", "limit 1 'a'")}
    assert words in "\n".join(map(str, problems))


def test_every_slip_of_a_file_is_reported_at_once_and_sound_limits_are_kept() -> None:
    limits, problems = parse_house_limits(
        {"limit": [], "limits": [{"of": "posted", "max": 1}, {"of": "money", "max": AMOUNT}, "x"]}
    )
    assert [limit.label for limit in limits] == ["limit 2"]
    assert [problem.column for problem in problems] == [None, "limit 1", "limit 3"]
    assert "Did you mean limits?" in problems[0].action


@pytest.mark.parametrize("data", [{"limits": {"of": "held"}}, {"limits": None}, {}, "limits", 5])
def test_what_is_no_list_of_limits_is_refused(data: object) -> None:
    limits, problems = parse_house_limits(data)
    assert limits == ()
    assert [problem.cause for problem in problems] == ["house limits are a list under limits."]


# --------------------------------------------------------------------------------- beside the tables

HELD: Raw = {"label": "half", "of": "held", "max": "0.5"}


def test_a_column_no_asset_has_is_an_error_and_its_own_columns_are_in_use() -> None:
    (slip,) = [f for f in found({**HELD, "group_by": "isuer"}) if f.severity == "error"]
    assert str(slip) == ("E501 house_limits, limit 1 'half': assets have no column isuer. Did you mean issuer?")
    (slip,) = [f for f in found({**HELD, "select": {"desc": "rates"}}) if f.severity == "error"]
    assert slip.value == "desc"
    own = frames()["assets"].rename(columns={"desk": "sectr"})
    assert "sectr" in {f.column for f in found(HELD, assets=own) if f.code == "W122"}
    assert "sectr" not in {f.column for f in found({**HELD, "group_by": "sectr"}, assets=own) if f.code == "W122"}


def test_a_word_of_the_house_is_proposed_where_it_is_near() -> None:
    (slip,) = [f for f in found({**HELD, "group_by": "locaton"}) if f.severity == "error"]
    assert slip.action == "Did you mean location?"


def test_a_currency_without_a_rate_is_found_in_caps_and_in_what_must_stay() -> None:
    yen = {"amount": 1, "currency": "JPY"}
    (slip,) = [f for f in found({"of": "money", "max": yen}, {"min_left": yen}) if f.severity == "error"]
    assert (slip.code, slip.value) == ("E401", "JPY")
    assert "house_limits (2)" in slip.cause


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("agreements", "agreement_id"),
        ("facilities", "facility_id"),
        ("reserves", "reserve_id"),
        ("received", "received_id"),
    ],
)
def test_no_place_may_be_called_as_the_house_is_where_the_house_has_limits(table: str, column: str) -> None:
    others = {
        "reserves": pd.DataFrame({"reserve_id": ["R"], "schedule": ["vm"], "amount": [1], "currency": ["EUR"]}),
        "received": pd.DataFrame(
            {"received_id": ["R"], "agreement_id": ["A1"], "asset_id": ["BUND"], "quantity": [1], "reuse": [True]}
        ),
    }
    frame = (frames() | others)[table]
    changed = {table: frame.assign(**{column: [*frame[column][:-1], "house"]})}
    (slip,) = [f for f in found(HELD, **changed) if f.severity == "error"]
    assert (slip.code, slip.table, slip.row, slip.column) == ("E308", table, len(frame) + 1, column)
    assert [f for f in found(**changed) if f.severity == "error"] == []


def test_a_cap_that_cannot_be_told_for_a_held_asset_is_a_warning() -> None:
    (warning,) = [f for f in found({"group_by": "asset", "of": "outstanding", "max": "0.1"}) if f.code == "W522"]
    assert (warning.table, warning.column, warning.value) == ("house_limits", "limit 1", "SHARE")
    assert "2 held asset(s)" in warning.cause  # SHARE, and EUR that facilities give


def test_a_select_that_cells_do_not_allow_is_an_error() -> None:
    (slip,) = [f for f in found({**HELD, "select": {"desk": {"le": 3}}}) if f.severity == "error"]
    assert (slip.code, slip.table) == ("E501", "house_limits")


def test_house_limits_are_part_of_the_digest_and_stay_when_a_frame_is_replaced() -> None:
    plain, limited = book(), book(HELD)
    assert plain.digest != limited.digest != book({**HELD, "max": "0.6"}).digest
    assert limited.replace(calls=limited.calls).house_limits == limited.house_limits
    assert limited.replace(house_limits=[]).digest == plain.digest


# --------------------------------------------------------------------------------------------- files

LIMITS = """\
limits:
  - label: norway stays
    select: {issuer_country: NO}
    group_by: location
    min_left: {amount: 0.1, currency: EUR}
"""


def written(folder: Path, limits: str) -> Path:
    for name, frame in frames().items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "settings.yaml").write_text("as_of: 2026-03-31T09:00:00+02:00\nbase_currency: EUR\n")
    (folder / "schedules").mkdir()
    (folder / "schedules" / "vm.yaml").write_text("rules: [{haircut: 0.02}]\n")
    (folder / "house_limits.yaml").write_text(limits)
    return folder


def test_the_file_in_the_folder_is_read_scalars_as_text(tmp_path: Path) -> None:
    (limit,) = read_book(written(tmp_path, LIMITS)).house_limits
    assert limit.min_left is not None and limit.min_left.amount == Fraction(1, 10)
    assert limit.select == HouseLimit.model_validate({"select": {"issuer_country": "NO"}, **HELD}).select


def test_the_file_beside_a_workbook_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path, LIMITS)
    with pd.ExcelWriter(folder / "book.xlsx") as excel:
        for name, frame in frames().items():
            frame.to_excel(excel, sheet_name=name, index=False)
        settings = pd.DataFrame([["as_of", "2026-03-31T09:00:00+02:00"], ["base_currency", "EUR"]])
        settings.to_excel(excel, sheet_name="settings", index=False, header=["key", "value"])
    assert [limit.label for limit in read_book(folder / "book.xlsx").house_limits] == ["norway stays"]


def _renamed(folder: Path) -> None:
    (folder / "house_limits.yaml").rename(folder / "house-limits.yaml")


def _with(text: str | bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "house_limits.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_with("limits: [\n"), "E702", "line 2"),
        (_with("a: &x [*x]\n"), "E702", "recursi"),
        (_with(""), "E208", "it is empty"),
        (_with(b"limits: [{label: \xfc}]"), "E207", "byte 0xfc"),
        (_with(LIMITS + "    group_by: holding\n"), "E501", "row 6, group_by: group_by stands twice"),
        (_renamed, "W221", "Did you mean house_limits.yaml?"),
    ],
)
def test_a_slip_in_the_file_is_found(change: Callable[[Path], None], code: str, words: str, tmp_path: Path) -> None:
    folder = written(tmp_path, LIMITS)
    change(folder)
    try:
        findings = read_book(folder).findings
    except BookError as error:
        findings = error.findings
    (slip,) = [f for f in findings if f.table == "house_limits" and f.code == code]
    assert words in str(slip)


# -------------------------------------------------------------------------------- what they count


def group_of(groups: HouseGroups, asset: int, holding: int = -1, agreement: int = -1, facility: int = -1) -> str | None:
    """The name of the group in which one movement counts."""
    (group,) = groups.group_of(*(np.array([position]) for position in (asset, holding, agreement, facility)))
    return None if group < 0 else groups.groups[group]


def test_by_an_asset_column_everything_handed_over_or_posted_counts_unknown_in_one_group() -> None:
    groups = described({"group_by": "issuer", "of": "money", "max": AMOUNT})
    assert (groups.by, groups.leaving, groups.groups) == ("asset", False, ("(unknown)", "Germany", "Treasury"))
    assert group_of(groups, BUND, H1, agreement=0) == "Germany"
    assert group_of(groups, SHARE, H4, facility=1) == "(unknown)"
    assert group_of(groups, EUR, agreement=2) == "(unknown)"  # proceeds, or posted already
    assert group_of(groups, EUR, facility=1) is None  # proceeds that go into a facility
    assert most(groups)["Germany"] == 800_000


def test_what_is_not_selected_does_not_count_and_what_is_unknown_does() -> None:
    groups = described({"select": {"issuer": "Germany"}, "of": "money", "max": AMOUNT})
    assert groups.groups == ("",)
    assert [group_of(groups, asset, agreement=0) for asset in (BUND, UST, SHARE)] == ["", None, ""]


def test_counterparties_are_those_of_agreements_and_facilities() -> None:
    groups = described({"group_by": "counterparty", "of": "money", "max": AMOUNT})
    assert groups.groups == ("(unknown)", "North London", "North Paris", "South")
    assert [group_of(groups, BUND, H1, agreement=a) for a in range(3)] == ["North London", "North Paris", "South"]
    assert [group_of(groups, BUND, H1, facility=f) for f in range(2)] == ["South", "(unknown)"]
    parents = described({"group_by": "counterparty_parent", "of": "money", "max": AMOUNT})
    assert [group_of(parents, BUND, agreement=a) for a in range(3)] == ["North", "North", "South"]
    assert group_of(parents, BUND, H1, facility=0) == "South"
    agreements = described({"group_by": "agreement_id", "of": "money", "max": AMOUNT})
    assert agreements.groups == ("A1", "A2", "A3")
    assert group_of(agreements, BUND, H1, agreement=1) == "A2"
    assert group_of(agreements, BUND, H1, facility=0) is None


def test_boxes_count_what_leaves_holdings_and_a_holding_nowhere_is_in_none() -> None:
    groups = described({"group_by": "location", "of": "money", "max": AMOUNT})
    assert (groups.by, groups.leaving, groups.groups) == ("holding", True, ("BOX", "VAULT"))
    assert [group_of(groups, BUND, h, agreement=0) for h in (H1, H2)] == ["BOX", None]
    assert group_of(groups, UST, H3, facility=0) == "BOX"
    assert group_of(groups, BUND, agreement=0) is None  # posted already


@pytest.mark.parametrize(
    ("limit", "caps"),
    [
        ({"group_by": "holding", "max": "0.9"}, {"H1": 886_500, "H2": 443_250, "H3": 144_000, "H4": 45_000}),
        (
            {"group_by": "holding", "max": "0.9", "measure": "quantity"},
            {"H1": 900_000, "H2": 450_000, "H3": 180_000, "H4": 900},
        ),
        ({"group_by": "location", "max": "0.5"}, {"BOX": 572_500, "VAULT": 25_000}),
        ({"group_by": "asset", "max": "0.1"}, {"BUND": 147_750, "UST": 16_000, "SHARE": 5_000, "EUR": 0}),
        ({"group_by": "issuer", "max": "0.1"}, {"(unknown)": 5_000, "Germany": 147_750, "Treasury": 16_000}),
        ({"max": "0.2"}, {"": 337_500}),
        ({"max": "0.2", "select": {"asset_type": "debt"}, "measure": "quantity"}, {"": 340_000}),
        ({"group_by": "location", "max": "0.5", "select": {"asset_type": "equity"}}, {"VAULT": 25_000}),
    ],
)
def test_a_share_of_what_is_held_comes_to(limit: Raw, caps: Mapping[str, int]) -> None:
    assert most(described({"of": "held", **limit})) == caps


def test_what_may_leave_a_box_is_what_is_more_than_must_stay() -> None:
    groups = described({"group_by": "location", "min_left": {"amount": "1000000.5", "currency": "USD"}})
    # 985,000 + 160,000 - 800,000.40; the vault has less than that
    assert most(groups) == {"BOX": Fraction("344999.6"), "VAULT": 0}
    assert (groups.caps[0].of, groups.caps[0].amount, groups.caps[0].currency) == (
        "min_left",
        Fraction("1000000.5"),
        "USD",
    )


@pytest.mark.parametrize(
    ("measure", "of", "caps"),
    [
        ("market_value", "outstanding", {"BUND": 197_000, "UST": 320_000, "SHARE": 0}),  # 0.1 of 2m x 0.985, 4m x 0.8
        ("quantity", "adv", {"BUND": 10_000, "UST": 30_000, "SHARE": 50}),
        ("market_value", "market_cap", {"BUND": 0, "UST": 0, "SHARE": 9_000}),
        ("quantity", "market_cap", {"BUND": 0, "UST": 0, "SHARE": 180}),  # 9,000 at 50 each
    ],
)
def test_a_share_of_an_assets_own_figure_comes_to(measure: str, of: str, caps: Mapping[str, int]) -> None:
    groups = described({"group_by": "asset", "measure": measure, "of": of, "max": "0.1"})
    assert {name: value for name, value in most(groups).items() if name != "EUR"} == caps


def test_money_in_units_is_told_asset_by_asset_and_holding_by_holding() -> None:
    written = {"measure": "quantity", "of": "money", "max": {"amount": "8000", "currency": "EUR"}}
    assert most(described({"group_by": "holding", **written})) == {
        "H1": Fraction(8_000_000, 985), "H2": Fraction(8_000_000, 985), "H3": 10_000, "H4": 160,
    }  # fmt: skip
    assert most(described({"group_by": "asset", **written}))["UST"] == 10_000


def test_all_caps_of_a_limit_are_described() -> None:
    caps = [{"of": "money", "max": AMOUNT}, {"of": "held", "max": "0.5"}]
    groups = described({"group_by": "location", "caps": caps})
    assert [most(groups, cap)["BOX"] for cap in range(2)] == [800_000, 572_500]


def test_asked_about_some_assets_the_rest_still_counts_as_held() -> None:
    limited = book({"group_by": "issuer", "of": "held", "max": "0.1"})
    (groups,) = house_groups(limited, limited.assets.iloc[[SHARE, BUND]])
    assert [groups.groups[group] for group in groups.of_asset] == ["(unknown)", "Germany"]
    assert most(groups)["Treasury"] == 16_000
    assert groups.counts.tolist() == [True, True]


def test_limits_of_one_label_are_told_apart_and_a_book_without_any_has_none() -> None:
    assert [groups.label for groups in house_groups(book(HELD, HELD))] == ["half", "half (2)"]
    assert house_groups(book()) == []
