"""The catalogue of findings: every code with its severity, its cause and what to do about it.

A code never changes its meaning. The first digit says what it is about (1 cells, 2 files and tables, 3
identifiers and references, 4 prices and rates, 5 schedules, 6 dates and the desk's good sense, 7 settings, 8 pins
that cannot hold, 9 positions and stresses), the letter how much it matters: E stops the run, W should be read before
the answer is used, N is good to know. Cause and remedy are templates; ``finding`` fills them in, ``findings_page``
prints them as ``docs/findings.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Finding, Severity

_SEVERITY: dict[str, Severity] = {"E": "error", "W": "warning", "N": "note"}
_TOPICS = {
    "1": "Cells",
    "2": "Files and tables",
    "3": "Identifiers and references",
    "4": "Prices and rates",
    "5": "Schedules",
    "6": "Dates and the desk's good sense",
    "7": "Settings",
    "8": "Pins that cannot hold",
    "9": "Positions and stresses",
}


@dataclass(frozen=True)
class Code:
    """One kind of finding. ``cause`` and ``remedy`` are templates with named fields."""

    code: str
    cause: str
    remedy: str

    @property
    def severity(self) -> Severity:
        return _SEVERITY[self.code[0]]


_CODES = (
    # 1 Cells
    Code(
        "E101",
        "the cell is empty, and {column} is required.",
        "Fill it in; an empty cell means unknown, never zero.",
    ),
    Code(
        "E102",
        "{value} is not a number.",
        "Write digits with a dot for decimals: no thousands separators, no currency, no percent sign.",
    ),
    Code(
        "E103",
        "{value} is not a finite number.",
        "Write the number, or leave the cell empty if it is unknown.",
    ),
    Code("E104", "{value} is not {bound}.", "Remove the row, or correct its sign or size."),
    Code("E105", "{value} is not a whole number.", "Write a whole number, or leave the cell empty for no cap."),
    Code("E106", "{value} is not one of {choices}.", "{hint}Write one of these words, in small letters."),
    Code("E107", "{value} is not a date.", "Write it as 2026-03-31."),
    Code("E108", "{value} is not a time.", "Write it as 2026-03-31T16:00:00+01:00."),
    Code(
        "E109",
        "{value} has no offset from UTC.",
        "Write the time as text, ISO 8601 with its offset: 2026-03-31T16:00:00+01:00.",
    ),
    Code("E110", "{value} is neither true nor false.", "Write true or false."),
    Code(
        "E111",
        "{value} is a {kind}, not text; leading zeros or letters may be lost.",
        "Read or format the column as text (pandas: dtype=str; Excel: a text column).",
    ),
    Code("E112", "{value} is not a currency code.", "{hint}Write three capital letters, as in EUR."),
    Code("E113", "{value} is not a time of day.", "Write the local time as 16:30."),
    Code("E114", "{value} is outside what can be held, 1678-01-01 to 2261-12-31.", "Correct the date."),
    Code(
        "E115",
        "the cell holds an Excel error.",
        "Correct its formula, or leave the cell empty if it is unknown.",
    ),
    Code("E116", "{value} is not a time zone.", "{hint}Write a name such as Europe/London."),
    Code("E117", "{value} stands where a single text, number, date or time belongs.", "Give one plain value."),
    Code(
        "E118",
        "{value} is not a calendar.",
        "{hint}Write TARGET, Fed, or the code of a market or country that the holidays package knows, "
        "such as XNYS, DE or GB-ENG.",
    ),
    Code(
        "W121",
        "{count} cell(s) are numbers, the first is {value}; digits are taken, leading zeros may be lost.",
        "Format the column as text in the workbook and enter the values again.",
    ),
    Code("W122", "nothing uses this column.", "{hint}Rename it, or leave it if it is meant for you alone."),
    Code(
        "N131",
        "{count} cell(s) had spaces around them, the first is {value}.",
        "Nothing to do: they were taken off.",
    ),
    Code(
        "N132",
        "{count} date(s) lie after 2261-12-31, the first is {value}; they are read as 2261-12-31.",
        "Nothing to do: no rule tells the difference.",
    ),
    # 2 Files and tables
    Code("E201", "it cannot be read: {reason}.", "Check that it is there and that you may read it."),
    Code("E202", "{value} is no book.", "Give a folder of tables or an .xlsx workbook."),
    Code("E203", "the table is missing.", "{hint}Add {table} with the columns {columns}."),
    Code("E204", "the column is missing, and it is required.", "{hint}Add the column {column}."),
    Code("E205", "the column stands there {count} times.", "Keep one of them."),
    Code(
        "E206",
        "the row has {count} fields, the header {width}.",
        "Put quotes around fields that contain a comma, or remove what is too much.",
    ),
    Code("E207", "it is not UTF-8 text: {reason}.", 'Save it as "CSV UTF-8".'),
    Code("E208", "it is empty.", "Write at least the header row, or remove it."),
    Code("E209", "the table is there more than once: {value}.", "Keep one of them."),
    Code("E210", "it cannot be understood: {reason}.", "Write it again from its source."),
    Code("E211", "column {value} has no name, but it has values.", "Name the column, or remove its values."),
    Code("E212", "the header is separated by {value}, not by commas.", "Save it as CSV with commas."),
    Code(
        "E213",
        "a .parquet file needs pyarrow, which is not installed.",
        "Install collateral-opt[parquet], or write CSV.",
    ),
    Code("E214", "there is no table of this name.", "{hint}The tables are {choices}."),
    Code("W221", "{value} is not read.", "{hint}Rename it, or remove it."),
    Code("N231", "{count} blank row(s) are left out, the first is row {first}.", "Nothing to do."),
    Code("N232", "{value} is not read: no table has this name.", "Nothing to do."),
    Code(
        "E215",
        "sheet {value}: limits of the house are not read from a sheet.",
        "Write them into house_limits.yaml beside the workbook, and remove the sheet.",
    ),
    # 3 Identifiers and references
    Code(
        "E301",
        "{value} stands in row {first} already.",
        "Remove one of the rows or give it an identifier of its own.",
    ),
    Code("E302", "{value} is not in {target}.", "{hint}Add it to {target}, or correct the name."),
    Code(
        "E303",
        "the holding {value} is of asset {held}, this row of asset {asset}.",
        "Correct one of the two.",
    ),
    Code("E304", "the row names {found} of {columns}.", "Name exactly one of them."),
    Code("E305", "a {value} that takes nothing can give nothing.", "Name the schedule of what it takes."),
    Code(
        "E306",
        "the row forbids the pair and asks for {value} of it.",
        "Leave the quantity empty, or do not forbid.",
    ),
    Code(
        "E308",
        "{value} is what limits calls the limits of the whole house, which this book has.",
        "Give the row another identifier.",
    ),
    Code("E331", "{value} is the name of {word} already.", "Give the line an identifier of its own."),
    Code("E332", "{value} is owed back of a line of {quantity}.", "Correct one of the two."),
    Code(
        "E333",
        "{value} is received collateral that may not be re-used: it is no source, and its return is no call.",
        "Correct `reuse` or `segregated` of the line in received, or name something else.",
    ),
    Code("E334", "the facility {value} gives {held}, this row is of asset {asset}.", "Correct one of the two."),
    Code(
        "E335",
        "{sent} was sent from {value}, which has {held}.",
        "Give quantities and capacities as they were before anything was sent, or correct the instructions.",
    ),
    Code(
        "E336",
        "of {value} the pin asks for {asked}, but {said} (instructions row {row_sent}).",
        "Remove the pin, or correct one of the two.",
    ),
    Code("E337", "the row asks for exactly {quantity} and for at least {value}.", "Leave one of the two empty."),
    Code("W321", "{value} is also the ISIN of row {first}.", "Check whether both rows are one security."),
    Code("W322", "{value} is not an ISIN: {reason}.", "Correct it, or leave the cell empty."),
    # 4 Prices and rates
    Code("E401", "there is no rate for {value}, which {users} use(s).", "Add a row for {value}."),
    Code(
        "E402",
        "{value} is the base currency, and its rate is {rate}.",
        "Remove the row: the base currency is 1.",
    ),
    Code("E403", "the price is unknown, and the asset is {use}.", "Give its price."),
    Code(
        "E404",
        "one unit of cash is worth {value} of its currency here.",
        "Leave price and price_factor of cash empty.",
    ),
    # 5 Schedules
    Code("E501", "{cause}", "{remedy}"),
    Code("E502", "there is no schedule {value}.", "{hint}There are: {choices}."),
    Code("E503", "the schedule is there more than once: {value}.", "Keep one of them."),
    Code(
        "E504",
        "the schedule speaks of the column {value}, which nobody knows.",
        "{hint}Add it to assets, or correct it.",
    ),
    Code(
        "E505",
        "{value} is no rating this agency gives.",
        "Correct it; leave the cell empty if there is none.",
    ),
    Code("E506", "inside, the schedule is called {value}.", "Give the file and its `name` one name."),
    Code(
        "W521",
        "for {count} held asset(s) it cannot be told whether this exclusion holds ({columns} unknown); "
        "they are refused ({otherwise} would be taken otherwise).",
        "Fill it in{settle}.",
    ),
    Code(
        "W522",
        "for {count} held asset(s) the cap cannot be told ({columns} unknown), the first is {value}; "
        "nothing of them may be delivered.",
        "Fill in the column.",
    ),
    Code(
        "W523",
        "what is posted at {value} already stands over the cap of limit '{limit}' in {groups}: "
        "nothing more of that may be delivered there, unless enough else comes beside it.",
        "Nothing to do for this run; recall some of it to be within the cap.",
    ),
    Code(
        "N524",
        "{count} rows that may be recalled name no holding: what is recalled of them comes home, and cannot be used "
        "elsewhere in the same run.",
        "Give them the holding_id that they come back into.",
    ),
    Code("N531", "no agreement, call, facility or reserve uses it.", "Nothing to do."),
    Code(
        "N532",
        "{count} of its rows name an asset this book does not have, the first is {value}.",
        "Nothing to do.",
    ),
    # 6 Dates and the desk's good sense
    Code("W601", "it matures on {value}, before it was issued on {issued}.", "Correct one of the two."),
    Code("W602", "its asset {asset} matured on {value}, before the book's date.", "Remove the holding."),
    Code(
        "W603",
        "{value} is before the book's as_of; nothing can be delivered in time.",
        "Correct the time, leave it empty, or remove the row.",
    ),
    Code(
        "W604",
        "{count} held securities have no issuer, the first is {value}: they pass, wrong-way risk unjudged.",
        "Fill in the issuer.",
    ),
    Code(
        "W605",
        "{count} call(s) without a priority are served after the others, the first is {value}; "
        "a clearing house's call then competes with the rest.",
        "Give every call a priority.",
    ),
    Code(
        "W606",
        "the holidays of {value} are known from {first} to {last} only, and the book's date is not among them: "
        "only weekends count.",
        "Correct as_of, name another calendar, or put the holidays into ready_at and settle_hours.",
    ),
    Code(
        "N631",
        "no call has a priority: when not all can be met, a clearing house's call competes with the rest.",
        "Give clearing houses' calls a smaller number than the others.",
    ),
    Code(
        "W641",
        "{value} is no whole number of lots of {lot}: more than is owed would be given back.",
        "Correct it, or the lot_size of the asset.",
    ),
    Code(
        "N641",
        "the line may not be re-used: what is owed back of it ({value}) is given back from where it lies, outside this "
        "run.",
        "Nothing to do.",
    ),
    Code(
        "N642",
        "{quantity} of {value} is disputed at {call}: it does not count there until it is settled, it is not there "
        "for other calls, and nothing more of {value} goes there.",
        "Nothing to do; give the row its new state when the dispute is over.",
    ),
    # 7 Settings
    Code("E701", "there are no settings.", "{hint}Add settings.yaml with as_of and base_currency."),
    Code("E702", "it is not valid YAML: {reason}.", "Correct that line."),
    Code("E703", "there is no such setting.", "{hint}The settings are {choices}."),
    Code("E704", "the setting stands there more than once.", "Keep one of them."),
    Code(
        "E705",
        "{value} where pairs of setting and value belong.",
        "Write lines such as `base_currency: EUR`.",
    ),
    # 8 Pins that cannot hold
    Code("E811", "{value}: it cannot be delivered there: {reason}.", "Remove the pin, or mend what stands in its way."),
    Code(
        "E812",
        "{value}: the quantity is no whole number of lots of {lot}.",
        "Correct it, or the lot_size of the asset.",
    ),
    Code(
        "E813",
        "{value}: the quantity is below the least that a line there may have, {least}.",
        "Pin at least that much, or forbid the line.",
    ),
    Code("E814", "{value}: the quantity is more than there is of it, {held}.", "Pin less."),
    Code("E815", "{value}: pinned, that comes to more than {what}.", "Pin less."),
    Code(
        "E816",
        "{value}: these pins cannot hold together: no answer keeps every limit beside them.",
        "Remove or lower one of them.",
    ),
    # 9 Positions and stresses
    Code(
        "E901",
        "nobody knows what the position is worth.",
        "Fill in market_value, or quantity and price.",
    ),
    Code(
        "E904", "{value} is no rating of the scale.", "Write letters such as A or BBB+; empty: of every rating below."
    ),
    Code(
        "W911",
        "the position is margined, but its initial margin is unknown; it counts as 0.",
        "Fill it in; write 0 if there is none.",
    ),
    Code(
        "W912",
        "market_value is {value}, but quantity, price and price_factor make {product}; market_value counts.",
        "Correct one of them, or leave market_value empty.",
    ),
    Code(
        "W913",
        "the initial margin {value} belongs to no agreement; it is left out.",
        "Name the agreement, or leave initial_margin empty.",
    ),
    Code(
        "W921",
        "{value}: stated {stated}, but the value moves by {change} from {before} to {after}, {which}: marked to market "
        "it would be {marked}, and {agreement} would call {otherwise} instead of {called}.",
        "Correct the stated margin or the shock; the stated one counts.",
    ),
    Code(
        "W922",
        "{value}: variation margin {stated} is stated, but the position has no agreement; it is left out.",
        "Name the agreement in positions, or take the figure out.",
    ),
    Code(
        "W923",
        "no sensitivity names the factor {value}: it moves nothing.",
        "{hint}Add rows to sensitivities, or take the shock out.",
    ),
    Code(
        "W924",
        "{value}: a stress multiplies the initial margin by {multiplier}, which is below 1.",
        "Check that a smaller margin is meant.",
    ),
    Code(
        "W925",
        "{agreement}: thresholds depend on the rating of {value}, which is unknown; {counted}.",
        "Write it below ratings in the file of stresses.",
    ),
    Code(
        "N931",
        "the stress moves the price of {value} in positions, but not of collateral worth {worth} of the same class "
        "(the first is {holding}).",
        "Write `on: both` if the collateral moves too.",
    ),
    Code(
        "N932",
        "{agreement} pays {value} to us, which meets no other call.",
        "Write `receipts: count` where it comes in time to be used.",
    ),
    Code(
        "N933",
        "{agreement}: {value} of what they posted goes back to them; it is none of the calls.",
        "Write it in received (return_quantity) where cash or securities have to be found for it.",
    ),
    Code(
        "N934",
        "{count} call(s) have no due time, the first is {value}: every source is in time for them.",
        "Write when they fall due below due of the stress.",
    ),
)
CATALOGUE: dict[str, Code] = {code.code: code for code in _CODES}


def shown(value: object) -> str:
    """A value as a message names it: printable text as it is, anything else so that one can see it."""
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, float) and value.is_integer():
        text = f"{value:.15g}"
    if not text.isprintable() or text != text.strip() or not text:
        text = repr(text)
    return text if len(text) <= 80 else text[:77] + "..."


def finding(
    code: str,
    table: str,
    *,
    row: int | None = None,
    column: str | None = None,
    value: object = None,
    **details: object,
) -> Finding:
    """The finding of this code at this place; ``details`` fill the templates' other fields."""
    entry = CATALOGUE[code]
    fields = {"hint": "", **details, "table": table, "column": column, "value": shown(value)}
    return Finding(
        code=code,
        severity=entry.severity,
        table=table,
        row=row,
        column=column,
        value=None if value is None else shown(value),
        cause=entry.cause.format(**fields),
        action=entry.remedy.format(**fields),
    )


def findings_page() -> str:
    """The text of ``docs/findings.md``: one table a topic, one line a code."""
    lines = [
        "# Findings",
        "",
        "Everything that can be found about a book. An error stops the run (exit status 2, nothing written),",
        "a warning should be read before the answer is used, a note is good to know. All findings of a book",
        "are listed at once. Row 1 is the header. Words in braces are filled in.",
        "",
        "This page is written from `collateral_opt/book/codes.py`; do not edit it.",
    ]
    for digit, topic in _TOPICS.items():
        lines += ["", f"## {topic}", "", "| Code | Severity | Cause | Remedy |", "|---|---|---|---|"]
        for code in sorted((c for c in _CODES if c.code[1] == digit), key=lambda c: ("EWN".index(c.code[0]), c.code)):
            remedy = code.remedy.replace("{hint}", "").replace("{{", "{").replace("}}", "}")
            lines.append(f"| {code.code} | {code.severity} | {_sentence(code.cause)} | {_sentence(remedy)} |")
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    if text in ("{cause}", "{remedy}"):
        return {"{cause}": "What is wrong with the rule or the line.", "{remedy}": "What to write instead."}[text]
    return (text[0].upper() + text[1:]).replace("|", "\\|")
