r"""Templates of keys, names and ids: text with ``{field}``; an unset field drops its segment.

``\`` takes the next character as it is. Segments are what stands between ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

TEMPLATE_LENGTH_MAX = 1024
_TOKEN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}|\\([^/])|([^{}\\])", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Ref:
    """A field to fill in."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What stands between two slashes; ``fields`` are those that it needs."""

    tokens: tuple[str | Ref, ...]
    fields: frozenset[str]

    def render(self, values: Mapping[str, str | None]) -> str | None:
        """Return its text, or None if a field is unset."""
        texts = [values.get(token.name) if isinstance(token, Ref) else token for token in self.tokens]
        return None if None in texts else "".join(text for text in texts if text is not None)

    def is_set(self, values: Mapping[str, str | None], later: Container[str] = ()) -> bool:
        """Tell whether none of its fields is unset; those of ``later`` will be set."""
        return all(name in later or values.get(name) is not None for name in self.fields)


class Template:
    """A parsed template. Raises ValueError with the position of what is wrong."""

    __slots__ = ("fields", "segments", "source")

    def __init__(self, source: str) -> None:
        """Parse ``source``."""
        if not source or len(source) > TEMPLATE_LENGTH_MAX:
            raise ValueError(f"a template has 1 to {TEMPLATE_LENGTH_MAX} characters")
        self.source = source
        self.segments = tuple(_segments(source))
        self.fields: frozenset[str] = frozenset().union(*(segment.fields for segment in self.segments))

    def render(self, values: Mapping[str, str | None]) -> str:
        """Return the text; segments with an unset field are left out."""
        texts = (segment.render(values) for segment in self.segments)
        return "/".join(text for text in texts if text is not None)

    def formatted(self, values: Mapping[str, str | None], later: Container[str]) -> str:
        """Return a format, for ``str.format_map``, in which only fields of ``later`` are to be filled in."""
        kept = (segment for segment in self.segments if segment.is_set(values, later))
        texts = ("".join(_formatted(token, values, later) for token in segment.tokens) for segment in kept)
        return "/".join(texts)

    def unknown(self, known: Iterable[str]) -> list[str]:
        """Return the fields that are not among the known ones, sorted."""
        return sorted(self.fields - set(known))

    def __repr__(self) -> str:
        """Show the source."""
        return f"Template({self.source!r})"


def literal(text: str) -> str:
    """Return the template that gives exactly this text."""
    return re.sub(r"[{}\\\\]", lambda found: f"\\{found[0]}", text)


def doubled(text: str) -> str:
    """Return text whose braces stand for themselves in a format, and in an open key."""
    return text.replace("{", "{{").replace("}", "}}")


def _formatted(token: str | Ref, values: Mapping[str, str | None], later: Container[str]) -> str:
    if isinstance(token, str):
        return doubled(token)
    return f"{{{token.name}}}" if token.name in later else doubled(values.get(token.name) or "")


def _segments(source: str) -> Iterable[Segment]:
    tokens: list[str | Ref] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if not found:
            raise ValueError(
                f"{source[at]!r} begins no {{field}}; write \\{source[at]} to mean the character"
                f" (character {at + 1} of {source!r})"
            )
        at = found.end()
        if found[3] == "/":
            yield _segment(tokens, source)
            tokens = []
        elif found[1]:
            tokens.append(Ref(found[1]))
        else:
            tokens.append(found[2] or found[3])
    yield _segment(tokens, source)


def _segment(tokens: list[str | Ref], source: str) -> Segment:
    if not tokens:
        raise ValueError(f"{source!r} has an empty segment; write no / at either end and none twice")
    return Segment(tuple(tokens), frozenset(token.name for token in tokens if isinstance(token, Ref)))
