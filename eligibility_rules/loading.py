"""Reads schedules: YAML rules, CSV lists and the dict form, with every problem of a file reported at once.

Each problem names the file, the rule or line, the value, and what to do. Scalars keep their text (`NO` is
Norway), and a key written twice is a problem: whichever of the two a parser keeps, the other was meant.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from eligibility_rules.problems import ScheduleError, ScheduleProblem, did_you_mean
from eligibility_rules.scalars import PROBLEM, decimal_text, exact, shown, true_or_false
from eligibility_rules.vocabulary import COMPARISONS, FIELDS, PARTS, Schedule, place_of, share_below_one

LIST_COLUMNS = ("asset_id", "isin", "eligible", "haircut", "max_quantity", "max_value")


def load_schedule(path: str | Path) -> Schedule:
    """Read a schedule from `.yaml`/`.yml` (rules) or `.csv` (a list of assets).

    The schedule is called what its `name` says, else what the file is called. Raises ScheduleError with every
    problem of the file.
    """
    file = Path(path)
    if file.suffix.lower() not in (".yaml", ".yml", ".csv"):
        raise _one(
            str(file),
            "",
            file.suffix,
            f"{file.suffix or 'no suffix'} is not a kind of schedule",
            "Use .yaml or .csv",
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise _one(str(file), "", "", "there is no such file", "Check the name") from None
    except UnicodeDecodeError as failed:
        raise _one(str(file), f"byte {failed.start}", "", "the file is not UTF-8", "Save it as UTF-8") from None
    if file.suffix.lower() == ".csv":
        return _list_schedule(text, file.stem, str(file))
    return parse_schedule(_yaml_mapping(text, str(file)), file.stem, str(file))


def parse_schedule(data: Mapping[str, Any], name: str, where: str = "") -> Schedule:
    """A schedule from the mapping that its YAML is; `name` is used where it has none, `where` is its file.

    Numbers may be numbers or text; text gives exact figures whatever their length. Raises ScheduleError with
    every problem.
    """
    file = where or name
    if not isinstance(data, Mapping):
        raise _one(file, "", shown(data), "a schedule is a mapping", "Start with name: and rules:")
    form = {key: value for key, value in data.items() if value is not None and value != ""}
    form.setdefault("name", name)
    empty = [
        ScheduleProblem(file, str(key), "", f"{key} is empty", f"Write it, or take {key} out")
        for key, value in data.items()
        if (value is None or value == "") and key in ("rules", "further_haircuts", "fx_haircut", "overlap", "wrong_way")
    ]
    rules = form.get("rules")
    for place, rule in enumerate(rules if isinstance(rules, list | tuple) else (), 1):
        # Nothing after `when:` is a slip of indentation far more often than a rule meant to take everything.
        if isinstance(rule, Mapping) and "when" in rule and rule["when"] in (None, ""):
            where_ = place_of("rule", place, str(rule.get("label") or ""))
            empty.append(ScheduleProblem(file, where_, "", "when is empty", "Write a criterion, or take when out"))
    if "listing" in form:
        del form["listing"]
        remedy = "Write rules:, or a list as NAME.csv"
        empty.append(ScheduleProblem(file, "listing", "", "schedule knows no listing", remedy))
    try:
        schedule = Schedule.model_validate(form)
    except ValidationError as failed:
        problems = [_problem(file, form, detail) for detail in failed.errors(include_url=False)]
        raise ScheduleError([*empty, *problems]) from None
    if empty:
        raise ScheduleError(empty)
    return schedule


def _one(file: str, where: str, value: str, message: str, remedy: str) -> ScheduleError:
    return ScheduleError([ScheduleProblem(file, where, value, message, remedy)])


# -------------------- YAML


class _TextLoader(yaml.BaseLoader):
    """YAML in which every scalar is the text that was written, and a key may stand once in a mapping."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.twice: list[tuple[int, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a single word", key.start_mark)
            if key.value in seen:
                self.twice.append((key.start_mark.line + 1, key.value))
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


