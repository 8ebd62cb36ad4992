"""What the import commands do: read, say what was not taken over, and write nothing unless everything is well."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from pydantic_core import PydanticCustomError

from eligibility_rules.importers.cdm import CdmOptions, read_cdm
from eligibility_rules.importers.problems import Imported
from eligibility_rules.importers.terms import CsaTerms, Party
from eligibility_rules.lists import ListColumns, ListRead, read_list
from eligibility_rules.problems import ScheduleError, ScheduleProblem
from eligibility_rules.scalars import exact
from eligibility_rules.vocabulary import share_below_one
from eligibility_rules.words import printable
from eligibility_rules.writing import csv_text, yaml_text


def import_cdm(
    file: Path,
    out: Path,
    *,
    name: str | None = None,
    options: CdmOptions | None = None,
    terms: Path | None = None,
    us: Party = "party1",
    findings: Path | None = None,
    force: bool = False,
) -> tuple[Imported, tuple[Path, ...]]:
    """Write the schedules of a CDM document into the folder `out`, as `NAME.yaml`, and its terms to `terms`.

    `terms` becomes a row of the table that `collateral-opt requirement` reads, seen from `us`; `findings` the table of
    what is to be known. Returns what was read and the files. Raises ScheduleError, and then writes nothing.
    """
    imported = read_cdm(file, name=name, options=options)
    texts: dict[Path, str] = {}
    for schedule in imported.schedules:
        if schedule.name != Path(schedule.name).name or schedule.name.startswith("."):
            raise _wrong(str(file), f"{schedule.name} is no name for a file", "Give another with --name")
        texts[out / f"{schedule.name}.yaml"] = yaml_text(schedule)
    if terms is not None:
        if imported.terms is None:
            raise _wrong(str(file), "holds no terms of an agreement", "Leave --terms out")
        texts[_target(terms, ".csv")] = terms_csv(imported.terms, name or file.stem, us)
    if findings is not None:
        texts[_target(findings, ".csv")] = findings_csv(imported)
    write_texts(texts, force=force)
    return imported, tuple(texts)


def terms_csv(terms: CsaTerms, agreement_id: str, us: Party) -> str:
    """The terms as a row of the table of exposures; exposure and what is held are left to fill in."""
    row = {"agreement_id": agreement_id, **terms.requirement_columns(us)}
    row |= {"exposure": "", "held_by_us": "", "held_by_them": ""}
    if row.get("margin_type") == "im":
        row["exposure_them"] = ""
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    return written.getvalue()


def imported_text(imported: Imported, written: tuple[Path, ...]) -> str:
    """What came of it: the terms, and the files."""
    lines: list[str] = []
    if imported.terms is not None:
        rows = [(label, one, two) for label, one, two in imported.terms.rows() if one or two]
        widths = [max(len(printable(row[place])) for row in rows) for place in (0, 1)]
        for label, one, two in rows:
            line = f"  {printable(label):<{widths[0]}}  {printable(one):<{widths[1]}}  {printable(two)}"
            lines.append(line.rstrip())
        lines.append("")
    for schedule in imported.schedules:
        counts = [_count(len(schedule.rules), "rule")]
        counts += [_count(len(schedule.limits), "limit")] if schedule.limits else []
        lines.append(f"{printable(schedule.name)}: {', '.join(counts)}")
    lines += [f"written to {printable(path)}" for path in written] or ["nothing to write"]
    return "\n".join(lines)


_NUMBER = re.compile(r"\[(\d+)\]")
_EFFECTS = {
    "laxer": "may take too much",
    "stricter": "takes less than the document may mean",
    "none": "to know",
}


def findings_text(imported: Imported) -> str:
    """What a reader must know, what may take too much first, each with its places; empty where that is nothing."""
    found = imported.findings
    if not found:
        return ""
    start = _shared_start([one.where for one in found])
    lines = [_count(len(found), "finding") + (f"; places are below {printable(start)}" if start else "")]
    for effect, words in _EFFECTS.items():
        said: dict[str, list[str]] = {}
        for one in found:
            if one.effect == effect:
                value = f"{one.value}: " if one.value else ""
                said.setdefault(f"{value}{one.message}", []).append(one.where)
        if said:
            lines += ["", f"{words} ({effect}):"]
        for sentence, places in said.items():
            lines.append(f"  {printable(sentence)}")
            lines += [f"      {printable(place)}" for place in _gathered([_below(start, place) for place in places])]
    return "\n".join(lines)


def _below(start: str, place: str) -> str:
    return place.removeprefix(start).removeprefix(".") or "all of it" if start and place.startswith(start) else place


def _gathered(places: Sequence[str]) -> Iterator[str]:
    """Places that only differ in their numbers as one, `first[0-1].rule[0-4]`, where that is all of them."""
    by_shape: dict[str, list[tuple[int, ...]]] = {}
    for place in dict.fromkeys(places):
        by_shape.setdefault(_NUMBER.sub("[]", place), []).append(tuple(map(int, _NUMBER.findall(place))))
    for shape, numbers in by_shape.items():
        each = [sorted(set(column)) for column in zip(*numbers, strict=True)]
        whole = math.prod(map(len, each)) == len(numbers)
        for row in [[_span(column) for column in each]] if whole else [[str(n) for n in row] for row in numbers]:
            parts = iter(row)
            yield re.sub(r"\[\]", lambda _, parts=parts: f"[{next(parts)}]", shape)  # type: ignore[misc]


def _span(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    in_a_row = len(numbers) == last - first + 1
    return str(first) if first == last else f"{first}-{last}" if in_a_row else ",".join(map(str, numbers))


def _shared_start(places: Sequence[str]) -> str:
    """The names that every path begins with, where they are so many that repeating them hides the rest."""
    paths = [place.split(".") for place in places if place.startswith("$")]
    names = [step[0] for step in zip(*paths, strict=False) if len(set(step)) == 1] if len(paths) > 1 else []
    shared = next((n for n, step in enumerate(zip(*paths, strict=False)) if len(set(step)) > 1), len(names))
    return ".".join(names[:shared]) if shared > 3 else ""


def findings_csv(imported: Imported) -> str:
    """The findings as a table: effect, path, value, message."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("effect", "path", "value", "message"))
    writer.writerows((one.effect, one.where, one.value, one.message) for one in imported.findings)
    return written.getvalue()


