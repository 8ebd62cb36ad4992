"""A CDM document as JSON, walked so that nothing in it can be passed over unseen.

Both serialisations are understood: a value with metadata is `{"value": x, "meta": ...}` in one and
`{"@data": x, "@scheme": ...}` in the other; references are followed within the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from eligibility_rules.importers.problems import Effect, ImportFinding
from eligibility_rules.problems import ScheduleError, ScheduleProblem
from eligibility_rules.scalars import decimal_text, shown

_META = ("meta", "globalKey", "externalKey", "globalReference", "externalReference")
_REFERENCES = ("globalReference", "externalReference", "@ref", "@ref:external", "@ref:scoped")
_KEYS = ("globalKey", "externalKey", "@key", "@key:external", "@key:scoped")
_LARGEST_EXPONENT = 300
_OPPOSITE: dict[Effect, Effect] = {"laxer": "stricter", "stricter": "laxer", "none": "none"}


class Reading:
    """One document being read: its findings, and its objects by the keys that references name."""

    def __init__(self, file: str, document: Any) -> None:
        self.file = file
        self.findings: dict[ImportFinding, None] = {}
        self._by_key: dict[str, Any] = {}
        self._index(document)
        self.limits_in_percent = False
        self.refusing = False
        self.named: set[str] = set()
        self.root = Node(self, document, "$")

    @contextmanager
    def turned(self, refuses: bool = True) -> Iterator[None]:
        """Within it, what satisfies a criterion is refused (or capped): what makes it narrower takes more."""
        before = self.refusing
        self.refusing = before != refuses
        try:
            yield
        finally:
            self.refusing = before

    def find(self, where: str, message: str, effect: Effect, value: object = "", *, either_way: bool = False) -> None:
        """Note a finding; the same one twice counts once.

        `effect` is that on a criterion that takes assets; where one refuses them it is the opposite, unless it is the
        same `either_way`.
        """
        if self.refusing and not either_way:
            effect = _OPPOSITE[effect]
        self.findings.setdefault(ImportFinding(where, _shown(value), message, effect))

    def problem(self, where: str, value: object, message: str, remedy: str) -> ScheduleError:
        """What makes the document unusable, to be raised."""
        return ScheduleError([ScheduleProblem(self.file, where, _shown(value), message, remedy)])

    def referred(self, key: str) -> Any:
        """The object that has the key, None where there is none."""
        return self._by_key.get(key)

    def _index(self, value: Any) -> None:
        if isinstance(value, Mapping):
            meta = value.get("meta")
            for holder in (value, meta if isinstance(meta, Mapping) else {}):
                for word in _KEYS:
                    if isinstance(holder.get(word), str):
                        self._by_key.setdefault(holder[word], value)
            for inner in value.values():
                self._index(inner)
        elif isinstance(value, list):
            for inner in value:
                self._index(inner)


class Node:
    """A place in the document; what is asked of it counts as read."""

    def __init__(self, reading: Reading, value: Any, path: str) -> None:
        self.reading, self.path = reading, path
        self.value = _bare(value, reading, set())
        self._children: dict[str, Node] = {}
        self._read = not isinstance(self.value, Mapping | list)

    def get(self, *names: str) -> Node | None:
        """The part under the first of the names that is there; None where none is, or it is null or empty."""
        for name in names:
            if isinstance(self.value, Mapping) and self.value.get(name) not in (None, [], {}):
                if name not in self._children:
                    self._children[name] = Node(self.reading, self.value[name], f"{self.path}.{name}")
                return self._children[name]
        return None

    def at(self, *names: str) -> Node | None:
        """The part under a chain of names."""
        node: Node | None = self
        for name in names:
            node = None if node is None else node.get(name)
        return node

    def items(self) -> list[Node]:
        """The members of a list; what is no list is the only member of one."""
        if not isinstance(self.value, list):
            return [self]
        for place, inner in enumerate(self.value):
            if str(place) not in self._children:
                self._children[str(place)] = Node(self.reading, inner, f"{self.path}[{place}]")
        return [self._children[str(place)] for place in range(len(self.value))]

    def all(self, *names: str) -> list[Node]:
        """The members of the list under a name, none where it is not there."""
        found = self.get(*names)
        return [] if found is None else found.items()

    def names(self) -> tuple[str, ...]:
        """The names that stand here, metadata left out."""
        return tuple(self.value) if isinstance(self.value, Mapping) else ()

    def text(self) -> str | None:
        """The single value that stands here, as text."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, int | Fraction):
            return decimal_text(Fraction(self.value))
        return self.value.strip() or None if isinstance(self.value, str) else None

    def number(self) -> Fraction | None:
        """The number that stands here, exact to its digits; the other serialisation writes it as text."""
        if isinstance(self.value, bool):
            return None
        if isinstance(self.value, int | Fraction):
            return Fraction(self.value)
        text = self.text()
        return _fraction(text) if text is not None and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) else None

    def flag(self) -> bool | None:
        """True or false."""
        if isinstance(self.value, bool):
            return self.value
        return {"true": True, "false": False}.get(str(self.value).lower())

    def texts(self, *names: str) -> tuple[str, ...]:
        """The single values of the list under a name."""
        return tuple(text for node in self.all(*names) if (text := node.text()) is not None)

    def skip(self) -> None:
        """Count everything below as read."""
        self._read = True

    def unread(self) -> Iterator[tuple[str, str, Any]]:
        """Path, name and value of what was never asked for."""
        if self._read:
            return
        inner = self.value.items() if isinstance(self.value, Mapping) else enumerate(self.value)
        for name, value in inner:
            child = self._children.get(str(name))
            if child is not None:
                yield from child.unread()
            elif value not in (None, [], {}) and not str(name).startswith("@"):
                path = f"{self.path}.{name}" if isinstance(self.value, Mapping) else f"{self.path}[{name}]"
                yield path, str(name) if isinstance(self.value, Mapping) else self.path.split(".")[-1], value

    def find(self, message: str, effect: Effect, value: object = None, *, either_way: bool = False) -> None:
        """Note a finding here."""
        self.reading.find(self.path, message, effect, self.value if value is None else value, either_way=either_way)


