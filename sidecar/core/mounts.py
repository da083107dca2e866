"""What /proc/self/mountinfo says of a path, as a pure function of its text."""

from __future__ import annotations

_OCTAL = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def kind_at(path: str, mountinfo: str) -> str | None:
    """Return the type of the file system at a resolved path: that of the longest mount point above it.

    None where the text names no such mount. Of two mounts on one point the later one is on top.
    """
    best, kind = -1, None
    for line in mountinfo.splitlines():
        point, found = _mount(line)
        if len(point) >= best and _is_at_or_below(path, point):
            best, kind = len(point), found
    return kind


def kind_of_mount(mount_id: int, mountinfo: str) -> str | None:
    """Return the type of the file system of the mount that has a number, or None where none has it."""
    for line in mountinfo.splitlines():
        if line.partition(" ")[0] == str(mount_id):
            return _mount(line)[1]
    return None


def _mount(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" - ")
    point = left.split(" ")[4]
    for code, char in _OCTAL:
        point = point.replace(code, char)
    return point, right.split(" ", 1)[0]


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
