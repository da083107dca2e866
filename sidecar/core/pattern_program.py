"""Patterns as chains of small steps, run by backtracking that remembers where it failed.

Only steps with a choice can be reached twice with the same rest of the path; the second time they have
failed already and are passed over. So a match costs at most steps x characters. Where a field is used twice
its captured text belongs to what is remembered, and ``CHOICES_MAX`` bounds the work: such a pattern fails on
a path that needs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .pattern_syntax import Choice, Deep, Field, Folders, Node, Slash, Star, Text, field_names

CHOICES_MAX = 100_000
Capture = tuple[str, int, int]
Trail = tuple["Trail", str, int, int] | None  # captures before, field, start, end (-1: still open)


@dataclass(slots=True, eq=False)
class Step:
    """One thing to find at a position. ``run`` puts what may follow on the stack, the best last."""

    next: Step | None  # None: the path must end here
    chooses = False

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Look at ``path`` from ``at`` on."""
        raise NotImplementedError


Stack = list[tuple[Step | None, int, Trail]]


@dataclass(slots=True, eq=False)
class Exactly(Step):
    """Finds exactly these characters."""

    text: str

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Go on behind them."""
        if path.startswith(self.text, at):
            stack.append((self.next, at + len(self.text), trail))


@dataclass(slots=True, eq=False)
class Rest(Step):
    """Takes everything up to the segment's end: a wildcard that a slash or the path's end follows."""

    least: int

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Go on at the end; there is no choice."""
        slash = path.find("/", at)
        end = len(path) if slash < 0 else slash
        if end - at >= self.least:
            stack.append((self.next, end, trail))


@dataclass(slots=True, eq=False)
class One(Step):
    """Takes one character of the segment."""

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Go on behind it."""
        if at < len(path) and path[at] != "/":
            stack.append((self.next, at + 1, trail))


@dataclass(slots=True, eq=False)
class Many(Step):
    """Takes any characters, of the segment or (``deep``) of the path; as many as possible."""

    deep: bool
    chooses = True

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Take one more, else go on."""
        stack.append((self.next, at, trail))
        if at < len(path) and (self.deep or path[at] != "/"):
            stack.append((self, at + 1, trail))


@dataclass(slots=True, eq=False)
class WholeFolders(Step):
    """Takes any number of whole folders; as many as possible."""

    chooses = True

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Take one more, else go on."""
        stack.append((self.next, at, trail))
        if (slash := path.find("/", at)) >= 0:
            stack.append((self, slash + 1, trail))


@dataclass(slots=True, eq=False)
class OneOf(Step):
    """Takes the first of some chains that lets the rest match."""

    chains: tuple[Step | None, ...]
    chooses = True

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:  # noqa: ARG002 - each chain looks itself
        """Try them in order."""
        stack.extend((chain, at, trail) for chain in reversed(self.chains))


@dataclass(slots=True, eq=False)
class Open(Step):
    """A field begins."""

    field: str

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:  # noqa: ARG002 - only the place counts
        """Remember where."""
        stack.append((self.next, at, (trail, self.field, at, -1)))


@dataclass(slots=True, eq=False)
class Close(Step):
    """A field ends; used twice, its text must be equal."""

    repeated: bool

    def run(self, path: str, at: int, trail: Trail, stack: Stack) -> None:
        """Remember where."""
        if trail is None:
            raise AssertionError("a field closes that was never opened")
        before, field, start, _ = trail
        if not self.repeated or _agrees(before, field, path[start:at], path):
            stack.append((self.next, at, (before, field, start, at)))


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled pattern with quick answers for paths that cannot match."""

    first: Step | None
    suffixes: tuple[str, ...]
    needed: str  # text that every path that matches holds, if a slash is put before it
    slashes: int | None  # the exact number, where ``**`` is not used
    repeated: frozenset[str]

    def run(self, path: str) -> tuple[Capture, ...] | None:
        """Match the whole path; return the captures in order, or None."""
        if not path.endswith(self.suffixes) or (self.slashes is not None and path.count("/") != self.slashes):
            return None
        return self._search(path) if self.needed in f"/{path}" else None

    def _search(self, path: str) -> tuple[Capture, ...] | None:
        stack: Stack = [(self.first, 0, None)]
        failed: set[tuple[Step, int, tuple[Capture, ...]]] = set()
        while stack and (len(failed) < CHOICES_MAX or not self.repeated):
            step, at, trail = stack.pop()
            if step is None:
                if at == len(path):
                    return _captures(trail)
                continue
            if step.chooses:
                state = (step, at, self._bound(trail) if self.repeated else ())
                if state in failed:
                    continue
                failed.add(state)
            step.run(path, at, trail, stack)
        return None

    def _bound(self, trail: Trail) -> tuple[Capture, ...]:
        return tuple(capture for capture in _captures(trail) if capture[0] in self.repeated)