def _bare(value: Any, reading: Reading, seen: set[str]) -> Any:
    """The value without its metadata, a reference followed."""
    if not isinstance(value, Mapping):
        return value
    if "@data" in value:
        return _bare(value["@data"], reading, seen)
    rest = {key: inner for key, inner in value.items() if key not in _META and (key[:1] != "@" or key == "@type")}
    if set(rest) - {"@type"} == {"value"}:
        return _bare(rest["value"], reading, seen)
    if not set(rest) - {"@type"}:
        for word in _REFERENCES:
            key = value.get(word)
            if isinstance(key, str) and key not in seen and reading.referred(key) is not None:
                return _bare(reading.referred(key), reading, seen | {key})
    return rest


def _shown(value: object) -> str:
    if isinstance(value, Fraction):
        return decimal_text(value)
    if isinstance(value, Mapping):
        return shown({key: _plain(inner) for key, inner in value.items()})
    return shown(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return decimal_text(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


# -------------------- JSON


def parse_json(text: str, file: str) -> Any:
    """The document; numbers are exact. Raises ScheduleError where it is not JSON or a name stands twice."""

    def refused(message: str, value: str, remedy: str) -> ScheduleError:
        return ScheduleError([ScheduleProblem(file, "", value, message, remedy)])

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        named = dict(pairs)
        if len(named) < len(pairs):
            twice = next(name for name in named if sum(name == other for other, _ in pairs) > 1)
            raise refused(f"{twice} stands twice in one object", twice, "Keep one of them")
        return named

    def not_a_number(word: str) -> Any:
        raise refused(f"{word} is not a number", word, "Write a decimal number")

    try:
        return json.loads(
            text, parse_float=_fraction, parse_int=int, parse_constant=not_a_number, object_pairs_hook=once
        )
    except json.JSONDecodeError as failed:
        where = f"line {failed.lineno}"
        raise ScheduleError([ScheduleProblem(file, where, "", f"not JSON: {failed.msg}", "Correct it there")]) from None
    except (RecursionError, OverflowError) as failed:
        raise refused(f"cannot be read: {failed}", "", "Is it a CDM document?") from None
    except ScheduleError:
        raise
    except ValueError as failed:
        raise refused(f"cannot be read: {failed}", "", "Correct the number") from None


def _fraction(text: str) -> Fraction:
    exponent = re.search(r"[eE]([+-]?\d+)$", text)
    if exponent is not None and abs(int(exponent.group(1))) > _LARGEST_EXPONENT:
        raise OverflowError(f"{text} is out of all proportion")
    return Fraction(text)
