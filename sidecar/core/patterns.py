r"""The pattern language of rules and ``ignore``.

``{field}`` captures within one segment, ``{field:glob}`` what the glob matches, ``(a|b)`` alternates, ``*``
stays within a segment, ``**`` crosses, ``**/`` also stands for no folder at all, a field that is used twice
must capture equal text, ``\`` takes the next character as it is. Wildcards take as much as they can, from
the left: ``{scene}_{index}.mp4`` splits at the last underscore.

File names are hostile, so no regular expression is built: a match visits each pair of instruction and
position at most once, which is linear in the path for every pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .pattern_program import Capture, Program, compile_program
from .pattern_syntax import Node, Slash, field_names, parse, segment_fields


@dataclass(frozen=True, slots=True)
class Match:
    """What a pattern found in a path: its captures in order, fields that are used twice twice."""

    path: str
    captures: tuple[Capture, ...]

    def fields(self) -> dict[str, str]:
        """Return the captured text by field."""
        return {field: self.path[start:end] for field, start, end in self.captures}

    def folder(self, naming: Iterable[str]) -> str | None:
        """Return the path through the last folder that one of these fields names; None if none does."""
        names = set(naming)
        ends = [end for field, _, end in self.captures if field in names]
        slash = self.path.find("/", max(ends)) if ends else -1
        return self.path[:slash] if slash >= 0 else None


class Pattern:
    """A compiled pattern. Raises ValueError with the position of what is wrong."""

    __slots__ = ("_nodes", "_program", "fields", "source")

    def __init__(self, source: str) -> None:
        """Parse and compile ``source``."""
        self.source = source
        self._nodes = parse(source)
        self.fields: frozenset[str] = frozenset(field_names(self._nodes))
        self._program: Program = compile_program(self._nodes)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What the source was parsed to."""
        return self._nodes

    @property
    def program(self) -> Program:
        """What the nodes were compiled to."""
        return self._program

    def search(self, path: str) -> Match | None:
        """Match the whole path; return what was found where."""
        captures = self._program.run(path)
        return None if captures is None else Match(path, captures)

    def match(self, path: str) -> dict[str, str] | None:
        """Match the whole path; return the fields."""
        found = self.search(path)
        return found.fields() if found else None

    def folder(self, naming: Iterable[str]) -> Pattern | None:
        """Return the pattern of the folder that these fields name: the start of this one, through the last
        segment that holds one of them. None if none does, or if only the file's own name does.
        """  # noqa: D205 - one sentence
        names = set(naming)
        slashes = [at for at, node in enumerate(self._nodes) if isinstance(node, Slash)]
        last = max((at for at, fields in segment_fields(self._nodes) if fields & names), default=None)
        end = next((at for at in slashes if last is not None and at > last), None)
        return Pattern.of(self._nodes[:end], self.source) if end is not None else None

    @classmethod
    def of(cls, nodes: tuple[Node, ...], source: str) -> Pattern:
        """Compile nodes that were parsed before; ``source`` only names it."""
        pattern = object.__new__(cls)
        pattern.source = source
        pattern._nodes = nodes
        pattern.fields = frozenset(field_names(nodes))
        pattern._program = compile_program(nodes)
        return pattern

    def __eq__(self, other: object) -> bool:
        """Equal if they mean the same."""
        return self._nodes == other._nodes if isinstance(other, Pattern) else NotImplemented

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._nodes)

    def __repr__(self) -> str:
        """Show the source."""
        return f"Pattern({self.source!r})"


def matches_any(patterns: Iterable[Pattern], path: str) -> Pattern | None:
    """Return the first pattern that matches."""
    return next((pattern for pattern in patterns if pattern.search(path)), None)


def is_consistent(fields: Mapping[str, str], pinned: Mapping[str, str]) -> bool:
    """Whether no captured field contradicts a pinned one."""
    return all(pinned.get(name, value) == value for name, value in fields.items())