def _captures(trail: Trail) -> tuple[Capture, ...]:
    found: list[Capture] = []
    while trail is not None:
        trail, field, start, end = trail
        found.append((field, start, end))
    return tuple(reversed(found))


def _agrees(trail: Trail, name: str, text: str, path: str) -> bool:
    return all(path[start:end] == text for field, start, end in _captures(trail) if field == name)


def compile_program(nodes: Sequence[Node]) -> Program:
    """Compile nodes that ``pattern_syntax.parse`` returned."""
    names = field_names(nodes)
    repeated = frozenset(name for name in names if names.count(name) > 1)
    return Program(
        first=_Compiler(repeated).chain(nodes, None, at_boundary=True),
        suffixes=_suffixes(nodes),
        needed=_needed(nodes),
        slashes=_slashes(nodes),
        repeated=repeated,
    )


class _Compiler:
    """Nodes to steps, from the last to the first."""

    def __init__(self, repeated: frozenset[str]) -> None:
        self.repeated = repeated

    def chain(self, nodes: Sequence[Node], after: Step | None, *, at_boundary: bool) -> Step | None:
        """``at_boundary``: a slash or the path's end follows the last node."""
        for node in reversed(nodes):
            after = self.step(node, after, at_boundary=at_boundary)
            at_boundary = isinstance(node, Slash)
        return after

    def step(self, node: Node, after: Step | None, *, at_boundary: bool) -> Step | None:
        match node:
            case Star(least):
                return _star(least, after, at_boundary=at_boundary)
            case Choice(options):
                chains = tuple(self.chain(option, after, at_boundary=at_boundary) for option in options)
                return OneOf(None, chains)
            case Field(name, inner):
                end = Close(after, name in self.repeated)
                return Open(self.chain(inner, end, at_boundary=at_boundary), name)
            case _:
                return _fixed(node, after)


def _fixed(node: Text | Slash | Deep | Folders, after: Step | None) -> Step:
    match node:
        case Text(text):
            return Exactly(after, text)
        case Slash():
            return Exactly(after, "/")
        case Deep():
            return Many(after, deep=True)
        case Folders():
            return WholeFolders(after)


def _star(least: int, after: Step | None, *, at_boundary: bool) -> Step:
    if at_boundary:
        return Rest(after, least)
    many = Many(after, deep=False)
    return One(many) if least else many


def _suffixes(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return texts of which every path that matches ends in one."""
    match nodes[-1] if nodes else None:
        case Text(text):
            return (text,)
        case Choice(options):
            return tuple({suffix for option in options for suffix in _suffixes(option)})
        case _:
            return ("",)


def _needed(nodes: Sequence[Node]) -> str:
    """Return the longest text of all paths that match; what begins a path has a slash before it."""
    runs, before = ["/"], None
    for node in nodes:
        match node:
            case Text(text):
                runs[-1] += text
            case Slash():
                runs[-1] += "/"
            case Folders() if before is None or isinstance(before, Slash):
                runs.append("/")
            case _:
                runs.append("")
        before = node
    return max(runs, key=len)


def _slashes(nodes: Sequence[Node]) -> int | None:
    return None if any(map(_is_deep, nodes)) else sum(isinstance(node, Slash) for node in nodes)


def _is_deep(node: Node) -> bool:
    match node:
        case Deep() | Folders():
            return True
        case Field(_, inner):
            return any(map(_is_deep, inner))
        case Choice(options):
            return any(_is_deep(each) for option in options for each in option)
        case _:
            return False
