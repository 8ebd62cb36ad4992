"""The file of stresses: every key is read, and everything that is wrong with a file is said at once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from collateral_opt.errors import BookError, UsageError
from collateral_opt.liquidity.stress import StressFile, read_stresses

WHOLE = """
exposures: exposures.csv
ratings: {us: A, CSA1: BBB+}
calls: replace
receipts: count
order: [CASH, LINE]
stresses:
  fall:
    shocks:
      - {of: equity, value: -20%}
      - {of: {position_id: TECH}, value: -25%, on: both}
      - {factor: rates_vol, by: +0.02}
    revalue: base-20
    values: {TY: -31000000}
    variation_margin: {TY: -1000000.50}
    initial_margin:
      - {of: all, multiplier: 1.2, add: 7}
      - {agreement: CCP, add: 2000000}
    downgrade: {us: 2}
    due: {vm: +8h, CCP: 2026-03-25T09:00:00-04:00}
    book: ["facility:LINE.capacity=-50%"]
  nothing: {values: {NO: 1}}
"""
EXPOSURES = "agreement_id,currency,exposure,held_by_us,held_by_them\nCSA1,USD,-12000000,0,2000000\n"


def written(folder: Path, text: str, exposures: str = EXPOSURES) -> Path:
    (folder / "exposures.csv").write_text(exposures, encoding="utf-8")
    path = folder / "stresses.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def wrong(**stress: Any) -> list[str]:
    """What is said of a file with one stress called s."""
    with pytest.raises(UsageError) as caught:
        StressFile.from_mapping({"stresses": {"s": stress}})
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_every_key_is_read(tmp_path: Path) -> None:
    file = read_stresses(written(tmp_path, WHOLE))
    assert list(file.stresses) == ["fall", "nothing"]
    assert file.exposures is not None and file.exposures["exposure"].tolist() == ["-12000000"]
    assert (file.calls, file.receipts, dict(file.ratings)) == ("replace", "count", {"us": "A", "CSA1": "BBB+"})
    assert dict(file.sections) == {"order": ["CASH", "LINE"]} and file.folder == tmp_path
    fall = file.stress("fall")
    assert [shock.share for shock in fall.shocks] == [Fraction(-1, 5), Fraction(-1, 4), 0]
    assert [shock.on for shock in fall.shocks] == ["positions", "both", "positions"]
    assert [shock.is_own for shock in fall.shocks] == [False, True, False]
    assert (fall.shocks[2].factor, fall.shocks[2].by) == ("rates_vol", Fraction(1, 50))
    assert (fall.revalue, fall.values["TY"]) == ("base-20", -31_000_000)
    assert fall.variation_margin["TY"] == Fraction("-1000000.5")
    assert (fall.initial_margin[0].multiplier, fall.initial_margin[0].add) == (Fraction(6, 5), 7)
    assert (fall.initial_margin[1].agreement, fall.initial_margin[1].add) == ("CCP", 2_000_000)
    assert dict(fall.downgrade) == {"us": 2} and sorted(fall.due) == ["CCP", "vm"]
    assert [str(change) for change in fall.book] == ["facility:LINE.capacity=-50%"]
    # `NO` is a position here, not the absence of one
    assert list(file.stress("nothing").values) == ["NO"]


def test_the_only_stress_needs_no_name_and_a_slip_in_one_is_told() -> None:
    one = StressFile.from_mapping({"stresses": {"fall": {"values": {"A": 1}}}})
    assert one.stress().name == "fall"
    with pytest.raises(UsageError, match="there is no stress 'fal'"):
        one.stress("fal")
    two = StressFile.from_mapping({"stresses": {"fall": {"values": {"A": 1}}, "rise": {"values": {"A": 2}}}})
    with pytest.raises(UsageError, match="The stresses are fall, rise"):
        two.stress()


@pytest.mark.parametrize(
    ("stress", "said"),
    [
        ({"shocks": [{"of": "equity", "value": "-20"}]}, "-20 is no relative move"),
        ({"shocks": [{"of": "equity", "value": "-101%"}]}, "would take a price through zero"),
        ({"shocks": [{"of": "equity"}]}, "either of a class or of a factor"),
        ({"shocks": [{"of": "equity", "value": "-1%", "factor": "x", "by": 1}]}, "either of a class or of a factor"),
        ({"shocks": [{"factor": "x", "by": 1, "on": "both"}]}, "a factor moves positions only"),
        ({"shocks": [{"factor": "x", "by": 1}, {"factor": "x", "by": 2}]}, "the factor x moves twice"),
        ({"initial_margin": [{"multiplier": 2}]}, "needs one of of and agreement"),
        ({"initial_margin": [{"of": "all", "to": 2, "add": 3}]}, "initial_margin has add and to"),
        ({"initial_margin": [{"agreement": "A", "multiplier": 2}]}, "Write add"),
        ({"initial_margin": [{"of": "all", "multiplier": -1}]}, "below zero"),
        ({"downgrade": {"us": "0"}}, "downgrade"),
        ({"due": {"vm": "8h"}}, "8h is no time"),
        ({"values": {"A": "1,000"}}, "1,000 is not a number"),
        ({"book": ["facility:LINE.capacty=1"]}, "Did you mean capacity?"),
        ({"shcks": []}, "shcks is not known here"),
    ],
)
def test_what_cannot_be_meant_is_refused(stress: dict[str, Any], said: str) -> None:
    (line,) = wrong(**stress)
    assert said in line and line.startswith(("s, ", "s: ")), line


def test_all_of_it_at_once(tmp_path: Path) -> None:
    text = (
        "ratings: {us: A9}\nstreses: {}\nstresses:\n"
        "  a: {shocks: [{of: x, value: 5}], values: {P: y}}\n  b:\n  a: {values: {P: 1}}\n"
    )
    with pytest.raises(UsageError) as caught:
        read_stresses(written(tmp_path, text))
    said = str(caught.value)
    for part in ("A9 is no rating", "streses is not known", "b: says nothing", "line 6: a stands twice"):
        assert part in said, said


@pytest.mark.parametrize("text", ["", "- a\n", "stresses: {}\n", "calls: keep\n"])
def test_a_file_without_a_stress_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="there is no stress in it"):
        read_stresses(written(tmp_path, text))


def test_files_that_are_not_there_or_no_tables_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        read_stresses(tmp_path / "nowhere.yaml")
    with pytest.raises(BookError, match="R206"):
        read_stresses(written(tmp_path, WHOLE, EXPOSURES.splitlines()[0] + "\n"))
