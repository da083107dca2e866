"""What other processes are doing."""

from __future__ import annotations

from pathlib import Path


def holds(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open, by its descriptors."""
    try:
        links = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it ended meanwhile
        return False
    return path in links
