"""``sidecar convex install``: writes the Convex functions into a user's own Convex project.

Every generated file begins with one line that names the contract and the hash of the rest, so that
an upgrade can tell a file that nobody touched from one that somebody changed, and both from a file that
is not ours. What is not ours is never overwritten. Files that belong to the user are written once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from . import install_texts as texts
from . import schema_tables

FUNCTIONS = Path(str(files("sidecar.sync"))) / "functions"
REACT = Path(str(files("sidecar"))) / "react"
CONTRACT_VERSION = 1
USER_OWNED = ("sidecarAccess.ts", "auth.config.ts")
LIBRARY = "sidecarLib"
_RULES = ("ownsSession", "keysOf", "roleOf", "canReadAsset", "urlsOf")
_DEPENDENCIES = ("dependencies", "devDependencies", "peerDependencies")
_BESIDE = ("convex.json", "package.json")
_INSIDE = ("schema", "_generated", "sidecarTables", "convex.config")
_HEADER = re.compile(r"// render-sidecar, contract (\d+), sha256 ([0-9a-f]{64}): [^\n]*\n")
_EXTENSIONS = (".ts", ".tsx", ".js", ".jsx", ".mts", ".mjs", ".cts", ".cjs")  # one module of Convex's each


class Action(StrEnum):
    """What became of one file."""

    WRITTEN = "written"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"  # of an older version, and no longer needed
    KEPT = "kept, it is yours"


class InstallError(Exception):
    """Nothing was written; the text says why and what to do."""


def install(into: Path, *, force: bool = False) -> list[tuple[Path, Action]]:
    """Write the functions into a Convex project's ``convex`` folder; return each file's path and fate.

    Raises InstallError, before anything is written, if a file or a table in the way is not ours, or if a
    file of ours was edited or is a newer sidecar's; ``force`` overwrites the latter two and nothing else.
    """
    if into.exists() and not into.is_dir():
        raise InstallError(f"{into} is not a folder: name your Convex project's convex folder")
    wanted = {path: path.relative_to(FUNCTIONS) for path in sorted(FUNCTIONS.rglob("*.ts"))}
    targets = [into / name for name in wanted.values() if not _belongs_to_user(name.name)]
    if in_the_way := list(dict.fromkeys(path for target in targets for path in _foreign(target))):
        raise InstallError(texts.refusal_of_files(in_the_way))
    if tables := _tables_of_the_application(into):
        raise InstallError(texts.refusal_of_tables(tables))
    obsolete = list(_obsolete(into, set(targets)))
    if not force and (changed := _changed([*targets, *obsolete])):
        raise InstallError(texts.refusal_of_changes(changed))
    results = [_write(source, into / name) for source, name in wanted.items()]
    for path in obsolete:
        path.unlink()
    return results + [(path, Action.REMOVED) for path in obsolete]


def install_react(into: Path, *, force: bool = False) -> list[tuple[Path, Action]]:
    """Write the hooks and the player into a folder of a front end; raises InstallError, as `install` does."""
    sources = {
        path: into / path.name for pattern in ("*.ts", "*.tsx") for path in sorted(REACT.glob(pattern))
    }
    if in_the_way := list(dict.fromkeys(path for target in sources.values() for path in _foreign(target))):
        raise InstallError(texts.refusal_of_modules(in_the_way))
    if not force and (changed := _changed(list(sources.values()))):
        raise InstallError(texts.refusal_of_changes(changed))
    return [_write(source, target) for source, target in sources.items()]


def require_project(into: Path) -> None:
    """Raise InstallError if nothing in the folder, nor in a project around it, speaks of Convex."""
    project = next(
        (one for one in into.resolve().parents if any((one / name).exists() for name in _BESIDE)), None
    )
    inside = any((into / f"{name}{ext}").exists() for name in _INSIDE for ext in ("", ".ts", ".js"))
    if inside or (project is not None and ((project / "convex.json").exists() or _needs_convex(project))):
        return
    raise InstallError(
        f"{into} belongs to no Convex project: it holds no schema, and above it lies no convex.json nor a"
        " package.json that names convex\nname your project's convex folder, or make this one with --create"
    )


def describe(results: list[tuple[Path, Action]]) -> Iterator[str]:
    """Yield what to tell the user: each file's fate, then what is left to do by hand."""
    yield from _fates(results)
    yield from texts.SCHEMA_LINES.splitlines()
    for path in (path for path, action in results if action is Action.KEPT and path.stem == "sidecarAccess"):
        yield from _missing_rules(path)
    auth_configs = [path for path, action in results if action is Action.KEPT and path.stem == "auth.config"]
    if any("SIDECAR_JWKS_DATA_URI" not in path.read_text(encoding="utf-8") for path in auth_configs):
        yield from texts.PROVIDER_LINES.splitlines()
    yield from texts.CLOSING_LINES.splitlines()


