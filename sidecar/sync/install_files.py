"""The files of the Convex functions: where each goes in an application's ``convex`` folder, and whose it is.

Every file of ours begins with one line that names the contract and the hash of the rest. By it an upgrade
tells a file that nobody touched from one that somebody changed, and both from a file that is not ours.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from importlib.resources import files
from pathlib import Path

from sidecar.core.ops import CONTRACT_VERSION

FUNCTIONS = Path(str(files("sidecar.sync"))) / "functions"
COMPONENT = "renderSidecar"
MODULE = "sidecar"
USER_OWNED = ("sidecarAccess.ts", "auth.config.ts", "convex.config.ts")
ALIASES = ("assets.ts", "scenes.ts", "sessions.ts")
GENERATED = "_generated"
EARLIER = ("sidecarTables.ts", "sidecarLib/apply.ts")
_EXTENSIONS = (".ts", ".tsx", ".js", ".jsx", ".mts", ".mjs", ".cts", ".cjs")  # one module of Convex's each
_HEADER = re.compile(r"// render-sidecar, contract (\d+), sha256 ([0-9a-f]{64}): [^\n]*\n")


class Kind(Enum):
    """Whose a file is."""

    OURS = auto()
    ALIAS = auto()  # ours, where nothing of the user's has its name
    GENERATED = auto()  # ours, until Convex's codegen has written its own
    USERS = auto()  # written once


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file that an installation wants: its text, unstamped, and its place."""

    target: Path
    text: str
    kind: Kind


def wanted(into: Path, module: str) -> list[Wanted]:
    """Return every file of an installation whose wrappers live in ``module``."""
    found = []
    for source in sorted(FUNCTIONS.rglob("*.ts")):
        name, text = source.relative_to(FUNCTIONS), text_of(source, module)
        kind = _kind(name)
        if len(name.parts) == 1:
            name = Path(f"{module}.ts") if name.stem == MODULE else name
        elif name.parts[0] == MODULE:
            name = Path(module, *name.parts[1:])
        found.append(Wanted(target=into / name, text=text, kind=kind))
    return found


def text_of(source: Path, module: str) -> str:
    """Return a file's text with the wrappers' module by its name, in imports and in names of functions."""
    text = source.read_text(encoding="utf-8")
    return text.replace(f"./{MODULE}/", f"./{module}/").replace(f'"{MODULE}/', f'"{module}/')


def _kind(name: Path) -> Kind:
    if len(name.parts) == 1:
        return Kind.USERS if name.name in USER_OWNED else Kind.ALIAS if name.name in ALIASES else Kind.OURS
    return Kind.GENERATED if GENERATED in name.parts else Kind.OURS


def stamped(text: str) -> str:
    """Return a file of ours: the line that an upgrade checks, then the text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        f"// render-sidecar, contract {CONTRACT_VERSION}, sha256 {digest}: "
        f"written by `sidecar convex install`, not to be edited\n{text}"
    )


def is_stamped(path: Path) -> bool:
    """Tell whether ``install`` once wrote this file, whatever became of it."""
    return _header(path) is not None


def foreign(target: Path) -> Iterator[Path]:
    """Yield what is in a target's place and was never ours, as ``scenes.js`` in that of ``scenes.ts``."""
    if target.parent.exists() and not target.parent.is_dir():
        yield target.parent
    for path in map(target.with_suffix, _EXTENSIONS):
        if os.path.lexists(path) and not (path == target and is_stamped(path)):
            yield path


def is_changed(path: Path) -> bool:
    """Tell whether a file of ours was edited since, or was written by a newer sidecar."""
    return path.exists() and not 0 < (_contract(path) or 0) <= CONTRACT_VERSION


def obsolete(into: Path, targets: set[Path]) -> Iterator[Path]:
    """Yield files of ours that this version has no more, or elsewhere: Convex would deploy them still."""
    folders = [path.parent for path in into.glob("*/*.ts") if is_stamped(path)]
    places = [*into.glob("*.ts"), *(path for folder in set(folders) for path in folder.rglob("*.ts"))]
    for path in sorted(set(places) - targets):
        if is_stamped(path):
            yield path


def earlier(into: Path) -> Path | None:
    """Return a file of the version whose tables were the application's own."""
    return next((into / name for name in EARLIER if is_stamped(into / name)), None)


def _contract(path: Path) -> int | None:
    """The contract of an untouched file of ours; None for every other file."""
    found = _header(path)
    if found is None:
        return None
    header, text = found
    return int(header[1]) if hashlib.sha256(text.encode()).hexdigest() == header[2] else None


def _header(path: Path) -> tuple[re.Match[str], str] | None:
    """The stamp of a file that ``install`` once wrote, and the text below it; None for every other file."""
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    header = _HEADER.match(text)
    return None if header is None else (header, text[header.end() :])
