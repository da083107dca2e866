"""Remembers where a listing was made: the root, and what is mounted below it, each by (device, inode).

A volume that is away shows an empty folder, or the folder that lay under it; one that has come hides a
folder. So where the places differ from those of the last listing, in either direction, what is absent is
spared, and so is what was counted before in such a place. The same holds for a folder that could not be
read. A root that changed while it was listed spares everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from .listing import upwards

DeviceInode = tuple[int, int]  # device, inode
UNSEEN: DeviceInode = (0, 0)  # a folder that could not be read


class MountPoints:
    """What one listing finds, beside what the last one found. Folders are told before what is in them."""

    def __init__(self, recorded: Mapping[str, DeviceInode]) -> None:
        """``recorded`` is the last listing's ``found``."""
        self._recorded = recorded
        self.found: dict[str, DeviceInode] = {}

    def changed(self) -> list[str]:
        """Return the folders that are not where they were."""
        folders = {**self._recorded, **self.found}
        return [folder for folder in folders if self._recorded.get(folder) != self.found.get(folder)]

    def see(self, folder: str, place: DeviceInode | None, *, device_above: int | None) -> None:
        """Take in a folder that is listed; ``place`` is None where it cannot be read."""
        if place is None:
            self.found[folder] = UNSEEN
        elif place[0] != device_above:
            self.found[folder] = place

    def are_the_same(self, folder: str) -> bool:
        """Tell whether a folder is where it was, so that absence from it says something."""
        return all(self._recorded.get(above) == self.found.get(above) for above in upwards(folder))
