"""The command line of schedules, and the page it shows: exit statuses, plain words, nothing half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eligibility_rules import load_schedule, parse_schedule, published
from eligibility_rules.__main__ import main
from eligibility_rules.commands import findings_csv, findings_text
from eligibility_rules.importers.problems import Imported, ImportFinding
from eligibility_rules.showing import schedule_html, schedule_text
from eligibility_rules.words import cap_words, condition, conditions, deduction_words
from eligibility_rules.writing import yaml_text

B_TO_A = {"at_least": "B", "at_most": "A"}
US_AGENCY = {"all": [{"issuer_type": "agency"}, {"issuer_country": "US"}]}
FORM: dict[str, Any] = {
    "name": "acme",
    "source": "Annex of 3 May 2021, paragraph 13(b)",
    "as_of": "2021-05-03",
    "leaves_out": ["short-term ratings (stricter)"],
    "assume": {"secured_type": "plain"},
    "fx_haircut": {"rate": "0.08", "margin_type": "im"},
    "rules": [
        {"label": "dollars", "when": {"all": [{"asset_type": "cash"}, {"currency": "USD"}]}, "valuation_percentage": 1},
        {
            "label": "governments",
            "when": {
                "all": [
                    {"asset_type": "debt"},
                    {"any": [{"issuer_type": ["sovereign", "central_bank"]}, US_AGENCY]},
                    {"not": {"issuer_country": ["RU", "BY"]}},
                    {"maturity": {"remaining": {"lt": "5Y", "ge": "1Y"}}},
                    {"rating": {"scope": ["asset", "issuer"], "at_least": "AA-", "agencies": ["sp", "moodys"]}},
                ]
            },
            "margin_ratio": "1.02",
            "note": "not strips",
        },
        {"when": {"own_issue": True}, "exclude": True},
        {"when": {"asset_type": "equity"}, "haircut": "0.15", "margin_type": "vm"},
    ],
    "limits": [
        {
            "label": "one issuer",
            "group_by": "issuer",
            "select": {"asset_type": "debt"},
            "measure": "value_after_haircut",
            "caps": [{"of": "requirement", "max": "0.25"}, {"of": "money", "max": {"amount": 5e7, "currency": "USD"}}],
        },
        {"group_by": "asset", "measure": "quantity", "of": "adv", "max": 5},
    ],
}  # fmt: skip
ACME = parse_schedule(FORM, "acme")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command: status, standard output, standard error."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as left:
            status = int(left.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return run


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(yaml_text(ACME), encoding="utf-8")
    return path


# -------------------- words


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"issuer_country": ["US", "CA", "NO"]}, "issuer country is US, CA or NO"),
        ({"not": {"taxonomy_icad": "US-CASH"}}, "taxonomy_icad is not US-CASH"),
        ({"duration": {"le": "3", "gt": "1"}}, "duration above 1 and at most 3"),
        ({"outstanding": {"ge": 1_000_000_000}}, "outstanding at least 1,000,000,000"),
        ({"maturity_date": {"lt": "2030-12-31"}}, "maturity date before 2030-12-31"),
        ({"maturity": {"original": {"lt": "1Y"}}}, "original maturity below 1 year"),
        ({"maturity": {"since_issue": {"ge": "90D"}}}, "time since issue at least 90 days"),
        ({"rating": {"at_least": "A-", "agencies": ["sp"]}}, "rating at least A- (S&P; of the asset)"),
        (
            {"rating": {"scope": ["issuer", "sovereign"], **B_TO_A, "agencies": ["sp", "fitch"], "resolve": "any"}},
            "rating at least B and at most A (any one of S&P and Fitch; of the issuer, else of the sovereign)",
        ),
        ({"domestic_currency": False}, "not in the domestic currency of its issuer"),
        ({"not": {"own_issue": True}}, "not issued by the poster's own group"),
        (
            {"any": [{"all": [{"asset_type": "debt"}, {"currency": ["USD", "EUR"]}]}, {"asset_type": "cash"}]},
            "(asset type is debt and (currency is USD or EUR)) or asset type is cash",
        ),
        ({"not": {"any": [{"asset_type": "fund"}, {"price": {"lt": 2}}]}}, "not (asset type is fund or price below 2)"),
    ],
)  # fmt: skip
def test_criteria_in_words(when: dict[str, Any], words: str) -> None:
    rule = parse_schedule({"rules": [{"when": when, "haircut": 0}]}, "x").rules[0]
    assert rule.when is not None and condition(rule.when) == words


def test_conditions_are_one_a_line_and_ways_are_listed() -> None:
    assert conditions(ACME.rules[1].when) == (
        "asset type is debt",
        "one of:",
        "- issuer type is sovereign or central_bank",
        "- issuer type is agency and issuer country is US",
        "issuer country is not RU or BY",
        "remaining maturity at least 1 year and below 5 years",
        "rating at least AA- (the lowest of S&P and Moody's; of the asset, else of the issuer)",
    )
    assert conditions(None) == ("everything",)


def test_figures_in_words() -> None:
    caps = [cap for limit in ACME.limits for cap in limit.caps]
    assert [cap_words(cap) for cap in caps] == [
        "25 % of the requirement",
        "50,000,000 USD",
        "5 times the average daily volume",
    ]
    assert ACME.fx_haircut is not None and deduction_words(ACME.fx_haircut) == (
        "8 % more, added to the haircut, for initial margin only, "
        "where the asset's currency differs from the one that collateral is counted in"
    )


# -------------------- the page


def test_the_page_has_all_that_is_compared_with_the_document() -> None:
    text = schedule_text(ACME)
    assert max(map(len, text.splitlines())) <= 120
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "acme"
    for line in (
        "source Annex of 3 May 2021, paragraph 13(b)",
        "figures as of 2021-05-03",
        "leaves out short-term ratings (stricter)",
        "assumed secured type is plain, where the asset's own is empty",
        "ratings the lowest of S&P and Moody's; of the asset, else of the issuer",
        "reading - the first rule that takes an asset decides",
        "own issues refused: what the counterparty's own group has issued",
        "1 dollars asset type is cash valued at 100 % 100 %",
        "2 governments asset type is debt margin ratio 1.02 98.0392 %",
        "rating at least AA-",
        "3 issued by the poster's own group refused",
        "4 asset type is equity haircut 15 % 85 %",
        "for variation margin",
    ):
        assert line in lines, line
    assert "one issuer" in text and "the least of 25 % of" in text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_page_fits_its_width(width: int) -> None:
    for name in published.names():
        schedule = published.find(name)
        assert schedule is not None
        text = schedule_text(schedule, width)
        assert max(map(len, text.splitlines())) <= width, name
        words = " ".join(text.split())
        for number in range(1, len(schedule.rules) + 1):
            assert f" {number} " in words


def test_a_list_is_shown_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "ccp.csv"
    path.write_text("asset_id,eligible,haircut,max_value\nA,true,0.02,5000000\nB,false,,\n")
    lines = [" ".join(line.split()) for line in schedule_text(load_schedule(path)).splitlines()]
    assert "2 A haircut 2 % 98 % value 5,000,000" in lines
    assert "3 B refused" in lines


class _Page(HTMLParser):
    """What a browser would show, and what it would fetch or run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.ids, self.tags = "", [], []  # type: ignore[var-annotated]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        assert not any(key in ("src", "href") or key.startswith("on") for key, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def test_the_html_page_says_the_same_and_runs_nothing() -> None:
    page = _Page(schedule_html(ACME))
    assert page.open == [] and "script" not in page.tags
    text = " ".join(page.text.split())
    for part in (
        "acme",
        "2021-05-03",
        "short-term ratings (stricter)",
        "margin ratio 1.02",
        "98.0392 %",
        "Note: not strips",
    ):
        assert part in text, part
    assert page.ids == ["rules-1", "rules-2", "rules-3", "rules-4", "limits-1", "limits-2"]


