"""Patterns for the files of one folder: what all of them share is matched once, then their names alone.

A pattern is cut behind its last slash. What stands before the cut can match the folder and nothing else,
what stands behind it the name and nothing else; so the first way to match the one with the first way to
match the other is the first way to match the path. What cannot be cut, since ``**`` reaches across or a field
is used twice, runs over the whole path.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .pattern_program import Capture, Program, compile_program
from .pattern_syntax import Choice, Folders, Node, Slash, Star, Text
from .patterns import Match, Pattern

ENDINGS_MAX = 64  # of a pattern, for its names to be told by them
_ANY = ("",)  # every name begins and ends with it


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """A pattern in a folder in which files may match it. ``at`` is where their names begin in their paths.

    ``of_folder`` is what was captured; None: the whole path has to be looked at. ``rest`` is what a name has
    to match besides.
    """

    pattern: Pattern
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    rest: Program | None
    of_folder: tuple[Capture, ...] | None
    at: int

    @property
    def is_plain(self) -> bool:
        """Whether ``starts`` and ``ends`` say all, and all files that match have the same fields."""
        return self.rest is None and self.of_folder is not None

    def fits(self, name: str) -> bool:
        """Tell whether a name may match; of a plain one, whether it does."""
        return name.endswith(self.ends) and name.startswith(self.starts)

    def search(self, path: str, name: str) -> Match | None:
        """Match a path of the folder, which ends with ``name``."""
        if not self.fits(name):
            return None
        if self.of_folder is None:
            return self.pattern.search(path)
        if self.rest is None:
            return Match(path, self.of_folder)
        if (found := self.rest.run(name)) is None:
            return None
        of_name = [(field, start + self.at, end + self.at) for field, start, end in found]
        return Match(path, (*self.of_folder, *of_name))


class SplitPattern:
    """A pattern that is cut behind its last slash, where it can be."""

    __slots__ = ("_ends", "_folder", "_is_cut", "_rest", "_starts", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        """Cut it."""
        nodes = pattern.nodes
        cut = 1 + max((at for at, node in enumerate(nodes) if isinstance(node, Slash | Folders)), default=-1)
        name = compile_program(nodes[cut:])
        self.pattern = pattern
        self._folder = compile_program(nodes[:cut])
        self._is_cut = name.slashes is not None and not pattern.program.repeated
        plain = _plain(nodes[cut:])
        self._starts, self._ends = plain or (_ANY, name.suffixes)
        self._rest = None if plain else name

    def in_folder(self, place: str) -> NamePattern | None:
        """Return what is left of it for files in a folder, whose path ends with a slash; "" is the root.

        None: no file in there matches.
        """
        found: tuple[Capture, ...] | None = None
        if self._is_cut:
            found = self._folder.run(place)
        if found is None and (self._is_cut or not _may_match(self.pattern.program, place)):
            return None
        return NamePattern(
            pattern=self.pattern,
            starts=self._starts,
            ends=self._ends,
            rest=self._rest,
            of_folder=found,
            at=len(place),
        )


class NamePatterns:
    """What is left of some patterns in a folder, in order. Most names are told by one look to match none."""

    __slots__ = ("_ends", "_patterns", "_starts")

    def __init__(self, patterns: Iterable[SplitPattern], place: str) -> None:
        """``place`` is the folder's path with a slash behind it; "" is the root."""
        left = (pattern.in_folder(place) for pattern in patterns)
        self._patterns = [pattern for pattern in left if pattern is not None]
        ended = [pattern for pattern in self._patterns if pattern.ends != _ANY]
        others = (pattern for pattern in self._patterns if pattern.ends == _ANY)
        self._ends = tuple(itertools.chain.from_iterable(pattern.ends for pattern in ended))
        self._starts = tuple(itertools.chain.from_iterable(pattern.starts for pattern in others))

    def first(self, path: str, name: str) -> Pattern | None:
        """Return the first pattern that a path of the folder matches, which ends with ``name``."""
        if not (name.endswith(self._ends) or name.startswith(self._starts)):
            return None
        return next((one.pattern for one in self._patterns if one.search(path, name)), None)


def _may_match(program: Program, place: str) -> bool:
    """Tell whether a whole path in a folder could match: the text that it needs may end in the folder."""
    return not program.needed.endswith("/") or program.needed in f"/{place}"


def _plain(nodes: Sequence[Node]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return what names begin and end with, where that is all: ``*`` behind a text, or before texts."""
    match nodes:
        case [Text(text), Star(0)]:
            return (text,), _ANY
        case [Star(0), *fixed] if endings := _texts(fixed):
            return _ANY, endings
        case _:
            return None


def _texts(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return all texts that nodes without a wildcard match; none where there is one, or they are many."""
    each: list[tuple[str, ...]] = []
    for node in nodes:
        match node:
            case Text(text):
                each.append((text,))
            case Choice(options):
                inner = [_texts(option) for option in options]
                each.append(tuple(itertools.chain(*inner)) if all(inner) else ())
            case _:
                return ()
    many = 1
    for texts in each:
        many *= len(texts)
    return tuple(map("".join, itertools.product(*each))) if many <= ENDINGS_MAX else ()
