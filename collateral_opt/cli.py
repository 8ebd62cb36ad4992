"""The command line: ``collateral-opt allocate | check | generate | eligible | requirement | what-if | explain | diff
| import-cdm | import-list | stress``.

Exit status: 0 every call covered; 3 solved, but some call or reserve is short; 2 the book or the command is wrong,
and nothing is written; 4 the solver gave up or its answer was refused; 130 interrupted; 1 the schedules of ``diff``
differ. Whatever takes long to import is imported inside the command that needs it.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collateral_opt.command import (
    COVERED,
    DIFFERENT,
    INTERRUPTED,
    SHORT,
    WRONG,
    BookPath,
    Quiet,
    SolverName,
    Terminated,
    TimeLimit,
    all_findings,
    exit_codes,
    read,
    ready,
    within,
)
from collateral_opt.errors import BookError, SolverError, UsageError
from collateral_opt.liquidity.commands import app as stress_app
from collateral_opt.terminal import (
    Progress,
    answer_text,
    bold,
    findings_text,
    frontier_text,
    printable,
    say,
    summary_text,
    wait_for,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from collateral_opt.book import Book
    from collateral_opt.explain import Explanation
    from collateral_opt.result import Result
    from collateral_opt.result.comparison import Comparison
    from collateral_opt.scenarios.what_if import WhatIf
    from collateral_opt.second_opinion import CrossCheck

app = typer.Typer(
    name="collateral-opt",
    help="Cover every margin call at the least cost with what the firm can deliver.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(stress_app, name="stress")


class Format(StrEnum):
    """How ``check`` lists what it found."""

    text = "text"
    json = "json"


class MarginType(StrEnum):
    """Of a call."""

    im = "im"
    vm = "vm"


class HaircutIs(StrEnum):
    """What a document's haircutPercentage holds."""

    haircut = "haircut"
    valuation = "valuation"


@app.command()
def allocate(
    book: BookPath,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the result; must be new or empty.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result in DIR.")] = False,
    solver: SolverName = "highs",
    cross_check: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare the optimum with that of another solver.")
    ] = None,
    write_lp: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the linear program as LP (.lp).")] = None,
    write_mps: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the linear program as MPS (.mps).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Solve the program of all pairs at once, without column generation.")
    ] = False,
    time_limit: TimeLimit = None,
    workbook: Annotated[bool, typer.Option("--workbook", help="Write workbook.xlsx too.")] = False,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Write frontier.csv too: the saving against the number of moves.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Solve again for what would cover what is short, and what terms cost.")
    ] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave report.html out.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say a line for each round of solving.")] = False,
    quiet: Quiet = False,
) -> None:
    """Cover the calls of BOOK and write the result to DIR. Ctrl-C stops with the best answer so far."""
    with exit_codes():
        from collateral_opt.io.write import check_target, write_result

        check_target(out, force=force, book=book)
        if explain and no_report and not workbook:
            raise UsageError("--explain has nowhere to be told. Leave --no-report out, or add --workbook.")
        if verbose:
            _log_rounds()
        stop = threading.Event()
        programs = [_program_file(path, suffix, force) for path, suffix in ((write_lp, ".lp"), (write_mps, ".mps"))]

        def run(progress: Progress) -> tuple[Result, CrossCheck | None, DataFrame | None, Explanation | None]:
            from collateral_opt.frontier import frontier as curve
            from collateral_opt.optimiser import optimise
            from collateral_opt.second_opinion import cross_check as compare

            loaded = within(ready(book, quiet), time_limit)
            for path in programs:
                if path is not None:
                    _write_program(loaded, path)
            result = optimise(loaded, solver=solver, full=full, stop=stop, progress=progress)
            compared = None
            if cross_check is not None:
                progress(f"cross-checking with {cross_check}")
                compared = compare(loaded, cross_check)
            saved = curve(loaded, solver=solver, progress=progress) if frontier else None
            return result, compared, saved, _explained(result, progress) if explain and not stop.is_set() else None

        result, compared, saved, told = wait_for(run, quiet=quiet, stop=stop)
        if compared is not None:
            _tell_cross_check(compared, quiet)
        written = write_result(
            result, out, force=force, workbook=workbook, report=not no_report, frontier=saved, explained=told
        )
        if not quiet:
            if saved is not None:
                say(frontier_text(saved, result.summary["base_currency"]))
            say(summary_text(result, written))
        raise typer.Exit(SHORT if result.status == "short" else COVERED)


