"""Lists folders: what is in them by name and by lstat, following no symbolic link."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from sidecar.files import KeptFolders, NotRegularError, kind_of, open_folder
from sidecar.journal.stores.known import IdentityRow, identity_row
from sidecar.watch.os.filesystem import OWN_PREFIX

FRESH_NS = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialEntry:
    """Something that is never sent as it is, and why. ``path`` is below the root, with surrogate escapes.

    ``inside``: it is, or may lead to, a folder, and stands for whatever lies in it. ``found`` is its lstat,
    None where it could not be seen well enough.
    """

    path: str
    reason: str
    inside: bool = False
    found: os.stat_result | None = None

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.found is not None and stat.S_ISLNK(self.found.st_mode)


@dataclass(slots=True, kw_only=True)
class Listing:
    """One folder ("" is the root): its regular files by name, its folders, and what is neither.

    ``whole`` is False where the folder could not be read: then absence from it says nothing. ``unread`` is
    why one that is there, or an entry of it, could not be read. ``inode`` is the folder's own, ``device``
    what it lies on, None where it could not be opened. ``clear``: it lies where it lay, so that what is
    absent was perhaps removed. ``home`` is where what lies in it is at home, None where that cannot be told.
    ``at`` is monotonic, of before it was listed, and ``steady_mtime_ns`` the folder's mtime then, if that
    tells of every later change. ``is_unchanged``: its files are as the journal knows them, as an earlier
    listing found. A folder of very many entries comes in pieces, by ``number``; the last one says what is
    said of the whole.
    """

    folder: str
    inode: int = 0
    files: dict[str, IdentityRow] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    special: list[SpecialEntry] = field(default_factory=list)
    whole: bool = True
    unread: OSError | None = None
    device: int | None = None
    clear: bool = False
    home: str | None = None
    at: float = 0.0
    steady_mtime_ns: int | None = None
    is_unchanged: bool = False
    number: int = 0
    is_last: bool = True

    @property
    def is_piece(self) -> bool:
        """Whether there are other pieces of the same folder."""
        return self.number > 0 or not self.is_last

    def others(self) -> set[str]:
        """Return the names of what is no regular file, or not seen well enough to tell."""
        return {
            path.rpartition("/")[2] for path in (*self.folders, *(special.path for special in self.special))
        }


def list_folder(root: str, folder: str) -> Listing:
    """Return the listing of ``root``/``folder``; an unreadable or vanished folder is named, not raised."""
    (listing,) = list_pieces(root, folder, None)
    return listing


def list_pieces(
    root: str, folder: str, most: int | None, kept: KeptFolders | None = None
) -> Iterator[Listing]:
    """Yield it in pieces of at most so many entries; between two of them the folder is open."""
    listing = Listing(folder=folder)
    try:
        fd = open_folder(root, folder, kept)
        try:
            found = os.fstat(fd)
            listing.inode, listing.device = found.st_ino, found.st_dev
            listing.at, listing.steady_mtime_ns = time.monotonic(), steady_mtime_ns(found)
            with os.scandir(fd) as entries:
                _add_all(listing, islice(entries, most))
                while (first := next(entries, None)) is not None:
                    listing.is_last = False
                    yield listing
                    listing = Listing(
                        folder=folder,
                        inode=found.st_ino,
                        device=found.st_dev,
                        number=listing.number + 1,
                    )
                    _add_all(listing, islice(chain([first], entries), most))
        finally:
            os.close(fd)
    except (FileNotFoundError, NotRegularError):  # gone, or swapped for a link since its folder was listed
        listing.whole = False
    except OSError as error:
        listing.whole, listing.unread = False, error
        listing.special.append(unread_folder(folder or ".", error))
    yield listing


def steady_mtime_ns(folder: os.stat_result) -> int | None:
    """Return a folder's mtime; None of one that may change again in the same tick of its clock."""
    return folder.st_mtime_ns if folder.st_mtime_ns < time.time_ns() - FRESH_NS else None


def lstat_below(root: str, path: str) -> os.stat_result | None:
    """Return lstat of one path below the root, or None where nothing is or it cannot be seen."""
    try:
        return os.lstat(os.path.join(root, path))  # noqa: PTH118 - surrogate escapes and speed
    except OSError:
        return None


def odd_of(path: str, found: os.stat_result) -> SpecialEntry | None:
    """Return what is never sent as it is; None for a file or folder whose name is text."""
    is_folder, reason = stat.S_ISDIR(found.st_mode), "the name is not UTF-8"
    if not is_folder and not stat.S_ISREG(found.st_mode):
        reason = f"{kind_of(found.st_mode)} is never sent"
    elif is_utf8(path):
        return None
    return SpecialEntry(
        path=path, reason=reason, inside=is_folder or stat.S_ISLNK(found.st_mode), found=found
    )


def unread_folder(path: str, error: OSError) -> SpecialEntry:
    """Return what a folder is that cannot be read."""
    return SpecialEntry(path=path, reason=f"the folder cannot be read: {error.strerror}", inside=True)


def join(folder: str, name: str) -> str:
    """Return the path below the root of a name in a folder."""
    return f"{folder}/{name}" if folder else name


def upwards(folder: str) -> Iterator[str]:
    """Yield a folder below the root and all that it lies in, the nearest first; the root, "", is the last."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def is_utf8(name: str) -> bool:
    """Tell whether a name from the system is text; names that are not match no rule."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _add_all(listing: Listing, entries: Iterable[os.DirEntry[str]]) -> None:
    """Sort entries. Of a regular file one stat is made, and nothing else is done: there may be a million."""
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            _add_unseen(listing, entry.name, error)
            continue
        name = entry.name
        if stat.S_ISREG(found.st_mode) and name.isascii():
            if not name.startswith(OWN_PREFIX):
                listing.files[name] = identity_row(name, found)
        else:
            _add_other(listing, name, found)


def _add_unseen(listing: Listing, name: str, error: OSError) -> None:
    listing.unread = error
    path = join(listing.folder, name)
    listing.special.append(SpecialEntry(path=path, reason=f"no stat: {error.strerror}", inside=True))


def _add_other(listing: Listing, name: str, found: os.stat_result) -> None:
    path = join(listing.folder, name)
    if (special := odd_of(path, found)) is not None:
        listing.special.append(special)
    elif stat.S_ISDIR(found.st_mode):
        listing.folders.append(path)
    elif not name.startswith(OWN_PREFIX):
        listing.files[name] = identity_row(name, found)
