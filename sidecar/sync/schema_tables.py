"""Finds the tables of an application that stand in the way of the sidecar's, in its TypeScript."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_OURS = re.compile(r"^  (\w+): defineTable\(", re.MULTILINE)
_DEFINITION = re.compile(r"""["']?\b(\w+)["']?\s*:\s*defineTable\s*\(""")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_FIELDS = {"scenes": "sceneFields", "videoSessions": "sessionFields"}  # what an application may give more
_NOT_SOURCE = {"_generated", "node_modules"}
_COMPONENTS = ("convex.config.ts", "convex.config.js")  # below the top: a component with tables of its own


def names(tables: str) -> frozenset[str]:
    """Return the names that ``sidecarTables.ts`` defines."""
    return frozenset(_OURS.findall(tables))


def sources(into: Path) -> Iterator[Path]:
    """Yield an application's modules, which may each define tables; not those of its local components."""
    components = {path.parent for name in _COMPONENTS for path in into.rglob(name)} - {into}
    for path in sorted(into.rglob("*.[tj]s")):
        is_elsewhere = _NOT_SOURCE & set(path.relative_to(into).parts) or components & set(path.parents)
        if path.is_file() and not is_elsewhere:
            yield path


def own_tables(paths: Iterable[Path], taken: frozenset[str]) -> dict[str, Path]:
    """Return where tables are defined under a name of ``taken``, but without the sidecar's fields."""
    found: dict[str, Path] = {}
    for path in paths:
        text = _COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
        _, *parts = _DEFINITION.split(text)
        for name, definition in zip(parts[::2], parts[1::2], strict=True):
            if name in taken and _FIELDS.get(name, "sidecarTables") not in definition:
                found.setdefault(name, path)
    return found
