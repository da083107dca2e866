"""Tells which files playlists hold, by looking on the disk: only what is gone has to be remembered.

A playlist speaks for its scene's folder alone (its own folder, where no rule tells), for videos alone, and
for rules that do not say ``playlist: none``. ``core/playlists.py`` parses it. Blocking: worker threads call
this, several at once. What is cached is bounded and can be read again.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sidecar.core import media
from sidecar.core.model import StatIdentity, StreamKey
from sidecar.core.playlists import NAMES_MAX, TEXT_BYTES_MAX, Playlist, PlaylistPlace, parse
from sidecar.core.routing import WITHHELD_SEGMENT, Ignored, Router, StreamOwner
from sidecar.files import identity_of, open_folder, open_regular, stat_identity

from .listing import Listing, is_utf8, join, list_folder, lstat_below, steady_mtime_ns, upwards

SEGMENT_BY_CONTENT = (
    "by its content it is a segment, and its playlist is {playlist}: HLS and DASH are not shipped by this"
    " version; it is held"
)
_FOLDERS_KEPT, _PLAYLISTS_KEPT, _JOURNALED_KEPT, _PIECES_KEPT = 4_096, 256, 10_000, 100_000
_NAMES_KEPT = 2 * NAMES_MAX
_FOLDERS_WALKED_MAX = 10_000
_STALE_SECONDS = 0.5  # a playlist that comes meanwhile is told by itself, and takes back what it names

Streams = dict[tuple[str, str], str]  # session and scene -> a playlist that was ever there


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistSeen:
    """A playlist, and what its segments belong to, where that can be told."""

    path: str
    identity: StatIdentity
    stream: StreamOwner | None
    playlist: Playlist


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistClaim:
    """A playlist, which may be gone by now, and one sentence why it holds a file."""

    playlist: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """The playlists of a folder as it was; ``mtime_ns`` is None where that does not tell of a change."""

    mtime_ns: int | None
    names: tuple[str, ...]
    looked_at: float


class Playlists:
    """Knows the playlists below one root. ``streams`` is shared by all roots."""

    def __init__(self, root: str, router: Router, streams: Streams) -> None:
        """Know nothing yet; ``streams`` is filled from the journal before the first listing."""
        self._root, self._router, self.streams = root, router, streams
        self._folders: dict[str, _Folder] = {}
        self._parsed: dict[str, tuple[StatIdentity, Playlist]] = {}
        self._journaled: dict[str, StatIdentity] = {}
        self._pieces: dict[str, StatIdentity] = {}
        self._free = "", 0.0  # a folder at and above which no playlist was, and until when that holds
        self.needed: set[tuple[str, str]] = set()  # streams of which this life saw a playlist, or held a file

    def claim_on(
        self, path: str, claim: StreamKey, identity: StatIdentity | None = None
    ) -> PlaylistClaim | None:
        """Return what holds a video that playlists may claim, None if nothing does."""
        stream, (own, _, name) = (claim.session_id, claim.scene_id), path.rpartition("/")
        known, (free, until) = self.streams.get(stream), self._free
        if known is None and own == free and time.monotonic() < until:
            return None
        is_segment = media.is_segment(name)
        if known is not None and (is_segment or self._pieces.get(path) == identity is not None):
            self.needed.add(stream)
            why = WITHHELD_SEGMENT if is_segment else SEGMENT_BY_CONTENT
            return PlaylistClaim(playlist=known, why=why.format(playlist=known))
        if own == free and time.monotonic() < until:
            return None
        for folder in upwards(own):
            is_near = folder == own or _is_within(folder, claim.entity_folder)
            for playlist in self._in(folder):
                if (is_segment and is_near) or self._read(playlist).names(path):
                    return PlaylistClaim(playlist=playlist, why=WITHHELD_SEGMENT.format(playlist=playlist))
        self._remember_free(own)
        return None

    def _remember_free(self, own: str) -> None:
        """Look at no folder again while what is kept of all of them says that there are no playlists."""
        kept = [self._folders.get(folder) for folder in upwards(own)]
        looks = [folder.looked_at for folder in kept if folder is not None and not folder.names]
        if len(looks) == len(kept):
            self._free = own, min(looks) + _STALE_SECONDS

    def read_if_changed(self, path: str) -> PlaylistSeen | None:
        """Read a playlist; None if it was told as it is. ``mark_journaled`` says that it is by now."""
        found = self._identity(path)
        if found is None or self._journaled.get(path) == found:
            return None
        stream = self._router.stream_of(self._root, path)
        return PlaylistSeen(path=path, identity=found, stream=stream, playlist=self._read(path))

    def mark_journaled(self, seen: PlaylistSeen) -> None:
        """Remember that what a playlist said is in the journal."""
        if len(self._journaled) >= _JOURNALED_KEPT:
            self._journaled.clear()
        self._journaled[seen.path] = seen.identity
        if seen.stream is not None:
            named = seen.stream.named
            stream = (named.session_id, named.scene_id or "")
            self.streams.setdefault(stream, seen.path)
            self.needed.add(stream)

    def is_piece(self, path: str, identity: StatIdentity) -> None:
        """Remember a file whose content showed what its name does not."""
        if len(self._pieces) >= _PIECES_KEPT:
            self._pieces.clear()
        self._pieces[path] = identity

    def near(self, folder: str, entity_folder: str | None) -> str | None:
        """Return a playlist at or below an entity's folder, or in that of its files; nothing is cached."""
        open_folders, walked = [folder if entity_folder is None else entity_folder], 0
        while open_folders and walked < _FOLDERS_WALKED_MAX:
            listing = list_folder(self._root, open_folders.pop())
            walked += 1
            for name in sorted(filter(media.is_playlist, listing.files)):
                path = f"{listing.folder}/{name}".lstrip("/")
                if self._counts(path):
                    return path
            if entity_folder is not None:
                open_folders += listing.folders
        return None

    def listed(self, listing: Listing) -> None:
        """Take in which playlists a folder had: it need not be listed again at once to know."""
        folder, kept = listing.folder, self._folders.get(listing.folder)
        if not listing.whole or listing.is_piece or (kept is not None and kept.looked_at >= listing.at):
            return
        found = [join(folder, name) for name in listing.files if media.is_playlist(name)]
        names = tuple(sorted(path for path in found if self._counts(path)))
        if len(self._folders) >= _FOLDERS_KEPT:
            self._folders.clear()
        self._folders[folder] = _Folder(mtime_ns=listing.steady_mtime_ns, names=names, looked_at=listing.at)

    def changed(self, path: str) -> None:
        """Forget what was known of the folder of a playlist that was seen."""
        self._folders.pop(path.rpartition("/")[0], None)
        self._free = "", 0.0

    def _in(self, folder: str) -> tuple[str, ...]:
        """Return the playlists of a folder. In a burst of new files it is not listed for each."""
        kept, now = self._folders.get(folder), time.monotonic()
        if kept is not None and now < kept.looked_at + _STALE_SECONDS:
            return kept.names
        found = lstat_below(self._root, folder) if folder else _stat(self._root)
        if found is None:
            return ()
        if kept is not None and kept.mtime_ns == found.st_mtime_ns:
            self._folders[folder] = replace(kept, looked_at=now)
            return kept.names
        mtime_ns, names = steady_mtime_ns(found), tuple(sorted(self._playlists_in(folder)))
        if len(self._folders) >= _FOLDERS_KEPT:
            self._folders.clear()
        self._folders[folder] = _Folder(mtime_ns=mtime_ns, names=names, looked_at=now)
        return names

    def _playlists_in(self, folder: str) -> Iterator[str]:
        try:
            fd = open_folder(self._root, folder)
        except OSError:
            return
        try:
            names = [name for name in os.listdir(fd) if media.is_playlist(name)]  # noqa: PTH208 - a descriptor
        finally:
            os.close(fd)
        for name in names:
            path = f"{folder}/{name}".lstrip("/")
            found = lstat_below(self._root, path)
            is_file = found is not None and stat.S_ISREG(found.st_mode) and is_utf8(name)
            if is_file and self._counts(path):
                yield path

    def _counts(self, path: str) -> bool:
        return not isinstance(self._router.route(self._root, path), Ignored)

    def _read(self, path: str) -> Playlist:
        """Return what a playlist names, as it is now."""
        folder, _, name = path.rpartition("/")
        stream = self._router.stream_of(self._root, path)
        scope = folder if stream is None or stream.folder is None else stream.folder
        place = PlaylistPlace(root=self._root, folder=folder, scope=scope)
        kept = self._parsed.get(path)
        if kept is not None and kept[0] == self._identity(path):
            return kept[1]
        try:
            fd = open_regular(self._root, path)
        except OSError:
            return Playlist(place=place)
        try:
            identity, text = stat_identity(fd), os.pread(fd, TEXT_BYTES_MAX, 0)
        except OSError:
            return Playlist(place=place)
        finally:
            os.close(fd)
        is_cut = identity.size_bytes > TEXT_BYTES_MAX
        playlist = parse(text.decode("utf-8", "replace"), name, place, is_cut=is_cut)
        self._keep(path, identity, playlist)
        return playlist

    def _keep(self, path: str, identity: StatIdentity, playlist: Playlist) -> None:
        kept = {**self._parsed}
        kept.pop(path, None)
        kept[path] = (identity, playlist)
        while len(kept) > _PLAYLISTS_KEPT or sum(len(one.paths) for _, one in kept.values()) > _NAMES_KEPT:
            kept.pop(next(iter(kept)))
        self._parsed = kept

    def _identity(self, path: str) -> StatIdentity | None:
        found = lstat_below(self._root, path)
        if found is None:
            return None
        return identity_of(found)


def _stat(root: str) -> os.stat_result | None:
    try:
        return os.stat(root)  # noqa: PTH116 - surrogate escapes
    except OSError:
        return None


def _is_within(folder: str, entity_folder: str | None) -> bool:
    if entity_folder is None:
        return False
    return folder == entity_folder or folder.startswith(f"{entity_folder}/")
