"""What stays of the version before the component: tables of the schema, names that the user's files import.

These files carry no stamp: they are the user's from then on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sidecar.sync import install_files
from sidecar.sync.install_files import COMPONENT, GENERATED

TABLES = "sidecarTables.ts"
RULES = "sidecarLib/rules.ts"
URLS = "sidecarLib/urls.ts"
DELETION = "sidecarLib/deletion.ts"
_IMPORTED = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
_SUFFIX = re.compile(r"\.(ts|js|tsx|jsx)$")
_NOTE = (
    "// Of the sidecar's version before its component; only your schema.ts needs it: remove both together.\n"
)
_BRIDGE_NOTE = (
    "// Of the sidecar's version before its component: import from {source} instead, then remove this.\n"
)
_TYPES = 'export type * from "{source}";\n'
_DELETE = """\
import * as application from "{source}";

type Ctx = Parameters<typeof application.deleteScene>[0];

export async function deleteScene(ctx: Ctx, sessionId: string, sceneId: string): Promise<void> {{
  await application.deleteScene(ctx, {{ sessionId, sceneId }});
}}
"""
_BRIDGES = {RULES: ("rules", _TYPES), URLS: ("urls", _TYPES), DELETION: ("application", _DELETE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A file of the user's, and the file in the folder that it imports."""

    by: Path
    name: str


def tables(former: Mapping[str, str]) -> dict[str, str]:
    """Return the tables of ``former``, stamped texts by name, and all that they import, as they are kept."""
    found: dict[str, str] = {}
    waiting = [TABLES]
    while waiting:
        name = waiting.pop()
        if name in former and name not in found:
            found[name] = _NOTE + former[name].split("\n", 1)[1]
            waiting += imported(name, former[name])
    return found


def bridges(former: Mapping[str, str], module: str) -> dict[str, str]:
    """Return what can stand in for a file of ``former``: the names that it had, from the wrappers' folder."""
    found = {}
    for name, (wrapper, text) in _BRIDGES.items():
        source = f"../{module}/{wrapper}"
        if name in former:
            found[name] = _BRIDGE_NOTE.format(source=source) + text.format(source=source)
    return found


def users_imports(into: Path) -> Iterator[Import]:
    """Yield what the user's own files import of the folder."""
    for path in sorted(into.rglob("*.ts*")):
        name = path.relative_to(into)
        if {GENERATED, COMPONENT, "node_modules"} & set(name.parts) or install_files.is_stamped(path):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from (Import(by=path, name=one) for one in imported(name.as_posix(), text))


def imported(name: str, text: str) -> list[str]:
    """Return the names of the files of the folder that a file imports."""
    folder = PurePosixPath(name).parent
    found = (os.path.normpath(folder / _SUFFIX.sub("", one)) for one in _IMPORTED.findall(text))
    return [f"{one}.ts" for one in found]
