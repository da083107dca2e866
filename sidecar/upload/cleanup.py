"""What S3 is rid of: debts of the journal, and multipart uploads of ours that the journal does not know."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import tags_in
from sidecar.journal.journal import Debt

from .describe import TRANSFER
from .store import ObjectStore, OpenUpload

log = structlog.get_logger()


async def pay(debt: Debt, *, store: ObjectStore) -> None:
    """Abort an upload, all uploads under a key, or delete an object: only ever this transfer's."""
    if debt.delete_object:
        head = await store.head(debt.key)
        if head is not None and head.metadata.get(TRANSFER) == debt.transfer:
            await store.delete(debt.key)
        return
    if debt.upload_id is not None:
        await store.abort(OpenUpload(key=debt.key, upload_id=debt.upload_id))
    if debt.upload_id is None or debt.transfer in debt.key:  # a fixed key may be a newer transfer's by now
        await abort_others(debt.key, keep=None, store=store)


async def abort_others(key: str, *, keep: str | None, store: ObjectStore) -> None:
    """Abort every open upload under exactly this key but one; where listing is forbidden, say so."""
    try:
        found = [upload async for upload in store.open_uploads(prefix=key)]
    except SidecarError as error:
        if error.kind is not ErrorKind.FORBIDDEN:
            raise
        log.warning("uploads cannot be listed", key=key, error=str(error))  # the bucket's rule cleans up
        return
    for upload in found:
        if upload.key == key and upload.upload_id != keep:
            await store.abort(upload)


def is_forgotten(found: OpenUpload, known: Mapping[str, str | None], *, tag: str) -> bool:
    """Tell whether an open upload is ours and owed to nobody.

    ``known`` maps each key that the journal may have an upload under to its ID, or None while Create's
    answer is not journaled: that transfer looks after its key itself. Other sidecars' keys carry other
    tags.
    """
    if found.key in known:
        return known[found.key] is not None and known[found.key] != found.upload_id
    return tag in tags_in(found.key)
