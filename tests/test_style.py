"""Style is a test too: formatter, linter, types, layers, and what must not be in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TOP_LEVEL = {
    *(".ci", ".dockerignore", ".github", ".gitignore", ".pre-commit-config.yaml"),
    *("CHANGELOG.md", "Dockerfile", "LICENSE", "README.md", "config", "pyproject.toml"),
    *("sidecar", "systemd", "tests"),
}
CHECKS = {
    "format": ("ruff", "format", "--check", "--diff", "."),
    "lint": ("ruff", "check", "--output-format=concise", "."),
    "types": ("mypy",),
    "layers": ("lint-imports",),
}
_NO_GIT = not (ROOT / ".git").exists() or shutil.which("git") is None
_needs_git = pytest.mark.skipif(_NO_GIT, reason="not a git clone")


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_passes(check: str) -> None:
    """The same checks as in an editor and before a commit."""
    tool, *arguments = CHECKS[check]
    result = subprocess.run([BIN / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Nor inside a function: a circle is two modules that are one, or a third that is missing."""
    graph = grimp.build_graph("sidecar", cache_dir=None)
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def _tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@_needs_git
def test_the_top_level_stays_small() -> None:
    """Only what a newcomer expects there, and what tools insist on."""
    assert {path.relative_to(ROOT).parts[0] for path in _tracked()} <= TOP_LEVEL


@_needs_git
def test_no_file_names_a_package_index() -> None:
    """A clone builds behind any mirror: no download address, no index, no machine's own paths."""
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org")
    address = re.compile(r"https?://[^\s\"']+\.(?:whl|tar\.gz|tgz|deb)\b")
    found = []
    for path in _tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        if any(host in text for host in hosts) or address.search(text):
            found.append(str(path.relative_to(ROOT)))
    assert found == []


@_needs_git
def test_every_document_that_is_named_is_in_the_repository() -> None:
    """A reader of a clone finds what comments and documents refer to."""
    tracked = _tracked()
    there = [f"/{path.relative_to(ROOT)}" for path in tracked]
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked
        for name in re.findall(r"[\w./-]*\w\.md\b", path.read_text(encoding="utf-8", errors="replace"))
        if not any(one.endswith(f"/{name}") for one in there)
    ]
    assert found == []


@_needs_git
def test_every_suppressed_rule_has_its_reason() -> None:
    """A reason stands beside every ``noqa``, after or before it; a bare one hides mistakes."""
    reason_after = re.compile(r"# noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* +[-#] ?\S")
    reason_before = re.compile(r"# (?!type:)\S.*# noqa: [A-Z]+[0-9]+")
    found = []
    for path in _tracked():
        if path.suffix == ".py" and path != Path(__file__):
            numbered = enumerate(path.read_text().splitlines(), 1)
            suppressed = [(number, line) for number, line in numbered if "# noqa" in line]
            bare = [
                n
                for n, line in suppressed
                if not reason_after.search(line) and not reason_before.search(line)
            ]
            found += [f"{path.relative_to(ROOT)}:{number}" for number in bare]
    assert found == []


def test_every_ignored_rule_is_explained() -> None:
    """Each ignored lint rule in pyproject.toml says why on its line."""
    section = re.search(
        r"^ignore = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert section is not None
    rules = [line for line in section[1].splitlines() if line.strip()]
    assert [line for line in rules if "#" not in line] == []


def test_the_readme_shows_commands_that_exist() -> None:
    """Every ``sidecar <command>`` in a code span or a code block of the README is in ``sidecar --help``."""
    readme = (ROOT / "README.md").read_text()
    code = re.findall(r"`([^`]+)`", readme) + re.findall(r"^ {4}.+", readme, re.MULTILINE)
    shown = set(re.findall(r"(?:^|[\s/])sidecar ([a-z][a-z-]+)", "\n".join(code), re.MULTILINE))
    command = [sys.executable, "-m", "sidecar", "--help"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^[\s│|]+([a-z][a-z-]+)\s{2,}", listing, re.MULTILINE))
    assert {"run", "demo", "dev"} <= commands & shown
    assert shown <= commands
