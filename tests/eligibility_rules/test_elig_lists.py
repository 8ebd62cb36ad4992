"""Lists of others as list schedules: figures exact or refused, identifiers checked, codes of assets known."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from eligibility_rules import Context, ScheduleError, icad, load_schedule, match
from eligibility_rules.lists import ListColumns, ListRead, cusip_problem, isin_problem, read_list, us_isin
from eligibility_rules.writing import csv_text

# Known pairs: Apple, Treasury note 2.875 % May 2028, Microsoft
APPLE, NOTE, MICROSOFT = "US0378331005", "US9128284N73", "US5949181045"
PLAIN = ListColumns(isin="ISIN", haircut="HAIRCUT", percent=True)


def read(tmp_path: Path, text: str | bytes, columns: ListColumns = PLAIN) -> ListRead:
    path = tmp_path / "ccp.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_list(path, columns)


def haircuts(found: ListRead) -> dict[str, Fraction | None]:
    return {row.isin or row.asset_id or "": row.haircut for row in found.schedule.listing}


def problems(tmp_path: Path, text: str | bytes, columns: ListColumns = PLAIN) -> list[str]:
    with pytest.raises(ScheduleError) as failed:
        read(tmp_path, text, columns)
    return [f"{problem.where}: {problem.message}" for problem in failed.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        f"ISIN,NAME,HAIRCUT\n{NOTE},T-note,2.5\n{APPLE},Apple,15\n",
        f"ISIN;NAME;HAIRCUT\n{NOTE};T-note;2,5\n{APPLE};Apple;15,0\n",
        f"ISIN\tNAME\tHAIRCUT\n{NOTE}\tT-note\t2.5 %\n{APPLE}\tApple\t15 %\n",
        f"\ufeffISIN;NAME;HAIRCUT\r\n{NOTE};T-note;2.50\r\n\r\n{APPLE};Apple;15\r\n",
        f'Eligible collateral\nas of,1 July 2026\n\nISIN,NAME,HAIRCUT\n{NOTE},"T-note, long",2.5\n{APPLE},Apple,15\n',
        f"ISIN\tNAME\tHAIRCUT\n{NOTE}\tT-note\t2.5\n{APPLE}\tApple\t15\n".encode("utf-16"),
        f'"ISIN", "NAME", "HAIRCUT"\n"{NOTE}", "T-note, long", "2.5"\n"{APPLE}", "Apple", "15"\n',
    ],
    ids=["commas", "decimal commas", "tabs and signs", "mark and dots", "lines above", "UTF-16", "blanks"],
)
def test_files_of_many_makes_say_the_same(tmp_path: Path, text: str | bytes) -> None:
    found = read(tmp_path, text)
    assert haircuts(found) == {APPLE: Fraction(15, 100), NOTE: Fraction(25, 1000)}
    assert found.schedule.name == "ccp" and found.unread == ("NAME",) and found.doubts == ()
    assert csv_text(found.schedule) == f"isin,haircut\n{APPLE},0.15\n{NOTE},0.025\n"


def test_what_is_written_is_read_and_matched(tmp_path: Path) -> None:
    columns = ListColumns(
        isin="ISIN", valuation="VALUE", percent=True, eligible=("STATUS", ("A", "active")), max_value="CAP"
    )
    text = f"ISIN;VALUE;STATUS;CAP\n{NOTE};97,5;Active;1.000.000,50\n{APPLE};85;suspended;\n{MICROSOFT};80,25;a;\n"
    (tmp_path / "out.csv").write_text(csv_text(read(tmp_path, text, columns).schedule))
    schedule = load_schedule(tmp_path / "out.csv")
    assert [row.max_value for row in schedule.listing] == [None, None, Fraction(2_000_001, 2)]
    assets = pd.DataFrame({"asset_id": list("abc"), "isin": [NOTE, APPLE, MICROSOFT]})
    found = match(schedule, assets, Context(date(2026, 7, 1), "EUR"))
    assert found.eligible.tolist() == [True, False, True]
    assert sorted(found.factors) == [Fraction("0.8025"), Fraction("0.975")]


def test_cusips_become_isins(tmp_path: Path) -> None:
    columns = ListColumns(cusip="CUSIP", haircut="H")
    found = read(tmp_path, "CUSIP,H\n9128284N7,0.02\n037833100,0.15\n594918104,0.15\n", columns)
    assert haircuts(found) == {APPLE: Fraction("0.15"), NOTE: Fraction("0.02"), MICROSOFT: Fraction("0.15")}
    assert problems(tmp_path, "CUSIP,H\n9128284N8,0.02\nG0585R106,0.1\n9.12828E+15,0.1\n", columns) == [
        "line 2: 9128284N8 is not a CUSIP: its check digit would be 7",
        "line 3: G0585R106 is a CINS, of a security from outside the United States and Canada",
        "line 4: 9.12828E+15 is not a CUSIP of nine characters",
    ]
    both = ListColumns(isin="ISIN", cusip="CUSIP", haircut="H")
    assert haircuts(read(tmp_path, f"ISIN,CUSIP,H\n,037833100,0.1\n{NOTE},,0.2\n", both)) == {
        APPLE: Fraction("0.1"),
        NOTE: Fraction("0.2"),
    }


def test_identifiers_are_checked() -> None:
    for isin in (APPLE, NOTE, MICROSOFT, "DE0001102580", "GB0002634946", "FR0000131104"):
        assert isin_problem(isin) == ""
    assert isin_problem("US0378331006") == "US0378331006 is not an ISIN: its check digit would be 5"
    assert isin_problem("037833100") == "037833100 is not an ISIN"
    assert cusip_problem("037833100") == "" and us_isin("9128284N7") == NOTE


def test_a_line_twice_is_one_line_unless_they_differ(tmp_path: Path) -> None:
    found = read(tmp_path, f"ISIN,HAIRCUT\n{APPLE},15\n{NOTE},2\n{APPLE},15.0\n")
    assert len(found.schedule.listing) == 2 and found.repeated == 1
    assert problems(tmp_path, f"ISIN,HAIRCUT\n{APPLE},15\n{NOTE},2\n{APPLE},16\n") == [
        f"line 4: {APPLE} stands on line 2 already, with another value: haircut 0.15 and 0.16"
    ]


def test_every_problem_is_told_at_once_and_percent_is_never_guessed(tmp_path: Path) -> None:
    text = f"ISIN,HAIRCUT\n{APPLE},15\n{NOTE},5%\nUS0378331006,0.1\n,0.1\n{MICROSOFT},\nDE0001102580,n/a\n"
    assert problems(tmp_path, text, ListColumns(isin="ISIN", haircut="HAIRCUT")) == [
        "line 2: HAIRCUT is 15 (must be from 0 to below 1)",
        "line 3: HAIRCUT is 5%, but figures are not said to be percent",
        "line 4: US0378331006 is not an ISIN: its check digit would be 5",
        "line 5: names no asset",
        "line 6: HAIRCUT is empty, and an eligible asset needs it",
        "line 7: HAIRCUT is n/a, which is not a number",
    ]
    assert problems(tmp_path, f"ISIN,HAIRCUT\n{APPLE},100\n{NOTE},-1\n") == [
        "line 2: HAIRCUT is 100 (must be from 0 to below 100)",
        "line 3: HAIRCUT is -1 (must be from 0 to below 100)",
    ]


def test_what_looks_otherwise_than_it_was_said_to_be_is_told(tmp_path: Path) -> None:
    shares = f"ISIN,HAIRCUT\n{APPLE},0.15\n{NOTE},0.02\n"
    assert read(tmp_path, shares).doubts == ("no haircut reaches 1 %: is HAIRCUT in percent?",)
    mixed = f"ISIN,HAIRCUT\n{APPLE},15%\n{NOTE},0.02\n"
    assert read(tmp_path, mixed).doubts == ("HAIRCUT has a % on some lines and none on others: are all in percent?",)
    columns = ListColumns(isin="ISIN", haircut="HAIRCUT", eligible=("HAIRCUT", ("yes",)))
    assert read(tmp_path, shares, columns).doubts == (
        "nothing on the list is eligible: do the cells that mean yes read so?",
    )


def test_a_comma_that_may_be_either_is_asked_about(tmp_path: Path) -> None:
    columns = ListColumns(isin="ISIN", haircut="H", percent=True, max_value="CAP")
    for figure, pointed in (("1,000", 1000), ("1.000", 1)):
        text = f"ISIN;H;CAP\n{NOTE};2;\n{APPLE};5;{figure}\n"
        assert problems(tmp_path, text, columns) == [
            f"line 3: CAP is {figure}, with a mark that may part thousands or decimals"
        ]
        for decimal, cap in ((".", pointed), (",", 1001 - pointed)):
            chosen = ListColumns(isin="ISIN", haircut="H", percent=True, max_value="CAP", decimal=decimal)
            found = {row.isin: row.max_value for row in read(tmp_path, text, chosen).schedule.listing}
            assert found[APPLE] == cap


@pytest.mark.parametrize(
    ("cells", "share", "cap"),
    [
        (("0,025", "250.000"), "0.025", 250_000),  # no thousand begins with 0
        (("0.025", "250,000"), "0.025", 250_000),
        (("2,5", "1.250.000"), "2.5", 1_250_000),
        (("2.5", "250.000"), "2.5", 250),  # 2.5 is no thousand, so the point is the decimal mark of both
        ((",5", "1'000"), "0.5", 1000),
    ],
)
def test_one_figure_settles_the_mark_of_all(tmp_path: Path, cells: tuple[str, str], share: str, cap: int) -> None:
    columns = ListColumns(isin="ISIN", haircut="H", percent=True, max_value="CAP")
    (row,) = read(tmp_path, f"ISIN;H;CAP\n{APPLE};{';'.join(cells)}\n", columns).schedule.listing
    assert row.haircut == Fraction(share) / 100 and row.max_value == cap


def test_what_is_to_be_done_is_said_in_the_words_of_the_command(tmp_path: Path) -> None:
    def remedies(text: str, columns: ListColumns = PLAIN) -> list[str]:
        with pytest.raises(ScheduleError) as failed:
            read(tmp_path, text, columns)
        return [problem.remedy for problem in failed.value.problems]

    shares = ListColumns(isin="ISIN", haircut="HAIRCUT", max_quantity="MOST")
    percent = "Say that figures are percent (--percent)"
    assert remedies(f"ISIN,HAIRCUT,MOST\n{APPLE},15,\n{NOTE},2%,\n", shares) == [percent, percent]
    assert remedies(f"ISIN,HAIRCUT,MOST\n{APPLE},x,\n{NOTE},0.02,5m\n", shares) == [
        "Write a number such as 0.02",
        "Write a number such as 1000000",
    ]
    assert remedies(f"ISIN,HAIRCUT\n{APPLE},x\n{NOTE},100\n") == [
        "Write a number such as 2",
        "What has no value is not eligible: take the line out, or name the cells that mean yes (--eligible)",
    ]


def test_cells_that_were_taken_to_mean_no_are_told(tmp_path: Path) -> None:
    columns = ListColumns(isin="ISIN", haircut="HAIRCUT", percent=True, eligible=("ST", ("y",)))
    found = read(tmp_path, f"ISIN,HAIRCUT,ST\n{APPLE},15,Y\n{NOTE},2,Yes\n{MICROSOFT},15,\n", columns)
    assert [row.eligible for row in found.schedule.listing] == [True, False, False]
    assert found.no == ("", "Yes")


def test_files_that_are_no_such_list(tmp_path: Path) -> None:
    assert problems(tmp_path, "ISIM,HAIRCUTS\nx,1\n") == [
        ": no line heads a column ISIN",
        ": no line heads a column HAIRCUT",
    ]
    assert problems(tmp_path, "ISIN,HAIRCUT\n") == [": the list has no lines"]
    assert problems(tmp_path, "ISIN,HAIRCUT,HAIRCUT\n") == ["line 1: HAIRCUT heads two columns"]
    assert problems(tmp_path, b"ISIN,HAIRCUT\n\xe9,1\n") == ["line 2: the file is not UTF-8"]
    assert problems(tmp_path, "ISIN,HAIRCUT\n".encode("utf-16-le")) == [": the file is no text in UTF-8"]
    assert problems(tmp_path, b"PK\x03\x04\x14\0") == [": the file is a workbook"]
    assert problems(tmp_path, " \n") == [": the file is empty"]
    assert problems(tmp_path, "ISIN\n", ListColumns(isin="ISIN")) == [": neither haircut nor valuation is named"]
    assert problems(tmp_path, "H\n", ListColumns(haircut="H")) == [": no column names the assets"]
    with pytest.raises(ScheduleError, match="there is no such file"):
        read_list(tmp_path / "none.csv", PLAIN)


def test_the_codes_of_the_collateral_asset_definitions() -> None:
    assert len(icad.codes()) == 178
    assert icad.codes()["US-TBILL"] == "US Treasury Bills."
    assert all(map(icad.is_code, ("US-TNOTE", "DE-BOND", "GA-EU-GOV", "EU-CASH", "none")))
    assert not icad.is_code("US-TBond") and not icad.is_code("US-TBIL")
    assert icad.nearest("US-TBIL") == "Did you mean US-TBILL?"
