"""Reads `.complete` and `.cancelled` files, once each time they change, and tells the journal."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import Enum

from sidecar.core.routing import Marker
from sidecar.files import ForeignLinkError, NotRegularError, open_regular
from sidecar.journal.stores.scenes import Scenes
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os import write_lease
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.os.write_lease import WriterCheck

from .classify import MarkerSeen

SIZE_BYTES_MAX = 64 * 1024
REMEMBERED_MAX = 100_000
CHUNKS_MAX = 1_000_000  # more are not understood


class MarkerOutcome(Enum):
    """What became of a marker."""

    DONE = "done"
    LATER = "later"  # somebody is writing it: look again soon
    UNREAD = "unread"  # it cannot be read at this moment: look again soon
    BROKEN = "broken"  # it says something that is not understood; it counts as an empty one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """A marker as read. ``chunks`` is how many chunks the scene has, where the renderer said so."""

    mtime_ns: int
    chunks: int | None
    broken: bool


class Markers:
    """Tells each marker once for each time it was written."""

    def __init__(self, *, root: str, journal: AsyncJournal, threads: WorkerThreads) -> None:
        self._root, self._journal, self._threads = root, journal, threads
        self._journaled: dict[str, int] = {}
        self._broken = set[str]()

    async def journal(self, seen: MarkerSeen) -> MarkerOutcome:
        """Read a marker and journal it; one that is gone again, or was told before, is nothing."""
        if self._journaled.get(seen.path) == seen.mtime_ns:
            return MarkerOutcome.BROKEN if seen.path in self._broken else MarkerOutcome.DONE
        content = await self._threads.do(lambda: _read(self._root, seen.path))
        if not isinstance(content, _Content):
            return content
        await self._journal.do(
            Scenes.mark_scene,
            project_id=seen.marker.project_id,
            session_id=seen.marker.session_id,
            scene_id=seen.marker.scene_id,
            marker=seen.marker.kind,
            mtime_ns=content.mtime_ns,
            chunks=content.chunks,
        )
        self._remember(seen.path, content.mtime_ns, is_broken=content.broken)
        return MarkerOutcome.BROKEN if content.broken else MarkerOutcome.DONE

    def is_broken(self, path: str) -> bool:
        """Tell whether a marker says something that is not understood."""
        return path in self._broken

    def _remember(self, path: str, mtime_ns: int, *, is_broken: bool) -> None:
        if len(self._journaled) >= REMEMBERED_MAX:
            self._journaled.clear()  # telling again is harmless
            self._broken.clear()
        self._journaled[path] = mtime_ns
        (self._broken.add if is_broken else self._broken.discard)(path)


def _read(root: str, path: str) -> _Content | MarkerOutcome:
    try:
        fd = open_regular(root, path)
    except (FileNotFoundError, NotRegularError, ForeignLinkError):
        return MarkerOutcome.DONE
    except OSError:
        return MarkerOutcome.UNREAD
    try:
        if write_lease.take_read_lease(fd) is WriterCheck.BUSY:
            return MarkerOutcome.LATER
        text = os.pread(fd, SIZE_BYTES_MAX, 0)
        chunks, broken = _parse(text)
        return _Content(mtime_ns=os.fstat(fd).st_mtime_ns, chunks=chunks, broken=broken)
    except OSError:
        return MarkerOutcome.UNREAD
    finally:
        os.close(fd)


def _parse(text: bytes) -> tuple[int | None, bool]:
    """Return the number of chunks, if it is told, and whether the text is not understood."""
    if not text.strip():
        return None, False
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None, True
    chunks = content.get("chunks") if isinstance(content, dict) else None
    if isinstance(chunks, int) and not isinstance(chunks, bool) and 0 <= chunks <= CHUNKS_MAX:
        return chunks, False
    return None, not isinstance(content, dict) or "chunks" in content


__all__ = ["Marker", "MarkerOutcome", "Markers"]
