"""The seeded bugs: patches with a header of three labels, one of them repeated."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
_LABELS = ("Bug", "Cost", "Bites")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """``what`` it is, what it ``costs`` a user, and the test ids that are to ``bite``, narrowest first."""

    name: str
    patch: Path
    what: str
    costs: str
    bites: Sequence[str]

    @property
    def touches(self) -> Sequence[str]:
        """The files that it changes."""
        lines = self.patch.read_text().splitlines()
        return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]


def load() -> list[Bug]:
    """Return all bugs by name. Raises ValueError for a header that does not say it all."""
    return [_read(path) for path in sorted(FOLDER.glob("*.patch"))]


def apply(bug: Bug, tree: Path, *, check: bool = False) -> str | None:
    """Put a bug into a tree, or only ``check`` that it fits; return why that cannot be done, or None."""
    command = ["git", "apply", "--whitespace=nowarn", *(["--check"] if check else []), str(bug.patch)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip()


def _read(path: Path) -> Bug:
    said: dict[str, list[str]] = {label: [] for label in _LABELS}
    label = ""
    for line in path.read_text().partition("\ndiff --git ")[0].splitlines():
        beginning, colon, rest = line.partition(": ")
        if colon and beginning in said:
            label = beginning
            said[label].append(rest.strip())
        elif label and line.strip():
            said[label][-1] += f" {line.strip()}"
    if not all(said.values()):
        raise ValueError(f"{path.name}: its header must have the lines {', '.join(_LABELS)}")
    return Bug(
        name=path.stem, patch=path, what=said["Bug"][0], costs=said["Cost"][0], bites=tuple(said["Bites"])
    )
