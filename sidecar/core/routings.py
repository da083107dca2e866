"""What a path can mean: a ``Route``, or one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .model import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """No rule takes the path, nor its extension; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Misplaced:
    """No rule takes the path, but a rule takes its extension.

    ``reason`` is one sentence; None: ``Router.nearest`` finds it, at some cost.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A rule takes the path, but it can never be stored; ``reason`` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The configuration says not to look at the path."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A file that says something about a scene: complete, or cancelled. Its content is never sent."""

    kind: Literal["complete", "cancelled"]
    project_id: str
    session_id: str
    scene_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A rule takes the path, but this version cannot ship it; ``reason`` is one sentence."""

    reason: str


Routing = Route | Unmatched | Misplaced | Refused | Ignored | Marker | Withheld