def describe_react(results: list[tuple[Path, Action]]) -> Iterator[str]:
    """Yield each file's fate, then how the hooks and the player are used."""
    yield from _fates(results)
    yield from texts.REACT_LINES.splitlines()


def _fates(results: list[tuple[Path, Action]]) -> Iterator[str]:
    width = max(len(action) for _, action in results)
    for path, action in results:
        yield f"{action:<{width}}  {path}"


def _missing_rules(path: Path) -> Iterator[str]:
    """What a file of the user's does not decide yet, because it is older than the rule."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if missing := [rule for rule in _RULES if not re.search(rf"\b{rule}\b", text)]:
        examples = FUNCTIONS / "sidecarAccess.ts"
        yield from ("", f"{path} was kept. Rules that it does not have yet: {', '.join(missing)}.")
        yield f"Until you add them, defaults hold; {examples} shows and explains each."


def _needs_convex(project: Path) -> bool:
    try:
        package = json.loads((project / "package.json").read_text(encoding="utf-8"))
        return any("convex" in (package.get(kind) or {}) for kind in _DEPENDENCIES)
    except (OSError, ValueError, AttributeError, TypeError):  # none, or one that npm would not take either
        return False


def _write(source: Path, target: Path) -> tuple[Path, Action]:
    text = source.read_text(encoding="utf-8")
    if _belongs_to_user(target.name):
        if (present := _users_own(target)) is not None:
            return present, Action.KEPT
    else:
        text = stamped(text)
    before = target.read_text(encoding="utf-8") if target.exists() else None
    if before == text:
        return target, Action.UNCHANGED
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target, Action.WRITTEN if before is None else Action.UPDATED


def stamped(text: str) -> str:
    """Return a generated file: the line that an upgrade checks, then the text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        f"// render-sidecar, contract {CONTRACT_VERSION}, sha256 {digest}: "
        f"written by `sidecar convex install`, not to be edited\n{text}"
    )


def _belongs_to_user(name: str) -> bool:
    return name in USER_OWNED


def _users_own(target: Path) -> Path | None:
    """The file that already does this one's work: it may be JavaScript too."""
    return next((path for path in (target, target.with_suffix(".js")) if path.exists()), None)


def _foreign(target: Path) -> Iterator[Path]:
    """What is in a target's place and was never ours; ``scenes.js`` is in the place of ``scenes.ts``."""
    if target.parent.exists() and not target.parent.is_dir():
        yield target.parent
    for path in map(target.with_suffix, _EXTENSIONS):
        if os.path.lexists(path) and not (path == target and _header(path)):
            yield path


def _changed(targets: list[Path]) -> list[Path]:
    """Files of ours that were edited since, or that a newer sidecar wrote."""
    return [path for path in targets if path.exists() and not 0 < (_contract(path) or 0) <= CONTRACT_VERSION]


def _tables_of_the_application(into: Path) -> dict[str, Path]:
    """Tables of the application under names of ours: they would break the types of both."""
    taken = schema_tables.names((FUNCTIONS / "sidecarTables.ts").read_text(encoding="utf-8"))
    theirs = (path for path in schema_tables.sources(into) if _header(path) is None)
    return schema_tables.own_tables(theirs, taken)


def _obsolete(into: Path, wanted: set[Path]) -> Iterator[Path]:
    """Files of ours in our own folder that this version no longer has: Convex would deploy them still."""
    for path in sorted((into / LIBRARY).glob("*.ts")):
        if path not in wanted and _header(path) is not None:
            yield path


def _contract(path: Path) -> int | None:
    """The contract of an untouched generated file; None for every other file."""
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