def test_names_from_a_file_are_no_markup_and_steer_no_terminal() -> None:
    nasty = parse_schedule({"source": "\x1b[31mred", "rules": [{"label": "<script>x</script>", "haircut": 0}]}, "<b>")
    assert "<script>" not in schedule_html(nasty) and "&lt;script&gt;" in schedule_html(nasty)
    assert "\x1b" not in schedule_text(nasty)


# -------------------- commands


def test_list_names_every_published_schedule(said: Any) -> None:
    status, out, err = said("list")
    assert (status, err) == (0, "")
    for name in published.names():
        assert re.search(rf"^  {re.escape(name)} ", out, re.MULTILINE), name


def test_show_in_every_form(said: Any, acme: Path, tmp_path: Path) -> None:
    assert said("show", acme) == (0, schedule_text(ACME) + "\n", "")
    assert said("show", acme, "--format", "yaml") == (0, yaml_text(ACME), "")
    assert said("show", acme, "--format", "html", "--out", tmp_path / "acme.html") == (0, "", "")
    assert (tmp_path / "acme.html").read_text(encoding="utf-8") == schedule_html(ACME) + "\n"
    status, _, err = said("show", acme, "--format", "html", "--out", tmp_path / "acme.html")
    assert status == 2 and "is there already" in err
    assert said("show", acme, "--format", "html", "--out", tmp_path / "acme.html", "--force")[0] == 0
    for name in published.names():
        assert said("show", name)[0] == 0


