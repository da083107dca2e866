"""Reads an object into a file, which is there whole or not at all."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from awscrt import checksums

from sidecar.core.checksums import to_text
from sidecar.journal.db.fsync import fsync_path
from sidecar.upload.s3.object_store import S3Store

from .errors import LibraryError, NotFoundError


async def download(objects: S3Store, key: str, target: Path) -> Path:
    """Read an object, compare it with S3's checksum where it has one, and put it in its place; return that.

    Raises NotFoundError, SidecarError, LibraryError for bytes that are others, OSError of the local disk.
    """
    head = await objects.head(key)
    if head is None:
        raise NotFoundError(f"the bucket has no object {key}")
    draft = target.with_name(f".{secrets.token_hex(8)}.part")  # of this call alone
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        size, checksum = await _written(fd, objects.read(key, etag=head.stored.etag))
        if size != head.size_bytes or head.checksum not in {None, checksum}:
            raise LibraryError(f"{key} came with other bytes than S3 says it has: try again")
        await asyncio.to_thread(_publish, draft, target)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return target


async def _written(fd: int, pieces: AsyncIterator[bytes]) -> tuple[int, str]:
    """Write what comes, durably, and close the file; return its size and checksum."""
    size, crc = 0, 0
    with os.fdopen(fd, "wb") as file:
        async for piece in pieces:
            size, crc = size + len(piece), checksums.crc64nvme(piece, crc)
            await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(_flush, file)
    return size, to_text(crc)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(draft: Path, target: Path) -> None:
    draft.replace(target)
    fsync_path(target.parent)
