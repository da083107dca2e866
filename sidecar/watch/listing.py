"""Lists folders: what is in them by name and by lstat, following no symbolic link."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from sidecar.files import NotRegularError, kind_of, open_folder

from .volume import OWN_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """Something that is never sent, and why. ``path`` is below the root, with surrogate escapes.

    ``inside``: it is, or may lead to, a folder, and stands for whatever lies in it.
    """

    path: str
    reason: str
    inside: bool = False


@dataclass(slots=True, kw_only=True)
class Listing:
    """One folder ("" is the root): its regular files, its folders, and what is neither.

    ``whole`` is False where the folder could not be read: then absence from it says nothing. ``unread`` is
    why one that is there, or an entry of it, could not be read. ``inode`` is the folder's own, ``device``
    what it lies on, None where it could not be opened. ``clear``: it lies where it lay, so that what is
    absent was perhaps removed. ``home`` is where what lies in it is at home, None where that cannot be told.
    """

    folder: str
    inode: int = 0
    files: dict[str, os.stat_result] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    whole: bool = True
    unread: OSError | None = None
    device: int | None = None
    clear: bool = False
    home: str | None = None

    def others(self) -> set[str]:
        """Return the names of what is no regular file, or not seen well enough to tell."""
        return {path.rpartition("/")[2] for path in (*self.folders, *(odd.path for odd in self.odd))}


def list_folder(root: str, folder: str) -> Listing:
    """Return the listing of ``root``/``folder``; an unreadable or vanished folder is named, not raised."""
    listing = Listing(folder=folder)
    try:
        fd = open_folder(root, folder)
        try:
            found = os.fstat(fd)
            listing.inode, listing.device = found.st_ino, found.st_dev
            with os.scandir(fd) as entries:
                for entry in entries:
                    _add(listing, entry)
        finally:
            os.close(fd)
    except (FileNotFoundError, NotRegularError):  # gone, or swapped for a link since its folder was listed
        listing.whole = False
    except OSError as error:
        listing.whole, listing.unread = False, error
        why = f"the folder cannot be read: {error.strerror}"
        listing.odd.append(Odd(path=folder or ".", reason=why, inside=True))
    return listing


def look_at(root: str, path: str) -> os.stat_result | None:
    """Return lstat of one path below the root, or None where nothing is or it cannot be seen."""
    try:
        return os.lstat(os.path.join(root, path))  # noqa: PTH118 - surrogate escapes and speed
    except OSError:
        return None


def join(folder: str, name: str) -> str:
    """Return the path below the root of a name in a folder."""
    return f"{folder}/{name}" if folder else name


def is_utf8(name: str) -> bool:
    """Tell whether a name from the system is text; names that are not match no rule."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _add(listing: Listing, entry: os.DirEntry[str]) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        listing.unread = error
        listing.odd.append(Odd(path=join(listing.folder, entry.name), reason=f"no stat: {error.strerror}"))
        return
    if not is_utf8(entry.name):
        listing.odd.append(Odd(path=join(listing.folder, entry.name), reason="the name is not UTF-8"))
    elif stat.S_ISREG(found.st_mode):
        if not entry.name.startswith(OWN_PREFIX):
            listing.files[entry.name] = found
    elif stat.S_ISDIR(found.st_mode):
        listing.folders.append(join(listing.folder, entry.name))
    else:
        reason = f"{kind_of(found.st_mode)} is never sent"
        path, is_link = join(listing.folder, entry.name), stat.S_ISLNK(found.st_mode)
        listing.odd.append(Odd(path=path, reason=reason, inside=is_link))
