"""What S3 is rid of: debts of the journal, and multipart uploads of ours that the journal does not know."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.ids import tags_in
from sidecar.journal.journal import Debt

from .describe import TRANSFER
from .store import ObjectStore, OpenUpload


async def pay(debt: Debt, *, store: ObjectStore) -> None:
    """Abort an upload, all uploads under a key, or delete an object: only ever this transfer's."""
    if debt.delete_object:
        head = await store.head(debt.key)
        if head is not None and head.metadata.get(TRANSFER) == debt.transfer:
            await store.delete(debt.key)
    elif debt.upload_id is not None:
        await store.abort(OpenUpload(key=debt.key, upload_id=debt.upload_id))
    else:
        async for found in store.open_uploads(prefix=debt.key):
            if found.key == debt.key:
                await store.abort(found)


def is_forgotten(found: OpenUpload, known: Mapping[str, str | None], *, tag: str) -> bool:
    """Tell whether an open upload is ours and owed to nobody.

    ``known`` maps each key that the journal may have an upload under to its ID, or None while Create's
    answer is not journaled: that transfer looks after its key itself. Other sidecars' keys carry other
    tags.
    """
    if found.key in known:
        return known[found.key] is not None and known[found.key] != found.upload_id
    return tag in tags_in(found.key)
