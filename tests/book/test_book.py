"""The book: frames in one form whatever they came from, derived figures, digest, and books made of books."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from collateral_opt.book import Book, Settings
from collateral_opt.book.checks import luhn_sum
from collateral_opt.book.tables import ROW_MODELS, Kind, kind
from collateral_opt.errors import BookError
from eligibility_rules import published
from tests.book.small import Desk, found_in

IDENTIFIERS = [
    "037833100",
    "12345E10",
    "NA",
    "NaN",
    "null",
    "None",
    "TRUE",
    "=1+1",
    "-5",
    "1e5",
    "007",
    "Ä 1",
    "nan",
]


def desk_of_holdings(identifiers: list[str]) -> Desk:
    desk = Desk()
    desk.rows["holdings"] += [
        {
            "holding_id": name,
            "asset_id": "EUR",
            "quantity": "1",
            "cost_bps": "",
            "location": "",
            "ready_at": "",
        }
        for name in identifiers
    ]
    return desk


# --------------------------------------------------------------------------------------------- frames


def test_every_column_is_there_with_its_kind_even_where_the_table_is_not() -> None:
    desk = Desk()
    for name in ("posted", "facilities", "reserves", "costs", "pins", "cash_returns", "locations"):
        desk.rows.pop(name)
    for row in desk.rows["holdings"]:
        row["location"] = ""
    dtypes = {
        Kind.TEXT: "object",
        Kind.CLOCK: "object",
        Kind.NUMBER: "float64",
        Kind.BOOLEAN: "bool",
        Kind.TIME: "datetime64[ns, UTC]",
        Kind.DATE: "datetime64[ns]",
    }
    book = desk.book()
    for name, model in ROW_MODELS.items():
        frame = getattr(book, name)
        for column, info in model.model_fields.items():
            assert str(frame[column].dtype) == dtypes[kind(info)], (name, column)
        assert isinstance(frame.index, pd.RangeIndex)
    assert str(book.calls["due_date"].dtype) == "datetime64[ns]"


def test_an_empty_cell_takes_its_documented_default_or_stays_unknown() -> None:
    book = Desk().book()
    assert book.assets["price"].tolist() == [1.0, 98.5, 101.0]
    assert book.assets["price_factor"].tolist() == [1.0, 0.01, 0.01]
    assert book.assets["issuer"].tolist() == [None, "Germany", "Treasury"]
    assert book.holdings["settle_hours"].tolist() == [0.0, 2.0, 24.0]
    assert book.holdings["ready_at"].isna().tolist() == [True, False, True]
    assert book.agreements["base_currency"].tolist() == ["EUR", "USD"]
    assert np.isnan(book.agreements["max_lines"].tolist()[1])
    assert book.agreements["minimum_transfer"].tolist() == [0.0, 0.0]
    assert book.calls["margin_type"].tolist() == ["vm", None]
    assert book.posted["recall_hours"].tolist() == [0.0]
    assert book.pins["forbid"].tolist() == [False] and np.isnan(book.pins["quantity"].tolist()[0])
    assert book.settings.day_count == 360 and book.settings.max_moves is None


def test_an_agreement_without_currency_counts_in_the_books() -> None:
    desk = Desk()
    desk.rows["agreements"][1]["base_currency"] = ""
    assert desk.book().agreements["base_currency"].tolist() == ["EUR", "EUR"]


def test_times_become_utc_and_the_due_date_is_the_one_written() -> None:
    desk = Desk()
    # 00:30 in Tokyo is the evening before in UTC
    desk.rows["calls"][0]["due"] = "2026-04-01T00:30:00+09:00"
    calls = desk.book().calls
    assert calls["due"][0] == pd.Timestamp("2026-03-31T15:30:00Z")
    assert calls["due_date"][0] == pd.Timestamp("2026-04-01")
    assert calls["due"].isna()[1] and calls["due_date"].isna()[1]


def test_columns_nobody_names_are_kept_as_numbers_or_text() -> None:
    desk = Desk()
    extra = {
        "esg_score": ["1.5", "", "-2e1"],  # numbers
        "desk_code": ["007", "12", "13"],  # a leading zero: identifiers
        "bucket": ["1", "A", ""],  # text in one cell
        "taxonomy_cfi": ["1", "2", "3"],  # a taxonomy is text
        "size": ["1", "inf", ""],  # not finite
    }
    for column, values in extra.items():
        for row, value in zip(desk.rows["assets"], values, strict=True):
            row[column] = value
    assets = desk.book().assets
    assert assets["esg_score"].dropna().tolist() == [1.5, -20.0]
    assert assets["desk_code"].tolist() == ["007", "12", "13"]
    assert assets["bucket"].tolist() == ["1", "A", None]
    assert assets["taxonomy_cfi"].tolist() == ["1", "2", "3"]
    assert assets["size"].tolist() == ["1", "inf", None]


def test_a_number_is_the_decimal_that_was_written() -> None:
    desk = Desk()
    desk.rows["holdings"][0]["quantity"] = "4999999.07"
    desk.rows["holdings"][1]["cost_bps"] = "1e-07"
    book = desk.book()
    assert Fraction(repr(book.holdings["quantity"].tolist()[0])) == Fraction("4999999.07")
    assert Fraction(repr(book.holdings["cost_bps"].tolist()[1])) == Fraction(1, 10**7)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, "", "  "])
def test_every_way_to_say_nothing_is_unknown(missing: object) -> None:
    desk = Desk()
    desk.rows["assets"][1]["isin"] = missing
    desk.rows["holdings"][1]["ready_at"] = missing
    desk.rows["holdings"][1]["cost_bps"] = missing
    book = desk.book()
    assert book.assets["isin"].tolist()[1] is None
    assert book.holdings["ready_at"].isna()[1]
    assert book.holdings["cost_bps"].tolist()[1] == 0


def test_typed_frames_and_text_give_the_same_book() -> None:
    text = Desk().book()
    desk = Desk()
    frames = desk.frames()
    frames["holdings"] = pd.DataFrame(
        {
            "holding_id": pd.Series(["H1", "H2", "H3"], dtype="category"),
            "asset_id": pd.array(["EUR", "BUND", "UST"], dtype="string"),
            "quantity": pd.array([5_000_000, 20_000_000, 3_000_000], dtype="Int64"),
            "cost_bps": np.array([10, 3, 4.5], dtype="float32"),
            "location": [float("nan"), "L1", "L1"],
            "ready_at": [pd.NaT, pd.Timestamp("2026-03-31T07:00:00Z"), None],
            "settle_hours": [None, 2, 24],
        }
    ).set_axis([9, 9, 7])
    frames["assets"] = frames["assets"].assign(
        maturity_date=pd.to_datetime(["NaT", "2031-02-15", "2034-02-28"]), price=[np.nan, 98.5, 101]
    )
    frames["posted"] = frames["posted"].assign(locked=[True], quantity=[np.int64(1000)])
    typed = Book.from_tables(frames, settings=text.settings, schedules=text.schedules)
    for name in ROW_MODELS:
        pd.testing.assert_frame_equal(getattr(typed, name), getattr(text, name))
    assert typed.digest == text.digest


def test_identifiers_survive_in_frames() -> None:
    assert desk_of_holdings(IDENTIFIERS).book().holdings["holding_id"].tolist()[3:] == IDENTIFIERS


def test_the_callers_frames_are_left_alone() -> None:
    frames = Desk().frames()
    before = {name: frame.copy() for name, frame in frames.items()}
    book = Book.from_tables(frames, settings=Desk().settings, schedules=Desk().book().schedules)
    frames["calls"].loc[0, "amount"] = "1"
    assert book.calls["amount"].tolist() == [750000.0, 100000.0]
    for name in set(frames) - {"calls"}:
        pd.testing.assert_frame_equal(frames[name], before[name])


# ------------------------------------------------------------------------------------------- findings


def test_all_findings_come_at_once_over_tables_schedules_and_settings() -> None:
    desk = Desk()
    desk.settings["scope"] = "everything"
    desk.schedules["vm.yaml"] = "name: vm\nrules: [{label: a, haircut: 2}]\n"
    desk.rows["assets"][1]["asset_type"] = "bond"
    desk.rows["assets"][2]["price"] = "1,01"
    desk.rows["holdings"][0]["asset_id"] = "CHF"
    desk.rows["holdings"][2]["quantity"] = ""
    desk.rows["calls"][0]["amount"] = "-1"
    desk.rows["calls"][0]["currency"] = "GBP"
    desk.rows["calls"][1]["due"] = "tomorrow"
    with pytest.raises(BookError) as raised:
        desk.book()
    assert [(f.code, f.table, f.row, f.column) for f in raised.value.findings] == [
        ("E101", "holdings", 4, "quantity"),
        ("E102", "assets", 4, "price"),
        ("E104", "calls", 2, "amount"),
        ("E106", "assets", 3, "asset_type"),
        ("E106", "settings", None, "scope"),
        ("E108", "calls", 3, "due"),
        ("E302", "holdings", 2, "asset_id"),
        ("E401", "fx", None, "currency"),
        ("E501", "schedules/vm", None, "rule 1 'a'"),
    ]
    assert "9 error(s)" in str(raised.value) and "E108 calls row 3, due: tomorrow" in str(raised.value)


def test_one_slip_is_not_reported_twice() -> None:
    """A column, a table or a cell that cannot be read says nothing about what refers to it."""
    for table in ("assets", "holdings", "agreements", "calls"):
        desk = Desk()
        del desk.rows[table]
        assert [f.code for f in found_in(desk)] == ["E203"], table
    for table, column in (("assets", "asset_id"), ("agreements", "schedule"), ("assets", "currency")):
        desk = Desk()
        desk.rows[table] = [{c: v for c, v in row.items() if c != column} for row in desk.rows[table]]
        assert [f.code for f in found_in(desk) if f.severity == "error"] == ["E204"], (table, column)
    for table, row, column in (
        ("assets", 1, "price"),
        ("fx", 0, "rate"),
        ("fx", 0, "currency"),
        ("calls", 0, "due"),
    ):
        desk = Desk()
        desk.rows[table][row][column] = "?"
        assert len(found_in(desk)) == 1, (table, column)


def test_numbers_for_identifiers_are_one_finding_a_column_and_the_rest_is_still_checked() -> None:
    desk = Desk()
    frames = desk.frames()
    frames["assets"]["asset_id"] = [1, 2, 3]
    frames["holdings"]["asset_id"] = ["1", "2", "4"]
    for name in ("posted", "facilities", "costs"):
        del frames[name]
    with pytest.raises(BookError) as raised:
        Book.from_tables(frames, settings=desk.settings, schedules={"vm": desk.book().schedules["vm"]})
    assert [(f.code, f.table, f.row) for f in raised.value.findings] == [
        ("E111", "assets", None),
        ("E302", "holdings", 4),
    ]
    assert "dtype=str" in raised.value.findings[0].action


def test_stripping_spaces_may_make_two_identifiers_one() -> None:
    desk = Desk()
    desk.rows["holdings"].append(dict(desk.rows["holdings"][0], holding_id="H1 "))
    assert [(f.code, f.row) for f in found_in(desk)] == [("E301", 5), ("N131", 5)]


def test_warnings_stay_with_the_book() -> None:
    desk = Desk()
    desk.rows["calls"][0]["due"] = "2026-03-31T08:00:00+02:00"
    assert [(f.code, f.severity) for f in desk.book().findings] == [("W603", "warning")]


def test_rates_are_only_asked_for_what_is_in_play() -> None:
    desk = Desk()
    desk.rows["assets"].append(dict(desk.rows["assets"][2], asset_id="GILT", currency="GBP", price="", isin=""))
    assert found_in(desk) == []
    desk.rows["holdings"].append(dict(desk.rows["holdings"][2], holding_id="H4", asset_id="GILT"))
    assert [(f.code, f.row) for f in found_in(desk)] == [("E401", None), ("E403", 5)]


def test_an_extra_column_that_a_schedule_speaks_of_is_no_slip() -> None:
    desk = Desk()
    for row in desk.rows["assets"]:
        row["sectors"] = "x"
    assert [f.code for f in found_in(desk)] == ["W122"]
    desk.schedules["vm.yaml"] = "name: vm\nrules: [{haircut: 0, when: {sectors: x}}]\n"
    assert found_in(desk) == []


def test_the_isin_sum_by_hand() -> None:
    # U = 30, S = 28: the digits are 3 0 2 8 0 3 7 8 3 3 1 0 0 5. From the right every second one doubles,
    # 14 counts as 1 + 4: 5 + 0 + 0 + 2 + 3 + 6 + 8 + 5 + 3 + 0 + 8 + 4 + 0 + 6 = 50.
    codes = np.array(["US0378331005"], dtype="U12").view(np.uint32).reshape(-1, 12)
    assert luhn_sum(codes).tolist() == [50]


# ------------------------------------------------------------------------------------ derived figures


def test_unit_values_and_lot_sizes_by_hand() -> None:
    desk = Desk()
    desk.rows["fx"].append({"currency": "JPY", "rate": "0.006"})
    desk.rows["assets"].append({"asset_id": "JPY", "asset_type": "cash", "currency": "JPY"})
    desk.rows["assets"].append(
        {
            "asset_id": "DAX1",
            "asset_type": "equity",
            "currency": "EUR",
            "price": "50",
            "lot_size": "10",
            "issuer": "D",
        }
    )
    for row in desk.rows["assets"]:
        for column in ("price", "price_factor", "lot_size", "issuer"):
            row.setdefault(column, "")
    book = desk.book()
    # 1; 98.5 * 0.01; 101 * 0.01 * 0.9; 0.006; 50
    assert book.unit_values == pytest.approx([1, 0.985, 0.909, 0.006, 50], abs=1e-15)
    # cents, units, units, whole yen, as given
    assert book.lot_sizes.tolist() == [0.01, 1.0, 1.0, 1.0, 10.0]
    assert book.rates == {"EUR": 1.0, "USD": 0.9, "JPY": 0.006}


# --------------------------------------------------------------------------------------------- digest


def test_the_digest_does_not_depend_on_the_order_of_rows_and_columns() -> None:
    desk = Desk()
    before = desk.book().digest
    for name, rows in desk.rows.items():
        desk.rows[name] = [dict(reversed(row.items())) for row in reversed(rows)]
    assert desk.book().digest == before


def test_a_book_keeps_the_digest_that_it_had_before_there_were_positions() -> None:
    # as it was given out then; results on file name it
    assert Desk().book().digest == "7ac9edfc700b22d9a70891fac518aedf69c561e9e0d1f295afe8f4378389571d"


def test_a_default_written_out_does_not_change_the_digest() -> None:
    desk = Desk()
    before = desk.book().digest
    for row in desk.rows["holdings"]:
        row["settle_hours"] = row["settle_hours"] or "0"
        row["quantity"] += ".00"
    desk.settings["day_count"] = "360"
    assert desk.book().digest == before


@pytest.mark.parametrize("change", ["cell", "row twice", "setting", "schedule", "moved cell"])
def test_the_digest_changes_with_the_content(change: str) -> None:
    desk = Desk()
    before = desk.book().digest
    if change == "cell":
        desk.rows["calls"][0]["amount"] = "750000.01"
    elif change == "row twice":
        desk.rows["posted"].append(dict(desk.rows["posted"][0]))
    elif change == "setting":
        desk.settings["horizon_days"] = "2"
    elif change == "schedule":
        desk.schedules["vm.yaml"] = desk.schedules["vm.yaml"].replace("0.02", "0.03")
    else:
        first, second = desk.rows["holdings"][:2]
        first["cost_bps"], second["cost_bps"] = second["cost_bps"], first["cost_bps"]
    assert desk.book().digest != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{all: [{asset_type: debt}, {currency: EUR}]}", "{any: [{asset_type: debt}, {currency: EUR}]}"),
        ("{own_issue: true}", "{domestic_currency: true}"),
    ],
)
@pytest.mark.parametrize("where", ["schedule", "house limit"])
def test_the_digest_tells_criteria_apart_that_differ_in_their_word_alone(one: str, other: str, where: str) -> None:
    digests = set()
    for when in (one, other):
        desk = Desk()
        if where == "schedule":
            desk.schedules["vm.yaml"] = f"rules:\n  - when: {when}\n    haircut: 0.02\n"
            digests.add(desk.book().digest)
        else:
            limit = {"label": "l", "select": yaml.safe_load(when), "of": "held", "max": 0.5}
            digests.add(desk.book().replace(house_limits=[limit]).digest)
    assert len(digests) == 2


# ------------------------------------------------------------------------------------ books of books


def test_a_book_is_frozen_and_travels() -> None:
    book = Desk().book()
    with pytest.raises(FrozenInstanceError):
        book.calls = book.calls  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        book.settings.scope = "reoptimise"
    assert pickle.loads(pickle.dumps(book)).digest == book.digest


def test_a_copy_elsewhere_has_nothing_that_was_worked_out_here() -> None:
    book = Desk().book()
    assert book.asset_facts.text("asset_id").values and book.in_full is book
    assert "asset_facts" in vars(book)
    assert vars(pickle.loads(pickle.dumps(book))).keys() == {part.name for part in fields(Book)}


def test_replace_changes_what_it_names_and_checks_again() -> None:
    book = Desk().book()
    doubled = book.replace(calls=book.calls.assign(amount=book.calls["amount"] * 2), settings={"horizon_days": 30})
    assert doubled.calls["amount"].tolist() == [1_500_000.0, 200_000.0]
    assert doubled.settings.horizon_days == 30 and doubled.settings.as_of == book.settings.as_of
    assert book.calls["amount"].tolist() == [750_000.0, 100_000.0]
    with pytest.raises(BookError, match="E302 holdings row 4"):
        book.replace(assets=book.assets.iloc[:2])
    with pytest.raises(BookError, match="E104 calls row 2"):
        book.replace(calls=book.calls.assign(amount=-1.0))
    with pytest.raises(BookError, match="E502"):
        book.replace(agreements=book.agreements.assign(schedule="other"))
    other = {"name": "other", "rules": [{"haircut": 0.5}]}
    changed = book.replace(agreements=book.agreements.assign(schedule="other"), schedules={"other": other})
    assert set(changed.schedules) == {"vm", "other"}
    with pytest.raises(BookError, match="E214 call"):
        book.replace(call=book.calls)
    with pytest.raises(BookError, match="E703"):
        book.replace(settings={"horizn": 1})


def test_replacing_frames_with_themselves_is_the_same_book() -> None:
    desk = Desk()
    desk.rows["calls"][0]["due"] = "2026-04-01T00:30:00+09:00"
    book = desk.book()
    same = book.replace(**{name: getattr(book, name) for name in ROW_MODELS})
    for name in ROW_MODELS:
        pd.testing.assert_frame_equal(getattr(same, name), getattr(book, name))
    again = Book.from_tables(
        {name: getattr(book, name) for name in ROW_MODELS}, settings=book.settings, schedules=book.schedules
    )
    assert same.digest == again.digest == book.digest


def test_a_due_that_moves_takes_its_date_along() -> None:
    desk = Desk()
    desk.rows["calls"][0]["due"] = "2026-04-01T12:00:00+02:00"
    book = desk.book()
    moved = book.replace(calls=book.calls.assign(due=book.calls["due"] + pd.Timedelta(days=1)))
    assert moved.calls["due_date"][0] == pd.Timestamp("2026-04-02")


def test_settings_can_be_built_alone() -> None:
    settings = Settings(as_of="2026-03-31T09:00:00+02:00", base_currency="EUR", max_moves=3)
    assert settings.as_of == datetime.fromisoformat("2026-03-31T09:00:00+02:00")
    assert settings.as_of.date().isoformat() == "2026-03-31" and settings.max_moves == 3


def test_a_published_schedule_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "ccp-x.yaml").write_text("name: ccp-x\nrules: [{haircut: 0.1}]\n")
    (tmp_path / "secret.yaml").write_text("name: secret\nrules: [{haircut: 0.1}]\n")
    monkeypatch.setattr(published, "files", lambda package: tmp_path / "published")
    desk = Desk()
    desk.rows["agreements"][0]["schedule"] = "ccp-x"
    assert set(desk.book().schedules) == {"vm", "ccp-x"}
    for outside in ("../secret", "secret", "published/ccp-x"):
        desk.rows["agreements"][0]["schedule"] = outside
        assert [f.code for f in found_in(desk)] == ["E502"]