@app.command()
def check(
    book: BookPath,
    format: Annotated[Format, typer.Option(help="How to list what was found.")] = Format.text,
) -> None:
    """List everything that is wrong or odd in BOOK, without solving it."""
    with exit_codes():
        try:
            loaded = wait_for(lambda _: read(book), quiet=True)
            findings, counts = all_findings(loaded), _counts(loaded)
        except BookError as error:
            findings, counts = error.findings, ""
        if format is Format.json:
            import json
            from dataclasses import asdict

            say(json.dumps([asdict(f) for f in findings], indent=2))
        else:
            say("\n\n".join(part for part in (counts, findings_text(findings) if findings else "") if part))
        raise typer.Exit(WRONG if any(f.severity == "error" for f in findings) else COVERED)


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="Folder for the book; must be new or empty.")],
    holdings: Annotated[int, typer.Option(help="How many holdings (15 or more).")] = 400,
    calls: Annotated[int, typer.Option(help="How many calls.")] = 45,
    agreements: Annotated[int, typer.Option(help="How many agreements.")] = 12,
    seed: Annotated[int, typer.Option(help="Same sizes and seed, same book.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier book in OUT.")] = False,
) -> None:
    """Write an invented book of that size, in which every call can be covered."""
    with exit_codes():
        from collateral_opt.generate import write_book

        paths = write_book(out, holdings=holdings, calls=calls, agreements=agreements, seed=seed, force=force)
        say(f"written to {printable(out)}: {len(paths)} files, {holdings:,} holdings, {calls:,} calls")


@app.command()
def eligible(
    book: BookPath,
    asset: Annotated[str, typer.Option(metavar="ASSET", help="The asset_id asked about.")],
    agreement: Annotated[str | None, typer.Option(metavar="ID", help="Under this agreement's schedule.")] = None,
    call: Annotated[str | None, typer.Option(metavar="ID", help="For this call.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Under this schedule: of the book, published, or a file."),
    ] = None,
) -> None:
    """Say whether an asset may go somewhere, at which haircut, or why not."""
    with exit_codes():
        from collateral_opt.eligible import ask

        say(answer_text(ask(read(book), asset, agreement=agreement, call=call, schedule=schedule)))


@app.command()
def requirement(
    file: Annotated[Path, typer.Argument(help="A .csv of agreements: exposure, collateral held, terms.")],
    out: Annotated[
        Path | None, typer.Option(metavar="CALLS", help="Write the calls on us as a book's table (.csv).")
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Show the arithmetic line by line.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace CALLS if it is there.")] = False,
) -> None:
    """Say who calls whom for how much, from exposures and the terms of agreements."""
    with exit_codes():
        from collateral_opt.requirement import calls_text, margin_calls, read_exposures, write_calls

        target = _program_file(out, ".csv", force)
        if target is not None and target.resolve() == file.resolve():
            raise UsageError(f"{target} is the file that is read. Choose another name.")
        calls = margin_calls(read_exposures(file))
        count = None if target is None else write_calls(calls, target)
        say(calls_text(calls, steps=steps))
        if target is not None:
            say(f"\nwritten to {printable(target)}: {count:,} for us to deliver")


@app.command("what-if")
def what_if(
    book: BookPath,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="WORD", help="A change, as below; any number, made in order.")
    ] = None,
    changes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML of named what-ifs, each a list of words or mappings.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the comparisons; must be new or empty.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace earlier comparisons in DIR.")] = False,
    workbook: Annotated[bool, typer.Option("--workbook", help="Write workbook.xlsx beside each report, too.")] = False,
    solver: SolverName = "highs",
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="Stop each solve then, with the best answer so far."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Change BOOK, and say what that does to cost, shortfalls, lines and limits, and who pays.

    A WORD is WHAT=VALUE. A figure stands for itself (500000, to -5), or moves what is there: +20%, -3%, +500, -0.02.

    \b
    call:MC7.amount=+20%
    call:MC7.due=+4h                        or a time with its offset, or none
    asset:BUND30.price=97
    price:corporate=-5%                     of a class of assets
    price:{issuer_country: IT}=-5%          of those that meet a criterion
    fx:EUR=-3%
    downgrade:{issuer: Acme}=2
    haircut:corporate=+0.02                 in every schedule traded under
    schedule:us-im.haircut:equity=+0.05
    schedule:us-im.rule:cash=0.01
    schedule:us-im.fx_haircut=0.1           fx_haircut=+0.02: in every one
    schedule:us-im.limit:one issuer=0.2
    agreement:IM1.haircut:equity=+0.05      also .fx_haircut, .rule, .limit
    agreement:IM1.schedule=eu-im
    agreement:IM1.cash_return:EUR=+5
    house.limit:one issuer=-10%
    holding:H1.quantity=-50%                also quantity:CLASS
    cost_bps:corporate=+10                  also holding:H1.cost_bps
    facility:REPO.capacity=-50%             also .cost_bps, .one_off_bps
    remove:asset=BUND30                     also holding, call, agreement,
                                            counterparty, facility
    {new_call: {call_id: N1, agreement_id: IM1, amount: 1000000}}
    {pin: {call_id: MC7, holding_id: H1, forbid: true}}

    A class is all, a value of asset_type, issuer_type, security_type, sector or hqla_level, or a criterion in braces \