def test_show_of_what_is_not_there(said: Any, tmp_path: Path) -> None:
    status, out, err = said("show", "lcr-hql")
    assert (status, out) == (2, "") and "Did you mean lcr-hqla?" in err
    assert said("show", tmp_path / "none.yaml")[0] == 2
    assert said("show", "../published/lcr-hqla")[0] == 2
    assert said("show", tmp_path)[0] == 2
    assert said("shw")[0] == 2
    (tmp_path / "bad.yaml").write_text("name: bad\nrules: [{haircut: 2}, {haircut: x}]\n")
    status, _, err = said("show", tmp_path / "bad.yaml")
    assert status == 2 and err.count("error: ") == 2


def test_diff_says_what_differs_and_whom_it_touches(said: Any, acme: Path, tmp_path: Path) -> None:
    assert said("diff", acme, acme) == (0, f"{acme} -> {acme}\n\nThe schedules say the same.\n", "")
    later = tmp_path / "later.yaml"
    later.write_text(yaml_text(ACME).replace("haircut: 0.15", "haircut: 0.2"), encoding="utf-8")
    status, out, _ = said("diff", acme, later)
    assert (status, out.splitlines()[2:]) == (1, ["rule 4, valuation: haircut 15 % -> haircut 20 %"])
    assets = tmp_path / "assets.csv"
    assets.write_text("asset_id,asset_type,currency,issuer\nS,equity,USD,X\nC,cash,USD,\n")
    words = ["--assets", assets, "--as-of", "2026-07-01", "--base-currency", "USD", "--margin-type", "vm"]
    status, out, _ = said("diff", acme, later, *words, "--owner-parent", "ME")
    assert status == 1
    assert out.splitlines()[4:] == [
        "Assets: 0 newly refused, 1 at another factor, 0 newly taken",
        "",
        "  85 % -> 80 %: 1 asset",
        "    Before: eligible under 'rule 4' at haircut 15 %.",
        "    After: eligible under 'rule 4' at haircut 20 %.",
        "      S",
    ]
    assert said("diff", acme, later, "--assets", assets)[0] == 2
    status, out, err = said("diff", acme, later, "--as-of", "2026-07-01", "--margin-type", "im")
    assert (status, out) == (2, "") and "--as-of, --margin-type: says how assets are read" in err
    assert said("diff", acme, later, "--assets", assets, "--as-of", "2026-07-01", "--base-currency", "usd")[0] == 2
    status, out, err = said("diff", "acme", tmp_path / "none.csv")
    assert (status, out) == (2, "") and err.count("error: there is no schedule") == 2
    assets.write_text("id,asset_type\nS,equity\n")
    assert said("diff", acme, later, *words)[0] == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("asset_id,currency\nA,USD,7\n", "line 2: has 3 cells under 2 columns. Quote a cell"),
        ("asset_id,currency\nA,USD\n\nA,USD\n", "line 4: asset_id A stands on line 2 already. Keep one"),
        ("asset_id,currency\n,USD\n", "line 2: asset_id is empty. Fill it"),
        ("asset_id,currency,currency\nA,USD,EUR\n", "currency heads two columns. Rename one"),
        ("asset_id,asset_type\nA,equities\n", "line 2: asset_type is equities. Did you mean equity?"),
        ("asset_id,asset_type\nA,x\n", "line 2: asset_type is x. Write one of cash, debt, "),
        ("id,currency\nA,USD\n", "no line heads a column asset_id. "),
        ("", "the file is empty. "),
    ],
)
def test_a_table_of_assets_that_cannot_be_meant_is_told_by_line(
    said: Any, acme: Path, tmp_path: Path, text: str, told: str
) -> None:
    assets = tmp_path / "assets.csv"
    assets.write_text(text)
    status, out, err = said("diff", acme, acme, "--assets", assets, "--as-of", "2026-07-01", "--base-currency", "USD")
    assert (status, out) == (2, "") and f"{assets}: {told}" in err


