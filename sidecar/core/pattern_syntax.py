"""The grammar of patterns and templates: text to nodes, with the position of every mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
PATTERN_LENGTH_MAX = 1024
RESERVED = frozenset(
    {"name", "stem", "ext", "path", "transfer", "asset_type", "session_id", "scene_id"}
)  # always there in keys, so never captured or pinned


@dataclass(frozen=True, slots=True)
class Text:
    """These very characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Slash:
    """The end of a segment."""


@dataclass(frozen=True, slots=True)
class Star:
    """Any characters of a segment, at least ``least``."""

    least: int


@dataclass(frozen=True, slots=True)
class Deep:
    """``**``: any characters and segments."""


@dataclass(frozen=True, slots=True)
class Folders:
    """``**/``: any folders, or none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``(a|b)``: the first of these that lets the rest match."""

    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Field:
    """``{name:glob}``."""

    name: str
    nodes: tuple[Node, ...]


Node = Text | Slash | Star | Deep | Folders | Choice | Field


def check_field_name(name: str) -> str:
    """Return a name that a pattern may capture. Raises ValueError for any other."""
    if not _FIELD.fullmatch(name):
        raise ValueError(f"{name!r} is no field name; use letters, digits and _, beginning with a letter")
    if name in RESERVED:
        raise ValueError(f"{{{name}}} is always there and cannot be captured; choose another name")
    return name


def parse(source: str) -> tuple[Node, ...]:
    """Return the nodes of a pattern. Raises ValueError, counting characters from 1."""
    return _Parser(source).pattern()


def field_names(nodes: Sequence[Node]) -> list[str]:
    """Return the captured fields, in order, those used twice twice."""
    return [node.name for node in nodes if isinstance(node, Field)]


def segment_fields(nodes: Sequence[Node]) -> Iterator[tuple[int, set[str]]]:
    """Yield the place of each field's node with its name."""
    return ((at, {node.name}) for at, node in enumerate(nodes) if isinstance(node, Field))


class _Parser:
    """A recursive descent over one source; ``at`` is the next character."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def pattern(self) -> tuple[Node, ...]:
        if not self.source:
            raise ValueError(
                "the pattern is empty; write one such as {project}/{session}/{scene}/video/*.mp4"
            )
        if len(self.source) > PATTERN_LENGTH_MAX:
            raise ValueError(f"the pattern is longer than {PATTERN_LENGTH_MAX} characters")
        if self.source.startswith("/"):
            raise self.wrong("a pattern begins below the root, without /", 0)
        nodes = self.sequence(stop="", depth=0)
        if self.at < len(self.source):
            raise self.wrong(
                f"{self.source[self.at]!r} closes nothing; write \\{self.source[self.at]} to mean it"
            )
        if isinstance(nodes[-1], Slash | Folders):
            raise self.wrong("a pattern names files and cannot end in /", len(self.source) - 1)
        return tuple(nodes)

    def sequence(self, *, stop: str, depth: int) -> list[Node]:
        nodes: list[Node] = []
        while self.at < len(self.source) and (char := self.source[self.at]) not in stop:
            if char in ")}":
                break
            nodes.append(self.node(char, depth))
        return _joined(nodes)

    def node(self, char: str, depth: int) -> Node:
        start = self.at
        self.at += 1
        if char == "*":
            return self.star(depth)
        if char == "(":
            return self.choice(start, depth)
        if char == "{":
            return self.field(start, depth)
        if char == "/":
            return self.slash(start, depth)
        if char == "\\":
            return self.escaped(start)
        if char in "[]?":
            raise self.wrong(f"{char!r} has no meaning here; write \\{char} to mean the character", start)
        if char == "|" and not depth:
            raise self.wrong("'|' stands within ( ) only; write \\| to mean the character", start)
        if char < " ":
            raise self.wrong("a control character", start)
        return Text(char)

    def star(self, depth: int) -> Node:
        start = self.at - 1
        if not self.source.startswith("*", self.at):
            return Star(0)
        self.at += 1
        if self.source.startswith("*", self.at):
            raise self.wrong("*** has no meaning; write * or **", start)
        opens_segment = start == 0 or self.source[start - 1] == "/"
        if depth == 0 and opens_segment and self.source.startswith("/", self.at):
            self.at += 1
            return Folders()
        return Deep()

    def slash(self, start: int, depth: int) -> Node:
        if depth:
            raise self.wrong("'/' cannot stand within ( ) or { }; write one rule for each", start)
        if self.source.startswith("/", self.at):
            raise self.wrong("'//' is an empty segment, and no file has one", start)
        return Slash()

    def escaped(self, start: int) -> Node:
        if self.at >= len(self.source) or self.source[self.at] == "/":
            raise self.wrong("'\\' must be followed by the character that it means", start)
        self.at += 1
        return Text(self.source[self.at - 1])

    def choice(self, start: int, depth: int) -> Node:
        options: list[tuple[Node, ...]] = []
        while True:
            options.append(tuple(self.sequence(stop="|", depth=depth + 1)))
            if self.at >= len(self.source) or self.source[self.at] == "}":
                raise self.wrong("'(' is never closed", start)
            self.at += 1
            if self.source[self.at - 1] == ")":
                return Choice(tuple(options))

    def field(self, start: int, depth: int) -> Node:
        if depth:
            raise self.wrong(
                "a field cannot stand within ( ) or another field, where it could stay unset", start
            )
        found = _FIELD.match(self.source, self.at)
        if not found:
            raise self.wrong(
                "a field needs a name of letters, digits and _; write \\{ to mean the character", start
            )
        self.at = found.end()
        nodes: list[Node] = [Star(1)]
        if self.source.startswith(":", self.at):
            self.at += 1
            nodes = self.sequence(stop="|", depth=depth + 1)
            if not nodes:
                raise self.wrong(f"the glob of {{{found[0]}:}} is empty", start)
        if not self.source.startswith("}", self.at):
            raise self.wrong(f"the field {{{found[0]} is never closed", start)
        self.at += 1
        try:
            return Field(check_field_name(found[0]), tuple(nodes))
        except ValueError as error:
            raise self.wrong(str(error), start) from None

    def wrong(self, what: str, at: int | None = None) -> ValueError:
        place = (self.at if at is None else at) + 1
        return ValueError(f"{what} (character {place} of {self.source!r})")


def _joined(nodes: list[Node]) -> list[Node]:
    """Neighbouring characters become one text."""
    joined: list[Node] = []
    for node in nodes:
        last = joined[-1] if joined else None
        if isinstance(node, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + node.text)
        else:
            joined.append(node)
    return joined