as a schedule has it. A call, holding, facility or currency may be * for every one. Quote words with blanks.
    """
    with exit_codes():
        from collateral_opt.io.write_comparisons import check_comparison_target, write_comparisons
        from collateral_opt.scenarios.what_if import compared

        asked = _what_ifs(set_, changes)
        if workbook and out is None:
            raise UsageError("--workbook has no folder to go to. Add --out DIR.")
        if out is not None:
            check_comparison_target(out, [one.name for one in asked], force=force, book=book)
        stop = threading.Event()

        def run(progress: Progress) -> list[Comparison]:
            loaded = within(ready(book, quiet), time_limit)
            return compared(loaded, asked, solver=solver, stop=stop, progress=progress)

        found = wait_for(run, quiet=quiet, stop=stop)
        written = write_comparisons(found, out, force=force, workbook=workbook) if out is not None else []
        if not quiet:
            _tell_comparisons(found)
            if written:
                say(f"written to {printable(out)}: {len(written):,} files, see {written[0].name}")
        raise typer.Exit(SHORT if any("short" in one.status for one in found) else COVERED)


@app.command()
def explain(
    path: Annotated[Path, typer.Argument(metavar="BOOK_OR_RUN", help="A book, or with --book the folder of a run.")],
    book: Annotated[Path | None, typer.Option(metavar="BOOK", help="The book that the run is of.")] = None,
    asset: Annotated[str | None, typer.Option(metavar="ID", help="Where it goes, and why not elsewhere.")] = None,
    call: Annotated[str | None, typer.Option(metavar="ID", help="Its lines, its cost, why it is short.")] = None,
    agreement: Annotated[
        str | None, typer.Option(metavar="ID", help="The same of all its calls, its limits, what they cost.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as records, for programs.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Say why an answer is what it is: of an asset, a call, an agreement, an asset at one of these, or of the whole.

    A book is solved first. A run that is there already is explained as it stands; its book has to be the one that it
    answers. Whatever could be read is explained: the exit status is that of the answer.
    """
    with exit_codes():
        from collateral_opt.explain.run import is_run, read_run

        if is_run(path) != (book is not None):
            raise UsageError(
                f"{path} is a run: name its book with --book." if book is None else f"{path} holds no result of a run."
            )

        def run(progress: Progress) -> tuple[Result, Explanation]:
            from collateral_opt.optimiser import optimise

            answer = optimise(read(path), progress=progress) if book is None else read_run(path, read(book))
            progress("explaining")
            return answer, answer.explain(asset=asset, call=call, agreement=agreement)

        answer, told = wait_for(run, quiet=quiet)
        if as_json:
            say(told.model_dump_json(indent=2))
        else:
            from collateral_opt.explain.words import paragraphs

            for heading, lines in paragraphs(told):
                say("\n".join([bold(printable(heading)), *(f"  {printable(line)}" for line in lines), ""]))
        raise typer.Exit(SHORT if answer.status == "short" else COVERED)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A schedule: of the book, published, or a file.")],
    after: Annotated[str, typer.Argument(help="The one that is compared with it.")],
    book: Annotated[Path, typer.Option(metavar="BOOK", help="Whose assets are looked at.")],
    base_currency: Annotated[
        str | None, typer.Option(metavar="CURRENCY", help="What collateral is counted in, if not in the book's own.")
    ] = None,
    margin_type: Annotated[MarginType | None, typer.Option(help="Of the call.")] = None,
) -> None:
    """Say what AFTER says otherwise than BEFORE, which assets of the book feel it, and what is held of them."""
    with exit_codes():
        from collateral_opt.vintages import compare_schedules, vintages_text

        found = compare_schedules(read(book), before, after, base_currency=base_currency, margin_type=margin_type)
        say(vintages_text(found))
        raise typer.Exit(DIFFERENT if found.said or found.felt else COVERED)


