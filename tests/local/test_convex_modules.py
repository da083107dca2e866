"""Node's modules: installed once into a cache, whole or not at all."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

import pytest

from sidecar.local import convex_modules
from sidecar.local.child import ServerError
from sidecar.local.convex_modules import Node, find_node, modules_folder

FAKE_NPM = """
import pathlib, sys
with open({log!r}, "a") as log: log.write(" ".join(sys.argv[1:]) + "\\n")
if {fails}:
    sys.exit("npm error code ENOTFOUND\\nnpm error A complete log of this run can be found in: x")
pathlib.Path("node_modules").mkdir()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/render-sidecar"


def fake_node(folder: Path, *, fails: bool = False) -> Node:
    """Return a Node whose npm only notes that it was called."""
    script = folder / "npm.py"
    script.write_text(FAKE_NPM.format(log=str(folder / "calls"), fails=fails))
    return Node(binary=sys.executable, npm=(sys.executable, str(script)))


def test_modules_are_installed_once(tmp_path: Path, cache: Path) -> None:
    """The first start says so; no package's script runs; later starts find them."""
    said: list[str] = []
    node = fake_node(tmp_path)
    first = modules_folder(node=node, progress=said.append)
    assert modules_folder(node=node, progress=said.append) == first
    assert (first / "node_modules").is_dir()
    assert first.parent == cache
    assert len(said) == 1
    [call] = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("ci --omit=dev --ignore-scripts")


def test_two_at_once_install_once(tmp_path: Path, cache: Path) -> None:
    """The second waits for the first."""
    node = fake_node(tmp_path)
    threads = [threading.Thread(target=modules_folder, kwargs={"node": node}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_failed_installation_leaves_nothing_and_says_why(tmp_path: Path, cache: Path) -> None:
    """One sentence with npm's own reason and a hint; the next start tries again."""
    with pytest.raises(ServerError, match=r"ENOTFOUND.*registry"):
        modules_folder(node=fake_node(tmp_path, fails=True))
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    assert modules_folder(node=fake_node(tmp_path)).is_dir()


def test_the_wheels_node_is_found() -> None:
    """The demo extra brings it, with npm."""
    node = find_node()
    assert Path(node.binary).is_file()
    assert Path(node.npm[-1]).is_file()


@pytest.mark.parametrize("version", [None, "v18.19.0"], ids=["none", "an old one"])
def test_without_a_usable_node_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """What is needed and how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if version:
        for name in ("node", "npm"):
            (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
            (tmp_path / name).chmod(0o755)
    with pytest.raises(ServerError, match=r"Node 20.*render-sidecar\[demo\]"):
        find_node()


def test_the_lock_file_names_no_registry() -> None:
    """It is the user's own registry that npm asks."""
    lock = (convex_modules.PACKAGES / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 100
