"""Whether a folder is a Convex project's, and whether its ``convex`` is new enough for the functions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

CONVEX_MIN = (1, 31, 0)  # ctx.db takes the table's name since then
_DEPENDENCIES = ("dependencies", "devDependencies", "peerDependencies")
_BESIDE = ("convex.json", "package.json")
_INSIDE = ("schema", "_generated", "convex.config", "sidecarAccess")


def is_project(into: Path) -> bool:
    """Tell whether something in the folder, or in a project around it, speaks of Convex."""
    project = next(
        (one for one in into.resolve().parents if any((one / name).exists() for name in _BESIDE)), None
    )
    inside = any((into / f"{name}{ext}").exists() for name in _INSIDE for ext in ("", ".ts", ".js"))
    return inside or (project is not None and ((project / "convex.json").exists() or _needs_convex(project)))


def too_old(into: Path) -> str | None:
    """Return the version of the project's ``convex`` if it is known and the functions need a newer one."""
    for folder in into.resolve().parents:
        version = _read(folder / "node_modules/convex/package.json").get("version")
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", str(version))
        if numbers is not None:
            return str(version) if tuple(map(int, numbers.groups())) < CONVEX_MIN else None
    return None


def _needs_convex(project: Path) -> bool:
    package = _read(project / "package.json")
    return any("convex" in part for kind in _DEPENDENCIES if isinstance(part := package.get(kind), dict))


def _read(path: Path) -> dict[str, Any]:
    """An empty one for a file that is not there, or that npm would not take either."""
    try:
        package = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return package if isinstance(package, dict) else {}