@app.command("import-cdm")
def import_cdm(
    file: Annotated[Path, typer.Argument(help="A document of the Common Domain Model, version 6 (JSON).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the schedules.")],
    name: Annotated[str | None, typer.Option(help="What the schedules are called, else what the file is.")] = None,
    party: Annotated[
        int | None, typer.Option(min=1, max=2, help="Only what this party may post, else a schedule for each.")
    ] = None,
    haircut_is: Annotated[
        HaircutIs, typer.Option(help="What the document's haircutPercentage holds.")
    ] = HaircutIs.haircut,
    fx_haircut: Annotated[
        str | None, typer.Option(metavar="SHARE", help="The rate where an agreement only says Standard: 0.08.")
    ] = None,
    issuer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=ID", help="What the asset table calls an issuer that the document names."),
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write thresholds, minimum and rounding for `requirement` (.csv)."),
    ] = None,
    findings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was found as a table (.csv), too.")
    ] = None,
    us: Annotated[int, typer.Option(min=1, max=2, help="Which party we are in the terms.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write the schedules of a document, and say what could not be taken over: what may take too much first."""
    with exit_codes(), _reading_schedules():
        from eligibility_rules import commands
        from eligibility_rules.importers.cdm import CdmOptions

        options = CdmOptions(
            haircut_is=haircut_is.value,
            fx_haircut=commands.fx_rate(fx_haircut),
            party=None if party is None else commands.party(party),
            issuers=commands.issuers(issuer or ()),
        )
        imported, written = commands.import_cdm(
            file,
            out,
            name=name,
            options=options,
            terms=terms,
            us=commands.party(us),
            findings=findings,
            force=force,
        )
        if imported.findings:
            say(commands.findings_text(imported), error=True)
        say(commands.imported_text(imported, written))


@app.command("import-list")
def import_list(
    file: Annotated[Path, typer.Argument(help="Cells parted by commas, semicolons, tabs or bars.")],
    out: Annotated[Path, typer.Option(metavar="NAME.csv", help="The list schedule to write.")],
    isin: Annotated[str | None, typer.Option(metavar="COLUMN", help="ISINs.")] = None,
    cusip: Annotated[str | None, typer.Option(metavar="COLUMN", help="CUSIPs, which become US ISINs.")] = None,
    asset_id: Annotated[str | None, typer.Option(metavar="COLUMN", help="Your own names of assets.")] = None,
    haircut: Annotated[str | None, typer.Option(metavar="COLUMN", help="Haircuts.")] = None,
    valuation: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Valuation percentages, in the place of haircuts.")
    ] = None,
    percent: Annotated[bool, typer.Option("--percent", help="Haircuts or valuations are in percent.")] = False,
    eligible: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=CELL", help="A cell that means yes; other lines are refused.")
    ] = None,
    max_value: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The most that counts, in the agreement's base currency.")
    ] = None,
    max_quantity: Annotated[str | None, typer.Option(metavar="COLUMN", help="The most units.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What parts the cells, if it is not found out.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal mark, if it is not found out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace NAME.csv if it is there.")] = False,
) -> None:
    """Write a clearing house's or central bank's list of assets as a list schedule."""
    with exit_codes(), _reading_schedules():
        from eligibility_rules import commands
        from eligibility_rules.lists import ListColumns

        columns = ListColumns(
            isin=isin,
            cusip=cusip,
            asset_id=asset_id,
            haircut=haircut,
            valuation=valuation,
            percent=percent,
            eligible=commands.eligible_cells(eligible or ()),
            max_value=max_value,
            max_quantity=max_quantity,
            delimiter=commands.delimiter(delimiter),
            decimal=decimal,
        )
        found = commands.import_list(file, out, columns, force=force)
        for doubt in found.doubts:
            say(f"warning: {printable(doubt)}", error=True)
        say(commands.list_text(found, out))


