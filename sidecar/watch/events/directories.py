"""Lists the folders of a tree by name alone: which ones there are to be watched. Blocking."""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from sidecar.files import open_folder
from sidecar.watch.os.filesystem import kind_of
from sidecar.watch.scan.listing import is_utf8, join, upwards

# On these a folder has one link for its name, one for its ".", and one for the ".." of each folder inside.
COUNTING_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs"})
LINKS_OF_A_LEAF = 2


def folder_inodes(root: str) -> dict[str, int]:
    """Return the inode of every folder that can be listed, by its path below ``root`` ("" is the root).

    No symbolic link is followed; names that are not UTF-8 are left out, as nothing below them is sent. What
    lies in a folder without folders is not read where the file system tells that there are none.
    """
    found, unseen, counting = dict[str, int](), [""], _counting_device(root)
    while unseen:
        folder = unseen.pop()
        try:
            inode, inner = _collect(root, folder, counting)
        except OSError:  # gone, swapped for a link, or closed to us: listings say which
            continue
        found[folder] = inode
        unseen += inner
    return found


def without(folders: Mapping[str, int], gone: AbstractSet[str]) -> dict[str, int]:
    """Leave out what is, or lies in, one of some paths."""
    return {folder: inode for folder, inode in folders.items() if gone.isdisjoint(upwards(folder))}


def _counting_device(root: str) -> int | None:
    """Return the root's device if links tell how many folders are in a folder on it."""
    try:
        fd = open_folder(root, "")
    except OSError:
        return None
    try:
        return os.fstat(fd).st_dev if kind_of(fd) in COUNTING_TYPES else None
    finally:
        os.close(fd)


def _collect(root: str, folder: str, counting: int | None) -> tuple[int, list[str]]:
    fd = open_folder(root, folder)
    try:
        seen = os.fstat(fd)
        if seen.st_dev == counting and seen.st_nlink == LINKS_OF_A_LEAF:
            return seen.st_ino, []
        with os.scandir(fd) as entries:
            inner = [
                join(folder, entry.name)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and is_utf8(entry.name)
            ]
        return seen.st_ino, inner
    finally:
        os.close(fd)
