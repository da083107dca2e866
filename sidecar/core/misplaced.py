"""Finds the nearest rule for a misplaced path: no rule takes it, but a rule takes its extension.

The extension counts however it is written. The segments of the path are aligned with those of each pattern,
as cheaply as possible, so that the answer can say what is missing. The work is bounded, and is done only for
paths that somebody is told of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .pattern_program import Program, compile_program
from .pattern_syntax import Choice, Deep, Field, Folders, Node, Slash, Star, Text

SEGMENTS_MAX = 40  # of a path and of a pattern; beyond it nothing near is looked for
TAILS_MAX = 1_000
NEAREST_MAX = 64  # patterns that are compared
_MISSING, _TOO_MANY, _OTHER, _OTHER_NAME = 4, 4, 6, 5  # what a difference costs; in order of their likeliness
_SPECIAL = frozenset("*(){}|\\[]?")
DEEP = "this path lies too deep for any rule to be near it"


@dataclass(frozen=True, slots=True)
class _Segment:
    """One segment of a pattern. ``crosses``: it stands for any number of folders."""

    text: str
    program: Program
    crosses: bool

    def takes(self, name: str) -> bool:
        return self.crosses or self.program.run(name) is not None


@dataclass(frozen=True, slots=True)
class _Difference:
    """One step of an alignment: what the path has, what the pattern wants there; "" is nothing."""

    found: str
    wanted: str
    is_name: bool = False


_Alignment = tuple[int, tuple[_Difference, ...]]


class PatternShape:
    """A pattern as segments, to compare paths with."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """``nodes`` are what ``pattern_syntax.parse`` returned."""
        self._nodes = tuple(nodes)
        self._segments = tuple(_segments(self._nodes))
        self.extensions = frozenset(
            tail.rpartition(".")[2].lower() for tail in _tails(self._nodes) if "." in tail
        )

    def source(self, extension: str) -> str:
        """Return the pattern as text, its last alternatives narrowed to one extension."""
        last = self._nodes[-1]
        if isinstance(last, Choice):
            near = [option for option in last.options if _text(option).lower().endswith(extension)]
            return _text((*self._nodes[:-1], *(near[0] if len(near) == 1 else (last,))))
        return _text(self._nodes)

    def align(self, path: str) -> _Alignment | None:
        """Return the least cost of making the path one that matches, and what would have to change."""
        *folders, name = path.split("/")
        *wanted, last = self._segments
        if max(len(folders), len(wanted)) >= SEGMENTS_MAX:
            return None
        cost, differences = _edit(folders, wanted)
        if last.takes(name):
            return cost, differences
        return cost + _OTHER_NAME, (*differences, _Difference(name, last.text, is_name=True))


def _edit(folders: Sequence[str], wanted: Sequence[_Segment]) -> _Alignment:
    """Return the cheapest way from the folders of a path to those of a pattern: an edit distance."""
    after = list[_Alignment]()
    for at in range(len(folders), -1, -1):
        row = list[_Alignment]()  # from the last segment to the first
        for of in range(len(wanted), -1, -1):
            beyond = row[-1] if row else None
            name = folders[at] if at < len(folders) else None
            deeper = (
                (after[len(wanted) - of], after[len(wanted) - of - 1] if row else None) if after else None
            )
            row.append(_cheapest(name, wanted[of] if row else None, beyond, deeper))
        after = row
    return after[-1]


def _cheapest(
    name: str | None,
    segment: _Segment | None,
    beyond: _Alignment | None,
    deeper: tuple[_Alignment, _Alignment | None] | None,
) -> _Alignment:
    """Return the best of the steps from one cell of the table.

    ``beyond``: the same folder at the next segment; ``deeper``: the next folder, at this one and the next.
    """
    steps = list[_Alignment]()
    if segment is not None and beyond is not None:
        free = segment.crosses
        steps.append(beyond if free else _plus(beyond, _MISSING, _Difference("", segment.text)))
    if name is not None and deeper is not None:
        here, both = deeper
        if segment is not None and both is not None and segment.takes(name):
            steps.insert(0, both if not segment.crosses else here)
        elif segment is not None and both is not None:
            steps.append(_plus(both, _OTHER, _Difference(name, segment.text)))
        steps.append(_plus(here, _TOO_MANY, _Difference(name, "")))
    return min(steps, key=lambda step: step[0], default=(0, ()))


def nearest(path: str, extension: str, shapes: Sequence[PatternShape]) -> str:
    """Return one sentence: what is missing in a path, and which pattern would take it then."""
    near = [
        (cost, number, differences, shape)
        for number, shape in enumerate(shapes[:NEAREST_MAX])
        if extension in shape.extensions and (found := shape.align(path)) is not None
        for cost, differences in [found]
    ]
    if not near:
        return DEEP
    _, _, differences, shape = min(near, key=lambda one: one[:2])
    return _sentence(differences, shape.source(extension))


def _sentence(differences: Sequence[_Difference], source: str) -> str:
    missing = [one.wanted for one in differences if not one.found]
    if len(missing) == len(differences):
        folders = "".join(f"{wanted}/" for wanted in missing)
        return f"`{folders}` is missing in its path: `{source}` would take it"
    if len(differences) == 1:
        return f"{_words(differences[0], source)}: `{source}` would take it otherwise"
    return f"its path is not that of any rule; the nearest is `{source}`"


def _words(one: _Difference, source: str) -> str:
    if one.is_name:
        return f"its name is not of the form `{source.rpartition('/')[2]}`"
    if not one.wanted:
        return f"its folder `{one.found}/` is one too many"
    return f"its folder `{one.found}/` is not `{one.wanted}/`"


def _plus(rest: _Alignment, cost: int, *difference: _Difference) -> _Alignment:
    return rest[0] + cost, (*difference, *rest[1])


def _segments(nodes: Sequence[Node]) -> Iterator[_Segment]:
    open_nodes = list[Node]()
    for node in nodes:
        if isinstance(node, Slash):
            yield _segment(open_nodes)
            open_nodes = []
        elif isinstance(node, Folders):
            yield _segment([Deep()])
        else:
            open_nodes.append(node)
    yield _segment(open_nodes)


def _segment(nodes: Sequence[Node]) -> _Segment:
    return _Segment(_text(nodes), compile_program(nodes), any(isinstance(node, Deep) for node in nodes))


def _tails(nodes: Sequence[Node]) -> set[str]:
    """Return the texts that what matches ends in, as long as they are fixed."""
    tails = {""}
    for node in reversed(nodes):
        match node:
            case Text(text):
                tails = {text + tail for tail in tails}
            case Choice(options):
                tails = {head + tail for option in options for head in _tails(option) for tail in tails}
            case Field(_, inner):
                return {head + tail for head in _tails(inner) for tail in tails}
            case _:
                return tails
        if len(tails) > TAILS_MAX:
            return tails
    return tails


def _text(nodes: Sequence[Node]) -> str:
    """Return the source of some nodes."""
    return "".join(map(_source, nodes))


def _source(node: Node) -> str:  # noqa: PLR0911 - one for each kind of node
    match node:
        case Text(text):
            return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
        case Slash():
            return "/"
        case Star(_):
            return "*"
        case Deep():
            return "**"
        case Folders():
            return "**/"
        case Choice(options):
            return f"({'|'.join(map(_text, options))})"
        case Field(name, (Star(1),)):
            return f"{{{name}}}"
        case Field(name, inner):
            return f"{{{name}:{_text(inner)}}}"
