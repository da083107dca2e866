"""Patterns as small programs, run by backtracking that remembers where it failed.

A state is an instruction and a position; a state that was visited has failed, so each is visited once and
a match costs at most instructions x characters. Where a field is used twice its captured text belongs to
the state, and ``STEPS_MAX`` bounds the work: such a pattern fails on a path that needs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from .pattern_syntax import Choice, Deep, Field, Folders, Node, Slash, Star, Text, field_names

STEPS_MAX = 200_000
Capture = tuple[str, int, int]


class Op(IntEnum):
    """What an instruction does."""

    TEXT = 0  # these characters
    REST = 1  # everything up to the segment's end, at least ``number`` characters
    STAR = 2  # any characters of the segment, as many as possible
    DEEP = 3  # any characters
    FOLDERS = 4  # whole folders, as many as possible
    SPLIT = 5  # one of ``targets``, in order
    OPEN = 6  # a field begins
    CLOSE = 7  # a field ends
    ONE = 8  # one character of the segment
    END = 9


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step; ``next`` is the index of the one after it."""

    op: Op
    next: int
    text: str = ""
    number: int = 0
    targets: tuple[int, ...] = ()


@dataclass(slots=True)
class Program:
    """A compiled pattern with two quick answers for paths that cannot match."""

    code: list[Instruction]
    start: int
    suffixes: tuple[str, ...]
    slashes: int | None  # the exact number, where ``**`` is not used
    repeated: frozenset[str]

    def run(self, path: str) -> tuple[Capture, ...] | None:
        """Match the whole path; return the captures in order, or None."""
        if not path.endswith(self.suffixes) or (self.slashes is not None and path.count("/") != self.slashes):
            return None
        return _run(self, path)


# A frame is an instruction, a position, and the captures so far as a linked list.
_Trail = tuple["_Trail | None", str, int, int] | None  # before, field, start, end (-1: still open)


def _run(program: Program, path: str) -> tuple[Capture, ...] | None:
    code, length = program.code, len(path)
    stack: list[tuple[int, int, _Trail]] = [(program.start, 0, None)]
    failed: set[tuple[int, int, tuple[Capture, ...]]] = set()
    while stack:
        here, at, trail = stack.pop()
        state = (here, at, _bound(trail, program.repeated) if program.repeated else ())
        if state in failed:
            continue
        if program.repeated and len(failed) >= STEPS_MAX:
            return None
        failed.add(state)
        step = code[here]
        match step.op:
            case Op.TEXT:
                if path.startswith(step.text, at):
                    stack.append((step.next, at + len(step.text), trail))
            case Op.REST:
                slash = path.find("/", at)
                end = length if slash < 0 else slash
                if end - at >= step.number:
                    stack.append((step.next, end, trail))
            case Op.STAR | Op.DEEP:
                stack.append((step.next, at, trail))
                if at < length and (step.op is Op.DEEP or path[at] != "/"):
                    stack.append((here, at + 1, trail))
            case Op.FOLDERS:
                stack.append((step.next, at, trail))
                if (slash := path.find("/", at)) >= 0:
                    stack.append((here, slash + 1, trail))
            case Op.SPLIT:
                stack.extend((target, at, trail) for target in reversed(step.targets))
            case Op.OPEN:
                stack.append((step.next, at, (trail, step.text, at, -1)))
            case Op.CLOSE:
                closed = _close(trail, at)
                if step.text not in program.repeated or _agrees(closed, path):
                    stack.append((step.next, at, closed))
            case Op.ONE:
                if at < length and path[at] != "/":
                    stack.append((step.next, at + 1, trail))
            case Op.END:
                if at == length:
                    return _captures(trail)
    return None


def _close(trail: _Trail, at: int) -> _Trail:
    if trail is None:  # pragma: no cover - the compiler opens before it closes
        raise AssertionError("a field closes that was never opened")
    before, field, start, _ = trail
    return (before, field, start, at)


def _captures(trail: _Trail) -> tuple[Capture, ...]:
    found: list[Capture] = []
    while trail is not None:
        trail, field, start, end = trail
        found.append((field, start, end))
    return tuple(reversed(found))


def _bound(trail: _Trail, repeated: frozenset[str]) -> tuple[Capture, ...]:
    return tuple(capture for capture in _captures(trail) if capture[0] in repeated)


def _agrees(trail: _Trail, path: str) -> bool:
    """Whether the field that was closed last equals its earlier captures."""
    captures = _captures(trail)
    name, start, end = captures[-1]
    return all(path[a:b] == path[start:end] for field, a, b in captures[:-1] if field == name)


def compile_program(nodes: Sequence[Node]) -> Program:
    """Compile nodes that ``pattern_syntax.parse`` returned."""
    code = [Instruction(Op.END, 0)]
    start = _sequence(nodes, 0, code, closed=True)
    names = field_names(nodes)
    return Program(
        code=code,
        start=start,
        suffixes=_suffixes(nodes),
        slashes=_slashes(nodes),
        repeated=frozenset(name for name in names if names.count(name) > 1),
    )


def _add(code: list[Instruction], instruction: Instruction) -> int:
    code.append(instruction)
    return len(code) - 1


def _sequence(nodes: Sequence[Node], after: int, code: list[Instruction], *, closed: bool) -> int:
    """Compile from the end; ``closed``: what follows the last node begins with / or is the path's end."""
    for place in range(len(nodes) - 1, -1, -1):
        follows = nodes[place + 1] if place + 1 < len(nodes) else None
        before_end = closed if follows is None else isinstance(follows, Slash)
        after = _node(nodes[place], after, code, closed=before_end)
    return after


def _node(node: Node, after: int, code: list[Instruction], *, closed: bool) -> int:
    match node:
        case Text(text):
            return _add(code, Instruction(Op.TEXT, after, text))
        case Slash():
            return _add(code, Instruction(Op.TEXT, after, "/"))
        case Star(least) if closed:
            return _add(code, Instruction(Op.REST, after, number=least))
        case Star(least):
            star = _add(code, Instruction(Op.STAR, after))
            return _add(code, Instruction(Op.ONE, star)) if least else star
        case Deep():
            return _add(code, Instruction(Op.DEEP, after))
        case Folders():
            return _add(code, Instruction(Op.FOLDERS, after))
        case Choice(options):
            targets = tuple(_sequence(option, after, code, closed=closed) for option in options)
            return _add(code, Instruction(Op.SPLIT, after, targets=targets))
        case Field(name, inner):
            end = _add(code, Instruction(Op.CLOSE, after, name))
            return _add(code, Instruction(Op.OPEN, _sequence(inner, end, code, closed=closed), name))


def _suffixes(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Every path that matches ends in one of these."""
    match nodes[-1] if nodes else None:
        case Text(text):
            return (text,)
        case Choice(options):
            return tuple({suffix for option in options for suffix in _suffixes(option)})
        case _:
            return ("",)


def _slashes(nodes: Sequence[Node]) -> int | None:
    if any(_is_deep(node) for node in nodes):
        return None
    return sum(isinstance(node, Slash) for node in nodes)


def _is_deep(node: Node) -> bool:
    match node:
        case Deep() | Folders():
            return True
        case Field(_, inner):
            return any(_is_deep(each) for each in inner)
        case Choice(options):
            return any(_is_deep(each) for option in options for each in option)
        case _:
            return False
