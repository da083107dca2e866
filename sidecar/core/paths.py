"""Says which root a path lies below, and how both are written as one, by text alone."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable


def below(path: str, roots: Iterable[str]) -> tuple[str, str] | None:
    """Return (root, path below it) of an absolute path, the innermost root first; None if outside.

    The root itself is "".
    """
    clean = plain(path)
    for root in sorted(roots, key=len, reverse=True):
        base = plain(root)
        if clean == base:
            return root, ""
        prefix = base if base == "/" else base + "/"
        if clean.startswith(prefix):
            return root, clean[len(prefix) :]
    return None


def plain(path: str) -> str:
    """Return an absolute path without doubled slashes, ``.`` and ``..``."""
    return "/" + posixpath.normpath(path).lstrip("/")  # normpath keeps two slashes at the beginning


def absolute(root: str, path: str) -> str:
    """Return a root's path and one below it as one."""
    return f"{root.rstrip('/')}/{path}" if path else root