def fx_rate(text: str | None) -> Fraction | None:
    """The rate of an FX haircut as a share; raises ScheduleError."""
    if text is None:
        return None
    try:
        return share_below_one(exact(text), "--fx-haircut")
    except PydanticCustomError as failed:
        context = failed.context or {}
        raise _wrong("--fx-haircut", context["message"], context["remedy"]) from None


def issuers(said: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`["Government of Canada=CAN"]` as what the asset table calls an issuer; said twice, it has two names."""
    names: dict[str, tuple[str, ...]] = {}
    for one in said:
        name, sign, ours = (part.strip() for part in one.rpartition("="))
        if not (name and sign and ours):
            raise _wrong("--issuer", f"{one} is not a name and what stands for it", 'Write --issuer "US Treasury=UST"')
        names[name] = tuple(dict.fromkeys((*names.get(name, ()), ours)))
    return names


def party(number: int) -> Party:
    """Party 1 or 2."""
    return "party1" if number == 1 else "party2"


def import_list(file: Path, out: Path, columns: ListColumns, *, force: bool = False) -> ListRead:
    """Write a list of others as the list schedule `out` (.csv); raises ScheduleError, and then writes nothing."""
    target = _target(out, ".csv")
    if target.resolve() == file.resolve():
        raise _wrong(str(out), "is the file that is read", "Choose another name")
    found = read_list(file, columns, target.stem)
    write_texts({target: csv_text(found.schedule)}, force=force)
    return found


def eligible_cells(said: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """`["STATUS=active", "STATUS=new"]` as the column and its cells; raises ScheduleError."""
    parts = [one.partition("=") for one in said]
    columns = {column for column, _, _ in parts}
    if len(columns) > 1 or not all(column and sign and cell for column, sign, cell in parts):
        raise _wrong(
            "--eligible", f"{', '.join(said)} is not one column and its cells", "Write --eligible STATUS=active"
        )
    return (parts[0][0], tuple(cell for _, _, cell in parts)) if parts else None


def delimiter(said: str | None) -> str | None:
    """The character that parts cells; a tab, which is hard to type, may be called `tab`."""
    return "\t" if said in ("tab", "\\t") else said


def list_text(found: ListRead, out: Path) -> str:
    """What came of it: how many assets, what was left unread, what is in doubt."""
    lines = found.schedule.listing
    eligible = sum(row.eligible for row in lines)
    said = [f"{_count(len(lines), 'asset')}, {eligible:,} of them eligible"]
    if found.no:
        said.append(f"not eligible: {', '.join(printable(cell) or 'an empty cell' for cell in found.no)}")
    if found.repeated:
        said.append(f"{_count(found.repeated, 'line')} said again what another says")
    if found.unread:
        said.append(f"not read: {', '.join(map(printable, found.unread))}")
    return "\n".join([*said, f"written to {printable(out)}"])


def _target(path: Path, suffix: str) -> Path:
    if path.suffix.lower() != suffix:
        raise _wrong(str(path), f"the name must end in {suffix}", f"Call it {path.stem}{suffix}")
    return path


def write_texts(texts: Mapping[Path, str], *, force: bool = False) -> None:
    """Write files, all of them or none; none if one is there already and `force` is not given.

    Raises ScheduleError, and OSError with the name of the file that cannot be written.
    """
    problems = [
        ScheduleProblem(str(path), "", "", "is a folder", "Name the file in it")
        if path.is_dir()
        else ScheduleProblem(str(path), "", "", "is there already", "Choose another name, or replace it with --force")
        for path in texts
        if path.is_dir() or (path.exists() and not force)
    ]
    if problems:
        raise ScheduleError(problems)
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged[path] = path.with_name(f".{path.name}.partial")
            staged[path].write_text(text, encoding="utf-8", newline="\n")
        for path, partial in staged.items():
            partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        for partial in staged.values():
            # Whatever kept the file from being written may keep it from being looked for.
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _count(many: int, word: str) -> str:
    return f"{many:,} {word}{'' if many == 1 else 's'}"


def _wrong(where: str, message: str, remedy: str) -> ScheduleError:
    return ScheduleError([ScheduleProblem(where, "", "", message, remedy)])