def test_assets_may_be_parted_by_semicolons_and_have_empty_cells(said: Any, acme: Path, tmp_path: Path) -> None:
    assets, later = tmp_path / "assets.csv", tmp_path / "later.yaml"
    assets.write_text("my assets\nasset_id;asset_type;currency;issuer;;\nS;equity;USD;X;;\nC;cash\n", encoding="utf-16")
    later.write_text(yaml_text(ACME).replace("haircut: 0.15", "haircut: 0.2"), encoding="utf-8")
    words = ["--assets", assets, "--as-of", "2026-07-01", "--base-currency", "USD", "--margin-type", "vm"]
    status, out, err = said("diff", acme, later, *words, "--owner-parent", "ME")
    assert (status, err) == (1, "") and "  85 % -> 80 %: 1 asset\n" in out


CDM = {
    "criteria": [
        {
            "collateralCriteria": {"AssetType": {"assetType": "CASH"}},
            "treatment": {"isIncluded": True, "valuationTreatment": {"haircutPercentage": 0.02}},
        }
    ]
}


def test_import_cdm_writes_schedules_and_says_what_it_found(said: Any, tmp_path: Path) -> None:
    source = tmp_path / "spec.json"
    source.write_text(json.dumps(CDM))
    status, out, _ = said("import-cdm", source, "--out", tmp_path / "out", "--name", "bank")
    assert status == 0 and "bank: 1 rule\n" in out
    (written,) = (tmp_path / "out").iterdir()
    schedule = load_schedule(written)
    assert written.name == f"{schedule.name}.yaml" and schedule.rules[0].factor == 1 - schedule.rules[0].haircut  # type: ignore[operator]
    assert said("import-cdm", source, "--out", tmp_path / "out", "--name", "bank")[0] == 2
    table = tmp_path / "found.csv"
    words = ("--name", "bank", "--force", "--findings", table)
    assert said("import-cdm", source, "--out", tmp_path / "out", *words)[0] == 0
    assert table.read_text().startswith("effect,path,value,message\n")
    assert said("import-cdm", source, "--out", tmp_path / "new", "--name", "../bank")[0] == 2
    assert said("import-cdm", source, "--out", tmp_path / "new", "--terms", tmp_path / "t.csv")[0] == 2
    assert said("import-cdm", source, "--out", tmp_path / "new", "--fx-haircut", "8")[0] == 2
    assert not (tmp_path / "new").exists() and not (tmp_path / "t.csv").exists()


def test_findings_are_told_by_effect_with_every_place() -> None:
    """The start that all paths share is said once; a sentence that holds in several places stands once."""
    start = "$.agreementTerms.agreement.elections"
    found = [
        ImportFinding(f"{start}.first[0].fx", "Standard", "without its rate", "laxer"),
        ImportFinding(f"{start}.second", "", "not read", "none"),
        ImportFinding(f"{start}.first[1].fx", "Standard", "without its rate", "laxer"),
        ImportFinding(start, "", "in words", "none"),
    ]
    imported = Imported((), None, tuple(found))
    assert findings_text(imported).splitlines() == [
        f"4 findings; places are below {start}",
        "",
        "may take too much (laxer):",
        "  Standard: without its rate",
        "      first[0-1].fx",
        "",
        "to know (none):",
        "  not read",
        "      second",
        "  in words",
        "      all of it",
    ]
    places = ["a[0].b[1]", "a[0].b[3]", "a[2].b[1]", "a[2].b[3]", "c[1]", "c[2]", "d[0].e[0]", "d[1].e[1]"]
    many = Imported((), None, tuple(ImportFinding(place, "", "one", "none") for place in places))
    assert [line.strip() for line in findings_text(many).splitlines()[4:]] == [
        "a[0,2].b[1,3]",
        "c[1-2]",
        "d[0].e[0]",
        "d[1].e[1]",
    ]
    assert findings_csv(imported).splitlines()[:2] == [
        "effect,path,value,message",
        f"laxer,{start}.first[0].fx,Standard,without its rate",
    ]
    short = Imported((), None, (ImportFinding("$.criteria[0]", "", "one", "none"),))
    assert findings_text(short).splitlines() == ["1 finding", "", "to know (none):", "  one", "      $.criteria[0]"]
    assert findings_text(Imported((), None, ())) == ""


