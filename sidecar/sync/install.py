"""``sidecar convex install``: writes the Convex functions into a user's own Convex project.

Every generated file begins with one line that names the contract and the hash of the rest, so that
an upgrade can tell a file that nobody touched from one that somebody changed. Files that belong to
the user are written once and never again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

FUNCTIONS = Path(str(files("sidecar.sync"))) / "functions"
CONTRACT_VERSION = 1
USER_OWNED = ("sidecarAccess.ts", "auth.config.ts")
LIBRARY = "sidecarLib"
_DEPENDENCIES = ("dependencies", "devDependencies", "peerDependencies")
_BESIDE = ("convex.json", "package.json")
_INSIDE = ("schema", "_generated", "sidecarTables", "convex.config")
_HEADER = re.compile(r"// render-sidecar, contract (\d+), sha256 ([0-9a-f]{64}): [^\n]*\n")


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

    Raises InstallError, before anything is written, if a file in the way is not as an earlier
    ``install`` left it; ``force`` overwrites such files, never those that belong to the user.
    """
    if into.exists() and not into.is_dir():
        raise InstallError(f"{into} is not a folder: name your Convex project's convex folder")
    wanted = {path: path.relative_to(FUNCTIONS) for path in sorted(FUNCTIONS.rglob("*.ts"))}
    obsolete = list(_obsolete(into, {into / name for name in wanted.values()}))
    if not force and (changed := _changed(into, wanted) + _newer(into, wanted)):
        raise InstallError(_refusal(changed))
    results = [_write(source, into / name) for source, name in wanted.items()]
    for path in obsolete:
        path.unlink()
    return results + [(path, Action.REMOVED) for path in obsolete]


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
    width = max(len(action) for _, action in results)
    for path, action in results:
        yield f"{action:<{width}}  {path}"
    yield from _SCHEMA_LINES.splitlines()
    auth_configs = [path for path, action in results if action is Action.KEPT and path.stem == "auth.config"]
    if any("SIDECAR_JWKS_DATA_URI" not in path.read_text(encoding="utf-8") for path in auth_configs):
        yield from _PROVIDER_LINES.splitlines()
    yield from _CLOSING_LINES.splitlines()


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


def _changed(into: Path, wanted: dict[Path, Path]) -> list[Path]:
    """Files in the way that an earlier install did not write, or that were edited since."""
    targets = [into / name for name in wanted.values() if not _belongs_to_user(name.name)]
    return [path for path in targets if path.exists() and _contract(path) is None]


def _newer(into: Path, wanted: dict[Path, Path]) -> list[Path]:
    targets = [into / name for name in wanted.values()]
    return [path for path in targets if path.is_file() and (_contract(path) or 0) > CONTRACT_VERSION]


def _obsolete(into: Path, wanted: set[Path]) -> Iterator[Path]:
    """Untouched files of our own folder that this version no longer has."""
    for path in sorted((into / LIBRARY).glob("*.ts")):
        if path not in wanted and _contract(path) is not None:
            yield path


def _contract(path: Path) -> int | None:
    """The contract of an untouched generated file; None for every other file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    header = _HEADER.match(text)
    if header is None or hashlib.sha256(text[header.end() :].encode()).hexdigest() != header[2]:
        return None
    return int(header[1])


def _refusal(paths: list[Path]) -> str:
    names = "\n".join(f"  {path}" for path in paths)
    return (
        f"nothing was written, because these files were edited, are yours, "
        f"or are of a newer sidecar:\n{names}\n"
        "move your changes elsewhere, or overwrite the files with --force"
    )


_SCHEMA_LINES = """
Two lines for your schema.ts:

    import { sidecarTables } from "./sidecarTables";
    export default defineSchema({ ...sidecarTables, /* your tables */ });
"""
_PROVIDER_LINES = """
Your auth.config was kept. Add this provider to it:

    {
      type: "customJwt",
      applicationID: process.env.SIDECAR_JWT_AUDIENCE!,
      issuer: process.env.SIDECAR_JWT_ISSUER!,
      jwks: process.env.SIDECAR_JWKS_DATA_URI!,
      algorithm: "ES256",
    }
"""
_CLOSING_LINES = """
Then say in sidecarAccess.ts who may read, and set the variables that `sidecar convex keys new` prints:

    npx convex env set SIDECAR_JWT_ISSUER https://render.example.com   # as convex.auth.issuer
    npx convex env set SIDECAR_JWT_AUDIENCE render-sidecar             # as convex.auth.audience
    npx convex env set SIDECAR_JWKS_DATA_URI ...
"""