def _yaml_mapping(text: str, file: str) -> Mapping[str, Any]:
    loader = _TextLoader(text)
    try:
        data = loader.get_single_data()
    except yaml.YAMLError as failed:
        mark = getattr(failed, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark is not None else ""
        cause = getattr(failed, "problem", None) or str(failed)
        raise _one(
            file, line, "", f"not readable as YAML: {cause}", "Check indentation, brackets and quotes there"
        ) from None
    finally:
        loader.dispose()
    problems = [
        ScheduleProblem(file, f"line {line}", key, f"{key} stands twice in one mapping", "Keep one of them")
        for line, key in dict.fromkeys(loader.twice)
    ]
    if isinstance(data, Mapping) and not problems:
        return data
    if not isinstance(data, Mapping):
        problems.append(
            ScheduleProblem(file, "", shown(data), "a schedule is a mapping", "Start with name: and rules:")
        )
    else:
        # The other problems of the file belong into the same report.
        try:
            parse_schedule(data, Path(file).stem, file)
        except ScheduleError as failed:
            problems.extend(failed.problems)
    raise ScheduleError(problems)


# -------------------- pydantic's words into our own


_NAMED = {name for names in FIELDS.values() for name in names} | {"amount", "currency"}
_NAMED -= {"schedule", *PARTS, "caps", "when", "select"}


def _problem(file: str, form: Mapping[str, Any], detail: ErrorDetails) -> ScheduleProblem:
    """One pydantic error as a problem: the rule it belongs to, and what to do."""
    loc, context = detail["loc"], detail.get("ctx", {})
    where, field = _place(form, loc)
    if detail["type"] == PROBLEM:
        message = context["message"]
        said = "max" if field in ("share", "amount") else field
        if said in _NAMED and said != where and said not in message:
            message = f"{said}: {message}"
        return ScheduleProblem(file, where, context["value"], message, context["remedy"])
    value = shown(detail["input"])
    if detail["type"] == "extra_forbidden":
        owner = _owner(loc[:-1])
        known = FIELDS.get(owner, COMPARISONS)
        remedy = did_you_mean(field, known) or "Known are " + ", ".join(known)
        return ScheduleProblem(file, where, field, f"{field} is not known here", remedy)
    if detail["type"] == "missing":
        return ScheduleProblem(file, where, "", f"{field} is missing", f"Add {field}")
    if detail["type"] == "literal_error":
        expected = [
            word.strip().strip("'") for word in str(context.get("expected", "")).replace(" or ", ",").split(",")
        ]
        remedy = did_you_mean(value, expected) or "Write one of " + ", ".join(expected)
        return ScheduleProblem(file, where, value, f"{field} is {value}, which is not known", remedy)
    if detail["type"] in ("tuple_type", "list_type"):
        return ScheduleProblem(
            file, where, value, f"{field} is not a list", f"Write {field}: and below it lines with -"
        )
    if detail["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return ScheduleProblem(file, where, value, f"{value or field} is not a mapping", "Write {key: value, ...}")
    return ScheduleProblem(file, where, value, f"{field}: {detail['msg']}", "Write a single text")


def _place(form: Mapping[str, Any], loc: tuple[int | str, ...]) -> tuple[str, str]:
    """The rule, further haircut, limit or key that a pydantic location stands in, and the last name in it."""
    names = [str(part) for part in loc if isinstance(part, str)]
    field = names[-1] if names else "schedule"
    if len(loc) >= 2 and loc[0] in PARTS and isinstance(loc[1], int):
        parts = form[str(loc[0])]
        part = parts[loc[1]]
        label = str(part.get("label") or "") if isinstance(part, Mapping) else ""
        return place_of(PARTS[str(loc[0])], loc[1] + 1, label), field
    return (names[0] if len(loc) > 1 or field in ("fx_haircut", "assume") else ""), field


def _owner(loc: tuple[int | str, ...]) -> str:
    names = [str(part) for part in loc if isinstance(part, str)]
    return names[-1] if names else "schedule"


# -------------------- list schedules


def _list_schedule(text: str, name: str, file: str) -> Schedule:
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [cell.strip() for cell in next(reader, [])]
    problems = list(_header_problems(header, file))
    if problems:
        raise ScheduleError(problems)
    rows: list[dict[str, Any]] = []
    first_line: dict[tuple[str, str], int] = {}
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num
        found = _ListLine(file, line)
        if len(cells) > len(header):
            found.add(
                cells[len(header)],
                f"has {len(cells)} cells under {len(header)} columns",
                "Quote a cell that has a comma in it",
            )
        row = found.read(dict(zip(header, (cell.strip() for cell in cells), strict=False)))
        key = ("asset_id", row["asset_id"]) if row["asset_id"] else ("isin", row["isin"] or "")
        if not key[1]:
            found.add("", "names no asset", "Fill asset_id or isin")
        elif key in first_line:
            found.add(
                key[1],
                f"{key[0]} {key[1]} stands on line {first_line[key]} already",
                "Keep one of the two lines",
            )
        first_line.setdefault(key, line)
        problems.extend(found.problems)
        rows.append(row)
    if not rows:
        problems.append(ScheduleProblem(file, "", "", "the list has no lines", "List at least one asset"))
    if problems:
        raise ScheduleError(problems)
    return Schedule.model_validate({"name": name, "listing": tuple(rows)})


def _header_problems(header: Sequence[str], file: str) -> Iterable[ScheduleProblem]:
    if "asset_id" not in header and "isin" not in header:
        remedy = (
            "Separate cells by commas" if any(";" in cell for cell in header) else "Add the column asset_id or isin"
        )
        yield ScheduleProblem(file, "line 1", ", ".join(header), "the list has neither asset_id nor isin", remedy)
        return
    for column in dict.fromkeys(column for column in header if header.count(column) > 1 and column):
        yield ScheduleProblem(file, "line 1", column, f"{column} stands twice in the header", "Keep one of them")
    missing = [column for column in LIST_COLUMNS if column not in header]
    for column in header:
        near = did_you_mean(column, missing) if column not in LIST_COLUMNS else ""
        if near:
            yield ScheduleProblem(file, "line 1", column, f"{column} is not a column of a list schedule", near)


class _ListLine:
    """One line of a list schedule as it is read, with the problems it has."""

    def __init__(self, file: str, line: int) -> None:
        self.file, self.line = file, line
        self.problems: list[ScheduleProblem] = []

    def add(self, value: str, message: str, remedy: str) -> None:
        self.problems.append(ScheduleProblem(self.file, f"line {self.line}", value, message, remedy))

    def read(self, cells: Mapping[str, str]) -> dict[str, Any]:
        eligible = True
        if cells.get("eligible"):
            try:
                eligible = true_or_false(cells["eligible"])
            except PydanticCustomError as failed:
                self._take("eligible", failed)
        haircut = self._number(cells, "haircut")
        if haircut is not None:
            try:
                share_below_one(haircut, "haircut")
            except PydanticCustomError as failed:
                self._take("haircut", failed)
        elif eligible and not cells.get("haircut"):
            self.add(
                "",
                "haircut is empty, and an eligible asset needs one",
                "Fill it (0 for none), or write eligible: false",
            )
        row: dict[str, Any] = {"line": self.line, "eligible": eligible, "haircut": haircut}
        for column in ("max_quantity", "max_value"):
            most = self._number(cells, column)
            if most is not None and most < 0:
                self.add(
                    decimal_text(most),
                    f"{column} is {decimal_text(most)} (must be at least 0)",
                    "Write 0 for none of it, or nothing for no cap",
                )
            row[column] = most
        return {**row, "asset_id": cells.get("asset_id") or None, "isin": cells.get("isin") or None}

    def _number(self, cells: Mapping[str, str], column: str) -> Fraction | None:
        try:
            return exact(cells[column]) if cells.get(column) else None
        except PydanticCustomError as failed:
            self._take(column, failed)
            return None

    def _take(self, column: str, failed: PydanticCustomError) -> None:
        context = failed.context or {}
        message = context["message"] if column in context["message"] else f"{column}: {context['message']}"
        self.add(context["value"], message, context["remedy"])