def test_a_schedule_goes_out_as_cdm_and_comes_back(said: Any, tmp_path: Path) -> None:
    """What the model has no words for (an assumption) refuses, unless part of it is enough; that is then told."""
    when = {"all": [{"asset_type": "cash"}, {"currency": "USD"}]}
    form: dict[str, Any] = {"name": "usd", "overlap": "highest_haircut", "rules": [{"when": when, "haircut": "0.02"}]}
    source, target = tmp_path / "usd.yaml", tmp_path / "usd.json"
    source.write_text(yaml_text(parse_schedule(form, "usd")))
    assert said("show", source, "--format", "cdm", "--out", target) == (0, "", "")
    assert said("import-cdm", target, "--out", tmp_path / "back")[0] == 0
    (back,) = load_schedule(tmp_path / "back" / "usd.yaml").rules
    assert (back.haircut, back.when) == (Fraction(1, 50), parse_schedule(form, "usd").rules[0].when)
    source.write_text(yaml_text(parse_schedule({**form, "assume": {"seniority": "senior"}}, "usd")))
    assert said("show", source, "--format", "cdm")[:2] == (2, "")
    status, out, err = said("show", source, "--format", "cdm", "--partly")
    assert status == 0 and json.loads(out)["criteria"] and err.startswith("not said: ")


def test_import_list_writes_a_list_and_says_what_it_left(said: Any, tmp_path: Path) -> None:
    source = tmp_path / "ccp.csv"
    source.write_text("ISIN;NAME;HC;ST\nUS0378331005;Apple;15,5;ok\nUS9128284N73;Note;2;no\n")
    words = ["--isin", "ISIN", "--haircut", "HC", "--percent", "--eligible", "ST=OK"]
    status, out, err = said("import-list", source, "--out", tmp_path / "mine.csv", *words)
    assert (status, err) == (0, "")
    assert out.splitlines()[:3] == ["2 assets, 1 of them eligible", "not eligible: no", "not read: NAME"]
    assert (tmp_path / "mine.csv").read_text() == (
        "isin,eligible,haircut\nUS0378331005,true,0.155\nUS9128284N73,false,\n"
    )
    assert said("import-list", source, "--out", tmp_path / "mine.csv", *words)[0] == 2
    assert said("import-list", source, "--out", source, *words, "--force")[0] == 2
    assert said("import-list", source, "--out", tmp_path / "mine.yaml", *words)[0] == 2
    status, _, err = said("import-list", source, "--out", tmp_path / "b.csv", "--isin", "ISIN", "--haircut", "HC")
    assert status == 2 and "HC is 15,5 (must be from 0 to below 1)" in err
    assert said("import-list", source, "--out", tmp_path / "b.csv", *words[:-1], "ST")[0] == 2
    assert not (tmp_path / "b.csv").exists()


def test_all_files_of_a_command_are_written_or_none(said: Any, tmp_path: Path) -> None:
    source, out, file = tmp_path / "spec.json", tmp_path / "out", tmp_path / "file"
    source.write_text(json.dumps(CDM))
    file.write_text("no folder")
    status, _, err = said("import-cdm", source, "--out", out, "--findings", file / "found.csv")
    assert status == 2 and err.startswith(f"error: {file / 'found.csv'}: ")
    assert list(out.iterdir()) == []
    status, _, err = said("show", "lcr-hqla", "--out", out, "--force")
    assert status == 2 and err == f"error: {out}: is a folder. Name the file in it\n"
    assert said("import-cdm", source, "--out", out, "--findings", out / "found.csv")[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["found.csv", "spec.yaml"]


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eligibility_rules", "show", "lcr-hqla"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("lcr-hqla\n") and done.stderr == ""
