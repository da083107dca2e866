"""Tells a file that is gone from a volume that is away, by the volume and the root that its path lies on.

Each file is journaled with its *home*: text that is compared and never read. It names the root's volume and
inode and, where another volume is mounted below the root, that one's device. A volume is known by the
identity that its file system gives itself (``f_fsid``), which outlives a remount; a device's number is given
to the next volume at once, and serves only file systems without an identity (NFS, FUSE).

Nothing at the path, or a folder, link or device, means `gone` only at the same home. Otherwise the file's
volume is away and says nothing: not to uploads, candidates or listings. A root whose folder was removed
while it was watched (it has no name any more) took its files along. One that was replaced while nobody
watched is waited for. The same files under another home (NFS numbers its mounts anew) are known by the first
of them that is the very same.

A second bind mount of one file system, mounted below a root and taken away, cannot be told from a deletion.
Synchronous and blocking: call it from a thread.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from sidecar.files import NotRegularError, open_folder

AWAY = "its root or volume is away, or another one is in its place"
_SEEN_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC  # needs no right on the folder itself


@dataclass(frozen=True, slots=True, kw_only=True)
class RootVolume:
    """A root as it is at this moment."""

    home: str  # of what lies on the root's own volume
    device: int

    def home_on(self, device: int | None) -> str:
        """Return the home of what lies in a folder on ``device``; None: that is the root's own."""
        return self.home if device in {None, self.device} else f"{self.home}.{device:x}"


def root_volume(root: str) -> RootVolume | None:
    """Look at a root; None where no folder is, or none that can be seen."""
    try:
        fd = os.open(root, _SEEN_ONLY)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        volume = os.fstatvfs(fd).f_fsid or found.st_dev
    except OSError:
        return None
    finally:
        os.close(fd)
    return RootVolume(home=f"{volume:x}.{found.st_ino:x}", device=found.st_dev)


def home_of(root: str, folder: str) -> str | None:
    """Return the home of what lies, or would lie, in a folder below a root; None as ``root_volume``.

    Of a folder that is not there the deepest one above it answers.
    """
    ground = root_volume(root)
    return None if ground is None else ground.home_on(_deepest_device(root, folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstruction:
    """What keeps a file from being read: a path below its root, "" is the root.

    ``home``: it concerns only what was seen there, None: all that is below it.
    """

    below: str
    is_folder: bool
    home: str | None = None


def is_at_home(root: str, path: str, home: str | None) -> bool:
    """Tell whether what is at a path now says something of the file that was seen at ``home``.

    None: nobody knows where it was seen; then any root will do.
    """
    now = home_of(root, path.rpartition("/")[0])
    return now is not None and home in {None, now}


def away() -> OSError:
    """Return the error of a file that is not there because its volume is not."""
    return FileNotFoundError(errno.ENOENT, AWAY)


def find_obstruction(root: str, path: str, home: str | None) -> Obstruction:
    """Find the topmost thing that keeps a file from being opened; the file itself, if its folder can be."""
    ground, folder = root_volume(root), path.rpartition("/")[0]
    if ground is None:
        return Obstruction(below="", is_folder=True)
    there = ""
    for above in _downwards(folder):
        try:
            os.close(open_folder(root, above))
        except (FileNotFoundError, NotRegularError):
            break
        except OSError:
            return Obstruction(below=above, is_folder=True)
        there = above
    if is_at_home(root, path, home):
        return Obstruction(below=path, is_folder=False)
    is_root = not f"{home}.".startswith(f"{ground.home}.")
    return Obstruction(below="" if is_root else there, is_folder=True, home=home)


def _downwards(folder: str) -> list[str]:
    """Return "" for the root, then each folder on the way, and the folder."""
    segments = folder.split("/") if folder else []
    return ["/".join(segments[:count]) for count in range(len(segments) + 1)]


def _deepest_device(root: str, folder: str) -> int | None:
    device: int | None = None
    fd = None
    try:
        fd = os.open(root, _SEEN_ONLY)
        for segment in folder.split("/") if folder else ():
            inner = os.open(segment, _SEEN_ONLY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
            device = os.fstat(fd).st_dev
    except OSError:
        return device
    finally:
        if fd is not None:
            os.close(fd)
    return device
