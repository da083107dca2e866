"""Reads what /proc/self/mountinfo says of a path, as a pure function of its text."""

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


def origin_of(path: str, mountinfo: str) -> tuple[str, str] | None:
    """Return (device, path within its file system) of a resolved path; None where no mount is named.

    Two mounts of one folder, or of a folder above or below it, agree in it.
    """
    best, origin = -1, None
    for line in mountinfo.splitlines():
        point, _ = _mount(line)
        if len(point) >= best and _is_at_or_below(path, point):
            device, folder = line.split(" ")[2:4]
            inside = path[len(point.rstrip("/")) :]
            best, origin = len(point), (device, _plain(folder).rstrip("/") + inside or "/")
    return origin


def _mount(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" - ")
    return _plain(left.split(" ")[4]), right.split(" ", 1)[0]


def _plain(text: str) -> str:
    for code, char in _OCTAL:
        text = text.replace(code, char)
    return text


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
