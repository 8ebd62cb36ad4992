"""The command line of schedules: ``eligibility-rules list | show | diff | import-cdm | import-list``.

Exit status: 0 done (of `diff`: the schedules say the same), 1 they differ, 2 the command or a file is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from eligibility_rules.columns import ASSET_TYPES
from eligibility_rules.naming import schedule_named, two_schedules
from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.vocabulary import Schedule
from eligibility_rules.words import printable

if TYPE_CHECKING:
    import pandas as pd

SAME, DIFFERENT, WRONG = 0, 1, 2
WIDTH = 120
_OF_A_SCHEDULE = "a published name, or a file (.yaml, .csv)"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a name must not end the run.
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    asked = _parser().parse_args(words)
    try:
        status: int = asked.run(asked)
        sys.stdout.flush()
    except ScheduleError as error:
        problems = "\n".join(f"error: {printable(problem)}" for problem in error.problems)
        print(problems, file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # Whoever read has gone away; what is still to be flushed at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SAME
    except OSError as error:
        print(f"error: {printable(error.filename or '')}: {printable(error.strerror or error)}", file=sys.stderr)
        return WRONG
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eligibility-rules", description="Read, show and compare schedules.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="the published schedules, with date and source")
    listing.set_defaults(run=_list)

    show = commands.add_parser("show", help="one schedule to read, or in another form")
    show.add_argument("schedule", metavar="SCHEDULE", help=_OF_A_SCHEDULE)
    show.add_argument("--format", choices=("text", "html", "yaml", "cdm"), default="text")
    show.add_argument("--out", type=Path, metavar="FILE", help="write it there (UTF-8) instead of showing it")
    show.add_argument("--force", action="store_true", help="replace FILE if it is there")
    show.add_argument("--partly", action="store_true", help="cdm: leave out what CDM has no words for, and say so")
    show.set_defaults(run=_show)

    diff = commands.add_parser("diff", help="what the second schedule says otherwise than the first")
    diff.add_argument("before", metavar="BEFORE", help=_OF_A_SCHEDULE)
    diff.add_argument("after", metavar="AFTER", help=_OF_A_SCHEDULE)
    diff.add_argument("--assets", type=Path, metavar="FILE", help="a .csv of assets: which of them feel it")
    diff.add_argument("--as-of", type=_day, metavar="DATE", help="the day assets are read on, such as 2026-07-01")
    diff.add_argument("--base-currency", type=_currency, metavar="CURRENCY", help="what collateral is counted in: USD")
    diff.add_argument("--margin-type", choices=("im", "vm"), help="of the call")
    diff.add_argument("--owner-parent", metavar="ID", help="the poster's own group, for own issues")
    diff.set_defaults(run=_diff)

    cdm = commands.add_parser("import-cdm", help="schedules from a document of the Common Domain Model (JSON)")
    cdm.add_argument("file", type=Path, metavar="FILE")
    cdm.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for the schedules")
    cdm.add_argument("--name", help="what the schedules are called, else what the file is")
    cdm.add_argument("--party", choices=("1", "2"), help="only what this party may post")
    cdm.add_argument("--haircut-is", choices=("haircut", "valuation"), default="haircut", help="of haircutPercentage")
    cdm.add_argument("--fx-haircut", metavar="SHARE", help="the rate, where an agreement only says Standard: 0.08")
    cdm.add_argument("--issuer", action="append", metavar="NAME=ID", help="what the assets call an issuer named there")
    cdm.add_argument("--terms", type=Path, metavar="FILE", help="write the agreement's terms there (.csv) too")
    cdm.add_argument("--findings", type=Path, metavar="FILE", help="write what was found there (.csv) too")
    cdm.add_argument("--us", choices=("1", "2"), default="1", help="which party we are in the terms")
    cdm.add_argument("--force", action="store_true", help="replace files that are there")
    cdm.set_defaults(run=_import_cdm)

    lists = commands.add_parser("import-list", help="a list of assets with haircuts from another's file")
    lists.add_argument("file", type=Path, metavar="FILE")
    lists.add_argument("--out", type=Path, metavar="NAME.csv", required=True, help="the list schedule to write")
    for word, what in (
        ("isin", "the column of ISINs"),
        ("cusip", "the column of CUSIPs, which become US ISINs"),
        ("asset-id", "the column of your own names of assets"),
        ("haircut", "the column of haircuts"),
        ("valuation", "the column of valuation percentages, in the place of haircuts"),
        ("max-value", "the column of the most that counts, in the agreement's base currency"),
        ("max-quantity", "the column of the most units"),
    ):
        lists.add_argument(f"--{word}", metavar="COLUMN", help=what)
    lists.add_argument("--percent", action="store_true", help="haircuts (valuations) are in percent")
    lists.add_argument(
        "--eligible", metavar="COLUMN=CELL", action="append", help="a cell that means yes; lines without are refused"
    )
    lists.add_argument("--delimiter", help="what parts the cells, if it is not found out")
    lists.add_argument("--decimal", choices=(".", ","), help="the decimal mark, if it is not found out")
    lists.add_argument("--force", action="store_true", help="replace NAME.csv if it is there")
    lists.set_defaults(run=_import_list)
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a date such as 2026-07-01") from None


def _currency(text: str) -> str:
    if len(text) == 3 and text.isascii() and text.isalpha() and text.isupper():
        return text
    raise argparse.ArgumentTypeError(f"{text} is not a currency such as USD")


def _width() -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def _wrong(where: str, message: str, remedy: str) -> ScheduleError:
    return ScheduleError([ScheduleProblem(where, "", "", message, remedy)])


# -------------------- commands


def _list(_: argparse.Namespace) -> int:
    from eligibility_rules import published
    from eligibility_rules.showing import overview

    found = (published.find(name) for name in published.names())
    print(overview([one for one in found if one is not None], _width()))
    return SAME


def _show(asked: argparse.Namespace) -> int:
    schedule = schedule_named(asked.schedule)
    width = _width() if asked.out is None else WIDTH
    text = _cdm(schedule, asked.partly) if asked.format == "cdm" else _shown(schedule, asked.format, width)
    text = text.rstrip("\n")
    if asked.out is None:
        print(text)
    else:
        from eligibility_rules.commands import write_texts

        write_texts({asked.out: text + "\n"}, force=asked.force)
    return SAME


def _shown(schedule: Schedule, form: str, width: int) -> str:
    from eligibility_rules import showing, writing

    if form == "html":
        return showing.schedule_html(schedule)
    return writing.yaml_text(schedule) if form == "yaml" else showing.schedule_text(schedule, width)


def _cdm(schedule: Schedule, partly: bool) -> str:
    """As a document of the Common Domain Model; what that leaves unsaid refuses it, or (`partly`) is told."""
    from eligibility_rules.exporters.cdm import cdm_document, cdm_text

    text = cdm_text(schedule, partly=partly)
    for unsaid in cdm_document(schedule).unsaid:
        print(f"not said: {printable(unsaid)}", file=sys.stderr)
    return text


def _diff(asked: argparse.Namespace) -> int:
    from eligibility_rules.differences import asset_differences, differences, differences_text

    before, after = two_schedules(asked.before, asked.after)
    found = differences(before, after)
    felt = None
    read_with = ("as_of", "base_currency", "margin_type", "owner_parent")
    alone = [f"--{word.replace('_', '-')}" for word in read_with if getattr(asked, word) is not None]
    if asked.assets is None and alone:
        raise _wrong(", ".join(alone), "says how assets are read, and none are named", "Add --assets FILE")
    if asked.assets is not None:
        if asked.as_of is None or asked.base_currency is None:
            raise _wrong("--assets", "assets are read on a day and in a currency", "Add --as-of and --base-currency")
        from eligibility_rules.criteria import Context

        context = Context(asked.as_of, asked.base_currency, asked.margin_type, asked.owner_parent)
        felt = asset_differences(before, after, _assets(asked.assets), context)
    print(f"{printable(asked.before)} -> {printable(asked.after)}\n\n{differences_text(found, felt)}")
    return DIFFERENT if found or felt else SAME


def _assets(path: Path) -> pd.DataFrame:
    """A table of assets as text; an empty cell is unknown."""
    import pandas as pd

    from eligibility_rules.lists import read_rows

    problems: list[ScheduleProblem] = []

    def wrong(line: int, value: str, message: str, remedy: str) -> None:
        problems.append(ScheduleProblem(str(path), f"line {line}", value, message, remedy))

    _, header, rows = read_rows(path, ["asset_id"])
    for name in dict.fromkeys(name for name in header if name and header.count(name) > 1):
        problems.append(ScheduleProblem(str(path), "", name, f"{name} heads two columns", "Rename one"))
    lines: dict[str, int] = {}
    cells: list[list[str]] = []
    for line, row in rows:
        if not any(row):
            continue
        if any(row[len(header) :]):
            message = f"has {len(row)} cells under {len(header)} columns"
            wrong(line, "", message, "Quote a cell that has a delimiter in it")
        cells.append([*row[: len(header)], *[""] * (len(header) - len(row))])
        told = dict(zip(header, cells[-1], strict=True))
        asset, kind = told["asset_id"], told.get("asset_type")
        if not asset:
            wrong(line, "", "asset_id is empty", "Fill it, or take the line out")
        elif lines.setdefault(asset, line) != line:
            wrong(line, asset, f"asset_id {asset} stands on line {lines[asset]} already", "Keep one of the two lines")
        if kind and kind not in ASSET_TYPES:
            remedy = did_you_mean(kind, ASSET_TYPES) or f"Write one of {', '.join(ASSET_TYPES)}"
            wrong(line, kind, f"asset_type is {kind}", remedy)
    if problems:
        raise ScheduleError(problems)
    return pd.DataFrame(cells, columns=header, dtype=object)[[name for name in header if name]].replace("", None)


def _import_cdm(asked: argparse.Namespace) -> int:
    from eligibility_rules import commands
    from eligibility_rules.importers.cdm import CdmOptions

    options = CdmOptions(
        haircut_is=asked.haircut_is,
        fx_haircut=commands.fx_rate(asked.fx_haircut),
        party=commands.party(int(asked.party)) if asked.party else None,
        issuers=commands.issuers(asked.issuer or ()),
    )
    imported, written = commands.import_cdm(
        asked.file,
        asked.out,
        name=asked.name,
        options=options,
        terms=asked.terms,
        us=commands.party(int(asked.us)),
        findings=asked.findings,
        force=asked.force,
    )
    if imported.findings:
        print(commands.findings_text(imported), file=sys.stderr)
    print(commands.imported_text(imported, written))
    return SAME


def _import_list(asked: argparse.Namespace) -> int:
    from eligibility_rules import commands
    from eligibility_rules.lists import ListColumns

    columns = ListColumns(
        isin=asked.isin,
        cusip=asked.cusip,
        asset_id=asked.asset_id,
        haircut=asked.haircut,
        valuation=asked.valuation,
        percent=asked.percent,
        eligible=commands.eligible_cells(asked.eligible or ()),
        max_value=asked.max_value,
        max_quantity=asked.max_quantity,
        delimiter=commands.delimiter(asked.delimiter),
        decimal=asked.decimal,
    )
    found = commands.import_list(asked.file, asked.out, columns, force=asked.force)
    for doubt in found.doubts:
        print(f"warning: {printable(doubt)}", file=sys.stderr)
    print(commands.list_text(found, asked.out))
    return SAME


def run() -> NoReturn:
    """Entry of the console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