def main() -> None:
    """Entry of the console script."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a name must not end the run
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except KeyboardInterrupt:
        # before a command began
        sys.exit(INTERRUPTED)


def _terminate(_signal: int, _frame: Any) -> None:
    raise Terminated


@contextmanager
def _reading_schedules() -> Iterator[None]:
    """What is wrong with a schedule, or with what it is read from, is what is wrong with the command."""
    from eligibility_rules import ScheduleError

    try:
        yield
    except ScheduleError as error:
        raise UsageError(str(error)) from None


def _counts(book: Book) -> str:
    tables = ("assets", "holdings", "agreements", "calls", "posted", "facilities", "reserves")
    parts = [f"{len(getattr(book, t)):,} {t}" for t in tables if len(getattr(book, t))]
    return ", ".join([*parts, f"{len(book.schedules):,} schedules"])


def _program_file(path: Path | None, suffix: str, force: bool) -> Path | None:
    if path is None:
        return None
    if path.suffix.lower() != suffix:
        raise UsageError(f"{path}: the file's name must end in {suffix}.")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already. Choose another name, or replace it with --force.")
    return path


def _log_rounds() -> None:
    """Say a line for each round of solving."""
    import logging

    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("collateral_opt").setLevel(logging.INFO)


def _what_ifs(words: list[str] | None, changes: Path | None) -> list[WhatIf]:
    """The what-ifs of the command line, and those of the file."""
    from collateral_opt.scenarios.words import read_file, read_words

    asked = [read_words(words)] if words else []
    asked += read_file(changes) if changes is not None else []
    if not asked:
        raise UsageError("nothing is changed. Write --set call:C1.amount=+20%, or --changes FILE.")
    return asked


def _tell_comparisons(found: Iterable[Comparison]) -> None:
    """What comes of each, and what is odd about its book that was not before."""
    from collateral_opt.io.comparison import comparison_lines

    for one in found:
        head, *rest = map(printable, comparison_lines(one))
        say("\n".join([bold(head), *rest, ""]))
        new = [finding for finding in one.after.book.findings if finding not in one.before.book.findings]
        if new:
            say(f"with {printable(one.name)}: {findings_text(new)}\n", error=True)


def _explained(result: Result, progress: Progress) -> Explanation | None:
    """Why the result is so; an answer is not given up because nothing more can be said of it."""
    progress("explaining")
    try:
        return result.explain()
    except SolverError as error:
        say(f"not explained: the solver gave up: {printable(error)}", error=True)
        return None


def _write_program(book: Book, path: Path) -> None:
    """Write the program under another name first, so that no half of one is ever found under its own."""
    from collateral_opt.second_opinion import write_program

    folder = path.resolve().parent
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", suffix=".partial", dir=folder) as staging:
        staged = Path(staging) / path.name
        write_program(book, staged)
        staged.replace(folder / path.name)


def _tell_cross_check(compared: CrossCheck, quiet: bool) -> None:
    apart = f"{compared.relative_difference:.2e} apart"
    figures = f"{compared.ours:,.6f} here, {compared.theirs:,.6f} with {compared.solver}, {apart}"
    if not compared.agrees:
        raise SolverError(f"the cross-check disagrees: {figures}")
    if not quiet:
        say(f"cross-check: {figures}")


if __name__ == "__main__":
    main()
