"""Reads YAML 1.2 into plain values, with the place of every key.

All scalars stay text until a field's type reads them. So ``on`` is a word, ``007`` keeps its zeros and
``${NAME}`` may stand where a number is wanted. ruamel.yaml is used because it reads YAML 1.2 and knows the
line and column of every key. Aliases, tags, deep nesting and second documents are refused: a configuration
needs none, a bomb does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)

from .problems import Key, Problem, SettingsError, dotted
from .variables import Unset, expand, hide, is_null

FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 20
EXAMPLE = "`sidecar config example` shows every key"
_PROLOGUE = (StreamStartEvent, DocumentStartEvent)
_STEPS = {MappingStartEvent: 1, SequenceStartEvent: 1, MappingEndEvent: -1, SequenceEndEvent: -1}
Position = tuple[int, int]


@dataclass(slots=True)
class Document:
    """A file as plain values. ``places`` holds line and column (from 1) of every key that it has."""

    name: str
    values: Any = None
    places: dict[Key, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, key: Key) -> Position:
        """Return line and column of a key, or of the nearest one above it that is there."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, (1, 1))

    def at(self, place: Position) -> str:
        """Return ``file:line:column``."""
        return f"{self.name}:{place[0]}:{place[1]}"


def read_text(path: Path) -> str:
    """Return a configuration's text. Raises SettingsError."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise unusable(name, f"cannot be read: {error.strerror}; {EXAMPLE}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise unusable(name, f"is larger than {FILE_BYTES_MAX} bytes, which no configuration is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise unusable(f"{name}:{line}:1", "is not UTF-8; save the file as UTF-8 text") from None


def unusable(where: str, message: str) -> SettingsError:
    """Return the error for a file that holds no configuration at all."""
    return SettingsError([Problem(where=where, key="", message=message)])


def parse(name: str, text: str, environ: Mapping[str, str], *, only: str | None = None) -> Document:
    """Return the document; what is wrong with it is in ``problems``, and ``values`` holds the rest.

    ``only``: the value of this top-level key; nothing else is resolved, nor looked at once it is found.
    """
    document = Document(name)
    try:
        events = YAML(typ="safe", pure=True).parse(hide(text))
        builder = _Builder(document, environ)
        builder.build(events) if only is None else builder.build_only(only, events)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(str(error.problem or error.context).split())
        document.problems.append(_problem(document, place, (), f"this is no YAML: {what}{_hint(what)}"))
    except YAMLError as error:
        what = str(error).splitlines()[0]
        document.problems.append(_problem(document, (1, 1), (), f"this is no YAML: {what}"))
    except _Refused as refused:
        document.values = None
        document.problems.append(refused.problem)
    return document


class _Refused(Exception):  # noqa: N818 - it ends one parse and never leaves this module
    """The document goes no further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


class _Builder:
    """Events to values, each visited once."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ
        self.documents = 0

    def build(self, events: Iterator[Event]) -> None:
        self.events = events
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    raise self.refuse(
                        event, (), "a second document begins; keep everything in one, without ---"
                    )
            elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                self.document.values = self.value(event, ())

    def build_only(self, wanted: str, events: Iterator[Event]) -> None:
        """Take the value of one top-level key, and pass over those before it."""
        self.events = events
        opening = next((event for event in events if not isinstance(event, _PROLOGUE)), None)
        if not isinstance(opening, MappingStartEvent):
            return
        for event in events:
            if isinstance(event, MappingEndEvent):
                return
            if isinstance(event, ScalarEvent) and event.value == wanted:
                self.document.places[wanted,] = _place(event)
                self.document.values = self.value(next(events), (wanted,))
                return
            self.skip(event)
            self.skip(next(events))

    def skip(self, event: Event) -> None:
        depth = _STEPS.get(type(event), 0)
        while depth:
            depth += _STEPS.get(type(next(self.events)), 0)

    def value(self, event: Event, key: Key) -> Any:
        if isinstance(event, AliasEvent):
            raise self.refuse(event, key, "aliases (*name) are not read here; write the value again")
        if getattr(event, "anchor", None):
            raise self.refuse(
                event, key, "anchors (&name) are not read here; write the value where it is needed"
            )
        if (tag := getattr(event, "tag", None)) not in (None, "!"):
            raise self.refuse(event, key, f"tags ({tag}) are not read here; write the plain value")
        if len(key) > DEPTH_MAX:
            raise self.refuse(event, key[:3], f"is nested more than {DEPTH_MAX} levels deep")
        if isinstance(event, MappingStartEvent):
            return self.mapping(key)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(key)
        return self.scalar(event, key)

    def mapping(self, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                raise self.refuse(event, key, "a key must be plain text; put a pattern or template in quotes")
            name = str(event.value)
            below = (*key, name)
            if name in values:
                first = self.document.at(self.document.place(below))
                self.wrong(event, below, f"is written twice, first at {first}; keep one of them")
            self.document.places[below] = _place(event)
            values[name] = self.value(next(self.events), below)
        return values

    def sequence(self, key: Key) -> list[Any]:
        values: list[Any] = []
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                break
            below = (*key, len(values))
            self.document.places[below] = _place(event)
            values.append(self.value(event, below))
        return values

    def scalar(self, event: Any, key: Key) -> str | None:
        try:
            text = expand(event.value, self.environ)
        except Unset as error:
            self.wrong(event, key, str(error))
            return None
        return None if event.style is None and is_null(text) else text

    def wrong(self, event: Event, key: Key, message: str) -> None:
        self.document.problems.append(_problem(self.document, _place(event), key, message))

    def refuse(self, event: Event, key: Key, message: str) -> _Refused:
        return _Refused(_problem(self.document, _place(event), key, message))


def _place(event: Event) -> Position:
    mark: StringMark = event.start_mark
    return (mark.line + 1, mark.column + 1)


def _problem(document: Document, place: Position, key: Key, message: str) -> Problem:
    return Problem(where=document.at(place), key=dotted(key), message=message, place=place)


def _hint(what: str) -> str:
    if "\\t" in what or "tab" in what:
        return "; indent with spaces"
    if "cannot start any token" in what or "mapping values are not allowed" in what:
        return "; put text with : # * & ! % @ or ` in quotes"
    return ""
