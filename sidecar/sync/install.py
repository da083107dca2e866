"""``sidecar convex install``: writes the component and its wrappers into a user's own Convex project.

What is not ours is never overwritten. Files that belong to the user are written once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from . import convex_project, install_files
from . import install_texts as texts
from .install_files import COMPONENT, FUNCTIONS, MODULE, Kind, Wanted, stamped

_RULES = ("ownsSession", "keysOf", "roleOf", "canReadAsset", "urlsOf")
REACT = Path(str(files("sidecar"))) / "react"
_MODULE = re.compile(r"[A-Za-z]\w*")
_TAKEN = {
    "_generated",
    "assets",
    "auth",
    "crons",
    "http",
    "scenes",
    "schema",
    "sessions",
    "sidecarAccess",
} | {COMPONENT}


class Action(StrEnum):
    """What became of one file."""

    WRITTEN = "written"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"  # of an older version, and no longer needed
    KEPT = "kept, it is yours"
    GENERATED = "kept, Convex generates it"


class InstallError(Exception):
    """Nothing was written; the text says why and what to do."""


Results = list[tuple[Path, Action]]


def install(into: Path, *, module: str = MODULE, force: bool = False) -> Results:
    """Write the functions into a Convex project's ``convex`` folder; return each file's path and fate.

    ``module`` names the file and the folder of the wrappers. Raises InstallError, before anything is
    written, if a file in the way is not ours, or if a file of ours was edited or is a newer sidecar's;
    ``force`` overwrites the latter two and nothing else.
    """
    _require_sound(into, module)
    wanted = install_files.wanted(into, module)
    needed = [one.target for one in wanted if one.kind is Kind.OURS]
    if in_the_way := list(dict.fromkeys(path for target in needed for path in install_files.foreign(target))):
        raise InstallError(texts.refusal_of_files(in_the_way))
    ours = [
        one.target for one in wanted if one.kind is not Kind.USERS and install_files.is_stamped(one.target)
    ]
    obsolete = list(install_files.obsolete(into, {one.target for one in wanted}))
    if not force and (changed := [path for path in [*ours, *obsolete] if install_files.is_changed(path)]):
        raise InstallError(texts.refusal_of_changes(changed))
    results = [_write(one) for one in wanted]
    for path in obsolete:
        path.unlink()
    return results + [(path, Action.REMOVED) for path in obsolete]


def _require_sound(into: Path, module: str) -> None:
    if into.exists() and not into.is_dir():
        raise InstallError(f"{into} is not a folder: name your Convex project's convex folder")
    require_module(module)
    if (found := install_files.earlier(into)) is not None:
        raise InstallError(texts.refusal_of_earlier(found))
    if (version := convex_project.too_old(into)) is not None:
        raise InstallError(texts.refusal_of_version(version, convex_project.CONVEX_MIN))


def require_module(module: str) -> None:
    """Raise InstallError for a name that cannot be that of the wrappers."""
    if not _MODULE.fullmatch(module) or module in _TAKEN:
        raise InstallError(
            f'"{module}" cannot be the module: it names a file and a folder of its own, such as "media"'
        )


def install_react(into: Path, *, module: str = MODULE, force: bool = False) -> Results:
    """Write the hooks and the player into a folder of a front end; raises InstallError, as `install` does."""
    wanted = [
        Wanted(target=into / path.name, text=install_files.text_of(path, module), kind=Kind.OURS)
        for pattern in ("*.ts", "*.tsx")
        for path in sorted(REACT.glob(pattern))
    ]
    targets = [one.target for one in wanted]
    if in_the_way := list(dict.fromkeys(path for one in targets for path in install_files.foreign(one))):
        raise InstallError(texts.refusal_of_modules(in_the_way))
    if not force and (changed := [path for path in targets if install_files.is_changed(path)]):
        raise InstallError(texts.refusal_of_changes(changed))
    return [_write(one) for one in wanted]


def require_project(into: Path) -> None:
    """Raise InstallError if nothing in the folder, nor in a project around it, speaks of Convex."""
    if not convex_project.is_project(into):
        raise InstallError(
            f"{into} belongs to no Convex project: it holds no schema, and above it lies no convex.json nor a"
            " package.json that names convex\n"
            "name your project's convex folder, or make this one with --create"
        )


def describe(results: Results, *, module: str = MODULE) -> Iterator[str]:
    """Yield what to tell the user: each file's fate, then what is left to do by hand."""
    yield from _fates(results)
    kept = [path for path, action in results if action is Action.KEPT]
    yield from _lacking(kept, "convex.config", COMPONENT, texts.CONFIG_LINES)
    for path in (path for path in kept if path.stem == "sidecarAccess"):
        yield from _missing_rules(path)
    yield from _lacking(kept, "auth.config", "SIDECAR_JWKS_DATA_URI", texts.PROVIDER_LINES)
    if names := [path.stem for path in kept if f"{path.stem}.ts" in install_files.ALIASES]:
        yield from texts.other_names(names, module).splitlines()
    yield from texts.closing(module).splitlines()


def describe_react(results: Results) -> Iterator[str]:
    """Yield each file's fate, then how the hooks and the player are used."""
    yield from _fates(results)
    yield from texts.REACT_LINES.splitlines()


def _fates(results: Results) -> Iterator[str]:
    width = max(len(action) for _, action in results)
    for path, action in results:
        yield f"{action:<{width}}  {path}"


def _lacking(kept: list[Path], stem: str, word: str, lines: str) -> Iterator[str]:
    """What a file of the user's needs, if it does not say this word yet."""
    for path in (path for path in kept if path.stem == stem):
        if word not in path.read_text(encoding="utf-8", errors="replace"):
            yield from lines.splitlines()


def _missing_rules(path: Path) -> Iterator[str]:
    """What a file of the user's does not decide yet, because it is older than the rule."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if missing := [rule for rule in _RULES if not re.search(rf"\b{rule}\b", text)]:
        examples = FUNCTIONS / "sidecarAccess.ts"
        yield from ("", f"{path} was kept. Rules that it does not have yet: {', '.join(missing)}.")
        yield f"Until you add them, defaults hold; {examples} shows and explains each."


def _write(one: Wanted) -> tuple[Path, Action]:
    target, text = one.target, one.text
    if one.kind is Kind.USERS:
        if (present := _users_own(target)) is not None:
            return present, Action.KEPT
    else:
        if one.kind is not Kind.OURS and (theirs := next(install_files.foreign(target), None)) is not None:
            return theirs, Action.KEPT if one.kind is Kind.ALIAS else Action.GENERATED
        text = stamped(text)
    before = target.read_text(encoding="utf-8") if target.exists() else None
    if before == text:
        return target, Action.UNCHANGED
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target, Action.WRITTEN if before is None else Action.UPDATED


def _users_own(target: Path) -> Path | None:
    """The file that already does this one's work: it may be JavaScript too."""
    return next((path for path in (target, target.with_suffix(".js")) if path.exists()), None)
