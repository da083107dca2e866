"""Holds the local file of a transfer open while it is sent: whatever becomes of its name, it stays.

It is opened, looked at and, if it is small, read by one thread at one go; and closed by it, where its bytes
are all that is needed: to close it later makes the event loop wait for the interpreter.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sidecar.core.model import PartChecksums, StatIdentity, Transfer
from sidecar.core.parts import PartRange, checksums_of
from sidecar.core.upload_order import LIGHT_BYTES
from sidecar.files import (
    KeptFolder,
    NotRegularError,
    checksum_of,
    checksum_of_bytes,
    identity_of,
    open_with_stat,
    stat_identity,
)
from sidecar.homes import away, is_at_home
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.writer import AsyncJournal
from sidecar.upload.s3.errors import from_disk

from .openings import open_all
from .store import Body

T = TypeVar("T")
CLOSED = -1


@dataclass(slots=True)
class Opened:
    """A descriptor, what fstat said of it, and the bytes of a small file, unless they cannot be read.

    ``fd`` is CLOSED once it is closed, or where the bytes are all that is needed.
    """

    fd: int
    identity: StatIdentity
    data: bytes | None

    def close(self) -> None:
        """Close it, if it is open."""
        fd, self.fd = self.fd, CLOSED
        if fd != CLOSED:
            os.close(fd)


Found = Opened | Exception | None


async def open_sources(transfers: Sequence[Transfer], *, part_bytes: int) -> list[Found]:
    """Open the files of transfers, all of one root; return for each its file, to be closed by the caller.

    Or the error that kept it from being opened (SidecarError, LOCAL_IO), or None where it vanished. What is
    shorter than ``part_bytes`` goes in one body, if S3 has nothing of it yet.
    """
    return await open_all(
        partial(_open, one, closes=one.size_bytes < part_bytes and not one.may_upload) for one in transfers
    )


class SourceFile:
    """An open file and the fingerprint it is expected to have."""

    def __init__(self, found: Opened, *, transfer: Transfer, journal: AsyncJournal) -> None:
        """Use what was ``found``; whoever opened it closes it."""
        self._fd, self._data = found.fd, found.data
        self._transfer = transfer
        self._identity = transfer.identity
        self._journal = journal
        self._part_checksums: dict[int, str] = {}

    def whole(self) -> Body:
        """Return all of it as a body."""
        size_bytes = self._transfer.size_bytes
        data = self._data if self._data is not None and len(self._data) == size_bytes else None
        return Body(fd=self._fd, offset_bytes=0, length_bytes=size_bytes, data=data)

    def cut(self, ranges: list[PartRange], found: PartChecksums | None) -> None:
        """Take in the parts that it is sent in, and what was ``found`` of them: that is not read again."""
        self._part_checksums = checksums_of(found, ranges, whole=self._transfer.checksum)

    def part(self, wanted: PartRange) -> Body:
        """Return a part of it as a body."""
        return Body(
            fd=self._fd,
            offset_bytes=wanted.offset_bytes,
            length_bytes=wanted.length_bytes,
            checksum=self._part_checksums.get(wanted.number),
        )

    async def checksums(self, ranges: list[PartRange]) -> dict[int, str]:
        """Return the checksum that each part is to have, by number. Raises SidecarError."""
        unknown = [part for part in ranges if part.number not in self._part_checksums]
        if not unknown:
            return self._part_checksums
        return self._part_checksums | await self._read(
            lambda: {r.number: checksum_of(self._fd, r.offset_bytes, r.length_bytes) for r in unknown}
        )

    async def is_itself(self, *, seen: StatIdentity | None = None, reread: bool = False) -> bool:
        """Tell whether the file still has the content that was fingerprinted; the journal learns the news.

        Its stat identity (``seen``, where somebody looked just now) alone answers if it is the journal's,
        unless ``reread`` asks for the bytes. Other times with the same bytes are remembered; other bytes
        overtake the transfer.
        """
        if self._fd == CLOSED:
            return await self._was_read_whole()
        before = seen if seen is not None else await self._read(lambda: stat_identity(self._fd))
        if before == self._identity and not reread:
            return True
        if before.size_bytes == self._transfer.size_bytes:
            checksum = await self._read(lambda: checksum_of(self._fd, 0, before.size_bytes))
            after = await self._read(lambda: stat_identity(self._fd))
            if checksum == self._transfer.checksum and after == before:
                await self._touched(before)
                return True
        return await self._changed()

    async def _was_read_whole(self) -> bool:
        """Tell whether what was read, and sent, is what was fingerprinted; the journal learns the news."""
        if checksum_of_bytes(self._data or b"") == self._transfer.checksum:
            return True
        return await self._changed()

    async def _changed(self) -> bool:
        await self._journal.do(
            Uploads.content_changed, self._transfer.row_id, "the file changed before it was sent"
        )
        return False

    async def _touched(self, identity: StatIdentity) -> None:
        if identity != self._identity:
            self._identity = identity
            await self._journal.do(Uploads.touched, self._transfer.row_id, identity)

    async def _read(self, read: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(read)
        except OSError as error:
            raise from_disk(error, operation="read", target=self._transfer.display) from error


def _open(transfer: Transfer, folder: KeptFolder, *, closes: bool) -> Opened | None:
    """Open the file and look at it; None if it is gone. ``closes``: once all of it was read.

    It is, too, where something else bears its name, or that of a folder above it. A root or volume that is
    away, or another one now, says nothing of its files.
    """
    try:
        fd, found = open_with_stat(transfer.root, transfer.path, folder)
    except (FileNotFoundError, NotRegularError):
        if is_at_home(transfer.root, transfer.path, transfer.home):
            return None
        error = away()
        raise from_disk(error, operation="open", target=transfer.display) from error
    except OSError as error:
        raise from_disk(error, operation="open", target=transfer.display) from error
    identity, data = identity_of(found), None
    if found.st_size <= LIGHT_BYTES:
        try:
            data = os.pread(fd, found.st_size + 1, 0)  # one more tells that it grew
        except OSError:
            data = None  # who needs it reads again, and then says why not
    is_all = data is not None and len(data) == transfer.size_bytes and identity == transfer.identity
    if is_all and closes:
        os.close(fd)
        fd = CLOSED
    return Opened(fd, identity, data)
