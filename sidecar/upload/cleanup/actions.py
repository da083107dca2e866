"""Carries out one clean-up at S3: a clean-up task of the journal, or an upload that it forgot.

A clean-up task that names no upload aborts every upload that is open under its key and is not journaled. S3
is listed first and the journal asked second, so that a newer transfer under a fixed key keeps its upload. A
dead letter's upload is not kept: it is aborted as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import structlog

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import tags_in
from sidecar.journal.stores.cleanup import CleanupTask
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.writer import AsyncJournal
from sidecar.upload.metadata import TRANSFER
from sidecar.upload.store import ObjectStore, OpenUpload

log = structlog.get_logger()


class CleanupOutcome(Enum):
    """What became of a clean-up."""

    DONE = auto()
    NOTHING = auto()  # there was no object to delete: perhaps it is still to come
    LATER = auto()  # a Create under the key is under way: what is open there may be its upload


async def clean_up(task: CleanupTask, *, store: ObjectStore, journal: AsyncJournal) -> CleanupOutcome:
    """Abort an upload, forgotten uploads under a key, or delete an object: only ever this transfer's."""
    if task.delete_object:
        head = await store.head(task.key)
        if head is not None and head.metadata.get(TRANSFER) == task.transfer_id:
            await store.delete(task.key)
        return CleanupOutcome.NOTHING if head is None else CleanupOutcome.DONE
    if task.upload_id is not None:
        await store.abort(OpenUpload(key=task.key, upload_id=task.upload_id))
        if task.transfer_id not in task.key:  # a fixed key: what else is open there is not this transfer's
            return CleanupOutcome.DONE
    return await _abort_unknown(task.key, store=store, journal=journal)


async def abort_others(key: str, *, keep: str | None, store: ObjectStore) -> None:
    """Abort every open upload under exactly this key but one."""
    for upload in await _under(key, store):
        if upload.upload_id != keep:
            await store.abort(upload)


async def _abort_unknown(key: str, *, store: ObjectStore, journal: AsyncJournal) -> CleanupOutcome:
    """Abort what is open under a key of ours and not journaled: a newer transfer may have it by now.

    S3 is asked first, the journal second: an upload that is begun in between is journaled before.
    """
    found = await _under(key, store)
    known = (await journal.do(MultipartUploads.open_uploads, key=key)).get(key, frozenset())
    if None in known:
        return CleanupOutcome.LATER
    for upload in found:
        if upload.upload_id not in known:
            await store.abort(upload)
    return CleanupOutcome.DONE


async def _under(key: str, store: ObjectStore) -> list[OpenUpload]:
    """List the open uploads under exactly this key; where listing is forbidden, say so."""
    try:
        return [upload async for upload in store.open_uploads(prefix=key) if upload.key == key]
    except SidecarError as error:
        if error.kind is not ErrorKind.FORBIDDEN:
            raise
        log.warning("uploads_cannot_be_listed", key=key, error=str(error))  # the bucket's rule cleans up
        return []


def is_forgotten(found: OpenUpload, known: Mapping[str, frozenset[str | None]], *, tag: str) -> bool:
    """Tell whether an open upload is ours and owed to nobody.

    ``known`` maps each key that the journal may have uploads under to their IDs, None among them while
    Create's answer is not journaled: that transfer looks after its key itself. Other sidecars' keys carry
    other tags.
    """
    if found.key in known:
        return None not in known[found.key] and found.upload_id not in known[found.key]
    return tag in tags_in(found.key)
