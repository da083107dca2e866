"""Lists the folders of a tree by name alone: which ones there are to be watched. Blocking."""

from __future__ import annotations

import os

from sidecar.files import open_folder
from sidecar.watch.scan.listing import is_utf8, join


def folder_inodes(root: str) -> dict[str, int]:
    """Return the inode of every folder that can be listed, by its path below ``root`` ("" is the root).

    No symbolic link is followed; names that are not UTF-8 are left out, as nothing below them is sent.
    """
    found, unseen = dict[str, int](), [""]
    while unseen:
        folder = unseen.pop()
        try:
            inode, inner = _collect(root, folder)
        except OSError:  # gone, swapped for a link, or closed to us: listings say which
            continue
        found[folder] = inode
        unseen += inner
    return found


def _collect(root: str, folder: str) -> tuple[int, list[str]]:
    fd = open_folder(root, folder)
    try:
        with os.scandir(fd) as entries:
            inner = [
                join(folder, entry.name)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and is_utf8(entry.name)
            ]
        return os.fstat(fd).st_ino, inner
    finally:
        os.close(fd)
